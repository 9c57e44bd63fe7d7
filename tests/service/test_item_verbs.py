"""`lorgnette items`: what HTTP does to items, done in the data directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from service.gallery.catalogue import Catalogue
from service.settings import Settings
from tests.service.commands import run
from tests.service.gallery_rows import fill, unit_rows
from tests.service.serving import eventually, png, serving
from tests.tiny_bundle import space_of


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with closing(Catalogue.open(tmp_path / "data")) as catalogue:
        fill(catalogue, unit_rows(5))
        fill(catalogue, unit_rows(1), first=5)
    return tmp_path / "data"


@pytest.fixture
def client(data: Path, student: Bundle) -> Iterator[httpx.Client]:
    with serving(Settings(data=data, students=(student.directory,))) as client:
        yield client


def said(*arguments: str | Path) -> str:
    done = run("items", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ids(*arguments: str | Path) -> list[str]:
    return [json.loads(line)["id"] for line in said("list", *arguments).splitlines()]


def test_items_are_listed_a_line_each_and_one_is_shown(data: Path) -> None:
    assert ids("--data", data) == ["000", "001", "002", "003", "004", "005"]
    assert ids("--data", data, "--limit", "2") == ["000", "001"]
    shown = json.loads(said("get", "003", "--data", data))
    assert shown["metadata"] == {"title": "003"}
    assert shown["spaces"] == [space_of(0).id]


def test_a_photograph_is_written_under_any_id_and_found_by_a_running_service(
    data: Path, client: httpx.Client, teacher: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_bytes(png(7))
    name = "Köln/Dom ☃ 100%"
    more = ("--metadata", '{"aisle": 7}', "--teacher", teacher.directory, "--data", data)
    assert said("put", name, tmp_path / "photo.png", *more).startswith("written as number ")
    row = Encoder(teacher).encode(png(7)).tolist()

    def best() -> str:
        asked = {"space": space_of(0).id, "vectors": [row], "k": 1}
        hit = client.post("/search", json=asked).json()["results"][0][0]
        return str(hit["id"])

    eventually(lambda: best() == name)
    shown = json.loads(said("get", name, "--data", data))
    assert shown["metadata"] == {"aisle": 7}
    assert (data / shown["source"]).read_bytes() == png(7)
    assert "Köln" in said("get", name, "--data", data)


def test_items_are_deleted_all_or_none_after_a_question(data: Path) -> None:
    unasked = run("items", "delete", "001", "--data", data)
    assert (unasked.returncode, len(ids("--data", data))) == (1, 6)
    unknown = run("items", "delete", "001", "nobody", "--yes", "--data", data)
    assert unknown.returncode == 1
    assert "there is no item 'nobody'" in unknown.stderr
    assert len(ids("--data", data)) == 6
    assert said("delete", "001", "003", "--yes", "--data", data).startswith("2 deleted")
    assert ids("--data", data) == ["000", "002", "004", "005"]


@pytest.mark.parametrize(
    "case",
    [
        ("a//b", "good.png", "{}", "id: expected"),
        ("x" * 513, "good.png", "{}", "id: expected"),
        ("a", "missing.png", "{}", "cannot be read"),
        ("a", "bad.png", "{}", "not an image"),
        ("a", "good.png", "[]", "--metadata: expected a JSON object"),
        ("a", "good.png", "{", "--metadata: expected a JSON object"),
        ("a", "good.png", '{"x": NaN}', "metadata"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    data: Path, teacher: Bundle, tmp_path: Path, case: tuple[str, str, str, str]
) -> None:
    item_id, photo, metadata, why = case
    (tmp_path / "good.png").write_bytes(png(0))
    (tmp_path / "bad.png").write_bytes(b"no")
    options = ("--metadata", metadata, "--teacher", teacher.directory, "--data", data)
    refused = run("items", "put", item_id, tmp_path / photo, *options)
    assert refused.returncode == 2
    assert why in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    assert len(ids("--data", data)) == 6


def test_an_id_cannot_steer_the_terminal(data: Path) -> None:
    with closing(Catalogue.open(data)) as catalogue, catalogue.writing() as connection:
        connection.execute("UPDATE items SET id = ? WHERE id = '000'", ("\x9b31m\x1b[2Jred",))
    assert ids("--data", data)[0] == "\x9b31m\x1b[2Jred"
    assert not {"\x9b", "\x1b"} & set(said("list", "--data", data))


def test_looking_for_a_gallery_makes_none(tmp_path: Path) -> None:
    for verb in (("items", "list"), ("items", "get", "a"), ("items", "delete", "a", "-y"),
                 ("jobs", "list"), ("jobs", "follow"), ("jobs", "resume", "a")):  # fmt: skip
        told = run(*verb, "--data", tmp_path / "none")
        assert told.returncode == 1
        assert "there is no gallery" in told.stderr
    assert not (tmp_path / "none").exists()
