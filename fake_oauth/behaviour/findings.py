"""What a check finds, and what checks have in common: how requests of one client lie in time.

A check is a function of the journal. It yields once for every request that it has something to say
about: a `Finding`, or None if nothing is wrong with it; so that a check that met nothing can be
told from one that was passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fake_oauth.journal import Exchange
from fake_oauth.provider.lineage import grant_of


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a client should not have done."""

    number: int
    """The request that did it."""
    text: str
    """What it did, as the end of a sentence."""

    def __str__(self) -> str:
        return f"request {self.number} {self.text}"


Findings = Iterator[Finding | None]
Check = Callable[[Sequence[Exchange]], Findings]


def verdict(exchange: Exchange, text: str | None) -> Finding | None:
    """What is found of a request, if anything."""
    return None if text is None else Finding(exchange.number, text)


def refreshes(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """The refresh requests."""
    return [
        exchange
        for exchange in exchanges
        if exchange.endpoint == "token" and exchange.grant_type == "refresh_token"
    ]


def families(exchanges: Sequence[Exchange]) -> Iterator[list[Exchange]]:
    """The refresh requests with tokens that the server has given, log-in by log-in."""
    found: dict[str, list[Exchange]] = {}
    for exchange in refreshes(exchanges):
        if (grant := grant_at(exchange)) is not None:
            found.setdefault(grant, []).append(exchange)
    yield from found.values()


def presented(exchange: Exchange) -> str | None:
    """The name of the refresh token that came; None for one that was never given."""
    return _refresh_token((exchange.tokens.get("refresh_token", ""),))


def _refresh_token(names: Iterable[str]) -> str | None:
    return next((name for name in names if name.rpartition(" ")[2].startswith("r")), None)


def grant_at(exchange: Exchange) -> str | None:
    """The log-in that a refresh request is about; None for a token that was never given."""
    name = presented(exchange)
    return None if name is None else grant_of(name)


def received(exchange: Exchange) -> str | None:
    """The name of the refresh token in the reply, as far as the client could read it."""
    return _refresh_token(exchange.given)


def follows(exchange: Exchange, other: Exchange) -> bool:
    """Whether a request came after another one had been answered."""
    return other.answered_before is not None and exchange.number >= other.answered_before


def overlap(exchange: Exchange, other: Exchange) -> bool:
    """Whether two requests were under way at once."""
    return not follows(exchange, other) and not follows(other, exchange)
