"""How a client deals with its refresh tokens, as a tree of log-ins and successors shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fake_oauth.behaviour.findings import (
    Findings,
    families,
    follows,
    grant_at,
    overlap,
    presented,
    received,
    refreshes,
    verdict,
)
from fake_oauth.journal import Exchange
from fake_oauth.provider.lineage import grant_of

# Refusals that no repetition mends (RFC 6749 section 5.2).
_TERMINAL: Final = frozenset({"invalid_client", "invalid_grant", "unauthorized_client"})
# How early a client may refresh: most do it a little before an access token expires.
LEEWAY_SECONDS: Final = 60.0


def spent_token(exchanges: Sequence[Exchange]) -> Findings:
    """Presented a refresh token that it had been given another one for (RFC 9700, 4.14.2)."""
    for family in families(exchanges):
        for exchange in family:
            found = None
            for other in family:
                if other is exchange or presented(other) != presented(exchange):
                    continue
                successor = received(other)
                is_late = other.number < exchange.number or (
                    overlap(exchange, other) and exchange.error == "invalid_grant"
                )
                if successor not in (None, presented(other)) and is_late and found is None:
                    found = (
                        f"presented {presented(exchange)}, for which request {other.number} had "
                        f"been given {successor}"
                    )
            yield verdict(exchange, found)


def old_token(exchanges: Sequence[Exchange]) -> Findings:
    """Did not present the refresh token that it had received last."""
    for family in families(exchanges):
        for index, exchange in enumerate(family):
            before = [other for other in family[:index] if follows(exchange, other)]
            latest = next((other for other in reversed(before) if received(other)), None)
            if latest is not None:
                is_it = presented(exchange) == received(latest)
                text = (
                    f"presented {presented(exchange)}, though request {latest.number} had been "
                    f"given {received(latest)}"
                )
                yield verdict(exchange, None if is_it else text)


def dropped_token(exchanges: Sequence[Exchange]) -> Findings:
    """Lost its refresh token when a reply had none: it stays good (RFC 6749 section 6)."""
    asked = refreshes(exchanges)
    for exchange in asked:
        # What was never given may be anybody's: it stands for the token of the refresh before.
        before = [
            other
            for other in asked
            if follows(exchange, other)
            and other.client_id == exchange.client_id
            and grant_at(exchange) in (None, grant_at(other))
        ]
        latest = before[-1] if before else None
        if latest and latest.given and presented(latest) and received(latest) is None:
            is_kept = presented(exchange) == presented(latest)
            text = (
                f"did not present {presented(latest)}, which stayed good as the reply to "
                f"request {latest.number} had no refresh token"
            )
            yield verdict(exchange, None if is_kept else text)


def repeated_refresh(exchanges: Sequence[Exchange]) -> Findings:
    """Refreshed again for an expiry that another request had refreshed for."""
    for family in families(exchanges):
        for index, exchange in enumerate(family):
            found = None
            for other in family[:index]:
                if overlap(exchange, other):
                    if other.status is not None and (other.given or exchange.given):
                        found = f"refreshed {grant_at(exchange)} while request {other.number} did"
                elif other.given and _is_fresh(exchange, family, exchanges, other):
                    found = f"refreshed {grant_at(exchange)}, as request {other.number} just had"
            yield verdict(exchange, found)


def unneeded_refresh(
    exchanges: Sequence[Exchange], leeway_seconds: float = LEEWAY_SECONDS
) -> Findings:
    """Refreshed though its access token was good for longer than the leeway."""
    for family in families(exchanges):
        for exchange in family:
            left = (exchange.fresh_until or 0) - exchange.at
            is_needed = left <= leeway_seconds or _was_refused(exchange, family, exchanges)
            text = f"refreshed {grant_at(exchange)}, whose access token was good for {left:.0f} s"
            yield verdict(exchange, None if is_needed else text)


def after_the_end(exchanges: Sequence[Exchange]) -> Findings:
    """Presented a refresh token again that had been refused for good (RFC 6749 section 5.2)."""
    asked = refreshes(exchanges)
    for other in asked:
        if other.error not in _TERMINAL:
            continue
        again = None
        for exchange in asked:
            is_same = exchange.client_id == other.client_id and (
                exchange.form.get("refresh_token") == other.form.get("refresh_token")
            )
            if is_same and follows(exchange, other) and again is None:
                again = exchange
        name = presented(other) or "a refresh token"
        text = f"presented {name} again, which request {other.number} had been told {other.error}"
        yield verdict(again or other, None if again is None else text)


def _is_fresh(
    exchange: Exchange, family: Sequence[Exchange], exchanges: Sequence[Exchange], other: Exchange
) -> bool:
    """Whether what `other` was given is too good for another refresh."""
    if exchange.fresh_until is None or _was_refused(exchange, family, exchanges):
        return False
    left, lifetime = exchange.fresh_until - exchange.at, exchange.fresh_until - other.at
    return left > min(LEEWAY_SECONDS, lifetime / 2)


def _was_refused(
    exchange: Exchange, family: Sequence[Exchange], exchanges: Sequence[Exchange]
) -> bool:
    """Whether a resource has refused the access token since the last refresh before this one."""
    last = max((e.number for e in family if e.number < exchange.number and e.given), default=0)
    return any(
        other.status == 401 and grant_of(other.tokens.get("bearer", "")) == grant_at(exchange)
        for other in exchanges
        if last < other.number < exchange.number
    )
