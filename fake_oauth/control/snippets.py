"""An exchange as a test: a whole file for the pytest plugin, which brings about the same response.

The file has the settings, how the state came about, the fault, the request, and asserts on what
was sent back and why. If it cannot bring the response about, a comment says so, and the test sends
the request without judging the response.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from html import escape
from textwrap import indent
from typing import TYPE_CHECKING, Final

from fake_oauth.control.circumstances import Circumstances
from fake_oauth.control.curl import body_of, media_type, target
from fake_oauth.control.source import call, expression, literal, mapping
from fake_oauth.faults.base import ConnectionFault, Fault, Rule
from fake_oauth.faults.connections import Hang, Truncated
from fake_oauth.faults.responses import BrokenGzip, Combined
from fake_oauth.journal import Exchange, printable
from fake_oauth.reply import FORM, JSON, MULTIPART
from fake_oauth.settings import Settings
from fake_oauth.structure import changed_fields

if TYPE_CHECKING:
    from fake_oauth.server import FakeOAuth

_SPECIAL: Final = re.compile(r"[.^$*+?{}\[\]\\|()]")
# The headers of a request that the server reads, besides its credentials.
_HEADERS: Final = {
    "HTTP_ACCEPT_LANGUAGE": "Accept-Language",
    "HTTP_ORIGIN": "Origin",
    "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "Access-Control-Request-Method",
}
_CLASSES: Final = (
    *("AuthSource", "Client", "PreconfiguredRefreshToken", "ProtectedResource", "RefreshPolicy"),
    *("TrustedIssuer", "User"),
)


def pytest_file(server: FakeOAuth, exchange: Exchange) -> str:
    """Return the text of a test file that brings about an exchange."""
    return _Test(server, exchange).text()


class _Test:
    """A test file: its circumstances, its request, and its asserts."""

    def __init__(self, server: FakeOAuth, exchange: Exchange) -> None:
        self._server = server
        self._exchange = exchange
        self._before = Circumstances(server, exchange)

    def text(self) -> str:
        """Return the file."""
        code, settings = "\n".join(self._body()), self._settings_text()
        names = ["Settings", *(name for name in _CLASSES if f"{name}(" in settings)]
        if "oauth_server.script(" in code:
            names.append("faults")
        standard = "import re\n\n" if "re.fullmatch(" in code else ""
        mark = "@pytest.mark.allow_violations\n" if (self._exchange.status or 500) >= 400 else ""
        return (
            f"{standard}import httpx\n"
            "import pytest\n"
            f"from fake_oauth import {', '.join(sorted(names, key=_in_import_order))}\n\n\n"
            '@pytest.fixture(scope="session")\n'
            "def oauth_settings():\n"
            f"{indent(f'return {settings}', '    ')}\n\n\n"
            f"{mark}def test_request_{self._exchange.number}(oauth_server):\n"
            f"{indent(code, '    ')}\n"
        )

    def _settings_text(self) -> str:
        settings = Settings() if self._before.settings is None else self._before.settings
        members = changed_fields(settings).items()
        return call("Settings", [f"{name}={expression(value)}" for name, value in members])

    # The request, and what is sent back

    def _body(self) -> Iterator[str]:
        exchange = self._exchange
        yield f"# {printable(str(exchange))}"
        if self._before.why_not is not None:
            yield f"# The test cannot bring about this response. {self._before.why_not}"
        if exchange.method == "?":
            yield "# The client sent bytes that are not HTTP, and the journal does not keep them."
            yield "assert oauth_server.is_running"
            return
        yield from self._before.steps
        rule = self._before.rule if self._before.why_not is None else None
        request = self._request(rule)
        for _ in range(self._before.repeats):
            yield f"{request}  # The same request before."
        if rule is not None:
            yield f"oauth_server.script({expression(rule)})"
        raised = _raised(rule)
        if raised is not None:
            yield f"with pytest.raises({raised}):\n{indent(request, '    ')}"
        else:
            yield f"response = {request}"
        if self._before.why_not is not None:
            yield "assert len(oauth_server.journal) == 1"
            return
        if raised is None:
            yield f"assert response.status_code == {exchange.status}"
            if exchange.error is not None:
                yield f"assert {self._error_in_response(exchange.error)}"
        yield from self._judged()

    def _error_in_response(self, error: str) -> str:
        """Return a condition that the error code is in the response.

        The test gets JSON where a person got a page, because it does not send their `Accept`.
        """
        location = self._exchange.response_headers.get("Location")
        if location is not None and self._exchange.browser_error is not None:
            mark = literal("#" if "#" in location else "?")
            sent = f'httpx.QueryParams(response.headers["Location"].rpartition({mark})[2])'
            return f'{sent}["error"] == {literal(error)}'
        if self._exchange.status == 200 and self._exchange.browser_error is not None:
            field = f'name="error" value="{escape(error)}"'  # response_mode=form_post
            return f"{literal(field)} in response.text"
        return f'response.json()["error"] == {literal(error)}'

    def _judged(self) -> Iterator[str]:
        """Yield asserts on the journal."""
        exchange = self._exchange
        yield "exchange = oauth_server.journal[-1]"
        if exchange.cause is not None:
            yield f"assert exchange.cause == {literal(exchange.cause)}"
        if exchange.endpoint == "register" or exchange.reason is None:
            return  # It has an id that is new in every server.
        if re.search(r"\d", exchange.reason):
            yield f"assert re.fullmatch({_pattern(exchange.reason)}, exchange.reason)"
        else:
            yield f"assert exchange.reason == {literal(exchange.reason)}"

    def _request(self, rule: Rule | None) -> str:
        """Return the expression that sends the request."""
        exchange = self._exchange
        arguments = [self._url(), *self._headers(), *self._content()]
        if rule is not None:
            arguments.append(f"timeout={1 if isinstance(rule.fault, Hang) else 60}")
        method = exchange.method.lower()
        if method in ("get", "post", "put", "patch", "delete", "head", "options") and (
            method in ("post", "put", "patch") or not exchange.form
        ):
            return call(f"httpx.{method}", arguments)
        return call("httpx.request", [literal(exchange.method), *arguments])

    def _url(self) -> str:
        exchange, settings = self._exchange, self._server.settings
        if exchange.query or exchange.endpoint is None:
            return f"oauth_server.url + {literal(target(exchange))}"
        if exchange.path != settings.issuer_path + settings.paths.get(exchange.endpoint, "?"):
            return f"oauth_server.url + {literal(target(exchange))}"
        if exchange.endpoint == "token":
            return "oauth_server.token_url"
        return f"oauth_server.url_of({literal(exchange.endpoint)})"

    def _headers(self) -> Iterator[str]:
        """Yield the arguments with the credentials and the headers that the server reads."""
        exchange = self._exchange
        sent = dict(exchange.raw_headers)
        authorization = sent.get("HTTP_AUTHORIZATION")
        headers: dict[str, str] = {}
        if authorization is not None:
            pair = _user_pass(authorization)
            if pair is not None:
                yield f"auth=({literal(pair[0])}, {literal(pair[1])})"
            elif "bearer" in self._before.values:
                scheme = authorization.partition(" ")[0]
                headers["Authorization"] = (
                    f"{literal(f'{scheme} ')} + {self._before.values['bearer']}"
                )
            else:
                headers["Authorization"] = _header(authorization)
        headers |= {name: _header(sent[key]) for key, name in _HEADERS.items() if key in sent}
        if exchange.content_type is not None and media_type(exchange) != MULTIPART:
            is_usual = exchange.content_type in (FORM, JSON) and bool(exchange.form)
            if headers or not is_usual:  # httpx sends the usual one.
                headers["Content-Type"] = _header(exchange.content_type)
        if headers:
            yield "headers=" + mapping({literal(name): value for name, value in headers.items()})

    def _content(self) -> Iterator[str]:
        exchange = self._exchange
        if not exchange.form:
            return
        kind = media_type(exchange)
        if kind == JSON:
            members = {
                n: self._before.values.get(n, expression(v)) for n, v in body_of(exchange).items()
            }
            yield "json=" + mapping({literal(name): value for name, value in members.items()})
            return
        values = {
            literal(name): self._before.values.get(name) or _one_or_all(exchange.form.all(name))
            for name in exchange.form
        }
        if kind == MULTIPART:
            yield "files=" + mapping({n: f"(None, {value})" for n, value in values.items()})
        else:
            yield "data=" + mapping(values)


def _in_import_order(name: str) -> tuple[bool, str]:
    return name.islower(), name


def _one_or_all(values: Iterable[str]) -> str:
    values = list(values)
    return literal(values[0]) if len(values) == 1 else expression(values)


def _user_pass(authorization: str) -> tuple[str, str] | None:
    """Return username and password that httpx encodes to the same header; None if it cannot."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme != "Basic":
        return None
    try:
        user, colon, password = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    again = b64encode(f"{user}:{password}".encode()).decode()
    return (user, password) if colon and again == encoded else None


def _header(value: str) -> str:
    """Return the value of a header as source; WSGI has its bytes as latin-1 (PEP 3333)."""
    return literal(value) if value.isascii() else repr(value.encode("latin-1"))


def _pattern(reason: str) -> str:
    """Return the source of a pattern for a reason, with any numbers in it."""
    escaped = _SPECIAL.sub(r"\\\g<0>", reason)
    pattern = re.sub(r"\d+", lambda _: r"\d+", escaped)
    is_plain = pattern.isprintable() and '"' not in pattern and not pattern.endswith("\\")
    return f'r"{pattern}"' if is_plain else literal(pattern)


def _raised(rule: Rule | None) -> str | None:
    """Return the exception of httpx that a fault leads to; None if there is a response."""
    if rule is None:
        return None
    fault = rule.fault
    parts = fault.parts if isinstance(fault, Combined) else (fault,)
    if any(isinstance(part, BrokenGzip) for part in parts):
        return "httpx.DecodingError"
    is_cut = isinstance(fault, Truncated)
    return "httpx.TransportError" if is_cut or _loses(fault) else None


def _loses(fault: Fault) -> bool:
    return isinstance(fault, ConnectionFault) and fault.loses_response
