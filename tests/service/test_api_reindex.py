"""What an operator does over HTTP: jobs followed, cancelled and resumed, generations, spaces."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lorgnette.bundle import Bundle
from lorgnette.encoder import Encoder
from lorgnette.manifest import Space
from service.gallery import footprint, generations
from service.gallery.build import Options, index_folder
from service.gallery.catalogue import Catalogue
from service.gallery.files import writer_lock
from service.settings import Settings
from tests.service.gallery_rows import unit_rows
from tests.service.serving import eventually, png, problem, serving
from tests.tiny_bundle import space_of, write_tiny_bundle

COUNT = 8
FINAL = {"succeeded", "failed", "cancelled", "interrupted"}
OLD, NEW = space_of(0), space_of(1)


@dataclass(frozen=True)
class Place:
    client: httpx.Client
    data: Path
    bundles: Path


@pytest.fixture
def place(tmp_path: Path, teacher: Bundle, student: Bundle) -> Iterator[Place]:
    """A served gallery of eight photographs, and beside its teacher another one, `teacher-2`."""
    bundles = tmp_path / "models"
    shutil.copytree(teacher.directory, bundles / "teacher")
    shutil.copytree(student.directory, bundles / "student")
    write_tiny_bundle(bundles / "teacher-2", role="gallery", space_seed=1)
    write_tiny_bundle(bundles / "student-2", role="query", space_seed=1, name="student-2")
    (tmp_path / "photos").mkdir()
    for seed in range(COUNT):
        (tmp_path / "photos" / f"{seed}.png").write_bytes(png(seed))
    data = tmp_path / "data"
    index_folder(tmp_path / "photos", data, bundles / "teacher", options=Options(threads=1))
    settings = Settings(
        data=data,
        teacher=bundles / "teacher",
        students=(bundles / "student", bundles / "student-2"),
    )
    with serving(settings) as client:
        yield Place(client=client, data=data, bundles=bundles)


def post(client: httpx.Client, path: str, **body: object) -> httpx.Response:
    return client.post(path, json=body)


def started(place: Place, **body: object) -> str:
    response = post(place.client, "/admin/reindex", **body)
    assert response.status_code == 202, response.text
    return response.headers["location"]


def finished(client: httpx.Client, location: str) -> dict[str, object]:
    job: dict[str, object] = {}

    def is_over() -> bool:
        job.update(client.get(location).json())
        return job["state"] in FINAL

    eventually(is_over, within_s=40)
    return job


def succeeded(place: Place, location: str) -> dict[str, object]:
    job = finished(place.client, location)
    log = place.data / "jobs" / f"{job['id']}.log"
    assert job["state"] == "succeeded", (job, log.read_text())
    return job


def ids(client: httpx.Client, space: Space, *, k: int = 50) -> set[str]:
    body = {"space": space.id, "vectors": [[1.0] * space.dim], "k": k}
    answer = client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    return {hit["id"] for hit in answer.json()["results"][0]}


def spoken(client: httpx.Client) -> set[str]:
    return {entry["space"]["id"] for entry in client.get("/spaces").json()["spaces"]}


def events_of(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, object]]]:
    name = ""
    for line in lines:
        if line.startswith("id: "):
            name = line[4:]
        if line.startswith("data: "):
            yield name, json.loads(line[6:])


def followed(
    client: httpx.Client, location: str, *, after: str | None = None
) -> list[tuple[str, dict[str, object]]]:
    headers = {"last-event-id": after} if after else {}
    with client.stream("GET", f"{location}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events_of(response.iter_lines()))


@pytest.mark.torture_row("upgrade")
def test_the_upgrade_of_a_teacher_leaves_no_student_in_the_dark(place: Place) -> None:
    client = place.client
    put = client.put("/admin/items/early", content=png(70), headers={"content-type": "image/png"})
    assert put.status_code == 200, put.text
    location = started(place, teacher="teacher-2")
    seen_new = 0
    while client.get(location).json()["state"] not in FINAL:
        assert len(ids(client, OLD)) >= COUNT
        seen_new += NEW.id in spoken(client)
    succeeded(place, location)
    eventually(lambda: spoken(client) == {OLD.id, NEW.id})
    late = client.put("/admin/items/late", content=png(71), headers={"content-type": "image/png"})
    assert late.status_code == 200, late.text
    everything = {f"{seed}.png" for seed in range(COUNT)} | {"early", "late"}
    for space in (OLD, NEW):
        eventually(lambda space=space: ids(client, space) == everything)  # type: ignore[misc]
    row = Encoder(Bundle.open(place.bundles / "teacher-2")).encode(png(70)).tolist()
    answer = client.post("/search", json={"space": NEW.id, "vectors": [row], "k": 1}).json()
    assert answer["results"][0][0]["id"] == "early"

    assert client.delete(f"/admin/spaces/{OLD.id}").json() == {"retired": OLD.id}
    eventually(lambda: spoken(client) == {NEW.id})
    body = {"space": OLD.id, "vectors": [[1.0] * 16]}
    refused = problem(client.post("/search", json=body), 409, "space-mismatch")
    assert (refused["expected"], refused["students"]) == ([NEW.id], ["student-2"])
    last = problem(client.delete(f"/admin/spaces/{NEW.id}"), 409, "conflict")
    assert "last live space" in str(last["detail"])
    problem(client.delete(f"/admin/spaces/{OLD.id}"), 404, "not-found")
    # What comes now, an image or a reindex, is the new teacher's, whatever --teacher says.
    assert succeeded(place, started(place))["result"]["space"] == NEW.id  # type: ignore[index]
    after = client.put("/admin/items/after", content=png(72), headers={"content-type": "image/png"})
    assert after.status_code == 200, after.text
    assert client.get("/admin/items/after").json()["spaces"] == [NEW.id]


def test_while_a_new_space_is_being_embedded_it_is_not_searched(place: Place) -> None:
    """Half a gallery is no gallery: a new student is told to wait, not shown the half."""
    catalogue = Catalogue.open(place.data)
    known = catalogue.known(OLD.id)
    catalogue.add_vectors(NEW, [(known[0], unit_rows(1)[0])])
    catalogue.close()
    assert client_sees_write(place)
    assert spoken(place.client) == {OLD.id}


def client_sees_write(place: Place) -> bool:
    """Wait until the follower has looked again: it sees a later write too."""
    path = "/admin/items/marker"
    put = place.client.put(path, content=png(3), headers={"content-type": "image/png"})
    assert put.status_code == 200, put.text
    eventually(lambda: "marker" in ids(place.client, OLD))
    return True


def test_events_tell_the_whole_job_and_end_with_it(place: Place) -> None:
    location = started(place, teacher="teacher-2")
    told = followed(place.client, location)
    names = [name for name, _ in told]
    assert len(set(names)) == len(names) >= 2
    assert told[-1][1] == place.client.get(location).json()
    assert [job["state"] in FINAL for _, job in told] == [False] * (len(told) - 1) + [True]
    assert {job["stage"] for _, job in told} >= {"embedding", "succeeded"} or len(told) < 4
    assert followed(place.client, location, after=names[-1]) == []
    assert followed(place.client, location, after=names[0]) == told[-1:]
    problem(place.client.get(f"/admin/jobs/{'0' * 32}/events"), 404, "not-found")


def test_a_cancelled_job_stops_keeps_its_work_and_is_resumed(place: Place, tmp_path: Path) -> None:
    before = generations.read_current(place.data)
    for seed in range(100, 400):
        (tmp_path / "photos" / f"{seed}.png").write_bytes(png(seed))
    index_folder(tmp_path / "photos", place.data, place.bundles / "teacher")
    eventually(lambda: len(ids(place.client, OLD, k=1000)) == COUNT + 300)
    location = started(place, teacher="teacher-2")
    cancelled = post(place.client, f"{location}/cancel")
    assert cancelled.status_code == 202, cancelled.text
    assert finished(place.client, location)["state"] == "cancelled"
    assert NEW.id not in generations.read_current(place.data)
    assert not list((place.data / "generations").glob(".*"))
    problem(post(place.client, f"{location}/cancel"), 409, "conflict")
    resumed = post(place.client, f"{location}/resume")
    assert (resumed.status_code, resumed.headers["location"]) == (202, location)
    job = succeeded(place, location)
    assert job["result"]["count"] == COUNT + 300  # type: ignore[index]
    problem(post(place.client, f"{location}/resume"), 409, "conflict")
    assert generations.read_current(place.data).keys() == before.keys() | {NEW.id}


@pytest.fixture
def deaf() -> Iterator[None]:
    """SIGINT ignored, as in what a shell starts with `nohup ... &`; children inherit it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("deaf")
