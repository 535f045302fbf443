"""The recorder passes everything on unchanged, and what it writes can be checked."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import Client, FakeOAuth, Settings, User
from fake_oauth.__main__ import main
from fake_oauth.contract.cases import Case, cases, read
from fake_oauth.contract.client import HTTPTransport, ReceivedResponse, WSGITransport
from fake_oauth.contract.recorder import Recorder
from fake_oauth.contract.runner import run
from fake_oauth.contract.targets import ServerTarget
from fake_oauth.dialects import DIALECTS
from fake_oauth.http.listener import Listener
from fake_oauth.provider.grants.authorization_code import s256
from tests.support.contract import StubTransport, fake_target, received
from tests.support.stub import stub

CALLBACK = "https://web.example/cb?from=idp"
CLIENT: Any = {"client_id": "web-7", "client_secret": "s3cret/of+web="}
VERIFIER = "a-verifier-that-is-long-enough-to-be-one-of-43"
SETTINGS = Settings(
    clients=[Client(**CLIENT, redirect_uris=[CALLBACK])],
    users=[
        User(
            sub="u-1",
            username="alice",
            password="won der/land",
            phone="13900000000",
            email="alice@web.example",
        )
    ],
    control=True,
    seed=1,
)


def life(client: WSGIClient, fake: FakeOAuth) -> list[str]:
    """Log in, exchange the code, refresh, look around, revoke. Return what is secret in it."""
    paths = fake.dialect.paths
    fake.login("alice")
    query = {
        "client_id": "web-7",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "state": "s/1 é",
        "nonce": "n-123",
        "scope": "openid offline_access" if fake.dialect.name == "mcp" else "openid",
        "code_challenge": s256(VERIFIER),
        "code_challenge_method": "S256",
    }
    location = client.get(paths["authorize"], query_string=query).headers["Location"]
    code = dict(parse_qsl(urlsplit(location).query))["code"]
    client.delete_cookie("session")

    def token(**form: str) -> Any:
        return client.post(paths["token"], data={**CLIENT, **form}).json

    basic = {"Authorization": httpx.BasicAuth("web-7", "s3cret%2Fof%2Bweb%3D")._auth_header}
    exchange = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
    tokens = token(**exchange, redirect_uri=CALLBACK)
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    if "introspect" in paths:
        for value in (access, refresh, "unknown-1"):
            client.post(paths["introspect"], data={"token": value}, headers=basic)
    token(grant_type="refresh_token", refresh_token=refresh)
    token(**exchange)
    token(grant_type="refresh_token", refresh_token="invalid")
    token(grant_type="refresh_token", refresh_token=refresh, scope="a b")
    token(grant_type="client_credentials")
    client.get(paths["userinfo"], headers={"Authorization": f"bearer {access}"})
    client.get(paths["userinfo"], headers={"Authorization": "Bearer invalid"})
    for name in ("discovery", "jwks", "metadata"):
        if name in paths:
            client.get(paths[name])
    for value in (access, refresh, "unknown-1"):
        client.post(paths["revoke"], data={"token": value}, headers=basic)
    return [code, VERIFIER, access, refresh, tokens["id_token"], "n-123", "s/1", "unknown-1"]


def recorded_life(dialect: str, folder: Path) -> tuple[FakeOAuth, list[str]]:
    fake = FakeOAuth(SETTINGS.changed(dialect=dialect))
    recorder = Recorder(WSGITransport(fake), folder, {}, DIALECTS[dialect])
    before = len(fake.journal)  # The recorder has read the metadata.
    secrets = life(WSGIClient(recorder), fake)
    assert len(list(folder.glob("*/*.toml"))) == len(fake.journal) - before
    return fake, secrets


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_default_fake_matches_a_recorded_life_byte_for_byte(
    dialect: str, tmp_path: Path
) -> None:
    """Whatever the server's client, user, and secrets are called."""
    _, secrets = recorded_life(dialect, tmp_path)
    outcomes = list(run(cases(tmp_path), fake_target(dialect), "strict"))
    assert {one.case.name: one.differences for one in outcomes if one.differences} == {}
    assert {one.verdict for one in outcomes} == {"matches"}
    text = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*/*.toml"))
    for secret in ("won der", "s3cret", "web-7", "alice", "u-1", "web.example", "139", *secrets):
        assert secret not in text.replace("%2F", "/")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("level", ["strict", "loose"])
def test_a_recorded_life_can_be_run_against_the_server_itself(
    dialect: str, level: Any, tmp_path: Path
) -> None:
    recorded_life(dialect, tmp_path)
    fake = FakeOAuth(SETTINGS.changed(dialect=dialect, seed=2))
    tokens = fake.issue_tokens()
    code = fake.issue_code(redirect_uri=CALLBACK, code_challenge=s256(VERIFIER), nonce="MOCK_NONCE")
    values = {
        **CLIENT,
        "redirect_uri": CALLBACK,
        "code": code,
        "code_verifier": VERIFIER,
        "refresh_token": tokens.refresh_token or "",
        "access_token": tokens.access_token,
    }
    target = ServerTarget(WSGITransport(fake), values, DIALECTS[dialect], spends=True)
    outcomes = list(run(cases(tmp_path), target, level))
    assert {one.case.name: one.differences for one in outcomes if one.differences} == {}
    matching = Counter(one.verdict for one in outcomes)["matches"]
    assert matching >= (10 if dialect == "ciam" else 13)
    assert {one.reason for one in outcomes if one.verdict == "skipped"} <= {
        "needs a server where the browser is logged in",
        *(
            f"needs another {name}: {one.case.name} used it up"
            for name in ("code", "refresh_token", "access_token")
            for one in outcomes
        ),
    }


def test_a_recorded_case_reads_like_a_documented_one(tmp_path: Path) -> None:
    recorded_life("ciam", tmp_path)
    text = next(tmp_path.glob("*/002.*")).read_text(encoding="utf-8")
    assert re.sub(r"\d{4}-\d\d-\d\d", "DATE", text).startswith(
        'title = "POST /oauth2/token, 200"\n'
        'source = "recorded DATE from http://localhost"\n'
        'dialect = "ciam"\n'
        'spends = "the code"\n\n'
        '[request]\nmethod = "POST"\npath = "/oauth2/token"\n'
        'body = "client_id=TENANT_CLIENT_ID&client_secret=TENANT_CLIENT_SECRET&'
        "grant_type=authorization_code&code=MOCK_CODE&code_verifier=MOCK_CODE_VERIFIER&"
        'redirect_uri=https%3A%2F%2Fexample.com%2Fcallback"\n'
    )
    assert '\n[needs.code]\nredirect_uri = "https://example.com/callback"\n' in text
    assert f'code_challenge = "{s256("MOCK_CODE_VERIFIER")}"\nnonce = "MOCK_NONCE"\n' in text
    assert '[response.claims.access_token]\nsub = "MOCK_USERNAME"\naud = "TENANT_CLIENT_ID"' in text


