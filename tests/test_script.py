"""The script: which request meets which fault, and how often."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPConnection, RemoteDisconnected
from threading import Thread
from time import monotonic
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import httpx
import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import (
    Client,
    Exchange,
    FakeOAuth,
    FakeOAuthError,
    RefreshPolicy,
    Settings,
    SettingsError,
    UnusedFaultError,
    faults,
)
from fake_oauth.faults import MALFORMED, Rule
from fake_oauth.faults.base import rules_of
from fake_oauth.faults.tables import converter, plain
from fake_oauth.structure import structure
from tests.support import wire
from tests.support.client import DOCUMENTED, FORM, ask, form
from tests.support.stub import stub

TWO = Settings(
    clients=[
        Client(client_id="TENANT_CLIENT_ID", client_secret="TENANT_CLIENT_SECRET"),
        Client(client_id="web", client_secret="s3cret"),
    ]
)
WEB = {"client_id": "web", "client_secret": "s3cret", "grant_type": "client_credentials"}


def statuses(fake: FakeOAuth, times: int) -> list[int]:
    return [ask(fake).status_code for _ in range(times)]


def problems(make: Callable[[], object]) -> list[str]:
    """Return the problems of a script that is refused."""
    with pytest.raises(SettingsError) as caught:
        make()
    return [str(problem) for problem in caught.value.problems]


def test_a_list_is_a_sequence_and_then_service_is_normal() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503), faults.Pass(), faults.Refuse("invalid_grant"))
    assert statuses(fake, 5) == [503, 200, 400, 200, 200]
    assert [exchange.fault for exchange in fake.journal] == [
        "step 1 Status(503)",
        "step 2 Pass()",
        "step 3 Refuse('invalid_grant')",
        None,
        None,
    ]


def test_a_second_script_comes_after_the_first() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503))
    fake.script(faults.Status(502))
    assert statuses(fake, 3) == [503, 502, 200]


def test_two_equal_steps_are_for_two_requests() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503), faults.Status(503))
    assert statuses(fake, 3) == [503, 503, 200]


def test_skip_and_times() -> None:
    fake = FakeOAuth()
    fake.script(Rule(faults.Status(503), skip=1, times=2))
    assert statuses(fake, 5) == [200, 503, 503, 200, 200]


def test_a_request_that_one_rule_skips_can_use_another() -> None:
    fake = FakeOAuth()
    fake.script(Rule(faults.Status(503), skip=1), faults.Status(502))
    assert statuses(fake, 3) == [502, 503, 200]


def test_steps_for_one_client_do_not_block_those_of_another() -> None:
    fake = FakeOAuth(TWO)
    fake.script(
        Rule(faults.Status(503), client_id="web"),
        Rule(faults.Status(502), client_id="TENANT_CLIENT_ID"),
    )
    assert [ask(fake, data).status_code for data in (DOCUMENTED, WEB, WEB, DOCUMENTED)] == [
        502,
        503,
        200,
        200,
    ]


def test_steps_for_one_endpoint_or_grant_do_not_block_those_of_another() -> None:
    fake = FakeOAuth(TWO)
    fake.script(
        Rule(faults.Status(500), endpoint="jwks"),
        Rule(faults.Status(503), grant_type="client_credentials"),
        faults.Status(502),
    )
    assert statuses(fake, 2) == [502, 200]
    assert ask(fake, WEB).status_code == 503
    assert [WSGIClient(fake).get("/oauth2/jwks").status_code for _ in range(2)] == [500, 200]


def test_a_step_is_for_the_token_endpoint_by_default() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503), Rule(faults.Status(502), endpoint="any", times=2))
    paths = ("/oauth2/jwks", "/nowhere", "/.well-known/openid-configuration")
    assert [WSGIClient(fake).get(path).status_code for path in paths] == [502, 502, 200]
    assert statuses(fake, 2) == [503, 200]


def test_a_preflight_and_a_405_use_no_step() -> None:
    fake = FakeOAuth(Settings(cors_origins=["https://app.example"]))
    fake.script(Rule(faults.Status(503), endpoint="any"))
    client = WSGIClient(fake)
    assert client.get("/oauth2/token").status_code == 405
    preflight = client.options("/oauth2/token", headers={"Origin": "https://app.example"})
    assert preflight.status_code == 200
    assert statuses(fake, 2) == [503, 200]


def test_a_function_can_choose_the_requests() -> None:
    fake = FakeOAuth()
    fake.script(Rule(faults.Status(503), when=lambda request: request.form.get("scope") == "x"))
    assert [ask(fake, form(scope=scope)).status_code for scope in (None, "x", None)] == [
        200,
        503,
        200,
    ]


def test_a_function_that_fails_is_an_error_of_the_test() -> None:
    fake = FakeOAuth()
    fake.script(Rule(faults.Pass(), when=lambda request: request.form["scope"] == "x"))
    message = (
        r"when=<lambda> for request 1: the function failed: KeyError\('scope'\) \(\S+script.py:"
    )
    with pytest.raises(FakeOAuthError, match=message):
        ask(fake)
    assert fake.journal[0].status is None
    assert str(fake.journal[0].reason).startswith("the request failed: when=<lambda> ")


def test_a_standing_fault_holds_until_it_is_lifted() -> None:
    fake = FakeOAuth()
    standing = fake.always(faults.Status(503))
    assert statuses(fake, 3) == [503, 503, 503]
    standing.lift()
    standing.lift()
    with fake.always(faults.Refuse("server_error")):
        assert statuses(fake, 1) == [400]
    assert statuses(fake, 1) == [200]
    assert [exchange.fault for exchange in fake.journal][-2:] == [
        "always Refuse('server_error')",
        None,
    ]


def test_steps_come_before_standing_faults() -> None:
    fake = FakeOAuth()
    fake.always(faults.Status(503))
    fake.script(faults.Pass(), faults.Status(502))
    assert statuses(fake, 3) == [200, 502, 503]


def test_a_rule_can_be_standing_too() -> None:
    fake = FakeOAuth()
    with fake.always(Rule(faults.Status(503), endpoint="jwks")):
        fake.script(Rule(faults.Status(502), times="always"))
        assert [WSGIClient(fake).get("/oauth2/jwks").status_code for _ in range(2)] == [503, 503]
    assert statuses(fake, 2) == [502, 502]


def test_a_rule_that_counts_cannot_be_standing() -> None:
    message = (
        r"always: expected a fault or a rule without times, got Pass\(\) \[times=2\]; use script"
    )
    with pytest.raises(FakeOAuthError, match=message):
        FakeOAuth().always(Rule(faults.Pass(), times=2))
    assert problems(lambda: FakeOAuth().always(Rule(503))) == [  # type: ignore[arg-type]
        "$.faults[0].fault: expected a Fault, got 503"
    ]


def test_before_the_commit_nothing_has_changed_and_after_it_the_token_is_rotated() -> None:
    with FakeOAuth(Settings(refresh_policy=RefreshPolicy(rotate=True))) as server:
        server.script(faults.HangUp(), faults.HangUp(after_commit=True))
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.post(server.token_url, data=DOCUMENTED)
        assert httpx.post(server.token_url, data=DOCUMENTED).json() == {"error": "invalid_grant"}
    assert [(exchange.status, exchange.error, exchange.fault) for exchange in server.journal] == [
        (None, None, "step 1 HangUp()"),
        (None, None, "step 2 HangUp(after_commit=True)"),
        (400, "invalid_grant", None),
    ]


def attempt(connection: HTTPConnection, body: str = "a=b") -> int | None:
    """The status; None if the server hangs up."""
    try:
        connection.request("POST", "/oauth2/token", body, {"Content-Type": FORM})
        response = connection.getresponse()
        response.read()
    except RemoteDisconnected:
        return None
    return response.status


def test_a_silent_retry_counts_as_the_same_attempt(oauth_server: FakeOAuth) -> None:
    oauth_server.clock.freeze()
    oauth_server.script(Rule(faults.HangUp(), count="attempts"), faults.Pass())
    connection = HTTPConnection(oauth_server.url[7:], timeout=20)
    assert [attempt(connection) for _ in range(3)] == [None, None, None]
    oauth_server.clock.advance(1)
    assert attempt(connection) is None
    oauth_server.clock.advance(1.5)
    assert attempt(connection) == 401
    connection.close()
    assert [exchange.fault for exchange in oauth_server.journal] == 4 * ["step 1 HangUp()"] + [
        "step 2 Pass()"
    ]


def test_another_body_is_another_attempt(oauth_server: FakeOAuth) -> None:
    oauth_server.script(Rule(faults.HangUp(), count="attempts", window_seconds=60))
    connection = HTTPConnection(oauth_server.url[7:], timeout=20)
    assert [attempt(connection, body) for body in ("a=b", "a=c", "a=b")] == [None, 401, None]
    connection.close()


def test_a_skipped_request_is_skipped_again_when_it_is_repeated(oauth_server: FakeOAuth) -> None:
    oauth_server.clock.freeze()
    oauth_server.script(Rule(faults.Status(503), count="attempts", skip=1))
    connection = HTTPConnection(oauth_server.url[7:], timeout=20)
    bodies = ("a=b", "a=b", "a=c")
    assert [attempt(connection, body) for body in bodies] == [401, 401, 503]
    connection.close()


def test_requests_on_one_connection_can_count_once(oauth_server: FakeOAuth) -> None:
    oauth_server.script(Rule(faults.Status(503), count="connections"))
    first, second = (HTTPConnection(oauth_server.url[7:], timeout=20) for _ in range(2))
    assert [attempt(first), attempt(second), attempt(first), attempt(second)] == [
        503,
        401,
        503,
        401,
    ]
    first.close()
    second.close()


def test_a_step_remembers_a_thousand_arrivals() -> None:
    fake = FakeOAuth()
    fake.clock.freeze()
    fake.always(Rule(faults.Status(503), count="attempts"))
    for number in range(1100):
        ask(fake, {"n": str(number)})
    (step,) = fake._script.steps
    assert (step.used, len(step._latest)) == (1100, 1024)


def test_the_rest_of_a_step_is_the_rule_for_later_requests() -> None:
    fake = FakeOAuth()
    fake.always(Rule(faults.Pass(), skip=3))
    fake.script(Rule(faults.Status(503), skip=1, times=2), faults.Status(502))

    def rest() -> list[Rule | None]:
        return [step.rest for step in fake.steps]

    standing = Rule(faults.Pass(), skip=3, times="always")
    assert rest() == [
        Rule(faults.Status(503), skip=1, times=2),
        Rule(faults.Status(502)),
        standing,
    ]
    assert statuses(fake, 2) == [502, 503]
    assert rest() == [Rule(faults.Status(503)), None, standing]
    assert statuses(fake, 3) == [503, 200, 200]
    assert rest() == [None, None, replace(standing, skip=1)]


def test_a_script_can_be_replaced() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503), faults.Status(503))
    fake.always(faults.Status(500))
    statuses(fake, 1)
    fake._script.replace([Rule(faults.Status(502))])
    assert [str(step) for step in fake.steps] == ["step 3 Status(502)"]
    assert statuses(fake, 2) == [502, 200]


class Counter:
    """A condition that counts how often it is evaluated."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, exchange: Exchange) -> bool:
        self.calls += 1
        return True


