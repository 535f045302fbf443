"""A socket and the threads behind it, serving one WSGI app.

Knows nothing of OAuth. Werkzeug reads requests and makes their environ; what is ours is what
its development server leaves out: keep-alive, a stop that takes no time and leaves nothing
behind, an ordinary OSError for a busy port, and silence.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterable
from threading import Lock, Thread, current_thread
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, cast

from werkzeug.exceptions import BadRequest
from werkzeug.serving import WSGIRequestHandler
from werkzeug.wrappers import Response
from werkzeug.wsgi import LimitedStream

if TYPE_CHECKING:
    from io import BufferedReader, RawIOBase

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# How long a request may pause half way before it is answered as it is.
STALL_SECONDS: Final = 10.0
# How much of an unread body is read away to keep a connection; beyond it is closed.
_DRAINED: Final = 64 * 1024 * 1024
# How long a stop waits for replies that are being written.
_GRACE_SECONDS: Final = 1.0


class Application(Protocol):
    """What a listener serves."""

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]: ...

    def malformed(self, status: int, reason: str) -> Response:
        """The answer to what is not a request in HTTP."""


class Listener:
    """A listening socket from the moment it is made; it answers once it is started.

    Raises OSError if the address cannot be had.
    """

    # What werkzeug's handler asks of its server.
    ssl_context = None
    multithread = True
    multiprocess = False

    def __init__(self, host: str, port: int, *, stall_seconds: float = STALL_SECONDS) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=256)
        self._socket.settimeout(0)
        self._wake, self._woken = socket.socketpair()
        self.server_address = self._socket.getsockname()
        self.stall_seconds = stall_seconds
        self.failures: list[Exception] = []
        self._connections: dict[Thread, socket.socket] = {}
        self._lock = Lock()
        self._thread: Thread | None = None
        self.app: Application

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:8080`."""
        host, port = self.server_address[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self, app: Application) -> None:
        """Serve `app` in a thread."""
        self.app = app
        self._thread = Thread(target=self._accept, name=f"fake_oauth {self.url}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, let replies under way be finished, leave no thread and no socket."""
        self._wake.close()
        if self._thread is not None:
            self._thread.join()
        self._socket.close()
        self._woken.close()
        # End of input ends the threads that wait for a request; the others may still write.
        self._hang_up(socket.SHUT_RD, _GRACE_SECONDS)
        self._hang_up(socket.SHUT_RDWR, None)

    def _hang_up(self, how: int, seconds: float | None) -> None:
        with self._lock:
            connections = dict(self._connections)
            for connection in connections.values():
                try:
                    connection.shutdown(how)
                except OSError:
                    pass  # It is gone already.
        for thread in connections:
            thread.join(seconds)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while all(key.fileobj is not self._woken for key, _ in selector.select()):
                try:
                    connection, address = self._socket.accept()
                except OSError:
                    continue  # The client has left the queue.
                self._open(connection, address)

    def _open(self, connection: socket.socket, address: Any) -> None:
        thread = Thread(target=self._serve, args=(connection, address), daemon=True)
        thread.name = f"fake_oauth {self.url} {address[1]}"
        with self._lock:
            self._connections[thread] = connection
        thread.start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            _Handler(connection, address, self)  # type: ignore[arg-type]  # server enough
        except Exception as failure:  # noqa: BLE001
            # A defect of the app: kept for whoever holds the listener. The client gets no answer.
            self.failures.append(failure)
        finally:
            with self._lock:
                del self._connections[current_thread()]
            connection.close()


class _Handler(WSGIRequestHandler):
    """One connection, from its first request to its last."""

    server: Listener  # type: ignore[assignment]
    protocol_version = "HTTP/1.1"
    server_version = "fake_oauth"
    # A reply is one segment; waiting for the client's acknowledgement would cost 40 ms.
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        """Answer one request. Between two requests a client may take its time, within one not."""
        self.connection.settimeout(None)
        if not cast("BufferedReader", self.rfile).peek(1):
            self.close_connection = True
            return
        self.connection.settimeout(self.server.stall_seconds)
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if len(self.raw_requestline) > 65536:
                self.requestline = self.request_version = self.command = ""
                self.send_error(414)
            elif self.parse_request():
                self.run_wsgi()
        except TimeoutError:
            self.send_error(408, "the request stalled before its end")

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if self.request_version == "HTTP/0.9":
            self.send_error(400, "HTTP/0.9")
            return False
        return True

    def run_wsgi(self) -> None:
        try:
            environ = self.make_environ()
            body = environ["wsgi.input"] = self._body(environ)
        except ValueError as error:
            self.send_error(400, str(error))
            return
        chunks: list[bytes] = []
        status, headers = "", []

        def start_response(code: str, fields: list[tuple[str, str]], _: Any = None) -> Any:
            nonlocal status, headers
            status, headers = code, fields
            return chunks.append

        app_iter = self.server.app(environ, start_response)
        try:
            chunks.extend(app_iter)
        finally:
            if hasattr(app_iter, "close"):
                app_iter.close()
        self._send(status, headers, b"".join(chunks))
        self._drain(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses, answered by the app."""
        self.close_connection = True
        reason = message or self.responses[code][0]
        response = self.server.app.malformed(code, reason)
        self._send(response.status, list(response.headers), response.get_data())

    def _body(self, environ: WSGIEnvironment) -> RawIOBase:
        """The body of this request and not a byte of the next. Raises ValueError."""
        lengths = set(self.headers.get_all("Content-Length", []))
        coding = self.headers.get("Transfer-Encoding")
        if coding is None:
            length = lengths.pop() if lengths else "0"
            if lengths or not (length.isascii() and length.isdecimal()):
                raise ValueError("Content-Length is not one number")
            return LimitedStream(cast("IO[bytes]", self.rfile), int(length))
        if coding.strip().lower() != "chunked" or lengths:
            raise ValueError("Transfer-Encoding is not chunked, or comes with a Content-Length")
        body: RawIOBase = environ["wsgi.input"]
        return body

    def _send(self, status: str, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status}", "Server: fake_oauth"]
        lines += [f"{name}: {value}" for name, value in headers]
        if self.close_connection:
            lines.append("Connection: close")
        elif self.request_version == "HTTP/1.0":
            lines.append("Connection: keep-alive")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def _drain(self, body: RawIOBase) -> None:
        """Read away what the app left, so that the next request can be found behind it."""
        try:
            for _ in range(_DRAINED // 65536):
                if not body.read(65536):
                    return
        except (OSError, BadRequest):
            pass  # It ended early: there is no next request.
        self.close_connection = True

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        """Nothing: the journal has it."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: the journal has it."""
