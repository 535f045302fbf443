"""Token exchange (RFC 8693): another token for a token of this server.

The subject is who the new token is about, and the actor is who acts for the subject. A token of
either is only read: an exchange uses up nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final, Literal

from fake_oauth.provider import resources
from fake_oauth.provider.bearer import flaw_of, inspect
from fake_oauth.provider.errors import OAuthError, bad_parameter
from fake_oauth.provider.hints import read_id_token
from fake_oauth.provider.issuing import Granted, new_access_token, new_id_token, token_details
from fake_oauth.provider.model import Client, TokenFormat
from fake_oauth.provider.realm import Realm, granted_scopes
from fake_oauth.provider.request import Parameters, TokenRequest
from fake_oauth.provider.store import Grant, IssuedToken
from fake_oauth.provider.tokens import InvalidTokenError, TokenSet, decode

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"

_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
_REFRESH_TOKEN: Final = "urn:ietf:params:oauth:token-type:refresh_token"
_ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"
_JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
# What can be issued. A new refresh token would outlive its subject.
_ISSUED: Final = (_ACCESS_TOKEN, _ID_TOKEN, _JWT)
# How many actors a token can name, the current one and those before.
_LONGEST_CHAIN: Final = 32

# The parameter with the token, which is also the cause of a refusal.
_Role = Literal["subject_token", "actor_token"]


class _UnusableError(ValueError):
    """A token that cannot be a subject or an actor; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Party:
    """The subject or the actor: what its token says."""

    sub: str
    is_user: bool
    expires_at: float
    """When its token expires; infinite for a token that does not."""
    scopes: Sequence[str] | None
    """Its scopes; None for an ID token, which has none."""
    claims: Mapping[str, Any]
    grant: Grant | None
    """The grant of its token, if the server has a record of it."""


def token_exchange(realm: Realm, client: Client, request: TokenRequest) -> Granted:
    """Issue a token for the subject of another one (RFC 8693 section 2)."""
    if client.is_public:
        raise OAuthError(
            "unauthorized_client",
            f"client {client.client_id} is public, so anyone with a token could exchange it",
            cause="grant_type_not_allowed",
        )
    realm.require_grant_type(client, TOKEN_EXCHANGE)
    parameters = request.parameters
    issued_type = _requested_type(parameters)
    read_subject = _reader(parameters, "subject_token")
    read_actor = _reader(parameters, "actor_token") if _has_actor(parameters) else None
    with realm.lock:
        now = realm.clock.now()
        subject = _party(realm, client, parameters, "subject_token", read_subject, now)
        actor = None
        if read_actor is not None:
            actor = _party(realm, client, parameters, "actor_token", read_actor, now)
        _require_consent(realm, client, subject, actor)
        act = _act(subject, actor)
        if issued_type == _ID_TOKEN and not subject.is_user:
            reason = f"an ID token is about a user, and {subject.sub} is a client"
            raise bad_parameter("requested_token_type", reason)
        scopes = _scopes(client, subject, parameters.optional("scope"))
        audience = _audience(realm, parameters)
        if issued_type == _ID_TOKEN and (len(audience) > 1 or "resource" in parameters):
            raise resources.bad_target(
                "audience", "an ID token is for one client, and for no resource"
            )
        grant = _new_grant(realm, client, subject, scopes, act)
    return _issue(realm, grant, now, request, issued_type, audience, subject.expires_at)


def _audience(realm: Realm, parameters: Parameters) -> tuple[str, ...]:
    """Return whom the new token is for (RFC 8693 section 2.1).

    An audience is a client of this server; a resource is a protected one.
    """
    found = list(resources.named(realm, parameters))
    for name in parameters.all("audience"):
        client = realm.clients.get(name)
        if client is None or not client.enabled:
            raise resources.bad_target("audience", f"audience {name!r} is not a client")
        found.append(name)
    return tuple(dict.fromkeys(found))


# The request


def _requested_type(parameters: Parameters) -> str:
    """Return the type of token to issue (RFC 8693 section 3)."""
    requested = parameters.optional("requested_token_type")
    if requested is not None and requested not in _ISSUED:
        reason = f"requested_token_type {requested!r} is not issued; issued: {' '.join(_ISSUED)}"
        raise bad_parameter("requested_token_type", reason)
    return requested or _ACCESS_TOKEN


