"""Token families as values: immutable, and drawn as text with one line for each token."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, overload

from fake_oauth.provider.store import State

TokenKind = Literal["refresh_token", "access_token", "code", "device_code"]
FamilyState = Literal["active", "revoked", "expired"]

# How many tokens of a family its text shows, and how many requests of a token.
_SHOWN: Final = 30
_SHOWN_REQUESTS: Final = 5

_Token = TypeVar("_Token")


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
        shown = latest_of(self.tokens, _SHOWN, lambda token: token.kind == "access_token")
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


def latest_of(
    tokens: Sequence[_Token], most: int, is_access_token: Callable[[_Token], bool]
) -> list[_Token]:
    """Return the latest tokens; at least half of the places are for access tokens, or are empty.

    So a refresh token that stays the same is among them, however many access tokens it led to.
    """
    leading = [token for token in tokens if not is_access_token(token)][-(most // 2) :]
    others = list(filter(is_access_token, tokens))
    kept = set(map(id, (*leading, *others[max(0, len(others) + len(leading) - most) :])))
    return [token for token in tokens if id(token) in kept]


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
