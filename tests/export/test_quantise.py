"""int8 of one small real network, by the verbs, with the real ONNX Runtime."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from onnx import numpy_helper
from PIL import Image
from typer.testing import CliRunner, Result

from export.int8_graph import parts_of, with_float32, with_small_storage
from export.publish import FILE_NAMES
from export.quantise import SENSITIVITY_BUDGET
from export.quantise_cli import quantise
from export.runtime import open_session
from export.samples import scene
from lorgnette.bundle import Bundle
from lorgnette.encoder import GOLDEN_MIN_COSINE, INPUT_NAME, Encoder
from lorgnette.errors import InvalidConfiguration, LorgnetteError, SpaceMismatch
from tests.export.conftest import Trained, invoke

CLASSES, EACH = 6, 4


def run_quantise(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(quantise)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes, each four times a little lighter, in a folder each."""
    folder = tmp_path_factory.mktemp("photographs")
    for of, number in itertools.product(range(CLASSES), range(EACH)):
        path = folder / f"class-{of}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        lighter = scene(80, 96, seed=of).astype(np.int16) + 12 * number
        Image.fromarray(lighter.clip(0, 255).astype(np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def flat(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same photographs without class folders."""
    folder = tmp_path_factory.mktemp("flat")
    for path in photographs.rglob("*.png"):
        shutil.copy(path, folder / f"{path.parent.name}-{path.name}")
    return folder


@pytest.fixture(scope="module")
def quantised(
    exported: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bundle, str]:
    """The bundle with int8, and what the verb printed."""
    out = tmp_path_factory.mktemp("int8") / "student"
    options: list[str | Path] = [
        "--calibration",
        photographs,
        "--evaluate",
        photographs,
        "--out",
        out,
    ]
    result = run_quantise(exported, *options)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return Bundle.open(out), result.output


def test_int8_joins_the_bundle_and_everything_else_stays(
    quantised: tuple[Bundle, str], bundle: Bundle
) -> None:
    added = quantised[0].manifest
    assert set(added.files) == {*bundle.manifest.files, "int8"}
    assert {v: added.files[v] for v in bundle.manifest.files} == bundle.manifest.files
    assert (added.golden, added.identity) == (bundle.manifest.golden, bundle.manifest.identity)
    assert added.files["int8"].bytes < added.files["fp16"].bytes < added.files["fp32"].bytes


def test_its_rows_are_near_those_of_float32(
    quantised: tuple[Bundle, str], photographs: Path
) -> None:
    eight, plain = (Encoder(quantised[0], variant=v) for v in ("int8", "fp32"))
    cosines = [
        float(eight.encode(path) @ plain.encode(path)) for path in photographs.rglob("*.png")
    ]
    assert min(cosines) >= GOLDEN_MIN_COSINE["int8"]
    assert max(cosines) < 0.9999999, "int8 arithmetic was not used"


def test_the_manifest_says_what_was_lost_and_on_what(
    quantised: tuple[Bundle, str], photographs: Path
) -> None:
    manifest = quantised[0].manifest
    figures = manifest.provenance.metrics["int8"]
    assert isinstance(figures, dict)
    assert figures["figure"] == "mAP"
    assert (figures["queries"], figures["calibration_photographs"]) == (CLASSES * EACH,) * 2
    assert figures["evaluated_on"] == photographs.name
    paths = sorted(photographs.rglob("*.png"))
    plain, eight = (
        np.stack([Encoder(quantised[0], variant=v).encode(path) for path in paths])
        for v in ("fp32", "int8")
    )
    labels = [path.parent.name for path in paths]
    lost = mean_ap_by_hand(plain, plain, labels) - mean_ap_by_hand(eight, plain, labels)
    assert manifest.files["int8"].recall_delta == pytest.approx(lost, abs=2e-6)


def mean_ap_by_hand(asks: np.ndarray, holds: np.ndarray, labels: list[str]) -> float:
    """Leave-one-out, by loops."""
    total = 0.0
    for query in range(len(asks)):
        others = [row for row in range(len(holds)) if row != query]
        others.sort(key=lambda row: -float(asks[query].astype(float) @ holds[row].astype(float)))
        hits, precisions = 0, []
        for rank, row in enumerate(others, start=1):
            if labels[row] == labels[query]:
                hits += 1
                precisions.append(hits / rank)
        total += sum(precisions) / len(precisions)
    return total / len(asks)


def test_the_first_parts_stay_in_float_until_the_rest_cost_little(
    quantised: tuple[Bundle, str],
) -> None:
    figures = quantised[0].manifest.provenance.metrics["int8"]
    assert isinstance(figures, dict)
    costs, kept = figures["sensitivity"], figures["kept_float"]
    assert isinstance(costs, dict)
    assert isinstance(kept, list)
    names = list(costs)
    assert kept == names[: len(kept)]
    rest = [sum(float(str(costs[name])) for name in names[first:]) for first in range(len(names))]
    assert rest[len(kept)] <= SENSITIVITY_BUDGET + 1e-5 or len(kept) == len(names) - 1
    assert all(more > SENSITIVITY_BUDGET - 1e-5 for more in rest[: len(kept)])
    graph = onnx.load(quantised[0].file("int8")).graph
    rounded = {node.name for node in graph.node if node.op_type == "Conv"} & {
        user.name
        for user in graph.node
        if any(name.endswith("_DequantizeLinear_Output") for name in user.input)
    }
    parts = parts_of(with_float32(onnx.load(quantised[0].file("fp32"))))
    convolutions = {node.name for node in graph.node if node.op_type == "Conv"}
    wanted = {node for name in names[len(kept) :] for node in parts[name]} & convolutions
    assert rounded == wanted


def test_without_classes_the_loss_is_of_the_ten_nearest(
    exported: Path, photographs: Path, flat: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run_quantise(exported, "--calibration", photographs, "--evaluate", flat, "--out", out)
    assert result.exit_code == 0, result.output + repr(result.exception)
    bundle = Bundle.open(out)
    figures = bundle.manifest.provenance.metrics["int8"]
    assert isinstance(figures, dict)
    assert (figures["figure"], figures["float32"]) == ("recall@10", 1.0)
    paths = sorted(flat.iterdir())
    plain, eight = (
        np.stack([Encoder(bundle, variant=v).encode(path) for path in paths])
        for v in ("fp32", "int8")
    )
    kept = 0
    for query in range(len(paths)):
        tens = []
        for rows in (plain, eight):
            nearest = [int(i) for i in np.argsort(-(rows[query] @ plain.T), kind="stable")]
            nearest.remove(query)
            tens.append(set(nearest[:10]))
        kept += len(tens[0] & tens[1])
    expected = 1 - kept / (10 * len(paths))
    assert bundle.manifest.files["int8"].recall_delta == pytest.approx(expected, abs=1e-6)


def test_a_bundle_is_quantised_in_place(exported: Path, photographs: Path, tmp_path: Path) -> None:
    place = tmp_path / "student"
    shutil.copytree(exported, place)
    options: list[str | Path] = ["--calibration", photographs, "--evaluate", photographs]
    assert run_quantise(place, *options).exit_code == 0
    taken = run_quantise(exported, *options, "--out", place)
    assert "--force" in str(taken.exception)
    first = (place / FILE_NAMES["int8"]).read_bytes()
    again = run_quantise(place, *options)
    assert again.exit_code == 0, again.output + repr(again.exception)
    assert (place / FILE_NAMES["int8"]).read_bytes() == first


@pytest.fixture
def places(exported: Path, photographs: Path, tmp_path: Path) -> dict[str, Path]:
    """Folders that will not do, and one that will; a bundle of another space."""
    (tmp_path / "empty").mkdir()
    shutil.copytree(photographs / "class-0", tmp_path / "few" / "one")
    stranger = tmp_path / "stranger"
    shutil.copytree(exported, stranger)
    manifest = json.loads((stranger / "manifest.json").read_text())
    manifest["space"]["id"] = "other-0123456789ab"
    (stranger / "manifest.json").write_text(json.dumps(manifest))
    return {
        "photos": photographs,
        "empty": tmp_path / "empty",
        "few": tmp_path / "few",
        "stranger": stranger,
    }


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ([], InvalidConfiguration, "--calibration"),
        (["--calibration", "{photos}"], InvalidConfiguration, "needs --evaluate DIR"),
        (["--calibration", "{empty}", "--evaluate", "{photos}"], InvalidConfiguration, "found 0"),
        (["--calibration", "{photos}", "--evaluate", "{few}"], InvalidConfiguration, "found 4"),
        (
            ["--calibration", "{photos}", "--evaluate", "{photos}", "--gallery", "{stranger}"],
            SpaceMismatch,
            "give its teacher's bundle",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_and_nothing_is_written(
    exported: Path,
    places: dict[str, Path],
    options: list[str],
    error: type[LorgnetteError],
    says: str,
) -> None:
    out = places["empty"].parent / "out"
    result = run_quantise(exported, *(word.format(**places) for word in options), "--out", out)
    assert isinstance(result.exception, error), result.output
    assert says in str(result.exception)
    assert not out.exists()


def test_export_adds_int8_only_with_photographs(
    trained: Trained, photographs: Path, tmp_path: Path
) -> None:
    refused = invoke(trained.run_dir, "--out", tmp_path / "out", "--variants", "fp16,int8")
    assert isinstance(refused.exception, InvalidConfiguration)
    assert "--calibration" in str(refused.exception)
    idle = invoke(trained.run_dir, "--out", tmp_path / "out", "--calibration", photographs)
    assert isinstance(idle.exception, InvalidConfiguration)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_export_with_photographs_writes_int8(
    trained: Trained, photographs: Path, tmp_path: Path
) -> None:
    options: list[str | Path] = ["--calibration", photographs, "--evaluate", photographs]
    done = invoke(trained.run_dir, "--out", tmp_path, "--variants", "int8,fp16", *options)
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert set(Bundle.open(tmp_path).manifest.files) == {"fp16", "int8"}
    assert "cosine to float32 at least" in done.output


def test_a_float_graph_comes_back_from_fp16_storage(bundle: Bundle) -> None:
    plain = with_float32(onnx.load(bundle.file("fp16")))
    assert all(numpy_helper.to_array(e).dtype != np.float16 for e in plain.graph.initializer)
    pixels = scene(70, 50, seed=3)
    rows = [
        open_session(model).run(None, {INPUT_NAME: pixels})[0]
        for model in (plain.SerializeToString(), bundle.file("fp16").read_bytes())
    ]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


def test_the_parts_hold_every_convolution_once(bundle: Bundle) -> None:
    plain = with_float32(onnx.load(bundle.file("fp32")))
    parts = parts_of(plain)
    named = [node for nodes in parts.values() for node in nodes]
    assert len(named) == len(set(named))
    assert {n.name for n in plain.graph.node if n.op_type == "Conv"} <= set(named)
    assert "backbone.conv_stem" in parts
    assert "backbone.blocks.1" in parts


def test_the_head_is_stored_in_eight_bits_row_by_row(bundle: Bundle) -> None:
    plain = with_float32(onnx.load(bundle.file("fp32")))
    small = with_small_storage(plain)
    stored = {e.name: numpy_helper.to_array(e) for e in small.graph.initializer}
    before = {e.name: numpy_helper.to_array(e) for e in plain.graph.initializer}["head.weight"]
    after = stored["head.weight.int8"].astype(np.float32) * stored["head.weight.scale"]
    assert stored["head.weight.int8"].dtype == np.int8
    step = np.abs(before).max(axis=1, keepdims=True) / 127
    assert np.all(np.abs(after - before) <= 0.5001 * step)
