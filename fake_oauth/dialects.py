"""Dialects: what makes the fake the server that it stands for, each as one value.

The rules are the same for all. To add a dialect, give it a row in `DIALECTS`; a variant of one is
`dataclasses.replace(Dialect.RFC, paths={...})`, in the settings of one's own fake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from fake_oauth.provider.conventions import EMAIL, SMS, Conventions, Text
from fake_oauth.provider.terms import Terms
from fake_oauth.reply import JSON, JSON_UTF8

DialectName = Literal["ciam", "rfc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one kind of authorization server speaks: `CIAM` as documented, `RFC` as standardized.

    >>> Dialect.RFC.paths["introspect"]
    '/introspect'
    """

    CIAM: ClassVar[Dialect]
    RFC: ClassVar[Dialect]

    name: str
    conventions: Conventions
    """Codes, texts, lifetimes and the grants that are served."""
    paths: Mapping[str, str]
    """Where each endpoint is, by its name; one that is not there is not served."""
    has_fixed_paths: bool
    """Whether clients may know them; else they are told by the metadata."""
    statuses: Mapping[str | None, int]
    """The HTTP status of an error code; those that are not there are a 400."""
    bearer_statuses: Mapping[str | None, int]
    """The same where an access token is refused (RFC 6750 section 3.1)."""
    headers: tuple[tuple[str, str], ...]
    """What every reply has."""
    content_types: Mapping[str, str]
    """What is sent in the place of a Content-Type of the documented server."""
    compact_json: bool
    """Whether replies are one line, unless the settings say otherwise."""
    client_challenge: str | None
    """The WWW-Authenticate of a 401 to a client that has not said who it is."""
    one_authentication_method: bool
    """Whether a secret in both the header and the body is refused (RFC 6749 section 2.3)."""


_TOKEN_ERROR: Final = "https://datatracker.ietf.org/doc/html/rfc6749#section-5.2"
_AUTHORIZE_ERROR: Final = "https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2.1"
_PKCE_ERROR: Final = "https://datatracker.ietf.org/doc/html/rfc7636#section-4.4.1"
_REVOCATION_ERROR: Final = "https://tools.ietf.org/html/rfc7009#section-2.1"
_BEARER_ERROR: Final = "https://tools.ietf.org/html/rfc6750#section-3.1"

