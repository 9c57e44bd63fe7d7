from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from export.portable import PIXELS_NAME, require_portable
from export.publish import FILE_NAMES
from export.samples import photograph_samples, synthetic_samples
from export.to_onnx import Graphs
from export.verify import Subject, verify
from lorgnette.bundle import Bundle
from lorgnette.encoder import INPUT_NAME
from lorgnette.errors import ExportMismatch
from tests.export.conftest import Trained


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def subject_of(bundle: Bundle, trained: Trained) -> Subject:
    content = {v: (bundle.directory / FILE_NAMES[v]).read_bytes() for v in bundle.manifest.files}
    return Subject(
        embedder=trained.embedder,
        input=trained.spec.network.input,
        pre=content["pre"],
        embeddings={"fp32": content["fp32"], "net": content["net"]},
    )


def test_the_report_measures_every_variant_on_every_image(bundle: Bundle, trained: Trained) -> None:
    seen: list[None] = []
    samples = synthetic_samples()[:5]
    report = verify(subject_of(bundle, trained), samples, on_image=lambda: seen.append(None))
    assert len(seen) == report.images == 5
    assert [found.variant for found in report.agreements] == ["fp32", "net"]
    for found in report.agreements:
        assert found.centred_min <= found.cosine_min + 1e-9 <= found.cosine_mean + 2e-9
        assert found.ms > 0
    assert report.agreements[0].cosine_min > report.agreements[1].cosine_min


def test_graph_and_torch_agree_on_real_photographs(
    bundle: Bundle, trained: Trained, photographs: Path
) -> None:
    samples = photograph_samples(photographs / "caltech101_sample")
    assert len({sample().shape for sample in samples}) >= 20
    report = verify(subject_of(bundle, trained), samples)
    assert report.agreements[0].cosine_min >= 0.99999


def test_the_exported_graphs_are_portable(graphs: Graphs) -> None:
    require_portable(graphs.model, input_name=INPUT_NAME)
    require_portable(graphs.net, input_name=PIXELS_NAME)


def test_a_graph_with_pow_is_refused(graphs: Graphs) -> None:
    model = copy_of(graphs.net)
    model.graph.node.append(helper.make_node("Pow", [PIXELS_NAME, PIXELS_NAME], ["unused"]))
    with pytest.raises(ExportMismatch, match="no Pow"):
        require_portable(model, input_name=PIXELS_NAME)


def test_a_graph_with_a_dynamic_height_is_refused(graphs: Graphs) -> None:
    model = copy_of(graphs.net)
    shape = model.graph.input[0].type.tensor_type.shape
    shape.dim[2].Clear()
    shape.dim[2].dim_param = "H"
    with pytest.raises(ExportMismatch, match="static shapes"):
        require_portable(model, input_name=PIXELS_NAME)


def test_a_graph_of_another_opset_is_refused(graphs: Graphs) -> None:
    model = copy_of(graphs.net)
    model.opset_import[0].version = 17
    with pytest.raises(ExportMismatch, match="opset 18"):
        require_portable(model, input_name=PIXELS_NAME)


def test_a_graph_with_another_input_name_is_refused(graphs: Graphs) -> None:
    with pytest.raises(ExportMismatch, match=INPUT_NAME):
        require_portable(graphs.net, input_name=INPUT_NAME)
