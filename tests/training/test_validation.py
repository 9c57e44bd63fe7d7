"""Model selection on held-out photographs, and training on public sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from lorgnette.errors import InvalidConfiguration, InvalidDataset
from tests.training.photographs import write_classes
from tests.training.public.shelf import Shelf, on_a_server
from tests.training.public.tiny_sets import NAMES, tiny_set
from tests.training.public.ways import impatient
from tests.training.tiny_experiment import changed, gallery_config, make
from training.averaging import copied
from training.config import HeldFolder, TrainConfig
from training.data.public.get import Order, get
from training.data.public_source import listing_of, terms_of
from training.data.public_spec import PublicPart, PublicSource
from training.embed import embed_whole, rows_by
from training.models.embedder import Embedder
from training.runtime import ALONE
from training.teacher_encoder import TorchTeacher, open_teacher
from training.trained_model import load_model
from training.validation import HeldOutJudge, held_out, open_judge

SIZES = [3, 2, 2]


@pytest.fixture(scope="module")
def held(experiment: Path) -> Path:
    """The experiment's folder with held/, 3 classes, and a split of it."""
    write_classes(experiment / "held", SIZES)
    lines = [
        f"c{c:02d}/{i:03d}.jpg\t{'query' if i == 0 else 'gallery'}"
        for c, n in enumerate(SIZES)
        for i in range(n)
    ]
    (experiment / "held" / "splits.tsv").write_text("\n".join(lines) + "\n")
    return experiment


def _judge(held: Path, student: Embedder, pairing: str, splits: str | None) -> HeldOutJudge:
    found = held_out(HeldFolder(folder="held", splits=splits), held)
    teacher = None
    if pairing == "asymmetric":
        teacher = open_teacher(held / "teacher", dim=8, threads=1, device=ALONE.device)
    return open_judge(found, student, teacher, batch_size=8)


def _average_precision(asks: np.ndarray, holds: np.ndarray, same: np.ndarray) -> float:
    """The slow way: for each query, the precision at each rank where a match stands."""
    order = sorted(range(len(holds)), key=lambda g: -float(asks @ holds[g]))
    found, precisions = 0, []
    for rank, g in enumerate(order, start=1):
        if same[g]:
            found += 1
            precisions.append(found / rank)
    return sum(precisions) / len(precisions)


@pytest.mark.parametrize("pairing", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("splits", ["splits.tsv", None])
def test_a_judge_asks_whom_the_configuration_says(
    pairing: str, splits: str | None, held: Path
) -> None:
    student, _ = load_model(held / "student")
    teacher, spec = load_model(held / "teacher")
    score = _judge(held, student, pairing, splits)(copied(student))
    paths = sorted((held / "held").rglob("*.jpg"))
    asks = embed_whole(paths, rows_by(student), size_px=32, batch_size=4)
    encoder = TorchTeacher(teacher, spec)
    holds = (
        asks
        if pairing == "symmetric"
        else embed_whole(paths, encoder.embed, size_px=32, batch_size=4)
    )
    classes = np.array([path.parent.name for path in paths])
    is_query = np.array([path.stem == "000" for path in paths]) | (splits is None)
    aps = []
    for q in np.flatnonzero(is_query):
        others = np.arange(len(paths)) != q if splits is None else ~is_query
        same = classes[others] == classes[q]
        aps.append(_average_precision(asks[q], holds[others], same))
    assert score == pytest.approx(np.mean(aps), abs=1e-9)


def test_a_judge_leaves_the_network_in_training_alone(held: Path) -> None:
    student, _ = load_model(held / "student")
    other, _ = load_model(held / "teacher")
    before = copied(student)
    judge = _judge(held, student, "symmetric", None)
    assert judge(copied(other)) != judge(before)
    assert all((before[name] == tensor).all() for name, tensor in student.state_dict().items())


def test_classes_of_one_photograph_cannot_judge(tmp_path: Path) -> None:
    write_classes(tmp_path / "held", [1, 1])
    with pytest.raises(InvalidConfiguration, match="two photographs or more"):
        held_out(HeldFolder(folder="held", splits=None), tmp_path)


def _fetched(name: str, root: Path) -> None:
    tiny = tiny_set(name)
    with on_a_server(Shelf(dict(tiny.files))) as server, impatient() as ways:
        get(Order(tiny.public, root, server.url), ways)


@pytest.mark.parametrize("part", get_args(PublicPart))
def test_each_public_part_has_photographs_and_terms(part: PublicPart, tmp_path: Path) -> None:
    source = PublicSource(public=part)
    with pytest.raises(InvalidDataset):
        listing_of(source, tmp_path)
    (name,) = (n for n in NAMES if n == part.removesuffix("-val").removesuffix("-whiten"))
    _fetched(name, tmp_path)
    listing = listing_of(source, tmp_path)
    assert listing.paths
    assert len(listing.labels) == len(listing.paths)
    assert (listing.pairs is not None) == part.startswith("sfm120k")
    assert terms_of(source)


def test_a_model_is_trained_judged_and_whitened_on_a_public_set(tmp_path: Path) -> None:
    _fetched("sfm120k", tmp_path)
    made: dict[str, Any] = changed(
        gallery_config(),
        model={"head": None, "adapt_dim": 8, "dim": 8},
        sampling={"classes": 2, "per_class": 2},
        schedule={"steps": 2},
    ).model_dump(mode="json")
    made["data"] = {"public": "sfm120k"}
    made["validation"] = {
        "every_steps": 1,
        "data": {"public": "sfm120k-val"},
        "pairing": "symmetric",
    }
    made["whitening"] = {"name": "lw", "dim": 4, "data": {"public": "sfm120k-whiten"}}
    spec = make(TrainConfig.model_validate_json(json.dumps(made)), tmp_path, tmp_path / "out")
    assert spec.provenance.data == ("sfm120k",)
    assert spec.provenance.licences[1] == f"sfm120k: {terms_of(PublicSource(public='sfm120k'))}"
    assert spec.provenance.metrics["val_map"] == 1.0, "all of the tiny set's val show one model"
    assert spec.space.dim == 4
