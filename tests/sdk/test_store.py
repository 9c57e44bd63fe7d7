"""The student on a device: offline, updated, signed, released, rolled back, shared."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from lorgnette import errors
from lorgnette.async_client import AsyncClient
from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.client import Client
from lorgnette.models import signing
from lorgnette.models.places import kept, recover
from lorgnette.models.release import Release
from lorgnette.models.store import ModelStore
from tests.sdk.library import file_route, model_routes, service
from tests.sdk.loopback import Loopback, Reply, Route, serving
from tests.tiny_bundle import write_tiny_bundle

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def newer(tmp_path: Path) -> Bundle:
    """Another student of the same space."""
    return write_tiny_bundle(tmp_path / "newer", role="query", version="2")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "device" / "student"


def beside(bundle: Bundle, **documents: bytes) -> dict[str, Route | Reply]:
    """The bundle's routes, with a signature or a release beside its manifest."""
    routes: dict[str, Route | Reply] = model_routes(bundle)
    for name, content in documents.items():
        path = name.replace("_", ".")
        routes[f"GET /models/{bundle.manifest.name}/{path}"] = file_route(content)
    return routes


def digest_of(bundle: Bundle) -> str:
    return hashlib.sha256((bundle.directory / MANIFEST_NAME).read_bytes()).hexdigest()


def release_of(bundle: Bundle, *, percent: int = 100, min_sdk: str = "0.0.1") -> bytes:
    return Release(
        schema_version=1,
        manifest_sha256=digest_of(bundle),
        min_sdk=min_sdk,
        rollout_percent=percent,
    ).dump()


def install(target: Path, bundle: Bundle) -> None:
    with serving(model_routes(bundle)) as loopback:
        ModelStore(loopback.url, target).latest()


def versions(target: Path) -> tuple[str | None, str | None]:
    held = ModelStore(NOWHERE, target).held()
    return (
        held.active.version if held.active else None,
        held.previous.version if held.previous else None,
    )


def test_nothing_held_is_said_without_asking_a_server(target: Path) -> None:
    with pytest.raises(errors.NotFound, match="holds no student"):
        ModelStore(NOWHERE, target).local()


def test_a_device_starts_offline_with_what_it_holds(student: Bundle, target: Path) -> None:
    install(target, student)
    started = ModelStore(NOWHERE, target, max_retries=0).local_then_update()
    assert started.encoder.bundle.manifest.version == "1"
    assert started.update.result(timeout=10) is None


def test_a_second_start_asks_one_question(student: Bundle, target: Path) -> None:
    with serving(model_routes(student)) as loopback:
        store = ModelStore(loopback.url, target, name=student.manifest.name)
        store.latest()
        loopback.received.clear()
        assert store.local_then_update().update.result(timeout=10) is None
        (only,) = loopback.received
    assert only.headers["if-none-match"] == f'"{digest_of(student)}"'


def test_the_newer_one_comes_behind_the_held_one(
    student: Bundle, newer: Bundle, target: Path
) -> None:
    install(target, student)
    with serving(model_routes(newer)) as loopback:
        started = ModelStore(loopback.url, target).local_then_update()
        updated = started.update.result(timeout=10)
    assert started.encoder.bundle.manifest.version == "1"
    assert updated is not None
    assert updated.bundle.manifest.version == "2"
    assert versions(target) == ("2", "1")


def test_a_rollback_is_kept_until_it_is_asked_otherwise(
    student: Bundle, newer: Bundle, target: Path
) -> None:
    install(target, student)
    with serving(model_routes(newer)) as loopback:
        store = ModelStore(loopback.url, target)
        store.latest()
        assert store.rollback().bundle.manifest.version == "1"
        assert versions(target) == ("1", "2")
        assert store.local_then_update().update.result(timeout=10) is None
        assert versions(target) == ("1", "2")
        assert store.latest().bundle.manifest.version == "2"


def test_nothing_to_go_back_to_is_said(student: Bundle, target: Path) -> None:
    install(target, student)
    with pytest.raises(errors.NotFound, match="no earlier student"):
        ModelStore(NOWHERE, target).rollback()
    assert versions(target) == ("1", None)


def test_a_damaged_predecessor_is_not_put_in_use(
    student: Bundle, newer: Bundle, target: Path
) -> None:
    install(target, student)
    install(target, newer)
    (kept(target) / "model.onnx").write_bytes(b"other")
    with pytest.raises(errors.BundleCorrupt):
        ModelStore(NOWHERE, target).rollback()
    assert ModelStore(NOWHERE, target).local().bundle.manifest.version == "2"


