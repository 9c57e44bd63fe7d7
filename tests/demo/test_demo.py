"""The whole demo against tiny real bundles: real children, real HTTP, generated pictures."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from PIL import Image

from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.errors import InvalidBundle, InvalidConfiguration, InvalidInput, SpaceMismatch
from service.demo.contact_sheet import sheet_size
from service.demo.galleries import own_gallery
from service.demo.run import Demo, check_demo
from tests.demo.pictures import numbered, write_pictures
from tests.tiny_bundle import write_tiny_bundle

DEADLINE_S = 300.0


@dataclass(frozen=True)
class Done:
    """A demo that has been run once with `--check`, and what it said."""

    demo: Demo
    result: subprocess.CompletedProcess[str]


@pytest.fixture
def demo(tmp_path: Path, teacher: Bundle, student: Bundle) -> Demo:
    return a_demo(tmp_path, teacher, student)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle) -> Done:
    demo = a_demo(tmp_path_factory.mktemp("done"), teacher, student)
    return Done(demo, run(demo, "--check"))


def a_demo(folder: Path, teacher: Bundle, student: Bundle) -> Demo:
    return Demo(
        photos=write_pictures(folder / "photos", *numbered(12)),
        data=folder / "demo-data",
        teacher=teacher.directory,
        student=student.directory,
        port=0,
    )


def command(demo: Demo, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "lorgnette", "demo", "--photos", str(demo.photos)),
        *("--data", str(demo.data), "--teacher", str(demo.teacher)),
        *("--student", str(demo.student), "--port", str(demo.port), *more),
    ]


def run(demo: Demo, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(demo, *more), capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )


@contextmanager
def staying(demo: Demo, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The demo, once it says that it stays up, and its URL."""
    with subprocess.Popen(
        command(demo),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    ) as child:
        assert child.stdout is not None
        said = []
        try:
            for line in child.stdout:
                said.append(line)
                if stays := re.search(r"stays at (http://\S+)", line):
                    yield child, stays[1]
                    break
            else:
                pytest.fail("".join(said))
        finally:
            if child.poll() is None:
                child.terminate()
            child.stdout.read()


def test_check_ends_with_0_when_every_query_found_its_photo(done: Done) -> None:
    said = done.result.stdout
    assert done.result.returncode == 0, said + done.result.stderr
    assert "12 embedded" in said
    assert "3 of 3 queries found their photo first" in said


def test_check_writes_the_contact_sheet_it_names(done: Done) -> None:
    sheet = re.search(r"Contact sheet: (\S+)", done.result.stdout)
    assert sheet is not None
    with Image.open(sheet[1]) as image:
        assert image.format == "PNG"
        assert image.size == sheet_size(3, 5)


def test_check_says_how_little_was_sent(done: Done) -> None:
    sent = re.findall(r"sent ([\d,]+) bytes, not the photo's ([\d,]+)", done.result.stdout)
    assert len(sent) == 3
    assert all(int(body) < 200 < int(photo.replace(",", "")) for body, photo in sent)


def test_check_ends_with_1_naming_the_photos_that_were_not_found(
    done: Done, tmp_path: Path, teacher: Bundle
) -> None:
    liar = write_tiny_bundle(tmp_path / "liar", role="query", space_seed=9).directory
    manifest = json.loads((liar / MANIFEST_NAME).read_text())
    manifest["space"] = teacher.space.model_dump()
    (liar / MANIFEST_NAME).write_text(json.dumps(manifest))
    result = run(replace(done.demo, student=liar), "--check")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "not found: photo-" in result.stdout
    assert "0 embedded, 12 unchanged" in result.stdout


@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_the_service_stays_until_the_demo_is_stopped_and_goes_with_it(
    done: Done, how: signal.Signals
) -> None:
    # Variables meant for another service must not reach the demo's.
    keys = {"LORGNETTE_SEARCH_KEY": "s" * 32, "LORGNETTE_ADMIN_KEY": "a" * 32}
    with staying(done.demo, **keys, LORGNETTE_PORT="1") as (child, url):
        (space,) = httpx.get(f"{url}/spaces", trust_env=False).json()["spaces"]
        assert space["count"] == 12
        child.send_signal(how)
        assert child.wait(timeout=DEADLINE_S) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/readyz", trust_env=False)


def test_a_service_that_dies_ends_the_demo_with_its_reason(done: Done) -> None:
    with staying(done.demo) as (child, _):
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
        if not children.exists():
            pytest.skip("needs /proc to find the service's process")
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        assert child.stdout is not None
        assert "the service ended by itself (exit code -9)" in child.stdout.read()
        assert child.wait(timeout=DEADLINE_S) == 1


def test_a_port_in_use_is_refused_before_anything_is_indexed(demo: Demo) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = replace(demo, port=taken.getsockname()[1])
        with pytest.raises(InvalidConfiguration, match=r"port \d+ on 127\.0\.0\.1 is in use"):
            check_demo(busy)
    assert not demo.data.exists()


def test_a_missing_bundle_is_refused_before_anything_is_indexed(demo: Demo, tmp_path: Path) -> None:
    with pytest.raises(InvalidBundle, match="is not a bundle"):
        check_demo(replace(demo, teacher=tmp_path / "none"))
    assert not demo.data.exists()


def test_exchanged_bundles_are_named_as_such(demo: Demo) -> None:
    with pytest.raises(InvalidBundle, match="exchanged"):
        check_demo(replace(demo, teacher=demo.student, student=demo.teacher))


def test_bundles_of_two_spaces_are_refused(demo: Demo, tmp_path: Path) -> None:
    stranger = write_tiny_bundle(tmp_path / "stranger", role="query", space_seed=5)
    with pytest.raises(SpaceMismatch, match="speaks space"):
        check_demo(replace(demo, student=stranger.directory))


def test_an_error_is_one_sentence_on_the_terminal(demo: Demo, tmp_path: Path) -> None:
    result = run(replace(demo, photos=tmp_path / "nowhere"), "--check")
    assert result.returncode == 2
    assert re.fullmatch(r"lorgnette: there is no folder .*\n", result.stderr)


def test_an_indexer_that_fails_ends_the_demo_with_its_exit_code(demo: Demo) -> None:
    gallery = own_gallery(demo.photos or Path(), demo.data)
    gallery.index.write_text("a file in the way")
    result = run(demo, "--check")
    assert result.returncode == 1
    assert str(gallery.index) in result.stderr
    assert "Traceback" not in result.stderr
    assert "The service answers" not in result.stdout


def test_photos_that_are_all_broken_are_refused(demo: Demo) -> None:
    assert demo.photos is not None
    for photo in demo.photos.iterdir():
        photo.write_bytes(b"broken")
    with pytest.raises(InvalidInput, match="none of the 12 photographs"):
        check_demo(demo)


def test_an_interrupt_while_indexing_ends_the_demo_and_its_indexer(demo: Demo) -> None:
    with subprocess.Popen(
        command(demo, "--check"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if re.match(r"\$ \S*lorgnette index ", line):
                break
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=DEADLINE_S)
    assert child.returncode == 130
    assert "Traceback" not in said
