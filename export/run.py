"""One export from start to end, with its progress on stderr."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from export.package import Packaged, Request, package
from export.progress import progress_bar
from export.publish import require_free
from export.samples import photograph_samples, synthetic_samples
from export.to_onnx import build_graphs
from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import Variant
from training.space import embedder_sha256
from training.trained_model import load_model

VERSION_DIGITS = 8


@dataclass(frozen=True)
class Labels:
    """Name and version of a bundle; None takes the model's name, and its weights' sha256."""

    name: str | None
    version: str | None


def run(
    run_dir: Path,
    *,
    out: Path,
    labels: Labels,
    variants: tuple[Variant, ...],
    photographs: Path | None,
    replace: bool,
) -> Packaged:
    """Export the model of a run directory to a bundle at `out`.

    What is cheap to refuse is refused before the network is traced. Raises `InvalidBundle` when
    the run directory holds no model, `InvalidConfiguration`, `DiskFull` and `ExportMismatch`.
    """
    if not run_dir.is_dir():
        raise InvalidConfiguration(
            f"no directory {run_dir}: expected the --out of `lorgnette train` or `whiten`"
        )
    require_free(out, replace=replace)
    embedder, spec = load_model(run_dir)
    samples = photograph_samples(photographs) if photographs else synthetic_samples()
    request = Request(
        out=out,
        name=labels.name or spec.name,
        version=labels.version or embedder_sha256(embedder, spec.network.input)[:VERSION_DIGITS],
        variants=variants,
        replace=replace,
    )
    with progress_bar() as progress:
        backbone = spec.network.backbone
        task = progress.add_task(f"tracing {backbone} (up to half a minute)", total=None)
        graphs = build_graphs(embedder, spec.network.input)
        progress.update(task, description="comparing with the trained network", total=len(samples))
        return package(
            embedder,
            spec,
            graphs,
            request=request,
            samples=samples,
            on_image=lambda: progress.advance(task),
        )
