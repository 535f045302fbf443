"""Where a page is held against: a fake of our own, a stub that can be steered, any other server.

A host makes ready what a page needs and gives the values that stand for the documented ones; or it
says why the page cannot be run there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ssl import SSLContext
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

from werkzeug.test import Client

from fake_oauth.contract.comparing import Answer, Level
from fake_oauth.contract.pages import Page, Request
from fake_oauth.contract.values import DOCUMENTED, needed
from fake_oauth.fake import FakeOAuth
from fake_oauth.provider.errors import FakeOAuthError

_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON: Final = {"Content-Type": "application/json"}
# What a server makes: where it is not given, whatever comes will do.
_MADE: Final = ("code", "otp_token", "p_state", "kid", "username", "access_token")
# What may be anything: the documented value serves.
_FREE: Final = frozenset({"code_challenge"})


class SkippedError(Exception):
    """A page cannot be run on a host; why, and what it would take."""


class UnreachableError(FakeOAuthError):
    """A server does not answer, or not in HTTP."""


class Host(Protocol):
    """What pages are held against."""

    level: Level
    """How exact its answers are expected to be."""

    def ready(self, page: Page) -> AbstractContextManager[Mapping[str, str]]:
        """What the page needs, while it is run: the values. Raises SkippedError."""
        ...

    def send(self, request: Request) -> Answer:
        """Ask. Raises UnreachableError."""
        ...


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

    def send(self, request: Request) -> Answer:
        """One request on a connection of its own; redirects are not followed."""
        parts = urlsplit(self.url)
        connection: HTTPConnection
        if parts.scheme == "https":
            connection = HTTPSConnection(
                parts.netloc, timeout=self.timeout_seconds, context=self.ssl_context
            )
        else:
            connection = HTTPConnection(parts.netloc, timeout=self.timeout_seconds)
        body = None if request.body is None else request.body.encode(errors="surrogateescape")
        try:
            connection.request(
                request.method, parts.path.rstrip("/") + request.path, body, dict(request.headers)
            )
            response: HTTPResponse = connection.getresponse()
            headers = response.getheaders()
            return Answer(response.status, dict(headers), response.read(), tuple(headers))
        except (OSError, HTTPException) as error:
            told = str(error) or type(error).__name__
            raise UnreachableError(f"{self.url} does not answer: {told}") from error
        finally:
            connection.close()


class Foreign:
    """Any server, with what is known of it."""

    def __init__(
        self,
        wire: Transport,
        values: Mapping[str, str],
        *,
        level: Level = "loose",
        spends: bool = False,
    ) -> None:
        """`values` are by the names of `DOCUMENTED`; with `spends` pages may use things up."""
        self.level = level
        self._wire = wire
        self._spends = spends
        self._values = dict(values)
        if "issuer" not in self._values:
            path = "/.well-known/openid-configuration"
            told = json_of(wire.send(Request(method="GET", path=path)))
            issuer = told.get("issuer") if isinstance(told, dict) else None
            self._values["issuer"] = issuer if isinstance(issuer, str) else "<issuer>"

    def send(self, request: Request) -> Answer:
        return self._wire.send(request)

    @contextmanager
    def ready(self, page: Page) -> Iterator[Mapping[str, str]]:
        values = dict(self._values)
        if page.state is not None:
            raise SkippedError(f"needs a server where {page.state}")
        if page.spends is not None and not self._spends:
            raise SkippedError(f"would spend {page.spends}: --spend")
        if "client_token" in page.needs:
            values["access_token"] = client_token(self.send, values)
        if "otp" in page.needs and not {"otp", "otp_token"} & set(values):
            raise SkippedError("needs an OTP that was sent: --value otp=… --value otp_token=…")
        if missing := [name for name in needed(page) if name not in {*values, *_FREE}]:
            raise SkippedError(f"needs {', '.join(map(_option, missing))}")
        yield {**dict.fromkeys(_MADE, "<any>"), **values}


class Steered:
    """A fake that listens somewhere and can be steered: it is made anew for every page."""

    level: Level = "strict"

    def __init__(self, wire: Transport, token: str | None = None) -> None:
        """`token` is what steering it takes on another address than loopback."""
        self._wire = wire
        self._headers = _JSON if token is None else {**_JSON, "Authorization": f"Bearer {token}"}

    def send(self, request: Request) -> Answer:
        return self._wire.send(request)

    @contextmanager
    def ready(self, page: Page) -> Iterator[Mapping[str, str]]:
        self._steer("/reset", {"settings": dict(page.given)})
        made = {}
        for name, said in page.needs.items():
            if name == "code":
                self._steer("/codes", said)
            elif name == "login":
                self._steer("/login", said)
            elif name == "access_token":
                made["access_token"] = self._steer("/tokens", said)["access_token"]
            elif name == "client_token":
                made["access_token"] = client_token(self.send, DOCUMENTED)
            else:
                client = {name: DOCUMENTED[name] for name in ("client_id", "client_secret")}
                body = json.dumps({**client, "usage": "login", **said})
                self.send(Request(method="POST", path="/otp/send", headers=_JSON, body=body))
        yield made

    def restore(self) -> None:
        """Let it begin again as its own settings say."""
        self._steer("/reset", {})

    def _steer(self, path: str, body: Mapping[str, Any]) -> Any:
        text = json.dumps(body, default=str)
        headers = self._headers
        answer = self.send(Request(method="POST", path=f"/_fake{path}", headers=headers, body=text))
        if answer.status != 200:
            raise FakeOAuthError(f"{self._wire.url}/_fake{path}: {answer.body.decode()}")
        return json.loads(answer.body)


def client_token(send: Callable[[Request], Answer], values: Mapping[str, str]) -> str:
    """An access token of a client's own. Raises SkippedError where there is none to be had."""
    names = ("client_id", "client_secret")
    if missing := [name for name in names if name not in values]:
        raise SkippedError(f"needs {', '.join(map(_option, missing))}")
    form = {name: values[name] for name in names}
    body = urlencode({**form, "grant_type": "client_credentials"})
    data = json_of(send(Request(method="POST", path="/oauth2/token", headers=_FORM, body=body)))
    token = data.get("access_token") if isinstance(data, dict) else None
    if not isinstance(token, str):
        raise SkippedError("needs a client that may use client_credentials")
    return token


def json_of(answer: Answer) -> Any:
    """The body of an answer; None if it is no JSON."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def _option(name: str) -> str:
    known: Sequence[str] = ("client_id", "client_secret", "refresh_token")
    return f"--{name.replace('_', '-')}" if name in known else f"--value {name}=…"
