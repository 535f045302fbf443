"""The WSGI app: read a request, use the script, run the endpoint, send and record the response.

It has no rule of its own, and it opens no socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeGuard
from urllib.parse import urlsplit

from fake_oauth.faults.barrier import Barriers
from fake_oauth.faults.base import (
    Connection,
    ConnectionFault,
    FaultContext,
    Refusal,
    ResponseFault,
    TokenFault,
)
from fake_oauth.faults.script import Script, Step
from fake_oauth.http.connection import INTERRUPT
from fake_oauth.http.endpoints import ENDPOINTS, Endpoint, allowed, methods_of, not_found
from fake_oauth.http.received import end_of_lifetime, expiry, members_of, received
from fake_oauth.http.rendering import Renderer
from fake_oauth.http.request import BODY_LIMIT, HTTPRequest, path_of, read
from fake_oauth.journal import Exchange, Journal
from fake_oauth.parameters import names_of
from fake_oauth.provider import bearer, dpop, grants, pushed
from fake_oauth.provider.assertions import audience_note
from fake_oauth.provider.errors import (
    BearerError,
    FakeOAuthError,
    OAuthError,
    RedirectError,
    malformed,
)
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Parameters, SentToken
from fake_oauth.provider.resources import WELL_KNOWN
from fake_oauth.provider.store import AccessToken, IssuedToken
from fake_oauth.provider.tokens import WriteJSON
from fake_oauth.reply import Reply, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.wrappers import Request as WerkzeugRequest
    from werkzeug.wrappers import Response as WerkzeugResponse

_TOKEN_PARAMETERS = names_of("token")


class App:
    """A realm as a WSGI application, and as a function from request to response."""

    def __init__(
        self,
        realm: Realm,
        journal: Journal,
        script: Script,
        barriers: Barriers,
        *,
        pause: Callable[[float], None],
        write_json: WriteJSON,
        cors_origins: Sequence[str],
    ) -> None:
        """`pause` waits for real seconds, and raises OSError if the server stops meanwhile."""
        self.realm = realm
        self._journal = journal
        self._script = script
        self._barriers = barriers
        self._pause = pause
        self._renderer = Renderer(realm, write_json=write_json, cors_origins=cors_origins)
        self._prefix = urlsplit(realm.issuer).path.rstrip("/")
        self._names = {path: name for name, path in realm.paths.items()}
        served = (resource.path for resource in realm.resources if resource.path is not None)
        self._names |= {path: "resource" for path in served if path not in self._names}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response, interruption = self._respond(environ)
        if interruption is not None:
            if INTERRUPT not in environ:
                raise interruption.needs_socket()
            environ[INTERRUPT](lambda connection: interruption.run(connection, response))
            return []
        start_response(response.status_line, list(response.headers))
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]

    def handle(self, request: WerkzeugRequest) -> WerkzeugResponse:
        """Respond to a werkzeug request. Raise only for a bug of this package."""
        from werkzeug.exceptions import HTTPException
        from werkzeug.wrappers import Response as WerkzeugResponse

        request.max_content_length = BODY_LIMIT + 1
        try:
            body = request.get_data()  # The host may have read the body already.
        except (HTTPException, OSError):
            body = None
        response, interruption = self._respond(request.environ, body)
        if interruption is not None:
            raise interruption.needs_socket()
        made = WerkzeugResponse(response.body, response.status)
        made.headers.clear()
        made.headers.extend(response.headers)
        return made

    def respond_to_malformed(self, status: int, reason: str) -> Response:
        """Respond to bytes on a socket that are not an HTTP request."""
        exchange = self._journal.arrived(
            at=self.realm.clock.now(),
            method="?",
            path="?",
            endpoint=None,
            query=Parameters(),
            form=Parameters(),
            client_id=None,
        )
        error = malformed(f"not HTTP: {reason}")
        error.description = reason
        return self._send(
            exchange, replace(self._renderer.refusal(error, None), status=status), None
        )

    def _respond(
        self, environ: WSGIEnvironment, body: bytes | None = None
    ) -> tuple[Response, _Interruption | None]:
        """Return the response, and what to do on the connection instead of sending it."""
        realm, path = self.realm, path_of(environ)
        name = self._endpoint_at(path)
        endpoint = None if name is None else ENDPOINTS[name]

        def reads_json(parameters: Parameters) -> bool:
            if realm.dialect.reads_json or (endpoint is not None and endpoint.reads_json):
                return True
            row = grants.grant_type(realm, parameters) if name == "token" else None
            return row is not None and row.reads_json

        request = read(
            environ,
            path,
            realm.dialect,
            reads_json,
            body,
            endpoint=name,
            accepts_raw_basic=realm.acceptance.raw_basic,
        )
        exchange = self._arrive(name, request)
        try:
            with self._barriers.passing(exchange):
                reply = self._before_script(request, name)
                step = self._script.take(exchange) if reply is None else None
                if step is not None:
                    exchange.fault = str(step)
                    return self._respond_with_fault(step, request, endpoint, exchange)
                if reply is None:
                    reply = self._run(request, endpoint)
                return self._send(exchange, self._with_note(reply, request), request.origin), None
        except ConnectionAbortedError:
            self._lose(exchange, "the server stopped first")
            raise
        except Exception as error:
            # A function of the test failed, or this is a bug of the package.
            self._lose(exchange, f"the request failed: {error}")
            raise

    def _endpoint_at(self, path: str) -> str | None:
        """Return the name of the endpoint at a path, if one is served there.

        The path is below the issuer's own, which a proxy may have removed already. A well-known
        path may have the issuer's at its end (RFC 8414 section 3.1).
        """
        name = self._names.get(path)
        if name is None and self._prefix:
            below = path
            if path.startswith(f"{self._prefix}/"):
                below = path.removeprefix(self._prefix)
            if below.startswith("/.well-known/"):
                below = below.removesuffix(self._prefix)
            name = self._names.get(below)
        if name is None and path.startswith(f"{WELL_KNOWN}/"):
            name = self._names.get(WELL_KNOWN)
        return name

    def _arrive(self, endpoint: str | None, request: HTTPRequest) -> Exchange:
        """Write the request into the journal, with the names of the tokens that it has."""
        realm = self.realm
        in_query: dict[str, IssuedToken] = {}
        presented: dict[str, IssuedToken] = {}
        with realm.lock:
            for parameter, value in _tokens_in(request.query):
                if (token := realm.store.find(value)) is not None:
                    in_query[parameter] = token
            for parameter, value in _carried(request):
                if (token := realm.store.find(value)) is not None:
                    presented[parameter] = token
            fresh_until = None
            for token in presented.values():
                fresh_until = token.grant.fresh_until
        exchange = self._journal.arrived(
            at=realm.clock.now(),
            method=request.method,
            path=request.path,
            endpoint=endpoint,
            query=request.sent_query,
            form=request.sent_form,
            client_id=request.credentials.client_id or request.query.get("client_id"),
            content_type=request.content_type,
            tokens={name: token.name for name, token in (in_query | presented).items()},
            fresh_until=fresh_until,
            peer=request.peer,
            digest=request.digest,
            raw_headers=request.raw_headers,
        )
        request.number, request.presented = exchange.number, presented
        return exchange

    def _before_script(self, request: HTTPRequest, endpoint: str | None) -> Reply | None:
        """Return the response to a CORS preflight or to a method that is not allowed.

        Return None for any other request.
        """
        if endpoint is None:
            return None
        methods = methods_of(self.realm.dialect, endpoint)
        if request.method == "OPTIONS" and self._renderer.cors_headers(request.origin):
            return Reply(
                headers=(
                    ("Access-Control-Allow-Methods", ", ".join(allowed(methods))),
                    (
                        "Access-Control-Allow-Headers",
                        ", ".join(self.realm.dialect.cors_allow_headers),
                    ),
                ),
                reason="CORS preflight",
            )
        if request.method not in allowed(methods):
            return self._renderer.method_refusal(request, ENDPOINTS[endpoint], methods)
        return None

    def _run(self, request: HTTPRequest, endpoint: Endpoint | None) -> Reply:
        """Return the endpoint's response, or the refusal of the request."""
        try:
            if endpoint is None:
                raise not_found(self.realm, request.path)
            is_posted = request.method == "POST" and endpoint.requires_readable_body
            if request.flaw is not None and is_posted:
                raise request.flaw
            return self._noted(endpoint.run(self.realm, request), request)
        except OAuthError as error:
            reads_all = endpoint is not None and (endpoint.reads_query or endpoint.body is not None)
            has_notes = not reads_all and not isinstance(error, BearerError)
            notes = (*(request.notes if has_notes else ()), *request.unread)
            return self._renderer.refusal(error, endpoint, notes, request)

    def _noted(self, reply: Reply, request: HTTPRequest) -> Reply:
        """Return a reply with a note for what the server granted without reading it."""
        notes, assertion = request.unread, request.credentials.assertion
        if assertion is not None:
            note = audience_note(assertion, self.realm.issuer)
            notes = notes if note is None else (*notes, note)
        return replace(reply, reason="; ".join((reply.reason, *notes))) if notes else reply

    def _respond_with_fault(
        self, step: Step, request: HTTPRequest, endpoint: Endpoint | None, exchange: Exchange
    ) -> tuple[Response, _Interruption | None]:
        """Respond to a request that uses a step of the script: one of four stages acts."""
        fault = step.rule.fault
        if isinstance(fault, ConnectionFault) and not fault.after_commit:
            self._lose(exchange, "nothing was done")
            return self._renderer.render(Reply(reason=""), None), self._interruption(
                fault, exchange
            )
        context = FaultContext(
            realm=self.realm,
            pause=self._pause,
            error_reply=lambda error: self._scripted_error(error, exchange, endpoint, request),
            write_json=self._renderer.write_json,
        )
        reply = None
        if isinstance(fault, Refusal):
            reply = fault.refuse(context)
        if reply is None:
            reply = self._run(request, endpoint)
        if isinstance(fault, TokenFault):
            reply = self._tampered(fault, step, reply, context, exchange)
        issued = reply.issued
        response = self._renderer.render(reply, request.origin)
        if isinstance(fault, ResponseFault):
            damaged = fault.damage(response, context)
            if damaged is None:
                step.undelivered.append(exchange.number)
            else:
                if fault.changes_tokens:
                    reply = self._with_tokens_of(damaged, reply)
                reply = received(reply, damaged, changes_layout=fault.changes_layout)
                response = damaged
                exchange.lost = _names(token for token in issued if token not in reply.issued)
        if isinstance(fault, ConnectionFault):
            response = self._interrupted(fault, reply, response, exchange)
            return response, self._interruption(fault, exchange)
        return self._complete(exchange, reply, response), None

    def _scripted_error(
        self,
        error: OAuthError,
        exchange: Exchange,
        endpoint: Endpoint | None,
        request: HTTPRequest,
    ) -> Reply:
        """Return a scripted error in the form that the endpoint has for errors."""
        if exchange.endpoint == "authorize":
            try:
                sent = exchange.form if exchange.method == "POST" else exchange.query
                valid = pushed.requested(self.realm, sent)
            except OAuthError as refusal:
                # There is no client to redirect to.
                return self._renderer.refusal(refusal, endpoint, request=request)
            error = RedirectError(
                error.code,
                error.reason,
                cause=error.cause,
                parameter="client_id",
                target=valid.target,
                description=error.description,
                uri=error.uri,
            )
        elif _is_bearer(exchange.endpoint) and self._is_challenge(error.code):
            error = self._scripted_challenge(error, exchange, request)
        return replace(self._renderer.refusal(error, endpoint), cause="scripted")

    def _scripted_challenge(
        self, error: OAuthError, exchange: Exchange, request: HTTPRequest
    ) -> BearerError:
        resources, required = self.realm.resources, None
        if exchange.endpoint == "resource":
            required = resources.at(exchange.path) or resources.first
        is_of_proof = error.code in dpop.ERROR_CODES
        return bearer.refusal(
            self.realm,
            SentToken(value=None, scheme="DPoP" if is_of_proof else request.token_scheme),
            required,
            error.code,
            error.reason,
            cause="bearer_scope" if error.code == "insufficient_scope" else "bearer_invalid",
            description=error.description,
            uri=error.uri,
            headers=error.headers,
        )

    def _is_challenge(self, code: str) -> bool:
        """Return whether a bearer endpoint sends an error with this code as a challenge."""
        dialect = self.realm.dialect
        return code in dialect.bearer_statuses or (dialect.reads_dpop and code in dpop.ERROR_CODES)

    def _tampered(
        self, fault: TokenFault, step: Step, reply: Reply, context: FaultContext, exchange: Exchange
    ) -> Reply:
        """Return the reply with its tokens changed."""
        from fake_oauth.faults.tokens import tampered  # most tests script no fault

        data = tampered(fault, reply.data or {}, context)
        if data is None:
            step.undelivered.append(exchange.number)
            return reply
        return self._with_tokens(data, reply)

    def _with_tokens_of(self, response: Response, reply: Reply) -> Reply:
        """Return the reply with the tokens of a changed response."""
        members, sent = members_of(response), reply.data
        if members is None or sent is None:
            return reply
        names = ("access_token", "id_token")
        tokens: dict[str, Any] = {name: members[name] for name in names if name in members}
        return self._with_tokens({**sent, **tokens}, reply)

    def _with_tokens(self, data: Mapping[str, Any], reply: Reply) -> Reply:
        """Return the reply with other data. A changed access token keeps its record."""
        access_token = data.get("access_token")
        if isinstance(access_token, str):
            with self.realm.lock:
                for token in reply.issued:
                    if isinstance(token, AccessToken):
                        self.realm.store.add_access_token(access_token, token)
                        token.expires_at = expiry(token, access_token)
        return replace(reply, data=data)

    def _interrupted(
        self, fault: ConnectionFault, reply: Reply, response: Response, exchange: Exchange
    ) -> Response:
        """Record a response that the connection loses, in whole or in part."""
        if fault.loses_response:
            exchange.lost = _names(reply.issued)
            self._lose(exchange, f"{reply.reason}; the response was lost")
            return response
        arrived = fault.received(response)
        if arrived is not response:
            issued, reply = reply.issued, received(reply, arrived)
            exchange.lost = _names(token for token in issued if token not in reply.issued)
        self._complete(exchange, reply, arrived)
        return response

    def _with_note(self, reply: Reply, request: HTTPRequest) -> Reply:
        """Return a reply that says in its reason why a page cannot read it."""
        if request.origin is None or self._renderer.cors_headers(request.origin):
            return reply
        note = f"the origin {request.origin} is not in cors_origins"
        return replace(reply, reason="; ".join(filter(None, (reply.reason, note))))

    def _interruption(self, fault: ConnectionFault, exchange: Exchange) -> _Interruption:
        return _Interruption(fault, exchange, self.realm.clock.now)

    def _lose(self, exchange: Exchange, reason: str) -> None:
        """Record that a request gets no response."""
        self._journal.answered(exchange, None, b"", reason, at=self.realm.clock.now())

    def _send(self, exchange: Exchange, reply: Reply, origin: str | None) -> Response:
        return self._complete(exchange, reply, self._renderer.render(reply, origin))

    def _complete(self, exchange: Exchange, reply: Reply, response: Response) -> Response:
        """Record the response, and note the access token that the client receives."""
        for token in reply.issued:
            if isinstance(token, AccessToken):
                until = end_of_lifetime(reply.data, exchange.at)
                with self.realm.lock:
                    token.grant.delivered, token.grant.delivered_until = token, until
        self._journal.answered(
            exchange,
            response.status,
            response.body,
            reply.reason,
            at=self.realm.clock.now(),
            headers=dict(response.headers),
            issued=tuple([token.name for token in reply.issued]),
            cause=reply.cause,
            browser_error=reply.browser_error,
        )
        return response


