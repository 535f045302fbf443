"""The contract as tests, a test a page: `pytest --pyargs fake_oauth.contract --oauth-url URL`.

Without a URL it is held against the fake: in process, over a socket, and as the stub server.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from fake_oauth.contract.command import host_of, index_of, taken_for
from fake_oauth.contract.hosts import Host, Steered
from fake_oauth.contract.options import given_values
from fake_oauth.contract.pages import Page, pages
from fake_oauth.contract.report import Report
from fake_oauth.contract.running import run_one
from fake_oauth.contract.signatures import pyjwt
from fake_oauth.contract.transports import InProcess, Transport, Wire
from fake_oauth.dialects import DIALECTS, Dialect
from fake_oauth.fake import FakeOAuth
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.settings import Settings

_STEERED: Final = Settings(control=True)


@contextmanager
def in_process() -> Iterator[Transport]:
    """A fake without a socket."""
    yield InProcess(FakeOAuth(_STEERED))


@contextmanager
def in_a_thread() -> Iterator[Transport]:
    """A fake that listens."""
    with FakeOAuth(_STEERED) as fake:
        yield Wire(fake.url)


@contextmanager
def as_a_stub() -> Iterator[Transport]:
    """The stub server, in a process of its own."""
    command = (sys.executable, "-m", "fake_oauth", "serve", "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "Ctrl-C ends it.\n")
        url = next(line.split()[-1] for line in list(lines) if "listening on" in line)
        yield Wire(url)
        process.terminate()


@pytest.fixture(scope="session")
def given(pytestconfig: pytest.Config) -> argparse.Namespace:
    """What the command line says, as `fake-oauth check` knows it."""
    names = ("url", "client_id", "client_secret", "refresh_token", "value", "settings", "level")
    told = {name: pytestconfig.getoption(f"oauth_{name}") for name in (*names, "spend", "dialect")}
    settings = told.pop("settings")
    return argparse.Namespace(**told, settings=None if settings is None else Path(settings))


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest, given: argparse.Namespace) -> Iterator[Host]:
    """What the pages are held against."""
    if given.url is None:
        transport, dialect = request.param
        with transport() as own:
            yield Steered(own, dialect)
    else:
        wire, values = Wire(given.url.rstrip("/")), given_values(given)
        there, _ = host_of(wire, values, spends=given.spend, dialect=given.dialect)
        yield there
        if isinstance(there, Steered):
            there.restore()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    url, dialect, other = (
        metafunc.config.getoption(f"oauth_{name}") for name in ("url", "dialect", "pages")
    )
    try:
        pyjwt()  # said once, and not by every test that needs it
        cases = [
            pytest.param(host, page, id=f"{name}-{page.name}")
            for name, host, spoken in _hosts(url, dialect)
            for page in pages(spoken.name if other is None else Path(other))
        ]
    except FakeOAuthError as error:
        raise pytest.UsageError(str(error)) from None
    metafunc.parametrize(("host", "page"), cases, indirect=["host"], scope="session")


def _hosts(url: str | None, dialect: str | None) -> Iterator[tuple[str, Any, Dialect]]:
    """A name for each host, what the fixture makes it from, and what it is taken for."""
    if url is not None:
        yield "server", None, taken_for(index_of(Wire(url.rstrip("/"))), dialect)
        return
    for spoken in DIALECTS.values() if dialect is None else [taken_for(None, dialect)]:
        for transport in (in_process, in_a_thread, as_a_stub):
            yield f"{spoken.name}-{transport.__name__}", (transport, spoken), spoken


def test_a_page_holds(page: Page, host: Host, given: argparse.Namespace) -> None:
    outcome = run_one(page, host, given.level)
    if outcome.verdict == "skipped":
        pytest.skip(outcome.why)
    if outcome.verdict == "differs":
        told = Report("", [outcome], given_values(given)).told(outcome)
        pytest.fail(f"{page.title} ({page.source})\n\n{told}", pytrace=False)
