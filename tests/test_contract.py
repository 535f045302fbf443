"""The contract's suite: it holds where it should, finds what is wrong, and gives no secret away."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from werkzeug import Request as WSGIRequest
from werkzeug import Response as WSGIResponse

from fake_oauth import Client, FakeOAuth, FakeOAuthError, Settings, SettingsError, User
from fake_oauth.__main__ import main
from fake_oauth.contract.comparing import Answer, Difference, Level, differences
from fake_oauth.contract.hosts import (
    Foreign,
    InProcess,
    SkippedError,
    Steered,
    UnreachableError,
    Wire,
)
from fake_oauth.contract.openapi import DESCRIBED, document
from fake_oauth.contract.pages import Page, Request, Response, folder, pages, read
from fake_oauth.contract.report import Report
from fake_oauth.contract.running import Outcome, run, run_one
from fake_oauth.contract.values import filled, needed
from fake_oauth.provider.grants import GRANTS
from fake_oauth.provider.tokens import opened
from fake_oauth.reply import pretty
from fake_oauth.web.endpoints import ENDPOINTS
from tests.test_command_line import stub

BY_NAME = {page.name: page for page in pages()}
STEERED = Settings(control=True)
Change = Callable[[Answer], Answer | None]


class Wrong:
    """A fake that answers every page a little otherwise."""

    url = "a wrong server"

    def __init__(self, change: Change) -> None:
        self.is_asked = False
        self.changed: list[str] = []
        self._change = change
        self._right = InProcess(FakeOAuth(STEERED))

    def send(self, request: Request) -> Answer:
        answer = self._right.send(request)
        if request.path.startswith("/_fake") or not self.is_asked:
            return answer
        changed = self._change(answer)
        if changed is None or changed == answer:
            return answer
        self.changed.append(request.path)
        return changed


class Asked(Steered):
    """Makes ready what a page needs with a server that is right, and asks it when it is wrong."""

    def __init__(self, wrong: Wrong) -> None:
        super().__init__(wrong)
        self._wrong = wrong

    @contextmanager
    def ready(self, page: Page) -> Iterator[Mapping[str, str]]:
        with super().ready(page) as values:
            self._wrong.is_asked = True
            yield values


def status(was: int, now: int) -> Change:
    return lambda answer: replace(answer, status=now) if answer.status == was else None


def header(name: str, value: str | None, was: str = "") -> Change:
    """Another value for a header, or none at all, where it has `was` in it."""

    def change(answer: Answer) -> Answer | None:
        if was not in answer.headers.get(name, "(missing)"):
            return None
        headers = {n: v for n, v in answer.headers.items() if n != name}
        return replace(answer, headers=headers if value is None else {**headers, name: value})

    return change


def body(make: Callable[[bytes], bytes]) -> Change:
    def change(answer: Answer) -> Answer | None:
        if not answer.body:
            return None
        made = make(answer.body)
        return replace(
            answer, body=made, headers={**answer.headers, "Content-Length": str(len(made))}
        )

    return change


def members(make: Callable[[dict[str, Any]], object]) -> Change:
    """Another body in the documented layout, or none if `make` finds nothing to change."""

    def change(answer: Answer) -> Answer | None:
        if not answer.body:
            return None
        data = json.loads(answer.body)
        before = list(data.items())
        make(data)
        if list(data.items()) == before:
            return None
        return body(lambda _: pretty(data).encode())(answer)

    return change


def member(name: str, value: Any, was: Any = ...) -> Change:
    def make(data: dict[str, Any]) -> None:
        if name in data and was in (..., data[name]):
            data[name] = value

    return members(make)


def without(name: str) -> Change:
    return members(lambda data: data.pop(name, None))


def claims(token: str, make: Callable[[dict[str, Any]], object]) -> Change:
    """Another payload in a token; the signature is that of the first one."""

    def change(data: dict[str, Any]) -> None:
        if token in data:
            _, payload = opened(data[token])
            before = list(payload.items())
            make(payload)
            if list(payload.items()) != before:
                encoded = urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
                head, _, signature = data[token].split(".")
                data[token] = f"{head}.{encoded}.{signature}"

    return members(change)


def rearranged(data: dict[str, Any]) -> None:
    items = list(data.items())
    data.clear()
    data.update(reversed(items))


BASIC = "application/json;charset=UTF-8"
# What a wrong server does, and whether it is wrong in what it means too.
DEVIATIONS: dict[str, tuple[Change, bool]] = {
    "201 for 200": (status(200, 201), True),
    "401 for 400": (status(400, 401), True),
    "400 for 401": (status(401, 400), True),
    "303 for 302": (status(302, 303), True),
    "400 for 404": (status(404, 400), True),
    "500 for 503": (status(503, 500), True),
    "401 for 403": (status(403, 401), True),
    "no charset": (header("Content-Type", "application/json", BASIC), False),
    "another charset": (header("Content-Type", "application/json;charset=GBK", BASIC), False),
    "a content type of HTML": (header("Content-Type", "text/html", "json"), True),
    "no content type": (header("Content-Type", None, "json"), True),
    "a content type without a body": (header("Content-Type", "text/plain", "(missing)"), False),
    "a wrong length": (header("Content-Length", "7"), False),
    "no Cache-Control": (header("Cache-Control", None, "no-cache"), True),
    "replies that may be stored": (header("Cache-Control", "max-age=60", "no-cache"), False),
    "no Location": (header("Location", None, ":"), True),
    "another Location": (header("Location", "https://evil.example/", ":"), True),
    "a Location without state": (
        header("Location", "https://example.com/callback?code=x", "state"),
        True,
    ),
    "no challenge": (header("WWW-Authenticate", None, "Bearer"), True),
    "another challenge": (header("WWW-Authenticate", "Bearer", "Bearer"), False),
    "JSON in one line": (body(lambda b: json.dumps(json.loads(b)).encode()), False),
    "a final newline": (body(lambda b: b + b"\n"), False),
    "members in another order": (members(rearranged), False),
    "an empty body": (body(lambda _: b""), True),
    "a page of HTML": (body(lambda _: b"<p>error</p>"), True),
    "a body that is not UTF-8": (body(lambda b: b[:-1] + b"\xff"), True),
    "one member more": (members(lambda data: data.update(x=1)), False),
    "null for what does not apply": (members(lambda data: data.setdefault("refresh_token")), False),
    "another error": (member("error", "server_error"), True),
    "no error": (without("error"), True),
    "another description": (member("error_description", "No."), False),
    "no description": (without("error_description"), True),
    "another error_uri": (member("error_uri", "https://example.com"), False),
    "no access token": (without("access_token"), True),
    "an opaque access token": (member("access_token", "opaque"), True),
    "no refresh token": (without("refresh_token"), True),
    "a short refresh token": (member("refresh_token", "short"), False),
    "no id_token": (without("id_token"), True),
    "no token_type": (without("token_type"), True),
    "another token_type": (member("token_type", "MAC"), True),
    "expires_in as text": (member("expires_in", "299"), True),
    "another expires_in": (member("expires_in", 300), False),
    "another scope": (member("scope", "profile"), True),
    "scopes as a list": (member("scope", ["openid"]), True),
    "no sub in userinfo": (without("sub"), True),
    "another user": (member("sub", "MOCK_OTHER"), True),
    "no keys": (member("keys", []), True),
    "no jwks_uri": (without("jwks_uri"), True),
    "another issuer": (member("issuer", "https://evil.example"), True),
    "no otp_token": (without("otp_token"), True),
    "an access token of another user": (claims("access_token", lambda c: c.update(sub="x")), True),
    "an access token for others": (claims("access_token", lambda c: c.update(aud="x")), True),
    "an access token without jti": (claims("access_token", lambda c: c.pop("jti")), True),
    "scopes of a token as text": (
        claims("access_token", lambda c: c.update(scope=" ".join(c["scope"]))),
        False,
    ),
    "claims in another order": (claims("access_token", rearranged), False),
    "an id_token without azp": (claims("id_token", lambda c: c.pop("azp")), True),
    "a lifetime that is no number": (claims("id_token", lambda c: c.update(exp="soon")), True),
}


def found(change: Change, level: Level) -> tuple[set[str], set[str]]:
    """The pages whose answers are changed, and those that find it."""
    changed, differing = set(), set()
    for page in pages():
        wrong = Wrong(change)
        outcome = run_one(page, Asked(wrong), level)
        changed |= {page.name} if wrong.changed else set()
        differing |= {page.name} if outcome.verdict == "differs" else set()
    return changed, differing


@pytest.mark.parametrize("name", DEVIATIONS)
def test_a_wrong_server_is_found(name: str) -> None:
    change, in_meaning = DEVIATIONS[name]
    changed, differing = found(change, "strict")
    assert differing
    assert differing <= changed, "a page differs whose answer is right"
    assert bool(found(change, "loose")[1]) == in_meaning


def test_every_page_finds_something() -> None:
    unshaken = set(BY_NAME)
    for change, _ in DEVIATIONS.values():
        unshaken -= found(change, "strict")[1]
    assert not unshaken


@pytest.mark.parametrize("level", ["strict", "loose"])
def test_every_page_holds_against_the_fake(level: Level) -> None:
    host = Steered(InProcess(FakeOAuth(STEERED)))
    assert Counter(outcome.verdict for outcome in run(pages(), host, level)) == {"holds": 53}


def test_the_suite_is_run_by_pytest_on_three_transports(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--pyargs", "fake_oauth.contract", "-q")
    result.assert_outcomes(passed=3 * 53)


def test_the_suite_is_run_by_pytest_against_a_url(pytester: pytest.Pytester) -> None:
    with FakeOAuth(STEERED.changed(rotate_refresh_tokens=True, seed=1)) as server:
        asked = ("--pyargs", "fake_oauth.contract", "-q", "--oauth-url", server.url)
        result = pytester.runpytest_subprocess(*asked)
        assert set(result.parseoutcomes()) == {"passed", "skipped"}
        result = pytester.runpytest_subprocess(*asked, "--oauth-spend")
        result.assert_outcomes(passed=53)
        result = pytester.runpytest_subprocess(*asked, "--oauth-pages", str(folder() / "jwks"))
        result.assert_outcomes(passed=1)
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
    folders = {path.parent.name for path in (Path(__file__).parents[1] / "fixtures").glob("*/*")}
    assert folders == set(ENDPOINTS) - {"login", "resource"}


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
    bearer = filled(BY_NAME["userinfo.success"].request, {"access_token": "t"})
    assert bearer.headers == {"Authorization": "Bearer t"}


def test_values_that_a_page_needs_are_read_off_it() -> None:
    assert needed(BY_NAME["pkce.success"]) == ["client_id", "redirect_uri", "code", "code_verifier"]
    assert needed(BY_NAME["authorize.not_logged_in"]) == [
        "client_id",
        "redirect_uri",
        "code_challenge",
    ]
    assert needed(BY_NAME["userinfo.bad_token"]) == []


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
    assert why(wrong, "userinfo.no_user") == "needs a client that may use client_credentials"


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
    assert told(wanted, Answer(200, {}, b"")) == [
        Difference("header X", "1", "(missing)"),
        Difference("body", wanted.body or "", "(empty)"),
    ]
    assert told(replace(wanted, body="", headers={}), Answer(200, {}, b"x")) == [
        Difference("body", "(empty)", "x")
    ]


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
        (["--value", "cod=x"], "--value cod=x: expected NAME=VALUE, and 'cod' is "),
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


def test_a_report_gives_no_secret_away() -> None:
    page: Page = BY_NAME["refresh_token.success"]
    jwt = f"{'a' * 20}.{'b' * 20}.{'c' * 20}"
    one = Difference("body", f"s3cret {jwt}", f"t0ken {'x' * 128} short")
    outcome = Outcome(page=page, verdict="differs", differences=(one,))
    values = {"client_secret": "s3cret", "refresh_token": "t0ken", "client_id": "web"}
    report = Report("http://x", [outcome], values)
    assert report.differences(outcome) == [Difference("body", "*** aaaaaa…", "*** xxxxxx… short")]
    assert "s3cret" not in json.dumps(report.as_json())
    assert b"t0ken" not in report.as_junit()


def test_the_description_has_a_copy_in_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi"]) == 0
    path = Path(__file__).parents[1] / "docs" / "openapi.json"
    assert capsys.readouterr().out == path.read_text(encoding="utf-8")


def test_the_description_has_everything_that_is_served() -> None:
    described = document("https://x.example")
    assert described["servers"] == [{"url": "https://x.example"}]
    assert {
        path: {method.upper() for method in operations}
        for path, operations in described["paths"].items()
    } == {endpoint.path: set(endpoint.methods) for endpoint in ENDPOINTS.values()}
    assert set(DESCRIBED) == set(ENDPOINTS)
    form = described["paths"]["/oauth2/token"]["post"]["requestBody"]["content"]
    schema = form["application/x-www-form-urlencoded"]["schema"]
    assert schema["properties"]["grant_type"]["enum"] == list(GRANTS)
    reply = described["components"]["schemas"]["TokenReply"]
    assert reply["required"] == ["access_token", "token_type", "expires_in"]


def test_every_page_has_an_answer_that_is_described() -> None:
    paths = document("https://x.example")["paths"]
    for page in pages():
        path = page.request.path.partition("?")[0]
        told = paths[path][page.request.method.lower()]["responses"][str(page.response.status)]
        shown = page.response.headers.get("Content-Type")
        if page.response.body and shown:
            assert shown in told["content"], page.name
