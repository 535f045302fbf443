"""Bodies in chunks (RFC 9112 section 7.1), told apart from what is behind them.

Werkzeug's own reader returns memory that nobody has written where a chunk is broken off.
"""

from __future__ import annotations

import re
from io import RawIOBase
from typing import IO, Any


class Chunks(RawIOBase):
    """A body in chunks, and not a byte of what is behind it.

    Raises OSError for one that is broken, and goes on to.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = 0
        self._ended = self._broken = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._broken:
            raise OSError("broken")
        self._broken = True
        if not self._left and not self._ended:
            self._left = self._size()
            if not self._left:
                self._ended = True
                while self._line():
                    pass  # A trailer.
        size = min(len(buffer), self._left)
        piece = self._stream.read(size)
        self._left -= size
        if len(piece) < size or (size and not self._left and self._line()):
            raise OSError("a chunk is not as long as it says")
        buffer[:size] = piece
        self._broken = False
        return size

    def _size(self) -> int:
        digits = self._line().partition(b";")[0].rstrip(b" \t")
        if not re.fullmatch(b"[0-9A-Fa-f]{1,16}", digits):
            raise OSError("the size of a chunk is no number")
        return int(digits, 16)

    def _line(self) -> bytes:
        line = self._stream.readline(8192)
        if not line.endswith(b"\n"):
            raise OSError("a line without an end")
        return line.rstrip(b"\r\n")
