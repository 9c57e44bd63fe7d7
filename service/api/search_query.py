"""The options of a search as a query string, beside bodies that hold nothing but the query."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorgnette.errors import InvalidRequest
from lorgnette.filters import Name, read_filter
from lorgnette.vectors import WireDtype
from lorgnette.wire import DEFAULT_K, Options, Rerank, StudentIdentity
from service.api.problems import invalid_request
from service.gallery.rerank import POOL
from service.settings import Settings


class OptionsQuery(BaseModel):
    """`Options`, by the same names; a filter as its JSON text, fields once each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: Annotated[int, Field(ge=1, description="hits wanted, or groups with group_by")] = DEFAULT_K
    offset: Annotated[int, Field(ge=0, description="so many of the best are left out")] = 0
    score_threshold: Annotated[
        float | None, Field(allow_inf_nan=False, description="hits below are left out")
    ] = None
    filter: Annotated[
        str | None,
        Field(description='JSON over the metadata, such as {"field": "brand", "eq": "alpro"}'),
    ] = None
    group_by: Annotated[
        Name | None, Field(description="a metadata field: the best of each of its values")
    ] = None
    group_size: Annotated[int, Field(ge=1, le=100, description="hits of each group")] = 1
    fields: Annotated[
        list[str] | None,
        Field(max_length=64, description="of the metadata, once each; empty for none"),
    ] = None
    rerank: Annotated[Rerank | None, Field(description="a second opinion on the order")] = None

    def options(self) -> Options:
        """The options themselves. Raises `InvalidRequest`."""
        try:
            return Options(
                k=self.k,
                offset=self.offset,
                score_threshold=self.score_threshold,
                filter=None if self.filter is None else read_filter(self.filter),
                group_by=self.group_by,
                group_size=self.group_size,
                fields=None if self.fields is None else tuple(filter(None, self.fields)),
                rerank=self.rerank,
            )
        except ValidationError as error:
            raise invalid_request(error) from None


class VectorsQuery(OptionsQuery):
    """Beside raw vectors. Both are required there, and nothing is beside JSON."""

    space: Annotated[str | None, Field(description="the vectors' space")] = None
    dtype: Annotated[WireDtype | None, Field(description="little-endian, row-major")] = None
    student: Annotated[
        StudentIdentity | None, Field(description="who embedded them, as name@version")
    ] = None


class ImageQuery(OptionsQuery):
    """Beside a photograph."""

    space: Annotated[
        str | None, Field(description="may be left out while one live space has a student here")
    ] = None


Query = TypeVar("Query", bound=OptionsQuery)

_SHORT_BYTES = 512
"""Of a query string that is remembered: long ones hold filters, which seldom come again."""


def read_query(model: type[Query], query: bytes) -> Query:
    """Parse and check a query string. Raises `InvalidRequest`.

    FastAPI would do the same by walking over the model's fields, which takes as long as a search
    of 10,000 vectors. Callers ask with the same options again and again: those are remembered.
    """
    return (_remembered if len(query) <= _SHORT_BYTES else _parsed)(model, query)


def _parsed(model: type[Query], query: bytes) -> Query:
    values: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name == "fields":
            values["fields"] = [*values.get("fields", ()), value]
        else:
            values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_request(error) from None


_remembered = lru_cache(maxsize=256)(_parsed)


def documented_query(model: type[OptionsQuery]) -> list[dict[str, object]]:
    """The `parameters` of a route that reads this query, for OpenAPI."""
    described = model.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema["description"],
            "schema": schema,
        }
        for name, schema in described.items()
    ]


def check_limits(options: Options, *, settings: Settings) -> None:
    """Raise `InvalidRequest` for more hits than the server gives, or than are re-ranked."""
    last = (options.offset + options.k) * options.group_size
    if options.k > settings.max_k:
        raise InvalidRequest(
            f"k: expected at most {settings.max_k}, found {options.k}: ask for fewer hits"
        )
    if last > settings.max_k:
        raise InvalidRequest(
            f"offset, k and group_size: expected (offset + k) · group_size of at most "
            f"{settings.max_k}, found {last}: ask for fewer hits"
        )
    # Behind the pool come hits with another score: one list of both would be in no order.
    if options.rerank is not None and last > POOL:
        raise InvalidRequest(
            f"rerank: it orders the {POOL} best of a plain search, (offset + k) · group_size is "
            f"{last}: ask for at most {POOL}, or for more without rerank"
        )
