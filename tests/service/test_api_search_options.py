"""The options of `POST /search` and `/search/image`, in every form a query may take."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import numpy as np
import pytest

from lorgnette import Client, errors
from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.vectors import Vectors, to_base64, to_bytes
from lorgnette.wire import Options
from service.api.search_query import check_limits
from service.gallery.catalogue import Catalogue
from service.gallery.grouping import Value, grouped
from service.gallery.records import NewItem, Stamp
from service.gallery.snapshot import Found
from service.settings import Settings
from tests.service.serving import png, problem, serving
from tests.tiny_bundle import space_of

COUNT, DIM, MAX_K = 30, 16, 100
SPACE = space_of(0).id
OCTETS = "application/octet-stream"
DTYPES = {"f32": "<f4", "f16": "<f2", "i8": "i1"}


def metadata_of(n: int) -> dict[str, object]:
    odd = {} if n == 29 else {"brand": f"b{n % 4}"}
    return {"n": n, "price": n / 2, "is_new": n % 2 == 0, "tags": [f"t{n % 3}", "all"], **odd}


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> Iterator[httpx.Client]:
    data = tmp_path_factory.mktemp("gallery") / "data"
    encoder = Encoder(teacher)
    with closing(Catalogue.open(data)) as catalogue:
        catalogue.upsert(
            teacher.space,
            [
                NewItem(
                    id=f"photo-{n}",
                    source="",
                    stamp=Stamp(size=1, mtime_ns=1),
                    metadata=metadata_of(n),  # type: ignore[arg-type]
                    vector=encoder.encode(png(n)),
                )
                for n in range(COUNT)
            ],
        )
    settings = Settings(
        data=data, teacher=teacher.directory, students=(student.directory,), max_k=MAX_K
    )
    with serving(settings) as client:
        yield client


@pytest.fixture(scope="module")
def rows(student: Bundle) -> Vectors:
    encoder = Encoder(student)
    return np.stack([encoder.encode(png(seed)) for seed in range(4)])


Ask = Callable[..., httpx.Response]


def as_json(client: httpx.Client, rows: Vectors, **options: object) -> httpx.Response:
    return client.post("/search", json={"space": SPACE, "vectors": rows.tolist(), **options})


def as_base64(client: httpx.Client, rows: Vectors, **options: object) -> httpx.Response:
    packed = {"dtype": "f32", "data": to_base64(rows, dtype="f32")}
    return client.post("/search", json={"space": SPACE, "vectors": packed, **options})


def in_query(options: dict[str, object]) -> dict[str, object]:
    if isinstance(options.get("filter"), dict):
        options["filter"] = json.dumps(options["filter"])
    if options.get("fields") == []:
        options["fields"] = ""
    return options


def as_bytes(client: httpx.Client, rows: Vectors, **options: object) -> httpx.Response:
    params = {"space": SPACE, "dtype": "f32"} | in_query(options)
    return client.post(
        "/search",
        content=to_bytes(rows, dtype="f32"),
        params=params,  # type: ignore[arg-type]
        headers={"content-type": OCTETS},
    )


def as_photo(client: httpx.Client, rows: Vectors, **options: object) -> httpx.Response:
    return client.post(
        "/search/image",
        content=png(0),
        params=in_query(options),  # type: ignore[arg-type]
        headers={"content-type": "image/png"},
    )


FORMS = pytest.mark.parametrize("ask", [as_json, as_base64, as_bytes, as_photo])


def hits_of(response: httpx.Response) -> list[dict[str, object]]:
    assert response.status_code == 200, response.text
    hits: list[dict[str, object]] = response.json()["results"][0]
    return hits


def ids(response: httpx.Response) -> list[object]:
    return [hit["id"] for hit in hits_of(response)]


@FORMS
def test_a_page_goes_on_where_the_last_one_stopped(
    client: httpx.Client, rows: Vectors, ask: Ask
) -> None:
    whole = ids(ask(client, rows[:1], k=COUNT))
    pages = [ids(ask(client, rows[:1], k=7, offset=start)) for start in range(0, 36, 7)]
    assert [name for page in pages for name in page] == whole
    assert whole[0] == "photo-0"


@FORMS
def test_hits_below_the_threshold_are_left_out(
    client: httpx.Client, rows: Vectors, ask: Ask
) -> None:
    whole = hits_of(ask(client, rows[:1], k=COUNT))
    least = whole[6]["score"]
    assert hits_of(ask(client, rows[:1], k=COUNT, score_threshold=least)) == whole[:7]
    assert hits_of(ask(client, rows[:1], score_threshold=1.1)) == []


@FORMS
def test_only_what_matches_is_ranked(client: httpx.Client, rows: Vectors, ask: Ask) -> None:
    whole = ids(ask(client, rows[:1], k=COUNT))
    asked = {"and": [{"field": "price", "lt": 9}, {"field": "tags", "eq": "t1"}]}
    response = ask(client, rows[:1], k=4, filter=asked)
    matching = [f"photo-{n}" for n in range(18) if n % 3 == 1]
    assert ids(response) == [name for name in whole if name in matching][:4]
    assert response.json()["matching"] == len(matching)
    assert ids(ask(client, rows[:1], filter={"field": "nothing", "eq": 1})) == []


@FORMS
def test_each_group_gives_its_best(client: httpx.Client, rows: Vectors, ask: Ask) -> None:
    whole = [int(str(name).removeprefix("photo-")) for name in ids(ask(client, rows[:1], k=COUNT))]
    groups: dict[object, list[int]] = {}
    for n in whole:
        groups.setdefault(metadata_of(n).get("brand", "none"), []).append(n)
    for size in (1, 3):
        expected = [f"photo-{n}" for members in groups.values() for n in members[:size]]
        response = ask(client, rows[:1], k=10, group_by="brand", group_size=size)
        assert ids(response) == expected
        assert {hit["group"] for hit in hits_of(response)} == {"b0", "b1", "b2", "b3", None}
    second = list(groups.values())[1][:1]
    assert ids(ask(client, rows[:1], k=1, offset=1, group_by="brand")) == [f"photo-{second[0]}"]
    truths = hits_of(ask(client, rows[:1], group_by="is_new"))
    assert {hit["group"] for hit in truths} == {True, False}


def test_true_and_one_are_two_groups() -> None:
    hits = [Found(key=key, score=1 - key / 10) for key in range(6)]
    values: dict[int, Value] = {0: True, 1: 1, 2: True, 3: 1.0, 4: "1"}
    groups = [[hit.key for hit in group] for group in grouped(hits, values, size=9)]
    assert groups == [[0, 2], [1, 3], [4], [5]]


def test_a_group_is_filled_from_far_down_the_ranking(
    client: httpx.Client, rows: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.ranking._FIRST_POOL", 1)
    for row in rows:
        whole = [int(str(n).removeprefix("photo-")) for n in ids(as_json(client, row[None], k=30))]
        for size in (1, 5, 7):
            mine = [n for n in whole if n % 4 == whole[0] % 4 and n != 29][:size]
            got = ids(as_json(client, row[None], k=1, group_by="brand", group_size=size))
            assert got == [f"photo-{n}" for n in mine]


@FORMS
def test_only_the_fields_wanted_are_given(client: httpx.Client, rows: Vectors, ask: Ask) -> None:
    (hit,) = hits_of(ask(client, rows[:1], k=1, fields=["n", "nothing"]))
    assert hit["metadata"] == {"n": 0}
    (hit,) = hits_of(ask(client, rows[:1], k=1, fields=[]))
    assert hit["metadata"] == {}
    (hit,) = hits_of(ask(client, rows[:1], k=1))
    assert hit["metadata"] == metadata_of(0)


@FORMS
@pytest.mark.parametrize("rerank", ["alpha-qe", "super-global"])
def test_a_second_opinion_keeps_the_items_and_says_what_it_cost(
    client: httpx.Client, rows: Vectors, ask: Ask, rerank: str
) -> None:
    plain, again = ask(client, rows[:1], k=COUNT), ask(client, rows[:1], k=COUNT, rerank=rerank)
    assert sorted(map(str, ids(again))) == sorted(map(str, ids(plain)))
    scores = [hit["score"] for hit in hits_of(again)]
    assert scores == sorted(scores, reverse=True) != [hit["score"] for hit in hits_of(plain)]
    assert again.json()["stages_ms"]["rerank"] > 0
    assert "rerank;dur=" in again.headers["server-timing"]
    assert "rerank" not in plain.json()["stages_ms"]


@pytest.mark.parametrize("asked", [
    {"k": 401}, {"k": 10, "offset": 391}, {"k": 1, "offset": 400},
    {"k": 201, "group_by": "brand", "group_size": 2},
])  # fmt: skip
def test_what_lies_behind_the_re_ranked_is_refused_and_not_silently_nothing(
    asked: dict[str, object],
) -> None:
    options = Options.model_validate(asked | {"rerank": "alpha-qe"})
    with pytest.raises(errors.InvalidRequest, match=r"400 best.*without rerank"):
        check_limits(options, settings=Settings())
    check_limits(options.model_copy(update={"rerank": None}), settings=Settings())
    check_limits(options.model_copy(update={"k": 1, "offset": 199}), settings=Settings())


@FORMS
def test_pages_of_what_is_re_ranked_are_the_whole_cut_into_pieces(
    client: httpx.Client, rows: Vectors, ask: Ask
) -> None:
    whole = hits_of(ask(client, rows[:1], k=100, rerank="super-global"))
    pages = [
        hits_of(ask(client, rows[:1], k=7, offset=start, rerank="super-global"))
        for start in range(0, 36, 7)
    ]
    assert [hit for page in pages for hit in page] == whole
    assert len(whole) == COUNT


def test_a_batch_is_answered_row_by_row(client: httpx.Client, rows: Vectors) -> None:
    options = {"filter": {"field": "is_new", "eq": True}, "rerank": "super-global", "k": 5}
    for ask in (as_json, as_bytes):
        batch = ask(client, rows, **options).json()["results"]
        alone = [ask(client, row[None], **options).json()["results"][0] for row in rows]
        assert [[h["id"] for h in r] for r in batch] == [[h["id"] for h in r] for r in alone]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_finds_the_same_photo(client: httpx.Client, rows: Vectors, dtype: str) -> None:
    params = {"space": SPACE, "dtype": dtype, "k": 1}
    raw = to_bytes(rows, dtype=dtype)  # type: ignore[arg-type]
    response = client.post("/search", content=raw, params=params, headers={"content-type": OCTETS})
    assert [row[0]["id"] for row in response.json()["results"]] == [f"photo-{n}" for n in range(4)]
    packed = {"dtype": dtype, "data": to_base64(rows, dtype=dtype)}  # type: ignore[arg-type]
    same = client.post("/search", json={"space": SPACE, "vectors": packed, "k": 1})
    assert same.json()["results"] == response.json()["results"]


BAD: list[tuple[str, object]] = [
    (name, content)
    for name, value in (("NaN", np.nan), ("inf", np.inf), ("-inf", -np.inf), ("zero", 0.0))
    for content in [np.full(DIM, value)]
]


@pytest.mark.parametrize("is_packed", [True, False], ids=["base64", "raw"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "values"),
    [
        *BAD,
        ("too large", np.full(DIM, 1e39)),
        ("beyond float16", np.full(DIM, 70_000.0)),
        ("denormal", np.full(DIM, 1e-45)),
        ("one short", np.ones(DIM - 1)),
        ("one long", np.ones(DIM + 1)),
        ("nothing", np.ones(0)),
        ("odd bytes", None),
    ],
)
def test_numbers_that_cannot_be_searched_are_refused_in_every_dtype(
    client: httpx.Client, name: str, values: np.ndarray | None, dtype: str, *, is_packed: bool
) -> None:
    if dtype == "i8" and name not in ("zero", "one short", "one long", "nothing", "odd bytes"):
        pytest.skip("int8 has no such number")
    if name == "beyond float16" and dtype == "f32":
        pytest.skip("float32 holds it")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        raw = b"x" * 33 if values is None else values.astype(DTYPES[dtype]).tobytes()
    if is_packed:
        text = base64.b64encode(raw).decode()
        body = {"space": SPACE, "vectors": {"dtype": dtype, "data": text}}
        response = client.post("/search", json=body)
    else:
        response = client.post(
            "/search",
            content=raw,
            params={"space": SPACE, "dtype": dtype},
            headers={"content-type": OCTETS},
        )
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"].rpartition(":")[2] in ("invalid-vector", "non-finite-vector")


@FORMS
@pytest.mark.parametrize(
    "options",
    [
        *({"k": k} for k in (-1, 0, MAX_K + 1, 50_000_000, 2**63, 10**400, 1.5, "x", "")),
        *({"offset": n} for n in (-1, MAX_K, 50_000_000, 10**400, 1.5)),
        *({"group_by": "brand", "group_size": n} for n in (0, -1, 11, 101, 10**400)),
        {"group_size": 2}, {"group_by": ""}, {"group_by": "x" * 201},
        *({"score_threshold": text} for text in ("NaN", "x", "1e400", "Infinity")),
        {"filter": {}}, {"filter": {"field": "a", "eq": None}}, {"filter": "{"},
        {"fields": ["a"] * 65}, {"rerank": "best"}, {"rerank": ""}, {"limit": 3},
    ],
    ids=lambda options: json.dumps(options)[:40],
)  # fmt: skip
def test_an_option_that_cannot_be_is_refused(
    client: httpx.Client, rows: Vectors, ask: Ask, options: dict[str, object]
) -> None:
    problem(ask(client, rows[:1], **options), 422, "invalid-request")


@FORMS
@pytest.mark.parametrize(
    ("space", "status"),
    [(SPACE, 200), (space_of(1).id, 409), (space_of(0, dim=8).id, 409), ("", 409)],
)
def test_no_form_compares_across_spaces(
    client: httpx.Client, rows: Vectors, ask: Ask, space: str, status: int
) -> None:
    response = ask(client, rows[:1], space=space)
    if status == 200:
        assert response.json()["space"] == SPACE
    else:
        problem(response, status, "space-mismatch")


@pytest.mark.parametrize("missing", ["space", "dtype"])
def test_raw_vectors_say_their_space_and_their_type(
    client: httpx.Client, rows: Vectors, missing: str
) -> None:
    params = {"space": SPACE, "dtype": "f32"}
    del params[missing]
    response = client.post(
        "/search", content=rows.tobytes(), params=params, headers={"content-type": OCTETS}
    )
    assert "space and dtype" in str(problem(response, 422, "invalid-request")["detail"])


def test_json_beside_a_query_string_is_refused(client: httpx.Client, rows: Vectors) -> None:
    body = {"space": SPACE, "vectors": rows.tolist()}
    problem(client.post("/search", json=body, params={"k": 3}), 422, "invalid-request")


def test_the_client_asks_for_all_of_it(client: httpx.Client, student: Bundle) -> None:
    options = {
        "offset": 1, "score_threshold": -0.9, "filter": {"field": "n", "lt": 20},
        "group_by": "brand", "group_size": 2, "fields": ["n"], "rerank": "super-global",
    }  # fmt: skip
    with Client(str(client.base_url), encoder=Encoder(student)) as asking:
        here = asking.search(png(0), 2, **options)  # type: ignore[arg-type]
        there = asking.search_image(png(0), 2, **options)  # type: ignore[arg-type]
        assert [hit.id for hit in here] == [hit.id for hit in there]
        assert len(here) == 4
        assert {hit.group for hit in here} <= {"b0", "b1", "b2", "b3"}
        assert all(list(hit.metadata) == ["n"] for hit in here)
        for bad in ({"filter": {"field": "n"}}, {"rerank": "x"}, {"offset": -1}, {"fields": [3]}):
            with pytest.raises(errors.InvalidRequest):
                asking.search(png(0), **bad)  # type: ignore[arg-type]
            with pytest.raises(errors.InvalidRequest):
                asking.search_image(png(0), **bad)  # type: ignore[arg-type]


def test_metadata_is_read_in_one_query_however_many_hits(
    client: httpx.Client, rows: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    whole = Catalogue.items

    def counted(self: Catalogue, keys: list[int]) -> object:
        calls.append(len(keys))
        return whole(self, keys)

    monkeypatch.setattr(Catalogue, "items", counted)
    as_json(client, rows, k=20)
    assert calls == [80]