def _has_actor(parameters: Parameters) -> bool:
    """Return whether there is an actor: token and type, or neither (RFC 8693 section 2.1)."""
    names = ("actor_token", "actor_token_type")
    missing = [name for name in names if parameters.optional(name) is None]
    if len(missing) == 1:
        raise bad_parameter(missing[0], f"{missing[0]} missing, though its other half is there")
    return not missing


_Reader = Callable[[Realm, Client, str, float], _Party]


def _reader(parameters: Parameters, role: _Role) -> _Reader:
    """Return the function that reads a token of the named type."""
    name = f"{role}_type"
    kind = parameters[name]
    if kind not in _READERS:
        reason = f"{name} {kind!r} is not supported; supported: {' '.join(_READERS)}"
        raise bad_parameter(name, reason)
    return _READERS[kind]


def _party(
    realm: Realm, client: Client, parameters: Parameters, role: _Role, read: _Reader, now: float
) -> _Party:
    """Return the subject or the actor. Any flaw is invalid_request (RFC 8693 section 2.2.2)."""
    try:
        party = read(realm, client, parameters[role], now)
        if party.is_user:
            realm.active_user(realm.users.get(party.sub), party.sub)
    except _UnusableError as error:
        reason = str(error)
    except OAuthError as error:
        reason = error.reason
    else:
        return party
    raise _unusable(role, reason)


def _unusable(role: _Role, reason: str) -> OAuthError:
    return OAuthError("invalid_request", f"{role}: {reason}", cause=role, parameter=role)


# The tokens that are presented, by type


def _access_token(realm: Realm, _: Client, value: str, now: float) -> _Party:
    token = inspect(realm, value, now)
    if token.flaw is not None:
        raise _UnusableError(token.reason)
    if token.sub is None:
        raise _UnusableError("access token without sub")
    record = token.record
    known = inf if record is None or record.expires_at is None else record.expires_at
    return _Party(
        sub=token.sub,
        is_user=token.sub not in realm.clients if record is None else record.grant.is_users,
        expires_at=min(token.claims["exp"], known),
        scopes=token.scopes,
        claims=token.claims,
        grant=None if record is None else record.grant,
    )


def _refresh_token(realm: Realm, client: Client, value: str, now: float) -> _Party:
    token = realm.store.refresh_tokens.find(value)
    if token is None:
        raise _UnusableError("refresh token unknown")
    if (flaw := token.flaw(now)) is not None:
        raise _UnusableError(f"refresh token {flaw[1]}")
    # It is bound to its client (RFC 6749 section 10.4).
    if token.grant.client_id != client.client_id:
        raise _UnusableError(f"refresh token belongs to client {token.grant.client_id}")
    return _Party(
        sub=token.grant.sub,
        is_user=token.grant.is_users,
        expires_at=inf if token.expires_at is None else token.expires_at,
        scopes=token.grant.scopes,
        claims={},
        grant=token.grant,
    )


def _id_token(realm: Realm, _: Client, value: str, now: float) -> _Party:
    if realm.store.access_token(value) is not None:
        raise _UnusableError("not an ID token of this server: an access token")
    try:
        claims = read_id_token(realm, value)
    except InvalidTokenError as error:
        raise _UnusableError(str(error)) from None
    if (flaw := flaw_of(claims, None, now, kind="ID token")) is not None:
        raise _UnusableError(flaw)
    return _Party(
        sub=claims["sub"],
        is_user=True,
        expires_at=claims["exp"],
        scopes=None,
        claims=claims,
        grant=None,
    )


def _jwt(realm: Realm, client: Client, value: str, now: float) -> _Party:
    try:
        header, claims = decode(value)
    except InvalidTokenError as error:
        raise _UnusableError(f"not a JWT: {error}") from None
    read = _access_token if _is_access_token(realm, value, header, claims) else _id_token
    return read(realm, client, value, now)


def _is_access_token(
    realm: Realm, value: str, header: Mapping[str, Any], claims: Mapping[str, Any]
) -> bool:
    is_known = realm.store.access_token(value) is not None
    return is_known or realm.dialect.is_access_token(header, claims)


