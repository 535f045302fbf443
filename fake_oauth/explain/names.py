"""The explanation of a name: an error code, a cause, a check of client behavior, or a fault."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, Final

from fake_oauth.behavior.checks import CHECKS
from fake_oauth.dialects import DIALECTS
from fake_oauth.explain.causes import CAUSES
from fake_oauth.explain.codes import CODES
from fake_oauth.explain.page import Section, Verbatim
from fake_oauth.faults.kinds import KINDS
from fake_oauth.provider.errors import Cause

NAMES: Final[Sequence[str]] = (*CODES, *CAUSES, *CHECKS, *KINDS)
"""Every name that can be explained."""

Explanation = list[Section | Verbatim]


def listed() -> Explanation:
    """Return every name, by what it names."""
    return [
        Section("Error codes", [", ".join(CODES)]),
        Section("Causes, in the journal and the console", [", ".join(CAUSES)]),
        Section("Checks of client behavior", [", ".join(CHECKS)]),
        Section("Faults", [", ".join(KINDS)]),
    ]


def explained(name: str) -> Explanation | None:
    """Return the explanation of a name; None if it is not known."""
    for cause in CAUSES:
        if name == cause and name not in CODES:
            return _cause(cause)
    if name in CODES:
        return code(name)
    if name in CHECKS:
        return _check(name)
    kind = next((known for known in KINDS if known.lower() == name.lower()), None)
    return None if kind is None else _fault(kind)


def error(name: str, *, lists_causes: bool = True) -> Explanation:
    """Return the explanation of any error code."""
    if name in CODES:
        return code(name, lists_causes=lists_causes)
    text = "It is not a registered OAuth error code. Clients treat it as a refusal."
    return [Section("An error code that is not known here", [text])]


def causes_of(name: str) -> Collection[str]:
    """Return the causes of an error code in any dialect; none if the code is not known."""
    if name not in CODES:
        return ()
    return {*CODES[name].causes, *(cause for cause, _ in _moved(name))}


def code(name: str, *, lists_causes: bool = True) -> Explanation:
    """Return the explanation of a known error code, without its causes if one is known."""
    row = CODES[name]
    causes = Section("Causes that this server knows; its journal and console name them")
    if lists_causes:
        causes.rows += [(cause, CAUSES[cause]) for cause in row.causes]
        causes.rows += _moved(name)
    step = f'faults.Refuse("{name}")'
    if row.endpoint != "token":
        step = f'faults.Rule({step}, endpoint="{row.endpoint}")'
    others = [] if lists_causes else [f"fake-oauth explain {name}, for its other causes"]
    toml = ["[[faults]]", 'fault = "Refuse"', f'error = "{name}"']
    toml += [] if row.endpoint == "token" else [f'endpoint = "{row.endpoint}"']
    return [
        Section(f"{name}: an OAuth error code ({row.source})", [row.meaning]),
        Section("What a client should do", [row.client]),
        *([causes] if causes.rows else []),
        Verbatim("Make it happen, in a test", [f"server.script({step})"]),
        Verbatim("Make it happen, in a settings file", toml),
        Section("Read on", [*others, row.page, "docs/reference/faults.md"]),
    ]


def _moved(name: str) -> Iterator[tuple[str, str]]:
    """Yield the causes that a dialect gives another code than the standards."""
    for dialect in DIALECTS.values():
        for cause, moved in dialect.codes.items():
            if moved == name:
                yield cause, f"{CAUSES[cause]} (only in the dialect {dialect.name})"


def _cause(cause: Cause) -> Explanation:
    where = Section("Error codes")
    for name, row in CODES.items():
        if cause in row.causes:
            where.rows.append((name, row.meaning))
    for dialect in DIALECTS.values():
        if cause in dialect.codes:
            moved = dialect.codes[cause]
            text = "a response without a body" if moved is None else f"{moved} instead"
            where.rows.append((f"in {dialect.name}", text))
    return [
        Section(
            f"{cause}: a cause, the reason for which this server refuses",
            [f"{CAUSES[cause][0].upper()}{CAUSES[cause][1:]}."],
        ),
        *([where] if where.rows else []),
        Section(
            "Where it shows",
            ["In the journal, the console, and as Exchange.cause. A response does not have it."],
        ),
        Section("Read on", ["docs/reference/dialects.md, section Causes"]),
    ]


def _check(name: str) -> Explanation:
    check = CHECKS[name]
    reported = (
        "violations() reports it, and so does the report of a failing test."
        if check.counts_by_default
        else "Correct clients differ in it: only its assertion reports it."
    )
    return [
        Section(f"{name}: a check of client behavior", [check.sentence]),
        Section("What it judges", [f"Each {check.judges}.", reported]),
        Verbatim("Use it, in a test", [f"server.assert_client.{name}()"]),
        Section("Read on", ["docs/reference/behavior.md"]),
    ]


def _argument(field: Field[Any]) -> str:
    """Return an argument of a fault as its table in the manual has it."""
    if field.default is not MISSING:
        return f"{field.name}={field.default!r}"
    return field.name if field.default_factory is MISSING else f"{field.name}={{}}"


def _fault(name: str) -> Explanation:
    kind = KINDS[name]
    paragraphs = (inspect.getdoc(kind) or "").split("\n\n")
    where = [f"Stage: {kind.stage}."]
    if kind.endpoints:
        where.append(f"Only responses of: {', '.join(kind.endpoints)}.")
    if kind.needs_socket:
        where.append("It needs a socket: it cannot be delivered in process.")
    arguments = ", ".join(map(_argument, fields(kind)))
    return [
        Section(f"{name}: a fault", [" ".join(text.split()) for text in paragraphs]),
        Section("Where it acts", list(where)),
        Verbatim("Use it, in a test", [f"server.script(faults.{name}({arguments}))"]),
        Section("Read on", ["docs/reference/faults.md, docs/howto/recipes.md"]),
    ]
