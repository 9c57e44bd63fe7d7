"""What a folder may hold beside photographs we read: each named, none waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidInput
from service.gallery.scan import scan
from tests.service.commands import run
from tests.service.photographs import write_photograph, write_photographs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "photos", 2)
    return tmp_path / "photos"


def reasons(folder: Path) -> dict[str, str]:
    return {skipped.name: skipped.reason for skipped in scan(folder).skipped}


def test_a_pipe_or_device_with_a_photograph_s_name_is_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jpg")
    (folder / "endless.png").symlink_to("/dev/zero")
    found = reasons(folder)
    assert sorted(found) == ["endless.png", "pipe.jpg"]
    assert "not a regular file" in found["pipe.jpg"]
    assert len(scan(folder).photographs) == 2


@pytest.mark.parametrize("ending", ["HEIC", "heif", "avif", "jxl", "dng", "CR2", "nef"])
def test_photographs_of_formats_we_do_not_read_are_named(folder: Path, ending: str) -> None:
    (folder / f"IMG_1.{ending}").write_bytes(b"anything")
    (folder / "film.mov").write_bytes(b"no photograph")
    assert reasons(folder) == {
        f"IMG_1.{ending}": f"{ending.upper()} is not read: save a copy of it as JPEG"
    }


def test_a_folder_of_nothing_else_says_which_format_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"anything")
    with pytest.raises(InvalidInput, match=r"no photograph .* a\.heic: HEIC is not read"):
        scan(tmp_path)


def test_a_prefix_that_is_not_utf8_is_one_clear_sentence(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"--prefix .* not valid UTF-8"):
        scan(folder, prefix=os.fsdecode(b"caf\xe9"))


def test_names_of_files_do_not_steer_the_terminal(
    folder: Path, tmp_path: Path, teacher: Bundle
) -> None:
    (folder / "a\x1b[2Jb\r.jpg").write_text("no photograph")
    directory = teacher.directory
    done = run("index", folder, "--data", tmp_path / "data", "--teacher", directory)
    assert "skipped a�[2Jb�.jpg: " in done.stderr
    assert "\x1b[2J" not in done.stderr


def test_what_pillow_thinks_of_a_broken_block_stays_out_of_the_output(
    folder: Path, tmp_path: Path, teacher: Bundle
) -> None:
    write_photograph(folder / "tagged.jpg", seed=9)
    content = (folder / "tagged.jpg").read_bytes()
    broken = b"Exif\0\0II*\0\x08\0\0\0\x09\0\x01"
    block = b"\xff\xe1" + (len(broken) + 2).to_bytes(2, "big") + broken
    (folder / "tagged.jpg").write_bytes(content[:2] + block + content[2:])
    directory = teacher.directory
    done = run("index", folder, "--data", tmp_path / "data", "--teacher", directory)
    assert done.stdout.startswith("3 embedded")
    assert "Warning" not in done.stderr


def test_a_path_that_can_be_no_id_is_named_and_left_out(folder: Path) -> None:
    (folder / "two\nlines.jpg").write_bytes(b"anything")
    deep = folder.joinpath(*["d" * 200] * 3)
    deep.mkdir(parents=True)
    (deep / "far.jpg").write_bytes(b"anything")
    found = reasons(folder)
    assert len(found) == 2
    assert all("rename it; ids have 1 to 512 characters" in reason for reason in found.values())


@pytest.mark.parametrize("prefix", ["/archive", "../archive", "a\nb", "p" * 511])
def test_a_prefix_of_no_ids_is_refused(folder: Path, prefix: str) -> None:
    with pytest.raises(InvalidInput, match="--prefix: no item can be called"):
        scan(folder, prefix=prefix)
