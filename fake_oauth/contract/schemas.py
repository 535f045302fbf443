"""What replies look like, as JSON Schema; read off `TokenSet` and `ENDPOINTS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, get_args, get_type_hints

from fake_oauth.dialects import Dialect
from fake_oauth.provider.tokens import TokenSet
from fake_oauth.web.endpoints import ENDPOINTS

Schema = Mapping[str, Any]

TEXT: Final[Schema] = {"type": "string"}
URI: Final[Schema] = {"type": "string", "format": "uri"}


def schemas(dialect: Dialect) -> dict[str, Any]:
    """Every schema by its name in the description."""
    texts = _texts("error", "error_description", "error_uri")
    keys = {"type": "array", "items": _object(_texts("kty", "e", "kid", "n"))}
    return {
        "TokenReply": _token_reply(),
        "Error": _object(texts, required=["error"]),
        "UserInfo": {**_object(_texts("sub")), "additionalProperties": True},
        "OtpToken": _object(_texts("otp_token")),
        "ResourceReply": _object(_texts("sub", "client_id", "scope")),
        "Jwks": _object({"keys": keys}),
        "Introspection": _introspection(),
        "Discovery": _discovery(dialect),
        "Metadata": _metadata(dialect),
    }


def _texts(*names: str) -> Mapping[str, Schema]:
    return dict.fromkeys(names, TEXT)


def _object(members: Mapping[str, Schema], *, required: list[str] | None = None) -> dict[str, Any]:
    """An object of these members and no others; all of them are there unless told otherwise."""
    return {
        "type": "object",
        "required": list(members) if required is None else required,
        "properties": {name: dict(schema) for name, schema in members.items()},
        "additionalProperties": False,
    }


def _token_reply() -> dict[str, Any]:
    """The members as `TokenSet` has them; what may be None may be absent."""
    hints, required = get_type_hints(TokenSet), []
    members: dict[str, Schema] = {}
    for field in fields(TokenSet):
        kind = hints[field.name]
        members[field.name] = {"type": "integer"} if kind is int else TEXT
        if type(None) not in get_args(kind):
            required.append(field.name)
    members["token_type"] = {"type": "string", "const": "Bearer"}
    return _object(members, required=required)


def _introspection() -> dict[str, Any]:
    """RFC 7662 section 2.2."""
    texts = ("scope", "client_id", "username", "token_type", "sub", "aud", "iss", "jti")
    numbers: Mapping[str, Schema] = {name: {"type": "integer"} for name in ("exp", "iat", "nbf")}
    members = {"active": {"type": "boolean"}, **_texts(*texts), **numbers}
    members["aud"] = {"type": ["string", "array"], "items": {"type": "string"}}
    return _object(members, required=["active"])


def _discovery(dialect: Dialect) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0 section 3."""
    return _object(
        {
            **_urls(dialect),
            **_lists(
                "token_endpoint_auth_methods",
                "response_types",
                "grant_types",
                "subject_types",
                "id_token_signing_alg_values",
                "scopes",
                "code_challenge_methods",
            ),
        }
    )


def _metadata(dialect: Dialect) -> dict[str, Any]:
    """RFC 8414 section 2."""
    urls = _urls(dialect)
    urls.pop("userinfo_endpoint", None)
    names = ("token_endpoint", "revocation_endpoint", "introspection_endpoint")
    methods = [f"{name}_auth_methods" for name in names if name in urls]
    lists = ("scopes", "response_types", "grant_types", "code_challenge_methods")
    return _object({**urls, **_lists(*methods, *lists)})


def _urls(dialect: Dialect) -> dict[str, Schema]:
    members = (ENDPOINTS[name].member for name in dialect.paths)
    return {"issuer": URI, **{member: URI for member in members if member is not None}}


def _lists(*names: str) -> dict[str, Schema]:
    texts = {"type": "array", "items": dict(TEXT)}
    return {f"{name}_supported": texts for name in names}
