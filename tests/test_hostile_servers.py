"""`check` and `record` with a server that means harm.

Whatever it sends ends in a difference or in one line, within the timeout, in little memory, and
nothing of it controls the terminal.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, Settings
from fake_oauth.__main__ import main
from fake_oauth.contract.cases import Request, cases
from fake_oauth.contract.client import BODY_LIMIT, TEXT_LIMIT, HTTPTransport, UnreachableError
from fake_oauth.contract.recorder import Recorder
from tests.support.contract import CONTROLLED, received

MEGABYTES = 1024 * 1024
CLIENT = ["--client-id=cid", "--client-secret=sekrit-123456", "--refresh-token=rt-12345678"]
Respond = Callable[[socket.socket, str], None]


@contextmanager
def serving(respond: Respond) -> Iterator[str]:
    """Serve one response per connection, each by a function of the socket and the path."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(connection: socket.socket) -> None:
            with connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    if not (data := connection.recv(65536)):
                        return
                    head += data
                try:
                    respond(connection, head.split(b" ")[1].decode())
                except OSError:
                    pass  # The client has had enough.

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                Thread(target=serve, args=(connection,), daemon=True).start()

        thread = Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def response(body: bytes | str, status: str = "200 OK", head: bytes = b"") -> bytes:
    data = body if isinstance(body, bytes) else body.encode()
    start = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
    return start.encode() + b"Content-Length: %d\r\n" % len(data) + head + b"\r\n" + data


def constant(data: bytes) -> Respond:
    return lambda connection, _: connection.sendall(data)


def endless(start: bytes, more: bytes) -> Respond:
    def respond(connection: socket.socket, _: str) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(more)

    return respond


