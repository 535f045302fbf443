"""The console on the server's side: its page, its data, and who gets them."""

from __future__ import annotations

import json
import re
import socket
from base64 import b64encode
from collections.abc import Iterator
from threading import enumerate as enumerate_threads
from time import monotonic
from typing import Any

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import Exchange, FakeOAuth, Settings, faults
from fake_oauth.control.api import CONTROLS
from fake_oauth.control.events import Changes, stream
from fake_oauth.provider.request import Parameters
from tests.support.client import ask, over_socket
from tests.support.wire import connect, get, received, wait_until
from tests.test_control import (
    ALICE,
    SETTINGS,
    WEB,
    Control,
    control_of,
    members,
    problems,
    refresh,
)

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FILES = {
    "/console.css": "text/css; charset=utf-8",
    "/console.js": "text/javascript; charset=utf-8",
    "/console.svg": "image/svg+xml",
}


@pytest.fixture
def fake() -> FakeOAuth:
    return FakeOAuth(SETTINGS)


@pytest.fixture
def control(fake: FakeOAuth) -> Control:
    return control_of(fake)


# The page


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (BROWSER["Accept"], True),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("text/html, application/json", True),
        ("text/html;q=0.5, application/json;q=0.5", True),
        ("text/html;q=0.5, */*;q=0.5", True),
        ("text/html;q=0.4, application/json;q=0.5", False),
        ("text/html;q=0", False),
        ("text/html;q=0, */*", False),
        ("text/*", False),
        ("*/*", False),
        ("application/json", False),
        ("", False),
        (";;,,q=", False),
        (None, False),
    ],
)
def test_a_browser_gets_the_page_and_a_program_gets_json(
    control: Control, accept: str | None, *, is_page: bool
) -> None:
    response = control("GET", "/", headers={} if accept is None else {"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Vary"] == "Accept"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    if is_page:
        assert response.content_type == "text/html; charset=utf-8"
        assert "<title>fake_oauth console</title>" in response.text
    else:
        assert members(response)["issuer"] == "http://localhost"


def test_the_page_may_load_only_what_this_server_has(control: Control) -> None:
    headers = control("GET", "/", headers=BROWSER).headers
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("mount", ["", "/below"])
def test_the_page_is_where_its_links_lead_to_its_files(fake: FakeOAuth, mount: str) -> None:
    options: dict[str, Any] = {"environ_overrides": {"SCRIPT_NAME": mount}}
    moved = WSGIClient(fake).get("/_fake", headers=BROWSER, **options)
    assert (moved.status_code, moved.headers["Location"]) == (308, f"{mount}/_fake/")
    assert moved.headers["Vary"] == "Accept"
    assert WSGIClient(fake).get("/_fake", **options).status_code == 200


@pytest.mark.parametrize(("path", "content_type"), FILES.items())
def test_a_file_of_the_page_is_served(control: Control, path: str, content_type: str) -> None:
    response = control("GET", path, headers=BROWSER)
    assert (response.status_code, response.content_type) == (200, content_type)
    assert response.data
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert control("POST", path).status_code == 405


def test_no_other_file_of_the_package_is_served(control: Control) -> None:
    for path in ("/console.html", "/console/console.html", "/../__init__.py", "/console.js/x"):
        assert control("GET", path).status_code == 404


# The guard


@pytest.mark.parametrize("route", [route for route in CONTROLS if route[0] == "GET"], ids=str)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
    ],
    ids=str,
)
def test_no_page_of_another_origin_reads_anything(
    control: Control, route: tuple[str, str], headers: dict[str, str]
) -> None:
    for accept in ({}, BROWSER):
        response = control(*route, headers={**headers, **accept})
        assert response.status_code == 403
        assert members_of_refusal(response) == "refused"


def members_of_refusal(response: Any) -> str:
    error: str = response.json["error"]
    return error


@pytest.fixture
def open_server() -> Iterator[FakeOAuth]:
    """Provide a server that other machines can reach."""
    with FakeOAuth(SETTINGS, host="0.0.0.0") as server:  # noqa: S104
        yield server


def with_basic(user_pass: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(user_pass.encode()).decode()}"}


