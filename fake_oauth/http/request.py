"""A request as HTTP has it: its parameters and credentials, read once and in one place.

It refuses only requests that cannot be read, and credentials that contradict each other. The other
rules of docs/reference/token.md are those of the provider.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote_plus

from fake_oauth.provider.dialect import Dialect
from fake_oauth.provider.errors import OAuthError, TokenScheme, malformed
from fake_oauth.provider.request import Credentials, Parameters, SentProof, SentToken, TokenRequest
from fake_oauth.provider.store import IssuedToken
from fake_oauth.reply import FORM, JSON, MULTIPART

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BODY_LIMIT: Final = 64 * 1024
PARAMETER_LIMIT: Final = 100

_NOTHING: Final = Parameters()
_BAD_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")
# What Java's HttpURLConnection sends unless a program sets another Accept: HTML comes first, and no
# person reads it.
_OF_JAVA: Final = "text/html, image/gif, image/jpeg, "
# A longer Accept is not read to its end.
_LONGEST_ACCEPT: Final = 1000

ReadsJSON = Callable[[Parameters], bool]
"""Says of the parameters in a JSON body whether the endpoint reads them."""


@dataclass(slots=True, kw_only=True)
class HTTPRequest:
    """A request. Parameters and credentials are decoded; cookies only when they are needed."""

    method: str
    path: str
    query: Parameters
    form: Parameters
    """The parameters in the body, as the rules read them."""
    sent_query: Parameters
    sent_form: Parameters
    """The same, as they were sent: the dialect may omit those without a value."""
    credentials: Credentials
    bearer_token: str | None
    """The token in `Authorization: Bearer`, or in `Authorization: DPoP` if the dialect reads it."""
    token_scheme: TokenScheme
    """How the access token is sent."""
    dpop: str | None
    """The `DPoP` header, if the dialect reads it. Several headers are joined by commas."""
    origin: str | None
    """The origin of the page that sent it, if it is not one of this server's."""
    content_type: str | None
    media_type: str
    """The Content-Type without its parameters, in lower case; empty if there is none."""
    body: bytes
    """The body; empty if it cannot be read."""
    peer: str | None
    """The client's address and port; None in process."""
    digest: Hashable
    """Equal for requests with the same method, path, query, Authorization, DPoP, and body."""
    raw_headers: Sequence[tuple[str, str]]
    flaw: OAuthError | None
    """Why the request cannot be read; this is its response before any rule applies."""
    notes: tuple[str, ...]
    """What the request has that is not read, to explain a refusal."""
    unread: tuple[str, ...]
    """The proofs in the request that are not read, whatever the response."""
    cookie_header: str | None
    number: int = 0
    """The request's number in the journal."""
    presented: Mapping[str, IssuedToken] = field(default_factory=dict)
    """The records of the tokens and codes that the request has, by parameter or `bearer`."""

    def token_request(self, proof: SentProof | None = None) -> TokenRequest:
        """Return the request as the rules of the provider see it."""
        return TokenRequest(self.form, self.credentials, self.number, self.presented, proof)

    def proof(self, url: str) -> SentProof | None:
        """Return the DPoP proof of a request to an endpoint; None if it has none."""
        if self.dpop is None:
            return None
        values = tuple(value.strip() for value in self.dpop.split(","))
        return SentProof(values=values, method=self.method, url=url)

    def access_token(self, url: str) -> SentToken:
        """Return the access token in the headers of a request to an endpoint."""
        return SentToken(value=self.bearer_token, scheme=self.token_scheme, proof=self.proof(url))

    def header(self, name: str) -> str | None:
        """Return a header by the name that WSGI gives it; None if it was not sent."""
        return dict(self.raw_headers).get(name)

    @property
    def prefers_page(self) -> bool:
        """Whether a person's browser sent the request, and not a program."""
        return prefers_page(self.header("HTTP_ACCEPT"))

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies by name."""
        if self.cookie_header is None:
            return {}
        from werkzeug.sansio.http import parse_cookie  # only browsers send cookies

        return parse_cookie(_decoded(self.cookie_header))


def prefers_page(accept: str | None) -> bool:
    """Return whether an `Accept` is a browser's, which shows a page (RFC 9110 section 12.5.1).

    It names `text/html`, with at least the quality of JSON. A program that accepts anything gets
    JSON.
    """
    if accept is None or "text/html" not in accept.lower() or accept.startswith(_OF_JAVA):
        return False
    from werkzeug.datastructures import MIMEAccept  # only for a person's browser
    from werkzeug.http import parse_accept_header

    kinds = parse_accept_header(accept[:_LONGEST_ACCEPT], MIMEAccept)
    named = max((quality for kind, quality in kinds if kind.lower() == "text/html"), default=0)
    return named > 0 and named >= kinds.quality(JSON)


def path_of(environ: WSGIEnvironment) -> str:
    """Return the path of a request."""
    return _decoded(environ.get("PATH_INFO", ""))


def read(
    environ: WSGIEnvironment,
    path: str,
    dialect: Dialect,
    reads_json: ReadsJSON,
    body: bytes | None = None,
    *,
    endpoint: str | None = None,
    accepts_raw_basic: bool = False,
) -> HTTPRequest:
    """Return a request, decoded. Whatever a client sends, nothing is raised.

    Pass the `body` if the host has read it already, and the name of the `endpoint` if there is one.
    """
    authorization, dpop = environ.get("HTTP_AUTHORIZATION", ""), environ.get("HTTP_DPOP")
    content_type = environ.get("CONTENT_TYPE") or None
    media_type = (content_type or "").partition(";")[0].strip().lower()
    scheme, _, value = authorization.partition(" ")
    scheme, value = scheme.lower(), value.strip()
    form, sent_form, credentials, flaw = _NOTHING, _NOTHING, Credentials(), None
    try:
        if body is None:
            body = _body(environ)
        if len(body) > BODY_LIMIT:
            raise malformed(f"body over {BODY_LIMIT} bytes")
        if body:
            sent_form = _form(environ, media_type, body, reads_json)
            form = sent_form.without_blanks() if dialect.omits_blanks else sent_form
        basic = _basic(value, accepts_raw=accepts_raw_basic) if scheme == "basic" else None
        credentials = dialect.credentials(basic, form)
        if credentials.assertion is not None and endpoint is not None:
            credentials = replace(credentials, endpoint=endpoint)
        _require_one_client(basic, form)
    except OAuthError as error:
        body, flaw = b"", error
    query_string = environ.get("QUERY_STRING", "")
    query = sent_query = _NOTHING
    if query_string:
        sent_query = Parameters(parse_qsl(_decoded(query_string), keep_blank_values=True))
        query = sent_query.without_blanks() if dialect.omits_blanks else sent_query
    is_dpop = scheme == "dpop" and dialect.reads_dpop
    host, port = environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT")
    return HTTPRequest(
        method=environ["REQUEST_METHOD"],
        path=path,
        query=query,
        form=form,
        sent_query=sent_query,
        sent_form=sent_form,
        credentials=credentials,
        bearer_token=value or None if scheme == "bearer" or is_dpop else None,
        token_scheme="DPoP" if is_dpop else "Bearer",
        dpop=dpop if dialect.reads_dpop else None,
        origin=_foreign_origin(environ),
        content_type=content_type,
        media_type=media_type,
        body=body,
        peer=None if host is None or port is None else f"{host}:{port}",
        digest=(environ["REQUEST_METHOD"], path, query_string, hash((authorization, body, dpop))),
        raw_headers=[item for item in environ.items() if item[0].startswith("HTTP_")],
        flaw=flaw,
        notes=_notes(media_type, query, has_unread_body=bool(body) and not sent_form),
        unread=_unread(environ, form, dialect),
        cookie_header=environ.get("HTTP_COOKIE"),
    )


def _foreign_origin(environ: WSGIEnvironment) -> str | None:
    origin: str | None = environ.get("HTTP_ORIGIN")
    if origin is None or origin == f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}":
        return None
    return origin


def _body(environ: WSGIEnvironment) -> bytes:
    """Return the body, up to one byte more than the limit."""
    stream = environ["wsgi.input"]
    if isinstance(stream, BytesIO) and environ.get("wsgi.input_terminated"):
        return stream.read(BODY_LIMIT + 1)  # Our own connection has read it.
    from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
    from werkzeug.wsgi import get_input_stream

    try:
        return get_input_stream(environ, max_content_length=BODY_LIMIT + 1).read()
    except RequestEntityTooLarge:
        return b"x" * (BODY_LIMIT + 1)
    except (BadRequest, OSError):
        raise malformed("body broken off or malformed") from None


def _form(
    environ: WSGIEnvironment, media_type: str, body: bytes, reads_json: ReadsJSON
) -> Parameters:
    """Return the parameters in a body (docs/reference/token.md, rules 15, 17, 18, and 20)."""
    if media_type == FORM:
        try:
            return Parameters(_pairs(body.decode()))
        except UnicodeError:
            raise malformed("body is not UTF-8") from None
    if media_type == JSON:
        return _json(body, reads_json)
    return _multipart(environ, body) if media_type == MULTIPART else Parameters()


def _pairs(text: str) -> list[tuple[str, str]]:
    if text.count("&") >= PARAMETER_LIMIT:
        raise malformed(f"over {PARAMETER_LIMIT} parameters")
    return parse_qsl(text, keep_blank_values=True, errors="strict")


def _multipart(environ: WSGIEnvironment, body: bytes) -> Parameters:
    from werkzeug.exceptions import RequestEntityTooLarge
    from werkzeug.formparser import FormDataParser
    from werkzeug.http import parse_options_header

    try:
        body.decode()
        parser = FormDataParser(max_form_parts=PARAMETER_LIMIT, silent=False)
        _, options = parse_options_header(environ["CONTENT_TYPE"])
        _, form, _ = parser.parse(BytesIO(body), MULTIPART, len(body), options)
        return Parameters(pair for pair in form.items(multi=True) if pair[0] is not None)
    except UnicodeError:
        raise malformed("body is not UTF-8") from None
    except RequestEntityTooLarge:
        raise malformed(f"over {PARAMETER_LIMIT} parameters") from None
    except ValueError as error:
        raise malformed(f"malformed {MULTIPART}: {error}") from None


def _json(body: bytes, reads_json: ReadsJSON) -> Parameters:
    """Return the members of a JSON object, if the endpoint reads JSON.

    docs/reference/token.md, rule 18.
    """
    try:
        members = json.loads(body.decode(), object_pairs_hook=_Members)
        is_object = isinstance(members, _Members)
        pairs = (
            [(name, _text(value)) for name, value in members if value is not None]
            if is_object
            else []
        )
    except (ValueError, RecursionError):
        is_object, pairs = False, []
    parameters = Parameters(pairs)
    if not reads_json(parameters):
        return Parameters()
    if not is_object:
        raise malformed("body is not a JSON object")
    if len(pairs) > PARAMETER_LIMIT:
        raise malformed(f"over {PARAMETER_LIMIT} parameters")
    return parameters


class _Members(list[tuple[str, object]]):
    """The members of a JSON object, repeats included."""


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(_plain(value))


def _plain(value: object) -> object:
    """Return a value with plain objects in it."""
    if isinstance(value, _Members):
        return {name: _plain(member) for name, member in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _basic(encoded: str, *, accepts_raw: bool) -> Credentials:
    """Return the credentials of `Authorization: Basic` (docs/reference/token.md, rules 3 and 5).

    Both halves are form-urlencoded inside of the base64 (RFC 6749 section 2.3.1).
    """
    try:
        padding = "=" * (-len(encoded) % 4)
        user_pass = b64decode(encoded + padding, validate=True).decode()
    except ValueError:
        raise malformed("Authorization: Basic is not base64 of UTF-8") from None
    first, colon, second = user_pass.partition(":")
    if not colon:
        raise malformed("Authorization: Basic has no colon between id and secret")
    if _BAD_ESCAPE.search(user_pass):
        if accepts_raw and first and second:
            return Credentials("client_secret_basic", first, second)
        raise malformed("Authorization: Basic has a % that starts no escape")
    try:
        client_id, client_secret = (unquote_plus(half, errors="strict") for half in (first, second))
    except UnicodeDecodeError:
        raise malformed("Authorization: Basic is not UTF-8") from None
    if not client_id.strip() or not client_secret.strip():
        blank = "client_secret" if client_id.strip() else "client_id"
        return Credentials(client_id=client_id, missing=f"{blank} blank")
    raw = second if second != client_secret else None
    return Credentials("client_secret_basic", client_id, client_secret, raw)


def _require_one_client(basic: Credentials | None, form: Parameters) -> None:
    """Check that the body names no other client than the one that authenticates."""
    named = form.get("client_id")
    if basic is not None and basic.method is not None and named not in (None, basic.client_id):
        raise OAuthError(
            "invalid_request",
            f"the body names client {named}, Authorization: Basic names {basic.client_id}",
            cause="client_mismatch",
        )


def _decoded(text: str) -> str:
    """Return the text of bytes that WSGI gives as latin-1 (PEP 3333)."""
    return text if text.isascii() else text.encode("latin-1").decode(errors="replace")


def _unread(environ: WSGIEnvironment, form: Parameters, dialect: Dialect) -> tuple[str, ...]:
    """Return a note for each proof that the request carries and the server does not read.

    No response shows that a proof was not read.
    """
    notes: tuple[str, ...] = ()
    if "client_assertion" in form and not dialect.reads_assertions:
        notes = ("client_assertion is not read: this server does not know it",)
    if "HTTP_DPOP" in environ and not dialect.reads_dpop:
        notes = (*notes, "the DPoP header is not read: this server does not know it")
    return notes


def _notes(media_type: str, query: Parameters, *, has_unread_body: bool) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if query:
        notes = (f"the query string is not read, though it has {', '.join(query)}",)
    if has_unread_body and media_type not in (FORM, MULTIPART):
        sent = media_type or "missing"
        notes = (*notes, f"the body is not read: its Content-Type is {sent}")
    return notes
