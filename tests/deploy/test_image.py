"""What the Dockerfile runs, run outside Docker; and that the pictures show figures that exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from lorgnette.bundle import Bundle
from service import defaults
from service.settings import Settings
from tests.service.serving import ADMIN_KEY, SEARCH_KEY, eventually, fill, png, serving

ROOT = Path(__file__).resolve().parents[2]


def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's instructions, by stage."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.partition(" ") for line in text.splitlines() if line and line[0].isupper())
    found: list[list[tuple[str, str]]] = []
    for name, _, rest in lines:
        if name == "FROM":
            found.append([])
        found[-1].append((name, rest.strip()))
    return found


def last(name: str) -> str:
    return [rest for found, rest in stages()[-1] if found == name][-1]


def image_environment() -> dict[str, str]:
    found = [rest for name, rest in stages()[-1] if name == "ENV"]
    return dict(pair.split("=", 1) for pair in shlex.split(" ".join(found)))


def run_image(
    binaries: Path, work: Path, data: Path, *, port: int, secrets: Path
) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """ENTRYPOINT and CMD with the image's variables; only places and the address are ours."""
    declared = image_environment()
    assert declared["LORGNETTE_DATA"] == "/data"
    assert declared["LORGNETTE_HOST"] == "0.0.0.0"
    environment = {
        **declared,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "LORGNETTE_DATA": str(data),
        "LORGNETTE_PORT": str(port),
        "LORGNETTE_SECRETS_DIR": str(secrets),
        "TMPDIR": str(work),
    }
    command = [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))]
    command[0] = str(binaries / command[0])
    process = subprocess.Popen(
        command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    return process, environment


def exercise(binaries: Path, work: Path, data: Path, *, port: int, secrets: Path) -> None:
    """Start, be healthy, answer, stop as Docker would."""
    process, environment = run_image(binaries, work, data, port=port, secrets=secrets)
    try:
        check = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
        check[0] = str(binaries / check[0])

        def is_healthy() -> bool:
            assert process.poll() is None, process.communicate()
            done = subprocess.run(check, env=environment, capture_output=True, check=False)
            return done.returncode == 0

        eventually(is_healthy)
        url = f"http://127.0.0.1:{port}"
        headers = {"authorization": f"Bearer {SEARCH_KEY}"}
        eventually(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        answer = httpx.post(f"{url}/search/image", content=png(1), headers=headers)
        assert answer.status_code == 200, answer.text
        assert httpx.get(f"{url}/spaces").status_code == 401
        process.send_signal(getattr(signal, last("STOPSIGNAL")))
        assert process.wait(timeout=40) == 0
        failed = subprocess.run(check, env=environment, capture_output=True, check=False)
        assert failed.returncode != 0
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name, key in (("search", SEARCH_KEY), ("admin", ADMIN_KEY)):
        (folder / f"lorgnette_{name}_key").write_text(key)
    return folder


def test_the_image_s_commands_start_check_and_stop_a_service(
    tmp_path: Path, teacher: Bundle, student: Bundle, free_port: int, secrets: Path
) -> None:
    fill(tmp_path / "data", teacher, {f"{seed}": png(seed) for seed in range(3)})
    shutil.copytree(student.directory, tmp_path / "models" / "student")
    binaries = Path(sys.executable).parent
    exercise(binaries, tmp_path, tmp_path / "data", port=free_port, secrets=secrets)


@pytest.mark.slow
def test_the_image_s_own_installation_indexes_and_answers(
    tmp_path: Path, free_port: int, secrets: Path
) -> None:
    """The build stage's COPY and RUN in an empty environment, and then as above; needs an index
    of packages."""
    source, venv = tmp_path / "source", tmp_path / "venv"
    source.mkdir()
    for name, rest in stages()[0]:
        if name == "COPY":
            *origins, target = shlex.split(rest)
            for origin in origins:
                into = source / (origin if target == "./" else target)
                into.parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (ROOT / origin).is_dir() else shutil.copy
                copy(ROOT / origin, into)
        if name == "RUN":
            command = rest.replace("/opt/lorgnette", str(venv))
            command = command.replace("python -m", f"{sys.executable} -m", 1)
            subprocess.run(["sh", "-ec", command], cwd=source, check=True, timeout=900)
    installed = {path.name for path in next((venv / "lib").iterdir()).glob("site-packages/*")}
    assert "faiss" in installed
    assert "torch" not in installed
    work = tmp_path / "srv"
    shutil.copytree(ROOT / "models", work / "models")
    photographs = tmp_path / "photos"
    photographs.mkdir()
    for seed in range(3):
        (photographs / f"{seed}.png").write_bytes(png(seed))
    index = [venv / "bin" / "lorgnette", "index", photographs, "--data", tmp_path / "data"]
    subprocess.run(index, cwd=work, check=True, timeout=300)
    exercise(venv / "bin", work, tmp_path / "data", port=free_port, secrets=secrets)


@pytest.mark.slow
def test_the_image_s_own_page_is_built_and_shown(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    """The page stage's COPY and RUN, outside of Docker; needs Node and a registry of packages."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm: install Node 20.12 or newer")
    place = tmp_path
    ignored = shutil.ignore_patterns("node_modules", "build", "dist")
    for name, rest in stages()[1]:
        if name == "COPY":
            origin, target = shlex.split(rest)
            shutil.copytree(ROOT / origin, tmp_path / target.lstrip("/"), ignore=ignored)
        if name == "WORKDIR":
            place = tmp_path / rest.lstrip("/")
        if name == "RUN":
            subprocess.run(["sh", "-ec", rest], cwd=place, check=True, timeout=600)
    copied = next(rest for _, rest in stages()[-1] if rest.startswith("--from=page "))
    _, origin, target = copied.split()
    assert Path(target) == defaults.PAGE
    fill(tmp_path / "data", teacher, {"a": png(0)})
    page = tmp_path / origin.lstrip("/")
    settings = Settings(data=tmp_path / "data", students=(student.directory,), page=page)
    with serving(settings) as client:
        shown = client.get("/")
        assert "npm run build" not in shown.text
        for address in re.findall(r"(?:src|href)=\"(/[^\"]+)\"", shown.text):
            assert client.get(address).status_code == 200, address


def test_the_image_is_built_in_stages_unprivileged_and_pinned() -> None:
    build, page, final = stages()
    for stage in (build, final):
        assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-bookworm( AS build)?", stage[0][1])
    assert re.fullmatch(r"node:\d+\.\d+\.\d+-bookworm-slim AS page", page[0][1])
    assert last("USER") == "10001:10001"
    assert not any("pip" in rest for name, rest in final if name == "RUN")
    assert ("VOLUME", "/data") in final


def compose() -> dict[str, dict[str, dict[str, object]]]:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def test_every_service_of_the_compose_file_is_hardened_and_local() -> None:
    services = compose()["services"]
    assert set(services) == {"api", "edge", "index", "prometheus", "grafana"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        for port in service.get("ports", []):  # type: ignore[attr-defined]
            assert str(port).startswith("127.0.0.1:"), name
        assert ":latest" not in str(service.get("image", ""))


def test_the_compose_file_s_variables_and_secrets_are_settings() -> None:
    document = compose()
    known = {f"LORGNETTE_{name.upper()}" for name in Settings.model_fields}
    environment = document["services"]["api"]["environment"]
    assert isinstance(environment, dict)
    assert set(environment) <= known
    for secret in document["secrets"]:
        if secret.startswith("lorgnette_"):
            assert secret.upper() in known


def test_every_figure_the_dashboard_and_the_alerts_name_exists(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    fill(tmp_path / "data", teacher, {"a": png(0)})
    with serving(Settings(data=tmp_path / "data", students=(student.directory,))) as client:
        text = client.get("/metrics").text
    exposed = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    exposed |= {f"{name}_{end}" for name in exposed for end in ("bucket", "sum", "count")}
    alerts = (ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8")
    dashboard = (ROOT / "deploy/grafana/dashboards/lorgnette.json").read_text(encoding="utf-8")
    expressions = [
        *(rule["expr"] for group in yaml.safe_load(alerts)["groups"] for rule in group["rules"]),
        *(
            target["expr"]
            for panel in json.loads(dashboard)["panels"]
            for target in panel["targets"]
        ),
    ]
    recorded = set(re.findall(r"record: (\S+)", alerts))
    for expression in expressions:
        for name in re.findall(r"lorgnette[_:]\w+", expression):
            assert name in exposed | recorded, (name, expression)
    assert "lorgnette_request_seconds" in exposed
