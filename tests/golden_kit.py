"""Makes `clients/golden`, the conformance kit every client's tests read.

    python -m tests.golden_kit            writes it anew into clients/golden

It is deterministic, but for the vectors, which ONNX Runtime computes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from lorgnette import errors
from lorgnette.bundle import Bundle, parse_manifest
from lorgnette.encoder import Encoder
from lorgnette.errors import LorgnetteError
from lorgnette.models import signing
from lorgnette.models.release import Release
from lorgnette.vectors import WireDtype, from_base64, to_base64, unit_rows
from tests.tiny_bundle import write_tiny_bundle

ROOT = Path(__file__).resolve().parents[1]
KIT = ROOT / "clients" / "golden"
SAME_PIXELS_COSINE = 0.99999

Json = dict[str, object] | list[dict[str, object]]
Edit = Callable[[dict], object]  # type: ignore[type-arg]


def make(kit: Path) -> None:
    """Write every document and the tiny bundle into a directory, which then holds them anew."""
    shutil.rmtree(kit / "tiny", ignore_errors=True)
    kit.mkdir(parents=True, exist_ok=True)
    write_tiny_bundle(kit / "tiny", role="query")
    manifest = (kit / "tiny" / "manifest.json").read_bytes()
    documents: dict[str, Json] = {
        "vectors": vectors(kit / "tiny"),
        "wire": wire(),
        "manifests": manifests(manifest),
        "errors": error_codes(),
        "signatures": signatures(),
        "rollout": rollout(),
    }
    for name, document in documents.items():
        text = json.dumps(document, indent=1, ensure_ascii=True) + "\n"
        (kit / f"{name}.json").write_text(text, encoding="ascii")


def vectors(bundle: Path) -> list[dict[str, object]]:
    """Raw pixels `[H, W, 3]` and the row the tiny bundle gives for them."""
    encoder = Encoder(Bundle.open(bundle))
    shapes = {"square": (16, 16), "wide": (24, 61), "tall": (77, 20), "one pixel": (1, 1)}
    cases: list[dict[str, object]] = []
    for seed, (name, (height, width)) in enumerate(shapes.items()):
        pixels = _pixels(seed, height, width)
        row = encoder.encode_pixels(pixels)
        cases.append(
            {
                "name": name,
                "bundle": "tiny",
                "height": height,
                "width": width,
                "pixels_b64": base64.b64encode(pixels.tobytes()).decode(),
                "vector_f32_b64": to_base64(row[None], dtype="f32"),
                "min_cosine": SAME_PIXELS_COSINE,
            }
        )
    return cases


def _pixels(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def wire() -> dict[str, object]:
    """What values become, and what must be refused when it is packed or read."""
    random = np.random.default_rng(3).standard_normal((2, 8)).astype(np.float32)
    rows = {
        "two unit rows": unit_rows(random, dim=8),
        "signs and zeros": np.array([[1.0, -1.0, 0.0, -0.0]], np.float32),
        "smallest float16": np.array([[2.0**-24, 2.0**-14, 1.0, 0.5]], np.float32),
        "below float16": np.array([[2.0**-26, 1e-45, 1.0, -1.0]], np.float32),
        "largest float16": np.array([[65504.0, -65504.0, 1.0, 2.0]], np.float32),
        "ties to even": np.array([[127.0, 0.5, 1.5, -2.5]], np.float32),
        "float16 ties": np.array([[1 + 2.0**-11, 1 + 3 * 2.0**-11, 1.0, 0.0]], np.float32),
    }
    too_big = np.array([[65520.0, 1.0]], np.float32)
    dtypes: tuple[WireDtype, ...] = ("f32", "f16", "i8")
    return {
        "packed": [
            {
                "name": name,
                "dim": row.shape[1],
                "values_f32_b64": to_base64(row, dtype="f32"),
                **{dtype: to_base64(row, dtype=dtype) for dtype in dtypes},
            }
            for name, row in rows.items()
        ],
        "unpackable": [
            {"values": ["NaN", 1.0], "dtype": "f16", "error": _code_of(_packing(np.nan, "f16"))},
            {"values": ["Infinity", 1.0], "dtype": "i8", "error": _code_of(_packing(np.inf, "i8"))},
            {
                "values": [65520.0, 1.0],
                "dtype": "f16",
                "error": _code_of(lambda: to_base64(too_big, dtype="f16")),
            },
        ],
        "unreadable": [
            {
                "text": text,
                "dtype": dtype,
                "dim": dim,
                "error": _code_of(_reading(text, dtype, dim)),
            }
            for text, dtype, dim in UNREADABLE
        ],
    }


UNREADABLE: tuple[tuple[str, WireDtype, int], ...] = (
    ("AAA", "f16", 1),
    ("AA A=", "f16", 1),
    ("AAAA", "f16", 2),
    ("AAB=", "f16", 1),
    ("!!!!", "i8", 3),
    ("", "f32", 4),
)


def _packing(value: float, dtype: WireDtype) -> Callable[[], object]:
    return lambda: to_base64(np.array([[value, 1.0]], np.float32), dtype=dtype)


def _reading(text: str, dtype: WireDtype, dim: int) -> Callable[[], object]:
    return lambda: unit_rows(from_base64(text, dtype=dtype, dim=dim), dim=dim)


def _set(*keys: str, to: object) -> Edit:
    def edit(document: dict[str, object]) -> None:
        place = document
        for key in keys[:-1]:
            place = place[key]  # type: ignore[assignment]
        place[keys[-1]] = to

    return edit


EDITS: dict[str, Edit] = {
    "as it is": lambda document: document,
    "an unknown key": _set("colour", to="red"),
    "a key missing": lambda document: document.pop("version"),
    "another schema version": _set("schema_version", to=2),
    "an unknown role": _set("role", to="both"),
    "a name with a slash": _set("name", to="a/b"),
    "a space without its digest": _set("space", "id", to="tiny"),
    "no dimension": _set("space", "dim", to=0),
    "another resize": _set("input", "resize", to="bicubic"),
    "a mean of two channels": _set("input", "mean", to=[0.5, 0.5]),
    "a number as text": _set("input", "size_px", to="16"),
    "no encoder": lambda document: document.update(files={"net": document["files"]["fp32"]}),
    "an unknown variant": lambda d: d["files"].update(fp8=d["files"]["fp32"]),
    "a path that climbs out": _set("files", "fp32", "path", to="../model.onnx"),
    "an absolute path": _set("files", "fp32", "path", to="/model.onnx"),
    "a path with a drive": _set("files", "fp32", "path", to="c:model.onnx"),
    "a path inside a file": _set("files", "fp32", "path", to="golden/noise.png/x"),
    "the manifest's own name": _set("files", "fp32", "path", to="manifest.json"),
    "a short sha256": _set("files", "fp32", "sha256", to="ab"),
    "an empty file": _set("files", "fp32", "bytes", to=0),
    "no golden vector": _set("golden", to=[]),
}


def manifests(valid: bytes) -> list[dict[str, object]]:
    """Manifest texts, and the code each must be refused with; null is accepted."""
    texts = {"not JSON": "{", "a list": "[]", "nothing": ""}
    for name, edit in EDITS.items():
        document = json.loads(valid)
        edit(document)
        texts[name] = json.dumps(document)
    return [
        {"name": name, "text": text, "error": _code_of(_parsing(text))}
        for name, text in texts.items()
    ]


def _parsing(text: str) -> Callable[[], object]:
    return lambda: parse_manifest(text.encode(), origin="it")


def error_codes() -> list[dict[str, object]]:
    """Every class of the tree: its stable code and its parent's."""
    tree = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in tree if issubclass(kind, LorgnetteError)]
    return [
        {
            "class": kind.__name__,
            "code": kind.code,
            "parent": None if kind is LorgnetteError else kind.__mro__[1].code,
        }
        for kind in kinds
    ]


