"""`lorgnette data`, as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import Run, command
from tests.training.public.shelf import Shelf, on_a_server
from tests.training.public.tiny_sets import TinySet, tiny_set
from training.data.public import registry


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return command(monkeypatch, capfd, "data")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TinySet:
    """The tiny Oxford in the place of the published one."""
    small = tiny_set("roxford5k")
    monkeypatch.setattr(registry, "SETS", {**registry.SETS, "roxford5k": small.public})
    return small


def test_the_list_has_every_set(run: Run) -> None:
    ran = run("list")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()[1:]] == list(registry.SETS)


def test_the_files_of_a_set_are_listed_with_what_is_known_of_them(run: Run) -> None:
    out = run("list", "cub").out
    assert "non-commercial" in out
    assert "  CUB_200_2011.tgz  https://data.caltech.edu/" in out
    assert "sha256 0c685df5" in out
    out = run("list", "roxford5k").out
    assert "  gnd_roxford5k.pkl  http://cmp.felk.cvut.cz/revisitop/data/datasets/" in out
    assert "checksum not known: verified by content" in out
    assert "by hand only" in run("list", "inshop").out


def test_get_then_check_say_that_a_set_is_whole(run: Run, tiny: TinySet, tmp_path: Path) -> None:
    with on_a_server(Shelf(dict(tiny.files))) as server:
        ran = run("get", "roxford5k", "--root", tmp_path, "--mirror", server.url)
    home = tmp_path / "test" / "roxford5k"
    assert ran.code == 0
    assert ran.out == (
        f"roxford5k in {home} is whole: 6 gallery images, 2 queries, 1 easy positives, "
        "3 hard positives, 2 junk\n"
    )
    assert "Terms: photographs from Flickr" in ran.err
    checked = run("check", "roxford5k", tmp_path)
    assert (checked.code, checked.out) == (0, ran.out)


def test_check_names_what_is_wrong_with_exit_code_1(
    run: Run, tiny: TinySet, tmp_path: Path
) -> None:
    with on_a_server(Shelf(dict(tiny.files))) as server:
        run("get", "roxford5k", "--root", tmp_path, "--mirror", server.url)
    (tmp_path / "test" / "roxford5k" / "jpg" / "town_000003.jpg").unlink()
    ran = run("check", "roxford5k", tmp_path)
    assert ran.code == 1
    assert "is not whole" in ran.out
    assert ran.err == "  1 of 8 images are missing: jpg/town_000003.jpg\n"


def test_a_failed_download_is_one_sentence_with_the_way_out(
    run: Run, tiny: TinySet, tmp_path: Path
) -> None:
    with on_a_server(Shelf({})) as server:
        ran = run("get", "roxford5k", "--root", tmp_path, "--mirror", server.url)
    assert ran.code == 1
    last = ran.err.splitlines()[-1]
    assert last.startswith("lorgnette: ")
    assert str(tmp_path / "downloads" / "roxford5k" / "gnd_roxford5k.pkl") in last
    assert len(tiny.files) == 2


def test_an_unknown_name_is_bad_input(run: Run, tmp_path: Path) -> None:
    ran = run("check", "oxford", tmp_path)
    assert ran.code == 2
    assert "roxford5k" in ran.err


@pytest.mark.parametrize("verb", ["list", "get", "check"])
def test_every_verb_has_an_example(run: Run, verb: str) -> None:
    assert f"  lorgnette data {verb}" in run(verb, "--help").out.partition("Example")[2]


def test_get_says_what_to_do_when_an_address_is_dead(run: Run) -> None:
    assert "fetch by hand" in " ".join(run("get", "--help").out.split())


def test_the_group_alone_explains_itself(run: Run) -> None:
    ran = run()
    assert "list them, fetch them, check them" in ran.out + ran.err
