"""`History`: the requests of a journal as checks need them, read once and put into groups.

A `Request` says what its client knows once it has the response. So nothing here looks at what the
test did, such as `issue_tokens()`, and a fault counts as it was delivered.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from math import inf
from typing import Any, Final, NamedTuple

from fake_oauth.journal import Exchange
from fake_oauth.parameters import names_of
from fake_oauth.provider.grants.refresh_token import KEPT_OLD
from fake_oauth.provider.store import grant_of
from fake_oauth.provider.tokens import InvalidTokenError, decode
from fake_oauth.reply import JSON

# Errors that no retry can fix (RFC 6749 section 5.2).
_TERMINAL: Final = frozenset({"invalid_client", "invalid_grant", "unauthorized_client"})
# A refresh with another value of these requests another token.
_PURPOSES: Final = ("scope", "resource", "audience")
_PERSONAL: Final = names_of("personal")
# A longer `expires_in`, about 31 years, counts as malformed.
_LONGEST: Final = 10**9
# The interval of a device authorization response that names none (RFC 8628 section 3.2).
_INTERVAL_SECONDS: Final = 5.0


class Proof(NamedTuple):
    """What a DPoP proof says, unverified (RFC 9449 section 4.2)."""

    key: str
    jti: object
    nonce: object


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """A request, and what its client knows once it has the response."""

    exchange: Exchange
    number: int
    end: float
    """The number of the first request that arrived after the response; infinite without one."""
    grant: str | None
    """The grant that its tokens belong to; None if it has no token that this server issued."""
    presented: str | None
    """The name of the refresh token that it presented to the token endpoint."""
    bearer: str | None
    """The name of the access token that it was sent with."""
    refresh_token: str | None
    """The name of the refresh token in the response."""
    access_token: str | None
    """The name of the access token in the response."""
    error: str | None
    """The error code in the response, whatever its status."""
    is_clear: bool
    """Whether no client can understand the response in another way. A malformed success is not
    clear: one client uses the tokens in it, and another retries. Both are right."""

    @classmethod
    def of(cls, exchange: Exchange) -> Request:
        """Read an exchange, and its body once."""
        tokens, end = exchange.tokens, exchange.answered_before
        error, is_clear = _outcome(exchange)
        presented = None
        if exchange.endpoint == "token" and exchange.grant_type == "refresh_token":
            presented = _first("r", (tokens.get("refresh_token", ""),))
        named = presented or next(iter((*exchange.issued, *tokens.values())), None)
        return cls(
            exchange=exchange,
            number=exchange.number,
            end=inf if end is None else end,
            grant=None if named is None else grant_of(named),
            presented=presented,
            bearer=tokens.get("bearer") or tokens.get("access_token"),
            refresh_token=_first("r", exchange.issued),
            access_token=_first("a", exchange.issued),
            error=error,
            is_clear=is_clear,
        )

    @property
    def has_tokens(self) -> bool:
        """Whether the response has tokens, and every client understands it as such."""
        return self.is_clear and self.access_token is not None

    @property
    def has_replacement(self) -> bool:
        """Whether the response replaces the refresh token that was presented."""
        return self.has_tokens and self.refresh_token not in (None, self.presented)

    @property
    def has_spent(self) -> bool:
        """Whether the response replaces the refresh token that was presented, and the server takes
        the old one no more."""
        return self.has_replacement and KEPT_OLD not in (self.exchange.reason or "")

    @property
    def is_terminal(self) -> bool:
        """Whether the response is an error that no retry can fix, whatever its code is."""
        is_refused = (self.exchange.cause or "").startswith("refresh_token_")
        return self.is_clear and (self.error in _TERMINAL or (is_refused and bool(self.error)))

    @property
    def purpose(self) -> tuple[str, ...]:
        """What the token is requested for; refreshes for different purposes repeat nothing."""
        form = self.exchange.form
        return tuple(" ".join(sorted((form.get(name) or "").split())) for name in _PURPOSES)

    @property
    def proof(self) -> Proof | None:
        """Its DPoP proof; None if it has none that can be read."""
        value = _proof_of(self.exchange)
        if value is None:
            return None
        try:
            header, claims = decode(value)
        except InvalidTokenError:
            return None
        return Proof(str(header.get("jwk")), claims.get("jti"), claims.get("nonce"))

    @property
    def needs_nonce(self) -> bool:
        """Whether the response requires another nonce in the DPoP proof (RFC 9449 section 8)."""
        headers = {name.lower(): v for name, v in self.exchange.response_headers.items()}
        codes = (self.error, headers.get("www-authenticate", ""))
        return "dpop-nonce" in headers and any("use_dpop_nonce" in (code or "") for code in codes)

    @property
    def verb(self) -> str:
        """`refreshed`, if the refresh issued a token."""
        return "refreshed" if self.access_token is not None else "tried to refresh"


class History:
    """The requests of a journal, in the groups that checks need."""

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        ordered = sorted(exchanges, key=lambda exchange: exchange.number)
        self.requests: Final = [Request.of(exchange) for exchange in ordered]

    @cached_property
    def refreshes(self) -> Sequence[Request]:
        """The refresh requests."""
        return [
            request
            for request in self.requests
            if request.exchange.endpoint == "token"
            and request.exchange.grant_type == "refresh_token"
        ]

    @cached_property
    def families(self) -> Mapping[str, Sequence[Request]]:
        """The refresh requests by grant, without those that another client sent."""
        owners = {
            request.grant: request.exchange.client_id
            for request in self.requests
            if request.access_token is not None
        }
        found: dict[str, list[Request]] = defaultdict(list)
        for request in self.refreshes:
            if request.presented is not None and request.grant is not None:
                client_id = request.exchange.client_id
                if owners.get(request.grant, client_id) == client_id:
                    found[request.grant].append(request)
        return found

    @cached_property
    def polls(self) -> Sequence[Sequence[Request]]:
        """The requests of one client with one device code, in groups (RFC 8628 section 3.4)."""
        found: dict[tuple[str | None, str], list[Request]] = defaultdict(list)
        for request in self.requests:
            exchange = request.exchange
            device_code = exchange.form.get("device_code")
            if device_code and exchange.endpoint == "token":
                found[exchange.client_id, device_code].append(request)
        return list(found.values())

    @cached_property
    def intervals(self) -> Mapping[str, float]:
        """How long a client has to wait between two polls, by the name of the device code.

        Without an `interval` in the response, it is 5 seconds (RFC 8628 section 3.2). If no fault
        removed it, the settings have turned the pauses off, and the device code is not here.
        """
        found: dict[str, float] = {}
        for request in self.requests:
            exchange = request.exchange
            if (name := _first("d", exchange.issued)) is not None:
                interval: Any = _members(exchange.body).get("interval")
                if type(interval) in (int, float) and 0 <= interval <= _LONGEST:
                    found[name] = interval
                elif exchange.fault is not None:
                    found[name] = _INTERVAL_SECONDS
        return found

    @cached_property
    def grants(self) -> Mapping[str, Sequence[Request]]:
        """The requests that received or used an access token, and the refreshes, by grant."""
        refreshes = {request for family in self.families.values() for request in family}
        found: dict[str, list[Request]] = defaultdict(list)
        for request in self.requests:
            is_relevant = request.access_token or request.bearer or request in refreshes
            if is_relevant and request.grant is not None:
                found[request.grant].append(request)
        return found

    @cached_property
    def issuers(self) -> Mapping[str, Request]:
        """The request that received an access token, by the token's name."""
        return {
            request.access_token: request
            for request in self.requests
            if request.access_token is not None
        }

    @cached_property
    def destinations(self) -> Sequence[Sequence[Request]]:
        """The requests of one client for one login or user to one endpoint.

        A request that names no client and no user is left out, unless there is only one client.
        """
        client_ids = {request.exchange.client_id for request in self.requests} - {None}
        found: dict[tuple[str | None, ...], list[Request]] = defaultdict(list)
        for request in self.requests:
            exchange = request.exchange
            personal = (exchange.form.get(name) for name in _PERSONAL)
            logins = (grant_of(name) for name in exchange.tokens.values())
            subject = next(filter(None, (*logins, *personal)), None)
            if subject or exchange.client_id or len(client_ids) < 2:
                endpoint = exchange.endpoint or exchange.path
                found[endpoint, exchange.client_id, subject].append(request)
        return list(found.values())


