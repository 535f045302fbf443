"""Issuing: a login opens a grant, and a grant gets codes and tokens.

Nothing is checked here, and nothing is spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fake_oauth.provider.model import Client, PreconfiguredRefreshToken, User
from fake_oauth.provider.realm import Realm, registered_scopes
from fake_oauth.provider.store import (
    AccessToken,
    AuthorizationCode,
    Grant,
    IssuedToken,
    RefreshToken,
)
from fake_oauth.provider.tokens import TokenDetails, TokenSet, encode


@dataclass(frozen=True, slots=True)
class Granted:
    """The tokens that a request gets, their records, and a sentence for the journal."""

    tokens: TokenSet
    issued: tuple[IssuedToken, ...]
    """The records of the refresh token and the access token."""
    reason: str


def log_in(
    realm: Realm, client: Client, user: User, scopes: Iterable[str], *, at: float | None = None
) -> Grant:
    """Return a new grant of a user who has logged in at a time; None is now."""
    with realm.lock:
        grant = realm.store.open_grant(client.client_id, user.sub, scopes, owner=user.login_name)
    grant.auth_time = int(realm.clock.now() if at is None else at)
    return grant


def first_tokens(
    realm: Realm,
    grant: Grant,
    *,
    nonce: str | None = None,
    jkt: str | None = None,
    reason: str = "",
) -> Granted:
    """Issue the tokens of a new grant. A client that is not allowed to refresh gets no refresh
    token.

    The access token is bound to the key with the thumbprint `jkt`, if there is one. So are the
    refresh tokens of a public client (RFC 9449 section 5).
    """
    now = realm.clock.now()
    refresh_token, client = None, realm.owner(grant)
    if client.may_use("refresh_token"):
        with realm.lock:
            refresh_token = new_refresh_token(realm, grant, now)
            if client.is_public:
                grant.jkt = jkt
    return mint(realm, grant, now, refresh_token=refresh_token, nonce=nonce, jkt=jkt, reason=reason)


def new_refresh_token(
    realm: Realm, grant: Grant, now: float, *, parent: RefreshToken | None = None
) -> RefreshToken:
    """Store a new refresh token: the first of its family, or the successor of `parent`."""
    family_since = now if parent is None else parent.family_since
    client = realm.owner(grant)
    seconds = realm.terms(client).refresh_token_seconds
    token = RefreshToken(
        value=realm.ids.draw("refresh_token"),
        grant=grant,
        number=grant.next_number("r"),
        family_since=family_since,
        parent=parent,
        expires_at=realm.policy(client).expires_at(now, family_since, seconds),
    )
    realm.store.refresh_tokens.add(token.value, token, now)
    return token


def new_code(
    realm: Realm,
    grant: Grant,
    *,
    redirect_uri: str | None,
    code_challenge: str | None,
    nonce: str | None,
    jkt: str | None = None,
) -> str:
    """Store a new authorization code, and return its value.

    `jkt` is the thumbprint of the key that it is bound to (RFC 9449 section 10).
    """
    now = realm.clock.now()
    with realm.lock:
        value = realm.ids.draw("code")
        code = AuthorizationCode(
            grant=grant,
            number=grant.next_number("c"),
            redirect_uri=redirect_uri,
            code_challenge=code_challenge,
            nonce=nonce,
            jkt=jkt,
            expires_at=now + realm.terms(realm.owner(grant)).code_seconds,
        )
        realm.store.codes.add(value, code, now)
    return value


def mint(
    realm: Realm,
    grant: Grant,
    now: float,
    *,
    scopes: Sequence[str] | None = None,
    refresh_token: RefreshToken | None = None,
    returned: bool = True,
    nonce: str | None = None,
    audience: Sequence[str] = (),
    jkt: str | None = None,
    reason: str = "",
) -> Granted:
    """Sign the tokens of one response.

    `scopes` narrows the access token; the grant decides about the ID token. `returned` says whether
    the response has the refresh token. The access token is for the `audience`, or for the client
    without one, and bound to the key with the thumbprint `jkt` if there is one.
    """
    client, dialect, key = realm.owner(grant), realm.dialect, realm.keys.signing
    terms = realm.terms(client)
    sent = refresh_token if returned else None
    granted = grant.scopes if scopes is None else tuple(sorted(set(scopes)))
    user = realm.users.get(grant.sub) if grant.is_users else None

    confirmation = None if jkt is None else {"jkt": jkt}
    extra_claims = {**(user.claims if user else {}), **client.extra_claims}

    def details(lifetime_seconds: int) -> TokenDetails:
        return TokenDetails(
            issuer=realm.issuer,
            sub=grant.sub,
            client_id=grant.client_id,
            issued_at=int(now),
            lifetime_seconds=lifetime_seconds,
            jti=realm.ids.draw("jti"),
            scopes=granted,
            nonce=nonce,
            extra_claims=extra_claims,
            audience=audience,
            auth_time=grant.auth_time,
            confirmation=confirmation,
            actor=grant.actor,
        )

    # Signing takes most of the time of a request, so no lock is held.
    claims = dialect.access_token_claims(details(terms.access_token_seconds))
    header = dialect.access_token_header(key)
    access_token = encode(header, claims, key, dialect.write_jwt_json)
    id_token = None
    if grant.is_users and "openid" in grant.scopes:
        claims = dialect.id_token_claims(details(terms.id_token_seconds))
        id_token = encode(dialect.id_token_header(key), claims, key, dialect.write_jwt_json)
    with realm.lock:
        record = AccessToken(
            grant=grant,
            number=grant.next_number("a"),
            expires_at=int(now) + terms.access_token_seconds,
        )
        realm.store.add_access_token(access_token, record)
    issued = (record,) if sent is None else (sent, record)
    tokens = TokenSet(
        access_token=access_token,
        refresh_token=None if sent is None else sent.value,
        scope=" ".join(granted) or None,
        id_token=id_token,
        token_type="Bearer" if jkt is None else "DPoP",
        expires_in=dialect.expires_in(terms.access_token_seconds),
    )
    return Granted(tokens, issued, reason)


def preconfigure(realm: Realm, token: PreconfiguredRefreshToken) -> None:
    """Store a refresh token that exists from the start."""
    client, user, now = realm.client(token.client), realm.user(token.user), realm.clock.now()
    grant = realm.store.open_grant(
        client.client_id,
        user.sub,
        registered_scopes(client, token.scope),
        owner=user.login_name,
        is_preconfigured=True,
    )
    lifetime = token.lifetime_seconds
    record = RefreshToken(
        value=token.value,
        grant=grant,
        number=grant.next_number("r"),
        family_since=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    realm.store.refresh_tokens.add(token.value, record, now)
