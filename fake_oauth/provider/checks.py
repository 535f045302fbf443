"""Checks that more than one rule makes. Each returns what it found or refuses; none spends."""

from __future__ import annotations

from collections.abc import Collection

from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.lineage import Grant
from fake_oauth.provider.parties import AuthSource, Client, User
from fake_oauth.provider.realm import Realm


def may_use(client: Client, grant_type: str) -> None:
    """Rule 11."""
    if not client.may_use(grant_type):
        raise OAuthError(
            "unauthorized_client", f"client {client.client_id} may not use grant_type {grant_type}"
        )


def scopes_among(asked: str | None, allowed: Collection[str], *, verb: str) -> tuple[str, ...]:
    """The scopes asked for, none of them new; all that are allowed where none is asked for.

    Rule 12. `verb` is what the others were not, for the journal: `granted`, `registered`.
    """
    if asked is None:
        return tuple(allowed)
    words = asked.split(" ")
    if "" in words:
        raise OAuthError("invalid_scope", "scope has a space too many")
    for word in words:
        if word not in allowed:
            known = " ".join(allowed) or "none"
            raise OAuthError("invalid_scope", f"scope {word!r} was not {verb}; {verb}: {known}")
    return tuple(words)


def auth_source_of(
    realm: Realm, client: Client, source_id: str, kinds: Collection[str]
) -> AuthSource:
    """An auth source that is the client's and of one of these kinds (CIAM 1148/51473)."""
    source = realm.auth_sources.get(source_id)
    reason = None
    if source is None:
        reason = f"auth source {source_id!r} unknown"
    elif client.auth_sources is not None and source_id not in client.auth_sources:
        reason = f"auth source {source_id} is not associated with client {client.client_id}"
    elif source.kind not in kinds:
        reason = f"auth source {source_id} is of kind {source.kind}"
    if source is None or reason is not None:
        raise OAuthError(
            "invalid_auth_source",
            reason or "",
            text="foreign_auth_source",
        )
    return source


def has_its_user(realm: Realm, grant: Grant, *, code: str = "invalid_grant") -> None:
    """Whether the user is still there who gave this grant, and may log in."""
    if (user := realm.users.get(grant.sub)) is None:
        raise OAuthError(code, f"user {grant.sub} is gone")
    active(user)


def active(user: User) -> User:
    """A user who may log in (CIAM 1148/51473)."""
    if user.status != "active":
        raise OAuthError(
            "invalid_grant",
            f"user {user.login} is {user.status}",
            text="inactive_user",
        )
    return user
