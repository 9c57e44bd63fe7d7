"""One file over a bad line: resumed, restarted, refused; never a wrong one under its final name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorgnette.errors import (
    ChecksumMismatch,
    DiskFull,
    InvalidConfiguration,
    NotFound,
    RefusedByServer,
    Unreachable,
)
from tests.sdk.loopback import RESET, Reply, in_turn, serving
from tests.training.public.ftp_server import FtpShelf, on_an_ftp_server
from tests.training.public.shelf import Shelf, on_a_server
from tests.training.public.ways import Said, impatient
from training.data.public.transfer import RESERVE_BYTES, fetch

CONTENT = bytes(range(256)) * 1000


def fetched(url: str, path: Path, *, free_bytes: int = 10**15, copies: int = 1) -> bytes:
    with impatient(free_bytes=free_bytes) as ways:
        fetch(url, path, size_bytes=None, copies=copies, ways=ways)
    assert not path.with_name(f"{path.name}.part").exists()
    assert not path.with_name(f"{path.name}.part.json").exists()
    return path.read_bytes()


def test_a_dropped_connection_goes_on_where_it_was(tmp_path: Path) -> None:
    shelf = Shelf({"f": CONTENT}, cuts={"f": [100_000, 50_000]})
    with on_a_server(shelf) as server:
        assert fetched(f"{server.url}/f", tmp_path / "f") == CONTENT
    assert shelf.answers == [200, 206, 206]
    assert shelf.sent["f"] == len(CONTENT), "no byte is sent twice"


def test_as_many_drops_as_bring_new_bytes_are_borne(tmp_path: Path) -> None:
    shelf = Shelf({"f": CONTENT}, cuts={"f": [20_000] * 12})
    with on_a_server(shelf) as server:
        assert fetched(f"{server.url}/f", tmp_path / "f") == CONTENT
    assert shelf.sent["f"] == len(CONTENT)


def test_a_server_that_gives_nothing_is_given_up_and_the_bytes_stay(tmp_path: Path) -> None:
    shelf = Shelf({"f": CONTENT}, cuts={"f": [100_000, 0, 0, 0]})
    with on_a_server(shelf) as server:
        with pytest.raises(Unreachable, match="100,000 bytes are kept"):
            fetched(f"{server.url}/f", tmp_path / "f")
        assert not (tmp_path / "f").exists()
        assert (tmp_path / "f.part").read_bytes() == CONTENT[:100_000]
        assert fetched(f"{server.url}/f", tmp_path / "f") == CONTENT
    assert shelf.sent["f"] == len(CONTENT), "the next process goes on too"


def test_a_server_without_ranges_starts_anew(tmp_path: Path) -> None:
    shelf = Shelf({"f": CONTENT}, cuts={"f": [100_000]}, knows_ranges=False)
    with on_a_server(shelf) as server:
        assert fetched(f"{server.url}/f", tmp_path / "f") == CONTENT
    assert shelf.answers == [200, 200]


def test_a_server_without_ranges_that_always_breaks_off_is_given_up(tmp_path: Path) -> None:
    shelf = Shelf({"f": CONTENT}, cuts={"f": [100_000] * 9}, knows_ranges=False)
    with on_a_server(shelf) as server, pytest.raises(Unreachable):
        fetched(f"{server.url}/f", tmp_path / "f")
    assert len(shelf.answers) == 4, "one that gained bytes, and three that did not"


def test_going_back_and_forth_is_no_progress(tmp_path: Path) -> None:
    shelf = Shelf({"f": CONTENT}, cuts={"f": [100_000, 50_000] * 9}, knows_ranges=False)
    with on_a_server(shelf) as server, pytest.raises(Unreachable):
        fetched(f"{server.url}/f", tmp_path / "f")
    assert len(shelf.answers) == 4


def test_without_anything_to_tell_the_file_by_it_starts_anew(tmp_path: Path) -> None:
    shelf = Shelf({"f": CONTENT}, cuts={"f": [100_000]}, has_etag=False)
    with on_a_server(shelf) as server:
        assert fetched(f"{server.url}/f", tmp_path / "f") == CONTENT
        assert "range" not in server.received[1].headers


def test_a_file_exchanged_between_two_connections_is_not_mixed(tmp_path: Path) -> None:
    shelf = Shelf({"f": CONTENT}, cuts={"f": [100_000, 0, 0, 0]})
    other = CONTENT[::-1]
    with on_a_server(shelf) as server:
        with pytest.raises(Unreachable):
            fetched(f"{server.url}/f", tmp_path / "f")
        shelf.files["f"] = other
        assert fetched(f"{server.url}/f", tmp_path / "f") == other


def test_the_rest_is_not_taken_from_another_address(tmp_path: Path) -> None:
    """A mirror may state the same ETag for another file."""
    files = {"f": CONTENT, "g": CONTENT[::-1]}
    shelf = Shelf(files, cuts={"f": [100_000, 0, 0, 0]}, etag='"v1"')
    with on_a_server(shelf) as server:
        with pytest.raises(Unreachable):
            fetched(f"{server.url}/f", tmp_path / "f")
        assert fetched(f"{server.url}/g", tmp_path / "f") == CONTENT[::-1]
    assert shelf.sent["g"] == len(CONTENT)


def test_a_part_longer_than_the_file_starts_anew(tmp_path: Path) -> None:
    shelf = Shelf({"f": CONTENT}, cuts={"f": [100_000, 0, 0, 0]})
    with on_a_server(shelf) as server:
        with pytest.raises(Unreachable):
            fetched(f"{server.url}/f", tmp_path / "f")
        (tmp_path / "f.part").write_bytes(CONTENT * 2)
        assert fetched(f"{server.url}/f", tmp_path / "f") == CONTENT
    assert 416 in shelf.answers


def test_a_range_nobody_asked_for_is_not_believed(tmp_path: Path) -> None:
    wrong = Reply(206, b"x" * 10, {"Content-Range": "bytes 5-14/99", "ETag": '"1"'})
    with serving({"GET /f": in_turn(wrong, Reply(200, CONTENT))}) as server:
        assert fetched(f"{server.url}/f", tmp_path / "f") == CONTENT


def test_a_range_from_another_place_is_not_put_behind(tmp_path: Path) -> None:
    tag = {"ETag": '"1"'}
    elsewhere = {**tag, "Content-Range": f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"}
    replies = (
        Reply(200, CONTENT, tag, cut_after=100_000),
        Reply(206, CONTENT[5:], elsewhere),
        Reply(200, CONTENT, tag),
    )
    with serving({"GET /f": in_turn(*replies)}) as server:
        assert fetched(f"{server.url}/f", tmp_path / "f") == CONTENT


@pytest.mark.parametrize("failure", [Reply(503), Reply(429), RESET])
def test_a_server_that_recovers_is_asked_again(failure: Reply, tmp_path: Path) -> None:
    with serving({"GET /f": in_turn(failure, failure, Reply(200, CONTENT))}) as server:
        assert fetched(f"{server.url}/f", tmp_path / "f") == CONTENT


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (410, NotFound), (403, RefusedByServer)]
)
def test_a_refusal_is_final_and_leaves_nothing(
    status: int, kind: type[Exception], tmp_path: Path
) -> None:
    with serving({"GET /f": Reply(status)}) as server:
        with pytest.raises(kind, match=str(status)):
            fetched(f"{server.url}/f", tmp_path / "f")
        assert len(server.received) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_is_followed(tmp_path: Path) -> None:
    moved = Reply(301, headers={"Location": "/there"})
    with serving({"GET /f": moved, "GET /there": Reply(200, CONTENT)}) as server:
        assert fetched(f"{server.url}/f", tmp_path / "f") == CONTENT


@pytest.mark.parametrize("url", ["gopher://h/f", "file:///etc/passwd", "roxford5k"])
def test_what_is_no_address_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="expected http"):
        fetched(url, tmp_path / "f")


def test_another_length_than_published_is_noticed_before_a_byte(tmp_path: Path) -> None:
    with (
        serving({"GET /f": Reply(200, CONTENT)}) as server,
        impatient() as ways,
        pytest.raises(ChecksumMismatch, match=r"256,000 bytes, the published f 7"),
    ):
        fetch(f"{server.url}/f", tmp_path / "f", size_bytes=7, copies=1, ways=ways)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("copies", "fits"), [(1, True), (2, False)])
def test_an_archive_needs_its_size_twice(copies: int, *, fits: bool, tmp_path: Path) -> None:
    free = RESERVE_BYTES + len(CONTENT) + 10
    with serving({"GET /f": Reply(200, CONTENT)}) as server:
        url, path = f"{server.url}/f", tmp_path / "f"
        if fits:
            assert fetched(url, path, free_bytes=free, copies=copies) == CONTENT
            return
        with pytest.raises(DiskFull, match=r"choose another --root"):
            fetched(url, path, free_bytes=free, copies=copies)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_up_to_the_whole(tmp_path: Path) -> None:
    said = Said()
    shelf = Shelf({"f": CONTENT}, cuts={"f": [100_000]})
    with on_a_server(shelf) as server, impatient(report=said) as ways:
        fetch(f"{server.url}/f", tmp_path / "f", size_bytes=None, copies=1, ways=ways)
    assert {task for task, _, _ in said.all} == {"f"}
    done = [done for _, done, _ in said.all]
    assert done == sorted(done)
    assert said.all[-1] == ("f", len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("at_cut", ["426 aborted", "226 done"])
def test_ftp_goes_on_where_it_was(at_cut: str, tmp_path: Path) -> None:
    shelf = FtpShelf({"cs/f.zip": CONTENT}, cuts=[100_000, 50_000], at_cut=at_cut)
    with on_an_ftp_server(shelf) as url:
        assert fetched(f"{url}/cs/f.zip", tmp_path / "f") == CONTENT
    assert shelf.sent == len(CONTENT)


def test_ftp_says_when_a_file_is_gone(tmp_path: Path) -> None:
    with on_an_ftp_server(FtpShelf({})) as url, pytest.raises(NotFound, match="550"):
        fetched(f"{url}/cs/f.zip", tmp_path / "f")


def test_a_closed_port_is_unreachable(tmp_path: Path) -> None:
    with on_an_ftp_server(FtpShelf({})) as ftp:
        pass
    with serving({}) as http:
        pass
    for url in (f"{ftp}/f", f"{http.url}/f"):
        with pytest.raises(Unreachable, match="broke off 3 times"):
            fetched(url, tmp_path / "f")
