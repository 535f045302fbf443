"""`KINDS`, every fault by its name, and rules as plain data: what a TOML table or JSON holds.

To add a fault, write its class at its seam and give it a row here, a case in `tests/test_faults.py`
and a row in `docs/faults.md`; tests ask for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from fake_oauth.faults import damage, hangups, refusals, tampering
from fake_oauth.faults.rule import Conditions, Rule
from fake_oauth.faults.seams import Fault
from fake_oauth.provider.errors import Problem, unknown

KINDS: Final[Mapping[str, type[Fault]]] = {
    "ok": refusals.Ok,
    "Refuse": refusals.Refuse,
    "Status": refusals.Status,
    "Slow": refusals.Slow,
    "Expired": tampering.Expired,
    "NotYetValid": tampering.NotYetValid,
    "BadSignature": tampering.BadSignature,
    "UnknownKey": tampering.UnknownKey,
    "NoKeyId": tampering.NoKeyId,
    "AlgNone": tampering.AlgNone,
    "HmacConfusion": tampering.HmacConfusion,
    "WrongIssuer": tampering.WrongIssuer,
    "WrongAudience": tampering.WrongAudience,
    "Claim": tampering.Claim,
    "NoClaim": tampering.NoClaim,
    "Field": damage.Field,
    "Missing": damage.Missing,
    "DuplicateKey": damage.DuplicateKey,
    "NotJSON": damage.NotJSON,
    "Html": damage.Html,
    "Empty": damage.Empty,
    "WrongContentType": damage.WrongContentType,
    "WrongCharset": damage.WrongCharset,
    "BrokenGzip": damage.BrokenGzip,
    "Huge": damage.Huge,
    "Truncated": hangups.Truncated,
    "Drip": hangups.Drip,
    "HangUp": hangups.HangUp,
    "Reset": hangups.Reset,
    "Garbage": hangups.Garbage,
    "BadChunk": hangups.BadChunk,
    "Hang": hangups.Hang,
    "Down": hangups.Down,
}

_CONDITIONS: Final = tuple(condition.name for condition in fields(Conditions))


def read_rules(data: object) -> tuple[list[Rule], list[Problem]]:
    """Rules from a list of tables, and all that is wrong with them by itself."""
    if not isinstance(data, list | tuple):
        return [], [Problem("$.faults", f"expected a list of tables, got {data!r}")]
    rules, problems = [], []
    for index, table in enumerate(data):
        rule, wrong = _read(table)
        problems += [_placed(problem, index) for problem in wrong]
        if rule is not None:
            rules.append(rule)
    return rules, problems


def rules_of(steps: Iterable[Any], *, always: bool = False) -> tuple[list[Rule], list[Problem]]:
    """Rules from faults and rules that were made in Python, judged like those that are read."""
    rules, problems = [], []
    for index, step in enumerate(steps):
        rule = Rule(step, always=always) if isinstance(step, Fault) else step
        if not (isinstance(rule, Rule) and type(rule.fault) in KINDS.values()):
            hint = " (did you forget its parentheses?)" if step in KINDS.values() else ""
            problems.append(_placed(Problem("$", f"expected a fault, got {step!r}{hint}"), index))
            continue
        predicate: object = rule.when
        if predicate is not None and not callable(predicate):
            message = f"expected a function of the request, got {predicate!r}"
            problems.append(_placed(Problem("$.when", message), index))
        problems += [_placed(problem, index) for problem in _read(plain(rule))[1]]
        rules.append(rule)
    return rules, problems


def plain(rule: Rule) -> dict[str, Any]:
    """A rule as a table: the fault's name and arguments, and what is not at its default."""
    from fake_oauth.structuring import unstructured  # not before somebody scripts a fault

    (name,) = (name for name, kind in KINDS.items() if kind is type(rule.fault))
    return {"fault": name, **unstructured(rule.fault), **rule.told()}


def _read(table: object) -> tuple[Rule | None, list[Problem]]:
    """A rule from its table; paths start at the table."""
    from fake_oauth.structuring import structure  # not before somebody scripts a fault

    if not isinstance(table, Mapping):
        return None, [Problem("$", f"expected a table, got {table!r}")]
    name = table.get("fault")
    if not isinstance(name, str) or name not in KINDS:
        message = "missing" if name is None else f"{name!r} is not known"
        return None, [Problem("$.fault", f"{message}, {unknown(str(name or ''), list(KINDS))}")]
    known = [argument.name for argument in fields(KINDS[name])]
    strange = [key for key in table if key not in (*known, *_CONDITIONS, "fault")]
    fault, wrong = structure({key: table[key] for key in table if key in known}, KINDS[name])
    conditions, wrong_conditions = structure(
        {key: table[key] for key in table if key in _CONDITIONS}, Conditions
    )
    problems = [*wrong, *wrong_conditions] + [
        Problem(f"$.{key}", f"unknown key, {unknown(key, [*known, *_CONDITIONS])}")
        for key in strange
    ]
    if fault is None or conditions is None or problems:
        return None, problems
    rule = Rule(fault, **conditions.told())
    problems = [Problem(f"$.{problem.path}", problem.message) for problem in rule.problems()]
    return None if problems else rule, problems


def _placed(problem: Problem, index: int) -> Problem:
    return Problem(f"$.faults[{index}]{problem.path.removeprefix('$')}", problem.message)
