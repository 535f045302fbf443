"""Every fault, as real clients see it over a socket; and the edges of what it can act on."""

from __future__ import annotations

import gzip
import hmac
import http.client
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from hashlib import sha256
from inspect import Parameter, signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm
from werkzeug.test import Client as WSGIClient

from fake_oauth import BehaviorError, Clock, FakeOAuth, FakeOAuthError, Settings, TokenSet, faults
from fake_oauth.dialects import CIAM
from fake_oauth.faults import KINDS, Fault, Rule
from fake_oauth.faults.base import Conditions, FaultContext, Stage
from fake_oauth.faults.tables import plain
from fake_oauth.provider.tokens import decode, encode
from fake_oauth.reply import Reply, Response
from tests.support.client import DOCUMENTED, FORM, ask
from tests.support.stub import stub
from tests.support.wire import connect, request, wait_until

# For clients that are to give up; the others have all the time that a busy machine needs.
IMPATIENCE_SECONDS = 0.2
PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """A response as a client got it."""

    status: int
    headers: dict[str, str]
    body: bytes
    server: FakeOAuth

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    def decoded(self, name: str, **options: Any) -> Any:
        """Return the claims of a token, validated as a client does. Raise PyJWT's errors."""
        token = self.json[name]
        keys = jwt.PyJWKSet.from_dict(ask_for_keys(self.server))
        kid = jwt.get_unverified_header(token)["kid"]
        (key,) = (key for key in keys.keys if key.key_id == kid)
        options = {"issuer": self.server.issuer, "audience": "TENANT_CLIENT_ID", **options}
        return jwt.decode(token, key, algorithms=["RS256"], **options)


def ask_for_keys(server: FakeOAuth) -> Any:
    return httpx.get(f"{server.url}/oauth2/jwks").json()


def by_http_client(url: str, timeout: float) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(url[7:], timeout=timeout)
    try:
        body = "&".join(f"{name}={value}" for name, value in DOCUMENTED.items())
        connection.request("POST", "/oauth2/token", body, {"Content-Type": FORM})
        with connection.getresponse() as response:
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()
    finally:
        connection.close()


def by_httpx(url: str, timeout: float) -> tuple[int, dict[str, str], bytes]:
    response = httpx.post(f"{url}/oauth2/token", data=DOCUMENTED, timeout=timeout)
    return response.status_code, dict(response.headers), response.content


def by_requests(url: str, timeout: float) -> tuple[int, dict[str, str], bytes]:
    with requests.post(
        f"{url}/oauth2/token", data=DOCUMENTED, timeout=timeout, allow_redirects=False
    ) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status_code, headers, response.content


CLIENTS = {"http.client": by_http_client, "httpx": by_httpx, "requests": by_requests}
Expected = Callable[[Seen], bool] | dict[str, tuple[type[Exception], str]]


def raises(kind: type[Exception]) -> Callable[[Seen], bool]:
    """That PyJWT refuses the id_token like this, and takes the same from the next reply."""

    def check(answer: Seen) -> bool:
        with pytest.raises(kind) as caught:
            answer.decoded("id_token")
        return caught.type is kind

    return check


def signature_is_wrong(answer: Seen) -> bool:
    header, claims = decode(answer.json["access_token"])
    assert (header["alg"], claims["iss"]) == ("RS256", answer.server.issuer)
    return raises(jwt.InvalidSignatureError)(answer)


def key_is_unknown(answer: Seen) -> bool:
    kids = {key["kid"] for key in ask_for_keys(answer.server)["keys"]}
    header = jwt.get_unverified_header(answer.json["id_token"])
    return header["kid"] not in kids


def valid_without_a_kid(answer: Seen) -> bool:
    token = answer.json["access_token"]
    (key,) = jwt.PyJWKSet.from_dict(ask_for_keys(answer.server)).keys
    jwt.decode(token, key, algorithms=["RS256"], audience="TENANT_CLIENT_ID")
    return jwt.get_unverified_header(token) == {"typ": "JWT", "alg": "RS256"}


def unsigned(answer: Seen) -> bool:
    token: str = answer.json["id_token"]
    header: dict[str, str] = jwt.get_unverified_header(token)
    return header["alg"] == "none" and token.endswith(".")


def signed_with_the_public_key(answer: Seen) -> bool:
    signed, _, signature = answer.json["id_token"].rpartition(".")
    (key,) = jwt.PyJWKSet.from_dict(ask_for_keys(answer.server)).keys
    pem = key.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.new(pem, signed.encode(), sha256).digest()
    header = jwt.get_unverified_header(answer.json["id_token"])
    is_ours: bool = mac == urlsafe_b64decode(f"{signature}=")
    return is_ours and header["alg"] == "HS256"


def pairs(answer: Seen) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = json.loads(answer.body, object_pairs_hook=list)
    return found


