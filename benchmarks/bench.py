"""What it costs, against its limits and beside its peers, in one run: `make bench`.

Machines are shared and noisy, so limits are in terms of what the same run measured, rounds of what
is compared alternate, and medians count. The exit code says that it ran, not that it was fast.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter
from types import FrameType
from urllib.request import urlopen

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from measuring import (
    Replies,
    line_of,
    number_from,
    numbers_from,
    round_of,
    running,
    samples,
    script,
    seconds_until_answer,
)
from peers import FAILURES, PEERS, STARTS
from servers import FORM, PATH, SERVERS

import fake_oauth
from fake_oauth import FakeOAuth, Settings
from fake_oauth.provider.keys import key_ring

PYTEST = """
from importlib import import_module
from time import perf_counter
import pytest
from _pytest.config import default_plugins
for name in default_plugins:
    import_module(f"_pytest.{name}")
"""
IMPORT = f"""{PYTEST}
begin = perf_counter()
import fake_oauth.pytest_plugin
print((perf_counter() - begin) * 1000)
"""
FIRST_FIXTURE = f"""{PYTEST}
import fake_oauth.pytest_plugin
begin = perf_counter()
from fake_oauth.settings import Settings
from fake_oauth.server import FakeOAuth
server = FakeOAuth(Settings(seed=0)).start()
print((perf_counter() - begin) * 1000)
server.stop()
"""


@dataclass(frozen=True, slots=True)
class Extent:
    """How long everything is measured."""

    rounds: int
    seconds: float
    times: int
    """Of what takes milliseconds; a tenth of it, of what takes a process."""
    refreshes: int
    soaked: int


FULL = Extent(rounds=7, seconds=1.0, times=100, refreshes=100_000, soaked=1_000_000)
QUICK = Extent(rounds=2, seconds=0.3, times=30, refreshes=4_000, soaked=100_000)


def row(name: str, figure: float, unit: str, count: int, limit: float | None = None) -> None:
    """A line of the table, as soon as it is known."""
    line = f"{name:60} {figure:9.3f} {unit:3} {count:8}"
    if limit is not None:
        reached = "yes" if figure <= limit else "NO"
        line += f" {limit:9.3f} {figure / limit:7.2f}  {reached}"
    print(line, flush=True)


def two_signatures(times: int) -> list[float]:
    """Milliseconds for the least that two RS256 tokens cost."""
    key, padding, digest, took = key_ring().signing.private, PKCS1v15(), SHA256(), []
    for number in range(times):
        begin = perf_counter()
        key.sign(b"%600d" % number, padding, digest)
        key.sign(b"%600d." % number, padding, digest)
        took.append((perf_counter() - begin) * 1000)
    return took


def replies(extent: Extent) -> None:
    """The servers side by side, and the signatures between their rounds."""
    signatures: list[float] = []
    seen = {name: Replies() for name in SERVERS}
    with ExitStack() as stack:
        urls = {
            name: line_of(stack.enter_context(running(*script("servers.py"), name)))
            for name in SERVERS
        }
        console = stack.enter_context(running(*script("console.py"), urls["watched"]))
        line_of(console, "ready")
        for _ in range(extent.rounds):
            signatures += two_signatures(extent.times)
            round_of(urls, FORM, seen, extent.seconds)
    signing, bare, ours = median(signatures), seen["bare"], seen["ours"]
    repeating, stock = seen["repeating"], seen["stock"]

    def at_one(name: str, what: Replies, limit: float | None = None) -> None:
        row(f"{name}, p50 at 1 connection", what.milliseconds, "ms", len(what.seconds), limit)

    row("two RSA-2048 signatures, p50", signing, "ms", len(signatures))
    at_one("bare werkzeug reply, keep-alive", bare)
    at_one("bare werkzeug reply, werkzeug's server", stock)
    at_one("bare werkzeug reply that signs twice", seen["signing"])
    at_one("refresh, to the sum of its parts", ours, 1.15 * (signing + bare.milliseconds))
    at_one("refresh, to the reply that signs", ours, 1.15 * seen["signing"].milliseconds)
    at_one("refresh, with an open console", seen["watched"], 1.05 * ours.milliseconds)
    at_one("refresh, frozen clock, repeated", repeating, 1.15 * bare.milliseconds)
    for name, what in (("bare, keep-alive", bare), ("bare, werkzeug's server", stock)):
        row(f"{name}, at 8 connections", what.rate, "/s", what.counted)
    row("refresh, at 8 connections", ours.rate, "/s", ours.counted)
    row("refresh, repeated, at 8 connections", repeating.rate, "/s", repeating.counted)


def fixture(extent: Extent) -> None:
    """What a test pays for a server of its own."""
    stops: list[float] = []

    def once(*, asked: bool) -> float:
        begin = perf_counter()
        server = FakeOAuth(Settings(seed=0)).start()
        started = perf_counter()
        if asked:
            # Kept open, as the client of a test that ends would leave it.
            connection = HTTPConnection(server.url.removeprefix("http://"))
            connection.request("GET", "/oauth2/jwks")
            connection.getresponse().read()
        stopping = perf_counter()
        server.stop()
        end = perf_counter()
        stops.append((end - stopping) * 1000)
        if asked:
            connection.close()
        return (started - begin + end - stopping) * 1000

    both = samples(lambda: once(asked=False), extent.times)
    row("fixture: set-up plus tear-down, p50", median(both), "ms", len(both), 0.7)
    row("fixture: the stop alone, p50", median(stops), "ms", len(stops), 10)
    stops.clear()
    samples(lambda: once(asked=True), extent.times)
    row("fixture: the stop with a connection open, p50", median(stops), "ms", len(stops), 10)
    row("fixture: the same, slowest", max(stops), "ms", len(stops), 10)


def modules_of_a_refresh() -> int:
    """Return how many modules of the package one refresh over a socket enters."""
    package, entered = str(Path(fake_oauth.__file__).parent), set[str]()

    def seen(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(package):
            entered.add(frame.f_code.co_filename)

    with FakeOAuth(Settings(seed=0)) as server:
        urlopen(server.token_url, FORM.encode()).read()  # What only the first request loads.
        threading.setprofile(seen)
        try:
            urlopen(server.token_url, FORM.encode()).read()
        finally:
            threading.setprofile(None)
    return len(entered)


def cold_start() -> float:
    """Seconds from starting the command to its first refresh."""
    begin = perf_counter()
    with running(sys.executable, "-m", "fake_oauth", "serve", "--port", "0") as process:
        url = line_of(process, "listening on").split()[-1]
        return seconds_until_answer(process, url + PATH, FORM, begin)


def processes(extent: Extent) -> None:
    """What can be seen in a new process only."""
    times = extent.times // 10
    imports = samples(lambda: number_from((sys.executable, "-c", IMPORT)), times)
    row("import of the pytest plugin, over pytest's own", median(imports), "ms", times, 0.5)
    firsts = samples(lambda: number_from((sys.executable, "-c", FIRST_FIXTURE)), times)
    row("first fixture of a session, imports included", median(firsts), "ms", times, 60)
    starts = samples(cold_start, times)
    row("start of the command to its first refresh", median(starts), "s", times, 0.2)
    grown = number_from((*script("memory.py"), str(extent.refreshes)))
    row(f"memory grown by {extent.refreshes} refreshes", grown, "MB", 1, 20)


def long_life(extent: Extent) -> None:
    """What a long life costs."""
    ratio, grown = numbers_from((*script("long_life.py"), str(extent.soaked)))
    times = f"{extent.soaked} refreshes under rotation"
    row(f"{times}: p50 of the last tenth, of the first", ratio, "x", extent.soaked, 1.1)
    row(f"{times}: memory grown in between", grown, "MB", 1, 5)


def peers(extent: Extent) -> None:
    """The same of the others."""
    for name, start in PEERS.items():
        try:
            with start() as peer:
                seen = {name: Replies()}
                for _ in range(extent.rounds):
                    round_of({name: peer.url}, peer.body, seen, extent.seconds)
        except FAILURES as failure:
            print(f"{name}: not measured: {failure}", flush=True)
            continue
        full, what = f"{name} {peer.version}", seen[name]
        row(f"{full}: refresh, p50", what.milliseconds, "ms", len(what.seconds))
        row(f"{full}: refresh, at 8", what.rate, "/s", what.counted)
        row(f"{full}: start to first answer", peer.start_seconds, "s", STARTS)
        if peer.fixture_milliseconds is not None:
            row(f"{full}: fixture", peer.fixture_milliseconds, "ms", 10)


def main() -> None:
    """Measure everything, a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__, usage="bench.py [--quick] [--no-peers]")
    parser.add_argument("--quick", action="store_true", help="less of everything, to try it")
    parser.add_argument("--no-peers", action="store_true", help="install and measure no peers")
    options = parser.parse_args()
    extent = QUICK if options.quick else FULL
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs; "
        f"{extent.rounds} alternating rounds of {extent.seconds} s each; medians\n"
        f"{'':60} {'figure':>13} {'samples':>8} {'limit':>9} {'ratio':>7}  reached"
    )
    replies(extent)
    row("modules that a refresh over a socket enters", modules_of_a_refresh(), "", 1, 15)
    fixture(extent)
    processes(extent)
    long_life(extent)
    if not options.no_peers:
        peers(extent)


if __name__ == "__main__":
    main()
