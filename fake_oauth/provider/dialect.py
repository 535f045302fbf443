"""`Dialect`: what one kind of authorization server does its own way.

The rules are the same for all servers. Where a rule would have to know which server it imitates, it
calls a method of its dialect. This class follows the standards; `fake_oauth.dialects` has those of
particular servers. To write your own, subclass one of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, ClassVar, Final

from fake_oauth.provider.assertions import (
    CLIENT_ASSERTION_TYPE,
    JWT_BEARER,
    InvalidAssertionError,
    read,
)
from fake_oauth.provider.errors import (
    BearerError,
    Cause,
    OAuthError,
    RedirectError,
    ShownError,
    TokenScheme,
    malformed,
)
from fake_oauth.provider.keys import ALGORITHMS, Key
from fake_oauth.provider.model import Terms
from fake_oauth.provider.policies import RefreshPolicy
from fake_oauth.provider.request import Credentials, Parameters
from fake_oauth.provider.resources import WELL_KNOWN, Place
from fake_oauth.provider.tokens import TokenDetails, TokenSet, WriteJSON

if TYPE_CHECKING:
    from fake_oauth.provider.grants import GrantType

_UNQUOTABLE: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
# The encoder is made once: json.dumps would make one for each call.
_CLIENT_REFUSED: Final = "Client authentication failed"
_REFRESH_TOKEN_REFUSED: Final = "The refresh token is unknown, expired, or revoked"
_DEVICE_CODE_REFUSED: Final = "The device code is unknown, used, or revoked"
_CODE_REFUSED: Final = "The authorization code is unknown, expired, or used"
compact_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Text:
    """The words of an error response; `{}` in the description is the parameter at fault."""

    description: str
    uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """An error as it is sent: a status, the members of a JSON body, and headers."""

    status: int
    members: Mapping[str, str]
    """The members of the body, in order; without any, the body is empty."""
    headers: tuple[tuple[str, str], ...] = ()


class Dialect:
    """A server that follows the RFCs, and the base of every dialect.

    A dialect is a set of class attributes and methods. Override what your server does differently:

    >>> class Shop(Dialect):
    ...     name = "shop"
    ...     issuer_path = "/realms/shop"
    ...
    ...     def token_reply(self, tokens):
    ...         return super().token_reply(tokens) | {"session_state": "active"}
    """

    name: ClassVar[str] = "custom"
    paths: ClassVar[Mapping[str, str]] = {
        "token": "/token",
        "authorize": "/authorize",
        "login": "/login",
        "userinfo": "/userinfo",
        "revoke": "/revoke",
        "introspect": "/introspect",
        "end_session": "/end_session",
        "device_authorization": "/device_authorization",
        "device": "/device",
        "pushed_authorization_request": "/par",
        "jwks": "/jwks",
        "discovery": "/.well-known/openid-configuration",
        "metadata": "/.well-known/oauth-authorization-server",
        "resource": "/resource",
        "resource_metadata": WELL_KNOWN,
    }
    """The path of each endpoint, below the issuer; an endpoint without a path is not served."""
    has_fixed_paths: ClassVar[bool] = False
    """Whether clients know the paths from documentation. Otherwise they read the metadata."""
    issuer_path: ClassVar[str] = ""
    """The path of the issuer if no issuer is set, such as `/realms/demo`."""
    grant_types: ClassVar[tuple[str, ...]] = (
        "authorization_code",
        "client_credentials",
        "refresh_token",
        "password",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        JWT_BEARER,
    )
    """The grant types that are served."""
    own_grants: ClassVar[Mapping[str, GrantType]] = {}
    """Grant types that differ from the rows of `GRANTS`, or that only this server has."""
    reads_json: ClassVar[bool] = False
    """Whether every endpoint accepts parameters in a JSON body. Otherwise the rows of `GRANTS` and
    `ENDPOINTS` decide."""
    authorization_parameters: ClassVar[tuple[str, ...]] = (
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "dpop_jkt",
        "response_mode",
        "prompt",
        "max_age",
        "login_hint",
        "id_token_hint",
        "ui_locales",
        "resource",
        "request",
        "request_uri",
        "registration",
    )
    """The parameters that the authorization endpoint reads. Others are ignored."""
    own_methods: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The HTTP methods of endpoints that accept others than the rows of `ENDPOINTS` say."""
    accepts_anonymous_introspection: ClassVar[bool] = False
    """Whether a token can be introspected without client authentication, unless the settings change
    it. RFC 7662 section 2.1 forbids it."""
    accepts_unknown_scopes: ClassVar[bool] = True
    """Whether the authorization endpoint ignores scopes that the client may not have, unless the
    settings change it."""
    indicates_resources: ClassVar[bool] = False
    """Whether clients name with `resource` what an access token is for (RFC 8707), unless the
    settings change it."""
    resource_metadata: ClassVar[tuple[Place, ...]] = ("path", "root")
    """Where the metadata of protected resources are found (RFC 9728), unless the settings change
    it."""
    requires_pkce: ClassVar[bool] = False
    """Whether every authorization request needs a code_challenge, also one of a confidential
    client."""
    identifies_by_verifier: ClassVar[bool] = False
    """Whether a code_verifier is what identifies a public client with a code. Otherwise its
    client_id does, and a code without its code_verifier is an invalid grant (RFC 7636 section
    4.6)."""
    sends_issuer: ClassVar[bool] = False
    """Whether authorization responses have the issuer as `iss` (RFC 9207), unless the settings
    change it."""
    reads_client_documents: ClassVar[bool] = False
    """Whether a client_id can be the URL of a document that describes the client (OAuth Client ID
    Metadata Document), unless the settings change it."""
    registered_grant_types: ClassVar[tuple[str, ...]] = ("authorization_code",)
    """The grant types of a client that registers without `grant_types` (RFC 7591 section 2)."""
    limits_registered_scopes: ClassVar[bool] = True
    """Whether a client that registered itself, or that a document describes, can be granted only
    the scopes that it registered (RFC 7591 section 2)."""
    omits_blanks: ClassVar[bool] = True
    """Whether a parameter without a value counts as omitted (RFC 6749 sections 3.1 and 3.2)."""
    reads_assertions: ClassVar[bool] = True
    """Whether clients can authenticate with a JWT (RFC 7523 section 2.2)."""
    reads_token_in_form: ClassVar[bool] = True
    """Whether userinfo accepts the access token as a form parameter (RFC 6750 section 2.2)."""
    claims_by_scope: ClassVar[bool] = True
    """Whether a client learns the claims of the granted scopes, and those that no scope names, from
    userinfo (OpenID Connect Core 1.0 section 5.4). Otherwise userinfo has all claims of the user,
    and tokens have the user's `claims`."""
    reads_dpop: ClassVar[bool] = True
    """Whether DPoP proofs are checked, and tokens bound to their keys (RFC 9449)."""
    terms: ClassVar[Terms] = Terms(
        access_token_seconds=3600,  # As in the examples of RFC 6749 section 5.1.
        id_token_seconds=3600,
        refresh_token_seconds=30 * 86400,
        refresh_policy=RefreshPolicy.CIAM,
        code_seconds=600,  # The maximum that RFC 6749 section 4.1.2 recommends.
        device_code_seconds=1800,  # As in the example of RFC 8628 section 3.2.
        revoke_on_code_reuse=True,  # RFC 6749 section 4.1.2: SHOULD.
    )
    """Lifetimes and refresh policy, unless the settings change them."""
    headers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("Cache-Control", "no-store"),
        ("Pragma", "no-cache"),
    )
    """The headers of every response (RFC 6749 section 5.1)."""
    cors_allow_headers: ClassVar[tuple[str, ...]] = (
        "Authorization",
        "Content-Type",
        "DPoP",
        "MCP-Protocol-Version",
    )
    """The request headers that pages of `cors_origins` can set."""
    cors_expose_headers: ClassVar[tuple[str, ...]] = ("WWW-Authenticate", "DPoP-Nonce")
    """The response headers that pages of `cors_origins` can read (RFC 9449 section 8)."""
    unescaped_in_redirects: ClassVar[str] = ""
    """The reserved characters that the query of a redirect has as they are (RFC 3986 section 2.2).
    A `+` among them reaches a client as a space (RFC 6749 appendix B)."""
    content_type: ClassVar[str] = "application/json"
    """The Content-Type of token responses and of errors."""
    client_challenge: ClassVar[str | None] = 'Basic realm="fake_oauth"'
    """The WWW-Authenticate of a 401 to a client that failed to authenticate."""
    statuses: ClassVar[Mapping[str | None, int]] = {
        None: 401,
        "invalid_client": 401,
        "not_found": 404,
        "user_not_found": 404,
        "temporarily_unavailable": 503,
    }
    """The HTTP status of an error code; every other code has 400."""
    bearer_statuses: ClassVar[Mapping[str | None, int]] = {
        None: 401,
        "invalid_request": 400,
        "invalid_token": 401,
        "insufficient_scope": 403,
    }
    """The HTTP status of a refused access token, by error code (RFC 6750 section 3.1)."""
    codes: ClassVar[Mapping[Cause, str | None]] = {}
    """Error codes that differ from those of the RFCs, by cause; None is an empty body."""
    texts: ClassVar[Mapping[Cause, Text]] = {
        # ASCII without quotation marks (RFC 6749 section 5.2).
        "parameter": Text("{} is missing, empty, sent twice, or not supported"),
        "grant_type_unsupported": Text("{} is missing, empty, sent twice, or not supported"),
        "client_unidentified": Text(_CLIENT_REFUSED),
        "client_unknown": Text(_CLIENT_REFUSED),
        "client_disabled": Text(_CLIENT_REFUSED),
        "client_auth_method": Text(_CLIENT_REFUSED),
        "client_secret": Text(_CLIENT_REFUSED),
        "client_assertion": Text(_CLIENT_REFUSED),
        "pkce_client_unknown": Text(_CLIENT_REFUSED),
        "client_mismatch": Text("The request names two clients"),
        "registered_redirect_uri": Text("A redirect URI is missing, malformed, or not allowed"),
        "software_statement": Text("The software statement is malformed, unsigned, or expired"),
        "client_metadata": Text("{} is missing, malformed, or not supported"),
        "client_document": Text("{} in the document of the client is missing or not allowed"),
        "client_document_unavailable": Text("The document of the client cannot be read"),
        "grant_type_not_allowed": Text("The client may not use this grant type"),
        "target": Text("The requested {} is invalid, unknown, or was not granted"),
        "scope": Text("A requested scope is unknown, or was not granted"),
        "token_of_other_client": Text("It was issued to another client"),
        "refresh_token_unknown": Text(_REFRESH_TOKEN_REFUSED),
        "refresh_token_expired": Text(_REFRESH_TOKEN_REFUSED),
        "refresh_token_spent": Text(_REFRESH_TOKEN_REFUSED),
        "refresh_token_revoked": Text(_REFRESH_TOKEN_REFUSED),
        "code_unknown": Text(_CODE_REFUSED),
        "code_expired": Text(_CODE_REFUSED),
        "code_spent": Text(_CODE_REFUSED),
        "code_revoked": Text(_CODE_REFUSED),
        "redirect_uri_mismatch": Text("The redirect_uri is not that of the authorization request"),
        "assertion": Text("The assertion is invalid, expired, or used, or its issuer is unknown"),
        "code_verifier": Text("The code_verifier does not match the authorization request"),
        "device_code_unknown": Text(_DEVICE_CODE_REFUSED),
        "device_code_expired": Text("The device code has expired"),
        "device_code_spent": Text(_DEVICE_CODE_REFUSED),
        "device_code_revoked": Text(_DEVICE_CODE_REFUSED),
        "authorization_pending": Text("The user has not decided yet"),
        "slow_down": Text("Wait for 5 seconds more between two polls"),
        "user_code": Text("The code is unknown, used, or expired"),
        "user_deleted": Text("The user was deleted"),
        "revocation_parameter": Text("{} is missing, empty, or sent twice"),
        "authorization_parameter": Text("{} is missing, sent twice, invalid, or not allowed"),
        "response_type": Text("{} is missing, sent twice, invalid, or not allowed"),
        "response_type_unsupported": Text("{} is missing, sent twice, invalid, or not allowed"),
        "pkce_parameter": Text("{} is missing, sent twice, malformed, or not supported"),
        "request_uri": Text("{} is unknown, expired, or used"),
        "access_denied": Text("The user denied the request"),
        "login_required": Text("The user has to log in"),
        "dpop_missing": Text("A DPoP proof is required"),
        "dpop_proof": Text("The DPoP proof is invalid"),
        "dpop_nonce": Text("The DPoP proof needs a nonce from this server"),
        "dpop_replay": Text("The DPoP proof was used before"),
        "dpop_key": Text("The DPoP proof is missing or of another key"),
        "password": Text("Wrong username or password"),
        "user_unknown": Text("No such user"),
        "user_inactive": Text("The user is not allowed to log in"),
        "subject_token": Text("{} is expired, revoked, malformed, or not acceptable"),
        "actor_token": Text("{} is expired, revoked, malformed, or not acceptable"),
        "bearer_invalid": Text("The access token is expired, revoked, or malformed"),
        "bearer_scope": Text("The access token lacks a required scope"),
        "bearer_user": Text("The user was deleted"),
    }
    """The words of error responses, by cause; other causes have none."""

    # Errors

    def error(self, error: OAuthError) -> ErrorResponse:
        """Return an error response (RFC 6749 section 5.2).

        `error.cause` says which rule refused.
        """
        if isinstance(error, BearerError):
            response = self.challenge(error)
        else:
            response = self.json_error(error)
        return replace(response, headers=(*response.headers, *error.headers))

    def json_error(self, error: OAuthError) -> ErrorResponse:
        """Return an error with a JSON body, or with none if the error has no code."""
        members = self.error_members(error)
        is_shown = isinstance(error, ShownError)
        status = 400 if is_shown else self.statuses.get(members.get("error"), 400)
        has_challenge = status == 401 and self.client_challenge is not None
        headers = (("WWW-Authenticate", str(self.client_challenge)),) if has_challenge else ()
        return ErrorResponse(status=status, members=members, headers=headers)

    def error_members(self, error: OAuthError) -> dict[str, str]:
        """Return the members of an error, in order, for a JSON body or for a redirect."""
        code = self.error_code(error)
        if code is None:
            return {}
        description, uri = error.description, error.uri
        text = self.texts.get(error.cause)
        if text is not None and description is None:
            description, uri = text.description.format(error.parameter), uri or text.uri
        members = {"error": code, "error_description": description, "error_uri": uri}
        return {name: value for name, value in members.items() if value is not None}

    def error_code(self, error: OAuthError) -> str | None:
        """Return the code of an error; None for a response without a body."""
        return self.codes.get(error.cause, error.code)

    def challenge(self, error: BearerError) -> ErrorResponse:
        """Return the refusal of an access token: no body, and all in a header (RFC 6750).

        For a DPoP proof, the header names the algorithms that the server accepts (RFC 9449 section
        7.1).
        """
        # Without a token there is no error to report (RFC 6750 section 3.1).
        members = {} if error.cause == "bearer_missing" else self.error_members(error)
        # The description comes last, because some clients take its words for members.
        own = {
            "scope": error.scope,
            "resource_metadata": error.resource_metadata,
            "algs": " ".join(ALGORITHMS) if error.scheme == "DPoP" else None,
            "error_description": members.pop("error_description", None),
        }
        members |= {name: value for name, value in own.items() if value is not None}
        return self.challenge_response({"realm": "fake_oauth"} | members, error.scheme)

    def challenge_response(
        self, members: Mapping[str, str], scheme: TokenScheme = "Bearer"
    ) -> ErrorResponse:
        """Return the response with a challenge that has these members, in this order."""
        header = ("WWW-Authenticate", challenge_value(scheme, members))
        status = self.bearer_statuses.get(members.get("error"), 401)
        return ErrorResponse(status=status, members={}, headers=(header,))

    def redirects(self, error: RedirectError) -> bool:
        """Return whether the browser takes this error back to the client."""
        return True

    # Tokens

    def expires_in(self, lifetime_seconds: int) -> int:
        """Return the `expires_in` of an access token."""
        return lifetime_seconds

    def token_reply(self, tokens: TokenSet) -> dict[str, Any]:
        """Return the members of a token response, in order (RFC 6749 section 5.1)."""
        members = {
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "scope": tokens.scope,
            "id_token": tokens.id_token,
            "token_type": tokens.token_type,
            "expires_in": tokens.expires_in,
            "issued_token_type": tokens.issued_token_type,
        }
        return {name: value for name, value in members.items() if value is not None}

    def device_reply(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return the members of a device authorization response (RFC 8628 section 3.2)."""
        return members

    def access_token_header(self, key: Key) -> dict[str, str]:
        """Return the header of an access token (RFC 9068 section 2.1)."""
        return {"alg": key.alg, "typ": "at+jwt", "kid": key.kid}

    def access_token_claims(self, token: TokenDetails) -> dict[str, Any]:
        """Return the claims of an access token (RFC 9068 section 2.2)."""
        return {
            "iss": token.issuer,
            "sub": token.sub,
            "aud": token.aud,
            "client_id": token.client_id,
            "iat": token.issued_at,
            "nbf": token.issued_at,
            "exp": token.issued_at + token.lifetime_seconds,
            "jti": token.jti,
            **({"scope": " ".join(token.scopes)} if token.scopes else {}),
            **({} if token.confirmation is None else {"cnf": dict(token.confirmation)}),
            **({} if token.actor is None else {"act": dict(token.actor)}),
            **token.extra_claims,
        }

    def jwk(self, key: Key) -> dict[str, str]:
        """Return a published key as a JWK (RFC 7517 section 4)."""
        members = key.jwk()
        kty, kid = members.pop("kty"), members.pop("kid")
        members.pop("alg", None)
        return {"kty": kty, "use": "sig", "alg": key.alg, "kid": kid, **members}

    def id_token_header(self, key: Key) -> dict[str, str]:
        """Return the header of an ID token."""
        return {"alg": key.alg, "typ": "JWT", "kid": key.kid}

    def id_token_claims(self, token: TokenDetails) -> dict[str, Any]:
        """Return the claims of an ID token (OpenID Connect Core 1.0 section 2).

        `auth_time` and `at_hash` are optional, and sent whenever they are known. `nonce` is known
        at the login only (section 12.2).
        """
        known = {"auth_time": token.auth_time, "nonce": token.nonce, "at_hash": token.at_hash}
        return {
            "sub": token.sub,
            "aud": token.client_id,
            "azp": token.client_id,
            "iss": token.issuer,
            "exp": token.issued_at + token.lifetime_seconds,
            "iat": token.issued_at,
            **{name: value for name, value in known.items() if value is not None},
            "jti": token.jti,
            **token.extra_claims,
        }

    def is_access_token(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
        """Return whether a JWT signed by this server is an access token (RFC 9068 section 4)."""
        return header.get("typ") == "at+jwt"

    # JSON

    def write_jwt_json(self, members: Mapping[str, Any]) -> str:
        """Return the JSON of a JWT's header or payload."""
        return compact_json(members)

    def write_json(self, data: Any) -> str:
        """Return the JSON of a response."""
        return compact_json(data)

    def json_writer(self, *, compact: bool | None) -> WriteJSON:
        """Return how responses are written: on one line or on several, or as the dialect does."""
        if compact is None:
            return self.write_json
        return compact_json if compact else pretty_json

    def metadata(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the metadata document; `document` has what the fake serves (RFC 8414)."""
        return document

    # Requests

    def grant_type(self, name: str, issuer: str) -> str:
        """Return the grant type that a request means: a row of `GRANTS`, or any other text."""
        return name

    def credentials(self, basic: Credentials | None, form: Parameters) -> Credentials:
        """Return how the client authenticates: with `Authorization: Basic`, or in the body.

        Both at once are refused (RFC 6749 section 2.3).
        """
        if self.reads_assertions and "client_assertion" in form:
            return assertion_credentials(basic, form)
        if basic is not None:
            if "client_secret" in form:
                raise OAuthError(
                    "invalid_request",
                    "Authorization: Basic and client_secret together",
                    cause="request_malformed",
                )
            # A client without a secret sends its id with an empty password.
            if self.omits_blanks and basic.method is None and basic.client_id:
                return Credentials("none", basic.client_id)
            return basic
        return form_credentials(form)

    def __repr__(self) -> str:
        return f"<Dialect {self.name}>"


def form_credentials(form: Parameters) -> Credentials:
    """Return the credentials in a body (docs/reference/token.md, rules 1 and 3)."""
    for name in ("client_id", "client_secret"):
        times = len(form.all(name))
        if times > 1:
            raise OAuthError(
                "invalid_request", f"{name} sent {times} times", cause="request_malformed"
            )
    client_id, client_secret = form.get("client_id"), form.get("client_secret")
    if client_id is None:
        return Credentials()
    if not client_id.strip() or (client_secret is not None and not client_secret.strip()):
        blank = "client_secret" if client_id.strip() else "client_id"
        return Credentials(client_id=client_id, missing=f"{blank} blank")
    if client_secret is None:
        return Credentials("none", client_id)
    return Credentials("client_secret_post", client_id, client_secret)


def assertion_credentials(basic: Credentials | None, form: Parameters) -> Credentials:
    """Return the credentials of a client that authenticates with a JWT.

    docs/reference/token.md, rule 21.
    The client is the one that the body names, otherwise the JWT's `sub` (RFC 7521 section 4.2).
    """
    for name in ("client_assertion", "client_assertion_type", "client_id"):
        times = len(form.all(name))
        if times > 1:
            raise malformed(f"{name} sent {times} times")
    if basic is not None or "client_secret" in form:
        other = "client_secret" if basic is None else "Authorization: Basic"
        raise malformed(f"{other} and client_assertion together")
    kind = form.get("client_assertion_type")
    if kind != CLIENT_ASSERTION_TYPE:
        raise malformed(f"client_assertion_type: expected {CLIENT_ASSERTION_TYPE}, got {kind!r}")
    client_id = form.get("client_id")
    try:
        assertion = read(form["client_assertion"])
    except InvalidAssertionError as error:
        return Credentials(client_id=client_id, missing=f"client_assertion: {error}")
    client_id = client_id or assertion.claim("sub")
    if client_id is None:
        return Credentials(missing="client_assertion: sub: expected the client_id, got none")
    return Credentials(assertion.auth_method, client_id, assertion=assertion)


def challenge_value(scheme: str, members: Mapping[str, str]) -> str:
    """Return the value of a WWW-Authenticate header (RFC 9110 section 11.3).

    Characters that RFC 6750 section 3 excludes from a description are replaced.
    """
    shown = {name: _UNQUOTABLE.sub("'", value) for name, value in members.items()}
    return f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in shown.items())


def pretty_json(data: Any, indent: str = "") -> str:
    """Return JSON in the layout of Jackson's default pretty printer.

    >>> print(pretty_json({"keys": [{"kty": "RSA"}], "scopes_supported": ["openid", "email"]}))
    {
      "keys" : [ {
        "kty" : "RSA"
      } ],
      "scopes_supported" : [ "openid", "email" ]
    }
    """
    if isinstance(data, str):  # Most values are strings, so they are checked first.
        return encode_basestring(data)
    if isinstance(data, Mapping):
        deeper = indent + "  "
        members = [
            f"{deeper}{encode_basestring(name)} : "
            + (encode_basestring(value) if type(value) is str else pretty_json(value, deeper))
            for name, value in data.items()
        ]
        return "{\n" + ",\n".join(members) + f"\n{indent}}}" if data else "{ }"
    if isinstance(data, list | tuple):
        return f"[ {', '.join(pretty_json(item, indent) for item in data)} ]" if data else "[ ]"
    return compact_json(data)
