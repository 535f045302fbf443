"""The device grant: a client polls until the user has decided (RFC 8628 sections 3.4 and 3.5)."""

from __future__ import annotations

from typing import Final

from fake_oauth.provider import resources
from fake_oauth.provider.errors import Cause, OAuthError
from fake_oauth.provider.issuing import Granted, first_tokens
from fake_oauth.provider.model import Client
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import TokenRequest
from fake_oauth.provider.store import DeviceCode, State

DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
SLOW_DOWN_SECONDS: Final = 5
"""How much longer a client waits after each `slow_down` (section 3.5)."""
TOLERANCE_SECONDS: Final = 0.1
"""How early a poll may arrive: one of two requests takes longer to arrive than the other."""

_CAUSES: Final[dict[State, Cause]] = {
    "expired": "device_code_expired",
    "spent": "device_code_spent",
    "revoked": "device_code_revoked",
}


def device_code(realm: Realm, client: Client, request: TokenRequest) -> Granted:
    """Issue tokens for a device code that the user has allowed, which is used up by it.

    A decision outranks `slow_down`, so a client that polls too often still learns of it.
    """
    realm.require_grant_type(client, DEVICE_CODE)
    value = request.parameters["device_code"]
    with realm.lock:
        now = realm.clock.now()
        code = realm.store.device_codes.find(value)
        if code is None:
            raise OAuthError("invalid_grant", "device code unknown", cause="device_code_unknown")
        realm.require_own(code.grant, client, "device code")
        if (flaw := code.flaw(now)) is not None:
            state, reason = flaw
            error = "expired_token" if state == "expired" else "invalid_grant"
            raise OAuthError(error, f"device code {reason}", cause=_CAUSES[state])
        if code.denied:
            raise OAuthError("access_denied", "the user denied the device", cause="access_denied")
        if code.approved is None:
            raise _undecided(code, now)
        realm.user_of(code.approved, client=client)
        audience, note = resources.audience(realm, request.parameters, code.approved.resources)
        code.spent = f"used by request {request.number}"
        realm.store.device_codes.retire(value)
    reason = f"device code {code.decision}, exchanged{note}"
    return first_tokens(realm, code.approved, audience=audience, jkt=request.jkt, reason=reason)


def _undecided(code: DeviceCode, now: float) -> OAuthError:
    """Return the response to a poll before the decision, and note the poll (section 3.5)."""
    interval, before, code.polled_at = code.interval_seconds, code.polled_at, now
    if before is not None and interval and 0 <= now - before < interval - TOLERANCE_SECONDS:
        code.interval_seconds += SLOW_DOWN_SECONDS
        reason = (
            f"polled {now - before:.1f} s after the last poll, sooner than {interval} s; the "
            f"interval is {code.interval_seconds} s from now on"
        )
        return OAuthError("slow_down", reason, cause="slow_down")
    reason = "the user has not decided yet"
    return OAuthError("authorization_pending", reason, cause="authorization_pending")
