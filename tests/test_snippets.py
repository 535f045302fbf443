"""An exchange as a curl command and as a test: both run, and bring about what they say."""

from __future__ import annotations

import ast
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import pytest

from fake_oauth import Client, Dialect, Exchange, FakeOAuth, RefreshPolicy, Settings, User, faults
from fake_oauth.faults import Rule
from fake_oauth.provider.grants.authorization_code import s256
from fake_oauth.provider.request import Parameters
from tests.support.client import ask
from tests.support.wire import connect, received
from tests.test_control import control_of, members, problems
from tests.test_pytest_plugin import ALONE

ALICE = User(sub="u-alice", username="alice", password="pw", claims={"name": "Alice"})
BOB = User(sub="u-bob", username="bob", password="pw")
URI: Final = "https://web.example/cb"
WEB = Client(client_id="web", client_secret="s3cret", redirect_uris=[URI], scopes=["openid", "a"])
SPA = Client(client_id="spa", redirect_uris=[URI])
APP = Client(client_id="app", client_secret="s3cret")
SECRET: Final = {"client_id": "web", "client_secret": "s3cret"}
EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
SETTINGS = Settings(control=True, clients=[WEB, SPA, APP], users=[ALICE, BOB])


def post(server: FakeOAuth, endpoint: str = "token", **form: Any) -> httpx.Response:
    form = {"client_id": "web", "client_secret": "s3cret", **form}
    sent = {name: value for name, value in form.items() if value is not None}
    return httpx.post(server.url_of(endpoint), data=sent, timeout=60)


def refresh(server: FakeOAuth, token: str | None, **form: Any) -> str:
    reply = post(server, grant_type="refresh_token", refresh_token=token, **form)
    found: str = reply.json().get("refresh_token", "") if reply.content else ""
    return found


def exchange_data(server: FakeOAuth, number: int | None = None) -> dict[str, Any]:
    number = server.journal[-1].number if number is None else number
    return members(control_of(server)("GET", f"/exchange?number={number}"))


Prepare = Callable[[FakeOAuth], Any]
Scenario = tuple[dict[str, Any], Prepare]
SCENARIOS: dict[str, Scenario] = {}


def scenario(**changes: Any) -> Callable[[Prepare], Prepare]:
    """Add a scenario: what a client and a test do with a server of these settings."""

    def add(function: Prepare) -> Prepare:
        SCENARIOS[function.__name__] = changes, function
        return function

    return add


@scenario()
def a_refresh(server: FakeOAuth) -> None:
    refresh(server, server.issue_tokens("alice", "web").refresh_token)


@scenario()
def a_refresh_with_fewer_scopes(server: FakeOAuth) -> None:
    tokens = server.issue_tokens("bob", "web", "openid")
    refresh(server, tokens.refresh_token, scope="openid")


@scenario()
def a_refresh_with_a_scope_that_was_not_granted(server: FakeOAuth) -> None:
    refresh(server, server.issue_tokens("bob", "web", "openid").refresh_token, scope="a")


@scenario(refresh_tokens=Settings().refresh_tokens)
def a_preconfigured_token(server: FakeOAuth) -> None:
    refresh(server, "MOCK_REFRESH_TOKEN")


