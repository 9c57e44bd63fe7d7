"""SIGKILL at named points of a write, a snapshot, a restore: nothing acknowledged is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.gallery import backup, generations, publish, writes
from service.gallery.catalogue import Catalogue
from service.gallery.records import Put, Stamp
from service.gallery.restore import restore
from service.gallery.snapshot import LiveGallery
from tests.service.gallery_rows import SPACE, brute_force, check_here, unit_rows

QUERIES = unit_rows(3, seed=77)

# Batches of ten are written, and each is told when it is acknowledged; at the n-th occurrence of
# the named step the process kills itself, in the middle of it.
CHILD = """
import os, signal, sqlite3, sys
from pathlib import Path
from lorgnette import durable
from service.gallery import backup, generations, publish, restore, schema, sources, writes
from service.gallery.catalogue import Catalogue
from tests.service.gallery_rows import SPACE, check_here
from tests.service.test_writes_crash import batch
data, point, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
publish._ask = check_here
catalogue = Catalogue.open(data)
def die(owner, name, after):
    real = getattr(owner, name)
    def dying(*arguments, **named):
        global left
        left -= 1
        if left < 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(*arguments, **named)
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    setattr(owner, name, dying)
POINTS = {
    "seq": (writes, "next_seq", True),
    "delete": (writes, "delete_items", True),
    "item": (writes, "upsert_item", True),
    "vector": (writes, "put_vector", True),
    "answer": (writes.answers, "remember", True),
    "source": (sources.durable, "replace_file", True),
    "snapshot-copy": (backup, "_copy_catalogue", True),
    "snapshot-link": (backup, "link", True),
    "snapshot-manifest": (backup.durable, "sync", False),
    "restore-prepared": (restore, "_prepare", True),
    "restore-current": (restore.generations, "write_current", True),
    "restore-generations": (restore, "_bring_back_generations", True),
    "restore-catalogue": (Catalogue, "replace_by", True),
    "restore-others": (restore, "_remove_others", False),
    "publish-index": (publish, "_write", True),
    "publish-rename": (publish, "_seal", True),
    "publish-current": (publish.generations, "promote", True),
}
if point != "commit":
    die(*POINTS[point])
else:
    catalogue.close()
    real = schema.transaction
    import contextlib
    @contextlib.contextmanager
    def dying(connection):
        global left
        left -= 1
        with real(connection):
            yield
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    schema.transaction = dying
for n in range(1, 40):
    if point.startswith("snapshot") and n == 2:
        backup.create(catalogue, data, name="second")
    if point.startswith("restore") and n == 2:
        restore.restore(catalogue, data, "first")
        print("restored", flush=True)
    if point.startswith("publish"):
        publish.publish(catalogue, data, SPACE, factory="Flat", recall_gate=1)
    if point == "source":
        sources.store(data, b"image %d" % n)
    writes.write(catalogue, batch(n), delete=[f"only {n - 1}"])
    print(n, flush=True)
"""


def batch(n: int) -> list[Put]:
    """The n-th write: ten items that are replaced by every batch, and one that is only its own."""
    rows = unit_rows(11, seed=n)
    names = [*(f"shared {m}" for m in range(10)), f"only {n}"]
    return [
        Put(id=name, source="", stamp=Stamp(0, 0), metadata={"n": n}, vectors={SPACE: row})
        for name, row in zip(names, rows, strict=True)
    ]


def truth_of(n: int) -> dict[str, NDArray[np.float32]]:
    return {put.id: put.vectors[SPACE] for put in batch(n)}


def killed_at(data: Path, point: str, occurrence: int) -> list[str]:
    """Run until it dies there. Returns what it acknowledged."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(data), point, str(occurrence)],
        capture_output=True,
        check=False,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == -9, done.stderr
    return done.stdout.split()


def found(data: Path, catalogue: Catalogue) -> list[list[tuple[str, float]]]:
    with closing(LiveGallery(data)) as gallery:
        gallery.start()
        hits = gallery.snapshot(SPACE.id).search(QUERIES, k=100)
        items = catalogue.items([hit.key for row in hits for hit in row])
        return [[(items[hit.key].id, hit.score) for hit in row] for row in hits]


def expected(
    catalogue: Catalogue, truth: Mapping[str, NDArray[np.float32]]
) -> list[list[tuple[str, float]]]:
    keys = {entry.key: entry.id for entry in catalogue.known(SPACE.id)}
    assert set(keys.values()) == set(truth)
    by_key = {key: truth[name] for key, name in keys.items()}
    return [
        [(keys[key], score) for key, score in brute_force(by_key, query, k=100)]
        for query in QUERIES
    ]


POINTS = [
    ("seq", 3), ("delete", 4), ("item", 25), ("vector", 27), ("answer", 5), ("commit", 3),
    ("source", 2), ("snapshot-copy", 0), ("snapshot-link", 2), ("snapshot-manifest", 3),
    ("restore-prepared", 0), ("restore-current", 0), ("restore-generations", 0),
    ("restore-catalogue", 0), ("restore-current", 1), ("restore-others", 0),
    ("publish-index", 1), ("publish-rename", 1), ("publish-current", 1),
]  # fmt: skip


def check(tmp_path: Path, point: str, occurrence: int) -> None:
    with closing(Catalogue.open(tmp_path)) as catalogue:
        writes.write(catalogue, batch(0))
        publish.publish(catalogue, tmp_path, SPACE, factory="Flat", recall_gate=1)
        backup.create(catalogue, tmp_path, name="first")
    said = killed_at(tmp_path, point, occurrence)
    with closing(Catalogue.open(tmp_path)) as catalogue:
        stored = writes.one(catalogue, "shared 0").metadata["n"]
        told = {item.metadata["n"] for item in writes.page(catalogue, after=0, limit=99).items}
        assert told == {stored}, "a batch is whole"
        if point.startswith("restore"):
            assert stored in (0, int(said[-1])), said
        else:
            # The acknowledged one, or the next, whose acknowledgement did not get out any more.
            last = int(said[-1]) if said else 0
            assert stored in (last, last + 1), said
        truth = truth_of(int(str(stored)))
        assert found(tmp_path, catalogue) == expected(catalogue, truth)
        for number in generations.read_current(tmp_path).values():
            generations.verify(generations.directory_of(tmp_path, number))
        assert {taken.name for taken in backup.listed(tmp_path)} == {"first"}
        restore(catalogue, tmp_path, "first")
        assert found(tmp_path, catalogue) == expected(catalogue, truth_of(0))
        publish.publish(catalogue, tmp_path, SPACE, factory="Flat", recall_gate=1)
        assert not list((tmp_path / "generations").glob(".*"))
        assert found(tmp_path, catalogue) == expected(catalogue, truth_of(0))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)


@pytest.mark.torture_row("crash-points")
@pytest.mark.parametrize(("point", "occurrence"), POINTS)
def test_killed_at_a_named_point_nothing_acknowledged_is_lost(
    tmp_path: Path, point: str, occurrence: int
) -> None:
    check(tmp_path, point, occurrence)


@pytest.mark.torture
@pytest.mark.torture_row("crash-points")
@pytest.mark.parametrize("more", range(1, 5))
@pytest.mark.parametrize(("point", "occurrence"), POINTS)
def test_killed_there_later_too(tmp_path: Path, point: str, occurrence: int, more: int) -> None:
    # What happens once in a run of the child cannot be killed later.
    later = occurrence if point.startswith(("snapshot", "restore")) else occurrence + more
    check(tmp_path, point, later)
