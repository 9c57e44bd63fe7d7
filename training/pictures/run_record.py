"""What a run's directory says about the run, for people.  No torch.

Read leniently: a report of a run of last month's version is still a report.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lorgnette.errors import InvalidConfiguration
from lorgnette.text import visible

CONFIG_NAME, MODEL_NAME, METRICS_NAME = "config.json", "model.json", "metrics.jsonl"
_NOT_SAID = "not recorded"


@dataclass(frozen=True)
class RunRecord:
    """name: of the experiment.  facts: label → what was recorded.  config: resolved, as JSON.

    is_finished: the run wrote its model; `facts` then also say its command and its space.
    """

    name: str
    facts: dict[str, str]
    config: str
    is_finished: bool


def read_run(directory: Path) -> RunRecord:
    """Read `config.json` and, of a finished run, `model.json`.

    Raises `InvalidConfiguration` when the directory holds no resolved configuration.
    """
    saved = _read(directory / CONFIG_NAME)
    config = _inside(saved, "config")
    if not config:
        raise InvalidConfiguration(
            f"{directory} is no run (no {CONFIG_NAME} with a configuration): give the --out of "
            "`lorgnette train`"
        )
    model = _inside(_read(directory / MODEL_NAME), "spec")
    provenance = _inside(model, "provenance")
    seeds = ", ".join(f"{place} {value}" for place, value in _seeds(config))
    facts = {
        "command": _text(provenance.get("command")),
        "config sha256": _text(saved.get("sha256")),
        "git commit": _text(saved.get("git_commit")),
        "seed": seeds or _NOT_SAID,
        "trained on": _text(saved.get("hardware")),
        "made": _text(provenance.get("created")),
        "role": _text(model.get("role")),
        "space": _text(_inside(model, "space").get("id")),
        "data": _text(provenance.get("data")),
        "pretrained weights": _text(provenance.get("weights")),
        "licences": _text(provenance.get("licences")),
    }
    facts |= {visible(key): _text(value) for key, value in _inside(provenance, "metrics").items()}
    return RunRecord(
        name=_text(config.get("name", directory.name)),
        facts=facts,
        config=json.dumps(config, indent=2),
        is_finished=bool(model),
    )


def _read(path: Path) -> dict[str, object]:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _inside(record: dict[str, object], key: str) -> dict[str, object]:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def _seeds(record: dict[str, object], place: str = "") -> Iterator[tuple[str, object]]:
    for key, value in record.items():
        if key == "seed":
            yield f"{place}{key}", value
        elif isinstance(value, dict):
            yield from _seeds(value, f"{place}{key}.")


def _text(value: object) -> str:
    if value is None or value in ("", []):
        return _NOT_SAID
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else visible(str(value))
