"""The teacher at work on a gallery: files in, unit rows out, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidBundle, InvalidInput
from lorgnette.image import MAX_PIXELS

Embedded = NDArray[np.float32] | InvalidInput
"""The unit row `[D]` of a photograph, or why it has none."""

_AHEAD = 8


def open_teacher(directory: Path, *, max_pixels: int = MAX_PIXELS) -> Encoder:
    """Open a gallery bundle and check it against its golden vectors. Raises `InvalidBundle`."""
    bundle = Bundle.open(directory)
    if bundle.manifest.role != "gallery":
        raise InvalidBundle(
            f"{directory} is a {bundle.manifest.role} bundle (a student, for queries), expected a "
            "gallery bundle: give --teacher the teacher of the same space"
        )
    encoder = Encoder(bundle, variant=bundle.default_variant(), threads=1, max_pixels=max_pixels)
    encoder.check()
    return encoder


def embed_files(encoder: Encoder, paths: Sequence[Path], *, threads: int) -> Generator[Embedded]:
    """Embed photographs, yielding in the order of `paths`.

    Each of the worker threads decodes and embeds one photograph at a time, so that decoding one
    overlaps with embedding another. At most a few per thread are read ahead. A photograph that
    cannot be read yields its error instead of a row.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="embed")
    pending: deque[Future[Embedded]] = deque()
    try:
        for path in paths:
            pending.append(pool.submit(_embed, encoder, path))
            if len(pending) >= _AHEAD * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _embed(encoder: Encoder, path: Path) -> Embedded:
    try:
        return encoder.encode(path)
    except InvalidInput as error:
        return error
