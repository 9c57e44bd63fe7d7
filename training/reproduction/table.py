"""A whole table: every row, ours beside the published, as JSON and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from lorgnette.errors import InvalidConfiguration
from training.files import write_atomically, write_json
from training.reproduction.published import TABLES, Published, PublishedTable, Row, TableName
from training.reproduction.rows import Command, Folders, RowFailed, RowResult, reproduce_row


@dataclass(frozen=True)
class Reproduction:
    """results: by row, those that succeeded.  failures: by row's configuration, why not."""

    name: TableName
    results: tuple[tuple[Row, RowResult], ...]
    failures: Mapping[str, str]


def reproduce(
    name: TableName, folders: Folders, *, only: Sequence[str], command: Command
) -> Reproduction:
    """Run a table's rows in order; after each one the table so far is written into `folders.out`.

    only: names of the YAMLs without folder and ending; none: all rows.
    Raises `InvalidConfiguration` for a name the table has not.
    """
    table = TABLES[name]
    results: list[tuple[Row, RowResult]] = []
    failures: dict[str, str] = {}
    for row in _chosen(table, only):
        try:
            results.append((row, reproduce_row(row, table, folders, command)))
        except RowFailed as error:
            failures[row.config] = str(error)
        done = Reproduction(name, tuple(results), dict(failures))
        stem = folders.out / name
        write_json(stem.with_suffix(".json"), record_of(done))
        write_atomically(stem.with_suffix(".md"), markdown_of(done).encode())
    return done


def markdown_of(done: Reproduction) -> str:
    """Ours / published, in per cent, with the conditions of both."""
    table = TABLES[done.name]
    headings = ["row", *(column.heading for column in table.columns), "trained on", "config"]
    lines = [
        f"# {done.name}",
        "",
        f"Ours / published.  Published: {table.source}.",
        f"Conditions: {table.conditions}.",
        "",
        _line(headings),
        _line(["---"] * len(headings)),
    ]
    for row, result in done.results:
        pairs = zip(result.ours, row.published, strict=True)
        figures = [f"{ours:.1f} / {_shown(theirs)}" for ours, theirs in pairs]
        lines.append(
            _line([row.name, *figures, result.trained_on, f"`{result.config_sha256[:12]}`"])
        )
    protocols = {p for _, result in done.results for p in result.protocols.items()}
    lines += ["", *(f"{name}: protocol `{digest}`" for name, digest in sorted(protocols))]
    lines += [f"not run, {config}: {why}" for config, why in done.failures.items()]
    return "\n".join(lines) + "\n"


def record_of(done: Reproduction) -> dict[str, JsonValue]:
    """The same for JSON; published ranges are lists."""
    table = TABLES[done.name]
    headings = [column.heading for column in table.columns]
    return {
        "table": done.name,
        "source": table.source,
        "conditions": table.conditions,
        "rows": [
            {
                "name": row.name,
                "config": row.config,
                "config_sha256": result.config_sha256,
                "trained_on": result.trained_on,
                "protocols": dict(result.protocols),
                "ours": dict(zip(headings, result.ours, strict=True)),
                "published": {
                    heading: list(theirs) if isinstance(theirs, tuple) else theirs
                    for heading, theirs in zip(headings, row.published, strict=True)
                },
            }
            for row, result in done.results
        ],
        "failures": dict(done.failures),
    }


def _chosen(table: PublishedTable, only: Sequence[str]) -> list[Row]:
    names = {row.config: row.config.rpartition("/")[2].removesuffix(".yaml") for row in table.rows}
    unknown = set(only) - set(names.values())
    if unknown:
        raise InvalidConfiguration(
            f"the table has no row {', '.join(sorted(unknown))}: expected some of "
            f"{', '.join(names.values())}"
        )
    return [row for row in table.rows if not only or names[row.config] in only]


def _shown(published: Published) -> str:
    if published is None:
        return "–"
    if isinstance(published, tuple):
        return f"{published[0]:.1f}–{published[1]:.1f}"
    return f"{published:.1f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