def record(
    folder: Path, response: ReceivedResponse, method: str = "POST", **sent: Any
) -> tuple[Case, StubTransport]:
    """Record one exchange with the token endpoint, and read its case."""
    upstream, lines = StubTransport(response), list[str]()
    client = WSGIClient(Recorder(upstream, folder, {}, watch=lines.append))
    client.open("/oauth2/token", method=method, **sent)
    return read(Path(lines[-1])), upstream


def test_a_code_in_a_redirect_needs_a_login(tmp_path: Path) -> None:
    location = "https://app/cb?code=c-1&state=s"
    upstream = StubTransport(received(b"", 302, location=location))
    client = WSGIClient(Recorder(upstream, tmp_path, {}))
    client.get("/oauth2/authorize?redirect_uri=https%3A%2F%2Fapp%2Fcb&state=s")
    case = read(next(tmp_path.glob("*/*")))
    assert case.response.headers["Location"] == (
        "https://example.com/callback?code=MOCK_CODE&state=MOCK_STATE"
    )
    assert (case.state, case.needs) == ("the browser is logged in", {"login": {}})
    assert case.settings == {"ids": {"code": ["MOCK_CODE"]}}


def test_a_code_needs_what_its_request_has(tmp_path: Path) -> None:
    case, _ = record(tmp_path, received({"token_type": "Bearer"}), data={"code": "c-1"})
    assert (case.needs, case.spends) == ({"code": {}}, "the code")
    form = {"code": "c-2", "code_verifier": "v-1"}
    case, _ = record(tmp_path, received({"token_type": "Bearer"}), data=form)
    assert case.needs == {"code": {"code_challenge": s256("MOCK_CODE_VERIFIER")}}


def test_a_refresh_token_that_expires_is_a_setting(tmp_path: Path) -> None:
    form = {"refresh_token": "r-1", "grant_type": "refresh_token"}
    case, _ = record(tmp_path, received({"token_type": "Bearer"}), data=form)
    assert (case.settings, case.needs) == ({}, {})
    assert case.spends == "the refresh token, if the server rotates it"
    case, _ = record(tmp_path, received({"exp": 1700000000}), data=form)
    (token,) = case.settings["refresh_tokens"]
    assert token["value"] == "MOCK_REFRESH_TOKEN"
    case, _ = record(tmp_path, received({"exp": 1700000000}), data={"otp": "1"})
    assert (case.settings, case.spends) == ({}, None)


