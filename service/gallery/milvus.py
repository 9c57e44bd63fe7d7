"""Milvus as the holder of a generation's index: past what one machine's memory holds.

    milvus+http://host:19530#shop/HNSW      a factory, as "Flat" is one

SQLite stays the truth and `CURRENT` what readers follow. A generation is a collection, `shop_7`,
which is never written again; its directory holds `index.milvus`, which names it, in place of
`index.faiss`. Tombstones, tail, filters, ties and rollback are those of any other index. An alias
for each space, `shop_<space>`, follows `CURRENT`, for whoever reads Milvus directly.

The only module that imports pymilvus, and only once it is used.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorgnette import durable
from lorgnette.errors import InvalidConfiguration, InvalidGallery, MissingExtra, Unavailable
from lorgnette.manifest import Space
from lorgnette.vectors import Vectors

if TYPE_CHECKING:
    from pymilvus import MilvusClient

log = logging.getLogger(__name__)

SCHEME = "milvus+"

Kind = Literal["FLAT", "HNSW"]

_ADDRESS = re.compile(r"milvus\+(?P<uri>[^\s#]+)#(?P<name>[A-Za-z_]\w{0,63})/(?P<kind>FLAT|HNSW)")
_BUILT = {"FLAT": {}, "HNSW": {"M": 32, "efConstruction": 200}}
_LEAST_BREADTH = 128
"""Candidates an HNSW search holds, at least; else twice as many as are wanted."""
_MOST_WANTED = 16_384
"""Results Milvus gives at most."""
_AT_ONCE = 1_000
"""Rows in one insertion: far below the 64 MB a message may have."""


@dataclass(frozen=True)
class Address:
    """Where collections go. name: what those of this gallery begin with."""

    uri: str
    name: str
    kind: Kind

    @classmethod
    def of(cls, factory: str) -> Self:
        """Read `milvus+URI#NAME/KIND`. Raises `InvalidConfiguration`."""
        found = _ADDRESS.fullmatch(factory)
        if found is None:
            raise InvalidConfiguration(
                f"{factory!r} is no address in Milvus: expected milvus+URI#NAME/KIND with a KIND "
                "of FLAT or HNSW, such as milvus+http://localhost:19530#gallery/HNSW"
            )
        return cls(uri=found["uri"], name=found["name"], kind=cast("Kind", found["kind"]))


class Pointer(BaseModel):
    """`index.milvus` of a generation: the collection that is its index."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    uri: str
    name: str
    collection: str
    kind: Kind
    count: Annotated[int, Field(ge=1)]
    dim: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class MilvusIndex:
    """A collection of unit rows, by position. Whatever Milvus refuses is `Unavailable`."""

    pointer: Pointer

    @property
    def count(self) -> int:
        """Number of rows held."""
        return self.pointer.count

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self.pointer.dim

    @property
    def is_exact(self) -> bool:
        """Whether it compares with all rows."""
        return self.pointer.kind == "FLAT"

    @property
    def can_select(self) -> bool:
        """Milvus filters while it searches; what is wanted travels with the query."""
        return True

    def search(self, rows: Vectors, *, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Cosines and positions `[N, k]`, at most 16,384 of them, best first, then -1."""
        return self._search(rows, k=k, condition="")

    def search_among(
        self, rows: Vectors, *, k: int, is_wanted: NDArray[np.bool_]
    ) -> tuple[Vectors, NDArray[np.int64]]:
        """As `search`, among the wanted positions `[N]` only."""
        return self._search(rows, k=k, condition=_condition(np.flatnonzero(is_wanted)))

    def rows_at(self, positions: NDArray[np.int64]) -> Vectors:
        """The rows `[M, D]` at positions `[M]`."""
        if not len(positions):
            return np.empty((0, self.dim), np.float32)
        with _calls(self.pointer.uri) as client:
            found = client.query(
                self.pointer.collection,
                filter=_condition(np.unique(positions)),
                output_fields=["id", "vector"],
            )
        rows = {row["id"]: row["vector"] for row in found}
        return np.array([rows[position] for position in positions.tolist()], np.float32)

    def write(self, path: Path) -> None:
        """Write what names the collection to a new file and sync it."""
        durable.write_synced(path, self.pointer.model_dump_json(indent=1).encode() + b"\n")

    def _search(
        self, rows: Vectors, *, k: int, condition: str
    ) -> tuple[Vectors, NDArray[np.int64]]:
        wanted = min(k, _MOST_WANTED)
        breadth = {} if self.is_exact else {"ef": max(_LEAST_BREADTH, 2 * wanted)}
        with _calls(self.pointer.uri) as client:
            found = client.search(
                self.pointer.collection,
                data=list(rows),
                limit=wanted,
                filter=condition,
                search_params={"metric_type": "IP", "params": breadth},
            )
        scores = np.full((len(rows), k), -np.inf, np.float32)
        positions = np.full((len(rows), k), -1, np.int64)
        for n, hits in enumerate(found):
            scores[n, : len(hits)] = [hit["distance"] for hit in hits]
            positions[n, : len(hits)] = [hit["id"] for hit in hits]
        return scores, positions


def _condition(positions: NDArray[np.int64]) -> str:
    return f"id in {positions.tolist()}"


def is_address(factory: str) -> bool:
    """Whether a factory speaks of Milvus, well or badly."""
    return factory.startswith(SCHEME)


def build(rows: Vectors, *, factory: str, generation: int) -> MilvusIndex:
    """Hold `[N, D]` rows in a new collection; one that a crash left under its name is replaced.

    Raises `InvalidConfiguration`, `MissingExtra`, `Unavailable`.
    """
    address = Address.of(factory)
    pointer = Pointer(
        uri=address.uri,
        name=address.name,
        collection=f"{address.name}_{generation}",
        kind=address.kind,
        count=len(rows),
        dim=int(rows.shape[1]),
    )
    with _calls(address.uri) as client:
        if client.has_collection(pointer.collection):
            client.drop_collection(pointer.collection)
        _create(client, pointer)
        for start in range(0, len(rows), _AT_ONCE):
            part = enumerate(rows[start : start + _AT_ONCE], start=start)
            client.insert(pointer.collection, [{"id": n, "vector": row} for n, row in part])
        client.flush(pointer.collection)
        client.load_collection(pointer.collection)
    return MilvusIndex(pointer)


def _create(client: MilvusClient, pointer: Pointer) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    # The position. Older servers call a hit's key "id", whatever its field is called.
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=pointer.dim)
    indexes = client.prepare_index_params()
    indexes.add_index(
        "vector", index_type=pointer.kind, metric_type="IP", params=_BUILT[pointer.kind]
    )
    # What was inserted is found from then on, and nothing is inserted after the build.
    client.create_collection(
        pointer.collection, schema=schema, index_params=indexes, consistency_level="Strong"
    )


def read(path: Path) -> MilvusIndex:
    """The index a generation's file names. Raises `InvalidGallery` when it is not there whole."""
    pointer = _pointer(path)
    with _calls(pointer.uri) as client:
        if not client.has_collection(pointer.collection):
            raise InvalidGallery(
                f"Milvus at {pointer.uri} has no collection {pointer.collection}, which {path} "
                "names: build it again with `lorgnette reindex`"
            )
        client.load_collection(pointer.collection)
        held = int(client.get_collection_stats(pointer.collection)["row_count"])
    if held != pointer.count:
        raise InvalidGallery(
            f"collection {pointer.collection} holds {held} vectors, expected {pointer.count}: "
            "somebody wrote into it; build it again with `lorgnette reindex`"
        )
    return MilvusIndex(pointer)


def point(path: Path, space: Space) -> None:
    """Let the space's alias name the collection of this generation, which has gone live.

    Nothing here reads an alias: one that cannot be moved is logged, and moved by the next.
    """
    pointer = _pointer(path)
    try:
        _point(pointer, alias=alias_of(pointer.name, space))
    except Unavailable as error:
        log.warning("alias not moved: %s", error, extra={"collection": pointer.collection})


def alias_of(name: str, space: Space) -> str:
    """The alias of a space: what Milvus allows of its id, behind the gallery's name."""
    return f"{name}_{re.sub(r'[^A-Za-z0-9_]', '_', space.id)}"


def _point(pointer: Pointer, *, alias: str) -> None:
    with _calls(pointer.uri) as client:
        known = {
            name
            for collection in client.list_collections()
            for name in client.list_aliases(collection)["aliases"]
        }
        put = client.alter_alias if alias in known else client.create_alias
        put(pointer.collection, alias)


def drop(path: Path) -> None:
    """Remove the collection of a generation that is not live. What is gone already is fine."""
    pointer = _pointer(path)
    with _calls(pointer.uri) as client:
        if client.has_collection(pointer.collection):
            for alias in client.list_aliases(pointer.collection)["aliases"]:
                client.drop_alias(alias)
            client.drop_collection(pointer.collection)


def _pointer(path: Path) -> Pointer:
    try:
        return Pointer.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidGallery(
            f"{path} names no collection: build it again with `lorgnette reindex`"
        ) from error


@contextmanager
def _calls(uri: str) -> Iterator[MilvusClient]:
    client = _client(uri)
    from pymilvus.exceptions import MilvusException

    try:
        yield client
    except MilvusException as error:
        raise Unavailable(f"Milvus at {uri} refuses: {error.message}") from error


@lru_cache
def _client(uri: str) -> MilvusClient:
    try:
        from pymilvus import MilvusClient, MilvusException
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"an index in Milvus needs {error.name}, which is not installed: "
            "pip install 'lorgnette-app[milvus]'"
        ) from error
    try:
        return MilvusClient(uri=uri)
    except MilvusException as error:
        raise Unavailable(
            f"Milvus at {uri} does not answer ({error.message}): start it, or name another"
        ) from error
