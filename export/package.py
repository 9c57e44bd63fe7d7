"""From verified graphs to a bundle on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.golden import golden_images, golden_vector, png_bytes
from export.graph import with_fp16_storage
from export.portable import PIXELS_NAME, require_portable
from export.publish import FILE_NAMES, entry_of, require_free, write_bundle
from export.samples import Sample
from export.to_onnx import Graphs
from export.verify import Embedding, Report, Subject, verify
from lorgnette.bundle import Bundle
from lorgnette.encoder import INPUT_NAME
from lorgnette.manifest import SCHEMA_VERSION, Golden, Manifest, Variant
from lorgnette.vectors import to_base64
from training.models.embedder import Embedder
from training.trained_model import ModelSpec


@dataclass(frozen=True)
class Request:
    """What to write: where, under which name and version, which variants.

    replace: an existing bundle at `out` may be replaced.
    """

    out: Path
    name: str
    version: str
    variants: tuple[Variant, ...]
    replace: bool


@dataclass(frozen=True)
class Packaged:
    """The bundle as written, and how near it comes to the trained network."""

    bundle: Bundle
    report: Report


def package(
    embedder: Embedder,
    spec: ModelSpec,
    graphs: Graphs,
    *,
    request: Request,
    samples: Sequence[Sample],
    on_image: Callable[[], None] = lambda: None,
) -> Packaged:
    """Verify the graphs against the network, then write the bundle; a failure writes nothing.

    float32 is verified even when it is not among the variants: the golden vectors are its.
    Raises `ExportMismatch` when a graph is not the network, `InvalidConfiguration` or `DiskFull`
    when the bundle cannot be written at `request.out`.
    """
    require_free(request.out, replace=request.replace)
    require_portable(graphs.model, input_name=INPUT_NAME)
    require_portable(graphs.net, input_name=PIXELS_NAME)
    contents = _serialised(graphs)
    subject = Subject(
        embedder=embedder,
        input=spec.network.input,
        pre=contents["pre"],
        embeddings={v: contents[v] for v in _EMBEDDINGS if v in ("fp32", *request.variants)},
    )
    report = verify(subject, samples, on_image=on_image)
    images = golden_images()
    vectors = {
        name: to_base64(golden_vector(contents["fp32"], pixels, dim=spec.network.dim), dtype="f32")
        for name, pixels in images.items()
    }
    files = {name: png_bytes(pixels) for name, pixels in images.items()}
    files |= {FILE_NAMES[variant]: contents[variant] for variant in request.variants}
    manifest = _manifest(spec, request, files=files, vectors=vectors)
    return Packaged(bundle=write_bundle(request.out, manifest, files), report=report)


_EMBEDDINGS: tuple[Embedding, ...] = ("fp32", "fp16", "net")


def _serialised(graphs: Graphs) -> dict[Variant, bytes]:
    """Every variant's file. `net` has fp16 storage too, so that a whole bundle stays small."""
    return {
        "fp32": graphs.model.SerializeToString(deterministic=True),
        "fp16": with_fp16_storage(graphs.model).SerializeToString(deterministic=True),
        "net": with_fp16_storage(graphs.net).SerializeToString(deterministic=True),
        "pre": graphs.pre.SerializeToString(deterministic=True),
    }


def _manifest(
    spec: ModelSpec, request: Request, *, files: Mapping[str, bytes], vectors: Mapping[str, str]
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        role=spec.role,
        name=request.name,
        version=request.version,
        space=spec.space,
        input=spec.network.input,
        files={v: entry_of(FILE_NAMES[v], files[FILE_NAMES[v]]) for v in request.variants},
        golden=tuple(
            Golden(image=entry_of(name, files[name]), vector_b64=vector)
            for name, vector in vectors.items()
        ),
        provenance=spec.provenance,
    )