def test_a_job_of_a_service_that_ignores_ctrl_c_can_be_cancelled(
    place: Place, tmp_path: Path
) -> None:
    for seed in range(100, 400):
        (tmp_path / "photos" / f"{seed}.png").write_bytes(png(seed))
    index_folder(tmp_path / "photos", place.data, place.bundles / "teacher")
    location = started(place, teacher="teacher-2")
    cancelled = post(place.client, f"{location}/cancel")
    assert cancelled.status_code == 202, cancelled.text
    assert finished(place.client, location)["state"] == "cancelled"


def test_a_reindex_repeated_under_its_key_is_one_job(place: Place) -> None:
    headers = {"idempotency-key": "once"}
    first = place.client.post("/admin/reindex", json={}, headers=headers)
    again = place.client.post("/admin/reindex", json={}, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202), again.text
    assert first.json()["id"] == again.json()["id"]
    other = place.client.post("/admin/reindex", json={"factory": "SQ8"}, headers=headers)
    problem(other, 422, "invalid-request")
    succeeded(place, first.headers["location"])
    assert (
        place.client.post("/admin/reindex", json={}, headers=headers).json()["id"]
        == (first.json()["id"])
    )
    assert len(place.client.get("/admin/jobs").json()["jobs"]) == 1


@pytest.mark.parametrize("name", ["..", "../teacher", "/etc", "teacher/../teacher", "nobody",
                                  "student/", "a\0b", "", ".hidden", "x" * 100])  # fmt: skip
