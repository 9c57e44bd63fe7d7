"""What a reindex job was asked to do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class ReindexPlan:
    """What a reindex job was asked to do; kept in its row, so that it can be resumed.

    teacher: the bundle's directory; factory: None keeps the live generation's; students: bundles
    to align with the gallery afterwards.
    """

    teacher: Path
    factory: str | None
    recall_gate: float
    students: tuple[Path, ...] = ()

    def to_json(self) -> str:
        """As the row holds it."""
        students = [str(student.resolve()) for student in self.students]
        return json.dumps(
            asdict(self) | {"teacher": str(self.teacher.resolve()), "students": students}
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """As it was asked."""
        fields = json.loads(text)
        students = tuple(map(Path, fields.get("students", ())))
        return cls(**(fields | {"teacher": Path(fields["teacher"]), "students": students}))