@dataclass(frozen=True, slots=True)
class _Interruption:
    """A fault on the connection of an exchange."""

    fault: ConnectionFault
    exchange: Exchange
    now: Callable[[], float]

    def run(self, connection: Connection, response: Response) -> None:
        """Let the fault act on the connection, and note when the connection ended."""
        self.fault.interrupt(connection, response)
        self.exchange.answered_at = self.now()

    def needs_socket(self) -> FakeOAuthError:
        """Return the error for a request without a connection of the server's own."""
        return FakeOAuthError(
            f"{self.fault} works only over a socket, and this request was made in process; start "
            "the server, and send the request to its url"
        )


def _names(tokens: Iterable[IssuedToken]) -> tuple[str, ...]:
    return tuple(token.name for token in tokens)


def _is_bearer(endpoint: str | None) -> TypeGuard[Literal["userinfo", "resource"]]:
    return endpoint is not None and ENDPOINTS[endpoint].security == "bearer"


def _tokens_in(parameters: Parameters) -> Iterator[tuple[str, str]]:
    """Yield the tokens and codes among parameters, by name."""
    for name in parameters:
        if name in _TOKEN_PARAMETERS:
            yield name, parameters[name]


def _carried(request: HTTPRequest) -> Iterator[tuple[str, str]]:
    """Yield the tokens and codes that a request presents, by parameter.

    Those in the query are not read (docs/reference/token.md, rule 16).
    """
    yield from _tokens_in(request.form)
    if request.bearer_token is not None:
        yield "bearer", request.bearer_token
