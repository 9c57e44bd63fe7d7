"""Making a teacher: a pretrained network whose whitening is learned on unlabelled views."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lorgnette.manifest import Provenance
from training.config import TeacherConfig, config_sha256, save_resolved
from training.data.catalogue import find_photographs
from training.data.loader import Views
from training.embed import cached_pooled
from training.models.backbone import load_weights
from training.models.embedder import Embedder
from training.models.whitening import learn_whitening
from training.provenance import described, git_commit, licences, now
from training.space import space_of
from training.trained_model import ModelSpec, save_model


def make_teacher(config: TeacherConfig, *, root: Path, out: Path, command: str) -> ModelSpec:
    """Embed the views, learn the whitening, fold it into the head, save the model into `out`.

    root: the folder the sources are relative to.  command: recorded with the model.
    """
    commit = git_commit()
    teacher = Embedder(config.model.backbone, p=config.model.gem_p, dim=config.model.dim).eval()
    weights = load_weights(
        teacher.backbone, name=config.model.backbone, source=config.model.weights
    )
    views = Views(find_photographs(root, config.data), config.crops)
    save_resolved(config, out / "config.json", git_commit=commit)
    pooled = cached_pooled(
        out / "pooled", teacher, views, spec=config.model.input, running=config.running
    )
    whitening = learn_whitening(
        np.concatenate([rows for _, rows in pooled.shards()]),
        dim=config.model.dim,
        shrinkage=config.whitening.shrinkage,
    )
    whitening.fold_into(teacher.head)
    spec = ModelSpec(
        role="gallery",
        name=config.name,
        backbone=config.model.backbone,
        dim=config.model.dim,
        input=config.model.input,
        space=space_of(teacher, name=config.name, spec=config.model.input),
        provenance=Provenance(
            created=now(),
            git_commit=commit,
            config_sha256=config_sha256(config),
            command=command,
            weights=weights,
            data=described(config.data),
            licences=licences(config.model, config.data),
            metrics={"photographs": len(views.photographs.paths), "views": len(views)},
        ),
    )
    save_model(out, teacher, spec)
    return spec
