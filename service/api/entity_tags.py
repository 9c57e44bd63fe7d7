"""What a client still holds, by the entity tag it sends along."""

from __future__ import annotations

from fastapi import Request


def is_known(request: Request, *, etag: str) -> bool:
    """Whether `If-None-Match` names the entity tag (weakly compared, RFC 9110 13.1.2)."""
    tags = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    return "*" in tags or etag in (tag.removeprefix("W/") for tag in tags)
