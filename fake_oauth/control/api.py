"""The control API under `/_fake/`: JSON in, JSON out, the same data as in a settings file.

To add a row, write a function and add it to `CONTROLS`. Its parameters after `server` are the
members of the request's body. A row that only calls a method of `FakeOAuth` is the method's name.
The index at `/_fake/`, 404, 405, and the docs' table read the table.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, field, fields, make_dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from fake_oauth.control import BODY_LIMIT, PREFIX
from fake_oauth.control.access import refusal_of
from fake_oauth.faults.base import Rule
from fake_oauth.faults.tables import converter, plain
from fake_oauth.journal import Exchange
from fake_oauth.parameters import kind_of
from fake_oauth.provider.errors import FakeOAuthError, SettingsError
from fake_oauth.provider.model import Client, Resource, User
from fake_oauth.provider.request import Parameters
from fake_oauth.settings import Settings
from fake_oauth.structure import Problem, structure, suggestion, unstructure

if TYPE_CHECKING:
    from fake_oauth.server import FakeOAuth

Row = Callable[..., Mapping[str, Any] | None] | str


class Control:
    """The control API of one server."""

    def __init__(self, server: FakeOAuth) -> None:
        self._server = server

    def handle(self, request: Request) -> Response:
        """Respond to one request; every refusal is JSON with an `error`."""
        status, headers = 200, {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        data: Mapping[str, Any]
        try:
            data = self._run(request)
        except _RefusedError as error:
            status, headers = error.status, headers | error.headers
            data = {"error": "refused", "error_description": str(error)}
        except SettingsError as error:
            status = 400
            problems = [asdict(problem) for problem in error.problems]
            data = {"error": "invalid_settings", "problems": problems}
        except FakeOAuthError as error:
            status, data = 400, {"error": "invalid_request", "error_description": str(error)}
        body = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
        return Response(
            body.encode(errors="backslashreplace"), status, headers, content_type="application/json"
        )

    def _run(self, request: Request) -> Mapping[str, Any]:
        refusal = refusal_of(
            dict(request.headers), scheme=request.scheme, token=self._server.control_token
        )
        if refusal is not None:
            raise _RefusedError(refusal.status, refusal.description, **refusal.headers)
        path = request.path.removeprefix(PREFIX) or "/"
        methods = [method for method, at in CONTROLS if at == path]
        if not methods:
            raise _RefusedError(404, f"unknown path {PREFIX}{path}; GET {PREFIX}/ lists the paths")
        if request.method not in methods:
            allowed = ", ".join(methods)
            raise _RefusedError(
                405, f"expected {allowed} for {PREFIX}{path}, got {request.method}", Allow=allowed
            )
        row = CONTROLS[request.method, path]
        if isinstance(row, str):
            row = getattr(type(self._server), row)
        arguments = _arguments(row, _read(request))
        return row(self._server, **arguments) or {}


def index(server: FakeOAuth) -> dict[str, Any]:
    """Describe the server, and what can be controlled."""
    return {
        "issuer": server.issuer,
        "dialect": server.dialect.name,
        "seed": server.seed,
        "controls": [f"{method} {PREFIX}{path}" for method, path in CONTROLS],
    }


def list_faults(server: FakeOAuth) -> dict[str, Any]:
    """Return the rest of the script, and the standing faults."""
    rest = [step.rest for step in server.steps]
    return {"faults": [plain(rule) for rule in rest if rule is not None]}


def replace_faults(server: FakeOAuth, faults: Sequence[Rule]) -> dict[str, Any]:
    """Replace the script."""
    server.replace_script(*faults)
    return list_faults(server)


def append_faults(server: FakeOAuth, faults: Sequence[Rule]) -> dict[str, Any]:
    """Append steps to the script."""
    server.script(*faults)
    return list_faults(server)


def list_steps(server: FakeOAuth) -> dict[str, Any]:
    """Return each step of the script, and how often it was used."""
    return {
        "steps": [
            {"step": str(step), **plain(step.rule), "used": step.used, "left": step.left}
            for step in server.steps
        ]
    }


def read_clock(server: FakeOAuth) -> dict[str, Any]:
    """Return the time, and whether the clock is frozen."""
    return {"now": _moment(server.clock.now()), "frozen": server.clock.is_frozen}


def set_clock(
    server: FakeOAuth, now: str | None = None, *, frozen: bool | None = None
) -> dict[str, Any]:
    """Set the clock, freeze it, or let it run."""
    moment = None
    if now is not None:
        try:
            moment = datetime.fromisoformat(now)
            server.clock.set(moment)
        except (ValueError, OverflowError, FakeOAuthError):
            message = "expected a date-time with a time zone, from 1970 to 9999"
            raise SettingsError([Problem("$.now", f"{message}, got {now!r}")]) from None
    if frozen is not None:
        (server.clock.freeze if frozen else server.clock.unfreeze)()
        if moment is not None:
            server.clock.set(moment)  # Exactly that moment: freezing it took some time.
    return read_clock(server)


def advance_clock(server: FakeOAuth, advance_seconds: float) -> dict[str, Any]:
    """Move the clock ahead, or back if negative."""
    server.clock.advance(advance_seconds)
    return read_clock(server)


def list_clients(server: FakeOAuth) -> dict[str, Any]:
    """Return the registered clients."""
    return {"clients": [unstructure(client) for client in server.settings.clients]}


def replace_clients(server: FakeOAuth, clients: Sequence[Client]) -> dict[str, Any]:
    """Replace the clients. The server refuses token requests of removed clients."""
    server.replace_clients(clients)
    return list_clients(server)


def list_registered_clients(server: FakeOAuth) -> dict[str, Any]:
    """Return the clients that registered themselves, or that documents described."""
    return {"clients": [unstructure(client) for client in server.registered_clients]}


def list_users(server: FakeOAuth) -> dict[str, Any]:
    """Return the users."""
    return {"users": [unstructure(user) for user in server.settings.users]}


def replace_users(server: FakeOAuth, users: Sequence[User]) -> dict[str, Any]:
    """Replace the users. The server refuses refresh tokens and codes of removed users."""
    server.replace_users(users)
    return list_users(server)


def list_auth_sources(server: FakeOAuth) -> dict[str, Any]:
    """Return the ways to log in without a page."""
    return {"auth_sources": [unstructure(source) for source in server.settings.auth_sources]}


def read_journal(server: FakeOAuth) -> dict[str, Any]:
    """Return the exchanges, oldest first."""
    return {"exchanges": [_exchange(exchange) for exchange in server.journal]}


def list_violations(server: FakeOAuth) -> dict[str, Any]:
    """Return what the client did wrong, as far as the journal shows it."""
    return {"violations": [asdict(violation) for violation in server.violations()]}


def issue_tokens(
    server: FakeOAuth,
    user: str | None = None,
    client: str | None = None,
    scope: str | None = None,
    dpop_jkt: str | None = None,
) -> dict[str, Any]:
    """Return tokens, as if a user had just logged in at a client; by default the first ones."""
    return asdict(server.issue_tokens(user, client, scope, dpop_jkt=dpop_jkt))


def issue_code(
    server: FakeOAuth,
    user: str | None = None,
    client: str | None = None,
    scope: str | None = None,
    redirect_uri: str | None = None,
    code_challenge: str | None = None,
    nonce: str | None = None,
    dpop_jkt: str | None = None,
) -> dict[str, Any]:
    """Return an authorization code, as if a user had just logged in on the page."""
    code = server.issue_code(
        user,
        client,
        scope,
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        nonce=nonce,
        dpop_jkt=dpop_jkt,
    )
    return {"code": code}


_RESOURCE: Final = ("identifier", "scope", "skew_seconds", "calls", "refused")


def read_resource(server: FakeOAuth) -> dict[str, Any]:
    """Return what the protected resource requires, and how often it was called."""
    return _resource(server.resource)


def list_resources(server: FakeOAuth) -> dict[str, Any]:
    """Return every protected resource, as `GET /_fake/resource` returns the first one."""
    return {"resources": [_resource(resource) for resource in server.resources.values()]}


def _resource(resource: Resource) -> dict[str, Any]:
    return {name: getattr(resource, name) for name in _RESOURCE}


def set_resource(
    server: FakeOAuth,
    identifier: str | None = None,
    scope: str | None = None,
    skew_seconds: float = 0,
    calls: int | None = None,
    refused: int | None = None,
) -> dict[str, Any]:
    """Set what a protected resource requires, how far its clock is ahead, and its counts.

    Without an `identifier`, it is the one at the dialect's path.
    """
    problems = [
        Problem(f"$.{name}", f"expected at least 0, got {count}")
        for name, count in (("calls", calls), ("refused", refused))
        if count is not None and count < 0
    ]
    if identifier is not None and identifier not in server.resources:
        hint = suggestion(identifier, list(server.resources))
        problems.append(Problem("$.identifier", f"unknown resource {identifier!r}; {hint}"))
    if problems:
        raise SettingsError(problems)
    found = server.resource if identifier is None else server.resources[identifier]
    found.skew_seconds, found.scope = skew_seconds, scope  # Only the skew can be refused.
    found.calls = found.calls if calls is None else calls
    found.refused = found.refused if refused is None else refused
    return _resource(found)


def read_schema(server: FakeOAuth) -> dict[str, Any]:  # noqa: ARG001
    """Return the JSON Schema of a settings file."""
    from fake_oauth.schema import settings_schema  # only the console reads it

    return settings_schema()


def read_outbox(server: FakeOAuth) -> dict[str, Any]:
    """Return the one-time passwords that were "sent", oldest first."""
    return {"messages": [asdict(sent) for sent in server.outbox]}


def rotate_keys(server: FakeOAuth, *, keep_old: bool = True) -> dict[str, Any]:
    """Sign with another key; keep the old one in the JWK Set, or remove it."""
    return {"kid": server.rotate_keys(keep_old=keep_old)}


def reset(server: FakeOAuth, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Reset the server to its initial settings, or to `settings`."""
    if settings is not None:
        try:
            server.reset(Settings.from_mapping(settings).changed(control=True))
        except SettingsError as error:
            below = [Problem(f"$.settings{p.path[1:]}", p.message) for p in error.problems]
            raise SettingsError(below) from None
    else:
        server.reset()
    return index(server)


