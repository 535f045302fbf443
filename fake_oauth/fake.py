"""`FakeOAuth`, the one object that a test holds: the pieces put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from werkzeug.wrappers import Request, Response

from fake_oauth.journal import Exchange, Journal
from fake_oauth.naming import client_named, scopes_named, user_named
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import FakeOAuthError, SettingsError
from fake_oauth.provider.ids import Ids, fresh_seed
from fake_oauth.provider.keys import key_ring
from fake_oauth.provider.realm import Message, Realm
from fake_oauth.provider.tokens import TokenSet
from fake_oauth.settings import Settings
from fake_oauth.web.app import App
from fake_oauth.web.endpoints import ENDPOINTS
from fake_oauth.web.listener import Listener
from fake_oauth.web.tls import server_context

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# The issuer of a fake that has no socket and was given none.
_IN_PROCESS = "http://localhost"


class FakeOAuth:
    """A fake of the documented token endpoint: a server in a thread, and a WSGI app by itself.

    >>> with FakeOAuth() as server:
    ...     server.token_url.removeprefix(server.url)
    '/oauth2/token'

    Everything it knows belongs to this one object: for a clean state make another. Raises
    SettingsError for settings that cannot be used, with all that is wrong with them, and OSError
    from `start` for an address that cannot be had.
    """

    clock: Clock
    """The clock of everything: `advance(seconds)`, `set(moment)`, `freeze()`, `unfreeze()`."""
    journal: Journal
    """What was asked and answered, oldest first, and why."""
    seed: int
    """What the ids are made from; the same seed makes the same ids."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        watch: Callable[[Exchange], None] | None = None,
    ) -> None:
        """`watch` is called with every exchange as it is answered, in the answering thread."""
        self.settings = Settings() if settings is None else settings
        if problems := self.settings.problems():
            raise SettingsError(problems)
        self.clock = Clock(self.settings.start_time, frozen=self.settings.freeze_time)
        self.journal = Journal(self.settings.journal_limit, watch)
        self.seed = fresh_seed() if self.settings.seed is None else self.settings.seed
        self._keys = key_ring([(key.read(), key.kid) for key in self.settings.keys])
        self._address = (host, port)
        self._lock = Lock()
        self._app: App | None = None
        self._listener: Listener | None = None
        self._ca_pem: str | None = None

    @property
    def issuer(self) -> str:
        """The `iss` of every token: from the settings, or the URL it listens on.

        Used in process only, it is `http://localhost`.
        """
        return self._serving().realm.issuer

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:43210`."""
        if self._listener is None:
            raise FakeOAuthError("not listening: use it as a context manager, or call start()")
        return self._listener.url

    @property
    def token_url(self) -> str:
        """The URL of the token endpoint."""
        return self.url + ENDPOINTS["token"].path

    def issue(
        self,
        user: str | None = None,
        client: str | None = None,
        scope: str | None = None,
    ) -> TokenSet:
        """Tokens as if `user` had just logged in at `client`.

        The user is named by username or sub, the client by client_id; what is left out is the
        first user, the first client, and every scope that the client may have. Raises
        FakeOAuthError for a name that nothing has.
        """
        realm = self._serving().realm
        owner, somebody = client_named(realm, client), user_named(realm, user)
        return realm.issue(owner, somebody, scopes_named(owner, scope))

    def issue_code(
        self,
        user: str | None = None,
        client: str | None = None,
        scope: str | None = None,
        *,
        redirect_uri: str | None = None,
        code_challenge: str | None = None,
        nonce: str | None = None,
    ) -> str:
        """An authorization code as if `user` had just logged in at `client` on the page.

        What is left out is as in `issue`; the rest is what the authorization request said, None
        if it said nothing. A code_challenge is an S256 one (RFC 7636 section 4.2).
        """
        realm = self._serving().realm
        owner, somebody = client_named(realm, client), user_named(realm, user)
        with realm.lock:
            grant = realm.ledger.open(owner.client_id, somebody.sub, scopes_named(owner, scope))
        return realm.write_code(
            grant, redirect_uri=redirect_uri, code_challenge=code_challenge, nonce=nonce
        )

    def login(self, user: str | None = None) -> None:
        """Let every browser be logged in as `user` from now on, so that no page is shown.

        Raises FakeOAuthError for a user who is unknown or may not log in.
        """
        realm = self._serving().realm
        somebody = user_named(realm, user)
        if somebody.status != "active":
            raise FakeOAuthError(f"user {somebody.login} is {somebody.status} and cannot log in")
        realm.logged_in_everywhere = somebody.sub

    def logout(self) -> None:
        """Undo `login`: whoever has not logged in on the page is shown it again."""
        self._serving().realm.logged_in_everywhere = None

    @property
    def outbox(self) -> Sequence[Message]:
        """The one-time passwords that were "sent", oldest first; the latest thousand."""
        return tuple(self._serving().realm.outbox)

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
                f"used in process already, as {_IN_PROCESS}: start it before its first use, "
                "or give Settings(issuer=...)"
            )
        context = None
        if self.settings.tls:
            context, self._ca_pem = server_context(self._address[0])
        self._listener = Listener(*self._address, ssl_context=context)
        self._listener.start(self._serving())
        return self

    def stop(self) -> None:
        """Stop listening; leaves no thread and no socket. Raises what went wrong inside, if any."""
        if self._listener is None:
            return
        self._listener.stop()
        failures, self._listener.failures = self._listener.failures, []
        if failures:
            raise ExceptionGroup("defects of fake_oauth while it served", failures)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application: for test clients, or a WSGI server of one's own."""
        return self._serving()(environ, start_response)

    def handle(self, request: Request) -> Response:
        """Answer one werkzeug request; a handler for pytest-httpserver."""
        return self._serving().handle(request)

    def __repr__(self) -> str:
        return f"<FakeOAuth {'in process' if self._listener is None else self.url}>"

    def _serving(self) -> App:
        """The app, made when it is first needed: its issuer may be a port not known before."""
        with self._lock:
            if self._app is None:
                settings = self.settings
                issuer = _IN_PROCESS if self._listener is None else self._listener.url
                realm = Realm(
                    issuer=issuer if settings.issuer is None else settings.issuer,
                    clients=settings.clients,
                    users=settings.users,
                    refresh_tokens=settings.refresh_tokens,
                    auth_sources=settings.auth_sources,
                    terms=settings,
                    keys=self._keys,
                    clock=self.clock,
                    ids=Ids(self.seed, settings.ids),
                    session_seconds=settings.session_seconds,
                )
                if settings.auto_login is not None:
                    realm.logged_in_everywhere = user_named(realm, settings.auto_login).sub
                self._app = App(
                    realm,
                    self.journal,
                    compact_json=settings.compact_json,
                    cors_origins=settings.cors_origins,
                )
            return self._app
