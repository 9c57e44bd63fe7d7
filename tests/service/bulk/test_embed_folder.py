from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import (
    GoldenMismatch,
    InvalidBundle,
    InvalidConfiguration,
    InvalidGallery,
    MissingExtra,
    NotEnoughMemory,
)
from service.bulk import local, shards
from service.bulk.local import Layout, LocalEngine, layouts, rate
from service.bulk.ray_engine import RayEngine
from service.bulk.run import Engine, embed_folder
from service.bulk.worker import Done, Work
from service.gallery.build import index_folder
from service.gallery.catalogue import Catalogue
from service.progress import Progress
from tests.service.bulk.bundles import write_bulk_bundle
from tests.service.commands import run
from tests.service.photographs import write_photograph, write_photographs
from tests.tiny_bundle import write_tiny_bundle

ONE = LocalEngine(cores=1)


@pytest.fixture
def teacher(tmp_path: Path) -> Bundle:
    return write_bulk_bundle(tmp_path / "teacher")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "photos", 37)
    return tmp_path / "photos"


def test_rows_are_those_of_the_encoder(folder: Path, teacher: Bundle, tmp_path: Path) -> None:
    embed_folder(folder, teacher.directory, tmp_path / "out", engine=ONE)
    embedding = shards.read(tmp_path / "out")
    encoder = Encoder(teacher)
    wanted = np.stack([encoder.encode(folder / name) for name in embedding.ids])
    assert embedding.ids == tuple(sorted(path.name for path in folder.iterdir()))
    assert embedding.space == teacher.space
    np.testing.assert_allclose(embedding.rows, wanted, atol=1e-6)
    # Exchanged rows would be far away: the photographs are all different.
    assert np.array_equal((embedding.rows @ wanted.T).argmax(axis=1), np.arange(37))


def test_a_broken_photograph_is_named_and_moves_no_other_row(
    folder: Path, teacher: Bundle, tmp_path: Path
) -> None:
    (folder / "002.jpg").write_bytes(b"no photograph")
    summary = embed_folder(folder, teacher.directory, tmp_path / "out", engine=ONE)
    embedding = shards.read(tmp_path / "out")
    assert [entry.name for entry in summary.skipped] == ["002.jpg"]
    assert "002.jpg" not in embedding.ids
    row = embedding.rows[embedding.ids.index("003.jpg")]
    assert row @ Encoder(teacher).encode(folder / "003.jpg") > 0.999999


