"""Nothing secret is in a page, however a provider writes it; what is no secret stays as it was."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_oauth.contract.comparing import Answer, differences
from fake_oauth.contract.holes import Level
from fake_oauth.contract.pages import Page, Request, Response, as_toml
from fake_oauth.contract.redacting import Redactor
from fake_oauth.contract.rewriting import form_told, json_told, url_told
from fake_oauth.contract.secrecy import is_random, is_secret, is_vocabulary, looks_secret

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def encoded(document: Any) -> str:
    return urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def jwt(**claims: Any) -> str:
    return f"{encoded({'alg': 'RS256', 'kid': '1'})}.{encoded(claims)}.c2lnbmVkLWJ5LW5vYm9keQ"


JWT = jwt(sub="alice")
SECRET = "hunter2-hunter2"


@dataclass(frozen=True)
class Case:
    """An exchange, and what must not be read off its page."""

    path: str = "/token"
    headers: Mapping[str, str] = field(default_factory=lambda: FORM)
    body: str | None = None
    answer: Any = field(default_factory=dict)
    status: int = 200
    answered: Mapping[str, str] = field(default_factory=dict)
    secret: str = SECRET

    def told(self, values: Mapping[str, str] | None = None) -> tuple[Request, Response]:
        request = Request(method="POST", path=self.path, headers=self.headers, body=self.body)
        text = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        headers = {"content-type": "application/json", **self.answered}
        answer = Answer(self.status, headers, text.encode())
        return Redactor(values or {}).redacted(request, answer)


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(text.encode()).decode()}"}


HIDDEN = {
    # Written in JSON in other ways than Python's.
    "escaped slashes": Case(answer=r'{"refresh_token":"1\/\/0gXhunter2"}', secret="0gXhunter2"),
    "escaped equals": Case(answer=r'{"access_token":"hunter2\u003d\u003d"}', secret="hunter2"),
    "upper-case escapes": Case(answer=r'{"client_secret":"h\u00FCnter-2"}', secret="nter-2"),
    "raw letters": Case(answer='{"client_secret":"hünter-2"}', secret="nter-2"),
    "a member twice": Case(answer=f'{{"access_token":"{SECRET}","access_token":"b"}}'),
    "repeated with escapes": Case(
        body="refresh_token=1%2F%2F0gXhunter2",
        answer=r'{"error":"invalid_grant","error_description":"no 1\/\/0gXhunter2"}',
        secret="0gXhunter2",
    ),
    "repeated with quotation marks": Case(
        body="password=pa%22ss+word",
        answer={"error_description": 'bad pa"ss word'},
        secret="ss word",
    ),
    # By their names.
    **{
        f"the name {name}": Case(body=f"{quote(name)}={SECRET}", answer={name: SECRET})
        for name in (
            *("clientSecret", "deviceCode", "userCode", "SECRET_HASH", "oobCode", "passwd"),
            *("user[password]", "stateHandle", "pwd", "pin", "SAMLResponse", "recovery_codes"),
            *("password_confirmation", "refreshTokenValue", "x-api-key", "login_challenge"),
            *("registration_access_token", "id_token_hint", "actor_token", "_csrf", "request_uri"),
        )
    },
    "what is below a secret name": Case(
        body=json.dumps({"password": {"hook": SECRET}}), headers=JSON, answer={"tokens": [SECRET]}
    ),
    "a number": Case(answer={"otp": 123456}, secret="123456"),
    "a number that is asked": Case(body=json.dumps({"otp": 123456}), headers=JSON, secret="123456"),
    # By their looks.
    "a token of any name": Case(answer={"thing": "a1B2c3D4e5F6g7H8"}, secret="a1B2c3D4"),
    "a JWT in a text": Case(answer={"message": f"Bearer {JWT} is late"}, secret="c2lnbmVk"),
    "a JWT of any name": Case(body=f"x={JWT}", answer={"x": [JWT]}, secret="c2lnbmVk"),
    "a token in a text": Case(answer={"m": "x=a1B2c3D4e5F6g7H8;"}, secret="a1B2c3D4"),
    "a token of letters": Case(answer={"m": "aBcDeFgHiJkLmNoPqRsTuV"}, secret="aBcD"),
    "a long number": Case(answer={"m": "4111111111111111"}, secret="4111"),
    "an address": Case(answer={"m": "for alice@example.org"}, secret="alice"),
    "a form in a form": Case(body=f"back={quote(f'a=b&nonce={SECRET}')}"),
    "JSON in JSON": Case(answer={"m": json.dumps({"id_token": SECRET})}),
    "broken JSON in JSON": Case(answer={"m": '{"id_token": a1B2c3D4e5F6g7H8'}, secret="a1B2c3D4"),
    "JSON in a form": Case(body=f"m={quote(json.dumps({'password': SECRET}))}"),
    "JSON that is called a form": Case(body=json.dumps({"client_secret": SECRET})),
    "a form of one token": Case(body=SECRET),
    "a query of one token": Case(path=f"/cb?{JWT}", secret="c2lnbmVk"),
    "an URL in JSON": Case(answer={"location": f"https://app/cb?code={SECRET}"}),
    "an URL in a query": Case(path=f"/x?continue={quote(f'https://app/cb?code={SECRET}')}"),
    # Where people are.
    "personal claims": Case(answer={"name": "Alice Liddell"}, secret="Liddell"),
    "a name that is refused": Case(
        body="username=alice.liddell&password=x", status=400, secret="alice"
    ),
    # In headers and URLs.
    "a token without a scheme": Case(headers={"Authorization": SECRET}),
    "a scheme with a colon": Case(headers={"Authorization": f"Bearer:{SECRET} x"}),
    "a scheme of one's own": Case(headers={"Authorization": f"Custom {SECRET}"}),
    "a bearer that is repeated": Case(
        headers={"Authorization": f"bearer {SECRET}"}, answer={"m": f"no {SECRET}"}
    ),
    "a credential that is repeated": Case(
        headers={"Authorization": f"token {SECRET}"}, answer={"m": f"no {SECRET}"}
    ),
    "an API key that is repeated": Case(
        headers={"X-Api-Key": SECRET}, answer={"m": f"key {SECRET} unknown"}
    ),
    "a cookie that is repeated": Case(
        headers={"Cookie": f"a=b; sid={SECRET}"}, answer={"m": f"session {SECRET}"}
    ),
    "a proof that is repeated": Case(headers={"Dpop": SECRET}, answer={"m": f"proof {SECRET}"}),
    "Basic with an API key as a name": Case(headers=basic(f"{SECRET}:")),
    "Basic that is repeated": Case(
        headers=basic("web:pass+word%2F2"), answer={"m": "no pass word/2"}, secret="word/2"
    ),
    "multipart that is repeated": Case(
        headers={"Content-Type": "multipart/form-data; boundary=b"},
        body=f'--b\r\nContent-Disposition: form-data; name="p"\r\n\r\n{SECRET}\r\n--b--',
        answer={"m": f"no {SECRET}"},
    ),
    "a text that is repeated": Case(
        headers={"Content-Type": "text/plain"}, body=SECRET, answer={"m": f"no {SECRET}"}
    ),
    "a form without a type": Case(
        headers={}, body=f"client_secret={SECRET}", answer={"client_secret": SECRET}
    ),
    "a challenge": Case(
        status=401, answered={"www-authenticate": f'UMA realm="r", ticket="{SECRET}"'}
    ),
    "a path": Case(path="/tokens/gho_16C7e42F292c6912E7", secret="gho_"),
    "a parameter of a path": Case(path=f"/login;jsessionid={SECRET}?a=b"),
    "who is in a URL": Case(answered={"location": f"https://alice:{SECRET}@app/cb"}, status=302),
    "a fragment of a page's own": Case(
        answered={"location": f"https://app/#/cb?code={SECRET}"}, status=302
    ),
    "a session in a redirect": Case(
        answered={"location": f"https://app/cb?session_state={SECRET}"}, status=302
    ),
    "an odd secret in a redirect's path": Case(
        body=f"client_secret={quote('hün ter')}",
        answered={"location": f"/x/{quote('hün ter')}/y"},
        secret="ter",
    ),
    # In claims.
    "a claim that is a token": Case(
        answer={"id_token": jwt(idp_access_token=SECRET, session_state=SECRET)}
    ),
    "a claim that is a JWT": Case(answer={"id_token": jwt(act=[JWT])}, secret="c2lnbmVk"),
    "a claim that says who": Case(answer={"id_token": jwt(email=SECRET, sub=SECRET)}),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_it_is_not_told(name: str) -> None:
    case = HIDDEN[name]
    asked, answered = case.told()
    page = Page(name="x", title="x", source="x", request=asked, response=answered)
    text = as_toml(page)
    basics = re.findall(r"Basic ([\w+/=]+)", text)
    views = [text, unquote_plus(text), text.encode().decode("unicode_escape")]
    views += [b64decode(f"{one}==").decode(errors="replace") for one in basics if one != "WRONG"]
    assert not [view for view in views if case.secret in view]


def body(**case: Any) -> Any:
    return json.loads(Case(**case).told()[1].body or "null")


PLAIN = [
    {"error": "invalid_grant", "error_uri": "https://idp.example/docs/rfc6749#section-5.2"},
    {"error_description": "AADSTS50126: Error validating credentials.", "error_codes": [50126]},
    {"token_type": "Bearer", "expires_in": 3600, "refresh_token_expires_in": 86400},
    {"scope": "User.Read.All https://graph.example/.default", "refresh_expires_in": 1800},
    {"token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"]},
    {"token_endpoint": "https://idp.example/oauth2/v2.0/token", "code": 0, "ok": True, "x": None},
    {"a": [], "b": {}, "c": [{"d": "application/x-www-form-urlencoded"}], "e": 1.5},
    {"grant_types": ["password"], "package": "com.example.app.accounts", "date": "2026-11-25"},
]


@pytest.mark.parametrize("document", PLAIN, ids=str)
def test_what_is_no_secret_is_told_as_it_is(document: dict[str, Any]) -> None:
    assert body(answer=document) == document


@pytest.mark.parametrize(
    "text",
    [
        '{ "a" : [ "b", 1.50, -2e3 ],\n  "\\u00e9": "\\/x", "c": {"d": null}}',
        '{"a":"a\\"b","b":[[],{}],"c":true}',
        "{}",
    ],
)
def test_a_layout_stays(text: str) -> None:
    assert Case(answer=text).told()[1].body == text
    assert json_told(text, lambda _, value: value) == text


def test_names_are_those_that_a_value_stands_below() -> None:
    seen = []

    def tell(names: Any, value: Any) -> Any:
        seen.append((tuple(names), value))
        return value

    json_told('{"a": {"b": [1, {"c": "x"}], "d": "y"}, "e": ["z"]}', tell)
    assert seen == [
        (("a", "b"), 1),
        (("a", "b", "c"), "x"),
        (("a", "d"), "y"),
        (("e",), "z"),
    ]
    seen.clear()
    json_told('["a", "b"]', tell)
    assert seen == [((), "a"), ((), "b")]
    with pytest.raises(ValueError, match="Expecting"):
        json_told("{", tell)


def test_what_is_not_changed_in_a_url_stays_as_it_was_written() -> None:
    url = "https://h:8080/a%2Fb/c;d=e/?x=a:b,c/d&y=%20+&z&#frag"
    assert url_told(url, lambda _, value: value) == url
    assert form_told("a=b+c&d=%2F&&e", lambda _, value: value) == "a=b+c&d=%2F&&e"


def test_a_word_that_was_wrong_once_is_no_word_less() -> None:
    """A refresh_token `invalid` must not be found in `invalid_grant`, nor later at all."""
    redactor = Redactor({})
    junk = Request(method="POST", path="/t", headers=FORM, body="refresh_token=invalid&code=1")
    for text in ('{"error": "invalid_grant", "n": 1}', '{"error": "invalid", "x": "1"}'):
        _, answered = redactor.redacted(junk, Answer(400, {}, text.encode()))
        assert answered.body == text.replace('"invalid"', '"WRONG"').replace('"1"', '"WRONG"')
    plain = Request(method="POST", path="/t", headers=FORM, body="grant_type=x")
    answer = Answer(400, {}, b'{"error": "invalid"}')
    assert redactor.redacted(plain, answer)[1].body == '{"error": "invalid"}'


def test_a_code_in_a_body_is_no_authorization_code() -> None:
    """But what many say for an error or a status."""
    redactor = Redactor({})
    plain = Request(method="GET", path="/users?page=0")
    for _ in range(2):
        asked, answered = redactor.redacted(plain, Answer(200, {}, b'{"code": "0", "n": "0"}'))
        assert asked.path == "/users?page=0"
        assert answered.body == '{"code": "<any>", "n": "0"}'


def test_values_that_are_words_of_the_protocol_do_not_hide_it() -> None:
    values = {"client_secret": "secret", "password": "password", "client_id": "app"}
    asked, answered = Case(
        body="grant_type=password&username=alice&password=password&client_id=app",
        answer={"token_endpoint_auth_methods_supported": ["client_secret_basic"], "m": "app"},
        answered={"location": "https://app/cb"},
    ).told({**values, "scope": "openid", "username": ""})
    assert asked.body == (
        "grant_type=password&username=MOCK_USERNAME&password=MOCK_PASSWORD"
        "&client_id=TENANT_CLIENT_ID"
    )
    told = json.loads(answered.body or "")
    assert told["token_endpoint_auth_methods_supported"] == ["client_secret_basic"]
    assert answered.headers["Location"] == "https://app/cb"


def test_one_value_may_be_two() -> None:
    asked, _ = Case(body="username=admin&password=admin&client_id=admin").told()
    assert asked.body == "username=MOCK_USERNAME&password=MOCK_PASSWORD&client_id=TENANT_CLIENT_ID"


@pytest.mark.parametrize(
    ("status", "answered", "answer"),
    [
        (200, {}, {"error": "bad_verification_code"}),
        (200, {"content-type": "text/html"}, "<form>"),
        (302, {"location": "https://idp/error?error=access_denied"}, ""),
    ],
)
def test_what_is_refused_with_a_good_status_is_not_learnt(
    status: int, answered: dict[str, str], answer: Any
) -> None:
    asked, _ = Case(body="code=c-1", status=status, answered=answered, answer=answer).told()
    assert asked.body == "code=WRONG"


def test_a_redirect_uri_with_a_query_is_the_documented_one() -> None:
    own = "https://app.example/cb?from=idp"
    asked, answered = Case(
        path=f"/authorize?redirect_uri={quote(own)}",
        status=302,
        answered={"location": f"{own}&code=c-1&state=x,y"},
    ).told({"redirect_uri": own})
    assert "redirect_uri=https%3A%2F%2Fexample.com%2Fcallback" in asked.path
    documented = "https://example.com/callback?code=MOCK_CODE&state=x,y"
    assert answered.headers["Location"] == documented


def test_what_a_request_said_is_said_again() -> None:
    _, answered = Case(
        body=f"state={SECRET}-0&client_assertion=as-1",
        status=302,
        answered={"location": f"https://app/cb?state={SECRET}-0"},
    ).told()
    assert answered.headers["Location"] == "https://app/cb?state=WRONG"


def test_tokens_are_told_by_their_claims_and_lifetimes() -> None:
    claims = {
        "sub": "u-1",
        "aud": ["web", "https://api.example"],
        "iat": 1700000000,
        "exp": 1700000900,
        "nbf": 1700000000,
        "auth_time": 1699999999,
        "scp": "a b",
        "roles": ["admin", 7],
        "groups": [None],
        "realm_access": {"roles": []},
        "late": 1700000000.5,
    }
    _, answered = Case(answer={"id_token": jwt(**claims), "sub": "u-1"}).told({"client_id": "web"})
    assert answered.jose == {"id_token": {"alg": "RS256", "kid": "<any>"}}
    assert answered.claims == {
        "id_token": {
            "sub": "MOCK_USERNAME",
            "aud": ["TENANT_CLIENT_ID", "https://api.example"],
            "iat": "<time>",
            "exp": "<iat+900>",
            "nbf": "<iat>",
            "auth_time": "<time>",
            "scp": "a b",
            "roles": ["admin", 7],
            "late": 1700000000.5,
        }
    }
    assert answered.body == '{"id_token": "<jwt>", "sub": "MOCK_USERNAME"}'


def test_numbers_that_are_secrets_are_any_number() -> None:
    assert body(answer={"otp": 123456, "code": 7, "exp": 1700000000, "exp_in": 5}) == {
        "otp": "<number>",
        "code": 7,
        "exp": "<time>",
        "exp_in": 5,
    }
    wanted = Response(status=200, body='{"otp":"<number>"}')
    levels: tuple[Level, ...] = ("strict", "loose")
    for level in levels:
        for text, is_one in (
            ('{"otp":123456}', True),
            ('{"otp":-1.5}', True),
            ('{"otp":"1"}', False),
        ):
            length = {"Content-Length": str(len(text))}
            found = differences(wanted, Answer(200, length, text.encode()), {}, level)
            assert (found == []) == is_one


@pytest.mark.parametrize("text", ["[" * 100_000, "\ud800", '{"a": "\\ud800"}'])
def test_what_cannot_be_told_is_left_out(text: str) -> None:
    request = Request(method="POST", path="/x", headers=JSON, body=text)
    answer = Answer(200, {}, text.encode(errors="surrogatepass"))
    asked, answered = Redactor({}).redacted(request, answer)
    assert asked.body in ("WRONG", text)
    assert answered.body in (None, text)


@pytest.mark.parametrize(
    ("names", "is_one"),
    [
        (["access_token"], True),
        (["data", "token", "scope"], False),
        (["tokens", "value"], True),
        (["refresh_token_expires_in"], False),
        (["token_endpoint"], False),
        (["error"], False),
        ([], False),
    ],
)
def test_a_secret_is_known_by_its_names(names: list[str], *, is_one: bool) -> None:
    assert is_secret(names) == is_one


def test_a_secret_is_known_by_its_looks() -> None:
    assert looks_secret(JWT)
    assert looks_secret("a@example.org")
    assert looks_secret("9f86d081884c7d65")
    assert not looks_secret("login.microsoft0nline.example")
    assert not looks_secret("invalid_request_object")
    assert not is_random("short1")
    assert is_vocabulary(["scopes_supported"])
    assert not is_vocabulary([])


PLAIN_TEXT = st.text(max_size=40).filter(lambda text: "<" not in text)  # No hole by chance.
NAMES = st.sampled_from(
    [
        *("id_token", "password", "deviceCode", "otp", "exp", "iat", "error", "scope", "name"),
        *("email", "expires_in", "error_description", "kid", "m", "data", "keys", "kty", "aud"),
        *("grant_types_supported", "token_type"),
    ]
) | st.text('xyzé "\\-_', max_size=5)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN_TEXT
    | st.sampled_from(["https://app/cb?code=x&state=y#z", '{"token": "x"}', JWT, "a@b.example"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=5)
LAYOUTS = st.sampled_from(
    [{}, {"indent": 2}, {"separators": (" ,", " : ")}, {"ensure_ascii": False}]
)
thorough = settings(max_examples=300, deadline=None, derandomize=True)


@thorough
@given(DOCUMENTS, LAYOUTS)
def test_any_json_that_is_left_alone_is_the_same(
    document: dict[str, Any], layout: dict[str, Any]
) -> None:
    text = json.dumps(document, **layout)
    assert json_told(text, lambda _, value: value) == text


@thorough
@given(DOCUMENTS, LAYOUTS)
def test_what_is_recorded_holds_for_what_it_was_recorded_of(
    document: dict[str, Any], layout: dict[str, Any]
) -> None:
    data = json.dumps(document, **layout).encode(errors="surrogatepass")
    answer = Answer(400, {"Content-Length": str(len(data))}, data)
    _, page = Redactor({}).redacted(Request(method="GET", path="/x"), answer)
    levels: tuple[Level, ...] = ("strict", "loose")
    for level in levels:
        assert differences(page, answer, {"sub": "alice"}, level) == []
