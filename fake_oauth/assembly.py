"""The parts of a server but for its socket, put together from settings; and its script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Event, RLock
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from fake_oauth.building import check_rules, realm_of
from fake_oauth.dialects import Dialect, dialect_named
from fake_oauth.faults.barrier import Barriers
from fake_oauth.faults.kinds import rules_of
from fake_oauth.faults.rule import Rule
from fake_oauth.faults.script import Script, Standing, Step, UnusedFaultError
from fake_oauth.faults.seams import Fault, Outage
from fake_oauth.journal import Exchange, Journal
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import FakeOAuthError, Problem, SettingsError
from fake_oauth.provider.ids import fresh_seed
from fake_oauth.provider.keys import key_ring
from fake_oauth.settings import Settings
from fake_oauth.web.app import App
from fake_oauth.web.listener import Listener
from fake_oauth.web.site import Site

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# The issuer of a server that has no socket and was given none.
IN_PROCESS = "http://localhost"


class Assembly:
    """What `FakeOAuth` is made of, but for listening and for what a test does to it."""

    clock: Clock
    """The clock of everything: `advance(seconds)`, `set(moment)`, `freeze()`, `unfreeze()`."""
    settings: Settings
    """What it is made from, with the clients and users that it has now."""
    journal: Journal
    """What was asked and answered, oldest first, and why."""
    seed: int
    """What the ids are made from; the same seed makes the same ids."""

    def __init__(self, settings: Settings, watch: Callable[[Exchange], None] | None) -> None:
        if problems := settings.problems():
            raise SettingsError(problems)
        self._given = settings
        self._watch = watch
        self._lock = RLock()
        self._listener: Listener | None = None
        self._stopped = Event()
        self._begin(settings)

    @property
    def dialect(self) -> Dialect:
        """What makes it the server that it stands for."""
        return dialect_named(self.settings.dialect)

    @property
    def issuer(self) -> str:
        """The `iss` of every token: from the settings, or the URL it listens on.

        Used in process only, it is `http://localhost`.
        """
        return self._serving().realm.issuer

    def script(self, *steps: Fault | Rule) -> None:
        """Let the next requests to the token endpoint meet these faults, one after the other.

        A bare fault is for one request; a `faults.Rule` says for which ones and how many. The
        steps come after those that are there already. Raises SettingsError for a fault with wrong
        arguments, one that this transport cannot deliver, and a rule that can never apply.
        """
        self.add_rules(*rules_of(steps))

    def always(self, fault: Fault | Rule) -> Standing:
        """Let every request to the token endpoint meet a fault, until it is lifted.

        Steps of `script` come first. Returns what lifts it: `lift()`, or the end of a `with`.
        """
        if isinstance(fault, Rule) and not fault.always:
            raise FakeOAuthError(f"expected a fault or a Rule with always=True, got {fault!r}")
        (step,) = self.add_rules(*rules_of([fault], always=True))
        return Standing(self._script, step)

    def add_rules(self, rules: Sequence[Rule], problems: Sequence[Problem]) -> list[Step]:
        """Append rules to the script, unless something is wrong with one of them: SettingsError."""
        before = [step.rule for step in self._script.steps]
        check_rules(rules, problems, self.settings, before, has_socket=self._listener is not None)
        return self._script.add(rules)

    def replace_rules(self, rules: Sequence[Rule], problems: Sequence[Problem]) -> None:
        """Put other rules in the place of the script, unless something is wrong with one."""
        check_rules(rules, problems, self.settings, (), has_socket=self._listener is not None)
        self._script.replace(rules)

    @property
    def steps(self) -> Sequence[Step]:
        """The script: every step, used up or not, and then what always holds."""
        return self._script.steps

    def check_faults(self) -> None:
        """See that the script is used up. Raises UnusedFaultError, with all that came in.

        The pytest plugin does this at the end of a test that has passed so far.
        """
        if unused := self._script.unused():
            raise UnusedFaultError(unused, str(self.journal))

    def start_over(self, settings: Settings | None = None) -> None:
        """Forget all that has happened, and begin again as the settings say, or as others do.

        For a server whose address must stay; a test makes another object. Raises SettingsError.
        """
        settings = self._given if settings is None else settings
        if problems := settings.problems():
            raise SettingsError(problems)
        self._barriers.give_up("the server began again")
        self._script.clear()
        with self._lock:
            self._begin(settings)
        self._serving()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application: for test clients, or a WSGI server of one's own."""
        return self._serving()(environ, start_response)

    def handle(self, request: Request) -> Response:
        """Answer one werkzeug request; a handler for pytest-httpserver."""
        return self._serving().handle(request)

    def _begin(self, settings: Settings) -> None:
        self.settings = settings
        self._keys = key_ring([(key.read(), key.kid) for key in settings.keys])
        self.clock = Clock(settings.start_time, frozen=settings.freeze_time)
        self.journal = Journal(settings.journal_limit, self._watch)
        self.seed = fresh_seed() if settings.seed is None else settings.seed
        self._script = Script(self._begin_outage, self._end_outage)
        self._barriers = Barriers()
        self._app: App | None = None

    def _serving(self) -> App:
        """The app, made when it is first needed: its issuer may be a port not known before."""
        with self._lock:
            if self._app is None:
                settings = self.settings
                realm = realm_of(
                    settings,
                    issuer=IN_PROCESS if self._listener is None else self._listener.url,
                    keys=self._keys,
                    clock=self.clock,
                    seed=self.seed,
                )
                self.script(*settings.faults)
                dialect = self.dialect
                compact_json = settings.compact_json
                self._app = App(
                    Site(realm, dialect),
                    self.journal,
                    self._script,
                    self._barriers,
                    pause=self._pause,
                    compact_json=dialect.compact_json if compact_json is None else compact_json,
                    cors_origins=settings.cors_origins,
                )
            return self._app

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise ConnectionAbortedError("the server stops")

    def _begin_outage(self, outage: Outage) -> None:
        assert self._listener is not None, "add_rules asks for a socket"
        self._listener.shut(outage.seconds)

    def _end_outage(self) -> None:
        assert self._listener is not None, "add_rules asks for a socket"
        self._listener.open()
