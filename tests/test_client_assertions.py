"""Clients that authenticate with a JWT: rules 21 and 22 of docs/reference/token.md."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import nan
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, Settings, SettingsError, faults
from fake_oauth.dialects import DIALECTS, RFC
from fake_oauth.openapi import document
from fake_oauth.provider.assertions import (
    InvalidAssertionError,
    Requirements,
    audience_note,
    read,
    verify,
)
from fake_oauth.provider.errors import shown
from fake_oauth.provider.keys import CLIENT_ALGORITHMS, SECRET_ALGORITHMS
from fake_oauth.provider.store import KEPT_IDS, UsedIds
from tests.support.assertions import (
    CLIENT_ASSERTION_TYPE,
    ISSUER,
    JWK,
    JWKS,
    KEY,
    SECRET,
    STRANGER,
    authenticated,
    claims,
    signed,
)
from tests.support.client import basic
from tests.support.realms import NOW

SVC = Client(client_id="svc", jwks=JWKS)
MAC = Client(
    client_id="mac", client_secret=SECRET, token_endpoint_auth_methods=["client_secret_jwt"]
)
RIGHT = Requirements(
    issuer="svc", subject="svc", keys=[JWK], audiences=[ISSUER, f"{ISSUER}/token"], needs_jti=True
)
CLOCK = "the clock shows 2023-11-14T22:13:20Z"


class Server:
    """A fake with the clients `svc` and `mac`, at a frozen moment."""

    def __init__(self, **settings: Any) -> None:
        defaults: dict[str, Any] = {
            "dialect": "rfc",
            "issuer": ISSUER,
            "clients": [SVC, MAC],
            "start_time": NOW,
            "freeze_time": True,
            "refresh_tokens": [],
            "seed": 0,
        }
        self.fake = FakeOAuth(Settings(**(defaults | settings)))

    def post(self, form: dict[str, Any], path: str = "/token", **options: Any) -> TestResponse:
        return Browser(self.fake).post(path, data=form, **options)

    def token(self, assertion: str, **form: str) -> TestResponse:
        return self.post(authenticated(assertion, grant_type="client_credentials", **form))

    def outcome(self, response: TestResponse) -> tuple[int, str | None, str | None]:
        """Return the status, the error code, and the reason in the journal."""
        exchange = self.fake.journal[-1]
        return response.status_code, exchange.error, exchange.reason


@pytest.fixture
def server() -> Server:
    return Server()


# Who is authenticated


@pytest.mark.parametrize("named", [{}, {"client_id": "svc"}])
def test_a_client_signs_with_its_key(server: Server, named: dict[str, str]) -> None:
    response = server.token(signed(claims()), **named)
    assert server.outcome(response) == (200, None, "the client's own token")
    assert server.fake.journal[-1].client_id == "svc"
    decoded = jwt.decode(response.get_json()["access_token"], options={"verify_signature": False})
    assert decoded["sub"] == "svc"


@pytest.mark.parametrize("alg", SECRET_ALGORITHMS)
def test_a_client_signs_with_its_secret(alg: str) -> None:
    client = replace(MAC, client_secret=SECRET * 2)
    server = Server(clients=[client])
    response = server.token(signed(claims("mac"), SECRET * 2, alg))
    assert server.outcome(response) == (200, None, "the client's own token")


def test_the_secret_of_a_client_must_match(server: Server) -> None:
    response = server.token(signed(claims("mac"), SECRET[::-1], "HS256"))
    reason = "client_assertion: signature: not one of the client_secret with alg HS256"
    assert server.outcome(response) == (401, "invalid_client", reason)


@pytest.mark.parametrize(
    ("payload", "key", "alg", "reason"),
    [
        (claims("who"), KEY, "ES256", "client who unknown"),
        (claims(), SECRET, "HS256", "client svc not registered for client_secret_jwt"),
        (
            claims("mac"),
            KEY,
            "ES256",
            "client mac not registered for private_key_jwt: it has no jwks",
        ),
        (claims("off"), KEY, "ES256", "client off disabled"),
        (
            claims("app"),
            KEY,
            "ES256",
            "client app not registered for private_key_jwt: it has no jwks",
        ),
        (
            claims("basic"),
            KEY,
            "ES256",
            "client basic not registered for private_key_jwt",
        ),
    ],
)
def test_a_client_that_may_not_use_the_method_is_refused(
    payload: dict[str, Any], key: Any, alg: str, reason: str
) -> None:
    other = [
        replace(SVC, client_id="off", enabled=False),
        Client(client_id="app"),
        Client(
            client_id="basic",
            client_secret="s",
            jwks=JWKS,
            token_endpoint_auth_methods=["client_secret_basic"],
        ),
    ]
    server = Server(clients=[SVC, MAC, *other])
    response = server.token(signed(payload, key, alg))
    assert server.outcome(response) == (401, "invalid_client", reason)


def test_a_client_with_keys_is_confidential(server: Server) -> None:
    assert not SVC.is_public
    response = server.post({"grant_type": "client_credentials", "client_id": "svc"})
    assert server.outcome(response)[:2] == (401, "invalid_client")
    response = server.post(
        {"grant_type": "refresh_token", "client_id": "svc", "refresh_token": "x"}
    )
    reason = "client svc is confidential and sent no client_assertion"
    assert server.outcome(response) == (401, "invalid_client", reason)
    response = server.post({"grant_type": "client_credentials"}, headers=basic("svc", "x"))
    reason = "client svc not registered for client_secret_basic"
    assert server.outcome(response) == (401, "invalid_client", reason)


@pytest.mark.parametrize(
    ("client", "methods"),
    [
        (Client(client_id="a"), ["none"]),
        (Client(client_id="a", client_secret="s"), ["client_secret_basic", "client_secret_post"]),
        (SVC, ["private_key_jwt"]),
        (
            replace(SVC, client_secret="s"),
            ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        ),
        (MAC, ["client_secret_jwt"]),
    ],
)
def test_how_a_client_authenticates_unless_it_says_so(client: Client, methods: list[str]) -> None:
    assert list(client.auth_methods) == methods


# The request


@pytest.mark.parametrize(
    ("changes", "headers", "reason"),
    [
        (
            {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
            {},
            f"client_assertion_type: expected {CLIENT_ASSERTION_TYPE}, got "
            "'urn:ietf:params:oauth:client-assertion-type:saml2-bearer'",
        ),
        (
            {"client_assertion_type": ""},
            {},
            f"client_assertion_type: expected {CLIENT_ASSERTION_TYPE}, got None",
        ),
        ({"client_secret": "s"}, {}, "client_secret and client_assertion together"),
        ({}, basic("svc", "s"), "Authorization: Basic and client_assertion together"),
        ({"client_assertion": ["a", "b"]}, {}, "client_assertion sent 2 times"),
        (
            {"client_assertion_type": [CLIENT_ASSERTION_TYPE] * 2},
            {},
            "client_assertion_type sent 2 times",
        ),
        ({"client_id": ["svc", "svc"]}, {}, "client_id sent 2 times"),
    ],
)
def test_21_a_request_with_more_than_one_method_is_refused(
    server: Server, changes: dict[str, Any], headers: dict[str, str], reason: str
) -> None:
    form: dict[str, Any] = authenticated(signed(claims()), grant_type="client_credentials")
    response = server.post(form | changes, headers=headers)
    assert server.outcome(response) == (400, "invalid_request", reason)
    assert server.token(signed(claims())).status_code == 200, "nothing was used up"


@pytest.mark.parametrize(
    ("assertion", "reason"),
    [
        ("x", "client_assertion: not a JWT: not three segments"),
        (signed(claims(sub=None)), "client_assertion: sub: expected the client_id, got none"),
        (signed(claims(jti="é")) + "=", "client_assertion: signature: a segment is not base64url "),
    ],
)
def test_22_what_is_not_a_jwt_proves_nothing(server: Server, assertion: str, reason: str) -> None:
    status, error, told = server.outcome(server.token(assertion))
    assert (status, error) == (401, "invalid_client")
    assert (told or "").startswith(reason)


def test_22_the_body_must_name_the_client_of_the_assertion(server: Server) -> None:
    response = server.token(signed(claims("mac"), SECRET, "HS256"), client_id="svc")
    assert server.outcome(response)[:2] == (401, "invalid_client")
    response = server.token(signed(claims("mac")), client_id="svc")
    reason = "client_assertion: iss: expected 'svc', got 'mac'"
    assert server.outcome(response) == (401, "invalid_client", reason)


def test_22_a_client_needs_a_jti(server: Server) -> None:
    response = server.token(signed(claims(jti=None)))
    reason = "client_assertion: jti: expected a text that no other assertion has, got none"
    assert server.outcome(response) == (401, "invalid_client", reason)


# The rules of an assertion


def unsigned(header: dict[str, Any], payload: dict[str, Any]) -> str:
    segments = [json.dumps(header), json.dumps(payload), "signature"]
    return ".".join(urlsafe_b64encode(s.encode()).rstrip(b"=").decode() for s in segments)


ALLOWED = f"one of {', '.join(CLIENT_ALGORITHMS)}"


@pytest.mark.parametrize(
    ("assertion", "reason"),
    [
        (unsigned({"alg": "none"}, claims()), f"alg: expected {ALLOWED}, got 'none'"),
        (unsigned({"alg": ["ES256"]}, claims()), f"alg: expected {ALLOWED}, got ['ES256']"),
        (unsigned({}, claims()), f"alg: expected {ALLOWED}, got none"),
        (signed(claims(), SECRET, "HS256"), f"alg: expected {ALLOWED}, got 'HS256'"),
        (
            unsigned({"alg": "ES256", "crit": ["x"]}, claims()),
            "crit: this server understands no extension of the header",
        ),
        (signed(claims(iss="x")), "iss: expected 'svc', got 'x'"),
        (signed(claims(iss=None)), "iss: expected 'svc', got none"),
        (signed(claims(sub="x")), "sub: expected 'svc', got 'x'"),
        (
            signed(claims(aud="https://other.example")),
            f"aud: expected '{ISSUER}' or '{ISSUER}/token', got 'https://other.example'",
        ),
        (signed(claims(aud=None)), f"aud: expected '{ISSUER}' or '{ISSUER}/token', got none"),
        (signed(claims(aud=[])), f"aud: expected '{ISSUER}' or '{ISSUER}/token', got []"),
        (signed(claims(exp=None)), "exp: expected seconds since 1970, got none"),
        (
            unsigned({"alg": "ES256"}, claims(exp="soon")),
            "exp: expected seconds since 1970, got 'soon'",
        ),
        (
            unsigned({"alg": "ES256"}, claims(exp=True)),
            "exp: expected seconds since 1970, got True",
        ),
        (
            unsigned({"alg": "ES256"}, claims(exp=nan)),
            "not a JWT: NaN is not a number that JSON has",
        ),
        (signed(claims(exp=10**20)), "exp: expected seconds since 1970, got 100000000000000000000"),
        (signed(claims(exp=NOW)), f"exp: expired 0 s ago; {CLOCK}"),
        (signed(claims(exp=NOW - 30)), f"exp: expired 30 s ago; {CLOCK}"),
        (
            signed(claims(exp=NOW + 3601)),
            f"exp: expected at most 3600 s from now, got 3601 s; {CLOCK}",
        ),
        (signed(claims(nbf=NOW + 5)), f"nbf: 5 s in the future; {CLOCK}"),
        (signed(claims(iat=NOW + 5)), f"iat: 5 s in the future; {CLOCK}"),
        (signed(claims(jti=None)), "jti: expected a text that no other assertion has, got none"),
        (
            unsigned({"alg": "ES256"}, claims(jti=7)),
            "jti: expected a text that no other assertion has, got 7",
        ),
        (
            unsigned({"alg": "ES256"}, claims(jti="")),
            "jti: expected a text that no other assertion has, got ''",
        ),
        (signed(claims(), kid="k2"), "kid: expected that of a registered key: 'k1', got 'k2'"),
        (
            unsigned({"alg": "ES256", "kid": ["k1"]}, claims()),
            "kid: expected that of a registered key: 'k1', got ['k1']",
        ),
        (
            unsigned({"alg": "RS256"}, claims()),
            "alg: no registered key can verify RS256",
        ),
        (
            signed(claims(), STRANGER),
            "signature: not one of the registered keys with alg ES256",
        ),
        (
            signed(claims(aud="x" * 300)),
            f"aud: expected '{ISSUER}' or '{ISSUER}/token', got {shown('x' * 300)}",
        ),
    ],
)
def test_22_an_assertion_that_breaks_a_rule_names_it(assertion: str, reason: str) -> None:
    with pytest.raises(InvalidAssertionError) as caught:
        verify(read(assertion), RIGHT, NOW)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "payload",
    [
        claims(exp=NOW + 3600),
        claims(nbf=NOW, iat=None),
        claims(aud=f"{ISSUER}/token"),
        claims(aud=["x", ISSUER]),
        claims(exp=NOW + 0.5),
    ],
)
def test_a_right_assertion_is_believed(payload: dict[str, Any]) -> None:
    verify(read(signed(payload)), RIGHT, NOW)


def test_without_a_kid_every_fitting_key_is_tried() -> None:
    other = ECAlgorithm.to_jwk(STRANGER.public_key(), as_dict=True)
    edwards = Ed25519PrivateKey.generate()
    keys = [
        {**JWK, "use": "enc", "kid": "e"},
        {**other, "kid": "o"},
        OKPAlgorithm.to_jwk(edwards.public_key(), as_dict=True),
        JWK,
    ]
    required = replace(RIGHT, keys=keys)
    verify(read(jwt.encode(claims(), KEY, "ES256")), required, NOW)
    verify(read(signed(claims(), edwards, "EdDSA", kid="any")), required, NOW)
    with pytest.raises(InvalidAssertionError, match="alg: no registered key can verify ES256"):
        verify(read(signed(claims(), kid="e")), replace(required, keys=keys[:1]), NOW)


def test_an_elliptic_curve_belongs_to_one_algorithm() -> None:
    key = generate_private_key(SECP384R1())
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    verify(read(signed(claims(), key, "ES384")), replace(RIGHT, keys=[jwk]), NOW)
    forged = unsigned({"alg": "ES256"}, claims())
    with pytest.raises(InvalidAssertionError, match="alg: no registered key can verify ES256"):
        verify(read(forged), replace(RIGHT, keys=[jwk]), NOW)


# The audience


@pytest.mark.parametrize(
    ("aud", "path", "is_any", "is_issuer"),
    [
        (ISSUER, "/token", True, True),
        ([ISSUER], "/token", True, True),
        ([ISSUER, "x"], "/token", True, False),
        (f"{ISSUER}/token", "/token", True, False),
        (f"{ISSUER}/token", "/revoke", True, False),
        (f"{ISSUER}/revoke", "/revoke", True, False),
        (f"{ISSUER}/introspect", "/introspect", True, False),
        (f"{ISSUER}/introspect", "/revoke", False, False),
        (f"{ISSUER}/revoke", "/token", False, False),
    ],
)
def test_the_audience_is_the_issuer_or_an_endpoint(
    aud: Any, path: str, *, is_any: bool, is_issuer: bool
) -> None:
    form = authenticated(signed(claims(aud=aud)), grant_type="client_credentials", token="x")
    server = Server()
    assert (server.post(form, path).status_code == 200) == is_any
    has_note = "stricter servers require the issuer alone" in (server.fake.journal[-1].reason or "")
    assert has_note == (is_any and not is_issuer)
    strict = Server(assertion_audience="issuer")
    assert (strict.post(form, path).status_code == 200) == is_issuer
    if not is_issuer:
        assert f"aud: expected '{ISSUER}' alone, got" in (strict.fake.journal[-1].reason or "")


def test_the_note_of_an_audience_says_what_it_is() -> None:
    assert audience_note(read(signed(claims())), ISSUER) is None
    assert audience_note(read(signed(claims(aud="x"))), ISSUER) == (
        "the aud of the client assertion is 'x', and stricter servers require the issuer alone"
    )


# Replay


def test_a_jti_is_used_once_until_it_expires(server: Server) -> None:
    assertion = signed(claims())
    assert server.token(assertion).status_code == 200
    server.fake.clock.advance(7)
    reason = (
        "client_assertion: jti: '1' was used 7 s ago; each request needs a new assertion, and so "
        "does a retry"
    )
    assert server.outcome(server.token(assertion)) == (401, "invalid_client", reason)
    again = signed(claims(exp=NOW + 300))
    assert server.outcome(server.token(again)) == (401, "invalid_client", reason)
    server.fake.clock.advance(53)
    assert server.token(again).status_code == 200, "the first one has expired"


def test_a_jti_belongs_to_its_client() -> None:
    server = Server(clients=[SVC, replace(SVC, client_id="svc2")])
    assert server.token(signed(claims())).status_code == 200
    assert server.token(signed(claims("svc2"))).status_code == 200


def test_a_wrong_signature_uses_up_nothing(server: Server) -> None:
    assert server.token(signed(claims(), STRANGER)).status_code == 401
    assert server.token(signed(claims())).status_code == 200


def test_a_refused_grant_has_used_up_the_assertion(server: Server) -> None:
    assertion = signed(claims())
    assert server.token(assertion, scope="nope").get_json()["error"] == "invalid_scope"
    assert server.token(assertion).get_json()["error"] == "invalid_client"


def test_a_scripted_refusal_uses_up_nothing(server: Server) -> None:
    server.fake.script(faults.Status(503))
    assertion = signed(claims())
    assert server.token(assertion).status_code == 503
    assert server.token(assertion).status_code == 200


def test_of_32_requests_with_one_jti_one_is_granted(server: Server) -> None:
    assertion = signed(claims())
    with ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(lambda _: server.token(assertion).status_code, range(32)))
    assert sorted(statuses) == [200] + [401] * 31


def test_a_bounded_number_of_ids_is_remembered() -> None:
    ids = UsedIds()
    for index in range(KEPT_IDS + 10):
        assert ids.use("a", str(index), 100, 0) is None
    assert len(ids) == KEPT_IDS
    assert ids.use("a", str(KEPT_IDS), 100, 5) == 0
    assert ids.use("a", "0", 100, 5) is None, "forgotten"
    assert ids.use("a1", "1", 100, 5) is None
    assert ids.use("a", "11", 100, 5) is None, "forgotten, and not the one of another issuer"


def test_an_id_that_is_used_again_after_its_end_is_young_again() -> None:
    ids = UsedIds()
    assert ids.use("a", "x", 10, 0) is None
    for index in range(KEPT_IDS - 1):
        ids.use("a", str(index), 100, 1)
    assert ids.use("a", "x", 100, 10) is None
    ids.use("a", "one more", 100, 11)
    assert ids.use("a", "x", 100, 12) == 10


# Everywhere


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect"])
def test_every_endpoint_of_clients_reads_assertions(server: Server, path: str) -> None:
    form = {"grant_type": "client_credentials", "token": "x"}
    assert server.post(authenticated(signed(claims()), **form), path).status_code == 200
    response = server.post(authenticated(signed(claims()), **form), path)
    assert server.outcome(response)[:2] == (401, "invalid_client")
    assert server.fake.journal[-1].cause == "client_assertion"


def test_a_code_and_a_refresh_token_need_an_assertion_each() -> None:
    client = replace(SVC, redirect_uris=["https://app.example/cb"])
    server = Server(clients=[client], refresh_policy="rotate")
    code = server.fake.issue_code()
    form = {"grant_type": "authorization_code", "code": code}
    tokens = server.post(authenticated(signed(claims()), **form)).get_json()
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert server.outcome(server.post(form))[:2] == (401, "invalid_client")
    assert server.post({**form, "client_id": "svc"}).status_code == 401
    response = server.post(authenticated(signed(claims(jti="2")), **form))
    assert response.status_code == 200


def test_the_journal_hides_assertions(server: Server) -> None:
    assertion = signed(claims())
    server.token(assertion)
    line = str(server.fake.journal)
    assert "client_assertion=***" in line
    assert assertion not in line
    assert f"client_assertion_type={CLIENT_ASSERTION_TYPE}" in line


def test_an_assertion_in_the_url_is_a_violation(server: Server) -> None:
    Browser(server.fake).post("/token?client_assertion=x")
    assert "client_assertion" in server.fake.violations()[0].text


def test_the_metadata_name_methods_and_algorithms() -> None:
    names = [
        f"{endpoint}_endpoint_auth_signing_alg_values_supported"
        for endpoint in ("token", "revocation", "introspection")
    ]
    plain = Server(clients=[Client(client_id="a", client_secret="s")]).fake.metadata()
    assert not set(names) & set(plain)
    for clients, methods, algorithms in (
        ([SVC], ["private_key_jwt"], list(CLIENT_ALGORITHMS)),
        ([MAC], ["client_secret_jwt"], list(SECRET_ALGORITHMS)),
        (
            [SVC, MAC],
            ["client_secret_jwt", "private_key_jwt"],
            [*CLIENT_ALGORITHMS, *SECRET_ALGORITHMS],
        ),
    ):
        metadata = Server(clients=clients).fake.metadata()
        assert metadata["token_endpoint_auth_methods_supported"] == methods
        assert [metadata[name] for name in names] == [algorithms] * 3
        assert "none" not in algorithms

    class Small(RFC):
        paths = {name: RFC.paths[name] for name in ("token", "login")}  # noqa: RUF012

    assert [name in Server(dialect=Small).fake.metadata() for name in names] == [True, False, False]


def test_openapi_has_the_parameters_where_they_are_read() -> None:
    for dialect, reads in (("rfc", True), ("ciam", False)):
        described = document("http://localhost", DIALECTS[dialect])
        for endpoint in ("token", "revoke"):
            body = described["paths"][DIALECTS[dialect].paths[endpoint]]["post"]["requestBody"]
            members = body["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]
            assert ({"client_assertion", "client_assertion_type"} <= set(members)) == reads


# Servers that do not read them


def test_a_server_that_does_not_read_a_proof_says_so() -> None:
    fake = FakeOAuth(Settings())
    form = authenticated("x.y.z", grant_type="refresh_token", refresh_token="MOCK_REFRESH_TOKEN")
    browser = Browser(fake)
    note = "client_assertion is not read: this server does not know it"
    assert browser.post("/oauth2/token", data=form).status_code == 401
    assert fake.journal[-1].reason == f"no client credentials; {note}"
    header = basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")
    assert browser.post("/oauth2/token", data=form, headers=header).status_code == 200
    assert fake.journal[-1].reason == f"refreshed, same refresh token; {note}"


def test_a_dpop_proof_that_is_not_read_is_noted() -> None:
    fake = FakeOAuth(Settings())
    browser = Browser(fake)
    note = "the DPoP header is not read: this server does not know it"
    assert browser.get("/userinfo", headers={"DPoP": "x"}).status_code == 400
    assert (fake.journal[-1].reason or "").endswith(f"; {note}")
    assert browser.get("/oauth2/jwks", headers={"DPoP": "x"}).status_code == 200
    assert fake.journal[-1].reason == f"public keys; {note}"


def test_a_dialect_can_do_without_assertions() -> None:
    class Plain(RFC):
        reads_assertions = False

    server = Server(dialect=Plain, clients=[Client(client_id="svc")])
    assert server.token(signed(claims())).status_code == 401
    assert "client_assertion is not read" in (server.fake.journal[-1].reason or "")


# Settings


def problems(*clients: Client, **settings: Any) -> list[str]:
    found = Settings(dialect="rfc", clients=clients, refresh_tokens=[], **settings).problems()
    return [str(problem).removeprefix("$.clients[0].") for problem in found]


def test_keys_and_methods_are_checked() -> None:
    known = ", ".join(CLIENT_ALGORITHMS)
    wrong = f"not a public key as a JWK; expected a key for one of {known}"
    keys = [
        JWK,
        {"kty": "EC"},
        "x",
        {**JWK, "d": "x"},
        {"kty": "oct", "k": "x"},
        {**JWK, "alg": "HS256"},
    ]
    assert problems(Client(client_id="a", jwks={"keys": keys})) == [
        f"jwks.keys[1]: {wrong}",
        "jwks.keys[2]: expected a table with the members of a JWK, got 'x'",
        "jwks.keys[3]: the key is not public; leave out d",
        "jwks.keys[4]: the key is not public; leave out k",
        f"jwks.keys[5]: {wrong}",
    ]
    assert problems(Client(client_id="a", jwks={})) == [
        "jwks.keys: expected a list of JWKs, got None"
    ]
    assert problems(Client(client_id="a", jwks={"keys": []})) == [
        "jwks.keys: expected a list of JWKs, got []"
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"token_endpoint_auth_methods": ["private_key_jwt"]},
            "token_endpoint_auth_methods[0]: private_key_jwt requires jwks; add the client's keys",
        ),
        (
            {"token_endpoint_auth_methods": ["client_secret_jwt"]},
            "token_endpoint_auth_methods[0]: client_secret_jwt requires a client_secret; add it",
        ),
        (
            {
                "jwks": JWKS,
                "token_endpoint_auth_methods": ["private_key_jwt", "client_secret_post"],
            },
            "token_endpoint_auth_methods[1]: client_secret_post requires a client_secret; add it",
        ),
        (
            {"client_secret": "short", "token_endpoint_auth_methods": ["client_secret_jwt"]},
            "client_secret: expected at least 32 bytes for client_secret_jwt (RFC 7518 section "
            "3.2), got 5",
        ),
        ({"jwks": "x"}, "jwks: expected a table, got 'x'"),
    ],
)
def test_a_method_needs_its_secret_or_key(changes: dict[str, Any], problem: str) -> None:
    assert problems(Client(client_id="a", **changes)) == [problem]


def test_a_public_client_may_list_what_it_does_not_need() -> None:
    assert not problems(Client(client_id="a", token_endpoint_auth_methods=["client_secret_post"]))


@pytest.mark.parametrize(
    ("client", "problem"),
    [
        (
            SVC,
            "$.clients[0].jwks: the dialect ciam does not read JWTs of clients (private_key_jwt)",
        ),
        (
            MAC,
            "$.clients[0].token_endpoint_auth_methods: the dialect ciam does not read JWTs of "
            "clients (client_secret_jwt)",
        ),
    ],
)
def test_a_server_that_reads_no_assertions_has_no_client_that_needs_them(
    client: Client, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        FakeOAuth(Settings(clients=[client], refresh_tokens=[]))
    assert [str(found) for found in caught.value.problems] == [problem]


def test_keys_can_be_written_in_toml_and_sent_as_json(tmp_path: Any) -> None:
    path = tmp_path / "settings.toml"
    members = ", ".join(f'{name} = "{value}"' for name, value in JWK.items())
    path.write_text(
        f'dialect = "rfc"\nissuer = "{ISSUER}"\nassertion_audience = "issuer"\n'
        f"refresh_tokens = []\nstart_time = {NOW}\nfreeze_time = true\ncontrol = true\n"
        f'[[clients]]\nclient_id = "svc"\njwks = {{ keys = [{{ {members} }}] }}\n'
    )
    fake = FakeOAuth(Settings.from_toml(path))
    form = authenticated(signed(claims()), grant_type="client_credentials")
    assert Browser(fake).post("/token", data=form).status_code == 200
    listed = Browser(fake).get("/_fake/clients").get_json()["clients"]
    assert listed == [{"client_id": "svc", "jwks": JWKS}]
    listed[0]["client_id"] = "svc2"
    assert Browser(fake).put("/_fake/clients", json={"clients": listed}).status_code == 200
    form = authenticated(signed(claims("svc2")), grant_type="client_credentials")
    assert Browser(fake).post("/token", data=form).status_code == 200
