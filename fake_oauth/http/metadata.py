"""The metadata document: what a client learns about the server before its first request.

OpenID Connect Discovery 1.0 and RFC 8414 have the same members, so both documents are this one. A
dialect can change it. To add a member, add it to `document`; the URL of an endpoint comes from its
row in `ENDPOINTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fake_oauth.provider import claims, registration
from fake_oauth.provider.authorize import PROMPTS, RESPONSE_MODES
from fake_oauth.provider.keys import ALGORITHMS, CLIENT_ALGORITHMS, SECRET_ALGORITHMS
from fake_oauth.provider.realm import Realm


def document(realm: Realm, urls: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata; `urls` has the URL of each endpoint by its member.

    The members that CIAM documents come first, in the documented order (CIAM 1148/51487).
    """
    urls, methods = dict(urls), _auth_methods(realm)
    members = {
        "issuer": realm.issuer,
        "authorization_endpoint": urls.pop("authorization_endpoint", None),
        "token_endpoint": urls.pop("token_endpoint"),
        "token_endpoint_auth_methods_supported": methods,
        "jwks_uri": urls.pop("jwks_uri", None),
        "response_types_supported": ["code"],
        "grant_types_supported": list(realm.dialect.grant_types),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": realm.keys.algorithms(),
        "scopes_supported": _scopes(realm),
        **urls,
        "code_challenge_methods_supported": ["S256"],
        **_auth_methods_elsewhere(urls, methods),
        **_assertion_algorithms(urls, methods),
        "dpop_signing_alg_values_supported": list(ALGORITHMS) if realm.dialect.reads_dpop else None,
        # Each has a default that would be wrong here.
        "response_modes_supported": list(RESPONSE_MODES),
        "prompt_values_supported": list(PROMPTS),
        "claims_supported": _claims(realm),
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "require_pushed_authorization_requests": (
            realm.requires_pushed_requests
            if "pushed_authorization_request_endpoint" in urls
            else None
        ),
        "authorization_response_iss_parameter_supported": realm.sends_issuer,
        "protected_resources": realm.resources.described or None,
        # Absence means that it is not supported.
        "client_id_metadata_document_supported": realm.registration.reads_documents or None,
    }
    return realm.dialect.metadata(
        {name: value for name, value in members.items() if value is not None}
    )


def _auth_methods(realm: Realm) -> list[str]:
    """Return how the clients of the settings authenticate, and those that register themselves."""
    clients = realm.clients.configured.values()
    methods = {method for client in clients for method in client.auth_methods}
    if "register" in realm.paths:
        methods.update(registration.methods(realm.dialect))
    if realm.registration.reads_documents:
        methods.update(registration.document_methods(realm.dialect))
    return sorted(methods)


def _auth_methods_elsewhere(urls: Mapping[str, str], methods: list[str]) -> dict[str, list[str]]:
    """Return how clients authenticate at the other endpoints (RFC 8414 section 2)."""
    return {
        f"{endpoint}_auth_methods_supported": [
            # A client that only names itself may not introspect (RFC 7662 section 2.1).
            method
            for method in methods
            if method != "none" or endpoint != "introspection_endpoint"
        ]
        for endpoint in ("revocation_endpoint", "introspection_endpoint")
        if endpoint in urls
    }


def _assertion_algorithms(urls: Mapping[str, str], methods: list[str]) -> dict[str, list[str]]:
    """Return the algorithms of client assertions, if a client uses any (RFC 8414 section 2)."""
    algorithms = [
        *(CLIENT_ALGORITHMS if "private_key_jwt" in methods else ()),
        *(SECRET_ALGORITHMS if "client_secret_jwt" in methods else ()),
    ]
    return {
        f"{endpoint}_auth_signing_alg_values_supported": algorithms
        for endpoint in ("token_endpoint", "revocation_endpoint", "introspection_endpoint")
        if algorithms and (endpoint in urls or endpoint == "token_endpoint")
    }


def _scopes(realm: Realm) -> list[str]:
    """Return what the clients can be granted, and what the resources need."""
    clients = realm.clients.configured.values()
    known = {scope for client in clients for scope in realm.scopes_of(client)}
    if realm.resources.are_indicated:
        known.update(scope for resource in realm.resources for scope in resource.known_scopes)
    return sorted(known)


def _claims(realm: Realm) -> list[str]:
    """Return the names of the claims that userinfo can have."""
    known = ("email", "phone_number")
    own = {name for user in realm.users.values() for name in user.claims}
    names, scopes = [*known, *sorted(own.difference({"sub", *known}))], _scopes(realm)
    return ["sub", *(name for name in names if claims.is_released(realm.dialect, name, scopes))]
