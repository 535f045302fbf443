"""The JWT bearer grant (RFC 7523 section 2.1): a trusted issuer's assertion is the grant."""

from __future__ import annotations

from fake_oauth.provider import resources
from fake_oauth.provider.assertions import (
    JWT_BEARER,
    Assertion,
    InvalidAssertionError,
    Requirements,
    read,
    use,
    verify,
)
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.issuing import Granted, mint
from fake_oauth.provider.model import Client, TrustedIssuer, User
from fake_oauth.provider.realm import Realm, granted_scopes, invalid_client, unidentified
from fake_oauth.provider.request import TokenRequest


def jwt_bearer(realm: Realm, client: Client, request: TokenRequest) -> Granted:
    """Issue tokens for the user that an assertion names; no refresh token (RFC 7521 section 4.1).

    The parameter `scope` narrows the assertion's claim `scope`, and that the client's scopes.
    """
    now = realm.clock.now()
    try:
        assertion = read(request.parameters["assertion"])
        issuer = _issuer(realm, assertion)
        verify(assertion, _requirements(realm, issuer), now)
    except InvalidAssertionError as error:
        raise _refused(error) from None
    named = assertion.claim("client_id")
    if named not in (None, client.client_id):
        raise _refused(f"client_id: expected {client.client_id!r}, got {named!r}")
    realm.require_grant_type(client, JWT_BEARER)
    user = _user(realm, assertion)
    scopes = granted_scopes(assertion.claim("scope"), client.scopes, verb="registered")
    scope = request.parameters.optional("scope")
    if scope is not None:
        scopes = granted_scopes(scope, scopes, verb="granted")
    audience, note = resources.audience(realm, request.parameters)
    with realm.lock:
        try:
            use(assertion, realm.store, now)
        except InvalidAssertionError as error:
            raise _refused(error) from None
        # The user has not logged in here, so no token has an auth_time.
        grant = realm.store.open_grant(client.client_id, user.sub, scopes, owner=user.login_name)
    reason = f"assertion of {issuer.issuer} accepted for {user.login_name}"
    reason += f", client {client.client_id}{note}"
    return mint(realm, grant, now, audience=audience, jkt=request.jkt, reason=reason)


def default_client(realm: Realm, request: TokenRequest) -> Client:
    """Return the client of a request that names none (RFC 7523 section 3.1 lets it).

    It is the client of the assertion's issuer, or the first one. The assertion is verified later.
    """
    name = None
    try:
        name = _issuer(realm, read(request.parameters.get("assertion", ""))).client
    except InvalidAssertionError:
        pass  # The first client is told, once its parameters are read.
    name = next(iter(realm.clients), None) if name is None else name
    if name is None:
        raise unidentified("no client credentials, and no client is registered")
    client = realm.clients.get(name)
    if client is None:
        raise invalid_client(f"client {name} unknown", "client_unknown")
    if not client.enabled:
        raise invalid_client(f"client {name} disabled", "client_disabled")
    return client


def _issuer(realm: Realm, assertion: Assertion) -> TrustedIssuer:
    """Return the trusted issuer of an assertion. Every server trusts itself."""
    name = assertion.claim("iss")
    if name is not None:
        if name in realm.trusted_issuers:
            return realm.trusted_issuers[name]
        if name == realm.issuer:
            return TrustedIssuer(issuer=name)
    known = ", ".join([realm.issuer, *realm.trusted_issuers])
    got = assertion.claims.get("iss")
    raise InvalidAssertionError(f"iss: expected one of {known}, got {str(got)[:200]!r}")


def _requirements(realm: Realm, issuer: TrustedIssuer) -> Requirements:
    own = [key.jwk() for key in realm.keys.published()]
    return Requirements(
        issuer=issuer.issuer,
        keys=own if issuer.jwks is None else issuer.jwks["keys"],
        # The draft that updates RFC 7523 keeps both for grants.
        audiences=(realm.issuer, realm.url_of("token")),
    )


def _user(realm: Realm, assertion: Assertion) -> User:
    """Return the active user whom an assertion names by sub or username.

    Without a `sub`, which RFC 7523 section 3 requires, the issuer speaks for itself: a service
    account of Google has none.
    """
    name = assertion.claim("iss" if assertion.claims.get("sub") is None else "sub")
    by_name = {user.login_name: user for user in realm.users.values()} | realm.users
    user = by_name.get(name or "")
    if user is None:
        claim = "sub" if "sub" in assertion.claims else "iss, without a sub,"
        raise OAuthError(
            "invalid_grant",
            f"assertion: no user has the sub or username of its {claim} {name!r}",
            cause="assertion",
        )
    return realm.active_user(user, user.sub)


def _refused(reason: object) -> OAuthError:
    return OAuthError("invalid_grant", f"assertion: {reason}", cause="assertion")
