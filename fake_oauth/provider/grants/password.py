"""The password grant (RFC 6749 section 4.3), and with an auth source (CIAM 1148/51473)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.issuing import Granted, first_tokens, log_in
from fake_oauth.provider.model import AuthSource, Client, Identifier, User
from fake_oauth.provider.realm import Realm, granted_scopes
from fake_oauth.provider.request import TokenRequest

ANY_NAME: Final = AuthSource(id="any", kind="password", accepts=("username", "phone", "email"))
"""The auth source of a login that names none: a user has three names."""

_DIGITS: Final = re.compile(r"\+?\d{6,}", re.ASCII)


def password(realm: Realm, client: Client, request: TokenRequest) -> Granted:
    """Issue tokens for a username and a password."""
    return _log_in(realm, client, request, None)


def with_auth_source(realm: Realm, client: Client, request: TokenRequest) -> Granted:
    """Issue tokens for a username and a password at an auth source (CIAM 1148/51473)."""
    return _log_in(realm, client, request, request.parameters["auth_source_id"])


def auth_source_of(
    realm: Realm, client: Client, source_id: str, kinds: Collection[str]
) -> AuthSource:
    """Return an auth source that the client may use, of one of these kinds (CIAM 1148/51473)."""
    source = realm.auth_sources.get(source_id)
    reason = None
    if source is None:
        reason = f"auth source {source_id!r} unknown"
    elif client.auth_sources is not None and source_id not in client.auth_sources:
        reason = f"auth source {source_id} is not associated with client {client.client_id}"
    elif source.kind not in kinds:
        reason = f"auth source {source_id} is of kind {source.kind}"
    if source is None or reason is not None:
        raise OAuthError("invalid_auth_source", reason or "", cause="auth_source")
    return source


def check_password(realm: Realm, source: AuthSource, username: str, secret: str) -> User:
    """Return the active user with this name and password (CIAM 1148/51473)."""
    kind = _kind_of(username)
    if kind not in source.accepts:
        accepted = ", ".join(source.accepts)
        reason = f"{username!r} looks like a {kind}, auth source {source.id} accepts {accepted}"
        raise OAuthError("invalid_grant", reason, cause="identifier_unsupported")
    attribute = "login_name" if kind == "username" else kind
    found = [user for user in realm.users.values() if getattr(user, attribute) == username]
    if not found or found[0].password is None or found[0].password != secret:
        reason = f"password of {username} wrong" if found else f"no user has {kind} {username}"
        raise OAuthError("invalid_grant", reason, cause="password")
    return realm.active_user(found[0], found[0].sub)


def _log_in(realm: Realm, client: Client, request: TokenRequest, source_id: str | None) -> Granted:
    parameters = request.parameters
    realm.require_grant_type(client, "password")
    scopes = granted_scopes(parameters.optional("scope"), client.scopes, verb="registered")
    source = ANY_NAME
    if source_id is not None:
        source = auth_source_of(realm, client, source_id, ("password",))
    user = check_password(realm, source, parameters["username"], parameters["password"])
    grant = log_in(realm, client, user, scopes)
    return first_tokens(realm, grant, reason=f"{user.login_name} logged in by password")


def _kind_of(username: str) -> Identifier:
    if "@" in username:
        return "email"
    return "phone" if _DIGITS.fullmatch(username) else "username"
