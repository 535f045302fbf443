"""Holding pages against a host, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from fake_oauth.contract.comparing import Answer, differences
from fake_oauth.contract.holes import Level
from fake_oauth.contract.hosts import Host, SkippedError
from fake_oauth.contract.members import Difference
from fake_oauth.contract.pages import Page
from fake_oauth.contract.signatures import wrong_signatures
from fake_oauth.contract.transports import UnreachableError
from fake_oauth.contract.values import filled

Verdict = Literal["holds", "differs", "skipped"]

# How many pages a server may leave without an answer until it is not asked there any more.
_PATIENCE: Final = 3


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

    Where it does not answer it is not asked for long.
    """
    unanswered: Counter[str] = Counter()
    for page in pages:
        path = page.request.path.partition("?")[0]
        if unanswered[path] == _PATIENCE:
            why = f"needs a server that answers at {path}"
            yield Outcome(page=page, verdict="skipped", why=why)
            continue
        outcome = run_one(page, host, level)
        unanswered[path] += outcome.verdict == "differs" and outcome.answer is None
        yield outcome


def run_one(page: Page, host: Host, level: Level | None = None) -> Outcome:
    """Hold one page against a host; no answer at all is a difference too."""
    try:
        with host.ready(page) as values:
            for request in page.before:
                host.send(filled(request, values))
            answer = host.send(filled(page.request, values))
            found = differences(page.response, answer, values, level or host.level)
            found += wrong_signatures(page, answer, host)
    except SkippedError as error:
        return Outcome(page=page, verdict="skipped", why=str(error))
    except UnreachableError as error:
        none = Difference("answer", f"status {page.response.status}", f"none: {error}")
        return Outcome(page=page, verdict="differs", differences=(none,))
    verdict: Verdict = "differs" if found else "holds"
    return Outcome(page=page, verdict=verdict, differences=tuple(found), answer=answer)
