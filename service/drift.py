"""Whether today's queries still look like the first ones: their best scores, by tenths."""

from __future__ import annotations

import logging
import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from lorgnette import durable
from service.metrics import Metrics

log = logging.getLogger(__name__)

CALIBRATIONS_NAME = "calibrations"

Deciles = tuple[float, ...]
_DECILES = TypeAdapter(Annotated[Deciles, Field(min_length=9, max_length=9)])


class Drift:
    """Holds each space's first `size` queries as calibration, and later ones against it.

    Aligned queries count as a space of their own (`Question.scale`): their scores are of another
    kind. A calibration is nine scores, kept in the data directory; delete its file to calibrate
    anew.
    size: 0 holds nothing against anything. Thread-safe.
    """

    def __init__(self, data: Path, *, size: int, metrics: Metrics) -> None:
        self._folder = data / CALIBRATIONS_NAME
        self._size = size
        self._metrics = metrics
        self._lock = threading.Lock()
        self._collected: dict[str, list[float]] = {}
        self._known: dict[str, Deciles] = {}

    def searched(self, space_id: str, top_scores: Sequence[float]) -> None:
        """Take note of each query's best score; one without a hit has none."""
        for score in top_scores:
            self._metrics.top_score(space_id).observe(score)
        if not self._size:
            return
        with self._lock:
            deciles = self._calibration(space_id, top_scores)
        if deciles is not None:
            for score in top_scores:
                decile = bisect_right(deciles, score) + 1
                self._metrics.decile(space_id, str(decile)).inc()

    def calibrations(self) -> Mapping[str, Deciles]:
        """The nine inner deciles of each calibrated space."""
        with self._lock:
            return dict(self._known)

    def _calibration(self, space_id: str, scores: Sequence[float]) -> Deciles | None:
        """The space's calibration; None while these scores are among those it is made of."""
        if space_id in self._known:
            return self._known[space_id]
        collected = self._collected.get(space_id)
        if collected is None:
            collected = self._collected[space_id] = []
            if self._read(space_id):
                return self._known[space_id]
        collected.extend(scores)
        if len(collected) >= self._size:
            quantiles = np.quantile(collected, np.arange(1, 10) / 10)
            self._write(space_id, tuple(quantiles.tolist()))
        return None

    def _read(self, space_id: str) -> bool:
        try:
            content = (self._folder / f"{space_id}.json").read_bytes()
            self._hold(space_id, _DECILES.validate_json(content))
        except FileNotFoundError:
            return False
        except (OSError, ValidationError):
            log.warning("a calibration cannot be read", extra={"space": space_id})
            return False
        return True

    def _write(self, space_id: str, deciles: Deciles) -> None:
        """Keep a calibration; the first worker's is everybody's."""
        path = self._folder / f"{space_id}.json"
        self._hold(space_id, deciles)
        try:
            self._folder.mkdir(exist_ok=True)
            durable.write_synced(path, _DECILES.dump_json(deciles))
        except FileExistsError:
            self._read(space_id)
        except OSError as error:
            log.warning("a calibration was not kept", extra={"reason": error.strerror})

    def _hold(self, space_id: str, deciles: Deciles) -> None:
        """Hold later queries against it. An empty tenth is a zero, not an absent series."""
        self._known[space_id] = deciles
        for decile in range(1, 11):
            self._metrics.decile(space_id, str(decile))
