"""What came in, what went out, and why: the reason that the wire hides.

A request is written down when it arrives and completed when it is answered.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, overload

from fake_oauth.provider.asking import Params
from fake_oauth.provider.lineage import together

# What no transcript shows.
HIDDEN = frozenset({"client_secret", "password", "otp", "code_verifier"})
_PLAIN = frozenset(
    {
        "auth_source_id",
        "code_challenge_method",
        "email",
        "logout_redirect_uri",
        "phone_number",
        "redirect_uri",
        "response_type",
        "scope",
        "usage",
        "username",
    }
)
_TOLD_ELSEWHERE = frozenset({"grant_type", "client_id"})


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and its answer, decoded. What is not known (yet) is None."""

    number: int
    at: float
    """When it arrived by the server's clock: seconds since 1970."""
    method: str
    path: str
    endpoint: str | None
    """`token`, `jwks`, `discovery`; None for a path that is not served."""
    query: Params
    form: Params
    """The parameters in the body: the first value of each name."""
    client_id: str | None
    """Who the client said it was, proven or not."""
    content_type: str | None = None
    """What the body was said to be."""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """The tokens and codes that came, by parameter (or `bearer`), as the lineage names them:
    `{"refresh_token": "alice/1 r1"}`. One that was never issued is not among them."""
    given: tuple[str, ...] = ()
    """The tokens that went out, likewise: `("alice/1 r2", "alice/1 a2")`."""
    fresh_until: float | None = None
    """When the access token expires that the client had received last, for this log-in, before
    this request: seconds since 1970."""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those of the answer."""
    body: bytes = field(default=b"", repr=False)
    reason: str | None = None
    """Why the answer is what it is, in a sentence."""
    fault: str | None = None
    """The step of the script that it met: `step 2 Status(503)`."""
    peer: str | None = None
    """The client's end of the connection, address and port; None in process."""
    digest: bytes = field(default=b"", repr=False)
    """Equal for requests that are the same to the byte."""
    answered_before: int | None = None
    """The number of the first request that came after the answer."""

    @property
    def grant_type(self) -> str | None:
        return self.form.get("grant_type")

    @property
    def reply(self) -> Any:
        """The body of the answer, decoded from JSON; None if it has none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def error(self) -> str | None:
        """The OAuth error code of the answer; None if it has none."""
        reply = self.reply
        return reply.get("error") if isinstance(reply, dict) else None

    def __str__(self) -> str:
        """One line, with secrets left out and tokens shortened."""
        moment = datetime.fromtimestamp(self.at, UTC).strftime("%H:%M:%S")
        answer = " ".join(filter(None, (str(self.status or "not answered"), self.error)))
        asked = " ".join(
            f"{name}={self.tokens.get(name) or _shown(name, value)}"
            for name, value in (*self.query.pairs(), *self.form.pairs())
            if name not in _TOLD_ELSEWHERE
        )
        if "bearer" in self.tokens:
            asked = f"bearer={self.tokens['bearer']} {asked}".rstrip()
        who = ", ".join(filter(None, (self.grant_type, self.client_id)))
        line = f"#{self.number} {moment} {self.method} {self.path} -> {answer}"
        met = self.fault and f"{{{self.fault}}}"
        gave = self.given and f"gave {together(self.given)};"
        reason = self.reason and f"{self.reason};"
        for part in (who and f"[{who}]", met, reason, gave, asked):
            line += f" {part}" if part else ""
        return _printable(line.removesuffix(";"))


class Journal(Sequence[Exchange]):
    """The latest exchanges, oldest first. It grows to `limit`, then forgets the oldest."""

    def __init__(self, limit: int, watch: Callable[[Exchange], None] | None = None) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=limit)
        self._arrived = 0
        self._lock = Lock()
        self._watch = watch

    def arrived(
        self,
        *,
        at: float,
        method: str,
        path: str,
        endpoint: str | None,
        query: Params,
        form: Params,
        client_id: str | None,
        **more: Any,
    ) -> Exchange:
        """Write down a request, its number counting from 1; `more` are fields of an Exchange."""
        with self._lock:
            self._arrived += 1
            exchange = Exchange(
                number=self._arrived,
                at=at,
                method=method,
                path=path,
                endpoint=endpoint,
                query=query,
                form=form,
                client_id=client_id,
                **more,
            )
            self._exchanges.append(exchange)
        return exchange

    def answered(
        self,
        exchange: Exchange,
        status: int | None,
        body: bytes,
        reason: str,
        *,
        headers: Mapping[str, str] | None = None,
        given: tuple[str, ...] = (),
    ) -> None:
        """Complete a request with its answer; without a status it got none."""
        exchange.status, exchange.body, exchange.reason = status, body, reason
        exchange.headers, exchange.given = headers or {}, given
        with self._lock:
            exchange.answered_before = self._arrived + 1
        if self._watch is not None:
            self._watch(exchange)

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
        """The transcript: a line an exchange."""
        forgotten = self._arrived - len(self)
        heading = [f"({forgotten} earlier requests are forgotten)"] if forgotten else []
        return "\n".join([*heading, *map(str, self)])


def _shown(name: str, value: str) -> str:
    """Enough of a value to tell it from others, too little to use it."""
    if name in HIDDEN:
        return "***"
    if name in _PLAIN:
        return repr(value) if " " in value else value
    return (
        value if len(value) < 8 and "token" not in name else f"{value[: min(8, len(value) // 3)]}…"
    )


def _printable(text: str) -> str:
    """What a client sent must not steer the terminal that shows it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
