"""`fake-oauth completion`: bash really completes, and the other shells get a script."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fake_oauth.__main__ import main

# What readline does at the Tab key, with the words of a command line.
TAB = """
source "$1"
shift
function_of=$(complete -p fake-oauth | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
"$function_of"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "fake-oauth.bash"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["ser"], ["serve"]),
        (["serve", "--re"], ["--reload"]),
        (["init", "--for", ""], ["pytest", "spa", "mcp", "backend"]),
        (["check", "--level", "st"], ["strict"]),
        (["serve", "--settings", "fa"], ["fake.toml"]),
        (["explain", "fa"], ["fake.toml"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_bash_completes(words: list[str], completed: list[str], script: Path) -> None:
    (script.parent / "fake.toml").touch()
    (script.parent / "fake-oauth.bash").rename(script.parent / "x.bash")
    found = subprocess.run(
        ["bash", "--norc", "-c", TAB, "bash", "./x.bash", "fake-oauth", *words],
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (found.stdout.split(), found.stderr) == (completed, "")


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_other_shells_get_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    shtab = pytest.importorskip("shtab")
    has_shell = shell in shtab.SUPPORTED_SHELLS
    assert main(["completion", shell]) == (0 if has_shell else 2)
    assert "fake-oauth" in capsys.readouterr().out or not has_shell


def test_a_shell_that_shtab_does_not_know_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = SimpleNamespace(__version__="1.7", SUPPORTED_SHELLS=["bash"])
    monkeypatch.setitem(sys.modules, "shtab", old)
    assert main(["completion", "fish"]) == 2
    message = "fake-oauth: shtab 1.7 has no fish; pip install --upgrade shtab\n"
    assert capsys.readouterr().err == message


def test_without_shtab_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "shtab", missing)
    assert main(["completion", "bash"]) == 2
    message = 'fake-oauth: completion requires shtab; pip install "fake_oauth[completion]"\n'
    assert capsys.readouterr().err == message
