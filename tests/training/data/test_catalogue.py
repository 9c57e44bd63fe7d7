"""Photographs on disk: which there are, of which class, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorgnette.errors import InvalidConfiguration
from tests.training.photographs import write_classes, write_photographs
from training.data.catalogue import find_photographs, labelled, trusted
from training.data.specs import Source
from training.data.splits import read_splits


def _source(**changes: str | None) -> Source:
    fields = {"folder": "photos", "splits": None, "role": None, "labels": "none", "licence": "none"}
    return Source.model_validate(fields | changes)


def test_broken_photographs_are_skipped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_photographs(tmp_path / "photos", 4)
    good = (tmp_path / "photos" / "000.jpg").read_bytes()
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    (tmp_path / "photos" / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (tmp_path / "photos" / "notes.txt").write_text("not a photograph, not looked at")
    found = find_photographs(tmp_path, [_source()])
    assert [path.name for path in found.paths] == [f"{n:03d}.jpg" for n in range(4)]
    assert found.skipped == 2
    assert "truncated.jpg" in caplog.text


def test_the_photographs_digest_follows_their_bytes(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 3)
    before = find_photographs(tmp_path, [_source()]).sha256
    assert find_photographs(tmp_path, [_source()]).sha256 == before
    Image.new("RGB", (30, 30), "red").save(tmp_path / "photos" / "001.jpg")
    assert find_photographs(tmp_path, [_source()]).sha256 != before


def test_splits_choose_the_photographs_of_a_role(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 3)
    (tmp_path / "photos" / "splits.tsv").write_text(
        "000.jpg\tpool\n001.jpg\tquery\n002.jpg\tpool\n"
    )
    found = find_photographs(tmp_path, [_source(splits="splits.tsv", role="pool")])
    assert [path.name for path in found.paths] == ["000.jpg", "002.jpg"]


def test_a_splits_file_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "splits.tsv").write_bytes(b"\xef\xbb\xbfa/1.jpg\tquery\r\nb/2.jpg\tpool\r\n")
    assert read_splits(tmp_path / "splits.tsv") == {"a/1.jpg": "query", "b/2.jpg": "pool"}


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("000.jpg pool\n", "line 1: expected path<TAB>role"),
        ("000.jpg\tpool\n001.jpg\tpond\n", "line 2"),
        ("000.jpg\tpool\n000.jpg\tpool\n", "listed twice"),
        ("absent.jpg\tpool\n", "absent.jpg"),
        ("/etc/passwd\tpool\n", "line 1: expected a plain path below the data set"),
        ("../photos/000.jpg\tpool\n", "line 1: expected a plain path below"),
        ("./000.jpg\tpool\n", "line 1: expected a plain path below"),
        ("000.jpg\tquery\n", "no photograph the role 'pool'"),
    ],
)
def test_a_wrong_splits_file_is_one_clear_sentence(tmp_path: Path, lines: str, reason: str) -> None:
    write_photographs(tmp_path / "photos", 2)
    (tmp_path / "photos" / "splits.tsv").write_text(lines)
    with pytest.raises(InvalidConfiguration, match=reason):
        find_photographs(tmp_path, [_source(splits="splits.tsv", role="pool")])


def test_missing_folders_files_and_photographs_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, reason in {"absent": "no folder", "empty": "holds no photographs"}.items():
        with pytest.raises(InvalidConfiguration, match=reason):
            find_photographs(tmp_path, [_source(folder=folder)])
    with pytest.raises(InvalidConfiguration, match="cannot read the splits"):
        read_splits(tmp_path / "absent.tsv")
    (tmp_path / "empty" / "broken.jpg").write_bytes(b"no")
    with pytest.raises(InvalidConfiguration, match="no readable photograph"):
        find_photographs(tmp_path, [_source(folder="empty")])


def test_without_labels_each_photograph_is_its_own_class(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 3)
    found = find_photographs(tmp_path, [_source()])
    assert found.labels.tolist() == [0, 1, 2]
    assert found.listing.classes == ("photos/000.jpg", "photos/001.jpg", "photos/002.jpg")


def test_the_top_folder_is_the_class_and_sources_share_none(tmp_path: Path) -> None:
    write_classes(tmp_path / "a", [2, 1])
    write_classes(tmp_path / "b", [1, 2])
    (tmp_path / "b" / "c01" / "deep").mkdir()
    (tmp_path / "b" / "c01" / "001.jpg").rename(tmp_path / "b" / "c01" / "deep" / "001.jpg")
    sources = [_source(folder=name, labels="folder") for name in ("b", "a")]
    found = find_photographs(tmp_path, sources)
    assert found.listing.classes == ("a/c00", "a/c01", "b/c00", "b/c01")
    assert found.labels.tolist() == [2, 3, 3, 0, 0, 1]
    assert found.labels.dtype == np.int64


def test_a_broken_photograph_takes_its_label_along(tmp_path: Path) -> None:
    write_classes(tmp_path / "photos", [2, 1, 2])
    (tmp_path / "photos" / "c01" / "000.jpg").write_bytes(b"broken")
    found = find_photographs(tmp_path, [_source(labels="folder")])
    assert found.listing.classes == ("photos/c00", "photos/c02")
    assert found.labels.tolist() == [0, 0, 1, 1]


def test_a_photograph_outside_the_class_folders_is_named(tmp_path: Path) -> None:
    write_classes(tmp_path / "photos", [2])
    (tmp_path / "photos" / "c00" / "000.jpg").rename(tmp_path / "photos" / "stray.jpg")
    with pytest.raises(InvalidConfiguration, match=r"stray\.jpg lies in no folder.*labels: none"):
        find_photographs(tmp_path, [_source(labels="folder")])


def test_a_public_listing_is_known_by_names_and_sizes(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 3)
    paths = sorted((tmp_path / "photos").iterdir())
    named = labelled([(paths[0], "mug"), (paths[1], "cup"), (paths[2], "mug")])
    assert named.classes == ("cup", "mug")
    assert named.labels.tolist() == [1, 0, 1]
    before = trusted(named).sha256
    assert trusted(named).sha256 == before
    paths[1].write_bytes(paths[1].read_bytes() + b"more")
    assert trusted(named).sha256 != before
    paths[2].unlink()
    with pytest.raises(InvalidConfiguration, match=r"002\.jpg is listed but cannot be read"):
        trusted(named)
