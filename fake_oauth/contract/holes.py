"""Holes: what a page has where a value differs from reply to reply.

To the letter a hole is as narrow as the documentation, in what it means as wide as its kind. To add
one, give it a row in `_HOLES` and a word in `fixtures/README.md`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

Level = Literal["strict", "loose"]

# What a hole stands for, to the letter and by its meaning.
_HOLES: Final[Mapping[str, tuple[str, str]]] = {
    "<jwt>": (r"[\w-]+\.[\w-]+\.[\w-]+", r"[\w-]+\.[\w-]+\.[\w-]+"),
    "<token>": (r"[\w-]{128}", r"\S+"),
    "<modulus>": (r"[\w-]{342}", r"[\w-]+"),
    "<uuid>": (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"\S+"),
    "<issuer>": (r"https?://[^\s\"]+", r"https?://[^\s\"]+"),
    "<url>": (r"https?://[^\s\"]+", r"https?://[^\s\"]+"),
    "<any>": (r"\S+", r"\S+"),
    "<text>": (r'(?:[^"\\]|\\.)+', r'(?:[^"\\]|\\.)*'),  # As it stands between quotation marks.
}
_TIMES: Final = r"<(?:time|iat(?:\+\d+)?)>"
# In JSON these are numbers, where only text can be a hole.
_HOLE: Final = re.compile(rf'("{_TIMES}"|"<number>"|{_TIMES}|<[a-z]+>)')
_NUMBER: Final = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_TIME: Final = re.compile(r"<(?:time|iat(?:\+(\d+))?)>")
_SECONDS: Final = r"\d{9,10}"


def matches(expected: str, text: str, level: Level) -> bool:
    """Whether a text is the expected one, with anything fitting in its holes."""
    if expected == "<text>":
        return level == "loose" or text != ""
    parts = _HOLE.split(expected)
    return re.fullmatch("".join(_pattern(part, level) for part in parts), text) is not None


def is_number(wanted: Any, told: Any) -> bool:
    """Whether any number is wanted, and this is one."""
    return wanted == "<number>" and type(told) in (int, float)


def is_time(wanted: Any) -> bool:
    """Whether this stands for a time."""
    return isinstance(wanted, str) and _TIME.fullmatch(wanted) is not None


def is_then(wanted: str, told: Any, iat: Any, level: Level) -> bool:
    """Whether a number of seconds since 1970 is the time that a hole stands for.

    `<iat+300>` is 300 seconds after the `iat` beside it, by its meaning any time after it; `<iat>`
    is that, by its meaning no time after it.
    """
    kinds = (int,) if level == "strict" else (int, float)  # RFC 7519 section 2 allows fractions.
    if type(told) not in kinds or not 10**8 <= told < 10**10:  # Nor is it NaN or endless.
        return False
    match = _TIME.fullmatch(wanted)
    if match is None or wanted == "<time>":
        return True
    later = int(match[1] or 0)
    if level == "strict":
        return bool(told - later == iat)
    return type(iat) not in kinds or bool(told > iat if later else told <= iat)


def _pattern(part: str, level: Level) -> str:
    if part in _HOLES:
        return _HOLES[part][0 if level == "strict" else 1]
    if part == '"<number>"':
        return _NUMBER
    return _SECONDS if is_time(part.strip('"')) else re.escape(part)
