"""The application: middleware, routes, and the life of what they share."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from lorgnette.wire import ReindexRequest, SearchRequest
from service.answering import answer_all
from service.api import (
    admin,
    events,
    generations,
    health,
    items,
    models,
    problems,
    search,
    snapshots,
    thumbnails,
)
from service.api.body import BodyLimit
from service.api.direct import Direct
from service.api.item_bodies import BatchBody, ItemBody
from service.api.page import Page
from service.api.snapshots import SnapshotBody
from service.auth import Keys, LocalNamesOnly
from service.cors import SearchFromPages
from service.drift import Drift
from service.gallery.alignments import Alignments
from service.gallery.catalogue import Catalogue
from service.gallery.filters import Matching
from service.gallery.snapshot import LiveGallery
from service.gathering import Gathering
from service.lane import Lane
from service.limits import RateLimit
from service.metrics import Metrics
from service.monitor import RecallMonitor
from service.settings import Settings
from service.state import Opened, ServiceState
from service.students import Students
from service.teachers import Teachers
from service.telemetry import RequestTelemetry
from service.thumbnails import Thumbnails
from service.tracing import RequestSpans, open_tracing

log = logging.getLogger(__name__)

API_VERSION = "1"
_SEARCHES_ADMITTED = 512
_GATHERED = 64
"""Searches answered together at most: twice as many take twice as long."""
_PHOTOGRAPHS_ADMITTED = 32
# One may embed while another commits; SQLite takes one write at a time anyway.
_WRITERS = 2
_WRITES_ADMITTED = 64
# A look takes no time, and never waits behind a snapshot that does.
STREAMS_ADMITTED = 64
_LOOKERS = 1
# A page asks for one a hit, all at once: they wait here rather than be refused.
_THUMBNAILERS, _THUMBNAILS_ADMITTED = 2, 256
_OWN_BODIES = (SearchRequest, ReindexRequest, ItemBody, BatchBody, SnapshotBody)


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application. Opens nothing until its lifespan begins, which may raise typed errors:

    `InvalidBundle` for a student, `InvalidGallery` for the data directory.
    """
    app = FastAPI(
        title="lorgnette",
        version=API_VERSION,
        summary="Visual search whose photos stay on the device: only the vector travels.",
        lifespan=_lifespan_of(settings),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # `RequestTelemetry` and `RequestSpans` do it; looking for it takes time of every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = state = ServiceState(
        settings=settings,
        keys=Keys(settings),
        rate=RateLimit.shared(settings.rate_per_s, settings.rate_burst, workers=settings.workers),
        metrics=Metrics(),
    )
    _add_routes(app, settings)
    problems.install(app)
    _add_middleware(app, settings, state)
    _describe_own_bodies(app)
    return app


def _add_routes(app: FastAPI, settings: Settings) -> None:
    for router in (
        search.router,
        models.spaces_router,
        models.router,
        admin.router,
        health.router,
        items.router,
        events.router,
        generations.router,
        snapshots.router,
        thumbnails.router,
    ):
        app.include_router(router)
    # Behind every route, so that GET on one that only takes POST stays a 405.
    app.router.default = Page(
        settings.page, is_isolated=settings.page_isolated, otherwise=app.router.not_found
    )


def _add_middleware(app: FastAPI, settings: Settings, state: ServiceState) -> None:
    # The last one added is the outermost.
    app.add_middleware(
        Direct, routes=[route for route in search.router.routes if isinstance(route, APIRoute)]
    )
    app.add_middleware(
        BodyLimit,
        default=settings.max_body_bytes,
        limits={
            search.IMAGE_PATH: settings.max_image_bytes,
            items.ITEMS_PREFIX: settings.max_image_bytes,
        },
    )
    if settings.cors_origins:
        app.add_middleware(SearchFromPages, origins=settings.cors_origins)
    if settings.is_keyless:
        app.add_middleware(LocalNamesOnly, host=settings.host)
    if settings.otlp_endpoint:
        state.tracing = open_tracing(settings.otlp_endpoint)
        app.add_middleware(RequestSpans, provider=state.tracing)
    app.add_middleware(RequestTelemetry, metrics=state.metrics)


def _lifespan_of(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state: ServiceState = app.state.service
        state.opened = await anyio.to_thread.run_sync(_open, settings, state.metrics)
        try:
            yield
        finally:
            state.is_draining = True
            await anyio.to_thread.run_sync(_close, state.opened)
            if state.tracing is not None:
                await anyio.to_thread.run_sync(state.tracing.shutdown)

    return lifespan


def _open(settings: Settings, metrics: Metrics) -> Opened:
    """Open the students first: a wrong one is found before anything runs."""
    students = Students.open(settings.students, max_pixels=settings.max_pixels)
    catalogue = Catalogue.open(settings.data)
    gallery = LiveGallery(settings.data)
    gallery.start()
    teachers = Teachers(settings.teacher, max_pixels=settings.max_pixels)
    return Opened(
        students=students,
        catalogue=catalogue,
        gallery=gallery,
        alignments=Alignments(),
        matching=Matching(),
        search_lane=Lane(threads=settings.search_threads, admitted=_SEARCHES_ADMITTED),
        searches=Gathering(answer_all, threads=settings.search_threads, largest=_GATHERED),
        encode_lane=Lane(threads=settings.encode_threads, admitted=_PHOTOGRAPHS_ADMITTED),
        write_lane=Lane(threads=_WRITERS, admitted=_WRITES_ADMITTED),
        job_lane=Lane(threads=_WRITERS, admitted=_WRITES_ADMITTED),
        event_lane=Lane(threads=_LOOKERS, admitted=STREAMS_ADMITTED),
        thumbnail_lane=Lane(threads=_THUMBNAILERS, admitted=_THUMBNAILS_ADMITTED),
        thumbnails=Thumbnails(max_pixels=settings.max_pixels),
        teachers=teachers,
        metrics=metrics,
        drift=Drift(settings.data, size=settings.calibration_queries, metrics=metrics),
        monitor=RecallMonitor(teachers, share=settings.monitor_share, metrics=metrics),
    )


def _close(opened: Opened) -> None:
    opened.searches.close()
    opened.monitor.close()
    opened.gallery.close()
    opened.catalogue.close()


def _describe_own_bodies(app: FastAPI) -> None:
    """Add the models of bodies that routes read themselves to the OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        _, described = models_json_schema(
            [(model, "validation") for model in _OWN_BODIES],
            ref_template="#/components/schemas/{model}",
        )
        document["components"]["schemas"] |= described["$defs"]
        return document

    # FastAPI documents this assignment as the way to extend the document.
    app.openapi = openapi  # type: ignore[method-assign]
