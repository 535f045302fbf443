"""Device authorization over HTTP: the response, the verification page, and the controls."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from fake_oauth import Client, FakeOAuth, FakeOAuthError, Settings, SettingsError, User, faults
from fake_oauth.dialects import RFC
from fake_oauth.provider.grants.device_code import DEVICE_CODE
from tests.support.client import basic, claims

BASIC = basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")
USERS = (
    User(sub="u-alice", username="alice", password="pw"),
    User(sub="bob"),
    User(sub="eve", status="locked"),
)
EVIL = '"><script>alert(1)</script>'


class Device:
    """A fake, a browser of it, and a device that has a code."""

    def __init__(self, **settings: Any) -> None:
        options = {"dialect": "rfc", "users": USERS, "refresh_tokens": [], "seed": 1}
        self.fake = FakeOAuth(Settings(freeze_time=True, **{**options, **settings}))
        self.browser = Browser(self.fake)
        self.begin()

    def begin(self) -> None:
        self.told: dict[str, Any] = self.post("device_authorization").get_json()

    @property
    def user_code(self) -> str:
        return str(self.told["user_code"])

    def post(self, endpoint: str, **form: str) -> TestResponse:
        path = self.fake.settings.issuer_path + self.fake.dialect.paths[endpoint]
        return Browser(self.fake).post(path, data=form, headers=BASIC)

    def poll(self) -> TestResponse:
        return self.post("token", grant_type=DEVICE_CODE, device_code=self.told["device_code"])

    def error(self) -> str:
        return str(self.poll().get_json()["error"])

    def shown(self, **query: str) -> TestResponse:
        return self.browser.get("/device", query_string=query)

    def choose(self, **form: str) -> TestResponse:
        return self.browser.post("/device", data={"user_code": self.user_code, **form})


@pytest.fixture
def device() -> Device:
    return Device()


def test_the_response_has_the_members_of_the_standard_in_its_order(device: Device) -> None:
    response = device.post("device_authorization", scope="openid")
    assert response.headers["Cache-Control"] == "no-store"
    told = response.get_json()
    assert list(told) == [
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    ]
    assert (told["expires_in"], told["interval"]) == (1800, 5)
    assert told["verification_uri"] == "http://localhost/device"
    complete = f"http://localhost/device?user_code={told['user_code']}"
    assert told["verification_uri_complete"] == complete
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", told["user_code"])


def test_an_interval_of_0_is_left_out_and_not_judged() -> None:
    device = Device(device_interval_seconds=0, device_code_seconds=60)
    assert "interval" not in device.told
    assert device.told["expires_in"] == 60
    assert {device.error() for _ in range(3)} == {"authorization_pending"}
    assert device.fake.violations() == []


def test_the_settings_of_devices_are_checked() -> None:
    with pytest.raises(SettingsError, match=r"\$\.device_interval_seconds: expected at least 1"):
        FakeOAuth(Settings(device_interval_seconds=-1))
    with pytest.raises(SettingsError, match=r"\$\.device_code_seconds: expected at least 1"):
        FakeOAuth(Settings(device_code_seconds=0))
    settings = Settings.from_mapping({"device_interval_seconds": 1, "device_code_seconds": 9})
    assert (settings.device_interval_seconds, settings.device_code_seconds) == (1, 9)


def test_a_user_code_is_escaped_in_the_url() -> None:
    device = Device(ids={"user_code": ["A&B#C+D"]})
    query = urlsplit(device.told["verification_uri_complete"]).query
    assert parse_qs(query) == {"user_code": ["A&B#C+D"]}


def test_the_metadata_names_the_endpoint_and_ciam_has_none(device: Device) -> None:
    metadata = device.fake.metadata()
    assert metadata["device_authorization_endpoint"] == "http://localhost/device_authorization"
    assert DEVICE_CODE in metadata["grant_types_supported"]
    ciam = FakeOAuth()
    assert "device_authorization_endpoint" not in ciam.metadata()
    assert Browser(ciam).post("/device_authorization").status_code == 404


def test_a_code_is_entered_confirmed_and_allowed(device: Device) -> None:
    page = device.shown()
    assert page.status_code == 200
    assert 'name="user_code"' in page.text
    page = device.shown(user_code=device.user_code.replace("-", " ").lower())
    assert page.status_code == 200
    assert f"<code>{device.user_code}</code>" in page.text
    assert "to <code>TENANT_CLIENT_ID</code>" in page.text
    assert "<li><code>openid</code> – your user ID</li>" in page.text
    assert re.findall(r'name="sub" value="([^"]+)"', page.text) == ["u-alice", "bob"]
    assert device.error() == "authorization_pending", "a URL alone allows nothing"
    page = device.choose(sub="bob")
    assert (page.status_code, "The device is connected" in page.text) == (200, True)
    assert claims(device.poll().get_json()["access_token"])["sub"] == "bob"


def test_a_browser_without_cookies_can_use_a_password(device: Device) -> None:
    form = {"user_code": device.user_code, "username": "alice", "password": "pw"}
    assert Browser(device.fake, use_cookies=False).post("/device", data=form).status_code == 200
    assert claims(device.poll().get_json()["access_token"])["sub"] == "u-alice"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"username": "alice", "password": "x"}, "Wrong username or password"),
        ({"sub": "eve"}, "The user is not allowed to log in"),
        ({"sub": "nobody"}, "No such user"),
        ({}, "Wrong username or password"),
        ({"allow": "yes"}, "Wrong username or password"),
    ],
)
def test_a_choice_that_fails_is_told_and_can_be_made_again(
    device: Device, form: dict[str, str], message: str
) -> None:
    page = device.choose(**form)
    assert page.status_code == 400
    assert f'role="alert">{message}<' in page.text
    assert device.error() == "authorization_pending"
    assert device.choose(sub="bob").status_code == 200


def test_one_can_say_no(device: Device) -> None:
    page = device.choose(deny="yes")
    assert (page.status_code, "The device was denied" in page.text) == (200, True)
    assert device.error() == "access_denied"
    assert device.fake.journal[-2].reason == "TENANT_CLIENT_ID/1 d1 denied"


def test_whoever_is_logged_in_needs_no_choice_but_still_confirms(device: Device) -> None:
    device.choose(sub="bob")
    logged_in_at = int(device.fake.clock.now())
    device.fake.clock.advance(60)
    device.begin()
    page = device.shown(user_code=device.user_code)
    assert ("Allow as bob" in page.text, 'name="sub"' in page.text) == (True, False)
    assert device.error() == "authorization_pending"
    page = device.choose(allow="yes")
    assert "Set-Cookie" not in page.headers
    assert device.poll().status_code == 200
    realm = device.fake._realm
    (grant,) = (grant for grant in realm.store.grants_of("bob") if grant.name == "bob/2")
    assert grant.auth_time == logged_in_at


def test_whoever_is_logged_in_can_deny_or_choose_another(device: Device) -> None:
    device.fake.login("bob")
    device.choose(sub="u-alice")
    assert claims(device.poll().get_json()["access_token"])["sub"] == "u-alice"
    device.begin()
    device.choose(deny="yes")
    assert device.error() == "access_denied"


def test_a_login_for_a_device_logs_in_at_the_authorization_endpoint_too(device: Device) -> None:
    device.choose(sub="bob")
    query = {"response_type": "code", "client_id": "TENANT_CLIENT_ID", "scope": "openid"}
    query["redirect_uri"] = "https://example.com/callback"
    assert "code=" in device.browser.get("/authorize", query_string=query).location


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", ["unknown", "expired", "decided", "missing"])
def test_a_code_that_is_not_waiting_is_asked_for_again(
    device: Device, method: str, how: str
) -> None:
    sent = {"user_code": "X" if how == "unknown" else device.user_code, "sub": "bob"}
    if how == "expired":
        device.fake.expire(device.told["device_code"])
    elif how == "decided":
        device.fake.deny_device(device.user_code)
    elif how == "missing":
        del sent["user_code"]
    page = device.shown(**sent) if method == "GET" else device.browser.post("/device", data=sent)
    if (method, how) == ("GET", "missing"):
        assert (page.status_code, 'role="alert"' in page.text) == (200, False)
    else:
        assert page.status_code == 400
        assert 'role="alert">This code is unknown, used, or expired<' in page.text
    assert 'name="user_code"' in page.text
    assert 'name="sub"' not in page.text


def test_a_body_that_cannot_be_read_is_told_in_the_journal(device: Device) -> None:
    page = device.browser.post(
        "/device", data=b"a=%ff", content_type="application/x-www-form-urlencoded"
    )
    assert page.status_code == 400
    assert device.fake.journal[-1].reason == "body is not UTF-8"


def test_another_request_can_decide_first(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(*_: Any) -> User:
        device.fake.deny_device(device.user_code)
        return USERS[0]

    monkeypatch.setattr("fake_oauth.http.device.chosen", too_late)
    page = device.choose(sub="bob")
    assert (page.status_code, "Set-Cookie" in page.headers) == (400, False)
    assert device.fake.journal[-1].reason == "user code denied already"


def test_the_page_names_the_client(device: Device) -> None:
    assert (
        "<p>to <code>TENANT_CLIENT_ID</code></p>" in device.shown(user_code=device.user_code).text
    )
    (client,) = device.fake.settings.clients
    device.fake.replace_clients([replace(client, name="A <TV>")])
    shown = device.shown(user_code=device.user_code).text
    assert "to <strong>A &lt;TV&gt;</strong> (<code>TENANT_CLIENT_ID</code>)" in shown


def test_the_page_loads_nothing_and_its_forms_stay_here(device: Device) -> None:
    for page in (device.shown(), device.shown(user_code="x"), device.choose(sub="bob")):
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert policy.endswith("frame-ancestors 'none'; form-action 'self'")
        assert "<script" not in page.text
        assert page.headers["Content-Type"] == "text/html;charset=UTF-8"


def test_whatever_it_shows_is_escaped() -> None:
    client = Client(client_id=EVIL, client_secret="s", scopes=["<i>"])
    device = Device(clients=[client], users=[User(sub=EVIL, username=f"{EVIL}x")])
    form = {"client_id": EVIL, "client_secret": "s"}
    device.told = Browser(device.fake).post("/device_authorization", data=form).get_json()
    pages = [
        device.shown(user_code=EVIL),
        device.shown(user_code=device.user_code),
        device.choose(username=EVIL, password=EVIL),
    ]
    device.fake.login()
    pages.append(device.shown(user_code=device.user_code))
    assert not any("<script" in page.text or "<i>" in page.text for page in pages)
    assert "&lt;script&gt;" in pages[3].text


def test_a_page_at_another_path_sends_its_forms_there() -> None:
    class Elsewhere(RFC):
        name = "elsewhere"
        paths: ClassVar[Any] = {**RFC.paths, "device": "/activate/", "login": "/sign/in"}

    device = Device(dialect=Elsewhere)
    page = device.browser.get("/activate/", query_string={"user_code": device.user_code})
    assert page.text.count('action="."') == 3
    query = {"response_type": "code", "client_id": "TENANT_CLIENT_ID"}
    location = device.browser.get("/authorize", query_string=query).location
    assert 'action="in"' in device.browser.get(location.removeprefix("http://localhost")).text


def test_a_dialect_with_device_authorization_needs_the_page_and_can_rename_members() -> None:
    class Old(RFC):
        name = "old"
        paths: ClassVar[Any] = {name: RFC.paths[name] for name in RFC.paths if name != "device"}

    with pytest.raises(SettingsError, match="no path for device; add one, such as '/device'"):
        FakeOAuth(Settings(dialect=Old))

    class Renamed(RFC):
        name = "renamed"

        def device_reply(self, members: dict[str, Any]) -> dict[str, Any]:
            return {**members, "verification_url": members["verification_uri"]}

    assert Device(dialect=Renamed).told["verification_url"] == "http://localhost/device"


def test_an_issuer_with_a_path_has_the_page_below_it() -> None:
    device = Device(issuer="https://issuer.example/tenant")
    assert device.told["verification_uri"] == "https://issuer.example/tenant/device"


# What a test does


def test_a_test_allows_and_denies_without_the_page(device: Device) -> None:
    device.fake.approve_device(device.user_code.lower(), "bob")
    assert claims(device.poll().get_json()["access_token"])["sub"] == "bob"
    device.begin()
    device.fake.approve_device(device.user_code)
    assert claims(device.poll().get_json()["access_token"])["sub"] == "u-alice"
    device.begin()
    device.fake.deny_device(device.user_code)
    assert device.error() == "access_denied"


def test_a_mistake_of_the_test_is_told(device: Device) -> None:
    fake = device.fake
    hint = "; pass the user_code of a device authorization response, once"
    with pytest.raises(FakeOAuthError, match=f"^approve_device: user code unknown{hint}$"):
        fake.approve_device("x")
    with pytest.raises(FakeOAuthError, match="approve_device: user 'eve' is locked"):
        fake.approve_device(device.user_code, "eve")
    with pytest.raises(FakeOAuthError, match="unknown user 'bobb'; did you mean 'bob'"):
        fake.approve_device(device.user_code, "bobb")
    with pytest.raises(FakeOAuthError, match="deny_device: the dialect ciam authorizes no devices"):
        FakeOAuth().deny_device("x")
    fake.deny_device(device.user_code)
    with pytest.raises(FakeOAuthError, match=f"^deny_device: user code denied already{hint}$"):
        fake.deny_device(device.user_code)


@pytest.mark.parametrize("how", ["device_code", "name"])
def test_expire_and_revoke_take_a_device_code_or_its_name(how: str, device: Device) -> None:
    names = {"device_code": device.told["device_code"], "name": "TENANT_CLIENT_ID/1 d1"}
    device.fake.expire(names[how])
    assert device.error() == "expired_token"
    device.begin()
    names = {"device_code": device.told["device_code"], "name": "TENANT_CLIENT_ID/2 d1"}
    device.fake.revoke(names[how])
    assert device.error() == "invalid_grant"


def test_the_control_api_allows_and_denies() -> None:
    device = Device(control=True)
    control = Browser(device.fake)
    allowed = {"user_code": device.user_code, "user": "bob"}
    assert control.post("/_fake/approve_device", json=allowed).json == {}
    assert device.poll().status_code == 200
    device.begin()
    assert control.post("/_fake/deny_device", json={"user_code": device.user_code}).json == {}
    assert device.error() == "access_denied"
    again = control.post("/_fake/deny_device", json={"user_code": device.user_code})
    assert again.status_code == 400
    journal = control.get("/_fake/journal").json
    assert journal is not None
    assert journal["exchanges"][0]["issued"] == ["TENANT_CLIENT_ID/1 d1"]


def test_the_journal_shows_neither_code(device: Device) -> None:
    device.shown(user_code=device.user_code)
    device.choose(sub="bob")
    device.poll()
    device.post("token", grant_type=DEVICE_CODE, device_code="W" * 128)
    text = str(device.fake.journal)
    assert device.user_code not in text
    assert device.told["device_code"] not in text
    assert "W" * 20 not in text
    assert "issued TENANT_CLIENT_ID/1 d1" in text
    assert "device_code=TENANT_CLIENT_ID/1 d1" in text
    names = [exchange.tokens for exchange in device.fake.journal if exchange.tokens]
    assert names == [{"device_code": "TENANT_CLIENT_ID/1 d1"}]


@pytest.mark.parametrize("value", ["", "x", None])
def test_a_damaged_response_gives_no_code(value: str | None) -> None:
    device = Device()
    fault = (
        faults.MissingField("device_code") if value is None else faults.Field("device_code", value)
    )
    device.fake.script(faults.Rule(fault, endpoint="device_authorization"))
    device.begin()
    assert [exchange.issued for exchange in device.fake.journal] == [
        ("TENANT_CLIENT_ID/1 d1",),
        (),
    ]


def test_over_a_socket_with_everything_in_one_flow() -> None:
    with FakeOAuth(Settings(dialect="rfc")) as server:
        client = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
        url = httpx.get(f"{server.url}/.well-known/oauth-authorization-server").json()
        told = httpx.post(url["device_authorization_endpoint"], data=client).json()
        form = {**client, "grant_type": DEVICE_CODE, "device_code": told["device_code"]}
        assert httpx.post(server.token_url, data=form).json()["error"] == "authorization_pending"
        assert httpx.get(told["verification_uri_complete"]).status_code == 200
        chosen = {"user_code": told["user_code"], "sub": "MOCK_USERNAME"}
        assert httpx.post(told["verification_uri"], data=chosen).status_code == 200
        assert httpx.post(server.token_url, data=form).json()["token_type"] == "Bearer"


def test_a_long_list_of_users_is_searched_and_the_name_stays() -> None:
    device = Device(users=[User(sub=f"u-{number}") for number in range(11)])
    page = device.shown(user_code=device.user_code, find="10").text
    assert re.findall(r'name="sub" value="([^"]+)"', page) == ["u-10"]
    assert f'<input type="hidden" name="user_code" value="{device.user_code}">' in page
    page = device.choose(username="u-10", password="x").text
    assert 'required value="u-10"' in page


def test_the_page_says_why_a_code_is_refused_and_where_to_see_it() -> None:
    device = Device(control=True)
    page = device.shown(user_code="x").text
    assert '<code lang="en">user code unknown</code>' in page
    assert 'href="./_fake/#exchanges/2"' in page
    page = device.browser.get(
        "/device", query_string={"user_code": "x"}, headers={"Accept-Language": "zh"}
    ).text
    assert "该代码不存在、已使用或已过期" in page