# Tencent Cloud CIAM as it is documented (1441/64400 and its siblings); its pages have the sources.
Dialect.CIAM = Dialect(
    name="ciam",
    conventions=Conventions(
        terms=Terms(
            access_token_seconds=300,
            id_token_seconds=1800,
            refresh_token_seconds=3600,
            code_seconds=300,
            revoke_on_code_reuse=False,
        ),
        expires_in_less=1,
        grants=(
            "authorization_code",
            "client_credentials",
            "refresh_token",
            "password",
            SMS,
            EMAIL,
        ),
        unidentified=None,
        unnamed_client="invalid_request",
        foreign_token="invalid_client",
        failed_proof="invalid_client",
        bad_code_of_public_client="invalid_client",
        password_names_auth_source=True,
        redirects_response_type=False,
        challenges={
            "missing": {
                "error": "invalid_request",
                "error_description": "Bearer token not found in the request",
                "error_uri": _BEARER_ERROR,
            },
            "invalid": {
                "error": "invalid_token",
                "error_description": "Error decoding JWT",
                "error_uri": _BEARER_ERROR,
            },
            "insufficient": {
                "error": "insufficient_scope",
                "error_description": "The request requires higher privileges than provided "
                "by the access token.",
                "error_uri": _BEARER_ERROR,
            },
        },
        texts={
            "parameter": Text("OAuth 2.0 Parameter: {}", _TOKEN_ERROR),
            "revocation_parameter": Text(
                "OAuth 2.0 Token Revocation Parameter: {}", _REVOCATION_ERROR
            ),
            "authorization_parameter": Text("OAuth 2.0 Parameter: {}", _AUTHORIZE_ERROR),
            "pkce_parameter": Text("OAuth 2.0 Parameter: {}", _PKCE_ERROR),
            "denied": Text("OAuth 2.0 Parameter: {}", _AUTHORIZE_ERROR),
            "no_client_id": Text("Client ID parameter not found"),
            "unsupported_identifier": Text("Unsupported username identifier"),
            "wrong_password": Text("Wrong username or password"),
            "no_such_user": Text("No such user"),
            "inactive_user": Text("Abnormal user status"),
            "foreign_auth_source": Text("Auth source and application not associated"),
            "bad_otp": Text("Unknown or expired OTP"),
            "bad_otp_token": Text("Unknown or expired otp_token"),
            "otp_mismatch": Text("Mismatched OTP token and OTP sending parameters"),
            "sms_rate_limit": Text("SMS rate limit exceeded for same phone number"),
            "email_rate_limit": Text("Email rate limit exceeded for same email"),
            "cannot_send": Text("Failed to send OTP. Please try again later."),
        },
    ),
    paths={
        "token": "/oauth2/token",
        "authorize": "/oauth2/authorize",
        "login": "/portal/login",
        "userinfo": "/userinfo",
        "revoke": "/oauth2/revoke",
        "otp_send": "/otp/send",
        "logout": "/logout",
        "jwks": "/oauth2/jwks",
        "discovery": "/.well-known/openid-configuration",
        "resource": "/resource",
    },
    has_fixed_paths=True,
    statuses={
        None: 401,
        "invalid_client": 401,
        "not_found": 404,
        "user_not_found": 404,
        "temporarily_unavailable": 503,
    },
    bearer_statuses={
        None: 401,
        "invalid_request": 400,
        "invalid_token": 401,
        "insufficient_scope": 403,
    },
    headers=(
        ("Cache-Control", "no-cache, no-store, max-age=0, must-revalidate"),
        ("Pragma", "no-cache"),
        ("Expires", "0"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    ),
    content_types={},
    compact_json=False,
    client_challenge=None,
    one_authentication_method=False,
)

# RFC 6749, 6750, 7009, 7636, 7662 and 8414 to the letter; where they leave it open, what most
# servers do. error_description is ASCII without quotation marks (RFC 6749 section 5.2).
Dialect.RFC = Dialect(
    name="rfc",
    conventions=Conventions(
        terms=Terms(
            access_token_seconds=3600,  # The examples' own: RFC 6749 section 5.1.
            id_token_seconds=3600,
            refresh_token_seconds=30 * 86400,
            code_seconds=600,  # The most that RFC 6749 section 4.1.2 recommends.
            revoke_on_code_reuse=True,  # RFC 6749 section 4.1.2: SHOULD.
        ),
        expires_in_less=0,
        grants=("authorization_code", "client_credentials", "refresh_token", "password"),
        unidentified="invalid_client",
        unnamed_client="invalid_client",
        foreign_token="invalid_grant",
        failed_proof="invalid_grant",
        bad_code_of_public_client="invalid_grant",
        password_names_auth_source=False,
        redirects_response_type=True,
        challenges={
            "missing": {"realm": "fake_oauth"},
            "invalid": {
                "realm": "fake_oauth",
                "error": "invalid_token",
                "error_description": "The access token is expired, revoked or malformed",
            },
            "insufficient": {
                "realm": "fake_oauth",
                "error": "insufficient_scope",
                "error_description": "The access token lacks scope openid",
                "scope": "openid",
            },
            "no_user": {
                "realm": "fake_oauth",
                "error": "invalid_token",
                "error_description": "The user is gone",
            },
        },
        texts={
            "parameter": Text("{} is missing, empty, sent twice or not supported"),
            "revocation_parameter": Text("{} is missing, empty or sent twice"),
            "authorization_parameter": Text("{} is missing, sent twice, wrong or not allowed"),
            "pkce_parameter": Text("{} is missing or not supported"),
            "denied": Text("The user said no"),
            "wrong_password": Text("Wrong username or password"),
            "no_such_user": Text("No such user"),
            "inactive_user": Text("The user may not log in"),
        },
    ),
    paths={
        "token": "/token",
        "authorize": "/authorize",
        "login": "/login",
        "userinfo": "/userinfo",
        "revoke": "/revoke",
        "introspect": "/introspect",
        "jwks": "/jwks",
        "discovery": "/.well-known/openid-configuration",
        "metadata": "/.well-known/oauth-authorization-server",
        "resource": "/resource",
    },
    has_fixed_paths=False,
    statuses=Dialect.CIAM.statuses,
    bearer_statuses=Dialect.CIAM.bearer_statuses,
    headers=(("Cache-Control", "no-store"), ("Pragma", "no-cache")),
    content_types={JSON_UTF8: JSON},
    compact_json=True,
    client_challenge='Basic realm="fake_oauth"',
    one_authentication_method=True,
)

DIALECTS: Final[Mapping[str, Dialect]] = {"ciam": Dialect.CIAM, "rfc": Dialect.RFC}


def dialect_named(dialect: Dialect | str) -> Dialect:
    """A dialect by its name in `DIALECTS`, or itself."""
    return DIALECTS[dialect] if isinstance(dialect, str) else dialect
