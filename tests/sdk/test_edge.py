"""The edge box: each photograph once, one line each, whatever is killed, cut or changed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lorgnette import errors
from lorgnette.bundle import Bundle
from lorgnette.client import Client
from lorgnette.edge.diary import Diary, Question
from lorgnette.edge.eyes import Camera, Folder
from lorgnette.edge.station import Limits, Station
from lorgnette.encoder import Encoder
from tests.sdk.library import service, write_photos
from tests.sdk.loopback import Loopback
from tests.tiny_bundle import write_tiny_bundle

NOWHERE = "http://127.0.0.1:9"
WAIT_S = 30.0


class Box:
    """A station over a folder, made anew as a restart would."""

    def __init__(self, root: Path, student: Bundle) -> None:
        self.incoming = root / "incoming"
        self.incoming.mkdir()
        self.state, self.out = root / "edge.sqlite", root / "edge.jsonl"
        self.encoder = Encoder(student)
        self.limits = Limits(k=2, most=100, ttl_s=3600.0)

    def round(self, url: str) -> bool:
        diary = Diary(self.state, lines=self.out)
        try:
            with Client(url, max_retries=0) as client:
                eyes = Folder(self.incoming, settles=False)
                station = Station(eyes, self.encoder, client, diary, self.limits)
                station.look()
                return station.ask()
        finally:
            diary.close()

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def waiting(self) -> int:
        diary = Diary(self.state, lines=self.out)
        try:
            return diary.waiting()
        finally:
            diary.close()


@pytest.fixture
def box(tmp_path: Path, student: Bundle) -> Box:
    return Box(tmp_path, student)


def names(box: Box) -> list[str]:
    return [Path(str(line["photo"])).name for line in box.lines()]


def test_each_photograph_has_one_line_with_what_it_looks_like(box: Box, library: Loopback) -> None:
    write_photos(box.incoming)
    assert box.round(library.url)
    assert box.round(library.url)
    assert names(box) == ["photo0.jpg", "photo1.jpg", "photo2.jpg", "photo3.jpg"]
    best = [line["hits"][0]["id"] for line in box.lines()]  # type: ignore[index]
    assert best == names(box)
    assert len([r for r in library.received if r.path == "/search"]) == 4


def test_a_copy_under_another_name_is_not_taken_twice(box: Box, library: Loopback) -> None:
    (photo,) = write_photos(box.incoming, count=1)
    box.round(library.url)
    (box.incoming / "copy.jpg").write_bytes(photo.read_bytes())
    photo.rename(box.incoming / "renamed.jpg")
    box.round(library.url)
    assert names(box) == ["photo0.jpg"]


def test_vectors_wait_while_the_server_is_away_and_photographs_may_go(
    box: Box, library: Loopback
) -> None:
    photos = write_photos(box.incoming)
    assert not box.round(NOWHERE)
    assert box.lines() == []
    assert box.waiting() == 4
    held = b"".join(path.read_bytes() for path in box.state.parent.glob("edge.sqlite*"))
    assert not any(photo.read_bytes()[200:300] in held for photo in photos)
    for photo in photos:
        photo.unlink()
    assert box.round(library.url)
    assert names(box) == [photo.name for photo in photos]


def test_the_queue_is_bounded_and_the_newest_stay(box: Box, library: Loopback) -> None:
    write_photos(box.incoming)
    box.limits = Limits(k=2, most=2, ttl_s=3600.0)
    box.round(NOWHERE)
    box.round(library.url)
    assert names(box) == ["photo2.jpg", "photo3.jpg"]


def test_a_vector_older_than_its_time_is_dropped(box: Box, library: Loopback) -> None:
    write_photos(box.incoming)
    box.round(NOWHERE)
    box.limits = Limits(k=2, most=100, ttl_s=0.0)
    assert box.round(library.url)
    assert box.lines() == []


def test_vectors_of_another_space_are_dropped_when_the_student_changes(
    box: Box, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_photos(box.incoming)
    box.round(NOWHERE)
    other = write_tiny_bundle(tmp_path / "other", role="query", space_seed=9)
    box.encoder = Encoder(other)
    with caplog.at_level("WARNING"):
        assert box.round(NOWHERE)
    dropped = [record for record in caplog.records if record.message == "dropped"]
    assert [record.__dict__["questions"] for record in dropped] == [4]


def test_a_server_of_another_space_ends_the_work_and_drops_the_queue(
    box: Box, teacher: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    other = write_tiny_bundle(tmp_path / "other", role="query", space_seed=9)
    box.encoder = Encoder(other)
    write_photos(box.incoming)
    with service(teacher, other, photos) as library, pytest.raises(errors.SpaceMismatch):
        box.round(library.url)
    assert box.waiting() == 0


def test_what_is_no_photograph_is_looked_at_once(box: Box, library: Loopback) -> None:
    (box.incoming / "broken.jpg").write_bytes(b"no photograph")
    (box.incoming / "notes.txt").write_text("not looked at")
    assert box.round(library.url)
    assert box.round(library.url)
    assert box.lines() == []


def test_a_file_still_being_written_waits_until_it_stays_the_same(box: Box, tmp_path: Path) -> None:
    (photo,) = write_photos(tmp_path / "whole", count=1)
    whole = photo.read_bytes()
    arriving = box.incoming / "arriving.jpg"
    diary = Diary(box.state, lines=box.out)
    folder = Folder(box.incoming)
    arriving.write_bytes(whole[:1000])
    assert list(folder.new(diary)) == []
    arriving.write_bytes(whole)
    assert list(folder.new(diary)) == []
    (seen,) = folder.new(diary)
    assert seen.name == str(arriving)
    diary.close()


@pytest.fixture
def question() -> Question:
    vector = np.full(16, 0.25, np.float32)
    return Question(0, "a.jpg", "ab" * 32, "tiny", "student@1", vector, time.time())


def test_a_line_that_a_crash_left_unacknowledged_is_written_once(
    box: Box, question: Question
) -> None:
    box.out.write_text('{"from": "before"}\n')
    diary = Diary(box.state, lines=box.out)
    diary.ask(question, sight=None)
    diary.close()
    with box.out.open("a") as file:
        file.write('{"cut": "in the mid')
    diary = Diary(box.state, lines=box.out)
    assert box.lines() == [{"from": "before"}]
    oldest = diary.oldest()
    assert oldest is not None
    np.testing.assert_array_equal(oldest.vector, question.vector)
    diary.answer(oldest, '{"answer": 1}')
    diary.close()
    assert box.lines() == [{"from": "before"}, {"answer": 1}]


def test_lines_that_somebody_took_away_stay_away(box: Box, question: Question) -> None:
    diary = Diary(box.state, lines=box.out)
    for _ in range(2):
        diary.ask(question, sight=None)
    oldest = diary.oldest()
    assert oldest is not None
    diary.answer(oldest, '{"answer": 1}')
    diary.close()
    box.out.write_text("")
    diary = Diary(box.state, lines=box.out)
    again = diary.oldest()
    assert again is not None
    diary.answer(again, '{"answer": 2}')
    diary.close()
    assert box.lines() == [{"answer": 2}]


def test_a_second_box_over_the_same_state_is_refused(box: Box) -> None:
    diary = Diary(box.state, lines=box.out)
    with pytest.raises(errors.InvalidConfiguration, match="another `lorgnette edge`"):
        Diary(box.state, lines=box.out)
    diary.close()


def test_a_state_that_is_not_ours_is_refused(box: Box) -> None:
    box.state.write_bytes(b"something else" * 1000)
    with pytest.raises(errors.InvalidConfiguration, match="not our state"):
        Diary(box.state, lines=box.out)


def test_a_frame_of_a_camera_leaves_nothing_behind_once_answered(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "edge.sqlite", lines=tmp_path / "edge.jsonl")
    vector = np.ones(16, np.float32)
    diary.ask(Question(0, "camera-0", "a" * 64, "tiny", "s@1", vector, 1.0), sight=None)
    asked = diary.oldest()
    assert asked is not None
    diary.answer(asked, "{}")
    assert not diary.has_done("a" * 64)
    diary.close()


def test_a_camera_without_opencv_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(errors.MissingExtra, match=r"lorgnette\[camera\]"):
        Camera(0)


def edge(box: Box, url: str, *more: str) -> list[str]:
    command = [sys.executable, "-m", "lorgnette", "edge", "--watch", str(box.incoming)]
    bundle = str(box.encoder.bundle.directory)
    places = ["--state", str(box.state), "--out", str(box.out), "--bundle", bundle]
    return [*command, *places, "--server", url, "--every", "0.05", *more]


@pytest.fixture
def running(box: Box, library: Loopback) -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_killed_again_and_again_it_writes_each_photograph_once(
    box: Box, library: Loopback, running: list[subprocess.Popen[bytes]]
) -> None:
    write_photos(box.incoming, count=40)
    for wanted in (3, 11, 24):
        process = subprocess.Popen(edge(box, library.url), stderr=subprocess.DEVNULL)
        running.append(process)
        deadline = time.monotonic() + WAIT_S
        while not box.out.exists() or box.out.read_bytes().count(b"\n") < wanted:
            assert process.poll() is None
            assert time.monotonic() < deadline, "no line came"
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(
        edge(box, library.url, "--once"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(names(box)) == sorted(path.name for path in box.incoming.iterdir())


def test_once_says_by_its_exit_code_that_something_waits(box: Box) -> None:
    write_photos(box.incoming, count=1)
    done = subprocess.run(edge(box, NOWHERE, "--once"), capture_output=True, check=False)
    assert done.returncode == 1
    assert b"kept for later" in done.stderr
    assert box.waiting() == 1


def test_neither_a_folder_nor_a_camera_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lorgnette", "edge"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--watch DIR" in done.stderr
