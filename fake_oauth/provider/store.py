"""Everything that was issued and may still be used: grants, tokens, codes, one-time passwords.

A record knows what happened to it. The rules decide what follows from that. Use the store with the
realm's lock held. It keeps every active refresh token, and the latest few thousand of the others
and of all that can no longer be used, so that the journal can explain a refusal.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Generic, Literal, TypeVar

Letter = Literal["r", "a", "c", "d"]
State = Literal["active", "expired", "spent", "revoked"]

# How many records of a kind are kept that can no longer be used.
KEPT: Final = 4096
# How many records of a kind are kept that wait for a client: codes, device codes, and one-time
# passwords. The oldest are forgotten first.
KEPT_WAITING: Final = 16_384
# How many access tokens are kept. An older JWT is judged by its claims alone; an older opaque token
# is unknown.
KEPT_ACCESS_TOKENS: Final = 16_384
# How many refresh tokens are kept beside those that each login needs: the ones that another token
# was issued beside, and spent ones in a grace period that goes on. The ones that were issued or
# used longest ago are forgotten first.
KEPT_BESIDE: Final = 16_384
# For how many users and clients the families are counted, if a policy limits them.
KEPT_COUNTS: Final = 4096
# How many ids of assertions are kept. The oldest are forgotten first.
KEPT_IDS: Final = 16_384


@dataclass(slots=True, kw_only=True, eq=False)
class Grant:
    """One user's authorization of one client: one login. Its tokens are one family."""

    name: str
    """The login's name: `alice/1`."""
    client_id: str
    sub: str
    scopes: tuple[str, ...]
    """In alphabetical order."""
    opened: int = 0
    """How many grants were opened up to this one."""
    is_users: bool = True
    """Whether a user approved it. Otherwise it is the client's own (RFC 6749 section 4.4)."""
    auth_time: int | None = None
    """When the user logged in, in seconds since 1970; None is unknown."""
    resources: tuple[str, ...] = ()
    """The resources that its access tokens can be for (RFC 8707 section 2); none is any."""
    jkt: str | None = None
    """The thumbprint of the key that its refresh tokens are bound to (RFC 9449 section 5)."""
    actor: Mapping[str, Any] | None = None
    """Who acts for the user (RFC 8693 section 4.1)."""
    refresh_tokens_revoked: str | None = None
    """Why no refresh token of the family is valid; None if some may be."""
    access_tokens_revoked: str | None = None
    """Why no access token of the family is valid; None if some may be."""
    ended: tuple[int, int, str] | None = None
    """The access tokens that refreshes ended: the numbers of the last one that an earlier refresh
    ended and of the last one in all, and what ended those between."""
    delivered: AccessToken | None = None
    """The latest access token that the client received in a response."""
    delivered_until: float | None = None
    """When that token expires according to the response."""
    _issued: dict[Letter, int] = field(default_factory=dict, repr=False)

    @property
    def fresh_until(self) -> float | None:
        """When the client has to expect that its latest access token expires; None if it has none,
        or cannot know."""
        if self.delivered is None or self.delivered.expires_at is None:
            return None
        if self.delivered_until is None:
            return None
        return min(self.delivered.expires_at, self.delivered_until)

    def end_access_tokens(self, why: str) -> None:
        """End the access tokens issued so far."""
        before = 0 if self.ended is None else self.ended[1]
        self.ended = before, self.count("a"), why

    def end_of(self, number: int) -> str | None:
        """Return what ended the access token with a number; None if nothing did."""
        before, last, why = self.ended or (0, 0, "")
        if number > last:
            return None
        return why if number > before else "ended by an earlier refresh"

    def next_number(self, letter: Letter) -> int:
        """Return the number of the next token or code of a kind."""
        number = self._issued.get(letter, 0) + 1
        self._issued[letter] = number
        return number

    def count(self, letter: Letter) -> int:
        """Return how many tokens or codes of a kind were issued."""
        return self._issued.get(letter, 0)


@dataclass(slots=True, kw_only=True, eq=False)
class Issued:
    """A record of one value that can be used until it expires, is spent, or is revoked."""

    expires_at: float | None
    """Seconds since 1970; None is never."""
    spent: str | None = None
    """Which request used it up: `rotated by request 12`."""
    revoked: str | None = None
    """Who revoked it: `revoked by the test`."""

    def has_expired(self, now: float) -> bool:
        """Return whether its lifetime is over."""
        return self.expires_at is not None and now >= self.expires_at

    def flaw(self, now: float) -> tuple[State, str] | None:
        """Return why it cannot be used now: a state, and the end of a sentence. None if it can."""
        if self.spent is not None:
            return "spent", self.spent
        if (reason := self.revocation()) is not None:
            return "revoked", reason
        if self.has_expired(now):
            return "expired", f"expired {now - (self.expires_at or 0):.0f} s ago"
        return None

    def revocation(self) -> str | None:
        """Return why it is revoked; None if it is not."""
        return self.revoked


