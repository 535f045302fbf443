"""Everything that can be said no to.

    Exception
    ├── OAuthError           an answer to a client, over the wire
    └── FakeOAuthError       a message to a person, who can mend what it names
        └── SettingsError    all the problems of some settings at once

The two families never mix. The HTTP status of an `OAuthError` is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

# What a refusal explains; how it is worded is a matter of conventions.
TextName = Literal[
    "parameter",
    "revocation_parameter",
    "authorization_parameter",
    "pkce_parameter",
    "denied",
    "no_client_id",
    "unsupported_identifier",
    "wrong_password",
    "no_such_user",
    "inactive_user",
    "foreign_auth_source",
    "bad_otp",
    "bad_otp_token",
    "otp_mismatch",
    "sms_rate_limit",
    "email_rate_limit",
    "cannot_send",
]


class OAuthError(Exception):
    """A refusal: what the client is told, and the reason that the wire hides.

    A `code` of None is the answer to whoever cannot be told apart from a passer-by: no body. A
    `text` is worded as the server's conventions have it, with the `parameter` that is blamed; a
    `description` and a `uri` stand as they are.
    """

    def __init__(
        self,
        code: str | None,
        reason: str,
        *,
        text: TextName | None = None,
        parameter: str | None = None,
        description: str | None = None,
        uri: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.text = text
        self.parameter = parameter
        self.description = description
        self.uri = uri


def bad_parameter(name: str, reason: str, *, code: str = "invalid_request") -> OAuthError:
    """A refusal that blames one parameter of a request."""
    return OAuthError(code, reason, text="parameter", parameter=name)


class FakeOAuthError(Exception):
    """Something that a person can mend; the message says what, where and how."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with some settings, and where: `$.clients[0].scopes`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class SettingsError(FakeOAuthError):
    """Settings that cannot be used. `problems` holds every one of them, not only the first."""

    def __init__(self, problems: Sequence[Problem], *, source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        heading = [f"{source}:"] if source else []
        super().__init__("\n".join([*heading, *map(str, self.problems)]))


def unknown(name: str, known: Sequence[str]) -> str:
    """A hint for a name that nothing has: the nearest that exists, or all that exist."""
    if near := get_close_matches(name, known, n=1):
        return f"did you mean {near[0]!r}?"
    names = ", ".join(map(repr, dict.fromkeys(known)))
    return f"expected one of {names}" if known else "there are none at all"
