"""What travels between client and service, as JSON. One definition for both ends."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from lorgnette._told import (
    PROBLEM_TYPE,
    AlignmentInfo,
    Answered,
    Job,
    JobState,
    ModelsResponse,
    Problem,
    SpaceInfo,
    SpacesResponse,
    StudentInfo,
)
from lorgnette.errors import InvalidVector
from lorgnette.filters import BoundedFilter, Name
from lorgnette.manifest import STUDENT_PATTERN
from lorgnette.vectors import Vectors, WireDtype, from_base64, to_base64

__all__ = [
    "DEFAULT_K",
    "PROBLEM_TYPE",
    "AlignmentInfo",
    "Hit",
    "Job",
    "JobState",
    "ModelsResponse",
    "Options",
    "PackedVectors",
    "Problem",
    "ReindexRequest",
    "Rerank",
    "SearchRequest",
    "SearchResponse",
    "SpaceInfo",
    "SpacesResponse",
    "StudentIdentity",
    "StudentInfo",
]

DEFAULT_K = 10

StudentIdentity = Annotated[str, Field(pattern=STUDENT_PATTERN)]
"""`<name>@<version>` of a bundle's manifest."""

Rerank = Literal["alpha-qe", "super-global"]
"""Orders the best of a plain search again, by the gallery's own vectors."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackedVectors(_Wire):
    """Rows as base64 of little-endian numbers, row-major; 1,368 characters for 512-d float16."""

    dtype: WireDtype
    data: str

    @classmethod
    def pack(cls, rows: Vectors, *, dtype: WireDtype = "f16") -> PackedVectors:
        """Pack `[N, D]` rows. Raises `InvalidVector` when a value does not survive the cast."""
        return cls(dtype=dtype, data=to_base64(rows, dtype=dtype))


class Options(_Wire):
    """What may be asked of every search; as JSON, or in the query string beside other bodies.

    k: hits wanted per row, or groups with `group_by`; offset: so many of the best left out;
    score_threshold: hits below are left out; filter: which items may be found; group_by: a
    metadata field, of whose values only the best hits are given, `group_size` of each; fields: of
    the metadata, the ones wanted, none for an empty list; rerank: a second opinion.
    """

    k: Annotated[int, Field(ge=1)] = DEFAULT_K
    offset: Annotated[int, Field(ge=0)] = 0
    score_threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    filter: BoundedFilter | None = None
    group_by: Name | None = None
    group_size: Annotated[int, Field(ge=1, le=100)] = 1
    fields: Annotated[tuple[Name, ...], Field(max_length=64)] | None = None
    rerank: Rerank | None = None

    @model_validator(mode="after")
    def _groups_have_a_field(self) -> Self:
        if self.group_size > 1 and self.group_by is None:
            raise ValueError("group_size needs group_by, the metadata field to group by")
        return self


class SearchRequest(Options):
    """`POST /search`. vectors: rows as lists of numbers, or packed.

    student: who embedded them; the server then maps them by that student's alignment with the
    gallery, when it has learned one. None: they are compared as they are.
    """

    space: str
    student: StudentIdentity | None = None
    vectors: PackedVectors | list[list[float]]

    def rows(self, *, dim: int) -> NDArray[np.float32]:
        """The rows `[N, dim]`, not yet checked for finiteness. Raises `InvalidVector`."""
        if isinstance(self.vectors, PackedVectors):
            return from_base64(self.vectors.data, dtype=self.vectors.dtype, dim=dim)
        widths = sorted(set(map(len, self.vectors)))
        if widths != [dim]:
            raise InvalidVector(f"expected vectors of {dim} numbers, found lengths {widths}")
        with np.errstate(over="ignore"):
            return np.asarray(self.vectors, dtype=np.float64).astype(np.float32)


class Hit(Answered):
    """One item of the gallery.

    score: cosine in [-1, 1], higher is nearer; re-ranked, the re-ranking's own score. group: with
    `group_by`, the value that was grouped by; an item without one is a group of its own.
    """

    id: str
    score: float
    metadata: dict[str, JsonValue]
    group: str | bool | int | float | None = None


class SearchResponse(Answered):
    """`results[i]` are the hits of row i, best first; all from one generation of one space.

    Hits of one group stand together, the groups in order of their best. matching: how many items
    the filter lets through. stages_ms: what `took_ms` was spent on. is_aligned: whether the rows
    were mapped by their student's alignment with this gallery; scores then are cosines about the
    gallery's mean.
    """

    space: str
    generation: int
    results: list[list[Hit]]
    took_ms: float
    matching: int | None = None
    is_aligned: bool = False
    stages_ms: dict[str, float] = Field(default={})


class ReindexRequest(_Wire):
    """`POST /admin/reindex`. What changes: nothing, so that the tail is folded in, or one of these.

    factory: a FAISS factory string; None keeps the configured one. teacher: the directory name of
    a gallery bundle beside the configured one, whose space the gallery learns; None keeps it.
    """

    teacher: str | None = None
    factory: str | None = None