@dataclass(slots=True, kw_only=True, eq=False)
class IssuedToken(Issued):
    """A record of a token or code, which belongs to a grant and has a name."""

    letter: Letter = "r"
    grant: Grant
    number: int

    @property
    def name(self) -> str:
        """Its name in the journal, which says nothing secret: `alice/1 r2`."""
        return f"{self.grant.name} {self.letter}{self.number}"


@dataclass(slots=True, kw_only=True, eq=False)
class RefreshToken(IssuedToken):
    """A refresh token."""

    value: str
    issued_at: float
    """When it was issued."""
    family_since: float
    """When the first refresh token of the family was issued."""
    parent: RefreshToken | None = None
    """The token that it replaced, until either is used again."""
    spent_at: float | None = None
    """When a refresh spent it; None while none has."""
    successor: RefreshToken | None = None
    """The latest token that replaced it, until that is used."""
    successor_used: bool = False
    """Whether a token that replaced it has been used."""
    kept_until: float = 0
    """Until when it is needed, even if a token that replaced it has been used."""

    def revocation(self) -> str | None:
        return self.revoked or self.grant.refresh_tokens_revoked


@dataclass(slots=True, kw_only=True, eq=False)
class AuthorizationCode(IssuedToken):
    """An authorization code, with the parameters of its authorization request."""

    letter: Letter = "c"
    redirect_uri: str | None
    """None if the request had none."""
    code_challenge: str | None
    nonce: str | None
    jkt: str | None = None
    """The thumbprint of the key that it is bound to: `dpop_jkt` (RFC 9449 section 10)."""

    def revocation(self) -> str | None:
        return self.revoked


@dataclass(slots=True, kw_only=True, eq=False)
class DeviceCode(IssuedToken):
    """A device code, and the user code that belongs to it (RFC 8628 section 3.2).

    Its `grant` is the client's own, because a device code is issued before a user is known.
    """

    letter: Letter = "d"
    value: str
    user_code: str
    """The user code as it is shown: `WDJB-MJHT`."""
    entered: str
    """The user code as it is compared: `WDJBMJHT`."""
    interval_seconds: int
    """How long the client waits between two polls; 0 is not judged."""
    polled_at: float | None = None
    """When the client polled last."""
    approved: Grant | None = None
    """The login of the user who allowed the device."""
    denied: bool = False
    """Whether the user denied the device."""

    @property
    def decision(self) -> str | None:
        """What the user decided, as the end of a sentence; None if nothing yet."""
        if self.denied:
            return "denied"
        return None if self.approved is None else f"allowed as {self.approved.name}"


@dataclass(slots=True, kw_only=True, eq=False)
class AccessToken(IssuedToken):
    """An access token."""

    letter: Letter = "a"
    opaque: Mapping[str, Mapping[str, Any]] | None = None
    """The claims of an opaque token by its value; None for a JWT, which has its claims inside. A
    fault can give it another value with other claims."""

    def claims_of(self, value: str) -> Mapping[str, Any] | None:
        """Return the claims of an opaque token; None for a JWT."""
        return None if self.opaque is None else self.opaque.get(value)

    def revocation(self) -> str | None:
        return self.revoked or self.grant.access_tokens_revoked or self.grant.end_of(self.number)


@dataclass(slots=True, kw_only=True, eq=False)
class SentPassword(Issued):
    """An otp_token, with the one-time password that was sent for it."""

    otp: str
    otp_expires_at: float
    client_id: str
    auth_source_id: str
    recipient: str


_Record = TypeVar("_Record", bound=Issued)


