"""How clients make themselves known: they register, or a document describes them.

Dynamic client registration (RFC 7591): client metadata in, a client out. A registration cannot be
read or changed later (RFC 7592 is not served).

Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): the client_id is the
URL of the metadata. A document is read for each authorization request, and the client as it was
then is known at the token endpoint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fake_oauth.provider import client_metadata
from fake_oauth.provider.claims import CLAIMS
from fake_oauth.provider.client_metadata import ClientMetadata, MetadataError
from fake_oauth.provider.dialect import Dialect
from fake_oauth.provider.errors import BearerError, Cause, OAuthError, ShownError, shown
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.tokens import InvalidTokenError, decode

# Without a user, a fragment, and what a browser or a library would read as another URL.
_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[!\"$->@-\[\]-~]+)(?:\?[!\"$-~]*)?")
_DOT_SEGMENT: Final = re.compile(r"/(?:\.|%2e){1,2}(?=/|$)", re.IGNORECASE)


def is_document_url(client_id: str) -> bool:
    """Return whether a client_id is the URL that a document can have (section 3 of the draft)."""
    match = _URL.fullmatch(client_id)
    return match is not None and not _DOT_SEGMENT.search(match[1])


def methods(dialect: Dialect) -> Sequence[str]:
    """Return how a client that registers can authenticate."""
    secret_jwt = ("client_secret_jwt",) if dialect.reads_assertions else ()
    return (*document_methods(dialect), "client_secret_basic", "client_secret_post", *secret_jwt)


def document_methods(dialect: Dialect) -> Sequence[str]:
    """Return how a client with a document can authenticate: without a shared secret."""
    return ("none", "private_key_jwt") if dialect.reads_assertions else ("none",)


# Dynamic client registration


def require_token(realm: Realm, token: str | None) -> None:
    """Check the initial access token, if one is required (RFC 7591 section 3)."""
    required = realm.registration.token
    if required is None or token == required:
        return
    raise BearerError(
        "invalid_token",
        "no initial access token" if token is None else "the initial access token does not match",
        cause="bearer_missing" if token is None else "bearer_invalid",
        endpoint="register",
        description="The initial access token is not accepted",
    )


def register(realm: Realm, document: object) -> tuple[dict[str, Any], str]:
    """Return the registration of a client, and a sentence for the journal (RFC 7591 section 3.2).

    The method is `client_secret_basic` unless the client names one (RFC 7591 section 2).
    """
    if not isinstance(document, dict):
        raise unreadable(f"the body is not a JSON object, but {shown(document)}")
    statement = _statement(document, realm.clock.now())
    try:
        metadata = _read(
            realm, {**document, **statement}, methods(realm.dialect), "client_secret_basic"
        )
    except MetadataError as error:
        is_redirect_uri = error.member == "redirect_uris"
        raise OAuthError(
            "invalid_redirect_uri" if is_redirect_uri else "invalid_client_metadata",
            error.reason,
            cause="registered_redirect_uri" if is_redirect_uri else "client_metadata",
            parameter=error.member,
        ) from None
    with realm.lock:
        now = realm.clock.now()
        lifetime = realm.registration.seconds
        expires_at = None if lifetime is None else int(now) + lifetime
        client_id = realm.ids.draw("client_id")
        secret = realm.ids.draw("client_secret") if metadata.has_secret else None
        realm.register(metadata.client(client_id, secret), expires_at)
    members: dict[str, Any] = {"client_id": client_id, "client_id_issued_at": int(now)}
    if secret is not None:
        members |= {"client_secret": secret, "client_secret_expires_at": expires_at or 0}
    members |= metadata.members
    reason = f"registered {client_id}: {metadata}"
    if statement:
        members["software_statement"] = document["software_statement"]
    elif document.get("grant_types") is None:
        reason += "; grant_types not sent, so these are the default ones"
    return members, reason


def unreadable(reason: str) -> OAuthError:
    """Return the refusal of a body that is not client metadata."""
    return OAuthError(
        "invalid_client_metadata", reason, cause="client_metadata", parameter="The request body"
    )


def _statement(document: Mapping[str, Any], now: float) -> Mapping[str, Any]:
    """Return the claims of the software statement, which take precedence (RFC 7591 section 2.3).

    Every issuer is trusted, so the signature is not verified. Raise OAuthError.
    """
    value = document.get("software_statement")
    if value is None:
        return {}
    try:
        header, claims = decode(value if isinstance(value, str) else "")
    except InvalidTokenError as error:
        raise _refused_statement(f"not a JWT: {error}") from None
    if not isinstance(header.get("alg"), str) or header["alg"].lower() == "none":
        raise _refused_statement("not signed")
    if not isinstance(claims.get("iss"), str):
        raise _refused_statement("no iss")
    expires_at = claims.get("exp", now + 1)
    if not (isinstance(expires_at, int | float) and expires_at > now):
        raise _refused_statement(f"exp {shown(expires_at)} is not in the future")
    return claims


def _refused_statement(flaw: str) -> OAuthError:
    return OAuthError(
        "invalid_software_statement", f"software_statement: {flaw}", cause="software_statement"
    )


# Client ID Metadata Documents


def described(realm: Realm, client_id: str) -> None:
    """Register the client that a document describes now, if the client_id is a URL.

    Raise ShownError for a document that cannot be read or used. A client of the settings takes
    precedence. Nothing waits for the document with the lock of the realm.
    """
    is_url = client_id.startswith(("https://", "http://"))
    reads = realm.registration.reads_documents
    if not is_url or not reads or client_id in realm.clients.configured:
        return
    if not is_document_url(client_id):
        reason = f"client_id {shown(client_id)} is not the URL of a document, which has a path"
        raise _unavailable(f"{reason}, and no user, fragment, or dot segment")
    metadata = _metadata(realm, client_id, _document(realm, client_id))
    realm.register(metadata.client(client_id), None)


def _document(realm: Realm, url: str) -> Mapping[str, Any]:
    given = realm.registration.documents.get(url)
    if given is not None:
        return given
    try:
        body = realm.fetch(url)
    except (OSError, ValueError) as error:
        raise _unavailable(f"cannot read {shown(url)}: {error}") from None
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _unusable("The JSON object", f"the document at {shown(url)} is not a JSON object")
    return document


def _metadata(realm: Realm, url: str, document: Mapping[str, Any]) -> ClientMetadata:
    """Return the metadata in a document (sections 4 and 4.1 of the draft)."""
    if document.get("client_id") != url:
        named = shown(document.get("client_id"))
        raise _unusable("client_id", f"the document's client_id {named} is not its URL")
    for name in ("client_secret", "client_secret_expires_at"):
        if name in document:
            raise _unusable(name, f"the document has {name}")
    if document.get("client_name") is None:
        raise _unusable("client_name", "the document has no client_name")
    try:
        return _read(realm, document, document_methods(realm.dialect), "none")
    except MetadataError as error:
        raise _unusable(error.member, f"the document's {error.reason}") from None


def _unavailable(reason: str) -> ShownError:
    return _shown("invalid_client", reason, "client_document_unavailable", "client_id")


def _unusable(member: str, reason: str) -> ShownError:
    return _shown("invalid_client_metadata", reason, "client_document", member)


def _shown(code: str, reason: str, cause: Cause, parameter: str) -> ShownError:
    return ShownError(code, reason, cause=cause, parameter=parameter)


# Both


def _read(
    realm: Realm, document: Mapping[str, Any], methods: Sequence[str], default_method: str
) -> ClientMetadata:
    """Return the metadata in a document, with the defaults of this server. Raise MetadataError."""
    served = realm.dialect.grant_types
    for name, is_served in (
        ("dpop_bound_access_tokens", realm.dialect.reads_dpop),
        ("require_pushed_authorization_requests", "pushed_authorization_request" in realm.paths),
    ):
        if document.get(name) and not is_served:
            raise MetadataError(name, f"{name} is not served by {realm.dialect.name}")
    return client_metadata.read(
        document,
        methods=methods,
        default_method=default_method,
        grant_types=served,
        default_grant_types=[n for n in realm.dialect.registered_grant_types if n in served],
        default_scopes=_scopes(realm),
    )


def _scopes(realm: Realm) -> Sequence[str]:
    """Return every scope that this server knows, for a client that registers none."""
    own = [client.scopes for client in realm.clients.configured.values()]
    own += [found.known_scopes for found in realm.resources]
    known = (scope for scopes in own for scope in scopes)
    return tuple(dict.fromkeys(("openid", *CLAIMS, "offline_access", *known)))
