"""What a client does when the server no longer speaks its encoder's space: once, and no loop."""

from __future__ import annotations

from lorgnette.encoder import Encoder
from lorgnette.errors import LorgnetteError, SpaceMismatch
from lorgnette.models.store import ModelStore


def newer(store: ModelStore | None, encoder: Encoder, mismatch: SpaceMismatch) -> Encoder:
    """An encoder of another space than the refused one; the mismatch itself when none is had.

    Of the students that the server named as fitting, the only one is asked for; with several, or
    none, the store's own name decides.
    """
    if store is None:
        raise mismatch
    name = mismatch.students[0] if len(mismatch.students) == 1 else None
    try:
        found = store.latest(name=name)
    except LorgnetteError as error:
        raise mismatch from error
    if found.space == encoder.space:
        raise mismatch
    return found
