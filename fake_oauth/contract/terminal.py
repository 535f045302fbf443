"""What `fake-oauth check` prints: a table of cases, differences side by side, requests as curl.

A server under test is not trusted. Text that it sent is printed through `printable`, so that it
cannot control the terminal, and through `shortened`, so that it cannot fill it.
"""

from __future__ import annotations

import os
import shlex
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from fake_oauth.provider.errors import FakeOAuthError

if TYPE_CHECKING:
    from rich.text import Text

    from fake_oauth.contract.cases import Request
    from fake_oauth.contract.runner import Outcome, Report

_T = TypeVar("_T")

# The width in a file or a pipe, where no terminal says how wide it is.
_WIDTH: Final = 120
_LENGTH: Final = 2000
_STYLES: Final = {"matches": "green", "differs": "red", "skipped": ""}


def printable(text: str) -> str:
    r"""Return a text in which every character is visible; `\u001b` replaces an escape.

    Only line breaks and tabs are kept. What is left is also allowed in XML 1.0 (section 2.2).
    """
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escape(ord(character))
        for character in text
    )


def _escape(number: int) -> str:
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def shortened(text: str, length: int = _LENGTH) -> str:
    """Return a text, or its beginning if it is too long to be read."""
    more = len(text) - length
    return text if more <= 0 else f"{text[:length]}… ({more} more characters)"


def curl(request: Request, url: str) -> str:
    """Return the command that sends a request."""
    words = ["curl", "-i", "-X", request.method, url]
    for name, value in request.headers.items():
        scheme, _, credentials = value.partition(" ")
        try:
            is_basic = name == "Authorization" and scheme == "Basic"
            words += ["-u", b64decode(credentials, validate=True).decode()] if is_basic else []
        except ValueError:
            is_basic = False  # The case is about malformed credentials.
        words += [] if is_basic else ["-H", f"{name}: {value}"]
    if request.body is not None:
        words += ["--data-raw", request.body]
    return printable(shlex.join(words))


def require_rich() -> None:
    """Raise FakeOAuthError if the table cannot be printed."""
    try:
        import rich.console  # noqa: F401  # of the extra `check`
    except ImportError:
        raise FakeOAuthError(
            'the table requires rich; pip install "fake_oauth[check]", or use --json FILE'
        ) from None


def with_progress(outcomes: Iterable[_T], count: int) -> Iterable[_T]:
    """Return the outcomes, with a progress bar if this is a terminal and rich is installed."""
    try:
        from rich.console import Console  # of the extra `check`
        from rich.progress import track
    except ImportError:
        return outcomes
    console = Console(stderr=True)
    is_hidden = not console.is_terminal
    return track(outcomes, "", count, console=console, transient=True, disable=is_hidden)


def show(
    report: Report,
    *,
    only: str | None,
    requests: Callable[[Outcome], Sequence[str]],
    hints: Sequence[str],
) -> None:
    """Print a report. Raise OSError if the output is closed.

    `only` selects a verdict; `requests` returns the requests of a case to print.
    """
    from rich.console import Console  # takes 60 ms, so it is not imported with the module
    from rich.table import Table

    class Output(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the program, which ends alike for every command."""
            raise BrokenPipeError

    console = Output(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDTH
    outcomes = [one for one in report.outcomes if only in (None, one.verdict)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("case", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("")
    for outcome in outcomes:
        note = outcome.reason or ("" if outcome.verdict == "matches" else outcome.case.source)
        verdict = _text(outcome.verdict, _STYLES[outcome.verdict])
        table.add_row(_text(outcome.case.name), verdict, _text(note))
    if outcomes:
        console.print(table)
    for outcome in outcomes:
        lines = requests(outcome)
        if lines or outcome.verdict == "differs":
            console.print(_text(f"\n{outcome.case.name}: {outcome.case.title}", "bold"))
        for line in lines:
            console.print(_text(line), soft_wrap=True)
        if outcome.verdict == "differs":
            console.print(_sides(report, outcome))
    console.print(_text(f"\n{report.summary}" if outcomes else report.summary))
    for hint in hints:
        console.print(_text(hint))


def _sides(report: Report, outcome: Outcome) -> object:
    from rich.table import Table  # see above

    sides = Table(show_lines=True)
    for heading in ("where", "expected", "actual"):
        sides.add_column(heading, overflow="fold")
    for one in report.differences(outcome):
        sides.add_row(_text(one.where), _text(one.expected), _text(one.actual))
    return sides


def _text(text: str, style: str = "") -> Text:
    """Return text that rich prints as it is, square brackets included."""
    from rich.text import Text  # see above

    return Text(printable(text), style)
