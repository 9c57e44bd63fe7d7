"""Students adapted to photographs, by the verb, with the real ONNX Runtime."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from PIL import Image
from typer.testing import CliRunner, Result

from export.adapt import Request, adapt
from export.adapt_cli import adapt as verb
from export.adapted_graph import MATRIX_NAME, Adaptation
from export.adapted_variants import adapted_variants
from export.portable import PIXELS_NAME, require_portable
from export.runtime import open_session
from export.samples import Pixels
from lorgnette.alignment import Alignment
from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.encoder import INPUT_NAME, Encoder
from lorgnette.errors import (
    InvalidBundle,
    InvalidConfiguration,
    LorgnetteError,
    SpaceMismatch,
)
from lorgnette.manifest import Manifest, Variant
from lorgnette.vectors import to_base64
from tests.demo.pictures import numbered, write_pictures
from tests.export.conftest import DIM
from tests.export.test_quantise import run_quantise
from tests.tiny_bundle import write_tiny_bundle
from training.files import sha256_of

PHOTOGRAPHS = 40


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty photographs, five of them in folders below, one file that is none, one broken."""
    names = numbered(PHOTOGRAPHS)[:30]
    named = [f"deep/er/{name}" if number < 5 else name for number, name in enumerate(names)]
    folder = write_pictures(tmp_path_factory.mktemp("gallery") / "my photos", *named)
    (folder / "notes.txt").write_text("no photograph")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    return folder


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten others of the same kind."""
    names = numbered(PHOTOGRAPHS)
    folder = write_pictures(tmp_path_factory.mktemp("unseen"), *names)
    return [folder / name for name in names[30:]]


@pytest.fixture(scope="module")
def accented(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny student with an accent: an offset common to all of its rows."""
    place = tmp_path_factory.mktemp("accented") / "student"
    bundle = write_tiny_bundle(place, role="query")
    model = onnx.load(bundle.file("fp32"))
    half = next(entry for entry in model.graph.initializer if entry.name == "half")
    half.CopyFrom(numpy_helper.from_array(np.array(60, np.float32), "half"))
    content = model.SerializeToString()
    bundle.file("fp32").write_bytes(content)
    (row,) = open_session(content).run(None, {INPUT_NAME: bundle.golden()[0].pixels})
    manifest = json.loads(bundle.manifest.dump())
    manifest["files"]["fp32"].update(sha256=sha256_of(content), bytes=len(content))
    manifest["golden"][0]["vector_b64"] = to_base64(row, dtype="f32")
    manifest["provenance"].update(data=["scenes"], licences=["scenes: CC0"])
    manifest["provenance"]["metrics"] = {"steps": 7, "fp32": {"figure": "of the plain student"}}
    (place / MANIFEST_NAME).write_text(json.dumps(manifest))
    return Bundle.open(place)


