"""How hard an index must search for a wanted recall, found by asking it the rows held back."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from lorgnette.vectors import Vectors
from service.gallery.faiss_index import Effort, Index
from service.gallery.generations import Trial
from service.gallery.sample import Sample
from service.gallery.selfcheck import ASKED

_K_FACTORS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_MOST_PROBES = 1024
_TIMED, _TURNS = 20, 3
"""Queries asked one at a time to time an effort, and how often efforts take turns at it."""

_RESERVE = 0.3
"""Of the errors a gate allows, those not used: 5,000 answers tell 0.990 from 0.987 hardly."""


def widen(index: Index, sample: Sample, rows: Vectors, *, gate: float) -> None:
    """Try harder, a doubling at a time, until the gate holds or there is no more to give."""
    effort = index.effort
    while _recall(index, sample, rows) < gate:
        probes, k_factor = effort.probes, effort.k_factor
        if probes is not None and probes < min(index.lists, _MOST_PROBES):
            effort = Effort(probes=2 * probes, k_factor=k_factor)
        elif k_factor is not None and k_factor < _K_FACTORS[-1]:
            effort = Effort(probes=probes, k_factor=2 * k_factor)
        else:
            return
        index.set_effort(effort)


def tuned(index: Index, sample: Sample, rows: Vectors, *, factory: str, gate: float) -> list[Trial]:
    """Set the quickest effort of this index that holds the gate; the best one if none does.

    Returns the efforts that were timed, the one that is now set last. For every number of
    candidates the fewest lists that suffice are sought by bisection: both help recall.
    """
    aim = gate + _RESERVE * (1 - gate)

    def reached(effort: Effort) -> float:
        index.set_effort(effort)
        return _recall(index, sample, rows)

    def tried(effort: Effort, p50_ms: float) -> Trial:
        recall = reached(effort)
        return Trial(
            factory=factory,
            probes=index.effort.probes,
            k_factor=index.effort.k_factor,
            recall_at_10=round(recall, 4),
            p50_ms=round(p50_ms, 4),
        )

    efforts = _efforts(index, reached, aim=aim) or _efforts(index, reached, aim=gate)
    most = Effort(probes=min(index.lists, _MOST_PROBES) or None, k_factor=_K_FACTORS[-1])
    efforts = efforts or [most]
    times = _p50s_ms(index, efforts, sample.queries)
    trials = [tried(effort, p50_ms) for effort, p50_ms in zip(efforts, times, strict=True)]
    quickest = min(trials, key=lambda trial: trial.p50_ms)
    index.set_effort(Effort(probes=quickest.probes, k_factor=quickest.k_factor))
    return [trial for trial in trials if trial is not quickest] + [quickest]


def _efforts(index: Index, reached: Callable[[Effort], float], *, aim: float) -> list[Effort]:
    """For each number of candidates the least effort that reaches the aim, where one does."""
    # A doubling would overshoot by up to twice: 4, 6, 8, 12, 16, 24 …
    steps = sorted(part << n for part in (2, 3) for n in range(1, 10))
    ladder = [step for step in steps if step < min(index.lists, _MOST_PROBES)]
    probes = [*ladder, min(index.lists, _MOST_PROBES)] if index.lists else [None]
    found = []
    for k_factor in _K_FACTORS if index.effort.k_factor is not None else (None,):
        if reached(Effort(probes=probes[-1], k_factor=k_factor)) < aim:
            continue
        low, high = 0, len(probes) - 1
        while low < high:
            middle = (low + high) // 2
            if reached(Effort(probes=probes[middle], k_factor=k_factor)) >= aim:
                high = middle
            else:
                low = middle + 1
        found.append(Effort(probes=probes[high], k_factor=k_factor))
    return found


def _recall(index: Index, sample: Sample, rows: Vectors) -> float:
    return sample.recall(index.search(sample.queries, k=ASKED)[1], rows)


def _p50s_ms(index: Index, efforts: list[Effort], queries: Vectors) -> list[float]:
    """The median time of one query with each effort. They take turns: a machine that slows down
    for a while slows all of them."""
    times: list[list[float]] = [[] for _ in efforts]
    for _ in range(_TURNS):
        for effort, measured in zip(efforts, times, strict=True):
            index.set_effort(effort)
            for n in range(min(_TIMED, len(queries))):
                started = time.perf_counter()
                index.search(queries[n : n + 1], k=ASKED)
                measured.append(1000 * (time.perf_counter() - started))
    return [statistics.median(measured) for measured in times]
