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
from fake_oauth.web.writing import Reply, error_reply, respond

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
        return self.handle(Request(environ))(environ, start_response)

    def handle(self, request: Request) -> Response:
        """Answer one request. Raises only for a defect of this package."""
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
        return self._respond(exchange, reply)

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
        return self._respond(exchange, replace(error_reply(error), status=status))

    def _respond(self, exchange: Exchange, reply: Reply) -> Response:
        response = respond(reply, now=self.realm.clock.now(), compact_json=self._compact_json)
        self._journal.answered(exchange, reply.status, response.get_data(), reply.reason)
        return response

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
