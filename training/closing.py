"""The last thing a gallery model learns: a whitening, folded into a linear layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lorgnette.vectors import Vectors
from training.config import ClosingWhitening, PcaWhitening, Running
from training.data.loader import Views
from training.embed import cached_pooled
from training.models.embedder import Embedder
from training.models.specs import Head
from training.models.whitening import Whitening, learn_whitening
from training.runtime import Place, first_alone

_WHITENING_HEAD = Head(unit_input=True, bias=True, dropout=0.0, batch_norm=False)


def whitened(
    trained: Embedder,
    spec: ClosingWhitening,
    views: Views,
    *,
    running: Running,
    out: Path,
    place: Place,
) -> Embedder:
    """The trained network without a head, followed by a whitening of its unit rows.

    Learned on the views; their rows are cached below `out`.
    Raises `InvalidConfiguration` when the rows do not span `spec.dim` dimensions.
    """
    trained.cpu().eval()
    network = trained.network.model_copy(update={"head": _WHITENING_HEAD, "dim": spec.dim})
    behind = Embedder(network)
    behind.load_state_dict(trained.state_dict(), strict=False)
    with first_alone(place):
        pooled = cached_pooled(
            out / "pooled-trained", trained, views, spec=network.input, running=running
        )
    rows = np.concatenate([part for _, part in pooled.shards()])
    _learned(spec, rows).fold_into(behind.linear)
    return behind.eval()


def _learned(spec: ClosingWhitening, rows: Vectors) -> Whitening:
    if isinstance(spec, PcaWhitening):
        return learn_whitening(rows, dim=spec.dim, shrinkage=spec.shrinkage)
    raise NotImplementedError
