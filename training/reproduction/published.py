"""The tables of the three works, as far as their numbers are known here, each row with its YAML.

Published figures are per cent.  None: not read in the source; it is measured all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from training.evaluation.names import BenchmarkName, Pairing

TableName = Literal[
    "aml-symmetric",
    "aml-asymmetric",
    "glam",
    "metrix",
    "metrix-cars",
    "metrix-sop",
    "metrix-inshop",
]
Published = float | tuple[float, float] | None
"""Per cent, the (lowest, highest) of several rows printed together, or None."""


@dataclass(frozen=True)
class Column:
    """Which figure of which part of which benchmark."""

    heading: str
    benchmark: BenchmarkName
    part: str
    figure: str


@dataclass(frozen=True)
class Row:
    """name: as in the table.  config: its YAML.  published: `[columns]`."""

    name: str
    config: str
    published: tuple[Published, ...]


@dataclass(frozen=True)
class PublishedTable:
    """A table to be run again.

    source: where its numbers are from.  conditions: what to know before comparing.
    pairing: of the rows that are students; a network alone is compared with itself.
    teacher: the YAML of the students' teacher, or None.  image_size, scales: of the test; None:
    each network at the size it was made for.
    """

    source: str
    conditions: str
    pairing: Pairing
    teacher: str | None
    image_size: int | None
    scales: tuple[float, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def benchmarks(self) -> tuple[BenchmarkName, ...]:
        """The benchmarks of the columns, each once."""
        return tuple(dict.fromkeys(column.benchmark for column in self.columns))


_LANDMARKS = (
    Column("ROxf Medium", "roxford5k", "medium", "mAP"),
    Column("RPar Medium", "rparis6k", "medium", "mAP"),
    Column("ROxf Hard", "roxford5k", "hard", "mAP"),
    Column("RPar Hard", "rparis6k", "hard", "mAP"),
)
_UNKNOWN = (None, None, None, None)
_SCALES = (1.0, 0.7071, 0.5)
_TEACHER = "aml/teacher_resnet101_lw.yaml"
_AML = "Budnik and Avrithis, Asymmetric metric learning for knowledge transfer, CVPR 2021"
_AML_CONDITIONS = (
    "cropped queries, 1024 px, three scales, SfM-120k.  Theirs: the students learn unwhitened rows "
    "of the published retrievalSfM120k-resnet101-gem and are whitened at the test, a student "
    "compared with itself by its own whitening.  Ours, unless --teacher names another: a ResNet101 "
    "trained anew with its whitening folded in, which its students learn"
)
# The asymmetric figures of these four rows are printed here as the range of all four.
_FAILS: tuple[Published, ...] = ((1.5, 1.6), (3.8, 4.0), 0.7, (2.4, 2.5))

_MIXINGS = ("clean", "input", "feature", "embedding")
_METRIX_SETS: Final[Mapping[TableName, tuple[BenchmarkName, str]]] = {
    "metrix": ("cub", "CUB-200-2011"),
    "metrix-cars": ("cars", "Cars196"),
    "metrix-sop": ("sop", "Stanford Online Products"),
    "metrix-inshop": ("inshop", "In-Shop"),
}
# R@1 of the clean loss, then with input, feature and embedding mixing; on CUB, Cars, SOP, In-Shop.
_METRIX: Final[Mapping[tuple[str, str], tuple[tuple[Published, ...], ...]]] = {
    ("contrastive", "contrastive"): (
        (64.7, 81.6, 74.9, 86.4),
        (66.3, 82.9, 75.8, 87.7),
        (67.4, 85.1, 77.5, 89.1),
        (66.4, 83.9, 76.7, 88.4),
    ),
    ("MS", "multi_similarity"): (
        (67.8, 87.8, 76.9, 90.1),
        (69.0, 89.0, 77.9, 91.8),
        (71.4, 89.6, 81.0, 92.2),
        (70.2, 88.8, 78.5, 91.9),
    ),
    ("Proxy-Anchor", "proxy_anchor"): (
        (69.5, 87.6, 79.1, 90.0),
        (70.5, 88.2, 79.8, 90.9),
        (71.0, 89.1, 81.3, 91.9),
        (70.4, 88.9, 80.6, 91.6),
    ),
    ("ProxyNCA++", "proxy_nca"): (_UNKNOWN,) * 4,
}


def _metrix(table: TableName, benchmark: BenchmarkName, title: str) -> PublishedTable:
    """Metrix's rows on one data set; those on CUB are what the others extend."""
    place = list(_METRIX_SETS).index(table)
    folder = "metrix" if benchmark == "cub" else f"metrix/{benchmark}"
    rows = (
        Row(
            name if mixing == "clean" else f"+ {mixing}",
            f"{folder}/{loss}_{mixing}.yaml",
            (figures[place],),
        )
        for (name, loss), lines in _METRIX.items()
        for mixing, figures in zip(_MIXINGS, lines, strict=True)
    )
    return PublishedTable(
        source="Venkataramanan et al., It takes two to tango: mixup for deep metric learning, ICLR "
        "2022; the README of the authors' release, which has no ProxyNCA++",
        conditions=f"R@1 on {title}, 224 px: squashed here, resized to 256 and cropped there",
        pairing="teacher_to_teacher",
        teacher=None,
        image_size=None,
        scales=(),
        columns=(Column(f"{title} R@1", benchmark, "all", "R@1"),),
        rows=tuple(rows),
    )


