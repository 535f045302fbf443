"""What the client sent, what the server responded, and why: the reason that no response reveals.

An exchange is written when the request arrives, and completed when the response is decided.
Reading the journal changes nothing.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from threading import Lock
from typing import Any, Final, overload

from fake_oauth.parameters import shown
from fake_oauth.provider.errors import Cause
from fake_oauth.provider.request import Parameters
from fake_oauth.provider.store import together

# Shown at the start of a line already.
_SHOWN_FIRST: Final = frozenset({"grant_type", "client_id"})
_HIDDEN_HEADERS: Final = frozenset({"Authorization", "Cookie", "Proxy-Authorization"})
# The size of an exchange without its parameters and bodies, in bytes; measured, and rounded up.
_OVERHEAD: Final = 2048


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and its response, decoded. A field that is not known (yet) is None."""

    number: int
    at: float
    """When the request arrived: seconds since 1970 by the server's clock."""
    method: str
    path: str
    endpoint: str | None
    """`token`, `jwks`, `discovery`, …; None for a path that is not served."""
    query: Parameters
    form: Parameters
    """The parameters in the body: the first value of each name."""
    client_id: str | None
    """The client that the request names, authenticated or not."""
    content_type: str | None = None
    """The Content-Type of the request."""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """The names of the presented tokens and codes, by parameter (or `bearer`):
    `{"refresh_token": "alice/1 r1"}`. A token that this server never issued has no name."""
    issued: tuple[str, ...] = ()
    """The names of the tokens in the response: `("alice/1 r2", "alice/1 a2")`."""
    lost: tuple[str, ...] = ()
    """The names of tokens that were issued, and that the client did not receive: a fault lost or
    changed the response."""
    fresh_until: float | None = None
    """When the access token expires that the client received last for this login, before this
    request: seconds since 1970."""
    status: int | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    """The body of the response."""
    reason: str | None = None
    """Why the server responded as it did, in a sentence."""
    cause: Cause | None = None
    """The rule that refused the request: `refresh_token_expired`. Dialects have other codes for
    it; this name stays."""
    browser_error: str | None = None
    """The error code that the browser receives outside of JSON: on a page for a person, or in the
    parameters of an authorization response. None for any other response."""
    fault: str | None = None
    """The step of the script that the request used: `step 2 Status(503)`."""
    peer: str | None = None
    """The client's address and port; None in process."""
    digest: Hashable = field(default=None, repr=False)
    """Equal for requests with the same method, path, query, Authorization, DPoP, and body."""
    answered_at: float | None = None
    """When the response was decided, or when the connection ended without one."""
    answered_before: int | None = None
    """The number of the first request that arrived after the response."""
    raw_headers: Sequence[tuple[str, str]] = field(default=(), repr=False)
    """The headers of the request as WSGI names them."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the request except Content-Type; those with credentials are hidden."""
        named = ((name[5:].replace("_", "-").title(), value) for name, value in self.raw_headers)
        return {name: "***" if name in _HIDDEN_HEADERS else value for name, value in named}

    @property
    def grant_type(self) -> str | None:
        """The grant_type in the body."""
        grant_type: str | None = self.form.get("grant_type")
        return grant_type

    @property
    def reply(self) -> Any:
        """The body of the response, decoded from JSON; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def error(self) -> str | None:
        """The OAuth error code in the response; None if it has none."""
        if self.browser_error is not None or b'"error"' not in self.body:
            return self.browser_error
        reply = self.reply
        code = reply.get("error") if isinstance(reply, dict) else None
        return code if isinstance(code, str) else None

    @property
    def size(self) -> int:
        """About how much memory the exchange uses, in bytes."""
        size = _OVERHEAD + len(self.path) + len(self.body)
        for name, value in self.raw_headers:
            size += len(name) + len(value) + 100
        for parameters in (self.query, self.form):
            if parameters:
                for name, value in parameters.pairs():
                    size += 2 * (len(name) + len(value) + 150)
        return size

    def __str__(self) -> str:
        """Return one line, in which secrets are hidden and tokens have their names."""
        moment = datetime.fromtimestamp(self.at, UTC).strftime("%H:%M:%S")
        outcome = " ".join(filter(None, (str(self.status or "no response"), self.error)))
        sent = " ".join(
            f"{name}={self.tokens.get(name) or shown(name, value)}"
            for name, value in (*self.query.pairs(), *self.form.pairs())
            if name not in _SHOWN_FIRST
        )
        if "bearer" in self.tokens:
            sent = f"bearer={self.tokens['bearer']} {sent}".rstrip()
        for name, value in self.raw_headers:
            if name == "HTTP_DPOP":
                sent = f"{sent} DPoP={shown('dpop', value)}".lstrip()
        who = ", ".join(filter(None, (self.grant_type, self.client_id)))
        line = f"#{self.number} {moment} {self.method} {self.path} -> {outcome}"
        step = self.fault and f"{{{self.fault}}}"
        issued = self.issued and f"issued {together(self.issued)};"
        reason = self.reason and f"{self.reason};"
        for part in (who and f"[{who}]", step, reason, issued, sent):
            line += f" {part}" if part else ""
        return printable(line.removesuffix(";"))


class Journal(Sequence[Exchange]):
    """The latest exchanges, oldest first, up to a number of exchanges and of bytes."""

    def __init__(
        self,
        limit: int,
        limit_bytes: int = 32 * 1024 * 1024,
        watch: Callable[[Exchange], None] | None = None,
    ) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._exchanges: deque[Exchange] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._arrived = 0
        self._lock = Lock()
        self._watch = watch

    def arrived(self, **fields: Any) -> Exchange:
        """Write a request, with a number that counts from 1. `fields` are those of an Exchange."""
        with self._lock:
            self._arrived += 1
            exchange = Exchange(number=self._arrived, **fields)
            self._keep(exchange, exchange.size)
        return exchange

    def answered(
        self,
        exchange: Exchange,
        status: int | None,
        body: bytes,
        reason: str,
        *,
        at: float,
        headers: Mapping[str, str] | None = None,
        issued: tuple[str, ...] = (),
        cause: Cause | None = None,
        browser_error: str | None = None,
    ) -> None:
        """Complete an exchange with its response. A status of None is no response."""
        exchange.body, exchange.reason, exchange.answered_at = body, reason, at
        exchange.response_headers, exchange.issued = headers or {}, issued
        exchange.cause, exchange.browser_error = cause, browser_error
        exchange.status = status
        with self._lock:
            exchange.answered_before = self._arrived + 1
            self._grow(exchange, len(body))
        if self._watch is not None:
            self._watch(exchange)

    @property
    def latest_number(self) -> int:
        """The number of the latest exchange; 0 without one."""
        return self._arrived

    @property
    def forgotten(self) -> int:
        """How many earlier exchanges the journal no longer has."""
        return self._arrived - len(self._exchanges)

    def after(self, number: int) -> list[Exchange]:
        """Return the exchanges with a number above this one, oldest first."""
        with self._lock:
            skipped = max(0, number - self.forgotten)
            return list(islice(self._exchanges, skipped, None))

    def _keep(self, exchange: Exchange, size: int) -> None:
        self._exchanges.append(exchange)
        self._sizes.append(size)
        self._bytes += size
        self._trim()

    def _grow(self, exchange: Exchange, size: int) -> None:
        """Count a response. An exchange that is forgotten by now costs nothing."""
        index = exchange.number - 1 - self.forgotten
        if index >= 0:
            self._sizes[index] += size
            self._bytes += size
            self._trim()

    def _trim(self) -> None:
        """Forget the oldest exchanges; the latest one is always kept."""
        while len(self._exchanges) > 1 and (
            len(self._exchanges) > self._limit or self._bytes > self._limit_bytes
        ):
            self._exchanges.popleft()
            self._bytes -= self._sizes.popleft()

    def __len__(self) -> int:
        return len(self._exchanges)

    @overload
    def __getitem__(self, index: int) -> Exchange: ...
    @overload
    def __getitem__(self, index: slice) -> list[Exchange]: ...
    def __getitem__(self, index: int | slice) -> Exchange | list[Exchange]:
        with self._lock:
            return list(self._exchanges)[index]

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self[:])

    def __str__(self) -> str:
        """Return the transcript: one line per exchange."""
        return self.transcript()

    def transcript(self, latest: int | None = None) -> str:
        """Return the transcript of the latest exchanges, and how many came before."""
        exchanges = self[:]
        lines = exchanges if latest is None else exchanges[-latest:]
        earlier = self.forgotten + len(exchanges) - len(lines)
        heading = [f"({earlier} earlier exchanges are not shown)"] if earlier else []
        return "\n".join([*heading, *map(str, lines)])

    def __repr__(self) -> str:
        return f"<Journal of {len(self)} exchanges>"


def printable(text: str) -> str:
    """Return text without anything that could control the terminal that shows it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
