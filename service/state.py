"""What one running service holds, and whether it is ready to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from fastapi import Request

from lorgnette.errors import Unavailable
from service.auth import Keys
from service.drift import Drift
from service.gallery.alignments import Alignments
from service.gallery.catalogue import Catalogue
from service.gallery.filters import Matching
from service.gallery.snapshot import LiveGallery, Snapshot
from service.gathering import Gathering
from service.lane import Lane
from service.limits import RateLimit
from service.metrics import Metrics
from service.monitor import RecallMonitor
from service.settings import Settings
from service.students import Students
from service.teachers import Teachers
from service.thumbnails import Thumbnails

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from service.answering import Asking


@dataclass(frozen=True)
class Opened:
    """The parts that exist between start and shutdown."""

    students: Students
    catalogue: Catalogue
    gallery: LiveGallery
    alignments: Alignments
    matching: Matching
    search_lane: Lane
    searches: Gathering[Asking, bytes]
    encode_lane: Lane
    write_lane: Lane
    job_lane: Lane
    event_lane: Lane
    thumbnail_lane: Lane
    thumbnails: Thumbnails
    teachers: Teachers
    metrics: Metrics
    drift: Drift
    monitor: RecallMonitor

    def live(self) -> tuple[Snapshot, ...]:
        """The snapshots of the live spaces. Raises `Unavailable` while there is none."""
        snapshots = self.gallery.snapshots()
        if not snapshots:
            raise Unavailable("nothing is indexed yet: run `lorgnette index DIR` on the server")
        return snapshots


@dataclass
class ServiceState:
    """One per application. opened and is_draining are written by its lifespan alone."""

    settings: Settings
    keys: Keys
    rate: RateLimit
    metrics: Metrics
    opened: Opened | None = None
    is_draining: bool = False
    tracing: TracerProvider | None = None

    def current(self) -> Opened:
        """The opened parts. Raises `Unavailable` while loading, and again while draining."""
        if self.is_draining:
            raise Unavailable("the server is shutting down: ask another one, or try again later")
        if self.opened is None:
            raise Unavailable("the server is still loading: try again in a second")
        return self.opened


def state_of(request: Request) -> ServiceState:
    """The state of the application that serves this request."""
    return cast("ServiceState", request.app.state.service)
