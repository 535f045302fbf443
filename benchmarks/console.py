"""The browser's side of an open console: `python console.py URL` reads what the page reads.

It opens the stream of events, and after each event reads the clock and the new exchanges, as the
console does while it shows its first section. It says `ready` after the first event.
"""

from __future__ import annotations

import json
import sys
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

PREFIX = "/_fake"
# How many exchanges the page keeps, and how many of the latest it reads again.
KEPT = 1000
OVERLAP = 8


class Page:
    """One open page."""

    def __init__(self, host: str) -> None:
        self._connection = HTTPConnection(host, timeout=30)
        self._last = 0

    def refresh(self) -> None:
        """Read the clock and the exchanges since the last time."""
        self._read("/clock")
        after = max(0, self._last - OVERLAP)
        found = self._read(f"/journal?brief=true&latest={KEPT}&after={after}")["exchanges"]
        if found:
            self._last = found[-1]["number"]

    def _read(self, path: str) -> Any:
        self._connection.request("GET", PREFIX + path, headers={"Accept": "application/json"})
        return json.load(self._connection.getresponse())


def main(url: str) -> None:
    """Follow the events of a server until it ends."""
    host = urlsplit(url).netloc
    page, stream = Page(host), HTTPConnection(host)
    stream.request("GET", f"{PREFIX}/events", headers={"Accept": "text/event-stream"})
    for line in stream.getresponse():
        if line.startswith(b"data:"):
            page.refresh()
            print("ready", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
