"""Device authorization: a device code for the client, and a user code for the user (RFC 8628)."""

from __future__ import annotations

from fake_oauth.provider import resources
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.grants.device_code import DEVICE_CODE
from fake_oauth.provider.issuing import log_in, new_device_code
from fake_oauth.provider.model import User
from fake_oauth.provider.realm import Realm, granted_scopes
from fake_oauth.provider.request import TokenRequest
from fake_oauth.provider.store import DeviceCode


def authorize_device(realm: Realm, request: TokenRequest) -> DeviceCode:
    """Return a new device code for a client (RFC 8628 section 3.1)."""
    client = realm.authenticate(request.credentials)
    realm.require_grant_type(client, DEVICE_CODE)
    scope = request.parameters.optional("scope")
    scopes = granted_scopes(scope, realm.scopes_of(client), verb="registered")
    named = resources.requested(realm, request.parameters)
    code = new_device_code(realm, client, scopes, entered)
    code.grant.resources = named
    return code


def entered(user_code: str) -> str:
    """Return a user code as it is compared: without case, punctuation, and spaces (section 6.1).

    >>> entered("wdjb mjht")
    'WDJBMJHT'
    """
    return "".join(filter(str.isalnum, user_code.upper()))


def undecided(realm: Realm, user_code: str) -> DeviceCode:
    """Return the device code that waits for a decision. Raise OAuthError unless one does."""
    with realm.lock:
        code = realm.store.device_code_of(entered(user_code))
        if code is None:
            raise _refused("unknown")
        if (flaw := code.flaw(realm.clock.now())) is not None:
            raise _refused(flaw[1])
        if code.decision is not None:
            raise _refused(f"{code.decision} already")
    return code


def allow(realm: Realm, user_code: str, user: User, *, at: float | None = None) -> DeviceCode:
    """Let a user who logged in at a time allow a device, once; None is now.

    Return its device code. Raise OAuthError if none waits.
    """
    with realm.lock:
        code = undecided(realm, user_code)
        grant = log_in(realm, realm.owner(code.grant), user, code.grant.scopes, at=at)
        grant.resources = code.grant.resources
        code.approved = grant
    return code


def deny(realm: Realm, user_code: str) -> DeviceCode:
    """Deny a device, once. Return its device code; raise OAuthError if none waits."""
    with realm.lock:
        code = undecided(realm, user_code)
        code.denied = True
    return code


def _refused(reason: str) -> OAuthError:
    return OAuthError("invalid_grant", f"user code {reason}", cause="user_code")
