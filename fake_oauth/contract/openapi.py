"""OpenAPI 3.1 of all that is served, read off the tables that serve it.

Methods come from `ENDPOINTS`; paths, grants, and the headers of every reply from the dialect. What
each endpoint is asked and answers is written here, a row each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from fake_oauth.contract.schemas import TEXT, URI, Schema, schemas
from fake_oauth.dialects import Dialect
from fake_oauth.reply import JSON, JSON_UTF8
from fake_oauth.web.endpoints import ENDPOINTS

_FORM: Final = "application/x-www-form-urlencoded"
_CLIENT: Final = ("client_id", "client_secret")
_OF_GRANTS: Final = (
    "refresh_token",
    "code",
    "redirect_uri",
    "code_verifier",
    "scope",
    "username",
    "password",
    "auth_source_id",
    "phone_number",
    "email",
    "otp",
    "otp_token",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What an endpoint is asked, and what it may answer, beside 405."""

    summary: str
    query: tuple[str, ...] = ()
    form: Mapping[str, Schema] | None = None
    json: bool = False
    """Whether the form may come as JSON."""
    answers: Mapping[int, str | None]
    """The schema of the body by status; None for one without."""
    security: tuple[Mapping[str, tuple[str, ...]], ...] = ()


def _form(*names: str, **more: Schema) -> Mapping[str, Schema]:
    return {**dict.fromkeys((*_CLIENT, *names), TEXT), **more}


_AUTHENTICATED: Final[tuple[Mapping[str, tuple[str, ...]], ...]] = ({}, {"client_secret_basic": ()})
_BEARER: Final[tuple[Mapping[str, tuple[str, ...]], ...]] = ({}, {"bearer": ()})

# A 401 may be without a body, where the client cannot be told apart from a passer-by.
DESCRIBED: Final[Mapping[str, Described]] = {
    "token": Described(
        summary="Tokens for a grant (RFC 6749 section 3.2)",
        form=_form("grant_type", *_OF_GRANTS),
        json=True,
        answers={200: "TokenReply", 400: "Error", 401: "Error"},
        security=_AUTHENTICATED,
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
        answers={200: "Page", 302: None, 400: "Page"},
    ),
    "userinfo": Described(
        summary="The claims of a user (OpenID Connect Core 1.0 section 5.3)",
        answers={200: "UserInfo", 400: None, 401: None, 403: None, 404: "Error"},
        security=_BEARER,
    ),
    "revoke": Described(
        summary="Gives a token up (RFC 7009)",
        form=_form("token", "token_type_hint"),
        answers={200: None, 400: "Error", 401: "Error"},
        security=_AUTHENTICATED,
    ),
    "otp_send": Described(
        summary="Sends a one-time password (CIAM 1441/67151)",
        form=_form(
            "auth_source_id",
            "phone_number",
            "email",
            usage={"type": "string", "enum": ["login", "signup"]},
        ),
        json=True,
        answers={200: "OtpToken", 400: "Error", 401: "Error", 503: "Error"},
        security=_AUTHENTICATED,
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
        security=_AUTHENTICATED,
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


def document(url: str, dialect: Dialect = Dialect.CIAM) -> dict[str, Any]:
    """The whole description, of a server at a URL."""
    used = {schema for name in dialect.paths for schema in DESCRIBED[name].answers.values()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fake_oauth",
            "version": version("fake_oauth"),
            "description": f"What the fake serves, in its dialect `{dialect.name}`.",
        },
        "servers": [{"url": url}],
        "paths": {
            path: {
                method.lower(): _operation(dialect, name, method)
                for method in ENDPOINTS[name].methods
            }
            for name, path in dialect.paths.items()
        },
        "components": {
            "schemas": {name: schema for name, schema in schemas(dialect).items() if name in used},
            "headers": {
                name: {"required": True, "schema": {"type": "string", "const": value}}
                for name, value in dialect.headers
            },
            "securitySchemes": {
                "client_secret_basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(dialect: Dialect, name: str, method: str) -> dict[str, Any]:
    told, endpoint = DESCRIBED[name], ENDPOINTS[name]
    operation: dict[str, Any] = {
        "operationId": f"{name}_{method.lower()}" if len(endpoint.methods) > 1 else name,
        "summary": told.summary,
        "responses": {
            str(status): _response(dialect, name, status, schema)
            for status, schema in told.answers.items()
        },
    }
    if told.query and method == "GET":
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": dict(TEXT)} for name in told.query
        ]
    if told.form is not None and method == "POST":
        members = {parameter: dict(schema) for parameter, schema in told.form.items()}
        if name == "token":
            members["grant_type"]["enum"] = list(dialect.conventions.grants)
        body = {"schema": {"type": "object", "properties": members}}
        kinds = (_FORM, JSON) if told.json else (_FORM,)
        operation["requestBody"] = {"content": dict.fromkeys(kinds, body)}
    if told.security:
        operation["security"] = [
            {scheme: list(scopes) for scheme, scopes in one.items()} for one in told.security
        ]
    return operation


def _response(dialect: Dialect, name: str, status: int, schema: str | None) -> dict[str, Any]:
    headers: dict[str, Any] = {
        header: {"$ref": f"#/components/headers/{header}"} for header, _ in dialect.headers
    }
    response: dict[str, Any] = {"description": _MEANINGS[status], "headers": headers}
    if status == 302:
        headers |= {"Location": {"required": True, "schema": dict(URI)}}
    challenges = status in dialect.bearer_statuses.values() and schema is None
    if challenges or (status == 401 and dialect.client_challenge is not None):
        headers |= {"WWW-Authenticate": {"required": True, "schema": dict(TEXT)}}
    if schema == "Page":
        response["content"] = {"text/html;charset=UTF-8": {"schema": dict(TEXT)}}
    elif schema is not None:
        kind = JSON if status == 200 and name != "token" else JSON_UTF8
        kind = ENDPOINTS[name].error_type if status == 400 else kind
        kind = dialect.content_types.get(kind, kind)
        response["content"] = {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return response


_MEANINGS: Final = {
    200: "It was granted.",
    302: "On to somewhere else.",
    400: "It was refused.",
    401: "The client, or the access token, was refused.",
    403: "The access token lacks a scope.",
    404: "There is no such user.",
    503: "Nothing can be sent for now.",
}
