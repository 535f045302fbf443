"""`ENDPOINTS`: the endpoints, one row each with all that HTTP and OpenAPI need to know of them.

To add an endpoint, write its function, add its row, and give it a path in the dialects that serve
it. Routing, 405, the metadata, OpenAPI, and the list in a 404 read the row. What an endpoint
decides belongs in `provider`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import quote

from fake_oauth.http import device as verification_page
from fake_oauth.http import login as login_page
from fake_oauth.http import logout as logout_page
from fake_oauth.http.authorization import authorize
from fake_oauth.http.metadata import document
from fake_oauth.http.registration import register
from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import bearer, grants, introspection, logout, pushed, resources, revocation
from fake_oauth.provider.device import authorize_device
from fake_oauth.provider.dialect import Dialect
from fake_oauth.provider.dpop import next_nonce
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.grants.otp import send_otp
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import SentToken
from fake_oauth.reply import JSON, Reply, texts_in

Responses = Mapping[int, str | None]
"""The schema of the body by status; None for a response without a body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A row of `ENDPOINTS`."""

    run: Callable[[Realm, HTTPRequest], Reply]
    """Returns the response, or raises OAuthError."""
    summary: str
    """What it does, with its source, for OpenAPI."""
    methods: tuple[str, ...]
    query: tuple[str, ...] = ()
    """Its parameters in the query."""
    form: tuple[str, ...] = ()
    """Its parameters in the body, without those of client authentication and of grant types."""
    security: Literal["client", "bearer"] | None = None
    """How a request authenticates: as a client, or with an access token."""
    responses: Responses = field(default_factory=dict)
    by_method: Mapping[str, Responses] = field(default_factory=dict)
    """The responses of methods that differ from each other."""
    metadata: str | None = None
    """Its member in the metadata documents, if it has one."""
    reads_json: bool = False
    """Whether parameters may be sent as JSON."""
    reads_dpop: bool = False
    """Whether a dialect with DPoP reads proofs here."""
    body: str | None = None
    """The schema of its body, if that is JSON and nothing else."""
    requires_readable_body: bool = True
    """Whether a body that cannot be read is refused before the endpoint runs."""
    error_type: str | None = None
    """The Content-Type of its errors; None is that of the dialect."""

    @property
    def reads_query(self) -> bool:
        """Whether its parameters are in the query."""
        return bool(self.query)


def token(realm: Realm, request: HTTPRequest) -> Reply:
    """Issue tokens (RFC 6749 section 3.2, CIAM 1441/64400)."""
    proof = request.proof(realm.url_of("token"))
    granted = grants.token(realm, request.token_request(proof))
    data = realm.dialect.token_reply(granted.tokens)
    # A dialect can leave tokens out, or put them inside of another member.
    texts = texts_in(data)
    values = {"a": granted.tokens.access_token, "r": granted.tokens.refresh_token}
    return Reply(
        data=data,
        content_type=realm.dialect.content_type,
        headers=next_nonce(realm, proof),
        reason=granted.reason,
        issued=tuple([token for token in granted.issued if values.get(token.letter) in texts]),
    )


def revoke(realm: Realm, request: HTTPRequest) -> Reply:
    """Revoke a token (RFC 7009, CIAM 1148/51486)."""
    return Reply(reason=revocation.revoke(realm, request.token_request()))


def introspect(realm: Realm, request: HTTPRequest) -> Reply:
    """Say whether a token is active (RFC 7662)."""
    members, reason = introspection.introspect(realm, request.token_request())
    return Reply(data=members, reason=reason)


def device_authorization(realm: Realm, request: HTTPRequest) -> Reply:
    """Issue a device code and a user code (RFC 8628 sections 3.1 and 3.2)."""
    code = authorize_device(realm, request.token_request())
    page, terms = realm.url_of("device"), realm.terms(realm.owner(code.grant))
    members = {
        "device_code": code.value,
        "user_code": code.user_code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?user_code={quote(code.user_code, safe='')}",
        "expires_in": terms.device_code_seconds,
        **({"interval": code.interval_seconds} if code.interval_seconds else {}),
    }
    return Reply(
        data=realm.dialect.device_reply(members),
        content_type=realm.dialect.content_type,
        reason="waiting for the user",
        issued=(code,),
    )


def push_request(realm: Realm, request: HTTPRequest) -> Reply:
    """Keep an authorization request (RFC 9126 section 2)."""
    proof = request.proof(realm.url_of("pushed_authorization_request"))
    members, reason = pushed.push(realm, request.token_request(proof))
    return Reply(status=201, data=members, headers=next_nonce(realm, proof), reason=reason)


def userinfo(realm: Realm, request: HTTPRequest) -> Reply:
    """Return the user's claims (OpenID Connect Core 1.0 section 5.3, CIAM 1148/51476)."""
    sent = _access_token(realm, request)
    claims = bearer.userinfo(realm, sent)
    headers = next_nonce(realm, sent.proof)
    return Reply(data=claims, headers=headers, reason=f"claims of {claims['sub']}")


