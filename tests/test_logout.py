"""RP-initiated logout: whose session ends, who is asked, and where the browser is sent."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from werkzeug.test import Client as WSGIClient
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, Settings, User
from fake_oauth.dialects import RFC
from fake_oauth.provider.hints import read_id_token
from fake_oauth.provider.keys import key_ring
from fake_oauth.provider.tokens import InvalidTokenError, decode, encode
from tests.support.client import claims
from tests.support.realms import realm

NOW = 1_700_000_000
CALLBACK = "https://app.example/cb"
OUT = "https://app.example/out"
WEB = Client(
    client_id="web",
    client_secret="s",
    redirect_uris=(CALLBACK,),
    logout_redirect_uris=(OUT, "http://127.0.0.1/out", "https://app.example/bye?from=web"),
)
OTHER = Client(
    client_id="other", client_secret="s", logout_redirect_uris=("https://other.example",)
)
ALICE = User(sub="u-alice", username="alice", password="wonderland")
BOB = User(sub="u-bob", username="bob", password="builder")


class Site:
    """A server, and a browser at it."""

    def __init__(self, **settings: Any) -> None:
        made = {
            "dialect": "rfc",
            "clients": [WEB, OTHER],
            "users": [ALICE, BOB],
            "refresh_tokens": [],
            "start_time": NOW,
            "freeze_time": True,
        }
        self.fake = FakeOAuth(Settings(**{**made, **settings}))
        self.browser = WSGIClient(self.fake)

    def authorize(self, **changes: str) -> TestResponse:
        asked = {"response_type": "code", "client_id": "web", "redirect_uri": CALLBACK}
        return self.browser.get(
            "/authorize", query_string={**asked, "scope": "openid", "state": "x", **changes}
        )

    def log_in(self, user: User = ALICE) -> str:
        """Log in on the page, and return the ID token of the client."""
        page = self.authorize()
        p_state = page.headers["Location"].partition("p_state=")[2]
        sent = {"p_state": p_state, "username": user.login_name, "password": user.password or ""}
        sent_back = self.browser.post("/login", data=sent)
        self.cookie = sent_back.headers["Set-Cookie"]
        form = {"client_id": "web", "client_secret": "s", "grant_type": "authorization_code"}
        code = dict(parse_qsl(urlsplit(sent_back.headers["Location"]).query))["code"]
        data = {**form, "code": code, "redirect_uri": CALLBACK}
        tokens: dict[str, str] = self.browser.post("/token", data=data).get_json()
        self.tokens = tokens
        return tokens["id_token"]

    def is_logged_in(self) -> bool:
        """Whether the browser needs no login page."""
        return self.authorize().headers["Location"].startswith(CALLBACK)

    def end(self, **sent: Any) -> TestResponse:
        return self.browser.get("/end_session", query_string=sent)

    @property
    def reason(self) -> str:
        return self.fake.journal[-1].reason or ""


@pytest.fixture
def site() -> Site:
    return Site()


def hidden(response: TestResponse) -> dict[str, str]:
    """Return the hidden fields of a page."""
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', response.text)
    return {name: unescape(value) for name, value in found}


def refused(response: TestResponse, name: str) -> bool:
    """Return whether the request was refused for a parameter, and the browser sent nowhere."""
    assert "Location" not in response.headers
    assert "Set-Cookie" not in response.headers
    described = response.get_json()["error_description"]
    return response.status_code == 400 and bool(re.match(rf"{name} is ", described))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_knows_the_user_ends_the_session(site: Site, method: str) -> None:
    hint = site.log_in()
    assert site.is_logged_in()
    sent = {"id_token_hint": hint, "post_logout_redirect_uri": OUT, "state": "a b+c"}
    options: dict[str, Any] = {"query_string" if method == "GET" else "data": sent}
    response = site.browser.open("/end_session", method=method, **options)
    assert response.status_code == 302
    assert response.headers["Location"] == f"{OUT}?state=a%20b%2Bc"
    assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert site.reason == "u-alice logged out"
    assert not site.is_logged_in()
    quiet = site.authorize(prompt="none").headers["Location"]
    assert "error=login_required" in quiet


def test_the_session_ends_and_not_only_its_cookie(site: Site) -> None:
    hint = site.log_in()
    site.end(id_token_hint=hint)
    name, _, value = site.cookie.partition(";")[0].partition("=")
    site.browser.set_cookie(name, value)
    assert not site.is_logged_in()


def test_tokens_live_on(site: Site) -> None:
    site.end(id_token_hint=site.log_in())
    headers = {"Authorization": f"Bearer {site.tokens['access_token']}"}
    assert site.browser.get("/userinfo", headers=headers).status_code == 200
    form = {"client_id": "web", "client_secret": "s", "grant_type": "refresh_token"}
    form["refresh_token"] = site.tokens["refresh_token"]
    assert site.browser.post("/token", data=form).status_code == 200


def test_without_state_and_uri_there_is_a_page(site: Site) -> None:
    hint = site.log_in()
    without_state = site.end(id_token_hint=hint, post_logout_redirect_uri=OUT)
    assert without_state.headers["Location"] == OUT
    page = site.end(id_token_hint=hint, state="x")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "<h1>You are logged out</h1>" in page.text
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "Max-Age=0" in page.headers["Set-Cookie"]
    assert site.reason == "no user was logged in in this browser"


def test_a_uri_keeps_its_own_query(site: Site) -> None:
    uri = "https://app.example/bye?from=web"
    response = site.end(client_id="web", post_logout_redirect_uri=uri, state="x")
    assert response.headers["Location"] == f"{uri}&state=x"


# The question


@pytest.mark.parametrize("sent", [{}, {"client_id": "web"}, {"state": "x", "client_id": "web"}])
def test_without_a_hint_the_user_is_asked(site: Site, sent: dict[str, str]) -> None:
    site.log_in()
    page = site.end(**sent)
    assert (page.status_code, "Set-Cookie" in page.headers) == (200, False)
    assert "<h1>Log out</h1>" in page.text
    assert "<code>alice</code>" in page.text
    assert ("<code>web</code>" in page.text) == ("client_id" in sent)
    assert 'action="end_session"' in page.text
    assert hidden(page) == sent
    assert site.reason == "asks u-alice whether to log out"
    assert site.is_logged_in()
    over = site.browser.post("/end_session", data={**hidden(page), "confirm": "yes"})
    assert "<h1>You are logged out</h1>" in over.text
    assert not site.is_logged_in()


def test_the_answer_sends_the_browser_back(site: Site) -> None:
    site.log_in()
    sent = {"client_id": "web", "post_logout_redirect_uri": OUT, "state": '"<&'}
    page = site.end(**sent)
    assert hidden(page) == sent
    assert "form-action 'self' https://app.example" in page.headers["Content-Security-Policy"]
    over = site.browser.post("/end_session", data={**hidden(page), "confirm": "yes"})
    assert over.headers["Location"] == f"{OUT}?state=%22%3C%26"


def test_the_user_is_asked_if_the_hint_is_for_another_user(site: Site) -> None:
    hint = site.log_in(BOB)
    site.end(id_token_hint=hint)
    site.log_in(ALICE)
    page = site.end(id_token_hint=hint)
    assert "<code>alice</code>" in page.text
    assert site.is_logged_in()
    site.browser.post("/end_session", data={**hidden(page), "confirm": "yes"})
    assert not site.is_logged_in()


def test_the_answer_is_not_in_a_url(site: Site) -> None:
    site.log_in()
    assert "<h1>Log out</h1>" in site.end(confirm="yes").text


def test_a_user_who_was_deleted_is_asked_by_sub(site: Site) -> None:
    site.log_in()
    site.fake.replace_users([])
    assert "<code>u-alice</code>" in site.end().text


def test_a_browser_that_a_test_has_logged_in_is_not_asked_and_stays_logged_in(site: Site) -> None:
    site.log_in()
    site.fake.login("bob")
    response = site.end(client_id="web", post_logout_redirect_uri=OUT)
    assert response.headers["Location"] == OUT
    assert site.reason == (
        "u-alice logged out; u-bob stays logged in in every browser, because the test said so"
    )
    assert site.is_logged_in()
    site.fake.logout()
    assert not site.is_logged_in()


# The hint


def test_the_hint_can_have_expired_and_be_signed_by_a_former_key(site: Site) -> None:
    hint = site.log_in()
    site.fake.clock.advance(7200)
    site.fake.rotate_keys()
    site.fake.clock.advance(-7200)
    assert "Location" in site.end(id_token_hint=hint, post_logout_redirect_uri=OUT).headers


def signed(token: str, **changes: Any) -> str:
    """Return a token with other claims, signed by the key of the server."""
    header, members = decode(token)
    kept = {name: value for name, value in {**members, **changes}.items() if value is not None}
    return encode(header, kept, key_ring().signing, RFC().write_jwt_json)


def test_the_question_names_the_client() -> None:
    site = Site(clients=[replace(WEB, name="A <shop>"), OTHER])
    site.log_in()
    asked = site.end(client_id="web").text
    assert "<strong>A &lt;shop&gt;</strong> (<code>web</code>)" in asked


def test_a_hint_that_is_not_an_id_token_of_this_server(site: Site) -> None:
    hint = site.log_in()
    wrong = {
        "x": "not an ID token of this server: not three segments",
        f"{hint[:-8]}AAAAAAAA": "not an ID token of this server: the signature does not match",
        site.tokens["access_token"]: "not an ID token of this server: an access token",
        signed(hint, iss="https://evil.example"): "an ID token of issuer 'https://evil.example'",
        signed(hint, sub=7): "an ID token without sub",
    }
    for value, reason in wrong.items():
        assert refused(site.end(id_token_hint=value), "id_token_hint")
        assert site.reason.startswith(f"id_token_hint is {reason}")
    assert site.is_logged_in()


def test_the_hint_says_which_client_asks(site: Site) -> None:
    hint = site.log_in()
    uri = "https://other.example"
    assert refused(
        site.end(id_token_hint=hint, post_logout_redirect_uri=uri), "post_logout_redirect_uri"
    )
    assert refused(site.end(id_token_hint=hint, client_id="other"), "client_id")
    assert site.reason == "client_id other is not in the aud of id_token_hint, 'web'"
    assert site.is_logged_in()
    shared = signed(hint, aud=["web", "other"])
    assert (
        "Location"
        in site.end(id_token_hint=shared, client_id="other", post_logout_redirect_uri=uri).headers
    )


@pytest.mark.parametrize(
    ("audience", "is_known"),
    [("web", True), (["web"], True), ([], False), (None, False), ([7], False)],
)
def test_a_hint_without_azp_is_of_its_first_audience(
    site: Site, audience: Any, *, is_known: bool
) -> None:
    hint = signed(site.log_in(), azp=None, aud=audience)
    response = site.end(id_token_hint=hint, post_logout_redirect_uri=OUT)
    assert ("Location" in response.headers) == is_known


def test_read_id_token_returns_the_claims(site: Site) -> None:
    hint = site.log_in()
    here = realm(dialect=RFC())
    here.issuer = "http://localhost"
    assert read_id_token(here, hint) == claims(hint)
    here.issuer = "http://127.0.0.1"
    with pytest.raises(InvalidTokenError, match="of issuer 'http://localhost'"):
        read_id_token(here, hint)


# The client, and where the browser is sent


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/",
        f"{OUT}/",
        f"{OUT}?x=1",
        "https://app.example",
        "http://localhost/out",
    ],
)
def test_a_uri_that_is_not_registered_is_never_used(site: Site, uri: str) -> None:
    hint = site.log_in()
    for sent in ({"client_id": "web"}, {"id_token_hint": hint}):
        assert refused(site.end(post_logout_redirect_uri=uri, **sent), "post_logout_redirect_uri")
    assert site.reason.startswith(f"post_logout_redirect_uri {uri!r} is not registered; ")
    assert site.is_logged_in()


def test_a_loopback_address_matches_on_any_port(site: Site) -> None:
    uri = "http://127.0.0.1:4711/out"
    response = site.end(client_id="web", post_logout_redirect_uri=uri)
    assert response.headers["Location"] == uri


def test_without_a_client_the_uri_is_ignored(site: Site) -> None:
    page = site.end(post_logout_redirect_uri="https://evil.example/")
    assert page.status_code == 200
    assert site.reason.endswith("; post_logout_redirect_uri ignored, because no client is named")
    assert "The server ignored <code>post_logout_redirect_uri</code>" in page.text
    assert f'<code lang="en">{site.reason}</code>' in page.text
    assert "evil.example" not in page.text
    assert "ignored" not in site.end().text


def test_the_page_after_a_logout_links_to_the_console() -> None:
    site = Site(control=True)
    link = "This request in the console</a>"
    assert link in site.end(post_logout_redirect_uri="https://evil.example/").text
    assert link not in site.end().text


def test_an_unknown_or_disabled_client_is_refused(site: Site) -> None:
    hint = site.log_in()
    assert refused(site.end(client_id="nobody"), "client_id")
    site.fake.replace_clients([replace(WEB, enabled=False)])
    assert refused(site.end(id_token_hint=hint), "client_id")
    assert site.reason == "client web disabled"


@pytest.mark.parametrize(
    "name", ["id_token_hint", "client_id", "post_logout_redirect_uri", "state", "logout_hint"]
)
def test_a_parameter_twice_is_refused(site: Site, name: str) -> None:
    site.log_in()
    assert refused(site.end(**{name: ["a", "b"]}), name)
    assert site.is_logged_in()


def test_ciam_has_its_own_logout_alone(site: Site) -> None:
    ciam = Site(dialect="ciam")
    assert ciam.browser.get("/end_session").status_code == 404
    assert "end_session_endpoint" not in ciam.fake.metadata()
    assert site.fake.metadata()["end_session_endpoint"] == "http://localhost/end_session"
    assert site.browser.get("/logout").status_code == 404


def test_over_a_socket() -> None:
    with FakeOAuth(Site().fake.settings) as server, httpx.Client() as client:
        document = client.get(f"{server.url}/.well-known/openid-configuration").json()
        tokens = server.issue_tokens("alice", "web")
        sent = {"id_token_hint": tokens.id_token or "", "post_logout_redirect_uri": OUT}
        response = client.get(document["end_session_endpoint"], params=sent)
        assert (response.status_code, response.headers["Location"]) == (302, OUT)
        (exchange,) = [one for one in server.journal if one.endpoint == "end_session"]
        assert str(tokens.id_token) not in str(exchange)
