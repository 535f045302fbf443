"""The README and docs/: examples run, outputs are real, links work, and tables match the code."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from dataclasses import MISSING, fields
from inspect import getsource, signature
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import httpx
import pytest

import fake_oauth
from fake_oauth import (
    ALL_POLICIES,
    AuthSource,
    Client,
    Dialect,
    Exchange,
    FakeOAuth,
    PreconfiguredRefreshToken,
    ProtectedResource,
    RefreshPolicy,
    Settings,
    SigningKey,
    TrustedIssuer,
    User,
    faults,
    pytest_plugin,
)
from fake_oauth.__main__ import main
from fake_oauth.behavior.assertions import ClientAssertions
from fake_oauth.behavior.checks import CHECKS
from fake_oauth.commands.serve import heading as serve_heading
from fake_oauth.contract.cases import Case
from fake_oauth.control import PREFIX
from fake_oauth.control.api import CONTROLS
from fake_oauth.dialects import DIALECTS
from fake_oauth.faults.kinds import KINDS
from fake_oauth.http.endpoints import methods_of
from fake_oauth.provider.errors import Cause
from fake_oauth.provider.ids import IdKind
from fake_oauth.provider.keys import ALGORITHMS
from fake_oauth.provider.model import OwnTerms
from fake_oauth.structure import structure

# Imported here, so that what they import stays: each example's run forgets what it imported.
from tests import my_app, naive_app
from tests.test_pytest_plugin import ALONE
from tests.test_shape import FLOORS

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "README.zh.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
]
# Their blocks are run by tests of their own.
OTHERS = [ROOT / "fixtures" / "README.md", *sorted((ROOT / "examples").glob("*/README.md"))]
README, CONTRIBUTING, CHANGELOG, README_ZH = (
    page.read_text(encoding="utf-8") for page in PAGES[:4]
)
(
    BEHAVIOR,
    CONTROL,
    DIALECT_PAGE,
    ENDPOINT_PAGE,
    FAULTS,
    INDEX,
    SERVER,
    SETTINGS,
    STUB,
    STUB_ZH,
    TESTING,
) = (
    (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in (
        "reference/behavior",
        "reference/control",
        "reference/dialects",
        "reference/endpoints",
        "reference/faults",
        "index",
        "reference/server",
        "reference/settings",
        "howto/stub-server",
        "zh/stub-server",
        "reference/testing",
    )
)


# The README and the page of the stub server, in English and in Chinese.
in_both_readmes = pytest.mark.parametrize("readme", [README, README_ZH], ids=["en", "zh"])
in_both_stubs = pytest.mark.parametrize("stub", [STUB, STUB_ZH], ids=["en", "zh"])


def found(pattern: str) -> Iterator[tuple[re.Match[str], str, str]]:
    """Yield each match of a pattern on each page, the text before it, and its page and line."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
            before = text[: match.start()]
            line = before.count("\n") + 1
            yield match, before, f"{page.relative_to(ROOT)}:{line}"


def blocks(language: str) -> list[Any]:
    """Return every fenced block in a language, as pytest parameters named by page and line."""
    return [
        pytest.param(match[1], id=place) for match, _, place in found(rf"^```{language}\n(.*?)^```")
    ]


def named(block: str) -> str:
    """Return the name of the file that a Python block is, such as `app` for `# app.py`, or ""."""
    name = re.match(r"# (\w+)\.py\n", block)
    return "" if name is None else name[1]


def files(text: str) -> dict[str, str]:
    """Return the files without tests in the text of a page, which the blocks after it import."""
    texts = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return {named(text): text for text in texts if named(text) and "def test_" not in text}


EXAMPLES = [
    pytest.param(match[1], files(before), id=place)
    for match, before, place in found(r"^```python\n(.*?)^```")
]


@pytest.mark.parametrize(("block", "imported"), EXAMPLES)
def test_a_python_example_runs(
    block: str, imported: dict[str, str], pytester: pytest.Pytester
) -> None:
    if "def test_" not in block:
        code = compile(block, "example", "exec")
        if not named(block):  # A file runs with the tests that follow.
            exec(code, {})  # noqa: S102
        return
    outcomes = run(pytester, block, imported).parseoutcomes()
    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] >= block.count("def test_")


