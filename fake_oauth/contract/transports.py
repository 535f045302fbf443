"""Ways to ask one server: a fake in process, any server at its URL."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ssl import SSLContext
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from werkzeug.test import Client

from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.pages import Request
from fake_oauth.controls import PREFIX
from fake_oauth.fake import FakeOAuth
from fake_oauth.provider.errors import FakeOAuthError


class UnreachableError(FakeOAuthError):
    """A server does not answer, or not in HTTP."""


class Transport(Protocol):
    """A way to ask one server."""

    @property
    def url(self) -> str:
        """Where it is, for people."""
        ...

    def send(self, request: Request) -> Answer:
        """Ask. Raises UnreachableError."""
        ...


@dataclass(frozen=True, slots=True)
class InProcess:
    """A fake without a socket."""

    fake: FakeOAuth
    url: str = "in process"

    def send(self, request: Request) -> Answer:
        reply = Client(self.fake).open(
            request.path, method=request.method, headers=dict(request.headers), data=request.body
        )
        return Answer(reply.status_code, dict(reply.headers), reply.data)


@dataclass(frozen=True, slots=True)
class Wire:
    """A server at a URL."""

    url: str
    timeout_seconds: float = 10
    ssl_context: SSLContext | None = field(default=None, repr=False)
    control_token: str | None = field(default=None, repr=False)
    """What steering a fake takes on another address than loopback."""

    def send(self, request: Request) -> Answer:
        """One request on a connection of its own; redirects are not followed.

        A path may be a URL, for what is elsewhere.
        """
        parts = urlsplit(request.path if "://" in request.path[:8] else self.url + request.path)
        target = urlunsplit(("", "", parts.path, parts.query, ""))
        connection: HTTPConnection
        if parts.scheme == "https":
            connection = HTTPSConnection(
                parts.netloc, timeout=self.timeout_seconds, context=self.ssl_context
            )
        else:
            connection = HTTPConnection(parts.netloc, timeout=self.timeout_seconds)
        headers = dict(request.headers)
        if self.control_token is not None and request.path.startswith(PREFIX):
            headers["Authorization"] = f"Bearer {self.control_token}"
        body = None if request.body is None else request.body.encode(errors="surrogateescape")
        try:
            connection.request(request.method, target or "/", body, headers)
            response: HTTPResponse = connection.getresponse()
            told = response.getheaders()
            return Answer(response.status, dict(told), response.read(), tuple(told))
        except (OSError, HTTPException) as error:
            why = str(error) or type(error).__name__
            raise UnreachableError(f"{self.url} does not answer: {why}") from error
        finally:
            connection.close()


def json_of(answer: Answer) -> Any:
    """The body of an answer; None if it is no JSON."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return None
