"""Which items a search may find: a small typed language over their metadata, as JSON.

    {"field": "brand", "eq": "alpro"}            {"field": "brand", "in": ["alpro", "oatly"]}
    {"field": "price", "gte": 1, "lt": 2.5}      {"field": "price", "exists": true}
    {"and": [...]}   {"or": [...]}   {"not": {...}}

`field` is a name at the top of an item's metadata. A list there matches when one of its elements
does. Text, numbers and true/false are never equal to each other; 1 and 1.0 are. Ranges order
numbers by value and text by code point. A field an item does not have, or has as null, does not
exist: nothing but `not` matches it, and that is no error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from lorgnette._faults import first_fault
from lorgnette.errors import InvalidRequest

MAX_DEPTH, MAX_PARTS, MAX_VALUES, MAX_TEXT = 8, 64, 1000, 1000
"""Nesting; conditions and combinations together; values of one `in`; characters of a text."""

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
"""Of a metadata field. No text here holds a NUL, at which SQLite would end it."""


def _plain(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("expected text, a number, true or false")
    return value


# Beyond, SQLite would round what Python does not.
_Whole = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
_Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Text = Annotated[str, Field(strict=True, max_length=MAX_TEXT, pattern=r"^[^\x00]*$")]
_Truth = Annotated[bool, Field(strict=True)]
Scalar = Annotated[_Truth | _Whole | _Real | _Text, BeforeValidator(_plain)]
_Ordered = _Whole | _Real | _Text


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def parts(self) -> tuple[Filter, ...]:
        """The filters it combines."""
        return ()


class Equals(_Part):
    """The field is this value."""

    field: Name
    eq: Scalar


class OneOf(_Part):
    """The field is one of these values."""

    field: Name
    values: Annotated[tuple[Scalar, ...], Field(alias="in", max_length=MAX_VALUES)]


class Range(_Part):
    """The field is between; one bound or two, all numbers or all text."""

    field: Name
    gt: _Ordered | None = None
    gte: _Ordered | None = None
    lt: _Ordered | None = None
    lte: _Ordered | None = None

    def bounds(self) -> dict[str, int | float | str]:
        """The bounds that are given, by name."""
        named = {"gt": self.gt, "gte": self.gte, "lt": self.lt, "lte": self.lte}
        return {name: bound for name, bound in named.items() if bound is not None}

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        kinds = {isinstance(bound, str) for bound in self.bounds().values()}
        if len(kinds) != 1:
            raise ValueError("a range needs a bound, and its bounds are all numbers or all text")
        return self


class Exists(_Part):
    """The field is there and not null; or, with false, the opposite."""

    field: Name
    exists: Annotated[bool, Field(strict=True)]


class And(_Part):
    """Every part matches."""

    every: Annotated[tuple[Filter, ...], Field(alias="and", min_length=1)]

    def parts(self) -> tuple[Filter, ...]:
        """See `_Part`."""
        return self.every


class Or(_Part):
    """At least one part matches."""

    some: Annotated[tuple[Filter, ...], Field(alias="or", min_length=1)]

    def parts(self) -> tuple[Filter, ...]:
        """See `_Part`."""
        return self.some


class Not(_Part):
    """The part does not match."""

    part: Annotated[Filter, Field(alias="not")]

    def parts(self) -> tuple[Filter, ...]:
        """The filters it combines."""
        return (self.part,)


_KIND_OF_KEY = {
    "eq": "Equals", "in": "OneOf", "gt": "Range", "gte": "Range", "lt": "Range", "lte": "Range",
    "exists": "Exists", "and": "And", "or": "Or", "not": "Not",
}  # fmt: skip


def _kind(given: object) -> str | None:
    if not isinstance(given, Mapping):
        return type(given).__name__ if isinstance(given, _Part) else None
    return next((_KIND_OF_KEY[key] for key in given if key in _KIND_OF_KEY), None)


Filter = Annotated[
    Annotated[Equals, Tag("Equals")]
    | Annotated[OneOf, Tag("OneOf")]
    | Annotated[Range, Tag("Range")]
    | Annotated[Exists, Tag("Exists")]
    | Annotated[And, Tag("And")]
    | Annotated[Or, Tag("Or")]
    | Annotated[Not, Tag("Not")],
    Discriminator(
        _kind,
        custom_error_type="filter_kind",
        custom_error_message="expected an object with one of eq, in, gt, gte, lt, lte, exists, "
        "and, or, not",
    ),
]


def _bounded(given: Filter) -> Filter:
    level: tuple[Filter, ...] = (given,)
    depth = count = 0
    while level:
        depth, count = depth + 1, count + len(level)
        level = tuple(part for whole in level for part in whole.parts())
    if depth > MAX_DEPTH or count > MAX_PARTS:
        raise ValueError(
            f"expected a filter of at most {MAX_PARTS} parts nested {MAX_DEPTH} deep, found "
            f"{count} parts {depth} deep: `in` takes many values at once"
        )
    return given


for _combination in (And, Or, Not):
    _combination.model_rebuild()

BoundedFilter = Annotated[Filter, AfterValidator(_bounded)]
"""What a request may hold."""

_ADAPTER: TypeAdapter[Filter] = TypeAdapter(BoundedFilter)


def read_filter(text: str) -> Filter:
    """A filter from its JSON text. Raises `InvalidRequest`."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        looks = '{"field": "brand", "eq": "alpro"}'
        raise InvalidRequest(f"filter: {first_fault(error).why}; one looks like {looks}") from None


def filter_text(asked: Filter) -> str:
    """A filter as its JSON text."""
    return asked.model_dump_json(by_alias=True, exclude_unset=True)
