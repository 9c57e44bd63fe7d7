"""Names that would lead out of where they belong, on every path parameter of the document."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from lorgnette.bundle import Bundle
from service.app import create_app
from service.settings import Settings
from tests.service.serving import ADMIN_KEY, SEARCH_KEY, fill, png, serving
from tests.torture.figures import RecordFigure

pytestmark = pytest.mark.torture_row("authorization")

SECRET = "root:x:0:0: what nobody may read"
AWAY = (
    "../secret", "..%2Fsecret", "%2e%2e%2fsecret", "..%252fsecret", "..%5Csecret", "..\\secret",
    "....//secret", "%c0%ae%c0%ae%2fsecret", "../../../../../../etc/passwd", "/etc/passwd",
    "%2Fetc%2Fpasswd", "secret%00.png", "..", ".", "%2e%2e", "a/../../secret",
    "a%2F..%2F..%2Fsecret",
    "file:%2F%2F%2Fetc%2Fpasswd", "http:%2F%2F127.0.0.1%2F", "~root", "CON", "con%2E", "x;rm%20-rf",
    "%0d%0aset-cookie:a", "%F0%9F%92%A3", "a" * 5000, "-rf", "*", "1e9", "-1",
    "99999999999999999999",
)  # fmt: skip


def named_routes() -> list[tuple[str, str]]:
    document = create_app(Settings()).openapi()
    return [
        (method, path) for path, found in document["paths"].items() for method in found
        if "{" in path
    ]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house")


@pytest.fixture(scope="module")
def client(root: Path, teacher: Bundle, student: Bundle) -> Iterator[httpx.Client]:
    fill(root / "data", teacher, {"a": png(0)})
    for place in (root, root / "data", root / "data" / "generations", root / "data" / "snapshots"):
        place.mkdir(exist_ok=True)
        (place / "secret").write_text(SECRET)
    settings = Settings(
        data=root / "data",
        teacher=root / "no-teacher",
        students=(student.directory,),
        search_key=SecretStr(SEARCH_KEY),
        admin_key=SecretStr(ADMIN_KEY),
    )
    with serving(settings) as client:
        yield client


def ask(client: httpx.Client, method: str, target: str) -> tuple[int, bytes]:
    """As it is written: httpx would tidy the path."""
    url = client.base_url
    connection = http.client.HTTPConnection(url.host, url.port, timeout=20)
    headers = {
        "authorization": f"Bearer {ADMIN_KEY}",
        "content-type": "application/json",
        "if-match": '"x"',
    }
    connection.putrequest(method.upper(), target, skip_accept_encoding=True)
    for name, value in {**headers, "content-length": "2"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"{}")
    answered = connection.getresponse()
    content = answered.read()
    connection.close()
    return answered.status, content


def outside(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("secret")}


@pytest.mark.parametrize(("method", "path"), named_routes())
def test_no_name_leads_out_of_its_place(
    client: httpx.Client, root: Path, method: str, path: str, record_figure: RecordFigure
) -> None:
    before = outside(root)
    for name in AWAY:
        quoted = re.sub(r"[^!-~]", "%20", name)
        status, content = ask(client, method, re.sub(r"\{[^}]+\}", lambda _, q=quoted: q, path))
        record_figure("names tried", 1, fold=sum)
        record_figure("names that led away", SECRET.encode() in content, fold=sum)
        assert 400 <= status < 500, (name, status, content[:200])
        assert SECRET.encode() not in content
        assert b"root:" not in content
    assert outside(root) == before


def test_every_kind_of_name_is_tried() -> None:
    names = {name for _, path in named_routes() for name in re.findall(r"\{(\w+)", path)}
    assert {"item_id", "name", "path", "job_id", "generation", "space_id"} <= names
