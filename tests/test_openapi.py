"""The description of what is served: whole, valid, and true of what is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from jsonschema import Draft202012Validator
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, Dialect, FakeOAuth, Settings
from fake_oauth.__main__ import main
from fake_oauth.contract.cases import Case, cases
from fake_oauth.contract.client import WSGITransport
from fake_oauth.contract.placeholders import fill
from fake_oauth.contract.targets import FakeTarget
from fake_oauth.dialects import DIALECTS, RFC
from fake_oauth.http.endpoints import methods_of
from fake_oauth.openapi import MAY_BE_EMPTY, document
from fake_oauth.provider.grants import GRANTS
from fake_oauth.provider.grants.otp import EMAIL
from fake_oauth.provider.resources import WELL_KNOWN

each_dialect = pytest.mark.parametrize(
    "dialect", DIALECTS.values(), ids=lambda dialect: dialect.name
)
CASES = [
    pytest.param(d, c, id=f"{d.name}-{c.name}") for d in DIALECTS.values() for c in cases(d.name)
]
DOCUMENTS = {name: document("http://localhost", dialect) for name, dialect in DIALECTS.items()}


@pytest.mark.parametrize(
    ("dialect", "name"),
    [("ciam", "openapi.json"), ("rfc", "openapi.rfc.json"), ("mcp", "openapi.mcp.json")],
)
def test_it_has_a_copy_in_the_docs(
    dialect: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["openapi", "--dialect", dialect]) == 0
    path = Path(__file__).parents[1] / "docs" / name
    assert capsys.readouterr().out == path.read_text(encoding="utf-8")


@each_dialect
def test_it_has_everything_that_is_served(dialect: Dialect) -> None:
    described = document("https://x.example", dialect)
    assert described["servers"] == [{"url": "https://x.example"}]
    assert {
        path: {method.upper() for method in operations}
        for path, operations in described["paths"].items()
    } == {path: set(methods_of(dialect, name)) for name, path in dialect.paths.items()}
    content = described["paths"][dialect.paths["token"]]["post"]["requestBody"]["content"]
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        members = content[kind]["schema"]["properties"]
        assert members["grant_type"]["enum"] == list(dialect.grant_types)
    reply = described["components"]["schemas"]["TokenResponse"]
    assert reply["required"] == ["access_token", "token_type", "expires_in"]


def test_json_is_described_for_the_grants_that_read_it() -> None:
    content = {
        name: DOCUMENTS[name]["paths"][dialect.paths["token"]]["post"]["requestBody"]["content"]
        for name, dialect in DIALECTS.items()
    }
    members = content["ciam"]["application/json"]["schema"]["properties"]
    assert members["grant_type"]["enum"] == [name for name, row in GRANTS.items() if row.reads_json]
    assert "refresh_token" not in members
    assert "application/json" not in content["rfc"]
    form = content["rfc"]["application/x-www-form-urlencoded"]["schema"]["properties"]
    assert not {"auth_source_id", "otp", "phone_number"} & set(form)


def test_a_dialect_of_ones_own_is_described_too() -> None:
    class Acme(RFC):
        name = "acme"
        grant_types = ("password", EMAIL)
        paths: ClassVar[Mapping[str, str]] = {"token": "/token", "login": "/login"}

    described = document("https://x.example", Acme())
    content = described["paths"]["/token"]["post"]["requestBody"]["content"]
    assert "auth_source_id" in content["multipart/form-data"]["schema"]["properties"]
    assert "examples" not in content["multipart/form-data"]
    assert set(described["components"]["schemas"]) == {"TokenResponse", "Error"}


@each_dialect
def test_every_reference_leads_somewhere(dialect: Dialect) -> None:
    described = document("https://x.example", dialect)
    for name in re.findall(r'"#/components/([^"]+)"', json.dumps(described)):
        kind, _, what = name.partition("/")
        assert what in described["components"][kind], name


def is_described(
    dialect: str, path: str, method: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Fails for an answer that its description does not allow."""
    described = DOCUMENTS[dialect]
    told = described["paths"][path][method.lower()]["responses"][str(status)]
    for name, own in told["headers"].items():
        header = described["components"]["headers"].get(name, own)
        if name not in headers:
            assert not header.get("required"), name
            continue
        schema = header["schema"]
        Draft202012Validator(schema).validate(headers[name])
    if not body:
        assert "content" not in told or told.get(MAY_BE_EMPTY), "the body is empty"
        return
    kind = headers["Content-Type"]
    assert kind in told["content"]
    schema = told["content"][kind]["schema"]
    document: Any = body.decode() if kind.startswith("text/") else json.loads(body)
    Draft202012Validator({**schema, "components": described["components"]}).validate(document)


