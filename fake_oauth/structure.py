"""Plain data (TOML, JSON) into dataclasses and back, and the checks of both.

cattrs does the work. Here are strictness (a number is not a string), paths, and hints, and every
problem is reported at once. `type_problems` has the same messages for an instance that was made in
Python. No particular class is known here: a package whose tables look different adds its hooks to
a `new_converter()`.

cattrs is imported only when data is read, because most tests read none.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cache, reduce
from math import isfinite
from types import GenericAlias, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from cattrs import Converter

_T = TypeVar("_T")

Path = tuple[str | int, ...]
"""The steps to a value: keys of tables and indexes of lists."""

_SCALARS: Final[Mapping[Any, tuple[tuple[type, ...], str]]] = {
    str: ((str,), "a string"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    datetime: ((datetime,), "a date-time"),
}
# Longer lists of names are in the documentation.
_LISTED: Final = 10
_DEEPEST: Final = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of some settings, and its path: `$.clients[0].scopes`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class StructureError(Exception):
    """The problems of a value that a hook cannot read, each with its path below the value."""

    def __init__(self, found: Iterable[tuple[Path, str]]) -> None:
        super().__init__()
        self.found = tuple(found)


def structure(
    data: object, kind: type[_T], converter: Converter | None = None
) -> tuple[_T | None, list[Problem]]:
    """Return an instance of `kind` made from plain data, and every problem of the data.

    If there are problems, the instance is made from the rest of the data, so that the caller can
    check that, too. It is None if too little is left.
    """
    if _is_deep(data):
        return None, [Problem("$", f"nested more than {_DEEPEST} levels deep")]
    converter = converter or _plain_converter()
    value, found = attempt(data, kind, converter)
    problems = [Problem(_shown(path), message) for path, message in found]
    while found:
        rest = _without(data, [path for path, _ in found])
        if rest == data:
            return None, problems
        data = rest
        value, found = attempt(data, kind, converter)
    return value, problems


def attempt(
    data: object, kind: Any, converter: Converter
) -> tuple[Any | None, list[tuple[Path, str]]]:
    """Return an instance of `kind`, or None and every problem with its path."""
    from cattrs.errors import BaseValidationError

    try:
        return converter.structure(data, kind), []
    except (BaseValidationError, StructureError) as error:
        return None, list(_walk(error, ()))


def unstructure(value: Any) -> Any:
    """Return the plain data that `structure` would read, without members at their defaults.

    Functions, which data cannot hold, are shown by name.
    """
    if is_dataclass(value):
        return {name: unstructure(member) for name, member in changed_fields(value).items()}
    if isinstance(value, Mapping):
        return {name: unstructure(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [unstructure(item) for item in value]
    return f"<function {name_of(value)}>" if callable(value) else value


def changed_fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass instance that differ from their defaults."""
    changed = {}
    for field in fields(value):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if field.init and (member := getattr(value, field.name)) != default:
            changed[field.name] = member
    return changed


def failure_of(error: BaseException) -> str:
    """Return an error of a function that was called here, with the line of that function."""
    trace = error.__traceback__ and error.__traceback__.tb_next
    where = "" if trace is None else f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"
    return f"{error!r}{where}"


def name_of(function: object) -> str:
    """Return the name of a function, which has no memory address in it."""
    return getattr(function, "__name__", type(function).__name__)


def type_problems(value: Any, path: str = "", *, skip: Collection[str] = ()) -> Iterator[Problem]:
    """Yield a problem for each part of a dataclass instance that has another type than annotated.

    Paths start at the instance: `scopes[1]`. The fields in `skip` are not checked.
    """
    kind: Any = type(value)
    hints = _hints(kind)
    for field in fields(value):
        member = getattr(value, field.name)
        # Most fields of most values are at their defaults.
        if field.name in skip or member is field.default:
            continue
        below = f"{path}.{field.name}".removeprefix(".")
        yield from _mismatches(member, hints[field.name], below)