@pytest.mark.parametrize("username", ["", "alice", "ü"])
@pytest.mark.parametrize("path", ["/", "/clock", *FILES])
def test_a_person_can_log_in_with_any_username_and_the_token(
    open_server: FakeOAuth, username: str, path: str
) -> None:
    headers = {"Host": "fake.example:8080", **with_basic(f"{username}:{open_server.control_token}")}
    control = control_of(open_server)
    assert control("GET", path, headers={**BROWSER, **headers}).status_code == 200
    foreign = {**headers, "Origin": "https://evil.example"}
    assert control("GET", path, headers=foreign).status_code == 403
    embedded = {**headers, "Sec-Fetch-Site": "cross-site"}
    assert control("GET", path, headers=embedded).status_code == 403


@pytest.mark.parametrize(
    "user_pass", ["{token}", "{token}:", "x:{token}x", "x: {token}", "x:", ":", "x:{token}:"]
)
def test_another_password_is_refused(open_server: FakeOAuth, user_pass: str) -> None:
    headers = with_basic(user_pass.format(token=open_server.control_token))
    for route in CONTROLS:
        assert control_of(open_server)(*route, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "value", ["", "Basic", "Basic ", "Basic ***", "Basic ö", "Basic =", "Digest x:{token}"]
)
def test_a_browser_without_the_token_asks_its_user(open_server: FakeOAuth, value: str) -> None:
    headers = {"Authorization": value.format(token=open_server.control_token)}
    response = control_of(open_server)("GET", "/", headers={**BROWSER, **headers})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == (
        'Basic realm="fake_oauth: any username, and the control token as password", charset="UTF-8"'
    )
    assert members_of_refusal(response) == "refused"
    assert response.headers["Vary"] == "Accept"
    # A program is not asked, and a script of the page sends what its user has entered.
    response = control_of(open_server)("GET", "/", headers=headers)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="fake_oauth control API"'


# Arguments in the query


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("latest=x", ["$.latest: expected a whole number, got 'x'"]),
        ("latest=1.5", ["$.latest: expected a whole number, got '1.5'"]),
        ("latest=", ["$.latest: expected a whole number, got ''"]),
        ("latest=0", ["$.latest: expected at least 1, got 0"]),
        (f"latest={'9' * 5000}", [f"$.latest: expected a whole number, got '{'9' * 5000}'"]),
        ("latest=%D9%A1", ["$.latest: expected a whole number, got '١'"]),
        ("after=-1&latest=-1", [
            "$.after: expected at least 0, got -1",
            "$.latest: expected at least 1, got -1",
        ]),
        ("brief=1", ["$.brief: expected true or false, got '1'"]),
        ("brief=", ["$.brief: expected true or false, got ''"]),
        ("latest=1&latest=2", ["$.latest: expected one value, got 2"]),
        ("lates=1", ["$.lates: unknown key; did you mean 'latest'?"]),
        ("a%00b=%FF", ["$.a\x00b: unknown key; expected one of 'after', 'latest', 'brief'"]),
    ],
)  # fmt: skip
def test_arguments_in_the_query_have_types(
    control: Control, query: str, expected: list[str]
) -> None:
    assert problems(control("GET", f"/journal?{query}")) == expected


def test_a_control_without_arguments_has_no_query(control: Control) -> None:
    assert problems(control("GET", "/clients?after=1")) == ["$.after: unknown key; none is defined"]


# The journal


def numbers(control: Control, query: str = "") -> list[int]:
    exchanges = members(control("GET", f"/journal{query}"))["exchanges"]
    return [exchange["number"] for exchange in exchanges]


def test_the_journal_can_be_read_in_parts(fake: FakeOAuth, control: Control) -> None:
    for _ in range(5):
        ask(fake)
    assert numbers(control) == [1, 2, 3, 4, 5]
    assert numbers(control, "?after=3") == [4, 5]
    assert numbers(control, "?after=5") == []
    assert numbers(control, "?after=99") == []
    assert numbers(control, "?latest=2") == [4, 5]
    assert numbers(control, "?after=1&latest=2") == [4, 5]
    assert numbers(control, "?after=4&latest=9") == [5]


def test_the_journal_says_how_many_exchanges_it_has_forgotten() -> None:
    fake = FakeOAuth(Settings(control=True, journal_limit=3))
    control = control_of(fake)
    for _ in range(7):
        ask(fake)
    assert members(control("GET", "/journal"))["forgotten"] == 4
    assert numbers(control, "?after=2") == [5, 6, 7]
    assert numbers(control, "?after=5") == [6, 7]


