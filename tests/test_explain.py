"""`fake-oauth explain`: names, responses, and tokens; and a token that stays in the process."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any, get_args

import httpx
import pytest

import fake_oauth
from fake_oauth import Client, FakeOAuth, Settings, faults
from fake_oauth.__main__ import main
from fake_oauth.dialects import DIALECTS
from fake_oauth.explain import pasted
from fake_oauth.explain.causes import CAUSES
from fake_oauth.explain.codes import CODES
from fake_oauth.explain.moments import duration
from fake_oauth.explain.names import NAMES
from fake_oauth.explain.page import Section, layout
from fake_oauth.explain.recorded import RecordedJournal
from fake_oauth.provider.errors import Cause
from fake_oauth.provider.keys import shipped_key
from fake_oauth.provider.tokens import encode

START = 1_700_000_000
NOW = "2023-11-14T22:13:20Z"
ROOT = Path(__file__).parent.parent


@pytest.fixture
def explain(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Return the explanation of a text, which comes from standard input."""

    def run(text: str | bytes, *options: str, code: int = 0) -> str:
        data = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert main(["explain", "-", *options]) == code
        out, err = capsys.readouterr()
        return err if code else out

    return run


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOAuth]:
    settings = Settings(dialect="rfc", control=True, start_time=START, freeze_time=True, seed=1)
    with FakeOAuth(settings) as running:
        yield running


@pytest.fixture(scope="module")
def token(server: FakeOAuth) -> str:
    return server.issue_tokens().access_token


def signed(claims: dict[str, Any], *, kid: str | None = None, key: str = "signing") -> str:
    header = {"alg": "RS256", **({} if kid is None else {"kid": kid})}
    return encode(header, claims, shipped_key(key), json.dumps)


# Names


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_explained_in_80_columns(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{name}: a")
    # What is copied is not broken.
    copied = [line for line in lines if "server." in line]
    assert [line for line in lines if len(line) > 80 and line not in copied] == []
    for page in re.findall(r"docs/[\w/-]+\.md", "\n".join(lines)):
        assert (ROOT / page).exists()


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert set(re.findall(r"\w+", out)) >= set(NAMES)


def test_an_error_code_says_what_clients_do_and_which_fault_makes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "insufficient_scope"]) == 0
    out = capsys.readouterr().out
    assert "insufficient_scope: an OAuth error code (RFC 6750 section 3.1)" in out
    assert "  bearer_scope  the access token lacks a scope" in out
    assert "A refresh does not help." in out
    (step,) = re.findall(r"server\.script\((.*)\)", out)
    made = eval(step, {"faults": faults})  # noqa: S307
    with FakeOAuth() as fake:
        fake.script(made)
    assert 'endpoint = "userinfo"' in out


def test_every_code_and_every_fault_can_be_made_as_shown() -> None:
    settings = Settings(dialect="mcp")
    for name, row in CODES.items():
        rule = faults.Rule(faults.Refuse(name), endpoint=row.endpoint)
        dialect = "ciam" if row.endpoint == "otp_send" else "mcp"
        FakeOAuth(settings.changed(dialect=dialect, faults=[rule]))


def test_a_code_that_only_a_dialect_has_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "invalid_client"]) == 0
    assert "(only in the dialect ciam)" in " ".join(capsys.readouterr().out.split())
    assert main(["explain", "client_unidentified"]) == 0
    assert "  in ciam         a response without a body" in capsys.readouterr().out


def test_a_fault_is_found_in_any_case_and_shows_its_arguments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "status"]) == 0
    assert "faults.Status(code, body=None, " in capsys.readouterr().out
    assert main(["explain", "Reset"]) == 0
    assert "It needs a socket" in capsys.readouterr().out


def test_every_cause_has_a_meaning_and_leads_to_a_code() -> None:
    assert set(CAUSES) == set(get_args(Cause))
    used = {cause for row in CODES.values() for cause in row.causes}
    assert set(CAUSES) - used == {"scripted"}


