"""OpenAPI 3.1 of everything that is served.

Methods, parameters, and responses come from `ENDPOINTS` and `GRANTS`; paths and headers from the
dialect; examples from the contract's cases. The schemas of responses are here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final, get_args, get_type_hints

from fake_oauth import __version__
from fake_oauth.dialects import DIALECTS, Dialect
from fake_oauth.http.endpoints import ENDPOINTS, Endpoint, Responses, methods_of
from fake_oauth.provider.client_metadata import MEMBERS, Shape
from fake_oauth.provider.errors import BearerError, Cause
from fake_oauth.provider.grants import grant_types
from fake_oauth.provider.tokens import TokenSet
from fake_oauth.reply import FORM, HTML, JSON, MULTIPART
from fake_oauth.server import FakeOAuth
from fake_oauth.settings import Settings

Schema = Mapping[str, Any]

MAY_BE_EMPTY: Final = "x-may-be-empty"
"""Marks a response that may have no body, for which OpenAPI has no word."""

_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": ["string", "array"], "items": {"type": "string"}}
_URI: Final[Schema] = {"type": "string", "format": "uri"}
_DESCRIPTIONS: Final = {
    200: "The request was granted.",
    201: "The request is kept, or the client is registered.",
    302: "The browser is redirected.",
    400: "The request was refused.",
    401: "The client or the access token was refused.",
    403: "The access token lacks a scope.",
    404: "The user does not exist.",
    503: "The server cannot send anything now.",
}
_SECURITY: Final = {"client": "client_secret_basic", "bearer": "bearer"}


def document(url: str, dialect: Dialect = DIALECTS["ciam"]) -> dict[str, Any]:
    """Return the description of a server at a URL."""
    operations = {
        path: {
            method.lower(): _operation(dialect, name, method)
            for method in methods_of(dialect, name)
        }
        for name, path in dialect.paths.items()
    }
    used = {
        schema
        for name in dialect.paths
        for method in methods_of(dialect, name)
        for schema in (*_responses(dialect, name, method).values(), ENDPOINTS[name].body)
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fake_oauth",
            "version": __version__,
            "description": f"What the fake serves in its dialect `{dialect.name}`.",
        },
        "servers": [{"url": url}],
        "paths": operations,
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


def schemas(dialect: Dialect) -> dict[str, Any]:
    """Return every schema by its name; `ENDPOINTS` refers to these names."""
    keys = {"type": "array", "items": _object(_texts("kty", "kid"), additional=True)}
    return {
        "TokenResponse": _token_response(),
        "Error": _object(_texts("error", "error_description", "error_uri"), required=["error"]),
        "DeviceAuthorization": _device_authorization(),
        "UserInfo": _object(_texts("sub"), additional=True),
        "OneTimePasswordToken": _object(_texts("otp_token")),
        "Resource": _object(_texts("sub", "client_id", "scope"), required=["scope"]),
        "ResourceMetadata": _object(
            {
                "resource": _URI,
                "authorization_servers": {"type": "array", "items": dict(_URI)},
                "scopes_supported": {"type": "array", "items": dict(_TEXT)},
                "bearer_methods_supported": {"type": "array", "items": dict(_TEXT)},
                "resource_name": _TEXT,
            },
            required=["resource", "authorization_servers"],
        ),
        "JWKS": _object({"keys": keys}),
        "Introspection": _introspection(),
        "PushedAuthorizationRequest": _object(
            {"request_uri": _URI, "expires_in": {"type": "integer"}}
        ),
        "ClientMetadata": _object(_client_metadata(), required=[], additional=True),
        "ClientInformation": _client_information(),
        "Metadata": _metadata(dialect),
    }


def _operation(dialect: Dialect, name: str, method: str) -> dict[str, Any]:
    endpoint = ENDPOINTS[name]
    security = None if endpoint.security is None else _SECURITY[endpoint.security]
    operation: dict[str, Any] = {
        "operationId": f"{name}_{method.lower()}" if len(methods_of(dialect, name)) > 1 else name,
        "summary": endpoint.summary,
        "security": [{}] if security is None else [{}, {security: []}],
        "responses": {
            str(status): _response(dialect, endpoint, status, schema)
            for status, schema in _responses(dialect, name, method).items()
        },
    }
    parameters: list[dict[str, Any]] = []
    if endpoint.query and method == "GET":
        parameters = [
            {"name": parameter, "in": "query", "schema": dict(_TEXT)}
            for parameter in _read(dialect, name, endpoint.query)
        ]
    if endpoint.reads_dpop and dialect.reads_dpop:
        parameters.append({"name": "DPoP", "in": "header", "schema": dict(_TEXT)})
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{endpoint.body}"}}},
        }
    if endpoint.form and method == "POST":
        operation["requestBody"] = {"content": dict(_bodies(dialect, name))}
    return operation


def _responses(dialect: Dialect, name: str, method: str) -> Responses:
    """Return the responses of an endpoint to a method: schemas by status."""
    endpoint = ENDPOINTS[name]
    if name != "userinfo":
        return endpoint.by_method.get(method, endpoint.responses)
    causes: tuple[Cause, ...] = ("bearer_missing", "bearer_invalid", "bearer_scope", "bearer_user")
    refused: dict[int, str | None] = {}
    errors = [
        BearerError(
            "insufficient_scope" if cause == "bearer_scope" else "invalid_token",
            "",
            cause=cause,
            endpoint="userinfo",
        )
        for cause in causes
    ]
    if dialect.reads_token_in_form and method == "POST":
        errors.append(
            BearerError("invalid_request", "", cause="bearer_invalid", endpoint="userinfo")
        )
    for error in map(dialect.error, errors):
        refused[error.status] = "Error" if error.members else None
    return {**endpoint.responses, **dict(sorted(refused.items()))}


def _bodies(dialect: Dialect, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each kind of body, with the requests of the contract that are granted."""
    for media_type in (FORM, MULTIPART, JSON):
        members = _form(dialect, name, as_json=media_type == JSON)
        if members is None:
            continue
        properties = {parameter: dict(schema) for parameter, schema in members.items()}
        body: dict[str, Any] = {"schema": {"type": "object", "properties": properties}}
        if examples := dict(_examples(dialect, name, media_type)):
            body["examples"] = examples
        yield media_type, body


