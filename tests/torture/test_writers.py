"""The check that looks for lost writes finds one that was lost."""

from __future__ import annotations

import pytest

from tests.torture.writers import IN_A_BATCH, Writer

BATCH = {f"w-batch-{m}": 7 for m in range(IN_A_BATCH)}


def writer(**pending: int | None) -> Writer:
    sent: dict[str, int | None] = {f"w-{name}": n for name, n in pending.items()}
    return Writer("w", truth={"w-a": 1, "w-b": 2, "w-gone": None}, pending=sent)


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        ({"w-a": 1, "w-b": 2, "v-c": 9}, 0),
        ({"w-a": 1}, 1),
        ({"w-a": 0, "w-b": 2}, 1),
        ({"w-a": 1, "w-b": 2, "w-gone": 3}, 1),
        ({}, 2),
    ],
)
def test_what_was_acknowledged_must_be_there(found: dict[str, int], lost: int) -> None:
    one = writer()
    assert one.lost(found) == lost
    assert bool(one.failures) == bool(lost)


@pytest.mark.parametrize("n", [1, 5])
def test_what_was_sent_and_not_answered_may_have_happened(n: int) -> None:
    one = writer(a=5)
    assert one.lost({"w-a": n, "w-b": 2}) == 0
    assert (one.truth["w-a"], one.pending) == (n, {})


def test_half_a_batch_is_lost_and_torn() -> None:
    one = Writer("w", pending=dict(BATCH))
    half = dict(list(BATCH.items())[:4])
    assert one.is_torn(half)
    assert one.lost(half) == 4
    assert not one.is_torn(BATCH)
    assert one.is_torn(BATCH | {"w-batch-0": 6})
