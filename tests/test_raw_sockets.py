"""Raw bytes on a socket: the server responds in HTTP, or closes the connection.

A request that is malformed or incomplete is never run.
"""

from __future__ import annotations

import gc
import socket
import struct
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from itertools import pairwise
from time import sleep

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_oauth import FakeOAuth, Journal
from fake_oauth.dialects import DIALECTS
from fake_oauth.faults.barrier import Barriers
from fake_oauth.faults.script import Script
from fake_oauth.http.app import App
from fake_oauth.http.listener import Listener
from tests.support.realms import realm
from tests.support.stub import stub
from tests.support.wire import (
    BODY,
    STATUSES,
    Answer,
    answers,
    assert_of_the_contract,
    connect,
    get,
    received,
    request,
    responses_to,
    still_serves,
)

CHUNKED = ("Transfer-Encoding: chunked",)
# HTTP has more statuses for requests that are too slow, too long, too new, or of unknown coding.
BELOW_THE_CONTRACT = STATUSES | {408, 414, 431, 501, 505}
LIMIT = 64 * 1024


@pytest.fixture
def server(capfd: pytest.CaptureFixture[str]) -> Iterator[FakeOAuth]:
    """Provide a server. After the test it must still serve, and stop without a trace."""
    threads = set(threading.enumerate())
    with FakeOAuth() as fake:
        yield fake
        assert still_serves(fake)
    assert set(threading.enumerate()) <= threads
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def hasty(capfd: pytest.CaptureFixture[str]) -> Iterator[tuple[Listener, Journal]]:
    """Provide a listener that does not wait long for the rest of a request."""
    journal = Journal(100)
    listener = Listener("127.0.0.1", 0, stall_seconds=0.05)
    listener.start(
        App(
            realm(),
            journal,
            Script(lambda _: None, lambda: None),
            Barriers(),
            pause=sleep,
            write_json=DIALECTS["ciam"].json_writer(compact=False),
            cors_origins=(),
        )
    )
    yield listener, journal
    good = b"client_id=web&client_secret=s3cret&grant_type=refresh_token&refresh_token=R1"
    assert [answer.status for answer in responses_to(listener.url, request(good))] == [200]
    listener.stop()
    assert listener.failures == []
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def stub_url() -> Iterator[str]:
    """Provide a server in a process of its own, which a crash would end."""
    with stub() as running:
        yield running.url
        assert running.end()[0] == 0


def statuses(server: FakeOAuth, data: bytes, *, half_close: bool = True) -> list[int]:
    """Return the statuses of the responses, each of which the contract or HTTP allows."""
    said = responses_to(server.url, data, half_close=half_close)
    for answer in said:
        assert_of_the_contract(answer, statuses=BELOW_THE_CONTRACT)
    return [answer.status for answer in said]


def refused(server: FakeOAuth, data: bytes, *, half_close: bool = True) -> tuple[int, str | None]:
    """Return the status and the error of the only response."""
    (answer,) = responses_to(server.url, data, half_close=half_close)
    assert_of_the_contract(answer, statuses=BELOW_THE_CONTRACT)
    assert server.journal[-1].status == answer.status
    assert server.journal[-1].reason
    return answer.status, answer.error


def malformed(server: FakeOAuth, data: bytes, *, half_close: bool = True) -> int:
    """Return the status of the only response, to bytes that are not run as a request."""
    status, error = refused(server, data, half_close=half_close)
    assert error == "invalid_request"
    (exchange,) = server.journal
    assert (exchange.endpoint, exchange.path) == (None, "?")
    assert (exchange.reason or "").startswith("not HTTP: ")
    return status


