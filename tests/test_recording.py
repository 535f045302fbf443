"""Recording: everything is passed on as it is, and what is written is a page without a secret."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import Client, Dialect, FakeOAuth, Settings, User
from fake_oauth.__main__ import main
from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.hosts import Steered
from fake_oauth.contract.metadata import Metadata
from fake_oauth.contract.pages import Page, Request, as_toml, pages, read
from fake_oauth.contract.record import spoken_by
from fake_oauth.contract.recording import Recorder
from fake_oauth.contract.running import run
from fake_oauth.contract.transports import InProcess, Wire
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.provider.grants import s256
from fake_oauth.web.listener import Listener
from tests.test_command_line import stub

CALLBACK = "https://web.example/callback"
ALICE = User(
    sub="MOCK_USERNAME",
    password="wonderland",
    phone="13612345678",
    email="MOCK_USERNAME@example.com",
)
SETTINGS = Settings(
    clients=[Client(client_id="web", client_secret="s3cret-of-web", redirect_uris=[CALLBACK])],
    users=[ALICE],
    control=True,
    seed=1,
)
VALUES = {"client_id": "web", "client_secret": "s3cret-of-web", "redirect_uri": CALLBACK}
FORM = {"client_id": "web", "client_secret": "s3cret-of-web"}


class Recording:
    """A recorder before a fake that has a client, a secret and a user of its own."""

    def __init__(self, folder: Path) -> None:
        self.fake = FakeOAuth(SETTINGS)
        self.written: list[str] = []
        upstream = InProcess(self.fake)
        recorder = Recorder(upstream, folder, VALUES, self.written.append)
        self.client = WSGIClient(recorder)

    def texts(self) -> list[str]:
        return [Path(path).read_text(encoding="utf-8") for path in self.written]

    def page(self) -> Page:
        """The latest page."""
        return read(Path(self.written[-1]))


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording(tmp_path)


def exchanged(recording: Recording) -> list[str]:
    """A life: a log-in, a refresh, a look at the user. Returns all that must not be written."""
    client, code = recording.client, recording.fake.issue_code(redirect_uri=CALLBACK)
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    reply = client.post("/oauth2/token", data={**FORM, **grant}).json
    assert reply is not None
    refresh = {**FORM, "grant_type": "refresh_token"}
    client.post("/oauth2/token", data={**refresh, "refresh_token": reply["refresh_token"]})
    client.post("/oauth2/token", data={**refresh, "refresh_token": "a-secret-of-somebody"})
    client.get("/userinfo", headers={"Authorization": f"Bearer {reply['access_token']}"})
    basic = httpx.BasicAuth("web", "s3cret-of-web")._auth_header
    client.post("/oauth2/revoke", data={"token": "unknown-t0ken"}, headers={"Authorization": basic})
    return [
        code,
        reply["refresh_token"],
        reply["access_token"],
        reply["access_token"].rpartition(".")[2],
        "s3cret-of-web",
        "a-secret-of-somebody",
        "unknown-t0ken",
        basic,
    ]


def test_nothing_secret_is_written(recording: Recording) -> None:
    secrets = exchanged(recording)
    written = "\n".join(recording.texts())
    assert len(recording.written) == 5
    assert not [secret for secret in secrets if secret in written]


def test_what_is_written_holds_against_the_fake(recording: Recording, tmp_path: Path) -> None:
    exchanged(recording)
    host = Steered(InProcess(FakeOAuth(Settings(control=True))))
    outcomes = sorted(run(pages(tmp_path), host), key=lambda one: one.page.name)
    assert [(one.page.name, one.differences) for one in outcomes] == [
        ("001.post.200", ()),
        ("002.post.200", ()),
        ("003.post.400", ()),
        ("004.get.200", ()),
        ("005.post.200", ()),
    ]


def test_a_page_reads_like_the_documented_ones(recording: Recording) -> None:
    exchanged(recording)
    text = recording.texts()[0]
    assert re.sub(r"\d{4}-\d\d-\d\d", "DATE", text).startswith(
        'title = "POST /oauth2/token, 200"\n'
        'source = "recorded DATE from in process"\n'
        'spends = "the code"\n\n'
        '[request]\nmethod = "POST"\npath = "/oauth2/token"\n'
        'body = "client_id=TENANT_CLIENT_ID&client_secret=TENANT_CLIENT_SECRET&'
        "grant_type=authorization_code&code=MOCK_CODE&"
        'redirect_uri=https%3A%2F%2Fexample.com%2Fcallback"\n'
    )
    assert '\n[needs.code]\nredirect_uri = "https://example.com/callback"\n' in text
    assert '[response.claims.access_token]\nsub = "MOCK_USERNAME"\naud = "TENANT_CLIENT_ID"' in text


def test_a_code_in_a_redirect_is_known_from_then_on(recording: Recording) -> None:
    recording.fake.login()
    query = {**VALUES, "response_type": "code", "state": "x y"}
    query.pop("client_secret")
    reply = recording.client.get("/oauth2/authorize", query_string=query)
    assert reply.headers["Location"].startswith(f"{CALLBACK}?code=")
    page = recording.page()
    assert page.response.headers["Location"] == (
        "https://example.com/callback?code=MOCK_CODE&state=x%20y"
    )
    assert "client_id=TENANT_CLIENT_ID" in page.request.path
    assert (page.state, page.needs) == ("the browser is logged in", {"login": {}})
    (outcome,) = run([page], Steered(InProcess(FakeOAuth(Settings(control=True)))))
    assert outcome.differences == ()


def test_json_is_recorded_as_json(recording: Recording) -> None:
    asked = {**FORM, "usage": "login", "phone_number": "13900000000", "n": 1, "otp": "123456"}
    recording.client.post("/otp/send", json=asked)
    assert recording.page().request.body == (
        '{"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET", '
        '"usage": "login", "phone_number": "WRONG", "n": 1, "otp": "WRONG"}'
    )
    recording.client.post("/otp/send", data="{", content_type="application/json")
    assert recording.page().request.body == "WRONG"


class Odd:
    """An upstream that answers as it is told."""

    url = "https://odd.example"

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Request] = []

    def send(self, request: Request) -> Answer:
        self.asked.append(request)
        return self.answer


def recorded(
    tmp_path: Path, answer: Answer, method: str = "POST", **asked: object
) -> tuple[str, Odd]:
    upstream, written = Odd(answer), list[str]()
    client = WSGIClient(Recorder(upstream, tmp_path, {}, written.append))
    client.open("/", method=method, **asked)  # type: ignore[arg-type]
    return Path(written[0]).read_text(encoding="utf-8"), upstream


def test_what_a_reply_repeats_of_a_secret_is_not_written(tmp_path: Path) -> None:
    body = b'{"error": "no refresh token hush-hush", "refresh_token": 7, "x": "\'\'\'\\nz"}'
    text, _ = recorded(tmp_path, Answer(400, {}, body), data={"refresh_token": "hush-hush"})
    assert "hush-hush" not in text
    assert "no refresh token WRONG" in text


def test_a_short_secret_is_not_looked_for(tmp_path: Path) -> None:
    answer = Answer(400, {}, b'{"error": "abcdef"}')
    text, _ = recorded(tmp_path, answer, data={"password": "abc"})
    assert "password=WRONG" in text
    assert '\'{"error": "abcdef"}\'' in text


def test_a_short_value_is_a_whole_word_or_none(tmp_path: Path) -> None:
    upstream = Odd(Answer(400, {}, b'{"error": "web of webs"}'))
    written: list[str] = []
    WSGIClient(Recorder(upstream, tmp_path, {"client_id": "web"}, written.append)).get("/")
    assert read(Path(written[0])).response.body == '{"error": "TENANT_CLIENT_ID of webs"}'


def test_secrets_are_known_by_how_their_names_end_and_however_deep(tmp_path: Path) -> None:
    asked = {"a": [{"device_code": "d-hidden"}, {"subject_token": "s-hidden"}], "n": None, "e": ""}
    data = {
        "accessToken": "a-hidden",
        "session_state": "st-hidden",
        "error": "not s-hidden",
        "n": None,
        "id": "e30.e30.x",
    }
    body = json.dumps({"data": data})
    answer = Answer(200, {"x-token": "h-hidden", "content-type": "text/x"}, body.encode())
    headers = {"Authorization": "DPoP p-hidden"}
    text, _ = recorded(tmp_path, answer, json=asked, headers=headers)
    assert "hidden" not in text
    assert '"accessToken": "<any>"' in text
    assert '"error": "not WRONG"' in text
    assert '"id": "<jwt>"' in text
    assert 'Authorization = "DPoP WRONG"' in text
    assert 'Content-Type = "text/x"' in text


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/xml", ""])
def test_a_body_that_cannot_be_read_is_not_written(kind: str, tmp_path: Path) -> None:
    body = '--x\r\nContent-Disposition: form-data; name="secret"\r\n\r\nhidden&a=hidden\r\n--x--'
    text, _ = recorded(tmp_path, Answer(200, {}, b"{}"), data=body, content_type=kind)
    assert "hidden" not in text
    assert 'body = "WRONG"' in text


def test_tokens_in_a_fragment_are_not_written(tmp_path: Path) -> None:
    answer = Answer(302, {"Location": "https://app/cb?a=b&x=#access_token=t0ken-t0ken&n="}, b"")
    text, _ = recorded(tmp_path, answer, "GET")
    assert 'Location = "https://app/cb?a=b&x=#access_token=ACCESS_TOKEN&n="' in text


def test_what_a_granted_request_had_in_it_was_right(tmp_path: Path) -> None:
    right = {"client_id": "app-1", "client_secret": "s3cret-1", "refresh_token": "refresh-1"}
    upstream = Odd(Answer(400, {}, b'{"error": "x"}'))
    written: list[str] = []
    client = WSGIClient(Recorder(upstream, tmp_path, {}, written.append))
    for status, body in (
        (400, b'{"error": "x"}'),
        (200, b'{"refresh_token": "refresh-1"}'),
        (200, b'{"refresh_token": "refresh-2"}'),
        (400, b'{"error": "x"}'),
    ):
        upstream.answer = Answer(status, {}, body)
        client.post("/token", data=right)
    ours = "client_id=TENANT_CLIENT_ID&client_secret=TENANT_CLIENT_SECRET"
    assert [read(Path(path)).request.body for path in written] == [
        "client_id=app-1&client_secret=WRONG&refresh_token=WRONG",
        f"{ours}&refresh_token=MOCK_REFRESH_TOKEN",
        f"{ours}&refresh_token=MOCK_REFRESH_TOKEN",
        f"{ours}&refresh_token=WRONG",
    ]
    assert [read(Path(path)).response.body for path in written[1:3]] == [
        '{"refresh_token": "MOCK_REFRESH_TOKEN"}',
        '{"refresh_token": "<any>"}',
    ]
    upstream.answer = Answer(200, {}, b"")
    for _ in range(2):
        client.post("/oauth2/revoke", data={"token": "refresh-2"})
    bodies = [read(Path(path)).request.body for path in written[4:]]
    assert bodies == ["token=MOCK_REFRESH_TOKEN", "token=WRONG"]


def test_what_is_no_jwt_though_it_looks_like_one_has_no_claims(tmp_path: Path) -> None:
    body = b'{"access_token": "ya29.a0.Ab", "x": "1.2.3", "exp": 1700000000, "n": 1700000000}'
    text, _ = recorded(tmp_path, Answer(200, {}, body), headers={"Authorization": "Basic /"})
    expected = '{"access_token": "<any>", "x": "1.2.3", "exp": "<time>", "n": 1700000000}'
    assert f"'{expected}'" in text
    assert "claims" not in text
    assert 'Authorization = "Basic WRONG"' in text


def test_the_issuer_of_the_server_is_the_documented_one(tmp_path: Path) -> None:
    said = {"issuer": "http://127.0.0.1:9", "token_endpoint": "http://127.0.0.1:9/token"}
    upstream, written = Odd(Answer(200, {}, json.dumps(said).encode())), list[str]()
    WSGIClient(Recorder(upstream, tmp_path, {}, written.append)).get("/")
    page = read(Path(written[0]))
    issuer = "https://sample.portal.tencentciam.com"
    assert json.loads(page.response.body or "")["token_endpoint"] == f"{issuer}/token"
    assert page.given == {"issuer": issuer}


def test_a_code_with_a_verifier_is_one_with_a_challenge(tmp_path: Path) -> None:
    asked = {"code": "code-1", "code_verifier": "verifier-1", "client_id": "app-1"}
    text, _ = recorded(tmp_path, Answer(200, {}, b"{}"), data=asked)
    assert f'code_challenge = "{s256("MOCK_CODE_VERIFIER")}"' in text
    assert "code_verifier=MOCK_CODE_VERIFIER" in text


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_is_read_as_it_was_written(page: Page, tmp_path: Path) -> None:
    path = tmp_path / f"{page.name}.toml"
    path.write_text(as_toml(page), encoding="utf-8")
    assert read(path) == page


@pytest.mark.parametrize(
    "text",
    [
        "it's\n",
        '\x7f"',
        "\r\n",
        "''' \" \n",
        '"a"\nb',
        "\n\n",
        "\u2028\n",
        "'",
        '"\\"',
        "a 'b' \"c\"",
        "\"'",
    ],
)
def test_any_text_can_be_written(text: str, tmp_path: Path) -> None:
    page = replace(pages()[0], about=text)
    path = tmp_path / f"{page.name}.toml"
    path.write_text(as_toml(page), encoding="utf-8")
    assert read(path) == page


def test_pages_cannot_be_written_without_tomlkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    with pytest.raises(FakeOAuthError, match=r'pip install "fake_oauth\[check\]"'):
        as_toml(pages()[0])


def test_what_is_no_json_is_left_out(tmp_path: Path) -> None:
    text, _ = recorded(tmp_path, Answer(200, {"Content-Type": "text/xml"}, b"<p>t0ken</p>"))
    assert "t0ken" not in text
    assert "body" not in text.partition("[response]")[2]
    assert (tmp_path / "root").is_dir()


def test_claims_that_differ_from_token_to_token_are_holes(tmp_path: Path) -> None:
    payload = "eyJhdXRoX3RpbWUiOjEsInNpZCI6InMiLCJhIjp7fSwiYiI6bnVsbCwiYyBkIjpbMSwieCJdfQ"
    body = f'{{"id_token": "e30.{payload}.x"}}'.encode()
    text, _ = recorded(tmp_path, Answer(200, {}, body))
    claims = text.partition("[response.claims.id_token]\n")[2]
    assert claims == 'auth_time = "<time>"\nsid = "<any>"\n"c d" = [1, "x"]\n'


def test_everything_is_passed_on_but_what_belongs_to_a_connection(tmp_path: Path) -> None:
    upstream = Odd(
        Answer(299, {}, b"abc", (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Connection", "x")))
    )
    client = WSGIClient(Recorder(upstream, tmp_path, {}))
    headers = {"X-Own": "1", "Accept-Encoding": "gzip"}
    reply = client.post("/a/b?c=d&e", data=b"\xff\x00", headers=headers)
    assert (reply.status_code, reply.data) == (299, b"abc")
    assert reply.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert "Connection" not in reply.headers
    (asked,) = upstream.asked
    assert (asked.method, asked.path) == ("POST", "/a/b?c=d&e")
    assert (asked.body or "").encode(errors="surrogateescape") == b"\xff\x00"
    assert asked.headers["X-Own"] == "1"
    assert "Accept-Encoding" not in asked.headers
    assert client.head("/").data == b""


@pytest.mark.parametrize(
    "target",
    [
        "/realms/my%20realm/a%2Fb?c=%3F&d=e?",
        "/%C3%A9%23x?y",
        "/a;b=c//d/../e?",
    ],
)
def test_a_target_is_passed_on_as_it_was_written(target: str, tmp_path: Path) -> None:
    upstream = Odd(Answer(200, {}, b"{}"))
    listener = Listener("127.0.0.1", 0)
    listener.start(Recorder(upstream, tmp_path, {}))
    address = listener.server_address
    for form in (target, f"http://{address[0]}:{address[1]}{target}"):
        with socket.create_connection(address) as raw:
            raw.sendall(f"GET {form} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert raw.recv(100).startswith(b"HTTP/1.1 200")
    listener.stop()
    assert [request.path for request in upstream.asked] == [target, target]
    assert not listener.failures


def test_a_target_of_other_letters_is_quoted(tmp_path: Path) -> None:
    upstream = Odd(Answer(200, {}, b"{}"))
    client = WSGIClient(Recorder(upstream, tmp_path, {}))
    client.get("/", environ_overrides={"REQUEST_URI": "/\xc3\xa9"})
    client.get("/", environ_overrides={"REQUEST_URI": "http://x.example"})
    assert [request.path for request in upstream.asked] == ["/%C3%A9", "/"]


@pytest.mark.parametrize(
    ("method", "status", "headers", "length"),
    [
        ("GET", 204, {}, None),
        ("GET", 304, {}, None),
        ("HEAD", 200, {"Content-Length": "7"}, "7"),
        ("GET", 200, {"Content-Length": "7"}, "2"),
    ],
)
def test_a_length_is_the_bodys_or_none(
    method: str, status: int, headers: dict[str, str], length: str | None, tmp_path: Path
) -> None:
    upstream = Odd(Answer(status, headers, b"{}" if status == 200 and method == "GET" else b""))
    reply = WSGIClient(Recorder(upstream, tmp_path, {})).open("/", method=method)
    assert reply.headers.get("Content-Length") == length


def test_what_people_see_and_type_has_no_page(tmp_path: Path) -> None:
    told: list[str] = []
    upstream = Odd(Answer(200, {"Content-Type": "text/html"}, b"<form>"))
    client = WSGIClient(Recorder(upstream, tmp_path, {}, told.append))
    client.get("/login")
    upstream.answer = Answer(302, {"Location": "/", "Set-Cookie": "session=x"}, b"")
    client.post("/login", data={"user": "alice"})
    upstream.answer = Answer(302, {"Location": "/"}, b"")
    client.set_cookie("session", "x")
    client.post("/login", data={"user": "alice"})
    client.head("/jwks")
    assert told == [
        "no page for GET /login, 200: for people",
        "no page for POST /login, 302: for people",
        "no page for POST /login, 302: for people",
        "no page for HEAD /jwks, 302: for people",
    ]
    assert not list(tmp_path.iterdir())
    upstream.answer = Answer(200, {}, b"")
    client.post("/revoke", data={"token": "t-1"})
    assert told[-1] == str(tmp_path / "revoke" / "001.post.200.toml")


def test_a_client_has_its_answer_whatever_becomes_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr("fake_oauth.contract.redacting.Redactor.redacted", defect)
    told: list[str] = []
    client = WSGIClient(Recorder(Odd(Answer(200, {}, b"abc")), tmp_path, {}, told.append))
    assert client.get("/").data == b"abc"
    assert told == ["no page for GET, 200: a defect, ZeroDivisionError"]


METADATA = {
    "issuer": "https://odd.example/realms/acme",
    "token_endpoint": "https://odd.example/realms/acme/protocol/token",
    "jwks_uri": "https://keys.example/jwks",
    "userinfo_endpoint": 7,
}


def test_scopes_are_those_of_the_client(tmp_path: Path) -> None:
    """So that a fake that is made for the page grants them."""
    upstream = Odd(Answer(200, {}, b'{"access_token": "t", "scope": "openid profile"}'))
    WSGIClient(Recorder(upstream, tmp_path, {})).post("/token", data={"scope": "openid profile"})
    page = read(next(tmp_path.glob("*/*")))
    assert page.given["clients"][0]["scopes"] == ["openid", "profile"]
    assert FakeOAuth(Settings.from_mapping(page.given))
    for body in (b'{"scope": "openid"}', b'{"scope": 7}', b"{", b"[]"):
        upstream.answer = Answer(200, {}, body)
        WSGIClient(Recorder(upstream, tmp_path / "more", {})).get("/x")
    assert not any(read(path).given for path in (tmp_path / "more").glob("*/*"))


def test_that_tokens_must_not_be_stored_is_kept(tmp_path: Path) -> None:
    for number, value in enumerate(("no-store", "max-age=60")):
        answer = Answer(200, {"Cache-Control": value}, b"{}")
        text, _ = recorded(tmp_path / str(number), answer)
        assert ('Cache-Control = "no-store"' in text) == (value == "no-store")


def test_metadata_lead_back_to_the_recorder(tmp_path: Path) -> None:
    kind = {"Content-Type": "application/json"}
    upstream = Odd(Answer(200, kind, json.dumps(METADATA).encode()))
    reply = WSGIClient(Recorder(upstream, tmp_path, {})).get("/.well-known/x")
    assert reply.json == {
        **METADATA,
        "token_endpoint": "http://localhost/realms/acme/protocol/token",
    }
    page = read(next(tmp_path.glob("*/*")))
    issuer = "https://sample.portal.tencentciam.com"
    assert json.loads(page.response.body or "")["token_endpoint"] == f"{issuer}/protocol/token"


def test_pages_have_the_paths_of_the_dialect(tmp_path: Path) -> None:
    upstream = Odd(Answer(200, {}, json.dumps(METADATA).encode()))
    dialect = spoken_by(upstream)
    assert dialect is Dialect.RFC
    paths = Metadata(upstream, dialect).paths
    assert paths == {"/realms/acme/protocol/token": "/token"}
    recorder = Recorder(upstream, tmp_path, {}, paths=paths)
    upstream.answer = Answer(400, {}, b"{}")
    WSGIClient(recorder).post("/realms/acme/protocol/token?x=1", data={"a": "b"})
    page = read(next(tmp_path.glob("*/*")))
    assert page.request.path == "/token?x=1"
    assert page.title == "POST /realms/acme/protocol/token, 400"


@pytest.mark.parametrize(
    "said", [{}, {"issuer": "x", "token_endpoint": "https://odd.example/oauth2/token"}]
)
def test_the_documented_dialect_is_known_by_its_token_endpoint(said: dict[str, str]) -> None:
    assert spoken_by(Odd(Answer(200, {}, json.dumps(said).encode()))) is Dialect.CIAM


@pytest.mark.parametrize("dialect", ["ciam", "rfc"])
def test_a_life_is_recorded_and_holds_to_the_byte(dialect: str, tmp_path: Path) -> None:
    """Whatever the server's client, user and secrets are called."""
    settings = SETTINGS.changed(
        dialect=dialect,
        users=[replace(ALICE, sub="u-1", username="alice", password="won der/land")],
        clients=[
            Client(
                client_id="web-7",
                client_secret="s3cret/of+web=",
                redirect_uris=["https://web.example/cb?from=idp"],
            )
        ],
    )
    fake = FakeOAuth(settings)
    paths, upstream = fake.dialect.paths, InProcess(fake, "http://localhost")
    client = WSGIClient(Recorder(upstream, tmp_path, {}))
    fake.login("alice")
    given = {"client_id": "web-7", "redirect_uri": "https://web.example/cb?from=idp"}
    asked = {
        **given,
        "response_type": "code",
        "state": "s/1 é",
        "nonce": "n-123",
        "scope": "openid",
    }
    proof = "a-verifier-that-is-long-enough-to-be-one-of-43"
    asked |= {"code_challenge": s256(proof), "code_challenge_method": "S256"}
    location = client.get(paths["authorize"], query_string=asked).headers["Location"]
    code = dict(parse_qsl(urlsplit(location).query))["code"]
    client.delete_cookie("session")

    def token(**form: str) -> Any:
        own = {"client_id": "web-7", "client_secret": "s3cret/of+web="}
        return client.post(paths["token"], data={**own, **form}).json

    exchange = {"grant_type": "authorization_code", "code": code, "code_verifier": proof}
    tokens = token(**exchange, redirect_uri=given["redirect_uri"])
    basic = {"Authorization": httpx.BasicAuth("web-7", "s3cret%2Fof%2Bweb%3D")._auth_header}

    def told_of(name: str) -> None:
        for value in (tokens["access_token"], tokens["refresh_token"], "unknown-1"):
            client.post(paths[name], data={"token": value}, headers=basic)

    if "introspect" in paths:
        told_of("introspect")
    token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    token(**exchange)
    token(grant_type="refresh_token", refresh_token="invalid")
    token(grant_type="refresh_token", refresh_token=tokens["refresh_token"], scope="a b")
    token(grant_type="client_credentials")
    bearer = {"Authorization": f"bearer {tokens['access_token']}"}
    client.get(paths["userinfo"], headers=bearer)
    client.get(paths["userinfo"], headers={"Authorization": "Bearer invalid"})
    for name in ("discovery", "jwks", "metadata"):
        if name in paths:
            client.get(paths[name])
    told_of("revoke")
    told = {path.stem: read(path) for path in tmp_path.glob("*/*.toml")}
    assert len(told) == fake.journal[-1].number
    host = Steered(InProcess(FakeOAuth(Settings(control=True))), fake.dialect)
    outcomes = {one.page.name: one.differences for one in run(told.values(), host)}
    assert {name: found for name, found in outcomes.items() if found} == {}
    text = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*/*.toml"))
    secrets = [code, proof, *(str(value) for value in tokens.values() if len(str(value)) > 50)]
    for secret in ("won der", "s3cret", "web-7", "alice", "u-1", "a@b", "web.example", *secrets):
        assert secret not in text.replace("%2F", "/")


def test_an_upstream_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    client = WSGIClient(Recorder(Wire(url), tmp_path, {}))
    reply = client.get("/")
    assert (reply.status_code, reply.text.startswith(f"{url} does not answer")) == (502, True)
    assert not list(tmp_path.iterdir())


def test_the_command_records_and_its_pages_can_be_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stub() as upstream:
        known = ["--client-id", "TENANT_CLIENT_ID", "--client-secret", "TENANT_CLIENT_SECRET"]
        command = [sys.executable, "-m", "fake_oauth", "record", "--port", "0", *known]
        with subprocess.Popen(
            [*command, "--upstream", upstream.url, "--out", str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            heading = process.stdout.readline()
            hint = process.stdout.readline()
            ends = process.stdout.readline()
            url = heading.split(" at ")[1].split(",")[0]
            form = {
                "client_id": "TENANT_CLIENT_ID",
                "client_secret": "TENANT_CLIENT_SECRET",
                "grant_type": "refresh_token",
                "refresh_token": "MOCK_REFRESH_TOKEN",
            }
            assert httpx.post(f"{url}/oauth2/token", data=form).json()["token_type"] == "Bearer"
            with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as raw:
                raw.sendall(b"nonsense\r\n\r\n")
                assert raw.recv(100).startswith(b"HTTP/1.1 400")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
            assert process.returncode == 0
        assert hint == f"To hold a server to it: fake-oauth check URL --pages {tmp_path}\n"
        assert ends == "Ctrl-C ends it.\n"
        (path,) = tmp_path.glob("*/*.toml")
        assert out == f"  {path}\n"
        assert main(["check", upstream.url, "--pages", str(tmp_path), "--spend"]) == 0
    assert "1 hold, 0 differ, 0 skipped" in capsys.readouterr().out


