"""The one clock of a server: for tokens, for expiry, and for the `Date` header.

No other module of the package reads the time of day, except the recorder for the date of a case.
"""

from __future__ import annotations

import time
from datetime import datetime
from math import isfinite
from threading import Lock
from typing import Final

from fake_oauth.provider.errors import FakeOAuthError

# The first second of the year 10000, which no HTTP date can name.
END_OF_TIME: Final = 253_402_300_800
# Where a running clock stops.
_LAST: Final = END_OF_TIME - 1


class Clock:
    """A clock that a test can control: it shows the real time until it is frozen or set.

    >>> clock = Clock(1636449231, frozen=True)
    >>> clock.advance(300)
    >>> clock.now()
    1636449531.0
    """

    def __init__(self, start: float | datetime | None = None, *, frozen: bool = False) -> None:
        self._lock = Lock()
        self._ahead = 0.0
        self._frozen_at: float | None = None
        if frozen:
            self.freeze()
        if start is not None:
            self.set(start)

    def now(self) -> float:
        """Return the time in seconds since 1970, UTC; never later than the year 9999."""
        frozen_at = self._frozen_at
        return min(time.time() + self._ahead, _LAST) if frozen_at is None else frozen_at

    @property
    def is_frozen(self) -> bool:
        """Whether the clock is frozen."""
        return self._frozen_at is not None

    @property
    def setting(self) -> tuple[float, float | None]:
        """What a test has set, and time does not change: how far the clock is ahead, and where it
        is frozen."""
        return self._ahead, self._frozen_at

    def advance(self, seconds: float) -> None:
        """Move the clock ahead by `seconds`, or back if negative. A frozen clock stays frozen.

        Raise FakeOAuthError for a moment outside of the years 1970 to 9999, and for anything that
        is not a number.
        """
        with self._lock:
            self._set(self.now() + _number(seconds))

    def set(self, moment: float | datetime) -> None:
        """Set the clock to `moment`: seconds since 1970, or a datetime with a time zone.

        Raise FakeOAuthError for a datetime without a time zone, and for a moment outside of the
        years 1970 to 9999.
        """
        with self._lock:
            self._set(seconds_since_1970(moment))

    def freeze(self) -> None:
        """Stop the clock at the present moment."""
        with self._lock:
            self._frozen_at = self.now()

    def unfreeze(self) -> None:
        """Start the clock again, from the moment at which it was frozen."""
        with self._lock:
            self._ahead = self.now() - time.time()
            self._frozen_at = None

    def _set(self, moment: float) -> None:
        # NaN compares as false with everything, so it is refused too.
        if not (isfinite(moment) and 0 <= moment < END_OF_TIME):
            raise FakeOAuthError(
                f"cannot set the clock to {moment!r}; expected 0 (the year 1970) "
                f"to {END_OF_TIME - 1} (the year 9999)"
            )
        if self._frozen_at is None:
            self._ahead = moment - time.time()
        else:
            self._frozen_at = moment

    def __repr__(self) -> str:
        return f"<Clock {self.now():.3f}{' frozen' if self.is_frozen else ''}>"


def _number(seconds: float) -> float:
    if not isinstance(seconds, int | float):
        raise FakeOAuthError(f"expected a number of seconds, got {seconds!r}")
    # An integer can be too large for a float.
    return max(-END_OF_TIME, min(seconds, END_OF_TIME)) if isinstance(seconds, int) else seconds


def seconds_since_1970(moment: float | datetime) -> float:
    """Return a moment as seconds.

    Raise FakeOAuthError for a datetime without a time zone, and for anything else.
    """
    if isinstance(moment, int | float):
        return float(_number(moment))
    if not isinstance(moment, datetime):
        raise FakeOAuthError(
            f"expected seconds since 1970 or a datetime, got {moment!r}; "
            "datetime.fromisoformat() reads text"
        )
    if moment.tzinfo is None:
        raise FakeOAuthError(
            f"{moment.isoformat()} has no time zone; write {moment.isoformat()}Z in TOML, "
            "or pass a datetime with a tzinfo"
        )
    return moment.timestamp()
