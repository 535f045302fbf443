"""The client credentials grant (RFC 6749 section 4.4, CIAM 1148/51483)."""

from __future__ import annotations

from fake_oauth.provider import resources
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.issuing import Granted, mint
from fake_oauth.provider.model import Client
from fake_oauth.provider.realm import Realm, granted_scopes
from fake_oauth.provider.request import TokenRequest


def client_credentials(realm: Realm, client: Client, request: TokenRequest) -> Granted:
    """Issue an access token to the client itself; no refresh token and no ID token."""
    if client.is_public:
        raise OAuthError(
            "unauthorized_client",
            f"client {client.client_id} is public, its credentials prove nothing",
            cause="grant_type_not_allowed",
        )
    realm.require_grant_type(client, "client_credentials")
    scope = request.parameters.optional("scope")
    scopes = granted_scopes(scope, client.scopes, verb="registered")
    audience, _ = resources.audience(realm, request.parameters)
    with realm.lock:
        grant = realm.store.open_grant(client.client_id, client.client_id, scopes, is_users=False)
    return mint(
        realm,
        grant,
        realm.clock.now(),
        audience=audience,
        jkt=request.jkt,
        reason="the client's own token",
    )
