"""Nothing private is written into a case, and what is public stays as it was."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client as WSGIClient

from fake_oauth.contract.cases import ExpectedResponse, Request
from fake_oauth.contract.client import ReceivedResponse
from fake_oauth.contract.compare import differences
from fake_oauth.contract.placeholders import Level
from fake_oauth.contract.recorder import Recorder
from fake_oauth.contract.redact import NAMES, VOCABULARY, Redactor, rewrite_json
from fake_oauth.dialects import DIALECTS
from fake_oauth.provider.grants import GRANTS
from tests.support.contract import StubTransport, jwt_of, received

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
URL = "https://idp.example"
PATHS = {path: path for path in DIALECTS["rfc"].paths.values()}


def redactor(values: Mapping[str, str] | None = None, **more: Any) -> Redactor:
    return Redactor(values or {}, paths=PATHS, urls=[URL], **more)


def redact(
    response: ReceivedResponse | None = None,
    *,
    path: str = "/token",
    body: str | None = None,
    by: Redactor | None = None,
    **headers: str,
) -> tuple[Request, ExpectedResponse]:
    """Redact one exchange; write header names with underscores."""
    fields = {name.replace("_", "-").title(): value for name, value in headers.items()}
    if body is not None:
        fields.setdefault("Content-Type", FORM)
    request = Request(method="POST", path=path, headers=fields, body=body)
    return (by or redactor()).redact(request, received({}) if response is None else response)


def sent(body: str, response: ReceivedResponse | None = None, **more: Any) -> dict[str, str]:
    """Return the parameters of a redacted form."""
    return dict(parse_qsl(redact(response, body=body, **more)[0].body or ""))


def members(document: Any, **more: Any) -> Any:
    """Return the members of a redacted response."""
    return json.loads(redact(received(document), **more)[1].body or "null")


# Requests


@pytest.mark.parametrize("grant_type", GRANTS)
def test_a_word_of_the_protocol_stays(grant_type: str) -> None:
    words = {"grant_type": grant_type, "scope": "openid api:read", "token_type_hint": "acme_token"}
    assert sent(urlencode(words)) == words


def test_other_values_are_wrong_and_other_names_are_left_out() -> None:
    body = "client_id=a&otp=123456&audience=x&assertion=y&x-secret=z&=z&z&expires_in=60&deny="
    response = received({"error": "invalid_client"}, 401)
    assert parse_qsl(redact(response, body=body)[0].body or "", keep_blank_values=True) == [
        *(("client_id", "WRONG"), ("otp", "WRONG"), ("audience", "WRONG"), ("assertion", "WRONG")),
        *(("expires_in", "WRONG"), ("deny", "")),
    ]


def test_a_client_makes_up_some_values() -> None:
    query = "state=s-1&nonce=n-1&code_challenge=c-1&code_challenge_method=S256"
    location = "https://app/cb?state=s-1&session_state=x"
    by = redactor({"redirect_uri": "https://app/cb"})
    answer = received(b"", 302, location=location)
    request, response = redact(answer, path=f"/authorize?{query}", by=by)
    assert request.path == (
        "/authorize?state=MOCK_STATE&nonce=MOCK_NONCE&code_challenge=MOCK_CODE_CHALLENGE"
        "&code_challenge_method=S256"
    )
    there = "https://example.com/callback?state=MOCK_STATE&session_state=<any>"
    assert response.headers["Location"] == there


@pytest.mark.parametrize(
    ("content_type", "body", "redacted_type", "redacted"),
    [
        (JSON, '{"otp": 123456, "scope": "a", "x1": 1, "code": null}', JSON, None),
        (JSON, "[1]", JSON, "WRONG"),
        (JSON, "{", JSON, "WRONG"),
        (FORM, '{"client_secret": "x"}', FORM, "WRONG"),
        (f"{FORM};charset=UTF-8", "scope=a", f"{FORM};charset=UTF-8", "scope=a"),
        ("multipart/form-data; boundary=x", "--x", "multipart/form-data", "WRONG"),
        ("text/x-secret", "a=b", "application/octet-stream", "WRONG"),
    ],
)
def test_a_body_is_a_form_or_json(
    content_type: str, body: str, redacted_type: str, redacted: str | None
) -> None:
    request, _ = redact(received({}, 400), body=body, content_type=content_type)
    assert request.headers == {"Content-Type": redacted_type}
    if redacted is None:
        members = {"otp": "WRONG", "scope": "a", "code": None}
        assert json.loads(request.body or "") == members
    else:
        assert request.body == redacted


def test_a_body_without_a_type_is_wrong() -> None:
    request = Request(method="POST", path="/token", body="client_secret=x")
    assert redactor().redact(request, received({}))[0].body == "WRONG"


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("credentials", "redacted"),
    [
        (basic("web:s3cret"), basic("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET")),
        (basic("other:"), basic("WRONG:")),
        (basic("web:a:b"), basic("TENANT_CLIENT_ID:WRONG")),
        (basic("no colon"), "Basic WRONG"),
        ("Basic !", "Basic WRONG"),
        ("bearer token-1", "bearer WRONG"),
        ("DPoP token-1", "DPoP WRONG"),
        ("secret-1 x", "WRONG"),
        ("secret-1", "WRONG"),
    ],
)
def test_credentials_are_known_or_wrong(credentials: str, redacted: str) -> None:
    by = redactor({"client_id": "web", "client_secret": "s3cret"})
    response = received({}, 400)
    request, _ = redact(response, authorization=credentials, cookie="sid=1", by=by)
    assert request.headers == {"Authorization": redacted}


def test_a_granted_request_had_right_values() -> None:
    by = redactor()
    right = "client_id=app-1&client_secret=s3cret-1&refresh_token=refresh-1"
    ours = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
    unknown = dict.fromkeys((*ours, "refresh_token"), "WRONG")
    refused = received({"error": "x"}, 400)
    assert sent(right, refused, by=by) == unknown
    same = redact(received({"refresh_token": "refresh-1"}), body=right, by=by)
    rotated = redact(received({"refresh_token": "refresh-2"}), body=right, by=by)
    known = {**ours, "refresh_token": "MOCK_REFRESH_TOKEN"}
    assert dict(parse_qsl(same[0].body or "")) == dict(parse_qsl(rotated[0].body or "")) == known
    assert same[1].body == '{"refresh_token": "MOCK_REFRESH_TOKEN"}'
    assert rotated[1].body == '{"refresh_token": "<any>"}'
    assert sent(right, refused, by=by) == {**ours, "refresh_token": "WRONG"}
    revoked = [sent("token=refresh-2", received(), path="/revoke", by=by) for _ in range(2)]
    assert revoked == [{"token": "MOCK_REFRESH_TOKEN"}, {"token": "WRONG"}]


@pytest.mark.parametrize(
    "response",
    [
        received({"error": "bad_verification_code"}),
        received("<form>", content_type="text/html"),
        received(b"", 302, location=f"{URL}/error?error=access_denied"),
        received(b"", 401),
    ],
    ids=["an error", "a page", "a redirect", "a status"],
)
def test_a_refused_request_had_wrong_values(response: ReceivedResponse) -> None:
    assert sent("code=c-1", response) == {"code": "WRONG"}


@pytest.mark.parametrize(
    ("response", "names"),
    [
        (received({"error": "invalid_grant"}, 400), "code refresh_token"),
        (received({"active": False}), "token"),
        (received(b"", 401), "access_token"),
        (received({"error": "invalid_client"}, 401), ""),
    ],
)
def test_a_refusal_makes_a_token_wrong(response: ReceivedResponse, names: str) -> None:
    by = redactor({"code": "c-1", "refresh_token": "r-1", "access_token": "a-1"})
    values = {"code": "c-1", "refresh_token": "r-1", "token": "a-1", "access_token": "a-1"}
    body = urlencode({name: values[name] for name in names.split()})
    assert set(sent(body, response, by=by).values()) <= {"WRONG"}


def test_one_value_can_be_two() -> None:
    body = "username=admin&password=admin&client_id=admin"
    assert sent(body) == {
        "username": "MOCK_USERNAME",
        "password": "MOCK_PASSWORD",
        "client_id": "TENANT_CLIENT_ID",
    }


def test_only_the_latest_values_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fake_oauth.contract.redact._MEMORY", 2)
    by = redactor()
    for number in range(3):
        redact(received({"refresh_token": f"r-{number}"}), by=by)
    bodies = [sent(f"refresh_token=r-{number}", received({}, 400), by=by) for number in range(3)]
    tokens = [body["refresh_token"] for body in bodies]
    assert tokens == ["WRONG", "MOCK_REFRESH_TOKEN", "MOCK_REFRESH_TOKEN"]


# Responses


def test_a_response_keeps_its_words_numbers_and_layout() -> None:
    text = (
        '{ "access_token" : "a-1",\n "token_type" : "Bearer", "expires_in" : 3600, "active":true,'
        ' "scope":"openid  x", "scopes_supported":["a","b c"], "interval": 1.50, "error_uri": ""}'
    )
    assert redact(received(text))[1].body == text.replace("a-1", "<any>").replace(
        "openid  x", "<text>"
    ).replace("b c", "<text>")


def test_other_values_are_placeholders_and_so_are_other_names() -> None:
    assert members(
        {
            "error": "No such user: alice",
            "error_description": "No such user: alice",
            "client_id": "app",
            "exp": 1700000000,
            "otp": 123456,
            "id_token": jwt_of({"sub": "alice"}),
            "keys": [{"kty": "RSA", "n": "AQAB", "use": "sig", "x5c": ["abc"]}],
            "Secret Word": {"error": "x", "count": 7, "flag": True, "none": None},
        }
    ) == {
        "error": "<text>",
        "error_description": "<text>",
        "client_id": "<any>",
        "exp": "<time>",
        "otp": "<number>",
        "id_token": "<jwt>",
        "keys": [{"kty": "RSA", "n": "<any>", "use": "sig", "x5c": ["<any>"]}],
        "<text>": {"error": "<any>", "<any>": None},
    }


def test_names_can_be_kept() -> None:
    by = redactor(keep=["tenant", "ext"])
    document = {"tenant": "acme", "ext": "two words", "other": "x"}
    assert members(document, by=by) == {"tenant": "acme", "ext": "<text>", "<any>": "<any>"}
    assert sent("tenant=acme&other=x", by=by) == {"tenant": "acme"}


def test_a_word_that_is_repeated_from_elsewhere_is_not_a_word() -> None:
    refused = {"error": "hush-hush"}
    assert members(refused) == refused
    assert members(refused, body="refresh_token=hush-hush") == {"error": "<any>"}
    assert members(refused, cookie="a=b; sid=hush-hush") == {"error": "<any>"}
    assert members(refused, body="pin=hush-hush", content_type="text/plain") == {"error": "<any>"}
    assert members({**refused, "nickname": "hush-hush"})["error"] == "<any>"
    # A word that is in NAMES is public, whoever has it as a password.
    assert sent("grant_type=password&password=password")["grant_type"] == "password"
    assert members({"token_type": "Bearer"}, authorization="Bearer x") == {"token_type": "Bearer"}


def test_a_token_has_the_header_and_claims_of_a_jwt() -> None:
    claims = {
        "sub": "u-1",
        "aud": ["web", "https://api.example"],
        "iss": "https://idp.example",
        "iat": 1700000000,
        "exp": 1700000900,
        "nbf": 1700000000,
        "auth_time": 1699999999,
        "scope": "a b",
        "email": "alice@example.org",
        "email_verified": True,
        "jti": "j-1",
        "roles": ["admin", 7, 700],
        "groups": [None],
        "address": {},
        "acme": "x",
        "updated_at": 1700000000.5,
    }
    token = jwt_of(claims, {"alg": "RS256", "kid": "1", "typ": "at+jwt", "x1": 1})
    by = redactor({"client_id": "web"})
    _, response = redact(received({"access_token": token, "acme": token, "sub": "u-1"}), by=by)
    assert response.body == '{"access_token": "<jwt>", "<any>": "<jwt>", "sub": "MOCK_USERNAME"}'
    assert response.jose == {
        "access_token": {"alg": "RS256", "kid": "<any>", "typ": "at+jwt", "<any>": "<any>"}
    }
    assert response.claims == {
        "access_token": {
            "sub": "MOCK_USERNAME",
            "aud": ["TENANT_CLIENT_ID", "<url>"],
            "iss": "<issuer>",
            "iat": "<time>",
            "exp": "<iat+900>",
            "nbf": "<iat>",
            "auth_time": "<time>",
            "scope": "a b",
            "email": "<any>",
            "email_verified": True,
            "jti": "<any>",
            "roles": ["<any>", 7, "<number>"],
            "<any>": "<any>",
            "updated_at": "<number>",
        }
    }
    # One that the client sent is the business of the request.
    _, response = redact(received({"access_token": token}), body=f"token={token}")
    assert response.claims == {}


CALLBACK = "https://example.com/callback"


@pytest.mark.parametrize(
    ("location", "redacted"),
    [
        (
            "https://app/cb?code=c-1&iss=x&error=access_denied&",
            f"{CALLBACK}?code=MOCK_CODE&iss=<text>&error=access_denied&",
        ),
        (
            "https://app/cb#access_token=t-1&token_type=Bearer&expires_in=60",
            f"{CALLBACK}#access_token=<any>&token_type=Bearer&expires_in=<any>",
        ),
        ("https://app/cb?a#/cb?code=c-1", f"{CALLBACK}?<any>#<any>?code=MOCK_CODE"),
        ("https://app/cb", CALLBACK),
        ("https://app/cb/s3cret?code=c-1", "<url>"),
        ("/login?p_state=p-1", "<any>"),
        ("a b", "<text>"),
    ],
)
def test_a_location_is_a_known_redirect_uri_or_a_placeholder(location: str, redacted: str) -> None:
    by = redactor({"redirect_uri": "https://app/cb", "code": "c-1"})
    _, response = redact(received(b"", 302, location=location), by=by)
    assert response.headers["Location"] == redacted


def test_a_redirect_uri_with_a_query_is_the_documented_one() -> None:
    own = "https://app.example/cb?from=idp"
    path = f"/authorize?redirect_uri={quote(own)}"
    by = redactor({"redirect_uri": own})
    request, response = redact(received(b"", 302, location=f"{own}&code=c-1"), path=path, by=by)
    assert "redirect_uri=https%3A%2F%2Fexample.com%2Fcallback" in request.path
    assert response.headers["Location"] == "https://example.com/callback?code=MOCK_CODE"


@pytest.mark.parametrize(
    ("name", "value", "redacted"),
    [
        ("content_type", "application/json;charset=UTF-8", None),
        ("content_type", "text/x-secret", "<text>"),
        ("retry_after", "120", None),
        ("retry_after", "123456", "<text>"),
        ("cache_control", "no-store", None),
        ("cache_control", "no-cache, no-store, max-age=0, must-revalidate", None),
        ("cache_control", "no-store, secret=1", "<text>"),
        ("www_authenticate", 'Bearer error="invalid_token", scope="a b"', None),
        ("www_authenticate", 'Basic realm="acme"', 'Basic realm="<text>"'),
        (
            "www_authenticate",
            'Bearer a="b", Basic realm=""',
            'Bearer <any>="<text>", Basic realm=""',
        ),
        ("www_authenticate", "Secret abc", "<text>"),
    ],
)
def test_a_header_has_only_known_parts(name: str, value: str, redacted: str | None) -> None:
    _, response = redact(received({}, 401, **{name: value}))
    assert response.headers[name.replace("_", "-").title().replace("Www", "WWW")] == (
        redacted or value
    )


def test_other_headers_are_left_out() -> None:
    headers = {"set_cookie": "a=b", "x_secret": "x", "cache_control": "max-age=60"}
    assert redact(received({}, 200, **headers))[1].headers == {}


def test_a_url_is_the_issuer_or_any_url() -> None:
    issuer = "https://sample.portal.tencentciam.com"
    urls = {"issuer": URL, "iss": URL, "token_endpoint": f"{URL}/t", "error_uri": "https://x/y z"}
    assert members(urls) == {
        **dict.fromkeys(("issuer", "iss"), issuer),
        "token_endpoint": "<url>",
        "error_uri": "<text>",
    }


@pytest.mark.parametrize(
    ("body", "redacted"), [(b"", ""), (b"<p>", None), (b"[1]", None), (b"\xff", None), (b"7", None)]
)
def test_a_body_that_is_not_an_object_is_left_out(body: bytes, redacted: str | None) -> None:
    assert redact(received(body))[1].body == redacted


# JSON


@pytest.mark.parametrize(
    "text",
    [
        '{ "a" : [ "b", 1.50, -2e3 ],\n  "\\u00e9": "\\/x", "c": {"d": null}}',
        '{"a":"a\\"b","b":[[],{}],"c":true}',
        "{}",
    ],
)
def test_json_that_is_not_changed_is_the_same(text: str) -> None:
    assert rewrite_json(text, lambda _, value: value) == text


def test_a_value_has_the_names_above_it() -> None:
    seen = []

    def see(names: Any, value: Any) -> Any:
        seen.append((tuple(names), value))
        return value

    rewrite_json('{"a": {"b": [1, {"c": "x"}], "d": "y"}, "e": ["z"]}', see)
    rewrite_json('["a", "b"]', see)
    assert seen == [
        (("a", "b"), 1),
        (("a", "b", "c"), "x"),
        (("a", "d"), "y"),
        (("e",), "z"),
        ((), "a"),
        ((), "b"),
    ]


# Properties

KNOWN = st.sampled_from(sorted(NAMES))
# A lifetime may be any number.
PRIVATE = st.sampled_from(
    sorted(
        name
        for name in NAMES - VOCABULARY
        if not name.endswith("expires_in") and name != "interval"
    )
)
WORDS = st.sampled_from(["openid", "invalid_grant", "Bearer", "S256", "x", ""])
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
# Secrets of every form: words, digits, phrases, quotation marks, base64.
SECRETS = st.one_of(
    st.text(LETTERS, min_size=5, max_size=40).map(lambda text: f"zq{text}"),
    st.integers(10**4, 10**9).map(str),
    st.text(LETTERS + " \"'&=;<>/+%\\é", min_size=5, max_size=30).map(lambda text: f"zq {text}"),
    st.text(LETTERS, min_size=5, max_size=20).map(lambda text: f"https://{text}.example/{text}"),
    st.text(LETTERS, min_size=5, max_size=20).map(lambda text: jwt_of({"x": text})),
)


def in_json(secret: str) -> st.SearchStrategy[Any]:
    """Return JSON with a secret as a value, as a name, in a text, in a list, in JSON, in a JWT."""
    leaves: st.SearchStrategy[Any] = st.sampled_from(
        [
            secret,
            f"no such token: {secret}",
            f"Bearer {secret}",
            json.dumps({"access_token": secret}),
            f"https://app/cb?code={quote(secret, safe='')}",
            jwt_of({"name": secret, "roles": [secret], secret: 1, "act": {"sub": secret}}),
            [secret],
            {secret: 1},
        ]
    )
    if secret.isdecimal():
        leaves = st.just(int(secret)) | leaves
    nested = st.recursive(
        leaves | WORDS | st.integers(-99, 99) | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(PRIVATE, inner, max_size=2),
        max_leaves=4,
    )
    other = st.text(LETTERS, min_size=1, max_size=8)
    object_ = st.dictionaries(PRIVATE | other, nested, min_size=1, max_size=4)
    # A server can repeat a secret anywhere; in vocabulary, it is a word or part of a text.
    repeated = st.dictionaries(
        KNOWN, st.sampled_from([f"no {secret}", f"{secret} is bad"]), max_size=2
    )
    return st.builds(lambda a, b: {**a, **b}, object_, repeated)


def in_pairs(secret: str) -> st.SearchStrategy[list[tuple[str, str]]]:
    """Return the parameters of a form or a query with a secret in them."""
    name = PRIVATE | st.just(secret) | st.text(LETTERS, max_size=8)
    value = st.sampled_from([secret, f"a {secret}", json.dumps({"x": secret})])
    return st.lists(st.tuples(name, value) | st.tuples(KNOWN, WORDS), max_size=4)


@st.composite
def exchanges(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[str, dict[str, Any], Any]:
    """Draw a secret, a request, and a response that has the secret in many places."""
    secret = draw(SECRETS)
    pairs = draw(in_pairs(secret))
    kind = draw(st.sampled_from([FORM, JSON, "multipart/form-data; boundary=x", "text/plain", ""]))
    body = {FORM: urlencode(pairs), JSON: json.dumps(draw(in_json(secret)))}.get(
        kind, f"x={secret}"
    )
    ascii_ = quote(secret, safe="")
    headers = draw(
        st.sampled_from(
            [
                {},
                {"Authorization": basic(f"{ascii_}:{ascii_}")},
                {"Authorization": f"Bearer {ascii_}", "X-Api-Key": ascii_},
                {"Authorization": ascii_, "Cookie": f"sid={ascii_}"},
                {"Authorization": draw(st.sampled_from(["Basic", "DPoP"])) + f" {ascii_}"},
            ]
        )
    )
    path = draw(st.sampled_from(["/token", "/authorize", "/userinfo", "/revoke", "/introspect"]))
    query = urlencode(draw(in_pairs(secret)))
    fragment = draw(st.sampled_from(["", f"#access_token={ascii_}&x={ascii_}", f"#/{ascii_}"]))
    start = draw(
        st.sampled_from(
            [
                "https://app/cb",
                f"https://{ascii_}.example/cb",
                f"/{ascii_}",
                "/login",
                f"{URL}/login",
            ]
        )
    )
    response = {
        "status": draw(st.sampled_from([200, 302, 400, 401])),
        "text": draw(
            in_json(secret).map(json.dumps)
            | st.sampled_from([f"<p>{secret}</p>", secret, "", json.dumps([secret])])
        ),
        "headers": [
            ("Location", f"{start}?{query}{fragment}"),
            ("WWW-Authenticate", f'Bearer realm="{ascii_}", {draw(PRIVATE)}="{ascii_}"'),
            (
                "Content-Type",
                draw(st.sampled_from([JSON, f"text/x-{ascii_}", f"{JSON}; x={ascii_}"])),
            ),
            ("Retry-After", draw(st.sampled_from(["1", ascii_]))),
            ("Cache-Control", f"no-store, x={ascii_}"),
            ("X-Token", ascii_),
        ],
    }
    request = {"path": f"{path}?{query}", "body": body, "kind": kind, "headers": headers}
    return secret, request, response


def readings(text: str) -> str:
    """Return a text with everything in it decoded that a reader could decode."""
    basics = re.findall(r"Basic ([\w+/=]+)", text)
    decoded = [b64decode(f"{one}==").decode(errors="replace") for one in basics if one != "WRONG"]
    plain = [text, unquote_plus(text), text.replace("\\", ""), *decoded]
    return "\n".join([*plain, *map(unquote_plus, decoded)])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(exchanges(), min_size=1, max_size=3))
def test_no_secret_is_written(drawn: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
    """Through the recorder, file and folder names included."""
    with TemporaryDirectory() as folder:
        upstream = StubTransport(received())
        recorder = Recorder(upstream, Path(folder) / "cases", {}, DIALECTS["rfc"])
        for _, request, response in drawn:
            headers = tuple(response["headers"])
            body = response["text"].encode(errors="replace")
            upstream.response = ReceivedResponse(response["status"], headers, body)
            WSGIClient(recorder).post(
                request["path"],
                data=request["body"].encode(errors="replace"),
                content_type=request["kind"],
                headers=request["headers"],
            )
        files = list(Path(folder).rglob("*.toml"))
        written = "\n".join([*map(str, files), *(file.read_text("utf-8") for file in files)])
    written = readings(re.sub(r"recorded \d{4}-\d\d-\d\d", "", written))
    for secret, _, _ in drawn:
        for form in (secret, json.dumps(secret)[1:-1], quote(secret), secret.rpartition(".")[2]):
            assert form not in written


PLAIN_TEXT = st.text(max_size=40).filter(lambda text: "<" not in text)  # No placeholder by chance.
DOCUMENTS = st.dictionaries(
    KNOWN | st.text('xyzé "\\-_', max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**12), 10**12)
        | st.floats(allow_nan=False, allow_infinity=False)
        | PLAIN_TEXT
        | WORDS
        | st.sampled_from(["https://app/cb?code=x&state=y#z", '{"token": "x"}', jwt_of({})]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KNOWN, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)
LAYOUTS = st.sampled_from(
    [{}, {"indent": 2}, {"separators": (" ,", " : ")}, {"ensure_ascii": False}]
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(DOCUMENTS, LAYOUTS)
def test_any_json_that_is_not_changed_is_the_same(
    document: dict[str, Any], layout: dict[str, Any]
) -> None:
    text = json.dumps(document, **layout)
    assert rewrite_json(text, lambda _, value: value) == text


@settings(max_examples=120, deadline=None, derandomize=True)
@given(DOCUMENTS, LAYOUTS)
def test_a_response_matches_its_own_case(document: dict[str, Any], layout: dict[str, Any]) -> None:
    data = json.dumps(document, **layout).encode(errors="surrogatepass")
    response = received(data, 400, content_length=str(len(data)))
    _, expected = redactor().redact(Request(method="GET", path="/userinfo"), response)
    levels: tuple[Level, ...] = ("strict", "loose")
    values = {"username": "<text>", "sub": "<text>"}
    for level in levels:
        assert differences(expected, response, values, level) == []
