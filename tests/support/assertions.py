"""Assertions as clients and trusted issuers make them, and the keys that sign them."""

from __future__ import annotations

from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from jwt.algorithms import ECAlgorithm

from tests.support.realms import NOW

ISSUER = "https://issuer.example"
# The same key each time, because ECDSA of PyJWT is random enough.
KEY = derive_private_key(7523, SECP256R1())
STRANGER = derive_private_key(7521, SECP256R1())
JWK: dict[str, Any] = {**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k1"}
JWKS = {"keys": [JWK]}
SECRET = "a secret of at least thirty-two bytes"
CLIENT_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def claims(issuer: str = "svc", **changes: Any) -> dict[str, Any]:
    """Return the claims of a right assertion with some changed; None leaves one out."""
    right = {
        "iss": issuer,
        "sub": issuer,
        "aud": ISSUER,
        "exp": NOW + 60,
        "iat": NOW,
        "jti": "1",
    }
    return {name: value for name, value in {**right, **changes}.items() if value is not None}


def signed(payload: dict[str, Any], key: Any = KEY, alg: str = "ES256", **header: Any) -> str:
    """Return a signed JWT."""
    return jwt.encode(payload, key, alg, headers={"kid": "k1", **header})


def authenticated(assertion: str, **form: str) -> dict[str, str]:
    """Return the parameters of a client that authenticates with an assertion."""
    return {
        "client_assertion_type": CLIENT_ASSERTION_TYPE,
        "client_assertion": assertion,
        **form,
    }
