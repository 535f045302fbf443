"""The token endpoint's rules: who gets tokens for what.

`token` judges a request in the contract's order: the client, the grant_type, the parameters,
the grant. To add a grant, write a function named as its grant_type and give it a row in
`GRANTS`; discovery, settings and the client's `grant_types` follow the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fake_oauth.provider.asking import Ask
from fake_oauth.provider.errors import OAuthError, bad_parameter
from fake_oauth.provider.ledger import RefreshRecord
from fake_oauth.provider.parties import Client
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.tokens import TokenSet


@dataclass(frozen=True, slots=True)
class Granted:
    """The tokens that a request bought, and a sentence for the journal."""

    tokens: TokenSet
    reason: str


def token(realm: Realm, ask: Ask) -> Granted:
    """Judge one request to the token endpoint (RFC 6749 section 3.2)."""
    if ask.credentials.method == "none" and ask.params.get("grant_type") not in GRANTS:
        # A client_id alone names a client only together with a grant that is open to public ones.
        raise OAuthError(None, "client_id alone, with no grant_type that a public client may use")
    client = realm.authenticate(ask.credentials)
    grant_type = ask.params.once("grant_type")
    grant = GRANTS.get(grant_type)
    if grant is None:
        raise bad_parameter(
            "grant_type", f"grant_type {grant_type!r} unknown", code="unsupported_grant_type"
        )
    return grant(realm, client, ask)


def refresh_token(realm: Realm, client: Client, ask: Ask) -> Granted:
    """RFC 6749 section 6, CIAM 1441/64400."""
    value = ask.params.required("refresh_token")
    asked = ask.params.optional("scope")
    with realm.lock:
        now = realm.clock.now()
        record = _spendable(realm, value, now)
        if record.client_id != client.client_id:
            raise OAuthError(
                "invalid_client", f"refresh token belongs to client {record.client_id}"
            )
        _may_use(client, "refresh_token")
        scopes = _narrowed(asked, record)
        if realm.terms(client).rotate_refresh_tokens:
            realm.ledger.kill(record, f"rotated away by request {ask.number}")
            value = realm.write_refresh_token(client, record.sub, record.scopes, now)
            reason = "refreshed, refresh token rotated"
        else:
            reason = "refreshed, same refresh token"
    openid = "openid" in record.scopes
    return Granted(realm.mint(client, record.sub, scopes, now, value, openid=openid), reason)


Grant = Callable[[Realm, Client, Ask], Granted]

GRANTS: Final[Mapping[str, Grant]] = {
    "refresh_token": refresh_token,
}


def _spendable(realm: Realm, value: str, now: float) -> RefreshRecord:
    record = realm.ledger.find(value)
    if record is None:
        raise OAuthError("invalid_grant", "refresh token unknown")
    if record.fate is not None:
        raise OAuthError("invalid_grant", f"refresh token {record.fate}")
    seconds = record.expired_for(now)
    if seconds is not None:
        raise OAuthError("invalid_grant", f"refresh token expired {seconds:.0f} s ago")
    return record


def _may_use(client: Client, grant_type: str) -> None:
    if not client.may_use(grant_type):
        raise OAuthError(
            "unauthorized_client", f"client {client.client_id} may not use grant_type {grant_type}"
        )


def _narrowed(asked: str | None, record: RefreshRecord) -> tuple[str, ...]:
    """The scopes of this refresh: those asked for, none of them new (RFC 6749 section 6)."""
    if asked is None:
        return record.scopes
    words = asked.split(" ")
    if "" in words:
        raise OAuthError("invalid_scope", "scope has a space too many")
    for word in words:
        if word not in record.scopes:
            granted = " ".join(record.scopes) or "none"
            raise OAuthError("invalid_scope", f"scope {word!r} was not granted; granted: {granted}")
    return tuple(words)
