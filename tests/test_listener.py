"""The listener by itself: its threads, its descriptors, its port, and its stop."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from fake_oauth import FakeOAuth, FakeOAuthError, Settings, faults
from fake_oauth.http import listener as listener_module
from fake_oauth.http.listener import Listener, server_context
from fake_oauth.reply import Response
from tests.support.wire import connect, get, received, request, responses_to, wait_until

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

DESCRIPTORS = Path("/proc/self/fd")
posix = pytest.mark.skipif(sys.platform != "linux", reason="uses Linux's resources and sockets")
# Python warns of a fork while threads run; the tests are about just that.
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Pieces:
    """A body in pieces that must be closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b"hello, "
        yield b"world"

    def close(self) -> None:
        self.is_closed = True


@dataclass
class App:
    """An app that responds with a body, after it has called a function."""

    body: Iterable[bytes] = (b"hello, ", b"world")
    act: Callable[[], object] = bool
    length: str = "12"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.act()
        start_response("200 OK", [("Content-Length", self.length)])
        return self.body

    def respond_to_malformed(self, status: int, reason: str) -> Response:
        return Response(status, (("Content-Length", str(len(reason))),), reason.encode())


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Provide a listener that serves. After the test it must stop without a trace."""
    threads = set(threading.enumerate())
    made = Listener("127.0.0.1", 0)
    made.start(App())
    yield made
    made.stop()
    assert set(threading.enumerate()) <= threads
    assert refuses(made)


def serves(listener: Listener) -> bool:
    """Return whether a new client gets a response."""
    return [answer.body for answer in responses_to(listener.url, get())] == [b"hello, world"]


def refuses(listener: Listener) -> bool:
    """Return whether no client can connect."""
    try:
        connect(listener.url).close()
    except ConnectionRefusedError:
        return True
    return False


def join_connections(listener: Listener) -> None:
    """Wait until the listener has no connection left."""
    for thread in list(listener._connections):
        thread.join(20)
        assert not thread.is_alive()


# Apps.


def test_the_body_of_an_app_is_sent_whole_and_closed() -> None:
    app = App(Pieces())
    listener = Listener("127.0.0.1", 0)
    listener.start(app)
    assert serves(listener)
    listener.stop()
    assert isinstance(app.body, Pieces)
    assert app.body.is_closed
    assert listener.failures == []


def failing(error: Exception) -> Callable[[], object]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    "error", [ValueError(), TimeoutError(), ConnectionRefusedError()], ids=repr
)
def test_an_error_of_the_app_is_kept_and_ends_the_connection(error: Exception) -> None:
    listener = Listener("127.0.0.1", 0)
    listener.start(App(act=failing(error)))
    assert responses_to(listener.url, get()) == []
    listener.stop()
    assert listener.failures == [error]


def test_a_response_that_is_not_http_is_an_error_of_the_app() -> None:
    listener = Listener("127.0.0.1", 0)
    listener.start(App(length="11"))
    assert responses_to(listener.url, get()) == []
    listener.stop()
    (failure,) = listener.failures
    assert "Content-Length" in str(failure)


def test_an_app_that_the_stop_interrupts_has_no_error() -> None:
    listener = Listener("127.0.0.1", 0)
    listener.start(App(act=failing(ConnectionAbortedError("the server stops"))))
    assert responses_to(listener.url, get()) == []
    listener.stop()
    assert listener.failures == []


def test_a_limited_number_of_errors_is_kept() -> None:
    listener = Listener("127.0.0.1", 0)
    listener.start(App(act=failing(ValueError())))
    for _ in range(listener_module._FAILURES + 1):
        assert responses_to(listener.url, get()) == []
    listener.stop()
    assert len(listener.failures) == listener_module._FAILURES


# Threads and descriptors.


def test_a_listener_that_was_never_started_can_be_stopped() -> None:
    listener = Listener("127.0.0.1", 0)
    listener.stop()
    socket.create_server((listener.host, listener.port)).close()


def test_a_listener_can_be_stopped_twice(listener: Listener) -> None:
    listener.stop()
    listener.stop()
    assert refuses(listener)


def test_an_address_of_ipv6_has_brackets_in_the_url() -> None:
    try:
        listener = Listener("::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    listener.stop()
    assert listener.url == f"http://[::1]:{listener.port}"


def test_if_no_thread_can_start_the_connection_is_closed(listener: Listener) -> None:
    before = threading.stack_size(1 << 46)  # No machine has this much memory for a thread.
    try:
        with connect(listener.url) as client:
            assert client.recv(1) == b""
    finally:
        threading.stack_size(before)
    assert serves(listener)


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    """Use up all descriptors of this process."""
    import resource  # Windows has none.

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(2)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, taken[0] + 200), hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.dup(2))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@posix
def test_without_a_free_descriptor_accepting_pauses_and_resumes(listener: Listener) -> None:
    address = (listener.host, listener.port)
    with socket.socket() as client, socket.socket() as other:
        with no_free_descriptor():
            client.connect(address)
            client.sendall(get())
            # Otherwise the accepting thread would spin: the socket stays ready.
            wait_until(lambda: listener._due is not None)
            other.connect(address)
        client.settimeout(20)
        assert client.recv(8) == b"HTTP/1.1"
    assert serves(listener)


@posix
def test_a_port_can_be_shut_and_a_server_stopped_without_a_free_descriptor() -> None:
    listener = Listener("127.0.0.1", 0)
    listener.start(App())
    with socket.socket() as client, no_free_descriptor():
        client.connect((listener.host, listener.port))
        client.sendall(get())
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        listener.shut()
        client.settimeout(20)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        listener.open()
        listener.stop()
    assert refuses(listener)


@posix
def test_a_thousand_connections_leave_no_thread_and_no_descriptor(listener: Listener) -> None:
    assert serves(listener)
    join_connections(listener)
    threads, descriptors = threading.active_count(), len(list(DESCRIPTORS.iterdir()))
    for _ in range(1000):
        assert serves(listener)
    assert len(listener._connections) < 100
    join_connections(listener)
    assert threading.active_count() <= threads
    assert len(list(DESCRIPTORS.iterdir())) <= descriptors


# Child processes.


@contextmanager
def child_process() -> Iterator[None]:
    """Fork a process that has copies of all sockets; it lives until the end of the block."""
    wait, end = os.pipe()
    if (number := os.fork()) == 0:
        try:
            os.close(end)
            os.read(wait, 1)
        finally:
            os._exit(0)
    try:
        os.close(wait)
        yield
    finally:
        os.close(end)
        os.waitpid(number, 0)


@posix
@forks
def test_stop_with_a_child_process_ends_the_server_and_closes_its_port() -> None:
    with FakeOAuth() as server, connect(server.url) as idle:
        idle.sendall(get())
        assert idle.recv(8) == b"HTTP/1.1"
        listener = server._listener
        assert listener is not None
        with child_process():
            begun = monotonic()
            server.stop()
            assert monotonic() - begun < 1
            assert refuses(listener)
            received(idle)  # It returns, so the server has ended the connection.


# The child process ends like any program, so that its coverage is measured.
PARENT_AND_CHILD = """
import os, sys, warnings
from fake_oauth import FakeOAuth, FakeOAuthError, faults
from tests.support.wire import connect, get, received, still_serves

