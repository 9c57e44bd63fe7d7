"""A benchmark from photographs to figures: rows kept and resumed, pairings, tables, ranks."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import (
    InvalidConfiguration,
    InvalidDataset,
    InvalidVector,
    SpaceMismatch,
)
from tests.tiny_bundle import write_tiny_bundle
from training.data.public.layout import Box
from training.evaluation.benchmark import Benchmark, measure_one, measure_pair
from training.evaluation.benchmark_report import record_of, remarks_on, tables_of, write_ranks
from training.evaluation.encoders import BundleEncoder
from training.evaluation.judges import Gldv2Judge, LabelsJudge, RevisitedJudge
from training.evaluation.landmarks import RevisitedTruth
from training.evaluation.shots import Shot
from training.evaluation.stored_rows import RowStore

NONE = np.array([], dtype=np.int64)


def _shots(pictures: Path, numbers: range, box: Box | None = None) -> tuple[Shot, ...]:
    return tuple(Shot(pictures / f"{t}" / f"{n}.png", box) for t in range(3) for n in numbers)


def _revisited(pictures: Path, *, noise: int = 0) -> Benchmark:
    """Each thing asks once; of its four others two are easy, one hard, one junk."""
    truths = [
        RevisitedTruth(*(np.array(rows) + 4 * t for rows in ([0, 1], [2], [3]))) for t in range(3)
    ]
    truths[2] = RevisitedTruth(NONE, *(np.array(rows) + 8 for rows in ([0, 1, 2], [3])))
    return Benchmark(
        name="roxford5k",
        queries=_shots(pictures, range(1), Box(0, 0, 50, 40)),
        gallery=_shots(pictures, range(1, 5)),
        distractors=tuple(Shot(pictures / "noise" / f"{n}.png", None) for n in range(noise)),
        crops="cropped",
        truth_sha256="0" * 64,
        judge=RevisitedJudge(truths),
    )


class _Counting:
    """An encoder that counts its photographs, and stops where told."""

    def __init__(self, bundle: Bundle, *, stop_after: int | None = None) -> None:
        self._inner = BundleEncoder(bundle)
        self.origin = self._inner.origin
        self.stop_after = stop_after
        self.count = 0

    def encode(self, shot: Shot) -> np.ndarray:
        if self.count == self.stop_after:
            raise KeyboardInterrupt
        self.count += 1
        return self._inner.encode(shot)


def test_three_pairings_of_the_revisited_protocol(
    pictures: Path, teacher: Bundle, student: Bundle, tmp_path: Path
) -> None:
    benchmark = _revisited(pictures)
    result = measure_pair(
        benchmark, BundleEncoder(teacher), BundleEncoder(student), RowStore(tmp_path, 2)
    )
    assert set(result.measured) == {
        "teacher_to_teacher",
        "student_to_student",
        "student_to_teacher",
    }
    for measured in result.measured.values():
        easy, medium, hard = measured.sections
        assert (easy.queries, easy.skipped) == (2, 1)
        assert (medium.queries, hard.queries) == (3, 3)
        # Noisy copies of a thing are nearest to it: every list is perfect.
        assert [s.figures["mAP"] for s in measured.sections] == pytest.approx([1.0] * 3)
    asym = result.measured["student_to_teacher"]
    assert (asym.asks.role, asym.holds.role) == ("query", "gallery")
    assert asym.ranking.order.shape == (3, 12)


def test_the_rows_are_the_encoders_own_and_the_query_is_cropped(
    pictures: Path, teacher: Bundle, tmp_path: Path
) -> None:
    shots = _shots(pictures, range(1), Box(10, 5, 30, 25))
    cache = RowStore(tmp_path, 1).embed(BundleEncoder(teacher), shots, task="test")
    encoder = Encoder(teacher)
    for number, shot in enumerate(shots):
        pixels = np.asarray(Image.open(shot.path).convert("RGB"))[5:25, 10:30]
        np.testing.assert_array_equal(
            cache.rows(np.array([number]))[0], encoder.encode_pixels(pixels)
        )


def test_distractors_only_push_back(pictures: Path, teacher: Bundle, tmp_path: Path) -> None:
    plain = measure_one(_revisited(pictures), BundleEncoder(teacher), RowStore(tmp_path, 2))
    noisy = measure_one(
        _revisited(pictures, noise=10), BundleEncoder(teacher), RowStore(tmp_path, 2)
    )
    before, after = (r.measured["teacher_to_teacher"].ranking for r in (plain, noisy))
    np.testing.assert_array_equal(before.order, after.order)
    assert (after.places >= before.places).all()
    assert after.places.max() > 11
    assert plain.protocol["hash"] != noisy.protocol["hash"]


def test_a_broken_distractor_is_left_out_and_counted(
    pictures: Path, teacher: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no")
    benchmark = dataclasses.replace(
        _revisited(pictures, noise=4),
        distractors=(
            *_revisited(pictures, noise=4).distractors,
            Shot(tmp_path / "broken.png", None),
        ),
    )
    result = measure_one(benchmark, BundleEncoder(teacher), RowStore(tmp_path / "rows", 2))
    without = measure_one(
        _revisited(pictures, noise=4), BundleEncoder(teacher), RowStore(tmp_path / "rows", 2)
    )
    assert result.unreadable_distractors == 1
    assert any("1 distractors could not be read" in remark for remark in remarks_on(result))
    np.testing.assert_array_equal(
        result.measured["teacher_to_teacher"].ranking.places,
        without.measured["teacher_to_teacher"].ranking.places,
    )


def test_what_was_embedded_is_not_embedded_again(
    pictures: Path, teacher: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.row_cache.SHARD_ROWS", 4)
    shots = _shots(pictures, range(1, 5))
    stopped = _Counting(teacher, stop_after=10)
    with pytest.raises(KeyboardInterrupt):
        RowStore(tmp_path, 1).embed(stopped, shots, task="test")
    again = _Counting(teacher)
    cache = RowStore(tmp_path, 1).embed(again, shots, task="test")
    assert again.count == 4  # two of three shards were whole
    third = _Counting(teacher)
    RowStore(tmp_path, 1).embed(third, shots, task="test")
    assert third.count == 0
    fresh = RowStore(tmp_path / "fresh", 1).embed(_Counting(teacher), shots, task="test")
    every = np.arange(12)
    np.testing.assert_array_equal(cache.rows(every), fresh.rows(every))


def test_another_crop_or_model_shares_no_rows(
    pictures: Path, teacher: Bundle, student: Bundle, tmp_path: Path
) -> None:
    store = RowStore(tmp_path, 1)
    for encoder in (BundleEncoder(teacher), BundleEncoder(student)):
        for box in (None, Box(0, 0, 30, 30)):
            store.embed(encoder, _shots(pictures, range(1), box), task="test")
    assert len(list(tmp_path.iterdir())) == 4


def test_a_replaced_photograph_of_equal_length_is_embedded_again(
    teacher: Bundle, tmp_path: Path
) -> None:
    shot = Shot(tmp_path / "photo.bmp", None)
    rows = []
    for second, colour in enumerate(("red", "blue")):
        Image.new("RGB", (40, 30), colour).save(shot.path)
        os.utime(shot.path, (second, second))
        cache = RowStore(tmp_path / "rows", 1).embed(BundleEncoder(teacher), [shot], task="test")
        rows.append(cache.rows(np.arange(1)))
    assert not np.array_equal(*rows)


def test_half_a_benchmark_is_refused_before_anything_is_embedded(
    pictures: Path, teacher: Bundle, tmp_path: Path
) -> None:
    benchmark = _revisited(pictures)
    lost = dataclasses.replace(
        benchmark, gallery=(*benchmark.gallery, Shot(pictures / "lost.png", None))
    )
    encoder = _Counting(teacher)
    with pytest.raises(InvalidDataset, match=r"1 of 13 photographs are missing.*lost\.png"):
        measure_one(lost, encoder, RowStore(tmp_path, 1))
    assert encoder.count == 0


def test_a_broken_photograph_of_the_benchmark_is_refused(
    pictures: Path, teacher: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "torn.png").write_bytes(b"no")
    benchmark = _revisited(pictures)
    torn = dataclasses.replace(benchmark, queries=(Shot(tmp_path / "torn.png", None),) * 3)
    with pytest.raises(InvalidDataset, match=r"3 of the benchmark's 3 photographs.*torn\.png"):
        measure_one(torn, BundleEncoder(teacher), RowStore(tmp_path / "rows", 1))


def test_two_spaces_and_exchanged_sides_are_refused(
    pictures: Path, teacher: Bundle, student: Bundle, tmp_path: Path
) -> None:
    other = write_tiny_bundle(tmp_path / "other", role="query", space_seed=5)
    store = RowStore(tmp_path / "rows", 1)
    with pytest.raises(SpaceMismatch):
        measure_pair(_revisited(pictures), BundleEncoder(teacher), BundleEncoder(other), store)
    with pytest.raises(InvalidConfiguration, match="--gallery the teacher and --query the student"):
        measure_pair(_revisited(pictures), BundleEncoder(student), BundleEncoder(teacher), store)
    assert not (tmp_path / "rows").exists()


def test_a_network_that_gives_nan_is_refused(
    pictures: Path, teacher: Bundle, tmp_path: Path
) -> None:
    class Diverged(_Counting):
        def encode(self, shot: Shot) -> np.ndarray:
            return np.full_like(super().encode(shot), np.nan)

    with pytest.raises(InvalidVector, match="NaN or infinity"):
        measure_one(_revisited(pictures), Diverged(teacher), RowStore(tmp_path, 1))


def test_labels_and_lists_are_judged_too(pictures: Path, teacher: Bundle, tmp_path: Path) -> None:
    store, encoder = RowStore(tmp_path, 1), BundleEncoder(teacher)
    shots = _shots(pictures, range(5))
    labels = np.repeat(np.arange(3), 5)
    alone = Benchmark(
        "cub", shots, shots, (), "none", "0", LabelsJudge(labels, labels, (1, 2), True)
    )
    (section,) = measure_one(alone, encoder, store).measured["teacher_to_teacher"].sections
    assert section.figures == {"R@1": 1.0, "R@2": 1.0, "MAP@R": 1.0}
    assert section.queries == 15
    judge = Gldv2Judge([np.arange(4), np.arange(4, 8), NONE], ["Public", "Private", "Private"])
    lists = Benchmark(
        "gldv2", _shots(pictures, range(1)), _shots(pictures, range(1, 5)), (), "none", "0", judge
    )
    private, public = measure_one(lists, encoder, store).measured["teacher_to_teacher"].sections
    assert (private.name, private.queries, private.skipped) == ("private", 1, 1)
    assert public.figures == {"mAP@100": 1.0}


def test_distractors_of_a_labelled_set_are_right_for_nobody(
    pictures: Path, teacher: Bundle, tmp_path: Path
) -> None:
    shots = _shots(pictures, range(5))
    labels = np.repeat(np.arange(3), 5)
    copies = shots  # identical: half of every list is now wrong, though never the first place
    noisy = Benchmark(
        "cub", shots, shots, copies, "none", "0", LabelsJudge(labels, labels, (1,), True)
    )
    result = measure_one(noisy, BundleEncoder(teacher), RowStore(tmp_path, 1))
    (section,) = result.measured["teacher_to_teacher"].sections
    assert section.figures["MAP@R"] < 0.8


def test_conditions_stand_beside_every_figure(
    pictures: Path, student: Bundle, tmp_path: Path
) -> None:
    manifest = student.manifest
    landmarks = manifest.provenance.model_copy(update={"data": ("GLDv2-clean",)})
    seen = dataclasses.replace(
        student, manifest=manifest.model_copy(update={"provenance": landmarks})
    )
    benchmark = dataclasses.replace(_revisited(pictures), crops="uncropped")
    result = measure_one(benchmark, BundleEncoder(seen), RowStore(tmp_path, 1))
    remarks = " ".join(remarks_on(result))
    assert "uncropped queries: not the published protocol" in remarks
    assert "trained on Google Landmarks v2" in remarks
    assert "1 queries of easy have nothing to find" in remarks
    (table,) = tables_of(result)
    assert "trained on GLDv2-clean" in str(table.title)
    assert f"uncropped, protocol {result.protocol['hash']}" in str(table.title)
    assert [str(cell) for cell in table.columns[0].cells] == ["easy", "medium", "hard"]
    record = json.loads(json.dumps(record_of(result)))
    assert record["protocol"]["crops"] == "uncropped"
    assert record["protocol"]["student images"] == "squashed to 16 px"
    score = record["scores"]["student_to_student"]
    assert score["query"]["trained_on"] == ["GLDv2-clean"]
    assert score["parts"]["hard"]["figures"]["mP@1"] == 1.0


def test_the_ranks_file_holds_order_places_names_and_protocol(
    pictures: Path, teacher: Bundle, tmp_path: Path
) -> None:
    benchmark = _revisited(pictures, noise=10)
    result = measure_one(benchmark, BundleEncoder(teacher), RowStore(tmp_path / "rows", 1))
    write_ranks(tmp_path / "out" / "ranks.npz", benchmark, result)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ranks.npz"]
    with np.load(tmp_path / "out" / "ranks.npz", allow_pickle=False) as saved:
        ranking = result.measured["teacher_to_teacher"].ranking
        assert saved["teacher_to_teacher.order"].dtype == np.uint32
        np.testing.assert_array_equal(saved["teacher_to_teacher.order"], ranking.order)
        np.testing.assert_array_equal(saved["teacher_to_teacher.places"], ranking.places)
        assert saved["gallery"][4] == "1.png"
        assert json.loads(str(saved["protocol"]))["hash"] == result.protocol["hash"]
