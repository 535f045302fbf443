"""Exchanges as data: what the journal has, without secrets.

Tokens are shown, to tell them apart.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fake_oauth.journal import Exchange
from fake_oauth.parameters import kind_of
from fake_oauth.provider.errors import SettingsError
from fake_oauth.provider.request import Parameters
from fake_oauth.structure import Problem

if TYPE_CHECKING:
    from fake_oauth.server import FakeOAuth

_LAST_MOMENT: Final = "9999-12-31T23:59:59Z"


def read_journal(
    server: FakeOAuth, after: int = 0, latest: int | None = None, *, brief: bool = False
) -> dict[str, Any]:
    """Return the exchanges with a number above `after`, of these the `latest`, oldest first.

    `brief` leaves out parameters, headers, and bodies.
    """
    problems = [
        Problem(f"$.{name}", f"expected at least {least}, got {value}")
        for name, value, least in (("after", after, 0), ("latest", latest, 1))
        if value is not None and value < least
    ]
    if problems:
        raise SettingsError(problems)
    found = server.journal.after(after)
    shown = found if latest is None else found[-latest:]
    return {
        "exchanges": [exchange_data(exchange, brief=brief) for exchange in shown],
        "forgotten": server.journal.forgotten,
    }


def read_exchange(server: FakeOAuth, number: int) -> dict[str, Any]:
    """Return one exchange, with a command and a test that repeat it."""
    from fake_oauth.control.curl import curl  # only a person asks for it
    from fake_oauth.control.snippets import pytest_file

    found = server.journal.after(number - 1)[:1]
    if not found or found[0].number != number:
        first, last = server.journal.forgotten + 1, server.journal.latest_number
        known = f"the journal has {first} to {last}" if last else "the journal is empty"
        raise SettingsError([Problem("$.number", f"no exchange {number}; {known}")])
    exchange = found[0]
    url = server.url if server.is_running else _origin(server.issuer)
    return exchange_data(exchange) | {
        "curl": curl(exchange, url),
        "pytest": pytest_file(server, exchange),
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def exchange_data(exchange: Exchange, *, brief: bool = False) -> dict[str, Any]:
    """Return an exchange as data."""
    names = (
        *("number", "method", "path", "endpoint", "grant_type", "client_id"),
        *("status", "error", "cause", "reason", "fault"),
    )
    data = {
        **{name: getattr(exchange, name) for name in names},
        "at": moment(exchange.at),
        "answered": exchange.answered_before is not None,
        "tokens": dict(exchange.tokens),
        "issued": list(exchange.issued),
        "line": str(exchange),
    }
    if brief:
        return data
    return data | {
        "query": _without_secrets(exchange.query),
        "form": _without_secrets(exchange.form),
        "content_type": exchange.content_type,
        "headers": dict(exchange.headers),
        "response_headers": {
            name: "***" if name == "Set-Cookie" else value
            for name, value in exchange.response_headers.items()
        },
        "reply": exchange.reply,
    }


def moment(at: float) -> str:
    """Return a moment as a date-time; one after the year 9999 is the last that there is."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return _LAST_MOMENT


def _without_secrets(parameters: Parameters) -> dict[str, str]:
    return {
        name: "***" if kind_of(name) == "secret" else value for name, value in parameters.items()
    }
