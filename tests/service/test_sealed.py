"""Seals: what was written is read, what was changed is not."""

from __future__ import annotations

import json

import pytest

from service.gallery.sealed import BrokenSeal, seal, unseal

DOCUMENT = '{"seq": 17, "space": {"id": "a-1", "dim": 3}, "recall": 0.9934}'


def test_a_sealed_document_is_read_as_it_was_written() -> None:
    sealed = seal(DOCUMENT)
    assert json.loads(unseal(sealed)) == json.loads(DOCUMENT)
    assert json.loads(sealed)["sha256"] not in DOCUMENT


def test_no_digit_and_no_letter_can_change_unseen() -> None:
    sealed = seal(DOCUMENT)
    for place, byte in enumerate(sealed):
        for other in b"07az":
            changed = sealed[:place] + bytes([other]) + sealed[place + 1 :]
            if other == byte:
                continue
            try:
                found = unseal(changed)
            except BrokenSeal:
                continue
            # Neither JSON any more, nor sealed by that name: whoever validates it says so.
            assert found == changed
            assert b'"sha256"' not in changed or not _parses(changed)


def _parses(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"\xff", b'{"seq": 1}', b"[" * 9999])
def test_what_has_no_seal_is_left_to_its_reader(content: bytes) -> None:
    assert unseal(content) == content
