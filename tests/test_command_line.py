"""The stub server as a person runs it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from queue import SimpleQueue
from typing import IO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from fake_oauth import Client, FakeOAuth, FakeOAuthError, Settings, User
from fake_oauth.__main__ import main
from fake_oauth.commands import serve
from fake_oauth.commands.output import Output
from fake_oauth.commands.program import program
from fake_oauth.commands.starter import PURPOSES
from tests.support.client import claims
from tests.support.stub import COMMANDS, Stub, stub
from tests.test_documented_moment import DOCUMENTED_BODY, without_signatures

PAGE = (Path(__file__).parent.parent / "docs/reference/command-line.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_says_what_was_asked_and_ends_cleanly(command: str, number: int) -> None:
    with stub(command=command) as running:
        assert json.loads(running.refresh())["refresh_token"] == "MOCK_REFRESH_TOKEN"
        code, lines = running.end(number)
    assert code == 0
    (line,) = lines
    assert re.fullmatch(
        r"#1 \d\d:\d\d:\d\d POST /oauth2/token -> 200 \[refresh_token, TENANT_CLIENT_ID\] "
        r"refreshed, same refresh token; issued MOCK_USERNAME/preconfigured1 r1 a1; "
        r"client_secret=\*\*\* refresh_token=MOCK_USERNAME/preconfigured1 r1",
        line,
    )


def test_the_first_lines_warn_and_say_where_it_listens() -> None:
    with stub() as running:
        heading = running.heading
        assert heading[0] == (
            f"fake-oauth {version('fake_oauth')}, for tests only: "
            "its keys are public, its tokens prove nothing."
        )
        assert re.fullmatch(r"fake-oauth listening on http://127\.0\.0\.1:\d+", heading[1])
        assert "  POST      /oauth2/token" in heading
        assert "  GET, POST /userinfo" in heading
        assert f"  console {running.url}/_fake/ (for programs: the control API)" in heading
        assert f"  issuer {running.url}" in heading
        assert "  clients TENANT_CLIENT_ID" in heading
        assert "  users MOCK_USERNAME" in heading


def test_the_first_lines_fit_80_columns_and_cannot_control_the_terminal() -> None:
    clients = [Client(client_id=f"client-{number}") for number in range(30)]
    users = [User(sub="u", username="\x1b[2J")]
    settings = Settings(clients=clients, users=users, refresh_tokens=(), seed=2**32 - 1)
    with FakeOAuth(settings, host="::") as server:
        lines = serve.heading(server).splitlines()
        secret = server.control_token
    assert [line for line in lines if len(line) > 80] == []
    assert f"  control token {secret} (Authorization: Bearer TOKEN)" in lines
    assert "  users \\x1b[2J" in lines
    named = "".join(lines).partition("  clients ")[2].partition("  users")[0]
    assert named.replace(" ", "").split(",") == [client.client_id for client in clients]


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "localhost"), ("::", "localhost"), ("127.0.0.1", "127.0.0.1")],  # noqa: S104
)
def test_the_console_has_an_address_that_a_browser_can_open(host: str, shown: str) -> None:
    with FakeOAuth(host=host) as server:
        port = server.url.rpartition(":")[2]
        assert serve.console_url(server) == f"http://{shown}:{port}/_fake/"


def test_a_message_that_quotes_a_file_cannot_control_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fake.toml"
    path.write_text('"\\u001b[2J" = 1\n', encoding="utf-8")
    assert main(["serve", "--settings", str(path)]) == 2
    assert "$.\\x1b[2J: unknown key" in capsys.readouterr().err


@pytest.mark.parametrize("opens", ["opened", "refused", webbrowser.Error("none")])
def test_the_console_is_opened_once_the_server_listens(
    opens: str | Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = SimpleQueue[str]()

    def open_(url: str) -> bool:
        with urlopen(url.replace("_fake/", "oauth2/jwks")) as response:
            assert response.status == 200
        opened.put(url)
        if isinstance(opens, Exception):
            raise opens
        return opens == "opened"

    ended = SimpleQueue[int]()
    said = SimpleQueue[str]()
    monkeypatch.setattr("webbrowser.open", open_)
    monkeypatch.setattr(serve, "signals", lambda: ended)
    monkeypatch.setattr(Output, "say", lambda _, line: said.put(line))
    with ThreadPoolExecutor() as pool:
        code = pool.submit(main, ["serve", "--port", "0", "--open"])
        url = opened.get(timeout=30)
        assert "/oauth2/jwks" in said.get(timeout=30)
        if opens != "opened":
            message = f"--open: no browser was found; open {url} yourself"
            assert said.get(timeout=30) == message
        ended.put(signal.SIGINT)
        assert code.result(30) == 0
    assert f"  console {url} " in capsys.readouterr().out


def test_documented_answers_the_documented_body() -> None:
    with stub("--documented") as running:
        body = running.refresh()
    assert without_signatures(DOCUMENTED_BODY) == without_signatures(body)


def test_the_seed_is_fresh_is_shown_and_can_be_given() -> None:
    def jti(running: Stub) -> str:
        found: str = claims(json.loads(running.refresh())["access_token"])["jti"]
        return found

    with stub() as first:
        seed = next(line.split()[1] for line in first.heading if line.startswith("  seed "))
        shown = jti(first)
    with stub("--seed", seed) as again:
        assert jti(again) == shown
    with stub() as other:
        assert jti(other) != shown


def test_a_settings_file_is_served(tmp_path: Path) -> None:
    path = tmp_path / "fake.toml"
    path.write_text(
        """
        [[clients]]
        client_id = "web"
        client_secret = "s3cret"
        refresh_policy = "rotate"
        """,
        encoding="utf-8",
    )
    with stub("--settings", str(path)) as running:
        reply = json.loads(running.refresh(client_id="web", client_secret="s3cret"))
        assert reply["refresh_token"] != "MOCK_REFRESH_TOKEN"
        code, _ = running.end()
    assert code == 0


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_it_serves_on_when_nobody_reads_its_lines_any_more(
    unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with stub() as running:
        assert running.process.stdout is not None
        running.process.stdout.close()
        running.refresh()
        running.refresh()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=30) == 0


@contextmanager
def closed_pipe() -> Iterator[IO[bytes]]:
    """Yield a pipe that its reader has closed."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        yield closed