def run_adapt(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(verb)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def options(gallery: Path, student: Bundle, teacher: Bundle, out: Path) -> list[str | Path]:
    models: list[str | Path] = ["--student", student.directory, "--teacher", teacher.directory]
    return ["--gallery", gallery, *models, "--out", out]


@pytest.fixture(scope="module")
def adapted(
    gallery: Path, accented: Bundle, teacher: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    out = tmp_path_factory.mktemp("adapted") / "made" / "student-mine"
    done = run_adapt(*options(gallery, accented, teacher, out))
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert all(word in done.output for word in ("tiny-query@", "30 photographs", "share 0.4"))
    return Bundle.open(out)


def by_hand(x: NDArray[np.float32], learned: Alignment, share: float) -> NDArray[np.float64]:
    """One adapted row `[D]`, element by element, in float64."""
    dim = len(x)
    moved = [float(x[i]) - float(learned.origin[i]) for i in range(dim)]
    mapped = [sum(moved[i] * float(learned.matrix[i, j]) for i in range(dim)) for j in range(dim)]
    length = sum(value * value for value in mapped) ** 0.5
    mixed = [(1 - share) * float(x[j]) + share * mapped[j] / length for j in range(dim)]
    length = sum(value * value for value in mixed) ** 0.5
    return np.array([value / length for value in mixed])


def test_rows_are_the_students_own_and_its_aligned_ones_mixed(
    gallery: Path, accented: Bundle, teacher: Bundle, unseen: list[Path], tmp_path: Path
) -> None:
    share = 0.3
    request = Request(
        gallery=gallery,
        student=accented.directory,
        teacher=teacher.directory,
        out=tmp_path / "out",
        share=share,
        photographs=2048,
        replace=False,
    )
    done = adapt(request)
    plain, new = Encoder(accented), Encoder(done.bundle)
    for path in unseen:
        wanted = by_hand(plain.encode(path), done.alignment, share)
        np.testing.assert_allclose(new.encode(path), wanted, atol=2e-6)
    seen = sorted(path for path in gallery.rglob("*.png"))
    for encoder, mean in (
        (plain, done.alignment.origin),
        (Encoder(teacher), done.alignment.target),
    ):
        rows = np.stack([encoder.encode(path) for path in seen])
        np.testing.assert_allclose(mean, rows.mean(axis=0), atol=1e-6)


def test_on_photographs_it_never_saw_it_is_nearer_to_its_teacher(
    accented: Bundle, adapted: Bundle, teacher: Bundle, unseen: list[Path]
) -> None:
    wanted = np.stack([Encoder(teacher).encode(path) for path in unseen])
    rows = {
        bundle.manifest.version: np.stack([Encoder(bundle).encode(path) for path in unseen])
        for bundle in (accented, adapted)
    }
    before, after = (float((of * wanted).sum(axis=1).mean()) for of in rows.values())
    assert after > before + 0.2


def test_it_is_a_new_version_of_the_same_student_and_space(
    accented: Bundle, adapted: Bundle
) -> None:
    old, new = accented.manifest, adapted.manifest
    assert (new.name, new.role, new.space, new.input) == (old.name, old.role, old.space, old.input)
    assert new.version != old.version
    assert len(bytes.fromhex(new.version)) == 4
    assert [case.image for case in new.golden] == [case.image for case in old.golden]
    for case, before in zip(adapted.golden(), accented.golden(), strict=True):
        assert float((case.vector * before.vector).sum()) < 0.999
    assert [path.name for path in adapted.directory.parent.iterdir()] == ["student-mine"]


def test_the_manifest_says_what_was_done_and_keeps_the_licences(
    accented: Bundle, adapted: Bundle, teacher: Bundle
) -> None:
    found = adapted.manifest.provenance
    assert found.licences == accented.manifest.provenance.licences
    assert found.data == ("scenes", "my photos (adapted to, without labels)")
    assert "lorgnette adapt --gallery 'my photos'" in found.command
    assert str(adapted.directory.parent) not in adapted.manifest.dump()
    assert set(found.metrics) == {"steps", "adapted"}, "figures of the plain student are not its"
    figures = found.metrics["adapted"]
    assert isinstance(figures, dict)
    assert figures["photographs"] == 30
    assert figures["share"] == 0.4
    assert figures["student"] == accented.manifest.identity
    assert figures["teacher"] == teacher.manifest.identity
    assert float(str(figures["cosine_before"])) < float(str(figures["cosine_after"])) <= 1


def test_the_same_photographs_and_share_give_the_same_bundle(
    gallery: Path, accented: Bundle, adapted: Bundle, teacher: Bundle, tmp_path: Path
) -> None:
    versions = {}
    for name, more in {
        "again": [],
        "other": ["--share", "1"],
        "few": ["--photographs", "20"],
    }.items():
        done = run_adapt(*options(gallery, accented, teacher, tmp_path / name), *more)
        assert done.exit_code == 0, done.output + repr(done.exception)
        bundle = Bundle.open(tmp_path / name)
        figures = bundle.manifest.provenance.metrics["adapted"]
        assert isinstance(figures, dict)
        assert figures["photographs"] == (20 if name == "few" else 30)
        versions[name] = bundle.manifest.version
    assert versions["again"] == adapted.manifest.version
    assert Bundle.open(tmp_path / "again").manifest.files == adapted.manifest.files
    assert len(set(versions.values())) == 3


def random_adaptation(*, scale: float, share: float) -> Adaptation:
    rng = np.random.default_rng(3)
    matrix = scale * (np.eye(DIM) + 0.2 * rng.standard_normal((DIM, DIM)))
    learned = Alignment(
        origin=(0.05 * rng.standard_normal(DIM)).astype(np.float32),
        matrix=matrix.astype(np.float32),
        target=np.zeros(DIM, np.float32),
        photographs=16,
        strength=1.0,
        before=0.0,
        after=0.0,
    )
    return Adaptation(learned, share)


def stored_as(model: bytes) -> int:
    """The type the matrix is stored in."""
    held = onnx.load_from_string(model).graph.initializer
    return next(entry.data_type for entry in held if entry.name.startswith(MATRIX_NAME))


def test_every_graph_ends_in_the_adaptation(bundle: Bundle, scenes: tuple[Pixels, ...]) -> None:
    adaptation = random_adaptation(scale=1, share=0.4)
    made = adapted_variants(bundle, adaptation, scenes[:4])
    assert set(made) == {"fp32", "fp16", "net"}
    pre = open_session(bundle.file("pre").read_bytes())
    variants: tuple[Variant, ...] = ("fp32", "fp16", "net")
    for variant in variants:
        name = PIXELS_NAME if variant == "net" else INPUT_NAME
        require_portable(onnx.load_from_string(made[variant]), input_name=name)
        old, new = (open_session(m) for m in (bundle.file(variant).read_bytes(), made[variant]))
        for image in scenes[4:9]:
            given = pre.run(None, {INPUT_NAME: image})[0] if variant == "net" else image
            wanted = by_hand(old.run(None, {name: given})[0][0], adaptation.alignment, 0.4)
            found = new.run(None, {name: given})[0]
            assert found.shape == (1, DIM)
            np.testing.assert_allclose(found[0], wanted, atol=3e-4 if variant != "fp32" else 2e-6)
    stored = {variant: stored_as(model) for variant, model in made.items()}
    half, full = TensorProto.FLOAT16, TensorProto.FLOAT
    assert stored == {"fp32": full, "fp16": half, "net": half}


@pytest.mark.parametrize("scale", [3e-6, 1e6])
def test_a_matrix_that_float16_cannot_hold_stays_float32(
    bundle: Bundle, scenes: tuple[Pixels, ...], scale: float
) -> None:
    made = adapted_variants(bundle, random_adaptation(scale=scale, share=1), scenes[:4])
    assert {stored_as(model) for model in made.values()} == {TensorProto.FLOAT}


@pytest.fixture
def places(
    gallery: Path, accented: Bundle, adapted: Bundle, teacher: Bundle, tmp_path: Path
) -> dict[str, Path]:
    """Models and folders that will not do, and those that will."""
    other = write_tiny_bundle(tmp_path / "other", role="gallery", space_seed=5)
    same = Image.new("RGB", (40, 30), "red")
    for name, count in {"few": 5, "alike": 20}.items():
        (tmp_path / name).mkdir()
        for number in range(count):
            same.save(tmp_path / name / f"{number}.png")
    for number in range(30):
        path = tmp_path / "few" / f"broken-{number}.jpg"
        path.write_bytes(b"\xff\xd8 cut off")
    taken = shutil.copytree(accented.directory, tmp_path / "taken")
    return {
        "gallery": gallery,
        "student": accented.directory,
        "teacher": teacher.directory,
        "adapted": adapted.directory,
        "other": other.directory,
        "few": tmp_path / "few",
        "alike": tmp_path / "alike",
        "taken": taken,
        "out": tmp_path / "out",
    }


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        (["--teacher", "{other}"], SpaceMismatch, "give the teacher that embedded the gallery"),
        (["--teacher", "{student}"], InvalidBundle, "expected a gallery bundle"),
        (["--student", "{teacher}"], InvalidBundle, "expected a query bundle"),
        (["--student", "{adapted}"], InvalidConfiguration, "adapt that one again"),
        (["--gallery", "{few}"], InvalidConfiguration, "at least 16 readable photographs"),
        (["--gallery", "{alike}"], InvalidConfiguration, "all alike"),
        (["--gallery", "{out}"], InvalidConfiguration, "is not a folder"),
        (["--out", "{taken}"], InvalidConfiguration, "give --force"),
        (["--out", "{student}", "--force"], InvalidConfiguration, "which would be lost"),
        (["--share", "0"], InvalidConfiguration, "above 0 and at most 1, found 0"),
        (["--share", "1.5"], InvalidConfiguration, "found 1.5"),
        (["--share", "nan"], InvalidConfiguration, "found nan"),
        (["--photographs", "15"], InvalidConfiguration, "at least 16, found 15"),
    ],
)
def test_what_cannot_be_adapted_is_refused_and_nothing_is_written(
    places: dict[str, Path], changes: list[str], error: type[LorgnetteError], says: str
) -> None:
    before = {p: p.read_bytes() for p in places["out"].parent.rglob("*") if p.is_file()}
    given = {"--gallery": "{gallery}", "--student": "{student}", "--teacher": "{teacher}"}
    words = [word for pair in {**given, "--out": "{out}"}.items() for word in pair]
    result = run_adapt(*(word.format(**places) for word in [*words, *changes]))
    assert isinstance(result.exception, error), result.output
    assert says in str(result.exception)
    after = {p: p.read_bytes() for p in places["out"].parent.rglob("*") if p.is_file()}
    assert after == before


