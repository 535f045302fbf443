"""The how-to pages for other languages and set-ups: their files and commands, as a reader has them.

A block whose first line is a comment with a name is a file. The files of a page are saved in one
folder, and the commands of the page run there, with ports that are free.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.clients.conftest import HERE, PACKAGES, node_program
from tests.clients.test_go import GOPATH, require_go

ROOT: Final = HERE.parent.parent
PATIENCE_SECONDS: Final = 120
# The ports of the pages; each is a free one here.
PORTS: Final = ("3000", "8000", "8080", "8443")


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


class Reader:
    """Somebody who follows a page in a folder of their own."""

    def __init__(self, page: str, folder: Path) -> None:
        self.page = (ROOT / "docs/howto" / page).read_text(encoding="utf-8")
        self.folder = folder
        self.ports = {port: free_port() for port in PORTS}
        self.environment = dict(os.environ)
        blocks = re.findall(r"^```\w+\n(.*?)^```", self.page, re.MULTILINE | re.DOTALL)
        self.files = {}
        for block in blocks:
            if named := re.match(r"(?://|#|<!--) ([\w/-]+\.[\w.]+)(?: -->)?\n", block):
                self.files[named[1]] = self.own(block)
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        # The package of this checkout, whatever is installed.
        programs = folder / "programs"
        programs.mkdir()
        command = programs / "fake-oauth"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fake_oauth "$@"\n')
        command.chmod(0o755)
        self.environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self.environment["PYTHONPATH"] = str(ROOT)
        self.environment["NO_PROXY"] = "*"

    def own(self, text: str) -> str:
        """Return a text with the ports of this run."""
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda port: self.ports[port[0]], text)

    def runs(self, command: str) -> str:
        """Run a command of the page, and return its output."""
        assert re.search(rf"^(\$ )?{re.escape(command)}$", self.page, re.MULTILINE), command
        done = subprocess.run(
            ["sh", "-ec", self.own(command)],
            check=False,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE_SECONDS,
        )
        if done.returncode:
            pytest.fail(f"{command} ended with {done.returncode}:\n{done.stdout}", pytrace=False)
        return done.stdout


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    """Return the reader of the page that the test names with `reads`."""
    return Reader(request.param, tmp_path)


def reads(page: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("reader", [page], indirect=True, ids=[page])


def with_node(reader: Reader) -> None:
    """Let the reader run Node, with the packages of npm. Skip the test without them."""
    program = node_program()
    (reader.folder / "node_modules").symlink_to(PACKAGES)
    path = reader.environment["PATH"]
    reader.environment["PATH"] = f"{Path(program).parent}{os.pathsep}{path}"


@reads("node.md")
def test_the_tests_of_a_node_backend_pass(reader: Reader) -> None:
    with_node(reader)
    written = "".join(reader.files.values()).count("\ntest(")
    assert written == 6
    output = reader.runs("node --test")
    # Versions of Node, and terminals, have another reporter.
    assert re.search(rf"^(#|ℹ) pass {written}$", output, re.MULTILINE), output


@reads("go.md")
def test_the_tests_of_a_go_backend_pass(reader: Reader) -> None:
    """Debian's libraries have no modules, and nothing is fetched."""
    require_go()
    package = reader.folder / "src" / "session"
    package.mkdir(parents=True)
    for name in reader.files:
        shutil.move(reader.folder / name, package)
    reader.folder = package
    path = f"{package.parent.parent}{os.pathsep}{GOPATH}"
    reader.environment |= {"GO111MODULE": "off", "GOPATH": path, "GOFLAGS": "-v"}
    if "HOME" not in os.environ and "GOCACHE" not in os.environ:
        reader.environment["GOCACHE"] = str(package.parent.parent / "cache")
    written = re.findall(r"^func (Test\w+)\(t ", "".join(reader.files.values()), re.MULTILINE)
    assert len(written) == 5
    output = reader.runs("go test")
    passed = re.findall(r"^--- PASS: (\w+)", output, re.MULTILINE)
    assert sorted(passed) == sorted(written)
