"""`FakeOAuth`, the one object that a test holds: the pieces put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from werkzeug.wrappers import Request, Response

from fake_oauth.journal import Exchange, Journal
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import FakeOAuthError, SettingsError, unknown
from fake_oauth.provider.ids import Ids, fresh_seed
from fake_oauth.provider.keys import key_ring
from fake_oauth.provider.parties import Client, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.tokens import TokenSet
from fake_oauth.settings import Settings
from fake_oauth.web.app import App
from fake_oauth.web.endpoints import ENDPOINTS
from fake_oauth.web.listener import Listener

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_Party = TypeVar("_Party", Client, User)

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
        owner = _find("client", client, realm.clients)
        names = realm.users | {user.login: user for user in realm.users.values()}
        somebody = _find("user", user, names)
        scopes = list(owner.scopes) if scope is None else scope.split()
        for word in scopes:
            if word not in owner.scopes:
                hint = unknown(word, owner.scopes)
                raise FakeOAuthError(f"client {owner.client_id} may not have {word!r}, {hint}")
        return realm.issue(owner, somebody, scopes)

    def start(self) -> Self:
        """Listen, and serve in a thread. Raises OSError for an address that cannot be had."""
        if self._listener is not None:
            raise FakeOAuthError("started already; for another server make another FakeOAuth")
        if self._app is not None and self.settings.issuer is None:
            raise FakeOAuthError(
                f"used in process already, as {_IN_PROCESS}: start it before its first use, "
                "or give Settings(issuer=...)"
            )
        self._listener = Listener(*self._address)
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
                    terms=settings,
                    keys=self._keys,
                    clock=self.clock,
                    ids=Ids(self.seed, settings.ids),
                )
                self._app = App(realm, self.journal, compact_json=settings.compact_json)
            return self._app


def _find(what: str, name: str | None, named: Mapping[str, _Party]) -> _Party:
    """The party of this name, or the first one."""
    if name is None and named:
        return next(iter(named.values()))
    if name is None or name not in named:
        raise FakeOAuthError(f"no {what} {name or 'to issue for'}, {unknown(name or '', [*named])}")
    return named[name]
