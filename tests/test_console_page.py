"""The console in a real browser: Debian's chromium, driven by Playwright.

The pictures in the docs are made here too. They need a folder:

    FAKE_OAUTH_PICTURES=docs/pictures python -m pytest tests/test_console_page.py -k pictures
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Dialog, Locator, Page, expect
from werkzeug.test import Client as WSGIClient

from fake_oauth import AuthSource, Client, FakeOAuth, Settings, User, faults
from fake_oauth.faults.kinds import KINDS
from tests.support.browser import browser, needs_browser, new_context, page, playwright

__all__ = ["browser", "new_context", "page", "playwright"]

HOSTILE = "<img src=x onerror=alert(1)>"
SECTIONS = (
    "exchanges",
    "tokens",
    "faults",
    "clients",
    "users",
    "keys",
    "outbox",
    "violations",
    "settings",
)
WIDE, PHONE = (1280, 800), (390, 844)
START = 1764151200  # 2025-11-26 10:00:00
HTTP = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
AXE = Axe()
# What axe-core finds: the rules, each with the elements that break it.
FLAWS = """async rules => {
  const levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const runOnly = rules ?? levels;
  const { violations } = await axe.run({ runOnly, resultTypes: ["violations"], preload: false });
  return violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]);
}"""
# The buttons of a section that are out of sight, or in part, until something scrolls sideways.
OUT_OF_SIGHT = """[...document.querySelectorAll("main section:not([hidden]) button")]
  .filter(button => button.getBoundingClientRect().right > innerWidth)
  .map(button => button.textContent)"""
# A page that is hidden, as if its tab was in the background.
HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
# Everything that the policy of the page has refused.
WATCH = """addEventListener("securitypolicyviolation", event => {
  (window.refused ??= []).push(`${event.violatedDirective} ${event.blockedURI}`);
})"""

pytestmark = [needs_browser, pytest.mark.allow_unused_faults]


@pytest.fixture
def oauth_settings() -> Settings:
    return Settings(
        dialect="rfc",
        control=True,
        seed=7,
        start_time=START,
        freeze_time=True,
        refresh_policy="rotate",
        refresh_tokens=[],
        clients=[
            Client(
                client_id="web",
                client_secret="s3cret",
                name="Web shop",
                scopes=["openid", "profile", "offline_access"],
                redirect_uris=["http://localhost:3000/callback"],
                logout_redirect_uris=["http://localhost:3000/bye"],
            ),
            Client(client_id="mobile", redirect_uris=["com.example.app:/callback"]),
        ],
        users=[
            User(sub="u-alice", username="alice", email="alice@example.com"),
            User(sub="u-bob", username="bob"),
        ],
    )


class Clients:
    """Real clients of a server."""

    def __init__(self, server: FakeOAuth) -> None:
        self._server = server

    def web(self, **form: str) -> httpx.Response:
        """Send a token request of the confidential client."""
        return HTTP.post(self._server.token_url, data=form, auth=("web", "s3cret"))

    def refresh(self, token: str | None) -> httpx.Response:
        return self.web(grant_type="refresh_token", refresh_token=token or "")

    def mobile(self, token: str | None) -> httpx.Response:
        """Refresh as the public client."""
        form = {"grant_type": "refresh_token", "client_id": "mobile", "refresh_token": token}
        return HTTP.post(self._server.token_url, data=form)

    def authorize(self, **asked: str) -> httpx.Response:
        """Send an authorization request of the public client, which PKCE is required of."""
        asked = {"client_id": "mobile", "response_type": "code", **asked}
        return HTTP.get(self._server.url_of("authorize"), params=asked)

    def userinfo(self, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return HTTP.get(self._server.url_of("userinfo"), headers=headers)


@pytest.fixture
def clients(oauth_server: FakeOAuth) -> Clients:
    return Clients(oauth_server)


Open = Callable[..., Page]


@pytest.fixture
def open_console(
    new_context: Callable[..., BrowserContext], oauth_server: FakeOAuth
) -> Iterator[Open]:
    """A function that opens the console at a place. Nothing may go wrong in any of its pages."""
    pages: list[Page] = []
    wrong: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    def open_console(place: str = "", *, url: str | None = None, **options: Any) -> Page:
        width, height = options.pop("size", WIDE)
        context = new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        context.add_init_script(WATCH)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", dismiss)
        page.goto(f"{url or oauth_server.url}/_fake/#{place}")
        expect(page.locator("#live")).to_have_text("live")
        pages.append(page)
        return page

    yield open_console
    for opened in pages:
        wrong += opened.evaluate("window.refused ?? []")
    assert wrong == []


@pytest.fixture
def console(open_console: Open) -> Page:
    return open_console()


def row(page: Page, number: int) -> Locator:
    """Return an exchange, with what is shown of it if it is open."""
    return page.locator(f'.exchange[data-key="{number}"]')


def disclosure(page: Page, number: int) -> Locator:
    return page.get_by_role("button", name=f"Exchange {number}", exact=True)


def request_of(page: Page, number: int) -> Locator:
    """Return the request of an exchange that is open."""
    return row(page, number).get_by_role("region", name="Request", exact=True)


def card(page: Page, family: str) -> Locator:
    return page.get_by_role("article", name=family, exact=True)


def token(page: Page, name: str) -> Locator:
    return page.locator(f'[data-key="{name}"] > .token')


def go(page: Page, section: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=section, exact=True).click()
    expect(page.get_by_role("heading", level=2, name=section, exact=True)).to_be_visible()


def height_of(part: Locator) -> float:
    """Return how far below the upper edge of the window a part is."""
    top: float = part.evaluate("part => part.getBoundingClientRect().top")
    return top


# Exchanges


def test_exchanges_of_every_client_arrive_live(
    console: Page, oauth_server: FakeOAuth, clients: Clients
) -> None:
    expect(console.get_by_text("No request has arrived yet.")).to_be_visible()
    clients.refresh(oauth_server.issue_tokens(client="web").refresh_token)
    expect(row(console, 1)).to_contain_text(re.compile("refreshed, refresh token rotated"))
    clients.mobile("unknown")
    expect(row(console, 2)).to_contain_text("mobile")
    expect(row(console, 2).locator(".outcome")).to_have_text("400 invalid_grant")
    rows = console.locator(".exchange .number")
    expect(rows).to_have_text(["2", "1"])
    console.get_by_label("Client", exact=True).select_option("web")
    expect(rows).to_have_text(["1"])


def test_a_row_opens_in_full(console: Page, oauth_server: FakeOAuth, clients: Clients) -> None:
    first = oauth_server.issue_tokens(client="web").refresh_token
    clients.refresh(first)
    clients.refresh(first)
    disclosure(console, 2).click()
    expect(disclosure(console, 2)).to_have_attribute("aria-expanded", "true")
    opened = row(console, 2)
    expect(request_of(console, 2)).to_contain_text(f"alice/1 r1 {first}")
    expect(request_of(console, 2)).to_contain_text("Authorization***")
    expect(opened.get_by_label("Body")).to_contain_text('"error": "invalid_grant"')
    expect(opened).to_contain_text("refresh_token_spent")
    opened.get_by_role("link", name="request 1").click()
    expect(disclosure(console, 1)).to_be_focused()
    expect(disclosure(console, 1)).to_have_attribute("aria-expanded", "true")
    row(console, 1).get_by_role("link", name="alice/1 r2").first.click()
    expect(token(console, "alice/1 r2")).to_be_focused()


def test_a_row_copies_as_curl_and_as_a_test(
    open_console: Open, oauth_server: FakeOAuth, clients: Clients
) -> None:
    clients.refresh(oauth_server.issue_tokens(client="web").refresh_token)
    page = open_console("exchanges/1", permissions=["clipboard-read", "clipboard-write"])
    exchange = HTTP.get(f"{oauth_server.url}/_fake/exchange?number=1").json()
    for name, words in (("curl", "Copy as curl"), ("pytest", "Copy as a pytest test")):
        page.get_by_role("button", name=words).click()
        expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
        expect(page.get_by_label(words, exact=True).last).to_have_text(exchange[name])
        assert page.evaluate("navigator.clipboard.readText()") == exchange[name]


def test_arrivals_leave_focus_open_rows_and_the_scroll_position(
    console: Page, clients: Clients
) -> None:
    for _ in range(40):
        clients.mobile("unknown")
    disclosure(console, 12).click()
    details = row(console, 12).get_by_text("Show").first
    details.click()
    button = row(console, 12).get_by_role("button", name="Copy as curl")
    button.focus()
    before = height_of(button)
    clients.mobile("unknown")
    expect(row(console, 41)).to_be_attached()
    expect(button).to_be_focused()
    expect(row(console, 12).locator("details").first).to_have_attribute("open", "")
    assert height_of(button) == pytest.approx(before, abs=1)


def test_the_filter_finds_text_errors_and_faults(
    console: Page, oauth_server: FakeOAuth, clients: Clients
) -> None:
    clients.refresh(oauth_server.issue_tokens(client="web").refresh_token)
    oauth_server.script(faults.Status(503))
    clients.mobile("unknown")
    clients.mobile("unknown")
    rows = console.locator(".exchange .number")
    expect(rows).to_have_text(["3", "2", "1"])
    console.get_by_text("Errors", exact=True).click()
    expect(rows).to_have_text(["3", "2"])
    console.locator("#section-exchanges").get_by_text("Faults", exact=True).click()
    expect(rows).to_have_text(["2"])
    expect(console.get_by_text("1 of 3 exchanges")).to_be_visible()
    console.get_by_text("All", exact=True).first.click()
    filter_text = console.locator("#section-exchanges").get_by_label("Filter by text")
    filter_text.fill("ROTATED alice/1")
    expect(rows).to_have_text(["1"])
    filter_text.fill("nothing of the kind")
    expect(console.get_by_text("No exchange matches the filter.")).to_be_visible()


def test_an_error_that_a_redirect_sends_is_an_error(console: Page, clients: Clients) -> None:
    clients.mobile("unknown")
    sent = clients.authorize()
    assert sent.status_code == 302
    assert "error=invalid_request" in sent.headers["Location"]
    outcome = row(console, 2).locator(".outcome .badge")
    expect(outcome).to_have_text("302 invalid_request")
    expect(outcome).to_have_class("badge refused")
    color = "badge => getComputedStyle(badge).color"
    refused = row(console, 1).locator(".outcome .badge")
    assert outcome.evaluate(color) == refused.evaluate(color)
    console.get_by_text("Errors", exact=True).click()
    expect(console.locator(".exchange .number")).to_have_text(["2", "1"])


def test_preflights_and_metadata_are_hidden_on_request(
    console: Page, oauth_server: FakeOAuth, clients: Clients
) -> None:
    for endpoint in ("discovery", "metadata", "jwks"):
        HTTP.get(oauth_server.url_of(endpoint))
    HTTP.options(oauth_server.token_url)
    clients.mobile("unknown")
    rows = console.locator(".exchange .number")
    expect(rows).to_have_text(["5", "4", "3", "2", "1"])
    toggle = console.get_by_label("Hide preflights and metadata")
    toggle.check()
    expect(rows).to_have_text(["5"])
    expect(console.get_by_text("1 of 5 exchanges")).to_be_visible()
    go(console, "Users")
    go(console, "Exchanges")
    expect(toggle).to_be_checked()
    # A link leads to an exchange whatever the filter says. Only what hides it is changed.
    console.locator("#section-exchanges").get_by_label("Filter by text").fill("of another kind")
    console.evaluate("location.hash = 'exchanges/5'")
    expect(disclosure(console, 5)).to_be_focused()
    expect(toggle).to_be_checked()
    console.evaluate("location.hash = 'exchanges/4'")
    expect(disclosure(console, 4)).to_be_focused()
    expect(toggle).not_to_be_checked()


def test_an_open_exchange_has_an_address(console: Page, clients: Clients) -> None:
    for _ in range(2):
        clients.mobile("unknown")
    console.locator("#section-exchanges").get_by_label("Filter by text").fill("mobile")
    entries = console.evaluate("history.length")
    disclosure(console, 1).click()
    expect(console).to_have_url(re.compile("/_fake/#exchanges/1$"))
    disclosure(console, 2).click()
    expect(console).to_have_url(re.compile("/_fake/#exchanges/2$"))
    disclosure(console, 1).click()  # The other one stays where it is.
    expect(console).to_have_url(re.compile("/_fake/#exchanges/2$"))
    assert console.evaluate("history.length") == entries
    go(console, "Tokens")
    console.go_back()
    expect(disclosure(console, 2)).to_be_focused()
    expect(disclosure(console, 2)).to_have_attribute("aria-expanded", "true")
    expect(console.locator("#section-exchanges").get_by_label("Filter by text")).to_have_value(
        "mobile"
    )
    disclosure(console, 2).click()
    expect(console).to_have_url(re.compile("/_fake/#exchanges$"))
    console.reload()
    expect(disclosure(console, 2)).to_have_attribute("aria-expanded", "false")


def test_a_link_to_the_address_of_the_page_leads_there(
    console: Page, oauth_server: FakeOAuth, clients: Clients
) -> None:
    first = oauth_server.issue_tokens(client="web").refresh_token
    clients.refresh(first)
    clients.refresh(first)
    disclosure(console, 2).click()
    disclosure(console, 1).click()
    row(console, 2).get_by_role("link", name="request 1").click()
    expect(disclosure(console, 1)).to_be_focused()


def test_a_reset_takes_the_exchange_out_of_the_address(
    open_console: Open, oauth_server: FakeOAuth, clients: Clients
) -> None:
    for _ in range(2):
        clients.mobile("unknown")
    page = open_console("exchanges/2")
    expect(disclosure(page, 2)).to_be_focused()
    oauth_server.reset()
    clients.userinfo("unknown")
    expect(row(page, 1)).to_contain_text("/userinfo")
    expect(page).to_have_url(re.compile("/_fake/#exchanges$"))


def test_what_repeats_a_request_is_at_the_top_of_its_row(
    open_console: Open, oauth_server: FakeOAuth
) -> None:
    headers = {"Sec-Fetch-Mode": "cors", "Origin": "http://localhost:3000"}
    HTTP.get(oauth_server.url_of("userinfo"), headers=headers)
    page = open_console("exchanges/1")
    request = request_of(page, 1)
    copy = page.get_by_role("button", name="Copy as curl")
    assert height_of(copy) < height_of(request)
    expect(request.get_by_text("http://localhost:3000")).to_be_visible()
    # Sec-Fetch-Mode, and of the HTTP library: Accept, Accept-Encoding, Connection, Host, User-Agent
    others = request.locator("summary")
    expect(others).to_have_text("6 more headers")
    expect(request.get_by_text("cors", exact=True)).to_be_hidden()
    others.click()
    expect(request.get_by_text("cors", exact=True)).to_be_visible()


def test_pause_keeps_the_list_as_it_is(console: Page, clients: Clients) -> None:
    clients.mobile("unknown")
    expect(row(console, 1)).to_be_visible()
    pause = console.get_by_role("button", name="Pause")
    pause.click()
    clients.mobile("unknown")
    expect(console.get_by_text("paused, 1 arrived since")).to_be_visible()
    expect(row(console, 2)).to_have_count(0)
    pause.click()
    expect(row(console, 2)).to_be_visible()


def test_a_link_leads_to_an_exchange_that_is_not_on_the_page(
    open_console: Open, oauth_server: FakeOAuth
) -> None:
    wsgi = WSGIClient(oauth_server)
    for _ in range(260):
        wsgi.get("/nowhere")
    page = open_console()
    filter_text = page.locator("#section-exchanges").get_by_label("Filter by text")
    filter_text.fill("nowhere")
    page.evaluate("location.hash = 'exchanges/11'")
    expect(disclosure(page, 11)).to_be_focused()
    expect(disclosure(page, 11)).to_be_in_viewport()
    expect(page.locator(".exchange")).to_have_count(250)
    expect(filter_text).to_have_value("nowhere")


@pytest.mark.parametrize("place", ["nowhere", "constructor", "__proto__", "exchanges/99", "%"])
def test_a_link_to_nothing_shows_the_exchanges(
    place: str, open_console: Open, clients: Clients
) -> None:
    clients.mobile("unknown")
    page = open_console(place)
    expect(row(page, 1)).to_be_visible()
    clients.mobile("unknown")
    expect(row(page, 2)).to_be_visible()


@pytest.mark.parametrize("section", SECTIONS)
def test_long_names_fit_a_narrow_window(
    section: str, open_console: Open, oauth_server: FakeOAuth, clients: Clients
) -> None:
    oauth_server.replace_users([User(sub="u" * 300)])
    oauth_server.script(faults.Refuse(error="e" * 300), faults.Refuse(error="f" * 300))
    clients.refresh(oauth_server.issue_tokens().refresh_token)
    page = open_console(section, size=(320, 640))
    expect(page.locator("#next-expiry")).to_be_enabled()
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_a_thousand_exchanges_and_a_hundred_users_stay_quick(
    open_console: Open, oauth_server: FakeOAuth, clients: Clients
) -> None:
    oauth_server.replace_users([User(sub=f"u-{number}") for number in range(100)])
    wsgi = WSGIClient(oauth_server)
    for _ in range(1000):
        wsgi.get("/nowhere")
    page = open_console()
    rows = page.locator(".exchange")
    expect(rows).to_have_count(200)
    page.get_by_role("button", name="Show more (800 earlier)").click()
    expect(rows).to_have_count(400)
    # The rows that are on the page already stay the same elements.
    page.evaluate("document.querySelectorAll('.exchange').forEach(row => (row.isKept = true))")
    clients.mobile("unknown")
    expect(row(page, 1001)).to_be_visible()
    expect(rows).to_have_count(400)
    kept = "[...document.querySelectorAll('.exchange')].filter(row => row.isKept).length"
    assert page.evaluate(kept) == 399
    assert oauth_server.journal.forgotten == 1
    expect(page.get_by_text("1 earlier no longer kept")).to_be_visible()
    go(page, "Users")
    expect(page.locator("#user-list tbody tr")).to_have_count(100)
    page.locator("#section-users").get_by_label("Filter by text").fill("u-42")
    expect(page.locator("#user-list tbody tr")).to_have_count(1)


# Tokens


def test_a_login_is_a_tree_of_tokens(
    open_console: Open, oauth_server: FakeOAuth, clients: Clients
) -> None:
    page = open_console("tokens")
    expect(page.get_by_text("No token has been issued yet.")).to_be_visible()
    first = oauth_server.issue_tokens(client="web")
    clients.refresh(first.refresh_token)
    clients.refresh(first.refresh_token)
    tree = page.get_by_role("list", name="Tokens of alice/1")
    expect(token(page, "alice/1 r1")).to_contain_text("spent")
    expect(token(page, "alice/1 r1")).to_contain_text("rotated by request 1")
    expect(token(page, "alice/1 r1").get_by_role("link")).to_have_text(
        ["request 1", "#1 200", "#2 400 invalid_grant"]
    )
    # The token that replaced it is on the trunk, and the access token is a branch.
    trunk = tree.locator("> li").evaluate_all("all => all.map(item => item.dataset.key)")
    assert trunk == ["", "alice/1 r1", "alice/1 r2"]
    branches = '[data-key="alice/1 r1"] > ul > li'
    expect(page.locator(branches)).to_have_attribute("data-key", "alice/1 a2")


def test_a_revoked_family_is_refused(
    open_console: Open, oauth_server: FakeOAuth, clients: Clients
) -> None:
    refresh_token = oauth_server.issue_tokens(client="web").refresh_token
    other = oauth_server.issue_tokens(user="bob", client="mobile").refresh_token
    page = open_console("tokens")
    card(page, "alice/1").get_by_role("button", name="Revoke family").click()
    expect(card(page, "alice/1").locator(".title .badge")).to_have_text("revoked")
    expect(token(page, "alice/1 r1")).to_contain_text("revoked by the test")
    assert clients.refresh(refresh_token).json()["error"] == "invalid_grant"
    expect(token(page, "alice/1 r1")).to_contain_text("#1 400 invalid_grant")
    assert clients.mobile(other).status_code == 200
    expect(card(page, "bob/1").locator(".title .badge")).to_have_text("active")
    page.get_by_text("Ended", exact=True).click()
    expect(page.get_by_role("article")).to_have_count(1)


def test_a_token_expires_at_once(
    open_console: Open, oauth_server: FakeOAuth, clients: Clients
) -> None:
    tokens = oauth_server.issue_tokens(client="web")
    page = open_console("tokens")
    page.get_by_role("button", name="Expire alice/1 a1").click()
    expect(token(page, "alice/1 a1")).to_contain_text("expired")
    assert clients.userinfo(tokens.access_token).status_code == 401
    assert clients.refresh(tokens.refresh_token).status_code == 200


def test_the_focus_stays_near_a_button_that_is_gone(
    open_console: Open, oauth_server: FakeOAuth
) -> None:
    oauth_server.issue_tokens(client="web")
    page = open_console("tokens")
    page.get_by_role("button", name="Expire alice/1 a1").press("Enter")
    expect(token(page, "alice/1 a1")).to_be_focused()
    page.get_by_role("button", name="Revoke family").press("Enter")
    expect(card(page, "alice/1")).to_be_focused()


def test_the_clock_goes_to_the_expiry_of_a_token(
    open_console: Open, oauth_server: FakeOAuth, clients: Clients
) -> None:
    oauth_server.issue_tokens(client="mobile")
    oauth_server.clock.advance(600)
    tokens = oauth_server.issue_tokens(client="web")
    page = open_console("tokens")
    page.get_by_role("button", name="Go to this expiry: alice/2 a1").click()
    expect(page.locator("#now")).to_have_text("2025-11-26 11:10:00")
    expect(token(page, "alice/2 a1")).to_contain_text("expired")
    assert clients.userinfo(tokens.access_token).status_code == 401


@pytest.mark.oauth_server(access_token_seconds=10**12)
def test_a_token_that_never_expires_has_no_expiry_to_go_to(
    open_console: Open, oauth_server: FakeOAuth
) -> None:
    oauth_server.issue_tokens(client="web")
    page = open_console("tokens")
    expect(page.get_by_role("button", name="Expire alice/1 a1")).to_be_visible()
    expect(page.get_by_role("button", name="Go to this expiry: alice/1 a1")).to_have_count(0)


# The clock


def test_the_clock_moves(console: Page, oauth_server: FakeOAuth, clients: Clients) -> None:
    tokens = oauth_server.issue_tokens(client="web")
    now = console.locator("#now")
    expect(now).to_have_text("2025-11-26 10:00:00")
    console.get_by_role("button", name="+5 min").click()
    expect(now).to_have_text("2025-11-26 10:05:00")
    assert clients.userinfo(tokens.access_token).status_code == 200
    console.get_by_role("button", name="To the next expiry (alice/1 a1 at 11:00:00)").click()
    expect(now).to_have_text("2025-11-26 11:00:00")
    assert clients.userinfo(tokens.access_token).status_code == 401
    console.get_by_role("button", name="Run").click()
    expect(console.get_by_role("button", name="Freeze")).to_be_visible()
    assert not oauth_server.clock.is_frozen


def test_the_clock_is_set_to_a_moment(console: Page, oauth_server: FakeOAuth) -> None:
    console.get_by_text("Set…").click()
    moment = console.get_by_label("Date and time, with a time zone")
    expect(moment).to_have_value("2025-11-26T10:00:00Z")
    moment.fill("2026-01-01T00:00:00")
    moment.press("Enter")
    expect(moment).to_have_attribute("aria-invalid", "true")
    expect(moment).to_be_focused()
    expect(moment).to_have_accessible_description(
        re.compile("expected a date-time with a time zone")
    )
    assert oauth_server.clock.now() == START
    oauth_server.clock.advance(60)
    expect(console.locator("#now")).to_have_text("2025-11-26 10:01:00")
    console.get_by_text("Set…").click()
    console.get_by_text("Set…").click()
    expect(moment).to_have_value("2025-11-26T10:01:00Z")
    expect(moment).not_to_have_attribute("aria-invalid", "true")
    moment.fill("2026-01-01T00:00:00Z")
    console.get_by_role("button", name="Set the clock").click()
    expect(console.locator("#now")).to_have_text("2026-01-01 00:00:00")
    expect(moment).to_be_hidden()


# Faults


def test_a_fault_of_the_form_is_met(open_console: Open, clients: Clients) -> None:
    page = open_console("faults")
    expect(page.get_by_text("The script is empty")).to_be_visible()
    page.get_by_label("Fault", exact=True).select_option("Refuse")
    expect(page.get_by_text("An OAuth error with a documented code")).to_be_visible()
    page.get_by_label("error required").fill("slow_down")
    page.get_by_label("headers").fill('{"Retry-After": "5"}')
    page.get_by_label("client_id").fill("mobile")
    page.get_by_label("times", exact=True).fill("2")
    page.get_by_role("button", name="Add to the script").click()
    expect(page.get_by_text("Refuse is added; 1 step left.")).to_be_visible()
    step = page.locator("#steps li")
    expect(step).to_contain_text("2 of 2 left")
    expect(step).to_contain_text("client_id mobile")
    clients.web(grant_type="client_credentials")
    refused = clients.mobile("unknown")
    assert refused.json()["error"] == "slow_down"
    assert refused.headers["Retry-After"] == "5"
    expect(step).to_contain_text("1 of 2 left")
    expect(step.get_by_role("link")).to_have_text("#2 400 slow_down")
    step.get_by_role("button", name="Remove").click()
    expect(step.get_by_role("button", name="Remove")).to_have_count(0)
    assert clients.mobile("unknown").json()["error"] == "invalid_grant"


def test_a_problem_is_shown_beside_its_field(open_console: Open, oauth_server: FakeOAuth) -> None:
    page = open_console("faults")
    code = page.get_by_label("code required")
    skip = page.get_by_label("skip", exact=True)
    code.fill("many")
    skip.fill("none")
    page.get_by_role("button", name="Add to the script").click()
    expect(code).to_have_attribute("aria-invalid", "true")
    expect(code).to_be_focused()
    expect(code).to_have_accessible_description(re.compile("expected .*'many'"))
    expect(skip).to_have_accessible_description(re.compile("expected .*'none'"))
    expect(code).to_have_value("many")
    assert oauth_server.steps == []
    code.fill("503")
    skip.fill("")
    page.get_by_role("button", name="Add to the script").click()
    expect(page.get_by_text("Status is added")).to_be_visible()
    expect(page.locator("[aria-invalid=true]")).to_have_count(0)
    assert [str(step) for step in oauth_server.steps] == ["step 1 Status(503)"]
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("The script is empty")).to_be_visible()


def test_what_is_typed_stays_while_exchanges_arrive(open_console: Open, clients: Clients) -> None:
    page = open_console("faults")
    page.get_by_label("code required").fill("503")
    page.get_by_label("times", exact=True).fill("2")
    with page.expect_response("**/steps"):
        clients.mobile("unknown")
    page.wait_for_load_state("networkidle")
    expect(page.get_by_label("times", exact=True)).to_be_focused()
    expect(page.get_by_label("times", exact=True)).to_have_value("2")
    expect(page.get_by_label("code required")).to_have_value("503")


def test_what_is_said_of_an_added_fault_goes_when_it_is_over(
    open_console: Open, clients: Clients
) -> None:
    page = open_console("faults")
    said = page.locator("#fault-status")
    add = page.get_by_role("button", name="Add to the script")
    page.get_by_label("code required").fill("503")
    add.click()
    expect(said).to_have_text("Status is added; 1 step left.")
    expect(page.locator("#steps li")).to_have_count(1)
    expect(said).to_have_text("Status is added; 1 step left.")
    clients.mobile("unknown")
    expect(said).to_be_empty()
    page.get_by_label("code required").fill("502")
    add.click()
    expect(said).to_have_text("Status is added; 1 step left.")
    page.get_by_label("Fault", exact=True).select_option("Refuse")
    expect(said).to_be_empty()


def test_the_form_has_no_word_of_python(open_console: Open) -> None:
    page = open_console("faults")
    kind = page.get_by_label("Fault", exact=True)
    expect(page.get_by_text("The requested grant type; any if not given.")).to_be_visible()
    for name in kind.locator("option").all_inner_texts():
        kind.select_option(name)
        expect(page.locator("#fault-form .about").first).to_be_visible()
        abouts = page.locator("#fault-form :is(.about, .description)").all_inner_texts()
        assert [about for about in abouts if re.search(r"\bNone\b", about)] == []


def test_a_problem_of_no_field_is_shown_above_the_fields(
    open_console: Open, oauth_server: FakeOAuth
) -> None:
    page = open_console("faults")
    page.get_by_label("Fault", exact=True).select_option("Down")
    page.get_by_label("endpoint").select_option("jwks")
    page.get_by_label("seconds", exact=True).fill("1")
    page.get_by_role("button", name="Add to the script").click()
    expect(page.locator("#fault-problems")).to_contain_text("no request uses Down")
    assert oauth_server.steps == []


def test_a_fault_stays_until_it_is_lifted(open_console: Open, clients: Clients) -> None:
    page = open_console("faults")
    page.get_by_label("code required").fill("502")
    page.get_by_role("button", name="Always").click()
    step = page.locator("#steps li")
    expect(step).to_contain_text("always Status(502)")
    assert [clients.mobile("unknown").status_code for _ in range(2)] == [502, 502]
    expect(step.get_by_role("link")).to_have_text(["#1 502", "#2 502"])
    step.get_by_role("button", name="Lift").click()
    expect(page.get_by_text("The script is empty")).to_be_visible()
    assert clients.mobile("unknown").status_code == 400


def test_every_fault_has_a_form(open_console: Open) -> None:
    page = open_console("faults")
    kind = page.get_by_label("Fault", exact=True)
    names = kind.locator("option").all_inner_texts()
    assert names == [name for name in KINDS if name != "Change"]  # Change needs a function.
    for name in names:
        kind.select_option(name)
        expect(page.locator("#fault-description")).not_to_be_empty()


# Clients, users, keys, outbox, violations, settings


def test_secrets_are_hidden_until_they_are_asked_for(open_console: Open) -> None:
    page = open_console("clients")
    web = page.get_by_role("row", name="web")
    expect(web).to_contain_text("Web shop")
    expect(web).to_contain_text("http://localhost:3000/bye")
    expect(page.locator("#section-clients")).not_to_contain_text("s3cret")
    web.get_by_role("button", name="Show the secret of web").click()
    expect(web).to_contain_text("s3cret")
    expect(page.get_by_role("row", name="mobile")).to_contain_text("public")


@pytest.mark.oauth_server(dialect="mcp")
def test_a_registered_client_is_forgotten(open_console: Open, oauth_server: FakeOAuth) -> None:
    page = open_console("clients")
    metadata = {"redirect_uris": ["http://localhost:1/cb"], "client_name": "Agent"}
    HTTP.post(oauth_server.url_of("register"), json=metadata).raise_for_status()
    registered = page.get_by_role("region", name="Table of registered clients")
    expect(registered).to_contain_text("Agent")
    registered.get_by_role("button", name="Forget").click()
    expect(registered).to_have_count(0)
    assert not oauth_server.registered_clients


def test_a_frozen_user_is_refused(
    open_console: Open, oauth_server: FakeOAuth, clients: Clients
) -> None:
    refresh_token = oauth_server.issue_tokens(client="web").refresh_token
    page = open_console("users")
    page.get_by_role("button", name="Freeze alice").click()
    alice = page.get_by_role("row", name="alice")
    expect(alice).to_contain_text("frozen")
    assert clients.refresh(refresh_token).status_code == 400
    page.get_by_role("button", name="Unfreeze alice").click()
    expect(alice).to_contain_text("active")
    page.get_by_role("button", name="Revoke all tokens of alice").click()
    expect(page.get_by_role("status").filter(has_text="All tokens are revoked")).to_be_visible()
    assert clients.refresh(refresh_token).status_code == 400
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_user_is_logged_in_in_every_browser(open_console: Open, oauth_server: FakeOAuth) -> None:
    page = open_console("users")
    page.get_by_role("button", name="Log in everywhere as bob").click()
    expect(page.get_by_role("row", name="bob")).to_contain_text("in every browser")
    asked = {"client_id": "web", "response_type": "code"}
    sent = HTTP.get(oauth_server.url_of("authorize"), params=asked)
    assert "code=" in sent.headers["Location"]
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in everywhere as bob")).to_be_visible()
    assert "code=" not in HTTP.get(oauth_server.url_of("authorize"), params=asked).text


def test_what_the_server_refuses_is_said(open_console: Open) -> None:
    page = open_console("users")
    button = page.get_by_role("button", name="Log in everywhere as bob")
    button.evaluate("button => (button.dataset.user = 'nobody')")
    button.click()
    expect(page.get_by_role("alert").first).to_contain_text("unknown user 'nobody'")
    page.get_by_role("button", name="Dismiss this error").click()
    expect(page.get_by_role("alert").first).to_be_empty()


def test_keys_rotate(open_console: Open) -> None:
    page = open_console("keys")
    kids = page.locator("#key-list tbody th")
    before = kids.all_inner_texts()
    page.get_by_role("button", name="Rotate, keep the old key").click()
    expect(kids.first).to_have_text(before[1])
    expect(page.get_by_role("row", name=before[0])).to_contain_text("old, still in the JWK Set")
    page.get_by_role("button", name="Rotate, remove the old key").click()
    expect(page.get_by_text("old, still in the JWK Set")).to_have_count(0)


@pytest.mark.oauth_server(
    dialect="ciam",
    users=[User(sub="u-alice", phone="13612345678")],
    auth_sources=[AuthSource(id="sms", kind="sms")],
)
def test_one_time_passwords_are_in_the_outbox(open_console: Open, oauth_server: FakeOAuth) -> None:
    page = open_console("outbox", permissions=["clipboard-read", "clipboard-write"])
    expect(page.get_by_text("No one-time password was sent yet.")).to_be_visible()
    client = {"client_id": "web", "client_secret": "s3cret"}
    asked = {**client, "auth_source_id": "sms", "phone_number": "13612345678", "usage": "login"}
    HTTP.post(oauth_server.url_of("otp_send"), json=asked).raise_for_status()
    (sent,) = oauth_server.outbox
    page.get_by_role("button", name=f"Copy {sent.otp}").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == sent.otp


def test_violations_name_their_requests(
    open_console: Open, oauth_server: FakeOAuth, clients: Clients
) -> None:
    page = open_console("violations")
    expect(page.get_by_text("No client broke a rule so far")).to_be_visible()
    first = oauth_server.issue_tokens(client="web").refresh_token
    clients.refresh(first)
    clients.refresh(first)
    broken = page.locator("#section-violations li").filter(has_text="never presented a spent token")
    broken.get_by_role("link", name="Request 2").click()
    expect(disclosure(page, 2)).to_be_focused()


def test_settings_go_home_as_a_file(
    open_console: Open, oauth_server: FakeOAuth, tmp_path: Path
) -> None:
    oauth_server.freeze_user("bob")
    page = open_console("settings")
    expect(page.get_by_label("Settings as TOML")).to_contain_text('status = "frozen"')
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name == "fake_oauth.toml"
    assert Settings.from_toml(path).users == oauth_server.settings.users


def test_the_server_is_reset(open_console: Open, oauth_server: FakeOAuth, clients: Clients) -> None:
    page = open_console("settings")
    clients.mobile("unknown")
    page.get_by_role("button", name="Reset the server…").click()
    page.get_by_role("button", name="Cancel").click()
    assert len(oauth_server.journal) == 1
    page.get_by_role("button", name="Reset the server…").click()
    page.get_by_role("button", name="Reset", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="The server is reset")).to_be_visible()
    assert len(oauth_server.journal) == 0


def test_a_reset_by_another_program_empties_the_list(
    console: Page, oauth_server: FakeOAuth, clients: Clients
) -> None:
    for _ in range(12):
        clients.mobile("unknown")
    expect(row(console, 12)).to_be_visible()
    oauth_server.reset()
    clients.userinfo("unknown")
    expect(console.locator(".exchange .number")).to_have_text(["1"])
    expect(row(console, 1)).to_contain_text("/userinfo")


# The page itself


def test_only_what_is_shown_is_fetched(open_console: Open, clients: Clients) -> None:
    page = open_console("users")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    with page.expect_response("**/users"):
        clients.mobile("unknown")
    page.wait_for_load_state("networkidle")
    assert set(asked) <= {"clock", "users", "login"}


def test_a_hidden_page_fetches_nothing(console: Page, clients: Clients) -> None:
    clients.mobile("unknown")
    expect(row(console, 1)).to_be_visible()
    with console.expect_event("requestfailed", lambda request: request.url.endswith("/events")):
        console.evaluate(HIDE, arg=True)
    asked: list[str] = []
    console.on("request", lambda request: asked.append(request.url))
    clients.mobile("unknown")
    console.evaluate("location.hash = 'users'")
    console.wait_for_timeout(700)  # longer than any change waits to be reported
    assert [url for url in asked if not url.endswith(".svg")] == []  # Chromium reads the icon.
    console.evaluate(HIDE, arg=False)
    expect(console.get_by_role("row", name="bob")).to_be_visible()
    clients.mobile("unknown")
    go(console, "Exchanges")
    expect(row(console, 3)).to_be_visible()


def test_a_server_that_goes_away_and_comes_back_is_shown(
    open_console: Open, oauth_settings: Settings
) -> None:
    with FakeOAuth(oauth_settings) as first:
        page = open_console(url=first.url)
        Clients(first).mobile("unknown")
        expect(row(page, 1)).to_be_visible()
        port = int(first.url.rpartition(":")[2])
    expect(page.locator("#live")).to_have_text("reconnecting")
    expect(row(page, 1)).to_be_visible()
    with FakeOAuth(oauth_settings.changed(seed=8), port=port) as second:
        expect(page.locator("#live")).to_have_text("live")
        expect(page.get_by_text("seed\u00a08")).to_be_visible()
        expect(row(page, 1)).to_have_count(0)
        Clients(second).userinfo("unknown")
        expect(row(page, 1)).to_contain_text("/userinfo")


def test_a_token_guards_the_page_and_its_data(open_console: Open, oauth_settings: Settings) -> None:
    with FakeOAuth(oauth_settings, host="0.0.0.0") as server:  # noqa: S104
        url = server.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert HTTP.get(f"{url}/_fake/", headers={"Accept": "text/html"}).status_code == 401
        credentials = {"username": "anyone", "password": server.control_token}
        page = open_console(url=url, http_credentials=credentials)
        HTTP.get(f"{url}/nowhere")
        expect(row(page, 1)).to_contain_text("/nowhere")


@pytest.mark.oauth_server(
    users=[User(sub=HOSTILE, username=f"u{HOSTILE}", email=HOSTILE)],
    clients=[
        Client(
            client_id=HOSTILE,
            client_secret=HOSTILE,
            name=HOSTILE,
            redirect_uris=[f"http://localhost/{HOSTILE.replace(' ', '')}"],
        ),
        Client(client_id="mobile"),
    ],
)
def test_whatever_it_shows_is_text(open_console: Open, oauth_server: FakeOAuth) -> None:
    spent = oauth_server.issue_tokens(client=HOSTILE).refresh_token
    form = {
        "grant_type": "refresh_token",
        "refresh_token": spent,
        "client_id": HOSTILE,
        "client_secret": HOSTILE,
        HOSTILE: HOSTILE,
    }
    headers = {"User-Agent": HOSTILE, "X-Name": HOSTILE}
    oauth_server.script(faults.Pass(), faults.Refuse(HOSTILE, HOSTILE, headers={"X-H": HOSTILE}))
    for _ in range(3):
        HTTP.post(oauth_server.token_url, data=form, headers=headers)
    HTTP.get(f"{oauth_server.url}/{HOSTILE}", params={HOSTILE: HOSTILE}, headers=headers)
    page = open_console("exchanges/2")
    expect(row(page, 2)).to_contain_text(f"400 {HOSTILE}")
    for number in (1, 3, 4):
        disclosure(page, number).click()
        expect(request_of(page, number)).to_contain_text(HOSTILE)
    for section in SECTIONS:
        go(page, section.title())
        if section not in ("keys", "outbox"):
            expect(page.locator(f"#section-{section}")).to_contain_text(HOSTILE)
        expect(page.locator("main img, main script")).to_have_count(0)


def test_the_keyboard_is_enough(console: Page, clients: Clients) -> None:
    clients.mobile("unknown")
    expect(row(console, 1)).to_be_visible()
    console.keyboard.press("Tab")
    skip = console.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    console.keyboard.press("Enter")
    expect(console.get_by_role("main")).to_be_focused()
    reached = []
    for _ in range(6):
        console.keyboard.press("Tab")
        focused = console.locator(":focus")
        reached.append(
            focused.get_attribute("aria-label") or focused.evaluate("e => e.value || e.id")
        )
        shown = "e => getComputedStyle(e.matches('[type=radio]') ? e.nextElementSibling : e)"
        assert focused.evaluate(f"e => ({shown})(e).outlineStyle") == "solid"
    assert reached == ["Filter by text", "Client", "all", "hidden", "pause", "Exchange 1"]
    console.keyboard.press("Enter")
    expect(disclosure(console, 1)).to_have_attribute("aria-expanded", "true")
    console.keyboard.press("Space")
    expect(disclosure(console, 1)).to_have_attribute("aria-expanded", "false")


@pytest.mark.parametrize("section", ["clients", "users"])
def test_a_row_of_a_table_is_a_card_on_a_phone(open_console: Open, section: str) -> None:
    page = open_console(section, size=PHONE)
    table = page.get_by_role("table", name=section)
    expect(table.get_by_role("row")).to_have_count(3)  # For a screen reader it is a table.
    assert page.evaluate(OUT_OF_SIGHT) == []
    place = page.get_by_role("region", name=f"Table of {section}")
    assert place.evaluate("place => place.scrollWidth <= place.clientWidth")
    first, second = table.locator("tbody").get_by_role("row").all()
    assert height_of(second) > height_of(first.get_by_role("cell").last)


@pytest.mark.oauth_server(refresh_policy="rfc9700")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_section_is_accessible_and_fits(
    open_console: Open, oauth_server: FakeOAuth, scheme: Any
) -> None:
    tell_a_story(oauth_server)
    page = open_console(color_scheme=scheme)
    page.evaluate(AXE.axe_script)
    disclosure(page, 9).click()
    expect(request_of(page, 9)).to_be_visible()
    for section in SECTIONS:
        go(page, section.title())
        if section == "faults":
            page.get_by_role("button", name="Add to the script").click()
            expect(page.locator("[aria-invalid=true]")).to_be_visible()
        for size in (WIDE, PHONE):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            assert page.evaluate("document.documentElement.scrollWidth") == size[0]
            if size == PHONE:
                assert page.evaluate(OUT_OF_SIGHT) == []
            # The structure is the same in both schemes, and the colors are at both widths.
            everything = (scheme, size) in (("light", WIDE), ("dark", PHONE))
            assert page.evaluate(FLAWS, None if everything else ["color-contrast"]) == []


# Pictures


def tell_a_story(server: FakeOAuth) -> None:
    """Let two clients log in, refresh, meet a 503, lose a response, and replay a token."""
    clients = Clients(server)
    callback = "http://localhost:3000/callback"
    for endpoint in ("discovery", "jwks"):
        HTTP.get(server.url_of(endpoint))
    code = server.issue_code("alice", "web", redirect_uri=callback)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback}
    first = clients.web(**form).json()
    server.clock.advance(12)
    clients.userinfo(first["access_token"])
    phone = server.issue_tokens("bob", "mobile")
    server.clock.advance(3540)
    second = clients.refresh(first["refresh_token"]).json()
    server.script(
        faults.Status(503, retry_after_seconds=2),
        faults.Rule(faults.HangUp(after_commit=True), client_id="mobile", times=2),
    )
    server.clock.advance(3480)
    clients.refresh(second["refresh_token"])
    server.clock.advance(3)
    clients.refresh(second["refresh_token"])
    server.clock.advance(30)
    with pytest.raises(httpx.RemoteProtocolError):
        clients.mobile(phone.refresh_token)
    clients.refresh(first["refresh_token"])
    server.clock.advance(45)
    clients.userinfo(server.issue_tokens("alice", "web").access_token)


@pytest.mark.skipif("FAKE_OAUTH_PICTURES" not in os.environ, reason="FAKE_OAUTH_PICTURES not set")
def test_its_pictures_are_taken_for_the_docs(open_console: Open, oauth_settings: Settings) -> None:
    folder = Path(os.environ["FAKE_OAUTH_PICTURES"])
    settings = oauth_settings.changed(refresh_policy="rfc9700")
    with FakeOAuth(settings, port=8080) as server:
        tell_a_story(server)

        def shown(place: str, **options: Any) -> Page:
            return open_console(place, url=server.url, device_scale_factor=2, **options)

        for scheme in ("light", "dark"):
            page = shown("exchanges/9", color_scheme=scheme, size=(1280, 900))
            expect(request_of(page, 9)).to_be_visible()
            page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
            take(page, folder / f"console-{scheme}.png")
        take(shown("exchanges", size=(390, 700)), folder / "console-phone.png")
        take(shown("tokens", size=(1280, 980)), folder / "token-tree.png")
        page = shown("faults", size=(1280, 990))
        page.get_by_label("code required").fill("42")
        page.get_by_role("button", name="Add to the script").click()
        expect(page.locator("[aria-invalid=true]")).to_be_visible()
        page.evaluate("scrollTo(0, 0)")
        take(page, folder / "fault-form.png")


def take(page: Page, path: Path, part: Locator | None = None) -> None:
    """Take a picture, with few colors, so that it is small."""
    pillow = pytest.importorskip("PIL.Image")  # Nothing else needs it.
    (part or page).screenshot(path=path)
    with pillow.open(path) as image:
        few = image.convert("RGB").quantize(80, kmeans=1, dither=pillow.Dither.NONE)
    few.save(path, optimize=True)
