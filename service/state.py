"""What one running service holds, and whether it is ready to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from fastapi import Request

from lorgnette.errors import Unavailable
from service.auth import Keys
from service.gallery.catalogue import Catalogue
from service.gallery.snapshot import LiveGallery
from service.lane import Lane
from service.settings import Settings
from service.students import Students

Phase = Literal["loading", "ready", "draining"]


@dataclass(frozen=True)
class Opened:
    """The parts that exist between start and shutdown."""

    students: Students
    catalogue: Catalogue
    gallery: LiveGallery
    search_lane: Lane
    encode_lane: Lane


@dataclass
class ServiceState:
    """One per application. phase and opened are written by its lifespan alone."""

    settings: Settings
    keys: Keys
    phase: Phase = "loading"
    opened: Opened | None = None

    def current(self) -> Opened:
        """The opened parts. Raises `Unavailable` while loading, and again while draining."""
        if self.phase == "draining":
            raise Unavailable("the server is shutting down: ask another one, or try again later")
        if self.opened is None:
            raise Unavailable("the server is still loading: try again in a second")
        return self.opened


def state_of(request: Request) -> ServiceState:
    """The state of the application that serves this request."""
    return cast("ServiceState", request.app.state.service)
