"""What pydantic found wrong with a document, in our words: one place, one reason, no link."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import ValidationError


class Fault(NamedTuple):
    """where: the path of the field, its parts between dots; empty for the whole document."""

    where: str
    why: str

    def __str__(self) -> str:
        """Place and reason, as an error says them."""
        return f"{self.where or 'the document'}: {self.why}"


def first_fault(error: ValidationError) -> Fault:
    """The first thing wrong. What was given is not repeated: it may be long, or a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return Fault(where, first["msg"].removeprefix("Value error, "))
