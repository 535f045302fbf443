"""A DPoP client of a few lines: it has a key, and signs a proof for each request (RFC 9449)."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from functools import cache
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import get_default_algorithms

import fake_oauth

NOW = 1_700_000_000
_NUMBERS = count(1)


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@cache
def _private(alg: str, number: int) -> Any:
    """Return a key that is the same in every run."""
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    if alg.startswith("ES"):
        return ec.derive_private_key(
            number + 1, ec.SECP256R1() if alg == "ES256" else ec.SECP384R1()
        )
    pem = Path(fake_oauth.__file__).parent / "provider" / "pem" / "stranger.pem"
    return load_pem_private_key(pem.read_bytes(), None)


class Key:
    """A client's key."""

    def __init__(self, alg: str = "ES256", number: int = 1) -> None:
        self.alg = alg
        self.private = _private(alg, number)
        algorithm: Any = get_default_algorithms()[alg]
        members = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.jwk = {name: members[name] for name in sorted(members) if name != "key_ops"}

    @property
    def jkt(self) -> str:
        """The thumbprint, computed here once more (RFC 7638 section 3)."""
        names = {"RSA": "e kty n", "EC": "crv kty x y", "OKP": "crv kty x"}[self.jwk["kty"]]
        text = json.dumps({name: self.jwk[name] for name in names.split()}, separators=(",", ":"))
        return base64url(sha256(text.encode()).digest())

    def proof(
        self,
        url: str,
        method: str = "POST",
        *,
        at: float = NOW,
        nonce: str | None = None,
        access_token: str | None = None,
        header: dict[str, Any] | None = None,
        signer: Any = None,
        **changes: Any,
    ) -> str:
        """Return a proof; `changes` are other claims, and None leaves one out."""
        ath = None if access_token is None else base64url(sha256(access_token.encode()).digest())
        claims = {
            "jti": f"proof-{next(_NUMBERS)}",
            "htm": method,
            "htu": url,
            "iat": int(at),
            "nonce": nonce,
            "ath": ath,
            **changes,
        }
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            self.private if signer is None else signer,
            self.alg,
            headers={"typ": "dpop+jwt", "jwk": self.jwk, **(header or {})},
        )
