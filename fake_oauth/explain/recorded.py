"""What the journal of a running fake says about a refusal: which request it was, and why.

The journal is another process's, so nothing in it is relied on. It is searched here: nothing of
a pasted text is sent to find an exchange.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from fake_oauth.explain.causes import CAUSES
from fake_oauth.explain.page import Row, Section

SCRIPTED: Final = "scripted"
"""The cause and the reason of a refusal by the script."""
_ELSEWHERE: Final = "another server's, or older, or from before a reset."


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An exchange in a journal. What is not known is None."""

    number: int
    line: str
    status: int | None
    error: str | None
    cause: str | None
    reason: str | None
    fault: str | None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Return an exchange of `GET /_fake/journal`. What has another type is not known."""
        number, status = data.get("number"), data.get("status")
        texts = {name: data.get(name) for name in ("error", "cause", "reason", "fault")}
        return cls(
            number=number if isinstance(number, int) else 0,
            line=str(data.get("line")),
            status=status if isinstance(status, int) else None,
            **{name: text if isinstance(text, str) else None for name, text in texts.items()},
        )

    def fits(self, error: str | None, status: int | None, causes: Collection[str]) -> bool:
        """Return whether a client can have got this refusal from it.

        `causes` are those of the error code: a redirect and a challenge have the code in a header,
        and the journal then has no error code.
        """
        if status is not None and self.status != status:
            return False
        if self.error is not None:
            return self.error == error
        if error is None:
            return not causes or self.cause in causes
        is_made = self.cause == SCRIPTED and error in (self.fault or "")
        return is_made or self.cause in causes

    def section(self) -> Section:
        """Return which request it was, and why it was refused."""
        return Section(
            f"Here: request {self.number} was refused{because(self.reason, self.fault)}",
            [("line", self.line), *_causes(self.cause), *_faults(self.fault)],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedJournal:
    """The latest exchanges of a running fake, oldest first."""

    url: str
    exchanges: Sequence[Recorded]

    @classmethod
    def read(cls, url: str, data: Mapping[str, Any]) -> Self:
        """Return the journal from the response of `GET /_fake/journal`."""
        rows = data.get("exchanges")
        rows = rows if isinstance(rows, list) else []
        return cls(url=url, exchanges=[Recorded.read(row) for row in rows if isinstance(row, dict)])

    def latest(
        self, error: str | None, status: int | None, causes: Collection[str]
    ) -> Recorded | None:
        """Return the latest exchange with this error code and status; None if there is none.

        No error code is one without any. No status is any.
        """
        fitting = (one for one in reversed(self.exchanges) if one.fits(error, status, causes))
        return next(fitting, None)

    def same(self, number: int, line: str) -> Recorded | None:
        """Return the exchange with this number and line; None if there is none."""
        words = line.split()
        return next(
            (one for one in self.exchanges if one.number == number and one.line.split() == words),
            None,
        )

    def without(self, error: str | None, status: int | None) -> Section:
        """Return that no exchange has this error code and status."""
        has = [error or "no error code"] + ([] if status is None else [f"status {status}"])
        return Section(
            f"Here: none of the latest {len(self.exchanges)} exchanges of {self.url} has "
            f"{' and '.join(has)}",
            [f"The response is {_ELSEWHERE}"],
        )

    def without_line(self) -> str:
        """Return that no exchange has a line."""
        return (
            f"None of the latest {len(self.exchanges)} exchanges of {self.url} has this line: it "
            f"is {_ELSEWHERE}"
        )


def because(reason: str | None, fault: str | None) -> str:
    """Return the end of a sentence that says why a request was refused."""
    if fault is not None and reason in (None, SCRIPTED):
        return f", because the script says so: {fault}"
    return "" if reason is None else f", because {reason}"


def _causes(cause: str | None) -> Iterator[Row]:
    meanings = {name: meaning for name, meaning in CAUSES.items() if name == cause}
    for name, meaning in meanings.items():
        yield "cause", f"{name}: {meaning}"


def _faults(fault: str | None) -> Iterator[Row]:
    if fault is not None:
        yield "fault", fault
