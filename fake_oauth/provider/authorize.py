"""The authorization endpoint: from an authorization request to a code; and logout.

Before the redirect URI is known to be the client's, an error is shown where it is. Afterwards it is
a `RedirectError`, which the browser takes back to the client (RFC 6749 section 4.1.2.1). `scope` or
`state` sent twice, and a missing `redirect_uri` with scope `openid`, are shown, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from fake_oauth.provider.errors import Cause, OAuthError, RedirectError
from fake_oauth.provider.issuing import log_in, new_code
from fake_oauth.provider.model import Acceptance, Client, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Parameters
from fake_oauth.provider.sessions import AuthorizationRequest

# The addresses of RFC 8252 section 7.3, without a user.
_LOOPBACK: Final = re.compile(
    r"http://(127(?:\.[0-9]{1,3}){3}|\[::1\]|localhost)(?::[0-9]{1,5})?([/?].*|)", re.DOTALL
)

PARAMETERS: Final = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
)
"""The parameters of an authorization request."""


def validate(realm: Realm, parameters: Parameters) -> AuthorizationRequest:
    """Return a request that needs only a login (RFC 6749 section 4.1.1, CIAM 1441/64348)."""
    client = _client(realm, parameters)
    sent = parameters.optional("redirect_uri")
    redirect_uri = _redirect_uri(realm, client, sent)
    _require_response_type(parameters, redirect_uri)
    state, scope = parameters.optional("state"), parameters.optional("scope")
    scopes = tuple(scope.split(" ")) if scope else ()
    if sent is None and "openid" in scopes:
        raise _shown("redirect_uri", "redirect_uri missing, which scope openid requires")

    def refused(
        code: str, parameter: str, reason: str, cause: Cause = "authorization_parameter"
    ) -> RedirectError:
        return RedirectError(
            code, reason, cause=cause, parameter=parameter, redirect_uri=redirect_uri, state=state
        )

    if not client.may_use("authorization_code"):
        reason = f"client {client.client_id} may not use grant_type authorization_code"
        raise refused("unauthorized_client", "client_id", reason)
    unknown = [word for word in scopes if word not in client.scopes]
    if unknown and realm.acceptance.unknown_scopes:
        scopes = tuple(word for word in scopes if word in client.scopes)
    elif unknown:
        reason = f"scope {unknown[0]!r} was not registered; registered: {' '.join(client.scopes)}"
        raise refused("invalid_scope", "scope", reason)
    for name in ("nonce", "code_challenge", "code_challenge_method"):
        if len(parameters.all(name)) > 1:
            cause: Cause = "authorization_parameter" if name == "nonce" else "pkce_parameter"
            reason = f"{name} sent {len(parameters.all(name))} times"
            raise refused("invalid_request", name, reason, cause)
    challenge, method = (parameters.get(f"code_challenge{end}") for end in ("", "_method"))
    if (challenge or method) and method != "S256":
        reason = f"code_challenge_method {method!r} is not S256"
        raise refused("invalid_request", "code_challenge_method", reason, "pkce_parameter")
    if not challenge and (client.require_pkce or client.is_public):
        reason = f"client {client.client_id} needs a code_challenge"
        raise refused("invalid_request", "code_challenge", reason, "pkce_parameter")
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        sent_redirect_uri=sent,
        scopes=scopes,
        state=state,
        code_challenge=challenge or None,
        nonce=parameters.get("nonce"),
    )


def allow(realm: Realm, request: AuthorizationRequest, user: User) -> Mapping[str, str]:
    """Return the parameters of the authorization response: a code."""
    client = realm.clients.get(request.client_id)
    if client is None or not client.enabled:
        flaw = "removed" if client is None else "disabled"
        raise _shown("client_id", f"client {request.client_id} was {flaw}")
    with realm.lock:
        code = new_code(
            realm,
            log_in(realm, client, user, request.scopes),
            redirect_uri=request.sent_redirect_uri,
            code_challenge=request.code_challenge,
            nonce=request.nonce,
        )
    return {"code": code, **_state(request.state)}


def denied(request: AuthorizationRequest) -> RedirectError:
    """Return the refusal of a client that the user has denied."""
    return RedirectError(
        "access_denied",
        "denied on the login page",
        cause="access_denied",
        parameter="client_id",
        redirect_uri=request.redirect_uri,
        state=request.state,
    )


def error_parameters(realm: Realm, error: RedirectError) -> Mapping[str, str]:
    """Return the parameters of a redirect with an error, in the documented order."""
    return realm.dialect.error_members(error) | _state(error.state)


def log_out(realm: Realm, parameters: Parameters) -> tuple[str, Mapping[str, str]]:
    """Return where to redirect after logout, and with which parameters (CIAM 1441/64393)."""
    client_id = parameters.optional("client_id")
    if client_id is None:
        raise OAuthError("invalid_request", "no client_id", cause="logout_client_id")
    client = realm.clients.get(client_id)
    if client is None or not client.enabled:
        flaw = "unknown" if client is None else "disabled"
        raise _shown("client_id", f"client {client_id} {flaw}")
    uri = parameters.optional("logout_redirect_uri")
    uris = client.logout_redirect_uris
    if uri is None and len(uris) == 1:
        uri = uris[0]
    if uri is None or uri not in uris:
        known = ", ".join(uris) or "none"
        reason = f"logout_redirect_uri {uri!r} is not registered; registered: {known}"
        raise _shown("logout_redirect_uri", reason)
    return uri, _state(parameters.optional("state"))


def _client(realm: Realm, parameters: Parameters) -> Client:
    client_id = parameters.required("client_id")
    client = realm.clients.get(client_id)
    if client is None or not client.enabled:
        flaw = "unknown" if client is None else "disabled"
        raise _shown("client_id", f"client {client_id} {flaw}")
    return client


def _redirect_uri(realm: Realm, client: Client, sent: str | None) -> str:
    """Return where the browser is redirected: the URI that was sent, or the only registered one."""
    uris = client.redirect_uris
    if sent is None:
        if len(uris) != 1:
            raise _shown("redirect_uri", f"no redirect_uri, {len(uris)} registered")
        return uris[0]
    if sent not in uris and not any(_differ_in_port(sent, uri, realm.acceptance) for uri in uris):
        known = ", ".join(uris) or "none"
        raise _shown("redirect_uri", f"redirect_uri {sent!r} not registered; registered: {known}")
    return sent


def _differ_in_port(sent: str, registered: str, acceptance: Acceptance) -> bool:
    """Return whether two URIs of this machine are equal but for the port (RFC 8252 section 7.3)."""
    matches = _LOOPBACK.fullmatch(sent), _LOOPBACK.fullmatch(registered)
    same = {match and match.groups() for match in matches}
    host = matches[0] and matches[0][1]
    is_accepted = host != "localhost" or acceptance.localhost_on_any_port
    return None not in matches and len(same) == 1 and is_accepted


def _require_response_type(parameters: Parameters, redirect_uri: str) -> None:
    """Check that a code is requested (RFC 6749 sections 4.1.1 and 4.1.2.1)."""
    kinds = parameters.all("response_type")
    if kinds == ("code",):
        return
    is_one = len(kinds) == 1
    reason = f"response_type {kinds[0]!r} is not code" if kinds else "response_type missing"
    raise RedirectError(
        "unsupported_response_type" if is_one else "invalid_request",
        reason if len(kinds) < 2 else f"response_type sent {len(kinds)} times",
        cause="response_type_unsupported" if is_one else "response_type",
        parameter="response_type",
        redirect_uri=redirect_uri,
        state=parameters.optional("state"),
    )


def _shown(parameter: str, reason: str) -> OAuthError:
    """Return a refusal that is shown to the user and not sent to the client."""
    return OAuthError(
        "invalid_request", reason, cause="authorization_parameter", parameter=parameter
    )


def _state(state: str | None) -> dict[str, str]:
    return {} if state is None else {"state": state}
