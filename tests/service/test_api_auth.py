"""Every route of the OpenAPI document against every key; a new route cannot be missed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from lorgnette import durable
from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidConfiguration, InvalidGallery
from service.app import create_app
from service.gallery.sealed import seal
from service.keys import KEYS_NAME, KeyFile, id_in
from service.scopes import Scope
from service.settings import Settings, load_settings
from tests.service.serving import ADMIN_KEY, SEARCH_KEY, fill, png, problem, serving

OPEN = {"/healthz", "/readyz"}
"""Answered to anybody: they say nothing about the gallery's content."""

EVERY_SCOPE = frozenset(Scope)


def opened_by(path: str) -> frozenset[Scope]:
    """Who may, by where a route stands. One that stands nowhere fails here: decide who may."""
    for start, scopes in (
        ("/admin/", {Scope.ADMIN}),
        ("/search", {Scope.SEARCH, Scope.ADMIN}),
        ("/items/", {Scope.SEARCH, Scope.ADMIN}),
        ("/models", {Scope.MODELS, Scope.ADMIN}),
        ("/spaces", {Scope.SEARCH, Scope.MODELS, Scope.ADMIN}),
        ("/metrics", {Scope.METRICS, Scope.ADMIN}),
    ):
        if path.startswith(start):
            return frozenset(scopes)
    raise AssertionError(f"{path}: nobody has said which key opens this route")


def routes() -> list[tuple[str, str]]:
    """Every route of the document, and the hidden ones it does not describe."""
    document = create_app(Settings()).openapi()
    described = [(method, path) for path, found in document["paths"].items() for method in found]
    return [*described, *(("head", path) for _, path in described if path.startswith("/models/"))]


@dataclass(frozen=True)
class House:
    """A service with keys, and one key of each kind by name."""

    client: httpx.Client
    data: Path
    keys: Mapping[str, str]

    def call(self, method: str, path: str, authorization: str | None) -> httpx.Response:
        concrete = re.sub(r"\{(\w+)(:path)?\}", lambda found: VALUES.get(found[1], "1"), path)
        headers = {"content-type": "application/json"}
        if authorization is not None:
            headers["authorization"] = authorization
        return self.client.request(method.upper(), concrete, content=b"{}", headers=headers)


VALUES = {"name": "tiny-query", "path": "model.onnx", "job_id": "none"}


def expire(data: Path, key_id: str) -> None:
    """Move a key's expiry into the past, as time would."""
    path = data / KEYS_NAME
    records = json.loads(path.read_text())["keys"]
    for record in records:
        if record["id"] == key_id:
            record["expires_at"] = "2020-01-01T00:00:00Z"
    durable.replace_file(path, seal(json.dumps({"keys": records})))


def make_keys(data: Path) -> dict[str, str]:
    file = KeyFile(data)
    keys = {
        scope.value: file.create(f"for {scope}", scopes=[scope], expires_at=None) for scope in Scope
    }
    for state in ("expired", "revoked"):
        keys[state] = file.create(state, scopes=EVERY_SCOPE, expires_at=None)
    file.revoke(id_in(keys["revoked"]))
    expire(data, id_in(keys["expired"]))
    return keys


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> Iterator[House]:
    data = tmp_path_factory.mktemp("gallery") / "data"
    fill(data, teacher, {"a": png(0)})
    settings = Settings(
        data=data,
        # No teacher: the matrix presses the reindex button, which must start nothing.
        teacher=data / "no-teacher",
        students=(student.directory,),
        search_key=SecretStr(SEARCH_KEY),
        admin_key=SecretStr(ADMIN_KEY),
    )
    with serving(settings) as client:
        yield House(client=client, data=data, keys=make_keys(data))


@pytest.mark.torture_row("authorization")
def test_the_matrix_knows_the_routes() -> None:
    paths = {path for _, path in routes()}
    assert {"/search", "/search/image", "/spaces", "/models", "/admin/reindex"} | OPEN <= paths


