"""`fake-oauth serve --reload`: a changed file is used, a wrong one is not, and the port stays."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from fake_oauth import FakeOAuth, Settings
from fake_oauth.__main__ import main
from fake_oauth.commands.reload import Reloader
from tests.support.pem import pem_of
from tests.support.stub import stub


def clients(*client_ids: str) -> str:
    return "refresh_tokens = []\n" + "".join(
        f'[[clients]]\nclient_id = "{client_id}"\n' for client_id in client_ids
    )


class Watched:
    """A running server with a settings file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.time = 1
        self.write(clients("first"))
        self.server = FakeOAuth(Settings.from_toml(path))
        self.reloader = Reloader(
            self.server, path, lambda: Settings.from_toml(path), self.said.append
        )

    def write(self, text: str, path: Path | None = None) -> None:
        """Write a file at a later time than before."""
        path = path or self.path
        path.write_text(text, encoding="utf-8")
        self.time += 1
        os.utime(path, (self.time, self.time))

    def look(self, times: int = 2) -> list[str]:
        """Return what is said at a number of looks."""
        self.said.clear()
        for _ in range(times):
            self.reloader.look()
        return list(self.said)

    @property
    def clients(self) -> list[str]:
        return [client.client_id for client in self.server.settings.clients]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "fake.toml")


def test_a_changed_file_is_used_and_a_reset_returns_to_it(watched: Watched) -> None:
    watched.server.issue_tokens()
    watched.write(clients("second"))
    (line,) = watched.look()
    assert line == (
        f"{watched.path} changed: the server is reset to it, without tokens, logins, and journal"
        f" (seed {watched.server.seed})"
    )
    watched.server.replace_clients([])
    watched.server.reset()
    assert watched.clients == ["second"]


def test_a_file_that_does_not_change_resets_nothing(watched: Watched) -> None:
    seed = watched.server.seed
    assert watched.look(20) == []
    assert watched.server.seed == seed


def test_a_half_written_file_is_not_used(watched: Watched) -> None:
    watched.write("")
    assert watched.look(1) == []
    watched.write(clients("whole"))
    assert watched.look(1) == []
    assert watched.clients == ["first"]
    assert len(watched.look(1)) == 1
    assert watched.clients == ["whole"]


def test_a_wrong_file_gets_all_its_problems_once_and_changes_nothing(watched: Watched) -> None:
    watched.server.issue_tokens()
    watched.write("sed = 1\nfreeze_time = 'yes'\n\"\\u001b\" = 1\n")
    said = watched.look(5)
    assert said[:2] == [
        f"{watched.path} changed, but the server keeps its former settings:",
        f"  {watched.path}:",
    ]
    assert "  $.sed: unknown key; did you mean 'seed'?" in said
    assert "  $.freeze_time: expected true or false, got 'yes'" in said
    assert watched.clients == ["first"]
    watched.write(clients("mended"))
    assert len(watched.look()) == 1
    assert watched.clients == ["mended"]


def test_a_step_that_only_a_socket_can_deliver_is_a_problem_like_others(watched: Watched) -> None:
    watched.write('[[faults]]\nfault = "Reset"\n')
    assert any("needs a socket" in line for line in watched.look())
    assert watched.clients == ["first"]


def test_only_a_file_is_read(watched: Watched) -> None:
    watched.path.unlink()
    watched.path.symlink_to(os.devnull)
    assert watched.look() == []
    watched.path.unlink()
    os.mkfifo(watched.path)
    assert watched.look() == []
    assert watched.clients == ["first"]
    watched.path.unlink()
    watched.write(clients("second"))
    watched.look()
    assert watched.clients == ["second"]


def test_a_missing_file_is_waited_for_and_said_once(watched: Watched) -> None:
    watched.path.unlink()
    assert watched.look(9) == []
    watched.write(clients("replaced"))
    assert len(watched.look()) == 1
    watched.path.unlink()
    assert watched.look(30) == [
        f"{watched.path}: missing; the server keeps its settings until it is back"
    ]
    assert watched.clients == ["replaced"]


def test_a_file_that_is_replaced_by_one_of_the_same_time_and_size_is_used(
    watched: Watched, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(clients("third"), encoding="utf-8")
    status = watched.path.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert other.stat().st_size == status.st_size
    other.replace(watched.path)
    watched.look()
    assert watched.clients == ["third"]


def test_https_needs_a_restart(watched: Watched) -> None:
    watched.write("tls = true\n" + clients("secure"))
    assert watched.look()[1:] == [
        f"  {watched.path}:",
        "  $.tls: a change needs a new socket; stop fake-oauth serve, and start it again",
    ]
    assert watched.clients == ["first"]


def test_a_key_file_counts_as_part_of_the_settings(watched: Watched, tmp_path: Path) -> None:
    watched.write('[[keys]]\npath = "key.pem"\n')
    assert any("cannot read" in line for line in watched.look())
    watched.write(pem_of(generate_private_key(SECP256R1())), tmp_path / "key.pem")
    assert len(watched.look()) == 1
    assert watched.server.settings.keys[0].path == str(tmp_path / "key.pem")
    watched.write("x", tmp_path / "key.pem")
    assert any("not a private key" in line for line in watched.look())


@pytest.mark.parametrize(
    "text", ["keys = 1", "keys = [1]", "[[keys]]\npath = 1", '[[keys]]\npath = "\\u0000"', "\x00"]
)
def test_names_of_key_files_that_are_none_are_problems(watched: Watched, text: str) -> None:
    watched.write(text)
    assert "changed, but the server keeps its former settings" in watched.look()[0]


@pytest.mark.parametrize(
    ("arguments", "subject"),
    [
        ([], "expected --settings FILE"),
        (["--settings", "."], ". is not a file"),
        (["--settings", "missing.toml"], "missing.toml is not a file"),
    ],
)
def test_there_must_be_a_file_to_watch(
    arguments: list[str], subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--reload", *arguments]) == 2
    assert capsys.readouterr().err == (
        f"fake-oauth: --reload: {subject}; pass the settings file to watch\n"
    )


def test_the_command_keeps_its_port_and_its_options(tmp_path: Path) -> None:
    path = tmp_path / "fake.toml"
    path.write_text(clients("first"), encoding="utf-8")
    with stub("--settings", str(path), "--reload", "--seed", "7", "--dialect", "rfc") as running:
        assert running.process.stdout is not None
        path.write_text(clients("a-second-one"), encoding="utf-8")
        line = running.process.stdout.readline()
        assert line.startswith(f"{path} changed: the server is reset to it")
        assert line.endswith("(seed 7)\n")
        listed = httpx.get(f"{running.url}/_fake/clients").json()["clients"]
        assert [client["client_id"] for client in listed] == ["a-second-one"]
        assert httpx.get(f"{running.url}/_fake/").json()["dialect"] == "rfc"
        code, _ = running.end()
    assert code == 0
