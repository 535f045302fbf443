"""The authorization endpoint as OpenID Connect has it: prompts, ages, hints, and response modes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, Settings, User
from tests.support.client import claims

CALLBACK = "https://example.com/callback"
WEB = Client(client_id="web", client_secret="s", redirect_uris=[CALLBACK], scopes=["openid"])
ALICE = User(sub="u-alice", username="alice", email="alice@example.com")
BOB = User(sub="u-bob", username="bob")
SETTINGS = Settings(
    dialect="rfc",
    clients=[WEB],
    users=[ALICE, BOB],
    refresh_tokens=[],
    issuer="https://issuer.example",
    start_time=1_700_000_000,
    freeze_time=True,
)
ASKED: Mapping[str, str] = {
    "response_type": "code",
    "client_id": "web",
    "redirect_uri": CALLBACK,
    "scope": "openid",
    "state": "S",
}


class Site:
    """A browser at a server."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.server = FakeOAuth(settings)
        self.browser = Browser(self.server)

    def authorize(self, **changes: str) -> TestResponse:
        query = urlencode({**ASKED, **changes})
        return self.browser.get(f"/authorize?{query}", base_url="https://issuer.example")

    def code(self, **changes: str) -> str:
        return received(self.authorize(**changes))["code"]

    def auth_time(self, code: str) -> int:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        tokens = self.browser.post("/token", data=form, auth=("web", "s")).get_json()
        claimed = claims(tokens["id_token"])
        assert claimed["sub"] == "u-alice"
        grant = self.server._realm.store.access_token(tokens["access_token"])
        assert grant is not None
        assert grant.grant.auth_time is not None
        return grant.grant.auth_time

    def pick(self, sub: str, response: TestResponse) -> TestResponse:
        """Pick a user on the login page that a response leads to."""
        location = response.headers["Location"]
        assert "/login?" in location, location
        form = {"p_state": dict(parse_qsl(urlsplit(location).query))["p_state"], "sub": sub}
        return self.browser.post("/login", data=form, base_url="https://issuer.example")

    @property
    def reason(self) -> str:
        return str(self.server.journal[-1].reason)


@pytest.fixture
def site() -> Site:
    return Site()


def received(response: TestResponse) -> dict[str, str]:
    """Return the parameters that the browser takes to the client."""
    location = urlsplit(response.headers["Location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == CALLBACK
    return dict(parse_qsl(location.query))


def error(response: TestResponse) -> str:
    parameters = received(response)
    assert parameters["state"] == "S"
    return parameters["error"]


# prompt


def test_prompt_none_responds_without_a_page(site: Site) -> None:
    assert error(site.authorize(prompt="none")) == "login_required"
    assert site.reason == "no user is logged in, and prompt is none"
    site.server.login("alice")
    assert site.code(prompt="none")
    assert site.reason == "alice is logged in"


def test_prompt_none_sees_the_session_of_the_browser(site: Site) -> None:
    site.pick("u-bob", site.authorize())
    assert site.code(prompt="none")
    assert site.reason == "bob is logged in"


FRAMED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}
NO_COOKIE = (
    "; the browser sent no session cookie: the frame's page and this server are different sites, "
    "such as localhost and 127.0.0.1"
)


@pytest.mark.parametrize(
    ("headers", "note"),
    [
        (FRAMED, NO_COOKIE),
        (FRAMED | {"Sec-Fetch-Site": "same-site"}, ""),
        (FRAMED | {"Sec-Fetch-Dest": "document"}, ""),
        ({}, ""),
    ],
)
def test_a_frame_of_another_site_has_no_session(
    site: Site, headers: dict[str, str], note: str
) -> None:
    site.pick("u-bob", site.authorize())
    stranger = Browser(site.server, use_cookies=False)
    page = "no user is logged in: the login page follows, which login() or auto_login skips"
    silent = "no user is logged in, and prompt is none"
    for prompt, expected in (("none", f"{silent}{note}"), ("", f"{page}{note}")):
        query = urlencode({**ASKED, "prompt": prompt})
        stranger.get(f"/authorize?{query}", headers=headers)
        assert site.reason == expected


def test_a_frame_of_another_site_can_have_a_cookie_and_needs_none(site: Site) -> None:
    query = urlencode({**ASKED, "prompt": "none", "max_age": "0"})
    site.pick("u-bob", site.authorize())
    site.browser.get(f"/authorize?{query}", headers=FRAMED, base_url="https://issuer.example")
    assert site.reason == "the login is 0 s old, and max_age is 0, and prompt is none"
    site.server.login("alice")
    query = urlencode({**ASKED, "prompt": "none"})
    Browser(site.server).get(f"/authorize?{query}", headers=FRAMED)
    assert site.reason == "alice is logged in"


def test_a_frozen_user_is_not_logged_in(site: Site) -> None:
    site.pick("u-bob", site.authorize())
    site.server.freeze_user("bob")
    assert error(site.authorize(prompt="none")) == "login_required"


@pytest.mark.parametrize("prompt", ["login", "select_account", "login consent"])
def test_some_prompts_show_the_page_to_a_user_who_is_logged_in(site: Site, prompt: str) -> None:
    site.pick("u-alice", site.authorize())
    site.server.clock.advance(60)
    response = site.authorize(prompt=prompt)
    assert site.reason.startswith(f"prompt is {prompt}")
    code = received(site.pick("u-alice", response))["code"]
    assert site.auth_time(code) == 1_700_000_060


def test_without_a_page_the_user_logs_in_again(site: Site) -> None:
    site.server.login("alice")
    site.server.clock.advance(60)
    assert site.auth_time(site.code()) == 1_700_000_000
    assert site.auth_time(site.code(prompt="login")) == 1_700_000_060
    assert site.reason == "code exchanged"
    assert site.server.journal[-2].reason == "prompt is login; alice logged in again"


def test_consent_is_noted(site: Site) -> None:
    site.server.login("alice")
    assert site.code(prompt="consent")
    assert site.reason == "alice is logged in; prompt consent accepted, there is no page for it"


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("none login", "prompt 'none login' has none and another value"),
        ("create", "prompt 'create' is not one of none, login, consent, select_account"),
    ],
)
def test_a_prompt_that_says_nothing_is_refused(site: Site, prompt: str, reason: str) -> None:
    assert error(site.authorize(prompt=prompt)) == "invalid_request"
    assert site.reason == reason


