"""Who may steer a server: people and programs of this machine, and no page in a browser."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Refused:
    """Why somebody may not."""

    status: int
    description: str


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def refused(headers: Mapping[str, str], *, scheme: str, token: str | None) -> Refused | None:
    """Why a request may not steer the server; None if it may.

    `token` is what must be sent as `Authorization: Bearer`; None where only this machine can ask.
    """
    host = headers.get("Host", "")
    if token is not None:
        sent = headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(sent.encode(), token.encode()):
            return Refused(
                401, "send the token that was printed at the start: Authorization: Bearer"
            )
    # A page whose name its owner lets point to this machine (DNS rebinding) sends that name. Where
    # there is a token the page does not know it.
    elif not is_loopback(_name(host)):
        return Refused(403, f"the Host {host!r} is not this machine: ask at 127.0.0.1 or localhost")
    # What a page of another origin asks, and what a form sends, says where it comes from.
    origin = headers.get("Origin")
    if origin is not None and origin != f"{scheme}://{host}":
        return Refused(403, f"the Origin {origin!r} is foreign: no page of another origin may ask")
    # An image or a script says it in another way (Fetch Metadata, section 2.4).
    site = headers.get("Sec-Fetch-Site", "none")
    if site not in ("none", "same-origin"):
        return Refused(403, f"Sec-Fetch-Site is {site!r}: no page of another origin may ask")
    return None


def _name(host: str) -> str:
    """A Host without its port; nothing for one that is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