def wrapped_in_data(response: Response) -> Response:
    """Return a token response as a vendor wraps it."""
    body = {"code": 0, "data": json.loads(response.body)}
    return response.changed(json.dumps(body).encode())


def is_whole(answer: Seen) -> bool:
    return answer.status == 200 and answer.json["refresh_token"] == "MOCK_REFRESH_TOKEN"


DISCONNECTED: Expected = {
    "http.client": (http.client.RemoteDisconnected, "closed connection without response"),
    "httpx": (httpx.RemoteProtocolError, "Server disconnected without sending a response"),
    "requests": (requests.ConnectionError, "RemoteDisconnected"),
}
RESET: Expected = {
    "http.client": (ConnectionResetError, "Connection reset by peer"),
    "httpx": (httpx.ReadError, "Connection reset by peer"),
    "requests": (requests.ConnectionError, "ConnectionResetError"),
}
GARBAGE: Expected = {
    "http.client": (http.client.BadStatusLine, "this is not HTTP"),
    "httpx": (httpx.RemoteProtocolError, "illegal status line"),
    "requests": (requests.ConnectionError, "BadStatusLine"),
}
BAD_CHUNK: Expected = {
    "http.client": (http.client.IncompleteRead, "IncompleteRead"),
    "httpx": (httpx.RemoteProtocolError, "illegal chunk header"),
    "requests": (requests.exceptions.ChunkedEncodingError, "InvalidChunkLength"),
}
TIMED_OUT: dict[str, tuple[type[Exception], str]] = {
    "http.client": (TimeoutError, "timed out"),
    "httpx": (httpx.ReadTimeout, "timed out"),
    "requests": (requests.ReadTimeout, "Read timed out"),
}
DRIPPING: Expected = TIMED_OUT | {"requests": (requests.ConnectionError, "Read timed out")}
BROKEN_OFF: Expected = {
    "http.client": (http.client.IncompleteRead, "30 bytes read"),
    "httpx": (httpx.RemoteProtocolError, "received 30 bytes"),
    "requests": (requests.exceptions.ChunkedEncodingError, "30 bytes read"),
}
REFUSED: Expected = {
    "http.client": (ConnectionRefusedError, "Connection refused"),
    "httpx": (httpx.ConnectError, "Connection refused"),
    "requests": (requests.ConnectionError, "Connection refused"),
}
NOT_INFLATED: Expected = {
    "httpx": (httpx.DecodingError, "invalid block type"),
    "requests": (requests.exceptions.ContentDecodingError, "failed to decode"),
}

