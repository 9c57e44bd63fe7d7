"""Filters against a plain reading of the language, and filtered search against brute force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorgnette.errors import InvalidRequest
from lorgnette.filters import filter_text, read_filter
from service.gallery import backup, publish
from service.gallery.catalogue import Catalogue
from service.gallery.filters import Matching
from service.gallery.records import NewItem, Stamp
from service.gallery.restore import restore
from service.gallery.snapshot import Found, LiveGallery
from tests.service.gallery_rows import SPACE, brute_force, check_here, unit_rows

FIELDS = ["brand", "é", 'a"b.c', "$"]
VALUES = ["", "alpro", "é\u2028", "1", 0, 1, -3, 2**53 + 1, 2.5, 0.1, 1.0, True, False]


def matches(asked: Mapping[str, object], metadata: Mapping[str, object]) -> bool:
    """The language, transcribed from its documentation."""
    if "and" in asked:
        return all(matches(part, metadata) for part in asked["and"])  # type: ignore[attr-defined]
    if "or" in asked:
        return any(matches(part, metadata) for part in asked["or"])  # type: ignore[attr-defined]
    if "not" in asked:
        return not matches(asked["not"], metadata)  # type: ignore[arg-type]
    found = metadata.get(str(asked["field"]))
    if "exists" in asked:
        return (found is not None) == asked["exists"]
    values = found if isinstance(found, list) else [found]
    if "eq" in asked or "in" in asked:
        wanted = asked.get("in", [asked.get("eq")])
        return any(same(value, one) for value in values for one in wanted)  # type: ignore[attr-defined]
    return any(within(value, asked) for value in values)


def same(value: object, wanted: object) -> bool:
    is_alike = isinstance(value, str) == isinstance(wanted, str)
    return is_alike and isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


def within(value: object, asked: Mapping[str, object]) -> bool:
    bounds = {name: asked[name] for name in ("gt", "gte", "lt", "lte") if name in asked}
    if value is None or isinstance(value, bool | list | dict):
        return False
    if isinstance(value, str) != isinstance(next(iter(bounds.values())), str):
        return False
    tests = {
        "gt": lambda a, b: a > b, "gte": lambda a, b: a >= b,
        "lt": lambda a, b: a < b, "lte": lambda a, b: a <= b,
    }  # fmt: skip
    return all(tests[name](value, bound) for name, bound in bounds.items())


FIELD = st.sampled_from(FIELDS)
SCALAR = st.sampled_from(VALUES)
NUMBERS = st.sampled_from([v for v in VALUES if not isinstance(v, bool | str)])
TEXTS = st.sampled_from([v for v in VALUES if isinstance(v, str)])
RANGES = st.one_of(
    *(
        st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), kind, min_size=1)
        for kind in (NUMBERS, TEXTS)
    )
)
LEAF = st.one_of(
    st.builds(lambda f, v: {"field": f, "eq": v}, FIELD, SCALAR),
    st.builds(lambda f, v: {"field": f, "in": v}, FIELD, st.lists(SCALAR, max_size=3)),
    st.builds(lambda f, v: {"field": f, "exists": v}, FIELD, st.booleans()),
    st.builds(lambda f, r: {"field": f, **r}, FIELD, RANGES),
)
FILTER = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)
METADATA = st.dictionaries(
    FIELD, st.one_of(SCALAR, st.none(), st.lists(SCALAR, max_size=3), st.just({"x": 1})), max_size=3
)


def put(catalogue: Catalogue, metadata: Mapping[str, Mapping[str, object]], seed: int = 0) -> None:
    rows = unit_rows(len(metadata), seed=seed)
    stamp = Stamp(size=1, mtime_ns=1)
    catalogue.upsert(
        SPACE,
        [
            NewItem(id=name, source="", stamp=stamp, metadata=fields, vector=row)  # type: ignore[arg-type]
            for (name, fields), row in zip(metadata.items(), rows, strict=True)
        ],
    )


def found_by(catalogue: Catalogue, matching: Matching, asked: Mapping[str, object]) -> set[str]:
    with catalogue.reading() as connection:
        keys = matching.keys(connection, read_filter(json.dumps(asked)))
    assert keys.tolist() == sorted(set(keys.tolist()))
    return {item.id for item in catalogue.items(keys.tolist()).values()}


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(METADATA, min_size=1, max_size=6), st.lists(METADATA, max_size=4), FILTER,
    st.integers(0, 5),
)  # fmt: skip
def test_a_filter_finds_what_its_words_say_now_and_after_writes(
    catalogue: Catalogue,
    first: list[dict[str, object]],
    then: list[dict[str, object]],
    asked: dict[str, object],
    deleted: int,
) -> None:
    catalogue.delete([f"{n}" for n in range(20)])
    matching = Matching()
    truth = {f"{n}": fields for n, fields in enumerate(first)}
    put(catalogue, truth)
    expected = {name for name, fields in truth.items() if matches(asked, fields)}
    assert found_by(catalogue, matching, asked) == expected
    # What was written later is seen, though the first answer is remembered.
    changed = {f"{n + 3}": fields for n, fields in enumerate(then)}
    put(catalogue, changed)
    catalogue.delete([f"{deleted}"])
    truth = {name: f for name, f in (truth | changed).items() if name != f"{deleted}"}
    expected = {name for name, fields in truth.items() if matches(asked, fields)}
    assert found_by(catalogue, matching, asked) == expected
    assert found_by(catalogue, Matching(), asked) == expected


@given(FILTER)
def test_a_filter_survives_its_own_text(asked: dict[str, object]) -> None:
    read = read_filter(json.dumps(asked))
    assert read_filter(filter_text(read)) == read


def nested(depth: int) -> str:
    return '{"not": ' * (depth - 1) + '{"field": "a", "eq": 1}' + "}" * (depth - 1)


@pytest.mark.parametrize(
    "text",
    ["", "{", "3", "null", "[]", "{}", '{"field": "a"}', '{"eq": 1}', '{"field": "a", "eq": null}',
     '{"field": "a", "eq": [1]}', '{"field": "a", "eq": {}}', '{"field": "a", "eq": 1e400}',
     '{"field": "a", "eq": NaN}', '{"field": 3, "eq": 1}', '{"field": "", "eq": 1}',
     '{"field": "a", "gt": 1, "lt": "x"}', '{"field": "a", "gt": true}',
     '{"field": "a", "gt": null}', '{"field": "a", "exists": 1}', '{"field": "a", "like": "x"}',
     '{"field": "a", "eq": 1, "in": [1]}', '{"and": []}', '{"and": {}}', '{"not": []}',
     '{"field": "a", "in": 3}', '{"field": "a", "in": [[1]]}', nested(9), "[" * 5000,
     '{"not": ' * 1000, json.dumps({"or": [{"field": "a", "eq": 1}] * 64}),
     json.dumps({"field": "a", "in": list(range(1001))}), '{"field": "a", "eq": "\\ud800"}',
     '{"field": "a", "eq": "x\\u0000y"}', '{"field": "a\\u0000b", "exists": true}',
     '{"field": "a", "in": ["\\u0000"]}', '{"field": "a", "gt": "\\u0000"}'],
)  # fmt: skip
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^filter: "):
        read_filter(text)


def test_the_largest_filter_is_taken(catalogue: Catalogue) -> None:
    put(catalogue, {"x": {"a": 1}, "y": {"a": 2}})
    for text in (
        nested(7),
        json.dumps({"or": [{"field": "a", "eq": 1}] * 63}),
        json.dumps({"field": "a", "in": [*range(1, 2), *range(3, 1002)]}),
    ):
        assert found_by(catalogue, Matching(), json.loads(text)) == {"x"}


@pytest.mark.parametrize("factory", ["Flat", "HNSW32", "IVF8,Flat", "SQ8", "PQ8x4fs,RFlat"])
@pytest.mark.parametrize("share", [0.004, 0.05, 0.3, 0.7])
@pytest.mark.parametrize("batch", [1, 9])
def test_the_best_that_match_are_found_however_few_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: str, share: float, batch: int
) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)
    monkeypatch.setattr("service.gallery.parts._FEW", 60)
    rows, queries = unit_rows(2000), unit_rows(9, seed=1)
    chosen = np.random.default_rng(2).random(len(rows)) < share
    with closing(Catalogue.open(tmp_path)) as catalogue:
        put(catalogue, {f"{n}": {"is": bool(chosen[n])} for n in range(1800)})
        rows[:1800] = unit_rows(1800)
        publish.publish(catalogue, tmp_path, SPACE, factory=factory, recall_gate=0.5)
        put(catalogue, {f"{n}": {"is": bool(chosen[n])} for n in range(1800, 2000)}, seed=3)
        rows[1800:] = unit_rows(200, seed=3)
        with catalogue.reading() as connection:
            keys = Matching().keys(connection, read_filter('{"field": "is", "eq": true}'))
        live = LiveGallery(tmp_path, poll_s=3600)
        live.start()
        try:
            snapshot = live.snapshot(SPACE.id)
            only = snapshot.only(keys)
            asked = [queries[n : n + batch] for n in range(0, 9, batch)]
            found = [hits for rows_asked in asked for hits in only.search(rows_asked, k=10)]
            unfiltered = snapshot.search(queries, k=10)
        finally:
            live.close()
    truth = {n + 1: row for n, row in enumerate(rows) if chosen[n]}
    assert len(keys) == len(truth)
    expected = [brute_force(truth, query, k=10) for query in queries]
    if factory == "Flat":
        assert [[(hit.key, hit.score) for hit in hits] for hits in found] == expected
    assert [len(hits) for hits in found] == [min(10, len(truth))] * 9
    assert all(chosen[hit.key - 1] for hits in found for hit in hits)
    everything = {n + 1: row for n, row in enumerate(rows)}
    plain = [brute_force(everything, query, k=10) for query in queries]
    # An approximate index finds as large a part of what matches as of all there is.
    assert recall(found, expected) >= recall(unfiltered, plain) - 0.1


def recall(found: list[list[Found]], best: list[list[tuple[int, float]]]) -> float:
    """The mean share of the best that was found."""
    shared = [
        len({hit.key for hit in hits} & {key for key, _ in wanted}) / len(wanted)
        for hits, wanted in zip(found, best, strict=True)
    ]
    return float(np.mean(shared))


def test_what_no_longer_matches_is_forgotten(catalogue: Catalogue) -> None:
    matching, asked = Matching(), {"field": "a", "eq": 1}
    put(catalogue, {"x": {"a": 1}, "y": {"a": 1}})
    assert found_by(catalogue, matching, asked) == {"x", "y"}
    put(catalogue, {"x": {"a": 2}, "z": {"a": 1}})
    assert found_by(catalogue, matching, asked) == {"y", "z"}


def test_a_filter_finds_no_vector_that_was_replaced(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)
    put(catalogue, {f"{n}": {"a": 1} for n in range(30)})
    publish.publish(catalogue, tmp_path, SPACE, factory="Flat", recall_gate=0.5)
    put(catalogue, {f"{n}": {"a": 1} for n in range(10)}, seed=9)
    with catalogue.reading() as connection:
        keys = Matching().keys(connection, read_filter('{"field": "a", "eq": 1}'))
    with closing(LiveGallery(tmp_path, poll_s=3600)) as live:
        live.start()
        (hits,) = live.snapshot(SPACE.id).only(keys).search(unit_rows(30)[:1], k=40)
    assert sorted(hit.key for hit in hits) == list(range(1, 31))


def test_a_restored_gallery_is_filtered_by_what_it_is_now(
    catalogue: Catalogue,
) -> None:
    matching, red = Matching(), {"field": "colour", "eq": "red"}
    put(catalogue, {"a": {"colour": "red"}, "b": {"colour": "blue"}})
    backup.create(catalogue, catalogue.path.parent, name="before")
    put(catalogue, {"a": {"colour": "blue"}, "b": {"colour": "red"}, "c": {"colour": "red"}})
    assert found_by(catalogue, matching, red) == {"b", "c"}
    restore(catalogue, catalogue.path.parent, "before")
    assert found_by(catalogue, matching, red) == {"a"}
