"""Every route of the OpenAPI document against every key; a new route cannot be missed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidConfiguration
from service.app import create_app
from service.settings import Settings, load_settings
from tests.service.serving import ADMIN_KEY, SEARCH_KEY, fill, png, problem, serving

OPEN = {"/healthz", "/readyz"}


def routes() -> list[tuple[str, str]]:
    document = create_app(Settings()).openapi()
    return [(method, path) for path, methods in document["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> Iterator[httpx.Client]:
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
        yield client


def call(client: httpx.Client, method: str, path: str, key: str | None) -> httpx.Response:
    concrete = path.format(name="tiny-query", path="model.onnx", job_id="none")
    headers = {"content-type": "application/json"}
    if key is not None:
        headers["authorization"] = key
    return client.request(method, concrete, content=b"{}", headers=headers)


def test_the_matrix_knows_the_routes() -> None:
    paths = {path for _, path in routes()}
    assert {"/search", "/search/image", "/spaces", "/models", "/admin/reindex"} | OPEN <= paths


@pytest.mark.parametrize(("method", "path"), routes())
def test_no_key_opens_only_the_health_checks(client: httpx.Client, method: str, path: str) -> None:
    response = call(client, method, path, None)
    if path in OPEN:
        assert response.status_code == 200
    else:
        problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", [
    "Bearer wrong", "Bearer x y", "Bearer", "Basic " + SEARCH_KEY, SEARCH_KEY,
    f"Bearer {SEARCH_KEY}x", f"Bearer {SEARCH_KEY[:-1]}", f"Bearer {SEARCH_KEY.upper()}",
])  # fmt: skip
@pytest.mark.parametrize(("method", "path"), routes())
def test_a_wrong_key_is_like_none(client: httpx.Client, method: str, path: str, key: str) -> None:
    if path not in OPEN:
        problem(call(client, method, path, key), 401, "unauthorized")


@pytest.mark.parametrize(("method", "path"), routes())
def test_the_search_key_opens_all_but_administration(
    client: httpx.Client, method: str, path: str
) -> None:
    response = call(client, method, path, f"Bearer {SEARCH_KEY}")
    if path.startswith("/admin"):
        problem(response, 403, "forbidden")
    else:
        assert response.status_code not in (401, 403)


@pytest.mark.parametrize(("method", "path"), routes())
def test_the_admin_key_opens_everything(client: httpx.Client, method: str, path: str) -> None:
    response = call(client, method, path, f"Bearer {ADMIN_KEY}")
    assert response.status_code not in (401, 403)
    assert response.status_code < 500


def test_a_service_with_keys_answers_to_any_host_name(client: httpx.Client) -> None:
    headers = {"host": "search.example", "authorization": f"Bearer {SEARCH_KEY}"}
    assert client.get("/spaces", headers=headers).status_code == 200


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
        problem(call(client, "POST", "/admin/reindex", f"Bearer {SEARCH_KEY}"), 403, "forbidden")
        problem(call(client, "POST", "/admin/reindex", None), 401, "unauthorized")


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
