"""A listening socket and the threads behind it, which serve one WSGI app.

It knows nothing of OAuth. Starting and stopping take milliseconds; `stop` leaves no thread and no
socket, even if a child process has inherited copies of the sockets.
"""

from __future__ import annotations

import os
import selectors
import socket
from contextlib import suppress
from math import inf
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Event, Lock, Thread, current_thread
from time import monotonic
from typing import Any, Final

from fake_oauth.http.connection import Application, Connection, shut_down
from fake_oauth.provider.errors import FakeOAuthError

BODY_LIMIT: Final = 64 * 1024
"""How many bytes of a body the app gets, unless it asks for more."""
STALL_SECONDS: Final = 10.0
"""How long a request may pause before its end."""
# How long a stop waits for responses that are being sent, and then for the threads that send them.
_GRACE_SECONDS: Final = 0.5
_LAST_SECONDS: Final = 0.3
# How long accepting pauses after a failure, such as a process without a free descriptor.
_PAUSE_SECONDS: Final = 0.1
_BACKLOG: Final = 256
# How many failures are kept for the test that stops the server.
_FAILURES: Final = 100


class Listener:
    """A socket that listens from the start, and serves once it is started.

    Raise OSError if the address is not available.
    """

    app: Application

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ssl_context: SSLContext | None = None,
        stall_seconds: float = STALL_SECONDS,
        body_limit: int = BODY_LIMIT,
    ) -> None:
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=self._family, backlog=_BACKLOG)
        self._socket.settimeout(0)
        self._wake, self._woken = socket.socketpair()
        self._address = self._socket.getsockname()
        self._process = os.getpid()
        self._ssl_context = ssl_context
        self.host, self.port = self._address[:2]
        # People type this name in browsers, and cookies and redirect URIs depend on it.
        self._name = host if host.lower() == "localhost" else self.host
        self.stall_seconds = stall_seconds
        self.body_limit = body_limit
        self.outages = 0
        self.failures: list[Exception] = []
        self._connections: dict[Thread, socket.socket] = {}
        self._lock = Lock()
        self._thread: Thread | None = None
        # One order to the accepting thread at a time: for how long to shut the port, 0 to open it.
        self._ordering = Lock()
        self._order = 0.0
        self._is_done = Event()
        self._failure: OSError | None = None
        # For the accepting thread: when to accept again; None while it accepts.
        self._due: float | None = None
        self._is_shut = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._socket, selectors.EVENT_READ)

    @property
    def is_secure(self) -> bool:
        """Whether it serves HTTPS."""
        return self._ssl_context is not None

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:8080`."""
        host = f"[{self._name}]" if ":" in self._name else self._name
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}"

    def start(self, app: Application) -> None:
        """Serve an app in a thread."""
        self.app = app
        self._thread = Thread(target=self._run, name=f"fake_oauth {self.url}", daemon=True)
        self._thread.start()

    def require_other_thread(self) -> None:
        """Raise FakeOAuthError in a thread of the listener, which cannot wait for itself."""
        if current_thread() is self._thread or current_thread() in self._connections:
            raise FakeOAuthError(
                "stop: called by the server's own thread, such as in `when` of a rule; call it in "
                "the test"
            )

    def stop(self) -> None:
        """Stop listening, let current responses end, and leave no thread and no socket.

        In a child process that has inherited the sockets, only its own copies are closed.
        """
        if os.getpid() == self._process:
            # A copy of a socket in a child keeps it open after a close, but not after a shutdown.
            shut_down(self._wake, socket.SHUT_RDWR)
            if self._thread is not None:
                self._thread.join()
            shut_down(self._socket, socket.SHUT_RDWR)
            # The end of input ends the threads that wait for a request; others may still send.
            self._join(self._hang_up(socket.SHUT_RD), _GRACE_SECONDS)
            self._join(self._hang_up(socket.SHUT_RDWR), _LAST_SECONDS)
        for resource in (self._selector, self._socket, self._wake, self._woken):
            resource.close()

    def shut(self, seconds: float | None = None) -> None:
        """Refuse connections for `seconds`, or until `open` is called.

        When this returns, no client can connect. Connections that wait for a request are closed,
        and current requests get their responses. If the port is shut already, it stays shut longer.
        """
        self._send_order(inf if seconds is None else seconds)
        self.outages += 1
        self._hang_up(socket.SHUT_RD)

    def open(self) -> None:
        """Accept connections again after `shut`. When this returns, clients can connect.

        Raise FakeOAuthError if another process has taken the port meanwhile.
        """
        if (failure := self._send_order(0)) is not None:
            raise self._taken(failure)

    def _send_order(self, seconds: float) -> OSError | None:
        """Send an order to the accepting thread, wait until it is done, and return its failure.

        A listener that has not been started executes the latest order when it starts.
        """
        if os.getpid() != self._process:
            raise FakeOAuthError(
                f"{self.url}: expected a call in process {self._process}, which started the "
                f"server, got one in its child process {os.getpid()}; make the call in the parent"
            )
        with self._ordering:
            self._order, self._failure = seconds, None
            self._is_done.clear()
            try:
                self._wake.send(b"!")
            except OSError:
                return None  # The server has stopped.
            if self._thread is not None:
                self._is_done.wait()
            return self._failure

    def _taken(self, failure: OSError) -> FakeOAuthError:
        return FakeOAuthError(
            f"{self.url}: cannot open the port again: {failure.strerror}; end the process that "
            "has taken the port during the outage"
        )

    def _hang_up(self, how: int) -> list[Thread]:
        with self._lock:
            for connection in self._connections.values():
                shut_down(connection, how)
            return list(self._connections)

    def _join(self, threads: list[Thread], seconds: float) -> None:
        deadline = monotonic() + seconds
        for thread in threads:
            thread.join(max(0, deadline - monotonic()))

    # The accepting thread

    def _run(self) -> None:
        try:
            self._accept()
        finally:
            # No order waits for a thread that has ended.
            shut_down(self._wake, socket.SHUT_RDWR)
            self._is_done.set()

    def _accept(self) -> None:
        while True:
            due = self._due
            wait = None if due is None or due == inf else max(0, due - monotonic())
            ready = [key.fileobj for key, _ in self._selector.select(wait)]
            if self._woken in ready:
                if not self._woken.recv(1):
                    return
                self._execute_order()
            elif self._socket in ready:
                self._accept_one()
            elif not self._is_shut:
                self._resume()
            elif (failure := self._open_port()) is not None:
                self._keep(self._taken(failure))

    def _execute_order(self) -> None:
        if self._order:
            if not self._is_shut:
                self._shut_port()
            self._due = max(monotonic(), self._due or 0) + self._order
        elif self._is_shut:
            self._failure = self._open_port()
        self._is_done.set()

    def _accept_one(self) -> None:
        try:
            connection, address = self._socket.accept()
        except OSError:
            # Without a free descriptor the socket stays ready: the loop would spin.
            self._pause_until(monotonic() + _PAUSE_SECONDS)
        else:
            self._open_connection(connection, address)

    def _pause_until(self, due: float) -> None:
        if self._due is None:
            self._selector.unregister(self._socket)
        self._due = due

    def _resume(self) -> None:
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._due = None

    def _shut_port(self) -> None:
        """Refuse connections, and keep the port: a socket that does not listen is bound to it."""
        self._pause_until(0)
        self._is_shut = True
        shut_down(self._socket, socket.SHUT_RDWR)
        self._socket.close()
        self._socket = socket.socket(self._family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.settimeout(0)
        with suppress(OSError):  # If another process has taken the port, the next bind says so.
            self._socket.bind(self._address)

    def _open_port(self) -> OSError | None:
        """Accept connections again; if that is impossible, return why."""
        try:
            if self._socket.getsockname()[1] != self.port:
                self._socket.bind(self._address)
            self._socket.listen(_BACKLOG)
        except OSError as failure:
            self._due = inf
            return failure
        self._is_shut = False
        self._resume()
        return None

    def _open_connection(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        thread = Thread(target=self._serve, args=(connection, address), daemon=True)
        thread.name = f"fake_oauth {self.url} {address[1]}"
        with self._lock:
            # Finished threads are removed here: one that removed itself could outlive `stop`.
            for ended in [other for other in self._connections if not other.is_alive()]:
                del self._connections[ended]
            self._connections[thread] = connection
            try:
                thread.start()
            except RuntimeError:
                del self._connections[thread]
                connection.close()  # The machine has no thread left; the client can try again.

    # The threads of connections

    def _serve(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        try:
            if self._ssl_context is not None:
                try:
                    connection = self._secured(connection, self._ssl_context)
                except OSError:
                    return  # The handshake failed; the client knows why.
            Connection(connection, address, self).serve()
        except ConnectionAbortedError:
            pass  # The app waited for something when the server stopped.
        except Exception as failure:  # noqa: BLE001
            # A bug of the app, or a mistake in a test: `FakeOAuth.stop` raises it.
            self._keep(failure)
        finally:
            connection.close()

    def _keep(self, failure: Exception) -> None:
        if len(self.failures) < _FAILURES:
            self.failures.append(failure)

    def _secured(self, connection: socket.socket, context: SSLContext) -> socket.socket:
        """Return the connection after the TLS handshake; it replaces the one that is passed."""
        connection.settimeout(self.stall_seconds)
        with self._lock:  # `stop` must find one of the two.
            secured = context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
            self._connections[current_thread()] = secured
        try:
            secured.do_handshake()
        except OSError:
            secured.close()
            raise
        return secured


def server_context(host: str) -> tuple[SSLContext, str]:
    """Return a TLS context for a host, and the certificate, as PEM, that clients must trust.

    The certificate is new each time, and is not stored. Raise FakeOAuthError without trustme.
    """
    try:
        import trustme  # an extra, which most users do not need
    except ModuleNotFoundError:
        raise FakeOAuthError('HTTPS requires trustme; pip install "fake_oauth[tls]"') from None
    authority = trustme.CA(organization_name="fake_oauth, for tests")
    names = dict.fromkeys((host, "localhost", "127.0.0.1", "::1"))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context, authority.cert_pem.bytes().decode()
