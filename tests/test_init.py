"""`fake-oauth init`: its files are valid, as they are and with each line turned on."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, Settings
from fake_oauth.__main__ import main
from fake_oauth.commands.starter import PURPOSES, Plan, settings_text
from fake_oauth.contract.cases import cases, select
from fake_oauth.dialects import load_dialect
from fake_oauth.schema import settings_schema
from tests.test_pytest_plugin import ALONE

PLANS = [
    pytest.param(
        Plan(
            purpose=purpose,
            redirect_uri=purpose.redirect_uri and uri,
            dialect=dialect,
            rotates=dialect != "ciam",
        ),
        id=f"{name}-{dialect}-{uri.partition(':')[0]}",
    )
    for (name, purpose), (dialect, uri) in product(
        PURPOSES.items(),
        (
            ("ciam", "http://localhost:5173/callback"),
            ("rfc", "com.example.app:/callback"),
            ("rfc", "https://localhost/callback"),
            ("mcp", "https://app.example"),
        ),
    )
]


def serve(text: str) -> None:
    """Make a server from a settings file. Raise SettingsError if it is not valid."""
    FakeOAuth(Settings.from_mapping(tomllib.loads(text)))


def turned_on(text: str) -> Iterator[str]:
    """Yield the file once for each setting that is turned off, and with it turned on.

    The lines of a table that is turned off belong together.
    """
    lines = text.splitlines()
    index = 0
    while index < len(lines):
        end = index + 1
        if re.match(r"#\[", lines[index]):
            while end < len(lines) and lines[end].startswith("#"):
                end += 1
        if re.match(r"#[a-z\[]", lines[index]):
            block = [line.removeprefix("#") for line in lines[index:end]]
            yield "\n".join([*lines[:index], *block, *lines[end:]])
        index = end


@pytest.mark.parametrize("plan", PLANS)
def test_a_file_is_valid_also_with_each_line_turned_on(plan: Plan) -> None:
    text = settings_text(plan)
    serve(text)
    variants = list(turned_on(text))
    assert len(variants) >= 10
    for variant in variants:
        serve(variant)
    everything = re.sub(r"^#(?=[a-z\[])", "", text, flags=re.MULTILINE)
    serve(everything)
    assert "#:schema" in everything
    validator = Draft202012Validator(settings_schema())
    # An editor shows a date-time to a schema as text.
    data = json.loads(json.dumps(tomllib.loads(everything), default=str))
    assert [error.message for error in validator.iter_errors(data)] == []


@pytest.mark.parametrize("plan", PLANS)
def test_the_text_fits_80_columns_and_has_no_stray_blanks(plan: Plan) -> None:
    lines = settings_text(plan).splitlines()
    assert [line for line in lines if len(line) > 80 or line != line.rstrip()] == []
    assert "\n\n\n" not in "\n".join(lines)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_name_of_a_file_is_no_option(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--yes", "--for", "backend", "--no-schema", "--", "-x.toml"]) == 0
    assert "  fake-oauth serve --settings ./-x.toml --reload" in capsys.readouterr().out
    assert files(folder) == ["-x.toml"]


def test_options_answer_every_question(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = "https://app.example/cb"
    arguments = ["--for", "spa", "--redirect-uri", uri, "--dialect", "ciam", "--no-rotate"]
    assert main(["init", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0] == "Wrote fake_oauth.toml and fake_oauth.schema.json."
    assert "  fake-oauth serve --settings fake_oauth.toml --reload" in out.splitlines()
    assert files(folder) == ["fake_oauth.schema.json", "fake_oauth.toml"]
    text = Path("fake_oauth.toml").read_text(encoding="utf-8")
    assert text.startswith("#:schema fake_oauth.schema.json\n")
    settings = Settings.from_toml("fake_oauth.toml")
    assert (settings.dialect, settings.refresh_policy) == ("ciam", "ciam")
    assert settings.cors_origins == ("https://app.example",)
    (client,) = settings.clients
    assert (client.is_public, client.redirect_uris) == (True, ("https://app.example/cb",))
    schema = json.loads(Path("fake_oauth.schema.json").read_text(encoding="utf-8"))
    assert schema == settings_schema()


@pytest.mark.parametrize("name", PURPOSES)
def test_proposals_answer_the_rest(name: str, folder: Path) -> None:
    assert main(["init", "--for", name, "--yes", "--no-schema"]) == 0
    assert files(folder) == ["fake_oauth.toml"]
    assert "#:schema" not in Path("fake_oauth.toml").read_text(encoding="utf-8")
    purpose = PURPOSES[name]
    settings = Settings.from_toml("fake_oauth.toml")
    policy = "rfc9700" if purpose.rotates else "ciam"
    assert (settings.dialect, settings.refresh_policy) == (purpose.dialect, policy)


@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://localhost:5173/"])
def test_an_origin_becomes_a_redirect_uri(origin: str) -> None:
    assert main(["init", "--for", "spa", "--redirect-uri", origin]) == 0
    settings = Settings.from_toml("fake_oauth.toml")
    assert settings.clients[0].redirect_uris == ("http://localhost:5173/callback",)
    assert settings.cors_origins == ("http://localhost:5173",)


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("http://localhost:5176", "localhost"),
        ("http://LOCALHOST/callback", "localhost"),
        ("http://127.0.0.1:5176", "127.0.0.1"),
        ("https://localhost:5176", "127.0.0.1"),
        ("http://localhost.example:5176", "127.0.0.1"),
    ],
)
def test_an_application_and_its_issuer_are_one_site(
    uri: str, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--for", "spa", "--redirect-uri", uri]) == 0
    assert f"  issuer        http://{host}:8080\n" in capsys.readouterr().out
    with FakeOAuth(Settings.from_toml("fake_oauth.toml")) as server:
        port = server.url.rpartition(":")[2]
        assert server.issuer == f"http://{host}:{port}"
        # The server listens on 127.0.0.1, and localhost leads there.
        metadata = httpx.get(f"{server.issuer}/.well-known/openid-configuration").json()
        assert metadata["issuer"] == server.issuer


def test_the_issuer_has_the_path_of_the_dialect(folder: Path, monkeypatch: Any) -> None:
    Path("shop.py").write_text(
        "from fake_oauth.dialects import RFC\nclass Shop(RFC):\n    issuer_path = '/realms/shop'\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(folder)
    assert main(["init", "--for", "spa", "--dialect", "shop:Shop"]) == 0
    settings = Settings.from_toml("fake_oauth.toml")
    assert settings.issuer == "http://localhost:{port}/realms/shop"


@pytest.mark.parametrize("dialect", ["ciam", "rfc"])
def test_the_comments_say_the_defaults(dialect: str) -> None:
    assert main(["init", "--for", "backend", "--dialect", dialect]) == 0
    text = Path("fake_oauth.toml").read_text(encoding="utf-8")
    said = dict(re.findall(r"^#(\w+_token_seconds) = .*  # default: (\d+)", text, re.MULTILINE))
    terms = load_dialect(dialect).terms
    assert len(said) == 3
    assert said == {name: str(getattr(terms, name)) for name in said}
    assert ("2592000, 30 days" in text) == (dialect == "rfc")


def test_the_next_step_for_pytest_works(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "a b.toml", "--for", "pytest"]) == 0
    printed = capsys.readouterr().out
    ini = re.findall(r"^  (\S.*)$", printed.partition("or these")[0], re.MULTILINE)
    assert ini[0] == "[pytest]"
    pytester.makeini("\n".join(ini))
    pytester.makepyfile(
        """
        def test_it(oauth_server):
            assert oauth_server.settings.clients[0].client_id == "web"
        """
    )
    pytester.runpytest_inprocess(*ALONE).assert_outcomes(passed=1)
    toml = re.findall(r"^  (\S.*)$", printed.partition("or these")[2], re.MULTILINE)
    options = tomllib.loads("\n".join(toml))["tool"]["pytest"]["ini_options"]
    assert options == {"oauth_server_settings": "a b.toml"}


def test_the_next_step_quotes_a_file_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "a b\x1b.toml", "--for", "backend"]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "  fake-oauth serve --settings 'a b\\x1b.toml' --reload" in printed
    assert "client ID     web, client secret s3cret" in printed


@pytest.mark.parametrize("purpose", ["backend", "pytest"])
def test_the_documented_refresh_works_with_a_file_for_ciam(
    purpose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--for", purpose, "--dialect", "ciam"]) == 0
    if purpose == "backend":
        printed = capsys.readouterr().out
        assert "client ID     TENANT_CLIENT_ID, client secret TENANT_CLIENT_SECRET" in printed
    fake = FakeOAuth(Settings.from_toml("fake_oauth.toml"))
    (case,) = select(["refresh_token.success"], cases("ciam"))
    body, headers = case.request.body, case.request.headers
    response = WSGIClient(fake).post(case.request.path, data=body, headers=headers)
    assert response.get_json()["refresh_token"] == "MOCK_REFRESH_TOKEN"


def test_what_an_mcp_server_needs_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--for", "mcp", "--yes"]) == 0
    printed = capsys.readouterr().out
    assert "  issuer     http://127.0.0.1:8080\n" in printed


# Files that exist, and that cannot be written


def test_a_file_is_never_overwritten_unless_forced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("fake_oauth.toml").write_text("seed = 1", encoding="utf-8")
    assert main(["init", "--for", "mcp"]) == 2
    assert capsys.readouterr().err == (
        "fake-oauth: fake_oauth.toml exists; pass --force to overwrite it, or another file name\n"
    )
    assert files(folder) == ["fake_oauth.toml"]
    assert main(["init", "--for", "mcp", "--force"]) == 0
    assert Settings.from_toml("fake_oauth.toml").dialect == "mcp"


def test_a_link_is_not_followed(folder: Path) -> None:
    Path("fake_oauth.toml").symlink_to("elsewhere.toml")
    assert main(["init", "--for", "mcp"]) == 2
    assert files(folder) == ["fake_oauth.toml"]


def test_a_schema_of_another_version_is_not_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "one.toml", "--for", "mcp"]) == 0
    assert main(["init", "two.toml", "--for", "mcp"]) == 0
    Path("fake_oauth.schema.json").write_text("{}", encoding="utf-8")
    assert main(["init", "three.toml", "--for", "mcp"]) == 2
    assert "fake_oauth.schema.json exists; pass --force" in capsys.readouterr().err
    assert files(folder) == ["fake_oauth.schema.json", "one.toml", "two.toml"]


def test_a_folder_that_is_missing_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "missing/fake.toml", "--for", "mcp"]) == 2
    message = "fake-oauth: cannot write missing/fake.toml: No such file or directory\n"
    assert capsys.readouterr().err == message


def test_a_name_that_is_too_long_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "x" * 300, "--for", "mcp", "--no-schema"]) == 2
    message = f"fake-oauth: cannot write {'x' * 300}: File name too long\n"
    assert capsys.readouterr().err == message


def test_a_device_is_not_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Path, "read_bytes", pytest.fail)
    assert main(["init", "/dev/full", "--for", "mcp", "--force", "--no-schema"]) == 2
    message = "fake-oauth: cannot write /dev/full: No space left on device\n"
    assert capsys.readouterr().err == message


# Wrong answers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "init: no terminal to ask questions in; pass --for pytest | spa | mcp | backend"),
        (["--yes"], "init: nothing to ask with --yes; pass --for pytest | spa | mcp | backend"),
        (
            ["--for", "spa", "--redirect-uri", "callback"],
            "--redirect-uri: expected an absolute URI without fragment, got 'callback'",
        ),
        (["--for", "spa", "--redirect-uri", "javascript:x"], "a browser would run or show"),
        (["--for", "spa", "--redirect-uri", "http://ü"], "--redirect-uri: expected printable"),
        (["--for", "spa", "--redirect-uri", "http://a\x7f"], "expected printable ASCII"),
        (
            ["--for", "spa", "--redirect-uri", "localhost:5173"],
            "--redirect-uri: localhost:5173 has no scheme; did you mean http://localhost:5173?",
        ),
        (
            ["--for", "backend", "--redirect-uri", "[::1]:80/cb?a=b"],
            "did you mean http://[::1]:80/cb?a=b?",
        ),
        (
            ["--for", "spa", "--redirect-uri", "com.example.app:/callback"],
            "expected http:// or https:// for a page of a browser, got 'com.example.app:/callback'",
        ),
        (["--for", "spa", "--redirect-uri", "http://[x"], "for a page of a browser, got 'http://["),
        (["--for", "mcp", "--redirect-uri", "http://a"], "register themselves for --for mcp"),
        (["--for", "mcp", "--dialect", "rfx"], "--dialect: unknown dialect 'rfx'; did you mean"),
        (["--for", "mcp", "--dialect", "ü"], "--dialect: expected ciam, rfc, mcp, or package"),
    ],
)
def test_wrong_options_write_nothing(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert files(folder) == []


def test_a_uri_that_urllib_cannot_split_is_an_answer_like_others() -> None:
    assert main(["init", "--for", "backend", "--redirect-uri", "http://[x"]) == 0
    assert Settings.from_toml("fake_oauth.toml").clients[0].redirect_uris == ("http://[x",)


@pytest.mark.parametrize("uri", ["com.example.app:/callback", "com.example.app:12/callback/3"])
def test_a_backend_can_have_a_scheme_of_its_own(uri: str) -> None:
    code = main(["init", "--for", "backend", "--redirect-uri", uri])
    assert code == (2 if ":12" in uri else 0), "a scheme with digits after it looks like a port"


def test_a_dialect_that_the_file_does_not_fit_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bare.py").write_text(
        "from fake_oauth import Dialect\nclass Bare(Dialect):\n    paths = {}\n", encoding="utf-8"
    )
    assert main(["init", "--for", "mcp", "--dialect", "bare:Bare"]) == 2
    assert "no path for token" in capsys.readouterr().err
    assert files(folder) == ["__pycache__", "bare.py"] or files(folder) == ["bare.py"]


# Questions

Ask = Callable[[list[str | type[BaseException]]], list[str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Answer the questions of a terminal. The result has the questions."""

    def answer_with(answers: list[str | type[BaseException]]) -> list[str]:
        asked: list[str] = []

        def answer(question: str) -> str:
            asked.append(question)
            given = answers.pop(0)
            if isinstance(given, str):
                return given
            raise given

        monkeypatch.setattr("builtins.input", answer)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        return asked

    return answer_with


