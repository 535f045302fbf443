"""DPoP: a client proves with each request that it has the key of its tokens (RFC 9449).

`proven_key` judges a proof in the order of section 4.3. The server makes the nonces, and remembers
the proofs that it has accepted. Both are bounded in number and end by the server's clock.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any, Final, Literal

from fake_oauth.provider.errors import OAuthError, shown
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.keys import (
    ALGORITHMS,
    PRIVATE_MEMBERS,
    PublicKey,
    base64url,
    public_key,
    thumbprint,
)
from fake_oauth.provider.request import SentProof
from fake_oauth.provider.tokens import InvalidTokenError, decode, decode_segment

if TYPE_CHECKING:
    from fake_oauth.provider.model import Client
    from fake_oauth.provider.realm import Realm

ERROR_CODES: Final = ("invalid_dpop_proof", "use_dpop_nonce")
"""The error codes of RFC 9449 section 12.2."""
WINDOW_SECONDS: Final = 300
"""How far the `iat` of a proof can be from the server's clock, in both directions."""
KEPT: Final = 4096
"""How many nonces, and how many accepted proofs, a server remembers."""

# Seconds before and after 1970 that no clock of this package shows.
_FAR: Final = 10**12
# The shortest modulus of an RSA key, in bits (RFC 7518 section 3.3).
_RSA_BITS: Final = 2048
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:[?#].*)?", re.DOTALL)
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_ESCAPE: Final = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile("[A-Za-z0-9._~-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRules:
    """What a server requires of DPoP proofs beyond their signature."""

    nonces: Literal["off", "required", "rotating"] = "off"
    """Whether a proof needs a nonce of the server, and whether each nonce is used only once."""
    nonce_seconds: int = 300
    """Lifetime of a nonce, in seconds."""
    refuse_replays: bool = True
    """Whether a proof that was accepted before is refused (RFC 9449 section 11.1)."""


class ProofMemory:
    """The nonces that one server has made, and the proofs that it has accepted.

    Use it with the realm's lock held.
    """

    def __init__(self, ids: Ids, rules: ProofRules) -> None:
        self.rules = rules
        self._ids = ids
        # Each with the end of its lifetime; a nonce that is used up has none.
        self._nonces: OrderedDict[str, float | None] = OrderedDict()
        self._accepted: OrderedDict[bytes, float] = OrderedDict()

    def new_nonce(self, now: float) -> str:
        """Return a nonce that differs from all others."""
        nonce = self._ids.draw("dpop_nonce")
        self._nonces[nonce] = now + self.rules.nonce_seconds
        if len(self._nonces) > KEPT:
            self._nonces.popitem(last=False)
        return nonce

    def nonce_flaw(self, nonce: object, now: float) -> str | None:
        """Return why a proof with this `nonce` needs another one; None if it does not."""
        if nonce is None:
            return "has no nonce"
        if not isinstance(nonce, str) or nonce not in self._nonces:
            return "has a nonce that this server has not made, or has forgotten"
        expires_at = self._nonces[nonce]
        if expires_at is None:
            return "has a nonce that another proof has used"
        if now >= expires_at:
            return f"has a nonce that expired {now - expires_at:.0f} s ago"
        return None

    def use_up(self, nonce: str) -> None:
        """Accept a nonce no more."""
        self._nonces[nonce] = None

    def accept(self, jkt: str, jti: str, now: float) -> bool:
        """Remember a proof. Return whether the key has used no other with this `jti`."""
        text = f"{jkt} {jti}"
        proof = blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        if now < self._accepted.get(proof, now):
            return False
        # For as long as the same proof could pass the other checks.
        self._accepted[proof] = now + 2 * WINDOW_SECONDS + self.rules.nonce_seconds
        self._accepted.move_to_end(proof)
        if len(self._accepted) > KEPT:
            self._accepted.popitem(last=False)
        return True


def key_for_tokens(realm: Realm, client: Client, proof: SentProof | None) -> str | None:
    """Return the thumbprint of the key that new tokens are bound to; None without a proof.

    Raise OAuthError for a proof that is not accepted, and if a client that must send one does not
    (RFC 9449 sections 5 and 5.2).
    """
    if proof is None:
        raise OAuthError(
            "invalid_dpop_proof",
            f"client {client.client_id} sent no DPoP proof and has dpop_bound_access_tokens",
            cause="dpop_missing",
        )
    return proven_key(realm, proof, realm.clock.now())


def require_key(bound_to: str | None, jkt: str | None, what: str) -> None:
    """Check that a code or refresh token is used with the key that it is bound to.

    Raise OAuthError (RFC 9449 sections 5 and 10).
    """
    if bound_to in (None, jkt):
        return
    sent = "no DPoP proof was sent" if jkt is None else f"the proof is of key {jkt}"
    reason = f"{what} is bound to key {bound_to}, and {sent}"
    raise OAuthError("invalid_grant", reason, cause="dpop_key")


def proven_key(
    realm: Realm,
    sent: SentProof,
    now: float,
    *,
    access_token: str | None = None,
    bound_to: str | None = None,
) -> str:
    """Return the thumbprint of the key that a proof proves at a time (RFC 9449 section 4.3).

    With an access token, the proof must name it, and must be of the key that it is `bound_to`.
    Raise OAuthError for a proof that is not accepted; its reason says what was expected.
    """
    claims, jkt = _read(sent)
    memory = realm.proofs
    with realm.lock:
        if memory.rules.nonces == "off":
            _require_recent(claims["iat"], now)
        else:
            # The nonce says when the proof was made, whatever the client's clock shows.
            flaw = memory.nonce_flaw(claims.get("nonce"), realm.clock.now())
            if flaw is not None:
                raise OAuthError(
                    "use_dpop_nonce",
                    f"the DPoP proof {flaw}",
                    cause="dpop_nonce",
                    headers=nonce_header(realm),
                )
        if access_token is not None:
            _require_token(claims.get("ath"), access_token)
            if bound_to not in (None, jkt):
                reason = f"access token bound to key {bound_to}, the DPoP proof is of key {jkt}"
                raise OAuthError("invalid_token", reason, cause="dpop_key")
        if memory.rules.refuse_replays and not memory.accept(jkt, claims["jti"], realm.clock.now()):
            reason = f"the DPoP proof with jti {shown(claims['jti'])} was used before"
            raise OAuthError("invalid_dpop_proof", reason, cause="dpop_replay")
        if memory.rules.nonces == "rotating":
            memory.use_up(claims["nonce"])
    return jkt


def nonce_header(realm: Realm) -> tuple[tuple[str, str], ...]:
    """Return a header with a new nonce (RFC 9449 section 8)."""
    with realm.lock:
        return (("DPoP-Nonce", realm.proofs.new_nonce(realm.clock.now())),)


def next_nonce(realm: Realm, proof: SentProof | None) -> tuple[tuple[str, str], ...]:
    """Return a header with the nonce of the next request, if each is used only once (section 8.2).

    A request without a proof gets none.
    """
    if proof is None or realm.proofs.rules.nonces != "rotating":
        return ()
    return nonce_header(realm)


def _read(sent: SentProof) -> tuple[dict[str, Any], str]:
    """Return the claims of a proof, and the thumbprint of the key that has signed it."""
    if len(sent.values) != 1:
        raise _invalid(f"expected one DPoP header, got {len(sent.values)}")
    (proof,) = sent.values
    try:
        header, claims = decode(proof)
        signed, _, segment = proof.rpartition(".")
        signature = decode_segment(segment)
    except InvalidTokenError as error:
        raise _invalid(f"the DPoP proof is not a JWT: {error}") from None
    _require_claims(claims)
    if header.get("typ") != "dpop+jwt":
        raise _invalid(f"expected typ 'dpop+jwt' in the DPoP proof, got {shown(header.get('typ'))}")
    if "crit" in header:
        raise _invalid("the DPoP proof has a header parameter crit")
    key = _public_key(header.get("jwk"), header.get("alg"))
    if not key.has_signed(signed.encode(), signature):
        raise _invalid("the signature of the DPoP proof does not match its jwk")
    if claims["htm"] != sent.method:
        raise _invalid(
            f"expected htm {sent.method!r} in the DPoP proof, got {shown(claims['htm'])}"
        )
    if _normal(claims["htu"]) != _normal(sent.url):
        raise _invalid(f"expected htu {sent.url!r} in the DPoP proof, got {shown(claims['htu'])}")
    return claims, thumbprint(header["jwk"])


def _require_claims(claims: Mapping[str, Any]) -> None:
    """Check that a proof has the claims that all proofs have (RFC 9449 section 4.2)."""
    for name in ("jti", "htm", "htu"):
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise _invalid(
                f"expected text as {name} of the DPoP proof, got {shown(claims.get(name))}"
            )
    iat = claims.get("iat")
    if not isinstance(iat, int | float) or isinstance(iat, bool):
        raise _invalid(f"expected a number as iat of the DPoP proof, got {shown(iat)}")


def _public_key(jwk: object, alg: object) -> PublicKey:
    """Return the key in the header of a proof."""
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise _invalid(f"expected one of {known} as alg of the DPoP proof, got {shown(alg)}")
    if not isinstance(jwk, dict):
        raise _invalid(f"expected a JWK as jwk of the DPoP proof, got {shown(jwk)}")
    if private := [name for name in PRIVATE_MEMBERS if name in jwk]:
        raise _invalid(f"the jwk of the DPoP proof is not public: it has {', '.join(private)}")
    # All members that a key needs are text.
    key = public_key({n: value for n, value in jwk.items() if isinstance(value, str)}, alg)
    if key is None:
        raise _invalid(f"the jwk of the DPoP proof is not a public key for {alg}")
    if getattr(key.material, "key_size", _RSA_BITS) < _RSA_BITS and jwk["kty"] == "RSA":
        raise _invalid(f"the jwk of the DPoP proof has fewer than {_RSA_BITS} bits")
    return key


def _require_recent(iat: float, now: float) -> None:
    # An integer can be too large for a float.
    age = now - max(-_FAR, min(iat, _FAR))
    if abs(age) > WINDOW_SECONDS:
        past_or_future = "in the past" if age > 0 else "in the future"
        raise _invalid(
            f"the iat of the DPoP proof is {abs(age):.0f} s {past_or_future}, and at most "
            f"{WINDOW_SECONDS} s are accepted"
        )


def _require_token(ath: object, access_token: str) -> None:
    """Check that a proof is for an access token (RFC 9449 section 4.2)."""
    expected = base64url(sha256(access_token.encode(errors="surrogatepass")).digest())
    if ath != expected:
        reason = (
            f"expected ath {expected!r} of the access token in the DPoP proof, got {shown(ath)}"
        )
        raise _invalid(reason)


def _normal(url: str) -> str | None:
    """Return a URL without query and fragment, in its normal form (RFC 3986 section 6.2).

    Return None for a text that is not a URL.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, authority, path = match[1].lower(), match[2].lower(), match[3]
    authority = authority.removesuffix(_DEFAULT_PORTS.get(scheme, ":")).removesuffix(":")
    return f"{scheme}://{authority}{_ESCAPE.sub(_unescaped, path) or '/'}"


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


def _invalid(reason: str) -> OAuthError:
    return OAuthError("invalid_dpop_proof", reason, cause="dpop_proof")