def test_a_brief_journal_has_no_bodies(fake: FakeOAuth, control: Control) -> None:
    token = fake.issue_tokens().refresh_token or ""
    refresh(fake, token)
    (whole,) = members(control("GET", "/journal"))["exchanges"]
    (brief,) = members(control("GET", "/journal?brief=true&latest=1"))["exchanges"]
    left_out = {"query", "form", "headers", "content_type", "response_headers", "reply"}
    assert whole.keys() - brief.keys() == left_out
    assert brief.items() <= whole.items()
    assert brief["answered"] is True
    assert members(control("GET", "/journal?brief=false")) == members(control("GET", "/journal"))


# Events


class Wire:
    """A connection whose time is the number of looks, and which ends after the last action."""

    def __init__(self, actions: dict[int, Any], *, looks: int) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self._actions = actions
        self._looks = looks
        self._look = 0

    def send_head(self, response: Any) -> None:
        self.head = response

    def send(self, data: bytes) -> None:
        self.sent.append((self._look, data))

    def reset_at_close(self) -> None:
        raise NotImplementedError

    def pause(self, seconds: float | None) -> bool:
        assert seconds == 0.1
        self._look += 1
        if self._look in self._actions:
            self._actions[self._look]()
        return self._look <= self._looks


def streamed(fake: FakeOAuth, actions: dict[int, Any], *, looks: int = 20) -> list[tuple[int, Any]]:
    """Return the events of a stream with the looks at which they were sent."""
    wire = Wire(actions, looks=looks)
    stream(wire, Changes(fake, fake._facts))
    events = []
    for look, data in wire.sent:
        text = data.decode().removeprefix("retry: 1000\n")
        data_line = re.fullmatch(r"event: change\ndata: (.*)\n\n", text)
        events.append((look, text if data_line is None else json.loads(data_line[1])))
    return events


def counts(arrived: int, answered: int | None = None) -> dict[str, int]:
    return {"arrived": arrived, "answered": arrived if answered is None else answered}


def test_a_stream_begins_with_an_event_and_then_has_one_for_each_change(fake: FakeOAuth) -> None:
    events = streamed(fake, {7: lambda: ask(fake), 15: lambda: ask(fake)})
    assert events == [(0, counts(0)), (7, counts(1)), (15, counts(2))]


def test_changes_in_quick_succession_are_one_event(fake: FakeOAuth) -> None:
    events = streamed(fake, {look: lambda: ask(fake) for look in range(7, 17)})
    assert events == [(0, counts(0)), (7, counts(1)), (12, counts(6)), (17, counts(10))]


def test_a_quiet_stream_shows_that_it_is_alive(fake: FakeOAuth) -> None:
    events = streamed(fake, {160: lambda: ask(fake)}, looks=400)
    assert events == [(0, counts(0)), (150, ":\n\n"), (160, counts(1)), (310, ":\n\n")]


