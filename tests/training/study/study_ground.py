"""A study of seconds: the folders it wants, with generated photographs, and two small tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.training.photographs import write_classes, write_photographs
from tests.training.tiny_experiment import STUDENT

SOURCE = {
    "folder": "caltech101_sample",
    "splits": "splits.tsv",
    "role": "pool",
    "labels": "folder",
    "licence": "generated",
}
CONTRASTIVE = {
    "kind": "pair",
    "weight": 1.0,
    "others": "student",
    "self_pair": "ignore",
    "mining": None,
    "mixing": None,
    "loss": {"name": "contrastive", "margin_cosine": 0.5},
}


def write_sets(root: Path) -> None:
    """The four folders, in the shape of the real ones."""
    write_classes(root / "caltech101_sample", [4, 4, 4, 4])
    _write_splits(root / "caltech101_sample", "splits.tsv", pool=(0, 1), asking=(2, 3))
    write_classes(root / "grocery_packages", [4, 4, 4, 4])
    _write_splits(root / "grocery_packages", "splits.tsv", pool=(), asking=(0, 1, 2, 3))
    _write_splits(root / "grocery_packages", "splits_unseen.tsv", pool=(0, 1), asking=(2, 3))
    write_photographs(root / "grocery_produce", 2)
    write_photographs(root / "indoor_walks", 2)


def _write_splits(
    folder: Path, name: str, *, pool: tuple[int, ...], asking: tuple[int, ...]
) -> None:
    lines = [f"c{c:02d}/{n:03d}.jpg\tpool\n" for c in pool for n in range(4)]
    roles = ("gallery", "gallery", "query", "query")
    lines += [f"c{c:02d}/{n:03d}.jpg\t{roles[n]}\n" for c in asking for n in range(4)]
    (folder / name).write_text("".join(lines))


def write_tables(folder: Path, **changes: Any) -> None:
    """1_students: a student of the teacher, in two seeds, and one alone; 2_teachers: one."""
    folder.mkdir(parents=True, exist_ok=True)
    base: dict[str, Any] = STUDENT | {
        "data": [SOURCE],
        "crops": STUDENT["crops"] | {"joined_share": 0.0},
        "optimiser": STUDENT["optimiser"] | {"frozen": ["conv_stem", "bn1"]},
        "schedule": STUDENT["schedule"] | {"steps": 3, "sizes": [{"size_px": 32, "until": 1.0}]},
    }
    _write(folder / "_base.yaml", base)
    alone = {"role": "gallery", "head": None, "objective": {"terms": [CONTRASTIVE]}}
    alone["sampling"] = {"name": "balanced", "classes": 2, "per_class": 3}
    seen = [SOURCE | {"folder": "grocery_packages", "splits": "splits_seen.tsv", "role": "gallery"}]
    table = {"title": "Students", "about": "Tiny.", "base": "_base.yaml", "seeds": [0]}
    taught = {"name": "taught", "label": "Taught", "about": "", "seeds": [0, 1], "change": {}}
    own = {"name": "alone", "label": "Alone", "about": "", "change": alone}
    _write(
        folder / "1_students.yaml",
        table | {"trial": "student", "teacher": "shipped", "rows": [taught | changes, own]},
    )
    labelled = {"name": "own", "label": "Own", "about": "", "change": alone | {"data": seen}}
    _write(
        folder / "2_teachers.yaml",
        table | {"trial": "teacher", "teacher": None, "rows": [labelled]},
    )


def _write(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