@pytest.mark.parametrize(("dialect", "case"), CASES)
def test_every_exchange_is_as_described(dialect: Dialect, case: Case) -> None:
    target = FakeTarget(WSGITransport(FakeOAuth(Settings(control=True))), dialect)
    with target.prepare(case) as values:
        response = target.send(fill(case.request, values))
    path = case.request.path.partition("?")[0]
    if path.startswith(WELL_KNOWN):  # The path of the resource is at the end.
        path = WELL_KNOWN
    is_described(
        dialect.name,
        path,
        case.request.method,
        response.status,
        dict(response.headers),
        response.body,
    )


URI = "https://example.com/callback"


class Described:
    """A fake and a browser of it; every answer is held to the description."""

    def __init__(self, dialect: str, **settings: Any) -> None:
        self.fake = FakeOAuth(Settings(dialect=DIALECTS[dialect], seed=0, **settings))
        self.browser = Browser(self.fake)

    def ask(self, name: str, method: str = "GET", **options: Any) -> TestResponse:
        dialect = self.fake.dialect
        reply = self.browser.open(dialect.paths[name], method=method, **options)
        headers = dict(reply.headers)
        path = dialect.paths[name]
        is_described(dialect.name, path, method, reply.status_code, headers, reply.data)
        return reply

    def p_state(self) -> str:
        """A login that waits for this browser."""
        query = {
            "response_type": "code",
            "client_id": "TENANT_CLIENT_ID",
            "redirect_uri": URI,
            "code_challenge": "x",
            "code_challenge_method": "S256",
        }
        location = self.ask("authorize", query_string=query).location
        return location.rpartition("p_state=")[2]


@pytest.fixture(params=DIALECTS)
def described(request: pytest.FixtureRequest) -> Described:
    return Described(request.param)


def test_the_login_page_is_as_described(described: Described) -> None:
    p_state = described.p_state()
    assert described.ask("login", query_string={"p_state": p_state}).status_code == 200
    assert described.ask("login", query_string={"p_state": "wrong"}).status_code == 400
    wrong = {"p_state": p_state, "username": "MOCK_USERNAME", "password": "wrong"}
    assert described.ask("login", "POST", data=wrong).status_code == 400
    denied = {"p_state": described.p_state(), "deny": "1"}
    assert described.ask("login", "POST", data=denied).status_code == 302
    chosen = {"p_state": p_state, "sub": "MOCK_USERNAME"}
    assert described.ask("login", "POST", data=chosen).status_code == 302


def test_a_login_of_a_client_that_is_gone_ends_on_the_page(described: Described) -> None:
    p_state = described.p_state()
    described.fake.replace_clients([])
    chosen = {"p_state": p_state, "sub": "MOCK_USERNAME"}
    reply = described.ask("login", "POST", data=chosen)
    assert reply.status_code == 400
    assert described.fake.journal[-1].reason == "client TENANT_CLIENT_ID was removed"
    assert "Set-Cookie" not in reply.headers, "nobody has logged in"