def _outcome(exchange: Exchange) -> tuple[str | None, bool]:
    """Return the error code in the response, and whether every client understands it alike."""
    is_faulty = exchange.fault is not None
    if b'"error"' not in exchange.body and not (is_faulty and exchange.issued):
        return None, True
    members = _members(exchange.body)
    error = members.get("error")
    code = error if isinstance(error, str) and error else None
    is_clear = not (is_faulty and _is_mislabeled(exchange))
    if exchange.issued:
        is_clear = (
            is_clear and code is None and not (is_faulty and _is_malformed(exchange, members))
        )
    return code, is_clear


def _is_mislabeled(exchange: Exchange) -> bool:
    """Return whether the headers say that a body is not JSON in UTF-8."""
    headers = {name.lower(): value for name, value in exchange.response_headers.items()}
    media_type, _, charset = headers.get("content-type", "").lower().partition(";")
    return (
        media_type.strip() != JSON
        or charset.strip() not in ("", "charset=utf-8")
        or "content-encoding" in headers
    )


def _is_malformed(exchange: Exchange, members: Mapping[str, Any]) -> bool:
    """Return whether a token response breaks a rule of RFC 6749 section 5.1."""
    # A client that has sent a DPoP proof accepts both (RFC 9449 section 5).
    token_types = ("bearer",) if _proof_of(exchange) is None else ("bearer", "dpop")
    expires_in = members.get("expires_in", 0)
    return not (
        _is_text(members.get("access_token"))
        and (members.get("refresh_token") is None or _is_text(members["refresh_token"]))
        and str(members.get("token_type")).lower() in token_types
        and isinstance(expires_in, int)
        and 0 <= expires_in <= _LONGEST
    )


def _proof_of(exchange: Exchange) -> str | None:
    return next((value for name, value in exchange.raw_headers if name == "HTTP_DPOP"), None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _members(body: bytes) -> Mapping[str, Any]:
    """Return the members of a JSON object; none for other bodies, and if a name is repeated."""
    try:
        # JSON is UTF-8 (RFC 8259 section 8.1); from bytes, this function would guess.
        members = json.loads(body.decode(), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a repeated member")
    return members


def _first(letter: str, names: Iterable[str]) -> str | None:
    """Return the first name of a token of a kind: refresh token, access token, or code."""
    return next((name for name in names if name.rpartition(" ")[2].startswith(letter)), None)


def in_time(requests: Iterable[Request]) -> Iterator[tuple[Request, Sequence[Request]]]:
    """Yield each request, with those whose responses arrived since the request before it."""
    waiting: list[tuple[float, int, Request]] = []
    for request in requests:
        answered = []
        while waiting and waiting[0][0] <= request.number:
            answered.append(heappop(waiting)[2])
        yield request, answered
        heappush(waiting, (request.end, request.number, request))
