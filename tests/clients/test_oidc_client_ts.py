"""oidc-client-ts (npm) in Debian's Chromium: a single-page application without a server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_httpserver import HTTPServer

from fake_oauth import FakeOAuth
from tests.clients.conftest import PACKAGES, SCOPE, require_packages, sent_to

CHROMIUM: Final = shutil.which("chromium")
FLAGS: Final = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LIBRARY: Final = "oidc-client-ts/dist/browser/oidc-client-ts.min.js"

# One page serves every URL of the application; a test calls what its buttons would.
PAGE: Final = """<title>application</title><link rel="icon" href="data:,">
<script src="/oidc-client-ts.min.js"></script>
<script>
  const manager = new oidc.UserManager({
    authority: "%(issuer)s",
    client_id: "phone",
    redirect_uri: location.origin + "/callback",
    silent_redirect_uri: location.origin + "/silent",
    post_logout_redirect_uri: location.origin + "/out",
    scope: "%(scope)s",
    loadUserInfo: true,
    automaticSilentRenew: false,
    %(more)s
  });
  if (location.pathname === "/silent") manager.signinSilentCallback();
  const shown = ({ profile, access_token, refresh_token, expires_in, scope }) =>
    ({ profile, access_token, refresh_token, expires_in, scope });
</script>"""

if CHROMIUM is None:
    pytest.skip("no Chromium: apt-get install chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser,
    ):
        yield browser


@pytest.fixture
def more() -> str:
    """Return further settings of oidc-client-ts, as JavaScript."""
    return ""


@pytest.fixture
def origin(httpserver: HTTPServer) -> str:
    """Return the origin of the application."""
    return httpserver.url_for("").rstrip("/")


@pytest.fixture
def server(make_oauth_server: Callable[..., FakeOAuth], origin: str) -> FakeOAuth:
    """Return a server whose responses the application's pages can read, with alice logged in."""
    server = make_oauth_server(cors_origins=[origin])
    server.login("alice")
    return server


@pytest.fixture
def page(chromium: Browser, httpserver: HTTPServer, server: FakeOAuth, more: str) -> Iterator[Page]:
    """Return the application's page."""
    require_packages()
    html = PAGE % {"issuer": server.issuer, "scope": SCOPE, "more": more}
    for path in ("/", "/callback", "/silent", "/out"):
        httpserver.expect_request(path).respond_with_data(html, content_type="text/html")
    library = (PACKAGES / LIBRARY).read_bytes()
    httpserver.expect_request("/oidc-client-ts.min.js").respond_with_data(
        library, content_type="text/javascript"
    )
    with chromium.new_context() as context:
        context.set_default_timeout(10_000)
        yield context.new_page()


def log_in(page: Page, origin: str) -> Any:
    """Return the user of the application after a login by redirects."""
    page.goto(origin)
    page.evaluate("void manager.signinRedirect({ state: 'a+b/c d%2F' })")
    page.wait_for_url(f"{origin}/callback?**")
    return page.evaluate("manager.signinRedirectCallback().then(shown)")


def test_logs_in_and_refreshes(server: FakeOAuth, page: Page, origin: str) -> None:
    user = log_in(page, origin)
    assert user["profile"]["sub"] == "u-alice"
    assert user["profile"]["email"] == "alice@example.com"
    assert set(user["scope"].split()) == set(SCOPE.split())
    (authorized,) = sent_to(server, "authorize")
    assert authorized.query["code_challenge_method"] == "S256"
    server.clock.advance(3600)
    # With a refresh token, a silent signin is a refresh.
    renewed = page.evaluate("manager.signinSilent().then(shown)")
    assert renewed["profile"]["sub"] == "u-alice"
    assert renewed["refresh_token"] != user["refresh_token"]
    assert sent_to(server, "token")[-1].grant_type == "refresh_token"


def test_renews_silently_in_a_frame(server: FakeOAuth, page: Page, origin: str) -> None:
    user = log_in(page, origin)
    server.clock.advance(3600)
    renewed = page.evaluate("manager.signinSilent({ forceIframeAuth: true }).then(shown)")
    assert renewed["profile"]["sub"] == "u-alice"
    assert renewed["access_token"] != user["access_token"]
    assert sent_to(server, "authorize")[-1].query["prompt"] == "none"
    assert sent_to(server, "token")[-1].grant_type == "authorization_code"


def test_is_told_that_a_silent_renew_needs_a_login(
    server: FakeOAuth, page: Page, origin: str
) -> None:
    log_in(page, origin)
    server.logout()
    code = "manager.signinSilent({ forceIframeAuth: true }).catch(({ error }) => error)"
    assert page.evaluate(code) == "login_required"


def test_revokes_its_tokens(server: FakeOAuth, page: Page, origin: str) -> None:
    log_in(page, origin)
    page.evaluate("manager.revokeTokens()")
    revoked = [exchange.tokens["token"] for exchange in sent_to(server, "revoke")]
    assert revoked == ["alice/1 a1", "alice/1 r1"]


def test_logs_out(server: FakeOAuth, page: Page, origin: str) -> None:
    log_in(page, origin)
    page.evaluate("void manager.signoutRedirect({ state: 'a+b/c d%2F' })")
    page.wait_for_url(f"{origin}/out?**")
    state = "manager.signoutRedirectCallback().then(({ userState }) => userState)"
    assert page.evaluate(state) == "a+b/c d%2F"
    (logged_out,) = sent_to(server, "end_session")
    assert logged_out.status == 302
    assert page.evaluate("manager.getUser()") is None


# It sends a bound token to userinfo as a bearer token, so the page itself has to ask there.
DPOP: Final = """
    dpop: { bind_authorization_code: true, store: new oidc.IndexedDbDPoPStore() },
    loadUserInfo: false,
"""
CALL_USERINFO: Final = """async (url, nonce) => {
  const user = await manager.getUser();
  const call = async (nonce) => fetch(url, { headers: {
    Authorization: `DPoP ${user.access_token}`,
    DPoP: await manager.dpopProof(url, user, "GET", nonce),
  } });
  let response = await call();
  if (response.status === 401) response = await call(response.headers.get("DPoP-Nonce"));
  return response.json();
}"""


@pytest.mark.allow_violations  # the clock of a proof is the client's, so the server's stays
@pytest.mark.parametrize("more", [DPOP], ids=["dpop"])
@pytest.mark.parametrize(
    "nonces",
    [
        pytest.param(nonces, id=nonces, marks=pytest.mark.oauth_server(dpop_nonces=nonces))
        for nonces in ("off", "required", "rotating")
    ],
)
def test_proves_a_key_with_each_request(
    server: FakeOAuth, page: Page, origin: str, nonces: str
) -> None:
    user = log_in(page, origin)
    assert page.evaluate(CALL_USERINFO, server.url_of("userinfo"))["email"] == "alice@example.com"
    renewed = page.evaluate("manager.signinSilent().then(shown)")
    assert renewed["refresh_token"] != user["refresh_token"]
    assert "dpop_jkt" in sent_to(server, "authorize")[0].query
    assert any(exchange.cause == "dpop_nonce" for exchange in server.journal) is (nonces != "off")
