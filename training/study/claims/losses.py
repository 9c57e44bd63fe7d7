"""Which losses make a student speak its teacher's space, and whether the published order holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from training.study.found import ALIGNED, ASYMMETRIC, SYMMETRIC, Findings, FoundRow, Measure
from training.study.markdown import listed

LOSSES, STARTED, CONTROLS = "1_losses", "2_started", "3_controls"

AML: Final = (
    "regression",
    "contrastive-plus",
    "contrastive",
    "triplet",
    "multi-similarity",
    "rkd",
    "darkrank",
)
COLLAPSED: Final = ("triplet", "multi-similarity", "rkd", "darkrank")
"""In AML's table: about 0.02 of the teacher."""

_COLLAPSE: Final = 0.25
"""Of the teacher: below, a student does not speak its space.  On a set of few classes chance alone
is 0.1 to 0.2, as the untouched network of the controls shows."""

_CONTROLLED: Final = {"Reg": "regression", "Triplet": "triplet", "MS": "ms"}
_TARGETS: Final = ("raw", "centred", "whitened")


def best_loss(findings: Findings) -> list[str]:
    """The best asymmetric row from a random head, and what a head in closed form makes of it."""
    random = _overall(findings, LOSSES, ASYMMETRIC)
    if not random:
        return []
    name, best = _best(random)
    said = (
        f"**{name.spec.label}** is the best of {len(random)} losses from a random head: {best:.2f} "
        f"of the teacher, mean of the sets ({_figures(name)})."
    )
    started = _overall(findings, STARTED, ASYMMETRIC)
    if closed := findings.row(STARTED, "closed-form"):
        alone = closed.overall(ASYMMETRIC)
        row, figure = _best(started)
        if alone is not None:
            said += (
                f" With the head begun in closed form: {alone:.2f} before any step, "
                f"{figure:.2f} at best ({row.spec.label})."
            )
    return [said]


def as_published(findings: Findings) -> list[str]:
    """Whether the findings of AML's table hold, each said with its figures."""
    asymmetric = _of_aml(_overall(findings, LOSSES, ASYMMETRIC))
    symmetric = _of_aml(_overall(findings, LOSSES, SYMMETRIC))
    said = []
    if asymmetric:
        said.append(_whether_best("Reg", "regression", "asymmetric", asymmetric))
    if symmetric:
        said.append(_whether_best("Contr⁺", "contrastive-plus", "symmetric", symmetric))
    return [*said, *_whether_collapsed(asymmetric)]


def aligned(findings: Findings) -> list[str]:
    """What is left of the losses' differences once the queries are aligned."""
    plain, mapped = (_overall(findings, LOSSES, measure) for measure in (ASYMMETRIC, ALIGNED))
    if len(mapped) < 2:
        return []
    worst, least = min(mapped.items(), key=lambda item: item[1])
    best, most = _best(mapped)
    before = max(plain.values()) - min(plain.values())
    verdict = "differ little" if most - least < before / 4 else "still differ"
    said = (
        f"**Aligned with the gallery, the losses {verdict}**: {least:.2f} ({worst.spec.label}) to "
        f"{most:.2f} ({best.spec.label}) of the teacher, beside {min(plain.values()):.2f} to "
        f"{max(plain.values()):.2f} as they are"
    )
    untouched = findings.row(CONTROLS, "untouched")
    if untouched and (own := untouched.overall(ALIGNED)):
        said += f"; an untouched ImageNet network with a random head, aligned, has {own:.2f}"
    return [f"{said}."]


def against_alone(findings: Findings) -> list[str]:
    """Whether a light query to a heavy gallery is worth more than the light network on its own."""
    alone = findings.row(LOSSES, "alone")
    asymmetric = _overall(findings, LOSSES, ASYMMETRIC) | _overall(findings, STARTED, ASYMMETRIC)
    own = alone and alone.overall(SYMMETRIC)
    if not asymmetric or not own:
        return []
    row, best = _best(asymmetric)
    verdict = "more" if best > own else "less"
    return [
        f"The best asymmetric row ({row.spec.label}, {best:.2f}) is worth {verdict} than the "
        f"student trained alone, on both sides ({own:.2f}); published: less (0.81 and 0.91)."
    ]


def targets(findings: Findings) -> list[str]:
    """What raw, centred and whitened targets do: the controls."""
    told = []
    for label, name in _CONTROLLED.items():
        rows = [findings.row(CONTROLS, f"{name}-{kind}") for kind in _TARGETS]
        figures = [row.overall(ASYMMETRIC) if row else None for row in rows]
        if any(figure is not None for figure in figures):
            texts = ["not run" if figure is None else f"{figure:.2f}" for figure in figures]
            told.append(f"{label} {' / '.join(texts)}")
    if not told:
        return []
    return [
        "**The targets**, of their own teacher, asymmetric, raw / centred / whitened: "
        + "; ".join(told)
        + "."
    ]


def _overall(findings: Findings, table: str, measure: Measure) -> dict[FoundRow, float]:
    """The ratio of each row that was run, mean of the sets."""
    found = findings.tables.get(table)
    rows = found.rows if found else ()
    return {row: ratio for row in rows if (ratio := row.overall(measure)) is not None}


def _of_aml(rows: Mapping[FoundRow, float]) -> dict[FoundRow, float]:
    return {row: ratio for row, ratio in rows.items() if row.spec.name in AML}


def _best(rows: Mapping[FoundRow, float]) -> tuple[FoundRow, float]:
    return max(rows.items(), key=lambda item: item[1])


def _whether_best(label: str, name: str, kind: str, rows: Mapping[FoundRow, float]) -> str:
    best, figure = _best(rows)
    claim = f"Published: {label} is AML's best {kind} row. Here it"
    own = next((ratio for row, ratio in rows.items() if row.spec.name == name), None)
    if own is None:
        return f"{claim} was not run."
    others = {row: ratio for row, ratio in rows.items() if row.spec.name != name}
    if best.spec.name == name and others:
        second, behind = _best(others)
        return f"{claim} **is**: {own:.2f} of the teacher, then {second.spec.label} {behind:.2f}."
    return f"{claim} **is not**: {own:.2f} of the teacher; {best.spec.label} has {figure:.2f}."


def _whether_collapsed(rows: Mapping[FoundRow, float]) -> list[str]:
    feared = {row: ratio for row, ratio in rows.items() if row.spec.name in COLLAPSED}
    if not feared:
        return []
    fell = [f"{row.spec.label} ({r:.2f})" for row, r in feared.items() if r < _COLLAPSE]
    stood = [f"{row.spec.label} ({r:.2f})" for row, r in feared.items() if r >= _COLLAPSE]
    told = [f"{listed(fell)} **collapse** too"] if fell else []
    told += [f"{listed(stood)} **do not**"] if stood else []
    return [f"Published: Triplet, MS, RKD and DR collapse. Here {', and '.join(told)}."]


def _figures(row: FoundRow) -> str:
    figures = [(row.mean_ap(ASYMMETRIC, on), on) for on in row.sets]
    return listed([f"{found.mean:.1f} on {on}" for found, on in figures if found])