def test_a_step_that_is_used_up_is_not_searched_again() -> None:
    fake, counter = FakeOAuth(), Counter()
    fake.script(*(Rule(faults.Status(503), when=counter) for _ in range(3)))
    assert statuses(fake, 6) == [503, 503, 503, 200, 200, 200]
    assert counter.calls == 3
    assert [(step.number, step.used, step.left) for step in fake.steps] == [
        (1, 1, 0),
        (2, 1, 0),
        (3, 1, 0),
    ]


def test_a_step_that_counts_attempts_is_searched_until_its_window_has_passed() -> None:
    fake, counter = FakeOAuth(Settings(start_time=0, freeze_time=True)), Counter()
    fake.script(Rule(faults.Status(503), when=counter, count="attempts", window_seconds=5))
    assert statuses(fake, 2) == [503, 503]
    fake.clock.advance(5)
    assert statuses(fake, 1) == [503]
    fake.clock.advance(5.5)
    assert statuses(fake, 2) == [200, 200]
    assert counter.calls == 3
    assert fake._script._counted == []


def test_the_same_bytes_are_another_attempt_after_the_window() -> None:
    fake = FakeOAuth(Settings(start_time=0, freeze_time=True))
    fake.script(Rule(faults.Status(503), count="attempts", times=2))
    seen = []
    for _ in range(3):
        seen += statuses(fake, 2)
        fake.clock.advance(1.5)
    assert seen == [503, 503, 503, 503, 200, 200]


