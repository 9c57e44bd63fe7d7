"""How often one key may ask: a token bucket for each, in this process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from service.api.problems import RateLimited


@dataclass
class _Bucket:
    left: float
    filled_at: float


class RateLimit:
    """At most `burst` requests at once and `per_s` a second over time, by key.

    per_s: None limits nothing. Not thread-safe: used on the event loop only. There are no more
    buckets than keys, because a key is checked first.
    """

    def __init__(
        self, *, per_s: float | None, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    @classmethod
    def shared(cls, per_s: float | None, burst: int, *, workers: int) -> Self:
        """This worker's part of the limits: a key's requests spread over all of them."""
        part = None if per_s is None else per_s / workers
        return cls(per_s=part, burst=max(1, burst // workers))

    def take(self, key_id: str) -> None:
        """Count one request. Raises `RateLimited` with the seconds after which one is allowed."""
        if self._per_s is None:
            return
        moment = self._clock()
        bucket = self._buckets.setdefault(key_id, _Bucket(float(self._burst), moment))
        gained = (moment - bucket.filled_at) * self._per_s
        bucket.left, bucket.filled_at = min(self._burst, bucket.left + gained), moment
        if bucket.left < 1:
            wait_s = (1 - bucket.left) / self._per_s
            raise RateLimited(
                f"this key may ask {self._per_s:g} times a second: slow down and try again",
                retry_after_s=max(1, math.ceil(wait_s)),
            )
        bucket.left -= 1
