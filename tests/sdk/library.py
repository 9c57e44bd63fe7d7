"""An honest small service over a tiny bundle: what the SDK expects of a server, and no more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from lorgnette.bundle import MANIFEST_NAME, Bundle
from lorgnette.encoder import Encoder
from lorgnette.wire import (
    Hit,
    Job,
    ModelsResponse,
    SearchRequest,
    SearchResponse,
    SpaceInfo,
    SpacesResponse,
    StudentInfo,
)
from tests.sdk.loopback import Loopback, Received, Reply, Route, ok, problem, serving


def write_photos(directory: Path, *, count: int = 4) -> list[Path]:
    """Smooth random photographs, each unlike the others."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in range(count):
        small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        path = directory / f"photo{seed}.jpg"
        Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC).save(path, quality=92)
        paths.append(path)
    return paths


def spaces_of(*bundles: Bundle, students: tuple[Bundle, ...] = ()) -> SpacesResponse:
    return SpacesResponse(
        spaces=[
            SpaceInfo(
                space=bundle.space,
                generation=1,
                count=4,
                students=[_student(s) for s in students if s.space == bundle.space],
            )
            for bundle in bundles
        ]
    )


def _student(bundle: Bundle) -> StudentInfo:
    manifest = bundle.manifest
    return StudentInfo(
        name=manifest.name,
        version=manifest.version,
        space=manifest.space.id,
        manifest=f"/models/{manifest.name}/manifest.json",
    )


def file_route(content: bytes) -> Route:
    """A static file with a strong ETag (its sha256), `If-None-Match`, `Range` and `If-Range`."""
    etag = f'"{hashlib.sha256(content).hexdigest()}"'

    def route(request: Received) -> Reply:
        said = {"ETag": etag, "Accept-Ranges": "bytes"}
        if request.headers.get("if-none-match") == etag:
            return Reply(304, headers=said)
        start = request.headers.get("range", "")
        if start and request.headers.get("if-range", etag) == etag:
            first = int(start.removeprefix("bytes=").removesuffix("-"))
            spans = f"bytes {first}-{len(content) - 1}/{len(content)}"
            return Reply(206, content[first:], {**said, "Content-Range": spans})
        return Reply(200, content, said)

    return route


def model_routes(*bundles: Bundle) -> dict[str, Route | Reply]:
    routes: dict[str, Route | Reply] = {
        "GET /models": ok(ModelsResponse(models=[_student(bundle) for bundle in bundles]))
    }
    for bundle in bundles:
        for path in (MANIFEST_NAME, *(entry.path for entry in bundle.manifest.all_files())):
            content = (bundle.directory / path).read_bytes()
            routes[f"GET /models/{bundle.manifest.name}/{path}"] = file_route(content)
    return routes


def search_route(teacher: Bundle, photos: list[Path]) -> Route:
    """Exact search over the photographs the teacher embedded."""
    encoder = Encoder(teacher)
    rows = np.stack([encoder.encode(photo) for photo in photos])

    def route(request: Received) -> Reply:
        asked = SearchRequest.model_validate_json(request.body)
        if asked.space != teacher.space.id:
            return problem(409, "space-mismatch", expected=[teacher.space.id], found=asked.space)
        scores = asked.rows(dim=teacher.space.dim) @ rows.T
        return ok(_ranked(teacher, photos, scores, k=asked.k))

    return route


def image_route(teacher: Bundle, student: Bundle, photos: list[Path]) -> Route:
    """The server's own student embeds the photograph."""
    gallery, query = Encoder(teacher), Encoder(student)
    rows = np.stack([gallery.encode(photo) for photo in photos])

    def route(request: Received) -> Reply:
        return ok(_ranked(teacher, photos, query.encode(request.body)[None] @ rows.T, k=10))

    return route


def _ranked(teacher: Bundle, photos: list[Path], scores: np.ndarray, *, k: int) -> SearchResponse:
    results = [
        [Hit(id=photos[i].name, score=float(row[i]), metadata={}) for i in np.argsort(-row)[:k]]
        for row in scores
    ]
    return SearchResponse(space=teacher.space.id, generation=1, results=results, took_ms=0.1)


JOB = Job(
    id="job-1",
    kind="reindex",
    state="running",
    stage="embed",
    done=1,
    total=4,
    rate=None,
    eta_s=None,
    created_at="2026-01-01T00:00:00Z",
    heartbeat_at="2026-01-01T00:00:00Z",
    result=None,
    error=None,
)


@contextmanager
def service(teacher: Bundle, student: Bundle, photos: list[Path]) -> Iterator[Loopback]:
    with serving(
        {
            **model_routes(student),
            "GET /spaces": ok(spaces_of(teacher, students=(student,))),
            "POST /search": search_route(teacher, photos),
            "POST /search/image": image_route(teacher, student, photos),
            "GET /admin/jobs/job-1": ok(JOB),
            "POST /admin/reindex": ok(JOB, status=202),
        }
    ) as loopback:
        yield loopback
