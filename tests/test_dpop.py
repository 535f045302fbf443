"""DPoP (RFC 9449): proofs, bound tokens, nonces, and replays."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from werkzeug.test import Client as WSGIClient
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, ProtectedResource, Settings, SettingsError, faults
from fake_oauth.dialects import CIAM, DIALECTS, RFC
from fake_oauth.provider import dpop
from fake_oauth.provider.dpop import ProofMemory, ProofRules, proven_key
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.grants.device_code import DEVICE_CODE
from fake_oauth.provider.grants.token_exchange import TOKEN_EXCHANGE
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.keys import ALGORITHMS
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import SentProof
from tests.support.client import claims, over_socket
from tests.support.dpop import NOW, Key, base64url
from tests.support.realms import realm

ISSUER = "https://issuer.example"
TOKEN, USERINFO, RESOURCE = (f"{ISSUER}/{name}" for name in ("token", "userinfo", "resource"))
KEY, OTHER = Key(), Key(number=2)
BASIC = ("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")
PUBLIC = Client(client_id="app", redirect_uris=("https://app.example/cb",))
CODE = {"redirect_uri": "https://app.example/cb", "code_verifier": "v" * 43}
CHALLENGE = base64url(sha256(CODE["code_verifier"].encode()).digest())


def server(**changes: Any) -> FakeOAuth:
    """Return a fake of `rfc` with a frozen clock."""
    fixed = {"dialect": "rfc", "issuer": ISSUER, "start_time": NOW, "freeze_time": True, "seed": 0}
    return FakeOAuth(Settings(**{**fixed, **changes}))


def rules() -> Realm:
    return realm(dialect=DIALECTS["rfc"])


def post(
    fake: FakeOAuth, proof: str | None = None, *, auth: Any = BASIC, **data: str
) -> TestResponse:
    """Post to the token endpoint, with a proof; by default a refresh."""
    form = data or {"grant_type": "refresh_token", "refresh_token": "MOCK_REFRESH_TOKEN"}
    headers = {} if proof is None else {"DPoP": proof}
    return WSGIClient(fake).post("/token", data=form, auth=auth, headers=headers)


def refresh(fake: FakeOAuth, token: str, proof: str | None, client_id: str = "app") -> TestResponse:
    """Refresh as a public client."""
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}
    return post(fake, proof, auth=None, **form)


def get(
    fake: FakeOAuth,
    token: str,
    proof: str | None = None,
    *,
    path: str = "/resource",
    scheme: str = "DPoP",
) -> TestResponse:
    headers = {"Authorization": f"{scheme} {token}"}
    if proof is not None:
        headers["DPoP"] = proof
    return WSGIClient(fake).get(path, headers=headers)


def outcome(response: TestResponse) -> tuple[int, Any]:
    return response.status_code, (response.get_json(silent=True) or {}).get("error")


def code(fake: FakeOAuth, **options: Any) -> dict[str, str]:
    """Return the parameters of a code of the public client."""
    value = fake.issue_code(
        client="app", redirect_uri=CODE["redirect_uri"], code_challenge=CHALLENGE, **options
    )
    return {"grant_type": "authorization_code", "client_id": "app", "code": value, **CODE}


# The rules of a proof, in the order of section 4.3


def sent(*values: str, method: str = "POST", path: str = "/token") -> SentProof:
    return SentProof(values=values, method=method, url=f"https://issuer.example{path}")


@pytest.mark.parametrize("alg", ["ES256", "ES384", "EdDSA", "RS256", "PS256"])
def test_a_good_proof_proves_its_key(alg: str) -> None:
    key = Key(alg)
    assert proven_key(rules(), sent(key.proof(TOKEN)), NOW) == key.jkt


def test_the_thumbprint_is_that_of_the_standard() -> None:
    """The example of RFC 7638 section 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP"
        "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
        "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f"
        "M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    from fake_oauth.provider.keys import thumbprint

    jwk = {"kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB", "n": n}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def small_key() -> tuple[Any, dict[str, Any]]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    return private, RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)


def with_private_part() -> str:
    jwk = {**KEY.jwk, "d": "AA"}
    return KEY.proof(TOKEN, header={"jwk": jwk})


def unsigned() -> str:
    header, payload, _ = KEY.proof(TOKEN, header={"alg": "ES256"}).split(".")
    return f"{header}.{payload}."


def raw(header: object, payload: object) -> str:
    """Return three segments with a signature that is not one."""
    parts = (json.dumps(part).encode() for part in (header, payload))
    return ".".join([*(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), "AAAA"])


