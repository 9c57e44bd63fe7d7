"""What helps at the query, without any training: measured by `benchmarks/asking.py`, on disk."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from lorgnette._faults import first_fault
from lorgnette.errors import InvalidConfiguration
from training.files import write_atomically
from training.schema import Frozen
from training.study.result import Figures


class SetSize(Frozen):
    """How many ask, and how many photographs they ask for."""

    queries: int
    gallery: int


class Lever(Frozen):
    """One way to ask.  name: the page finds it by that.  label, about: as the page shows it.

    cost_ms: milliseconds of the processor for a query, on one thread, from decoded pixels to a
    ranking, without the index.  sets: by the name of the data set.
    """

    name: str
    label: str
    about: str
    cost_ms: float
    sets: dict[str, Figures]


class QueryLevers(Frozen):
    """teacher, student: `name@version` of the bundles.  command: what measured it, as typed."""

    teacher: str
    student: str
    machine: str
    command: str
    git_commit: str
    sets: dict[str, SetSize]
    levers: tuple[Lever, ...]

    def lever(self, name: str) -> Lever | None:
        """By its name; None: not measured."""
        return next((lever for lever in self.levers if lever.name == name), None)


def write_queries(path: Path, found: QueryLevers) -> None:
    """Write it whole or not at all."""
    write_atomically(path, (found.model_dump_json(indent=2) + "\n").encode())


def read_queries(path: Path) -> QueryLevers:
    """Raises `InvalidConfiguration` for a file that is missing, or of another version."""
    try:
        return QueryLevers.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidConfiguration(
            f"cannot read {path}: {error.strerror}; benchmarks/asking.py --json writes it"
        ) from error
    except ValidationError as error:
        raise InvalidConfiguration(
            f"{path} does not say what helps at the query ({first_fault(error)}): measure it "
            "again with benchmarks/asking.py --json"
        ) from error
