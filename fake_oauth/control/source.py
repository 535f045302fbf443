"""Values as Python source: the expressions that make them, over several lines if they are long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from textwrap import indent
from typing import Any, Final

from fake_oauth.faults.base import Fault, Rule
from fake_oauth.structure import changed_fields

_WIDTH: Final = 88


def literal(text: str) -> str:
    """Return a text as a literal without anything in it that could end or control it."""
    shown = repr(text)
    if shown.startswith("'") and '"' not in shown and "\\" not in shown:
        return f'"{shown[1:-1]}"'
    return shown


def call(function: str, arguments: Iterable[str]) -> str:
    """Return a call, with one argument on a line if it is too long for one line."""
    return _enclosed(f"{function}(", list(arguments), ")")


def post(url: str, members: Mapping[str, str]) -> str:
    """Return a request of httpx that posts a form."""
    return call("httpx.post", [url, f"data={mapping(members)}"])


def mapping(members: Mapping[str, str]) -> str:
    """Return a dict of expressions."""
    line = f"{{{', '.join(f'{name}: {value}' for name, value in members.items())}}}"
    if len(line) <= 70 and "\n" not in line:
        return line
    inside = "".join(f"    {name}: {value},\n" for name, value in members.items())
    return f"{{\n{inside}}}"


def expression(value: Any) -> str:
    """Return the expression that makes a value: a client, a user, a policy, a fault, or data."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, Mapping):
        pairs = [f"{expression(name)}: {expression(item)}" for name, item in value.items()]
        return _enclosed("{", pairs, "}")
    if isinstance(value, list | tuple):
        return _enclosed("[", [expression(item) for item in value], "]")
    if isinstance(value, Rule):
        conditions = [f"{name}={expression(item)}" for name, item in value.changed().items()]
        fault = expression(value.fault)
        return call("faults.Rule", [fault, *conditions]) if conditions else fault
    if is_dataclass(value):
        changed = changed_fields(value)
        prefix = "faults." if isinstance(value, Fault) else ""
        positional = []
        if isinstance(value, Fault):
            required = [f.name for f in fields(value) if f.default is f.default_factory is MISSING]
            positional = [expression(changed.pop(name)) for name in required]
        named = [f"{name}={expression(item)}" for name, item in changed.items()]
        return call(f"{prefix}{type(value).__name__}", [*positional, *named])
    return repr(value)


def _enclosed(start: str, parts: list[str], end: str) -> str:
    line = f"{start}{', '.join(parts)}{end}"
    if not parts or ("\n" not in line and len(line) <= _WIDTH):
        return line
    inside = "".join(f"{part},\n" for part in parts)
    return f"{start}\n{indent(inside, '    ')}{end}"
