"""The one object that a test holds: a server in a thread, and a WSGI app by itself."""

from __future__ import annotations

import gc
import json
import math
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection, RemoteDisconnected
from typing import Any, cast
from urllib.request import urlopen

import httpx
import pytest
from pytest_httpserver import HTTPServer
from werkzeug.serving import WSGIRequestHandler
from werkzeug.test import Client as WSGIClient

from fake_oauth import (
    Client,
    Exchange,
    FakeOAuth,
    FakeOAuthError,
    Settings,
    SettingsError,
    TokenSet,
    User,
    faults,
)
from fake_oauth.dialects import RFC
from fake_oauth.provider import grants
from tests.support.client import DOCUMENTED, ask, claims


def refresh(url: str) -> httpx.Response:
    with httpx.Client() as client:
        return client.post(url, data=DOCUMENTED)


def test_it_serves_on_a_port_of_its_own() -> None:
    with FakeOAuth() as first, FakeOAuth() as second:
        assert first.url != second.url
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", first.url)
        assert first.token_url == f"{first.url}/oauth2/token"
        assert first.issuer == first.url
        assert repr(first) == f"<FakeOAuth {first.url}>"
        response = refresh(first.token_url)
        assert response.status_code == 200
        assert claims(response.json()["access_token"])["iss"] == first.url
        assert (len(first.journal), len(second.journal)) == (1, 0)


def test_a_given_issuer_is_the_issuer_wherever_it_listens() -> None:
    with FakeOAuth(Settings(issuer="https://issuer.example")) as server:
        assert server.issuer == "https://issuer.example"
        response = httpx.get(
            f"{server.url}/.well-known/openid-configuration", headers={"Host": "evil.example"}
        )
    assert response.json()["token_endpoint"] == "https://issuer.example/oauth2/token"


def test_the_issuer_never_comes_from_a_host_header() -> None:
    with FakeOAuth() as server:
        response = httpx.get(
            f"{server.url}/.well-known/openid-configuration", headers={"Host": "evil.example"}
        )
        assert response.json()["issuer"] == server.url


def test_a_connection_is_kept_alive() -> None:
    with FakeOAuth() as server:
        host, port = server.url.removeprefix("http://").split(":")
        connection = HTTPConnection(host, int(port), timeout=10)
        connection.connect()
        mine = connection.sock.getsockname()
        for _ in range(3):
            connection.request("GET", "/oauth2/jwks")
            response = connection.getresponse()
            assert response.version == 11
            assert response.getheader("Server") == "fake_oauth"
            assert response.getheader("Connection") is None
            response.read()
            assert connection.sock.getsockname() == mine
        connection.close()


def test_it_listens_on_ipv6_where_there_is_one() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with FakeOAuth(host="::1") as server:
        assert re.fullmatch(r"http://\[::1\]:\d+", server.url)
        assert refresh(server.token_url).status_code == 200


def test_a_stop_leaves_no_thread_and_no_socket(capfd: pytest.CaptureFixture[str]) -> None:
    threads = set(threading.enumerate())
    server = FakeOAuth().start()
    port = int(server.url.rpartition(":")[2])
    idle = socket.create_connection(("127.0.0.1", port))
    with idle:
        assert refresh(server.token_url).status_code == 200
        assert set(threading.enumerate()) > threads
        server.stop()
        assert set(threading.enumerate()) == threads
        assert idle.recv(1) == b""
    gc.collect()  # a socket that was forgotten would warn, and warnings are errors
    socket.create_server(("127.0.0.1", port)).close()
    assert capfd.readouterr() == ("", "")


def test_it_can_be_stopped_twice_and_before_it_was_started() -> None:
    server = FakeOAuth()
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_it_can_be_started_once() -> None:
    with (
        FakeOAuth() as server,
        pytest.raises(FakeOAuthError, match="is already running; create another FakeOAuth"),
    ):
        server.start()


def test_a_busy_port_is_an_ordinary_os_error() -> None:
    with FakeOAuth() as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            FakeOAuth(port=port).start()


def test_settings_that_cannot_be_used_start_nothing() -> None:
    with pytest.raises(SettingsError, match=r"\$\.issuer"):
        FakeOAuth(Settings(issuer="x"))