def signatures() -> dict[str, object]:
    """Documents, signatures and public keys. The private keys are for tests alone."""
    one, two = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
    public = {"one": signing.public_key(one), "two": signing.public_key(two)}
    document = b'{"schema_version": 1}\n'
    signed = signing.sign(document, one).decode()
    cases: list[tuple[str, bytes, str | None, list[str]]] = [
        ("signed by the key", document, signed, [public["one"]]),
        ("signed by one of two keys", document, signed, [public["two"], public["one"]]),
        ("signed by another key", document, signed, [public["two"]]),
        ("no key is configured", document, None, []),
        ("unsigned", document, None, [public["one"]]),
        ("one byte more", document + b"\n", signed, [public["one"]]),
        ("a signature cut short", document, signed[:40], [public["one"]]),
        ("a signature that is not base64", document, "!" * 88, [public["one"]]),
        ("an empty signature", document, "", [public["one"]]),
        ("a key that is too short", document, signed, ["AAAA"]),
    ]
    return {
        "public_keys": public,
        "cases": [
            {
                "name": name,
                "document": text.decode(),
                "signature": signature,
                "public_keys": keys,
                "error": _code_of(_verifying(text, signature, keys)),
            }
            for name, text, signature, keys in cases
        ],
    }


def _verifying(text: bytes, signature: str | None, keys: list[str]) -> Callable[[], object]:
    raw = None if signature is None else signature.encode()
    return lambda: signing.verify(text, raw, keys, origin="it")


def rollout() -> dict[str, object]:
    """Which devices a release reaches, and which SDK versions it serves."""
    digests = [hashlib.sha256(text).hexdigest() for text in (b"one", b"two")]
    devices = ["", "a", "device-1", "device-2", "3f2b8c0e5d", "Gerät"]
    reached = [
        {
            "manifest_sha256": digest,
            "device_id": device,
            "percent": percent,
            "reached": _release(digest, percent=percent).is_for(device),
        }
        for digest in digests
        for device in devices
        for percent in (0, 1, 25, 50, 99, 100)
    ]
    versions = [("0.1.0", "0.1.0"), ("0.1.0", "0.1.1"), ("0.10.0", "0.9.9"), ("1.0.0", "0.99.0")]
    versions += [("0.2.0rc1", "0.2.0"), ("0.1", "0.1.0"), ("1.2.3.post1", "1.2.3")]
    sdk = [
        {
            "have": have,
            "min_sdk": least,
            "error": _code_of(_requiring(_release(digests[0], min_sdk=least), have)),
        }
        for have, least in versions
    ]
    return {"devices": reached, "sdk": sdk}


def _release(digest: str, *, percent: int = 100, min_sdk: str = "0.0.1") -> Release:
    return Release(
        schema_version=1, manifest_sha256=digest, min_sdk=min_sdk, rollout_percent=percent
    )


def _requiring(release: Release, have: str) -> Callable[[], object]:
    return lambda: release.require_sdk(have)


def _code_of(action: Callable[[], object]) -> str | None:
    try:
        action()
    except LorgnetteError as error:
        return error.code
    return None


if __name__ == "__main__":
    make(KIT)
    size = sum(path.stat().st_size for path in KIT.rglob("*") if path.is_file())
    sys.stdout.write(f"wrote {KIT.relative_to(ROOT)}: {size:,} bytes\n")
