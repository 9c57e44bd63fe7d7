from __future__ import annotations

from pathlib import Path

import pytest

from lorgnette.errors import InvalidConfiguration
from tests.training.study.findings import queries
from training.study.asking import read_queries, write_queries


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = queries(teacher=0.5, aligned_16=0.4)
    write_queries(tmp_path / "queries.json", found)
    assert read_queries(tmp_path / "queries.json") == found
    lever = found.lever("aligned-16")
    assert lever is not None
    assert found.lever("flip") is None


@pytest.mark.parametrize(("content", "words"), [(None, "cannot read"), ("{}", "teacher")])
def test_a_file_that_does_not_fit_says_the_way_out(
    tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "queries.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidConfiguration, match=words) as raised:
        read_queries(path)
    assert "benchmarks/asking.py" in str(raised.value)
