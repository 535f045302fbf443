"""docs/reference/contract.md: its options are all options, and its output is real."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, Settings
from fake_oauth.__main__ import main
from fake_oauth.contract.cases import Case, ExpectedResponse, cases
from fake_oauth.contract.options import options_of
from fake_oauth.contract.placeholders import _PLACEHOLDERS
from fake_oauth.contract.recorder import Recorder
from fake_oauth.structure import structure
from tests.support.contract import CONTROLLED, StubTransport, received

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reference/contract.md").read_text(encoding="utf-8")
FIXTURES = (ROOT / "fixtures" / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def lines_of(out: str, server: FakeOAuth, url: str) -> list[str]:
    return [line.rstrip() for line in out.replace(server.url, url).splitlines()]


def shown(block: str) -> list[str]:
    """Return the lines of an output that a block shows."""
    return [line for line in block.splitlines() if not line.startswith("$") and line != "…"]


@pytest.mark.parametrize("command", ["check", "record"])
def test_every_option_has_a_row(command: Any) -> None:
    tables = PAGE.partition("\n## Options\n")[2].partition("\n## ")[0].split("\n\n`")
    (table,) = (text for text in tables if text.startswith(f"{command}` has"))
    rows = re.findall(r"^\| .*?\|", f"{tables[0]}\n{table}", re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`--([a-z-]+)", row)}
    assert described == {option.name for option in options_of(command)} | (
        {"upstream"} if command == "record" else set()
    )


def test_a_fake_is_checked_as_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    with FakeOAuth(CONTROLLED) as server:
        assert main(["check", server.url]) == 0
        out = lines_of(capsys.readouterr().out, server, "http://127.0.0.1:8080")
    assert [line for line in shown(blocks("console")[0]) if line not in out] == []


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the settings file of the page."""
    monkeypatch.setenv("COLUMNS", "120")
    path = tmp_path / "tenant.toml"
    path.write_text(blocks("toml")[0], encoding="utf-8")
    return path


def test_a_tenant_is_checked_as_shown(capsys: pytest.CaptureFixture[str], tenant: Path) -> None:
    with FakeOAuth(Settings.from_toml(tenant)) as server:
        asked = ["check", server.url, "--settings", str(tenant)]
        assert main(asked) == 0
        out = lines_of(capsys.readouterr().out, server, "https://tenant.example")
        assert [line for line in shown(blocks("console")[1]) if line not in out] == []
        assert main([*asked, "--spend", "--value", f"code={server.issue_code()}"]) == 0


def test_a_difference_is_shown_as_shown(
    capsys: pytest.CaptureFixture[str], tenant: Path, httpserver: Any
) -> None:
    fake = FakeOAuth(Settings.from_toml(tenant))

    def respond(request: Any) -> Any:
        response = fake.handle(request)
        if b"refresh_token=WRONG" in request.get_data():
            response.set_data(b'{"error": "invalid_client"}')
        return response

    httpserver.expect_request(re.compile("/(?!_fake).*")).respond_with_handler(respond)
    url = httpserver.url_for("").rstrip("/")
    assert main(["check", url, "--settings", str(tenant), "--only", "differs", "-v"]) == 1
    out = capsys.readouterr().out.replace(url, "https://tenant.example")
    assert [line.rstrip() for line in out.splitlines()] == shown(blocks("console")[2])


def test_recorded_files_are_named_as_shown(tmp_path: Path) -> None:
    lines: list[str] = []
    upstream = StubTransport(received({"token_type": "Bearer"}))
    recorder = Recorder(
        upstream, tmp_path / "cases", {}, watch=lines.append, paths=["/oauth/token"]
    )
    client = WSGIClient(recorder)
    client.post("/oauth/token", data={"grant_type": "x"})
    upstream.response = received({"error": "x"}, 400)
    client.post("/oauth/token", data={"grant_type": "x"})
    upstream.response = received("<p>", content_type="text/html")
    client.get("/account")
    recorded = [line.strip() for line in shown(blocks("console")[3]) if line.startswith("  ")]
    assert [line.replace(f"{tmp_path}/", "") for line in lines] == recorded


def test_the_example_of_a_case_is_a_case() -> None:
    (example,) = (block for block in blocks("toml") if "[request]" in block)
    case, problems = structure({"name": "example", **tomllib.loads(example)}, Case)
    assert problems == []
    titles = {one.title for one in cases("ciam") if one.name == "authorization_code.bad_code"}
    assert {case and case.title} == titles


def test_every_key_and_placeholder_of_a_case_is_described() -> None:
    described = set(re.findall(r"`\[*([a-z_]+)\]*`", FIXTURES))
    keys = {*Case.__dataclass_fields__, *ExpectedResponse.__dataclass_fields__} - {"name"}
    assert keys <= described
    assert set(_PLACEHOLDERS) <= set(re.findall(r"`(<[a-z]+>)`", FIXTURES))
