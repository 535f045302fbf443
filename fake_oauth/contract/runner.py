"""Running cases against a target, and the report: text, JSON, JUnit XML."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final, get_args
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree as ET

from fake_oauth.contract.cases import Case, Request, Verdict
from fake_oauth.contract.client import ReceivedResponse, UnreachableError
from fake_oauth.contract.compare import Difference, differences
from fake_oauth.contract.placeholders import SECRETS, Level, fill, leaves, url_parameters
from fake_oauth.contract.signatures import signature_differences
from fake_oauth.contract.targets import SkippedError, Target
from fake_oauth.contract.terminal import curl, printable, shortened
from fake_oauth.parameters import names_of

# How many cases may get no response at a path before no more requests are sent there.
_PATIENCE: Final = 3
_HIDDEN: Final = "REDACTED"
# Tokens by their form: a JWT, a long text without spaces.
_TOKEN: Final = re.compile(r"\b[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}|\b[\w-]{40,}")
# A shorter secret is only looked for as a whole word, because other words contain it by chance.
_WORD_LENGTH: Final = 6
_SECRET_MEMBERS: Final = frozenset(names_of("token", "secret"))
# How many secrets of one response are looked for, and how much of a text is kept.
_MOST_SECRETS: Final = 20
_KEPT: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a case."""

    case: Case
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    """Where the response differs, without the tokens and secrets in it."""
    has_response: bool = False
    reason: str = ""
    """Why the case was skipped, and what it needs."""
    values: Mapping[str, str] | None = None
    """The values that replaced the documented ones; None if no request was sent."""


def run(cases: Iterable[Case], target: Target, level: Level | None = None) -> Iterator[Outcome]:
    """Run each case against a target; the level is by default that of the target.

    A path at which the target does not respond is given up after three cases.
    """
    unanswered: Counter[str] = Counter()
    for case in cases:
        path = case.request.path.partition("?")[0]
        if unanswered[path] == _PATIENCE:
            reason = f"needs a server that responds at {path}"
            yield Outcome(case=case, verdict="skipped", reason=reason)
            continue
        outcome = run_case(case, target, level)
        unanswered[path] += outcome.verdict == "differs" and not outcome.has_response
        yield outcome


def run_case(case: Case, target: Target, level: Level | None = None) -> Outcome:
    """Run one case against a target. If there is no response, that is a difference."""
    values = None
    try:
        with target.prepare(case) as values:
            for request in case.before:
                target.send(fill(request, values))
            response = target.send(fill(case.request, values))
            found = differences(case.response, response, values, level or target.level)
            found += _signature_differences(case, response, target)
    except SkippedError as error:
        return Outcome(case=case, verdict="skipped", reason=str(error))
    except UnreachableError as error:
        none = Difference("response", f"status {case.response.status}", f"none: {error}")
        return Outcome(case=case, verdict="differs", differences=(none,), values=values)
    return Outcome(
        case=case,
        verdict="differs" if found else "matches",
        differences=tuple(_without_secrets(found, response)),
        has_response=True,
        values=values,
    )


def _signature_differences(
    case: Case, response: ReceivedResponse, target: Target
) -> Iterator[Difference]:
    """Verify the tokens that the case shows, with the keys that the target publishes."""
    members, path = list(case.response.claims), target.dialect.paths.get("jwks")
    if members and path is not None:
        jwks = target.send(Request(method="GET", path=path)).json
        yield from signature_differences(members, response.members, jwks)


