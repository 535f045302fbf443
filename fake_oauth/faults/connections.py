"""Faults on the connection, and of the port.

With `after_commit` the endpoint has done its work first: the state has changed, a refresh token may
be rotated, and the client does not know. A new fault is a subclass of `ConnectionFault` and a row
of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from fake_oauth.faults.base import Connection, ConnectionFault, Outage
from fake_oauth.reply import Response
from fake_oauth.structure import Problem

# The longest pause between two pieces of a response that drips.
_STEP_SECONDS: Final = 0.05
_FASTEST: Final = 10**9


@dataclass(frozen=True, slots=True)
class Truncated(ConnectionFault):
    """A body that ends after `at` bytes, although its Content-Length promises all of it."""

    loses_response: ClassVar[bool] = False

    at: int
    """How many bytes of the body are sent."""

    @property
    def after_commit(self) -> bool:
        return True

    def interrupt(self, connection: Connection, response: Response) -> None:
        connection.send_head(response)
        connection.send(self.received(response).body)

    def received(self, response: Response) -> Response:
        body = response.body[: min(self.at, len(response.body) - 1)]
        return Response(response.status, response.headers, body)

    def problems(self) -> Iterator[Problem]:
        if self.at < 0:
            yield Problem("at", f"expected at least 0, got {self.at}")


@dataclass(frozen=True, slots=True)
class Drip(ConnectionFault):
    """A whole body that arrives slowly, at this many bytes per (real) second."""

    loses_response: ClassVar[bool] = False

    bytes_a_second: int
    """How many bytes are sent in a real second."""

    @property
    def after_commit(self) -> bool:
        return True

    def interrupt(self, connection: Connection, response: Response) -> None:
        connection.send_head(response)
        size = max(1, int(self.bytes_a_second * _STEP_SECONDS))
        for start in range(0, len(response.body), size):
            if not connection.pause(size / self.bytes_a_second):
                return
            connection.send(response.body[start : start + size])

    def problems(self) -> Iterator[Problem]:
        if not 1 <= self.bytes_a_second <= _FASTEST:
            message = f"expected 1 to {_FASTEST}, got {self.bytes_a_second}"
            yield Problem("bytes_a_second", message)


@dataclass(frozen=True, slots=True)
class _LostResponse(ConnectionFault):
    """A fault that loses the whole response."""

    after_commit: bool = False
    """Whether the endpoint does its work first, so that the client loses the response to a request
    that succeeded."""


@dataclass(frozen=True, slots=True)
class HangUp(_LostResponse):
    """A connection that is closed without a response."""

    def interrupt(self, connection: Connection, response: Response) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Reset(_LostResponse):
    """A connection that is reset (TCP RST) without a response."""

    def interrupt(self, connection: Connection, response: Response) -> None:
        connection.reset_at_close()


@dataclass(frozen=True, slots=True)
class Garbage(_LostResponse):
    """A response that is not HTTP."""

    def interrupt(self, connection: Connection, response: Response) -> None:
        connection.send(b"\x00\x01\x02 this is not HTTP\r\n\r\n")


@dataclass(frozen=True, slots=True)
class BadChunk(_LostResponse):
    """A chunked response (RFC 9112 section 7.1) that ends in a chunk whose size is not a number."""

    def interrupt(self, connection: Connection, response: Response) -> None:
        half = response.body[: len(response.body) // 2]
        connection.send_head(response.changed(content_length=None, transfer_encoding="chunked"))
        connection.send((b"%x\r\n%b\r\n" % (len(half), half) if half else b"") + b"no size\r\n")


@dataclass(frozen=True, slots=True)
class Hang(_LostResponse):
    """No response until the client gives up or the server stops."""

    def interrupt(self, connection: Connection, response: Response) -> None:
        connection.pause(None)


@dataclass(frozen=True, slots=True)
class Down(Outage):
    """A port that refuses connections for some real seconds.

    It begins when every step before it is used; with `times="always"` it lasts until it is lifted.
    Idle connections are closed; requests that have arrived are served.
    """

    def problems(self) -> Iterator[Problem]:
        if self.seconds is not None and not 0 < self.seconds <= 3600:
            yield Problem("seconds", f"expected more than 0 and at most 3600, got {self.seconds}")
