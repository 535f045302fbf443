"""The options of `fake-oauth check`, `fake-oauth record`, and the test suite.

To add an option, add a row to `OPTIONS`. An option for the target is also an option of
`pytest --pyargs fake_oauth.contract`, with the prefix `--oauth-`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final, Literal, get_args

from fake_oauth.contract.cases import Verdict
from fake_oauth.contract.placeholders import NAMES
from fake_oauth.dialects import DIALECTS

OWN_OPTIONS: Final = ("client_id", "client_secret", "refresh_token")
"""The values that have an option of their own; for the others there is --value."""
_TOKEN: Final = re.compile("[!-~]+")


def port(text: str) -> int:
    """Return a port to listen on. Raise ArgumentTypeError unless it is one."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, got {text}")
    return int(text)


def control_token(text: str) -> str:
    """Return a control token. Raise ArgumentTypeError, without the token, if no header can have it.

    RFC 9110 section 5.5.
    """
    if not _TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError("expected ASCII characters without blanks")
    return text


def positive_seconds(text: str) -> float:
    """Return a time to wait. Raise ArgumentTypeError unless it is positive and finite."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < inf:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text}")
    return number


Command = Literal["check", "record", "pytest"]
_CHECK: Final = ("check",)
_RECORD: Final = ("record",)
_TARGET: Final = ("check", "pytest")
_ALL: Final = ("check", "record", "pytest")


@dataclass(frozen=True, slots=True)
class Option:
    """A row of `OPTIONS`: how argparse and pytest parse it, and what it is for."""

    name: str
    commands: Sequence[Command]
    value: str | tuple[str, ...] | None
    """The name of its value in the help, or the possible values; None for a flag."""
    help: str
    type: Any = str
    default: Any = None
    is_repeatable: bool = False
    short: str | None = None

    @property
    def keywords(self) -> dict[str, Any]:
        """The keyword arguments of argparse's `add_argument`, and of pytest's `addoption`."""
        if self.value is None:
            return {"help": self.help, "action": "store_true"}
        values = {"metavar" if isinstance(self.value, str) else "choices": self.value}
        if self.is_repeatable:
            more = f"{self.help} (repeatable)"
            return {"help": more, "action": "append", "default": [], "type": self.type, **values}
        shown = "" if self.default is None else " (default: %(default)s)"
        return {"help": self.help + shown, "default": self.default, "type": self.type, **values}


_VALUES: Final = ", ".join(name for name in NAMES if name not in OWN_OPTIONS)
_LEVELS: Final = (
    "compare byte for byte ('strict') or by meaning ('loose') "
    "(default: strict for a fake with the control API, otherwise loose)"
)
_SPEND: Final = (
    "also run cases that use up codes, tokens, or OTPs; without values, reset a fake with the "
    "control API for each case"
)
_CASE: Final = (
    "run only cases that match NAME, such as 'pkce.*', and assume that the server is set up for "
    "them"
)
DIALECT_NAMES: Final = f"{', '.join(DIALECTS)}, or package.module:Class"
"""What an option for a dialect can be, for its help."""
_DIALECT: Final = (
    f"cases to run: {DIALECT_NAMES}, which requires --cases (default: the dialect of recorded "
    "cases or of the fake, otherwise ciam)"
)
_PATHS: Final = (
    f"paths of the cases: {DIALECT_NAMES} (default: those that fit the server's metadata)"
)
_SECRETS: Final = "show secrets and tokens in the curl commands, so that you can run them"
_KEEP: Final = "parameter or member whose words are not secret"

OPTIONS: Final = (
    Option("client-id", _ALL, "ID", "ID of the client to test with"),
    Option("client-secret", _ALL, "SECRET", "secret of this client"),
    Option("refresh-token", _ALL, "TOKEN", "refresh token of this client"),
    Option("value", _ALL, "NAME=VALUE", f"another value: {_VALUES}", is_repeatable=True),
    Option("settings", _ALL, "FILE", "settings file that describes the server (TOML)", Path),
    Option(
        "timeout",
        _ALL,
        "SECONDS",
        "seconds that a complete response may take",
        positive_seconds,
        10.0,
    ),
    Option("ca-file", _ALL, "FILE", "certificate to trust (PEM)", Path),
    Option("dialect", _TARGET, "NAME", _DIALECT),
    Option("dialect", _RECORD, "NAME", _PATHS),
    Option("cases", _TARGET, "FOLDER", "run the cases in FOLDER, such as recorded ones", Path),
    Option("case", _TARGET, "NAME", _CASE, is_repeatable=True),
    Option("level", _TARGET, ("strict", "loose"), _LEVELS),
    Option("spend", _TARGET, None, _SPEND),
    Option(
        "control-token",
        _TARGET,
        "TOKEN",
        "control token that a fake on another machine printed at startup",
        control_token,
    ),
    Option("only", _CHECK, get_args(Verdict), "show only cases with this verdict"),
    Option("verbose", _CHECK, None, "show each request as a curl command", short="-v"),
    Option("show-secrets", _CHECK, None, _SECRETS),
    Option(
        "junit",
        _CHECK,
        "FILE",
        "write a JUnit XML report to FILE (-: standard output, without the table)",
        Path,
    ),
    Option(
        "json",
        _CHECK,
        "FILE",
        "write a JSON report to FILE instead of the table (-: standard output)",
        Path,
    ),
    Option("out", _RECORD, "FOLDER", "folder to write to", Path, Path("cases")),
    Option("host", _RECORD, "HOST", "address to listen on", str, "127.0.0.1"),
    Option("port", _RECORD, "PORT", "port to listen on, 0 for a free one", port, 8081),
    Option("path", _RECORD, "PATH", "path of another endpoint to record", is_repeatable=True),
    Option("keep", _RECORD, "NAME", _KEEP, is_repeatable=True),
)
"""The options of the commands and of the test suite."""


def options_of(command: Command) -> list[Option]:
    """Return the options of a command."""
    return [option for option in OPTIONS if command in option.commands]


Run = Callable[[argparse.Namespace], int]
"""A command: it returns its exit code."""


def add_commands(commands: Any, *, check: Run, record: Run) -> None:
    """Add the commands to a parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="test a server against the documented exchanges",
        description="Run every case that the given values allow. The exit code is 0 if every case "
        "that ran matches, 1 if any differs, and 2 if no case ran or the command failed.",
        examples=(
            (
                "fake-oauth check http://127.0.0.1:8080 --spend",
                "run every case against a fake, which is reset for each",
            ),
            (
                "fake-oauth check https://idp.example --settings idp.toml",
                "test another server with the client and the user of a file",
            ),
            (
                "fake-oauth check http://127.0.0.1:8080 --case 'pkce.*' -v",
                "run a few cases, and show each request as a curl command",
            ),
        ),
    )
    parser.add_argument(
        "url", metavar="URL", help="URL of the server to test, such as http://127.0.0.1:8080"
    )
    _add_options(parser, "check")
    parser.set_defaults(run=check, prefix="--")
    parser = commands.add_parser(
        "record",
        help="record the responses of a server as cases",
        description="Pass requests on to a server, and write each exchange as a case. Point a "
        "client at this proxy instead of the server. Cases have no secrets and no personal data: "
        "documented values replace known ones, and WRONG or a placeholder replaces the others.",
        examples=(
            (
                "fake-oauth record --upstream https://idp.example --settings idp.toml",
                "listen at http://127.0.0.1:8081, and write cases into cases/",
            ),
        ),
    )
    upstream = "URL of the server to record, such as https://idp.example"
    parser.add_argument("--upstream", required=True, metavar="URL", help=upstream)
    _add_options(parser, "record")
    parser.set_defaults(run=record, prefix="--")


def _add_options(parser: argparse.ArgumentParser, command: Command) -> None:
    for option in options_of(command):
        short = () if option.short is None else (option.short,)
        parser.add_argument(f"--{option.name}", *short, **option.keywords)
