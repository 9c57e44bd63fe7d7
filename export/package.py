"""From verified graphs to a bundle on disk."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.golden import golden_images, golden_vector, png_bytes
from export.graph import with_fp16_storage
from export.publish import require_free, staged
from export.samples import Sample
from export.to_onnx import PIXELS_NAME, Graphs
from export.verify import Embedding, Report, Subject, require_portable, verify
from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.encoder import INPUT_NAME, Encoder
from lorgnette.errors import DiskFull, InvalidConfiguration
from lorgnette.manifest import SCHEMA_VERSION, BundleFile, Golden, Manifest, Variant
from lorgnette.vectors import to_base64
from training.files import sha256_of
from training.models.embedder import Embedder
from training.trained_model import ModelSpec

FILE_NAMES: dict[Variant, str] = {
    "fp32": "model.onnx",
    "fp16": "model.fp16.onnx",
    "net": "net.onnx",
    "pre": "pre.onnx",
    "int8": "model.int8.onnx",
}


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


def entry_of(path: str, content: bytes, *, recall_delta: float | None = None) -> BundleFile:
    """A file as the manifest lists it."""
    digest = sha256_of(content)
    return BundleFile(path=path, sha256=digest, bytes=len(content), recall_delta=recall_delta)


def write_bundle(out: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Put a bundle at `out`, replacing one that is there: whole, after its golden check, or not.

    files: contents by relative path. Raises `DiskFull` and `InvalidConfiguration`.
    """
    try:
        with staged(out, {**files, MANIFEST_NAME: manifest.dump().encode()}) as staging:
            _check(Bundle.open(staging))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            megabytes = sum(map(len, files.values())) / 1e6
            raise DiskFull(
                f"--out {out}: no space left for {megabytes:.0f} MB; nothing was written: free "
                "some, choose another place or fewer --variants"
            ) from error
        raise InvalidConfiguration(
            f"--out {out}: cannot be written ({error.strerror}); nothing was changed: choose "
            "another place"
        ) from error
    return Bundle.open(out)


def _check(bundle: Bundle) -> None:
    """Open the staged bundle as a device will: every encoder reproduces the golden vectors."""
    for variant in bundle.manifest.files:
        if variant not in ("net", "pre"):
            Encoder(bundle, variant=variant).check()
