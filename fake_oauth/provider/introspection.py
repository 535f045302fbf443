"""The introspection endpoint: what a protected resource learns about a token (RFC 7662)."""

from __future__ import annotations

from typing import Any, Final

from fake_oauth.provider.bearer import Inspection, inspect
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Credentials, TokenRequest
from fake_oauth.provider.store import RefreshToken

# The claims of an access token that the response repeats (RFC 7662 section 2.2; RFC 8693 sections
# 4.1 and 4.4; RFC 9449 section 6.2).
_REPEATED: Final = ("exp", "iat", "nbf", "sub", "aud", "iss", "jti", "act", "may_act", "cnf")


def introspect(realm: Realm, request: TokenRequest) -> tuple[dict[str, Any], str]:
    """Return the response about a token, and a sentence for the journal.

    The response says no more of an unusable token than that it is not active (section 2.2). A
    client that only names itself is refused (section 2.1). `token_type_hint` is not needed.
    """
    note = ""
    if request.credentials == Credentials() and realm.acceptance.anonymous_introspection:
        note = "; the request has no client authentication, which stricter servers require"
    else:
        client = realm.authenticate(request.credentials)
        if client.is_public:
            reason = f"client {client.client_id} is public, its client_id alone proves nothing"
            raise OAuthError("invalid_client", reason, cause="client_auth_method")
    value = request.parameters.required("token")
    now = realm.clock.now()
    with realm.lock:
        record = realm.store.refresh_tokens.find(value)
        if record is not None:
            flaw = _flaw(realm, record, now)
            members = _refresh_token_members(realm, record)
        else:
            token = inspect(realm, value, now)
            flaw = None if token.flaw is None else token.reason
            members = _access_token_members(realm, token)
    if flaw is not None:
        return {"active": False}, f"{flaw}{note}"
    return {"active": True, **members}, f"the token is active{note}"


def _flaw(realm: Realm, token: RefreshToken, now: float) -> str | None:
    if (flaw := token.flaw(now)) is not None:
        return f"refresh token {flaw[1]}"
    try:
        realm.user_of(token.grant)
    except OAuthError as error:
        return error.reason
    return None


def _refresh_token_members(realm: Realm, token: RefreshToken) -> dict[str, Any]:
    grant = token.grant
    expiry = {} if token.expires_at is None else {"exp": int(token.expires_at)}
    return {
        **({"scope": " ".join(grant.scopes)} if grant.scopes else {}),
        "client_id": grant.client_id,
        **_username(realm, grant.sub),
        **expiry,
        "sub": grant.sub,
        "iss": realm.issuer,
    }


def _access_token_members(realm: Realm, token: Inspection) -> dict[str, Any]:
    return {
        **({"scope": " ".join(token.scopes)} if token.scopes else {}),
        **({} if token.client_id is None else {"client_id": token.client_id}),
        **_username(realm, token.sub),
        # RFC 9449 section 6.2
        "token_type": "Bearer" if token.jkt is None else "DPoP",
        **{name: token.claims[name] for name in _REPEATED if name in token.claims},
    }


def _username(realm: Realm, sub: str | None) -> dict[str, str]:
    user = realm.users.get(sub or "")
    return {} if user is None else {"username": user.login_name}
