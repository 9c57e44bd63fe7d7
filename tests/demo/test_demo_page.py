"""The demo says how its web page is reached, or in one line why there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import defaults
from service.demo.report import Report

URL = "http://127.0.0.1:8080"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    Report().staying(URL, Path("query.jpg"), Path("student"))
    return capsys.readouterr().out


def test_a_built_page_is_to_be_opened_in_a_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    defaults.PAGE.mkdir(parents=True)
    (defaults.PAGE / defaults.PAGE_INDEX).write_text("<!doctype html>")
    assert f"open {URL} in a browser" in said(capsys)


def test_a_page_that_is_not_built_is_told_with_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = said(capsys)
    assert "in a browser" not in text
    assert "needs Node 20.12 or newer" in text
