"""The operator signs and releases, the device pulls and rolls back: by their command lines."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from lorgnette import errors
from lorgnette.bundle import Bundle
from lorgnette.cli import build_app
from lorgnette.models.release import Release
from tests.sdk.library import file_route, model_routes
from tests.sdk.loopback import Reply, Route, serving
from tests.tiny_bundle import write_tiny_bundle


def run(*arguments: object) -> None:
    build_app()([str(argument) for argument in arguments], standalone_mode=False)


def test_sign_release_pull_and_roll_back(
    student: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = tmp_path / "served"
    shutil.copytree(student.directory, served)
    run("sign", "--new-key", tmp_path / "key")
    public = capsys.readouterr().out.strip()
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    run("sign", served, "--key", tmp_path / "key")
    run("release", served, "--rollout", 7, "--key", tmp_path / "key")
    assert Release.model_validate_json((served / "release.json").read_bytes()).rollout_percent == 7
    target = tmp_path / "device" / "student"
    first = write_tiny_bundle(tmp_path / "first", role="query", version="0")
    with serving(model_routes(first)) as loopback:
        run("pull", loopback.url, "--to", target)
    routes: dict[str, Route | Reply] = model_routes(Bundle.open(served))
    for path, name in (
        ("manifest.sig", "manifest.json.sig"),
        ("release.json", "release.json"),
        ("release.sig", "release.json.sig"),
    ):
        content = (served / name).read_bytes()
        routes[f"GET /models/{student.manifest.name}/{path}"] = file_route(content)
    with serving(routes) as loopback:
        run("models", loopback.url)
        run("pull", loopback.url, "--to", target, "--public-key", public)
    assert f"{student.manifest.name}  1" in capsys.readouterr().out
    assert Bundle.open(target).manifest.version == "1"
    run("rollback", target)
    assert Bundle.open(target).manifest.version == "0"
    assert "holds tiny-query 0 again" in capsys.readouterr().out


def test_a_key_is_not_overwritten(tmp_path: Path) -> None:
    run("sign", "--new-key", tmp_path / "key")
    with pytest.raises(errors.InvalidConfiguration, match="never overwritten"):
        run("sign", "--new-key", tmp_path / "key")


def test_a_signed_bundle_has_no_unsigned_release(student: Bundle, tmp_path: Path) -> None:
    served = tmp_path / "served"
    shutil.copytree(student.directory, served)
    run("sign", served, "--new-key", tmp_path / "key")
    with pytest.raises(errors.InvalidConfiguration, match="is signed, so must be its release"):
        run("release", served, "--rollout", 7)
    assert not (served / "release.json").exists()


def test_sign_without_a_key_or_a_bundle_says_what_is_missing(student: Bundle) -> None:
    with pytest.raises(errors.InvalidConfiguration, match="add --key FILE"):
        run("sign", student.directory)
    with pytest.raises(errors.InvalidConfiguration, match="nothing to do"):
        run("sign")


def test_a_key_is_made_or_named_not_both(student: Bundle, tmp_path: Path) -> None:
    run("sign", "--new-key", tmp_path / "key")
    with pytest.raises(errors.InvalidConfiguration, match="give one of them"):
        run("sign", student.directory, "--key", tmp_path / "key", "--new-key", tmp_path / "other")
    with pytest.raises(errors.InvalidBundle):
        run("sign", tmp_path, "--new-key", tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_key_that_finds_no_room_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = os.open

    def without_room(path: Path, flags: int, mode: int = 0o777) -> int:
        os.close(made(path, flags, mode))
        return made("/dev/full", os.O_WRONLY)

    monkeypatch.setattr("lorgnette.models.signing.os.open", without_room)
    with pytest.raises(errors.InvalidConfiguration, match="No space left"):
        run("sign", "--new-key", tmp_path / "key")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["pull", "rollback"])
def test_a_malformed_public_key_is_told_before_anything_is_asked(tmp_path: Path, verb: str) -> None:
    where = ["http://127.0.0.1:1", "--to", tmp_path / "x"] if verb == "pull" else [tmp_path / "x"]
    with pytest.raises(errors.InvalidConfiguration, match="not an Ed25519 public key"):
        run(verb, *where, "--public-key", "abc")
