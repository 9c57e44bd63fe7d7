"""The child process that opens a finished index before anybody relies on it.

    python -m service.gallery.selfcheck DIRECTORY < queries.npy > positions.npy

A malformed index can abort the process that reads it; here that costs only this child. Queries
are `[N, D]` float32, the answer `[N, 11]` int64 positions (-1 for none): itself and ten others.
What is right is for the parent to judge: it holds the vectors.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np

from lorgnette.errors import LorgnetteError
from service.gallery.generations import Generation

RANKS = 10
ASKED = RANKS + 1


def main() -> int:
    """Open the generation, search it, write what was found. Exit status 1 with a sentence."""
    try:
        index = Generation.open(Path(sys.argv[1])).index
    except LorgnetteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    queries = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    _, positions = index.search(queries, k=ASKED)
    answer = io.BytesIO()
    np.save(answer, positions)
    sys.stdout.buffer.write(answer.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(main())
