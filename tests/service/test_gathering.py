from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence

import pytest

from service.gathering import Gathering

DEADLINE_S = 10.0


class Doubling:
    """Work that doubles numbers, waits at a gate, and knows what it was given together."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.has_begun = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, asked: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(asked))
        self.has_begun.set()
        assert self.gate.wait(DEADLINE_S)
        return [ValueError(f"{n} is odd") if n % 2 else 2 * n for n in asked]


def played(
    play: Callable[[Doubling, Gathering[int, int]], Coroutine[object, object, None]],
    *,
    threads: int = 1,
    largest: int = 64,
) -> list[list[int]]:
    """Run a scene. Returns the batches, the first one being what was at work meanwhile."""
    work = Doubling()
    gathering: Gathering[int, int] = Gathering(work, threads=threads, largest=largest)
    try:
        asyncio.run(asyncio.wait_for(play(work, gathering), DEADLINE_S))
    finally:
        work.gate.set()
        gathering.close()
    return work.batches


async def behind_the_first(
    work: Doubling, gathering: Gathering[int, int], asked: Sequence[int]
) -> tuple[asyncio.Task[int], list[asyncio.Task[int]]]:
    """One call at work, the others waiting behind it."""
    first = asyncio.create_task(gathering.run(0))
    await asyncio.to_thread(work.has_begun.wait, DEADLINE_S)
    others = [asyncio.create_task(gathering.run(n)) for n in asked]
    await asyncio.sleep(0)
    return first, others


def test_one_call_begins_at_once_and_alone() -> None:
    async def play(work: Doubling, gathering: Gathering[int, int]) -> None:
        work.gate.set()
        assert [await gathering.run(n) for n in (2, 4, 6)] == [4, 8, 12]

    assert played(play) == [[2], [4], [6]]


def test_what_came_behind_a_call_goes_together_in_order() -> None:
    async def play(work: Doubling, gathering: Gathering[int, int]) -> None:
        first, others = await behind_the_first(work, gathering, [2, 4, 6])
        work.gate.set()
        assert await asyncio.gather(first, *others) == [0, 4, 8, 12]

    assert played(play) == [[0], [2, 4, 6]]


def test_no_batch_is_larger_than_allowed() -> None:
    async def play(work: Doubling, gathering: Gathering[int, int]) -> None:
        first, others = await behind_the_first(work, gathering, [2, 4, 6, 8, 10])
        work.gate.set()
        assert await asyncio.gather(first, *others) == [0, 4, 8, 12, 16, 20]

    assert played(play, largest=2) == [[0], [2, 4], [6, 8], [10]]


def test_free_threads_share_what_waits() -> None:
    async def play(work: Doubling, gathering: Gathering[int, int]) -> None:
        both = [asyncio.create_task(gathering.run(n)) for n in (0, 2)]
        await asyncio.sleep(0)
        others = [asyncio.create_task(gathering.run(n)) for n in (4, 6, 8, 10)]
        await asyncio.sleep(0)
        work.gate.set()
        assert await asyncio.gather(*both, *others) == [0, 4, 8, 12, 16, 20]

    batches = played(play, threads=2)
    assert sorted(batches[:2]) == [[0], [2]]
    assert sorted(n for batch in batches[2:] for n in batch) == [4, 6, 8, 10]


def test_an_error_reaches_only_who_asked_for_it() -> None:
    async def play(work: Doubling, gathering: Gathering[int, int]) -> None:
        first, others = await behind_the_first(work, gathering, [2, 3, 4])
        work.gate.set()
        assert await first == 0
        found = await asyncio.gather(*others, return_exceptions=True)
        assert [found[0], found[2]] == [4, 8]
        with pytest.raises(ValueError, match="3 is odd"):
            await others[1]

    played(play)


def test_who_is_cancelled_while_waiting_is_not_worked_for() -> None:
    async def play(work: Doubling, gathering: Gathering[int, int]) -> None:
        first, others = await behind_the_first(work, gathering, [2, 4, 6])
        others[1].cancel()
        await asyncio.sleep(0)
        work.gate.set()
        assert [await first, await others[0], await others[2]] == [0, 4, 12]

    assert played(play) == [[0], [2, 6]]


def test_who_is_cancelled_at_work_disturbs_nobody() -> None:
    async def play(work: Doubling, gathering: Gathering[int, int]) -> None:
        first, others = await behind_the_first(work, gathering, [2, 4])
        first.cancel()
        await asyncio.sleep(0)
        work.gate.set()
        assert await asyncio.gather(*others) == [4, 8]
        assert first.cancelled()

    assert played(play) == [[0], [2, 4]]


def test_work_that_fails_whole_fails_for_each_and_goes_on_afterwards() -> None:
    def failing(asked: Sequence[int]) -> list[int | Exception]:
        if 1 in asked:
            raise MemoryError("no more")
        return list(asked)

    async def play() -> None:
        gathering: Gathering[int, int] = Gathering(failing, threads=1, largest=8)
        with pytest.raises(MemoryError):
            await gathering.run(1)
        assert await gathering.run(5) == 5
        gathering.close()

    asyncio.run(play())