def _access_token(realm: Realm, request: HTTPRequest) -> SentToken:
    """Return the access token in the header, or in a form that is posted (RFC 6750 section 2)."""
    in_header = request.access_token(realm.url_of("userinfo"))
    in_form = request.form.all("access_token")
    if request.method != "POST" or not realm.dialect.reads_token_in_form or not in_form:
        return in_header
    if in_header.value is not None or len(in_form) > 1:
        reason = "the access token is sent twice"
        description = "The access token is sent twice"
        raise bearer.refusal(
            realm, in_header, None, "invalid_request", reason, description=description
        )
    return replace(in_header, value=in_form[0])


def resource(realm: Realm, request: HTTPRequest) -> Reply:
    """Stand in for an API that requires an access token (RFC 6750)."""
    required = realm.resources.at(request.path) or realm.resources.first
    sent = request.access_token(realm.resources.url(required))
    members = bearer.resource(realm, required, sent)
    reason = f"access granted to {members.get('sub', 'a token')}"
    return Reply(data=members, headers=next_nonce(realm, sent.proof), reason=reason)


def resource_metadata(realm: Realm, request: HTTPRequest) -> Reply:
    """Return the metadata of a protected resource (RFC 9728 section 3)."""
    return Reply(data=resources.metadata(realm, request.path), reason="resource metadata")


def otp_send(realm: Realm, request: HTTPRequest) -> Reply:
    """Send a one-time password (CIAM 1441/67151)."""
    sent = send_otp(realm, request.token_request())
    # The stub server prints this line, so that a person can type the OTP.
    reason = f"OTP {sent.otp} sent to {sent.recipient}"
    return Reply(data={"otp_token": sent.otp_token}, reason=reason)


def jwks(realm: Realm, _: HTTPRequest) -> Reply:
    """Return the public keys (RFC 7517, CIAM 1148/51484)."""
    keys = [realm.dialect.jwk(key) for key in realm.keys.published()]
    return Reply(data={"keys": keys}, reason="public keys")


def discovery(realm: Realm, _: HTTPRequest) -> Reply:
    """Return the metadata (OpenID Connect Discovery 1.0, RFC 8414, CIAM 1148/51487)."""
    return Reply(data=metadata(realm), reason="metadata")


def metadata(realm: Realm) -> dict[str, Any]:
    """Return the members of the metadata document, with the URLs of the endpoints served."""
    served = {
        row.metadata: realm.url_of(name)
        for name, row in ENDPOINTS.items()
        if row.metadata is not None and name in realm.paths
    }
    return document(realm, served)


def methods_of(dialect: Dialect, name: str) -> tuple[str, ...]:
    """Return the HTTP methods of an endpoint."""
    return dialect.own_methods.get(name, ENDPOINTS[name].methods)


def allowed(methods: tuple[str, ...]) -> tuple[str, ...]:
    """Return the methods that are accepted, HEAD with GET (RFC 9110 section 9.3.2)."""
    return (*methods, "HEAD") if "GET" in methods else methods


def not_found(realm: Realm, path: str) -> OAuthError:
    """Return the refusal of a path that is not served. It lists the paths that are."""
    served = ", ".join(
        f"{' and '.join(methods_of(realm.dialect, name))} {served_path}"
        for name, served_path in realm.paths.items()
    )
    return OAuthError(
        "not_found",
        f"{path} is not served",
        cause="path_unknown",
        description=f"served are: {served}",
    )


