"""Connections by themselves, and what a fault can do with one."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from fake_oauth import FakeOAuth, faults
from fake_oauth.http.connection import INTERRUPT, Application, Connection
from fake_oauth.http.listener import Listener
from fake_oauth.reply import Response
from tests.support.wire import BODY, connect, get, received, request, responses_to

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass
class App:
    """An app that responds with a body, or lets a function act on the connection."""

    body: bytes = b"hello"
    act: Any = None
    environs: list[WSGIEnvironment] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.environs.append(environ)
        self.bodies.append(environ["wsgi.input"].read())
        if self.act is not None:
            environ[INTERRUPT](self.act)
            return []
        start_response("200 OK", [("Content-Length", str(len(self.body)))])
        return [self.body]

    def respond_to_malformed(self, status: int, reason: str) -> Response:
        headers = (("Content-Length", str(len(reason))),)
        return Response(status, headers, reason.encode())


@dataclass
class Server:
    """A server with an app, as a connection sees it."""

    app: Application
    stall_seconds: float = 10
    body_limit: int = 64 * 1024
    host: str = "127.0.0.1"
    port: int = 80
    outages: int = 0
    is_secure: bool = False


def run(app: App, data: bytes, *, stall_seconds: float = 10) -> bytes:
    """Return everything that a listener with this app sends for some bytes."""
    listener = Listener("127.0.0.1", 0, stall_seconds=stall_seconds)
    listener.start(app)
    try:
        with connect(listener.url) as client:
            client.sendall(data)
            return received(client)
    finally:
        listener.stop()
        assert listener.failures == []


# Reading.


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such pairs of sockets")
def test_a_chunked_request_can_arrive_in_any_pieces() -> None:
    """On these sockets each `recv` returns the data of one `send`."""
    head = request(b"", framing=("Transfer-Encoding: chunked",))
    chunked = b"8\r\nffffffff\r\n00009;x=y\r\nfffffffff\r\n0\r\nX: y\r\n\r\n"
    cuts = range(1, len(chunked))
    for first, second in combinations(cuts, 2):
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        app = App()
        with near, far:
            for piece in (head, chunked[:first], chunked[first:second], chunked[second:]):
                far.send(piece)
            far.shutdown(socket.SHUT_WR)
            Connection(near, ("127.0.0.1", 1), Server(app)).serve()
            assert far.recv(9999).startswith(b"HTTP/1.1 200 OK\r\n")
        assert app.bodies == [b"f" * 17]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such pairs of sockets")
@pytest.mark.parametrize(
    "pieces", [[b"f" * 7, b"f"], [b"1\r\nx\r\n", b"ffffffff"], [b"fffffff\r\n"]]
)
def test_the_announced_size_of_a_chunk_is_checked_before_the_chunk(pieces: list[bytes]) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    app = App()
    with near, far:
        for piece in [request(b"", framing=("Transfer-Encoding: chunked",)), *pieces]:
            far.send(piece)
        thread = Thread(target=Connection(near, ("127.0.0.1", 1), Server(app)).serve)
        thread.start()
        assert far.recv(9999).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        far.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert app.bodies == []


def test_the_environ_has_what_the_client_sent() -> None:
    app = App()
    fields = ["X-One: 1", "X-One: 2", "X_Hidden: 3", "Connection: close"]
    asked = request(b"a=b", *fields, target="http://u:p@other:1/a%20b/?c=%20")
    run(app, asked)
    (environ,) = app.environs
    assert app.bodies == [b"a=b"]
    expected = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/a b/",
        "QUERY_STRING": "c=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": "3",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "HTTP_X_ONE": "1,2",
        "HTTP_HOST": "other:1",
        "wsgi.url_scheme": "http",
    }
    assert expected.items() <= environ.items()
    absent = {"HTTP_X_HIDDEN", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"}
    assert not absent & environ.keys()


def test_a_chunked_body_has_a_length_in_the_environ() -> None:
    app = App()
    framing = ("Transfer-Encoding: chunked", "Connection: close")
    run(app, request(b"3\r\na=b\r\n0\r\n\r\n", framing=framing))
    (environ,) = app.environs
    assert environ["CONTENT_LENGTH"] == "3"
    assert "HTTP_TRANSFER_ENCODING" not in environ


# Responding.


def test_a_client_that_reads_slowly_gets_the_whole_response() -> None:
    """Sending it takes longer than a pause may be, and each pause is shorter."""
    size = 40_000_000
    listener = Listener("127.0.0.1", 0, stall_seconds=1)
    listener.start(App(b"x" * size))
    paused = Event()
    with connect(listener.url) as client:
        client.sendall(request(BODY, "Connection: close"))
        data = bytearray()
        while piece := client.recv(2_000_000, socket.MSG_WAITALL):
            data += piece
            paused.wait(0.1)
    listener.stop()
    _, _, body = bytes(data).partition(b"\r\n\r\n")
    assert body == b"x" * size


def test_a_client_that_does_not_read_gets_a_part_of_the_response_and_nothing_else() -> None:
    app = App(b"x" * 40_000_000)
    listener = Listener("127.0.0.1", 0, stall_seconds=0.1)
    listener.start(app)
    with connect(listener.url) as client:
        client.sendall(request() + request())
        with connect(listener.url) as other:
            other.sendall(b"P")
            assert received(other).startswith(b"HTTP/1.1 408 ")
        for thread in list(listener._connections):
            thread.join()
        _, _, body = received(client).partition(b"\r\n\r\n")
    listener.stop()
    assert 0 < len(body) < len(app.body)
    assert body == b"x" * len(body)
    assert len(app.environs) == 1
    assert listener.failures == []


def test_a_client_that_sends_on_after_an_error_is_cut_off() -> None:
    listener = Listener("127.0.0.1", 0, stall_seconds=0.2)
    listener.start(App())
    with connect(listener.url) as client, pytest.raises(OSError, match=r"pipe|reset"):
        client.sendall(b"not HTTP\r\n\r\n")
        while True:
            client.send(b"x" * 65536)
    listener.stop()
    assert listener.failures == []


def test_a_client_that_has_reset_the_connection_gets_no_error_response() -> None:
    app = App()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        near, address = listening.accept()
    client.sendall(request(BODY, "Expect: 100-continue")[: -len(BODY)])
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with near:
        client.close()
        Connection(near, address, Server(app, stall_seconds=0.1)).serve()
    assert app.bodies == []


# Faults.

CLOSED = b"connection: close"


def interrupted(fault: faults.Fault, asked: bytes | None = None) -> tuple[list[bytes], bytes]:
    """Return the head, in lower case, and the body of a response that a fault acts on."""
    with FakeOAuth() as server, connect(server.url) as client:
        server.script(fault)
        client.sendall(request() if asked is None else asked)
        head, _, body = received(client).partition(b"\r\n\r\n")
    return head.lower().split(b"\r\n"), body


def whole_body() -> bytes:
    with FakeOAuth() as server:
        (answer,) = responses_to(server.url, request())
    return answer.body


@pytest.mark.parametrize("fault", [faults.Truncated(9), faults.Drip(100_000)])
def test_a_cut_or_slow_body_keeps_its_length_and_closes_the_connection(
    fault: faults.Fault,
) -> None:
    (status, *fields), body = interrupted(fault)
    assert status == b"http/1.1 200 ok"
    assert fields.count(CLOSED) == 1
    (length,) = [field for field in fields if field.startswith(b"content-length: ")]
    assert not [field for field in fields if field.startswith(b"transfer-encoding")]
    expected = 9 if isinstance(fault, faults.Truncated) else int(length[16:])
    assert len(body) == expected


def test_a_bad_chunk_has_the_head_of_a_chunked_response() -> None:
    (status, *fields), body = interrupted(faults.BadChunk(after_commit=True))
    assert status == b"http/1.1 200 ok"
    assert fields.count(CLOSED) == fields.count(b"transfer-encoding: chunked") == 1
    assert not [field for field in fields if field.startswith(b"content-length")]
    size, _, rest = body.partition(b"\r\n")
    assert rest[int(size, 16) :] == b"\r\nno size\r\n"


def test_a_reset_is_an_error_and_a_hang_up_is_not() -> None:
    with FakeOAuth() as server:
        server.script(faults.Reset(), faults.HangUp())
        with connect(server.url) as client:
            client.sendall(request())
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        with connect(server.url) as client:
            client.sendall(request())
            assert client.recv(1) == b""


def test_a_pause_ends_after_its_time() -> None:
    app = App(act=lambda connection: connection.send(b"%d" % connection.pause(0.001)))
    assert run(app, request()) == b"1"


@pytest.mark.parametrize("closes", [True, False])
def test_a_pause_ends_when_the_client_sends_or_closes(*, closes: bool) -> None:
    begun = Event()

    def act(connection: Connection) -> None:
        begun.set()
        connection.send(b"%d" % connection.pause(None))

    listener = Listener("127.0.0.1", 0)
    listener.start(App(act=act))
    with connect(listener.url) as client:
        client.sendall(request())
        assert begun.wait(20)
        if closes:
            client.shutdown(socket.SHUT_WR)
        else:
            client.sendall(get())
        assert received(client) == b"0"
    listener.stop()


def test_a_pause_ends_when_the_client_resets_the_connection() -> None:
    begun, ended = Event(), Event()

    def act(connection: Connection) -> None:
        begun.set()
        assert not connection.pause(None)
        ended.set()

    listener = Listener("127.0.0.1", 0)
    listener.start(App(act=act))
    client = connect(listener.url)
    client.sendall(request())
    assert begun.wait(20)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert ended.wait(20)
    listener.stop()
    assert listener.failures == []


def test_a_pause_ends_at_once_after_a_client_did_not_read() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0.01)
        connection = Connection(near, ("127.0.0.1", 1), Server(App()))
        assert connection.pause(0.001)
        near.settimeout(0.01)
        connection.send(b"x" * 2**23)
        assert not connection.pause(0.001)
