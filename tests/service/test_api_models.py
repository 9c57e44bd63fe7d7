"""`GET /models` and `GET /spaces`: entity tags, ranges, and nothing but what the manifest lists."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle, parse_manifest
from service.settings import Settings
from tests.service.serving import fill, png, problem, serving
from tests.tiny_bundle import space_of, write_tiny_bundle

MODEL = "/models/tiny-query/model.onnx"
MANIFEST = "/models/tiny-query/manifest.json"


@pytest.fixture(scope="module")
def student_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("students") / "student"
    write_tiny_bundle(directory, role="query")
    (directory / "private.txt").write_text("not of the manifest")
    (directory.parent / "secret.txt").write_text("outside")
    return directory


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student_directory: Path
) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("gallery")
    fill(root / "data", teacher, {f"photo-{seed}": png(seed) for seed in range(3)})
    coming = write_tiny_bundle(root / "coming", role="query", space_seed=5, name="coming")
    settings = Settings(data=root / "data", students=(student_directory, coming.directory))
    with serving(settings) as client:
        yield client


@pytest.fixture(scope="module")
def content(student_directory: Path) -> bytes:
    return (student_directory / "model.onnx").read_bytes()


def test_spaces_tell_what_is_live_and_who_fits(client: httpx.Client) -> None:
    (space,) = client.get("/spaces").json()["spaces"]
    assert space["space"] == {"id": space_of(0).id, "dim": 16}
    assert space["count"] == 3
    assert [student["name"] for student in space["students"]] == ["tiny-query"]


def test_models_list_every_student_also_of_a_space_to_come(client: httpx.Client) -> None:
    found = {model["name"]: model for model in client.get("/models").json()["models"]}
    assert set(found) == {"tiny-query", "coming"}
    assert found["coming"]["space"] == space_of(5).id
    assert client.get(found["coming"]["manifest"]).status_code == 200


def test_a_whole_bundle_can_be_fetched_and_verified(client: httpx.Client) -> None:
    manifest = parse_manifest(client.get(MANIFEST).content, origin="the service")
    for entry in manifest.all_files():
        for query in ("", f"?sha256={entry.sha256}"):
            response = client.get(f"/models/tiny-query/{entry.path}{query}")
            assert hashlib.sha256(response.content).hexdigest() == entry.sha256
            assert response.headers["etag"] == f'"{entry.sha256}"'
            assert int(response.headers["content-length"]) == entry.bytes
            assert ("immutable" in response.headers["cache-control"]) == bool(query)


def test_the_manifest_is_revalidated_every_time(client: httpx.Client) -> None:
    first = client.get(MANIFEST)
    assert "no-cache" in first.headers["cache-control"]
    assert first.headers["etag"] == f'"{hashlib.sha256(first.content).hexdigest()}"'
    again = client.get(MANIFEST, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", [MODEL, MANIFEST])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*", '"a","b",W/{},"c"'])
def test_a_known_entity_tag_gives_304(client: httpx.Client, path: str, form: str) -> None:
    etag = client.get(path).headers["etag"]
    response = client.get(path, headers={"if-none-match": form.format(etag)})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag


@pytest.mark.parametrize("tag", ['"other"', "", "x", '""', 'W/"other"'])
def test_another_entity_tag_gives_the_file(client: httpx.Client, content: bytes, tag: str) -> None:
    assert client.get(MODEL, headers={"if-none-match": tag}).content == content


def test_a_file_of_another_digest_than_asked_for_is_not_found(client: httpx.Client) -> None:
    problem(client.get(f"{MODEL}?sha256={'0' * 64}"), 404, "not-found")


def test_head_tells_the_length_without_the_file(client: httpx.Client, content: bytes) -> None:
    response = client.head(MODEL)
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) == len(content)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-0", 0, 1), ("0-99", 0, 100), ("100-", 100, None), ("-50", -50, None), ("7-7", 7, 8),
     ("10-999999999", 10, None)],
)  # fmt: skip
def test_a_range_gives_its_bytes(
    client: httpx.Client, content: bytes, asked: str, start: int, end: int | None
) -> None:
    response = client.get(MODEL, headers={"range": f"bytes={asked}"})
    assert response.status_code == 206
    assert response.content == content[start:end]
    first = start % len(content)
    last = first + len(response.content) - 1
    assert response.headers["content-range"] == f"bytes {first}-{last}/{len(content)}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=5-2", "bytes=", "bytes=-", "items=0-5", "bytes=a-b", "bytes=0-1,5-6", "bytes=--5", "x",
     "bytes=0x1-5", f"bytes=0-{'9' * 40}", "bytes=-999999999"],
)  # fmt: skip
def test_a_range_we_do_not_read_gives_the_whole_file(
    client: httpx.Client, content: bytes, asked: str
) -> None:
    response = client.get(MODEL, headers={"range": asked})
    assert response.status_code == 200
    assert response.content == content


@pytest.mark.parametrize("beyond", [0, 1, 10**12])
def test_a_range_behind_the_end_is_a_416(client: httpx.Client, content: bytes, beyond: int) -> None:
    response = client.get(MODEL, headers={"range": f"bytes={len(content) + beyond}-"})
    problem(response, 416, "invalid-request")
    assert response.headers["content-range"] == f"bytes */{len(content)}"
    nothing = client.get(MODEL, headers={"range": "bytes=-0"})
    problem(nothing, 416, "invalid-request")


def test_if_range_resumes_the_same_file_and_restarts_another(
    client: httpx.Client, content: bytes
) -> None:
    etag = client.get(MODEL).headers["etag"]
    for given, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200)):
        headers = {"range": "bytes=10-", "if-range": given}
        response = client.get(MODEL, headers=headers)
        assert response.status_code == status
        assert response.content == (content[10:] if status == 206 else content)


@pytest.mark.parametrize(
    "path",
    [
        "/models/tiny-query/private.txt",
        "/models/tiny-query/../secret.txt",
        "/models/tiny-query/..%2Fsecret.txt",
        "/models/tiny-query/%2e%2e/secret.txt",
        "/models/tiny-query/%2e%2e%2fsecret.txt",
        "/models/tiny-query/golden/../../secret.txt",
        "/models/tiny-query/golden/../model.onnx",
        "/models/tiny-query/./model.onnx",
        "/models/tiny-query//model.onnx",
        "/models/tiny-query//etc/passwd",
        "/models/tiny-query/%2Fetc%2Fpasswd",
        "/models/tiny-query/..%5Csecret.txt",
        "/models/tiny-query/model.onnx%00",
        "/models/tiny-query/golden",
        "/models/tiny-query/golden/",
        "/models/tiny-query/",
        "/models/tiny-query",
        "/models/../student/manifest.json",
        "/models/%2e%2e/manifest.json",
        "/models/none/manifest.json",
        "/models/none/model.onnx",
        "/models/TINY-QUERY/manifest.json",
    ],
)
def test_only_what_the_manifest_lists_is_served(client: httpx.Client, path: str) -> None:
    # httpx would tidy the path up before sending it.
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port)
    connection.request("GET", path)
    answer = connection.getresponse()
    response = httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    connection.close()
    problem(response, 404, "not-found")


def test_a_file_that_changed_on_disk_is_not_served_under_the_old_tag(
    tmp_path: Path, teacher: Bundle
) -> None:
    fill(tmp_path / "data", teacher, {"a": png(0)})
    write_tiny_bundle(tmp_path / "student", role="query")
    settings = Settings(data=tmp_path / "data", students=(tmp_path / "student",))
    with serving(settings) as client:
        assert client.get(MODEL).status_code == 200
        (tmp_path / "student" / "model.onnx").write_bytes(b"another")
        problem(client.get(MODEL), 503, "unavailable")
        (tmp_path / "student" / "model.onnx").unlink()
        problem(client.get(MODEL), 503, "unavailable")
