"""`CHECKS`: the rules of a correct client, and the functions that find violations in a journal.

A check is a function of a `History`. It yields once for each request that it judges: the request,
and a text if the client broke the rule, otherwise None. So a check that found no violation differs
from a check that had nothing to judge. To add a check, write its function, add its row, and add
a method of the same name to `ClientAssertions`.

A check blames a client only for what the client could know: responses that had reached it when it
sent the request, and tokens that any client reads out of them. Every check makes one pass over the
requests of a family, a token, or a client, so its time grows with the number of exchanges and not
with its square.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from heapq import heappop, heappush
from math import inf
from typing import Final

from fake_oauth.behavior.history import History, Request, in_time
from fake_oauth.journal import Exchange
from fake_oauth.parameters import SECRET_IN_URL
from fake_oauth.provider.grants.device_code import SLOW_DOWN_SECONDS, TOLERANCE_SECONDS

LEEWAY_SECONDS: Final = 60.0
"""How early a client may refresh: most do it a little before the access token expires."""

# Errors that mean what 500 and 503 mean (RFC 6749 section 4.1.2.1).
_TEMPORARY: Final = frozenset({"server_error", "temporarily_unavailable"})
# Errors after which a client polls again (RFC 8628 section 3.5, RFC 9449 section 8).
_UNDECIDED: Final = frozenset({"authorization_pending", "slow_down", "use_dpop_nonce"})
# How programs write a refresh token that they do not have.
_NO_TOKEN: Final = frozenset({"", "none", "null", "undefined"})
# Where a token belongs: the letter of its name, and its kind.
_BELONGS: Final = {
    "refresh_token": ("r", "a refresh token"),
    "code": ("c", "a code"),
    "device_code": ("d", "a device code"),
    "access_token": ("a", "an access token"),
    "bearer": ("a", "an access token"),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that a client must not do."""

    check: str
    """The check that found it, a name of `CHECKS`."""
    number: int
    """The number of the request that did it."""
    text: str
    """What the client did, as the end of a sentence."""

    def __str__(self) -> str:
        return f"request {self.number} {self.text}"


Judgments = Iterator[tuple[Request, str | None]]
"""Requests, each with what the client did wrong, or None."""


# Refresh tokens


def never_presented_a_spent_token(history: History) -> Judgments:
    for family in history.families.values():
        uses: dict[str | None, list[Request]] = defaultdict(list)
        for request in family:
            uses[request.presented].append(request)
        for requests in uses.values():
            yield from _uses_of_one_token(requests)


def _uses_of_one_token(requests: Sequence[Request]) -> Judgments:
    replacing = deque(request for request in requests if request.has_spent)
    # Of the requests so far that replaced the token: the first and the last response.
    first: Request | None = None
    last: Request | None = None
    for request in requests:
        if replacing and replacing[0] is request:
            replacing.popleft()
        later = replacing[0] if replacing else None
        text = None
        if first is not None and first.end <= request.number:
            text = f"request {first.number} had already replaced with {first.refresh_token}"
        elif request.error == "invalid_grant":
            # The loser of a race: the server used up the token for a request at the same time.
            winner = last if last is not None and last.end > request.number else later
            if winner is not None and winner.number < request.end:
                text = f"request {winner.number} replaced at the same time"
        yield request, text and f"presented {request.presented}, which {text}"
        if request.has_spent:
            first = request if first is None or request.end < first.end else first
            last = request if last is None or request.end > last.end else last


class _Stored:
    """The refresh tokens of one family that its client can have stored last.

    There are several if requests overlapped, or if a client may have ignored a response.
    """

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()
        self.latest: Request | None = None
        """The latest request that received a refresh token for certain."""
        self._responses: list[tuple[float, int, str]] = []

    def receive(self, request: Request) -> None:
        """Note a response."""
        name = request.refresh_token
        if name is None:
            return
        heappush(self._responses, (request.end, request.number, name))
        self.names[name] += 1
        if request.has_tokens and (self.latest is None or request.number > self.latest.number):
            self.latest = request
        # What the client had when it sent that request is replaced by now.
        while self.latest is not None and self._responses[0][0] <= self.latest.number:
            _, _, replaced = heappop(self._responses)
            self.names[replaced] -= 1


