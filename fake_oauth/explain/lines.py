"""Lines of the server's log, and of the report of a failed test: what they say about a refusal.

A line has the error code and the reason. Its cause is only in the journal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fake_oauth.explain import names
from fake_oauth.explain.codes import CODES
from fake_oauth.explain.page import Row, Section, Verbatim
from fake_oauth.explain.recorded import SCRIPTED, RecordedJournal, because

# Of the lines that a person pastes, the latest ones; the others are counted.
_MOST: Final = 10
_HINT: Final = "With --server URL, the journal of a running fake has it."
# Colors that a terminal or a CI service has put around a line.
_COLORS: Final = re.compile(r"\x1b\[[0-9;]*m")
# Something can stand before a line: the `E` of pytest, or the name of a container.
_LINE: Final = re.compile(
    r".{0,60}?(?P<line>#(?P<number>\d{1,12}) \d\d:\d\d:\d\d \S{1,20} .*? -> "
    r"(?:(?P<status>[1-5]\d\d)|no response)(?P<rest> .*|))"
)
_WORD: Final = re.compile(r" (\w+)(?= |$)")
_WHO: Final = re.compile(r" \[.*?\](?= |$)")
_FAULT: Final = re.compile(r" \{((?:step \d+|always) .*?)\}(?= |$)")
_SENT: Final = re.compile(r"issued |[\w.-]+=")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of the server's log. What it does not have is None."""

    number: int
    text: str
    status: int | None
    """The status of the response; None is no response."""
    error: str | None
    fault: str | None
    reason: str | None

    @property
    def is_refusal(self) -> bool:
        """Whether the client did not get what it requested."""
        return self.error is not None or self.status is None or self.status >= 400

    @property
    def outcome(self) -> str:
        """What the client got."""
        status = "no response" if self.status is None else f"status {self.status}"
        return status if self.error is None else f"{self.error}, {status}"


def read_lines(text: str) -> Iterator[LogLine]:
    """Yield the lines of a log in a text; other lines, such as titles, are skipped."""
    for line in _COLORS.sub("", text).split("\n"):
        if (found := _LINE.match(line)) is not None:
            yield _line(found)


def _line(found: re.Match[str]) -> LogLine:
    rest = found["rest"].rstrip()
    error, rest = _error(rest)
    if (who := _WHO.match(rest)) is not None:
        rest = rest[who.end() :]
    fault = _FAULT.match(rest)
    if fault is not None:
        rest = rest[fault.end() :]
    return LogLine(
        number=int(found["number"]),
        text=found["line"].rstrip(),
        status=None if found["status"] is None else int(found["status"]),
        error=error,
        fault=None if fault is None else fault[1],
        reason=_reason(rest.strip()),
    )


def _error(rest: str) -> tuple[str | None, str]:
    """Return the error code, and what follows it. The first word of a reason is not a code."""
    found = _WORD.match(rest)
    if found is None:
        return None, rest
    after = rest[found.end() :]
    if found[1] in CODES or ("_" in found[1] and after.startswith((" [", " {"))):
        return found[1], after
    return None, rest


def _reason(text: str) -> str | None:
    """Return the reason, without what was issued and sent. It can have a semicolon itself."""
    parts: list[str] = []
    for part in text.split("; "):
        if _SENT.match(part):
            break
        parts.append(part)
    return "; ".join(parts) or None


def explained(
    lines: Sequence[LogLine], journal: RecordedJournal | None = None
) -> list[Section | Verbatim]:
    """Return the explanation of the refusals in lines, or what they say if there are none."""
    refused = [line for line in lines if line.is_refusal]
    if not refused:
        rows: list[Row] = [(f"request {line.number}", _named(line)) for line in lines]
        return [Section("Lines of the server's log: none has a refusal", rows)]
    sections: list[Section | Verbatim] = []
    if len(refused) > _MOST:
        earlier = len(refused) - _MOST
        sections.append(Section(f"The latest {_MOST} refusals; {earlier} came before"))
    unknown: Counter[str | None] = Counter()
    latest = refused[-_MOST:]
    for line in latest:
        found = None if journal is None else journal.same(line.number, line.text)
        if found is not None:
            sections.append(found.section())
        else:
            unknown[line.error] += line.reason != SCRIPTED
            rows = [] if journal is None else [journal.without_line()]
            sections.append(Section(_title(line), rows))
    if journal is None:
        sections.append(Section("The cause is not in a line", [_HINT]))
    for code in dict.fromkeys(line.error for line in latest):
        if code is not None:
            sections += names.error(code, lists_causes=bool(unknown[code]))
    return sections


def _title(line: LogLine) -> str:
    did = "got no response" if line.status is None else f"was refused ({line.outcome})"
    return f"Request {line.number} {did}{because(line.reason, line.fault)}"


def _named(line: LogLine) -> str:
    fault = "" if line.fault is None else f", with the fault {line.fault}"
    reason = "" if line.reason is None else f": {line.reason}"
    return f"{line.outcome}{fault}{reason}"
