"""The shape of the house: imports go down, below the line nobody knows HTTP, rooms stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import fake_oauth

PACKAGE = Path(fake_oauth.__file__).parent
LINE = "the line: below it nobody has heard of HTTP"
# A module imports only from rows above its own.
LADDER: list[list[str] | str] = [
    ["provider.errors"],
    ["provider.clock", "provider.ids", "provider.lineage", "provider.outbox", "provider.policies"],
    ["provider.terms"],
    ["provider.conventions", "provider.parties"],
    ["provider.asking", "provider.keys", "provider.records", "provider.resource"],
    ["provider.sessions", "provider.shelves", "provider.tokens"],
    ["provider.ledger"],
    ["provider.realm"],
    ["provider.checks", "provider.issuing", "provider.moves"],
    ["provider.refreshing"],
    ["provider.authorize", "provider.bearer", "provider.otp"],
    ["provider.grants", "provider.introspection"],
    LINE,
    ["bodies", "guard", "journal", "key", "naming", "reply", "structuring"],
    ["behaviour.findings", "dialects", "faults.seams"],
    ["behaviour.manners", "behaviour.refreshing", "behaviour.retrying"],
    ["behaviour.checks"],
    ["behaviour.assertions"],
    ["faults.damage", "faults.hangups", "faults.refusals", "faults.rule", "faults.tampering"],
    ["faults.barrier", "faults.kinds", "faults.malformed", "faults.script"],
    ["web.chunks", "web.credentials", "web.site", "web.tls", "web.writing"],
    ["web.connection", "web.reading"],
    ["web.pages", "web.recording"],
    ["web.endpoints", "web.listener"],
    ["web.cors"],
    ["references", "web.app"],
    ["settings"],
    ["building"],
    ["assembly"],
    ["service"],
    ["steering"],
    ["controls"],
    ["control"],
    ["fake"],
    ["contract.holes", "contract.pages", "contract.rewriting", "contract.schemas"],
    ["contract.secrecy"],
    ["contract.described", "contract.members", "contract.values"],
    ["contract.circumstances", "contract.comparing", "contract.openapi", "contract.telling"],
    ["contract.named", "contract.transports"],
    ["contract.metadata"],
    ["contract.hosts"],
    ["contract.signatures"],
    ["contract.options", "contract.redacting", "contract.running"],
    ["contract.recording"],
    ["contract.report"],
    ["contract.printing"],
    ["contract.command", "contract.record"],
    ["contract.test_contract"],
    ["__main__", "pytest_plugin"],
    ["", "behaviour", "contract", "faults", "provider", "web"],
]
RANK = {name: rank for rank, row in enumerate(LADDER) if row != LINE for name in row}
HTTP = {"email", "http", "socket", "urllib", "werkzeug"}


@cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.Module) -> Iterator[str]:
    """Every module that a module names, wherever it does: at its top, in functions, for types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            inside = {
                f"{node.module}.{alias.name}".removeprefix("fake_oauth.") for alias in node.names
            }
            known = inside & set(RANK)
            yield from (f"fake_oauth.{name}" for name in known)
            if not known:
                yield node.module


def test_every_module_has_its_place() -> None:
    assert set(modules()) == set(RANK)


@pytest.mark.parametrize("name", RANK)
def test_imports_go_down_only(name: str) -> None:
    for imported in imports(modules()[name]):
        if imported.split(".")[0] == "fake_oauth":
            below = imported.removeprefix("fake_oauth").removeprefix(".")
            assert RANK[below] < RANK[name], f"{name or '__init__'} imports {below or '__init__'}"


@pytest.mark.parametrize("name", [name for name in RANK if RANK[name] < LADDER.index(LINE)])
def test_below_the_line_nobody_has_heard_of_http(name: str) -> None:
    assert not {imported.split(".")[0] for imported in imports(modules()[name])} & HTTP


def test_a_wrong_import_would_be_found() -> None:
    tree = ast.parse("def f():\n    from fake_oauth.web import app\n    import socket, http.client")
    assert set(imports(tree)) == {"fake_oauth.web.app", "socket", "http.client"}


@pytest.mark.parametrize("name", RANK)
def test_a_module_fits_on_a_few_screens_and_a_function_on_one(name: str) -> None:
    tree = modules()[name]
    lines = max((node.end_lineno or 0 for node in tree.body), default=0)
    assert lines <= 250
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, node.name


def test_the_public_face_is_what_type_checkers_see_of_it() -> None:
    seen = {
        alias.asname
        for node in ast.walk(modules()[""])
        if isinstance(node, ast.ImportFrom) and node.module and "fake_oauth" in node.module
        for alias in node.names
    }
    assert seen == set(fake_oauth.__all__) == set(dir(fake_oauth))
    assert fake_oauth.__all__ == sorted(fake_oauth.__all__)


@pytest.mark.parametrize("name", fake_oauth.__all__)
def test_every_public_name_can_be_had_and_is_described(name: str) -> None:
    assert getattr(fake_oauth, name).__doc__


def test_there_is_no_other_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'FakeOauth'"):
        fake_oauth.FakeOauth  # noqa: B018
