"""Pages instead of JSON where a person looks; a program gets the same bytes as before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import requests
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, Settings, User, faults
from fake_oauth.dialects import DIALECTS
from fake_oauth.dialects.ciam import CIAM
from fake_oauth.faults import Rule
from fake_oauth.provider.authorize import validate
from fake_oauth.provider.request import Parameters
from tests.support.client import DOCUMENTED, basic

CALLBACK = "https://app.example/callback"
OUT = "https://app.example/out"
EVIL = '"><script>alert(1)</script>'
WEB = Client(
    client_id="web",
    client_secret="s",
    name="Photo Album",
    scopes=["openid", "email"],
    redirect_uris=[CALLBACK, "http://localhost:3000/callback"],
    logout_redirect_uris=[OUT],
)
OFF = Client(client_id="off", redirect_uris=[CALLBACK], enabled=False)
USERS = [User(sub="u-alice", username="alice", password="pw"), User(sub="eve", status="locked")]
SETTINGS = Settings(clients=[WEB, OFF], users=USERS, refresh_tokens=[], control=True)
CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;"
    "q=0.8,application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
OF_PERSON = {"Accept": FIREFOX}


def fake_of(dialect: str, **settings: Any) -> FakeOAuth:
    return FakeOAuth(SETTINGS.changed(dialect=dialect, **settings))


def look(fake: FakeOAuth, path: str, **options: Any) -> TestResponse:
    """Open a path as a browser does."""
    headers = {**OF_PERSON, **options.pop("headers", {})}
    return Browser(fake).open(path, headers=headers, **options)


def authorize(fake: FakeOAuth, **changes: Any) -> TestResponse:
    """Send an authorization request with a browser. None leaves a parameter out."""
    asked = {"response_type": "code", "client_id": "web", "redirect_uri": CALLBACK, **changes}
    sent = {name: value for name, value in asked.items() if value is not None}
    return look(fake, fake.settings.paths["authorize"], query_string=sent)


def heading(response: TestResponse) -> str:
    assert response.headers["Content-Type"] == "text/html;charset=UTF-8"
    (found,) = re.findall(r"<h1>(.*?)</h1>", response.text, re.DOTALL)
    return text_of(found)


def text_of(html: str) -> str:
    return unescape(re.sub("<[^>]+>", "", html))


def items(response: TestResponse, title: str) -> list[str]:
    """The list below a heading."""
    part = re.split("<h2[^>]*>", response.text.partition(f"{title}</h2>")[2])[0]
    return [text_of(item) for item in re.findall("<li>(.*?)</li>", part.partition("<details>")[0])]


# A page or JSON


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (CHROMIUM, True),
        (FIREFOX, True),
        ("Text/HTML", True),
        ("text/html, application/json", True),
        ("application/json;q=0.5, text/html;q=0.5", True),
        ("text/html;q=0.4, application/json;q=0.5", False),
        ("text/html;q=0.5, */*", False),
        ("text/html;q=0, */*;q=0", False),
        ("text/html;q=x", False),
        ("application/json", False),
        ("application/json, text/plain, */*", False),  # axios
        ("*/*", False),  # httpx, requests, curl, fetch, …
        ("text/*", False),
        ("", False),
        (None, False),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", False),  # Java until 18
        ("text/html, image/gif, image/jpeg, */*; q=0.2", False),  # Java
        ("x/y," * 1000 + "text/html", False),
    ],
)
def test_who_prefers_html_gets_a_page(*, accept: str | None, is_page: bool) -> None:
    fake = fake_of("rfc")
    headers = {} if accept is None else {"Accept": accept}
    for path in ("/", "/nowhere", "/authorize?client_id=x", "/token", "/userinfo"):
        response = Browser(fake).get(path, headers=headers)
        assert (response.mimetype == "text/html") == is_page, path
        assert ("Vary" in response.headers) == is_page, path
        assert ("Content-Security-Policy" in response.headers) == is_page, path


def test_what_clients_of_others_send_by_default_gets_json(oauth_server: FakeOAuth) -> None:
    url = f"{oauth_server.url}/oauth2/authorize?client_id=x"
    for response in (httpx.get(url), requests.get(url, timeout=10)):
        assert response.headers["Content-Type"] == "application/json;charset=UTF-8"
        assert oauth_server.journal[-1].headers["Accept"] == "*/*"
        assert response.json()["error"] == "invalid_request"


REFUSED = [
    ("GET", "/nowhere", {}),
    ("POST", "/nowhere", {}),
    ("GET", "authorize", {}),
    ("GET", "authorize", {"client_id": "web", "redirect_uri": "https://evil.example"}),
    ("PUT", "authorize", {}),
    ("GET", "token", {}),
    ("GET", "userinfo", {}),
    ("GET", "resource", {}),
    ("POST", "jwks", {}),
    ("GET", "logout", {}),
    ("GET", "end_session", {"id_token_hint": "x"}),
    ("POST", "end_session", {"id_token_hint": "x"}),
    ("GET", "pushed_authorization_request", {}),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("method", "name", "sent"), REFUSED)
def test_status_and_headers_are_those_that_a_program_gets(
    dialect: str, method: str, name: str, sent: dict[str, str]
) -> None:
    fake = fake_of(dialect, freeze_time=True)
    options: dict[str, Any] = {"query_string" if method == "GET" else "data": sent}
    path = fake.settings.paths.get(name, name)
    program = Browser(fake).open(path, method=method, **options)
    person = look(fake, path, method=method, **options)
    assert person.status_code == program.status_code >= 400
    of_program, of_page = (
        {name: value for name, value in response.headers.items() if not name.startswith("Content-")}
        for response in (program, person)
    )
    assert of_page.pop("Vary") == "Accept, Accept-Language"
    assert of_page == of_program
    shown = unescape(person.text.partition("<pre")[2].partition("</pre>")[0])
    assert program.text in shown
    first, second = fake.journal[-2], fake.journal[-1]
    assert (second.error, second.cause) == (first.error, first.cause)
    assert second.reason == first.reason
    assert f'<code lang="en">{second.reason}</code>' in unescape(person.text)


@pytest.mark.parametrize("name", ["token", "revoke", "userinfo", "otp_send", "resource"])
def test_who_posts_to_an_endpoint_of_clients_is_a_program(name: str) -> None:
    fake = FakeOAuth()
    path = fake.settings.paths[name]
    without, person = Browser(fake).post(path), look(fake, path, method="POST")
    assert person.data == without.data
    assert person.headers.get("Content-Type") == without.headers.get("Content-Type")
    assert "Vary" not in person.headers


def test_a_refresh_with_the_accept_of_a_browser_is_the_documented_one() -> None:
    fake = FakeOAuth(Settings.documented())
    response = look(fake, "/oauth2/token", method="POST", data=DOCUMENTED)
    plain = Browser(FakeOAuth(Settings.documented())).post("/oauth2/token", data=DOCUMENTED)
    assert response.data == plain.data
    assert list(response.headers) == list(plain.headers)


def test_a_scripted_response_is_sent_as_it_was_scripted() -> None:
    fake = FakeOAuth()
    fake.script(Rule(faults.Refuse("invalid_token"), endpoint="userinfo"))
    response = look(fake, "/userinfo")
    assert (response.status_code, response.data) == (401, b"")
    fake.script(Rule(faults.Status(503), endpoint="authorize"))
    assert look(fake, "/oauth2/authorize").mimetype != "text/html"


def test_a_scripted_refusal_that_has_nowhere_to_go_is_explained() -> None:
    fake = fake_of("rfc")
    fake.script(Rule(faults.Refuse("server_error"), endpoint="authorize"))
    assert heading(authorize(fake, client_id="wep")) == "The client wep is unknown"


def test_a_page_can_be_damaged_like_any_response() -> None:
    fake = fake_of("rfc")
    fake.script(Rule(faults.EmptyBody(), endpoint="authorize"))
    assert authorize(fake, client_id="x").data == b""
    assert fake.journal[-1].error is None


def test_a_head_request_gets_the_headers_of_the_page() -> None:
    fake = fake_of("rfc")
    for path in ("/", "/nowhere", "/authorize"):
        page, head = look(fake, path), look(fake, path, method="HEAD")
        assert (head.status_code, head.data) == (page.status_code, b"")
        assert head.mimetype == "text/html"


# Authorization requests that are not redirected


def test_an_unknown_client_is_shown_the_nearest_one() -> None:
    response = authorize(fake_of("ciam"), client_id="wep")
    assert (response.status_code, heading(response)) == (400, "The client wep is unknown")
    assert re.findall('<dd class="known"><code>(.*?)</code>', response.text) == ["web"]
    assert items(response, "The clients that are registered here") == ["web", "off"]
    assert 'href="../_fake/#exchanges/1"' in response.text


def test_a_client_that_is_like_no_other_has_no_nearest_one() -> None:
    response = authorize(fake_of("ciam"), client_id="0000")
    assert 'class="known"' not in response.text
    assert "<dt>Sent</dt>" in response.text


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"client_id": None}, "The client_id is missing"),
        ({"client_id": " "}, "The client_id is missing"),
        ({"client_id": ["web", "web"]}, "client_id was sent 2 times"),
        ({"client_id": "off"}, "The client off is disabled"),
        ({"redirect_uri": None}, "The redirect_uri is missing"),
        ({"redirect_uri": [CALLBACK, CALLBACK]}, "redirect_uri was sent 2 times"),
        ({"redirect_uri": f"{CALLBACK}/"}, "The redirect URI is not registered"),
        ({"state": ["a", "b", "c"]}, "state was sent 3 times"),
    ],
)
@pytest.mark.parametrize("dialect", ["ciam", "rfc"])
def test_what_is_wrong_is_the_heading(dialect: str, changes: dict[str, Any], title: str) -> None:
    response = authorize(fake_of(dialect), **changes)
    assert (response.status_code, heading(response)) == (400, title)
    assert f"<title>{title} · fake_oauth</title>" in response.text
    assert items(response, "What to do")


@pytest.mark.parametrize(
    ("sent", "title"),
    [
        ("token", "The response_type is not code"),
        (None, "The response_type is not code"),
        (["code", "code"], "response_type was sent 2 times"),
    ],
)
def test_a_response_type_is_explained_where_it_is_not_redirected(sent: Any, title: str) -> None:
    assert heading(authorize(fake_of("ciam"), response_type=sent)) == title
    assert authorize(fake_of("rfc"), response_type=sent).status_code == 302


@pytest.mark.parametrize(
    ("sent", "reasons"),
    [
        (f"{CALLBACK}/", ["It has a trailing slash."]),
        ("http://app.example/callback", ["The scheme is http, not https."]),
        ("https://app.example:8443/callback", ["The port is 8443, not –."]),
        ("http://localhost:3001/callback", ["The port is 3001, not 3000."]),
        ("http://localhost/callback", ["The port is –, not 3000."]),
        ("https://app.example/Callback", ["The path differs in upper and lower case."]),
        ("https://APP.example/callback", ["It differs in upper and lower case."]),
        ("https://api.example/callback", ["The host is api.example, not app.example."]),
        ("myapp:/callback", ["The scheme is myapp, not https.", "The host is –, not app.example."]),
        ("https://app.example/callbacks", ["The path differs."]),
        (f"{CALLBACK}?a=b", ["The query differs."]),
        (f"{CALLBACK}#x", ["It has a fragment, which a redirect URI cannot have."]),
        (f" {CALLBACK}\n", ["There is a space or a line break at an end of it."]),
        ("https%3A%2F%2Fapp.example%2Fcallback", ["It is percent-encoded twice."]),
        ("https://app.example:port/callback", ["It is not a URL."]),
        ("https://app.exa\tmple/callback", ["It differs only in characters that are hard to see."]),
        (
            "http://app.example/CALLBACK/",
            [
                "The scheme is http, not https.",
                "The path differs in upper and lower case.",
                "It has a trailing slash.",
            ],
        ),
    ],
)
def test_why_a_redirect_uri_does_not_match(sent: str, reasons: list[str]) -> None:
    response = authorize(fake_of("rfc"), redirect_uri=sent)
    assert items(response, "Why they do not match") == reasons
    known = items(response, "Registered for the client <code>web</code>")
    assert known == [CALLBACK, "http://localhost:3000/callback"]


def test_a_missing_slash_is_named() -> None:
    client = Client(client_id="web", redirect_uris=["https://app.example/"])
    response = authorize(fake_of("rfc", clients=[client]), redirect_uri="https://app.example")
    assert items(response, "Why they do not match") == ["The trailing slash is missing."]


def test_the_characters_that_differ_are_marked() -> None:
    response = authorize(fake_of("rfc"), redirect_uri="http://app.example/callback")
    assert "<code>http://app.example/callback</code>" in response.text
    assert "<code>http<mark>s</mark>://app.example/callback</code>" in response.text
    response = authorize(fake_of("rfc"), redirect_uri="http://localhost:5000/Callback")
    assert "localhost:<mark>5000</mark>/<mark>C</mark>allback</code>" in response.text
    assert "localhost:<mark>3000</mark>/<mark>c</mark>allback</code>" in response.text


def test_a_client_without_redirect_uris_has_no_nearest_one() -> None:
    response = authorize(fake_of("rfc", clients=[Client(client_id="web")]))
    assert "<p>None.</p>" in response.text
    assert "Why they do not match" not in response.text


def test_a_long_value_is_cut() -> None:
    response = authorize(fake_of("rfc"), redirect_uri=f"https://app.example/{'x' * 60_000}")
    assert response.status_code == 400
    # The journal's reason and its copy of what was sent are cut by their own rules.
    assert "x" * 400 not in response.text.partition("What a program gets")[0]
    assert authorize(fake_of("rfc"), client_id="y" * 60_000).status_code == 400


def test_what_has_no_shape_is_shown_as_an_escape() -> None:
    hidden = "\u200b\u202e\x1b"
    fake = fake_of("rfc")
    for sent in ({"client_id": f"web{hidden}"}, {"redirect_uri": f"https://app{hidden}.example"}):
        html = authorize(fake, **sent).text
        assert "\\u200b\\u202e\\x1b" in text_of(html)
        body = html.partition("What a program gets")[0]
        assert not set(hidden) & set(body)


def test_what_is_listed_is_bounded() -> None:
    clients = [Client(client_id=f"c{n}") for n in range(201)]
    users = [User(sub=f"u{n}") for n in range(203)]
    fake = fake_of("rfc", clients=clients, users=users)
    response = authorize(fake, client_id="x")
    assert len(items(response, "The clients that are registered here")) == 200
    assert '<dd class="known"><code>c199' in authorize(fake, client_id="c199x").text
    home = look(fake, "/")
    assert items(home, "Clients")[-1] == "and 1 more"
    assert items(home, "Users")[-1] == "and 3 more"
    uris = [f"https://app.example/{n}" for n in range(201)]
    one = fake_of("rfc", clients=[Client(client_id="web", redirect_uris=uris)])
    assert len(items(authorize(one), "Registered for the client <code>web</code>")) == 200
    many = fake_of("rfc", clients=[Client(client_id=f"{n:08}") for n in range(1001)])
    assert "<code>00000999</code></dd>" in authorize(many, client_id="x00000999").text
    assert "<code>00001000</code></dd>" not in authorize(many, client_id="x00001000").text


def test_a_request_uri_is_explained() -> None:
    uri = "urn:ietf:params:oauth:request_uri:x"
    response = authorize(fake_of("rfc", request_uri_seconds=90), request_uri=uri)
    assert heading(response) == "This request_uri cannot be used"
    assert "within 90 seconds" in items(response, "What to do")[0]


def test_a_document_of_a_client_is_explained() -> None:
    fake = fake_of("mcp", client_documents={"https://app.example/client": {}})
    for url in ("https://app.example/client", "https://app.example"):
        title = heading(authorize(fake, client_id=url))
        assert title == "The document of the client cannot be used"


def test_a_posted_request_is_explained_too() -> None:
    fake = fake_of("rfc")
    sent = {"client_id": "web", "redirect_uri": "https://evil.example", "ui_locales": "zh"}
    response = look(fake, "/authorize", method="POST", data=sent)
    assert heading(response) == "回调地址没有登记"
    broken = look(fake, "/authorize", method="POST", data=b"\xff", content_type="text/plain")
    assert heading(broken) == "The client_id is missing"
    form = "application/x-www-form-urlencoded"
    broken = look(fake, "/authorize", method="POST", data=b"\xff", content_type=form)
    assert heading(broken) == "The request was refused"


# Logout


def test_a_logout_that_goes_nowhere_is_explained() -> None:
    fake = fake_of("rfc")
    sent = {"client_id": "web", "post_logout_redirect_uri": f"{OUT}/"}
    response = look(fake, "/end_session", query_string=sent)
    title = "The post-logout redirect URI is not registered"
    assert (response.status_code, heading(response)) == (400, title)
    assert items(response, "Why they do not match") == ["It has a trailing slash."]
    assert items(response, "Registered for the client <code>web</code>") == [OUT]
    assert "logout_redirect_uris" in items(response, "What to do")[1]


def test_a_hint_that_cannot_be_used_is_explained() -> None:
    fake = fake_of("rfc")
    response = look(fake, "/end_session", query_string={"id_token_hint": "x"})
    assert heading(response) == "The id_token_hint cannot be used"
    hint = fake.issue_tokens().id_token
    sent = {"id_token_hint": hint, "client_id": "phone"}
    with_phone = fake_of("rfc", clients=[WEB, Client(client_id="phone")], issuer=fake.issuer)
    response = look(with_phone, "/end_session", query_string=sent)
    assert heading(response) == "The ID token is of another client than phone"


@pytest.mark.parametrize(
    ("sent", "title"),
    [
        ({}, "The client_id is missing"),
        ({"client_id": "x"}, "The client x is unknown"),
        ({"client_id": "off"}, "The client off is disabled"),
        (
            {"client_id": "web", "logout_redirect_uri": "http://127.0.0.1"},
            "The post-logout redirect URI is not registered",
        ),
    ],
)
def test_the_logout_of_ciam_is_explained(sent: dict[str, str], title: str) -> None:
    response = look(fake_of("ciam"), "/logout", query_string=sent)
    assert (response.status_code, heading(response)) == (400, title)
    assert "match on any port" not in response.text


# Paths and methods


@pytest.mark.parametrize(
    ("dialect", "path", "near"),
    [
        ("ciam", "/authorize", "/oauth2/authorize"),
        ("ciam", "/oauth2/token/", "/oauth2/token"),
        ("ciam", "/.well-known/openid-config", "/.well-known/openid-configuration"),
        ("rfc", "/oauth2/authorize", "/authorize"),
        ("rfc", "/Token", "/token"),
        ("rfc", "/realms/demo/jwkz", "/jwks"),
        ("rfc", "/zzz", None),
    ],
)
def test_an_unknown_path_gets_the_nearest_one(dialect: str, path: str, near: str | None) -> None:
    fake = fake_of(dialect, issuer="https://issuer.example/realms/demo")
    response = look(fake, path, base_url="https://issuer.example")
    assert response.status_code == 404
    found = re.findall('<dd class="known"><code>(.*?)</code>', response.text)
    assert found == ([] if near is None else [near])
    assert items(response, "The paths that are served") == list(fake.settings.paths.values())


def test_a_posted_home_is_not_found() -> None:
    response = look(fake_of("rfc"), "/", method="POST")
    assert (response.status_code, heading(response)) == (404, "There is nothing at /")


def test_a_method_that_is_not_allowed_is_explained() -> None:
    response = look(fake_of("rfc"), "/token")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert heading(response) == "The method GET is not allowed here"
    assert "sends POST" in items(response, "What to do")[0]


def test_an_api_that_needs_a_token_says_so() -> None:
    response = look(fake_of("rfc"), "/userinfo")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="fake_oauth"'
    assert heading(response) == "An access token is needed here"


def test_the_links_of_a_page_are_relative_to_it() -> None:
    fake = fake_of("rfc")
    for path, up in [("/x", "./"), ("/x/y", "../"), ("/x/y/", "../../"), ("", "./")]:
        page = look(fake, path).text
        assert f'href="{up}_fake/' in page, path
    without = look(fake_of("rfc", control=False), "/x/y").text
    assert "_fake" not in without
    assert 'href="../"' in without


# The page at the root


@pytest.mark.parametrize("dialect", DIALECTS)
def test_home_says_what_this_is_and_where_to_go(dialect: str) -> None:
    fake = fake_of(dialect, start_time=1_700_000_000, freeze_time=True)
    response = look(fake, "/")
    assert response.status_code == 200
    assert heading(response) == "A fake OAuth 2.0 / OpenID Connect server"
    page = text_of(response.text)
    assert f"Issuer{fake.issuer}\nDialect{dialect}\nClock2023-11-14 22:13:20 UTC (frozen)" in page
    for name, path in fake.settings.paths.items():
        assert path in page, name
    links = re.findall('<a href="([^"]+)"', response.text)
    assert links[0] == "./_fake/"
    assert f".{fake.settings.paths['discovery']}" in links
    assert f".{fake.settings.paths['jwks']}" in links
    for link in links[1:]:
        assert Browser(fake).get(unescape(link).removeprefix(".")).status_code in (200, 302), link
    assert items(response, "Clients") == [
        "web Photo Album (confidential)",
        "off (public, disabled)",
    ]
    assert items(response, "Users") == ["alice (u-alice)", "eve, locked"]
    assert "pw" not in page, "no secret is shown"
    exchange = fake.journal[0]
    assert (exchange.endpoint, exchange.status, exchange.error) == (None, 200, None)
    assert exchange.reason == "home page shown"


def test_home_of_a_server_with_nobody_says_so() -> None:
    fake = fake_of("rfc", clients=[], users=[], control=False)
    response = look(fake, "/")
    assert items(response, "Clients") == items(response, "Users") == ["None."]
    assert "No client can log in here" in response.text
    frozen = look(fake_of("rfc", users=[User(sub="x", status="frozen")]), "/")
    assert items(frozen, "Users") == ["x, frozen"]


class NoLogin(CIAM):
    """A server that has only tokens."""

    paths: ClassVar[Mapping[str, str]] = {"token": "/oauth2/token", "login": "/login"}


def test_home_of_a_server_without_a_login_has_no_example() -> None:
    response = look(FakeOAuth(Settings(dialect=NoLogin)), "/")
    assert response.status_code == 200
    assert "Log in here" not in response.text


@pytest.mark.parametrize(
    "client",
    [
        Client(client_id="web", client_secret="s", redirect_uris=[CALLBACK]),
        Client(client_id="spa", redirect_uris=["http://127.0.0.1/cb"], scopes=["openid", "a:b"]),
        Client(client_id="a&b=c d/é", client_secret="s", redirect_uris=["my.app:/cb?x=y&z=%20"]),
        Client(client_id="plain", client_secret="s", redirect_uris=[CALLBACK], scopes=[]),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_example_logs_in(dialect: str, client: Client) -> None:
    cannot = [
        Client(client_id="no-uri"),
        Client(client_id="disabled", redirect_uris=[CALLBACK], enabled=False),
        Client(client_id="m2m", redirect_uris=[CALLBACK], grant_types=["client_credentials"]),
    ]
    with FakeOAuth(
        SETTINGS.changed(dialect=dialect, clients=[*cannot, client], auto_login="alice")
    ) as fake:
        home = httpx.get(f"{fake.url}/", headers=OF_PERSON).text
        (link, shown), *_ = re.findall(r'<pre><a href="([^"]+)">(.*?)</a></pre>', home)
        assert str(httpx.URL(f"{fake.url}/").join(unescape(link))) == unescape(shown)
        assert "may refuse it there, because it did not start this login" in home
        back = httpx.get(unescape(shown)).headers["Location"]
        assert back.startswith(client.redirect_uris[0])
        code = parse_qs(urlsplit(back).query)["code"][0]
        verifier = re.findall("code_verifier=([^<]+)", home)
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.redirect_uris[0],
            **({"code_verifier": verifier[0]} if verifier else {}),
            **({"client_id": client.client_id} if client.client_secret is None else {}),
        }
        headers = {}
        if client.client_secret is not None:
            headers = basic(str(httpx.QueryParams({"": client.client_id}))[1:], "s")
        assert httpx.post(fake.token_url, data=sent, headers=headers).status_code == 200


def test_a_server_that_wants_pushed_requests_has_no_example() -> None:
    fake = fake_of("rfc", require_pushed_authorization_requests=True)
    assert "No client can log in here" in look(fake, "/").text


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/realms/demo/", "../../realms/demo/"),
        ("/realms/demo", "../realms/demo/"),
        ("/", "./"),
    ],
)
def test_home_is_at_the_path_of_the_issuer_too(path: str, below: str) -> None:
    fake = fake_of("rfc", issuer="https://issuer.example/realms/demo")
    response = look(fake, path)
    assert response.status_code == 200
    assert f'href="{below}jwks"' in response.text
    assert f'href="{below}authorize?' in response.text
    assert "https://issuer.example/realms/demo/authorize?" in response.text
    assert Browser(fake).get(path).status_code == 404


def test_home_is_below_where_it_is_mounted() -> None:
    fake = fake_of("rfc")
    response = Browser(fake).get("/", headers=OF_PERSON, base_url="http://localhost/auth")
    assert 'href="./jwks"' in response.text


class AtRoot(CIAM):
    """A server with an API at its root."""

    paths: ClassVar[Mapping[str, str]] = {**CIAM.paths, "resource": "/"}


def test_what_is_served_at_the_root_stays_there() -> None:
    response = look(FakeOAuth(Settings(dialect=AtRoot)), "/")
    assert response.status_code == 401
    assert heading(response) == "An access token is needed here"


# Languages, and what is shown of others


def test_every_page_is_in_the_language_of_the_browser() -> None:
    fake = fake_of("rfc")
    chinese = {"Accept-Language": "zh-CN,zh;q=0.9"}
    for path, title in [
        ("/", "模拟 OAuth 2.0 / OpenID Connect 服务器"),
        ("/nowhere", "/nowhere 不存在"),
        ("/authorize?client_id=wep", "应用 wep 不存在"),
        ("/login", "本次登录已失效"),
        ("/device", "连接设备"),
        ("/end_session", "你已退出登录"),
    ]:
        response = look(fake, path, headers=chinese)
        assert heading(response) == title
        assert '<html lang="zh-CN">' in response.text
        assert '<html lang="en">' in look(fake, path).text


def test_ui_locales_comes_before_the_browser_where_the_dialect_reads_it() -> None:
    for dialect, title in [("rfc", "应用 wep 不存在"), ("ciam", "The client wep is unknown")]:
        assert heading(authorize(fake_of(dialect), client_id="wep", ui_locales="zh")) == title
    fake = fake_of("rfc")
    browser = Browser(fake)
    asked = {"response_type": "code", "client_id": "web", "redirect_uri": CALLBACK}
    sent = {**asked, "ui_locales": "fr zh-Hans en"}
    page = browser.get("/authorize", query_string=sent, follow_redirects=True)
    assert heading(page) == "登录"
    form = {"p_state": page.request.args["p_state"], "username": "alice", "password": "x"}
    assert "用户名或密码错误" in browser.post("/login", data=form).text
    assert browser.post("/login", data={**form, "password": "pw"}).status_code == 302
    asks = browser.get("/end_session", query_string={"ui_locales": "zh"})
    assert heading(asks) == "退出登录"
    assert "alice" in asks.text
    fake.login("alice")
    out = browser.get("/end_session", query_string={"ui_locales": "zh"})
    assert heading(out) == "你已退出登录"


def test_a_form_post_is_in_the_language_of_the_browser() -> None:
    fake = fake_of("rfc")
    fake.login("alice")
    asked = {"response_type": "code", "client_id": "web", "redirect_uri": CALLBACK}
    sent = {**asked, "response_mode": "form_post"}
    headers = {"Accept-Language": "zh"}
    page = Browser(fake).get("/authorize", query_string=sent, headers=headers).text
    assert "<title>返回应用 · fake_oauth</title>" in page


def test_whatever_an_error_page_shows_is_escaped() -> None:
    client = Client(client_id=EVIL, name=EVIL, redirect_uris=[CALLBACK], client_secret="s")
    user = User(sub=EVIL, username=f"x{EVIL}")
    fake = fake_of("rfc", clients=[client], users=[user])
    browser = Browser(fake)
    evil = {**OF_PERSON, "Accept-Language": f"zh, {EVIL}"}
    asked = {"response_type": "code", "client_id": EVIL, "redirect_uri": CALLBACK, "state": EVIL}
    pages = [
        browser.get("/", headers=evil),
        browser.get(f"/{EVIL}", headers=evil),
        browser.open("/jwks", method="PUT", headers=evil),
        browser.get("/authorize", query_string={"client_id": f"x{EVIL}"}, headers=evil),
        browser.get("/authorize", query_string={**asked, "redirect_uri": EVIL}, headers=evil),
        browser.get("/authorize", query_string={**asked, "state": [EVIL, EVIL]}, headers=evil),
        browser.get(
            "/end_session",
            query_string={"client_id": EVIL, "post_logout_redirect_uri": EVIL},
            headers=evil,
        ),
        browser.get("/end_session", query_string={"id_token_hint": EVIL}, headers=evil),
        browser.get("/login", query_string={"p_state": EVIL}, headers=evil),
        browser.get("/device", query_string={"user_code": EVIL}, headers=evil),
        browser.get("/userinfo", headers={**evil, "Authorization": f"Bearer {EVIL}"}),
    ]
    for page in pages:
        assert page.mimetype == "text/html", page.request.path
        assert "<script" not in page.text, page.request.path
        assert re.search('<html lang="(en|zh-CN)">', page.text)
        assert "Location" not in page.headers
        assert '<link rel="icon" href="data:image/svg+xml,' in page.text, "none is asked for"
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:; ")
        assert policy.endswith("form-action 'self'")
        assert "\n" not in policy
    shown = "&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"
    assert all(shown in pages[index].text for index in (0, 1, 3, 4, 6))


class Odd(CIAM):
    """A server whose words are not HTML and no format, and whose statuses nobody knows."""

    statuses: ClassVar[Mapping[str | None, int]] = {None: 499}

    def error_members(self, error: Any) -> dict[str, str]:
        return {"code": "1", "error_description": f"100% {EVIL} %(x)s"}


def test_the_words_of_a_dialect_of_ones_own_are_escaped() -> None:
    browser = Browser(FakeOAuth(SETTINGS.changed(dialect=Odd)))
    refused = browser.get("/oauth2/authorize", headers=OF_PERSON)
    assert (refused.status_code, refused.mimetype) == (499, "text/html")
    assert '<pre lang="en">499 Unknown\n' in refused.text
    assert f"100% {EVIL} %(x)s" in text_of(refused.text).replace('\\"', '"')
    assert "<script" not in refused.text
    asked = {"response_type": "code", "client_id": "web", "redirect_uri": CALLBACK}
    page = browser.get("/oauth2/authorize", query_string=asked, follow_redirects=True)
    form = {"p_state": page.request.args["p_state"], "sub": "eve"}
    for language in ("en", "zh"):
        again = browser.post("/portal/login", data=form, headers={"Accept-Language": language})
        assert f"100% {EVIL} %(x)s" in text_of(again.text)
        assert "<script" not in again.text


def test_the_example_is_what_the_rules_accept() -> None:
    fake = fake_of("rfc")
    (link,) = re.findall(r'href="\./authorize\?([^"]+)"', look(fake, "/").text)
    sent = {name: values[0] for name, values in parse_qs(unescape(link)).items()}
    assert validate(fake._realm, Parameters(sent.items())).scopes == ("openid", "email")