HEADER = {"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.jwk}
CLAIMS = {"jti": "1", "htm": "POST", "htu": TOKEN, "iat": NOW}

BAD: dict[str, tuple[Callable[[], str], str]] = {
    "no JWT": (lambda: "x.y.z", "the DPoP proof is not a JWT: a segment is not"),
    "empty": (lambda: "", "the DPoP proof is not a JWT: not three segments"),
    "no jti": (lambda: KEY.proof(TOKEN, jti=None), "expected text as jti of the DPoP proof"),
    "empty jti": (lambda: KEY.proof(TOKEN, jti=""), "as jti of the DPoP proof, got ''"),
    "no htm": (lambda: KEY.proof(TOKEN, htm=None), "expected text as htm"),
    "htu a number": (lambda: raw(HEADER, {**CLAIMS, "htu": 5}), "expected text as htu .*, got 5"),
    "no iat": (lambda: KEY.proof(TOKEN, iat=None), "expected a number as iat .*, got None"),
    "iat true": (lambda: raw(HEADER, {**CLAIMS, "iat": True}), "expected a number .*, got True"),
    "another typ": (
        lambda: KEY.proof(TOKEN, header={"typ": "JWT"}),
        r"expected typ 'dpop\+jwt' in the DPoP proof, got 'JWT'",
    ),
    "crit": (lambda: KEY.proof(TOKEN, header={"crit": ["x"]}), "has a header parameter crit"),
    "alg none": (
        lambda: raw({**HEADER, "alg": "none"}, CLAIMS),
        "expected one of RS256, .*EdDSA as alg of the DPoP proof, got 'none'",
    ),
    "alg HS256": (lambda: raw({**HEADER, "alg": "HS256"}, CLAIMS), "as alg .*, got 'HS256'"),
    "alg a list": (
        lambda: raw({**HEADER, "alg": ["ES256"]}, CLAIMS),
        "as alg .*, got \\['ES256'\\]$",
    ),
    "no jwk": (lambda: raw({**HEADER, "jwk": None}, CLAIMS), "expected a JWK as jwk .*, got None"),
    "a private jwk": (with_private_part, "the jwk of the DPoP proof is not public: it has d"),
    "a secret as jwk": (
        lambda: raw({**HEADER, "jwk": {"kty": "oct", "k": "AAAA"}}, CLAIMS),
        "is not public: it has k",
    ),
    "another curve": (
        lambda: raw({**HEADER, "jwk": Key("ES384").jwk}, CLAIMS),
        "is not a public key for ES256",
    ),
    "half a jwk": (
        lambda: raw({**HEADER, "jwk": {"kty": "EC", "crv": "P-256"}}, CLAIMS),
        "is not a public key for ES256",
    ),
    "a short RSA key": (
        lambda: raw({**HEADER, "alg": "RS256", "jwk": small_key()[1]}, CLAIMS),
        "the jwk of the DPoP proof has fewer than 2048 bits",
    ),
    "another signer": (
        lambda: KEY.proof(TOKEN, signer=OTHER.private),
        "the signature of the DPoP proof does not match its jwk",
    ),
    "unsigned": (unsigned, "does not match its jwk"),
    "another method": (
        lambda: KEY.proof(TOKEN, "GET"),
        "expected htm 'POST' in the DPoP proof, got 'GET'",
    ),
    "another URL": (
        lambda: KEY.proof(USERINFO),
        f"expected htu '{TOKEN}' in the DPoP proof, got '{USERINFO}'",
    ),
    "another host": (lambda: KEY.proof("https://evil.example/token"), "expected htu"),
    "another port": (lambda: KEY.proof("https://issuer.example:444/token"), "expected htu"),
    "another scheme": (lambda: KEY.proof("http://issuer.example/token"), "expected htu"),
    "no URL": (lambda: KEY.proof("/token"), "expected htu .*, got '/token'"),
    "too old": (
        lambda: KEY.proof(TOKEN, at=NOW - 301),
        "the iat of the DPoP proof is 301 s in the past, and at most 300 s are accepted",
    ),
    "too early": (lambda: KEY.proof(TOKEN, at=NOW + 301), "is 301 s in the future"),
    "a huge iat": (lambda: KEY.proof(TOKEN, iat=10**400), "in the future"),
    "a huge object": (
        lambda: raw({**HEADER, "jwk": json.loads("[" * 900 + "]" * 900)}, CLAIMS),
        "expected a JWK as jwk of the DPoP proof, got \\[+\\.\\.\\.\\]+$",
    ),
    "a jwk with an object": (
        lambda: raw({**HEADER, "jwk": {**KEY.jwk, "x": {}}}, CLAIMS),
        "is not a public key for ES256",
    ),
    "an object as jti": (lambda: KEY.proof(TOKEN, jti={}), "as jti of .*, got {}$"),
    "a long htm": (lambda: KEY.proof(TOKEN, htm="x" * 999), "got 'x{50,60}\\.\\.\\.x{50,60}'$"),
    "no number as iat": (lambda: KEY.proof(TOKEN, iat=float("nan")), "NaN is not a number"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD)
def test_a_bad_proof_is_refused_with_the_rule(make: Callable[[], str], reason: str) -> None:
    with pytest.raises(OAuthError, match=reason) as caught:
        proven_key(rules(), sent(make()), NOW)
    assert (caught.value.code, caught.value.cause) == ("invalid_dpop_proof", "dpop_proof")


@pytest.mark.parametrize("values", [(), ("a", "b")])
def test_exactly_one_proof_is_allowed(values: tuple[str, ...]) -> None:
    with pytest.raises(OAuthError, match=f"expected one DPoP header, got {len(values)}"):
        proven_key(rules(), sent(*values), NOW)


@pytest.mark.parametrize(
    "url",
    [
        "HTTPS://Issuer.EXAMPLE/token",
        "https://issuer.example:443/token",
        "https://issuer.example:/token",
        "https://issuer.example/token?x=1#y",
        "https://issuer.example/%74oken",
    ],
)
def test_a_url_is_compared_in_its_normal_form(url: str) -> None:
    assert proven_key(rules(), sent(KEY.proof(url)), NOW) == KEY.jkt


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        ("http://h:80", "http://h/", True),
        ("http://h/a%2fb", "http://h/a%2Fb", True),
        ("http://h/a%2Fb", "http://h/a/b", False),
        ("http://h:443/", "http://h/", False),
        ("http://h/A", "http://h/a", False),
    ],
)
def test_normal_forms(one: str, other: str, *, are_equal: bool) -> None:
    assert (dpop._normal(one) == dpop._normal(other)) is are_equal