def test_a_step_that_counts_connections_is_not_searched_if_it_saw_none() -> None:
    counter = Counter()
    with FakeOAuth() as server:
        server.script(Rule(faults.Status(503), when=counter, count="connections"))
        assert statuses(server, 3) == [503, 200, 200]  # They do not use the socket.
    assert counter.calls == 1


def test_a_thousand_steps_that_are_used_up_are_kept() -> None:
    fake = FakeOAuth(Settings(journal_limit=1))
    fake.script(faults.Pass(), faults.MissingField("device_code"))
    fake.script(*(faults.Status(503) for _ in range(1000)))
    statuses(fake, 1002)
    # Those that had nothing to change stay the longest.
    assert [step.number for step in fake.steps] == [2, *range(4, 1003)]
    with pytest.raises(UnusedFaultError, match="step 2 MissingField"):
        fake.assert_script_used()


def test_the_oldest_step_goes_if_all_had_nothing_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fake_oauth.faults.script._KEPT", 2)
    fake = FakeOAuth()
    fake.script(*(faults.MissingField("device_code") for _ in range(4)))
    statuses(fake, 4)
    assert [step.number for step in fake.steps] == [3, 4]


def test_a_thousand_steps_that_wait_for_a_repeat_are_searched() -> None:
    counters = [Counter() for _ in range(1003)]
    fake = FakeOAuth(Settings(start_time=0, freeze_time=True, journal_limit=1))
    rules = [Rule(faults.Pass(), when=counter, count="attempts") for counter in counters]
    fake.script(*rules[:1002])
    for number in range(1002):
        ask(fake, {"n": str(number)})
    fake.script(rules[1002])
    before = [counter.calls for counter in counters]
    ask(fake, {"n": "another"})
    searched = [new.calls > old for new, old in zip(counters, before, strict=True)]
    assert searched == [False] * 2 + [True] * 1001


def test_unused_steps_are_reported_with_the_requests_that_arrived() -> None:
    fake = FakeOAuth()
    fake.script(
        faults.Status(503), Rule(faults.Pass(), times=3), Rule(faults.EmptyBody(), endpoint="jwks")
    )
    with pytest.raises(UnusedFaultError, match="no request arrived") as untouched:
        fake.assert_script_used()
    assert untouched.value.faults == (
        "step 1 Status(503)",
        "step 2 Pass() [times=3]",
        "step 3 EmptyBody() [endpoint=jwks]",
    )
    statuses(fake, 2)
    with pytest.raises(UnusedFaultError) as caught:
        fake.assert_script_used()
    assert caught.value.faults == (
        "step 2 Pass() [times=3], used 1 of 3 times",
        "step 3 EmptyBody() [endpoint=jwks]",
    )
    assert caught.value.transcript == str(fake.journal)
    assert str(caught.value).startswith(
        "the script has unused or ineffective steps:\n  step 2 Pass()"
    )
    assert str(caught.value).endswith(str(fake.journal))


@pytest.mark.parametrize(
    "fault",
    [
        faults.Expired(),
        faults.Claim("sub", "x", token="access_token"),
        faults.Field("expires_in", 1),
        faults.MissingField("access_token"),
        faults.DuplicateKey("access_token"),
        faults.WrongCharset(),
    ],
    ids=str,
)
def test_a_fault_with_nothing_to_change_is_reported_too(fault: faults.Fault) -> None:
    fake = FakeOAuth()
    fake.script(fault)
    assert ask(fake, {"grant_type": "refresh_token"}).get_data() == b""
    with pytest.raises(UnusedFaultError) as caught:
        fake.assert_script_used()
    assert caught.value.faults == (
        f"step 1 {fault} had nothing to change in the response to request 1",
    )


def test_a_step_names_the_latest_requests_that_it_did_not_change() -> None:
    fake = FakeOAuth()
    fake.always(faults.MissingField("device_code"))
    statuses(fake, 30)
    with pytest.raises(UnusedFaultError) as caught:
        fake.assert_script_used()
    numbers = ", ".join(map(str, range(11, 31)))
    assert caught.value.faults == (
        "always MissingField('device_code') had nothing to change in the response to requests "
        f"{numbers}",
    )


def test_an_error_can_be_damaged_as_well() -> None:
    fake = FakeOAuth(Settings(compact_json=True))
    fake.script(faults.Field("error", "invalid_client"))
    reply = ask(fake, form(refresh_token="x"))
    assert (reply.status_code, reply.get_data()) == (400, b'{"error":"invalid_client"}')