def used_the_latest_refresh_token(history: History) -> Judgments:
    for family in history.families.values():
        stored = _Stored()
        for request, answered in in_time(family):
            for other in answered:
                stored.receive(other)
            if (latest := stored.latest) is not None:
                text = (
                    f"presented {request.presented}, although request {latest.number} had "
                    f"received {latest.refresh_token}"
                )
                yield request, None if stored.names[request.presented or ""] > 0 else text


def kept_its_refresh_token(history: History) -> Judgments:
    for family in history.families.values():
        stored, latest = _Stored(), None
        for request, answered in in_time(family):
            for other in answered:
                stored.receive(other)
                latest = _later(latest, other)
            if latest is not None and latest.has_tokens and latest.refresh_token is None:
                is_kept = request.presented == latest.presented
                is_newer = stored.names[request.presented or ""] > 0
                yield request, None if is_kept or is_newer else _lost(latest)
    # A client that lost its token presents none, or a word for none.
    latest_of: dict[str | None, Request | None] = {}
    for request, answered in in_time(history.refreshes):
        for other in answered:
            client_id = other.exchange.client_id
            latest_of[client_id] = _later(latest_of.get(client_id), other)
        if (request.exchange.form.get("refresh_token") or "").lower() in _NO_TOKEN:
            latest = latest_of.get(request.exchange.client_id)
            if latest is not None and latest.has_tokens and latest.refresh_token is None:
                yield request, _lost(latest)


def _later(latest: Request | None, other: Request) -> Request | None:
    """Return the one of two requests that was sent later, of those that received tokens."""
    if other.access_token is None or (latest is not None and other.number < latest.number):
        return latest
    return other


def _lost(latest: Request) -> str:
    return (
        f"did not present {latest.presented}, which stayed valid because the response to request "
        f"{latest.number} had no refresh token"
    )


# When to refresh


