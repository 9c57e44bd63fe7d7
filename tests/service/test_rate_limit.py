"""How often a key may ask, and which pages may: by the clock, and over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidConfiguration
from service.api.problems import RateLimited
from service.keys import KeyFile
from service.limits import RateLimit
from service.scopes import Scope
from service.settings import Settings, load_settings
from tests.service.serving import fill, png, problem, serving

PAGE = "https://shop.example"


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def admitted(limit: RateLimit, key_id: str, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            limit.take(key_id)
        except RateLimited:
            continue
        count += 1
    return count


def test_a_burst_then_so_many_a_second() -> None:
    clock = Clock()
    limit = RateLimit(per_s=2, burst=5, clock=clock)
    assert admitted(limit, "a", 20) == 5
    clock.now += 1
    assert admitted(limit, "a", 20) == 2
    clock.now += 1000
    assert admitted(limit, "a", 20) == 5


def test_the_wait_it_names_is_enough_and_one_key_does_not_spend_anothers() -> None:
    clock = Clock()
    limit = RateLimit(per_s=0.3, burst=1, clock=clock)
    limit.take("a")
    with pytest.raises(RateLimited) as refused:
        limit.take("a")
    limit.take("b")
    clock.now += refused.value.retry_after_s - 1
    with pytest.raises(RateLimited):
        limit.take("a")
    clock.now += 1
    limit.take("a")


def test_without_a_rate_nothing_is_limited() -> None:
    assert admitted(RateLimit(per_s=None, burst=1), "a", 1000) == 1000


def test_over_http_each_key_has_its_own_rate(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    fill(tmp_path / "data", teacher, {"a": png(0)})
    file = KeyFile(tmp_path / "data")
    headers = [
        {"authorization": "Bearer " + file.create(name, scopes=[Scope.SEARCH], expires_at=None)}
        for name in "ab"
    ]
    settings = Settings(
        data=tmp_path / "data", students=(student.directory,), rate_per_s=0.01, rate_burst=3
    )
    with serving(settings) as client:
        for _ in range(3):
            assert client.get("/spaces", headers=headers[0]).status_code == 200
        refused = client.get("/spaces", headers=headers[0])
        problem(refused, 429, "too-many-requests")
        assert 90 <= int(refused.headers["retry-after"]) <= 101
        assert client.get("/spaces", headers=headers[1]).status_code == 200
        for _ in range(20):
            assert client.get("/readyz").status_code == 200


def test_only_the_named_pages_may_search_and_none_may_administer(
    tmp_path: Path, teacher: Bundle, student: Bundle
) -> None:
    fill(tmp_path / "data", teacher, {"a": png(0)})
    settings = Settings(data=tmp_path / "data", students=(student.directory,), cors_origins=(PAGE,))
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "range"}
    with serving(settings) as client:
        for path, origin, is_let in (
            ("/search", PAGE, True),
            ("/models", PAGE, True),
            ("/search", "https://evil.example", False),
            ("/search", "null", False),
            ("/admin/reindex", PAGE, False),
            ("/metrics", PAGE, False),
        ):
            preflight = client.options(path, headers={"origin": origin, **asked})
            given = preflight.headers.get("access-control-allow-origin")
            assert given == (origin if is_let else None), (path, origin)
            real = client.get(path, headers={"origin": origin})
            assert real.headers.get("access-control-allow-origin") == given


@pytest.mark.parametrize("origin", ["*", "null", "shop.example", "https://shop.example/path"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(InvalidConfiguration, match="cors_origins"):
        load_settings(cors_origins=(origin,))
