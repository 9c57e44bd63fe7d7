"""What re-ranking gives and costs: student → teacher mAP on photographs, plain and re-ranked.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/reranking.py FOLDER... \\
        [--gallery models/teacher] [--query models/student] [--json FILE]

Each FOLDER holds `splits.tsv` (path, tab, role: gallery or query) and one folder a class. The
whole ranking counts; a re-ranking orders its best 400 again and leaves the rest. The last two
lines subtract a mean from both sides first: the gallery's from both, or from the queries the mean
of the student's own vectors of the gallery's photographs, which the service does not have.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lorgnette import Bundle, Encoder  # noqa: E402
from service.gallery.rerank import POOL, RERANKINGS  # noqa: E402

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
    """mAP and P@1 in percent, and milliseconds a query, of each ranking."""
    gallery, queries = listed(folder, "gallery"), listed(folder, "query")
    x, q = embedded(teacher, gallery), embedded(student, queries)
    own_mean = embedded(student, gallery).mean(axis=0)
    classes = [np.array([path.parent.name for path in paths]) for paths in (queries, gallery)]
    mean = x.mean(axis=0)
    plain = np.argsort(-(q @ x.T), axis=1, kind="stable")
    table = {"plain": (*judged(plain, *classes), 0.0)}
    for name, rerank in RERANKINGS.items():
        order, started = plain.copy(), time.perf_counter()
        for n, query in enumerate(q):
            pool = plain[n, :POOL]
            order[n, : len(pool)] = pool[np.argsort(-rerank(query, x[pool]), kind="stable")]
        took_ms = 1000 * (time.perf_counter() - started) / len(q)
        table[name] = (*judged(order, *classes), took_ms)
    for name, subtracted in (("gallery's mean", mean), ("student's own mean", own_mean)):
        order = np.argsort(-(unit(q - subtracted) @ unit(x - mean).T), axis=1, kind="stable")
        table[f"centred, query by the {name}"] = (*judged(order, *classes), 0.0)
    return table


def listed(folder: Path, role: str) -> list[Path]:
    lines = [line.split("\t") for line in (folder / "splits.tsv").read_text().splitlines()]
    return [folder / path for path, found in lines if found == role]


def embedded(encoder: Encoder, paths: list[Path]) -> Rows:
    with ThreadPoolExecutor(2) as pool:
        return np.stack(list(pool.map(encoder.encode, paths)))


def unit(rows: Rows) -> Rows:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def judged(order: NDArray[np.int64], queries: Names, gallery: Names) -> tuple[float, float]:
    precisions, firsts = [], []
    for ranking, wanted in zip(order, queries, strict=True):
        ranks = np.flatnonzero(gallery[ranking] == wanted)
        precisions.append(((np.arange(len(ranks)) + 1) / (ranks + 1)).mean())
        firsts.append(ranks[0] == 0)
    return 100 * float(np.mean(precisions)), 100 * float(np.mean(firsts))


if __name__ == "__main__":
    main()
