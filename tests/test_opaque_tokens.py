"""Opaque access tokens: whatever a JWT is good for, and the claims stay with the server."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import Client, FakeOAuth, Settings, UnusedFaultError, faults
from fake_oauth.faults.base import TokenFault
from fake_oauth.provider.bearer import inspect
from fake_oauth.provider.model import OwnTerms
from fake_oauth.provider.store import KEPT_ACCESS_TOKENS
from fake_oauth.provider.tokens import InvalidTokenError, decode
from tests.support.realms import WEB_POST, granted, realm

OWN = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
BY_PASSWORD = {
    "grant_type": "password",
    "username": "MOCK_USERNAME",
    "password": "MOCK_PASSWORD",
}


def opaque(**settings: Any) -> FakeOAuth:
    """A server with opaque access tokens, whose clock is frozen."""
    return FakeOAuth(
        Settings(
            dialect="rfc",
            seed=0,
            start_time=1_700_000_000,
            freeze_time=True,
            access_token_format="opaque",
            **settings,
        )
    )


def send(fake: FakeOAuth, endpoint: str, *, bearer: str | None = None, **form: str) -> Any:
    """Send a request with an access token, or as the default client."""
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    data = form if bearer is not None else {**form, **OWN}
    return WSGIClient(fake).post(fake.dialect.paths[endpoint], data=data, headers=headers)


def resource(fake: FakeOAuth, token: str) -> tuple[int, str | None]:
    """The status of the resource, and the reason in the journal."""
    return send(fake, "resource", bearer=token).status_code, fake.journal[-1].reason


def test_an_opaque_token_is_no_jwt_and_repeatable() -> None:
    token = opaque().issue_tokens().access_token
    assert re.fullmatch(r"[A-Za-z0-9_-]{128}", token)  # token68 of RFC 6750 section 2.1
    with pytest.raises(InvalidTokenError):
        decode(token)
    assert opaque().issue_tokens().access_token == token
    listed = opaque(ids={"access_token": ["first"]})
    assert listed.issue_tokens().access_token == "first"
    assert listed.issue_tokens().access_token == token


def test_introspection_says_what_the_jwt_would_have_said() -> None:
    fake, jwt = opaque(), FakeOAuth(opaque().settings.changed(access_token_format=None))
    members = send(fake, "introspect", token=fake.issue_tokens().access_token)
    same = send(jwt, "introspect", token=jwt.issue_tokens().access_token)
    assert members.json == same.json
    assert members.json["active"] is True


def test_userinfo_and_the_resource_accept_it_until_it_expires() -> None:
    fake = opaque()
    token = fake.issue_tokens().access_token
    assert send(fake, "userinfo", bearer=token).json["sub"] == "MOCK_USERNAME"
    assert resource(fake, token)[0] == 200
    assert fake.journal[-1].tokens == {"bearer": "MOCK_USERNAME/1 a1"}
    fake.resource.skew_seconds = 3600
    assert resource(fake, token) == (401, "access token expired 0 s ago")
    fake.resource.skew_seconds = -1
    assert resource(fake, token) == (401, "access token not valid for another 1 s")
    fake.resource.skew_seconds = 0
    fake.clock.advance(3601)
    assert resource(fake, token) == (401, "access token expired 1 s ago")


@pytest.mark.parametrize("by_name", [True, False])
def test_a_test_can_expire_and_revoke_it(*, by_name: bool) -> None:
    fake = opaque()
    first, second = (fake.issue_tokens().access_token for _ in range(2))
    fake.expire("MOCK_USERNAME/1 a1" if by_name else first)
    fake.revoke("MOCK_USERNAME/2 a1" if by_name else second)
    assert resource(fake, first) == (401, "access token expired 0 s ago")
    assert resource(fake, second) == (401, "access token revoked by the test")


def test_its_client_can_revoke_it() -> None:
    fake = opaque()
    tokens = fake.issue_tokens()
    assert send(fake, "revoke", token=tokens.access_token).status_code == 200
    assert fake.journal[-1].reason == "access token revoked"
    assert resource(fake, tokens.access_token) == (401, "access token revoked by request 1")
    introspected = send(fake, "introspect", token=tokens.access_token)
    assert introspected.json == {"active": False}


def test_revoking_the_refresh_token_revokes_it() -> None:
    fake = opaque()
    tokens = fake.issue_tokens()
    assert tokens.refresh_token is not None
    fake.revoke(tokens.refresh_token)
    assert resource(fake, tokens.access_token)[0] == 401


def test_one_client_can_have_opaque_tokens_and_another_jwts() -> None:
    clients = [
        Client(client_id="a", access_token_format="opaque"),
        Client(client_id="b", access_token_format="jwt"),
    ]
    for default in ("jwt", "opaque"):
        settings = Settings(dialect="rfc", clients=clients, access_token_format=default)
        fake = FakeOAuth(settings)
        assert fake.issue_tokens(client="a").access_token.count(".") == 0
        assert fake.issue_tokens(client="b").access_token.count(".") == 2


def test_toml_and_the_control_api_have_the_setting(tmp_path: Any) -> None:
    path = tmp_path / "fake.toml"
    path.write_text('dialect = "rfc"\naccess_token_format = "opaque"\ncontrol = true\n')
    fake = FakeOAuth(Settings.from_toml(path))
    client = {"client_id": "x", "access_token_format": "jwt"}
    body: dict[str, Any] = {
        "clients": [client],
        "access_token_format": "opaque",
        "refresh_tokens": [],
    }
    with fake:
        assert "." not in fake.issue_tokens().access_token
        response = httpx.post(f"{fake.url}/_fake/reset", json={"settings": body})
        assert response.status_code == 200, response.text
        assert fake.settings.access_token_format == "opaque"
        assert fake.issue_tokens().access_token.count(".") == 2
        body["access_token_format"] = "paper"
        response = httpx.post(f"{fake.url}/_fake/reset", json={"settings": body})
        assert "access_token_format" in response.text
        assert response.status_code == 400


def test_a_forgotten_opaque_token_is_unknown() -> None:
    made = realm(terms=OwnTerms(access_token_format="opaque"))
    own = {"grant_type": "client_credentials"}
    first, second = (granted(made, WEB_POST, own).tokens.access_token for _ in range(2))
    now = made.clock.now()
    for _ in range(KEPT_ACCESS_TOKENS - 1):
        granted(made, WEB_POST, own)
    assert inspect(made, second, now).flaw is None
    assert inspect(made, first, now).reason == (
        "not an access token of this server: not three segments"
    )
    assert inspect(made, first, now).claims == {}


def by_password(fake: FakeOAuth) -> dict[str, Any]:
    data: dict[str, Any] = send(fake, "token", **BY_PASSWORD).json
    return data


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.Expired(), "access token expired 3600 s ago"),
        (faults.NotYetValid(), "access token not valid for another 3600 s"),
        (faults.MissingClaim("exp"), "access token without exp"),
        (faults.Claim("exp", "soon"), "access token with exp 'soon', which is not a number"),
    ],
)
def test_a_fault_in_the_claims_is_found_at_the_resource(fault: TokenFault, reason: str) -> None:
    fake = opaque()
    fake.script(fault)
    token = by_password(fake)["access_token"]
    assert resource(fake, token) == (401, reason)
    assert fake.journal[-1].tokens == {"bearer": "MOCK_USERNAME/1 a1"}
    assert resource(fake, by_password(fake)["access_token"])[0] == 200
    fake.assert_script_used()


@pytest.mark.parametrize(
    ("fault", "members"),
    [
        (faults.WrongIssuer(), {"iss": "https://other.example"}),
        (faults.WrongAudience(), {"aud": "OTHER_CLIENT_ID"}),
        (faults.Claim("aud", "api"), {"aud": "api"}),
        (faults.Combined([faults.WrongIssuer("i"), faults.Claim("aud", "a")]), {"iss": "i"}),
    ],
)
def test_a_fault_in_the_claims_is_found_by_introspection(
    fault: faults.Fault, members: dict[str, str]
) -> None:
    fake = opaque()
    fake.script(fault)
    response = send(fake, "introspect", token=by_password(fake)["access_token"])
    assert members.items() <= response.json.items()
    fake.assert_script_used()


def test_an_expired_opaque_token_may_be_refreshed_at_once() -> None:
    fake = opaque()
    fake.script(faults.Expired(token="access_token"))
    tokens = by_password(fake)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    send(fake, "token", **form)
    fake.assert_client.refreshed_only_when_needed()


@pytest.mark.parametrize(
    "fault",
    [
        faults.BadSignature(token="access_token"),
        faults.UnknownKey(token="access_token"),
        faults.NoKeyId(token="access_token"),
        faults.AlgNone(token="access_token"),
        faults.HmacConfusion(token="access_token"),
        faults.MissingClaim("email", token="access_token"),
        faults.Combined([faults.Expired(token="access_token"), faults.MissingField("device")]),
    ],
)
def test_a_fault_that_an_opaque_token_cannot_have_is_reported(fault: faults.Fault) -> None:
    fake = opaque()
    fake.script(fault)
    assert resource(fake, by_password(fake)["access_token"])[0] == 200
    with pytest.raises(UnusedFaultError):
        fake.assert_script_used()


def test_a_response_with_another_text_for_the_token_makes_that_text_no_token() -> None:
    fake = opaque()
    fake.script(faults.Field("access_token", "x" * 128))
    assert by_password(fake)["access_token"] == "x" * 128
    status, reason = resource(fake, "x" * 128)
    assert (status, reason) == (401, "not an access token of this server: not three segments")
    fake.script(faults.Combined([faults.Field("access_token", "y"), faults.Expired()]))
    assert by_password(fake)["access_token"] == "y"
    assert resource(fake, "y")[0] == 401
