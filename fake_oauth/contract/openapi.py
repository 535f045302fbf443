"""OpenAPI 3.1 of all that is served, read off the tables that serve it.

Methods come from `ENDPOINTS`; paths, grants, and the headers of every reply from the dialect;
examples from the pages. What each endpoint is asked and answers has a row in `described`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

from fake_oauth.contract.described import DESCRIBED, answers, form, may_be_empty
from fake_oauth.contract.pages import Page, pages
from fake_oauth.contract.schemas import TEXT, URI, schemas
from fake_oauth.contract.values import parameters
from fake_oauth.dialects import DIALECTS, Dialect
from fake_oauth.reply import JSON, JSON_UTF8
from fake_oauth.web.endpoints import ENDPOINTS

_FORM: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
_MEANINGS: Final = {
    200: "It was granted.",
    302: "On to somewhere else.",
    400: "It was refused.",
    401: "The client, or the access token, was refused.",
    403: "The access token lacks a scope.",
    404: "There is no such user.",
    503: "Nothing can be sent for now.",
}
# OpenAPI has no words for a body that need not be there; a 401 may be without one.
MAY_BE_EMPTY: Final = "x-may-be-empty"


def document(url: str, dialect: Dialect = Dialect.CIAM) -> dict[str, Any]:
    """The whole description, of a server at a URL."""
    operations = {
        path: {
            method.lower(): _operation(dialect, name, method) for method in ENDPOINTS[name].methods
        }
        for name, path in dialect.paths.items()
    }
    used = {
        schema
        for name in dialect.paths
        for method in ENDPOINTS[name].methods
        for schema in answers(dialect, name, method).values()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fake_oauth",
            "version": version("fake_oauth"),
            "description": f"What the fake serves, in its dialect `{dialect.name}`.",
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


def _operation(dialect: Dialect, name: str, method: str) -> dict[str, Any]:
    told, endpoint = DESCRIBED[name], ENDPOINTS[name]
    operation: dict[str, Any] = {
        "operationId": f"{name}_{method.lower()}" if len(endpoint.methods) > 1 else name,
        "summary": told.summary,
        "security": [{}] if told.security is None else [{}, {told.security: []}],
        "responses": {
            str(status): _response(dialect, name, status, schema)
            for status, schema in answers(dialect, name, method).items()
        },
    }
    if told.query and method == "GET":
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": dict(TEXT)} for name in told.query
        ]
    if told.form and method == "POST":
        operation["requestBody"] = {"content": dict(_bodies(dialect, name))}
    return operation


def _bodies(dialect: Dialect, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a body may be, by its kind, with the exchanges of the pages that are granted."""
    for kind in (_FORM, _MULTIPART, JSON):
        members = form(dialect, name, as_json=kind == JSON)
        if members is None:
            continue
        told = {parameter: dict(schema) for parameter, schema in members.items()}
        body: dict[str, Any] = {"schema": {"type": "object", "properties": told}}
        if examples := dict(_examples(dialect, name, kind)):
            body["examples"] = examples
        yield kind, body


def _examples(dialect: Dialect, name: str, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for page in _granted(dialect):
        is_asked_so = page.request.headers.get("Content-Type") == kind
        if page.request.path == dialect.paths[name] and is_asked_so:
            yield page.name, {"summary": page.title, "value": parameters(page.request)}


def _granted(dialect: Dialect) -> list[Page]:
    """The pages of a dialect, if it has any, for what is granted."""
    known = pages(dialect.name) if dialect.name in DIALECTS else ()
    return [page for page in known if page.response.status == 200 and not page.before]


def _response(dialect: Dialect, name: str, status: int, schema: str | None) -> dict[str, Any]:
    headers: dict[str, Any] = {
        header: {"$ref": f"#/components/headers/{header}"} for header, _ in dialect.headers
    }
    response: dict[str, Any] = {"description": _MEANINGS[status], "headers": headers}
    if status == 302:
        headers["Location"] = {"required": True, "schema": dict(URI)}
    if schema is None and DESCRIBED[name].security == "bearer":
        headers["WWW-Authenticate"] = _challenge("Bearer")
    elif status == 401 and dialect.client_challenge is not None:
        headers["WWW-Authenticate"] = _challenge("Basic")
    if schema == "Page":
        response["content"] = {"text/html;charset=UTF-8": {"schema": dict(TEXT)}}
    elif schema is not None:
        kind = JSON if status == 200 and name != "token" else JSON_UTF8
        kind = ENDPOINTS[name].error_type if status == 400 else kind
        kind = dialect.content_types.get(kind, kind)
        response["content"] = {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
        if may_be_empty(dialect, name, status):
            response[MAY_BE_EMPTY] = True
    return response


def _challenge(scheme: str) -> dict[str, Any]:
    return {"required": True, "schema": {**TEXT, "pattern": f"^{scheme} "}}
