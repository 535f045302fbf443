"""Holding pages against a host, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from fake_oauth.contract.comparing import Answer, Difference, Level, differences
from fake_oauth.contract.hosts import Host, SkippedError
from fake_oauth.contract.pages import Page
from fake_oauth.contract.signatures import wrong_signatures
from fake_oauth.contract.values import filled

Verdict = Literal["holds", "differs", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a page."""

    page: Page
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    why: str = ""
    """Why it was skipped, and what it would take."""
    answer: Answer | None = None


def run(pages: Iterable[Page], host: Host, level: Level | None = None) -> Iterator[Outcome]:
    """Hold each page against a host, at its own level unless another is given.

    Raises UnreachableError if it does not answer.
    """
    for page in pages:
        yield run_one(page, host, level)


def run_one(page: Page, host: Host, level: Level | None = None) -> Outcome:
    """Hold one page against a host."""
    try:
        with host.ready(page) as values:
            answer = host.send(filled(page.request, values))
            found = differences(page.response, answer, values, level or host.level)
            found = found or list(wrong_signatures(page, answer, host))
    except SkippedError as error:
        return Outcome(page=page, verdict="skipped", why=str(error))
    verdict: Verdict = "differs" if found else "holds"
    return Outcome(page=page, verdict=verdict, differences=tuple(found), answer=answer)
