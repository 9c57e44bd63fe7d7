"""What a search sees: one immutable view of one space, and the thread that keeps it fresh."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lorgnette.errors import (
    InvalidGallery,
    InvalidRequest,
    InvalidVector,
    SpaceMismatch,
    Unavailable,
)
from lorgnette.manifest import Space
from lorgnette.vectors import Vectors
from service.gallery import generations
from service.gallery.catalogue import Catalogue
from service.gallery.exact import ranked
from service.gallery.files import inode_of, stamp_of
from service.gallery.generations import CURRENT_NAME, Generation
from service.gallery.parts import GenerationPart, Ranking, TailLog, TailPart
from service.gallery.records import Keys
from service.gallery.stored import rows_in

log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A result. key: of the item; score: cosine in [-1, 1]."""

    key: int
    score: float


@dataclass(frozen=True)
class Snapshot:
    """One space at one moment: a generation, the tail written after it, and what is gone.

    generation: its number, 0 when nothing is published yet and everything is in the tail.
    """

    space: Space
    generation: int
    count: int
    parts: tuple[GenerationPart | TailPart, ...]

    @cached_property
    def is_exact(self) -> bool:
        """Whether every row is compared as it is."""
        return all(part.is_exact for part in self.parts)

    def search(self, rows: Vectors, *, k: int) -> list[list[Found]]:
        """The k nearest items for each of `[N, D]` unit rows, best first, equal scores by key.

        A `k` beyond `count` gives `count` results. With an exact factory ("Flat") the result is
        that of a fresh index over the same items. Blocking: keep it off an event loop.
        """
        if rows.ndim != 2 or rows.shape[1] != self.space.dim:
            raise InvalidVector(
                f"expected vectors of {self.space.dim} numbers, found an array of shape "
                f"{list(rows.shape)}: use a model of space {self.space.id}"
            )
        if k < 1:
            raise InvalidRequest(f"expected k of at least 1, found {k}")
        found = [part.search(rows, k=k) for part in self.parts if part.count]
        if not found:
            return [[] for _ in rows]
        return [self._merged(n, found, k=k) for n in range(len(rows))]

    def only(self, keys: Keys) -> Snapshot:
        """The same moment, of which only these items can be found."""
        parts = tuple(part.only(keys) for part in self.parts)
        return replace(self, parts=parts, count=sum(part.count for part in parts))

    def rows_of(self, keys: Keys) -> tuple[Keys, Vectors]:
        """The unit rows `[M, D]` of those of the keys that are held, in ascending order of key."""
        found = [part.rows_of(keys) for part in self.parts]
        held = np.concatenate([part_keys for part_keys, _ in found])
        order = np.argsort(held)
        return held[order], np.concatenate([rows for _, rows in found])[order]

    @staticmethod
    def _merged(n: int, found: list[list[Ranking]], *, k: int) -> list[Found]:
        best = found[0][n]
        if len(found) > 1:
            scores = np.concatenate([rankings[n][0] for rankings in found])
            keys = np.concatenate([rankings[n][1] for rankings in found])
            best = ranked(scores, keys, k=k)
        return list(map(Found, best[1].tolist(), best[0].tolist()))


class _Follower:
    """One space as it develops: opens its live generation once, then reads only what is new."""

    def __init__(self, data: Path, space: Space, *, number: int, catalogue: Catalogue) -> None:
        self.space = space
        self.number = number
        self._tail = TailLog(dim=space.dim)
        self._base: GenerationPart | None = None
        self._seq = 0
        if number:
            generation = Generation.open(generations.directory_of(data, number))
            if generation.manifest.space != space:
                raise InvalidGallery(
                    f"generation {number} holds space {generation.manifest.space.id}, "
                    f"{CURRENT_NAME} says {space.id}: delete {data / CURRENT_NAME}, which loses "
                    "nothing, and run `lorgnette reindex`"
                )
            if generation.manifest.seq > catalogue.seq():
                raise InvalidGallery(
                    f"generation {number} knows later writes than the catalogue {catalogue.path}, "
                    "which was exchanged for an older one: run `lorgnette index` or `reindex`"
                )
            nothing_dead = np.zeros(generation.manifest.count, np.bool_)
            self._base = GenerationPart(
                generation=generation,
                is_dead=nothing_dead,
                source=partial(rows_in, catalogue, space),
            )
            self._seq = generation.manifest.seq

    def follow(self, catalogue: Catalogue) -> Snapshot:
        """Read what was written since the last time."""
        changes = catalogue.changes(self.space, since=self._seq)
        self._tail.apply(changes)
        if self._base is not None:
            self._base = self._base.without(np.concatenate([changes.keys, changes.gone]))
        self._seq = changes.seq
        tail = self._tail.part()
        parts: tuple[GenerationPart | TailPart, ...] = (tail,)
        if self._base is not None:
            parts = (self._base, tail)
        return Snapshot(
            space=self.space,
            generation=self.number,
            count=sum(part.count for part in parts),
            parts=parts,
        )


