"""The token endpoint's rules: who gets tokens for what.

`token` judges a request in the contract's order: the client, the grant_type, the parameters,
the grant. To add a grant, write a function named as its grant_type and give it a row in
`GRANTS`; discovery, settings and the client's `grant_types` follow the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from fake_oauth.provider import otp
from fake_oauth.provider.asking import Ask, Params
from fake_oauth.provider.checks import active, auth_source_of, has_its_user, may_use, scopes_among
from fake_oauth.provider.conventions import EMAIL, SMS
from fake_oauth.provider.errors import OAuthError, bad_parameter
from fake_oauth.provider.issuing import first_tokens, log_in, mint
from fake_oauth.provider.keys import base64url
from fake_oauth.provider.parties import AuthSource, Client, Identifier, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.records import CodeRecord, RefreshRecord
from fake_oauth.provider.refreshing import presented, renewed
from fake_oauth.provider.tokens import Granted

# For who logs in by password where no auth source is asked for.
ANY_NAME: Final = AuthSource(id="any", kind="password", accepts=("username", "phone", "email"))
_DIGITS: Final = re.compile(r"\+?\d{6,}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantType:
    """A row of `GRANTS`."""

    run: Callable[[Realm, Client, Ask], Granted]
    is_public: bool = False
    """Whether a client_id alone says who asks."""
    reads_json: bool = False
    """Whether its parameters may come as JSON."""


def token(realm: Realm, ask: Ask) -> Granted:
    """Judge one request to the token endpoint (RFC 6749 section 3.2)."""
    row = _row(realm, ask.params)
    if row is GRANTS["authorization_code"]:
        _pkce_client_is_named(realm, ask)
    if ask.credentials.method == "none" and (row is None or not row.is_public):
        # A client_id alone names a client only together with a grant that is open to public ones.
        reason = "client_id alone, with no grant_type that a public client may use"
        raise OAuthError(realm.conventions.unidentified, reason)
    client = realm.authenticate(ask.credentials)
    grant_type = ask.params.once("grant_type")
    if row is None:
        raise bad_parameter(
            "grant_type", f"grant_type {grant_type!r} unknown", code="unsupported_grant_type"
        )
    return row.run(realm, client, ask)


def refresh_token(realm: Realm, client: Client, ask: Ask) -> Granted:
    """RFC 6749 section 6, CIAM 1441/64400."""
    value = ask.params.required("refresh_token")
    asked = ask.params.optional("scope")
    with realm.lock:
        now = realm.clock.now()
        record = presented(realm, client, value, ask.number)
        _belongs(realm, "refresh token", record, client)
        may_use(client, "refresh_token")
        has_its_user(realm, record.grant)
        scopes = scopes_among(asked, record.grant.scopes, verb="granted")
        given, reason = renewed(realm, client, record, ask.number)
    return Granted(mint(realm, record.grant, now, scopes=scopes, refresh_token=given), reason)


def authorization_code(realm: Realm, client: Client, ask: Ask) -> Granted:
    """RFC 6749 section 4.1.3, RFC 7636 section 4.6, CIAM 1441/64398 and 1441/64396."""
    params = ask.params
    if client.is_public and "code_verifier" not in params:
        reason = f"client {client.client_id} is public and sent no code_verifier"
        raise OAuthError(realm.conventions.unidentified, reason)
    value = params.required("code")
    redirect_uri, verifier = params.optional("redirect_uri"), params.optional("code_verifier")
    bad_code = "invalid_grant"
    if client.is_public:
        bad_code = realm.conventions.bad_code_of_public_client
    shelf = realm.ledger.codes
    with realm.lock:
        now = realm.clock.now()
        record = shelf.find(value)
        if record is None:
            raise OAuthError(bad_code, "code unknown")
        if record.grant.client_id != client.client_id and record.fate is None:
            shelf.kill(record, f"presented by client {client.client_id} in request {ask.number}")
        _belongs(realm, "code", record, client)
        if (flaw := record.flaw(now)) is not None:
            if record.fate is not None and realm.terms(client).revoke_on_code_reuse:
                realm.ledger.revoke_grant(record.grant, f"revoked by request {ask.number}")
            raise OAuthError(bad_code, f"code {flaw}")
        may_use(client, "authorization_code")
        if record.redirect_uri is not None and redirect_uri != record.redirect_uri:
            raise OAuthError(
                bad_code, f"redirect_uri is not {record.redirect_uri}, where the code was sent"
            )
        _proves_possession(realm, record, verifier)
        has_its_user(realm, record.grant, code=bad_code)
        shelf.kill(record, f"used by request {ask.number}")
        # Still with the lock held: a reuse that revokes the grant must find its refresh token.
        tokens = first_tokens(realm, record.grant, nonce=record.nonce)
    return Granted(tokens, "code exchanged")


def client_credentials(realm: Realm, client: Client, ask: Ask) -> Granted:
    """RFC 6749 section 4.4, CIAM 1148/51483."""
    asked = ask.params.optional("scope")
    if client.is_public:
        reason = f"client {client.client_id} is public, its credentials prove nothing"
        raise OAuthError("unauthorized_client", reason)
    may_use(client, "client_credentials")
    scopes = scopes_among(asked, client.scopes, verb="registered")
    with realm.lock:
        grant = realm.ledger.open(client.client_id, client.client_id, scopes, is_users=False)
    return Granted(mint(realm, grant, realm.clock.now()), "the client's own token")


def password(realm: Realm, client: Client, ask: Ask) -> Granted:
    """RFC 6749 section 4.3, CIAM 1148/51473."""
    params = ask.params
    source_id = None
    if realm.conventions.password_names_auth_source:
        source_id = params.required("auth_source_id")
    username, secret = params.required("username"), params.required("password")
    asked = params.optional("scope")
    may_use(client, "password")
    scopes = scopes_among(asked, client.scopes, verb="registered")
    source = ANY_NAME
    if source_id is not None:
        source = auth_source_of(realm, client, source_id, ("password",))
    user = check_password(realm, source, username, secret)
    with realm.lock:
        grant = log_in(realm, client.client_id, user, scopes)
    return Granted(first_tokens(realm, grant), f"{user.login} logged in by password")


GRANTS: Final[Mapping[str, GrantType]] = {
    "authorization_code": GrantType(run=authorization_code, is_public=True),
    "client_credentials": GrantType(run=client_credentials, is_public=True),
    "refresh_token": GrantType(run=refresh_token, is_public=True),
    "password": GrantType(run=password),
    SMS: GrantType(run=otp.sms, reads_json=True),
    EMAIL: GrantType(run=otp.email, reads_json=True),
}


def reads_json(realm: Realm, params: Params) -> bool:
    """Rule 18: whether these parameters may come as JSON."""
    row = _row(realm, params)
    return row is not None and row.reads_json


def check_password(realm: Realm, source: AuthSource, username: str, secret: str) -> User:
    """The user whose password this is (CIAM 1148/51473)."""
    kind = _kind_of(username)
    if kind not in source.accepts:
        raise OAuthError(
            "invalid_grant",
            f"{username!r} looks like a {kind}, auth source {source.id} accepts "
            + ", ".join(source.accepts),
            text="unsupported_identifier",
        )
    attribute = "login" if kind == "username" else kind
    found = [user for user in realm.users.values() if getattr(user, attribute) == username]
    if not found or found[0].password is None or found[0].password != secret:
        reason = f"password of {username} wrong" if found else f"no user has {kind} {username}"
        raise OAuthError("invalid_grant", reason, text="wrong_password")
    return active(found[0])


def _kind_of(username: str) -> Identifier:
    if "@" in username:
        return "email"
    return "phone" if _DIGITS.fullmatch(username) else "username"


def _row(realm: Realm, params: Params) -> GrantType | None:
    name = otp.canonical(params.get("grant_type", ""), realm.issuer)
    return GRANTS[name] if name in realm.conventions.grants else None


def _belongs(realm: Realm, what: str, record: CodeRecord | RefreshRecord, client: Client) -> None:
    """Rule 10."""
    owner = record.grant.client_id
    if owner != client.client_id:
        raise OAuthError(realm.conventions.foreign_token, f"{what} belongs to client {owner}")


def _pkce_client_is_named(realm: Realm, ask: Ask) -> None:
    """The PKCE page's answer to a client_id that is missing or unknown (CIAM 1441/64396)."""
    credentials = ask.credentials
    with_verifier = "code_verifier" in ask.params and "client_secret" not in ask.params
    if with_verifier and credentials.method in (None, "none") and credentials.client_id is None:
        reason = "no client_id beside the code_verifier"
        raise OAuthError(realm.conventions.unnamed_client, reason)
    if (
        with_verifier
        and credentials.method == "none"
        and credentials.client_id not in realm.clients
    ):
        reason = f"client {credentials.client_id} unknown"
        raise OAuthError(realm.conventions.unnamed_client, reason)


def s256(code_verifier: str) -> str:
    """The code_challenge of a code_verifier (RFC 7636 section 4.2)."""
    return base64url(sha256(code_verifier.encode()).digest())


def _proves_possession(realm: Realm, record: CodeRecord, verifier: str | None) -> None:
    """RFC 7636 section 4.6. A verifier without a challenge is refused too (RFC 9700, 4.8.2)."""
    reason = None
    if verifier is None:
        if record.code_challenge is not None:
            reason = "code_verifier missing, a code_challenge was sent"
    elif record.code_challenge is None:
        reason = "code_verifier sent, but no code_challenge before it"
    elif s256(verifier) != record.code_challenge:
        reason = "code_verifier does not match the code_challenge"
    if reason is not None:
        raise OAuthError(realm.conventions.failed_proof, reason)
