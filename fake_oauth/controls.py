"""What can be steered over HTTP: `CONTROLS`, with what each takes and gives as plain data.

The same data that the settings file holds. To add a row, write its function in `steering` and put
it into the table; the list at `/_fake/`, 404, 405 and the docs follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fake_oauth import bodies, steering
from fake_oauth.service import Service
from fake_oauth.settings import Settings

PREFIX: Final = "/_fake"


def index(service: Service, _: Any) -> dict[str, Any]:
    """Where the server is, and what there is to steer."""
    controls = [f"{method} {PREFIX}{path}" for method, path in CONTROLS]
    return {
        "issuer": service.issuer,
        "dialect": service.dialect.name,
        "seed": service.seed,
        "controls": controls,
    }


def reset(service: Service, asked: bodies.Reset) -> dict[str, Any]:
    """Forget all that has happened, and begin again as the settings say, or as others do."""
    settings = None
    if asked.settings is not None:
        settings = Settings.from_mapping(asked.settings).changed(control=True)
    service.start_over(settings)
    return index(service, None)


@dataclass(frozen=True, slots=True)
class Row:
    """What answers, and what its body must be: a class, data to be read by it, or None."""

    answer: Callable[[Service, Any], dict[str, Any]]
    body: type[Any] | None = None


CONTROLS: Final[Mapping[tuple[str, str], Row]] = {
    ("GET", "/"): Row(index),
    ("GET", "/faults"): Row(steering.faults),
    ("PUT", "/faults"): Row(steering.replace_faults, dict),
    ("POST", "/faults"): Row(steering.append_faults, dict),
    ("GET", "/steps"): Row(steering.steps),
    ("GET", "/clock"): Row(steering.clock),
    ("PUT", "/clock"): Row(steering.set_clock, bodies.Clock),
    ("POST", "/clock"): Row(steering.advance_clock, bodies.Advance),
    ("GET", "/clients"): Row(steering.clients),
    ("PUT", "/clients"): Row(steering.replace_clients, bodies.Clients),
    ("GET", "/users"): Row(steering.users),
    ("PUT", "/users"): Row(steering.replace_users, bodies.Users),
    ("GET", "/auth_sources"): Row(steering.auth_sources),
    ("GET", "/journal"): Row(steering.journal),
    ("GET", "/misbehaviour"): Row(steering.misbehaviour),
    ("POST", "/login"): Row(steering.login, bodies.Login),
    ("DELETE", "/login"): Row(steering.logout),
    ("POST", "/tokens"): Row(steering.issue, bodies.Issue),
    ("POST", "/codes"): Row(steering.issue_code, bodies.Code),
    ("POST", "/expire"): Row(steering.expire, bodies.OneToken),
    ("POST", "/revoke"): Row(steering.revoke, bodies.OneToken),
    ("POST", "/revoke_user"): Row(steering.revoke_user, bodies.OneUser),
    ("POST", "/freeze_user"): Row(steering.freeze_user, bodies.OneUser),
    ("POST", "/unfreeze_user"): Row(steering.unfreeze_user, bodies.OneUser),
    ("POST", "/delete_user"): Row(steering.delete_user, bodies.OneUser),
    ("GET", "/resource"): Row(steering.resource),
    ("PUT", "/resource"): Row(steering.set_resource, bodies.ResourceTerms),
    ("GET", "/outbox"): Row(steering.outbox),
    ("POST", "/keys"): Row(steering.rotate_keys, bodies.Rotation),
    ("POST", "/reset"): Row(reset, bodies.Reset),
}
