"""One search, from unit rows to the answer: filter, rank, rank again, group, describe.

A request sees one snapshot of the vectors and one moment of the catalogue. Blocking.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic_core import to_json

from lorgnette.alignment import Alignment
from lorgnette.vectors import Vectors
from lorgnette.wire import Options
from service.gallery.grouping import Value
from service.gallery.records import Item
from service.gallery.snapshot import Found, Snapshot
from service.ranking import Ranker
from service.stages import Stages, in_all
from service.state import Opened

_ROWS_TOGETHER = 128
"""Beyond, one search gains nothing more from another row, and its scores take memory."""


@dataclass(frozen=True)
class Question:
    """rows: `[N, D]` unit rows of the snapshot's space. student: who embedded them, if that is
    known. alignment: what has mapped them, see `aligned`."""

    rows: Vectors
    snapshot: Snapshot
    options: Options
    student: str | None = None
    alignment: Alignment | None = None

    @property
    def scale(self) -> str:
        """Which scores its own can be held against: of mapped rows they are about another mean."""
        return self.snapshot.space.id + ("" if self.alignment is None else "+aligned")

    @property
    def kin(self) -> tuple[int, int] | None:
        """What questions must share to be searched together; None for one that must be alone.

        Only an exact search of many rows finds for each the very hits that it finds alone.
        """
        asked = self.options
        if asked.filter or asked.group_by or asked.rerank or not self.snapshot.is_exact:
            return None
        return id(self.snapshot), asked.offset + asked.k


def aligned(opened: Opened, question: Question, *, stages: Stages) -> Question:
    """The question with its rows mapped by their student's alignment with this gallery.

    As it was, where the student is unknown or has none. Blocking.
    """
    if question.student is None:
        return question
    with opened.catalogue.reading_once() as connection, stages.stage("align"):
        learned = opened.alignments.of(connection, question.snapshot.space, question.student)
        if learned is None:
            return question
        return replace(question, rows=learned(question.rows), alignment=learned)


def answer(opened: Opened, question: Question, *, stages: Stages) -> bytes:
    """The answer as JSON. An item deleted since the snapshot is left out."""
    return answer_together(opened, [question], stages=[stages])[0]


def answer_together(
    opened: Opened, questions: Sequence[Question], *, stages: Sequence[Stages]
) -> list[bytes]:
    """The answer to each of them as JSON: one search and one query of the catalogue for all.

    Several must be compatible, that is have one `Question.kin`.
    """
    catalogue = opened.catalogue
    reading = catalogue.reading if any(map(_reads_twice, questions)) else catalogue.reading_once
    with reading() as connection:
        rows = _searched(questions, stages) if len(questions) > 1 else [None]
        ranked = [
            _ranked(opened, connection, question, own, rows=own_rows)
            for question, own, own_rows in zip(questions, stages, rows, strict=True)
        ]
        with in_all("metadata", stages):
            keys = [hit.key for one in ranked for row in one.found for hit in row]
            items = catalogue.items(keys)
    return [
        _told(question, own, one, items)
        for question, own, one in zip(questions, stages, ranked, strict=True)
    ]


def _reads_twice(question: Question) -> bool:
    """Whether the catalogue is asked before the hits are described too."""
    return question.options.filter is not None or question.options.group_by is not None


@dataclass(frozen=True)
class _Ranked:
    """found: the hits of each row; values: of each item, with groups; matching: with a filter."""

    found: list[list[Found]]
    values: Mapping[int, Value]
    matching: int | None


def _searched(
    questions: Sequence[Question], stages: Sequence[Stages]
) -> list[list[list[Found]] | None]:
    """The hits of each question's rows, by one search for all."""
    options = questions[0].options
    rows = np.concatenate([question.rows for question in questions])
    with in_all("search", stages):
        found = questions[0].snapshot.search(rows, k=options.offset + options.k)
    ends = np.cumsum([len(question.rows) for question in questions]).tolist()
    return [found[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _ranked(
    opened: Opened,
    connection: sqlite3.Connection,
    question: Question,
    stages: Stages,
    *,
    rows: list[list[Found]] | None,
) -> _Ranked:
    options, snapshot, matching = question.options, question.snapshot, None
    if options.filter is not None:
        with stages.stage("filter"):
            snapshot = snapshot.only(opened.matching.keys(connection, options.filter))
        matching = snapshot.count
    ranker = Ranker(connection, snapshot, question.rows, options, stages, searched=rows)
    found, values = ranker.grouped() if options.group_by else (ranker.ranked(), {})
    if options.filter is None and ranker.top_scores:
        opened.drift.searched(question.scale, ranker.top_scores)
    return _Ranked(found=found, values=values, matching=matching)


def _told(question: Question, stages: Stages, ranked: _Ranked, items: Mapping[int, Item]) -> bytes:
    # A `SearchResponse`, but not built as one: what comes from here need not be checked again.
    return to_json(
        {
            "space": question.snapshot.space.id,
            "generation": question.snapshot.generation,
            "results": [
                [_hit(hit, items, ranked.values, question.options)
                 for hit in row if hit.key in items]
                for row in ranked.found
            ],
            "took_ms": stages.took_ms(),
            "matching": ranked.matching,
            "is_aligned": question.alignment is not None,
            "stages_ms": stages.ms,
        },
        inf_nan_mode="null",
    )  # fmt: skip


def _hit(
    hit: Found, items: Mapping[int, Item], values: Mapping[int, Value], options: Options
) -> dict[str, object]:
    """A `Hit`."""
    item, wanted = items[hit.key], options.fields
    metadata = item.metadata
    if wanted is not None:
        metadata = {name: metadata[name] for name in wanted if name in metadata}
    group = values.get(hit.key)
    return {"id": item.id, "score": hit.score, "metadata": metadata, "group": group}


@dataclass(frozen=True)
class Asking:
    """A request as it waits for a thread. question: reads and checks the body, and may raise."""

    opened: Opened
    question: Callable[[], Question]
    stages: Stages


def answer_all(asked: Sequence[Asking]) -> list[bytes | Exception]:
    """The answer to each, or the error that is its own. What is compatible is searched together."""
    outcomes: list[bytes | Exception] = []
    kin: dict[tuple[int, int] | int, list[tuple[int, Question, Stages]]] = {}
    for n, one in enumerate(asked):
        outcomes.append(b"")
        try:
            question = aligned(one.opened, one.question(), stages=one.stages)
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked
            outcomes[n] = error
        else:
            kin.setdefault(question.kin or n, []).append((n, question, one.stages))
    for family in kin.values():
        for together in _parted(family):
            answers = _answered(asked[0].opened, together)
            for (n, _, _), answered in zip(together, answers, strict=True):
                outcomes[n] = answered
    return outcomes


_Member = tuple[int, Question, Stages]


def _parted(family: list[_Member]) -> Iterator[list[_Member]]:
    """In order, so that no more than so many rows are searched at once."""
    together: list[_Member] = []
    for member in family:
        if together and sum(len(q.rows) for _, q, _ in [*together, member]) > _ROWS_TOGETHER:
            yield together
            together = []
        together.append(member)
    yield together


def _answered(opened: Opened, together: list[_Member]) -> Sequence[bytes | Exception]:
    """The answers. If something fails they are answered one by one, so that only one fails."""
    try:
        return answer_together(
            opened, [question for _, question, _ in together], stages=[own for *_, own in together]
        )
    except Exception as error:  # noqa: BLE001 - it is raised where it was asked
        if len(together) == 1:
            return [error]
        return [answered for one in together for answered in _answered(opened, [one])]
