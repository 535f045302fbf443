"""What is read of a request and what is not: rules 15 to 20."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from werkzeug.test import Client as WSGIClient
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from fake_oauth import FakeOAuth
from fake_oauth.http.request import PARAMETER_LIMIT
from tests.support.client import DOCUMENTED, FORM, ask, basic, form

INVALID = {"error": "invalid_request"}
GOOD = basic("TENANT_CLIENT_ID", "TENANT_CLIENT_SECRET")


def test_16_the_query_string_is_not_read_and_the_journal_says_so() -> None:
    fake = FakeOAuth()
    response = WSGIClient(fake).post(f"/oauth2/token?{urlencode(DOCUMENTED)}")
    assert (response.status_code, response.data) == (401, b"")
    assert fake.journal[-1].reason == (
        "no client credentials; the query string is not read, though it has "
        "client_id, client_secret, grant_type, refresh_token"
    )


def test_16_a_secret_in_the_query_string_is_in_no_transcript() -> None:
    fake = FakeOAuth()
    WSGIClient(fake).post(f"/oauth2/token?{urlencode(DOCUMENTED)}")
    assert "TENANT_CLIENT_SECRET" not in str(fake.journal)


def test_17_multipart_is_read_like_a_form() -> None:
    assert ask(FakeOAuth(), content_type="multipart/form-data").status_code == 200


def test_17_a_multipart_without_a_boundary_is_an_invalid_request() -> None:
    response = ask(FakeOAuth(), b"x", content_type="multipart/form-data")
    assert (response.status_code, response.json) == (400, INVALID)


def test_18_a_json_body_is_as_if_its_parameters_were_not_there() -> None:
    fake = FakeOAuth()
    response = WSGIClient(fake).post("/oauth2/token", json=DOCUMENTED)
    assert (response.status_code, response.data) == (401, b"")
    note = "the body is not read: its Content-Type is application/json"
    assert fake.journal[-1].reason == f"no client credentials; {note}"
    response = WSGIClient(fake).post("/oauth2/token", json=DOCUMENTED, headers=GOOD)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error_description"] == "OAuth 2.0 Parameter: grant_type"
    assert fake.journal[-1].reason == f"grant_type missing; {note}"


def test_a_body_without_a_content_type_is_not_read_either() -> None:
    fake = FakeOAuth()
    response = ask(fake, urlencode(DOCUMENTED).encode(), content_type="")
    assert (response.status_code, response.data) == (401, b"")
    reason = "no client credentials; the body is not read: its Content-Type is missing"
    assert fake.journal[-1].reason == reason


@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=UTF-8", FORM.upper()])
def test_a_form_is_known_by_its_media_type(content_type: str) -> None:
    response = ask(FakeOAuth(), urlencode(DOCUMENTED).encode(), content_type=content_type)
    assert response.status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "FOO"])
def test_19_another_method_is_told_which_one_is_allowed(method: str) -> None:
    fake = FakeOAuth()
    response = WSGIClient(fake).open("/oauth2/token", method=method, data=DOCUMENTED)
    assert (response.status_code, response.data) == (405, b"")
    assert response.headers["Allow"] == "POST"
    assert fake.journal[-1].reason == "/oauth2/token accepts POST"


def test_what_can_be_got_can_be_asked_for_its_head() -> None:
    client = WSGIClient(FakeOAuth())
    got, head = client.get("/oauth2/jwks"), client.head("/oauth2/jwks")
    assert head.status_code == 200
    assert head.data == b""
    assert head.headers["Content-Length"] == str(len(got.data))
    assert client.post("/oauth2/jwks").headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (urlencode(form(padding="x" * 65536)).encode(), "body over 65536 bytes"),
        (urlencode(form()).encode() + b"&a=b" * 97, "over 100 parameters"),
        (urlencode(form()).encode() + b"&a=\xff", "body is not UTF-8"),
        (urlencode(form()).encode() + b"&a=%FF", "body is not UTF-8"),
    ],
    ids=["too large", "too many", "raw bytes", "escaped bytes"],
)
def test_20_what_cannot_be_read_is_an_invalid_request(body: bytes, reason: str) -> None:
    fake = FakeOAuth()
    response = ask(fake, body, content_type=FORM)
    assert (response.status_code, response.json) == (400, INVALID)
    assert fake.journal[-1].reason == reason


def test_20_so_it_is_in_a_multipart_body() -> None:
    fake = FakeOAuth()
    parts = {f"p{index}": "x" for index in range(101)}
    response = ask(fake, parts, content_type="multipart/form-data")
    assert (response.status_code, response.json) == (400, INVALID)
    assert fake.journal[-1].reason == "over 100 parameters"


def test_100_parameters_and_64_kib_are_not_too_much() -> None:
    body = urlencode(form()).encode() + b"&a=b" * 96
    assert ask(FakeOAuth(), body, content_type=FORM).status_code == 200
    bare = len(urlencode(form(padding="")))
    body = urlencode(form(padding="x" * (65536 - bare))).encode()
    assert len(body) == 65536
    assert ask(FakeOAuth(), body, content_type=FORM).status_code == 200


def test_utf_8_is_read_raw_and_escaped() -> None:
    fake = FakeOAuth()
    ask(fake, "client_id=名&client_secret=%E5%90%8D".encode(), content_type=FORM)
    assert dict(fake.journal[-1].form) == {"client_id": "名", "client_secret": "名"}


def test_a_path_that_is_not_served_says_which_are() -> None:
    response = WSGIClient(FakeOAuth()).post("/oauth2/token/")
    assert response.status_code == 404
    assert response.json == {
        "error": "not_found",
        "error_description": "served are: POST /oauth2/token, GET /oauth2/authorize, "
        "GET and POST /portal/login, GET and POST /userinfo, POST /oauth2/revoke, "
        "POST /otp/send, GET /logout, GET /oauth2/jwks, GET /.well-known/openid-configuration, "
        "GET and POST and PUT and PATCH and DELETE /resource",
    }


@pytest.mark.parametrize("body", ["[1]", "1", '"x"', "{", "[" * 60000, ""])
def test_what_must_be_json_and_is_no_object_is_an_invalid_request(body: str) -> None:
    response = WSGIClient(FakeOAuth()).post(
        "/otp/send", data=body, content_type="application/json", headers=GOOD
    )
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"] == "invalid_request"


def test_in_json_a_number_is_read_as_it_is_written_and_null_is_not_there() -> None:
    fake = FakeOAuth()
    body = '{"otp": 123456, "usage": null, "email": ["x"], "client_id": "a", "client_id": "b"}'
    WSGIClient(fake).post("/otp/send", data=body, content_type="application/json", headers=GOOD)
    form = fake.journal[0].form
    assert dict(form) == {"otp": "123456", "email": '["x"]', "client_id": "a"}
    assert form.all("client_id") == ("a", "b")


def test_json_is_read_for_the_otp_grants_only() -> None:
    fake = FakeOAuth()
    grant_type = "http://tencentciam.com/oauth2/grant-type/otp/sms"
    WSGIClient(fake).post("/oauth2/token", json={**DOCUMENTED, "grant_type": grant_type})
    WSGIClient(fake).post("/oauth2/token", json=DOCUMENTED)
    assert [exchange.grant_type for exchange in fake.journal] == [grant_type, None]


@pytest.mark.parametrize(
    ("body", "length", "reason"),
    [
        (b"x" * 70_000, 70_000, "body over 65536 bytes"),
        (b"x" * 10, 20, "body broken off or malformed"),
    ],
)
def test_a_body_that_its_host_could_not_read_is_refused_too(
    body: bytes, length: int, reason: str
) -> None:
    fake = FakeOAuth()
    environ = EnvironBuilder(
        "/oauth2/token", method="POST", data=body, content_type=FORM
    ).get_environ()
    environ["CONTENT_LENGTH"] = str(length)
    response = fake.handle(Request(environ))
    assert (response.status_code, response.json) == (400, INVALID)
    assert fake.journal[0].reason == reason


def test_19_json_has_at_most_as_many_members_as_a_form() -> None:
    members = {f"p{number}": "x" for number in range(PARAMETER_LIMIT)}
    fake = FakeOAuth()
    response = WSGIClient(fake).post("/otp/send", json={**members, "one": "more"}, headers=GOOD)
    assert response.status_code == 400
    assert fake.journal[-1].reason == f"over {PARAMETER_LIMIT} parameters"
