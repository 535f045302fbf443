"""`fake-oauth explain`: say what a name, a response, a token, or a line of the log means.

A pasted text stays in this process. Requests are only sent for `--server` and `--jwks URL`, to this
machine, and have nothing of the text.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fake_oauth.contract.options import control_token
from fake_oauth.control import PREFIX
from fake_oauth.control.access import is_loopback
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.structure import suggestion

if TYPE_CHECKING:
    from fake_oauth.contract.client import HTTPTransport
    from fake_oauth.explain.jwts import JWKS
    from fake_oauth.explain.moments import Now
    from fake_oauth.explain.recorded import RecordedJournal

_LIMIT: Final = 1024 * 1024
_TIMEOUT_SECONDS: Final = 10
_STDIN: Final = "-"
# The exchanges in which a refusal is looked for.
_LATEST: Final = 200


def add(commands: Any) -> None:
    """Add the command to the program's parser."""
    parser = commands.add_parser(
        "explain",
        help="say what an error code, a response, or a token means",
        description="Say what an error code, a cause in the journal, a check, or a fault means; or "
        "what is in a response, a token, a whole HTTP response, such as the output of curl -v, or "
        "a line of the server's log. "
        "A token stays in this process: it is not sent, not logged, and not repeated in errors.",
        examples=(
            ("fake-oauth explain", "list the names that can be explained"),
            ("fake-oauth explain invalid_grant", "say what an error code means"),
            ("curl -v http://… 2>&1 | fake-oauth explain -", "explain a response"),
            ("fake-oauth explain -", "explain what you paste; then press Ctrl-D"),
            (
                "fake-oauth explain - --server http://127.0.0.1:8080",
                "say why a running fake refused the request, by its journal",
            ),
            (
                "fake-oauth explain token.txt --server http://127.0.0.1:8080",
                "explain a token by the keys and the clock of a running fake",
            ),
        ),
    )
    parser.add_argument(
        "what",
        nargs="?",
        metavar="WHAT",
        help="name of an error code, cause, check, or fault; or a file; or - for standard input; "
        "or the text itself (default: list the names)",
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="running fake on this machine, whose journal, keys, and clock are used",
    )
    parser.add_argument(
        "--control-token",
        type=control_token,
        metavar="TOKEN",
        help="control token that this fake printed at startup, if it did",
    )
    parser.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="certificate to trust, for HTTPS (PEM)"
    )
    parser.add_argument(
        "--jwks",
        metavar="FILE",
        help="JWK Set that verifies the signature: a file, or a URL on this machine (default: the "
        "keys that ship with fake_oauth)",
    )
    parser.add_argument(
        "--now",
        metavar="TIME",
        help="time to judge lifetimes at: a date-time such as 2026-01-01T00:00:00Z, or seconds "
        "since 1970 (default: the real time)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from fake_oauth.explain import names, pasted, responses
    from fake_oauth.explain.page import layout

    sections = names.listed() if options.what is None else names.explained(options.what)
    if sections is None:
        found = pasted.read(_text(options.what))
        transport = None if options.server is None else _transport(options, options.server)
        now = _now(options.now, transport)
        asks_journal = bool(found.lines) or responses.is_refusal(found)
        journal = _journal(transport) if transport is not None and asks_journal else None
        # To read the keys of a server adds to its journal, so that only happens for a token.
        keys = _jwks(options, transport if responses.has_token(found) else None)
        sections = responses.explained(found, now, keys, journal)
    print(layout(sections))
    return 0


# What is explained


def _text(what: str) -> str:
    """Return the pasted text. Raise FakeOAuthError, which does not repeat it, for anything else."""
    from fake_oauth.explain.names import NAMES
    from fake_oauth.explain.pasted import decoded, looks_pasted

    if what == _STDIN:
        if sys.stdin.isatty():
            paste = "Paste a response, a token, or a line of the log"
            print(f"{paste}, then press Enter and Ctrl-D:", file=sys.stderr)
        return decoded(_bounded(sys.stdin.buffer.read(_LIMIT + 1), "the input"))
    if _is_there(path := Path(what)):
        return decoded(_bounded(_bytes(path), what))
    if looks_pasted(what):
        return what
    hint = suggestion(what, NAMES, page="fake-oauth explain")
    if {".", "/"} & set(what):
        hint = "there is no such file"
    raise FakeOAuthError(
        f"explain: neither a known name nor a file; {hint} (for a token or a response, pass - and "
        "paste it)"
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # A text can be too long for a name.
        return False


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT + 1)
    except OSError as error:
        raise FakeOAuthError(f"cannot read {path}: {error.strerror}") from None


def _bounded(data: bytes, source: str) -> bytes:
    if len(data) > _LIMIT:
        raise FakeOAuthError(f"explain: {source} has more than {_LIMIT} bytes; pass one response")
    return data


# What it is judged by


def _transport(options: argparse.Namespace, url: str) -> HTTPTransport:
    """Return the way to a server. Raise FakeOAuthError unless it is on this machine."""
    from ssl import create_default_context

    from fake_oauth.contract.client import HTTPTransport, server_url

    known = server_url(url)
    if not is_loopback(urlsplit(known).hostname or ""):
        raise FakeOAuthError(
            f"{url}: not on this machine; save its JWK Set to a file, and pass --jwks FILE"
        )
    context = None
    if options.ca_file is not None:
        try:
            context = create_default_context(cafile=options.ca_file)
        except OSError as error:
            raise FakeOAuthError(f"cannot read {options.ca_file}: {error.strerror}") from None
    return HTTPTransport(known, _TIMEOUT_SECONDS, context, options.control_token)


def _now(text: str | None, transport: HTTPTransport | None) -> Now:
    """Return the moment that lifetimes are judged at."""
    from fake_oauth.explain.moments import Now

    if text is not None:
        return Now(seconds=_moment("--now", text), clock="--now")
    if transport is None:
        return Now(seconds=Clock().now(), clock="the real time")
    clock = _read(transport, f"{PREFIX}/clock").get("now")
    seconds = _moment(f"the clock of {transport.url}", str(clock))
    return Now(seconds=seconds, clock=f"the clock of {transport.url}")


def _journal(transport: HTTPTransport) -> RecordedJournal:
    """Return the latest exchanges of a fake."""
    from fake_oauth.explain.recorded import RecordedJournal

    data = _read(transport, f"{PREFIX}/journal?brief=true&latest={_LATEST}")
    return RecordedJournal.read(transport.url, data)


def _moment(where: str, text: str) -> float:
    try:
        try:
            clock = Clock(float(text), frozen=True)
        except ValueError:
            clock = Clock(datetime.fromisoformat(text), frozen=True)
    except (ValueError, FakeOAuthError):
        raise FakeOAuthError(
            f"{where}: expected a date-time with a time zone, such as 2026-01-01T00:00:00Z, or "
            "seconds since 1970"
        ) from None
    return clock.now()


def _jwks(options: argparse.Namespace, transport: HTTPTransport | None) -> JWKS | None:
    """Return the keys that verify signatures; None is the shipped ones."""
    where = options.jwks
    if where is None:
        return None if transport is None else _keys(transport.url, _served_jwks(transport))
    if "://" in where:
        parts = urlsplit(where)
        origin = _transport(options, f"{parts.scheme}://{parts.netloc}")
        query = f"?{parts.query}" if parts.query else ""
        return _keys(where, _read(origin, f"{parts.path or '/'}{query}"))
    data = _bounded(_bytes(Path(where)), where)
    try:
        return _keys(where, json.loads(data))
    except (ValueError, RecursionError):
        raise FakeOAuthError(f"--jwks: {where} is not JSON") from None


def _keys(source: str, jwks: Any) -> JWKS:
    from fake_oauth.explain.jwts import JWKS

    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list):
        raise FakeOAuthError(f"{source}: not a JWK Set, an object with keys (RFC 7517 section 5)")
    return JWKS(source=source, keys=[key for key in keys if isinstance(key, dict)])


