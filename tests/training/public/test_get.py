"""A whole download: wrong files, full disks and cuts leave nothing false; the next run mends."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lorgnette.errors import (
    ChecksumMismatch,
    DiskFull,
    InvalidConfiguration,
    InvalidDataset,
    NotFound,
    UnsafeFile,
)
from tests.training.public.shelf import Shelf, on_a_server
from tests.training.public.tiny_sets import TinySet, photograph, tar, tiny_set
from tests.training.public.ways import Said, impatient
from training.data.public.check import Findings, check
from training.data.public.description import Checksum
from training.data.public.get import Order, get
from training.data.public.lock import read_lock
from training.data.public.transfer import RESERVE_BYTES


def got(
    tiny: TinySet, root: Path, shelf: Shelf | None = None, *, free_bytes: int = 10**15
) -> Findings:
    with (
        on_a_server(shelf or Shelf(dict(tiny.files))) as server,
        impatient(free_bytes=free_bytes) as ways,
    ):
        return get(Order(tiny.public, root, server.url), ways)


def files_below(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_wrong_checksum_leaves_no_file(algorithm: str, tmp_path: Path) -> None:
    tiny = tiny_set("cub")
    (file,) = tiny.public.files
    digits = "0" * {"sha256": 64, "md5": 32}[algorithm]
    other = replace(file, checksum=Checksum(algorithm, digits))  # type: ignore[arg-type]
    wrong = replace(tiny, public=replace(tiny.public, files=(other,)))
    with pytest.raises(ChecksumMismatch, match=rf"{algorithm} \w+, not 0000.*publisher states"):
        got(wrong, tmp_path)
    assert files_below(tmp_path) == set()
    assert got(tiny, tmp_path).problems == ()


def test_what_came_first_is_recorded_and_compared_with_what_comes_later(tmp_path: Path) -> None:
    tiny = tiny_set("roxford5k")
    home = got(tiny, tmp_path).home
    downloads = tmp_path / "downloads" / "roxford5k"
    locked = read_lock(downloads).files
    assert set(locked) == set(tiny.files)
    assert locked["oxbuild_images-v1.tgz"].size_bytes == len(tiny.files["oxbuild_images-v1.tgz"])
    (home / "gnd_roxford5k.pkl").unlink()
    other = {**tiny.files, "gnd_roxford5k.pkl": b"another file"}
    with pytest.raises(ChecksumMismatch, match=r"it was first \(lock.json knows\)"):
        got(tiny, tmp_path, Shelf(other))
    assert not (home / "gnd_roxford5k.pkl").exists()
    assert got(tiny, tmp_path).problems == ()


def test_a_lock_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    lock = tmp_path / "downloads" / "cub" / "lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"files": {"a": {"sha": 1}}}))
    with pytest.raises(
        InvalidDataset,
        match=r"lock\.json cannot be read \(files\.a\.origin: Field required\): delete",
    ):
        got(tiny_set("cub"), tmp_path)


@pytest.mark.parametrize(
    ("archive", "kind"),
    [
        (b"<html>sign in first</html>", InvalidDataset),
        (tar({"../../evil.jpg": photograph(1)}), UnsafeFile),
    ],
)
def test_a_bad_archive_is_removed_and_a_good_one_is_taken_after(
    archive: bytes, kind: type[Exception], tmp_path: Path
) -> None:
    tiny = tiny_set("roxford5k")
    with pytest.raises(kind, match="It was removed: run the same command again"):
        got(tiny, tmp_path, Shelf({**tiny.files, "oxbuild_images-v1.tgz": archive}))
    assert "oxbuild_images-v1.tgz" not in read_lock(tmp_path / "downloads" / "roxford5k").files
    assert not [name for name in files_below(tmp_path) if name.endswith((".tgz", ".jpg"))]
    assert got(tiny, tmp_path).problems == ()


def test_a_disk_too_small_for_the_whole_set_is_said_before_an_archive(tmp_path: Path) -> None:
    tiny = tiny_set("revisitop1m")
    large = replace(tiny, public=replace(tiny.public, disk_bytes=10**12))
    shelf = Shelf(dict(tiny.files))
    # Two archives: both unpacked, and one more as it came.
    with pytest.raises(DiskFull, match=r"takes 1000 GB unpacked; it still needs 1500.0 GB"):
        got(large, tmp_path, shelf, free_bytes=10**12 + 10**9)
    assert list(shelf.sent) == ["revisitop1m.txt"]
    assert got(large, tmp_path, free_bytes=2 * 10**12).problems == ()


def test_a_disk_too_small_for_an_archive_is_said_before_its_first_byte(tmp_path: Path) -> None:
    tiny = tiny_set("cub")
    size = len(tiny.files["CUB_200_2011.tgz"])
    with pytest.raises(DiskFull, match=r"CUB_200_2011\.tgz needs"):
        got(tiny, tmp_path, free_bytes=RESERVE_BYTES + 2 * size - 1)
    assert files_below(tmp_path) == set()
    assert got(tiny, tmp_path, free_bytes=RESERVE_BYTES + 2 * size).problems == ()


def test_a_set_half_downloaded_says_what_is_missing_and_is_completed(tmp_path: Path) -> None:
    tiny = tiny_set("rparis6k")
    half = {name: content for name, content in tiny.files.items() if name != "paris_2-v1.tgz"}
    shelf = Shelf(half)
    with pytest.raises(NotFound, match=r"paris_2-v1\.tgz"):
        got(tiny, tmp_path, shelf)
    (problem,) = check(tiny.public, tmp_path).problems
    assert problem.startswith("4 of 8 images are missing: jpg/town_")
    whole = Shelf(dict(tiny.files))
    assert got(tiny, tmp_path, whole).problems == ()
    assert list(whole.sent) == ["paris_2-v1.tgz"]


class Stopped(BaseException):
    """As Ctrl-C, or the end of the process."""


class Stopping(Said):
    """Stops the run at a point."""

    def __init__(self, task: str) -> None:
        super().__init__()
        self.task = task

    def __call__(self, task: str, done: int, *, total: int | None) -> None:
        super().__call__(task, done, total=total)
        if task == self.task:
            raise Stopped


@pytest.mark.parametrize(
    "task", ["gnd_roxford5k.pkl", "oxbuild_images-v1.tgz", "unpacking oxbuild_images-v1.tgz"]
)
def test_a_run_that_was_stopped_is_mended_by_the_next(task: str, tmp_path: Path) -> None:
    tiny = tiny_set("roxford5k")
    shelf = Shelf(dict(tiny.files))
    with on_a_server(shelf) as server:
        order = Order(tiny.public, tmp_path, server.url)
        with impatient(report=Stopping(task)) as ways, pytest.raises(Stopped):
            get(order, ways)
        assert check(tiny.public, tmp_path).problems
        with impatient() as ways:
            assert get(order, ways).problems == ()
    if task.startswith("unpacking"):
        assert shelf.sent == {name: len(content) for name, content in tiny.files.items()}


def test_two_processes_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    tiny = tiny_set("rparis6k")
    shelf = Shelf(dict(tiny.files))
    found: list[Findings] = []
    with on_a_server(shelf) as server:

        def run() -> None:
            with impatient() as ways:
                found.append(get(Order(tiny.public, tmp_path, server.url), ways))

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [findings.problems for findings in found] == [(), ()]
    assert shelf.sent == {name: len(content) for name, content in tiny.files.items()}


def test_what_a_user_already_has_is_kept(tmp_path: Path) -> None:
    """Images of the user's own copy, without any record of ours."""
    tiny = tiny_set("roxford5k")
    home = got(tiny, tmp_path / "theirs").home
    own = tmp_path / "own" / "roxford5k"
    own.parent.mkdir()
    home.rename(own)
    (own / ".unpacked" / "oxbuild_images-v1.tgz.tsv").unlink()
    shelf = Shelf(dict(tiny.files))
    findings = got(tiny, tmp_path / "own", shelf)
    assert (findings.home, findings.problems) == (own, ())
    assert shelf.sent == {}


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "root").write_bytes(b"")
    with pytest.raises(InvalidConfiguration, match="cannot write"):
        got(tiny_set("cub"), tmp_path / "root")
