"""The OpenAPI document against the service it describes, as schemathesis finds them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from lorgnette.bundle import Bundle
from service.settings import Settings
from tests.conftest import ROOT
from tests.service.serving import ADMIN_KEY, SEARCH_KEY, eventually, fill, png, serving
from tests.torture.figures import RecordFigure

pytestmark = pytest.mark.torture_row("fuzz")

ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}

LEFT_OUT = "positive_data_acceptance"
"""It demands success of whatever fits the schema. No schema says that base64 must decode to so many
numbers, or that an image must be one."""


@dataclass(frozen=True)
class Fuzzed:
    """generated: test cases; failures: their titles; text: what schemathesis printed."""

    generated: int
    failures: tuple[str, ...]
    text: str


def fuzz(url: str, folder: Path, *, phases: str, examples: int, longest_s: float) -> Fuzzed:
    """Every operation of the document, with every check but one."""
    report = folder / "report.json"
    config = folder / "schemathesis.toml"
    config.write_text(f'headers = {{ Authorization = "Bearer {ADMIN_KEY}" }}\n')
    command = [
        *(sys.executable, "-m", "schemathesis.cli", f"--config-file={config}", "--no-color", "run"),
        *(f"{url}/openapi.json", f"--phases={phases}", f"--max-examples={examples}", "--seed=1"),
        *("--checks=all", f"--exclude-checks={LEFT_OUT}", "--continue-on-failure"),
        *("--report=json", f"--report-json-path={report}"),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=longest_s,
        check=False,
    )  # fmt: skip
    assert report.is_file(), ran.stdout[-4000:] + ran.stderr[-4000:]
    found = json.loads(report.read_text())
    assert found["complete"], ran.stdout[-4000:]
    assert not found["errors"], found["errors"]
    return Fuzzed(
        generated=found["test_cases"]["generated"],
        failures=tuple(json.dumps(failure)[:2000] for failure in found["failures"]),
        text=ran.stdout,
    )


def answers(client: httpx.Client) -> dict[tuple[str, int], int]:
    """How often each route gave each status, as the service itself counts."""
    pattern = re.compile(r"lorgnette_request_seconds_count\{(.*)\} (\S+)")
    counted: dict[tuple[str, int], int] = {}
    for labels, count in pattern.findall(client.get("/metrics", headers=ADMIN).text):
        named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        # A stream whose reader left before it began has none.
        status = int(named["status"]) if named["status"] != "none" else 0
        key = (f"{named['method']} {named['route']}", status)
        counted[key] = counted.get(key, 0) + int(float(count))
    return counted


@pytest.fixture
def client(tmp_path: Path, teacher: Bundle, student: Bundle) -> Iterator[httpx.Client]:
    data = tmp_path / "data"
    fill(data, teacher, {f"p{n}": png(n) for n in range(6)})
    settings = Settings(
        data=data,
        teacher=teacher.directory,
        students=(student.directory,),
        search_key=SecretStr(SEARCH_KEY),
        admin_key=SecretStr(ADMIN_KEY),
    )
    with serving(settings) as client:
        yield client
        eventually(lambda: not _is_working(client))


def _is_working(client: httpx.Client) -> bool:
    jobs = client.get("/admin/jobs", headers=ADMIN).json()["jobs"]
    return any(job["state"] in ("queued", "running") for job in jobs)


def check(client: httpx.Client, fuzzed: Fuzzed, record_figure: RecordFigure) -> None:
    counted = answers(client)
    faults = {key: count for key, count in counted.items() if key[1] >= 500}
    record_figure("requests", fuzzed.generated)
    record_figure("outside the schema", len(fuzzed.failures), fold=sum)
    record_figure("5xx", sum(faults.values()), fold=sum)
    assert not fuzzed.failures, "\n".join(fuzzed.failures) + fuzzed.text[-4000:]
    assert not faults
    # Not all of it stops at the doors.
    assert counted.get(("POST /search", 200), 0) > 0, counted
    assert counted.get(("GET /models/{name}/{path:path}", 200), 0) > 0, counted


def test_a_few_examples_of_every_operation_are_answered_as_documented(
    client: httpx.Client, tmp_path: Path, record_figure: RecordFigure
) -> None:
    phases = "examples,fuzzing,stateful"
    fuzzed = fuzz(str(client.base_url), tmp_path, phases=phases, examples=10, longest_s=120)
    check(client, fuzzed, record_figure)


@pytest.mark.torture
def test_all_phases_find_nothing_outside_the_document(
    client: httpx.Client, tmp_path: Path, record_figure: RecordFigure
) -> None:
    phases = "examples,coverage,fuzzing,stateful"
    fuzzed = fuzz(str(client.base_url), tmp_path, phases=phases, examples=200, longest_s=6000)
    record_figure("examples an operation", 200, fold=min)
    check(client, fuzzed, record_figure)
