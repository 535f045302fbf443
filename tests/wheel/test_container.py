"""The steps of the Dockerfile, run without a container: in a new environment, with a copied tree.

Run by `make wheel` after the other tests, because it installs the package once more.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments, without comments."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    pairs = [line.split(maxsplit=1) for line in joined.splitlines()]
    return [(name, rest) for name, rest in pairs]


@dataclass
class Container:
    """What the instructions make, below one folder in place of the root of a container."""

    folder: Path
    user: str = "root"
    created: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def build(self) -> None:
        """Follow the instructions."""
        subprocess.run([sys.executable, "-m", "venv", self.folder / "venv"], check=True)
        # It would change the users of this machine.
        stub = self.folder / "stubs" / "useradd"
        stub.parent.mkdir()
        stub.write_text(f'#!/bin/sh\necho "$@" >> "{self.folder}/users"\n', encoding="utf-8")
        stub.chmod(0o755)
        for name, rest in instructions():
            getattr(self, f"_{name.lower()}")(rest)
        self.created = (self.folder / "users").read_text(encoding="utf-8").split()

    @property
    def environment(self) -> dict[str, str]:
        own = [str(self.folder / "stubs"), str(self.folder / "venv/bin")]
        return {**os.environ, "PATH": os.pathsep.join([*own, os.environ["PATH"]])}

    def _from(self, rest: str) -> None:
        assert re.fullmatch(r"python:3\.\d+-slim", rest)

    def _copy(self, rest: str) -> None:
        *sources, target = rest.split()
        for source in sources:
            to = self.folder / target.lstrip("/")
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                to.mkdir(exist_ok=True)
                shutil.copy(ROOT / source, to)

    def _run(self, rest: str) -> None:
        here = re.sub(r"(?<!\S)(\"?)/src\b", rf"\1{self.folder}/src", rest)
        subprocess.run(["sh", "-c", here], check=True, env=self.environment, cwd=self.folder)

    def _user(self, rest: str) -> None:
        self.user = rest

    def _workdir(self, rest: str) -> None:
        (self.folder / rest.lstrip("/")).mkdir(parents=True)

    def _healthcheck(self, rest: str) -> None:
        self.health = json.loads(rest.partition(" CMD ")[2])

    def _expose(self, rest: str) -> None:
        assert rest == "8080"

    def _entrypoint(self, rest: str) -> None:
        self.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self.command = json.loads(rest)

    def is_healthy(self, port: str) -> bool:
        """Return what the health check says about another port."""
        command = [argument.replace("8080", port) for argument in self.health]
        ended = subprocess.run(command, env=self.environment, capture_output=True, check=False)
        return ended.returncode == 0

    @contextmanager
    def running(self, **environment: str) -> Iterator[tuple[str, list[str]]]:
        """Start the command on a free port. Yield the port and the first lines of output."""
        command = [shutil.which(self.entrypoint[0], path=self.environment["PATH"]) or ""]
        with subprocess.Popen(
            [*command, *self.entrypoint[1:], *self.command, "--port", "0"],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            lines = [""]
            assert process.stdout is not None
            while lines[-1] != "Press Ctrl-C to stop.":
                lines.append(process.stdout.readline().rstrip("\n"))
                assert lines[-1], "it ended early"
            try:
                port = re.search(r"listening on http://0\.0\.0\.0:(\d+)", "\n".join(lines))
                assert port is not None
                yield port[1], lines
                process.send_signal(signal.SIGTERM)  # as `docker stop` does
                assert process.wait(timeout=30) == 0
            finally:
                process.kill()


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Container:
    made = Container(tmp_path_factory.mktemp("container"))
    made.build()
    return made


def test_its_user_is_not_root(container: Container) -> None:
    assert container.user == container.created[container.created.index("--uid") + 1] == "10001"


def test_it_serves_and_its_health_check_sees_that(container: Container) -> None:
    token = "token-of-the-compose-file"
    with container.running(FAKE_OAUTH_CONTROL_TOKEN=token) as (port, _):
        assert container.is_healthy(port)
        url = f"http://127.0.0.1:{port}"
        with urlopen(f"{url}/.well-known/openid-configuration") as response:
            assert json.load(response)["issuer"] == "http://localhost:8080"
        headers = {"Authorization": f"Bearer {token}"}
        with urlopen(Request(f"{url}/_fake/journal", headers=headers)) as response:
            journal = json.load(response)["exchanges"]
        assert [exchange["endpoint"] for exchange in journal] == ["discovery"], (
            "the health check sends no request"
        )
    assert not container.is_healthy(port)


def test_without_a_token_in_the_environment_it_prints_one(container: Container) -> None:
    with container.running() as (port, lines):
        (token,) = re.findall(r"control token (\w+)", "\n".join(lines))
        clock = Request(f"http://127.0.0.1:{port}/_fake/clock")
        with pytest.raises(HTTPError, match="401") as refused:
            urlopen(clock)
        refused.value.close()
        clock.add_header("Authorization", f"Bearer {token}")
        with urlopen(clock) as response:
            assert response.status == 200


def test_it_has_the_other_commands(container: Container) -> None:
    shown = subprocess.run(
        [*container.entrypoint, "--help"],
        env=container.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "schema" in shown.stdout
