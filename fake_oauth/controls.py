"""What can be steered over HTTP: `CONTROLS`, with what each takes and gives as plain data.

The same data that the settings file holds. To add a row, write its function and put it into the
table; the list at `/_fake/`, 404, 405 and the docs follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fake_oauth.faults.kinds import plain, read_rules
from fake_oauth.faults.rule import Rule
from fake_oauth.journal import HIDDEN, Exchange
from fake_oauth.provider.asking import Params
from fake_oauth.provider.errors import Problem, SettingsError
from fake_oauth.provider.parties import Client, User
from fake_oauth.service import Service
from fake_oauth.structuring import unstructured

PREFIX: Final = "/_fake"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    start_time: str | None = None
    freeze_time: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    advance_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    clients: Sequence[Client]


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    users: Sequence[User]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    user: str | None = None
    client: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    keep_old: bool = True


def index(service: Service, _: Any) -> dict[str, Any]:
    """Where the server is, and what there is to steer."""
    controls = [f"{method} {PREFIX}{path}" for method, path in CONTROLS]
    return {"issuer": service.issuer, "seed": service.seed, "controls": controls}


def faults(service: Service, _: Any) -> dict[str, Any]:
    """The script: what is left of it, and what always holds."""
    rest = [step.rest for step in service.steps]
    return {"faults": [_plain(rule) for rule in rest if rule is not None]}


def replace_faults(service: Service, data: Any) -> dict[str, Any]:
    """Put another script in the place of this one."""
    service.replace_rules(*_rules(data))
    return faults(service, None)


def append_faults(service: Service, data: Any) -> dict[str, Any]:
    """Append steps to the script."""
    service.add_rules(*_rules(data))
    return faults(service, None)


def steps(service: Service, _: Any) -> dict[str, Any]:
    """What has become of each step of the script."""
    return {
        "steps": [
            {"step": str(step), **_plain(step.rule), "used": step.used, "left": step.left}
            for step in service.steps
        ]
    }


def clock(service: Service, _: Any) -> dict[str, Any]:
    """What time it is, and whether the clock stands still."""
    moment = datetime.fromtimestamp(service.clock.now(), UTC).isoformat()
    told = moment.replace("+00:00", "Z")
    return {"start_time": told, "freeze_time": service.clock.is_frozen}


def set_clock(service: Service, asked: Clock) -> dict[str, Any]:
    """Put the clock to a moment, stop it, or let it run on."""
    moment = None
    if asked.start_time is not None:
        try:
            moment = datetime.fromisoformat(asked.start_time)
        except ValueError:
            message = f"expected a date-time with a zone, got {asked.start_time!r}"
            raise SettingsError([Problem("$.start_time", message)]) from None
    if moment is not None:
        service.clock.set(moment)
    if asked.freeze_time is not None:
        (service.clock.freeze if asked.freeze_time else service.clock.unfreeze)()
        if moment is not None:
            service.clock.set(moment)  # that moment, and not how long this took later
    return clock(service, None)


def advance_clock(service: Service, asked: Advance) -> dict[str, Any]:
    """Move the clock."""
    service.clock.advance(asked.advance_seconds)
    return clock(service, None)


def clients(service: Service, _: Any) -> dict[str, Any]:
    """Who may ask."""
    return {"clients": [unstructured(client) for client in service.settings.clients]}


def replace_clients(service: Service, asked: Clients) -> dict[str, Any]:
    """Put other clients in the place of these; what the others hold is worth nothing any more."""
    service.replace_parties(clients=asked.clients)
    return clients(service, None)


def users(service: Service, _: Any) -> dict[str, Any]:
    """Who can log in."""
    return {"users": [unstructured(user) for user in service.settings.users]}


def replace_users(service: Service, asked: Users) -> dict[str, Any]:
    """Put other users in the place of these."""
    service.replace_parties(users=asked.users)
    return users(service, None)


def journal(service: Service, _: Any) -> dict[str, Any]:
    """What was asked and answered, oldest first, and why."""
    return {"exchanges": [_told(exchange) for exchange in service.journal]}


def login(service: Service, asked: Login) -> dict[str, Any]:
    """Let every browser be logged in as a user, by default the first."""
    service.login(asked.user)
    return {}


def logout(service: Service, _: Any) -> dict[str, Any]:
    """Undo that."""
    service.logout()
    return {}


def issue(service: Service, asked: Issue) -> dict[str, Any]:
    """Tokens as if a user had just logged in at a client, by default the first ones."""
    return asdict(service.issue(asked.user, asked.client, asked.scope))


def outbox(service: Service, _: Any) -> dict[str, Any]:
    """The one-time passwords that were "sent", oldest first."""
    return {"messages": [asdict(message) for message in service.outbox]}


def rotate_keys(service: Service, asked: Rotation) -> dict[str, Any]:
    """Sign with another key; the old one stays in the JWKS, or not."""
    return {"kid": service.rotate_keys(keep_old=asked.keep_old)}


def reset(service: Service, _: Any) -> dict[str, Any]:
    """Forget all that has happened, and begin again as the settings say."""
    service.start_over()
    return index(service, None)


@dataclass(frozen=True, slots=True)
class Row:
    """What answers, and what its body must be: a class, data to be read by it, or None."""

    answer: Callable[[Service, Any], dict[str, Any]]
    body: type[Any] | None = None


CONTROLS: Final[Mapping[tuple[str, str], Row]] = {
    ("GET", "/"): Row(index),
    ("GET", "/faults"): Row(faults),
    ("PUT", "/faults"): Row(replace_faults, dict),
    ("POST", "/faults"): Row(append_faults, dict),
    ("GET", "/steps"): Row(steps),
    ("GET", "/clock"): Row(clock),
    ("PUT", "/clock"): Row(set_clock, Clock),
    ("POST", "/clock"): Row(advance_clock, Advance),
    ("GET", "/clients"): Row(clients),
    ("PUT", "/clients"): Row(replace_clients, Clients),
    ("GET", "/users"): Row(users),
    ("PUT", "/users"): Row(replace_users, Users),
    ("GET", "/journal"): Row(journal),
    ("POST", "/login"): Row(login, Login),
    ("DELETE", "/login"): Row(logout),
    ("POST", "/tokens"): Row(issue, Issue),
    ("GET", "/outbox"): Row(outbox),
    ("POST", "/keys"): Row(rotate_keys, Rotation),
    ("POST", "/reset"): Row(reset),
}


def _plain(rule: Rule) -> dict[str, Any]:
    """A rule as the table that it is in a file. A predicate is told, and refused if sent back."""
    return plain(rule) | ({} if rule.when is None else {"when": repr(rule.when)})


def _rules(data: Any) -> tuple[list[Rule], list[Problem]]:
    if not isinstance(data, dict) or list(data) != ["faults"]:
        raise SettingsError([Problem("$", 'expected {"faults": [...]} and nothing else')])
    return read_rules(data["faults"])


def _told(exchange: Exchange) -> dict[str, Any]:
    """An exchange as data, with its secrets left out; tokens are needed to tell them apart."""
    moment = datetime.fromtimestamp(exchange.at, UTC).isoformat().replace("+00:00", "Z")
    names = ("number", "method", "path", "endpoint", "grant_type", "client_id", "status", "error")
    return {
        **{name: getattr(exchange, name) for name in names},
        "at": moment,
        "query": _without_secrets(exchange.query),
        "form": _without_secrets(exchange.form),
        "reply": exchange.reply,
        "reason": exchange.reason,
        "fault": exchange.fault,
        "line": str(exchange),
    }


def _without_secrets(params: Params) -> dict[str, str]:
    return {name: "***" if name in HIDDEN else value for name, value in params.items()}
