"""The control API: all that can be steered, and who may."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from werkzeug.test import Client as WSGIClient
from werkzeug.test import EnvironBuilder, TestResponse

from fake_oauth import Client, FakeOAuth, RefreshToken, Settings, SettingsError, User, faults
from fake_oauth.controls import CONTROLS, PREFIX
from fake_oauth.faults import Rule
from tests.asking import DOCUMENTED, ask, claims, over_socket
from tests.test_command_line import stub
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
MADE = Settings(control=True, clients=[WEB, APP], users=[ALICE, BOB], seed=3)


def _has_json(table: dict[str, Any]) -> bool:
    """Whether a table of the settings can be sent at all."""
    try:
        json.dumps(table)
    except TypeError:
        return False
    return True


Steer = Callable[..., TestResponse]


@pytest.fixture
def fake() -> FakeOAuth:
    return FakeOAuth(MADE)


@pytest.fixture
def steer(fake: FakeOAuth) -> Steer:
    return steering(fake)


def steering(fake: FakeOAuth) -> Steer:
    """Asks a fake in process: method and path of the table, then the body."""

    def asked(method: str, path: str, body: Any = None, **options: Any) -> TestResponse:
        return WSGIClient(fake).open(PREFIX + path, method=method, json=body, **options)

    return asked


def refresh(fake: FakeOAuth, token: str, client_id: str = "web") -> TestResponse:
    secret = {"client_id": client_id, "client_secret": "s3cret"}
    return ask(fake, {**secret, "grant_type": "refresh_token", "refresh_token": token})


def problems(reply: TestResponse) -> list[str]:
    assert reply.status_code == 400
    assert reply.json is not None
    assert reply.json["error"] == "invalid_settings"
    return [f"{problem['path']}: {problem['message']}" for problem in reply.json["problems"]]


def test_the_index_lists_what_there_is(steer: Steer) -> None:
    reply = steer("GET", "/")
    assert reply.json == {
        "issuer": "http://localhost",
        "dialect": "ciam",
        "seed": 3,
        "controls": [f"{method} /_fake{path}" for method, path in CONTROLS],
    }
    assert steer("GET", "").json == reply.json
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/faults", "/clock", "/clients", "/users"])
def test_what_is_read_can_be_written_and_changes_nothing(
    fake: FakeOAuth, steer: Steer, path: str
) -> None:
    fake.clock.freeze()
    fake.script(
        Rule(faults.Status(503, {"a": [1]}), skip=2, times=5, client_id="web"),
        faults.Claim("roles", ["admin"], token="access_token"),
        Rule(faults.Refuse("slow_down"), times=2),
    )
    fake.always(Rule(faults.Slow(0.001), endpoint="jwks", skip=1, always=True))
    token = fake.issue().refresh_token
    assert token is not None
    assert refresh(fake, token).status_code == 200
    before = steer("GET", path).json
    assert before
    assert steer("PUT", path, before).json == before
    assert steer("GET", path).json == before
    # The first step is now to be skipped once, and the second is used.
    assert [refresh(fake, token).status_code for _ in range(4)] == [400, 503, 503, 503]


def test_a_script_is_replaced_appended_to_and_told(fake: FakeOAuth, steer: Steer) -> None:
    fake.script(faults.Status(500))
    replaced = {"faults": [{"fault": "Status", "code": 503, "times": 2}]}
    assert steer("PUT", "/faults", replaced).json == replaced
    appended = {"faults": [{"fault": "Refuse", "error": "invalid_grant"}]}
    reply = steer("POST", "/faults", appended)
    assert reply.json == {"faults": replaced["faults"] + appended["faults"]}
    assert [ask(fake).status_code for _ in range(2)] == [503, 503]
    assert steer("GET", "/faults").json == appended
    assert steer("GET", "/steps").json == {
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


def test_a_predicate_is_told_and_cannot_be_sent_back(fake: FakeOAuth, steer: Steer) -> None:
    fake.script(Rule(faults.ok, when=lambda exchange: exchange.number == 7))
    told = steer("GET", "/faults").json
    assert told is not None
    assert "lambda" in told["faults"][0]["when"]
    (problem,) = problems(steer("PUT", "/faults", told))
    assert problem.startswith("$.faults[0].when: unknown key")
    assert len(fake.steps) == 1


@pytest.mark.parametrize(
    ("table", "expected"),
    [pytest.param(*case[1:], id=case[2][0]) for case in WRONG if _has_json(case[1])],
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_what_is_wrong_is_told_as_in_python_and_in_a_file_and_nothing_is_done(
    method: str, table: dict[str, Any], expected: list[str]
) -> None:
    clients = [Client(client_id="TENANT_CLIENT_ID"), Client(client_id="web")]
    with FakeOAuth(Settings(control=True, clients=clients)) as server:
        server.script(faults.ok)
        body = json.dumps({"faults": [table]})
        headers = {"Content-Type": "application/json"}
        status, _, answer = over_socket(server, method, "/_fake/faults", body, headers)
        found = [f"{p['path']}: {p['message']}" for p in json.loads(answer)["problems"]]
        assert (status, found) == (400, expected)
        assert [step.rule.fault for step in server.steps] == [faults.ok]


@pytest.mark.parametrize("body", [None, {}, [], {"fault": []}, {"faults": [], "clock": {}}])
def test_a_script_is_a_table_of_faults(steer: Steer, body: Any) -> None:
    assert problems(steer("PUT", "/faults", body)) == [
        '$: expected {"faults": [...]} and nothing else'
    ]


def test_the_clock_is_told_put_stopped_and_moved(fake: FakeOAuth, steer: Steer) -> None:
    there = {"start_time": "2026-11-23T10:00:00Z", "freeze_time": True}
    assert steer("PUT", "/clock", there).json == there
    moved = {"start_time": "2026-11-23T11:00:00.500000Z", "freeze_time": True}
    assert steer("POST", "/clock", {"advance_seconds": 3600.5}).json == moved
    assert steer("GET", "/clock").json == moved
    assert fake.clock.now() == 1795431600.5
    assert steer("PUT", "/clock", {"freeze_time": False}).status_code == 200
    assert not fake.clock.is_frozen
    assert steer("PUT", "/clock", {"start_time": "2030-01-01T00:00:00+01:00"}).status_code == 200
    assert 1893452400 <= fake.clock.now() < 1893452460


def test_a_moment_must_be_one(fake: FakeOAuth, steer: Steer) -> None:
    assert problems(steer("PUT", "/clock", {"start_time": "noon", "freeze_time": True})) == [
        "$.start_time: expected a date-time with a zone, got 'noon'"
    ]
    for asked in ({"start_time": "2026-11-23T10:00:00"}, {"start_time": "1960-01-01T00:00:00Z"}):
        reply = steer("PUT", "/clock", {**asked, "freeze_time": True})
        assert reply.status_code == 400
        assert reply.json is not None
        assert reply.json["error"] == "invalid_request"
    assert not fake.clock.is_frozen
    assert problems(steer("POST", "/clock", {"advance_second": 1})) == [
        "$.advance_seconds: missing, and there is no default",
        "$.advance_second: unknown key, did you mean 'advance_seconds'?",
    ]
    assert steer("POST", "/clock", {"advance_seconds": 1e300}).status_code == 400


def test_clients_come_and_go(fake: FakeOAuth, steer: Steer) -> None:
    of_web, of_app = fake.issue("alice", "web"), fake.issue("alice", "app")
    told = steer("GET", "/clients").json
    assert told is not None
    web, app = told["clients"]
    assert web == {
        "client_id": "web",
        "client_secret": "s3cret",
        "redirect_uris": ["https://web.example/callback"],
        "access_token_seconds": 60,
    }
    new = {"client_id": "new", "client_secret": "s3cret"}
    assert steer("PUT", "/clients", {"clients": [new, app]}).json == {"clients": [new, app]}
    assert [client.client_id for client in fake.settings.clients] == ["new", "app"]
    assert refresh(fake, of_web.refresh_token or "").status_code == 401
    assert fake.journal[-1].reason == "client web unknown"
    assert refresh(fake, of_app.refresh_token or "", "app").status_code == 200
    again = refresh(fake, fake.issue("bob", "new").refresh_token or "", "new")
    assert again.status_code == 200
    # It is back, with another lifetime, and what it held is good again.
    changed = {**web, "access_token_seconds": 90}
    assert steer("PUT", "/clients", {"clients": [changed]}).status_code == 200
    answer = refresh(fake, of_web.refresh_token or "").json
    assert answer is not None
    assert answer["expires_in"] == 89, "of 90, as documented of 300"


def test_the_access_token_of_a_client_that_is_gone_can_still_be_read(
    fake: FakeOAuth, steer: Steer
) -> None:
    tokens = fake.issue("alice", "web")
    told = steer("GET", "/clients").json
    assert told is not None
    steer("PUT", "/clients", {"clients": told["clients"][1:]})
    headers = {"Authorization": f"Bearer {tokens.access_token}"}
    reply = WSGIClient(fake).get("/userinfo", headers=headers)
    assert reply.status_code == 200
    assert fake.settings.clients == (APP,)


def test_users_come_and_go(fake: FakeOAuth, steer: Steer) -> None:
    of_alice, of_bob = fake.issue("alice", "web"), fake.issue("bob", "web")
    code = fake.issue_code("alice", "web", redirect_uri=WEB.redirect_uris[0])
    told = steer("GET", "/users").json
    assert told == {
        "users": [{"sub": "u-alice", "username": "alice"}, {"sub": "u-bob", "username": "bob"}]
    }
    assert steer("PUT", "/users", {"users": told["users"][1:]}).status_code == 200
    refused = refresh(fake, of_alice.refresh_token or "")
    assert refused.json is not None
    assert refused.json["error"] == "invalid_grant"
    assert fake.journal[-1].reason == "user u-alice is gone"
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
    assert fake.journal[-1].reason == "user u-alice is gone"
    headers = {"Authorization": f"Bearer {of_alice.access_token}"}
    assert WSGIClient(fake).get("/userinfo", headers=headers).status_code == 404
    assert refresh(fake, of_bob.refresh_token or "").status_code == 200
    # She comes back, and her grant with her.
    assert steer("PUT", "/users", told).json == told
    assert refresh(fake, of_alice.refresh_token or "").status_code == 200


def test_parties_that_cannot_be_are_refused_and_nothing_is_done(
    fake: FakeOAuth, steer: Steer
) -> None:
    before = fake.settings
    assert problems(steer("PUT", "/clients", {"clients": [{"client_id": "a"}, {"client": 1}]})) == [
        "$.clients[1].client_id: missing, and there is no default",
        "$.clients[1].client: unknown key, did you mean 'client_id'?",
    ]
    twice = [{"client_id": "a"}, {"client_id": "a"}]
    assert problems(steer("PUT", "/clients", {"clients": twice})) == [
        "$.clients: client_id 'a' stands there more than once"
    ]
    fake.script(Rule(faults.Status(503), client_id="web"))
    (problem,) = problems(steer("PUT", "/clients", {"clients": [{"client_id": "app"}]}))
    assert problem == "$.faults[0].client_id: there is no 'web', expected one of 'app'"
    assert fake.settings == before


def test_a_used_step_holds_no_client_back(fake: FakeOAuth, steer: Steer) -> None:
    fake.script(Rule(faults.Status(503), client_id="web"))
    refresh(fake, "any")
    assert steer("PUT", "/clients", {"clients": [{"client_id": "app"}]}).status_code == 200


def test_the_journal_tells_all_but_secrets(fake: FakeOAuth, steer: Steer) -> None:
    fake.clock.freeze()
    fake.clock.set(1636449231)
    fake.script(faults.ok)
    refresh(fake, "nope")
    told = steer("GET", "/journal").json
    assert told == {
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
                "error": fake.journal[0].error,
                "query": {},
                "form": {
                    "client_id": "web",
                    "client_secret": "***",
                    "grant_type": "refresh_token",
                    "refresh_token": "nope",
                },
                "tokens": {},
                "given": [],
                "reply": fake.journal[0].reply,
                "reason": fake.journal[0].reason,
                "fault": "step 1 ok",
                "line": str(fake.journal[0]),
            }
        ]
    }
    assert len(fake.journal) == 1, "what steers the server is no request of a client"


def test_a_user_is_logged_in_and_out(fake: FakeOAuth, steer: Steer) -> None:
    def goes_to() -> str:
        reply = WSGIClient(fake).get("/oauth2/authorize", query_string=AUTHORIZE)
        return reply.headers["Location"].partition("?")[0]

    assert goes_to() == "http://localhost/portal/login"
    assert steer("POST", "/login", {"user": "bob"}).json == {}
    assert goes_to() == "https://web.example/callback"
    assert steer("DELETE", "/login").json == {}
    assert goes_to() == "http://localhost/portal/login"
    reply = steer("POST", "/login", {"user": "carol"})
    assert reply.status_code == 400
    assert reply.json is not None
    assert "carol" in reply.json["error_description"]


def test_a_login_page_does_not_outlive_its_client(fake: FakeOAuth, steer: Steer) -> None:
    browser = WSGIClient(fake)
    there = browser.get("/oauth2/authorize", query_string=AUTHORIZE).headers["Location"]
    p_state = there.partition("p_state=")[2]
    steer("PUT", "/clients", {"clients": [{"client_id": "app"}]})
    reply = browser.post("/portal/login", data={"p_state": p_state, "sub": "u-alice"})
    assert reply.status_code == 400
    assert "web is gone" in str(fake.journal[-1])
    assert "Location" not in reply.headers


def test_tokens_are_had_without_a_login(fake: FakeOAuth, steer: Steer) -> None:
    tokens = steer("POST", "/tokens", {"user": "bob", "client": "app", "scope": "openid"}).json
    assert tokens is not None
    assert claims(tokens["access_token"])["sub"] == "u-bob"
    assert refresh(fake, tokens["refresh_token"], "app").status_code == 200
    assert steer("POST", "/tokens", {"client": "nobody"}).status_code == 400
    assert steer("POST", "/tokens").status_code == 200


def test_tokens_and_users_are_moved(fake: FakeOAuth, steer: Steer) -> None:
    first, second = fake.issue("alice", "web"), fake.issue("alice", "web")
    third, bobs = fake.issue("alice", "web"), fake.issue("bob", "web")

    def status(token: str | None) -> int:
        return refresh(fake, token or "").status_code

    assert steer("POST", "/expire", {"token": first.refresh_token}).json == {}
    assert steer("POST", "/revoke", {"token": "alice/2 r1"}).json == {}
    assert [status(tokens.refresh_token) for tokens in (first, second, third)] == [400, 400, 200]
    assert steer("POST", "/freeze_user", {"user": "alice"}).json == {}
    assert status(third.refresh_token) == 400
    assert steer("POST", "/unfreeze_user", {"user": "alice"}).json == {}
    assert status(third.refresh_token) == 200
    assert steer("POST", "/revoke_user", {"user": "alice"}).json == {}
    assert [status(third.refresh_token), status(bobs.refresh_token)] == [400, 200]
    assert steer("POST", "/delete_user", {"user": "bob"}).json == {}
    assert status(bobs.refresh_token) == 400
    assert steer("POST", "/delete_user", {"user": "bob"}).status_code == 400
    told = steer("GET", "/journal").json
    assert told is not None
    assert told["exchanges"][2]["tokens"] == {"refresh_token": "alice/3 r1"}
    assert told["exchanges"][2]["given"] == ["alice/3 r1", "alice/3 a2"]


def test_what_a_client_did_wrong_is_told(fake: FakeOAuth, steer: Steer) -> None:
    assert steer("GET", "/misbehaviour").json == {"findings": []}
    WSGIClient(fake).get("/resource?access_token=x")
    told = [{"number": 1, "text": "sent access_token in the URL"}]
    assert steer("GET", "/misbehaviour").json == {"findings": told}


def test_the_resource_is_set_and_counts(fake: FakeOAuth, steer: Steer) -> None:
    bearer = {"Authorization": f"Bearer {fake.issue().access_token}"}
    assert WSGIClient(fake).get("/resource", headers=bearer).status_code == 200
    told = steer("PUT", "/resource", {"scope": "orders", "skew_seconds": 5}).json
    assert told == {"scope": "orders", "skew_seconds": 5, "calls": 1, "refused": 0}
    assert WSGIClient(fake).get("/resource", headers=bearer).status_code == 403
    assert steer("GET", "/resource").json == {**told, "refused": 1}


def test_the_outbox_is_read() -> None:
    fake = FakeOAuth(Settings.documented().changed(control=True))
    steer = steering(fake)
    assert steer("GET", "/outbox").json == {"messages": []}
    basic = b64encode(b"TENANT_CLIENT_ID:TENANT_CLIENT_SECRET").decode()
    WSGIClient(fake).post(
        "/otp/send",
        json={"usage": "LOGIN", "phone_number": "+8613800138000"},
        headers={"Authorization": f"Basic {basic}"},
    )
    told = steer("GET", "/outbox").json
    assert told is not None
    assert [message["otp"] for message in told["messages"]] == [
        message.otp for message in fake.outbox
    ]


def test_keys_are_rotated(fake: FakeOAuth, steer: Steer) -> None:
    def kids() -> list[str]:
        jwks = WSGIClient(fake).get("/oauth2/jwks").json
        assert jwks is not None
        return [key["kid"] for key in jwks["keys"]]

    (first,) = kids()
    second = steer("POST", "/keys").json
    assert second is not None
    assert kids() == [second["kid"], first]
    third = steer("POST", "/keys", {"keep_old": False}).json
    assert third is not None
    assert kids() == [third["kid"]]


def test_a_reset_begins_again_at_the_same_address() -> None:
    planted = RefreshToken(value="r-1", client="web", user="u-alice")
    rule = Rule(faults.Status(503))
    settings = MADE.changed(refresh_tokens=[planted], faults=[rule], rotate_refresh_tokens=True)
    with FakeOAuth(settings) as server:
        steer = steering(server)
        url = server.url

        def life() -> list[object]:
            replies = [refresh(server, "r-1") for _ in range(3)]
            tokens = replies[1].json
            assert tokens is not None
            return [
                *(reply.status_code for reply in replies),
                claims(tokens["access_token"])["jti"],
            ]

        first = life()
        assert first[:3] == [503, 200, 400]
        steer("PUT", "/users", {"users": [{"sub": "u-carol", "username": "carol"}]})
        steer("POST", "/clock", {"advance_seconds": 10**6})
        steer("PUT", "/faults", {"faults": [{"fault": "Down", "always": True}]})
        # The port is shut; who is in process still reaches it.
        with pytest.raises(ConnectionRefusedError):
            over_socket(server, "GET", "/oauth2/jwks", None, {})
        assert steer("POST", "/reset").json == steer("GET", "/").json
        assert server.url == url
        assert over_socket(server, "GET", "/oauth2/jwks", None, {})[0] == 200
        assert [user.login for user in server.settings.users] == ["alice", "bob"]
        assert life() == first


def test_a_reset_can_begin_with_other_settings_until_the_next_one(
    fake: FakeOAuth, steer: Steer
) -> None:
    other = {"seed": 7, "clients": [{"client_id": "other"}], "issuer": "https://i.example"}
    told = steer("POST", "/reset", {"settings": other}).json
    assert told is not None
    assert (told["seed"], told["issuer"]) == (7, "https://i.example")
    assert [client.client_id for client in fake.settings.clients] == ["other"]
    assert problems(steer("POST", "/reset", {"settings": {"sed": 1}})) == [
        "$.sed: unknown key, did you mean 'seed'?"
    ]
    with pytest.raises(SettingsError):
        fake.start_over(Settings(issuer="nowhere"))
    assert fake.seed == 7
    steer("POST", "/reset")
    assert fake.settings == MADE


def test_a_code_is_had_without_a_login(fake: FakeOAuth, steer: Steer) -> None:
    told = steer("POST", "/codes", {"user": "bob", "redirect_uri": WEB.redirect_uris[0]}).json
    assert told is not None
    asked = {
        "client_id": "web",
        "client_secret": "s3cret",
        "grant_type": "authorization_code",
        "redirect_uri": WEB.redirect_uris[0],
        **told,
    }
    reply = ask(fake, asked).json
    assert reply is not None
    assert claims(reply["access_token"])["sub"] == "u-bob"


def test_auth_sources_are_told(steer: Steer) -> None:
    told = steer("GET", "/auth_sources").json
    assert told is not None
    assert [source["kind"] for source in told["auth_sources"]] == ["password", "sms", "email"]


def test_what_is_not_there_is_told(steer: Steer) -> None:
    reply = steer("GET", "/fault")
    assert reply.status_code == 404
    assert reply.json is not None
    assert "/_fake/faults" in reply.json["error_description"]
    reply = steer("DELETE", "/clock")
    assert (reply.status_code, reply.headers["Allow"]) == (405, "GET, PUT, POST")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "$: not JSON: "),
        (b"\xff", "$: not JSON: "),
        (b"[" * 100_000, "$: not JSON: "),
        (b'{"advance_seconds": NaN}', "$: not JSON: NaN"),
        (b'"x"', "$: expected a table, got 'x'"),
        (b'{"advance_seconds": "1"}', "$.advance_seconds: expected a number, got '1'"),
    ],
)
def test_a_body_that_cannot_be_read_is_told(steer: Steer, body: bytes, told: str) -> None:
    (problem,) = problems(
        steer("POST", "/clock", data=body, headers={"Content-Type": "application/json"})
    )
    assert problem.startswith(told)


def test_a_body_has_a_limit(steer: Steer) -> None:
    body = b" " * (1024 * 1024 + 1)
    reply = steer("POST", "/clock", data=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 413


def test_a_chunked_body_is_read() -> None:
    with FakeOAuth(MADE) as server:
        request = Request(
            f"{server.url}/_fake/clock",
            data=iter([b'{"advance_', b'seconds": 86400}']),
            headers={"Content-Type": "application/json; charset=utf-8"},
        )
        before = server.clock.now()
        with urlopen(request, timeout=10) as reply:
            assert reply.status == 200
        assert server.clock.now() - before >= 86400


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Origin": "https://evil.example"}, "foreign"),
        ({"Origin": "null"}, "foreign"),
        ({"Origin": "http://127.0.0.1:1"}, "foreign"),
        ({"Origin": "http://localhost:1"}, "foreign"),
        ({"Host": "evil.example"}, "not this machine"),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, "not this machine"),
        ({"Host": "127.0.0.1.evil.example"}, "not this machine"),
        ({"Host": "192.168.0.7"}, "not this machine"),
        ({"Host": "["}, "not this machine"),
        ({"Sec-Fetch-Site": "cross-site"}, "Sec-Fetch-Site"),
        ({"Sec-Fetch-Site": "same-site"}, "Sec-Fetch-Site"),
    ],
)
@pytest.mark.parametrize(("method", "path"), CONTROLS)
def test_no_page_of_another_origin_may(
    fake: FakeOAuth, method: str, path: str, headers: dict[str, str], why: str
) -> None:
    reply = steering(fake)(method, path, headers={"Host": "localhost", **headers})
    assert reply.status_code == 403
    assert reply.json is not None
    assert reply.json["error"] == "refused"
    assert why in reply.json["error_description"]
    assert "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", None])
def test_no_form_may(steer: Steer, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    reply = steer("POST", "/clock", data=b'{"advance_seconds": 1}', headers=headers)
    assert reply.status_code == 415


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:80"},
        {"Host": "[::1]:8080"},
        {"Host": "127.0.0.2"},
        {"Host": "localhost", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
        {"Host": "LOCALHOST", "Sec-Fetch-Site": "none"},
    ],
)
def test_programs_of_this_machine_and_its_own_pages_may(
    steer: Steer, headers: dict[str, str]
) -> None:
    assert steer("GET", "/clock", headers=headers).status_code == 200


def test_on_another_address_it_takes_a_token() -> None:
    with FakeOAuth(MADE, host="0.0.0.0") as server:  # noqa: S104
        token = server.control_token
        assert token is not None
        assert len(token) >= 32
        sent = {"Host": "fake.example:8080", "Authorization": f"Bearer {token}"}
        steer = steering(server)
        assert steer("GET", "/clock", headers=sent).status_code == 200
        for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {token}ö"}):
            reply = steer("GET", "/clock", headers=wrong)
            assert reply.status_code == 401
        foreign = {**sent, "Origin": "https://evil.example"}
        assert steer("GET", "/clock", headers=foreign).status_code == 403


def test_it_is_there_only_where_it_was_asked_for() -> None:
    with FakeOAuth() as server:
        assert server.control_token is None
        with pytest.raises(HTTPError) as caught:
            urlopen(f"{server.url}/_fake/", timeout=10)
        caught.value.close()
        assert caught.value.code == 404
        assert server.journal[0].path == "/_fake/"


def test_a_handler_of_werkzeug_requests_is_steered_too(fake: FakeOAuth) -> None:
    def asked(path: str) -> int:
        return fake.handle(EnvironBuilder(path).get_request()).status_code

    assert (asked("/_fake/clock"), asked("/oauth2/jwks")) == (200, 200)


def test_paths_that_only_begin_alike_are_not_its_own(fake: FakeOAuth) -> None:
    reply = WSGIClient(fake).get("/_faker")
    assert (reply.status_code, len(fake.journal)) == (404, 1)


@pytest.fixture
def url() -> Iterator[str]:
    with stub() as running:
        assert f"  control {running.url}/_fake/" in running.heading
        yield running.url


def test_a_running_stub_is_steered_over_http(url: str) -> None:
    def steer(method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(f"{url}/_fake{path}", data, headers, method=method)
        with urlopen(request, timeout=10) as reply:
            return json.load(reply)

    def status() -> int:
        request = "&".join(f"{name}={value}" for name, value in DOCUMENTED.items()).encode()
        try:
            with urlopen(f"{url}/oauth2/token", request, timeout=10) as reply:
                found: int = reply.status
        except HTTPError as error:
            error.close()
            return error.code
        return found

    steer("PUT", "/faults", {"faults": [{"fault": "Status", "code": 503, "times": 2}]})
    assert [status() for _ in range(3)] == [503, 503, 200]
    assert [e["status"] for e in steer("GET", "/journal")["exchanges"]] == [503, 503, 200]
    steer("PUT", "/users", {"users": [{"sub": "u-1", "username": "somebody"}]})
    assert status() == 400
    steer("POST", "/reset")
    assert steer("GET", "/journal") == {"exchanges": []}
    assert status() == 200
