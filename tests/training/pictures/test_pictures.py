"""Each picture: it is a PNG, equal for equal input, safe with any name, honest about failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from lorgnette.errors import InvalidConfiguration
from tests.training.analyses.subjects import subject
from tests.training.analyses.test_study import LOSS, MIX
from tests.training.pictures.images import has_colour, photographed, pixels_of
from training.analyses.study import study_geometry, study_positivity
from training.analyses.subject import Subject
from training.pictures.analysis import draw_geometry, draw_positivity
from training.pictures.curves import draw_curves, moving_median
from training.pictures.metrics_file import Series
from training.pictures.precision_recall import draw_precision_recall
from training.pictures.projection import draw_projection, project
from training.pictures.ranked_galleries import draw_ranked_galleries
from training.pictures.retrieval import pairings, retrieve
from training.pictures.style import PALETTE, RIGHT, WRONG, Picture, drawable, styled

# A formula, markup, right-to-left, letters no font here has, a control character, a lone surrogate.
NAMES = ("$\\frac{", "<b>&amp;", "\u202eשלום", "\U000f0000漢字", "a\x07b\udcff")


def _curves() -> Picture:
    steps = tuple(float(n) for n in range(200))
    falling = tuple(2.0 ** (-n / 20) for n in range(200))
    return draw_curves(
        {
            "loss": Series(steps, falling),
            "lr_factor": Series(steps, falling),
            "other$field": Series((3.0,), (-1.0,)),
        }
    )


def _ranked(seen: Subject) -> Picture:
    found = retrieve(seen, seen.student, seen.teacher)
    return draw_ranked_galleries(seen, found.average_precisions)


def _precision_recall(seen: Subject) -> Picture:
    return draw_precision_recall(
        {name: retrieve(seen, *sides) for name, sides in pairings(seen).items()}
    )


DRAWN: dict[str, Callable[[Path], Picture]] = {
    "curves": lambda _: _curves(),
    "geometry": lambda _: draw_geometry(study_geometry(subject(), MIX, seed=0)),
    "positivity": lambda _: draw_positivity(study_positivity(subject(), LOSS, MIX, seed=0), LOSS),
    "precision_recall": lambda _: _precision_recall(subject()),
    "ranked_galleries": lambda folder: _ranked(photographed(folder, classes=3, per_class=3)),
    "tsne": lambda _: draw_projection(subject(), perplexity=5, seed=0),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_a_png_and_equal_for_equal_input(name: str, tmp_path: Path) -> None:
    picture = DRAWN[name](tmp_path)
    assert picture.name == name
    assert picture.caption.endswith(".")
    height, width, _ = pixels_of(picture.png).shape
    assert (width > 600, height > 300) == (True, True)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "text.usetex": True}):
        assert DRAWN[name](tmp_path).png == picture.png


def test_matplotlib_is_left_as_it_was() -> None:
    before = dict(mpl.rcParams)
    with styled():
        assert mpl.rcParams["text.parse_math"] is False
    assert dict(mpl.rcParams) == before


def test_names_of_others_are_drawn_as_text(tmp_path: Path) -> None:
    """Warnings are errors here: no glyph may be missing, no dollar may begin a formula."""
    seen = replace(photographed(tmp_path, classes=5, per_class=4), names=NAMES)
    _ranked(seen)
    draw_projection(seen, perplexity=5, seed=0)


def test_text_is_cut_in_the_middle_and_unknown_letters_are_replaced() -> None:
    assert drawable("short") == "short"
    assert drawable("abcdefghij", most=5) == "ab…ij"
    assert drawable("abcdefghij", most=6) == "abc…ij"
    assert drawable("a\nb\x00c漢\udcff") == "a�b�c��"


def test_right_and_wrong_results_have_their_borders(tmp_path: Path) -> None:
    seen = photographed(tmp_path, classes=2, per_class=5)
    all_right = replace(seen, teacher=np.eye(2, 16, dtype=np.float32)[seen.labels])
    all_right = replace(all_right, student=all_right.teacher, names=("a", "b"))
    mixed = _ranked(all_right).png
    assert has_colour(mixed, RIGHT)
    assert has_colour(mixed, WRONG)
    eight_right = replace(all_right, labels=np.zeros(10, dtype=np.int64), names=("a",))
    right = _ranked(eight_right).png
    assert has_colour(right, RIGHT)
    assert not has_colour(right, WRONG)


def test_a_photograph_that_vanished_is_said_to_be_unreadable(tmp_path: Path) -> None:
    seen = photographed(tmp_path, classes=2, per_class=2)
    whole = _ranked(seen)
    seen.paths[0].unlink()
    seen.paths[1].write_bytes(b"no image")
    assert _ranked(seen).png != whole.png


def test_the_queries_shown_run_from_the_worst_to_the_best(tmp_path: Path) -> None:
    picture = _ranked(photographed(tmp_path, classes=4, per_class=6))
    assert picture.caption.startswith("3 of 24 queries, evenly from the lowest")


def test_both_embeddings_of_a_photograph_are_in_one_plane() -> None:
    """A student that repeats its teacher lies where the teacher lies."""
    seen = subject(classes=3, per_class=8)
    same = project(replace(seen, student=seen.teacher), perplexity=5, seed=0)
    gaps = np.linalg.norm(same.student[:, None] - same.teacher, axis=2)
    assert gaps.argmin(axis=1).tolist() == list(range(24))
    assert same.labels.tolist() == sorted(same.labels.tolist())
    assert same.names == ("class0", "class1", "class2")


def test_the_largest_classes_are_projected_up_to_the_palette() -> None:
    seen = subject(classes=12, per_class=3)
    labels = seen.labels.copy()
    labels[labels == 2] = 11
    shown = project(replace(seen, labels=labels), perplexity=5, seed=0)
    assert len(shown.names) == len(PALETTE)
    assert "class11" in shown.names
    assert "class2" not in shown.names


def test_too_few_points_for_the_perplexity_are_refused() -> None:
    seen = subject(classes=2, per_class=3)
    with pytest.raises(
        InvalidConfiguration, match=r"more than 30 points, found 12 .*--perplexity 4"
    ):
        project(seen, perplexity=30, seed=0)
    assert len(project(seen, perplexity=4, seed=0).labels) == 6


def test_the_moving_median_by_hand_and_against_a_loop() -> None:
    assert moving_median(np.array([5.0])).tolist() == [5]
    assert moving_median(np.array([1.0, 9, 2, 3])).tolist() == [5, 2, 3, 2.5]
    values = np.random.default_rng(0).standard_normal(200)
    slow = [np.median(values[max(0, i - 3) : i + 4]) for i in range(200)]
    np.testing.assert_allclose(moving_median(values), slow)
