"""What a search may be asked beside the query, as the client's methods take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from pydantic import JsonValue, ValidationError

from lorgnette._faults import first_fault
from lorgnette.errors import InvalidRequest
from lorgnette.filters import Filter, filter_text
from lorgnette.wire import Options, PackedVectors, Rerank, SearchRequest


class SearchOptions(TypedDict, total=False):
    """Keyword arguments of every search; what is not given is left to the server.

    offset: so many of the best are left out. score_threshold: hits below are left out. filter: a
    `lorgnette.filters` filter, or the same as a mapping: `{"field": "brand", "eq": "alpro"}`.
    group_by: a metadata field, of each of whose values at most `group_size` hits are given; `k`
    then counts groups. fields: of the metadata, the ones wanted. rerank: `"alpha-qe"` or
    `"super-global"`.
    """

    offset: int
    score_threshold: float | None
    filter: Filter | Mapping[str, JsonValue] | None
    group_by: str | None
    group_size: int
    fields: Sequence[str] | None
    rerank: Rerank | None


def as_request(
    vectors: PackedVectors, *, space: str, student: str | None, k: int, given: SearchOptions
) -> SearchRequest:
    """The JSON body's model, of which only what was given is sent. Raises `InvalidRequest`."""
    try:
        return SearchRequest.model_validate(
            {"space": space, "vectors": vectors, "k": k, **_plain(given)}
            | ({} if student is None else {"student": student})
        )
    except ValidationError as error:
        raise _invalid(error) from None


def as_query(*, space: str | None, k: int, given: SearchOptions) -> dict[str, str | list[str]]:
    """The query string. Raises `InvalidRequest`."""
    try:
        options = Options.model_validate(_plain(given))
    except ValidationError as error:
        raise _invalid(error) from None
    params: dict[str, str | list[str]] = {"k": str(k)}
    if space is not None:
        params["space"] = space
    for name, value in options.model_dump(exclude_unset=True, exclude={"filter", "fields"}).items():
        params[name] = str(value)
    if options.filter is not None:
        params["filter"] = filter_text(options.filter)
    if options.fields is not None:
        # A query string has no empty list: one empty name stands for it.
        params["fields"] = list(options.fields) or [""]
    return params


def _plain(given: SearchOptions) -> dict[str, object]:
    """What is not None, for None means not asked."""
    plain = {name: value for name, value in given.items() if value is not None}
    if given.get("fields") is not None:
        plain["fields"] = tuple(given["fields"] or ())
    return plain


def _invalid(error: ValidationError) -> InvalidRequest:
    where, why = first_fault(error)
    # Below the option pydantic names the kinds it tried: types, not places.
    return InvalidRequest(f"{where.partition('.')[0] or 'the options'}: {why}")
