"""Fetching Client ID Metadata Documents, from this machine only.

The server of a document is not trusted: its response has a limited size and a limited time, and a
redirect is not followed. No name is looked up, and no proxy is used. A server that stops waits for
no document.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from ssl import CERT_NONE, SSLContext, create_default_context
from time import monotonic
from typing import Final, TypeVar

import h11

DOCUMENT_LIMIT: Final = 5 * 1024
"""The most bytes of a document (draft-ietf-oauth-client-id-metadata-document section 6.6)."""
TIMEOUT_SECONDS: Final = 2.0
"""How many seconds a complete response may take."""

_T = TypeVar("_T")

# How long one wait lasts, so that a stop is noticed before it gives up.
_STEP_SECONDS: Final = 0.05
_LAST_PORT: Final = 65535
_HEAD_LIMIT: Final = 16 * 1024
_PIECE: Final = 16 * 1024
# Only these spellings of an address, because libraries disagree about the others.
_URL: Final = re.compile(
    r"(https?)://((?:127(?:\.[0-9]{1,3}){3}|\[::1\]|localhost)(?::([0-9]{1,5}))?)(/[!\"$-~]*)"
)
_HOST: Final = re.compile(r":[0-9]+$")
_ELSEWHERE: Final = (
    "only http and https URLs of 127.0.0.0/8, [::1], and localhost are fetched; set the document "
    "in client_documents"
)


def _never() -> bool:
    return False


def fetch(
    url: str,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    is_stopping: Callable[[], bool] = _never,
) -> bytes:
    """Return the document at a URL of this machine.

    Raise OSError or ValueError, with the reason, for any other URL, for a response that is not a
    complete document with status 200, and once `is_stopping` returns True.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(_ELSEWHERE)
    scheme, authority, port, target = match.groups()
    host = _HOST.sub("", authority).strip("[]")
    # There is no look-up, which the settings of the machine could send elsewhere.
    addresses = ["127.0.0.1", "::1"] if host == "localhost" else [str(ip_address(host))]
    place = int(port or (443 if scheme == "https" else 80))
    if place > _LAST_PORT:
        raise ValueError(f"there is no port {place}")
    patience = _Patience(monotonic() + timeout_seconds, is_stopping)
    try:
        with closing(_connect(addresses, place, patience)) as connection:
            if scheme == "http":
                return _exchange(connection, authority, target, patience)
            with _context().wrap_socket(
                connection, server_hostname=host, do_handshake_on_connect=False
            ) as secure:
                patience.run(secure, secure.do_handshake)
                return _exchange(secure, authority, target, patience)
    except TimeoutError:
        raise TimeoutError(f"no complete response within {timeout_seconds:g} s") from None
    except h11.ProtocolError as error:
        raise ValueError(f"not a response in HTTP: {error}") from None


@dataclass(frozen=True, slots=True)
class _Patience:
    """How long a document is waited for."""

    deadline: float
    is_stopping: Callable[[], bool]

    def step(self) -> float:
        """Return the seconds until the next look. Raise OSError if nothing is waited for."""
        if self.is_stopping():
            raise ConnectionAbortedError("the server stops")
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, _STEP_SECONDS)

    def run(self, connection: socket.socket, wait: Callable[[], _T]) -> _T:
        """Return what a method of the connection returns, which waits in steps."""
        while True:
            connection.settimeout(self.step())
            with suppress(TimeoutError):
                return wait()


def _connect(addresses: list[str], port: int, patience: _Patience) -> socket.socket:
    """Return a connection to the first address that accepts one."""
    for address in addresses[:-1]:
        try:
            return _connect_to(address, port, patience)
        except ConnectionRefusedError:
            continue
    return _connect_to(addresses[-1], port, patience)


def _connect_to(address: str, port: int, patience: _Patience) -> socket.socket:
    while True:
        step = patience.step()
        with suppress(TimeoutError):
            return socket.create_connection((address, port), step)


def _context() -> SSLContext:
    """Return a context that accepts every certificate: on this machine, tests make their own."""
    context = create_default_context()
    context.check_hostname = False
    context.verify_mode = CERT_NONE
    return context


def _exchange(connection: socket.socket, authority: str, target: str, patience: _Patience) -> bytes:
    machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
    headers = [("Host", authority), ("Accept", "application/json"), ("Connection", "close")]
    request = h11.Request(method="GET", target=target, headers=headers)
    data = (machine.send(request) or b"") + (machine.send(h11.EndOfMessage()) or b"")
    while data:
        data = data[patience.run(connection, partial(connection.send, data)) :]
    body = bytearray()
    while True:
        event = machine.next_event()
        if event is h11.NEED_DATA:
            machine.receive_data(patience.run(connection, partial(connection.recv, _PIECE)))
        elif isinstance(event, h11.Response):
            _require_document(event)
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > DOCUMENT_LIMIT:
                raise ValueError(f"the document is larger than {DOCUMENT_LIMIT} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)


def _require_document(response: h11.Response) -> None:
    if response.status_code != 200:
        raise ValueError(f"the status is {response.status_code}, not 200")
    for name, value in response.headers:
        if name == b"content-encoding" and value.lower() != b"identity":
            raise ValueError(f"the document is encoded: {value.decode('latin-1')}")
