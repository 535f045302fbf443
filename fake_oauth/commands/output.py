"""What `fake-oauth serve` prints while it runs, written by a separate thread."""

from __future__ import annotations

import os
import sys
from collections import deque
from contextlib import suppress
from threading import Condition, Thread
from typing import Final

from fake_oauth.journal import Exchange, printable


class Output:
    """One line per exchange on standard output, and other lines between them.

    A request never waits for a reader. If the output is not read, the oldest lines are dropped.
    """

    _LIMIT: Final = 10_000

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=self._LIMIT)
        self._changed = Condition()
        self._is_stopped = False
        self._thread = Thread(target=self._write, name="fake-oauth output", daemon=True)
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")

    def __call__(self, exchange: Exchange) -> None:
        self.say(str(exchange))

    def say(self, line: str) -> None:
        """Write a line that is not an exchange."""
        with self._changed:
            self._lines.append(f"{printable(line)}\n")
            self._changed.notify()

    def start(self) -> None:
        """Begin to write lines."""
        self._thread.start()

    def stop(self) -> None:
        """Write the remaining lines; give up after half a second."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join(0.5)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._is_stopped)
                if not self._lines:
                    return
                line = self._lines.popleft()
            try:
                print(line, end="", flush=True)
            except (OSError, ValueError):
                # The reader closed the pipe; keep serving without output.
                with suppress(OSError, ValueError):
                    discard_output()
                return


def discard_output() -> None:
    """Let nothing more be printed: not even what is left at exit, which would fail there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
