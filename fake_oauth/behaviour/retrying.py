"""Whether a client comes again as it should when it was told to wait, or was not answered."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from fake_oauth.behaviour.findings import Findings, follows, verdict
from fake_oauth.journal import Exchange


def too_soon(exchanges: Sequence[Exchange]) -> Findings:
    """Came again before the time that Retry-After had told it (RFC 9110 section 10.2.3)."""
    for other in exchanges:
        if (until := _retry_at(other)) is not None:
            exchange = _next(exchanges, other)
            found = None
            if exchange is not None and exchange.at < until:
                early = until - exchange.at
                found = f"came {early:g} s before the Retry-After of request {other.number}"
            yield verdict(exchange or other, found)


def no_pause(exchanges: Sequence[Exchange], at_least_seconds: float = 1) -> Findings:
    """Came again without a pause after 429 or 5xx, or after no answer."""
    for other in exchanges:
        has_failed = other.status is None or other.status == 429 or other.status >= 500
        if has_failed and (exchange := _next(exchanges, other)) is not None:
            pause = exchange.at - other.at
            text = f"came {pause:g} s after request {other.number} had failed"
            yield verdict(exchange, text if pause < at_least_seconds else None)


def _next(exchanges: Sequence[Exchange], other: Exchange) -> Exchange | None:
    """The next request of the same client to the same endpoint."""
    for exchange in exchanges:
        is_like = (exchange.endpoint, exchange.client_id) == (other.endpoint, other.client_id)
        if is_like and follows(exchange, other):
            return exchange
    return None


def _retry_at(exchange: Exchange) -> float | None:
    """When a reply said to come again, by the server's clock; None if it said nothing."""
    told = exchange.headers.get("Retry-After")
    if told is None:
        return None
    if told.isdigit():
        return exchange.at + int(told)
    return parsedate_to_datetime(told).timestamp()