def test_the_codes_of_causes_are_those_that_the_rules_raise() -> None:
    """Each literal pair of a code and a cause in the source is in the table."""
    pairs: set[tuple[str, object]] = set()
    for path in Path(fake_oauth.__file__).parent.glob("provider/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                texts = [str(a.value) for a in node.args if isinstance(a, ast.Constant)]
                causes = [
                    keyword.value.value
                    for keyword in node.keywords
                    if keyword.arg == "cause" and isinstance(keyword.value, ast.Constant)
                ]
                # The second argument can be a parameter that has the name of a cause.
                causes += [
                    a.value
                    for a in node.args[2:]
                    if isinstance(a, ast.Constant) and a.value in CAUSES
                ]
                pairs |= {(c, cause) for c in texts if c in CODES for cause in causes}
    assert len(pairs) > 40
    assert [pair for pair in sorted(pairs) if pair[1] not in CODES[pair[0]].causes] == []


def test_every_code_of_a_dialect_is_known() -> None:
    codes = {code for dialect in DIALECTS.values() for code in dialect.codes.values() if code}
    assert codes <= set(CODES)


def test_an_unknown_name_has_a_hint_and_is_not_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "invalid_grnat"]) == 2
    assert capsys.readouterr().err == (
        "fake-oauth: explain: neither a known name nor a file; did you mean 'invalid_grant'? (for "
        "a token or a response, pass - and paste it)\n"
    )
    assert main(["explain", "response.json"]) == 2
    assert "neither a known name nor a file; there is no such file (" in capsys.readouterr().err
    assert main(["explain", "xyzzy"]) == 2
    assert f"expected one of the {len(set(NAMES))} names in fake-oauth explain" in (
        capsys.readouterr().err
    )
    secret = "tGzv3JOkF0XG5Qx2TlKWIA" * 20
    assert main(["explain", secret]) == 2
    assert secret not in capsys.readouterr().err


# Tokens


def test_a_jwt_is_explained(explain: Callable[..., str], token: str) -> None:
    out = explain(token, "--now", str(START + 600))
    assert "  alg  RS256 (the algorithm of the signature)" in out
    assert "  typ  at+jwt (an access token (RFC 9068))" in out
    assert "(expires: 2023-11-14 23:13:20 UTC, in 50 min)" in " ".join(out.split())
    assert "Matches: the signing key that ships with fake_oauth." in out
    assert "  Expires in 50 min by --now.\n  It lives for 1 h in all." in out
    assert token not in out


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        '"{}"',
        "'{}'\n",
        "Bearer {}",
        "DPoP {}",
        "Authorization: Bearer {}",
        "-H 'Authorization: Bearer {}'",
        "authorization:bearer {}\r\n",
        'access_token = "{}",',
        '"access_token": "{}",',
        "`{}`",
        "\ufeff{}",
    ],
)
def test_a_jwt_is_found_in_what_people_paste(
    around: str, explain: Callable[..., str], token: str
) -> None:
    assert explain(around.format(token)).startswith("A JWT (RFC 7519)")


def test_a_jwt_with_line_breaks_and_in_utf_16_is_read(
    explain: Callable[..., str], token: str
) -> None:
    broken = "\n  ".join(token[start : start + 60] for start in range(0, len(token), 60))
    assert explain(broken).startswith("A JWT (RFC 7519)")
    assert explain(broken.encode("utf-16")).startswith("A JWT (RFC 7519)")


def test_a_jwt_can_be_a_file_or_the_argument(
    token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "token.txt"
    path.write_text(token, encoding="utf-8")
    for what in (str(path), token):
        assert main(["explain", what]) == 0
        assert capsys.readouterr().out.startswith("A JWT (RFC 7519)")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.b.c", "It has three segments, but a segment is not base64url"),
        ("e30.e30", "It has 2 segments."),
        ("eyJhbGciOiJkaXIifQ.a.b.c.d", "An encrypted JWT (JWE, RFC 7516): five segments"),
        ("2YotnFZFEjr1zCsicMWpAA", "It has no dot: it is opaque."),
    ],
)
def test_what_is_not_a_token_is_said_with_the_reason(
    text: str, shown: str, explain: Callable[..., str]
) -> None:
    assert shown in " ".join(explain(text).split())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no text; expected a JSON object, an HTTP"),
        ("two words of prose, and more", "it has none of the forms that are known; expected"),
        ("<html>", "it is HTML or XML"),
        ("{'a': 1}", "it is not JSON: Expecting property name enclosed in double quotes at line 1"),
        ('{"a": 1', "it is not JSON: Expecting ',' delimiter at line 1, column 8;"),
        ("[1]", "it is JSON, but not an object"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"a": ' + "1" * 5000 + "}", "a number with too many digits"),
        ("error {oops}", "it has none of the forms"),
        ("http://[x?error=a", "it has none of the forms"),
    ],
)
def test_what_is_not_understood_is_an_error_that_says_what_is_accepted(
    text: str, problem: str, explain: Callable[..., str]
) -> None:
    err = explain(text, code=2)
    assert err.startswith("fake-oauth: explain: not understood: ")
    assert problem in err
    assert err.endswith("a token, or lines of the server's log\n")
    assert len(err.splitlines()) == 1


def test_a_response_whose_body_is_not_understood_is_still_explained(
    explain: Callable[..., str],
) -> None:
    out = explain(http("503 x", body="<html>"))
    assert "wait, retry a few times" in out
    assert "Its body is not understood\n  it is HTML or XML" in out


