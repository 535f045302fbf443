"""Keys: they sign bytes, verify signatures, and publish their public halves.

Three RSA-2048 keys and three P-256 keys ship with the package, so no key is ever generated at run
time. They are public, so their signatures prove nothing. To add an algorithm, add its name to
`ALGORITHMS`.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from jwt.algorithms import Algorithm, ECAlgorithm, get_default_algorithms
from jwt.exceptions import PyJWTError
from jwt.utils import der_to_raw_signature

from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.structure import Problem

_PEM: Final = Path(__file__).parent / "pem"
# The members that the thumbprint of a key is made from (RFC 7638 section 3.2, RFC 8037 section 2).
_THUMBPRINT_MEMBERS: Final = {
    "RSA": ("e", "kty", "n"),
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
}


class _RepeatableECAlgorithm(ECAlgorithm):
    """ECDSA with a deterministic nonce (RFC 6979), so that a run can be repeated byte for byte."""

    def sign(self, msg: bytes, key: EllipticCurvePrivateKey) -> bytes:
        signature = key.sign(msg, ECDSA(self.hash_alg(), deterministic_signing=True))
        return der_to_raw_signature(signature, key.curve)


def _asymmetric() -> dict[str, Algorithm]:
    found = get_default_algorithms()
    for name, algorithm in found.items():
        if isinstance(algorithm, ECAlgorithm):
            found[name] = _RepeatableECAlgorithm(algorithm.hash_alg, algorithm.expected_curve)
    return {name: found[name] for name in found if name != "none" and name not in SECRET_ALGORITHMS}


SECRET_ALGORITHMS: Final[Mapping[str, int]] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The algorithms that sign with a secret, with the bytes that the secret needs (RFC 7518 section
3.2). No key of a server has one of them."""
_HMAC: Final = {name: get_default_algorithms()[name] for name in SECRET_ALGORITHMS}


# What a published key of any server may be for.
_KNOWN: Final = _asymmetric()
ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    name: _KNOWN[name] for name in ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
}
"""The signing algorithms by their names in RFC 7518 section 3.1 and RFC 8037 section 3.1.

Ed25519 keeps the name EdDSA, which RFC 9864 section 2.2 deprecates: not all clients know the other.
"""

# The end of the file names of the shipped keys, by the algorithm that they sign with.
_SHIPPED: Final = {
    "RS256": "",
    "RS384": "",
    "RS512": "",
    "PS256": "",
    "ES256": "_p256",
}
CLIENT_ALGORITHMS: Final = (*ALGORITHMS, "PS384", "PS512", "ES512")
"""The algorithms of signatures that others make with a private key."""

PRIVATE_MEMBERS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
"""The members of a JWK that only its owner may have (RFC 7518 sections 6.2.2, 6.3.2, and 6.4)."""


def base64url(data: bytes) -> str:
    """Return bytes in the URL-safe alphabet without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, eq=False)
class PublicKey:
    """The public half of a key."""

    kid: str | None
    alg: str
    material: Any

    def has_signed(self, signing_input: bytes, signature: bytes) -> bool:
        """Return whether this is the key's signature of these bytes."""
        return _KNOWN[self.alg].verify(signing_input, self.material, signature)


