"""An explanation: sections with rows, laid out for 80 columns.

Its texts can be those of another server. They are made printable and short here, and only here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Final

from fake_oauth.journal import printable

_WIDTH: Final = 80
_LONGEST_NAME: Final = 30
_LONGEST_TEXT: Final = 2000
# Rows of an object of another server; more than these are only counted.
_MOST_ROWS: Final = 60

Row = str | tuple[str, str]
"""A paragraph, or a name with a text."""


@dataclass(slots=True)
class Section:
    """A heading, and what is below it."""

    title: str
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Lines that are copied: code, or a command."""

    title: str
    lines: Sequence[str]


def layout(sections: Sequence[Section | Verbatim]) -> str:
    """Return sections as text, each separated by a blank line."""
    return "\n\n".join("\n".join(_lines(section)) for section in sections)


def _lines(section: Section | Verbatim) -> Iterator[str]:
    yield from wrap(_shown(section.title), _WIDTH)
    if isinstance(section, Verbatim):
        yield from (f"  {printable(line)}" for line in section.lines)
        return
    rows = section.rows[:_MOST_ROWS]
    names = [len(_name(row[0])) for row in rows if isinstance(row, tuple)]
    width = max(names, default=0)
    for row in rows:
        if isinstance(row, str):
            yield from wrap(_shown(row), _WIDTH, initial_indent="  ", subsequent_indent="  ")
        else:
            indent = " " * (width + 4)
            name = f"  {_name(row[0]):{width}}  "
            text = wrap(_shown(row[1]), _WIDTH, initial_indent=name, subsequent_indent=indent)
            yield from text or [name.rstrip()]
    if len(section.rows) > _MOST_ROWS:
        yield f"  … and {len(section.rows) - _MOST_ROWS} more"


def _name(text: str) -> str:
    return _cut(printable(text), _LONGEST_NAME)


def _shown(text: str) -> str:
    return _cut(printable(text), _LONGEST_TEXT)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
