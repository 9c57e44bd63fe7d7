"""The right index without thinking: `auto` chooses a factory and tunes what it chose.

Small galleries are compared whole. From some 10,000 rows a scan of 4-bit codes finds candidates,
which are compared again by finer copies of their rows; from some 200,000 only the nearest lists
are scanned. The finer copies are 8-bit where the wanted recall can be had by them, else 16-bit.
How many lists and candidates is found by asking the rows that were held back from training.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from lorgnette.errors import NotEnoughMemory
from lorgnette.vectors import Vectors
from service.gallery import faiss_index, footprint, tuning
from service.gallery.generations import AUTO, Trial, Tuning
from service.gallery.index import Index
from service.gallery.index_cost import cost_of
from service.gallery.lists import centres
from service.gallery.recipes import FLAT_ROWS, coded_factory, training_rows
from service.gallery.sample import Sample

log = logging.getLogger(__name__)

_MEMORY_SHARE = 0.5
"""Of the memory that is free, what an index may take."""


@dataclass(frozen=True)
class Built:
    """An index, ready to be written. factory: FAISS's string for it. tuning: None if it was named
    by the caller."""

    index: Index
    factory: str
    tuning: Tuning | None


def built(rows: Vectors, sample: Sample, *, factory: str, gate: float) -> Built:
    """Hold `[N, D]` rows in an index whose recall@10 on the sample is at least `gate`, if it can.

    factory: "auto", or a FAISS factory string, of which only the effort is tuned.
    Raises `InvalidConfiguration`, and `NotEnoughMemory` when nothing that is good enough fits.
    """
    if factory != AUTO:
        index = faiss_index.build(rows, factory=factory, training=partial(sample.others, rows))
        tuning.widen(index, sample, rows, gate=gate)
        return Built(index=index, factory=factory, tuning=None)
    budget = int(_MEMORY_SHARE * footprint.available_memory())
    return _chosen(rows, sample, gate=gate, budget=budget)


def _chosen(rows: Vectors, sample: Sample, *, gate: float, budget: int) -> Built:
    """The first of the recipes that fits and holds the gate."""
    count, dim = rows.shape
    trials: list[Trial] = []
    for factory, index in _recipes(rows, sample, budget=budget):
        found = tuning.tuned(index, sample, rows, factory=factory, gate=gate)
        log.info("auto: tried %s", factory, extra={"trial": found[-1].model_dump()})
        trials += found
        if found[-1].recall_at_10 >= gate:
            told = Tuning(recall_gate=gate, budget_bytes=budget, trials=tuple(trials))
            return Built(index=index, factory=factory, tuning=told)
        # Or the next one would be built beside it.
        del index
    best = max((trial.recall_at_10 for trial in trials), default=0.0)
    raise NotEnoughMemory(
        f"auto: no index of {count:,} vectors of {dim} with recall@10 of {gate} fits into "
        f"{budget / 1e6:,.0f} MB, half of what is free (the best that does: {best:.3f}): free "
        'some, lower the recall gate, or name a factory such as "SQ8"'
    )


def _recipes(
    rows: Vectors, sample: Sample, *, budget: int
) -> Iterator[tuple[str, faiss_index.Index]]:
    """The indexes to try, smallest first among those that fit, each built when asked for."""
    count, dim = len(rows), int(rows.shape[1])
    coded = coded_factory(count, dim=dim)

    def fits(factory: str) -> bool:
        return count * cost_of(factory, dim=dim).held <= budget

    base: faiss_index.Index | None = None
    for kind in ("SQ8", "SQfp16") if coded else ():
        factory = f"{coded},Refine({kind})"
        if fits(factory):
            base = base or _coded(rows, sample, factory=coded)
            yield factory, base.refined(rows, kind=kind)
    base = None
    for factory in ("SQfp16",) if count > FLAT_ROWS else ():
        if fits(factory):
            yield factory, faiss_index.build(rows, factory=factory)
    if fits("Flat"):
        yield "Flat", faiss_index.build(rows, factory="Flat")


def _coded(rows: Vectors, sample: Sample, *, factory: str) -> faiss_index.Index:
    training = partial(sample.others, rows, at_most=training_rows(len(rows)))
    return faiss_index.build(rows, factory=factory, training=training, centres=centres)