@pytest.mark.parametrize("block", blocks("python needs=time_machine"))
def test_an_example_with_time_machine_runs(block: str, pytester: pytest.Pytester) -> None:
    pytest.importorskip("time_machine")
    run(pytester, block, {}).assert_outcomes(passed=1)


def run(pytester: pytest.Pytester, block: str, imported: dict[str, str]) -> pytest.RunResult:
    """Run an example as a test file, with a client that represents the reader's own."""
    pytester.makepyfile(my_app=getsource(my_app))
    for name, text in {**imported, named(block) or "test_example": block}.items():
        pytester.makepyfile(**{name: text})
    used = [name for name in ("anyio", "asyncio") if f"mark.{name}" in block]
    unused = [option for option in ALONE if not option.endswith(tuple(used))]
    loop = ["-oasyncio_default_fixture_loop_scope=function"] if "asyncio" in used else []
    with patch.dict(os.environ):  # Django's settings are named there.
        return pytester.runpytest_inprocess("-Werror", *unused, *loop)


def test_a_file_in_the_manual_is_followed_by_its_tests() -> None:
    last = {str(example.id).rpartition(":")[0]: example.values for example in EXAMPLES}
    used = [page for page, (_, imported) in last.items() if imported]
    assert used
    assert [page for page in used if "def test_" not in str(last[page][0])] == []


def comparable(output: str) -> str:
    """Return output without what differs from run to run: ports, times, and lengths of lines."""
    output = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", output)
    output = re.sub(r"\d\d:\d\d:\d\d", "HH:MM:SS", output)
    output = re.sub(r"for another \d+ s", "for another N s", output)
    return re.sub(r"-{3,}", "---", output)


FAILURES = [
    pytest.param(match[1], files(before), match[2], id=place)
    for match, before, place in found(r"^```python fails\n([^`]*)^```\n\n```text\n([^`]*)^```")
]
assert FAILURES


@pytest.mark.parametrize(("block", "imported", "output"), FAILURES)
def test_an_example_that_fails_has_the_report_that_is_shown(
    block: str, imported: dict[str, str], output: str, pytester: pytest.Pytester
) -> None:
    result = run(pytester, block, imported)
    result.assert_outcomes(failed=1)
    assert comparable(output) in comparable(result.stdout.str())


RECIPES = [block for block in blocks("python") if str(block.id).startswith("docs/howto/recipes.md")]


@pytest.mark.parametrize("block", RECIPES)
def test_a_recipe_is_short_and_catches_a_naive_client(
    block: str, pytester: pytest.Pytester
) -> None:
    """A naive client fails each recipe, and not because it lacks a method."""
    body = block.partition("\ndef test_")[2]
    assert len(body.rstrip().splitlines()) <= 15
    pytester.makepyfile(my_app=getsource(naive_app))
    pytester.makepyfile(block)
    result = pytester.runpytest_inprocess(*ALONE)
    result.assert_outcomes(failed=1)
    output = result.stdout.str()
    assert not re.search(r"^E +(Type|Attribute|Name|Import)Error", output, re.MULTILINE), output


def test_there_are_recipes_for_the_nine_cases() -> None:
    assert len(RECIPES) == 10, "the lost response has two"


@pytest.mark.parametrize("block", blocks("toml"))
def test_a_toml_example_is_valid(block: str) -> None:
    data = tomllib.loads(block)
    if "request" in data:
        case, problems = structure({"name": "example", **data}, Case)
        assert (case and case.name, problems) == ("example", [])
    else:
        FakeOAuth(Settings.from_mapping(data))


