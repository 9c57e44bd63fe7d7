"""The first minute of the page: what works, what does not, and what to do."""

from __future__ import annotations

from training.study.claims import asking, levers, losses, teachers
from training.study.found import Findings


def works(findings: Findings) -> list[str]:
    """What brings a light query nearer to a heavy one, the most for the least first."""
    return [
        *asking.aligned(findings),
        *asking.adapted(findings),
        *losses.best_loss(findings),
        *losses.aligned(findings),
        *levers.helped(findings),
        *levers.more_data(findings),
        *asking.int8(findings),
        *teachers.fine_tuning(findings),
    ]


def works_not(findings: Findings) -> list[str]:
    """What was tried in vain, and which published findings are not seen here."""
    return [
        *losses.as_published(findings),
        *losses.against_alone(findings),
        *losses.targets(findings),
        *levers.helped_not(findings),
        *asking.many_views(findings),
        *teachers.attention(findings),
        *teachers.mixing(findings),
    ]


def advice(findings: Findings) -> list[str]:
    """In order: stop where it is good enough.  mAP, and times the teacher's, where measured."""
    steps = {
        "Index them with the shipped pair, photographs in place (`lorgnette index`): the service "
        "aligns the queries by itself, from 16 photographs on": "aligned",
        'Ask with `rerank="super-global"` where a few milliseconds do not matter': (
            "aligned-super-global"
        ),
        "Where no server aligns (Milvus asked directly, an offline box): `lorgnette adapt "
        "--gallery YOUR_PHOTOS --share 0.4`": asking.ADAPTED,
    }
    said = []
    for step, lever in steps.items():
        figures = asking.figures_of(findings, lever)
        said.append(f"{step}{f': {figures}' if figures else ''}.")
    said.append(
        "Train a student of your own only for a teacher of your own: "
        "`training/configs/student_lite0.yaml`, with as many unlabelled photographs as there are "
        "and many random crops of each; the head in closed form first."
    )
    return said
