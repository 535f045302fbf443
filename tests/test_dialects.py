"""The dialect `rfc`, where it differs from the documented server; and dialects of one's own."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote_plus, urlsplit

import httpx
import jwt
import pytest
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import (
    Client,
    FakeOAuth,
    PreconfiguredRefreshToken,
    Settings,
    SettingsError,
    faults,
)
from fake_oauth.__main__ import main
from fake_oauth.dialects import RFC
from fake_oauth.provider.dialect import Text
from fake_oauth.provider.errors import Cause
from fake_oauth.provider.grants.otp import SMS
from fake_oauth.provider.tokens import TokenDetails, TokenSet
from tests.support.client import basic, claims

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
    assert rfc.post("/token", **form).get_json()["error"] == "invalid_grant"
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
        token = rfc.fake.issue_tokens().access_token
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
        token = rfc.fake.issue_tokens().refresh_token or ""
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
        token = getattr(rfc.fake.issue_tokens(), kind)
        assert rfc.post("/revoke", token=token).status_code == 200
        assert rfc.introspect(token) == {"active": False}

    def test_a_refresh_token_that_was_rotated_away_is_not_active(self) -> None:
        rfc = Rfc(refresh_policy="rotate")
        successor = rfc.refresh().get_json()["refresh_token"]
        assert rfc.introspect("MOCK_REFRESH_TOKEN") == {"active": False}
        assert rfc.introspect(successor)["active"]

    def test_nor_is_that_of_a_user_who_may_not_log_in(self, rfc: Rfc) -> None:
        rfc.fake.freeze_user("MOCK_USERNAME")
        assert rfc.introspect("MOCK_REFRESH_TOKEN") == {"active": False}
        assert rfc.reason == "user MOCK_USERNAME is frozen"

    def test_an_id_token_is_not_active(self, rfc: Rfc) -> None:
        assert rfc.introspect(rfc.fake.issue_tokens().id_token or "") == {"active": False}

    @pytest.mark.parametrize(("accepts", "status"), [(True, 200), (False, 401)])
    def test_a_setting_lets_anyone_introspect(self, *, accepts: bool, status: int) -> None:
        rfc = Rfc(accept_anonymous_introspection=accepts)
        token = rfc.fake.issue_tokens().access_token
        reply = rfc.browser.post("/introspect", data={"token": token})
        assert reply.status_code == status
        assert reply.get_json().get("active") is (True if accepts else None)

    @pytest.mark.parametrize(
        "authorization", [basic("TENANT_CLIENT_ID", "wrong"), basic("TENANT_CLIENT_ID", "")]
    )
    def test_with_this_setting_wrong_credentials_are_refused(
        self, authorization: dict[str, str]
    ) -> None:
        rfc = Rfc(accept_anonymous_introspection=True)
        reply = rfc.browser.post("/introspect", data={"token": "x"}, headers=authorization)
        assert (reply.status_code, reply.get_json()["error"]) == (401, "invalid_client")

    def test_a_public_client_proves_nothing(self) -> None:
        token = PreconfiguredRefreshToken(value="R1")
        rfc = Rfc(clients=[Client(client_id="phone")], refresh_tokens=[token])
        reply = rfc.browser.post("/introspect", data={"client_id": "phone", "token": "R1"})
        assert (reply.status_code, reply.get_json()["error"]) == (401, "invalid_client")
        assert rfc.reason == "client phone is public, its client_id alone proves nothing"
        metadata = rfc.browser.get("/.well-known/oauth-authorization-server").get_json()
        assert metadata["introspection_endpoint_auth_methods_supported"] == []
        assert metadata["token_endpoint_auth_methods_supported"] == ["none"]


def test_the_metadata_says_where_everything_is(rfc: Rfc) -> None:
    told = rfc.browser.get("/.well-known/oauth-authorization-server").get_json()
    urls = {name: url for name, url in told.items() if name.endswith(("_endpoint", "_uri"))}
    assert urls["introspection_endpoint"] == "http://localhost/introspect"
    served = {f"http://localhost{path}" for path in RFC.paths.values()}
    assert set(urls.values()) <= served
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


class TokensOnly(RFC):
    name = "tokens"
    paths: ClassVar[Mapping[str, str]] = {
        name: path
        for name, path in RFC.paths.items()
        if name in ("token", "login", "discovery", "metadata")
    }


def test_without_other_endpoints_the_metadata_have_only_the_token_endpoint() -> None:
    browser = Browser(FakeOAuth(Settings(dialect=TokensOnly)))
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
        members = browser.get(path).get_json()
        urls = [name for name in members if name.endswith(("_endpoint", "_uri"))]
        assert urls == ["token_endpoint"]


class Acme(RFC):
    """A provider of thirty lines: its own texts, codes, issuer, members, and JSON requests."""

    name = "acme"
    issuer_path = "/realms/demo"
    reads_json = True
    texts: ClassVar[Mapping[Cause, Text]] = {
        **RFC.texts,
        "refresh_token_unknown": Text("Invalid refresh token"),
    }
    codes: ClassVar[Mapping[Cause, str | None]] = {"client_secret": "unauthorized_client"}
    statuses: ClassVar[Mapping[str | None, int]] = {**RFC.statuses, "unauthorized_client": 401}

    def token_reply(self, tokens: TokenSet) -> dict[str, Any]:
        return {**super().token_reply(tokens), "refresh_expires_in": 1800}

    def access_token_claims(self, token: TokenDetails) -> dict[str, Any]:
        return {**super().access_token_claims(token), "typ": "Bearer"}

    def metadata(self, document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "claims_supported": ["sub"]}


@pytest.mark.parametrize("dialect", [Acme, Acme(), "tests.test_dialects:Acme"])
def test_a_custom_dialect(dialect: Any) -> None:
    settings = Settings.from_mapping({"dialect": dialect}) if isinstance(dialect, str) else None
    with FakeOAuth(settings or Settings(dialect=dialect)) as server:
        assert server.dialect.name == "acme"
        assert server.issuer == f"{server.url}/realms/demo"
        assert server.token_url == f"{server.url}/realms/demo/token"
        known = {
            "client_id": "TENANT_CLIENT_ID",
            "client_secret": "TENANT_CLIENT_SECRET",
            "grant_type": "refresh_token",
            "refresh_token": "MOCK_REFRESH_TOKEN",
        }
        granted = httpx.post(server.token_url, json=known).json()
        unknown = httpx.post(server.token_url, json={**known, "refresh_token": "x"})
        wrong = httpx.post(server.token_url, json={**known, "client_secret": "x"})
        document = httpx.get(f"{server.issuer}/.well-known/openid-configuration").json()
    assert granted["refresh_expires_in"] == 1800
    token = claims(granted["access_token"])
    assert (token["iss"], token["typ"]) == (server.issuer, "Bearer")
    assert (unknown.status_code, unknown.json()) == (
        400,
        {"error": "invalid_grant", "error_description": "Invalid refresh token"},
    )
    assert (wrong.status_code, wrong.json()["error"]) == (401, "unauthorized_client")
    assert document["issuer"] == server.issuer
    assert document["token_endpoint"] == server.token_url
    assert document["claims_supported"] == ["sub"]


def test_a_custom_dialect_is_served_by_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", "--dialect", "tests.test_dialects:Acme"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert "application/json" in described["paths"]["/token"]["post"]["requestBody"]["content"]


def test_access_tokens_follow_rfc_9068(rfc: Rfc) -> None:
    token = rfc.fake.issue_tokens()
    assert jwt.get_unverified_header(token.access_token)["typ"] == "at+jwt"
    assert jwt.get_unverified_header(token.id_token or "")["typ"] == "JWT"
    members = claims(token.access_token)
    assert (members["client_id"], members["scope"]) == ("TENANT_CLIENT_ID", "openid")
    payload = urlsafe_b64decode(token.access_token.split(".")[1] + "==")
    assert b"http://localhost" in payload


def wrong(**settings: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        FakeOAuth(Settings(**settings))
    return [str(problem) for problem in caught.value.problems]


class Broken(RFC):
    name = "broken"
    paths: ClassVar[Mapping[str, str]] = {
        "tokens": "/token",
        "userinfo": "userinfo",
        "login": "/token",
    }


def test_the_problems_of_a_dialect_are_listed() -> None:
    unknown = "unknown dialect 'rfcs'; did you mean 'rfc'? (or package.module:Class)"
    assert wrong(dialect="rfcs") == [f"$.dialect: {unknown}"]
    assert len(wrong(dialect="x", code_seconds=0)) == 2
    assert wrong(dialect="json:loads") == [
        "$.dialect: 'json:loads' is not a subclass of fake_oauth.Dialect"
    ]
    assert wrong(dialect="no.such:Thing") == [
        "$.dialect: cannot import dialect 'no.such:Thing': No module named 'no'"
    ]
    assert wrong(dialect=7) == [
        "$.dialect: expected a Dialect or a subclass of Dialect or a string, got 7"
    ]
    assert wrong(dialect=Broken) == [
        "$.dialect.paths: unknown name 'tokens'; did you mean 'token'?",
        "$.dialect.paths.userinfo: expected a path that starts with /, got 'userinfo'",
        "$.dialect.paths: value '/token' is listed more than once",
        "$.dialect.paths: no path for token; add one, such as '/token'",
    ]


def test_a_name_in_a_dialect_that_does_not_exist_is_a_problem() -> None:
    class Misspelled(RFC):
        grant_types = ("refresh_tokens",)
        codes: ClassVar[Any] = {"refresh_token_spend": "bad"}
        texts: ClassVar[Any] = {"acess_denied": Text("No")}

    with pytest.raises(SettingsError) as caught:
        FakeOAuth(Settings(dialect=Misspelled))
    assert [str(problem) for problem in caught.value.problems] == [
        "$.dialect.grant_types: unknown name 'refresh_tokens'; did you mean 'refresh_token'?",
        "$.dialect.codes: unknown name 'refresh_token_spend'; did you mean 'refresh_token_spent'?",
        "$.dialect.texts: unknown name 'acess_denied'; did you mean 'access_denied'?",
    ]


def test_what_a_dialect_does_not_serve_is_not_there_to_be_named() -> None:
    clients = [Client(client_id="a", grant_types=[SMS])]
    assert wrong(dialect="rfc", clients=clients)[0].startswith(
        f"$.clients[0].grant_types: unknown name '{SMS}'; expected one of 'authorization_code', "
    )
    rule = faults.Rule(faults.Status(503), endpoint="otp_send")
    (problem,) = wrong(dialect="rfc", faults=[rule])
    assert problem.startswith("$.faults[0].endpoint: unknown name 'otp_send'; expected one of")
    FakeOAuth(Settings(dialect="rfc", faults=[replace(rule, endpoint="introspect")]))
    assert wrong(faults=[replace(rule, endpoint="introspect")])


def test_a_settings_file_names_its_dialect() -> None:
    assert Settings.from_mapping({"dialect": "rfc"}).dialect == "rfc"
    with pytest.raises(SettingsError, match=r"\$\.dialect: unknown dialect 'rcf'; did you mean"):
        Settings.from_mapping({"dialect": "rcf"})
    with pytest.raises(SettingsError, match=r"\$\.dialect: expected a string, got \{"):
        Settings.from_mapping({"dialect": {"paths": {"token": "/x"}}})


def test_the_command_line_describes_either(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", "--dialect", "rfc"]) == 0
    assert '"/introspect"' in capsys.readouterr().out


def test_a_public_client_can_send_a_blank_secret_in_rfc() -> None:
    client = Client(client_id="cli")
    fake = FakeOAuth(Settings(dialect="rfc", clients=[client], refresh_tokens=[]))
    token = fake.issue_tokens().refresh_token
    form = {"grant_type": "refresh_token", "refresh_token": token, "scope": ""}
    browser = Browser(fake)
    assert browser.post("/token", data=form, headers=basic("cli", "")).status_code == 200
    assert browser.post("/token", data={**form, "client_id": "cli", "client_secret": ""}).json
    assert fake.journal[-1].status == 200
    assert fake.journal[-1].form["client_secret"] == ""
    assert browser.post("/token", data=form, headers=basic("", "")).status_code == 401


def test_a_confidential_client_cannot_send_a_blank_secret() -> None:
    client = Client(client_id="web", client_secret="s3cret")
    fake = FakeOAuth(Settings(dialect="rfc", clients=[client], refresh_tokens=[]))
    form = {"grant_type": "client_credentials"}
    assert Browser(fake).post("/token", data=form, headers=basic("web", "")).status_code == 401
    assert "confidential and sent no client_secret" in str(fake.journal[-1].reason)


def test_a_raw_secret_in_basic_is_accepted_by_a_setting() -> None:
    form = {"grant_type": "client_credentials"}
    for secret in ("a+b", "50% of", "x%41"):
        client = Client(client_id="web", client_secret=secret)
        for is_accepted in (False, True):
            settings = Settings(
                dialect="rfc", clients=[client], refresh_tokens=[], accept_raw_basic=is_accepted
            )
            browser = Browser(FakeOAuth(settings))
            raw = browser.post("/token", data=form, headers=basic("web", secret))
            assert (raw.status_code == 200) is is_accepted
            encoded = browser.post("/token", data=form, headers=basic("web", quote_plus(secret)))
            assert encoded.status_code == 200
            wrong = browser.post("/token", data=form, headers=basic("web", f"{secret}+"))
            assert wrong.status_code == 401 or not is_accepted


def test_localhost_matches_on_any_port_by_a_setting() -> None:
    client = Client(client_id="cli", client_secret="s", redirect_uris=["http://localhost/cb"])
    for is_accepted in (False, True):
        settings = Settings(
            dialect="rfc",
            clients=[client],
            refresh_tokens=[],
            auto_login="MOCK_USERNAME",
            accept_localhost_on_any_port=is_accepted,
        )
        query = {"response_type": "code", "client_id": "cli"}
        query |= {"redirect_uri": "http://localhost:51004/cb"}
        response = Browser(FakeOAuth(settings)).get("/authorize", query_string=query)
        assert response.status_code == (302 if is_accepted else 400)


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("ciam", (401, None, "client_unidentified", "client spa is public and sent no")),
        ("rfc", (400, "invalid_grant", "code_verifier", "code_verifier missing, ")),
        ("mcp", (400, "invalid_grant", "code_verifier", "code_verifier missing, ")),
    ],
)
@pytest.mark.parametrize("challenge", ["x" * 43, None], ids=["challenge", "none"])
def test_a_public_client_without_its_code_verifier(
    dialect: str, expected: tuple[int, str | None, str, str], challenge: str | None
) -> None:
    client = Client(client_id="spa", redirect_uris=["https://app.example/cb"])
    with FakeOAuth(Settings(dialect=dialect, clients=[client], refresh_tokens=[])) as fake:
        code = fake.issue_code(redirect_uri="https://app.example/cb", code_challenge=challenge)
        form = {"grant_type": "authorization_code", "code": code, "client_id": "spa"}
        form["redirect_uri"] = "https://app.example/cb"
        for again in (form, form):
            response = Browser(fake).post(fake.dialect.paths["token"], data=again)
            exchange = fake.journal[-1]
            status, error, cause, reason = expected
            assert (response.status_code, exchange.error, exchange.cause) == (status, error, cause)
            assert (exchange.reason or "").startswith(reason)


def test_unknown_scopes_are_ignored_and_the_granted_ones_are_told() -> None:
    uri = "https://app.example/cb"
    client = Client(client_id="web", client_secret="s3cret", redirect_uris=[uri])
    fake = FakeOAuth(Settings(dialect="rfc", clients=[client], refresh_tokens=[]))
    fake.login()
    query = {"response_type": "code", "client_id": "web", "scope": "openid email"}
    query |= {"redirect_uri": uri}
    response = Browser(fake).get("/authorize", query_string=query)
    (code,) = parse_qs(urlsplit(response.location).query)["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": uri}
    tokens = Browser(fake).post("/token", data=form, headers=basic("web", "s3cret")).json
    assert tokens is not None
    assert tokens["scope"] == "openid"
    note = "scope email ignored, because web is not registered for it"
    assert fake.journal[0].reason == f"MOCK_USERNAME is logged in; {note}"
    Browser(fake).get(
        "/authorize", query_string=query | {"scope": "a openid b a", "prompt": "login"}
    )
    assert (fake.journal[-1].reason or "").endswith(
        "scopes a and b ignored, because web is not registered for them"
    )