def printed_into(output: IO[bytes], *arguments: str, buffered: bool) -> tuple[int, str]:
    """Return the exit code and the messages of a command whose output goes into a file."""
    ended = subprocess.run(
        [sys.executable, "-m", "fake_oauth", *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"},
        text=True,
        check=False,
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("command", ["explain", "schema", "openapi", "completion bash"])
def test_it_ends_silently_when_the_reader_closes_the_pipe(command: str, *, buffered: bool) -> None:
    """`fake-oauth … | head -1`: a shell reports 141 for a program that SIGPIPE ended."""
    with closed_pipe() as closed:
        assert printed_into(closed, *command.split(), buffered=buffered) == (141, "")


def test_help_and_the_table_of_check_end_silently_too() -> None:
    with closed_pipe() as closed, FakeOAuth(Settings(control=True)) as server:
        assert printed_into(closed, "--help", buffered=True) == (141, "")
        assert printed_into(closed, "check", server.url, buffered=True) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_clear_line() -> None:
    message = "fake-oauth: No space left on device\n"
    with Path("/dev/full").open("wb") as full:
        assert printed_into(full, "explain", buffered=True) == (2, message)
        assert printed_into(full, "explain", buffered=False) == (2, message)


def test_an_error_is_shown_although_the_output_is_closed() -> None:
    with closed_pipe() as closed:
        code, err = printed_into(closed, "explain", "xyzzy", buffered=True)
    assert code == 2
    assert "neither a known name nor a file" in err


def test_it_can_run_without_any_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    assert main(["explain"]) == 0


def test_a_wrong_file_gets_all_its_problems_at_once_and_nothing_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fake.toml"
    path.write_text("sed = 1\nfreeze_time = 'yes'\n", encoding="utf-8")
    assert main(["serve", "--settings", str(path), "--port", "0"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "fake-oauth: the server was not started",
        f"{path}:",
        "$.freeze_time: expected true or false, got 'yes'",
        "$.sed: unknown key; did you mean 'seed'?",
    ]


def test_a_busy_port_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"fake-oauth: port {port} on 127.0.0.1 is in use; "
        "choose another with --port, or --port 0 for a free one\n"
    )


def test_it_can_be_called_with_any_kind_of_output() -> None:
    out = StringIO()
    with redirect_stdout(out), socket.create_server(("127.0.0.1", 0)) as listening:
        assert main(["serve", "--port", str(listening.getsockname()[1])]) == 2
    assert out.getvalue() == ""


def test_an_address_that_is_not_ours_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "192.0.2.1", "--port", "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fake-oauth: cannot listen on 192.0.2.1, port 0: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["serve", "--port", "65536"], "argument --port: expected 0 to 65535, got 65536"),
        (["serve", "--port", "http"], "argument --port: expected 0 to 65535, got http"),
        (
            ["explain", "x", "--control-token", "a\r\nX: y"],
            "argument --control-token: expected ASCII characters without blanks",
        ),
        (
            ["check", "http://127.0.0.1:1", "--control-token", "s\u00e9cret"],
            "argument --control-token: expected ASCII characters without blanks",
        ),
        (["serve", "--documented", "--settings", "x"], "not allowed with argument --documented"),
    ],
)
def test_wrong_arguments_are_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def commands() -> dict[str, list[str]]:
    """Return the options of each command; an argument has its name in capitals."""
    (action,) = (
        action for action in program()._actions if isinstance(action, argparse._SubParsersAction)
    )
    return {
        name: [
            option
            for argument in parser._actions
            for option in argument.option_strings or [argument.metavar or argument.dest.upper()]
            if option not in ("-h", "--help")
        ]
        for name, parser in action.choices.items()
    }


