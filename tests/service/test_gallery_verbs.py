"""The operator's verbs, run as an operator does, beside a running service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle
from service.gallery import generations
from service.gallery.build import Options, index_folder
from service.settings import Settings
from tests.service.commands import run
from tests.service.photographs import write_photographs
from tests.service.serving import eventually, problem, serving
from tests.tiny_bundle import space_of

SPACE = space_of(0)


@pytest.fixture
def data(tmp_path: Path, teacher: Bundle) -> Path:
    for count in (3, 6):
        write_photographs(tmp_path / "photos", count)
        index_folder(
            tmp_path / "photos", tmp_path / "data", teacher.directory, options=Options(threads=1)
        )
    return tmp_path / "data"


@pytest.fixture
def client(data: Path, teacher: Bundle, student: Bundle) -> Iterator[httpx.Client]:
    settings = Settings(data=data, teacher=teacher.directory, students=(student.directory,))
    with serving(settings) as client:
        yield client


def said(*arguments: str | Path) -> str:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def live(client: httpx.Client) -> tuple[int, int]:
    (space,) = client.get("/spaces").json()["spaces"]
    return space["generation"], space["count"]


def test_generations_are_listed_and_an_older_one_is_promoted(
    data: Path, client: httpx.Client
) -> None:
    newest, older = said("generations", "--data", data).splitlines()
    assert newest.split()[:2] == ["2", "live"]
    assert older.split()[0] == "1"
    assert "3 photographs" in older
    assert said("promote", "1", "--data", data) == "generation 1 is live: 3 photographs\n"
    # What came after it is searched beside it.
    eventually(lambda: live(client) == (1, 6))
    missing = run("promote", "7", "--data", data)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "there is no generation 7 here, only 1, 2" in missing.stderr


def test_a_snapshot_is_taken_listed_and_restored_under_a_running_service(
    data: Path, client: httpx.Client
) -> None:
    directory = Path(said("snapshot", "create", "monday", "--data", data).strip())
    assert (directory / "manifest.json").is_file()
    assert client.delete("/admin/items/000.jpg").status_code == 200
    eventually(lambda: live(client) == (2, 5))
    assert said("snapshot", "list", "--data", data).startswith("monday  ")
    assert said("snapshot", "restore", "monday", "--data", data).startswith("6 items are back")
    eventually(lambda: live(client) == (2, 6))
    put = client.get("/admin/items/000.jpg")
    assert put.status_code == 200


def test_the_same_over_http(data: Path, client: httpx.Client) -> None:
    taken = client.post("/admin/snapshots", json={"name": "over-http"})
    assert (taken.status_code, taken.json()["items"]) == (201, 6), taken.text
    assert client.get("/admin/snapshots").json() == {"snapshots": [taken.json()]}
    assert client.delete("/admin/items/001.jpg").status_code == 200
    restored = client.post("/admin/snapshots/over-http/restore", json={})
    assert (restored.status_code, restored.json()) == (200, taken.json()), restored.text
    eventually(lambda: live(client) == (2, 6))
    again = client.post("/admin/snapshots", json={"name": "over-http"})
    problem(again, 409, "conflict")
    for name in ("..", "../x", "a/b", ".x", "x" * 65, "a\0", ""):
        problem(client.post("/admin/snapshots", json={"name": name}), 422, "invalid-request")
    for name in ("%2e%2e", ".x", "a%00", "x" * 65):
        bad = client.post(f"/admin/snapshots/{name}/restore", json={})
        assert bad.status_code in (404, 405, 422), bad.text
    unknown = client.post("/admin/snapshots/unknown/restore", json={})
    problem(unknown, 404, "not-found")
    for path in ("/admin/snapshots", "/admin/snapshots/over-http/restore"):
        forged = client.post(path, content="{}", headers={"content-type": "text/plain"})
        problem(forged, 415, "invalid-request")


def test_a_snapshot_is_deleted_after_a_question_and_over_http_without(
    data: Path, client: httpx.Client
) -> None:
    for name in ("monday", "tuesday"):
        said("snapshot", "create", name, "--data", data)
    unasked = run("snapshot", "delete", "monday", "--data", data)
    assert unasked.returncode == 1
    assert "Aborted" in unasked.stderr
    assert said("snapshot", "delete", "monday", "--yes", "--data", data).endswith("is deleted\n")
    assert (
        "there is no snapshot 'monday'"
        in run("snapshot", "delete", "monday", "--data", data).stderr
    )
    (left,) = client.get("/admin/snapshots").json()["snapshots"]
    assert left["name"] == "tuesday"
    gone = client.delete("/admin/snapshots/tuesday")
    assert (gone.status_code, gone.json()) == (200, {"snapshots": []})
    problem(client.delete("/admin/snapshots/tuesday"), 404, "not-found")
    problem(client.delete("/admin/snapshots/.x"), 422, "invalid-request")
    assert live(client) == (2, 6)


def test_the_last_space_is_not_retired_and_an_unknown_one_is_told(data: Path) -> None:
    refused = run("retire", SPACE.id, "--data", data)
    assert refused.returncode == 1
    assert "last live space" in refused.stderr
    assert "there is no space 'other'" in run("retire", "other", "--data", data).stderr
    assert generations.read_current(data) == {SPACE.id: 2}


def test_looking_for_a_gallery_makes_none(tmp_path: Path) -> None:
    for verb in (
        ("generations",),
        ("promote", "1"),
        ("snapshot", "create"),
        ("snapshot", "list"),
    ):
        told = run(*verb, "--data", tmp_path / "none")
        assert told.returncode == 1
        assert "there is no gallery" in told.stderr
    restored = run("snapshot", "restore", "monday", "--data", tmp_path / "none")
    assert restored.returncode == 1
    assert "there is no snapshot 'monday'" in restored.stderr
    assert not (tmp_path / "none").exists()
