"""One small real network, exported once through the verb itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from export.cli import export
from export.samples import Pixels, synthetic_samples
from export.to_onnx import Graphs
from export.verify import resized_pixels
from lorgnette.bundle import Bundle
from lorgnette.manifest import InputSpec, Provenance
from tests.training.networks import network as tiny_network
from training.models.embedder import Embedder
from training.space import space_of
from training.trained_model import ModelSpec, load_model, save_model

SIZE_PX = 64
DIM = 32
INPUT = InputSpec(
    size_px=SIZE_PX,
    resize="antialiased-bilinear-uint8",
    aspect="squash",
    mean=(0.5, 0.4, 0.3),
    std=(0.5, 0.25, 0.2),
)


@dataclass(frozen=True)
class Trained:
    """A run directory, and what is in it."""

    run_dir: Path
    embedder: Embedder
    spec: ModelSpec


def invoke(*arguments: str | Path) -> Result:
    """Run `lorgnette export` in this process."""
    app = typer.Typer()
    app.command()(export)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def scenes() -> tuple[Pixels, ...]:
    """The 24 synthetic images of very different sizes."""
    return tuple(sample() for sample in synthetic_samples())


@pytest.fixture(scope="session")
def trained(scenes: tuple[Pixels, ...], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A random network whose rows are spread: centred, as whitening leaves them."""
    torch.manual_seed(0)
    network = tiny_network(dim=DIM, input=INPUT.model_dump())
    embedder = Embedder(network).eval()
    torch.nn.init.orthogonal_(embedder.head.weight)
    with torch.inference_mode():
        images = [resized_pixels(image, INPUT) for image in scenes]
        centre = embedder.pooled(torch.cat(images)).mean(dim=0)
    with torch.no_grad():
        embedder.head.bias.copy_(-(embedder.head.weight @ centre.clone()))
    spec = ModelSpec(
        role="query",
        name="tiny-student",
        network=network,
        space=space_of(embedder, name="tiny", spec=INPUT),
        provenance=Provenance(
            created="2026-01-01T00:00:00Z",
            git_commit="none",
            config_sha256="none",
            command="tests/export/conftest.py",
            weights="random",
            data=(),
            licences=("Apache-2.0",),
            metrics={},
        ),
    )
    run_dir = tmp_path_factory.mktemp("runs") / "student"
    save_model(run_dir, embedder, spec)
    return Trained(run_dir, *load_model(run_dir))


@pytest.fixture(scope="session")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that `lorgnette export RUN --out DIR` writes."""
    out = tmp_path_factory.mktemp("models") / "made" / "student"
    result = invoke(trained.run_dir, "--out", out)
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert all(name in result.output for name in ("model.fp16.onnx", "net.onnx", "tiny-student"))
    return out


@pytest.fixture(scope="session")
def bundle(exported: Path) -> Bundle:
    return Bundle.open(exported)


@pytest.fixture(scope="session")
def graphs(bundle: Bundle) -> Graphs:
    """The exported graphs, to be packaged again or spoilt."""
    return Graphs(
        model=onnx.load(bundle.file("fp32")),
        net=onnx.load(bundle.file("net")),
        pre=onnx.load(bundle.file("pre")),
    )