def test_the_verification_page_is_as_described() -> None:
    described = Described("rfc")
    client = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
    told = described.ask("device_authorization", "POST", data=client).get_json()
    assert described.ask("device_authorization", "POST", data={}).status_code == 401
    chosen = {"user_code": told["user_code"], "sub": "MOCK_USERNAME"}
    assert described.ask("device").status_code == 200
    assert described.ask("device", query_string={"user_code": "x"}).status_code == 400
    assert described.ask("device", query_string=chosen).status_code == 200
    assert described.ask("device", "POST", data={**chosen, "sub": "x"}).status_code == 400
    assert described.ask("device", "POST", data=chosen).status_code == 200
    for flaw in FLAWS.values():
        assert described.ask("device", "POST", **flaw).status_code == 400


FLAWS: dict[str, dict[str, Any]] = {
    "over the limit": {"data": b"x" * 65537, "content_type": "application/x-www-form-urlencoded"},
    "not UTF-8": {"data": b"a=%ff", "content_type": "application/x-www-form-urlencoded"},
    "twice": {"data": {"client_id": ["a", "b"]}},
    "malformed Basic": {"headers": {"Authorization": "Basic !!!"}},
}


@pytest.mark.parametrize("name", ["userinfo", "login", "resource", "token", "revoke"])
@pytest.mark.parametrize("flaw", FLAWS)
def test_what_cannot_be_read_is_answered_as_described(
    described: Described, name: str, flaw: str
) -> None:
    reply = described.ask(name, "POST", **FLAWS[flaw])
    assert reply.status_code in (400, 401)


def test_a_flawed_form_of_the_login_page_is_told_in_the_journal(described: Described) -> None:
    described.ask("login", "POST", **FLAWS["over the limit"])
    assert described.fake.journal[-1].reason == "body over 65536 bytes"


def test_claims_of_ones_own_are_allowed(described: Described) -> None:
    """Though the client of a token is then another than its audience, and scopes are text."""
    (client,) = described.fake.settings.clients
    claims = {"aud": ["https://api.example", "web"], "scope": "openid email"}
    described.fake.replace_clients([replace(client, extra_claims=claims)])
    token = described.fake.issue_tokens().access_token
    bearer = {"Authorization": f"Bearer {token}"}
    assert described.ask("userinfo", headers=bearer).get_json()["sub"] == "MOCK_USERNAME"
    if not described.fake.dialect.indicates_resources:  # Then the claim would be checked.
        told = described.ask("resource", headers=bearer).get_json()
        assert told["client_id"] == "TENANT_CLIENT_ID"
        assert told["scope"].split() == ["openid", "email"]
    form = {"client_id": client.client_id, "client_secret": client.client_secret, "token": token}
    if "introspect" in described.fake.dialect.paths:
        told = described.ask("introspect", "POST", data=form).get_json()
        assert (told["aud"], told["client_id"]) == (claims["aud"], "TENANT_CLIENT_ID")
    assert described.ask("revoke", "POST", data=form).status_code == 200
    assert described.ask("userinfo", headers=bearer).status_code == 401


def test_a_redirect_uri_may_have_any_letters() -> None:
    uri = "https://example.com/zurück/回?a=é&b=%20"
    client = Client(client_id="web", redirect_uris=[uri], require_pkce=False, client_secret="s")
    described = Described("rfc", clients=[client], auto_login="MOCK_USERNAME")
    query = {"response_type": "code", "client_id": "web"}
    location = described.ask("authorize", query_string=query).headers["Location"]
    there = "https://example.com/zur%C3%BCck/%E5%9B%9E?a=%C3%A9&b=%20&code="
    assert location.startswith(there)


def test_bearers_are_answered_as_described(described: Described) -> None:
    token = described.fake.issue_tokens().access_token
    bearer = {"Authorization": f"Bearer {token}"}
    described.fake.resource.scope = "email"
    for name, status in (("userinfo", 200), ("resource", 403)):
        for method in ("GET", "POST"):
            reply = described.ask(name, method, headers=bearer)
            assert reply.status_code == status
    described.fake.revoke(token)
    for name in ("userinfo", "resource"):
        assert described.ask(name, headers=bearer).status_code == 401