def test_a_jwks_can_be_empty_or_failing() -> None:
    fake = FakeOAuth()
    fake.script(
        Rule(faults.Field("keys", []), endpoint="jwks"), Rule(faults.Status(500), endpoint="jwks")
    )
    client = WSGIClient(fake)
    assert client.get("/oauth2/jwks").json == {"keys": []}
    assert client.get("/oauth2/jwks").status_code == 500
    assert "n" in client.get("/oauth2/jwks").get_data(as_text=True)


def test_retry_after_can_be_a_date_by_the_servers_clock() -> None:
    fake = FakeOAuth(Settings(start_time=1636449231, freeze_time=True))
    fake.script(faults.Status(429, retry_after_seconds=90, retry_after_form="date"))
    reply = ask(fake)
    assert reply.headers["Date"] == "Tue, 09 Nov 2021 09:13:51 GMT"
    assert reply.headers["Retry-After"] == "Tue, 09 Nov 2021 09:15:21 GMT"


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_success_has_status_200_and_a_verdict(name: str) -> None:
    malformed = MALFORMED[name]
    fake = FakeOAuth(Settings(seed=0, start_time=0, freeze_time=True))
    good = ask(fake)
    fake.script(malformed.fault)
    bad = ask(fake)
    assert bad.status_code == 200
    assert (bad.get_data(), bad.content_type, bad.headers.get("Content-Encoding")) != (
        good.get_data(),
        good.content_type,
        None,
    )
    assert malformed.verdict in {"retryable", "terminal", "reauthenticate"}
    assert malformed.why
    fake.assert_script_used()


