"""What an access token gives access to: userinfo, and a protected resource (RFC 6750).

A token that is bound to a key needs a DPoP proof (RFC 9449 section 7). A token that is not bound
needs none, whatever the scheme that it is sent with; a proof that is sent with it is checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Literal

from fake_oauth.provider.dpop import proven_key
from fake_oauth.provider.errors import BearerError, OAuthError, TokenScheme
from fake_oauth.provider.model import User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import SentProof
from fake_oauth.provider.store import AccessToken
from fake_oauth.provider.tokens import InvalidTokenError, verify

# Seconds before and after 1970 that no clock of this package shows.
_FAR: Final = 10**12
_FOREIGN: Final = "not an access token of this server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the server knows of an access token."""

    claims: Mapping[str, Any]
    """Its claims, of whatever shape; empty if it is not a token of this server."""
    record: AccessToken | None = None
    flaw: str | None = None
    """Why it is not valid, in words that can be sent; None if it is valid."""
    detail: str = ""
    """More about the flaw, for the journal."""

    @property
    def reason(self) -> str:
        """The flaw and its detail."""
        return f"{self.flaw}: {self.detail}" if self.detail else str(self.flaw)

    @property
    def sub(self) -> str | None:
        """The user or client that it is about."""
        if self.record is not None:
            return self.record.grant.sub
        return _text(self.claims.get("sub"))

    @property
    def client_id(self) -> str | None:
        """The client that it was issued to. Its `aud` may be a custom claim."""
        if self.record is not None:
            return self.record.grant.client_id
        return _text(self.claims.get("client_id")) or _text(self.claims.get("aud"))

    @property
    def jkt(self) -> str | None:
        """The thumbprint of the key that it is bound to (RFC 9449 section 6.1)."""
        confirmation = self.claims.get("cnf")
        return _text(confirmation.get("jkt")) if isinstance(confirmation, Mapping) else None

    @property
    def scopes(self) -> Sequence[str]:
        """Its scopes: a list, or text as in RFC 9068 section 2.2.3."""
        scopes = self.claims.get("scope")
        if isinstance(scopes, str):
            return scopes.split()
        if isinstance(scopes, list):
            return [scope for scope in scopes if isinstance(scope, str)]
        return ()


def inspect(realm: Realm, access_token: str, now: float) -> Inspection:
    """Return what is known of an access token at a time. Any text is input; nothing is raised."""
    with realm.lock:
        record = realm.store.access_token(access_token)
    try:
        header, claims = verify(access_token, (key.public for key in realm.keys.published()))
    except InvalidTokenError as error:
        return Inspection(claims={}, record=record, flaw=_FOREIGN, detail=str(error))
    if record is None and not realm.dialect.is_access_token(header, claims):
        return Inspection(claims={}, flaw=_FOREIGN, detail="an ID token")
    return Inspection(claims=claims, record=record, flaw=_flaw(claims, record, now))


def userinfo(
    realm: Realm,
    access_token: str | None,
    scheme: TokenScheme = "Bearer",
    proof: SentProof | None = None,
) -> dict[str, Any]:
    """Return the claims of the user of an access token (CIAM 1148/51476)."""
    if access_token is None:
        raise BearerError(
            "invalid_token", "no bearer token", cause="bearer_missing", endpoint="userinfo"
        )
    now = realm.clock.now()
    token = inspect(realm, access_token, now)
    if token.flaw is not None:
        raise BearerError(
            "invalid_token",
            token.reason,
            cause="bearer_invalid",
            endpoint="userinfo",
            scheme=scheme,
        )
    _require_possession(realm, token, access_token, scheme, proof, now, "userinfo")
    if "openid" not in token.scopes:
        raise BearerError(
            "insufficient_scope",
            "access token without scope openid",
            cause="bearer_scope",
            endpoint="userinfo",
            scope="openid",
            scheme=scheme,
        )
    user = realm.users.get(token.sub or "")
    if user is None:
        raise BearerError(
            "invalid_token",
            f"no user {token.sub}",
            cause="bearer_user",
            endpoint="userinfo",
            scheme=scheme,
        )
    return {"sub": user.sub, **_released(realm, user, token.client_id)}


