"""The README's "Operate" chapter, run from top to bottom against a service."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.service.serving import ADMIN_KEY, SEARCH_KEY, eventually
from tests.test_docs import README, bash, place, port, running
from tests.tiny_bundle import space_of, write_tiny_bundle

__all__ = ["place", "port"]

pytestmark = pytest.mark.torture_row("operate")

CHAPTER = README[README.index("## Operate") :].partition("\n## ")[0]
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", CHAPTER, flags=re.MULTILINE | re.DOTALL)
SERVE, KEYS, BACKUP, ITEMS, UPGRADE, ROLL_BACK = range(6)


@pytest.fixture
def house(place: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """An indexed place with keys in its environment, and the service's URL."""
    monkeypatch.setenv("LORGNETTE_SEARCH_KEY", SEARCH_KEY)
    monkeypatch.setenv("LORGNETTE_ADMIN_KEY", ADMIN_KEY)
    write_tiny_bundle(place / "models" / "teacher-2", role="gallery", space_seed=1)
    bash("lorgnette index ~/Pictures", place=place, port=port)
    return f"http://127.0.0.1:{port}"


def lines(block: int) -> list[str]:
    found = (re.sub(r" {2,}#.*", "", line).strip() for line in BLOCKS[block].splitlines())
    return [line for line in found if line]


def admin() -> httpx.Client:
    return httpx.Client(headers={"authorization": f"Bearer {ADMIN_KEY}"}, timeout=30)


def live(url: str) -> dict[str, int]:
    with admin() as client:
        spaces = client.get(f"{url}/spaces").json()["spaces"]
    return {space["space"]["id"]: space["generation"] for space in spaces}


def test_serve_with_workers_and_print_the_settings(place: Path, port: int, house: str) -> None:
    serve, settings = lines(SERVE)
    with running(serve, place=place, port=port):
        assert live(house) == {space_of(0).id: 1}
    printed = bash(settings, place=place, port=port).stdout
    assert json.loads(printed)["port"] == port
    assert ADMIN_KEY not in printed


def test_rotate_a_key_under_a_running_service(place: Path, port: int, house: str) -> None:
    create, keeper, listing, revoke = lines(KEYS)

    def status(path: str, token: str) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return httpx.get(f"{house}{path}", headers=headers).status_code

    with running("lorgnette serve", place=place, port=port):
        phones = bash(create, place=place, port=port).stdout.strip()
        admins = bash(keeper, place=place, port=port).stdout.strip()
        assert (status("/models", phones), status("/admin/jobs", phones)) == (200, 403)
        assert status("/admin/jobs", admins) == 200
        assert "phones" in bash(listing, place=place, port=port).stdout
        bash(revoke, place=place, port=port)
        assert (status("/models", phones), status("/admin/jobs", admins)) == (401, 200)


def test_back_up_and_restore_under_a_running_service(place: Path, port: int, house: str) -> None:
    create, listing, restore, delete = lines(BACKUP)
    old = space_of(0).id

    def count() -> int:
        with admin() as client:
            (space,) = client.get(f"{house}/spaces").json()["spaces"]
        return int(space["count"])

    with running("lorgnette serve", place=place, port=port):
        bash(create, place=place, port=port)
        assert "before-upgrade" in bash(listing, place=place, port=port).stdout
        with admin() as client:
            client.delete(f"{house}/admin/items/photo-03.png").raise_for_status()
        eventually(lambda: count() == 11)
        bash(restore, place=place, port=port)
        eventually(lambda: count() == 12)
        assert set(live(house)) == {old}
        bash(delete, place=place, port=port)
        assert bash(listing, place=place, port=port).stdout == ""


def test_write_an_item_delete_it_and_look_at_the_jobs(place: Path, port: int, house: str) -> None:
    put, get, delete, jobs = lines(ITEMS)

    def count() -> int:
        with admin() as client:
            (space,) = client.get(f"{house}/spaces").json()["spaces"]
        return int(space["count"])

    with running("lorgnette serve", place=place, port=port):
        bash(put, place=place, port=port)
        eventually(lambda: count() == 13)
        shown = json.loads(bash(get, place=place, port=port).stdout)
        assert (shown["id"], shown["metadata"]) == ("shelf-7", {"aisle": 7})
        bash(delete, place=place, port=port)
        eventually(lambda: count() == 12)
        with admin() as client:
            job = client.post(f"{house}/admin/reindex", json={}).json()["id"]
        assert job in bash(jobs, place=place, port=port).stdout
        bash(f"lorgnette jobs follow {job}", place=place, port=port)


def test_upgrade_the_teacher_retire_the_old_and_roll_back(
    place: Path, port: int, house: str
) -> None:
    old, new = space_of(0).id, space_of(1).id
    remember, reindex, retire = lines(UPGRADE)
    listing, promote = lines(ROLL_BACK)
    with running("lorgnette serve", place=place, port=port):
        told = bash(f'{remember}; echo "$OLD"', place=place, port=port)
        assert told.stdout.strip() == old
        bash(reindex, place=place, port=port)
        eventually(lambda: live(house) == {old: 1, new: 2})
        bash("lorgnette reindex --factory HNSW32", place=place, port=port)
        eventually(lambda: live(house) == {old: 3, new: 2})
        assert len(bash(listing, place=place, port=port).stdout.splitlines()) == 3
        bash(promote, place=place, port=port)
        eventually(lambda: live(house) == {old: 1, new: 2})
        bash(f"OLD={old}; {retire}", place=place, port=port)
        eventually(lambda: live(house) == {new: 2})


def test_the_chapter_has_no_other_commands() -> None:
    assert [len(lines(block)) for block in range(len(BLOCKS))] == [2, 4, 4, 4, 3, 2]
