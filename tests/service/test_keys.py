"""`lorgnette keys`: shown once, stored as a hash, changed by several at a time."""

from __future__ import annotations

import hashlib
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lorgnette.errors import NotFound
from service.keys import KEYS_NAME, KeyFile, id_in
from service.scopes import Scope
from tests.service.commands import run


def keys(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    return run("keys", *arguments, "--data", data)


def test_a_key_is_printed_once_and_its_hash_alone_is_kept(tmp_path: Path) -> None:
    made = keys("create", "phones", "--days", "30", data=tmp_path)
    token = made.stdout.strip()
    assert re.fullmatch(r"lgn_[0-9a-f]{8}_[0-9a-f]{64}", token)
    assert token not in made.stderr
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert token.rpartition("_")[2].encode() not in stored
    assert hashlib.sha256(token.encode()).hexdigest().encode() in stored
    listed = keys("list", data=tmp_path).stdout
    assert token not in listed
    assert re.search(rf"{id_in(token)} +live +models,search +until \d{{4}}-.* phones", listed)


def test_a_revoked_key_stays_listed_and_revoked(tmp_path: Path) -> None:
    token = keys("create", "old", "--scope", "admin", data=tmp_path).stdout.strip()
    for _ in range(2):
        assert "opens nothing" in keys("revoke", id_in(token), data=tmp_path).stdout
    assert re.search(r"revoked +admin +never expires", keys("list", data=tmp_path).stdout)


def test_an_unknown_key_and_scope_are_one_sentence(tmp_path: Path) -> None:
    unknown = keys("revoke", "00000000", data=tmp_path)
    assert unknown.returncode != 0
    assert "keys list" in " ".join(unknown.stderr.split())
    assert keys("create", "x", "--scope", "everything", data=tmp_path).returncode == 2
    assert not (tmp_path / KEYS_NAME).exists()


def test_keys_expire(tmp_path: Path) -> None:
    file, now = KeyFile(tmp_path), datetime.now(UTC)
    token = file.create("x", scopes=[Scope.SEARCH], expires_at=now + timedelta(hours=1))
    record = file.records()[id_in(token)]
    assert record.state(now) == "live"
    assert record.state(now + timedelta(hours=1)) == "expired"


def test_many_made_at_once_are_all_kept(tmp_path: Path) -> None:
    def make(n: int) -> str:
        return KeyFile(tmp_path).create(f"{n}", scopes=[Scope.SEARCH], expires_at=None)

    with ThreadPoolExecutor(8) as pool:
        made = {id_in(token) for token in pool.map(make, range(24))}
    assert set(KeyFile(tmp_path).records()) == made


def test_a_reader_sees_a_change_without_being_told(tmp_path: Path) -> None:
    reader, writer = KeyFile(tmp_path), KeyFile(tmp_path)
    assert not reader.records()
    token = writer.create("x", scopes=[Scope.SEARCH], expires_at=None)
    assert set(reader.records()) == {id_in(token)}
    writer.revoke(id_in(token))
    assert reader.records()[id_in(token)].state(datetime.now(UTC)) == "revoked"
    with pytest.raises(NotFound):
        writer.revoke("ffffffff")


def test_keys_that_anybody_can_write_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = KeyFile(tmp_path)
    token = keys.create("x", scopes=[Scope.SEARCH], expires_at=None)
    assert not caplog.messages
    (tmp_path / "keys.json").chmod(0o666)
    reader = KeyFile(tmp_path)
    for _ in range(2):
        assert set(reader.records()) == {id_in(token)}
    (message,) = caplog.messages
    assert "chmod o-w" in message
