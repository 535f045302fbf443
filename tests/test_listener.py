"""The listener and its connections by themselves, with an app that knows no OAuth."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from fake_oauth.reply import Written
from fake_oauth.web.chunks import Chunks
from fake_oauth.web.listener import Listener

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Pieces:
    """A body in pieces that wants to be closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b"hello, "
        yield b"world"

    def close(self) -> None:
        self.is_closed = True


class App:
    """Answers every request with the same pieces."""

    def __init__(self) -> None:
        self.pieces = Pieces()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "12")])
        return self.pieces

    def malformed(self, status: int, reason: str) -> Written:
        return Written(status, (), reason.encode())


def test_the_body_of_an_app_is_sent_whole_and_closed() -> None:
    app = App()
    listener = Listener("127.0.0.1", 0)
    listener.start(app)
    with urlopen(listener.url) as reply:
        assert reply.read() == b"hello, world"
    listener.stop()
    assert app.pieces.is_closed
    assert listener.failures == []


def test_a_listener_that_was_never_started_can_be_stopped() -> None:
    listener = Listener("127.0.0.1", 0)
    address = listener.server_address
    listener.stop()
    socket.create_server(address).close()


def test_a_client_that_has_left_the_queue_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener("127.0.0.1", 0)
    listening = listener._socket
    left = threading.Event()

    class Leaving:
        """The listening socket, as it is when the first client has left before its turn."""

        def fileno(self) -> int:
            return listening.fileno()

        def close(self) -> None:
            listening.close()

        def accept(self) -> Any:
            if not left.is_set():
                left.set()
                raise ConnectionAbortedError
            return listening.accept()

    monkeypatch.setattr(listener, "_socket", Leaving())
    listener.start(App())
    with urlopen(listener.url) as reply:
        assert reply.status == 200
    listener.stop()
    assert left.is_set()


def test_where_no_thread_can_be_had_the_client_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener("127.0.0.1", 0)
    listener.start(App())
    start = Thread.start

    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", refuse)
    with socket.create_connection(listener.server_address) as connection:
        assert connection.recv(1) == b""
    monkeypatch.setattr(Thread, "start", start)
    with urlopen(listener.url) as reply:
        assert reply.status == 200
    listener.stop()


def test_chunks_can_be_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    with near, far, near.makefile("rb") as stream:
        far.sendall(b"5;x=y\r\nhello\r\n0\r\nTrailer: x\r\n\r\nbehind")
        far.shutdown(socket.SHUT_WR)
        chunks = Chunks(stream)
        assert chunks.readable()
        assert chunks.read() == b"hello"
        assert stream.read() == b"behind"