def resource(
    realm: Realm,
    access_token: str | None,
    scheme: TokenScheme = "Bearer",
    proof: SentProof | None = None,
) -> dict[str, Any]:
    """Return what a protected resource sends to a valid access token (RFC 6750 section 3)."""
    required = realm.resource
    try:
        token = _admit(realm, access_token, scheme, proof)
    except BearerError:
        with realm.lock:
            required.refused += 1
        raise
    with realm.lock:
        required.calls += 1
    members = {"sub": token.sub, "client_id": token.client_id, "scope": " ".join(token.scopes)}
    return {name: value for name, value in members.items() if value is not None}


def _admit(
    realm: Realm, access_token: str | None, scheme: TokenScheme, proof: SentProof | None
) -> Inspection:
    required = realm.resource
    if access_token is None:
        raise BearerError(
            "invalid_token", "no bearer token", cause="bearer_missing", endpoint="resource"
        )
    now = realm.clock.now() + required.skew_seconds
    token = inspect(realm, access_token, now)
    if token.flaw is not None:
        raise BearerError(
            "invalid_token",
            token.reason,
            cause="bearer_invalid",
            endpoint="resource",
            scheme=scheme,
            description=token.flaw,
        )
    _require_possession(realm, token, access_token, scheme, proof, now, "resource")
    if required.scope is not None and required.scope not in token.scopes:
        flaw = f"access token without scope {required.scope}"
        raise BearerError(
            "insufficient_scope",
            flaw,
            cause="bearer_scope",
            endpoint="resource",
            scope=required.scope,
            scheme=scheme,
            description=flaw,
        )
    return token


def _require_possession(
    realm: Realm,
    token: Inspection,
    access_token: str,
    scheme: TokenScheme,
    proof: SentProof | None,
    now: float,
    endpoint: Literal["userinfo", "resource"],
) -> None:
    """Check that the client has the key of the access token (RFC 9449 sections 7.1 and 7.2)."""
    reason = None
    if token.jkt is not None and scheme != "DPoP":
        reason = f"access token bound to key {token.jkt}, sent as a bearer token"
    elif token.jkt is not None and proof is None:
        reason = f"access token bound to key {token.jkt}, and no DPoP proof was sent"
    if reason is not None:
        raise BearerError(
            "invalid_token", reason, cause="dpop_missing", endpoint=endpoint, scheme="DPoP"
        )
    if scheme != "DPoP" or proof is None:
        return
    try:
        proven_key(realm, proof, now, access_token=access_token, bound_to=token.jkt)
    except OAuthError as error:
        raise BearerError(
            error.code,
            error.reason,
            cause=error.cause,
            endpoint=endpoint,
            scheme="DPoP",
            headers=error.headers,
        ) from None


def _flaw(claims: Mapping[str, Any], record: AccessToken | None, now: float) -> str | None:
    """Return why a signed access token is not valid at a time (RFC 7519 sections 4.1.4, 4.1.5)."""
    times = {name: claims[name] for name in ("exp", "nbf") if name in claims}
    for name, value in times.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            return f"access token with {name} {value!r}, which is not a number"
        times[name] = max(-_FAR, min(value, _FAR))  # An integer can be too large for a float.
    if "exp" not in times:
        return "access token without exp"
    if times.get("nbf", now) > now:
        return f"access token not valid for another {times['nbf'] - now:.0f} s"
    known = inf if record is None or record.expires_at is None else record.expires_at
    expires_at = min(times["exp"], known)
    if expires_at <= now:
        return f"access token expired {now - expires_at:.0f} s ago"
    reason = None if record is None else record.revocation()
    return None if reason is None else f"access token {reason}"


def _released(realm: Realm, user: User, client_id: str | None) -> dict[str, Any]:
    """Return the user's claims for a client, in the user's order."""
    own = {"email": user.email, "phone_number": user.phone}
    claims = {name: value for name, value in own.items() if value is not None} | dict(user.claims)
    client = realm.clients.get(client_id or "")
    if client is None or client.claims is None:
        return claims
    return {name: value for name, value in claims.items() if name in client.claims}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
