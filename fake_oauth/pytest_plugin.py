"""The pytest plugin: `oauth_server`, a new server on a free port for each test.

pytest loads this module in every run of its environment. So it imports nothing but pytest until a
fixture is used, and it adds nothing to the command line.

A test that fails gets the journals of its servers in its report. A test that would pass fails if
the script of one of its servers was not used, or if its client misbehaved and the project asks for
that. `FakeOAuth` objects that a test creates itself are reported too, but not checked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from fake_oauth.server import FakeOAuth
    from fake_oauth.settings import Settings

_SETTINGS: Final = "oauth_server_settings"
_HOST: Final = "oauth_server_host"
_PORT: Final = "oauth_server_port"
_VIOLATIONS: Final = "oauth_server_violations"
_UNUSED_ALLOWED: Final = "allow_unused_faults"
_VIOLATIONS_ALLOWED: Final = "allow_violations"
_CONTRACT: Final = "fake_oauth.contract"
_PACKAGE: Final = Path(__file__).parent
_LOOPBACK: Final = "127.0.0.1"
# How many exchanges of each server a report shows.
_SHOWN: Final = 30
# Settings that a running server cannot change.
_FIXED: Final = ("tls",)

_SERVERS: Final[pytest.StashKey[list[FakeOAuth]]] = pytest.StashKey()
"""The servers of a test's fixtures."""
_BEFORE: Final[pytest.StashKey[dict[FakeOAuth, int]]] = pytest.StashKey()
"""The servers that existed before the test, with the number of requests that had arrived."""
_HAS_PASSED: Final[pytest.StashKey[bool]] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Register the options of the contract's tests, if the command line names these tests.

    They are in the tests' own conftest.py, which pytest loads too late if it finds the tests by the
    name of their package (`--pyargs`).
    """
    if any(argument.startswith(_CONTRACT) for argument in args):
        # By name: the plugin itself does not depend on the contract.
        conftest = import_module(f"{_CONTRACT}.conftest")
        early_config.pluginmanager.register(conftest, str(conftest.__file__))


def pytest_addoption(parser: pytest.Parser) -> None:
    def add(name: str, description: str, default: str) -> None:
        parser.addini(name, f"fake_oauth: {description}", default=default)

    add(_SETTINGS, "TOML file with the settings of the servers", "")
    add(_HOST, "address of the server that the session shares", _LOOPBACK)
    add(_PORT, "port of the server that the session shares; 0 is any free port", "0")
    add(
        _VIOLATIONS,
        "'report' shows violations of the client in the reports of failed tests; 'error' also "
        "fails tests for them",
        "report",
    )


def pytest_configure(config: pytest.Config) -> None:
    def add(marker: str, description: str) -> None:
        config.addinivalue_line("markers", f"{marker}: {description}")

    add(
        "oauth_server(**changes)",
        "change settings of this test's servers, by field of fake_oauth.Settings; the nearest "
        "marker takes precedence",
    )
    add(_UNUSED_ALLOWED, "let the test pass although scripted faults were not used")
    add(
        _VIOLATIONS_ALLOWED,
        f"let the test pass although the client misbehaved, if {_VIOLATIONS} is error",
    )
    if (value := config.getini(_VIOLATIONS)) not in ("report", "error"):
        raise pytest.UsageError(f"{_VIOLATIONS}: expected report or error, got {value!r}")
    port = config.getini(_PORT)
    if not (port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
        raise pytest.UsageError(f"{_PORT}: expected 0 to 65535, got {port!r}")


@pytest.fixture(scope="session")
def oauth_settings(pytestconfig: pytest.Config) -> Settings:
    """Return the settings that servers start from. Override this fixture to use others.

    By default they are those of the documentation, or those in the file that the ini option
    `oauth_server_settings` names, relative to the ini file.
    """
    from fake_oauth.settings import Settings

    name = pytestconfig.getini(_SETTINGS)
    if not name:
        return Settings()
    inipath = pytestconfig.inipath
    folder = pytestconfig.rootpath if inipath is None else inipath.parent
    with _one_message():
        return Settings.from_toml(folder / name)


@pytest.fixture
def make_oauth_server(
    request: pytest.FixtureRequest, oauth_settings: Settings
) -> Iterator[Callable[..., FakeOAuth]]:
    """Return a function that starts another server for this test.

    `make_oauth_server(settings=None, *, host="127.0.0.1", port=0, **changes)` starts from
    `settings`, or from `oauth_settings` and the test's markers. `changes` are fields of `Settings`.
    The seeds are 0, 1, … unless they are set. The servers stop when the test ends. Raise
    SettingsError for settings that cannot be used, and OSError for a port that is in use.
    """
    from fake_oauth.provider.errors import FakeOAuthError
    from fake_oauth.server import FakeOAuth

    servers = request.node.stash.setdefault(_SERVERS, [])
    own: list[FakeOAuth] = []
    with ExitStack() as stack:

        def make(
            settings: Settings | None = None,
            *,
            host: str = _LOOPBACK,
            port: int = 0,
            **changes: Any,
        ) -> FakeOAuth:
            __tracebackhide__ = True
            if settings is None:
                settings, changes = oauth_settings, _marked(request) | changes
            if settings.seed is None:
                changes = {"seed": len(own)} | changes
            try:
                server = FakeOAuth(settings.changed(**changes), host=host, port=port).start()
            except (FakeOAuthError, OSError) as error:
                # The test's own line is the place of the error, and none of this package's.
                raise error.with_traceback(None) from None
            stack.callback(server.stop)
            own.append(server)
            servers.append(server)
            return server

        yield make
    _check(request, own)


@pytest.fixture
def oauth_server(make_oauth_server: Callable[..., FakeOAuth]) -> FakeOAuth:
    """Provide a fake OAuth server for this test alone, on a free port."""
    with _one_message():
        return make_oauth_server()


@pytest.fixture(scope="session")
def session_oauth_server(
    pytestconfig: pytest.Config, oauth_settings: Settings
) -> Iterator[FakeOAuth]:
    """Provide one fake OAuth server for the whole session, for fixtures that need its address.

    The ini options `oauth_server_host` and `oauth_server_port` set the address. Every test that
    uses it, directly or by another fixture, gets it as `shared_oauth_server` does: reset, checked,
    and reported.
    """
    from fake_oauth.server import FakeOAuth

    host, port = pytestconfig.getini(_HOST), int(pytestconfig.getini(_PORT))
    with _one_message():
        server = FakeOAuth(oauth_settings, host=host, port=port).start()
    yield server
    server.stop()


@pytest.fixture
def shared_oauth_server(
    request: pytest.FixtureRequest, oauth_settings: Settings, session_oauth_server: FakeOAuth
) -> Iterator[FakeOAuth]:
    """Provide the server of the session, reset for this test.

    Its address stays the same. Its settings, clock, journal, and script are new; markers, checks,
    and reports work as for `oauth_server`.
    """
    changes = _marked(request)
    for name in _FIXED:
        if changes.get(name, getattr(oauth_settings, name)) != getattr(oauth_settings, name):
            pytest.fail(
                f"@pytest.mark.oauth_server: {name} of a shared server cannot change; set it in "
                "oauth_settings, or use oauth_server",
                pytrace=False,
            )
    if oauth_settings.seed is None:
        changes = {"seed": 0} | changes
    with _one_message():
        session_oauth_server.reset(oauth_settings.changed(**changes))
    request.node.stash.setdefault(_SERVERS, []).append(session_oauth_server)
    yield session_oauth_server
    _check(request, [session_oauth_server])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a test that reaches the server of the session get it reset, checked, and reported.

    Note what had arrived at which server before, so that its report leaves that out.
    """
    names = getattr(item, "fixturenames", [])
    if "session_oauth_server" in names and "shared_oauth_server" not in names:
        names.append("shared_oauth_server")
    item.stash[_BEFORE] = {server: _arrived(server) for server in _started()}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the journals to the report of a test that failed."""
    if call.excinfo is not None:
        _hide_package(call.excinfo)
    report = yield
    if report.when == "call":
        item.stash[_HAS_PASSED] = report.passed
    if report.failed:
        message = "" if call.excinfo is None else str(call.excinfo.value)
        for server, before in _servers(item):
            # Of a server that another test left running, only what is new.
            is_used = server in getattr(item, "funcargs", {}).values()
            new = _SHOWN if is_used else _arrived(server) - before
            shown = server.journal.transcript(min(_SHOWN, new)) or "no request arrived"
            # The message of an assertion about the client has the transcript already.
            if shown not in message:
                _add_section(report, f"fake_oauth {server.url}", shown)
            found = [str(found) for found in server.violations() if found.number > before]
            if unsaid := [text for text in found if text not in message]:
                _add_section(report, f"violations of the client of {server.url}", "\n".join(unsaid))
    return report


def _hide_package(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Show no frame of this package for an error that tells people what to do.

    Its place is the line of the test; `pytest --full-trace` shows every frame.
    """

    def is_for_people(shown: pytest.ExceptionInfo[BaseException]) -> bool:
        module = sys.modules.get("fake_oauth.provider.errors")
        return module is not None and isinstance(shown.value, module.FakeOAuthError)

    for entry in excinfo.traceback:
        if Path(entry.path).is_relative_to(_PACKAGE):
            # pytest asks each frame, and then the module of the frame.
            entry.frame.f_globals["__tracebackhide__"] = is_for_people


