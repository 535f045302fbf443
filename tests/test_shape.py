"""The shape of the package: imports between packages go down, and inside of one make no cycle.

A long module or function is no failure: it is a question for its author, printed as a warning.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import fake_oauth
from fake_oauth import faults
from fake_oauth.faults.kinds import KINDS

PACKAGE = Path(fake_oauth.__file__).parent
# A package, or a module of the top level, imports only from the rows above its own.
FLOORS = [
    ["parameters", "process", "structure", "toml_file"],
    ["provider"],
    ["dialects", "reply"],
    ["journal"],
    ["faults", "behavior", "families"],
    ["http", "explain"],
    ["settings"],
    ["schema", "settings_file"],
    ["control"],
    ["assembly"],
    ["server"],
    ["contract", "pytest_plugin"],
    ["openapi"],
    ["commands"],
    ["__main__"],
]
FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}
# The rules and the dialects know no transport.
BELOW_HTTP = ("provider", "dialects")
TRANSPORT = {"email", "h11", "http", "socket", "ssl", "urllib", "werkzeug"}
LONG_MODULE, LONG_FUNCTION = 450, 50


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module by its name in the package; that of a package is the package's."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that a module imports when it runs, at its top and in functions."""
    for node in _run(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            known = [name for name in inside if name.removeprefix("fake_oauth.") in modules()]
            yield from known or [node.module]


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below one, except those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _run(child)


def own_imports(name: str) -> set[str]:
    return {
        imported.removeprefix("fake_oauth").removeprefix(".")
        for imported in imports(modules()[name])
        if imported.split(".")[0] == "fake_oauth"
    }


def test_every_package_has_its_floor() -> None:
    assert {name.split(".")[0] for name in modules() if name} == set(FLOOR)


def test_imports_between_packages_go_down() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name in modules()
        if name
        for imported in own_imports(name)
        if imported.split(".")[0] != name.split(".")[0]
        and imported
        and FLOOR[imported.split(".")[0]] >= FLOOR[name.split(".")[0]]
    ]
    assert wrong == []


def test_imports_inside_a_package_make_no_cycle() -> None:
    # A package's own file stands for the whole package where it is imported by name.
    graph = {name: own_imports(name) & set(modules()) - {name} for name in modules() if name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a cycle: {' -> '.join(error.args[1])}")


def test_the_rules_know_no_transport() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name in modules()
        if name.split(".")[0] in BELOW_HTTP
        for imported in imports(modules()[name])
        if imported.split(".")[0] in TRANSPORT
    ]
    assert wrong == []


def test_a_wrong_import_would_be_found() -> None:
    tree = ast.parse(
        "if TYPE_CHECKING:\n    import ssl\n"
        "def f():\n    from fake_oauth.http import app\n    import socket, http.client"
    )
    assert set(imports(tree)) == {"fake_oauth.http.app", "socket", "http.client"}


@pytest.mark.filterwarnings("always::UserWarning")
def test_what_is_long_is_named() -> None:
    for name, tree in modules().items():
        lines = max((node.end_lineno or 0 for node in tree.body), default=0)
        if lines > LONG_MODULE:
            warnings.warn(f"{name} has {lines} lines: is it one concept?", stacklevel=1)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno
                if length > LONG_FUNCTION:
                    warnings.warn(
                        f"{name}.{node.name} has {length} lines: is it one step?", stacklevel=1
                    )


def test_the_public_names_are_those_that_type_checkers_see() -> None:
    seen = {
        alias.asname
        for node in ast.walk(modules()[""])
        if isinstance(node, ast.ImportFrom) and node.module and "fake_oauth" in node.module
        for alias in node.names
    }
    assert seen == set(fake_oauth.__all__)
    assert {*seen, "__version__"} == set(dir(fake_oauth))
    assert fake_oauth.__all__ == sorted(fake_oauth.__all__)


@pytest.mark.parametrize("name", fake_oauth.__all__)
def test_every_public_name_has_a_docstring_of_its_own(name: str) -> None:
    public = getattr(fake_oauth, name)
    if not isinstance(public, type):
        return  # A table, which its module describes.
    tree = modules()[public.__module__.removeprefix("fake_oauth.")]
    (written,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name
    )
    assert ast.get_docstring(written)


def test_the_public_faults_are_those_that_type_checkers_see() -> None:
    seen = {
        alias.asname
        for node in ast.walk(modules()["faults"])
        if isinstance(node, ast.ImportFrom) and node.module and "fake_oauth" in node.module
        for alias in node.names
    }
    assert seen == {*KINDS, "Fault", "Rule", "KINDS", "MALFORMED", "Malformed", "Response"}
    assert all(getattr(faults, str(name)) for name in seen)
    with pytest.raises(AttributeError, match="has no attribute 'Ok'"):
        faults.Ok  # noqa: B018


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'FakeOauth'"):
        fake_oauth.FakeOauth  # noqa: B018
