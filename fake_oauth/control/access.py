"""Which requests can use the control API.

Those from this machine or with the control token can, and none from a page of another origin. The
token is new for each server, unless it is given: to a process by an environment variable, because
everybody on a machine can read the options of its processes.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from fake_oauth.provider.errors import FakeOAuthError

VARIABLE: Final = "FAKE_OAUTH_CONTROL_TOKEN"
"""The environment variable with the control token of a server that a command starts."""

_SHORTEST: Final = 16
# What can follow `Bearer` (RFC 6750 section 2.1).
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_NO_OTHER_PAGE: Final = "no page of another origin can use the control API"
_BEARER: Final = 'Bearer realm="fake_oauth control API"'
# A browser asks its user for a username and a password, and shows this (RFC 7617 section 2).
_BASIC: Final = (
    'Basic realm="fake_oauth: any username, and the control token as password", charset="UTF-8"'
)


@dataclass(frozen=True, slots=True)
class AccessRefusal:
    """Why a request may not use the control API."""

    status: int
    description: str
    headers: Mapping[str, str] = field(default_factory=dict)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def control_token_of(environment: Mapping[str, str]) -> str | None:
    """Return the control token in an environment; None if there is none.

    Raise FakeOAuthError, without the token, if it is empty or weak.
    """
    token = environment.get(VARIABLE)
    if token is not None and (flaw := _flaw_of(token)):
        raise FakeOAuthError(f"{VARIABLE}: {flaw}; change it, or unset it for a new token")
    return token


def checked_control_token(token: str) -> str:
    """Return a control token. Raise FakeOAuthError, without the token, if it is empty or weak."""
    if flaw := _flaw_of(token):
        raise FakeOAuthError(f"control_token: {flaw}; change it, or leave it out for a new token")
    return token


def _flaw_of(token: str) -> str | None:
    if len(token) < _SHORTEST:
        return f"expected at least {_SHORTEST} characters, got {len(token)}"
    if len(set(token)) < _SHORTEST // 4:
        return "expected characters that differ"
    if not _TOKEN.fullmatch(token):
        return "expected letters, digits, and any of -._~+/ (RFC 6750 section 2.1)"
    return None


def refusal_of(
    headers: Mapping[str, str], *, scheme: str, token: str | None, asks_people: bool = False
) -> AccessRefusal | None:
    """Return why a request may not use the control API; None if it may.

    `token` is the one that `Authorization` must have. It is None if only this machine can reach the
    server. `asks_people` is for a request whose browser can ask its user for the token.
    """
    host = headers.get("Host", "")
    if token is not None:
        sent = _sent_token(headers.get("Authorization", ""))
        if not hmac.compare_digest(sent, token.encode()):
            return AccessRefusal(
                401,
                "the control token is missing or invalid; send Authorization: Bearer TOKEN with "
                "the token that was printed at startup",
                {"WWW-Authenticate": _BASIC if asks_people else _BEARER},
            )
    # A page can have a host name that points to this machine (DNS rebinding). It sends that name,
    # and it does not know the token, if there is one.
    elif not is_loopback(_host_name(host)):
        return AccessRefusal(
            403, f"Host {host!r} does not name this machine; use 127.0.0.1 or localhost"
        )
    # A browser names the origin of a page that sends a form or a script's request.
    origin = headers.get("Origin")
    if origin is not None and origin != f"{scheme}://{host}":
        return AccessRefusal(403, f"Origin {origin!r} is foreign; {_NO_OTHER_PAGE}")
    # For an image or a script, a browser says so in another way (Fetch Metadata, section 2.4).
    site = headers.get("Sec-Fetch-Site", "none")
    if site not in ("none", "same-origin"):
        return AccessRefusal(403, f"Sec-Fetch-Site is {site!r}; {_NO_OTHER_PAGE}")
    return None


def _sent_token(authorization: str) -> bytes:
    """Return the control token that a request sends; nothing if it sends none.

    With `Basic`, it is the password, after any username (RFC 7617 section 2).
    """
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() != "basic":
        return b""
    try:
        return b64decode(value.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _host_name(host: str) -> str:
    """Return a Host without its port; an empty text if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
