"""A stub server in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.support.client import DOCUMENTED

COMMANDS = {
    "script": [str(Path(sys.executable).with_name("fake-oauth"))],
    "module": [sys.executable, "-m", "fake_oauth"],
}


class Stub:
    """A stub server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.heading: list[str] = []
        while not self.heading or self.heading[-1] != "Press Ctrl-C to stop.":
            assert process.stdout is not None
            self.heading.append(process.stdout.readline().rstrip("\n"))
            assert self.heading[-1], "it ended early"
        self.url = self.heading[1].removeprefix("fake-oauth listening on ")

    def refresh(self, **changes: str) -> str:
        data = urlencode({**DOCUMENTED, **changes}).encode()
        with urlopen(f"{self.url}/oauth2/token", data) as reply:
            body: str = reply.read().decode()
        return body

    def end(self, number: int = signal.SIGINT) -> tuple[int, list[str]]:
        """Its exit code and what it wrote after the heading."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=30)
        return self.process.returncode, output.splitlines()


@contextmanager
def stub(*arguments: str, command: str = "module") -> Iterator[Stub]:
    with subprocess.Popen(
        [*COMMANDS[command], "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        try:
            yield Stub(process)
        finally:
            process.kill()
