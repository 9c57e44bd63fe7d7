"""mAP and P@1 by hand and against scikit-learn; the protocol; the table from real bundles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from sklearn.metrics import average_precision_score
from typer.testing import CliRunner

from lorgnette.alignment import learn_alignment
from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidBundle, InvalidConfiguration, SpaceMismatch
from tests.tiny_bundle import write_tiny_bundle
from training.evaluation.aligning import aligned_queries
from training.evaluation.cli import evaluate as evaluate_command
from training.evaluation.encoders import BundleEncoder
from training.evaluation.folder import Evaluation, evaluate, read_protocol
from training.evaluation.ranking import average_precision, ratio, ratio_text, score
from training.evaluation.stored_rows import opened_store


def _units(count: int, dim: int, *, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_average_precision_worked_by_hand() -> None:
    ranked = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [1, 1, 0, 0]], dtype=bool)
    expected = [(1 / 1 + 2 / 3) / 2, 1 / 4, 1.0]
    np.testing.assert_allclose(average_precision(ranked), expected, rtol=1e-15)


def test_scores_against_scikit_learn_and_a_slow_loop() -> None:
    queries, gallery = _units(9, 5, seed=0), _units(30, 5, seed=1)
    relevant = np.random.default_rng(2).random((9, 30)) < 0.2
    relevant[:, 0] = True
    s = queries.astype(np.float64) @ gallery.astype(np.float64).T
    slow_ap = [average_precision_score(relevant[q], s[q]) for q in range(9)]
    slow_first = [relevant[q, int(np.argmax(s[q]))] for q in range(9)]
    found = score(queries, gallery, relevant)
    assert found.mean_ap == pytest.approx(np.mean(slow_ap), rel=1e-12)
    assert found.precision_at_1 == pytest.approx(np.mean(slow_first), rel=1e-12)
    assert found.queries == 9


def test_leaving_one_out_never_finds_the_query_itself() -> None:
    rows = np.eye(4, dtype=np.float32)
    rows[1] = [0.9, np.sqrt(1 - 0.81), 0, 0]
    same = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=bool)
    found = score(rows, rows, same, own=np.arange(4))
    # Rows 0 and 1 find each other first; 2 and 3 tie with all: 3 is third for 2, 2 third for 3.
    assert found.mean_ap == pytest.approx((1 + 1 + 1 / 3 + 1 / 3) / 4)
    assert found.precision_at_1 == 0.5


def test_nothing_has_no_multiple() -> None:
    """A teacher that never finds first leaves no ratio, whatever the student finds: not 0."""
    assert ratio(0.5, 0.0) is None
    assert ratio(0.0, 0.5) == 0
    assert ratio(0.3, 0.6) == 0.5
    assert [ratio_text(r) for r in (None, 0.0, 0.5)] == ["–", "0.000", "0.500"]


def _write_classes(folder: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("mug", "lamp", "shoe"):
        (folder / name).mkdir(parents=True)
        base = random.integers(0, 256, (4, 4, 3))
        for number in range(4):
            noisy = np.clip(base + random.integers(-30, 30, base.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).resize((50, 40)).save(folder / name / f"{number}.png")
    (folder / "mug" / "broken.png").write_bytes(b"no")


def _write_splits(path: Path, folder: Path) -> None:
    lines = [
        f"{file.relative_to(folder).as_posix()}\t{'query' if file.stem == '0' else 'gallery'}"
        for file in sorted(folder.rglob("*.png"))
    ]
    path.write_text("\n".join([*lines, ""]))


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(evaluate_command)
    return app


def test_the_command_prints_three_pairings_and_writes_json(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    _write_classes(tmp_path / "things")
    _write_splits(tmp_path / "things" / "splits.tsv", tmp_path / "things")
    arguments = ["--gallery", teacher.directory, "--query", student.directory]
    arguments += ["--dataset", tmp_path / "things", "--splits", "splits.tsv"]
    arguments += ["--json", tmp_path / "figures.json"]
    result = CliRunner().invoke(_app(), [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    for pairing in ("teacher → teacher", "student → student", "student → teacher"):
        assert pairing in result.output
    assert "1 photographs could not be read" in result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["photographs"] == {"queries": 3, "gallery": 10}
    assert figures["skipped"] == 1
    assert figures["space"] == teacher.space.id
    # Nearly equal thumbnails: both sides find their class.
    assert figures["scores"]["student_to_teacher"]["precision_at_1"] == 1.0
    assert figures["scores"]["teacher_to_teacher"]["mean_ap_ratio"] == 1.0


def test_figures_that_could_not_be_written_are_refused_before_embedding(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    _write_classes(tmp_path / "things")
    arguments = ["--gallery", teacher.directory, "--query", student.directory]
    arguments += ["--dataset", tmp_path / "things", "--json", tmp_path / "things"]
    arguments += ["--vectors", tmp_path / "vectors"]
    result = CliRunner().invoke(_app(), [str(a) for a in arguments])
    assert isinstance(result.exception, InvalidConfiguration)
    assert not (tmp_path / "vectors").exists()


def test_without_splits_it_leaves_one_out_and_warns(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    _write_classes(tmp_path / "things")
    arguments = ["--gallery", teacher.directory, "--query", student.directory]
    result = CliRunner().invoke(
        _app(), [str(a) for a in [*arguments, "--dataset", tmp_path / "things"]]
    )
    assert result.exit_code == 0, result.output
    assert "leave-one-out" in result.output
    assert "12 queries" in result.output


def test_a_variant_is_the_students_and_only_of_a_bundle(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    _write_classes(tmp_path / "things")
    arguments = ["--gallery", teacher.directory, "--dataset", tmp_path / "things"]
    asked = [*arguments, "--query", student.directory, "--variant"]
    lacking = CliRunner().invoke(_app(), [str(a) for a in [*asked, "int8"]])
    assert isinstance(lacking.exception, InvalidBundle)
    assert "no variant 'int8'" in str(lacking.exception)
    held = CliRunner().invoke(_app(), [str(a) for a in [*asked, student.default_variant()]])
    assert held.exit_code == 0, held.output
    run = [*arguments, "--query", tmp_path, "--variant", "int8"]
    of_a_run = CliRunner().invoke(_app(), [str(a) for a in run])
    assert isinstance(of_a_run.exception, InvalidConfiguration)
    assert "no bundle" in str(of_a_run.exception)


def _evaluated(gallery: Bundle, query: Bundle, folder: Path) -> Evaluation:
    protocol = read_protocol(folder, None)
    with opened_store(None, workers=1) as store:
        return evaluate(BundleEncoder(gallery), BundleEncoder(query), protocol, store)


def test_trained_runs_are_scored_too_and_their_vectors_kept(
    tmp_path: Path, experiment: Path
) -> None:
    """The second time no photograph is read: none of them can be by then."""
    _write_classes(tmp_path / "things")
    arguments = ["--gallery", experiment / "teacher", "--query", experiment / "student"]
    arguments += ["--dataset", tmp_path / "things", "--vectors", tmp_path / "vectors"]
    arguments += ["--json", tmp_path / "figures.json"]
    figures = []
    for _ in range(2):
        result = CliRunner().invoke(_app(), [str(a) for a in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        figures.append(json.loads((tmp_path / "figures.json").read_text()))
        for path in (tmp_path / "things").rglob("?.png"):
            found = path.stat()
            path.write_bytes(bytes(found.st_size))
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert figures[0] == figures[1]
    assert figures[0]["skipped"] == 1
    assert figures[0]["gallery"]["name"] == "tiny-teacher"
    assert figures[0]["query"]["trained_on"] == ["photos"]
    assert 0 < figures[0]["scores"]["student_to_teacher"]["mean_ap"] <= 1


def test_bundles_of_two_spaces_are_refused_before_any_work(tmp_path: Path) -> None:
    _write_classes(tmp_path / "things")
    one = write_tiny_bundle(tmp_path / "one", role="gallery", space_seed=0)
    other = write_tiny_bundle(tmp_path / "other", role="query", space_seed=1)
    with pytest.raises(SpaceMismatch) as caught:
        _evaluated(one, other, tmp_path / "things")
    assert caught.value.expected == (one.space.id,)
    assert caught.value.found == other.space.id


def test_a_student_does_not_embed_the_gallery(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    _write_classes(tmp_path / "things")
    with pytest.raises(InvalidConfiguration, match="--gallery the teacher and --query the student"):
        _evaluated(student, teacher, tmp_path / "things")


def test_a_photograph_outside_every_class_folder_is_refused(tmp_path: Path) -> None:
    _write_classes(tmp_path / "things")
    Image.new("RGB", (20, 20)).save(tmp_path / "things" / "stray.png")
    with pytest.raises(InvalidConfiguration, match=r"stray\.png lies in no class folder"):
        read_protocol(tmp_path / "things", None)


def test_a_set_without_any_match_is_refused(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (20, 20), "red").save(tmp_path / name / "0.png")
    with pytest.raises(InvalidConfiguration, match="no query has a photograph of its class"):
        _evaluated(teacher, student, tmp_path)


def test_evaluation_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'timm', 'yaml', 'torchvision', 'faiss'): sys.modules[name] = None\n"
        "import training.evaluation.cli, training.evaluation.folder_report\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _write_many(folder: Path, *, count: int) -> None:
    random = np.random.default_rng(3)
    for name in ("mug", "lamp"):
        (folder / name).mkdir(parents=True)
        base = random.integers(0, 256, (4, 4, 3))
        for number in range(count):
            noisy = np.clip(base + random.integers(-90, 90, base.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).resize((50, 40)).save(folder / name / f"{number}.png")


def test_aligned_queries_are_mapped_by_the_gallery_alone(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    """By the SDK's own encoder and numpy, from the photographs of the gallery."""
    folder = tmp_path / "things"
    _write_many(folder, count=12)
    _write_splits(folder / "splits.tsv", folder)
    protocol = read_protocol(folder, folder / "splits.tsv")
    with opened_store(None, workers=1) as store:
        found = evaluate(BundleEncoder(teacher), BundleEncoder(student), protocol, store)
    light, heavy = (
        np.stack([Encoder(bundle).encode(path) for path in protocol.paths])
        for bundle in (student, teacher)
    )
    learned = learn_alignment(light[protocol.gallery], heavy[protocol.gallery])
    classes = np.array([path.parent.name for path in protocol.paths])
    s = learned(light[protocol.queries]) @ heavy[protocol.gallery].T
    same = classes[protocol.queries][:, None] == classes[protocol.gallery][None]
    wanted = np.mean([average_precision_score(*pair) for pair in zip(same, s, strict=True)])
    assert found.aligned["student_to_teacher"].mean_ap == pytest.approx(wanted)
    assert set(found.aligned) == set(found.scores)


def test_left_out_a_query_teaches_nothing_about_itself() -> None:
    """Turning one photograph's teacher row around must not move its own mapped row."""
    random = np.random.default_rng(0)
    asks, holds = (random.normal(size=(40, 8)).astype(np.float32) for _ in range(2))
    asks, holds = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (asks, holds))
    everyone = np.arange(40)
    other = holds.copy()
    other[7] *= -1
    one, two = (
        aligned_queries(asks, rows, asking=everyone, held=everyone, is_leave_one_out=True)
        for rows in (holds, other)
    )
    np.testing.assert_array_equal(one[7], two[7])
    assert (one != two).any()


def test_a_gallery_of_one_photograph_many_times_is_not_aligned(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    for name in ("mug", "lamp"):
        (tmp_path / "things" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (50, 40), "red").save(tmp_path / "things" / name / f"{number}.png")
    found = _evaluated(teacher, student, tmp_path / "things")
    assert not found.aligned
    assert found.reference.queries == 24


def test_a_small_gallery_is_not_aligned(tmp_path: Path, teacher: Bundle, student: Bundle) -> None:
    _write_classes(tmp_path / "things")
    assert not _evaluated(teacher, student, tmp_path / "things").aligned
