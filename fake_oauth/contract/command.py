"""`fake-oauth check`: hold the documented exchanges against a server."""

from __future__ import annotations

import argparse
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fake_oauth.contract.hosts import Foreign, Host, Steered, Wire, json_of
from fake_oauth.contract.pages import Request, pages
from fake_oauth.contract.printing import show
from fake_oauth.contract.report import Report
from fake_oauth.contract.running import run
from fake_oauth.contract.values import DOCUMENTED, values_of
from fake_oauth.provider.errors import FakeOAuthError, unknown
from fake_oauth.settings import Settings
from fake_oauth.structuring import unstructured

_OWN: Final = ("client_id", "client_secret", "refresh_token")


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="hold a server to the documented exchanges",
        description="Runs every page that can be run with what it was given. The exit code is 0 if "
        "all of them hold, 1 if one differs, 2 if nothing could be checked.",
    )
    parser.add_argument("url", metavar="URL", help="the server: http://127.0.0.1:8080")
    for name in _OWN:
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE")
    parser.add_argument(
        "--value",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"another value that pages need: {', '.join(n for n in DOCUMENTED if n not in _OWN)}",
    )
    parser.add_argument(
        "--settings", type=Path, metavar="FILE", help="settings, as TOML, to take values from"
    )
    parser.add_argument(
        "--spend",
        action="store_true",
        help="run pages that use something up; a fake that can be steered begins anew for each",
    )
    parser.add_argument(
        "--level",
        choices=("strict", "loose"),
        help="to the byte, or in what it means; strict for a fake, loose for others",
    )
    parser.add_argument(
        "--timeout", type=float, default=10, metavar="SECONDS", help="(%(default)s)"
    )
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="a certificate to trust")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write JSON; no table then")
    parser.set_defaults(run=check)


def check(options: argparse.Namespace) -> int:
    """Run the pages and report. Returns the exit code."""
    context = None
    if options.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=options.ca_file)
        except OSError as error:
            raise FakeOAuthError(f"cannot read {options.ca_file}: {error.strerror}") from None
    wire = Wire(options.url.rstrip("/"), options.timeout, context)
    values = given_values(options)
    host, values = host_of(wire, values, spends=options.spend)
    try:
        report = Report(options.url, run(pages(), host, options.level), values)
    finally:
        if isinstance(host, Steered):
            host.restore()
    if options.junit is not None:
        _write(options.junit, report.as_junit())
    if options.json is not None:
        _write(options.json, json.dumps(report.as_json(), indent=2, ensure_ascii=False).encode())
    else:
        show(report)
    if report.counted["differs"]:
        return 1
    if not report.counted["holds"]:
        raise FakeOAuthError("nothing could be checked with what was given")
    return 0


def given_values(options: argparse.Namespace) -> dict[str, str]:
    """The values that were given, those by name last. Raises FakeOAuthError."""
    values: dict[str, str] = {}
    if options.settings is not None:
        settings = Settings.from_toml(options.settings)
        client, user = (next(iter(all_), None) for all_ in (settings.clients, settings.users))
        values |= values_of(
            {} if client is None else unstructured(client),
            {} if user is None else unstructured(user),
        )
        values |= {f"{source.kind}_auth_source": source.id for source in settings.auth_sources}
        if settings.refresh_tokens:
            values["refresh_token"] = settings.refresh_tokens[0].value
    for given in options.value:
        name, equals, value = given.partition("=")
        if not equals or name not in DOCUMENTED:
            hint = unknown(name, list(DOCUMENTED))
            raise FakeOAuthError(f"--value {given}: expected NAME=VALUE, and {name!r} is {hint}")
        values[name] = value
    return values | {name: told for name in _OWN if (told := getattr(options, name)) is not None}


def host_of(wire: Wire, values: Mapping[str, str], *, spends: bool) -> tuple[Host, dict[str, str]]:
    """What the server is, and all that is known of it. Raises UnreachableError."""
    told = json_of(wire.send(Request(method="GET", path="/_fake/")))
    if not isinstance(told, dict) or "controls" not in told:
        return Foreign(wire, values, spends=spends), dict(values)
    if spends and not values:
        return Steered(wire), {}
    known = {**_known(wire), **values}
    return Foreign(wire, known, level="strict", spends=spends), known


def _known(wire: Wire) -> dict[str, str]:
    """What a fake tells about itself: its first client and user, and tokens of theirs."""
    told = {
        kind: json_of(wire.send(Request(method="GET", path=f"/_fake/{kind}")))[kind]
        for kind in ("clients", "users", "auth_sources")
    }
    client: dict[str, Any] = next(iter(told["clients"]), {})
    user: dict[str, Any] = next(iter(told["users"]), {})
    values = values_of(client, user)
    values |= {f"{source['kind']}_auth_source": source["id"] for source in told["auth_sources"]}
    headers = {"Content-Type": "application/json"}
    for path, body in (
        ("/_fake/tokens", {}),
        ("/_fake/codes", {"redirect_uri": values.get("redirect_uri")}),
    ):
        request = Request(method="POST", path=path, headers=headers, body=json.dumps(body))
        issued = json_of(wire.send(request))
        names = {"access_token", "refresh_token", "code"} & set(issued)
        values |= {name: issued[name] for name in names if issued[name] is not None}
    return values


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise FakeOAuthError(f"cannot write {path}: {error.strerror}") from None
