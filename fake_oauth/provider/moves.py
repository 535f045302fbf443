"""What happens to tokens without a client's doing: they expire early, or somebody revokes them.

A token is given by its value or by its name in the lineage (`alice/1 r2`).
"""

from __future__ import annotations

from dataclasses import replace

from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.provider.ledger import Trace
from fake_oauth.provider.parties import User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.records import CodeRecord, RefreshRecord


def expire(realm: Realm, token: str) -> None:
    """Let a refresh token, a code or an access token have expired just now."""
    with realm.lock:
        now, found = realm.clock.now(), _found(realm, token)
        if isinstance(found, Trace):
            grant = found.grant
            if grant is not None and grant.fresh_until == found.expires_at:
                grant.fresh_until = now
            found.expires_at = now
        elif isinstance(found, CodeRecord):
            realm.ledger.codes.amend(replace(found, expires_at=now))
        else:
            realm.ledger.refresh_tokens.amend(replace(found, expires_at=now))


def revoke(realm: Realm, token: str, fate: str) -> None:
    """Revoke a token, a refresh token with all of its grant (RFC 7009 section 2.1)."""
    with realm.lock:
        found = _found(realm, token)
        if isinstance(found, Trace):
            found.fate = found.fate or fate
        elif isinstance(found, CodeRecord):
            realm.ledger.codes.kill(found, fate)
        else:
            realm.ledger.revoke_grant(found.grant, fate)


def revoke_user(realm: Realm, user: User, fate: str) -> None:
    """Revoke all that a user's log-ins led to, and end the user's sessions in browsers."""
    with realm.lock:
        for grant in realm.ledger.grants_of(user.sub):
            realm.ledger.revoke_grant(grant, fate)
        for code in [code for code in realm.ledger.codes if code.grant.sub == user.sub]:
            realm.ledger.codes.kill(code, fate)
        realm.sessions.end_all_of(user.sub)
        if realm.logged_in_everywhere == user.sub:
            realm.logged_in_everywhere = None


def _found(realm: Realm, token: str) -> RefreshRecord | CodeRecord | Trace:
    found = realm.ledger.token(token) or realm.ledger.named(token)
    if found is None:
        raise FakeOAuthError(
            f"there is no token {token!r}: expected a refresh token, a code or an access token of "
            "this server, or its name in the journal, such as 'alice/1 r2'"
        )
    return found
