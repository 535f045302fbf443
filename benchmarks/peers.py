"""The peers, each where it can be installed, under .bench/."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPErrorProcessor, Request, build_opener, urlopen

from measuring import load, running, seconds_of, seconds_to_answer

ROOT = Path(__file__).parent.parent / ".bench"
CLIENT = {"client_id": "bench", "client_secret": "secret"}

IN_THREAD = """
from time import perf_counter
from statistics import median
from oidc_provider_mock import run_server_in_thread
took = []
for _ in range(15):
    begin = perf_counter()
    with run_server_in_thread():
        pass
    took.append(perf_counter() - begin)
print(median(took))
"""


def measure(requests: int) -> Iterator[tuple[str, dict[str, float] | str]]:
    """Each peer with its figures, or with the reason why there are none."""
    for name, peer in (("oidc-provider-mock", _python_peer), ("oauth2-mock-server", _node_peer)):
        try:
            yield name, peer(requests)
        except (OSError, subprocess.CalledProcessError, SystemExit, KeyError) as error:
            yield name, f"not measured: {error}"


def _python_peer(requests: int) -> dict[str, float]:
    # Its newest versions need Python 3.12.
    base = os.environ.get("PEER_PYTHON") or sys.executable
    python = ROOT / "oidc-provider-mock" / "bin" / "python"
    if not python.exists():
        subprocess.run([base, "-m", "venv", str(python.parent.parent)], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "oidc-provider-mock"], check=True)
    port = _free_port()
    begin = perf_counter()
    with running(str(python), "-m", "oidc_provider_mock", "--port", str(port)) as process:
        base_url = f"http://localhost:{port}"
        discovery = f"{base_url}/.well-known/openid-configuration"
        start = seconds_to_answer(process, discovery, "", begin)
        query = urlencode(
            {
                "client_id": "bench",
                "redirect_uri": "http://localhost/callback",
                "response_type": "code",
                "scope": "openid offline_access",
            }
        )
        location = _posted(f"{base_url}/oauth2/authorize?{query}", {"sub": "alice"})
        code = parse_qs(urlsplit(location).query)["code"][0]
        reply = _token(
            f"{base_url}/oauth2/token",
            {"grant_type": "authorization_code", "code": code}
            | {"redirect_uri": "http://localhost/callback"},
        )
        figures = _figures(f"{base_url}/oauth2/token", reply["refresh_token"], requests)
    fixture = seconds_of([str(python), "-c", IN_THREAD], 1)
    return {**figures, "start, s": start, "set-up + tear-down, ms": fixture * 1000}


def _node_peer(requests: int) -> dict[str, float]:
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("there is no npm")
    folder = ROOT / "oauth2-mock-server"
    command = folder / "node_modules" / ".bin" / "oauth2-mock-server"
    if not command.exists():
        # Version 9 needs a newer Node.js than long-term-support systems have.
        install = [npm, "install", "--silent", "--prefix", str(folder), "oauth2-mock-server@8"]
        subprocess.run(install, check=True, capture_output=True)
    port = _free_port()
    begin = perf_counter()
    with running(str(command), "-a", "localhost", "-p", str(port)) as process:
        url = f"http://localhost:{port}/token"
        body = {"grant_type": "refresh_token", "refresh_token": "any", **CLIENT}
        start = seconds_to_answer(process, url, urlencode(body), begin)
        return {**_figures(url, "any", requests), "start, s": start}


def _figures(url: str, refresh_token: str, requests: int) -> dict[str, float]:
    body = {"grant_type": "refresh_token", "refresh_token": refresh_token, **CLIENT}
    milliseconds, _ = load(url, urlencode(body), 1, requests)
    _, rate = load(url, urlencode(body), 8, requests // 8)
    return {"refresh p50, ms": milliseconds, "refreshes/s at 8": rate}


class _Staying(HTTPErrorProcessor):
    """Shows a redirect instead of following it."""

    def http_response(self, request: Request, response: object) -> object:
        return response


def _posted(url: str, form: dict[str, str]) -> str:
    opener = build_opener(_Staying)
    with opener.open(Request(url, urlencode(form).encode())) as reply:
        return str(reply.headers["Location"])


def _token(url: str, form: dict[str, str]) -> dict[str, str]:
    with urlopen(Request(url, urlencode({**form, **CLIENT}).encode())) as reply:
        tokens: dict[str, str] = json.load(reply)
    return tokens


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port
