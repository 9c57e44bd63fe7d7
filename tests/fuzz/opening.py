"""A process that opens what it is told to, and says what came of it, a line of JSON each.

    {"kind": "gallery", "folder": …}  ->  {"gave": …} or {"refused": …} or {"fault": …}

It is reused, and must not die: damaged files meet FAISS, ONNX Runtime and SQLite here.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import LorgnetteError, SpaceMismatch
from service.gallery.catalogue import Catalogue
from service.gallery.restore import restore
from service.gallery.snapshot import LiveGallery
from service.keys import KeyFile, KeyRecord
from tests.fuzz.expected import QUERIES, SNAPSHOT, TOKENS_NAME
from tests.service.gallery_rows import SPACE
from tests.service.serving import png


def searched(data: Path) -> JsonValue:
    """Every hit of every query: id, score, title. The whole gallery, and few of it."""
    catalogue, gallery = Catalogue.open(data), LiveGallery(data, poll_s=3600)
    try:
        gallery.start()
        snapshot = gallery.snapshot(SPACE.id)
        found = snapshot.search(QUERIES, k=100) + snapshot.search(QUERIES, k=3)
        items = catalogue.items([hit.key for hits in found for hit in hits])
        return [
            [[items[h.key].id, h.score, items[h.key].metadata] for h in hits if h.key in items]
            for hits in found
        ]
    finally:
        gallery.close()
        catalogue.close()


def restored(data: Path) -> JsonValue:
    catalogue = Catalogue.open(data)
    try:
        restore(catalogue, data, SNAPSHOT)
    finally:
        catalogue.close()
    return searched(data)


def opened_doors(data: Path) -> JsonValue:
    """What each key opens: the scopes of the living ones."""
    records = KeyFile(data).records().values()
    tokens: dict[str, str] = json.loads((data.parent / TOKENS_NAME).read_text())
    living = {record.sha256: sorted(record.scopes) for record in records if _is_live(record)}
    return {name: list(map(str, living.get(digest, []))) for name, digest in tokens.items()}


def _is_live(record: KeyRecord) -> bool:
    return record.state(datetime.now(UTC)) == "live"


def encoded(folder: Path) -> JsonValue:
    bundle = Bundle.open(folder)
    encoder = Encoder(bundle)
    encoder.check()
    if bundle.space != SPACE:
        # A server would say the same of its vectors.
        raise SpaceMismatch(f"{MANIFEST_NAME} speaks another space, {bundle.space.id}")
    return np.round(encoder.encode(png(0)), 6).tolist()


OPENERS: dict[str, Callable[[Path], JsonValue]] = {
    "gallery": searched,
    "snapshot": restored,
    "keys": opened_doors,
    "bundle": encoded,
}


def answer(kind: str, folder: Path) -> dict[str, JsonValue]:
    try:
        return {"gave": OPENERS[kind](folder)}
    except LorgnetteError as error:
        return {"refused": str(error), "code": error.code}
    # Whatever is no refusal is what the test is looking for.
    except Exception as error:  # noqa: BLE001
        return {"fault": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(answer(asked["kind"], Path(asked["folder"]))) + "\n")
        sys.stdout.flush()
