"""GLAM against its equations, written down once more with einsum in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.training.networks import GLAM, GLAM_HEAD, network
from training.models.embedder import Embedder
from training.models.glam import GlobalLocalAttention
from training.models.specs import Glam

N, C, H, W = 2, 16, 5, 4
PARTS = ("local_channel", "local_spatial", "global_channel", "global_spatial")
Array = NDArray[np.float64]


def _spec(*parts: str, **changes: object) -> Glam:
    switches = {part: part in parts for part in PARTS}
    values = GLAM | switches | {"reduction": 4, "dilations": (1, 2, 3)} | changes
    return Glam.model_validate(values)


def _module(*parts: str) -> GlobalLocalAttention:
    """With weights large enough that no sigmoid or softmax is flat."""
    torch.manual_seed(0)
    module = GlobalLocalAttention(C, _spec(*parts)).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module


def _features() -> Tensor:
    return torch.randn(N, C, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _weights(module: GlobalLocalAttention) -> dict[str, Array]:
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _channel_gate(f: Array, kernel: Array) -> Array:
    """sigmoid(conv1d_3(GAP(F))), N x C; zeros beyond the first and the last channel."""
    mean = np.pad(np.einsum("nchw->nc", f) / (H * W), ((0, 0), (1, 1)))
    taps = np.stack([mean[:, i : i + C] for i in range(3)], axis=-1)
    return _sigmoid(np.einsum("nck,k->nc", taps, kernel[0, 0]))


def _one_by_one(f: Array, weight: Array, bias: Array) -> Array:
    return np.einsum("nchw,oc->nohw", f, weight[:, :, 0, 0]) + bias[None, :, None, None]


def _three_by_three(f: Array, weight: Array, bias: Array, dilation: int) -> Array:
    d = dilation
    padded = np.pad(f, ((0, 0), (0, 0), (d, d), (d, d)))
    out = np.zeros((N, len(weight), H, W)) + bias[None, :, None, None]
    for i in range(3):
        for j in range(3):
            shifted = padded[:, :, i * d : i * d + H, j * d : j * d + W]
            out += np.einsum("nchw,oc->nohw", shifted, weight[:, :, i, j])
    return out


def _softmax_of_columns(x: Array) -> Array:
    """Over the first index of each matrix."""
    e = np.exp(x)
    return e / np.einsum("nij->nj", e)[:, None, :]


def _local_channel_map(f: Array, w: dict[str, Array]) -> Array:
    return _channel_gate(f, w["local_channel.conv.weight"])


def _local_spatial_map(f: Array, w: dict[str, Array]) -> Array:
    name = "local_spatial"
    reduced = _one_by_one(f, w[f"{name}.reduce.weight"], w[f"{name}.reduce.bias"])
    scales = [reduced] + [
        _three_by_three(reduced, w[f"{name}.dilated.{i}.weight"], w[f"{name}.dilated.{i}.bias"], d)
        for i, d in enumerate((1, 2, 3))
    ]
    stacked = np.concatenate(scales, axis=1)
    return _one_by_one(stacked, w[f"{name}.merge.weight"], w[f"{name}.merge.bias"])


def _global_channel_map(f: Array, w: dict[str, Array]) -> Array:
    q = _channel_gate(f, w["global_channel.query.weight"])
    k = _channel_gate(f, w["global_channel.key.weight"])
    return _softmax_of_columns(np.einsum("ni,nj->nij", k, q))


def _global_spatial_map(f: Array, w: dict[str, Array]) -> Array:
    q, k = (
        _one_by_one(f, w[f"global_spatial.{n}.weight"], w[f"global_spatial.{n}.bias"])
        for n in ("query", "key")
    )
    flat = np.einsum("ncp,ncq->npq", k.reshape(N, -1, H * W), q.reshape(N, -1, H * W))
    return _softmax_of_columns(flat)


def _local(f: Array, w: dict[str, Array], parts: tuple[str, ...]) -> Array:
    out = f
    if "local_channel" in parts:  # (1)
        out = np.einsum("nchw,nc->nchw", out, _local_channel_map(f, w)) + out
    if "local_spatial" in parts:  # (2)
        out = np.einsum("nchw,nhw->nchw", out, _local_spatial_map(f, w)[:, 0]) + out
    return out


def _global(f: Array, w: dict[str, Array], parts: tuple[str, ...]) -> Array:
    out = f
    if "global_channel" in parts:  # (5)
        out = out * np.einsum("nihw,nij->njhw", f, _global_channel_map(f, w))
    if "global_spatial" in parts:  # (6)
        value = _one_by_one(f, w["global_spatial.value.weight"], w["global_spatial.value.bias"])
        mixed = np.einsum("ncp,npq->ncq", value.reshape(N, -1, H * W), _global_spatial_map(f, w))
        weight, bias = w["global_spatial.expand.weight"], w["global_spatial.expand.bias"]
        out = out * _one_by_one(mixed.reshape(N, -1, H, W), weight, bias) + out
    return out


def _fused(f: Array, w: dict[str, Array], parts: tuple[str, ...]) -> Array:
    streams = []
    if {"local_channel", "local_spatial"} & set(parts):
        streams.append(_local(f, w, parts))
    if {"global_channel", "global_spatial"} & set(parts):
        streams.append(_global(f, w, parts))
    share = np.exp(w["fusion"]) / np.exp(w["fusion"]).sum()  # (7)
    return np.einsum("s,snchw->nchw", share, np.stack([*streams, f]))


def test_the_four_maps_are_the_equations() -> None:
    module, features = _module(*PARTS), _features()
    assert module.local_channel is not None
    assert module.local_spatial is not None
    assert module.global_channel is not None
    assert module.global_spatial is not None
    w, f = _weights(module), features.numpy()
    with torch.no_grad():
        found = {
            "A_c^l": module.local_channel(features)[:, :, 0, 0],
            "A_s^l": module.local_spatial(features),
            "A_c^g": module.global_channel.attention(features),
            "A_s^g": module.global_spatial.attention(features),
        }
    wanted = {
        "A_c^l": _local_channel_map(f, w),
        "A_s^l": _local_spatial_map(f, w),
        "A_c^g": _global_channel_map(f, w),
        "A_s^g": _global_spatial_map(f, w),
    }
    for name, value in found.items():
        np.testing.assert_allclose(
            value.numpy(), wanted[name], rtol=1e-11, atol=1e-13, err_msg=name
        )


# The eight rows of the paper's ablation: each part alone, each stream whole, all, nothing.
ABLATION = [(part,) for part in PARTS] + [PARTS[:2], PARTS[2:], PARTS]


@pytest.mark.parametrize("parts", ABLATION, ids="+".join)
def test_what_is_switched_on_is_fused_by_the_equations(parts: tuple[str, ...]) -> None:
    module, features = _module(*parts), _features()
    with torch.no_grad():
        found = module(features).numpy()
    wanted = _fused(features.numpy(), _weights(module), parts)
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    assert np.abs(found - features.numpy()).max() > 0.01


@pytest.mark.parametrize("off", PARTS)
def test_a_switch_removes_its_part_and_no_other(off: str) -> None:
    everything = set(_weights(_module(*PARTS)))
    without = set(_weights(_module(*(part for part in PARTS if part != off))))
    assert everything - without == {n for n in everything if n.startswith(f"{off}.")} != set()
    assert without < everything


def test_a_softmax_goes_over_what_is_summed_and_not_over_the_whole_map() -> None:
    module = _module(*PARTS)
    assert module.global_channel is not None
    assert module.global_spatial is not None
    with torch.no_grad():
        for part, size in ((module.global_channel, C), (module.global_spatial, H * W)):
            columns = part.attention(_features()).sum(dim=1)
            torch.testing.assert_close(columns, torch.ones(N, size, dtype=torch.float64))


def test_query_and_key_have_weights_of_their_own() -> None:
    module = _module(*PARTS)
    assert module.global_channel is not None
    (torch.stack([module(_features())]) ** 2).sum().backward()
    gradients = [p.grad for p in module.parameters()]
    assert all(g is not None and float(g.abs().sum()) > 0 for g in gradients)
    assert module.global_channel.query.weight is not module.global_channel.key.weight


def test_with_all_parts_off_the_network_is_the_baseline_exactly() -> None:
    parts_off = GLAM | dict.fromkeys(PARTS, False)
    baseline = Embedder(network(head=GLAM_HEAD)).eval()
    off = Embedder(network(head=GLAM_HEAD, attention=parts_off)).eval()
    assert list(off.state_dict()) == list(baseline.state_dict())
    images = torch.randn(2, 3, 48, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(off(images), baseline(images), rtol=0, atol=0)


def test_the_number_of_weights_is_that_of_the_equations() -> None:
    reduced, parameters = C // 4, {}
    for part in PARTS:
        module = GlobalLocalAttention(C, _spec(part))
        parameters[part] = sum(p.numel() for p in module.parameters()) - 2  # the fusion's
    assert parameters == {
        "local_channel": 3,
        "local_spatial": C * reduced + reduced + 3 * (9 * reduced**2 + reduced) + 4 * reduced + 1,
        "global_channel": 6,
        "global_spatial": 3 * (C * reduced + reduced) + reduced * C + C,
    }
    whole = sum(p.numel() for p in GlobalLocalAttention(C, _spec(*PARTS)).parameters())
    assert whole == sum(parameters.values()) + 3


def test_the_streams_begin_with_equal_shares() -> None:
    module = GlobalLocalAttention(C, _spec(*PARTS))
    assert module.fusion is not None
    assert module.fusion.softmax(0).tolist() == pytest.approx([1 / 3] * 3)


def test_a_kernel_without_a_middle_is_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        _spec(*PARTS, kernel=4)
