"""What an access token gives access to: userinfo, and a protected resource (RFC 6750).

A token that is bound to a key needs a DPoP proof (RFC 9449 section 7). A token that is not bound
needs none, whatever the scheme that it is sent with; a proof that is sent with it is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final

from fake_oauth.provider.claims import released
from fake_oauth.provider.dpop import proven_key
from fake_oauth.provider.errors import BearerError, Cause, OAuthError
from fake_oauth.provider.model import Resource
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import SentToken
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
        return _texts(audience if isinstance(audience, list) else [audience])

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
        return _texts(scopes) if isinstance(scopes, list) else ()


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
    issuer = claims.get("iss")
    # Two fakes have the same key by default.
    if record is None and realm.resources.are_indicated and issuer != realm.issuer:
        return Inspection(claims={}, flaw=_FOREIGN, detail=f"issued by {issuer!r}")
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


def userinfo(realm: Realm, sent: SentToken) -> dict[str, Any]:
    """Return the claims of the user of an access token (CIAM 1148/51476)."""
    token = _valid(realm, sent, None, realm.clock.now())
    if "openid" not in token.scopes:
        reason = "access token without scope openid"
        raise refusal(realm, sent, None, "insufficient_scope", reason, cause="bearer_scope")
    user = realm.users.get(token.sub or "")
    if user is None:
        reason = f"no user {token.sub}"
        raise refusal(realm, sent, None, "invalid_token", reason, cause="bearer_user")
    client = realm.clients.get(token.client_id or "")
    return {"sub": user.sub, **released(realm, user, client, token.scopes)}


def resource(realm: Realm, required: Resource, sent: SentToken) -> dict[str, Any]:
    """Return what a protected resource sends to a valid access token (RFC 6750 section 3)."""
    try:
        token = _admit(realm, sent, required)
    except BearerError:
        with realm.lock:
            required.refused += 1
        raise
    with realm.lock:
        required.calls += 1
    members = {"sub": token.sub, "client_id": token.client_id, "scope": " ".join(token.scopes)}
    return {name: value for name, value in members.items() if value is not None}


def _admit(realm: Realm, sent: SentToken, required: Resource) -> Inspection:
    token = _valid(realm, sent, required, realm.clock.now() + required.skew_seconds)
    missing = [scope for scope in (required.scope or "").split() if scope not in token.scopes]
    if missing:
        flaw = f"access token without scope {' '.join(missing)}"
        raise refusal(
            realm,
            sent,
            required,
            "insufficient_scope",
            flaw,
            cause="bearer_scope",
            description=flaw,
        )
    return token


def _valid(realm: Realm, sent: SentToken, required: Resource | None, now: float) -> Inspection:
    """Return an access token that is valid at a time; without a resource, for userinfo."""
    if sent.value is None:
        reason = "no bearer token"
        raise refusal(realm, sent, required, "invalid_token", reason, cause="bearer_missing")
    token = inspect(realm, sent.value, now)
    flaw, reason = token.flaw, token.reason
    if (
        flaw is None
        and required is not None
        and realm.resources.are_indicated
        and required.identifier not in token.audience
    ):
        audience = " ".join(token.audience) or "nobody"
        flaw = reason = f"access token for {audience}, not {required.identifier}"
    if flaw is not None:
        description = None if required is None else flaw
        raise refusal(realm, sent, required, "invalid_token", reason, description=description)
    _require_possession(realm, sent, token, required, now)
    return token


def _require_possession(
    realm: Realm, sent: SentToken, token: Inspection, required: Resource | None, now: float
) -> None:
    """Check that the client has the key of the access token (RFC 9449 sections 7.1 and 7.2)."""
    reason = None
    if token.jkt is not None and sent.scheme != "DPoP":
        reason = f"access token bound to key {token.jkt}, sent as a bearer token"
    elif token.jkt is not None and sent.proof is None:
        reason = f"access token bound to key {token.jkt}, and no DPoP proof was sent"
    if reason is not None:
        bound = replace(sent, scheme="DPoP")
        raise refusal(realm, bound, required, "invalid_token", reason, cause="dpop_missing")
    if sent.scheme != "DPoP" or sent.proof is None:
        return
    try:
        proven_key(realm, sent.proof, now, access_token=sent.value, bound_to=token.jkt)
    except OAuthError as error:
        raise refusal(
            realm,
            sent,
            required,
            error.code,
            error.reason,
            cause=error.cause,
            headers=error.headers,
        ) from None


def refusal(
    realm: Realm,
    sent: SentToken,
    required: Resource | None,
    code: str,
    reason: str,
    *,
    cause: Cause = "bearer_invalid",
    description: str | None = None,
    uri: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> BearerError:
    """Return the refusal of a protected resource, or without one of userinfo.

    It has what the client needs for the next try.
    """
    is_for_scope, metadata = code == "insufficient_scope", None
    if required is None:
        scope = "openid" if is_for_scope else None
    else:
        metadata = realm.resources.challenge_url(required)
        # With metadata, a client learns the scopes from the first challenge (RFC 6750 section 3).
        scope = required.scope if is_for_scope or metadata is not None else None
    return BearerError(
        code,
        reason,
        cause=cause,
        endpoint="userinfo" if required is None else "resource",
        scope=scope,
        resource_metadata=metadata,
        scheme=sent.scheme,
        description=description,
        uri=uri,
        headers=headers,
    )


def _texts(values: Iterable[object]) -> Sequence[str]:
    return [value for value in values if isinstance(value, str)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
