"""Settings as the text of a settings file, which `Settings.from_toml` reads back.

TOML has no null, no function, and no class. Whatever holds one is left out, and a comment says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fake_oauth.dialects import DIALECTS, Dialect, load_dialect
from fake_oauth.faults.base import Fault, Rule
from fake_oauth.faults.tables import plain
from fake_oauth.journal import printable
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.settings import Settings
from fake_oauth.structure import changed_fields, name_of

_HEADING: Final = (
    "# Settings of fake_oauth: start a server with `fake-oauth serve --settings FILE`."
)


class _UnwritableError(ValueError):
    """A value that TOML does not have; the message says what it is."""


def to_toml(settings: Settings) -> str:
    """Return the text of a settings file with all that differs from the defaults.

    The paths of PEM files are absolute, so that the file can be anywhere.
    """
    import tomli_w  # most servers write no file

    keys = tuple(
        replace(key, path=None if key.path is None else str(Path(key.path).absolute()))
        for key in settings.keys
    )
    members, left_out = _Writer().members(settings.changed(keys=keys))
    comments = [f"# Left out: {printable(line)}" for line in left_out]
    text = "\n".join([_HEADING, *comments, "", tomli_w.dumps(members)])
    return text.rstrip("\n") + "\n"


class _Writer:
    """Plain values of TOML, and a note for each value that is left out."""

    def members(self, settings: Settings) -> tuple[dict[str, Any], list[str]]:
        """Return the members of the file, and why others are left out."""
        self._left_out: list[str] = []
        members = dict(self._table(_changed(settings), ""))
        return members, self._left_out

    def _table(self, table: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Any]]:
        for name, value in table.items():
            below = f"{path}.{name}" if path else str(name)
            try:
                yield _text(name), self._value(value, below)
            except _UnwritableError as error:
                self._left_out.append(f"{below} is {error}, which TOML does not have")

    def _list(self, items: Any, path: str) -> Iterator[Any]:
        for index, item in enumerate(items):
            try:
                yield self._value(item, f"{path}[{index}]")
            except _UnwritableError as error:
                self._left_out.append(f"{path}[{index}] is {error}, which TOML does not have")

    def _value(self, value: Any, path: str) -> Any:
        if isinstance(value, Rule | Fault):
            return _rule(value if isinstance(value, Rule) else Rule(value))
        if isinstance(value, Dialect) or (isinstance(value, type) and issubclass(value, Dialect)):
            if (name := dialect_name(value)) is None:
                raise _UnwritableError(f"the class {_class_of(value).__qualname__}")
            return name
        if is_dataclass(value):
            return dict(self._table(_changed(value), path))
        if isinstance(value, Mapping):
            return dict(self._table(value, path))
        if isinstance(value, list | tuple):
            return list(self._list(value, path))
        return _scalar(value)


def _changed(value: Any) -> dict[str, Any]:
    """Return the fields that differ from their defaults; an empty list is an empty tuple."""
    defaults = {field.name: field.default for field in fields(value)}
    return {
        name: member
        for name, member in changed_fields(value).items()
        if not (isinstance(member, list) and tuple(member) == defaults[name])
    }


def _rule(rule: Rule) -> dict[str, Any]:
    """Return the table of a rule. One that cannot be written in full would be another rule."""
    _require_writable(rule.changed())
    _require_writable(changed_fields(rule.fault))
    return plain(rule)


def _require_writable(value: Any) -> None:
    if isinstance(value, Mapping):
        for name, member in value.items():
            _text(name)
            _require_writable(member)
    elif isinstance(value, list | tuple):
        for item in value:
            _require_writable(item)
    elif isinstance(value, Fault):
        _require_writable(changed_fields(value))
    else:
        _scalar(value)


def dialect_name(dialect: Dialect | type[Dialect] | str) -> str | None:
    """Return the name of a dialect that a file can have; None if it is defined in a function."""
    if isinstance(dialect, str):
        return dialect
    kind = _class_of(dialect)
    for name, shipped in DIALECTS.items():
        if type(shipped) is kind:
            return name
    name = f"{kind.__module__}:{kind.__qualname__}"
    try:
        return name if type(load_dialect(name)) is kind else None
    except FakeOAuthError:
        return None


def _class_of(dialect: Dialect | type[Dialect]) -> type[Dialect]:
    return dialect if isinstance(dialect, type) else type(dialect)


def _scalar(value: Any) -> Any:
    if value is None:
        raise _UnwritableError("null")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC)  # TOML has no seconds in an offset.
    if callable(value):
        raise _UnwritableError(f"the function {name_of(value)}")
    return value


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _UnwritableError("a text that is not Unicode") from None
    return text
