"""The password grant (RFC 6749 section 4.3), and with an auth source (CIAM 1148/51473)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from fake_oauth.provider import resources
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.issuing import Granted, first_tokens, log_in
from fake_oauth.provider.model import AuthSource, Client, Identifier, User
from fake_oauth.provider.realm import Realm, granted_scopes
from fake_oauth.provider.request import TokenRequest

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


def check_password(realm: Realm, source: AuthSource | None, username: str, secret: str) -> User:
    """Return the active user with this name and password (CIAM 1148/51473).

    Without an auth source, a username, a phone number, or an email address is a name.
    """
    kinds: Collection[Identifier] = ("username", "phone", "email")
    if source is not None:
        kinds = (_kind_of(username),)
        if kinds[0] not in source.accepts:
            accepted = ", ".join(source.accepts)
            reason = f"{username!r} is a name of kind {kinds[0]}; {source.id} accepts {accepted}"
            raise OAuthError("invalid_grant", reason, cause="identifier_unsupported")
    user = next((user for user in realm.users.values() if username in _names(user, kinds)), None)
    if user is None or user.password is None or user.password != secret:
        reason = f"password of {username} does not match"
        if user is None:
            reason = f"no user has {' or '.join(kinds)} {username}"
        elif user.password is None:
            reason = f"user {username} has no password"
        raise OAuthError("invalid_grant", reason, cause="password")
    return realm.active_user(user, user.sub)


def _log_in(realm: Realm, client: Client, request: TokenRequest, source_id: str | None) -> Granted:
    parameters = request.parameters
    realm.require_grant_type(client, "password")
    scopes = granted_scopes(
        parameters.optional("scope"), realm.scopes_of(client), verb="registered"
    )
    source = None
    if source_id is not None:
        source = auth_source_of(realm, client, source_id, ("password",))
    audience, _ = resources.audience(realm, parameters)
    user = check_password(realm, source, parameters["username"], parameters["password"])
    grant = log_in(realm, client, user, scopes)
    reason = f"{user.login_name} logged in by password"
    return first_tokens(realm, grant, audience=audience, jkt=request.jkt, reason=reason)


def _names(user: User, kinds: Collection[Identifier]) -> list[str | None]:
    names = {"username": user.login_name, "phone": user.phone, "email": user.email}
    return [names[kind] for kind in kinds]


def _kind_of(username: str) -> Identifier:
    if "@" in username:
        return "email"
    return "phone" if _DIGITS.fullmatch(username) else "username"