@dataclass(frozen=True, slots=True, eq=False)
class SecretKey:
    """A secret that two sides share, as the key of an HMAC (RFC 7518 section 3.2)."""

    secret: str
    alg: str

    def has_signed(self, signing_input: bytes, signature: bytes) -> bool:
        """Return whether this is the secret's signature of these bytes."""
        key = self.secret.encode(errors="surrogatepass")
        return _HMAC[self.alg].verify(signing_input, key, signature)


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A private key with its id and its algorithm."""

    private: Any
    kid: str
    alg: str
    public: PublicKey

    def sign(self, signing_input: bytes) -> bytes:
        """Return the signature of these bytes (RFC 7515 section 5.1)."""
        return _signature(self.private, self.alg, signing_input)

    def public_pem(self) -> bytes:
        """Return the public half as PEM (RFC 7468 section 13)."""
        pem: bytes = self.public.material.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        return pem

    def jwk(self) -> dict[str, str]:
        """Return the public half as a JWK; members in the documented order (CIAM 1148/51484)."""
        members = _jwk(self.alg, self.public.material)
        if self.alg == "RS256":
            return {"kty": "RSA", "e": members["e"], "kid": self.kid, "n": members["n"]}
        return {"kty": members.pop("kty"), "alg": self.alg, "kid": self.kid, **members}


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one server."""

    signing: Key
    next: Key
    """The key that signs after the next rotation."""
    stranger: Key
    """A key that is never published."""
    former: Key | None = None
    """The key that signed before and is still published."""

    def published(self) -> list[Key]:
        """Return the keys in the JWK Set."""
        return [self.signing] if self.former is None else [self.signing, self.former]

    def algorithms(self) -> list[str]:
        """Return the algorithms that sign, now or after a rotation."""
        return list(dict.fromkeys((self.signing.alg, self.next.alg)))

    def rotated(self, *, keep_old: bool) -> KeyRing:
        """Return the ring after a rotation. Two keys take turns, each time with another `kid`."""
        kid = str(uuid5(NAMESPACE_URL, f"{self.signing.kid} again"))
        again = replace(self.signing, kid=kid, public=replace(self.signing.public, kid=kid))
        former = self.signing if keep_old else None
        return KeyRing(self.next, again, self.stranger, former)


def key_ring(keys: Sequence[tuple[bytes | None, str | None, str | None]] = ()) -> KeyRing:
    """Return a ring of up to two custom keys, each as PEM, `kid`, and `alg`.

    The shipped keys fill the other places, and sign with the algorithm of the first key if they
    can. A PEM of None is a shipped key with another `kid`. Raise FakeOAuthError as `read_key` does.
    """
    names = ("signing", "next")
    own = [
        shipped_key(name, kid, alg) if pem is None else read_key(pem, kid, alg)
        for name, (pem, kid, alg) in zip(names, keys, strict=False)
    ]
    # A rotation changes the key and not the algorithm. A client must refuse a stranger for its key.
    alg = own[0].alg if own and own[0].alg in _SHIPPED else None
    signing, following = (*own, *(shipped_key(name, alg=alg) for name in names[len(own) :]))
    return KeyRing(signing, following, shipped_key("stranger", alg=alg))