@pytest.mark.parametrize("at", [NOW - 300, NOW + 300])
def test_the_clocks_can_differ_by_five_minutes(at: int) -> None:
    assert proven_key(rules(), sent(KEY.proof(TOKEN, at=at)), NOW) == KEY.jkt


def test_every_supported_algorithm_is_published() -> None:
    metadata = server().metadata()
    assert metadata["dpop_signing_alg_values_supported"] == list(ALGORITHMS)
    assert "dpop_signing_alg_values_supported" not in FakeOAuth().metadata()


# The token endpoint


def test_a_proof_binds_the_access_token() -> None:
    fake = server()
    reply = post(fake, KEY.proof(TOKEN)).get_json()
    assert reply["token_type"] == "DPoP"
    assert claims(reply["access_token"])["cnf"] == {"jkt": KEY.jkt}
    assert fake.journal[-1].reason == f"refreshed, same refresh token, bound to key {KEY.jkt}"
    without = post(fake).get_json()
    assert without["token_type"] == "Bearer"
    assert "cnf" not in claims(without["access_token"])


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "client_credentials"},
        {"grant_type": "password", "username": "MOCK_USERNAME", "password": "MOCK_PASSWORD"},
    ],
    ids=lambda form: form["grant_type"],
)
def test_every_grant_binds_its_token(form: dict[str, str]) -> None:
    reply = post(server(), KEY.proof(TOKEN), **form).get_json()
    assert reply["token_type"] == "DPoP"
    assert claims(reply["access_token"])["cnf"] == {"jkt": KEY.jkt}


def test_an_otp_binds_its_token_too() -> None:
    class Both(CIAM):
        reads_dpop = True

    fake = server(dialect=Both)
    form = {"auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID", "phone_number": "13612345678"}
    client = WSGIClient(fake)
    reply = client.post("/otp/send", json={**form, "usage": "login"}, auth=BASIC).get_json()
    data = {**form, **reply, "otp": fake.outbox[-1].otp}
    grant_type = next(name for name in Both.grant_types if name.endswith("sms"))
    proof = KEY.proof(f"{ISSUER}/oauth2/token")
    answer = client.post(
        "/oauth2/token",
        data={**data, "grant_type": grant_type},
        auth=BASIC,
        headers={"DPoP": proof},
    )
    assert answer.get_json()["token_type"] == "DPoP"


def test_the_proof_is_judged_after_the_client_and_before_the_grant() -> None:
    fake, bad = server(clients=[Client(client_id="a", client_secret="b", grant_types=[])]), "x.y.z"
    form = {"grant_type": "client_credentials"}
    assert outcome(post(fake, bad, auth=("a", "wrong"), **form)) == (401, "invalid_client")
    assert outcome(post(fake, bad, auth=("a", "b"))) == (400, "unauthorized_client")
    assert outcome(post(fake, bad, auth=("a", "b"), grant_type="x")) == (
        400,
        "unsupported_grant_type",
    )
    fake = server()
    form = {"grant_type": "refresh_token"}
    assert outcome(post(fake, bad, **form)) == (400, "invalid_dpop_proof")
    assert fake.journal[-1].cause == "dpop_proof"
    assert outcome(post(fake, KEY.proof(TOKEN), **form)) == (400, "invalid_request")


def test_two_proofs_in_one_header_are_refused() -> None:
    fake = server()
    proofs = f"{KEY.proof(TOKEN)}, {KEY.proof(TOKEN)}"
    assert outcome(post(fake, proofs)) == (400, "invalid_dpop_proof")
    assert fake.journal[-1].reason == "expected one DPoP header, got 2"


def test_two_headers_over_a_socket_are_refused() -> None:
    with server(issuer=None) as fake:
        url = fake.token_url
        status, _, body = over_socket(
            fake,
            "POST",
            "/token",
            "grant_type=client_credentials",
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Authorization": "Basic VEVOQU5UX0NMSUVOVF9JRDpURU5BTlRfQ0xJRU5UX1NFQ1JFVA==",
                "DPoP": KEY.proof(url),
                "Dpop": KEY.proof(url),
            },
        )
    assert (status, json.loads(body)["error"]) == (400, "invalid_dpop_proof")


def test_the_host_header_decides_nothing() -> None:
    fake, proof = server(), KEY.proof("http://evil.example/token")
    form = {"grant_type": "client_credentials"}
    client = WSGIClient(fake)
    headers = {"DPoP": proof, "Host": "evil.example"}
    assert outcome(client.post("/token", data=form, auth=BASIC, headers=headers))[0] == 400
    headers = {"DPoP": KEY.proof(TOKEN), "Host": "evil.example"}
    assert outcome(client.post("/token", data=form, auth=BASIC, headers=headers))[0] == 200


def test_a_client_can_be_required_to_send_proofs() -> None:
    strict = Client(client_id="a", client_secret="b", dpop_bound_access_tokens=True)
    fake, form = server(clients=[strict]), {"grant_type": "client_credentials"}
    assert outcome(post(fake, auth=("a", "b"), **form)) == (400, "invalid_dpop_proof")
    assert fake.journal[-1].cause == "dpop_missing"
    assert post(fake, KEY.proof(TOKEN), auth=("a", "b"), **form).status_code == 200


# Bound codes and refresh tokens


