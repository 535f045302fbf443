"""`fake-oauth check` and `fake-oauth record`, and the options that pytest has too.

To add an option, add a row to `OPTIONS`. An option for the target is also an option of
`pytest --pyargs fake_oauth.contract`, with the prefix `--oauth-`.
"""

from __future__ import annotations

import argparse
import json
import signal
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, Literal, get_args

from fake_oauth.contract.cases import Case, cases, select
from fake_oauth.contract.client import HTTPTransport, UnreachableError, dialect_of, server_url
from fake_oauth.contract.placeholders import NAMES
from fake_oauth.contract.recorder import Recorder
from fake_oauth.contract.runner import Outcome, Report, Verdict, run
from fake_oauth.contract.targets import (
    OWN_OPTIONS,
    ControlAPI,
    FakeTarget,
    ServerTarget,
    Target,
    settings_values,
)
from fake_oauth.contract.terminal import (
    printable,
    require_rich,
    shortened,
    show,
    with_progress,
)
from fake_oauth.control import PREFIX
from fake_oauth.dialects import DIALECTS, Dialect, load_dialect
from fake_oauth.http.listener import Listener
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.settings import Settings
from fake_oauth.structure import suggestion, unstructure

_STDOUT: Final = Path("-")
# How long a stop waits for responses that are under way.
_GRACE_SECONDS: Final = 2


def seconds(text: str) -> float:
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
_DIALECTS: Final = f"{', '.join(DIALECTS)}, or package.module:Class"
_DIALECT: Final = (
    f"cases to run: {_DIALECTS}, which needs --cases (default: the dialect of recorded cases or "
    "of the fake, otherwise ciam)"
)
_PATHS: Final = f"paths of the cases: {_DIALECTS} (default: those that fit the server's metadata)"
_SECRETS: Final = "show secrets and tokens in the curl commands, so that you can run them"
_KEEP: Final = "parameter or member whose words are not secret"

OPTIONS: Final = (
    Option("client-id", _ALL, "ID", "client id"),
    Option("client-secret", _ALL, "SECRET", "client secret"),
    Option("refresh-token", _ALL, "TOKEN", "refresh token of this client"),
    Option("value", _ALL, "NAME=VALUE", f"another value: {_VALUES}", is_repeatable=True),
    Option("settings", _ALL, "FILE", "settings file that describes the server (TOML)", Path),
    Option("timeout", _ALL, "SECONDS", "time that a response may take in full", seconds, 10.0),
    Option("ca-file", _ALL, "FILE", "certificate to trust (PEM)", Path),
    Option("dialect", _TARGET, "NAME", _DIALECT),
    Option("dialect", _RECORD, "NAME", _PATHS),
    Option("cases", _TARGET, "FOLDER", "run the cases in FOLDER, such as recorded ones", Path),
    Option("case", _TARGET, "NAME", _CASE, is_repeatable=True),
    Option("level", _TARGET, ("strict", "loose"), _LEVELS),
    Option("spend", _TARGET, None, _SPEND),
    Option("control-token", _TARGET, "TOKEN", "token that a fake elsewhere printed at startup"),
    Option("only", _CHECK, get_args(Verdict), "show only cases with this verdict"),
    Option("verbose", _CHECK, None, "show each request as a curl command", short="-v"),
    Option("show-secrets", _CHECK, None, _SECRETS),
    Option("junit", _CHECK, "FILE", "write JUnit XML to FILE, or - for standard output", Path),
    Option("json", _CHECK, "FILE", "write JSON to FILE, or -, and print no table", Path),
    Option("out", _RECORD, "FOLDER", "folder to write to", Path, Path("cases")),
    Option("host", _RECORD, "HOST", "address to listen on", str, "127.0.0.1"),
    Option("port", _RECORD, "PORT", "port to listen on, 0 for a free one", int, 8081),
    Option("path", _RECORD, "PATH", "path of another endpoint to record", is_repeatable=True),
    Option("keep", _RECORD, "NAME", _KEEP, is_repeatable=True),
)
"""The options of the commands and of the test suite."""


def options_of(command: Command) -> list[Option]:
    """Return the options of a command."""
    return [option for option in OPTIONS if command in option.commands]