@pytest.mark.torture_row("authorization")
@pytest.mark.parametrize("who", ["search", "models", "metrics", "admin"])
@pytest.mark.parametrize(("method", "path"), routes())
def test_each_scope_opens_its_own_doors_only(
    house: House, method: str, path: str, who: str
) -> None:
    response = house.call(method, path, f"Bearer {house.keys[who]}")
    assert response.status_code != 401
    if path in OPEN or Scope(who) in opened_by(path):
        assert response.status_code != 403
        assert response.status_code < 500
    elif method == "head":
        assert response.status_code == 403
    else:
        problem(response, 403, "forbidden")


@pytest.mark.torture_row("authorization")
@pytest.mark.parametrize("who", ["nobody", "expired", "revoked"])
@pytest.mark.parametrize(("method", "path"), routes())
def test_who_has_no_living_key_sees_only_the_health_checks(
    house: House, method: str, path: str, who: str
) -> None:
    key = house.keys.get(who)
    response = house.call(method, path, key and f"Bearer {key}")
    if path in OPEN:
        assert response.status_code == 200
    else:
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.status_code == 401
        if method != "head":
            problem(response, 401, "unauthorized")


@pytest.mark.torture_row("authorization")
@pytest.mark.parametrize("authorization", [
    "Bearer wrong", "Bearer x y", "Bearer", "Basic " + SEARCH_KEY, SEARCH_KEY,
    f"Bearer {SEARCH_KEY}x", f"Bearer {SEARCH_KEY[:-1]}", f"Bearer {SEARCH_KEY.upper()}",
])  # fmt: skip
@pytest.mark.parametrize(("method", "path"), routes())
def test_a_wrong_key_is_like_none(house: House, method: str, path: str, authorization: str) -> None:
    if path not in OPEN:
        assert house.call(method, path, authorization).status_code == 401


@pytest.mark.parametrize(("method", "path"), routes())
def test_the_configured_search_key_opens_searching_and_students(
    house: House, method: str, path: str
) -> None:
    response = house.call(method, path, f"Bearer {SEARCH_KEY}")
    may = path in OPEN or not opened_by(path).isdisjoint({Scope.SEARCH, Scope.MODELS})
    assert (response.status_code != 403) is may


@pytest.mark.parametrize(("method", "path"), routes())
def test_the_configured_admin_key_opens_everything(house: House, method: str, path: str) -> None:
    response = house.call(method, path, f"Bearer {ADMIN_KEY}")
    assert response.status_code not in (401, 403)
    assert response.status_code < 500


def test_looking_changes_nothing(house: House) -> None:
    def state() -> dict[str, bytes]:
        # SQLite keeps its readers' locks in -shm, and the WAL's header beside the data.
        files = (path for path in house.data.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files if path.suffix != ".sqlite-shm"}

    before = state()
    for method, path in routes():
        if method in ("get", "head"):
            house.call(method, path, f"Bearer {ADMIN_KEY}")
    assert state() == before


def test_a_key_opens_from_when_it_is_made_until_it_is_revoked(house: House) -> None:
    file = KeyFile(house.data)
    token = file.create("for a moment", scopes=[Scope.SEARCH], expires_at=None)
    headers = {"authorization": f"Bearer {token}"}
    assert house.client.get("/spaces", headers=headers).status_code == 200
    file.revoke(id_in(token))
    refused = problem(house.client.get("/spaces", headers=headers), 401, "unauthorized")
    assert "revoked" in str(refused["detail"])


def test_a_damaged_key_file_shuts_its_doors_and_not_those_of_the_settings(
    house: House,
) -> None:
    path = house.data / KEYS_NAME
    kept = path.read_bytes()
    for damaged in (kept[:-10], b"", b'[{"id": "x"}]', b"\xff" * 100):
        durable.replace_file(path, damaged)
        with pytest.raises(InvalidGallery, match=KEYS_NAME):
            KeyFile(house.data).records()
        for key in (None, house.keys["admin"], house.keys["search"]):
            assert house.call("get", "/spaces", key and f"Bearer {key}").status_code == 500
        assert house.call("get", "/spaces", f"Bearer {SEARCH_KEY}").status_code == 200
    durable.replace_file(path, kept)
    assert house.call("get", "/spaces", f"Bearer {house.keys['search']}").status_code == 200


