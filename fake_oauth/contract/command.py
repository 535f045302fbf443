"""`fake-oauth check`: hold the documented exchanges against a server."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fake_oauth.contract import options as common
from fake_oauth.contract.holes import Level
from fake_oauth.contract.hosts import Foreign, Host, Steered
from fake_oauth.contract.pages import Page, Request, named, pages
from fake_oauth.contract.printing import can_be_shown, show, watched
from fake_oauth.contract.report import Report
from fake_oauth.contract.running import run
from fake_oauth.contract.signatures import pyjwt
from fake_oauth.contract.transports import Wire, json_of
from fake_oauth.contract.values import values_of
from fake_oauth.controls import PREFIX
from fake_oauth.dialects import DIALECTS, Dialect
from fake_oauth.provider.errors import FakeOAuthError

_STDOUT: Final = Path("-")


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="hold a server to the documented exchanges",
        description="Runs every page that can be run with what it was given. The exit code is 0 if "
        "all of them hold, 1 if one differs, 2 if nothing could be checked.",
    )
    parser.add_argument("url", metavar="URL", help="the server: http://127.0.0.1:8080")
    common.add_to(parser)
    _add_to(parser)
    parser.set_defaults(run=check)


def _add_to(parser: argparse.ArgumentParser) -> None:
    """What is run, how exactly, and where it is told."""
    parser.add_argument(
        "--spend",
        action="store_true",
        help="run pages that use something up; a fake that can be steered begins anew for each",
    )
    parser.add_argument(
        "--page",
        action="append",
        default=[],
        metavar="NAME",
        help="only this page, or those like 'pkce.*'; the server is taken to be set up for it",
    )
    parser.add_argument(
        "--control-token", metavar="TOKEN", help="what a fake on another machine printed"
    )
    parser.add_argument(
        "--level",
        choices=("strict", "loose"),
        help="to the byte, or in what it means; strict for a fake, loose for others",
    )
    parser.add_argument(
        "--dialect", choices=list(DIALECTS), help="whose pages; a fake's own, or ciam"
    )
    parser.add_argument(
        "--pages", type=Path, metavar="FOLDER", help="other pages than the documented ones"
    )
    parser.add_argument(
        "--junit", type=Path, metavar="FILE", help="write JUnit XML; - is standard output"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write JSON, and no table; - is standard output"
    )


def check(options: argparse.Namespace) -> int:
    """Run the pages and report. Returns the exit code."""
    if options.json is None:
        can_be_shown()
    pyjwt()
    host, values = host_of(options)
    chosen = chosen_pages(options, host.dialect)
    try:
        outcomes = watched(run(chosen, host, options.level), len(chosen))
        held_to = f"{options.pages or host.dialect.name}, {options.level or host.level}"
        report = Report(options.url, outcomes, values, held_to)
        return _told(options, report, _hint(options, host.level))
    finally:
        if isinstance(host, Steered):
            host.restore()


def _told(options: argparse.Namespace, report: Report, hint: str) -> int:
    if options.json is None:
        show(report, hint)
    else:
        text = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
        _write(options.json, f"{text}\n".encode(errors="backslashreplace"))
    if options.junit is not None:
        _write(options.junit, report.as_junit())
    if report.counted["differs"]:
        return 1
    if not report.counted["holds"]:
        raise FakeOAuthError("nothing could be checked with what was given")
    return 0


def _hint(options: argparse.Namespace, level: Level) -> str:
    """How pages could be run that were skipped."""
    if level == "strict" and not options.spend:
        return "It can be steered: --spend makes it anew for every page, and runs them all."
    return "Where the server is set up as a page needs it: --page NAME."


def host_of(options: argparse.Namespace) -> tuple[Host, dict[str, str]]:
    """What the server is, and all that is known of it. Raises UnreachableError.

    Raises FakeOAuthError for a control token that is not taken, and as `wire_to`, `given_values`
    and `taken_for`.
    """
    wire, values = wire_of(options), common.given_values(options)
    index = index_of(wire)
    if wire.control_token is not None and index is None:
        raise FakeOAuthError(f"{wire.url}{PREFIX}/ does not take the control token")
    dialect = taken_for(index, options.dialect)
    if index is not None and options.spend and not values:
        return Steered(wire, dialect), {}
    known = values if index is None else {**_known(wire), **values}
    host = Foreign(
        wire,
        known,
        dialect=dialect,
        level="loose" if index is None else "strict",
        spends=options.spend,
        is_set_up=bool(options.page),
    )
    return host, known


def wire_of(options: argparse.Namespace) -> Wire:
    """The way to the server, and to what steers it."""
    return replace(common.wire_to(options.url, options), control_token=options.control_token)


def chosen_pages(options: argparse.Namespace, dialect: Dialect) -> Sequence[Page]:
    """The pages that were asked for. Raises FakeOAuthError where there are none."""
    return named(options.page, pages(options.pages or dialect.name))


def index_of(wire: Wire) -> dict[str, Any] | None:
    """What a fake that can be steered says of itself; None for another server.

    Raises UnreachableError.
    """
    told = json_of(wire.send(Request(method="GET", path=f"{PREFIX}/")))
    return told if isinstance(told, dict) and "controls" in told else None


def taken_for(index: Mapping[str, Any] | None, dialect: str | None) -> Dialect:
    """The dialect of this name; of None the one that a fake speaks, and `ciam` for other servers.

    Raises FakeOAuthError for one that has no pages.
    """
    name = dialect or ("ciam" if index is None else index["dialect"])
    if name not in DIALECTS:
        known = " or ".join(DIALECTS)
        raise FakeOAuthError(f"there are no pages for the dialect {name}: say {known}")
    return DIALECTS[name]


def _known(wire: Wire) -> dict[str, str]:
    """What a fake tells about itself: its first client and user, and tokens of theirs."""
    told = {
        kind: json_of(wire.send(Request(method="GET", path=f"{PREFIX}/{kind}")))[kind]
        for kind in ("clients", "users", "auth_sources")
    }
    client: dict[str, Any] = next(iter(told["clients"]), {})
    user: dict[str, Any] = next(iter(told["users"]), {})
    values = values_of(client, user)
    values |= {f"{source['kind']}_auth_source": source["id"] for source in told["auth_sources"]}
    headers = {"Content-Type": "application/json"}
    for path, body in (
        ("/tokens", {}),
        ("/codes", {"redirect_uri": values.get("redirect_uri")}),
    ):
        text = json.dumps(body)
        request = Request(method="POST", path=f"{PREFIX}{path}", headers=headers, body=text)
        issued = json_of(wire.send(request))
        names = {"access_token", "refresh_token", "code", "scope"} & set(issued)
        values |= {name: issued[name] for name in names if issued[name] is not None}
    return values


def _write(path: Path, data: bytes) -> None:
    if path == _STDOUT:
        sys.stdout.write(data.decode())
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        raise FakeOAuthError(f"cannot write {path}: {error.strerror}") from None
