"""How things are measured: in processes of their own, several rounds each, medians of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.error import URLError
from urllib.request import Request, urlopen

HERE = Path(__file__).parent


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serving(name: str) -> Iterator[str]:
    """One of `servers`; gives its URL."""
    with running(sys.executable, str(HERE / "servers.py"), name) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def load(url: str, body: str, connections: int, requests: int) -> tuple[float, float]:
    """The median of one reply in milliseconds, and replies a second."""
    command = [sys.executable, str(HERE / "load.py"), url, body, str(connections), str(requests)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    milliseconds, rate = map(float, shown.split())
    return milliseconds, rate


def seconds_of(command: Sequence[str], rounds: int) -> float:
    """The median of the seconds that a command prints about itself."""
    return median(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(rounds)
    )


def seconds_to_answer(process: subprocess.Popen[str], url: str, body: str, begin: float) -> float:
    """The seconds from `begin` until a server answers with 200."""
    while process.poll() is None and perf_counter() < begin + 30:
        try:
            with urlopen(Request(url, body.encode() if body else None), timeout=5) as reply:
                if reply.status == 200:
                    return perf_counter() - begin
        except (URLError, ConnectionError):
            continue
    raise SystemExit(f"{url} did not answer")