OK = b"HTTP/1.1 200 OK\r\n"
# Each of these is not a response, and the message says why.
UNUSABLE: dict[str, tuple[Respond, str]] = {
    "an endless body": (endless(OK + b"\r\n", b" " * 65536), f"larger than {BODY_LIMIT} bytes"),
    "endless chunks": (
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"a" * 65536 + b"\r\n"),
        f"larger than {BODY_LIMIT} bytes",
    ),
    "endless headers": (endless(OK, b"X: y\r\n" * 1000), "Receive buffer too long"),
    "an endless header": (endless(OK + b"X: ", b"y" * 65536), "Receive buffer too long"),
    "endless interim responses": (
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        "no complete response within 0.5 s",
    ),
    "a huge length": (
        constant(OK + b"Content-Length: 99999999999999999999\r\n\r\n{}"),
        "without sending complete message body",
    ),
    "a negative length": (constant(OK + b"Content-Length: -5\r\n\r\n"), "bad Content-Length"),
    "two lengths": (
        constant(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
        "conflicting Content-Length",
    ),
    "a huge chunk": (
        constant(OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n{}"),
        "incomplete chunked read",
    ),
    "a status that is not a number": (
        constant(b"HTTP/1.1 \x1b[31m X\r\n\r\n"),
        r"illegal status line: bytearray(b'HTTP/1.1 \x1b[31m X')",
    ),
    "another protocol": (constant(b"\x1b[2J\x00\xff SSH-2.0\r\n\r\n"), "illegal status line"),
    "a switch of protocols": (constant(b"HTTP/1.1 101 X\r\n\r\n"), "without a pending proposal"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_response_that_is_not_http_or_has_no_end_is_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    respond, message = UNUSABLE[name]
    tracemalloc.start()
    with serving(respond) as url:
        assert main(["check", url, f"--timeout={timeout_of(name)}", *CLIENT]) == 2
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith(f"fake-oauth: {url}: no valid response: ")
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert peak < 64 * MEGABYTES


def timeout_of(name: str) -> float:
    """Return a time that is over soon if there is no other end."""
    return 0.5 if "within 0.5 s" in UNUSABLE[name][1] else 30


# Each of these is a response that no case expects.
WRONG: dict[str, bytes] = {
    "a compressed body": response(
        gzip.compress(b"0" * 10_000_000), head=b"Content-Encoding: gzip\r\n"
    ),
    "a large body": response(b"[" + b"[]," * (BODY_LIMIT // 3 - 2) + b"1]"),
    "many lists": response(b"[" + b"[]," * (TEXT_LIMIT // 3 - 2) + b"1]"),
    "many members": response(
        json.dumps({f"m{number}": {} for number in range(TEXT_LIMIT // 16)}).encode()
    ),
    "many tokens": response(
        json.dumps({"data": [{"otp": f"otp-{number}"} for number in range(TEXT_LIMIT // 32)]})
    ),
    "a long text": response(b'{"error":"' + b"a-" * (TEXT_LIMIT // 2 - 10) + b'"}'),
    "deep JSON": response('{"error":' + "[" * 100_000 + "]" * 100_000 + "}"),
    "large numbers": response('{"error":' + "9" * 4000 + ',"expires_in":1e999}'),
    "numbers that are none": response('{"error":NaN,"expires_in":-Infinity}'),
    "lone surrogates": response(r'{"error":"\ud800","access_token":"\udfff","\ud800":"y"}'),
    "bytes that are not UTF-8": response(b'{"error":"\xff\xfe"}'),
    "UTF-16": response('{"error":"x"}'.encode("utf-16")),
    "escapes": response(
        r'{"error":"\u001b]0;PWN\u0007\u009b31m","error_description":"\u202egnp"}',
        "400 \x1b[31mBad",
        b"WWW-Authenticate: Bearer \x1b[2J\xc2\x9b\r\n",
    ),
    "a status of no kind": response(b"", "999 X"),
    "a redirect to itself": response(b"", "302 Found", b"Location: /\x1b[2J\r\n"),
    "an odd media type": b"HTTP/1.1 200 OK\r\nContent-Type: a/\xff; charset=\xff;;=\r\n\r\n{}",
    "odd tokens": response(
        '{"access_token":"eyJhbGciOlsxXX0.eyJhIjoxfQ.x","id_token":"e30.e30.","scope":["a"]}'
    ),
    "no object": response("[1,2,3]"),
    "nothing": response(""),
}


# One for each reader of a response: of tokens, of keys, of claims, and of an empty body.
CASES = [
    f"--case={name}"
    for name in ("refresh_token.success", "jwks.success", "userinfo.success", "revoke.unknown")
]


@pytest.fixture(scope="module", autouse=True)
def _everything_is_imported() -> None:
    """Import before memory is measured what the command imports."""
    with FakeOAuth(Settings(dialect="rfc")) as server:
        main(["check", server.url, "--dialect=rfc", *CASES])


@pytest.mark.parametrize("name", WRONG)
def test_a_hostile_response_is_a_difference(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(constant(WRONG[name])) as url:
        asked = ["check", url, "--timeout=30", "--spend", "--dialect=rfc", "--level=strict"]
        tracemalloc.start()
        assert main([*asked, *CLIENT, *CASES]) == 1
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    out, err = capsys.readouterr()
    assert err == ""
    assert "differs" in out
    assert all(one.isprintable() or one == "\n" for one in out)
    assert "sekrit" not in out
    assert peak < 64 * MEGABYTES


def pretending(index: Any, others: bytes, status: str = "200 OK") -> Respond:
    """Claim to be a fake with the control API."""

    def respond(connection: socket.socket, path: str) -> None:
        if path == "/_fake/":
            connection.sendall(response(json.dumps(index)))
        else:
            connection.sendall(response(others, status if path.startswith("/_fake/") else "200 OK"))

    return respond


CLAIM = {"controls": [], "issuer": "https://idp", "dialect": "ciam"}


@pytest.mark.parametrize(
    "index",
    [
        {"controls": []},
        {**CLAIM, "dialect": ["x"]},
        {**CLAIM, "dialect": None},
        {**CLAIM, "controls": "x"},
        {**CLAIM, "issuer": 7},
        [CLAIM],
    ],
    ids=str,
)
def test_a_server_that_only_looks_like_a_fake_is_tested_like_any_other(
    index: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(pretending(index, b"{}")) as url:
        assert main(["check", url]) == 1
    assert capsys.readouterr().out.splitlines()[-2].endswith("(ciam, loose)")


@pytest.mark.parametrize(
    ("others", "status", "more", "message"),
    [
        (b"\xff\x1b[2J", "500 X", ["--spend"], r"/_fake/reset: expected 200, got 500: \xff\u001b["),
        (b"a\nb\nc", "200 OK", ["--spend"], "/_fake/reset: expected 200, got 200: a b c\n"),
        (b"[]", "200 OK", [], "/_fake/clients: expected 200, got 200: []"),
    ],
)
def test_a_fake_that_refuses_to_be_controlled_is_one_line(
    others: bytes, status: str, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(pretending(CLAIM, others, status)) as url:
        assert main(["check", url, *more]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_a_dialect_that_a_fake_makes_up_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(pretending({**CLAIM, "dialect": "\x1b[31mX"}, b"{}")) as url:
        assert main(["check", url]) == 2
    assert r"no cases for the dialect '\\u001b[31mX'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"clients": {"a": 1}, "users": "x", "auth_sources": [1]},
        {"clients": [1], "users": [1], "auth_sources": [{}]},
        {"clients": [{"client_id": 5, "redirect_uris": 7}], "users": [{"sub": [1]}]},
        {"clients": [{"client_id": "\ud800", "redirect_uris": [[]]}], "access_token": {"a": 1}},
        {"auth_sources": [{"kind": ["sms"], "id": "x"}], "code": "\udfff", "scope": 7},
    ],
    ids=str,
)
def test_the_values_of_a_fake_are_not_trusted(
    data: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(pretending(CLAIM, json.dumps(data).encode())) as url:
        assert main(["check", url]) == 1
        assert main(["check", url, "--spend"]) == 1
    assert capsys.readouterr().err == ""


METADATA = {
    "issuer": "",
    "token_endpoint": "/token",
    "jwks_uri": "/jwks",
    "revocation_endpoint": "/r",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": [1]},
        {"issuer": "\ud800"},
        *(
            {"token_endpoint": url}
            for url in (5, "http://[::1", "http://127.0.0.1:99999/x", "x://y")
        ),
        {"token_endpoint": "http://127.0.0.1:1/x\r\nX: y"},
        {"token_endpoint": "http://\u8bfb.\ud800/x"},
        {"token_endpoint": f"http://{'a' * 70}.invalid/x"},
        {"token_endpoint": "http://"},
        {"scopes_supported": [{"a": 1}, None, "\ud800"]},
        {"grant_types_supported": [{"a": 1}]},
        {"grant_types_supported": "x", "token_endpoint_auth_methods_supported": None},
        {"jwks_uri": "x://y"},
    ],
    ids=str,
)
def test_the_metadata_of_a_server_is_not_trusted(
    changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def respond(connection: socket.socket, path: str) -> None:
        own = {name: f"{url}{value}" for name, value in METADATA.items()} | changes
        is_metadata = "well-known" in path
        connection.sendall(response(json.dumps(own) if is_metadata else '{"access_token":"a"}'))

    with serving(respond) as url:
        assert main(["check", url, "--dialect=rfc", "--spend", *CLIENT]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "sekrit" not in out


def test_a_slow_handshake_is_over_in_time() -> None:
    """A byte now and then must not keep the client waiting."""

    def drip(connection: socket.socket) -> None:
        with connection:
            try:
                while True:
                    connection.sendall(b"\x16\x03\x03\x40\x00"[:1])
                    if not connection.recv(1):
                        return
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=lambda: drip(listening.accept()[0]), daemon=True)
        thread.start()
        transport = HTTPTransport(f"https://127.0.0.1:{listening.getsockname()[1]}", 0.5)
        with pytest.raises(UnreachableError):
            transport.send(Request(method="GET", path="/"))
        thread.join()


# The recorder

RECORDED = {
    "metadata with a surrogate": r'{"issuer":"%s","token_endpoint":"%s/token","x":"\ud800"}',
    "metadata with an infinite number": '{"issuer":"%s","token_endpoint":"%s/token","x":1e999}',
    "metadata that is nested deeply": '{"issuer":"%s","token_endpoint":"%s/token","x":'
    + "[" * 900
    + "]" * 900
    + "}",
    "metadata with a long number": '{"issuer":"%s","token_endpoint":"%s/token","x":'
    + "9" * 4200
    + "}",
}


@pytest.mark.parametrize("name", RECORDED)
def test_odd_metadata_is_passed_on_as_it_is(name: str, tmp_path: Path) -> None:
    """Apart from its endpoints, if they can be read."""

    def respond(connection: socket.socket, _: str) -> None:
        connection.sendall(response(RECORDED[name] % (url, url)))

    with serving(respond) as url:
        client = WSGIClient(Recorder(HTTPTransport(url), tmp_path, {}))
        reply = client.get("/.well-known/openid-configuration")
    assert reply.status_code == 200
    here = RECORDED[name] % (url, "http://localhost")
    assert reply.text in (here, RECORDED[name] % (url, url))
    assert (reply.text == here) == ("deeply" not in name)


@pytest.mark.parametrize(
    "data",
    [
        response("{}", "999 X"),
        OK + b"X-A: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"Content-Type: text/\xff\r\nX: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 304 NM\r\nContent-Length: 5\r\n\r\n",
        response(b"x" * 30, head=b"Content-Encoding: gzip\r\n"),
        response('{"a":' + "[" * 950 + "]" * 950 + "}"),
        response(r'{"error":"\u001b[2J\u202e"}', "400 X"),
    ],
    ids=range(7),
)
def test_an_odd_response_is_passed_on(data: bytes, tmp_path: Path) -> None:
    lines: list[str] = []
    with serving(constant(data)) as url:
        recorder = Recorder(HTTPTransport(url), tmp_path, {}, watch=lines.append)
        reply = WSGIClient(recorder).post("/oauth2/token", data={"a": "b"})
    assert str(reply.status_code).encode() in data.partition(b"\r\n")[0]
    assert reply.data == data.partition(b"\r\n\r\n")[2]
    (line,) = lines
    assert line == str(next(tmp_path.glob("*/*.toml")))


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_response_that_is_not_http_or_has_no_end_is_a_502(name: str, tmp_path: Path) -> None:
    is_bad = False

    def respond(connection: socket.socket, path: str) -> None:
        (UNUSABLE[name][0] if is_bad else constant(response("{}")))(connection, path)

    with serving(respond) as url:
        client = WSGIClient(Recorder(HTTPTransport(url, timeout_of(name)), tmp_path, {}))
        is_bad = True
        reply = client.get("/oauth2/token")
    assert reply.status_code == 502
    assert UNUSABLE[name][1] in reply.text
    assert not list(tmp_path.iterdir())


def test_a_request_that_is_too_large_is_a_413(tmp_path: Path) -> None:
    with FakeOAuth() as server:
        client = WSGIClient(Recorder(HTTPTransport(server.url), tmp_path, {}))
        data = b"a" * (BODY_LIMIT + 1)
        reply = client.post("/oauth2/token", data=data, content_type="text/plain")
    assert reply.status_code == 413


@pytest.mark.parametrize("method", ["../../../x", "/../../outside", "\x1b[2J", "OPTIONS", "HEAD"])
def test_a_method_is_no_part_of_a_file_name_unless_it_is_known(method: str, tmp_path: Path) -> None:
    lines: list[str] = []
    upstream = _Upstream()
    WSGIClient(Recorder(upstream, tmp_path / "in", {}, watch=lines.append)).open(
        "/oauth2/token", method=method
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert not list((tmp_path / "in").iterdir())
    assert len(lines) == 1


class _Upstream:
    url = "https://idp.example"

    def send(self, request: Request) -> Any:
        return received({})


def test_a_fake_is_no_hostile_server(capsys: pytest.CaptureFixture[str]) -> None:
    """The server of these tests itself finds nothing wrong with a right response."""
    case = next(one for one in cases("ciam") if one.name == "userinfo.no_token")
    with FakeOAuth(CONTROLLED) as fake, serving(lambda c, p: _forward(fake, c, p)) as url:
        assert main(["check", url, "--case", case.name, "--dialect", "ciam"]) == 0
    assert re.search(r"userinfo\.no_token +matches", capsys.readouterr().out)


def _forward(fake: FakeOAuth, connection: socket.socket, path: str) -> None:
    reply = WSGIClient(fake).get("/nothing" if path.startswith("/_fake") else path)
    head = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
    connection.sendall(f"HTTP/1.1 {reply.status}\r\n{head}\r\n".encode() + reply.data)