def json_problems(path: str, value: object, depth: int = 0) -> Iterator[Problem]:
    """Yield a problem for each part of a value that JSON cannot represent."""
    if depth > _DEEPEST:
        yield Problem(path, f"nested more than {_DEEPEST} levels deep")
    elif isinstance(value, Mapping):
        for name, member in value.items():
            if isinstance(name, str):
                yield from json_problems(f"{path}.{name}", member, depth + 1)
            else:
                yield Problem(path, f"expected names that are strings, got {name!r}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from json_problems(f"{path}[{index}]", item, depth + 1)
    elif isinstance(value, int):
        # Python neither reads nor writes a number of more than 4300 digits.
        if value.bit_length() > 14_000:
            yield Problem(path, "expected a number of fewer than 4200 digits")
    elif not (isinstance(value, str | None) or (isinstance(value, float) and isfinite(value))):
        yield Problem(path, f"JSON cannot represent {value!r}")


def suggestion(name: str, known: Sequence[str], *, page: str = "the documentation") -> str:
    """Return a hint for an unknown name: the nearest known one, or where all of them are listed."""
    if near := get_close_matches(str(name), known, n=1):
        return f"did you mean {near[0]!r}?"
    names = list(dict.fromkeys(known))
    if len(names) > _LISTED:
        return f"expected one of the {len(names)} names in {page}"
    return f"expected one of {', '.join(map(repr, names))}" if names else "none is defined"


def new_converter() -> Converter:
    """Return a converter to which hooks for particular classes can be added."""
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn

    converter = Converter()

    def union(value: object, kind: Any) -> Any:
        if value is None and NoneType in get_args(kind):
            return None
        members = list(filter(_is_readable, _members(kind))) or _members(kind)
        fitting = [member for member in members if _fits(value, member, in_data=True)]
        if not fitting and len(members) > 1:
            raise _refusal(value, kind)
        return converter.structure(value, (fitting or members)[0])

    def sequence(value: object, kind: Any) -> Any:
        items: Any = GenericAlias(tuple, (*get_args(kind), ...))
        return converter.structure(_leaf(value, kind), items)

    def mapping(value: object, kind: Any) -> Any:
        members: Any = GenericAlias(dict, get_args(kind))
        return converter.structure(_leaf(value, kind), members)

    @converter.register_structure_hook_factory(is_dataclass)
    def table(kind: type[Any]) -> Callable[[object, Any], Any]:
        known: Any = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)
        return lambda value, _: known(_leaf(value, kind), kind)

    for scalar in _SCALARS:
        converter.register_structure_hook(scalar, _leaf)
    for origin, hook in (
        (Literal, _leaf),
        (Sequence, sequence),
        (Mapping, mapping),
        (collections.abc.Callable, _leaf),
    ):
        converter.register_structure_hook_func(_has_origin(origin), hook)
    converter.register_structure_hook_func(is_union, union)
    return converter


# The integers of TOML have 64 bits.
_LARGEST: Final = 2**63 - 1
# Making a converter takes a millisecond for every class that it reads.
_plain_converter = cache(new_converter)


def is_union(kind: Any) -> bool:
    """Return whether an annotation is a union, such as `int | None`."""
    return get_origin(kind) in (Union, UnionType)


def _has_origin(origin: object) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _members(kind: Any) -> list[Any]:
    """Return the members of a union, except None; another annotation is its only member."""
    return [one for one in get_args(kind) if one is not NoneType] if is_union(kind) else [kind]


def _is_readable(kind: Any) -> bool:
    """Return whether plain data can hold a value of this type."""
    return (
        kind in _SCALARS or is_dataclass(kind) or get_origin(kind) in (Literal, Sequence, Mapping)
    )


def _fits(value: object, kind: Any, *, in_data: bool = False) -> bool:
    """Return whether a value is of a type, apart from its members and items.

    In data, a table is a dataclass; in Python, an instance is.
    """
    if kind in _SCALARS:
        kinds, _ = _SCALARS[kind]
        return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    origin = get_origin(kind)
    if origin is Literal:
        return value in get_args(kind)
    if origin is Sequence:
        return isinstance(value, (list, tuple) if in_data else Sequence) and not isinstance(
            value, str | bytes
        )
    if origin is Mapping or (in_data and is_dataclass(kind)):
        return isinstance(value, Mapping)
    if origin is collections.abc.Callable:
        return callable(value) and not in_data
    if origin is type:
        return isinstance(value, type) and issubclass(value, get_args(kind))
    return kind is Any or isinstance(value, origin or kind)


def _leaf(value: Any, kind: Any) -> Any:
    """Return a value as it is, if it fits."""
    if not _fits(value, kind, in_data=True):
        raise _refusal(value, kind)
    if isinstance(value, float) and not isfinite(value):
        raise StructureError([((), f"expected a finite number, got {value}")])
    if kind is float and (message := _too_large(value)):
        raise StructureError([((), message)])
    return value