class _Freshness:
    """What the client of one grant knows of its access token."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.latest: Request | None = None
        """The latest request that received an access token."""
        self.was_refused = False
        """Whether an access token of the grant got a 401 since then."""
        self.refused: set[str] = set()
        """The paths that refused the latest access token since then."""
        self.refused_before: set[str] = set()
        """The paths whose refusal of the token before led to the latest one, which they have not
        accepted since."""

    def note(self, request: Request) -> None:
        """Note a response."""
        if request.bearer is not None:
            self._note_use(request, request.bearer)
        is_later = self.latest is None or request.number > self.latest.number
        if request.access_token is not None and is_later:
            self.latest = request
            self.was_refused = False
            self.refused, self.refused_before = set(), self.refused

    def _note_use(self, request: Request, token: str) -> None:
        status, path = request.exchange.status, request.exchange.path
        if status == 401:
            self.was_refused = True
            if self._is_latest(token):
                self.refused.add(path)
        elif status is not None and status < 400:
            self.refused_before.discard(path)

    def _is_latest(self, token: str) -> bool:
        """Return whether the client has received no other token since it received this one."""
        if self.latest is None:
            return True
        issuer = self._history.issuers.get(token)
        return issuer is not None and issuer.end > self.latest.number

    def is_known_for(self, request: Request) -> bool:
        """Return whether a client that sends this refresh knows the expiry of its access token."""
        return (
            self.latest is not None
            and self.latest.is_clear
            and self.latest.purpose == request.purpose
            and request.exchange.fresh_until is not None
        )


def _judged_by_freshness(history: History) -> Iterator[tuple[Request, _Freshness]]:
    """Yield the refreshes of each family, with what the client knows when it sends them."""
    for grant, family in history.families.items():
        freshness, refreshes = _Freshness(history), set(family)
        for request, answered in in_time(history.grants[grant]):
            for other in answered:
                freshness.note(other)
            if request in refreshes:
                yield request, freshness


def refreshed_once_per_expiry(history: History) -> Judgments:
    under_way: dict[tuple[str | None, tuple[str, ...]], _UnderWay] = defaultdict(_UnderWay)
    for request, freshness in _judged_by_freshness(history):
        others = under_way[request.grant, request.purpose]
        text = None
        if (other := others.at_the_time_of(request)) is not None:
            text = f" at the same time as request {other.number}"
        elif freshness.is_known_for(request) and (latest := freshness.latest) is not None:
            text = _repetition(request, latest, freshness)
        yield request, text and f"{request.verb} {request.grant}{text}"
        others.add(request)


def _repetition(request: Request, latest: Request, freshness: _Freshness) -> str | None:
    """Return what is wrong with a refresh after another one, if anything is."""
    fresh_until = request.exchange.fresh_until or 0.0
    left, lifetime = fresh_until - request.exchange.at, fresh_until - latest.exchange.at
    if left <= min(LEEWAY_SECONDS, lifetime / 2):
        return None
    if not freshness.refused:
        return f", which request {latest.number} had just refreshed"
    if freshness.refused <= freshness.refused_before:
        # 401, refresh, 401 with the new token: another new token will not help.
        paths = " and ".join(sorted(freshness.refused))
        return f", although {paths} had refused the new token of request {latest.number} too"
    return None


@dataclass(slots=True)
class _UnderWay:
    """The refreshes of one family that have no response yet, oldest first."""

    _answered: deque[Request] = field(default_factory=deque)
    _issuing: deque[Request] = field(default_factory=deque)

    def add(self, request: Request) -> None:
        # A client that lost the response may have given up before: it repeats nothing.
        if request.exchange.status is not None:
            self._answered.append(request)
            if request.access_token is not None:
                self._issuing.append(request)

    def at_the_time_of(self, request: Request) -> Request | None:
        """Return a request under way such that one of the two was successful."""
        others = self._issuing if request.access_token is None else self._answered
        while others and others[0].end <= request.number:
            others.popleft()
        return others[0] if others else None


def refreshed_only_when_needed(
    history: History, leeway_seconds: float = LEEWAY_SECONDS
) -> Judgments:
    for request, freshness in _judged_by_freshness(history):
        left = (request.exchange.fresh_until or 0.0) - request.exchange.at
        is_needed = (
            left <= leeway_seconds or freshness.was_refused or not freshness.is_known_for(request)
        )
        text = f"whose access token was valid for another {left:.0f} s"
        yield request, None if is_needed else f"{request.verb} {request.grant}, {text}"


def stopped_after_a_terminal_error(history: History) -> Judgments:
    uses: dict[tuple[str | None, str | None], list[Request]] = defaultdict(list)
    for request in history.refreshes:
        exchange = request.exchange
        uses[exchange.client_id, exchange.form.get("refresh_token")].append(request)
    for requests in uses.values():
        # After invalid_grant the token is invalid. After another error the same request is.
        refused: dict[object, Request] = {}
        for request, answered in in_time(requests):
            for other in answered:
                if other.has_tokens:
                    refused.clear()
                elif other.is_terminal:
                    is_grant = other.error == "invalid_grant"
                    refused["invalid_grant" if is_grant else other.exchange.digest] = other
            before = refused.get("invalid_grant") or refused.get(request.exchange.digest)
            if before is not None:
                name = request.presented or "a refresh token"
                text = f"presented {name} again, after request {before.number} got {before.error}"
                yield request, text
            elif request.is_terminal:
                yield request, None


# Retries


def honored_retry_after(history: History) -> Judgments:
    for requests in history.destinations:
        until, refused = -inf, None
        for request, answered in in_time(requests):
            for other in answered:
                if (moment := _retry_at(other.exchange)) is not None:
                    until, refused = moment, other
                elif other.exchange.status is not None and other.exchange.status < 400:
                    refused = None
            early = until - request.exchange.at
            if refused is not None and early > 0:
                number = refused.number
                yield request, f"was sent {early:g} s before the Retry-After of request {number}"
            elif refused is not None or _retry_at(request.exchange) is not None:
                refused = None
                yield request, None


def backed_off(history: History, at_least_seconds: float = 1) -> Judgments:
    for requests in history.destinations:
        failed = None
        for request, answered in in_time(requests):
            failed = next((other for other in reversed(answered) if _has_failed(other)), failed)
            if failed is not None:
                pause = request.exchange.at - _answered_at(failed.exchange)
                text = f"was sent {pause:g} s after request {failed.number} had failed"
                yield request, text if pause < at_least_seconds else None
                failed = None


def slowed_down(history: History, at_least_seconds: float = 5) -> Judgments:
    for requests in history.destinations:
        told = None
        for request, answered in in_time(requests):
            told = next((other for other in answered if other.error == "slow_down"), told)
            if told is not None:
                pause = request.exchange.at - _answered_at(told.exchange)
                text = f"was sent {pause:g} s after request {told.number} got slow_down"
                yield request, text if pause < at_least_seconds else None
                told = None


# Device codes


def polled_at_the_interval(history: History) -> Judgments:
    for polls in history.polls:
        interval = history.intervals.get(polls[0].exchange.tokens.get("device_code", ""))
        before: Request | None = None
        for request, answered in in_time(polls if interval is not None else ()):
            for other in answered:
                if other.error == "slow_down":
                    interval = (interval or 0) + SLOW_DOWN_SECONDS
            if before is not None and interval is not None:
                pause = request.exchange.at - before.exchange.at
                text = (
                    f"polled {pause:g} s after request {before.number}, sooner than the interval "
                    f"of {interval:g} s"
                )
                yield request, text if pause < interval - TOLERANCE_SECONDS else None
            before = request


def stopped_polling(history: History) -> Judgments:
    for polls in history.polls:
        final: list[Request] = []
        for request, answered in in_time(polls):
            final += filter(_ends_polling, answered)
            ended = next((other for other in final if not _may_follow(request, other)), None)
            if ended is not None:
                outcome = "tokens" if ended.has_tokens else ended.error
                yield request, f"polled again, after request {ended.number} got {outcome}"
            elif _ends_polling(request):
                yield request, None


def _ends_polling(request: Request) -> bool:
    """Return whether a response is final (RFC 8628 section 3.5)."""
    if _has_failed(request) or not request.is_clear:
        return False
    return request.has_tokens or request.error not in {None, *_UNDECIDED}


def _may_follow(request: Request, ended: Request) -> bool:
    """Return whether a poll is a new attempt: with other credentials, after a refusal of those."""
    return ended.error == "invalid_client" and request.exchange.digest != ended.exchange.digest


def _answered_at(exchange: Exchange) -> float:
    return exchange.at if exchange.answered_at is None else exchange.answered_at


def _has_failed(request: Request) -> bool:
    status = request.exchange.status
    return status is None or status == 429 or status >= 500 or request.error in _TEMPORARY


def _retry_at(exchange: Exchange) -> float | None:
    """Return when a response allows the next request, by the server's clock; None if always."""
    if exchange.status is None or exchange.status < 300:
        return None
    headers = exchange.response_headers.items()
    value = next((value for name, value in headers if name.lower() == "retry-after"), None)
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return _answered_at(exchange) + float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None  # A scripted header that says nothing.
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


