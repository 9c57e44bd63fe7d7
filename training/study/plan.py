"""What the study runs, as its YAMLs say it: tables of rows, each row a whole configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationError

from lorgnette.errors import InvalidConfiguration
from training.config import TrainConfig, config_sha256, sentences_of
from training.schema import Frozen, Seed
from training.yaml_file import merged, read_yaml

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1)]
Trial = Literal["student", "teacher"]
"""Which test sets judge a table: students on things none of them saw; teachers that learn from
half of the products, on the other half too."""


class RowSpec(Frozen):
    """label: as the page shows it.  about: where it is from, or what it changes; may be empty.
    published: the row's own table elsewhere, as text, or null.  seeds, teacher: null: the table's.
    change: put on top of the table's base.
    """

    name: Name
    label: str
    about: str
    published: str | None = None
    seeds: Seeds | None = None
    teacher: Name | None = None
    change: dict[str, JsonValue]


class TableSpec(Frozen):
    """A file of the study.

    base: the configuration that the rows change, beside the file.  teacher: which of the study's
    teachers the rows learn from, by name; null: rows that make their own space.
    """

    title: str
    about: str
    trial: Trial
    base: str
    teacher: Name | None
    seeds: Seeds
    rows: Annotated[tuple[RowSpec, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Run:
    """One training.  config: with the seed in it.  teacher: None: it makes its own space."""

    table: str
    row: RowSpec
    seed: int
    trial: Trial
    teacher: str | None
    config: TrainConfig

    @property
    def name(self) -> str:
        """Of its directory below the study's."""
        return f"{self.table}/{self.row.name}-s{self.seed}"

    @property
    def sha256(self) -> str:
        """Of its configuration."""
        return config_sha256(self.config)


@dataclass(frozen=True)
class Table:
    """name: of the file, without its ending."""

    name: str
    spec: TableSpec
    runs: tuple[Run, ...]


def read_tables(directory: Path) -> tuple[Table, ...]:
    """The study's tables, in the order of their files' names (which begin with a digit).

    Raises `InvalidConfiguration` naming the file, the row and the key that is wrong.
    """
    found = sorted(directory.glob("[0-9]*.yaml"))
    if not found:
        raise InvalidConfiguration(f"{directory} holds no table of a study ([0-9]*.yaml)")
    return tuple(_table(path) for path in found)


def first_seeds_first(tables: tuple[Table, ...]) -> list[Run]:
    """All runs, those of the first seed before those of the second: a cut study is still whole."""
    everything = [run for table in tables for run in table.runs]
    order = {
        (run.table, run.row.name, run.seed): place
        for table in tables
        for row in table.spec.rows
        for place, run in enumerate(r for r in table.runs if r.row == row)
    }
    return sorted(everything, key=lambda run: order[run.table, run.row.name, run.seed])


def _table(path: Path) -> Table:
    try:
        spec = TableSpec.model_validate_json(json.dumps(read_yaml(path), default=str))
    except ValidationError as error:
        raise InvalidConfiguration(f"{path}: {'; '.join(sentences_of(error))}") from error
    names = [row.name for row in spec.rows]
    if len(set(names)) != len(names):
        raise InvalidConfiguration(f"{path}: two rows have one name, found {', '.join(names)}")
    return Table(path.stem, spec, tuple(_runs(path, spec)))


def _runs(path: Path, spec: TableSpec) -> Iterator[Run]:
    base = read_yaml(path.parent / spec.base)
    for row in spec.rows:
        for seed in row.seeds or spec.seeds:
            changed = merged(merged(base, row.change), {"schedule": {"seed": seed}})
            if not isinstance(changed, dict):
                raise InvalidConfiguration(f"{path.parent / spec.base}: expected keys and values")
            named = changed | {"name": f"study-{path.stem}-{row.name}".replace("_", "-")}
            try:
                config = TrainConfig.model_validate_json(json.dumps(named))
            except ValidationError as error:
                reasons = "; ".join(sentences_of(error))
                raise InvalidConfiguration(f"{path}, row {row.name}: {reasons}") from error
            taught = (row.teacher or spec.teacher) if config.role == "query" else None
            yield Run(path.stem, row, seed, spec.trial, taught, config)