def test_the_refresh_tokens_of_a_public_client_are_bound() -> None:
    fake = server(clients=[PUBLIC], refresh_tokens=())
    first = post(fake, KEY.proof(TOKEN), auth=None, **code(fake)).get_json()
    token = first["refresh_token"]
    for proof in (None, OTHER.proof(TOKEN)):
        assert outcome(refresh(fake, token, proof)) == (400, "invalid_grant")
        assert fake.journal[-1].cause == "dpop_key"
    assert f"refresh token is bound to key {KEY.jkt}, and the proof is of key {OTHER.jkt}" in str(
        fake.journal[-1].reason
    )
    assert refresh(fake, token, KEY.proof(TOKEN)).get_json()["token_type"] == "DPoP"


def test_the_key_of_a_confidential_client_can_change() -> None:
    fake = server()
    for proof, token_type in (
        (KEY.proof(TOKEN), "DPoP"),
        (OTHER.proof(TOKEN), "DPoP"),
        (None, "Bearer"),
    ):
        assert post(fake, proof).get_json()["token_type"] == token_type


def test_a_rotated_refresh_token_of_a_public_client_is_bound() -> None:
    fake = server(clients=[PUBLIC], refresh_tokens=(), refresh_policy="rotate")
    token = fake.issue_tokens(client="app").refresh_token
    assert token is not None
    successor = refresh(fake, token, KEY.proof(TOKEN)).get_json()["refresh_token"]
    assert outcome(refresh(fake, successor, None)) == (400, "invalid_grant")
    assert refresh(fake, successor, KEY.proof(TOKEN)).status_code == 200


def test_a_refresh_token_that_stays_the_same_is_not_bound_later() -> None:
    fake = server(clients=[PUBLIC], refresh_tokens=())
    token = fake.issue_tokens(client="app").refresh_token
    assert token is not None
    assert refresh(fake, token, KEY.proof(TOKEN)).get_json()["token_type"] == "DPoP"
    assert refresh(fake, token, None).get_json()["token_type"] == "Bearer"


def test_a_code_can_be_bound_to_a_key() -> None:
    fake = server(clients=[PUBLIC], refresh_tokens=())
    form = code(fake, dpop_jkt=KEY.jkt)
    for proof in (None, OTHER.proof(TOKEN)):
        assert outcome(post(fake, proof, auth=None, **form)) == (400, "invalid_grant")
        assert fake.journal[-1].cause == "dpop_key"
    assert post(fake, KEY.proof(TOKEN), auth=None, **form).get_json()["token_type"] == "DPoP"


def test_an_authorization_request_binds_its_code_to_a_key() -> None:
    fake = server(clients=[PUBLIC], refresh_tokens=(), auto_login="MOCK_USERNAME")
    query = {"response_type": "code", "client_id": "app", "code_challenge": CHALLENGE}
    query |= {"redirect_uri": CODE["redirect_uri"], "code_challenge_method": "S256"}
    answer = WSGIClient(fake).get("/authorize", query_string={**query, "dpop_jkt": KEY.jkt})
    received = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
    form = {"grant_type": "authorization_code", "client_id": "app", "code": received["code"]}
    other = post(fake, OTHER.proof(TOKEN), auth=None, **form, **CODE)
    assert outcome(other) == (400, "invalid_grant")
    good = post(fake, KEY.proof(TOKEN), auth=None, **form, **CODE)
    assert good.get_json()["token_type"] == "DPoP"


def test_the_proof_of_a_pushed_request_binds_its_code() -> None:
    fake = server(clients=[PUBLIC], refresh_tokens=(), auto_login="MOCK_USERNAME")
    sent = {"response_type": "code", "client_id": "app", "code_challenge": CHALLENGE}
    sent |= {"redirect_uri": CODE["redirect_uri"], "code_challenge_method": "S256"}

    def push(proof: str, **more: str) -> TestResponse:
        return WSGIClient(fake).post("/par", data=sent | more, headers={"DPoP": proof})

    other = push(KEY.proof(f"{ISSUER}/par"), dpop_jkt=OTHER.jkt)
    assert outcome(other) == (400, "invalid_dpop_proof")
    assert outcome(push(KEY.proof(TOKEN))) == (400, "invalid_dpop_proof")
    uri = push(KEY.proof(f"{ISSUER}/par"), dpop_jkt=KEY.jkt).get_json()["request_uri"]
    query = {"client_id": "app", "request_uri": uri}
    answer = WSGIClient(fake).get("/authorize", query_string=query)
    received = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
    form = {"grant_type": "authorization_code", "client_id": "app", "code": received["code"]}
    assert outcome(post(fake, auth=None, **form, **CODE)) == (400, "invalid_grant")
    assert post(fake, KEY.proof(TOKEN), auth=None, **form, **CODE).status_code == 200


def test_other_grants_bind_their_tokens_too() -> None:
    fake = server()
    asked = WSGIClient(fake).post("/device_authorization", auth=BASIC).get_json()
    fake.approve_device(asked["user_code"])
    polled = {"grant_type": DEVICE_CODE, "device_code": asked["device_code"]}
    kind = "urn:ietf:params:oauth:token-type:access_token"
    exchanged = {"grant_type": TOKEN_EXCHANGE, "subject_token_type": kind}
    exchanged["subject_token"] = fake.issue_tokens().access_token
    for form in (polled, exchanged):
        tokens = post(fake, KEY.proof(TOKEN), **form).get_json()
        assert tokens["token_type"] == "DPoP"
        assert claims(tokens["access_token"])["cnf"] == {"jkt": KEY.jkt}


def test_each_resource_has_its_own_url_in_the_proof() -> None:
    fake = server(resources=[ProtectedResource(path="/files")])
    token = bound(fake)
    wrong = KEY.proof(RESOURCE, "GET", access_token=token)
    assert get(fake, token, wrong, path="/files").status_code == 401
    right = KEY.proof(f"{ISSUER}/files", "GET", access_token=token)
    assert get(fake, token, right, path="/files").status_code == 200