def _served_jwks(transport: HTTPTransport) -> Any:
    """Return the JWK Set of a fake, wherever its issuer says that it is."""
    issuer = str(_read(transport, f"{PREFIX}/").get("issuer"))
    try:
        below = urlsplit(issuer).path.rstrip("/")
        metadata = _read(transport, f"{below}/.well-known/openid-configuration")
        return _read(transport, urlsplit(str(metadata.get("jwks_uri"))).path)
    except ValueError:
        raise FakeOAuthError(
            f"{transport.url}: its issuer or its jwks_uri is not a URL; pass --jwks FILE"
        ) from None


def _read(transport: HTTPTransport, path: str) -> dict[str, Any]:
    """Return a JSON object of a server. Raise FakeOAuthError if it sends none."""
    from fake_oauth.contract.cases import Request
    from fake_oauth.contract.placeholders import parse_json

    response = transport.send(Request(method="GET", path=path))
    data = parse_json(response.body.decode(errors="backslashreplace"))
    if response.status == 401 and path.startswith(PREFIX):
        raise FakeOAuthError(
            f"{transport.url}{PREFIX}/ did not accept the control token; pass the token that the "
            "fake printed at startup as --control-token"
        )
    if response.status != 200 or not isinstance(data, dict):
        raise FakeOAuthError(
            f"{transport.url}{path}: expected status 200 and a JSON object, got status "
            f"{response.status}; is it a fake with the control API, such as fake-oauth serve?"
        )
    return data
