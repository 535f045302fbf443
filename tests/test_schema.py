"""The JSON Schema of a settings file: it accepts what `Settings` accepts, and refuses the rest."""

from __future__ import annotations

import ast
import collections.abc
import inspect
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from werkzeug.test import Client as WSGIClient

from fake_oauth import (
    ALL_POLICIES,
    AuthSource,
    Client,
    FakeOAuth,
    PreconfiguredRefreshToken,
    ProtectedResource,
    RefreshPolicy,
    Settings,
    SettingsError,
    SigningKey,
    TrustedIssuer,
    User,
)
from fake_oauth.__main__ import main
from fake_oauth.dialects import DIALECTS
from fake_oauth.faults.base import Conditions, Fault, TokenFault
from fake_oauth.faults.kinds import KINDS
from fake_oauth.faults.tables import PARTS, is_part, is_rule
from fake_oauth.http.endpoints import ENDPOINTS
from fake_oauth.provider.keys import ALGORITHMS
from fake_oauth.schema import _docstrings, settings_schema
from fake_oauth.structure import is_union
from tests.test_docs import blocks
from tests.test_script import WRONG

ROOT = Path(__file__).parent.parent
SCHEMA = settings_schema()
DEFINITIONS: dict[str, dict[str, Any]] = SCHEMA["$defs"]
FORMATS = FormatChecker(formats=())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FORMATS)
FAULTS = {name: kind for name, kind in KINDS.items() if name != "Change"}


def is_date_time(value: object) -> bool:
    """Return whether a string is a date-time, as TOML writes it."""
    return not isinstance(value, str) or datetime.fromisoformat(value) is not None


FORMATS.checks("date-time", raises=ValueError)(is_date_time)


def shown(data: Any) -> Any:
    """Return data as an editor shows it to a schema, where a date-time is a string."""
    if isinstance(data, Mapping):
        return {name: shown(member) for name, member in data.items()}
    if isinstance(data, list | tuple):
        return [shown(item) for item in data]
    return data.isoformat() if isinstance(data, datetime) else data


def refusals(data: Any) -> list[str]:
    """Return what the schema refuses in some data."""
    return [
        f"{error.json_path}: {error.message[:200]}" for error in VALIDATOR.iter_errors(shown(data))
    ]


# The messages about types, unknown keys, and choices. Others are about what a value means.
OF_TYPES = re.compile(
    r"(unknown (key|value|fault|policy|dialect|algorithm)|required, but missing|expected (a string|"
    r"true or false|a whole number|a number(,| or)|a date-time|a list(?! of)|a table|a function|'))"
)
# A dialect lacks the endpoint of another one.
IS_OF_A_DIALECT = re.compile(rf"unknown name '({'|'.join(ENDPOINTS)})'")


def type_problems(data: Any) -> list[str]:
    """Return the problems of types and of choices that the settings find in some data."""
    try:
        Settings.from_mapping(data)
    except SettingsError as error:
        return [
            str(problem)
            for problem in error.problems
            if OF_TYPES.match(problem.message)
            or (problem.path.endswith(".endpoint") and not IS_OF_A_DIALECT.match(problem.message))
        ]
    return []


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    # Editors that know no later draft read the same keywords.
    Draft7Validator.check_schema(SCHEMA)


def test_the_printed_schema_is_the_one_in_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == SCHEMA
    message = "print it again: fake-oauth schema > docs/settings.schema.json"
    assert (ROOT / "docs/settings.schema.json").read_text(encoding="utf-8") == printed, message


def test_the_control_api_returns_the_schema() -> None:
    fake = FakeOAuth(Settings(control=True))
    assert WSGIClient(fake).get("/_fake/schema").json == SCHEMA


def test_each_fault_that_data_can_hold_has_a_definition() -> None:
    assert DEFINITIONS["Step"]["properties"]["fault"]["enum"] == list(FAULTS)
    for name, kind in FAULTS.items():
        definition = DEFINITIONS[name]
        assert definition["title"] == name
        assert definition["description"] == (kind.__doc__ or "").partition("\n")[0]
        assert definition["properties"]["fault"]["const"] == name
        assert definition["x-stage"] == kind.stage
    assert DEFINITIONS["Refuse"]["required"] == ["fault", "error"]
    assert "Change" not in DEFINITIONS
    assert "when" not in DEFINITIONS["Conditions"]["properties"]


def test_every_setting_has_its_docstring_as_a_description() -> None:
    properties = SCHEMA["properties"]
    assert list(properties) == [field.name for field in fields(Settings)]
    undescribed = [
        f"{table}.{name}"
        for table, definition in {"Settings": SCHEMA, **DEFINITIONS}.items()
        for name, schema in definition.get("properties", {}).items()
        if name != "fault" and not schema.get("description")
    ]
    assert undescribed == []
    assert properties["device_interval_seconds"] == {
        "type": "integer",
        "default": 5,
        "description": (
            "How long a client waits between two polls with a device code, by the server's clock; "
            "0 is not judged, and not in the response."
        ),
    }
    # A docstring of two paragraphs, and one of a class that a client inherits.
    claims = DEFINITIONS["User"]["properties"]["claims"]["description"]
    assert claims.count("\n\n") == 1
    seconds = "code_seconds"
    assert DEFINITIONS["Client"]["properties"][seconds] == properties[seconds]
    assert properties["users"]["default"][0]["sub"] == "MOCK_USERNAME"


