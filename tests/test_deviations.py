"""A test that cannot fail is a defect: wrong servers, and the cases that find them."""

from __future__ import annotations

import gzip
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

from fake_oauth import Dialect, FakeOAuthError
from fake_oauth.contract.cases import Case, Request, cases
from fake_oauth.contract.client import ReceivedResponse
from fake_oauth.contract.placeholders import Level
from fake_oauth.contract.runner import run_case
from fake_oauth.contract.targets import FakeTarget
from fake_oauth.dialects import CIAM, DIALECTS, RFC
from fake_oauth.provider import tokens
from fake_oauth.provider.dialect import compact_json, pretty_json
from fake_oauth.provider.keys import key_ring
from fake_oauth.provider.tokens import decode
from tests.support.contract import fake_target

Change = Callable[[ReceivedResponse], ReceivedResponse | None]


@dataclass
class Exchanges:
    """The values that a case needs, and the responses of a right server by path."""

    values: Mapping[str, str]
    responses: dict[str, ReceivedResponse] = field(default_factory=dict)


class Recorded:
    """A fake that remembers the exchanges of a case, for `Wrong`."""

    level: Level = "strict"

    def __init__(self, target: FakeTarget) -> None:
        self.dialect = target.dialect
        self.exchanges = Exchanges({})
        self._target = target

    @contextmanager
    def prepare(self, case: Case) -> Iterator[Mapping[str, str]]:
        with self._target.prepare(case) as values:
            self.exchanges = Exchanges(dict(values))
            self.send(Request(method="GET", path=self.dialect.paths["jwks"]))
            yield values

    def send(self, request: Request) -> ReceivedResponse:
        response = self._target.send(request)
        self.exchanges.responses[request.path] = response
        return response

    def url_of(self, path: str) -> str:
        return self._target.url_of(path)


@cache
def right(dialect: str) -> Mapping[str, Exchanges]:
    """Return the exchanges of each case that the fake matches.

    A wrong case is the business of test_contract; here it would fail the test of each deviation.
    """
    found, target = {}, Recorded(fake_target(dialect))
    for case in cases(dialect):
        try:
            outcome = run_case(case, target)
        except FakeOAuthError:
            continue
        if outcome.verdict == "matches":
            found[case.name] = target.exchanges
    return found


def sound(dialect: str) -> list[Case]:
    """Return the cases that the fake matches."""
    return [case for case in cases(dialect) if case.name in right(dialect)]


class Wrong:
    """A server that responds to a case a little differently than the fake did."""

    level: Level = "strict"

    def __init__(self, dialect: str, change: Change) -> None:
        self.dialect = DIALECTS[dialect]
        self.has_changed = False
        self._right = right(dialect)
        self._change = change
        self._responses: Mapping[str, ReceivedResponse] = {}

    @contextmanager
    def prepare(self, case: Case) -> Iterator[Mapping[str, str]]:
        exchanges = self._right[case.name]
        self._responses = exchanges.responses
        yield exchanges.values

    def send(self, request: Request) -> ReceivedResponse:
        response = self._responses[request.path]
        changed = self._change(response)
        if changed is None or changed == response:
            return response
        self.has_changed = True
        return changed

    def url_of(self, path: str) -> str:
        return path


def with_headers(response: ReceivedResponse, **changes: str | None) -> ReceivedResponse:
    """Return a response with other headers; None removes one."""
    told = {name.replace("_", "-"): value for name, value in changes.items()}
    headers = {**dict(response.headers), **told}
    kept = tuple((name, value) for name, value in headers.items() if value is not None)
    return replace(response, headers=kept)


def status(was: int, now: int) -> Change:
    return lambda response: replace(response, status=now) if response.status == was else None


def header(name: str, value: str | None, was: str = "") -> Change:
    """Another value for a header, or none at all, if it has `was` in it."""

    def change(response: ReceivedResponse) -> ReceivedResponse | None:
        if was not in dict(response.headers).get(name, "(missing)"):
            return None
        return with_headers(response, **{name: value})

    return change


def body(make: Callable[[bytes], bytes]) -> Change:
    def change(response: ReceivedResponse) -> ReceivedResponse | None:
        if not response.body:
            return None
        made = make(response.body)
        return with_headers(replace(response, body=made), Content_Length=str(len(made)))

    return change


def one_line(content: bytes) -> bytes:
    return json.dumps(json.loads(content)).encode() if content.startswith(b"{") else content


