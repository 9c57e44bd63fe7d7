"""Photograph files of every kind a browser is given, all made from one picture."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tests.sdk.icc import ADOBE, P3, profile

ORIENTATION = 0x0112


def picture(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """A house under the sun, in colours of its own, so that a turn is another picture."""
    random = np.random.default_rng(seed)
    scene = Image.new("RGB", (width, height), (120, 170, 230))
    draw = ImageDraw.Draw(scene)

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
        return (left * width, top * height, right * width, bottom * height)

    draw.rectangle(box(0, 0.62, 1, 1), fill=(70, 120, 50))
    draw.rectangle(box(0.3, 0.35, 0.62, 0.75), fill=(170, 60, 50))
    draw.polygon(box(0.26, 0.37, 0.46, 0.12) + box(0.46, 0.12, 0.66, 0.37), fill=(90, 50, 40))
    for left in (0.35, 0.5):
        draw.rectangle(box(left, 0.42, left + 0.07, 0.54), fill=(240, 230, 150))
    draw.rectangle(box(0.43, 0.58, 0.49, 0.75), fill=(60, 40, 30))
    draw.ellipse(box(0.78, 0.06, 0.92, 0.24), fill=(250, 220, 90))
    draw.rectangle(box(0.8, 0.4, 0.84, 0.7), fill=(100, 70, 40))
    draw.ellipse(box(0.7, 0.2, 0.94, 0.5), fill=(40, 100, 40))
    for cells, share in ((3, 0.3), (48, 0.1)):
        colours = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        scene = Image.blend(scene, colours.resize(scene.size, Image.Resampling.BICUBIC), share)
    return scene


def gallery() -> list[Image.Image]:
    """Pictures of different things, which the shipped pair tells apart as well as the tiny one."""
    width, height = 120, 90
    random = np.random.default_rng(9)
    y, x = np.mgrid[0:height, 0:width]
    board = np.where((x // 15 + y // 15) % 2, 235, 20)
    rings = 128 + 127 * np.sin(np.hypot(x - 60, y - 45) / 3)
    bars = np.where(x // 10 % 2, 30, 200)
    drawn = [
        np.stack([board, board, board], axis=2),
        np.stack([rings, 255 - rings, rings // 2], axis=2),
        np.stack([bars, bars // 2, 255 - bars], axis=2),
        random.integers(0, 256, (height, width, 3)),
    ]
    still_life = Image.new("RGB", (width, height), (250, 240, 220))
    ImageDraw.Draw(still_life).ellipse((35, 20, 90, 75), fill=(220, 40, 30))
    return [
        picture(width, height),
        *(Image.fromarray(pixels.astype(np.uint8)) for pixels in drawn),
        still_life,
    ]


def write_photographs(folder: Path) -> list[Path]:
    """Eight orientations, wide gamuts, alpha, grey, progressive, WebP, CMYK, 10 megapixels."""
    folder.mkdir(parents=True)
    photo = picture(640, 480)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = turn
        photo.save(folder / f"exif_{turn}.jpg", quality=92, exif=exif)
    photo.save(folder / "p3.jpg", quality=92, icc_profile=profile(P3, 2.2))
    photo.save(folder / "adobe.png", icc_profile=profile(ADOBE, 2.2))
    photo.save(folder / "progressive.jpg", quality=80, progressive=True)
    photo.save(folder / "full_chroma.jpg", quality=95, subsampling=0)
    photo.convert("L").save(folder / "gray.jpg", quality=92)
    photo.convert("CMYK").save(folder / "cmyk.jpg", quality=92)
    photo.save(folder / "lossy.webp", quality=85)
    photo.save(folder / "lossless.webp", lossless=True)
    photo.save(folder / "plain.bmp")
    photo.convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "palette.png")
    faded = photo.copy()
    faded.putalpha(Image.linear_gradient("L").resize(photo.size))
    faded.save(folder / "alpha.png")
    picture(4000, 2668, seed=1).save(folder / "ten_megapixels.jpg", quality=88)
    return sorted(folder.iterdir())


def write_refused(folder: Path) -> None:
    """Files that a person does pick and that are no photograph; some are a header alone."""
    folder.mkdir(parents=True)
    photo = picture(64, 48)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "iphone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    (folder / "drawing.svg").write_text(
        '<?xml version="1.0"?>\n<!-- a drawing -->\n<svg xmlns="http://www.w3.org/2000/svg"/>\n'
    )
    (folder / "document.pdf").write_bytes(b"%PDF-1.7\n")
    (folder / "text.jpg").write_text("this is no photograph\n")
    photo.save(folder / "still.gif")
    photo.save(folder / "scan.tif")
    frames = [picture(64, 48, seed=seed) for seed in range(2)]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "moving.png", save_all=True, append_images=frames[1:])
    Image.new("L", (12_500, 8_000)).save(folder / "hundred_megapixels.png")
    whole = folder / "whole.jpg"
    picture(640, 480).save(whole)
    (folder / "header_only.jpg").write_bytes(whole.read_bytes()[:100])
    start = b"\x89PNG\r\n\x1a\n" + bytes(8) + struct.pack(">II", 64, 48)
    (folder / "damaged.png").write_bytes(start)
    whole.unlink()


def raw_pixels() -> dict[str, NDArray[np.uint8]]:
    """Decoded pictures of shapes that a resize treats each in its own way."""
    return {
        "landscape": np.asarray(picture(640, 427, seed=2)),
        "portrait": np.asarray(picture(300, 511, seed=3)),
        "small": np.asarray(picture(37, 23, seed=4)),
        "strip": np.asarray(picture(901, 40, seed=5)),
        "noise": np.random.default_rng(6).integers(0, 256, (224, 224, 3), dtype=np.uint8),
    }