def test_a_teacher_is_named_by_its_directory_and_nothing_else(place: Place, name: str) -> None:
    problem(post(place.client, "/admin/reindex", teacher=name), 404, "not-found")
    assert place.client.get("/admin/jobs").json() == {"jobs": []}


def test_what_would_not_fit_is_refused_with_the_figures(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "available_memory", lambda: 1_000_000)
    refused = problem(post(place.client, "/admin/reindex"), 507, "not-enough-memory")
    assert "needs about 200 MB" in str(refused["detail"])
    assert "1 MB are free" in str(refused["detail"])
    monkeypatch.undo()
    usage = shutil.disk_usage(place.data)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused = problem(post(place.client, "/admin/reindex"), 507, "disk-full")
    assert "0 MB are free" in str(refused["detail"])
    assert place.client.get("/admin/jobs").json() == {"jobs": []}


def test_an_index_below_the_gate_fails_its_job_with_the_figure(place: Place) -> None:
    current = generations.read_current(place.data)
    rows = unit_rows(200)
    upsert = [{"id": f"{n}", "space": OLD.id, "vector": row.tolist()} for n, row in enumerate(rows)]
    assert post(place.client, "/admin/items:batch", upsert=upsert).status_code == 200
    eventually(lambda: len(ids(place.client, OLD, k=1000)) == COUNT + 200)
    location = started(place, factory="PQ2x1")
    job = finished(place.client, location)
    assert job["state"] == "failed", job
    assert "recall@10 0." in str(job["error"])
    assert generations.read_current(place.data) == current
    assert len(ids(place.client, OLD, k=1000)) == COUNT + 200


def test_rolling_back_needs_the_etag_of_what_one_saw(place: Place) -> None:
    client = place.client
    succeeded(place, started(place))
    listed = client.get("/admin/generations")
    etag = listed.headers["etag"]
    found = listed.json()["generations"]
    assert [(entry["generation"], entry["is_live"]) for entry in found] == [(2, True), (1, False)]
    path = "/admin/generations/1/promote"
    assert "If-Match" in str(problem(client.post(path), 428, "invalid-request")["detail"])
    problem(client.post(path, headers={"if-match": '"other"'}), 412, "conflict")
    promoted = client.post(path, headers={"if-match": etag})
    assert (promoted.status_code, promoted.json()["is_live"]) == (200, True), promoted.text
    assert promoted.headers["etag"] != etag
    problem(client.post(path, headers={"if-match": etag}), 412, "conflict")
    assert generations.read_current(place.data) == {OLD.id: 1}
    body = {"space": OLD.id, "vectors": [[1.0] * 16], "k": 1}
    eventually(lambda: client.post("/search", json=body).json()["generation"] == 1)
    headers = {"if-match": promoted.headers["etag"]}
    problem(client.post("/admin/generations/9/promote", headers=headers), 404, "not-found")
    with writer_lock(place.data):
        problem(client.post(path, headers=headers), 409, "gallery-busy")
        problem(client.delete(f"/admin/spaces/{OLD.id}"), 409, "gallery-busy")


@pytest.mark.parametrize("number", ["0", "-1", "..", "%2e%2e", "1.5", "²", "1" * 30, "x"])
def test_a_generation_is_a_number_and_nothing_else(place: Place, number: str) -> None:
    response = place.client.post(
        f"/admin/generations/{number}/promote", headers={"if-match": '"x"'}
    )
    assert response.status_code in (404, 405, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_a_damaged_generation_is_not_promoted(place: Place) -> None:
    succeeded(place, started(place))
    keys = generations.directory_of(place.data, 1) / "keys.npy"
    content = bytearray(keys.read_bytes())
    content[-1] ^= 1
    keys.unlink()
    keys.write_bytes(content)
    etag = place.client.get("/admin/generations").headers["etag"]
    refused = place.client.post("/admin/generations/1/promote", headers={"if-match": etag})
    assert refused.status_code == 500
    assert generations.read_current(place.data) == {OLD.id: 2}