@pytest.mark.parametrize("block", blocks("ini"))
def test_an_ini_example_names_our_options(block: str, pytestconfig: pytest.Config) -> None:
    parser = ConfigParser()
    parser.read_string(block)
    assert parser.sections() == ["pytest"]
    for name in parser["pytest"]:
        assert name.startswith("oauth_server_")
        assert pytestconfig.getini(name) is not None


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@in_both_readmes
def test_the_readmes_curl_command_returns_the_documented_body_and_is_logged_as_shown(
    readme: str,
) -> None:
    (command,) = re.findall(r"^\$ (curl .*?[^\\])$", readme, re.MULTILINE | re.DOTALL)
    with FakeOAuth(Settings.documented()) as server:
        command = command.replace("http://127.0.0.1:8080", server.url).replace("\\\n", "")
        body = subprocess.run(
            shlex.split(command), check=True, capture_output=True, text=True
        ).stdout
        (heading,) = re.findall(
            r"^\$ fake-oauth serve --doc.*\n((?:.+\n)+?)```", readme, re.MULTILINE
        )
        printed = serve_heading(server).replace(server.url, "http://127.0.0.1:8080").splitlines()
        assert [line for line in heading.splitlines() if line not in (*printed, "…")] == []
    (shown,) = re.findall(r"^\$ curl .*?(^\{.*?^\})", readme, re.MULTILINE | re.DOTALL)
    pattern = ".*?".join(re.escape(part) for part in shown.split("…"))
    assert re.fullmatch(pattern, body, re.DOTALL)
    assert f"```text\n{server.journal[0]}\n```" in readme


@in_both_readmes
def test_the_readmes_failure_report_is_real(readme: str) -> None:
    with FakeOAuth(Settings(start_time=1636449231, freeze_time=True)) as server:
        refresh_token = server.issue_tokens().refresh_token
        assert refresh_token is not None
        session = my_app.Session(server.token_url, refresh_token)
        session.refresh()
        server.clock.advance(3601)
        with pytest.raises(my_app.LoggedOut):
            session.refresh()
    title = f"{' fake_oauth http://127.0.0.1:43210 ':-^83}"
    assert f"```text\n{title}\n{server.journal}\n```" in readme


