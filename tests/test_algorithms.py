"""Every signing algorithm, with libraries that others wrote as verifiers."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode

import httpx
import jwt
import pytest
from authlib.oidc.core import CodeIDToken
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from jwt.utils import raw_to_der_signature

from fake_oauth import FakeOAuth, Settings, SigningKey, faults
from fake_oauth.provider.keys import ALGORITHMS, Key, base64url, key_ring, read_key
from fake_oauth.provider.tokens import decode_segment
from tests.support.pem import pem_of

_MEMBERS = {"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}}


def key_for(alg: str) -> SigningKey:
    """A shipped key where there is one."""
    if alg == "ES384":
        return SigningKey(pem=pem_of(ec.generate_private_key(ec.SECP384R1())))
    if alg == "EdDSA":
        return SigningKey(pem=pem_of(Ed25519PrivateKey.generate()))
    return SigningKey(alg=alg)


# RFC 9864 deprecates the name EdDSA, and joserfc says so.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_other_libraries_verify_the_tokens_of_each_algorithm(alg: str) -> None:
    with FakeOAuth(Settings(dialect="rfc", keys=[key_for(alg)])) as server:
        tokens = server.issue_tokens()
        metadata = httpx.get(f"{server.issuer}/.well-known/openid-configuration").json()
        published = httpx.get(metadata["jwks_uri"]).json()
        names = metadata["id_token_signing_alg_values_supported"]
        assert names[0] == alg
        (jwk,) = published["keys"]
        assert {"kty", "use", "alg", "kid", *_MEMBERS[jwk["kty"]]} == set(jwk)
        assert (jwk["use"], jwk["alg"]) == ("sig", alg)
        keys, client = KeySet.import_key_set(published), jwt.PyJWKClient(metadata["jwks_uri"])
        for token in (tokens.id_token, tokens.access_token):
            assert token is not None
            found = joserfc_jwt.decode(token, keys, algorithms=names)
            assert found.header["kid"] == jwk["kid"]
            key = client.get_signing_key_from_jwt(token)
            assert jwt.decode(token, key, [alg], audience="TENANT_CLIENT_ID") == found.claims
        assert tokens.id_token is not None
        claims = joserfc_jwt.decode(tokens.id_token, keys, algorithms=names).claims
        CodeIDToken(claims, {}, {"iss": {"value": server.issuer}}).validate()


def test_the_shipped_p256_keys_need_no_pem() -> None:
    ring = key_ring([(None, None, "ES256")])
    keys = (ring.signing, ring.next, ring.stranger)
    assert [key.alg for key in keys] == ["ES256"] * 3
    assert len({key.kid for key in keys}) == len({key.jwk()["x"] for key in keys}) == 3
    for key in keys:
        signature = key.sign(b"x")
        assert len(signature) == 64  # R and S, and no DER (RFC 7518 section 3.4).
        assert ALGORITHMS["ES256"].sign(b"x", key.private) == signature
        assert key.public.has_signed(b"x", signature)


@pytest.mark.parametrize(
    ("first", "signs_next", "stranger"),
    [
        ("RS256", "RS256", "RS256"),
        ("PS256", "PS256", "PS256"),
        ("ES256", "ES256", "ES256"),
        ("ES384", "RS256", "RS256"),  # No key for ES384 is shipped.
    ],
)
def test_a_rotation_keeps_the_algorithm_if_a_key_is_shipped_for_it(
    first: str, signs_next: str, stranger: str
) -> None:
    ring = key_ring([key_for(first).read()])
    assert (ring.signing.alg, ring.next.alg, ring.stranger.alg) == (first, signs_next, stranger)
    assert ring.rotated(keep_old=True).signing.alg == signs_next
    assert ring.algorithms() == list(dict.fromkeys([first, signs_next]))


def test_the_metadata_names_the_algorithm_of_the_next_key_before_it_signs() -> None:
    keys = [SigningKey(), SigningKey(alg="ES256")]
    server = FakeOAuth(Settings(dialect="rfc", keys=keys))
    member = "id_token_signing_alg_values_supported"
    assert server.metadata()[member] == ["RS256", "ES256"]
    server.rotate_keys(keep_old=False)
    assert server.metadata()[member] == ["ES256", "RS256"]
    token = server.issue_tokens().id_token
    assert token is not None
    assert jwt.get_unverified_header(token)["alg"] == "ES256"


def test_a_client_refuses_an_unknown_key_for_the_key_and_not_for_the_algorithm() -> None:
    settings = Settings(dialect="rfc", keys=[SigningKey(alg="ES256")])
    with FakeOAuth(settings) as server:
        server.script(faults.UnknownKey())
        form = {"grant_type": "password", "username": "MOCK_USERNAME"}
        client = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
        form |= {"password": "MOCK_PASSWORD", **client}
        token = httpx.post(server.token_url, data=form).json()["access_token"]
        assert jwt.get_unverified_header(token)["alg"] == "ES256"
        with pytest.raises(jwt.PyJWKClientError, match="Unable to find a signing key"):
            jwt.PyJWKClient(server.url_of("jwks")).get_signing_key_from_jwt(token)


@pytest.mark.parametrize(("curve", "width"), [(ec.SECP256R1(), 32), (ec.SECP384R1(), 48)])
def test_the_coordinates_of_a_published_key_have_a_fixed_width(
    curve: ec.EllipticCurve, width: int
) -> None:
    def first_with_a_zero(name: str) -> Key:
        for number in range(1, 10_000):
            private = ec.derive_private_key(number, curve)
            if getattr(private.public_key().public_numbers(), name) >> 8 * (width - 1) == 0:
                return read_key(pem_of(private).encode())
        raise AssertionError("no key has a coordinate that begins with a zero")

    for name in ("x", "y"):
        coordinate = urlsafe_b64decode(first_with_a_zero(name).jwk()[name] + "=")
        assert (len(coordinate), coordinate[0]) == (width, 0)


def test_a_signature_in_der_is_refused() -> None:
    server = FakeOAuth(Settings(dialect="rfc", keys=[SigningKey(alg="ES256")]))
    token = server.issue_tokens().access_token
    signed, _, signature = token.rpartition(".")
    der = raw_to_der_signature(decode_segment(signature), ec.SECP256R1())
    assert json.loads(decode_segment(signed.partition(".")[0]))["alg"] == "ES256"
    url, bearer = "http://localhost/resource", {"Authorization": f"Bearer {token}"}
    transport = httpx.WSGITransport(app=server)
    with httpx.Client(transport=transport) as client:
        assert client.get(url, headers=bearer).status_code == 200
        wrong = {"Authorization": f"Bearer {signed}.{base64url(der)}"}
        assert client.get(url, headers=wrong).status_code == 401