def test_a_case_has_a_client_with_the_scopes_of_the_response(tmp_path: Path) -> None:
    response = received({"access_token": "t", "scope": "openid profile"})
    case, _ = record(tmp_path, response, data={"scope": "openid profile"})
    assert case.settings["clients"][0]["scopes"] == ["openid", "profile"]
    assert FakeOAuth(Settings.from_mapping(case.settings))
    for number, body in enumerate(('{"scope": "openid"}', '{"scope": 7}', "{", "[]")):
        case, _ = record(tmp_path / str(number), received(body))
        assert case.settings == {}


def test_everything_is_passed_on_but_headers_of_the_connection(tmp_path: Path) -> None:
    headers = (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Connection", "x"))
    upstream = StubTransport(ReceivedResponse(299, headers, b"abc"))
    client = WSGIClient(Recorder(upstream, tmp_path, {}))
    sent = {"X-Own": "1", "Accept-Encoding": "gzip"}
    reply = client.post("/a/b?c=d&e", data=b"\xff\x00", headers=sent)
    assert (reply.status_code, reply.data) == (299, b"abc")
    assert reply.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert "Connection" not in reply.headers
    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/a/b?c=d&e")
    assert (request.body or "").encode(errors="surrogateescape") == b"\xff\x00"
    assert request.headers["X-Own"] == "1"
    assert "Accept-Encoding" not in request.headers
    assert client.head("/").data == b""


@pytest.mark.parametrize(
    "target", ["/realms/my%20realm/a%2Fb?c=%3F&d=e?", "/%C3%A9%23x?y", "/a;b=c//d/../e?"]
)
def test_a_target_is_passed_on_as_it_was_written(target: str, tmp_path: Path) -> None:
    upstream = StubTransport(received({}))
    listener = Listener("127.0.0.1", 0)
    listener.start(Recorder(upstream, tmp_path, {}))
    address = (listener.host, listener.port)
    for form in (target, f"http://{address[0]}:{address[1]}{target}"):
        with socket.create_connection(address) as raw:
            raw.sendall(f"GET {form} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert raw.recv(100).startswith(b"HTTP/1.1 200")
    listener.stop()
    assert [request.path for request in upstream.requests] == [target, target]
    assert not listener.failures


def test_a_target_with_other_characters_is_quoted(tmp_path: Path) -> None:
    upstream = StubTransport(received({}))
    client = WSGIClient(Recorder(upstream, tmp_path, {}))
    client.get("/", environ_overrides={"REQUEST_URI": "/\xc3\xa9"})
    client.get("/", environ_overrides={"REQUEST_URI": "http://x.example"})
    assert [request.path for request in upstream.requests] == ["/%C3%A9", "/"]


@pytest.mark.parametrize(
    ("method", "status", "headers", "length"),
    [
        ("GET", 204, {}, None),
        ("GET", 304, {}, None),
        ("HEAD", 200, {"content_length": "7"}, "7"),
        ("GET", 200, {"content_length": "7"}, "2"),
    ],
)
def test_a_content_length_is_that_of_the_body(
    method: str, status: int, headers: dict[str, str], length: str | None, tmp_path: Path
) -> None:
    body = b"{}" if status == 200 and method == "GET" else b""
    upstream = StubTransport(received(body, status, **headers))
    reply = WSGIClient(Recorder(upstream, tmp_path, {})).open("/", method=method)
    assert reply.headers.get("Content-Length") == length


def test_pages_for_people_and_unknown_endpoints_are_not_recorded(tmp_path: Path) -> None:
    lines: list[str] = []
    upstream = StubTransport(received("<form>", content_type="text/html"))
    paths = ["/oauth/form"]
    client = WSGIClient(Recorder(upstream, tmp_path, {}, watch=lines.append, paths=paths))
    client.get("/portal/login")
    upstream.response = received(b"", 302, location="/", set_cookie="session=x")
    client.post("/portal/login", data={"user": "alice"})
    upstream.response = received(b"", 302, location="/")
    client.set_cookie("session", "x")
    client.post("/portal/login", data={"user": "alice"})
    client.head("/oauth2/jwks")
    client.delete_cookie("session")
    client.get("/users/alice?token=t")
    people = "it is a page for people"
    assert lines == [
        f"not recorded: GET /portal/login, 200: {people}",
        f"not recorded: POST /portal/login, 302: {people}",
        f"not recorded: POST /portal/login, 302: {people}",
        "not recorded: HEAD /oauth2/jwks, 302: cases have no method HEAD",
        "not recorded: GET /users/alice, 302: unknown endpoint; to record it, use --path "
        "/users/alice",
    ]
    assert not list(tmp_path.iterdir())
    upstream.response = received()
    client.post("/oauth/form", data={"token": "t-1"})
    assert lines[-1] == str(tmp_path / "oauth_form" / "001.post.200.toml")
    assert read(Path(lines[-1])).request.path == "/oauth/form"


def test_a_client_gets_its_response_whatever_happens_to_the_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr("fake_oauth.contract.redact.Redactor.redact", defect)
    lines: list[str] = []
    upstream = StubTransport(received("abc"))
    client = WSGIClient(Recorder(upstream, tmp_path, {}, watch=lines.append))
    assert client.get("/userinfo").data == b"abc"
    assert lines == ["not recorded: GET /userinfo, 200: a defect, ZeroDivisionError"]


def test_a_case_that_cannot_be_written_is_reported_and_the_response_passed_on(
    tmp_path: Path,
) -> None:
    lines: list[str] = []
    upstream = StubTransport(received("abc"))
    client = WSGIClient(Recorder(upstream, tmp_path / "a", {}, watch=lines.append))
    (tmp_path / "a" / "userinfo").write_text("in the way", encoding="utf-8")
    assert client.get("/userinfo").data == b"abc"
    file = tmp_path / "a" / "userinfo" / "001.get.200.toml"
    assert lines == [f"cannot write {file}: File exists"]


def test_cases_of_an_earlier_run_are_kept(tmp_path: Path) -> None:
    record(tmp_path, received("1"))
    (tmp_path / "oauth2_token" / "0x.mine.toml").touch()
    record(tmp_path, received("2"))
    assert sorted(path.name for path in tmp_path.glob("*/*")) == [
        "001.post.200.toml",
        "002.post.200.toml",
        "0x.mine.toml",
    ]


# Metadata

METADATA = {
    "issuer": "https://idp.example/realms/acme",
    "token_endpoint": "https://idp.example/realms/acme/protocol/token",
    "jwks_uri": "https://keys.example/jwks",
    "userinfo_endpoint": 7,
}


def test_metadata_leads_back_to_the_recorder(tmp_path: Path) -> None:
    text = json.dumps(METADATA, indent=1).replace("/", "\\/")
    upstream = StubTransport(received(text, content_type="application/json"))
    paths = ["/.well-known/x"]
    recorder = Recorder(upstream, tmp_path, {}, DIALECTS["rfc"], paths=paths)
    reply = WSGIClient(recorder).get("/.well-known/x")
    here = "http://localhost/realms/acme/protocol/token"
    assert reply.json == {**METADATA, "token_endpoint": here}
    there = json.dumps(METADATA["token_endpoint"]).replace("/", "\\/")
    assert reply.text == text.replace(there, json.dumps(here)), "the rest is as it was written"


def test_two_members_make_metadata(tmp_path: Path) -> None:
    """A document with an issuer and a token endpoint, and nothing else, is metadata too."""
    own = {name: METADATA[name] for name in ("issuer", "token_endpoint")}
    upstream = StubTransport(received(own, content_type="application/json"), metadata=METADATA)
    recorder = Recorder(upstream, tmp_path, {}, paths=["/.well-known/x"])
    reply = WSGIClient(recorder).get("/.well-known/x")
    assert reply.get_json()["token_endpoint"] == "http://localhost/realms/acme/protocol/token"
    issuer = "https://sample.portal.tencentciam.com"
    body = json.loads(read(next(tmp_path.glob("*/*"))).response.body or "")
    assert body == {"issuer": issuer, "token_endpoint": "<url>"}
    other = {"token_endpoint": METADATA["token_endpoint"]}
    upstream.response = received(other, content_type="application/json")
    assert WSGIClient(recorder).get("/.well-known/x").json == other


def test_cases_have_the_paths_of_the_dialect(tmp_path: Path) -> None:
    upstream = StubTransport(received({"error": "x"}, 400), metadata=METADATA)
    recorder = Recorder(upstream, tmp_path, {})
    assert recorder.dialect is DIALECTS["rfc"]
    assert recorder.issuer == METADATA["issuer"]
    WSGIClient(recorder).post("/realms/acme/protocol/token?scope=a", data={"a": "b"})
    case = read(next(tmp_path.glob("*/*")))
    assert case.request.path == "/token?scope=a"
    assert case.title == "POST /realms/acme/protocol/token, 400"
    assert case.dialect == "rfc"


@pytest.mark.parametrize(
    "metadata", [None, {"issuer": "x", "token_endpoint": "https://idp.example/oauth2/token"}]
)
def test_the_documented_dialect_is_known_by_its_token_endpoint(
    metadata: dict[str, str] | None, tmp_path: Path
) -> None:
    upstream = StubTransport(received(), metadata=metadata)
    assert Recorder(upstream, tmp_path, {}).dialect is DIALECTS["ciam"]


# The command


def test_the_command_records_cases_that_can_be_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stub("--dialect", "rfc") as upstream:
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
            url = heading.split(" at ")[1].split(" ")[0]
            form = {
                "client_id": "TENANT_CLIENT_ID",
                "client_secret": "TENANT_CLIENT_SECRET",
                "grant_type": "refresh_token",
                "refresh_token": "MOCK_REFRESH_TOKEN",
            }
            assert httpx.post(f"{url}/token", data=form).json()["token_type"] == "Bearer"
            httpx.get(f"{url}/%1b%e2%80%ae")
            with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as raw:
                raw.sendall(b"nonsense\r\n\r\n")
                assert raw.recv(100).startswith(b"HTTP/1.1 400")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
            assert process.returncode == 0
        assert heading == f"Recording {upstream.url} at {url} into {tmp_path}/ (dialect rfc)\n"
        assert (
            hint == f"To test a server against the cases: fake-oauth check URL --cases {tmp_path}\n"
        )
        assert ends == "Press Ctrl-C to stop.\n"
        (path,) = tmp_path.glob("*/*.toml")
        first, second = out.splitlines()
        assert first == f"  {path}"
        assert "unknown endpoint" in second
        # The cases say that they are of the dialect rfc.
        assert main(["check", upstream.url, "--cases", str(tmp_path), "--spend"]) == 0
    assert "1 match, 0 differ, 0 skipped" in capsys.readouterr().out


def test_the_command_warns_of_another_issuer(tmp_path: Path) -> None:
    with FakeOAuth(Settings(issuer="https://idp.example", dialect="rfc")) as server:
        command = [sys.executable, "-m", "fake_oauth", "record", "--port", "0"]
        with subprocess.Popen(
            [*command, "--upstream", server.url, "--out", str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(2)]
            process.terminate()
    assert lines[1] == (
        f"Warning: the issuer of this server is https://idp.example, not {server.url}. Clients "
        "that follow its metadata to endpoints elsewhere bypass this proxy.\n"
    )


def test_what_the_command_cannot_use_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "cases")
    with FakeOAuth() as server:
        port = server.url.rpartition(":")[2]
        assert main(["record", "--upstream", server.url, "--out", out, "--port", port]) == 2
    assert (
        f"port {port} on 127.0.0.1 is in use; choose another with --port" in capsys.readouterr().err
    )
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["record", "--upstream", "http://x", "--out", str(tmp_path / "file")]) == 2
    assert f"cannot create the folder {tmp_path / 'file'}: File exists" in capsys.readouterr().err


def test_an_upstream_that_does_not_respond_is_a_502(tmp_path: Path) -> None:
    with FakeOAuth() as server:
        client = WSGIClient(Recorder(HTTPTransport(server.url), tmp_path, {}))
    reply = client.get("/oauth2/jwks")
    assert (reply.status_code, reply.text) == (
        502,
        f"{server.url}: no valid response: Connection refused\n",
    )
    assert not list(tmp_path.iterdir())


def test_a_settings_file_gives_the_values(tmp_path: Path) -> None:
    """As for the checker; see test_contract."""
    fake = FakeOAuth(SETTINGS)
    recorder = Recorder(WSGITransport(fake), tmp_path, {**CLIENT, "refresh_token": "R-1"})
    form = {**CLIENT, "grant_type": "refresh_token", "refresh_token": "unknown"}
    WSGIClient(recorder).post("/oauth2/token", data=form)
    body = read(next(tmp_path.glob("*/*"))).request.body
    assert body == (
        "client_id=TENANT_CLIENT_ID&client_secret=TENANT_CLIENT_SECRET"
        "&grant_type=refresh_token&refresh_token=WRONG"
    )


def test_a_dialect_can_be_chosen(tmp_path: Path) -> None:
    recorder = Recorder(StubTransport(received({})), tmp_path, {}, DIALECTS["rfc"])
    WSGIClient(recorder).post("/token", data={"grant_type": "x"})
    assert replace(read(next(tmp_path.glob("*/*"))), source="").dialect == "rfc"
