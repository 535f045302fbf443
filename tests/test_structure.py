"""Plain data into dataclasses, and the types of dataclasses that were made in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

import pytest

from fake_oauth.structure import (
    Problem,
    StructureError,
    json_problems,
    new_converter,
    structure,
    suggestion,
    type_problems,
    unstructure,
)


class Engine:
    """A class that data cannot hold."""


class Diesel(Engine):
    """A kind of engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    inches: float
    spokes: int = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Bicycle:
    name: str
    wheels: Sequence[Wheel] = ()
    spare: Wheel | str | None = None
    color: Literal["red", "blue"] = "red"
    gears: int | Literal["endless"] = 1
    is_electric: bool = False
    built: float | datetime | None = None
    labels: Mapping[Literal["owner", "maker"], str] = field(default_factory=dict)
    engine: Engine | type[Engine] | Literal["none"] = "none"
    extra: Any = None
    ring: Callable[[], str] | None = None


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"name": 3}, ["name: expected a string, got 3"]),
    ({"wheels": "round"}, ["wheels: expected a list, got 'round'"]),
    ({"spare": 3}, ["spare: expected {table} or a string, got 3"]),
    ({"color": "rde"}, ["color: unknown value 'rde'; did you mean 'red'?"]),
    ({"color": "mauve"}, ["color: unknown value 'mauve'; expected one of 'red', 'blue'"]),
    ({"gears": "x"}, ["gears: expected a whole number or 'endless', got 'x'"]),
    (
        {"gears": "endles"},
        ["gears: expected a whole number or 'endless', got 'endles'; did you mean 'endless'?"],
    ),
    ({"gears": 1.5}, ["gears: expected a whole number or 'endless', got 1.5"]),
    ({"gears": True}, ["gears: expected a whole number or 'endless', got True"]),
    ({"is_electric": 1}, ["is_electric: expected true or false, got 1"]),
    ({"built": "today"}, ["built: expected a number or a date-time, got 'today'"]),
    ({"labels": ["x"]}, ["labels: expected a table, got ['x']"]),
    (
        {"labels": {"owner": 1, "makre": "x"}},
        [
            "labels.owner: expected a string, got 1",
            "labels.makre: unknown value 'makre'; did you mean 'maker'?",
        ],
    ),
]


def shown(problems: Any) -> list[str]:
    return sorted(str(problem).removeprefix("$.") for problem in problems)


@pytest.mark.parametrize(("changes", "expected"), WRONG)
def test_a_problem_has_the_same_message_in_data_and_in_python(
    changes: dict[str, Any], expected: list[str]
) -> None:
    _, problems = structure({"name": "x", **changes}, Bicycle)
    assert shown(problems) == sorted(line.format(table="a table") for line in expected)
    found = type_problems(Bicycle(**{"name": "x", **changes}))
    assert shown(found) == sorted(line.format(table="a Wheel") for line in expected)


GOOD: dict[str, Any] = {
    "name": "x",
    "wheels": [{"inches": 28, "spokes": 32}, {"inches": 26.5}],
    "spare": {"inches": 20},
    "color": "blue",
    "gears": "endless",
    "built": datetime(2026, 1, 1, tzinfo=UTC),
    "labels": {"owner": "me"},
    "extra": [{"a": None}],
}


def test_data_survives_the_way_into_a_dataclass_and_back() -> None:
    bicycle, problems = structure(GOOD, Bicycle)
    assert bicycle == Bicycle(
        name="x",
        wheels=(Wheel(inches=28, spokes=32), Wheel(inches=26.5)),
        spare=Wheel(inches=20),
        color="blue",
        gears="endless",
        built=datetime(2026, 1, 1, tzinfo=UTC),
        labels={"owner": "me"},
        extra=[{"a": None}],
    )
    assert problems == list(type_problems(bicycle)) == []
    assert unstructure(bicycle) == GOOD


@pytest.mark.parametrize("spare", ["the old one", None])
def test_each_member_of_a_union_can_be_read(spare: str | None) -> None:
    bicycle, problems = structure({"name": "x", "spare": spare, "built": None}, Bicycle)
    assert (bicycle, problems) == (Bicycle(name="x", spare=spare), [])


