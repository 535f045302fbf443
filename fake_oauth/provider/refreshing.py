"""How a refresh token is spent and renewed, as its policy says.

Check first, spend last: `presented` refuses, `renewed` spends. Both with the realm's lock held.
"""

from __future__ import annotations

from dataclasses import replace

from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.issuing import write_refresh_token
from fake_oauth.provider.parties import Client
from fake_oauth.provider.policies import RefreshPolicy
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.records import RefreshRecord


def presented(realm: Realm, client: Client, value: str, number: int) -> RefreshRecord:
    """The record of a refresh token that may be used now (contract, rule 9).

    A replay by the client that it belongs to revokes the family if the policy says so: that is all
    that a refused request ever changes.
    """
    now = realm.clock.now()
    record = realm.ledger.refresh_tokens.find(value)
    if record is None:
        raise OAuthError("invalid_grant", "refresh token unknown")
    flaw = record.flaw(now)
    if flaw is None:
        return record
    if record.spent_at is not None and record.grant.client_id == client.client_id:
        policy, ended = realm.policy(client), record.grant.ended
        if ended is None and _is_still_taken(record, record.spent_at, policy, now):
            return record
        if ended is not None:
            flaw += f", and its family {ended}"
        elif policy.on_replay == "revoke":
            flaw += ", and this replay revokes its family"
            fate = f"revoked by a replay in request {number}"
            realm.ledger.revoke_grant(record.grant, fate, access_tokens=policy.revoke_access_tokens)
    raise OAuthError("invalid_grant", f"refresh token {flaw}")


def renewed(
    realm: Realm, client: Client, record: RefreshRecord, number: int
) -> tuple[str | None, str]:
    """Use a refresh token. Returns the one for the reply, and a sentence for the journal."""
    now, shelf, policy = realm.clock.now(), realm.ledger.refresh_tokens, realm.policy(client)
    parent = None if record.parent is None else shelf.find(record.parent)
    if parent is not None and not parent.successor_used:
        shelf.amend(replace(parent, successor_used=True))
    if not policy.rotate:
        if policy.has_lifetimes or policy.sliding:
            seconds = realm.terms(client).refresh_token_seconds
            expires_at = policy.expires_at(now, record.family_since, seconds)
            shelf.amend(replace(record, expires_at=expires_at))
        given = record.value if policy.return_unchanged else None
        return given, "refreshed, same refresh token"
    successor = None if record.successor is None else shelf.find(record.successor)
    if successor is not None and policy.grace_gives == "successor":
        return successor.value, "refreshed again, same successor"
    value = write_refresh_token(realm, record.grant, now, parent=record)
    if record.spent_at is not None:
        shelf.amend(replace(record, successor=value))
        return value, "refreshed again, another successor"
    shelf.kill(replace(record, spent_at=now, successor=value), f"rotated away by request {number}")
    return value, "refreshed, refresh token rotated"


def _is_still_taken(
    record: RefreshRecord, spent_at: float, policy: RefreshPolicy, now: float
) -> bool:
    """Whether a token that is spent may be used once more."""
    if record.successor_used or record.has_expired(now):
        return False
    return policy.until_successor_used or now < spent_at + policy.grace_seconds
