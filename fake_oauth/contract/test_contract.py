"""The contract as tests, a test a page: `pytest --pyargs fake_oauth.contract --oauth-url URL`.

Without a URL it is held against the fake: in process, over a socket, and as the stub server.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from fake_oauth.contract.command import chosen_pages, host_of, index_of, taken_for, wire_of
from fake_oauth.contract.hosts import Host, Steered
from fake_oauth.contract.options import given_values
from fake_oauth.contract.pages import Page
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
    return _given(pytestconfig)


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest, given: argparse.Namespace) -> Iterator[Host]:
    """What the pages are held against."""
    if given.url is None:
        transport, dialect = request.param
        with transport() as own:
            yield Steered(own, dialect)
    else:
        there, _ = host_of(given)
        yield there
        if isinstance(there, Steered):
            there.restore()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    given = _given(metafunc.config)
    try:
        pyjwt()  # said once, and not by every test that needs it
        given_values(given)
        cases = [
            pytest.param(host, page, id=f"{name}-{page.name}")
            for name, host, spoken in _hosts(given)
            for page in chosen_pages(given, spoken)
        ]
    except FakeOAuthError as error:
        raise pytest.UsageError(str(error)) from None
    metafunc.parametrize(("host", "page"), cases, indirect=["host"], scope="session")


def _given(config: pytest.Config) -> argparse.Namespace:
    told = {name: value for name, value in vars(config.option).items() if name[:6] == "oauth_"}
    return argparse.Namespace(**{name[6:]: value for name, value in told.items()})


def _hosts(given: argparse.Namespace) -> Iterator[tuple[str, Any, Dialect]]:
    """A name for each host, what the fixture makes it from, and what it is taken for."""
    if given.url is not None:
        yield "server", None, taken_for(index_of(wire_of(given)), given.dialect)
        return
    for spoken in DIALECTS.values() if given.dialect is None else [taken_for(None, given.dialect)]:
        for transport in (in_process, in_a_thread, as_a_stub):
            yield f"{spoken.name}-{transport.__name__}", (transport, spoken), spoken


def test_a_page_holds(page: Page, host: Host, given: argparse.Namespace) -> None:
    outcome = run_one(page, host, given.level)
    if outcome.verdict == "skipped":
        pytest.skip(re.sub(r"--(?=[a-z])", "--oauth-", outcome.why))
    if outcome.verdict == "differs":
        told = Report("", [outcome], given_values(given)).told(outcome)
        pytest.fail(f"{page.title} ({page.source})\n\n{told}", pytrace=False)
