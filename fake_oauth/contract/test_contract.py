"""The cases as tests, one test each: `pytest --pyargs fake_oauth.contract --oauth-url URL`.

Without a URL, the fake itself is tested: in this process, over a socket, and as the stub server.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Final

import pytest

from fake_oauth import FakeOAuth, FakeOAuthError, Settings
from fake_oauth.contract.cases import Case
from fake_oauth.contract.cli import (
    chosen_cases,
    dialect_for,
    given_values,
    target_of,
)
from fake_oauth.contract.client import HTTPTransport, Transport, WSGITransport
from fake_oauth.contract.conftest import OPTION_PREFIX
from fake_oauth.contract.options import options_of
from fake_oauth.contract.runner import Report, run_case
from fake_oauth.contract.targets import FakeTarget, Target
from fake_oauth.dialects import DIALECTS, Dialect

_SETTINGS: Final = Settings(control=True)


@contextmanager
def in_process() -> Iterator[Transport]:
    """Provide a fake without a socket."""
    yield WSGITransport(FakeOAuth(_SETTINGS))


@contextmanager
def in_a_thread() -> Iterator[Transport]:
    """Provide a fake that listens."""
    with FakeOAuth(_SETTINGS) as fake:
        yield HTTPTransport(fake.url)


@contextmanager
def as_a_stub() -> Iterator[Transport]:
    """Provide the stub server, in a separate process."""
    command = (sys.executable, "-m", "fake_oauth", "serve", "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        url = next(line.split()[-1] for line in process.stdout if "listening on" in line)
        yield HTTPTransport(url)
        process.terminate()


@contextmanager
def _fake(
    transport: Callable[[], AbstractContextManager[Transport]], dialect: Dialect
) -> Iterator[Target]:
    with transport() as own:
        yield FakeTarget(own, dialect)


@contextmanager
def _server(target: Target) -> Iterator[Target]:
    yield target
    if isinstance(target, FakeTarget):
        target.restore()


@pytest.fixture(scope="session")
def options(pytestconfig: pytest.Config) -> argparse.Namespace:
    """Return the options as `fake-oauth check` has them."""
    return _options(pytestconfig)


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Provide the server that the cases run against."""
    with request.param() as target:
        yield target


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    options = _options(metafunc.config)
    try:
        parameters = [
            pytest.param(open_target, case, id=f"{name}-{case.name}")
            for name, open_target, dialect in _targets(options)
            for case in chosen_cases(options, dialect)
        ]
    except FakeOAuthError as error:
        raise pytest.UsageError(str(error)) from None
    metafunc.parametrize(("target", "case"), parameters, indirect=["target"], scope="session")


def _options(config: pytest.Config) -> argparse.Namespace:
    names = ("url", *(option.name for option in options_of("pytest")))
    given = {name.replace("-", "_"): config.getoption(f"{OPTION_PREFIX}{name}") for name in names}
    return argparse.Namespace(prefix=OPTION_PREFIX, **given)


def _targets(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Any], Dialect]]:
    """Yield a name for each target, a function that opens it, and its dialect."""
    if options.url is not None:
        server, _ = target_of(options)
        yield "server", partial(_server, server), server.dialect
        return
    one_only = options.dialect is not None or options.cases is not None
    for dialect in [dialect_for(options)] if one_only else DIALECTS.values():
        for transport in (in_process, in_a_thread, as_a_stub):
            name = f"{dialect.name}-{transport.__name__}"
            yield name, partial(_fake, transport, dialect), dialect


def test_the_response_matches(case: Case, target: Target, options: argparse.Namespace) -> None:
    outcome = run_case(case, target, options.level)
    if outcome.verdict == "skipped":
        pytest.skip(outcome.reason)
    if outcome.verdict == "differs":
        text = Report("", [outcome], given_values(options)).as_text(outcome)
        pytest.fail(f"{case.title} ({case.source})\n\n{text}", pytrace=False)