def _servers(item: pytest.Item) -> list[tuple[FakeOAuth, int]]:
    """Return the servers of a test, and how many requests had arrived before it.

    They are those of its fixtures, those that it started itself, and older ones that it has used.
    """
    known = item.stash.get(_SERVERS, list[Any]())
    before = item.stash.get(_BEFORE, dict[Any, int]())
    used = list(getattr(item, "funcargs", {}).values())
    others = [
        (server, before.get(server, 0))
        for server in sorted(set(_started()) - set(known), key=lambda server: server.url)
        if server not in before or _arrived(server) > before[server] or server in used
    ]
    return [*((server, 0) for server in known), *others]


def _arrived(server: FakeOAuth) -> int:
    """Return how many requests have arrived at a server."""
    return server.journal.forgotten + len(server.journal)


def _started() -> Iterable[FakeOAuth]:
    """Return the servers that were started, without importing what no test has used."""
    module = sys.modules.get("fake_oauth.server")
    return () if module is None else tuple(module.STARTED)


def _add_section(report: pytest.TestReport, title: str, text: str) -> None:
    """Add a section to the failure itself, which is what JUnit XML shows as well."""
    failure: Any = report.longrepr
    if hasattr(failure, "addsection"):
        failure.addsection(title, text)
    else:
        report.longrepr = f"{failure}\n{f' {title} ':-^80}\n{text}"


