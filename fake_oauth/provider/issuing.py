"""Issuing: a login opens a grant, and a grant gets codes and tokens.

Nothing is checked here, and nothing is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fake_oauth.provider.claims import in_id_token, in_tokens
from fake_oauth.provider.model import Client, PreconfiguredRefreshToken, TokenFormat, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.store import (
    AccessToken,
    AuthorizationCode,
    DeviceCode,
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
    audience: Sequence[str] = (),
    jkt: str | None = None,
    reason: str = "",
) -> Granted:
    """Issue the tokens of a new grant, with a refresh token if the grant gets one.

    The access token is bound to the key with the thumbprint `jkt`, if there is one. So are the
    refresh tokens of a public client (RFC 9449 section 5).
    """
    now = realm.clock.now()
    refresh_token = None
    if _gets_refresh_token(realm, grant):
        with realm.lock:
            refresh_token = new_refresh_token(realm, grant, now)
            if realm.owner(grant).is_public:
                grant.jkt = jkt
    return mint(
        realm,
        grant,
        now,
        refresh_token=refresh_token,
        nonce=nonce,
        audience=audience,
        jkt=jkt,
        reason=reason,
    )


def _gets_refresh_token(realm: Realm, grant: Grant) -> bool:
    """Return whether the client is allowed to refresh, and the terms give it a refresh token."""
    client = realm.owner(grant)
    when = realm.terms(client).issue_refresh_tokens
    is_due = when == "always" or (when == "offline_access" and "offline_access" in grant.scopes)
    return is_due and client.may_use("refresh_token")


def new_refresh_token(
    realm: Realm, grant: Grant, now: float, *, parent: RefreshToken | None = None
) -> RefreshToken:
    """Store a new refresh token: the first of its family, or the successor of `parent`."""
    family_since = now if parent is None else parent.family_since
    client = realm.owner(grant)
    seconds, policy = realm.terms(client).refresh_token_seconds, realm.policy(client)
    token = RefreshToken(
        value=realm.ids.draw("refresh_token"),
        grant=grant,
        number=grant.next_number("r"),
        issued_at=now,
        family_since=family_since,
        parent=parent,
        expires_at=policy.expires_at(now, family_since, seconds),
    )
    realm.store.refresh_tokens.add(token.value, token, now)
    if policy.max_families is not None:
        _limit_families(realm, token, policy.max_families, now)
    return token


def _limit_families(realm: Realm, token: RefreshToken, most: int, now: float) -> None:
    """Revoke the oldest families of a user and a client beyond the most that a policy allows."""
    policy = realm.policy(realm.owner(token.grant))
    for oldest in realm.store.count_family(token, now, most):
        realm.store.revoke_grant(
            oldest,
            f"revoked at login {token.grant.name}, because a user has at most {most} families",
            access_tokens=policy.revoke_access_tokens,
        )


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


def new_device_code(
    realm: Realm, client: Client, scopes: Iterable[str], entered: Callable[[str], str]
) -> DeviceCode:
    """Store a new device code and its user code. `entered` is how user codes are compared."""
    now = realm.clock.now()
    with realm.lock:
        grant = realm.store.open_grant(client.client_id, client.client_id, scopes, is_users=False)
        user_code = realm.ids.draw("user_code")
        code = DeviceCode(
            value=realm.ids.draw("device_code"),
            user_code=user_code,
            entered=entered(user_code),
            grant=grant,
            number=grant.next_number("d"),
            interval_seconds=realm.device_interval_seconds,
            expires_at=now + realm.terms(client).device_code_seconds,
        )
        realm.store.device_codes.add(code.value, code, now)
    return code


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
    ends: str | None = None,
    reason: str = "",
) -> Granted:
    """Sign the tokens of one response.

    `scopes` narrows the access token; the grant decides about the ID token. `returned` says whether
    the response has the refresh token. The access token is for the `audience`, or for the client
    without one, and bound to the key with the thumbprint `jkt` if there is one. `ends` is why the
    earlier access tokens of the grant end; None leaves them valid.
    """
    terms = realm.terms(realm.owner(grant))
    granted = grant.scopes if scopes is None else tuple(sorted(set(scopes)))
    details = token_details(
        realm, grant, now, scopes=granted, nonce=nonce, audience=audience, jkt=jkt
    )
    # Signing takes most of the time of a request, so no lock is held.
    access_token, record = new_access_token(realm, grant, details, ends=ends)
    id_token = None
    if grant.is_users and "openid" in grant.scopes:
        details = token_details(
            realm,
            grant,
            now,
            kind="id_token",
            scopes=granted,
            nonce=nonce,
            goes_with=access_token,
        )
        id_token = new_id_token(realm, details)
    sent = refresh_token if returned else None
    tokens = TokenSet(
        access_token=access_token,
        refresh_token=None if sent is None else sent.value,
        scope=" ".join(granted) or None,
        id_token=id_token,
        token_type="Bearer" if jkt is None else "DPoP",
        expires_in=realm.dialect.expires_in(terms.access_token_seconds),
    )
    return Granted(tokens, (record,) if sent is None else (sent, record), reason)


def token_details(
    realm: Realm,
    grant: Grant,
    now: float,
    *,
    kind: Literal["access_token", "id_token"] = "access_token",
    scopes: Sequence[str],
    nonce: str | None = None,
    audience: Sequence[str] = (),
    jkt: str | None = None,
    goes_with: str | None = None,
) -> TokenDetails:
    """Return what a new token of a grant says.

    An ID token `goes_with` an access token of the same response.
    """
    client = realm.owner(grant)
    terms = realm.terms(client)
    user = realm.users.get(grant.sub) if grant.is_users else None
    if kind == "access_token":
        seconds, claims = terms.access_token_seconds, in_tokens(realm.dialect, user)
    else:
        seconds, claims = terms.id_token_seconds, in_id_token(realm, user, client, scopes)
        if grant.actor is not None:
            claims = {**claims, "act": grant.actor}
    return TokenDetails(
        issuer=realm.issuer,
        sub=grant.sub,
        client_id=grant.client_id,
        issued_at=int(now),
        lifetime_seconds=seconds,
        jti=realm.ids.draw("jti"),
        scopes=scopes,
        nonce=nonce,
        extra_claims={**claims, **client.extra_claims},
        audience=audience or realm.resources.default_audience,
        auth_time=grant.auth_time,
        confirmation=None if jkt is None else {"jkt": jkt},
        actor=grant.actor,
        alg=realm.keys.signing.alg,
        access_token=goes_with,
    )


def new_access_token(
    realm: Realm,
    grant: Grant,
    details: TokenDetails,
    token_format: TokenFormat | None = None,
    *,
    ends: str | None = None,
) -> tuple[str, AccessToken]:
    """Store a new access token, in the format of its client. Return its value and its record.

    `ends` is why the earlier ones of the grant end; None leaves them valid.
    """
    dialect, key = realm.dialect, realm.keys.signing
    claims = dialect.access_token_claims(details)
    if token_format is None:
        token_format = realm.terms(realm.owner(grant)).access_token_format
    is_opaque = token_format == "opaque"
    if is_opaque:
        value = realm.ids.draw("access_token")
    else:
        value = encode(dialect.access_token_header(key), claims, key, dialect.write_jwt_json)
    with realm.lock:
        if ends is not None:
            grant.end_access_tokens(ends)
        record = AccessToken(
            grant=grant,
            number=grant.next_number("a"),
            expires_at=details.issued_at + details.lifetime_seconds,
        )
        if is_opaque:
            realm.store.add_opaque_token(value, record, claims)
        else:
            realm.store.add_access_token(value, record)
    return value, record


def new_id_token(realm: Realm, details: TokenDetails) -> str:
    """Return a new ID token."""
    dialect, key = realm.dialect, realm.keys.signing
    if details.alg != key.alg:  # The keys have rotated since, and `at_hash` depends on it.
        details = replace(details, alg=key.alg)
    claims = dialect.id_token_claims(details)
    return encode(dialect.id_token_header(key), claims, key, dialect.write_jwt_json)


def preconfigure(realm: Realm, token: PreconfiguredRefreshToken) -> None:
    """Store a refresh token that exists from the start."""
    client, user, now = realm.client(token.client), realm.user(token.user), realm.clock.now()
    grant = realm.store.open_grant(
        client.client_id,
        user.sub,
        client.scopes if token.scope is None else realm.named_scopes(client, token.scope),
        owner=user.login_name,
        is_preconfigured=True,
    )
    grant.auth_time = int(now)  # As if the user had logged in at the start.
    lifetime = token.lifetime_seconds
    record = RefreshToken(
        value=token.value,
        grant=grant,
        number=grant.next_number("r"),
        issued_at=now,
        family_since=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    realm.store.refresh_tokens.add(token.value, record, now)
    most = realm.policy(client).max_families
    if most is not None:
        _limit_families(realm, record, most, now)
