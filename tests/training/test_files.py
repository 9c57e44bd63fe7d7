"""Files are whole or absent, and what a program wrote a person can read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorgnette.errors import InvalidConfiguration
from training.files import require_writable, sha256_of, write_atomically, write_json


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidConfiguration, match="cannot write"):
        write_atomically(tmp_path / "file" / "below", b"content")
    (tmp_path / "taken").mkdir()
    with pytest.raises(InvalidConfiguration, match="cannot write"):
        write_atomically(tmp_path / "taken", b"content")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]


def test_a_place_is_refused_before_the_work_that_would_fill_it(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "figures.json")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file" / "figures.json", tmp_path / "new"):
        with pytest.raises(InvalidConfiguration, match="cannot write"):
            require_writable(place)


def test_a_record_is_json_with_a_line_a_key_and_an_end(tmp_path: Path) -> None:
    record = {"mean_ap": 0.5, "rows": [{"name": "a"}]}
    write_json(tmp_path / "below" / "figures.json", record)
    text = (tmp_path / "below" / "figures.json").read_text(encoding="utf-8")
    assert json.loads(text) == record
    assert text.startswith('{\n  "mean_ap": 0.5,\n')
    assert text.endswith("}\n")


def test_the_digest_is_the_published_one() -> None:
    """FIPS 180-2, appendix B.1."""
    digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(b"abc") == digits
