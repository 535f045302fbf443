"""The claims of a user, and who learns them: by scope (OpenID Connect Core 1.0 section 5.4).

Claims that no scope of that section names are the user's custom claims. They need no scope, because
there is none that could be asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from fake_oauth.provider.dialect import Dialect
from fake_oauth.provider.model import Client, User
from fake_oauth.provider.realm import Realm

CLAIMS: Final[Mapping[str, tuple[str, ...]]] = {
    "profile": (
        "name",
        "family_name",
        "given_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
        "updated_at",
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
}
"""The claims that each scope asks for."""
_SCOPES: Final = {claim: scope for scope, claims in CLAIMS.items() for claim in claims}


def of_user(user: User) -> dict[str, Any]:
    """Return every claim of a user but `sub`, in the user's order."""
    own = {"email": user.email, "phone_number": user.phone}
    return {name: value for name, value in own.items() if value is not None} | dict(user.claims)


def is_released(dialect: Dialect, claim: str, scopes: Collection[str]) -> bool:
    """Return whether these scopes are enough for a claim."""
    scope = _SCOPES.get(claim) if dialect.claims_by_scope else None
    return scope is None or scope in scopes


def released(
    realm: Realm, user: User, client: Client | None, scopes: Collection[str]
) -> dict[str, Any]:
    """Return the user's claims for a client that was granted these scopes."""
    allowed = None if client is None else client.claims
    return {
        name: value
        for name, value in of_user(user).items()
        if is_released(realm.dialect, name, scopes) and (allowed is None or name in allowed)
    }


def in_tokens(dialect: Dialect, user: User | None) -> Mapping[str, Any]:
    """Return the user's claims that access tokens and ID tokens have, whatever their scopes.

    `user` is None for the token of a client, or if the user was deleted.
    """
    if user is None:
        return {}
    return _custom(user) if dialect.claims_by_scope else user.claims


def in_id_token(
    realm: Realm, user: User | None, client: Client, scopes: Collection[str]
) -> Mapping[str, Any]:
    """Return the user's claims that an ID token has."""
    wanted = realm.terms(client).claims_in_id_token
    if wanted is None or user is None:
        return in_tokens(realm.dialect, user)
    return released(realm, user, client, scopes) if wanted else _custom(user)


def _custom(user: User) -> Mapping[str, Any]:
    return {name: value for name, value in user.claims.items() if name not in _SCOPES}
