"""Faults before the endpoint: the request is refused or kept waiting, and nothing has changed.

A new one is a subclass of `Refusal` and a row of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any, Final, Literal

from fake_oauth.faults.base import (
    LONGEST_SECONDS,
    FaultContext,
    Refusal,
    header_problems,
    header_value_problems,
)
from fake_oauth.provider.clock import END_OF_TIME
from fake_oauth.provider.dpop import nonce_header
from fake_oauth.provider.errors import OAuthError
from fake_oauth.reply import HTML, JSON, Reply
from fake_oauth.structure import Problem, json_problems

_REDIRECTS: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Pass(Refusal):
    """No fault: the request is served normally. It fills a place in a sequence."""

    def refuse(self, context: FaultContext) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Refuse(Refusal):
    """An OAuth error with a documented code or any other, as the endpoint responds with it.

    It is a JSON body (RFC 6749 section 5.2). At the authorization endpoint it is a redirect to the
    client (section 4.1.2.1). At userinfo and the protected resource, `invalid_request`,
    `invalid_token`, and `insufficient_scope` are a challenge (RFC 6750 section 3); so are
    `invalid_dpop_proof` and `use_dpop_nonce`, if the dialect reads DPoP proofs. For another code
    there, pass `headers` and `status`. A dialect that reads DPoP proofs sends `use_dpop_nonce` with
    a new nonce (RFC 9449 section 8). By default the status is the one that the server has for the
    code. A `status` of 200 is an error that looks like a success.
    """

    error: str
    """The error code, such as `invalid_grant`."""
    description: str | None = None
    """The `error_description`."""
    uri: str | None = None
    """The `error_uri`."""
    status: int | None = None
    """The HTTP status, 200 or 400 to 599; that of the code if not given."""
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """Further headers, such as `DPoP-Nonce`. They replace those of the same name."""

    def refuse(self, context: FaultContext) -> Reply:
        has_nonce = self.error == "use_dpop_nonce" and context.realm.dialect.reads_dpop
        error = OAuthError(
            self.error,
            "scripted",
            cause="scripted",
            description=self.description,
            uri=self.uri,
            headers=nonce_header(context.realm) if has_nonce else (),
        )
        reply = _with_headers(context.error_reply(error), self.headers)
        return reply if self.status is None else replace(reply, status=self.status)

    def problems(self) -> Iterator[Problem]:
        if not self.error:
            yield Problem("error", "expected an error code, got ''")
        if self.status is not None and not (self.status == 200 or 400 <= self.status <= 599):
            yield Problem("status", f"expected 200 or 400 to 599, got {self.status}")
        yield from header_problems("headers", self.headers)


@dataclass(frozen=True, slots=True)
class Status(Refusal):
    """A response that no authorization server wrote: a gateway's 503, a rate limiter's 429.

    `body` is HTML, or a mapping that is sent as JSON. `Retry-After` is in seconds, or with
    `retry_after_form="date"` a date by the server's clock (RFC 9110 section 10.2.3). A redirect
    has a `location`. 200 is the page of a captive portal.
    """

    code: int
    """The HTTP status: 200, a redirect, or 400 to 599."""
    body: str | Mapping[str, Any] | None = None
    """An HTML page, or a table that is sent as JSON."""
    retry_after_seconds: int | None = None
    """The value of `Retry-After`; no such header if not given."""
    retry_after_form: Literal["seconds", "date"] = "seconds"
    """How `Retry-After` says the time: as a number of seconds, or as a date."""
    location: str | None = field(default=None, kw_only=True)
    """The `Location` of a redirect."""
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """Further headers, such as those of a rate limit. They replace those of the same name."""

    def refuse(self, context: FaultContext) -> Reply:
        headers: tuple[tuple[str, str], ...] = ()
        if self.retry_after_seconds is not None:
            headers = (("Retry-After", self._retry_after(context.realm.clock.now())),)
        if self.location is not None:
            headers = (*headers, ("Location", self.location))
        reply = Reply(
            status=self.code,
            data=self.body if isinstance(self.body, Mapping) else None,
            page=self.body if isinstance(self.body, str) else None,
            content_type=JSON if isinstance(self.body, Mapping) else HTML,
            headers=headers,
            reason="scripted",
        )
        return _with_headers(reply, self.headers)

    def problems(self) -> Iterator[Problem]:
        if not (self.code == 200 or self.code in _REDIRECTS or 400 <= self.code <= 599):
            redirects = ", ".join(map(str, _REDIRECTS))
            yield Problem("code", f"expected 200, {redirects}, or 400 to 599, got {self.code}")
        elif self.location is None and self.code in _REDIRECTS:
            yield Problem("location", f"required for a redirect ({self.code})")
        elif self.location is not None and self.code not in _REDIRECTS:
            yield Problem("location", f"only a redirect has a location, not {self.code}")
        yield from json_problems("body", self.body)
        seconds = self.retry_after_seconds
        if seconds is not None and not 0 <= seconds <= LONGEST_SECONDS:
            message = f"expected 0 to {LONGEST_SECONDS}, got {seconds}"
            yield Problem("retry_after_seconds", message)
        if self.location is not None:
            yield from header_value_problems("location", self.location)
        yield from header_problems("headers", self.headers)

    def _retry_after(self, now: float) -> str:
        assert self.retry_after_seconds is not None
        if self.retry_after_form == "seconds":
            return str(self.retry_after_seconds)
        moment = min(int(now) + self.retry_after_seconds, END_OF_TIME - 1)
        return formatdate(moment, usegmt=True)


@dataclass(frozen=True, slots=True)
class Slow(Refusal):
    """A pause of some real seconds before the request is served normally.

    It is served even if its client has given up by then: a token may be used up without the
    client's knowledge.
    """

    seconds: float
    """How long the pause is, in real seconds, up to 3600."""

    def refuse(self, context: FaultContext) -> None:
        context.pause(self.seconds)

    def problems(self) -> Iterator[Problem]:
        if not 0 <= self.seconds <= 3600:
            yield Problem("seconds", f"expected 0 to 3600, got {self.seconds}")


def _with_headers(reply: Reply, headers: Mapping[str, str]) -> Reply:
    """Return a reply with further headers, which replace those of the same name."""
    values = {name.lower(): value for name, value in headers.items()}
    kept = [(name, value) for name, value in reply.headers if name.lower() not in values]
    added = [(name, value) for name, value in headers.items() if name.lower() != "content-type"]
    return replace(
        reply,
        headers=(*kept, *added),
        content_type=values.get("content-type", reply.content_type),
    )
