"""What a client sends where: secrets, bodies, scopes, verifiers and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fake_oauth.behaviour.findings import Findings, refreshes, verdict
from fake_oauth.journal import Exchange

_SECRETS: Final = (
    "client_secret",
    "password",
    "otp",
    "code_verifier",
    "refresh_token",
    "access_token",
    "token",
)
# Where a token belongs: its letter in the lineage, and what it is called.
_BELONGS: Final = {
    "refresh_token": ("r", "refresh token"),
    "code": ("c", "code"),
    "bearer": ("a", "access token"),
}


def secret_in_url(exchanges: Sequence[Exchange]) -> Findings:
    """Sent a secret in a URL, where logs keep it (RFC 6750 section 5.3)."""
    for exchange in exchanges:
        names = [name for name in _SECRETS if name in exchange.query]
        yield verdict(exchange, f"sent {' and '.join(names)} in the URL" if names else None)


def unreadable_body(exchanges: Sequence[Exchange]) -> Findings:
    """Sent a body without a Content-Type, or no form (RFC 6749 section 3.2)."""
    for exchange in exchanges:
        if exchange.endpoint in ("token", "revoke") and exchange.method == "POST":
            found = None
            if exchange.content_type is None:
                found = "sent no Content-Type"
            elif not exchange.form:
                found = f"sent no parameters that can be read, as {exchange.content_type}"
            yield verdict(exchange, found)


def wider_scope(exchanges: Sequence[Exchange]) -> Findings:
    """Asked for more than was granted when it refreshed (RFC 6749 section 6)."""
    for exchange in refreshes(exchanges):
        if "scope" in exchange.form:
            text = f"asked for scope {exchange.form['scope']!r}, more than was granted"
            yield verdict(exchange, text if exchange.error == "invalid_scope" else None)


def repeated_verifier(exchanges: Sequence[Exchange]) -> Findings:
    """Used a code_verifier for more than one code (RFC 7636 section 4.1)."""
    seen: dict[str, Exchange] = {}
    for exchange in exchanges:
        if (verifier := exchange.form.get("code_verifier")) is not None:
            first = seen.setdefault(verifier, exchange)
            is_other = first.form.get("code") != exchange.form.get("code")
            text = f"used the code_verifier of request {first.number} for another code"
            yield verdict(exchange, text if is_other else None)


def wrong_place(exchanges: Sequence[Exchange]) -> Findings:
    """Sent a token to where it does not belong."""
    for exchange in exchanges:
        for carrier, name in exchange.tokens.items():
            letter, wanted = _BELONGS.get(carrier, ("", ""))
            found = None
            if exchange.endpoint is None:
                found = f"sent {name} to {exchange.path}, which is no endpoint"
            elif not name.rpartition(" ")[2].startswith(letter):
                found = f"sent {name} as {carrier}, where the {wanted} belongs"
            elif carrier == "refresh_token" and exchange.endpoint != "token":
                found = f"sent {name} to the {exchange.endpoint} endpoint"
            yield verdict(exchange, found)
