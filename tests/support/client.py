"""How tests ask a fake: in process and over a socket, with the documented request at hand."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import jwt
from werkzeug.test import Client as WSGIClient
from werkzeug.test import TestResponse

if TYPE_CHECKING:
    from fake_oauth import FakeOAuth

DOCUMENTED = {
    "client_id": "TENANT_CLIENT_ID",
    "client_secret": "TENANT_CLIENT_SECRET",
    "grant_type": "refresh_token",
    "refresh_token": "MOCK_REFRESH_TOKEN",
}
FORM = "application/x-www-form-urlencoded"


def form(**changes: str | list[str] | None) -> dict[str, Any]:
    """The documented parameters with some changed; None leaves one out, a list sends several."""
    merged: dict[str, Any] = {**DOCUMENTED, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def ask(fake: FakeOAuth, data: Any = None, **options: Any) -> TestResponse:
    """Post to the token endpoint in process; by default the documented request."""
    data = DOCUMENTED if data is None else data
    return WSGIClient(fake).post("/oauth2/token", data=data, **options)


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    """An Authorization header of halves that are encoded already."""
    return {"Authorization": f"Basic {b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"}


def claims(token: str) -> dict[str, Any]:
    """What a token says, unverified."""
    decoded: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return decoded


def over_socket(
    fake: FakeOAuth, method: str, path: str, body: str | None, headers: Mapping[str, str]
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own."""
    host, port = fake.url.removeprefix("http://").split(":")
    connection = HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()
