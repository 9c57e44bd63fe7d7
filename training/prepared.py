"""The network as it is trained: images as they are stored in, float32 rows out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import InputSpec
from training.config import Amp
from training.data.augment import normalise
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.optimiser_spec import Optimiser
from training.quantise import FakeInt8

DTYPES: dict[Amp, torch.dtype] = {
    "none": torch.float32,
    "int8": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class Prepared(nn.Module):
    """A network that takes uint8 `[N, 3, H, W]` and computes in the precision `amp` names.

    After its frozen stages it takes their maps, float32 `[N, C, h, w]`.
    """

    def __init__(self, network: Embedder, spec: InputSpec, amp: Amp) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.spec = spec
        self.amp = amp

    def forward(self, images: Tensor) -> Tensor:
        """Returns float32 unit rows `[N, D]`.

        Raises `InvalidConfiguration` for a single image whose batch statistics are wanted.
        """
        place = next(self.network.parameters()).device
        prepared = images.to(place, memory_format=torch.channels_last)
        if not images.is_floating_point():
            prepared = normalise(prepared, self.spec)
        with _precision(self.amp, place.type):
            rows = self._rows(prepared)
        if rows.dtype == torch.float32:
            return rows
        # Of unit length to float32's precision again, as every loss assumes.
        return F.normalize(rows.float(), dim=-1)

    def _rows(self, prepared: Tensor) -> Tensor:
        try:
            rows: Tensor = self.network(prepared)
        except ValueError as error:
            if len(prepared) > 1:
                raise
            raise InvalidConfiguration(
                "a batch of one image has no statistics for the batch norms that train: give more "
                "images a batch (also the last of an epoch, and each process's share, is one), or "
                "say optimiser.norms: frozen and model.head.batch_norm: false"
            ) from error
        return rows


@contextmanager
def _precision(amp: Amp, device: str) -> Iterator[None]:
    dtype = DTYPES[amp]
    rounding = FakeInt8() if amp == "int8" else nullcontext()
    with rounding, torch.autocast(device, dtype, enabled=dtype != torch.float32):
        yield


def trained_view(student: Embedder, spec: Optimiser) -> Embedder:
    """The network to run in training, sharing every parameter and buffer with `student`.

    What follows the backbone trains (its dropout drops, its norms learn).  The backbone's norms
    are as `spec.norms` says, and modules that keep their weights keep their statistics too.
    """
    if spec.norms == "trained":
        student.train()
        for name in spec.frozen:
            student.backbone.get_submodule(name).eval()
        return student
    view = with_frozen_norms(student).train()
    view.backbone.eval()
    return view
