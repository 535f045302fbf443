"""From an authorization request to a code.

What a request is refused for before its redirect_uri is known to be the client's never travels
there: only a `RedirectError` does (RFC 6749 section 4.1.2.1).
"""

from __future__ import annotations

from collections.abc import Mapping

from fake_oauth.provider.asking import Params
from fake_oauth.provider.errors import OAuthError, TextName
from fake_oauth.provider.issuing import log_in, write_code
from fake_oauth.provider.parties import Client, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.sessions import AuthorizationRequest


class RedirectError(OAuthError):
    """A refusal that travels back to the client, by way of the browser."""

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        text: TextName = "authorization_parameter",
        parameter: str,
        redirect_uri: str,
        state: str | None,
    ) -> None:
        super().__init__(code, reason, text=text, parameter=parameter)
        self.redirect_uri = redirect_uri
        self.state = state


def request(realm: Realm, params: Params) -> AuthorizationRequest:
    """A request that may be granted (RFC 6749 section 4.1.1, CIAM 1441/64348 and 1441/64391)."""
    client = _client(realm, params)
    sent = params.optional("redirect_uri")
    redirect_uri = _redirect_uri(client, sent)
    _asks_for_a_code(realm, params, redirect_uri)
    state, scope = params.optional("state"), params.optional("scope")
    scopes = tuple(scope.split(" ")) if scope else ()
    if sent is None and "openid" in scopes:
        raise _direct("redirect_uri", "redirect_uri missing, which scope openid asks for")

    def refused(
        code: str, parameter: str, reason: str, text: TextName = "authorization_parameter"
    ) -> OAuthError:
        return RedirectError(
            code, reason, text=text, parameter=parameter, redirect_uri=redirect_uri, state=state
        )

    if not client.may_use("authorization_code"):
        reason = f"client {client.client_id} may not use grant_type authorization_code"
        raise refused("unauthorized_client", "client_id", reason)
    if unknown := [word for word in scopes if word not in client.scopes]:
        reason = f"scope {unknown[0]!r} was not registered; registered: {' '.join(client.scopes)}"
        raise refused("invalid_scope", "scope", reason)
    challenge, method = (params.get(f"code_challenge{end}") for end in ("", "_method"))
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
        nonce=params.get("nonce"),
    )


def allow(realm: Realm, asked: AuthorizationRequest, user: User) -> Mapping[str, str]:
    """What the client is told when the user has logged in: a code."""
    if asked.client_id not in realm.clients:
        raise _direct("client_id", f"client {asked.client_id} is gone")
    with realm.lock:
        grant = log_in(realm, asked.client_id, user, asked.scopes)
        code = write_code(
            realm,
            grant,
            redirect_uri=asked.sent_redirect_uri,
            code_challenge=asked.code_challenge,
            nonce=asked.nonce,
        )
    return {"code": code, **_state(asked.state)}


def denied(asked: AuthorizationRequest) -> RedirectError:
    """What the client is told when the user has said no."""
    return RedirectError(
        "access_denied",
        "denied on the login page",
        text="denied",
        parameter="client_id",
        redirect_uri=asked.redirect_uri,
        state=asked.state,
    )


def answer(realm: Realm, error: RedirectError) -> Mapping[str, str]:
    """A refusal as parameters of the redirect, in the documented order."""
    return realm.conventions.told(error) | _state(error.state)


def log_out(realm: Realm, params: Params) -> tuple[str, Mapping[str, str]]:
    """Where to go after logging out, and with what (CIAM 1441/64393)."""
    client_id = params.optional("client_id")
    if client_id is None:
        raise OAuthError("invalid_request", "no client_id", text="no_client_id")
    client = realm.clients.get(client_id)
    if client is None:
        raise _direct("client_id", f"client {client_id} unknown")
    uri = params.optional("logout_redirect_uri")
    uris = client.logout_redirect_uris
    if uri is None and len(uris) == 1:
        uri = uris[0]
    if uri is None or uri not in uris:
        known = ", ".join(uris) or "none"
        reason = f"logout_redirect_uri {uri!r} is not registered; registered: {known}"
        raise _direct("logout_redirect_uri", reason)
    return uri, _state(params.optional("state"))


def _client(realm: Realm, params: Params) -> Client:
    client_id = params.required("client_id")
    client = realm.clients.get(client_id)
    if client is None or not client.enabled:
        what = "unknown" if client is None else "disabled"
        raise _direct("client_id", f"client {client_id} {what}")
    return client


def _redirect_uri(client: Client, sent: str | None) -> str:
    uris = client.redirect_uris
    if sent is None and len(uris) == 1:
        return uris[0]
    if sent is None or sent not in uris:
        known = ", ".join(uris) or "none"
        raise _direct(
            "redirect_uri", f"redirect_uri {sent!r} is not registered; registered: {known}"
        )
    return sent


def _asks_for_a_code(realm: Realm, params: Params, redirect_uri: str) -> None:
    """RFC 6749 sections 4.1.1 and 4.1.2.1."""
    kinds = params.all("response_type")
    if kinds == ("code",):
        return
    reason = f"response_type {kinds[0]!r} is not code" if kinds else "response_type missing"
    if realm.conventions.redirects_response_type:
        raise RedirectError(
            "unsupported_response_type" if len(kinds) == 1 else "invalid_request",
            reason,
            parameter="response_type",
            redirect_uri=redirect_uri,
            state=params.optional("state"),
        )
    params.once("response_type")
    raise _direct("response_type", reason)


def _direct(parameter: str, reason: str) -> OAuthError:
    """A refusal that is shown where it is, and goes nowhere."""
    return OAuthError(
        "invalid_request", reason, text="authorization_parameter", parameter=parameter
    )


def _state(state: str | None) -> dict[str, str]:
    return {} if state is None else {"state": state}
