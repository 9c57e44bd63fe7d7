"""Parameters and operations: hand-counted, and the published ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from lorgnette.errors import InvalidConfiguration
from tests.training.networks import GLAM, GLAM_HEAD, network
from training.complexity_cli import complexity
from training.models.complexity import (
    PUBLISHED,
    PUBLISHED_PX,
    Published,
    bare,
    described,
    measure,
    published,
)

CHANNELS = 256  # of test_efficientnet
REDUCED = CHANNELS // 8


def _invoke(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(complexity)
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, arguments)


@pytest.mark.parametrize("stated", PUBLISHED, ids=lambda p: p.label)
def test_the_published_figures_are_met_within_one_per_cent(stated: Published) -> None:
    network = bare(stated.backbone, adapt_dim=stated.adapt_dim)
    found = measure(network, size_px=PUBLISHED_PX)
    assert found.parameters / 1e6 == pytest.approx(stated.parameters, rel=0.01)
    assert found.flops / 1e9 == pytest.approx(stated.gflops, rel=0.01)
    assert published(network, size_px=PUBLISHED_PX) is stated


def test_resnet101s_convolutions_alone_are_a_known_number() -> None:
    """21.16 G multiply-adds: `reference/science.md` A.4, counted there with another tool."""
    found = measure(bare("resnet101", adapt_dim=None), size_px=PUBLISHED_PX)
    assert found.product_flops / 2e9 == pytest.approx(21.164, abs=0.001)


def test_what_is_added_to_a_network_is_counted_by_hand() -> None:
    """The map of test_efficientnet at 64 px is 256 × 2 × 2, from an odd size 256 × 3 × 3."""
    for size_px, side in ((64, 2), (65, 3)):
        positions = side * side
        plain = measure(bare("test_efficientnet", adapt_dim=None), size_px=size_px)
        adapted = measure(bare("test_efficientnet", adapt_dim=40), size_px=size_px)
        assert adapted.parameters - plain.parameters == CHANNELS * 40
        assert adapted.product_flops - plain.product_flops == 2 * CHANNELS * 40 * positions
        assert adapted.flops - plain.flops == (2 * CHANNELS + 1) * 40 * positions
        headed = measure(network(dim=10), size_px=size_px)
        assert headed.parameters - plain.parameters == CHANNELS * 10 + 10
        assert headed.flops - plain.flops == 2 * CHANNELS * 10
        normed = measure(network(dim=10, head=GLAM_HEAD), size_px=size_px)
        assert normed.flops - headed.flops == 2 * 10


def test_attentions_products_are_counted() -> None:
    positions, c, r = 4, CHANNELS, REDUCED
    plain = measure(network(), size_px=64)
    attentive = measure(network(attention=GLAM), size_px=64)
    local = 3 * c + positions * (c * r + 3 * 9 * r * r + 4 * r)
    # The outer product of query and key over channels is an elementwise one.
    channel = 2 * 3 * c + positions * c * c
    spatial = positions * (3 * c * r + r * c) + 2 * r * positions**2
    assert attentive.product_flops - plain.product_flops == 2 * (local + channel + spatial)


def test_only_the_published_network_at_its_size_has_a_published_figure() -> None:
    plain = bare("resnet101", adapt_dim=None)
    assert published(plain, size_px=224) is None
    assert published(bare("resnet101", adapt_dim=512), size_px=PUBLISHED_PX) is None
    assert published(plain.model_copy(update={"head": network().head}), size_px=362) is None


def test_the_verb_prints_the_published_networks_and_the_convention() -> None:
    result = _invoke()
    assert result.exit_code == 0, result.output
    for figure in ("42.85", "42.50", "5.36", "10.70", "6.26", "13.84", "2 × multiply-adds"):
        assert figure in result.output


def test_the_verb_takes_experiments_and_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "model": network().model_dump(mode="json")}))
    result = _invoke(str(path), "test_efficientnet", "--size-px", "64")
    assert result.exit_code == 0, result.output
    assert "mine" in result.output
    assert "At 64 px" in result.output
    assert f"{measure(network(), size_px=64).parameters / 1e6:.2f}" in result.output


@pytest.mark.parametrize("name", ["resnet_of_dreams", "absent.yaml"])
def test_what_is_neither_an_experiment_nor_a_backbone_is_refused(name: str) -> None:
    with pytest.raises(InvalidConfiguration, match=name.partition(".")[0]):
        described(name)
