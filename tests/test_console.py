"""The console on the server's side: its page, its data, and who gets them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, Settings
from fake_oauth.control.api import CONTROLS
from tests.support.client import ask
from tests.test_control import SETTINGS, Control, control_of, members, problems, refresh

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
