"""Clients that poll with a device code: a correct one is not blamed, and wrong ones are."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import BehaviorError, Client, FakeOAuth, Settings, faults
from fake_oauth.provider.grants.device_code import DEVICE_CODE
from tests.support.client import basic

BASIC = basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")


class Poller:
    """A client that polls as RFC 8628 section 3.5 says; waiting moves the server's clock."""

    def __init__(self, **settings: Any) -> None:
        self.fake = FakeOAuth(Settings(dialect="rfc", start_time=0, freeze_time=True, **settings))
        self.browser = WSGIClient(self.fake)
        self.begin()

    def begin(self) -> None:
        told = self.browser.post("/device_authorization", headers=BASIC).get_json()
        self.device_code, self.user_code = told.get("device_code"), told.get("user_code")
        self.interval = told.get("interval", 5)

    def poll(self, after: float = 0) -> str | None:
        """Poll, and return the error."""
        self.fake.clock.advance(after)
        form = {"grant_type": DEVICE_CODE, "device_code": self.device_code}
        response = self.browser.post("/token", data=form, headers=BASIC)
        if response.status_code == 200:
            return None
        told = response.get_json(silent=True)
        return str(told["error"]) if told else "no JSON"

    def run(self) -> str | None:
        """Poll until the end, and return the error, or None for tokens."""
        while True:
            error = self.poll(self.interval)
            if error == "slow_down":
                self.interval += 5
            elif error not in ("authorization_pending", "no JSON"):
                return error

    def violations(self) -> list[tuple[str, int]]:
        return [(found.check, found.number) for found in self.fake.violations()]


def decided(poller: Poller, decide: Callable[[FakeOAuth, str], None], polls: int) -> Any:
    """Let the user decide after some polls, by a rule that changes nothing of the request."""

    def when(_: Any) -> bool:
        if len(poller.fake.journal) == polls + 1:
            decide(poller.fake, poller.user_code)
        return False

    return faults.Rule(faults.Status(500), when=when, times="always")


@pytest.mark.parametrize(
    ("decide", "outcome"),
    [
        (FakeOAuth.approve_device, None),
        (FakeOAuth.deny_device, "access_denied"),
        (lambda fake, _: fake.clock.advance(1800), "expired_token"),
    ],
)
def test_a_correct_client_polls_to_the_end_and_is_not_blamed(
    decide: Callable[[FakeOAuth, str], None], outcome: str | None
) -> None:
    poller = Poller()
    with poller.fake.always(decided(poller, decide, polls=3)):
        assert poller.run() == outcome
    assert poller.violations() == []
    poller.fake.assert_client.polled_at_the_interval()
    poller.fake.assert_client.stopped_polling()


def test_a_correct_client_lives_through_scripted_polls() -> None:
    poller = Poller()
    poller.fake.script(
        faults.Rule(faults.Refuse("authorization_pending"), grant_type=DEVICE_CODE),
        faults.Refuse("slow_down"),
        faults.Status(502),
        faults.Refuse("slow_down"),
        faults.Status(503),
        faults.Refuse("access_denied"),
    )
    assert poller.run() == "access_denied"
    poller.fake.assert_script_used()
    assert poller.interval == 15
    assert poller.violations() == []
    poller.fake.assert_client.polled_at_the_interval()
    poller.fake.assert_client.slowed_down()
    poller.fake.assert_client.stopped_polling()
    poller.fake.assert_client.behaved()


def test_the_server_slows_down_a_client_that_polls_too_often_and_blames_it() -> None:
    poller = Poller()
    poller.poll()
    assert poller.poll(2) == "slow_down"
    assert poller.violations() == [("polled_at_the_interval", 3)]
    text = r"request 3 polled 2 s after request 2, sooner than the interval of 5 s"
    with pytest.raises(BehaviorError, match=text):
        poller.fake.assert_client.polled_at_the_interval()


def test_a_client_that_waits_longer_only_once_is_blamed() -> None:
    poller = Poller()
    poller.fake.script(faults.Refuse("slow_down"), faults.Refuse("authorization_pending"))
    poller.poll()
    poller.poll(10)
    poller.poll(5)
    assert poller.violations() == [("polled_at_the_interval", 4)]
    assert "of 10 s" in poller.fake.violations()[0].text


def test_a_client_that_forgets_the_first_slow_down_at_the_second_is_blamed() -> None:
    poller = Poller()
    poller.fake.script(faults.Refuse("slow_down"), faults.Refuse("slow_down"))
    poller.poll()
    poller.poll(10)
    poller.poll(10)
    assert poller.violations() == [("polled_at_the_interval", 4)]
    assert "of 15 s" in poller.fake.violations()[0].text


def test_a_client_that_does_not_wait_after_slow_down_breaks_two_rules() -> None:
    poller = Poller()
    poller.fake.script(faults.Refuse("slow_down"))
    poller.poll()
    poller.poll(4)
    assert poller.violations() == [("slowed_down", 3), ("polled_at_the_interval", 3)]


@pytest.mark.parametrize(
    ("fault", "interval"),
    [
        (faults.Field("interval", 2), 2),
        (faults.MissingField("interval"), 5),
        (faults.Field("interval", "soon"), 5),
        (faults.Field("interval", value=True), 5),
    ],
)
def test_the_interval_is_the_one_that_the_client_received(fault: Any, interval: int) -> None:
    poller = Poller()
    poller.fake.script(faults.Rule(fault, endpoint="device_authorization"))
    poller.begin()
    poller.fake.always(faults.Refuse("authorization_pending"))
    poller.poll()
    poller.poll(interval)
    assert poller.violations() == []
    poller.poll(interval - 0.2)
    assert poller.violations() == [("polled_at_the_interval", 5)]