# A problem has the same message and path in Python, in TOML, and in JSON.
WRONG: list[tuple[Any, dict[str, Any], list[str]]] = [
    (
        faults.Status("503"),  # type: ignore[arg-type]
        {"fault": "Status", "code": "503"},
        ["$.faults[0].code: expected a whole number, got '503'"],
    ),
    (
        faults.Status(204, 3, retry_after_seconds=True),  # type: ignore[arg-type]
        {"fault": "Status", "code": 204, "body": 3, "retry_after_seconds": True},
        [
            "$.faults[0].body: expected a string or a table, got 3",
            "$.faults[0].retry_after_seconds: expected a whole number, got True",
        ],
    ),
    (
        faults.Status(204, {"x": {1}}, -1),
        {"fault": "Status", "code": 204, "body": {"x": {1}}, "retry_after_seconds": -1},
        [
            "$.faults[0].code: expected 200, 301, 302, 303, 307, 308, or 400 to 599, got 204",
            "$.faults[0].body.x: JSON cannot represent {1}",
            "$.faults[0].retry_after_seconds: expected 0 to 1000000000, got -1",
        ],
    ),
    (
        faults.Status(429, retry_after_seconds=10**15, retry_after_form="date"),
        {
            "fault": "Status",
            "code": 429,
            "retry_after_seconds": 10**15,
            "retry_after_form": "date",
        },
        [
            "$.faults[0].retry_after_seconds: expected 0 to 1000000000, got 1000000000000000",
        ],
    ),
    (
        faults.Status(301),
        {"fault": "Status", "code": 301},
        ["$.faults[0].location: required for a redirect (301)"],
    ),
    (
        faults.Status(503, location="/"),
        {"fault": "Status", "code": 503, "location": "/"},
        ["$.faults[0].location: only a redirect has a location, not 503"],
    ),
    (
        faults.Status(308, location="/a\r\nSet-Cookie: x"),
        {"fault": "Status", "code": 308, "location": "/a\r\nSet-Cookie: x"},
        [
            "$.faults[0].location: expected one line of Latin-1 without blanks at its ends, "
            "got '/a\\r\\nSet-Cookie: x'"
        ],
    ),
    (
        faults.Status(
            429, headers={"X-A": "1\r", "X-B": "日", "X-C": " 1", "X-D": "", "X E": "1", "X-F": "é"}
        ),
        {
            "fault": "Status",
            "code": 429,
            "headers": {"X-A": "1\r", "X-B": "日", "X-C": " 1", "X-D": "", "X E": "1", "X-F": "é"},
        },
        [
            *(
                f"$.faults[0].headers.X-{name}: expected one line of Latin-1 without blanks at "
                f"its ends, got {value!r}"
                for name, value in (("A", "1\r"), ("B", "日"), ("C", " 1"))
            ),
            "$.faults[0].headers: 'X E' is not the name of a header",
        ],
    ),
    (
        faults.Refuse("x", headers={"content-length": "3", "X": 3}),  # type: ignore[dict-item]
        {"fault": "Refuse", "error": "x", "headers": {"content-length": "3", "X": 3}},
        ["$.faults[0].headers.X: expected a string, got 3"],
    ),
    (
        faults.Refuse("", status=302, headers={"content-length": "3", "Connection": "close"}),
        {
            "fault": "Refuse",
            "error": "",
            "status": 302,
            "headers": {"content-length": "3", "Connection": "close"},
        },
        [
            "$.faults[0].error: expected an error code, got ''",
            "$.faults[0].status: expected 200 or 400 to 599, got 302",
            "$.faults[0].headers.content-length: set by the server itself; use a fault on the "
            "connection",
            "$.faults[0].headers.Connection: set by the server itself; use a fault on the "
            "connection",
        ],
    ),
    (
        faults.Slow(-1),
        {"fault": "Slow", "seconds": -1},
        ["$.faults[0].seconds: expected 0 to 3600, got -1"],
    ),
    (
        faults.Expired(0),
        {"fault": "Expired", "seconds_ago": 0},
        ["$.faults[0].seconds_ago: expected 1 to 1000000000, got 0"],
    ),
    (
        faults.NotYetValid(0, token="refresh_token"),  # type: ignore[arg-type]
        {"fault": "NotYetValid", "seconds": 0, "token": "refresh_token"},
        ["$.faults[0].token: unknown value 'refresh_token'; did you mean 'access_token'?"],
    ),
    (
        faults.NotYetValid(10**10),
        {"fault": "NotYetValid", "seconds": 10**10},
        ["$.faults[0].seconds: expected 1 to 1000000000, got 10000000000"],
    ),
    (
        faults.Claim("", 1),
        {"fault": "Claim", "name": "", "value": 1},
        ["$.faults[0].name: expected the name of a claim, got ''"],
    ),
    (
        faults.Claim("when", datetime(2026, 1, 1, tzinfo=UTC)),
        {"fault": "Claim", "name": "when", "value": datetime(2026, 1, 1, tzinfo=UTC)},
        [
            "$.faults[0].value: JSON cannot represent datetime.datetime(2026, 1, 1, 0, 0, "
            "tzinfo=datetime.timezone.utc)"
        ],
    ),
    (
        faults.Field("x", [{"y": {1, 2}}]),
        {"fault": "Field", "name": "x", "value": [{"y": {1, 2}}]},
        ["$.faults[0].value[0].y: JSON cannot represent {1, 2}"],
    ),
    (
        faults.DuplicateKey("x", b""),
        {"fault": "DuplicateKey", "name": "x", "value": b""},
        ["$.faults[0].value: JSON cannot represent b''"],
    ),
    (
        faults.MissingClaim(""),
        {"fault": "MissingClaim", "name": ""},
        ["$.faults[0].name: expected the name of a claim, got ''"],
    ),
    (
        faults.WrongContentType("a\nb"),
        {"fault": "WrongContentType", "content_type": "a\nb"},
        [
            "$.faults[0].content_type: expected one line of Latin-1 without blanks at its ends, "
            "got 'a\\nb'"
        ],
    ),
    *(
        (
            faults.WrongCharset(charset),
            {"fault": "WrongCharset", "charset": charset},
            [f"$.faults[0].charset: expected an encoding of Python for text, got {charset!r}"],
        )
        for charset in ("klingon", "rot13", "idna", "\0", "\ud800")
    ),
    (
        faults.HugeBody(0),
        {"fault": "HugeBody", "bytes": 0},
        ["$.faults[0].bytes: expected 1 to 1073741824 (a GiB), got 0"],
    ),
    (
        faults.Combined([]),
        {"fault": "Combined", "parts": []},
        ["$.faults[0].parts: expected at least one fault"],
    ),
    (
        faults.Combined([faults.HugeBody(0), faults.Claim("", 1)]),
        {
            "fault": "Combined",
            "parts": [
                {"fault": "HugeBody", "bytes": 0},
                {"fault": "Claim", "name": "", "value": 1},
            ],
        },
        [
            "$.faults[0].parts[0].bytes: expected 1 to 1073741824 (a GiB), got 0",
            "$.faults[0].parts[1].name: expected the name of a claim, got ''",
        ],
    ),
    *(
        (
            faults.Combined(
                [kind(token="id_token"), faults.Expired(token="access_token"), faults.NoKeyId()]
            ),
            {
                "fault": "Combined",
                "parts": [
                    {"fault": kind.__name__, "token": "id_token"},
                    {"fault": "Expired", "token": "access_token"},
                    {"fault": "NoKeyId"},
                ],
            },
            [
                f"$.faults[0].parts[2]: would undo {kind.__name__}(token='id_token'); "
                f"put {kind.__name__}(token='id_token') after it"
            ],
        )
        for kind in (
            faults.BadSignature,
            faults.UnknownKey,
            faults.AlgNone,
            faults.HmacConfusion,
        )
    ),
    (
        faults.Truncated(-1),
        {"fault": "Truncated", "at": -1},
        ["$.faults[0].at: expected at least 0, got -1"],
    ),
    (
        faults.Drip(10**400),
        {"fault": "Drip", "bytes_a_second": 10**400},
        [f"$.faults[0].bytes_a_second: expected 1 to 1000000000, got {10**400}"],
    ),
    (
        faults.Down(-1),
        {"fault": "Down", "seconds": -1},
        ["$.faults[0].seconds: expected more than 0 and at most 3600, got -1"],
    ),
    (
        faults.Down(),
        {"fault": "Down"},
        ['$.faults[0].seconds: required; or use always(), or times = "always"'],
    ),
    (
        Rule(faults.Down(1), times="always"),
        {"fault": "Down", "seconds": 1, "times": "always"},
        ["$.faults[0].seconds: a standing outage lasts until it is lifted; remove seconds"],
    ),
    (
        Rule(faults.Down(1), client_id="web"),
        {"fault": "Down", "seconds": 1, "client_id": "web"},
        ["$.faults[0].fault: no request uses Down(seconds=1), so it cannot have conditions"],
    ),
    (
        Rule(faults.Down(1), times=2),
        {"fault": "Down", "seconds": 1, "times": 2},
        ["$.faults[0].fault: no request uses Down(seconds=1), so it cannot have conditions"],
    ),
    (
        Rule(faults.Pass(), times=0, skip=-1, window_seconds=-1),
        {"fault": "Pass", "times": 0, "skip": -1, "window_seconds": -1},
        [
            "$.faults[0].skip: expected at least 0, got -1",
            "$.faults[0].times: expected at least 1, got 0",
            "$.faults[0].window_seconds: expected at least 0, got -1",
        ],
    ),
    (
        Rule(faults.Pass(), times="alway"),  # type: ignore[arg-type]
        {"fault": "Pass", "times": "alway"},
        [
            "$.faults[0].times: expected a whole number or 'always', got 'alway'; "
            "did you mean 'always'?"
        ],
    ),
    (
        Rule(faults.Pass(), count="calls"),  # type: ignore[arg-type]
        {"fault": "Pass", "count": "calls"},
        [
            "$.faults[0].count: unknown value 'calls'; expected one of 'requests', 'connections', "
            "'attempts'"
        ],
    ),
    (
        Rule(faults.Pass(), endpoint="tokn"),
        {"fault": "Pass", "endpoint": "tokn"},
        ["$.faults[0].endpoint: unknown name 'tokn'; did you mean 'token'?"],
    ),
    (
        Rule(faults.Pass(), client_id="wbe"),
        {"fault": "Pass", "client_id": "wbe"},
        ["$.faults[0].client_id: unknown name 'wbe'; did you mean 'web'?"],
    ),
    (
        Rule(faults.Pass(), grant_type="refresh"),
        {"fault": "Pass", "grant_type": "refresh"},
        ["$.faults[0].grant_type: unknown name 'refresh'; did you mean 'refresh_token'?"],
    ),
    (
        Rule(faults.Pass(), endpoint="jwks", grant_type="refresh_token"),
        {"fault": "Pass", "endpoint": "jwks", "grant_type": "refresh_token"},
        ["$.faults[0].grant_type: only the token endpoint has grant types, not jwks"],
    ),
    (
        Rule(faults.Expired(), endpoint="jwks"),
        {"fault": "Expired", "endpoint": "jwks"},
        ["$.faults[0].endpoint: jwks issues no token for Expired() to change"],
    ),
]


