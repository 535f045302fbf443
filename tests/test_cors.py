"""CORS: the pages of which origins can read responses."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, Settings
from tests.support.client import DOCUMENTED, ask, form

ORIGIN = "https://app.example"
ALLOWED = {
    "Access-Control-Allow-Origin": ORIGIN,
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Expose-Headers": "WWW-Authenticate",
    "Vary": "Origin",
}


def cors_headers(headers: Headers) -> dict[str, str]:
    """Return the headers of a response that are about CORS."""
    return {
        name: value
        for name, value in headers.items()
        if name.startswith("Access-Control-") or name == "Vary"
    }


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        (["*"], ALLOWED),
        ([ORIGIN], ALLOWED),
        (["https://other.example", ORIGIN], ALLOWED),
        (["https://other.example"], {}),
        (["https://app.example:8443"], {}),
        (["http://app.example"], {}),
        ([], {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("data", [DOCUMENTED, form(client_secret="x"), {}], ids=["200", "401", "-"])
def test_pages_of_the_allowed_origins_can_read_every_response(
    data: dict[str, str], origins: list[str], expected: dict[str, str]
) -> None:
    fake = FakeOAuth(Settings(cors_origins=origins))
    assert cors_headers(ask(fake, data, headers={"Origin": ORIGIN}).headers) == expected


def test_a_preflight_of_an_allowed_origin_is_answered() -> None:
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    client = WSGIClient(FakeOAuth(Settings(cors_origins=[ORIGIN])))
    response = client.options("/oauth2/token", headers=headers)
    assert (response.status_code, response.data) == (200, b"")
    assert cors_headers(response.headers) == {
        **ALLOWED,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
    }


def test_a_preflight_of_another_origin_is_a_405() -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    client = WSGIClient(FakeOAuth(Settings(cors_origins=[ORIGIN])))
    response = client.options("/oauth2/token", headers=headers)
    assert response.status_code == 405
    assert cors_headers(response.headers) == {}


def test_a_response_to_a_request_without_an_origin_has_no_cors_headers() -> None:
    fake = FakeOAuth(Settings(cors_origins=["*"]))
    assert cors_headers(ask(fake).headers) == {}
