"""From an objective as a configuration says it to the terms of a step, and what they train."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from lorgnette.errors import InvalidConfiguration
from training.codebooks import learn_codebooks
from training.data.row_cache import RowCache
from training.embedded import Term
from training.losses.build import build_pair_loss, build_relational_loss
from training.mining import (
    HardestNegatives,
    Mining,
    MultiSimilarityMining,
    SemiHardNegatives,
    all_pairs,
)
from training.mixed_pairs import Mixing, mixed_anchors, mixed_columns, mixed_examples
from training.objective_spec import (
    WITHOUT_NEGATIVES,
    CodebooksSpec,
    HardestNegativesSpec,
    MiningSpec,
    MultiSimilarityMiningSpec,
    ObjectiveSpec,
    PairTermSpec,
    RelationalTermSpec,
)
from training.others import Codebooks, Others, Proxies, Student, Teacher
from training.pairs import require_both, require_positives
from training.relations import RelationalTerm, each_label, whole_batch
from training.step import PairTerm


@dataclass(frozen=True)
class Objective:
    """terms: for `training.step.step`.

    modules: what the terms hold beside the student, to be moved, trained and saved with it: class
    proxies, which are parameters, and codebooks, which are buffers.
    """

    terms: tuple[Term, ...]
    modules: nn.ModuleList


@dataclass(frozen=True)
class _Means:
    """What the terms are built from; see `build_objective`."""

    cache: RowCache | None
    classes: int | None
    dim: int
    seed: int
    modules: nn.ModuleList = field(default_factory=nn.ModuleList)


def build_objective(
    spec: ObjectiveSpec, *, cache: RowCache | None, classes: int | None, dim: int, seed: int
) -> Objective:
    """The terms of an objective, with new proxies and codebooks where it has them.

    cache: the teacher's rows by view, all written; None without a teacher.  classes: of the
    training data, labelled 0..classes - 1; None without labels.  dim: D of the student's rows.
    seed: of the proxies and codebooks.  Raises `InvalidConfiguration` when a term needs what is
    not there, or the teacher's rows have another width than those they are compared with.
    """
    means = _Means(cache, classes, dim, seed)
    terms = tuple(
        _pair_term(term, means) if isinstance(term, PairTermSpec) else _relational_term(term, means)
        for term in spec.terms
    )
    return Objective(terms, means.modules)


def _pair_term(spec: PairTermSpec, means: _Means) -> PairTerm:
    return PairTerm(
        weight=spec.weight,
        others=_pair_others(spec, means),
        self_pair=spec.self_pair,
        learnable=require_positives if spec.loss.name in WITHOUT_NEGATIVES else require_both,
        mining=_mining(spec.mining),
        mixing=_mixing(spec),
        loss=build_pair_loss(spec.loss),
    )


def _pair_others(spec: PairTermSpec, means: _Means) -> Others:
    if spec.others == "student":
        return Student()
    if spec.others == "teacher":
        return _comparable(_teacher(spec.loss.name, means), means)
    if means.classes is None or means.classes < 2:
        raise InvalidConfiguration(
            f"{spec.loss.name} with proxies needs two classes or more, found {means.classes}: "
            "give the data labels (`labels: folder`, or a public data set)"
        )
    proxies = Proxies(means.classes, means.dim, seed=means.seed + len(means.modules))
    means.modules.append(proxies)
    return proxies


def _relational_term(spec: RelationalTermSpec, means: _Means) -> RelationalTerm:
    teacher = _teacher(spec.loss.name, means)
    others: Others
    taught: Others = teacher
    if spec.others.name == "student":
        others = Student()
    elif spec.others.name == "teacher":
        others = _comparable(teacher, means)
    else:
        others = taught = _codebooks(spec.others, _comparable(teacher, means), means)
    among = whole_batch if spec.among == "batch" else each_label
    loss = build_relational_loss(spec.loss)
    return RelationalTerm(spec.weight, others, taught, teacher, among, loss)


def _codebooks(spec: CodebooksSpec, teacher: Teacher, means: _Means) -> Codebooks:
    seed = means.seed + len(means.modules)
    books = Codebooks(learn_codebooks(teacher.cache, spec, seed=seed))
    means.modules.append(books)
    return books


def _teacher(loss: str, means: _Means) -> Teacher:
    if means.cache is None:
        raise InvalidConfiguration(
            f"{loss} compares with a teacher, and none was given: name one (`--teacher`), or set "
            "others to student or proxies"
        )
    return Teacher(means.cache)


def _comparable(teacher: Teacher, means: _Means) -> Teacher:
    found = teacher.cache.binding.dim
    if found != means.dim:
        raise InvalidConfiguration(
            f"the student has {means.dim} dimensions and the teacher's rows {found}: set the "
            f"model's dim to {found}; only the student's own columns may have another width"
        )
    return teacher


def _mining(spec: MiningSpec | None) -> Mining:
    if spec is None:
        return all_pairs
    if isinstance(spec, MultiSimilarityMiningSpec):
        return MultiSimilarityMining(spec.epsilon_cosine)
    if isinstance(spec, HardestNegativesSpec):
        return HardestNegatives(spec.per_anchor)
    return SemiHardNegatives(spec.margin_cosine)


def _mixing(spec: PairTermSpec) -> Mixing | None:
    if spec.mixing is None:
        return None
    if spec.others != "proxies":
        return Mixing(spec.mixing, mixed_columns)
    # ProxyAnchor's anchors are the proxies; every other loss has rows as anchors.
    mixed = mixed_anchors if spec.loss.name == "proxy-anchor" else mixed_examples
    return Mixing(spec.mixing, mixed)
