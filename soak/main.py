"""Lets everything happen at once, for a long time: `make soak`.

Actors attack a plain server, a TLS server, and one with every endpoint, which live for the whole
run, or servers of their own: fuzzed bytes on raw sockets, every kind of fault, races for one
refresh token, resets, forks, connections that drip or are never read, and starts and stops. Every
wait has an end, and every action a deadline.

At the end there must be no hang (an action that passed its deadline), no defect (an assertion, or
an error in a server), no thread and no descriptor more than before, and no more memory than after
the first fifth of the run.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import gc
import os
import re
import signal
import socket
import ssl
import sys
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import count
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any, Final
from urllib.parse import urlencode

from fake_oauth import FakeOAuth, Settings, faults
from fake_oauth.dialects import DIALECTS
from fake_oauth.faults import KINDS, Fault, Rule

DEADLINE_SECONDS: Final = 20.0
"""No action may take longer. The slowest waits for some timeouts of a second, on a busy machine."""
STOP_SECONDS: Final = 1.0
GROWTH_MB: Final = 12.0
"""What the servers may take after the first fifth, until journals and stores are full."""
PHASES: Final = 5
FORM: Final = "application/x-www-form-urlencoded"
CLIENT: Final = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
REFRESH: Final = urlencode(
    {**CLIENT, "grant_type": "refresh_token", "refresh_token": "MOCK_REFRESH_TOKEN"}
).encode()
SETTINGS: Final = Settings(seed=0, control=True, cors_origins=["*"], journal_limit=200)
# The dialect with every endpoint, some of which keep what an unknown client sends.
MODERN: Final = SETTINGS.changed(dialect="mcp", dpop_nonces="rotating", journal_limit=50)

# What fuzzed requests are made of, besides random bytes.
PATHS: Final = (
    *("/oauth2/token", "/oauth2/authorize", "/userinfo", "/oauth2/revoke", "/otp/send"),
    *("/oauth2/jwks", "/.well-known/openid-configuration", "/resource", "/portal/login"),
    *("/logout", "/_fake/", "/_fake/clock", "/_fake/journal", "/_fake/tokens", "/nowhere", "*"),
    *DIALECTS["mcp"].paths.values(),
)
BODIES: Final = (
    *(REFRESH, b'{"a": 1}', b"", urlencode({"token": "x" * 50}).encode()),
    urlencode(CLIENT).encode(),
    urlencode({**CLIENT, "response_type": "code", "code_challenge": "x" * 43}).encode()
    + b"&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fexample.com%2Fcallback",
    urlencode({**CLIENT, "grant_type": "client_credentials"}).encode(),
    b'{"redirect_uris": ["https://app.example/callback"], "client_name": "App"}',
)
JUNK: Final = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\xff\xfe", b"%", b"%zz", b"\x1b[2J"),
    *(b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: y\r\n", b"0\r\n\r\n"),
    *(b"ffffffffffffffff\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"HTTP/1.0"),
    *(b"DPoP: a.b.c\r\n", b"DPoP: ", b"Cookie: ", b"&resource=https://x/" * 90),
    *(b"Authorization: Basic ", b"Authorization: Bearer ", b"Content-Type: application/json\r\n"),
    *(b"[" * 2000, b'{"a":' * 500, b"a=b&" * 200, b"x" * 5000, b"multipart/form-data; boundary=x"),
)


class World:
    """The servers that live for the whole run, and what was seen."""

    def __init__(self, seconds: float, seed: int, actors: int) -> None:
        self.seconds = seconds
        self.seed = seed
        self.actors = actors
        self.plain = FakeOAuth(SETTINGS).start()
        self.secure = FakeOAuth(SETTINGS.changed(tls=True)).start()
        self.modern = FakeOAuth(MODERN).start()
        self.trust = ssl.create_default_context(cadata=self.secure.ca_pem)
        # The first page loads the templates, which is no growth.
        post(self, self.modern, path=self.modern.dialect.paths["device"])
        self.counts: Counter[str] = Counter()
        self.defects: list[str] = []
        self.hangs: list[str] = []
        self.memory: list[float] = []
        self.running: dict[threading.Thread, tuple[str, float]] = {}
        self.lock = threading.Lock()

    def run(self) -> None:
        """Let the actors act, in phases. After each, when all is quiet, look at the memory."""
        for phase in range(PHASES):
            end = monotonic() + self.seconds / PHASES
            threads = [
                threading.Thread(target=self.act, args=(f"{phase}/{actor}", end), daemon=True)
                for actor in range(self.actors)
            ]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                self.find_hangs()
                if self.hangs:
                    return
                sleep(0.2)
            gc.collect()
            self.memory.append(resident_mb())
        for server in (self.plain, self.secure, self.modern):
            self.counts["exchanges"] += server.journal.forgotten + len(server.journal)
            stop(server)

    def act(self, actor: str, end: float) -> None:
        """Do one action after the other until the end. Each has random numbers of its own."""
        names = list(ACTIONS)
        for turn in count():
            if monotonic() > end:
                return
            random = Random(f"{self.seed}/{actor}/{turn}")
            name = random.choice(names)
            with self.lock:
                self.running[threading.current_thread()] = name, monotonic()
            try:
                ACTIONS[name](self, random)
            except Exception:  # noqa: BLE001
                self.defects.append(f"{name} ({actor}/{turn}):\n{traceback.format_exc()}")
            with self.lock:
                del self.running[threading.current_thread()]
                self.counts[name] += 1

    def find_hangs(self) -> None:
        """Report each action that has passed its deadline."""
        with self.lock:
            begun = list(self.running.values())
        self.hangs = [name for name, begin in begun if monotonic() - begin > DEADLINE_SECONDS]
        if self.hangs:
            faulthandler.dump_traceback()


def keep_no_free_memory() -> None:
    """Let the C library return what is freed, so that the memory seen is that of live objects.

    It would keep the largest bodies of each thread (mallopt(3): M_ARENA_MAX, M_MMAP_THRESHOLD).
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-8, 1)
        libc.mallopt(-3, 128 * 1024)


