"""One connection: requests in, responses out, until one side has had enough.

h11 reads and writes HTTP/1.1 and refuses what RFC 9112 refuses. A request is complete before it is
run. An app can act on the connection instead of responding: see `INTERRUPT`.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote_to_bytes

import h11

from fake_oauth.reply import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

INTERRUPT: Final = "fake_oauth.interrupt"
"""Where the environ has a function with which the app takes over the connection. Its argument is
called with the `Connection` instead of sending a response; then the connection is closed."""

# The bytes that are read of a body with its framing, or after an error response. A longer body is
# refused.
_BODY_LIMIT: Final = 64 * 1024 * 1024
_TARGET_LIMIT: Final = 64 * 1024
# What h11 keeps of a head, of a trailer, or of the line with the size of a chunk.
_HEAD_LIMIT: Final = 128 * 1024
_HEADERS_LIMIT: Final = 100
_PIECE: Final = 64 * 1024

# The start of a chunk: the end of the chunk before it, the size, and the rest of the line.
_CHUNK: Final = re.compile(rb"[\r\n]{0,2}([0-9A-Fa-f]+)([^\n]*\n)?")

# RFC 9112 section 3.2.2: the authority, without its user, and what follows it.
_ABSOLUTE: Final = re.compile(rb"https?://(?:[^/?#]*@)?([^/?#]+)(.*)", re.IGNORECASE)
# RFC 3986 section 3.2, without a user.
_AUTHORITY: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(:[0-9]*)?", re.ASCII)

Fields = list[tuple[bytes, bytes]]
"""The fields of a request's head: names in lower case, in order, repeats included."""

# With a linger time of 0, closing a socket resets the connection (socket(7), SO_LINGER).
_RESET: Final = struct.pack("ii", 1, 0)


class Application(Protocol):
    """What a listener serves."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond to a request."""

    def respond_to_malformed(self, status: int, reason: str) -> Response:
        """Respond to bytes that are not a request in HTTP."""


class ListenerState(Protocol):
    """The part of the listener that a connection reads."""

    app: Application
    stall_seconds: float
    body_limit: int
    """The most bytes of a body that the app gets; the app refuses a body of this length."""
    host: str
    port: int
    outages: int
    """How often the port was shut. Connections from before that end with the current response."""

    @property
    def is_secure(self) -> bool:
        """Whether it serves HTTPS."""


