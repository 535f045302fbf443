"""From an authorization request to a code, by way of the login page; and out again."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, FakeOAuthError, Settings, User
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.sessions import Login, Sessions
from tests.support.client import claims

OF_PAGES = ("languages", "explanation", "differences", "home")
CALLBACK = "https://example.com/callback"
ALICE = User(sub="u-alice", username="alice", password="pw", email="alice@example.com")
WEB = Client(
    client_id="web",
    client_secret="s3cret",
    scopes=["openid", "email"],
    redirect_uris=[CALLBACK],
    logout_redirect_uris=["https://example.com/out"],
)
APP = Client(client_id="app", redirect_uris=["myapp://callback?a=b"])
SETTINGS = Settings(
    users=[ALICE, User(sub="bob"), User(sub="eve", password="pw", status="locked")],
    clients=[WEB, APP],
    refresh_tokens=[],
    issuer="https://issuer.example",
)
ASKED: Mapping[str, str] = {
    "response_type": "code",
    "client_id": "web",
    "redirect_uri": CALLBACK,
    "scope": "openid",
    "state": "S",
}


@pytest.fixture
def fake() -> FakeOAuth:
    return FakeOAuth(SETTINGS)


@pytest.fixture
def browser(fake: FakeOAuth) -> Browser:
    return Browser(fake)


def authorize(browser: Browser, **changes: str | None) -> TestResponse:
    asked = {**ASKED, **changes}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return browser.get(f"/oauth2/authorize?{query}", base_url="https://issuer.example")


def answer(response: TestResponse) -> dict[str, str]:
    """What the client is told by way of the browser."""
    assert response.status_code == 302, response.text
    location = response.headers["Location"]
    assert location.startswith(CALLBACK)
    return dict(parse_qsl(urlsplit(location).query))


def login_page(browser: Browser, **changes: str | None) -> str:
    """TokenRequest to be authorized, follow to the page, and give its p_state."""
    response = authorize(browser, **changes)
    location = response.headers["Location"]
    assert location.startswith("https://issuer.example/portal/login?p_state=")
    p_state = parse_qs(urlsplit(location).query)["p_state"][0]
    assert shown(browser, p_state).status_code == 200
    return p_state


def shown(browser: Browser, p_state: str) -> TestResponse:
    return browser.get(f"/portal/login?p_state={p_state}", base_url="https://issuer.example")


def choose(browser: Browser, p_state: str, **form: str) -> TestResponse:
    return browser.post(
        "/portal/login", data={"p_state": p_state, **form}, base_url="https://issuer.example"
    )


def test_whoever_is_picked_is_sent_back_with_a_code_that_buys_tokens(browser: Browser) -> None:
    told = answer(choose(browser, login_page(browser, nonce="N"), sub="u-alice"))
    assert list(told) == ["code", "state"]
    assert told["state"] == "S"
    form = {
        "grant_type": "authorization_code",
        "code": told["code"],
        "redirect_uri": CALLBACK,
        "client_id": "web",
        "client_secret": "s3cret",
    }
    reply = browser.post("/oauth2/token", data=form).json
    assert reply is not None
    identity = claims(reply["id_token"])
    assert (identity["sub"], identity["nonce"]) == ("u-alice", "N")


@pytest.mark.parametrize("username", ["alice", "alice@example.com"])
def test_one_can_log_in_by_name_and_password(browser: Browser, username: str) -> None:
    response = choose(browser, login_page(browser), username=username, password="pw")
    assert "code" in answer(response)


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ({"username": "alice", "password": "x"}, "Wrong username or password"),
        ({"username": "eve", "password": "pw"}, "Abnormal user status"),
        ({"sub": "eve"}, "Abnormal user status"),
        ({"sub": "nobody"}, "No such user"),
        ({}, "Wrong username or password"),
    ],
)
def test_a_login_that_fails_is_told_and_can_be_tried_again(
    browser: Browser, form: dict[str, str], shown: str
) -> None:
    p_state = login_page(browser)
    response = choose(browser, p_state, **form)
    assert response.status_code == 400
    assert f'role="alert">{shown}<' in response.text
    assert "code" in answer(choose(browser, p_state, sub="bob"))


def test_one_can_say_no(browser: Browser) -> None:
    p_state = login_page(browser)
    told = answer(choose(browser, p_state, deny="yes"))
    assert list(told) == ["error", "error_description", "error_uri", "state"]
    assert (told["error"], told["state"]) == ("access_denied", "S")
    assert choose(browser, p_state, sub="bob").status_code == 400


def test_whoever_is_logged_in_is_not_asked_again(browser: Browser) -> None:
    choose(browser, login_page(browser), sub="u-alice")
    assert "code" in answer(authorize(browser, state="second"))


def test_a_login_ends_with_its_session(fake: FakeOAuth, browser: Browser) -> None:
    choose(browser, login_page(browser), sub="u-alice")
    fake.clock.advance(3601)
    assert "/portal/login?" in authorize(browser).headers["Location"]


def test_a_login_may_take_only_so_long(fake: FakeOAuth, browser: Browser) -> None:
    p_state = login_page(browser)
    fake.clock.advance(3601)
    assert choose(browser, p_state, sub="bob").status_code == 400


def test_another_browser_cannot_use_a_p_state(fake: FakeOAuth, browser: Browser) -> None:
    p_state = login_page(browser)
    other = Browser(fake)
    login_page(other)
    for thief in (other, Browser(fake)):
        response = choose(thief, p_state, sub="u-alice")
        assert response.status_code == 400
        assert "This login is over" in response.text
        assert shown(thief, p_state).status_code == 400
    assert "code" in answer(choose(browser, p_state, sub="bob"))


def test_a_p_state_cannot_be_replayed(browser: Browser) -> None:
    p_state = login_page(browser)
    choose(browser, p_state, sub="bob")
    assert choose(browser, p_state, sub="bob").status_code == 400
    assert choose(browser, "", sub="bob").status_code == 400
    assert browser.get("/portal/login", base_url="https://issuer.example").status_code == 400


def test_a_session_from_before_the_login_is_worth_nothing_after_it(
    fake: FakeOAuth, browser: Browser
) -> None:
    first = authorize(browser)
    before = cookie_of(first)
    p_state = parse_qs(urlsplit(first.headers["Location"]).query)["p_state"][0]
    after = cookie_of(choose(browser, p_state, sub="u-alice"))
    assert before != after
    fixed = Browser(fake)
    name, _, value = before.partition("=")
    fixed.set_cookie(name, value, domain="issuer.example")
    assert "/portal/login?" in authorize(fixed).headers["Location"]


def cookie_of(response: TestResponse) -> str:
    header = response.headers["Set-Cookie"]
    assert header.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
    return header.partition(";")[0]


def test_over_http_the_cookie_is_not_for_https_alone() -> None:
    browser = Browser(FakeOAuth(SETTINGS.changed(issuer=None)))
    response = browser.get(f"/oauth2/authorize?{urlencode(ASKED)}")
    assert response.headers["Set-Cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax")
    assert response.headers["Location"].startswith("http://localhost/portal/login?p_state=")


def test_two_issuers_have_two_cookies() -> None:
    names = {
        Browser(FakeOAuth(SETTINGS.changed(issuer=issuer)))
        .get(f"/oauth2/authorize?{urlencode(ASKED)}")
        .headers["Set-Cookie"]
        .partition("=")[0]
        for issuer in ("http://localhost:1", "http://localhost:2")
    }
    assert len(names) == 2


def test_for_tests_without_a_browser_a_user_is_logged_in_everywhere(fake: FakeOAuth) -> None:
    fake.login("alice")
    assert "code" in answer(authorize(Browser(fake)))
    fake.logout()
    assert "/portal/login?" in authorize(Browser(fake)).headers["Location"]
    assert fake.journal[-1].reason == (
        "no user is logged in: the login page follows, which login() or auto_login skips"
    )


def test_a_browser_can_log_in_when_the_user_of_everywhere_is_gone(fake: FakeOAuth) -> None:
    fake.login("bob")
    fake.freeze_user("bob")
    browser = Browser(fake)
    assert "code" in answer(choose(browser, login_page(browser), sub="u-alice"))
    assert "code" in answer(authorize(browser))


def test_the_settings_may_say_so_too() -> None:
    fake = FakeOAuth(SETTINGS.changed(auto_login="bob"))
    assert "code" in answer(authorize(Browser(fake)))
    assert fake.journal[-1].reason == "bob is logged in"


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("eve", "user 'eve' is locked; call unfreeze_user first"),
        ("alicia", "unknown user 'alicia'"),
    ],
)
def test_only_those_can_be_logged_in_who_may(fake: FakeOAuth, user: str, message: str) -> None:
    with pytest.raises(FakeOAuthError, match=message):
        fake.login(user)


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"client_id": None}, "client_id"),
        ({"client_id": "nobody"}, "client_id"),
        ({"redirect_uri": f"{CALLBACK}/"}, "redirect_uri"),
        ({"redirect_uri": "https://evil.example"}, "redirect_uri"),
        ({"redirect_uri": None}, "redirect_uri"),
        ({"response_type": None}, "response_type"),
        ({"response_type": "token"}, "response_type"),
    ],
)
def test_what_is_wrong_with_client_or_redirect_uri_is_never_redirected(
    fake: FakeOAuth, browser: Browser, changes: dict[str, str | None], parameter: str
) -> None:
    fake.login("alice")
    response = authorize(browser, **changes)
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert response.json is not None
    assert response.json["error_description"] == f"OAuth 2.0 Parameter: {parameter}"
    assert fake.journal[-1].reason


def test_a_disabled_client_is_not_redirected_to() -> None:
    disabled = Client(client_id="web", redirect_uris=[CALLBACK], enabled=False)
    fake = FakeOAuth(SETTINGS.changed(clients=[disabled]))
    assert authorize(Browser(fake)).status_code == 400
    assert fake.journal[-1].reason == "client web disabled"


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "response_type", "state", "scope"])
def test_a_parameter_that_comes_twice_is_never_redirected(browser: Browser, name: str) -> None:
    query = f"{urlencode(ASKED)}&{name}={urlencode({name: ASKED[name]}).partition('=')[2]}"
    response = browser.get(f"/oauth2/authorize?{query}")
    assert response.status_code == 400


AUTHORIZE_URI = "https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2.1"
PKCE_URI = "https://datatracker.ietf.org/doc/html/rfc7636#section-4.4.1"


@pytest.mark.parametrize(
    ("client", "changes", "error", "parameter", "uri"),
    [
        ({}, {"scope": "openid x"}, "invalid_scope", "scope", AUTHORIZE_URI),
        ({}, {"scope": "openid  email"}, "invalid_scope", "scope", AUTHORIZE_URI),
        (
            {"grant_types": ["refresh_token"]},
            {},
            "unauthorized_client",
            "client_id",
            AUTHORIZE_URI,
        ),
        ({"require_pkce": True}, {}, "invalid_request", "code_challenge", PKCE_URI),
        ({"client_secret": None}, {}, "invalid_request", "code_challenge", PKCE_URI),
        (
            {},
            {"code_challenge": "x"},
            "invalid_request",
            "code_challenge_method",
            PKCE_URI,
        ),
        (
            {},
            {"code_challenge": "x", "code_challenge_method": "plain"},
            "invalid_request",
            "code_challenge_method",
            PKCE_URI,
        ),
    ],
)
def test_other_refusals_travel_back_to_the_client(
    client: dict[str, Any], changes: dict[str, str], error: str, parameter: str, uri: str
) -> None:
    fields = {"client_secret": "s", "redirect_uris": [CALLBACK], "scopes": ["openid", "email"]}
    fake = FakeOAuth(SETTINGS.changed(clients=[Client(client_id="web", **{**fields, **client})]))
    told = answer(authorize(Browser(fake), **changes))
    assert told == {
        "error": error,
        "error_description": f"OAuth 2.0 Parameter: {parameter}",
        "error_uri": uri,
        "state": "S",
    }
    assert list(told) == ["error", "error_description", "error_uri", "state"]


def test_without_a_state_none_comes_back(browser: Browser) -> None:
    assert list(answer(choose(browser, login_page(browser, state=None), sub="bob"))) == ["code"]


def test_a_state_comes_back_as_the_documented_server_writes_it(fake: FakeOAuth) -> None:
    fake.login()
    location = authorize(Browser(fake), state="a b&c=d/ü?+").headers["Location"]
    assert location.endswith("&state=a%20b%26c%3Dd/%C3%BC?+")


def test_a_redirect_uri_may_be_left_out_where_there_is_one_and_no_openid(fake: FakeOAuth) -> None:
    fake.login()
    assert "code" in answer(authorize(Browser(fake), redirect_uri=None, scope="email"))


def test_an_apps_redirect_uri_keeps_its_own_query(fake: FakeOAuth) -> None:
    fake.login()
    response = authorize(
        Browser(fake),
        client_id="app",
        redirect_uri="myapp://callback?a=b",
        code_challenge="x",
        code_challenge_method="S256",
    )
    assert response.headers["Location"].startswith("myapp://callback?a=b&code=")


def test_the_page_is_plain_and_says_what_it_is(browser: Browser) -> None:
    p_state = login_page(browser, scope="openid email")
    response = shown(browser, p_state)
    assert response.headers["Content-Type"] == "text/html;charset=UTF-8"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    page = response.text
    assert "This is a fake for tests" in page
    assert "<code>web</code>" in page
    assert "<li><code>openid</code> – your user ID</li>" in page
    assert "<li><code>email</code> – your email address</li>" in page
    assert re.findall(r'name="sub" value="([^"]+)"', page) == ["u-alice", "bob"]
    assert "<script" not in page


def test_users_who_cannot_log_in_are_shown_as_such(fake: FakeOAuth, browser: Browser) -> None:
    fake.freeze_user("bob")
    page = shown(browser, login_page(browser)).text
    disabled = re.findall('type="button" disabled>(\\w+) <small>(\\w+)</small>', page)
    assert disabled == [("bob", "frozen"), ("eve", "locked")]
    assert re.findall(r'name="sub" value="([^"]+)"', page) == ["u-alice"]


def test_the_name_that_was_typed_stays_and_the_password_does_not(browser: Browser) -> None:
    p_state = login_page(browser)
    page = choose(browser, p_state, username='a"l', password="look-alike").text
    assert 'name="username" autocomplete="username"' in page
    assert 'required value="a&#34;l"' in page
    assert "look-alike" not in page
    assert page.count('aria-describedby="message"') == 2


MANY = [
    *(User(sub=f"u-{number}", username=f"user{number}") for number in range(250)),
    User(sub="x", username="Zoë", email="zoe@example.com", phone="123456", status="locked"),
]


def found(browser: Browser, p_state: str, find: str | None) -> str:
    query = {"p_state": p_state} if find is None else {"p_state": p_state, "find": find}
    options: dict[str, Any] = {"base_url": "https://issuer.example", "query_string": query}
    response = browser.get("/portal/login", **options)
    assert response.status_code == 200
    return response.text


@pytest.mark.parametrize("find", ["ZOË", " zoe@", "3456"])
def test_a_long_list_of_users_is_searched_without_a_script(find: str) -> None:
    browser = Browser(FakeOAuth(SETTINGS.changed(users=MANY)))
    p_state = login_page(browser)
    page = found(browser, p_state, find)
    assert re.findall("disabled>(.+) <small>locked", page) == ["Zoë"]
    assert 'name="sub"' not in page
    assert f'value="{find.strip()}"' in page
    assert f'<input type="hidden" name="p_state" value="{p_state}">' in page
    assert 'name="sub" value="u-249"' in found(browser, p_state, "user249")
    assert "code" in answer(choose(browser, p_state, sub="u-249"))


def test_a_search_without_a_match_says_so_and_can_be_repeated() -> None:
    browser = Browser(FakeOAuth(SETTINGS.changed(users=MANY)))
    page = found(browser, login_page(browser), "nobody")
    assert "No user matches." in page
    assert 'type="search"' in page


def test_a_list_of_users_is_bounded() -> None:
    browser = Browser(FakeOAuth(SETTINGS.changed(users=MANY)))
    page = found(browser, login_page(browser), None)
    assert page.count('name="sub"') == 200
    assert "51 more users match" in page
    browser = Browser(FakeOAuth(SETTINGS.changed(users=MANY, dialect="rfc", issuer=None)))
    query = {**ASKED, "login_hint": "user249"}
    hinted = browser.get("/authorize", query_string=query, follow_redirects=True).text
    assert re.findall(r'name="sub" value="([^"]+)"', hinted)[0] == "u-249", "the hint comes first"


@pytest.mark.parametrize(("count", "has_search"), [(10, False), (11, True)])
def test_a_short_list_needs_no_search(*, count: int, has_search: bool) -> None:
    browser = Browser(FakeOAuth(SETTINGS.changed(users=MANY[:count])))
    page = found(browser, login_page(browser), None)
    assert ('type="search"' in page) is has_search
    assert page.count('name="sub"') == count


def test_whatever_it_shows_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    client = Client(client_id=evil, client_secret="s", redirect_uris=[CALLBACK], scopes=[evil])
    users = [User(sub=evil, username=f'"{evil}')]
    fake = FakeOAuth(SETTINGS.changed(clients=[client], users=users))
    browser = Browser(fake)
    p_state = login_page(browser, client_id=evil, scope=evil)
    pages = [
        shown(browser, p_state).text,
        choose(browser, p_state, username=evil, password=evil).text,
        choose(browser, evil, sub=evil).text,
        found(browser, p_state, evil),
    ]
    assert not any("<script" in page for page in pages)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages[0]


def test_nothing_of_a_page_is_imported_before_one_is_shown() -> None:
    names = ["jinja2", "trustme", *(f"fake_oauth.http.{name}" for name in OF_PAGES)]
    code = (
        "import sys; from fake_oauth import FakeOAuth; from urllib.request import urlopen\n"
        "with FakeOAuth() as server:\n"
        "    for path in ('/', '/oauth2/token', '/oauth2/jwks'):\n"
        "        try: urlopen(server.url + path)\n"
        "        except OSError: pass\n"
        f"    print([name for name in {names} if name in sys.modules], len(server.journal))"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[] 3"


def test_logging_out_ends_the_session_and_goes_where_it_may(browser: Browser) -> None:
    choose(browser, login_page(browser), sub="u-alice")
    query = urlencode(
        {"client_id": "web", "logout_redirect_uri": "https://example.com/out", "state": "x"}
    )
    response = browser.get(f"/logout?{query}", base_url="https://issuer.example")
    assert response.headers["Location"] == "https://example.com/out?state=x"
    assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert "/portal/login?" in authorize(browser).headers["Location"]


def test_logging_out_with_one_registered_place_goes_there(browser: Browser) -> None:
    response = browser.get("/logout?client_id=web")
    assert response.headers["Location"] == "https://example.com/out"


@pytest.mark.parametrize(
    ("query", "description"),
    [
        ("", "Client ID parameter not found"),
        ("client_id=nobody", "OAuth 2.0 Parameter: client_id"),
        (
            "client_id=web&logout_redirect_uri=https://evil.example",
            "OAuth 2.0 Parameter: logout_redirect_uri",
        ),
        ("client_id=app", "OAuth 2.0 Parameter: logout_redirect_uri"),
    ],
)
def test_logging_out_goes_nowhere_else(browser: Browser, query: str, description: str) -> None:
    response = browser.get(f"/logout?{query}")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/json"
    assert response.json is not None
    assert response.json["error"] == "invalid_request"
    assert response.json["error_description"] == description


def test_a_browser_may_ask_twice_before_anybody_logs_in(browser: Browser) -> None:
    first, second = login_page(browser), login_page(browser, state="second")
    assert answer(choose(browser, first, sub="bob"))["state"] == "S"
    assert choose(browser, second, sub="bob").status_code == 400, "it was the old session's"


def test_of_two_logins_at_once_with_one_p_state_one_wins(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    p_state = login_page(browser)
    settle = Sessions.settle

    def outrun(sessions: Sessions, used: str) -> bool:
        settle(sessions, used)
        return settle(sessions, used)

    monkeypatch.setattr(Sessions, "settle", outrun)
    assert choose(browser, p_state, sub="bob").status_code == 400


def test_sessions_are_bounded() -> None:
    sessions = Sessions(Ids(0), seconds=60)
    first = sessions.begin(0, Login("alice", 0))
    for _ in range(4096):
        last = sessions.begin(0, Login("bob", 0))
    assert sessions.login(first, 0) is None
    assert sessions.login(last, 0) == Login("bob", 0)


PKCE = {"code_challenge": "x" * 43, "code_challenge_method": "S256"}


def test_the_login_page_may_lead_to_the_scheme_of_an_app(browser: Browser) -> None:
    p_state = login_page(browser, client_id="app", redirect_uri="myapp://callback?a=b", **PKCE)
    policy = shown(browser, p_state).headers["Content-Security-Policy"]
    assert policy.endswith("form-action 'self' myapp:")


def test_a_nonce_that_is_sent_twice_is_refused(browser: Browser) -> None:
    query = urlencode([*ASKED.items(), ("nonce", "a"), ("nonce", "b")])
    told = answer(browser.get(f"/oauth2/authorize?{query}", base_url="https://issuer.example"))
    assert (told["error"], told["state"]) == ("invalid_request", "S")


@pytest.mark.parametrize(
    ("registered", "sent", "status"),
    [
        ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", 302),
        ("http://127.0.0.1:8080/cb?a=b", "http://127.0.0.1:9/cb?a=b", 302),
        ("http://[::1]:8080/cb", "http://[::1]/cb", 302),
        ("http://127.0.0.1", "http://127.0.0.1:80", 302),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51004/other", 400),
        ("http://127.0.0.1/cb", "http://127.0.0.2:51004/cb", 400),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1@evil.example/cb", 400),
        ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", 400),
        ("http://127.0.0.1/cb", "https://127.0.0.1/cb", 400),
        ("http://localhost/cb", "http://localhost:51004/cb", 400),
        ("https://app.example/cb", "https://app.example:8443/cb", 400),
    ],
)
def test_a_loopback_address_matches_on_any_port(registered: str, sent: str, status: int) -> None:
    client = Client(client_id="cli", redirect_uris=[registered])
    fake = FakeOAuth(Settings(clients=[client], refresh_tokens=[]))
    fake.login()
    response = authorize(Browser(fake), client_id="cli", redirect_uri=sent)
    assert response.status_code == status
    if status == 302:
        assert response.location.startswith(sent)


def test_of_several_redirect_uris_one_must_be_named() -> None:
    uris = ["https://app.example/a", "https://app.example/b"]
    fake = FakeOAuth(
        Settings(clients=[Client(client_id="web", redirect_uris=uris)], refresh_tokens=[])
    )
    response = authorize(Browser(fake), client_id="web", redirect_uri=None, scope=None)
    assert response.status_code == 400
    assert fake.journal[-1].reason == "no redirect_uri, 2 registered"