def test_padding_is_pointed_out(explain: Callable[..., str]) -> None:
    head, _, rest = signed({"sub": "u"}).partition(".")
    out = explain(f"{head}=.{rest}")
    assert "Readers refuse it: a segment is not base64url without padding" in out
    assert "Matches: the signing key" in out


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        ({"exp": START - 60}, "Expired 1 min ago by --now."),
        ({"exp": START}, "Expired 0 s ago by --now."),
        ({"exp": str(START)}, "a string; it must be a number of seconds since 1970"),
        ({"exp": True}, "exp is not a time, so clients refuse it."),
        ({"exp": 1e300}, "not a time; it must be a number"),
        ({}, "It has no exp, so it never expires."),
        ({"nbf": START + 90000}, "Not valid yet: nbf is in 1 d 1 h."),
        ({"iat": START + 5}, "Issued in the future: iat is in 5 s."),
        ({"aud": ["a", {"b": None}], "c": [], "d": {}}, "aud a, b: null (audience"),
        ({"sub": "\x1b[2J\u202e"}, "sub \\x1b[2J\\u202e (subject"),
    ],
)
def test_claims_and_lifetimes_are_judged(
    claims: dict[str, Any], shown: str, explain: Callable[..., str]
) -> None:
    out = explain(signed(claims), "--now", NOW)
    assert shown in " ".join(out.split())
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ({"alg": "none"}, "None: alg is none. Anyone can write such a token;"),
        ({"alg": "HS256"}, "Not verified: HS256 is made with a secret"),
        ({"alg": "XX"}, "Not verified: the algorithm is not known here."),
        ({"alg": 1}, "Not verified: the algorithm is not known here."),
        ({"alg": "RS256", "crit": ["b64"]}, "Not verified: the header has crit"),
        ({"alg": "ES384"}, "Matches none of the keys that ship with fake_oauth."),
        ({"alg": "RS384"}, "Matches none of the keys that ship with fake_oauth."),
    ],
)
def test_signatures_that_cannot_be_verified_say_why(
    header: dict[str, Any], shown: str, explain: Callable[..., str]
) -> None:
    text = encode(header, {"sub": "u"}, shipped_key("signing"), json.dumps)
    assert shown in " ".join(explain(text).split())


def test_a_malformed_signature_is_said(explain: Callable[..., str]) -> None:
    head, claims, _ = signed({"sub": "u"}).split(".")
    assert "Malformed: a segment is not base64url without padding." in explain(f"{head}.{claims}.a")


@pytest.mark.parametrize(
    ("key", "shown"),
    [("next", "the key that signs after a rotation"), ("stranger", "the fault UnknownKey")],
)
def test_each_shipped_key_is_named(key: str, shown: str, explain: Callable[..., str]) -> None:
    assert shown in " ".join(explain(signed({"sub": "u"}, key=key)).split())


def test_a_jwks_from_a_file_verifies(
    explain: Callable[..., str], token: str, server: FakeOAuth, tmp_path: Path
) -> None:
    path = tmp_path / "jwks.json"
    kid = server.rotate_keys()
    jwk = shipped_key("next").jwk() | {"kid": kid}
    path.write_text(json.dumps({"keys": [jwk, 1]}), encoding="utf-8")
    options = ("--jwks", str(path))
    assert f"Matches the key {kid} of" in explain(
        signed({"sub": "u"}, key="next", kid=kid), *options
    )
    other = explain(signed({"sub": "u"}, key="next", kid="other"), *options)
    assert "but kid names another one" in " ".join(other.split())
    assert "which has no key with this kid" in " ".join(explain(token, *options).split())
    assert "Does not match the key of" in explain(signed({"sub": "u"}, kid=kid), *options)
    path.write_text(json.dumps({"keys": [{"kty": "RSA"}]}), encoding="utf-8")
    assert "Does not match" in explain(signed({"sub": "u"}), *options)
    jwk.pop("kid")
    path.write_text(json.dumps({"keys": [jwk]}), encoding="utf-8")
    assert "Matches the key without kid" in explain(signed({"sub": "u"}, key="next"), *options)


# Responses


def test_a_token_response_says_what_is_missing(explain: Callable[..., str], token: str) -> None:
    out = " ".join(explain(json.dumps({"access_token": token, "foo": 1}), "--now", NOW).split())
    assert out.startswith("Token response (RFC 6749 section 5.1) access_token a JWT, explained")
    assert "foo 1 (not one of OAuth's; clients ignore it" in out
    assert "token_type required" in out
    assert "expires_in the client does not know the lifetime" in out
    assert "refresh_token after a refresh, the client keeps its old one (RFC 6749 section 6)" in out
    assert "access_token: a JWT (RFC 7519)" in out


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({"expires_in": "3600"}, "expires_in a string; it must be a number"),
        ({"expires_in": True}, "expires_in not a number"),
        ({"expires_in": 0}, "expires_in not above 0"),
        ({"expires_in": 1.5}, "expires_in not an integer"),
        ({"expires_in": float("inf")}, "expires_in not an integer"),
        ({"expires_in": 3600}, "3600 (the lifetime of the access token, in seconds from the"),
        ({"refresh_token": None}, "refresh_token not a string, so clients refuse"),
        ({"scope": " "}, "scope blank, so clients refuse the response"),
        ({"token_type": "mac"}, "mac (a type that clients must understand, or not use)"),
        ({"token_type": "N_A"}, "N_A (not for an API"),
        ({"error": "invalid_grant"}, "It has both tokens and an error"),
        ({"id_token": "opaque"}, "id_token opaque, 6 characters"),
    ],
)
def test_problems_of_a_token_response_are_named(
    members: dict[str, Any], shown: str, explain: Callable[..., str]
) -> None:
    whole = {"access_token": "SECRET", "token_type": "Bearer", **members}
    out = " ".join(explain(json.dumps(whole)).split())
    assert shown in out
    assert "SECRET" not in out


