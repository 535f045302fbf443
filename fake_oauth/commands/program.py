"""The program `fake-oauth`: its parser with every command, and what an error prints.

To add a command, write a module with `add(commands)` here, and add that to `COMMANDS`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from fake_oauth import __version__
from fake_oauth.commands import completion, explain, init, openapi, schema, serve
from fake_oauth.commands.output import discard_output
from fake_oauth.commands.parser import Parser
from fake_oauth.contract.options import add_commands
from fake_oauth.journal import printable
from fake_oauth.provider.errors import FakeOAuthError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fake-oauth`. Return its exit code.

    0: success. 1: a server differs from the contract. 2: a problem that you can fix. 130: Ctrl-C.
    141: the reader of the output has closed it, such as `| head -1`. That is what a shell reports
    for a program that SIGPIPE ended, and 1 would say that a server differs.
    """
    try:
        try:
            return _run(arguments)
        finally:
            # A short output is only written here. At exit, Python would print a failure itself.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        return 141
    except OSError as error:  # From printing: files have messages of their own.
        discard_output()
        print(f"fake-oauth: {error.strerror or error}", file=sys.stderr)
        return 2


def _run(arguments: Sequence[str] | None) -> int:
    """Run a command. Return its exit code. Raise OSError if its output cannot be written."""
    options = program().parse_args(arguments)
    # `--dialect package.module:Class` names a module of the caller's project.
    sys.path.insert(0, str(Path.cwd()))
    try:
        code: int = options.run(options)
    except FakeOAuthError as error:
        # A message can quote a file or another server.
        lines = "\n".join(map(printable, str(error).split("\n")))
        print(f"fake-oauth: {lines}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fake-oauth: interrupted", file=sys.stderr)
        return 130
    return code


def program() -> Parser:
    """Return the parser of the program, with every command."""
    parser = Parser(
        prog="fake-oauth",
        description="A fake OAuth 2.0 / OpenID Connect server for tests.",
        examples=(
            ("fake-oauth init", "write a settings file, after a few questions"),
            ("fake-oauth serve", "run a stub server at http://127.0.0.1:8080"),
            (
                "fake-oauth check http://127.0.0.1:8080 --spend",
                "test that server, or another one, against the documented exchanges",
            ),
            ("fake-oauth explain invalid_grant", "say what an error code, or a token, means"),
            ("fake-oauth serve --help", "list the options of a command, with examples"),
        ),
    )
    parser.add_argument("--version", action="version", version=f"fake-oauth {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    parser.set_defaults(program=parser)
    for add in COMMANDS:
        add(commands)
    return parser


def _check(options: argparse.Namespace) -> int:
    from fake_oauth.contract.cli import check  # the server starts without it

    return check(options)


def _record(options: argparse.Namespace) -> int:
    from fake_oauth.contract.cli import record

    return record(options)


COMMANDS: Final[Sequence[Callable[[Any], None]]] = (
    init.add,
    serve.add,
    explain.add,
    partial(add_commands, check=_check, record=_record),
    openapi.add,
    schema.add,
    completion.add,
)
"""What adds each command to the parser, in the order of `--help`."""
