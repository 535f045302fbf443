"""`FakeOAuth`: one server, in process or on a socket, and everything that a test does to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from secrets import token_hex
from threading import Event, RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from weakref import WeakSet

from fake_oauth.assembly import assemble
from fake_oauth.control import BODY_LIMIT, is_control
from fake_oauth.control.access import checked_control_token, is_loopback
from fake_oauth.dialects import Dialect, load_dialect
from fake_oauth.faults.barrier import Barrier, Barriers
from fake_oauth.faults.base import Fault, Outage, Rule, rules_of, standing
from fake_oauth.faults.script import Script, StandingFault, Step, UnusedFaultError
from fake_oauth.http.app import App
from fake_oauth.http.documents import fetch
from fake_oauth.http.endpoints import metadata
from fake_oauth.http.listener import Listener, server_context
from fake_oauth.journal import Exchange, Journal
from fake_oauth.provider import admin, device, issuing
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import FakeOAuthError, OAuthError, SettingsError
from fake_oauth.provider.ids import fresh_seed
from fake_oauth.provider.keys import KeyRing, key_ring
from fake_oauth.provider.model import Client, OneTimePassword, Resource, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.sessions import Login
from fake_oauth.provider.tokens import TokenSet
from fake_oauth.settings import Settings, rule_problems
from fake_oauth.structure import Problem, suggestion

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.wrappers import Request, Response

    from fake_oauth.behavior.assertions import ClientAssertions
    from fake_oauth.behavior.checks import Violation
    from fake_oauth.control.api import Control
    from fake_oauth.families.tree import Expiry, Families

_ONE_PROCESS: Final = (
    "fake_oauth: this WSGI server runs several processes, and each would have its own tokens. Run "
    "one process with threads, for example: gunicorn --workers 1 --threads 8"
)
# The issuer of a server that is used in process only, unless the settings have one.
_IN_PROCESS: Final = "http://localhost"
_REVOKED: Final = "revoked by the test"

STARTED: Final[WeakSet[FakeOAuth]] = WeakSet()
"""The servers that were started and still exist, for failure reports."""


class FakeOAuth:
    """A fake OAuth 2.0 / OpenID Connect server: a WSGI app, and a server in a thread.

    >>> with FakeOAuth() as server:
    ...     server.token_url.removeprefix(server.url)
    '/oauth2/token'

    All its state belongs to this one object: for a clean state, create another. Raise
    SettingsError, with every problem, for settings that cannot be used.
    """

    settings: Settings
    """Its settings, with the clients and users that it has now."""
    clock: Clock
    """The clock of tokens, expiry, and responses."""
    journal: Journal
    """What the client sent, what the server responded, and why; oldest first."""
    seed: int
    """The seed of the IDs; the same seed makes the same IDs."""
    control_token: str | None
    """What the control API requires as `Authorization: Bearer`. None on loopback, unless given."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        watch: Callable[[Exchange], None] | None = None,
        control_token: str | None = None,
    ) -> None:
        """`watch` is called with each exchange when it is answered, in the answering thread.

        `control_token` is what the control API requires. None is a new one, or none on loopback.
        """
        settings = Settings() if settings is None else settings
        if problems := settings.problems():
            raise SettingsError(problems)
        self._given = settings
        self._watch = watch
        self._host, self._port = host, port
        self._lock = RLock()
        self._listener: Listener | None = None
        self._stopped = Event()
        self._ca_pem: str | None = None
        self._control: Control | None = None
        # How often a test has changed something that is nowhere else to be seen at a glance.
        self._interventions = 0
        # In hex: a token that begins with a hyphen would be an option on a command line.
        made = None if is_loopback(host) else token_hex(16)
        self.control_token = made if control_token is None else checked_control_token(control_token)
        self._begin(settings)

    # Listening

    def start(self) -> Self:
        """Listen, and serve in a thread. Raise OSError if the address is not available."""
        if self._listener is not None:
            flaw = "is already running" if self.is_running else "was stopped"
            raise FakeOAuthError(f"this server {flaw}; create another FakeOAuth for another server")
        if self._app is not None and self.settings.issuer is None:
            raise FakeOAuthError(
                f"this server has been used in process as {_IN_PROCESS}; start it before its first "
                "use, or set Settings(issuer=...)"
            )
        context = None
        if self.settings.tls:
            context, self._ca_pem = server_context(self._host)
        self._listener = Listener(
            self._host, self._port, ssl_context=context, body_limit=BODY_LIMIT + 1
        )
        self._listener.start(self)
        self._serving()
        STARTED.add(self)
        return self

    def stop(self) -> None:
        """Stop listening, join every thread, and close every socket.

        Raise FakeOAuthError if a function of the test failed in the server, and an ExceptionGroup
        of several such errors, or of a bug of this package.
        """
        __tracebackhide__ = True
        if self._listener is None:
            return
        self._listener.require_other_thread()
        self._stopped.set()
        self._barriers.give_up("the server has stopped")
        self._listener.stop()
        failures, self._listener.failures = list(self._listener.failures), []
        if len(failures) == 1 and isinstance(failures[0], FakeOAuthError):
            raise failures[0].with_traceback(None)
        if failures:
            raise ExceptionGroup(f"{self.url}: requests failed in the server", failures)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return self._listener is not None and not self._stopped.is_set()

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:43210`."""
        if self._listener is None:
            raise FakeOAuthError(
                "this server is not listening; call start(), or use it in a with block"
            )
        return self._listener.url

    @property
    def token_url(self) -> str:
        """The URL of the token endpoint."""
        return self.url_of("token")

    @property
    def resource_url(self) -> str:
        """The URL of a protected resource that requires an access token (RFC 6750)."""
        return self.url_of("resource")

    def url_of(self, endpoint: str) -> str:
        """Return the URL of an endpoint that the dialect serves, such as `jwks`."""
        paths = self.settings.paths
        if endpoint not in paths:
            hint = suggestion(endpoint, list(paths))
            raise FakeOAuthError(
                f"the dialect {self.dialect.name} does not serve {endpoint!r}; {hint}"
            )
        return self.url + self.settings.issuer_path + paths[endpoint]

    @property
    def issuer(self) -> str:
        """The `iss` of every token: from the settings, or the URL it listens on.

        In process, without a socket, it is `http://localhost`.
        """
        return self._realm.issuer

    @property
    def dialect(self) -> Dialect:
        """The dialect: what it does as one particular kind of server."""
        return load_dialect(self.settings.dialect)

    def metadata(self) -> dict[str, Any]:
        """Return the members of the metadata document (OpenID Connect Discovery 1.0, RFC 8414)."""
        return metadata(self._realm)

    @property
    def ca_pem(self) -> str:
        """The certificate, as PEM, that an HTTPS client must trust."""
        if self._ca_pem is None:
            raise FakeOAuthError("no certificate; start the server with Settings(tls=True)")
        return self._ca_pem

    # WSGI

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve as a WSGI application, for test clients and other WSGI servers.

        A server with several processes gets an error: each process would have its own tokens.
        """
        if environ.get("wsgi.multiprocess"):
            body = f"{_ONE_PROCESS}\n".encode()
            length = ("Content-Length", str(len(body)))
            start_response(
                "500 Internal Server Error", [("Content-Type", "text/plain;charset=UTF-8"), length]
            )
            return [body]
        if self.settings.control and is_control(environ.get("PATH_INFO", "")):
            from werkzeug.wrappers import Request  # most tests ask only the endpoints

            return self.handle(Request(environ))(environ, start_response)
        return self._serving()(environ, start_response)

    def handle(self, request: Request) -> Response:
        """Respond to one werkzeug request: a handler for pytest-httpserver."""
        if self.settings.control and is_control(request.path):
            return self._controlled().handle(request)
        return self._serving().handle(request)

    # Tokens and logins

    def issue_tokens(
        self,
        user: str | None = None,
        client: str | None = None,
        scope: str | None = None,
        *,
        dpop_jkt: str | None = None,
    ) -> TokenSet:
        """Return tokens, as if `user` had just logged in at `client`.

        Pass a username or sub, a client_id, and scopes separated by spaces. Defaults: the first
        user, the first client, and every scope of the client. `dpop_jkt` is the thumbprint of the
        key that the tokens are bound to (RFC 9449 section 6). Raise FakeOAuthError for an unknown
        name.
        """
        realm = self._realm
        owner = realm.client(client)
        grant = issuing.log_in(realm, owner, realm.user(user), realm.named_scopes(owner, scope))
        return issuing.first_tokens(realm, grant, jkt=dpop_jkt).tokens

    def issue_code(
        self,
        user: str | None = None,
        client: str | None = None,
        scope: str | None = None,
        *,
        redirect_uri: str | None = None,
        code_challenge: str | None = None,
        nonce: str | None = None,
        dpop_jkt: str | None = None,
    ) -> str:
        """Return an authorization code, as if `user` had just logged in at `client` on the page.

        The defaults are those of `issue_tokens`. The other arguments are parameters of the
        authorization request; None is a parameter that it did not have. The `code_challenge` is of
        method S256 (RFC 7636 section 4.2). `dpop_jkt` is the thumbprint of the key that the code is
        bound to (RFC 9449 section 10).
        """
        realm = self._realm
        owner = realm.client(client)
        grant = issuing.log_in(realm, owner, realm.user(user), realm.named_scopes(owner, scope))
        return issuing.new_code(
            realm,
            grant,
            redirect_uri=redirect_uri,
            code_challenge=code_challenge,
            nonce=nonce,
            jkt=dpop_jkt,
        )

    def approve_device(self, user_code: str, user: str | None = None) -> None:
        """Allow the device that shows a user code, as if `user` had done it on the page.

        The default is the first user. Raise FakeOAuthError for a user who is unknown or not active,
        and for a user code that is unknown, expired, or decided already.
        """
        self._require_devices("approve_device")
        realm = self._realm
        found = self._active_user("approve_device", user)
        self._decide("approve_device", lambda: device.allow(realm, user_code, found))

    def deny_device(self, user_code: str) -> None:
        """Deny the device that shows a user code, as if a user had done it on the page.

        Raise FakeOAuthError as `approve_device` does.
        """
        self._require_devices("deny_device")
        realm = self._realm
        self._decide("deny_device", lambda: device.deny(realm, user_code))

    def login(self, user: str | None = None) -> None:
        """Treat every browser as logged in as `user`, so that no login page is shown.

        Raise FakeOAuthError for a user who is unknown or not active.
        """
        found = self._active_user("login", user)
        self._realm.logged_in_everywhere = Login(found.sub, self.clock.now())

    def logout(self) -> None:
        """End what `login` began: browsers without a session of their own see the login page."""
        self._realm.logged_in_everywhere = None

    @property
    def logged_in_user(self) -> User | None:
        """The active user whom `login` or `auto_login` has logged in in every browser."""
        realm = self._realm
        with realm.lock:
            login = realm.logged_in_everywhere
            user = None if login is None else realm.users.get(login.sub)
        return None if user is None or user.status != "active" else user

    @property
    def outbox(self) -> Sequence[OneTimePassword]:
        """The one-time passwords that were "sent", oldest first; the latest 1,000."""
        return tuple(self._realm.outbox)

    @property
    def resource(self) -> Resource:
        """The protected resource: its `calls`, its `scope`, its `skew_seconds`."""
        return self._realm.resources.first

    @property
    def resources(self) -> Mapping[str, Resource]:
        """The protected resources by identifier: `resource`, and those of the settings."""
        return {resource.identifier: resource for resource in self._realm.resources}

    @property
    def keys(self) -> KeyRing:
        """The keys: `signing`, `next` for after a rotation, and `former`, None without one."""
        return self._realm.keys

    def rotate_keys(self, *, keep_old: bool = True) -> str:
        """Sign with another key from now on. Return its `kid`.

        The old key stays in the JWK Set until the next rotation. Without `keep_old`, it is removed
        now.
        """
        realm = self._realm
        with realm.lock:
            realm.keys = realm.keys.rotated(keep_old=keep_old)
            return realm.keys.signing.kid

    def families(self, latest: int | None = None, *, tokens: int | None = None) -> Families:
        """Return the token families, the latest login first.

        `latest` is how many at most, and `tokens` how many tokens of each. A family is one login:
        its codes and tokens, with their states, the requests that presented them, and the token
        that led to each. Its text is the tree, with one line for each token.
        """
        from fake_oauth.families.reading import families  # most tests look at no tree

        return families(self._realm, self.journal, latest, tokens=tokens)

    @property
    def next_expiry(self) -> Expiry | None:
        """The active access or refresh token that expires next: its name as `token`, and when as
        `at`. Codes are left out."""
        from fake_oauth.families.reading import next_expiry

        return next_expiry(self._realm)

    # What happens behind the client's back

    def expire(self, token: str) -> None:
        """Expire a token immediately, whatever its lifetime.

        Pass a refresh token, a code, a device code, an access token, or its name in the journal,
        such as `alice/1 r2`. The JWT of an access token does not change. Raise FakeOAuthError for
        an unknown token.
        """
        admin.expire(self._realm, token)
        self._interventions += 1

    def revoke(self, token: str) -> None:
        """Revoke a token, passed as in `expire`; a refresh token with its whole family."""
        admin.revoke(self._realm, token, _REVOKED)
        self._interventions += 1

    def revoke_user(self, user: str) -> None:
        """Revoke every token and code of a user, and end the user's sessions.

        Pass a username or sub. The user can log in again. Raise FakeOAuthError for an unknown user.
        """
        realm = self._realm
        admin.revoke_user(realm, realm.user(user), _REVOKED)
        self._interventions += 1

    def freeze_user(self, user: str) -> None:
        """Block a user from logging in and refreshing until `unfreeze_user` is called."""
        self._set_status(user, "frozen")

    def unfreeze_user(self, user: str) -> None:
        """Set the status of a user to `active`, whether frozen or locked."""
        self._set_status(user, "active")

    def delete_user(self, user: str) -> None:
        """Delete a user. The server refuses the user's refresh tokens and codes, and userinfo."""
        realm = self._realm
        with realm.lock:
            deleted = realm.user(user)
            self.replace_users([other for other in self.settings.users if other != deleted])

    def replace_clients(self, clients: Sequence[Client]) -> None:
        """Replace the clients. The server refuses requests of clients that are removed.

        Clients that registered themselves stay; `forget_client` forgets one. Raise SettingsError
        if a client has a problem, or if a step of the script needs a client that is removed.
        """
        self._replace(clients=tuple(clients))

    @property
    def registered_clients(self) -> Sequence[Client]:
        """The clients that are known now and are not in the settings, oldest first.

        They registered themselves, or a document described them for an authorization request.
        """
        return self._realm.clients.registered()

    def forget_client(self, client_id: str) -> None:
        """Forget a client that registered itself. It gets `invalid_client` from now on.

        Raise FakeOAuthError for a client that is unknown, or in the settings.
        """
        realm = self._realm
        if client_id in realm.clients.configured:
            raise FakeOAuthError(
                f"forget_client: client {client_id!r} is in the settings; call replace_clients"
            )
        if client_id not in realm.clients:
            known = [client.client_id for client in realm.clients.registered()]
            hint = suggestion(client_id, known) if known else "no client has registered"
            raise FakeOAuthError(f"forget_client: unknown client {client_id!r}; {hint}")
        realm.forget_client(client_id, "its registration was forgotten")
        self._interventions += 1

    def replace_users(self, users: Sequence[User]) -> None:
        """Replace the users. The server refuses refresh tokens and codes of those that are removed.

        Raise SettingsError if a user has a problem.
        """
        self._replace(users=tuple(users))

    def reset(self, settings: Settings | None = None) -> None:
        """Reset the server to its initial settings, or to `settings` if given.

        This is for a server that must keep its address; otherwise create another object. Raise
        SettingsError for settings that cannot be used, and for another `tls` than that of a
        running server.
        """
        settings = self._given if settings is None else settings
        problems = settings.problems() or self._script_problems(settings)
        if self._listener is not None and settings.tls != self.settings.tls:
            message = "a running server cannot change it; stop the server first"
            problems = [*problems, Problem("$.tls", message)]
        if problems:
            raise SettingsError(problems)
        self._barriers.give_up("the server was reset")
        self._script.clear()
        with self._lock:
            self._begin(settings)
        self._serving()

    def reload(self, settings: Settings) -> None:
        """Reset the server to other settings, to which `reset` returns from now on.

        Raise SettingsError as `reset` does.
        """
        self.reset(settings)
        self._given = settings

    # Faults

    def script(self, *steps: Fault | Rule) -> None:
        """Script faults for the next requests, in order, after the steps that are there already.

        A bare fault applies to one request to the token endpoint. Use `faults.Rule` to choose which
        requests, and how many. Raise SettingsError for a fault with a problem, for one that the
        transport cannot deliver, and for a rule that can never apply.
        """
        self._add(steps)

    def replace_script(self, *steps: Fault | Rule) -> None:
        """Replace the whole script. Raise SettingsError as `script` does, and change nothing."""
        self._script.replace(self._rules(steps, before=()))

    def always(self, fault: Fault | Rule) -> StandingFault:
        """Apply a fault to every request of the token endpoint, or of a `Rule`, until it is lifted.

        Steps of `script` take precedence. Return an object with `lift()`, which is also a context
        manager.
        """
        (step,) = self._add([standing(fault)])
        return StandingFault(self._script, step)

    @property
    def steps(self) -> Sequence[Step]:
        """The script: every step, used or not, and then the standing faults."""
        return self._script.steps

    def assert_script_used(self) -> None:
        """Raise UnusedFaultError, with the journal, if a step of the script was not used.

        The pytest plugin calls this at the end of each test that has passed so far.
        """
        self._serving()  # The script of the settings begins.
        if unused := self._script.unused():
            raise UnusedFaultError(unused, self.journal.transcript(30))

    def barrier(
        self,
        n: int,
        *,
        order: Sequence[int] | None = None,
        timeout_seconds: float = 5,
        endpoint: str = "token",
        grant_type: str | None = None,
        client_id: str | None = None,
        when: Callable[[Exchange], bool] | None = None,
    ) -> Barrier:
        """Hold the next `n` requests until all have arrived, then serve them one by one.

        Use it in a `with` or an `async with`. `order` says which arrival is served first, which
        second: `[2, 0, 1]`; the default is the order of arrival. The other arguments select
        requests as those of `faults.Rule` do. The end of the block waits until all are served. It
        raises BarrierError if they do not arrive within `timeout_seconds` of real time, or if
        serving one takes longer than that. Raise SettingsError for requests that can never arrive.
        """
        from fake_oauth.faults.refusals import Pass  # most tests script no fault

        rule = Rule(
            Pass(), endpoint=endpoint, grant_type=grant_type, client_id=client_id, when=when
        )
        problems = [
            Problem(problem.path.replace("faults[0]", "barrier"), problem.message)
            for problem in rule_problems([rule], self.settings, registered=self._registered())
        ]
        if problems:
            raise SettingsError(problems)
        return Barrier(rule, n, order, timeout_seconds, barriers=self._barriers)

    # Judging the client

    @property
    def assert_client(self) -> ClientAssertions:
        """Assertions about the client, over everything that the journal has."""
        from fake_oauth.behavior.assertions import ClientAssertions  # loaded when first needed

        return ClientAssertions(self.journal)

    def violations(self) -> list[Violation]:
        """Return what the client did wrong, as far as the journal shows it, in order."""
        from fake_oauth.behavior.checks import violations  # loaded when first needed

        return violations(self.journal)

    # Internals

    @property
    def _realm(self) -> Realm:
        return self._serving().realm

    def _active_user(self, method: str, name: str | None) -> User:
        found = self._realm.user(name)
        if found.status != "active":
            raise FakeOAuthError(
                f"{method}: user {found.login_name!r} is {found.status}; call unfreeze_user first"
            )
        return found

    def _require_devices(self, method: str) -> None:
        if "device_authorization" not in self.settings.paths:
            raise FakeOAuthError(f"{method}: the dialect {self.dialect.name} authorizes no devices")

    def _decide(self, method: str, decide: Callable[[], object]) -> None:
        try:
            decide()
            self._interventions += 1
        except OAuthError as error:
            hint = "pass the user_code of a device authorization response, once"
            raise FakeOAuthError(f"{method}: {error.reason}; {hint}") from None

    def _controlled(self) -> Control:
        """Return the control API. It is made when first needed: most tests use only endpoints."""
        from fake_oauth.control.api import Control

        with self._lock:
            if self._control is None:
                self._control = Control(self, self._facts)
            return self._control

    def _facts(self) -> object:
        """Return a value that is another one after each change, except that of an exchange."""
        realm = self._realm
        return (
            self.settings,
            self.clock.setting,
            self.steps,
            realm.keys,
            realm.store.opened,
            realm.logged_in_everywhere,
            self._interventions,
            self.journal,
        )

    def _begin(self, settings: Settings) -> None:
        """Set the state that `reset` replaces."""
        self.settings = settings
        self._keys = key_ring([key.read() for key in settings.keys])
        self.clock = Clock(settings.start_time, frozen=settings.freeze_time)
        self.journal = Journal(settings.journal_limit, settings.journal_bytes, self._watch)
        self.seed = fresh_seed() if settings.seed is None else settings.seed
        self._script = Script(self._begin_outage, self._end_outage)
        self._barriers = Barriers()
        self._app: App | None = None

    def _serving(self) -> App:
        """Return the app. It is made when first needed, because the issuer may need the port."""
        with self._lock:
            if self._app is None:
                self._app = self._make_app()
            return self._app

    def _make_app(self) -> App:
        settings, dialect = self.settings, self.dialect
        realm = assemble(
            settings,
            dialect,
            self._issuer(),
            keys=self._keys,
            clock=self.clock,
            seed=self.seed,
            fetch=partial(fetch, is_stopping=self._stopped.is_set),
        )
        self._script.begin(self._rules(settings.faults, ()))
        return App(
            realm,
            self.journal,
            self._script,
            self._barriers,
            pause=self._pause,
            write_json=dialect.json_writer(compact=settings.compact_json),
            cors_origins=settings.cors_origins,
        )

    def _issuer(self) -> str:
        issuer = self.settings.issuer
        if issuer is None:
            url = _IN_PROCESS if self._listener is None else self._listener.url
            return url + self.dialect.issuer_path
        if "{port}" in issuer:
            if self._listener is None:
                raise FakeOAuthError(
                    f"issuer {issuer}: {{port}} is known once the server listens; call start()"
                )
            return issuer.replace("{port}", str(self._listener.port))
        return issuer

    def _replace(self, **parties: Any) -> None:
        realm = self._realm
        with realm.lock:
            changed = self.settings.changed(**parties)
            rules = [step.rest for step in self.steps if step.rest is not None]
            # What the settings preconfigured exists already.
            checked = changed.changed(
                refresh_tokens=(), auto_login=None, faults=(), trusted_issuers=()
            )
            scripted = rule_problems(rules, changed, registered=self._registered())
            if problems := [*checked.problems(), *scripted]:
                raise SettingsError(problems)
            realm.replace_clients(changed.clients)
            realm.replace_users(changed.users)
            self.settings = changed

    def _set_status(self, name: str, status: Literal["active", "frozen"]) -> None:
        realm = self._realm
        with realm.lock:
            changed = realm.user(name)
            self.replace_users(
                [
                    replace(user, status=status) if user == changed else user
                    for user in self.settings.users
                ]
            )

    def _add(self, steps: Sequence[Fault | Rule]) -> list[Step]:
        before = [step.rule for step in self._script.steps]
        return self._script.add(self._rules(steps, before))

    def _script_problems(self, settings: Settings) -> list[Problem]:
        """Return the problems that only a server has with the script of its settings."""
        rules, _ = rules_of(settings.faults)
        return list(rule_problems(rules, settings, has_socket=self._listener is not None))

    def _rules(self, steps: Sequence[Fault | Rule], before: Sequence[Rule]) -> list[Rule]:
        """Return checked rules. Raise SettingsError with every problem."""
        rules, problems = rules_of(steps)
        problems = problems or list(
            rule_problems(
                rules,
                self.settings,
                standing=[rule for rule in before if rule.is_standing],
                has_socket=self._listener is not None,
                registered=self._registered(),
            )
        )
        if problems:
            raise SettingsError(problems)
        return rules

    def _registered(self) -> list[str]:
        """Return the client_ids of the clients that registered themselves so far."""
        with self._lock:
            clients = () if self._app is None else self._app.realm.clients.registered()
        return [client.client_id for client in clients]

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise ConnectionAbortedError("the server stops")

    def _begin_outage(self, outage: Outage) -> None:
        assert self._listener is not None, "rule_problems requires a socket"
        self._listener.shut(outage.seconds)

    def _end_outage(self) -> None:
        assert self._listener is not None, "rule_problems requires a socket"
        self._listener.open()

    def respond_to_malformed(self, status: int, reason: str) -> Any:
        """Respond to bytes on the socket that are not an HTTP request."""
        return self._serving().respond_to_malformed(status, reason)

    def __repr__(self) -> str:
        return f"<FakeOAuth {'in process' if self._listener is None else self.url}>"
