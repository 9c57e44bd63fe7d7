"""The verb `lorgnette analyse`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.evaluation.options import DATASET, GALLERY, QUERY, SPLITS, WORKERS

OutOption = Annotated[
    Path, typer.Option("--out", help="Where the figures, the pictures and the vectors go.")
]
AlphaOption = Annotated[
    float, typer.Option("--alpha", min=1e-6, help="Multi-similarity's, over positives.")
]
BetaOption = Annotated[
    float, typer.Option("--beta", min=1e-6, help="Multi-similarity's, over negatives.")
]
BaseOption = Annotated[
    float, typer.Option("--base", min=-1, max=1, help="Multi-similarity's, a cosine.")
]
MixAlphaOption = Annotated[
    float, typer.Option("--mix-alpha", min=1e-6, help="λ ~ Beta(this, this).")
]
PerAnchorOption = Annotated[
    int, typer.Option("--per-anchor", min=1, help="Mixed embeddings drawn for each query.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn.")]


def analyse(
    *,
    gallery: Annotated[Path, GALLERY],
    query: Annotated[Path, QUERY],
    dataset: Annotated[Path, DATASET],
    out: OutOption,
    splits: Annotated[Path | None, SPLITS] = None,
    alpha: AlphaOption = 17.97,
    beta: BetaOption = 75.66,
    base: BaseOption = 0.77,
    mix_alpha: MixAlphaOption = 2.0,
    per_anchor: PerAnchorOption = 4,
    seed: SeedOption = 0,
    workers: Annotated[int, WORKERS] = 2,
) -> None:
    """Metrix's analyses: alignment, uniformity, utilisation, and positivity by λ.

    Positivity is measured by autograd and set beside the closed form of the
    multi-similarity loss. The defaults are those of the authors' code. The
    vectors are kept in --out: run again with another loss, nothing is embedded.

    \b
    Examples:
      lorgnette analyse --gallery models/teacher --query models/student \\
        --dataset ~/photos/mugs --out runs/mugs
      lorgnette analyse --gallery runs/teacher --query runs/student \\
        --dataset ~/photos/mugs --splits splits.tsv --out runs/mugs \\
        --alpha 2 --beta 40 --base 0.5
    """
    from training.analyses.subject import open_subject
    from training.analyses.verb import run_analyses
    from training.losses.pair import MultiSimilarity
    from training.mixing_spec import MixSpec

    mix = MixSpec(
        where="embedding",
        layer=None,
        pairs="positive-negative",
        alpha=mix_alpha,
        draw="pair",
        per_anchor=per_anchor,
        weight=1.0,
    )
    loss = MultiSimilarity(alpha=alpha, beta=beta, base=base)
    subject = open_subject(
        gallery, query, dataset, splits=splits, rows=out / "rows", workers=workers
    )
    run_analyses(subject, loss, mix, out=out, seed=seed)