_CLIENT_RESPONSES: Final[Responses] = {400: "Error", 401: "Error"}

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "token": Endpoint(
        run=token,
        summary="Issue tokens (RFC 6749 section 3.2)",
        methods=("POST",),
        form=("grant_type",),
        security="client",
        responses={200: "TokenResponse", **_CLIENT_RESPONSES},
        metadata="token_endpoint",
        reads_dpop=True,
    ),
    "authorize": Endpoint(
        run=authorize,
        summary="Redirect with an authorization code, after a login (RFC 6749 section 3.1)",
        methods=("GET", "POST"),
        query=Dialect.authorization_parameters,
        form=Dialect.authorization_parameters,
        responses={200: "Page", 302: None, 400: "Error"},
        metadata="authorization_endpoint",
    ),
    "login": Endpoint(
        run=login_page.log_in,
        summary="Show the login page",
        methods=("GET", "POST"),
        query=("p_state", "find"),
        form=("p_state", "sub", "username", "password", "deny"),
        by_method={"GET": {200: "Page", 400: "Page"}, "POST": {302: None, 400: "Page"}},
        requires_readable_body=False,
    ),
    "userinfo": Endpoint(
        run=userinfo,
        summary="Return the claims of a user (OpenID Connect Core 1.0 section 5.3)",
        methods=("GET", "POST"),
        security="bearer",
        responses={200: "UserInfo"},
        metadata="userinfo_endpoint",
        reads_dpop=True,
        requires_readable_body=False,
    ),
    "revoke": Endpoint(
        run=revoke,
        summary="Revoke a token (RFC 7009)",
        methods=("POST",),
        form=("token", "token_type_hint"),
        security="client",
        responses={200: None, **_CLIENT_RESPONSES},
        metadata="revocation_endpoint",
    ),
    "register": Endpoint(
        run=register,
        summary="Register a client (RFC 7591 section 3)",
        methods=("POST",),
        security="bearer",
        responses={201: "ClientInformation", 400: "Error", 401: None},
        metadata="registration_endpoint",
        reads_json=True,
        body="ClientMetadata",
        requires_readable_body=False,
    ),
    "otp_send": Endpoint(
        run=otp_send,
        summary="Send a one-time password (CIAM 1441/67151)",
        methods=("POST",),
        form=("auth_source_id", "phone_number", "email", "usage"),
        security="client",
        responses={200: "OneTimePasswordToken", **_CLIENT_RESPONSES, 503: "Error"},
        reads_json=True,
    ),
    "logout": Endpoint(
        run=logout_page.log_out,
        summary="End the session of a browser (CIAM 1441/64393)",
        methods=("GET",),
        query=("client_id", "logout_redirect_uri", "state"),
        responses={302: None, 400: "Error"},
        error_type=JSON,
    ),
    "end_session": Endpoint(
        run=logout_page.end_session,
        summary="End the session of a browser (OpenID Connect RP-Initiated Logout 1.0)",
        methods=("GET", "POST"),
        query=logout.PARAMETERS,
        form=(*logout.PARAMETERS, "confirm"),
        responses={200: "Page", 302: None, 400: "Error"},
        metadata="end_session_endpoint",
    ),
    "introspect": Endpoint(
        run=introspect,
        summary="Say whether a token is active (RFC 7662)",
        methods=("POST",),
        form=("token", "token_type_hint"),
        security="client",
        responses={200: "Introspection", **_CLIENT_RESPONSES},
        metadata="introspection_endpoint",
    ),
    "device_authorization": Endpoint(
        run=device_authorization,
        summary="Issue a device code and a user code (RFC 8628 section 3.1)",
        methods=("POST",),
        form=("scope", "resource"),
        security="client",
        responses={200: "DeviceAuthorization", **_CLIENT_RESPONSES},
        metadata="device_authorization_endpoint",
    ),
    "device": Endpoint(
        run=verification_page.verify,
        summary="Show the page on which a user allows a device (RFC 8628 section 3.3)",
        methods=("GET", "POST"),
        query=("user_code", "find"),
        form=("user_code", "sub", "username", "password", "allow", "deny"),
        responses={200: "Page", 400: "Page"},
        requires_readable_body=False,
    ),
    "pushed_authorization_request": Endpoint(
        run=push_request,
        summary="Keep an authorization request, and return a request_uri for it (RFC 9126)",
        methods=("POST",),
        form=tuple([name for name in Dialect.authorization_parameters if name != "request_uri"]),
        security="client",
        responses={201: "PushedAuthorizationRequest", **_CLIENT_RESPONSES},
        metadata="pushed_authorization_request_endpoint",
        reads_dpop=True,
    ),
    "jwks": Endpoint(
        run=jwks,
        summary="Return the public keys (RFC 7517)",
        methods=("GET",),
        responses={200: "JWKS"},
        metadata="jwks_uri",
    ),
    "discovery": Endpoint(
        run=discovery,
        summary="Return the discovery document (OpenID Connect Discovery 1.0)",
        methods=("GET",),
        responses={200: "Metadata"},
    ),
    "metadata": Endpoint(
        run=discovery,
        summary="Return the authorization server metadata (RFC 8414)",
        methods=("GET",),
        responses={200: "Metadata"},
    ),
    "resource": Endpoint(
        run=resource,
        summary="Stand in for an API that requires an access token (RFC 6750)",
        methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
        security="bearer",
        responses={200: "Resource", 401: None, 403: None},
        reads_dpop=True,
        requires_readable_body=False,
    ),
    "resource_metadata": Endpoint(
        run=resource_metadata,
        summary="Return the metadata of a protected resource (RFC 9728)",
        methods=("GET",),
        responses={200: "ResourceMetadata", 404: "Error"},
    ),
}