def test_a_whole_token_response_lacks_nothing(explain: Callable[..., str]) -> None:
    members = {"access_token": "a", "token_type": "Bearer", "expires_in": 1, "refresh_token": "r"}
    out = explain(json.dumps({**members, "scope": "openid", "id_token": "x"}))
    assert "Problems" not in out
    assert "Not in the response" not in out


def test_repeated_members_and_text_after_the_json_are_named(explain: Callable[..., str]) -> None:
    out = " ".join(explain('{"error": "a", "error": "b"} $ ').split())
    assert "error there more than once; parsers differ" in out
    assert "More text follows the JSON" in out
    assert "An error code that is not known here" in out


def test_a_form_or_url_is_an_authorization_response(explain: Callable[..., str]) -> None:
    out = explain("https://app.example/cb?error=access_denied&state=s")
    assert "access_denied: an OAuth error code" in out
    out = explain("'https://app.example/cb#code=SECRET&code=B&iss=x'")
    assert out.startswith("Authorization response")
    assert "code  there more than once" in out
    assert "SECRET" not in out


@pytest.mark.parametrize(
    ("members", "title"),
    [
        ({"active": True, "exp": START}, "Introspection response"),
        ({"active": False}, "Introspection response"),
        ({"active": "yes"}, "Introspection response"),
        ({"device_code": "d", "interval": 5}, "Device authorization response"),
        ({"keys": [{"kid": "k", "kty": "RSA", "d": "x"}, 1, {}]}, "JWK Set"),
        ({"keys": 1}, "JWK Set"),
        ({"issuer": "https://a.example"}, "Metadata of a server"),
        ({"request_uri": "urn:x", "expires_in": 60}, "Pushed authorization response"),
        ({"sub": "u", "exp": START}, "Claims of a token"),
        ({"a": 1}, "A JSON object with neither tokens nor an error"),
    ],
)
def test_other_objects_are_recognized(
    members: dict[str, Any], title: str, explain: Callable[..., str]
) -> None:
    assert explain(json.dumps(members)).startswith(title)


def http(status: str, *headers: str, body: str = "") -> str:
    return "\n".join([f"HTTP/1.1 {status}", *headers, "", body])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (http("503 x", "Retry-After: 5"), "Retry-After 5 (retry no earlier"),
        (http("503 x"), "wait, retry a few times, and keep the tokens"),
        (http("429 x"), "Too many requests"),
        (
            http("302 x", "Location: https://a.example/?code=SECRET"),
            "Location https://a.example/ (",
        ),
        (http("200 OK", body='{"error": "x"}'), "An error with a status of success"),
        (http("400 x", body='{"access_token": "x"}'), "Tokens with a status of failure"),
        (http("200 OK", body='{"access_token": "x"}'), "Content-Type missing"),
        (http("200 OK", body='{"access_token": "x"}'), "Cache-Control lacks no-store"),
        (
            http("200 OK", "Content-Type: text/html", body="{}"),
            "Content-Type text/html; but the body is JSON",
        ),
        (
            http("200 OK", "content-type: application/json", "no colon", body="<html>"),
            "application/json; but the body is not JSON",
        ),
        (
            http("200 OK", "Content-Type: application/json", "Cache-Control: no-store", body="{}"),
            "Content-Type application/json A JSON object",
        ),
        (
            http("401 x", 'WWW-Authenticate: Bearer realm="x"'),
            "realm x Without an error: the request had no access token",
        ),
        (
            http("401 x", 'WWW-Authenticate: Bearer error="invalid_token"'),
            "invalid_token: an OAuth error code",
        ),
        (http("401 x", 'WWW-Authenticate: Basic realm="x"'), "Basic challenge realm x"),
        (http("100 Continue") + "\n" + http("500 x"), "HTTP response, status 500"),
        (http("200 OK"), "HTTP response, status 200"),
    ],
)
def test_http_responses_are_explained(text: str, shown: str, explain: Callable[..., str]) -> None:
    out = " ".join(explain(text).split())
    assert shown in out
    assert "SECRET" not in out


