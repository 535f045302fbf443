"""The JSON Schema of a settings file, read from the dataclasses that the file is made into.

Editors complete and check a file with it, and the console makes its form of a fault from it. The
types, defaults, and choices are those of the fields; a description is the docstring under a field.
The keywords are those that draft 7 has, too, because most editors know no other: nothing stands
beside a `$ref` that has a meaning of its own. A value that only Python can hold has no property.
"""

from __future__ import annotations

import ast
import collections.abc
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from fake_oauth.dialects import DIALECTS
from fake_oauth.faults.base import Conditions, Fault, TokenFault
from fake_oauth.faults.kinds import KINDS
from fake_oauth.faults.tables import PARTS, is_part, is_rule
from fake_oauth.http.endpoints import ENDPOINTS
from fake_oauth.provider.keys import ALGORITHMS
from fake_oauth.provider.policies import ALL_POLICIES
from fake_oauth.settings import Settings
from fake_oauth.structure import is_union, unstructure

Schema = dict[str, Any]

_SCALARS: Final[Mapping[Any, Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    # As an editor shows a date-time of TOML to a schema.
    datetime: {"type": "string", "format": "date-time"},
    Any: {},
}
# What a string can be, by the name of its field, where the type does not say it.
_NAMES: Final[Mapping[str, Schema]] = {
    "dialect": {
        "anyOf": [
            {"type": "string", "enum": list(DIALECTS)},
            {"type": "string", "pattern": ":", "description": "package.module:Class"},
        ]
    },
    "refresh_policy": {"type": "string", "enum": list(ALL_POLICIES)},
    "alg": {"type": "string", "enum": list(ALGORITHMS)},
    "endpoint": {"type": "string", "enum": [*ENDPOINTS, "any"]},
}


def settings_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a settings file.

    `$defs` has a definition for each table, for `Conditions`, and for each fault by its name in
    `KINDS`, except `Change`, which needs a function of Python.
    """
    definitions: Schema = {}
    root = _table(Settings, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of fake_oauth",
        "description": (
            "The settings file of fake_oauth, in TOML. None in a description means that the key "
            "is left out."
        ),
        **{name: value for name, value in root.items() if name not in ("title", "description")},
        "$defs": definitions,
    }


def _type(kind: Any, definitions: Schema, name: str = "") -> Schema | None:
    """Return the schema of an annotation; None if no data can hold a value of it.

    `name` is that of the field. TOML has no null, so that an optional value is one left out.
    """
    if kind in _SCALARS:
        return _NAMES[name] if kind is str and name in _NAMES else _SCALARS[kind]
    if is_rule(kind):
        return _step(definitions)
    if is_part(kind):
        return _part(definitions)
    if is_union(kind):
        return _union(kind, definitions, name)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is collections.abc.Sequence:
        return {"type": "array", "items": _type(arguments[0], definitions)}
    if origin is collections.abc.Mapping:
        return _mapping(arguments[0], arguments[1], definitions)
    return _define(kind, definitions) if is_dataclass(kind) else None


def _union(kind: Any, definitions: Schema, name: str) -> Schema | None:
    members = [
        schema
        for member in get_args(kind)
        if member is not NoneType and (schema := _type(member, definitions, name)) is not None
    ]
    return {"anyOf": members} if len(members) > 1 else members[0] if members else None


def _mapping(key: Any, member: Any, definitions: Schema) -> Schema:
    """Return the schema of a mapping; the keys are any, or those of a Literal."""
    schema = _type(member, definitions)
    if get_origin(key) is not Literal:
        return {"type": "object", "additionalProperties": schema}
    properties = dict.fromkeys(get_args(key), schema)
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _define(kind: Any, definitions: Schema) -> Schema:
    """Return a reference to the definition of a class, which is made once."""
    name = kind.__name__
    if name not in definitions:
        definitions[name] = {}  # A policy has another one for public clients.
        definitions[name] = _table(kind, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _table(kind: Any, definitions: Schema) -> Schema:
    """Return the schema of the table that a dataclass is made from."""
    hints, texts = get_type_hints(kind), _texts(kind)
    properties, required = {}, []
    if issubclass(kind, Fault):
        properties["fault"] = {"type": "string", "const": kind.__name__}
        required.append("fault")
    for field in fields(kind):
        schema = _type(hints[field.name], definitions, field.name)
        if schema is not None:
            properties[field.name] = {**schema, **texts.get(field.name, {}), **_default(field)}
            if field.default is field.default_factory is MISSING:
                required.append(field.name)
    table: Schema = {
        "title": kind.__name__,
        "description": _paragraphs(kind.__doc__ or "")[0],
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return table | ({"x-stage": kind.stage} if issubclass(kind, Fault) else {})


def _default(field: Field[Any]) -> Schema:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return {} if default is None or default is MISSING else {"default": unstructure(default)}


def _step(definitions: Schema) -> Schema:
    """Return a reference to the definition of a step: a fault and conditions, side by side."""
    _define(Conditions, definitions)
    for kind in _data_kinds():
        _define(kind, definitions)
    tables = {kind.__name__: _step_of(kind, definitions) for kind in _data_kinds()}
    places = {name: f"#/$defs/Step/$defs/{name}" for name in tables}
    title = "A fault, and the requests that it is for."
    definitions["Step"] = {**_alternatives("Step", title, places), "$defs": tables}
    return {"$ref": "#/$defs/Step"}


def _step_of(kind: type[Fault], definitions: Schema) -> Schema:
    """Return the schema of a step with a fault of this kind."""
    table = definitions[kind.__name__]
    properties = {**_references(kind, definitions), **_references(Conditions, definitions)}
    required = list(table["required"])
    if endpoints := ("token",) if issubclass(kind, TokenFault) else kind.endpoints:
        endpoint = definitions["Conditions"]["properties"]["endpoint"]
        properties["endpoint"] = {**endpoint, "enum": [*endpoints, "any"]}
        if endpoint["default"] not in endpoints:
            del properties["endpoint"]["default"]
            required.append("endpoint")
    return {**table, "properties": properties, "required": required}


def _part(definitions: Schema) -> Schema:
    """Return a reference to the definition of a part of `Combined`: a fault without conditions."""
    kinds = [kind for kind in _data_kinds() if kind in PARTS.values()]
    places = {kind.__name__: _define(kind, definitions)["$ref"] for kind in kinds}
    title = "A fault in the tokens or in the response."
    definitions["Part"] = _alternatives("Part", title, places)
    return {"$ref": "#/$defs/Part"}


def _alternatives(name: str, description: str, places: Mapping[str, str]) -> Schema:
    """Return the schema of a table that has one of these definitions, by its `fault`."""
    return {
        "title": name,
        "description": description,
        "type": "object",
        "properties": {
            "fault": {
                "description": "The name of the fault.",
                "type": "string",
                "enum": list(places),
            }
        },
        "required": ["fault"],
        "allOf": [
            {
                "if": {"properties": {"fault": {"const": fault}}, "required": ["fault"]},
                "then": {"$ref": place},
            }
            for fault, place in places.items()
        ],
        # This refuses nothing: editors complete keys from `anyOf`, and don't read `then`. As the
        # only keyword, it would be one message for everything that can be wrong with a table.
        "anyOf": [*({"$ref": place} for place in places.values()), {}],
    }


def _references(kind: type[Any], definitions: Schema) -> Schema:
    """Return the properties of a definition as references to them."""
    name = kind.__name__
    return {
        # The one that tells the alternatives apart is written out, for editors.
        key: schema if key == "fault" else {"$ref": f"#/$defs/{name}/properties/{key}"}
        for key, schema in definitions[name]["properties"].items()
    }


@cache
def _data_kinds() -> Sequence[type[Fault]]:
    """Return the faults that data can hold."""
    return tuple(kind for kind in KINDS.values() if not _needs_function(kind))


def _needs_function(kind: type[Fault]) -> bool:
    hints = get_type_hints(kind)
    return any(get_origin(hints[field.name]) is collections.abc.Callable for field in fields(kind))


def _texts(kind: type[Any]) -> Mapping[str, Schema]:
    """Return the description of each field of a class that has a docstring under it."""
    return {
        name: {"description": "\n\n".join(_paragraphs(text))}
        for base in reversed(kind.__mro__)
        if is_dataclass(base)
        for name, text in _docstrings(base.__module__).get(base.__name__, {}).items()
    }


@cache
def _docstrings(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return the docstrings under the fields of each class of a module."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}  # The package is used without its source.
    return {
        node.name: dict(_described(node)) for node in tree.body if isinstance(node, ast.ClassDef)
    }


def _described(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield each field of a class that has a docstring under it, with the docstring."""
    for above, below in zip(node.body, node.body[1:], strict=False):
        match above, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, text


def _paragraphs(text: str) -> Sequence[str]:
    """Return the paragraphs of a docstring, each on one line."""
    return [" ".join(paragraph.split()) for paragraph in inspect.cleandoc(text).split("\n\n")]