@pytest.mark.parametrize("renames", [1, 2, 3])
def test_a_crash_between_the_renames_of_a_rollback_loses_neither(
    student: Bundle, newer: Bundle, target: Path, renames: int
) -> None:
    install(target, student)
    install(target, newer)
    moves = [
        (kept(target), target.with_name(".student.returning")),
        (target, target.with_name(".student.previous")),
        (target.with_name(".student.returning"), target),
    ]
    for source, destination in moves[:renames]:
        source.rename(destination)
    assert ModelStore(NOWHERE, target).local()
    recover(target)
    assert set(versions(target)) == {"1", "2"}


def test_one_flipped_byte_is_refused_and_the_old_one_goes_on(
    student: Bundle, newer: Bundle, target: Path
) -> None:
    install(target, student)
    content = bytearray((newer.directory / "model.onnx").read_bytes())
    content[100] ^= 1
    routes = model_routes(newer)
    routes[f"GET /models/{newer.manifest.name}/model.onnx"] = file_route(bytes(content))
    with serving(routes) as loopback:
        store = ModelStore(loopback.url, target)
        with pytest.raises(errors.BundleCorrupt):
            store.latest()
        with pytest.raises(errors.BundleCorrupt):
            store.local_then_update().update.result(timeout=10)
    assert store.local().bundle.manifest.version == "1"


def keys_of(directory: Path, name: str) -> tuple[Path, str]:
    path = directory / name
    return path, signing.new_key(path)


def signature_of(bundle: Bundle, key: Path) -> bytes:
    text = (bundle.directory / MANIFEST_NAME).read_bytes()
    return signing.sign(text, signing.read_key(key))


def test_only_what_a_configured_key_signed_is_taken(
    student: Bundle, target: Path, tmp_path: Path
) -> None:
    ours, public = keys_of(tmp_path, "ours.key")
    _, another = keys_of(tmp_path, "another.key")
    with serving(beside(student, manifest_sig=signature_of(student, ours))) as loopback:
        with pytest.raises(errors.InvalidSignature, match="none of the 1 configured"):
            ModelStore(loopback.url, target, public_keys=[another]).latest()
        assert versions(target) == (None, None)
        ModelStore(loopback.url, target, public_keys=[another, public]).latest()
    assert ModelStore(NOWHERE, target, public_keys=[public]).local()
    with pytest.raises(errors.InvalidSignature):
        ModelStore(NOWHERE, target, public_keys=[another]).local()


def test_an_unsigned_student_is_refused_and_the_old_one_goes_on(
    student: Bundle, newer: Bundle, target: Path, tmp_path: Path
) -> None:
    ours, public = keys_of(tmp_path, "ours.key")
    with serving(beside(student, manifest_sig=signature_of(student, ours))) as loopback:
        ModelStore(loopback.url, target, public_keys=[public]).latest()
    with serving(model_routes(newer)) as loopback:
        store = ModelStore(loopback.url, target, public_keys=[public])
        with pytest.raises(errors.InvalidSignature, match="not signed"):
            store.latest()
    assert store.local().bundle.manifest.version == "1"


def test_an_unsigned_release_of_a_signed_student_is_refused(
    student: Bundle, target: Path, tmp_path: Path
) -> None:
    ours, public = keys_of(tmp_path, "ours.key")
    routes = beside(
        student, manifest_sig=signature_of(student, ours), release_json=release_of(student)
    )
    with serving(routes) as loopback, pytest.raises(errors.InvalidSignature, match="release"):
        ModelStore(loopback.url, target, public_keys=[public]).latest()


def test_a_student_signed_after_it_was_fetched_is_not_fetched_again(
    student: Bundle, target: Path, tmp_path: Path
) -> None:
    install(target, student)
    ours, public = keys_of(tmp_path, "ours.key")
    with serving(beside(student, manifest_sig=signature_of(student, ours))) as loopback:
        ModelStore(loopback.url, target, public_keys=[public]).latest()
        assert not [r for r in loopback.received if r.path.endswith(".onnx")]
    assert ModelStore(NOWHERE, target, public_keys=[public]).local()


def test_a_student_that_needs_a_newer_sdk_is_left_where_it_is(
    student: Bundle, newer: Bundle, target: Path
) -> None:
    install(target, student)
    with serving(beside(newer, release_json=release_of(newer, min_sdk="99.0.0"))) as loopback:
        store = ModelStore(loopback.url, target)
        with pytest.raises(errors.SdkTooOld, match=r"needs lorgnette 99\.0\.0"):
            store.latest()
    assert store.local().bundle.manifest.version == "1"


