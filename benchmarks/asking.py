"""What helps at the query without training: mAP, P@1 and cost of every way to ask a gallery.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/asking.py PHOTOGRAPHS --json queries.json \\
        [--rows DIR] [--gallery models/teacher] [--query models/student]

PHOTOGRAPHS holds the study's sets (`training/study/judge.py`). Bundles embed through the SDK, as on
a device and in the service; the whole ranking counts; a re-ranking orders its best 400 again.
Vectors are kept in --rows, so that a run that was stopped goes on. The JSON is for the page of
results: `lorgnette study --queries`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.common import Rows  # noqa: E402
from benchmarks.ways import Scene, Way, judged, ways  # noqa: E402
from lorgnette import Bundle, Encoder  # noqa: E402
from lorgnette.image import read_image  # noqa: E402
from lorgnette.manifest import Variant  # noqa: E402
from training.evaluation.encoders import BundleEncoder  # noqa: E402
from training.evaluation.folder import Protocol, asked_of, read_protocol  # noqa: E402
from training.evaluation.shots import Shot  # noqa: E402
from training.evaluation.stored_rows import RowStore, opened_store  # noqa: E402
from training.hardware import hardware  # noqa: E402
from training.provenance import git_commit  # noqa: E402
from training.study.asking import Lever, QueryLevers, SetSize, write_queries  # noqa: E402
from training.study.judge import TRIALS  # noqa: E402
from training.study.result import Figures  # noqa: E402

ZOOMED = 0.8
"""Of each side: the middle of a photograph, seen 1.25 times as large."""

TIMED = 40
"""Photographs that each bundle is timed on, in turns."""

Pixels = NDArray[np.uint8]


def middle(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    top, left = (round(side * (1 - ZOOMED) / 2) for side in (height, width))
    return pixels[top : height - top, left : width - left]


VIEWS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "flip": lambda pixels: pixels[:, ::-1],
    "zoom": middle,
}


class Viewed:
    """A bundle that sees each photograph in another view; a `ShotEncoder`."""

    def __init__(self, bundle: Bundle, variant: Variant, view: str) -> None:
        self._encoder, self._change = Encoder(bundle, variant=variant), VIEWS[view]
        origin = BundleEncoder(bundle, variant=variant).origin
        self.origin = replace(origin, preparation=f"{origin.preparation}, {view}")

    def encode(self, shot: Shot) -> Rows:
        return self._encoder.encode_pixels(self._change(read_image(shot.path)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--gallery", type=Path, default=ROOT / "models" / "teacher")
    parser.add_argument("--query", type=Path, default=ROOT / "models" / "student")
    parser.add_argument("--rows", type=Path, help="keep the vectors there; else they are lost")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    teacher, student = Bundle.open(options.gallery), Bundle.open(options.query)
    with opened_store(options.rows, workers=1) as store:
        scenes = seen(options.photographs, teacher, student, store)
    passes = timed(options.photographs, teacher, student)
    levers = measured(scenes, passes)
    for lever in levers:
        figures = "  ".join(
            f"{100 * found.mean_ap:5.1f} / {100 * found.precision_at_1:5.1f}"
            for found in lever.sets.values()
        )
        print(f"{lever.label:58s} {figures}  {lever.cost_ms:6.1f} ms")
    if options.json:
        write_queries(options.json, report(teacher, student, scenes, levers))


def report(
    teacher: Bundle, student: Bundle, scenes: Mapping[str, Scene], levers: Sequence[Lever]
) -> QueryLevers:
    return QueryLevers(
        teacher=teacher.manifest.identity,
        student=student.manifest.identity,
        machine=hardware(),
        command="benchmarks/asking.py PHOTOGRAPHS",
        git_commit=git_commit(),
        sets={
            on: SetSize(queries=int(scene.asked.matched.sum()), gallery=len(scene.asked.held))
            for on, scene in scenes.items()
        },
        levers=tuple(levers),
    )


def seen(root: Path, teacher: Bundle, student: Bundle, store: RowStore) -> dict[str, Scene]:
    """Every photograph of a folder once by each bundle, and the queries in each view."""
    encoders = {"teacher": BundleEncoder(teacher), "student": BundleEncoder(student)}
    if "int8" in student.manifest.files:
        encoders["int8"] = BundleEncoder(student, variant="int8")
    views = {view: Viewed(student, student.default_variant(), view) for view in VIEWS}
    scenes = {}
    for folder in dict.fromkeys(folder for folder, _ in TRIALS["student"].values()):
        protocols = {
            on: read_protocol(root / folder, root / folder / splits)
            for on, (where, splits) in TRIALS["student"].items()
            if where == folder
        }
        everyone = sorted({path for protocol in protocols.values() for path in protocol.paths})
        asking = sorted({p.paths[n] for p in protocols.values() for n in p.queries})
        rows = {who: embedded(store, one, everyone) for who, one in encoders.items()}
        rows |= {view: embedded(store, one, asking) for view, one in views.items()}
        scenes |= {on: scene_of(protocol, rows) for on, protocol in protocols.items()}
    return scenes


def scene_of(protocol: Protocol, rows: Mapping[str, Mapping[Path, Rows]]) -> Scene:
    """rows: by who saw them, of each photograph; what was not seen, in a view, is 0."""
    asked = asked_of(protocol, np.ones(len(protocol.paths), dtype=bool))
    unseen = np.zeros_like(next(iter(rows["teacher"].values())))
    found = {
        who: np.stack([of_who.get(path, unseen) for path in protocol.paths])
        for who, of_who in rows.items()
    }
    return Scene(asked, found)


def embedded(
    store: RowStore, encoder: BundleEncoder | Viewed, paths: Sequence[Path]
) -> dict[Path, Rows]:
    shots = [Shot(path, None) for path in paths]
    cache = store.embed(encoder, shots, task=f"{encoder.origin.name}, {len(paths)} photographs")
    return dict(zip(paths, cache.rows(np.arange(len(paths), dtype=np.int64)), strict=True))


def timed(root: Path, teacher: Bundle, student: Bundle) -> dict[str, float]:
    """Milliseconds of the processor for one pass, from decoded pixels, on one thread: medians.

    Not of the clock, which other work on the machine would lengthen.
    """
    folder, splits = next(iter(TRIALS["student"].values()))
    protocol = read_protocol(root / folder, root / folder / splits)
    pixels = [read_image(protocol.paths[n]) for n in protocol.queries[:TIMED]]
    variants = {
        "teacher": (teacher, teacher.default_variant()),
        "student": (student, student.default_variant()),
    }
    if "int8" in student.manifest.files:
        variants["int8"] = (student, "int8")
    encoders = {who: Encoder(bundle, variant=v) for who, (bundle, v) in variants.items()}
    times: dict[str, list[float]] = {who: [] for who in encoders}
    for image in pixels:
        for who, encoder in encoders.items():
            started = time.thread_time()
            encoder.encode_pixels(image)
            times[who].append(1000 * (time.thread_time() - started))
    return {who: statistics.median(of_who) for who, of_who in times.items()}


def measured(scenes: Mapping[str, Scene], passes: Mapping[str, float]) -> list[Lever]:
    """Every way on every set; a re-ranking's time is the mean of the sets."""
    homes = {folder: on for on, (folder, _) in reversed(TRIALS["student"].items())}
    learned = {folder: scenes[on].alignment("student") for folder, on in homes.items()}
    found: dict[str, list[tuple[Way, str, Figures, float]]] = {}
    for on, scene in scenes.items():
        for way in ways(scene, learned):
            figures, took_ms = judged(scene, way)
            found.setdefault(way.name, []).append((way, on, figures, took_ms))
    return [
        Lever(
            name=name,
            label=of_sets[0][0].label,
            about=of_sets[0][0].about,
            cost_ms=of_sets[0][0].views * passes[of_sets[0][0].encoder]
            + float(np.mean([took_ms for *_, took_ms in of_sets])),
            sets={on: figures for _, on, figures, _ in of_sets},
        )
        for name, of_sets in found.items()
    ]


if __name__ == "__main__":
    main()