CONTROLS: Final[Mapping[tuple[str, str], Row]] = {
    ("GET", "/"): index,
    ("GET", "/faults"): list_faults,
    ("PUT", "/faults"): replace_faults,
    ("POST", "/faults"): append_faults,
    ("GET", "/steps"): list_steps,
    ("GET", "/clock"): read_clock,
    ("PUT", "/clock"): set_clock,
    ("POST", "/clock"): advance_clock,
    ("GET", "/clients"): list_clients,
    ("PUT", "/clients"): replace_clients,
    ("GET", "/registered_clients"): list_registered_clients,
    ("POST", "/forget_client"): "forget_client",
    ("GET", "/users"): list_users,
    ("PUT", "/users"): replace_users,
    ("GET", "/auth_sources"): list_auth_sources,
    ("GET", "/journal"): read_journal,
    ("GET", "/violations"): list_violations,
    ("POST", "/login"): "login",
    ("DELETE", "/login"): "logout",
    ("POST", "/tokens"): issue_tokens,
    ("POST", "/codes"): issue_code,
    ("POST", "/approve_device"): "approve_device",
    ("POST", "/deny_device"): "deny_device",
    ("POST", "/expire"): "expire",
    ("POST", "/revoke"): "revoke",
    ("POST", "/revoke_user"): "revoke_user",
    ("POST", "/freeze_user"): "freeze_user",
    ("POST", "/unfreeze_user"): "unfreeze_user",
    ("POST", "/delete_user"): "delete_user",
    ("GET", "/resource"): read_resource,
    ("PUT", "/resource"): set_resource,
    ("GET", "/resources"): list_resources,
    ("GET", "/outbox"): read_outbox,
    ("POST", "/keys"): rotate_keys,
    ("GET", "/schema"): read_schema,
    ("POST", "/reset"): reset,
}


