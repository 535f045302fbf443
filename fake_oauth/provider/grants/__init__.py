"""`GRANTS`: the grant types of the token endpoint, one row and one module each.

`token` applies the rules of docs/reference/token.md in their order: the client, the grant type, the
DPoP proof, the parameters, the grant. To add a grant type, write its module and add its row; the
metadata, the settings, OpenAPI, and the docs' tables read the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from fake_oauth.provider import dpop
from fake_oauth.provider.assertions import JWT_BEARER
from fake_oauth.provider.dialect import Dialect
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.grants.authorization_code import authorization_code, identify_pkce_client
from fake_oauth.provider.grants.client_credentials import client_credentials
from fake_oauth.provider.grants.device_code import DEVICE_CODE, device_code
from fake_oauth.provider.grants.jwt_bearer import default_client, jwt_bearer
from fake_oauth.provider.grants.otp import EMAIL, SMS, email_otp, sms_otp
from fake_oauth.provider.grants.password import password
from fake_oauth.provider.grants.refresh_token import refresh_token
from fake_oauth.provider.grants.token_exchange import TOKEN_EXCHANGE, token_exchange
from fake_oauth.provider.issuing import Granted
from fake_oauth.provider.model import Client
from fake_oauth.provider.realm import Realm, unidentified
from fake_oauth.provider.request import Credentials, Parameters, TokenRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantType:
    """A row of `GRANTS`."""

    run: Callable[[Realm, Client, TokenRequest], Granted]
    """Issues tokens to an authenticated client, or raises OAuthError."""
    required: tuple[str, ...] = ()
    """The parameters that must be sent once and not be blank."""
    optional: tuple[str, ...] = ()
    """The parameters that may be sent once."""
    repeatable: tuple[str, ...] = ()
    """The parameters that may be sent several times."""
    for_public_clients: bool = False
    """Whether a client_id alone identifies the client."""
    reads_json: bool = False
    """Whether the parameters may be sent as JSON."""
    identify: Callable[[Realm, TokenRequest], None] | None = None
    """A check before client authentication, if there is one."""
    default_client: Callable[[Realm, TokenRequest], Client] | None = None
    """Returns the client of a request that names none; without it, such a request is refused."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Every parameter that the grant type reads, in order."""
        return (*self.required, *self.optional, *self.repeatable)


GRANTS: Final[Mapping[str, GrantType]] = {
    "authorization_code": GrantType(
        run=authorization_code,
        required=("code",),
        optional=("redirect_uri", "code_verifier"),
        for_public_clients=True,
        identify=identify_pkce_client,
    ),
    "client_credentials": GrantType(
        run=client_credentials, optional=("scope",), for_public_clients=True
    ),
    "refresh_token": GrantType(
        run=refresh_token,
        required=("refresh_token",),
        optional=("scope",),
        for_public_clients=True,
    ),
    "password": GrantType(run=password, required=("username", "password"), optional=("scope",)),
    DEVICE_CODE: GrantType(run=device_code, required=("device_code",), for_public_clients=True),
    SMS: GrantType(
        run=sms_otp,
        required=("auth_source_id", "phone_number", "otp", "otp_token"),
        optional=("scope",),
        reads_json=True,
    ),
    EMAIL: GrantType(
        run=email_otp,
        required=("auth_source_id", "email", "otp", "otp_token"),
        optional=("scope",),
        reads_json=True,
    ),
    TOKEN_EXCHANGE: GrantType(
        run=token_exchange,
        required=("subject_token", "subject_token_type"),
        optional=("actor_token", "actor_token_type", "requested_token_type", "scope"),
        repeatable=("resource", "audience"),
        for_public_clients=True,
    ),
    JWT_BEARER: GrantType(
        run=jwt_bearer,
        required=("assertion",),
        optional=("scope",),
        for_public_clients=True,
        default_client=default_client,
    ),
}


_NOBODY: Final = Credentials()


def grant_types(dialect: Dialect) -> dict[str, GrantType]:
    """Return the rows that a dialect serves, by grant type."""
    return {name: _row(dialect, name) for name in dialect.grant_types}


def grant_type(realm: Realm, parameters: Parameters) -> GrantType | None:
    """Return the row that a request names; None if the dialect does not serve it."""
    dialect = realm.dialect
    name = dialect.grant_type(parameters.get("grant_type", ""), realm.issuer)
    if name not in dialect.grant_types:
        return None
    return _row(dialect, name)


def _row(dialect: Dialect, name: str) -> GrantType:
    return dialect.own_grants.get(name) or GRANTS[name]


def token(realm: Realm, request: TokenRequest) -> Granted:
    """Issue tokens for a request to the token endpoint (RFC 6749 section 3.2)."""
    parameters, row = request.parameters, grant_type(realm, request.parameters)
    if row is not None and row.identify is not None:
        row.identify(realm, request)
    if request.credentials.method == "none" and (row is None or not row.for_public_clients):
        raise unidentified("client_id alone, with no grant_type that a public client may use")
    if row is not None and row.default_client is not None and request.credentials == _NOBODY:
        client = row.default_client(realm, request)
    else:
        client = realm.authenticate(request.credentials)
    name = parameters.once("grant_type")
    if row is None:
        raise OAuthError(
            "unsupported_grant_type",
            f"grant_type {name!r} unknown",
            cause="grant_type_unsupported",
            parameter="grant_type",
        )
    if request.proof is not None or client.dpop_bound_access_tokens:
        realm.require_grant_type(client, realm.dialect.grant_type(name, realm.issuer))
        request = replace(request, jkt=dpop.key_for_tokens(realm, client, request.proof))
    for parameter in row.required:
        parameters.required(parameter)
    for parameter in row.optional:
        parameters.optional(parameter)
    granted = row.run(realm, client, request)
    if request.jkt is None:
        return granted
    return replace(granted, reason=f"{granted.reason}, bound to key {request.jkt}")
