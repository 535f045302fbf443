"""Replies and errors as responses: the headers of every response, the body, and CORS."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache

from fake_oauth.http.authorization import response
from fake_oauth.http.endpoints import Endpoint
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
        self, error: OAuthError, endpoint: Endpoint | None, notes: tuple[str, ...] = ()
    ) -> Reply:
        """Return an error response, or the redirect that takes the error to the client.

        `notes` are more reasons for the journal.
        """
        dialect = self._realm.dialect
        if isinstance(error, RedirectError) and dialect.redirects(error):
            return response(
                self._realm,
                error.target,
                authorize.error_parameters(self._realm, error),
                reason=error.reason,
                cause=error.cause,
            )
        refused = dialect.error(error)
        return Reply(
            status=refused.status,
            data=refused.members or None,
            content_type=(endpoint and endpoint.error_type) or dialect.content_type,
            headers=refused.headers,
            reason="; ".join((error.reason, *notes)),
            cause=error.cause,
        )

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