def members(make: Callable[[dict[str, Any]], object]) -> Change:
    """Another body in the same layout, or none if `make` finds nothing to change."""

    def change(response: ReceivedResponse) -> ReceivedResponse | None:
        if not response.body.startswith(b"{"):
            return None
        data = json.loads(response.body)
        before = list(data.items())
        make(data)
        if list(data.items()) == before:
            return None
        written = pretty_json(data) if b"\n" in response.body else compact_json(data)
        return body(lambda _: written.encode())(response)

    return change


def member(name: str, value: Any, was: Any = ...) -> Change:
    def make(data: dict[str, Any]) -> None:
        if name in data and was in (..., data[name]):
            data[name] = value

    return members(make)


def without(name: str) -> Change:
    return members(lambda data: data.pop(name, None))


def jws(token: str, make: Callable[[dict[str, Any], dict[str, Any]], object]) -> Change:
    """Another header or payload in a token, signed by the same key."""

    def change(data: dict[str, Any]) -> None:
        if token in data:
            header, payload = decode(data[token])
            before = [*header.items(), *payload.items()]
            make(header, payload)
            if [*header.items(), *payload.items()] != before:
                text = tokens.signing_input(header, payload, compact_json)
                data[token] = tokens.compact(text, key_ring([]).signing.sign(text.encode()))

    return members(change)


def claims(token: str, make: Callable[[dict[str, Any]], object]) -> Change:
    """The same for the payload alone."""
    return jws(token, lambda _, payload: make(payload))


def jose(make: Callable[[dict[str, Any]], object]) -> Change:
    """The same for the header of an id_token."""
    return jws("id_token", lambda header, _: make(header))


def rewritten(make: Callable[[list[bytes]], list[bytes]]) -> Change:
    """Other segments in the id_token: header, claims, signature."""

    def change(data: dict[str, Any]) -> None:
        if "id_token" in data:
            data["id_token"] = b".".join(make(data["id_token"].encode().split(b"."))).decode()

    return members(change)


def signed(make: Callable[[bytes], bytes]) -> Change:
    """Another signature."""
    return rewritten(lambda parts: [*parts[:2], make(parts[2])])


def headed(header: dict[str, Any]) -> Change:
    """Other members in the header."""

    def make(parts: list[bytes]) -> list[bytes]:
        changed = json.loads(urlsafe_b64decode(parts[0] + b"==")) | header
        return [urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"="), *parts[1:]]

    return rewritten(make)


def rearranged(data: dict[str, Any]) -> None:
    items = list(data.items())
    data.clear()
    data.update(reversed(items))