class _MalformedError(Exception):
    """The client sent something that is not a request, or not a complete one."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Connection:
    """One connection of a client, from its first request to its last."""

    def __init__(
        self, sock: socket.socket, address: tuple[Any, ...], server: ListenerState
    ) -> None:
        self._socket = sock
        self._address = address
        self._server = server
        self._outages = server.outages
        self._http = h11.Connection(h11.SERVER)
        self._received = b""
        """The start of the next request, if the client has sent it already."""
        self._is_head = False
        self._is_before_chunk = False
        """Whether h11 reads the size of a chunk next."""
        self._is_lost = False
        self._is_reset = False

    def serve(self) -> None:
        """Respond to requests until the connection ends."""
        try:
            with suppress(OSError):  # The client can have disconnected already.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._wait_for_request():
                request, fields = self._read_request()
                body = self._read_body(fields)
                if not self._respond(request, fields, body) or not self._start_next_request():
                    break
        except _MalformedError as error:
            self._refuse(error)
        finally:
            if not self._is_reset:
                # A copy of the socket in a child process would keep the connection open.
                shut_down(self._socket, socket.SHUT_RDWR)

    # Reading

    def _wait_for_request(self) -> bool:
        """Wait for the first byte of a request, for as long as it takes.

        Return false if the client has closed the connection, or if it is from before an outage.
        """
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT)
        self._socket.settimeout(None)
        # Empty lines before a request are ignored (RFC 9112 section 2.2).
        received = self._received.lstrip(b"\r\n")
        while not received:
            data = self._receive()
            if not data:
                return False
            received = data.lstrip(b"\r\n")
        self._is_head = received.startswith(b"HEAD ")
        self._http.receive_data(received)
        self._socket.settimeout(self._server.stall_seconds)
        return not self._is_from_before_an_outage

    def _read_request(self) -> tuple[h11.Request, Fields]:
        """Return the head of a request, and its fields. Raise _MalformedError."""
        try:
            while (request := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(self._receive())
        except h11.RemoteProtocolError as error:
            reason, status = str(error), error.error_status_hint
            if status == 431 and b"\n" not in self._http.trailing_data[0]:
                status, reason = 414, "the request line is too long"
            elif reason.startswith("multiple Transfer-Encoding"):
                status = 400  # h11 suggests 501, but the request is ambiguous.
            raise self._malformed(status, reason) from None
        assert isinstance(request, h11.Request), request
        self._is_head = request.method == b"HEAD"
        fields = [(name.lower(), value) for name, value in request.headers.raw_items()]
        _check(request, fields)
        return request, fields

    def _read_body(self, fields: Fields) -> bytes:
        """Return the body of a request, cut at the limit. Raise _MalformedError."""
        self._is_before_chunk = b"transfer-encoding" in dict(fields)
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self._send_event(go_on)
        body, size = bytearray(), 0
        try:
            while True:
                if self._is_before_chunk:
                    self._check_chunk_size()
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    data = self._receive()
                    size += len(data)
                    if size > _BODY_LIMIT:
                        raise _too_long()
                    self._http.receive_data(data)
                elif isinstance(event, h11.Data):
                    body += event.data[: self._server.body_limit - len(body)]
                    self._is_before_chunk = event.chunk_end
                else:
                    return bytes(body)
        except h11.RemoteProtocolError as error:
            # Not the status that h11 suggests: 431 is for a head.
            raise self._malformed(400, str(error)) from None

    def _check_chunk_size(self) -> None:
        """Refuse a chunk that is too long: h11 would wait for its last byte."""
        if (start := _CHUNK.match(self._http.trailing_data[0])) is not None:
            size, end_of_line = start.groups()
            if int(size, 16) > _BODY_LIMIT:
                raise _too_long()
            self._is_before_chunk = end_of_line is None

    def _malformed(self, status: int, reason: str) -> _MalformedError:
        if self._http.trailing_data[1]:
            status, reason = 400, "the request ended before it was complete"
        return _MalformedError(status, reason)

    def _receive(self) -> bytes:
        """Return what the client has sent; nothing if it has closed the connection."""
        try:
            return self._socket.recv(_PIECE)
        except TimeoutError:
            raise _MalformedError(408, "the request stalled before its end") from None
        except OSError:
            return b""  # The client has disconnected.

    # Responding

    def _respond(self, request: h11.Request, fields: Fields, body: bytes) -> bool:
        """Run the app and send its response. Return whether the connection can go on."""
        environ = self._environ(request, fields, body)
        interruptions: list[Callable[[Connection], None]] = []
        environ[INTERRUPT] = interruptions.append
        status = ""
        headers: list[tuple[str, str]] = []
        chunks: list[bytes] = []

        def start_response(code: str, fields: list[tuple[str, str]], _: Any = None) -> Any:
            nonlocal status, headers
            status, headers = code, fields
            return chunks.append

        pieces = self._server.app(environ, start_response)
        try:
            chunks.extend(pieces)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        if interruptions:
            interruptions[0](self)
            return False
        self._send_response(status, headers, b"".join(chunks))
        return not self._is_lost

    def _send_response(self, status: str, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Send a whole response in as few segments as possible."""
        code, _, phrase = status.partition(" ")
        fields = [("Server", "fake_oauth"), *headers]
        if self._is_from_before_an_outage:
            fields.append(("Connection", "close"))
        head = h11.Response(
            status_code=int(code),
            reason=phrase.encode(),
            headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in fields],
        )
        self._send_event(head, h11.Data(data=body), h11.EndOfMessage())

    def _send_event(self, *events: h11.Event) -> None:
        self.send(b"".join(self._http.send(event) or b"" for event in events))

    def _start_next_request(self) -> bool:
        """Return whether the client may send another request."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            self._linger()
            return False
        self._received = self._http.trailing_data[0]
        return True

    def _refuse(self, error: _MalformedError) -> None:
        """Respond to something that is not a request, and close the connection."""
        if self._is_lost:
            return
        response = self._server.app.respond_to_malformed(error.status, str(error))
        self.send_head(response)
        if not self._is_head:
            self.send(response.body)
        self._linger()

    def _linger(self) -> None:
        """Read for a while what the client still sends: closing first would lose the response."""
        end, left = monotonic() + self._server.stall_seconds, _BODY_LIMIT
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while left > 0 and (seconds := end - monotonic()) > 0:
                self._socket.settimeout(seconds)
                data = self._socket.recv(_PIECE)
                if not data:
                    return
                left -= len(data)
        except OSError:
            pass  # The client has disconnected, or sends nothing more.

    def _environ(self, request: h11.Request, fields: Fields, body: bytes) -> WSGIEnvironment:
        """Return the WSGI environ of a request (PEP 3333)."""
        authority, target = _split(request.target)
        path, _, query = target.partition(b"?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": request.method.decode("ascii"),
            "SCRIPT_NAME": "",
            "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"),
            "REQUEST_URI": request.target.decode("latin-1"),
            "SERVER_NAME": self._server.host,
            "SERVER_PORT": str(self._server.port),
            "SERVER_PROTOCOL": f"HTTP/{request.http_version.decode('ascii')}",
            "REMOTE_ADDR": self._address[0],
            "REMOTE_PORT": str(self._address[1]),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if self._server.is_secure else "http",
            "wsgi.input": BytesIO(body),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in fields:
            # A name with an underscore would look like another header in the environ.
            if b"_" in name or name == b"transfer-encoding":
                continue
            key = "HTTP_" + name.decode("ascii").replace("-", "_").upper()
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
        if authority:
            environ["HTTP_HOST"] = authority.decode("latin-1")  # RFC 9112 section 3.2.2
        environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
        environ.pop("HTTP_CONTENT_LENGTH", None)
        environ["CONTENT_LENGTH"] = str(len(body))
        return environ

    @property
    def _is_from_before_an_outage(self) -> bool:
        return self._outages != self._server.outages

    # For the app that takes the connection over

    def send(self, data: bytes) -> None:
        """Send bytes. What the client does not read within the stall time is lost."""
        view = memoryview(data)
        try:
            while view and not self._is_lost:
                view = view[self._socket.send(view[:_PIECE]) :]
        except OSError:
            self._is_lost = True

    def send_head(self, response: Response) -> None:
        """Send the status line and the headers of a response; the connection closes after it."""
        fields = (("Server", "fake_oauth"), *response.headers, ("Connection", "close"))
        lines = [f"HTTP/1.1 {response.status_line}", *(f"{name}: {v}" for name, v in fields)]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def reset_at_close(self) -> None:
        """Make the close of the connection a reset (TCP RST).

        A copy of the socket in a child process delays the reset until the copy is closed, too.
        """
        self._is_reset = True
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def pause(self, seconds: float | None) -> bool:
        """Wait; None waits until the client closes the connection. Return whether to go on.

        It is not worth going on when the client has closed the connection or the server stops:
        both make it readable. So does the next request of a client that pipelines. Nor is it if the
        client did not read what was sent.
        """
        if self._is_lost:
            return False
        self._socket.settimeout(seconds)
        try:
            # Not the method of an SSLSocket, which cannot peek.
            socket.socket.recv(self._socket, 1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        except OSError:
            pass  # The client has disconnected.
        finally:
            self._socket.settimeout(self._server.stall_seconds)
        return False


def shut_down(sock: socket.socket, how: int) -> None:
    """Shut down a socket that may be closed already, or that another thread uses."""
    try:
        # Not the method of an SSLSocket, which takes away its state while its thread uses it.
        socket.socket.shutdown(sock, how)
    except OSError:
        pass  # It is not connected any more.


def _check(request: h11.Request, fields: Fields) -> None:
    """Check what h11 leaves to its user. Raise _MalformedError."""
    if not request.http_version.startswith(b"1."):
        raise _MalformedError(505, "expected HTTP/1.1")
    if len(request.target) > _TARGET_LIMIT:
        raise _MalformedError(414, "the request target is too long")
    size = sum([len(name) + len(value) for name, value in fields])
    if len(fields) > _HEADERS_LIMIT or size > _HEAD_LIMIT // 2:
        raise _MalformedError(431, "too many headers, or too long ones")
    named = dict(fields)  # h11 has refused a second one of those that matter here.
    authorities = (named.get(b"host", b""), _split(request.target)[0])
    if not all(map(_AUTHORITY.fullmatch, authorities)):
        raise _MalformedError(400, "malformed Host, or malformed authority in the request target")
    if b"transfer-encoding" in named:
        # Both are used for request smuggling (RFC 9112 sections 6.1 and 11.2).
        if b"content-length" in named:
            raise _MalformedError(400, "Transfer-Encoding and Content-Length together")
        if request.http_version == b"1.0":
            raise _MalformedError(400, "Transfer-Encoding in HTTP/1.0")
    if int(named.get(b"content-length", 0)) > _BODY_LIMIT:
        raise _too_long()


def _too_long() -> _MalformedError:
    return _MalformedError(400, f"the body is longer than {_BODY_LIMIT} bytes")


def _split(target: bytes) -> tuple[bytes, bytes]:
    """Return the authority in a request target, empty if it has none, and the path with query."""
    if (absolute := _ABSOLUTE.fullmatch(target)) is None:
        return b"", target
    authority, rest = absolute.groups()
    return authority, rest if rest.startswith(b"/") else b"/" + rest
