"""The token families of a server: the store has the states, the journal has the requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from fake_oauth.families.edges import Edges, History
from fake_oauth.families.tree import (
    Expiry,
    Families,
    Family,
    FamilyState,
    FamilyToken,
    Presentation,
    TokenKind,
    latest_of,
)
from fake_oauth.journal import Exchange, Journal
from fake_oauth.provider.clock import END_OF_TIME
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.store import DeviceCode, Grant, IssuedToken, Letter, State

_KINDS: Final[Mapping[Letter, TokenKind]] = {
    "d": "device_code",
    "c": "code",
    "r": "refresh_token",
    "a": "access_token",
}
_LETTERS: Final = tuple(_KINDS)
# The tokens that a client waits with. Codes expire sooner, and are redeemed at once.
_TOKENS: Final = "ra"


def families(
    realm: Realm, journal: Journal, latest: int | None = None, *, tokens: int | None = None
) -> Families:
    """Return the token families, the latest login first.

    `latest` is how many at most, and `tokens` how many tokens of each.
    """
    with realm.lock:
        now = realm.clock.now()
        by_grant: dict[Grant, list[IssuedToken]] = defaultdict(list)
        for token in realm.store.tokens():
            by_grant[_login(token)].append(token)
        grants = sorted(by_grant, key=lambda grant: grant.opened, reverse=True)
        selected = grants if latest is None else grants[:latest]
        history = History(journal[:])
        codes = {id(code): value for value, code in realm.store.codes.items()}
        listed = [
            _family(realm, grant, by_grant[grant], history, codes, now, tokens)
            for grant in selected
        ]
    return Families(tuple(listed), len(grants) - len(listed))


def next_expiry(realm: Realm) -> Expiry | None:
    """Return which active access or refresh token expires next, and when; None if none does."""
    with realm.lock:
        now, tokens = realm.clock.now(), realm.store.tokens()
    found, at = None, float(END_OF_TIME)
    for token in tokens:
        if token.letter not in _TOKENS:
            continue
        expires_at = token.expires_at
        # Most tokens of a long run have expired, and asking why takes longer.
        if expires_at is not None and now < expires_at < at and _state(token, now)[0] == "active":
            found, at = token, expires_at
    return None if found is None else Expiry(at=at, token=found.name)


def _login(token: IssuedToken) -> Grant:
    """Return the login that a token belongs to: that of a device code is the one that allowed it.

    Its own grant is the client's, because it was issued before a user was known.
    """
    if isinstance(token, DeviceCode) and token.approved is not None:
        return token.approved
    return token.grant


def _state(token: IssuedToken, now: float) -> tuple[State, str | None]:
    """Return the state of a token, and what became of it."""
    if (flaw := token.flaw(now)) is not None:
        return flaw
    if isinstance(token, DeviceCode):
        return "revoked" if token.denied else "active", token.decision
    return "active", None


def _order(token: IssuedToken) -> tuple[bool, int, int]:
    """Return what sorts tokens by their time of issue: codes first, then pairs of tokens."""
    return token.letter in "ra", token.number, _LETTERS.index(token.letter)


def _family(
    realm: Realm,
    grant: Grant,
    records: list[IssuedToken],
    history: History,
    codes: Mapping[int, str],
    now: float,
    most: int | None,
) -> Family:
    records.sort(key=_order)
    kept = records
    if most is not None:
        kept = latest_of(records, most, lambda record: record.letter == "a")
    edges = Edges(realm, grant, records, kept, history, codes)
    tokens = []
    for record in kept:
        state, why = _state(record, now)
        issued_by, origin = edges.of(record)
        presented = history.presented.get(record.name, ())
        tokens.append(
            FamilyToken(
                name=record.name,
                kind=_KINDS[record.letter],
                state=state,
                why=why,
                expires_at=record.expires_at,
                issued_by=issued_by,
                origin=origin,
                presented=tuple(map(_presentation, presented)),
            )
        )
    user = realm.users.get(grant.sub) if grant.is_users else None
    fallback = grant.name.rpartition("/")[0] if grant.is_users else None
    state, why = _family_state(realm, grant, tokens)
    return Family(
        name=grant.name,
        user=fallback if user is None else user.login_name,
        sub=grant.sub,
        client_id=grant.client_id,
        scopes=grant.scopes,
        state=state,
        why=why,
        tokens=tuple(tokens),
        earlier=len(records) - len(kept),
    )


def _presentation(exchange: Exchange) -> Presentation:
    return Presentation(
        number=exchange.number,
        client_id=exchange.client_id,
        status=exchange.status,
        error=exchange.error,
    )


def _family_state(
    realm: Realm, grant: Grant, tokens: Sequence[FamilyToken]
) -> tuple[FamilyState, str | None]:
    if grant.refresh_tokens_revoked is not None:
        return "revoked", grant.refresh_tokens_revoked
    if any(token.state == "active" for token in tokens):
        return "active", _refusal(realm, grant)
    for token in tokens:
        if token.state == "revoked":
            return "revoked", token.why
    return "expired", tokens[-1].why


def _refusal(realm: Realm, grant: Grant) -> str | None:
    """Return why the server refuses even the active tokens of a login; None if it accepts them."""
    client = realm.clients.get(grant.client_id)
    if client is None or not client.enabled:
        return f"client {grant.client_id} {'unknown' if client is None else 'disabled'}"
    user = realm.users.get(grant.sub)
    if not grant.is_users or (user is not None and user.status == "active"):
        return None
    return f"user {grant.sub} was deleted" if user is None else f"the user is {user.status}"
