"""Writers that remember what was acknowledged, and the check that the service remembers it too."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import httpx
import numpy as np
from numpy.typing import NDArray

from tests.service.gallery_rows import SPACE, unit_rows

SEEN_WITHIN_S = 2.0
SINGLES, IN_A_BATCH = 20, 10
QUERIES = unit_rows(3, seed=4242)

Items = dict[str, int | None]
"""By id: the number of the write that made it what it is; None is deleted."""


def row_of(item_id: str, n: int) -> NDArray[np.float32]:
    """The vector the n-th write gave an item."""
    seed = int.from_bytes(item_id.encode(), "little") % 2**31 + n
    row: NDArray[np.float32] = unit_rows(1, seed=seed)[0]
    return row


@dataclass
class Writer:
    """One client with ids of its own, so that nobody else's write explains what is found there.

    truth: what was acknowledged. pending: what was sent and not answered; it may have happened or
    not, but wholly.
    """

    name: str
    pause_s: float = 0.0
    truth: Items = field(default_factory=dict)
    pending: Items = field(default_factory=dict)
    acknowledged: int = 0
    failures: list[str] = field(default_factory=list)
    _n: int = 0

    def run(self, url: str, stop: threading.Event) -> None:
        """Write until told to stop or the connection breaks."""
        with httpx.Client(base_url=url, timeout=20) as client:
            while not stop.wait(self.pause_s):
                try:
                    self._write(client)
                except httpx.TransportError:
                    return

    def _write(self, client: httpx.Client) -> None:
        self._n += 1
        chance = random.Random(f"{self.name} {self._n}")
        kind = chance.choice(("put", "put", "batch", "delete"))
        if kind == "batch":
            self.pending = {f"{self.name}-batch-{m}": self._n for m in range(IN_A_BATCH)}
        else:
            item_id = f"{self.name}-{chance.randrange(SINGLES)}"
            self.pending = {item_id: None if kind == "delete" else self._n}
        answer = self._send(client, kind)
        # 404: what is deleted was not there, which is what was wanted.
        if answer.is_success or (kind == "delete" and answer.status_code == 404):
            self.truth |= self.pending
            self.acknowledged += 1
        else:
            self.failures.append(f"{answer.status_code} {answer.text[:200]}")
            if answer.status_code < 500:
                self.pending = {}
            return
        self.pending = {}

    def _send(self, client: httpx.Client, kind: str) -> httpx.Response:
        bodies = [self._body(item_id) for item_id in self.pending]
        if kind == "batch":
            return client.post("/admin/items:batch", json={"upsert": bodies})
        item_id = next(iter(self.pending))
        if kind == "delete":
            return client.request("DELETE", f"/admin/items/{item_id}")
        body = {name: value for name, value in bodies[0].items() if name != "id"}
        return client.put(f"/admin/items/{item_id}", json=body)

    def _body(self, item_id: str) -> dict[str, object]:
        vector = row_of(item_id, self._n).tolist()
        return {
            "id": item_id, "space": SPACE.id, "vector": vector, "metadata": {"n": self._n},
        }  # fmt: skip

    def lost(self, found: Mapping[str, int]) -> int:
        """Writes that were acknowledged and are not there, or half there. Takes over what is.

        found: by id, the number of the write that made it.
        """
        mine = {item_id: n for item_id, n in found.items() if item_id.startswith(f"{self.name}-")}
        before = _present(self.truth)
        after = _present(self.truth | self.pending)
        if mine not in (before, after):
            differing = {name for name in before | mine if before.get(name) != mine.get(name)}
            self.failures.append(f"lost: {sorted(differing)[:20]}")
            return len(differing)
        self.truth = dict(mine)
        self.pending = {}
        return 0

    def is_torn(self, found: Mapping[str, int]) -> bool:
        """Whether its batch is there in part, or of two writes."""
        batch = [n for item_id, n in found.items() if item_id.startswith(f"{self.name}-batch-")]
        return bool(batch) and (len(batch) != IN_A_BATCH or len(set(batch)) != 1)


def _present(items: Items) -> dict[str, int]:
    return {item_id: n for item_id, n in items.items() if n is not None}


class Client(Protocol):
    """Asks or writes until it is told to stop."""

    def run(self, url: str, stop: threading.Event) -> None: ...


@contextmanager
def under_load(url: str, clients: Iterable[Client]) -> Iterator[None]:
    """Every client in a thread of its own; leaving stops them, or finds them stopped."""
    stop = threading.Event()
    threads = [threading.Thread(target=client.run, args=(url, stop)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def written(client: httpx.Client) -> dict[str, int]:
    """What writers wrote: by id, the number of the write that made it."""
    found: dict[str, int] = {}
    cursor: str | None = None
    while True:
        given = {"limit": "500"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/admin/items", params=given).raise_for_status().json()
        found |= {
            item["id"]: item["metadata"]["n"] for item in page["items"] if "n" in item["metadata"]
        }
        cursor = page["next"]
        if cursor is None:
            return found


def settled(client: httpx.Client, items: Mapping[str, int], *, others: int = 0) -> str:
    """`differs_from_oracle`, given the second in which every worker must have seen the writes."""
    deadline = time.monotonic() + SEEN_WITHIN_S
    while differs_from_oracle(client, items, others=others) and time.monotonic() < deadline:
        time.sleep(0.05)
    # Twice more than there are workers: each of them must agree.
    told = (differs_from_oracle(client, items, others=others) for _ in range(4))
    return next((wrong for wrong in told if wrong), "")


def differs_from_oracle(client: httpx.Client, items: Mapping[str, int], *, others: int = 0) -> str:
    """Search everything, exactly. Returns what is wrong, or nothing.

    items: by id, the number of the write that made it; others: how many more items there are, of
    photographs. The oracle is a dict and float64.
    """
    k = len(items) + others
    body = {"space": SPACE.id, "vectors": QUERIES.tolist(), "k": k}
    results = client.post("/search", json=body).raise_for_status().json()["results"]
    for query, hits in zip(QUERIES, results, strict=True):
        told = [hit["score"] for hit in hits]
        if len(hits) != k or told != sorted(told, reverse=True):
            return f"{len(hits)} hits instead of {k}, or not best first"
        written = {hit["id"]: hit["score"] for hit in hits if "n" in hit["metadata"]}
        if set(written) != set(items):
            return f"differing ids: {sorted(set(written) ^ set(items))[:10]}"
        for item_id, n in items.items():
            exact = float(row_of(item_id, n).astype(np.float64) @ query.astype(np.float64))
            if abs(written[item_id] - exact) > 2e-6:
                return f"{item_id}: {written[item_id]} instead of {exact}"
    return ""
