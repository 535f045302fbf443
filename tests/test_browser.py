"""A real browser at the pages of the server: Debian's chromium, driven by Playwright.

The pictures in the docs are made here too:

    FAKE_OAUTH_SCREENSHOTS=docs/pictures python -m pytest tests/test_browser.py -k picture
"""

from __future__ import annotations

import os
from collections.abc import Callable
from inspect import getsource
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_httpserver import HTTPServer
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from fake_oauth import Client, FakeOAuth, Settings, User
from tests import my_app
from tests.support.browser import browser, needs_browser, new_context, page, playwright
from tests.support.client import claims
from tests.test_pytest_plugin import ALONE

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
            Client(client_id="web", name="Photo Album", scopes=["openid", "email"], **places),
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


def opened(page: Page) -> list[str]:
    """Return the dialogs that scripts will open."""
    dialogs: list[str] = []

    def seen(dialog: Any) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", seen)
    return dialogs


@pytest.mark.oauth_server(users=[User(sub=f"u{SCRIPT}", username=SCRIPT)])
def test_whatever_it_shows_is_text(page: Page, oauth_server: FakeOAuth, application: str) -> None:
    dialogs = opened(page)
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


def test_a_wrong_password_keeps_the_name(page: Page, application: str, asked: str) -> None:
    page.goto(asked)
    type_in(page, "alice", "looking-glass")
    expect(page.get_by_label("Username, phone or email")).to_have_value("alice")
    password = page.get_by_label("Password")
    expect(password).to_have_value("")
    expect(password).to_have_accessible_description("Wrong username or password")
    password.fill("wonderland")
    page.keyboard.press("Enter")
    assert "code" in told(page, application)


@pytest.mark.oauth_server(users=[User(sub="a"), User(sub="b", status="frozen")])
def test_a_frozen_user_cannot_be_picked(page: Page, asked: str) -> None:
    page.goto(asked)
    expect(page.get_by_role("button", name="b frozen")).to_be_disabled()
    expect(page.get_by_role("button", name="a", exact=True)).to_be_enabled()


@pytest.mark.oauth_server(users=[User(sub=f"u-{n}", username=f"user {n}") for n in range(60)])
def test_a_user_is_found_in_a_long_list_with_the_keyboard_alone(
    new_context: Callable[..., BrowserContext], application: str, asked: str
) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto(asked)
    page.keyboard.press("Tab")
    page.keyboard.type("User 42")
    page.keyboard.press("Enter")
    expect(page.get_by_role("group").get_by_role("button")).to_have_count(1)
    expect(page.get_by_label("Find a user")).to_have_value("User 42")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert "code" in told(page, application)


def wrong(server: FakeOAuth, application: str) -> dict[str, str]:
    """Return the URL of each page that explains something, by its heading."""
    return {
        "A fake OAuth 2.0 / OpenID Connect server": f"{server.url}/",
        "The redirect URI is not registered": authorize_url(
            server, application, redirect_uri=f"{application}/callback/"
        ),
        "The client wep is unknown": authorize_url(server, application, client_id="wep"),
        "There is nothing at /authorize": f"{server.url}/authorize",
        "The method GET is not allowed here": server.token_url,
        "This login is over": f"{server.url_of('login')}?p_state=x",
    }


CHINESE = [
    "模拟 OAuth 2.0 / OpenID Connect 服务器",
    "回调地址没有登记",
    "应用 wep 不存在",
    "/authorize 不存在",
    "此地址不接受 GET 请求",
    "本次登录已失效",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_every_page_fits_a_phone_and_stands_out(
    new_context: Callable[..., BrowserContext],
    oauth_server: FakeOAuth,
    application: str,
    scheme: Any,
    locale: str,
) -> None:
    size: Any = {"width": 390, "height": 844}
    page = new_context(viewport=size, color_scheme=scheme, locale=locale).new_page()
    titles = wrong(oauth_server, application)
    for english, chinese in zip(titles, CHINESE, strict=True):
        page.goto(titles[english])
        is_chinese = locale == "zh-CN"
        title = chinese if is_chinese else english
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        assert page.locator("html").get_attribute("lang") == ("zh-CN" if is_chinese else "en")
        assert page.evaluate("document.documentElement.scrollWidth") == 390, title
        contrasts = page.evaluate(CONTRASTS)
        assert [text for text, contrast in contrasts if contrast < 4.5] == [], title


def test_the_login_page_is_in_chinese(
    new_context: Callable[..., BrowserContext], application: str, asked: str
) -> None:
    page = new_context(locale="zh-CN").new_page()
    page.goto(asked)
    assert page.title() == "登录 · fake_oauth"
    expect(page.get_by_role("group", name="选择用户").get_by_role("button")).to_have_count(2)
    page.get_by_label("用户名").fill("alice")
    page.get_by_label("密码").fill("looking-glass")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("alert")).to_have_text("用户名或密码错误")
    page.get_by_role("button", name="拒绝").click()
    assert told(page, application)["error"] == "access_denied"


def test_from_home_one_logs_in_with_the_keyboard_alone(
    page: Page, oauth_server: FakeOAuth, application: str
) -> None:
    page.goto(oauth_server.url)
    link = page.locator("pre a")
    for _ in range(10):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    assert link.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    pick(page, "bob")
    assert told(page, application)["state"] == "example"


