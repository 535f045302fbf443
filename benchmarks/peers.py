"""The peers, each where it can be installed: under .bench/, in an environment of its own.

To add one, write a context manager that starts it and gives a `Peer`, and give it a row in `PEERS`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from measuring import STATE, number_from, running, samples, seconds_until_answer

CLIENT: Final = {"client_id": "bench", "client_secret": "secret"}
# How often a peer is started to see how long that takes.
STARTS: Final = 5
# Newest first: a peer's newest version may need a newer Python than we do.
PYTHONS: Final = ("3.13", "3.12", "3.11")
# How a test of a Python program would use oidc-provider-mock: a server for itself, in a thread.
IN_THREAD: Final = """
import logging
from statistics import median
from time import perf_counter
from oidc_provider_mock import run_server_in_thread
logging.disable()
took = []
for _ in range(11):
    begin = perf_counter()
    with run_server_in_thread():
        pass
    took.append(perf_counter() - begin)
print(median(took[1:]) * 1000)
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that answers: what to ask it, and how long it took to get there."""

    version: str
    url: str
    body: str
    start_seconds: float
    fixture_milliseconds: float | None = None


@contextmanager
def oidc_provider_mock() -> Iterator[Peer]:
    """From PyPI. It needs a login first: its refresh tokens are real."""
    python = STATE / "oidc-provider-mock" / "bin" / "python"
    if not python.exists():
        _run(_newest_python(), "-m", "venv", python.parent.parent)
    _run(python, "-m", "pip", "install", "-q", "oidc-provider-mock")
    asked = "import importlib.metadata as m; print(m.version('oidc-provider-mock'))"
    version = _run(python, "-c", asked)
    port = _free_port()
    base = f"http://127.0.0.1:{port}"
    command = (python, "-m", "oidc_provider_mock", "--port", str(port))
    discovery = f"{base}/.well-known/openid-configuration"
    started = median(samples(lambda: _start(command, discovery, None), STARTS))
    with running(*command) as process:
        seconds_until_answer(process, discovery, None, perf_counter())
        redirect_uri = "http://localhost/callback"
        login = {"client_id": "bench", "redirect_uri": redirect_uri, "response_type": "code"}
        query = urlencode({**login, "scope": "openid"})
        location, _ = _posted(f"{base}/oauth2/authorize?{query}", {"sub": "alice"})
        code = parse_qs(urlsplit(location).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        _, content = _posted(f"{base}/oauth2/token", form | CLIENT)
        body = _refresh(json.loads(content)["refresh_token"])
        fixture = number_from((python, "-c", IN_THREAD))
        yield Peer(version, f"{base}/oauth2/token", body, started, fixture)


@contextmanager
def oauth2_mock_server() -> Iterator[Peer]:
    """From npm. It takes any refresh token."""
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("there is no npm")
    folder = STATE / "oauth2-mock-server"
    package = folder / "node_modules" / "oauth2-mock-server" / "package.json"
    if not package.exists():
        # Version 9 needs a newer Node.js than long-term systems have.
        _run(npm, "install", "--silent", "--prefix", folder, "oauth2-mock-server@8")
    version = json.loads(package.read_text(encoding="utf-8"))["version"]
    port, program = _free_port(), folder / "node_modules" / ".bin" / "oauth2-mock-server"
    command = (program, "-a", "127.0.0.1", "-p", str(port))
    url, body = f"http://127.0.0.1:{port}/token", _refresh("any")
    started = median(samples(lambda: _start(command, url, body), STARTS))
    with running(*command) as process:
        seconds_until_answer(process, url, body, perf_counter())
        yield Peer(version, url, body, started)


PEERS: Final[Mapping[str, Callable[[], AbstractContextManager[Peer]]]] = {
    "oidc-provider-mock": oidc_provider_mock,
    "oauth2-mock-server": oauth2_mock_server,
}
# What may keep a peer from being measured; that is a row in the table, not the end of the run.
FAILURES: Final = (OSError, subprocess.CalledProcessError, SystemExit, KeyError, ValueError)


def _newest_python() -> str:
    """A newer Python on PATH or among pyenv's, as the Makefile finds them; else this one."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in PYTHONS:
        name = f"python{version}"
        found = sorted(root.glob(f"versions/{version}.*/bin/{name}"))
        for python in filter(None, (shutil.which(name), *map(str, found[-1:]))):
            probe = subprocess.run(
                (python, "-c", "import ensurepip, venv"), capture_output=True, check=False
            )
            if not probe.returncode:
                return python
    return sys.executable


def _start(command: Sequence[str | Path], url: str, body: str | None) -> float:
    begin = perf_counter()
    with running(*command) as process:
        return seconds_until_answer(process, url, body, begin)


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _refresh(token: str) -> str:
    return urlencode({"grant_type": "refresh_token", "refresh_token": token, **CLIENT})


def _posted(url: str, form: Mapping[str, str]) -> tuple[str, bytes]:
    """Where a reply redirects to, which is not followed, and its body."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", path, urlencode(form), headers)
    reply = connection.getresponse()
    location, content = reply.getheader("Location", ""), reply.read()
    connection.close()
    return location, content


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port
