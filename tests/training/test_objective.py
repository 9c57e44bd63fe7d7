"""From specification to terms: every row of the table learns, and what cannot is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from lorgnette.errors import InvalidConfiguration
from tests.training.methods import (
    ARCFACE,
    CODEBOOKS,
    CONTRASTIVE,
    LABELS,
    PROXY_ANCHOR,
    TABLE,
    TRIPLET,
    objective_of,
    pair,
    take_step,
)
from tests.training.tiny_batch import (
    VIEWS,
    TinyStudent,
    batch_of,
    mixing,
    pair_term,
    relational_term,
    spec_of,
    teacher_cache,
    teacher_rows,
)
from training.others import Codebooks, Proxies


@pytest.mark.parametrize("method", TABLE)
def test_each_row_of_the_table_learns_in_one_step(method: str, tmp_path: Path) -> None:
    objective = objective_of(TABLE[method], tmp_path)
    student, batch = TinyStudent(), batch_of(LABELS)
    learned = [*student.parameters(), *objective.modules.parameters()]
    before = take_step(objective, student, batch)
    for parameter in learned:
        assert parameter.grad is not None
        assert bool(torch.isfinite(parameter.grad).all())
        assert bool((parameter.grad != 0).any())
    with torch.no_grad():
        for parameter in learned:
            assert parameter.grad is not None
            parameter.sub_(1e-3 * parameter.grad)
    assert take_step(objective, student, batch) < before


@pytest.mark.parametrize("method", TABLE)
def test_no_gradient_reaches_the_teacher(method: str, tmp_path: Path) -> None:
    objective = objective_of(TABLE[method], tmp_path)
    take_step(objective, TinyStudent(), batch_of(LABELS))
    cached = teacher_cache(tmp_path).rows(np.arange(VIEWS, dtype=np.int64))
    assert np.array_equal(cached, teacher_rows().numpy())
    proxies = [name for name, _ in objective.modules.named_parameters()]
    assert bool(proxies) == (TABLE[method][0].get("others") == "proxies")


@pytest.mark.parametrize(
    ("term", "way_out"),
    [
        (pair("student", CONTRASTIVE, self_pair="only"), "'ignore' it"),
        (pair("student", CONTRASTIVE, self_pair="positive"), "a view's own row is itself"),
        (pair("proxies", ARCFACE, self_pair="positive"), "a proxy is no view"),
        (pair_term(loss=TRIPLET), "one of regression"),
        (pair("student", TRIPLET, mixing=mixing()), "takes 0 or 1 only"),
        (pair("proxies", ARCFACE, mixing=mixing()), "takes 0 or 1 only"),
        (pair("teacher", CONTRASTIVE, mixing=mixing(where="input")), "'embedding' mixes rows"),
        (
            pair("proxies", PROXY_ANCHOR, mixing=mixing(pairs="anchor-negative")),
            "'positive-negative'",
        ),
        (relational_term("ssp", temperature=0.1), "compares with codebooks columns"),
        (relational_term("rkd-distance", others=CODEBOOKS), "student or teacher columns"),
        (
            relational_term("ssp", others=CODEBOOKS, among="label", temperature=0.1),
            "centroids have no label",
        ),
        (pair_term(weight=0), "weight"),
        (pair_term(minning=None), "minning"),
        (pair_term(loss={"name": "tripplet"}), "tripplet"),
    ],
)
def test_a_term_that_cannot_work_is_refused_with_its_way_out(
    term: dict[str, Any], way_out: str
) -> None:
    with pytest.raises(ValidationError, match=way_out):
        spec_of(term)


def test_nothing_of_a_term_has_a_default() -> None:
    for term in (pair_term(), relational_term("rkd-distance")):
        for key in term:
            with pytest.raises(ValidationError):
                spec_of({name: value for name, value in term.items() if name != key})
    with pytest.raises(ValidationError, match="at least 1 item"):
        spec_of()


@pytest.mark.parametrize(
    ("terms", "means", "way_out"),
    [
        ([pair_term()], {"cache": None}, "--teacher"),
        ([relational_term("rkd-distance")], {"cache": None}, "--teacher"),
        ([pair("proxies", ARCFACE)], {"classes": None}, "labels"),
        ([pair("proxies", ARCFACE)], {"classes": 1}, "two classes or more, found 1"),
        ([pair_term()], {"dim": 6}, "set the model's dim to 8"),
        (TABLE["CSD"], {"dim": 6}, "set the model's dim to 8"),
        (TABLE["SSP"], {"dim": 6}, "set the model's dim to 8"),
        (TABLE["SSP"], {"dim": 6, "cache": None}, "--teacher"),
    ],
)
def test_an_objective_that_lacks_something_is_refused(
    terms: list[dict[str, Any]], means: dict[str, Any], way_out: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfiguration, match=way_out):
        objective_of(terms, tmp_path, **means)


def test_relations_of_the_students_own_rows_need_no_equal_width(tmp_path: Path) -> None:
    objective = objective_of(TABLE["RKD"], tmp_path, dim=6)
    assert take_step(objective, TinyStudent(dim=6), batch_of(LABELS)) > 0


def test_symmetric_training_needs_neither_teacher_nor_number_of_classes(tmp_path: Path) -> None:
    objective = objective_of(TABLE["symmetric triplet"], tmp_path, cache=None, classes=None)
    assert take_step(objective, TinyStudent(), batch_of(LABELS)) > 0
    assert len(objective.modules) == 0


def test_what_terms_hold_is_saved_and_restored_with_the_objective(tmp_path: Path) -> None:
    terms = [*TABLE["ArcFace"], *TABLE["SSP"], *TABLE["ProxyNCA++"]]
    objective = objective_of(terms, tmp_path)
    kinds = [type(module) for module in objective.modules]
    assert kinds == [Proxies, Codebooks, Proxies]
    first, second = (objective.modules[i].weight for i in (0, 2))
    assert not torch.equal(first, second), "two terms' proxies are drawn apart"
    before = take_step(objective, TinyStudent(), batch_of(LABELS))
    other = objective_of(terms, tmp_path, seed=7)
    assert take_step(other, TinyStudent(), batch_of(LABELS)) != before
    other.modules.load_state_dict(objective.modules.state_dict())
    assert take_step(other, TinyStudent(), batch_of(LABELS)) == before


def test_a_specification_survives_the_way_through_json() -> None:
    spec = spec_of(*(term for terms in TABLE.values() for term in terms))
    assert type(spec).model_validate_json(json.dumps(spec.model_dump(mode="json"))) == spec
