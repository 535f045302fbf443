"""The pytest plugin: `oauth_server`, a fresh server on a fresh port for every test.

It is loaded in every pytest run of its environment, so nothing but pytest is imported here
before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from fake_oauth.fake import FakeOAuth
    from fake_oauth.settings import Settings

_T = TypeVar("_T")

_INI = "oauth_server_settings"
_SERVERS: pytest.StashKey[list[FakeOAuth]] = pytest.StashKey()
_HAS_PASSED: pytest.StashKey[bool] = pytest.StashKey()
_UNUSED_ALLOWED = "allow_unused_faults"
_MISBEHAVIOUR = "oauth_server_misbehaviour"
_MISBEHAVIOUR_ALLOWED = "allow_misbehaviour"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fake_oauth", "the contract of fake_oauth, held against a server")
    group.addoption("--oauth-url", metavar="URL", help="the server; three fakes unless given")
    for name in ("client-id", "client-secret", "refresh-token"):
        group.addoption(f"--oauth-{name}", metavar="VALUE")
    group.addoption("--oauth-value", action="append", default=[], metavar="NAME=VALUE")
    for name, metavar, told in (
        ("settings", "FILE", "settings to take values from"),
        ("ca-file", "FILE", "a certificate to trust"),
        ("pages", "FOLDER", "other pages than the documented ones"),
    ):
        group.addoption(f"--oauth-{name}", metavar=metavar, type=Path, help=told)
    group.addoption("--oauth-dialect", metavar="NAME", help="whose pages: ciam or rfc")
    group.addoption(
        "--oauth-page",
        action="append",
        default=[],
        metavar="NAME",
        help="only this page, or those like 'pkce.*'; the server is taken to be set up for it",
    )
    group.addoption("--oauth-level", choices=("strict", "loose"))
    group.addoption("--oauth-spend", action="store_true", help="run what uses something up")
    group.addoption("--oauth-control-token", metavar="TOKEN", help="what steers a fake elsewhere")
    group.addoption("--oauth-timeout", metavar="SECONDS", type=float, default=10.0)
    parser.addini(_INI, "TOML file with the settings of oauth_server (fake_oauth)", default="")
    parser.addini(
        _MISBEHAVIOUR,
        "what becomes of what a client does wrong (fake_oauth): report, in tests that fail; or "
        "error, which lets a test fail",
        default="report",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "oauth_server(**changes): settings of this test's oauth_server, by field of "
        "fake_oauth.Settings; the nearest marker wins",
    )
    config.addinivalue_line(
        "markers", f"{_UNUSED_ALLOWED}: let a test end with scripted faults that no request met"
    )
    config.addinivalue_line(
        "markers",
        f"{_MISBEHAVIOUR_ALLOWED}: let a test end though its client did wrong, where "
        f"{_MISBEHAVIOUR} is error",
    )
    if (told := config.getini(_MISBEHAVIOUR)) not in ("report", "error"):
        raise pytest.UsageError(f"{_MISBEHAVIOUR}: expected report or error, got {told!r}")


@pytest.fixture
def oauth_settings(pytestconfig: pytest.Config) -> Settings:
    """What `oauth_server` is made from; override it to have other settings.

    The documentation's own client, user and token, or what the file says that is named by the
    ini option `oauth_server_settings` (relative to the ini file).
    """
    from fake_oauth.settings import Settings

    name = pytestconfig.getini(_INI)
    if not name:
        return Settings()
    inipath = pytestconfig.inipath
    folder = pytestconfig.rootpath if inipath is None else inipath.parent
    return _told(lambda: Settings.from_toml(folder / name))


@pytest.fixture
def make_oauth_server(
    request: pytest.FixtureRequest, oauth_settings: Settings
) -> Iterator[Callable[..., FakeOAuth]]:
    """A function that makes one more server: `make_oauth_server(settings=None, **changes)`.

    It starts from `settings`, or from `oauth_settings` and the test's markers; `changes` are
    fields of `Settings`. The seeds are 0, 1, … unless given. All servers stop with the test, and
    a test that has passed fails for what is left of their scripts.
    """
    from fake_oauth.fake import FakeOAuth

    servers = request.node.stash.setdefault(_SERVERS, [])
    with ExitStack() as stack:

        def make(settings: Settings | None = None, **changes: Any) -> FakeOAuth:
            if settings is None:
                settings = oauth_settings
                changes = _marked(request) | changes
            if settings.seed is None:
                changes = {"seed": len(servers)} | changes
            server = _told(lambda: FakeOAuth(settings.changed(**changes)))
            servers.append(stack.enter_context(server))
            return server

        yield make
        if request.node.stash.get(_HAS_PASSED, False):
            for server in servers:
                _check_faults(request, server)
                _check_behaviour(request, server)


@pytest.fixture
def oauth_server(make_oauth_server: Callable[..., FakeOAuth]) -> FakeOAuth:
    """A fake OAuth server for this test alone, listening on a port of its own."""
    return make_oauth_server()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the servers were asked and answered to the report of a test that failed."""
    report = yield
    if report.when == "call":
        item.stash[_HAS_PASSED] = report.passed
    if report.failed:
        for server in item.stash.get(_SERVERS, []):
            transcript = str(server.journal) or "no request arrived"
            report.sections.append((f"fake_oauth {server.url}", transcript))
            if found := "\n".join(map(str, server.misbehaviour())):
                report.sections.append(("what the client did wrong", found))
    return report


def _check_faults(request: pytest.FixtureRequest, server: FakeOAuth) -> None:
    from fake_oauth.faults.script import UnusedFaultError

    if request.node.get_closest_marker(_UNUSED_ALLOWED) is None:
        try:
            server.check_faults()
        except UnusedFaultError as error:
            unused = "\n".join(f"  {fault}" for fault in error.faults)
            pytest.fail(
                f"the script of {server.url} was not used up:\n{unused}\n"
                f"(@pytest.mark.{_UNUSED_ALLOWED} lets a test end like this)",
                pytrace=False,
            )


def _check_behaviour(request: pytest.FixtureRequest, server: FakeOAuth) -> None:
    if request.config.getini(_MISBEHAVIOUR) == "report":
        return
    found = "\n".join(f"  {finding}" for finding in server.misbehaviour())
    if found and request.node.get_closest_marker(_MISBEHAVIOUR_ALLOWED) is None:
        pytest.fail(
            f"the client of {server.url} did wrong:\n{found}\n"
            f"(@pytest.mark.{_MISBEHAVIOUR_ALLOWED} lets a test end like this)",
            pytrace=False,
        )


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The changes that the test's markers ask for, those of the nearest one last."""
    changes: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("oauth_server"))):
        if marker.args:
            pytest.fail("@pytest.mark.oauth_server takes fields of Settings by name", pytrace=False)
        changes |= marker.kwargs
    return changes


def _told(make: Callable[[], _T]) -> _T:
    """The result, or a failure that shows the settings' problems and no traceback of ours."""
    from fake_oauth.provider.errors import SettingsError

    try:
        return make()
    except SettingsError as error:
        pytest.fail(f"settings of oauth_server:\n{error}", pytrace=False)
