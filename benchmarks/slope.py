"""What one query costs as the gallery grows, by `auto` and by exact search.

    .venv/bin/python benchmarks/slope.py [--small] [--json FILE]

`slope` is the exponent between a row and the one before: 1 is linear, 0 is no growth.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, index

COUNTS = (10_000, 30_000, 100_000, 300_000, 1_000_000)


def main() -> None:
    options = common.options_of(__doc__)
    counts = (2_000, 12_000) if options.small else COUNTS
    table: common.Table = []
    for count in counts:
        row = index.auto_row(index.Asked.of(count, is_small=options.small), gate=0.99)
        before = table[-1] if table else None
        for name, slope in (("p50_ms", "slope"), ("flat_p50_ms", "flat_slope")):
            row[slope] = (
                math.log(row[name] / before[name]) / math.log(count / before["count"])
                if before
                else 0.0
            )
        table.append(row)
    common.told(table, options, gate=0.99, k=common.K)


if __name__ == "__main__":
    main()
