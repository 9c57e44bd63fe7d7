"""Items over HTTP: acknowledged is committed, visible within a second, all of a batch or none."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pytest

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from service.gallery.catalogue import Catalogue
from service.settings import Settings
from tests.service.gallery_rows import SPACE, unit_rows
from tests.service.serving import eventually, fill, png, problem, serving

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, teacher: Bundle) -> Path:
    folder = tmp_path_factory.mktemp("items") / "data"
    fill(folder, teacher, {"first": png(0)})
    return folder


@pytest.fixture(scope="module")
def client(data: Path, teacher: Bundle, student: Bundle) -> Iterator[httpx.Client]:
    settings = Settings(
        data=data, teacher=teacher.directory, students=(student.directory,), max_batch=20
    )
    with serving(settings) as client:
        yield client


@pytest.fixture
def item_id() -> str:
    return f"item {next(NUMBERS)}"


def vector_body(seed: int = 0, **more: object) -> dict[str, object]:
    return {"space": SPACE.id, "vector": unit_rows(1, seed=seed)[0].tolist(), **more}


def found(client: httpx.Client, row: list[float], *, k: int = 3) -> dict[str, float]:
    answer = client.post("/search", json={"space": SPACE.id, "vectors": [row], "k": k})
    assert answer.status_code == 200, answer.text
    return {hit["id"]: hit["score"] for hit in answer.json()["results"][0]}


def test_an_image_is_embedded_by_the_teacher_kept_and_found_within_a_second(
    client: httpx.Client, teacher: Bundle, data: Path, item_id: str
) -> None:
    image = png(41)
    written = client.put(
        f"/admin/items/{item_id}",
        content=image,
        params={"metadata": '{"title": "Ä"}'},
        headers={"content-type": "image/png"},
    )
    assert written.status_code == 200, written.text
    acknowledged = time.monotonic()
    row = Encoder(teacher).encode(image).tolist()
    eventually(lambda: found(client, row).get(item_id, 0) > 0.9999, within_s=5)
    assert time.monotonic() - acknowledged < 1
    stored = client.get(f"/admin/items/{item_id}").json()
    assert stored["metadata"] == {"title": "Ä"}
    assert stored["spaces"] == [SPACE.id]
    assert (data / stored["source"]).read_bytes() == image


def test_what_was_acknowledged_is_committed_for_every_other_process(
    client: httpx.Client, data: Path, item_id: str
) -> None:
    written = client.put(f"/admin/items/{item_id}", json=vector_body(metadata={"n": 1})).json()
    with closing(Catalogue.open(data)) as other:
        assert other.seq() >= written["seq"]
        assert item_id in {entry.id for entry in other.known(SPACE.id) if entry.has_vector}


@pytest.mark.parametrize(
    "name", ["holiday/2024/a.jpg", "日本", "a b+c?", "100%", "x" * 512, ".hidden"]
)
def test_an_id_is_any_text_and_comes_back_as_it_was(client: httpx.Client, name: str) -> None:
    path = "/admin/items/" + "/".join(
        "".join(f"%{byte:02x}" for byte in part.encode()) for part in name.split("/")
    )
    assert client.put(path, json=vector_body()).status_code == 200
    assert client.get(path).json()["id"] == name
    assert client.delete(path).json()["deleted"] == 1
    problem(client.get(path), 404, "not-found")
    problem(client.delete(path), 404, "not-found")


@pytest.mark.parametrize(
    "path", ["%2e%2e", "a/%2e%2e/b", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%2fetc", "a%2f%2fb", "%2e",
             "a%00b", "x" * 513, "a/"],
)  # fmt: skip
def test_an_id_that_looks_like_a_way_out_is_refused(
    client: httpx.Client, data: Path, path: str
) -> None:
    before = sorted(data.rglob("*"))
    problem(client.put(f"/admin/items/{path}", json=vector_body()), 422, "invalid-request")
    problem(client.get(f"/admin/items/{path}"), 422, "invalid-request")
    problem(client.delete(f"/admin/items/{path}"), 422, "invalid-request")
    raw = path.replace("%2e", ".").replace("%2f", "/").replace("%00", "\0")
    batch = {"delete": [raw]}
    problem(client.post("/admin/items:batch", json=batch), 422, "invalid-request")
    assert sorted(data.rglob("*")) == before


def test_a_replaced_item_is_found_as_what_it_is_now(client: httpx.Client, item_id: str) -> None:
    old, new = (unit_rows(1, seed=seed)[0].tolist() for seed in (100, 101))
    path = f"/admin/items/{item_id}"
    assert client.put(path, json={"space": SPACE.id, "vector": old}).status_code == 200
    eventually(lambda: found(client, old).get(item_id, 0) > 0.9999)
    assert client.put(path, json={"space": SPACE.id, "vector": new}).status_code == 200
    eventually(lambda: found(client, new).get(item_id, 0) > 0.9999)
    assert found(client, old, k=1000)[item_id] == pytest.approx(np.dot(old, new), abs=1e-6)
    assert client.delete(path).status_code == 200
    eventually(lambda: item_id not in found(client, new, k=1000))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid-request"),
        ({"space": SPACE.id}, "invalid-request"),
        ({"vector": [1.0] * 16}, "invalid-request"),
        (vector_body(image="aaaa"), "invalid-request"),
        ({"space": SPACE.id, "image": "aaaa"}, "invalid-request"),
        ({"space": SPACE.id, "vector": []}, "invalid-request"),
        ({"space": SPACE.id, "vector": [1.0] * 15}, "invalid-vector"),
        ({"space": SPACE.id, "vector": [0.0] * 16}, "invalid-vector"),
        ({"space": SPACE.id, "vector": [1e39] * 16}, "invalid-vector"),
        ({"space": SPACE.id, "vector": {"dtype": "f16", "data": "AAA="}}, "invalid-vector"),
        ({"image": "not base64!"}, "invalid-image"),
        ({"image": base64.b64encode(b"not an image").decode()}, "invalid-image"),
        (vector_body(metadata={"x": "y" * 17_000}), "invalid-request"),
        (vector_body(unknown=1), "invalid-request"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_not_stored(
    client: httpx.Client, item_id: str, body: dict[str, object], code: str
) -> None:
    problem(client.put(f"/admin/items/{item_id}", json=body), 422, code)
    problem(client.get(f"/admin/items/{item_id}"), 404, "not-found")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1" * 5000])
def test_a_number_json_cannot_hold_is_no_metadata_and_no_vector(
    client: httpx.Client, item_id: str, number: str
) -> None:
    vector = json.dumps(unit_rows(1)[0].tolist())
    for text in (
        f'{{"space": "{SPACE.id}", "vector": {vector}, "metadata": {{"n": {number}}}}}',
        f'{{"space": "{SPACE.id}", "vector": [{", ".join([number] * 16)}]}}',
    ):
        response = client.put(
            f"/admin/items/{item_id}", content=text, headers={"content-type": "application/json"}
        )
        assert response.status_code == 422, (text[-200:], response.text)
    problem(client.get(f"/admin/items/{item_id}"), 404, "not-found")


def test_metadata_holds_no_nul_at_which_sqlite_ends_a_text(
    client: httpx.Client, item_id: str
) -> None:
    """A filter for "a" found an item of "a", a NUL and more."""
    address = f"/admin/items/{item_id}"
    for metadata in ({"s": "a\x00b"}, {"a\x00b": 1}, {"s": [{"t": "\\\x00"}]}):
        answer = client.put(address, json=vector_body(metadata=metadata))
        assert "U+0000" in str(problem(answer, 422, "invalid-request")["detail"])
    letters = {"s": "\\u0000"}
    client.put(address, json=vector_body(metadata=letters)).raise_for_status()
    assert client.get(address).json()["metadata"] == letters


def test_a_vector_of_another_space_is_refused_with_those_that_fit(
    client: httpx.Client, item_id: str
) -> None:
    body = vector_body() | {"space": "tiny-000000000000"}
    refused = problem(client.put(f"/admin/items/{item_id}", json=body), 409, "space-mismatch")
    assert refused["expected"] == [SPACE.id]


def test_a_body_of_another_kind_is_refused(client: httpx.Client, item_id: str) -> None:
    for kind in ("", "text/plain", "multipart/form-data; boundary=x"):
        response = client.put(
            f"/admin/items/{item_id}", content=png(1), headers={"content-type": kind}
        )
        problem(response, 415, "invalid-request")


def test_a_batch_with_one_bad_item_writes_nothing(client: httpx.Client, item_id: str) -> None:
    before = client.get("/admin/items", params={"limit": 1000}).json()
    good = [{"id": f"{item_id} {n}", **vector_body(n)} for n in range(3)]
    for bad in (
        {"id": "bad", "space": SPACE.id, "vector": [0.0] * 16},
        {"id": "bad", "space": "tiny-000000000000", "vector": [1.0] * 16},
        {"id": "bad", "image": base64.b64encode(b"no image").decode()},
        {"id": "../bad", **vector_body()},
        {"id": f"{item_id} 0", **vector_body()},
    ):
        body = {"upsert": [*good, bad], "delete": ["first"]}
        refused = client.post("/admin/items:batch", json=body)
        assert refused.status_code in (409, 422), refused.text
    assert client.get("/admin/items", params={"limit": 1000}).json() == before
    too_many = {"delete": [f"{item_id} {n}" for n in range(21)]}
    problem(client.post("/admin/items:batch", json=too_many), 422, "invalid-request")


def test_a_batch_repeated_under_its_key_is_done_once(client: httpx.Client, item_id: str) -> None:
    body = {"upsert": [{"id": item_id, "image": base64.b64encode(png(60)).decode()}]}
    headers = {"idempotency-key": f"key-{next(NUMBERS)}"}
    first = client.post("/admin/items:batch", json=body, headers=headers)
    assert first.status_code == 200, first.text
    assert client.delete(f"/admin/items/{item_id}").status_code == 200
    again = client.post("/admin/items:batch", json=body, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())
    problem(client.get(f"/admin/items/{item_id}"), 404, "not-found")
    other = client.post("/admin/items:batch", json={"delete": ["first"]}, headers=headers)
    assert "another body" in str(problem(other, 422, "invalid-request")["detail"])
    malformed = {"idempotency-key": "a key"}
    problem(client.post("/admin/items:batch", json=body, headers=malformed), 422, "invalid-request")


def test_pages_hold_every_item_once_also_while_others_are_written(client: httpx.Client) -> None:
    prefix = f"page {next(NUMBERS)} "
    names = [f"{prefix}{n}" for n in range(15)]
    for name in names:
        assert client.put(f"/admin/items/{name}", json=vector_body()).status_code == 200
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 4} | ({"cursor": cursor} if cursor else {})
        answer = client.get("/admin/items", params=params).json()
        assert len(answer["items"]) <= 4
        seen += [entry["id"] for entry in answer["items"]]
        assert client.put(f"/admin/items/{names[0]}", json=vector_body(5)).status_code == 200
        cursor = answer["next"]
        if cursor is None:
            break
    assert [name for name in seen if name.startswith(prefix)] == names
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("cursor", ["", "x", "é", "e30=", "bnVsbA==", "W10=", "a" * 5000])
def test_a_cursor_of_ones_own_making_is_refused(client: httpx.Client, cursor: str) -> None:
    problem(client.get("/admin/items", params={"cursor": cursor}), 422, "invalid-request")


def test_an_id_ending_in_a_newline_is_not_taken_for_the_one_without(
    client: httpx.Client, item_id: str
) -> None:
    """The router's patterns end before a last newline."""
    content, image = png(3), {"content-type": "image/png"}
    client.put(f"/admin/items/{item_id}", content=content, headers=image).raise_for_status()
    address = f"/admin/items/{item_id}%0A"
    problem(client.put(address, content=content, headers=image), 404, "not-found")
    problem(client.delete(address), 404, "not-found")
    problem(client.get("/admin/items%0A"), 404, "not-found")
    assert client.get(f"/admin/items/{item_id}").status_code == 200


@pytest.mark.parametrize("last", ["0", "i199999"])
def test_a_huge_batch_with_an_id_twice_is_refused_in_linear_time(
    client: httpx.Client, last: str
) -> None:
    """Every id was counted among all: minutes, in which nobody else was answered."""
    ids = [f"i{n}" for n in range(200_000)]
    body = {"delete": [*ids, last]}
    answer = client.post("/admin/items:batch", json=body)
    problem(answer, 422, "invalid-request")
    assert ("comes twice" in answer.text) == (last in ids)