def test_all_broken_photographs_make_shards_without_rows(teacher: Bundle, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.jpg").write_bytes(b"no photograph")
    embed_folder(tmp_path / "photos", teacher.directory, tmp_path / "out", engine=ONE)
    assert shards.read(tmp_path / "out").rows.shape == (0, teacher.space.dim)


def test_what_was_finished_is_not_embedded_again(
    folder: Path, teacher: Bundle, tmp_path: Path
) -> None:
    class Cut(Exception):
        pass

    def cut_after_one(work: Work, todo: Sequence[int]) -> Iterator[Done]:
        yield from ONE(work, todo[:1])
        raise Cut

    out = tmp_path / "out"
    with pytest.raises(Cut):
        embed_folder(folder, teacher.directory, out, engine=cut_after_one)
    kept = (out / "00000.npy").stat().st_mtime_ns
    summary = embed_folder(folder, teacher.directory, out, engine=ONE)
    assert summary.looked_at == 37 - summary.manifest.per_shard
    assert (out / "00000.npy").stat().st_mtime_ns == kept
    assert len(shards.read(out).ids) == 37


@pytest.mark.parametrize("name", ["00001.npy", "00001.json"])
def test_a_damaged_shard_is_told_and_then_embedded_again(
    name: str, folder: Path, teacher: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    embed_folder(folder, teacher.directory, out, engine=ONE)
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    damaged = bytearray(whole[name])
    damaged[-9] ^= 1
    (out / name).write_bytes(damaged)
    with pytest.raises(InvalidGallery, match="lorgnette embed"):
        shards.read(out)
    summary = embed_folder(folder, teacher.directory, out, engine=ONE)
    assert summary.looked_at == summary.manifest.per_shard
    assert {n: (out / n).read_bytes() for n in whole if n != "writer.lock"} == {
        n: content for n, content in whole.items() if n != "writer.lock"
    }


def test_another_folder_or_teacher_is_refused(
    folder: Path, teacher: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    embed_folder(folder, teacher.directory, out, engine=ONE)
    other = write_bulk_bundle(tmp_path / "other", space_seed=1)
    with pytest.raises(InvalidConfiguration, match="teacher_sha256"):
        embed_folder(folder, other.directory, out, engine=ONE)
    write_photograph(folder / "new.jpg", seed=99)
    with pytest.raises(InvalidConfiguration, match="photographs, count"):
        embed_folder(folder, teacher.directory, out, engine=ONE)


def test_a_bundle_without_net_and_pre_is_refused(folder: Path, tmp_path: Path) -> None:
    lacking = write_tiny_bundle(tmp_path / "lacking", role="gallery")
    with pytest.raises(InvalidBundle, match="--variants fp16,net,pre"):
        embed_folder(folder, lacking.directory, tmp_path / "out", engine=ONE)


def test_a_net_that_computes_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    """As a broken runtime would: the golden vectors are another network's."""
    one, two = (write_bulk_bundle(tmp_path / str(n), space_seed=n) for n in range(2))
    manifest = one.manifest.model_copy(update={"golden": two.manifest.golden})
    (one.directory / "manifest.json").write_text(manifest.dump())
    with pytest.raises(GoldenMismatch, match="pre and net"):
        embed_folder(folder, one.directory, tmp_path / "out", engine=ONE)


def test_progress_counts_photographs_and_estimates_the_end(
    folder: Path, teacher: Bundle, tmp_path: Path
) -> None:
    told: list[Progress] = []
    embed_folder(folder, teacher.directory, tmp_path / "out", engine=ONE, report=told.append)
    assert [step.done for step in told] == [0, 16, 32, 37]
    assert told[-1].eta_s == 0
    assert all(step.total == 37 for step in told)


def _files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.npy")} | {
        path.name: path.read_bytes() for path in out.glob("*.json")
    }


class _Fixed:
    """One layout for all shards."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def __call__(self, work: Work, todo: Sequence[int]) -> Iterator[Done]:
        return local.run(self.layout, work, todo)


def test_processes_and_threads_give_the_same_bytes(
    folder: Path, teacher: Bundle, tmp_path: Path
) -> None:
    engines: dict[str, Engine] = {
        "one": ONE,
        "threads": _Fixed(Layout(processes=1, threads=3)),
        "processes": _Fixed(Layout(processes=2, threads=2)),
    }
    for name, engine in engines.items():
        embed_folder(folder, teacher.directory, tmp_path / name, engine=engine)
    assert _files(tmp_path / "threads") == _files(tmp_path / "one")
    assert _files(tmp_path / "processes") == _files(tmp_path / "one")


def test_the_faster_layout_gets_the_rest_and_what_was_tried_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[tuple[Layout, list[int]]] = []

    def run(layout: Layout, _work: Work, todo: Sequence[int]) -> Iterator[Done]:
        given.append((layout, list(todo)))
        took = 1.0 if layout.processes == 1 else 1.5
        yield from (Done(shard, 10, took) for shard in todo)

    monkeypatch.setattr(local, "run", run)
    work = Work(tmp_path, tmp_path, (), 10, 1)
    done = [one.shard for one in LocalEngine(cores=2)(work, range(30))]
    assert done == list(range(30))
    assert given == [
        (Layout(1, 2), [0, 1]),
        (Layout(2, 1), [2, 3, 4, 5]),
        (Layout(2, 1), list(range(6, 30))),
    ]


def test_little_work_is_not_spent_on_trying() -> None:
    assert layouts(1) == (Layout(1, 1),)
    assert Layout(4, 4) in layouts(16)
    assert rate(Layout(2, 1), [Done(0, 10, 1.0), Done(1, 10, 3.0)]) == pytest.approx(10.0)


def test_a_killed_process_is_told_with_a_way_out(
    folder: Path, teacher: Bundle, tmp_path: Path
) -> None:
    class Dying(_Fixed):
        def __call__(self, work: Work, todo: Sequence[int]) -> Iterator[Done]:
            for done in super().__call__(work, todo):
                yield done
                _kill_children()

    write_photographs(folder, 200)
    out = tmp_path / "out"
    with pytest.raises(NotEnoughMemory, match="finished shards are kept"):
        embed_folder(folder, teacher.directory, out, engine=Dying(Layout(2, 1)))
    assert embed_folder(folder, teacher.directory, out, engine=ONE).looked_at < 200


def _kill_children() -> None:
    import multiprocessing

    for child in multiprocessing.active_children():
        if child.pid is not None and child.pid != os.getpid():
            child.kill()


def test_an_index_of_shards_is_that_of_the_photographs(
    folder: Path, teacher: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "002.jpg").write_bytes(b"no photograph")
    out = tmp_path / "out"
    embed_folder(folder, teacher.directory, out, engine=ONE)
    own = index_folder(folder, tmp_path / "own", teacher.directory)
    monkeypatch.setattr(Encoder, "encode", _never)
    taken = index_folder(folder, tmp_path / "taken", teacher.directory, embedded=out)
    assert (taken.embedded, taken.live.count) == (own.embedded, own.live.count) == (36, 36)
    assert [entry.name for entry in taken.skipped] == ["002.jpg"]
    rows = []
    for data in ("own", "taken"):
        with closing(Catalogue.open(tmp_path / data)) as catalogue:
            rows.append(catalogue.changes(teacher.space, since=0).rows)
    np.testing.assert_allclose(rows[1], rows[0], atol=1e-6)


def _never(*_: object) -> None:
    raise AssertionError("embedded again")


def test_shards_of_other_photographs_or_another_teacher_are_not_indexed(
    folder: Path, teacher: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    embed_folder(folder, teacher.directory, out, engine=ONE)
    other = write_bulk_bundle(tmp_path / "other", space_seed=1)
    with pytest.raises(InvalidConfiguration, match="the teacher speaks"):
        index_folder(folder, tmp_path / "data", other.directory, embedded=out)
    write_photograph(folder / "003.jpg", seed=77)
    with pytest.raises(InvalidConfiguration, match="other photographs"):
        index_folder(folder, tmp_path / "data", teacher.directory, embedded=out)


def test_the_verb_embeds_and_goes_on(folder: Path, teacher: Bundle, tmp_path: Path) -> None:
    command = ("embed", folder, "--bundle", teacher.directory, "--out", tmp_path / "out")
    first, second = (run(*command, "--cores", "1") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("37 looked at, 0 there already, 0 skipped; 3 shards")
    assert "37/37 photographs" in first.stderr
    assert second.stdout.startswith("0 looked at, 37 there already")


def test_without_ray_the_extra_is_named(
    folder: Path, teacher: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"lorgnette-app\[ray\]"):
        embed_folder(folder, teacher.directory, tmp_path / "out", engine=RayEngine(2))
