"""The ways to ask, on photographs of smooth colour and bundles of a few kilobytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.asking import TRIALS, measured, middle, seen
from benchmarks.ways import SHARES, judged, ways
from lorgnette.bundle import Bundle
from tests.tiny_bundle import write_tiny_bundle
from training.evaluation.encoders import BundleEncoder
from training.evaluation.folder import evaluate, read_protocol
from training.evaluation.stored_rows import RowStore, opened_store

FOLDER, SPLITS = "grocery_packages", "splits.tsv"
MAIN_SET = next(on for on, place in TRIALS["student"].items() if place == (FOLDER, SPLITS))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each folder 4 things, 6 photographs each in the gallery and 2 that ask."""
    root = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for folder, splits in TRIALS["student"].values():
        lines = []
        for thing in range(4):
            coarse = random.integers(0, 256, (5, 5, 3))
            for number in range(8):
                path = root / folder / f"thing {thing}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                noisy = np.clip(coarse + random.integers(-60, 60, coarse.shape), 0, 255)
                if not path.exists():
                    Image.fromarray(noisy.astype(np.uint8)).resize((40, 30)).save(path)
                role = "query" if number > 5 else "gallery"
                lines.append(f"thing {thing}/{number}.png\t{role}\n")
        (root / folder / splits).write_text("".join(lines))
    return root


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    root = tmp_path_factory.mktemp("models")
    return (
        write_tiny_bundle(root / "teacher", role="gallery"),
        write_tiny_bundle(root / "student", role="query"),
    )


def test_every_way_is_judged_on_every_set(photographs: Path, pair: tuple[Bundle, Bundle]) -> None:
    with opened_store(None, workers=1) as store:
        scenes = seen(photographs, *pair, store)
    levers = {lever.name: lever for lever in measured(scenes, {"teacher": 5.0, "student": 1.0})}
    wanted = {"teacher", "symmetric", "student", "flip", "flip-zoom", "super-global", "aligned",
              "aligned-16", "aligned-super-global"}  # fmt: skip
    wanted |= {f"adapted-{FOLDER}-{share:g}" for share in SHARES}
    assert wanted <= levers.keys()
    assert all(lever.sets.keys() == TRIALS["student"].keys() for lever in levers.values())
    assert levers["flip-zoom"].cost_ms == 3 * levers["student"].cost_ms
    assert levers["aligned-super-global"].cost_ms > levers["aligned"].cost_ms > 1.0


def test_the_figures_are_those_of_evaluate(
    photographs: Path, pair: tuple[Bundle, Bundle], tmp_path: Path
) -> None:
    store = RowStore(tmp_path, workers=1)
    scene = seen(photographs, *pair, store)[MAIN_SET]
    folder = photographs / FOLDER
    teacher, student = (BundleEncoder(bundle) for bundle in pair)
    expected = evaluate(teacher, student, read_protocol(folder, folder / SPLITS), store)
    found = {
        way.name: judged(scene, way)[0].mean_ap
        for way in ways(scene, {})
        if way.name in ("teacher", "symmetric", "student", "aligned")
    }
    assert found == pytest.approx(
        {
            "teacher": expected.scores["teacher_to_teacher"].mean_ap,
            "symmetric": expected.scores["student_to_student"].mean_ap,
            "student": expected.scores["student_to_teacher"].mean_ap,
            "aligned": expected.aligned["student_to_teacher"].mean_ap,
        }
    )


def test_the_middle_keeps_the_share_of_each_side() -> None:
    assert middle(np.zeros((100, 50, 3), np.uint8)).shape == (80, 40, 3)
