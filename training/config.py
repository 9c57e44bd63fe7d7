"""An experiment is one YAML, validated into a frozen model; nothing that matters has a default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, model_validator

from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import NAME_PATTERN, Role
from training.data.public_spec import PublicSource
from training.data.specs import Below, Crops, Sampling, Source
from training.files import sha256_of, write_json
from training.hardware import hardware
from training.models.specs import Network
from training.objective_spec import ObjectiveSpec, PairTermSpec, RelationalTermSpec
from training.optimiser_spec import Optimiser
from training.schedule_spec import Schedule
from training.schema import Count, Frozen, NotNegative, Positive, Share
from training.yaml_file import read_yaml

MADE = ("model.json", "checkpoint.pt")
"""What a run leaves in its --out that must not be mistaken for another's."""

Amp = Literal["none", "bf16", "fp16", "int8"]
"""The network's arithmetic; similarities and losses are float32 always.

int8: simulated, for a student whose int8 variant loses too much; see `training.quantise`.
"""


class Running(Frozen):
    """threads: of the computation, and as many that render images.

    batch_size: views embedded at once outside of training.
    """

    threads: Annotated[Count, Field(le=1024)]
    batch_size: Count


class TrainRunning(Running):
    """tensorboard: also write the measures for TensorBoard, beside metrics.jsonl."""

    amp: Amp
    tensorboard: bool


class WhiteningSpec(Frozen):
    """See `training.models.whitening.learn_whitening`."""

    shrinkage: NotNegative


class TeacherConfig(Frozen):
    """`lorgnette whiten`: a pretrained network with a whitening learned on unlabelled views.

    whitening: null, with model.head null: the pooled rows as they are, to compare with.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    model: Network
    data: Annotated[tuple[Source, ...], Field(min_length=1)]
    crops: Crops
    whitening: WhiteningSpec | None
    running: Running

    @model_validator(mode="after")
    def _whitening_has_a_layer(self) -> Self:
        if (self.whitening is None) != (self.model.head is None):
            raise ValueError(
                "whitening: becomes the head, a linear layer: give both model.head and whitening, "
                "or neither"
            )
        return self


class HeadSpec(Frozen):
    """The head begins in closed form.  ridge: penalty in units of the mean feature energy.

    views_per_photograph: how many of each photograph's views it is fitted on.
    """

    ridge: Positive
    views_per_photograph: Count


class Averaging(Frozen):
    """The saved weights: start + interpolation · (moving average - start).

    decay: of the exponential moving average, per step.  interpolation: 1 is the average itself;
    less keeps more of the starting point's generality (Wortsman et al., CVPR 2022, section 3).
    """

    decay: Share
    interpolation: Share


def kind_of_source(value: object) -> str:
    """Which of the two kinds of source a configuration gives: `public` or `folder`."""
    names = value if isinstance(value, dict) else dir(value)
    return "public" if "public" in names else "folder"


TrainingData = Annotated[
    Annotated[PublicSource, Tag("public")]
    | Annotated[Annotated[tuple[Source, ...], Field(min_length=1)], Tag("folder")],
    Discriminator(kind_of_source),
]
"""A public set, or folders."""


class HeldFolder(Frozen):
    """Held-out photographs below `--data`, with one folder a class.

    splits: a TSV inside it that says who is `query` and who `gallery`; null: leave-one-out.
    """

    folder: Below
    splits: str | None


class Validation(Frozen):
    """Model selection: mAP on held-out photographs every so many steps; the best model is saved.

    pairing: who embeds the gallery, the teacher (asymmetric) or the model itself (symmetric).
    """

    every_steps: Count
    data: Annotated[
        Annotated[HeldFolder, Tag("folder")] | Annotated[PublicSource, Tag("public")],
        Discriminator(kind_of_source),
    ]
    pairing: Literal["asymmetric", "symmetric"]


class PcaWhitening(Frozen):
    """Without labels, see `training.models.whitening.learn_whitening`.  dim: of the rows."""

    name: Literal["pca"]
    dim: Count
    shrinkage: NotNegative


class LwWhitening(Frozen):
    """From pairs, see `training.models.whitening.learn_supervised_whitening`.

    data: a public set with known pairs; null: the training photographs, their pairs or else two
    of each class.
    """

    name: Literal["lw"]
    dim: Count
    data: PublicSource | None


ClosingWhitening = Annotated[PcaWhitening | LwWhitening, Field(discriminator="name")]


class TrainConfig(Frozen):
    """`lorgnette train`.

    role: `query`, a light network that learns to speak a teacher's space, or `gallery`, a network
    that makes its own space (a teacher, or a student alone).  head: its closed form, or null:
    random.  averaging: null saves the last weights.  validation: null saves the last model.
    whitening: learned at the end on the training views, folded into a linear layer behind the
    pooling; null: none.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    role: Role
    model: Network
    data: TrainingData
    crops: Crops
    sampling: Sampling
    objective: ObjectiveSpec
    head: HeadSpec | None
    optimiser: Optimiser
    schedule: Schedule
    averaging: Averaging | None
    validation: Validation | None
    whitening: ClosingWhitening | None
    running: TrainRunning

    @model_validator(mode="after")
    def _role_and_teacher(self) -> Self:
        asks = [i for i, term in enumerate(self.objective.terms) if asks_a_teacher(term)]
        if self.role == "query" and not asks:
            raise ValueError(
                "role: a query model speaks its teacher's space, and no term of the objective asks "
                "the teacher: add one (others: teacher, or a relational term), or say role: gallery"
            )
        if self.role == "gallery" and (asks or self.head):
            place = f"objective.terms.{asks[0]}" if asks else "head"
            raise ValueError(
                f"{place}: asks a teacher, and a gallery model makes its own space: say role: query"
            )
        if self.role == "gallery" and self.validation and self.validation.pairing == "asymmetric":
            raise ValueError("validation.pairing: asymmetric is for role: query; say symmetric")
        return self

    @model_validator(mode="after")
    def _head_is_fitted_on_views_there_are(self) -> Self:
        if self.head and self.head.views_per_photograph > self.crops.per_photograph:
            raise ValueError("head.views_per_photograph is more than crops.per_photograph")
        if self.head and self.model.head is None:
            raise ValueError("head: there is no linear layer to solve: give model.head, or null")
        return self

    @model_validator(mode="after")
    def _whitening_has_a_place(self) -> Self:
        if self.whitening and (self.role == "query" or self.model.head):
            raise ValueError(
                "whitening: becomes the layer behind the pooling of a gallery model trained "
                "without one: say role: gallery and model.head: null, or whitening: null"
            )
        return self

    @model_validator(mode="after")
    def _proxies_have_a_rate(self) -> Self:
        has = any(
            isinstance(t, PairTermSpec) and t.others == "proxies" for t in self.objective.terms
        )
        if has != (self.optimiser.proxies_lr is not None):
            raise ValueError(
                "optimiser.proxies_lr: give a rate where a term's others are proxies, else null"
            )
        return self


