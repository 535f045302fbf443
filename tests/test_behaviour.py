"""What a client does wrong is found, what it does right is not, and nothing proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import Client as WSGIClient
from werkzeug.test import TestResponse

from fake_oauth import BehaviourError, Client, FakeOAuth, RefreshPolicy, Settings, User, faults
from fake_oauth.behaviour.checks import CHECKS
from tests.asking import ask

CALLBACK = "https://web.example/callback"
WEB = Client(client_id="web", client_secret="s3cret", redirect_uris=[CALLBACK])
SETTINGS = Settings(
    clients=[WEB],
    users=[User(sub="u-1", username="alice"), User(sub="u-2", username="bob")],
    start_time=1_700_000_000,
    freeze_time=True,
    seed=1,
)
SECRET = {"client_id": "web", "client_secret": "s3cret"}
MINUTE = 60


class App:
    """A client that does what it is told, right or wrong."""

    def __init__(self, **changes: Any) -> None:
        self.fake = FakeOAuth(SETTINGS.changed(**changes))
        tokens = self.fake.issue("alice")
        self.token, self.access_token = tokens.refresh_token or "", tokens.access_token
        self.assertions = self.fake.assert_client

    def refresh(self, token: str | None = None, **more: str) -> TestResponse:
        """Refreshes, with the latest token or another one."""
        sent = self.token if token is None else token
        form = {**SECRET, "grant_type": "refresh_token", "refresh_token": sent, **more}
        reply = ask(self.fake, form)
        data = reply.get_json(silent=True) or {}
        self.token = data.get("refresh_token", self.token)
        self.access_token = data.get("access_token", self.access_token)
        return reply

    def wait(self, seconds: float) -> None:
        self.fake.clock.advance(seconds)

    def call(self, token: str | None = None) -> int:
        headers = {"Authorization": f"Bearer {token or self.access_token}"}
        return WSGIClient(self.fake).get("/resource", headers=headers).status_code

    def at_once(self, *tokens: str, order: list[int]) -> list[int]:
        """Refreshes with these tokens, all under way at once."""
        with ThreadPoolExecutor() as pool, self.fake.barrier(len(tokens), order=order):
            sent = [pool.submit(self.refresh, token) for token in tokens]
        return [future.result().status_code for future in sent]

    def found(self) -> list[str]:
        return [str(finding) for finding in self.fake.misbehaviour()]


def fails(assertion: Callable[[], None], *sentences: str) -> None:
    """The assertion fails with these sentences, and shows what came in."""
    with pytest.raises(AssertionError) as caught:
        assertion()
    assert isinstance(caught.value, BehaviourError)
    assert tuple(map(str, caught.value.findings)) == sentences
    assert "\n#1 " in str(caught.value)


def proves_nothing(assertion: Callable[[], None], why: str) -> None:
    with pytest.raises(BehaviourError, match=f"^nothing to judge: {why}"):
        assertion()


def test_a_sound_client_behaves() -> None:
    app = App(rotate_refresh_tokens=True)
    for _ in range(3):
        app.wait(300)
        assert app.refresh().status_code == 200
        assert app.call() == 200
    app.assertions.never_presented_a_spent_token()
    app.assertions.refreshed_once_per_expiry()
    app.assertions.refreshed_only_when_needed()
    app.assertions.used_the_latest_refresh_token()
    app.assertions.sent_no_secret_in_a_url()
    app.assertions.behaved()


def test_an_assertion_that_met_nothing_does_not_pass() -> None:
    app = App()
    proves_nothing(app.assertions.never_presented_a_spent_token, "no refresh came")
    proves_nothing(app.assertions.refreshed_once_per_expiry, "no refresh came")
    proves_nothing(app.assertions.refreshed_only_when_needed, "no refresh came")
    proves_nothing(app.assertions.sent_no_secret_in_a_url, "no request came\nno request arrived")
    app.refresh()
    proves_nothing(app.assertions.stopped_after_a_terminal_error, "no refresh was refused")
    proves_nothing(app.assertions.honoured_retry_after, "no reply had a Retry-After")
    proves_nothing(app.assertions.backed_off, "nobody came again after a failure")
    proves_nothing(app.assertions.kept_its_refresh_token, "no refresh came after a reply without")
    proves_nothing(app.assertions.used_the_latest_refresh_token, "no second refresh came")


def test_a_spent_token_is_found() -> None:
    app = App(rotate_refresh_tokens=True)
    first = app.token
    app.wait(300)
    app.refresh()
    app.refresh(first)
    fails(
        app.assertions.never_presented_a_spent_token,
        "request 2 presented alice/1 r1, for which request 1 had been given alice/1 r2",
    )


def test_a_spent_token_is_no_fault_of_a_client_that_never_got_its_successor() -> None:
    with FakeOAuth(SETTINGS.changed(rotate_refresh_tokens=True)) as server:
        token = server.issue("alice").refresh_token
        form = {**SECRET, "grant_type": "refresh_token", "refresh_token": token}
        server.script(faults.Missing("refresh_token"))
        assert [ask(server, form).status_code for _ in range(2)] == [200, 400]
        server.assert_client.never_presented_a_spent_token()


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_two_refreshes_at_once_are_found_whoever_wins(order: list[int]) -> None:
    app = App(rotate_refresh_tokens=True)
    app.wait(300)
    assert sorted(app.at_once(app.token, app.token, order=order)) == [200, 400]
    winner, loser = (1, 2) if order == [0, 1] else (2, 1)
    fails(
        app.assertions.never_presented_a_spent_token,
        f"request {loser} presented alice/1 r1, for which request {winner} had been given "
        "alice/1 r2",
    )
    fails(
        app.assertions.refreshed_once_per_expiry,
        "request 2 refreshed alice/1 while request 1 did",
    )


def test_refreshes_of_different_log_ins_at_once_are_right() -> None:
    app = App(rotate_refresh_tokens=True)
    other = app.fake.issue("bob").refresh_token or ""
    app.wait(300)
    assert app.at_once(app.token, other, order=[1, 0]) == [200, 200]
    app.assertions.refreshed_once_per_expiry()
    app.assertions.never_presented_a_spent_token()


def test_a_refresh_for_each_caller_is_found_without_rotation_too() -> None:
    app = App()
    app.wait(300)
    for _ in range(3):
        app.refresh()
    fails(
        app.assertions.refreshed_once_per_expiry,
        "request 2 refreshed alice/1, as request 1 just had",
        "request 3 refreshed alice/1, as request 2 just had",
    )


def test_a_failed_or_lost_refresh_may_be_repeated() -> None:
    app = App(refresh_policy=RefreshPolicy(rotate=True, grace_seconds=30))
    app.wait(300)
    app.fake.script(faults.Status(503), faults.NotJSON(), faults.ok)
    assert [app.refresh().status_code for _ in range(3)] == [503, 200, 200]
    app.assertions.refreshed_once_per_expiry()
    app.assertions.never_presented_a_spent_token()


def test_two_failures_at_once_refresh_nothing() -> None:
    app = App()
    app.wait(300)
    app.fake.script(faults.Status(503), faults.Status(503))
    assert app.at_once(app.token, app.token, order=[0, 1]) == [503, 503]
    app.assertions.refreshed_once_per_expiry()


def test_a_refresh_that_failed_while_another_did_not_is_found() -> None:
    with FakeOAuth(SETTINGS) as server:
        app = App()
        app.fake, app.assertions = server, server.assert_client
        app.token = server.issue("alice").refresh_token or ""
        server.clock.advance(300)
        with server.barrier(2), ThreadPoolExecutor() as pool:
            server.script(faults.Status(503))
            sent = [pool.submit(app.refresh) for _ in range(2)]
        assert sorted(future.result().status_code for future in sent) == [200, 503]
        fails(
            app.assertions.refreshed_once_per_expiry,
            "request 2 refreshed alice/1 while request 1 did",
        )


def test_a_refresh_in_time_is_right_and_one_too_early_is_found() -> None:
    app = App()
    app.wait(300 - MINUTE)
    app.refresh()
    app.assertions.refreshed_only_when_needed()
    app.wait(100)
    app.refresh()
    fails(
        app.assertions.refreshed_only_when_needed,
        "request 2 refreshed alice/1, whose access token was good for 200 s",
    )
    app.assertions.refreshed_only_when_needed(leeway_seconds=200)
    fails(
        lambda: app.assertions.refreshed_only_when_needed(leeway_seconds=0),
        "request 1 refreshed alice/1, whose access token was good for 60 s",
        "request 2 refreshed alice/1, whose access token was good for 200 s",
    )


def test_short_lived_tokens_may_be_refreshed_when_half_their_life_is_over() -> None:
    app = App(access_token_seconds=40)
    app.wait(40)
    app.refresh()
    app.wait(20)
    app.refresh()
    app.assertions.refreshed_once_per_expiry()
    app.wait(10)
    app.refresh()
    fails(
        app.assertions.refreshed_once_per_expiry,
        "request 3 refreshed alice/1, as request 2 just had",
    )


def test_a_refresh_after_a_401_is_right() -> None:
    app = App()
    app.fake.revoke(app.access_token)
    assert app.call() == 401
    app.refresh()
    assert app.call() == 200
    app.fake.resource.skew_seconds = 300
    assert app.call() == 401
    app.refresh()
    app.assertions.refreshed_only_when_needed()
    app.assertions.refreshed_once_per_expiry()
    app.refresh()
    fails(
        app.assertions.refreshed_once_per_expiry,
        "request 6 refreshed alice/1, as request 5 just had",
    )


def test_the_401_of_somebody_else_is_no_excuse() -> None:
    app = App()
    bobs = app.fake.issue("bob").access_token
    app.fake.revoke(bobs)
    assert app.call(bobs) == 401
    app.refresh()
    fails(
        app.assertions.refreshed_only_when_needed,
        "request 2 refreshed alice/1, whose access token was good for 300 s",
    )


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "unauthorized_client"])
def test_a_retry_after_a_final_refusal_is_found(error: str) -> None:
    app = App()
    app.fake.script(faults.Refuse(error), faults.ok)
    app.refresh()
    app.assertions.stopped_after_a_terminal_error()
    app.refresh()
    fails(
        app.assertions.stopped_after_a_terminal_error,
        f"request 2 presented alice/1 r1 again, which request 1 had been told {error}",
    )


def test_a_new_log_in_after_a_final_refusal_is_right() -> None:
    app = App()
    app.fake.script(faults.Refuse("invalid_grant"), faults.ok)
    app.refresh()
    app.refresh(app.fake.issue("alice").refresh_token)
    app.assertions.stopped_after_a_terminal_error()


def test_a_token_that_was_never_given_is_refused_for_good_too() -> None:
    app = App()
    for _ in range(3):
        app.refresh("nope")
    fails(
        app.assertions.stopped_after_a_terminal_error,
        "request 2 presented a refresh token again, which request 1 had been told invalid_grant",
        "request 3 presented a refresh token again, which request 2 had been told invalid_grant",
    )


def test_a_refusal_that_can_be_mended_is_not_final() -> None:
    app = App()
    app.fake.script(faults.Refuse("temporarily_unavailable"))
    app.refresh()
    app.refresh()
    proves_nothing(app.assertions.stopped_after_a_terminal_error, "no refresh was refused")


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_coming_before_retry_after_is_found(form: Any) -> None:
    app = App()
    app.fake.script(faults.Status(429, retry_after_seconds=30, retry_after_form=form))
    app.refresh()
    app.assertions.honoured_retry_after()
    app.wait(29)
    app.refresh()
    fails(
        app.assertions.honoured_retry_after,
        "request 2 came 1 s before the Retry-After of request 1",
    )


def test_coming_at_retry_after_is_right() -> None:
    app = App()
    app.fake.script(faults.Status(503, retry_after_seconds=30))
    app.refresh()
    app.call()
    app.wait(30)
    app.refresh()
    app.assertions.honoured_retry_after()


def test_coming_again_at_once_is_found() -> None:
    app = App()
    app.fake.script(faults.Status(503), faults.Status(429), faults.Refuse("slow_down"))
    app.refresh()
    app.wait(0.5)
    app.refresh()
    app.wait(2)
    app.refresh()
    app.refresh()
    fails(app.assertions.backed_off, "request 2 came 0.5 s after request 1 had failed")
    app.assertions.backed_off(at_least_seconds=0.5)


@pytest.mark.parametrize("lost", ["", "None"])
def test_losing_the_token_of_a_reply_without_one_is_found(lost: str) -> None:
    app = App(refresh_policy=RefreshPolicy(return_unchanged=False))
    app.wait(300)
    app.refresh()
    app.token = lost
    app.refresh()
    fails(
        app.assertions.kept_its_refresh_token,
        "request 2 did not present alice/1 r1, which stayed good as the reply to request 1 had "
        "no refresh token",
    )


def test_the_token_of_another_log_in_is_no_loss() -> None:
    app = App(refresh_policy=RefreshPolicy(return_unchanged=False))
    app.refresh()
    app.refresh(app.fake.issue("bob").refresh_token)
    proves_nothing(app.assertions.kept_its_refresh_token, "no refresh came after a reply without")
    app.refresh()
    app.assertions.kept_its_refresh_token()


def test_keeping_the_token_of_a_reply_without_one_is_right() -> None:
    app = App(refresh_policy=RefreshPolicy(return_unchanged=False))
    for _ in range(2):
        app.wait(300)
        app.refresh()
    app.assertions.kept_its_refresh_token()


def test_a_token_that_was_not_stored_is_found() -> None:
    app = App(refresh_policy=RefreshPolicy(rotate=True, grace_seconds=3600))
    first = app.token
    for _ in range(2):
        app.wait(300)
        app.refresh(first)
    fails(
        app.assertions.used_the_latest_refresh_token,
        "request 2 presented alice/1 r1, though request 1 had been given alice/1 r2",
    )


def test_secrets_in_a_url_are_found() -> None:
    app = App()
    WSGIClient(app.fake).get(f"/resource?access_token={app.access_token}")
    app.refresh()
    ask(app.fake, SECRET, query_string={"client_secret": "s3cret", "refresh_token": app.token})
    fails(
        app.assertions.sent_no_secret_in_a_url,
        "request 1 sent access_token in the URL",
        "request 3 sent client_secret and refresh_token in the URL",
    )


def test_bodies_that_cannot_be_read_are_found() -> None:
    app = App()
    ask(app.fake, b"grant_type=refresh_token")
    ask(app.fake, b"{}", content_type="text/plain")
    WSGIClient(app.fake).get("/oauth2/token")
    app.refresh()
    assert app.found()[:2] == [
        "request 1 sent no Content-Type",
        "request 2 sent no parameters that can be read, as text/plain",
    ]
    assert len(app.found()) == 3


def test_a_wider_scope_is_found() -> None:
    app = App()
    app.wait(300)
    app.refresh(scope="openid admin")
    app.refresh(scope="openid")
    assert app.found() == ["request 1 asked for scope 'openid admin', more than was granted"]


def test_a_code_verifier_for_two_codes_is_found() -> None:
    app = App()
    for code in ("one", "one", "two"):
        form = {**SECRET, "grant_type": "authorization_code", "code": code, "code_verifier": "v"}
        ask(app.fake, form)
    assert app.found() == ["request 3 used the code_verifier of request 1 for another code"]


def test_tokens_that_are_sent_to_the_wrong_place_are_found() -> None:
    app = App()
    app.refresh(app.access_token)
    app.call(app.token)
    browser = WSGIClient(app.fake)
    browser.post("/oauth2/revoke", data={**SECRET, "refresh_token": app.token})
    browser.post("/api", data={"token": app.token})
    browser.post("/oauth2/revoke", data={**SECRET, "token": app.token})
    assert app.found() == [
        "request 1 sent alice/1 a1 as refresh_token, where the refresh token belongs",
        "request 2 sent alice/1 r1 as bearer, where the access token belongs",
        "request 3 sent alice/1 r1 to the revoke endpoint",
        "request 4 sent alice/1 r1 to /api, which is no endpoint",
    ]


def test_all_that_is_found_is_told_in_one_assertion() -> None:
    app = App()
    app.refresh(scope="openid admin")
    fails(
        app.assertions.behaved,
        "request 1 refreshed alice/1, whose access token was good for 300 s",
        "request 1 asked for scope 'openid admin', more than was granted",
    )


def test_every_check_is_in_the_table_once_and_says_what_it_is_about() -> None:
    assert all(name == check.__name__ for name, check in CHECKS.items())
    assert all(check.__doc__ for check in CHECKS.values())
