"""The error tree: one class per thing a caller can do about it, each with a stable code."""

from __future__ import annotations

import re

from lorgnette import errors
from lorgnette.error_codes import by_code
from lorgnette.errors import LorgnetteError


def everything(root: type[LorgnetteError] = LorgnetteError) -> list[type[LorgnetteError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in everything(child))]


def ours() -> list[type[LorgnetteError]]:
    return [error for error in everything() if error.__module__ == errors.__name__]


def test_every_code_is_unique_and_fit_for_a_urn() -> None:
    codes = [error.code for error in ours()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_every_class_states_its_own_code() -> None:
    assert all("code" in vars(error) for error in ours())


def test_a_code_leads_back_to_its_class() -> None:
    assert all(by_code(error.code) is error for error in ours())


def test_a_code_of_the_future_is_the_root() -> None:
    assert by_code("born-tomorrow") is LorgnetteError
    assert by_code("") is LorgnetteError


def test_the_modules_first_page_shows_the_tree_as_it_is() -> None:
    drawn: list[tuple[str, str]] = []
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"( +)(?:[x·-] )?([A-Z]\w+)", line)
        if match is None:
            continue
        indent, name = len(match[1]), match[2]
        above = [(i, n) for i, n in above if i < indent]
        if above:
            drawn.append((name, above[-1][1]))
        above.append((indent, name))
    real = [(error.__name__, error.__bases__[0].__name__) for error in ours()[1:]]
    assert sorted(drawn) == sorted(real)


def test_a_space_mismatch_says_who_speaks_what() -> None:
    error = errors.SpaceMismatch("no", expected=("a",), found="b", students=("s",))
    assert (str(error), error.expected, error.found, error.students) == ("no", ("a",), "b", ("s",))


def test_a_subclass_that_inherits_its_code_does_not_take_it_over() -> None:
    class Special(errors.InvalidRequest):
        pass

    assert Special.code == errors.InvalidRequest.code
    assert by_code(errors.InvalidRequest.code) is errors.InvalidRequest
