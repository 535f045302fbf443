"""The revocation endpoint (RFC 7009, CIAM 1148/51486)."""

from __future__ import annotations

from fake_oauth.provider.bearer import inspect
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import TokenRequest
from fake_oauth.provider.store import AccessToken, RefreshToken


def revoke(realm: Realm, request: TokenRequest) -> str:
    """Revoke the token of a request. Return what was revoked, for the journal.

    An unknown token is no error (RFC 7009 section 2.2).
    """
    client = realm.authenticate(request.credentials)
    values = request.parameters.all("token")
    if len(values) != 1 or not values[0].strip():
        raise OAuthError(
            "invalid_request",
            "token missing, blank or sent twice",
            cause="revocation_parameter",
            parameter="token",
        )
    reason = f"revoked by request {request.number}"
    with realm.lock:
        token = realm.store.find(values[0])
        if isinstance(token, RefreshToken):
            realm.require_own(token.grant, client, "token")
            realm.store.revoke_grant(token.grant, reason)
            return "refresh token revoked, and the access tokens of its grant"
        if token is None:
            token = _of_another_server(realm, values[0])
        if not isinstance(token, AccessToken):
            return "nothing to revoke: unknown token"
        realm.require_own(token.grant, client, "token")
        token.revoked = token.revoked or reason
        realm.store.add_access_token(values[0], token)
    return "access token revoked"


def _of_another_server(realm: Realm, value: str) -> AccessToken | None:
    """Return a record for a valid access token that this server does not know.

    It is one that another server with the same keys has issued, or a forgotten one.
    """
    token = inspect(realm, value, realm.clock.now())
    if token.flaw is not None or token.client_id is None:
        return None
    grant = realm.store.open_grant(
        token.client_id, token.sub or token.client_id, token.scopes, owner="unknown"
    )
    return AccessToken(grant=grant, number=1, expires_at=token.claims["exp"])
