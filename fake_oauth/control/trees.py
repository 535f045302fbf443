"""Token families, the next expiry, and the keys, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fake_oauth.control.exchanges import moment
from fake_oauth.families.tree import Family, FamilyToken
from fake_oauth.provider.errors import SettingsError
from fake_oauth.structure import Problem

if TYPE_CHECKING:
    from fake_oauth.server import FakeOAuth

# How many families a response has, how many tokens of each, and how many requests of a token.
_FAMILIES: Final = 100
_TOKENS: Final = 100
_REQUESTS: Final = 20


def read_families(server: FakeOAuth, latest: int = 50) -> dict[str, Any]:
    """Return the token families, the latest login first."""
    if not 1 <= latest <= _FAMILIES:
        raise SettingsError([Problem("$.latest", f"expected 1 to {_FAMILIES}, got {latest}")])
    found = server.families(latest, tokens=_TOKENS)
    return {"families": [_family(family) for family in found], "earlier": found.earlier}


def _family(family: Family) -> dict[str, Any]:
    names = ("name", "user", "sub", "client_id", "scopes", "state", "why", "earlier")
    return {name: getattr(family, name) for name in names} | {
        "tokens": [_token(token) for token in family.tokens]
    }


def _token(token: FamilyToken) -> dict[str, Any]:
    shown = token.presented[-_REQUESTS:]
    return {
        "name": token.name,
        "kind": token.kind,
        "state": token.state,
        "why": token.why,
        "expires_at": None if token.expires_at is None else moment(token.expires_at),
        "issued_by": token.issued_by,
        "from": token.origin,
        "presented": [
            {name: getattr(request, name) for name in ("number", "client_id", "status", "error")}
            for request in shown
        ],
        "presented_before": len(token.presented) - len(shown),
    }


def read_keys(server: FakeOAuth) -> dict[str, Any]:
    """Return the keys, the one that signs first."""
    ring = server.keys
    uses = {"signing": ring.signing, "next": ring.next, "old": ring.former}
    return {
        "keys": [
            {"kid": key.kid, "alg": key.alg, "kty": key.jwk()["kty"], "use": use}
            for use, key in uses.items()
            if key is not None
        ]
    }


def read_login(server: FakeOAuth) -> dict[str, Any]:
    """Return who is logged in in every browser."""
    user = server.logged_in_user
    return {"user": None if user is None else user.login_name}


def read_expiry(server: FakeOAuth) -> dict[str, Any] | None:
    """Return which active access or refresh token expires next, and when; None if none does."""
    expiry = server.next_expiry
    return None if expiry is None else {"at": moment(expiry.at), "token": expiry.token}
