"""Several scales, one row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lorgnette.errors import InvalidConfiguration
from tests.training.networks import GLAM_HEAD, MODEL, network
from training.models.embedder import Embedder
from training.models.multi_scale import (
    MultiScale,
    average_of_scales,
    power_mean_of_scales,
    scaled,
)

AML_SCALES = (1.0, 2**-0.5, 0.5)
"""Of images whose longer side is 1024 px.  Budnik and Avrithis, CVPR 2021; cirtorch."""


def _images(height: int = 70, width: int = 51) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def _rows(made: MultiScale) -> np.ndarray:
    with torch.inference_mode():
        rows: np.ndarray = made(_images()).numpy()
    return rows


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1, keepdims=True))


def _seen(describe: object, sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    """A network's rows of the images at the given sizes."""
    assert callable(describe)
    with torch.inference_mode():
        return [
            describe(F.interpolate(_images(), size=size, mode="bilinear")).double().numpy()
            for size in sizes
        ]


SIZES = [(70, 51), (49, 36), (35, 25)]
"""Of the images at AML's scales: 70 / √2 = 49.5 and 51 / √2 = 36.1, rounded down."""


@pytest.mark.parametrize("head", [GLAM_HEAD, MODEL["head"]], ids=["glam", "plain"])
def test_the_average_is_of_the_scales_embeddings(head: object) -> None:
    embedder = Embedder(network(head=head)).eval()
    found = _rows(average_of_scales(embedder, scales=AML_SCALES))
    wanted = _unit(sum(_seen(embedder, SIZES)) / 3)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("exponent", [1.0, 3.0])
def test_the_power_mean_is_of_pooled_unit_rows_and_the_head_comes_after(exponent: float) -> None:
    embedder = Embedder(network()).eval()
    found = _rows(power_mean_of_scales(embedder, scales=AML_SCALES, exponent=exponent))
    mean = (sum(_unit(r) ** exponent for r in _seen(embedder.pooled, SIZES)) / 3) ** (1 / exponent)
    weight, bias = (p.detach().double().numpy() for p in embedder.linear.parameters())
    np.testing.assert_allclose(found, _unit(_unit(mean) @ weight.T + bias), rtol=1e-4, atol=1e-6)


def test_without_a_head_the_power_mean_is_the_row() -> None:
    embedder = Embedder(network(adapt_dim=12, head=None, dim=12)).eval()
    found = _rows(power_mean_of_scales(embedder, scales=AML_SCALES, exponent=2.0))
    wanted = _unit((sum(r**2 for r in _seen(embedder, SIZES)) / 3) ** 0.5)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    average = _rows(average_of_scales(embedder, scales=AML_SCALES))
    assert np.abs(found - average).max() > 1e-6, "the exponent has no effect: nothing is tested"


def test_one_scale_is_the_network_itself() -> None:
    embedder = Embedder(network()).eval()
    with torch.inference_mode():
        wanted = embedder(_images()).numpy()
    for made in (
        average_of_scales(embedder, scales=(1.0,)),
        power_mean_of_scales(embedder, scales=(1.0,), exponent=3.0),
    ):
        np.testing.assert_allclose(_rows(made), wanted, rtol=1e-4, atol=1e-6)


def test_sides_are_rounded_down_to_at_least_one_pixel() -> None:
    assert scaled(_images(3, 9), 0.5).shape == (2, 3, 1, 4)
    assert scaled(_images(1, 9), 0.5).shape == (2, 3, 1, 4)
    assert scaled(_images(3, 9), 2.0).shape == (2, 3, 6, 18)


@pytest.mark.parametrize("scales", [(), (1.0, 0.0), (float("nan"),)])
def test_wrong_scales_are_refused(scales: tuple[float, ...]) -> None:
    embedder = Embedder(network())
    with pytest.raises(InvalidConfiguration, match="scales"):
        average_of_scales(embedder, scales=scales)


def test_a_power_mean_is_refused_where_it_has_no_meaning() -> None:
    with pytest.raises(InvalidConfiguration, match="average its embeddings"):
        power_mean_of_scales(Embedder(network(head=GLAM_HEAD)), scales=(1.0,), exponent=3.0)
    with pytest.raises(InvalidConfiguration, match="exponent"):
        power_mean_of_scales(Embedder(network()), scales=(1.0,), exponent=0.0)
