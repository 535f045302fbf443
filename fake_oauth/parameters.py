"""`PARAMETERS`: what is known of each protocol parameter, one row each.

Everything that hides, shows, traces, or redacts a value reads this table: the journal, the checks
of client behavior, the control API, and the recorder. To add a parameter, add a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["vocabulary", "identifier", "personal", "opaque", "token", "secret"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a request, or a member of a response."""

    kind: Kind
    """The nature of its value:

    - `vocabulary`: a word that a specification defines, such as `refresh_token` or `S256`
    - `identifier`: the name of a client, a place, or a way to log in
    - `personal`: the name or address of a person
    - `opaque`: a value that one side makes up and the other repeats, such as `state`
    - `token`: a token or code that the server issued; the journal shows its name
    - `secret`: a value that proves something; it is never shown
    """
    allowed_in_url: bool = True
    """Whether a request may carry it in its URL, where logs and proxies keep it."""


_VOCABULARY: Final = Parameter(kind="vocabulary")
_IDENTIFIER: Final = Parameter(kind="identifier")
_PERSONAL: Final = Parameter(kind="personal")
_OPAQUE: Final = Parameter(kind="opaque")
_TOKEN: Final = Parameter(kind="token", allowed_in_url=False)
_SECRET: Final = Parameter(kind="secret", allowed_in_url=False)

PARAMETERS: Final[Mapping[str, Parameter]] = {
    "access_token": _TOKEN,
    "allow": _VOCABULARY,
    "actor_token": _TOKEN,
    "actor_token_type": _VOCABULARY,
    "audience": _IDENTIFIER,
    "assertion": _SECRET,
    "application_type": _VOCABULARY,
    "auth_source_id": _IDENTIFIER,
    "client_assertion": _SECRET,
    "client_assertion_type": _VOCABULARY,
    "client_id": _IDENTIFIER,
    "client_name": _IDENTIFIER,
    "client_secret": _SECRET,
    # An authorization response carries it in its URL (RFC 6749 section 4.1.2).
    "code": Parameter(kind="token"),
    "code_challenge": _OPAQUE,
    "code_challenge_method": _VOCABULARY,
    "code_verifier": _SECRET,
    "confirm": _VOCABULARY,
    "contacts": _PERSONAL,
    "deny": _VOCABULARY,
    "device_code": _TOKEN,
    "dpop_jkt": _OPAQUE,
    "email": _PERSONAL,
    "error": _VOCABULARY,
    "expires_in": _VOCABULARY,
    # What a person searches on the login page.
    "find": _PERSONAL,
    "grant_type": _VOCABULARY,
    "grant_types": _VOCABULARY,
    "id_token": _TOKEN,
    # A logout carries it in its URL (OpenID Connect RP-Initiated Logout 1.0 section 2).
    "id_token_hint": Parameter(kind="token"),
    "logout_hint": _PERSONAL,
    "issued_token_type": _VOCABULARY,
    "logout_redirect_uri": _IDENTIFIER,
    "nonce": _OPAQUE,
    "otp": _SECRET,
    "otp_token": _SECRET,
    "p_state": _OPAQUE,
    "password": _SECRET,
    "phone_number": _PERSONAL,
    "post_logout_redirect_uri": _IDENTIFIER,
    "redirect_uri": _IDENTIFIER,
    "redirect_uris": _IDENTIFIER,
    "refresh_token": _TOKEN,
    "request_uri": _OPAQUE,
    "requested_token_type": _VOCABULARY,
    "resource": _IDENTIFIER,
    "response_type": _VOCABULARY,
    "response_types": _VOCABULARY,
    "scope": _VOCABULARY,
    "software_statement": _TOKEN,
    "state": _OPAQUE,
    "sub": _PERSONAL,
    "subject_token": _TOKEN,
    "subject_token_type": _VOCABULARY,
    "token": _TOKEN,
    "token_endpoint_auth_method": _VOCABULARY,
    "token_type": _VOCABULARY,
    "token_type_hint": _VOCABULARY,
    "ui_locales": _VOCABULARY,
    "usage": _VOCABULARY,
    # The verification_uri_complete carries it (RFC 8628 section 3.3.1).
    "user_code": Parameter(kind="secret"),
    "username": _PERSONAL,
}

_UNKNOWN: Final = _OPAQUE


def kind_of(name: str) -> Kind:
    """Return the kind of a parameter; one that has no row is `opaque`."""
    return PARAMETERS.get(name, _UNKNOWN).kind


def names_of(*kinds: Kind) -> tuple[str, ...]:
    """Return the names of the parameters of these kinds, in the order of the table."""
    return tuple(name for name, parameter in PARAMETERS.items() if parameter.kind in kinds)


SECRET_IN_URL: Final = tuple(name for name, row in PARAMETERS.items() if not row.allowed_in_url)
"""The parameters that no request may carry in its URL (RFC 6750 section 5.3)."""


def shown(name: str, value: str) -> str:
    """Return enough of a value to tell it from others, and too little of a secret to use it."""
    kind = kind_of(name)
    if kind == "secret":
        return "***"
    if kind in ("vocabulary", "identifier", "personal"):
        return repr(value) if " " in value else value
    if len(value) < 8 and kind != "token":
        return value
    return f"{value[: min(8, len(value) // 3)]}…"
