"""What was issued and may still be spent.

The ledger keeps records; it judges nobody. Call it with the realm's lock held.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Final, Generic, TypeVar

# How many dead records of a kind are remembered, so that the journal can say what became of them.
_REMEMBERED: Final = 4096
# How many access tokens can be traced to their grant, and how many revocations are remembered;
# older tokens are judged by what they say.
_TRACED: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who allowed whom to do what. All tokens that one log-in bought belong to one grant."""

    number: int
    client_id: str
    sub: str
    scopes: tuple[str, ...]
    """In alphabetical order."""
    is_users: bool = True
    """Whether a user gave it; the other ones are the client's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Something that can be spent, and what became of it."""

    value: str
    expires_at: float | None
    """Seconds since 1970; None is never."""
    fate: str | None = None
    """Why it can no longer be spent: `rotated away by request 12`. None while it can."""

    def flaw(self, now: float) -> str | None:
        """Why it cannot be spent now, as the end of a sentence; None if it can."""
        if self.fate is None and self.has_expired(now):
            return f"expired {now - (self.expires_at or 0):.0f} s ago"
        return self.fate

    def has_expired(self, now: float) -> bool:
        return self.expires_at is not None and now >= self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRecord(Record):
    """A refresh token. All that one log-in led to are a family."""

    grant: Grant
    family_since: float
    """When the first of its family was issued."""
    parent: str | None = None
    """The refresh token that it was given for; None for the first of its family."""
    spent_at: float | None = None
    """When a refresh spent it; None while none has."""
    successor: str | None = None
    """The latest that was given for it."""
    successor_used: bool = False
    """Whether a successor has been used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRecord(Record):
    """An authorization code, and what its authorization request said."""

    grant: Grant
    redirect_uri: str | None
    """None if the request left it out."""
    code_challenge: str | None
    nonce: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtpRecord(Record):
    """An otp_token: the OTP that was sent, to whom, and for which client and auth source."""

    otp: str
    otp_expires_at: float
    client_id: str
    auth_source_id: str
    recipient: str


_Record = TypeVar("_Record", bound=Record)
_Name = TypeVar("_Name")


class Shelf(Generic[_Record]):
    """Records of a kind by value: all that live, and the latest few thousand of the dead."""

    def __init__(self) -> None:
        self._alive: dict[str, _Record] = {}
        self._dead: OrderedDict[str, _Record] = OrderedDict()
        self._sweep_at = _REMEMBERED

    def __len__(self) -> int:
        return len(self._alive) + len(self._dead)

    def write(self, record: _Record, now: float) -> None:
        """Keep a new record."""
        self._alive[record.value] = record
        if len(self._alive) > self._sweep_at:
            self._sweep(now)

    def amend(self, record: _Record) -> None:
        """Keep a record in place of the one of the same value, which is there."""
        shelf = self._alive if record.value in self._alive else self._dead
        shelf[record.value] = record

    def find(self, value: str) -> _Record | None:
        """The record of a value, dead or alive; None if it never was or is long forgotten."""
        return self._alive.get(value) or self._dead.get(value)

    def of_grant(self, grant: Grant) -> list[_Record]:
        """The records alive that belong to this grant."""
        return [r for r in self._alive.values() if getattr(r, "grant", None) is grant]

    def kill(self, record: _Record, fate: str) -> None:
        """Let it never be spent again, and remember why."""
        self._alive.pop(record.value, None)
        self._bury(replace(record, fate=fate))

    def _bury(self, record: _Record) -> None:
        self._dead[record.value] = record
        if len(self._dead) > _REMEMBERED:
            self._dead.popitem(last=False)

    def _sweep(self, now: float) -> None:
        """Bury what has expired. Its cost is spread over as many writes as it left alive."""
        for record in [r for r in self._alive.values() if r.has_expired(now)]:
            del self._alive[record.value]
            self._bury(record)
        self._sweep_at = max(_REMEMBERED, 2 * len(self._alive))


class Ledger:
    """Everything that was issued, by kind; and which access token belongs to which grant."""

    def __init__(self) -> None:
        self.refresh_tokens: Shelf[RefreshRecord] = Shelf()
        self.codes: Shelf[CodeRecord] = Shelf()
        self.otps: Shelf[OtpRecord] = Shelf()
        self._numbers = count(1)
        self._traced: OrderedDict[str, Grant] = OrderedDict()
        self._revoked: OrderedDict[str | int, str] = OrderedDict()
        self._ended: OrderedDict[int, str] = OrderedDict()

    def open(
        self,
        client_id: str,
        sub: str,
        scopes: Iterable[str],
        *,
        is_users: bool = True,
    ) -> Grant:
        """A new grant."""
        return Grant(
            number=next(self._numbers),
            client_id=client_id,
            sub=sub,
            scopes=tuple(sorted(set(scopes))),
            is_users=is_users,
        )

    def trace(self, jti: str, grant: Grant) -> None:
        """Remember which grant an access token belongs to."""
        self._traced[jti] = grant
        if len(self._traced) > _TRACED:
            self._traced.popitem(last=False)

    def revoke_access_token(self, jti: str, fate: str) -> None:
        _remember(self._revoked, jti, fate)

    def revoke_grant(self, grant: Grant, fate: str, *, access_tokens: bool = True) -> None:
        """Kill a grant's refresh tokens and every access token that can be traced to it."""
        for record in self.refresh_tokens.of_grant(grant):
            self.refresh_tokens.kill(record, fate)
        _remember(self._ended, grant.number, fate)
        if access_tokens:
            _remember(self._revoked, grant.number, fate)

    def grant_fate(self, grant: Grant) -> str | None:
        """Why no refresh token of a grant is good any more; None if that is not so."""
        return self._ended.get(grant.number)

    def access_token_fate(self, jti: str) -> str | None:
        """Why an access token is no longer good, other than by expiry; None if it is."""
        grant = self._traced.get(jti)
        return self._revoked.get(jti) or (self._revoked.get(grant.number) if grant else None)


def _remember(fates: OrderedDict[_Name, str], name: _Name, fate: str) -> None:
    fates[name] = fate
    if len(fates) > _TRACED:
        fates.popitem(last=False)
