"""Requests to one server, in process or over HTTP, and the server's metadata.

A server under test is not trusted: its responses have a limited size and a limited time.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from ssl import SSLContext, create_default_context
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import SplitResult, urlsplit, urlunsplit

import h11
from werkzeug.test import Client

from fake_oauth.contract.cases import Request
from fake_oauth.contract.placeholders import parameters, parse_json
from fake_oauth.contract.terminal import printable, shortened
from fake_oauth.control import PREFIX
from fake_oauth.dialects import DIALECTS, Dialect
from fake_oauth.http.endpoints import ENDPOINTS
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.provider.resources import WELL_KNOWN
from fake_oauth.reply import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

BODY_LIMIT: Final = 4 * 1024 * 1024
"""The size of a body, in bytes, beyond which a response or a request is refused."""
TEXT_LIMIT: Final = 256 * 1024
"""The part of a body, in bytes, that is looked at. JSON can take twenty times its size."""
_HEAD_LIMIT: Final = 64 * 1024
_CHUNK: Final = 64 * 1024


class UnreachableError(FakeOAuthError):
    """A server did not send a complete HTTP response."""


@dataclass(frozen=True)
class ReceivedResponse(Response):
    """A response of a server, and its text and JSON as far as they can be read."""

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The headers by their names in lower case; repeats are joined (RFC 9110 section 5.3)."""
        fields: dict[str, str] = {}
        for name, value in self.headers:
            before = f"{fields[name.lower()]}, " if name.lower() in fields else ""
            fields[name.lower()] = before + value
        return fields

    @cached_property
    def text(self) -> str:
        """The beginning of the body as text; bytes that are not UTF-8 are escaped."""
        return self.body[:TEXT_LIMIT].decode(errors="backslashreplace")

    @cached_property
    def json(self) -> Any:
        """The body as JSON; None if it is not JSON, or too large to be looked at."""
        return None if len(self.body) > TEXT_LIMIT else parse_json(self.text)

    @property
    def members(self) -> Mapping[str, Any]:
        """The members of the body; none if it is not a JSON object."""
        return self.json if isinstance(self.json, dict) else {}


class Transport(Protocol):
    """A way to send requests to one server."""

    @property
    def url(self) -> str:
        """The URL of the server, without a slash at its end."""
        ...

    def send(self, request: Request) -> ReceivedResponse:
        """Send a request; redirects are not followed. Raise UnreachableError."""
        ...


@dataclass(frozen=True, slots=True)
class WSGITransport:
    """A way to send requests to an application in this process, without a socket."""

    app: WSGIApplication
    url: str = "http://localhost"

    def send(self, request: Request) -> ReceivedResponse:
        response = Client(self.app).open(
            request.path, method=request.method, headers=dict(request.headers), data=request.body
        )
        return ReceivedResponse(response.status_code, tuple(response.headers), response.data)


@dataclass(frozen=True, slots=True)
class HTTPTransport:
    """A way to send requests to a URL, each on a connection of its own."""

    url: str
    timeout_seconds: float = 10
    """The time that a complete response may take."""
    ssl_context: SSLContext | None = field(default=None, repr=False)
    control_token: str | None = field(default=None, repr=False)
    """The token for the control API of a fake on another machine."""

    def send(self, request: Request) -> ReceivedResponse:
        is_url = "://" in request.path[:8]
        try:
            parts = urlsplit(request.path if is_url else self.url + request.path)
            return self._exchange(parts, request, monotonic() + self.timeout_seconds)
        except TimeoutError:
            why = f"no complete response within {self.timeout_seconds:g} s"
        except (OSError, h11.ProtocolError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
        raise UnreachableError(f"{self.url}: no valid response: {shortened(printable(why), 200)}")

    def _exchange(self, parts: SplitResult, request: Request, deadline: float) -> ReceivedResponse:
        machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
        body = (request.body or "").encode(errors="surrogateescape")
        target = urlunsplit(("", "", parts.path, parts.query, "")) or "/"
        data = machine.send(
            h11.Request(
                method=request.method, target=target, headers=self._headers(parts, request, body)
            )
        )
        data = (data or b"") + (machine.send(h11.Data(data=body)) or b"")
        machine.send(h11.EndOfMessage())
        with closing(self._connect(parts, deadline)) as connection:
            connection.settimeout(_left(deadline))
            connection.sendall(data)
            return _read_response(machine, connection, deadline)

    def _headers(
        self, parts: SplitResult, request: Request, body: bytes
    ) -> list[tuple[bytes, bytes]]:
        headers = {
            "Host": parts.netloc,
            "Connection": "close",
            "Accept-Encoding": "identity",
            **request.headers,
        }
        if body or request.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(body))
        if self.control_token is not None and request.path.startswith(PREFIX):
            headers["Authorization"] = f"Bearer {self.control_token}"
        return [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]

    def _connect(self, parts: SplitResult, deadline: float) -> socket.socket:
        is_secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if is_secure else 80)
        connection = socket.create_connection((host, port), _left(deadline))
        if not is_secure:
            return connection
        context = self.ssl_context or create_default_context()
        with closing(connection):  # If the handshake fails; otherwise it is detached.
            connection.settimeout(_left(deadline))
            return context.wrap_socket(connection, server_hostname=host)


