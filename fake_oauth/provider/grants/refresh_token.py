"""The refresh grant (RFC 6749 section 6, CIAM 1441/64400): a policy says what a refresh does."""

from __future__ import annotations

from typing import Final

from fake_oauth.provider import resources
from fake_oauth.provider.dpop import require_key
from fake_oauth.provider.errors import Cause, OAuthError
from fake_oauth.provider.issuing import Granted, mint, new_refresh_token
from fake_oauth.provider.model import Client
from fake_oauth.provider.policies import RefreshPolicy
from fake_oauth.provider.realm import Realm, granted_scopes
from fake_oauth.provider.request import TokenRequest
from fake_oauth.provider.store import RefreshToken, State

_CAUSES: dict[State, Cause] = {
    "expired": "refresh_token_expired",
    "spent": "refresh_token_spent",
    "revoked": "refresh_token_revoked",
}

KEPT_OLD: Final = "refreshed, new refresh token, and the old one stays valid"
"""The beginning of the reason of a refresh that spends nothing."""


def refresh_token(realm: Realm, client: Client, request: TokenRequest) -> Granted:
    """Issue tokens for a refresh token. The lock makes check and use one step."""
    scope = request.parameters.optional("scope")
    with realm.lock:
        now = realm.clock.now()
        token = _presented(realm, client, request, now)
        realm.require_own(token.grant, client, "refresh token")
        realm.require_grant_type(client, "refresh_token")
        realm.user_of(token.grant)
        if token.grant.jkt is not None:
            require_key(token.grant.jkt, request.jkt, "refresh token")
        scopes = granted_scopes(scope, token.grant.scopes, verb="granted")
        audience, note = resources.audience(realm, request.parameters, token.grant.resources)
        policy = realm.policy(client)
        issued, returned, reason = _use(realm, client, policy, token, now, request.number)
        if request.jkt is not None and client.is_public and issued is not token:
            token.grant.jkt = request.jkt  # New refresh tokens are bound (RFC 9449 section 5).
        ends = None
        if policy.end_old_access_tokens:
            ends = f"ended by request {request.number}"
            reason += ", and earlier access tokens ended"
    return mint(
        realm,
        token.grant,
        now,
        scopes=scopes,
        refresh_token=issued,
        returned=returned,
        audience=audience,
        jkt=request.jkt,
        ends=ends,
        reason=f"{reason}{note}" if note else reason,
    )


def _presented(realm: Realm, client: Client, request: TokenRequest, now: float) -> RefreshToken:
    """Return the presented refresh token, if it can be used now (docs/reference/token.md, rule 9).

    A replay by the token's own client revokes the family if the policy says so. A refused request
    changes nothing else.
    """
    token = request.presented.get("refresh_token")
    if token is None:
        token = realm.store.refresh_tokens.find(request.parameters["refresh_token"])
    if not isinstance(token, RefreshToken):
        raise OAuthError("invalid_grant", "refresh token unknown", cause="refresh_token_unknown")
    flaw = token.flaw(now)
    if flaw is None:
        return token
    state, reason = flaw
    if token.spent_at is not None and token.grant.client_id == client.client_id:
        policy, ended = realm.policy(client), token.grant.refresh_tokens_revoked
        if ended is None and not token.has_expired(now):
            since, used = now - token.spent_at, token.successor_used
            if policy.is_in_grace(since, successor_used=used):
                return token
        if ended is not None:
            reason += f", and its family {ended}"
        elif policy.on_replay == "revoke":
            reason += ", and this replay revokes its family"
            realm.store.revoke_grant(
                token.grant,
                f"revoked by a replay in request {request.number}",
                access_tokens=policy.revoke_access_tokens,
            )
    raise OAuthError("invalid_grant", f"refresh token {reason}", cause=_CAUSES[state])


def _use(
    realm: Realm,
    client: Client,
    policy: RefreshPolicy,
    token: RefreshToken,
    now: float,
    number: int,
) -> tuple[RefreshToken, bool, str]:
    """Use a refresh token. Return the token for the response, whether the response has it, and a
    sentence for the journal."""
    store, age = realm.store.refresh_tokens, policy.rotate_after_seconds
    store.use(token, now)
    if token.spent_at is not None:
        return _use_again(realm, policy, token, now)
    if not policy.rotate or (age and now < token.issued_at + age):
        if policy.has_lifetimes or policy.sliding:
            seconds = realm.terms(client).refresh_token_seconds
            token.expires_at = policy.expires_at(now, token.family_since, seconds)
        return token, policy.return_unchanged, "refreshed, same refresh token"
    successor = new_refresh_token(realm, token.grant, now, parent=token)
    if policy.keep_old:
        store.put_beside(token, successor, now)
        return successor, True, KEPT_OLD
    kept_until = now + policy.grace_seconds if policy.grace_after_use else 0
    store.spend(token, successor, now, f"rotated by request {number}", kept_until=kept_until)
    return successor, True, "refreshed, refresh token rotated"


def _use_again(
    realm: Realm, policy: RefreshPolicy, token: RefreshToken, now: float
) -> tuple[RefreshToken, bool, str]:
    """Use a spent refresh token in its grace period. Return the same as `_use`."""
    if policy.grace_gives == "access_token":
        return token, False, "refreshed again, without a refresh token"
    if policy.grace_gives == "successor" and token.successor is not None:
        return token.successor, True, "refreshed again, same successor"
    token.successor = new_refresh_token(realm, token.grant, now, parent=token)
    realm.store.refresh_tokens.put_beside(token, token.successor, now)
    return token.successor, True, "refreshed again, another successor"
