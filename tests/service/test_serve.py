"""`lorgnette serve` as a process: ready, refused, and stopped without dropping anybody."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.errors import InvalidConfiguration
from lorgnette.vectors import WireDtype, to_base64
from service.keys import KeyFile, id_in
from service.listening import bind, url_of
from service.scopes import Scope
from service.settings import Settings
from tests.service.serving import ADMIN_KEY, SEARCH_KEY, eventually, fill, png
from tests.tiny_bundle import space_of

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 40


def environment(**extra: str) -> dict[str, str]:
    """This process's, without what its user set for a service of their own."""
    kept = {name: value for name, value in os.environ.items() if "LORGNETTE" not in name}
    return kept | extra


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lorgnette", "serve", *arguments]


@pytest.fixture(scope="module")
def options(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> tuple[str, ...]:
    data = tmp_path_factory.mktemp("gallery") / "data"
    fill(data, teacher, {"a": png(0)})
    return ("--data", str(data), "--student", str(student.directory), "--port", "0")


@contextmanager
def served(*arguments: str, **extra: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running service and the URL it printed."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, (line, process.communicate(timeout=PATIENCE_S))
        yield process, found.group()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE_S)


def refused(*arguments: str, **extra: str) -> str:
    """What a service that will not start says: one line, without a traceback."""
    done = subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode not in (0, -signal.SIGKILL)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_answers_and_finishes_what_it_began(
    options: tuple[str, ...], stop: signal.Signals
) -> None:
    with served(*options) as (process, url):
        assert httpx.get(f"{url}/readyz").json()["count"] == 1
        body = json.dumps({"space": space_of(0).id, "vectors": [[1.0] * 16]}).encode()
        port = httpx.URL(url).port
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as begun:
            begun.sendall(
                b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body[:10]
            )
            # Answered only after the half request before it was read by the same loop.
            assert httpx.get(f"{url}/healthz").status_code == 200
            process.send_signal(stop)
            begun.sendall(body[10:])
            answer = b""
            while chunk := begun.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 200 OK"), answer
        assert process.wait(timeout=PATIENCE_S) == 0


def test_the_log_is_json_lines_and_never_names_a_key(options: tuple[str, ...]) -> None:
    keys = {"LORGNETTE_SEARCH_KEY": SEARCH_KEY, "LORGNETTE_ADMIN_KEY": ADMIN_KEY}
    with served(*options, **keys) as (process, url):
        assert httpx.get(f"{url}/spaces").status_code == 401
        headers = {"authorization": f"Bearer {SEARCH_KEY}"}
        assert httpx.get(f"{url}/spaces", headers=headers).status_code == 200
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE_S)
        lines = [json.loads(line) for line in log.splitlines()]
        assert [line["status"] for line in lines if line["event"] == "request"] == [401, 200]
        assert SEARCH_KEY not in log
        assert ADMIN_KEY not in log


def test_a_port_in_use_is_one_sentence(options: tuple[str, ...]) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = httpx.URL(url_of(taken)).port
        said = refused(*options[:-1], str(port))
    assert f"port {port}" in said
    assert "another --port" in said


def test_listening_beyond_this_machine_without_keys_is_one_sentence(
    options: tuple[str, ...],
) -> None:
    said = refused(*options, "--host", "0.0.0.0")
    assert "LORGNETTE_SEARCH_KEY" in said
    only_one = refused(*options, "--host", "0.0.0.0", LORGNETTE_SEARCH_KEY=SEARCH_KEY)
    assert "LORGNETTE_ADMIN_KEY" in only_one
    assert SEARCH_KEY not in only_one


def test_a_missing_student_is_one_sentence(options: tuple[str, ...], tmp_path: Path) -> None:
    said = refused("--data", str(tmp_path), "--student", str(tmp_path / "none"), "--port", "0")
    assert "not a bundle" in said


def test_an_address_that_is_not_ours_is_one_sentence() -> None:
    for host in ("203.0.113.7", "no.such.name.invalid"):
        with pytest.raises(InvalidConfiguration, match="another --host"):
            bind(host, 0)


def test_a_listening_port_is_not_shared() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidConfiguration, match="in use"):
            bind("127.0.0.1", port)
    bind("127.0.0.1", port).close()