class Records(Generic[_Record]):
    """The records of one kind, by value."""

    def __init__(self, limit: int | None = None) -> None:
        """`limit` is how many are kept at most; None is every one that can be used."""
        self._limit = limit
        self._by_value: OrderedDict[str, _Record] = OrderedDict()
        self._retired: deque[str] = deque()
        self._sweep_at = KEPT

    def __len__(self) -> int:
        return len(self._by_value)

    def __iter__(self) -> Iterator[_Record]:
        return iter(self._by_value.values())

    def items(self) -> Iterable[tuple[str, _Record]]:
        """Return every value with its record."""
        return self._by_value.items()

    def add(self, value: str, record: _Record, now: float) -> None:
        """Keep a new record."""
        self._by_value[value] = record
        if len(self._by_value) - len(self._retired) > self._sweep_at:
            self._sweep(now)
        if self._limit is not None and len(self._by_value) > self._limit:
            self._by_value.popitem(last=False)

    def find(self, value: str) -> _Record | None:
        """Return the record of a value, valid or not; None if it is unknown or forgotten."""
        return self._by_value.get(value)

    def retire(self, value: str) -> None:
        """Forget a record that is no longer needed, after the records retired before it."""
        self._retired.append(value)
        if len(self._retired) > KEPT:
            self._by_value.pop(self._retired.popleft(), None)

    def _sweep(self, now: float) -> None:
        """Retire the records that cannot be used. The records left pay for the next sweep."""
        retired = set(self._retired)
        for value, record in list(self._by_value.items()):
            if value not in retired and self._is_needless(record, now):
                self.retire(value)
        self._sweep_at = max(KEPT, 2 * (len(self._by_value) - len(self._retired)))

    def _is_needless(self, record: _Record, now: float) -> bool:
        return record.flaw(now) is not None


class RefreshTokens(Records[RefreshToken]):
    """Refresh tokens. A spent one is needed until its successor has been used or has expired."""

    def __init__(self) -> None:
        super().__init__()
        self._beside: OrderedDict[str, None] = OrderedDict()

    def spend(
        self,
        token: RefreshToken,
        successor: RefreshToken,
        now: float,
        spent: str,
        *,
        kept_until: float = 0,
    ) -> None:
        """Replace a token. A client that lost the response may present it again.

        `kept_until` is when it is no longer needed if a successor is used before.
        """
        token.spent, token.spent_at, token.successor = spent, now, successor
        token.kept_until = kept_until

    def put_beside(self, token: RefreshToken, successor: RefreshToken, now: float) -> None:
        """Note a new token of a family that has another one: the one before it, or a sibling."""
        if token.value in self._beside:
            self._beside.move_to_end(token.value)
        self._keep_beside(successor, now)

    def _keep_beside(self, token: RefreshToken, now: float) -> None:
        self._beside[token.value] = None
        if len(self._beside) > KEPT_BESIDE:
            value, _ = self._beside.popitem(last=False)
            oldest = self.find(value)
            if oldest is not None and not self._is_needless(oldest, now):
                self.retire(value)

    def use(self, token: RefreshToken, now: float) -> None:
        """Note that a token was used, so that the token before it is no longer needed."""
        parent, token.parent = token.parent, None
        if parent is not None and parent.spent_at is not None and not parent.successor_used:
            parent.successor_used, parent.successor = True, None
            if parent.kept_until:
                self._keep_beside(parent, now)
            else:
                self.retire(parent.value)

    def _is_needless(self, record: RefreshToken, now: float) -> bool:
        successor = record.successor
        if record.spent_at is not None and now < record.kept_until:
            return record.has_expired(now)
        if record.spent_at is not None and successor is not None:
            return successor.flaw(now) is not None
        return super()._is_needless(record, now)


class UsedIds:
    """The ids that can be used once, such as the `jti` of an assertion, until they expire."""

    def __init__(self) -> None:
        self._used: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def use(self, issuer: str, value: str, expires_at: float, now: float) -> float | None:
        """Use an id of an issuer. Return when it was used before; None if it is new."""
        key = _digest(f"{len(issuer)} {issuer}{value}")
        used_at, until = self._used.get(key, (now, now))
        if until > now:
            return used_at
        self._used[key] = (now, expires_at)
        self._used.move_to_end(key)
        if len(self._used) > KEPT_IDS:
            self._used.popitem(last=False)
        return None