def _form(dialect: Dialect, name: str, *, as_json: bool) -> Mapping[str, Schema] | None:
    """Return the parameters of a body; None if there is no such body."""
    endpoint = ENDPOINTS[name]
    names: tuple[str, ...] = ()
    if endpoint.security == "client":
        names = ("client_id", "client_secret")
        if dialect.reads_assertions:
            names = (*names, "client_assertion_type", "client_assertion")
    may_be_json = endpoint.reads_json or dialect.reads_json
    if name != "token":
        all_names = (*names, *_read(dialect, name, endpoint.form))
        return dict.fromkeys(all_names, _TEXT) if may_be_json or not as_json else None
    rows = {
        grant_type: row
        for grant_type, row in grant_types(dialect).items()
        if row.reads_json or may_be_json or not as_json
    }
    own = [parameter for row in rows.values() for parameter in row.parameters]
    several = [parameter for row in rows.values() for parameter in row.repeatable]
    one = {"grant_type": {**_TEXT, "enum": list(rows)}}
    members = {**dict.fromkeys((*names, *own), _TEXT), **dict.fromkeys(several, _TEXTS), **one}
    return members if rows else None


def _read(dialect: Dialect, name: str, parameters: tuple[str, ...]) -> tuple[str, ...]:
    """Return the parameters that an endpoint of this dialect reads."""
    if name != "authorize":
        return parameters
    return tuple(name for name in parameters if name in dialect.authorization_parameters)


