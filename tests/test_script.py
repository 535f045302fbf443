"""The script: which request meets which fault, and how often."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
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
    Settings,
    SettingsError,
    UnusedFaultError,
    faults,
)
from fake_oauth.faults import MALFORMED, Rule
from fake_oauth.faults.kinds import plain, read_rules, rules_of
from tests import wire
from tests.asking import DOCUMENTED, FORM, ask, form
from tests.test_command_line import stub

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
    """What is told to whoever scripts something wrong."""
    with pytest.raises(SettingsError) as caught:
        make()
    return [str(problem) for problem in caught.value.problems]


def test_a_list_is_a_sequence_and_dry_it_means_normal_service() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503), faults.ok, faults.Refuse("invalid_grant"))
    assert statuses(fake, 5) == [503, 200, 400, 200, 200]
    assert [exchange.fault for exchange in fake.journal] == [
        "step 1 Status(503)",
        "step 2 ok",
        "step 3 Refuse('invalid_grant')",
        None,
        None,
    ]


def test_a_second_script_comes_after_the_first() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503))
    fake.script(faults.Status(502))
    assert statuses(fake, 3) == [503, 502, 200]


def test_two_one_shots_meet_two_requests() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503), faults.Status(503))
    assert statuses(fake, 3) == [503, 503, 200]


def test_skip_and_times() -> None:
    fake = FakeOAuth()
    fake.script(Rule(faults.Status(503), skip=1, times=2))
    assert statuses(fake, 5) == [200, 503, 503, 200, 200]


def test_what_one_rule_skips_another_may_take() -> None:
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


def test_a_script_is_for_the_token_endpoint_unless_it_says_otherwise() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503), Rule(faults.Status(502), endpoint="any", times=2))
    paths = ("/oauth2/jwks", "/nowhere", "/.well-known/openid-configuration")
    assert [WSGIClient(fake).get(path).status_code for path in paths] == [502, 502, 200]
    assert statuses(fake, 2) == [503, 200]


def test_what_no_endpoint_is_asked_meets_no_step() -> None:
    fake = FakeOAuth(Settings(cors_origins=["https://app.example"]))
    fake.script(Rule(faults.Status(503), endpoint="any"))
    client = WSGIClient(fake)
    assert client.get("/oauth2/token").status_code == 405
    preflight = client.options("/oauth2/token", headers={"Origin": "https://app.example"})
    assert preflight.status_code == 200
    assert statuses(fake, 2) == [503, 200]


def test_a_predicate_chooses() -> None:
    fake = FakeOAuth()
    fake.script(Rule(faults.Status(503), when=lambda request: request.form.get("scope") == "x"))
    assert [ask(fake, form(scope=scope)).status_code for scope in (None, "x", None)] == [
        200,
        503,
        200,
    ]


def test_a_predicate_that_fails_says_so() -> None:
    fake = FakeOAuth()
    fake.script(Rule(faults.ok, when=lambda request: request.form["scope"] == "x"))
    with pytest.raises(FakeOAuthError, match=r"predicate of step 1 ok failed on request 1: KeyErr"):
        ask(fake)


def test_always_holds_until_it_is_lifted() -> None:
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


def test_steps_come_before_what_always_holds() -> None:
    fake = FakeOAuth()
    fake.always(faults.Status(503))
    fake.script(faults.ok, faults.Status(502))
    assert statuses(fake, 3) == [200, 502, 503]


def test_an_always_that_is_not_one_is_refused() -> None:
    with pytest.raises(FakeOAuthError, match="expected a fault or a Rule with always=True"):
        FakeOAuth().always(Rule(faults.ok, times=2))
    with FakeOAuth().always(Rule(faults.Status(503), endpoint="jwks", always=True)):
        pass


def test_before_the_commit_nothing_has_changed_and_after_it_all_has() -> None:
    with FakeOAuth(Settings(rotate_refresh_tokens=True)) as server:
        server.script(faults.HangUp(), faults.HangUp(after_commit=True))
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.post(server.token_url, data=DOCUMENTED)
        assert httpx.post(server.token_url, data=DOCUMENTED).json() == {"error": "invalid_grant"}
    lines = [re.sub(r" \d\d:\d\d:\d\d ", " ", str(exchange)) for exchange in server.journal]
    asked = "[refresh_token, TENANT_CLIENT_ID]"
    sent = "client_secret=*** refresh_token=MOCK_USERNAME/planted1 r1"
    assert lines == [
        f"#1 POST /oauth2/token -> not answered {asked} {{step 1 HangUp()}} "
        f"nothing was done; {sent}",
        f"#2 POST /oauth2/token -> not answered {asked} {{step 2 HangUp(after_commit=True)}} "
        f"refreshed, refresh token rotated; the reply was lost; {sent}",
        f"#3 POST /oauth2/token -> 400 invalid_grant {asked} "
        f"refresh token rotated away by request 2; {sent}",
    ]
    assert [exchange.status for exchange in server.journal] == [None, None, 400]


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
    oauth_server.script(Rule(faults.HangUp(), count="attempts"), faults.ok)
    connection = HTTPConnection(oauth_server.url[7:], timeout=20)
    assert [attempt(connection) for _ in range(3)] == [None, None, None]
    oauth_server.clock.advance(1)
    assert attempt(connection) is None
    oauth_server.clock.advance(1.5)
    assert attempt(connection) == 401
    connection.close()
    assert [exchange.fault for exchange in oauth_server.journal] == 4 * ["step 1 HangUp()"] + [
        "step 2 ok"
    ]


def test_another_body_is_another_attempt(oauth_server: FakeOAuth) -> None:
    oauth_server.script(Rule(faults.HangUp(), count="attempts", window_seconds=60))
    connection = HTTPConnection(oauth_server.url[7:], timeout=20)
    assert [attempt(connection, body) for body in ("a=b", "a=c", "a=b")] == [None, 401, None]
    connection.close()


def test_what_is_skipped_is_skipped_again_when_it_is_repeated(oauth_server: FakeOAuth) -> None:
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


def test_a_rule_remembers_so_many_arrivals_and_no_more() -> None:
    fake = FakeOAuth()
    fake.clock.freeze()
    fake.always(Rule(faults.Status(503), always=True, count="attempts"))
    for number in range(1100):
        ask(fake, {"n": str(number)})
    (step,) = fake._script.steps
    assert (step.used, len(step._latest)) == (1100, 1024)


def test_what_is_left_unused_is_told_with_the_timeline() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503), Rule(faults.ok, times=3), Rule(faults.Empty(), endpoint="jwks"))
    with pytest.raises(UnusedFaultError, match="no request arrived") as untouched:
        fake.check_faults()
    assert untouched.value.faults == (
        "step 1 Status(503)",
        "step 2 ok [times=3]",
        "step 3 Empty() [endpoint=jwks]",
    )
    statuses(fake, 2)
    with pytest.raises(UnusedFaultError) as caught:
        fake.check_faults()
    assert caught.value.faults == (
        "step 2 ok [times=3], met 1 of 3 times",
        "step 3 Empty() [endpoint=jwks]",
    )
    assert caught.value.transcript == str(fake.journal)
    assert str(caught.value).startswith("the script was not used up:\n  step 2 ok [times=3], met")
    assert str(caught.value).endswith(str(fake.journal))


@pytest.mark.parametrize(
    "fault",
    [
        faults.Expired(),
        faults.Claim("sub", "x", token="access_token"),
        faults.Field("expires_in", 1),
        faults.Missing("access_token"),
        faults.DuplicateKey("access_token"),
        faults.WrongCharset(),
    ],
    ids=str,
)
def test_a_fault_that_finds_nothing_to_act_on_is_told_too(fault: faults.Fault) -> None:
    fake = FakeOAuth()
    fake.script(fault)
    assert ask(fake, {"grant_type": "refresh_token"}).get_data() == b""
    with pytest.raises(UnusedFaultError) as caught:
        fake.check_faults()
    assert caught.value.faults == (
        f"step 1 {fault}: request 1 met it, and there was nothing in the reply for it to act on",
    )


def test_a_reply_that_lacks_what_is_to_be_missing_is_as_it_was() -> None:
    fake = FakeOAuth()
    fake.script(faults.Missing("device_code"), faults.DuplicateKey("device_code"))
    bodies = [re.sub(rb"eyJ[^\"]*", b"", ask(fake).get_data()) for _ in range(3)]
    assert len(set(bodies)) == 1
    with pytest.raises(UnusedFaultError):
        fake.check_faults()


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
    fake.check_faults()


# What is wrong is told alike in Python, in TOML and in JSON.
WRONG: list[tuple[Any, dict[str, Any], list[str]]] = [
    (
        faults.Status("503"),  # type: ignore[arg-type]
        {"fault": "Status", "code": "503"},
        ["$.faults[0].code: expected a whole number, got '503'"],
    ),
    (
        faults.Status(200, 3, -1),
        {"fault": "Status", "code": 200, "body": 3, "retry_after_seconds": -1},
        [
            "$.faults[0].code: expected an HTTP error, 400 to 599, got 200",
            "$.faults[0].body: expected a string or a table, got 3",
            "$.faults[0].retry_after_seconds: expected at least 0, got -1",
        ],
    ),
    (
        faults.Refuse("", status=302),
        {"fault": "Refuse", "error": "", "status": 302},
        [
            "$.faults[0].error: expected an error code, got none",
            "$.faults[0].status: expected an HTTP error, 400 to 599, got 302",
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
        ["$.faults[0].seconds_ago: expected at least 1, got 0"],
    ),
    (
        faults.NotYetValid(0, token="refresh_token"),  # type: ignore[arg-type]
        {"fault": "NotYetValid", "seconds": 0, "token": "refresh_token"},
        ["$.faults[0].token: 'refresh_token' is not known, did you mean 'access_token'?"],
    ),
    (
        faults.NotYetValid(0),
        {"fault": "NotYetValid", "seconds": 0},
        ["$.faults[0].seconds: expected at least 1, got 0"],
    ),
    (
        faults.Claim("", 1),
        {"fault": "Claim", "name": "", "value": 1},
        ["$.faults[0].name: expected the name of a claim, got an empty one"],
    ),
    (
        faults.Claim("when", datetime(2026, 1, 1, tzinfo=UTC)),
        {"fault": "Claim", "name": "when", "value": datetime(2026, 1, 1, tzinfo=UTC)},
        [
            "$.faults[0].value: JSON has no such value: datetime.datetime(2026, 1, 1, 0, 0, "
            "tzinfo=datetime.timezone.utc)"
        ],
    ),
    (
        faults.Field("x", {1, 2}),
        {"fault": "Field", "name": "x", "value": {1, 2}},
        ["$.faults[0].value: JSON has no such value: {1, 2}"],
    ),
    (
        faults.DuplicateKey("x", b""),
        {"fault": "DuplicateKey", "name": "x", "value": b""},
        ["$.faults[0].value: JSON has no such value: b''"],
    ),
    (
        faults.NoClaim(""),
        {"fault": "NoClaim", "name": ""},
        ["$.faults[0].name: expected the name of a claim, got an empty one"],
    ),
    (
        faults.WrongContentType("a\nb"),
        {"fault": "WrongContentType", "content_type": "a\nb"},
        ["$.faults[0].content_type: expected what a header can hold, got 'a\\nb'"],
    ),
    (
        faults.WrongCharset("klingon"),
        {"fault": "WrongCharset", "charset": "klingon"},
        ["$.faults[0].charset: expected an encoding of Python's, got 'klingon'"],
    ),
    (
        faults.Huge(0),
        {"fault": "Huge", "bytes": 0},
        ["$.faults[0].bytes: expected 1 to 1073741824 (a GiB), got 0"],
    ),
    (
        faults.Truncated(-1),
        {"fault": "Truncated", "at": -1},
        ["$.faults[0].at: expected at least 0, got -1"],
    ),
    (
        faults.Drip(0),
        {"fault": "Drip", "bytes_a_second": 0},
        ["$.faults[0].bytes_a_second: expected at least 1, got 0"],
    ),
    (
        faults.Down(-1),
        {"fault": "Down", "seconds": -1},
        ["$.faults[0].seconds: expected more than 0, 3600 at most, got -1"],
    ),
    (
        faults.Down(),
        {"fault": "Down"},
        ["$.faults[0].seconds: expected how long it lasts"],
    ),
    (
        Rule(faults.Down(1), always=True),
        {"fault": "Down", "seconds": 1, "always": True},
        ["$.faults[0].seconds: expected no seconds, or no always"],
    ),
    (
        Rule(faults.Down(1), client_id="web"),
        {"fault": "Down", "seconds": 1, "client_id": "web"},
        ["$.faults[0].fault: no request meets Down(seconds=1), so it takes no conditions"],
    ),
    (
        Rule(faults.ok, times=0, skip=-1, window_seconds=-1),
        {"fault": "ok", "times": 0, "skip": -1, "window_seconds": -1},
        [
            "$.faults[0].skip: expected at least 0, got -1",
            "$.faults[0].times: expected at least 1, got 0",
            "$.faults[0].window_seconds: expected at least 0, got -1",
        ],
    ),
    (
        Rule(faults.ok, times=2, always=True),
        {"fault": "ok", "times": 2, "always": True},
        ["$.faults[0].times: expected times or always, got both"],
    ),
    (
        Rule(faults.ok, count="calls"),  # type: ignore[arg-type]
        {"fault": "ok", "count": "calls"},
        [
            "$.faults[0].count: 'calls' is not known, expected one of 'requests', 'connections', "
            "'attempts'"
        ],
    ),
    (
        Rule(faults.ok, endpoint="tokn"),
        {"fault": "ok", "endpoint": "tokn"},
        ["$.faults[0].endpoint: there is no 'tokn', did you mean 'token'?"],
    ),
    (
        Rule(faults.ok, client_id="wbe"),
        {"fault": "ok", "client_id": "wbe"},
        ["$.faults[0].client_id: there is no 'wbe', did you mean 'web'?"],
    ),
    (
        Rule(faults.ok, grant_type="refresh"),
        {"fault": "ok", "grant_type": "refresh"},
        ["$.faults[0].grant_type: there is no 'refresh', did you mean 'refresh_token'?"],
    ),
    (
        Rule(faults.ok, endpoint="jwks", grant_type="refresh_token"),
        {"fault": "ok", "endpoint": "jwks", "grant_type": "refresh_token"},
        ["$.faults[0].grant_type: only the token endpoint is asked for a grant, not jwks"],
    ),
    (
        Rule(faults.Expired(), endpoint="jwks"),
        {"fault": "Expired", "endpoint": "jwks"},
        ["$.faults[0].endpoint: jwks mints no token for Expired() to act on"],
    ),
]


@pytest.mark.parametrize(
    ("step", "table", "expected"), [pytest.param(*case, id=case[2][0][:60]) for case in WRONG]
)
def test_what_is_wrong_is_told_alike_in_python_and_in_a_file(
    step: Any, table: dict[str, Any], expected: list[str]
) -> None:
    with FakeOAuth(TWO) as server:
        assert problems(lambda: server.script(step)) == expected
    clients = [{"client_id": "web"}, {"client_id": "TENANT_CLIENT_ID"}]
    data = {"faults": [table], "clients": clients}
    assert problems(lambda: Settings.from_mapping(data)) == expected
    assert problems(lambda: FakeOAuth(TWO.changed(faults=[step]))) == expected


def test_what_only_a_file_can_get_wrong() -> None:
    data = {
        "faults": [
            {"fault": "Statsu"},
            {"code": 503},
            {"fault": "Status", "cod": 503, "endpont": "token"},
            "HangUp",
            {"fault": 3},
        ]
    }
    assert problems(lambda: Settings.from_mapping(data)) == [
        "$.faults[0].fault: 'Statsu' is not known, did you mean 'Status'?",
        f"$.faults[1].fault: missing, expected one of {', '.join(map(repr, faults.KINDS))}",
        "$.faults[2].code: missing, and there is no default",
        "$.faults[2].cod: unknown key, did you mean 'code'?",
        "$.faults[2].endpont: unknown key, did you mean 'endpoint'?",
        "$.faults[3]: expected a table, got 'HangUp'",
        f"$.faults[4].fault: 3 is not known, expected one of {', '.join(map(repr, faults.KINDS))}",
    ]
    assert problems(lambda: Settings.from_mapping({"faults": {"fault": "ok"}})) == [
        "$.faults: expected a list of tables, got {'fault': 'ok'}"
    ]


def test_what_only_python_can_get_wrong() -> None:
    wrong: Any = (faults.HangUp, 503, Rule(503), Rule(faults.ok, when="x"))  # type: ignore[arg-type]
    told = problems(lambda: FakeOAuth().script(*wrong))
    assert told[0].endswith("hangups.HangUp'> (did you forget its parentheses?)")
    assert told[1] == "$.faults[1]: expected a fault, got 503"
    assert told[2].startswith("$.faults[2]: expected a fault, got Rule(")
    assert told[3] == "$.faults[3].when: expected a function of the request, got 'x'"


def test_a_rule_that_another_always_leaves_nothing_to_is_refused() -> None:
    fake = FakeOAuth()
    standing = fake.always(faults.Status(503))
    assert problems(lambda: fake.always(faults.Status(502))) == [
        "$.faults[0]: can never apply: Status(503) always comes first"
    ]
    fake.always(Rule(faults.Status(502), endpoint="jwks", always=True)).lift()
    standing.lift()
    fake.always(faults.Status(502))


def test_without_a_socket_what_needs_one_is_refused_when_it_is_scripted() -> None:
    fake = FakeOAuth()
    wrong = (faults.Reset(), faults.ok, Rule(faults.ok, count="connections"), faults.Down(1))
    hint = "needs a socket: start the server first, and ask it at its url"
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
        with pytest.raises(FakeOAuthError, match=r"HangUp\(\) needs a connection of this server's"):
            ask(server)
        builder = EnvironBuilder("/oauth2/token", method="POST", data=DOCUMENTED)
        with pytest.raises(FakeOAuthError, match=r"HangUp\(\) needs a connection of this server's"):
            server.handle(Request(builder.get_environ()))


def test_a_rule_is_the_same_when_it_has_been_data() -> None:
    rules, _ = rules_of([faults.Status(503, {"a": 1}), Rule(faults.Slow(0.5), skip=2, times=3)])
    tables = [plain(rule) for rule in rules]
    assert tables == [
        {"fault": "Status", "code": 503, "body": {"a": 1}},
        {"fault": "Slow", "seconds": 0.5, "skip": 2, "times": 3},
    ]
    assert read_rules(tables) == (rules, [])


def test_the_settings_hold_a_script() -> None:
    fake = FakeOAuth(Settings(faults=[faults.Status(503), Rule(faults.ok, times=2)]))
    assert statuses(fake, 3) == [503, 200, 200]
    fake.check_faults()


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
    oauth_server.script(faults.ok, faults.Down(600), faults.Down(600), faults.Status(503))
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
        assert server.journal[0].reason == "the server stopped before"


def test_the_stub_reads_its_script_from_its_file(tmp_path: Any) -> None:
    config = tmp_path / "stub.toml"
    config.write_text('[[faults]]\nfault = "Status"\ncode = 503\nretry_after_seconds = 2\n')
    with stub("--config", str(config)) as running:
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
    old = fake.issue().access_token
    second = fake.rotate_keys()
    assert published() == [second, first]
    assert is_good(old)
    assert is_good(fake.issue().access_token)
    third = fake.rotate_keys(keep_old=False)
    assert published() == [third]
    assert not is_good(old)
    assert is_good(fake.issue().access_token)
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
    server.check_faults()


def test_a_server_that_has_stopped_has_no_port_to_shut() -> None:
    with FakeOAuth() as server:
        pass
    with server.always(faults.Down()):
        pass


def test_a_server_can_start_over_at_its_address() -> None:
    settings = Settings(rotate_refresh_tokens=True, seed=0, faults=[faults.Status(503)])
    with FakeOAuth(settings) as server:
        seen = []
        for _ in range(2):
            statuses = [httpx.post(server.token_url, data=DOCUMENTED).status_code for _ in range(3)]
            seen.append((statuses, server.issue().refresh_token, len(server.journal)))
            server.always(faults.Down())
            server.clock.advance(60)
            server.start_over()
    assert seen[0] == seen[1]
    assert seen[0][0] == [503, 200, 400]
