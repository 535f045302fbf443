"""What another server sends is never the checker's error: whatever it is, it differs or holds."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.holes import Level
from fake_oauth.contract.pages import Page, Request, pages
from fake_oauth.contract.report import Report
from fake_oauth.contract.running import Outcome, run_one
from fake_oauth.dialects import DIALECTS

LEVELS: tuple[Level, ...] = ("strict", "loose")
PAGES = [(name, page) for name in DIALECTS for page in pages(name)]
KID = "k-1"


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


class Junk:
    """A server that answers everything alike, but for its keys."""

    level: Level = "loose"

    def __init__(self, dialect: str, answer: Answer, jwks: bytes) -> None:
        self.dialect = DIALECTS[dialect]
        self._answer, self._jwks = answer, jwks

    @contextmanager
    def ready(self, page: Page) -> Iterator[Mapping[str, str]]:
        yield {}

    def send(self, request: Request) -> Answer:
        is_keys = request.path == self.dialect.paths["jwks"]
        return Answer(200, {}, self._jwks) if is_keys else self._answer


def held(name: str, page: Page, answer: Answer, jwks: bytes = b"{}") -> list[Outcome]:
    outcomes = [run_one(page, Junk(name, answer, jwks), level) for level in LEVELS]
    report = Report("http://x", outcomes, {})
    report.as_junit()
    json.dumps(report.as_json())
    return outcomes


SCALARS = st.sampled_from(
    [
        None,
        True,
        0,
        7,
        -1.5,
        float("nan"),
        float("inf"),
        10**400,
        "",
        "x",
        "a b",
        "\x1b[31m",
        "\ud800",
    ]
)
NAMES = st.sampled_from(
    [
        *(
            "access_token",
            "refresh_token",
            "id_token",
            "token_type",
            "expires_in",
            "scope",
            "error",
        ),
        *("keys", "issuer", "iat", "exp", "nbf", "aud", "sub", "active", "kty", "kid", "n", "e"),
        *("d", "alg", "otp_token", "response_types_supported"),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6)
TOKENS = st.builds(
    lambda header, claims: f"{encoded(json.dumps(header))}.{encoded(json.dumps(claims))}.c2ln",
    st.fixed_dictionaries(
        {}, optional={"alg": st.sampled_from(["RS256", "ES256", "none", 7]), "kid": st.just(KID)}
    ),
    OBJECTS,
)
BODIES = st.one_of(
    st.binary(max_size=20),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda data, token: json.dumps({**data, "access_token": token, "id_token": token}).encode(),
        OBJECTS,
        TOKENS,
    ),
)
LOCATIONS = st.sampled_from(["https://[::1/cb", "//[", "", "https://x:y/?a=%ff&=", "\x00", "/#?#"])
KEYS = st.lists(st.dictionaries(NAMES, VALUES, max_size=6) | VALUES, max_size=3)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(PAGES), st.integers(100, 599), LOCATIONS, BODIES, KEYS)
def test_no_answer_is_the_checkers_error(
    page: tuple[str, Page], status: int, location: str, body: bytes, keys: list[Any]
) -> None:
    headers = {"location": location, "WWW-Authenticate": location, "Content-Type": "\x1b;"}
    jwks = [{**key, "kid": KID} if isinstance(key, dict) else key for key in keys]
    held(*page, Answer(status, headers, body), json.dumps({"keys": jwks}).encode())


WITH_TOKEN = next(page for page in pages("rfc") if page.name == "authorization_code.success")


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "RSA", "n": 7, "e": "AQAB"},
        {"kty": "RSA", "n": "!!!", "e": "AQAB"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA"},
        {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},
        {"kty": "OKP", "crv": [], "x": {}},
        {"kty": ["RSA"], "n": None},
        {"kty": "oct", "k": 7},
    ],
    ids=str,
)
def test_a_key_that_is_none_verifies_nothing(key: dict[str, Any]) -> None:
    header, claims = encoded(json.dumps({"alg": "RS256", "kid": KID})), encoded("{}")
    body = json.dumps({"id_token": f"{header}.{claims}.c2ln"}).encode()
    jwks = json.dumps({"keys": [{**key, "kid": KID}]}).encode()
    (_, loose) = held("rfc", WITH_TOKEN, Answer(200, {}, body), jwks)
    assert "id_token signature" in {one.where for one in loose.differences}


def test_claims_that_are_too_deep_are_no_jwt() -> None:
    token = f"{encoded('{}')}.{encoded('[' * 100_000)}.c2ln"
    answer = Answer(200, {}, json.dumps({"id_token": token}).encode())
    for outcome in held("rfc", WITH_TOKEN, answer):
        assert "body $.id_token" in {one.where for one in outcome.differences}


def test_nothing_that_steers_a_terminal_is_told() -> None:
    page = next(page for page in pages("rfc") if page.name == "authorize.scope")
    answer = Answer(302, {"Location": "\x1b]0;owned\x07"}, b"\x1b[2J\r\n")
    outcome = held("rfc", page, answer)[0]
    told = Report("http://x", [], {}).told(outcome)
    assert "\\u001b]0;owned\\u0007" in told
    assert not {"\x1b", "\x07", "\r"} & set(told)


def test_a_code_is_left_out_however_its_header_is_written() -> None:
    page = next(page for page in pages("rfc") if page.name == "authorize.scope")
    outcome = held("rfc", page, Answer(302, {"location": "https://x/?code=c0de-7"}, b""))[0]
    assert "c0de-7" not in Report("http://x", [], {}).told(outcome)