warnings.simplefilter("ignore", DeprecationWarning)  # A fork while threads run is the point.
with FakeOAuth() as server, connect(server.url) as idle:
    idle.sendall(get())
    assert idle.recv(8) == b"HTTP/1.1"
    if (child := os.fork()) == 0:
        try:
            server.always(faults.Down())
        except FakeOAuthError as error:
            assert "in its child process" in str(error)
        else:
            sys.exit("the child process has shut the port")
        server.stop()
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert still_serves(server)
    idle.sendall(get("/oauth2/jwks", "Connection: close"))
    assert b"HTTP/1.1 200 OK" in received(idle)
"""


@posix
def test_a_child_process_cannot_stop_the_server_or_shut_its_port() -> None:
    subprocess.run([sys.executable, "-c", PARENT_AND_CHILD], check=True, timeout=60)


@posix
@forks
def test_a_child_process_does_not_keep_connections_open() -> None:
    with FakeOAuth() as server, connect(server.url) as client:
        server.script(faults.HangUp())
        client.sendall(get())
        assert client.recv(8) == b"HTTP/1.1"
        with child_process():
            client.sendall(request())
            received(client)  # It returns, so the server has ended the connection.


@posix
@forks
def test_the_port_can_be_shut_and_opened_with_a_child_process(listener: Listener) -> None:
    with child_process():
        listener.shut()
        assert refuses(listener)
        listener.open()
        assert serves(listener)


# Outages.


def test_a_port_that_is_shut_refuses_connections_until_it_is_opened(listener: Listener) -> None:
    listener.shut()
    assert refuses(listener)
    listener.shut(0.001)
    assert refuses(listener), "the first outage has no end"
    listener.open()
    assert serves(listener)
    listener.open()
    assert serves(listener)


def test_a_port_opens_by_itself_after_the_times_of_all_outages(listener: Listener) -> None:
    begun = monotonic()
    listener.shut(0.1)
    listener.shut(0.1)
    wait_until(lambda: not refuses(listener))
    assert monotonic() - begun >= 0.2
    assert serves(listener)


def test_an_idle_connection_ends_with_the_outage(listener: Listener) -> None:
    with connect(listener.url) as idle:
        idle.sendall(get())
        assert idle.recv(8) == b"HTTP/1.1"
        listener.shut()
        assert b"connection: close" not in received(idle).lower()


def test_a_current_request_gets_its_response_in_an_outage() -> None:
    listener = Listener("127.0.0.1", 0)
    listener.start(App(act=listener.shut))
    with connect(listener.url) as client:
        client.sendall(get() + get())
        head, _, body = received(client).partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower().split(b"\r\n")
    assert body == b"hello, world"
    listener.stop()


def test_a_request_that_arrives_in_an_outage_is_not_served() -> None:
    served, is_shut = threading.Event(), threading.Event()

    def act() -> None:
        served.set()
        assert is_shut.wait(20)

    listener = Listener("127.0.0.1", 0)
    app = App(act=act)
    listener.start(app)
    with connect(listener.url) as idle, connect(listener.url) as busy:
        busy.sendall(get())
        assert served.wait(20)
        # The listener counts the outage, and the connection has a request to read.
        listener.outages += 1
        idle.sendall(get())
        is_shut.set()
        assert received(idle) == b""
        assert received(busy).endswith(b"hello, world")
    listener.stop()


def test_a_stopped_listener_can_be_shut_and_opened(listener: Listener) -> None:
    listener.stop()
    listener.shut()
    listener.open()
    assert refuses(listener)


def test_a_listener_can_be_shut_before_it_is_started() -> None:
    listener = Listener("127.0.0.1", 0)
    listener.shut()
    listener.start(App())
    listener.shut()
    assert refuses(listener)
    listener.open()
    assert serves(listener)
    listener.stop()


@contextmanager
def thief(port: int) -> Iterator[socket.socket]:
    """Take the port during an outage, as another process can."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield taken