def test_without_source_there_are_no_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "getsource", Mock(side_effect=OSError))
    assert _docstrings.__wrapped__("fake_oauth.provider.model") == {}


def test_a_mistake_in_a_step_is_found_where_it_is() -> None:
    data = {
        "faults": [
            {"fault": "Status", "code": 503, "times": "twice"},
            {"fault": "Refuse", "eror": "invalid_grant"},
            {"fault": "Statsu", "code": 503},
            {"fault": "Combined", "parts": [{"fault": "Expired", "seconds_ago": "1"}]},
            {"fault": "Combined", "parts": [{"fault": "Expired", "times": 2}]},
        ]
    }
    for validator in (Draft202012Validator(SCHEMA), Draft7Validator(SCHEMA)):
        found = sorted(
            (error.json_path, error.message[:46]) for error in validator.iter_errors(data)
        )
        assert found == [
            ("$.faults[0].times", "'twice' is not valid under any of the given sc"),
            ("$.faults[1]", "'error' is a required property"),
            ("$.faults[1]", "Additional properties are not allowed ('eror' "),
            ("$.faults[2].fault", "'Statsu' is not one of ['Pass', 'Refuse', 'Sta"),
            ("$.faults[3].parts[0].seconds_ago", "'1' is not of type 'integer'"),
            ("$.faults[4].parts[0]", "Additional properties are not allowed ('times'"),
        ]


@pytest.mark.parametrize("block", blocks("toml"))
def test_the_settings_files_of_the_docs_are_accepted(block: str) -> None:
    data = tomllib.loads(block)
    if "request" not in data:  # not a case
        assert refusals(data) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/**/*.toml")), ids=str)
def test_the_settings_files_of_the_examples_are_accepted(path: Path) -> None:
    assert refusals(tomllib.loads(path.read_text(encoding="utf-8"))) == []