@pytest.mark.parametrize(
    ("step", "table", "expected"), [pytest.param(*case, id=case[2][0][:60]) for case in WRONG]
)
def test_a_problem_is_the_same_in_python_and_in_a_file(
    step: Any, table: dict[str, Any], expected: list[str]
) -> None:
    with FakeOAuth(TWO) as server:
        assert problems(lambda: server.script(step)) == expected
    clients = [{"client_id": "web"}, {"client_id": "TENANT_CLIENT_ID"}]
    data = {"faults": [table], "clients": clients}
    assert problems(lambda: Settings.from_mapping(data)) == expected
    assert problems(lambda: FakeOAuth(TWO.changed(faults=[step]))) == expected


def test_problems_that_only_a_file_can_have() -> None:
    data = {
        "faults": [
            {"fault": "Statsu"},
            {"code": 503},
            {"fault": "Status", "cod": 503, "endpont": "token"},
            "HangUp",
            {"fault": 3},
            {"fault": "Change", "function": "f", "when": "g"},
            {"fault": "Combined", "parts": [{"fault": "Combined"}, 3, {"fault": "Field", "x": 1}]},
            {"fault": "Slow", "seconds": -1},
        ]
    }
    names = f"expected one of the {len(faults.KINDS)} names in docs/reference/faults.md"
    parts = "expected one of the 27 names in docs/reference/faults.md"
    assert problems(lambda: Settings.from_mapping(data)) == [
        "$.faults[0].fault: unknown fault 'Statsu'; did you mean 'Status'?",
        f"$.faults[1].fault: required, but missing; {names}",
        "$.faults[2].code: required, but missing",
        "$.faults[2].cod: unknown key; did you mean 'code'?",
        "$.faults[2].endpont: unknown key; did you mean 'endpoint'?",
        "$.faults[3]: expected a table, got 'HangUp'",
        f"$.faults[4].fault: unknown fault 3; {names}",
        "$.faults[5].function: expected a function, which only Python can pass, got 'f'",
        "$.faults[5].when: expected a function, which only Python can pass, got 'g'",
        f"$.faults[6].parts[0].fault: unknown fault 'Combined'; {parts}",
        "$.faults[6].parts[1]: expected a table, got 3",
        "$.faults[6].parts[2].name: required, but missing",
        "$.faults[6].parts[2].value: required, but missing",
        "$.faults[6].parts[2].x: unknown key; expected one of 'name', 'value'",
        "$.faults[7].seconds: expected 0 to 3600, got -1",
    ]
    settings = Settings(faults=faults.Pass())  # type: ignore[arg-type]
    assert problems(lambda: FakeOAuth(settings)) == ["$.faults: expected a list, got Pass()"]
    assert problems(lambda: Settings.from_mapping({"faults": {"fault": "Pass"}})) == [
        "$.faults: expected a list, got {'fault': 'Pass'}"
    ]


def test_problems_that_only_python_can_have() -> None:
    wrong: Any = (
        faults.HangUp,
        503,
        Rule(503),  # type: ignore[arg-type]
        Rule(faults.Pass(), when="x"),  # type: ignore[arg-type]
        faults.Change("x"),  # type: ignore[arg-type]
        faults.Combined(faults.EmptyBody()),  # type: ignore[arg-type]
        faults.Combined([faults.Pass(), faults.Field(1, 1)]),  # type: ignore[list-item, arg-type]
        faults.Combined([faults.Combined([])]),
    )
    assert problems(lambda: FakeOAuth().script(*wrong)) == [
        "$.faults[0]: expected a fault, got the class HangUp; write HangUp(...)",
        "$.faults[1]: expected a fault or a rule, got 503",
        "$.faults[2].fault: expected a Fault, got 503",
        "$.faults[3].when: expected a function, got 'x'",
        "$.faults[4].function: expected a function, got 'x'",
        "$.faults[5].parts: expected a list, got EmptyBody()",
        "$.faults[6].parts[0]: expected a ResponseFault or a TokenFault, got Pass()",
        "$.faults[6].parts[1].name: expected a string, got 1",
        "$.faults[7].parts[0]: expected a single fault; list its parts here",
    ]


