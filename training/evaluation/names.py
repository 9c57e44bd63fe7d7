"""What `lorgnette evaluate` knows, by name: benchmarks, and who asks whom."""

from __future__ import annotations

from typing import Final, Literal, get_args

BenchmarkName = Literal[
    "roxford5k", "rparis6k", "oxford5k", "paris6k", "cub", "cars", "sop", "inshop", "gldv2"
]
BENCHMARKS: Final[tuple[BenchmarkName, ...]] = get_args(BenchmarkName)

LANDMARKS: Final = BENCHMARKS[:4]
"""Those whose queries are boxes, and whose landmarks Google Landmarks v2 shows too."""

Pairing = Literal["teacher_to_teacher", "student_to_student", "student_to_teacher"]
"""Who embeds the queries, and who embeds the gallery."""