class Store:
    """Everything that one server has issued, and the ids of the assertions that it accepted."""

    def __init__(self) -> None:
        self.refresh_tokens = RefreshTokens()
        self.codes: Records[AuthorizationCode] = Records(KEPT_WAITING)
        self.device_codes: Records[DeviceCode] = Records(KEPT_WAITING)
        self.otps: Records[SentPassword] = Records(KEPT_WAITING)
        self.assertion_ids = UsedIds()
        self.opened = 0
        """How many grants were opened."""
        self._access_tokens: OrderedDict[bytes, AccessToken] = OrderedDict()
        self._counted: OrderedDict[tuple[str, str], dict[Grant, RefreshToken]] = OrderedDict()
        self._logins: Counter[str] = Counter()

    def open_grant(
        self,
        client_id: str,
        sub: str,
        scopes: Iterable[str],
        *,
        owner: str | None = None,
        is_users: bool = True,
        is_preconfigured: bool = False,
    ) -> Grant:
        """Return a new grant. `owner` is the name of its user for people; None is the `sub`."""
        kind = f"{owner or sub}/{'preconfigured' if is_preconfigured else ''}"
        self._logins[kind] += 1
        self.opened += 1
        return Grant(
            name=f"{kind}{self._logins[kind]}",
            opened=self.opened,
            client_id=client_id,
            sub=sub,
            scopes=tuple(sorted(set(scopes))),
            is_users=is_users,
        )

    def find(self, value: str) -> IssuedToken | None:
        """Return the record of a refresh token, a code, or an access token, valid or not."""
        return (
            self.refresh_tokens.find(value)
            or self.codes.find(value)
            or self.device_codes.find(value)
            or self.access_token(value)
        )

    def device_code_of(self, entered: str) -> DeviceCode | None:
        """Return the latest device code with a user code, valid or not."""
        found = [code for code in self.device_codes if code.entered == entered]
        return found[-1] if found else None

    def named(self, name: str) -> IssuedToken | None:
        """Return the record that has a name in the journal: `alice/1 r2`."""
        return next((token for token in self._tokens() if token.name == name), None)

    def add_access_token(self, value: str, token: AccessToken) -> None:
        """Keep an access token under the value that the client gets."""
        self._access_tokens[_digest(value)] = token
        if len(self._access_tokens) > KEPT_ACCESS_TOKENS:
            self._access_tokens.popitem(last=False)

    def add_opaque_token(self, value: str, token: AccessToken, claims: Mapping[str, Any]) -> None:
        """Keep an opaque access token under a value, with its claims."""
        token.opaque = {**(token.opaque or {}), value: claims}
        self.add_access_token(value, token)

    def access_token(self, value: str) -> AccessToken | None:
        """Return the record of an access token; None if it is unknown or forgotten."""
        return self._access_tokens.get(_digest(value))

    def revoke_grant(self, grant: Grant, reason: str, *, access_tokens: bool = True) -> None:
        """Revoke the refresh tokens of a family and, by default, its access tokens."""
        grant.refresh_tokens_revoked = grant.refresh_tokens_revoked or reason
        if access_tokens:
            grant.access_tokens_revoked = grant.access_tokens_revoked or reason

    def count_family(self, token: RefreshToken, now: float, most: int) -> Iterator[Grant]:
        """Count the family of a new refresh token. Yield the oldest ones beyond the most that its
        user can have with its client."""
        grant = token.grant
        key = grant.client_id, grant.sub
        latest = self._counted.setdefault(key, {})
        self._counted.move_to_end(key)
        if len(self._counted) > KEPT_COUNTS:
            self._counted.popitem(last=False)
        latest[grant] = token
        if len(latest) > most:
            for other in [one for one, last in latest.items() if last.flaw(now) is not None]:
                del latest[other]
        while len(latest) > most:
            oldest = next(iter(latest))
            del latest[oldest]
            yield oldest

    def forget_logins(self, names: Collection[str]) -> None:
        """Forget how often a name has logged in that is none of these, and that no grant has."""
        kept = {*names, *(token.grant.name.rpartition("/")[0] for token in self._tokens())}
        self._logins = Counter(
            {kind: n for kind, n in self._logins.items() if kind.rpartition("/")[0] in kept}
        )

    def forget_login(self, name: str) -> None:
        """Forget how often a client has got tokens for itself."""
        self._logins.pop(f"{name}/", None)

    def grants_of(self, sub: str) -> list[Grant]:
        """Return the grants of a user of which some token is known."""
        grants = dict.fromkeys(token.grant for token in self._tokens())
        return [grant for grant in grants if grant.is_users and grant.sub == sub]

    def tokens(self) -> list[IssuedToken]:
        """Return every token and code that is known, each once."""
        return list(dict.fromkeys(self._tokens()))  # A fault can give a token a second value.

    def _tokens(self) -> Iterator[IssuedToken]:
        yield from self.refresh_tokens
        yield from self.codes
        yield from self.device_codes
        yield from self._access_tokens.values()


def grant_of(name: str) -> str:
    """Return the grant's part of a token's name: `alice/1` of `alice/1 r2`."""
    return name.rpartition(" ")[0]


def together(names: Iterable[str]) -> str:
    """Return names in one text, each grant once: `alice/1 r2 a3`."""
    by_grant: dict[str, list[str]] = {}
    for name in names:
        grant, _, token = name.rpartition(" ")
        by_grant.setdefault(grant, []).append(token)
    return ", ".join(f"{grant} {' '.join(tokens)}" for grant, tokens in by_grant.items())


def _digest(value: str) -> bytes:
    # An access token has some 700 characters, of which nothing is needed but that they are equal.
    # An id has as many as its issuer likes.
    return blake2b(value.encode(errors="surrogatepass"), digest_size=16).digest()