def test_the_problems_of_a_settings_file_are_real(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'access_token_seconds = 0\n[[clients]]\nclient_id = "web"\nredirect_uri = "x:y"\n'
    Path("fake.toml").write_text(text, encoding="utf-8")
    assert main(["serve", "--settings", "fake.toml"]) == 2
    assert f"$ fake-oauth serve --settings fake.toml\n{capsys.readouterr().err}```" in SETTINGS


def test_the_fixtures_ini_options_and_markers_are_listed(pytestconfig: pytest.Config) -> None:
    def listed(heading: str) -> list[str]:
        section = TESTING.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
        return re.findall(r"^\| `(\w+)", section, re.MULTILINE)

    source = getsource(pytest_plugin)
    defined = re.findall(r"^@pytest\.fixture.*\ndef ([a-z]\w+)", source, re.MULTILINE)
    assert sorted(listed("Fixture")) == sorted(defined)
    assert all(pytestconfig.getini(name) is not None for name in listed("Ini option"))
    assert set(listed("Ini option")) == set(re.findall(r'"(oauth_server_\w+)"', source))
    markers = [
        marker.partition(":")[0].partition("(")[0] for marker in pytestconfig.getini("markers")
    ]
    assert [name for name in listed("Marker") if name not in markers] == []


def test_every_method_and_attribute_of_a_server_is_in_the_reference_once() -> None:
    listed = re.findall(r"^\.\. auto(\w+):: FakeOAuth\.(\w+)$", SERVER, re.MULTILINE)
    expected = [
        ("attribute", name) for name in FakeOAuth.__annotations__ if not name.startswith("_")
    ]
    for name, member in vars(FakeOAuth).items():
        if not name.startswith("_") and inspect.isfunction(member):
            expected.append(("method", name))
        elif not name.startswith("_") and isinstance(member, property):
            expected.append(("property", name))
    expected.remove(("method", "respond_to_malformed"))  # It is for the listener.
    assert sorted(listed) == sorted(expected)


def test_every_public_name_is_in_the_reference_once() -> None:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").glob("*.md")]
    directive = r"^\.\. auto(?:class|data|exception|function):: ([\w.]+)"
    listed = [name for page in pages for name in re.findall(directive, page, re.MULTILINE)]
    source = getsource(pytest_plugin)
    public = [f"fake_oauth.{name}" for name in fake_oauth.__all__]
    public += [f"fake_oauth.faults.{name}" for name in dir(faults)]
    public += [f"fake_oauth.dialects.{type(dialect).__name__}" for dialect in DIALECTS.values()]
    public += re.findall(r"^@pytest\.fixture.*\ndef ([a-z]\w+)", source, re.MULTILINE)
    assert [name for name in public if listed.count(name) != 1] == []


def test_faults_are_in_the_reference_under_their_stages() -> None:
    page = (ROOT / "docs/reference/api-faults.md").read_text(encoding="utf-8")
    stages = {
        "request": "Before the endpoint",
        "token": "In the tokens",
        "response": "In the response",
        "connection": "On the connection",
    }
    for stage, heading in stages.items():
        section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        names = re.findall(r":: fake_oauth\.faults\.(\w+)$", section, re.MULTILINE)
        assert names == [name for name, kind in KINDS.items() if kind.stage == stage]


def test_every_attribute_of_an_exchange_is_described() -> None:
    section = TESTING.partition("\n| Exchange |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    described = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    properties = [name for name, member in vars(Exchange).items() if isinstance(member, property)]
    expected = {field.name for field in fields(Exchange)} | set(properties)
    assert sorted(described) == sorted(expected - {"raw_headers", "size"})


def test_every_attribute_of_a_dialect_and_every_cause_is_described() -> None:
    def listed(heading: str) -> str:
        return DIALECT_PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]

    attributes = re.findall(r"^\| `(\w+)` \|", listed("Attributes"), re.MULTILINE)
    assert sorted(attributes) == sorted(
        name
        for name, part in vars(Dialect).items()
        if not name.startswith("_") and not inspect.isfunction(part)
    )
    causes = " ".join(re.findall(r"^\| [A-Z].*? \| (.*) \|$", listed("Causes"), re.MULTILINE))
    assert sorted(re.findall(r"`(\w+)`", causes)) == sorted(get_args(Cause))


def test_the_transcript_of_a_lost_response_is_real() -> None:
    settings = Settings(refresh_policy="rotate", users=[User(sub="u", username="alice")])
    with FakeOAuth(settings) as server:
        server.script(faults.HangUp(after_commit=True))
        refresh_token = server.issue_tokens().refresh_token
        assert refresh_token is not None
        with pytest.raises(my_app.LoggedOut):
            my_app.Session(server.token_url, refresh_token).refresh()
    assert f"```text\n{comparable(str(server.journal))}\n```" in comparable(FAULTS)


@in_both_stubs
def test_the_stub_servers_output_is_real(stub: str) -> None:
    (shown,) = re.findall(
        r"^\$ fake-oauth serve --seed 1\n(.*?)```", stub, re.MULTILINE | re.DOTALL
    )
    client = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
    with FakeOAuth(Settings(seed=1, control=True)) as server:
        for refresh_token in ("MOCK_REFRESH_TOKEN", "WRONG"):
            form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **client}
            httpx.post(server.token_url, data=form)
        printed = f"{serve_heading(server)}\n{server.journal}".replace(
            server.url, "http://127.0.0.1:8080"
        )
    lines = comparable(printed).splitlines()
    assert [line for line in comparable(shown).splitlines() if line not in (*lines, "…")] == []


def test_the_signing_algorithms_are_listed() -> None:
    (row,) = re.findall(r"^\| `alg` \| .* \| (.*) \|$", SETTINGS, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(ALGORITHMS)


def test_the_import_floors_are_those_that_are_checked() -> None:
    rows = re.findall(r"^\| \d+ \| (.*) \|$", CONTRIBUTING, re.MULTILINE)
    assert [re.findall(r"`(\w+)`", row) for row in rows] == FLOORS


def test_the_places_in_contributing_exist() -> None:
    places = re.findall(
        r"`((?:fake_oauth|tests|docs|fixtures|examples|benchmarks|fuzz)/[\w./]*)`", CONTRIBUTING
    )
    modules = re.findall(
        r"`((?:provider|dialects|http|faults|behavior|control)/[\w./]*)`", CONTRIBUTING
    )
    assert len(places) > 20
    assert len(modules) > 10
    paths = [*places, *(f"fake_oauth/{module}" for module in modules)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_module_is_in_contributing() -> None:
    package = ROOT / "fake_oauth"
    named = set(re.findall(r"`(?:fake_oauth/)?([\w/]+\.py)`", CONTRIBUTING))
    modules = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    # The row of the folder is for all grant types.
    assert [
        module
        for module in sorted(modules - named)
        if not module.endswith("/__init__.py") and not module.startswith("provider/grants/")
    ] == []


def test_every_assertion_is_described_with_its_arguments() -> None:
    rows = re.findall(r"^\| `(\w+)\((.*?)\)` \| [^|]+ \|$", BEHAVIOR, re.MULTILINE)
    described = [row for row in rows if row[0] in vars(ClientAssertions)]
    assert sorted(described) == sorted(
        (name, ", ".join(f"{p.name}={p.default:g}" for p in parameters if p.name != "self"))
        for name, method in vars(ClientAssertions).items()
        if not name.startswith("_")
        for parameters in [signature(method).parameters.values()]
    )
    assert {name for name, _ in described} >= set(CHECKS)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_commands_of_the_control_api_run_and_print_what_is_shown() -> None:
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
    """Return the rows of a section of the settings: the names and the defaults."""
    heading = "Server" if name == "Settings" else name
    section = SETTINGS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))