BASIC = "application/json;charset=UTF-8"
# What a wrong server does, and whether it is wrong in what it means too.
DEVIATIONS: dict[str, tuple[Change, bool]] = {
    "201 for 200": (status(200, 201), True),
    "401 for 400": (status(400, 401), True),
    "400 for 401": (status(401, 400), True),
    "303 for 302": (status(302, 303), False),
    "400 for 404": (status(404, 400), True),
    "500 for 503": (status(503, 500), True),
    "401 for 403": (status(403, 401), True),
    "no charset": (header("Content-Type", "application/json", BASIC), False),
    "another charset": (header("Content-Type", "application/json;charset=GBK", BASIC), False),
    "a content type of HTML": (header("Content-Type", "text/html", "json"), True),
    "no content type": (header("Content-Type", None, "json"), True),
    "a content type without a body": (header("Content-Type", "text/plain", "(missing)"), False),
    "a wrong length": (header("Content-Length", "7"), False),
    "no Cache-Control": (header("Cache-Control", None, "no-store"), True),
    "replies that may be stored": (header("Cache-Control", "max-age=60", "no-store"), False),
    "no Location": (header("Location", None, ":"), True),
    "another Location": (header("Location", "https://evil.example/", ":"), True),
    "a Location without state": (
        header("Location", "https://example.com/callback?code=x", "state"),
        True,
    ),
    "no challenge": (header("WWW-Authenticate", None, "Bearer"), True),
    "a challenge without its error": (header("WWW-Authenticate", "Bearer", "error="), True),
    "another text in a challenge": (
        header("WWW-Authenticate", 'Bearer error="invalid_token"', "invalid_token"),
        False,
    ),
    "a challenge of another scheme": (header("WWW-Authenticate", "Negotiate", " "), True),
    "JSON in one line": (body(one_line), False),
    "a final newline": (body(lambda b: b + b"\n"), False),
    "members in another order": (members(rearranged), False),
    "a list for an object": (body(lambda _: b"[]"), True),
    "JSON that is nested too deeply": (body(lambda _: b"[" * 100_000), True),
    "escaped slashes": (body(lambda b: b.replace(b"/", b"\\/")), False),
    "a compressed body": (body(gzip.compress), True),
    "an empty body": (body(lambda _: b""), True),
    "a page of HTML": (body(lambda _: b"<p>error</p>"), True),
    "a body that is not UTF-8": (body(lambda b: b[:-1] + b"\xff"), True),
    "one member more": (members(lambda data: data.update(x=1)), False),
    "null for what does not apply": (members(lambda data: data.setdefault("refresh_token")), False),
    "another error": (member("error", "server_error"), True),
    "no error": (without("error"), True),
    "another description": (member("error_description", "No."), False),
    "no description": (without("error_description"), True),
    "another error_uri": (member("error_uri", "https://example.com"), False),
    "no access token": (without("access_token"), True),
    "an opaque access token": (member("access_token", "opaque"), True),
    "no refresh token": (without("refresh_token"), True),
    "a short refresh token": (member("refresh_token", "short"), False),
    "no id_token": (without("id_token"), True),
    "no token_type": (without("token_type"), True),
    "another token_type": (member("token_type", "MAC"), True),
    "expires_in as text": (member("expires_in", "299"), True),
    "another expires_in": (member("expires_in", 300), False),
    "another scope": (member("scope", "profile"), True),
    "scopes as a list": (member("scope", ["openid"]), True),
    "no sub in userinfo": (without("sub"), True),
    "another user": (member("sub", "MOCK_OTHER"), True),
    "no keys": (member("keys", []), True),
    "a private key among the keys": (
        members(
            lambda data: (
                data.update(keys=[{**key, "d": "x"} for key in data["keys"]])
                if "keys" in data
                else None
            )
        ),
        True,
    ),
    "keys that are not keys": (member("keys", ["RSA"]), True),
    "no response_types_supported": (without("response_types_supported"), True),
    "another issuer in a token": (
        claims("id_token", lambda c: c.update(iss="https://evil.example")),
        True,
    ),
    "no jwks_uri": (without("jwks_uri"), True),
    "another issuer": (member("issuer", "https://evil.example"), True),
    "no otp_token": (without("otp_token"), True),
    "an access token of another user": (claims("access_token", lambda c: c.update(sub="x")), True),
    "an access token for others": (claims("access_token", lambda c: c.update(aud="x")), True),
    "an access token without jti": (claims("access_token", lambda c: c.pop("jti")), True),
    "scopes of a token as text": (
        claims("access_token", lambda c: c.update(scope=" ".join(c["scope"]))),
        False,
    ),
    "claims in another order": (claims("access_token", rearranged), False),
    "an id_token without azp": (claims("id_token", lambda c: c.pop("azp")), True),
    "a signature of no key": (signed(lambda s: s[:-6] + b"AAAAAA"), True),
    "no signature": (signed(lambda _: b""), True),
    "a key that is not published": (headed({"kid": "another"}), True),
    "a token with alg none": (headed({"alg": "none"}), True),
    "a text that looks like a JWT": (member("id_token", "a.b.c"), True),
    "a token that the client's secret signs": (headed({"alg": "HS256"}), True),
    "another type of token": (jose(lambda h: h.update(typ="at+jwt")), False),
    "a header without typ": (jose(lambda h: h.pop("typ")), False),
    "a header in another order": (jose(rearranged), False),
    "a token that lives for an hour and a second": (
        claims("id_token", lambda c: c.update(exp=c["iat"] + 3601)),
        False,
    ),
    "a token that has expired when it is issued": (
        claims("id_token", lambda c: c.update(exp=c["iat"] - 1)),
        True,
    ),
    "a token that is not valid yet": (
        claims("access_token", lambda c: c.update(nbf=c["iat"] + 60)),
        True,
    ),
    "one claim more": (claims("id_token", lambda c: c.update(x=1)), False),
    "a lifetime that is not a number": (claims("id_token", lambda c: c.update(exp="soon")), True),
}