def test_a_poll_may_be_a_little_early() -> None:
    poller = Poller()
    poller.poll()
    assert poller.poll(4.95) == "authorization_pending"
    assert poller.violations() == []


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_grant", None])
def test_a_client_that_polls_after_the_end_is_blamed(error: str | None) -> None:
    poller = Poller()
    if error is None:
        poller.fake.approve_device(poller.user_code)
    else:
        poller.fake.script(faults.Refuse(error))
    assert poller.poll() == error
    poller.poll(5)
    assert poller.violations() == [("stopped_polling", 3)]
    text = f"request 3 polled again, after request 2 got {error or 'tokens'}"
    with pytest.raises(BehaviorError, match=text):
        poller.fake.assert_client.stopped_polling()


def test_other_credentials_after_invalid_client_are_a_new_attempt() -> None:
    poller = Poller()
    form = {"grant_type": DEVICE_CODE, "device_code": poller.device_code}
    secret = {"client_id": "TENANT_CLIENT_ID", "client_secret": "wrong"}
    for _ in range(2):
        poller.browser.post("/token", data={**form, **secret})
        poller.fake.clock.advance(5)
        poller.poll()
        poller.fake.clock.advance(5)
    assert poller.violations() == [("stopped_polling", 4)]


def test_a_client_that_lost_the_tokens_may_poll_again() -> None:
    with FakeOAuth(Settings(dialect="rfc", freeze_time=True, device_interval_seconds=1)) as server:
        told = WSGIClient(server).post("/device_authorization", headers=BASIC).get_json()
        server.approve_device(told["user_code"])
        server.script(faults.HangUp(after_commit=True))
        form = {"grant_type": DEVICE_CODE, "device_code": told["device_code"]}
        with pytest.raises(httpx.TransportError):
            httpx.post(server.token_url, data=form, headers=BASIC)
        server.clock.advance(1)
        again = httpx.post(server.token_url, data=form, headers=BASIC).json()
        assert again["error"] == "invalid_grant"
        assert server.violations() == []
        httpx.post(server.token_url, data=form, headers=BASIC)
        assert {found.check for found in server.violations()} == {
            "stopped_polling",
            "polled_at_the_interval",
        }


def test_devices_and_clients_are_judged_on_their_own() -> None:
    web = Client(client_id="TENANT_CLIENT_ID", client_secret="TENANT_CLIENT_SECRET")
    poller = Poller(clients=[web, Client(client_id="tv")])
    first = poller.device_code
    poller.poll()
    poller.begin()
    poller.poll()
    form = {"grant_type": DEVICE_CODE, "device_code": first, "client_id": "tv"}
    poller.browser.post("/token", data=form)
    assert poller.violations() == []


def test_two_polls_at_the_same_time_are_too_soon() -> None:
    with FakeOAuth(Settings(dialect="rfc", freeze_time=True)) as server:
        told = WSGIClient(server).post("/device_authorization", headers=BASIC).get_json()
        form = {"grant_type": DEVICE_CODE, "device_code": told["device_code"]}

        def poll(_: int) -> int:
            return WSGIClient(server).post("/token", data=form, headers=BASIC).status_code

        with ThreadPoolExecutor(2) as pool, server.barrier(2):
            assert list(pool.map(poll, range(2))) == [400, 400]
        assert [found.check for found in server.violations()] == ["polled_at_the_interval"]


def test_a_code_that_nobody_issued_has_no_interval() -> None:
    poller = Poller()
    poller.device_code = "made up"
    poller.fake.script(faults.Refuse("authorization_pending"), faults.Refuse("slow_down"))
    poller.poll()
    poller.poll()
    assert poller.violations() == []
    poller.poll()
    assert poller.violations() == [("slowed_down", 4)]


@pytest.mark.parametrize("name", ["polled_at_the_interval", "stopped_polling"])
def test_without_polls_there_is_nothing_to_judge(name: str) -> None:
    poller = Poller()
    with pytest.raises(BehaviorError, match=f"{name}: nothing to judge; the journal has no"):
        getattr(poller.fake.assert_client, name)()


def test_a_device_code_belongs_in_its_parameter_and_at_the_token_endpoint() -> None:
    poller = Poller()
    poller.browser.post("/token", data={"code": poller.device_code})
    poller.browser.post("/introspect", data={"device_code": poller.device_code})
    poller.browser.post("/token", data={"device_code": poller.fake.issue_code()})
    assert [found.text for found in poller.fake.violations()] == [
        "sent TENANT_CLIENT_ID/1 d1 as code, which must be a code",
        "sent TENANT_CLIENT_ID/1 d1 to the introspect endpoint",
        "sent MOCK_USERNAME/1 c1 as device_code, which must be a device code",
    ]


def test_a_device_code_in_a_url_is_a_secret_in_a_url_and_a_user_code_is_not() -> None:
    poller = Poller()
    poller.browser.get("/device", query_string={"user_code": poller.user_code})
    assert poller.violations() == []
    poller.browser.get("/device", query_string={"device_code": poller.device_code})
    assert ("sent_no_secret_in_a_url", 3) in poller.violations()


@pytest.mark.parametrize("endpoint", ["device_authorization", "device"])
def test_faults_reach_the_new_endpoints(endpoint: str) -> None:
    poller = Poller()
    poller.fake.script(faults.Rule(faults.Refuse("temporarily_unavailable"), endpoint=endpoint))
    response = poller.browser.post(poller.fake.dialect.paths[endpoint], headers=BASIC)
    assert (response.status_code, response.json) == (503, {"error": "temporarily_unavailable"})
