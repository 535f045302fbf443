"""`fake-oauth check` and `fake-oauth record`."""

from __future__ import annotations

import argparse
import json
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Final

from fake_oauth.contract.cases import Case, cases, select
from fake_oauth.contract.client import (
    BODY_LIMIT,
    HTTPTransport,
    UnreachableError,
    dialect_of,
    server_url,
)
from fake_oauth.contract.options import OWN_OPTIONS
from fake_oauth.contract.placeholders import NAMES
from fake_oauth.contract.recorder import Recorder
from fake_oauth.contract.runner import Outcome, Report, run
from fake_oauth.contract.targets import (
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
from fake_oauth.process import address_problem, signals
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.settings import Settings
from fake_oauth.structure import suggestion, unstructure

_STDOUT: Final = Path("-")
# How long a stop waits for responses that are under way.
_GRACE_SECONDS: Final = 2


# Check


def check(options: argparse.Namespace) -> int:
    """Run the cases and report. Return the exit code."""
    if options.json == options.junit == _STDOUT:
        raise FakeOAuthError("--json - and --junit -: only one can be printed; write one to a file")
    if _has_table(options):
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


def _has_table(options: argparse.Namespace) -> bool:
    return options.json is None and options.junit != _STDOUT


def _write_report(options: argparse.Namespace, report: Report, target: Target) -> None:
    def requests(outcome: Outcome) -> Sequence[str]:
        has_secrets = options.show_secrets
        shown = report.requests(outcome, target.url_of, has_secrets=has_secrets)
        return shown if options.verbose else ()

    if _has_table(options):
        hints = list(_hints(options, report, target))
        show(report, only=options.only, requests=requests, hints=hints)
    if options.json is not None:
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
            return  # The server has stopped; the report is complete without this hint.
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
        if options.cases is not None or options.dialect in DIALECTS:
            return dialect
        name = options.dialect
    else:
        recorded = {case.dialect for case in cases(options.cases)} if options.cases else set()
        name = (recorded.pop() if len(recorded) == 1 else None) or served or "ciam"
    if name not in DIALECTS:
        raise FakeOAuthError(
            f"no cases for the dialect {printable(name)!r}; pass {options.prefix}cases, or "
            f"{options.prefix}dialect {' or '.join(DIALECTS)}"
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
            raise FakeOAuthError(
                f"{options.prefix}value: expected NAME=VALUE, got a text without ="
            )
        if name not in NAMES:
            hint = suggestion(name, NAMES)
            raise FakeOAuthError(f"{options.prefix}value: unknown name {name!r}; {hint}")
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
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
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
    ended = signals()
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
        listener = Listener(options.host, options.port, body_limit=BODY_LIMIT + 1)
    except OSError as error:
        raise FakeOAuthError(address_problem(error, options.host, options.port)) from None
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
