"""`POST /search/image`: photographs, and what is not one."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

from lorgnette.bundle import Bundle
from service.settings import Settings
from tests.service.serving import fill, png, problem, serving
from tests.tiny_bundle import space_of, write_tiny_bundle

COUNT = 12


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("gallery")
    fill(root / "data", teacher, {f"photo-{seed}": png(seed) for seed in range(COUNT)})
    # A phone may fetch the next space's student before that space is live.
    coming = write_tiny_bundle(root / "coming", role="query", space_seed=5, name="coming")
    settings = Settings(
        data=root / "data",
        students=(coming.directory, student.directory),
        max_k=100,
        max_pixels=1_000_000,
    )
    with serving(settings) as client:
        yield client


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def ask(client: httpx.Client, body: bytes, query: str = "") -> httpx.Response:
    headers = {"content-type": "image/png"}
    return client.post(f"/search/image{query}", content=body, headers=headers)


def test_a_photograph_finds_itself(client: httpx.Client) -> None:
    for seed in range(COUNT):
        answer = ask(client, png(seed), "?k=2").json()
        ((first, second),) = answer["results"]
        assert first["id"] == f"photo-{seed}"
        assert first["score"] > 0.9 > second["score"]
        assert answer["space"] == space_of(0).id


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_every_still_format_is_read(client: httpx.Client, kind: str) -> None:
    picture = Image.open(io.BytesIO(png(3)))
    ((first, *_),) = ask(client, encoded(picture, kind)).json()["results"]
    assert first["id"] == "photo-3"


def test_the_content_type_of_curl_is_good_enough(client: httpx.Client) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/octet-stream", ""):
        response = client.post("/search/image", content=png(0), headers={"content-type": kind})
        assert response.status_code == 200, response.text


def test_a_multipart_form_is_told_the_way_out(client: httpx.Client) -> None:
    response = client.post("/search/image", files={"image": png(0)})
    assert "--data-binary" in str(problem(response, 415, "invalid-request")["detail"])


@pytest.mark.parametrize("query", ["k=0", "k=-1", "k=101", "k=x", "k=1e3", "k=NaN", "limit=3"])
def test_a_bad_query_is_refused(client: httpx.Client, query: str) -> None:
    fields = problem(ask(client, png(0), f"?{query}"), 422, "invalid-request")
    assert query.partition("=")[0] in str(fields["detail"])


def test_another_space_is_a_409(client: httpx.Client) -> None:
    fields = problem(ask(client, png(0), f"?space={space_of(5).id}"), 409, "space-mismatch")
    assert fields["students"] == ["tiny-query"]
    assert ask(client, png(0), f"?space={space_of(0).id}").status_code == 200


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header states these sizes over almost no data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(30_000, 30_000), (65_535, 65_535), (2**31 - 1, 1), (1001, 1000)])
def test_an_image_bomb_is_refused_from_its_header(
    client: httpx.Client, size: tuple[int, int]
) -> None:
    started = time.monotonic()
    response = ask(client, bomb(*size))
    assert response.status_code in (413, 422), response.text
    problem(response, response.status_code, response.json()["type"].rpartition(":")[2])
    assert time.monotonic() - started < 5


def animation(kind: str) -> bytes:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="svg"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", id="postscript"),
        pytest.param(b"\0" * 1000, id="zeros"),
        pytest.param(encoded(NOISE, "JPEG")[:600], id="truncated jpeg"),
        pytest.param(encoded(NOISE, "PNG")[:3000], id="truncated png"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="png signature alone"),
        pytest.param(animation("GIF"), id="animated gif"),
        pytest.param(animation("WEBP"), id="animated webp"),
    ],
)  # fmt: skip
def test_what_is_no_photograph_is_refused(client: httpx.Client, body: bytes) -> None:
    problem(ask(client, body), 422, "invalid-image")


def test_an_image_cut_or_flipped_anywhere_is_never_a_server_fault(client: httpx.Client) -> None:
    whole = encoded(NOISE, "JPEG")
    rng = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(whole[: rng.integers(1, len(whole))])
        broken[rng.integers(0, len(broken))] ^= 1 << int(rng.integers(0, 8))
        assert ask(client, bytes(broken)).status_code in (200, 413, 422)
    assert ask(client, png(0)).status_code == 200
