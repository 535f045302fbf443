"""What an access token gives access to: userinfo, and a protected resource (RFC 6750)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from fake_oauth.provider.claims import released
from fake_oauth.provider.errors import BearerError, Cause
from fake_oauth.provider.model import Resource
from fake_oauth.provider.realm import Realm
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
    def audience(self) -> Sequence[str]:
        """The resources or the client that it is for (RFC 7519 section 4.1.3)."""
        audience = self.claims.get("aud")
        return audience if isinstance(audience, list) else [str(audience)] if audience else ()

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
        claims = None if record is None else record.claims_of(access_token)
    if claims is not None:
        return Inspection(claims=claims, record=record, flaw=flaw_of(claims, record, now))
    try:
        header, claims = verify(access_token, (key.public for key in realm.keys.published()))
    except InvalidTokenError as error:
        return Inspection(claims={}, record=record, flaw=_FOREIGN, detail=str(error))
    if record is None and not realm.dialect.is_access_token(header, claims):
        return Inspection(claims={}, flaw=_FOREIGN, detail="an ID token")
    return Inspection(claims=claims, record=record, flaw=flaw_of(claims, record, now))


def flaw_of(
    claims: Mapping[str, Any],
    record: AccessToken | None,
    now: float,
    *,
    kind: str = "access token",
) -> str | None:
    """Return why a token is not valid at a time (RFC 7519 sections 4.1.4, 4.1.5)."""
    times = {name: claims[name] for name in ("exp", "nbf") if name in claims}
    for name, value in times.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            return f"{kind} with {name} {value!r}, which is not a number"
        times[name] = max(-_FAR, min(value, _FAR))  # An integer can be too large for a float.
    if "exp" not in times:
        return f"{kind} without exp"
    if times.get("nbf", now) > now:
        return f"{kind} not valid for another {times['nbf'] - now:.0f} s"
    known = inf if record is None or record.expires_at is None else record.expires_at
    expires_at = min(times["exp"], known)
    if expires_at <= now:
        return f"{kind} expired {now - expires_at:.0f} s ago"
    reason = None if record is None else record.revocation()
    return None if reason is None else f"{kind} {reason}"


def userinfo(realm: Realm, access_token: str | None) -> dict[str, Any]:
    """Return the claims of the user of an access token (CIAM 1148/51476)."""
    if access_token is None:
        raise BearerError(
            "invalid_token", "no bearer token", cause="bearer_missing", endpoint="userinfo"
        )
    token = inspect(realm, access_token, realm.clock.now())
    if token.flaw is not None:
        raise BearerError(
            "invalid_token", token.reason, cause="bearer_invalid", endpoint="userinfo"
        )
    if "openid" not in token.scopes:
        raise BearerError(
            "insufficient_scope",
            "access token without scope openid",
            cause="bearer_scope",
            endpoint="userinfo",
            scope="openid",
        )
    user = realm.users.get(token.sub or "")
    if user is None:
        raise BearerError(
            "invalid_token", f"no user {token.sub}", cause="bearer_user", endpoint="userinfo"
        )
    client = realm.clients.get(token.client_id or "")
    return {"sub": user.sub, **released(realm, user, client, token.scopes)}


def resource(realm: Realm, required: Resource, access_token: str | None) -> dict[str, Any]:
    """Return what a protected resource sends to a valid access token (RFC 6750 section 3)."""
    try:
        token = _admit(realm, access_token, required)
    except BearerError:
        with realm.lock:
            required.refused += 1
        raise
    with realm.lock:
        required.calls += 1
    members = {"sub": token.sub, "client_id": token.client_id, "scope": " ".join(token.scopes)}
    return {name: value for name, value in members.items() if value is not None}


def _admit(realm: Realm, access_token: str | None, required: Resource) -> Inspection:
    if access_token is None:
        raise refusal(realm, required, "invalid_token", "no bearer token", cause="bearer_missing")
    token = inspect(realm, access_token, realm.clock.now() + required.skew_seconds)
    flaw = token.flaw
    if flaw is None and realm.resources.are_indicated and required.identifier not in token.audience:
        flaw = f"access token for {' '.join(token.audience) or 'nobody'}, not {required.identifier}"
    if flaw is not None:
        reason = token.reason if token.flaw is not None else flaw
        raise refusal(realm, required, "invalid_token", reason, description=flaw)
    missing = [scope for scope in (required.scope or "").split() if scope not in token.scopes]
    if missing:
        flaw = f"access token without scope {' '.join(missing)}"
        raise refusal(
            realm, required, "insufficient_scope", flaw, cause="bearer_scope", description=flaw
        )
    return token


def refusal(
    realm: Realm,
    required: Resource,
    code: str,
    reason: str,
    *,
    cause: Cause = "bearer_invalid",
    description: str | None = None,
    uri: str | None = None,
) -> BearerError:
    """Return the refusal of a protected resource, with what the client needs for the next try."""
    metadata = realm.resources.challenge_url(required)
    # With metadata, a client learns the scopes from the first challenge (RFC 6750 section 3).
    has_scope = code == "insufficient_scope" or metadata is not None
    return BearerError(
        code,
        reason,
        cause=cause,
        endpoint="resource",
        scope=required.scope if has_scope else None,
        resource_metadata=metadata,
        description=description,
        uri=uri,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
