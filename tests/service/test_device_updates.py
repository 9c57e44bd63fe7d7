"""A device's student over the real service: signed, released, resumed, updated, taken back."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest

from lorgnette import errors
from lorgnette.bundle import Bundle
from lorgnette.cli import build_app
from lorgnette.models import signing
from lorgnette.models.store import ModelStore
from service.settings import Settings
from tests.service.serving import fill, png, serving
from tests.tiny_bundle import write_tiny_bundle

CUT_AFTER_BYTES = 7_000


class CutTwice(httpx.BaseTransport):
    """Ends the first two downloads of the model early; counts what is asked for."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()
        self.asked: list[httpx.Request] = []
        self.cuts = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        response = self.inner.handle_request(request)
        if not request.url.path.endswith(".onnx") or self.cuts == 2:
            return response
        self.cuts += 1
        part = response.read()[:CUT_AFTER_BYTES]
        headers = [(k, v) for k, v in response.headers.multi_items() if k != "content-length"]
        return httpx.Response(response.status_code, headers=headers, content=part)

    def close(self) -> None:
        self.inner.close()


def run(*arguments: object) -> None:
    build_app()([str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture
def served(tmp_path: Path, student: Bundle) -> Path:
    shutil.copytree(student.directory, tmp_path / "served")
    return tmp_path / "served"


def test_a_life_of_a_student(tmp_path: Path, teacher: Bundle, served: Path) -> None:
    public = signing.new_key(tmp_path / "key")
    fill(tmp_path / "data", teacher, {"photo": png(1)})
    target = tmp_path / "device" / "student"
    key = ("--key", tmp_path / "key")

    with serving(Settings(data=tmp_path / "data", students=(served,))) as client:
        url = str(client.base_url)
        with pytest.raises(errors.InvalidSignature, match="not signed"):
            ModelStore(url, target, public_keys=[public]).latest()
        run("sign", served, *key)
        transport = CutTwice()
        store = ModelStore(url, target, public_keys=[public], transport=transport)
        assert store.latest().bundle.manifest.version == "1"
        models = [r for r in transport.asked if r.url.path.endswith(".onnx")]
        starts = [r.headers.get("range") for r in models]
        assert starts == [None, f"bytes={CUT_AFTER_BYTES}-", f"bytes={2 * CUT_AFTER_BYTES}-"]

    newer = write_tiny_bundle(tmp_path / "newer", role="query", version="2").directory
    run("sign", newer, *key)
    run("release", newer, "--rollout", 0, *key)
    with serving(Settings(data=tmp_path / "data", students=(newer,))) as client:
        store = ModelStore(str(client.base_url), target, public_keys=[public])
        assert store.latest().bundle.manifest.version == "1"
        run("release", newer, "--rollout", 100, "--min-sdk", "99.0.0", *key)
        with pytest.raises(errors.SdkTooOld):
            store.latest()
        run("release", newer, "--rollout", 100, *key)
        assert store.latest().bundle.manifest.version == "2"

    assert store.local().bundle.manifest.version == "2"
    assert store.rollback().bundle.manifest.version == "1"
