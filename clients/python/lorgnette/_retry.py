"""When a call is tried again, and after how long: one policy for both clients and for `pull`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypedDict

import httpx
from tenacity import (
    RetryCallState,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)
from tenacity.retry import retry_base
from tenacity.stop import stop_base

from lorgnette._answers import Answer

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0
LONGEST_RETRY_AFTER_S = 30.0
"""A server that asks for a longer pause than this is asked again after this one."""

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})

# The request has not left this machine, so even a call with an effect may be repeated.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_CUT_OFF = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)


class Policy(TypedDict):
    """Arguments for `tenacity.Retrying` and `tenacity.AsyncRetrying` alike."""

    stop: stop_base
    wait: Callable[[RetryCallState], float]
    retry: retry_base
    retry_error_callback: Callable[[RetryCallState], Answer]


def policy(*, max_retries: int, is_repeatable: bool) -> Policy:
    """The policy of one call. is_repeatable: doing it twice is the same as doing it once."""
    retry: retry_base = retry_if_exception_type(_NEVER_SENT)
    if is_repeatable:
        retry = retry_if_exception_type(_CUT_OFF) | retry_if_result(_asks_for_patience)
    return Policy(
        stop=stop_after_attempt(max_retries + 1),
        wait=_wait_s,
        retry=retry,
        retry_error_callback=_last_outcome,
    )


def retry_after_s(text: str, *, now: datetime) -> float | None:
    """Seconds a `Retry-After` header asks for, as a number or an HTTP date; None if malformed."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _asks_for_patience(answer: Answer) -> bool:
    return answer.status in RETRIED_STATUSES


def _wait_s(state: RetryCallState) -> float:
    assert state.outcome is not None
    if not state.outcome.failed:
        answer: Answer = state.outcome.result()
        asked = retry_after_s(answer.headers.get("retry-after", ""), now=datetime.now(UTC))
        if asked is not None:
            return min(asked, LONGEST_RETRY_AFTER_S)
    backoff = wait_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)
    jitter = wait_random(0, FIRST_WAIT_S / 2)
    return backoff(state) + jitter(state)


def _last_outcome(state: RetryCallState) -> Answer:
    """Out of attempts: what the last one gave, be it an answer or an exception."""
    assert state.outcome is not None
    answer: Answer = state.outcome.result()
    return answer
