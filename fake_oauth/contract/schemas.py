"""What replies look like, as JSON Schema; read off `TokenSet` and `ENDPOINTS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, get_args, get_type_hints

from fake_oauth.provider.tokens import TokenSet
from fake_oauth.web.endpoints import ENDPOINTS

Schema = Mapping[str, Any]

TEXT: Final[Schema] = {"type": "string"}
URI: Final[Schema] = {"type": "string", "format": "uri"}


def schemas() -> dict[str, Any]:
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
        "Discovery": _discovery(),
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


def _discovery() -> dict[str, Any]:
    urls = {row.member: URI for row in ENDPOINTS.values() if row.member is not None}
    texts = {"type": "array", "items": dict(TEXT)}
    lists = (
        "token_endpoint_auth_methods_supported",
        "response_types_supported",
        "grant_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "scopes_supported",
        "code_challenge_methods_supported",
    )
    return _object({"issuer": URI, **urls, **dict.fromkeys(lists, texts)})
