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
from typing import Final

import pytest

from fake_oauth.contract.command import host_of
from fake_oauth.contract.hosts import Host, InProcess, Steered, Wire
from fake_oauth.contract.options import given_values
from fake_oauth.contract.pages import Page, pages
from fake_oauth.contract.report import Report
from fake_oauth.contract.running import run_one
from fake_oauth.fake import FakeOAuth
from fake_oauth.settings import Settings

_STEERED: Final = Settings(control=True)


@contextmanager
def in_process() -> Iterator[Host]:
    """A fake without a socket."""
    yield Steered(InProcess(FakeOAuth(_STEERED)))


@contextmanager
def in_a_thread() -> Iterator[Host]:
    """A fake that listens."""
    with FakeOAuth(_STEERED) as fake:
        yield Steered(Wire(fake.url))


@contextmanager
def as_a_stub() -> Iterator[Host]:
    """The stub server, in a process of its own."""
    command = (sys.executable, "-m", "fake_oauth", "serve", "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "Ctrl-C ends it.\n")
        url = next(line.split()[-1] for line in list(lines) if "listening on" in line)
        yield Steered(Wire(url))
        process.terminate()


@pytest.fixture(scope="session")
def given(pytestconfig: pytest.Config) -> argparse.Namespace:
    """What the command line says, as `fake-oauth check` knows it."""
    names = ("url", "client_id", "client_secret", "refresh_token", "value", "settings", "level")
    told = {name: pytestconfig.getoption(f"oauth_{name}") for name in (*names, "spend")}
    settings = told.pop("settings")
    return argparse.Namespace(**told, settings=None if settings is None else Path(settings))


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest, given: argparse.Namespace) -> Iterator[Host]:
    """What the pages are held against."""
    if given.url is None:
        with request.param() as own:
            yield own
    else:
        there, _ = host_of(Wire(given.url.rstrip("/")), given_values(given), spends=given.spend)
        yield there
        if isinstance(there, Steered):
            there.restore()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    hosts = (in_process, in_a_thread, as_a_stub)
    if metafunc.config.getoption("oauth_url") is None:
        ids = [host.__name__ for host in hosts]
        metafunc.parametrize("host", hosts, ids=ids, indirect=True, scope="session")
    else:
        metafunc.parametrize("host", [None], ids=["server"], indirect=True, scope="session")
    other = metafunc.config.getoption("oauth_pages")
    chosen = pages(None if other is None else Path(other))
    metafunc.parametrize("page", chosen, ids=lambda page: page.name)


def test_a_page_holds(page: Page, host: Host, given: argparse.Namespace) -> None:
    outcome = run_one(page, host, given.level)
    if outcome.verdict == "skipped":
        pytest.skip(outcome.why)
    if outcome.verdict == "differs":
        told = Report("", [outcome], given_values(given)).told(outcome)
        pytest.fail(f"{page.title} ({page.source})\n\n{told}", pytrace=False)
