"""The dialect `rfc`, where it differs from the documented server; and dialects of one's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, Dialect, FakeOAuth, RefreshToken, Settings, SettingsError, faults
from fake_oauth.__main__ import main
from fake_oauth.provider.conventions import SMS
from tests.asking import basic

BASIC = basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")


class Rfc:
    """A fake that speaks `rfc`, and a client that authenticates itself."""

    def __init__(self, **settings: Any) -> None:
        self.fake = FakeOAuth(Settings(dialect="rfc", seed=0, freeze_time=True, **settings))
        self.browser = Browser(self.fake)

    def post(self, path: str, **form: str) -> TestResponse:
        return self.browser.post(path, data=form, headers=BASIC)

    def refresh(self) -> TestResponse:
        form = {"grant_type": "refresh_token", "refresh_token": "MOCK_REFRESH_TOKEN"}
        return self.post("/token", **form)

    def introspect(self, token: str) -> dict[str, Any]:
        reply = self.post("/introspect", token=token)
        assert reply.status_code == 200
        told: dict[str, Any] = reply.get_json()
        return told

    @property
    def reason(self) -> str | None:
        """Why the latest request was answered as it was."""
        return self.fake.journal[-1].reason


@pytest.fixture
def rfc() -> Rfc:
    return Rfc()


def test_lifetimes_are_the_dialects_unless_the_settings_say_otherwise() -> None:
    assert Rfc().refresh().get_json()["expires_in"] == 3600
    assert Rfc(access_token_seconds=60).refresh().get_json()["expires_in"] == 60
    client = Client(client_id="TENANT_CLIENT_ID", client_secret="TENANT_CLIENT_SECRET")
    own = Rfc(access_token_seconds=60, clients=[replace(client, access_token_seconds=5)])
    assert own.refresh().get_json()["expires_in"] == 5


def test_the_layout_is_the_dialects_unless_the_settings_say_otherwise() -> None:
    assert "\n" not in Rfc().refresh().text
    assert Rfc(compact_json=False).refresh().text.startswith('{\n  "access_token" : ')
    documented = Browser(FakeOAuth(Settings(compact_json=True)))
    assert documented.post("/oauth2/revoke", headers=BASIC).text.startswith('{"error":')


def test_a_code_that_comes_again_takes_its_tokens(rfc: Rfc) -> None:
    code = rfc.fake.issue_code()
    form = {"grant_type": "authorization_code", "code": code}
    tokens = rfc.post("/token", **form).get_json()
    assert rfc.introspect(tokens["access_token"])["active"]
    assert rfc.post("/token", **form).get_json() == {"error": "invalid_grant"}
    assert rfc.introspect(tokens["access_token"]) == {"active": False}
    assert rfc.introspect(tokens["refresh_token"]) == {"active": False}
    assert rfc.reason == "refresh token revoked by request 3"


def test_a_refusal_that_is_scripted_is_written_as_the_dialect_writes_it(rfc: Rfc) -> None:
    rfc.fake.script(faults.Refuse("invalid_client"), faults.Status(401))
    refused = rfc.refresh()
    assert (refused.text, refused.content_type) == (
        '{"error":"invalid_client"}',
        "application/json",
    )
    assert refused.headers["WWW-Authenticate"] == 'Basic realm="fake_oauth"'
    assert "WWW-Authenticate" not in rfc.refresh().headers


def test_passwords_are_asked_of_nobody_in_particular(rfc: Rfc) -> None:
    for name in ("MOCK_USERNAME", "MOCK_USERNAME@example.com", "13612345678"):
        form = {"grant_type": "password", "username": name, "password": "MOCK_PASSWORD"}
        assert rfc.post("/token", **form).status_code == 200


def test_one_time_passwords_are_not_served(rfc: Rfc) -> None:
    assert rfc.post("/token", grant_type=SMS).get_json()["error"] == "unsupported_grant_type"
    assert rfc.post("/otp/send").status_code == 404


class TestIntrospection:
    def test_an_access_token_is_told_in_full(self, rfc: Rfc) -> None:
        token = rfc.fake.issue().access_token
        told = rfc.introspect(token)
        now = int(rfc.fake.clock.now())
        assert told.pop("jti")
        assert told == {
            "active": True,
            "scope": "openid",
            "client_id": "TENANT_CLIENT_ID",
            "username": "MOCK_USERNAME",
            "token_type": "Bearer",
            "exp": now + 3600,
            "iat": now,
            "nbf": now,
            "sub": "MOCK_USERNAME",
            "aud": "TENANT_CLIENT_ID",
            "iss": "http://localhost",
        }

    def test_a_refresh_token_has_its_own_end(self, rfc: Rfc) -> None:
        token = rfc.fake.issue().refresh_token or ""
        end = int(rfc.fake.clock.now()) + 30 * 86400
        assert rfc.introspect(token)["exp"] == end
        rfc.fake.clock.advance(30 * 86400)
        assert rfc.introspect(token) == {"active": False}
        assert rfc.reason == "refresh token expired 0 s ago"

    def test_a_token_without_scopes_or_user(self) -> None:
        client = Client(
            client_id="TENANT_CLIENT_ID", client_secret="TENANT_CLIENT_SECRET", scopes=()
        )
        rfc = Rfc(clients=[client])
        token = rfc.post("/token", grant_type="client_credentials").get_json()["access_token"]
        assert rfc.introspect(token).keys() & {"scope", "username"} == set()
        assert "scope" not in rfc.introspect("MOCK_REFRESH_TOKEN")

    @pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
    def test_a_token_that_was_revoked_is_not_active(self, rfc: Rfc, kind: str) -> None:
        token = getattr(rfc.fake.issue(), kind)
        assert rfc.post("/revoke", token=token).status_code == 200
        assert rfc.introspect(token) == {"active": False}

    def test_a_refresh_token_that_was_rotated_away_is_not_active(self) -> None:
        rfc = Rfc(rotate_refresh_tokens=True)
        successor = rfc.refresh().get_json()["refresh_token"]
        assert rfc.introspect("MOCK_REFRESH_TOKEN") == {"active": False}
        assert rfc.introspect(successor)["active"]

    def test_nor_is_that_of_a_user_who_may_not_log_in(self, rfc: Rfc) -> None:
        rfc.fake.freeze_user("MOCK_USERNAME")
        assert rfc.introspect("MOCK_REFRESH_TOKEN") == {"active": False}
        assert rfc.reason == "user MOCK_USERNAME is frozen"

    def test_an_id_token_is_not_active(self, rfc: Rfc) -> None:
        assert rfc.introspect(rfc.fake.issue().id_token or "") == {"active": False}

    def test_a_public_client_proves_nothing(self) -> None:
        token = RefreshToken(value="R1")
        rfc = Rfc(clients=[Client(client_id="phone")], refresh_tokens=[token])
        reply = rfc.browser.post("/introspect", data={"client_id": "phone", "token": "R1"})
        assert (reply.status_code, reply.get_json()) == (401, {"error": "invalid_client"})
        assert rfc.reason == "client phone is public, its client_id alone proves nothing"
        metadata = rfc.browser.get("/.well-known/oauth-authorization-server").get_json()
        assert metadata["introspection_endpoint_auth_methods_supported"] == []
        assert metadata["token_endpoint_auth_methods_supported"] == ["none"]


def test_the_metadata_says_where_everything_is(rfc: Rfc) -> None:
    told = rfc.browser.get("/.well-known/oauth-authorization-server").get_json()
    urls = {name: url for name, url in told.items() if name.endswith(("_endpoint", "_uri"))}
    assert urls == {
        "authorization_endpoint": "http://localhost/authorize",
        "token_endpoint": "http://localhost/token",
        "jwks_uri": "http://localhost/jwks",
        "revocation_endpoint": "http://localhost/revoke",
        "introspection_endpoint": "http://localhost/introspect",
    }
    for url in urls.values():
        path = url.removeprefix("http://localhost")
        assert rfc.browser.open(path, method="DELETE").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/tenant",
        "/tenant/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server",
        "/tenant/.well-known/openid-configuration",
    ],
)
def test_the_metadata_of_an_issuer_with_a_path(path: str) -> None:
    rfc = Rfc(issuer="https://issuer.example/tenant")
    told = rfc.browser.get(path).get_json()
    assert told["issuer"] == "https://issuer.example/tenant"
    assert told["token_endpoint"] == "https://issuer.example/tenant/token"


def test_where_nothing_but_tokens_is_served_the_metadata_says_no_more() -> None:
    own = replace(
        Dialect.RFC,
        paths={
            name: path
            for name, path in Dialect.RFC.paths.items()
            if name in ("token", "login", "discovery", "metadata")
        },
    )
    browser = Browser(FakeOAuth(Settings(dialect=own)))
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
        told = browser.get(path).get_json()
        assert [name for name in told if name.endswith(("_endpoint", "_uri"))] == ["token_endpoint"]


def test_a_dialect_of_ones_own() -> None:
    own = replace(
        Dialect.RFC,
        name="acme",
        paths={**Dialect.RFC.paths, "token": "/oauth/token"},
        statuses={**Dialect.RFC.statuses, "invalid_client": 403},
    )
    with FakeOAuth(Settings(dialect=own)) as server:
        assert server.dialect.name == "acme"
        assert server.token_url == f"{server.url}/oauth/token"
    assert Browser(server).post("/oauth/token").status_code == 403


def wrong(**settings: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        FakeOAuth(Settings(**settings))
    return [str(problem) for problem in caught.value.problems]


def test_what_is_wrong_with_a_dialect_is_told() -> None:
    assert wrong(dialect="rfcs") == ["$.dialect: there is no 'rfcs', did you mean 'rfc'?"]
    assert wrong(dialect="x", code_seconds=0) == [
        "$.dialect: there is no 'x', expected one of 'ciam', 'rfc'",
        "$.code_seconds: expected at least 1 second, got 0",
    ]
    assert wrong(dialect=7) == ["$.dialect: expected a Dialect or the name of one, got 7"]
    paths = {"tokens": "/token", "userinfo": "userinfo", "login": "/token"}
    assert wrong(dialect=replace(Dialect.RFC, paths=paths)) == [
        "$.dialect.paths: there is no 'tokens', did you mean 'token'?",
        "$.dialect.paths.userinfo: expected a path that starts with /, got 'userinfo'",
        "$.dialect.paths: value '/token' stands there more than once",
        "$.dialect.paths: token is missing",
    ]


def test_what_a_dialect_does_not_serve_is_not_there_to_be_named() -> None:
    clients = [Client(client_id="a", grant_types=[SMS])]
    assert wrong(dialect="rfc", clients=clients)[0].startswith(
        f"$.clients[0].grant_types: there is no '{SMS}', expected one of 'authorization_code', "
    )
    rule = faults.Rule(faults.Status(503), endpoint="otp_send")
    (problem,) = wrong(dialect="rfc", faults=[rule])
    assert problem.startswith("$.faults[0].endpoint: there is no 'otp_send', expected one of")
    FakeOAuth(Settings(dialect="rfc", faults=[replace(rule, endpoint="introspect")]))
    assert wrong(faults=[replace(rule, endpoint="introspect")])


def test_a_settings_file_names_its_dialect() -> None:
    assert Settings.from_mapping({"dialect": "rfc"}).dialect == "rfc"
    with pytest.raises(SettingsError, match=r"\$\.dialect: 'rcf' is not known, did you mean 'rfc'"):
        Settings.from_mapping({"dialect": "rcf"})
    with pytest.raises(SettingsError, match=r"\$\.dialect: .* expected one of 'ciam', 'rfc'"):
        Settings.from_mapping({"dialect": {"paths": {"token": "/x"}}})


def test_the_command_line_describes_either(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", "--dialect", "rfc"]) == 0
    assert '"/introspect"' in capsys.readouterr().out
