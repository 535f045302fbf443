"""The options of the contract as a test suite: `pytest --pyargs fake_oauth.contract`.

`fake_oauth.pytest_plugin` registers this module if the suite is named on the command line, because
pytest looks for the options of a package's tests too late.
"""

from __future__ import annotations

import pytest

from fake_oauth.contract.options import options_of

OPTION_PREFIX = "--oauth-"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fake_oauth", "contract tests of fake_oauth")
    group.addoption(
        f"{OPTION_PREFIX}url",
        metavar="URL",
        help="server to test (default: the fake itself, over three transports)",
    )
    for option in options_of("pytest"):
        group.addoption(f"{OPTION_PREFIX}{option.name}", **option.keywords)
