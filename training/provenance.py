"""What a model is and where it came from: the commit, the time, the command."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from lorgnette.manifest import Provenance, Role, Space
from training.config import TeacherConfig, TrainConfig, config_sha256
from training.data.public_source import terms_of
from training.data.public_spec import PublicSource
from training.data.specs import Source
from training.models.specs import Network
from training.trained_model import ModelSpec


def git_commit() -> str:
    """The checkout's commit, with `-dirty` when files differ from it; `unknown` outside of git."""
    root = Path(__file__).resolve().parent
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty" if changed else head


def shown(path: Path) -> str:
    """A path as a command would name it, without this machine's absolute folders."""
    return path.name if path.is_absolute() else path.as_posix()


def spec_of(
    config: TeacherConfig | TrainConfig,
    *,
    role: Role,
    network: Network,
    space: Space,
    commit: str,
    command: str,
    weights: str,
    metrics: dict[str, JsonValue],
) -> ModelSpec:
    """What a made model is and where it came from.  weights: origin of the pretrained ones."""
    provenance = Provenance(
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        git_commit=commit,
        config_sha256=config_sha256(config),
        command=command,
        weights=weights,
        data=_described(config.data),
        licences=_licences(config.model, config.data),
        metrics=metrics,
    )
    return ModelSpec(
        role=role,
        name=config.name,
        network=network,
        space=space,
        provenance=provenance,
    )


def _described(data: PublicSource | tuple[Source, ...]) -> tuple[str, ...]:
    """Each source in words, such as `caltech101_sample (pool of splits.tsv)`."""
    if isinstance(data, PublicSource):
        return (data.public,)
    return tuple(
        f"{source.folder} ({source.role} of {source.splits})" if source.role else source.folder
        for source in data
    )


def _licences(network: Network, data: PublicSource | tuple[Source, ...]) -> tuple[str, ...]:
    """The licences of the pretrained weights and of each source, once each, in that order."""
    named = [f"weights: {network.licence}"]
    if isinstance(data, PublicSource):
        return (*named, f"{data.public}: {terms_of(data)}")
    named += [f"{source.folder}: {source.licence}" for source in data]
    return tuple(dict.fromkeys(named))


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603  the arguments are this file's own
        ["git", "-C", str(folder), *arguments],  # noqa: S607  git is found on the PATH
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