CASES: list[tuple[Fault, Expected]] = [
    (faults.Pass(), is_whole),
    (
        faults.Refuse("invalid_grant"),
        lambda seen: (seen.status, seen.body) == (400, b'{\n  "error" : "invalid_grant"\n}'),
    ),
    (
        faults.Refuse("slow_down", "not so fast", "https://example.com/slow", 429),
        lambda seen: (
            (seen.status, seen.json)
            == (
                429,
                {
                    "error": "slow_down",
                    "error_description": "not so fast",
                    "error_uri": "https://example.com/slow",
                },
            )
        ),
    ),
    (faults.Refuse("temporarily_unavailable"), lambda seen: seen.status == 503),
    (
        faults.Refuse("invalid_grant", status=200),
        lambda seen: (seen.status, seen.json) == (200, {"error": "invalid_grant"}),
    ),
    (
        faults.Refuse("use_dpop_nonce", headers={"DPoP-Nonce": "n1", "cache-control": "private"}),
        lambda seen: (
            (seen.status, seen.json["error"]) == (400, "use_dpop_nonce")
            and (seen.headers["dpop-nonce"], seen.headers["cache-control"]) == ("n1", "private")
        ),
    ),
    (
        faults.Status(503),
        lambda seen: (seen.status, seen.body, "content-type" in seen.headers) == (503, b"", False),
    ),
    (
        faults.Status(502, "<h1>Bad Gateway</h1>"),
        lambda seen: (
            (seen.status, seen.body, seen.headers["content-type"])
            == (502, b"<h1>Bad Gateway</h1>", "text/html;charset=UTF-8")
        ),
    ),
    (
        faults.Status(429, {"message": "slow down"}, retry_after_seconds=2),
        lambda seen: (
            (seen.status, seen.json, seen.headers["content-type"], seen.headers["retry-after"])
            == (429, {"message": "slow down"}, "application/json", "2")
        ),
    ),
    (
        faults.Status(
            429,
            {"title": "slow down"},
            headers={"X-RateLimit-Remaining": "0", "Content-Type": "application/problem+json"},
        ),
        lambda seen: (
            (seen.headers["x-ratelimit-remaining"], seen.headers["content-type"])
            == ("0", "application/problem+json")
        ),
    ),
    (
        faults.Status(307, location="https://login.example/"),
        lambda seen: (seen.status, seen.headers["location"]) == (307, "https://login.example/"),
    ),
    (faults.Slow(0.05), is_whole),
    (faults.Slow(30), TIMED_OUT),
    (faults.Expired(), raises(jwt.ExpiredSignatureError)),
    (faults.NotYetValid(), raises(jwt.ImmatureSignatureError)),
    (faults.BadSignature(), signature_is_wrong),
    (faults.UnknownKey(), key_is_unknown),
    (faults.NoKeyId(), valid_without_a_kid),
    (faults.AlgNone(), unsigned),
    (faults.HmacConfusion(), signed_with_the_public_key),
    (faults.WrongIssuer(), raises(jwt.InvalidIssuerError)),
    (faults.WrongAudience(), raises(jwt.InvalidAudienceError)),
    (
        faults.Claim("sub", "u-eve"),
        lambda seen: (
            [seen.decoded(name)["sub"] for name in ("access_token", "id_token")]
            == ["u-eve", "u-eve"]
        ),
    ),
    (
        faults.Claim("sub", "u-eve", token="id_token"),
        lambda seen: (
            [seen.decoded(name)["sub"] for name in ("access_token", "id_token")]
            == ["MOCK_USERNAME", "u-eve"]
        ),
    ),
    (
        faults.MissingClaim("exp"),
        lambda seen: "iat" in seen.decoded("id_token") and "exp" not in seen.decoded("id_token"),
    ),
    (faults.Field("expires_in", "299"), lambda seen: seen.json["expires_in"] == "299"),
    (
        faults.MissingField("access_token"),
        lambda seen: (
            list(seen.json) == ["refresh_token", "scope", "id_token", "token_type", "expires_in"]
        ),
    ),
    (
        faults.DuplicateKey("scope", "admin"),
        lambda seen: (
            [pair for pair in pairs(seen) if pair[0] == "scope"]
            == [("scope", "openid"), ("scope", "admin")]
        ),
    ),
    (faults.NotJSONBody(), lambda seen: seen.body == b'{"access_token": '),
    (
        faults.HTMLBody(),
        lambda seen: (
            seen.body.startswith(b"<!DOCTYPE html>")
            and seen.headers["content-type"] == "text/html;charset=UTF-8"
        ),
    ),
    (faults.EmptyBody(), lambda seen: (seen.status, seen.body) == (200, b"")),
    (
        faults.WrongContentType(),
        lambda seen: is_whole(seen) and seen.headers["content-type"] == "text/plain",
    ),
    (
        faults.WrongContentType(""),
        lambda seen: is_whole(seen) and "content-type" not in seen.headers,
    ),
    (
        faults.WrongCharset(),
        lambda seen: (
            seen.headers["content-type"] == "application/json;charset=UTF-8"
            and '"MOCK_REFRESH_TOKEN"' in seen.body.decode("utf-16")
        ),
    ),
    (faults.BrokenGzip(), NOT_INFLATED),
    (
        faults.HugeBody(300_000),
        lambda seen: len(seen.body) == 300_000 and is_whole(seen),
    ),
    (
        faults.Change(wrapped_in_data),
        lambda seen: list(seen.json) == ["code", "data"] and seen.json["data"]["expires_in"] == 299,
    ),
    (
        faults.Combined(
            [
                faults.Claim("sub", "u-eve"),
                faults.Field("expires_in", "299"),
                faults.MissingField("refresh_token"),
                faults.WrongContentType("text/json"),
            ]
        ),
        lambda seen: (
            seen.decoded("id_token")["sub"] == "u-eve"
            and list(seen.json) == ["access_token", "scope", "id_token", "token_type", "expires_in"]
            and seen.json["expires_in"] == "299"
            and seen.headers["content-type"] == "text/json"
        ),
    ),
    (faults.Truncated(30), BROKEN_OFF),
    (faults.Drip(40_000), is_whole),
    (faults.Drip(1), DRIPPING),
    *(
        (kind(after_commit=after_commit), expected)
        for kind, expected in (
            (faults.HangUp, DISCONNECTED),
            (faults.Reset, RESET),
            (faults.Garbage, GARBAGE),
            (faults.BadChunk, BAD_CHUNK),
            (faults.Hang, TIMED_OUT),
        )
        for after_commit in (False, True)
    ),
    (faults.Down(600), REFUSED),
]


DOCS = (Path(__file__).parent.parent / "docs/reference/faults.md").read_text(encoding="utf-8")
SECTIONS = {
    "request": "Before the endpoint",
    "token": "In the tokens",
    "response": "In the response",
    "connection": "On the connection",
}


def test_every_fault_is_described_with_its_arguments_at_its_stage() -> None:
    assert list(SECTIONS) == list(get_args(Stage))
    for stage, heading in SECTIONS.items():
        section = DOCS.partition(f"### {heading}\n")[2].partition("\n#")[0]
        rows = re.findall(r"^\| `(\w+)\((.*?)\)` \| [^|]+ \|$", section, re.MULTILINE)
        # Arguments that can be passed by position come first.
        assert rows == [
            (name, ", ".join(map(as_argument, signature(kind).parameters.values())))
            for name, kind in KINDS.items()
            if kind.stage == stage
        ]


