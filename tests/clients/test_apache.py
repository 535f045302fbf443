"""mod_auth_openidc in Debian's Apache: an application behind it that knows nothing of OAuth."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import httpx
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from fake_oauth import FakeOAuth
from tests.clients.conftest import HERE, SECRET, form_in, sent_to

# It is not on everybody's PATH.
APACHE: Final = shutil.which("apache2", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MODULES: Final = Path("/usr/lib/apache2/modules")
PATIENCE_SECONDS: Final = 20

if APACHE is None:
    pytest.skip("no Apache: apt-get install apache2", allow_module_level=True)
if not (MODULES / "mod_auth_openidc.so").is_file():
    pytest.skip(
        "no mod_auth_openidc: apt-get install libapache2-mod-auth-openidc", allow_module_level=True
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def start(
    oauth_server: FakeOAuth, httpserver: HTTPServer, tmp_path: Path
) -> Iterator[Callable[..., str]]:
    """Return a function that starts Apache and returns its URL."""

    def report(request: Request) -> Response:
        """Be the application: report the headers that Apache adds."""
        return Response(json.dumps(dict(request.headers)), mimetype="application/json")

    httpserver.expect_request(re.compile("/.*")).respond_with_handler(report)
    with ExitStack() as stack:

        def start(*defines: str, authentication: str = "client_secret_basic") -> str:
            port = free_port()
            variables = {
                "APPLICATION": httpserver.url_for("/"),
                "FOLDER": str(tmp_path),
                "ISSUER": oauth_server.issuer,
                "MODULES": str(MODULES),
                "PORT": str(port),
                "SECRET": SECRET,
                "TOKEN_ENDPOINT_AUTH": authentication,
            }
            if os.geteuid() == 0:
                defines = (*defines, "ROOT")
            command = [str(APACHE), "-f", str(HERE / "apache.conf"), "-DFOREGROUND"]
            command += [f"-D{define}" for define in defines]
            process = subprocess.Popen(command, env=os.environ | variables)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            wait_for(process, port)
            return f"http://127.0.0.1:{port}"

        yield start


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once a process listens on a port."""
    for _ in range(PATIENCE_SECONDS * 20):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1 / 20)
                break
        else:
            return
    pytest.fail("Apache does not listen", pytrace=False)


@pytest.mark.parametrize("authentication", ["client_secret_basic", "client_secret_post"])
def test_a_protected_page_shows_who_logged_in(
    oauth_server: FakeOAuth,
    start: Callable[..., str],
    browser: httpx.Client,
    authentication: str,
) -> None:
    oauth_server.login("alice")
    apache = start(authentication=authentication)
    told = browser.get(f"{apache}/pages", follow_redirects=True).raise_for_status().json()
    assert told["X-Remote-User"] == "u-alice"
    assert told["Claim-Email"] == "alice@example.com"
    (authorized,) = sent_to(oauth_server, "authorize")
    assert authorized.query["code_challenge_method"] == "S256"
    # The session is Apache's from now on.
    before = len(oauth_server.journal)
    assert browser.get(f"{apache}/pages").json()["X-Remote-User"] == "u-alice"
    assert len(oauth_server.journal) == before


def test_the_code_arrives_in_a_form(
    oauth_server: FakeOAuth, start: Callable[..., str], browser: httpx.Client
) -> None:
    oauth_server.login("alice")
    apache = start("FORM_POST")
    page = browser.get(f"{apache}/pages", follow_redirects=True).raise_for_status()
    form = form_in(page.text)
    assert form["url"] == f"{apache}/callback"
    back = browser.post(form["url"], data=form["fields"], follow_redirects=True)
    assert back.raise_for_status().json()["X-Remote-User"] == "u-alice"


def test_the_application_refreshes_with_a_request_to_apache(
    oauth_server: FakeOAuth, start: Callable[..., str], browser: httpx.Client
) -> None:
    oauth_server.login("alice")
    apache = start()
    page = f"{apache}/pages"
    browser.get(page, follow_redirects=True).raise_for_status()
    held = []
    for _ in range(3):
        held.append(browser.get(f"{apache}/callback", params={"info": "json"}).json())
        oauth_server.clock.advance(3600)
        query = {"refresh": page, "access_token": held[-1]["access_token"]}
        back = browser.get(f"{apache}/callback", params=query)
        assert back.headers["Location"] == page
    assert len({info["refresh_token"] for info in held}) == 3
    assert len(sent_to(oauth_server, "token")) == 4


@pytest.mark.allow_violations  # it refreshes before every page, as it is configured
def test_apache_refreshes_by_itself(
    oauth_server: FakeOAuth, start: Callable[..., str], browser: httpx.Client
) -> None:
    oauth_server.login("alice")
    apache = start("REFRESH")
    for _ in range(3):
        told = browser.get(f"{apache}/pages", follow_redirects=True).raise_for_status().json()
        assert told["X-Remote-User"] == "u-alice"
        oauth_server.clock.advance(3600)
    grants = [exchange.grant_type for exchange in sent_to(oauth_server, "token")]
    assert grants == ["authorization_code"] + ["refresh_token"] * 3


def test_an_api_introspects_what_it_gets(
    oauth_server: FakeOAuth, start: Callable[..., str], browser: httpx.Client
) -> None:
    api = f"{start()}/api"
    tokens = oauth_server.issue_tokens(user="alice", client="web")
    headers = {"Authorization": f"Bearer {tokens.access_token}"}
    assert browser.get(api, headers=headers).json()["X-Remote-User"] == "u-alice"
    other = oauth_server.issue_tokens(user="alice", client="web")
    oauth_server.revoke(other.access_token)
    headers = {"Authorization": f"Bearer {other.access_token}"}
    assert browser.get(api, headers=headers).status_code == 401
    assert [exchange.reply["active"] for exchange in sent_to(oauth_server, "introspect")] == [
        True,
        False,
    ]
