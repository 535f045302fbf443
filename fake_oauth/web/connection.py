"""One connection: requests in, replies out, until one side has had enough.

Werkzeug's request handler reads the requests and makes their environ; what is ours is keep-alive,
which it leaves out, an answer of the app's to what is not HTTP, and letting the app interrupt.
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, cast

from werkzeug.exceptions import BadRequest
from werkzeug.serving import WSGIRequestHandler
from werkzeug.wsgi import LimitedStream

from fake_oauth.reply import Written
from fake_oauth.web.chunks import Chunks

if TYPE_CHECKING:
    from io import BufferedReader, RawIOBase

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# How much of an unread body is read away to keep a connection; beyond it is closed.
_DRAINED: Final = 64 * 1024 * 1024


# Where in the environ an app finds how to take over a connection: it is called with what is to be
# done on the connection instead of sending a reply, after which the connection is closed.
INTERRUPT: Final = "fake_oauth.interrupt"

# Closing takes no time and says so: with l_onoff and a linger of 0 it is a reset (socket(7)).
_RESET: Final = struct.pack("ii", 1, 0)


class Application(Protocol):
    """What a listener serves."""

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]: ...

    def malformed(self, status: int, reason: str) -> Written:
        """The answer to what is not a request in HTTP."""


class Server(Protocol):
    """What a connection needs of whoever accepted it."""

    app: Application
    stall_seconds: float
    outages: int
    """How often the port has been shut: connections from before end with the reply under way."""


class Connection(WSGIRequestHandler):
    """One connection, from its first request to its last."""

    server: Server  # type: ignore[assignment]  # it is server enough
    protocol_version = "HTTP/1.1"
    server_version = "fake_oauth"
    # A reply is one segment; waiting for the client's acknowledgement would cost 40 ms.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._outages = self.server.outages

    def handle_one_request(self) -> None:
        """Answer one request. Between two requests a client may take its time, within one not."""
        self.command = ""
        self.connection.settimeout(None)
        if not cast("BufferedReader", self.rfile).peek(1) or self._is_from_before_an_outage:
            self.close_connection = True
            return
        self.connection.settimeout(self.server.stall_seconds)
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if len(self.raw_requestline) > 65536:
                self.requestline = self.request_version = ""
                self.send_error(414)
            elif self.raw_requestline in (b"\r\n", b"\n"):
                self.close_connection = False  # RFC 9112 section 2.2: read over it.
            elif self.parse_request():
                self.run_wsgi()
        except TimeoutError:
            self.send_error(408, "the request stalled before its end")

    def parse_request(self) -> bool:
        if not str(self.raw_requestline, "latin-1").split():
            self.send_error(400, "a blank request line")
            return False
        if not super().parse_request():
            return False
        options = ",".join(self.headers.get_all("Connection", [])).lower().split(",")
        if "close" in (option.strip() for option in options):
            self.close_connection = True
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
        interruptions: list[Callable[[Connection], None]] = []
        environ[INTERRUPT] = interruptions.append

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
        if interruptions:
            self.close_connection = True
            interruptions[0](self)
            return
        self._send(status, headers, b"".join(chunks))
        self._drain(body)

    def send(self, data: bytes) -> None:
        """Send some bytes. What the client does not take is lost."""
        try:
            self.wfile.write(data)
        except OSError:
            pass  # The client has gone.

    def send_head(self, written: Written) -> None:
        """Send the status line and the headers of a reply."""
        self.send(self._head(written.status_line, written.headers))

    def reset_at_close(self) -> None:
        """Let the close of the connection be a reset (TCP RST)."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def pause(self, seconds: float | None) -> bool:
        """Wait; None waits for the client. Returns whether it is worth going on.

        It is not when the client has closed the connection or the server stops: both make it
        readable. So does a client that sends its next request before it has this reply, which
        no client of HTTP/1.1 that is known here does.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            return not selector.select(seconds)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses, answered by the app."""
        self.close_connection = True
        reason = message or self.responses[code][0]
        response = self.server.app.malformed(code, reason)
        body = b"" if self.command == "HEAD" else response.body
        self._send(response.status_line, response.headers, body)
        # A connection that is closed with something unread takes the answer with it.
        try:
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            return  # It is gone already.
        self._drain(cast("RawIOBase", self.rfile))

    def _body(self, environ: WSGIEnvironment) -> RawIOBase:
        """The body of this request and not a byte of the next. Raises ValueError."""
        lengths = {value.strip(" \t") for value in self.headers.get_all("Content-Length", [])}
        codings = [
            value.strip(" \t").lower() for value in self.headers.get_all("Transfer-Encoding", [])
        ]
        if not codings:
            length = lengths.pop() if lengths else "0"
            if lengths or not (length.isascii() and length.isdecimal()):
                raise ValueError("Content-Length is not one number")
            return LimitedStream(cast("IO[bytes]", self.rfile), int(length))
        if codings != ["chunked"] or lengths:
            raise ValueError("Transfer-Encoding is not chunked, or comes with a Content-Length")
        return Chunks(cast("IO[bytes]", self.rfile))

    def _send(self, status: str, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self.wfile.write(self._head(status, headers) + body)

    def _head(self, status: str, headers: Iterable[tuple[str, str]]) -> bytes:
        lines = [f"HTTP/1.1 {status}", "Server: fake_oauth"]
        lines += [f"{name}: {value}" for name, value in headers]
        if self._is_from_before_an_outage:
            self.close_connection = True
        if self.close_connection:
            lines.append("Connection: close")
        elif self.request_version == "HTTP/1.0":
            lines.append("Connection: keep-alive")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def _is_from_before_an_outage(self) -> bool:
        return self._outages != self.server.outages

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
