"""Warnings of the command line: nothing of what an event says is left out."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from lorgnette._log_lines import Lines


def record(message: str, *args: object, **fields: object) -> logging.LogRecord:
    made = logging.getLogger("x").makeRecord("x", logging.WARNING, "x.py", 1, message, args, None)
    vars(made).update(fields)
    return made


def test_an_event_is_shown_with_its_fields() -> None:
    shown = Lines().format(record("kept for later", waiting=3, why="no answer"))
    assert shown == "lorgnette: kept for later (waiting: 3; why: no answer)"


def test_an_event_without_fields_is_a_sentence() -> None:
    shown = Lines().format(record("%s is not aligned: %s", "models/student", "it is no bundle"))
    assert shown == "lorgnette: models/student is not aligned: it is no bundle"


def test_a_field_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in Lines().format(record("not a photograph", path="\x1b[2Jowned"))


def test_what_a_library_adds_to_every_record_is_no_field_of_an_event() -> None:
    """As Ray does when it is imported, after this module was."""
    plain = logging.getLogRecordFactory()

    def stamped(*args: object, **kwargs: object) -> logging.LogRecord:
        made = plain(*args, **kwargs)
        vars(made)["_stamp_ns"] = 7
        return made

    logging.setLogRecordFactory(stamped)
    try:
        shown = Lines().format(record("kept for later", waiting=3))
        assert shown == "lorgnette: kept for later (waiting: 3)"
    finally:
        logging.setLogRecordFactory(plain)


def test_an_exception_is_shown_whole() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    assert Lines().format(made).splitlines()[-1] == "ValueError: broken"


@pytest.mark.parametrize("level", ["warning", "info"])
def test_the_command_shows_warnings_and_nothing_less(level: str) -> None:
    program = (
        "import logging, sys; from lorgnette import cli; sys.argv = ['lorgnette', '--version']\n"
        "try:\n    cli.main()\n"
        f"finally:\n    logging.getLogger('a').{level}('seen', extra={{'by': 'whom'}})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stderr == ("lorgnette: seen (by: whom)\n" if level == "warning" else "")
