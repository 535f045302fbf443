"""Hostile requests, in process: each gets a response of the contract, and uses up no token."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, run_wsgi_app

from fake_oauth import FakeOAuth, Settings
from tests.support.client import DOCUMENTED, FORM
from tests.support.wire import BODY, Answer, assert_of_the_contract

thorough = settings(
    derandomize=True,
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow],
)

# With a frozen clock and a seed, signatures are cached; rotation shows whether a token was used.
FROZEN = Settings(seed=0, start_time=1_700_000_000, freeze_time=True)
ROTATING = FROZEN.changed(refresh_policy="rotate")
TOKEN = "MOCK_REFRESH_TOKEN"
MULTIPART = "multipart/form-data; boundary=b"
INVALID = (400, "invalid_request")
EMPTY = (401, None)
UNPROVEN = (401, "invalid_client")

CONTROLS = "\0\x01\x07\b\t\n\v\f\r\x1b[31m\x7f\x85\u2028\u202e\ufeff"
KNOWN_NAMES = [*DOCUMENTED, "scope", "code", "redirect_uri", "code_verifier", "nonce"]
KNOWN_VALUES = [*DOCUMENTED.values(), "openid", "openid openid", " ", "", "authorization_code"]

texts = st.one_of(st.text(max_size=30), st.text(alphabet=CONTROLS, max_size=10))
latin_1 = st.text(st.characters(max_codepoint=255), max_size=40)
names = st.one_of(st.sampled_from(KNOWN_NAMES), texts)
values = st.one_of(st.sampled_from(KNOWN_VALUES), texts)
pairs = st.lists(st.tuples(names, values), max_size=8)
documented_pairs = st.tuples(pairs, pairs).map(
    lambda junk: [*junk[0], *DOCUMENTED.items(), *junk[1]]
)
forms = st.one_of(pairs, documented_pairs)


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def environ(
    body: bytes = BODY, content_type: str = FORM, /, **changes: str | None
) -> dict[str, Any]:
    """Return the environ of a POST to the token endpoint, with changes; None removes a variable."""
    builder = EnvironBuilder("/oauth2/token", method="POST", data=body)
    made = builder.get_environ()
    builder.close()
    made["CONTENT_TYPE"] = content_type
    for name, value in changes.items():
        made.pop(name, None)
        if value is not None:
            made[name] = value
    return made


def response_to(fake: FakeOAuth, sent: dict[str, Any]) -> Answer:
    """Return the response of a fake to a request."""
    app_iter, status, headers = run_wsgi_app(fake, sent, buffered=True)
    return Answer.of(int(status.split()[0]), headers.items(), b"".join(app_iter))


def outcome(sent: dict[str, Any], fake: FakeOAuth | None = None) -> tuple[int, str | None]:
    """Return the status and the error of a response, after the checks of `assert_harmless`."""
    fake = FakeOAuth(ROTATING) if fake is None else fake
    response = assert_harmless(fake, sent)
    return response.status, response.error


def assert_harmless(fake: FakeOAuth, sent: dict[str, Any]) -> Answer:
    """Return the response. Check that the contract allows it, and that the journal explains it.

    Check also that the documented request still works: a refusal must not use up its token.
    """
    response = response_to(fake, sent)
    assert_of_the_contract(response, head=sent["REQUEST_METHOD"].upper() == "HEAD")
    exchange = fake.journal[-1]
    assert exchange.status == response.status
    assert exchange.reason
    assert str(exchange).isprintable()
    rotates = fake.settings.refresh_policy == "rotate"
    is_used_up = rotates and response.status == 200 and exchange.endpoint == "token"
    if not is_used_up:
        again = response_to(fake, environ())
        assert again.status == 200
        assert (again.json["refresh_token"] != TOKEN) == rotates
    return response


fakes = st.sampled_from([FROZEN, ROTATING]).map(FakeOAuth)


@thorough
@given(fakes, forms)
def test_any_form_gets_a_response_of_the_contract(
    fake: FakeOAuth, form: list[tuple[str, str]]
) -> None:
    assert_harmless(fake, environ(urlencode(form).encode()))


@thorough
@given(fakes, forms)
def test_any_form_that_is_not_escaped_gets_a_response_of_the_contract(
    fake: FakeOAuth, form: list[tuple[str, str]]
) -> None:
    body = "&".join(f"{name}={value}" for name, value in form)
    assert_harmless(fake, environ(body.encode()))


@thorough
@given(fakes, pairs)
def test_unknown_parameters_change_nothing(fake: FakeOAuth, junk: list[tuple[str, str]]) -> None:
    others = [(name, value) for name, value in junk if name not in {*DOCUMENTED, "scope"}]
    assert (
        response_to(fake, environ(urlencode([*others, *DOCUMENTED.items()]).encode())).status == 200
    )


credentials = st.one_of(
    latin_1,
    latin_1.map(lambda text: f"Basic {text}"),
    st.binary(max_size=30).map(lambda data: f"Basic {base64(data)}"),
    st.tuples(values, values).map(lambda two: f"Basic {base64(':'.join(two).encode())}"),
    st.tuples(values, values).map(
        lambda two: f"Basic {base64(':'.join(map(quote_plus, two)).encode())}"
    ),
    st.sampled_from(["Basic", "basic ", "Basic\t", "Bearer x", "Digest a=b", "Basic Og==", ","]),
)


@thorough
@given(fakes, credentials, forms)
def test_any_authorization_gets_a_response_of_the_contract(
    fake: FakeOAuth, authorization: str, form: list[tuple[str, str]]
) -> None:
    sent = environ(urlencode(form).encode(), HTTP_AUTHORIZATION=authorization)
    assert_harmless(fake, sent)


content_types = st.one_of(
    latin_1,
    st.sampled_from([FORM, "multipart/form-data", "application/json", "text/plain"]).flatmap(
        lambda kind: latin_1.map(lambda text: f"{kind};{text}")
    ),
    latin_1.map(lambda text: f"multipart/form-data; boundary={text}"),
    latin_1.map(lambda text: f"{FORM}; charset={text}"),
    st.sampled_from(
        [
            "multipart/form-data; boundary*=utf-8''%FF",
            'multipart/form-data; boundary="',
            "multipart/form-data; boundary*0=a; boundary*9999999999=b",
            f"{FORM}; charset=utf-7",
        ]
    ),
)


@thorough
@given(fakes, content_types)
def test_any_content_type_gets_a_response_of_the_contract(fake: FakeOAuth, kind: str) -> None:
    assert_harmless(fake, environ(BODY, kind))


lengths = st.one_of(
    st.none(),
    latin_1,
    st.integers().map(str),
    st.sampled_from(["", " ", "+5", "-1", "5, 5", "0x10", "1_0", "\xb2", "9" * 5000, "9" * 4000]),
)


@thorough
@given(fakes, lengths)
def test_any_content_length_gets_a_response_of_the_contract(
    fake: FakeOAuth, length: str | None
) -> None:
    assert_harmless(fake, environ(CONTENT_LENGTH=length))


header_names = st.sampled_from(
    ["ACCEPT", "CONNECTION", "COOKIE", "EXPECT", "FORWARDED", "HOST", "ORIGIN", "RANGE"]
)


@thorough
@given(fakes, st.dictionaries(header_names.map("HTTP_{}".format), latin_1, max_size=5))
def test_other_headers_change_nothing(fake: FakeOAuth, headers: dict[str, str]) -> None:
    assert response_to(fake, environ(**headers)).status == 200


delimiters = st.sampled_from(
    [
        b"--b\r\n",
        b"--b--\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b'Content-Disposition: form-data; name="client_id"',
        b'Content-Disposition: form-data; name="f"; filename="x"',
        b"Content-Disposition: form-data",
        b"Content-Disposition: attachment; name=\xff",
        b"Content-Type: text/plain; charset=utf-16",
        b"Content-Transfer-Encoding: base64",
        b"Content-Length: 99999999999",
    ]
)
raw_multiparts = st.lists(st.one_of(delimiters, st.binary(max_size=12)), max_size=16).map(b"".join)
tokens_of_forms = st.sampled_from(
    [b"&", b"=", b"%", b"%ff", b"%00", b";", b"+", b"client_id", BODY]
)
raw_forms = st.lists(st.one_of(tokens_of_forms, st.binary(max_size=8)), max_size=16).map(b"".join)
raw_jsons = st.one_of(
    st.sampled_from([b"{", b"[" * 3000, b"null", b"NaN", b'{"a":1e999}', b'"\\ud800"']),
    raw_forms,
)
bodies = st.one_of(
    st.tuples(raw_multiparts, st.just(MULTIPART)),
    st.tuples(raw_forms, st.just(FORM)),
    st.tuples(raw_jsons, st.just("application/json")),
    st.tuples(
        st.binary(), st.sampled_from([FORM, MULTIPART, "application/json", "", "text/plain"])
    ),
)


@settings(thorough, max_examples=150)
@given(fakes, bodies)
def test_any_bytes_as_a_body_get_a_response_of_the_contract(
    fake: FakeOAuth, body: tuple[bytes, str]
) -> None:
    assert_harmless(fake, environ(*body))


@thorough
@given(fakes, st.lists(st.tuples(names, st.one_of(values, st.binary(max_size=20))), max_size=8))
def test_any_multipart_gets_a_response_of_the_contract(
    fake: FakeOAuth, parts: list[tuple[str, str | bytes]]
) -> None:
    body = b""
    for name, value in parts:
        data = value if isinstance(value, bytes) else value.encode()
        body += f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        body += data + b"\r\n"
    assert_harmless(fake, environ(body + b"--b--\r\n", MULTIPART))


served = st.sampled_from(["/oauth2/token", "/oauth2/jwks", "/.well-known/openid-configuration"])
paths = st.one_of(
    served,
    st.tuples(served, texts).map("".join),
    texts,
    st.sampled_from(["", "//", "/..", "/oauth2/token/", "/oauth2//token", "/OAUTH2/TOKEN", "/\0"]),
).map(lambda path: path.encode().decode("latin-1"))
methods = st.one_of(
    st.sampled_from(
        ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12),
)


@settings(thorough, max_examples=150)
@given(fakes, methods, paths)
def test_any_method_and_path_get_a_response_of_the_contract(
    fake: FakeOAuth, method: str, path: str
) -> None:
    assert_harmless(fake, environ(REQUEST_METHOD=method, PATH_INFO=path))


@thorough
@given(fakes, st.one_of(latin_1, forms.map(urlencode)))
def test_any_query_string_changes_nothing(fake: FakeOAuth, query: str) -> None:
    assert outcome(environ(QUERY_STRING=query), fake) == (200, None)


@thorough
@given(fakes, forms.map(urlencode))
def test_a_query_string_is_not_read_as_a_form(fake: FakeOAuth, query: str) -> None:
    assert outcome(environ(b"", QUERY_STRING=query), fake) == EMPTY


@thorough
@given(fakes, latin_1)
def test_the_mount_point_of_the_app_is_not_part_of_the_path(fake: FakeOAuth, mount: str) -> None:
    assert outcome(environ(SCRIPT_NAME=mount), fake) == (200, None)


@thorough
@given(fakes, st.lists(forms, min_size=2, max_size=5))
def test_a_series_of_refusals_uses_up_no_token(
    fake: FakeOAuth, rows: list[list[tuple[str, str]]]
) -> None:
    for form in rows:
        body = urlencode([*form, ("client_secret", "wrong"), ("client_id", "x")]).encode()
        assert response_to(fake, environ(body)).status != 200
    assert_harmless(fake, environ(b""))


def padded(size: int) -> bytes:
    """Return the documented form with one more parameter, which makes it `size` bytes long."""
    return BODY + b"&x=" + b"y" * (size - len(BODY) - 3)


def crowded(count: int) -> bytes:
    """Return the documented form with more parameters, `count` in all."""
    return b"&".join([BODY, *(b"x%d=y" % index for index in range(count - len(DOCUMENTED)))])


def multipart(*parts: tuple[str, bytes]) -> bytes:
    """Return a multipart body."""
    pieces = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
        for name, value in parts
    ]
    return b"".join([*pieces, b"--b--\r\n"])


DOCUMENTED_PARTS = [(name, value.encode()) for name, value in DOCUMENTED.items()]


def test_a_body_of_64_kib_is_read() -> None:
    assert outcome(environ(padded(65536))) == (200, None)


def test_a_body_over_64_kib_is_an_invalid_request() -> None:
    assert outcome(environ(padded(65537))) == INVALID


@pytest.mark.parametrize("content_type", [MULTIPART, "application/json", "text/plain", ""])
def test_a_body_over_64_kib_is_an_invalid_request_whatever_its_type(content_type: str) -> None:
    assert outcome(environ(b"x" * 65537, content_type)) == INVALID


@pytest.mark.parametrize("length", [None, "", "abc"])
def test_a_stream_over_64_kib_is_an_invalid_request_without_a_length(length: str | None) -> None:
    sent = environ(padded(65537), CONTENT_LENGTH=length)
    sent["wsgi.input_terminated"] = True
    assert outcome(sent) == INVALID


def test_a_stream_of_64_kib_is_read_without_a_length() -> None:
    sent = environ(padded(65536), CONTENT_LENGTH=None)
    sent["wsgi.input_terminated"] = True
    assert outcome(sent) == (200, None)


def test_a_body_shorter_than_its_length_is_an_invalid_request() -> None:
    assert outcome(environ(CONTENT_LENGTH=str(len(BODY) + 1))) == INVALID


def test_a_body_without_a_length_is_not_read() -> None:
    assert outcome(environ(CONTENT_LENGTH=None)) == EMPTY


def test_a_multipart_of_64_kib_is_read() -> None:
    bare = len(multipart(*DOCUMENTED_PARTS, ("x", b"")))
    body = multipart(*DOCUMENTED_PARTS, ("x", b"y" * (65536 - bare)))
    assert len(body) == 65536
    assert outcome(environ(body, MULTIPART)) == (200, None)


def test_100_parameters_are_read() -> None:
    assert outcome(environ(crowded(100))) == (200, None)


def test_101_parameters_are_an_invalid_request() -> None:
    assert outcome(environ(crowded(101))) == INVALID


def test_101_parameters_are_too_many_even_if_blank() -> None:
    assert outcome(environ(BODY + b"&x=" * 97)) == INVALID


@pytest.mark.parametrize(("count", "expected"), [(96, (200, None)), (97, INVALID)])
def test_parts_of_a_multipart_are_counted_like_parameters(
    count: int, expected: tuple[int, str | None]
) -> None:
    body = multipart(*DOCUMENTED_PARTS, *([("x", b"y")] * count))
    assert outcome(environ(body, MULTIPART)) == expected


@pytest.mark.parametrize("disposition", ["form-data", 'form-data; name="\r"', "form-data; x=y"])
def test_a_part_without_a_name_is_ignored(disposition: str) -> None:
    part = f"--b\r\nContent-Disposition: {disposition}\r\n\r\nx\r\n".encode()
    assert outcome(environ(part + multipart(*DOCUMENTED_PARTS), MULTIPART)) == (200, None)


NOT_UTF_8 = [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe9t\xe9"]


@pytest.mark.parametrize("data", NOT_UTF_8)
@pytest.mark.parametrize("place", [b"&x=%b", b"&%b=x", b"&%b"])
def test_raw_bytes_that_are_not_utf_8_are_an_invalid_request(data: bytes, place: bytes) -> None:
    assert outcome(environ(BODY + place % data)) == INVALID


@pytest.mark.parametrize("data", NOT_UTF_8)
@pytest.mark.parametrize("place", ["&x={}", "&{}=x", "&{}="])
def test_escaped_bytes_that_are_not_utf_8_are_an_invalid_request(data: bytes, place: str) -> None:
    escaped = "".join(f"%{byte:02X}" for byte in data)
    assert outcome(environ(BODY + place.format(escaped).encode())) == INVALID


@pytest.mark.parametrize("data", NOT_UTF_8)
def test_a_multipart_that_is_not_utf_8_is_an_invalid_request(data: bytes) -> None:
    body = multipart(*DOCUMENTED_PARTS, ("x", data))
    assert outcome(environ(body, MULTIPART)) == INVALID


@pytest.mark.parametrize("name", DOCUMENTED)
@pytest.mark.parametrize("nul", [b"\0", b"%00"])
def test_a_nul_is_part_of_the_value(name: str, nul: bytes) -> None:
    value = DOCUMENTED[name].encode()
    body = BODY.replace(value, value + nul, 1)
    errors = {
        "client_id": UNPROVEN,
        "client_secret": UNPROVEN,
        "grant_type": (400, "unsupported_grant_type"),
        "refresh_token": (400, "invalid_grant"),
    }
    assert outcome(environ(body)) == errors[name]


@pytest.mark.parametrize("name", DOCUMENTED)
@pytest.mark.parametrize("nul", [b"\0", b"%00"])
def test_a_nul_is_part_of_the_name(name: str, nul: bytes) -> None:
    expected = {
        "client_id": EMPTY,
        "client_secret": EMPTY,
        "grant_type": INVALID,
        "refresh_token": INVALID,
    }
    body = BODY.replace(name.encode() + b"=", name.encode() + nul + b"=", 1)
    assert outcome(environ(body)) == expected[name]


@pytest.mark.parametrize(
    "text",
    ["\x1b[2J", "\r\n#2 00:00:00 POST / -> 200", "\0", "\u202e", "\x9b31m", "\u2028"],
    ids=ascii,
)
@pytest.mark.parametrize(
    "name", ["client_id", "grant_type", "refresh_token", "scope", "client_secret", "x"]
)
def test_the_journal_prints_no_control_character_of_a_parameter(name: str, text: str) -> None:
    fake = FakeOAuth(FROZEN)
    response_to(fake, environ(urlencode({**DOCUMENTED, name: text}).encode()))
    assert str(fake.journal).isprintable()


@pytest.mark.parametrize("variable", ["REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"])
def test_the_journal_prints_no_control_character_of_the_request_line(variable: str) -> None:
    fake = FakeOAuth(FROZEN)
    response_to(fake, environ(**{variable: f"/{CONTROLS.encode().decode('latin-1')}=x"}))
    assert str(fake.journal).isprintable()


GOOD = base64(b"TENANT_CLIENT_ID:TENANT_CLIENT_SECRET")


@pytest.mark.parametrize(
    "value",
    [
        "Basic",
        "Basic ",
        "Basic  ",
        "Basic =",
        "Basic ====",
        "Basic A",
        "Basic \xe9",
        "Basic \0",
        f"Basic {GOOD[:20]} {GOOD[20:]}",
        f"Basic {GOOD},Basic {GOOD}",
        f"Basic {GOOD}\0",
        f"Basic Basic {GOOD}",
        f'Basic "{GOOD}"',
        f"Basic {base64(b'')}",
        f"Basic {base64(b'TENANT_CLIENT_ID')}",
        f"Basic {base64(b'TENANT_CLIENT_ID%3ATENANT_CLIENT_SECRET')}",
        f"Basic {base64(b'%:x')}",
        f"Basic {base64(b'x:%4')}",
        f"Basic {base64(b'x:%zz')}",
        f"Basic {base64(b'x:%-1')}",
        f"Basic {base64(b'x:%u0041')}",
        f"Basic {base64(b'%ff:x')}",
        f"Basic {base64(b'x:%C3')}",
        f"Basic {base64(b'x:%ED%A0%80')}",
        f"Basic {base64(b'x:' + bytes([0xC3]))}",
        f"Basic {base64(b'%00' + bytes(range(256)))}",
        "Basic " + base64("x:y".encode("utf-16")),
    ],
    ids=ascii,
)
def test_a_malformed_basic_is_an_invalid_request_even_with_a_valid_form(value: str) -> None:
    assert outcome(environ(HTTP_AUTHORIZATION=value)) == INVALID


@pytest.mark.parametrize("user_pass", [":", "x:", ":x", " : ", "%20:x", "x:%09", "+:x", "\n:x"])
def test_a_basic_with_a_blank_half_gets_an_empty_401(user_pass: str) -> None:
    authorization = f"Basic {base64(user_pass.encode())}"
    assert outcome(environ(HTTP_AUTHORIZATION=authorization)) == EMPTY


@pytest.mark.parametrize(
    "user_pass",
    [
        "x:y",
        "\0:\0",
        "%00:%00",
        "TENANT_CLIENT_ID:TENANT_CLIENT_SECRET:",
        "TENANT_CLIENT_ID:TENANT_CLIENT_SECRET%00",
        "TENANT_CLIENT_ID :TENANT_CLIENT_SECRET",
        "TENANT_CLIENT_ID:TENANT_CLIENT_SECRET+",
        "TENANT_CLIENT_ID:TENANT_CLIENT_SECRET%0A",
        "tenant_client_id:TENANT_CLIENT_SECRET",
        "TENANT_CLIENT_ID:TENANT%5fCLIENT%5fSECRE",
        "TENANT_CLIENT_ID:%25",
        "名:名",
        "x" * 10000 + ":y",
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_a_well_formed_basic_with_other_credentials_is_an_invalid_client(user_pass: str) -> None:
    body = b"grant_type=refresh_token&refresh_token=MOCK_REFRESH_TOKEN"
    authorization = f"Basic {base64(user_pass.encode())}"
    assert outcome(environ(body, HTTP_AUTHORIZATION=authorization)) == UNPROVEN


@pytest.mark.parametrize(
    "user_pass",
    ["x:y", "%00:%00", "TENANT_CLIENT_ID :TENANT_CLIENT_SECRET", "tenant_client_id:x", "名:名"],
)
def test_a_basic_of_another_client_than_the_form_is_an_invalid_request(user_pass: str) -> None:
    authorization = f"Basic {base64(user_pass.encode())}"
    assert outcome(environ(HTTP_AUTHORIZATION=authorization)) == INVALID


@pytest.mark.parametrize("secret", ["x", "TENANT_CLIENT_SECRET%00", "TENANT_CLIENT_SECRET:"])
def test_the_secret_in_a_basic_decides_even_with_a_valid_form(secret: str) -> None:
    authorization = f"Basic {base64(f'TENANT_CLIENT_ID:{secret}'.encode())}"
    assert outcome(environ(HTTP_AUTHORIZATION=authorization)) == UNPROVEN


@pytest.mark.parametrize(
    "user_pass",
    [
        "TENANT_CLIENT_ID:TENANT_CLIENT_SECRET",
        "TENANT%5FCLIENT%5fID:TENANT_CLIENT_SECRET",
        "".join(f"%{ord(letter):02x}" for letter in "TENANT_CLIENT_ID") + ":TENANT_CLIENT_SECRET",
    ],
)
def test_both_halves_of_a_basic_are_unescaped(user_pass: str) -> None:
    authorization = f"Basic {base64(user_pass.encode())}"
    assert outcome(environ(HTTP_AUTHORIZATION=authorization)) == (200, None)


@pytest.mark.parametrize("value", ["", "Bearer x", "Digest x", "Basically", f"Basic{GOOD}", "\0"])
def test_with_another_scheme_the_form_authenticates(value: str) -> None:
    assert outcome(environ(HTTP_AUTHORIZATION=value)) == (200, None)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_repeated_parameter_is_an_invalid_request(name: str) -> None:
    again = f"&{name}={DOCUMENTED[name]}".encode()
    assert outcome(environ(BODY + again)) == INVALID


@pytest.mark.parametrize("method", ["post", "Post", "POST ", "POSTS", "\0POST"])
def test_a_method_is_case_sensitive(method: str) -> None:
    assert outcome(environ(REQUEST_METHOD=method)) == (405, None)
