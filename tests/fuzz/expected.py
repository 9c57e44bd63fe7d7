"""The undamaged folders that files are mutated in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.gallery import backup, publish
from service.gallery.catalogue import Catalogue
from service.keys import KeyFile
from service.scopes import Scope
from tests.service.gallery_rows import SPACE, check_here, fill, new_item, unit_rows
from tests.tiny_bundle import write_tiny_bundle

QUERIES = unit_rows(4, seed=9)
SNAPSHOT = "before"
TOKENS_NAME = "digests.json"


def make_gallery(data: Path, patch: pytest.MonkeyPatch) -> None:
    """Two generations, an approximate one live, and after it a tail of new, changed and deleted."""
    patch.setattr(publish, "_ask", check_here)
    catalogue = Catalogue.open(data)
    fill(catalogue, unit_rows(60, seed=1))
    publish.publish(catalogue, data, SPACE, factory="Flat", recall_gate=0.0)
    catalogue.upsert(SPACE, [new_item("007", unit_rows(1, seed=2)[0], mtime_ns=2)])
    publish.publish(catalogue, data, SPACE, factory="Flat", recall_gate=0.0)
    fill(catalogue, unit_rows(10, seed=3), first=60)
    catalogue.upsert(SPACE, [new_item("008", unit_rows(1, seed=4)[0], mtime_ns=3)])
    catalogue.delete(["009", "061"])
    catalogue.close()


def make_snapshot(data: Path, patch: pytest.MonkeyPatch) -> None:
    make_gallery(data, patch)
    catalogue = Catalogue.open(data)
    backup.create(catalogue, data, name=SNAPSHOT)
    catalogue.close()


def make_keys(data: Path, patch: pytest.MonkeyPatch) -> None:
    """One key a scope, one that has expired, one revoked; beside them the hashes of all."""
    file = KeyFile(data)
    for scope in Scope:
        file.create(scope.value, scopes=[scope], expires_at=None)
    file.create("expired", scopes=list(Scope), expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    file.create("revoked", scopes=list(Scope), expires_at=None)
    records = list(file.records().values())
    file.revoke(records[-1].id)
    digests = {record.name: record.sha256 for record in records}
    (data.parent / TOKENS_NAME).write_text(json.dumps(digests))


def make_bundle(folder: Path, patch: pytest.MonkeyPatch) -> None:
    write_tiny_bundle(folder, role="query")


MAKERS = {
    "gallery": make_gallery,
    "snapshot": make_snapshot,
    "keys": make_keys,
    "bundle": make_bundle,
}
