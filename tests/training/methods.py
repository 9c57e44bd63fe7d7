"""Every row of the table of methods as a configuration says it, and a step with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from tests.training.tiny_batch import (
    DIM,
    mixing,
    pair_term,
    relational_term,
    spec_of,
    teacher_cache,
)
from training.data.loader import Batch
from training.embedded import Term
from training.objective import Objective, build_objective
from training.step import step

CONTRASTIVE = {"name": "contrastive", "margin_cosine": -0.5}
TRIPLET = {"name": "triplet", "margin_cosine": 0.5}
MULTI_SIMILARITY = {"name": "multi-similarity", "alpha": 2.0, "beta": 10.0, "base": 0.5}
ARCFACE = {"name": "arcface", "scale": 8.0, "margin_radians": 0.3}
PROXY_ANCHOR = {"name": "proxy-anchor", "alpha": 8.0, "margin_cosine": 0.1}
PROXY_NCA = {"name": "proxy-nca++", "temperature": 0.5}
PAIRWISE = {"contrastive": CONTRASTIVE, "triplet": TRIPLET, "multi-similarity": MULTI_SIMILARITY}
CODEBOOKS = {"name": "codebooks", "subspaces": 2, "centroids": 4}
RAML = [
    pair_term(loss={"name": "raml-absolute"}),
    relational_term("raml-relational", others="teacher", among="label", weight=0.64),
    relational_term("raml-relational", others="student", among="label", weight=0.77),
]


def pair(others: str, loss: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return pair_term(others=others, self_pair="ignore", loss=loss) | changes


TABLE: dict[str, list[dict[str, Any]]] = {
    "regression": [pair_term()],
    **{f"symmetric {name}": [pair("student", loss)] for name, loss in PAIRWISE.items()},
    **{f"AML {name}": [pair("teacher", loss)] for name, loss in PAIRWISE.items()},
    "Contr+": [pair("teacher", CONTRASTIVE, self_pair="positive")],
    "mined symmetric": [
        pair("student", MULTI_SIMILARITY, mining={"name": "multi-similarity", "epsilon_cosine": 2})
    ],
    "mined AML": [
        pair("teacher", CONTRASTIVE, mining={"name": "hardest-negatives", "per_anchor": 1})
    ],
    "ArcFace": [pair("proxies", ARCFACE)],
    "ProxyAnchor": [pair("proxies", PROXY_ANCHOR)],
    "ProxyNCA++": [pair("proxies", PROXY_NCA)],
    "Metrix input": [pair("student", CONTRASTIVE, mixing=mixing(where="input"))],
    "Metrix feature": [
        pair("student", MULTI_SIMILARITY, mixing=mixing(where="feature", layer="conv"))
    ],
    "Metrix embedding": [pair("student", CONTRASTIVE, mixing=mixing(pairs="either"))],
    "Metrix anchor-negative": [
        pair("student", CONTRASTIVE, mixing=mixing(pairs="anchor-negative"))
    ],
    "Metrix ProxyAnchor": [pair("proxies", PROXY_ANCHOR, mixing=mixing(where="input"))],
    "Metrix ProxyNCA++": [pair("proxies", PROXY_NCA, mixing=mixing())],
    "asymmetric Metrix": [pair("teacher", MULTI_SIMILARITY, mixing=mixing())],
    "RKD": [relational_term("rkd-distance"), relational_term("rkd-angle", weight=2.0)],
    "DarkRank": [relational_term("darkrank", alpha=3.0, beta=3.0, nearest=4)],
    "CSD": [
        relational_term(
            "csd", others="teacher", nearest=4, temperature_student=1.0, temperature_teacher=0.5
        )
    ],
    "RAML": RAML,
    "SSP": [relational_term("ssp", others=CODEBOOKS, temperature=0.1)],
    "ROP": [relational_term("rop", others="teacher", nearest=4, temperature=0.1, weight_scale=0.2)],
    "D3still": [
        relational_term(
            "d3still",
            others="teacher",
            nearest=4,
            first_order_weight=1.0,
            hard_weight=0.5,
            simple_weight=0.1,
        )
    ],
}
LABELS = [0, 1, 0, 2, 1, 2, 0]


def objective_of(terms: list[dict[str, Any]], directory: Path, **changes: Any) -> Objective:
    means = {"cache": teacher_cache(directory), "classes": 3, "dim": DIM, "seed": 0} | changes
    return build_objective(spec_of(*terms), **means)


def take_step(
    objective: Objective | list[Term], student: nn.Module, batch: Batch, *, seed: int = 0
) -> float:
    terms = objective.terms if isinstance(objective, Objective) else objective
    random = np.random.default_rng(seed)
    return float(step(batch, student=student, terms=terms, random=random, scaled=unscaled))


def unscaled(loss: Tensor) -> Tensor:
    return loss
