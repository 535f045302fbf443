"""The journal: what was asked and answered, and why."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import Exchange, FakeOAuth, Settings
from fake_oauth.journal import Journal
from fake_oauth.provider.request import Parameters
from tests.support.client import ask, basic, form

FROZEN = Settings(start_time=1636449231, freeze_time=True, seed=0)


def test_an_exchange_is_decoded() -> None:
    fake = FakeOAuth(FROZEN)
    ask(fake, form(refresh_token="x", extra=["1", "2"]))
    (exchange,) = fake.journal
    assert (exchange.number, exchange.at) == (1, 1636449231)
    assert (exchange.method, exchange.path, exchange.endpoint) == (
        "POST",
        "/oauth2/token",
        "token",
    )
    assert (exchange.grant_type, exchange.client_id) == ("refresh_token", "TENANT_CLIENT_ID")
    assert exchange.form["refresh_token"] == "x"
    assert exchange.form.all("extra") == ("1", "2")
    assert repr(exchange.form).startswith("Parameters({'client_id': 'TENANT_CLIENT_ID'")
    assert (exchange.status, exchange.error) == (400, "invalid_grant")
    assert exchange.reply == {"error": "invalid_grant"}
    assert exchange.reason == "refresh token unknown"


def test_what_is_not_there_is_none() -> None:
    fake = FakeOAuth(FROZEN)
    ask(fake, form(client_id=None, client_secret=None, grant_type=None))
    exchange = fake.journal[0]
    assert (exchange.client_id, exchange.grant_type) == (None, None)
    assert (exchange.reply, exchange.error) == (None, None)


def test_a_client_is_known_by_its_basic_credentials_too() -> None:
    fake = FakeOAuth(FROZEN)
    ask(fake, form(client_id=None, client_secret=None), headers=basic("someone", "x"))
    assert fake.journal[0].client_id == "someone"


def test_the_query_is_kept_apart() -> None:
    fake = FakeOAuth(FROZEN)
    WSGIClient(fake).get("/oauth2/jwks?a=b")
    exchange = fake.journal[0]
    assert (exchange.path, dict(exchange.query)) == ("/oauth2/jwks", {"a": "b"})
    assert exchange.endpoint == "jwks"


def test_the_transcript_shortens_tokens_and_leaves_out_secrets() -> None:
    fake = FakeOAuth(FROZEN)
    ask(fake, form(scope="openid"))
    ask(fake, form(refresh_token="short"))
    WSGIClient(fake).get("/oauth2/jwks")
    WSGIClient(fake).get("/oauth2/introspect")
    assert str(fake.journal).splitlines() == [
        "#1 09:13:51 POST /oauth2/token -> 200 [refresh_token, TENANT_CLIENT_ID] "
        "refreshed, same refresh token; issued MOCK_USERNAME/preconfigured1 r1 a1; "
        "client_secret=*** refresh_token=MOCK_USERNAME/preconfigured1 r1 scope=openid",
        "#2 09:13:51 POST /oauth2/token -> 400 invalid_grant [refresh_token, TENANT_CLIENT_ID] "
        "refresh token unknown; client_secret=*** refresh_token=s…",
        "#3 09:13:51 GET /oauth2/jwks -> 200 public keys",
        "#4 09:13:51 GET /oauth2/introspect -> 404 not_found /oauth2/introspect is not served",
    ]


def test_what_a_client_sends_cannot_steer_a_terminal() -> None:
    fake = FakeOAuth(FROZEN)
    ask(fake, form(client_id="\x1b[2Jx\n"))
    assert "\\x1b[2Jx\\n" in str(fake.journal)
    assert "\x1b" not in str(fake.journal)


def test_a_request_that_was_never_answered_shows_as_such() -> None:
    fake = FakeOAuth(FROZEN)
    ask(fake)
    exchange = fake.journal[0]
    exchange.status = None
    assert "-> no response" in str(exchange)


def test_the_journal_is_a_bounded_sequence() -> None:
    fake = FakeOAuth(FROZEN.changed(journal_limit=2))
    for value in ("a", "b", "c"):
        ask(fake, form(refresh_token=value))
    assert len(fake.journal) == 2
    assert [exchange.number for exchange in fake.journal] == [2, 3]
    assert fake.journal[0].form["refresh_token"] == "b"
    assert [exchange.number for exchange in fake.journal[-1:]] == [3]
    assert str(fake.journal).startswith("(1 earlier exchanges are not shown)\n#2 ")
    with pytest.raises(IndexError):
        fake.journal[2]


def test_a_watcher_sees_every_exchange_as_it_is_answered() -> None:
    seen: list[Exchange] = []
    fake = FakeOAuth(FROZEN, watch=seen.append)
    ask(fake)
    assert [exchange.status for exchange in seen] == [200]
    assert seen == list(fake.journal)


def test_a_journal_shows_how_long_it_is() -> None:
    fake = FakeOAuth(FROZEN)
    ask(fake)
    assert repr(fake.journal) == "<Journal of 1 exchanges>"


def test_a_response_to_a_request_that_is_forgotten_is_not_counted() -> None:
    journal = Journal(limit=1, limit_bytes=1_000_000)
    arrived: dict[str, Any] = dict.fromkeys(("endpoint", "client_id"))
    arrived |= {
        "at": 0.0,
        "method": "POST",
        "path": "/",
        "form": Parameters(),
        "query": Parameters(),
    }
    first, second = journal.arrived(**arrived), journal.arrived(**arrived)
    journal.answered(first, 200, b"x" * 2_000_000, "late", at=1.0)
    assert list(journal) == [second]
    assert journal.forgotten == 1
