"""What the commands that serve until Ctrl-C have in common: their end, and their address."""

from __future__ import annotations

import errno
import signal
from queue import SimpleQueue


def signals() -> SimpleQueue[int]:
    """Return a queue that gets SIGINT and SIGTERM, which then end nothing by themselves."""
    # Event.set would wait for itself if the signal arrives while Event.wait begins.
    received: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: received.put(number))
    return received


def address_problem(error: OSError, host: str, port: int) -> str:
    """Return why a command cannot listen, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use; choose another with --port, or --port 0 for a free "
            "one"
        )
    return f"cannot listen on {host}, port {port}: {error.strerror or error}"
