"""What one run of the study found, on disk: the page of results is made of these files alone."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from lorgnette._faults import first_fault
from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import Sha256
from training.evaluation.names import Pairing
from training.evaluation.ranking import Score
from training.files import write_atomically
from training.schema import Frozen

RESULT_NAME = "result.json"


class Figures(Frozen):
    """mean_ap: non-interpolated mAP.  precision_at_1: P@1.  Both in [0, 1]."""

    mean_ap: float
    precision_at_1: float


class OnSet(Frozen):
    """The figures on one data set.  A gallery model has `teacher_to_teacher` alone, its own.

    aligned: with the queries mapped by an alignment learned from the gallery's photographs.
    """

    queries: int
    gallery: int
    plain: dict[Pairing, Figures]
    aligned: dict[Pairing, Figures]


class Result(Frozen):
    """table, row: of the study, see `training.study.plan`.  views: distinct teacher vectors.

    seen: views shown in training, each time counted.  seconds: of the training, without the rows
    that runs share; threads: that it used.  sets: by the name of the data set.
    """

    table: str
    row: str
    seed: int
    config_sha256: Sha256
    git_commit: str
    views: int
    seen: int
    seconds: float
    threads: int
    sets: dict[str, OnSet]


def figures(score: Score) -> Figures:
    """Without the number of queries, which the set has."""
    return Figures(mean_ap=score.mean_ap, precision_at_1=score.precision_at_1)


def write_result(directory: Path, result: Result) -> None:
    """Write it whole or not at all."""
    write_atomically(directory / RESULT_NAME, (result.model_dump_json(indent=2) + "\n").encode())


def read_result(directory: Path) -> Result | None:
    """What was found, or None if the run is not done.  Raises `InvalidConfiguration`."""
    path = directory / RESULT_NAME
    if not path.exists():
        return None
    try:
        return Result.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidConfiguration(
            f"{path} is no result of this version ({first_fault(error)}): delete it and run again"
        ) from error