class LiveGallery:
    """The live spaces of a data directory, followed by a daemon thread.

    A new generation, or anything the catalogue acknowledged, is seen within `poll_s` seconds. A
    generation that cannot be trusted is never swapped in: the old one keeps answering, and the
    log says why.
    """

    def __init__(self, data: Path, *, poll_s: float = 0.5) -> None:
        self._data = data
        self._poll_s = poll_s
        self._catalogue: Catalogue | None = None
        self._refreshing = threading.Lock()
        self._followers: dict[str, _Follower] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._refused: dict[str, tuple[int, InvalidGallery]] = {}
        self._seen: tuple[object, int, int] | None = None
        self._epoch = 0
        self._inode: int | None = None
        self._seq = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open what is live and begin to follow. Raises `InvalidGallery` when it is damaged.

        The catalogue is read whole first: for 100,000 items of 512 numbers 0.55 s of a core.
        """
        self._catalogue = Catalogue.open(self._data)
        self._catalogue.check()
        self.refresh()
        for _, error in self._refused.values():
            raise error
        self._thread = threading.Thread(target=self._run, name="live-gallery", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following. Snapshots that were handed out stay usable."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        if self._catalogue is not None:
            self._catalogue.close()

    def snapshot(self, space_id: str) -> Snapshot:
        """The view of a space as of now. A request takes one and keeps it.

        Raises `Unavailable` when nothing is indexed at all, `SpaceMismatch` when other spaces are.
        """
        snapshots = self._snapshots
        if space_id in snapshots:
            return snapshots[space_id]
        if not snapshots:
            raise Unavailable("the gallery is empty: index some photographs first")
        live = tuple(snapshots)
        raise SpaceMismatch(
            f"the gallery speaks {', '.join(live)}, the query speaks {space_id}: "
            "use a model of that space",
            expected=live,
            found=space_id,
        )

    def snapshots(self) -> tuple[Snapshot, ...]:
        """The views of all live spaces, by space id."""
        return tuple(self._snapshots.values())

    def refresh(self) -> None:
        """See everything acknowledged before this call, without waiting for the thread."""
        assert self._catalogue is not None, "start() comes first"
        with self._refreshing:
            self._refresh(self._catalogue)

    def _run(self) -> None:
        told = ""
        while not self._stopping.wait(self._poll_s):
            try:
                self.refresh()
            # Whatever it is, the next look may go well: a thread that died would never look.
            except Exception as error:
                reason = str(error) or type(error).__name__
                if reason != told:
                    log.exception("cannot follow the gallery", extra={"reason": reason})
                told = reason
            else:
                told = ""

    def _refresh(self, catalogue: Catalogue) -> None:
        epoch = catalogue.epoch()
        if epoch != self._epoch:
            # A snapshot was restored: nothing that was known of the old content is true of this.
            self._epoch, self._seq = epoch, 0
            self._followers, self._refused = {}, {}
        seq = self._checked_seq(catalogue)
        seen = (stamp_of(self._data / CURRENT_NAME), epoch, seq)
        if seen == self._seen:
            return
        current = generations.read_current(self._data)
        catalogue.check_knows(current)
        snapshots: dict[str, Snapshot] = {}
        for space in catalogue.spaces():
            if current and space.id not in current:
                # Half a gallery is no gallery: a space that is being embedded beside live ones.
                continue
            follower = self._follower(space, number=current.get(space.id, 0), catalogue=catalogue)
            if follower is not None:
                snapshot = follower.follow(catalogue)
                if snapshot.generation or snapshot.count:
                    snapshots[space.id] = snapshot
        if catalogue.epoch() != epoch:
            return
        self._followers = {name: self._followers[name] for name in snapshots}
        self._snapshots = snapshots
        self._seen = seen

    def _checked_seq(self, catalogue: Catalogue) -> int:
        """The catalogue's last write. Raises `InvalidGallery` when it is no longer the same one.

        The new one's keys would name other items: what is known stays consistent, and is kept.
        """
        seq, inode = catalogue.seq(), inode_of(catalogue.path)
        if self._inode is None:
            self._inode = inode
        if inode != self._inode or seq < self._seq:
            raise InvalidGallery(
                f"{catalogue.path} was exchanged or deleted while it was in use: restart the "
                "service; until then it answers from what it knew before"
            )
        self._seq = seq
        return seq

    def _follower(self, space: Space, *, number: int, catalogue: Catalogue) -> _Follower | None:
        """The follower of a space's live generation; of the old one when the new is refused."""
        old = self._followers.get(space.id)
        if old is not None and old.number == number:
            return old
        refused = self._refused.get(space.id)
        if refused is not None and refused[0] == number:
            return old
        try:
            self._followers[space.id] = _Follower(
                self._data, space, number=number, catalogue=catalogue
            )
        except InvalidGallery as error:
            self._refused[space.id] = (number, error)
            log.error("refused a generation", extra={"generation": number, "reason": str(error)})
            return old
        self._refused.pop(space.id, None)
        return self._followers[space.id]