def asks_a_teacher(term: PairTermSpec | RelationalTermSpec) -> bool:
    """Whether a term of an objective needs the teacher's rows."""
    return isinstance(term, RelationalTermSpec) or term.others == "teacher"


Config = TypeVar("Config", bound=BaseModel)


def load_config(path: Path, kind: type[Config]) -> Config:
    """Read and validate a YAML, with what it extends.

    Raises `InvalidConfiguration` naming each wrong, missing or unknown key and its place.
    """
    raw = read_yaml(path)
    try:
        return kind.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        raise InvalidConfiguration(f"{path}: {'; '.join(sentences_of(error))}") from error


def config_sha256(config: BaseModel) -> str:
    """sha256 of the configuration's canonical JSON: comments and layout do not count."""
    return sha256_of(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode())


def save_resolved(config: BaseModel, path: Path, *, git_commit: str) -> None:
    """Write the configuration as JSON with its sha256, and the commit and machine it ran at.

    Raises `InvalidConfiguration` when beside it lies what another configuration made.
    """
    sha256 = config_sha256(config)
    made = [name for name in MADE if (path.parent / name).exists()]
    if made and sha256 != (found := _saved_sha256(path)):
        raise InvalidConfiguration(
            f"{path.parent} holds {' and '.join(made)} of another experiment (its configuration is "
            f"{found[:12]}, this one's {sha256[:12]}): choose another --out, or delete them first"
        )
    record = {
        "sha256": sha256,
        "git_commit": git_commit,
        "hardware": hardware(),
        "config": config.model_dump(mode="json"),
    }
    write_json(path, record)


def _saved_sha256(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return "not known"


def sentences_of(error: ValidationError) -> list[str]:
    """One for each thing that is wrong, and none for a list that is short because of it."""
    found = error.errors(include_url=False)
    places = [".".join(map(str, e["loc"])) for e in found]
    return [
        _sentence(place or "the file", e["msg"].removeprefix("Value error, "), e["type"])
        for e, place in zip(found, places, strict=True)
        if e["type"] != "too_short" or not any(p.startswith(f"{place}.") for p in places)
    ]


def _sentence(key: str, message: str, kind: str) -> str:
    if kind == "extra_forbidden":
        return f"unknown key {key!r} (no such setting: misspelt?)"
    if kind == "missing":
        return f"missing key {key!r} (nothing has a default)"
    return f"{key}: {message}"
