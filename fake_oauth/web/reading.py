"""Parameters and credentials out of a request, once and in one place.

Nothing is judged here beyond what cannot be read. The rules and their numbers are those of the
contract's order of judgement.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from hashlib import blake2b
from io import BytesIO
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header
from werkzeug.sansio.http import parse_cookie
from werkzeug.wsgi import get_input_stream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

from fake_oauth.provider.asking import Credentials, Params
from fake_oauth.provider.errors import OAuthError
from fake_oauth.web.credentials import credentials_of

BODY_LIMIT: Final = 64 * 1024
PARAMETER_LIMIT: Final = 100

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, read."""

    method: str
    path: str
    query: Params
    form: Params
    """The parameters in the body."""
    credentials: Credentials
    bearer_token: str | None = None
    """What came as `Authorization: Bearer`."""
    cookies: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None
    content_type: str | None = None
    """What the body was said to be; None if that was left out."""
    peer: str | None = None
    """The client's end of the connection; None in process."""
    digest: bytes = b""
    """Equal for requests that are the same to the byte."""
    flaw: OAuthError | None = None
    """What could not be read, if anything: it answers before any rule."""
    notes: tuple[str, ...] = ()
    """What was there and was not looked at, to explain a refusal."""


def read(
    environ: WSGIEnvironment,
    takes_json: Callable[[Params], bool],
    body: bytes | None = None,
    *,
    strict: bool = False,
) -> Call:
    """Read all that the rules may need. Never raises for what a client sends.

    `takes_json` says of the parameters in a JSON body whether they are to be read (rule 18); `body`
    is given by a host that has read it already. `strict` refuses two ways of authentication at
    once.
    """
    form, credentials, flaw = Params(), Credentials(), None
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    mimetype = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    try:
        body = _body(environ) if body is None else body
        _within_the_limit(body)
        form = _form(environ, mimetype, body) or _json(mimetype, body, takes_json)
        credentials = credentials_of(authorization, form, strict=strict)
    except OAuthError as error:
        body, flaw = b"", error
    query = _query(environ.get("QUERY_STRING", ""))
    return Call(
        method=environ["REQUEST_METHOD"],
        path=path_of(environ),
        query=query,
        form=form,
        credentials=credentials,
        bearer_token=_bearer(authorization),
        cookies=parse_cookie(_decoded(environ["HTTP_COOKIE"])) if "HTTP_COOKIE" in environ else {},
        origin=environ.get("HTTP_ORIGIN"),
        content_type=environ.get("CONTENT_TYPE") or None,
        peer=_peer(environ),
        digest=_digest(environ, body),
        flaw=flaw,
        notes=_notes(mimetype, () if form else body, query),
    )


def path_of(environ: WSGIEnvironment) -> str:
    """The path of a request."""
    return _decoded(environ.get("PATH_INFO", ""))


def _peer(environ: WSGIEnvironment) -> str | None:
    host, port = environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT")
    return None if host is None or port is None else f"{host}:{port}"


def _digest(environ: WSGIEnvironment, body: bytes) -> bytes:
    digest = blake2b(body, digest_size=16)
    for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_AUTHORIZATION"):
        digest.update(b"\0" + environ.get(name, "").encode("latin-1", "replace"))
    return digest.digest()


def _body(environ: WSGIEnvironment) -> bytes:
    try:
        # One more than is read: werkzeug cuts a body without a length off at its limit.
        return get_input_stream(environ, max_content_length=BODY_LIMIT + 1).read()
    except RequestEntityTooLarge:
        return b"x" * (BODY_LIMIT + 1)
    except (BadRequest, OSError):
        raise OAuthError("invalid_request", "body broken off or malformed") from None


def _within_the_limit(body: bytes) -> None:
    """Rule 20."""
    if len(body) > BODY_LIMIT:
        raise OAuthError("invalid_request", f"body over {BODY_LIMIT} bytes")


def _form(environ: WSGIEnvironment, mimetype: str, body: bytes) -> Params:
    """Rules 15, 17, 18, 20: a form is read, anything else is as if it were not there."""
    if mimetype not in (_FORM, _MULTIPART) or not body:
        return Params()
    try:
        text = body.decode()
        if mimetype == _FORM:
            return Params(_pairs(text))
        parser = FormDataParser(max_form_parts=PARAMETER_LIMIT, silent=False)
        _, options = parse_options_header(environ["CONTENT_TYPE"])
        _, form, _ = parser.parse(BytesIO(body), mimetype, len(body), options)
        return Params(pair for pair in form.items(multi=True) if pair[0] is not None)
    except UnicodeError:
        raise OAuthError("invalid_request", "body is not UTF-8") from None
    except RequestEntityTooLarge:
        raise OAuthError("invalid_request", f"over {PARAMETER_LIMIT} parameters") from None
    except ValueError as error:
        raise OAuthError("invalid_request", f"malformed {mimetype}: {error}") from None


def _json(mimetype: str, body: bytes, takes_json: Callable[[Params], bool]) -> Params:
    """Rule 18: the members of a JSON object, where they are asked for."""
    if mimetype != _JSON or not body:
        return Params()
    try:
        members = json.loads(body, object_pairs_hook=_Members)
    except (ValueError, RecursionError):
        members = None
    is_object = isinstance(members, _Members)
    pairs = members if is_object else ()
    params = Params((name, _text(value)) for name, value in pairs if value is not None)
    if not takes_json(params):
        return Params()
    if not is_object:
        raise OAuthError("invalid_request", "body is not a JSON object")
    return params


class _Members(list[tuple[str, object]]):
    """The members of a JSON object, repeats included."""


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _bearer(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _pairs(text: str) -> list[tuple[str, str]]:
    if text.count("&") >= PARAMETER_LIMIT:
        raise OAuthError("invalid_request", f"over {PARAMETER_LIMIT} parameters")
    return parse_qsl(text, keep_blank_values=True, errors="strict")


def _query(query_string: str) -> Params:
    if not query_string:
        return Params()
    return Params(parse_qsl(_decoded(query_string), keep_blank_values=True))


def _decoded(text: str) -> str:
    """What WSGI gives as the latin-1 of its bytes (PEP 3333)."""
    return text if text.isascii() else text.encode("latin-1").decode(errors="replace")


def _notes(mimetype: str, unread: Sized, query: Params) -> tuple[str, ...]:
    notes = []
    if query:
        notes.append(f"the query string is not read, though it has {', '.join(query)}")
    if unread and mimetype not in (_FORM, _MULTIPART):
        notes.append(f"the body is not read: its Content-Type is {mimetype or 'missing'}")
    return tuple(notes)
