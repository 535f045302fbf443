"""The endpoints as HTTP sees them, and `ENDPOINTS`.

To add one, write its function and give it a row: routing, 405, discovery and the list in a 404
follow the table. What an endpoint decides belongs in `provider`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fake_oauth.provider import grants
from fake_oauth.provider.asking import Ask
from fake_oauth.provider.realm import Realm
from fake_oauth.web.writing import JSON, Reply, token_reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A path, the methods that it takes, and what answers."""

    path: str
    method: str
    answer: Callable[[Realm, Ask], Reply]
    member: str | None = None
    """Its member in the discovery document, if it has one."""

    @property
    def methods(self) -> tuple[str, ...]:
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)


def token(realm: Realm, ask: Ask) -> Reply:
    """RFC 6749 section 3.2, CIAM 1441/64400."""
    granted = grants.token(realm, ask)
    return token_reply(granted.tokens, granted.reason)


def jwks(realm: Realm, _: Ask) -> Reply:
    """RFC 7517, CIAM 1148/51484."""
    keys = [key.jwk() for key in realm.keys.published()]
    return Reply(data={"keys": keys}, content_type=JSON, reason="public keys")


def discovery(realm: Realm, _: Ask) -> Reply:
    """OpenID Connect Discovery 1.0, CIAM 1148/51487; read off what is served.

    The documented members come first, in the documented order.
    """
    urls = {
        endpoint.member: realm.issuer.rstrip("/") + endpoint.path
        for endpoint in ENDPOINTS.values()
        if endpoint.member is not None
    }
    clients = realm.clients.values()
    methods = {method for client in clients for method in client.auth_methods}
    document = {
        "issuer": realm.issuer,
        "token_endpoint": urls.pop("token_endpoint"),
        "token_endpoint_auth_methods_supported": sorted(methods),
        "jwks_uri": urls.pop("jwks_uri"),
        "response_types_supported": [],
        "grant_types_supported": sorted(grants.GRANTS),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": sorted({scope for client in clients for scope in client.scopes}),
        **urls,
    }
    return Reply(data=document, content_type=JSON, reason="discovery")


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "token": Endpoint(path="/oauth2/token", method="POST", answer=token, member="token_endpoint"),
    "jwks": Endpoint(path="/oauth2/jwks", method="GET", answer=jwks, member="jwks_uri"),
    "discovery": Endpoint(path="/.well-known/openid-configuration", method="GET", answer=discovery),
}