@scenario(refresh_token_seconds=777)
def an_expired_token(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    server.clock.advance(800)
    refresh(server, token)


@scenario()
def a_token_that_the_test_expired(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    server.expire(token or "")
    refresh(server, token)


@scenario(refresh_policy=RefreshPolicy(idle_seconds=50, absolute_seconds=1000))
def a_token_that_is_idle_for_too_long(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    server.clock.advance(50)
    refresh(server, token)


@scenario(refresh_token_seconds=10**9, dialect="rfc")
def a_token_that_expires_in_thirty_years(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    server.clock.advance(10**9 + 1)
    refresh(server, token)


@scenario(refresh_policy="rotate")
def a_replay(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    refresh(server, token)
    refresh(server, token)


@scenario(refresh_policy="okta")
def a_replay_after_the_grace_period(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    refresh(server, token)
    server.clock.advance(300)
    refresh(server, token)


@scenario(refresh_policy="rfc9700")
def a_replay_that_revokes(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    refresh(server, token)
    refresh(server, token)


@scenario(refresh_policy="rfc9700")
def a_second_replay(server: FakeOAuth) -> None:
    a_replay_that_revokes(server)
    refresh(server, server.journal[-1].form["refresh_token"])


@scenario(refresh_policy="rotate")
def a_replay_after_the_test_revoked_the_family(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    refresh(server, token)
    server.revoke(token or "")
    refresh(server, token)


@scenario(refresh_policy="rfc9700")
def a_successor_after_a_replay(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    following = refresh(server, token)
    refresh(server, token)
    refresh(server, following)


@scenario()
def a_revoked_token(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    server.revoke_user("alice")
    refresh(server, token)


@scenario()
def a_token_that_the_client_revoked(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    post(server, "revoke", token=token)
    refresh(server, token)


@scenario()
def a_token_of_another_client(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "app").refresh_token
    refresh(server, token)


@scenario()
def an_unknown_token(server: FakeOAuth) -> None:
    refresh(server, "never-issued")


@scenario()
def a_frozen_user(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    server.freeze_user("alice")
    refresh(server, token)


@scenario(users=[User(sub="u-alice", username="alice", status="locked")])
def a_locked_user(server: FakeOAuth) -> None:
    refresh(server, server.issue_tokens("alice", "web").refresh_token)


@scenario(refresh_policy="okta")
def a_replay_in_the_grace_period(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    for _ in range(2):
        refresh(server, token)


@scenario()
def an_authorization_request_of_an_unknown_client(server: FakeOAuth) -> None:
    server.replace_clients([APP])
    an_authorization_request(server)


@scenario(clients=[replace(WEB, enabled=False)])
def an_authorization_request_of_a_disabled_client(server: FakeOAuth) -> None:
    an_authorization_request(server)


@scenario()
def a_deleted_user(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    server.delete_user("alice")
    refresh(server, token)


@scenario()
def an_unknown_client(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    refresh(server, token, client_id="nobody")


@scenario()
def a_removed_client(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    server.replace_clients([APP])
    refresh(server, token)


@scenario()
def a_disabled_client(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    server.replace_clients([Client(client_id="web", client_secret="s3cret", enabled=False)])
    refresh(server, token)


@scenario()
def a_wrong_secret(server: FakeOAuth) -> None:
    refresh(server, server.issue_tokens("alice", "web").refresh_token, client_secret="wrong")


@scenario()
def basic(server: FakeOAuth) -> None:
    form = {"grant_type": "client_credentials", "scope": "a"}
    httpx.post(server.token_url, data=form, auth=("web", "s3cret"))


@scenario()
def a_malformed_basic(server: FakeOAuth) -> None:
    form = {"grant_type": "client_credentials"}
    headers = {"Authorization": "Basic !!!"}
    httpx.post(server.token_url, data=form, headers=headers)


@scenario()
def client_credentials(server: FakeOAuth) -> None:
    post(server, grant_type="client_credentials")


@scenario()
def a_parameter_that_is_sent_twice(server: FakeOAuth) -> None:
    post(server, grant_type="client_credentials", scope=["a", "openid"])


@scenario()
def an_unknown_grant_type(server: FakeOAuth) -> None:
    post(server, grant_type="magic")


@scenario()
def a_code_with_pkce(server: FakeOAuth) -> None:
    verifier = "v" * 43
    code = server.issue_code("alice", "spa", redirect_uri=URI, code_challenge=s256(verifier))
    public: dict[str, Any] = {"client_id": "spa", "client_secret": None}
    form = {**public, "grant_type": "authorization_code"}
    post(server, **form, code=code, redirect_uri=URI, code_verifier=verifier)


@scenario(dialect="rfc")
def a_code_with_another_verifier(server: FakeOAuth) -> None:
    code = server.issue_code("alice", "web", redirect_uri=URI, code_challenge=s256("v" * 43))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": URI}
    post(server, **form, code_verifier="w" * 43)


@scenario(dialect="rfc")
def a_code_without_its_verifier(server: FakeOAuth) -> None:
    code = server.issue_code("alice", "web", redirect_uri=URI, code_challenge=s256("v" * 43))
    post(server, grant_type="authorization_code", code=code, redirect_uri=URI)


@scenario(dialect="rfc")
def a_verifier_without_a_challenge(server: FakeOAuth) -> None:
    code = server.issue_code("alice", "web", redirect_uri=URI)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": URI}
    post(server, **form, code_verifier="v" * 43)


@scenario()
def a_code_for_another_redirect_uri(server: FakeOAuth) -> None:
    code = server.issue_code("alice", "web", redirect_uri=URI)
    post(server, grant_type="authorization_code", code=code, redirect_uri=f"{URI}/other")


@scenario(code_seconds=30)
def an_expired_code(server: FakeOAuth) -> None:
    code = server.issue_code("alice", "web")
    server.clock.advance(31)
    post(server, grant_type="authorization_code", code=code)


@scenario()
def a_code_that_is_used_again(server: FakeOAuth) -> None:
    code = server.issue_code("alice", "web")
    for _ in range(2):
        post(server, grant_type="authorization_code", code=code)


@scenario(dialect="rfc")
def a_password(server: FakeOAuth) -> None:
    post(server, grant_type="password", username="bob", password="pw")


@scenario(dialect="rfc")
def a_wrong_password(server: FakeOAuth) -> None:
    post(server, grant_type="password", username="bob", password="wrong")


@scenario(dialect="rfc")
def a_password_of_a_frozen_user(server: FakeOAuth) -> None:
    server.freeze_user("bob")
    post(server, grant_type="password", username="bob", password="pw")


def with_token(server: FakeOAuth, token: str, endpoint: str = "userinfo") -> None:
    httpx.get(server.url_of(endpoint), headers={"Authorization": f"Bearer {token}"})


@scenario()
def userinfo(server: FakeOAuth) -> None:
    with_token(server, server.issue_tokens("alice", "web").access_token)


@scenario()
def userinfo_with_an_expired_token(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").access_token
    server.clock.advance(301)
    with_token(server, token)


@scenario()
def userinfo_with_a_revoked_token(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").access_token
    server.revoke(token)
    with_token(server, token)


@scenario(refresh_policy="rfc9700")
def userinfo_after_a_replay(server: FakeOAuth) -> None:
    tokens = server.issue_tokens("alice", "web")
    for _ in range(2):
        refresh(server, tokens.refresh_token)
    with_token(server, tokens.access_token)


@scenario()
def userinfo_with_the_token_of_a_client(server: FakeOAuth) -> None:
    reply = post(server, grant_type="client_credentials", scope="openid")
    with_token(server, reply.json()["access_token"])


@scenario()
def userinfo_of_a_deleted_user(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").access_token
    server.delete_user("alice")
    with_token(server, token)


@scenario()
def userinfo_with_a_forged_token(server: FakeOAuth) -> None:
    with_token(server, "a.b.c")


@scenario()
def userinfo_without_a_token(server: FakeOAuth) -> None:
    httpx.get(server.url_of("userinfo"))


@scenario()
def the_resource_requires_a_scope(server: FakeOAuth) -> None:
    server.resource.scope = "a"
    with_token(server, server.issue_tokens("alice", "web", "openid").access_token, "resource")


@scenario()
def a_delete_of_the_resource(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").access_token
    httpx.delete(server.resource_url, headers={"Authorization": f"Bearer {token}"})


@scenario()
def a_503(server: FakeOAuth) -> None:
    server.script(faults.Status(503))
    refresh(server, server.issue_tokens("alice", "web").refresh_token)


@scenario()
def a_standing_fault_elsewhere(server: FakeOAuth) -> None:
    server.always(Rule(faults.Refuse("invalid_token"), endpoint="userinfo"))
    userinfo(server)


@scenario()
def a_fault_for_a_path_that_is_not_served(server: FakeOAuth) -> None:
    server.script(Rule(faults.Status(500, "no"), endpoint="any"))
    httpx.get(f"{server.url}/nowhere")


@scenario(refresh_policy="rotate")
def a_fault_after_a_replay(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    refresh(server, token)
    server.script(faults.Slow(0.01))
    refresh(server, token)


def cut(server: FakeOAuth, fault: Any) -> None:
    server.script(fault)
    token = server.issue_tokens("alice", "web").refresh_token
    form = {**SECRET, "grant_type": "refresh_token", "refresh_token": token}
    with pytest.raises(httpx.RequestError):
        httpx.post(server.token_url, data=form, timeout=0.5)


@scenario(refresh_policy="rotate")
def a_hang_up(server: FakeOAuth) -> None:
    cut(server, faults.HangUp(after_commit=True))


@scenario()
def a_hang_up_at_once(server: FakeOAuth) -> None:
    cut(server, faults.HangUp())


@scenario()
def a_reset(server: FakeOAuth) -> None:
    cut(server, faults.Reset())


@scenario()
def a_hang(server: FakeOAuth) -> None:
    cut(server, faults.Hang())


@scenario()
def a_truncated_response(server: FakeOAuth) -> None:
    cut(server, faults.Truncated(20))


@scenario()
def a_broken_gzip(server: FakeOAuth) -> None:
    cut(server, faults.Combined([faults.BrokenGzip()]))


@scenario(dialect="rfc", device_interval_seconds=5)
def a_device_that_polls(server: FakeOAuth) -> None:
    code = post(server, "device_authorization").json()["device_code"]
    post(server, grant_type=DEVICE, device_code=code)


@scenario(dialect="rfc")
def a_device_that_polls_too_often(server: FakeOAuth) -> None:
    code = post(server, "device_authorization").json()["device_code"]
    server.clock.freeze()
    for _ in range(2):
        post(server, grant_type=DEVICE, device_code=code)


def device(server: FakeOAuth, *, seconds: float = 0, polls: int = 1) -> None:
    reply = post(server, "device_authorization").json()
    server.approve_device(reply["user_code"], "bob")
    server.clock.advance(seconds)
    for _ in range(polls):
        post(server, grant_type=DEVICE, device_code=reply["device_code"])


@scenario(dialect="rfc")
def an_allowed_device(server: FakeOAuth) -> None:
    device(server)


@scenario(dialect="rfc")
def a_device_code_that_is_used_again(server: FakeOAuth) -> None:
    device(server, polls=2)


@scenario(dialect="rfc", device_code_seconds=60)
def an_expired_device_code(server: FakeOAuth) -> None:
    device(server, seconds=61)


@scenario(dialect="rfc")
def a_denied_device(server: FakeOAuth) -> None:
    reply = post(server, "device_authorization").json()
    server.deny_device(reply["user_code"])
    post(server, grant_type=DEVICE, device_code=reply["device_code"])


@scenario(dialect="rfc")
def a_token_exchange(server: FakeOAuth) -> None:
    post(
        server,
        grant_type=EXCHANGE,
        subject_token=server.issue_tokens("alice", "web").access_token,
        subject_token_type=ACCESS_TOKEN,
        actor_token=server.issue_tokens("bob", "app").access_token,
        actor_token_type=ACCESS_TOKEN,
    )


@scenario(dialect="rfc")
def an_introspection_of_an_expired_token(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").access_token
    server.clock.advance(3601)
    post(server, "introspect", token=token)


@scenario()
def a_revocation(server: FakeOAuth) -> None:
    post(server, "revoke", token=server.issue_tokens("alice", "web").refresh_token)


@scenario()
def an_authorization_request(server: FakeOAuth) -> None:
    query = {"client_id": "web", "response_type": "code", "redirect_uri": URI, "state": "x y"}
    httpx.get(server.url_of("authorize"), params=query)


@scenario()
def an_authorization_request_of_a_logged_in_user(server: FakeOAuth) -> None:
    server.login("bob")
    an_authorization_request(server)


def silent_login(server: FakeOAuth, mode: str) -> None:
    query = {"client_id": "web", "response_type": "code", "redirect_uri": URI, "prompt": "none"}
    httpx.get(server.url_of("authorize"), params={**query, "response_mode": mode})
    assert server.journal[-1].error == "login_required"


@scenario(dialect="rfc")
def a_silent_login_that_fails_in_mode_query(server: FakeOAuth) -> None:
    silent_login(server, "query")


@scenario(dialect="rfc")
def a_silent_login_that_fails_in_mode_fragment(server: FakeOAuth) -> None:
    silent_login(server, "fragment")


@scenario(dialect="rfc")
def a_silent_login_that_fails_in_mode_form_post(server: FakeOAuth) -> None:
    silent_login(server, "form_post")


@scenario(dialect="rfc")
def an_authorization_request_of_a_person_with_a_wrong_redirect_uri(server: FakeOAuth) -> None:
    query = {"client_id": "web", "response_type": "code", "redirect_uri": "https://evil.example"}
    httpx.get(server.url_of("authorize"), params=query, headers={"Accept": "text/html"})
    assert server.journal[-1].browser_error == "invalid_request"


@scenario()
def an_authorization_request_with_a_wrong_redirect_uri(server: FakeOAuth) -> None:
    query = {"client_id": "web", "response_type": "code", "redirect_uri": "https://evil.example"}
    httpx.get(server.url_of("authorize"), params=query)


@scenario()
def a_login_that_is_over(server: FakeOAuth) -> None:
    httpx.get(server.url_of("login"), params={"p_state": "old"})


@scenario(issuer="http://127.0.0.1:{port}/realms/a")
def an_issuer_with_a_path(server: FakeOAuth) -> None:
    refresh(server, server.issue_tokens("alice", "web").refresh_token)


@scenario(dialect="mcp")
def a_client_that_registered_itself(server: FakeOAuth) -> None:
    metadata = {"redirect_uris": [URI], "token_endpoint_auth_method": "client_secret_post"}
    reply = httpx.post(server.url_of("register"), json=metadata).json()
    pair = {name: reply[name] for name in ("client_id", "client_secret")}
    post(server, **pair, grant_type="refresh_token", refresh_token="never")


@scenario(users=[ALICE], auto_login="alice")
def a_server_without_users(server: FakeOAuth) -> None:
    server.delete_user("alice")
    client_credentials(server)


@scenario(dialect="rfc")
def one_token_in_two_places(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").access_token
    both = {"subject_token": token, "actor_token": token}
    kinds = {f"{name}_type": ACCESS_TOKEN for name in both}
    post(server, grant_type=EXCHANGE, **both, **kinds)


@scenario(dialect="rfc", issue_refresh_tokens="offline_access")
def a_refresh_token_for_offline_access(server: FakeOAuth) -> None:
    refresh(server, server.issue_tokens("alice", "web", "openid offline_access").refresh_token)


@scenario(dialect="mcp")
def a_registration(server: FakeOAuth) -> None:
    httpx.post(
        server.url_of("register"),
        json={"redirect_uris": [URI], "client_name": "[ü", "software_id": "x"},
    )


@scenario(cors_origins=["https://app.example"])
def a_preflight(server: FakeOAuth) -> None:
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    httpx.options(server.token_url, headers=headers)


@scenario()
def a_page_that_cannot_read_the_response(server: FakeOAuth) -> None:
    httpx.post(server.token_url, data=SECRET, headers={"Origin": "https://app.example"})


@scenario()
def a_head_of_the_keys(server: FakeOAuth) -> None:
    httpx.head(server.url_of("jwks"))


@scenario()
def a_method_that_is_not_allowed(server: FakeOAuth) -> None:
    httpx.request("BREW", server.token_url)


@scenario()
def multipart(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    form = {**SECRET, "grant_type": "refresh_token", "refresh_token": token}
    files: Any = {name: (None, value) for name, value in form.items()}
    httpx.post(server.token_url, files=files)


@scenario()
def a_charset(server: FakeOAuth) -> None:
    token = server.issue_tokens("alice", "web").refresh_token
    form = {**SECRET, "grant_type": "refresh_token", "refresh_token": token}
    kind = "application/x-www-form-urlencoded; charset=UTF-8"
    httpx.post(server.token_url, content=urlencode(form), headers={"Content-Type": kind})


@scenario(
    clients=[Client(client_id=f"c{n}", client_secret="s") for n in range(20)],
    users=[User(sub=f"u{n}") for n in range(20)],
)
def one_of_many_clients_and_users(server: FakeOAuth) -> None:
    token = server.issue_tokens("u7", "c7").refresh_token
    refresh(server, token, client_id="c7", client_secret="s")


def run(pytester: pytest.Pytester, *texts: str) -> None:
    """Run test files in one session. Each must pass."""
    for number, text in enumerate(texts):
        ast.parse(text)
        name = f"test_{number}.py"
        pytester.path.joinpath(name).write_text(text, encoding="utf-8")
    result = pytester.runpytest_inprocess("-Werror", *ALONE)
    assert result.parseoutcomes() == {"passed": len(texts)}, result.stdout.str()


def test_every_exchange_as_a_test_passes(pytester: pytest.Pytester) -> None:
    texts = []
    for changes, prepare in SCENARIOS.values():
        with FakeOAuth(SETTINGS.changed(**changes)) as server:
            prepare(server)
            texts.append(exchange_data(server)["pytest"])
        assert "cannot bring about" not in texts[-1], prepare.__name__
    run(pytester, *texts)


def test_a_test_looks_like_one_that_a_person_writes() -> None:
    with FakeOAuth(SETTINGS.changed(refresh_policy="rotate")) as server:
        a_replay(server)
        text = exchange_data(server)["pytest"]
        line = str(server.journal[-1])
    assert (
        text
        == f"""\
import re

import httpx
import pytest
from fake_oauth import Client, Settings, User


@pytest.fixture(scope="session")
def oauth_settings():
    return Settings(
        refresh_policy="rotate",
        clients=[
            Client(
                client_id="web",
                client_secret="s3cret",
                scopes=["openid", "a"],
                redirect_uris=["https://web.example/cb"],
            ),
            Client(client_id="spa", redirect_uris=["https://web.example/cb"]),
            Client(client_id="app", client_secret="s3cret"),
        ],
        users=[
            User(sub="u-alice", username="alice", password="pw", claims={{"name": "Alice"}}),
            User(sub="u-bob", username="bob", password="pw"),
        ],
    )


@pytest.mark.allow_violations
def test_request_2(oauth_server):
    # {line}
    tokens = oauth_server.issue_tokens(user="alice", client="web")
    rotated = httpx.post(
        oauth_server.token_url,
        data={{
            "client_id": "web",
            "client_secret": "s3cret",
            "grant_type": "refresh_token",
            "refresh_token": tokens.refresh_token,
        }},
    ).json()
    httpx.post(
        oauth_server.token_url,
        data={{
            "client_id": "web",
            "client_secret": "s3cret",
            "grant_type": "refresh_token",
            "refresh_token": rotated["refresh_token"],
        }},
    )  # The grace period is over.
    response = httpx.post(
        oauth_server.token_url,
        data={{
            "client_id": "web",
            "client_secret": "s3cret",
            "grant_type": "refresh_token",
            "refresh_token": tokens.refresh_token,
        }},
    )
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_grant"
    exchange = oauth_server.journal[-1]
    assert exchange.cause == "refresh_token_spent"
    assert re.fullmatch(r"refresh token rotated by request \\d+", exchange.reason)
"""
    )


# Requests that a test cannot repeat


def unrepeatable(server: FakeOAuth, pytester: pytest.Pytester, why: str) -> None:
    text = exchange_data(server)["pytest"]
    assert f"    # The test cannot bring about this response. {why}\n" in text
    run(pytester, text)


def test_bytes_that_are_not_http_have_no_command(pytester: pytest.Pytester) -> None:
    with FakeOAuth(SETTINGS) as server:
        with connect(server.url) as connection:
            connection.sendall(b'\x00\xff\'"""$(x)\r\n\r\n')
            received(connection)
        data = exchange_data(server)
        assert shell(data["curl"]) == b""
        run(pytester, data["pytest"])
        assert "The client sent bytes that are not HTTP" in data["pytest"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"client_id=%FF", "application/x-www-form-urlencoded"),
        (b"client_id=\xff\x00", "application/x-www-form-urlencoded"),
        (b'{"client_id": "web"}', "application/json"),
        (b"x", 'text/plain; x=\'"""$(touch canary)'),
    ],
)
def test_a_body_that_cannot_be_read_is_not_repeated(
    pytester: pytest.Pytester, body: bytes, content_type: str
) -> None:
    with FakeOAuth(SETTINGS) as server:
        headers = {"Content-Type": content_type}
        httpx.post(server.token_url, content=body, headers=headers)
        unrepeatable(server, pytester, "The journal does not keep a body that it cannot read.")
        command = exchange_data(server)["curl"]
        assert command.startswith("# Left out: the body, if there was one. ")
        shell(command)
        assert server.journal[-1].content_type == content_type
    assert not (pytester.path / "canary").exists()


def test_what_another_server_does_not_know_is_not_repeated(pytester: pytest.Pytester) -> None:
    with FakeOAuth(SETTINGS.changed(dialect="rfc")) as server:
        assertion = {"client_assertion": "x", "client_assertion_type": "y"}
        post(server, grant_type="client_credentials", **assertion)
        unrepeatable(server, pytester, "Its client_assertion is for one server and a short time.")
        with httpx.Client(base_url=server.url, follow_redirects=True) as browser:
            query = {"client_id": "web", "response_type": "code", "redirect_uri": URI}
            browser.get("/authorize", params=query)
        unrepeatable(
            server, pytester, "The login page that it belongs to is not shown in the test."
        )
        assert "# Left out: the cookies of the browser.\n" in exchange_data(server)["curl"]
        token = server.issue_tokens("alice", "web").access_token
        headers = {"Authorization": f"Bearer {token}", "DPoP": "x.y.z"}
        httpx.get(server.url_of("userinfo"), headers=headers)
        unrepeatable(server, pytester, "Its DPoP proof is valid once and for a short time.")
        left_out = "# Left out: the DPoP proof, which is valid once and for a short time.\n"
        assert exchange_data(server)["curl"].startswith(left_out)


def test_a_fault_that_is_not_known_any_more_is_not_repeated(pytester: pytest.Pytester) -> None:
    with FakeOAuth(SETTINGS) as server:
        a_503(server)
        server.replace_script()
        unrepeatable(
            server, pytester, "The fault step 1 Status(503) is not in the script any more."
        )
        change = faults.Change(lambda response: response.changed(b"x"))
        server.script(change, faults.Combined([change]))
        post(server)
        unrepeatable(server, pytester, "The fault step 2 Change(<lambda>) is a function.")
        post(server)
        assert "is a function" in exchange_data(server)["pytest"]


def test_a_token_that_is_forgotten_is_not_repeated(pytester: pytest.Pytester) -> None:
    with FakeOAuth(SETTINGS) as server:
        a_refresh(server)
        server._realm.store.refresh_tokens._by_value.clear()
        server._realm.store._access_tokens.clear()
        unrepeatable(server, pytester, "The server has forgotten the token alice/1 r1.")


def test_a_request_without_a_response_is_not_repeated(pytester: pytest.Pytester) -> None:
    with FakeOAuth(SETTINGS) as server:
        a_refresh(server)
        server.journal[-1].answered_before = None
        unrepeatable(server, pytester, "It has no response yet.")
        server.journal[-1].answered_before = 2
        server.journal[-1].reason = "the request failed: x"
        unrepeatable(server, pytester, "The server did not respond as a server does.")


def test_a_dialect_of_a_function_is_not_repeated(pytester: pytest.Pytester) -> None:
    class Local(Dialect):
        name = "local"

    with FakeOAuth(SETTINGS.changed(dialect=Local)) as server:
        a_refresh(server)
        unrepeatable(server, pytester, "Its settings are not such that a file can have them.")


@pytest.mark.parametrize(
    ("number", "known"),
    [(0, "the journal has 3 to 4"), (2, "the journal has 3 to 4"), (5, "the journal has 3 to 4")],
)
def test_an_exchange_that_the_journal_does_not_have_is_a_problem(number: int, known: str) -> None:
    with FakeOAuth(SETTINGS.changed(journal_limit=2)) as server:
        for _ in range(4):
            userinfo_without_a_token(server)
        control = control_of(server)
        assert problems(control("GET", f"/exchange?number={number}")) == [
            f"$.number: no exchange {number}; {known}"
        ]
        assert problems(control("GET", "/exchange")) == ["$.number: required, but missing"]
    empty = control_of(FakeOAuth(SETTINGS))("GET", "/exchange?number=1")
    assert problems(empty) == ["$.number: no exchange 1; the journal is empty"]


# As a command

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def shell(command: str, folder: Any = None) -> bytes:
    """Run a command as it was copied."""
    done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, cwd=folder)
    assert done.returncode in (0, 18, 52, 56, 28), (command, done.stderr)
    return done.stdout


@needs_curl
@pytest.mark.parametrize("name", SCENARIOS)
def test_an_exchange_as_a_command_is_the_same_request(name: str) -> None:
    changes, prepare = SCENARIOS[name]
    with FakeOAuth(SETTINGS.changed(**changes)) as server:
        prepare(server)
        sent = server.journal[-1]
        shell(exchange_data(server)["curl"])
        assert_same(sent, server.journal[-1])


def assert_same(sent: Exchange, again: Exchange) -> None:
    """Assert that two requests have the same method, path, query, body, and credentials."""
    assert again.number == sent.number + 1
    assert (again.method, again.path) == (sent.method, sent.path)
    assert list(again.query.pairs()) == list(sent.query.pairs())
    assert list(again.form.pairs()) == list(sent.form.pairs())
    kinds = [(one.content_type or "").partition("boundary")[0] for one in (sent, again)]
    assert kinds[0] == kinds[1]
    names = ("HTTP_AUTHORIZATION", "HTTP_ORIGIN", "HTTP_ACCEPT_LANGUAGE")
    values = [[dict(one.raw_headers).get(name) for name in names] for one in (sent, again)]
    assert values[0] == values[1]
    if sent.form and not sent.query and "urlencoded" in (sent.content_type or ""):
        assert again.digest == sent.digest


@needs_curl
def test_a_command_reaches_an_https_server() -> None:
    with FakeOAuth(SETTINGS.changed(tls=True)) as server:
        server.journal.arrived(
            at=0.0,
            method="GET",
            path="/oauth2/jwks",
            endpoint="jwks",
            query=Parameters(),
            form=Parameters(),
            client_id=None,
        )
        command = exchange_data(server)["curl"]
        assert "--insecure" in command
        assert b'"keys"' in shell(command)


def test_a_command_of_a_server_without_a_socket_names_its_issuer() -> None:
    fake = FakeOAuth(SETTINGS.changed(issuer="https://fake.example/realms/a"))
    ask(fake)
    command = exchange_data(fake)["curl"]
    assert command.endswith("  https://fake.example/oauth2/token\n")


# What a client sends is data, whatever it is

HOSTILE: Final = [
    "'; touch canary; '",
    '"; touch canary; "',
    "$(touch canary)",
    "`touch canary`",
    "\\'; touch canary #",
    '"""\nimport pathlib; pathlib.Path("canary").touch()\n"""',
    "\\",
    "a\nopen('canary', 'w')\n#",
    "\r\n# coding: utf-7",
    "{open('canary', 'w')}",
    "%(x)s {0} %s",
    "@/etc/passwd",
    "-o canary",
    "<canary",
    "\x1b[31m\x07\x7f",
    "é ü 中 \u2028 \U0001f600",
    "a;b&c=d#e?f[1-9]{x,y}",
]


@needs_curl
def test_hostile_text_is_only_text(pytester: pytest.Pytester) -> None:
    texts = []
    for text in HOSTILE:
        with FakeOAuth(SETTINGS) as server:
            for request in hostile_requests(server, text):
                request()
                exchange = server.journal[-1]
                data = exchange_data(server)
                shell(data["curl"], pytester.path)
                assert_same(exchange, server.journal[-1])
                texts.append(data["pytest"])
    run(pytester, *texts)
    assert not (pytester.path / "canary").exists()
    assert not (pytester.path / " canary").exists()


def hostile_requests(server: FakeOAuth, text: str) -> list[Callable[[], Any]]:
    form = {"client_id": text, "client_secret": text, "grant_type": text, text: text}
    return [
        lambda: httpx.post(server.token_url, data=form, params={text: text}),
        lambda: httpx.post(server.token_url, data={"scope": text}, auth=("web", text)),
        lambda: httpx.post(server.token_url, files={"client_id": (None, text)}),
        lambda: httpx.get(f"{server.url}/{quote(text, safe='')}"),
        lambda: with_token(server, b64encode(text.encode()).decode()),
    ]


@needs_curl
@pytest.mark.parametrize("value", [b"'\"`$(touch canary)", b"\xff\xfe'", b"a\tb\\x41", b"@x"])
def test_hostile_headers_are_only_text(value: bytes, pytester: pytest.Pytester) -> None:
    texts = []
    for name in (b"User-Agent", b"Accept-Language", b"Origin", b"Authorization", b"X"):
        with FakeOAuth(SETTINGS) as server:
            with connect(server.url) as connection:
                lines = [b"GET /userinfo HTTP/1.1", b"Host: x", name + b": " + value]
                connection.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
                received(connection)
            exchange = server.journal[-1]
            data = exchange_data(server)
            shell(data["curl"], pytester.path)
            assert_same(exchange, server.journal[-1])
            texts.append(data["pytest"])
    run(pytester, *texts)
    assert not (pytester.path / "canary").exists()


@needs_curl
def test_nul_reaches_the_server_where_a_command_can_carry_it(pytester: pytest.Pytester) -> None:
    texts = []
    with FakeOAuth(SETTINGS) as server:
        httpx.post(server.token_url, data={"client_id": "a\x00b", "x\x00": ""})
        exchange = server.journal[-1]
        data = exchange_data(server)
        shell(data["curl"])
        assert_same(exchange, server.journal[-1])
        texts.append(data["pytest"])
        for name in ("client_id", "a=b", "a\\b", 'a"b'):
            value = "a\x00b" if name == "client_id" else "x"
            httpx.post(server.token_url, files={name: (None, value), "scope": (None, "a")})
            data = exchange_data(server)
            if server.journal[-1].form:
                left_out = f"# Left out: {name}, which curl cannot send in a form.\n"
                assert data["curl"].startswith(left_out)
                shell(data["curl"])
                assert dict(server.journal[-1].form) == {"scope": "a"}
            texts.append(data["pytest"])
    run(pytester, *texts)


def test_hostile_settings_are_only_text(pytester: pytest.Pytester) -> None:
    text = "'\"\"\"\\\n$(touch canary){open('canary', 'w')}"
    client = Client(client_id=text, client_secret=text, scopes=["openid"])
    user = User(sub=text, claims={text: [text, {"x": text}]})
    with FakeOAuth(SETTINGS.changed(clients=[client], users=[user])) as server:
        server.script(Rule(faults.Refuse("x", text), client_id=text))
        token = server.issue_tokens().refresh_token
        refresh(server, token, client_id=text, client_secret=text)
        run(pytester, exchange_data(server)["pytest"])
    assert not (pytester.path / "canary").exists()
