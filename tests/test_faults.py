"""Every kind of fault, as real clients see it over a socket."""

from __future__ import annotations

import gzip
import hmac
import http.client
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fake_oauth import FakeOAuth, Settings, faults
from fake_oauth.faults import KINDS, Fault, Rule
from fake_oauth.faults.kinds import plain
from fake_oauth.provider.tokens import opened
from tests.asking import DOCUMENTED, FORM, ask
from tests.test_command_line import stub

# For those who are to give up; the others have all the time that a busy machine needs.
IMPATIENCE_SECONDS = 0.2
PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: bytes
    server: FakeOAuth

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    def decoded(self, name: str, **options: Any) -> Any:
        """The claims of a token, verified as a client would. Raises what PyJWT raises."""
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
    with requests.post(f"{url}/oauth2/token", data=DOCUMENTED, timeout=timeout) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status_code, headers, response.content


CLIENTS = {"http.client": by_http_client, "httpx": by_httpx, "requests": by_requests}
Expected = Callable[[Answer], bool] | dict[str, tuple[type[Exception], str]]


def raises(kind: type[Exception]) -> Callable[[Answer], bool]:
    """That PyJWT refuses the id_token like this, and takes the same from the next reply."""

    def check(answer: Answer) -> bool:
        with pytest.raises(kind) as caught:
            answer.decoded("id_token")
        return caught.type is kind

    return check


def signature_is_wrong(answer: Answer) -> bool:
    header, claims = opened(answer.json["access_token"])
    assert (header["alg"], claims["iss"]) == ("RS256", answer.server.issuer)
    return raises(jwt.InvalidSignatureError)(answer)


def key_is_unknown(answer: Answer) -> bool:
    kids = {key["kid"] for key in ask_for_keys(answer.server)["keys"]}
    header = jwt.get_unverified_header(answer.json["id_token"])
    return header["kid"] not in kids


def good_but_for_its_kid(answer: Answer) -> bool:
    token = answer.json["access_token"]
    (key,) = jwt.PyJWKSet.from_dict(ask_for_keys(answer.server)).keys
    jwt.decode(token, key, algorithms=["RS256"], audience="TENANT_CLIENT_ID")
    return jwt.get_unverified_header(token) == {"typ": "JWT", "alg": "RS256"}


def unsigned(answer: Answer) -> bool:
    token: str = answer.json["id_token"]
    header: dict[str, str] = jwt.get_unverified_header(token)
    return header["alg"] == "none" and token.endswith(".")


def signed_with_the_public_key(answer: Answer) -> bool:
    signed, _, signature = answer.json["id_token"].rpartition(".")
    (key,) = jwt.PyJWKSet.from_dict(ask_for_keys(answer.server)).keys
    pem = key.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.new(pem, signed.encode(), sha256).digest()
    header = jwt.get_unverified_header(answer.json["id_token"])
    is_ours: bool = mac == urlsafe_b64decode(f"{signature}=")
    return is_ours and header["alg"] == "HS256"


def pairs(answer: Answer) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = json.loads(answer.body, object_pairs_hook=list)
    return found


def is_whole(answer: Answer) -> bool:
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

