"""From a configuration to a sampler, and from a sampler to batches that resume exactly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import Vectors
from tests.training.photographs import crops, write_classes
from training.config import Running
from training.data.catalogue import find_photographs
from training.data.loader import Batch, Order, Views, batches, everything
from training.data.row_cache import Binding, RowCache
from training.data.sampler import Sampler, build_sampler
from training.data.shapes import shapes_of
from training.data.specs import Crops, Sampling, Source
from training.embed import embedded_photographs

SOURCE = {"folder": "photos", "splits": None, "role": None, "labels": "folder", "licence": "-"}
TUPLES = {"anchors": 6, "tuples": 4, "negatives": 2, "columns": "teacher", "aspects": [0.8, 1.25]}
MINED = TUPLES | {"name": "mined_tuples", "pool": 12, "mined_in": "student"}
SAMPLINGS: list[dict[str, object]] = [
    {"name": "views", "batch_size": 5},
    {"name": "random", "batch_size": 5},
    {"name": "balanced", "classes": 2, "per_class": 3},
    {"name": "group_size", "batch_size": 5, "aspects": [0.8, 1.25]},
    TUPLES | {"name": "random_tuples"},
    MINED,
    MINED | {"columns": "student"},
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("labelled")
    write_classes(root / "photos", [4, 3, 2, 5])
    return root


def _views(root: Path, found: Crops) -> Views:
    return Views(find_photographs(root, [Source.model_validate(SOURCE)]), found)


def _colours(photographs: NDArray[np.int64]) -> Vectors:
    angles = photographs.astype(np.float32)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _built(views: Views, sampling: dict[str, object], teacher: RowCache | None = None) -> Sampler:
    spec: Sampling = TypeAdapter(Sampling).validate_json(json.dumps(sampling))
    return build_sampler(spec, views, seed=0, student=_colours, teacher=teacher)


def _batches_from(views: Views, sampler: Sampler, *, step: int, steps: int) -> list[Batch]:
    """What a training sees that begins at `step`."""
    made: list[Batch] = []
    while step < steps:
        epoch, offset = divmod(step, len(sampler))
        choices = sampler.choices(epoch, sampler.mine(epoch))[offset:][: steps - step]
        orders = [Order(choice, 16, everything) for choice in choices]
        made += batches(views, orders, threads=2)
        step += len(choices)
    return made


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda s: str(s["name"]))
def test_a_run_resumed_at_any_step_sees_the_same_batches(
    root: Path, sampling: dict[str, object]
) -> None:
    views = _views(root, crops(joined_share=0, per_photograph=3))
    sampler = _built(views, sampling)
    steps = 2 * len(sampler) + 1
    whole = _batches_from(views, sampler, step=0, steps=steps)
    assert len(whole) == steps
    for step in range(1, steps, 2):
        resumed = _batches_from(views, _built(views, sampling), step=step, steps=steps)
        for expected, found in zip(whole[step:], resumed, strict=True):
            assert torch.equal(expected.images, found.images)
            assert torch.equal(expected.who.ids, found.who.ids)
            assert torch.equal(expected.others.ids, found.others.ids)
            assert torch.equal(expected.used, found.used)


def test_the_pool_is_mined_in_the_teachers_cached_rows(root: Path, tmp_path: Path) -> None:
    views = _views(root, crops(joined_share=0))
    count = len(views.photographs.paths)
    fields = {
        "kind": "embedding",
        "network_sha256": "a",
        "views_sha256": "b",
        "count": count,
        "dim": 2,
        "dtype": "float32",
    }
    cache = RowCache(tmp_path, Binding.model_validate(fields))
    cache.put(0, _colours(np.arange(count)))
    by_teacher = _built(views, MINED | {"mined_in": "teacher"}, cache)
    np.testing.assert_array_equal(by_teacher.mine(1), _built(views, MINED).mine(1))
    cache_of_another = RowCache(tmp_path / "other", Binding.model_validate(fields))
    cache_of_another.put(0, _colours(np.arange(count))[::-1])
    other = _built(views, MINED | {"mined_in": "teacher"}, cache_of_another)
    assert not np.array_equal(other.mine(1), by_teacher.mine(1))


def test_mining_in_the_teachers_space_needs_a_teacher(root: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="there is no teacher: give --teacher"):
        _built(_views(root, crops(joined_share=0)), MINED | {"mined_in": "teacher"})


@pytest.mark.parametrize("sampling", SAMPLINGS[1:3] + SAMPLINGS[4:], ids=lambda s: str(s["name"]))
def test_a_view_of_two_photographs_has_no_class(root: Path, sampling: dict[str, object]) -> None:
    with pytest.raises(InvalidConfiguration, match=r"joined_share is 0\.3.*set it to 0"):
        _built(_views(root, crops(joined_share=0.3)), sampling)


def test_rows_to_mine_with_come_in_the_order_asked_for(root: Path) -> None:
    """Against one photograph at a time, each in the nearest of two shapes."""
    views = _views(root, crops())
    shapes = shapes_of(views.photographs.paths, [0.8, 1.25])
    photographs = np.array([7, 2, 11, 0, 5, 13], dtype=np.int64)

    def embed(images: torch.Tensor) -> Vectors:
        height, width = images.shape[2:]
        colours = images.double().mean(dim=(2, 3))
        sizes = torch.tensor([[height, width]]).expand(len(images), 2)
        return torch.cat([colours, sizes], dim=1).numpy().astype(np.float32)

    def rows(which: NDArray[np.int64], batch_size: int) -> Vectors:
        running = Running(threads=1, batch_size=batch_size)
        return embedded_photographs(embed, views, which, shapes=shapes, size_px=20, running=running)

    found = rows(photographs, 4)
    alone = np.concatenate([rows(photographs[i : i + 1], 1) for i in range(len(photographs))])
    np.testing.assert_array_equal(found, alone)
    assert {tuple(size) for size in found[:, 3:].tolist()} == {(20, 16), (16, 20)}
