"""The command `lorgnette`, as a person types it."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from lorgnette import wire
from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.wire import Hit, SearchResponse
from tests.command_line import Ran, Run
from tests.sdk.library import spaces_of
from tests.sdk.loopback import Loopback, Received, Reply, ok, problem, serving
from tests.tiny_bundle import write_tiny_bundle


def test_search_prints_rank_score_and_id(
    run: Run, library: Loopback, student: Bundle, photos: list[Path]
) -> None:
    ran = run("search", photos[2], "--server", library.url, "--bundle", student.directory, "-k", 2)
    assert (ran.code, ran.err) == (0, "")
    title, heading, first, second = ran.out.splitlines()
    assert title == str(photos[2])
    assert heading.split() == ["rank", "score", "id"]
    rank, score, name = first.split()
    assert (rank, name) == ("1", photos[2].name)
    assert float(score) > 0.99
    assert second.split()[0] == "2"


def test_search_as_json_is_one_object_a_photo(
    run: Run, library: Loopback, student: Bundle, photos: list[Path]
) -> None:
    ran = run("search", *photos, "--server", library.url, "--bundle", student.directory, "--json")
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert [answer["photo"] for answer in answers] == [str(photo) for photo in photos]
    assert [answer["hits"][0]["id"] for answer in answers] == [photo.name for photo in photos]


def test_a_broken_photo_is_named_and_the_others_are_searched(
    run: Run, library: Loopback, student: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photos[0].read_bytes()[:300])
    ran = run(
        *("search", photos[0], broken, photos[1], "--json"),
        *("--server", library.url, "--bundle", student.directory),
    )
    assert ran.code == 2
    assert len(ran.out.splitlines()) == 2
    assert ran.err.startswith(f"lorgnette: {broken}")
    assert len(ran.err.splitlines()) == 1


def test_an_id_cannot_steer_the_terminal(
    run: Run, teacher: Bundle, student: Bundle, photos: list[Path]
) -> None:
    hit = Hit(id="\x1b[2J\nowned", score=1.0, metadata={})
    answer = SearchResponse(space=teacher.space.id, generation=1, results=[[hit]], took_ms=0)
    with serving({"GET /spaces": ok(spaces_of(teacher)), "POST /search": ok(answer)}) as loopback:
        ran = run("search", photos[0], "--server", loopback.url, "--bundle", student.directory)
    assert "\x1b" not in ran.out
    assert len(ran.out.splitlines()) == 3


def test_the_key_comes_from_the_environment(
    run: Run,
    library: Loopback,
    student: Bundle,
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LORGNETTE_KEY", "s3cret")
    run("search", photos[0], "--server", library.url, "--bundle", student.directory)
    assert library.received[-1].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in run("search", "--help").out


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        (problem(401, "unauthorized"), 1, "the detail of unauthorized"),
        (problem(422, "invalid-request"), 2, "the detail of invalid-request"),
        (Reply(404), 1, "404"),
        (
            problem(403, "forbidden", detail="\x1b[2Jno\n\nway"),
            1,
            "\N{REPLACEMENT CHARACTER}[2Jno way",
        ),
        (Reply(200, b"hello"), 1, "lorgnette service"),
    ],
)
def test_a_failure_is_one_sentence_and_an_exit_code(
    run: Run, student: Bundle, photos: list[Path], *, reply: Reply, code: int, said: str
) -> None:
    with serving({"GET /spaces": reply}) as loopback:
        ran = run("search", photos[0], "--server", loopback.url, "--bundle", student.directory)
    assert ran.code == code
    assert ran.out == ""
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_another_space_names_the_students_that_fit(
    run: Run, library: Loopback, student: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    write_tiny_bundle(tmp_path / "other", role="query", space_seed=6)
    ran = run("search", photos[0], "--server", library.url, "--bundle", tmp_path / "other")
    assert ran.code == 1
    assert student.manifest.name in ran.err
    assert "lorgnette pull" in ran.err


def test_no_bundle_says_how_to_get_one(run: Run, photos: list[Path], tmp_path: Path) -> None:
    ran = run("search", photos[0], "--bundle", tmp_path / "none")
    assert ran.code == 1
    assert "lorgnette pull" in ran.err


def test_a_bad_server_address_is_bad_input(run: Run, student: Bundle, photos: list[Path]) -> None:
    ran = run("search", photos[0], "--server", "photos", "--bundle", student.directory)
    assert ran.code == 2
    assert "http" in ran.err


@pytest.mark.parametrize(
    "arguments", [["search"], ["search", "x.jpg", "-k", "0"], ["bogus"], ["encode", "--what"]]
)
def test_a_wrong_command_line_is_bad_input(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert "Error" in ran.err


def test_encode_writes_the_same_vectors_in_each_format(
    run: Run, student: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    encoder = Encoder(student)
    rows = np.stack([encoder.encode(photo) for photo in photos])
    common = ["encode", *photos, "--bundle", student.directory, "--format"]
    lines = [json.loads(line) for line in run(*common, "json").out.splitlines()]
    assert [line["photo"] for line in lines] == [str(photo) for photo in photos]
    assert {line["space"] for line in lines} == {student.space.id}
    np.testing.assert_allclose([line["vector"] for line in lines], rows, rtol=0, atol=1e-7)
    texts = run(*common, "base64").out.splitlines()
    halves = [np.frombuffer(base64.b64decode(text), "<f2") for text in texts]
    np.testing.assert_array_equal(halves, rows.astype("<f2"))
    out = tmp_path / "vectors.npy"
    assert run(*common, "npy", "--out", out) == Ran(0, "", "")
    np.testing.assert_array_equal(np.load(io.BytesIO(out.read_bytes())), rows)


def test_encode_writes_nothing_when_one_photo_is_broken(
    run: Run, student: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "vectors.json"
    out.write_text("before")
    (tmp_path / "empty.jpg").touch()
    common = ["encode", photos[0], tmp_path / "empty.jpg", "--bundle", student.directory]
    ran = run(*common, "--out", out)
    assert (ran.code, ran.out, out.read_text()) == (2, "", "before")
    assert "empty.jpg is empty" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.jpg", "vectors.json"]


def test_encode_to_a_place_that_cannot_be_written_is_bad_input(
    run: Run, student: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    common = ["encode", photos[0], "--bundle", student.directory, "--out"]
    for place in (tmp_path / "no" / "such" / "file", tmp_path):
        ran = run(*common, place)
        assert ran.code == 2
        assert "cannot write" in ran.err
        assert len(ran.err.splitlines()) == 1


def test_pull_then_search_needs_no_options_but_the_server(
    run: Run, library: Loopback, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("pull", library.url)
    assert ran.code == 0
    assert re.fullmatch(r"models/student holds tiny-query 1 of space tiny-\w{12}\n", ran.out)
    assert run("pull", library.url, "tiny-query").code == 0
    ran = run("search", photos[3], "--server", library.url)
    assert ran.out.splitlines()[2].split()[2] == photos[3].name


def test_pull_over_something_else_is_bad_input(run: Run, library: Loopback, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    ran = run("pull", library.url, "--to", tmp_path)
    assert ran.code == 2
    assert "not a bundle" in ran.err


def test_the_version_is_the_distributions(run: Run) -> None:
    assert re.fullmatch(r"lorgnette \d+\.\d+\.\d+\S*\n", run("--version").out)


def test_every_device_verb_has_an_example(run: Run) -> None:
    for verb in ("search", "encode", "pull"):
        assert f"  lorgnette {verb} " in run(verb, "--help").out.partition("Examples:")[2]


def test_the_default_number_of_hits_is_the_wires(run: Run) -> None:
    assert f"[default: {wire.DEFAULT_K};" in run("search", "--help").out


def test_ctrl_c_during_a_search_says_interrupted(
    teacher: Bundle, student: Bundle, photos: list[Path]
) -> None:
    asked, release = threading.Event(), threading.Event()

    def stuck(_: Received) -> Reply:
        asked.set()
        release.wait(60)
        return ok(spaces_of(teacher))

    with serving({"GET /spaces": stuck}) as loopback:
        command = [sys.executable, "-m", "lorgnette", "search", str(photos[0])]
        options = ["--server", loopback.url, "--bundle", str(student.directory)]
        with subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert asked.wait(60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        release.set()
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def test_help_is_instant() -> None:
    """Processor time, so that a busy machine does not decide."""
    command = shutil.which("lorgnette", path=Path(sys.executable).parent)
    assert command is not None
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([command, "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.5


def test_a_reader_that_leaves_early_is_no_error(
    library: Loopback, student: Bundle, photos: list[Path]
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "lorgnette", "search", *map(str, photos)),
            *("--server", library.url, "--bundle", str(student.directory)),
        ],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
