"""`GET /items/{id}/thumbnail`: the right picture, small, bare, cached, and never another file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import ExifTags, Image

from lorgnette.bundle import Bundle
from lorgnette.errors import NotFound
from service.gallery.build import Options, index_folder
from service.gallery.catalogue import Catalogue
from service.settings import Settings
from service.thumbnails import SIDE_PX, Found, Thumbnails
from tests.service.photographs import write_photograph
from tests.service.serving import png, problem, serving

UNICODE = "Köln/Dom #1 100% ?日本.png"


def halves(width: int, height: int) -> Image.Image:
    """Red above blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = 255
    pixels[height // 2 :, :, 2] = 255
    return Image.fromarray(pixels)


def sideways_jpeg() -> bytes:
    """Red above blue when upright, stored turned, and full of what a camera writes."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "SECRET-CAMERA"
    file = io.BytesIO()
    turned = halves(400, 800).transpose(Image.Transpose.ROTATE_90)
    turned.save(file, "JPEG", exif=exif, comment=b"SECRET-COMMENT", quality=95)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "album").mkdir()
    for seed, name in enumerate(("kept", "changed", "gone", "pipe", "broken")):
        write_photograph(folder / "album" / f"{name}.jpg", seed=seed)
    return folder


@pytest.fixture(scope="module")
def data(folder: Path, tmp_path_factory: pytest.TempPathFactory, teacher: Bundle) -> Path:
    data = tmp_path_factory.mktemp("thumbnails") / "data"
    index_folder(folder, data, teacher.directory, options=Options(threads=1))
    return data


@pytest.fixture(scope="module")
def client(data: Path, teacher: Bundle, student: Bundle) -> Iterator[httpx.Client]:
    settings = Settings(data=data, teacher=teacher.directory, students=(student.directory,))
    with serving(settings) as client:
        yield client


def put(client: httpx.Client, item_id: str, image: bytes) -> None:
    answer = client.put(
        f"/admin/items/{quote(item_id)}", content=image, headers={"content-type": "image/png"}
    )
    assert answer.status_code == 200, answer.text


def ask(client: httpx.Client, item_id: str, **headers: str) -> httpx.Response:
    return client.get(f"/items/{quote(item_id)}/thumbnail", headers=headers)


def picture(response: httpx.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/jpeg"
    return Image.open(io.BytesIO(response.content))


def test_a_photograph_is_shown_small_upright_and_without_its_metadata(client: httpx.Client) -> None:
    put(client, "turned", sideways_jpeg())
    response = ask(client, "turned")
    shown = picture(response)
    assert shown.size == (SIDE_PX // 2, SIDE_PX)
    above, below = (np.asarray(shown)[row, 80].astype(int) for row in (40, 280))
    assert np.abs(above - (255, 0, 0)).max() < 12
    assert np.abs(below - (0, 0, 255)).max() < 12
    assert not shown.getexif()
    assert "icc_profile" not in shown.info
    assert b"SECRET" not in response.content


def test_a_photograph_of_an_indexed_folder_is_shown_and_not_made_larger(
    client: httpx.Client, folder: Path
) -> None:
    shown = np.asarray(picture(ask(client, "album/kept.jpg")))
    stored = np.asarray(Image.open(folder / "album" / "kept.jpg"))
    assert shown.shape == stored.shape == (48, 64, 3)
    assert np.abs(shown.astype(int) - stored).mean() < 8


@pytest.mark.parametrize("item_id", [UNICODE, "a/thumbnail", "x" * 512, "kept%2Fslash", "+ &"])
def test_any_id_finds_its_own_picture(client: httpx.Client, item_id: str) -> None:
    put(client, item_id, png(len(item_id)))
    expected = np.asarray(Image.open(io.BytesIO(png(len(item_id)))))
    assert np.abs(np.asarray(picture(ask(client, item_id))).astype(int) - expected).mean() < 6


def test_a_client_that_has_it_gets_304_until_another_photograph_is_written(
    client: httpx.Client,
) -> None:
    put(client, "replaced", png(1).ljust(9000, b"\0"))
    first = ask(client, "replaced")
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert first.headers["cache-control"] == "private, no-cache"
    again = ask(client, "replaced", **{"if-none-match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    put(client, "replaced", png(2).ljust(9000, b"\0"))
    after = ask(client, "replaced", **{"if-none-match": tag})
    assert after.status_code == 200
    assert after.headers["etag"] != tag
    assert after.content != first.content


def test_an_item_without_a_photograph_or_of_another_name_is_not_found(client: httpx.Client) -> None:
    dim = 16
    vector = {"space": client.get("/spaces").json()["spaces"][0]["space"]["id"]}
    body = vector | {"vector": [1.0] + [0.0] * (dim - 1)}
    assert client.put("/admin/items/vector", json=body).status_code == 200
    detail = problem(ask(client, "vector"), 404, "not-found")["detail"]
    assert "given as a vector" in str(detail)
    problem(ask(client, "nobody"), 404, "not-found")
    problem(ask(client, "x" * 5000), 404, "not-found")
    put(client, "deleted", png(3))
    client.delete("/admin/items/deleted")
    problem(ask(client, "deleted"), 404, "not-found")


def test_a_photograph_that_is_gone_changed_or_no_file_is_not_found(
    client: httpx.Client, folder: Path
) -> None:
    album = folder / "album"
    changed = album / "changed.jpg"
    stamp = changed.stat()
    changed.write_bytes(changed.read_bytes() + b"another size, the same time")
    os.utime(changed, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (album / "gone.jpg").unlink()
    (album / "pipe.jpg").unlink()
    os.mkfifo(album / "pipe.jpg")
    broken = album / "broken.jpg"
    stamp = broken.stat()
    broken.write_bytes(b"\xff" * stamp.st_size)
    os.utime(broken, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    for name, why in (
        ("changed", "has changed"), ("gone", "is gone"), ("pipe", "has changed"),
        ("broken", "cannot be decoded"),
    ):  # fmt: skip
        detail = problem(ask(client, f"album/{name}.jpg"), 404, "not-found")["detail"]
        assert why in str(detail)
        assert str(folder) not in str(detail)


@pytest.mark.parametrize(
    "source", ["../secret.png", "sources/../../secret.png", "secret.png", "{}/../secret.png", "{}"]
)
def test_a_catalogue_that_names_another_file_leads_nowhere(
    client: httpx.Client, data: Path, source: str
) -> None:
    put(client, "led astray", png(5))
    secret = data.parent / ("secret.png" if source != "{}" else "passwd")
    secret.write_bytes(png(6))
    (data / "secret.png").write_bytes(png(6))
    named = source.format(data if source != "{}" else secret)
    with closing(Catalogue.open(data)) as catalogue, catalogue.writing() as connection:
        connection.execute(
            "UPDATE items SET source = ?, size = ?, mtime_ns = 0 WHERE id = 'led astray'",
            (named, len(png(6))),
        )
    problem(ask(client, "led astray"), 404, "not-found")


def test_the_cache_keeps_the_last_ones_within_its_bytes(client: httpx.Client, data: Path) -> None:
    for seed in range(4):
        put(client, f"cached {seed}", png(50 + seed))
    with closing(Catalogue.open(data)) as catalogue:
        found = [Found.of(catalogue, data, f"cached {seed}") for seed in range(4)]
    sizes = [len(Thumbnails(max_pixels=10**6).of(one)) for one in found]
    cache = Thumbnails(max_pixels=10**6, cache_bytes=sum(sizes[1:]))
    made = [cache.of(one) for one in found]
    for one in found:
        one.original.path.unlink()
    assert [cache.of(one) for one in found[1:]] == made[1:]
    with pytest.raises(NotFound, match="is gone"):
        cache.of(found[0])
