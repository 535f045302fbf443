"""golang.org/x/oauth2 with go-oidc, from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from fake_oauth import FakeOAuth
from tests.clients import service_account
from tests.clients.conftest import HERE, SCOPE, SECRET, sent_to
from tests.clients.script import Answer, run

# Where Debian's packages put the sources of libraries.
GOPATH: Final = Path("/usr/share/gocode")
LIBRARIES: Final = {
    "golang.org/x/oauth2": "golang-golang-x-oauth2-dev",
    "github.com/coreos/go-oidc": "golang-github-coreos-go-oidc-dev",
}


def require_go() -> str:
    """Return the path of Go. Skip the test if Go or a library is not installed."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go: go is not on PATH (apt-get install golang-go)")
    for library, package in LIBRARIES.items():
        if not (GOPATH / "src" / library).is_dir():
            pytest.skip(f"no {library}: {GOPATH} does not have it (apt-get install {package})")
    return go


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled client."""
    go = require_go()
    folder = tmp_path_factory.mktemp("go")
    # Debian's libraries have no modules; and nothing is fetched.
    settings = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOFLAGS": ""}
    if "HOME" not in os.environ and "GOCACHE" not in os.environ:
        settings["GOCACHE"] = str(folder / "cache")
    subprocess.run(
        [go, "build", "-o", folder / "client", HERE / "go" / "main.go"],
        check=True,
        env=os.environ | settings,
    )
    return folder / "client"


@pytest.fixture
def go(oauth_server: FakeOAuth, browse: Callable[[str], str], program: Path) -> Callable[..., Any]:
    """Return a function that runs a scenario of the client, with options."""
    answers: dict[str, Answer] = {
        "browse": browse,
        "advance": oauth_server.clock.advance,
        "revoke": oauth_server.revoke,
    }
    options = {"issuer": oauth_server.issuer, "scope": SCOPE, "secret": SECRET}
    return lambda scenario, **more: run([program], options | more | {"scenario": scenario}, answers)


def test_logs_in_verifies_the_id_token_and_refreshes(
    oauth_server: FakeOAuth, go: Callable[..., Any]
) -> None:
    oauth_server.login("alice")
    assert go("session") == {
        "sub": "u-alice",
        "nonce": "N",
        "at_hash": True,
        "email": "alice@example.com",
        "rotated": True,
        "kept": True,
        "again": "u-alice",
        "userinfo": 200,
    }
    grants = [exchange.grant_type for exchange in sent_to(oauth_server, "token")]
    assert grants == ["authorization_code", "refresh_token"]


@pytest.mark.allow_violations  # it cannot know that its token was revoked
def test_is_told_that_its_refresh_token_was_revoked(
    oauth_server: FakeOAuth, go: Callable[..., Any]
) -> None:
    oauth_server.login("alice")
    found = go("refused")
    assert found["status"] == 400
    assert "invalid_grant" in found["body"]


def test_authenticates_in_each_style(oauth_server: FakeOAuth, go: Callable[..., Any]) -> None:
    assert go("credentials") == ["email"] * 3
    sent = [
        "Basic" if "Authorization" in exchange.headers else "form"
        for exchange in sent_to(oauth_server, "token")
    ]
    # To detect the style, it tries Basic first.
    assert sent == ["Basic", "Basic", "form"]


@service_account.trusted
@pytest.mark.parametrize(
    ("subject", "sub"), [("", "u-robot"), ("alice", "u-alice")], ids=["itself", "user"]
)
def test_signs_its_grants(
    oauth_server: FakeOAuth, go: Callable[..., Any], subject: str, sub: str
) -> None:
    key = {"key": service_account.PEM, "keyID": service_account.KEY_ID}
    found = go("assertion", email=service_account.EMAIL, subject=subject, scope="email", **key)
    assert found == {"sub": sub, "scope": "email"}
    assert len(sent_to(oauth_server, "token")) == 2
