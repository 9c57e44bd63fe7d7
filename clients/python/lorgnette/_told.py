"""What a server tells of itself: its spaces, students and jobs, and what went wrong.

Everything here is imported from `lorgnette.wire`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from lorgnette.manifest import Space

PROBLEM_TYPE = "urn:lorgnette:problem:"
"""A problem's `type` is this followed by the error's `code`."""

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]


class Answered(BaseModel):
    """What a server says: unknown keys are ignored, so that an older client reads a newer one."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class StudentInfo(Answered):
    """A query bundle the server hands out. manifest: its path on the server."""

    name: str
    version: str
    space: str
    manifest: str


class AlignmentInfo(Answered):
    """What the gallery has learned about one student's vectors, from so many photographs.

    before, after: mean cosine, on photographs left out, of the student's and the teacher's rows
    about the teacher's mean: without the alignment and with it.
    """

    student: str
    photographs: int
    before: float
    after: float
    learned_at: str


class SpaceInfo(Answered):
    """A live space: how many items answer in it, and the students whose vectors fit."""

    space: Space
    generation: int
    count: int
    students: list[StudentInfo]
    alignments: list[AlignmentInfo] = []


class SpacesResponse(Answered):
    """`GET /spaces`."""

    spaces: list[SpaceInfo]


class ModelsResponse(Answered):
    """`GET /models`."""

    models: list[StudentInfo]


class Problem(Answered):
    """An error as problem+json (RFC 9457). `type` ends in the error's `code`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    expected: list[str] = []
    found: str = ""
    students: list[str] = []

    @property
    def code(self) -> str:
        """The error's stable code."""
        return self.type.removeprefix(PROBLEM_TYPE)


class Job(Answered):
    """A long task of the service. done and total count photographs; eta_s is None when unknown."""

    id: str
    kind: str
    state: JobState
    stage: str
    done: int
    total: int
    rate: float | None
    eta_s: float | None
    created_at: str
    heartbeat_at: str
    result: dict[str, JsonValue] | None
    error: Problem | None