def test_pages_of_an_earlier_run_are_left(tmp_path: Path) -> None:
    recorded(tmp_path, Answer(200, {}, b"1"))
    (tmp_path / "root" / "0x.mine.toml").touch()
    recorded(tmp_path, Answer(200, {}, b"2"))
    assert sorted(path.name for path in tmp_path.glob("*/*")) == [
        "001.post.200.toml",
        "002.post.200.toml",
        "0x.mine.toml",
    ]


def test_a_page_that_cannot_be_written_is_told_and_the_answer_passed_on(tmp_path: Path) -> None:
    told: list[str] = []
    client = WSGIClient(Recorder(Odd(Answer(200, {}, b"abc")), tmp_path / "a", {}, told.append))
    (tmp_path / "a" / "root").write_text("in the way", encoding="utf-8")
    assert client.get("/").data == b"abc"
    assert told == [f"cannot write {tmp_path / 'a' / 'root' / '001.get.200.toml'}: File exists"]


def test_what_is_wrong_with_the_command_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "pages")
    with FakeOAuth() as server:
        port = server.url.rpartition(":")[2]
        assert main(["record", "--upstream", server.url, "--out", out, "--port", port]) == 2
    assert f"cannot listen on 127.0.0.1, port {port}: Address already" in capsys.readouterr().err
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["record", "--upstream", "http://x", "--out", str(tmp_path / "file")]) == 2
    assert f"cannot make the folder {tmp_path / 'file'}: File exists" in capsys.readouterr().err
    with FakeOAuth() as server:
        assert main(["check", server.url, "--pages", str(tmp_path)]) == 2
        assert f"there are no pages in {tmp_path}" in capsys.readouterr().err
        (tmp_path / "a.toml").write_text("=", encoding="utf-8")
        assert main(["check", server.url, "--pages", str(tmp_path)]) == 2
        assert "a.toml: Invalid" in capsys.readouterr().err
