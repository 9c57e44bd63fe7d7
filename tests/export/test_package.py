from __future__ import annotations

import dataclasses
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from export.package import Packaged, Request, package
from export.samples import Sample, scene, synthetic_samples
from export.to_onnx import Graphs
from export.verify import resized_pixels
from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import ExportMismatch, InvalidConfiguration
from lorgnette.manifest import Variant
from tests.export.conftest import Trained


def packaged(
    trained: Trained,
    graphs: Graphs,
    out: Path,
    *,
    variants: tuple[Variant, ...] = ("fp32", "fp16", "net", "pre"),
    replace: bool = False,
    version: str = "1",
    samples: Sequence[Sample] = (),
) -> Packaged:
    request = Request(
        out=out, name="tiny-student", version=version, variants=variants, replace=replace
    )
    return package(
        trained.embedder,
        trained.spec,
        graphs,
        request=request,
        samples=samples or synthetic_samples()[:8],
    )


def with_noise(model: onnx.ModelProto, amount: float) -> onnx.ModelProto:
    """A copy whose largest initialiser is not what was trained."""
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(model)
    entry = max(spoilt.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
    values = numpy_helper.to_array(entry)
    noise = amount * values.std() * np.random.default_rng(0).standard_normal(values.shape)
    entry.CopyFrom(numpy_helper.from_array((values + noise).astype(values.dtype), entry.name))
    return spoilt


def with_attribute(model: onnx.ModelProto, op_type: str, name: str, value: int) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for node in changed.graph.node:
        for attribute in node.attribute:
            if node.op_type == op_type and attribute.name == name:
                attribute.i = value
    return changed


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """The system refuses to write files longer than this, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_bundle_opens_and_every_encoder_passes_its_golden_check(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.role, manifest.name) == ("query", "tiny-student")
    assert set(manifest.files) == {"fp32", "fp16", "net", "pre"}
    assert bundle.default_variant() == "fp16"
    variants: tuple[Variant, ...] = ("fp32", "fp16")
    for variant in variants:
        Encoder(bundle, variant=variant).check()


def test_the_golden_vectors_are_those_of_the_trained_network(
    bundle: Bundle, trained: Trained
) -> None:
    cases = bundle.golden()
    assert len({case.pixels.shape for case in cases}) == 3
    for case in cases:
        with torch.inference_mode():
            row = trained.embedder(resized_pixels(case.pixels, trained.spec.network.input)).numpy()
        assert float((row @ case.vector.T).item()) >= 0.9999
    cosine = cases[0].vector @ cases[1].vector.T
    assert float(cosine.item()) < 0.99


def test_the_manifest_carries_what_training_wrote(bundle: Bundle, trained: Trained) -> None:
    assert bundle.manifest.provenance == trained.spec.provenance
    assert bundle.manifest.space == trained.spec.space
    assert bundle.manifest.input == trained.spec.network.input


def test_the_same_model_gives_the_same_bytes(
    trained: Trained, graphs: Graphs, tmp_path: Path
) -> None:
    first = packaged(trained, graphs, tmp_path / "a").bundle
    second = packaged(trained, graphs, tmp_path / "b").bundle
    assert first.manifest == second.manifest


def test_only_the_chosen_variants_are_written(
    trained: Trained, graphs: Graphs, tmp_path: Path
) -> None:
    done = packaged(trained, graphs, tmp_path / "out", variants=("fp16",))
    assert set(done.bundle.manifest.files) == {"fp16"}
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"manifest.json", "model.fp16.onnx", "golden"}


@pytest.mark.parametrize("part", ["model", "net"])
def test_a_graph_that_is_not_the_network_writes_nothing(
    trained: Trained, graphs: Graphs, tmp_path: Path, part: str
) -> None:
    spoilt = dataclasses.replace(graphs, **{part: with_noise(getattr(graphs, part), 1.0)})
    with pytest.raises(ExportMismatch, match=r"cosine 0\.\d+ to the trained network"):
        packaged(trained, spoilt, tmp_path / "made" / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_resize_with_the_border_fault_writes_nothing(
    trained: Trained, graphs: Graphs, tmp_path: Path
) -> None:
    pre = with_attribute(graphs.pre, "Resize", "exclude_outside", 0)
    with pytest.raises(ExportMismatch, match="resize is off by"):
        packaged(
            trained,
            dataclasses.replace(graphs, pre=pre),
            tmp_path / "out",
            samples=[lambda: scene(400, 900, seed=0)],
        )
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_gives_nan_writes_nothing(
    trained: Trained, graphs: Graphs, tmp_path: Path
) -> None:
    spoilt = dataclasses.replace(graphs, model=with_noise(graphs.model, float("nan")))
    with pytest.raises(ExportMismatch, match="cosine nan"):
        packaged(trained, spoilt, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_directory_is_refused_and_left_alone(
    trained: Trained, graphs: Graphs, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidConfiguration, match="--force"):
        packaged(trained, graphs, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_force_replaces_a_bundle_and_nothing_else(
    trained: Trained, graphs: Graphs, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    packaged(trained, graphs, out)
    done = packaged(trained, graphs, out, variants=("fp16",), replace=True, version="2")
    assert done.bundle.manifest.version == "2"
    assert not (out / "model.onnx").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(InvalidConfiguration, match=r"thesis\.txt"):
        packaged(trained, graphs, out, replace=True)
    assert (out / "thesis.txt").read_text() == "years of work"


def test_a_failing_replacement_keeps_the_old_bundle(
    trained: Trained, graphs: Graphs, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    old = packaged(trained, graphs, out).bundle.manifest
    with files_limited_to(100_000), pytest.raises(InvalidConfiguration, match="nothing was"):
        packaged(trained, graphs, out, replace=True, version="2")
    assert Bundle.open(out).manifest == old
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_export_left_behind_is_removed(
    trained: Trained, graphs: Graphs, tmp_path: Path
) -> None:
    (tmp_path / ".out.exporting" / "golden").mkdir(parents=True)
    packaged(trained, graphs, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_under_a_file_is_refused(trained: Trained, graphs: Graphs, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InvalidConfiguration, match="cannot write in"):
        packaged(trained, graphs, tmp_path / "file" / "out")
    with pytest.raises(InvalidConfiguration, match="is a file"):
        packaged(trained, graphs, tmp_path / "file")
