"""`ciam`: Tencent Cloud CIAM as it is documented (product 1441, page 64400 and its siblings).

The cases in `fixtures/ciam` show each documented response and name its page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from fake_oauth.provider.dialect import (
    Dialect,
    ErrorResponse,
    Text,
    compact_json,
    form_credentials,
    pretty_json,
)
from fake_oauth.provider.errors import BearerError, Cause, OAuthError, RedirectError
from fake_oauth.provider.grants import GrantType
from fake_oauth.provider.grants.otp import EMAIL, SMS
from fake_oauth.provider.grants.password import with_auth_source
from fake_oauth.provider.keys import Key
from fake_oauth.provider.model import Terms
from fake_oauth.provider.policies import RefreshPolicy
from fake_oauth.provider.request import Credentials, Parameters
from fake_oauth.provider.resources import Place
from fake_oauth.provider.tokens import TokenDetails

_TOKEN_ERROR: Final = "https://datatracker.ietf.org/doc/html/rfc6749#section-5.2"
_AUTHORIZE_ERROR: Final = "https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2.1"
_PKCE_ERROR: Final = "https://datatracker.ietf.org/doc/html/rfc7636#section-4.4.1"
_REVOCATION_ERROR: Final = "https://tools.ietf.org/html/rfc7009#section-2.1"
_BEARER_ERROR: Final = "https://tools.ietf.org/html/rfc6750#section-3.1"

# The documented grant types of OTPs have the vendor's host in one place, the tenant's in another.
_VENDOR: Final = re.compile(r"https?://([\w-]+\.)*tencentciam\.com", re.ASCII)
# The characters that the documented server's JSON writer (json-smart) escapes in a JWT.
_ESCAPED: Final = re.compile("[\x7f-\x9f\u2000-\u20ff]")
_CODE_CAUSES: Final[frozenset[Cause]] = frozenset(
    {
        "code_unknown",
        "code_expired",
        "code_spent",
        "code_revoked",
        "redirect_uri_mismatch",
    }
)

# What a client has to learn if a setting turns it on.
_OF_SETTINGS: Final = (
    "registration_endpoint",
    "client_id_metadata_document_supported",
    "authorization_response_iss_parameter_supported",
    "protected_resources",
)
_METADATA: Final[frozenset[str]] = frozenset(
    {
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "token_endpoint_auth_methods_supported",
        "jwks_uri",
        "response_types_supported",
        "grant_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "scopes_supported",
        "userinfo_endpoint",
        "revocation_endpoint",
        "code_challenge_methods_supported",
    }
)


class CIAM(Dialect):
    """Tencent Cloud CIAM.

    >>> CIAM().paths["token"]
    '/oauth2/token'
    """

    name: ClassVar[str] = "ciam"
    paths: ClassVar[Mapping[str, str]] = {
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
    }
    has_fixed_paths: ClassVar[bool] = True
    grant_types: ClassVar[tuple[str, ...]] = (
        "authorization_code",
        "client_credentials",
        "refresh_token",
        "password",
        SMS,
        EMAIL,
    )
    # A password grant names its auth source (CIAM 1148/51473).
    own_grants: ClassVar[Mapping[str, GrantType]] = {
        "password": GrantType(
            run=with_auth_source,
            required=("auth_source_id", "username", "password"),
            optional=("scope",),
        )
    }
    terms: ClassVar[Terms] = Terms(
        access_token_seconds=300,
        id_token_seconds=1800,
        refresh_token_seconds=3600,
        refresh_policy=RefreshPolicy.CIAM,
        code_seconds=300,
        device_code_seconds=300,
        revoke_on_code_reuse=False,
    )
    headers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("Cache-Control", "no-cache, no-store, max-age=0, must-revalidate"),
        ("Pragma", "no-cache"),
        ("Expires", "0"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    )
    # As CIAM 1441/64400 writes it: no space before charset.
    content_type: ClassVar[str] = "application/json;charset=UTF-8"
    authorization_parameters: ClassVar[tuple[str, ...]] = (
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    )
    own_methods: ClassVar[Mapping[str, tuple[str, ...]]] = {"authorize": ("GET",)}
    accepts_unknown_scopes: ClassVar[bool] = False
    resource_metadata: ClassVar[tuple[Place, ...]] = ()
    identifies_by_verifier: ClassVar[bool] = True
    omits_blanks: ClassVar[bool] = False
    reads_assertions: ClassVar[bool] = False
    reads_token_in_form: ClassVar[bool] = False
    claims_by_scope: ClassVar[bool] = False
    reads_dpop: ClassVar[bool] = False
    cors_allow_headers: ClassVar[tuple[str, ...]] = ("Authorization", "Content-Type")
    cors_expose_headers: ClassVar[tuple[str, ...]] = ("WWW-Authenticate",)
    unescaped_in_redirects: ClassVar[str] = "!$'()*+,;:@/?"
    client_challenge: ClassVar[str | None] = None
    codes: ClassVar[Mapping[Cause, str | None]] = {
        "client_unidentified": None,
        "pkce_client_unknown": "invalid_request",
        "token_of_other_client": "invalid_client",
        "code_verifier": "invalid_client",
        "response_type_unsupported": "invalid_request",
        "bearer_user": "user_not_found",
    }
    texts: ClassVar[Mapping[Cause, Text]] = {
        "parameter": Text("OAuth 2.0 Parameter: {}", _TOKEN_ERROR),
        "grant_type_unsupported": Text("OAuth 2.0 Parameter: {}", _TOKEN_ERROR),
        "revocation_parameter": Text("OAuth 2.0 Token Revocation Parameter: {}", _REVOCATION_ERROR),
        "authorization_parameter": Text("OAuth 2.0 Parameter: {}", _AUTHORIZE_ERROR),
        "response_type": Text("OAuth 2.0 Parameter: {}", _TOKEN_ERROR),
        "response_type_unsupported": Text("OAuth 2.0 Parameter: {}", _AUTHORIZE_ERROR),
        "pkce_parameter": Text("OAuth 2.0 Parameter: {}", _PKCE_ERROR),
        "access_denied": Text("OAuth 2.0 Parameter: {}", _AUTHORIZE_ERROR),
        "logout_client_id": Text("Client ID parameter not found"),
        "identifier_unsupported": Text("Unsupported username identifier"),
        "password": Text("Wrong username or password"),
        "user_unknown": Text("No such user"),
        "user_inactive": Text("Abnormal user status"),
        "auth_source": Text("Auth source and application not associated"),
        "otp": Text("Unknown or expired OTP"),
        "otp_token": Text("Unknown or expired otp_token"),
        "otp_mismatch": Text("Mismatched OTP token and OTP sending parameters"),
        "sms_rate_limit": Text("SMS rate limit exceeded for same phone number"),
        "email_rate_limit": Text("Email rate limit exceeded for same email"),
        "otp_unavailable": Text("Failed to send OTP. Please try again later."),
        "bearer_missing": Text("Bearer token not found in the request", _BEARER_ERROR),
        "bearer_invalid": Text("Error decoding JWT", _BEARER_ERROR),
        "bearer_scope": Text(
            "The request requires higher privileges than provided by the access token.",
            _BEARER_ERROR,
        ),
    }

    def error_code(self, error: OAuthError) -> str | None:
        """Return `invalid_client` for a refused code of a public client (CIAM 1441/64396)."""
        is_public = error.client is not None and error.client.is_public
        if is_public and error.cause in _CODE_CAUSES:
            return "invalid_client"
        return super().error_code(error)

    def challenge(self, error: BearerError) -> ErrorResponse:
        """Return the documented refusal of userinfo (CIAM 1148/51476), or that of RFC 6750."""
        if error.cause == "bearer_user":
            return self.json_error(error)
        if error.endpoint != "userinfo" or error.cause not in self.texts:
            return super().challenge(error)
        text = self.texts[error.cause]
        code = "invalid_request" if error.cause == "bearer_missing" else error.code
        members = {"error": code, "error_description": error.description or text.description}
        return self.challenge_response(members | {"error_uri": error.uri or str(text.uri)})

    def redirects(self, error: RedirectError) -> bool:
        """Return False for an invalid response_type (CIAM 1441/64348)."""
        return error.cause not in ("response_type", "response_type_unsupported")

    def expires_in(self, lifetime_seconds: int) -> int:
        """Return the lifetime less one second (CIAM 1441/64400)."""
        return lifetime_seconds - 1

    def access_token_header(self, key: Key) -> dict[str, str]:
        """Return the members in the documented order (CIAM 1441/64400)."""
        return {"kid": key.kid, "typ": "JWT", "alg": key.alg}

    def access_token_claims(self, token: TokenDetails) -> dict[str, Any]:
        """Return the claims in the documented order (CIAM 1441/64400)."""
        return {
            "sub": token.sub,
            "aud": token.aud,
            "nbf": token.issued_at,
            **({"scope": list(token.scopes)} if token.scopes else {}),
            "iss": token.issuer,
            "exp": token.issued_at + token.lifetime_seconds,
            "iat": token.issued_at,
            "jti": token.jti,
            **token.extra_claims,
        }

    def jwk(self, key: Key) -> dict[str, str]:
        """Return the members in the documented order, without `use` and `alg` (CIAM 1148/51484)."""
        return key.jwk()

    def id_token_header(self, key: Key) -> dict[str, str]:
        """Return the same header as that of an access token (CIAM 1441/64400)."""
        return self.access_token_header(key)

    def id_token_claims(self, token: TokenDetails) -> dict[str, Any]:
        """Return the claims in the documented order (CIAM 1441/64400)."""
        return {
            "sub": token.sub,
            "aud": token.client_id,
            "azp": token.client_id,
            "iss": token.issuer,
            "exp": token.issued_at + token.lifetime_seconds,
            "iat": token.issued_at,
            **({} if token.nonce is None else {"nonce": token.nonce}),
            "jti": token.jti,
            **token.extra_claims,
        }

    def is_access_token(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
        """Return whether the claims have no `azp`, which only an ID token has."""
        return "azp" not in claims

    def write_jwt_json(self, members: Mapping[str, Any]) -> str:
        """Return JSON in the layout of json-smart, which writes `/` as `\\/`."""
        text = compact_json(members).replace("/", "\\/")
        if not text.isascii():
            text = _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04X}", text)
        return text

    def write_json(self, data: Any) -> str:
        """Return JSON as Jackson's default pretty printer writes it (CIAM 1441/64400)."""
        return pretty_json(data)

    def metadata(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the members that CIAM documents (CIAM 1148/51487), and those of settings."""
        return {
            name: value
            for name, value in document.items()
            if name in _METADATA or (name in _OF_SETTINGS and value)
        }

    def grant_type(self, name: str, issuer: str) -> str:
        """Return the row of an OTP grant type, with the host of the vendor or of the issuer."""
        if "/" not in name:
            return name
        for row in (SMS, EMAIL):
            path = row.removeprefix("http://tencentciam.com")
            if name.endswith(path):
                host = name.removesuffix(path)
                if _VENDOR.fullmatch(host) or host.partition(":")[2] == issuer.partition(":")[2]:
                    return row
        return name

    def credentials(self, basic: Credentials | None, form: Parameters) -> Credentials:
        """Return the credentials of `Authorization: Basic`, otherwise those of the form."""
        return form_credentials(form) if basic is None else basic
