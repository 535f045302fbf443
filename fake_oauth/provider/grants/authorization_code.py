"""The authorization code grant (RFC 6749 section 4.1.3, CIAM 1441/64398) with PKCE (RFC 7636)."""

from __future__ import annotations

from hashlib import sha256

from fake_oauth.provider import resources
from fake_oauth.provider.dpop import require_key
from fake_oauth.provider.errors import Cause, OAuthError
from fake_oauth.provider.issuing import Granted, first_tokens
from fake_oauth.provider.keys import base64url
from fake_oauth.provider.model import Client
from fake_oauth.provider.realm import Realm, unidentified
from fake_oauth.provider.request import TokenRequest
from fake_oauth.provider.store import AuthorizationCode, State

_CAUSES: dict[State, Cause] = {
    "expired": "code_expired",
    "spent": "code_spent",
    "revoked": "code_revoked",
}


def s256(code_verifier: str) -> str:
    """Return the code_challenge of a code_verifier (RFC 7636 section 4.2)."""
    return base64url(sha256(code_verifier.encode()).digest())


def identify_pkce_client(realm: Realm, request: TokenRequest) -> None:
    """Check how a client without a secret identifies itself (CIAM 1441/64396)."""
    parameters, credentials = request.parameters, request.credentials
    if credentials.method not in (None, "none") or "client_secret" in parameters:
        return
    client = realm.clients.get(credentials.client_id or "")
    if "code_verifier" in parameters:
        reason = None
        if credentials.client_id is None:
            reason = "no client_id with the code_verifier"
        elif credentials.method == "none" and client is None:
            reason = realm.clients.absence(credentials.client_id)
        if reason is not None:
            raise OAuthError("invalid_client", reason, cause="pkce_client_unknown")
    elif not realm.dialect.identifies_by_verifier:
        return
    elif client is not None and client.is_public and client.enabled:
        raise unidentified(f"client {client.client_id} is public and sent no code_verifier")


def authorization_code(realm: Realm, client: Client, request: TokenRequest) -> Granted:
    """Issue tokens for an authorization code, which is used up by it."""
    parameters = request.parameters
    value = parameters["code"]

    def refused(reason: str, cause: Cause) -> OAuthError:
        return OAuthError("invalid_grant", reason, cause=cause, client=client)

    with realm.lock:
        now = realm.clock.now()
        code = realm.store.codes.find(value)
        if code is None:
            raise refused("code unknown", "code_unknown")
        if code.grant.client_id != client.client_id and code.spent is None:
            code.spent = f"presented by client {client.client_id} in request {request.number}"
        realm.require_own(code.grant, client, "code")
        if (flaw := code.flaw(now)) is not None:
            state, reason = flaw
            if state != "expired" and realm.terms(client).revoke_on_code_reuse:
                realm.store.revoke_grant(code.grant, f"revoked by request {request.number}")
            raise refused(f"code {reason}", _CAUSES[state])
        realm.require_grant_type(client, "authorization_code")
        redirect_uri = parameters.optional("redirect_uri")
        if code.redirect_uri is not None and redirect_uri != code.redirect_uri:
            reason = f"redirect_uri is not {code.redirect_uri}, where the code was sent"
            raise refused(reason, "redirect_uri_mismatch")
        _require_possession(code, client, parameters.optional("code_verifier"))
        require_key(code.jkt, request.jkt, "code")
        realm.user_of(code.grant, client=client)
        audience, note = resources.audience(realm, parameters, code.grant.resources)
        code.spent = f"used by request {request.number}"
        realm.store.codes.retire(value)
    return first_tokens(
        realm,
        code.grant,
        nonce=code.nonce,
        audience=audience,
        jkt=request.jkt,
        reason=f"code exchanged{note}",
    )


def _require_possession(code: AuthorizationCode, client: Client, verifier: str | None) -> None:
    """Check the proof (RFC 7636 section 4.6; without a challenge RFC 9700 section 4.8.2).

    A public client has to use PKCE (RFC 9700 section 2.1.1), also with a code that a test issued.
    """
    reason = None
    if verifier is None:
        if code.code_challenge is not None:
            reason = "code_verifier missing, but a code_challenge was sent"
        elif client.is_public:
            reason = f"code_verifier missing, and client {client.client_id} is public"
    elif code.code_challenge is None:
        reason = "code_verifier sent, but no code_challenge before it"
    elif s256(verifier) != code.code_challenge:
        reason = "code_verifier does not match the code_challenge"
    if reason is not None:
        raise OAuthError("invalid_grant", reason, cause="code_verifier")
