"""The refresh grant (RFC 6749 section 6, CIAM 1441/64400): a policy says what a refresh does."""

from __future__ import annotations

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
        issued, returned, reason = _use(realm, client, token, now, request.number)
        if request.jkt is not None and client.is_public and issued is not token:
            token.grant.jkt = request.jkt  # New refresh tokens are bound (RFC 9449 section 5).
    return mint(
        realm,
        token.grant,
        now,
        scopes=scopes,
        refresh_token=issued,
        returned=returned,
        audience=audience,
        jkt=request.jkt,
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
        if ended is None and _is_still_accepted(token, token.spent_at, policy, now):
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
    realm: Realm, client: Client, token: RefreshToken, now: float, number: int
) -> tuple[RefreshToken, bool, str]:
    """Use a refresh token. Return the token for the response, whether the response has it, and a
    sentence for the journal."""
    store, policy = realm.store.refresh_tokens, realm.policy(client)
    store.use(token)
    if not policy.rotate:
        if policy.has_lifetimes or policy.sliding:
            seconds = realm.terms(client).refresh_token_seconds
            token.expires_at = policy.expires_at(now, token.family_since, seconds)
        return token, policy.return_unchanged, "refreshed, same refresh token"
    if token.successor is not None and policy.grace_gives == "successor":
        return token.successor, True, "refreshed again, same successor"
    successor = new_refresh_token(realm, token.grant, now, parent=token)
    if token.spent_at is not None:
        token.successor = successor
        return successor, True, "refreshed again, another successor"
    store.spend(token, successor, now, f"rotated by request {number}")
    return successor, True, "refreshed, refresh token rotated"


def _is_still_accepted(
    token: RefreshToken, spent_at: float, policy: RefreshPolicy, now: float
) -> bool:
    """Return whether a spent token can be used once more."""
    if token.successor_used or token.has_expired(now):
        return False
    return policy.until_successor_used or now < spent_at + policy.grace_seconds