def _examples(
    dialect: Dialect, name: str, media_type: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    from fake_oauth.contract.cases import cases  # above this module; only examples need it
    from fake_oauth.contract.placeholders import parameters

    for case in cases(dialect.name) if dialect.name in DIALECTS else ():
        request = case.request
        is_granted = case.response.status == 200 and not case.before
        is_like = request.headers.get("Content-Type") == media_type
        if is_granted and is_like and request.path == dialect.paths[name]:
            yield case.name, {"summary": case.title, "value": parameters(request)}


def _response(
    dialect: Dialect, endpoint: Endpoint, status: int, schema: str | None
) -> dict[str, Any]:
    headers: dict[str, Any] = {
        header: {"$ref": f"#/components/headers/{header}"} for header, _ in dialect.headers
    }
    response: dict[str, Any] = {
        "description": _DESCRIPTIONS.get(status, f"A response with status {status}."),
        "headers": headers,
    }
    has_nonce = endpoint.reads_dpop and dialect.reads_dpop
    if has_nonce and status < 402:
        headers["DPoP-Nonce"] = {"schema": dict(_TEXT)}
    if status == 302:
        headers["Location"] = {"required": True, "schema": dict(_URI)}
    if schema is None and endpoint.security == "bearer":
        headers["WWW-Authenticate"] = _challenge("(Bearer|DPoP)" if has_nonce else "Bearer")
    elif status == 401 and dialect.client_challenge is not None:
        headers["WWW-Authenticate"] = _challenge(dialect.client_challenge.partition(" ")[0])
    if schema == "Page":
        response["content"] = {HTML: {"schema": dict(_TEXT)}}
    elif schema is not None:
        is_plain = status in (200, 201) and schema != "TokenResponse"
        media_type = JSON if is_plain else (endpoint.error_type or dialect.content_type)
        response["content"] = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    if status == 401 and endpoint.security == "client":
        has_no_body = dialect.codes.get("client_unidentified", "") is None
        if has_no_body:
            response[MAY_BE_EMPTY] = True
    return response


def _challenge(scheme: str) -> dict[str, Any]:
    return {"required": True, "schema": {**_TEXT, "pattern": f"^{scheme} "}}


def _texts(*names: str) -> Mapping[str, Schema]:
    return dict.fromkeys(names, _TEXT)


def _object(
    members: Mapping[str, Schema], *, required: list[str] | None = None, additional: bool = False
) -> dict[str, Any]:
    """Return the schema of an object; by default each member is required, and no other allowed."""
    return {
        "type": "object",
        "required": list(members) if required is None else required,
        "properties": {name: dict(schema) for name, schema in members.items()},
        "additionalProperties": additional,
    }


def _token_response() -> dict[str, Any]:
    """Return the schema of `TokenSet`; a member that can be None can be absent."""
    hints, required = get_type_hints(TokenSet), []
    members: dict[str, Schema] = {}
    for member in fields(TokenSet):
        kind = hints[member.name]
        members[member.name] = {"type": "integer"} if kind is int else _TEXT
        if type(None) not in get_args(kind):
            required.append(member.name)
    members["token_type"] = {"type": "string", "enum": ["Bearer", "DPoP", "N_A"]}
    return _object(members, required=required)


def _device_authorization() -> dict[str, Any]:
    """Return the schema of a device authorization response (RFC 8628 section 3.2)."""
    uris = ("verification_uri", "verification_uri_complete")
    numbers: Mapping[str, Schema] = {
        name: {"type": "integer", "minimum": 1} for name in ("expires_in", "interval")
    }
    members = {**_texts("device_code", "user_code"), **dict.fromkeys(uris, _URI), **numbers}
    return _object(members, required=[name for name in members if name != "interval"])


def _introspection() -> dict[str, Any]:
    """Return the schema of an introspection response (RFC 7662 section 2.2)."""
    texts = ("scope", "client_id", "username", "token_type", "sub", "iss", "jti")
    numbers: Mapping[str, Schema] = {name: {"type": "number"} for name in ("exp", "iat", "nbf")}
    parties: Mapping[str, Schema] = {name: {"type": "object"} for name in ("act", "may_act")}
    members = {
        "active": {"type": "boolean"},
        **_texts(*texts),
        "aud": _TEXTS,
        **numbers,
        **parties,
        "cnf": _object(_texts("jkt"), additional=True),
    }
    return _object(members, required=["active"])


def _client_metadata() -> dict[str, Schema]:
    """Return the schema of each member of client metadata (RFC 7591 section 2)."""
    shapes: Mapping[Shape, Schema] = {
        "text": _TEXT,
        "texts": {"type": "array", "items": dict(_TEXT)},
        "object": {"type": "object"},
        "flag": {"type": "boolean"},
    }
    return {name: shapes[shape] for name, shape in MEMBERS.items()}


def _client_information() -> dict[str, Any]:
    """Return the schema of a registration (RFC 7591 section 3.2.1)."""
    required = ["client_id", "client_id_issued_at", "token_endpoint_auth_method", "grant_types"]
    number = {"type": "integer"}
    own: Mapping[str, Schema] = {
        "client_id": _TEXT,
        "client_id_issued_at": number,
        "client_secret": _TEXT,
        "client_secret_expires_at": number,
    }
    return _object({**own, **_client_metadata()}, required=required)


def _metadata(dialect: Dialect) -> dict[str, Any]:
    """Return the schema of the metadata, from that of a server with the default settings."""
    members = FakeOAuth(Settings(dialect=dialect, issuer="https://issuer.example")).metadata()
    return _object({name: _schema_of(value) for name, value in members.items()}, additional=True)


def _schema_of(value: object) -> Schema:
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, list):
        return {"type": "array", "items": dict(_TEXT)}
    return _URI
