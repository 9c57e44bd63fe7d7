"""Answered together or alone: nobody can tell from the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidVector
from lorgnette.filters import read_filter
from lorgnette.wire import Options, SearchResponse
from service.answering import Asking, Question, answer_all
from service.app import _close, _open
from service.gallery.catalogue import Catalogue
from service.gallery.publish import publish
from service.gallery.records import NewItem, Stamp
from service.gallery.snapshot import Snapshot
from service.metrics import Metrics
from service.settings import Settings
from service.stages import Stages
from service.state import Opened
from tests.service.gallery_rows import SPACE, brute_force, unit_rows

COUNT, EQUAL = 400, 7
QUERIES = unit_rows(12, seed=5)


def vectors() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Rows of which some are equal, so that only the key orders them."""
    rows = unit_rows(COUNT)
    rows[100 : 100 + EQUAL] = rows[3]
    return rows


@pytest.fixture(scope="module", params=["Flat", "SQ8"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, student: Bundle
) -> Iterator[tuple[Opened, tuple[Snapshot, Snapshot]]]:
    """A service's parts over a generation and a tail, and two moments of it."""
    data = tmp_path_factory.mktemp("world") / "data"
    items = [
        NewItem(
            id=f"{n:03}",
            source="",
            stamp=Stamp(size=1, mtime_ns=1),
            metadata={"n": n, "brand": f"b{n % 5}"},
            vector=row,
        )
        for n, row in enumerate(vectors())
    ]
    with closing(Catalogue.open(data)) as catalogue:
        catalogue.upsert(SPACE, items[: COUNT - 50])
        publish(catalogue, data, SPACE, factory=request.param, recall_gate=0.5)
        opened = _open(
            Settings(data=data, teacher=student.directory, students=(student.directory,)),
            Metrics(),
        )
        before = opened.gallery.snapshot(SPACE.id)
        catalogue.upsert(SPACE, items[COUNT - 50 :])
        opened.gallery.refresh()
    yield opened, (before, opened.gallery.snapshot(SPACE.id))
    _close(opened)


OPTIONS = st.builds(
    Options,
    k=st.integers(1, 30),
    offset=st.sampled_from([0, 0, 0, 4]),
    score_threshold=st.sampled_from([None, None, 0.2]),
    filter=st.sampled_from([None, None, read_filter('{"field": "brand", "eq": "b2"}')]),
    group_by=st.sampled_from([None, None, "brand"]),
    rerank=st.sampled_from([None, None, "alpha-qe"]),
)
ROWS = st.lists(st.integers(0, len(QUERIES) - 1), min_size=1, max_size=4)


def told(outcome: bytes | Exception) -> object:
    """An answer without its times."""
    if isinstance(outcome, Exception):
        return type(outcome), str(outcome)
    answer = json.loads(outcome)
    return {name: value for name, value in answer.items() if name not in ("took_ms", "stages_ms")}


def refuse(message: str) -> Question:
    raise InvalidVector(message)


def asking(opened: Opened, snapshot: Snapshot, rows: list[int], options: Options) -> Asking:
    question = Question(QUERIES[rows], snapshot, options)
    return Asking(opened, lambda: question, Stages(opened.metrics))


@settings(max_examples=40, deadline=None)
@given(
    drawn=st.lists(st.tuples(st.integers(0, 1), ROWS, OPTIONS), min_size=1, max_size=8),
    broken=st.sets(st.integers(0, 8), max_size=2),
)
def test_together_or_alone_the_answers_are_the_same(
    world: tuple[Opened, tuple[Snapshot, Snapshot]],
    drawn: list[tuple[int, list[int], Options]],
    broken: set[int],
) -> None:
    opened, moments = world
    asked = [asking(opened, moments[moment], rows, options) for moment, rows, options in drawn]
    for n in sorted(broken):
        refused = Asking(opened, partial(refuse, f"refused {n}"), Stages(opened.metrics))
        asked.insert(min(n, len(asked)), refused)
    together = [told(outcome) for outcome in answer_all(asked)]
    alone = [told(answer_all([one])[0]) for one in asked]
    assert together == alone


def test_what_is_searched_together_is_what_brute_force_finds(
    world: tuple[Opened, tuple[Snapshot, Snapshot]],
) -> None:
    opened, (_, now) = world
    if not now.is_exact:
        pytest.skip("brute force is the oracle of exact search")
    truth = {n + 1: row for n, row in enumerate(vectors())}
    asked = [asking(opened, now, [n], Options(k=20)) for n in range(len(QUERIES))]
    for query, outcome in zip(QUERIES, answer_all(asked), strict=True):
        assert isinstance(outcome, bytes)
        (hits,) = json.loads(outcome)["results"]
        found = [(int(hit["id"]) + 1, np.float32(hit["score"])) for hit in hits]
        assert found == brute_force(truth, query, k=20)


@pytest.mark.parametrize("group_by", [None, "brand"])
@pytest.mark.parametrize("query", [None, '{"field": "brand", "eq": "b2"}'])
def test_an_answer_is_what_its_model_writes(
    world: tuple[Opened, tuple[Snapshot, Snapshot]], group_by: str | None, query: str | None
) -> None:
    opened, (_, now) = world
    options = Options(k=3, group_by=group_by, filter=read_filter(query) if query else None)
    (outcome,) = answer_all([asking(opened, now, [0, 1], options)])
    assert isinstance(outcome, bytes)
    answer = SearchResponse.model_validate_json(outcome, strict=True)
    assert answer.model_dump_json().encode() == outcome
    assert all(answer.results)


def test_one_search_answers_all_that_are_compatible(
    world: tuple[Opened, tuple[Snapshot, Snapshot]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, (before, now) = world
    searched: list[tuple[int, int]] = []
    search = Snapshot.search

    def counted(self: Snapshot, rows: Any, *, k: int) -> Any:
        searched.append((len(rows), k))
        return search(self, rows, k=k)

    monkeypatch.setattr(Snapshot, "search", counted)
    plain, more = Options(k=5), Options(k=9)
    choices: Sequence[tuple[Snapshot, Options]] = [
        (now, plain), (now, more), (now, plain), (before, plain), (now, plain),
    ]  # fmt: skip
    answer_all([asking(opened, moment, [0], options) for moment, options in choices])
    if now.is_exact:
        assert sorted(searched) == [(1, 5), (1, 9), (3, 5)]
    else:
        assert sorted(searched) == [(1, 5)] * 4 + [(1, 9)]


def test_a_search_that_fails_whole_is_tried_one_by_one(
    world: tuple[Opened, tuple[Snapshot, Snapshot]],
) -> None:
    opened, (_, now) = world
    asked = [asking(opened, now, [n], Options(k=3)) for n in range(3)]
    short = Question(QUERIES[:1, :4], now, Options(k=3))
    asked.insert(1, Asking(opened, lambda: short, Stages(opened.metrics)))
    outcomes = answer_all(asked)
    assert [isinstance(outcome, bytes) for outcome in outcomes] == [True, False, True, True]
    assert "expected vectors of" in str(outcomes[1])
