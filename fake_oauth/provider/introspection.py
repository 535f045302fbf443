"""What a protected resource is told about a token (RFC 7662)."""

from __future__ import annotations

from typing import Any

from fake_oauth.provider.asking import Ask
from fake_oauth.provider.bearer import inspected, owner_of, scopes_of
from fake_oauth.provider.checks import has_its_user
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.records import RefreshRecord

# The claims of an access token that the reply repeats (section 2.2).
_REPEATED = ("exp", "iat", "nbf", "sub", "aud", "iss", "jti")


def introspect(realm: Realm, ask: Ask) -> tuple[dict[str, Any], str]:
    """What is told about a token, and a sentence for the journal.

    Of one that cannot be used no more is told than that it is not active (section 2.2). A client
    that only names itself is refused (section 2.1). `token_type_hint` is not needed.
    """
    client = realm.authenticate(ask.credentials)
    if client.is_public:
        reason = f"client {client.client_id} is public, its client_id alone proves nothing"
        raise OAuthError("invalid_client", reason)
    value = ask.params.required("token")
    now = realm.clock.now()
    with realm.lock:
        record = realm.ledger.refresh_tokens.find(value)
        if record is not None:
            flaw = _flaw(realm, record, now)
            told = _of_refresh_token(realm, record)
        else:
            claims, flaw = inspected(realm, value, now)
            told = {} if flaw is not None else _of_access_token(realm, claims)
    if flaw is not None:
        return {"active": False}, flaw
    return {"active": True, **told}, "the token is active"


def _flaw(realm: Realm, record: RefreshRecord, now: float) -> str | None:
    if (flaw := record.flaw(now)) is not None:
        return f"refresh token {flaw}"
    try:
        has_its_user(realm, record.grant)
    except OAuthError as error:
        return error.reason
    return None


def _of_refresh_token(realm: Realm, record: RefreshRecord) -> dict[str, Any]:
    grant = record.grant
    expiry = {} if record.expires_at is None else {"exp": int(record.expires_at)}
    return {
        **({"scope": " ".join(grant.scopes)} if grant.scopes else {}),
        "client_id": grant.client_id,
        **_username(realm, grant.sub),
        **expiry,
        "sub": grant.sub,
        "iss": realm.issuer,
    }


def _of_access_token(realm: Realm, claims: dict[str, Any]) -> dict[str, Any]:
    return {
        **({"scope": " ".join(scopes)} if (scopes := scopes_of(claims)) else {}),
        "client_id": owner_of(realm, claims),
        **_username(realm, claims["sub"]),
        "token_type": "Bearer",
        **{name: claims[name] for name in _REPEATED if name in claims},
    }


def _username(realm: Realm, sub: str) -> dict[str, str]:
    user = realm.users.get(sub)
    return {} if user is None else {"username": user.login}
