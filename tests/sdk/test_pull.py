"""Fetching a bundle: whole or not at all, whatever the network and the server do."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lorgnette import errors, pull
from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.durable import sibling
from lorgnette.models.places import kept
from lorgnette.pull import pull_bundle
from lorgnette.wire import ModelsResponse
from tests.sdk.library import file_route, model_routes
from tests.sdk.loopback import RESET, Received, Reply, Route, in_turn, ok, serving
from tests.tiny_bundle import write_tiny_bundle


def snapshot(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def left_beside(target: Path) -> list[str]:
    """Names in the parent beside the target."""
    return sorted({path.name for path in target.parent.iterdir()} - {target.name})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models" / "here"


@pytest.fixture
def model_path(student: Bundle) -> str:
    return f"GET /models/{student.manifest.name}/model.onnx"


@pytest.fixture
def model(student: Bundle) -> bytes:
    return (student.directory / "model.onnx").read_bytes()


def test_a_pulled_bundle_is_the_servers_byte_for_byte(student: Bundle, target: Path) -> None:
    seen: list[tuple[int, int]] = []
    with serving(model_routes(student)) as loopback:
        bundle = pull_bundle(
            loopback.url, to=target, on_progress=lambda have, total: seen.append((have, total))
        )
    assert bundle == Bundle.open(target)
    assert snapshot(target) == snapshot(student.directory)
    assert left_beside(target) == []
    total = sum(entry.bytes for entry in student.manifest.all_files())
    assert seen[-1] == (total, total)
    assert [have for have, _ in seen] == sorted(have for have, _ in seen)


def test_the_same_bundle_is_not_downloaded_twice(student: Bundle, target: Path) -> None:
    with serving(model_routes(student)) as loopback:
        pull_bundle(loopback.url, student.manifest.name, to=target)
        loopback.received.clear()
        pull_bundle(loopback.url, student.manifest.name, to=target)
        (only,) = loopback.received
    digest = hashlib.sha256((student.directory / MANIFEST_NAME).read_bytes()).hexdigest()
    assert only.headers["if-none-match"] == f'"{digest}"'


def test_a_server_without_entity_tags_sends_only_the_manifest_again(
    student: Bundle, target: Path
) -> None:
    routes = model_routes(student)
    name = student.manifest.name
    text = (student.directory / MANIFEST_NAME).read_bytes()
    routes[f"GET /models/{name}/{MANIFEST_NAME}"] = Reply(200, text)
    with serving(routes) as loopback:
        pull_bundle(loopback.url, name, to=target)
        loopback.received.clear()
        pull_bundle(loopback.url, name, to=target)
        assert len(loopback.received) == 1


def test_a_damaged_copy_is_fetched_again(student: Bundle, target: Path) -> None:
    with serving(model_routes(student)) as loopback:
        pull_bundle(loopback.url, to=target)
        (target / "model.onnx").write_bytes(b"rotten")
        pull_bundle(loopback.url, to=target)
    assert snapshot(target) == snapshot(student.directory)


def test_a_new_version_replaces_the_old_one_and_keeps_it(
    student: Bundle, target: Path, tmp_path: Path
) -> None:
    newer = write_tiny_bundle(tmp_path / "newer", role="query", version="2", space_seed=3)
    shutil.copytree(student.directory, target)
    with serving(model_routes(newer)) as loopback:
        assert pull_bundle(loopback.url, to=target).manifest.version == "2"
    assert snapshot(target) == snapshot(newer.directory)
    assert left_beside(target) == [".here.rollback"]
    assert snapshot(kept(target)) == snapshot(student.directory)


def cut_twice(content: bytes) -> Route:
    """Two connections break after 1000 further bytes each; the third goes through."""
    whole = file_route(content)
    cuts = [1000, 1000]

    def route(request: Received) -> Reply:
        reply = whole(request)
        if not cuts:
            return reply
        return Reply(reply.status, reply.body, reply.headers, cut_after=cuts.pop())

    return route


def test_a_cut_download_goes_on_where_it_was(
    student: Bundle, target: Path, model: bytes, model_path: str
) -> None:
    routes = {**model_routes(student), model_path: cut_twice(model)}
    with serving(routes) as loopback:
        pull_bundle(loopback.url, to=target, max_retries=0)
        asked = [r for r in loopback.received if r.path.endswith("model.onnx")]
    assert [r.headers.get("range") for r in asked] == [None, "bytes=1000-", "bytes=2000-"]
    assert asked[1].headers["if-range"] == f'"{hashlib.sha256(model).hexdigest()}"'
    assert snapshot(target) == snapshot(student.directory)


def test_a_later_process_goes_on_where_a_dead_one_was(
    student: Bundle, target: Path, model: bytes, model_path: str
) -> None:
    routes = model_routes(student)
    with (
        serving({**routes, model_path: in_turn(Reply(200, model, cut_after=3000), RESET)}) as cut,
        pytest.raises(errors.Unreachable),
    ):
        pull_bundle(cut.url, to=target, max_retries=1)
    assert not target.exists()
    assert left_beside(target) == [".here.pulling"]
    with serving(routes) as loopback:
        pull_bundle(loopback.url, to=target)
        asked = [r for r in loopback.received if r.path.endswith("model.onnx")]
    assert [r.headers.get("range") for r in asked] == ["bytes=3000-"]
    assert snapshot(target) == snapshot(student.directory)
    assert left_beside(target) == []


def test_leftovers_of_another_bundle_are_not_mixed_in(
    student: Bundle, target: Path, tmp_path: Path
) -> None:
    other = write_tiny_bundle(tmp_path / "other", role="query", space_seed=4)
    shutil.copytree(other.directory, sibling(target, "pulling"))
    with serving(model_routes(student)) as loopback:
        pull_bundle(loopback.url, to=target)
    assert snapshot(target) == snapshot(student.directory)


def test_a_server_that_ignores_ranges_starts_over(
    student: Bundle, target: Path, model: bytes, model_path: str
) -> None:
    route = in_turn(Reply(200, model, cut_after=2000), Reply(200, model))
    with serving({**model_routes(student), model_path: route}) as loopback:
        pull_bundle(loopback.url, to=target)
    assert snapshot(target) == snapshot(student.directory)


def test_a_server_that_always_cuts_at_the_same_place_is_given_up(
    student: Bundle, target: Path, model: bytes, model_path: str
) -> None:
    routes = {**model_routes(student), model_path: Reply(200, model, cut_after=2000)}
    with serving(routes) as loopback, pytest.raises(errors.Unreachable, match=r"model\.onnx"):
        pull_bundle(loopback.url, to=target, max_retries=1)
    assert not target.exists()


def test_a_range_answered_with_another_range_is_not_glued(
    student: Bundle, target: Path, model: bytes, model_path: str
) -> None:
    lie = Reply(206, model[10:], {"Content-Range": f"bytes 10-{len(model) - 1}/{len(model)}"})
    route = in_turn(Reply(200, model, cut_after=2000), lie)
    with (
        serving({**model_routes(student), model_path: route}) as loopback,
        pytest.raises(errors.LorgnetteError),
    ):
        pull_bundle(loopback.url, to=target, max_retries=0)
    assert not target.exists()


def flipped(content: bytes) -> bytes:
    return content[:500] + bytes([content[500] ^ 1]) + content[501:]


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (lambda content: Reply(200, flipped(content)), errors.BundleCorrupt),
        (lambda content: Reply(200, content + b"more"), errors.BundleCorrupt),
        (lambda content: Reply(200, content[:-1]), errors.Unreachable),
        (lambda _: Reply(404), errors.NotFound),
        (lambda _: Reply(401), errors.Unauthorized),
        (lambda _: Reply(416), errors.RefusedByServer),
        (lambda _: Reply(503), errors.Unavailable),
        (lambda _: RESET, errors.Unreachable),
    ],
)
def test_whatever_fails_the_old_bundle_stays(
    student: Bundle,
    target: Path,
    *,
    wrong: Callable[[bytes], Reply],
    kind: type[errors.LorgnetteError],
    model: bytes,
    model_path: str,
) -> None:
    older = write_tiny_bundle(target.parent.parent / "older", role="query", version="0")
    shutil.copytree(older.directory, target)
    with (
        serving({**model_routes(student), model_path: wrong(model)}) as loopback,
        pytest.raises(kind),
    ):
        pull_bundle(loopback.url, to=target, max_retries=1)
    assert snapshot(target) == snapshot(older.directory)
    if not issubclass(kind, errors.Unreachable):
        assert left_beside(target) == []


def test_a_model_that_fails_its_golden_vectors_is_not_installed(
    target: Path, tmp_path: Path
) -> None:
    liar = write_tiny_bundle(tmp_path / "liar", role="query")
    stranger = write_tiny_bundle(tmp_path / "stranger", role="query", space_seed=8)
    golden = liar.manifest.golden[0].model_copy(
        update={"vector_b64": stranger.manifest.golden[0].vector_b64}
    )
    lie = liar.manifest.model_copy(update={"golden": (golden,)})
    (liar.directory / MANIFEST_NAME).write_text(lie.dump())
    with (
        serving(model_routes(Bundle.open(liar.directory))) as loopback,
        pytest.raises(errors.GoldenMismatch),
    ):
        pull_bundle(loopback.url, to=target)
    assert not target.exists()
    assert left_beside(target) == []


@pytest.mark.parametrize("text", [b"", b"<html>", b"{}", b"[" * 100_000, b" " * 5_000_000])
def test_a_manifest_that_is_none_is_refused(student: Bundle, target: Path, text: bytes) -> None:
    routes = model_routes(student)
    routes[f"GET /models/{student.manifest.name}/{MANIFEST_NAME}"] = Reply(200, text)
    with serving(routes) as loopback, pytest.raises(errors.InvalidBundle):
        pull_bundle(loopback.url, to=target)
    assert not target.exists()


def test_a_manifest_of_absurd_size_downloads_nothing(
    student: Bundle, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "MAX_BUNDLE_BYTES", 1000)
    with serving(model_routes(student)) as loopback:
        with pytest.raises(errors.InvalidBundle, match="more than the 1,000"):
            pull_bundle(loopback.url, to=target)
        assert not any(path.endswith(".onnx") for path in loopback.paths())


def test_the_name_may_be_left_out_only_when_there_is_one_student(
    student: Bundle, target: Path, tmp_path: Path
) -> None:
    second = write_tiny_bundle(tmp_path / "second", role="query", name="second")
    with serving(model_routes(student, second)) as loopback:
        with pytest.raises(errors.InvalidRequest, match="tiny-query, second"):
            pull_bundle(loopback.url, to=target)
        assert pull_bundle(loopback.url, "second", to=target).manifest.name == "second"
        with pytest.raises(errors.NotFound):
            pull_bundle(loopback.url, "third", to=target)
    with (
        serving({"GET /models": ok(ModelsResponse(models=[]))}) as loopback,
        pytest.raises(errors.NotFound, match="no student"),
    ):
        pull_bundle(loopback.url, to=target)


def test_a_directory_that_is_no_bundle_is_never_replaced(
    student: Bundle, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.mkdir()
    with serving(model_routes(student)) as loopback:
        (target / "holiday.jpg").write_bytes(b"precious")
        with pytest.raises(errors.InvalidConfiguration, match="not a bundle"):
            pull_bundle(loopback.url, to=target)
        (target / "holiday.jpg").unlink()
        pull_bundle(loopback.url, to=target)
        (target / "notes.txt").write_text("precious")
        with pytest.raises(errors.InvalidConfiguration, match=r"notes\.txt"):
            pull_bundle(loopback.url, to=target)
        with pytest.raises(errors.InvalidConfiguration, match="is a file"):
            pull_bundle(loopback.url, to=target / "notes.txt")
        monkeypatch.chdir(target)
        with pytest.raises(errors.InvalidConfiguration, match="current directory"):
            pull_bundle(loopback.url, to=".")
    assert (target / "notes.txt").read_text() == "precious"


def test_an_unwritable_place_is_one_sentence(student: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        serving(model_routes(student)) as loopback,
        pytest.raises(errors.InvalidConfiguration, match="cannot write"),
    ):
        pull_bundle(loopback.url, to=tmp_path / "file" / "here")


def test_a_crash_between_the_two_renames_is_mended(student: Bundle, target: Path) -> None:
    shutil.copytree(student.directory, sibling(target, "previous"))
    with serving(model_routes(student)) as loopback:
        pull_bundle(loopback.url, student.manifest.name, to=target)
        assert len(loopback.received) == 1
    assert snapshot(target) == snapshot(student.directory)
    assert left_beside(target) == []


def test_two_pulls_at_once_download_once(student: Bundle, target: Path) -> None:
    with serving(model_routes(student)) as loopback, ThreadPoolExecutor(4) as pool:
        start = threading.Barrier(4)

        def one(_: int) -> Bundle:
            start.wait(10)
            return pull_bundle(loopback.url, student.manifest.name, to=target)

        assert len({bundle.manifest.version for bundle in pool.map(one, range(4))}) == 1
        assert sum(path.endswith("model.onnx") for path in loopback.paths()) == 1
    assert snapshot(target) == snapshot(student.directory)


def test_the_key_and_the_digest_are_sent(student: Bundle, target: Path) -> None:
    with serving(model_routes(student)) as loopback:
        pull_bundle(loopback.url, to=target, key="s3cret")
        assert {r.headers["authorization"] for r in loopback.received} == {"Bearer s3cret"}
        asked = {r.path.rsplit("/", 1)[1]: r.query for r in loopback.received}
    (entry,) = student.manifest.files.values()
    assert asked["model.onnx"] == f"sha256={entry.sha256}"
