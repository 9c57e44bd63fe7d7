"""One row of a table: train, evaluate, remember.  By the commands a user would type."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorgnette.bundle import MANIFEST_NAME
from lorgnette.errors import InvalidConfiguration
from training.config import TrainConfig, config_sha256, load_config
from training.evaluation.names import BenchmarkName, Pairing
from training.files import sha256_of
from training.reproduction.published import PublishedTable, Row

CONFIG_NAME = "config.json"
SPEC_NAME = "model.json"

Command = Callable[[Sequence[str]], None]
"""Run `lorgnette` with these arguments; raises `RowFailed`."""


class RowFailed(Exception):
    """A command of this row did not succeed; the other rows go on."""


@dataclass(frozen=True)
class Folders:
    """configs: folder of the YAMLs.  data: root of the data sets.  out: of everything made here.

    teacher: a teacher made elsewhere, or None: the table's own.  whitening: a run whose last layer
    whitens students and teacher at the test, or None.
    """

    configs: Path
    data: Path
    out: Path
    teacher: Path | None
    whitening: Path | None

    def run(self, config: str) -> Path:
        """Where a configuration's run is, whichever table asks for it."""
        return self.out / "runs" / Path(config).with_suffix("")

    def has(self, config: str, table: PublishedTable) -> Path | None:
        """The teacher made elsewhere, if that is what the configuration is for."""
        return self.teacher if config == table.teacher else None


@dataclass(frozen=True)
class RowResult:
    """ours: `[columns]` per cent.  trained_on: as printed.  protocols: hash by benchmark."""

    ours: tuple[float, ...]
    trained_on: str
    protocols: Mapping[str, str]
    config_sha256: str


def lorgnette(arguments: Sequence[str]) -> None:
    """Run the command in a process of its own: what breaks there breaks one row."""
    command = [sys.executable, "-m", "lorgnette", *arguments]
    done = subprocess.run(command, check=False)  # noqa: S603  the arguments are this package's
    if done.returncode:
        raise RowFailed(f"`lorgnette {' '.join(arguments)}` ended with {done.returncode}")


def reproduce_row(row: Row, table: PublishedTable, folders: Folders, command: Command) -> RowResult:
    """Train what is not trained, evaluate what is not evaluated, read the figures.

    Interrupted and called again, it goes on.  Raises `RowFailed`, and `InvalidConfiguration` when
    the run there was made from another configuration or the YAML is wrong.
    """
    config = load_config(folders.configs / row.config, TrainConfig)
    teacher = _teacher(table, folders, command) if config.role == "query" else None
    run = folders.has(row.config, table) or _trained(row.config, folders, command, teacher=teacher)
    pairing: Pairing = table.pairing if teacher else "teacher_to_teacher"
    models = ["--gallery", str(teacher), "--query", str(run)] if teacher else []
    models = models or ["--gallery", str(run)]
    records = {
        name: _evaluated(
            name, models, table, out=folders.run(row.config), folders=folders, command=command
        )
        for name in table.benchmarks()
    }
    parts = {name: record["scores"][pairing]["parts"] for name, record in records.items()}
    sides = next(iter(records.values()))["scores"][pairing]
    return RowResult(
        ours=tuple(
            100 * parts[column.benchmark][column.part]["figures"][column.figure]
            for column in table.columns
        ),
        trained_on=", ".join(sides["query"]["trained_on"]),
        protocols={name: record["protocol"]["hash"] for name, record in records.items()},
        config_sha256=config_sha256(config),
    )


def _teacher(table: PublishedTable, folders: Folders, command: Command) -> Path:
    if folders.teacher is not None:
        return folders.teacher
    assert table.teacher is not None, "a table of students names their teacher"
    return _trained(table.teacher, folders, command, teacher=None)


def _trained(config: str, folders: Folders, command: Command, *, teacher: Path | None) -> Path:
    """The finished run, trained if need be.  Raises `InvalidConfiguration` for another's run."""
    path, out = folders.configs / config, folders.run(config)
    if (out / SPEC_NAME).exists():
        found, wanted = _config_of(out), config_sha256(load_config(path, TrainConfig))
        if found != wanted:
            raise InvalidConfiguration(
                f"{out} holds a run of another configuration ({found[:12]}, {path} is "
                f"{wanted[:12]}): choose another --out, or delete that run"
            )
        return out
    taught = [] if teacher is None else ["--teacher", str(teacher)]
    command(["train", str(path), "--data", str(folders.data), *taught, "--out", str(out)])
    return out


def _config_of(out: Path) -> str:
    try:
        return str(json.loads((out / CONFIG_NAME).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidConfiguration(
            f"{out / CONFIG_NAME} does not say what was run ({error}): delete that run"
        ) from error


def _evaluated(
    name: BenchmarkName,
    models: Sequence[str],
    table: PublishedTable,
    *,
    out: Path,
    folders: Folders,
    command: Command,
) -> Any:
    """The record `lorgnette evaluate --json` wrote; written now if these models have none."""
    test = [] if table.image_size is None else ["--image-size", str(table.image_size)]
    test += ["--scales", ",".join(map(str, table.scales))] if test else []
    # A network alone has its own whitening folded in.
    if folders.whitening is not None and len(models) > 2:
        test += ["--whitening", str(folders.whitening)]
    path = out / "evaluation" / f"{name}-{_key(models, test)}.json"
    if not path.exists():
        arguments = ["--benchmark", name, "--root", str(folders.data), *test]
        kept = ["--vectors", str(folders.out / "vectors"), "--json", str(path)]
        command(["evaluate", *models, *arguments, *kept])
    return json.loads(path.read_text(encoding="utf-8"))


def _key(models: Sequence[str], test: Sequence[str]) -> str:
    """Names what was evaluated how: new weights or another size are another evaluation."""
    paths = [Path(given) for given in (*models, *test) if not given.startswith("--")]
    described = [(path / SPEC_NAME, path / MANIFEST_NAME) for path in paths]
    digests = [
        sha256_of(path.read_bytes()) for either in described for path in either if path.exists()
    ]
    return sha256_of(json.dumps([digests, *test]).encode())[:12]