def test_tokens_can_be_issued_for_a_key() -> None:
    fake = server(clients=[PUBLIC], refresh_tokens=())
    tokens = fake.issue_tokens(client="app", dpop_jkt=KEY.jkt)
    assert tokens.token_type == "DPoP"
    assert tokens.refresh_token is not None
    assert outcome(refresh(fake, tokens.refresh_token, None)) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "proof",
    ["x.y.z", KEY.proof(USERINFO), OTHER.proof(TOKEN, at=NOW - 400)],
    ids=["malformed", "htu", "iat"],
)
def test_a_refused_proof_spends_nothing(proof: str) -> None:
    fake = server(clients=[PUBLIC], refresh_tokens=(), refresh_policy="rfc9700")
    form = code(fake)
    assert outcome(post(fake, proof, auth=None, **form)) == (400, "invalid_dpop_proof")
    first = post(fake, auth=None, **form).get_json()
    token = first["refresh_token"]
    assert outcome(refresh(fake, token, proof)) == (400, "invalid_dpop_proof")
    assert refresh(fake, token, None).status_code == 200


# The resource and userinfo


def bound(fake: FakeOAuth) -> str:
    return fake.issue_tokens(dpop_jkt=KEY.jkt).access_token


@pytest.mark.parametrize("path", ["/resource", "/userinfo"])
def test_a_bound_token_needs_a_proof_of_its_key(path: str) -> None:
    fake, url = server(), ISSUER + path
    token = bound(fake)

    def challenge(proof: str | None, scheme: str = "DPoP") -> tuple[int, str]:
        response = get(fake, token, proof, path=path, scheme=scheme)
        assert response.headers.get_all("WWW-Authenticate") == [
            response.headers["WWW-Authenticate"]
        ]
        assert "DPoP-Nonce" not in response.headers
        return response.status_code, response.headers["WWW-Authenticate"]

    def expected(error: str, text: str) -> tuple[int, str]:
        algs = " ".join(ALGORITHMS)
        members = f'realm="fake_oauth", error="{error}", algs="{algs}"'
        return 401, f'DPoP {members}, error_description="{text}"'

    good = KEY.proof(url, "GET", access_token=token)
    required = expected("invalid_token", "A DPoP proof is required")
    assert challenge(None) == required
    assert challenge(None, "Bearer") == required
    assert challenge(KEY.proof(url, "GET", access_token=token), "Bearer") == required
    causes = [exchange.cause for exchange in fake.journal]
    assert causes == ["dpop_missing"] * 3
    invalid = expected("invalid_dpop_proof", "The DPoP proof is invalid")
    assert challenge("x.y.z") == invalid
    assert challenge(KEY.proof(url, "POST", access_token=token)) == invalid
    assert challenge(KEY.proof(url, "GET")) == invalid
    assert str(fake.journal[-1].reason).startswith("expected ath ")
    assert challenge(KEY.proof(url, "GET", access_token="other")) == invalid
    other = expected("invalid_token", "The DPoP proof is missing or of another key")
    assert challenge(OTHER.proof(url, "GET", access_token=token)) == other
    assert get(fake, token, good, path=path).status_code == 200
    assert challenge(good) == expected("invalid_dpop_proof", "The DPoP proof was used before")
    causes = [exchange.cause for exchange in fake.journal[-3:]]
    assert causes == ["dpop_key", None, "dpop_replay"]


@pytest.mark.parametrize("path", ["/resource", "/userinfo"])
def test_a_refused_token_is_challenged_in_the_scheme_of_the_request(path: str) -> None:
    fake = server(resource_scope="admin")
    token = fake.issue_tokens(scope="").access_token
    url = ISSUER + path
    response = get(fake, "WRONG", path=path)
    assert response.headers["WWW-Authenticate"].startswith('DPoP realm="fake_oauth", error="inv')
    proof = KEY.proof(url, "GET", access_token=token)
    response = get(fake, token, proof, path=path)
    assert response.status_code == 403
    assert response.headers["WWW-Authenticate"].startswith("DPoP ")
    response = WSGIClient(fake).get(path)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="fake_oauth"'


def test_userinfo_of_a_deleted_user_is_refused_in_the_scheme_of_the_request() -> None:
    fake = server()
    token = bound(fake)
    fake.delete_user("MOCK_USERNAME")
    response = get(fake, token, KEY.proof(USERINFO, "GET", access_token=token), path="/userinfo")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("DPoP ")


def test_a_token_that_is_not_bound_needs_no_proof() -> None:
    fake = server()
    token = fake.issue_tokens().access_token
    assert get(fake, token).status_code == 200
    assert get(fake, token, KEY.proof(RESOURCE, "GET", access_token=token)).status_code == 200
    assert get(fake, token, "x.y.z").status_code == 401
    assert get(fake, token, "x.y.z", scheme="Bearer").status_code == 200


def test_a_bound_token_in_the_form_is_refused() -> None:
    fake = server()
    token = bound(fake)
    response = WSGIClient(fake).post("/userinfo", data={"access_token": token})
    assert response.headers["WWW-Authenticate"].startswith("DPoP ")
    headers = {"Authorization": f"DPoP {token}"}
    response = WSGIClient(fake).post("/userinfo", data={"access_token": token}, headers=headers)
    assert response.status_code == 400