def resident_mb() -> float:
    """The memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def stop(server: FakeOAuth) -> None:
    """Stop a server in time; afterwards its port refuses."""
    url, begin = server.url, monotonic()
    server.stop()
    seconds = monotonic() - begin
    # The limit is the server's; four actors and their servers share the processor meanwhile.
    assert seconds < STOP_SECONDS + 1, f"the stop took {seconds:.2f} s"
    host, port = address(url)
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return
    # Another server of this run may have got the same port meanwhile.


def address(url: str) -> tuple[str, int]:
    host, _, port = url.partition("//")[2].rpartition(":")
    return host, int(port)


def connect(world: World, server: FakeOAuth) -> socket.socket:
    connection = socket.create_connection(address(server.url), timeout=5)
    if server.url.startswith("https"):
        return world.trust.wrap_socket(connection, server_hostname="127.0.0.1")
    return connection


def post(
    world: World,
    server: FakeOAuth,
    body: bytes = REFRESH,
    timeout: float = 5,
    path: str = "/oauth2/token",
) -> int:
    """Send a form with a client of the standard library, and return the status."""
    host, port = address(server.url)
    connection: HTTPConnection = (
        HTTPSConnection(host, port, timeout=timeout, context=world.trust)
        if server.url.startswith("https")
        else HTTPConnection(host, port, timeout=timeout)
    )
    try:
        connection.request("POST", path, body, {"Content-Type": FORM})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def still_serves(world: World, server: FakeOAuth) -> None:
    with connect(world, server) as connection:
        path = server.dialect.paths["jwks"]
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 200 "), received[:200]


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes, or until it has waited for more for a while."""
    data = bytearray()
    with suppress(OSError):
        while piece := connection.recv(65536):
            data += piece
    return bytes(data)


# Actions