def test_the_first_key_shuts_an_open_house_for_good(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    fill(tmp_path / "data", teacher, {"a": png(0)})
    settings = Settings(data=tmp_path / "data", students=(student.directory,))
    with serving(settings) as client:
        assert client.get("/spaces").status_code == 200
        token = KeyFile(settings.data).create("first", scopes=[Scope.MODELS], expires_at=None)
        problem(client.get("/spaces"), 401, "unauthorized")
        headers = {"authorization": f"Bearer {token}"}
        assert client.get("/spaces", headers=headers).status_code == 200
        (settings.data / KEYS_NAME).unlink()
        problem(client.get("/spaces"), 401, "unauthorized")


def test_keys_of_the_file_are_enough_to_listen_beyond_this_machine(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="keys create"):
        load_settings(host="0.0.0.0", data=tmp_path)
    KeyFile(tmp_path).create("first", scopes=[Scope.SEARCH], expires_at=None)
    settings = load_settings(host="0.0.0.0", data=tmp_path)
    assert not settings.is_keyless


def test_a_service_with_keys_answers_to_any_host_name(house: House) -> None:
    headers = {"host": "search.example", "authorization": f"Bearer {SEARCH_KEY}"}
    assert house.client.get("/spaces", headers=headers).status_code == 200


def test_with_the_search_key_alone_administration_stays_shut(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    fill(tmp_path / "data", teacher, {"a": png(0)})
    settings = Settings(
        data=tmp_path / "data",
        students=(student.directory,),
        search_key=SecretStr(SEARCH_KEY),
    )
    with serving(settings) as client:
        house = House(client=client, data=settings.data, keys={})
        refused = house.call("post", "/admin/reindex", f"Bearer {SEARCH_KEY}")
        problem(refused, 403, "forbidden")
        problem(house.call("post", "/admin/reindex", None), 401, "unauthorized")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
@pytest.mark.parametrize("keys", [{}, {"search_key": SEARCH_KEY}, {"admin_key": ADMIN_KEY}])
def test_listening_beyond_this_machine_without_both_keys_is_refused(
    host: str, keys: dict[str, str]
) -> None:
    with pytest.raises(InvalidConfiguration, match="LORGNETTE_SEARCH_KEY"):
        load_settings(host=host, **keys)


def test_listening_beyond_this_machine_with_both_keys_is_allowed() -> None:
    settings = load_settings(host="0.0.0.0", search_key=SEARCH_KEY, admin_key=ADMIN_KEY)
    assert not settings.is_keyless
    assert SEARCH_KEY not in repr(settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_this_machine_alone_needs_no_key(host: str) -> None:
    assert load_settings(host=host).is_keyless


def test_keys_come_from_files_of_the_secrets_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lorgnette_search_key").write_text(SEARCH_KEY + "\n")
    (tmp_path / "lorgnette_admin_key").write_text(ADMIN_KEY + "\n")
    monkeypatch.setenv("LORGNETTE_SECRETS_DIR", str(tmp_path))
    settings = load_settings(host="0.0.0.0")
    assert settings.search_key is not None
    assert settings.search_key.get_secret_value() == SEARCH_KEY


@pytest.mark.parametrize("key", ["short", "", " " * 20, "ключ" * 8, "two words of a passphrase"])
def test_a_weak_key_is_refused_and_never_repeated(key: str) -> None:
    with pytest.raises(InvalidConfiguration, match="openssl rand") as caught:
        load_settings(search_key=key)
    assert not key.strip() or key not in str(caught.value)


def test_one_key_for_both_doors_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="same"):
        load_settings(search_key=SEARCH_KEY, admin_key=SEARCH_KEY)


@pytest.mark.parametrize(
    "given",
    [{"port": -1}, {"port": 70000}, {"max_k": 0}, {"recall_gate": 1.5}, {"bogus": 1},
     {"search_threads": 0}],
)  # fmt: skip
def test_a_setting_that_cannot_work_is_named(given: dict[str, object]) -> None:
    (name,) = given
    with pytest.raises(InvalidConfiguration, match=name):
        load_settings(**given)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORGNETTE_STUDENTS", "models/a, models/b")
    monkeypatch.setenv("LORGNETTE_MAX_K", "5")
    monkeypatch.setenv("LORGNETTE_PORT", "")
    settings = load_settings(max_k=None)
    assert settings.students == (Path("models/a"), Path("models/b"))
    assert (settings.max_k, settings.port) == (5, 8080)
