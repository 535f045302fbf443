"""The page at the root of the server: what it is, and where to go from here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

from fake_oauth.http.endpoints import ENDPOINTS, methods_of
from fake_oauth.http.explanation import VARY
from fake_oauth.http.pages import LISTED, page, root
from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import authorize
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.model import Client
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Parameters
from fake_oauth.reply import Reply

# The pair of RFC 7636 appendix B, so that a person can go on to the token request.
_VERIFIER: Final = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
_CHALLENGE: Final = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
# The endpoints with a document that a person can read.
_DOCUMENTS: Final = ("discovery", "metadata", "jwks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A login that works: the URL of its authorization request, and how the client goes on."""

    client: Client
    query: str
    verifier: str | None
    """The code_verifier of the token request, if the client uses PKCE."""


def is_home(realm: Realm, path: str) -> bool:
    """Return whether a path is the root of the server, or that of its issuer."""
    return path.rstrip("/") in ("", _prefix(realm))


def home_page(realm: Realm, request: HTTPRequest) -> Reply:
    """Return the page that says what this server is."""
    # The path has that of the issuer at its start, or a proxy has removed it.
    prefix = _prefix(realm) if request.path.rstrip("/") == _prefix(realm) else ""
    below = root(request) + f"{prefix}/".lstrip("/")
    authorize_path = realm.paths.get("authorize", "")
    clients, users = list(realm.clients.values()), list(realm.users.values())
    made = page(
        "home.html",
        realm,
        request,
        reason="home page shown",
        console=None if realm.console is None else root(request) + realm.console.lstrip("/"),
        dialect=realm.dialect.name,
        issuer=realm.issuer,
        now=datetime.fromtimestamp(int(realm.clock.now()), UTC).strftime("%Y-%m-%d %H:%M:%S"),
        is_frozen=realm.clock.is_frozen,
        endpoints=[
            (methods_of(realm.dialect, name), path, ENDPOINTS[name].summary)
            for name, path in realm.paths.items()
        ],
        documents=[
            (name, below + realm.paths[name].lstrip("/"), realm.paths[name])
            for name in _DOCUMENTS
            if name in realm.paths
        ],
        has_login="authorize" in realm.paths,
        example=example(realm),
        authorize_url=realm.issuer.rstrip("/") + authorize_path,
        token_path=realm.paths["token"],
        authorize_link=below + authorize_path.lstrip("/"),
        clients=clients[:LISTED],
        clients_left_out=max(0, len(clients) - LISTED),
        users=users[:LISTED],
        users_left_out=max(0, len(users) - LISTED),
    )
    return replace(made, headers=(*made.headers, VARY))


def example(realm: Realm) -> Example | None:
    """Return a login of the first client that can log a user in; None if no client can."""
    for client in realm.clients.configured.values():
        if not client.redirect_uris:
            continue
        needs_challenge = authorize.needs_challenge(realm, client)
        parameters = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": client.redirect_uris[0],
            "scope": " ".join(realm.scopes_of(client)),
            "state": "example",
            "code_challenge": _CHALLENGE if needs_challenge else "",
            "code_challenge_method": "S256" if needs_challenge else "",
        }
        sent = {name: value for name, value in parameters.items() if value}
        try:
            authorize.validate(realm, Parameters(sent.items()))
        except OAuthError:
            continue
        query = urlencode(sent, errors="replace")
        return Example(client=client, query=query, verifier=_VERIFIER if needs_challenge else None)
    return None


def _prefix(realm: Realm) -> str:
    return urlsplit(realm.issuer).path.rstrip("/")
