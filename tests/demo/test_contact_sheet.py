from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from service.demo.contact_sheet import (
    _RIGHT,
    _WRONG,
    HEADER_PX,
    Row,
    Tile,
    sheet_size,
    write_contact_sheet,
)


def picture(folder: Path, name: str, color: str = "#4477aa") -> Path:
    path = folder / name
    Image.new("RGB", (60, 40), color).save(path)
    return path


def row(folder: Path, *, matches: tuple[bool, ...]) -> Row:
    image = picture(folder, "photo.png")
    tiles = tuple(
        Tile(image=image, name=f"photo-{rank}.png", score=0.9 - 0.1 * rank, is_match=match)
        for rank, match in enumerate(matches)
    )
    return Row(query=image, name="photo.png", note="generated view", tiles=tiles)


def draw(folder: Path, *rows: Row) -> Image.Image:
    path = folder / "sheet.png"
    write_contact_sheet(path, rows, title="title", subtitle="subtitle")
    with Image.open(path) as sheet:
        sheet.verify()
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        return sheet.convert("RGB")


def count(sheet: Image.Image, color: str) -> int:
    return int((np.asarray(sheet) == ImageColor.getrgb(color)).all(axis=2).sum())


def test_the_sheet_is_a_png_as_large_as_its_rows_and_columns_need(tmp_path: Path) -> None:
    rows = [row(tmp_path, matches=(True, False, False))] * 2
    sheet = draw(tmp_path, *rows)
    assert sheet.size == sheet_size(2, 3)
    assert sheet_size(3, 3)[1] > sheet_size(2, 3)[1] > HEADER_PX


def test_the_right_answer_is_framed_and_a_wrong_first_one_differently(tmp_path: Path) -> None:
    right = draw(tmp_path, row(tmp_path, matches=(True, False)))
    assert count(right, _RIGHT) > 500
    assert count(right, _WRONG) == 0
    wrong = draw(tmp_path, row(tmp_path, matches=(False, False)))
    assert count(wrong, _RIGHT) == 0
    assert count(wrong, _WRONG) > 500


def test_the_query_and_the_results_are_shown(tmp_path: Path) -> None:
    query = picture(tmp_path, "query.png", "#aa2211")
    found = picture(tmp_path, "found.png", "#22aa11")
    tile = Tile(image=found, name="found.png", score=0.5, is_match=False)
    sheet = draw(tmp_path, Row(query=query, name="query.png", note="", tiles=(tile,)))
    assert count(sheet, "#aa2211") > count(sheet, "#22aa11") > 10_000


@pytest.mark.parametrize("content", [b"", b"not a picture", None])
def test_a_picture_that_is_gone_or_broken_leaves_its_card_empty(
    tmp_path: Path, content: bytes | None
) -> None:
    query = picture(tmp_path, "query.png")
    gone = tmp_path / "gone.png"
    if content is not None:
        gone.write_bytes(content)
    tile = Tile(image=gone, name="gone.png", score=0.5, is_match=False)
    sheet = draw(tmp_path, Row(query=query, name="query.png", note="", tiles=(tile,)))
    assert sheet.size == sheet_size(1, 1)


@pytest.mark.parametrize("name", ["a" * 400 + ".jpg", "фото на море 日本.jpg", ""])
def test_any_file_name_can_be_written_below_its_picture(tmp_path: Path, name: str) -> None:
    query = picture(tmp_path, "query.png")
    tile = Tile(image=query, name=name, score=-1.0, is_match=True)
    draw(tmp_path, Row(query=query, name=name, note="generated view", tiles=(tile,)))


def test_a_query_that_found_nothing_still_has_its_row(tmp_path: Path) -> None:
    assert draw(tmp_path, row(tmp_path, matches=())).size == sheet_size(1, 0)


def test_a_failure_to_draw_leaves_the_old_sheet(tmp_path: Path) -> None:
    draw(tmp_path, row(tmp_path, matches=(True,)))
    before = (tmp_path / "sheet.png").read_bytes()
    with pytest.raises(ValueError, match="empty"):
        write_contact_sheet(tmp_path / "sheet.png", [], title="", subtitle="")
    assert (tmp_path / "sheet.png").read_bytes() == before
