"""Replies and errors as responses: the headers of every response, the body, and CORS."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache

from fake_oauth.http.authorization import response
from fake_oauth.http.endpoints import Endpoint, allowed
from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import authorize
from fake_oauth.provider.errors import OAuthError, RedirectError
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.tokens import WriteJSON
from fake_oauth.reply import Headers, Reply, Response


class Renderer:
    """How one server writes its responses."""

    def __init__(self, realm: Realm, *, write_json: WriteJSON, cors_origins: Sequence[str]) -> None:
        self._realm = realm
        self._cors_origins = frozenset(cors_origins)
        self.write_json = write_json
        """Return the JSON of a response, in the layout of this server."""

    def refusal(
        self,
        error: OAuthError,
        endpoint: Endpoint | None,
        notes: tuple[str, ...] = (),
        request: HTTPRequest | None = None,
    ) -> Reply:
        """Return an error response, or the redirect that takes the error to the client.

        `notes` are more reasons for the journal. A scripted error has no `request`: it is sent as
        it was scripted, to a person, too.
        """
        dialect = self._realm.dialect
        if isinstance(error, RedirectError) and dialect.redirects(error):
            return response(
                self._realm,
                error.target,
                authorize.error_parameters(self._realm, error),
                reason=error.reason,
                cause=error.cause,
                request=request,
            )
        refused = dialect.error(error)
        reply = Reply(
            status=refused.status,
            data=refused.members or None,
            content_type=(endpoint and endpoint.error_type) or dialect.content_type,
            headers=refused.headers,
            reason="; ".join((error.reason, *notes)),
            cause=error.cause,
        )
        return reply if request is None else self._shown(reply, request, endpoint, error)

    def method_refusal(
        self, request: HTTPRequest, endpoint: Endpoint, methods: tuple[str, ...]
    ) -> Reply:
        """Return the refusal of a method that the endpoint does not accept."""
        reply = Reply(
            status=405,
            headers=(("Allow", ", ".join(allowed(methods))),),
            reason=f"{request.path} accepts {' and '.join(methods)}",
        )
        return self._shown(reply, request, endpoint, None)

    def _shown(
        self,
        reply: Reply,
        request: HTTPRequest,
        endpoint: Endpoint | None,
        error: OAuthError | None,
    ) -> Reply:
        """Return a refusal as a page if a person sees it. No other place decides between the two.

        A program alone posts to an endpoint that authenticates clients or reads access tokens.
        """
        is_read = request.method in ("GET", "HEAD")
        if not is_read and endpoint is not None and endpoint.security is not None:
            return reply
        if not request.prefers_page:
            return reply
        from fake_oauth.http.explanation import error_page  # only if a person looks
        from fake_oauth.http.home import home_page, is_home

        if endpoint is None and is_read and is_home(self._realm, request.path):
            return home_page(self._realm, request)
        body = "" if reply.data is None else self.write_json(reply.data)
        return error_page(self._realm, request, reply, error, body)

    def render(self, reply: Reply, origin: str | None) -> Response:
        """Return the reply as bytes, with the headers of every response."""
        headers = [
            *self._realm.dialect.headers,
            ("Date", _http_date(int(self._realm.clock.now()))),
        ]
        if reply.headers:
            # Only a scripted response has headers that replace these.
            own = {name.lower() for name, _ in reply.headers}
            headers = [header for header in headers if header[0].lower() not in own]
            headers += reply.headers
        if origin is not None:
            headers += self.cors_headers(origin)
        body = b""
        if reply.data is not None or reply.page is not None:
            text = self.write_json(reply.data or {}) if reply.page is None else reply.page
            # A lone surrogate, which JSON allows, has no UTF-8.
            body = text.encode(errors="backslashreplace")
            headers.append(("Content-Type", reply.content_type))
        headers.append(("Content-Length", str(len(body))))
        return Response(reply.status, tuple(headers), body)

    def cors_headers(self, origin: str | None) -> Headers:
        """Return what lets a page of this origin read responses (Fetch standard, section 3.2)."""
        if origin is None or not self._cors_origins & {"*", origin}:
            return ()
        return (
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            (
                "Access-Control-Expose-Headers",
                ", ".join(self._realm.dialect.cors_expose_headers),
            ),
            ("Vary", "Origin"),
        )


@lru_cache(maxsize=8)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)
