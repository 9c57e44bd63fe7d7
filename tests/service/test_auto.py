from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lorgnette.errors import NotEnoughMemory
from lorgnette.manifest import Space
from lorgnette.vectors import Vectors
from service.gallery import auto, faiss_index, footprint, generations, publish, recipes
from service.gallery.catalogue import Catalogue
from service.gallery.sample import Sample
from tests.service.gallery_rows import check_here, new_item

DIM = 64
SPACE = Space(id="auto-0123456789ab", dim=DIM)


def clustered(count: int, *, seed: int, dim: int = DIM) -> Vectors:
    """Rows about 200 centres, as photographs of few things are."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((200, dim))
    rows = centres[rng.integers(0, 200, count)] + 0.6 * rng.standard_normal((count, dim))
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def oracle_recall(index: faiss_index.Index, rows: Vectors, queries: Vectors) -> float:
    """Recall@10 by a full matrix of cosines in float64."""
    s = queries.astype(np.float64) @ rows.astype(np.float64).T
    true = np.argsort(-s, axis=1)[:, :10]
    _, found = index.search(queries, k=10)
    return float(
        np.mean(
            [len(set(a) & set(b)) / 10 for a, b in zip(true.tolist(), found.tolist(), strict=True)]
        )
    )


@pytest.fixture
def _small_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same decisions, at a tenth of the size or less."""
    for name, value in (("FLAT_ROWS", 500), ("_SCANNED_ROWS", 6_000)):
        monkeypatch.setattr(recipes, name, value)
    monkeypatch.setattr(auto, "FLAT_ROWS", 500)


@pytest.mark.parametrize(
    ("count", "dim", "coded", "largest"),
    [
        (10_000, 512, "", "Flat"),
        (10_001, 512, "PQ128x4fs", "PQ128x4fs,Refine(SQfp16)"),
        (100_000, 512, "PQ128x4fs", "PQ128x4fs,Refine(SQfp16)"),
        (200_001, 512, "IVF1024,PQ128x4fs", "IVF1024,PQ128x4fs,Refine(SQfp16)"),
        (1_000_000, 512, "IVF2048,PQ128x4fs", "IVF2048,PQ128x4fs,Refine(SQfp16)"),
        (1_000_000, 2048, "IVF2048,PQ512x4fs", "IVF2048,PQ512x4fs,Refine(SQfp16)"),
        (100_000, 100, "PQ25x4fs", "PQ25x4fs,Refine(SQfp16)"),
        (100_000, 32, "", "SQfp16"),
        (100_000, 509, "", "SQfp16"),
    ],
)
def test_the_recipe_follows_from_count_and_length(
    count: int, dim: int, coded: str, largest: str
) -> None:
    assert recipes.coded_factory(count, dim=dim) == coded
    assert recipes.largest_factory(count, dim=dim) == largest
    faiss_index.check_factory(largest, dim=dim)


@pytest.mark.usefixtures("_small_thresholds")
@pytest.mark.parametrize(
    ("count", "gate", "begins"),
    [(400, 0.95, "Flat"), (900, 0.99, "PQ16x4fs"), (3_000, 0.95, "PQ16x4fs"), (8_000, 0.95, "IVF")],
)
def test_what_is_chosen_holds_the_gate_for_queries_it_never_saw(
    count: int, gate: float, begins: str
) -> None:
    rows, queries = clustered(count, seed=1), clustered(200, seed=2)
    built = auto.built(rows, Sample.of(rows, seed=0), factory="auto", gate=gate)
    assert built.factory.startswith(begins)
    assert built.tuning is not None
    chosen = built.tuning.trials[-1]
    assert (chosen.factory, chosen.recall_at_10 >= gate) == (built.factory, True)
    assert built.index.effort == faiss_index.Effort(probes=chosen.probes, k_factor=chosen.k_factor)
    # 2,000 answers: three standard errors below the gate would be no accident.
    assert oracle_recall(built.index, rows, queries) > gate - 3 * np.sqrt(gate * (1 - gate) / 2000)


@pytest.mark.usefixtures("_small_thresholds")
def test_the_quickest_of_the_efforts_that_suffice_is_set() -> None:
    rows = clustered(8_000, seed=1)
    built = auto.built(rows, Sample.of(rows, seed=0), factory="auto", gate=0.9)
    assert built.tuning is not None
    times = [t.p50_ms for t in built.tuning.trials if t.factory == built.factory]
    assert times[-1] == min(times)


@pytest.mark.usefixtures("_small_thresholds")
def test_less_memory_gives_a_smaller_index_or_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = clustered(3_000, seed=1)
    sample = Sample.of(rows, seed=0)

    def factory_within(bytes_a_row: int) -> str:
        free = int(len(rows) * bytes_a_row / auto._MEMORY_SHARE)
        monkeypatch.setattr(footprint, "available_memory", lambda: free)
        return auto.built(rows, sample, factory="auto", gate=0.999).factory

    assert factory_within(4 * DIM) == "PQ16x4fs,Refine(SQfp16)"
    with pytest.raises(NotEnoughMemory, match=r"half of what is free \(the best that does: 0\.9"):
        factory_within(DIM + DIM // 8)
    with pytest.raises(NotEnoughMemory, match=r"the best that does: 0\.000"):
        factory_within(DIM // 8)


@pytest.mark.usefixtures("_small_thresholds")
def test_the_generation_says_what_was_chosen_and_searches_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_ask", check_here)
    with closing(Catalogue.open(tmp_path)) as catalogue:
        rows = clustered(8_000, seed=1)
        catalogue.upsert(SPACE, [new_item(f"{n}", row) for n, row in enumerate(rows)])
        made = publish.publish(catalogue, tmp_path, SPACE, factory="auto", recall_gate=0.95)
    opened = generations.Generation.open(generations.directory_of(tmp_path, made.generation))
    assert opened.manifest.tuning is not None
    chosen = opened.manifest.tuning.trials[-1]
    assert opened.index.effort == faiss_index.Effort(probes=chosen.probes, k_factor=chosen.k_factor)
    assert opened.manifest.factory == chosen.factory
    # The next generation is chosen anew: the gallery may have grown.
    assert footprint.kept_factory(tmp_path, SPACE) == "auto"


def test_a_named_factory_is_kept_and_only_tries_harder() -> None:
    rows = clustered(4_000, seed=1)
    sample = Sample.of(rows, seed=0)
    built = auto.built(rows, sample, factory="IVF32,PQ16x4fs,Refine(SQfp16)", gate=0.95)
    assert (built.factory, built.tuning) == ("IVF32,PQ16x4fs,Refine(SQfp16)", None)
    assert sample.recall(built.index.search(sample.queries, k=11)[1], rows) >= 0.95