# What is sent where


def sent_no_secret_in_a_url(history: History) -> Judgments:
    for request in history.requests:
        names = [name for name in SECRET_IN_URL if request.exchange.query.get(name)]
        yield request, f"sent {' and '.join(names)} in the URL" if names else None


def sent_readable_bodies(history: History) -> Judgments:
    for request in history.requests:
        exchange = request.exchange
        if exchange.endpoint in ("token", "revoke") and exchange.method == "POST":
            text = None
            if exchange.content_type is None:
                text = "sent no Content-Type"
            elif not exchange.form:
                text = f"sent no readable parameters, as {exchange.content_type}"
            yield request, text


def requested_no_wider_scope(history: History) -> Judgments:
    for request in history.refreshes:
        exchange = request.exchange
        # A scripted error says nothing of the scope.
        if "scope" in exchange.form and exchange.fault is None:
            text = f"requested scope {exchange.form['scope']!r}, which was not granted"
            yield request, text if request.error == "invalid_scope" else None


def used_each_code_verifier_once(history: History) -> Judgments:
    seen: dict[tuple[str | None, str], Request] = {}
    for request in history.requests:
        exchange = request.exchange
        verifier, code = exchange.form.get("code_verifier"), exchange.form.get("code")
        if verifier and code:
            first = seen.setdefault((exchange.client_id, verifier), request)
            is_other = first.exchange.form.get("code") != code
            text = f"used the code_verifier of request {first.number} for another code"
            yield request, text if is_other else None


