"""The client's side: one process is one connection that asks the same thing over and over.

`python load.py URL BODY` warms the server up, says `ready`, and for every number of seconds that
it reads from its input asks for so long and prints the seconds that each reply took, as JSON.
Processes rather than threads: eight threads would wait for each other's GIL, not for the server.
"""

from __future__ import annotations

import json
import sys
from http.client import HTTPConnection
from time import perf_counter
from urllib.parse import urlsplit

WARM_UP = 20
HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}


class Asker:
    """One client. A server that closes connections is connected to anew, as any client would."""

    def __init__(self, url: str, body: str) -> None:
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        self._path, self._body = parts.path, body

    def ask(self) -> float:
        """The seconds from the request to the last byte of its reply, which must be a 200."""
        begin = perf_counter()
        self._connection.request("POST", self._path, self._body, HEADERS)
        reply = self._connection.getresponse()
        content = reply.read()
        seconds = perf_counter() - begin
        if reply.status != 200:
            raise SystemExit(f"answered {reply.status}: {content[:200]!r}")
        return seconds


def main(url: str, body: str) -> None:
    """Ask whenever told to."""
    asker = Asker(url, body)
    for _ in range(WARM_UP):
        asker.ask()
    print("ready", flush=True)
    for line in sys.stdin:
        took, end = [], perf_counter() + float(line)
        while perf_counter() < end:
            took.append(asker.ask())
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
