"""`fake-oauth completion`: print a script with which a shell completes commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fake_oauth.provider.errors import FakeOAuthError

_SHELLS: Final = ("bash", "zsh", "fish", "tcsh")


def add(commands: Any) -> None:
    """Add the command to the program's parser."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes commands in a shell",
        description="Print a script with which a shell completes commands, options, and file "
        'names. It requires shtab: pip install "fake_oauth[completion]".',
        examples=(
            ('eval "$(fake-oauth completion bash)"', "complete in this bash, or from .bashrc on"),
            (
                "fake-oauth completion zsh > ~/.zfunc/_fake-oauth",
                "complete in each zsh whose fpath has ~/.zfunc",
            ),
            (
                "fake-oauth completion fish > ~/.config/fish/completions/fake-oauth.fish",
                "complete in each fish",
            ),
        ),
    )
    parser.add_argument("shell", choices=_SHELLS, help="shell that reads the script")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        import shtab  # of the extra `completion`
    except ImportError:
        raise FakeOAuthError(
            'completion requires shtab; pip install "fake_oauth[completion]"'
        ) from None
    if options.shell not in shtab.SUPPORTED_SHELLS:
        raise FakeOAuthError(
            f"shtab {shtab.__version__} has no {options.shell}; pip install --upgrade shtab"
        )
    for action in _actions(options.program):
        if action.type is Path or action.dest == "what":
            action.complete = shtab.FILE
    print(shtab.complete(options.program, options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[Any]:
    """Yield every argument of a parser and of its commands."""
    for action in parser._actions:  # noqa: SLF001 # argparse has no other list of them
        yield action
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                if isinstance(command, argparse.ArgumentParser):
                    yield from _actions(command)