# max_age


@pytest.mark.parametrize(
    ("max_age", "parameter"), [("60", "code"), ("59", "error"), ("0", "error")]
)
def test_a_login_can_be_too_old(site: Site, max_age: str, parameter: str) -> None:
    site.pick("u-alice", site.authorize())
    site.server.clock.advance(60)
    silent = received(site.authorize(max_age=max_age, prompt="none"))
    assert parameter in silent
    if parameter == "error":
        assert site.reason == f"the login is 60 s old, and max_age is {max_age}, and prompt is none"
        assert "/login?" in site.authorize(max_age=max_age).headers["Location"]


@pytest.mark.parametrize("max_age", ["-1", "1.5", "x", "9" * 19, "\u0661"])
def test_max_age_is_a_number(site: Site, max_age: str) -> None:
    assert error(site.authorize(max_age=max_age)) == "invalid_request"
    assert site.reason == f"max_age {max_age!r} is not a number of seconds"


# Hints


def page(site: Site, response: TestResponse) -> str:
    path = response.headers["Location"].removeprefix("https://issuer.example")
    return site.browser.get(path, base_url="https://issuer.example").text


@pytest.mark.parametrize("hint", ["bob", "u-bob"])
def test_the_page_begins_with_the_hinted_user(site: Site, hint: str) -> None:
    text = page(site, site.authorize(login_hint=hint))
    assert f'required value="{hint}">' in text
    assert re.findall('name="sub" value="([^"]+)"', text) == ["u-bob", "u-alice"]


def test_a_hint_is_shown_as_text(site: Site) -> None:
    text = page(site, site.authorize(login_hint='"><script>'))
    assert "<script" not in text
    assert re.findall('name="sub" value="([^"]+)"', text) == ["u-alice", "u-bob"]


def test_a_login_of_another_user_than_the_hinted_one_is_not_used(site: Site) -> None:
    site.pick("u-alice", site.authorize())
    site.server.clock.advance(10**6)
    hint = str(site.server.issue_tokens("bob").id_token)
    site.server.clock.advance(10**6)
    site.pick("u-alice", site.authorize())
    assert error(site.authorize(id_token_hint=hint, prompt="none")) == "login_required"
    assert site.reason.startswith("u-alice is logged in, and id_token_hint is for u-bob")
    assert 'required value="bob"' in page(site, site.authorize(id_token_hint=hint))
    own = str(site.server.issue_tokens("alice").id_token)
    assert site.code(id_token_hint=own, prompt="none")


def test_nobody_logs_in_as_another_user_without_a_page(site: Site) -> None:
    site.server.login("alice")
    hint = str(site.server.issue_tokens("bob").id_token)
    assert "/login?" in site.authorize(id_token_hint=hint).headers["Location"]


