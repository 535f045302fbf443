"""How things are measured: in processes of their own, over and over, and the median counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.error import URLError
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
STATE = HERE.parent / ".bench"

# An installed package has its bytecode; one run from its sources, where writing bytecode is
# switched off, would be compiled again and again and look slower than it is for its users.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
} | {"PYTHONPYCACHEPREFIX": str(STATE / "bytecode")}


@dataclass(slots=True)
class Replies:
    """What was seen of a server: how long its replies took, and how many came in a second."""

    seconds: list[float] = field(default_factory=list)
    """Of every reply, asked for over a single connection."""
    rates: list[float] = field(default_factory=list)
    """Of every round over several connections."""
    counted: int = 0
    """The replies behind the rates."""

    @property
    def milliseconds(self) -> float:
        return median(self.seconds) * 1000

    @property
    def rate(self) -> float:
        return median(self.rates)


@contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def script(name: str) -> tuple[str, str]:
    """The command for one of the scripts beside this one."""
    return sys.executable, str(HERE / name)


def line_of(process: subprocess.Popen[str], containing: str = "") -> str:
    """The next line that a process prints, or the next with this in it."""
    assert process.stdout is not None
    for line in process.stdout:
        if containing in line:
            return line.strip()
    raise SystemExit(f"{process.args!r} ended and did not say {containing or 'a line'!r}")


def load(url: str, body: str, connections: int, seconds: float) -> list[float]:
    """The seconds of every reply that so many clients at once got in this time."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(running(*script("load.py"), url, body)) for _ in range(connections)
        ]
        for client in clients:
            line_of(client, "ready")
        for client in clients:
            assert client.stdin is not None
            client.stdin.write(f"{seconds}\n")
            client.stdin.flush()
        return [took for client in clients for took in json.loads(line_of(client))]


def round_of(
    servers: Mapping[str, str], body: str, seen: Mapping[str, Replies], span: float
) -> None:
    """Ask each server in turn, over one connection and then over eight."""
    for name, url in servers.items():
        seen[name].seconds += load(url, body, 1, span)
    for name, url in servers.items():
        took = load(url, body, 8, span)
        seen[name].rates.append(len(took) / span)
        seen[name].counted += len(took)


def seconds_until_answer(
    process: subprocess.Popen[str], url: str, body: str | None, begin: float
) -> float:
    """The seconds from `begin` until a server answers with 200."""
    data = None if body is None else body.encode()
    while process.poll() is None and perf_counter() < begin + 30:
        try:
            with urlopen(Request(url, data), timeout=5) as reply:
                if reply.status == 200:
                    return perf_counter() - begin
        except (URLError, ConnectionError):
            pass  # It does not listen yet.
    raise SystemExit(f"{url} did not answer")


def numbers_from(command: Sequence[str | Path]) -> list[float]:
    """The numbers that a command prints about itself."""
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT)
    return [float(number) for number in ended.stdout.split()]


def number_from(command: Sequence[str | Path]) -> float:
    """The number that a command prints about itself."""
    (number,) = numbers_from(command)
    return number


def samples(take: Callable[[], float], times: int) -> list[float]:
    """So many samples, after one that is thrown away: it fills caches."""
    take()
    return [take() for _ in range(times)]