CURL = """\
*   Trying 127.0.0.1:8080...
  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current
                                 Dload  Upload   Total   Spent    Left  Speed
  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0
> POST /oauth2/token HTTP/1.1
> Host: 127.0.0.1:8080
>
} [86 bytes data]
< HTTP/1.1 400 Bad Request
< Content-Type: application/json;charset=UTF-8
<
{ [30 bytes data]
{
  "error" : "invalid_grant"
}* Connection #0 to host 127.0.0.1 left intact
"""


def test_the_whole_output_of_curl_is_read(explain: Callable[..., str]) -> None:
    out = explain(CURL)
    assert out.startswith("HTTP response, status 400\n  Content-Type  application/json")
    assert "invalid_grant: an OAuth error code" in out
    assert "More text follows" not in out


def test_json_is_found_behind_other_words(explain: Callable[..., str]) -> None:
    assert explain('Response body was: {"error": "slow_down"}').startswith("Error response")


def test_an_object_with_many_members_and_long_ones_stays_readable(
    explain: Callable[..., str],
) -> None:
    out = explain(json.dumps({f"member {'x' * 90} {n}": "y" * 9000 for n in range(100)}))
    assert "  … and 40 more" in out
    assert max(map(len, out.splitlines())) <= 80
    assert len(out) < 60 * 4000


def test_the_longest_object_takes_no_time(explain: Callable[..., str]) -> None:
    started = process_time()
    explain(json.dumps({str(n): 0 for n in range(80_000)}))
    assert process_time() - started < 5


def test_an_empty_text_has_its_name() -> None:
    assert layout([Section("Title", [("name", "")])]) == "Title\n  name"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "1 min"), (3661, "1 h 1 min"), (-90061, "1 d 1 h")]
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# The clock and the keys of a running fake


def test_a_running_fake_lends_its_clock_and_its_keys(
    explain: Callable[..., str], server: FakeOAuth
) -> None:
    text = server.issue_tokens().access_token
    server.clock.advance(60)
    out = explain(text, "--server", server.url)
    assert f"Expires in 59 min by the clock of {server.url}." in " ".join(out.split())
    assert f"of {server.url}." in out.partition("Signature")[2]
    out = explain(text, "--jwks", server.url_of("jwks"), "--now", NOW)
    assert "Matches the key" in out


def test_a_running_fake_with_another_path_https_and_a_control_token(
    explain: Callable[..., str], tmp_path: Path
) -> None:
    settings = Settings(issuer="https://127.0.0.1:{port}/realms/x", tls=True, control=True)
    with FakeOAuth(settings, host="0.0.0.0") as fake:  # noqa: S104
        ca_file = tmp_path / "ca.pem"
        ca_file.write_text(fake.ca_pem, encoding="utf-8")
        url = fake.url.replace("0.0.0.0", "localhost")  # noqa: S104
        options = ["--server", url, "--ca-file", str(ca_file)]
        text = fake.issue_tokens().access_token
        out = explain(text, *options, "--control-token", str(fake.control_token))
        assert f"of {url}." in out.partition("Signature")[2]
        assert "did not accept the control token" in explain(text, *options, code=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--server", "https://idp.example"], "https://idp.example: not on this machine"),
        (["--jwks", "https://idp.example/jwks"], "https://idp.example: not on this machine"),
        (["--server", "localhost"], "expected the URL of a server"),
        (["--server", "http://127.0.0.1:1"], "http://127.0.0.1:1: no valid response"),
        (["--server", "http://localhost", "--ca-file", "missing.pem"], "cannot read missing.pem"),
        (["--jwks", "missing.json"], "cannot read missing.json: No such file or directory"),
        (["--jwks", __file__], "is not JSON"),
        (["--now", "soon"], "--now: expected a date-time with a time zone"),
        (["--now", "2023-11-14T22:13:20"], "--now: expected a date-time with a time zone"),
        (["--now", "nan"], "--now: expected a date-time with a time zone"),
    ],
)
def test_options_that_cannot_be_used_are_one_clear_line(
    options: list[str], message: str, explain: Callable[..., str]
) -> None:
    err = explain("SECRET.SECRET.SECRET", *options, code=2)
    assert message in err
    assert "SECRET" not in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (faults.Status(404), "expected status 200 and a JSON object, got status 404"),
        (faults.Field("issuer", "x"), "Matches the key"),
        (faults.Field("jwks_uri", "http://[x"), "its issuer or its jwks_uri is not a URL"),
    ],
)
def test_a_server_with_odd_metadata(fault: Any, message: str, explain: Callable[..., str]) -> None:
    with FakeOAuth(Settings(control=True)) as fake:
        text = fake.issue_tokens().access_token
        fake.script(faults.Rule(fault, endpoint="discovery"))
        code = 0 if message.startswith("Matches") else 2
        assert message in explain(text, "--server", fake.url, code=code)


