"""The names of tokens: whose log-in, which refresh token, which access token."""

from __future__ import annotations

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import Client, FakeOAuth, Settings, User, faults
from fake_oauth.provider.store import grant_of, together
from tests.support.client import DOCUMENTED, FORM, ask

CALLBACK = "https://web.example/callback"
WEB = Client(client_id="web", client_secret="s3cret", redirect_uris=[CALLBACK])
SETTINGS = Settings(
    clients=[WEB],
    users=[User(sub="u-1", username="alice"), User(sub="u-2")],
    refresh_policy="rotate",
    seed=1,
)
SECRET = {"client_id": "web", "client_secret": "s3cret"}


@pytest.fixture
def fake() -> FakeOAuth:
    return FakeOAuth(SETTINGS)


def refresh(fake: FakeOAuth, token: str | None) -> str:
    """Refreshes, and returns the refresh token of the reply."""
    assert token is not None
    reply = ask(fake, {**SECRET, "grant_type": "refresh_token", "refresh_token": token})
    data = reply.get_json(silent=True)
    return str(data.get("refresh_token")) if isinstance(data, dict) else ""


def test_every_log_in_is_a_tree_of_its_own(fake: FakeOAuth) -> None:
    first, other, second = (
        fake.issue_tokens("alice"),
        fake.issue_tokens("u-2"),
        fake.issue_tokens("alice"),
    )
    for token in (first.refresh_token, other.refresh_token, second.refresh_token):
        refresh(fake, refresh(fake, token))
    assert [exchange.tokens for exchange in fake.journal] == [
        {"refresh_token": f"{who} r{which}"}
        for who in ("alice/1", "u-2/1", "alice/2")
        for which in (1, 2)
    ]
    assert [exchange.issued for exchange in fake.journal][:2] == [
        ("alice/1 r2", "alice/1 a2"),
        ("alice/1 r3", "alice/1 a3"),
    ]


def test_a_token_keeps_its_name_when_it_is_spent(fake: FakeOAuth) -> None:
    first = fake.issue_tokens("alice").refresh_token
    refresh(fake, first)
    refresh(fake, first)
    assert fake.journal[-1].tokens == {"refresh_token": "alice/1 r1"}
    assert fake.journal[-1].issued == ()
    assert "refresh_token=alice/1 r1" in str(fake.journal[-1])


def test_codes_and_access_tokens_are_named_wherever_they_come(fake: FakeOAuth) -> None:
    code = fake.issue_code("alice", redirect_uri=CALLBACK)
    asked = {**SECRET, "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    reply = ask(fake, asked).json
    assert reply is not None
    browser = WSGIClient(fake)
    bearer = {"Authorization": f"Bearer {reply['access_token']}"}
    browser.get("/userinfo", headers=bearer)
    browser.post("/oauth2/revoke", data={**SECRET, "token": reply["access_token"]})
    fake.clock.advance(301)
    browser.get("/userinfo", headers=bearer)
    assert [exchange.tokens for exchange in fake.journal] == [
        {"code": "alice/1 c1"},
        {"bearer": "alice/1 a1"},
        {"token": "alice/1 a1"},
        {"bearer": "alice/1 a1"},
    ]
    assert fake.journal[0].issued == ("alice/1 r1", "alice/1 a1")
    assert "claims of u-1; bearer=alice/1 a1" in str(fake.journal[1])


def test_what_is_planted_is_told_apart_from_log_ins() -> None:
    fake = FakeOAuth()
    ask(fake)
    fake.issue_tokens()
    assert fake.journal[0].issued == (
        "MOCK_USERNAME/preconfigured1 r1",
        "MOCK_USERNAME/preconfigured1 a1",
    )
    ask(fake, {**DOCUMENTED, "refresh_token": fake.issue_tokens().refresh_token})
    assert fake.journal[1].tokens == {"refresh_token": "MOCK_USERNAME/2 r1"}


def test_a_clients_own_tokens_go_by_the_clients_name(fake: FakeOAuth) -> None:
    ask(fake, {**SECRET, "grant_type": "client_credentials"})
    assert fake.journal[0].issued == ("web/1 a1",)


@pytest.mark.parametrize("value", ["nope", "a.b.c", "e30.e30.e30", "e30.W10.x", "..", "e30.ä.x"])
def test_what_was_never_issued_has_no_name(fake: FakeOAuth, value: str) -> None:
    refresh(fake, value)
    WSGIClient(fake).get("/userinfo", query_string={"access_token": value})
    assert [exchange.tokens for exchange in fake.journal] == [{}, {}]


def test_only_what_a_client_can_read_was_given(fake: FakeOAuth) -> None:
    fake.script(
        faults.MissingField("refresh_token"),
        faults.NotJSONBody(),
        faults.Field("refresh_token", 7),
        faults.NotJSONBody("[]"),
    )
    for _ in range(4):
        refresh(fake, fake.issue_tokens("alice").refresh_token)
    assert [exchange.issued for exchange in fake.journal] == [
        ("alice/1 a2",),
        (),
        ("alice/3 a2",),
        (),
    ]


def test_what_is_fresh_is_what_has_reached_the_client() -> None:
    with FakeOAuth(SETTINGS.changed(start_time=1000, freeze_time=True)) as server:
        token = server.issue_tokens("alice").refresh_token
        server.clock.advance(200)
        token = refresh(server, token)
        server.clock.advance(50)
        refresh(server, token)
    assert [exchange.fresh_until for exchange in server.journal] == [None, 1499]


def test_the_answer_says_who_came_before_it(fake: FakeOAuth) -> None:
    refresh(fake, "a")
    refresh(fake, "b")
    assert [exchange.answered_before for exchange in fake.journal] == [2, 3]
    assert fake.journal[0].content_type == FORM
    assert fake.journal[0].response_headers["Content-Type"] == "application/json;charset=UTF-8"


def test_names_in_one_breath() -> None:
    assert together(["alice/1 r2", "alice/1 a3"]) == "alice/1 r2 a3"
    assert together(["a b/1 r2", "c/1 a3"]) == "a b/1 r2, c/1 a3"
    assert grant_of("a b/1 r2") == "a b/1"
