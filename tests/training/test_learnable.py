"""Batches that can teach a term nothing are refused, and those that can are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lorgnette.errors import InvalidConfiguration
from tests.training.methods import (
    ARCFACE,
    LABELS,
    TABLE,
    objective_of,
    pair,
    take_step,
)
from tests.training.tiny_batch import (
    TinyStudent,
    batch_of,
    pair_term,
    teacher_cache,
)
from training.data.loader import Batch
from training.losses.pair import Regression
from training.mining import all_pairs
from training.others import Teacher
from training.pairs import require_positives
from training.step import PairTerm

ONE_CLASS, ALL_DIFFERENT = batch_of([0, 0, 0]), batch_of([0, 1, 2])
MASKED = replace(batch_of([0, 0, 1]), used=torch.zeros(3, 3, dtype=torch.bool))


@pytest.mark.parametrize("method", ["AML contrastive", "symmetric triplet", "AML multi-similarity"])
@pytest.mark.parametrize(
    ("batch", "way_out"),
    [
        (ONE_CLASS, "two or more classes"),
        (ALL_DIFFERENT, "two images of each class"),
        (MASKED, "another sampling"),
    ],
    ids=["one class", "no positive", "all masked"],
)
def test_a_batch_that_teaches_nothing_is_refused(
    method: str, batch: Batch, way_out: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfiguration, match=way_out):
        take_step(objective_of(TABLE[method], tmp_path), TinyStudent(), batch)


@pytest.mark.parametrize(
    ("method", "labels"), [("RKD", [0]), ("CSD", [0]), ("RAML", [0, 1, 2])], ids=str
)
def test_a_batch_without_relations_is_refused(
    method: str, labels: list[int], tmp_path: Path
) -> None:
    terms = [term for term in TABLE[method] if term["kind"] == "relational"]
    with pytest.raises(InvalidConfiguration, match="has no two to relate"):
        take_step(objective_of(terms, tmp_path), TinyStudent(), batch_of(labels))


def test_regression_needs_neither_labels_nor_negatives(tmp_path: Path) -> None:
    objective = objective_of([pair_term()], tmp_path, classes=None)
    assert take_step(objective, TinyStudent(), ONE_CLASS) > 0
    assert take_step(objective, TinyStudent(), ALL_DIFFERENT) > 0
    with pytest.raises(InvalidConfiguration, match="another sampling"):
        take_step(objective, TinyStudent(), MASKED)


def test_a_batch_whose_pairs_are_all_mined_away_has_loss_0_and_gradient_0(tmp_path: Path) -> None:
    easy = {"name": "multi-similarity", "epsilon_cosine": 0.0}
    terms = [pair("proxies", ARCFACE, mining=easy)]
    objective, student, batch = objective_of(terms, tmp_path), TinyStudent(), batch_of(LABELS)
    (proxies,) = objective.modules
    rows = student(batch.images).detach()
    assert isinstance(proxies.weight, nn.Parameter)
    with torch.no_grad():
        student.linear.weight.zero_()
        student.linear.bias.copy_(rows[0])
        proxies.weight.copy_(torch.stack([rows[0], -rows[0], -rows[0]]))
    only_zeros = replace(batch, who=replace(batch.who, labels=torch.zeros(7, dtype=torch.int64)))
    assert take_step(objective, student, only_zeros) == 0
    assert student.linear.bias.grad is not None
    assert not student.linear.bias.grad.any()


def test_regression_as_terms_are_written_by_hand(tmp_path: Path) -> None:
    """A term is a value; no configuration is needed."""
    teacher = Teacher(teacher_cache(tmp_path))
    term = PairTerm(1.0, teacher, "only", require_positives, all_pairs, None, Regression())
    batch = batch_of(LABELS)
    from_spec = take_step(objective_of([pair_term()], tmp_path), TinyStudent(), batch)
    assert take_step([term], TinyStudent(), batch) == from_spec