CHANGES: dict[str, Any] = {
    "the clock": lambda fake: fake.clock.advance(1),
    "a frozen clock": lambda fake: fake.clock.freeze(),
    "the script": lambda fake: fake.script(faults.Pass()),
    "a lifted fault": lambda fake: fake.replace_script(),
    "users": lambda fake: fake.freeze_user("alice"),
    "clients": lambda fake: fake.replace_clients([WEB]),
    "keys": lambda fake: fake.rotate_keys(),
    "tokens": lambda fake: fake.issue_tokens(),
    "a code": lambda fake: fake.issue_code(),
    "a login": lambda fake: fake.login(),
    "a logout": lambda fake: fake.logout(),
    "an expired token": lambda fake: fake.expire("alice/1 r1"),
    "a revoked token": lambda fake: fake.revoke("alice/1 r1"),
    "a revoked user": lambda fake: fake.revoke_user("alice"),
    "a reset": lambda fake: fake.reset(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_a_test_changes_is_an_event(fake: FakeOAuth, change: str) -> None:
    fake.issue_tokens()
    fake.always(faults.Status(503))
    if change == "a logout":
        fake.login()
    assert streamed(fake, {9: lambda: CHANGES[change](fake)}) == [(0, counts(0)), (9, counts(0))]


def test_what_a_test_does_to_devices_and_registered_clients_is_an_event() -> None:
    fake = FakeOAuth(Settings(control=True, dialect="mcp", clients=[WEB], users=[ALICE]))
    web = WSGIClient(fake)
    registered = web.post("/register", json={"redirect_uris": ["https://app.example/cb"]})
    client_id = (registered.json or {})["client_id"]
    code = web.post("/device_authorization", data={"client_id": "web", "client_secret": "s3cret"})
    user_code = (code.json or {})["user_code"]
    actions = {7: lambda: fake.deny_device(user_code), 14: lambda: fake.forget_client(client_id)}
    assert [look for look, _ in streamed(fake, actions)] == [0, 7, 14]


def test_what_only_reads_is_no_event(fake: FakeOAuth) -> None:
    fake.issue_tokens()
    control = control_of(fake)

    def read() -> None:
        for method, path in CONTROLS:
            if method == "GET" and path != "/exchange":
                assert control(method, path).status_code == 200

    assert streamed(fake, {7: read, 9: read}) == [(0, counts(0))]


def test_an_exchange_is_an_event_when_it_arrives_and_when_it_is_answered(fake: FakeOAuth) -> None:
    waiting: dict[str, Any] = {
        "at": 0.0,
        "method": "GET",
        "path": "/",
        "endpoint": None,
        "client_id": None,
        "query": Parameters(),
        "form": Parameters(),
    }
    first = fake.journal.arrived(**waiting)
    arrived: list[Exchange] = []

    def answer() -> None:
        fake.journal.answered(first, 200, b"", "", at=0.0)

    actions = {7: lambda: arrived.append(fake.journal.arrived(**waiting)), 14: answer}
    assert streamed(fake, actions) == [
        (0, counts(1, 0)),
        (7, counts(2, 0)),
        (14, counts(2, 1)),
    ]


def test_a_reset_begins_to_count_again(fake: FakeOAuth) -> None:
    ask(fake)
    events = streamed(fake, {7: fake.reset, 14: lambda: ask(fake)})
    assert events == [(0, counts(1)), (7, counts(0)), (14, counts(1))]


def test_without_a_socket_a_stream_is_one_event(fake: FakeOAuth, control: Control) -> None:
    ask(fake)
    for _ in range(20):
        response = control("GET", "/events")
        assert response.text == (
            'retry: 1000\nevent: change\ndata: {"arrived": 1, "answered": 1}\n\n'
        )
    assert response.content_type == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def opened(server: FakeOAuth) -> socket.socket:
    """Return a connection whose stream has sent its first event."""
    connection = connect(server.url)
    connection.sendall(get("/_fake/events").replace(b"Host: x", b"Host: localhost"))
    assert until(connection, b"\n\n").endswith(b"\n\n")
    return connection


def until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data


def test_a_stream_over_a_socket_reports_a_change_and_ends_with_the_server() -> None:
    threads = set(enumerate_threads())
    with FakeOAuth(SETTINGS) as server, connect(server.url) as connection:
        connection.sendall(get("/_fake/events").replace(b"Host: x", b"Host: localhost"))
        head, _, first = until(connection, b"}\n\n").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nContent-Type: text/event-stream\r\n" in head
        assert b"\r\nCache-Control: no-store\r\n" in head
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in head
        assert b"Content-Length" not in head
        assert first == b'retry: 1000\nevent: change\ndata: {"arrived": 0, "answered": 0}\n\n'
        ask(server)
        until(connection, b'event: change\ndata: {"arrived": 1, "answered": 1}\n\n')
        server.reset()
        event = until(connection, b"\n\n")
        assert event == b'event: change\ndata: {"arrived": 0, "answered": 0}\n\n'
        began = monotonic()
        server.stop()
        assert received(connection) == b""
        assert monotonic() - began < 5
    assert set(enumerate_threads()) == threads


def test_a_stream_ends_in_an_outage_and_the_next_one_begins_after_it() -> None:
    with FakeOAuth(SETTINGS) as server:
        with opened(server) as connection, server.always(faults.Down()):
            assert received(connection) == b""
        opened(server).close()


def test_there_are_sixteen_streams_and_one_that_ends_makes_room() -> None:
    with FakeOAuth(SETTINGS) as server:
        connections = [opened(server) for _ in range(16)]
        headers = {"Host": "localhost"}
        status, _, body = over_socket(server, "GET", "/_fake/events", None, headers)
        assert status == 503
        assert json.loads(body) == {
            "error": "refused",
            "error_description": "expected at most 16 streams; close a console",
        }
        connections.pop().close()

        def has_room() -> bool:
            with connect(server.url) as connection:
                connection.sendall(get("/_fake/events").replace(b"Host: x", b"Host: localhost"))
                return connection.recv(12) == b"HTTP/1.1 200"

        wait_until(has_room)
        for connection in connections:
            connection.close()


def test_a_stream_is_refused_to_a_page_of_another_origin() -> None:
    with FakeOAuth(SETTINGS) as server:
        for header in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            status, _, _ = over_socket(server, "GET", "/_fake/events", None, header)
            assert status == 403
