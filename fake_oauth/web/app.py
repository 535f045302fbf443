"""The WSGI app: route, run, answer, write the journal.

It holds no rule and opens no socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from fake_oauth.journal import Exchange, Journal
from fake_oauth.provider.asking import Params
from fake_oauth.provider.authorize import RedirectError, answer
from fake_oauth.provider.bearer import BearerError
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.realm import Realm
from fake_oauth.web.endpoints import ENDPOINTS, Endpoint
from fake_oauth.web.reading import BODY_LIMIT, Call, path_of, read
from fake_oauth.web.writing import Reply, Written, bearer_reply, error_reply, redirect, write

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_BY_PATH = {endpoint.path: (name, endpoint) for name, endpoint in ENDPOINTS.items()}


class App:
    """A realm as a WSGI application, and as a function from request to response."""

    def __init__(
        self,
        realm: Realm,
        journal: Journal,
        *,
        compact_json: bool,
        cors_origins: Sequence[str],
    ) -> None:
        self.realm = realm
        self._journal = journal
        self._compact_json = compact_json
        self._cors_origins = tuple(cors_origins)
        self._prefix = urlsplit(realm.issuer).path.rstrip("/")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        written = self._written(environ)
        start_response(written.status_line, written.headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else written.body]

    def handle(self, request: Request) -> Response:
        """Answer one werkzeug request. Raises only for a defect of this package."""
        request.max_content_length = BODY_LIMIT + 1
        try:
            # Whoever mounts us may have read the body before.
            body = request.get_data()
        except (HTTPException, OSError):
            body = None
        return self._written(request.environ, body).response()

    def _written(self, environ: WSGIEnvironment, body: bytes | None = None) -> Written:
        path = self._inside(path_of(environ))
        name, endpoint = _BY_PATH.get(path, (None, None))

        def takes_json(params: Params) -> bool:
            return endpoint is not None and endpoint.takes_json(self.realm, params)

        call = read(environ, takes_json, body)
        exchange = self._journal.arrived(
            at=self.realm.clock.now(),
            method=call.method,
            path=call.path,
            endpoint=name,
            query=call.query,
            form=call.form,
            client_id=call.credentials.client_id or call.query.get("client_id"),
        )
        try:
            reply = self._answer(call, endpoint, exchange)
        except RedirectError as error:
            reply = redirect(error.redirect_uri, answer(error), reason=error.reason)
        except BearerError as error:
            reply = bearer_reply(error)
        except OAuthError as error:
            reply = error_reply(error, call.notes)
            if endpoint is not None and endpoint.reads_query:
                reply = error_reply(error, content_type=endpoint.error_type)
        return self._write(exchange, reply, call.origin)

    def malformed(self, status: int, reason: str) -> Response:
        """The answer to something that came in over a socket and is not a request in HTTP."""
        exchange = self._journal.arrived(
            at=self.realm.clock.now(),
            method="?",
            path="?",
            endpoint=None,
            query=Params(),
            form=Params(),
            client_id=None,
        )
        error = OAuthError("invalid_request", f"not HTTP: {reason}", description=reason)
        return self._write(exchange, replace(error_reply(error), status=status), None).response()

    def _inside(self, path: str) -> str:
        """The path below the issuer's own, which a proxy may have taken off already."""
        return path.removeprefix(self._prefix) if path.startswith(f"{self._prefix}/") else path

    def _write(self, exchange: Exchange, reply: Reply, origin: str | None) -> Written:
        if origin is not None:
            reply = replace(reply, headers=(*reply.headers, *self._cors(origin)))
        written = write(reply, now=self.realm.clock.now(), compact_json=self._compact_json)
        self._journal.answered(exchange, reply.status, written.body, reply.reason)
        return written

    def _cors(self, origin: str) -> tuple[tuple[str, str], ...]:
        """What lets a page of another origin read the reply (Fetch standard, section 3.2)."""
        if not {"*", origin} & set(self._cors_origins):
            return ()
        return (
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", "WWW-Authenticate"),
            ("Vary", "Origin"),
        )

    def _answer(self, call: Call, endpoint: Endpoint | None, exchange: Exchange) -> Reply:
        if endpoint is None:
            served = ", ".join(
                f"{' and '.join(row.methods)} {row.path}" for row in ENDPOINTS.values()
            )
            raise OAuthError(
                "not_found", f"{call.path} is not served", description=f"served are: {served}"
            )
        if call.method == "OPTIONS" and call.origin is not None and self._cors(call.origin):
            return _preflight(endpoint)
        if call.method not in endpoint.allowed:
            return Reply(
                status=405,
                headers=(("Allow", ", ".join(endpoint.allowed)),),
                reason=f"{call.path} takes {' and '.join(endpoint.methods)}",
            )
        if call.flaw is not None and call.method == "POST":
            raise call.flaw
        return endpoint.answer(self.realm, call, exchange.number)


def _preflight(endpoint: Endpoint) -> Reply:
    allowed = (
        ("Access-Control-Allow-Methods", ", ".join(endpoint.allowed)),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
    )
    return Reply(headers=allowed, reason="CORS preflight")