def as_argument(parameter: Parameter) -> str:
    """Return a parameter as the page writes it, without a default that is a whole body."""
    default = parameter.default
    if default is Parameter.empty:
        return parameter.name
    if parameter.name == "headers":
        return "headers={}"
    if parameter.name == "body" and default is not None:
        return "body=…"
    return f"{parameter.name}={json.dumps(default) if isinstance(default, str) else default}"


def test_every_condition_of_a_rule_is_described_with_its_default() -> None:
    section = DOCS.partition("| Condition |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| [^|]+ \|$", section, re.MULTILINE)
    assert rows == [
        (condition.name, "–" if condition.default is None else f"`{condition.default}`")
        for condition in fields(Conditions)
    ]


# No token response has what they change; tests/test_authorization_faults.py has their cases.
ELSEWHERE: set[type[Fault]] = {
    faults.RedirectParameter,
    faults.MissingRedirectParameter,
    faults.WrongResponseMode,
    faults.ChallengeParameter,
    faults.MissingChallengeParameter,
}


def test_every_kind_has_a_case() -> None:
    assert {type(fault) for fault, _ in CASES} | ELSEWHERE == set(KINDS.values())


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("fault", "expected"), [pytest.param(*case, id=str(case[0])) for case in CASES]
)
def test_a_client_sees_what_was_scripted_and_then_a_healthy_server(
    oauth_server: FakeOAuth, client: str, fault: Fault, expected: Expected
) -> None:
    oauth_server.script(fault)
    get = partial(CLIENTS[client], oauth_server.url)
    if isinstance(expected, dict) and client in expected:
        kind, text = expected[client]
        with pytest.raises(kind, match=text) as caught:
            get(IMPATIENCE_SECONDS if expected in (TIMED_OUT, DRIPPING) else PATIENCE_SECONDS)
        assert caught.type is kind
    else:
        answer = Seen(*get(PATIENCE_SECONDS), oauth_server)
        if isinstance(expected, dict):  # http.client inflates nothing.
            assert answer.headers["content-encoding"] == "gzip"
            with pytest.raises(Exception, match="invalid block type"):
                gzip.decompress(answer.body)
        else:
            assert expected(answer)
    oauth_server.assert_script_used()
    if isinstance(fault, faults.Down):
        oauth_server._script.clear()
    assert Seen(*get(PATIENCE_SECONDS), oauth_server).decoded("id_token")["sub"]


def test_a_truncated_body_always_lacks_a_byte(oauth_server: FakeOAuth) -> None:
    oauth_server.script(faults.Truncated(10**9), faults.Truncated(0))
    whole = len(ask(FakeOAuth(Settings(issuer=oauth_server.issuer))).get_data())
    for length in (whole - 1, 0):
        with pytest.raises(http.client.IncompleteRead) as caught:
            by_http_client(oauth_server.url, PATIENCE_SECONDS)
        assert (len(caught.value.partial), caught.value.expected) == (length, whole - length)


MOMENT: dict[str, Any] = {
    "seed": 0,
    "issuer": "https://issuer.example",
    "start_time": 1636449231,
    "freeze_time": True,
}
# A port that is down would be so for all later ones, and a function cannot be written to a file.
SCRIPTED = [
    fault
    for fault, _ in CASES
    if not isinstance(fault, faults.Down | faults.Change) and fault != faults.Slow(30)
]


def seen(url: str, fault: Fault) -> tuple[object, ...]:
    """Return what a client can tell of a response, or why it has none."""
    waits = isinstance(fault, faults.Hang) or fault == faults.Drip(1)
    try:
        timeout = IMPATIENCE_SECONDS if waits else PATIENCE_SECONDS
        status, headers, body = by_http_client(url, timeout)
    except (OSError, http.client.HTTPException) as error:
        return (type(error),)
    return status, headers.get("content-type"), headers.get("retry-after"), body