TABLES: Final[Mapping[TableName, PublishedTable]] = {
    "aml-symmetric": PublishedTable(
        source=_AML,
        conditions=_AML_CONDITIONS,
        pairing="student_to_student",
        teacher=_TEACHER,
        image_size=1024,
        scales=_SCALES,
        columns=_LANDMARKS,
        rows=(
            Row("teacher, ResNet101", _TEACHER, (65.4, 76.7, 40.1, 55.2)),
            Row("student alone, 512", "aml/student_alone_512.yaml", _UNKNOWN),
            Row("student alone, 2048", "aml/student_alone_2048.yaml", (59.6, 75.1, 33.3, 51.9)),
            Row("Contr+", "aml/contrastive_plus.yaml", (66.8, 77.1, 42.5, 55.5)),
            Row("Contr", "aml/contrastive.yaml", (66.3, 77.4, 41.3, 55.5)),
            Row("Triplet", "aml/triplet.yaml", (39.5, None, None, None)),
            Row("MS", "aml/multi_similarity.yaml", (39.9, None, None, None)),
            Row("Reg", "aml/regression.yaml", (64.9, 74.4, 40.5, 52.4)),
            Row("RKD", "aml/rkd.yaml", (56.3, None, None, None)),
            Row("DR", "aml/darkrank.yaml", (40.3, None, None, None)),
        ),
    ),
    "aml-asymmetric": PublishedTable(
        source=_AML,
        conditions=_AML_CONDITIONS,
        pairing="student_to_teacher",
        teacher=_TEACHER,
        image_size=1024,
        scales=_SCALES,
        columns=_LANDMARKS,
        rows=(
            Row("Contr+", "aml/contrastive_plus.yaml", (45.2, 63.7, 19.6, 40.9)),
            Row("Contr", "aml/contrastive.yaml", (37.4, 57.4, 10.9, 33.7)),
            Row("Triplet", "aml/triplet.yaml", _FAILS),
            Row("MS", "aml/multi_similarity.yaml", _FAILS),
            Row("Reg", "aml/regression.yaml", (52.9, 65.2, 27.8, 42.4)),
            Row("RKD", "aml/rkd.yaml", _FAILS),
            Row("DR", "aml/darkrank.yaml", _FAILS),
        ),
    ),
    "glam": PublishedTable(
        source="Song, Han and Avrithis, All the attention you need: global-local, spatial-channel "
        "attention for image retrieval, WACV 2022",
        conditions="cropped queries, several scales (which, the paper does not say; 1024 px and "
        "1, 0.7071, 0.5 here), GLDv2-clean, which shows landmarks of these queries",
        pairing="teacher_to_teacher",
        teacher=None,
        image_size=1024,
        scales=_SCALES,
        columns=_LANDMARKS,
        rows=(
            Row("baseline", "glam/baseline.yaml", _UNKNOWN),
            Row("+ local channel", "glam/local_channel.yaml", _UNKNOWN),
            Row("+ local spatial", "glam/local_spatial.yaml", _UNKNOWN),
            Row("+ local", "glam/local.yaml", _UNKNOWN),
            Row("+ global channel", "glam/global_channel.yaml", _UNKNOWN),
            Row("+ global spatial", "glam/global_spatial.yaml", _UNKNOWN),
            Row("+ global", "glam/global.yaml", _UNKNOWN),
            Row("+ global + local", "glam/global_local.yaml", (78.6, 88.5, 60.2, 76.8)),
        ),
    ),
    **{name: _metrix(name, *where) for name, where in _METRIX_SETS.items()},
}
