"""Logout: who may end the session of a browser, and where the browser is sent afterwards.

OpenID Connect RP-Initiated Logout 1.0 at the end-session endpoint, and CIAM's own logout. The
browser shows an error: nothing is sent to a URI that is not the client's. Tokens stay valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fake_oauth.provider.authorize import differ_in_port
from fake_oauth.provider.errors import OAuthError, bad_authorization_parameter
from fake_oauth.provider.hints import read_id_token
from fake_oauth.provider.model import Client
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Parameters
from fake_oauth.provider.tokens import InvalidTokenError

PARAMETERS: Final = (
    "id_token_hint",
    "logout_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
    "ui_locales",
)
"""The parameters of a request to the end-session endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutRequest:
    """A valid request to end the session of a browser (RP-Initiated Logout 1.0 section 2)."""

    sent: Mapping[str, str]
    """The parameters that have a value."""
    client_id: str | None
    """The client that asks; None is unknown."""
    redirect_uri: str | None
    """Where the browser is sent afterwards; None is a page of the server."""
    hinted_sub: str | None
    """The user of the `id_token_hint`; None if there was none."""

    @property
    def state(self) -> Mapping[str, str]:
        """The parameters of the redirect."""
        return {name: self.sent[name] for name in ("state",) if name in self.sent}

    def needs_confirmation(self, realm: Realm, sub: str | None) -> bool:
        """Return whether the user `sub`, who is logged in in this browser, must confirm the logout.

        The hint can name the user, and a test can log every browser in; both are enough.
        """
        return sub not in (None, self.hinted_sub) and realm.logged_in_everywhere is None


def validate(realm: Realm, parameters: Parameters) -> LogoutRequest:
    """Return a request that needs at most a confirmation (RP-Initiated Logout 1.0 section 2)."""
    values = {name: parameters.optional(name) for name in PARAMETERS}
    sent = {name: value for name, value in values.items() if value is not None}
    claims = _hint(realm, sent.get("id_token_hint"))
    client = _client(realm, sent.get("client_id"), claims)
    uri = sent.get("post_logout_redirect_uri")
    if uri is not None and client is not None:
        _require_registered(realm, client, uri)
    return LogoutRequest(
        sent=sent,
        client_id=None if client is None else client.client_id,
        redirect_uri=None if client is None else uri,
        hinted_sub=claims.get("sub"),
    )


def log_out(realm: Realm, parameters: Parameters) -> tuple[str, Mapping[str, str]]:
    """Return where to redirect after logout, and with which parameters (CIAM 1441/64393)."""
    client_id = parameters.optional("client_id")
    if client_id is None:
        raise OAuthError("invalid_request", "no client_id", cause="logout_client_id")
    client = _known(realm, client_id)
    uri = parameters.optional("logout_redirect_uri")
    uris = client.logout_redirect_uris
    if uri is None and len(uris) == 1:
        uri = uris[0]
    if uri is None or uri not in uris:
        raise _unregistered("logout_redirect_uri", uri, client)
    state = parameters.optional("state")
    return uri, {} if state is None else {"state": state}


def _hint(realm: Realm, hint: str | None) -> dict[str, Any]:
    """Return the claims of the hint; none without a hint."""
    if hint is None:
        return {}
    try:
        return read_id_token(realm, hint)
    except InvalidTokenError as error:
        raise bad_authorization_parameter("id_token_hint", f"id_token_hint is {error}") from None


def _client(realm: Realm, client_id: str | None, hint: Mapping[str, Any]) -> Client | None:
    """Return the client that asks: the one that is named, or that of the hint."""
    audience = hint.get("aud")
    clients = audience if isinstance(audience, list) else [audience]
    if client_id is None:
        named = hint.get("azp", clients[0] if clients else None)
        client_id = named if isinstance(named, str) else None
    elif hint and client_id not in clients:
        reason = f"client_id {client_id} is not in the aud of id_token_hint, {audience!r}"
        raise bad_authorization_parameter("client_id", reason)
    return None if client_id is None else _known(realm, client_id)


def _known(realm: Realm, client_id: str) -> Client:
    client = realm.clients.get(client_id)
    if client is None or not client.enabled:
        flaw = "unknown" if client is None else "disabled"
        reason = f"client {client_id} {flaw}"
        raise bad_authorization_parameter("client_id", reason, client=client)
    return client


def _require_registered(realm: Realm, client: Client, uri: str) -> None:
    """Check that the browser may be sent to a URI; that of this machine on any port."""
    uris = client.logout_redirect_uris
    if uri not in uris and not any(differ_in_port(uri, one, realm.acceptance) for one in uris):
        raise _unregistered("post_logout_redirect_uri", uri, client)


def _unregistered(parameter: str, uri: str | None, client: Client) -> OAuthError:
    known = ", ".join(client.logout_redirect_uris) or "none"
    return bad_authorization_parameter(
        parameter,
        f"{parameter} {uri!r} is not registered; registered: {known}",
        client=client,
    )
