"""`/metrics` against what was really asked, parsed as Prometheus parses it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lorgnette import durable
from lorgnette.bundle import Bundle
from service.drift import CALIBRATIONS_NAME, Drift
from service.gauges import memory_of
from service.metrics import Metrics
from service.settings import Settings
from tests.service.serving import eventually, fill, png, problem, serving
from tests.tiny_bundle import space_of

SPACE = space_of(0).id
COUNT = 80


class Read:
    """One reading of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name with at least these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> Iterator[httpx.Client]:
    data = tmp_path_factory.mktemp("gallery") / "data"
    fill(data, teacher, {f"photo-{seed}": png(seed) for seed in range(COUNT)})
    settings = Settings(
        data=data,
        teacher=teacher.directory,
        students=(student.directory,),
        monitor_share=1.0,
        calibration_queries=30,
    )
    with serving(settings) as client:
        yield client


def read(client: httpx.Client) -> Read:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return Read(response.text)


def grown(client: httpx.Client, before: Read, name: str, by: float, **labels: str) -> None:
    """A request is counted when its answer has been sent: shortly after it is here."""
    eventually(lambda: read(client)(name, **labels) == before(name, **labels) + by)


def search(client: httpx.Client, body: Mapping[str, object]) -> httpx.Response:
    return client.post("/search", json=body)


def test_every_answer_is_counted_under_its_route_and_status(client: httpx.Client) -> None:
    before = read(client)
    for _ in range(3):
        assert search(client, {"space": SPACE, "vectors": [[1.0] * 16]}).status_code == 200
    assert client.get("/models/none/manifest.json").status_code == 404
    assert client.get("/made/up/path").status_code == 404
    name = "lorgnette_request_seconds_count"
    grown(client, before, name, 3, route="/search", method="POST", status="200")
    grown(client, before, name, 1, route="/models/{name}/manifest.json", status="404")
    grown(client, before, name, 1, route="none", status="404")
    assert "/made/up" not in client.get("/metrics").text


def test_a_wrong_space_and_nan_are_counted_apart(client: httpx.Client) -> None:
    before = read(client)
    problem(search(client, {"space": space_of(1).id, "vectors": [[1.0] * 16]}), 409,
            "space-mismatch")  # fmt: skip
    numbers = [1e39] + [0.0] * 15
    problem(search(client, {"space": SPACE, "vectors": [numbers]}), 422, "invalid-vector")
    problem(search(client, {"space": SPACE, "vectors": [[0.0] * 16]}), 422, "invalid-vector")
    grown(client, before, "lorgnette_space_mismatches_total", 1)
    grown(client, before, "lorgnette_non_finite_vectors_total", 1)
    grown(client, before, "lorgnette_problems_total", 2, code="invalid-vector")


def test_every_stage_of_a_photograph_s_search_is_timed(client: httpx.Client) -> None:
    before = read(client)
    assert client.post("/search/image", content=png(3)).status_code == 200
    for stage in ("read", "encode", "search", "metadata"):
        grown(client, before, "lorgnette_stage_seconds_count", 1, stage=stage)


def test_the_gallery_s_state_is_what_the_service_says_elsewhere(client: httpx.Client) -> None:
    now = read(client)
    (space,) = client.get("/spaces").json()["spaces"]
    assert now("lorgnette_ready") == 1
    assert now("lorgnette_items", space=SPACE) == space["count"] == COUNT
    assert now("lorgnette_generation", space=SPACE) == space["generation"] == 0
    assert now("lorgnette_tail_items", space=SPACE) == COUNT
    memory = [s for s in now.samples if s.name == "lorgnette_memory_bytes"]
    assert {sample.labels["kind"] for sample in memory} == {"private", "shared", "pss"}
    assert now("lorgnette_memory_bytes", kind="private") > 10_000_000


def test_the_monitor_says_how_often_student_and_teacher_agree(
    client: httpx.Client, teacher: Bundle, student: Bundle
) -> None:
    """Against both encoders, asked here."""
    from lorgnette.encoder import Encoder

    gallery = np.stack([Encoder(teacher).encode(png(seed)) for seed in range(COUNT)])
    expected = 0.0
    before = read(client)
    for asked, seed in enumerate((230, 249), start=1):
        tens = [
            set(np.argsort(-(gallery @ Encoder(bundle).encode(png(seed))))[:10].tolist())
            for bundle in (teacher, student)
        ]
        expected += len(tens[0] & tens[1]) / 10
        assert client.post("/search/image", content=png(seed), params={"k": 1}).status_code == 200
        grown(client, before, "lorgnette_monitor_samples_total", asked, outcome="measured")
    total = read(client)("lorgnette_agreement_at_10_sum") - before("lorgnette_agreement_at_10_sum")
    assert math.isclose(total, expected)
    assert 0 < expected < 2, "a pair that always or never agrees shows nothing"


def test_a_drift_shows_in_the_tenths(tmp_path: Path) -> None:
    metrics, generator = Metrics(), np.random.default_rng(0)
    drift = Drift(tmp_path, size=500, metrics=metrics)

    def psi(scores: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        """The population stability index over what these queries added to the tenths."""
        before = Read(metrics.render([]).decode())
        drift.searched(SPACE, scores.tolist())
        after = Read(metrics.render([]).decode())
        counts = np.array([
            after("lorgnette_query_deciles_total", decile=str(n))
            - before("lorgnette_query_deciles_total", decile=str(n))
            for n in range(1, 11)
        ])  # fmt: skip
        assert counts.sum() == len(scores)
        shares = np.maximum(counts / counts.sum(), 1e-4)
        return float(((shares - 0.1) * np.log(shares / 0.1)).sum())

    drift.searched(SPACE, generator.normal(0.7, 0.1, 500).tolist())
    assert Read(metrics.render([]).decode())("lorgnette_query_deciles_total") == 0
    assert psi(generator.normal(0.7, 0.1, 2000)) < 0.1
    assert psi(generator.normal(0.5, 0.1, 2000)) > 0.25


def test_a_calibration_is_kept_and_the_first_one_holds(tmp_path: Path) -> None:
    first, second = (Drift(tmp_path, size=3, metrics=Metrics()) for _ in range(2))
    first.searched(SPACE, [0.1, 0.2])
    second.searched(SPACE, [0.7, 0.8])
    first.searched(SPACE, [0.3])
    second.searched(SPACE, [0.9])
    expected = tuple(np.quantile([0.1, 0.2, 0.3], np.arange(1, 10) / 10).tolist())
    third = Drift(tmp_path, size=3, metrics=Metrics())
    third.searched(SPACE, [0.5])
    for drift in (first, second, third):
        assert drift.calibrations()[SPACE] == pytest.approx(expected)
    path = tmp_path / CALIBRATIONS_NAME / f"{SPACE}.json"
    assert len(json.loads(path.read_bytes())) == 9
    durable.replace_file(path, b"[1, 2]")
    damaged = Drift(tmp_path, size=3, metrics=Metrics())
    damaged.searched(SPACE, [0.5])
    assert not damaged.calibrations()


def test_memory_is_the_kernel_s_figure_and_a_gone_process_has_none() -> None:
    import os

    memory = memory_of(os.getpid())
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert memory["private"] + memory["shared"] == pytest.approx(rss, rel=0.2)
    assert memory_of(2**22 + 1) == {}