def _left(deadline: float) -> float:
    """Return the seconds that are left. Raise TimeoutError if there are none."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _read_response(
    machine: h11.Connection, connection: socket.socket, deadline: float
) -> ReceivedResponse:
    """Raise ValueError for a response that is too large, and h11.ProtocolError for a broken one."""
    response, body = None, bytearray()
    while True:
        event = machine.next_event()
        if event is h11.NEED_DATA:
            connection.settimeout(_left(deadline))
            data = connection.recv(_CHUNK)
            if not data and response is None:
                raise ValueError("the server closed the connection without a response")
            machine.receive_data(data)
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_LIMIT:
                raise ValueError(f"the response is larger than {BODY_LIMIT} bytes")
        elif response is not None:
            break
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in response.headers.raw_items()
    )
    return ReceivedResponse(response.status_code, headers, bytes(body))


def server_url(text: str) -> str:
    """Return the URL of a server without a slash at its end. Raise FakeOAuthError if it is none."""
    try:
        parts = urlsplit(text)
        is_server = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        is_server = False
    if not is_server or not parts.hostname or parts.username is not None or set(text) & {*"?#"}:
        shown = re.sub(r"//[^/@]*@", "//***@", text)
        raise FakeOAuthError(
            f"{shown}: expected the URL of a server, such as http://127.0.0.1:8080"
        )
    paths = [path for dialect in DIALECTS.values() for path in dialect.paths.values()]
    found = max(filter(parts.path.endswith, paths), key=len, default=None)
    if found is not None:
        raise FakeOAuthError(f"{text}: expected the URL of a server, without {found} at its end")
    return text.rstrip("/")


class Metadata:
    """The metadata of one server (RFC 8414, OpenID Connect Discovery), read for one dialect.

    Neither document has all endpoints, so both are read.
    """

    def __init__(self, transport: Transport, dialect: Dialect) -> None:
        """Raise UnreachableError if the server does not respond."""
        self._dialect = dialect
        self._grant_types: Sequence[str] = dialect.grant_types
        self._url = transport.url
        self._names = {path: name for name, path in dialect.paths.items()}
        self._members: dict[str, Any] = {}
        self._absent: set[str] = set()
        for name in ("metadata", "discovery"):
            if name in dialect.paths:
                members = transport.send(Request(method="GET", path=dialect.paths[name])).members
                if {"issuer", "token_endpoint"} & members.keys():
                    self._members |= members
                else:
                    self._absent.add(name)

    @property
    def issuer(self) -> str | None:
        """The issuer; None if the server does not name it."""
        return self._text("issuer")

    @property
    def scopes(self) -> str | None:
        """The supported scopes as text; None if the server does not list them."""
        scopes = self._members.get("scopes_supported")
        return " ".join(map(str, scopes)) if isinstance(scopes, list) else None

    @property
    def paths(self) -> dict[str, str]:
        """The dialect's paths, by the paths of the same endpoints on the server."""
        found = {}
        for path in self._names:
            url = self._endpoint(path)
            if url is not None and url.startswith(f"{self._url}/"):
                found[url.removeprefix(self._url)] = path
        return found

    def place(self, path: str) -> str:
        """Return the URL of the endpoint that the dialect has at a path, or the path itself."""
        endpoint = None if self._dialect.has_fixed_paths else self._endpoint(path)
        return path if endpoint is None else endpoint

    def unmet(self, request: Request) -> str | None:
        """Return the kind of server that a request needs, if the metadata shows another kind.

        Return None if the metadata allows the request, or if there is no metadata.
        """
        if self._dialect.has_fixed_paths or not self._members:
            return None
        path = request.path.partition("?")[0]
        name = self._names.get(path, "")
        if name in self._absent:
            return f"with metadata at {path}"
        member = _member(name)
        if member is not None and member not in self._members:
            return f"whose metadata has {member}"
        if path.startswith(WELL_KNOWN) and not self._has_resource(path.removeprefix(WELL_KNOWN)):
            return f"whose metadata has protected_resources with {path.removeprefix(WELL_KNOWN)}"
        given = parameters(request)
        grant_type = given.get("grant_type")
        if grant_type in self._grant_types:
            supported = self._listed("grant_types_supported", self._grant_types)
            if grant_type not in supported:
                return f"that supports the grant type {grant_type}"
        if given.get("code_challenge_method") == "plain":
            plain = self._listed("code_challenge_methods_supported", ("plain",))
            return "that does not support the challenge method plain" if "plain" in plain else None
        methods = self._listed(f"{member}_auth_methods_supported", ("client_secret_basic",))
        is_in_body = "client_secret" in given and "Authorization" not in request.headers
        if is_in_body and "client_secret_post" not in methods:
            return "that accepts client_secret_post"
        return None

    def _has_resource(self, path: str) -> bool:
        """Return whether a protected resource is at a path (RFC 9728 section 4).

        A path of no dialect is in a case that needs an unknown resource.
        """
        listed = self._listed("protected_resources", ())
        is_known = path in self._names
        return bool(listed) and (not is_known or f"{self._url}{path}" in listed)

    def _endpoint(self, path: str) -> str | None:
        url = self._text(_member(self._names.get(path, "")) or "")
        return url if url is not None and url.startswith(("http://", "https://")) else None

    def _text(self, member: str) -> str | None:
        text = self._members.get(member)
        return text if isinstance(text, str) else None

    def _listed(self, member: str, default: Sequence[str]) -> Sequence[Any]:
        listed = self._members.get(member)
        return listed if isinstance(listed, list) else default


def _member(name: str) -> str | None:
    """Return the member of the metadata that an endpoint has, if it has one."""
    return ENDPOINTS[name].metadata if name in ENDPOINTS else None


def dialect_of(transport: Transport) -> Dialect:
    """Return the dialect that a server's metadata fit: `ciam` if it has no metadata.

    Raise UnreachableError if the server does not respond.
    """
    ciam, rfc = DIALECTS["ciam"], DIALECTS["rfc"]
    paths = Metadata(transport, rfc).paths
    return ciam if not paths or ciam.paths["token"] in paths else rfc