@pytest.mark.parametrize("text", ["[]", '{"keys": 1}'])
def test_a_jwks_that_is_none_is_refused(
    text: str, explain: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(text, encoding="utf-8")
    assert "not a JWK Set" in explain("a.b.c", "--jwks", str(path), code=2)


def test_a_text_that_is_too_long_is_refused(
    explain: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = "has more than 1048576 bytes; pass one response"
    assert message in explain("x" * (1024 * 1024 + 1), code=2)
    path = tmp_path / "long"
    path.write_text("x" * (1024 * 1024 + 1), encoding="utf-8")
    assert main(["explain", str(path)]) == 2
    assert message in capsys.readouterr().err
    assert main(["explain", str(tmp_path)]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_a_person_at_a_terminal_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"a.b.c"))
    monkeypatch.setattr(stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["explain", "-"]) == 0
    assert "a token, or a line of the log, then press Enter" in capsys.readouterr().err


# The journal of a running fake


@pytest.fixture(scope="module")
def refusing() -> Iterator[FakeOAuth]:
    """Return a server that has refused requests in several ways."""
    web = Client(client_id="web", client_secret="s", redirect_uris=("http://a.example/cb",))
    settings = Settings(dialect="rfc", control=True, freeze_time=True, clients=[web])
    with FakeOAuth(settings) as fake:
        token = str(fake.issue_tokens().refresh_token)
        fake.expire(token)
        for value in ("unknown", token, "later"):
            refreshed(fake, value)
        httpx.get(fake.url_of("userinfo"))
        httpx.get(fake.url_of("userinfo"), headers={"Authorization": "Bearer SECRET"})
        query = {"client_id": "web", "response_type": "code", "prompt": "none"}
        httpx.get(fake.url_of("authorize"), params=query)
        fake.script(faults.Refuse("invalid_scope"), faults.Status(503))
        refreshed(fake, "x")
        refreshed(fake, "x")
        yield fake


def refreshed(fake: FakeOAuth, token: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "web"}
    return httpx.post(fake.url_of("token"), data={**form, "client_secret": "s"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            '{"error": "invalid_grant"}',
            "Here: request 3 was refused, because refresh token unknown line #3 ",
        ),
        (
            '{"error": "invalid_grant"}',
            "cause refresh_token_unknown: this server did not issue the refresh token, or was",
        ),
        ('HTTP/1.1 400 x\n\n{"error": "invalid_grant"}', "Here: request 3 was refused"),
        (
            'HTTP/1.1 401 x\n\n{"error": "invalid_grant"}',
            "Here: none of the latest 8 exchanges of {url} has invalid_grant and status 401 The",
        ),
        ('{"error": "invalid_target"}', "latest 8 exchanges of {url} has invalid_target The"),
        ('{"error": "of_nobody"}', "latest 8 exchanges of {url} has of_nobody The response"),
        (
            "HTTP/1.1 401 x\nWWW-Authenticate: Bearer realm=x\n\n",
            "Here: request 4 was refused, because no bearer token",
        ),
        (
            'HTTP/1.1 401 x\nWWW-Authenticate: Bearer error="invalid_token"\n\n',
            "Here: request 5 was refused, because not an access token of this server",
        ),
        ("http://a.example/cb?error=login_required", "Here: request 6 was refused, because "),
        (
            '{"error": "invalid_scope"}',
            "request 7 was refused, because the script says so: step 1 Refuse('invalid_scope')",
        ),
        ('{"error": "invalid_scope"}', "cause scripted: a fault of the script fault step 1"),
        (
            "HTTP/1.1 503 x\n\n<html>",
            "request 8 was refused, because the script says so: step 2 Status(503)",
        ),
        ("HTTP/1.1 502 x\n\n", "8 exchanges of {url} has no error code and status 502 The"),
    ],
)
def test_a_refusal_begins_with_the_request_that_the_server_refused(
    text: str, shown: str, explain: Callable[..., str], refusing: FakeOAuth
) -> None:
    out = explain(text, "--server", refusing.url)
    assert shown.replace("{url}", refusing.url) in " ".join(out.split())
    assert out.startswith("Here: ")
    assert "SECRET" not in out


def test_a_known_cause_makes_the_list_of_causes_superfluous(
    explain: Callable[..., str], refusing: FakeOAuth
) -> None:
    text = '{"error": "invalid_grant"}'
    assert "Causes that this server knows" in explain(text)
    out = explain(text, "--server", refusing.url)
    assert "Causes that this server knows" not in out
    assert "fake-oauth explain invalid_grant, for its other causes" in out
    text = '{"error": "invalid_target"}'
    assert "Causes that this server knows" in explain(text, "--server", refusing.url)


def test_a_response_of_success_is_not_looked_for(
    explain: Callable[..., str], refusing: FakeOAuth
) -> None:
    for text in ('{"active": true}', "HTTP/1.1 302 x", '{"error": 1}'):
        assert "Here" not in explain(text, "--server", refusing.url)