def test_in_process_it_has_an_issuer_and_no_url() -> None:
    fake = FakeOAuth()
    assert fake.issuer == "http://localhost"
    assert repr(fake) == "<FakeOAuth in process>"
    with pytest.raises(FakeOAuthError, match="not listening"):
        _ = fake.url
    with pytest.raises(FakeOAuthError, match="start it before its first use"):
        fake.start()


def test_with_an_issuer_of_its_own_it_may_be_used_in_process_first() -> None:
    fake = FakeOAuth(Settings(issuer="https://issuer.example"))
    assert ask(fake).status_code == 200
    with fake as server:
        assert refresh(server.token_url).status_code == 200


def test_it_works_with_werkzeugs_test_client() -> None:
    assert ask(FakeOAuth()).status_code == 200


def test_it_works_with_httpx_in_process() -> None:
    transport = httpx.WSGITransport(app=FakeOAuth())
    with httpx.Client(transport=transport, base_url="http://localhost") as client:
        assert client.post("/oauth2/token", data=DOCUMENTED).status_code == 200


def test_it_can_be_mounted_in_pytest_httpserver(httpserver: HTTPServer) -> None:
    fake = FakeOAuth(Settings(issuer=httpserver.url_for("")))
    httpserver.expect_request(re.compile(".*")).respond_with_handler(fake.handle)
    assert refresh(httpserver.url_for("/oauth2/token")).status_code == 200
    assert fake.journal[0].status == 200


def test_it_works_under_gunicorn() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        address = listening.getsockname()
        gunicorn = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--bind", f"fd://{listening.fileno()}"),
                *("--log-level", "error", "fake_oauth:FakeOAuth()"),
            ],
            pass_fds=[listening.fileno()],
        )
        try:
            response = httpx.post(
                f"http://127.0.0.1:{address[1]}/oauth2/token", data=DOCUMENTED, timeout=30
            )
        finally:
            gunicorn.terminate()
            gunicorn.wait()
    assert response.status_code == 200


def test_nothing_is_left_on_werkzeugs_own_handler() -> None:
    before = dict(vars(WSGIRequestHandler))
    with FakeOAuth() as server:
        urlopen(f"{server.url}/oauth2/jwks").close()
    assert dict(vars(WSGIRequestHandler)) == before


def test_issue_gives_tokens_as_if_someone_had_logged_in() -> None:
    fake = FakeOAuth()
    tokens = fake.issue_tokens()
    assert isinstance(tokens, TokenSet)
    assert tokens.id_token is not None
    assert tokens.scope == "openid"
    assert tokens.refresh_token is not None
    assert claims(tokens.access_token)["sub"] == "MOCK_USERNAME"
    assert ask(fake, {**DOCUMENTED, "refresh_token": tokens.refresh_token}).status_code == 200
    assert len(fake.journal) == 1, "nobody asked for the first tokens over HTTP"


def test_issue_takes_a_user_a_client_and_a_scope() -> None:
    fake = FakeOAuth(
        Settings(
            users=[User(sub="u-alice", username="alice"), User(sub="bob")],
            clients=[
                Client(client_id="web", scopes=["openid", "email"]),
                Client(client_id="cron", grant_types=[]),
            ],
        )
    )
    web = claims(fake.issue_tokens(user="bob", scope="email").access_token)
    assert (web["sub"], web["aud"], web["scope"]) == ("bob", "web", ["email"])
    assert claims(fake.issue_tokens(user="alice").access_token)["sub"] == "u-alice"
    assert claims(fake.issue_tokens(user="u-alice").access_token)["sub"] == "u-alice"
    cron = fake.issue_tokens(client="cron")
    assert cron.refresh_token is None, "the client may not refresh"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"user": "MOCK"}, "unknown user 'MOCK'; expected one of 'MOCK_USERNAME'"),
        (
            {"client": "TENANT_CLIENT"},
            "unknown client 'TENANT_CLIENT'; did you mean 'TENANT_CLIENT_ID'?",
        ),
        (
            {"scope": "opnid"},
            "client TENANT_CLIENT_ID has no scope 'opnid'; did you mean 'openid'?",
        ),
    ],
)
def test_issue_says_what_it_does_not_know(names: dict[str, str], message: str) -> None:
    with pytest.raises(FakeOAuthError) as caught:
        FakeOAuth().issue_tokens(**names)
    assert message == str(caught.value)


