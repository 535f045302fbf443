"""A real browser at the login page: Debian's chromium, driven by Playwright.

The picture in the docs is made here too:

    FAKE_OAUTH_SCREENSHOT=docs/pictures/login-page.png \
        python -m pytest tests/test_browser.py -k picture
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_httpserver import HTTPServer

from fake_oauth import Client, FakeOAuth, Settings, User
from tests.support.browser import browser, needs_browser, new_context, page, playwright
from tests.support.client import claims

__all__ = ["browser", "new_context", "page", "playwright"]

SCRIPT = "<script>alert(1)</script>"

pytestmark = needs_browser


@pytest.fixture
def application(httpserver: HTTPServer) -> str:
    """Where the application is that people log in at: a page that they really are sent back to."""
    page = '<title>back</title><link rel="icon" href="data:,">'
    for path in ("/callback", "/out"):
        httpserver.expect_request(path).respond_with_data(page, content_type="text/html")
    return httpserver.url_for("/").rstrip("/")


@pytest.fixture
def oauth_settings(application: str) -> Settings:
    places: dict[str, Any] = {
        "client_secret": "s3cret",
        "redirect_uris": [f"{application}/callback"],
        "logout_redirect_uris": [f"{application}/out"],
    }
    return Settings(
        users=[
            User(sub="u-alice", username="alice", password="wonderland"),
            User(sub="u-bob", username="bob", password="builder"),
        ],
        clients=[
            Client(client_id="web", scopes=["openid", "email"], **places),
            Client(client_id=SCRIPT, **places),
        ],
        refresh_tokens=[],
    )


def authorize_url(server: FakeOAuth, application: str, **changes: str) -> str:
    asked = {
        "response_type": "code",
        "client_id": "web",
        "redirect_uri": f"{application}/callback",
        "scope": "openid email",
        "state": "S",
        **changes,
    }
    return f"{server.url}/oauth2/authorize?{urlencode(asked)}"


@pytest.fixture
def asked(oauth_server: FakeOAuth, application: str) -> str:
    """The URL that the application sends people to."""
    return authorize_url(oauth_server, application)


def told(page: Page, application: str) -> dict[str, str]:
    """What the application is told once the browser is back."""
    page.wait_for_url(lambda url: url.startswith(f"{application}/callback?"))
    expect(page).to_have_title("back")
    return dict(parse_qsl(urlsplit(page.url).query))


def pick(page: Page, user: str) -> None:
    page.get_by_role("button", name=user).click()


def type_in(page: Page, username: str, password: str) -> None:
    page.get_by_label("Username, phone or email").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_who_is_picked_is_sent_back_with_a_code_that_buys_tokens(
    page: Page, oauth_server: FakeOAuth, application: str, asked: str
) -> None:
    page.goto(asked)
    pick(page, "bob")
    answer = told(page, application)
    assert list(answer) == ["code", "state"]
    assert answer["state"] == "S"
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": f"{application}/callback",
    }
    reply = httpx.post(oauth_server.token_url, data=form, auth=("web", "s3cret")).json()
    assert claims(reply["id_token"])["sub"] == "u-bob"


def test_one_can_type_name_and_password(page: Page, application: str, asked: str) -> None:
    page.goto(asked)
    type_in(page, "alice", "wonderland")
    assert "code" in told(page, application)


def test_a_wrong_password_is_told_and_can_be_typed_again(
    page: Page, application: str, asked: str
) -> None:
    page.goto(asked)
    type_in(page, "alice", "looking-glass")
    expect(page.get_by_role("alert")).to_have_text("Wrong username or password")
    type_in(page, "alice", "wonderland")
    assert "code" in told(page, application)


def test_one_can_say_no(page: Page, application: str, asked: str) -> None:
    page.goto(asked)
    page.get_by_role("button", name="Deny").click()
    answer = told(page, application)
    assert (answer["error"], answer["state"]) == ("access_denied", "S")
    assert "code" not in answer


def test_who_is_logged_in_is_sent_back_without_a_page(
    page: Page, oauth_server: FakeOAuth, application: str, asked: str
) -> None:
    page.goto(asked)
    pick(page, "alice")
    first = told(page, application)
    page.goto(authorize_url(oauth_server, application, state="again"))
    second = told(page, application)
    assert second["state"] == "again"
    assert second["code"] != first["code"]
    assert oauth_server.journal[-1].reason == "alice is logged in"


def test_who_has_logged_out_is_shown_the_page_again(
    page: Page, oauth_server: FakeOAuth, application: str, asked: str
) -> None:
    page.goto(asked)
    pick(page, "alice")
    told(page, application)
    page.goto(f"{oauth_server.url}/logout?client_id=web")
    assert page.url == f"{application}/out"
    page.goto(asked)
    pick(page, "bob")
    assert "code" in told(page, application)


def test_it_works_without_javascript(
    new_context: Callable[..., BrowserContext], application: str, asked: str
) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto(asked)
    type_in(page, "alice", "looking-glass")
    expect(page.get_by_role("alert")).to_be_visible()
    pick(page, "alice")
    assert "code" in told(page, application)


def test_it_works_with_the_keyboard_alone(page: Page, application: str, asked: str) -> None:
    page.goto(asked)
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        reached.append(focused.get_attribute("id") or focused.inner_text().split()[0])
        assert focused.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    assert reached == ["alice", "bob", "username", "password", "Log", "Deny"]
    page.get_by_label("Username").focus()
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type("wonderland")
    page.keyboard.press("Enter")
    assert "code" in told(page, application)


def test_a_button_can_be_pressed_with_the_keyboard(
    page: Page, application: str, asked: str
) -> None:
    page.goto(asked)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert "code" in told(page, application)


def test_a_screen_reader_is_told_what_everything_is(page: Page, asked: str) -> None:
    page.goto(asked)
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title() == "Log in · fake_oauth"
    assert page.get_by_role("heading", level=1).all_inner_texts() == ["Log in"]
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("note")).to_contain_text("a fake for tests")
    expect(page.get_by_role("group", name="Pick a user").get_by_role("button")).to_have_count(2)
    inputs = page.locator("input:not([type=hidden])")
    assert inputs.evaluate_all("all => all.map(input => input.labels.length)") == [1, 1]


# How many times as light as the darker of the two: WCAG 2.2, 1.4.3. Colours are read by painting.
CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  const light = colour => {
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const behind = element => {
    const colour = getComputedStyle(element).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" ? behind(element.parentElement) : colour;
  };
  const isText = node => node.nodeType === Node.TEXT_NODE && node.data.trim();
  return [...document.querySelectorAll("main, main *")]
    .filter(element => [...element.childNodes].some(isText))
    .map(element => {
      const pair = [light(getComputedStyle(element).color), light(behind(element))];
      return [element.innerText, Math.max(...pair) / Math.min(...pair)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_in_dark(page: Page, asked: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(asked)
    type_in(page, "alice", "looking-glass")
    expect(page.get_by_role("alert")).to_be_visible()
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 10
    assert [text for text, contrast in contrasts if contrast < 4.5] == []


@pytest.mark.oauth_server(users=[User(sub="u" * 200), User(sub="s", username="long " * 40)])
def test_it_fits_on_a_small_screen(page: Page, asked: str) -> None:
    page.set_viewport_size({"width": 320, "height": 568})
    page.goto(asked)
    assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.oauth_server(users=[User(sub=f"u{SCRIPT}", username=SCRIPT)])
def test_whatever_it_shows_is_text(page: Page, oauth_server: FakeOAuth, application: str) -> None:
    dialogs: list[str] = []

    def seen(dialog: Any) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", seen)
    page.goto(authorize_url(oauth_server, application, client_id=SCRIPT, scope="openid"))
    expect(page.locator("code").first).to_have_text(SCRIPT)
    expect(page.get_by_role("group").get_by_role("button")).to_contain_text(SCRIPT)
    type_in(page, SCRIPT, SCRIPT)
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("script")).to_have_count(0)
    pick(page, SCRIPT)
    assert "code" in told(page, application)
    assert dialogs == []


def test_another_browser_cannot_go_on_with_a_login(
    page: Page, new_context: Callable[..., BrowserContext], application: str, asked: str
) -> None:
    page.goto(asked)
    other = new_context().new_page()
    other.goto(asked)
    refused = other.goto(page.url)
    assert refused is not None
    assert refused.status == 400
    expect(other.get_by_role("heading", level=1)).to_have_text("This login is over")
    expect(other.get_by_role("button")).to_have_count(0)
    pick(page, "alice")
    assert "code" in told(page, application)


def test_going_back_after_a_login_does_not_log_in_again(
    page: Page, application: str, asked: str
) -> None:
    page.goto(asked)
    shown = page.url
    pick(page, "alice")
    told(page, application)
    page.goto(shown)
    expect(page.get_by_role("heading", level=1)).to_have_text("This login is over")


@pytest.mark.skipif(
    "FAKE_OAUTH_SCREENSHOT" not in os.environ, reason="FAKE_OAUTH_SCREENSHOT not set"
)
def test_its_picture_is_taken_for_the_docs(
    new_context: Callable[..., BrowserContext], asked: str
) -> None:
    context = new_context(viewport={"width": 600, "height": 760}, color_scheme="light")
    page = context.new_page()
    page.goto(asked)
    page.screenshot(path=os.environ["FAKE_OAUTH_SCREENSHOT"])
