"""What it costs, against its limits and beside its peers, in one run: `make bench`.

Machines are shared and noisy, so what counts is the ratio of two figures of the same run. Rounds
of what is compared alternate. Options: --quick (short, for trying), --no-peers.
"""

from __future__ import annotations

import os
import platform
import sys
from statistics import median
from time import perf_counter

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from measuring import load, running, seconds_of, seconds_to_answer, serving
from peers import measure
from servers import FORM

from fake_oauth import FakeOAuth, Settings
from fake_oauth.provider.keys import shipped_ring

QUICK = "--quick" in sys.argv
REQUESTS = 300 if QUICK else 2000
ROUNDS = 2 if QUICK else 5

IMPORT = """
import pytest, _pytest.config, _pytest.python, _pytest.assertion.rewrite
from time import perf_counter
begin = perf_counter()
import fake_oauth.pytest_plugin
print(perf_counter() - begin)
"""
MEMORY = """
import sys
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode
from fake_oauth import FakeOAuth, Settings

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

def refresh(fake, token):
    form = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET",
            "grant_type": "refresh_token", "refresh_token": token}
    body = urlencode(form).encode()
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/oauth2/token", "QUERY_STRING": "",
               "CONTENT_TYPE": "application/x-www-form-urlencoded", "wsgi.url_scheme": "http",
               "CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body),
               "SERVER_NAME": "x", "SERVER_PORT": "1"}
    fake(environ, lambda status, headers: None)
    return fake.journal[-1].reply["refresh_token"]

fakes = [FakeOAuth(), FakeOAuth(Settings(rotate_refresh_tokens=True))]
tokens = ["MOCK_REFRESH_TOKEN"] * 2

def run(times):
    for _ in range(times):
        for index, fake in enumerate(fakes):
            tokens[index] = refresh(fake, tokens[index])

run(1000)
before = resident()
run(int(sys.argv[1]) // 2)
print(resident() - before)
"""


def two_signatures() -> float:
    """Milliseconds for the least that two RS256 tokens cost."""
    key, padding, digest, took = shipped_ring().signing.private, PKCS1v15(), SHA256(), []
    for number in range(REQUESTS):
        begin = perf_counter()
        key.sign(b"%600d" % number, padding, digest)
        key.sign(b"%600d." % number, padding, digest)
        took.append(perf_counter() - begin)
    return median(took) * 1000


def replies() -> dict[str, tuple[float, float]]:
    """For each server: the median of a reply at 1 connection, the replies a second at 8."""
    names = ("bare", "ours", "remembered", "stock")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            with serving(name) as url:
                milliseconds, _ = load(url, FORM, 1, REQUESTS)
                _, rate = load(url, FORM, 8, REQUESTS // 4)
                found[name].append((milliseconds, rate))
    return {
        name: (median(one for one, _ in rounds), median(rate for _, rate in rounds))
        for name, rounds in found.items()
    }


def fixture() -> tuple[float, float]:
    """Milliseconds of a fixture's set-up plus tear-down, and of the stop alone."""
    both, stop = [], []
    for _ in range(REQUESTS // 4):
        begin = perf_counter()
        server = FakeOAuth(Settings(seed=0)).start()
        half = perf_counter()
        server.stop()
        end = perf_counter()
        both.append(end - begin)
        stop.append(end - half)
    return median(both) * 1000, median(stop) * 1000


def cold_start() -> float:
    """Seconds from starting the command to its first 200."""
    took = []
    for _ in range(ROUNDS):
        begin = perf_counter()
        with running(sys.executable, "-m", "fake_oauth", "serve", "--port", "0") as process:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            url = next(line.split()[-1] for line in lines if "listening on" in line)
            took.append(seconds_to_answer(process, f"{url}/oauth2/token", FORM, begin))
    return median(took)


def row(name: str, value: float, limit: float | None = None, unit: str = "") -> None:
    """A line of the table: the figure, and what it should be at most."""
    line = f"  {name:58} {value:10.3f} {unit:4}"
    if limit is not None:
        line += f"  limit {limit:8.3f}  {value / limit:5.2f} of it  "
        line += "reached" if value <= limit else "NOT REACHED"
    print(line, flush=True)


def main() -> None:
    """Measure everything and print it."""
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"{ROUNDS} rounds of {REQUESTS} requests; medians"
    )
    signatures, asked = two_signatures(), replies()
    bare = asked["bare"][0]
    row("two RSA-2048 signatures", signatures, None, "ms")
    row("bare werkzeug JSON reply, keep-alive, p50", bare, None, "ms")
    row("bare werkzeug JSON reply, its own server, p50", asked["stock"][0], None, "ms")
    row("refresh, p50 at 1 connection", asked["ours"][0], 1.3 * (signatures + bare), "ms")
    row("refresh, signatures remembered, p50", asked["remembered"][0], 1.3 * bare, "ms")
    for name, (_, rate) in asked.items():
        row(f"replies a second at 8 connections: {name}", rate, None, "/s")
    both, stop = fixture()
    row("fixture: set-up plus tear-down, p50", both, 3, "ms")
    row("fixture: the stop alone, p50", stop, 10, "ms")
    plugin = seconds_of([sys.executable, "-c", IMPORT], ROUNDS * 3)
    row("import of the pytest plugin, over pytest's own", plugin * 1000, 5, "ms")
    row("cold start of the command to its first 200", cold_start(), 0.4, "s")
    times = 10_000 if QUICK else 100_000
    grown = seconds_of([sys.executable, "-c", MEMORY, str(times)], 1)
    row(f"memory grown by {times} refreshes, half of them rotating", grown, 20, "MB")
    if "--no-peers" not in sys.argv:
        for peer, figures in measure(REQUESTS):
            print(f"  {peer}" + (f": {figures}" if isinstance(figures, str) else ""))
            for name, value in () if isinstance(figures, str) else figures.items():
                row(f"  {name}", value)


if __name__ == "__main__":
    main()
