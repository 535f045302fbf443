"""`fake-oauth init`: write a settings file, after at most four questions or by options."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Callable
from os.path import lexists
from pathlib import Path
from typing import Any, Final, TypeVar

from fake_oauth.commands.starter import (
    PURPOSES,
    SCHEMA_NAME,
    Plan,
    Purpose,
    origin_of,
    settings_text,
)
from fake_oauth.contract.options import DIALECT_NAMES
from fake_oauth.dialects import load_dialect
from fake_oauth.journal import printable
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.provider.model import Client
from fake_oauth.settings import Settings

_T = TypeVar("_T")

_FILE: Final = Path("fake_oauth.toml")
_NOTHING: Final = "nothing was written"
# What a browser's address bar accepts, and what is a URI with another scheme all the same.
_HOST_AND_PORT: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(?:[/?].*)?")
_EXISTS: Final = "pass --force to overwrite it, or another file name"


def add(commands: Any) -> None:
    """Add the command to the program's parser."""
    parser = commands.add_parser(
        "init",
        help="write a settings file with comments",
        description="Write a settings file with comments, after at most four questions. Options "
        "answer the questions, and --yes accepts the proposals for the others. An existing file is "
        "not overwritten.",
        examples=(
            ("fake-oauth init", "answer questions, and write fake_oauth.toml"),
            (
                "fake-oauth init --for spa --redirect-uri http://localhost:5173/callback --yes",
                "write the file without questions",
            ),
            ("fake-oauth init tests/fake.toml --for pytest --yes", "write another file"),
        ),
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=_FILE,
        metavar="FILE",
        help="file to write (default: %(default)s)",
    )
    parser.add_argument("--for", dest="purpose", choices=PURPOSES, help="what the server is for")
    parser.add_argument(
        "--redirect-uri",
        metavar="URI",
        help="redirect URI of your application, or its origin, to which /callback is added",
    )
    parser.add_argument("--dialect", metavar="NAME", help=f"server to imitate: {DIALECT_NAMES}")
    parser.add_argument(
        "--rotate",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether a refresh issues a new refresh token",
    )
    parser.add_argument(
        "--yes", "-y", action="store_true", help="ask nothing, and accept the proposals"
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    parser.add_argument(
        "--no-schema",
        dest="schema",
        action="store_false",
        help=f"write no {SCHEMA_NAME}, with which editors check the file",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    path: Path = options.file
    texts = {path.parent / SCHEMA_NAME: _schema()} if options.schema else {}
    if not options.force:
        # This is said before the first question.
        _require_new(path, *(schema for schema, text in texts.items() if not _has(schema, text)))
    plan = _plan(options)
    texts = {path: settings_text(plan), **texts}
    # A dialect of the caller's project can refuse what fits the others.
    Settings.from_mapping(tomllib.loads(texts[path]), source=str(path), folder=path.parent)
    for file, text in texts.items():
        if not _has(file, text):
            _write(file, text, force=options.force)
    print(printable(f"Wrote {' and '.join(map(str, texts))}."))
    print()
    print("\n".join(map(printable, _next_steps(plan, path))))
    return 0


def _schema() -> str:
    from fake_oauth.schema import settings_schema  # most commands need none

    return f"{json.dumps(settings_schema(), indent=2, ensure_ascii=False)}\n"


def _has(path: Path, text: str) -> bool:
    """Return whether a file has this text already, as the schema often does."""
    try:
        # A device has no end.
        return path.is_file() and path.read_bytes() == text.encode()
    except OSError:
        return False


def _require_new(*paths: Path) -> None:
    """Raise FakeOAuthError if a file exists."""
    for path in paths:
        if lexists(path):
            raise FakeOAuthError(f"{path} exists; {_EXISTS}")


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write a file. Raise FakeOAuthError if it exists, or cannot be written."""
    try:
        # Exclusive creation follows no link, and cannot overwrite what another process wrote.
        with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise FakeOAuthError(f"{path} exists; {_EXISTS}") from None
    except OSError as error:
        raise FakeOAuthError(f"cannot write {path}: {error.strerror}") from None


# The answers


def _plan(options: argparse.Namespace) -> Plan:
    """Return the answers, from options or from questions. Raise FakeOAuthError for a wrong one."""
    asks = not options.yes and sys.stdin.isatty() and sys.stdout.isatty()
    if options.purpose is None and not asks:
        reason = "nothing to ask with --yes" if options.yes else "no terminal to ask questions in"
        raise FakeOAuthError(
            f"init: {reason}; pass --for {' | '.join(PURPOSES)}, and, as you need them, "
            "--redirect-uri URI, --dialect NAME, --rotate or --no-rotate"
        )
    try:
        return _answers(options, asks=asks)
    except EOFError:
        print()
        raise FakeOAuthError(f"init: the input ended before the last answer; {_NOTHING}") from None
    except KeyboardInterrupt:
        print(f"\nfake-oauth: {_NOTHING}", file=sys.stderr)
        raise


def _answers(options: argparse.Namespace, *, asks: bool) -> Plan:
    if options.purpose is None:
        for number, (name, row) in enumerate(PURPOSES.items(), 1):
            print(f"  {number}  {name:8} {row.title}")
        name = _ask("What is the server for?", "pytest", _purpose)
    else:
        name = options.purpose
    purpose = PURPOSES[name]

    def answer(
        option: str, question: str, proposal: str, given: str | None, read: Callable[[str], _T]
    ) -> _T:
        if given is not None or not asks:
            try:
                return read(proposal if given is None else given)
            except FakeOAuthError as error:
                raise FakeOAuthError(f"{option}: {error}") from None
        return _ask(question, proposal, read)

    redirect_uri = options.redirect_uri
    if purpose.redirect_uri is not None:
        redirect_uri = answer(
            "--redirect-uri",
            "Redirect URI of your application?",
            purpose.redirect_uri,
            redirect_uri,
            lambda text: _redirect_uri(text, purpose),
        )
    elif redirect_uri is not None:
        raise FakeOAuthError(
            f"--redirect-uri: clients register themselves for --for {name}; leave it out"
        )
    dialect = answer(
        "--dialect",
        "Server to imitate: ciam, rfc, or mcp?",
        purpose.dialect,
        options.dialect,
        _dialect,
    )
    rotates = options.rotate
    if rotates is None:
        proposal = "yes" if purpose.rotates else "no"
        rotates = answer(
            "--rotate", "New refresh token at each refresh?", proposal, None, _yes_or_no
        )
    return Plan(
        purpose=purpose,
        redirect_uri=redirect_uri,
        dialect=dialect,
        rotates=rotates,
        has_schema=options.schema,
    )


def _ask(question: str, proposal: str, read: Callable[[str], _T]) -> _T:
    """Return an answer, asked for until it can be used."""
    while True:
        text = input(f"{question} [{proposal}] ").strip()
        try:
            return read(text or proposal)
        except FakeOAuthError as error:
            print(f"  {printable(str(error))}")


def _purpose(text: str) -> str:
    names = list(PURPOSES)
    if text.isascii() and text.isdigit() and 1 <= int(text) <= len(names):
        return names[int(text) - 1]
    if text not in names:
        raise FakeOAuthError(f"expected 1 to {len(names)}, or {', '.join(names)}")
    return text


def _redirect_uri(text: str, purpose: Purpose) -> str:
    """Return a redirect URI; an origin gets a path."""
    uri = f"{text.rstrip('/')}/callback" if origin_of(text) == text.rstrip("/") else text
    if not (uri.isascii() and uri.isprintable()):
        raise FakeOAuthError("expected printable ASCII; percent-encode other characters")
    if _HOST_AND_PORT.fullmatch(uri):
        raise FakeOAuthError(f"{text} has no scheme; did you mean http://{text}?")
    for problem in Client(client_id="web", redirect_uris=(uri,)).problems():
        raise FakeOAuthError(problem.message)
    if purpose.is_public and origin_of(uri) is None:
        raise FakeOAuthError(f"expected http:// or https:// for a page of a browser, got {uri!r}")
    return uri


def _dialect(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise FakeOAuthError(f"expected {DIALECT_NAMES}")
    load_dialect(text)
    return text


def _yes_or_no(text: str) -> bool:
    word = text.lower()
    if word not in ("y", "yes", "n", "no"):
        raise FakeOAuthError("expected yes or no")
    return word.startswith("y")


# What to do next


def _next_steps(plan: Plan, path: Path) -> list[str]:
    # A name that begins with a hyphen would be an option.
    file = shlex.quote(str(path) if str(path)[0] != "-" else f"./{path}")
    if plan.purpose is PURPOSES["pytest"]:
        return [
            "Add these lines to pytest.ini, whose folder the path starts at:",
            "",
            "  [pytest]",
            f"  oauth_server_settings = {path}",
            "",
            "or these to pyproject.toml:",
            "",
            "  [tool.pytest.ini_options]",
            f"  oauth_server_settings = {json.dumps(str(path), ensure_ascii=False)}",
            "",
            "The fixture oauth_server then has the client and the user of the file.",
        ]
    secret = f"client secret {plan.client_secret}" if plan.client_secret else "no client secret"
    path_of_issuer = load_dialect(plan.dialect).issuer_path
    issuer = (plan.issuer or f"http://127.0.0.1:{{port}}{path_of_issuer}").replace("{port}", "8080")
    lines = [
        "Start the server; it follows changes of the file:",
        "",
        f"  fake-oauth serve --settings {file} --reload",
        "",
    ]
    if plan.redirect_uri is None:
        return [
            *lines,
            "Configure your MCP server; MCP clients register themselves:",
            "",
            f"  issuer     {issuer}",
            f"  client ID  {plan.client_id}, {secret}, to introspect tokens",
        ]
    return [
        *lines,
        "Configure your application:",
        "",
        f"  issuer        {issuer}",
        f"  client ID     {plan.client_id}, {secret}",
        f"  redirect URI  {plan.redirect_uri}",
    ]
