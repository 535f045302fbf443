"""The control API: every control, and who may use it."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict
from hashlib import sha256
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import httpx
import pytest
from werkzeug.test import Client as WSGIClient
from werkzeug.test import EnvironBuilder, TestResponse

from fake_oauth import (
    Client,
    FakeOAuth,
    FakeOAuthError,
    PreconfiguredRefreshToken,
    Settings,
    SettingsError,
    User,
    faults,
)
from fake_oauth.control import PREFIX
from fake_oauth.control.access import VARIABLE, control_token_of
from fake_oauth.control.api import CONTROLS
from fake_oauth.faults import Rule
from tests.support.client import DOCUMENTED, ask, basic, claims, over_socket
from tests.support.stub import stub
from tests.support.wire import connect, get, received
from tests.test_script import WRONG

ALICE, BOB = User(sub="u-alice", username="alice"), User(sub="u-bob", username="bob")
WEB = Client(
    client_id="web",
    client_secret="s3cret",
    redirect_uris=["https://web.example/callback"],
    access_token_seconds=60,
)
APP = Client(client_id="app", client_secret="s3cret")
AUTHORIZE = {
    "client_id": "web",
    "response_type": "code",
    "scope": "openid",
    "redirect_uri": WEB.redirect_uris[0],
}
JSON = {"Content-Type": "application/json"}
SETTINGS = Settings(control=True, clients=[WEB, APP], users=[ALICE, BOB], seed=3)


def _has_json(table: dict[str, Any]) -> bool:
    """Return whether JSON can represent a table of the settings."""
    try:
        json.dumps(table)
    except TypeError:
        return False
    return True


Control = Callable[..., TestResponse]


@pytest.fixture
def fake() -> FakeOAuth:
    return FakeOAuth(SETTINGS)


@pytest.fixture
def control(fake: FakeOAuth) -> Control:
    return control_of(fake)


def control_of(fake: FakeOAuth) -> Control:
    """Return a function that sends a control request in process: method, path, and body."""

    def send(method: str, path: str, body: Any = None, **options: Any) -> TestResponse:
        return WSGIClient(fake).open(PREFIX + path, method=method, json=body, **options)

    return send


def members(response: TestResponse) -> dict[str, Any]:
    """Return the JSON of a successful response, which is standard JSON (RFC 8259)."""
    assert response.status_code == 200, response.text
    decoded: dict[str, Any] = json.loads(response.text, parse_constant=pytest.fail)
    return decoded


def description(response: TestResponse) -> str:
    """Return the description of an error."""
    assert response.status_code >= 400
    assert response.json is not None
    text: str = response.json["error_description"]
    return text


def refresh(fake: FakeOAuth, token: str, client_id: str = "web") -> TestResponse:
    secret = {"client_id": client_id, "client_secret": "s3cret"}
    return ask(fake, {**secret, "grant_type": "refresh_token", "refresh_token": token})


def problems(response: TestResponse) -> list[str]:
    """Return the problems of a request that is refused."""
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"] == "invalid_settings"
    return [f"{problem['path']}: {problem['message']}" for problem in response.json["problems"]]


def test_the_index_lists_every_control(control: Control) -> None:
    response = control("GET", "/")
    assert members(response) == {
        "issuer": "http://localhost",
        "dialect": "ciam",
        "seed": 3,
        "controls": [f"{method} /_fake{path}" for method, path in CONTROLS],
    }
    assert control("GET", "").json == response.json
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/faults", "/clock", "/clients", "/users", "/resource"])
def test_putting_back_what_was_returned_changes_nothing(
    fake: FakeOAuth, control: Control, path: str
) -> None:
    fake.clock.freeze()
    fake.script(
        Rule(faults.Status(503, {"a": [1]}), skip=2, times=5, client_id="web"),
        faults.Claim("roles", ["admin"], token="access_token"),
        Rule(faults.Refuse("slow_down"), times=2),
    )
    fake.always(Rule(faults.Slow(0.001), endpoint="jwks", skip=1))
    token = fake.issue_tokens().refresh_token
    assert token is not None
    assert refresh(fake, token).status_code == 200
    before = members(control("GET", path))
    assert before
    assert control("PUT", path, before).json == before
    assert control("GET", path).json == before
    # The first step now skips one request, and the second is used.
    assert [refresh(fake, token).status_code for _ in range(4)] == [400, 503, 503, 503]


def test_a_script_can_be_replaced_extended_and_read(fake: FakeOAuth, control: Control) -> None:
    fake.script(faults.Status(500))
    replaced = {"faults": [{"fault": "Status", "code": 503, "times": 2}]}
    assert control("PUT", "/faults", replaced).json == replaced
    appended = {"faults": [{"fault": "Refuse", "error": "invalid_grant"}]}
    response = control("POST", "/faults", appended)
    assert response.json == {"faults": replaced["faults"] + appended["faults"]}
    assert [ask(fake).status_code for _ in range(2)] == [503, 503]
    assert control("GET", "/faults").json == appended
    assert control("GET", "/steps").json == {
        "steps": [
            {
                "step": "step 2 Status(503)",
                "fault": "Status",
                "code": 503,
                "times": 2,
                "used": 2,
                "left": 0,
            },
            {
                "step": "step 3 Refuse('invalid_grant')",
                "fault": "Refuse",
                "error": "invalid_grant",
                "used": 0,
                "left": 1,
            },
        ]
    }


def test_a_standing_fault_is_in_the_script_until_it_is_replaced(
    fake: FakeOAuth, control: Control
) -> None:
    standing = {"faults": [{"fault": "Status", "code": 503, "times": "always"}]}
    assert control("PUT", "/faults", standing).json == standing
    assert [ask(fake).status_code for _ in range(3)] == [503, 503, 503]
    assert control("GET", "/faults").json == standing
    assert control("PUT", "/faults", {"faults": []}).json == {"faults": []}
    assert ask(fake).status_code == 401


def test_a_predicate_is_shown_and_cannot_be_sent_back(fake: FakeOAuth, control: Control) -> None:
    fake.script(Rule(faults.Pass(), when=lambda exchange: exchange.number == 7))
    shown = members(control("GET", "/faults"))
    assert "lambda" in shown["faults"][0]["when"]
    (problem,) = problems(control("PUT", "/faults", shown))
    assert problem.startswith(
        "$.faults[0].when: expected a function, which only Python can pass, got '"
    )
    assert len(fake.steps) == 1


@pytest.mark.parametrize(
    ("table", "expected"),
    [pytest.param(*case[1:], id=case[2][0]) for case in WRONG if _has_json(case[1])],
)
def test_a_fault_has_the_same_problems_as_in_python_and_changes_nothing(
    table: dict[str, Any], expected: list[str]
) -> None:
    clients = [Client(client_id="TENANT_CLIENT_ID"), Client(client_id="web")]
    with FakeOAuth(Settings(control=True, clients=clients)) as server:
        server.script(faults.Pass())
        assert problems(control_of(server)("PUT", "/faults", {"faults": [table]})) == expected
        assert [step.rule.fault for step in server.steps] == [faults.Pass()]


def test_no_fault_is_appended_if_one_has_a_problem(fake: FakeOAuth, control: Control) -> None:
    fake.script(faults.Pass())
    tables = [{"fault": "Status", "code": 503}, {"fault": "Status", "code": 204}]
    assert problems(control("POST", "/faults", {"faults": tables})) == [
        "$.faults[1].code: expected 200, 301, 302, 303, 307, 308, or 400 to 599, got 204"
    ]
    assert [step.rule.fault for step in fake.steps] == [faults.Pass()]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (None, ["$.faults: required, but missing"]),
        ({}, ["$.faults: required, but missing"]),
        ([], ["$: expected a table, got []"]),
        ({"faults": {}}, ["$.faults: expected a list, got {}"]),
        (
            {"fault": []},
            [
                "$.faults: required, but missing",
                "$.fault: unknown key; did you mean 'faults'?",
            ],
        ),
        ({"faults": [], "clock": {}}, ["$.clock: unknown key; expected one of 'faults'"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_script_is_a_table_with_a_list_of_faults(
    fake: FakeOAuth, control: Control, method: str, body: Any, expected: list[str]
) -> None:
    fake.script(faults.Pass())
    assert problems(control(method, "/faults", body)) == expected
    assert len(fake.steps) == 1


def test_the_clock_can_be_set_frozen_advanced_and_unfrozen(
    fake: FakeOAuth, control: Control
) -> None:
    frozen = {"now": "2026-11-23T10:00:00Z", "frozen": True, "next_expiry": None}
    assert control("PUT", "/clock", frozen).json == frozen
    advanced = frozen | {"now": "2026-11-23T11:00:00.500000Z"}
    assert control("POST", "/clock", {"advance_seconds": 3600.5}).json == advanced
    assert control("GET", "/clock").json == advanced
    assert fake.clock.now() == 1795431600.5
    assert control("POST", "/clock", {"advance_seconds": -3600.5}).json == frozen
    running = members(control("PUT", "/clock", {"frozen": False}))
    assert running["frozen"] is False
    assert running["now"].startswith("2026-11-23T10:0")
    assert not fake.clock.is_frozen
    moved = members(control("PUT", "/clock", {"now": "2030-01-01T00:00:00+01:00"}))
    assert moved["frozen"] is False, "an omitted member stays unchanged"
    assert 1893452400 <= fake.clock.now() < 1893452460


def test_a_frozen_clock_can_be_set_and_stays_frozen(fake: FakeOAuth, control: Control) -> None:
    fake.clock.freeze()
    response = control("PUT", "/clock", {"now": "2030-01-01T00:00:00Z"})
    expected = {"now": "2030-01-01T00:00:00Z", "frozen": True, "next_expiry": None}
    assert response.json == expected


@pytest.mark.parametrize(
    "now",
    ["noon", "", "2026-11-23T10:00:00", "1960-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00"],
)
def test_a_moment_that_cannot_be_used_changes_nothing(
    fake: FakeOAuth, control: Control, now: str
) -> None:
    before = fake.clock.now()
    assert problems(control("PUT", "/clock", {"now": now, "frozen": True})) == [
        f"$.now: expected a date-time with a time zone, from 1970 to 9999, got {now!r}"
    ]
    assert not fake.clock.is_frozen
    assert 0 <= fake.clock.now() - before < 60


def test_members_of_the_clock_have_a_name_and_a_type(control: Control) -> None:
    assert problems(control("PUT", "/clock", {"now": 5, "frozen": "yes", "freeze": True})) == [
        "$.now: expected a string, got 5",
        "$.frozen: expected true or false, got 'yes'",
        "$.freeze: unknown key; did you mean 'frozen'?",
    ]
    assert problems(control("POST", "/clock", {"advance_second": 1})) == [
        "$.advance_seconds: required, but missing",
        "$.advance_second: unknown key; did you mean 'advance_seconds'?",
    ]


@pytest.mark.parametrize("seconds", ["1e300", "-1e12"])
def test_the_clock_cannot_leave_the_years_1970_to_9999(
    fake: FakeOAuth, control: Control, seconds: str
) -> None:
    before = fake.clock.now()
    response = control("POST", "/clock", data=f'{{"advance_seconds": {seconds}}}', headers=JSON)
    assert response.status_code == 400
    assert "expected 0 (the year 1970) to 253402300799" in description(response)
    assert 0 <= fake.clock.now() - before < 60


def test_clients_can_be_replaced(fake: FakeOAuth, control: Control) -> None:
    of_web, of_app = fake.issue_tokens("alice", "web"), fake.issue_tokens("alice", "app")
    web, app = members(control("GET", "/clients"))["clients"]
    assert web == {
        "client_id": "web",
        "client_secret": "s3cret",
        "redirect_uris": ["https://web.example/callback"],
        "access_token_seconds": 60,
    }
    new = {"client_id": "new", "client_secret": "s3cret"}
    assert control("PUT", "/clients", {"clients": [new, app]}).json == {"clients": [new, app]}
    assert [client.client_id for client in fake.settings.clients] == ["new", "app"]
    assert refresh(fake, of_web.refresh_token or "").status_code == 401
    assert fake.journal[-1].reason == "client web unknown"
    assert refresh(fake, of_app.refresh_token or "", "app").status_code == 200
    of_new = fake.issue_tokens("bob", "new").refresh_token
    assert refresh(fake, of_new or "", "new").status_code == 200


def test_a_client_that_returns_has_its_tokens_and_its_new_lifetime(
    fake: FakeOAuth, control: Control
) -> None:
    token = fake.issue_tokens("alice", "web").refresh_token or ""
    web, app = members(control("GET", "/clients"))["clients"]
    control("PUT", "/clients", {"clients": [app]})
    assert refresh(fake, token).status_code == 401
    control("PUT", "/clients", {"clients": [{**web, "access_token_seconds": 90}]})
    assert members(refresh(fake, token))["expires_in"] == 89, "one less, as in the documentation"


def test_the_access_token_of_a_removed_client_stays_valid(
    fake: FakeOAuth, control: Control
) -> None:
    tokens = fake.issue_tokens("alice", "web")
    clients = members(control("GET", "/clients"))["clients"]
    control("PUT", "/clients", {"clients": clients[1:]})
    headers = {"Authorization": f"Bearer {tokens.access_token}"}
    assert WSGIClient(fake).get("/userinfo", headers=headers).status_code == 200
    assert fake.settings.clients == (APP,)


def test_users_can_be_replaced(fake: FakeOAuth, control: Control) -> None:
    of_alice, of_bob = fake.issue_tokens("alice", "web"), fake.issue_tokens("bob", "web")
    code = fake.issue_code("alice", "web", redirect_uri=WEB.redirect_uris[0])
    users = members(control("GET", "/users"))
    assert users == {
        "users": [{"sub": "u-alice", "username": "alice"}, {"sub": "u-bob", "username": "bob"}]
    }
    assert control("PUT", "/users", {"users": users["users"][1:]}).status_code == 200
    refused = refresh(fake, of_alice.refresh_token or "")
    assert refused.json is not None
    assert refused.json["error"] == "invalid_grant"
    assert fake.journal[-1].reason == "user u-alice was deleted"
    redeemed = ask(
        fake,
        {
            "client_id": "web",
            "client_secret": "s3cret",
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": WEB.redirect_uris[0],
        },
    )
    assert redeemed.status_code == 400
    assert fake.journal[-1].reason == "user u-alice was deleted"
    headers = {"Authorization": f"Bearer {of_alice.access_token}"}
    assert WSGIClient(fake).get("/userinfo", headers=headers).status_code == 404
    assert refresh(fake, of_bob.refresh_token or "").status_code == 200
    # A user who returns has her tokens again.
    assert control("PUT", "/users", users).json == users
    assert refresh(fake, of_alice.refresh_token or "").status_code == 200


def test_clients_and_users_with_problems_change_nothing(fake: FakeOAuth, control: Control) -> None:
    before = fake.settings
    clients: list[dict[str, Any]] = [{"client_id": "a"}, {"client": 1}]
    assert problems(control("PUT", "/clients", {"clients": clients})) == [
        "$.clients[1].client_id: required, but missing",
        "$.clients[1].client: unknown key; did you mean 'client_id'?",
    ]
    clients = [{"client_id": "a"}, {"client_id": "a"}]
    assert problems(control("PUT", "/clients", {"clients": clients})) == [
        "$.clients: client_id 'a' is listed more than once"
    ]
    users = [{"sub": "a"}, {"sub": "a", "username": "b"}]
    assert problems(control("PUT", "/users", {"users": users})) == [
        "$.users: sub 'a' is listed more than once"
    ]
    assert fake.settings == before


def test_a_client_that_the_script_needs_cannot_be_removed(
    fake: FakeOAuth, control: Control
) -> None:
    before = fake.settings
    fake.script(Rule(faults.Status(503), client_id="web"))
    assert problems(control("PUT", "/clients", {"clients": [{"client_id": "app"}]})) == [
        "$.faults[0].client_id: unknown name 'web'; expected one of 'app'"
    ]
    assert fake.settings == before
    refresh(fake, "any")
    assert control("PUT", "/clients", {"clients": [{"client_id": "app"}]}).status_code == 200


def test_the_journal_shows_everything_except_secrets(fake: FakeOAuth, control: Control) -> None:
    fake.clock.freeze()
    fake.clock.set(1636449231)
    fake.script(faults.Pass())
    WSGIClient(fake).post(
        "/oauth2/token?client_secret=s3cret&x=1",
        data={
            "client_id": "web",
            "client_secret": "s3cret",
            "grant_type": "refresh_token",
            "refresh_token": "a-token-that-was-never-issued",
        },
        headers={"X-Request-Id": "7"},
    )
    assert members(control("GET", "/journal")) == {
        "exchanges": [
            {
                "number": 1,
                "at": "2021-11-09T09:13:51Z",
                "method": "POST",
                "path": "/oauth2/token",
                "endpoint": "token",
                "grant_type": "refresh_token",
                "client_id": "web",
                "status": 400,
                "error": "invalid_grant",
                "cause": "refresh_token_unknown",
                "query": {"client_secret": "***", "x": "1"},
                "form": {
                    "client_id": "web",
                    "client_secret": "***",
                    "grant_type": "refresh_token",
                    "refresh_token": "a-token-that-was-never-issued",
                },
                "content_type": "application/x-www-form-urlencoded",
                "headers": {"Host": "localhost", "X-Request-Id": "7"},
                "response_headers": dict(fake.journal[0].response_headers),
                "tokens": {},
                "issued": [],
                "reply": {"error": "invalid_grant"},
                "reason": "refresh token unknown; "
                "the query string is not read, though it has client_secret, x",
                "fault": "step 1 Pass()",
                "line": "#1 09:13:51 POST /oauth2/token -> 400 invalid_grant [refresh_token, web] "
                "{step 1 Pass()} refresh token unknown; the query string is not read, though it "
                "has client_secret, x; client_secret=*** x=1 client_secret=*** "
                "refresh_token=a-token-…",
                "answered": True,
            }
        ],
        "forgotten": 0,
    }
    assert len(fake.journal) == 1, "control requests are not in the journal"


def test_the_journal_hides_the_session_of_a_browser(fake: FakeOAuth, control: Control) -> None:
    fake.replace_clients([Client(client_id="web", redirect_uris=["https://app.example/cb"])])
    asked = {"client_id": "web", "response_type": "code", "code_challenge": "x" * 43}
    query = {**asked, "code_challenge_method": "S256"}
    response = WSGIClient(fake).get("/oauth2/authorize", query_string=query)
    assert response.status_code == 302
    (exchange,) = members(control("GET", "/journal"))["exchanges"]
    assert exchange["response_headers"]["Set-Cookie"] == "***"
    assert exchange["response_headers"]["Location"] == response.location


def test_the_journal_hides_the_headers_that_have_credentials(
    fake: FakeOAuth, control: Control
) -> None:
    headers = {
        **basic("web", "s3cret"),
        "Proxy-Authorization": "Basic cHJveHk6czNjcmV0",
        "Accept": "*/*",
    }
    client = WSGIClient(fake)
    client.set_cookie("session", "s3cret")
    client.post("/oauth2/token", data={"grant_type": "client_credentials"}, headers=headers)
    response = control("GET", "/journal")
    (exchange,) = members(response)["exchanges"]
    assert exchange["status"] == 200
    assert exchange["headers"] == {
        "Host": "localhost",
        "Authorization": "***",
        "Proxy-Authorization": "***",
        "Cookie": "***",
        "Accept": "*/*",
    }
    assert "s3cret" not in response.text


def test_a_user_can_be_logged_in_and_out(fake: FakeOAuth, control: Control) -> None:
    def destination() -> str:
        response = WSGIClient(fake).get("/oauth2/authorize", query_string=AUTHORIZE)
        return response.headers["Location"].partition("?")[0]

    assert destination() == "http://localhost/portal/login"
    assert control("POST", "/login", {"user": "bob"}).json == {}
    assert destination() == "https://web.example/callback"
    assert control("DELETE", "/login").json == {}
    assert destination() == "http://localhost/portal/login"
    response = control("POST", "/login", {"user": "carol"})
    assert response.status_code == 400
    assert "carol" in description(response)
    assert destination() == "http://localhost/portal/login"


def test_a_login_page_is_refused_after_its_client_was_removed(
    fake: FakeOAuth, control: Control
) -> None:
    browser = WSGIClient(fake)
    location = browser.get("/oauth2/authorize", query_string=AUTHORIZE).headers["Location"]
    p_state = location.partition("p_state=")[2]
    control("PUT", "/clients", {"clients": [{"client_id": "app"}]})
    response = browser.post("/portal/login", data={"p_state": p_state, "sub": "u-alice"})
    assert response.status_code == 400
    assert fake.journal[-1].reason == "client web was removed"
    assert "Location" not in response.headers


def test_tokens_can_be_issued_without_a_login(fake: FakeOAuth, control: Control) -> None:
    tokens = members(
        control("POST", "/tokens", {"user": "bob", "client": "app", "scope": "openid"})
    )
    assert claims(tokens["access_token"])["sub"] == "u-bob"
    assert refresh(fake, tokens["refresh_token"], "app").status_code == 200
    # A member that does not apply is left out, as in a token response.
    assert set(tokens) == {
        *("access_token", "refresh_token", "scope", "id_token", "token_type", "expires_in")
    }
    without = members(control("POST", "/tokens", {"user": "bob", "client": "app", "scope": ""}))
    assert "id_token" not in without
    assert None not in without.values()
    default = members(control("POST", "/tokens"))
    assert claims(default["access_token"])["sub"] == "u-alice"
    response = control("POST", "/tokens", {"client": "nobody"})
    assert response.status_code == 400
    assert "nobody" in description(response)


def test_a_code_can_be_issued_without_a_login(fake: FakeOAuth, control: Control) -> None:
    verifier = "v" * 43
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    parameters = {
        "user": "bob",
        "client": "web",
        "scope": "openid",
        "redirect_uri": WEB.redirect_uris[0],
        "code_challenge": challenge,
        "nonce": "n-7",
    }
    form = {
        "client_id": "web",
        "client_secret": "s3cret",
        "grant_type": "authorization_code",
        "redirect_uri": WEB.redirect_uris[0],
        **members(control("POST", "/codes", parameters)),
    }
    assert ask(fake, {**form, "code_verifier": "x" * 43}).status_code == 401
    form |= members(control("POST", "/codes", parameters))
    tokens = members(ask(fake, {**form, "code_verifier": verifier}))
    assert claims(tokens["access_token"])["sub"] == "u-bob"
    assert claims(tokens["id_token"])["nonce"] == "n-7"


def test_a_code_is_by_default_for_the_first_user_and_the_first_client(
    fake: FakeOAuth, control: Control
) -> None:
    form = {
        "client_id": "web",
        "client_secret": "s3cret",
        "grant_type": "authorization_code",
        **members(control("POST", "/codes")),
    }
    assert claims(members(ask(fake, form))["access_token"])["sub"] == "u-alice"


def test_tokens_and_users_can_be_revoked_frozen_and_deleted(
    fake: FakeOAuth, control: Control
) -> None:
    first, second = fake.issue_tokens("alice", "web"), fake.issue_tokens("alice", "web")
    third, bobs = fake.issue_tokens("alice", "web"), fake.issue_tokens("bob", "web")

    def status(token: str | None) -> int:
        return refresh(fake, token or "").status_code

    assert control("POST", "/expire", {"token": first.refresh_token}).json == {}
    assert control("POST", "/revoke", {"token": "alice/2 r1"}).json == {}
    assert [status(tokens.refresh_token) for tokens in (first, second, third)] == [400, 400, 200]
    assert control("POST", "/freeze_user", {"user": "alice"}).json == {}
    assert status(third.refresh_token) == 400
    assert control("POST", "/unfreeze_user", {"user": "alice"}).json == {}
    assert status(third.refresh_token) == 200
    assert control("POST", "/revoke_user", {"user": "alice"}).json == {}
    assert [status(third.refresh_token), status(bobs.refresh_token)] == [400, 200]
    assert control("POST", "/delete_user", {"user": "bob"}).json == {}
    assert status(bobs.refresh_token) == 400
    assert control("POST", "/delete_user", {"user": "bob"}).status_code == 400
    exchange = members(control("GET", "/journal"))["exchanges"][2]
    assert exchange["tokens"] == {"refresh_token": "alice/3 r1"}
    assert exchange["issued"] == ["alice/3 r1", "alice/3 a2"]


def test_violations_of_the_client_are_listed(fake: FakeOAuth, control: Control) -> None:
    assert control("GET", "/violations").json == {"violations": []}
    WSGIClient(fake).get("/resource?access_token=x")
    violation = {
        "check": "sent_no_secret_in_a_url",
        "number": 1,
        "text": "sent access_token in the URL",
    }
    assert control("GET", "/violations").json == {"violations": [violation]}


def test_the_resource_can_be_set_and_counts_requests(fake: FakeOAuth, control: Control) -> None:
    bearer = {"Authorization": f"Bearer {fake.issue_tokens().access_token}"}
    assert WSGIClient(fake).get("/resource", headers=bearer).status_code == 200
    resource = members(control("PUT", "/resource", {"scope": "orders", "skew_seconds": 5}))
    identifier = {"identifier": f"{fake.issuer}/resource"}
    set_to = {"scope": "orders", "skew_seconds": 5, "calls": 1, "refused": 0}
    assert resource == identifier | set_to
    assert WSGIClient(fake).get("/resource", headers=bearer).status_code == 403
    assert control("GET", "/resource").json == {**resource, "refused": 1}
    reset = identifier | {"scope": None, "skew_seconds": 0, "calls": 0, "refused": 1}
    assert control("PUT", "/resource", {"calls": 0}).json == reset


def test_the_clock_of_the_resource_is_not_infinitely_ahead(
    fake: FakeOAuth, control: Control
) -> None:
    response = control("PUT", "/resource", data=b'{"skew_seconds": 1e999}', headers=JSON)
    assert problems(response) == ["$.skew_seconds: expected a finite number, got inf"]
    assert fake.resource.skew_seconds == 0


def test_the_clock_cannot_be_moved_to_infinity(fake: FakeOAuth, control: Control) -> None:
    before = fake.clock.now()
    response = control("POST", "/clock", data=b'{"advance_seconds": 1e999}', headers=JSON)
    assert problems(response) == ["$.advance_seconds: expected a finite number, got inf"]
    assert 0 <= fake.clock.now() - before < 60


def test_the_counts_of_the_resource_are_not_negative(fake: FakeOAuth, control: Control) -> None:
    assert problems(control("PUT", "/resource", {"calls": -3, "refused": -1})) == [
        "$.calls: expected at least 0, got -3",
        "$.refused: expected at least 0, got -1",
    ]
    assert (fake.resource.calls, fake.resource.refused) == (0, 0)


def test_the_outbox_can_be_read() -> None:
    fake = FakeOAuth(Settings.documented().changed(control=True))
    control = control_of(fake)
    assert control("GET", "/outbox").json == {"messages": []}
    sending = {
        "auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID",
        "phone_number": "13612345678",
        "usage": "login",
    }
    basic_header = basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")
    members(WSGIClient(fake).post("/otp/send", json=sending, headers=basic_header))
    (message,) = members(control("GET", "/outbox"))["messages"]
    assert message == asdict(fake.outbox[0])
    assert message["recipient"] == "13612345678"


def test_keys_can_be_rotated(fake: FakeOAuth, control: Control) -> None:
    def kids() -> list[str]:
        return [key["kid"] for key in members(WSGIClient(fake).get("/oauth2/jwks"))["keys"]]

    (first,) = kids()
    second = members(control("POST", "/keys"))["kid"]
    assert second != first
    assert kids() == [second, first]
    third = members(control("POST", "/keys", {"keep_old": False}))["kid"]
    assert kids() == [third]


def test_a_reset_restores_the_initial_state_at_the_same_address() -> None:
    preconfigured = PreconfiguredRefreshToken(value="r-1", client="web", user="u-alice")
    rule = Rule(faults.Status(503))
    settings = SETTINGS.changed(
        refresh_tokens=[preconfigured], faults=[rule], refresh_policy="rotate"
    )
    with FakeOAuth(settings) as server:
        control = control_of(server)
        url = server.url

        def refreshes() -> list[object]:
            responses = [refresh(server, "r-1") for _ in range(3)]
            tokens = members(responses[1])
            return [
                *(response.status_code for response in responses),
                claims(tokens["access_token"])["jti"],
            ]

        first = refreshes()
        assert first[:3] == [503, 200, 400]
        control("PUT", "/users", {"users": [{"sub": "u-carol", "username": "carol"}]})
        control("POST", "/clock", {"advance_seconds": 10**6})
        members(control("PUT", "/faults", {"faults": [{"fault": "Down", "times": "always"}]}))
        # The port is shut, so the reset is sent in process.
        with pytest.raises(ConnectionRefusedError):
            over_socket(server, "GET", "/oauth2/jwks", None, {})
        assert control("POST", "/reset").json == control("GET", "/").json
        assert server.url == url
        assert over_socket(server, "GET", "/oauth2/jwks", None, {})[0] == 200
        assert [user.login_name for user in server.settings.users] == ["alice", "bob"]
        assert refreshes() == first


def test_a_reset_can_have_other_settings_until_the_next_reset(
    fake: FakeOAuth, control: Control
) -> None:
    other = {"seed": 7, "clients": [{"client_id": "other"}], "issuer": "https://i.example"}
    index = members(control("POST", "/reset", {"settings": other}))
    assert (index["seed"], index["issuer"]) == (7, "https://i.example")
    assert [client.client_id for client in fake.settings.clients] == ["other"]
    assert fake.settings.control, "a reset does not end the control API"
    assert problems(control("POST", "/reset", {"settings": {"sed": 1}})) == [
        "$.settings.sed: unknown key; did you mean 'seed'?"
    ]
    with pytest.raises(SettingsError):
        fake.reset(Settings(issuer="nowhere"))
    assert fake.seed == 7
    control("POST", "/reset")
    assert fake.settings == SETTINGS


def test_auth_sources_are_listed(control: Control) -> None:
    sources = members(control("GET", "/auth_sources"))["auth_sources"]
    assert [source["kind"] for source in sources] == ["password", "sms", "email"]


def test_an_unknown_path_is_a_404(control: Control) -> None:
    response = control("GET", "/fault")
    assert response.status_code == 404
    assert description(response) == "unknown path /_fake/fault; GET /_fake/ lists the paths"


def test_a_method_without_a_control_is_a_405(control: Control) -> None:
    response = control("DELETE", "/clock")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, PUT, POST")
    assert description(response) == "expected GET, PUT, POST for /_fake/clock, got DELETE"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", "$: not JSON: "),
        (b"\xff", "$: not JSON: "),
        (b"[" * 100_000, "$: not JSON: "),
        (b'{"advance_seconds": NaN}', "$: not JSON: NaN"),
        (b'"x"', "$: expected a table, got 'x'"),
        (b'{"advance_seconds": "1"}', "$.advance_seconds: expected a number, got '1'"),
    ],
    ids=["cut off", "not UTF-8", "nested deeply", "NaN", "a string", "a string for a number"],
)
def test_a_body_that_cannot_be_used_is_a_problem(
    control: Control, body: bytes, expected: str
) -> None:
    (problem,) = problems(control("POST", "/clock", data=body, headers=JSON))
    assert problem.startswith(expected)


def test_a_control_without_parameters_accepts_no_member(control: Control) -> None:
    assert control("GET", "/clock", {}).status_code == 200
    assert problems(control("GET", "/clock", {"now": None})) == [
        "$.now: unknown key; none is defined"
    ]


@pytest.mark.parametrize(("size", "status"), [(1024 * 1024, 200), (1024 * 1024 + 1, 413)])
def test_a_body_has_at_most_one_mebibyte(control: Control, size: int, status: int) -> None:
    body = b'{"advance_seconds": 1}'.ljust(size)
    response = control("POST", "/clock", data=body, headers=JSON)
    assert response.status_code == status


@pytest.mark.parametrize(("size", "status"), [(1024 * 1024, 200), (1024 * 1024 + 1, 413)])
def test_a_body_over_a_socket_has_the_same_limit(size: int, status: int) -> None:
    body = b'{"advance_seconds": 1}'.ljust(size)
    with FakeOAuth(SETTINGS) as server:
        response = httpx.post(f"{server.url}/_fake/clock", content=body, headers=JSON)
    assert response.status_code == status


def test_a_chunked_body_is_read() -> None:
    with FakeOAuth(SETTINGS) as server:
        request = Request(
            f"{server.url}/_fake/clock",
            data=iter([b'{"advance_', b'seconds": 86400}']),
            headers={"Content-Type": "application/json; charset=utf-8"},
        )
        before = server.clock.now()
        with urlopen(request, timeout=10) as response:
            assert response.status == 200
        assert server.clock.now() - before >= 86400


# Access

FOREIGN_ORIGIN = {"Host": "localhost", "Origin": "https://evil.example"}


def test_the_host_of_an_absolute_target_counts() -> None:
    """It replaces the Host header (RFC 9112 section 3.2.2)."""
    with FakeOAuth(SETTINGS) as server:
        for target, status in (("evil.example", 403), ("127.0.0.1", 200)):
            asked = get(f"http://{target}/_fake/clock", "Connection: close")
            with connect(server.url) as client:
                client.sendall(asked.replace(b"Host: x", b"Host: localhost"))
                assert received(client).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        *(
            (
                {"Origin": origin},
                f"Origin '{origin}' is foreign; no page of another origin can use the control API",
            )
            for origin in (
                "https://evil.example",
                "null",
                "http://127.0.0.1",
                "http://localhost:1",
                "https://localhost",
            )
        ),
        *(
            (
                {"Sec-Fetch-Site": site},
                f"Sec-Fetch-Site is '{site}'; no page of another origin can use the control API",
            )
            for site in ("cross-site", "same-site")
        ),
        *(
            (
                {"Host": host, "Origin": f"http://{host}"},
                f"Host '{host}' does not name this machine; use 127.0.0.1 or localhost",
            )
            for host in (
                "evil.example",
                "127.0.0.1.evil.example",
                "evil-localhost",
                "10.0.0.7",
                "[",
            )
        ),
        ({"Host": ""}, "Host '' does not name this machine; use 127.0.0.1 or localhost"),
    ],
    ids=str,
)
def test_a_page_of_another_origin_is_refused(
    control: Control, headers: dict[str, str], reason: str
) -> None:
    response = control("GET", "/clock", headers={"Host": "localhost", **headers})
    assert response.status_code == 403
    assert response.json == {"error": "refused", "error_description": reason}
    assert "Access-Control-Allow-Origin" not in response.headers


def test_every_control_checks_the_access_first(fake: FakeOAuth, control: Control) -> None:
    """No route, known or not, is open to a page of another origin, and none has an effect."""
    fake.clock.freeze()
    before = (fake.settings, fake.clock.now(), fake.steps, fake.issuer, fake.outbox)
    routes = [*CONTROLS, ("GET", "/unknown"), ("PATCH", "/clock"), ("OPTIONS", "/clock")]
    statuses = {
        route: control(*route, headers={**FOREIGN_ORIGIN, **JSON}, data=b"{}").status_code
        for route in routes
    }
    assert statuses == dict.fromkeys(routes, 403)
    assert (fake.settings, fake.clock.now(), fake.steps, fake.issuer, fake.outbox) == before


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", None])
def test_a_form_is_refused(fake: FakeOAuth, control: Control, content_type: str | None) -> None:
    fake.clock.freeze()
    before = fake.clock.now()
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = control("POST", "/clock", data=b'{"advance_seconds": 1}', headers=headers)
    assert response.status_code == 415
    sent = content_type or "a body without a Content-Type"
    assert (
        description(response) == f"expected a body with Content-Type: application/json, got {sent}"
    )
    assert fake.clock.now() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:80"},
        {"Host": "[::1]:8080"},
        {"Host": "127.0.0.2"},
        {"Host": "localhost", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
        {"Host": "LOCALHOST", "Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_programs_on_this_machine_and_pages_of_the_server_are_accepted(
    control: Control, headers: dict[str, str]
) -> None:
    assert control("GET", "/clock", headers=headers).status_code == 200


def test_the_origin_of_an_https_server_has_its_scheme(control: Control) -> None:
    for scheme, status in (("https", 200), ("http", 403)):
        headers = {"Origin": f"{scheme}://localhost"}
        response = control("GET", "/clock", headers=headers, base_url="https://localhost")
        assert response.status_code == status


@pytest.fixture
def open_server() -> Iterator[FakeOAuth]:
    """Provide a server that other machines can reach."""
    with FakeOAuth(SETTINGS, host="0.0.0.0") as server:  # noqa: S104
        yield server


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_server_that_other_machines_can_reach_accepts_its_control_token(
    open_server: FakeOAuth, scheme: str
) -> None:
    token = open_server.control_token
    assert token is not None
    assert len(token) >= 32
    headers = {"Host": "fake.example:8080", "Authorization": f"{scheme} {token}"}
    control = control_of(open_server)
    assert control("GET", "/clock", headers=headers).status_code == 200
    foreign = {**headers, "Origin": "https://evil.example"}
    assert control("GET", "/clock", headers=foreign).status_code == 403


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer x",
        "Bearer {token}ö",
        "Basic {token}",
        "{token}",
        "Bearer{token}",
    ],
)
def test_a_request_without_the_control_token_is_challenged(
    open_server: FakeOAuth, authorization: str | None
) -> None:
    headers = {"Host": "localhost"}
    if authorization is not None:
        headers["Authorization"] = authorization.format(token=open_server.control_token)
    response = control_of(open_server)("GET", "/clock", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="fake_oauth control API"'
    assert response.json == {
        "error": "refused",
        "error_description": "the control token is missing or invalid; send Authorization: Bearer "
        "TOKEN with the token that was printed at startup",
    }


def test_two_servers_have_different_control_tokens() -> None:
    tokens = {FakeOAuth(SETTINGS, host="0.0.0.0").control_token for _ in range(2)}  # noqa: S104
    assert len(tokens) == 2
    assert FakeOAuth(SETTINGS).control_token is None


def test_a_control_token_can_be_given_and_is_then_required_on_loopback_too() -> None:
    fake = FakeOAuth(SETTINGS, control_token="token-of-the-compose-file")
    assert fake.control_token == "token-of-the-compose-file"
    control = control_of(fake)
    headers = {"Authorization": "Bearer token-of-the-compose-file"}
    assert control("GET", "/clock", headers=headers).status_code == 200
    assert control("GET", "/clock").status_code == 401
    fake.reset()
    assert control("GET", "/clock", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("token", "flaw"),
    [
        ("", "expected at least 16 characters, got 0"),
        ("s3cret", "expected at least 16 characters, got 6"),
        ("x" * 40, "expected characters that differ"),
        ("token of a compose file", "expected letters, digits, and any of -._~+/"),
        ("token-of-ä-compose-file", "expected letters, digits, and any of -._~+/"),
    ],
)
def test_a_weak_control_token_is_refused_and_not_shown(token: str, flaw: str) -> None:
    with pytest.raises(FakeOAuthError, match=f"^control_token: {re.escape(flaw)}") as caught:
        FakeOAuth(SETTINGS, control_token=token)
    with pytest.raises(FakeOAuthError, match=f"^{VARIABLE}: {re.escape(flaw)}") as again:
        control_token_of({VARIABLE: token})
    for error in (caught, again):
        assert not token or token not in str(error.value)


def test_without_the_setting_there_is_no_control_api() -> None:
    with FakeOAuth() as server:
        status, _, _ = over_socket(server, "GET", "/_fake/", None, {})
        assert status == 404
        assert server.journal[0].path == "/_fake/"


def test_a_handler_of_werkzeug_requests_has_the_control_api(fake: FakeOAuth) -> None:
    def status(path: str) -> int:
        return fake.handle(EnvironBuilder(path).get_request()).status_code

    assert (status("/_fake/clock"), status("/oauth2/jwks")) == (200, 200)


def test_a_path_that_only_begins_like_the_prefix_is_not_a_control(fake: FakeOAuth) -> None:
    response = WSGIClient(fake).get("/_faker")
    assert (response.status_code, len(fake.journal)) == (404, 1)


@pytest.fixture
def url() -> Iterator[str]:
    with stub() as running:
        assert f"  console {running.url}/_fake/ (for programs: the control API)" in running.heading
        yield running.url


def test_a_stub_server_can_be_controlled_over_http(url: str) -> None:
    def control(method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{url}/_fake{path}", data, JSON, method=method)
        with urlopen(request, timeout=10) as response:
            return json.load(response)

    def status() -> int:
        try:
            with urlopen(
                f"{url}/oauth2/token", urlencode(DOCUMENTED).encode(), timeout=10
            ) as response:
                found: int = response.status
        except HTTPError as error:
            error.close()
            return error.code
        return found

    control("PUT", "/faults", {"faults": [{"fault": "Status", "code": 503, "times": 2}]})
    assert [status() for _ in range(3)] == [503, 503, 200]
    exchanges = control("GET", "/journal")["exchanges"]
    assert [exchange["status"] for exchange in exchanges] == [503, 503, 200]
    control("PUT", "/users", {"users": [{"sub": "u-1", "username": "other"}]})
    assert status() == 400
    control("POST", "/reset")
    assert control("GET", "/journal") == {"exchanges": [], "forgotten": 0}
    assert status() == 200