def test_a_refusal_with_a_scripted_challenge_is_found(
    explain: Callable[..., str], server: FakeOAuth
) -> None:
    server.script(faults.Rule(faults.Refuse("insufficient_scope"), endpoint="userinfo"))
    response = httpx.get(server.url_of("userinfo"), headers={"Authorization": "Bearer x"})
    challenge = f"WWW-Authenticate: {response.headers['WWW-Authenticate']}"
    out = explain(http(f"{response.status_code} x", challenge), "--server", server.url)
    assert "was refused, because the script says so: step" in " ".join(out.split())


def test_what_another_server_sends_as_its_journal_is_not_relied_on() -> None:
    odd = {"number": "x", "line": "\x1b[2J", "status": "400", "error": 5, "cause": "of nobody"}
    journal = RecordedJournal.read("http://x", {"exchanges": [odd, 1, {}]})
    assert [one.number for one in journal.exchanges] == [0, 0]
    out = layout([journal.exchanges[0].section()])
    assert out == "Here: request 0 was refused\n  line  \\x1b[2J"
    assert journal.latest("invalid_grant", None, ()) is None
    assert RecordedJournal.read("http://x", {"exchanges": 1}).exchanges == []


def test_a_journal_with_long_lines_is_read(explain: Callable[..., str]) -> None:
    web = Client(client_id="web", client_secret="s")
    with FakeOAuth(Settings(dialect="rfc", control=True, clients=[web])) as fake:
        for _ in range(20):
            form = {"grant_type": "x", "scope": "s" * 20_000, "client_id": "web"}
            response = httpx.post(fake.url_of("token"), data={**form, "client_secret": "s"})
        out = explain(response.text, "--server", fake.url)
    assert out.startswith("Here: request 20 was refused, because ")


# Lines of the log


