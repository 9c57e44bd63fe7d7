"""The contact sheet: one row a query, the query at the left, what it found at the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from lorgnette.errors import InvalidImage
from lorgnette.image import read_image

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

MARGIN_PX = 40
HEADER_PX = 96
QUERY_PX = 260
TILE_PX = 180
GAP_PX = 20
CAPTION_PX = 52
ROW_GAP_PX = 28

_PAPER = "#f6f4ef"
_CARD = "#ffffff"
_EDGE = "#ddd8cc"
_INK = "#22252a"
_MUTED = "#767a80"
_RIGHT = "#1f8a4c"
_WRONG = "#b3392f"


@dataclass(frozen=True)
class Tile:
    """One result. score: cosine in [-1, 1]. is_match: whether it is the query's photograph."""

    image: Path
    name: str
    score: float
    is_match: bool


@dataclass(frozen=True)
class Row:
    """One query and its results, best first."""

    query: Path
    name: str
    note: str
    tiles: tuple[Tile, ...]


def sheet_size(rows: int, columns: int) -> tuple[int, int]:
    """Width and height in pixels of a sheet of so many queries and results a query."""
    width = 2 * MARGIN_PX + QUERY_PX + GAP_PX + columns * (TILE_PX + GAP_PX)
    height = HEADER_PX + rows * (_row_height() + ROW_GAP_PX) + MARGIN_PX - ROW_GAP_PX
    return width, height


def write_contact_sheet(path: Path, rows: Sequence[Row], *, title: str, subtitle: str) -> None:
    """Draw the rows and replace the PNG at `path` in one step."""
    columns = max(len(row.tiles) for row in rows)
    sheet = Image.new("RGB", sheet_size(len(rows), columns), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN_PX, 26), title, fill=_INK, font=_font(26))
    pen.text((MARGIN_PX, 62), subtitle, fill=_MUTED, font=_font(15))
    for number, row in enumerate(rows):
        _draw_row(sheet, row, top=HEADER_PX + number * (_row_height() + ROW_GAP_PX))
    unfinished = path.with_name(f".{path.name}.part")
    sheet.save(unfinished, format="PNG", optimize=True)
    unfinished.replace(path)


def _row_height() -> int:
    return QUERY_PX + CAPTION_PX


def _draw_row(sheet: Image.Image, row: Row, *, top: int) -> None:
    _draw_card(sheet, row.query, (MARGIN_PX, top), side=QUERY_PX, frame=_INK)
    below = (MARGIN_PX, top + QUERY_PX)
    _draw_caption(sheet, below, width=QUERY_PX, label="query", name=row.name, note=row.note)
    left = MARGIN_PX + QUERY_PX + GAP_PX
    tile_top = top + (QUERY_PX - TILE_PX) // 2
    for rank, tile in enumerate(row.tiles, start=1):
        x = left + (rank - 1) * (TILE_PX + GAP_PX) + GAP_PX
        missed = rank == 1 and not tile.is_match
        frame = _RIGHT if tile.is_match else _WRONG if missed else None
        _draw_card(sheet, tile.image, (x, tile_top), side=TILE_PX, frame=frame)
        below = (x, tile_top + TILE_PX)
        score = f"{tile.score:.3f}"
        _draw_caption(sheet, below, width=TILE_PX, label=f"{rank}", name=tile.name, note=score)


def _draw_card(
    sheet: Image.Image, image: Path, corner: tuple[int, int], *, side: int, frame: str | None
) -> None:
    x, y = corner
    pen = ImageDraw.Draw(sheet)
    box = (x, y, x + side - 1, y + side - 1)
    pen.rounded_rectangle(box, radius=8, fill=_CARD)
    inner = side - 16
    try:
        picture = ImageOps.contain(Image.fromarray(read_image(image)), (inner, inner))
    except InvalidImage:
        pen.text((x + 16, y + side // 2 - 8), "(no longer readable)", fill=_MUTED, font=_font(13))
    else:
        sheet.paste(picture, (x + (side - picture.width) // 2, y + (side - picture.height) // 2))
    pen.rounded_rectangle(box, radius=8, outline=frame or _EDGE, width=4 if frame else 1)


def _draw_caption(
    sheet: Image.Image, corner: tuple[int, int], *, width: int, label: str, name: str, note: str
) -> None:
    """Label and note on the first line, the name on the second, each cut to the width."""
    x, y = corner
    pen = ImageDraw.Draw(sheet)
    pen.text((x + 2, y + 8), label, fill=_INK, font=_font(16))
    note_font = _font(16 if len(note) < 8 else 12)
    pen.text((x + width - 2, y + 26), note, fill=_INK, font=note_font, anchor="rs")
    pen.text((x + 2, y + 32), _cut(name, width - 4), fill=_MUTED, font=_font(13))


def _cut(text: str, width: int) -> str:
    """The text, its middle replaced by an ellipsis when it is wider than `width` pixels."""
    font = _font(13)
    kept = len(text)
    shown = text
    while font.getlength(shown) > width and kept > 2:
        kept -= 1
        shown = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
    return shown


def _font(size_px: int) -> _Font:
    return ImageFont.load_default(size_px)
