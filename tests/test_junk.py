"""No response of a server is an error of the checker: it differs, or it matches."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_oauth.contract.cases import Case, Request, cases
from fake_oauth.contract.client import ReceivedResponse
from fake_oauth.contract.placeholders import JSON_DEPTH, Level, parse_json
from fake_oauth.contract.runner import Outcome, Report, run_case
from fake_oauth.dialects import DIALECTS
from tests.support.contract import StubTarget, encoded, jwt_of, received

LEVELS: tuple[Level, ...] = ("strict", "loose")
CASES = [(name, case) for name in DIALECTS for case in cases(name)]
BY_NAME = {case.name: case for case in cases("rfc")}
KID = "k-1"


def outcomes(
    dialect: str, case: Case, response: ReceivedResponse, jwks: Any = b"{}"
) -> list[Outcome]:
    """Run a case at each level against a server that always responds alike, and report."""
    path = DIALECTS[dialect].paths["jwks"]

    def respond(request: Request) -> ReceivedResponse:
        return received(jwks) if request.path == path else response

    found = [run_case(case, StubTarget(respond, dialect), level) for level in LEVELS]
    report = Report("http://x", found, {})
    report.as_junit()
    json.dumps(report.as_json()).encode()
    return found


SCALARS = st.sampled_from(
    [
        *(None, True, 0, 7, -1.5, float("nan"), float("inf"), 10**400),
        *("", "x", "a b", "\x1b[31m", "\ud800", "\u202eevil"),
    ]
)
NAMES = st.sampled_from(
    [
        *("access_token", "refresh_token", "id_token", "token_type", "expires_in", "scope"),
        *("error", "keys", "issuer", "iat", "exp", "nbf", "aud", "sub", "active", "kty", "kid"),
        *("n", "e", "d", "alg", "otp_token", "response_types_supported"),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6)
HEADERS = st.fixed_dictionaries(
    {}, optional={"alg": st.sampled_from(["RS256", "ES256", "none", 7]), "kid": st.just(KID)}
)
TOKENS = st.builds(jwt_of, OBJECTS, HEADERS)
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
@given(st.sampled_from(CASES), st.integers(100, 599), LOCATIONS, BODIES, KEYS)
def test_no_response_is_an_error(
    case: tuple[str, Case], status: int, location: str, body: bytes, keys: list[Any]
) -> None:
    headers = {"location": location, "www_authenticate": location, "content_type": "\x1b;"}
    jwks = [{**key, "kid": KID} if isinstance(key, dict) else key for key in keys]
    response = received(body, status, **headers)
    outcomes(*case, response, json.dumps({"keys": jwks}).encode())


def nested(depth: int) -> str:
    return (
        '{"a":' * (depth // 2)
        + "[" * (depth - depth // 2)
        + "]" * (depth - depth // 2)
        + "}" * (depth // 2)
    )


@pytest.mark.parametrize("depth", [1, JSON_DEPTH, JSON_DEPTH + 1, 900, 100_000])
def test_json_that_is_nested_too_deeply_is_not_json(depth: int) -> None:
    assert (parse_json(nested(depth)) is not None) == (depth <= JSON_DEPTH)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "\ufeff{}", "9" * 5000, "'a'", ""])
def test_what_rfc_8259_does_not_allow_is_not_json(text: str) -> None:
    assert parse_json(text) is None


@pytest.mark.parametrize("claims", ["[" * 100_000, nested(200), '{"exp":NaN}'])
def test_claims_that_cannot_be_read_are_not_a_jwt(claims: str) -> None:
    token = f"{encoded('{}')}.{encoded(claims)}.c2ln"
    for outcome in outcomes(
        "rfc", BY_NAME["authorization_code.success"], received({"id_token": token})
    ):
        assert "body $.id_token" in {one.where for one in outcome.differences}


def test_a_response_that_differs_everywhere_has_fifty_differences() -> None:
    body = {f"member {number}": number for number in range(1000)}
    strict, _ = outcomes("rfc", BY_NAME["revoke.missing"], received(body))
    assert len(strict.differences) == 50


def test_a_long_response_is_shown_in_part() -> None:
    case = BY_NAME["revoke.missing"]
    strict, _ = outcomes("rfc", case, received(f'"{"a b " * 200_000}"', 400))
    text = Report("http://x", [], {}).as_text(strict)
    assert len(text) < 10_000
    assert "more characters)" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # Placeholders, each of which can match up to the end of the text.
        ("authorize.scope", "https://example.com/callback?" + "error_description=&state=" * 2000),
        ("authorize.scope", "https://example.com/callback?error=invalid_scope&" + "&" * 60_000),
    ],
)
def test_a_long_location_is_compared_in_no_time(name: str, value: str) -> None:
    """With backtracking it would take hours."""
    for outcome in outcomes("rfc", BY_NAME[name], received(b"", 302, location=value)):
        assert outcome.verdict == "differs"


def test_nothing_in_a_report_controls_a_terminal() -> None:
    escapes = "\x1b]0;owned\x07\u202egnp\u2066\x9b31m"
    response = received(b"\x1b[2J\r\n", 302, location=escapes)
    strict, _ = outcomes("rfc", BY_NAME["authorize.scope"], response)
    text = Report("http://x", [], {}).as_text(strict)
    assert r"\u001b]0;owned\u0007\u202egnp\u2066\u009b31m" in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_a_code_is_hidden_however_its_header_is_written() -> None:
    response = ReceivedResponse(302, (("location", "https://x/?code=c0de-7"),), b"")
    strict, _ = outcomes("rfc", BY_NAME["authorize.scope"], response)
    assert "c0de-7" not in Report("http://x", [], {}).as_text(strict)
