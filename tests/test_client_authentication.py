"""How a client says who it is: rules 1 to 5, over HTTP in process."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from fake_oauth import Client, FakeOAuth, PreconfiguredRefreshToken, Settings
from tests.support.client import ask, basic, form

ODD = Client(client_id="a:b ü", client_secret="p+w%/ü:")


def answer(
    data: dict[str, Any], headers: dict[str, str] | None = None, fake: FakeOAuth | None = None
) -> tuple[int, Any, str | None]:
    """Status, JSON body (None if empty) and the journal's reason."""
    fake = fake or FakeOAuth()
    response = ask(fake, data, headers=headers)
    assert "WWW-Authenticate" not in response.headers
    return response.status_code, response.json if response.data else None, fake.journal[-1].reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client_id": None, "client_secret": None}, "no client credentials"),
        ({"client_id": None}, "no client credentials"),
        ({"client_id": ""}, "client_id blank"),
        ({"client_secret": ""}, "client_secret blank"),
        ({"client_secret": " "}, "client_secret blank"),
        (
            {"client_secret": None},
            "client TENANT_CLIENT_ID is confidential and sent no client_secret",
        ),
    ],
)
def test_1_whoever_says_too_little_gets_401_with_an_empty_body(
    changes: dict[str, str | None], reason: str
) -> None:
    assert answer(form(**changes)) == (401, None, reason)


def test_1_an_empty_body_has_a_content_length_and_no_type() -> None:
    response = ask(FakeOAuth(), form(client_id=None))
    assert response.headers["Content-Length"] == "0"
    assert "Content-Type" not in response.headers


def test_1b_a_public_client_refreshes_with_its_client_id_alone() -> None:
    fake = FakeOAuth(Settings(clients=[Client(client_id="app")]))
    status, body, _ = answer(form(client_id="app", client_secret=None), fake=fake)
    assert (status, body["refresh_token"]) == (200, "MOCK_REFRESH_TOKEN")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client_id": "nobody"}, "client nobody unknown"),
        ({"client_secret": "wrong"}, "client_secret does not match"),
    ],
)
def test_2_who_is_not_proven_gets_401_invalid_client(changes: dict[str, str], reason: str) -> None:
    assert answer(form(**changes)) == (401, {"error": "invalid_client"}, reason)


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_3_credentials_must_not_come_twice(name: str) -> None:
    expected = (400, {"error": "invalid_request"}, f"{name} sent 2 times")
    assert answer(form(**{name: ["a", "b"]})) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("Basic", "Authorization: Basic has no colon between id and secret"),
        ("Basic !!!!", "Authorization: Basic is not base64 of UTF-8"),
        ("Basic a b", "Authorization: Basic is not base64 of UTF-8"),
        ("Basic YQ=x", "Authorization: Basic is not base64 of UTF-8"),
        ("Basic _-8_", "Authorization: Basic is not base64 of UTF-8"),
        (
            "Basic " + b64encode(b"web").decode(),
            "Authorization: Basic has no colon between id and secret",
        ),
        (
            "Basic " + b64encode(b"web:100%").decode(),
            "Authorization: Basic has a % that starts no escape",
        ),
        (
            "Basic " + b64encode(b"web:%FF").decode(),
            "Authorization: Basic is not UTF-8",
        ),
        (
            "Basic " + b64encode(b"web:\xff").decode(),
            "Authorization: Basic is not base64 of UTF-8",
        ),
    ],
)
def test_3_a_malformed_basic_is_an_invalid_request(value: str, reason: str) -> None:
    expected = (400, {"error": "invalid_request"}, reason)
    assert answer(form(), {"Authorization": value}) == expected


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [("", "x", "client_id blank"), ("web", "", "client_secret blank")],
)
def test_1_a_basic_with_a_blank_half_gets_401_with_an_empty_body(
    first: str, second: str, reason: str
) -> None:
    assert answer(form(), basic(first, second)) == (401, None, reason)


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_4_basic_alone_decides_whatever_the_form_says(scheme: str) -> None:
    good = basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")["Authorization"]
    headers = {"Authorization": good.replace("Basic", scheme)}
    status, _, _ = answer(form(client_secret="wrong"), headers)
    assert status == 200
    assert answer(form(), basic("TENANT_CLIENT_ID", "wrong"))[0] == 401


def test_4_a_body_that_names_another_client_is_refused() -> None:
    good = basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")
    assert answer(form(client_id="other"), good) == (
        400,
        {"error": "invalid_request"},
        "the body names client other, Authorization: Basic names TENANT_CLIENT_ID",
    )


def test_5_basic_is_form_urldecoded_after_base64() -> None:
    fake = FakeOAuth(Settings(clients=[ODD], refresh_tokens=[PreconfiguredRefreshToken(value="R")]))
    request = form(client_id=None, client_secret=None, refresh_token="R")
    encoded = basic("a%3Ab+%C3%BC", "p%2Bw%25%2F%C3%BC:")
    assert answer(request, encoded, fake)[0] == 200
    raw = basic("a%3Ab+%C3%BC", "p+w%25%2F%C3%BC:")
    assert answer(request, raw, fake) == (
        401,
        {"error": "invalid_client"},
        "client_secret does not match",
    )


def test_basic_without_padding_is_read() -> None:
    header = basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")["Authorization"]
    assert header.endswith("=")
    assert answer(form(), {"Authorization": header.rstrip("=")})[0] == 200


@pytest.mark.parametrize("value", ["Digest x", "Bearer abc", "", "x"])
def test_other_schemes_are_ignored(value: str) -> None:
    assert answer(form(), {"Authorization": value})[0] == 200


def test_a_client_may_be_held_to_one_method() -> None:
    client = Client(
        client_id="web",
        client_secret="s",
        token_endpoint_auth_methods=["client_secret_basic"],
    )
    fake = FakeOAuth(Settings(clients=[client]))
    assert answer(form(client_id="web", client_secret="s"), fake=fake)[0] == 401
    request = form(client_id=None, client_secret=None)
    assert answer(request, basic("web", "s"), fake)[0] == 200
