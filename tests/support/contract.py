"""Targets and responses for the tests of the contract."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fake_oauth import FakeOAuth, Settings
from fake_oauth.contract.cases import Case, Request
from fake_oauth.contract.client import ReceivedResponse, WSGITransport
from fake_oauth.contract.placeholders import Level
from fake_oauth.contract.targets import FakeTarget
from fake_oauth.dialects import DIALECTS

CONTROLLED = Settings(control=True)
METADATA = "/.well-known/oauth-authorization-server"
DISCOVERY = "/.well-known/openid-configuration"


def fake_target(dialect: str = "ciam", settings: Settings = CONTROLLED) -> FakeTarget:
    """Return a fake in this process, reset for each case."""
    return FakeTarget(WSGITransport(FakeOAuth(settings)), DIALECTS[dialect])


def received(body: Any = b"", status: int = 200, **headers: str) -> ReceivedResponse:
    """Return a response whose header names have underscores; a body is bytes, text, or data."""
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    fields = tuple((name.replace("_", "-").title(), value) for name, value in headers.items())
    return ReceivedResponse(status, fields, body)


class StubTransport:
    """A server that always sends the same response, and remembers the requests.

    Unless `metadata` is passed, it has none.
    """

    def __init__(
        self,
        response: ReceivedResponse,
        url: str = "https://idp.example",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.url = url
        self.response = response
        self.requests: list[Request] = []
        self._metadata = metadata

    def send(self, request: Request) -> ReceivedResponse:
        if request.path in (METADATA, DISCOVERY):
            return received(b"", 404) if self._metadata is None else received(self._metadata)
        self.requests.append(request)
        return self.response


class StubTarget:
    """A target whose responses a function returns; it has no values."""

    def __init__(
        self,
        respond: Callable[[Request], ReceivedResponse],
        dialect: str = "rfc",
        level: Level = "loose",
    ) -> None:
        self.level = level
        self.dialect = DIALECTS[dialect]
        self._respond = respond

    @contextmanager
    def prepare(self, case: Case) -> Iterator[Mapping[str, str]]:
        yield {}

    def send(self, request: Request) -> ReceivedResponse:
        return self._respond(request)

    def url_of(self, path: str) -> str:
        return f"https://idp.example{path}"


def encoded(data: Any) -> str:
    """Return a segment of a JWT."""
    text = data if isinstance(data, str) else json.dumps(data)
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def jwt_of(claims: Any, header: Any = None) -> str:
    """Return a JWT whose signature is not one."""
    header = {"alg": "RS256", "kid": "1"} if header is None else header
    return f"{encoded(header)}.{encoded(claims)}.c2lnbmVkLWJ5LW5vYm9keQ"
