"""The WSGI app: route, run, answer, write the journal.

It holds no rule and opens no socket.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from fake_oauth.journal import Exchange, Journal
from fake_oauth.provider.asking import Ask, Params
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.realm import Realm
from fake_oauth.web.endpoints import ENDPOINTS, Endpoint
from fake_oauth.web.reading import Call, read
from fake_oauth.web.writing import Reply, Written, error_reply, write

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_BY_PATH = {endpoint.path: (name, endpoint) for name, endpoint in ENDPOINTS.items()}


class App:
    """A realm as a WSGI application, and as a function from request to response."""

    def __init__(self, realm: Realm, journal: Journal, *, compact_json: bool) -> None:
        self.realm = realm
        self._journal = journal
        self._compact_json = compact_json

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        written = self._written(Request(environ))
        start_response(written.status_line, written.headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else written.body]

    def handle(self, request: Request) -> Response:
        """Answer one werkzeug request. Raises only for a defect of this package."""
        return self._written(request).response()

    def _written(self, request: Request) -> Written:
        call = read(request)
        name, endpoint = _BY_PATH.get(call.path, (None, None))
        exchange = self._journal.arrived(
            at=self.realm.clock.now(),
            method=call.method,
            path=call.path,
            endpoint=name,
            query=call.query,
            form=call.form,
            client_id=call.credentials.client_id,
        )
        try:
            reply = self._answer(call, endpoint, exchange)
        except OAuthError as error:
            reply = error_reply(error, call.notes)
        return self._write(exchange, reply)

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
        return self._write(exchange, replace(error_reply(error), status=status)).response()

    def _write(self, exchange: Exchange, reply: Reply) -> Written:
        written = write(reply, now=self.realm.clock.now(), compact_json=self._compact_json)
        self._journal.answered(exchange, reply.status, written.body, reply.reason)
        return written

    def _answer(self, call: Call, endpoint: Endpoint | None, exchange: Exchange) -> Reply:
        if endpoint is None:
            served = ", ".join(f"{row.method} {row.path}" for row in ENDPOINTS.values())
            raise OAuthError(
                "not_found", f"{call.path} is not served", description=f"served are: {served}"
            )
        if call.method not in endpoint.methods:
            return Reply(
                status=405,
                headers=(("Allow", ", ".join(endpoint.methods)),),
                reason=f"{call.path} takes {endpoint.method}",
            )
        if call.flaw is not None and call.method == "POST":
            raise call.flaw
        return endpoint.answer(self.realm, Ask(call.form, call.credentials, exchange.number))
