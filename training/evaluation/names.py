"""The benchmarks `lorgnette evaluate` knows, by name."""

from __future__ import annotations

from typing import Final

LANDMARKS: Final = ("roxford5k", "rparis6k", "oxford5k", "paris6k")
"""Those whose queries are boxes, and whose landmarks Google Landmarks v2 shows too."""

BENCHMARKS: Final = (*LANDMARKS, "cub", "cars", "sop", "inshop", "gldv2")
