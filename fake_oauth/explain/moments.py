"""Dates and durations in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard

from fake_oauth.provider.clock import END_OF_TIME

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The moment that lifetimes are judged at, and whose clock says so."""

    seconds: float
    """Seconds since 1970."""
    clock: str
    """`the real time`, or `the clock of http://…`."""


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: `4 min 10 s`.

    >>> duration(3600)
    '1 h'
    """
    rest = round(abs(seconds))
    parts = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def is_moment(value: Any) -> TypeGuard[float]:
    """Return whether a value can be a NumericDate that a date can show (RFC 7519 section 2)."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < END_OF_TIME  # NaN is neither.


def date(seconds: float) -> str:
    """Return a moment as a date."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def moment(seconds: float, now: Now) -> str:
    """Return a moment as a date, and how far it is from now: `… UTC, in 4 min`."""
    apart = seconds - now.seconds
    away = "now" if abs(apart) < 1 else f"in {duration(apart)}"
    return f"{date(seconds)}, {away if apart > -1 else f'{duration(apart)} ago'}"
