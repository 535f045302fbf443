"""The parties that a test names, or leaves out: then it is the first of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from fake_oauth.provider.errors import FakeOAuthError, unknown
from fake_oauth.provider.parties import Client, User
from fake_oauth.provider.realm import Realm

_Party = TypeVar("_Party", Client, User)


def client_named(realm: Realm, client_id: str | None) -> Client:
    """A client by its client_id. Raises FakeOAuthError."""
    return _find("client", client_id, realm.clients)


def user_named(realm: Realm, name: str | None) -> User:
    """A user by username or sub. Raises FakeOAuthError."""
    names = realm.users | {user.login: user for user in realm.users.values()}
    return _find("user", name, names)


def scopes_named(client: Client, scope: str | None) -> tuple[str, ...]:
    """Scopes that the client may have; None is all of them. Raises FakeOAuthError."""
    scopes = tuple(client.scopes if scope is None else scope.split())
    for word in scopes:
        if word not in client.scopes:
            hint = unknown(word, client.scopes)
            raise FakeOAuthError(f"client {client.client_id} may not have {word!r}, {hint}")
    return scopes


def _find(what: str, name: str | None, named: Mapping[str, _Party]) -> _Party:
    if name is None and named:
        return next(iter(named.values()))
    if name is None or name not in named:
        raise FakeOAuthError(f"no {what} {name or 'at all'}, {unknown(name or '', [*named])}")
    return named[name]
