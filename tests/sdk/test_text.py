"""Text from elsewhere, in a terminal and in an error."""

from __future__ import annotations

from lorgnette.text import quoted, visible


def test_what_would_steer_a_terminal_is_replaced() -> None:
    assert visible("a\x1b[2J\nö") == "a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}ö"


def test_what_a_caller_said_is_repeated_in_quotation_marks() -> None:
    assert quoted("shelf\n7") == r"'shelf\n7'"
    assert quoted("x" * 100) == f"'{'x' * 100}'"


def test_a_megabyte_of_it_is_not() -> None:
    assert quoted("x" * 1_000_000) == f"'{'x' * 100}…'"