LINE = (
    "#8 11:20:01 POST /oauth2/token -> 400 invalid_grant [refresh_token, web] refresh token "
    "expired 1 s ago; refresh_token=alice/1 r1 client_secret=***"
)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            LINE,
            "Request 8 was refused (invalid_grant, status 400), because refresh token expired 1 s "
            "ago The cause is not in a line With --server URL,",
        ),
        (LINE, "invalid_grant: an OAuth error code"),
        (LINE, "refresh_token_expired the refresh token has expired"),
        (f"fake-1  | {LINE}", "Request 8 was refused (invalid_grant"),
        (f"\x1b[31mE       {LINE}\x1b[0m", "Request 8 was refused (invalid_grant"),
        (f"[api] {LINE}", "Request 8 was refused (invalid_grant"),
        (
            "#1 00:00:00 GET /userinfo -> 400 no bearer token",
            "Request 1 was refused (status 400), because no bearer token The cause",
        ),
        (
            "#2 00:00:00 POST /t -> 401 invalid_client [web] client_secret does not match; it does "
            "without form-urldecoding; issued a/1 r1; bearer=x",
            "because client_secret does not match; it does without form-urldecoding The cause",
        ),
        (
            "#3 00:00:00 POST /t -> 400 of_mine [w[b]] {step 1 Refuse('of_mine', members={'a': 1})}"
            " scripted; scope=a",
            "Request 3 was refused (of_mine, status 400), because the script says so: step 1 "
            "Refuse('of_mine', members={'a': 1}) The cause",
        ),
        ("#3 00:00:00 POST /t -> 400 of_mine {step 1 Refuse('x')}", "error code that is not known"),
        ("#4 00:00:00 POST /t -> no response {always Reset()} scripted", "Request 4 got no respo"),
        ("#5 00:00:00 POST /t -> 500", "Request 5 was refused (status 500) The cause"),
        ("#5 00:00:00 POST /t -> 500 [web] scope=a", "Request 5 was refused (status 500) The"),
        (
            "#6 00:00:00 POST /t -> 200 [web] {step 1 Slow(1)} refreshed; issued a/1 a2; x=y",
            "none has a refusal request 6 status 200, with the fault step 1 Slow(1): refreshed",
        ),
        ("#7 00:00:00 GET /jwks -> 200", "none has a refusal request 7 status 200"),
        ("#7 00:00:00 GET /\x1b]0;x\x07 -> 400 bad \x1b[2J\u202e", "because bad \\x1b[2J\\u202e"),
    ],
)
def test_a_line_of_the_log_is_explained(
    line: str, shown: str, explain: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = explain(line)
    assert shown in " ".join(out.split())
    assert out.replace("\n", "").isprintable()
    assert main(["explain", line]) == 0
    assert capsys.readouterr().out == out


def test_a_scripted_refusal_needs_no_list_of_causes(explain: Callable[..., str]) -> None:
    line = "#3 00:00:00 POST /t -> 400 invalid_grant {step 1 Refuse('invalid_grant')} scripted"
    assert "Causes that this server knows" not in explain(line)
    assert "Causes that this server knows" in explain(f"{line}\n{LINE}")


def test_the_report_of_a_failed_test_is_explained_with_the_journal(
    explain: Callable[..., str], refusing: FakeOAuth
) -> None:
    title = f" fake_oauth {refusing.url} ".center(80, "-")
    report = f"E   assert 400 == 200\n{title}\n{refusing.journal}\n{LINE}\n"
    out = " ".join(explain(report, "--server", refusing.url).split())
    assert "Here: request 2 was refused, because refresh token expired 0 s ago line #2 " in out
    assert "cause refresh_token_expired: the refresh token has expired" in out
    # Another server's line has the number of one here.
    assert f"None of the latest 8 exchanges of {refusing.url} has this line" in out
    assert "The cause is not in a line" not in out
    assert out.count("invalid_grant: an OAuth error code") == 1
    # A redirect with an error is a refusal, too.
    assert "request 6 was refused, because no user is logged in, and prompt is none" in out


def test_of_a_long_log_the_latest_refusals_are_explained(explain: Callable[..., str]) -> None:
    log = "\n".join(f"#{n} 00:00:00 GET /x -> 404 unknown path" for n in range(1, 5001))
    out = explain(log)
    assert out.startswith("The latest 10 refusals; 4990 came before\n")
    assert "Request 5000 was refused" in out
    assert len(out) < 2000


def test_a_line_made_to_be_slow_to_read_is_not(explain: Callable[..., str]) -> None:
    started = process_time()
    explain("#1 00:00:00 GET / " * 50_000, code=2)
    explain("#1 00:00:00 GET / -> 400" + " [a" * 300_000)
    explain("#1 00:00:00 GET / -> 400" + " {step 1 )" * 90_000)
    assert process_time() - started < 5


# A token stays in the process


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return everything that this process sends while the test runs."""
    sent: list[bytes] = []
    plain = socket.socket.sendall

    def sendall(self: socket.socket, data: bytes, *flags: int) -> None:
        sent.append(bytes(data))
        plain(self, data, *flags)

    monkeypatch.setattr(socket.socket, "sendall", sendall)
    return sent


def test_without_an_address_nothing_touches_the_network(
    explain: Callable[..., str], token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was used")

    header = {"alg": "RS256", "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}
    luring = encode(header, {"iss": "http://127.0.0.1:1"}, shipped_key("signing"), json.dumps)
    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    for text in (token, luring, json.dumps({"access_token": token}), CURL):
        explain(text)


def test_what_is_sent_to_a_server_has_nothing_of_the_token(
    explain: Callable[..., str], server: FakeOAuth, sent: list[bytes], caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    token = server.issue_tokens().access_token
    sent.clear()
    before = len(server.journal)
    explain(json.dumps({"access_token": token, "id_token": token}), "--server", server.url)
    requests = [data for data in sent if data.startswith((b"GET", b"POST"))]
    assert len(requests) == 4
    assert not any(b"/_fake/journal" in data for data in requests)
    for part in token.split("."):
        assert not any(part.encode() in data for data in sent)
        assert part not in caplog.text
        assert part not in str(server.journal[before:])


@pytest.mark.parametrize(
    "text",
    [
        '{"error": "invalid_grant", "error_description": "SECRET", "state": "SECRET"}',
        'HTTP/1.1 401 SECRET\nWWW-Authenticate: Bearer realm="SECRET", error="SECRET"\n\n<SECRET>',
        "https://SECRET.example/cb?error=SECRET&state=SECRET",
        "#12 11:20:01 POST /SECRET -> 400 invalid_grant [SECRET] SECRET; code=SECRET",
    ],
)
def test_the_journal_is_read_without_a_word_of_the_text(
    text: str, explain: Callable[..., str], server: FakeOAuth, sent: list[bytes]
) -> None:
    before = len(server.journal)
    explain(text, "--server", server.url)
    requests = [data for data in sent if data.startswith((b"GET", b"POST"))]
    targets = [data.split(b" ", 2)[1] for data in requests]
    assert sorted(targets) == [b"/_fake/clock", b"/_fake/journal?brief=true&latest=200"]
    for word in (b"SECRET", b"invalid_grant", b"401"):
        assert not any(word in data for data in requests)
    assert len(server.journal) == before, "to explain a refusal leaves no exchange"


def test_a_token_in_an_error_does_not_leave_the_process(
    explain: Callable[..., str], server: FakeOAuth, sent: list[bytes]
) -> None:
    token = server.issue_tokens().access_token
    sent.clear()
    text = json.dumps({"access_token": token, "error": token, "error_description": token})
    explain(text, "--server", server.url)
    for part in token.split("."):
        assert not any(part.encode() in data for data in sent)


def test_no_module_of_it_can_open_a_connection_or_log() -> None:
    for path in Path(pasted.__file__).parent.glob("*.py"):
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [getattr(node, "module", None) or node.names[0].name]
        }
        assert not imported & {"socket", "ssl", "http", "httpx", "requests", "logging", "h11"}
