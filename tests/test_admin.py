"""What a test does to tokens and users behind a client's back, and the resource that minds it."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import Client as WSGIClient
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, FakeOAuthError, Settings, TokenSet, User, faults
from tests.support.client import ask

CALLBACK = "https://web.example/callback"
SETTINGS = Settings(
    clients=[Client(client_id="web", client_secret="s3cret", redirect_uris=[CALLBACK])],
    users=[User(sub="u-1", username="alice", password="pw"), User(sub="u-2", username="bob")],
    refresh_policy="rotate",
    seed=1,
)
SECRET = {"client_id": "web", "client_secret": "s3cret"}


@pytest.fixture
def fake() -> FakeOAuth:
    return FakeOAuth(SETTINGS)


def refresh(fake: FakeOAuth, tokens: TokenSet) -> TestResponse:
    token = tokens.refresh_token
    return ask(fake, {**SECRET, "grant_type": "refresh_token", "refresh_token": token})


def redeem(fake: FakeOAuth, code: str) -> TestResponse:
    asked = {**SECRET, "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    return ask(fake, asked)


def call(fake: FakeOAuth, token: str | None, method: str = "GET", **options: Any) -> TestResponse:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return WSGIClient(fake).open("/resource", method=method, headers=headers, **options)


def reason(fake: FakeOAuth) -> str | None:
    return fake.journal[-1].reason


def test_a_refresh_token_expires_when_told_and_no_other(fake: FakeOAuth) -> None:
    first, second = fake.issue_tokens("alice"), fake.issue_tokens("alice")
    fake.expire(first.refresh_token or "")
    assert refresh(fake, first).status_code == 400
    assert reason(fake) == "refresh token expired 0 s ago"
    assert refresh(fake, second).status_code == 200
    fake.expire("alice/2 r2")
    fake.expire("alice/1 a1")
    assert call(fake, first.access_token).status_code == 401
    assert call(fake, second.access_token).status_code == 200


def test_an_access_token_expires_when_told_and_then_is_not_fresh(fake: FakeOAuth) -> None:
    fake.clock.freeze()
    tokens = fake.issue_tokens("alice")
    received = refresh(fake, tokens).json
    assert received is not None
    fake.expire(received["access_token"])
    assert call(fake, received["access_token"]).status_code == 401
    assert reason(fake) == "access token expired 0 s ago"
    assert fake.journal[-1].fresh_until == fake.clock.now()
    # Tokens that the client did not receive in a response change nothing about what is fresh.
    fake.issue_tokens("alice")
    fake.expire("alice/1 a1")
    call(fake, tokens.access_token)
    assert fake.journal[-1].fresh_until == fake.clock.now()


def test_a_code_expires_and_is_revoked_when_told(fake: FakeOAuth) -> None:
    codes = [fake.issue_code("alice", redirect_uri=CALLBACK) for _ in range(3)]
    fake.expire(codes[0])
    fake.revoke("alice/2 c1")
    assert [redeem(fake, code).status_code for code in codes] == [400, 400, 200]
    assert [exchange.reason for exchange in fake.journal[:2]] == [
        "code expired 0 s ago",
        "code revoked by the test",
    ]


def test_revoking_is_what_the_revocation_endpoint_does(fake: FakeOAuth) -> None:
    first, second = fake.issue_tokens("alice"), fake.issue_tokens("alice")
    fake.revoke(first.access_token)
    assert call(fake, first.access_token).status_code == 401
    assert reason(fake) == "access token revoked by the test"
    assert refresh(fake, first).status_code == 200
    fake.revoke("alice/2 r1")
    assert refresh(fake, second).status_code == 400
    assert reason(fake) == "refresh token revoked by the test"
    assert call(fake, second.access_token).status_code == 401


def test_an_unknown_token_is_told(fake: FakeOAuth) -> None:
    for move in (fake.expire, fake.revoke):
        with pytest.raises(FakeOAuthError, match="unknown token 'alice/1 r9'; pass a "):
            move("alice/1 r9")


def test_all_of_one_user_is_revoked(fake: FakeOAuth) -> None:
    first, second, bobs = (
        fake.issue_tokens("alice"),
        fake.issue_tokens("alice"),
        fake.issue_tokens("bob"),
    )
    code = fake.issue_code("alice", redirect_uri=CALLBACK)
    refresh(fake, second)
    fake.login("alice")
    browser = WSGIClient(fake)
    query = {"client_id": "web", "response_type": "code", "redirect_uri": CALLBACK}
    where = browser.get("/oauth2/authorize", query_string=query).headers["Location"]
    assert where.startswith(CALLBACK)
    fake.revoke_user("alice")
    assert [refresh(fake, first).status_code, redeem(fake, code).status_code] == [400, 400]
    assert call(fake, first.access_token).status_code == 401
    assert refresh(fake, bobs).status_code == 200
    assert call(fake, bobs.access_token).status_code == 200
    where = browser.get("/oauth2/authorize", query_string=query).headers["Location"]
    assert "/portal/login" in where
    assert refresh(fake, fake.issue_tokens("alice")).status_code == 200


def test_revoking_a_user_ends_the_sessions_in_browsers(fake: FakeOAuth) -> None:
    query = {"client_id": "web", "response_type": "code", "redirect_uri": CALLBACK}
    subs = {"alice": "u-1", "bob": "u-2"}
    browsers = {name: WSGIClient(fake) for name in subs}

    def authorize(name: str) -> str:
        reply = browsers[name].get("/oauth2/authorize", query_string=query)
        return reply.headers["Location"]

    for name, browser in browsers.items():
        p_state = authorize(name).partition("p_state=")[2]
        browser.post("/portal/login", data={"p_state": p_state, "sub": subs[name]})
        assert authorize(name).startswith(CALLBACK)
    fake.login("bob")
    fake.revoke_user("alice")
    fake.logout()
    assert "/portal/login" in authorize("alice")
    assert authorize("bob").startswith(CALLBACK)


def test_a_frozen_user_neither_logs_in_nor_refreshes(fake: FakeOAuth) -> None:
    tokens = fake.issue_tokens("alice")
    fake.freeze_user("alice")
    assert refresh(fake, tokens).json == {
        "error": "invalid_grant",
        "error_description": "Abnormal user status",
    }
    assert reason(fake) == "user alice is frozen"
    with pytest.raises(FakeOAuthError, match="user 'alice' is frozen; call unfreeze_user first"):
        fake.login("alice")
    fake.unfreeze_user("alice")
    assert refresh(fake, tokens).status_code == 200


def test_a_user_is_deleted_in_mid_life(fake: FakeOAuth) -> None:
    tokens = fake.issue_tokens("alice")
    fake.delete_user("alice")
    assert refresh(fake, tokens).status_code == 400
    assert reason(fake) == "user u-1 was deleted"
    fake.delete_user("bob")
    assert not fake.settings.users
    with pytest.raises(FakeOAuthError):
        fake.delete_user("bob")


def test_the_resource_lets_a_good_token_in_and_counts(fake: FakeOAuth) -> None:
    tokens = fake.issue_tokens("alice", scope="openid")
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        reply = call(fake, tokens.access_token, method, data=b"\xff any", content_type="x/y")
        assert reply.status_code == 200
        assert reply.json == {"sub": "u-1", "client_id": "web", "scope": "openid"}
    call(fake, None)
    assert (fake.resource.calls, fake.resource.refused) == (5, 1)


def test_the_resource_challenges_as_rfc_6750_says(fake: FakeOAuth) -> None:
    tokens = fake.issue_tokens("alice", scope="openid")
    bare = call(fake, None)
    assert (bare.status_code, bare.data) == (401, b"")
    # Section 3.1: no error code where nothing was presented.
    assert bare.headers["WWW-Authenticate"] == 'Bearer realm="fake_oauth"'
    wrong = call(fake, tokens.refresh_token)
    assert wrong.status_code == 401
    assert wrong.headers["WWW-Authenticate"] == (
        'Bearer realm="fake_oauth", error="invalid_token", '
        'error_description="not an access token of this server"'
    )
    fake.resource.scope = "orders"
    narrow = call(fake, tokens.access_token)
    assert narrow.status_code == 403
    assert narrow.headers["WWW-Authenticate"] == (
        'Bearer realm="fake_oauth", error="insufficient_scope", '
        'scope="orders", error_description="access token without scope orders"'
    )
    assert call(fake, tokens.id_token).status_code == 401


@pytest.mark.parametrize(
    ("ahead", "skew", "status"),
    [(299, 0, 200), (300, 0, 401), (299, 1, 401), (300, -1, 200), (0, 300, 401)],
)
def test_the_resource_has_a_clock_of_its_own(ahead: float, skew: float, status: int) -> None:
    fake = FakeOAuth(
        SETTINGS.changed(start_time=1000, freeze_time=True, resource_skew_seconds=skew)
    )
    tokens = fake.issue_tokens("alice")
    fake.clock.advance(ahead)
    assert call(fake, tokens.access_token).status_code == status


def test_a_tampered_token_is_not_let_in(fake: FakeOAuth) -> None:
    fake.script(faults.BadSignature(), faults.UnknownKey(), faults.AlgNone(), faults.Pass())
    for status in (401, 401, 401, 200):
        reply = refresh(fake, fake.issue_tokens("alice")).json
        assert reply is not None
        assert call(fake, reply["access_token"]).status_code == status


def test_the_resource_has_an_address() -> None:
    with FakeOAuth() as server:
        assert server.resource_url == f"{server.url}/resource"


def test_what_is_remembered_of_former_clients_and_users_is_bounded() -> None:
    fake = FakeOAuth(SETTINGS)
    first = fake.issue_tokens("alice", "web")
    for number in range(300):
        fake.replace_clients([Client(client_id=f"c{number}")])
        fake.replace_users([User(sub=f"u{number}")])
    fake.replace_clients(SETTINGS.clients)
    fake.replace_users(SETTINGS.users)
    realm = fake._realm
    assert len(realm.clients._former) == 100
    assert refresh(fake, first).status_code == 200
    assert fake.issue_tokens("alice", "web").refresh_token
    fake.revoke("alice/2 r1")
    assert fake.issue_tokens("bob", "web").refresh_token
    fake.revoke("bob/1 r1")