def shown(default: Any) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if default is None or (isinstance(default, dict | tuple) and not default):
        return "–"
    return f"`{default}`"


@pytest.mark.parametrize(
    "kind",
    [
        Settings,
        Client,
        User,
        AuthSource,
        PreconfiguredRefreshToken,
        TrustedIssuer,
        SigningKey,
        ProtectedResource,
    ],
)
def test_the_settings_tables_are_complete(kind: Any) -> None:
    rows = table(kind.__name__)
    terms = {field.name for field in fields(OwnTerms)} if kind is Client else set()
    assert set(rows) == {field.name for field in fields(kind)} - terms


@pytest.mark.parametrize("kind", [Settings, Client, AuthSource, TrustedIssuer, ProtectedResource])
def test_the_defaults_in_the_tables_are_true(kind: Any) -> None:
    rows = table(kind.__name__)
    for field in fields(kind):
        plain = field.default is not MISSING and not isinstance(field.default, tuple)
        if plain and field.name in rows:
            assert rows[field.name] == shown(field.default), field.name


def test_the_default_client_and_user_are_shown_as_they_are() -> None:
    section = SETTINGS.partition("\n### The default client and the default user\n")[2]
    text = section.partition("```toml\n")[2].partition("```")[0]
    data = tomllib.loads(text)
    assert set(data) == {"clients", "users", "refresh_tokens", "auth_sources"}
    settings = Settings.from_mapping(data)
    for name in data:
        assert list(getattr(settings, name)) == list(getattr(Settings(), name))


def test_the_kinds_of_ids_are_listed() -> None:
    section = SETTINGS.partition("\n## Ids\n")[2].partition("\n#")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(get_args(IdKind))


def toctrees() -> list[str]:
    """Return the pages that the first page lists in its toctrees, as paths from the root."""
    found = []
    for tree in re.findall(r"^```{toctree}\n(.*?)^```", INDEX, re.MULTILINE | re.DOTALL):
        entries = [line for line in tree.splitlines() if line and not line.startswith(":")]
        names = [re.sub(r".*<(.*)>", r"\1", entry) for entry in entries]
        found += [(ROOT / "docs" / f"{name}.md").resolve() for name in names if name != "/genindex"]
    return [page.relative_to(ROOT).as_posix() for page in found]


def test_every_page_has_its_place_in_the_reading_order() -> None:
    pages = {*PAGES, *OTHERS} - {ROOT / "docs" / "index.md"}
    assert sorted(toctrees()) == sorted(page.relative_to(ROOT).as_posix() for page in pages)


