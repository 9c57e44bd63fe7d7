"""Archives that mean harm, archives that are damaged, and unpacking that was cut."""

from __future__ import annotations

import io
import logging
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from lorgnette.errors import InvalidConfiguration, InvalidDataset, UnsafeFile
from tests.training.public.tiny_sets import photograph, photographs, tar, zipped
from training.data.public.description import Placing, flattened
from training.data.public.unpack import is_unpacked, unpack

FLAT = flattened("jpg").placing(Path())


def as_it_is(member: PurePosixPath) -> PurePosixPath:
    return member


def unpacked(content: bytes, folder: Path, placing: Placing = as_it_is) -> Path:
    folder.mkdir(exist_ok=True)
    archive = folder / "archive"
    archive.write_bytes(content)
    home = folder / "home"
    unpack(archive, home, record="a/b.tar", placing=placing, on_bytes=lambda _: None)
    return home


def files_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def special(name: str, kind: bytes, target: str = "") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        good = tarfile.TarInfo("good.jpg")
        good.size = 3
        file.addfile(good, io.BytesIO(b"jpg"))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        file.addfile(info)
    return content.getvalue()


@pytest.mark.parametrize("pack", [tar, zipped])
@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "a\\..\\evil", "C:/x", "a\nb"])
def test_a_path_that_leads_outside_is_refused(pack, name: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnsafeFile):
        unpacked(pack({name: b"evil"}), tmp_path / "here")
    assert files_below(tmp_path) == ["here/archive"]


def test_an_absolute_path_in_a_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFile, match="no path inside"):
        unpacked(zipped({str(tmp_path / "evil"): b"evil"}), tmp_path / "here")
    assert not (tmp_path / "evil").exists()


def test_an_absolute_path_in_a_tar_stays_inside(tmp_path: Path) -> None:
    home = unpacked(tar({"/etc/evil": b"x"}), tmp_path / "here")
    assert "etc/evil" in files_below(home)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "../../x"),
        (tarfile.SYMTYPE, "good.jpg"),
        (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "good.jpg"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
    ],
)
def test_links_and_devices_are_left_out_and_named(
    kind: bytes, target: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        home = unpacked(special("odd.jpg", kind, target), tmp_path / "here", FLAT)
    assert files_below(home) == [".unpacked/a_b.tar.tsv", "jpg/good.jpg"]
    assert "odd.jpg" in caplog.text


def test_a_link_in_a_zip_is_left_out(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("good.jpg", b"jpg")
        link = zipfile.ZipInfo("odd.jpg")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    assert "jpg/odd.jpg" not in files_below(unpacked(content.getvalue(), tmp_path / "h", FLAT))


@pytest.mark.parametrize("pack", [tar, zipped])
def test_a_bomb_is_refused_before_it_is_written(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnsafeFile, match="fill a disk"):
        unpacked(pack({"zeros.jpg": bytes(80 * 1024**2)}), tmp_path / "here")
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.jpg")) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"<html>404 not found</html>",
        b"",
        tar(photographs(["a.jpg", "b.jpg"]))[:-40],
        tar({"a.jpg": photograph(1) * 40}, "w")[:5000],
        zipped(photographs(["a.jpg", "b.jpg"]))[:-30],
        zipped({"a.jpg": b"A" * 50}).replace(b"a.jpg", b"b.jpg", 1),
        b"PK\x03\x04" + bytes(100),
    ],
)
def test_a_damaged_archive_is_named_and_nothing_is_recorded(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="archive"):
        unpacked(content, tmp_path / "here")
    home = tmp_path / "here" / "home"
    assert files_below(home) == []
    assert not is_unpacked(home, "a/b.tar")


def test_a_flipped_bit_in_a_zip_is_noticed(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.jpg": photograph(3)}))
    content[60] ^= 1
    with pytest.raises(InvalidDataset):
        unpacked(bytes(content), tmp_path / "here")
    assert files_below(tmp_path / "here") == ["archive"]


def test_a_flipped_bit_in_a_tgz_leaves_none_of_its_files(tmp_path: Path) -> None:
    """gzip's checksum is read last, after every file has been put in place."""
    content = bytearray(tar({"a.jpg": b"1", "b.jpg": b"2"}))
    content[-6] ^= 1
    with pytest.raises(InvalidDataset):
        unpacked(bytes(content), tmp_path / "here")
    assert files_below(tmp_path / "here" / "home") == []


def test_an_archive_without_what_was_expected_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="none of the files"):
        unpacked(tar({"readme.txt": b"hello"}), tmp_path / "here", FLAT)


class Cut(Exception):
    pass


def test_unpacking_that_was_cut_is_mended_by_the_next(tmp_path: Path) -> None:
    images = photographs([f"x/{n}.jpg" for n in range(6)])
    archive, home = tmp_path / "archive", tmp_path / "home"
    archive.write_bytes(tar(images))
    done: list[int] = []

    def cut(count: int) -> None:
        done.append(count)
        if len(done) == 3:
            raise Cut

    with pytest.raises(Cut):
        unpack(archive, home, record="r", placing=FLAT, on_bytes=cut)
    assert len(list((home / "jpg").iterdir())) == 3
    assert not is_unpacked(home, "r")
    (home / "jpg" / "1.jpg").write_bytes(b"torn")
    kept = (home / "jpg" / "0.jpg").stat().st_ino
    unpack(archive, home, record="r", placing=FLAT, on_bytes=lambda _: None)
    assert is_unpacked(home, "r")
    assert (home / "jpg" / "0.jpg").stat().st_ino == kept, "what was whole is not written again"
    assert [(home / "jpg" / f"{n}.jpg").read_bytes() for n in range(6)] == list(images.values())
    (home / "jpg" / "5.jpg").unlink()
    assert not is_unpacked(home, "r")


def test_a_file_where_a_folder_is_needed_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_bytes(b"")
    (tmp_path / "archive").write_bytes(tar({"a.jpg": b"1"}))
    with pytest.raises(InvalidConfiguration, match="cannot write"):
        unpack(
            tmp_path / "archive",
            tmp_path / "home",
            record="r",
            placing=FLAT,
            on_bytes=lambda _: None,
        )


@pytest.mark.parametrize("content", [b"", bytes(40), b"8\xff\tb.jpg\n", b"many\tb.jpg\n"])
def test_a_record_that_is_damaged_says_nothing(content: bytes, tmp_path: Path) -> None:
    home = unpacked(tar(photographs(["b.jpg"])), tmp_path)
    assert is_unpacked(home, "a/b.tar")
    (record,) = home.rglob("*.tsv")
    record.write_bytes(content)
    assert not is_unpacked(home, "a/b.tar")
