"""Requests that are right but for one thing: each gets an answer, and the right one still works.

A JWT has one header parameter or claim changed and is signed again, so that it passes every check
before that of the change. Registrations and documents have one member changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import get_default_algorithms
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, Settings, TrustedIssuer, User
from fake_oauth.provider import registration
from fake_oauth.provider.client_metadata import MEMBERS
from fake_oauth.provider.errors import ShownError
from fake_oauth.provider.keys import shipped_key
from tests.support.assertions import JWK, JWKS, JWT_BEARER, authenticated
from tests.support.assertions import KEY as CLIENT_KEY
from tests.support.dpop import NOW, Key, base64url

ISSUER = "https://issuer.example"
IDP = "https://idp.example"
CALLBACK = "https://app.example/callback"
URL = "https://app.example/client.json"
TYPES = "urn:ietf:params:oauth:token-type:"
EVIL = "\"'><script>alert(1)</script>\r\nX-Evil: 1"
PROVER = Key()
SETTINGS = Settings(
    clients=[
        Client(client_id="svc", jwks=JWKS, scopes=["openid"], redirect_uris=[CALLBACK]),
        Client(client_id="web", client_secret="s", redirect_uris=[CALLBACK], scopes=["openid"]),
    ],
    users=[User(sub="u-alice", username="alice")],
    refresh_tokens=[],
    trusted_issuers=[TrustedIssuer(issuer=IDP, jwks=JWKS, client="web")],
    issuer=ISSUER,
    seed=0,
    start_time=NOW,
    freeze_time=True,
)
DIALECTS = ("rfc", "mcp")
WEB = {"client_id": "web", "client_secret": "s"}
CODE = {"response_type": "code", "redirect_uri": CALLBACK, "scope": "openid"}
S256 = {"code_challenge": "x" * 43, "code_challenge_method": "S256"}

Document = Mapping[str, Any]
Sign = Callable[[bytes], bytes]


def algorithm(alg: str, key: Any) -> Sign:
    made: Any = get_default_algorithms()[alg]
    return lambda data: bytes(made.sign(data, key))


sign_as_client = algorithm("ES256", CLIENT_KEY)
sign_as_server = shipped_key("signing").sign
sign_proof = algorithm("ES256", PROVER.private)


def jws(header: object, claims: object, sign: Sign) -> str:
    """Return a JWT, whatever its header and claims are; bytes are its text."""
    texts = [
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)
    ]
    signed = ".".join(map(base64url, texts))
    return f"{signed}.{base64url(sign(signed.encode()))}"


SCALARS = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1.5, float("nan"), float("inf"), float("-inf")),
        *(10**400, -(10**400), 1e300, 2**63, NOW, NOW + 60),
        *("", " ", "x", "\ud800", "\0", "a\nb", "\u202e", EVIL, "9" * 3000, "none", "RS256", "RSA"),
        *(ISSUER, IDP, "svc", "web", "u-alice", "a b", CALLBACK, "http://[", "javascript:1", "AQ"),
        *("private_key_jwt", "client_secret_jwt", "client_credentials", "refresh_token", "code"),
    ]
)
NAMES = st.sampled_from(["a", "keys", "kty", "sub", "jkt", "act", "\ud800", "n", "x", "alg", "kid"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.sampled_from([JWK, JWKS, PROVER.jwk, {**PROVER.jwk, "x": 7}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
DEEP: Final = b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


def refuse(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON (RFC 8259 section 6)")


class Server:
    """A server, and the right requests to it."""

    def __init__(self, dialect: str) -> None:
        self.fake = FakeOAuth(SETTINGS.changed(dialect=dialect))
        self.issued = self.fake.issue_tokens(client="web")
        self.path = self.fake.dialect.paths

    def send(self, endpoint: str, method: str = "POST", **options: Any) -> TestResponse:
        """Return the response, which is one of the contract and has its reason in the journal."""
        response = Browser(self.fake).open(self.path[endpoint], method=method, **options)
        assert response.status_code in {200, 201, 302, 400, 401, 403}
        assert "no-store" in response.headers["Cache-Control"]
        assert not any("\n" in value or "\r" in value for _, value in response.headers)
        if response.mimetype == "application/json":
            json.loads(response.data, parse_constant=refuse)
        else:
            assert "<script>alert" not in response.text
        exchange = self.fake.journal[-1]
        assert exchange.status == response.status_code
        assert exchange.reason
        assert str(exchange).isprintable()
        return response

    def decoded(self, token: str) -> tuple[Document, Document]:
        """Return the header and the claims of a token of the server."""
        read = jwt.decode(token, options={"verify_signature": False})
        return jwt.get_unverified_header(token), read


# What is changed, by name: its right header and claims, and how they are sent.

ASSERTION_HEADER = {"alg": "ES256", "kid": "k1", "typ": "JWT"}


def client_assertion(header: object, claims: object, of: Server) -> Iterator[TestResponse]:
    sent = authenticated(jws(header, claims, sign_as_client))
    yield of.send("token", data={**sent, "grant_type": "client_credentials"})
    yield of.send("introspect", data={**sent, "token": "x"})
    yield of.send("revoke", data={**sent, "token": "x"})
    yield of.send("device_authorization", data=sent)
    yield of.send("pushed_authorization_request", data={**sent, **CODE})


def bearer_assertion(header: object, claims: object, of: Server) -> Iterator[TestResponse]:
    sent = {"grant_type": JWT_BEARER, "assertion": jws(header, claims, sign_as_client)}
    yield of.send("token", data={**WEB, **sent})
    yield of.send("token", data=sent)


def proof(header: object, claims: object, of: Server) -> Iterator[TestResponse]:
    headers = {"DPoP": jws(header, claims, sign_proof)}
    yield of.send("token", data={**WEB, "grant_type": "client_credentials"}, headers=headers)
    yield of.send("pushed_authorization_request", data={**WEB, **CODE, **S256}, headers=headers)
    headers["Authorization"] = f"DPoP {of.issued.access_token}"
    for endpoint in ("userinfo", "resource"):
        yield of.send(endpoint, "GET", headers=headers)


def exchanged(of: Server, **tokens: str) -> Iterator[TestResponse]:
    form = {**WEB, "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", **tokens}
    for wanted in ("access_token", "id_token"):
        response = of.send("token", data={**form, "requested_token_type": f"{TYPES}{wanted}"})
        yield response
        if response.status_code == 200:
            yield of.send("introspect", data={**WEB, "token": response.get_json()["access_token"]})


def access_token(header: object, claims: object, of: Server) -> Iterator[TestResponse]:
    token = jws(header, claims, sign_as_server)
    for endpoint in ("userinfo", "resource"):
        for scheme in ("Bearer", "DPoP"):
            yield of.send(endpoint, "GET", headers={"Authorization": f"{scheme} {token}"})
    for endpoint in ("introspect", "revoke"):
        yield of.send(endpoint, data={**WEB, "token": token})
    for kind in ("access_token", "jwt"):
        named = {"subject_token": token, "subject_token_type": f"{TYPES}{kind}"}
        yield from exchanged(of, **named)
        named = {"subject_token": of.issued.access_token, "subject_token_type": f"{TYPES}jwt"}
        yield from exchanged(of, **named, actor_token=token, actor_token_type=f"{TYPES}{kind}")


def id_token(header: object, claims: object, of: Server) -> Iterator[TestResponse]:
    token = jws(header, claims, sign_as_server)
    for kind in ("id_token", "jwt"):
        yield from exchanged(of, subject_token=token, subject_token_type=f"{TYPES}{kind}")
    query = {"id_token_hint": token, "state": EVIL}
    yield of.send("authorize", "GET", query_string={"client_id": "web", **CODE, **S256, **query})
    yield of.send("end_session", "GET", query_string=query)
    yield of.send("end_session", data={**query, "client_id": "web"})


Send = Callable[[object, object, Server], Iterator[TestResponse]]


def of_client(issuer: str, subject: str) -> Document:
    times = {"exp": NOW + 60, "iat": NOW, "nbf": NOW}
    return {"iss": issuer, "sub": subject, "aud": ISSUER, "jti": "1", **times}


JWTS: Final[Mapping[str, tuple[Send, Callable[[Server], tuple[Document, Document]]]]] = {
    "client assertion": (client_assertion, lambda _: (ASSERTION_HEADER, of_client("svc", "svc"))),
    "assertion": (
        bearer_assertion,
        lambda _: (ASSERTION_HEADER, {**of_client(IDP, "alice"), "scope": "openid"}),
    ),
    "proof": (
        proof,
        lambda of: (
            {"alg": "ES256", "typ": "dpop+jwt", "jwk": PROVER.jwk},
            {
                "jti": "1",
                "htm": "POST",
                "htu": ISSUER + of.path["token"],
                "iat": NOW,
                "nonce": "n",
                "ath": "x",
            },
        ),
    ),
    "access token": (access_token, lambda of: of.decoded(of.issued.access_token)),
    "ID token": (id_token, lambda of: of.decoded(str(of.issued.id_token))),
}
MORE: Final = {
    0: ("alg", "typ", "kid", "crit", "jwk", "x5c", "b64"),
    1: ("act", "may_act", "cnf", "scope", "client_id", "azp", "nbf", "auth_time", "aud"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", JWTS)
def test_a_right_jwt_is_accepted(dialect: str, name: str) -> None:
    send, right = JWTS[name]
    of = Server(dialect)
    assert next(send(*right(of), of)).status_code == 200


ODD: Final[tuple[Any, ...]] = (
    *(None, True, -1, float("nan"), float("inf"), 10**400, "", "\ud800", EVIL, "9" * 3000),
    *([], [None], [1, {}], [["web"]], {}, {"jkt": 7}, {"sub": []}),
)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", JWTS)
@pytest.mark.parametrize("index", [0, 1], ids=["header", "claims"])
def test_a_jwt_with_an_odd_member_gets_an_answer(dialect: str, name: str, index: int) -> None:
    of = Server(dialect)
    send, right = JWTS[name]
    parts = right(of)
    for member in dict.fromkeys([*parts[index], *MORE[index]]):
        for value in ODD:
            sent: list[object] = [*parts]
            sent[index] = {**parts[index], member: value}
            assert list(send(sent[0], sent[1], of))
    require_right(name, of)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", JWTS)
@pytest.mark.parametrize("index", [0, 1], ids=["header", "claims"])
def test_a_jwt_that_is_no_json_object_gets_an_answer(dialect: str, name: str, index: int) -> None:
    of = Server(dialect)
    send, right = JWTS[name]
    for text in (DEEP, b"[]", b"7", b"\xff", b"", b'{"a":1,"a":1}', b'{"exp":1e999}'):
        sent: list[object] = [*right(of)]
        sent[index] = text
        assert {answer.status_code for answer in send(sent[0], sent[1], of)} <= {
            200,
            302,
            400,
            401,
            403,
        }
    require_right(name, of)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", JWTS)
@given(st.data())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_jwt_with_one_change_gets_an_answer(dialect: str, name: str, data: st.DataObject) -> None:
    of = Server(dialect)
    send, right = JWTS[name]
    parts = right(of)
    index = data.draw(st.integers(0, 1))
    member = data.draw(st.sampled_from([*parts[index], *MORE[index]]))
    sent: list[object] = [*parts]
    sent[index] = {**parts[index], member: data.draw(VALUES)}
    assert list(send(sent[0], sent[1], of))
    require_right(name, of)


def require_right(name: str, of: Server) -> None:
    """Check that the right request still works: nothing else has used up what it needs."""
    send, right = JWTS[name]
    header, claims = right(of)
    if name not in ("access token", "ID token"):
        claims = {**claims, "jti": "another"}
    assert next(send(header, claims, of)).status_code == 200


JWK_MEMBERS = [*PROVER.jwk, "d", "alg", "use", "key_ops", "kid", "x5c", "n", "e", "k"]


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
@given(member=st.sampled_from(JWK_MEMBERS), value=VALUES | st.text(max_size=60))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_a_proof_with_another_key_gets_an_answer(alg: str, member: str, value: Any) -> None:
    of, key = Server("rfc"), Key(alg)
    header = {"alg": alg, "typ": "dpop+jwt", "jwk": {**key.jwk, member: value}}
    claims = {"jti": "1", "htm": "POST", "htu": ISSUER + of.path["token"], "iat": NOW}
    sent = jws(header, claims, algorithm(alg, key.private))
    form = {**WEB, "grant_type": "client_credentials"}
    of.send("token", data=form, headers={"DPoP": sent})
    keys = {"keys": [{**key.jwk, member: value}]}
    document = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt"}
    Server("mcp").send("register", json={**document, "jwks": keys})


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("times", [2, 3, 500])
def test_a_proof_that_is_sent_several_times_is_refused(dialect: str, times: int) -> None:
    of = Server(dialect)
    form = {**WEB, "grant_type": "client_credentials"}
    one = PROVER.proof(ISSUER + of.path["token"])
    response = of.send("token", data=form, headers={"DPoP": ", ".join([one] * times)})
    assert response.get_json()["error"] == "invalid_dpop_proof"
    assert of.send("token", data=form, headers={"DPoP": one}).status_code == 200


# Registrations, and documents of clients

RIGHT: Final[Document] = {
    "client_name": "App",
    "redirect_uris": [CALLBACK],
    "post_logout_redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token"],
    "token_endpoint_auth_method": "none",
}
METADATA = st.sampled_from([*MEMBERS, "software_statement", "client_id", "client_secret", "x"])


def visit(of: Server, client_id: str, redirect_uri: str) -> None:
    """Let a browser do all that it can with a client, and check each page."""
    asked = {"client_id": client_id, "response_type": "code", "state": EVIL, "login_hint": EVIL}
    query = {**asked, **S256, "redirect_uri": redirect_uri}
    for mode in ("query", "fragment", "form_post"):
        browser = Browser(of.fake)
        shown = browser.get(of.path["authorize"], query_string={**query, "response_mode": mode})
        assert shown.status_code in {200, 302, 400}
        assert "<script>alert" not in shown.text
        p_state = dict(parse_qsl(urlsplit(shown.headers.get("Location", "")).query)).get("p_state")
        if p_state is None:
            continue
        pages = [
            browser.get(of.path["login"], query_string={"p_state": p_state}),
            browser.post(of.path["login"], data={"p_state": p_state, "username": EVIL}),
            browser.post(of.path["login"], data={"p_state": p_state, "sub": "u-alice"}),
        ]
        for page in pages:
            assert page.status_code in {200, 302, 400}
            assert "<script>alert" not in page.text
            assert not any("\n" in value or "\r" in value for _, value in page.headers)
            policy = page.headers.get("Content-Security-Policy", "")
            assert page.status_code == 302 or policy.startswith("default-src 'none'; ")
            assert "alert" not in policy
        asked_to_leave = {"client_id": client_id, "post_logout_redirect_uri": redirect_uri}
        left = browser.get(of.path["end_session"], query_string={**asked_to_leave, "state": EVIL})
        assert "<script>alert" not in left.text


@given(
    member=METADATA,
    value=VALUES,
    keys=st.sampled_from([{}, {"jwks": JWKS, "token_endpoint_auth_method": "private_key_jwt"}]),
)
@settings(max_examples=250, deadline=None, derandomize=True)
def test_a_registration_with_one_change_gets_an_answer(
    member: str, value: Any, keys: Document
) -> None:
    of = Server("mcp")
    response = of.send(
        "register",
        data=json.dumps({**RIGHT, **keys, member: value}),
        content_type="application/json",
    )
    if response.status_code == 201:
        members = response.get_json()
        visit(of, members["client_id"], (members.get("redirect_uris") or [CALLBACK])[0])
    else:
        assert response.get_json()["error"] in {
            "invalid_client_metadata",
            "invalid_redirect_uri",
            "invalid_software_statement",
        }
    assert of.send("register", json=RIGHT).status_code == 201


@pytest.mark.parametrize("document", [None, True, 7, "x", [], [RIGHT], "\ud800", {}])
def test_a_registration_that_is_not_client_metadata_is_refused(document: Any) -> None:
    response = Server("mcp").send("register", json=document)
    assert response.status_code == 400


@pytest.mark.parametrize("body", [DEEP, b"", b"\xff", b"{", b'{"a":NaN}', b'{"a":1e9999', b"[" * 9])
def test_a_registration_that_is_not_json_is_refused(body: bytes) -> None:
    response = Server("mcp").send("register", data=body, content_type="application/json")
    assert response.get_json()["error"] == "invalid_client_metadata"


@given(member=METADATA, value=VALUES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_document_with_one_change_gets_an_answer(member: str, value: Any) -> None:
    of = Server("mcp")
    realm = of.fake._realm
    body = json.dumps({**RIGHT, "client_id": URL, member: value}).encode()
    realm.fetch = lambda _: body
    try:
        registration.described(realm, URL)
    except ShownError:
        query = {"client_id": URL, **CODE, **S256}
        assert of.send("authorize", "GET", query_string=query).status_code == 400
        return
    uris = realm.clients[URL].redirect_uris
    visit(of, URL, uris[0] if uris else CALLBACK)


# What belongs to somebody else, or is one of many


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_belongs_to_another_client_is_refused_and_stays(dialect: str) -> None:
    of = Server(dialect)
    pushed = of.send("pushed_authorization_request", data={**WEB, **CODE, **S256}).get_json()
    query = {"request_uri": pushed["request_uri"]}
    for client_id in ("svc", "unknown", EVIL, ""):
        sent = {**query, "client_id": client_id}
        assert of.send("authorize", "GET", query_string=sent).status_code == 400
    device = of.send("device_authorization", data=WEB).get_json()
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    of.fake.approve_device(device["user_code"])
    form = {"grant_type": grant, "device_code": device["device_code"]}
    assertion = jws(ASSERTION_HEADER, of_client("svc", "svc"), sign_as_client)
    refused = of.send("token", data={**form, **authenticated(assertion)})
    assert refused.get_json()["error"] == "invalid_grant"
    assert of.send("token", data={**form, **WEB}).status_code == 200
    assert (
        of.send("authorize", "GET", query_string={**query, "client_id": "web"}).status_code == 302
    )


@pytest.mark.parametrize("dialect", DIALECTS)
@given(st.text(max_size=30) | st.sampled_from([EVIL, "\u00df" * 300, "-", "WDJB-MJHT", "x" * 5000]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_user_code_gets_a_page(dialect: str, user_code: str) -> None:
    of = Server(dialect)
    sent = {"user_code": user_code.encode(errors="replace").decode(), "sub": "u-alice"}
    for page in (of.send("device", "GET", query_string=sent), of.send("device", data=sent)):
        assert page.status_code in {200, 400}
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; ")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_thousand_resources_get_an_answer(dialect: str) -> None:
    of = Server(dialect)
    many = [f"https://api.example/{index}" for index in range(1000)]
    query = {"client_id": "web", **CODE, **S256, "resource": many}
    assert of.send("authorize", "GET", query_string=query).status_code == 302
    form = {**WEB, "grant_type": "client_credentials", "resource": many}
    assert of.send("token", data=form).get_json()["error"] == "invalid_request"
    form["resource"] = many[:90]
    assert of.send("token", data=form).status_code == 200