# Wrong by the standards only, and what the standards leave open though the documentation does not.
STANDARD: dict[str, tuple[Change, bool]] = {
    "invalid_client for invalid_grant": (member("error", "invalid_client", "invalid_grant"), True),
    "no challenge of the client": (header("WWW-Authenticate", None, "Basic"), True),
    "a valid token that is inactive": (member("active", value=False, was=True), True),
    "an invalid token that is active": (member("active", value=True, was=False), True),
    "active as text": (member("active", "true"), True),
    "no token_endpoint": (without("token_endpoint"), True),
    "no introspection_endpoint": (without("introspection_endpoint"), False),
    "no device_code": (without("device_code"), True),
    "no user_code": (without("user_code"), True),
    "no verification_uri": (without("verification_uri"), True),
    "no verification_uri_complete": (without("verification_uri_complete"), False),
    "a verification_uri without a host": (member("verification_uri", "/device"), True),
    "no interval": (without("interval"), False),
    "another interval": (member("interval", 7), False),
    "an interval as text": (member("interval", "5"), True),
    "slow_down for authorization_pending": (
        member("error", "slow_down", "authorization_pending"),
        True,
    ),
    "invalid_grant for expired_token": (member("error", "invalid_grant", "expired_token"), True),
    "invalid_grant for access_denied": (member("error", "invalid_grant", "access_denied"), True),
    "no device_authorization_endpoint": (without("device_authorization_endpoint"), False),
    "another client": (member("client_id", "OTHER_CLIENT_ID"), True),
    "an exp that is text": (member("exp", "soon"), True),
    "an auth_time as text": (claims("id_token", lambda c: c.update(auth_time="soon")), True),
    "no auth_time": (claims("id_token", lambda c: c.pop("auth_time", None)), False),
    "no claim of a granted scope": (without("email"), False),
    "a verified address as text": (member("email_verified", "true"), True),
    "another text in a challenge": (
        header(
            "WWW-Authenticate",
            'Bearer error="invalid_token"',
            'Bearer realm="fake_oauth", error="invalid_token"',
        ),
        False,
    ),
    "a bound token of another type": (member("token_type", "Bearer", "DPoP"), True),
    "a token without its key": (claims("access_token", lambda c: c.pop("cnf", None)), True),
    "no key in the introspection": (without("cnf"), True),
    "no nonce": (header("DPoP-Nonce", None), True),
    "a challenge without a proof": (header("WWW-Authenticate", "Bearer", "DPoP"), True),
    "another error of a proof": (member("error", "invalid_request", "invalid_dpop_proof"), True),
    "200 for 201": (status(201, 200), True),
    "no request_uri": (without("request_uri"), True),
    "an expires_in that is text": (member("expires_in", "soon"), True),
    "a request_uri that is used again": (
        member("error", "invalid_request", "invalid_request_uri"),
        True,
    ),
    "no description": (without("error_description"), False),
    "no refresh token": (without("refresh_token"), False),
    "no id_token": (without("id_token"), False),
    "an id_token without azp": (claims("id_token", lambda c: c.pop("azp")), False),
    "claims of an id_token in another order": (claims("id_token", rearranged), False),
    "an id_token for others": (claims("id_token", lambda c: c.update(aud="x")), True),
    "an id_token of another user": (claims("id_token", lambda c: c.update(sub="x")), True),
    "no issued_token_type": (without("issued_token_type"), True),
    "another issued_token_type": (
        member("issued_token_type", "urn:ietf:params:oauth:token-type:saml2"),
        True,
    ),
    "Bearer for a token that gives no access": (member("token_type", "Bearer", "N_A"), True),
    "invalid_grant for invalid_request": (
        member("error", "invalid_grant", "invalid_request"),
        True,
    ),
    "invalid_request for invalid_target": (
        member("error", "invalid_request", "invalid_target"),
        True,
    ),
    "a token without its actor": (claims("access_token", lambda c: c.pop("act", None)), True),
    "another actor": (
        claims("access_token", lambda c: c.update(act={"sub": "x"}) if "act" in c else None),
        True,
    ),
    "an exchanged token of another user": (
        claims("access_token", lambda c: c.update(sub="x")),
        True,
    ),
    "an exchanged token for another audience": (
        claims("access_token", lambda c: c.update(aud="x")),
        True,
    ),
}
# What the standards say nothing of, or the dialect does not serve.
NOT_STANDARD = {
    "400 for 404",
    "500 for 503",
    "no charset",
    "another charset",
    "another description",
    "another error_uri",
    "an opaque access token",
    "a short refresh token",
    "no otp_token",
    "an access token of another user",
    "an access token for others",
    "an access token without jti",
    "claims in another order",
    "scopes of a token as text",
    "a token that the client's secret signs",
    "another type of token",
    "a header without typ",
    "a header in another order",
    "a token that is not valid yet",
}
# Wrong about what MCP requires beyond the other standards.
MCP: dict[str, tuple[Change, bool]] = {
    "a registration with 200": (status(201, 200), True),
    "a registration that may be stored": (header("Cache-Control", None, "no-store"), True),
    "a secret of unknown lifetime": (without("client_secret_expires_at"), True),
    "a secret that expires as text": (member("client_secret_expires_at", "never"), True),
    "a secret of a public client": (
        members(
            lambda data: (
                data.update(client_secret="s3cret")
                if data.get("token_endpoint_auth_method") == "none"
                else None
            )
        ),
        False,
    ),
    "a registration without client_id": (without("client_id"), True),
    "a registration without its redirect URIs": (without("redirect_uris"), True),
    "a redirect URI with a slash more": (
        members(
            lambda data: (
                data.update(redirect_uris=[f"{uri}/" for uri in data["redirect_uris"]])
                if "redirect_uris" in data
                else None
            )
        ),
        True,
    ),
    "another method than the one that was registered": (
        member("token_endpoint_auth_method", "private_key_jwt"),
        True,
    ),
    "another error for a redirect URI": (
        member("error", "invalid_client_metadata", "invalid_redirect_uri"),
        True,
    ),
    "an error of the token endpoint": (
        member("error", "invalid_request", "invalid_client_metadata"),
        True,
    ),
    "no registration_endpoint": (without("registration_endpoint"), False),
    "no challenge": (header("WWW-Authenticate", None, "Bearer"), True),
    "no issuer in a response": (
        header("Location", "https://example.com/callback?code=MOCK_CODE", "iss="),
        True,
    ),
    "no resource in the metadata": (without("resource"), True),
    "an error without its code": (without("error"), True),
    "no refresh token": (without("refresh_token"), False),
}
RUNS = {
    "ciam": DEVIATIONS,
    "rfc": {n: d for n, d in DEVIATIONS.items() if n not in NOT_STANDARD} | STANDARD,
    "mcp": MCP,
}


