"""The conformance kit is what its program makes, and this SDK passes it."""

from __future__ import annotations

import base64
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorgnette.bundle import Bundle, parse_manifest
from lorgnette.encoder import Encoder
from lorgnette.error_codes import by_code
from lorgnette.errors import LorgnetteError
from lorgnette.models import signing
from lorgnette.models.release import Release
from lorgnette.vectors import from_base64, to_base64
from tests import golden_kit
from tests.golden_kit import KIT

MAX_KIT_BYTES = 300_000


def read(name: str) -> Any:
    return json.loads((KIT / f"{name}.json").read_text(encoding="ascii"))


def cases(document: list[dict[str, Any]], name: str = "name") -> list[Any]:
    return [pytest.param(case, id=str(case[name])) for case in document]


def refused_with(code: str | None) -> Any:
    """Expect the class of a code; expect nothing for None."""
    return nullcontext() if code is None else pytest.raises(by_code(code))


def test_the_kit_is_what_its_program_makes(tmp_path: Path) -> None:
    golden_kit.make(tmp_path)
    for name in ("wire", "errors", "signatures", "rollout"):
        assert (tmp_path / f"{name}.json").read_bytes() == (KIT / f"{name}.json").read_bytes()
    for made, kept in zip(_rows(tmp_path), _rows(KIT), strict=True):
        assert made[0] == kept[0]
        assert float(made[1] @ kept[1]) >= golden_kit.SAME_PIXELS_COSINE
    fresh = json.loads((tmp_path / "manifests.json").read_text())
    assert [(c["name"], c["error"]) for c in fresh] == [
        (c["name"], c["error"]) for c in read("manifests")
    ]


def _rows(kit: Path) -> list[tuple[str, np.ndarray]]:
    found = json.loads((kit / "vectors.json").read_text())
    return [
        (case["pixels_b64"], np.frombuffer(base64.b64decode(case["vector_f32_b64"]), "<f4"))
        for case in found
    ]


def test_the_kit_is_small() -> None:
    assert sum(path.stat().st_size for path in KIT.rglob("*") if path.is_file()) < MAX_KIT_BYTES


@pytest.mark.parametrize("case", cases(read("vectors")))
def test_the_same_pixels_give_the_same_vector(case: dict[str, Any]) -> None:
    raw = base64.b64decode(case["pixels_b64"])
    pixels = np.frombuffer(raw, np.uint8).reshape(case["height"], case["width"], 3)
    row = Encoder(Bundle.open(KIT / "tiny")).encode_pixels(pixels)
    expected = np.frombuffer(base64.b64decode(case["vector_f32_b64"]), "<f4")
    assert float(row @ expected) >= case["min_cosine"]


@pytest.mark.parametrize("case", cases(read("wire")["packed"]))
def test_values_become_these_bytes(case: dict[str, Any]) -> None:
    rows = from_base64(case["values_f32_b64"], dtype="f32", dim=case["dim"])
    numpy_f16 = base64.b64encode(rows.astype("<f2").tobytes()).decode()
    assert case["f16"] == numpy_f16
    assert to_base64(rows, dtype="f16") == case["f16"]
    assert to_base64(rows, dtype="i8") == case["i8"]
    assert case["f32"] == case["values_f32_b64"]


@pytest.mark.parametrize("case", cases(read("manifests")))
def test_a_manifest_is_taken_or_refused(case: dict[str, Any]) -> None:
    with refused_with(case["error"]):
        parse_manifest(case["text"].encode(), origin="it")


def test_exactly_one_manifest_is_valid() -> None:
    assert [case["name"] for case in read("manifests") if case["error"] is None] == ["as it is"]


@pytest.mark.parametrize("case", cases(read("errors"), "class"))
def test_a_code_is_its_class(case: dict[str, Any]) -> None:
    kind = by_code(case["code"])
    assert kind.__name__ == case["class"]
    if kind is not LorgnetteError:
        assert kind.__mro__[1] is by_code(case["parent"])


@pytest.mark.parametrize("case", cases(read("signatures")["cases"]))
def test_a_signature_is_taken_or_refused(case: dict[str, Any]) -> None:
    signature = case["signature"]
    raw = None if signature is None else signature.encode()
    with refused_with(case["error"]):
        signing.verify(case["document"].encode(), raw, case["public_keys"], origin="it")


def test_a_release_reaches_these_devices() -> None:
    for case in read("rollout")["devices"]:
        release = Release(
            schema_version=1,
            manifest_sha256=case["manifest_sha256"],
            min_sdk="0.0.1",
            rollout_percent=case["percent"],
        )
        assert release.is_for(case["device_id"]) is case["reached"], case


@pytest.mark.parametrize("case", cases(read("rollout")["sdk"], "have"))
def test_a_release_needs_an_sdk(case: dict[str, Any]) -> None:
    release = Release(
        schema_version=1,
        manifest_sha256="0" * 64,
        min_sdk=case["min_sdk"],
        rollout_percent=100,
    )
    with refused_with(case["error"]):
        release.require_sdk(case["have"])