def read_key(pem: bytes, kid: str | None = None, alg: str | None = None) -> Key:
    """Return a key from its PEM.

    The default `alg` is RS256 for an RSA key and the only possible one for other keys; the default
    `kid` is a UUID made from the key's thumbprint. Raise FakeOAuthError for anything that is not
    an unencrypted private key of the algorithm.
    """
    try:
        private = _load(pem, trusted=False)
    except TypeError:
        raise FakeOAuthError(
            "the key is encrypted; decrypt it first: openssl pkey -in KEY -out PLAIN"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise FakeOAuthError("not a private key in PEM format") from None
    fitting = [name for name in ALGORITHMS if _fits(name, private)]
    if alg is None and fitting:
        alg = fitting[0]
    if alg is None or alg not in fitting:
        kind = type(private).__name__.removesuffix("PrivateKey").lstrip("_")
        curve = getattr(getattr(private, "curve", None), "name", "")
        can = f"; it can sign {', '.join(fitting)}" if fitting else ""
        message = f"a key of kind {f'{kind} {curve}'.strip()} cannot sign {alg or 'JWTs here'}{can}"
        raise FakeOAuthError(message)
    return _key(private, kid, alg)


def public_key(jwk: Mapping[str, Any], alg: str) -> PublicKey | None:
    """Return a public key from its JWK; None if the algorithm cannot use it (RFC 7517)."""
    if alg not in _KNOWN or jwk.get("alg", alg) != alg:
        return None
    try:
        material: Any = _KNOWN[alg].from_jwk(json.dumps(dict(jwk)))
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    algorithm = _KNOWN[alg]
    # Each algorithm has its curve (RFC 7518 section 3.4).
    if isinstance(algorithm, ECAlgorithm) and not isinstance(
        material.curve, algorithm.expected_curve or ()
    ):
        return None
    kid = jwk.get("kid")
    return PublicKey(kid if isinstance(kid, str) else None, alg, material)


def jwks_problems(path: str, jwks: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of a JWK Set with the public keys of another side (RFC 7517 section 5)."""
    jwks_keys = jwks.get("keys")
    if not isinstance(jwks_keys, list | tuple) or not jwks_keys:
        yield Problem(f"{path}.keys", f"expected a list of JWKs, got {jwks_keys!r}")
        return
    for index, jwk in enumerate(jwks_keys):
        where = f"{path}.keys[{index}]"
        if not isinstance(jwk, Mapping):
            yield Problem(where, f"expected a table with the members of a JWK, got {jwk!r}")
        elif private := [name for name in PRIVATE_MEMBERS if name in jwk]:
            message = f"the key is not public; leave out {', '.join(private)}"
            yield Problem(where, message)
        elif not any(public_key(jwk, alg) for alg in CLIENT_ALGORITHMS):
            known = ", ".join(CLIENT_ALGORITHMS)
            yield Problem(where, f"not a public key as a JWK; expected a key for one of {known}")


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the thumbprint of a key from its JWK, with SHA-256 (RFC 7638 section 3)."""
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    text = json.dumps(members, separators=(",", ":"))
    return base64url(sha256(text.encode()).digest())


# A signature is remembered, because a test suite with a frozen clock and a fixed issuer needs the
# same ones again and again. The bound keeps this under 3 MB.
@lru_cache(maxsize=2048)
def _signature(private: Any, alg: str, signing_input: bytes) -> bytes:
    return ALGORITHMS[alg].sign(signing_input, private)


@lru_cache(maxsize=32)
def shipped_key(name: str, kid: str | None = None, alg: str | None = None) -> Key:
    """Return a shipped key: `signing`, `next`, or `stranger`. The default `alg` is RS256.

    Raise FakeOAuthError for an algorithm that no shipped key signs with.
    """
    alg = alg or "RS256"
    if alg not in _SHIPPED:
        raise FakeOAuthError(f"no shipped key can sign {alg}; set pem or path")
    pem = (_PEM / f"{name}{_SHIPPED[alg]}.pem").read_bytes()
    return _key(_load(pem, trusted=True), kid, alg)


@lru_cache(maxsize=16)
def _load(pem: bytes, *, trusted: bool) -> Any:
    # Checking an RSA key takes 40 ms, which is not needed for the shipped ones.
    return load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=trusted)


def _fits(alg: str, private: Any) -> bool:
    """Return whether a key can sign with an algorithm."""
    algorithm = ALGORITHMS[alg]
    if isinstance(private, RSAPrivateKey):
        return alg.startswith(("RS", "PS"))
    if isinstance(algorithm, ECAlgorithm):
        curve = algorithm.expected_curve
        return isinstance(private, EllipticCurvePrivateKey) and isinstance(
            private.curve, curve or ()
        )
    return alg == "EdDSA" and type(private).__name__.endswith("Ed25519PrivateKey")


def _key(private: Any, kid: str | None, alg: str) -> Key:
    public = private.public_key()
    kid = _thumbprint_kid(alg, public) if kid is None else kid
    return Key(private, kid, alg, PublicKey(kid, alg, public))


def _jwk(alg: str, public: Any) -> dict[str, Any]:
    members = ALGORITHMS[alg].to_jwk(public, as_dict=True)
    return {name: value for name, value in members.items() if name != "key_ops"}


def _thumbprint_kid(alg: str, public: Any) -> str:
    """Return a UUID made from the key's thumbprint URI (RFC 7638, RFC 9278)."""
    uri = f"urn:ietf:params:oauth:jwk-thumbprint:sha-256:{thumbprint(_jwk(alg, public))}"
    return str(uuid5(NAMESPACE_URL, uri))
