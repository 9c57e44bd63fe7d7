"""The stages of a backbone that do not train, run once: training then begins at what they put out.

Where late stages alone are trained, most of the time goes into stages that never change, on the
same views again and again.  Their maps, kept on disk, make such a training several times as fast,
and all trainings that begin with the same weights share them.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import InputSpec
from lorgnette.vectors import Vectors
from training.config import Running, TrainConfig
from training.data.augment import normalise
from training.data.loader import Batch, Order, Views
from training.data.row_cache import Binding, RowCache, shared_place, views_sha256
from training.embed import fill
from training.models.backbone import PROBE
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.objective_spec import PairTermSpec

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class MappedViews(Views):
    """Views that are not rendered: a batch's images are their maps `[N, C, h, w]`, float32.

    maps: rows of C · h · w numbers, by view.  size_px: side of the squares they were made of.
    """

    maps: RowCache
    shape: Shape
    size_px: int

    def batch(self, order: Order) -> Batch:
        """Gather the ordered views' maps.  Raises `InvalidConfiguration` for another shape."""
        if order.size_px != self.size_px or order.choice.aspect != 1:
            raise InvalidConfiguration(
                f"kept maps are of squares of {self.size_px} px, and a batch wants "
                f"{order.size_px} px of aspect {order.choice.aspect:g}: train at one size, with "
                "aspects [1.0], or without --keep-maps"
            )
        return super().batch(order)

    def images(self, numbers: NDArray[np.int64], *, height: int, width: int) -> Tensor:
        """Their maps, float32 `[N, C, h, w]`."""
        return torch.from_numpy(self.maps.rows(numbers)).view(-1, *self.shape)


def mapped(views: Views, student: Embedder, config: TrainConfig, *, directory: Path) -> MappedViews:
    """The views as the frozen stages see them, computed into `directory` where they are not yet.

    Raises `InvalidConfiguration` when the configuration trains from the first stage on, or in a
    way that needs the images.
    """
    _require_maps_do(config)
    (size,) = config.schedule.sizes
    return kept_maps(
        views,
        student,
        config.optimiser.frozen,
        spec=config.model.input,
        size_px=size.size_px,
        running=config.running,
        directory=directory,
    )


def kept_maps(
    views: Views,
    student: Embedder,
    frozen: Collection[str],
    *,
    spec: InputSpec,
    size_px: int,
    running: Running,
    directory: Path,
) -> MappedViews:
    """As `mapped`, of squares of size_px.  student: its frozen stages are as they were loaded."""
    stem, _ = split(with_frozen_norms(student).to(memory_format=torch.channels_last), frozen)

    device = next(student.parameters()).device

    def maps(images: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = stem(normalise(images.to(device), spec)).cpu()
        return found

    shape = _shape(maps(torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8)))
    binding = Binding(
        kind="maps",
        network_sha256=_sha256(stem, spec, size_px),
        views_sha256=views_sha256(views.photographs.sha256, views.crops),
        count=len(views),
        dim=int(np.prod(shape)),
        dtype="float32",
    )
    cache = RowCache(shared_place(directory, binding), binding)

    def rows(images: Tensor) -> Vectors:
        flat: Vectors = maps(images).flatten(1).numpy()
        return flat

    fill(cache, rows, views, running, size_px=size_px, task="maps of the frozen stages")
    return MappedViews(views.photographs, views.crops, cache, shape, size_px)


def after_frozen(view: Embedder, frozen: Collection[str]) -> Embedder:
    """The same network without its frozen stages, sharing its weights: maps in, unit rows out."""
    shortened = copy.copy(view)
    # A module's children are a dictionary, which a shallow copy shares.
    shortened._modules = dict(view._modules)
    _, shortened.backbone = split(view, frozen)
    return shortened


def split(network: Embedder, frozen: Collection[str]) -> tuple[nn.Sequential, nn.Sequential]:
    """The backbone's leading stages that are frozen, and the rest.

    Raises `InvalidConfiguration` when its first stage trains, or it is not a sequence of stages.
    """
    stages = list(_stages(network.backbone))
    names = [name for name, _ in stages]
    count = next((i for i, name in enumerate(names) if name not in frozen), len(names))
    if count == 0:
        raise InvalidConfiguration(
            f"optimiser.frozen leaves the first stage ({names[0]}) to be trained: there is nothing "
            "to keep; freeze it, or train without --keep-maps"
        )
    stem, rest = (nn.Sequential(*(m for _, m in part)) for part in (stages[:count], stages[count:]))
    # Not `train`, which would reach the stages: each is in the mode it is meant to be in.
    stem.training = rest.training = network.backbone.training
    _require_sequence(network.backbone, stem, rest)
    return stem, rest


def _stages(backbone: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in backbone.named_children():
        if isinstance(child, nn.Sequential):
            yield from ((f"{name}.{inner}", stage) for inner, stage in child.named_children())
        else:
            yield name, child


def _require_sequence(backbone: nn.Module, stem: nn.Module, rest: nn.Module) -> None:
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    device = next(backbone.parameters()).device
    probe = torch.linspace(-1, 1, 3 * PROBE[0] * PROBE[1], device=device).view(1, 3, *PROBE)
    try:
        with torch.inference_mode():
            is_sequence = torch.allclose(rest(stem(probe)), backbone(probe), atol=1e-5)
    except (RuntimeError, TypeError):
        is_sequence = False
    finally:
        for module, mode in modes.items():
            module.training = mode
    if not is_sequence:
        raise InvalidConfiguration(
            "this backbone is no sequence of its stages, so none of them can be run apart: train "
            "without --keep-maps"
        )


def _require_maps_do(config: TrainConfig) -> None:
    if len(config.schedule.sizes) != 1:
        raise InvalidConfiguration(
            f"schedule.sizes has {len(config.schedule.sizes)} sizes, and maps are kept of one: "
            "train at one size, or without --keep-maps"
        )
    if config.running.amp == "int8":
        raise InvalidConfiguration(
            "running.amp: int8 simulates the whole network's rounding, and kept maps are of "
            "float32 stages: train without --keep-maps"
        )
    mixes = [term.mixing for term in config.objective.terms if isinstance(term, PairTermSpec)]
    if any(mixing is not None and mixing.where == "input" for mixing in mixes):
        raise InvalidConfiguration(
            "mixing.where: input mixes images, which kept maps do not have: train without "
            "--keep-maps"
        )


def _sha256(stem: nn.Module, spec: InputSpec, size_px: int) -> str:
    """Of the stages' weights and of what is done to the images before them."""
    digest = hashlib.sha256()
    for name, tensor in stem.state_dict().items():
        digest.update(json.dumps([name, list(tensor.shape)]).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    preparation = spec.model_dump(mode="json") | {"size_px": size_px}
    digest.update(json.dumps(preparation, sort_keys=True).encode())
    return digest.hexdigest()


def _shape(maps: Tensor) -> Shape:
    channels, height, width = maps.shape[1:]
    return channels, height, width
