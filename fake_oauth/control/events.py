"""Server-sent events: a stream that says that the server has changed.

What has changed is read elsewhere. A stream has a thread, as every connection does. It looks from
time to time at a few values that are other ones after a change, so a request pays nothing for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Final

from fake_oauth.control.arguments import RefusedError
from fake_oauth.journal import Exchange, Journal
from fake_oauth.reply import Response as SentResponse

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from fake_oauth.faults.base import Connection
    from fake_oauth.server import FakeOAuth

STREAMS: Final = 16
"""How many streams there are at most."""
LOOK_SECONDS: Final = 0.1
"""How long a stream waits before it looks again."""
# How many looks there are at least between two events, and at most without a sign of life.
_LOOKS_BETWEEN: Final = 5
_LOOKS_WITHOUT: Final = 150
# A browser that has lost the stream opens another after this time.
_RETRY: Final = "retry: 1000\n"
_ALIVE: Final = b":\n\n"
_CONTENT_TYPE: Final = "text/event-stream"

Facts = Callable[[], object]
"""Returns a value that is another one after each change of the server, except an exchange."""


class Streams:
    """The streams of one server."""

    def __init__(self, server: FakeOAuth, facts: Facts) -> None:
        self._server = server
        self._facts = facts
        self._open = 0
        self._lock = Lock()

    def begin(self, interrupt: Callable[[Callable[[Connection], None]], None]) -> None:
        """Let a stream take over a connection. Raise RefusedError if there are too many."""
        with self._lock:
            if self._open >= STREAMS:
                raise RefusedError(503, f"expected at most {STREAMS} streams; close a console")
            self._open += 1
        interrupt(self._run)

    def _run(self, connection: Connection) -> None:
        try:
            stream(connection, Changes(self._server, self._facts))
        finally:
            with self._lock:
                self._open -= 1


class Changes:
    """What a stream has reported of one server."""

    def __init__(self, server: FakeOAuth, facts: Facts) -> None:
        self._server = server
        self._facts = facts
        self._journal: Journal | None = None
        self._arrived = 0
        self._waiting: list[Exchange] = []
        self._reported: object = None

    def event(self) -> str | None:
        """Return the event of the changes since the last one; None if there are none."""
        counts = self._counts()
        seen = (counts, self._facts())
        if seen == self._reported:
            return None
        self._reported = seen
        return f"event: change\ndata: {json.dumps(counts)}\n\n"

    def _counts(self) -> dict[str, int]:
        """Return how many requests have arrived, and how many have their response."""
        journal = self._server.journal
        if journal is not self._journal:
            self._journal, self._arrived, self._waiting = journal, 0, []
        if journal.latest_number != self._arrived:
            new = journal.after(self._arrived)
            self._arrived = new[-1].number
            self._waiting += new
        self._waiting = [one for one in self._waiting if one.answered_before is None]
        return {"arrived": self._arrived, "answered": self._arrived - len(self._waiting)}


def stream(connection: Connection, changes: Changes) -> None:
    """Send events until the client disconnects or the server stops.

    A change is sent at the next look, but not sooner than 500 ms after the one before.
    """
    headers = (
        ("Content-Type", _CONTENT_TYPE),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    )
    connection.send_head(SentResponse(200, headers, b""))
    connection.send(f"{_RETRY}{changes.event()}".encode())
    looks = silent = 0
    while connection.pause(LOOK_SECONDS):
        looks, silent = looks + 1, silent + 1
        event = changes.event() if looks >= _LOOKS_BETWEEN else None
        if event is not None:
            connection.send(event.encode())
            looks = silent = 0
        elif silent >= _LOOKS_WITHOUT:
            connection.send(_ALIVE)
            silent = 0


def once(server: FakeOAuth) -> Response:
    """Return one event, without a socket: the browser asks again."""
    from werkzeug.wrappers import Response

    event = Changes(server, lambda: None).event()
    return Response(f"{_RETRY}{event}", content_type=_CONTENT_TYPE)
