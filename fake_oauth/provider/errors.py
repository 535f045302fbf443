"""Exceptions: OAuth error responses for clients, and error messages for people.

    Exception
    ├── OAuthError           an error response to a client
    └── FakeOAuthError       a message to a person, who can fix what it names
        └── SettingsError    every problem of some settings at once

The two families never mix. The dialect decides the status, code, and text of an `OAuthError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import Repr
from typing import TYPE_CHECKING, Final, Literal

from fake_oauth.structure import Problem

if TYPE_CHECKING:
    from fake_oauth.provider.model import Client

_REPR: Final = Repr()
_REPR.maxstring = _REPR.maxother = 120

Cause = Literal[
    "request_malformed",
    "path_unknown",
    # Client authentication
    "client_unidentified",
    "client_unknown",
    "client_disabled",
    "client_auth_method",
    "client_secret",
    "client_assertion",
    "client_mismatch",
    "pkce_client_unknown",
    # Registration, and client metadata documents
    "registered_redirect_uri",
    "client_metadata",
    "software_statement",
    "client_document",
    "client_document_unavailable",
    # The token endpoint
    "parameter",
    "grant_type_unsupported",
    "grant_type_not_allowed",
    "scope",
    "target",
    "token_of_other_client",
    "refresh_token_unknown",
    "refresh_token_expired",
    "refresh_token_spent",
    "refresh_token_revoked",
    "code_unknown",
    "code_expired",
    "code_spent",
    "code_revoked",
    "redirect_uri_mismatch",
    "code_verifier",
    "device_code_unknown",
    "device_code_expired",
    "device_code_spent",
    "device_code_revoked",
    "authorization_pending",
    "slow_down",
    "assertion",
    "dpop_missing",
    "dpop_proof",
    "dpop_nonce",
    "dpop_replay",
    "dpop_key",
    "user_unknown",
    "user_deleted",
    "user_inactive",
    "auth_source",
    "identifier_unsupported",
    "password",
    "otp",
    "otp_token",
    "otp_mismatch",
    "otp_recipient",
    "otp_quota",
    "sms_rate_limit",
    "email_rate_limit",
    "otp_unavailable",
    "subject_token",
    "actor_token",
    # The other endpoints
    "revocation_parameter",
    "authorization_parameter",
    "response_type",
    "response_type_unsupported",
    "pkce_parameter",
    "request_uri",
    "access_denied",
    "login_required",
    "user_code",
    "logout_client_id",
    "bearer_missing",
    "bearer_invalid",
    "bearer_scope",
    "bearer_user",
    "scripted",
]
"""Which rule refuses a request. A dialect can give each cause its own code, text, and status."""
TokenScheme = Literal["Bearer", "DPoP"]
"""How a request presents an access token (RFC 6750 section 2.1, RFC 9449 section 7.1)."""


ResponseMode = Literal["query", "fragment", "form_post"]
"""How an authorization response is sent: in the query, in the fragment, or in a form (OAuth 2.0
Multiple Response Type Encoding Practices section 2.1, OAuth 2.0 Form Post Response Mode)."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how the browser takes the authorization response to the client."""

    redirect_uri: str
    state: str | None = None
    mode: ResponseMode = "query"


class OAuthError(Exception):
    """A refusal: what the client is sent, and the reason that the response does not reveal.

    The `code` is the one that the RFCs name for the `cause`. If a `description` or a `uri` is set,
    it is sent as it is; otherwise the dialect has the words, with the `parameter` at fault. The
    `headers` are sent in addition to those of the dialect.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        cause: Cause,
        parameter: str | None = None,
        client: Client | None = None,
        description: str | None = None,
        uri: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.cause: Cause = cause
        self.parameter = parameter
        self.client = client
        self.description = description
        self.uri = uri
        self.headers = headers


class ShownError(OAuthError):
    """A refusal of an authorization request that is shown to the user, with status 400.

    The client is not known well enough to be sent anything, or to be asked to authenticate.
    """


class RedirectError(OAuthError):
    """A refusal that is sent to the client through the browser (RFC 6749 section 4.1.2.1)."""

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        cause: Cause = "authorization_parameter",
        parameter: str,
        target: Target,
        description: str | None = None,
        uri: str | None = None,
    ) -> None:
        super().__init__(
            code, reason, cause=cause, parameter=parameter, description=description, uri=uri
        )
        self.target = target


class BearerError(OAuthError):
    """A refusal of an access token, sent as a challenge (RFC 6750 section 3).

    With the scheme DPoP, it is that of RFC 9449 section 7.1.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        cause: Cause,
        endpoint: Literal["userinfo", "resource", "register"],
        scope: str | None = None,
        resource_metadata: str | None = None,
        scheme: TokenScheme = "Bearer",
        description: str | None = None,
        uri: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(
            code, reason, cause=cause, description=description, uri=uri, headers=headers
        )
        self.endpoint = endpoint
        self.scheme: TokenScheme = scheme
        """The authentication scheme of the challenge."""
        self.scope = scope
        """The scopes that an access token needs."""
        self.resource_metadata = resource_metadata
        """The URL of the resource's metadata (RFC 9728 section 5.1)."""


def bad_parameter(name: str, reason: str) -> OAuthError:
    """Return a refusal that blames one parameter (RFC 6749 section 5.2)."""
    return OAuthError("invalid_request", reason, cause="parameter", parameter=name)


def bad_authorization_parameter(
    name: str, reason: str, *, client: Client | None = None
) -> OAuthError:
    """Return a refusal that blames one parameter of an authorization or logout request.

    It is shown to the user, and not sent to the client (RFC 6749 section 4.1.2.1). `client` is the
    client whose registration the parameter contradicts.
    """
    return OAuthError(
        "invalid_request", reason, cause="authorization_parameter", parameter=name, client=client
    )


def shown(value: object) -> str:
    """Return a value that a client sent, short enough for the journal."""
    return _REPR.repr(value)


def malformed(reason: str) -> OAuthError:
    """Return a refusal of a request that cannot be read."""
    return OAuthError("invalid_request", reason, cause="request_malformed")


class FakeOAuthError(Exception):
    """A problem that a person can fix. The message says what, where, and what to do."""


class SettingsError(FakeOAuthError):
    """Settings that cannot be used. `problems` has every problem, not only the first."""

    def __init__(self, problems: Sequence[Problem], *, source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        heading = [f"{source}:"] if source else []
        super().__init__("\n".join([*heading, *map(str, self.problems)]))