def test_what_a_program_gets_is_opened_with_the_keyboard(
    page: Page, oauth_server: FakeOAuth, application: str
) -> None:
    page.goto(authorize_url(oauth_server, application, client_id="wep"))
    body = page.locator("pre")
    expect(body).to_be_hidden()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(body).to_be_visible()
    expect(body).to_contain_text('"error" : "invalid_request"')
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("What this server is")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Where to go")).to_be_visible()


def test_a_script_in_a_browser_is_a_program(
    page: Page, oauth_server: FakeOAuth, application: str
) -> None:
    url = authorize_url(oauth_server, application, client_id="wep")
    page.goto(f"{application}/callback")
    page.evaluate("url => fetch(url, {mode: 'no-cors'})", url)
    page.goto(url)
    script, person = oauth_server.journal
    assert script.headers["Accept"] == "*/*"
    assert script.response_headers["Content-Type"] == "application/json;charset=UTF-8"
    assert script.error == person.error == "invalid_request"
    assert person.headers["Accept"].startswith("text/html,")
    assert person.response_headers["Content-Type"] == "text/html;charset=UTF-8"


def test_whatever_an_error_page_shows_is_text(
    page: Page, oauth_server: FakeOAuth, application: str
) -> None:
    dialogs = opened(page)
    for url in [
        authorize_url(oauth_server, application, client_id=f"x{SCRIPT}"),
        authorize_url(oauth_server, application, client_id=SCRIPT, redirect_uri=SCRIPT),
        authorize_url(oauth_server, application, redirect_uri=f"javascript:{SCRIPT}"),
        f"{oauth_server.url}/{SCRIPT}",
        f"{oauth_server.url}//evil.example/%5Cevil.example",
    ]:
        response = page.goto(url)
        assert response is not None
        assert response.status in (400, 404)
        expect(page.locator("script")).to_have_count(0)
        for link in page.locator("a").all():
            assert link.evaluate("link => link.origin") == oauth_server.url
    assert dialogs == []


pictures = pytest.mark.skipif(
    "FAKE_OAUTH_SCREENSHOTS" not in os.environ, reason="FAKE_OAUTH_SCREENSHOTS not set"
)


def take(new_context: Callable[..., BrowserContext], url: str, name: str, **viewport: Any) -> None:
    context = new_context(viewport=viewport, color_scheme="light")
    page = context.new_page()
    page.goto(url)
    page.screenshot(path=f"{os.environ['FAKE_OAUTH_SCREENSHOTS']}/{name}.png")


@pictures
@pytest.mark.oauth_server(
    users=[
        User(sub="u-alice", username="alice"),
        User(sub="u-bob", username="bob"),
        User(sub="u-carol", username="carol", status="frozen"),
    ]
)
def test_its_picture_is_taken_for_the_docs(
    new_context: Callable[..., BrowserContext], asked: str
) -> None:
    take(new_context, asked, "login-page", width=600, height=910)


@pictures
@pytest.mark.oauth_server(issuer="http://localhost:8080", control=True)
def test_the_picture_of_an_error_is_taken_for_the_docs(
    new_context: Callable[..., BrowserContext], oauth_server: FakeOAuth
) -> None:
    registered = "http://localhost:3000/callback"
    client = Client(client_id="spa", redirect_uris=[registered])
    oauth_server.replace_clients([client])
    sent = {"client_id": "spa", "redirect_uri": "http://localhost:5173/callback/"}
    url = f"{oauth_server.url}/oauth2/authorize?{urlencode(sent)}"
    take(new_context, url, "authorization-error", width=800, height=800)


RESTORED = """
import pytest
from my_app import Session


@pytest.mark.oauth_server(refresh_policy="rfc9700", freeze_time=True, start_time=1636449231)
def test_a_restored_session_is_still_logged_in(oauth_server):
    stored = oauth_server.issue_tokens().refresh_token
    Session(oauth_server.token_url, stored).refresh()
    oauth_server.clock.advance(300)
    Session(oauth_server.token_url, stored).refresh()
"""
TERMINAL = (
    "<pre style='margin: 0; padding: 20px; width: max-content; background: #0c0c0c; "
    "color: #d9d9d9; font: 14px/1.45 monospace'>{code}</pre>"
)


@pictures
def test_the_picture_of_a_failure_report_is_taken_for_the_docs(
    page: Page, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    pytester.makepyfile(test_session=RESTORED, my_app=getsource(my_app))
    report = pytester.runpytest_subprocess("-q", "--tb=short", "--color=yes", *ALONE)
    terminal = Console(width=120, record=True, file=StringIO())
    terminal.print(Text.from_ansi("\n".join(report.outlines)))
    page.set_viewport_size({"width": 1100, "height": 700})
    page.set_content(terminal.export_html(theme=MONOKAI, inline_styles=True, code_format=TERMINAL))
    # pytester has its own folder.
    folder = Path(__file__).parents[1] / os.environ["FAKE_OAUTH_SCREENSHOTS"]
    page.locator("pre").first.screenshot(path=folder / "failure-report.png")
