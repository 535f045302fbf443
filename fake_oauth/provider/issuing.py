"""Issuing: grants, refresh tokens, codes, and the tokens of a reply.

Nothing is checked here and nothing is spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fake_oauth.provider.ledger import Trace
from fake_oauth.provider.lineage import Grant
from fake_oauth.provider.parties import Client, RefreshToken, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.records import CodeRecord, RefreshRecord
from fake_oauth.provider.tokens import (
    Subject,
    TokenSet,
    access_token_claims,
    id_token_claims,
    sign,
)


def issue(realm: Realm, client: Client, user: User, scopes: Sequence[str]) -> TokenSet:
    """A first set of tokens, as if the user had just logged in at the client."""
    grant = log_in(realm, client.client_id, user, scopes)
    tokens = first_tokens(realm, grant)
    received(realm, tokens.access_token)
    return tokens


def received(realm: Realm, token: str) -> str | None:
    """Note that a client has received a token. Returns its name; None for an unknown one."""
    with realm.lock:
        found = realm.ledger.token(token)
        if isinstance(found, Trace) and found.grant is not None:
            found.grant.fresh_until = found.expires_at
        return None if found is None else found.alias


def log_in(
    realm: Realm, client_id: str, user: User, scopes: Iterable[str], *, is_planted: bool = False
) -> Grant:
    """A new grant of a user; one that is planted is there without a log-in."""
    with realm.lock:
        return realm.ledger.open(
            client_id, user.sub, scopes, name=user.login, is_planted=is_planted
        )


def first_tokens(realm: Realm, grant: Grant, *, nonce: str | None = None) -> TokenSet:
    """The tokens that a new grant buys; no refresh token for a client that may not refresh."""
    now = realm.clock.now()
    refresh_token = None
    if realm.owner(grant).may_use("refresh_token"):
        with realm.lock:
            refresh_token = write_refresh_token(realm, grant, now)
    return mint(realm, grant, now, refresh_token=refresh_token, nonce=nonce)


def write_refresh_token(
    realm: Realm, grant: Grant, now: float, *, parent: RefreshRecord | None = None
) -> str:
    """Put a new refresh token into the ledger: the first of its family, or a successor."""
    family_since = now if parent is None else parent.family_since
    client = realm.owner(grant)
    seconds = realm.terms(client).refresh_token_seconds
    record = RefreshRecord(
        value=realm.ids.draw("refresh_token"),
        alias=grant.name("r"),
        grant=grant,
        family_since=family_since,
        parent=None if parent is None else parent.value,
        expires_at=realm.policy(client).expires_at(now, family_since, seconds),
    )
    realm.ledger.refresh_tokens.write(record, now)
    return record.value


def write_code(
    realm: Realm,
    grant: Grant,
    *,
    redirect_uri: str | None,
    code_challenge: str | None,
    nonce: str | None,
) -> str:
    """Put a new authorization code into the ledger."""
    now = realm.clock.now()
    with realm.lock:
        record = CodeRecord(
            value=realm.ids.draw("code"),
            alias=grant.name("c"),
            grant=grant,
            redirect_uri=redirect_uri,
            code_challenge=code_challenge,
            nonce=nonce,
            expires_at=now + realm.terms(realm.owner(grant)).code_seconds,
        )
        realm.ledger.codes.write(record, now)
    return record.value


def mint(
    realm: Realm,
    grant: Grant,
    now: float,
    *,
    scopes: Sequence[str] | None = None,
    refresh_token: str | None = None,
    nonce: str | None = None,
) -> TokenSet:
    """Sign the tokens of one reply. Nothing is checked and nothing is spent.

    `scopes` narrows this reply; whether there is an id_token is up to the grant.
    """
    terms = realm.terms(realm.owner(grant))
    words = grant.scopes if scopes is None else sorted(set(scopes))
    subject = _subject(realm, grant, now)
    jti = realm.ids.draw("jti")
    with realm.lock:
        realm.ledger.trace(jti, grant, int(now) + terms.access_token_seconds, now)
    access_token = access_token_claims(
        subject, scopes=words, lifetime_seconds=terms.access_token_seconds, jti=jti
    )
    id_token = None
    if grant.is_users and "openid" in grant.scopes:
        id_token = id_token_claims(
            subject,
            lifetime_seconds=terms.id_token_seconds,
            nonce=nonce,
            jti=realm.ids.draw("jti"),
        )
    return TokenSet(
        access_token=sign(realm.keys.signing, access_token),
        refresh_token=refresh_token,
        scope=" ".join(words) or None,
        id_token=None if id_token is None else sign(realm.keys.signing, id_token),
        expires_in=terms.access_token_seconds - realm.conventions.expires_in_less,
    )


def _subject(realm: Realm, grant: Grant, now: float) -> Subject:
    user = realm.users.get(grant.sub) if grant.is_users else None
    return Subject(
        issuer=realm.issuer,
        sub=grant.sub,
        client_id=grant.client_id,
        issued_at=int(now),
        extra_claims={
            **(user.claims if user else {}),
            **realm.owner(grant).extra_claims,
        },
    )


def plant(realm: Realm, token: RefreshToken) -> None:
    owner = next(iter(realm.clients)) if token.client is None else token.client
    user = next(iter(realm.users.values()))
    if token.user is not None:
        user = realm.user_by_login(token.user) or user
    scopes = realm.clients[owner].scopes if token.scope is None else token.scope.split()
    now = realm.clock.now()
    expires_at = None if token.lifetime_seconds is None else now + token.lifetime_seconds
    grant = log_in(realm, owner, user, scopes, is_planted=True)
    record = RefreshRecord(
        value=token.value,
        alias=grant.name("r"),
        grant=grant,
        family_since=now,
        expires_at=expires_at,
    )
    realm.ledger.refresh_tokens.write(record, now)
