"""The client's side: one process that asks a server the same thing over and over.

`python load.py URL BODY CONNECTIONS REQUESTS` prints the median of one reply in milliseconds and
the replies a second, over keep-alive where the server keeps connections.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection
from statistics import median
from threading import Thread
from time import perf_counter
from urllib.parse import urlsplit

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(url: str, body: str, requests: int) -> list[float]:
    """The seconds that each of so many requests took, one after the other."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    took = []
    for _ in range(requests):
        begin = perf_counter()
        connection.request("POST", parts.path, body, FORM)
        reply = connection.getresponse()
        content = reply.read()
        took.append(perf_counter() - begin)
        if reply.status != 200:
            raise SystemExit(f"{url} answered {reply.status}: {content[:200]!r}")
    connection.close()
    return took


def main(url: str, body: str, connections: int, requests: int) -> None:
    """Ask and print."""
    ask(url, body, 20)
    took: list[float] = []
    threads = [
        Thread(target=lambda: took.extend(ask(url, body, requests))) for _ in range(connections)
    ]
    begin = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(median(took) * 1000, len(took) / (perf_counter() - begin))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