def signed_each_proof_once(history: History) -> Judgments:
    seen: dict[tuple[str, str], Request] = {}
    for request in history.requests:
        if (proof := request.proof) is not None and isinstance(proof.jti, str):
            first = seen.setdefault((proof.key, proof.jti), request)
            text = f"sent a DPoP proof with the jti of request {first.number}"
            yield request, text if first is not request else None


def used_the_dpop_nonce(history: History) -> Judgments:
    for requests in history.destinations:
        refused = None
        for request, answered in in_time(requests):
            refused = next((r for r in reversed(answered) if r.needs_nonce), refused)
            if refused is not None and (proof := request.proof) is not None:
                former = None if refused.proof is None else refused.proof.nonce
                is_ignored = proof.nonce in (None, former)
                text = f"sent a DPoP proof without the nonce that request {refused.number} got"
                yield request, text if is_ignored else None
                refused = None


def sent_each_token_where_it_belongs(history: History) -> Judgments:
    for request in history.requests:
        if tokens := request.exchange.tokens:
            found = (_misplaced(request.exchange, *token) for token in tokens.items())
            yield request, " and ".join(filter(None, found)) or None


def _misplaced(exchange: Exchange, parameter: str, name: str) -> str | None:
    letter, kind = _BELONGS.get(parameter, ("", ""))
    if exchange.endpoint is None:
        return f"sent {name} to {exchange.path}, which is not an endpoint"
    if not name.rpartition(" ")[2].startswith(letter):
        return f"sent {name} as {parameter}, which must be {kind}"
    if parameter in ("refresh_token", "code", "device_code") and exchange.endpoint != "token":
        return f"sent {name} to the {exchange.endpoint} endpoint"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A row of `CHECKS`."""

    sentence: str
    """What a correct client does, and the source."""
    find: Callable[..., Judgments]
    """The function of a `History`; it can have options, all with defaults."""
    judges: str
    """What the journal must have for the check to judge anything: `refresh request`."""
    counts_by_default: bool = True
    """Whether `violations()` reports it. If not, correct clients differ in it, and a test that
    expects it of its client asserts it."""


CHECKS: Final[Mapping[str, Check]] = {
    "never_presented_a_spent_token": Check(
        sentence="Never present a refresh token after receiving its replacement "
        "(RFC 9700 section 4.14.2).",
        find=never_presented_a_spent_token,
        judges="refresh request",
    ),
    "used_the_latest_refresh_token": Check(
        sentence="Refresh with the refresh token that was received last (RFC 6749 section 6).",
        find=used_the_latest_refresh_token,
        judges="refresh request after a response with a refresh token",
    ),
    "kept_its_refresh_token": Check(
        sentence="Keep the refresh token if a response has none (RFC 6749 section 6).",
        find=kept_its_refresh_token,
        judges="refresh request after a response without a refresh token",
    ),
    "refreshed_once_per_expiry": Check(
        sentence="Refresh once per expiry, however many callers wait for the access token. Refresh "
        "again after a failure, a lost response, or a 401, but not if the new access token is "
        "refused as well (RFC 6750 section 3.1).",
        find=refreshed_once_per_expiry,
        judges="refresh request",
    ),
    "refreshed_only_when_needed": Check(
        sentence="Refresh only if the access token expires within a minute, or after a 401.",
        find=refreshed_only_when_needed,
        judges="refresh request",
    ),
    "stopped_after_a_terminal_error": Check(
        sentence="Never present a refresh token again after `invalid_grant`, and never repeat a "
        "request after `invalid_client` or `unauthorized_client` (RFC 6749 section 5.2).",
        find=stopped_after_a_terminal_error,
        judges="refresh request that got a terminal error",
    ),
    "honored_retry_after": Check(
        sentence="Wait until the time in `Retry-After` (RFC 9110 section 10.2.3), by the server's "
        "clock.",
        find=honored_retry_after,
        judges="response with a Retry-After",
    ),
    "backed_off": Check(
        sentence="Wait for at least a second after a 429, a 5xx, the error server_error or "
        "temporarily_unavailable, or a lost response, by the server's clock.",
        find=backed_off,
        judges="request after a failure",
        # An immediate first retry is sound, and so is a pause with jitter, which can be short.
        counts_by_default=False,
    ),
    "slowed_down": Check(
        sentence="Wait for at least 5 seconds after `slow_down`, by the server's clock (RFC 8628 "
        "section 3.5).",
        find=slowed_down,
        judges="request after a slow_down",
    ),
    "polled_at_the_interval": Check(
        sentence="Wait for the `interval` between two polls with a device code, by the server's "
        "clock, and for 5 seconds more after each `slow_down` (RFC 8628 section 3.5).",
        find=polled_at_the_interval,
        judges="second poll with a device code whose response has an interval",
    ),
    "stopped_polling": Check(
        sentence="Stop polling with a device code after tokens, and after any error other than "
        "`authorization_pending` and `slow_down` (RFC 8628 section 3.5).",
        find=stopped_polling,
        judges="poll with a device code that got a final response",
    ),
    "sent_no_secret_in_a_url": Check(
        sentence="Send no secret and no token in a URL, where logs keep it (RFC 6750 section 5.3).",
        find=sent_no_secret_in_a_url,
        judges="request",
    ),
    "sent_readable_bodies": Check(
        sentence="Send parameters as a form, with its `Content-Type` (RFC 6749 section 3.2).",
        find=sent_readable_bodies,
        judges="POST request to the token or revocation endpoint",
    ),
    "requested_no_wider_scope": Check(
        sentence="Request no scope in a refresh that was not granted (RFC 6749 section 6).",
        find=requested_no_wider_scope,
        judges="refresh request with a scope",
    ),
    "used_each_code_verifier_once": Check(
        sentence="Create a `code_verifier` for each authorization request (RFC 7636 section 4.1).",
        find=used_each_code_verifier_once,
        judges="request with a code and a code_verifier",
    ),
    "signed_each_proof_once": Check(
        sentence="Sign a DPoP proof for each request, with its own `jti` (RFC 9449 section 4.2).",
        find=signed_each_proof_once,
        judges="request with a DPoP proof",
    ),
    "used_the_dpop_nonce": Check(
        sentence="Repeat a request that got `use_dpop_nonce` with the nonce in `DPoP-Nonce` "
        "(RFC 9449 section 8).",
        find=used_the_dpop_nonce,
        judges="request with a DPoP proof after use_dpop_nonce",
    ),
    "sent_each_token_where_it_belongs": Check(
        sentence="Send each token only to the endpoint and in the parameter that it is for.",
        find=sent_each_token_where_it_belongs,
        judges="request with a token of this server",
    ),
}
"""Every check by its name, which is also that of its assertion."""


def judge(name: str, history: History, **options: float) -> Iterator[Violation | None]:
    """Yield once for each request that a check judges: its violation, or None."""
    for request, text in CHECKS[name].find(history, **options):
        yield None if text is None else Violation(name, request.number, text)


def violations(exchanges: Iterable[Exchange]) -> list[Violation]:
    """Return the violations of every check that counts by default, in the order of requests."""
    history = History(exchanges)
    found = [
        violation
        for name, check in CHECKS.items()
        if check.counts_by_default
        for violation in judge(name, history)
        if violation is not None
    ]
    return sorted(found, key=lambda violation: violation.number)
