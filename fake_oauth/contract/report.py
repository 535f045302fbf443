"""What came of a run, as data for machines: JSON, JUnit XML; and with secrets left out."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, get_args
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree as ET

from fake_oauth.contract.members import Difference
from fake_oauth.contract.named import secrets_of
from fake_oauth.contract.running import Outcome, Verdict
from fake_oauth.contract.values import SECRETS, hidden

# What a server makes that opens something: JWTs, refresh tokens, codes.
_TOKEN: Final = re.compile(r"\b[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}|\b[\w-]{40,}")
# What steers a terminal, or has no place in XML 1.0 (section 2.2).
_NOT_SHOWN: Final = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Report:
    """The outcomes of a run. No secret that was given, and no token that came, is in it."""

    def __init__(
        self,
        url: str,
        outcomes: Iterable[Outcome],
        values: Mapping[str, str],
        held_to: str = "",
    ) -> None:
        """`held_to` says which pages, and how exactly, in words."""
        self.url = url
        self.held_to = held_to
        self.outcomes: Sequence[Outcome] = tuple(outcomes)
        secrets = [value for name, value in values.items() if name in SECRETS and value]
        self._secrets = {form: "***" for value in secrets for form in _forms(value)}

    @property
    def counted(self) -> Counter[str]:
        """How many pages hold, differ and were skipped."""
        return Counter(outcome.verdict for outcome in self.outcomes)

    def shown(self, text: str) -> str:
        """A text with its secrets left out, and nothing in it that is no text."""
        text = hidden(text, self._secrets)
        text = _NOT_SHOWN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
        return _TOKEN.sub(lambda match: f"{match[0][:6]}…", text)

    def differences(self, outcome: Outcome) -> list[Difference]:
        """Where an answer is not the one of its page, with secrets left out."""
        came = secrets_of(outcome.answer) if outcome.answer is not None else ()
        lengths = {
            form: f"({len(one)} characters)"
            for one in came
            if one and not _TOKEN.fullmatch(one)
            for form in _forms(one)
        }
        return [
            Difference(one.where, self.shown(one.expected), self.shown(hidden(one.actual, lengths)))
            for one in outcome.differences
        ]

    def told(self, outcome: Outcome) -> str:
        """The same as text, a paragraph each."""
        return "\n\n".join(
            f"{one.where}\n{_side('expected', one.expected)}\n{_side('actual', one.actual)}"
            for one in self.differences(outcome)
        )

    def as_json(self) -> dict[str, Any]:
        """The whole run as plain data."""
        return {
            "url": self.url,
            "held_to": self.held_to,
            "counted": {verdict: self.counted[verdict] for verdict in get_args(Verdict)},
            "pages": [
                {
                    "page": outcome.page.name,
                    "title": outcome.page.title,
                    "source": outcome.page.source,
                    "verdict": outcome.verdict,
                    "why": outcome.why,
                    "differences": [asdict(one) for one in self.differences(outcome)],
                }
                for outcome in self.outcomes
            ],
        }

    def as_junit(self) -> bytes:
        """The whole run as JUnit XML, a test case a page."""
        counted = self.counted
        suite = ET.Element(
            "testsuite",
            name=f"fake_oauth contract {self.url}",
            tests=str(len(self.outcomes)),
            failures=str(counted["differs"]),
            skipped=str(counted["skipped"]),
            errors="0",
        )
        for outcome in self.outcomes:
            group, _, name = outcome.page.name.partition(".")
            case = ET.SubElement(suite, "testcase", classname=f"contract.{group}", name=name)
            if outcome.verdict == "skipped":
                ET.SubElement(case, "skipped", message=outcome.why)
            elif outcome.verdict == "differs":
                failure = ET.SubElement(case, "failure", message=outcome.page.title)
                failure.text = self.told(outcome)
        document: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
        return document


def _forms(secret: str) -> set[str]:
    """How a secret may be written: as it is, in JSON, in a URL, in a form."""
    in_json = {json.dumps(secret, ensure_ascii=plain)[1:-1] for plain in (True, False)}
    escaped = {form.replace("/", "\\/") for form in in_json}
    in_url = {write(secret, errors="replace") for write in (quote, quote_plus)}
    return {secret, *in_json, *escaped, *in_url}


def _side(name: str, text: str) -> str:
    if "\n" in text:
        return f"  {name}:\n{textwrap.indent(text, '    ')}"
    return f"  {name}: {text}"