def test_the_clock_of_the_resource_judges_the_iat() -> None:
    fake = server(resource_skew_seconds=400)
    token = bound(fake)
    assert get(fake, token, KEY.proof(RESOURCE, "GET", access_token=token)).status_code == 401
    late = KEY.proof(RESOURCE, "GET", at=NOW + 400, access_token=token)
    assert get(fake, token, late).status_code == 200


def test_introspection_shows_the_key() -> None:
    fake = server()
    client = WSGIClient(fake)
    found = client.post("/introspect", data={"token": bound(fake)}, auth=BASIC).get_json()
    assert (found["token_type"], found["cnf"]) == ("DPoP", {"jkt": KEY.jkt})
    token = fake.issue_tokens().access_token
    found = client.post("/introspect", data={"token": token}, auth=BASIC).get_json()
    assert found["token_type"] == "Bearer"
    assert "cnf" not in found


@pytest.mark.parametrize("cnf", ["text", {}, {"jkt": 5}])
def test_a_confirmation_of_another_kind_binds_nothing(cnf: object) -> None:
    fake = server(
        clients=[Client(client_id="a", client_secret="b", extra_claims={"cnf": cnf})],
        refresh_tokens=(),
    )
    assert get(fake, fake.issue_tokens().access_token, scheme="Bearer").status_code == 200


# Replays


def test_a_proof_is_accepted_once() -> None:
    fake, proof = server(), KEY.proof(TOKEN, jti="same")
    assert post(fake, proof).status_code == 200
    assert outcome(post(fake, proof)) == (400, "invalid_dpop_proof")
    assert fake.journal[-1].cause == "dpop_replay"
    assert fake.journal[-1].reason == "the DPoP proof with jti 'same' was used before"
    assert post(fake, OTHER.proof(TOKEN, jti="same")).status_code == 200


def test_the_replay_check_can_be_switched_off() -> None:
    fake, proof = server(dpop_replay_check=False), KEY.proof(TOKEN)
    assert [post(fake, proof).status_code for _ in range(2)] == [200, 200]


def test_of_32_requests_with_one_proof_one_is_granted() -> None:
    with server(issuer=None) as fake:
        proof = KEY.proof(fake.token_url)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": "Basic VEVOQU5UX0NMSUVOVF9JRDpURU5BTlRfQ0xJRU5UX1NFQ1JFVA==",
            "DPoP": proof,
        }
        body = "grant_type=refresh_token&refresh_token=MOCK_REFRESH_TOKEN"
        with ThreadPoolExecutor(32) as pool:
            sent_ = [
                pool.submit(over_socket, fake, "POST", "/token", body, headers) for _ in range(32)
            ]
            statuses = sorted(one.result()[0] for one in sent_)
    assert statuses == [200] + [400] * 31


def test_of_32_threads_with_one_nonce_one_is_accepted() -> None:
    shared = rules()
    shared.proofs = ProofMemory(shared.ids, ProofRules(nonces="rotating"))
    nonce = shared.proofs.new_nonce(NOW)

    def prove(_: int) -> bool:
        try:
            proven_key(shared, sent(KEY.proof(TOKEN, nonce=nonce)), NOW)
        except OAuthError:
            return False
        return True

    with ThreadPoolExecutor(32) as pool:
        assert sum(pool.map(prove, range(32))) == 1


def test_the_memory_of_proofs_is_bounded_and_follows_the_clock() -> None:
    memory = ProofMemory(Ids(0), ProofRules())
    assert memory.accept("key", "first", NOW)
    assert not memory.accept("key", "first", NOW + 899)
    assert memory.accept("key", "first", NOW + 900)
    for number in range(dpop.KEPT - 1):
        assert memory.accept("key", str(number), NOW + 900)
    assert len(memory._accepted) == dpop.KEPT
    assert not memory.accept("key", "first", NOW + 900)
    assert memory.accept("key", "one more", NOW + 900)
    assert len(memory._accepted) == dpop.KEPT
    assert memory.accept("key", "first", NOW + 900)


# Nonces


def refused_nonce(response: TestResponse) -> str:
    """Return the nonce of a response that requires it."""
    if response.status_code == 400:
        assert outcome(response) == (400, "use_dpop_nonce")
        assert "WWW-Authenticate" not in response.headers
    else:
        assert response.status_code == 401
        (challenge,) = response.headers.get_all("WWW-Authenticate")
        assert challenge.startswith('DPoP realm="fake_oauth", error="use_dpop_nonce"')
    return response.headers["DPoP-Nonce"]


def test_a_nonce_can_be_required() -> None:
    fake = server(dpop_nonces="required")
    nonce = refused_nonce(post(fake, KEY.proof(TOKEN)))
    assert fake.journal[-1].reason == "the DPoP proof has no nonce"
    granted = post(fake, KEY.proof(TOKEN, nonce=nonce))
    assert granted.get_json()["token_type"] == "DPoP"
    assert "DPoP-Nonce" not in granted.headers
    token = granted.get_json()["access_token"]
    for path in ("/resource", "/userinfo"):
        url = ISSUER + path
        refused_nonce(get(fake, token, KEY.proof(url, "GET", access_token=token), path=path))
        proof = KEY.proof(url, "GET", nonce=nonce, access_token=token)
        assert get(fake, token, proof, path=path).status_code == 200
    assert post(fake).get_json()["token_type"] == "Bearer"


def test_a_nonce_of_the_resource_is_accepted_at_the_token_endpoint() -> None:
    fake = server(dpop_nonces="required")
    token = bound(fake)
    nonce = refused_nonce(get(fake, token, KEY.proof(RESOURCE, "GET", access_token=token)))
    assert post(fake, KEY.proof(TOKEN, nonce=nonce)).status_code == 200