@posix
def test_a_port_that_another_process_has_taken_cannot_be_opened(listener: Listener) -> None:
    listener.shut()
    with thief(listener.port):
        for _ in range(2):
            with pytest.raises(FakeOAuthError, match="cannot open the port again: Address already"):
                listener.open()
    listener.open()
    assert serves(listener)
    assert listener.failures == []


@posix
def test_lifting_an_outage_says_that_another_process_has_taken_the_port() -> None:
    with FakeOAuth() as server:
        port = int(server.url.rpartition(":")[2])
        outage = server.always(faults.Down())
        with thief(port), pytest.raises(FakeOAuthError, match="cannot open the port again"):
            outage.lift()
        assert [str(step) for step in server.steps] == ["always Down()"]
        outage.lift()
        assert server.steps == []
        with urlopen(f"{server.url}/oauth2/jwks") as response:
            assert response.status == 200


@posix
def test_a_timed_outage_keeps_the_failure_to_open_the_port(listener: Listener) -> None:
    listener.shut(0.05)
    with thief(listener.port):
        wait_until(lambda: listener.failures)
    (failure,) = listener.failures
    assert isinstance(failure, FakeOAuthError)
    assert "cannot open the port again" in str(failure)
    assert refuses(listener)
    listener.open()
    assert serves(listener)


