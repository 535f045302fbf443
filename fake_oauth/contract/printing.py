"""A run on the terminal: a table of its pages, and what differs side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from fake_oauth.contract.report import Report
from fake_oauth.contract.running import Outcome
from fake_oauth.provider.errors import FakeOAuthError

# In a file or a pipe, where nothing says how wide it may be.
_WIDTH: Final = 120
_MARKS: Final = {"holds": "[green]holds[/]", "differs": "[red]differs[/]", "skipped": "skipped"}


def watched(outcomes: Iterable[Outcome], count: int) -> Iterable[Outcome]:
    """The same, with a bar that says how far it is; on a terminal, where rich is installed."""
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return outcomes
    console = Console(stderr=True)
    is_shown = console.is_terminal
    return track(outcomes, "", count, console=console, transient=True, disable=not is_shown)


def can_be_shown() -> None:
    """Raises FakeOAuthError where rich is not installed, before a run and not after it."""
    try:
        import rich.console  # noqa: F401
    except ImportError:
        raise FakeOAuthError(
            'the table needs rich: pip install "fake_oauth[check]", or ask for --json FILE'
        ) from None


def show(report: Report, hint: str = "") -> None:
    """Print it, and what else could be run. Raises OSError where nobody reads it."""
    from rich.console import Console  # only where something is shown
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDTH
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("page", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("")
    for outcome in report.outcomes:
        note = outcome.why or ("" if outcome.verdict == "holds" else outcome.page.source)
        table.add_row(outcome.page.name, _MARKS[outcome.verdict], escape(note))
    console.print(table)
    for outcome in report.outcomes:
        if outcome.verdict == "differs":
            page = outcome.page
            console.print(f"\n[bold]{escape(page.name)}: {escape(page.title)}[/]")
            sides = Table(show_lines=True)
            for heading in ("where", "expected", "actual"):
                sides.add_column(heading, overflow="fold")
            for one in report.differences(outcome):
                sides.add_row(escape(one.where), escape(one.expected), escape(one.actual))
            console.print(sides)
    counted = report.counted
    console.print(
        f"\n{report.url}: {counted['holds']} hold, {counted['differs']} differ, "
        f"{counted['skipped']} skipped ({report.held_to})"
    )
    if hint and counted["skipped"]:
        console.print(hint)