class Report:
    """The outcomes of a run. It shows no secret that was given, and no token that was received."""

    def __init__(
        self,
        url: str,
        outcomes: Iterable[Outcome],
        values: Mapping[str, str],
        *,
        contract: str = "",
        level: str = "",
    ) -> None:
        """`contract` says which cases were run."""
        self.url = url
        self.contract = contract
        self.level = level
        self.outcomes: Sequence[Outcome] = tuple(outcomes)
        secrets = [value for name, value in values.items() if name in SECRETS and value]
        self._secrets = {form: "***" for secret in secrets for form in _forms(secret)}

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of cases by verdict."""
        counted = Counter(outcome.verdict for outcome in self.outcomes)
        return {verdict: counted[verdict] for verdict in get_args(Verdict)}

    @property
    def summary(self) -> str:
        """The counts in one line."""
        counts = self.counts
        return (
            f"{self.url}: {counts['matches']} match, {counts['differs']} differ, "
            f"{counts['skipped']} skipped ({self.contract}, {self.level})"
        )

    def shown(self, text: str) -> str:
        """Return a text as it may be printed: short, without secrets, and printable."""
        text = shortened(_hide(text, self._secrets))
        return printable(_TOKEN.sub(lambda match: f"{match[0][:6]}…", text))

    def differences(self, outcome: Outcome) -> list[Difference]:
        """Return where a response differs from its case, as it may be printed."""
        return [
            Difference(
                printable(shortened(one.where, 200)),
                self.shown(one.expected),
                self.shown(one.actual),
            )
            for one in outcome.differences
        ]

    def as_text(self, outcome: Outcome) -> str:
        """Return the differences as text, one paragraph each."""
        return "\n\n".join(
            f"{one.where}\n{_side('expected', one.expected)}\n{_side('actual', one.actual)}"
            for one in self.differences(outcome)
        )

    def requests(
        self, outcome: Outcome, url_of: Callable[[str], str], *, has_secrets: bool = False
    ) -> list[str]:
        """Return the requests of a case as curl commands; secrets are `REDACTED` by default."""
        if outcome.values is None:
            return []
        hidden = {} if has_secrets else dict.fromkeys(SECRETS & outcome.values.keys(), _HIDDEN)
        filled = (
            fill(request, {**outcome.values, **hidden})
            for request in (*outcome.case.before, outcome.case.request)
        )
        return [curl(request, url_of(request.path)) for request in filled]

    def as_json(self) -> dict[str, Any]:
        """Return the whole run as plain data."""
        return {
            "url": self.url,
            "contract": self.contract,
            "level": self.level,
            "counts": dict(self.counts),
            "cases": [
                {
                    "case": outcome.case.name,
                    "title": outcome.case.title,
                    "source": outcome.case.source,
                    "verdict": outcome.verdict,
                    "reason": printable(outcome.reason),
                    "differences": [asdict(one) for one in self.differences(outcome)],
                }
                for outcome in self.outcomes
            ],
        }

    def as_junit(self) -> bytes:
        """Return the whole run as JUnit XML, one test case per case."""
        counts = self.counts
        suite = ET.Element(
            "testsuite",
            name=f"fake_oauth contract {self.url}",
            tests=str(len(self.outcomes)),
            failures=str(counts["differs"]),
            skipped=str(counts["skipped"]),
            errors="0",
        )
        for outcome in self.outcomes:
            group, _, name = outcome.case.name.partition(".")
            case = ET.SubElement(suite, "testcase", classname=f"contract.{group}", name=name)
            if outcome.verdict == "skipped":
                ET.SubElement(case, "skipped", message=printable(outcome.reason))
            elif outcome.verdict == "differs":
                failure = ET.SubElement(case, "failure", message=outcome.case.title)
                failure.text = self.as_text(outcome)
        document: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
        return document


def _without_secrets(
    found: Iterable[Difference], response: ReceivedResponse
) -> Iterator[Difference]:
    """Yield the differences without what is secret in a response, by the names of its members.

    A hostile response is large, so only the beginning of each text is kept.
    """
    query = url_parameters(response.fields.get("location", ""))
    secrets = (
        value
        for name, value in (*query, *leaves(response.json))
        if name in _SECRET_MEMBERS and isinstance(value, str) and value
        if not _TOKEN.fullmatch(value)
    )
    hidden = {
        form: f"({len(secret)} characters)"
        for secret in islice(dict.fromkeys(secrets), _MOST_SECRETS)
        for form in _forms(secret)
    }
    for one in found:
        where, actual = one.where[:_KEPT], _hide(one.actual, hidden)[:_KEPT]
        yield Difference(where, one.expected, actual)


def _hide(text: str, known: Mapping[str, str]) -> str:
    """Return a text in which others replace the known values, the longest first."""
    for value in sorted(known, key=len, reverse=True):
        if len(value) >= _WORD_LENGTH:
            text = text.replace(value, known[value])
        else:
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", known[value], text)
    return text


def _forms(secret: str) -> set[str]:
    """Return how a secret may be written: as it is, in JSON, in a URL, in a form."""
    in_json = {json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False)}
    escaped = {form.replace("/", "\\/") for form in in_json}
    in_url = {write(secret, errors="replace") for write in (quote, quote_plus)}
    return {secret, *in_json, *escaped, *in_url}


def _side(name: str, text: str) -> str:
    if "\n" in text:
        return f"  {name}:\n{textwrap.indent(text, '    ')}"
    return f"  {name}: {text}"
