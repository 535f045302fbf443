"""Plain data into dataclasses, with every problem at once.

cattrs does the work; here are strictness (a number is no string), paths and hints. Knows no
particular class. Imported only when a file or a mapping is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache, reduce
from types import GenericAlias, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError, IterableValidationError
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn

from fake_oauth.provider.errors import Problem, unknown

_T = TypeVar("_T")
_Path = tuple[str | int, ...]

_WANTED: Mapping[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a string"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    float | datetime | None: ((int, float, datetime), "seconds since 1970 or a date-time"),
}


class _WrongError(Exception):
    """A value that cannot be had; the message is for the person who wrote it."""


def structure(data: object, kind: type[_T]) -> tuple[_T | None, list[Problem]]:
    """An instance of `kind` from plain data, and all that is wrong with the data.

    Where something is wrong but what is left suffices, the instance is made from that, so that
    the caller can look for further problems in it.
    """
    converter = _converter()
    try:
        return converter.structure(data, kind), []
    except (BaseValidationError, _WrongError) as error:
        found = list(_walk(error, ()))
    problems = [Problem(_shown(path), message) for path, message in found]
    try:
        return converter.structure(_without(data, [path for path, _ in found]), kind), problems
    except (BaseValidationError, _WrongError):
        return None, problems


def unstructured(value: Any) -> Any:
    """The reverse: plain data that `structure` would take, without what is at its default."""
    if is_dataclass(value):
        given = {}
        for field in fields(value):
            default = field.default if field.default_factory is MISSING else field.default_factory()
            if (member := getattr(value, field.name)) != default:
                given[field.name] = unstructured(member)
        return given
    if isinstance(value, Mapping):
        return {name: unstructured(member) for name, member in value.items()}
    return [unstructured(item) for item in value] if isinstance(value, list | tuple) else value


@cache  # Making one takes a millisecond for every class that it meets.
def _converter() -> Converter:
    converter = Converter()
    for kind in _WANTED:
        converter.register_structure_hook(kind, _scalar)
    converter.register_structure_hook_func(_is(Literal), _choice)

    def sequence(value: object, kind: Any) -> Any:
        _expect(value, (list, tuple), "a list")
        items: Any = GenericAlias(tuple, (*get_args(kind), ...))
        return converter.structure(value, items)

    def mapping(value: object, kind: Any) -> Any:
        _expect(value, (Mapping,), "a table")
        members: Any = GenericAlias(dict, get_args(kind))
        return converter.structure(value, members)

    def name_or_table(value: object, kind: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        table_kinds: list[Any] = [one for one in get_args(kind) if is_dataclass(one)]
        return converter.structure(value, table_kinds[0])

    @converter.register_structure_hook_factory(is_dataclass)
    def table(kind: type[Any]) -> Callable[[object, Any], Any]:
        known: Any = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

        def structured(value: object, _: Any) -> Any:
            _expect(value, (Mapping,), "a table")
            return known(value, kind)

        return structured

    converter.register_structure_hook_func(_is_name_or_table, name_or_table)
    converter.register_structure_hook_func(_is_name_of_object, _name)
    converter.register_structure_hook_func(_is(Sequence), sequence)
    converter.register_structure_hook_func(_is(Mapping), mapping)
    return converter


def _is(origin: object) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _is_name_or_table(kind: Any) -> bool:
    """Whether it is a dataclass or the name of one: `RefreshPolicy | str | None`."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else ()
    return str in kinds and any(map(is_dataclass, kinds))


def _is_name_of_object(kind: Any) -> bool:
    """Whether it is a dataclass that data can only name: `Dialect | Literal["ciam", "rfc"]`."""
    kinds = get_args(kind) if get_origin(kind) is Union else ()
    return any(map(is_dataclass, kinds)) and any(get_origin(one) is Literal for one in kinds)


def _expect(value: object, kinds: tuple[type, ...], wanted: str) -> None:
    if not isinstance(value, kinds):
        raise _WrongError(f"expected {wanted}, got {value!r}")


def _scalar(value: object, kind: Any) -> Any:
    kinds, wanted = _WANTED[kind]
    _expect(value, kinds, wanted)
    if isinstance(value, bool) and bool not in kinds:
        raise _WrongError(f"expected {wanted}, got {value!r}")
    return value


def _name(value: object, kind: Any) -> Any:
    (names,) = (one for one in get_args(kind) if get_origin(one) is Literal)
    return _choice(value, names)


def _choice(value: object, kind: Any) -> Any:
    if value not in get_args(kind):
        raise _WrongError(f"{value!r} is not known, {unknown(str(value), get_args(kind))}")
    return value


def _walk(error: BaseException, path: _Path) -> Iterator[tuple[_Path, str]]:
    """Every leaf of cattrs' tree of errors, with its path."""
    if isinstance(error, ClassValidationError | IterableValidationError):
        noted, bare = error.group_exceptions()
        for inner, note in noted:
            step = note.name if hasattr(note, "name") else note.index
            yield from _walk(inner, (*path, step))
        for inner in bare:
            yield from _walk(inner, path)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in fields(error.cl) if field.init]
        for name in sorted(error.extra_fields):
            yield (*path, name), f"unknown key, {unknown(name, known)}"
    elif isinstance(error, KeyError):
        yield path, "missing, and there is no default"
    else:
        yield path, str(error)


def _shown(path: _Path) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _without(data: Any, paths: list[_Path]) -> Any:
    """The data less the keys whose values are wrong, but for those that hold tables.

    An item of a list takes its list along: the others would stand at other indices.
    """
    pruned = deepcopy(data)
    for path in paths:
        names = [index for index, step in enumerate(path) if isinstance(step, str)]
        if names:
            *parents, key = path[: names[-1] + 1]
            holder: Any = reduce(lambda place, step: place[step], parents, pruned)
            if not _holds_tables(holder.get(key)):
                holder.pop(key, None)
    return pruned


def _holds_tables(value: object) -> bool:
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, Mapping) for item in items)