def test_issue_says_so_where_there_is_nobody() -> None:
    with pytest.raises(FakeOAuthError, match="no user is defined"):
        FakeOAuth(Settings(users=[], refresh_tokens=[])).issue_tokens()


class _DefectError(Exception):
    pass


@pytest.fixture
def defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of ours, deep inside."""

    def broken(*_: object) -> Any:
        raise _DefectError

    broken_row = replace(grants.GRANTS["refresh_token"], run=broken)
    monkeypatch.setattr(grants, "GRANTS", {**grants.GRANTS, "refresh_token": broken_row})


@pytest.mark.usefixtures("defect")
def test_a_defect_of_ours_is_raised_in_the_test_and_is_no_polite_500(
    capfd: pytest.CaptureFixture[str],
) -> None:
    server = FakeOAuth().start()
    with pytest.raises(httpx.RemoteProtocolError):
        refresh(server.token_url)
    assert httpx.get(f"{server.url}/oauth2/jwks").status_code == 200, "it serves on"
    with pytest.raises(ExceptionGroup) as caught:
        server.stop()
    assert [type(error) for error in caught.value.exceptions] == [_DefectError]
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("defect")
def test_in_process_a_defect_of_ours_goes_up() -> None:
    with pytest.raises(_DefectError):
        ask(FakeOAuth())


def test_what_is_no_http_is_answered_and_in_the_journal() -> None:
    with FakeOAuth() as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            answer = connection.makefile("rb").read()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert json.loads(body)["error"] == "invalid_request"
        assert server.journal[0].reason == "not HTTP: illegal request line: bytearray(b'nonsense')"


def test_a_connection_that_dies_in_the_accept_queue_stops_nothing() -> None:
    with FakeOAuth() as server:
        port = int(server.url.rpartition(":")[2])
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        assert refresh(server.token_url).status_code == 200


def test_a_stopped_server_answers_nobody() -> None:
    with FakeOAuth() as server:
        host, port = server.url.removeprefix("http://").split(":")
        connection = HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", "/oauth2/jwks")
        connection.getresponse().read()
    with pytest.raises((RemoteDisconnected, ConnectionError)):
        connection.request("GET", "/oauth2/jwks")
        connection.getresponse()
    connection.close()


def test_reset_applies_the_control_setting() -> None:
    fake = FakeOAuth()
    assert WSGIClient(fake).get("/_fake/").status_code == 404
    fake.reset(Settings(control=True))
    assert WSGIClient(fake).get("/_fake/").status_code == 200
    fake.reset()
    assert WSGIClient(fake).get("/_fake/").status_code == 404


def test_reset_refuses_another_tls_while_the_server_runs() -> None:
    with FakeOAuth() as fake:
        with pytest.raises(SettingsError) as caught:
            fake.reset(Settings(tls=True, seed=7))
        assert list(map(str, caught.value.problems)) == [
            "$.tls: a running server cannot change it; stop the server first"
        ]
        assert (fake.settings.tls, fake.settings.seed) == (False, None)


@pytest.mark.parametrize("issuer", ["https://idp.example", "https://idp.example/realms/x"])
def test_the_urls_follow_the_path_of_the_issuer(issuer: str) -> None:
    class Shop(RFC):
        name = "shop"
        issuer_path = "/realms/shop"

    with FakeOAuth(Settings(dialect=Shop, issuer=issuer)) as server:
        assert httpx.get(server.url_of("jwks")).status_code == 200
        assert httpx.post(server.token_url, data=DOCUMENTED).status_code == 200
        with pytest.raises(FakeOAuthError, match=r"does not serve 'jwk'; did you mean 'jwks'\?"):
            server.url_of("jwk")


def test_a_stopped_server_cannot_be_started_again() -> None:
    server = FakeOAuth().start()
    server.stop()
    with pytest.raises(FakeOAuthError, match="this server was stopped; create another FakeOAuth"):
        server.start()


def test_a_reset_that_cannot_be_used_changes_nothing() -> None:
    fake = FakeOAuth(Settings(seed=7))
    ask(fake)
    with pytest.raises(SettingsError, match=r"HangUp\(\) needs a socket"):
        fake.reset(Settings(faults=[faults.HangUp()]))
    assert (fake.seed, len(fake.journal)) == (7, 1)
    assert ask(fake).status_code == 200


def test_users_who_are_frozen_at_once_are_all_frozen() -> None:
    names = [f"user{number}" for number in range(8)]
    fake = FakeOAuth(Settings(users=[User(sub=name) for name in names], refresh_tokens=[]))
    ask(fake)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fake.freeze_user, names))
    assert {user.status for user in fake.settings.users} == {"frozen"}


def test_a_token_in_the_query_is_not_used() -> None:
    fake = FakeOAuth()
    body = {**DOCUMENTED, "refresh_token": "unknown"}
    url = "/oauth2/token?refresh_token=MOCK_REFRESH_TOKEN"
    response = WSGIClient(fake).post(url, data=body)
    assert response.json == {"error": "invalid_grant"}
    assert fake.journal[-1].cause == "refresh_token_unknown"
    assert fake.violations()[0].text == "sent refresh_token in the URL"


def test_a_disabled_client_cannot_log_out() -> None:
    uri = "https://example.com/logout"
    disabled = Client(client_id="web", enabled=False, logout_redirect_uris=[uri])
    fake = FakeOAuth(Settings(clients=[disabled], refresh_tokens=[]))
    assert WSGIClient(fake).get("/logout?client_id=web").status_code == 400
    assert fake.journal[-1].reason == "client web disabled"


def test_a_wsgi_server_with_several_processes_gets_an_error() -> None:
    response = WSGIClient(FakeOAuth()).get("/oauth2/jwks", multiprocess=True)
    assert response.status_code == 500
    assert response.content_type == "text/plain;charset=UTF-8"
    assert "gunicorn --workers 1 --threads 8" in response.text


def test_a_function_of_the_test_cannot_stop_the_server() -> None:
    server = FakeOAuth().start()

    def stops(_: Exchange) -> bool:
        server.stop()
        return True

    server.script(faults.Rule(faults.Pass(), when=stops))
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(server.token_url, data=DOCUMENTED)
    assert server.is_running
    with pytest.raises(
        FakeOAuthError, match=r"stop: called by the server's own thread.*test_server\.py"
    ):
        server.stop()
    assert not server.is_running


def test_a_page_of_another_origin_is_told_in_the_journal() -> None:
    fake = FakeOAuth(Settings(cors_origins=["https://app.example"]))
    client = WSGIClient(fake)
    for origin, is_told in (
        ("https://app.example", False),
        ("http://localhost", False),  # Its own, such as that of the login page.
        ("https://other.example", True),
    ):
        client.get("/oauth2/jwks", headers={"Origin": origin})
        note = f"the origin {origin} is not in cors_origins"
        assert (note in str(fake.journal[-1].reason)) is is_told
    client.options("/oauth2/token", headers={"Origin": "https://other.example"})
    assert fake.journal[-1].reason == (
        "/oauth2/token accepts POST; the origin https://other.example is not in cors_origins"
    )


def test_a_call_with_another_type_says_what_is_expected() -> None:
    fake = FakeOAuth()
    for call, message in (
        (
            lambda: fake.clock.set(cast("float", "2030-01-01")),
            "expected seconds since 1970 or ",
        ),
        (lambda: fake.clock.advance(cast("float", "3600")), "expected a number of seconds, got '3"),
        (lambda: fake.clock.advance(10**400), "cannot set the clock to "),
        (lambda: setattr(fake.resource, "skew_seconds", math.nan), "resource.skew_seconds: expect"),
        (lambda: setattr(fake.resource, "scope", 7), "resource.scope: expected a string or None"),
        (lambda: fake.script(cast("faults.Fault", [faults.Pass()])), r"write script\(\*steps\)"),
    ):
        with pytest.raises(FakeOAuthError, match=message):
            cast("Callable[[], object]", call)()
    with pytest.raises(AttributeError, match=r"did you mean 'HangUp'\?"):
        faults.Hangup  # noqa: B018
