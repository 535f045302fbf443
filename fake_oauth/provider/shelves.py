"""Where records are kept: all that may still be needed, and of the rest the latest few thousand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Generic, TypeVar

from fake_oauth.provider.lineage import Grant
from fake_oauth.provider.records import Record, RefreshRecord

# How many records of a kind are remembered beyond need, so that the journal can say what became
# of them.
REMEMBERED: Final = 4096

_Record = TypeVar("_Record", bound=Record)


class Shelf(Generic[_Record]):
    """Records of a kind by value: all that live, and the latest few thousand of the dead."""

    def __init__(self) -> None:
        self._alive: dict[str, _Record] = {}
        self._dead: OrderedDict[str, _Record] = OrderedDict()
        self._sweep_at = REMEMBERED

    def __len__(self) -> int:
        return len(self._alive) + len(self._dead)

    def __iter__(self) -> Iterator[_Record]:
        """Those that live."""
        return iter(self._alive.values())

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

    def kill(self, record: _Record, fate: str) -> None:
        """Let it never be spent again, and remember why."""
        self._alive.pop(record.value, None)
        self._bury(replace(record, fate=fate))

    def _bury(self, record: _Record) -> None:
        self._dead[record.value] = record
        if len(self._dead) > REMEMBERED:
            self._dead.popitem(last=False)

    def _sweep(self, now: float) -> None:
        """Bury what has expired. Its cost is spread over as many writes as it left alive."""
        for record in [record for record in self if record.has_expired(now)]:
            del self._alive[record.value]
            self._bury(record)
        self._sweep_at = max(REMEMBERED, 2 * len(self._alive))


class RefreshShelf(Shelf[RefreshRecord]):
    """Refresh tokens; of the dead also those, however many, whose successors live.

    Those are what a client presents that never got the successor.
    """

    def __init__(self) -> None:
        super().__init__()
        self._spent: dict[str, RefreshRecord] = {}

    def __len__(self) -> int:
        return super().__len__() + len(self._spent)

    def amend(self, record: RefreshRecord) -> None:
        if record.value in self._spent:
            self._spent[record.value] = record
        else:
            super().amend(record)

    def find(self, value: str) -> RefreshRecord | None:
        return super().find(value) or self._spent.get(value)

    def of_grant(self, grant: Grant) -> list[RefreshRecord]:
        """The living records of a grant."""
        return [record for record in self if record.grant is grant]

    def _bury(self, record: RefreshRecord) -> None:
        if record.successor in self._alive:
            self._spent[record.value] = record
        else:
            super()._bury(record)
        if record.parent is not None and (parent := self._spent.pop(record.parent, None)):
            super()._bury(parent)
