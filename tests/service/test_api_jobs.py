"""`POST /admin/reindex`: another process works, the old generation answers throughout."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle
from service.gallery.build import Options, index_folder
from service.settings import Settings
from tests.service.serving import eventually, png, problem, serving
from tests.tiny_bundle import space_of

COUNT = 5
FINISHED = {"succeeded", "failed", "cancelled", "interrupted"}


@dataclass(frozen=True)
class Place:
    client: httpx.Client
    teacher: Path


@pytest.fixture
def place(tmp_path: Path, teacher: Bundle, student: Bundle) -> Iterator[Place]:
    with placed(tmp_path, teacher, student) as place:
        yield place


@pytest.fixture(scope="module")
def quiet(
    tmp_path_factory: pytest.TempPathFactory, teacher: Bundle, student: Bundle
) -> Iterator[Place]:
    """A place where no job is ever started."""
    with placed(tmp_path_factory.mktemp("quiet"), teacher, student) as place:
        yield place
        assert place.client.get("/admin/jobs").json() == {"jobs": []}


@contextmanager
def placed(tmp_path: Path, teacher: Bundle, student: Bundle) -> Iterator[Place]:
    """A service over a gallery that was indexed from a folder, with a teacher of its own."""
    own = tmp_path / "teacher"
    shutil.copytree(teacher.directory, own)
    (tmp_path / "photos").mkdir()
    for seed in range(COUNT):
        (tmp_path / "photos" / f"{seed}.png").write_bytes(png(seed))
    index_folder(tmp_path / "photos", tmp_path / "data", own, options=Options(threads=1))
    settings = Settings(data=tmp_path / "data", teacher=own, students=(student.directory,))
    with serving(settings) as client:
        yield Place(client=client, teacher=own)


def start(client: httpx.Client, **body: object) -> httpx.Response:
    return client.post("/admin/reindex", json=body)


def finished(client: httpx.Client, location: str) -> dict[str, object]:
    """The job when it is over; every look at it is also a search that must be answered."""
    job: dict[str, object] = {}

    def is_over() -> bool:
        assert searched(client)["results"]
        job.update(client.get(location).json())
        return job["state"] in FINISHED

    eventually(is_over, within_s=40)
    return job


def searched(client: httpx.Client) -> dict[str, object]:
    body = {"space": space_of(0).id, "vectors": [[1.0] * 16], "k": COUNT}
    response = client.post("/search", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, object] = response.json()
    return answer


def test_a_reindex_is_accepted_worked_off_and_then_live(place: Place) -> None:
    before = searched(place.client)
    response = start(place.client)
    assert response.status_code == 202, response.text
    assert int(response.headers["retry-after"]) >= 1
    location = response.headers["location"]
    assert location == f"/admin/jobs/{response.json()['id']}"

    second = problem(start(place.client), 409, "conflict")
    assert response.json()["id"] in str(second["detail"])

    job = finished(place.client, location)
    assert job["state"] == "succeeded", job
    eventually(lambda: searched(place.client)["generation"] != before["generation"])
    after = searched(place.client)
    assert after["results"] == before["results"]
    listed = place.client.get("/admin/jobs").json()["jobs"]
    assert [entry["id"] for entry in listed] == [job["id"]]


def test_a_failed_reindex_says_why_and_the_old_generation_answers(place: Place) -> None:
    before = searched(place.client)
    model = place.teacher / "model.onnx"
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    job = finished(place.client, start(place.client).headers["location"])
    assert job["state"] == "failed"
    assert str(dict(job["error"])["type"]).endswith("bundle-corrupt")  # type: ignore[call-overload]
    after = searched(place.client)
    assert (after["generation"], after["results"]) == (before["generation"], before["results"])


def test_an_unknown_or_malformed_factory_starts_nothing(place: Place) -> None:
    for factory in ("", "Flat; rm -rf /", "Flat\0", "x" * 200, "Flät", "Nonsense99", "IDMap,Flat"):
        refused = problem(start(place.client, factory=factory), 422, "invalid-request")
        assert "factory: " in str(refused["detail"])
    assert place.client.get("/admin/jobs").json() == {"jobs": []}


def test_without_a_teacher_nothing_is_started(place: Place) -> None:
    shutil.rmtree(place.teacher)
    assert "--teacher" in str(problem(start(place.client), 409, "conflict")["detail"])
    assert place.client.get("/admin/jobs").json() == {"jobs": []}


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", "{}", 415),
        ("application/x-www-form-urlencoded", "a=b", 415),
        ("multipart/form-data; boundary=x", "--x--", 415),
        ("", "{}", 415),
        ("application/json", "", 422),
        ("application/json", "[]", 422),
        ("application/json", '{"factory": 3}', 422),
        ("application/json", '{"unknown": 1}', 422),
    ],
)
def test_a_request_a_web_page_could_forge_starts_nothing(
    quiet: Place, kind: str, body: str, status: int
) -> None:
    response = quiet.client.post("/admin/reindex", content=body, headers={"content-type": kind})
    problem(response, status, "invalid-request")
    assert quiet.client.get("/admin/jobs").json() == {"jobs": []}


@pytest.mark.parametrize("job_id", ["none", "..%2f..", "%00", "é", "a" * 3000])
def test_an_unknown_job_is_not_found(quiet: Place, job_id: str) -> None:
    problem(quiet.client.get(f"/admin/jobs/{job_id}"), 404, "not-found")
