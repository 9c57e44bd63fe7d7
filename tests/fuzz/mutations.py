"""What happens to files: one function a kind of damage, other content from content and a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Random = np.random.Generator


def flipped(content: bytes, random: Random) -> bytes:
    """One to four bits are others."""
    damaged = bytearray(content)
    for position in random.integers(0, len(damaged), random.integers(1, 5)):
        damaged[position] ^= 1 << int(random.integers(8))
    return bytes(damaged)


def truncated(content: bytes, random: Random) -> bytes:
    return content[: random.integers(0, len(content))]


def spliced(content: bytes, random: Random) -> bytes:
    """A part stands where another was."""
    size = int(random.integers(1, max(2, len(content) // 4)))
    source, target = random.integers(0, max(1, len(content) - size), 2)
    return content[:target] + content[source : source + size] + content[target + size :]


def zeroed(content: bytes, random: Random) -> bytes:
    start = int(random.integers(0, len(content)))
    size = int(random.integers(1, max(2, len(content) - start)))
    return content[:start] + bytes(size) + content[start + size :]


def appended(content: bytes, random: Random) -> bytes:
    return content + random.bytes(int(random.integers(1, 200)))


def digit_changed(content: bytes, random: Random) -> bytes:
    """Another digit or letter: text that still parses."""
    places = [n for n, byte in enumerate(content[:50_000]) if chr(byte).isalnum()]
    if not places:
        return flipped(content, random)
    place = places[random.integers(len(places))]
    others = b"0123456789" if chr(content[place]).isdigit() else b"abcdefghijklmnopqrstuvwxyz"
    return content[:place] + bytes([others[random.integers(len(others))]]) + content[place + 1 :]


def emptied(content: bytes, random: Random) -> bytes:
    return b""


KINDS: tuple[Callable[[bytes, Random], bytes], ...] = (
    flipped, flipped, digit_changed, digit_changed, truncated, spliced, zeroed, appended, emptied,
)  # fmt: skip


def mutated(content: bytes, random: Random, *, other: bytes) -> bytes:
    """Other content, by one of the kinds, or the whole content of another file."""
    while True:
        pick = int(random.integers(len(KINDS) + 1))
        damaged = other if pick == len(KINDS) else KINDS[pick](content, random)
        if damaged != content:
            return damaged