def _too_large(value: object) -> str | None:
    """Return the message for an integer that a float may not hold."""
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"expected a number from {-_LARGEST} to {_LARGEST}, got {value.bit_length()} bits"
    return None


def _refusal(value: object, kind: Any) -> StructureError:
    return StructureError([((), _expected(kind, value, in_data=True))])


def _expected(kind: Any, value: object, *, in_data: bool = False) -> str:
    """Return the message for a value that does not fit."""
    members = _members(kind)
    choices = [c for one in members if get_origin(one) is Literal for c in get_args(one)]
    if choices and len(members) == 1:
        return f"unknown value {value!r}; {suggestion(str(value), choices)}"
    if in_data:
        members = list(filter(_is_readable, members)) or members
    names = " or ".join(dict.fromkeys(_described(one, in_data=in_data) for one in members))
    near = get_close_matches(str(value), choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"expected {names}, got {value!r}{hint}"


def _described(kind: Any, *, in_data: bool) -> str:
    origin = get_origin(kind)
    if kind in _SCALARS:
        return _SCALARS[kind][1]
    if origin is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if origin is Sequence:
        return "a list"
    if origin is Mapping or (in_data and is_dataclass(kind)):
        return "a table"
    if origin is collections.abc.Callable:
        return "a function, which only Python can pass" if in_data else "a function"
    if origin is type:
        return f"a subclass of {get_args(kind)[0].__name__}"
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def _mismatches(value: Any, kind: Any, path: str) -> Iterator[Problem]:
    """Yield a problem for each part of a value that has another type than `kind`."""
    members = get_args(kind) if is_union(kind) else (kind,)
    fitting = next((one for one in members if _fits(value, one)), None)
    if fitting is None:
        yield Problem(path, _expected(kind, value))
    elif fitting is float and (message := _too_large(value)):
        yield Problem(path, message)
    elif get_origin(fitting) is Sequence:
        (item_kind,) = get_args(fitting)
        for index, item in enumerate(value):
            yield from _mismatches(item, item_kind, f"{path}[{index}]")
    elif get_origin(fitting) is Mapping:
        name_kind, member_kind = get_args(fitting)
        for name, member in value.items():
            yield from _mismatches(name, name_kind, f"{path}.{name}")
            yield from _mismatches(member, member_kind, f"{path}.{name}")
    elif is_dataclass(fitting):
        yield from type_problems(value, path)


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _walk(error: BaseException, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield every leaf of cattrs' tree of errors, with its path."""
    from cattrs import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError

    if isinstance(error, ClassValidationError | IterableValidationError):
        noted, bare = error.group_exceptions()
        for inner, note in noted:
            step = note.name if hasattr(note, "name") else note.index
            yield from _walk(inner, (*path, step))
        for inner in bare:
            yield from _walk(inner, path)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in fields(error.cl) if field.init]
        for name in sorted(error.extra_fields, key=str):
            yield (*path, name), f"unknown key; {suggestion(name, known)}"
    elif isinstance(error, StructureError):
        for below, message in error.found:
            yield (*path, *below), message
    else:
        assert isinstance(error, KeyError), repr(error)
        yield path, "required, but missing"


def _is_deep(data: object) -> bool:
    """Return whether reading the data could exceed Python's stack."""
    level = [data]
    for _ in range(_DEEPEST):
        level = [
            below
            for value in level
            if isinstance(value, Mapping | list | tuple)
            for below in (value.values() if isinstance(value, Mapping) else value)
        ]
        if not level:
            return False
    return True


def _shown(path: Path) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _without(data: Any, paths: list[Path]) -> Any:
    """Return the data without the values at these paths.

    For a value that is missing, its table goes. An item of a list takes the list along, because
    the items after it would have other indexes.
    """
    pruned = _copied(data)
    for path in paths:
        for index in reversed(range(len(path))):
            *parents, key = path[: index + 1]
            holder: Any = reduce(_member, parents, pruned)
            if isinstance(holder, dict) and key in holder:
                del holder[key]
                break
    return pruned


def _copied(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {name: _copied(member) for name, member in data.items()}
    return [_copied(item) for item in data] if isinstance(data, list | tuple) else data


def _member(holder: Any, step: str | int) -> Any:
    try:
        return holder[step]
    except (LookupError, TypeError):
        return None  # It went with a problem before.
