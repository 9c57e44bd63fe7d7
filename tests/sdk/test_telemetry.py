"""What stays on the device includes that anything was embedded at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lorgnette.bundle import Bundle

ENCODE = """
import sys
from lorgnette import Bundle, Encoder
Encoder(Bundle.open(sys.argv[1])).check()
"""


def test_embedding_leaves_no_device_id_behind(tmp_path: Path, student: Bundle) -> None:
    # Nothing else of the environment, because ONNX Runtime is silent by itself where it sees CI.
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ENCODE, str(student.directory)],
        env={"PATH": os.defpath, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(home.rglob("*"))
