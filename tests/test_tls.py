"""HTTPS: the certificate, the clients that trust it, and the options of the stub server."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from fake_oauth import FakeOAuth, FakeOAuthError, Settings
from fake_oauth.__main__ import main
from tests.support.stub import stub


def status(url: str, context: ssl.SSLContext | None = None) -> int:
    """Return the status of a GET."""
    with urlopen(url, context=context, timeout=10) as response:
        found: int = response.status
    return found


def test_a_client_that_trusts_the_certificate_can_connect(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Other clients fail, which neither stops the server nor writes to the terminal."""
    with FakeOAuth(Settings(tls=True)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert server.issuer == server.url
        context = ssl.create_default_context(cadata=server.ca_pem)
        jwks = f"{server.url}/oauth2/jwks"
        assert status(jwks, context) == 200
        assert status(jwks.replace("127.0.0.1", "localhost"), context) == 200
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            status(jwks, ssl.create_default_context())
        with pytest.raises((URLError, ConnectionError)):
            status(jwks.replace("https", "http"))
        assert status(jwks, context) == 200
    assert capfd.readouterr().err == ""


def test_each_server_has_its_own_certificate() -> None:
    with FakeOAuth(Settings(tls=True)) as one, FakeOAuth(Settings(tls=True)) as other:
        context = ssl.create_default_context(cadata=one.ca_pem)
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            status(f"{other.url}/oauth2/jwks", context)


def test_a_server_without_https_has_no_certificate() -> None:
    with FakeOAuth() as server, pytest.raises(FakeOAuthError, match=r"Settings\(tls=True\)"):
        _ = server.ca_pem


def test_the_stub_server_serves_https_and_writes_its_certificate(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with stub("--tls", "--ca-file", str(path)) as running:
        context = ssl.create_default_context(cafile=str(path))
        assert running.url.startswith("https://")
        assert status(f"{running.url}/oauth2/jwks", context) == 200
        code, _ = running.end()
    assert code == 0


def test_a_certificate_file_requires_https(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--ca-file", str(tmp_path / "ca.pem")]) == 2
    error = (
        "fake-oauth: the server was not started\n"
        "--ca-file: requires HTTPS; add --tls, or set tls = true in the settings file\n"
    )
    assert capsys.readouterr().err == error
    assert not list(tmp_path.iterdir())


def test_a_certificate_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "ca.pem"
    command = [sys.executable, "-m", "fake_oauth", "serve", "--port", "0", "--tls", "--ca-file"]
    ended = subprocess.run(
        [*command, str(path)], capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.returncode == 2
    assert ended.stderr == f"fake-oauth: cannot write {path}: No such file or directory\n"
    assert ended.stdout == ""
