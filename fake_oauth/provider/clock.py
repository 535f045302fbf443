"""What time it is: one clock for tokens, expiry and the `Date` header.

Nobody else in the package reads the time of day.
"""

from __future__ import annotations

import time
from datetime import datetime
from threading import Lock

from fake_oauth.provider.errors import FakeOAuthError

# The first second of the year 10000, which no HTTP date can name.
_END_OF_TIME = 253_402_300_800


class Clock:
    """A clock that a test may move: real at first, or frozen, set or advanced.

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
        """Seconds since 1970, UTC."""
        frozen_at = self._frozen_at
        return time.time() + self._ahead if frozen_at is None else frozen_at

    @property
    def is_frozen(self) -> bool:
        return self._frozen_at is not None

    def advance(self, seconds: float) -> None:
        """Move the clock ahead by `seconds`, or back if negative. A frozen clock stays frozen."""
        with self._lock:
            self._put(self.now() + seconds)

    def set(self, moment: float | datetime) -> None:
        """Put the clock to `moment`: seconds since 1970, or a datetime that has a time zone."""
        with self._lock:
            self._put(seconds_since_1970(moment))

    def freeze(self) -> None:
        """Stop the clock where it is."""
        with self._lock:
            self._frozen_at = self.now()

    def unfreeze(self) -> None:
        """Let the clock run on from where it stands."""
        with self._lock:
            self._ahead = self.now() - time.time()
            self._frozen_at = None

    def _put(self, moment: float) -> None:
        if not 0 <= moment < _END_OF_TIME:
            raise FakeOAuthError(
                f"the clock cannot be put to {moment!r}: it runs from 0 (the year 1970) "
                f"to {_END_OF_TIME - 1} (the year 9999)"
            )
        if self._frozen_at is None:
            self._ahead = moment - time.time()
        else:
            self._frozen_at = moment

    def __repr__(self) -> str:
        return f"<Clock {self.now():.3f}{' frozen' if self.is_frozen else ''}>"


def seconds_since_1970(moment: float | datetime) -> float:
    """A point in time as seconds. A datetime without a time zone is refused, not guessed at."""
    if not isinstance(moment, datetime):
        return float(moment)
    if moment.tzinfo is None:
        raise FakeOAuthError(
            f"{moment.isoformat()} has no time zone: write {moment.isoformat()}Z in TOML, "
            "or give the datetime a tzinfo"
        )
    return moment.timestamp()
