"""What lies beside a student's manifest: served as it is now, and files by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle
from service.settings import Settings
from tests.service.serving import fill, png, problem, serving
from tests.tiny_bundle import write_tiny_bundle

HERE = "/models/tiny-query"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = write_tiny_bundle(tmp_path_factory.mktemp("students") / "student", role="query")
    # As another tool may have written it: served byte for byte, for a signature is over these.
    path = written.directory / "manifest.json"
    path.write_text(path.read_text() + "\n")
    return written.directory


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, directory: Path
) -> Iterator[httpx.Client]:
    data = tmp_path_factory.mktemp("gallery") / "data"
    fill(data, teacher, {"photo": png(1)})
    with serving(Settings(data=data, students=(directory,))) as client:
        yield client


def test_the_manifest_is_served_byte_for_byte(client: httpx.Client, directory: Path) -> None:
    assert client.get(f"{HERE}/manifest.json").content == (directory / "manifest.json").read_bytes()


def test_a_file_is_had_by_its_content_for_ever(client: httpx.Client, directory: Path) -> None:
    content = (directory / "model.onnx").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    answer = client.get(f"{HERE}/files/{sha256}")
    assert answer.content == content
    assert "immutable" in answer.headers["cache-control"]
    rest = client.get(
        f"{HERE}/files/{sha256}", headers={"Range": "bytes=10-", "If-Range": f'"{sha256}"'}
    )
    assert (rest.status_code, rest.content) == (206, content[10:])
    held = client.get(f"{HERE}/files/{sha256}", headers={"If-None-Match": f'"{sha256}"'})
    assert held.status_code == 304


def test_a_content_no_file_has_is_not_found(client: httpx.Client) -> None:
    problem(client.get(f"{HERE}/files/{'0' * 64}"), 404, "not-found")


@pytest.mark.parametrize("path", ["manifest.sig", "release.json", "release.sig"])
def test_what_is_not_beside_the_manifest_is_not_found(client: httpx.Client, path: str) -> None:
    problem(client.get(f"{HERE}/{path}"), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "filename"),
    [
        ("manifest.sig", "manifest.json.sig"),
        ("release.json", "release.json"),
        ("release.sig", "release.json.sig"),
    ],
)
def test_a_change_beside_the_manifest_is_served_without_a_restart(
    client: httpx.Client, directory: Path, path: str, filename: str
) -> None:
    try:
        (directory / filename).write_bytes(b"one")
        first = client.get(f"{HERE}/{path}")
        assert first.content == b"one"
        (directory / filename).write_bytes(b"two")
        known = {"If-None-Match": first.headers["etag"]}
        second = client.get(f"{HERE}/{path}", headers=known)
        assert (second.status_code, second.content) == (200, b"two")
        known = {"If-None-Match": second.headers["etag"]}
        assert client.get(f"{HERE}/{path}", headers=known).status_code == 304
    finally:
        (directory / filename).unlink()


def test_a_release_that_cannot_be_read_is_not_taken_for_none(
    client: httpx.Client, directory: Path
) -> None:
    # No release means everybody: a file that is there, and unreadable, must not say so.
    (directory / "release.json").mkdir()
    answer = client.get(f"{HERE}/release.json")
    (directory / "release.json").rmdir()
    problem(answer, 503, "unavailable")