@posix
def test_a_port_that_is_taken_when_it_is_shut_can_be_opened_when_it_is_free() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        listener = Listener("127.0.0.1", taken.getsockname()[1])
        listener.start(App())
        # From now on no other socket can be bound to the port.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        listener.shut()
        with pytest.raises(FakeOAuthError, match="cannot open the port again"):
            listener.open()
    listener.open()
    assert serves(listener)
    listener.stop()


# TLS.


@pytest.fixture
def secure() -> Iterator[FakeOAuth]:
    """Provide a server with HTTPS. After the test it must stop without a trace."""
    threads = set(threading.enumerate())
    with FakeOAuth(Settings(tls=True)) as server:
        yield server
    assert set(threading.enumerate()) <= threads


def connect_plain(server: FakeOAuth) -> socket.socket:
    return connect(server.url.replace("https", "http"))


def connect_securely(server: FakeOAuth) -> ssl.SSLSocket:
    context = ssl.create_default_context(cadata=server.ca_pem)
    return context.wrap_socket(connect_plain(server), server_hostname="127.0.0.1")


HELLO = b"\x16\x03\x01\x02\x00\x01"


def test_stop_ends_tls_handshakes(secure: FakeOAuth) -> None:
    clients = [connect_plain(secure) for _ in range(20)]
    for client in clients[:10]:
        client.sendall(HELLO)
    with connect_securely(secure) as client:  # The server has accepted the others before.
        client.sendall(get())
        assert client.recv(8) == b"HTTP/1.1"
        begun = monotonic()
        secure.stop()
        assert monotonic() - begun < 5
    assert not [thread for thread in threading.enumerate() if secure.url in thread.name]
    for stalled in clients:
        received(stalled)  # It returns, so the server has ended the connection.
        stalled.close()


@pytest.mark.parametrize(
    "data", [get(), b"\0" * 5000, HELLO], ids=["HTTP", "zeros", "half a hello"]
)
def test_a_failed_tls_handshake_ends_the_connection(secure: FakeOAuth, data: bytes) -> None:
    with connect_plain(secure) as client:
        client.sendall(data)
        with suppress(OSError):  # The server can have closed the connection already.
            client.shutdown(socket.SHUT_WR)
        assert b"HTTP" not in received(client)


def test_requests_over_tls_can_be_cut_off_or_malformed(secure: FakeOAuth) -> None:
    with connect_securely(secure) as client:
        client.sendall(request()[:50])
    with connect_securely(secure) as client:
        client.sendall(b"not HTTP\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 400"
    with connect_securely(secure) as client:
        client.sendall(request())
        assert client.recv(12) == b"HTTP/1.1 200"


def test_stop_ends_a_tls_connection_within_a_request_or_a_fault(secure: FakeOAuth) -> None:
    secure.script(faults.Hang())
    with connect_securely(secure) as cut, connect_securely(secure) as hung:
        cut.sendall(request()[:50])
        hung.sendall(request())
        wait_until(lambda: len(secure.journal))
        secure.stop()


def test_https_without_trustme_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(FakeOAuthError, match=r'pip install "fake_oauth\[tls\]"'):
        server_context("127.0.0.1")


# The stop.


def test_stop_lets_a_current_request_get_its_response() -> None:
    begun = threading.Event()

    def act() -> None:
        begun.set()
        with stopped._lock:
            (connection,) = stopped._connections.values()
        # It returns when the server ends the input of the connection.
        assert connection.recv(1, socket.MSG_PEEK) == b""

    stopped = Listener("127.0.0.1", 0)
    stopped.start(App(act=act))
    with connect(stopped.url) as client:
        client.sendall(get())
        assert begun.wait(20)
        stopped.stop()
        assert received(client).endswith(b"hello, world")
    assert stopped.failures == []


def test_stop_ends_200_responses_that_are_sent_slowly() -> None:
    threads = set(threading.enumerate())
    server = FakeOAuth().start()
    server.always(faults.Drip(1))
    clients = [connect(server.url) for _ in range(200)]
    try:
        for client in clients:
            client.sendall(request())
        for client in clients:
            assert client.recv(8) == b"HTTP/1.1"
        begun = monotonic()
        server.stop()
        assert monotonic() - begun < 5
        assert set(threading.enumerate()) <= threads
        for client in clients:
            received(client)  # It returns, so the server has ended the connection.
    finally:
        for client in clients:
            client.close()
