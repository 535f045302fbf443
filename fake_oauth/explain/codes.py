"""`CODES`: the OAuth error codes, with their sources, their causes here, and what clients do.

To add a code, add a row. The causes are those that the standards give the code; a dialect can move
a cause to another code, which its `codes` say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fake_oauth.provider.errors import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCode:
    """A row of `CODES`."""

    meaning: str
    source: str
    client: str
    """What a client should do."""
    causes: tuple[Cause, ...] = ()
    endpoint: str = "token"
    """The endpoint that a fault makes it at."""
    page: str = "docs/reference/token.md"
    """Where to read on."""


_AUTHORIZE: Final = "docs/reference/authorize.md"
_BEARER: Final = "docs/reference/userinfo.md"
_DEVICE: Final = "docs/reference/device.md"
_DPOP: Final = "docs/reference/dpop.md"
_LOGIN: Final = "docs/reference/otp.md"
_REGISTER: Final = "docs/reference/registration.md"
_REPORT: Final = "Report the error: the same request fails again. Correct the client."
_SOURCE_CIAM: Final = "Tencent Cloud CIAM"
_OTP: Final = "CIAM 1441/67151"
_WAIT: Final = "Wait, and send the request again, a few times and each time later."
_LIMITS: Final[tuple[tuple[str, str, Cause], ...]] = (
    ("sms", "number", "sms_rate_limit"),
    ("email", "address", "email_rate_limit"),
)

CODES: Final[Mapping[str, ErrorCode]] = {
    "invalid_request": ErrorCode(
        meaning="A parameter is missing, repeated, or malformed, or two of them contradict.",
        source="RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1",
        client=_REPORT,
        causes=(
            "request_malformed",
            "client_mismatch",
            "parameter",
            "otp_mismatch",
            "subject_token",
            "actor_token",
            "revocation_parameter",
            "authorization_parameter",
            "response_type",
            "pkce_parameter",
            "logout_client_id",
            "bearer_invalid",
        ),
    ),
    "invalid_client": ErrorCode(
        meaning="The client is unknown, or did not authenticate as the server requires.",
        source="RFC 6749 section 5.2",
        client="Do not retry, and keep the tokens: the client_id, the secret, or the way to send "
        "it is misconfigured. A client that registered itself registers again.",
        causes=(
            "client_unidentified",
            "client_unknown",
            "client_disabled",
            "client_auth_method",
            "client_secret",
            "client_assertion",
            "pkce_client_unknown",
            "client_document_unavailable",
        ),
    ),
    "invalid_grant": ErrorCode(
        meaning="The code, refresh token, password, or other grant is invalid, expired, revoked, "
        "used, or of another client.",
        source="RFC 6749 section 5.2",
        client="Do not retry. Delete this login's tokens, and let the user log in again. Before, "
        "look whether another process has stored a newer refresh token meanwhile.",
        causes=(
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
            "device_code_spent",
            "device_code_revoked",
            "assertion",
            "dpop_key",
            "user_unknown",
            "user_deleted",
            "user_inactive",
            "identifier_unsupported",
            "password",
            "otp",
            "otp_token",
            "otp_recipient",
            "user_code",
        ),
        page="docs/explained/invalid-grant.md",
    ),
    "unauthorized_client": ErrorCode(
        meaning="The client may not use this grant type, or this response type.",
        source="RFC 6749 sections 4.1.2.1 and 5.2",
        client=_REPORT,
        causes=("grant_type_not_allowed", "authorization_parameter"),
    ),
    "unsupported_grant_type": ErrorCode(
        meaning="The server does not serve this grant type.",
        source="RFC 6749 section 5.2",
        client=_REPORT,
        causes=("grant_type_unsupported",),
    ),
    "invalid_scope": ErrorCode(
        meaning="A scope is unknown or malformed, or wider than what was granted.",
        source="RFC 6749 section 5.2",
        client="Request fewer scopes; in a refresh, none, or a part of those granted.",
        causes=("scope",),
    ),
    "invalid_target": ErrorCode(
        meaning="The resource or the audience is unknown or malformed, or was not granted.",
        source="RFC 8707 section 2",
        client=_REPORT,
        causes=("target",),
    ),
    "unsupported_response_type": ErrorCode(
        meaning="The server does not serve this response_type.",
        source="RFC 6749 section 4.1.2.1",
        client=_REPORT,
        causes=("response_type_unsupported",),
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "access_denied": ErrorCode(
        meaning="The user denied the request.",
        source="RFC 6749 section 4.1.2.1, RFC 8628 section 3.5",
        client="Do not retry. Show the user that nothing happened, and offer to log in again.",
        causes=("access_denied",),
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "login_required": ErrorCode(
        meaning="The request has prompt=none, and the user is not logged in.",
        source="OpenID Connect Core 1.0 section 3.1.2.6",
        client="Send the browser to the authorization endpoint again, without prompt=none.",
        causes=("login_required",),
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "consent_required": ErrorCode(
        meaning="The request has prompt=none, and the user has to agree to something.",
        source="OpenID Connect Core 1.0 section 3.1.2.6",
        client="Send the browser to the authorization endpoint again, without prompt=none.",
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "interaction_required": ErrorCode(
        meaning="The request has prompt=none, and the user has to do something.",
        source="OpenID Connect Core 1.0 section 3.1.2.6",
        client="Send the browser to the authorization endpoint again, without prompt=none.",
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "request_not_supported": ErrorCode(
        meaning="The server reads no request objects.",
        source="OpenID Connect Core 1.0 section 3.1.2.6",
        client=_REPORT,
        causes=("authorization_parameter",),
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "request_uri_not_supported": ErrorCode(
        meaning="The server reads a request_uri only if it was pushed.",
        source="OpenID Connect Core 1.0 section 3.1.2.6",
        client=_REPORT,
        causes=("authorization_parameter",),
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "registration_not_supported": ErrorCode(
        meaning="The server does not read the parameter registration.",
        source="OpenID Connect Core 1.0 section 3.1.2.6",
        client=_REPORT,
        causes=("authorization_parameter",),
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "invalid_request_uri": ErrorCode(
        meaning="The request_uri of a pushed request is unknown, expired, or used.",
        source="RFC 9101 section 7, RFC 9126 section 4",
        client="Push the authorization request again, and use the new request_uri once.",
        causes=("request_uri",),
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "server_error": ErrorCode(
        meaning="The server failed, and says so through the browser.",
        source="RFC 6749 section 4.1.2.1",
        client=_WAIT,
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "temporarily_unavailable": ErrorCode(
        meaning="The server is overloaded or down for a while.",
        source="RFC 6749 section 4.1.2.1",
        client=f"{_WAIT} Keep the tokens.",
        causes=("otp_unavailable",),
        endpoint="authorize",
        page=_AUTHORIZE,
    ),
    "authorization_pending": ErrorCode(
        meaning="The user has not decided about the device yet.",
        source="RFC 8628 section 3.5",
        client="Wait for the interval, and poll again.",
        causes=("authorization_pending",),
        page=_DEVICE,
    ),
    "slow_down": ErrorCode(
        meaning="The client polls too fast.",
        source="RFC 8628 section 3.5",
        client="Add 5 seconds to the interval, for this poll and all later ones.",
        causes=("slow_down",),
        page=_DEVICE,
    ),
    "expired_token": ErrorCode(
        meaning="The device code has expired.",
        source="RFC 8628 section 3.5",
        client="Stop polling. Request a new device code if the user wants to try again.",
        causes=("device_code_expired",),
        page=_DEVICE,
    ),
    "invalid_token": ErrorCode(
        meaning="The access token is malformed, expired, or revoked, or for another resource.",
        source="RFC 6750 section 3.1",
        client="Refresh once, and repeat the request with the new access token.",
        causes=("bearer_missing", "bearer_invalid", "bearer_user", "dpop_key", "dpop_missing"),
        endpoint="userinfo",
        page=_BEARER,
    ),
    "insufficient_scope": ErrorCode(
        meaning="The access token lacks a scope, which the challenge names.",
        source="RFC 6750 section 3.1",
        client="A refresh does not help. Let the user log in with the scopes of the challenge.",
        causes=("bearer_scope",),
        endpoint="userinfo",
        page=_BEARER,
    ),
    "invalid_dpop_proof": ErrorCode(
        meaning="The DPoP proof is missing, malformed, used before, or for another request.",
        source="RFC 9449 sections 5 and 7.1",
        client="Make a new proof for each request. If new ones fail, look at the clock, the "
        "method, and the URL.",
        causes=("dpop_missing", "dpop_proof", "dpop_replay", "dpop_key"),
        page=_DPOP,
    ),
    "use_dpop_nonce": ErrorCode(
        meaning="The DPoP proof needs the nonce in the header DPoP-Nonce.",
        source="RFC 9449 sections 8 and 9",
        client="Make a new proof with that nonce, and repeat the request once.",
        causes=("dpop_nonce",),
        page=_DPOP,
    ),
    "invalid_redirect_uri": ErrorCode(
        meaning="A redirect URI of a registration is missing or not allowed.",
        source="RFC 7591 section 3.2.2",
        client=_REPORT,
        causes=("registered_redirect_uri",),
        endpoint="register",
        page=_REGISTER,
    ),
    "invalid_client_metadata": ErrorCode(
        meaning="A member of a registration is missing, malformed, or not supported.",
        source="RFC 7591 section 3.2.2",
        client=_REPORT,
        causes=("client_metadata", "client_document"),
        endpoint="register",
        page=_REGISTER,
    ),
    "invalid_software_statement": ErrorCode(
        meaning="The software statement of a registration is malformed, unsigned, or expired.",
        source="RFC 7591 section 3.2.2",
        client=_REPORT,
        causes=("software_statement",),
        endpoint="register",
        page=_REGISTER,
    ),
    "unapproved_software_statement": ErrorCode(
        meaning="The server does not trust the software statement of a registration.",
        source="RFC 7591 section 3.2.2",
        client=_REPORT,
        endpoint="register",
        page=_REGISTER,
    ),
    "unsupported_token_type": ErrorCode(
        meaning="The server does not revoke tokens of this type.",
        source="RFC 7009 section 2.2.1",
        client="Forget the token; it stays valid until it expires.",
        endpoint="revoke",
        page="docs/reference/revoke.md",
    ),
    "user_not_found": ErrorCode(
        meaning="The user of the access token was deleted.",
        source="CIAM 1148/51476",
        client="Delete this login's tokens.",
        endpoint="userinfo",
        page=_BEARER,
    ),
    "invalid_auth_source": ErrorCode(
        meaning="The auth source is unknown, or not one of the client.",
        source=_SOURCE_CIAM,
        client=_REPORT,
        causes=("auth_source",),
        page=_LOGIN,
    ),
    "not_found": ErrorCode(
        meaning="The server has no such path.",
        source="fake_oauth",
        client=_REPORT,
        causes=("path_unknown",),
        endpoint="any",
        page="docs/reference/dialects.md",
    ),
    **{
        code: ErrorCode(
            meaning=meaning,
            source=_OTP,
            client="Let the user correct the number or address.",
            causes=("otp_recipient",),
            endpoint="otp_send",
            page=_LOGIN,
        )
        for code, meaning in (
            ("malformed_phone_number", "The phone number is malformed, or does not exist."),
            ("malformed_email", "The email address is malformed."),
            ("invalid_email", "The email address does not exist."),
            ("phone_number_is_used", "A user with this phone number exists already."),
            ("email_is_used", "A user with this email address exists already."),
        )
    },
    **{
        f"{kind}_rate_limit_exceeded": ErrorCode(
            meaning=f"Too many messages to this {recipient} in a short time.",
            source=_OTP,
            client="Let the user wait before the next message.",
            causes=(cause,),
            endpoint="otp_send",
            page=_LOGIN,
        )
        for kind, recipient, cause in _LIMITS
    },
    **{
        f"insufficient_{kind}_quota": ErrorCode(
            meaning="The auth source has sent all of its messages.",
            source=_OTP,
            client="Report the error to those who run the service.",
            causes=("otp_quota",),
            endpoint="otp_send",
            page=_LOGIN,
        )
        for kind in ("sms", "email")
    },
}
"""The error codes, by what a response has as `error`."""