def files_in_tests() -> Iterator[Any]:
    """Yield the data of each settings file that is written out in a test."""
    for path in sorted((ROOT / "tests").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Constant(value=str(text)) if "=" in text:
                    try:
                        data = tomllib.loads(text)
                    except tomllib.TOMLDecodeError:
                        continue
                    if data.keys() & SCHEMA["properties"].keys():
                        yield pytest.param(data, id=f"{path.name}:{node.lineno}")


FILES = list(files_in_tests())


@pytest.mark.parametrize("data", FILES)
def test_the_settings_files_of_the_tests_are_judged_as_settings_judge_them(data: Any) -> None:
    assert bool(refusals(data)) == bool(type_problems(data)), (refusals(data), type_problems(data))


def test_there_are_files_in_tests() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize(
    ("table", "expected"), [pytest.param(*case[1:], id=case[2][0][:60]) for case in WRONG]
)
def test_a_wrong_step_is_refused_if_a_type_is_wrong(
    table: dict[str, Any], expected: list[str]
) -> None:
    data = {"faults": [table]}
    assert bool(refusals(data)) == bool(type_problems(data)), (refusals(data), expected)


# Settings of the right types, made from the annotations alone.

WORDS = st.sampled_from(["a", "web", "openid", "https://app.example/x", "5", ""])
NAMES: Mapping[str, Sequence[str]] = {
    "dialect": list(DIALECTS),
    "refresh_policy": list(ALL_POLICIES),
    "alg": list(ALGORITHMS),
    "endpoint": [*ENDPOINTS, "any"],
}
SCALARS: Mapping[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.integers(-5, 5) | st.floats(-1e9, 1e9),
    datetime: st.datetimes().map(lambda moment: moment.replace(tzinfo=UTC)),
    Any: st.recursive(
        st.booleans() | st.integers(-5, 5) | WORDS,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
        max_leaves=3,
    ),
}


def values(kind: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Return data for an annotation, which `Settings` reads without a problem of a type."""
    if kind is str:
        return st.sampled_from(NAMES[name]) if name in NAMES else WORDS
    if kind in SCALARS:
        return SCALARS[kind]
    if is_rule(kind):
        return st.sampled_from(list(FAULTS)).flatmap(step)
    if is_part(kind):
        return st.sampled_from([name for name in PARTS if name in FAULTS]).flatmap(part)
    if is_union(kind):
        inner = [values(one, name) for one in get_args(kind) if is_readable(one)]
        return st.one_of(*inner)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is collections.abc.Sequence:
        return st.lists(values(arguments[0]), max_size=2)
    if origin is collections.abc.Mapping:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    return st.deferred(lambda: table(kind))


def is_readable(kind: Any) -> bool:
    origins = (Literal, collections.abc.Sequence, collections.abc.Mapping)
    return kind in SCALARS or kind is str or get_origin(kind) in origins or is_dataclass(kind)


def table(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Return the data of a dataclass, with any of its optional members."""
    hints = get_type_hints(kind)
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields(kind):
        if field.name not in ("when", "function"):
            is_required = field.default is field.default_factory is MISSING
            (required if is_required else optional)[field.name] = values(
                hints[field.name], field.name
            )
    few = st.lists(st.sampled_from(sorted(optional)), max_size=3, unique=True) if optional else None
    chosen = few if few is not None else st.just([])
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries(
            {**required, **{name: optional[name] for name in names}}
        )
    )


def part(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return table(FAULTS[name]).map(lambda arguments: {"fault": name, **arguments})


def step(name: str) -> st.SearchStrategy[dict[str, Any]]:
    kind = FAULTS[name]
    some = ("token",) if issubclass(kind, TokenFault) else kind.endpoints
    endpoint = st.fixed_dictionaries({"endpoint": st.sampled_from([*some, "any"])} if some else {})
    both = st.tuples(part(name), table(Conditions), endpoint)
    return both.map(lambda tables: {**tables[0], **tables[1], **tables[2]})


thorough = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def step_of(kind: type[Fault]) -> Callable[[Any], Any]:
    """Return a function that puts the arguments of a fault into settings."""
    fixed = {"fault": kind.__name__, "endpoint": next(iter(kind.endpoints), "token")}
    return lambda table: {"faults": [{**fixed, **table}]}


# Where the settings hold the table of each class.
TABLES: Mapping[str, tuple[Any, Callable[[Any], Any]]] = {
    "Settings": (Settings, lambda table: table),
    "RefreshPolicy": (RefreshPolicy, lambda table: {"refresh_policy": table}),
    "Client": (Client, lambda table: {"clients": [table]}),
    "User": (User, lambda table: {"users": [table]}),
    "AuthSource": (AuthSource, lambda table: {"auth_sources": [table]}),
    "TrustedIssuer": (TrustedIssuer, lambda table: {"trusted_issuers": [table]}),
    "SigningKey": (SigningKey, lambda table: {"keys": [table]}),
    "ProtectedResource": (ProtectedResource, lambda table: {"resources": [table]}),
    "PreconfiguredRefreshToken": (
        PreconfiguredRefreshToken,
        lambda table: {"refresh_tokens": [table]},
    ),
    "Conditions": (Conditions, lambda table: {"faults": [{"fault": "Pass", **table}]}),
    # No request uses `Down`, so it cannot have an endpoint.
    **{name: (kind, step_of(kind)) for name, kind in FAULTS.items() if name != "Down"},
}
VALUES = ["x", "always", "rfc", 7, 1.5, True, [], {}, ["x"], {"x": 1}, [{}]]
SAMPLES: Mapping[Any, Any] = {str: "x", int: 1, float: 1, Any: 1}


@pytest.mark.parametrize("name", TABLES)
def test_each_value_of_each_key_is_judged_as_settings_judge_it(name: str) -> None:
    kind, data_of = TABLES[name]
    hints = get_type_hints(kind)
    required = {
        field.name: SAMPLES.get(hints[field.name], [{"fault": "EmptyBody"}])
        for field in fields(kind)
        if field.default is field.default_factory is MISSING
    }
    if "kind" in required:
        required["kind"] = "sms"
    assert (refusals(data_of(required)), type_problems(data_of(required))) == ([], [])
    keys = [field.name for field in fields(kind) if field.name != "faults"]
    tables = [{**required, key: value} for key in [*keys, "unknown"] for value in VALUES]
    tables += [{key: required[key] for key in required if key != gone} for gone in required]
    differing = [
        (table, refused, problems)
        for table in tables
        if bool(refused := refusals(data_of(table)))
        != bool(problems := type_problems(data_of(table)))
    ]
    assert differing == []


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each table and list in the data, with each of its keys or indexes."""
    if isinstance(data, dict | list):
        for key in list(data) if isinstance(data, dict) else range(len(data)):
            yield data, key
            yield from places(data[key])


@thorough
@given(table(Settings))
def test_what_has_the_right_types_is_accepted(data: dict[str, Any]) -> None:
    assert type_problems(data) == []
    assert refusals(data) == []


@thorough
@given(table(Settings), st.data())
def test_a_wrong_type_is_refused_by_both_or_by_none(
    data: dict[str, Any], draw: st.DataObject
) -> None:
    spots = list(places(data := deepcopy(data)))
    holder, key = draw.draw(st.sampled_from(spots)) if spots else (data, "x")
    match draw.draw(st.sampled_from(["replace", "remove", "add"])):
        case "remove" if spots:
            del holder[key]
        case "add" if isinstance(holder, dict):
            holder["unknown"] = draw.draw(st.sampled_from(VALUES))
        case _:
            holder[key] = draw.draw(st.sampled_from(VALUES))
    assert bool(refusals(data)) == bool(type_problems(data)), (refusals(data), type_problems(data))