def test_each_refusal_has_another_nonce_and_says_why() -> None:
    fake = server(dpop_nonces="required", dpop_nonce_seconds=60)
    nonces = [refused_nonce(post(fake, KEY.proof(TOKEN, nonce="foreign"))) for _ in range(2)]
    assert fake.journal[-1].reason == (
        "the DPoP proof has a nonce that this server has not made, or has forgotten"
    )
    assert fake.journal[-1].cause == "dpop_nonce"
    fake.clock.advance(59)
    assert post(fake, KEY.proof(TOKEN, nonce=nonces[1])).status_code == 200
    fake.clock.advance(1)
    nonces.append(refused_nonce(post(fake, KEY.proof(TOKEN, nonce=nonces[1]))))
    assert fake.journal[-1].reason == "the DPoP proof has a nonce that expired 0 s ago"
    assert len(set(nonces)) == 3


def test_a_nonce_replaces_the_clock_of_the_client() -> None:
    fake = server(dpop_nonces="required")
    nonce = refused_nonce(post(fake, KEY.proof(TOKEN)))
    assert post(fake, KEY.proof(TOKEN, nonce=nonce, at=NOW - 86400)).status_code == 200


def test_a_nonce_that_is_no_text_is_refused() -> None:
    refused_nonce(post(server(dpop_nonces="required"), KEY.proof(TOKEN, nonce=5)))  # type: ignore[arg-type]


def test_without_nonces_a_nonce_is_not_compared() -> None:
    assert post(server(), KEY.proof(TOKEN, nonce="foreign")).status_code == 200


def test_a_nonce_can_change_with_each_response() -> None:
    fake = server(dpop_nonces="rotating")
    nonce = refused_nonce(post(fake, KEY.proof(TOKEN)))
    granted = post(fake, KEY.proof(TOKEN, nonce=nonce))
    token, following = granted.get_json()["access_token"], granted.headers["DPoP-Nonce"]
    assert following != nonce
    refused_nonce(post(fake, KEY.proof(TOKEN, nonce=nonce)))
    assert fake.journal[-1].reason == "the DPoP proof has a nonce that another proof has used"
    for path in ("/resource", "/userinfo"):
        proof = KEY.proof(ISSUER + path, "GET", nonce=following, access_token=token)
        response = get(fake, token, proof, path=path)
        assert response.status_code == 200
        following = response.headers["DPoP-Nonce"]
    assert "DPoP-Nonce" not in post(fake).headers


@pytest.mark.parametrize("policy", ["rotate", "rfc9700"])
def test_a_nonce_refusal_spends_nothing(policy: str) -> None:
    fake = server(
        clients=[PUBLIC], refresh_tokens=(), dpop_nonces="required", refresh_policy=policy
    )
    form = code(fake)
    nonce = refused_nonce(post(fake, KEY.proof(TOKEN), auth=None, **form))
    proof = KEY.proof(TOKEN, nonce=nonce)
    token = post(fake, proof, auth=None, **form).get_json()["refresh_token"]
    fake.clock.advance(301)
    nonce = refused_nonce(refresh(fake, token, KEY.proof(TOKEN, nonce=nonce)))
    assert refresh(fake, token, KEY.proof(TOKEN, nonce=nonce)).status_code == 200


def test_the_nonces_are_bounded() -> None:
    memory = ProofMemory(Ids(0), ProofRules())
    first = memory.new_nonce(NOW)
    for _ in range(dpop.KEPT - 1):
        memory.new_nonce(NOW)
    assert memory.nonce_flaw(first, NOW) is None
    memory.new_nonce(NOW)
    assert "has forgotten" in str(memory.nonce_flaw(first, NOW))
    assert len(memory._nonces) == dpop.KEPT


def test_nonces_can_be_given() -> None:
    fake = server(dpop_nonces="required", ids={"dpop_nonce": ["n1"]})
    assert refused_nonce(post(fake, KEY.proof(TOKEN))) == "n1"
    assert refused_nonce(post(server(dpop_nonces="required"), KEY.proof(TOKEN))) == refused_nonce(
        post(server(dpop_nonces="required"), KEY.proof(TOKEN))
    )


# Settings, the journal, and dialects without DPoP


def test_what_a_dialect_without_dpop_cannot_do_is_a_problem() -> None:
    strict = Client(client_id="TENANT_CLIENT_ID", dpop_bound_access_tokens=True)
    with pytest.raises(SettingsError) as caught:
        FakeOAuth(Settings(dpop_nonces="required", dpop_nonce_seconds=0, clients=[strict]))
    assert {str(problem) for problem in caught.value.problems} == {
        "$.dpop_nonce_seconds: expected at least 1 second, got 0",
        "$.dpop_nonces: the dialect ciam has no DPoP; leave it off",
        "$.clients[0].dpop_bound_access_tokens: the dialect ciam has no DPoP; remove it",
    }


def test_settings_are_read_from_plain_data() -> None:
    settings = Settings.from_mapping(
        {
            "dialect": "rfc",
            "dpop_nonces": "rotating",
            "dpop_nonce_seconds": 5,
            "dpop_replay_check": False,
            "clients": [{"client_id": "a", "dpop_bound_access_tokens": True}],
            "refresh_tokens": [],
        }
    )
    assert (settings.dpop_nonces, settings.dpop_nonce_seconds) == ("rotating", 5)
    with pytest.raises(SettingsError, match="dpop_nonces"):
        Settings.from_mapping({"dialect": "rfc", "dpop_nonces": "sometimes"})


