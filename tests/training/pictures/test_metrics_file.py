"""`metrics.jsonl` as it really is: torn, resumed, of another version."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorgnette.errors import InvalidConfiguration
from training.pictures.metrics_file import Series, read_metrics

LINES = """\
{"step": 0, "loss": 3, "lr_factor": 0.5}
{"step": 20, "loss": 1.5, "val_map": 0.25}
not json
[1, 2]
"text"
{"loss": 7}
{"step": "10", "loss": 7}
{"step": 30, "loss": NaN, "is_last": true, "note": "text", "huge": 1%s}
{"step": 10, "loss": 2}
{"step": 20, "loss": 1, "lr_factor": 0.25}
{"step": 40, "lo"""


def test_what_is_readable_is_read_in_the_order_of_the_steps(tmp_path: Path) -> None:
    """Step 20 was logged again after a resume: the later loss counts."""
    path = tmp_path / "metrics.jsonl"
    path.write_text(LINES % ("0" * 400))
    assert read_metrics(path) == {
        "loss": Series(steps=(0, 10, 20), values=(3, 2, 1)),
        "lr_factor": Series(steps=(0, 20), values=(0.5, 0.25)),
        "val_map": Series(steps=(20,), values=(0.25,)),
    }


def test_bytes_that_are_no_text_do_not_hide_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'\xff\xfe\x00\n{"step": 1, "loss": 2}\n' + b"[" * 100_000)
    assert read_metrics(path) == {"loss": Series(steps=(1,), values=(2,))}


@pytest.mark.parametrize("content", ["", "{}\n", '{"step": 3}\n', '{"loss": 3}\n'])
def test_a_file_without_figures_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(content)
    with pytest.raises(InvalidConfiguration, match="no line with a step and a figure"):
        read_metrics(path)


def test_a_missing_file_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="give the --out of `lorgnette train`"):
        read_metrics(tmp_path / "metrics.jsonl")
