"""The web page: its files and nothing else, strictly headed, beside an API that stays as it was."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidConfiguration
from service.settings import Settings, load_settings
from tests.service.serving import ADMIN_KEY, SEARCH_KEY, fill, png, problem, serving

TYPES = {
    "index.html": "text/html; charset=utf-8",
    "assets/app-1f2e3d4c.js": "text/javascript; charset=utf-8",
    "assets/worker-1f2e3d4c.mjs": "text/javascript; charset=utf-8",
    "assets/app-1f2e3d4c.css": "text/css; charset=utf-8",
    "assets/ort-1f2e3d4c.wasm": "application/wasm",
    "assets/student-1f2e3d4c.onnx": "application/octet-stream",
    "manifest.webmanifest": "application/manifest+json",
    "icon.svg": "image/svg+xml",
    "Ünicode 1.txt": "text/plain; charset=utf-8",
}


def build(directory: Path) -> Path:
    """What `npm run build` might leave, and what should never be served."""
    (directory / "assets").mkdir(parents=True)
    for name in TYPES:
        (directory / name).write_bytes(f"content of {name}".encode() * 20)
    (directory / ".env").write_text("SECRET")
    (directory / "assets" / ".hidden.js").write_text("SECRET")
    (directory.parent / "secret.txt").write_text("SECRET")
    (directory / "link.txt").symlink_to(directory.parent / "secret.txt")
    (directory / "up").symlink_to(directory.parent)
    return directory


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("page") / "dist")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, teacher: Bundle) -> Path:
    data = tmp_path_factory.mktemp("gallery") / "data"
    fill(data, teacher, {"a": png(0)})
    return data


@pytest.fixture(scope="module")
def client(page: Path, data: Path, student: Bundle) -> Iterator[httpx.Client]:
    settings = Settings(
        data=data,
        students=(student.directory,),
        page=page,
        search_key=SecretStr(SEARCH_KEY),
        admin_key=SecretStr(ADMIN_KEY),
    )
    with serving(settings) as client:
        yield client


def raw(client: httpx.Client, target: str) -> tuple[int, bytes]:
    """A request whose target no client library has tidied up."""
    connection = http.client.HTTPConnection(urlsplit(str(client.base_url)).netloc, timeout=20)
    try:
        connection.putrequest("GET", target, skip_host=False)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_anybody_gets_the_page_and_its_files_with_their_types(
    client: httpx.Client, page: Path
) -> None:
    assert client.get("/").content == (page / "index.html").read_bytes()
    for name, media_type in TYPES.items():
        answer = client.get(f"/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert answer.content == (page / name).read_bytes()
        head = client.head(f"/{name}")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(answer.content)))


def test_every_file_is_under_a_strict_policy_and_cross_origin_isolated(
    client: httpx.Client,
) -> None:
    for name in ("", *TYPES):
        headers = client.get(f"/{name}").headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'"
        assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
        assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_named_assets_are_kept_for_ever_and_the_rest_is_asked_for_again(
    client: httpx.Client,
) -> None:
    for name in TYPES:
        first = client.get(f"/{name}")
        is_asset = name.startswith("assets/")
        assert ("immutable" in first.headers["cache-control"]) is is_asset
        assert (first.headers["cache-control"] == "no-cache") is not is_asset
        again = client.get(f"/{name}", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cross-origin-embedder-policy"] == "require-corp"


@pytest.mark.parametrize(
    "asked", ["bytes=0-3", "bytes=5-2", "bytes=99999-", "lines=1-2", "nonsense"]
)
def test_a_file_is_sent_whole_whatever_range_is_asked_for(
    client: httpx.Client, page: Path, asked: str
) -> None:
    answer = client.get("/icon.svg", headers={"range": asked})
    assert (answer.status_code, answer.content) == (200, (page / "icon.svg").read_bytes())
    assert answer.headers["accept-ranges"] == "none"


def test_a_page_that_was_built_anew_is_served_at_once(client: httpx.Client, page: Path) -> None:
    kept = (page / "index.html").read_bytes()
    before = client.get("/").headers["etag"]
    (page / "index.html").write_bytes(b"another page")
    after = client.get("/", headers={"if-none-match": before})
    assert (after.status_code, after.content) == (200, b"another page")
    (page / "index.html").write_bytes(kept)


@pytest.mark.parametrize("target", [
    "/../secret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt",
    "/assets/%2e%2e%2f%2e%2e%2fsecret.txt",
    "//secret.txt", "/..%5csecret.txt", "/link.txt", "/up/secret.txt", "/.env", "/%2Eenv",
    "/assets/.hidden.js", "/assets", "/assets/", "/index.html/", "/index.html%00.js", "/%00",
    "/etc/passwd", "//etc/passwd", "/%2fetc%2fpasswd", "/" + "a" * 5000, "/nothing",
    "/./index.html",
])  # fmt: skip
def test_no_path_leaves_the_page(client: httpx.Client, target: str) -> None:
    status, content = raw(client, target)
    assert status == 404
    assert b"SECRET" not in content
    assert b"root:" not in content
    assert b"urn:lorgnette:problem:not-found" in content


def test_the_api_beside_it_answers_as_without_it(client: httpx.Client) -> None:
    problem(client.get("/search"), 405, "invalid-request")
    problem(client.post("/"), 404, "not-found")
    problem(client.get("/spaces"), 401, "unauthorized")
    assert (
        client.get("/healthz").headers["content-security-policy"].startswith("default-src 'none'")
    )


def test_isolation_can_be_switched_off(page: Path, data: Path, student: Bundle) -> None:
    settings = Settings(data=data, students=(student.directory,), page=page, page_isolated=False)
    with serving(settings) as client:
        headers = client.get("/").headers
        assert "cross-origin-embedder-policy" not in headers
        assert "cross-origin-opener-policy" not in headers
        assert "script-src 'self'" in headers["content-security-policy"]


def test_a_page_that_is_not_built_says_how_to_build_it_and_one_that_comes_is_shown(
    tmp_path: Path, page: Path, data: Path, student: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(Settings(data=data, students=(student.directory,))) as client:
        answer = client.get("/")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "npm run build" in answer.text
        assert "clients/page" in answer.text
        problem(client.get("/assets/app-1f2e3d4c.js"), 404, "not-found")
        shutil.copytree(page, tmp_path / "clients" / "page" / "dist", symlinks=True)
        assert client.get("/").content == (page / "index.html").read_bytes()


def test_a_named_folder_that_is_no_page_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"LORGNETTE_PAGE.*index\.html.*npm run build"):
        load_settings(page=tmp_path)
