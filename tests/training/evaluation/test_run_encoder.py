"""A trained run as an encoder: the bundle's squash, and the published sizes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import typer
from PIL import Image
from typer.testing import CliRunner

from lorgnette.errors import InvalidBundle, InvalidConfiguration
from lorgnette.manifest import Provenance
from tests.training.evaluation.stand_ins import write_stand_in
from tests.training.networks import GLAM_HEAD, network
from training.data.augment import normalise, squash
from training.data.public.layout import Box
from training.evaluation.cli import evaluate
from training.evaluation.encoders import Resolution, open_encoder
from training.evaluation.run_encoder import keep_aspect
from training.evaluation.shots import Pixels, Shot, read_shot
from training.evaluation.whitened_encoder import whitened_by
from training.models.embedder import Embedder
from training.space import space_of
from training.trained_model import ModelSpec, load_model, save_model


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "share", "expected"),
    [
        (300, 600, 1.0, (50, 100)),  # the longer side becomes 100
        (600, 300, 1.0, (100, 50)),
        (300, 200, 0.5, (50, 33)),  # a crop of half the photograph's side becomes half of 100
        (40, 30, 1.0, (40, 30)),  # never enlarged
        (20, 10, 0.1, (10, 5)),
        (1, 900, 1.0, (1, 100)),
    ],
)
def test_the_longer_side_follows_the_whole_photograph(
    height: int, width: int, share: float, expected: tuple[int, int]
) -> None:
    resized = keep_aspect(Pixels(_noise(height, width), share), longer_px=100)
    assert tuple(resized.shape) == (3, *expected)
    assert resized.dtype == torch.uint8


def test_what_a_crop_shows_has_the_size_it_has_in_the_whole(tmp_path: Path) -> None:
    Image.fromarray(_noise(200, 400)).save(tmp_path / "a.png")
    whole = read_shot(Shot(tmp_path / "a.png", None))
    crop = read_shot(Shot(tmp_path / "a.png", Box(100, 0, 300, 200)))
    large, small = keep_aspect(whole, longer_px=100), keep_aspect(crop, longer_px=100)
    assert tuple(large.shape[1:]) == (50, 100)
    assert tuple(small.shape[1:]) == (50, 50)
    # Away from the cut edges the same pixels were averaged.
    torch.testing.assert_close(
        small[:, 5:-5, 5:-5].float(), large[:, 5:-5, 30:70].float(), atol=1.0, rtol=0
    )


def _saved(directory: Path, described: dict[str, object]) -> Path:
    embedder = Embedder(network(**described))
    provenance = Provenance(
        created="2026-01-01T00:00:00Z", git_commit="none", config_sha256="none", command="tests",
        weights="random", data=("SfM-120k",), licences=(), metrics={},
    )  # fmt: skip
    space = space_of(embedder, name="tiny", spec=embedder.network.input)
    spec = ModelSpec(
        role="gallery", name="tiny", network=embedder.network, space=space, provenance=provenance
    )
    save_model(directory, embedder, spec)
    return directory


def _slow_row(shot: Shot, directory: Path, *, longer_px: int, scales: list[float]) -> np.ndarray:
    """The published rule for a network that pools to unit rows, step by step, in float64."""
    embedder, spec = load_model(directory)
    image = normalise(keep_aspect(read_shot(shot), longer_px=longer_px)[None], spec.network.input)
    power = embedder.pool.p.item()
    total = 0.0
    with torch.inference_mode():
        for factor in scales:
            size = [int(side * factor) for side in image.shape[-2:]]
            x = image if factor == 1 else F.interpolate(image, size=size, mode="bilinear")
            pooled = embedder.pooled(x)[0].double()
            total = total + (pooled / pooled.norm()) ** power
        combined = (total / len(scales)) ** (1 / power)
        row = embedder.head((combined / combined.norm()).float())
    return (row / row.norm()).numpy()


def test_several_scales_equal_the_published_rule(tmp_path: Path) -> None:
    directory = _saved(tmp_path / "run", {})
    Image.fromarray(_noise(150, 220)).save(tmp_path / "a.png")
    encoder = open_encoder(directory, resolution=Resolution(96, (1.0, 0.7071, 0.5)))
    for box in (None, Box(20, 10, 160, 140)):
        shot = Shot(tmp_path / "a.png", box)
        slow = _slow_row(shot, directory, longer_px=96, scales=[1.0, 0.7071, 0.5])
        np.testing.assert_allclose(encoder.encode(shot), slow, atol=2e-5)
    assert encoder.origin.preparation == (
        "longer side 96 px, aspect kept, scales 1, 0.7071, 0.5, power mean of pooled rows"
    )
    assert encoder.origin.trained_on == ("SfM-120k",)


def test_a_head_that_takes_rows_as_pooled_has_its_embeddings_averaged(tmp_path: Path) -> None:
    directory = _saved(tmp_path / "run", {"head": GLAM_HEAD})
    Image.fromarray(_noise(60, 90)).save(tmp_path / "a.png")
    encoder = open_encoder(directory, resolution=Resolution(64, (1.0, 0.5)))
    assert "mean of embeddings" in encoder.origin.preparation
    assert np.linalg.norm(encoder.encode(Shot(tmp_path / "a.png", None))) == pytest.approx(1)


def test_a_run_squashes_as_its_bundle_would(tmp_path: Path) -> None:
    directory = _saved(tmp_path / "run", {})
    Image.fromarray(_noise(60, 90)).save(tmp_path / "a.png")
    encoder = open_encoder(directory, resolution=None)
    embedder, spec = load_model(directory)
    side = spec.network.input.size_px
    image = squash(_noise(60, 90), height=side, width=side)
    with torch.inference_mode():
        row = embedder(normalise(image[None], spec.network.input))[0].numpy()
    np.testing.assert_allclose(encoder.encode(Shot(tmp_path / "a.png", None)), row, atol=2e-5)


def test_two_runs_are_judged_at_the_published_sizes(experiment: Path, tmp_path: Path) -> None:
    write_stand_in("roxford5k", tmp_path)
    app = typer.Typer()
    app.command()(evaluate)
    arguments = [
        "--gallery", experiment / "teacher", "--query", experiment / "student",
        "--benchmark", "roxford5k", "--root", tmp_path, "--json", tmp_path / "out.json",
        "--image-size", 64, "--scales", "1,0.7071,0.5",
    ]  # fmt: skip
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output + str(result.exception)
    record = json.loads((tmp_path / "out.json").read_text())
    assert len(record["scores"]) == 3
    assert record["protocol"]["student images"].startswith("longer side 64 px, aspect kept")
    assert record["scores"]["student_to_teacher"]["query"]["trained_on"] == ["photos"]


def test_a_whitening_at_the_test_is_the_one_folded_in(tmp_path: Path) -> None:
    """A network without head, whitened afterwards, gives the rows of the one with it folded in."""
    folded = _saved(tmp_path / "folded", {})
    plain = _saved(tmp_path / "plain", {"head": None, "dim": 256})
    Image.fromarray(_noise(80, 120)).save(tmp_path / "a.png")
    shot = Shot(tmp_path / "a.png", Box(10, 10, 90, 70))
    size = Resolution(64, (1.0, 0.5))
    encoder = whitened_by(folded, open_encoder(plain, resolution=size))
    expected = open_encoder(folded, resolution=size).encode(shot)
    np.testing.assert_allclose(encoder.encode(shot), expected, atol=2e-5)
    assert encoder.origin.space.dim == 8
    assert "whitened at the test by tiny's last layer" in encoder.origin.preparation


def test_a_layer_that_is_no_whitening_of_these_rows_is_refused(tmp_path: Path) -> None:
    folded = _saved(tmp_path / "folded", {})
    plain = _saved(tmp_path / "plain", {"head": None, "dim": 256})
    glam = _saved(tmp_path / "glam", {"head": GLAM_HEAD})
    encoder = open_encoder(plain, resolution=None)
    with pytest.raises(InvalidConfiguration, match="no head"):
        whitened_by(plain, encoder)
    with pytest.raises(InvalidConfiguration, match="is no whitening"):
        whitened_by(glam, encoder)
    with pytest.raises(InvalidConfiguration, match="takes rows of 256 numbers, tiny gives 8"):
        whitened_by(folded, open_encoder(folded, resolution=None))


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidBundle, match="holds no trained model"):
        open_encoder(tmp_path, resolution=None)
