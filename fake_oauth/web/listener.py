"""A socket and the threads behind it, serving one WSGI app.

Knows nothing of OAuth. What werkzeug's development server leaves out: a stop that takes no time and
leaves nothing behind, an ordinary OSError for a busy port, and silence.
"""

from __future__ import annotations

import selectors
import socket
from math import inf
from ssl import SSLContext, SSLError
from threading import Event, Lock, Thread, current_thread
from time import monotonic
from typing import Any, Final

from fake_oauth.web.connection import Application, Connection

# How long a request may pause half way before it is answered as it is.
STALL_SECONDS: Final = 10.0
# How long a stop waits for replies that are being written.
_GRACE_SECONDS: Final = 1.0
_BACKLOG: Final = 256


class Listener:
    """A listening socket from the moment it is made; it answers once it is started.

    Raises OSError if the address cannot be had.
    """

    # What werkzeug's handler asks of its server, beside ssl_context.
    multithread = True
    multiprocess = False

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ssl_context: SSLContext | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=self._family, backlog=_BACKLOG)
        self._socket.settimeout(0)
        self._wake, self._woken = socket.socketpair()
        self.server_address = self._socket.getsockname()
        self.ssl_context = ssl_context
        self.stall_seconds = stall_seconds
        self.outages = 0
        self.failures: list[Exception] = []
        self._connections: dict[Thread, socket.socket] = {}
        self._lock = Lock()
        self._thread: Thread | None = None
        # When the port is to be open (by monotonic), and that the accepting thread has seen to it.
        self._opens_at = 0.0
        self._turned = Event()
        self._turning = Lock()
        self.app: Application

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:8080`."""
        host, port = self.server_address[:2]
        scheme = "http" if self.ssl_context is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

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
        self._join(self._hang_up(socket.SHUT_RD), monotonic() + _GRACE_SECONDS)
        self._join(self._hang_up(socket.SHUT_RDWR), None)

    def shut(self, seconds: float | None = None) -> None:
        """Let the port refuse connections for a time, or until it is opened.

        When this returns nobody can connect any more. Connections that wait for a request are
        closed, requests under way are answered. A port that is shut already stays so for longer.
        """
        now = monotonic()
        self._turn(inf if seconds is None else max(now, self._opens_at) + seconds)
        self.outages += 1
        self._hang_up(socket.SHUT_RD)

    def open(self) -> None:
        """End what `shut` began. When this returns anybody can connect again."""
        self._turn(0.0)

    def _turn(self, opens_at: float) -> None:
        """Tell the accepting thread when the port is to be open, and wait until it has acted."""
        with self._turning:
            self._opens_at = opens_at
            self._turned.clear()
            try:
                self._wake.send(b"!")
            except OSError:
                return  # It is being stopped.
            self._turned.wait()

    def _hang_up(self, how: int) -> list[Thread]:
        with self._lock:
            connections = dict(self._connections)
            for connection in connections.values():
                try:
                    # Not an SSLSocket's own, which takes its state away from under its thread.
                    socket.socket.shutdown(connection, how)
                except OSError:
                    pass  # It is gone already.
        return list(connections)

    def _join(self, threads: list[Thread], deadline: float | None) -> None:
        for thread in threads:
            thread.join(None if deadline is None else max(0, deadline - monotonic()))

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                is_shut = self._socket not in selector.get_map()
                wait = self._opens_at - monotonic() if is_shut and self._opens_at < inf else None
                ready = [key.fileobj for key, _ in selector.select(wait)]
                is_told = self._woken in ready
                if is_told and not self._woken.recv(1):
                    return
                if is_shut and monotonic() >= self._opens_at:
                    self._socket.listen(_BACKLOG)
                    selector.register(self._socket, selectors.EVENT_READ)
                elif not is_shut and monotonic() < self._opens_at:
                    selector.unregister(self._socket)
                    self._rebind()
                elif self._socket in ready:
                    self._accept_one()
                if is_told:
                    self._turned.set()

    def _rebind(self) -> None:
        """Refuse connections, but keep the port: bound to it is a socket that does not listen."""
        self._socket.close()
        self._socket = socket.socket(self._family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(self.server_address)
        self._socket.settimeout(0)

    def _accept_one(self) -> None:
        try:
            connection, address = self._socket.accept()
        except OSError:
            return  # The client has left the queue.
        self._open(connection, address)

    def _open(self, connection: socket.socket, address: Any) -> None:
        thread = Thread(target=self._serve, args=(connection, address), daemon=True)
        thread.name = f"fake_oauth {self.url} {address[1]}"
        with self._lock:
            # A thread cannot take itself off: a stop would not wait for its last steps.
            for ended in [other for other in self._connections if not other.is_alive()]:
                del self._connections[ended]
            try:
                thread.start()
            except RuntimeError:
                connection.close()  # The machine has no thread left; the client may try again.
            else:
                self._connections[thread] = connection

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            if self.ssl_context is not None:
                connection = self._secured(connection, self.ssl_context)
            Connection(connection, address, self)  # type: ignore[arg-type]  # server enough
        except (SSLError, ConnectionError, TimeoutError):
            pass  # No handshake came about; the client knows why.
        except Exception as failure:  # noqa: BLE001
            # A defect of the app: kept for whoever holds the listener. The client gets no answer.
            self.failures.append(failure)
        finally:
            connection.close()

    def _secured(self, connection: socket.socket, context: SSLContext) -> socket.socket:
        connection.settimeout(self.stall_seconds)
        secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._connections[current_thread()] = secured
        try:
            secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured
