"""Pushed authorization requests (RFC 9126).

The client sends the parameters of an authorization request to the server first, and the browser
brings only a `request_uri` for them. Errors are shown to the client at once: the browser has no
part in it yet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fake_oauth.provider import authorize, registration
from fake_oauth.provider.dpop import proven_key
from fake_oauth.provider.errors import OAuthError, RedirectError, bad_authorization_parameter
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Parameters, SentProof, TokenRequest
from fake_oauth.provider.sessions import (
    REQUEST_URI_PREFIX,
    AuthorizationRequest,
    PushedRequest,
)


def push(realm: Realm, request: TokenRequest) -> tuple[dict[str, Any], str]:
    """Keep a valid request. Return the members of the response, and a sentence for the journal.

    A request that the authorization endpoint would refuse is refused here (RFC 9126 section 2.1).
    """
    if request.credentials.client_id is not None:
        registration.described(realm, request.credentials.client_id)
    client = realm.authenticate(request.credentials)
    parameters = request.parameters
    if "request_uri" in parameters:
        raise bad_authorization_parameter("request_uri", "request_uri cannot be pushed")
    if "client_id" not in parameters:
        parameters = Parameters([*parameters.pairs(), ("client_id", client.client_id)])
    elif parameters["client_id"] != client.client_id:
        raise OAuthError(
            "invalid_request",
            f"the body names client {parameters['client_id']}, not {client.client_id}, which "
            "authenticated",
            cause="client_mismatch",
        )
    try:
        valid = authorize.validate(realm, parameters, is_pushed=True)
    except RedirectError as error:
        raise OAuthError(
            error.code, error.reason, cause=error.cause, parameter=error.parameter
        ) from None
    if request.proof is not None:
        valid = replace(valid, dpop_jkt=_proven_key(realm, request.proof, valid.dpop_jkt))
    with realm.lock:
        uri = realm.pushed.add(valid, request.number, realm.clock.now())
    seconds = realm.pushed.seconds
    return {"request_uri": uri, "expires_in": seconds}, f"request pushed, for {seconds} s"


def _proven_key(realm: Realm, proof: SentProof, named: str | None) -> str:
    """Return the thumbprint of the key that the code is bound to (RFC 9449 section 10.1)."""
    jkt = proven_key(realm, proof, realm.clock.now())
    if named not in (None, jkt):
        reason = f"dpop_jkt is {named}, and the DPoP proof is of key {jkt}"
        raise OAuthError("invalid_dpop_proof", reason, cause="dpop_key")
    return jkt


def requested(realm: Realm, parameters: Parameters) -> AuthorizationRequest:
    """Return the valid request that the parameters make, or that they name. Nothing is used up."""
    if _is_pushed(realm, parameters):
        return _look_up(realm, parameters)[1].request
    return authorize.validate(realm, parameters)


def take(
    realm: Realm, parameters: Parameters, number: int
) -> tuple[AuthorizationRequest, str | None]:
    """Return the valid request, and a note for the journal if it was pushed.

    A `request_uri` is used up (RFC 9126 section 4). The other parameters are not read (RFC 9101
    section 6.3).
    """
    if not _is_pushed(realm, parameters):
        return authorize.validate(realm, parameters), None
    with realm.lock:
        uri, found = _look_up(realm, parameters)
        realm.pushed.use_up(uri, number)
    return found.request, f"pushed by request {found.pushed_by}"


def _is_pushed(realm: Realm, parameters: Parameters) -> bool:
    is_served = "pushed_authorization_request" in realm.dialect.paths
    uri: str = parameters.get("request_uri", "")
    return is_served and uri.startswith(REQUEST_URI_PREFIX)


def _look_up(realm: Realm, parameters: Parameters) -> tuple[str, PushedRequest]:
    """Return the `request_uri` and its request. Raise OAuthError: no redirect URI is known yet."""
    client = authorize.requesting_client(realm, parameters, has_pushed=True)
    uri = parameters.once("request_uri")
    with realm.lock:
        found = realm.pushed.find(uri)
        flaw = "is unknown" if found is None else found.flaw(client.client_id, realm.clock.now())
    if found is None or flaw is not None:
        raise OAuthError(
            "invalid_request_uri",
            f"request_uri {flaw}",
            cause="request_uri",
            parameter="request_uri",
        )
    return uri, found
