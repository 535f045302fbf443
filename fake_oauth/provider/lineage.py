"""Where tokens come from: a grant is a tree, and everything that grows on it has a readable name.

`alice/1 r2 a3` is the second refresh token and the third access token of alice's first log-in.
Names tell tokens apart and give none away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["r", "a", "c"]


@dataclass(slots=True, kw_only=True, eq=False)
class Grant:
    """Who allowed whom to do what. All tokens that one log-in bought belong to one grant."""

    alias: str
    """Whose log-in it was, and which of theirs: `alice/1`."""
    client_id: str
    sub: str
    scopes: tuple[str, ...]
    """In alphabetical order."""
    is_users: bool = True
    """Whether a user gave it; the other ones are the client's own."""
    ended: str | None = None
    """Why no refresh token of it is good any more; None if that is not so."""
    revoked: str | None = None
    """Why no access token of it is good any more; None if that is not so."""
    fresh_until: float | None = None
    """When the latest access token expires that its client has received."""
    _grown: dict[Kind, int] = field(default_factory=dict, repr=False)

    def name(self, kind: Kind) -> str:
        """A name for a new refresh token, access token or code. Call it with the lock held."""
        self._grown[kind] = self._grown.get(kind, 0) + 1
        return f"{self.alias} {kind}{self._grown[kind]}"


def grant_of(alias: str) -> str:
    """The grant's part of a token's name: `alice/1` of `alice/1 r2`."""
    return alias.rpartition(" ")[0]


def together(aliases: Iterable[str]) -> str:
    """Names in one breath: `alice/1 r2 a3`."""
    by_grant: dict[str, list[str]] = {}
    for alias in aliases:
        grant, _, token = alias.rpartition(" ")
        by_grant.setdefault(grant, []).append(token)
    return ", ".join(f"{grant} {' '.join(tokens)}" for grant, tokens in by_grant.items())
