"""What a test does to tokens behind the client's back: it expires and revokes them.

A token is given by its value, or by its name in the journal (`alice/1 r2`).
"""

from __future__ import annotations

from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.provider.model import User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.store import IssuedToken, RefreshToken


def expire(realm: Realm, token: str) -> None:
    """Expire a refresh token, a code, a device code, or an access token now."""
    with realm.lock:
        _find(realm, token).expires_at = realm.clock.now()


def revoke(realm: Realm, token: str, reason: str) -> None:
    """Revoke a token; a refresh token with its whole family (RFC 7009 section 2.1)."""
    with realm.lock:
        found = _find(realm, token)
        if isinstance(found, RefreshToken):
            realm.store.revoke_grant(found.grant, reason)
        else:
            found.revoked = found.revoked or reason


def revoke_user(realm: Realm, user: User, reason: str) -> None:
    """Revoke every token and code of a user, and end the user's sessions in browsers."""
    with realm.lock:
        for grant in realm.store.grants_of(user.sub):
            realm.store.revoke_grant(grant, reason)
        for code in realm.store.codes:
            if code.grant.sub == user.sub:
                code.revoked = code.revoked or reason
        for device_code in realm.store.device_codes:
            if device_code.approved is not None and device_code.approved.sub == user.sub:
                device_code.revoked = device_code.revoked or reason
        realm.sessions.end_all_of(user.sub)
        login = realm.logged_in_everywhere
        if login is not None and login.sub == user.sub:
            realm.logged_in_everywhere = None


def _find(realm: Realm, token: str) -> IssuedToken:
    found = realm.store.find(token) or realm.store.named(token)
    if found is None:
        raise FakeOAuthError(
            f"unknown token {token!r}; pass a refresh token, access token, code, or device code "
            "that this server issued, or its token name, such as 'alice/1 r2'"
        )
    return found
