"""The WSGI app: route, meet the script, run, answer, write the journal.

It holds no rule and opens no socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from fake_oauth.faults.barrier import Barriers
from fake_oauth.faults.script import Script, Step
from fake_oauth.faults.seams import Damage, Interruption, Refusal, Server, Tampering
from fake_oauth.journal import Exchange, Journal
from fake_oauth.provider.asking import Params
from fake_oauth.provider.authorize import RedirectError, answer
from fake_oauth.provider.bearer import BearerError
from fake_oauth.provider.errors import FakeOAuthError, OAuthError
from fake_oauth.reply import Reply, Written
from fake_oauth.web import cors
from fake_oauth.web.connection import INTERRUPT
from fake_oauth.web.endpoints import ENDPOINTS, Endpoint, not_found
from fake_oauth.web.reading import BODY_LIMIT, Call, path_of, read
from fake_oauth.web.recording import arrival, given, readable
from fake_oauth.web.site import Site
from fake_oauth.web.writing import bearer_reply, error_reply, redirect, write

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class App:
    """A realm as a WSGI application, and as a function from request to response."""

    def __init__(
        self,
        site: Site,
        journal: Journal,
        script: Script,
        barriers: Barriers,
        *,
        pause: Callable[[float], None],
        compact_json: bool,
        cors_origins: Sequence[str],
    ) -> None:
        """`pause` takes real seconds; it raises OSError when the server stops meanwhile."""
        self.site = site
        self.realm = site.realm
        self._dialect = site.dialect
        self._journal = journal
        self._script = script
        self._barriers = barriers
        self._pause = pause
        self._compact_json = compact_json
        self._cors_origins = tuple(cors_origins)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        written, interruption = self._answered(environ)
        if interruption is not None:
            if INTERRUPT not in environ:
                raise _no_socket(interruption)
            environ[INTERRUPT](lambda wire: interruption.interrupt(wire, written))
            return []
        start_response(written.status_line, list(written.headers))
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else written.body]

    def handle(self, request: Request) -> Response:
        """Answer one werkzeug request. Raises only for a defect of this package."""
        request.max_content_length = BODY_LIMIT + 1
        try:
            # Whoever mounts us may have read the body before.
            body = request.get_data()
        except (HTTPException, OSError):
            body = None
        written, interruption = self._answered(request.environ, body)
        if interruption is not None:
            raise _no_socket(interruption)
        return _Response(written.body, written.status, list(written.headers))

    def _answered(
        self, environ: WSGIEnvironment, body: bytes | None = None
    ) -> tuple[Written, Interruption | None]:
        """The answer to a request, and what to do on the connection instead of sending it."""
        name = self.site.endpoint_at(path_of(environ))
        endpoint = None if name is None else ENDPOINTS[name]

        def takes_json(params: Params) -> bool:
            return endpoint is not None and endpoint.takes_json(self.realm, params)

        call = read(environ, takes_json, body, strict=self._dialect.one_authentication_method)
        exchange = arrival(self._journal, self.realm, name, call)
        with self._barriers.passing(exchange):
            return self._served(call, endpoint, exchange)

    def _served(
        self, call: Call, endpoint: Endpoint | None, exchange: Exchange
    ) -> tuple[Written, Interruption | None]:
        reply = self._before_any_rule(call, endpoint)
        step = self._script.take(exchange) if reply is None else None
        if step is None:
            reply = self._reply(call, endpoint, exchange) if reply is None else reply
            return self._write(exchange, reply, call.origin), None
        exchange.fault = str(step)
        return self._meet(step, call, endpoint, exchange)

    def _meet(
        self, step: Step, call: Call, endpoint: Endpoint | None, exchange: Exchange
    ) -> tuple[Written, Interruption | None]:
        """The answer to a request that meets a step of the script."""
        fault, reply = step.rule.fault, None
        if isinstance(fault, Interruption) and not fault.is_after_commit:
            self._journal.answered(exchange, None, b"", "nothing was done")
            return self._bytes(Reply(reason=""), None), fault
        if isinstance(fault, Refusal):
            try:
                reply = fault.refuse(self._server())
            except OSError:
                self._journal.answered(exchange, None, b"", "the server stopped before")
                raise
        if reply is None:
            reply = self._reply(call, endpoint, exchange)
        if isinstance(fault, Tampering):
            reply = self._tampered(fault, step, reply, exchange)
        written = self._bytes(reply, call.origin)
        if isinstance(fault, Damage):
            damaged = fault.damage(written)
            if damaged is None:
                step.undelivered.append(exchange.number)
            written = damaged or written
        if isinstance(fault, Interruption) and fault.loses_reply:
            self._journal.answered(exchange, None, b"", f"{reply.reason}; the reply was lost")
        else:
            self._answer(exchange, reply, written, readable(written))
        return written, fault if isinstance(fault, Interruption) else None

    def _tampered(self, fault: Tampering, step: Step, reply: Reply, exchange: Exchange) -> Reply:
        data = dict(reply.data or {})
        names = [name for name in fault.tokens if name in data]
        if not names:
            step.undelivered.append(exchange.number)
        data |= {name: fault.tamper(data[name], self.realm.keys) for name in names}
        return replace(reply, data=data) if names else reply

    def malformed(self, status: int, reason: str) -> Written:
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
        return self._write(exchange, replace(self._refused(error), status=status), None)

    def _write(self, exchange: Exchange, reply: Reply, origin: str | None) -> Written:
        written = self._bytes(reply, origin)
        self._answer(exchange, reply, written, reply.data)
        return written

    def _answer(
        self, exchange: Exchange, reply: Reply, written: Written, data: Mapping[str, Any] | None
    ) -> None:
        """Write down what goes out; `data` is what a client can read of it."""
        self._journal.answered(
            exchange,
            reply.status,
            written.body,
            reply.reason,
            headers=dict(written.headers),
            given=given(self.realm, data) if exchange.endpoint == "token" else (),
        )

    def _bytes(self, reply: Reply, origin: str | None) -> Written:
        if origin is not None:
            reply = replace(
                reply, headers=(*reply.headers, *cors.allowing(self._cors_origins, origin))
            )
        return write(
            reply,
            now=self.realm.clock.now(),
            dialect=self._dialect,
            compact_json=self._compact_json,
        )

    def _refused(self, error: OAuthError) -> Reply:
        return error_reply(self._dialect, error)

    def _server(self) -> Server:
        """What a refusal may ask of this server."""
        return Server(now=self.realm.clock.now(), pause=self._pause, refused=self._refused)

    def _before_any_rule(self, call: Call, endpoint: Endpoint | None) -> Reply | None:
        """The answer to what no endpoint is asked, and no step of a script is for."""
        if endpoint is None:
            return None
        if call.method == "OPTIONS" and cors.allowing(self._cors_origins, call.origin):
            return cors.preflight(endpoint)
        if call.method not in endpoint.allowed:
            return Reply(
                status=405,
                headers=(("Allow", ", ".join(endpoint.allowed)),),
                reason=f"{call.path} takes {' and '.join(endpoint.methods)}",
            )
        return None

    def _reply(self, call: Call, endpoint: Endpoint | None, exchange: Exchange) -> Reply:
        """The endpoint's answer, or why there is none."""
        try:
            if endpoint is None:
                raise not_found(self.site, call)
            if call.flaw is not None and call.method == "POST" and endpoint.reads_body:
                raise call.flaw
            return endpoint.answer(self.site, call, exchange.number)
        except RedirectError as error:
            return redirect(error.redirect_uri, answer(self.realm, error), reason=error.reason)
        except BearerError as error:
            return bearer_reply(self._dialect, error)
        except OAuthError as error:
            if endpoint is not None and endpoint.reads_query:
                return error_reply(self._dialect, error, content_type=endpoint.error_type)
            return error_reply(self._dialect, error, call.notes)


class _Response(Response):
    default_mimetype = None


def _no_socket(fault: Interruption) -> FakeOAuthError:
    return FakeOAuthError(
        f"{fault} needs a connection of this server's own, and this request came without one: "
        "ask it at its url"
    )
