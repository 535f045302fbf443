"""Every example in the README and in docs/ is run; every table is held to what it describes."""

from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
import re
import shlex
import shutil
import subprocess
import tomllib
from dataclasses import MISSING, fields
from inspect import getsource, signature
from pathlib import Path
from typing import Any

import pytest

import fake_oauth
from fake_oauth import (
    ALL_POLICIES,
    AuthSource,
    Client,
    Dialect,
    FakeOAuth,
    Key,
    RefreshPolicy,
    RefreshToken,
    Settings,
    User,
)
from fake_oauth.__main__ import main
from fake_oauth.behaviour.assertions import ClientAssertions
from fake_oauth.behaviour.checks import CHECKS
from fake_oauth.contract.pages import Page
from fake_oauth.controls import CONTROLS, PREFIX
from fake_oauth.faults import KINDS, Rule
from fake_oauth.provider.terms import OwnTerms
from fake_oauth.structuring import structure
from fake_oauth.web.endpoints import ENDPOINTS

# Imported here, so that what they import stays: each example's run forgets what it imported.
from tests import my_app, naive_app
from tests.test_pytest_plugin import ALONE

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
README = PAGES[0].read_text(encoding="utf-8")


def blocks(language: str) -> list[Any]:
    """Every fenced block in a language, as pytest parameters named by page and line."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 1
            found.append(pytest.param(match[1], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


@pytest.mark.parametrize("block", blocks("python"))
def test_a_python_example_runs(block: str, pytester: pytest.Pytester) -> None:
    if "def test_" not in block:
        exec(compile(block, "example", "exec"), {})  # noqa: S102
        return
    # What an example leaves to its reader: the client that is tested.
    pytester.makepyfile(my_app=getsource(my_app))
    pytester.makepyfile(block)
    outcomes = pytester.runpytest_inprocess("-Werror", *ALONE).parseoutcomes()
    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] >= block.count("def test_")


RECIPES = [block for block in blocks("python") if str(block.id).startswith("docs/recipes.md")]


@pytest.mark.parametrize("block", RECIPES)
def test_a_recipe_is_short_and_catches_a_naive_client(
    block: str, pytester: pytest.Pytester
) -> None:
    """And not because it lacks something that the recipe calls."""
    body = block.partition("\ndef test_")[2]
    assert len(body.rstrip().splitlines()) <= 15
    pytester.makepyfile(my_app=getsource(naive_app))
    pytester.makepyfile(block)
    result = pytester.runpytest_inprocess(*ALONE)
    result.assert_outcomes(failed=1)
    told = result.stdout.str()
    assert not re.search(r"^E +(Type|Attribute|Name|Import)Error", told, re.MULTILINE), told


def test_there_are_recipes_for_the_eight_cases() -> None:
    assert len(RECIPES) == 9, "the lost reply has two"


@pytest.mark.parametrize("block", blocks("toml"))
def test_a_settings_example_is_good(block: str) -> None:
    data = tomllib.loads(block)
    if "request" in data:
        page, problems = structure({"name": "example", **data}, Page)
        assert (page and page.name, problems) == ("example", [])
    else:
        FakeOAuth(Settings.from_mapping(data))


def test_every_option_of_the_check_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    options = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    page = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    table = page.partition("| option | |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(--[a-z-]+)", table)) == {*options, "--help"}


def test_a_tenant_as_described_is_checked_as_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    page = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    steps = page.partition("## A tenant, step by step")[2].partition("\n## ")[0]
    described, shown = (
        re.findall(rf"```{kind}\n(.*?)```", steps, re.DOTALL)[0] for kind in ("toml", "console")
    )
    path = tmp_path / "tenant.toml"
    path.write_text(described, encoding="utf-8")
    with FakeOAuth(Settings.from_toml(path)) as server:
        asked = ["check", server.url, "--settings", str(path)]
        assert main(asked) == 0
        out = capsys.readouterr().out.replace(server.url, "https://tenant.example")
        told = [line.rstrip() for line in out.splitlines()]
        assert [line for line in shown.splitlines()[1:] if line not in (*told, "…")] == []
        assert main([*asked, "--spend", "--value", f"code={server.issue_code()}"]) == 0


@pytest.mark.parametrize("block", blocks("ini"))
def test_an_ini_example_names_our_option(block: str) -> None:
    assert "oauth_server_settings = " in block


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_readmes_curl_command_gets_the_documented_body() -> None:
    (command,) = re.findall(r"^\$ (curl .*?[^\\])$", README, re.MULTILINE | re.DOTALL)
    with FakeOAuth(Settings.documented()) as server:
        command = command.replace("http://127.0.0.1:8080", server.url).replace("\\\n", "")
        body = subprocess.run(
            shlex.split(command), check=True, capture_output=True, text=True
        ).stdout
    (shown,) = re.findall(r"^\$ curl .*?(^\{.*?^\})", README, re.MULTILINE | re.DOTALL)
    pattern = ".*?".join(re.escape(part) for part in shown.split("…"))
    assert re.fullmatch(pattern, body, re.DOTALL)


BEHAVIOUR = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")


def test_every_assertion_is_described_with_its_arguments() -> None:
    table = BEHAVIOUR.partition("| of `assert_client` |")[2].partition("\n\n")[0]
    described = re.findall(r"^\| `(\w+)\((.*?)\)` \| [^|]+ \|$", table, re.MULTILINE)
    assert described == [
        (name, ", ".join(f"{p.name}={p.default:g}" for p in parameters if p.name != "self"))
        for name, method in vars(ClientAssertions).items()
        if not name.startswith("_")
        for parameters in [signature(method).parameters.values()]
    ]


def test_every_check_is_described() -> None:
    table = BEHAVIOUR.partition("| check | what it finds |\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(CHECKS)


CONTROL = (ROOT / "docs" / "control.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_commands_that_steer_are_understood_and_answer_what_is_shown() -> None:
    text = CONTROL.replace("\\\n", "")
    shown = re.search(r"^\$ (curl .*)\n((?:.+\n)+)```", text, re.MULTILINE)
    assert shown is not None
    with FakeOAuth(Settings(control=True)) as server:

        def curl(command: str, *options: str) -> str:
            arguments = shlex.split(command.replace("http://127.0.0.1:8080", server.url))
            run = [*arguments, "-s", *options]
            return subprocess.run(run, check=True, capture_output=True, text=True).stdout

        commands = re.findall(r"^curl .*", text, re.MULTILINE)
        assert len(commands) == 4
        for command in commands:
            assert json.loads(curl(command, "--fail"))
        assert curl(shown[1]) == shown[2]


def table(name: str) -> dict[str, str]:
    """The rows below a heading: the first cell's code and the second's."""
    section = README.partition(f"### {name}\n")[2].partition("\n#")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))


def shown(default: Any) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if default is None or (isinstance(default, dict | tuple) and not default):
        return "–"
    return f"`{default}`"


@pytest.mark.parametrize("kind", [Settings, Client, User, AuthSource, RefreshToken, Key])
def test_the_settings_tables_are_complete(kind: Any) -> None:
    rows = table(kind.__name__)
    terms = {field.name for field in fields(OwnTerms)} if kind is Client else set()
    assert set(rows) == {field.name for field in fields(kind)} - terms


@pytest.mark.parametrize("kind", [Settings, Client, AuthSource])
def test_the_defaults_in_the_tables_are_true(kind: Any) -> None:
    rows = table(kind.__name__)
    for field in fields(kind):
        plain = field.default is not MISSING and not isinstance(field.default, tuple)
        if plain and field.name in rows:
            assert rows[field.name] == shown(field.default), field.name


def test_the_endpoints_are_listed() -> None:
    listed = re.findall(r"^\| `([A-Z, ]+) (/\S+)` \|", README, re.MULTILINE)
    assert listed == [
        (", ".join(ENDPOINTS[name].methods), path) for name, path in Dialect.CIAM.paths.items()
    ]


def test_every_policy_is_described_with_its_fields_and_defaults() -> None:
    page = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page, re.MULTILINE)
    assert names == list(ALL_POLICIES)
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE))
    assert rows == {field.name: shown(field.default) for field in fields(RefreshPolicy)}


def test_everything_that_can_be_steered_is_described_with_its_body() -> None:
    rows = re.findall(r"^\| `([A-Z]+) (/\S+)` \| (.+?) \| [^|]+ \|$", CONTROL, re.MULTILINE)
    told = {(method, path.removeprefix(PREFIX)): body != "–" for method, path, body in rows}
    assert told == {key: row.body is not None for key, row in CONTROLS.items()}
    for method, path, body in rows:
        kind = CONTROLS[method, path.removeprefix(PREFIX)].body
        if kind not in (None, dict):
            names = set(json.loads(body.strip("`").replace("[…]", "[]").replace("{…}", "{}")))
            assert names == {field.name for field in fields(kind)}, path


FAULTS = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


def test_every_kind_of_fault_is_described_with_its_arguments() -> None:
    rows = re.findall(r"^\| `(\w+)(?:\((.*?)\))?` \| [^|]+ \|$", FAULTS, re.MULTILINE)
    told = {name: arguments.split(", ") if arguments else [] for name, arguments in rows}
    # In the order in which they can be given: those by name only come last.
    assert told == {
        name: [field.name for field in sorted(fields(kind), key=lambda field: bool(field.kw_only))]
        for name, kind in KINDS.items()
    }
    assert list(told) == list(KINDS)


def test_every_condition_of_a_rule_is_described() -> None:
    section = FAULTS.partition("| condition |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))
    assert rows == {
        field.name: shown(field.default) for field in fields(Rule) if field.name != "fault"
    }


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(
    "module",
    [module.name for module in pkgutil.walk_packages(fake_oauth.__path__, "fake_oauth.")],
)
def test_examples_in_docstrings_are_true(module: str) -> None:
    if not module.endswith("__main__"):
        assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_the_changelog_has_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{project['version']}]" in changelog or "## [Unreleased]" in changelog