@in_both_stubs
def test_the_options_of_serve_are_listed(stub: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    options = re.findall(r"^  (?:-h, )?(--[\w-]+)", capsys.readouterr().out, re.MULTILINE)
    rows = re.findall(r"^\| `(--[\w-]+)[ \w]*` \|", stub, re.MULTILINE)
    assert rows == [option for option in options if option != "--help"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refused_refresh_has_the_reason_and_the_response_that_are_described(dialect: str) -> None:
    page = (ROOT / "docs/explained/invalid-grant.md").read_text(encoding="utf-8")
    reasons = dict(re.findall(r"^\| `(\w+)` \| `([^`…]+)` \|", page, re.MULTILINE))
    responses: dict[str, str] = {}
    for causes, ciam, others in re.findall(r"^\| (.+) \| (4.+) \| (4.+) \|$", page, re.MULTILINE):
        for cause in re.findall(r"`(\w+)`", causes):
            responses[cause] = ciam if dialect == "ciam" else others
    assert set(reasons) == set(responses)

    settings = Settings(
        dialect=dialect,
        clients=[Client(client_id=name, client_secret="s") for name in ("web", "app")],
        users=[User(sub=name, username=name) for name in ("MOCK_USERNAME", "bob")],
        refresh_policy="rfc9700",
        refresh_token_seconds=100,
    )
    with FakeOAuth(settings) as server:
        server.clock.freeze()

        def issued(user: str, client: str = "web") -> str:
            return str(server.issue_tokens(user=user, client=client).refresh_token)

        def refresh(token: str) -> Any:
            form = {"grant_type": "refresh_token", "refresh_token": token}
            form |= {"client_id": "web", "client_secret": "s"}
            return httpx.post(server.token_url, data=form).json()

        rotated, frozen, orphan = issued("bob"), issued("bob"), issued("MOCK_USERNAME")
        successor = refresh(rotated)["refresh_token"]
        for token in ("R9", rotated, successor, issued("bob", "app")):
            refresh(token)
        server.freeze_user("bob")
        refresh(frozen)
        server.delete_user("MOCK_USERNAME")
        refresh(orphan)
        server.unfreeze_user("bob")
        server.clock.advance(101)
        refresh(frozen)
        refused = {exchange.cause or "": exchange for exchange in server.journal[1:]}
    assert set(refused) == set(reasons)
    descriptions = []
    for cause, exchange in refused.items():
        assert (exchange.reason or "").startswith(reasons[cause])
        shown = re.fullmatch(r"(\d+) `(\w+)`(?:, with (.+))?", responses[cause])
        assert shown is not None
        assert (str(exchange.status), exchange.error) == (shown[1], shown[2])
        descriptions.append((shown[3], exchange.reply.get("error_description")))
    assert all((said is None) == (sent is None) for said, sent in descriptions)


def test_the_causes_of_invalid_grant_exist() -> None:
    page = (ROOT / "docs/explained/invalid-grant.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`[a-z_]+`) \| `(?:refresh|user)", page, re.MULTILINE)
    cells += re.findall(r"^\| [^|]+ \| (`.*?`) \| [A-Z]", page, re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(cells))
    assert len(named) > 20
    assert set(named) <= set(get_args(Cause))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_paths_of_each_dialect_are_listed(dialect: str) -> None:
    section = DIALECT_PAGE.partition("\n## Differences\n")[2].partition("\n## ")[0]
    listed = re.findall(r"`(/[\w./-]+)`", section)
    assert [path for path in DIALECTS[dialect].paths.values() if path not in listed] == []


def served(dialect: str) -> dict[str, str]:
    """Return each endpoint of a dialect as it is written: `GET, POST /login`."""
    row = DIALECTS[dialect]
    return {name: f"{', '.join(methods_of(row, name))} {path}" for name, path in row.paths.items()}


def lists(dialect: str) -> dict[str, Sequence[str]]:
    """Return what a client can use of a dialect, apart from its endpoints."""
    return {
        "Grant types:": DIALECTS[dialect].grant_types,
        "Parameters of an authorization request:": DIALECTS[dialect].authorization_parameters,
        "Members of the metadata:": list(FakeOAuth(Settings(dialect=dialect)).metadata()),
    }


def section_of(dialect: str) -> str:
    return ENDPOINT_PAGE.partition(f"\n## {dialect}")[2].partition("\n## ")[0]


def test_the_endpoints_of_the_default_dialect_are_listed() -> None:
    section = section_of("ciam")
    assert re.findall(r"^\| `([A-Z, ]+ /\S+)` \|", section, re.MULTILINE) == [
        *served("ciam").values()
    ]
    expected = "".join(
        f"{title}\n" + "".join(f"  {name}\n" for name in names)
        for title, names in lists("ciam").items()
    )
    assert f"```text\n{expected}```" in section


@pytest.mark.parametrize(("before", "dialect"), [*pairwise(DIALECTS)])
def test_what_a_dialect_changes_is_listed(before: str, dialect: str) -> None:
    section, old, new = section_of(dialect), served(before), served(dialect)
    expected = [
        ("changed" if name in old else "added", text)
        for name, text in new.items()
        if old.get(name) != text
    ]
    expected += [("removed", text) for name, text in old.items() if name not in new]
    rows = re.findall(r"^\| (\w+) \| `([A-Z, ]+ /\S+)` \|", section, re.MULTILINE)
    assert sorted(rows) == sorted(expected)
    assert section.startswith(f", compared with {before}\n")
    shown = ""
    for (title, names), known in zip(lists(dialect).items(), lists(before).values(), strict=True):
        shown += f" {title}\n"
        shown += "".join(f"+  {name}\n" for name in names if name not in known)
        shown += "".join(f"-  {name}\n" for name in known if name not in names)
    assert f"```diff\n{shown}```" in section


@pytest.mark.parametrize(
    ("readme", "heading", "python"),
    [(README, "Install", "Python {} or later"), (README_ZH, "安装", "Python {} 或更高版本")],
    ids=["en", "zh"],
)
def test_the_readmes_install_lines_name_what_there_is(
    readme: str, heading: str, python: str
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    section = readme.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    extras = set(project["optional-dependencies"]) - {"dev", "docs"}
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == extras
    assert set(re.findall(r"\[(\w+)\]", section)) <= extras
    assert re.findall(r"fake_oauth-(\S+)-py3", section) == [fake_oauth.__version__]
    runs = re.findall(r"^uvx --from (\S+) (\S+) (\w+)", section, re.MULTILINE)
    assert {run[0] for run in runs} == {".", project["name"]}
    assert {run[1] for run in runs} == set(project["scripts"])
    assert python.format(project["requires-python"].removeprefix(">=")) in section


def test_the_readmes_in_both_languages_begin_with_links_to_each_other() -> None:
    assert "[中文](README.zh.md)" in README.splitlines()[:3]
    assert "[English](README.md)" in README_ZH.splitlines()[:3]


def test_every_policy_is_described_with_its_fields_and_defaults() -> None:
    page = (ROOT / "docs/reference/policies.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page, re.MULTILINE)
    assert names == list(ALL_POLICIES)
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE))
    assert rows == {field.name: shown(field.default) for field in fields(RefreshPolicy)}


def test_every_control_is_described_with_its_body() -> None:
    rows = re.findall(r"^\| `([A-Z]+) (/\S+)` \| (.+?) \| [^|]+ \|$", CONTROL, re.MULTILINE)
    described = {}
    for method, path, body in rows:
        example = body.strip("`").replace("[…]", "[]").replace("{…}", "{}")
        described[method, path.removeprefix(PREFIX)] = (
            [] if body == "–" else list(json.loads(example))
        )
    expected = {}
    for control, row in CONTROLS.items():
        function = getattr(FakeOAuth, row) if isinstance(row, str) else row
        expected[control] = list(signature(function).parameters)[1:]
    assert described == expected


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_links_between_pages_lead_to_files_and_headings(page: Path) -> None:
    for link in re.findall(r"\]\(([^):]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize(
    "module",
    [module.name for module in pkgutil.walk_packages(fake_oauth.__path__, "fake_oauth.")],
)
def test_examples_in_docstrings_are_true(module: str) -> None:
    if not module.endswith("__main__"):
        assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_the_changelog_has_this_version() -> None:
    version = re.escape(fake_oauth.__version__)
    assert re.search(rf"^## \[{version}\] - \d{{4}}-\d\d-\d\d$", CHANGELOG, re.MULTILINE)


def test_the_new_names_in_the_changelog_exist() -> None:
    rows = re.findall(
        r"^\| `\S+` \| `(?:faults|FakeOAuth|Exchange)\.(\w+)", CHANGELOG, re.MULTILINE
    )
    assert len(rows) > 10
    places = (faults, FakeOAuth, Exchange)
    assert [name for name in rows if not any(hasattr(place, name) for place in places)] == []