def test_four_questions_are_enough(ask: Ask) -> None:
    asked = ask(["spa", "http://localhost:5173", "", "n"])
    assert main(["init"]) == 0
    assert asked == [
        "What is the server for? [pytest] ",
        "Redirect URI of your application? [http://localhost:3000/callback] ",
        "Server to imitate: ciam, rfc, or mcp? [rfc] ",
        "New refresh token at each refresh? [yes] ",
    ]
    settings = Settings.from_toml("fake_oauth.toml")
    assert (settings.dialect, settings.refresh_policy) == ("rfc", "ciam")


def test_what_options_say_is_not_asked(ask: Ask) -> None:
    asked = ask(["", ""])
    assert main(["init", "--for", "mcp"]) == 0
    assert len(asked) == 2
    asked = ask([""])
    assert main(["init", "other.toml", "--rotate", "--dialect", "rfc", "--for", "backend"]) == 0
    assert len(asked) == 1


def test_a_wrong_answer_is_asked_for_again(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    ask(["5", "browser", "2", "callback\x1b", "", "rfx", "ciam", "perhaps", "YES"])
    assert main(["init"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("  expected 1 to 4, or pytest, spa, mcp, backend\n") == 2
    assert "\x1b" not in printed
    assert "  unknown dialect 'rfx'; did you mean 'rfc'?" in printed
    assert "  expected yes or no\n" in printed
    assert Settings.from_toml("fake_oauth.toml").dialect == "ciam"


@pytest.mark.parametrize("answered", range(4))
def test_the_end_of_the_input_writes_nothing(
    answered: int, ask: Ask, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask([*[""] * answered, EOFError])
    assert main(["init"]) == 2
    message = "fake-oauth: init: the input ended before the last answer; nothing was written\n"
    assert capsys.readouterr().err == message
    assert files(folder) == []


def test_ctrl_c_writes_nothing(ask: Ask, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(["", KeyboardInterrupt])
    assert main(["init"]) == 130
    assert "fake-oauth: nothing was written\n" in capsys.readouterr().err
    assert files(folder) == []


def test_a_file_that_appears_during_the_questions_is_not_overwritten(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask([])

    def answer(_: str) -> str:
        Path("fake_oauth.toml").write_text("mine", encoding="utf-8")
        return ""

    monkeypatch.setattr("builtins.input", answer)
    assert main(["init"]) == 2
    assert "fake_oauth.toml exists" in capsys.readouterr().err
    assert Path("fake_oauth.toml").read_text(encoding="utf-8") == "mine"


# The first process of a session that opens a terminal gets its Ctrl-C.
OWN_TERMINAL = """
import os, sys
os.close(os.open(os.ttyname(0), os.O_RDWR))
os.execv(sys.executable, [sys.executable, "-m", "fake_oauth", *sys.argv[1:]])
"""


@pytest.mark.parametrize(("keys", "code"), [(b"\x03", 130), (b"\x04", 2)], ids=["Ctrl-C", "Ctrl-D"])
def test_a_real_terminal_is_asked_and_can_be_left(keys: bytes, code: int, tmp_path: Path) -> None:
    ours, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", OWN_TERMINAL, "init", str(tmp_path / "fake.toml")],
        cwd=Path(__file__).parent.parent,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while b"[pytest] " not in shown:
                shown += os.read(ours, 1000)  # Raises OSError once the process has ended.
            # A key that is pressed just before Python reads is not noticed. A second one would
            # interrupt a process that ends slowly.
            for _ in range(10):
                os.write(ours, keys)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                    break
        finally:
            process.kill()
    os.close(ours)
    assert process.returncode == code
    assert files(tmp_path) == []
    assert b"  2  spa " in shown
