"""The contract's suite: it holds where it should, finds what is wrong, and gives no secret away."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from werkzeug import Request as WSGIRequest
from werkzeug import Response as WSGIResponse

from fake_oauth import Client, Dialect, FakeOAuth, FakeOAuthError, Settings, SettingsError, User
from fake_oauth.__main__ import main
from fake_oauth.contract.comparing import Answer, differences
from fake_oauth.contract.holes import Level
from fake_oauth.contract.hosts import Foreign, SkippedError, Steered
from fake_oauth.contract.members import Difference
from fake_oauth.contract.pages import Page, Request, Response, folder, pages, read
from fake_oauth.contract.report import Report
from fake_oauth.contract.running import Outcome, run, run_one
from fake_oauth.contract.transports import InProcess, UnreachableError, Wire
from fake_oauth.contract.values import filled, needed
from fake_oauth.dialects import DIALECTS
from fake_oauth.provider.grants import s256
from tests.test_command_line import stub

BY_NAME = {page.name: page for page in pages()}
STEERED = Settings(control=True)
RFC_PAGES = 57
METADATA = Dialect.RFC.paths["metadata"]


@pytest.mark.parametrize("level", ["strict", "loose"])
@pytest.mark.parametrize(("dialect", "count"), [(Dialect.CIAM, 53), (Dialect.RFC, RFC_PAGES)])
def test_every_page_holds_against_the_fake(dialect: Dialect, count: int, level: Level) -> None:
    host = Steered(InProcess(FakeOAuth(STEERED)), dialect)
    outcomes = run(pages(dialect.name), host, level)
    assert Counter(outcome.verdict for outcome in outcomes) == {"holds": count}


def test_the_suite_is_run_by_pytest_on_three_transports(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--pyargs", "fake_oauth.contract", "-q")
    result.assert_outcomes(passed=3 * (53 + RFC_PAGES))


def test_the_suite_run_by_pytest_needs_pyjwt(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys\nsys.modules['jwt'] = None\n")
    result = pytester.runpytest_subprocess("--pyargs", "fake_oauth.contract", "-q")
    result.stdout.fnmatch_lines(['*signatures need PyJWT: pip install "fake_oauth?check?"'])
    assert result.ret != 0


def test_the_suite_is_run_by_pytest_against_a_url(pytester: pytest.Pytester) -> None:
    with FakeOAuth(STEERED.changed(rotate_refresh_tokens=True, seed=1)) as server:
        asked = ("--pyargs", "fake_oauth.contract", "-q", "-rs", "--oauth-url", server.url)
        result = pytester.runpytest_subprocess(*asked)
        assert set(result.parseoutcomes()) == {"passed", "skipped"}
        result.stdout.fnmatch_lines(["*would spend the code: --oauth-spend"])
        result = pytester.runpytest_subprocess(*asked, "--oauth-spend")
        result.assert_outcomes(passed=53)
        result = pytester.runpytest_subprocess(
            *asked, "--oauth-pages", str(folder() / "ciam" / "jwks")
        )
        result.assert_outcomes(passed=1)
        result = pytester.runpytest_subprocess(*asked, "--oauth-spend", "--oauth-dialect", "rfc")
        result.assert_outcomes(passed=RFC_PAGES)
        server.start_over(STEERED.changed(dialect="rfc"))
        result = pytester.runpytest_subprocess(*asked, "--oauth-spend")
        result.assert_outcomes(passed=RFC_PAGES)
        result = pytester.runpytest_subprocess(*asked, "--oauth-dialect", "rcf")
        result.stdout.fnmatch_lines(["*there are no pages for the dialect rcf: say ciam or rfc"])
        assert server.settings.rotate_refresh_tokens, "it has begun again as its own settings say"


def test_the_suite_tells_what_differs(pytester: pytest.Pytester, httpserver: Any) -> None:
    fake = FakeOAuth(Settings(compact_json=True))
    httpserver.expect_request(re.compile("/(?!_fake).*")).respond_with_handler(fake.handle)
    url = httpserver.url_for("").rstrip("/")
    result = pytester.runpytest_subprocess(
        *("--pyargs", "fake_oauth.contract", "-q", "--oauth-url", url, "--oauth-level", "strict"),
        *("--oauth-client-id", "TENANT_CLIENT_ID", "--oauth-client-secret", "TENANT_CLIENT_SECRET"),
    )
    result.stdout.fnmatch_lines(
        [
            "A refresh token that is wrong buys nothing (CIAM 1441/64400; contract, rule 9)",
            "layout of the body",
            "  expected:",
            "    {",
            '      "error" : "invalid_grant"',
            "    }",
            '  actual: {"error":"invalid_grant"}',
        ]
    )


def test_every_documented_exchange_has_its_page() -> None:
    counted = Counter(page.name.partition(".")[0] for page in pages())
    assert counted.total() == 53
    assert all(page.title and page.source for page in pages())
    for dialect in DIALECTS.values():
        folders = {path.parent.name for path in folder().glob(f"{dialect.name}/*/*")}
        assert folders == set(dialect.paths) - {"login", "resource"}


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
    wanted = Response(status=200, claims={"id_token": {"sub": "alice"}})
    found = differences(wanted, Answer(200, {}, body.encode()), {}, "loose")
    assert found == [Difference("body $.id_token", "a JWT", actual)]


def test_a_page_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('title = "x"\nsorce = "y"\n[request]\nmethod = "GET"\n', encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read(path)
    assert [str(problem) for problem in caught.value.problems] == [
        "a.toml: $.source: missing, and there is no default",
        "a.toml: $.request.path: missing, and there is no default",
        "a.toml: $.response: missing, and there is no default",
        "a.toml: $.sorce: unknown key, did you mean 'source'?",
    ]


def test_values_are_put_wherever_they_stand() -> None:
    values = {"client_id": "a b", "client_secret": "ü:", "phone_number": "1", "code": "c&d"}
    post = BY_NAME["authorization_code.success"].request
    assert (filled(post, values).body or "").startswith("client_id=a+b&client_secret=%C3%BC%3A&")
    assert "code=c%26d&" in (filled(post, values).body or "")
    basic = filled(BY_NAME["otp_send.success"].request, values)
    assert basic.headers["Authorization"] == "Basic YSUyMGI6JUMzJUJDJTNB"
    assert json.loads(basic.body or "")["phone_number"] == "1"
    assert "client_id=a%20b&" in filled(BY_NAME["authorize.logged_in"].request, values).path
    unreadable = replace(BY_NAME["otp_send.success"].request, body="WRONG")
    assert filled(unreadable, values).body == "WRONG"
    bearer = filled(BY_NAME["userinfo.success"].request, {"access_token": "t"})
    assert bearer.headers == {"Authorization": "Bearer t"}


def test_values_that_a_page_needs_are_read_off_it() -> None:
    assert needed(BY_NAME["pkce.success"].request) == [
        "client_id",
        "redirect_uri",
        "code",
        "code_verifier",
    ]
    assert needed(BY_NAME["authorize.not_logged_in"].request) == [
        "client_id",
        "redirect_uri",
        "code_challenge",
    ]
    assert needed(BY_NAME["userinfo.bad_token"].request) == []


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


def foreign(fake: FakeOAuth, *, spends: bool = False, **more: str) -> Foreign:
    return Foreign(InProcess(fake), {**KNOWN, **more}, spends=spends)


def why(host: Foreign, name: str) -> str:
    with pytest.raises(SkippedError) as caught, host.ready(BY_NAME[name]):
        pass
    return str(caught.value)


def test_a_server_with_other_values_holds_by_what_it_means() -> None:
    fake = FakeOAuth(OTHER)
    token = fake.issue().refresh_token or ""
    host = foreign(fake, spends=True, refresh_token=token, code=fake.issue_code())
    outcomes = {outcome.page.name: outcome for outcome in run(pages(), host)}
    held = {name for name, outcome in outcomes.items() if outcome.verdict == "holds"}
    assert held >= {
        "authorization_code.success",
        "authorize.not_logged_in",
        "client_credentials.bad_client",
        "discovery.success",
        "jwks.success",
        "refresh_token.success",
        "userinfo.no_user",
    }
    assert "differs" not in {outcome.verdict for outcome in outcomes.values()}


def test_what_cannot_be_run_says_what_it_would_take() -> None:
    fake = FakeOAuth(OTHER)
    host = foreign(fake)
    assert why(host, "password.user_locked") == "needs a server where the user is locked"
    assert why(host, "authorization_code.success") == "would spend the code: --spend"
    assert why(host, "authorization_code.bad_grant_type") == "needs --value code=…"
    assert why(host, "otp.bad_otp") == (
        "needs an OTP that was sent: --value otp=… --value otp_token=…"
    )
    spending = foreign(fake, spends=True)
    assert why(spending, "refresh_token.success") == "needs --refresh-token"
    bare = Foreign(InProcess(fake), {})
    assert why(bare, "refresh_token.invalid_grant") == "needs --client-id, --client-secret"
    assert why(bare, "userinfo.no_user") == "needs --client-id, --client-secret"
    wrong = foreign(fake, client_secret="wrong")
    assert why(wrong, "userinfo.no_user") == (
        "needs a client that may use client_credentials, its secret in the body"
    )


def test_a_server_of_the_standards_is_asked_where_its_metadata_say(tmp_path: Path) -> None:
    known = ("discovery", "metadata")
    other = replace(
        Dialect.RFC,
        conventions=replace(Dialect.RFC.conventions, texts={}, expires_in_less=10),
        paths={
            name: path if name in known else f"/realms/acme{path}"
            for name, path in Dialect.RFC.paths.items()
        },
        headers=(*Dialect.RFC.headers, ("Server", "acme")),
    )
    settings = OTHER.changed(dialect=other, rotate_refresh_tokens=True, compact_json=False)
    with FakeOAuth(settings) as server:
        given = {
            **{name: KNOWN[name] for name in ("client_id", "client_secret")},
            "refresh_token": server.issue().refresh_token or "",
        }
        code = server.issue_code(redirect_uri=KNOWN["redirect_uri"])
        more = {"code": code} | {name: value for name, value in KNOWN.items() if name not in given}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        options += [f"--value={name}={value}" for name, value in more.items()]
        path = tmp_path / "report.json"
        asked = ["check", server.url, "--dialect", "rfc", "--spend", "--json", str(path), *options]
        assert main(asked) == 0
    told = {page["page"]: page for page in json.loads(path.read_text())["pages"]}
    assert Counter(page["verdict"] for page in told.values()) == {"holds": 32, "skipped": 25}
    assert told["authorization_code.success"]["verdict"] == "holds"
    why = "needs another code: authorization_code.success has spent it"
    assert told["authorization_code.used"]["why"] == why
    endpoints = {exchange.endpoint for exchange in server.journal}
    assert endpoints >= {
        "token",
        "revoke",
        "introspect",
        "userinfo",
        "jwks",
        "authorize",
        "metadata",
    }


def test_a_fake_on_another_address_is_steered_with_its_token(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FakeOAuth(STEERED, host="0.0.0.0") as server:  # noqa: S104
        url = server.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        given = ("--control-token", server.control_token or "")
        assert main(["check", url, *given, "--spend"]) == 0
        assert "53 hold, 0 differ, 0 skipped" in capsys.readouterr().out
        assert main(["check", url, "--control-token", "wrong"]) == 2
        assert f"{url}/_fake/ does not take the control token" in capsys.readouterr().err
        main(["check", url])
        assert "refresh_token.invalid_grant        skipped" in capsys.readouterr().out


def test_a_dialect_of_ones_own_has_no_pages(capsys: pytest.CaptureFixture[str]) -> None:
    own = replace(Dialect.RFC, name="acme")
    with FakeOAuth(STEERED.changed(dialect=own)) as server:
        assert main(["check", server.url]) == 2
        told = "there are no pages for the dialect acme: say ciam or rfc"
        assert told in capsys.readouterr().err
        assert main(["check", server.url, "--dialect", "rfc"]) == 0


def test_what_a_server_does_not_say_that_it_has_is_not_asked_for() -> None:
    paths = dict(Dialect.RFC.paths)
    for name in ("introspect", "metadata"):
        del paths[name]
    conventions = replace(Dialect.RFC.conventions, grants=("refresh_token",))
    own = replace(Dialect.RFC, paths=paths, conventions=conventions)
    client = replace(OTHER.clients[0], token_endpoint_auth_methods=["client_secret_basic"])
    fake = FakeOAuth(OTHER.changed(dialect=own, clients=[client]))
    host = Foreign(InProcess(fake), KNOWN, dialect=Dialect.RFC)
    by_name = {page.name: page for page in pages("rfc")}

    def said(name: str) -> str:
        with pytest.raises(SkippedError) as caught, host.ready(by_name[name]):
            pass
        return str(caught.value)

    assert (
        said("introspect.unknown") == "needs a server that says where its introspection_endpoint is"
    )
    assert said("metadata.success") == f"needs a server with metadata at {METADATA}"
    grant = "needs a server that supports the grant client_credentials"
    assert said("client_credentials.success") == grant
    assert said("client.in_body") == "needs a server that takes client_secret_post"
    for name in ("grant_type.unsupported", "refresh_token.unknown", "revoke.unknown"):
        assert run_one(by_name[name], host).verdict == "holds"


def test_a_server_that_says_nothing_is_asked_all() -> None:
    paths = dict(Dialect.RFC.paths)
    for name in ("metadata", "discovery"):
        del paths[name]
    fake = FakeOAuth(Settings(dialect=replace(Dialect.RFC, paths=paths)))
    host = Foreign(InProcess(fake), {}, dialect=Dialect.RFC)
    verdicts = {one.page.name: one.verdict for one in run(pages("rfc"), host)}
    assert verdicts["introspect.no_client"] == verdicts["revoke.no_client"] == "holds"
    assert verdicts["metadata.success"] == "differs"


def test_a_fake_is_held_to_the_pages_of_its_own_dialect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FakeOAuth(Settings(dialect="rfc", control=True)) as server:
        assert main(["check", server.url, "--spend"]) == 0
        assert f"{RFC_PAGES} hold, 0 differ, 0 skipped" in capsys.readouterr().out
        assert main(["check", server.url]) == 0
        assert main(["check", server.url, "--dialect", "ciam"]) == 1


def test_pages_are_chosen_by_name_and_taken_to_be_set_up(
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

    assert "3 hold, 0 differ, 1 skipped" in checked("--page", "pkce.b*", "--page=authorize.logged*")
    assert "1 hold, 0 differ, 0 skipped" in checked("--page", "pkce.success", "--spend")
    assert re.search(r"pkce\.bad_code +skipped +needs a server where the client is", checked())
    bob = User(sub="u-2", username="bob", password="pw", status="locked")
    settings = OTHER.changed(users=[*OTHER.users, bob])
    locked = ("password.user_locked", "username=bob", "password=pw", "client_secret=s3cret")
    page, *values = (*locked, "password_auth_source=MOCK_USERNAME_PASSWORD_AUTH_SOURCE_ID")
    asked = ("--page", page, *(f"--value={value}" for value in values))
    assert "1 hold, 0 differ, 0 skipped" in checked(*asked)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("refresh_tokn.success", "did you mean 'refresh_token.success'?"),
        ("x*", "expected one of 'authorize.bad_challenge_method', "),
    ],
)
def test_a_page_that_is_not_there_is_told(
    name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeOAuth() as server:
        assert main(["check", server.url, "--page", name]) == 2
    assert f"fake-oauth: there is no page {name}, {said}" in capsys.readouterr().err


def test_pytest_has_every_option_of_the_check_that_is_about_the_server(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    of_check = set(re.findall(r"^  --([a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    result = pytester.runpytest_subprocess("--help")
    of_pytest = set(re.findall(r"^  --oauth-([a-z-]+)", result.stdout.str(), re.MULTILINE))
    assert of_pytest - {"url"} == of_check - {"junit", "json"}


def test_how_else_pages_could_be_run_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeOAuth(STEERED) as server:
        main(["check", server.url])
        assert "--spend makes it anew for every page, and runs them all." in capsys.readouterr().out
        main(["check", server.url, "--spend"])
        assert (
            capsys.readouterr().out.rstrip().endswith("53 hold, 0 differ, 0 skipped (ciam, strict)")
        )
    with FakeOAuth() as server:
        main(["check", server.url])
        assert "set up as a page needs it: --page NAME." in capsys.readouterr().out


def test_the_issuer_is_given_or_asked_for() -> None:
    def issuer(**given: str) -> str:
        host = Foreign(InProcess(FakeOAuth()), given)
        with host.ready(BY_NAME["jwks.success"]) as values:
            return values["issuer"]

    assert issuer() == "http://localhost"
    assert issuer(issuer="https://i.example") == "https://i.example"

    class Silent:
        url = "x"

        def send(self, _: Request) -> Answer:
            return Answer(404, {}, b"")

    with Foreign(Silent(), {}).ready(BY_NAME["jwks.success"]) as values:
        assert values["issuer"] == "<issuer>"


def told(response: Response, answer: Answer, level: Level = "loose") -> list[Difference]:
    return differences(response, answer, {}, level)


def test_what_is_optional_may_be_missing_or_anything_in_meaning() -> None:
    wanted = Response(
        status=200,
        body='{"a":"<text>","b_supported":["x"],"c":"<time>"}',
        headers={"Location": "https://x/?e=<text>&s=1"},
        optional=["a", "e", "b_supported"],
    )
    headers = {"Location": "https://x/?s=1", "Content-Length": "16"}
    answer = Answer(200, headers, b'{"c":1700000000}')
    assert told(wanted, answer) == []
    assert [one.where for one in told(wanted, answer, "strict")] == [
        "header Location",
        "body $.a",
        "body $.b_supported",
    ]
    other = Answer(200, wanted.headers, b'{"a":[1],"b_supported":["y"],"c":1.5}')
    assert [one.where for one in told(wanted, other)] == ["body $.a", "body $.c"]
    there = {"Location": "https://x/?e=an%20error&s=1", "Content-Length": "53"}
    full = b'{"a":"some text","b_supported":["x"],"c":1700000000}\n'
    assert told(wanted, Answer(200, there, full[:-1] + b" ")) == []


def test_differences_say_where_and_what() -> None:
    wanted = Response(
        status=200, headers={"X": "1"}, body='{"a": {"b": [1, "x"]}, "scope": "a b", "n": 1}'
    )
    answer = Answer(201, {"x": "2"}, b'{"a": {"b": [1, "y"]}, "scope": "b a", "n": true}')
    assert told(wanted, answer) == [
        Difference("status", "200", "201"),
        Difference("body $.a.b[1]", '"x"', '"y"'),
        Difference("body $.n", "1", "true"),
    ]
    assert told(wanted, answer, "strict")[1] == Difference("header X", "1", "2")
    granted = Response(status=200, body='{"a": 1}')
    refused = Answer(200, {}, b'{"a": 1, "error": "invalid_grant", "error_description": "No."}')
    assert told(granted, refused) == [
        Difference("body $.error", "(not there)", '"invalid_grant"'),
        Difference("body $.error_description", "(not there)", '"No."'),
    ]
    assert told(wanted, Answer(200, {}, b"")) == [
        Difference("header X", "1", "(missing)"),
        Difference("body", wanted.body or "", "(empty)"),
    ]
    nothing, something = replace(wanted, body="", headers={}), Answer(200, {}, b"x")
    assert told(nothing, something) == []
    assert told(replace(nothing, body="<any>"), something) == []
    assert told(nothing, something, "strict")[-1] == Difference("body", "(empty)", "x")


def test_an_audience_may_be_a_list_and_scopes_may_be_text() -> None:
    def token(payload: Mapping[str, Any]) -> bytes:
        encoded = urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
        return json.dumps({"t": f"e30.{encoded}.x"}).encode()

    wanted = Response(status=200, claims={"t": {"aud": "web", "scope": ["a", "b"]}})
    assert not told(wanted, Answer(200, {}, token({"aud": ["api", "web"], "scope": "b a"})))
    assert told(wanted, Answer(200, {}, token({"aud": "api", "scope": ["a"]}))) == [
        Difference("t claim aud", '"web"', '"api"'),
        Difference("t claim scope", '["a", "b"]', '["a"]'),
    ]


def test_a_server_that_does_not_answer_is_told() -> None:
    with FakeOAuth() as server:
        url = server.url
    with pytest.raises(UnreachableError, match=f"{url} does not answer: .*refused"):
        Wire(url).send(Request(method="GET", path="/"))


def test_a_server_that_cannot_be_steered_is_told() -> None:
    host = Steered(InProcess(FakeOAuth()))
    with pytest.raises(FakeOAuthError, match="in process/_fake/reset: "), host.ready(pages()[0]):
        pass


def test_https_is_spoken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeOAuth(STEERED.changed(tls=True)) as server:
        path = tmp_path / "ca.pem"
        path.write_text(server.ca_pem, encoding="utf-8")
        assert main(["check", server.url, "--ca-file", str(path)]) == 0
    assert "0 differ" in capsys.readouterr().out


def test_the_command_checks_a_stub(capsys: pytest.CaptureFixture[str]) -> None:
    with stub() as running:
        assert main(["check", running.url]) == 0
        out = capsys.readouterr().out
        assert re.search(r"refresh_token\.invalid_grant +holds", out)
        assert re.search(r"refresh_token\.success +skipped +would spend the refresh token", out)
        assert re.search(rf"{running.url}: \d\d hold, 0 differ, \d\d skipped", out)
        assert main(["check", running.url, "--spend"]) == 0
        assert "53 hold, 0 differ, 0 skipped" in capsys.readouterr().out
        assert json.loads(running.refresh())["refresh_token"] == "MOCK_REFRESH_TOKEN"


def test_the_command_shows_what_differs_side_by_side(
    capsys: pytest.CaptureFixture[str], httpserver: Any, tmp_path: Path
) -> None:
    def wrong(_: WSGIRequest) -> WSGIResponse:
        return WSGIResponse('{"error": "nope [/]"}\x01', 418, content_type="text/plain")

    httpserver.expect_request(re.compile(".*")).respond_with_handler(wrong)
    url = httpserver.url_for("").rstrip("/")
    junit = tmp_path / "junit.xml"
    asked = ["check", url, "--client-id", "web", "--client-secret", "s3cret-s3cret"]
    assert main([*asked, "--junit", str(junit)]) == 1
    out = capsys.readouterr().out
    assert "refresh_token.invalid_grant: A refresh token that is wrong" in out
    assert re.search(r"│ status +│ 400 +│ 418 +│", out)
    assert "s3cret-s3cret" not in out
    suite = ET.parse(junit).getroot()  # noqa: S314
    assert suite.attrib["tests"] == "53"
    assert int(suite.attrib["failures"]) + int(suite.attrib["skipped"]) == 53
    failure = suite.find("testcase[@name='invalid_grant']/failure")
    assert failure is not None
    assert "status\n  expected: 400\n  actual: 418" in (failure.text or "")


def test_the_command_writes_json_instead_of_a_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    with FakeOAuth(STEERED) as server:
        junit = path.with_suffix(".xml")
        asked = ["check", server.url, "--json", str(path), "--junit", str(junit)]
        assert main(asked) == 0
    assert ET.parse(junit).getroot().attrib["failures"] == "0"  # noqa: S314
    assert capsys.readouterr().out == ""
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["counted"]["holds"] + report["counted"]["skipped"] == 53
    by_name = {page["page"]: page for page in report["pages"]}
    assert by_name["userinfo.no_token"] == {
        "page": "userinfo.no_token",
        "title": BY_NAME["userinfo.no_token"].title,
        "source": BY_NAME["userinfo.no_token"].source,
        "verdict": "holds",
        "why": "",
        "differences": [],
    }


def test_the_command_takes_values_from_settings_and_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "fake.toml"
    path.write_text(
        '[[clients]]\nclient_id = "web"\nclient_secret = "s3cret"\n'
        'redirect_uris = ["https://web.example/"]\n[[users]]\nsub = "u-1"\npassword = "pw"\n'
        '[[refresh_tokens]]\nvalue = "R-1"\n',
        encoding="utf-8",
    )
    settings = Settings.from_toml(path)
    with FakeOAuth(settings) as server:
        asked = ["check", server.url, "--settings", str(path), "--spend"]
        assert main(asked) == 0
        out = capsys.readouterr().out
        assert re.search(r"refresh_token\.success +holds", out)
        assert re.search(r"password\.success +holds", out)
        bare = path.with_name("bare.toml")
        bare.write_text("clients = []\nusers = []\nrefresh_tokens = []\n", encoding="utf-8")
        assert main(["check", server.url, "--settings", str(bare), "--value", "code=x"]) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--value", "cod=x"], "--value cod=x: there is no 'cod', did you mean 'code'?"),
        (["--value", "code"], "--value code: expected NAME=VALUE"),
        (["--json", "/nowhere/x.json"], "cannot write /nowhere/x.json: No such file"),
        (["--settings", "/nowhere.toml"], "/nowhere.toml"),
        (["--ca-file", "/nowhere.pem"], "cannot read /nowhere.pem: "),
    ],
)
def test_what_is_wrong_with_the_command_is_told(
    capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    with FakeOAuth(STEERED) as server:
        assert main(["check", server.url, *more]) == 2
    err = capsys.readouterr().err
    assert err.startswith("fake-oauth: ")
    assert said in err


@pytest.mark.parametrize("kind", ["json", "junit"])
def test_what_is_for_machines_may_go_to_standard_output(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeOAuth(STEERED) as server:
        assert main(["check", server.url, f"--{kind}", "-"]) == 0
    out = capsys.readouterr().out
    if kind == "json":
        assert json.loads(out)["held_to"] == "ciam, strict"
    else:
        assert ET.fromstring(out[out.index("<?xml") :]).attrib["tests"] == "53"  # noqa: S314


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_table_that_cannot_be_printed_is_told() -> None:
    with FakeOAuth(STEERED) as server, Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "fake_oauth", "check", server.url]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "fake-oauth: No space left on device\n")


def test_where_nothing_can_be_checked_nothing_is_passed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    skipping = [page for page in pages() if page.state]
    monkeypatch.setattr("fake_oauth.contract.command.pages", lambda _: skipping)
    with FakeOAuth() as server:
        assert main(["check", server.url]) == 2
    assert "nothing could be checked" in capsys.readouterr().err


def test_the_table_says_what_it_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rich.console", None)
    with FakeOAuth(STEERED) as server:
        assert main(["check", server.url]) == 2
        assert 'pip install "fake_oauth[check]"' in capsys.readouterr().err
        assert main(["check", server.url, "--json", "-"]) == 0


def test_a_table_in_a_file_is_as_wide_as_it_has_to_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    with FakeOAuth(STEERED) as server:
        main(["check", server.url])
    assert (
        "refresh_token.success              skipped  would spend the refresh token, where it r"
        in (capsys.readouterr().out)
    )


def test_a_report_gives_no_token_away_that_came() -> None:
    body = b'{"refresh_token": "RT-3de9f6", "error": "RT-3de9f6", "data": {"otp": "1.2-3"}}'
    one = Difference("body", '"<token>"', '"RT-3de9f6" 1.2-3')
    answer = Answer(302, {"Location": "/?code=c-short"}, body)
    two = Difference("header Location", "/", "/?code=c-short")
    page = BY_NAME["refresh_token.success"]
    outcome = Outcome(page=page, verdict="differs", differences=(one, two), answer=answer)
    report = Report("http://x", [outcome], {})
    assert [shown.actual for shown in report.differences(outcome)] == [
        '"(9 characters)" (5 characters)',
        "/?code=(7 characters)",
    ]


def test_a_report_gives_no_secret_away() -> None:
    page: Page = BY_NAME["refresh_token.success"]
    jwt = f"{'a' * 20}.{'b' * 20}.{'c' * 20}"
    one = Difference("body", f"s3cret {jwt}", f"t0ken {'x' * 128} short")
    outcome = Outcome(page=page, verdict="differs", differences=(one,))
    values = {"client_secret": "s3cret", "refresh_token": "t0ken", "client_id": "web"}
    report = Report("http://x", [outcome], {**values, "code": "s"})
    assert report.differences(outcome) == [Difference("body", "*** aaaaaa…", "*** xxxxxx… short")]
    assert "s3cret" not in json.dumps(report.as_json())
    odd = Report("http://x", [], {"password": 'pa"ss wö/rd'})
    assert odd.shown(r'pa"ss wö/rd pa\"ss w\u00f6/rd pa%22ss+w%C3%B6%2Frd') == "*** *** ***"
    assert odd.shown("pa%22ss%20w%C3%B6/rd") == "***"
    assert b"t0ken" not in report.as_junit()
