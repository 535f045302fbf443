"""Token families: the tokens of each login as a tree, with what became of each.

The store has the states, and the journal who presented what, and which request issued what. Both
forget. An edge that neither has any more is inferred from the order of the tokens, if only one
order is possible; otherwise there is none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, overload
from urllib.parse import parse_qs, urlsplit

from fake_oauth.journal import Exchange, Journal
from fake_oauth.provider.clock import END_OF_TIME
from fake_oauth.provider.grants.device_code import DEVICE_CODE
from fake_oauth.provider.grants.token_exchange import TOKEN_EXCHANGE
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.store import (
    AuthorizationCode,
    DeviceCode,
    Grant,
    IssuedToken,
    Letter,
    RefreshToken,
    State,
)

TokenKind = Literal["refresh_token", "access_token", "code", "device_code"]
FamilyState = Literal["active", "revoked", "expired"]

_KINDS: Final[Mapping[Letter, TokenKind]] = {
    "d": "device_code",
    "c": "code",
    "r": "refresh_token",
    "a": "access_token",
}
_LETTERS: Final = tuple(_KINDS)
# The parameter with the token that leads to others, by grant type.
_LEADING: Final = {
    "refresh_token": "refresh_token",
    "authorization_code": "code",
    DEVICE_CODE: "device_code",
    TOKEN_EXCHANGE: "subject_token",
}
# The end of what a record says of the request that used it up: `rotated by request 12`.
_REQUEST: Final = re.compile(r" request (\d+)$", re.ASCII)
# A code in a form that the browser posts (OAuth 2.0 Form Post Response Mode).
_CODE_FIELD: Final = re.compile(rb'name="code" value="([^"]+)"')
# How many tokens of a family its text shows, and how many requests of a token.
_SHOWN: Final = 30
_SHOWN_REQUESTS: Final = 5

_Token = TypeVar("_Token")
_Edge = tuple[int | None, str | None]
"""The number of the request that issued a token, and the token that led to it."""
_UNKNOWN: Final[_Edge] = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """A request that presented a token, and its outcome."""

    number: int
    client_id: str | None
    status: int | None
    error: str | None

    def __str__(self) -> str:
        outcome = " ".join(filter(None, (str(self.status or "no response"), self.error)))
        return f"#{self.number}" if self.status == 200 else f"#{self.number} ({outcome})"


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyToken:
    """A token or code of a family."""

    name: str
    """Its name in the journal: `alice/1 r2`."""
    kind: TokenKind
    state: State
    why: str | None
    """What became of it: `rotated by request 12`; None for an active token."""
    expires_at: float | None
    """Seconds since 1970; None is never."""
    issued_by: int | None
    """The number of the request that issued it; None if it was none, or is not known any more."""
    origin: str | None
    """The name of the token or code whose presentation led to it; None as in `issued_by`."""
    presented: tuple[Presentation, ...]
    """The requests in the journal that presented it, oldest first."""

    def __str__(self) -> str:
        """Return one line."""
        line = f"{self.name.rpartition(' ')[2]} {self.state}"
        if self.why is not None and self.why != self.state:
            line += f": {self.why}"
        if earlier := max(0, len(self.presented) - _SHOWN_REQUESTS):
            line += f"; presented by {earlier} requests"
        if self.presented:
            shown = ", ".join(map(str, self.presented[-_SHOWN_REQUESTS:]))
            line += f", and by {shown}" if earlier else f"; presented by {shown}"
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The tokens of one login, or those that a client got for itself."""

    name: str
    """The name of the login: `alice/1`."""
    user: str | None
    """The name that the user logs in with; None if the tokens are the client's own."""
    sub: str
    client_id: str
    scopes: tuple[str, ...]
    state: FamilyState
    """`active` while any token is, unless the family was revoked."""
    why: str | None
    """Why it is not active, or why the server refuses it though it is."""
    tokens: tuple[FamilyToken, ...]
    """In the order in which they were issued."""
    earlier: int = 0
    """How many more tokens are known and not listed."""

    def __str__(self) -> str:
        """Return the tree, with one line for each of the latest tokens."""
        scopes = f" [{' '.join(self.scopes)}]" if self.scopes else ""
        why = "" if self.why is None else f" ({self.why})"
        lines = [f"{self.name} of client {self.client_id}{scopes}: {self.state}{why}"]
        shown = _latest(self.tokens, _SHOWN, lambda token: token.kind == "access_token")
        if left_out := self.earlier + len(self.tokens) - len(shown):
            lines.append(f"({left_out} earlier tokens are not shown)")
        return "\n".join([*lines, *_drawn(shown)])


