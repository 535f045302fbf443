"""`FakeOAuth`, the one object that a test holds: a service, and the socket that it listens on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from secrets import token_hex
from types import TracebackType
from typing import TYPE_CHECKING, Self

from werkzeug.wrappers import Request, Response

from fake_oauth.assembly import IN_PROCESS
from fake_oauth.guard import is_loopback
from fake_oauth.journal import Exchange
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.reply import Written
from fake_oauth.service import Service
from fake_oauth.settings import Settings
from fake_oauth.web.listener import Listener
from fake_oauth.web.tls import server_context

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from fake_oauth.control import Control


class FakeOAuth(Service):
    """A fake of the documented token endpoint: a server in a thread, and a WSGI app by itself.

    >>> with FakeOAuth() as server:
    ...     server.token_url.removeprefix(server.url)
    '/oauth2/token'

    Everything it knows belongs to this one object: for a clean state make another. Raises
    SettingsError for settings that cannot be used, with all that is wrong with them, and OSError
    from `start` for an address that cannot be had.
    """

    control_token: str | None
    """What steering it over HTTP takes, `Authorization: Bearer …`; None on loopback."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        watch: Callable[[Exchange], None] | None = None,
    ) -> None:
        """`watch` is called with every exchange as it is answered, in the answering thread."""
        super().__init__(Settings() if settings is None else settings, watch)
        self._address = (host, port)
        # In hex: with a hyphen in front it would be an option, where it is given to a command.
        self.control_token = None if is_loopback(host) else token_hex(16)
        self._control: Control | None = None
        if self.settings.control:
            from fake_oauth.control import Control  # reads JSON with cattrs; most never ask for it

            self._control = Control(self, self.control_token)
        self._ca_pem: str | None = None

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:43210`."""
        if self._listener is None:
            raise FakeOAuthError("not listening: use it as a context manager, or call start()")
        return self._listener.url

    @property
    def token_url(self) -> str:
        """The URL of the token endpoint."""
        return self.url + self.dialect.paths["token"]

    @property
    def resource_url(self) -> str:
        """The URL of a resource that wants an access token of this server (RFC 6750)."""
        return self.url + self.dialect.paths["resource"]

    @property
    def ca_pem(self) -> str:
        """The certificate, as PEM, that a client must trust to speak https with this server."""
        if self._ca_pem is None:
            raise FakeOAuthError("no certificate: start it with Settings(tls=True)")
        return self._ca_pem

    def start(self) -> Self:
        """Listen, and serve in a thread. Raises OSError for an address that cannot be had."""
        if self._listener is not None:
            raise FakeOAuthError("started already; for another server make another FakeOAuth")
        if self._app is not None and self.settings.issuer is None:
            raise FakeOAuthError(
                f"used in process already, as {IN_PROCESS}: start it before its first use, "
                "or give Settings(issuer=...)"
            )
        context = None
        if self.settings.tls:
            context, self._ca_pem = server_context(self._address[0])
        self._listener = Listener(*self._address, ssl_context=context)
        self._listener.start(self)
        self._serving()
        return self

    def stop(self) -> None:
        """Stop listening; leaves no thread and no socket. Raises what went wrong inside, if any."""
        if self._listener is None:
            return
        self._stopped.set()
        self._barriers.give_up("the server has stopped")
        self._listener.stop()
        failures, self._listener.failures = self._listener.failures, []
        if failures:
            raise ExceptionGroup("what went wrong in fake_oauth while it served", failures)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._control is not None and self._control.serves(environ.get("PATH_INFO", "")):
            return self._control.handle(Request(environ))(environ, start_response)
        return super().__call__(environ, start_response)

    def handle(self, request: Request) -> Response:
        if self._control is not None and self._control.serves(request.path):
            return self._control.handle(request)
        return super().handle(request)

    def malformed(self, status: int, reason: str) -> Written:
        """The answer to something that came in over the socket and is not a request in HTTP."""
        return self._serving().malformed(status, reason)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<FakeOAuth {'in process' if self._listener is None else self.url}>"