def test_numbers_and_names_that_json_does_not_have_are_refused() -> None:
    value = {1: 2, "y": float("inf"), "z": 10**5000}
    assert problems(lambda: FakeOAuth().script(faults.Field("x", value))) == [
        "$.faults[0].value: expected names that are strings, got 1",
        "$.faults[0].value.y: JSON cannot represent inf",
        "$.faults[0].value.z: expected a number of fewer than 4200 digits",
    ]
    rule = Rule(faults.Slow(float("nan")), window_seconds=float("nan"))
    assert problems(lambda: FakeOAuth().script(rule)) == [
        "$.faults[0].seconds: expected 0 to 3600, got nan",
        "$.faults[0].window_seconds: expected at least 0, got nan",
    ]


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    value: Any = []
    for _ in range(5000):
        value = [value]
    (problem,) = problems(lambda: FakeOAuth().script(faults.Field("x", value)))
    assert problem.endswith("[0]: nested more than 100 levels deep")
    part: Any = {"fault": "Combined", "parts": []}
    for _ in range(5000):
        part = {"fault": "Combined", "parts": [part]}
    (problem,) = problems(lambda: Settings.from_mapping({"faults": [part]}))
    assert problem == "$: nested more than 100 levels deep"


def test_a_rule_that_a_standing_fault_covers_is_refused() -> None:
    fake = FakeOAuth()
    standing = fake.always(faults.Status(503))
    assert problems(lambda: fake.always(faults.Status(502))) == [
        "$.faults[0]: can never apply: the standing fault Status(503) comes first; lift it"
    ]
    fake.always(Rule(faults.Status(502), endpoint="jwks")).lift()
    standing.lift()
    fake.always(faults.Status(502))


def test_without_a_socket_a_fault_that_needs_one_is_refused_when_it_is_scripted() -> None:
    fake = FakeOAuth()
    wrong = (
        faults.Reset(),
        faults.Pass(),
        Rule(faults.Pass(), count="connections"),
        faults.Down(1),
    )
    hint = "needs a socket; start the server, and send requests to its url"
    assert problems(lambda: fake.script(*wrong)) == [
        f"$.faults[0]: Reset() {hint}",
        f"$.faults[2]: counting connections {hint}",
        f"$.faults[3]: Down(seconds=1) {hint}",
    ]
    assert statuses(fake, 1) == [200]
    scripted = FakeOAuth(Settings(faults=[faults.HangUp()]))
    for _ in range(2):
        assert problems(lambda: scripted.issuer) == [f"$.faults[0]: HangUp() {hint}"]


def test_a_request_that_comes_past_the_socket_cannot_be_interrupted() -> None:
    from werkzeug.test import EnvironBuilder
    from werkzeug.wrappers import Request

    with FakeOAuth() as server:
        server.script(Rule(faults.HangUp(), times=2))
        with pytest.raises(FakeOAuthError, match=r"HangUp\(\) works only over a socket"):
            ask(server)
        builder = EnvironBuilder("/oauth2/token", method="POST", data=DOCUMENTED)
        with pytest.raises(FakeOAuthError, match=r"HangUp\(\) works only over a socket"):
            server.handle(Request(builder.get_environ()))


def test_a_rule_survives_the_way_to_a_table_and_back() -> None:
    combined = faults.Combined((faults.Field("x", 1), faults.Claim("y", 2, token="id_token")))
    rules, _ = rules_of(
        [faults.Status(503, {"a": 1}), Rule(faults.Slow(0.5), skip=2, times="always"), combined]
    )
    tables = [plain(rule) for rule in rules]
    assert tables == [
        {"fault": "Status", "code": 503, "body": {"a": 1}},
        {"fault": "Slow", "seconds": 0.5, "skip": 2, "times": "always"},
        {
            "fault": "Combined",
            "parts": [
                {"fault": "Field", "name": "x", "value": 1},
                {"fault": "Claim", "token": "id_token", "name": "y", "value": 2},
            ],
        },
    ]
    assert structure(tables, Sequence[Rule], converter()) == (tuple(rules), [])  # type: ignore[type-abstract]


def test_a_fault_is_shown_as_an_expression() -> None:
    for fault, text in (
        (faults.Pass(), "Pass()"),
        (faults.Status(429, headers={"X": "1"}), "Status(429, headers={'X': '1'})"),
        (faults.Claim("sub", None, token="id_token"), "Claim('sub', None, token='id_token')"),
        (faults.Combined([faults.Field("a", [1])]), "Combined([Field('a', [1])])"),
    ):
        assert str(fault) == text


def test_a_function_is_shown_by_its_name() -> None:
    def late(exchange: Exchange) -> bool:
        return exchange.number > 1

    rule = Rule(faults.Change(repr), when=late)  # type: ignore[arg-type]
    assert str(rule) == "Change(repr) [when]"
    assert plain(rule) == {
        "fault": "Change",
        "function": "<function repr>",
        "when": "<function late>",
    }


def test_the_settings_can_have_a_script() -> None:
    fake = FakeOAuth(Settings(faults=[faults.Status(503), Rule(faults.Pass(), times=2)]))
    assert statuses(fake, 3) == [503, 200, 200]
    fake.assert_script_used()