def as_toml(value: Any) -> str:
    """Return a value in TOML; a table is written inline."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(n)} = {as_toml(m)}' for n, m in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    return json.dumps(value)


def in_a_thread(script: list[Fault]) -> list[tuple[object, ...]]:
    with FakeOAuth(Settings(**MOMENT, faults=script)) as server:
        replies = [seen(server.url, fault) for fault in script]
        server.assert_script_used()
    return replies


def test_a_script_is_the_same_in_a_thread_and_in_a_process_of_its_own(tmp_path: Path) -> None:
    lines = [f"{name} = {as_toml(value)}" for name, value in MOMENT.items()]
    tables = [plain(Rule(fault)) for fault in SCRIPTED]
    config = tmp_path / "stub.toml"
    config.write_text("\n".join([*lines, f"faults = {as_toml(tables)}"]))
    with stub("--settings", str(config)) as running:
        replies = [seen(running.url, fault) for fault in SCRIPTED]
    assert replies == in_a_thread(SCRIPTED)


def test_a_script_is_the_same_without_a_socket() -> None:
    script = [fault for fault in SCRIPTED if not fault.needs_socket]
    fake = FakeOAuth(Settings(**MOMENT, faults=script))
    for fault, expected in zip(script, in_a_thread(script), strict=True):
        reply = ask(fake)
        told = (reply.headers.get("Content-Type"), reply.headers.get("Retry-After"))
        assert (reply.status_code, *told, reply.get_data()) == expected, fault
    fake.assert_script_used()


def reply_to(fault: Fault, **settings: Any) -> tuple[FakeOAuth, Any]:
    """Return a server that has used a fault in process, and its response."""
    fake = FakeOAuth(Settings(start_time=NOW, freeze_time=True, **settings))
    fake.script(fault)
    return fake, ask(fake)


def unchanged(fake: FakeOAuth) -> bool:
    """Return whether the scripted fault had nothing to change."""
    return [list(step.undelivered) for step in fake.steps] == [[1]]


NOW = 1_636_449_231
CLAIMS = [
    (faults.Expired(60), {"exp": NOW - 60, "iat": NOW - 1860}),
    (faults.NotYetValid(60), {"nbf": NOW + 60, "exp": NOW + 1860}),
    (
        faults.WrongAudience("x"),
        {"aud": "x", "azp": "x"},
    ),
]


@pytest.mark.parametrize(("fault", "expected"), CLAIMS, ids=str)
def test_a_fault_in_the_claims_goes_by_the_clock_and_changes_nothing_else(
    fault: Fault, expected: dict[str, Any]
) -> None:
    _, normal = reply_to(faults.Pass(), seed=0)
    _, reply = reply_to(fault, seed=0)
    (_, before), (_, after) = (decode(one.json["id_token"]) for one in (normal, reply))
    assert after == before | expected


ODD_CLAIMS: list[tuple[list[Any], dict[str, Any]]] = [
    # Without an end there was no lifetime to move by.
    ([faults.MissingClaim("exp"), faults.Expired(60)], {"exp": NOW - 60, "iat": NOW - 60}),
    ([faults.Claim("exp", "never"), faults.Expired(60)], {"exp": NOW - 60, "iat": NOW - 60}),
    ([faults.Claim("exp", value=True), faults.Expired(60)], {"exp": NOW - 60, "iat": NOW - 60}),
    ([faults.Claim("exp", 10**4000), faults.Expired(60)], {"exp": NOW - 60, "iat": NOW - 60}),
    ([faults.Claim("exp", NOW + 0.5), faults.Expired(60)], {"exp": NOW - 60, "iat": NOW - 60.5}),
    ([faults.Claim("iat", None), faults.Expired(60)], {"exp": NOW - 60, "iat": None}),
    ([faults.MissingClaim("iat"), faults.Expired(60)], {"exp": NOW - 60}),
    ([faults.MissingClaim("exp"), faults.NotYetValid(60)], {"nbf": NOW + 60}),
    ([faults.Claim("exp", "never"), faults.NotYetValid(9)], {"nbf": NOW + 9, "exp": "never"}),
    ([faults.MissingClaim("iat"), faults.NotYetValid(60)], {"nbf": NOW + 60, "exp": NOW + 1860}),
    ([faults.MissingClaim("azp"), faults.WrongAudience("x")], {"aud": "x"}),
    ([faults.MissingClaim("iss"), faults.WrongIssuer("x")], {"iss": "x"}),
    ([faults.NoKeyId(), faults.Claim("sub", "x")], {"sub": "x"}),
]


@pytest.mark.parametrize(("parts", "expected"), ODD_CLAIMS)
def test_a_token_fault_can_act_on_any_claims(parts: list[Any], expected: dict[str, Any]) -> None:
    fake, reply = reply_to(faults.Combined([replace(part, token="id_token") for part in parts]))
    _, claims = decode(reply.json["id_token"])
    changed = {"exp", "iat", "nbf", "aud", "azp", "iss", "sub"}
    usual: dict[str, Any] = {
        "sub": "MOCK_USERNAME",
        "aud": "TENANT_CLIENT_ID",
        "azp": "TENANT_CLIENT_ID",
    }
    usual |= {"iss": fake.issuer, "exp": NOW + 1800, "iat": NOW}
    removed = {part.name for part in parts if isinstance(part, faults.MissingClaim)}
    kept = {name: value for name, value in usual.items() if name not in removed}
    assert {name: claims[name] for name in claims if name in changed} == kept | expected


NOTHING_TO_CHANGE: list[Fault] = [
    faults.MissingClaim("nonce"),
    faults.MissingField("device_code"),
    faults.DuplicateKey("device_code"),
    faults.HugeBody(10),
    faults.WrongCharset("utf-8"),
    faults.Change(lambda response: response),
    faults.Change(lambda _: None),
    faults.Combined([faults.Field("scope", "x"), faults.MissingField("device_code")]),
    faults.Combined([faults.MissingField("device_code"), faults.Field("scope", "x")]),
    faults.Combined([faults.NotJSONBody("[]"), faults.Field("scope", "x")]),
    faults.Combined([faults.NotJSONBody("[" * 100_000), faults.Field("scope", "x")]),
    faults.Combined([faults.EmptyBody(), faults.Expired()]),
    faults.Combined([faults.EmptyBody(), faults.EmptyBody()]),
    faults.Combined([faults.BrokenGzip(), faults.WrongCharset()]),
    # It would lose one of the two members.
    faults.Combined([faults.DuplicateKey("scope"), faults.Field("expires_in", 1)]),
    # The tokens are not JWTs, or not even texts.
    faults.Combined(
        [
            faults.Field("access_token", "opaque"),
            faults.Field("id_token", 12345),
            faults.BadSignature(),
        ]
    ),
    faults.Combined([faults.NoKeyId(), faults.NoKeyId()]),
    faults.Combined([faults.MissingClaim("exp"), faults.MissingClaim("exp")]),
    faults.Combined(
        [faults.Field(name, "e30.e30.") for name in ("access_token", "id_token")]
        + [faults.BadSignature()]
    ),
]


@pytest.mark.parametrize("fault", NOTHING_TO_CHANGE, ids=str)
def test_a_fault_with_nothing_to_change_leaves_the_response_alone_and_says_so(fault: Fault) -> None:
    _, normal = reply_to(faults.Pass(), seed=0)
    fake, reply = reply_to(fault, seed=0)
    assert reply.get_data() == normal.get_data()
    assert dict(reply.headers) == dict(normal.headers)
    assert unchanged(fake)


def test_a_fault_for_one_token_is_enough_for_both() -> None:
    fake, reply = reply_to(faults.MissingClaim("azp"))
    assert "azp" not in decode(reply.json["id_token"])[1]
    assert not unchanged(fake)


def test_a_duplicate_key_can_have_any_name_and_value() -> None:
    value = {"duplicate": ["duplicate_"]}
    parts = [faults.Field('"\0é', 1), faults.DuplicateKey('"\0é', value)]
    _, reply = reply_to(faults.Combined(parts))
    found = json.loads(reply.get_data(), object_pairs_hook=list)
    assert [pair for pair in found if pair[0] == '"\0é'] == [
        ('"\0é', 1),
        ('"\0é', [("duplicate", ["duplicate_"])]),
    ]


@pytest.mark.parametrize("compact_json", [True, False])
def test_a_changed_response_has_the_layout_of_the_server(compact_json: bool) -> None:  # noqa: FBT001
    _, normal = reply_to(faults.Pass(), seed=0, compact_json=compact_json)
    _, reply = reply_to(faults.Field("expires_in", 299), seed=0, compact_json=compact_json)
    assert reply.get_data() == normal.get_data()


def test_a_body_may_be_any_text() -> None:
    parts = [faults.NotJSONBody("\ud800"), faults.WrongContentType("text/ü")]
    _, reply = reply_to(faults.Combined(parts))
    assert (reply.get_data(), reply.content_type) == (b"\\ud800", "text/ü")
    _, reply = reply_to(faults.Field("scope", "\ud800"))
    assert reply.json["scope"] == "\ud800"


def test_a_function_that_fails_or_returns_no_response_is_an_error_of_the_test() -> None:
    def broken(response: Response) -> Response:
        raise KeyError(response.status)

    def none_at_all(response: Response) -> Any:
        return response.body

    def split(response: Response) -> Response:
        return Response(200, (*response.headers, ("X", "a\r\nb")), response.body)

    for function, message in (
        (broken, r"Change\(broken\): the function failed: KeyError\(200\)"),
        (none_at_all, "expected the function to return a Response or None, got b'"),
        (split, "returned a Response with headers.X: expected one line of Latin-1"),
        (lambda r: r.changed(content_type="a\nb"), "headers.Content-Type: expected one line"),
        (lambda r: r.changed(content_type="\u8bfb"), "headers.Content-Type: expected one line"),
        (lambda r: r.changed(content_length="7"), "headers.Content-Length: set by the server"),
        (lambda r: r.changed(cast("bytes", [b"x"])), r"body: expected bytes, got \[b'x'\]"),
        (lambda r: Response(99, r.headers, r.body), "status: expected 200 to 599, got 99"),
        (lambda r: r.changed(status=204), "body: expected no body with status 204"),
        (
            lambda r: Response(200, r.headers, cast("bytes", "text")),
            "body: expected bytes, got 'text'",
        ),
    ):
        with pytest.raises(FakeOAuthError, match=message):
            reply_to(faults.Change(function))


def test_tokens_that_a_combined_fault_changes_keep_their_names() -> None:
    fake, reply = reply_to(faults.Combined([faults.Claim("x", 1), faults.MissingField("id_token")]))
    assert fake.journal[-1].issued == (
        "MOCK_USERNAME/preconfigured1 r1",
        "MOCK_USERNAME/preconfigured1 a1",
    )
    bearer = {"Authorization": f"Bearer {reply.json['access_token']}"}
    client = WSGIClient(fake)
    assert client.get("/resource", headers=bearer).status_code == 200
    fake.revoke(reply.json["access_token"])
    assert client.get("/resource", headers=bearer).status_code == 401
    assert fake.journal[-1].tokens == {"bearer": "MOCK_USERNAME/preconfigured1 a1"}


@pytest.mark.parametrize("seconds", [10**400, -(10**400)])
def test_a_number_of_any_size_can_be_sent(seconds: int) -> None:
    _, reply = reply_to(faults.Field("expires_in", seconds))
    assert reply.json["expires_in"] == seconds
    for name in ("exp", "nbf"):
        fake, reply = reply_to(faults.Claim(name, seconds))
        bearer = {"Authorization": f"Bearer {reply.json['access_token']}"}
        is_valid = (name == "exp") == (seconds > 0)
        assert WSGIClient(fake).get("/resource", headers=bearer).status_code == (
            200 if is_valid else 401
        )


def test_a_scripted_error_of_the_authorization_endpoint_goes_to_the_client() -> None:
    uri = "https://example.com/callback"
    fake = FakeOAuth()
    refuse = faults.Refuse("temporarily_unavailable", "later", uri="https://example.com/why")
    fake.script(Rule(refuse, endpoint="authorize", times=2))
    asked = {"client_id": "TENANT_CLIENT_ID", "response_type": "code", "state": "s"}
    reply = WSGIClient(fake).get("/oauth2/authorize", query_string=asked | {"redirect_uri": uri})
    assert reply.status_code == 302
    where = urlsplit(reply.location)
    assert dict(parse_qsl(where.query)) == {
        "error": "temporarily_unavailable",
        "error_description": "later",
        "error_uri": "https://example.com/why",
        "state": "s",
    }
    # Without a valid redirect URI there is nowhere to send it.
    other = asked | {"redirect_uri": "https://evil.example"}
    assert WSGIClient(fake).get("/oauth2/authorize", query_string=other).status_code == 400


def test_the_pause_after_a_hang_begins_when_the_client_gives_up() -> None:
    with FakeOAuth() as server:
        server.script(faults.Hang())
        with connect(server.url) as client:
            client.sendall(request())
            wait_until(lambda: server.journal)
            server.clock.advance(10)
        first = server.journal[0]
        wait_until(lambda: (first.answered_at or 0) >= first.at + 10)
        assert ask(server).status_code == 200
        with pytest.raises(BehaviorError, match=r"was sent \S+ s after request 1 had failed"):
            server.assert_client.backed_off(at_least_seconds=5)


def test_a_scripted_challenge_has_the_uri() -> None:
    fake = FakeOAuth()
    refuse = faults.Refuse("invalid_token", uri="https://example.com/why")
    fake.script(Rule(refuse, endpoint="resource"))
    reply = WSGIClient(fake).get("/resource")
    assert reply.status_code == 401
    assert 'error_uri="https://example.com/why"' in reply.headers["WWW-Authenticate"]


def test_a_combined_fault_can_leave_no_token() -> None:
    fake, _ = reply_to(faults.Combined([faults.Claim("x", 1), faults.NotJSONBody()]))
    assert fake.journal[-1].issued == ()
    claim = faults.Claim("x", 1, token="id_token")
    fake, _ = reply_to(faults.Combined([claim, faults.MissingField("access_token")]))
    assert fake.journal[-1].issued == ("MOCK_USERNAME/preconfigured1 r1",)


def test_a_token_beside_others_that_are_nested_can_be_changed() -> None:
    class Outside(CIAM):
        name = "outside"

        def token_reply(self, tokens: TokenSet) -> dict[str, Any]:
            reply = super().token_reply(tokens)
            return {"id_token": reply.pop("id_token"), "data": reply}

    fake = FakeOAuth(Settings(dialect=Outside))
    fake.script(faults.Claim("x", 1))
    reply = ask(fake).json
    assert reply is not None
    assert decode(reply["id_token"])[1]["x"] == 1
    assert "x" not in decode(reply["data"]["access_token"])[1]
    assert len(fake.journal[-1].issued) == 2


def test_tokens_in_a_response_of_another_layout_are_in_the_journal() -> None:
    def wrapped(response: Response) -> Response:
        members = json.loads(response.body) | {"expires_in": 10}
        return response.changed(json.dumps({"data": members}).encode())

    def as_form(response: Response) -> Response:
        body = urlencode(json.loads(response.body)).encode()
        return response.changed(body, content_type=FORM)

    names = ("MOCK_USERNAME/preconfigured1 r1", "MOCK_USERNAME/preconfigured1 a1")
    for function in (wrapped, as_form):
        fake, _ = reply_to(faults.Change(function))
        assert fake.journal[-1].issued == names
        fake, _ = reply_to(faults.Combined([faults.Change(function)]))
        assert fake.journal[-1].issued == names
    fake, _ = reply_to(faults.Change(lambda response: response.changed(b"{}")))
    assert fake.journal[-1].issued == ()
    fake, _ = reply_to(faults.Change(wrapped))
    ask(fake)
    fresh_until = fake.journal[-1].fresh_until
    assert fresh_until is not None
    assert fresh_until < fake.journal[-1].at + 11


def test_a_function_can_change_the_status() -> None:
    fake, reply = reply_to(faults.Change(lambda r: r.changed(status=201)))
    assert reply.status_code == 201
    assert fake.journal[-1].status == 201


@pytest.mark.parametrize("endpoint", ["userinfo", "resource"])
def test_a_bearer_endpoint_refuses_with_a_challenge(endpoint: str) -> None:
    fake = FakeOAuth()
    fake.script(
        Rule(
            faults.Refuse("invalid_token", "gone", headers={"DPoP-Nonce": "n1"}), endpoint=endpoint
        ),
        Rule(faults.Refuse("insufficient_scope", status=418), endpoint=endpoint),
    )
    client = WSGIClient(fake)
    replies = [client.get(f"/{endpoint}") for _ in range(2)]
    assert [reply.status_code for reply in replies] == [401, 418]
    challenge = replies[0].headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert 'error="invalid_token", error_description="gone"' in challenge
    assert replies[0].headers["DPoP-Nonce"] == "n1"
    assert 'error="insufficient_scope"' in replies[1].headers["WWW-Authenticate"]


def test_a_retry_after_date_stops_at_the_end_of_the_calendar() -> None:
    fake = FakeOAuth(Settings(start_time=253_402_300_799, freeze_time=True))
    fake.script(faults.Status(429, retry_after_seconds=10**9, retry_after_form="date"))
    assert ask(fake).headers["Retry-After"] == "Fri, 31 Dec 9999 23:59:59 GMT"


@dataclass(frozen=True, slots=True)
class ECKey:
    """A key that signs with ES256."""

    private: Any
    kid: str
    alg: str = "ES256"

    def sign(self, data: bytes) -> bytes:
        return ECAlgorithm(ECAlgorithm.SHA256).sign(data, self.private)

    def public_pem(self) -> bytes:
        public = self.private.public_key()
        pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem


def test_token_faults_work_with_other_algorithms() -> None:
    key, stranger = (ECKey(ec.generate_private_key(ec.SECP256R1()), kid) for kid in "ab")
    layout: Any = SimpleNamespace(write_jwt_json=json.dumps)
    realm: Any = SimpleNamespace(
        clock=Clock(NOW), keys=SimpleNamespace(signing=key, stranger=stranger), dialect=layout
    )
    server = FaultContext(
        realm=realm, pause=lambda _: None, error_reply=lambda _: Reply(reason=""), write_json=repr
    )
    token = encode({"alg": "ES256", "kid": "a"}, {"sub": "x"}, cast("Any", key), json.dumps)

    def tampered_with(fault: Any) -> tuple[dict[str, Any], str]:
        changed = fault.tamper(token, server)
        return jwt.get_unverified_header(changed), changed

    def claims(changed: str, of: ECKey = key) -> Any:
        options: Any = {"verify_exp": False}
        public = of.private.public_key()
        return jwt.decode(changed, public, algorithms=["ES256"], options=options)

    header, changed = tampered_with(faults.Claim("sub", "y"))
    assert (header["alg"], header["kid"], claims(changed)) == ("ES256", "a", {"sub": "y"})
    header, changed = tampered_with(faults.BadSignature())
    assert (header["alg"], header["kid"]) == ("ES256", "a")
    with pytest.raises(jwt.InvalidSignatureError):
        claims(changed)
    header, changed = tampered_with(faults.UnknownKey())
    assert (header["alg"], header["kid"], claims(changed, stranger)) == ("ES256", "b", {"sub": "x"})
    header, changed = tampered_with(faults.NoKeyId())
    assert ("kid" in header, claims(changed)) == (False, {"sub": "x"})
    header, changed = tampered_with(faults.HmacConfusion())
    signed, _, signature = changed.rpartition(".")
    mac = hmac.new(key.public_pem(), signed.encode(), sha256).digest()
    assert (header["alg"], urlsafe_b64decode(f"{signature}=")) == ("HS256", mac)
