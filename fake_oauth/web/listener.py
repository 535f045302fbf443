"""A socket and the threads behind it, serving one WSGI app.

Knows nothing of OAuth. What werkzeug's development server leaves out: a stop that takes no time and
leaves nothing behind, an ordinary OSError for a busy port, and silence.
"""

from __future__ import annotations

import selectors
import socket
from ssl import SSLContext, SSLError
from threading import Lock, Thread, current_thread
from time import monotonic
from typing import Any, Final

from fake_oauth.web.connection import Application, Connection

# How long a request may pause half way before it is answered as it is.
STALL_SECONDS: Final = 10.0
# How long a stop waits for replies that are being written.
_GRACE_SECONDS: Final = 1.0


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
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=256)
        self._socket.settimeout(0)
        self._wake, self._woken = socket.socketpair()
        self.server_address = self._socket.getsockname()
        self.ssl_context = ssl_context
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
        self._hang_up(socket.SHUT_RD, monotonic() + _GRACE_SECONDS)
        self._hang_up(socket.SHUT_RDWR, None)

    def _hang_up(self, how: int, deadline: float | None) -> None:
        with self._lock:
            connections = dict(self._connections)
            for connection in connections.values():
                try:
                    # Not an SSLSocket's own, which takes its state away from under its thread.
                    socket.socket.shutdown(connection, how)
                except OSError:
                    pass  # It is gone already.
        for thread in connections:
            thread.join(None if deadline is None else max(0, deadline - monotonic()))

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