def fuzz(world: World, random: Random) -> None:
    """Send requests with mutations, in pieces. Whatever comes back is HTTP, and no 5xx."""
    server = random.choice((world.plain, world.secure, world.modern))
    for _ in range(20):
        data = mutated(random, request(random) * random.randint(1, 3))
        with suppress(OSError), connect(world, server) as connection:
            connection.settimeout(0.1)
            cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randint(0, 3)))
            for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
                connection.sendall(data[start:end])
            # A TLS socket of Python's has no half-close.
            if server is world.plain and random.random() < 0.7:
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
            if random.random() < 0.9:  # The others leave without a word.
                assert_http(read_all(connection), data)
        world.counts["fuzzed requests"] += 1
    still_serves(world, server)


def request(random: Random) -> bytes:
    body = random.choice(BODIES)
    method = random.choice(("POST", "GET", "HEAD", "OPTIONS", "PUT", "DELETE"))
    kind = random.choice((FORM, "application/json", "text/plain"))
    head = (
        f"{method} {random.choice(PATHS)} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
    )
    if random.random() < 0.3:
        pieces = (body[at : at + 9] for at in range(0, len(body), 9))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def mutated(random: Random, data: bytes) -> bytes:
    for _ in range(random.choice((0, 1, 1, 2, 5))):
        at, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
        junk = random.choice(JUNK) if random.random() < 0.7 else random.randbytes(end - at & 31)
        data = random.choice(
            (data[:at] + junk + data[at:], data[:at] + junk + data[end:], data[:at], data * 2)
        )[: 256 * 1024]
    return data


def assert_http(received: bytes, sent: bytes) -> None:
    if received:
        line = received.partition(b"\r\n")[0]
        # 501 is for a transfer coding that nobody knows (RFC 9112 section 6.1).
        is_right = re.match(rb"HTTP/1\.1 ([1-4][0-9]{2}|501) ", line)
        assert is_right, (line[:200], sent[:300])


def deliver_fault(world: World, random: Random) -> None:
    """Send a request that gets a fault, with a client that gives up soon; the next works."""
    fault = random.choice(FAULTS)
    settings = SETTINGS.changed(tls=random.random() < 0.3)
    with FakeOAuth(settings) as server:
        trusting = World.__new__(World)
        if settings.tls:
            trusting.trust = ssl.create_default_context(cadata=server.ca_pem)
        endpoint = (fault.endpoints or ("token",))[0]
        server.script(Rule(fault, endpoint=endpoint))
        with suppress(OSError, HTTPException):
            post(trusting, server, timeout=0.2, path=server.dialect.paths[endpoint])
        if isinstance(fault, faults.Down):
            sleep(0.1)
        server.replace_script()
        assert post(trusting, server) == 200
        assert server.journal[-1].status == 200
    world.counts[f"fault {type(fault).__name__}"] += 1


def race(world: World, random: Random) -> None:
    """Refresh one token many times at once: it can be used once."""
    n = random.randint(2, 12)
    with FakeOAuth(SETTINGS.changed(refresh_policy="rotate")) as server:
        body = REFRESH.replace(
            b"MOCK_REFRESH_TOKEN", str(server.issue_tokens().refresh_token).encode()
        )
        order = random.sample(range(n), n)
        with ThreadPoolExecutor(n) as pool, server.barrier(n, order=order) as barrier:
            sent = [pool.submit(post, world, server, body) for _ in range(n)]
        assert sorted(future.result() for future in sent) == [200] + [400] * (n - 1)
        assert len(barrier.winners) == 1


def reset(world: World, random: Random) -> None:
    """Reset a server while requests are under way. Each gets an answer of its own time."""
    with FakeOAuth(SETTINGS) as server, ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(post, world, server) for _ in range(8)]
        for _ in range(random.randint(1, 5)):
            server.reset(SETTINGS.changed(seed=random.randrange(100)))
        assert {future.result() for future in sent} <= {200, 400, 401}
        assert post(world, server) == 200


def fork(world: World, _: Random) -> None:
    """Stop a server of which a child process has copies of the sockets."""
    server = FakeOAuth(SETTINGS).start()
    with connect(world, server) as idle:
        assert post(world, server) == 200
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            sleep(10)
            os._exit(0)
        try:
            stop(server)
            idle.settimeout(5)
            assert idle.recv(1) == b"", "a child keeps a connection open"
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def drip(world: World, random: Random) -> None:
    """Stop a server with many connections that send parts of a request, or read nothing."""
    server = FakeOAuth(SETTINGS).start()
    connections = [connect(world, server) for _ in range(random.randint(5, 60))]
    for connection in connections:
        data = request(random)
        connection.sendall(data[: random.randrange(1, len(data))])
    huge = connect(world, server)
    server.script(faults.HugeBody(10_000_000))
    head = f"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
    huge.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(REFRESH) + REFRESH)
    assert post(world, server) == 200
    stop(server)
    for connection in (*connections, huge):
        connection.close()


def start_and_stop(world: World, random: Random) -> None:
    """Start and stop servers, used and unused."""
    for _ in range(random.randint(1, 10)):
        server = FakeOAuth(SETTINGS.changed(journal_bytes=random.choice((10_000, 1_000_000))))
        server.start()
        if random.random() < 0.5:
            assert post(world, server) == 200
        stop(server)


def outage(world: World, _: Random) -> None:
    """Shut a port and open it again: it refuses meanwhile, and serves afterwards."""
    with FakeOAuth(SETTINGS) as server:
        with server.always(faults.Down()):
            try:
                post(world, server)
            except OSError:
                pass
            else:
                raise AssertionError("a port that is down has accepted a connection")
        assert post(world, server) == 200


ACTIONS: Final[Mapping[str, Callable[[World, Random], None]]] = {
    "fuzz": fuzz,
    "deliver_fault": deliver_fault,
    "race": race,
    "reset": reset,
    "fork": fork,
    "drip": drip,
    "start_and_stop": start_and_stop,
    "outage": outage,
}

# How each kind is made; the others need no argument.
ARGUMENTS: Final[Mapping[str, Sequence[Any]]] = {
    "Refuse": ("invalid_grant",),
    "Status": (503,),
    "Slow": (0.3,),
    "Claim": ("scope", 5),
    "MissingClaim": ("jti",),
    "Field": ("expires_in", "299"),
    "MissingField": ("refresh_token",),
    "DuplicateKey": ("access_token",),
    "HugeBody": (3_000_000,),
    "Change": (lambda response: response.changed(b"{}"),),
    "Combined": ([faults.Expired(), faults.MissingField("expires_in")],),
    "Truncated": (10,),
    "Drip": (3000,),
    "Down": (0.05,),
    "RedirectParameter": ("state", "x"),
    "MissingRedirectParameter": ("state",),
    "ChallengeParameter": ("scope", "x"),
    "MissingChallengeParameter": ("scope",),
}
FAULTS: Final[Sequence[Fault]] = [
    *(kind(*ARGUMENTS.get(name, ())) for name, kind in KINDS.items()),
    faults.HangUp(after_commit=True),
    faults.Reset(after_commit=True),
    faults.Garbage(after_commit=True),
    faults.BadChunk(after_commit=True),
    faults.Hang(after_commit=True),
]


def main() -> int:
    """Run it. Return the exit code: 0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another run (%(default)s)")
    parser.add_argument("--actors", type=int, default=4, help="how many at once (%(default)s)")
    options = parser.parse_args()
    keep_no_free_memory()
    before = descriptors(), threading.active_count()
    world = World(options.seconds, options.seed, options.actors)
    world.run()
    after = descriptors(), threading.active_count()
    grown = world.memory[-1] - world.memory[0] if world.memory else 0.0
    for name, times in sorted(world.counts.items()):
        print(f"{name:24} {times:8}")
    print(f"descriptors {before[0]} -> {after[0]}, threads {before[1]} -> {after[1]}")
    shown = " ".join(f"{sample:.1f}" for sample in world.memory)
    print(f"memory after each fifth, MB: {shown}; {grown:+.1f} (limit {GROWTH_MB:g})")
    print(f"{len(world.hangs)} hangs, {len(world.defects)} defects")
    for defect in world.defects[:10]:
        print(defect)
    is_right = not world.hangs and not world.defects and grown <= GROWTH_MB and before == after
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