CASES: list[tuple[str, Fault, Expected]] = [
    ("ok", faults.ok, is_whole),
    (
        "Refuse",
        faults.Refuse("invalid_grant"),
        lambda seen: (seen.status, seen.body) == (400, b'{\n  "error" : "invalid_grant"\n}'),
    ),
    (
        "Refuse",
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
    ("Refuse", faults.Refuse("temporarily_unavailable"), lambda seen: seen.status == 503),
    (
        "Status",
        faults.Status(503),
        lambda seen: (seen.status, seen.body, "content-type" in seen.headers) == (503, b"", False),
    ),
    (
        "Status",
        faults.Status(502, "<h1>Bad Gateway</h1>"),
        lambda seen: (
            (seen.status, seen.body, seen.headers["content-type"])
            == (502, b"<h1>Bad Gateway</h1>", "text/html;charset=UTF-8")
        ),
    ),
    (
        "Status",
        faults.Status(429, {"message": "slow down"}, retry_after_seconds=2),
        lambda seen: (
            (seen.status, seen.json, seen.headers["content-type"], seen.headers["retry-after"])
            == (429, {"message": "slow down"}, "application/json", "2")
        ),
    ),
    ("Slow", faults.Slow(0.05), is_whole),
    ("Slow", faults.Slow(30), TIMED_OUT),
    ("Expired", faults.Expired(), raises(jwt.ExpiredSignatureError)),
    ("NotYetValid", faults.NotYetValid(), raises(jwt.ImmatureSignatureError)),
    ("BadSignature", faults.BadSignature(), signature_is_wrong),
    ("UnknownKey", faults.UnknownKey(), key_is_unknown),
    ("NoKeyId", faults.NoKeyId(), good_but_for_its_kid),
    ("AlgNone", faults.AlgNone(), unsigned),
    ("HmacConfusion", faults.HmacConfusion(), signed_with_the_public_key),
    ("WrongIssuer", faults.WrongIssuer(), raises(jwt.InvalidIssuerError)),
    ("WrongAudience", faults.WrongAudience(), raises(jwt.InvalidAudienceError)),
    (
        "Claim",
        faults.Claim("sub", "u-eve"),
        lambda seen: (
            [seen.decoded(name)["sub"] for name in ("access_token", "id_token")]
            == ["u-eve", "u-eve"]
        ),
    ),
    (
        "Claim",
        faults.Claim("sub", "u-eve", token="id_token"),
        lambda seen: (
            [seen.decoded(name)["sub"] for name in ("access_token", "id_token")]
            == ["MOCK_USERNAME", "u-eve"]
        ),
    ),
    (
        "NoClaim",
        faults.NoClaim("exp"),
        lambda seen: "iat" in seen.decoded("id_token") and "exp" not in seen.decoded("id_token"),
    ),
    ("Field", faults.Field("expires_in", "299"), lambda seen: seen.json["expires_in"] == "299"),
    (
        "Missing",
        faults.Missing("access_token"),
        lambda seen: (
            list(seen.json) == ["refresh_token", "scope", "id_token", "token_type", "expires_in"]
        ),
    ),
    (
        "DuplicateKey",
        faults.DuplicateKey("scope", "admin"),
        lambda seen: (
            [pair for pair in pairs(seen) if pair[0] == "scope"]
            == [("scope", "openid"), ("scope", "admin")]
        ),
    ),
    ("NotJSON", faults.NotJSON(), lambda seen: seen.body == b'{"access_token": '),
    (
        "Html",
        faults.Html(),
        lambda seen: (
            seen.body.startswith(b"<!DOCTYPE html>")
            and seen.headers["content-type"] == "text/html;charset=UTF-8"
        ),
    ),
    ("Empty", faults.Empty(), lambda seen: (seen.status, seen.body) == (200, b"")),
    (
        "WrongContentType",
        faults.WrongContentType(),
        lambda seen: is_whole(seen) and seen.headers["content-type"] == "text/plain",
    ),
    (
        "WrongContentType",
        faults.WrongContentType(""),
        lambda seen: is_whole(seen) and "content-type" not in seen.headers,
    ),
    (
        "WrongCharset",
        faults.WrongCharset(),
        lambda seen: (
            seen.headers["content-type"] == "application/json;charset=UTF-8"
            and '"MOCK_REFRESH_TOKEN"' in seen.body.decode("utf-16")
        ),
    ),
    ("BrokenGzip", faults.BrokenGzip(), NOT_INFLATED),
    (
        "Huge",
        faults.Huge(300_000),
        lambda seen: len(seen.body) == 300_000 and is_whole(seen),
    ),
    ("Truncated", faults.Truncated(30), BROKEN_OFF),
    ("Drip", faults.Drip(40_000), is_whole),
    ("Drip", faults.Drip(1), DRIPPING),
    *(
        (kind.__name__, kind(after_commit=after_commit), expected)
        for kind, expected in (
            (faults.HangUp, DISCONNECTED),
            (faults.Reset, RESET),
            (faults.Garbage, GARBAGE),
            (faults.BadChunk, BAD_CHUNK),
            (faults.Hang, TIMED_OUT),
        )
        for after_commit in (False, True)
    ),
    ("Down", faults.Down(600), REFUSED),
]


def test_every_kind_has_a_case() -> None:
    assert {name for name, _, _ in CASES} == set(KINDS)
    assert all(type(fault) is KINDS[name] for name, fault, _ in CASES)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("fault", "expected"), [pytest.param(*case[1:], id=str(case[1])) for case in CASES]
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
        answer = Answer(*get(PATIENCE_SECONDS), oauth_server)
        if isinstance(expected, dict):  # http.client inflates nothing.
            assert answer.headers["content-encoding"] == "gzip"
            with pytest.raises(Exception, match="invalid block type"):
                gzip.decompress(answer.body)
        else:
            assert expected(answer)
    oauth_server.check_faults()
    if isinstance(fault, faults.Down):
        oauth_server._script.clear()
    assert Answer(*get(PATIENCE_SECONDS), oauth_server).decoded("id_token")["sub"]


MOMENT: dict[str, Any] = {
    "seed": 0,
    "issuer": "https://issuer.example",
    "start_time": 1636449231,
    "freeze_time": True,
}
# A port that is down would be so for all that come after.
SCRIPTED = [fault for name, fault, _ in CASES if name != "Down" and fault != faults.Slow(30)]


def seen(url: str, fault: Fault) -> tuple[object, ...]:
    """What a client can tell of a reply, or why it has none."""
    waits = isinstance(fault, faults.Hang) or fault == faults.Drip(1)
    try:
        timeout = IMPATIENCE_SECONDS if waits else PATIENCE_SECONDS
        status, headers, body = by_http_client(url, timeout)
    except (OSError, http.client.HTTPException) as error:
        return (type(error),)
    return status, headers.get("content-type"), headers.get("retry-after"), body


def as_toml(table: dict[str, Any]) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
    return "\n".join(lines).replace('{"message": ', "{message = ")


def in_a_thread(script: list[Fault]) -> list[tuple[object, ...]]:
    with FakeOAuth(Settings(**MOMENT, faults=script)) as server:
        replies = [seen(server.url, fault) for fault in script]
        server.check_faults()
    return replies


def test_a_script_is_the_same_in_a_thread_and_in_a_process_of_its_own(tmp_path: Path) -> None:
    tables = [f"[[faults]]\n{as_toml(plain(Rule(fault)))}" for fault in SCRIPTED]
    config = tmp_path / "stub.toml"
    config.write_text("\n".join([as_toml(MOMENT), *tables]))
    with stub("--config", str(config)) as running:
        replies = [seen(running.url, fault) for fault in SCRIPTED]
    assert replies == in_a_thread(SCRIPTED)


def test_a_script_is_the_same_without_a_socket() -> None:
    script = [fault for fault in SCRIPTED if not fault.needs_socket]
    fake = FakeOAuth(Settings(**MOMENT, faults=script))
    for fault, expected in zip(script, in_a_thread(script), strict=True):
        reply = ask(fake)
        told = (reply.headers.get("Content-Type"), reply.headers.get("Retry-After"))
        assert (reply.status_code, *told, reply.get_data()) == expected, fault
    fake.check_faults()
