"""What keys open; apart, because the command line must not load what checks them."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """A door. ADMIN opens every one."""

    SEARCH = "search"
    MODELS = "models"
    METRICS = "metrics"
    ADMIN = "admin"
