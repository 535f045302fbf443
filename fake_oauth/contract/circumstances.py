"""What must have happened before an exchange, and what is used up, as far as it shows it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from fake_oauth.contract.pages import Request, Response
from fake_oauth.contract.values import DOCUMENTED, DOCUMENTED_SCOPE, needed, parameters
from fake_oauth.provider.grants import s256

_NONCE: Final = "MOCK_NONCE"
_LIFETIME: Final = 3600
# What is given out in a redirect, and would be another one next time.
_IDS: Final = ("code", "p_state")


def circumstances(asked: Request, answered: Response) -> dict[str, Any]:
    """The fields of a page that say so."""
    names = needed(asked)
    location = answered.headers.get("Location", "")
    came = [name for name in _IDS if DOCUMENTED[name] in location]
    told: dict[str, Any] = {"given": _given(names, came, answered)}
    if needs := _needs(names, came, answered):
        told["needs"] = needs
    if "login" in needs:
        told["state"] = "the browser is logged in"
    if spends := _spends(names, asked, answered):
        told["spends"] = spends
    return told


def _given(names: Collection[str], came: Collection[str], answered: Response) -> dict[str, Any]:
    given: dict[str, Any] = {}
    body = answered.body or ""
    if DOCUMENTED["issuer"] in f"{answered.headers.get('Location', '')} {body}":
        given["issuer"] = DOCUMENTED["issuer"]
    if ids := {name: [DOCUMENTED[name]] for name in _IDS if name in {*names, *came}}:
        given["ids"] = ids
    if "refresh_token" in names and '"exp"' in body:
        # It is told when it ends, which the documented one does not.
        own = {"value": DOCUMENTED["refresh_token"], "lifetime_seconds": _LIFETIME}
        given["refresh_tokens"] = [own]
    if scopes := _granted(answered):
        client = {
            **{name: DOCUMENTED[name] for name in ("client_id", "client_secret")},
            "redirect_uris": [DOCUMENTED["redirect_uri"]],
            "scopes": scopes,
        }
        given["clients"] = [client]
    return given


def _granted(answered: Response) -> list[str]:
    """The scopes of a reply, where they are others than the documented client has."""
    said = json.loads(answered.body or "{}").get("scope")
    scopes = sorted(set(said.split())) if isinstance(said, str) and answered.status < 400 else []
    return [] if scopes == [DOCUMENTED_SCOPE] else scopes


def _needs(
    names: Collection[str], came: Collection[str], answered: Response
) -> Mapping[str, Mapping[str, str]]:
    if "code" in names:
        how = {"redirect_uri": DOCUMENTED["redirect_uri"]} if "redirect_uri" in names else {}
        if "code_verifier" in names:
            how["code_challenge"] = s256(DOCUMENTED["code_verifier"])
        if any("nonce" in claims for claims in answered.claims.values()):
            how["nonce"] = _NONCE
        return {"code": how}
    if "code" in came:
        return {"login": {}}
    return {"access_token": {}} if "access_token" in names else {}


def _spends(names: Collection[str], asked: Request, answered: Response) -> str | None:
    if "code" in names:
        return "the code"
    if answered.status >= 400:
        return None
    grant_type, path = parameters(asked).get("grant_type"), asked.path.partition("?")[0]
    if "refresh_token" in names and grant_type == "refresh_token":
        return "the refresh token, where it rotates"
    if path.endswith("/revoke") and {"access_token", "refresh_token"} & {*names}:
        return "the token"
    return "an OTP" if '"otp_token"' in (answered.body or "") else None
