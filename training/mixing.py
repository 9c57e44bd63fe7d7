"""Metrix: mixed columns `x' = unit(Mx)` with soft labels `Y' = Y Mᵀ`.

M `[V, X]` has two entries a row, λ and 1 - λ, so it is two gathers and a share.  Where M is applied
is the only difference between mixing images, features and embeddings.  The loss does not know: it
gets similarities and pairs.  Venkataramanan et al., ICLR 2022.

A loss whose anchors are the columns (ProxyAnchor: proxies) has the rows of S as its others: give
`draw_mix` the transposed pairs, mix the rows, and transpose the mixed pairs back.  A loss whose
anchors are rows but whose columns cannot be mixed (ProxyNCA++) mixes its anchors: see
`pairs_of_mixed_anchors`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration
from training.mixing_spec import MixSpec
from training.pairs import Pairs


@dataclass(frozen=True)
class Mix:
    """The V mixed columns: row v of M holds `share[v]` at `first[v]`, the rest at `second[v]`.

    first, second: int64 `[V]`, columns.  share: float32 `[V]` in [0, 1], the λ of the paper.
    used: bool `[A, V]`, which anchors compare themselves with which mixed columns.
    """

    first: Tensor
    second: Tensor
    share: Tensor
    used: Tensor


def draw_mix(pairs: Pairs, spec: MixSpec, *, own: Tensor, generator: np.random.Generator) -> Mix:
    """Draw `spec.per_anchor` mixed columns for each anchor that has what is to be mixed.

    pairs: `[A, X]`, y of 0 and 1; mined pairs mix only what mining left.  own: bool `[A, X]`, an
    anchor's own column.  V is `per_anchor` times the anchors that have both a first (a positive,
    or their own column) and a negative: 0 when there is none.

    The paper mixes all of positives × negatives; drawing from them, uniformly and with
    replacement, bounds V, which for images and features is the number of extra forward passes.
    The authors' code mixes an anchor with negatives only if the batch has no positive of it; here
    every anchor that has a negative left is mixed, and multi-similarity mining leaves none to one
    without a positive.
    A mixed column costs nothing once it is embedded, so every anchor uses it for which the first
    is a positive (its own column) and the second a negative.  Equal generators draw equal mixes,
    on every device.
    """
    kind = spec.pairs
    if kind == "either":
        kind = "positive-negative" if generator.random() < 0.5 else "anchor-negative"
    firsts = pairs.pos > 0 if kind == "positive-negative" else own
    seconds = pairs.neg > 0
    able = firsts.any(dim=1) & seconds.any(dim=1)
    device = pairs.y.device
    first = _chosen(firsts[able], per_row=spec.per_anchor, generator=generator).to(device)
    second = _chosen(seconds[able], per_row=spec.per_anchor, generator=generator).to(device)
    shares = generator.beta(spec.alpha, spec.alpha, size=len(first) if spec.draw == "pair" else 1)
    share = torch.from_numpy(shares.astype(np.float32)).to(device).expand(len(first))
    return Mix(first, second, share, used=firsts[:, first] & seconds[:, second])


def mix_rows(x: Tensor, mix: Mix) -> Tensor:
    """`Mx`: x `[X, ...]`, images (also uint8), features or embeddings.  Returns float `[V, ...]`.

    A share of exactly 1 or 0 gives exactly the row it selects.
    """
    rows = x if x.is_floating_point() else x.float()
    share = mix.share.to(rows.dtype).reshape(-1, *[1] * (rows.ndim - 1))
    return torch.lerp(rows[mix.second], rows[mix.first], share)


def mixed_pairs(pairs: Pairs, mix: Mix) -> Pairs:
    """The pairs `[A, V]` of the anchors with the mixed columns: `y' = y Mᵀ` in [0, 1]."""
    share = mix.share.to(pairs.y.dtype)
    return Pairs(y=torch.lerp(pairs.y[:, mix.second], pairs.y[:, mix.first], share), mask=mix.used)


def pairs_of_mixed_anchors(pairs: Pairs, mix: Mix) -> Pairs:
    """The pairs `[V, X]` of mixed anchors with the others: `y' = M y`; `mix.used` is not asked.

    pairs: `[A, X]`; the mix is of its rows.  Used is what both halves use: a softmax over the
    others needs all of them, and of the only positive it would be 1 whatever the network says.
    """
    share = mix.share.to(pairs.y.dtype)[:, None]
    return Pairs(
        y=torch.lerp(pairs.y[mix.second], pairs.y[mix.first], share),
        mask=pairs.mask[mix.first] & pairs.mask[mix.second],
    )


def mixed_images(student: nn.Module, images: Tensor, mix: Mix) -> Tensor:
    """Input mixing: the student's unit rows `[V, D]` of mixed images.

    images: `[X, 3, H, W]`, uint8 or float in the same range: the columns' own.
    """
    rows: Tensor = student(mix_rows(images, mix))
    return rows


def mixed_features(student: nn.Module, images: Tensor, mix: Mix, *, layer: str) -> Tensor:
    """Feature mixing: the student's unit rows `[V, D]`, mixed at a layer's output.

    The layers below run again on the images: mixing may depend on mining, which needs the clean
    rows first.
    """
    with mixed_at(student, layer, mix):
        rows: Tensor = student(images)
    return rows


def mixed_embeddings(x: Tensor, mix: Mix) -> Tensor:
    """Embedding mixing: `unit(Mx)` `[V, D]` of the columns x `[X, D]`, whoever embedded them."""
    return nn.functional.normalize(mix_rows(x, mix), dim=-1)


@contextmanager
def mixed_at(student: nn.Module, layer: str, mix: Mix) -> Iterator[None]:
    """Within the block, what the layer puts out is mixed; the layers above see V rows.

    layer: module path, or the end of exactly one path (`layer4`, whatever wraps the network).
    One forward pass a block.  Raises `InvalidConfiguration` when there is no such layer, when it
    does not put out one tensor, and when the pass runs it not once.
    """
    runs = 0

    def mixed(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        nonlocal runs
        runs += 1
        if not isinstance(output, Tensor) or runs > 1:
            raise InvalidConfiguration(
                f"layer {layer!r} runs more than once in a pass, or puts out a "
                f"{type(output).__name__}: choose a layer that puts out one tensor, once"
            )
        return mix_rows(output, mix)

    hook = _layer(student, layer).register_forward_hook(mixed)
    try:
        yield
    finally:
        hook.remove()
    if runs == 0:
        raise InvalidConfiguration(
            f"layer {layer!r} does not run when the student embeds: nothing was mixed"
        )


def _layer(student: nn.Module, path: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(student.named_modules())
    found = [name for name in modules if name and f".{name}".endswith(f".{path}")]
    if path in found:
        return modules[path]
    if len(found) == 1:
        return modules[found[0]]
    if found:
        raise InvalidConfiguration(f"layer {path!r} is one of {found}: write more of its path")
    near = difflib.get_close_matches(path, list(modules), n=4, cutoff=0.3)
    held = ", ".join(near) or ", ".join(name for name, _ in student.named_children())
    raise InvalidConfiguration(f"the student has no layer {path!r}, but {held}")


def _chosen(choices: Tensor, *, per_row: int, generator: np.random.Generator) -> Tensor:
    """For each row, `per_row` of its True columns, uniformly, with replacement: int64 `[R · k]`.

    choices: bool `[R, X]`, at least one True in each row.  Drawn on the CPU: device generators
    differ from each other.
    """
    held: NDArray[np.bool_] = choices.cpu().numpy()
    true_first = np.argsort(~held, axis=1, kind="stable")
    ranks = generator.integers(0, held.sum(axis=1)[:, None], size=(len(held), per_row))
    return torch.from_numpy(np.take_along_axis(true_first, ranks, axis=1).reshape(-1))
