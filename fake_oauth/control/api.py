"""The control API under `/_fake/`: JSON in, JSON out, the same data as in a settings file.

To add a row, write a function and add it to `CONTROLS`. Its parameters after `server` are the
members of the request's body, or of its query if the method is GET. A row that only calls a method
of `FakeOAuth` is the method's name. The index at `/_fake/`, 404, 405, and the docs' table read the
table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from werkzeug.wrappers import Request, Response

from fake_oauth.control import PREFIX, pages
from fake_oauth.control.access import refusal_of
from fake_oauth.control.arguments import RefusedError, arguments
from fake_oauth.control.events import Facts, Streams, once
from fake_oauth.control.exchanges import moment, read_exchange, read_journal
from fake_oauth.control.trees import read_expiry, read_families, read_keys, read_login
from fake_oauth.faults.base import Rule
from fake_oauth.faults.tables import plain
from fake_oauth.http.connection import INTERRUPT
from fake_oauth.http.request import prefers_page
from fake_oauth.provider.errors import FakeOAuthError, SettingsError
from fake_oauth.provider.model import Client, Resource, User
from fake_oauth.settings import Settings
from fake_oauth.structure import Problem, suggestion, unstructure

if TYPE_CHECKING:
    from fake_oauth.server import FakeOAuth

Row = Callable[..., Mapping[str, Any] | Response | None] | str


class Control:
    """The control API of one server."""

    def __init__(self, server: FakeOAuth, facts: Facts) -> None:
        self._server = server
        self._streams = Streams(server, facts)

    def handle(self, request: Request) -> Response:
        """Respond to one request; every refusal is JSON with an `error`."""
        status, headers = 200, {}
        try:
            done = self._run(request)
        except RefusedError as error:
            status, headers = error.status, error.headers
            done = {"error": "refused", "error_description": str(error)}
        except SettingsError as error:
            status = 400
            problems = [asdict(problem) for problem in error.problems]
            done = {"error": "invalid_settings", "problems": problems}
        except FakeOAuthError as error:
            status, done = 400, {"error": "invalid_request", "error_description": str(error)}
        response = done if isinstance(done, Response) else _json(done, status)
        headers |= {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if _is_index(request):
            headers["Vary"] = "Accept"
        response.headers.update(headers)
        return response

    def _run(self, request: Request) -> Mapping[str, Any] | Response:
        prefers_html = prefers_page(request.headers.get("Accept"))
        refusal = refusal_of(
            dict(request.headers),
            scheme=request.scheme,
            token=self._server.control_token,
            asks_people=prefers_html,
        )
        if refusal is not None:
            raise RefusedError(refusal.status, refusal.description, **refusal.headers)
        path = _path_of(request)
        methods = [method for method, at in CONTROLS if at == path]
        if not methods:
            raise RefusedError(404, f"unknown path {PREFIX}{path}; GET {PREFIX}/ lists the paths")
        if request.method not in methods:
            allowed = ", ".join(methods)
            raise RefusedError(
                405, f"expected {allowed} for {PREFIX}{path}, got {request.method}", Allow=allowed
            )
        if _is_index(request) and prefers_html:
            return pages.console(request)
        row = CONTROLS[request.method, path]
        if row is once and INTERRUPT in request.environ:
            self._streams.begin(request.environ[INTERRUPT])
            return {}  # The stream sends its response itself.
        if isinstance(row, str):
            row = getattr(type(self._server), row)
        return row(self._server, **arguments(row, request)) or {}


def _json(data: Mapping[str, Any], status: int) -> Response:
    body = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    return Response(body.encode(errors="backslashreplace"), status, content_type="application/json")


def _path_of(request: Request) -> str:
    return request.path.removeprefix(PREFIX) or "/"


def _is_index(request: Request) -> bool:
    return request.method == "GET" and _path_of(request) == "/"


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
    """Return the time, whether the clock is frozen, and when the next token expires."""
    return {
        "now": moment(server.clock.now()),
        "frozen": server.clock.is_frozen,
        "next_expiry": read_expiry(server),
    }


def set_clock(
    server: FakeOAuth,
    now: str | None = None,
    *,
    frozen: bool | None = None,
    next_expiry: Mapping[str, Any] | None = None,  # noqa: ARG001
) -> dict[str, Any]:
    """Set the clock, freeze it, or let it run. `next_expiry`, which GET returns, is not read."""
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
    """Return tokens, as if a user had just logged in at a client; by default the first ones.

    A member that does not apply is left out, as in a token response.
    """
    tokens = asdict(server.issue_tokens(user, client, scope, dpop_jkt=dpop_jkt))
    return {name: value for name, value in tokens.items() if value is not None}


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


def read_settings(server: FakeOAuth) -> dict[str, Any]:
    """Return the settings as they are now, as the text of a settings file."""
    from fake_oauth.settings_file import to_toml  # only a person takes a file home

    return {"toml": to_toml(server.settings)}


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
    ("GET", "/console.css"): pages.stylesheet,
    ("GET", "/console.js"): pages.script,
    ("GET", "/console.svg"): pages.icon,
    ("GET", "/events"): once,
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
    ("GET", "/exchange"): read_exchange,
    ("GET", "/families"): read_families,
    ("GET", "/violations"): list_violations,
    ("GET", "/login"): read_login,
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
    ("GET", "/keys"): read_keys,
    ("POST", "/keys"): rotate_keys,
    ("GET", "/schema"): read_schema,
    ("GET", "/settings"): read_settings,
    ("POST", "/reset"): reset,
}