def connects(server: FakeOAuth) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))).close()
    except ConnectionRefusedError:
        return False
    return True


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that must come about."""
    deadline = monotonic() + 20
    while not condition():
        assert monotonic() < deadline


def test_a_port_that_is_down_comes_back_by_itself(oauth_server: FakeOAuth) -> None:
    oauth_server.script(faults.Down(0.05), faults.Status(503))
    until(lambda: connects(oauth_server))
    assert httpx.post(oauth_server.token_url, data=DOCUMENTED).status_code == 503


def test_a_port_goes_down_when_the_steps_before_are_used(oauth_server: FakeOAuth) -> None:
    oauth_server.script(faults.Pass(), faults.Down(600), faults.Down(600), faults.Status(503))
    with httpx.Client() as client:
        assert client.post(oauth_server.token_url, data=DOCUMENTED).status_code == 200
        with pytest.raises(httpx.ConnectError):
            client.post(oauth_server.token_url, data=DOCUMENTED)
    oauth_server._script.clear()
    assert connects(oauth_server)


def test_a_port_can_be_down_for_as_long_as_it_takes(oauth_server: FakeOAuth) -> None:
    for _ in range(3):
        with oauth_server.always(faults.Down()):
            with oauth_server.always(faults.Down()):
                assert not connects(oauth_server)
            assert not connects(oauth_server)
        assert connects(oauth_server)


def test_a_port_that_is_down_can_be_stopped() -> None:
    with FakeOAuth() as server:
        server.script(faults.Down(600))
        assert not connects(server)


@pytest.mark.parametrize(
    "fault",
    [faults.Slow(600), faults.Hang(), faults.Hang(after_commit=True), faults.Drip(1)],
    ids=str,
)
def test_what_waits_ends_with_the_server(fault: faults.Fault) -> None:
    ended: list[Exception] = []

    def ask_patiently(url: str) -> None:
        try:
            httpx.post(url, data=DOCUMENTED, timeout=60)
        except httpx.TransportError as error:
            ended.append(error)

    with FakeOAuth() as server:
        server.script(fault)
        asking = Thread(target=ask_patiently, args=(server.token_url,))
        asking.start()
        until(lambda: len(server.journal) == 1 and server.journal[0].fault is not None)
    asking.join()
    assert [type(error) for error in ended] == [httpx.RemoteProtocolError]
    if isinstance(fault, faults.Slow):
        assert server.journal[0].reason == "the server stopped first"


def test_the_stub_reads_its_script_from_its_file(tmp_path: Any) -> None:
    config = tmp_path / "stub.toml"
    config.write_text('[[faults]]\nfault = "Status"\ncode = 503\nretry_after_seconds = 2\n')
    with stub("--settings", str(config)) as running:
        with pytest.raises(HTTPError) as caught:
            running.refresh()
        assert (caught.value.code, caught.value.headers["Retry-After"]) == (503, "2")
        caught.value.close()
        running.refresh()
        with urlopen(f"{running.url}/oauth2/jwks") as reply:
            assert reply.status == 200
        _, lines = running.end()
    assert "{step 1 Status(503, retry_after_seconds=2)} scripted" in lines[0]


def test_keys_rotate_and_the_old_one_stays_or_goes() -> None:
    fake = FakeOAuth()

    def published() -> list[str]:
        document: Any = WSGIClient(fake).get("/oauth2/jwks").json
        return [key["kid"] for key in document["keys"]]

    def is_good(token: str) -> bool:
        headers = {"Authorization": f"Bearer {token}"}
        return WSGIClient(fake).get("/userinfo", headers=headers).status_code == 200

    (first,) = published()
    old = fake.issue_tokens().access_token
    second = fake.rotate_keys()
    assert published() == [second, first]
    assert is_good(old)
    assert is_good(fake.issue_tokens().access_token)
    third = fake.rotate_keys(keep_old=False)
    assert published() == [third]
    assert not is_good(old)
    assert is_good(fake.issue_tokens().access_token)
    assert len({first, second, third, fake.rotate_keys(), fake.rotate_keys()}) == 5


def test_a_client_that_has_gone_is_no_failure() -> None:
    with FakeOAuth() as server:
        client = wire.connect(server.url)

        def leave(_: Exchange) -> bool:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return True

        server.script(Rule(faults.Truncated(10), when=leave))
        client.sendall(wire.request())
        until(lambda: len(server.journal) == 1 and server.journal[0].status is not None)
    server.assert_script_used()


def test_a_server_that_has_stopped_has_no_port_to_shut() -> None:
    with FakeOAuth() as server:
        pass
    with server.always(faults.Down()):
        pass


def test_a_server_can_start_over_at_its_address() -> None:
    settings = Settings(
        refresh_policy=RefreshPolicy(rotate=True), seed=0, faults=[faults.Status(503)]
    )
    with FakeOAuth(settings) as server:
        seen = []
        for _ in range(2):
            statuses = [httpx.post(server.token_url, data=DOCUMENTED).status_code for _ in range(3)]
            seen.append((statuses, server.issue_tokens().refresh_token, len(server.journal)))
            server.always(faults.Down())
            server.clock.advance(60)
            server.reset()
    assert seen[0] == seen[1]
    assert seen[0][0] == [503, 200, 400]


def test_the_script_of_the_settings_comes_first() -> None:
    fake = FakeOAuth(
        Settings(faults=[faults.Status(501), Rule(faults.Status(503), times="always")])
    )
    fake.script(faults.Status(502))
    standing = fake.always(faults.Status(504))
    assert [ask(fake).status_code for _ in range(3)] == [501, 502, 503]
    assert [str(step) for step in fake.steps] == [
        "step 1 Status(501)",
        "step 2 Status(502)",
        "always Status(503)",
        "always Status(504)",
    ]
    standing.lift()
    assert len(fake.steps) == 3
    fake.replace_script()
    assert ask(fake).status_code == 200


def test_a_script_that_is_replaced_before_the_first_request_stays_replaced() -> None:
    fake = FakeOAuth(Settings(faults=[faults.Status(501)]))
    fake.replace_script(faults.Status(502))
    assert [ask(fake).status_code for _ in range(2)] == [502, 200]
