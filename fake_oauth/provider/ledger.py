"""What was issued and may still be spent.

The ledger keeps records; it judges nobody. Call it with the realm's lock held.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

# How many dead tokens are remembered, so that the journal can say what became of them.
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRecord:
    """A refresh token that was issued: whose it is, what it grants, and what became of it."""

    value: str
    client_id: str
    sub: str
    scopes: tuple[str, ...]
    expires_at: float | None
    """Seconds since 1970; None is never."""
    fate: str | None = None
    """Why it can no longer be spent: `rotated away by request 12`. None while it can."""

    def expired_for(self, now: float) -> float | None:
        """The seconds since it expired; None if it has not."""
        if self.expires_at is None or now < self.expires_at:
            return None
        return now - self.expires_at


class Ledger:
    """Refresh tokens by value. Those alive are all kept; of the dead, the latest few thousand."""

    def __init__(self) -> None:
        self._alive: dict[str, RefreshRecord] = {}
        self._dead: OrderedDict[str, RefreshRecord] = OrderedDict()
        self._sweep_at = _REMEMBERED

    def __len__(self) -> int:
        return len(self._alive) + len(self._dead)

    def write(self, record: RefreshRecord, now: float) -> None:
        """Keep a new record."""
        self._alive[record.value] = record
        if len(self._alive) > self._sweep_at:
            self._sweep(now)

    def find(self, value: str) -> RefreshRecord | None:
        """The record of a token, dead or alive; None if it never was or is long forgotten."""
        return self._alive.get(value) or self._dead.get(value)

    def kill(self, record: RefreshRecord, fate: str) -> None:
        """Let a token never be spent again, and remember why."""
        self._alive.pop(record.value, None)
        self._bury(replace(record, fate=fate))

    def _bury(self, record: RefreshRecord) -> None:
        self._dead[record.value] = record
        if len(self._dead) > _REMEMBERED:
            self._dead.popitem(last=False)

    def _sweep(self, now: float) -> None:
        """Bury what has expired. Its cost is spread over as many writes as it left alive."""
        expired = [r for r in self._alive.values() if r.expired_for(now) is not None]
        for record in expired:
            del self._alive[record.value]
            self._bury(record)
        self._sweep_at = max(_REMEMBERED, 2 * len(self._alive))
