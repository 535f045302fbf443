"""ID tokens that come back: the `id_token_hint` of a request, which says whose login is meant."""

from __future__ import annotations

from typing import Any

from fake_oauth.provider.realm import Realm
from fake_oauth.provider.tokens import InvalidTokenError, verify


def read_id_token(realm: Realm, value: str) -> dict[str, Any]:
    """Return the claims of an ID token of this server, which may have expired and have any `aud`.

    OpenID Connect Core 1.0 section 3.1.2.1, RP-Initiated Logout 1.0 section 4. Raise
    InvalidTokenError for any other text.
    """
    try:
        header, claims = verify(value, (key.public for key in realm.keys.published()))
    except InvalidTokenError as error:
        raise InvalidTokenError(f"not an ID token of this server: {error}") from None
    if realm.dialect.is_access_token(header, claims):
        raise InvalidTokenError("not an ID token of this server: an access token")
    if claims.get("iss") != realm.issuer:
        raise InvalidTokenError(f"an ID token of issuer {claims.get('iss')!r}")
    if not isinstance(claims.get("sub"), str):
        raise InvalidTokenError("an ID token without sub")
    return claims
