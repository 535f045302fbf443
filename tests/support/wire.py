"""Raw requests, the responses to them, and what every response of the contract has."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, Final
from urllib.parse import urlencode

from fake_oauth import FakeOAuth
from tests.support.client import DOCUMENTED, FORM

BODY: Final = urlencode(DOCUMENTED).encode()
STATUSES: Final = frozenset({200, 400, 401, 404, 405})
ERRORS: Final = frozenset(
    {
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "not_found",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
HEADERS: Final = {
    "cache-control": "no-cache, no-store, max-age=0, must-revalidate",
    "pragma": "no-cache",
    "expires": "0",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, with header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> Answer:
        pairs = [(name.lower(), value) for name, value in headers]
        assert len(dict(pairs)) == len(pairs), "a header occurs twice"
        return cls(status, dict(pairs), body)

    @property
    def error(self) -> str | None:
        """The OAuth error code; None without one."""
        error: str | None = self.json.get("error") if self.body else None
        return error

    @property
    def json(self) -> dict[str, Any]:
        """The decoded body."""
        document: dict[str, Any] = json.loads(self.body)
        return document


def assert_of_the_contract(
    answer: Answer, *, head: bool = False, statuses: Iterable[int] = STATUSES
) -> None:
    """Assert that the contract allows the status, the headers, and the body."""
    assert answer.status in statuses
    assert HEADERS.items() <= answer.headers.items()
    assert "www-authenticate" not in answer.headers
    if head:
        assert answer.body == b""
        return
    assert answer.headers["content-length"] == str(len(answer.body))
    if answer.status == 405:
        assert answer.headers["allow"] in {"POST", "GET, HEAD"}
        assert answer.body == b""
    elif answer.status != 200:
        assert answer.error in ERRORS or (answer.status, answer.body) == (401, b"")
    if answer.body:
        assert answer.headers["content-type"].startswith("application/json")


def request(
    body: bytes = BODY,
    *fields: str,
    method: str = "POST",
    target: str = "/oauth2/token",
    version: str = "HTTP/1.1",
    content_type: str = FORM,
    framing: Iterable[str] | None = None,
) -> bytes:
    """Return a request as bytes, by default the documented one. `framing` sets its length."""
    framing = (f"Content-Length: {len(body)}",) if framing is None else framing
    lines = [f"{method} {target} {version}", "Host: x", f"Content-Type: {content_type}"]
    return "\r\n".join([*lines, *framing, *fields, "", ""]).encode("latin-1") + body


def get(target: str = "/oauth2/jwks", *fields: str, method: str = "GET") -> bytes:
    """Return a request without a body as bytes."""
    return request(b"", *fields, method=method, target=target, framing=())


def connect(url: str) -> socket.socket:
    """Return a connection on which every wait ends."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def received(connection: socket.socket) -> bytes:
    """Return everything that is received until the server closes or resets the connection."""
    data = bytearray()
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return bytes(data)


def responses_to(
    url: str, data: bytes, *, half_close: bool = True, bodies: bool = True
) -> list[Answer]:
    """Return the responses to some bytes on a new connection.

    Without a half-close, the server must end the connection.
    """
    with connect(url) as connection:
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The server has closed the connection; it may have responded first.
        return list(answers(received(connection), bodies=bodies))


def answers(data: bytes, *, bodies: bool = True) -> Iterable[Answer]:
    """Yield the responses in received bytes; those to HEAD have no bodies."""
    while data:
        top, blank, data = data.partition(b"\r\n\r\n")
        assert blank, "a response without an end"
        first, *lines = top.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        fields = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        answer = Answer.of(int(status), fields, b"")
        length = int(answer.headers["content-length"]) if bodies else 0
        assert len(data) >= length, "an incomplete body"
        yield Answer(answer.status, answer.headers, data[:length])
        data = data[length:]


def still_serves(server: FakeOAuth) -> bool:
    """Return whether the documented request succeeds on a new connection."""
    return [answer.status for answer in responses_to(server.url, request())] == [200]


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for another thread; for 20 seconds at most, which nothing here takes."""
    deadline = monotonic() + 20
    while not condition():
        assert monotonic() < deadline
        sleep(0.001)
