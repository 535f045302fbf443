"""The JWT bearer grant: tokens for the assertion of a trusted issuer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jwt
import pytest
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, Settings, SettingsError, TrustedIssuer, User, faults
from fake_oauth.provider.keys import key_ring
from tests.support.assertions import (
    ISSUER,
    JWKS,
    JWT_BEARER,
    KEY,
    STRANGER,
    authenticated,
    claims,
    signed,
)
from tests.support.client import basic
from tests.support.realms import NOW

IDP = "https://idp.example"
WEB = Client(client_id="web", client_secret="s3cret", scopes=["openid", "email"])
APP = Client(client_id="app", scopes=["read", "write"])
ALICE = User(sub="u-alice", username="alice")
ROBOT = User(sub="robot@project.example")
TRUSTED = TrustedIssuer(issuer=IDP, jwks=JWKS)
WEB_BASIC = basic("web", "s3cret")


def grant(**changes: Any) -> str:
    """Return an assertion of the trusted issuer about alice."""
    return signed(claims(IDP, **{"sub": "alice", **changes}))


class Server:
    """A fake that trusts an issuer, at a frozen moment."""

    def __init__(self, *trusted: TrustedIssuer, **settings: Any) -> None:
        defaults: dict[str, Any] = {
            "dialect": "rfc",
            "issuer": ISSUER,
            "clients": [WEB, APP],
            "users": [ALICE, ROBOT],
            "trusted_issuers": trusted or [TRUSTED],
            "start_time": NOW,
            "freeze_time": True,
            "refresh_tokens": [],
            "seed": 0,
        }
        self.fake = FakeOAuth(Settings(**(defaults | settings)))

    def post(self, assertion: Any = None, headers: Any = None, **form: Any) -> TestResponse:
        data = {"grant_type": JWT_BEARER, "assertion": assertion, **form}
        data = {name: value for name, value in data.items() if value is not None}
        return Browser(self.fake).post("/token", data=data, headers=headers)

    def outcome(self, response: TestResponse) -> tuple[int, str | None, str | None]:
        """Return the status, the error code, and the reason in the journal."""
        exchange = self.fake.journal[-1]
        return response.status_code, exchange.error, exchange.reason


@pytest.fixture
def server() -> Server:
    return Server()


def test_an_assertion_is_worth_tokens_without_a_refresh_token(server: Server) -> None:
    response = server.post(grant(), WEB_BASIC)
    reason = f"assertion of {IDP} accepted for alice, client web"
    assert server.outcome(response) == (200, None, reason)
    tokens = response.get_json()
    assert "refresh_token" not in tokens
    assert tokens["scope"] == "email openid"
    access = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert (access["sub"], access["client_id"]) == ("u-alice", "web")
    identity = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert "auth_time" not in identity, "alice has not logged in here"
    assert server.fake.journal[-1].issued == ("alice/1 a1",)
    assert "assertion=***" in str(server.fake.journal)


@pytest.mark.parametrize("sub", ["alice", "u-alice"])
def test_a_user_is_named_by_sub_or_username(server: Server, sub: str) -> None:
    assert server.post(grant(sub=sub), WEB_BASIC).status_code == 200


# Whose client it is


@pytest.mark.parametrize(
    ("trusted", "form", "headers", "client"),
    [
        (TRUSTED, {}, None, "web"),
        (replace(TRUSTED, client="app"), {}, None, "app"),
        (replace(TRUSTED, client="app"), {}, WEB_BASIC, "web"),
        (TRUSTED, {"client_id": "app"}, None, "app"),
        (TRUSTED, {"client_id": "web", "client_secret": "s3cret"}, None, "web"),
    ],
)
def test_a_client_need_not_authenticate(
    trusted: TrustedIssuer, form: dict[str, str], headers: Any, client: str
) -> None:
    server = Server(trusted)
    assert server.post(grant(), headers, **form).status_code == 200
    assert f"client {client}" in (server.fake.journal[-1].reason or "")


@pytest.mark.parametrize(
    ("form", "headers", "reason"),
    [
        ({"client_id": "web"}, None, "client web is confidential and sent no client_secret"),
        ({"client_id": "who"}, None, "client who unknown"),
        ({}, basic("web", "x"), "client_secret does not match"),
        ({}, basic("", "s3cret"), "client_id blank"),
        (authenticated("x"), None, "client_assertion: not a JWT: not three segments"),
    ],
)
def test_a_client_that_names_itself_must_prove_it(
    server: Server, form: dict[str, str], headers: Any, reason: str
) -> None:
    response = server.post(grant(), headers, **form)
    assert server.outcome(response) == (401, "invalid_client", reason)
    assert server.post(grant()).status_code == 200, "nothing was used up"


def test_the_client_of_an_issuer_must_be_accepted() -> None:
    server = Server(replace(TRUSTED, client="app"))
    server.fake.replace_clients([WEB])
    assert server.outcome(server.post(grant())) == (401, "invalid_client", "client app unknown")
    server.fake.replace_clients([WEB, replace(APP, enabled=False)])
    assert server.outcome(server.post(grant())) == (401, "invalid_client", "client app disabled")
    server = Server(clients=[])
    reason = "no client credentials, and no client is registered"
    assert server.outcome(server.post(grant())) == (401, "invalid_client", reason)


def test_a_client_can_authenticate_with_an_assertion_of_its_own() -> None:
    server = Server(clients=[Client(client_id="svc", jwks=JWKS)])
    form = authenticated(signed(claims()))
    assert server.post(grant(), **form).status_code == 200
    form = authenticated(signed(claims()))
    assert server.post(grant(jti="2"), **form).get_json()["error"] == "invalid_client"


# What is refused


@pytest.mark.parametrize(
    ("assertion", "reason"),
    [
        ("x", "assertion: not a JWT: not three segments"),
        (
            signed(claims("https://other.example")),
            f"assertion: iss: expected one of {ISSUER}, {IDP}, got 'https://other.example'",
        ),
        (grant(iss=None), f"assertion: iss: expected one of {ISSUER}, {IDP}, got 'None'"),
        (
            signed(claims(IDP), STRANGER),
            "assertion: signature: not one of the registered keys with alg ES256",
        ),
        (
            grant(aud="x"),
            f"assertion: aud: expected '{ISSUER}' or '{ISSUER}/token', got 'x'",
        ),
        (grant(exp=None), "assertion: exp: expected seconds since 1970, got none"),
        (
            grant(exp=NOW - 1),
            "assertion: exp: expired 1 s ago; the clock shows 2023-11-14T22:13:20Z",
        ),
        (
            grant(sub="bob"),
            "assertion: no user has the sub or username of its sub 'bob'",
        ),
        (
            grant(sub=None),
            f"assertion: no user has the sub or username of its iss, without a sub, '{IDP}'",
        ),
        (grant(client_id="app"), "assertion: client_id: expected 'web', got 'app'"),
    ],
)
def test_an_assertion_that_breaks_a_rule_is_an_invalid_grant(
    server: Server, assertion: str, reason: str
) -> None:
    for headers in (WEB_BASIC, None):
        response = server.post(assertion, headers)
        assert server.outcome(response) == (400, "invalid_grant", reason)
        assert server.fake.journal[-1].cause == "assertion"


@pytest.mark.parametrize("assertion", [None, "", " ", ["a", "b"]])
def test_an_assertion_is_sent_once(server: Server, assertion: Any) -> None:
    response = server.post(assertion, WEB_BASIC)
    assert response.get_json() == {
        "error": "invalid_request",
        "error_description": "assertion is missing, empty, sent twice, or not supported",
    }


def test_an_unusable_user_is_refused(server: Server) -> None:
    server.fake.freeze_user("alice")
    response = server.post(grant(), WEB_BASIC)
    assert server.outcome(response) == (400, "invalid_grant", "user alice is frozen")
    server.fake.unfreeze_user("alice")
    assert server.post(grant(), WEB_BASIC).status_code == 200


def test_a_client_may_be_kept_from_the_grant_type() -> None:
    server = Server(clients=[replace(WEB, grant_types=["refresh_token"])])
    response = server.post(grant(), WEB_BASIC)
    reason = f"client web may not use grant_type {JWT_BEARER}"
    assert server.outcome(response) == (400, "unauthorized_client", reason)


# Scopes


@pytest.mark.parametrize(
    ("claimed", "requested", "granted"),
    [
        (None, None, "email openid"),
        (None, "email", "email"),
        ("email", None, "email"),
        ("email openid", "openid", "openid"),
    ],
)
def test_the_scope_is_narrowed(
    server: Server, claimed: str | None, requested: str | None, granted: str
) -> None:
    response = server.post(grant(scope=claimed), WEB_BASIC, scope=requested)
    assert response.get_json()["scope"] == granted


@pytest.mark.parametrize(
    ("claimed", "requested", "reason"),
    [
        ("admin", None, "scope 'admin' was not registered; registered: openid email"),
        ("email", "openid", "scope 'openid' was not granted; granted: email"),
        (None, "admin", "scope 'admin' was not granted; granted: openid email"),
    ],
)
def test_a_wider_scope_is_refused_and_uses_up_nothing(
    server: Server, claimed: str | None, requested: str | None, reason: str
) -> None:
    response = server.post(grant(scope=claimed), WEB_BASIC, scope=requested)
    assert server.outcome(response) == (400, "invalid_scope", reason)
    assert server.post(grant(), WEB_BASIC).status_code == 200


# Replay


def test_a_jti_is_used_once(server: Server) -> None:
    assert server.post(grant(), WEB_BASIC).status_code == 200
    reason = (
        "assertion: jti: '1' was used 0 s ago; each request needs a new assertion, and so does a "
        "retry"
    )
    assert server.outcome(server.post(grant(), WEB_BASIC)) == (400, "invalid_grant", reason)


def test_an_assertion_without_a_jti_is_used_as_often_as_you_like(server: Server) -> None:
    for _ in range(2):
        assert server.post(grant(jti=None), WEB_BASIC).status_code == 200


def test_of_32_requests_with_one_jti_one_is_granted(server: Server) -> None:
    assertion = grant()
    with ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(lambda _: server.post(assertion).status_code, range(32)))
    assert sorted(statuses) == [200] + [400] * 31
    assert server.fake.issue_tokens(user="alice").refresh_token
    names = [name for exchange in server.fake.journal for name in exchange.issued]
    assert names == ["alice/1 a1"], "a refused one opens no grant"


# Other issuers


def test_a_service_account_speaks_for_itself() -> None:
    """As google-auth asks: no client, no sub, and the scope in the assertion."""
    account = TrustedIssuer(issuer="robot@project.example", jwks=JWKS, client="app")
    server = Server(account)
    payload = {
        "iss": "robot@project.example",
        "aud": f"{ISSUER}/token",
        "iat": NOW,
        "exp": NOW + 3600,
        "scope": "read",
    }
    response = server.post(signed(payload))
    assert response.get_json()["scope"] == "read"
    reason = "assertion of robot@project.example accepted for robot@project.example, client app"
    assert server.fake.journal[-1].reason == reason


def own(payload: dict[str, Any], *, rotated: bool = False) -> str:
    """Return an assertion that a key of a server without custom keys has signed."""
    ring = key_ring()
    key = ring.next if rotated else ring.signing
    return jwt.encode(payload, key.private, "RS256", headers={"kid": key.kid})


def test_a_server_trusts_itself(server: Server) -> None:
    assert server.post(own(claims(ISSUER, sub="alice"))).status_code == 200
    server.fake.rotate_keys(keep_old=False)
    assert server.post(own(claims(ISSUER, sub="alice", jti="2"))).status_code == 400
    assert server.post(own(claims(ISSUER, sub="alice", jti="2"), rotated=True)).status_code == 200


def test_a_server_may_trust_another_fake() -> None:
    server = Server(TrustedIssuer(issuer=IDP))
    assert server.post(own(claims(IDP, sub="alice"))).status_code == 200
    assert server.post(grant()).status_code == 400


def test_its_own_tokens_are_for_others(server: Server) -> None:
    tokens = server.fake.issue_tokens(user="alice", client="web")
    for token in (tokens.access_token, tokens.id_token):
        assert "aud: expected" in (server.outcome(server.post(token))[2] or "")


# The rest of the house


def test_faults_and_the_clock_reach_the_grant(server: Server) -> None:
    rule = faults.Rule(faults.Refuse("invalid_grant"), grant_type=JWT_BEARER)
    server.fake.script(rule)
    assert server.post(grant()).get_json() == {"error": "invalid_grant"}
    token = server.post(grant()).get_json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert Browser(server.fake).get("/resource", headers=headers).status_code == 200
    server.fake.revoke("alice/1 a1")
    assert Browser(server.fake).get("/resource", headers=headers).status_code == 401
    server.fake.clock.advance(61)
    assert "exp: expired 1 s ago" in (server.outcome(server.post(grant()))[2] or "")


def test_ciam_does_not_serve_it() -> None:
    fake = FakeOAuth(Settings())
    data = {"grant_type": JWT_BEARER, "assertion": "x"}
    headers = basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")
    response = Browser(fake).post("/oauth2/token", data=data, headers=headers)
    assert response.get_json()["error"] == "unsupported_grant_type"


def test_trusted_issuers_are_checked() -> None:
    trusted = [
        TrustedIssuer(issuer=" "),
        TrustedIssuer(issuer=IDP, jwks={}, client="wbe"),
        TrustedIssuer(issuer=IDP),
    ]
    with pytest.raises(SettingsError) as caught:
        Server(*trusted)
    assert [str(problem) for problem in caught.value.problems] == [
        f"$.trusted_issuers: issuer '{IDP}' is listed more than once",
        "$.trusted_issuers[0].issuer: blank",
        "$.trusted_issuers[1].jwks.keys: expected a list of JWKs, got None",
        "$.trusted_issuers[1].client: unknown name 'wbe'; did you mean 'web'?",
    ]


def test_trusted_issuers_over_the_control_api_and_in_toml(tmp_path: Any) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(
        f'dialect = "rfc"\nissuer = "{ISSUER}"\ncontrol = true\nfreeze_time = true\n'
        f'start_time = {NOW}\n[[trusted_issuers]]\nissuer = "{IDP}"\n'
    )
    fake = FakeOAuth(Settings.from_toml(path))
    browser = Browser(fake)
    data = {"grant_type": JWT_BEARER, "assertion": own(claims(IDP, sub="MOCK_USERNAME"))}
    assert browser.post("/token", data=data).status_code == 200
    data["assertion"] = signed(claims(IDP, sub="MOCK_USERNAME", jti="2"))
    assert browser.post("/token", data=data).status_code == 400
    settings = {
        "dialect": "rfc",
        "issuer": ISSUER,
        "start_time": NOW,
        "freeze_time": True,
        "trusted_issuers": [{"issuer": IDP, "jwks": JWKS, "client": "TENANT_CLIENT_ID"}],
    }
    assert browser.post("/_fake/reset", json={"settings": settings}).status_code == 200
    assert browser.post("/token", data=data).status_code == 200


def test_no_key_of_an_issuer_verifies_an_hmac(server: Server) -> None:
    forged = jwt.encode(claims(IDP, sub="alice"), "x" * 32, "HS256")
    assert "alg: expected one of" in (server.outcome(server.post(forged))[2] or "")
    assert server.post(signed(claims(IDP, sub="alice"), KEY)).status_code == 200
