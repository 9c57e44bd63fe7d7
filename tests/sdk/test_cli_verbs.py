"""The verbs that other distributions add to the command `lorgnette`."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lorgnette import _verbs
from tests.command_line import Ran, Run


def entry(value: str) -> EntryPoint:
    return EntryPoint(name="extra-verb", value=value, group=_verbs.GROUP)


def use_verb(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(_verbs, "entry_points", lambda group: [entry(value)])


VERB_MODULE = '''"""Verbs of another distribution."""
import typer

def works(count: int = 2, *, name: str = typer.Option("x", help="A name.")) -> None:
    """A verb of another distribution."""
    typer.echo(f"{name} {count}")

def lacks() -> None:
    """Needs more."""
    import module_nobody_has

def refuses() -> None:
    """Says no."""
    from lorgnette.errors import GalleryBusy
    raise GalleryBusy("another process is writing")

def interrupted() -> None:
    """Meets Ctrl-C."""
    raise KeyboardInterrupt

def interrupted_in_an_extension() -> None:
    """Meets Ctrl-C as onnxruntime passes it on, when it is in the middle of its own import."""
    raise ImportError("initialization failed") from KeyboardInterrupt()

def broken() -> None:
    """Meets an extension that does not load."""
    raise ImportError("undefined symbol")
'''


@pytest.fixture
def _verb_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verb_module.py").write_text(VERB_MODULE)
    (tmp_path / "heavy_verb_module.py").write_text("import module_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_verb_module")
def test_an_installed_verb_keeps_its_options(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    use_verb(monkeypatch, "verb_module:works [service]")
    assert run("extra-verb", "--count", 5, "--name", "y").out == "y 5\n"
    assert "A verb of another distribution." in run("--help").out


@pytest.mark.usefixtures("_verb_module")
@pytest.mark.parametrize("value", ["verb_module:lacks", "heavy_verb_module:any"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    use_verb(monkeypatch, f"{value} [service]")
    ran = run("extra-verb")
    assert ran.code == 2
    assert ran.err == (
        "lorgnette: `lorgnette extra-verb` needs module_nobody_has, which is not installed: "
        "pip install 'lorgnette-app[service]'\n"
    )


@pytest.mark.usefixtures("_verb_module")
def test_a_verb_that_cannot_load_does_not_spoil_the_help(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_verb(monkeypatch, "heavy_verb_module:any [training]")
    assert "extra-verb  Not installed" in run("--help").out
    ran = run("extra-verb", "folder", "--option", "--help")
    assert "lorgnette-app[training]" in ran.err


@pytest.mark.usefixtures("_verb_module")
def test_verbs_with_a_dot_in_their_names_are_a_group(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {"box.open": "verb_module:works", "box.shut": "heavy_verb_module:any"}
    entries = [EntryPoint(name, f"{at} [service]", _verbs.GROUP) for name, at in named.items()]
    monkeypatch.setattr(_verbs, "entry_points", lambda group: entries)
    assert run("box", "open", "--count", 5).out == "x 5\n"
    assert re.search(r"\bbox +Verbs of another distribution\.", run("--help").out)
    shown = run("box", "-h").out
    assert "A verb of another distribution." in shown
    assert "shut  Not installed" in shown
    ran = run("box", "shut", "--anything")
    assert ran.code == 2
    assert "`lorgnette box shut` needs module_nobody_has" in ran.err


@pytest.mark.usefixtures("_verb_module")
@pytest.mark.parametrize("value", ["verb_module:gone", "verb_module.gone:any"])
def test_a_verb_whose_own_module_is_gone_asks_for_a_reinstall(
    run: Run, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    use_verb(monkeypatch, f"{value} [service]")
    ran = run("extra-verb")
    assert ran.code == 2
    assert "--force-reinstall 'lorgnette-app'" in ran.err


@pytest.mark.usefixtures("_verb_module")
def test_a_verbs_own_errors_and_ctrl_c_end_politely(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_verb(monkeypatch, "verb_module:refuses")
    assert run("extra-verb") == Ran(1, "", "lorgnette: another process is writing\n")
    use_verb(monkeypatch, "verb_module:interrupted")
    assert run("extra-verb") == Ran(130, "", "interrupted\n")


@pytest.mark.usefixtures("_verb_module")
def test_ctrl_c_within_an_extensions_import_is_no_failed_import(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_verb(monkeypatch, "verb_module:interrupted_in_an_extension")
    assert run("extra-verb") == Ran(130, "", "interrupted\n")
    use_verb(monkeypatch, "verb_module:broken")
    with pytest.raises(ImportError, match="undefined symbol"):
        run("extra-verb")
