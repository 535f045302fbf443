"""Every page in fixtures/ holds, in process and over a socket."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, Settings
from fake_oauth.web.endpoints import ENDPOINTS
from tests.asking import over_socket

PAGES = sorted((Path(__file__).parent.parent / "fixtures").glob("*/*.toml"))
HOLES = {
    "<jwt>": r"[\w-]+\.[\w-]+\.[\w-]+",
    "<token>": r"[\w-]{128}",
    "<modulus>": r"[\w-]{342}",
}
CLIENT = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}


def code(fake: FakeOAuth, **said: str) -> None:
    fake.issue_code(**said)


def access_token(fake: FakeOAuth, **said: str) -> str:
    return fake.issue(**said).access_token


def client_token(fake: FakeOAuth) -> str:
    form = {**CLIENT, "grant_type": "client_credentials"}
    reply = WSGIClient(fake).post("/oauth2/token", data=form).json
    assert reply is not None
    token: str = reply["access_token"]
    return token


def otp(fake: FakeOAuth, **said: str) -> None:
    asked = {**CLIENT, "usage": "login", **said}
    assert WSGIClient(fake).post("/otp/send", json=asked).status_code == 200


def login(fake: FakeOAuth) -> None:
    fake.login()


# What a page may need. A token that one makes takes the place of ACCESS_TOKEN in the request.
NEEDS: dict[str, Callable[..., str | None]] = {
    "access_token": access_token,
    "client_token": client_token,
    "code": code,
    "login": login,
    "otp": otp,
}


def prepared(page: dict[str, Any], fake: FakeOAuth) -> dict[str, Any]:
    """The page's request, once the fake has what the page needs."""
    made = [NEEDS[name](fake, **said) for name, said in page.get("needs", {}).items()]
    request: dict[str, Any] = {"headers": {}, "body": None, **page["request"]}
    for token in made:
        if token is not None:
            request["body"] = request["body"] and request["body"].replace("ACCESS_TOKEN", token)
            request["headers"] = {
                name: value.replace("ACCESS_TOKEN", token)
                for name, value in request["headers"].items()
            }
    return request


def pattern(body: str) -> re.Pattern[str]:
    """What a body with holes matches, and nothing else."""
    parts = re.split(r"(<[a-z_]+>)", body)
    return re.compile("".join(HOLES[part] if part in HOLES else re.escape(part) for part in parts))


def holds(page: dict[str, Any], status: int, headers: dict[str, str], body: bytes) -> None:
    expected = page["response"]
    assert expected["status"] == status
    shown = expected.get("headers", {})
    assert shown == {name: headers.get(name) for name in shown}
    assert str(len(body)) == headers["Content-Length"]
    if "body" in expected:
        assert pattern(expected["body"]).fullmatch(body.decode()), body.decode()
    if not body:
        assert "Content-Type" not in headers


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("transport", ["in process", "over a socket"])
def test_a_page_holds(path: Path, transport: str) -> None:
    page = tomllib.loads(path.read_text(encoding="utf-8"))
    assert page["title"]
    assert page["source"]
    fake = FakeOAuth(Settings.from_mapping(page.get("given", {})))
    if transport == "in process":
        request = prepared(page, fake)
        response = WSGIClient(fake).open(
            request["path"],
            method=request["method"],
            headers=request["headers"],
            data=request["body"],
        )
        holds(page, response.status_code, dict(response.headers), response.data)
    else:
        with fake as server:
            request = prepared(page, server)
            answer = over_socket(
                server, request["method"], request["path"], request["body"], request["headers"]
            )
        holds(page, *answer)


def test_every_documented_exchange_has_its_page() -> None:
    counted = Counter(path.parent.name for path in PAGES)
    assert counted == {
        "authorize": 6,
        "discovery": 1,
        "jwks": 1,
        "logout": 2,
        "otp_send": 10,
        "revoke": 2,
        "token": 26,
        "userinfo": 5,
    }


def test_every_endpoint_with_a_documented_exchange_has_pages() -> None:
    assert {path.parent.name for path in PAGES} == set(ENDPOINTS) - {"login", "resource"}


def test_a_page_that_differs_in_one_byte_does_not_hold() -> None:
    assert pattern('{ "a" : "<jwt>" }').fullmatch('{ "a" : "x.y.z" }')
    assert not pattern('{ "a" : "<jwt>" }').fullmatch('{ "a": "x.y.z" }')
    assert not pattern('{ "a" : "<jwt>" }').fullmatch('{ "a" : "x.y" }')