@cache
def found(dialect: str, name: str, level: Level) -> tuple[set[str], set[str]]:
    """Return the cases whose responses are changed, and those that find it."""
    changed, differing = set(), set()
    for case in sound(dialect):
        wrong = Wrong(dialect, RUNS[dialect][name][0])
        outcome = run_case(case, wrong, level)
        changed |= {case.name} if wrong.has_changed else set()
        differing |= {case.name} if outcome.verdict == "differs" else set()
    return changed, differing


@pytest.mark.parametrize(
    ("dialect", "name"), [(d, name) for d, run in RUNS.items() for name in run]
)
def test_a_wrong_server_is_found(dialect: str, name: str) -> None:
    changed, differing = found(dialect, name, "strict")
    assert differing
    assert differing <= changed, "a case differs whose response is right"
    assert bool(found(dialect, name, "loose")[1]) == RUNS[dialect][name][1]


KEY = {"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}


def without_header(status: int, was: int) -> Change:
    """Another status, and no challenge, where no header has said who asks."""

    def change(response: ReceivedResponse) -> ReceivedResponse | None:
        if response.status != was or not response.body:
            return None
        return with_headers(replace(response, status=status), WWW_Authenticate=None)

    return change


# What the standards allow.
ALLOWED: dict[str, Change] = {
    "303 for 302": status(302, 303),
    "keys of two kinds": members(
        lambda data: data.update(keys=[*data["keys"], KEY]) if "keys" in data else None
    ),
    "keys of another kind": members(
        lambda data: data.update(keys=[KEY]) if "keys" in data else None
    ),
    "the media type of keys": header("Content-Type", "application/jwk-set+json", "json"),
    "a token_type in small letters": member("token_type", "bearer"),
    "no lifetime": without("expires_in"),
    "no scope": without("scope"),
    "fractions of a second": claims("id_token", lambda c: c.update(iat=c["iat"] + 0.5)),
    "another realm": header("WWW-Authenticate", 'Basic realm="acme"', "Basic"),
    "unknown members": members(lambda data: data.update(x=1)),
}


# But there it is wrong: nothing verifies the tokens, a device code needs its lifetime, and the
# scope is not the one that was granted.
NOT_ALLOWED = {
    "keys of another kind": {case.name for case in sound("rfc") if case.response.claims},
    # That of a device code and of a request_uri is required (RFC 8628 section 3.2, RFC 9126
    # section 2.2).
    "no lifetime": {
        "device_authorization.success",
        "device_authorization.public_client",
        "pushed_authorization_request.success",
        "pushed_authorization_request.secret_in_body",
    },
    "no scope": {"refresh_token.narrower_scope"},
    "a token_type in small letters": {
        "token_exchange.id_token",
        *(one.name for one in sound("rfc") if '"token_type":"DPoP"' in (one.response.body or "")),
    },
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_the_standards_allow_is_right(name: str) -> None:
    changed, wrong = set(), NOT_ALLOWED.get(name, set())
    for case in (case for case in sound("rfc") if case.name not in wrong):
        server = Wrong("rfc", ALLOWED[name])
        outcome = run_case(case, server, "loose")
        assert outcome.differences == (), case.name
        changed |= {case.name} if server.has_changed else set()
    assert changed


@pytest.mark.parametrize(
    ("name", "is_allowed"),
    [("client.unknown", True), ("client.wrong_secret_in_header", False), ("client.none", True)],
)
def test_a_client_may_be_refused_with_a_400_unless_a_header_named_it(
    name: str, *, is_allowed: bool
) -> None:
    (case,) = (case for case in sound("rfc") if case.name == name)
    outcome = run_case(case, Wrong("rfc", without_header(400, 401)), "loose")
    assert (outcome.verdict == "matches") == is_allowed


@pytest.mark.parametrize("dialect", RUNS)
def test_every_case_finds_something(dialect: str) -> None:
    unshaken = {case.name for case in sound(dialect)}
    for name in RUNS[dialect]:
        unshaken -= found(dialect, name, "strict")[1] if unshaken else set()
    assert not unshaken


NO_CODE: Any = SimpleNamespace(co_freevars=())
# No case shows these: names, wording that is free, how the contract tests a server, bytes that only
# a signature shows, and what opaque tokens are made of.
UNSEEN = {
    *(
        (name, thing)
        for name in DIALECTS
        for thing in ("name", "has_fixed_paths", "is_access_token")
    ),
    ("ciam", "credentials"),
    # The documentation has no request that they would change.
    *(("ciam", thing) for thing in ("authorization_parameters", "own_methods")),
    ("ciam", "accepts_unknown_scopes"),
    *((name, "identifies_by_verifier") for name in ("ciam", "rfc")),  # tests/test_dialects.py
    ("ciam", "omits_blanks"),
    ("ciam", "reads_assertions"),
    ("ciam", "reads_token_in_form"),
    *((name, "reads_dpop") for name in DIALECTS),  # Some settings are for DPoP only.
    *((name, f"cors_{what}_headers") for name in DIALECTS for what in ("allow", "expose")),
    ("ciam", "write_jwt_json"),
    ("ciam", "grant_type"),
    ("rfc", "id_token_header"),
    *(("rfc", thing) for thing in ("texts", "write_jwt_json", "grant_type", "credentials")),
    ("rfc", "access_token_header"),
    ("rfc", "access_token_claims"),
}


def mixtures() -> Iterator[tuple[str, str, Dialect]]:
    """Yield each dialect with one attribute or method of the other."""
    for thing, its in vars(CIAM).items():
        # A method that calls the method of its base cannot be moved.
        if thing.startswith("__") or "__class__" in getattr(its, "__code__", NO_CODE).co_freevars:
            continue
        for own, base, other in (("ciam", CIAM, getattr(RFC, thing)), ("rfc", RFC, its)):
            if (own, thing) not in UNSEEN:
                mixed: type[Dialect] = type("Mixed", (base,), {thing: other})
                yield own, thing, mixed()


@pytest.mark.parametrize(
    ("own", "mixture"),
    [pytest.param(own, mixture, id=f"{own}-{field}") for own, field, mixture in mixtures()],
)
def test_a_dialect_with_something_of_the_other_is_found(
    own: str, mixture: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = fake_target(own)
    monkeypatch.setitem(DIALECTS, own, mixture)
    assert any(is_found(case, target) for case in cases(own))


def is_found(case: Case, target: FakeTarget) -> bool:
    """Return whether a case differs, or needs settings that the mixture refuses."""
    try:
        return run_case(case, target, "strict").verdict == "differs"
    except FakeOAuthError:
        return True