def test_every_command_and_option_is_in_the_manual() -> None:
    listed = re.findall(r"^\| \[`(\w+)`\]", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(commands())
    # Those of the others are on pages that other tests compare.
    for name in ("init", "explain", "openapi", "schema", "completion"):
        section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        table = section.partition("\n| Option |")[2].partition("\n\n")[0]
        cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        options = [text.split()[0] for cell in cells for text in re.findall(r"`(.+?)`", cell)]
        assert options == commands()[name], name


def test_every_command_has_a_verb_a_description_and_examples_that_parse(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("", *commands()):
        with pytest.raises(SystemExit):
            main([*name.split(), "--help"])
        lines = capsys.readouterr().out.splitlines()
        assert lines.index("examples:") > lines.index("")
        for line in lines[lines.index("examples:") + 1 :: 2]:
            assert len(line) <= 80
            words = shlex.split(line.partition("fake-oauth ")[2].partition(" > ")[0].rstrip(')"'))
            if "--help" not in words:
                assert program().parse_args(words).run


def test_the_purposes_of_init_are_shown_as_they_are_asked() -> None:
    for number, (name, purpose) in enumerate(PURPOSES.items(), 1):
        assert f"\n  {number}  {name:8} {purpose.title}\n" in PAGE


def test_the_example_of_explain_is_real(capsys: pytest.CaptureFixture[str]) -> None:
    (command, shown) = re.findall(
        r"^\$ fake-oauth (explain .*)\n((?:.*\n)*?)```", PAGE, re.MULTILINE
    )[0]
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out == shown


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"fake-oauth {version('fake_oauth')}\n"


@pytest.mark.parametrize(
    ("settings", "host", "issuer"),
    [
        (Settings(), "localhost", "http://localhost:{port}"),
        (Settings(tls=True), "localhost", "https://localhost:{port}"),
        (Settings(), "127.0.0.1", "http://127.0.0.1:{port}"),
        (
            Settings(issuer="http://idp.example:{port}/x"),
            "127.0.0.1",
            "http://idp.example:{port}/x",
        ),
        (Settings(issuer="http://a.example"), "localhost", "http://a.example"),
    ],
)
def test_the_issuer_has_the_host_as_it_was_typed(
    settings: Settings, host: str, issuer: str
) -> None:
    with FakeOAuth(settings, host=host) as server:
        port = server.url.rpartition(":")[2]
        assert server.issuer == issuer.replace("{port}", port)


def test_the_port_in_an_issuer_must_be_known() -> None:
    fake = FakeOAuth(Settings(issuer="http://idp.example:{port}"))
    with pytest.raises(FakeOAuthError, match=r"\{port\} is known once the server listens"):
        fake.issue_tokens()


def test_the_control_token_can_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees it in a list of processes or in the log, as an option would be."""
    monkeypatch.setenv("FAKE_OAUTH_CONTROL_TOKEN", "token-of-the-compose-file")
    with stub() as running:
        printed = "\n".join(running.heading)
        assert "  control token $FAKE_OAUTH_CONTROL_TOKEN (Authorization" in printed
        assert "token-of-the-compose-file" not in printed
        clock = Request(f"{running.url}/_fake/clock")
        with pytest.raises(HTTPError, match="401") as refused:
            urlopen(clock)
        refused.value.close()
        clock.add_header("Authorization", "Bearer token-of-the-compose-file")
        with urlopen(clock) as response:
            assert not json.load(response)["frozen"]


def test_a_weak_control_token_in_the_environment_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_OAUTH_CONTROL_TOKEN", "")
    assert main(["serve", "--port", "0"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "fake-oauth: the server was not started",
        "FAKE_OAUTH_CONTROL_TOKEN: expected at least 16 characters, got 0; change it, or unset it "
        "for a new token",
    ]
