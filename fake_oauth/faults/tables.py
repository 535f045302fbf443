"""Rules as tables: what a settings file and the JSON of the control API hold.

A table has the name of the fault as `fault`, its arguments, and the conditions of the rule side by
side:

    fault = "Status"
    code = 503
    times = 2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fake_oauth.faults.base import Conditions, Fault, ResponseFault, Rule, TokenFault
from fake_oauth.faults.kinds import KINDS
from fake_oauth.faults.responses import Combined
from fake_oauth.structure import (
    StructureError,
    attempt,
    is_union,
    new_converter,
    suggestion,
    unstructure,
)

if TYPE_CHECKING:
    from cattrs import Converter

_CONDITIONS: Final = tuple(condition.name for condition in fields(Conditions))
PARTS: Final = {
    name: kind
    for name, kind in KINDS.items()
    if issubclass(kind, ResponseFault | TokenFault) and kind is not Combined
}
"""The faults that `Combined` can have as parts, by name."""


@cache
def converter() -> Converter:
    """Return the converter that reads rules, wherever they are in the data.

    It makes a `Rule` of each table, also where a bare fault may be. Every rule that it makes has no
    problems in itself.
    """
    made = new_converter()
    made.register_structure_hook_func(is_rule, lambda table, _: _rule(table))
    made.register_structure_hook_func(is_part, lambda table, _: _part(table))
    return made


def plain(rule: Rule) -> dict[str, Any]:
    """Return the table of a rule, without what is at its default."""
    return {**_table(rule.fault), **unstructure(rule.changed())}


def _table(fault: Fault) -> dict[str, Any]:
    arguments = unstructure(fault)
    if isinstance(fault, Combined):
        arguments["parts"] = [_table(part) for part in fault.parts]
    return {"fault": type(fault).__name__, **arguments}


def is_rule(kind: Any) -> bool:
    """Return whether an annotation is a step of a script."""
    return kind is Rule or (is_union(kind) and set(kind.__args__) == {Rule, Fault})


def is_part(kind: Any) -> bool:
    """Return whether an annotation is a part of `Combined`."""
    return is_union(kind) and set(kind.__args__) == {ResponseFault, TokenFault}


def _rule(table: object) -> Rule:
    kind, names = _kind(table, KINDS)
    assert isinstance(table, Mapping)
    fault, found = attempt({n: table[n] for n in table if n in names}, kind, converter())
    conditions, more = attempt(
        {n: table[n] for n in table if n in _CONDITIONS}, Conditions, converter()
    )
    found += more
    known = (*names, *_CONDITIONS)
    found += [
        ((name,), f"unknown key; {suggestion(str(name), known)}")
        for name in table
        if name not in ("fault", *known)
    ]
    if fault is None or conditions is None or found:
        raise StructureError(found)
    rule = Rule(fault, **conditions.changed())
    if problems := list(rule.problems()):
        raise StructureError([((problem.path,), problem.message) for problem in problems])
    return rule


def _part(table: object) -> Fault:
    kind, _ = _kind(table, PARTS)
    assert isinstance(table, Mapping)
    part, found = attempt({n: table[n] for n in table if n != "fault"}, kind, converter())
    if part is None:
        raise StructureError(found)
    assert isinstance(part, Fault)
    return part


def _kind(table: object, kinds: Mapping[str, type[Fault]]) -> tuple[type[Fault], tuple[str, ...]]:
    """Return the class that a table names, and the names of its arguments."""
    if not isinstance(table, Mapping):
        raise StructureError([((), f"expected a table, got {table!r}")])
    name = table.get("fault")
    if not isinstance(name, str) or name not in kinds:
        message = "required, but missing" if name is None else f"unknown fault {name!r}"
        hint = suggestion(str(name or ""), tuple(kinds), page="docs/reference/faults.md")
        raise StructureError([(("fault",), f"{message}; {hint}")])
    return kinds[name], tuple(argument.name for argument in fields(kinds[name]))