def test_a_hint_of_another_server_is_refused(site: Site) -> None:
    assert error(site.authorize(id_token_hint="x.y.z")) == "invalid_request"
    assert site.reason.startswith("id_token_hint is not an ID token of this server: ")
    other = FakeOAuth(replace(SETTINGS, issuer="https://other.example"))
    hint = str(other.issue_tokens("bob").id_token)
    assert error(site.authorize(id_token_hint=hint)) == "invalid_request"
    expected = "id_token_hint is an ID token of issuer 'https://other.example'"
    assert site.reason == expected


# Response modes


def test_the_response_is_in_the_fragment(site: Site) -> None:
    site.server.login()
    location = site.authorize(response_mode="fragment").headers["Location"]
    assert location.startswith(f"{CALLBACK}#code=")
    assert location.endswith("&state=S")


@pytest.mark.parametrize("state", ["S", "<\"'&> +%\u00e9", "a+b/c d%2F"])
def test_the_response_is_in_a_form(site: Site, state: str) -> None:
    site.server.login()
    response = site.authorize(response_mode="form_post", state=state)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.content_type == "text/html;charset=UTF-8"
    assert f'action="{CALLBACK}"' in response.text
    fields = dict(re.findall('name="([^"]+)" value="([^"]*)"', response.text))
    assert list(fields) == ["code", "state"]
    assert unescape(fields["state"]) == state
    policy = response.headers["Content-Security-Policy"]
    assert "form-action https://example.com" in policy
    assert "frame-ancestors" not in policy


def test_an_error_is_in_the_form_too(site: Site) -> None:
    response = site.authorize(response_mode="form_post", prompt="none")
    assert re.findall('name="([^"]+)"', response.text)[1:] == [
        "error",
        "error_description",
        "state",
    ]
    assert site.server.journal[-1].cause == "login_required"


def test_the_mode_outlives_the_login_page(site: Site) -> None:
    response = site.pick("u-alice", site.authorize(response_mode="form_post"))
    assert response.status_code == 200
    assert "Set-Cookie" in response.headers
    assert site.server._realm.store.codes


def test_an_unknown_mode_is_refused(site: Site) -> None:
    assert error(site.authorize(response_mode="web_message")) == "invalid_request"


# Other parameters


@pytest.mark.parametrize("name", ["request", "request_uri", "registration"])
def test_what_is_not_supported_is_refused_by_name(site: Site, name: str) -> None:
    assert error(site.authorize(**{name: "x"})) == f"{name}_not_supported"
    assert site.reason == f"{name} is not supported"


@pytest.mark.parametrize("name", ["ui_locales", "acr_values", "display", "claims", "whatever"])
def test_everything_else_is_ignored(site: Site, name: str) -> None:
    site.server.login()
    assert site.code(**{name: "x"})


def test_a_request_can_be_posted(site: Site) -> None:
    site.server.login()
    code = received(site.browser.post("/authorize", data=ASKED))["code"]
    assert code
    assert "error" in received(site.browser.post("/authorize", data={**ASKED, "prompt": "x"}))


@pytest.mark.parametrize("repeated", ["state", "prompt", "max_age", "login_hint", "client_id"])
def test_a_parameter_that_is_sent_twice_is_shown(site: Site, repeated: str) -> None:
    query = urlencode([*ASKED.items(), (repeated, "1"), (repeated, "2")])
    response = site.browser.get(f"/authorize?{query}")
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("state", [" ", "a+b", "%2B", "".join(map(chr, range(0x20, 0x7F)))])
def test_the_state_comes_back_as_it_was_sent(site: Site, state: str) -> None:
    site.server.login()
    assert received(site.authorize(state=state))["state"] == state


def test_a_plus_that_is_not_escaped_is_noted() -> None:
    site = Site(replace(SETTINGS, dialect="ciam"))
    site.server.login()
    for state, is_noted in (("a+b", True), ("ab", False)):
        site.browser.get(f"/oauth2/authorize?{urlencode({**ASKED, 'state': state})}")
        note = "; the + in state is not escaped, and a form decoder reads a space"
        assert site.reason.endswith(note) is is_noted


# iss


@pytest.mark.parametrize("changes", [{}, {"prompt": "none login"}, {"response_mode": "fragment"}])
def test_every_response_has_the_issuer(changes: dict[str, Any]) -> None:
    site = Site(replace(SETTINGS, authorization_response_iss=True))
    site.server.login()
    location = urlsplit(site.authorize(**changes).headers["Location"])
    parameters = dict(parse_qsl(location.query or location.fragment))
    assert parameters["iss"] == "https://issuer.example"
    assert site.server.metadata()["authorization_response_iss_parameter_supported"] is True


def test_by_default_no_response_has_the_issuer(site: Site) -> None:
    site.server.login()
    assert list(received(site.authorize())) == ["code", "state"]
    assert site.server.metadata()["authorization_response_iss_parameter_supported"] is False
