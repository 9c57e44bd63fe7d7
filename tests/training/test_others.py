"""Who embeds the columns: what each puts there, where the gradient goes, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from lorgnette.errors import InvalidConfiguration
from tests.training.tiny_batch import (
    DIM,
    TinyStudent,
    batch_of,
    teacher_cache,
    teacher_rows,
    tuples_of,
)
from training.codebooks import learn_codebooks
from training.data.loader import Batch
from training.embedded import Embedded
from training.objective_spec import CodebooksSpec
from training.others import Codebooks, Proxies, Student, Teacher, similarities


def _seen(batch: Batch) -> Embedded:
    student = TinyStudent()
    return Embedded(batch, student(batch.images), student, np.random.default_rng(0))


def _codebooks_spec(*, subspaces: int, centroids: int) -> CodebooksSpec:
    return CodebooksSpec.model_validate_json(
        json.dumps({"name": "codebooks", "subspaces": subspaces, "centroids": centroids})
    )


def test_the_students_columns_are_its_rows_with_their_gradient() -> None:
    seen = _seen(batch_of([0, 1, 0]))
    columns = Student()(seen)
    assert columns.x is seen.rows
    assert columns.x.requires_grad
    assert columns.who is seen.batch.who


def test_a_student_refuses_columns_that_no_image_shows() -> None:
    with pytest.raises(InvalidConfiguration, match="others are rendered"):
        Student()(_seen(tuples_of([[0, 0, 1], [1, 1, 0]])))


def test_the_teachers_columns_are_its_cached_rows_without_gradient(tmp_path: Path) -> None:
    seen = _seen(tuples_of([[0, 0, 1, 2], [1, 1, 0, 2]]))
    columns = Teacher(teacher_cache(tmp_path))(seen)
    torch.testing.assert_close(columns.x, teacher_rows()[:8], rtol=0, atol=0)
    assert not columns.x.requires_grad
    assert columns.who is seen.batch.others
    assert columns.used is seen.batch.used


def test_proxies_are_unit_labelled_by_class_and_nobodys_own_row() -> None:
    seen = _seen(batch_of([0, 2, 1, 1]))
    columns = Proxies(3, DIM, seed=0)(seen)
    torch.testing.assert_close(columns.x.norm(dim=1), torch.ones(3))
    assert columns.who.labels.tolist() == [0, 1, 2]
    assert bool((columns.who.ids < 0).all())
    assert columns.used.shape == (4, 3)
    assert bool(columns.used.all())


def test_proxies_are_drawn_by_their_seed() -> None:
    first, again, other = (Proxies(3, DIM, seed=seed).weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_class_without_proxy_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="class 3 and proxies of 3 classes"):
        Proxies(3, DIM, seed=0)(_seen(batch_of([0, 3])))


def test_anchors_are_the_rows_the_sampler_names() -> None:
    batch = batch_of([0, 1, 0, 2])
    batch = replace(batch, anchors=torch.tensor([2, 0]), used=batch.used[:2])
    seen = _seen(batch)
    torch.testing.assert_close(seen.anchors, seen.rows[[2, 0]])
    assert seen.who.ids.tolist() == [5, 3]
    assert Proxies(3, DIM, seed=0)(seen).used.shape == (2, 3)


def test_similarities_to_codebooks_equal_a_slow_loop() -> None:
    random = torch.Generator().manual_seed(0)
    anchors = torch.nn.functional.normalize(torch.randn(4, 6, generator=random), dim=-1)
    books = Codebooks(torch.randn(3, 5, 2, generator=random))
    s = similarities(anchors, books.centroids)
    assert s.shape == (4, 3, 5)
    for a in range(4):
        for m in range(3):
            part = anchors[a, 2 * m : 2 * m + 2].double()
            for k in range(5):
                centroid = books.centroids[m, k].double()
                slow = float(part @ centroid / part.norm() / centroid.norm())
                assert float(s[a, m, k]) == pytest.approx(slow, abs=1e-6)


def test_codebooks_are_nobodys_and_are_saved_but_not_trained() -> None:
    books = Codebooks(torch.ones(2, 4, 3))
    columns = books(_seen(batch_of([0, 1])))
    assert columns.used.shape == (2, 4)
    assert bool((columns.who.ids == -1).all())
    assert list(books.parameters()) == []
    assert list(books.state_dict()) == ["centroids"]


def test_codebooks_are_the_kmeans_of_each_part_of_the_teachers_rows(tmp_path: Path) -> None:
    spec = _codebooks_spec(subspaces=4, centroids=3)
    found = learn_codebooks(teacher_cache(tmp_path), spec, seed=5)
    assert found.shape == (4, 3, DIM // 4)
    rows = teacher_rows().numpy()
    for m in range(4):
        part = rows[:, 2 * m : 2 * m + 2]
        expected = KMeans(3, n_init=1, random_state=5).fit(part).cluster_centers_
        np.testing.assert_allclose(found[m].numpy(), expected, atol=1e-6)
        # Each centroid is the mean of the rows nearest to it: Lloyd's condition.
        nearest = ((part[:, None] - found[m].numpy()) ** 2).sum(-1).argmin(1)
        for k in range(3):
            np.testing.assert_allclose(part[nearest == k].mean(0), found[m][k].numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("subspaces", "centroids", "problem"),
    [(3, 4, "3 subspaces do not divide 8"), (2, 41, "41 centroids of 40 rows")],
)
def test_codebooks_that_cannot_be_learned_are_refused(
    tmp_path: Path, subspaces: int, centroids: int, problem: str
) -> None:
    spec = _codebooks_spec(subspaces=subspaces, centroids=centroids)
    with pytest.raises(InvalidConfiguration, match=problem):
        learn_codebooks(teacher_cache(tmp_path), spec, seed=0)
