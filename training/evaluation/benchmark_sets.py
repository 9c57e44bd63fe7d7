"""The public data sets as benchmarks: who asks, what is held, what is right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lorgnette.errors import InvalidConfiguration
from training.data.catalogue import Labelled
from training.data.public import (
    cars,
    cub,
    gldv2,
    inshop,
    oxford5k,
    paris6k,
    revisitop1m,
    roxford5k,
    rparis6k,
    sop,
)
from training.data.public.landmarks import Landmarks, Truth
from training.data.splits import all_photographs
from training.evaluation.benchmark import Benchmark
from training.evaluation.judges import (
    Gldv2Judge,
    Judge,
    LabelsJudge,
    OldLandmarksJudge,
    RevisitedJudge,
)
from training.evaluation.names import LANDMARKS, BenchmarkName
from training.evaluation.shots import Shot
from training.files import sha256_of

FEW = (1, 2, 4, 8)
"""R@k of CUB and Cars (Oh Song et al., CVPR 2016)."""

MANY = (1, 10, 100, 1000)
"""R@k of SOP (Oh Song et al., CVPR 2016)."""

SHOP = (1, 10, 20, 30)
"""R@k of In-Shop (Liu et al., CVPR 2016)."""


def read_benchmark(
    name: BenchmarkName, root: Path, *, distractors: Path | None, is_cropped: bool
) -> Benchmark:
    """Read a data set's ground truth, in the layout it is published in.

    distractors: a folder of photographs that answer nothing, or of R1M.
    is_cropped: whether queries are cropped to their boxes, where there are boxes, as published.
    Raises `InvalidDataset` when the data set is incomplete or malformed, `InvalidConfiguration`
    when there are no boxes that could be left out.
    """
    if not is_cropped and name not in LANDMARKS:
        raise InvalidConfiguration(f"the queries of {name} have no boxes: leave out --uncropped")
    return _READERS[name](root, _noise(distractors), is_cropped)


def _noise(folder: Path | None) -> tuple[Shot, ...]:
    if folder is None:
        return ()
    if (folder / revisitop1m.REVISITOP1M.mark).exists():
        return _whole(revisitop1m.load(folder))
    return _whole(all_photographs(folder))


def _whole(paths: Iterable[Path]) -> tuple[Shot, ...]:
    return tuple(Shot(path, None) for path in paths)


_Reader = Callable[[Path, tuple[Shot, ...], bool], Benchmark]


def _landmarks(
    name: BenchmarkName,
    load: Callable[[Path], Landmarks[Truth]],
    judge: Callable[[Sequence[Truth]], Judge],
) -> _Reader:
    def read(root: Path, noise: tuple[Shot, ...], is_cropped: bool) -> Benchmark:
        lists = load(root)
        asked = zip(lists.queries, lists.boxes, strict=True)
        return Benchmark(
            name=name,
            queries=tuple(Shot(path, box if is_cropped else None) for path, box in asked),
            gallery=_whole(lists.gallery),
            distractors=noise,
            crops="cropped" if is_cropped else "uncropped",
            truth_sha256=_landmarks_sha256(lists),
            judge=judge(lists.truths),
        )

    return read


def _landmarks_sha256(lists: Landmarks[Truth]) -> str:
    truths = [{key: rows.tolist() for key, rows in vars(of).items()} for of in lists.truths]
    boxes = [[box.left, box.top, box.right, box.bottom] for box in lists.boxes]
    return _sha256([_names(lists.queries), boxes, _names(lists.gallery), truths])


def _self_retrieval(name: str, load: Callable[[Path], Labelled], ks: tuple[int, ...]) -> _Reader:
    def read(root: Path, noise: tuple[Shot, ...], is_cropped: bool) -> Benchmark:
        test = load(root)
        shots = _whole(test.paths)
        judge = LabelsJudge(test.labels, test.labels, ks, is_leave_one_out=True)
        digest = _sha256([_names(test.paths), test.labels.tolist()])
        return Benchmark(name, shots, shots, noise, "none", digest, judge)

    return read


def _inshop(root: Path, noise: tuple[Shot, ...], is_cropped: bool) -> Benchmark:
    test = inshop.load_test(root)
    judge = LabelsJudge(test.queries.labels, test.gallery.labels, SHOP, is_leave_one_out=False)
    parts = (test.queries, test.gallery)
    digest = _sha256([[_names(part.paths), part.labels.tolist()] for part in parts])
    return Benchmark(
        name="inshop",
        queries=_whole(test.queries.paths),
        gallery=_whole(test.gallery.paths),
        distractors=noise,
        crops="none",
        truth_sha256=digest,
        judge=judge,
    )


def _gldv2(root: Path, noise: tuple[Shot, ...], is_cropped: bool) -> Benchmark:
    lists = gldv2.load(root)
    answers = [rows.tolist() for rows in lists.answers]
    parts = [_names(lists.queries), list(lists.usage), _names(lists.gallery), answers]
    return Benchmark(
        name="gldv2",
        queries=_whole(lists.queries),
        gallery=_whole(lists.gallery),
        distractors=noise,
        crops="none",
        truth_sha256=_sha256(parts),
        judge=Gldv2Judge(lists.answers, lists.usage),
    )


def _names(paths: Iterable[Path]) -> list[str]:
    return [path.name for path in paths]


def _sha256(record: object) -> str:
    return sha256_of(json.dumps(record).encode())


_READERS: Mapping[BenchmarkName, _Reader] = {
    "roxford5k": _landmarks("roxford5k", roxford5k.load, RevisitedJudge),
    "rparis6k": _landmarks("rparis6k", rparis6k.load, RevisitedJudge),
    "oxford5k": _landmarks("oxford5k", oxford5k.load, OldLandmarksJudge),
    "paris6k": _landmarks("paris6k", paris6k.load, OldLandmarksJudge),
    "cub": _self_retrieval("cub", cub.load_test, FEW),
    "cars": _self_retrieval("cars", cars.load_test, FEW),
    "sop": _self_retrieval("sop", sop.load_test, MANY),
    "inshop": _inshop,
    "gldv2": _gldv2,
}
