"""Keys that sign whatever they are given, and their public halves.

No key is ever made at run time: three RSA-2048 keys come with the package. They are published
with it, so nothing that they sign proves anything. Claims and their order are not known here.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from fake_oauth.provider.errors import FakeOAuthError

_PEM = Path(__file__).parent / "pem"
_PADDING, _HASH = PKCS1v15(), SHA256()


def base64url(data: bytes) -> str:
    """RFC 7515 section 2: the URL-safe alphabet, no padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """An RSA key under a name."""

    private: RSAPrivateKey
    kid: str
    modulus: str
    exponent: str

    def sign(self, signing_input: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256: RS256 (RFC 7518 section 3.3)."""
        return _signature(self.private, signing_input)

    def has_signed(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether this is the key's signature over these bytes."""
        try:
            self.private.public_key().verify(signature, signing_input, _PADDING, _HASH)
        except InvalidSignature:
            return False
        return True

    def public_pem(self) -> bytes:
        """The public half as PEM (RFC 7468 section 13)."""
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def jwk(self) -> dict[str, str]:
        """The public half; members in the documented order (CIAM 1148/51484)."""
        return {"kty": "RSA", "e": self.exponent, "kid": self.kid, "n": self.modulus}


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one server: one signs, one is next in a rotation, one is a stranger."""

    signing: SigningKey
    next: SigningKey
    stranger: SigningKey
    former: SigningKey | None = None
    """The key that signed before, for as long as its tokens are good."""

    def published(self) -> list[SigningKey]:
        """The keys that clients may trust."""
        return [self.signing] if self.former is None else [self.signing, self.former]

    def rotated(self, *, keep_old: bool) -> KeyRing:
        """The ring after a rotation. The two keys take turns, each time under another `kid`."""
        again = replace(self.signing, kid=str(uuid5(NAMESPACE_URL, f"{self.signing.kid} again")))
        former = self.signing if keep_old else None
        return KeyRing(self.next, again, self.stranger, former)


# RS256 is deterministic, so a signature may be remembered: a test suite with a frozen clock
# and a fixed issuer asks for the same ones over and over. The bound keeps this under 3 MB.
@lru_cache(maxsize=2048)
def _signature(private: RSAPrivateKey, signing_input: bytes) -> bytes:
    return private.sign(signing_input, _PADDING, _HASH)


def _shipped(name: str, kid: str | None = None) -> SigningKey:
    return _named(_load((_PEM / f"{name}.pem").read_bytes(), trusted=True), kid)


def shipped_ring() -> KeyRing:
    """The keys that come with the package."""
    return KeyRing(_shipped("signing"), _shipped("next"), _shipped("stranger"))


def key_ring(keys: Sequence[tuple[bytes | None, str | None]]) -> KeyRing:
    """A ring of one's own keys, each as PEM and `kid`; what is left out is shipped.

    A PEM of None is the shipped key under another name.
    """
    own = [_shipped("signing", kid) if pem is None else read_key(pem, kid) for pem, kid in keys]
    signing, following = (*own, *(_shipped("signing"), _shipped("next"))[len(own) :])[:2]
    return KeyRing(signing, following, _shipped("stranger"))


def read_key(pem: bytes, kid: str | None = None) -> SigningKey:
    """A key from its PEM; its `kid`, if none is given, is a UUID made from its thumbprint.

    Raises FakeOAuthError for anything but an unencrypted RSA private key.
    """
    try:
        return _named(_load(pem, trusted=False), kid)
    except TypeError:
        raise FakeOAuthError(
            "the key is encrypted; decrypt it first: openssl pkey -in KEY -out PLAIN"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise FakeOAuthError("not a private key in PEM format") from None


@lru_cache(maxsize=16)
def _load(pem: bytes, *, trusted: bool) -> RSAPrivateKey:
    # Checking a key takes 40 ms, which the shipped ones need not pay.
    private = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=trusted)
    if not isinstance(private, RSAPrivateKey):
        kind = type(private).__name__.removesuffix("PrivateKey").lstrip("_")
        raise FakeOAuthError(f"expected an RSA private key for RS256, got one of kind {kind}")
    return private


def _named(private: RSAPrivateKey, kid: str | None) -> SigningKey:
    numbers = private.public_key().public_numbers()
    modulus, exponent = _uint(numbers.n), _uint(numbers.e)
    if kid is None:
        kid = _kid(modulus, exponent)
    return SigningKey(private, kid, modulus, exponent)


def _uint(number: int) -> str:
    """Base64urlUInt (RFC 7518 section 2)."""
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))


def _kid(modulus: str, exponent: str) -> str:
    """A UUID named by the key's thumbprint URI (RFC 7638, RFC 9278)."""
    members = json.dumps({"e": exponent, "kty": "RSA", "n": modulus}, separators=(",", ":"))
    thumbprint = base64url(sha256(members.encode()).digest())
    return str(uuid5(NAMESPACE_URL, f"urn:ietf:params:oauth:jwk-thumbprint:sha-256:{thumbprint}"))