@dataclass(frozen=True, slots=True)
class Families(Sequence[Family]):
    """The families of a server, the latest login first."""

    listed: tuple[Family, ...]
    earlier: int = 0
    """How many families of earlier logins are known and not listed."""

    @overload
    def __getitem__(self, index: int) -> Family: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Family, ...]: ...
    def __getitem__(self, index: int | slice) -> Family | tuple[Family, ...]:
        return self.listed[index]

    def __len__(self) -> int:
        return len(self.listed)

    def __str__(self) -> str:
        """Return every tree."""
        rest = [f"({self.earlier} earlier families are not shown)"] if self.earlier else []
        return "\n".join([*map(str, self.listed), *rest])


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When a token expires."""

    at: float
    """Seconds since 1970."""
    token: str
    """The name of the token: `alice/1 a1`."""


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
        history = _History(journal[:])
        codes = {id(code): value for value, code in realm.store.codes.items()}
        listed = [
            _family(realm, grant, by_grant[grant], history, codes, now, tokens)
            for grant in selected
        ]
    return Families(tuple(listed), len(grants) - len(listed))


def next_expiry(realm: Realm) -> Expiry | None:
    """Return which active token expires next, and when; None if none does."""
    with realm.lock:
        now, tokens = realm.clock.now(), realm.store.tokens()
    found, at = None, float(END_OF_TIME)
    for token in tokens:
        expires_at = token.expires_at
        # Most tokens of a long run have expired, and asking why takes longer.
        if expires_at is not None and now < expires_at < at and _state(token, now)[0] == "active":
            found, at = token, expires_at
    return None if found is None else Expiry(at=at, token=found.name)


def _latest(
    tokens: Sequence[_Token], most: int, is_access_token: Callable[[_Token], bool]
) -> list[_Token]:
    """Return the latest tokens; at least half of the places are for access tokens, or are empty.

    So a refresh token that stays the same is among them, however many access tokens it led to.
    """
    leading = [token for token in tokens if not is_access_token(token)][-(most // 2) :]
    others = list(filter(is_access_token, tokens))
    kept = set(map(id, (*leading, *others[max(0, len(others) + len(leading) - most) :])))
    return [token for token in tokens if id(token) in kept]


class _History:
    """What the journal knows of tokens, by their names."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.presented: dict[str, list[Exchange]] = defaultdict(list)
        self._issued: dict[str, Exchange] = {}
        self._codes: dict[str, int] = {}
        for exchange in exchanges:
            names = set(exchange.tokens.values())
            for name in names:
                self.presented[name].append(exchange)
            for name in (*exchange.issued, *exchange.lost):
                # A refresh token that does not rotate is in each response; the first issued it.
                if name not in names:
                    self._issued.setdefault(name, exchange)
            if exchange.endpoint in ("authorize", "login"):
                self._codes |= dict.fromkeys(_codes_in(exchange), exchange.number)

    def issuer(self, name: str) -> Exchange | None:
        """Return the request that issued a token, if it is known."""
        return self._issued.get(name)

    def issuer_of_code(self, value: str | None) -> int | None:
        """Return the number of the request that issued an authorization code, if it is known."""
        return self._codes.get(value or "")


def _codes_in(exchange: Exchange) -> Iterator[str]:
    """Yield the authorization code in a response, from its redirect or from its form."""
    parts = urlsplit(exchange.response_headers.get("Location", ""))
    yield from parse_qs(parts.query or parts.fragment).get("code", ())
    yield from (code.decode() for code in _CODE_FIELD.findall(exchange.body))


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
    history: _History,
    codes: Mapping[int, str],
    now: float,
    most: int | None,
) -> Family:
    records.sort(key=_order)
    kept = records
    if most is not None:
        kept = _latest(records, most, lambda record: record.letter == "a")
    edges = _Edges(realm, grant, records, kept, history, codes)
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


