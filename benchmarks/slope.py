"""What one query costs as the gallery grows, by `auto` and by exact search.

    .venv/bin/python benchmarks/slope.py [--small] [--cache DIR] [--json FILE]

`slope` is the exponent between a row and the one before: 1 is linear, 0 is no growth. That of the
whole is fitted to all rows.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks import cache, common, index

COUNTS = (10_000, 30_000, 100_000, 300_000, 1_000_000)


def main() -> None:
    options = common.options_of(__doc__, cache.add_option)
    kept = cache.Cache.of(options.cache)
    counts = (2_000, 12_000) if options.small else COUNTS
    table: common.Table = []
    for count in counts:
        asked = index.Asked.of(count, kept, is_small=options.small)
        row = index.auto_row(asked, kept, gate=0.99)
        before = table[-1] if table else None
        for name, slope in (("p50_ms", "slope"), ("flat_p50_ms", "flat_slope")):
            row[slope] = (
                math.log(row[name] / before[name]) / math.log(count / before["count"])
                if before
                else 0.0
            )
        table.append(row)
    targets = [
        common.at_most("exponent of `auto` over all sizes", exponent(table, "p50_ms"), 0.99),
        f"exponent of exact search: {exponent(table, 'flat_p50_ms'):.4g}",
    ]
    common.told(table, options, targets=targets, gate=0.99, k=common.K)


def exponent(table: common.Table, name: str) -> float:
    """e of the best fit of `time = c N**e`."""
    counts, times = ([math.log(row[key]) for row in table] for key in ("count", name))
    return float(np.polyfit(counts, times, 1)[0])


if __name__ == "__main__":
    main()
