"""The checker: cases match where they should, differences are found, and secrets stay hidden."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

import pytest

from fake_oauth import Client, FakeOAuth, FakeOAuthError, Settings, SettingsError, User, dialects
from fake_oauth.__main__ import main
from fake_oauth.contract.cases import (
    Case,
    ExpectedResponse,
    Request,
    cases,
    folder,
    read,
    to_toml,
)
from fake_oauth.contract.cli import dialect_for
from fake_oauth.contract.client import ReceivedResponse, UnreachableError, WSGITransport
from fake_oauth.contract.compare import Difference, differences
from fake_oauth.contract.placeholders import Level, documented_names, fill, matches
from fake_oauth.contract.runner import Outcome, Report, run, run_case
from fake_oauth.contract.targets import ControlAPI, FakeTarget, ServerTarget, SkippedError
from fake_oauth.contract.terminal import curl, printable
from fake_oauth.dialects import DIALECTS, Dialect
from fake_oauth.provider.dialect import Text
from fake_oauth.provider.errors import Cause
from fake_oauth.provider.grants.authorization_code import s256
from tests.support.contract import (
    CONTROLLED,
    METADATA,
    StubTarget,
    StubTransport,
    encoded,
    fake_target,
    received,
)
from tests.support.stub import stub

CIAM, RFC = DIALECTS["ciam"], DIALECTS["rfc"]
BY_NAME = {case.name: case for case in cases("ciam")}
COUNTS = {name: len(list((folder() / name).rglob("*.toml"))) for name in DIALECTS}


# Cases


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("level", ["strict", "loose"])
def test_the_fake_matches_every_case(dialect: str, level: Level) -> None:
    outcomes = list(run(cases(dialect), fake_target(dialect), level))
    assert {one.case.name: one.differences for one in outcomes if one.differences} == {}
    assert Counter(one.verdict for one in outcomes) == {"matches": COUNTS[dialect]}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_every_endpoint_has_a_folder_of_cases(dialect: Any) -> None:
    assert all(case.title and case.source for case in cases(dialect.name))
    # A dialect has cases only for what it does differently than its base.
    names = [base.name for base in type(dialect).mro() if issubclass(base, Dialect)]
    folders = {path.parent.name for name in names for path in folder().glob(f"{name}/*/*")}
    assert folders - {"resource"} == set(dialect.paths) - {"login", "device", "resource"}


def test_an_invalid_case_gets_all_its_problems_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('title = "x"\nsorce = "y"\n[request]\nmethod = "GET"\n', encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read(path)
    assert [str(problem) for problem in caught.value.problems] == [
        "a.toml: $.source: required, but missing",
        "a.toml: $.request.path: required, but missing",
        "a.toml: $.response: required, but missing",
        "a.toml: $.sorce: unknown key; did you mean 'source'?",
    ]


def test_an_unknown_key_is_a_problem_though_the_rest_is_a_case(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f"{to_toml(cases('ciam')[0])}\n[more]\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"^a\.toml: \$\.more: unknown key"):
        read(path)


@pytest.mark.parametrize("case", cases("ciam"), ids=lambda case: case.name)
def test_a_case_that_is_written_can_be_read(case: Case, tmp_path: Path) -> None:
    path = tmp_path / f"{case.name}.toml"
    path.write_text(to_toml(case), encoding="utf-8")
    assert read(path) == case


@pytest.mark.parametrize(
    "text",
    ["it's\n", '\x7f"', "\r\n", "''' \" \n", '"a"\nb', "\n\n", "\u2028\n", "'", '"\\"', "\"'"],
)
def test_a_case_can_have_any_text(text: str, tmp_path: Path) -> None:
    case = replace(cases("ciam")[0], about=text)
    path = tmp_path / f"{case.name}.toml"
    path.write_text(to_toml(case), encoding="utf-8")
    assert read(path) == case


def test_cases_cannot_be_written_without_tomlkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    with pytest.raises(FakeOAuthError, match=r'pip install "fake_oauth\[check\]"'):
        to_toml(cases("ciam")[0])


# Values


def test_values_replace_the_documented_ones_wherever_they_are() -> None:
    values = {"client_id": "a b", "client_secret": "ü:", "phone_number": "1", "code": "c&d"}
    post = fill(BY_NAME["authorization_code.success"].request, values).body or ""
    assert post.startswith("client_id=a+b&client_secret=%C3%BC%3A&")
    assert "code=c%26d&" in post
    basic = fill(BY_NAME["otp_send.success"].request, values)
    assert basic.headers["Authorization"] == "Basic YSUyMGI6JUMzJUJDJTNB"
    assert json.loads(basic.body or "")["phone_number"] == "1"
    assert "client_id=a%20b&" in fill(BY_NAME["authorize.logged_in"].request, values).path
    unreadable = replace(BY_NAME["otp_send.success"].request, body="WRONG")
    assert fill(unreadable, values).body == "WRONG"
    bearer = fill(BY_NAME["userinfo.success"].request, {"access_token": "t"})
    assert bearer.headers == {"Authorization": "Bearer t"}


def test_the_values_that_a_case_needs_are_in_its_request() -> None:
    assert documented_names(BY_NAME["pkce.success"].request) == [
        "client_id",
        "redirect_uri",
        "code",
        "code_verifier",
    ]
    assert documented_names(BY_NAME["userinfo.bad_token"].request) == []


@pytest.mark.parametrize(
    ("expected", "text", "level", "is_match"),
    [
        ("a<any>b", "axb", "strict", True),
        ("a<any>b", "ab", "strict", False),
        ("<any>&x=<any>", "a&x=b&c", "strict", True),
        ("<any>&x=<any>", "a&y&x=b", "strict", False),
        ('e="<text>"', r'e="a \"b\""', "strict", True),
        ('e="<text>"', 'e="a" b="c"', "strict", False),
        ('e="<any>"', 'e="a b"', "strict", False),
        ("<text>", "", "strict", False),
        ("<text>", "", "loose", True),
        ("<text>", "a\nb", "strict", True),
        ("<uuid>", "not-one", "strict", False),
        ("<uuid>", "not-one", "loose", True),
        ("<issuer>/token", "https://idp/token/token", "strict", True),
        ("plain (text)", "plain (text)", "strict", True),
    ],
)
def test_a_placeholder_matches(expected: str, text: str, level: Level, *, is_match: bool) -> None:
    assert matches(expected, text, level) == is_match


# Comparison


def found(
    expected: ExpectedResponse, response: ReceivedResponse, level: Level = "loose"
) -> list[Difference]:
    return differences(expected, response, {}, level)


def test_a_difference_says_where_and_what() -> None:
    expected = ExpectedResponse(
        status=200, headers={"X": "1"}, body='{"a": {"b": [1, "x"]}, "scope": "a b", "n": 1}'
    )
    response = received('{"a": {"b": [1, "y"]}, "scope": "b a", "n": true}', 201, x="2")
    assert found(expected, response) == [
        Difference("status", "200", "201"),
        Difference("body $.a.b[1]", '"x"', '"y"'),
        Difference("body $.n", "1", "true"),
    ]
    assert found(expected, response, "strict")[1] == Difference("header X", "1", "2")
    assert found(expected, received()) == [
        Difference("header X", "1", "(missing)"),
        Difference("body", expected.body or "", "(empty)"),
    ]


def test_an_error_is_not_a_success() -> None:
    granted = ExpectedResponse(status=200, body='{"a": 1}')
    refused = received({"a": 1, "error": "invalid_grant", "error_description": "No."})
    assert found(granted, refused) == [
        Difference("body $.error", "(absent)", '"invalid_grant"'),
        Difference("body $.error_description", "(absent)", '"No."'),
    ]


def test_an_empty_body_is_only_expected_strictly() -> None:
    nothing, something = ExpectedResponse(status=200, body=""), received(b"x")
    assert found(nothing, something) == []
    assert found(replace(nothing, body="<any>"), something) == []
    assert found(nothing, something, "strict")[-1] == Difference("body", "(empty)", "x")


def test_optional_members_may_be_missing_or_anything_by_meaning() -> None:
    expected = ExpectedResponse(
        status=200,
        body='{"a":"<text>","b_supported":["x"],"c":"<time>"}',
        headers={"Location": "https://x/?e=<text>&s=1"},
        optional=["a", "e", "b_supported"],
    )
    response = received('{"c":1700000000}', location="https://x/?s=1", content_length="16")
    assert found(expected, response) == []
    assert [one.where for one in found(expected, response, "strict")] == [
        "header Location",
        "body $.a",
        "body $.b_supported",
    ]
    other = received('{"a":[1],"b_supported":["y"],"c":1.5}', location="https://x/?e=<text>&s=1")
    assert [one.where for one in found(expected, other)] == ["body $.a", "body $.c"]
    whole = received(
        '{"a":"some text","b_supported":["x"],"c":1700000000} ', location="https://x/?e=an%20e&s=1"
    )
    assert found(expected, whole) == []


def test_a_placeholder_for_a_name_allows_other_members() -> None:
    expected = ExpectedResponse(
        status=200,
        headers={"Location": "https://app/cb?code=<any>&<any>=<any>"},
        body='{ "a" : 1, "<any>" : "<any>" }',
        claims={"t": {"sub": "u", "<any>": "<any>"}},
    )
    token = f"e30.{encoded({'tenant': 1, 'sub': 'u'})}.eA"
    places = "https://app/cb?code=c&session=s"
    right = received('{ "a" : 1, "t" : "' + token + '" }', location=places)
    levels: tuple[Level, ...] = ("strict", "loose")
    for level in levels:
        differing = [one.where for one in found(expected, right, level)]
        assert differing == (["header Content-Length"] if level == "strict" else [])
    wrong = received('{ "a" : 2, "t" : "' + token + '" }', location="https://app/cb?session=s")
    for level in levels:
        assert {"header Location", "body $.a"} <= {
            one.where for one in found(expected, wrong, level)
        }


def test_a_location_may_be_anywhere() -> None:
    expected = ExpectedResponse(status=302, headers={"Location": "<url>"})
    assert found(expected, received(b"", 302, location="https://any/where?a=b")) == []
    assert [one.where for one in found(expected, received(b"", 302, location="/x"))] == [
        "header Location"
    ]


@pytest.mark.parametrize(
    ("body", "actual"),
    [
        ("", "(missing)"),
        ("[]", "(missing)"),
        ('{"id_token":null}', "(missing)"),
        ('{"id_token":7}', "7"),
        ('{"id_token":"e30.e30"}', "e30.e30"),
        ('{"id_token":"e30.W10.x"}', "e30.W10.x"),
        ('{"id_token":"bnVsbA.e30.x"}', "bnVsbA.e30.x"),
    ],
)
def test_claims_are_those_of_a_jwt(body: str, actual: str) -> None:
    expected = ExpectedResponse(status=200, claims={"id_token": {"sub": "alice"}})
    assert found(expected, received(body)) == [Difference("body $.id_token", "a JWT", actual)]


def test_an_audience_may_be_a_list_and_scopes_may_be_text() -> None:
    def response(claims: Mapping[str, Any]) -> ReceivedResponse:
        return received({"t": f"e30.{encoded(claims)}.eA"})

    expected = ExpectedResponse(status=200, claims={"t": {"aud": "web", "scope": ["a", "b"]}})
    assert not found(expected, response({"aud": ["api", "web"], "scope": "b a"}))
    assert found(expected, response({"aud": "api", "scope": ["a"]})) == [
        Difference("t claim aud", '"web"', '"api"'),
        Difference("t claim scope", '["a", "b"]', '["a"]'),
    ]


# Targets

OTHER = Settings(
    clients=[
        Client(client_id="web", client_secret="s3cret", redirect_uris=["https://web.example/"])
    ],
    users=[User(sub="u-1", username="alice", password="wonderland")],
    refresh_tokens=[],
    access_token_seconds=120,
    compact_json=True,
)
KNOWN = {"client_id": "web", "client_secret": "s3cret", "redirect_uri": "https://web.example/"}


def target(fake: FakeOAuth, *, spends: bool = False, **more: str) -> ServerTarget:
    return ServerTarget(WSGITransport(fake), {**KNOWN, **more}, CIAM, spends=spends)


class NoDeviceCodes(dialects.RFC):
    name = "no_device_codes"

    def device_reply(self, members: Mapping[str, Any]) -> dict[str, Any]:
        return {"other": members["device_code"]}


def test_a_fake_that_issues_no_device_codes_is_skipped() -> None:
    fake = FakeOAuth(Settings(dialect=NoDeviceCodes, control=True))
    (case,) = [case for case in cases("rfc") if case.name == "device_code.success"]
    target = FakeTarget(WSGITransport(fake), NoDeviceCodes())
    expected = pytest.raises(SkippedError, match="a server that issues device codes")
    with expected, target.prepare(case):
        pytest.fail("prepared")


def reason(server: ServerTarget, case: Case) -> str:
    """Return why a case is skipped."""
    with pytest.raises(SkippedError) as caught, server.prepare(case):
        pass
    return str(caught.value)


def test_a_server_with_other_values_matches_by_meaning() -> None:
    fake = FakeOAuth(OTHER)
    token = fake.issue_tokens().refresh_token or ""
    server = target(fake, spends=True, refresh_token=token, code=fake.issue_code())
    outcomes = {outcome.case.name: outcome for outcome in run(cases("ciam"), server)}
    matching = {name for name, outcome in outcomes.items() if outcome.verdict == "matches"}
    assert matching >= {
        "authorization_code.success",
        "authorize.not_logged_in",
        "client_credentials.bad_client",
        "discovery.success",
        "jwks.success",
        "refresh_token.success",
        "userinfo.no_user",
    }
    assert "differs" not in {outcome.verdict for outcome in outcomes.values()}


def test_a_skipped_case_says_what_it_needs() -> None:
    fake = FakeOAuth(OTHER)

    def why(name: str, server: ServerTarget) -> str:
        return reason(server, BY_NAME[name])

    server = target(fake)
    assert why("password.user_locked", server) == "needs a server where the user is locked"
    spend = "would use up the code; allow it with --spend"
    assert why("authorization_code.success", server) == spend
    assert why("authorization_code.bad_grant_type", server) == "needs --value code=…"
    assert why("otp.bad_otp", server) == "needs --value otp=…, --value otp_token=…"
    assert why("refresh_token.success", target(fake, spends=True)) == "needs --refresh-token"
    bare = ServerTarget(WSGITransport(fake), {}, CIAM, prefix="--oauth-")
    both = "needs --oauth-client-id, --oauth-client-secret"
    assert why("refresh_token.invalid_grant", bare) == why("userinfo.no_user", bare) == both
    assert why("userinfo.no_user", target(fake, client_secret="wrong")) == (
        "needs a client that is allowed to use client_credentials, with its secret in the body"
    )


def test_a_code_is_used_up_by_one_case() -> None:
    fake = FakeOAuth(OTHER)
    server = target(fake, spends=True, code=fake.issue_code())
    first, second = (
        BY_NAME["authorization_code.success"],
        BY_NAME["authorization_code.other_client"],
    )
    assert run_case(first, server).verdict == "matches"
    server._is_set_up = True
    assert reason(server, second) == "needs another code: authorization_code.success used it up"


def test_the_issuer_is_given_or_read() -> None:
    def issuer(transport: Any, **given: str) -> str:
        with ServerTarget(transport, given, CIAM).prepare(BY_NAME["jwks.success"]) as values:
            return values["issuer"]

    assert issuer(WSGITransport(FakeOAuth())) == "http://localhost"
    assert issuer(WSGITransport(FakeOAuth()), issuer="https://i.example") == "https://i.example"
    assert issuer(StubTransport(received())) == "<issuer>"


def test_a_server_of_the_standards_is_asked_where_its_metadata_says(tmp_path: Path) -> None:
    class Other(dialects.RFC):
        texts: ClassVar[Mapping[Cause, Text]] = {}
        paths: ClassVar[Mapping[str, str]] = {
            name: path if path.startswith("/.well-known/") else f"/realms/acme{path}"
            for name, path in RFC.paths.items()
        }
        headers = (*RFC.headers, ("Server", "acme"))

        def expires_in(self, lifetime_seconds: int) -> int:
            return lifetime_seconds - 10

    other = Other()
    settings = OTHER.changed(dialect=other, refresh_policy="rotate", compact_json=False)
    path = tmp_path / "report.json"
    with FakeOAuth(settings) as server:
        token = server.issue_tokens().refresh_token
        code = server.issue_code(redirect_uri=KNOWN["redirect_uri"])
        options = ["--client-id=web", "--client-secret=s3cret", f"--refresh-token={token}"]
        options += [f"--value=code={code}", f"--value=redirect_uri={KNOWN['redirect_uri']}"]
        asked = ["check", server.url, "--dialect", "rfc", "--spend", "--json", str(path), *options]
        assert main(asked) == 0
    by_name = {one["case"]: one for one in json.loads(path.read_text())["cases"]}
    verdicts = Counter(one["verdict"] for one in by_name.values())
    assert verdicts.keys() == {"matches", "skipped"}
    assert verdicts["matches"] >= 32
    why = "needs another code: authorization_code.success used it up"
    assert by_name["authorization_code.used"]["reason"] == why
    endpoints = {exchange.endpoint for exchange in server.journal}
    assert endpoints >= {"token", "revoke", "introspect", "userinfo", "jwks", "authorize"}


def test_a_case_for_something_that_the_metadata_does_not_have_is_skipped() -> None:
    class Own(dialects.RFC):
        grant_types = ("refresh_token",)
        paths: ClassVar[Mapping[str, str]] = {
            name: path for name, path in RFC.paths.items() if name not in ("introspect", "metadata")
        }

    client = replace(OTHER.clients[0], token_endpoint_auth_methods=["client_secret_basic"])
    fake = FakeOAuth(OTHER.changed(dialect=Own, clients=[client]))
    server = ServerTarget(WSGITransport(fake), KNOWN, RFC)
    by_name = {case.name: case for case in cases("rfc")}

    def why(name: str) -> str:
        return reason(server, by_name[name])

    assert why("introspect.unknown") == "needs a server whose metadata has introspection_endpoint"
    assert why("metadata.success") == f"needs a server with metadata at {METADATA}"
    grant = "needs a server that supports the grant type client_credentials"
    assert why("client_credentials.success") == grant
    assert why("client.in_body") == "needs a server that accepts client_secret_post"
    for name in ("grant_type.unsupported", "refresh_token.unknown", "revoke.unknown"):
        assert run_case(by_name[name], server).verdict == "matches"


def test_a_server_without_metadata_is_asked_everything() -> None:
    class WithoutMetadata(dialects.RFC):
        paths: ClassVar[Mapping[str, str]] = {
            name: path for name, path in RFC.paths.items() if name not in ("discovery", "metadata")
        }

    fake = FakeOAuth(Settings(dialect=WithoutMetadata))
    server = ServerTarget(WSGITransport(fake), {}, RFC)
    verdicts = {one.case.name: one.verdict for one in run(cases("rfc"), server)}
    assert verdicts["introspect.no_client"] == verdicts["revoke.no_client"] == "matches"
    assert verdicts["metadata.success"] == "differs"


def test_an_endpoint_with_a_query_keeps_it() -> None:
    members = {"issuer": "https://idp.example", "token_endpoint": "https://idp.example/t?tenant=1"}
    transport = StubTransport(received(), metadata=members)
    server = ServerTarget(transport, {}, RFC)
    server.send(Request(method="GET", path="/token?a=b"))
    server.send(Request(method="GET", path="/token"))
    assert [request.path for request in transport.requests] == [
        "https://idp.example/t?tenant=1&a=b",
        "https://idp.example/t?tenant=1",
    ]
    assert server.url_of("/token?a=b") == "https://idp.example/t?tenant=1&a=b"
    assert server.url_of("/jwks") == "https://idp.example/jwks"


def test_a_fake_without_the_control_api_cannot_be_reset() -> None:
    fake = fake_target(settings=Settings())
    where = re.escape("http://localhost/_fake/reset: expected 200, got 404: ")
    with pytest.raises(FakeOAuthError, match=where), fake.prepare(cases("ciam")[0]):
        pass


# Reports


def outcome_of(*found: Difference) -> Outcome:
    case = BY_NAME["refresh_token.success"]
    return Outcome(case=case, verdict="differs", differences=found)


def test_a_report_hides_the_tokens_that_a_server_sent() -> None:
    body = b'{"refresh_token": "RT-3de9f6", "error": "RT-3de9f6", "data": [{"otp": "1.2-3"}]}'
    response = received(body, 302, location="/?code=c-short")
    expected = ExpectedResponse(status=302, headers={"Location": "/x"}, body='{"data": []}')
    case = replace(BY_NAME["refresh_token.success"], response=expected)
    outcome = run_case(case, StubTarget(lambda _: response))
    assert [one.actual for one in Report("http://x", [outcome], {}).differences(outcome)] == [
        "/?code=(7 characters)",
        '[{"otp": "(5 characters)"}]',
        '"(9 characters)"',
        '"(9 characters)"',
    ]


def test_a_report_hides_the_secrets_that_were_given() -> None:
    jwt = f"{'a' * 20}.{'b' * 20}.{'c' * 20}"
    outcome = outcome_of(Difference("body", f"s3cret {jwt}", f"t0ken {'x' * 128} short"))
    values = {"client_secret": "s3cret", "refresh_token": "t0ken", "client_id": "web", "code": "s"}
    report = Report("http://x", [outcome], values)
    assert report.differences(outcome) == [Difference("body", "*** aaaaaa…", "*** xxxxxx… short")]
    assert "s3cret" not in json.dumps(report.as_json())
    assert b"t0ken" not in report.as_junit()
    odd = Report("http://x", [], {"password": 'pa"ss wö/rd'})
    assert odd.shown(r'pa"ss wö/rd pa\"ss w\u00f6/rd pa%22ss+w%C3%B6%2Frd') == "*** *** ***"
    assert odd.shown("pa%22ss%20w%C3%B6/rd") == "***"


def test_a_curl_command_sends_the_request_again() -> None:
    basic = Request(
        method="POST",
        path="/token",
        headers={"Authorization": "Basic d2ViOnMzY3JldA==", "Content-Type": "text/plain"},
        body="it's\x1b",
    )
    assert curl(basic, "https://idp/token") == (
        "curl -i -X POST https://idp/token -u web:s3cret -H 'Content-Type: text/plain' "
        "--data-raw 'it'\"'\"'s\\u001b'"
    )
    wrong = Request(method="GET", path="/", headers={"Authorization": "Basic !"})
    assert curl(wrong, "https://idp/") == "curl -i -X GET https://idp/ -H 'Authorization: Basic !'"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\n", "a\tb\n"),
        ("\x1b[2J\r\x7f\x9b", r"\u001b[2J\u000d\u007f\u009b"),
        ("\u202eevil\u200b\ufeff", r"\u202eevil\u200b\ufeff"),
        ("\ud800\U000e0001", r"\ud800\U000e0001"),
        ("日本 é 🙂", "日本 é 🙂"),
    ],
)
def test_only_visible_characters_are_printed(text: str, shown: str) -> None:
    assert printable(text) == shown


# The command


def test_the_command_checks_a_stub(capsys: pytest.CaptureFixture[str]) -> None:
    with stub() as running:
        assert main(["check", running.url]) == 0
        out = capsys.readouterr().out
        assert re.search(r"refresh_token\.invalid_grant +matches", out)
        assert re.search(r"refresh_token\.success +skipped +would use up the refresh token", out)
        assert re.search(rf"{running.url}: \d\d match, 0 differ, \d\d skipped", out)
        assert "--spend resets it for each case, and runs every case." in " ".join(out.split())
        assert main(["check", running.url, "--spend"]) == 0
        ends = "53 match, 0 differ, 0 skipped (ciam, strict)\n"
        assert capsys.readouterr().out.endswith(ends)
        assert json.loads(running.refresh())["refresh_token"] == "MOCK_REFRESH_TOKEN"


@contextmanager
def wrong_server(httpserver: Any) -> Iterator[str]:
    """Serve the same response everywhere."""
    headers = {"Content-Type": "text/plain"}
    everything = httpserver.expect_request(re.compile(".*"))
    everything.respond_with_data('{"error": "nope [/]"}\x01', 418, headers)
    yield httpserver.url_for("").rstrip("/")


def test_the_command_shows_differences_side_by_side(
    capsys: pytest.CaptureFixture[str], httpserver: Any, tmp_path: Path
) -> None:
    junit = tmp_path / "junit.xml"
    with wrong_server(httpserver) as url:
        asked = ["check", url, "--client-id", "web", "--client-secret", "s3cret-s3cret"]
        assert main([*asked, "--junit", str(junit)]) == 1
    out = capsys.readouterr().out
    assert "refresh_token.invalid_grant: " in out
    assert re.search(r"│ status +│ 400 +│ 418 +│", out)
    assert r'{"error": "nope [/]"}\u0001' in out
    assert "s3cret-s3cret" not in out
    suite = ET.parse(junit).getroot()  # noqa: S314
    assert suite.attrib["tests"] == "53"
    assert int(suite.attrib["failures"]) + int(suite.attrib["skipped"]) == 53
    failure = suite.find("testcase[@name='invalid_grant']/failure")
    assert failure is not None
    assert "status\n  expected: 400\n  actual: 418" in (failure.text or "")


def test_the_command_shows_one_verdict_only(
    capsys: pytest.CaptureFixture[str], httpserver: Any
) -> None:
    with wrong_server(httpserver) as url:
        assert main(["check", url, "--only", "skipped"]) == 1
        skipped = capsys.readouterr().out
        assert main(["check", url, "--only", "matches"]) == 1
        nothing = capsys.readouterr().out
    assert "differs" not in skipped
    assert "needs --client-id" in skipped
    assert nothing.splitlines()[0].startswith(f"{url}: 0 match, ")


def test_the_command_shows_requests_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeOAuth(OTHER) as server:
        token = server.issue_tokens().access_token
        known = ["--client-id=web", "--client-secret=s3cret", f"--value=access_token={token}"]
        asked = ["check", server.url, *known, "-v"]
        assert main(asked) == 0
        hidden = capsys.readouterr().out
        assert main([*asked, "--show-secrets"]) == 0
        shown = capsys.readouterr().out
    line = (
        f"curl -i -X POST {server.url}/oauth2/token -H "
        "'Content-Type: application/x-www-form-urlencoded' --data-raw "
        "'client_id=web&client_secret={}&grant_type=refresh_token&refresh_token=WRONG'\n"
    )
    assert line.format("REDACTED") in hidden
    assert line.format("s3cret") in shown
    assert "s3cret" not in hidden
    assert token not in hidden
    assert "authorize.logged_in: " not in hidden, "it was skipped"


def test_the_command_shows_the_requests_to_a_fake_too(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeOAuth(CONTROLLED) as server:
        assert main(["check", server.url, "--spend", "--case", "userinfo.no_token", "-v"]) == 0
        assert f"curl -i -X GET {server.url}/userinfo\n" in capsys.readouterr().out


def test_the_command_writes_json_instead_of_a_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    with FakeOAuth(CONTROLLED) as server:
        junit = path.with_suffix(".xml")
        assert main(["check", server.url, "--json", str(path), "--junit", str(junit)]) == 0
    assert ET.parse(junit).getroot().attrib["failures"] == "0"  # noqa: S314
    assert capsys.readouterr().out == ""
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["counts"]["matches"] + report["counts"]["skipped"] == 53
    assert (report["contract"], report["level"]) == ("ciam", "strict")
    by_name = {one["case"]: one for one in report["cases"]}
    assert by_name["userinfo.no_token"] == {
        "case": "userinfo.no_token",
        "title": BY_NAME["userinfo.no_token"].title,
        "source": BY_NAME["userinfo.no_token"].source,
        "verdict": "matches",
        "reason": "",
        "differences": [],
    }


@pytest.mark.parametrize("kind", ["json", "junit"])
def test_a_report_can_go_to_standard_output(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeOAuth(CONTROLLED) as server:
        assert main(["check", server.url, f"--{kind}", "-"]) == 0
    out = capsys.readouterr().out
    if kind == "json":
        assert json.loads(out)["contract"] == "ciam"
    else:
        assert ET.fromstring(out[out.index("<?xml") :]).attrib["tests"] == "53"  # noqa: S314


def test_the_command_takes_values_from_a_settings_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "fake.toml"
    path.write_text(
        '[[clients]]\nclient_id = "web"\nclient_secret = "s3cret"\n'
        'redirect_uris = ["https://web.example/"]\n[[users]]\nsub = "u-1"\npassword = "pw"\n'
        '[[refresh_tokens]]\nvalue = "R-1"\n',
        encoding="utf-8",
    )
    with FakeOAuth(Settings.from_toml(path)) as server:
        assert main(["check", server.url, "--settings", str(path), "--spend"]) == 0
        out = capsys.readouterr().out
        assert re.search(r"refresh_token\.success +matches", out)
        assert re.search(r"password\.success +matches", out)
        bare = path.with_name("bare.toml")
        bare.write_text("clients = []\nusers = []\nrefresh_tokens = []\n", encoding="utf-8")
        assert main(["check", server.url, "--settings", str(bare), "--value", "code=x"]) == 0


def test_cases_are_chosen_by_name_and_the_server_is_assumed_to_be_set_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = OTHER.changed(clients=[replace(OTHER.clients[0], client_secret=None)])

    def checked(*asked: str) -> str:
        with FakeOAuth(settings) as server:
            code = server.issue_code(
                redirect_uri="https://web.example/", code_challenge=s256("MOCK_CODE_VERIFIER")
            )
            known = ("client_id=web", "redirect_uri=https://web.example/", f"code={code}")
            values = (f"--value={value}" for value in (*known, "code_verifier=MOCK_CODE_VERIFIER"))
            assert main(["check", server.url, *values, *asked]) == 0
        return capsys.readouterr().out

    assert "1 match, 0 differ, 0 skipped" in checked("--case", "pkce.success", "--spend")
    assert re.search(r"pkce\.bad_code +skipped +needs a server where the client is", checked())
    bob = User(sub="u-2", username="bob", password="pw", status="locked")
    settings = OTHER.changed(users=[*OTHER.users, bob])
    source = "password_auth_source=MOCK_USERNAME_PASSWORD_AUTH_SOURCE_ID"
    values = ("username=bob", "password=pw", "client_secret=s3cret", source)
    asked = ("--case", "password.user_locked", *(f"--value={value}" for value in values))
    assert "1 match, 0 differ, 0 skipped" in checked(*asked)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--case", "refresh_tokn.success"], "unknown case 'refresh_tokn.success'; did you mean"),
        (
            ["--case", "x*"],
            "unknown case 'x*'; expected one of the 53 names in the table that `check`",
        ),
        (["--json", "-", "--junit", "-"], "--json - and --junit -: only one can be printed"),
        (["--case", "refresh"], "unknown case 'refresh'; did you mean 'refresh*'?"),
        (["--value", "cod=x"], "--value: unknown name 'cod'; did you mean 'code'?"),
        (["--value", "code"], "--value: expected NAME=VALUE, got a text without ="),
        (["--json", "/nowhere/x.json"], "cannot write /nowhere/x.json: No such file"),
        (["--settings", "/nowhere.toml"], "/nowhere.toml"),
        (["--ca-file", "/nowhere.pem"], "cannot read /nowhere.pem: "),
        (["--cases", "/nowhere"], "/nowhere: no cases found; expected TOML files"),
        (["--control-token", "x"], "/_fake/ did not accept the control token; pass the token"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_line(
    capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    with FakeOAuth() as server:
        assert main(["check", server.url, *more]) == 2
    err = capsys.readouterr().err
    assert err.startswith("fake-oauth: ")
    assert message in err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"=", "not TOML: Invalid"),
        ('title = "张三"'.encode("gbk"), "not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_case_that_is_not_valid_toml_is_one_line(
    content: bytes, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with FakeOAuth() as server:
        assert main(["check", server.url, "--cases", str(tmp_path)]) == 2
    assert f"a.toml: {problem}" in capsys.readouterr().err


def test_a_check_in_which_no_case_ran_has_not_passed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FakeOAuth() as server:
        assert main(["check", server.url, "--case", "revoke.success"]) == 2
    assert "no case could run with the given values" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_table_that_cannot_be_printed_is_one_line() -> None:
    with FakeOAuth(CONTROLLED) as server, Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "fake_oauth", "check", server.url]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "fake-oauth: No space left on device\n")


def test_the_table_requires_rich(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with FakeOAuth(CONTROLLED) as server:
        assert main(["check", server.url]) == 2
        assert 'pip install "fake_oauth[check]"' in capsys.readouterr().err
        assert main(["check", server.url, "--json", "-"]) == 0


def test_a_table_in_a_file_is_as_wide_as_it_needs_to_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    with FakeOAuth(CONTROLLED) as server:
        main(["check", server.url])
    out, err = capsys.readouterr()
    assert "refresh_token.success              skipped  would use up the refresh token, if" in out
    assert err == "", "progress is for terminals"


# Fakes


def test_a_fake_on_another_address_needs_its_control_token(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FakeOAuth(CONTROLLED, host="0.0.0.0") as server:  # noqa: S104
        url = server.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        given = ("--control-token", server.control_token or "")
        assert main(["check", url, *given, "--spend"]) == 0
        assert "53 match, 0 differ, 0 skipped" in capsys.readouterr().out
        main(["check", url])
        assert "refresh_token.invalid_grant        skipped" in capsys.readouterr().out


def test_a_fake_is_tested_against_the_cases_of_its_dialect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FakeOAuth(Settings(dialect="rfc", control=True)) as server:
        assert main(["check", server.url, "--spend"]) == 0
        assert f"{COUNTS['rfc']} match, 0 differ, 0 skipped" in capsys.readouterr().out
        assert main(["check", server.url]) == 0
        assert main(["check", server.url, "--dialect", "ciam"]) == 1
        assert "--dialect rfc tests it" in " ".join(capsys.readouterr().out.split())


def test_a_custom_dialect_has_no_cases(capsys: pytest.CaptureFixture[str]) -> None:
    class Acme(dialects.RFC):
        name = "acme"

    with FakeOAuth(CONTROLLED.changed(dialect=Acme)) as server:
        assert main(["check", server.url]) == 2
        message = "no cases for the dialect 'acme'; pass --cases, or --dialect ciam or rfc"
        assert message in capsys.readouterr().err
        assert main(["check", server.url, "--dialect", "rfc"]) == 0


def test_a_custom_dialect_needs_cases(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "acme_dialect.py").write_text(
        "from fake_oauth import dialects\n\n\nclass Acme(dialects.RFC):\n    name = 'acme'\n",
        encoding="utf-8",
    )
    name = "acme_dialect:Acme"
    home = str(folder() / "rfc" / "revoke")
    with FakeOAuth(CONTROLLED.changed(dialect=name)) as server:
        asked = ["check", server.url, "--dialect", name]
        assert main(asked) == 2
        assert f"no cases for the dialect {name!r}" in capsys.readouterr().err
        assert main([*asked, "--cases", home, "--spend"]) == 0
        count = len(list(Path(home).iterdir()))
        assert f"{count} match, 0 differ, 0 skipped" in capsys.readouterr().out
        assert main(["check", server.url, "--dialect", "acme"]) == 2
        assert "unknown dialect 'acme'" in capsys.readouterr().err


def test_a_fake_cannot_name_a_class_to_import() -> None:
    """Anyone can pretend to be a fake, so its dialect is only looked up."""
    index = {"controls": [], "issuer": "https://idp", "dialect": "antigravity:fly"}
    control = StubTransport(received(index))
    name = ControlAPI(control).dialect_name()
    options = Namespace(dialect=None, cases=None, prefix="--")
    with pytest.raises(FakeOAuthError, match="no cases for the dialect 'antigravity:fly'"):
        dialect_for(options, name)
    assert "antigravity" not in sys.modules


def test_a_server_of_the_standards_is_offered_their_dialect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = ["--client-id=TENANT_CLIENT_ID", "--client-secret=TENANT_CLIENT_SECRET"]
    hint = (
        "names other endpoints than the dialect ciam: --dialect rfc tests it against the standards"
    )
    with FakeOAuth(Settings(dialect="rfc")) as server:
        assert main(["check", server.url, *known]) == 1
        assert hint in " ".join(capsys.readouterr().out.split())
        assert main(["check", server.url, *known, "--dialect", "rfc"]) == 0
        assert hint not in " ".join(capsys.readouterr().out.split())
    with FakeOAuth() as server:
        assert main(["check", server.url, *known]) == 0
        assert hint not in " ".join(capsys.readouterr().out.split())


# The suite of pytest


def test_pytest_runs_the_suite_over_three_transports(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--pyargs", "fake_oauth.contract", "-q")
    result.assert_outcomes(passed=3 * sum(COUNTS.values()))


def test_pytest_runs_the_suite_against_a_url(pytester: pytest.Pytester) -> None:
    settings = CONTROLLED.changed(refresh_policy="rotate", seed=1)
    with FakeOAuth(settings) as server:
        asked = ("--pyargs", "fake_oauth.contract", "-q", "-rs", "--oauth-url", server.url)
        result = pytester.runpytest_subprocess(*asked)
        assert set(result.parseoutcomes()) == {"passed", "skipped"}
        result.stdout.fnmatch_lines(["*would use up the code; allow it with --oauth-spend"])
        result = pytester.runpytest_subprocess(*asked, "--oauth-spend", "--oauth-dialect", "rfc")
        result.assert_outcomes(passed=COUNTS["rfc"])
        assert server.settings.refresh_policy == "rotate", "the fake is reset to its own settings"
        result = pytester.runpytest_subprocess(*asked, "--oauth-value", "x")
        result.stdout.fnmatch_lines(["*UsageError: --oauth-value: expected NAME=VALUE*"])


def test_pytest_runs_some_cases_only(pytester: pytest.Pytester) -> None:
    home = str(folder() / "ciam" / "jwks")
    suite = ("--pyargs", "fake_oauth.contract", "-q", "--oauth-cases", home)
    pytester.runpytest_subprocess(*suite).assert_outcomes(passed=3)


def test_pytest_reports_differences(pytester: pytest.Pytester, httpserver: Any) -> None:
    fake = FakeOAuth(Settings(compact_json=True))
    httpserver.expect_request(re.compile("/(?!_fake).*")).respond_with_handler(fake.handle)
    url = httpserver.url_for("").rstrip("/")
    result = pytester.runpytest_subprocess(
        *("--pyargs", "fake_oauth.contract", "-q", "--oauth-url", url, "--oauth-level", "strict"),
        *("--oauth-client-id", "TENANT_CLIENT_ID", "--oauth-client-secret", "TENANT_CLIENT_SECRET"),
        *("-k", "refresh_token.invalid_grant"),
    )
    case = BY_NAME["refresh_token.invalid_grant"]
    result.stdout.fnmatch_lines(
        [
            f"{case.title} ({case.source})",
            "layout of the body",
            "  expected:",
            "    {",
            '      "error" : "invalid_grant"',
            "    }",
            '  actual: {"error":"invalid_grant"}',
        ]
    )


def test_pytest_has_the_options_of_the_suite_only_for_the_suite(pytester: pytest.Pytester) -> None:
    def options(*asked: str) -> set[str]:
        out = pytester.runpytest_subprocess("--help", *asked).stdout.str()
        return set(re.findall(r"^  --oauth-([a-z-]+)", out, re.MULTILINE))

    assert options() == set()
    assert options("--pyargs", "fake_oauth.contract") >= {"url", "client-id", "spend", "case"}
    assert "only" not in options("--pyargs", "fake_oauth.contract.test_contract")


def test_a_server_that_ends_before_the_hints_has_its_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(_: object) -> None:
        raise UnreachableError("no response")

    monkeypatch.setattr("fake_oauth.contract.cli.dialect_of", ended)
    with FakeOAuth(Settings(dialect="rfc")) as server:
        assert main(["check", server.url]) == 1
    assert "differ" in capsys.readouterr().out


def test_values_are_filled_in_at_any_depth_of_json() -> None:
    body = json.dumps({"tokens": ["MOCK_REFRESH_TOKEN", {"client": "TENANT_CLIENT_ID"}], "n": 1})
    request = Request(
        method="POST", path="/x", headers={"Content-Type": "application/json"}, body=body
    )
    filled = fill(request, {"refresh_token": "R", "client_id": "web"})
    assert json.loads(filled.body or "") == {"tokens": ["R", {"client": "web"}], "n": 1}