def chunks(*pieces: bytes) -> bytes:
    """Return a chunked body with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def chunked(body: bytes, *fields: str, framing: tuple[str, ...] = CHUNKED) -> bytes:
    return request(b"", *fields, framing=framing) + body


def reset(connection: socket.socket) -> None:
    """Reset a connection (TCP RST)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_head(connection: socket.socket) -> bytes:
    """Return everything up to the next empty line."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        assert piece, f"the server closed the connection after {head!r}"
        head += piece
    return head


def read_answer(connection: socket.socket) -> Answer:
    """Return the next response on a connection that stays open."""
    head = read_head(connection)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    (answer,) = answers(head + body)
    return answer


# Requests that are cut off.

CUTS = [1, 8, 26, 28, 37, 50, request().index(b"\r\n\r\n") + 2, len(request()) - len(BODY)]
CUTS += [len(request()) - 20, len(request()) - 1]


@pytest.mark.parametrize("cut", [0, *CUTS])
def test_the_server_survives_a_close_within_a_request(server: FakeOAuth, cut: int) -> None:
    with connect(server.url) as connection:
        connection.sendall(request()[:cut])


@pytest.mark.parametrize("cut", [0, *CUTS, len(request())])
def test_the_server_survives_a_reset_within_a_request(server: FakeOAuth, cut: int) -> None:
    connection = connect(server.url)
    connection.sendall(request()[:cut])
    reset(connection)


@pytest.mark.parametrize("cut", CUTS)
def test_a_request_cut_off_by_a_half_close_is_refused_and_not_run(
    server: FakeOAuth, cut: int
) -> None:
    assert malformed(server, request()[:cut]) == 400
    assert server.journal[0].reason == "not HTTP: the request ended before it was complete"


def test_a_half_close_before_any_request_ends_the_connection(server: FakeOAuth) -> None:
    assert responses_to(server.url, b"") == []
    assert len(server.journal) == 0


def test_a_request_followed_by_a_half_close_gets_its_response(server: FakeOAuth) -> None:
    assert statuses(server, request()) == [200]


def test_a_body_shorter_than_its_length_is_an_invalid_request(server: FakeOAuth) -> None:
    assert malformed(server, request()[:-1]) == 400
    assert server.journal[0].reason == "not HTTP: the request ended before it was complete"


def test_the_server_survives_clients_that_close_before_the_response(server: FakeOAuth) -> None:
    with connect(server.url) as connection:
        connection.sendall(request() * 50)


# Garbage.

GARBAGE = [
    b"\0\r\n\r\n",
    b"\0" * 1000 + b"\r\n\r\n",
    b"\xff\xfe\xfd\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"EHLO example.com\r\nMAIL FROM:<a@b>\r\n",
    b"hello",
    b"hello\r\n\r\n",
    b"GET\r\n\r\n",
    b"POST /oauth2/token\r\n\r\n",
    b"GET /oauth2/jwks HTTP\r\n\r\n",
    b"GET /oauth2/jwks HTTP/\r\n\r\n",
    b"GET /oauth2/jwks HTTP/1\r\n\r\n",
    b"GET /oauth2/jwks HTTP/1.x\r\n\r\n",
    b"GET /oauth2/jwks HTTP/1.1.1\r\n\r\n",
    b"GET /oauth2/jwks HTTP/-1.1\r\n\r\n",
    b"GET /oauth2/jwks HTTP/1.\xb2\r\n\r\n",
    b"GET /oauth2/jwks HTTP/1.11111111111\r\n\r\n",
    b"GET /oauth2/jwks FTP/1.1\r\n\r\n",
    b"GET /oauth2 /jwks HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b'{"client_id": "TENANT_CLIENT_ID"}\r\n\r\n',
    BODY,
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_bytes_that_are_not_http_are_an_invalid_request(server: FakeOAuth, garbage: bytes) -> None:
    assert malformed(server, garbage) == 400
    assert str(server.journal).isprintable()


def test_after_garbage_the_connection_is_closed(server: FakeOAuth) -> None:
    assert statuses(server, b"garbage\r\n\r\n" + request(), half_close=False) == [400]


def test_http_2_is_not_supported(server: FakeOAuth) -> None:
    assert malformed(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505


def test_http_0_9_is_not_supported(server: FakeOAuth) -> None:
    assert malformed(server, b"GET /oauth2/jwks HTTP/0.9\r\n\r\n") == 505


def test_a_request_without_a_version_is_an_invalid_request(server: FakeOAuth) -> None:
    assert malformed(server, b"GET /oauth2/jwks\r\n\r\n") == 400


@pytest.mark.parametrize("blank", [b"\r\n", b"\n"])
def test_an_empty_line_before_a_request_is_ignored(server: FakeOAuth, blank: bytes) -> None:
    """RFC 9112 section 2.2."""
    assert statuses(server, blank + request()) == [200]
    assert statuses(server, request() + blank + request()) == [200, 200]


@pytest.mark.parametrize("blank", [b" \r\n", b"\t\r\n", b"\x1c\r\n", b"\x85\xa0\r\n"])
def test_a_line_of_blanks_is_not_a_request(server: FakeOAuth, blank: bytes) -> None:
    assert malformed(server, blank + b"\r\n") == 400


def test_any_bytes_get_responses_in_http(server: FakeOAuth) -> None:
    samples = [request(), get(), chunked(chunks(BODY[:9], BODY[9:])), request() + get(), *GARBAGE]

    @settings(derandomize=True, deadline=None, max_examples=150)
    @given(
        st.sampled_from(samples),
        st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9), st.binary(max_size=9))),
    )
    def check(data: bytes, edits: list[tuple[int, int, bytes]]) -> None:
        for start, length, piece in edits:
            data = data[:start] + piece + data[start + length :]
        statuses(server, data)

    check()


# Versions and keep-alive.


def test_http_1_0_has_one_request_per_connection(server: FakeOAuth) -> None:
    asked = request(version="HTTP/1.0")
    (answer,) = responses_to(server.url, asked + asked, half_close=False)
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_http_1_0_gets_no_keep_alive(server: FakeOAuth) -> None:
    """RFC 9112 section 9.3 leaves that to the server."""
    asked = request(BODY, "Connection: keep-alive", version="HTTP/1.0")
    (answer,) = responses_to(server.url, asked + asked, half_close=False)
    assert (answer.status, answer.headers["connection"]) == (200, "close")


@pytest.mark.parametrize("value", ["close", "Close", "close ", "close, TE", "TE, close"])
def test_a_client_can_request_the_end_of_the_connection(server: FakeOAuth, value: str) -> None:
    asked = request(BODY, f"Connection: {value}")
    (answer,) = responses_to(server.url, asked + asked)
    assert (answer.status, answer.headers.get("connection")) == (200, "close")


def test_an_upgrade_to_http_2_is_ignored(server: FakeOAuth) -> None:
    """RFC 9110 section 7.8; some clients request one with each connection."""
    asked = request(BODY, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: ")
    first, second = responses_to(server.url, asked + request())
    assert (first.status, first.headers.get("connection")) == (200, None)
    assert second.status == 200


def test_two_requests_in_one_segment_get_responses_in_order(server: FakeOAuth) -> None:
    assert statuses(server, request() + get("/nowhere")) == [200, 404]
    assert [exchange.endpoint for exchange in server.journal] == ["token", None]


def test_a_hundred_requests_in_one_segment_all_get_responses(server: FakeOAuth) -> None:
    asked = [get("/nowhere"), get("/oauth2/token"), request(b"")]
    assert statuses(server, b"".join(asked * 34)) == [404, 405, 401] * 34


def test_a_request_can_arrive_one_byte_at_a_time(server: FakeOAuth) -> None:
    with connect(server.url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for here, there in pairwise(range(len(request()) + 1)):
            connection.sendall(request()[here:there])
        assert read_answer(connection).status == 200


def test_lines_can_end_with_lf_alone(server: FakeOAuth) -> None:
    head, blank, body = request().partition(b"\r\n\r\n")
    assert statuses(server, (head + blank).replace(b"\r\n", b"\n") + body) == [200]


# Lengths.


def test_a_request_without_a_length_has_no_body(server: FakeOAuth) -> None:
    assert refused(server, request(b"", framing=())) == (401, None)


def test_bytes_after_a_request_without_a_length_are_the_next_request(server: FakeOAuth) -> None:
    assert statuses(server, request(framing=())) == [401, 400]


BAD_LENGTHS = [
    "",
    "-1",
    "-0",
    "+5",
    f"+{len(BODY)}",
    "abc",
    "0x79",
    "1e2",
    "1_0",
    "5 5",
    "5;",
    "\xb2",
    "5" * 5000,
    "1\0",
]


@pytest.mark.parametrize("length", BAD_LENGTHS, ids=lambda text: ascii(text[:9]))
def test_a_bad_content_length_is_an_invalid_request(server: FakeOAuth, length: str) -> None:
    assert malformed(server, request(framing=[f"Content-Length: {length}"])) == 400


def test_two_content_lengths_are_an_invalid_request(server: FakeOAuth) -> None:
    framing = [f"Content-Length: {len(BODY)}", f"Content-Length: {len(BODY) - 1}"]
    assert malformed(server, request(framing=framing)) == 400


def test_after_a_bad_content_length_the_connection_is_closed(server: FakeOAuth) -> None:
    asked = request(b"", framing=["Content-Length: abc"]) + request()
    assert statuses(server, asked, half_close=False) == [400]


def test_the_same_content_length_twice_is_accepted(server: FakeOAuth) -> None:
    assert statuses(server, request(framing=[f"Content-Length: {len(BODY)}"] * 2)) == [200]
    assert statuses(server, request(framing=[f"Content-Length: {len(BODY)}, {len(BODY)}"])) == [200]


@pytest.mark.parametrize("around", ["{}", " {}", "\t{}", "{} ", " {}\t", "000{}"])
def test_blanks_around_a_content_length_are_ignored(server: FakeOAuth, around: str) -> None:
    """RFC 9110 section 5.5."""
    framing = [f"Content-Length:{around.format(len(BODY))}"]
    assert statuses(server, request(framing=framing)) == [200]


@pytest.mark.parametrize("length", [64 * 2**20 + 1, 10**15, 10**400, 10**4000])
def test_a_length_over_64_mib_is_refused_at_once(server: FakeOAuth, length: int) -> None:
    asked = request(framing=[f"Content-Length: {length}"])
    assert malformed(server, asked, half_close=False) == 400


# Over the limit.


def test_a_body_of_64_kib_is_read(server: FakeOAuth) -> None:
    body = (BODY + b"&x=").ljust(LIMIT, b"y")
    assert statuses(server, request(body)) == [200]


def test_a_request_after_a_body_over_the_limit_gets_its_response(server: FakeOAuth) -> None:
    body = (BODY + b"&x=").ljust(LIMIT + 1, b"y")
    assert statuses(server, request(body) + request()) == [400, 200]


def test_a_request_after_a_body_of_10_mb_gets_its_response(server: FakeOAuth) -> None:
    assert statuses(server, request(b"x" * 10_000_000) + request()) == [400, 200]


@pytest.mark.parametrize("size", [b"%x" % (64 * 2**20 + 1), b"f" * 16, b"0000" + b"f" * 16])
@pytest.mark.parametrize("before", [b"", b"3\r\nx=y\r\n"], ids=["first", "second"])
def test_a_chunk_over_64_mib_is_refused_at_once(
    server: FakeOAuth, before: bytes, size: bytes
) -> None:
    asked = chunked(before + size + b"\r\n" + BODY)
    assert malformed(server, asked, half_close=False) == 400
    assert server.journal[0].reason == "not HTTP: the body is longer than 67108864 bytes"


def test_chunks_over_64_mib_in_all_are_refused(server: FakeOAuth) -> None:
    asked = chunked((b"100000\r\n" + b"x" * 2**20 + b"\r\n") * 65)
    assert malformed(server, asked, half_close=False) == 400
    assert server.journal[0].reason == "not HTTP: the body is longer than 67108864 bytes"


@pytest.mark.parametrize("path", ["/nowhere", "/oauth2/jwks"])
def test_a_body_that_no_endpoint_needs_is_read(server: FakeOAuth, path: str) -> None:
    asked = request(b"x" * LIMIT * 2, method="GET", target=path)
    assert statuses(server, asked + request())[1] == 200


# Chunks.


@pytest.mark.parametrize(
    "body",
    [
        chunks(BODY),
        chunks(BODY[:5], BODY[5:]),
        chunks(*(BODY[here:there] for here, there in pairwise(range(len(BODY) + 1)))),
        b"%X\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
        b"000%x\r\n%b\r\n0000\r\n\r\n" % (len(BODY), BODY),
    ],
    ids=["one", "two", "a byte each", "upper case", "leading zeros"],
)
def test_a_body_can_be_chunked(server: FakeOAuth, body: bytes) -> None:
    assert statuses(server, chunked(body)) == [200]


def test_chunks_and_the_next_request_are_told_apart(server: FakeOAuth) -> None:
    asked = chunked(chunks(BODY[:9], BODY[9:])) + get()
    assert statuses(server, asked + asked) == [200] * 4


@pytest.mark.parametrize("coding", ["Chunked", "CHUNKED", " chunked", "chunked "])
def test_the_name_of_the_coding_is_case_insensitive(server: FakeOAuth, coding: str) -> None:
    asked = chunked(chunks(BODY), framing=(f"Transfer-Encoding: {coding}",))
    assert statuses(server, asked) == [200]


@pytest.mark.parametrize("extension", [b";", b";a", b";a=b", b'; a="b"', b";" + b"a" * 200])
def test_an_extension_of_a_chunk_is_ignored(server: FakeOAuth, extension: bytes) -> None:
    """RFC 9112 section 7.1.1."""
    body = b"%x%b\r\n%b\r\n0\r\n\r\n" % (len(BODY), extension, BODY)
    assert statuses(server, chunked(body) + request()) == [200, 200]


def test_trailers_after_the_chunks_are_ignored(server: FakeOAuth) -> None:
    """RFC 9112 section 7.1.2."""
    body = chunks(BODY)[:-2] + b"X-Checksum: 1\r\nX-Other: 2\r\n\r\n"
    assert statuses(server, chunked(body) + request()) == [200, 200]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"zz\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"%x\r\n%b" % (len(BODY), BODY),
        b"%x\r\n%b0\r\n\r\n" % (len(BODY), BODY),
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY) - 1, BODY),
        b"%x\r\n%b\r\n" % (len(BODY), BODY),
        b"%x\r\n%b\r\n0" % (len(BODY), BODY),
        b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY),
        b"ffff\r\n%b" % BODY,
        b"f" * 99,
        b"f" * 100000,
        b"1;" + b"a" * 200_000,
        chunks(BODY)[:-2] + b"X: y\r\n" * 40_000,
        chunks(BODY)[:-2] + b"no colon\r\n\r\n",
        b"%x\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
        b"%x\r\n%b\n0\r\n\r\n" % (len(BODY), BODY),
        b"%x\r\n%bXX0\r\n\r\n" % (len(BODY), BODY),
        b"%x;\nX\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    ],
    ids=lambda body: ascii(body[:24]),
)
def test_malformed_or_incomplete_chunks_are_an_invalid_request(
    server: FakeOAuth, body: bytes
) -> None:
    assert malformed(server, chunked(body)) == 400


@pytest.mark.parametrize("size", [b"+%x", b"0x%x", b"0_%x", b"\t%x", b" %x"])
def test_the_size_of_a_chunk_has_hexadecimal_digits_only(server: FakeOAuth, size: bytes) -> None:
    body = size % len(BODY) + b"\r\n" + BODY + b"\r\n0\r\n\r\n"
    assert malformed(server, chunked(body)) == 400


@pytest.mark.parametrize("size", [0xA000, 0xFFFF, 0x10000, 0x10001, 0x20000, 2**32, 2**64])
@pytest.mark.parametrize(
    "whole", [b"", b"9000\r\n" + b"x" * 0x9000 + b"\r\n"], ids=["first", "second"]
)
def test_large_incomplete_chunks_are_invalid_requests(
    stub_url: str, size: int, whole: bytes
) -> None:
    top = request(b"", content_type="text/plain", framing=CHUNKED)
    for sent in (0, 100, 0x8FFF):
        (answer,) = responses_to(stub_url, top + whole + b"%x\r\n" % size + b"y" * sent)
        assert (answer.status, answer.error) == (400, "invalid_request")


def test_chunks_over_the_limit_are_an_invalid_request(server: FakeOAuth) -> None:
    body = (BODY + b"&x=").ljust(LIMIT + 1, b"y")
    assert statuses(server, chunked(chunks(body)) + request()) == [400, 200]


def test_chunks_of_64_kib_are_read(server: FakeOAuth) -> None:
    body = (BODY + b"&x=").ljust(LIMIT, b"y")
    assert statuses(server, chunked(chunks(body[:9], body[9:])) + request()) == [200, 200]


def test_chunks_with_a_content_length_are_an_invalid_request(server: FakeOAuth) -> None:
    body = chunks(BODY)
    framing = (*CHUNKED, f"Content-Length: {len(body)}")
    assert malformed(server, chunked(body, framing=framing)) == 400


def test_a_content_length_before_chunks_is_an_invalid_request(server: FakeOAuth) -> None:
    assert malformed(server, chunked(chunks(BODY), framing=("Content-Length: 5", *CHUNKED))) == 400


def test_chunks_in_http_1_0_are_an_invalid_request(server: FakeOAuth) -> None:
    asked = chunked(chunks(BODY)).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    assert malformed(server, asked) == 400


@pytest.mark.parametrize(
    ("status", "framing"),
    [
        (501, ["Transfer-Encoding: gzip"]),
        (501, ["Transfer-Encoding: identity"]),
        (501, ["Transfer-Encoding: gzip, chunked"]),
        (501, ["Transfer-Encoding: chunked, gzip"]),
        (501, ["Transfer-Encoding: chunked, chunked"]),
        (501, ["Transfer-Encoding: chunked;q=1"]),
        (501, ["Transfer-Encoding: xchunked"]),
        (501, ['Transfer-Encoding: "chunked"']),
        (501, ["Transfer-Encoding:"]),
        (501, ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"]),
        (400, ["Transfer-Encoding: chunked", "Transfer-Encoding: gzip"]),
        (400, ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
        (400, ["Transfer-Encoding : chunked"]),
        (400, ["Transfer-Encoding: \x0bchunked"]),
    ],
    ids=ascii,
)
def test_a_coding_other_than_chunked_is_refused_and_not_run(
    server: FakeOAuth, status: int, framing: list[str]
) -> None:
    """RFC 9112 section 6.1."""
    asked = chunked(chunks(BODY), framing=tuple(framing))
    assert malformed(server, asked + get()) == status


# Heads over the limit.


def test_a_header_of_1_mb_is_refused(server: FakeOAuth) -> None:
    asked = request(BODY, "X-Large: " + "x" * 1_000_000)
    assert malformed(server, asked) == 431


def test_an_ordinary_client_can_read_why_a_header_of_1_mb_is_refused(server: FakeOAuth) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    connection = HTTPConnection(host, int(port), timeout=20)
    try:
        headers = {"X-Large": "x" * 1_000_000, "Content-Type": "text/plain"}
        connection.request("POST", "/oauth2/token", BODY, headers)
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    assert response.status == 431


@pytest.mark.parametrize("size", [66_000, 100_000, 1_000_000])
def test_a_long_request_line_is_refused(server: FakeOAuth, size: int) -> None:
    assert malformed(server, get("/oauth2/jwks?" + "x" * size)) == 414


def test_500_headers_are_refused(server: FakeOAuth) -> None:
    asked = request(BODY, *(f"X-{index}: x" for index in range(500)))
    assert malformed(server, asked) == 431


def test_a_header_of_60_kb_is_read(server: FakeOAuth) -> None:
    assert statuses(server, request(BODY, "X-Large: " + "x" * 60_000)) == [200]


@pytest.mark.parametrize(
    "field",
    ["X", ":", ": x", "X y: z", "X: \0", "X: \xff", "X\0: y", " folded", "X: a\rb", "=?x?b?!?=: x"],
    ids=ascii,
)
def test_an_odd_header_gets_a_response_in_http(server: FakeOAuth, field: str) -> None:
    assert statuses(server, request(BODY, field))


def test_two_authorizations_are_an_invalid_request(server: FakeOAuth) -> None:
    twice = ["Authorization: Basic eDp5"] * 2
    assert refused(server, request(BODY, *twice)) == (400, "invalid_request")


HIDDEN = get("/hidden")


@pytest.mark.parametrize(
    "field",
    [
        "X: a\rContent-Length: 5",
        "X: a\rTransfer-Encoding: chunked",
        "X : a",
        "X",
        "\xff: a",
        "X: a\0b",
    ],
    ids=ascii,
)
def test_a_malformed_header_cannot_hide_a_request(server: FakeOAuth, field: str) -> None:
    """RFC 9112 section 11.2: the body would be the next request."""
    assert malformed(server, request(HIDDEN, field)) == 400


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["Host: a", "Host: b"],
        ["Host: a", "Host: a"],
        ["Host: a b"],
        ["Host: a/b"],
        ["Host: a?"],
        ["Host: u@a"],
        ["Host: a:b"],
        ["Host: [::1"],
        ["Host: [zz]"],
        ["Host: a, b"],
        ["Host: \xff"],
    ],
    ids=ascii,
)
def test_a_missing_doubled_or_malformed_host_is_refused(
    server: FakeOAuth, hosts: list[str]
) -> None:
    """RFC 9112 section 3.2."""
    asked = request().replace(b"Host: x", "\r\n".join(hosts or ["X: y"]).encode("latin-1"))
    assert malformed(server, asked) == 400


@pytest.mark.parametrize("host", ["", "x:", "x:80", "[::1]:80", "[::ffff:1.2.3.4]", "a_b.example"])
def test_a_host_can_have_any_form_of_an_authority(server: FakeOAuth, host: str) -> None:
    asked = request().replace(b"Host: x", f"Host: {host}".encode())
    assert statuses(server, asked) == [200]


def test_http_1_0_needs_no_host(server: FakeOAuth) -> None:
    asked = request(version="HTTP/1.0").replace(b"Host: x", b"X: y")
    assert statuses(server, asked) == [200]


# Expectations.


@pytest.mark.parametrize("value", ["100-continue", "100-Continue"])
def test_a_client_that_expects_100_continue_gets_it_before_its_body(
    server: FakeOAuth, value: str
) -> None:
    asked = request(BODY, f"Expect: {value}")
    with connect(server.url) as connection:
        connection.sendall(asked[: -len(BODY)])
        assert read_head(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(asked[-len(BODY) :])
        assert read_answer(connection).status == 200


def test_a_client_that_disconnects_before_the_100_continue_is_not_run(server: FakeOAuth) -> None:
    connection = connect(server.url)
    connection.sendall(request(BODY, "Expect: 100-continue")[: -len(BODY)])
    assert read_head(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
    reset(connection)


def test_http_1_0_gets_no_100_continue(server: FakeOAuth) -> None:
    asked = request(BODY, "Expect: 100-continue", version="HTTP/1.0")
    assert statuses(server, asked) == [200]


def test_another_expectation_is_ignored(server: FakeOAuth) -> None:
    assert statuses(server, request(BODY, "Expect: 200-ok")) == [200]


# Targets and methods.


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://127.0.0.1/oauth2/token", 200),
        ("HTTP://evil.example:99999999/oauth2/token", 200),
        ("http://u:p@x/oauth2/%74oken?a=b", 200),
        ("http://x", 404),
        ("http://x?/oauth2/token", 404),
        ("http:///oauth2/token", 404),
        ("http://u@/oauth2/token", 400),
        ("http://x y/oauth2/token", 400),
        ("http://[::1", 400),
        ("http://[::1/oauth2/token", 400),
        ("http://::1]/oauth2/token", 400),
        ("http://[zz]/oauth2/token", 400),
        ("//[::1/oauth2/token", 404),
        ("*", 404),
        ("/", 404),
        ("/oauth2/token/", 404),
        ("/oauth2/token%00", 404),
        ("/oauth2/token%0D%0AX:y", 404),
        ("/oauth2/token\0", 400),
        ("/oauth2/\xff\xfe", 400),
        ("/oauth2/%FF%", 404),
        ("/../oauth2/token", 404),
        ("?", 404),
        ("#", 404),
    ],
)
def test_every_target_gets_a_response(server: FakeOAuth, target: str, status: int) -> None:
    assert statuses(server, request(target=target)) == [status]


def test_the_host_of_an_absolute_target_is_not_the_issuer(server: FakeOAuth) -> None:
    target = "http://evil.example/.well-known/openid-configuration"
    (answer,) = responses_to(server.url, get(target))
    assert answer.json["issuer"] == server.url


@pytest.mark.parametrize(
    ("target", "status"),
    [("/oauth2/jwks", 200), ("/oauth2/token", 405), ("/nowhere", 404)],
)
def test_head_gets_no_body(server: FakeOAuth, target: str, status: int) -> None:
    head = get(target, method="HEAD")
    said = responses_to(server.url, head + head, bodies=False)
    assert [answer.status for answer in said] == [status] * 2
    for answer in said:
        assert_of_the_contract(answer, head=True)


def test_a_malformed_head_request_gets_no_body(server: FakeOAuth) -> None:
    head = get("/oauth2/jwks", "Content-Length: abc", method="HEAD")
    (answer,) = responses_to(server.url, head, bodies=False)
    assert answer.status == 400


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "DELETE", "GET", "M-SEARCH", "!"])
def test_another_method_gets_the_allowed_methods(server: FakeOAuth, method: str) -> None:
    said = responses_to(server.url, request(method=method) + request())
    assert [answer.status for answer in said] == [405, 200]
    assert (said[0].headers["allow"], said[0].body) == ("POST", b"")


@pytest.mark.parametrize("method", ["post", "Post"])
def test_a_method_is_case_sensitive(server: FakeOAuth, method: str) -> None:
    """RFC 9110 section 9.1."""
    assert statuses(server, request(method=method)) == [405]


def test_a_lower_case_get_is_another_method(server: FakeOAuth) -> None:
    (answer,) = responses_to(server.url, get(method="get"))
    assert (answer.status, answer.headers.get("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize("target", ["example.com:443", "127.0.0.1:443", "[::1]:443", "x"])
def test_connect_opens_no_tunnel(server: FakeOAuth, target: str) -> None:
    asked = get(target, method="CONNECT") + request()
    assert statuses(server, asked) in ([404, 200], [400])


def test_options_of_the_whole_server_is_not_found(server: FakeOAuth) -> None:
    assert statuses(server, get("*", method="OPTIONS")) == [404]


# Requests that stall.


@pytest.mark.parametrize(
    "sent",
    [
        b"P",
        request()[:20],
        request()[:40],
        request()[: -len(BODY)],
        request()[:-1],
        chunked(b""),
        chunked(b"ff\r\nx"),
        chunked(b"ffff\r\nx"),
        chunked(chunks(BODY)[:-2]),
        b"GET /oauth2/jwks\r\n",
        request(b"xx", method="GET", target="/oauth2/jwks")[:-1],
        request(b"x" * (2 * LIMIT))[:-1],
    ],
    ids=lambda sent: ascii(sent[-12:]),
)
def test_a_request_that_stalls_gets_a_408_and_is_not_run(
    hasty: tuple[Listener, Journal], sent: bytes
) -> None:
    listener, journal = hasty
    (answer,) = responses_to(listener.url, sent, half_close=False)
    assert_of_the_contract(answer, statuses=BELOW_THE_CONTRACT)
    assert (answer.status, answer.error) == (408, "invalid_request")
    assert answer.headers["connection"] == "close"
    assert journal[0].reason == "not HTTP: the request stalled before its end"


def test_a_client_can_wait_between_two_requests(
    hasty: tuple[Listener, Journal],
) -> None:
    listener, _ = hasty
    with connect(listener.url) as patient:
        patient.sendall(get())
        assert read_answer(patient).status == 200
        # Another client stalls for longer than the server allows within a request.
        assert [answer.status for answer in responses_to(listener.url, b"P", half_close=False)] == [
            408
        ]
        patient.sendall(get())
        assert read_answer(patient).status == 200


# Many connections, and the stop.


def test_200_idle_connections_do_not_block_others(server: FakeOAuth) -> None:
    idle = [connect(server.url) for _ in range(200)]
    try:
        assert statuses(server, request()) == [200]
        idle[-1].sendall(request())
        assert read_answer(idle[-1]).status == 200
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.parametrize("sent", [b"", request()[:9], request()[:50], request()[:-1]])
def test_stop_ends_200_connections_in_any_state(
    sent: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    threads = set(threading.enumerate())
    server = FakeOAuth().start()
    port = int(server.url.rpartition(":")[2])
    clients = [connect(server.url) for _ in range(200)]
    try:
        for client in clients:
            client.sendall(sent)
        assert still_serves(server)
        server.stop()
        assert set(threading.enumerate()) <= threads
        for client in clients:
            received(client)  # It returns, so the server has ended the connection.
    finally:
        for client in clients:
            client.close()
    del server
    gc.collect()  # A socket that was forgotten would warn, and warnings are errors.
    socket.create_server(("127.0.0.1", port)).close()
    assert capfd.readouterr() == ("", "")


def test_stop_does_not_wait_for_a_client_that_does_not_read(
    capfd: pytest.CaptureFixture[str],
) -> None:
    threads = set(threading.enumerate())
    server = FakeOAuth().start()
    with connect(server.url) as connection:
        connection.settimeout(0)
        try:
            while True:
                connection.send(get("/nowhere") * 100)
        except BlockingIOError:
            pass  # The server waits for this client to read.
        server.stop()
    assert set(threading.enumerate()) <= threads
    assert capfd.readouterr() == ("", "")
