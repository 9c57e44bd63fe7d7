"""The true rows of items, read from the catalogue: for what an approximate index cannot say."""

from __future__ import annotations

import json

import numpy as np

from lorgnette.errors import InvalidGallery
from lorgnette.manifest import Space
from lorgnette.vectors import Vectors
from service.gallery.catalogue import Catalogue
from service.gallery.checksums import check_vector
from service.gallery.records import Keys


def rows_in(catalogue: Catalogue, space: Space, keys: Keys) -> tuple[Keys, Vectors]:
    """Those of the keys that have a vector of the space, ascending, and the rows `[M, D]`.

    One query. Raises `InvalidGallery` for a vector of another length.
    """
    with catalogue.reading() as connection:
        found = connection.execute(
            "SELECT key, blob, crc FROM vectors WHERE space = ?"
            " AND key IN (SELECT value FROM json_each(?)) ORDER BY key",
            (space.id, json.dumps(keys.tolist())),
        ).fetchall()
    for key, blob, crc in found:
        check_vector(key, blob, crc, path=catalogue.path)
    content = b"".join(blob for _, blob, _ in found)
    if len(content) != 4 * space.dim * len(found):
        raise InvalidGallery(
            f"{catalogue.path} holds a vector of another length in space {space.id}: restore the "
            "catalogue from a copy, or index again elsewhere"
        )
    rows = np.frombuffer(content, dtype="<f4").reshape(len(found), space.dim)
    return np.array([key for key, *_ in found], np.int64), rows.astype(np.float32)
