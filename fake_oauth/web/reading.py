"""Parameters and credentials out of a request, once and in one place.

Nothing is judged here beyond what cannot be read. The rules and their numbers are those of the
contract's order of judgement.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from io import BytesIO
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.wrappers import Request

from fake_oauth.provider.asking import Credentials, Params
from fake_oauth.provider.errors import OAuthError

BODY_LIMIT: Final = 64 * 1024
PARAMETER_LIMIT: Final = 100

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, read."""

    method: str
    path: str
    query: Params
    form: Params
    credentials: Credentials
    flaw: OAuthError | None = None
    """What could not be read, if anything: it answers before any rule."""
    notes: tuple[str, ...] = ()
    """What was there and was not looked at, to explain a refusal."""


def read(request: Request) -> Call:
    """Read all that the rules may need. Never raises for what a client sends."""
    form, credentials, flaw = Params(), Credentials(), None
    try:
        body = _body(request)
        form = _form(request, body)
        credentials = _credentials(request.headers.get("Authorization", ""), form)
    except OAuthError as error:
        body, flaw = b"", error
    query = _query(request.query_string)
    return Call(
        method=request.environ["REQUEST_METHOD"],
        path=request.path,
        query=query,
        form=form,
        credentials=credentials,
        flaw=flaw,
        notes=_notes(request.mimetype, body, query),
    )


def _body(request: Request) -> bytes:
    """Rule 20: at most 64 KiB. A host that mounts us may have read the body before."""
    # One more than is read: werkzeug cuts a body without a length off at its limit.
    request.max_content_length = BODY_LIMIT + 1
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        body = None
    except (BadRequest, OSError):
        raise OAuthError("invalid_request", "body broken off or malformed") from None
    if body is None or len(body) > BODY_LIMIT:
        raise OAuthError("invalid_request", f"body over {BODY_LIMIT} bytes")
    return body


def _form(request: Request, body: bytes) -> Params:
    """Rules 15, 17, 18, 20: a form is read, anything else is as if it were not there."""
    if request.mimetype not in (_FORM, _MULTIPART) or not body:
        return Params()
    try:
        text = body.decode()
        if request.mimetype == _FORM:
            return Params(_pairs(text))
        parser = FormDataParser(max_form_parts=PARAMETER_LIMIT, silent=False)
        _, form, _ = parser.parse(
            BytesIO(body), request.mimetype, len(body), request.mimetype_params
        )
        return Params(pair for pair in form.items(multi=True) if pair[0] is not None)
    except UnicodeError:
        raise OAuthError("invalid_request", "body is not UTF-8") from None
    except RequestEntityTooLarge:
        raise OAuthError("invalid_request", f"over {PARAMETER_LIMIT} parameters") from None
    except ValueError as error:
        raise OAuthError("invalid_request", f"malformed {request.mimetype}: {error}") from None


def _pairs(text: str) -> list[tuple[str, str]]:
    if text.count("&") >= PARAMETER_LIMIT:
        raise OAuthError("invalid_request", f"over {PARAMETER_LIMIT} parameters")
    return parse_qsl(text, keep_blank_values=True, errors="strict")


def _query(query_string: bytes) -> Params:
    if not query_string:
        return Params()
    return Params(parse_qsl(query_string.decode(errors="replace"), keep_blank_values=True))


def _credentials(authorization: str, form: Params) -> Credentials:
    """Rules 1 to 5. A scheme other than Basic says nothing about the client."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "basic":
        return _basic(rest.strip())
    for name in ("client_id", "client_secret"):
        times = len(form.all(name))
        if times > 1:
            raise OAuthError("invalid_request", f"{name} sent {times} times")
    client_id, client_secret = form.get("client_id"), form.get("client_secret")
    if client_id is None:
        return Credentials(lacking="no client credentials")
    if not client_id.strip() or (client_secret is not None and not client_secret.strip()):
        blank = "client_secret" if client_id.strip() else "client_id"
        return Credentials(client_id=client_id, lacking=f"{blank} blank")
    if client_secret is None:
        return Credentials("none", client_id)
    return Credentials("client_secret_post", client_id, client_secret)


def _basic(encoded: str) -> Credentials:
    """Rules 3 and 5, RFC 6749 section 2.3.1: both halves are form-urlencoded inside base64."""
    try:
        padding = "=" * (-len(encoded) % 4)
        user_pass = b64decode(encoded + padding, validate=True).decode()
    except ValueError:
        raise OAuthError("invalid_request", "Authorization: Basic is not base64 of UTF-8") from None
    first, colon, second = user_pass.partition(":")
    if not colon:
        raise OAuthError(
            "invalid_request", "Authorization: Basic has no colon between id and secret"
        )
    if _BAD_ESCAPE.search(user_pass):
        raise OAuthError("invalid_request", "Authorization: Basic has a % that is no escape")
    try:
        client_id, client_secret = (unquote_plus(half, errors="strict") for half in (first, second))
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", "Authorization: Basic is not UTF-8") from None
    if not client_id.strip() or not client_secret.strip():
        blank = "client_secret" if client_id.strip() else "client_id"
        return Credentials(client_id=client_id, lacking=f"{blank} blank")
    return Credentials("client_secret_basic", client_id, client_secret)


def _notes(mimetype: str, body: bytes, query: Params) -> tuple[str, ...]:
    notes = []
    if query:
        notes.append(f"the query string is not read, though it has {', '.join(query)}")
    if body and mimetype not in (_FORM, _MULTIPART):
        notes.append(f"the body is not read: its Content-Type is {mimetype or 'missing'}")
    return tuple(notes)