_READERS: Final[Mapping[str, _Reader]] = {
    _ACCESS_TOKEN: _access_token,
    _REFRESH_TOKEN: _refresh_token,
    _ID_TOKEN: _id_token,
    _JWT: _jwt,
}


# What follows from them


def _require_consent(realm: Realm, client: Client, subject: _Party, actor: _Party | None) -> None:
    """Check that the subject lets this party act: its `may_act` (RFC 8693 section 4.4)."""
    may_act = subject.claims.get("may_act")
    if not isinstance(may_act, Mapping):
        return
    party = {"sub": client.client_id if actor is None else actor.sub, "iss": realm.issuer}
    if any(may_act[name] != value for name, value in party.items() if name in may_act):
        role: _Role = "subject_token" if actor is None else "actor_token"
        raise _unusable(role, f"may_act of the subject does not name {party['sub']}")


def _act(subject: _Party, actor: _Party | None) -> Mapping[str, Any] | None:
    """Return the `act` of the new token: the actor, then those before (RFC 8693 section 4.1)."""
    actors = [] if actor is None else [{"sub": actor.sub}]
    prior = subject.claims.get("act")
    while isinstance(prior, Mapping):
        actors.append({name: prior[name] for name in ("sub", "iss") if _is_text(prior.get(name))})
        if len(actors) > _LONGEST_CHAIN:
            raise _unusable("subject_token", f"over {_LONGEST_CHAIN} actors")
        prior = prior.get("act")
    act: dict[str, Any] | None = None
    for one in reversed(actors):
        act = one if act is None else {**one, "act": act}
    return act


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _scopes(client: Client, subject: _Party, scope: str | None) -> tuple[str, ...]:
    """Return the scopes of the new token: of those of the subject, the client's."""
    if subject.scopes is None:
        return granted_scopes(scope, client.scopes, verb="registered")
    allowed = [word for word in subject.scopes if word in client.scopes]
    return granted_scopes(scope, allowed, verb="granted to the subject and registered")


def _new_grant(
    realm: Realm,
    client: Client,
    subject: _Party,
    scopes: Sequence[str],
    act: Mapping[str, Any] | None,
) -> Grant:
    owner = realm.users[subject.sub].login_name if subject.is_user else None
    grant = realm.store.open_grant(
        client.client_id, subject.sub, scopes, owner=owner, is_users=subject.is_user
    )
    grant.actor = act
    grant.auth_time = None if subject.grant is None else subject.grant.auth_time
    return grant


def _issue(
    realm: Realm,
    grant: Grant,
    now: float,
    request: TokenRequest,
    issued_type: str,
    audience: Sequence[str],
    expires_at: float,
) -> Granted:
    """Issue the token, which does not outlive that of the subject."""
    terms, is_id_token = realm.terms(realm.owner(grant)), issued_type == _ID_TOKEN
    longest = terms.id_token_seconds if is_id_token else terms.access_token_seconds
    seconds = int(min(longest, expires_at - int(now)))
    details = replace(
        token_details(
            realm,
            grant,
            now,
            kind="id_token" if is_id_token else "access_token",
            scopes=grant.scopes,
            audience=audience,
            jkt=request.jkt,
        ),
        lifetime_seconds=seconds,
    )
    issued: tuple[IssuedToken, ...] = ()
    if is_id_token:
        client_id = audience[0] if audience else grant.client_id
        value = new_id_token(realm, replace(details, client_id=client_id))
    else:
        token_format: TokenFormat | None = "jwt" if issued_type == _JWT else None
        value, record = new_access_token(realm, grant, details, token_format)
        issued = (record,)
    tokens = TokenSet(
        access_token=value,
        refresh_token=None,
        scope=None if is_id_token else " ".join(grant.scopes) or None,
        id_token=None,
        token_type="N_A" if is_id_token else "Bearer" if request.jkt is None else "DPoP",
        expires_in=realm.dialect.expires_in(seconds),
        issued_token_type=issued_type,
    )
    return Granted(tokens, issued, _reason(grant, audience))


def _reason(grant: Grant, audience: Sequence[str]) -> str:
    """Return the sentence for the journal."""
    acting = "" if grant.actor is None else f", {grant.actor.get('sub')} acts"
    target = f" for {' '.join(audience)}" if audience else ""
    return f"token of {grant.sub} exchanged{target}{acting}"