class _Edges:
    """Which request issued each token of a family, and which token led to it."""

    def __init__(
        self,
        realm: Realm,
        grant: Grant,
        records: Sequence[IssuedToken],
        kept: Sequence[IssuedToken],
        history: _History,
        codes: Mapping[int, str],
    ) -> None:
        """`kept` are the records whose edges are of interest."""
        self._grant = grant
        self._history = history
        self._codes = codes
        client = realm.clients.get(grant.client_id)
        self._repeats = client is not None and realm.policy(client).grace_gives == "successor"
        """Whether a replay gets the successor again, so that more than one response has it."""
        self._is_preconfigured = "/preconfigured" in grant.name
        leading = [record for record in records if record.letter != "a"]
        refresh_tokens = [token for token in leading if isinstance(token, RefreshToken)]
        self._leading = {record.name: record for record in leading}
        # The first successor of each token that is remembered; others are of a grace period.
        self._first: dict[int, RefreshToken] = {}
        for token in refresh_tokens:
            self._first.setdefault(id(token.parent), token)
        self._known: dict[str, _Edge] = {}
        for record in dict.fromkeys((*leading, *kept)):
            edge = self._from_journal(record) or self._from_store(record)
            if edge is not None:
                self._known[record.name] = edge
        self._known |= self._inferred(refresh_tokens)

    def of(self, token: IssuedToken) -> _Edge:
        """Return the edge that leads to a token."""
        known = self._known.get(token.name)
        if known is not None:
            return known
        return self._of_access_token(token) if token.letter == "a" else _UNKNOWN

    def _from_journal(self, token: IssuedToken) -> _Edge | None:
        if isinstance(token, AuthorizationCode):
            return self._history.issuer_of_code(self._codes.get(id(token))), None
        exchange = self._history.issuer(token.name)
        if exchange is None:
            return None
        origin = exchange.tokens.get(_LEADING.get(exchange.grant_type or "", ""))
        parent = self._leading.get(origin or "")
        if self._repeats and isinstance(token, RefreshToken) and parent is not None:
            return _request_in(parent.spent) or exchange.number, origin
        return exchange.number, origin

    def _from_store(self, token: IssuedToken) -> _Edge | None:
        if token.letter in "ra" and token.number == 1 and not self._is_preconfigured:
            return self._of_first_tokens()
        if isinstance(token, RefreshToken) and (parent := token.parent) is not None:
            # A successor that was used forgets the token before it.
            is_first = not parent.successor_used and self._first[id(parent)] is token
            return _request_in(parent.spent) if is_first else None, parent.name
        return None

    def _of_first_tokens(self) -> _Edge:
        """Return the edge from the code of the login, if it has one that was used."""
        for token in self._leading.values():
            if token.letter in "cd" and (token.spent or "").startswith("used by "):
                return _request_in(token.spent), token.name
        return _UNKNOWN

    def _inferred(self, tokens: Sequence[RefreshToken]) -> dict[str, _Edge]:
        """Return the edges of rotations that nothing remembers.

        Each rotation has issued one refresh token, in the order of the requests. If another token
        was issued in a grace period, the numbers differ, and no edge is certain.
        """
        known = {by for by, _ in self._known.values()}
        rotations = sorted(
            (number, token)
            for token in tokens
            if token.spent_at is not None
            and (number := _request_in(token.spent)) is not None
            and number not in known
        )
        unknown = [token for token in tokens if token.number > 1 and token.name not in self._known]
        if len(rotations) != len(unknown):
            return {}
        return {
            token.name: (number, parent.name)
            for token, (number, parent) in zip(unknown, rotations, strict=True)
        }

    def _of_access_token(self, token: IssuedToken) -> _Edge:
        """Return the edge of an access token whose request the journal has forgotten."""
        name, refresh_tokens = self._grant.name, self._grant.count("r")
        if refresh_tokens == 1:
            return None, f"{name} r1"
        ahead = int(self._is_preconfigured)
        if refresh_tokens != self._grant.count("a") + ahead:
            return _UNKNOWN
        # Each response had one of either.
        return self._known.get(f"{name} r{token.number + ahead}", _UNKNOWN)


def _request_in(text: str | None) -> int | None:
    """Return the number of the request at the end of a text: 12 of `rotated by request 12`."""
    found = _REQUEST.search(text or "")
    return None if found is None else int(found[1])


def _drawn(tokens: Iterable[FamilyToken]) -> Iterator[str]:
    """Yield one line for each token, below the token that led to it."""
    children: dict[str | None, list[FamilyToken]] = defaultdict(list)
    tokens = list(tokens)
    names = {token.name for token in tokens}
    for token in tokens:
        children[token.origin if token.origin in names else None].append(token)
    waiting = [(token, "") for token in reversed(children[None])]
    last = {id(siblings[-1]) for siblings in children.values() if siblings}
    while waiting:
        token, indent = waiting.pop()
        branch, below = ("└─ ", "   ") if id(token) in last else ("├─ ", "│  ")
        foreign = "" if token.origin is None or token.origin in names else f"; from {token.origin}"
        yield f"{indent}{branch}{token}{foreign}"
        waiting += [(child, indent + below) for child in reversed(children[token.name])]
