"""Numbers that are none, vectors of no length, k out of range: by every form a vector comes in."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from lorgnette.bundle import Bundle
from service.settings import Settings
from tests.service.serving import fill, png, problem, serving
from tests.tiny_bundle import space_of, write_tiny_bundle
from tests.torture.figures import RecordFigure

SPACE, OTHER, SHORT = space_of(0), space_of(1), space_of(0, dim=8)
DIM = SPACE.dim
MAX_K = 50
JSON_TYPE = {"content-type": "application/json"}
OCTETS = {"content-type": "application/octet-stream"}


def with_one(text: str, value: float | None) -> tuple[str, bytes | None]:
    """A row that holds such a number, as JSON and as bytes; None where bytes cannot say it."""
    written = "[[" + ", ".join([text] + ["0.5"] * (DIM - 1)) + "]]"
    if value is None:
        return written, None
    return written, np.array([value] + [0.5] * (DIM - 1), "<f4").tobytes()


NUMBERS = {
    "NaN": with_one("NaN", np.nan),
    "infinity": with_one("Infinity", np.inf),
    "-infinity": with_one("-Infinity", -np.inf),
    "1e39": with_one("1e39", None),
    "-1e39": with_one("-1e39", None),
    "1e400": with_one("1e400", None),
    "the text NaN": with_one('"NaN"', None),
    "null": with_one("null", None),
    "true": with_one("true", None),
    "hexadecimal": with_one("0x1", None),
    "a plus": with_one("+1", None),
}
SHAPES: dict[str, tuple[str, bytes | None]] = {
    "zero": (json.dumps([[0.0] * DIM]), np.zeros(DIM, "<f4").tobytes()),
    "minus zero": (json.dumps([[-0.0] * DIM]), (-np.zeros(DIM, "<f4")).tobytes()),
    "denormals": (json.dumps([[1e-45] * DIM]), np.full(DIM, 1e-45, "<f4").tobytes()),
    "one short": (json.dumps([[1.0] * (DIM - 1)]), np.ones(DIM - 1, "<f4").tobytes()),
    "one long": (json.dumps([[1.0] * (DIM + 1)]), np.ones(DIM + 1, "<f4").tobytes()),
    "no number": ("[[]]", b""),
    "no vector": ("[]", b""),
    "an odd byte": ('[["x"]]', np.ones(DIM, "<f4").tobytes() + b"\0"),
    "a byte short": ('[["x"]]', np.ones(DIM, "<f4").tobytes()[:-1]),
    "a zero row in a batch": (
        json.dumps([[1.0] * DIM, [0.0] * DIM]),
        np.repeat(np.array([1, 0], "<f4"), DIM).tobytes(),
    ),
}
CASES = {**NUMBERS, **SHAPES}


def as_json(
    client: httpx.Client, vectors: str, more: str = "", *, space: str = SPACE.id
) -> httpx.Response:
    body = f'{{"space": "{space}", "vectors": {vectors}{more}}}'
    return client.post("/search", content=body, headers=JSON_TYPE)


def as_base64(
    client: httpx.Client,
    row: bytes,
    more: str = "",
    *,
    space: str = SPACE.id,
    dtype: str = "f32",
) -> httpx.Response:
    packed = {"dtype": dtype, "data": base64.b64encode(row).decode()}
    return as_json(client, json.dumps(packed), more, space=space)


def as_bytes(
    client: httpx.Client,
    row: bytes,
    more: str = "",
    *,
    space: str = SPACE.id,
    dtype: str = "f32",
) -> httpx.Response:
    url = f"/search?space={space}&dtype={dtype}{more}"
    return client.post(url, content=row, headers=OCTETS)


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("gallery")
    fill(root / "data", teacher, {f"p{n}": png(n) for n in range(4)})
    coming = write_tiny_bundle(root / "coming", role="query", space_seed=1, name="coming")
    students = (coming.directory, student.directory)
    with serving(Settings(data=root / "data", students=students, max_k=MAX_K)) as client:
        yield client


def refused(response: httpx.Response, record_figure: RecordFigure) -> None:
    record_figure("answers", 1, fold=sum)
    record_figure("not 4xx problem+json", not 400 <= response.status_code < 500, fold=sum)
    code = str(response.json()["type"]).rpartition(":")[2]
    assert code in ("invalid-vector", "invalid-request")
    problem(response, 422, code)


@pytest.mark.torture_row("numbers")
@pytest.mark.parametrize("name", CASES)
def test_what_is_no_vector_is_refused_in_every_form(
    client: httpx.Client, name: str, record_figure: RecordFigure
) -> None:
    text, row = CASES[name]
    refused(as_json(client, text), record_figure)
    if row is not None:
        refused(as_base64(client, row), record_figure)
        refused(as_bytes(client, row), record_figure)


@pytest.mark.torture_row("numbers")
@pytest.mark.parametrize("bits", [0x7C00, 0xFC00, 0x7E00, 0x7C01])
def test_a_half_that_overflowed_is_refused(
    client: httpx.Client, bits: int, record_figure: RecordFigure
) -> None:
    row = np.array([bits] + [0x3C00] * (DIM - 1), "<u2").tobytes()
    for ask in (as_base64, as_bytes):
        refused(ask(client, row, dtype="f16"), record_figure)
        refused(ask(client, row[:-1], dtype="f16"), record_figure)
        refused(ask(client, bytes(2 * DIM), dtype="f16"), record_figure)
        refused(ask(client, bytes(DIM), dtype="i8"), record_figure)


@pytest.mark.torture_row("numbers")
@pytest.mark.parametrize("k", [-1, 0, MAX_K + 1, 50_000_000, 2**31, 2**63, 10**30, "1.5", "NaN"])
def test_a_k_out_of_range_is_refused_in_every_form(
    client: httpx.Client, k: int | str, record_figure: RecordFigure
) -> None:
    row = np.ones(DIM, "<f4").tobytes()
    refused(as_json(client, json.dumps([[1.0] * DIM]), f', "k": {k}'), record_figure)
    refused(as_base64(client, row, f', "k": {k}'), record_figure)
    refused(as_bytes(client, row, f"&k={k}"), record_figure)
    url, headers = f"/search/image?k={k}", {"content-type": "image/png"}
    refused(client.post(url, content=png(0), headers=headers), record_figure)


@pytest.mark.torture_row("spaces")
@pytest.mark.parametrize("form", ["JSON", "base64", "binary", "image"])
@pytest.mark.parametrize("space", [SPACE.id, OTHER.id, SHORT.id, "", "nowhere"])
def test_vectors_of_two_spaces_are_never_compared(
    client: httpx.Client, form: str, space: str, record_figure: RecordFigure
) -> None:
    row = np.ones(DIM, "<f4")
    response = {
        "JSON": lambda: as_json(client, json.dumps([row.tolist()]), space=space),
        "base64": lambda: as_base64(client, row.tobytes(), space=space),
        "binary": lambda: as_bytes(client, row.tobytes(), space=space),
        "image": lambda: client.post(
            f"/search/image?space={space}", content=png(0), headers={"content-type": "image/png"}
        ),
    }[form]()
    compared = response.status_code == 200
    record_figure("answers", 1, fold=sum)
    record_figure("silent comparisons", compared and space != SPACE.id, fold=sum)
    if space == SPACE.id:
        assert response.json()["space"] == SPACE.id
    else:
        fields = problem(response, 409, "space-mismatch")
        assert fields["students"] == ["tiny-query"]


@pytest.mark.torture_row("spaces")
def test_a_request_that_names_no_space_is_refused_or_asks_the_one_there_is(
    client: httpx.Client, record_figure: RecordFigure
) -> None:
    row = np.ones(DIM, "<f4")
    body = json.dumps({"vectors": [row.tolist()]})
    refused(client.post("/search", content=body, headers=JSON_TYPE), record_figure)
    refused(client.post("/search?dtype=f32", content=row.tobytes(), headers=OCTETS), record_figure)
    image = client.post("/search/image", content=png(0), headers={"content-type": "image/png"})
    assert image.json()["space"] == SPACE.id
