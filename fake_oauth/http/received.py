"""What a client receives: the tokens in a response, and how long it believes that they live.

A fault can change a response on its way, so this is not always what the endpoint sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from fake_oauth.faults.base import LONGEST_SECONDS
from fake_oauth.provider.store import AccessToken, DeviceCode, Letter, RefreshToken
from fake_oauth.provider.tokens import InvalidTokenError, decode
from fake_oauth.reply import Reply, Response

# The member of a response that has a token, by the letter of the token's name.
_MEMBERS: Final[dict[Letter, str]] = {
    "a": "access_token",
    "r": "refresh_token",
    "d": "device_code",
}


def received(reply: Reply, response: Response, *, changes_layout: bool = False) -> Reply:
    """Return the reply with what a client can read of it in a damaged response.

    If a fault `changes_layout`, the tokens can be anywhere, in any format.
    """
    members, sent = members_of(response), reply.data or {}
    if members is None and reply.data is None:
        from fake_oauth.faults.authorization import error_in  # most faults are in JSON

        return replace(reply, authorization_error=error_in(response))
    if changes_layout:
        text = response.body.decode(errors="replace")
        issued = tuple(
            token
            for token in reply.issued
            if str(
                token.value
                if isinstance(token, RefreshToken | DeviceCode)
                else sent.get("access_token")
            )
            in text
        )
        return replace(reply, issued=issued, data=reply.data if members is None else members)
    if members is None:
        return replace(reply, issued=(), data=None)
    issued = tuple(
        token
        for token in reply.issued
        for name in [_MEMBERS[token.letter]]
        if members.get(name) == sent.get(name)
    )
    return replace(reply, issued=issued, data=members)


def members_of(response: Response) -> dict[str, Any] | None:
    """Return the JSON object in a response, if it has one."""
    try:
        members = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def end_of_lifetime(data: object, now: float) -> float | None:
    """Return when the access token in a response expires by its `expires_in`, at any depth.

    Return None if the response does not say it.
    """
    seconds = _lifetime_in(data)
    if not isinstance(seconds, int | float):
        return None
    # An integer can be too large for a float.
    return now + max(-LONGEST_SECONDS, min(seconds, LONGEST_SECONDS))


def expiry(token: AccessToken, value: str) -> float | None:
    """Return when an access token with a changed value expires: at its `exp`, if it is earlier."""
    claims, expires_at = token.claims_of(value), token.expires_at
    if claims is None:
        try:
            _, claims = decode(value)
        except InvalidTokenError:
            return expires_at
    exp = claims.get("exp")
    if expires_at is None or not isinstance(exp, int | float):
        return expires_at
    return min(expires_at, max(exp, 0))  # An integer can be too small for a float.


def _lifetime_in(data: object) -> object:
    if not isinstance(data, Mapping):
        return None
    if "expires_in" in data:
        return data["expires_in"]
    found = (_lifetime_in(member) for member in data.values())
    return next((seconds for seconds in found if seconds is not None), None)
