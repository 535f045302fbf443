"""What each row of `CONTROLS` does: plain data in, plain data out."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fake_oauth import bodies
from fake_oauth.faults.kinds import plain, read_rules
from fake_oauth.faults.rule import Rule
from fake_oauth.journal import HIDDEN, Exchange
from fake_oauth.provider.asking import Params
from fake_oauth.provider.errors import Problem, SettingsError
from fake_oauth.service import Service
from fake_oauth.structuring import unstructured


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


def set_clock(service: Service, asked: bodies.Clock) -> dict[str, Any]:
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


def advance_clock(service: Service, asked: bodies.Advance) -> dict[str, Any]:
    """Move the clock."""
    service.clock.advance(asked.advance_seconds)
    return clock(service, None)


def clients(service: Service, _: Any) -> dict[str, Any]:
    """Who may ask."""
    return {"clients": [unstructured(client) for client in service.settings.clients]}


def replace_clients(service: Service, asked: bodies.Clients) -> dict[str, Any]:
    """Put other clients in the place of these; what the others hold is worth nothing any more."""
    service.replace_parties(clients=asked.clients)
    return clients(service, None)


def users(service: Service, _: Any) -> dict[str, Any]:
    """Who can log in."""
    return {"users": [unstructured(user) for user in service.settings.users]}


def replace_users(service: Service, asked: bodies.Users) -> dict[str, Any]:
    """Put other users in the place of these."""
    service.replace_parties(users=asked.users)
    return users(service, None)


def auth_sources(service: Service, _: Any) -> dict[str, Any]:
    """The ways to log in without a page."""
    return {"auth_sources": [unstructured(source) for source in service.settings.auth_sources]}


def journal(service: Service, _: Any) -> dict[str, Any]:
    """What was asked and answered, oldest first, and why."""
    return {"exchanges": [_told(exchange) for exchange in service.journal]}


def login(service: Service, asked: bodies.Login) -> dict[str, Any]:
    """Let every browser be logged in as a user, by default the first."""
    service.login(asked.user)
    return {}


def logout(service: Service, _: Any) -> dict[str, Any]:
    """Undo that."""
    service.logout()
    return {}


def issue(service: Service, asked: bodies.Issue) -> dict[str, Any]:
    """Tokens as if a user had just logged in at a client, by default the first ones."""
    return asdict(service.issue(asked.user, asked.client, asked.scope))


def issue_code(service: Service, asked: bodies.Code) -> dict[str, Any]:
    """An authorization code as if a user had just logged in on the page."""
    code = service.issue_code(
        asked.user,
        asked.client,
        asked.scope,
        redirect_uri=asked.redirect_uri,
        code_challenge=asked.code_challenge,
        nonce=asked.nonce,
    )
    return {"code": code}


def misbehaviour(service: Service, _: Any) -> dict[str, Any]:
    """What the client did wrong, as far as the journal shows it."""
    return {"findings": [asdict(finding) for finding in service.misbehaviour()]}


def expire(service: Service, asked: bodies.OneToken) -> dict[str, Any]:
    """Let a token have expired just now; it is given by its value or by its name."""
    service.expire(asked.token)
    return {}


def revoke(service: Service, asked: bodies.OneToken) -> dict[str, Any]:
    """Revoke a token, likewise; a refresh token with all that its log-in led to."""
    service.revoke(asked.token)
    return {}


def revoke_user(service: Service, asked: bodies.OneUser) -> dict[str, Any]:
    """Revoke all that a user's log-ins led to."""
    service.revoke_user(asked.user)
    return {}


def freeze_user(service: Service, asked: bodies.OneUser) -> dict[str, Any]:
    """Let a user neither log in nor refresh."""
    service.freeze_user(asked.user)
    return {}


def unfreeze_user(service: Service, asked: bodies.OneUser) -> dict[str, Any]:
    """Undo that."""
    service.unfreeze_user(asked.user)
    return {}


def delete_user(service: Service, asked: bodies.OneUser) -> dict[str, Any]:
    """Let a user be gone."""
    service.delete_user(asked.user)
    return {}


def resource(service: Service, _: Any) -> dict[str, Any]:
    """The protected resource, and how often it was called."""
    return asdict(service.resource)


def set_resource(service: Service, asked: bodies.ResourceTerms) -> dict[str, Any]:
    """Say what the protected resource wants, and what time it takes it to be."""
    service.resource.scope = asked.scope
    service.resource.skew_seconds = asked.skew_seconds
    return resource(service, None)


def outbox(service: Service, _: Any) -> dict[str, Any]:
    """The one-time passwords that were "sent", oldest first."""
    return {"messages": [asdict(message) for message in service.outbox]}


def rotate_keys(service: Service, asked: bodies.Rotation) -> dict[str, Any]:
    """Sign with another key; the old one stays in the JWKS, or not."""
    return {"kid": service.rotate_keys(keep_old=asked.keep_old)}


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
        "tokens": dict(exchange.tokens),
        "given": list(exchange.given),
        "reply": exchange.reply,
        "reason": exchange.reason,
        "fault": exchange.fault,
        "line": str(exchange),
    }


def _without_secrets(params: Params) -> dict[str, str]:
    return {name: "***" if name in HIDDEN else value for name, value in params.items()}
