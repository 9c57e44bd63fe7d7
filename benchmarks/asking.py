"""What alignment and re-ranking give and cost: mAP on photographs of the teacher's gallery.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/asking.py FOLDER... \\
        [--gallery models/teacher] [--query models/student] [--json FILE]

Each FOLDER holds `splits.tsv` (path, tab, role: gallery or query) and one folder a class. The
whole ranking counts; a re-ranking orders its best 400 again and leaves the rest. Both the
student's and the teacher's queries are asked: as they are, and aligned with the gallery by its
photographs, all of them or fewer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lorgnette import Bundle, Encoder  # noqa: E402
from lorgnette.alignment import learn_alignment  # noqa: E402
from service.gallery.rerank import POOL, RERANKINGS  # noqa: E402

FEWER = (16, 64, 256)
"""Photographs of a smaller gallery."""

Rows = NDArray[np.float32]
Names = NDArray[np.str_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--gallery", type=Path, default=ROOT / "models" / "teacher")
    parser.add_argument("--query", type=Path, default=ROOT / "models" / "student")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    teacher, student = (Encoder(Bundle.open(path)) for path in (options.gallery, options.query))
    figures = {folder.name: measured(folder, teacher, student) for folder in options.folders}
    for name, table in figures.items():
        print(name)
        for row, (mean_ap, first, took_ms) in table.items():
            print(f"  {row:34s} mAP {mean_ap:5.1f}  P@1 {first:5.1f}  {took_ms:5.1f} ms a query")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def measured(
    folder: Path, teacher: Encoder, student: Encoder
) -> dict[str, tuple[float, float, float]]:
    """mAP and P@1 in percent, and milliseconds a query, of each way to ask."""
    gallery, queries = listed(folder, "gallery"), listed(folder, "query")
    names = [np.array([path.parent.name for path in paths]) for paths in (queries, gallery)]
    x = embedded(teacher, gallery)
    table = {}
    for who, encoder in (("teacher", teacher), ("student", student)):
        q = embedded(encoder, queries)
        own = x if encoder is teacher else embedded(encoder, gallery)
        ways = {"plain": q, "aligned": learn_alignment(own, x)(q)}
        for count in FEWER if encoder is student else ():
            few = np.random.default_rng(0).permutation(len(x))[:count]
            ways[f"aligned by {count}"] = learn_alignment(own[few], x[few])(q)
        for way, rows in ways.items():
            for rerank, order, took_ms in rankings(rows, x):
                table[f"{who}, {way}{rerank}"] = (*judged(order, *names), took_ms)
    return table


def rankings(q: Rows, x: Rows) -> Iterator[tuple[str, NDArray[np.int64], float]]:
    """Of each query `[N, D]`, plain and by each re-ranking: its name, order, ms a query."""
    plain = np.argsort(-(q @ x.T), axis=1, kind="stable")
    yield "", plain, 0.0
    for name, rerank in RERANKINGS.items():
        order, started = plain.copy(), time.perf_counter()
        for n, query in enumerate(q):
            pool = plain[n, :POOL]
            order[n, : len(pool)] = pool[np.argsort(-rerank(query, x[pool]), kind="stable")]
        yield f", {name}", order, 1000 * (time.perf_counter() - started) / len(q)


def listed(folder: Path, role: str) -> list[Path]:
    lines = [line.split("\t") for line in (folder / "splits.tsv").read_text().splitlines()]
    return [folder / path for path, found in lines if found == role]


def embedded(encoder: Encoder, paths: list[Path]) -> Rows:
    with ThreadPoolExecutor(2) as pool:
        return np.stack(list(pool.map(encoder.encode, paths)))


def judged(order: NDArray[np.int64], queries: Names, gallery: Names) -> tuple[float, float]:
    precisions, firsts = [], []
    for ranking, wanted in zip(order, queries, strict=True):
        ranks = np.flatnonzero(gallery[ranking] == wanted)
        precisions.append(((np.arange(len(ranks)) + 1) / (ranks + 1)).mean())
        firsts.append(ranks[0] == 0)
    return 100 * float(np.mean(precisions)), 100 * float(np.mean(firsts))


if __name__ == "__main__":
    main()
