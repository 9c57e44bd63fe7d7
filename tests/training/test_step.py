"""The step against formulas, under autocast, with mixing, and the batches it refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.methods import (
    CONTRASTIVE,
    LABELS,
    PROXY_NCA,
    RAML,
    TABLE,
    objective_of,
    pair,
    take_step,
    unscaled,
)
from tests.training.tiny_batch import (
    TinyStudent,
    batch_of,
    mixing,
    pair_term,
    relational_term,
    teacher_cache,
    teacher_rows,
    tuples_of,
)
from training.losses.pair import Contrastive
from training.mining import all_pairs
from training.mixed_pairs import Mixing, mixed_columns
from training.mixing_spec import MixSpec
from training.others import Student, Teacher
from training.pairs import Pairs, pair_up, require_both
from training.step import PairTerm, step


def test_regression_in_a_step_equals_its_slow_loop(tmp_path: Path) -> None:
    student, batch = TinyStudent(), batch_of(LABELS)
    q, g = student(batch.images).detach().double(), teacher_rows()[batch.who.ids].double()
    slow = sum(float(((q[i] - g[i]) ** 2).sum()) / 2 for i in range(len(q))) / len(q)
    assert take_step(objective_of([pair_term()], tmp_path), student, batch) == pytest.approx(slow)


def test_raml_as_three_terms_equals_its_formula(tmp_path: Path) -> None:
    """The relations are among the augmentations of one image, which is a label here."""
    student, batch = TinyStudent(), batch_of([0, 1, 0, 2, 1, 2, 0, 1, 2])
    q, g = student(batch.images).detach().double(), teacher_rows()[batch.who.ids].double()
    absolute = sum(float((1 - q[i] @ g[i]) ** 2) for i in range(9)) / 9
    to_teacher = to_itself = 0.0
    for image in range(3):
        views = [i for i in range(9) if int(batch.who.labels[i]) == image]
        for i, j in permutations(views, 2):
            to_teacher += float(q[i] @ g[j] - g[i] @ g[j]) ** 2 / (3 * 6)
            to_itself += float(q[i] @ q[j] - g[i] @ g[j]) ** 2 / (3 * 6)
    expected = absolute + 0.64 * to_teacher + 0.77 * to_itself
    found = take_step(objective_of(RAML, tmp_path), student, batch)
    assert found == pytest.approx(expected, rel=1e-6)


def test_relations_of_a_whole_batch_are_of_all_its_pairs(tmp_path: Path) -> None:
    terms = [relational_term("raml-relational", others="teacher")]
    student, batch = TinyStudent(), batch_of([0, 1, 0, 2])
    q, g = student(batch.images).detach().double(), teacher_rows()[batch.who.ids].double()
    slow = sum(float(q[i] @ g[j] - g[i] @ g[j]) ** 2 for i, j in permutations(range(4), 2)) / 12
    found = take_step(objective_of(terms, tmp_path), student, batch)
    assert found == pytest.approx(slow, rel=1e-6)


def test_contr_plus_is_contrastive_and_regression(tmp_path: Path) -> None:
    student, batch = TinyStudent(), batch_of(LABELS)
    plus = take_step(objective_of(TABLE["Contr+"], tmp_path), student, batch)
    student.zero_grad()
    plain, regression = TABLE["AML contrastive"][0], pair_term()
    assert plus == pytest.approx(
        take_step(objective_of([plain, regression], tmp_path), student, batch)
    )


def test_tuples_compare_an_anchor_with_its_own_members_only(tmp_path: Path) -> None:
    """AML in tuples of 1 anchor, 1 positive and 2 negatives, against the sum per tuple."""
    student, batch = TinyStudent(), tuples_of([[0, 0, 1, 2], [1, 1, 0, 2], [2, 2, 0, 1]])
    q, g = student(batch.images).detach().double(), teacher_rows()[: len(batch.others.ids)].double()
    slow = 0.0
    for a in range(3):
        _self, positive, *negatives = (float(q[a] @ g[4 * a + i]) for i in range(4))
        slow += 1 - positive + sum(max(0.0, s + 0.5) for s in negatives)
    found = take_step(objective_of(TABLE["AML contrastive"], tmp_path), student, batch)
    assert found == pytest.approx(slow / 3, rel=1e-6)


@pytest.mark.parametrize("method", ["ArcFace", "Metrix ProxyAnchor", "Metrix ProxyNCA++"])
def test_images_that_are_no_anchors_do_not_meet_the_proxies(method: str, tmp_path: Path) -> None:
    objective, places = objective_of(TABLE[method], tmp_path), torch.tensor([5, 1, 4, 0])
    some = replace(batch_of(LABELS), anchors=places, used=torch.ones(4, 7, dtype=torch.bool))
    who = some.who.at(places)
    alone = replace(
        batch_of([0] * 4), images=some.images[places], who=who, others=who, used=some.used[:, :4]
    )
    found, expected = (take_step(objective, TinyStudent(), batch) for batch in (some, alone))
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_anchors_are_embedded_once_for_all_terms(tmp_path: Path) -> None:
    student, calls = TinyStudent(), []
    student.register_forward_hook(lambda *_: calls.append(1))
    take_step(objective_of(RAML, tmp_path), student, batch_of(LABELS))
    assert len(calls) == 1


def test_the_loss_is_the_weighted_sum_of_the_terms(tmp_path: Path) -> None:
    student, batch = TinyStudent(), batch_of(LABELS)
    first, second = TABLE["AML triplet"][0], TABLE["ProxyNCA++"][0]
    alone = [take_step(objective_of([term], tmp_path), student, batch) for term in (first, second)]
    both = objective_of([first | {"weight": 0.5}, second | {"weight": 3.0}], tmp_path)
    assert take_step(both, student, batch) == pytest.approx(0.5 * alone[0] + 3 * alone[1])


def test_what_is_scaled_is_the_gradient_not_the_loss_returned(tmp_path: Path) -> None:
    objective, batch, gradients, losses = (
        objective_of([pair_term()], tmp_path),
        batch_of(LABELS),
        [],
        [],
    )
    for factor in (1.0, 4.0):
        student = TinyStudent()
        losses.append(
            step(
                batch,
                student=student,
                terms=objective.terms,
                random=np.random.default_rng(0),
                scaled=lambda loss, by=factor: loss * by,
            )
        )
        assert student.linear.weight.grad is not None
        gradients.append(student.linear.weight.grad)
    assert torch.equal(losses[0], losses[1])
    torch.testing.assert_close(gradients[1], 4 * gradients[0])


@dataclass(frozen=True)
class Recording:
    """A contrastive loss that keeps the similarities it was given."""

    takes_soft_labels: ClassVar[bool] = True
    given: list[Tensor]

    def __call__(self, s: Tensor, pairs: Pairs) -> Tensor:
        self.given.append(s)
        return Contrastive(margin_cosine=-0.5)(s, pairs)


def _term(loss: Recording | Contrastive, **changes: Any) -> PairTerm:
    plain = PairTerm(1.0, Student(), "ignore", require_both, all_pairs, None, loss)
    return replace(plain, **changes)


def test_similarities_are_float32_under_autocast() -> None:
    recording, student, batch = Recording([]), TinyStudent(), batch_of(LABELS)
    with torch.autocast("cpu", torch.bfloat16):
        loss = step(
            batch,
            student=student,
            terms=[_term(recording)],
            random=np.random.default_rng(0),
            scaled=unscaled,
        )
        rows = student(batch.images).float()
    (s,) = recording.given
    assert s.dtype == loss.dtype == torch.float32
    torch.testing.assert_close(s, rows @ rows.T, rtol=0, atol=1e-6)
    assert not torch.equal(rows, TinyStudent()(batch.images)), "autocast did nothing"


@pytest.mark.parametrize("method", ["SSP", "RKD", "ProxyAnchor", "Metrix feature", "AML triplet"])
def test_a_step_under_autocast_is_close_to_one_in_float32(method: str, tmp_path: Path) -> None:
    objective, batch = objective_of(TABLE[method], tmp_path), batch_of(LABELS)
    exact = take_step(objective, TinyStudent(), batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = take_step(objective, TinyStudent(), batch)
    assert rounded == pytest.approx(exact, rel=0.02)


class Selecting(np.random.Generator):
    """Draws as its parent, but every share is 1: M selects a single column."""

    def beta(self, *_args: Any, size: Any = None, **_more: Any) -> Any:
        return np.ones(size)


@pytest.mark.parametrize("kind", ["positive-negative", "anchor-negative"])
def test_embedding_mixing_that_selects_is_indexing(kind: str, tmp_path: Path) -> None:
    spec = MixSpec.model_validate(mixing(pairs=kind))
    batch, student, loss = batch_of(LABELS), TinyStudent(), Contrastive(margin_cosine=-0.5)
    recording = Recording([])
    term = _term(
        recording, others=Teacher(teacher_cache(tmp_path)), mixing=Mixing(spec, mixed_columns)
    )
    random = Selecting(np.random.PCG64(0))
    value = step(batch, student=student, terms=[term], random=random, scaled=unscaled)
    clean, mixed = recording.given
    firsts = [int((clean - mixed[:, [v]]).abs().sum(dim=0).argmin()) for v in range(mixed.shape[1])]
    torch.testing.assert_close(mixed, clean[:, firsts])
    pairs = pair_up(batch.who, batch.who, self_pair="ignore")
    own = torch.eye(len(LABELS), dtype=torch.bool)
    wanted = pairs.mask & (pairs.y == 1) if kind == "positive-negative" else own
    assert len(set(firsts)) > 3
    selected = Pairs(y=torch.ones(len(LABELS), len(firsts)), mask=wanted[:, firsts])
    # A column selected for a positive is used as 1 wherever its other half is a negative.
    expected = loss(clean, pairs) + 0.4 * loss(clean[:, firsts], selected)
    assert float(value) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_mixed_examples_of_a_batch_are_drawn_by_the_generator_alone(tmp_path: Path) -> None:
    objective = objective_of(TABLE["Metrix input"], tmp_path)
    losses = [
        take_step(objective, TinyStudent(), batch_of(LABELS), seed=seed) for seed in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("mixed", "clean"),
    [
        ("asymmetric Metrix", "AML multi-similarity"),
        ("Metrix ProxyAnchor", "ProxyAnchor"),
        ("Metrix ProxyNCA++", "ProxyNCA++"),
    ],
)
def test_mixing_teaches_the_student_something(mixed: str, clean: str, tmp_path: Path) -> None:
    """A mixed loss may be more than 0 and yet constant."""
    gradients = []
    for method in (mixed, clean):
        student = TinyStudent()
        take_step(objective_of(TABLE[method], tmp_path), student, batch_of(LABELS))
        gradients.append(torch.cat([p.grad.flatten() for p in student.parameters()]))
    assert (gradients[0] - gradients[1]).norm() > 1e-3 * gradients[1].norm()


def test_a_mixed_loss_without_anything_to_mix_is_the_clean_one(tmp_path: Path) -> None:
    """Mining that leaves no negative leaves nothing to be mixed."""
    mining = {"name": "semi-hard-negatives", "margin_cosine": 1e-6}
    for others, loss in (("student", CONTRASTIVE), ("proxies", PROXY_NCA)):
        mixed = pair(others, loss, mining=mining, mixing=mixing(where="input"))
        clean = mixed | {"mixing": None}
        values = [
            take_step(objective_of([term], tmp_path), TinyStudent(), batch_of(LABELS))
            for term in (mixed, clean)
        ]
        assert values[0] == values[1]