def add_to(commands: Any) -> None:
    """Add the commands to a parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="test a server against the documented exchanges",
        description="Run every case that the given values allow. The exit code is 0 if every case "
        "that ran matches, 1 if any differs, and 2 if no case ran.",
    )
    parser.add_argument("url", metavar="URL", help="server to test: http://127.0.0.1:8080")
    _add_options(parser, "check")
    parser.set_defaults(run=check, prefix="--")
    parser = commands.add_parser(
        "record",
        help="record the responses of a server as cases",
        description="Pass requests on to a server, and write each exchange as a case. Point a "
        "client at this proxy instead of the server. Cases have no secrets and no personal data: "
        "documented values replace known ones, and WRONG or a placeholder replaces the others.",
    )
    upstream = "server to record: https://idp.example"
    parser.add_argument("--upstream", required=True, metavar="URL", help=upstream)
    _add_options(parser, "record")
    parser.set_defaults(run=record, prefix="--")


def _add_options(parser: argparse.ArgumentParser, command: Command) -> None:
    for option in options_of(command):
        short = () if option.short is None else (option.short,)
        parser.add_argument(f"--{option.name}", *short, **option.keywords)


# Check


def check(options: argparse.Namespace) -> int:
    """Run the cases and report. Return the exit code."""
    if options.json is None:
        require_rich()
    target, values = target_of(options)
    chosen = chosen_cases(options, target.dialect)
    level = options.level or target.level
    try:
        outcomes = with_progress(run(chosen, target, level), len(chosen))
        contract = str(options.cases or target.dialect.name)
        report = Report(options.url, outcomes, values, contract=contract, level=level)
        _write_report(options, report, target)
    finally:
        if isinstance(target, FakeTarget):
            target.restore()
    if report.counts["differs"]:
        return 1
    if not report.counts["matches"]:
        raise FakeOAuthError("no case could run with the given values; see what each case needs")
    return 0


def _write_report(options: argparse.Namespace, report: Report, target: Target) -> None:
    def requests(outcome: Outcome) -> Sequence[str]:
        has_secrets = options.show_secrets
        shown = report.requests(outcome, target.url_of, has_secrets=has_secrets)
        return shown if options.verbose else ()

    if options.json is None:
        hints = list(_hints(options, report, target))
        show(report, only=options.only, requests=requests, hints=hints)
    else:
        text = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
        _write(options.json, f"{text}\n".encode(errors="backslashreplace"))
    if options.junit is not None:
        _write(options.junit, report.as_junit())


def _hints(options: argparse.Namespace, report: Report, target: Target) -> Iterator[str]:
    """Yield how more cases could run, or match."""
    if report.counts["skipped"]:
        yield (
            "This fake has the control API: --spend resets it for each case, and runs every case."
            if target.level == "strict" and not options.spend
            else "If the server is set up as a case needs it, name the case: --case NAME."
        )
    own = target.dialect
    if isinstance(target, ServerTarget) and own.has_fixed_paths:
        try:
            fitting = dialect_of(_transport_of(options))
        except UnreachableError:
            return  # It has ended; the report is what matters.
        if fitting is not own:
            yield (
                f"The server's metadata names other endpoints than the dialect {own.name}: "
                f"--dialect {fitting.name} tests it against the standards."
            )


def target_of(options: argparse.Namespace) -> tuple[Target, Mapping[str, str]]:
    """Return the target, and all values that are known of it.

    Raise UnreachableError if it does not respond, and FakeOAuthError if it does not accept the
    control token, or for an option that cannot be used.
    """
    transport, values = _transport_of(options), given_values(options)
    control = ControlAPI(transport)
    served = control.dialect_name()
    if transport.control_token is not None and served is None:
        raise FakeOAuthError(
            f"{transport.url}{PREFIX}/ did not accept the control token; pass the token that the "
            f"fake printed at startup as {options.prefix}control-token"
        )
    dialect = dialect_for(options, served)
    if served is not None and options.spend and not values:
        return FakeTarget(transport, dialect), {}
    known = values if served is None else {**control.values(), **values}
    target = ServerTarget(
        transport,
        known,
        dialect,
        level="loose" if served is None else "strict",
        spends=options.spend,
        is_set_up=bool(options.case),
        prefix=options.prefix,
    )
    return target, known


def dialect_for(options: argparse.Namespace, served: str | None = None) -> Dialect:
    """Return the dialect whose cases are run; `served` is that of a fake.

    It is the one in the options, else that of the recorded cases, else that of a fake, else `ciam`.
    Only the options can name a class to import. Raise FakeOAuthError if there are no cases for it.
    """
    if options.dialect is not None:
        dialect = load_dialect(options.dialect)
        name = dialect.name
        if options.cases is not None:
            return dialect
    else:
        recorded = {case.dialect for case in cases(options.cases)} if options.cases else set()
        name = (recorded.pop() if len(recorded) == 1 else None) or served or "ciam"
    if name not in DIALECTS:
        raise FakeOAuthError(
            f"no cases for the dialect {printable(name)!r}; pass {options.prefix}dialect "
            + " or ".join(DIALECTS)
        )
    return DIALECTS[name]


def chosen_cases(options: argparse.Namespace, dialect: Dialect) -> Sequence[Case]:
    """Return the cases to run. Raise FakeOAuthError if there are none."""
    return select(options.case, cases(options.cases or dialect.name))


def given_values(options: argparse.Namespace) -> dict[str, str]:
    """Return the values in the options; they take precedence over the settings file.

    Raise FakeOAuthError for a value without a name, or with an unknown one.
    """
    values: dict[str, str] = {}
    if options.settings is not None:
        settings = Settings.from_toml(options.settings)
        lists = ("clients", "users", "auth_sources", "refresh_tokens")
        plain = {name: [unstructure(one) for one in getattr(settings, name)] for name in lists}
        values |= settings_values(plain)
    for text in options.value:
        name, equals, value = text.partition("=")
        if not equals:
            raise FakeOAuthError(f"{options.prefix}value {text}: expected NAME=VALUE")
        if name not in NAMES:
            hint = suggestion(name, NAMES)
            raise FakeOAuthError(f"{options.prefix}value {text}: unknown name {name!r}, {hint}")
        values[name] = value
    own = {name: getattr(options, name) for name in OWN_OPTIONS}
    return values | {name: value for name, value in own.items() if value is not None}


def _transport_of(options: argparse.Namespace) -> HTTPTransport:
    return replace(_transport_to(options.url, options), control_token=options.control_token)


def _transport_to(url: str, options: argparse.Namespace) -> HTTPTransport:
    """Return the way to a server. Raise FakeOAuthError for an invalid URL or certificate."""
    context = None
    if options.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=options.ca_file)
        except OSError as error:
            raise FakeOAuthError(f"cannot read {options.ca_file}: {error.strerror}") from None
    return HTTPTransport(server_url(url), options.timeout, context)


def _write(path: Path, data: bytes) -> None:
    if path == _STDOUT:
        sys.stdout.write(data.decode())
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        raise FakeOAuthError(f"cannot write {path}: {error.strerror}") from None


# Record


def record(options: argparse.Namespace) -> int:
    """Pass requests on and write cases until Ctrl-C. Return the exit code.

    Raise FakeOAuthError if it cannot start: the server does not respond, or the folder or the
    address cannot be used.
    """
    # Event.set would wait for itself if the signal arrives while Event.wait begins.
    ended: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: ended.put(received))
    upstream = _transport_to(options.upstream, options)
    recorder = Recorder(
        upstream,
        options.out,
        given_values(options),
        None if options.dialect is None else load_dialect(options.dialect),
        watch=lambda line: _say(f"  {line}"),
        keep=options.keep,
        paths=options.path,
    )
    try:
        listener = Listener(options.host, options.port)
    except OSError as error:
        where = f"{options.host}, port {options.port}"
        raise FakeOAuthError(f"cannot listen on {where}: {error.strerror}") from None
    listener.start(recorder)
    name = recorder.dialect.name
    _say(f"Recording {upstream.url} at {listener.url} into {options.out}/ (dialect {name})")
    if recorder.issuer not in (None, upstream.url, f"{upstream.url}/"):
        _say(
            f"Warning: the issuer of this server is {recorder.issuer}, not {upstream.url}. Clients "
            "that follow its metadata to endpoints elsewhere bypass this proxy."
        )
    _say(f"To test a server against the cases: fake-oauth check URL --cases {options.out}")
    _say("Press Ctrl-C to stop.")
    ended.get()
    # A slow server must not delay the stop.
    stopping = Thread(target=listener.stop, daemon=True)
    stopping.start()
    stopping.join(_GRACE_SECONDS)
    return 0


def _say(line: str) -> None:
    print(printable(shortened(line, 1000)), flush=True)  # noqa: T201
