"""Making a teacher: a pretrained network whose whitening is learned on unlabelled views."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.config import TeacherConfig, WhiteningSpec, save_resolved
from training.data.catalogue import find_photographs
from training.data.loader import Views
from training.embed import cached_pooled
from training.models.embedder import Embedder
from training.models.pretrained import pretrained
from training.models.whitening import learn_whitening
from training.provenance import git_commit, spec_of
from training.space import space_of
from training.trained_model import ModelSpec, save_model


def make_teacher(config: TeacherConfig, *, root: Path, out: Path, command: str) -> ModelSpec:
    """Embed the views, learn the whitening, fold it into the head, save the model into `out`.

    root: the folder the sources are relative to.  command: recorded with the model.
    """
    commit = git_commit()
    teacher, weights = pretrained(config.model)
    views = Views(find_photographs(root, config.data), config.crops)
    save_resolved(config, out / "config.json", git_commit=commit)
    if config.whitening is not None:
        _whiten(teacher, views, config, config.whitening, out=out)
    spec = spec_of(
        config,
        role="gallery",
        network=config.model,
        space=space_of(teacher, name=config.name, spec=config.model.input),
        commit=commit,
        command=command,
        weights=weights,
        metrics={"photographs": len(views.photographs.paths), "views": len(views)},
    )
    save_model(out, teacher, spec)
    return spec


def _whiten(
    teacher: Embedder, views: Views, config: TeacherConfig, spec: WhiteningSpec, *, out: Path
) -> None:
    """Learn the whitening on the views' pooled rows and fold it into the head."""
    pooled = cached_pooled(
        lambda _: out / "pooled", teacher, views, spec=config.model.input, running=config.running
    )
    learn_whitening(
        np.concatenate([rows for _, rows in pooled.shards()]),
        dim=config.model.dim,
        shrinkage=spec.shrinkage,
    ).fold_into(teacher.linear)
