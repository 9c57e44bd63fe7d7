"""The verb `lorgnette evaluate`: on a folder of one's own, or on a public benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorgnette.manifest import Variant
from training.evaluation.names import BenchmarkName
from training.evaluation.options import DATASET, GALLERY, QUERY, SPLITS, WORKERS

if TYPE_CHECKING:
    from training.evaluation.encoders import Resolution

GalleryOption = Annotated[Path | None, GALLERY]
QueryOption = Annotated[Path | None, QUERY]
DatasetOption = Annotated[Path | None, DATASET]
SplitsOption = Annotated[Path | None, SPLITS]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Also write the figures to this file.")
]
VariantOption = Annotated[
    Variant | None,
    typer.Option("--variant", help="--dataset: the student's variant [fp16], such as int8."),
]
WorkersOption = Annotated[int, WORKERS]
BenchmarkOption = Annotated[
    BenchmarkName | None,
    typer.Option("--benchmark", help="A public benchmark instead of --dataset."),
]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", help="Benchmark: where `lorgnette data get` put the data sets."),
]
DistractorsOption = Annotated[
    Path | None,
    typer.Option("--distractors", help="Benchmark: a folder of photographs that answer nothing."),
]
VectorsOption = Annotated[
    Path | None,
    typer.Option(
        "--vectors",
        help="Keep the vectors here; the same command, interrupted, then goes on.",
    ),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        min=16,
        help="Benchmark, runs only: longer side in pixels, aspect kept (published: 1024).",
    ),
]
ScalesOption = Annotated[
    str | None, typer.Option("--scales", help="With --image-size (published: 1,0.7071,0.5).")
]
WhiteningOption = Annotated[
    Path | None,
    typer.Option(
        "--whitening",
        help="Benchmark: whiten both sides at the test by the last layer of this run (AML's test "
        "of networks that learned without; most models have theirs folded in).",
    ),
]
UncroppedOption = Annotated[
    bool,
    typer.Option(
        "--uncropped", help="Benchmark: ask with whole photographs, against the protocol."
    ),
]
RanksOption = Annotated[
    Path | None, typer.Option("--ranks", help="Benchmark: also write the rankings to this .npz.")
]


def evaluate(
    *,
    gallery: GalleryOption = None,
    query: QueryOption = None,
    dataset: DatasetOption = None,
    splits: SplitsOption = None,
    variant: VariantOption = None,
    benchmark: BenchmarkOption = None,
    root: RootOption = None,
    distractors: DistractorsOption = None,
    image_size: SizeOption = None,
    scales: ScalesOption = None,
    whitening: WhiteningOption = None,
    uncropped: UncroppedOption = False,
    vectors: VectorsOption = None,
    ranks: RanksOption = None,
    json_out: JsonOption = None,
    workers: WorkersOption = 2,
) -> None:
    """Score a student against its teacher, in all three pairings, with their ratios.

    On a folder: mAP and P@1.  On a benchmark: its published figures; one of --gallery and --query
    is enough for that model alone.

    \b
    Examples:
      lorgnette evaluate --gallery models/teacher --query models/student --dataset ~/photos/mugs
      lorgnette evaluate --gallery models/teacher --query models/student \\
        --dataset ~/photos/mugs --splits splits.tsv --variant int8 --json figures.json
      lorgnette evaluate --gallery runs/teacher --query runs/student --benchmark roxford5k \\
        --root ~/data --image-size 1024 --scales 1,0.7071,0.5 --ranks ranks.npz
    """
    if (dataset is None) == (benchmark is None):
        raise typer.BadParameter("give either --dataset or --benchmark")
    _require_places(json_out, ranks)
    if dataset is not None:
        _refuse(root, distractors, image_size, scales, whitening, ranks, uncropped or None)
        if gallery is None or query is None:
            raise typer.BadParameter("--dataset needs both --gallery and --query")
        from training.evaluation.encoders import open_encoder
        from training.evaluation.folder_report import report
        from training.evaluation.stored_rows import opened_store

        teacher = open_encoder(gallery, resolution=None)
        student = open_encoder(query, resolution=None, variant=variant)
        with opened_store(vectors, workers=workers) as store:
            report(teacher, student, dataset, splits=splits, json_out=json_out, store=store)
    elif benchmark is not None:
        if variant is not None:
            raise typer.BadParameter("--variant is for --dataset, not for --benchmark")
        if splits is not None or root is None or (gallery or query) is None:
            raise typer.BadParameter(
                "--benchmark needs --root, and --gallery or --query or both; --splits is for "
                "--dataset"
            )
        from training.evaluation.benchmark_verb import Request, run_benchmark

        run_benchmark(
            Request(
                benchmark=benchmark,
                root=root,
                gallery=gallery,
                query=query,
                distractors=distractors,
                is_cropped=not uncropped,
                resolution=_resolution(image_size, scales),
                whitening=whitening,
                vectors=vectors,
                ranks=ranks,
                json_out=json_out,
                workers=workers,
            )
        )


def _require_places(*asked: Path | None) -> None:
    from training.files import require_writable

    for path in asked:
        if path is not None:
            require_writable(path)


def _refuse(*given: object) -> None:
    if any(value is not None for value in given):
        raise typer.BadParameter(
            "--root, --distractors, --image-size, --scales, --whitening, --ranks and "
            "--uncropped are for --benchmark, not for --dataset"
        )


def _resolution(image_size: int | None, scales: str | None) -> Resolution | None:
    from training.evaluation.encoders import Resolution

    if image_size is None:
        if scales is not None:
            raise typer.BadParameter("--scales are factors of --image-size: give that too")
        return None
    try:
        factors = tuple(float(part) for part in (scales or "1").split(","))
    except ValueError:
        factors = ()
    if not factors or not all(0 < factor <= 4 for factor in factors):
        raise typer.BadParameter(f"--scales: expected factors such as 1,0.7071,0.5, found {scales}")
    return Resolution(image_size, factors)