def test_python_can_hold_more_than_data() -> None:
    bicycle = Bicycle(name="x", engine=Diesel(), ring=lambda: "ding")
    assert list(type_problems(bicycle)) == []
    assert list(type_problems(Bicycle(name="x", engine=Diesel))) == []
    assert list(type_problems(Bicycle(name=3), skip=["name"])) == []  # type: ignore[arg-type]
    assert unstructure(bicycle)["ring"] == "<function <lambda>>"
    wrong: Any = {"engine": int, "ring": "ding", "wheels": [{"inches": 28}, Wheel(inches="28")]}  # type: ignore[arg-type]
    assert shown(type_problems(Bicycle(name="x", **wrong))) == [
        f"engine: expected an Engine or a subclass of Engine or 'none', got {int}",
        "ring: expected a function, got 'ding'",
        "wheels[0]: expected a Wheel, got {'inches': 28}",
        "wheels[1].inches: expected a number, got '28'",
    ]
    _, problems = structure({"name": "x", "engine": "diesel", "ring": "ding"}, Bicycle)
    assert shown(problems) == [
        "engine: unknown value 'diesel'; expected one of 'none'",
        "ring: expected a function, which only Python can pass, got 'ding'",
    ]


def test_every_problem_of_the_data_is_reported_and_the_rest_is_read() -> None:
    data = MappingProxyType(
        {
            "name": "x",
            "colour": {"a": 1},
            "wheels": [{"spokes": 1}, 3, {"inches": "x", "spoke": 4}],
            "gears": [],
            "is_electric": True,
        }
    )
    bicycle, problems = structure(data, Bicycle)
    assert [str(problem) for problem in problems] == [
        "$.wheels[0].inches: required, but missing",
        "$.wheels[1]: expected a table, got 3",
        "$.wheels[2].inches: expected a number, got 'x'",
        "$.wheels[2].spoke: unknown key; did you mean 'spokes'?",
        "$.gears: expected a whole number or 'endless', got []",
        "$.colour: unknown key; did you mean 'color'?",
    ]
    assert bicycle == Bicycle(name="x", is_electric=True)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (3, "$: expected a table, got 3"),
        ([], "$: expected a table, got []"),
        ({"gears": 2}, "$.name: required, but missing"),
    ],
)
def test_without_enough_data_there_is_no_instance(data: Any, expected: str) -> None:
    bicycle, problems = structure(data, Bicycle)
    assert (bicycle, [str(problem) for problem in problems]) == (None, [expected])


@pytest.mark.parametrize("levels", [99, 100])
def test_data_is_read_to_a_depth_of_a_hundred(levels: int) -> None:
    data: Any = {"name": "x", "extra": 1}
    for _ in range(levels - 1):
        data["extra"] = [data["extra"]]
    bicycle, problems = structure(data, Bicycle)
    assert problems == ([] if levels == 99 else [Problem("$", "nested more than 100 levels deep")])
    assert (bicycle is None) == (levels == 100)


def test_a_hook_can_report_several_problems_with_their_paths() -> None:
    def refuse(value: object, _: Any) -> Any:
        raise StructureError([(("a", 0), "first"), ((), f"second {value}")])

    converter = new_converter()
    converter.register_structure_hook_func(lambda kind: kind is Wheel, refuse)
    _, problems = structure({"name": "x", "wheels": [7]}, Bicycle, converter)
    assert [str(problem) for problem in problems] == [
        "$.wheels[0].a[0]: first",
        "$.wheels[0]: second 7",
    ]


def test_json_cannot_represent_everything() -> None:
    value = {"a": [1, 1.5, True, None, "x", ("y",)], "b": {2: 3}, "c": float("nan"), "d": {4}}
    assert [str(problem) for problem in json_problems("v", value)] == [
        "v.b: expected names that are strings, got 2",
        "v.c: JSON cannot represent nan",
        "v.d: JSON cannot represent {4}",
    ]
    assert not list(json_problems("v", 10**4199))
    assert [str(problem) for problem in json_problems("v", -(10**4300))] == [
        "v: expected a number of fewer than 4200 digits"
    ]


def test_a_suggestion_lists_a_few_names_and_says_where_many_are() -> None:
    assert suggestion("tokn", ["jwks", "token"]) == "did you mean 'token'?"
    assert suggestion("x", ["jwks", "token", "jwks"]) == "expected one of 'jwks', 'token'"
    assert suggestion("x", []) == "none is defined"
    many = [f"name{number}" for number in range(11)]
    assert suggestion("x", many[1:]).startswith("expected one of 'name1', 'name2'")
    assert suggestion("x", many) == "expected one of the 11 names in the documentation"
    assert suggestion("x", many, page="docs/x.md").endswith("11 names in docs/x.md")
