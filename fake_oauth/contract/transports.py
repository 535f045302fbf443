"""Ways to ask one server: a fake in process, any server at its URL."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ssl import SSLContext
from threading import Event, Timer
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit, urlunsplit

from werkzeug.test import Client

from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.pages import Request
from fake_oauth.contract.values import parsed
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
    """How long the whole of an answer may take."""
    ssl_context: SSLContext | None = field(default=None, repr=False)
    control_token: str | None = field(default=None, repr=False)
    """What steering a fake takes on another address than loopback."""

    def send(self, request: Request) -> Answer:
        """One request on a connection of its own; redirects are not followed.

        A path may be a URL, for what is elsewhere.
        """
        headers = dict(request.headers)
        if self.control_token is not None and request.path.startswith(PREFIX):
            headers["Authorization"] = f"Bearer {self.control_token}"
        body = None if request.body is None else request.body.encode(errors="surrogateescape")
        try:
            parts = urlsplit(request.path if "://" in request.path[:8] else self.url + request.path)
            target = urlunsplit(("", "", parts.path, parts.query, "")) or "/"
            with self._connected(parts) as connection:
                connection.request(request.method, target, body, headers)
                response: HTTPResponse = connection.getresponse()
                told = response.getheaders()
                answer = Answer(response.status, dict(told), response.read(), tuple(told))
        except (OSError, HTTPException, ValueError) as error:
            why = (isinstance(error, OSError) and str(error)) or repr(error)
            raise UnreachableError(f"{self.url} does not answer: {why}") from error
        return answer

    @contextmanager
    def _connected(self, parts: SplitResult) -> Iterator[HTTPConnection]:
        """A connection that is cut when its time is over, however much comes, drop by drop.

        Raises TimeoutError then.
        """
        connection: HTTPConnection
        if parts.scheme == "https":
            connection = HTTPSConnection(
                parts.netloc, timeout=self.timeout_seconds, context=self.ssl_context
            )
        else:
            connection = HTTPConnection(parts.netloc, timeout=self.timeout_seconds)
        is_over = Event()
        try:
            connection.connect()
            connection.sock.settimeout(None)  # From here on the timer says when.
            cut = Timer(self.timeout_seconds, _cut, (connection.sock, is_over))
            cut.daemon = True  # An interrupt may come before it can be cancelled.
            cut.start()
            try:
                yield connection
            except (OSError, HTTPException):
                if not is_over.is_set():
                    raise
            finally:
                cut.cancel()
        finally:
            connection.close()
        if is_over.is_set():  # What has come until then may look like the end of a body.
            raise TimeoutError(f"not in full within {self.timeout_seconds:g} s")


def _cut(connection: socket.socket, is_over: Event) -> None:
    is_over.set()
    try:
        # Not by SSLSocket's own, which takes TLS away from whoever is reading.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        pass  # It has ended by itself.


def server_url(text: str) -> str:
    """The URL of a server as people give it. Raises FakeOAuthError for one that is none."""
    try:
        parts = urlsplit(text)
        is_server = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        is_server = False
    if not is_server or not parts.hostname or parts.username is not None or set(text) & {*"?#"}:
        shown = re.sub(r"//[^/@]*@", "//***@", text)
        raise FakeOAuthError(
            f"{shown}: expected the URL of a server, such as http://127.0.0.1:8080"
        )
    return text.rstrip("/")


def json_of(answer: Answer) -> Any:
    """The body of an answer; None if it is no JSON."""
    return parsed(answer.body)
