"""The edge box among things that are no photographs, too many of them, and meddlers."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorgnette import errors
from lorgnette.bundle import Bundle
from lorgnette.edge.diary import Diary, Question, Sight
from lorgnette.edge.disk import disk
from lorgnette.edge.eyes import MAX_FILE_BYTES, Folder, Photo
from tests.sdk.library import write_photos
from tests.sdk.loopback import Loopback

WAIT_S = 30.0


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    directory = tmp_path / "incoming"
    directory.mkdir()
    return directory


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "edge.sqlite", lines=tmp_path / "edge.jsonl")


def look(folder: Folder, root: Path) -> list[Photo]:
    """What a look finds; one that does not end fails."""
    found: list[Photo] = []

    def work() -> None:
        diary = Diary(root / "edge.sqlite", lines=root / "edge.jsonl")
        found.extend(folder.new(diary))
        diary.close()

    looking = threading.Thread(target=work, daemon=True)
    looking.start()
    looking.join(WAIT_S)
    assert not looking.is_alive(), "the look does not end"
    return found


def has_met(path: Path, root: Path) -> bool:
    diary = Diary(root / "edge.sqlite", lines=root / "edge.jsonl")
    found = path.stat()
    has_met = diary.has_met(Sight(str(path), found.st_size, found.st_mtime_ns))
    diary.close()
    return has_met


def test_more_photographs_than_the_queue_holds_all_have_their_line(
    incoming: Path, tmp_path: Path, student: Bundle, library: Loopback
) -> None:
    write_photos(incoming, count=12)
    out = tmp_path / "edge.jsonl"
    command = [sys.executable, "-m", "lorgnette", "edge", "--watch", str(incoming), "--once"]
    places = ["--state", str(tmp_path / "edge.sqlite"), "--out", str(out)]
    more = ["--bundle", str(student.directory), "--server", library.url, "--most", "3"]
    done = subprocess.run([*command, *places, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = [Path(json.loads(line)["photo"]).name for line in out.read_text().splitlines()]
    assert sorted(names) == sorted(path.name for path in incoming.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_or_a_device_named_like_a_photograph_is_passed_by(
    incoming: Path, tmp_path: Path
) -> None:
    os.mkfifo(incoming / "a-pipe.jpg")
    (incoming / "b-zeros.jpg").symlink_to("/dev/zero")
    (incoming / "c-folder.jpg").mkdir()
    (incoming / "d-loop").symlink_to(incoming)
    (incoming / "e-nowhere.jpg").symlink_to(incoming / "nothing")
    (photo,) = write_photos(incoming, count=1)
    assert [seen.name for seen in look(Folder(incoming, settles=False), tmp_path)] == [str(photo)]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here refuses to be read")
def test_a_file_that_cannot_be_read_now_is_tried_again_and_told_once(
    incoming: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refusing = incoming / "refusing.jpg"
    refusing.symlink_to("/proc/self/mem")
    folder = Folder(incoming, settles=False)
    with caplog.at_level("WARNING"):
        for _ in range(3):
            assert look(folder, tmp_path) == []
    assert [record.message for record in caplog.records] == ["cannot be read now"]
    assert not has_met(refusing, tmp_path)


def test_a_file_too_large_to_be_a_photograph_is_not_loaded(
    incoming: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = incoming / "film.jpg"
    with film.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with caplog.at_level("WARNING"):
        assert look(Folder(incoming, settles=False), tmp_path) == []
    assert "bytes" in caplog.records[0].__dict__["why"]
    assert has_met(film, tmp_path)


def test_a_lines_file_that_is_emptied_meanwhile_gets_no_hole(tmp_path: Path, diary: Diary) -> None:
    vector = np.full(16, 0.25, np.float32)
    out = tmp_path / "edge.jsonl"
    for number in range(2):
        diary.ask(Question(0, "a", f"{number:064}", "tiny", "s@1", vector, time.time()), sight=None)
    answer_next(diary, '{"answer": 1}')
    out.write_text("")
    answer_next(diary, '{"answer": 2}')
    assert out.read_text() == '{"answer": 2}\n'


def test_a_lines_file_that_is_moved_away_is_begun_anew(tmp_path: Path, diary: Diary) -> None:
    vector = np.full(16, 0.25, np.float32)
    out = tmp_path / "edge.jsonl"
    for number in range(2):
        diary.ask(Question(0, "a", f"{number:064}", "tiny", "s@1", vector, time.time()), sight=None)
    answer_next(diary, '{"answer": 1}')
    out.rename(tmp_path / "edge.jsonl.1")
    answer_next(diary, '{"answer": 2}')
    assert out.read_text() == '{"answer": 2}\n'


def answer_next(diary: Diary, line: str) -> None:
    question = diary.oldest()
    assert question is not None
    diary.answer(question, line)


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    with pytest.raises(errors.DiskFull, match="nothing is lost"), disk(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_is_in_the_way_of_the_lines_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.InvalidConfiguration, match=f"cannot write {tmp_path / 'file'}:"):
        Diary(tmp_path / "state.sqlite", lines=tmp_path / "file" / "lines.jsonl")


def test_names_below_here_have_no_dot_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "sub/a.png"):
        Image.new("RGB", (4, 4), (len(name), 0, 0)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with closing(Diary(Path("state"), lines=Path("lines"))) as diary:
        seen = [photo.name for photo in Folder(Path(), settles=False).new(diary)]
    assert seen == ["b.png", "sub/a.png"]