def _check(request: pytest.FixtureRequest, servers: Iterable[FakeOAuth]) -> None:
    """Fail a test that would pass, if a script was not used or if a client misbehaved."""
    if request.node.stash.get(_HAS_PASSED, False):
        checks: list[tuple[str, Callable[[FakeOAuth], str | None]]] = [(_UNUSED_ALLOWED, _unused)]
        if request.config.getini(_VIOLATIONS) == "error":
            checks.append((_VIOLATIONS_ALLOWED, _misbehaved))
        problems = [
            f"{server.url}: {problem}\n(to allow this, mark the test with @pytest.mark.{marker})"
            for marker, check in checks
            if request.node.get_closest_marker(marker) is None
            for server in servers
            if (problem := check(server)) is not None
        ]
        if problems:
            pytest.fail("\n".join(problems), pytrace=False)


def _unused(server: FakeOAuth) -> str | None:
    """Return the steps of a script that were not used, if there are any."""
    from fake_oauth.faults.script import UnusedFaultError

    try:
        server.assert_script_used()
    except UnusedFaultError as error:
        return "\n  ".join(["the script has unused or ineffective steps:", *error.faults])
    return None


def _misbehaved(server: FakeOAuth) -> str | None:
    """Return the violations of a server's client, if there are any."""
    found = server.violations()
    return "\n  ".join(["the client misbehaved:", *map(str, found)]) if found else None


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the changes that the test's markers ask for; the nearest marker takes precedence."""
    changes: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("oauth_server"))):
        if marker.args:
            pytest.fail(
                f"@pytest.mark.oauth_server: expected fields of Settings by name, such as "
                f"oauth_server(seed=1), got {marker.args[0]!r}",
                pytrace=False,
            )
        changes |= marker.kwargs
    return changes


@contextmanager
def _one_message() -> Iterator[None]:
    """Fail the test with a message, and no traceback, if a server cannot start in this block."""
    try:
        yield
    except Exception as error:
        from fake_oauth.provider.errors import FakeOAuthError

        if isinstance(error, FakeOAuthError | OSError):
            message = f"oauth_server cannot start:\n{error}"
            raise pytest.fail.Exception(message, pytrace=False) from None
        raise
