"""An exchange as a shell command: bash and curl send the same request again.

Everything in it that a client chose is quoted: it reaches curl as one argument, whatever it is.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from fake_oauth.journal import Exchange, printable
from fake_oauth.reply import FORM, JSON, MULTIPART

# What the server reads of a request's headers, besides its credentials.
_HEADERS: Final = {
    "HTTP_ACCEPT": "Accept",
    "HTTP_ACCEPT_LANGUAGE": "Accept-Language",
    "HTTP_ORIGIN": "Origin",
    "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "Access-Control-Request-Method",
    "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "Access-Control-Request-Headers",
    "HTTP_AUTHORIZATION": "Authorization",
}
_LEFT_OUT: Final = {
    "HTTP_DPOP": "the DPoP proof, which is valid once and for a short time",
    "HTTP_COOKIE": "the cookies of the browser",
}
# A character that has no place in a command: controls, and those that are not ASCII.
_NOT_PLAIN: Final = re.compile(rb"[^\x20-\x7e]")
# A name of a field that curl changes, or takes apart.
_ODD_NAME: Final = re.compile(r"[=\\\"\x00-\x1f\x7f]")
_PATH_SAFE: Final = "/:@!$&'()*+,;=-._~"


def curl(exchange: Exchange, url: str) -> str:
    """Return the command that sends the request of an exchange to the server at a URL."""
    if exchange.method == "?":
        return (
            "# The client sent bytes that are not HTTP. The journal does not keep them, so no\n"
            "# command can send them again.\ntrue\n"
        )
    headers = dict(exchange.raw_headers)
    comments = [f"# Left out: {why}." for name, why in _LEFT_OUT.items() if name in headers]
    words = _words(exchange, url, headers, comments)
    command = " \\\n  ".join(["curl", *(" ".join(group) for group in words)])
    return "".join(f"{line}\n" for line in (*comments, command))


def body_of(exchange: Exchange) -> Any:
    """Return the JSON body of a request: the journal has its members as texts."""
    return {name: _member(value) for name, value in exchange.form.items()}


def _member(text: str) -> Any:
    """Return a list or an object from its text; another text is itself."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text


def media_type(exchange: Exchange) -> str:
    """Return the Content-Type of a request without its parameters, in lower case."""
    return (exchange.content_type or "").partition(";")[0].strip().lower()


def target(exchange: Exchange) -> str:
    """Return the path and the query of a request, as they are sent."""
    path = quote(exchange.path, safe=_PATH_SAFE, errors="replace")
    query = urlencode(list(exchange.query.pairs()), quote_via=quote, errors="replace")
    return f"{path}?{query}" if query else path


def _words(
    exchange: Exchange, url: str, headers: Mapping[str, str], comments: list[str]
) -> Iterator[tuple[str, ...]]:
    """Yield the arguments of curl, quoted: an option together with its value."""
    yield from (("--include",), ("--globoff",), ("--path-as-is",))
    if url.startswith("https:"):
        yield ("--insecure",)
    if exchange.method == "HEAD":
        yield ("--head",)
    elif exchange.method != "GET" or exchange.form:
        yield "--request", _word(exchange.method)
    for name, header in _HEADERS.items():
        if name in headers:
            yield "--header", _word(f"{header}: {headers[name]}")
    yield from _body(exchange, comments)
    yield (_word(f"{url}{target(exchange)}"),)


def _body(exchange: Exchange, comments: list[str]) -> Iterator[tuple[str, str]]:
    kind = media_type(exchange)
    if kind == MULTIPART and exchange.form:
        for name, value in exchange.form.pairs():
            if _ODD_NAME.search(name) is None and "\x00" not in value:
                yield "--form-string", _word(f"{name}={value}", "utf-8")
            else:
                comments.append(f"# Left out: {printable(name)}, which curl cannot send in a form.")
        return
    if exchange.content_type is not None:
        yield "--header", _word(f"Content-Type: {exchange.content_type}")
    if kind == JSON and exchange.form:
        yield "--data-raw", _word(json.dumps(body_of(exchange)))
    elif kind == FORM and exchange.form:
        pairs = list(exchange.form.pairs())
        yield "--data-raw", _word(urlencode(pairs, errors="replace"))
    elif exchange.content_type is not None:
        comments.append(
            "# Left out: the body, if there was one. The journal keeps only parameters that it "
            f"can read; its Content-Type is {printable(exchange.content_type)}."
        )


def _word(text: str, encoding: str = "latin-1") -> str:
    """Return a text as one word of bash. A header is latin-1, as in WSGI (PEP 3333)."""
    data = text.encode(encoding, errors="replace")
    if _NOT_PLAIN.search(data) is None:
        return shlex.quote(data.decode())
    escaped = data.replace(b"\\", rb"\\").replace(b"'", rb"\'")
    plain = _NOT_PLAIN.sub(lambda found: b"\\x%02x" % found[0][0], escaped)
    return f"$'{plain.decode()}'"
