from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from PIL import Image
from torch import nn

from export.graph import MIN_FP16_VALUES
from export.portable import OUTPUT_NAME, PIXELS_NAME
from export.runtime import open_session
from export.samples import Pixels, scene
from export.to_onnx import Graphs, net_graph
from export.verify import resized_pixels
from lorgnette.bundle import Bundle
from lorgnette.encoder import INPUT_NAME
from lorgnette.manifest import Variant
from tests.export.conftest import DIM, INPUT, SIZE_PX, Trained
from tests.training.networks import network
from training.models.embedder import Embedder

EMBEDDERS: tuple[Variant, ...] = ("fp32", "fp16")


def embed(embedder: Embedder, pixels: torch.Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        row: NDArray[np.float32] = embedder(pixels).numpy()
    return row


def grey_levels(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Undo the normalisation: `[1, 3, S, S]` in 0 to 255."""
    mean, std = (np.array(value).reshape(1, 3, 1, 1) for value in (INPUT.mean, INPUT.std))
    levels: NDArray[np.float64] = (pixels.astype(np.float64) * std + mean) * 255
    return levels


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def test_graph_and_torch_agree_on_images_of_every_size(
    bundle: Bundle, trained: Trained, scenes: tuple[Pixels, ...]
) -> None:
    assert len({image.shape for image in scenes}) >= 20
    pre, fp32, fp16 = (
        open_session((bundle.directory / name).read_bytes())
        for name in ("pre.onnx", "model.onnx", "model.fp16.onnx")
    )
    for image in scenes:
        (pixels,) = pre.run(None, {INPUT_NAME: image})
        (row,) = fp32.run(None, {INPUT_NAME: image})
        (half_row,) = fp16.run(None, {INPUT_NAME: image})
        assert row.shape == (1, DIM)
        assert row.dtype == np.float32
        assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)
        same_pixels = embed(trained.embedder, torch.from_numpy(pixels))
        end_to_end = embed(trained.embedder, resized_pixels(image, INPUT))
        assert float((row @ same_pixels.T).item()) >= 0.99999, image.shape
        assert float((row @ end_to_end.T).item()) >= 0.999, image.shape
        assert float((half_row @ end_to_end.T).item()) >= 0.9995, image.shape


def test_rows_of_different_images_differ(bundle: Bundle) -> None:
    """Without this, the agreement above could be that of a network that says one thing."""
    model = open_session(bundle.file("fp32").read_bytes())
    rows = [
        model.run(None, {INPUT_NAME: scene(80, 90, seed=seed)})[0][0] for seed in range(100, 108)
    ]
    cosine = np.array(rows) @ np.array(rows).T
    assert cosine[~np.eye(len(rows), dtype=bool)].min() < 0.5


@pytest.mark.parametrize("size", [(1, 900), (900, 1), (2, 700), (67, 61), (300, 400), (900, 50)])
def test_the_resize_is_pillows_up_to_the_border(bundle: Bundle, size: tuple[int, int]) -> None:
    """Noise, strongly shrunk: a filter that counts pixels outside is off by 20 levels there."""
    image = noise(*size)
    (pixels,) = open_session(bundle.file("pre").read_bytes()).run(None, {INPUT_NAME: image})
    pillow = Image.fromarray(image).resize((SIZE_PX, SIZE_PX), Image.Resampling.BILINEAR)
    wanted = np.asarray(pillow, np.float64).transpose(2, 0, 1)[None]
    assert np.abs(grey_levels(pixels) - wanted).max() <= 2.01


def test_a_plain_colour_is_normalised_by_channel(bundle: Bundle) -> None:
    image = np.full((9, 7, 3), (255, 0, 51), np.uint8)
    (pixels,) = open_session(bundle.file("pre").read_bytes()).run(None, {INPUT_NAME: image})
    np.testing.assert_allclose(pixels[0, :, 5, 5], [1.0, -1.6, -0.5], rtol=0, atol=1e-6)


def test_net_embeds_a_batch_as_it_embeds_each_row(bundle: Bundle) -> None:
    net = open_session(bundle.file("net").read_bytes())
    pixels = np.random.default_rng(0).standard_normal((5, 3, SIZE_PX, SIZE_PX)).astype(np.float32)
    (batch,) = net.run(None, {PIXELS_NAME: pixels})
    rows = np.concatenate([net.run(None, {PIXELS_NAME: one[None]})[0] for one in pixels])
    np.testing.assert_allclose(batch, rows, rtol=0, atol=1e-6)


def test_pre_then_net_is_the_whole_model(bundle: Bundle) -> None:
    image = scene(120, 77, seed=5)
    (pixels,) = open_session(bundle.file("pre").read_bytes()).run(None, {INPUT_NAME: image})
    (parts,) = open_session(bundle.file("net").read_bytes()).run(None, {PIXELS_NAME: pixels})
    (whole,) = open_session(bundle.file("fp16").read_bytes()).run(None, {INPUT_NAME: image})
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", EMBEDDERS)
def test_the_model_has_one_image_in_and_one_row_out(bundle: Bundle, variant: Variant) -> None:
    graph = onnx.load(bundle.file(variant)).graph
    (image,), (row,) = graph.input, graph.output
    assert (image.name, row.name) == (INPUT_NAME, OUTPUT_NAME)
    assert image.type.tensor_type.elem_type == TensorProto.UINT8
    assert [d.dim_value or d.dim_param for d in image.type.tensor_type.shape.dim] == ["H", "W", 3]
    assert row.type.tensor_type.elem_type == TensorProto.FLOAT
    assert [d.dim_value for d in row.type.tensor_type.shape.dim] == [1, DIM]


def test_only_the_batch_of_net_is_dynamic(graphs: Graphs) -> None:
    (pixels,), (rows,) = graphs.net.graph.input, graphs.net.graph.output
    shapes = [
        [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]
        for value in (pixels, rows)
    ]
    assert shapes == [["N", 3, SIZE_PX, SIZE_PX], ["N", DIM]]


@pytest.mark.parametrize("variant", ["fp32", "fp16", "net", "pre"])
def test_every_file_is_opset_18_alone_without_external_data_or_notes(
    bundle: Bundle, variant: Variant
) -> None:
    model = onnx.load(bundle.file(variant), load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert not any(t.data_location == TensorProto.EXTERNAL for t in model.graph.initializer)
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_nothing_computes_with_shapes_or_powers(graphs: Graphs) -> None:
    ops = {node.op_type for graph in (graphs.model, graphs.net) for node in graph.graph.node}
    assert not ops & {"Pow", "Shape", "Expand", "Concat", "Pad", "BatchNormalization", "Identity"}


def test_every_shape_behind_the_resize_is_static(graphs: Graphs) -> None:
    inferred = onnx.shape_inference.infer_shapes(graphs.model, strict_mode=True).graph
    ops = [node.op_type for node in inferred.node]
    behind = {name for node in inferred.node[ops.index("Resize") :] for name in node.output}
    shapes = {
        value.name: value.type.tensor_type.shape.dim
        for value in (*inferred.value_info, *inferred.output)
        if value.name in behind
    }
    assert set(shapes) == behind
    assert all(dim.HasField("dim_value") for shape in shapes.values() for dim in shape)


def test_fp16_storage_halves_the_file_and_spares_small_constants(bundle: Bundle) -> None:
    ratio = bundle.file("fp16").stat().st_size / bundle.file("fp32").stat().st_size
    assert 0.48 < ratio < 0.56
    stored = onnx.load(bundle.file("fp16")).graph.initializer
    halves = [entry for entry in stored if entry.data_type == TensorProto.FLOAT16]
    singles = {entry.name for entry in stored if entry.data_type == TensorProto.FLOAT}
    assert min(np.prod(entry.dims) for entry in halves) >= MIN_FP16_VALUES
    assert {"pre.scale", "pre.shift"} <= singles


class _Stem(nn.Module):
    """A backbone that is traced in a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 5, stride=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.conv(x).relu()
        return features


def test_a_power_other_than_three_is_baked_without_pow() -> None:
    torch.manual_seed(1)
    embedder = Embedder(network(gem_p=2.6180339, dim=DIM)).eval()
    embedder.backbone, embedder.head = _Stem(), nn.Linear(8, DIM)
    net = net_graph(embedder, size_px=SIZE_PX)
    assert "Pow" not in {node.op_type for node in net.graph.node}
    pixels = torch.randn(3, 3, SIZE_PX, SIZE_PX)
    (rows,) = open_session(net.SerializeToString()).run(None, {PIXELS_NAME: pixels.numpy()})
    np.testing.assert_allclose(rows, embed(embedder, pixels), rtol=0, atol=2e-6)
