"""What the command's exit code says, whichever distribution its verb is of."""

from __future__ import annotations

from typing import Final

FAILED: Final = 1
BAD_INPUT: Final = 2
"""The caller can mend it: an argument, a photograph, a setting."""

INTERRUPTED: Final = 130
"""Ctrl-C: 128 and the signal's number, as shells count."""
