"""Faults before the endpoint: the request is answered, or kept waiting, and nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any, Literal

from fake_oauth.faults.seams import Refusal, Server
from fake_oauth.provider.errors import OAuthError, Problem
from fake_oauth.provider.parties import not_json
from fake_oauth.reply import JSON, Reply

_HTML = "text/html;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Ok(Refusal):
    """No fault: the request is served as ever. It fills a place in a sequence."""

    def refuse(self, server: Server) -> None:
        return None

    def __str__(self) -> str:
        return "ok"


@dataclass(frozen=True, slots=True)
class Refuse(Refusal):
    """An OAuth error (RFC 6749 section 5.2), a documented code or any other.

    Without a `status` it has the one that the server gives to the code: 401 for `invalid_client`,
    503 for `temporarily_unavailable`, otherwise 400.
    """

    error: str
    description: str | None = None
    uri: str | None = None
    status: int | None = None

    def refuse(self, server: Server) -> Reply:
        error = OAuthError(self.error, "scripted", description=self.description, uri=self.uri)
        reply = server.refused(error)
        return reply if self.status is None else replace(reply, status=self.status)

    def problems(self) -> Iterator[Problem]:
        if not self.error:
            yield Problem("error", "expected an error code, got none")
        if self.status is not None:
            yield from _wrong_status("status", self.status)


@dataclass(frozen=True, slots=True)
class Status(Refusal):
    """An HTTP error that no authorization server wrote: a gateway's 503, a rate limiter's 429.

    `body` is HTML, or a mapping that is sent as JSON. `Retry-After` is in seconds, or with
    `retry_after_form="date"` the moment by the server's clock (RFC 9110 section 10.2.3).
    """

    code: int
    body: Any = None
    retry_after_seconds: int | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"

    def refuse(self, server: Server) -> Reply:
        headers: tuple[tuple[str, str], ...] = ()
        if self.retry_after_seconds is not None:
            moment = formatdate(int(server.now) + self.retry_after_seconds, usegmt=True)
            told = str(self.retry_after_seconds) if self.retry_after_form == "seconds" else moment
            headers = (("Retry-After", told),)
        is_json = isinstance(self.body, Mapping)
        return Reply(
            status=self.code,
            data=self.body if is_json else None,
            page=None if is_json else self.body,
            content_type=JSON if is_json else _HTML,
            headers=headers,
            reason="scripted",
        )

    def problems(self) -> Iterator[Problem]:
        yield from _wrong_status("code", self.code)
        if not (self.body is None or isinstance(self.body, str | Mapping)):
            yield Problem("body", f"expected a string or a table, got {self.body!r}")
        yield from not_json("body", self.body)
        if self.retry_after_seconds is not None and self.retry_after_seconds < 0:
            message = f"expected at least 0, got {self.retry_after_seconds}"
            yield Problem("retry_after_seconds", message)


@dataclass(frozen=True, slots=True)
class Slow(Refusal):
    """The request waits so many real seconds; then it is served, whether or not its client waits.

    A client that has given up by then does not hear of what was done: its token may be spent.
    """

    seconds: float

    def refuse(self, server: Server) -> None:
        server.pause(self.seconds)

    def problems(self) -> Iterator[Problem]:
        if not 0 <= self.seconds <= 3600:
            yield Problem("seconds", f"expected 0 to 3600, got {self.seconds}")


def _wrong_status(name: str, status: int) -> Iterator[Problem]:
    if not 400 <= status <= 599:
        yield Problem(name, f"expected an HTTP error, 400 to 599, got {status}")
