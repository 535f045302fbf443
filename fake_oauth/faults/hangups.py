"""Faults on the connection, and of the port.

`after_commit` says whether the endpoint has done its work before: then the state has changed, a
rotated token is spent, and the client does not hear of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from fake_oauth.faults.seams import Interruption, Outage, Wire
from fake_oauth.provider.errors import Problem
from fake_oauth.reply import Written

# A reply drips in steps of this many seconds at most.
_STEP_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class _Lost(Interruption):
    """An interruption that takes the whole reply with it."""

    after_commit: bool = False

    @property
    def is_after_commit(self) -> bool:
        return self.after_commit


@dataclass(frozen=True, slots=True)
class HangUp(_Lost):
    """The connection is closed without a byte of reply."""

    def interrupt(self, wire: Wire, written: Written) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Reset(_Lost):
    """The connection is reset (TCP RST) without a byte of reply."""

    def interrupt(self, wire: Wire, written: Written) -> None:
        wire.reset_at_close()


@dataclass(frozen=True, slots=True)
class Garbage(_Lost):
    """What comes back is not HTTP."""

    def interrupt(self, wire: Wire, written: Written) -> None:
        wire.send(b"\x00\x01\x02 this is not HTTP\r\n\r\n")


@dataclass(frozen=True, slots=True)
class BadChunk(_Lost):
    """A chunked reply (RFC 9112 section 7.1) that breaks off in a chunk whose size is no number."""

    def interrupt(self, wire: Wire, written: Written) -> None:
        half = written.body[: len(written.body) // 2]
        wire.send_head(written.changed(content_length=None, transfer_encoding="chunked"))
        wire.send((b"%x\r\n%b\r\n" % (len(half), half) if half else b"") + b"no size\r\n")


@dataclass(frozen=True, slots=True)
class Hang(_Lost):
    """Nothing comes back until the client gives up or the test ends."""

    def interrupt(self, wire: Wire, written: Written) -> None:
        wire.pause(None)


@dataclass(frozen=True, slots=True)
class _Partial(Interruption):
    """An interruption of the reply itself, which is always after the commit."""

    loses_reply: ClassVar[bool] = False

    @property
    def is_after_commit(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Truncated(_Partial):
    """The reply's body breaks off after `at` bytes, though its Content-Length promises all."""

    at: int

    def interrupt(self, wire: Wire, written: Written) -> None:
        wire.send_head(written)
        wire.send(written.body[: min(self.at, len(written.body) - 1)])

    def problems(self) -> Iterator[Problem]:
        if self.at < 0:
            yield Problem("at", f"expected at least 0, got {self.at}")


@dataclass(frozen=True, slots=True)
class Drip(_Partial):
    """The reply's body comes in drops, so many bytes a second (real ones), to its end."""

    bytes_a_second: int

    def interrupt(self, wire: Wire, written: Written) -> None:
        wire.send_head(written)
        drop = max(1, int(self.bytes_a_second * _STEP_SECONDS))
        for start in range(0, len(written.body), drop):
            if not wire.pause(drop / self.bytes_a_second):
                return
            wire.send(written.body[start : start + drop])

    def problems(self) -> Iterator[Problem]:
        if self.bytes_a_second < 1:
            yield Problem("bytes_a_second", f"expected at least 1, got {self.bytes_a_second}")


@dataclass(frozen=True, slots=True)
class Down(Outage):
    """The port refuses connections for so many real seconds, then it is back.

    It begins as soon as every step before it is used; with `always` it lasts until it is lifted.
    Connections that wait for a request are closed, requests under way are answered.
    """

    def problems(self) -> Iterator[Problem]:
        if self.seconds is not None and not 0 < self.seconds <= 3600:
            yield Problem("seconds", f"expected more than 0, 3600 at most, got {self.seconds}")