@pytest.mark.parametrize(
    ("data", "status"),
    [({"grant_type": "client_credentials"}, 200), ({"grant_type": "x"}, 400)],
)
def test_a_proof_that_the_dialect_does_not_know_is_noted(data: dict[str, str], status: int) -> None:
    fake = FakeOAuth()
    for headers, is_noted in (({"DPoP": "x.y.z"}, True), ({}, False)):
        response = WSGIClient(fake).post("/oauth2/token", data=data, auth=BASIC, headers=headers)
        assert response.status_code == status
        note = "; the DPoP header is not read: this server does not know it"
        assert str(fake.journal[-1].reason).endswith(note) is is_noted
    token = fake.issue_tokens().access_token
    assert get(fake, token, "x.y.z").status_code == 401


def test_the_journal_shows_the_beginning_of_a_proof() -> None:
    fake, proof = server(), KEY.proof(TOKEN)
    post(fake, proof)
    assert f"DPoP={proof[:8]}…" in str(fake.journal[-1])
    assert proof not in str(fake.journal[-1])
    assert fake.journal[-1].headers["Dpop"] == proof


def test_another_proof_is_another_attempt() -> None:
    fake = server()
    for proof in ("a", "a", "b"):
        post(fake, proof)
    first, again, other = (exchange.digest for exchange in fake.journal)
    assert first == again != other


def test_pages_can_send_proofs_and_read_nonces() -> None:
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    client = WSGIClient(server(cors_origins=["*"]))
    response = client.options("/token", headers=headers)
    assert response.headers["Access-Control-Allow-Headers"] == (
        "Authorization, Content-Type, DPoP, MCP-Protocol-Version"
    )
    assert response.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate, DPoP-Nonce"


# Faults


def test_a_scripted_refusal_has_a_nonce_of_the_server() -> None:
    fake = server(dpop_nonces="required")
    fake.script(
        faults.Refuse("use_dpop_nonce"),
        faults.Refuse("use_dpop_nonce", headers={"DPoP-Nonce": "n1"}),
        faults.Rule(faults.Refuse("use_dpop_nonce"), endpoint="resource"),
        faults.Rule(faults.Refuse("invalid_token"), endpoint="resource"),
    )
    nonce = refused_nonce(post(fake, KEY.proof(TOKEN)))
    assert refused_nonce(post(fake, KEY.proof(TOKEN))) == "n1"
    assert post(fake, KEY.proof(TOKEN, nonce=nonce)).status_code == 200
    token = bound(fake)
    assert refused_nonce(get(fake, token)) != nonce
    assert get(fake, token).headers["WWW-Authenticate"].startswith("DPoP ")
    assert "DPoP-Nonce" not in post(FakeOAuth(), auth=None).headers


def test_a_scripted_refusal_of_a_dialect_without_dpop_is_as_before() -> None:
    fake = FakeOAuth()
    fake.script(faults.Rule(faults.Refuse("use_dpop_nonce"), endpoint="any", times=2))
    for path in ("/oauth2/token", "/resource"):
        response = WSGIClient(fake).post(path)
        assert outcome(response) == (400, "use_dpop_nonce")
        assert "DPoP-Nonce" not in response.headers


def test_a_bound_token_can_be_answered_as_bearer() -> None:
    fake = server()
    fake.script(faults.Field("token_type", "Bearer"))
    reply = post(fake, KEY.proof(TOKEN)).get_json()
    assert reply["token_type"] == "Bearer"
    assert "cnf" in claims(reply["access_token"])
    assert get(fake, reply["access_token"], scheme="Bearer").status_code == 401


# The client


def test_a_dialect_of_ones_own_can_name_another_error() -> None:
    class Strict(RFC):
        codes = {"dpop_missing": "invalid_grant"}  # noqa: RUF012

    strict = Client(client_id="a", client_secret="b", dpop_bound_access_tokens=True)
    fake = server(dialect=Strict, clients=[strict], refresh_tokens=())
    form = {"grant_type": "client_credentials"}
    assert outcome(post(fake, auth=("a", "b"), **form)) == (400, "invalid_grant")


def test_a_client_that_ignores_the_nonce_or_reuses_a_proof_is_found() -> None:
    fake = server(dpop_nonces="required")
    nonce = refused_nonce(post(fake, KEY.proof(TOKEN)))
    post(fake, KEY.proof(TOKEN))
    proof = KEY.proof(TOKEN, nonce=nonce)
    post(fake, proof)
    post(fake, proof)
    found = {(one.check, one.number) for one in fake.violations()}
    assert {("used_the_dpop_nonce", 2), ("signed_each_proof_once", 4)} <= found
    assert ("used_the_dpop_nonce", 3) not in found
    right = server(dpop_nonces="required")
    nonce = refused_nonce(post(right, KEY.proof(TOKEN)))
    post(right, KEY.proof(TOKEN, nonce=nonce))
    right.assert_client.used_the_dpop_nonce()
    right.assert_client.signed_each_proof_once()


def test_a_client_that_ignores_the_nonce_of_the_resource_is_found() -> None:
    fake = server(dpop_nonces="required")
    token = bound(fake)
    for _ in range(2):
        refused_nonce(get(fake, token, KEY.proof(RESOURCE, "GET", access_token=token)))
    assert [one.check for one in fake.violations()] == ["used_the_dpop_nonce"]


def test_a_proof_that_nobody_can_read_is_not_judged() -> None:
    fake = server()
    post(fake, "x.y.z")
    post(fake, raw({"typ": "dpop+jwt"}, {"jti": 5}))
    assert fake.violations() == []
    assert jwt.get_unverified_header(KEY.proof(TOKEN))["typ"] == "dpop+jwt"