def test_the_verbs_load_nothing_heavy_until_they_are_called() -> None:
    code = (
        "import sys, service.cli; "
        "print([name for name in ('faiss', 'fastapi', 'uvicorn', 'onnxruntime', 'numpy') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_while_it_loads_it_answers_that_it_is_not_ready(options: tuple[str, ...]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    # Opening the catalogue waits for whoever writes to it.
    catalogue = sqlite3.connect(Path(options[1]) / "catalogue.sqlite", isolation_level=None)
    catalogue.execute("BEGIN EXCLUSIVE")
    process = subprocess.Popen(
        command(*options[:-1], str(port)),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: status(f"{url}/healthz") == 200)
        loading = httpx.get(f"{url}/readyz")
        assert loading.status_code == 503
        assert "loading" in loading.json()["detail"]
        assert "lorgnette_ready 0.0" in httpx.get(f"{url}/metrics").text
        catalogue.execute("ROLLBACK")
        eventually(lambda: status(f"{url}/readyz") == 200)
    finally:
        catalogue.close()
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def status(url: str) -> int:
    try:
        return httpx.get(url).status_code
    except httpx.TransportError:
        return 0


def test_the_settings_are_printed_without_their_keys(options: tuple[str, ...]) -> None:
    done = subprocess.run(
        command(*options, "--print-settings"),
        cwd=ROOT,
        env=environment(LORGNETTE_SEARCH_KEY=SEARCH_KEY, LORGNETTE_MAX_K="77"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    printed = json.loads(done.stdout)
    assert set(printed) == set(Settings.model_fields)
    assert (printed["max_k"], printed["admin_key"], printed["port"]) == (77, None, 0)
    assert set(printed["search_key"]) == {"*"}
    assert SEARCH_KEY not in done.stdout + done.stderr


def test_a_full_run_logs_no_vector_no_image_and_no_key(
    options: tuple[str, ...], teacher: Bundle
) -> None:
    """Everything a phone and its keeper do; then the log is searched for what they sent."""
    row = Encoder(teacher).encode(png(5))
    vectors = [[float(number) for number in row]]
    forms: tuple[WireDtype, ...] = ("f16", "f32")
    packed = {form: to_base64(row[None, :], dtype=form) for form in forms}
    keys = {"LORGNETTE_SEARCH_KEY": SEARCH_KEY, "LORGNETTE_ADMIN_KEY": ADMIN_KEY}
    token = KeyFile(Path(options[1])).create("phone", scopes=[Scope.SEARCH], expires_at=None)
    with served(*options, "--teacher", str(teacher.directory), **keys,
                LORGNETTE_MONITOR_SHARE="1") as (process, url):  # fmt: skip
        for key in (SEARCH_KEY, ADMIN_KEY, token, "a-wrong-key-entirely"):
            with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}) as client:
                space = space_of(0).id
                client.post("/search", json={"space": space, "vectors": vectors})
                client.post("/search", json={"space": "no-space", "vectors": vectors})
                client.post("/search", json={"space": space, "vectors": [*vectors, [1.0]]})
                client.post("/search", json={"space": space, "vectors": vectors, "key": key})
                for form, data in packed.items():
                    sent = {"space": space, "vectors": {"dtype": form, "data": data}}
                    client.post("/search", json=sent)
                    client.post("/search", json=sent | {"k": data})
                client.post("/search/image", content=png(5))
                client.post("/search/image", content=png(5)[:-20])
                client.post("/admin/reindex", json={"factory": key})
                client.get("/models", params={"key": key})
                client.get("/metrics")
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE_S)
    lines = [json.loads(line) for line in log.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) > 40
    assert all(line["request_id"] for line in requests)
    assert {line.get("key") for line in requests} == {
        None, "search_key", "admin_key", id_in(token),
    }  # fmt: skip
    secrets = [SEARCH_KEY, ADMIN_KEY, token, "a-wrong-key-entirely", *packed.values()]
    secrets += [f"{number:.5f}"[:-1] for number in row if abs(number) > 0.01]
    secrets += [base64.b64encode(png(5)).decode()[20:60], png(5)[50:80].hex(), repr(png(5)[50:60])]
    assert not [secret for secret in secrets if secret in log]
