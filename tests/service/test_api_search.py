"""`POST /search`: the numeric, space, k and batch matrices."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.vectors import Vectors, to_base64
from service.settings import Settings
from tests.service.serving import fill, png, problem, serving
from tests.tiny_bundle import space_of

COUNT = 30
MAX_K = 100
MAX_BATCH = 8
DIM = 16


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> Iterator[httpx.Client]:
    data = tmp_path_factory.mktemp("gallery") / "data"
    fill(data, teacher, {f"photo-{seed}": png(seed) for seed in range(COUNT)})
    settings = Settings(
        data=data,
        teacher=teacher.directory,
        students=(student.directory,),
        max_k=MAX_K,
        max_batch=MAX_BATCH,
        max_body_bytes=100_000,
    )
    with serving(settings) as client:
        yield client


@pytest.fixture(scope="module")
def rows(student: Bundle) -> Vectors:
    encoder = Encoder(student)
    return np.stack([encoder.encode(png(seed)) for seed in range(COUNT)])


def ask(client: httpx.Client, **changed: object) -> httpx.Response:
    body = {"space": space_of(0).id, "vectors": [[1.0] * DIM], "k": 3} | changed
    return client.post("/search", json=body)


def ask_raw(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/search", content=text, headers={"content-type": "application/json"})


def numbers(text: str) -> str:
    """A request whose first number is literally `text`."""
    rest = ", ".join(["0.5"] * (DIM - 1))
    return f'{{"space": "{space_of(0).id}", "vectors": [[{text}, {rest}]], "k": 3}}'


def test_every_photo_is_found_by_its_own_query(client: httpx.Client, rows: Vectors) -> None:
    for start in range(0, COUNT, MAX_BATCH):
        batch = rows[start : start + MAX_BATCH]
        answer = ask(client, vectors=batch.tolist()).json()
        assert len(answer["results"]) == len(batch), answer
        for seed, hits in enumerate(answer["results"], start):
            assert hits[0]["id"] == f"photo-{seed}"
            assert hits[0]["metadata"] == {"file": f"photo-{seed}"}
            scores = [hit["score"] for hit in hits]
            assert scores == sorted(scores, reverse=True)
            assert all(-1.0001 <= score <= 1.0001 for score in scores)


@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_packed_vectors_find_what_lists_find(
    client: httpx.Client, rows: Vectors, dtype: str
) -> None:
    packed = {"dtype": dtype, "data": to_base64(rows[:4], dtype=dtype)}  # type: ignore[arg-type]
    as_lists = ask(client, vectors=rows[:4].tolist()).json()
    as_bytes = ask(client, vectors=packed).json()
    assert [[hit["id"] for hit in hits] for hits in as_bytes["results"]] == [
        [hit["id"] for hit in hits] for hits in as_lists["results"]
    ]
    assert as_bytes["space"] == space_of(0).id
    assert as_bytes["took_ms"] >= 0


def test_the_length_of_a_vector_does_not_matter(client: httpx.Client, rows: Vectors) -> None:
    near, far = (ask(client, vectors=(rows[:1] * f).tolist()).json() for f in (1e-3, 1e3))
    assert [hit["id"] for hit in near["results"][0]] == [hit["id"] for hit in far["results"][0]]
    assert near["results"][0][0]["score"] == pytest.approx(far["results"][0][0]["score"], abs=1e-5)


@pytest.mark.parametrize(
    "text",
    ["NaN", "Infinity", "-Infinity", "1e39", "-1e39", "1e400", "-1e400", '"NaN"', '"0.5"', "null",
     "true", "[]", "{}", '""', "nan", "+1", "0x1"],
)  # fmt: skip
def test_a_number_that_is_none_is_refused(client: httpx.Client, text: str) -> None:
    response = ask_raw(client, numbers(text))
    assert response.status_code == 422
    assert response.json()["type"].endswith(("invalid-vector", "invalid-request"))


@pytest.mark.parametrize("text", ["1e-45", "-0.0", "0", "1e-400", "3", "3.4e38"])
def test_an_unusual_but_finite_number_is_searched(client: httpx.Client, text: str) -> None:
    response = ask_raw(client, numbers(text))
    assert response.status_code == 200, response.text
    assert len(response.json()["results"][0]) == 3


@pytest.mark.parametrize(
    "vectors",
    [
        pytest.param([], id="no vector"),
        pytest.param([[]], id="an empty vector"),
        pytest.param([[1.0] * (DIM - 1)], id="one short"),
        pytest.param([[1.0] * (DIM + 1)], id="one long"),
        pytest.param([[1.0] * DIM, [1.0]], id="ragged"),
        pytest.param([[0.0] * DIM], id="zero"),
        pytest.param([[-0.0] * DIM], id="minus zero"),
        pytest.param([[1e-45] * DIM], id="denormal"),
        pytest.param([[1.0] * DIM, [0.0] * DIM], id="a zero row in a batch"),
    ],
)
def test_a_vector_that_cannot_be_searched_is_refused(
    client: httpx.Client, vectors: list[list[float]]
) -> None:
    problem(ask(client, vectors=vectors), 422, "invalid-vector")


def packed(values: object, dtype: str = "<f2") -> str:
    with np.errstate(over="ignore"):
        return base64.b64encode(np.asarray(values).astype(dtype).tobytes()).decode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="empty"),
        pytest.param("%%%%", id="not base64"),
        pytest.param("AAA", id="bad padding"),
        pytest.param("é" * 8, id="not ascii"),
        pytest.param(packed([1.0] * DIM)[:-4], id="cut short"),
        pytest.param(packed([1.0] * (DIM + 1)), id="one number more"),
        pytest.param(base64.b64encode(b"x" * 33).decode(), id="odd length"),
        pytest.param(packed([np.nan] * DIM), id="NaN"),
        pytest.param(packed([70000.0] * DIM), id="beyond float16"),
        pytest.param(packed([0.0] * DIM), id="zero"),
        pytest.param(packed([1e-8] * DIM), id="zero after the cast"),
    ],
)
def test_packed_numbers_that_cannot_be_searched_are_refused(
    client: httpx.Client, data: str
) -> None:
    problem(ask(client, vectors={"dtype": "f16", "data": data}), 422, "invalid-vector")


def test_a_big_endian_vector_is_another_vector_but_never_a_crash(
    client: httpx.Client, rows: Vectors
) -> None:
    swapped = packed(rows[:1], ">f4")
    response = ask(client, vectors={"dtype": "f32", "data": swapped})
    assert response.status_code in (200, 422)


@pytest.mark.parametrize("dtype", ["f64", "i16", "F16", "", None, 16])
def test_an_unknown_dtype_is_refused(client: httpx.Client, dtype: object) -> None:
    response = ask(client, vectors={"dtype": dtype, "data": packed([1.0] * DIM)})
    assert "dtype" in str(problem(response, 422, "invalid-request")["detail"])


@pytest.mark.parametrize("k", [0, -1, MAX_K + 1, 50_000_000, 2**63, 10**400, 1.5, "3", True, None])
def test_a_k_out_of_range_is_refused(client: httpx.Client, k: object) -> None:
    assert "k" in str(problem(ask(client, k=k), 422, "invalid-request")["detail"])


@pytest.mark.parametrize(("k", "expected"), [(1, 1), (COUNT, COUNT), (MAX_K, COUNT)])
def test_k_hits_are_given_and_never_more_than_there_are(
    client: httpx.Client, k: int, expected: int
) -> None:
    (hits,) = ask(client, k=k).json()["results"]
    assert len({hit["id"] for hit in hits}) == len(hits) == expected


def test_k_may_be_left_out(client: httpx.Client) -> None:
    body = {"space": space_of(0).id, "vectors": [[1.0] * DIM]}
    assert len(client.post("/search", json=body).json()["results"][0]) == 10


def test_a_batch_has_a_limit(client: httpx.Client) -> None:
    assert ask(client, vectors=[[1.0] * DIM] * MAX_BATCH).status_code == 200
    refused = problem(ask(client, vectors=[[1.0] * DIM] * (MAX_BATCH + 1)), 422, "invalid-request")
    assert str(MAX_BATCH) in str(refused["detail"])


@pytest.mark.parametrize(
    "found", [space_of(1).id, space_of(0, dim=8).id, "", "x", "é\n\"'<script>", "a" * 1000]
)
def test_another_space_is_a_409_that_names_the_students_that_fit(
    client: httpx.Client, student: Bundle, found: str
) -> None:
    fields = problem(ask(client, space=found), 409, "space-mismatch")
    assert fields["expected"] == [space_of(0).id]
    assert fields.get("found", "") == found[:100]
    assert fields["students"] == [student.manifest.name]
    assert student.manifest.name in str(fields["detail"])


def test_the_space_is_judged_before_the_vector(client: httpx.Client) -> None:
    problem(ask(client, space=space_of(0, dim=8).id, vectors=[[1.0] * 8]), 409, "space-mismatch")


@pytest.mark.parametrize("missing", ["space", "vectors"])
def test_a_missing_field_is_named(client: httpx.Client, missing: str) -> None:
    body = {"space": space_of(0).id, "vectors": [[1.0] * DIM]}
    del body[missing]
    fields = problem(client.post("/search", json=body), 422, "invalid-request")
    assert missing in str(fields["detail"])


def test_an_unknown_field_is_refused(client: httpx.Client) -> None:
    fields = problem(ask(client, limit=3), 422, "invalid-request")
    assert "limit" in str(fields["detail"])


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "3", '"x"', "[" * 20_000, '{"a":' * 10_000, "{'space': 1}", "\x00",
     '{"space": "\\ud800", "vectors": [[1]]}'],
)  # fmt: skip
def test_a_body_that_is_not_the_json_we_read_is_refused(client: httpx.Client, text: str) -> None:
    problem(ask_raw(client, text), 422, "invalid-request")


def test_a_body_that_is_not_utf8_is_refused(client: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/search", content=b'{"space": "\xff\xfe"}', headers=headers)
    problem(response, 422, "invalid-request")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "x"])
def test_a_body_that_does_not_say_it_is_json_is_refused(client: httpx.Client, kind: str) -> None:
    body = json.dumps({"space": space_of(0).id, "vectors": [[1.0] * DIM]})
    response = client.post("/search", content=body, headers={"content-type": kind})
    problem(response, 415, "invalid-request")


def test_an_answer_never_echoes_the_vector(client: httpx.Client) -> None:
    secret = 0.123456789
    response = ask(client, vectors=[[secret] * (DIM - 1) + ["x"]])
    problem(response, 422, "invalid-request")
    assert str(secret) not in response.text
