"""What each endpoint is asked and what it answers, a row each: what the description is made from.

Methods, paths, grants and headers are not here: they are read off the tables that serve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fake_oauth.contract.schemas import TEXT, Schema
from fake_oauth.dialects import Dialect
from fake_oauth.provider.conventions import EMAIL, SMS
from fake_oauth.provider.grants import GRANTS

Answers = Mapping[int, str | None]
"""The schema of the body by status; None for a reply without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What an endpoint is asked, and what it may answer to a method that it takes."""

    summary: str
    query: tuple[str, ...] = ()
    form: Mapping[str, Schema] = field(default_factory=dict)
    """The parameters of a body."""
    takes_json: bool = False
    """Whether they may come as JSON, whatever they say."""
    answers: Answers
    by_method: Mapping[str, Answers] = field(default_factory=dict)
    """The same where methods are answered differently."""
    security: str | None = None
    """What a request may authenticate itself by."""


def _form(*names: str, **more: Schema) -> Mapping[str, Schema]:
    return {**dict.fromkeys(("client_id", "client_secret", *names), TEXT), **more}


_CLIENT: Final = "client_secret_basic"
_BEARER: Final = "bearer"
_BY_OTP: Final = ("auth_source_id", "otp", "otp_token", "scope")
OF_GRANT: Final[Mapping[str, tuple[str, ...]]] = {
    "authorization_code": ("code", "redirect_uri", "code_verifier"),
    "client_credentials": ("scope",),
    "refresh_token": ("refresh_token", "scope"),
    "password": ("auth_source_id", "username", "password", "scope"),
    SMS: ("phone_number", *_BY_OTP),
    EMAIL: ("email", *_BY_OTP),
}

DESCRIBED: Final[Mapping[str, Described]] = {
    "token": Described(
        summary="Tokens for a grant (RFC 6749 section 3.2)",
        form=_form("grant_type"),  # And those of the grants that are served.
        answers={200: "TokenReply", 400: "Error", 401: "Error"},
        security=_CLIENT,
    ),
    "authorize": Described(
        summary="An authorization code, by way of a login page (RFC 6749 section 3.1)",
        query=(
            "response_type",
            "client_id",
            "redirect_uri",
            "scope",
            "state",
            "nonce",
            "code_challenge",
            "code_challenge_method",
        ),
        answers={302: None, 400: "Error"},
    ),
    "login": Described(
        summary="The login page",
        query=("p_state",),
        form=dict.fromkeys(("p_state", "sub", "username", "password", "deny"), TEXT),
        answers={},
        by_method={"GET": {200: "Page", 400: "Page"}, "POST": {302: None, 400: "Page"}},
    ),
    "userinfo": Described(
        summary="The claims of a user (OpenID Connect Core 1.0 section 5.3)",
        answers={200: "UserInfo"},  # And what the dialect refuses a token with.
        security=_BEARER,
    ),
    "revoke": Described(
        summary="Gives a token up (RFC 7009)",
        form=_form("token", "token_type_hint"),
        answers={200: None, 400: "Error", 401: "Error"},
        security=_CLIENT,
    ),
    "otp_send": Described(
        summary="Sends a one-time password (CIAM 1441/67151)",
        form=_form("auth_source_id", "phone_number", "email", "usage"),
        takes_json=True,
        answers={200: "OtpToken", 400: "Error", 401: "Error", 503: "Error"},
        security=_CLIENT,
    ),
    "logout": Described(
        summary="Ends a browser's session (CIAM 1441/64393)",
        query=("client_id", "logout_redirect_uri", "state"),
        answers={302: None, 400: "Error"},
    ),
    "introspect": Described(
        summary="What a token is worth (RFC 7662)",
        form=_form("token", "token_type_hint"),
        answers={200: "Introspection", 400: "Error", 401: "Error"},
        security=_CLIENT,
    ),
    "jwks": Described(summary="The public keys (RFC 7517)", answers={200: "Jwks"}),
    "discovery": Described(
        summary="Where everything is (OpenID Connect Discovery 1.0)", answers={200: "Discovery"}
    ),
    "metadata": Described(summary="Where everything is (RFC 8414)", answers={200: "Metadata"}),
    "resource": Described(
        summary="An API that wants an access token (RFC 6750); not of the documented service",
        answers={200: "ResourceReply", 401: None, 403: None},
        security=_BEARER,
    ),
}


def answers(dialect: Dialect, name: str, method: str) -> Answers:
    """What an endpoint may answer to a method, in a dialect."""
    row = DESCRIBED[name]
    if name != "userinfo":
        return row.by_method.get(method, row.answers)
    challenges = dialect.conventions.challenges
    codes = {challenge.get("error") for challenge in challenges.values()}
    refused: Answers = dict.fromkeys(sorted(dialect.bearer_statuses[code] for code in codes))
    gone: Answers = {} if "no_user" in challenges else {404: "Error"}
    return {**row.answers, **refused, **gone}


def form(dialect: Dialect, name: str, *, as_json: bool = False) -> Mapping[str, Schema] | None:
    """The parameters of a body, those of the grants that are served included.

    None if there is no such body: JSON is read for some grants only (contract, rule 18).
    """
    row = DESCRIBED[name]
    if name != "token":
        return row.form if row.form and (row.takes_json or not as_json) else None
    grants = [one for one in dialect.conventions.grants if GRANTS[one].reads_json or not as_json]
    names = dict.fromkeys(name for grant in grants for name in OF_GRANT[grant])
    if not dialect.conventions.password_names_auth_source and not {SMS, EMAIL} & set(grants):
        names.pop("auth_source_id", None)
    grant_type = {"grant_type": {**TEXT, "enum": list(grants)}}
    return {**row.form, **grant_type, **dict.fromkeys(names, TEXT)} if grants else None


def may_be_empty(dialect: Dialect, name: str, status: int) -> bool:
    """Whether a body need not be there: a client that cannot be told apart from a passer-by."""
    is_clients = status == 401 and DESCRIBED[name].security == _CLIENT
    return is_clients and dialect.conventions.unidentified is None
