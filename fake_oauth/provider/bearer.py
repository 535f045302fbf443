"""What an access token is good for: userinfo, a protected resource; and giving tokens up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from fake_oauth.provider.asking import Ask
from fake_oauth.provider.conventions import Challenge
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.parties import Client, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.resource import Resource
from fake_oauth.provider.tokens import read


class BearerError(OAuthError):
    """A refusal of an access token; it travels in WWW-Authenticate (RFC 6750 section 3)."""

    def __init__(self, code: str | None, reason: str, challenge: Mapping[str, str]) -> None:
        """`challenge` is what WWW-Authenticate says, in this order."""
        super().__init__(code, reason)
        self.challenge = challenge


def userinfo(realm: Realm, access_token: str | None) -> dict[str, Any]:
    """The claims of the user behind an access token (CIAM 1148/51476)."""
    if access_token is None:
        raise _refused(realm, "missing", "no bearer token")
    claims, flaw = inspected(realm, access_token, realm.clock.now())
    if flaw is not None:
        raise _refused(realm, "invalid", flaw)
    if "openid" not in scopes_of(claims):
        raise _refused(realm, "insufficient", "access token without scope openid")
    user = realm.users.get(claims["sub"])
    if user is None:
        raise _refused(realm, "no_user", f"no user {claims['sub']}")
    return {"sub": user.sub, **_told(realm, user, owner_of(realm, claims))}


def resource(realm: Realm, access_token: str | None) -> dict[str, Any]:
    """What a protected resource says to an access token that it lets in (RFC 6750 section 3)."""
    wanted = realm.resource
    try:
        claims = _let_in(realm, access_token, wanted)
    except BearerError:
        with realm.lock:
            wanted.refused += 1
        raise
    with realm.lock:
        wanted.calls += 1
    return {
        "sub": claims["sub"],
        "client_id": owner_of(realm, claims),
        "scope": " ".join(scopes_of(claims)),
    }


def _let_in(realm: Realm, access_token: str | None, wanted: Resource) -> dict[str, Any]:
    challenge = {"realm": "fake_oauth"}
    if access_token is None:
        # Without an error code, as nothing was presented (RFC 6750 section 3.1).
        raise BearerError(None, "no bearer token", challenge)
    claims, flaw = inspected(realm, access_token, realm.clock.now() + wanted.skew_seconds)
    if flaw is not None:
        told = {"error": "invalid_token", "error_description": flaw}
        raise BearerError("invalid_token", flaw, challenge | told)
    if wanted.scope is not None and wanted.scope not in scopes_of(claims):
        flaw = f"access token without scope {wanted.scope}"
        told = {"error": "insufficient_scope", "error_description": flaw, "scope": wanted.scope}
        raise BearerError("insufficient_scope", flaw, challenge | told)
    return claims


def revoke(realm: Realm, ask: Ask) -> str:
    """Give up a token; returns what was given up, for the journal (CIAM 1148/51486, RFC 7009)."""
    client = realm.authenticate(ask.credentials)
    values = ask.params.all("token")
    if len(values) != 1 or not values[0].strip():
        raise OAuthError(
            "invalid_request",
            "token missing, blank or sent twice",
            text="revocation_parameter",
            parameter="token",
        )
    fate = f"revoked by request {ask.number}"
    with realm.lock:
        record = realm.ledger.refresh_tokens.find(values[0])
        if record is not None:
            _owned(realm, record.grant.client_id, client)
            realm.ledger.revoke_grant(record.grant, fate)
            return "refresh token revoked, and the access tokens of its grant"
        claims = read(realm.keys.published(), values[0])
        # An id_token has an azp; there is nothing to revoke about it.
        if claims is None or "azp" in claims:
            return "nothing to revoke: unknown token"
        _owned(realm, owner_of(realm, claims), client)
        now = realm.clock.now()
        realm.ledger.revoke_access_token(claims["jti"], claims["exp"], now, fate)
    return "access token revoked"


def inspected(realm: Realm, access_token: str, now: float) -> tuple[dict[str, Any], str | None]:
    """The claims of an access token, and why it may not be used at this time, if it may not."""
    claims = read(realm.keys.published(), access_token)
    if claims is None or "azp" in claims:
        return {}, "not an access token of this server"
    with realm.lock:
        trace = realm.ledger.traced(claims["jti"])
        expires_at = min(claims["exp"], inf if trace is None else trace.expires_at)
        fate = realm.ledger.access_token_fate(claims["jti"])
    if expires_at <= now:
        return claims, f"access token expired {now - expires_at:.0f} s ago"
    return claims, fate and f"access token {fate}"


def owner_of(realm: Realm, claims: Mapping[str, Any]) -> str:
    """The client that an access token was given to; its `aud` may be a claim of people's own."""
    with realm.lock:
        trace = realm.ledger.traced(claims["jti"])
    if trace is not None and trace.grant is not None:
        return trace.grant.client_id
    return str(claims["aud"])


def scopes_of(claims: Mapping[str, Any]) -> Sequence[str]:
    """The scopes of an access token; as a claim of people's own they may be text (RFC 9068)."""
    scopes = claims.get("scope", ())
    return scopes.split() if isinstance(scopes, str) else tuple(scopes)


def _refused(realm: Realm, why: Challenge, reason: str) -> OAuthError:
    """A refusal of userinfo. Who is gone is told in a body where the challenges do not say it."""
    challenge = realm.conventions.challenges.get(why)
    if challenge is None:
        return OAuthError("user_not_found", reason)
    return BearerError(challenge.get("error"), reason, challenge)


def _owned(realm: Realm, owner: str, client: Client) -> None:
    if owner != client.client_id:
        raise OAuthError(realm.conventions.foreign_token, f"token belongs to client {owner}")


def _told(realm: Realm, user: User, client_id: str) -> dict[str, Any]:
    """The user's claims that this client is told, in the user's order."""
    own = {"email": user.email, "phone_number": user.phone}
    claims = {name: value for name, value in own.items() if value is not None} | dict(user.claims)
    client = realm.clients.get(client_id)
    if client is None or client.claims is None:
        return claims
    return {name: value for name, value in claims.items() if name in client.claims}
