"""`lorgnette evaluate --benchmark`: open, embed, judge, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.evaluation.benchmark import Benchmark, BenchmarkResult, measure_one, measure_pair
from training.evaluation.benchmark_report import report_benchmark
from training.evaluation.benchmark_sets import read_benchmark
from training.evaluation.encoders import Resolution, ShotEncoder, open_encoder
from training.evaluation.names import BenchmarkName
from training.evaluation.stored_rows import RowStore, opened_store


@dataclass(frozen=True)
class Request:
    """One command.  At least one of gallery and query is given.

    vectors: where they are kept; None: nowhere.  resolution: for runs; None: as they were made.
    whitening: a run whose last layer whitens the rows of both sides; None: nothing is added.
    """

    benchmark: BenchmarkName
    root: Path
    gallery: Path | None
    query: Path | None
    distractors: Path | None
    is_cropped: bool
    resolution: Resolution | None
    whitening: Path | None
    vectors: Path | None
    ranks: Path | None
    json_out: Path | None
    workers: int


def run_benchmark(request: Request) -> BenchmarkResult:
    """Do what is asked; the figures are printed, and returned."""
    benchmark = read_benchmark(
        request.benchmark,
        request.root,
        distractors=request.distractors,
        is_cropped=request.is_cropped,
    )
    with opened_store(request.vectors, workers=request.workers) as store:
        result = _measured(request, benchmark, store)
    report_benchmark(benchmark, result, json_out=request.json_out, ranks_out=request.ranks)
    return result


def _measured(request: Request, benchmark: Benchmark, store: RowStore) -> BenchmarkResult:
    given = [path for path in (request.gallery, request.query) if path is not None]
    model, *other = (_encoder(path, request) for path in given)
    return (
        measure_pair(benchmark, model, other[0], store)
        if other
        else measure_one(benchmark, model, store)
    )


def _encoder(path: Path, request: Request) -> ShotEncoder:
    encoder = open_encoder(path, resolution=request.resolution)
    if request.whitening is None:
        return encoder
    from training.evaluation.whitened_encoder import whitened_by

    return whitened_by(request.whitening, encoder)
