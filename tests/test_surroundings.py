"""Where a fake stands: behind a prefix or a proxy, over https, asked by pages of other origins."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, FakeOAuthError, Settings
from fake_oauth.__main__ import main
from tests.asking import DOCUMENTED, ask, claims, form
from tests.test_command_line import stub

DISCOVERY = "/.well-known/openid-configuration"


@pytest.mark.parametrize("issuer", ["https://issuer.example/t1", "https://issuer.example/t1/"])
def test_an_issuer_may_have_a_path_with_or_without_a_slash(issuer: str) -> None:
    client = WSGIClient(FakeOAuth(Settings(issuer=issuer)))
    for prefix in ("", "/t1"):  # a proxy may have taken it off, or not
        document = client.get(f"{prefix}{DISCOVERY}").json
        assert document is not None
        assert document["issuer"] == issuer
        assert document["token_endpoint"] == "https://issuer.example/t1/oauth2/token"
        reply = client.post(f"{prefix}/oauth2/token", data=DOCUMENTED).json
        assert reply is not None
        assert claims(reply["access_token"])["iss"] == issuer
    assert client.get(f"/t1x{DISCOVERY}").status_code == 404
    assert client.get(f"/t2{DISCOVERY}").status_code == 404


def test_a_fake_mounted_below_a_path_is_found_there() -> None:
    fake = FakeOAuth(Settings(issuer="https://issuer.example/auth"))
    response = WSGIClient(fake).get(DISCOVERY, base_url="https://issuer.example/auth/")
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("origins", "origin", "is_allowed"),
    [
        (["*"], "https://app.example", True),
        (["https://app.example"], "https://app.example", True),
        (["https://app.example"], "https://evil.example", False),
        ([], "https://app.example", False),
    ],
)
def test_cors_is_a_setting_and_holds_for_errors_too(
    origins: list[str],
    origin: str,
    is_allowed: bool,  # noqa: FBT001
) -> None:
    fake = FakeOAuth(Settings(cors_origins=origins))
    for data in (DOCUMENTED, form(client_secret="x"), {}):
        headers = ask(fake, data, headers={"Origin": origin}).headers
        assert headers.get("Access-Control-Allow-Origin") == (origin if is_allowed else None)
        assert headers.get("Access-Control-Allow-Credentials") == ("true" if is_allowed else None)
        assert headers.get("Vary") == ("Origin" if is_allowed else None)


def test_a_preflight_is_answered_where_the_origin_is_allowed() -> None:
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    fake = FakeOAuth(Settings(cors_origins=["https://app.example"]))
    response = WSGIClient(fake).options("/oauth2/token", headers=headers)
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Access-Control-Allow-Methods"] == "POST"
    assert response.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
    headers["Origin"] = "https://evil.example"
    assert WSGIClient(fake).options("/oauth2/token", headers=headers).status_code == 405


def test_a_request_without_an_origin_has_no_cors_headers() -> None:
    fake = FakeOAuth(Settings(cors_origins=["*"]))
    assert "Access-Control-Allow-Origin" not in ask(fake).headers


def test_https_is_served_with_a_certificate_that_can_be_trusted(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with FakeOAuth(Settings(tls=True)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert server.issuer == server.url
        context = ssl.create_default_context(cadata=server.ca_pem)
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            with urlopen(f"{url}/oauth2/jwks", context=context, timeout=10) as reply:
                assert reply.status == 200
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(f"{server.url}/oauth2/jwks", context=ssl.create_default_context(), timeout=10)
        with pytest.raises((URLError, ConnectionError)):
            urlopen(f"{server.url.replace('https', 'http')}/oauth2/jwks", timeout=10)
        with urlopen(f"{server.url}/oauth2/jwks", context=context, timeout=10) as reply:
            assert reply.status == 200
    assert capfd.readouterr().err == ""


def test_without_https_there_is_no_certificate() -> None:
    with FakeOAuth() as server, pytest.raises(FakeOAuthError, match=r"Settings\(tls=True\)"):
        _ = server.ca_pem


def test_https_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(FakeOAuthError, match=r'pip install "fake_oauth\[tls\]"'):
        FakeOAuth(Settings(tls=True)).start()


def test_the_stub_serves_https_and_writes_its_certificate(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    with stub("--tls", "--ca-file", str(path)) as running:
        context = ssl.create_default_context(cafile=str(path))
        with urlopen(f"{running.url}/oauth2/jwks", context=context, timeout=10) as reply:
            assert reply.status == 200
        code, _ = running.end()
    assert code == 0


def test_a_certificate_file_is_for_https_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--ca-file", str(tmp_path / "ca.pem")]) == 2
    assert "--ca-file needs --tls" in capsys.readouterr().err


def test_a_certificate_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fake_oauth", "serve", "--port", "0", "--tls", "--ca-file"]
    ended = subprocess.run(
        [*command, str(tmp_path / "no" / "ca.pem")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("fake-oauth: cannot write ")
