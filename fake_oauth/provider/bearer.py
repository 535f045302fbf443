"""What an access token is good for: userinfo; and giving tokens up: revocation."""

from __future__ import annotations

from typing import Any, Final

from fake_oauth.provider.asking import Ask
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.parties import User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.tokens import read

_BEARER_URI: Final = "https://tools.ietf.org/html/rfc6750#section-3.1"
_REVOCATION_URI: Final = "https://tools.ietf.org/html/rfc7009#section-2.1"


class BearerError(OAuthError):
    """A refusal of an access token; it travels in WWW-Authenticate (RFC 6750 section 3)."""

    def __init__(self, code: str, reason: str, description: str) -> None:
        super().__init__(code, reason, description=description, uri=_BEARER_URI)


def userinfo(realm: Realm, access_token: str | None) -> dict[str, Any]:
    """The claims of the user behind an access token (CIAM 1148/51476)."""
    if access_token is None:
        raise BearerError(
            "invalid_request", "no bearer token", "Bearer token not found in the request"
        )
    claims = _good(realm, access_token)
    if "openid" not in claims.get("scope", ()):
        raise BearerError(
            "insufficient_scope",
            "access token without scope openid",
            "The request requires higher privileges than provided by the access token.",
        )
    user = realm.users.get(claims["sub"])
    if user is None:
        raise OAuthError("user_not_found", f"no user {claims['sub']}")
    return {"sub": user.sub, **_told(realm, user, claims["aud"])}


def revoke(realm: Realm, ask: Ask) -> str:
    """Give up a token; returns what was given up, for the journal (CIAM 1148/51486, RFC 7009)."""
    client = realm.authenticate(ask.credentials)
    values = ask.params.all("token")
    if len(values) != 1 or not values[0].strip():
        raise OAuthError(
            "invalid_request",
            "token missing, blank or sent twice",
            description="OAuth 2.0 Token Revocation Parameter: token",
            uri=_REVOCATION_URI,
        )
    fate = f"revoked by request {ask.number}"
    with realm.lock:
        record = realm.ledger.refresh_tokens.find(values[0])
        if record is not None:
            _owned(record.grant.client_id, client.client_id)
            realm.ledger.revoke_grant(record.grant, fate)
            return "refresh token revoked, and the access tokens of its grant"
        claims = read(realm.keys.published(), values[0])
        # An id_token has an azp; there is nothing to revoke about it.
        if claims is None or "azp" in claims:
            return "nothing to revoke: unknown token"
        _owned(claims["aud"], client.client_id)
        now = realm.clock.now()
        realm.ledger.revoke_access_token(claims["jti"], claims["exp"], now, fate)
    return "access token revoked"


def _good(realm: Realm, access_token: str) -> dict[str, Any]:
    """The claims of an access token that may still be used."""
    claims = read(realm.keys.published(), access_token)
    reason = None
    if claims is None or "azp" in claims:
        reason = "not an access token of this server"
    elif claims["exp"] <= realm.clock.now():
        reason = f"access token expired {realm.clock.now() - claims['exp']:.0f} s ago"
    elif (fate := realm.ledger.access_token_fate(claims["jti"])) is not None:
        reason = f"access token {fate}"
    if claims is None or reason is not None:
        raise BearerError("invalid_token", reason or "", "Error decoding JWT")
    return claims


def _owned(owner: str, client_id: str) -> None:
    if owner != client_id:
        raise OAuthError("invalid_client", f"token belongs to client {owner}")


def _told(realm: Realm, user: User, client_id: str) -> dict[str, Any]:
    """The user's claims that this client is told, in the user's order."""
    own = {"email": user.email, "phone_number": user.phone}
    claims = {name: value for name, value in own.items() if value is not None} | dict(user.claims)
    client = realm.clients.get(client_id)
    if client is None or client.claims is None:
        return claims
    return {name: value for name, value in claims.items() if name in client.claims}