def test_force_replaces_the_bundle_at_out(places: dict[str, Path]) -> None:
    words = [f"--{name}={places[name]}" for name in ("gallery", "student", "teacher")]
    result = run_adapt(*words, "--out", places["taken"], "--force")
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert "adapted" in Bundle.open(places["taken"]).manifest.provenance.metrics


def test_it_works_where_there_is_no_torch(places: dict[str, Path]) -> None:
    code = (
        "import sys; sys.modules.update(torch=None, torchvision=None, timm=None);"
        "from lorgnette.cli import main; main()"
    )
    words = [f"--{name}={places[name]}" for name in ("gallery", "student", "teacher", "out")]
    command = [sys.executable, "-c", code, "adapt", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Bundle.open(places["out"]).manifest.role == "query"


@pytest.fixture(scope="module")
def teacher_of_exported(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Another network that claims the exported student's space."""
    place = tmp_path_factory.mktemp("of-exported") / "teacher"
    made = write_tiny_bundle(place, role="gallery", dim=DIM).manifest
    space = Bundle.open(exported).space
    (place / MANIFEST_NAME).write_text(made.model_copy(update={"space": space}).dump())
    return Bundle.open(place)


@pytest.mark.slow
def test_int8_is_adapted_unmeasured_and_can_be_measured_again(
    exported: Path, teacher_of_exported: Bundle, gallery: Path, tmp_path: Path
) -> None:
    clean = shutil.copytree(gallery, tmp_path / "clean", ignore=shutil.ignore_patterns("broken*"))
    judge: list[str | Path] = ["--calibration", clean, "--evaluate", clean]
    eight = tmp_path / "int8"
    done = run_quantise(exported, *judge, "--out", eight)
    assert done.exit_code == 0, done.output + repr(done.exception)
    out = tmp_path / "mine"
    done = run_adapt(*options(clean, Bundle.open(eight), teacher_of_exported, out))
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert "lorgnette quantise" in done.output
    manifest: Manifest = Bundle.open(out).manifest
    assert set(manifest.files) == {"fp32", "fp16", "net", "pre", "int8"}
    assert manifest.files["pre"] == Bundle.open(exported).manifest.files["pre"]
    assert manifest.files["int8"].recall_delta is None
    assert "int8" not in manifest.provenance.metrics
    done = run_quantise(out, *judge)
    assert done.exit_code == 0, done.output + repr(done.exception)
    again = Bundle.open(out).manifest
    assert again.files["int8"].recall_delta is not None
    assert {"int8", "adapted"} <= set(again.provenance.metrics)
    rows = [
        Encoder(Bundle.open(out), variant=v).encode(clean / "photo-07.png")
        for v in ("fp32", "int8")
    ]
    assert float(rows[0] @ rows[1]) >= 0.97