def test_a_release_of_another_manifest_is_refused(
    student: Bundle, newer: Bundle, target: Path
) -> None:
    with serving(beside(newer, release_json=release_of(student))) as loopback:
        store = ModelStore(loopback.url, target)
        with pytest.raises(errors.InvalidBundle, match="of another manifest"):
            store.latest()


def test_a_rollout_reaches_a_share_and_never_sends_the_id(
    student: Bundle, newer: Bundle, target: Path
) -> None:
    install(target, student)
    with serving(beside(newer, release_json=release_of(newer, percent=0))) as loopback:
        assert ModelStore(loopback.url, target).latest().bundle.manifest.version == "1"
        device = (target.parent / ".student.device").read_text()
        sent = "".join(f"{r.path}{r.headers}{r.body!r}" for r in loopback.received)
        assert device not in sent
    with serving(beside(newer, release_json=release_of(newer, percent=100))) as loopback:
        assert ModelStore(loopback.url, target).latest().bundle.manifest.version == "2"


def test_a_device_that_holds_nothing_takes_what_there_is(student: Bundle, target: Path) -> None:
    with serving(beside(student, release_json=release_of(student, percent=0))) as loopback:
        assert ModelStore(loopback.url, target).latest()


def test_a_wider_rollout_keeps_who_was_in_the_narrower() -> None:
    def reached(percent: int) -> set[int]:
        release = Release(
            schema_version=1,
            manifest_sha256="ab" * 32,
            min_sdk="0.0.1",
            rollout_percent=percent,
        )
        return {n for n in range(2000) if release.is_for(f"device-{n}")}

    assert reached(0) == set()
    assert reached(10) < reached(30) < reached(100) == set(range(2000))
    assert 120 < len(reached(10)) < 280


def _pull(url: str, target: Path) -> str:
    return ModelStore(url, target).latest().bundle.manifest.version


def test_two_processes_at_once_hold_one_whole_student(
    student: Bundle, newer: Bundle, target: Path
) -> None:
    install(target, student)
    context = multiprocessing.get_context("spawn")
    with serving(model_routes(newer)) as loopback, context.Pool(2) as pool:
        found = pool.starmap(_pull, [(loopback.url, target)] * 2)
    assert found == ["2", "2"]
    assert versions(target) == ("2", "1")


def test_a_place_that_cannot_be_written_is_said(student: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = ModelStore(NOWHERE, tmp_path / "file" / "student")
    with pytest.raises(errors.InvalidConfiguration, match="cannot write"):
        store.latest()


def test_a_crash_that_cannot_be_mended_is_said(student: Bundle, target: Path) -> None:
    install(target, student)
    target.rename(target.with_name(".student.previous"))
    target.mkdir()
    kept(target).write_text("in the way")
    with pytest.raises(errors.InvalidConfiguration, match="cannot write"):
        ModelStore(NOWHERE, target).local()


@pytest.fixture
def other_space(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "old", role="query", space_seed=9, name="old")


def in_use(target: Path, bundle: Bundle) -> Callable[[Loopback], ModelStore]:
    install(target, bundle)
    return lambda library: ModelStore(library.url, target)


def test_a_wrong_space_is_mended_once(
    library: Loopback, other_space: Bundle, target: Path, photos: list[Path]
) -> None:
    store = in_use(target, other_space)(library)
    with Client(library.url, encoder=store.local(), store=store) as client:
        assert client.search(photos[2])[0].id == photos[2].name
    manifests = [r for r in library.received if r.path.endswith(MANIFEST_NAME)]
    assert len(manifests) == 1
    assert len([r for r in library.received if r.path == "/search"]) == 1


async def _search(library: Loopback, store: ModelStore, photo: Path) -> str:
    async with AsyncClient(library.url, encoder=store.local(), store=store) as client:
        return (await client.search(photo))[0].id


def test_a_wrong_space_is_mended_once_for_asyncio_too(
    library: Loopback, other_space: Bundle, target: Path, photos: list[Path]
) -> None:
    store = in_use(target, other_space)(library)
    assert asyncio.run(_search(library, store, photos[1])) == photos[1].name


def test_a_store_with_no_fitting_student_ends_in_the_mismatch(
    teacher: Bundle, other_space: Bundle, target: Path, photos: list[Path]
) -> None:
    with service(teacher, other_space, photos) as library:
        store = in_use(target, other_space)(library)
        client = Client(library.url, encoder=store.local(), store=store)
        with client, pytest.raises(errors.SpaceMismatch):
            client.search(photos[0])
        manifests = [r for r in library.received if r.path.endswith(MANIFEST_NAME)]
        assert len(manifests) == 1
        assert len([r for r in library.received if r.path == "/spaces"]) == 1
