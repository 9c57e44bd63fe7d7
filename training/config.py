"""An experiment is one YAML, validated into a frozen model; nothing that matters has a default."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import NAME_PATTERN
from training.data.specs import Crops, Source
from training.files import sha256_of, write_atomically
from training.losses.specs import RegressionSpec
from training.models.specs import Network
from training.schema import Count, Frozen, NotNegative, Positive, Share

SelfPair = Literal["ignore", "positive", "only"]
"""The pair of a view with its own row: not used, a positive, or the only pair used."""


class Running(Frozen):
    """threads: of the computation.  batch_size: views embedded at once outside of training."""

    threads: Count
    batch_size: Count


class WhiteningSpec(Frozen):
    """See `training.models.whitening.learn_whitening`."""

    shrinkage: NotNegative


class TeacherConfig(Frozen):
    """`lorgnette whiten`: a pretrained network with a whitening learned on unlabelled views."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    model: Network
    data: Annotated[tuple[Source, ...], Field(min_length=1)]
    crops: Crops
    whitening: WhiteningSpec
    running: Running


class HeadSpec(Frozen):
    """The student's head in closed form.  ridge: penalty in units of the mean feature energy.

    views_per_photograph: how many of each photograph's views it is fitted on.
    """

    ridge: Positive
    views_per_photograph: Count


class Objective(Frozen):
    """One row of the table of methods in docs/design.md."""

    others: Literal["teacher"]
    self_pair: SelfPair
    loss: RegressionSpec


class Optimiser(Frozen):
    """AdamW.  Learning rates of the backbone, the head and GeM's p; decay of weight matrices.

    frozen: names of the backbone's modules that keep their weights, such as `blocks.0`.
    """

    frozen: tuple[str, ...]
    backbone_lr: NotNegative
    head_lr: NotNegative
    gem_lr: NotNegative
    weight_decay: NotNegative
    betas: tuple[Share, Share]


class SizePhase(Frozen):
    """size_px: of the training images.  until: the share of all steps where this phase ends."""

    size_px: Annotated[int, Field(ge=16)]
    until: Share


class Schedule(Frozen):
    """Linear warm-up over a share of the steps, then a cosine down to `final_share` of the rate.

    sizes: of the training images, which may be smaller than the model's input to save time.
    steps: batches in all, taken from the shuffled views, epoch after epoch.
    """

    sizes: Annotated[tuple[SizePhase, ...], Field(min_length=1)]
    steps: Annotated[int, Field(ge=0)]
    batch_size: Count
    warmup_share: Share
    final_share: Share
    seed: Annotated[int, Field(ge=0)]
    checkpoint_every_steps: Count

    @model_validator(mode="after")
    def _phases_follow_each_other(self) -> Self:
        ends = [phase.until for phase in self.sizes]
        if ends != sorted(set(ends)) or ends[-1] != 1:
            raise ValueError(f"sizes: `until` must grow and end at 1, found {ends}")
        return self


class Averaging(Frozen):
    """The saved weights: start + interpolation · (moving average - start).

    decay: of the exponential moving average, per step.  interpolation: 1 is the average itself;
    less keeps more of the starting point's generality (Wortsman et al., CVPR 2022, section 3).
    """

    decay: Share
    interpolation: Share


class StudentConfig(Frozen):
    """`lorgnette train`: a light network that learns to speak a teacher's space."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    model: Network
    data: Annotated[tuple[Source, ...], Field(min_length=1)]
    crops: Crops
    objective: Objective
    head: HeadSpec
    optimiser: Optimiser
    schedule: Schedule
    averaging: Averaging
    running: Running

    @model_validator(mode="after")
    def _head_is_fitted_on_views_there_are(self) -> Self:
        if self.head.views_per_photograph > self.crops.per_photograph:
            raise ValueError("head.views_per_photograph is more than crops.per_photograph")
        return self


Config = TypeVar("Config", bound=BaseModel)


def load_config(path: Path, kind: type[Config]) -> Config:
    """Read and validate a YAML.

    Raises `InvalidConfiguration` naming each wrong, missing or unknown key and its place.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"cannot read the configuration {path}: {error}") from error
    except yaml.YAMLError as error:
        raise InvalidConfiguration(f"{path} is not YAML: {error}") from error
    try:
        return kind.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        wrong = "; ".join(_sentence(list(e["loc"]), e["msg"], e["type"]) for e in error.errors())
        raise InvalidConfiguration(f"{path}: {wrong}") from error


def config_sha256(config: BaseModel) -> str:
    """sha256 of the configuration's canonical JSON: comments and layout do not count."""
    return sha256_of(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode())


def save_resolved(config: BaseModel, path: Path, *, git_commit: str) -> None:
    """Write the configuration as JSON with its sha256 and the commit it ran at."""
    record = {
        "sha256": config_sha256(config),
        "git_commit": git_commit,
        "config": config.model_dump(mode="json"),
    }
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())


def _sentence(place: list[int | str], message: str, kind: str) -> str:
    key = ".".join(map(str, place)) or "the file"
    if kind == "extra_forbidden":
        return f"unknown key {key!r} (no such setting: misspelt?)"
    if kind == "missing":
        return f"missing key {key!r} (nothing has a default)"
    return f"{key}: {message}"


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice and reads 1e-3 as a number (YAML 1.1 wants 1.0e-3)."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key.value!r} given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9.]*[eE][-+]?[0-9]+"),
    list("-+0123456789"),
)
