"""Where photographs come from and how they are cropped, as a configuration says it.  No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from training.data.splits import SplitRole
from training.schema import Count, Frozen, Positive, Seed, Share


def _below(folder: str) -> str:
    if Path(folder).is_absolute():
        raise ValueError(f"{folder!r} is absolute: say it relative to --data, and give that")
    return folder


Below = Annotated[str, AfterValidator(_below)]
"""A folder, relative to `--data`: an experiment does not say where a machine keeps its data."""


class Source(Frozen):
    """A folder of photographs, relative to `--data`.

    splits: a TSV `path<TAB>role` inside the folder, with the role to take; both null: all of it.
    labels: `none`: each photograph is a class of its own; `folder`: the top folder below the
    source is its class.
    licence: of the photographs, with whom to credit; it travels in the model's manifest.
    """

    folder: Below
    splits: str | None
    role: SplitRole | None
    labels: Literal["none", "folder"]
    licence: str

    @model_validator(mode="after")
    def _splits_and_role(self) -> Self:
        if (self.splits is None) != (self.role is None):
            raise ValueError("splits and role are given together, or both are null")
        return self


class Colour(Frozen):
    """Each of the three factors is uniform in [1 - x, 1 + x], applied to a share of the crops."""

    share: Share
    brightness: Share
    contrast: Share
    saturation: Share


class Crops(Frozen):
    """Random views of each photograph; view k of photograph i depends on (seed, i, k) alone.

    whole_share: this share of the views is the whole photograph.  area: range of the crop's share
    of the photograph.  aspect: width / height of a crop, in pixels, is in [1 / aspect, aspect]
    times that of the shape named by `shape`: a square's, or the photograph's own.
    joined_share: this share of the views is two crops, of two photographs, side by side.

    No augmentation at all, as AML trains, is what `uncropped` says.
    """

    seed: Seed
    per_photograph: Count
    whole_share: Share
    area: tuple[Share, Share]
    aspect: Annotated[float, Field(ge=1)]
    shape: Literal["square", "photograph"]
    flip_share: Share
    joined_share: Share
    colour: Colour

    @model_validator(mode="after")
    def _area_is_a_range(self) -> Self:
        if not 0 < self.area[0] <= self.area[1]:
            raise ValueError("area: expected 0 < smallest <= largest <= 1")
        return self


def uncropped() -> Crops:
    """Each photograph once, whole and as it is."""
    colour = Colour(share=0, brightness=0, contrast=0, saturation=0)
    return Crops(
        seed=0,
        per_photograph=1,
        whole_share=1,
        area=(1, 1),
        aspect=1,
        shape="photograph",
        flip_share=0,
        joined_share=0,
        colour=colour,
    )


def _each_once(aspects: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(aspects)) != len(aspects):
        raise ValueError(f"aspects: each once, found {list(aspects)}")
    return aspects


Two = Annotated[int, Field(ge=2)]
Aspects = Annotated[tuple[Positive, ...], Field(min_length=1), AfterValidator(_each_once)]
"""Shapes of images, width / height: each photograph is resized to the nearest (on a log scale).

`[1.0]` squashes all of them to a square, as the exported graph does.  The longer side is the
schedule's `size_px`.
"""


class ViewsSampling(Frozen):
    """All views of the crops, shuffled, an epoch each once.  Needs no labels."""

    name: Literal["views"]
    batch_size: Count


class RandomSampling(Frozen):
    """All photographs, shuffled, an epoch each once: a view the epoch has not shown before.

    Metrix on CUB and Cars (Venkataramanan et al., ICLR 2022).
    """

    name: Literal["random"]
    batch_size: Two


class BalancedSampling(Frozen):
    """Batches of `classes` classes with `per_class` photographs each; an epoch is all classes once.

    Metrix on SOP and In-Shop: 5 per class.  The classes that do not fill a batch wait for the next
    epoch; a class with fewer photographs shows several views of the same.
    """

    name: Literal["balanced"]
    classes: Two
    per_class: Two


class GroupSizeSampling(Frozen):
    """Batches of photographs of similar aspect, resized jointly; an epoch each once.

    Yokoo et al., CVPRW 2020, section 3.2, as GLAM trains (Song et al., WACV 2022, table 8).
    """

    name: Literal["group_size"]
    batch_size: Two
    aspects: Aspects


class RandomTuplesSampling(Frozen):
    """Tuples of an anchor, a positive and negatives at random, at most one of a class.

    anchors: per epoch.  tuples: per batch.  columns: `teacher`: only anchors are images, the others
    are rows of the teacher's cache; `student`: all members are images, of their anchor's shape.
    AML (Budnik and Avrithis, CVPR 2021) with random instead of hard negatives.
    """

    name: Literal["random_tuples"]
    anchors: Count
    tuples: Count
    negatives: Count
    columns: Literal["student", "teacher"]
    aspects: Aspects


class MinedTuplesSampling(Frozen):
    """Tuples with hard negatives, mined at the beginning of each epoch, at most one of a class.

    The negatives are the most similar of `pool` photographs drawn at random (AML: 20,000; 5
    negatives; 2000 anchors).  mined_in: who embeds the pool; the student embeds the anchors.
    anchors, tuples, columns, aspects: see `RandomTuplesSampling`.
    Radenović et al., TPAMI 2019, section 3.3, with the student on both sides; AML, section 3.
    """

    name: Literal["mined_tuples"]
    anchors: Count
    tuples: Count
    negatives: Count
    pool: Two
    mined_in: Literal["student", "teacher"]
    columns: Literal["student", "teacher"]
    aspects: Aspects


Sampling = Annotated[
    ViewsSampling
    | RandomSampling
    | BalancedSampling
    | GroupSizeSampling
    | RandomTuplesSampling
    | MinedTuplesSampling,
    Field(discriminator="name"),
]
"""How batches are chosen.  See `training.data.sampler`."""
