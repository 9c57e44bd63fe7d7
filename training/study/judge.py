"""The photographs that judge the runs of a study, and what both networks make of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lorgnette.vectors import Vectors
from training.config import Running, TrainConfig
from training.data.catalogue import labelled, trusted
from training.data.loader import Views, batches, in_order
from training.data.row_cache import shared_place
from training.data.specs import uncropped
from training.embed import cached_embeddings
from training.evaluation.aligning import can_align
from training.evaluation.folder import Asked, Protocol, asked_of, read_protocol
from training.evaluation.names import Pairing
from training.evaluation.ranking import Score
from training.frozen_stages import after_frozen, kept_maps
from training.models.embedder import Embedder
from training.models.frozen_norm import with_frozen_norms
from training.prepared import Prepared
from training.study.data import SEEN_SPLITS
from training.study.plan import Trial
from training.study.result import Figures, OnSet, figures
from training.teacher_encoder import TeacherEncoder

GROCERY, CALTECH = "grocery_packages", "caltech101_sample"

TRIALS: dict[Trial, dict[str, tuple[str, str]]] = {
    "student": {
        "grocery_packages": (GROCERY, "splits.tsv"),
        "grocery_packages, 15 products": (GROCERY, "splits_unseen.tsv"),
        "caltech101_sample, 33 categories": (CALTECH, "splits.tsv"),
    },
    "teacher": {
        "products seen in training": (GROCERY, SEEN_SPLITS),
        "products not seen": (GROCERY, "splits_unseen.tsv"),
        "caltech101_sample, 33 categories": (CALTECH, "splits.tsv"),
    },
}
"""By the name of the set: its folder, and the file that says who asks."""


@dataclass(frozen=True)
class TestSet:
    """asked: the questions.  views: its photographs, whole, in the order of the protocol."""

    asked: Asked
    views: Views


@dataclass(frozen=True)
class Judge:
    """kept: where rows and maps are, for all runs.  running: how photographs are embedded."""

    sets: dict[str, TestSet]
    kept: Path
    running: Running

    def student(
        self, model: Embedder, config: TrainConfig, teacher: TeacherEncoder
    ) -> dict[str, OnSet]:
        """All three pairings, and the asymmetric one aligned, on each set."""
        return {
            name: _of_student(
                test.asked, self._rows(model, config, test.views), self._taught(teacher, test.views)
            )
            for name, test in self.sets.items()
        }

    def alone(self, model: Embedder, config: TrainConfig, pairing: Pairing) -> dict[str, OnSet]:
        """A model that makes its own space: it asks itself."""
        found = {}
        for name, test in self.sets.items():
            rows = self._rows(model, config, test.views)
            found[name] = _on_set(test.asked, {pairing: test.asked.score(rows, rows)}, {})
        return found

    def _taught(self, teacher: TeacherEncoder, views: Views) -> Vectors:
        cache = cached_embeddings(
            lambda binding: shared_place(self.kept, binding), teacher, views, running=self.running
        )
        return cache.rows(np.arange(len(views), dtype=np.int64))

    def _rows(self, model: Embedder, config: TrainConfig, views: Views) -> Vectors:
        """A trained model's rows, from the maps of the stages it did not train."""
        frozen, spec = config.optimiser.frozen, config.model.input
        seen = kept_maps(
            views,
            model,
            frozen,
            spec=spec,
            size_px=spec.size_px,
            running=self.running,
            directory=self.kept,
        )
        network = Prepared(_late(model, frozen), spec, "none")
        plan = in_order(0, len(seen), batch_size=self.running.batch_size, size_px=spec.size_px)
        with torch.inference_mode():
            parts = [network(batch.images).numpy() for batch in batches(seen, plan, threads=1)]
        return np.concatenate(parts)


def open_judge(trial: Trial, root: Path, *, kept: Path, running: Running) -> Judge:
    """List the photographs of a trial below `root`.  Raises `InvalidConfiguration`."""
    sets = {}
    for name, (folder, splits) in TRIALS[trial].items():
        protocol = read_protocol(root / folder, root / folder / splits)
        asked = asked_of(protocol, np.ones(len(protocol.paths), dtype=bool))
        sets[name] = TestSet(asked, _views(protocol))
    return Judge(sets, kept, running)


def _views(protocol: Protocol) -> Views:
    named = [(path, path.parent.name) for path in protocol.paths]
    return Views(trusted(labelled(named)), uncropped())


def _late(model: Embedder, frozen: Collection[str]) -> Embedder:
    return after_frozen(with_frozen_norms(model), frozen)


def _of_student(asked: Asked, student: Vectors, teacher: Vectors) -> OnSet:
    plain: dict[Pairing, Score] = {
        "teacher_to_teacher": asked.score(teacher, teacher),
        "student_to_student": asked.score(student, student),
        "student_to_teacher": asked.score(student, teacher),
    }
    aligned: dict[Pairing, Score] = {}
    if can_align(student[asked.held], teacher[asked.held], is_leave_one_out=False):
        aligned["student_to_teacher"] = asked.score_aligned(student, teacher)
    return _on_set(asked, plain, aligned)


def _on_set(asked: Asked, plain: dict[Pairing, Score], aligned: dict[Pairing, Score]) -> OnSet:
    def of(scores: dict[Pairing, Score]) -> dict[Pairing, Figures]:
        return {pairing: figures(found) for pairing, found in scores.items()}

    return OnSet(
        queries=int(asked.matched.sum()),
        gallery=len(asked.held),
        plain=of(plain),
        aligned=of(aligned),
    )