class _RefusedError(Exception):
    def __init__(self, status: int, description: str, **headers: str) -> None:
        super().__init__(description)
        self.status = status
        self.headers = headers


def _read(request: Request) -> object:
    """Return the JSON in the body; an empty object if there is no body."""
    request.max_content_length = BODY_LIMIT
    try:
        body = request.get_data()
    except HTTPException as error:
        raise _RefusedError(error.code or 400, f"cannot read the body: {error.name}") from None
    # Any page can send a form, and a form cannot say that it is JSON.
    if body and request.mimetype != "application/json":
        sent = request.mimetype or "a body without a Content-Type"
        raise _RefusedError(415, f"expected a body with Content-Type: application/json, got {sent}")
    try:
        return json.loads(body or b"{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise SettingsError([Problem("$", f"not JSON: {error}")]) from None


def _arguments(row: Callable[..., Any], data: object) -> dict[str, Any]:
    """Return the arguments for a function. Raise SettingsError with every problem of the data."""
    kind = _arguments_kind(row)
    if not fields(kind) and data == {}:
        return {}
    made, problems = structure(data, kind, converter())
    if made is None or problems:
        raise SettingsError(problems)
    return {member.name: getattr(made, member.name) for member in fields(kind)}


@cache
def _arguments_kind(row: Callable[..., Any]) -> type[Any]:
    """Return a dataclass of a function's parameters after the server."""
    hints = get_type_hints(row, localns={"FakeOAuth": object})
    parameters = list(inspect.signature(row).parameters.values())[1:]
    members = [
        (parameter.name, hints[parameter.name])
        if parameter.default is parameter.empty
        else (parameter.name, hints[parameter.name], field(default=parameter.default))
        for parameter in parameters
    ]
    return make_dataclass("Arguments", members, frozen=True, kw_only=True)


def _exchange(exchange: Exchange) -> dict[str, Any]:
    """Return an exchange as data, without secrets. Tokens are shown, to tell them apart."""
    names = (
        *("number", "method", "path", "endpoint", "grant_type", "client_id"),
        *("status", "error", "cause"),
    )
    return {
        **{name: getattr(exchange, name) for name in names},
        "at": _moment(exchange.at),
        "query": _without_secrets(exchange.query),
        "form": _without_secrets(exchange.form),
        "content_type": exchange.content_type,
        "headers": dict(exchange.headers),
        "tokens": dict(exchange.tokens),
        "issued": list(exchange.issued),
        "response_headers": {
            name: "***" if name == "Set-Cookie" else value
            for name, value in exchange.response_headers.items()
        },
        "reply": exchange.reply,
        "reason": exchange.reason,
        "fault": exchange.fault,
        "line": str(exchange),
    }


def _without_secrets(parameters: Parameters) -> dict[str, str]:
    return {
        name: "***" if kind_of(name) == "secret" else value for name, value in parameters.items()
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number (RFC 8259 section 6)")
