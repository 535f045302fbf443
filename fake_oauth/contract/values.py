"""The documented values, and what stands for them on another server.

A page is written with the documented values, so that it reads like the documentation. Elsewhere the
client is another one, and so are its secret and its tokens: they are put in their places, wherever
these are: in a form, in JSON, in a query, inside `Authorization: Basic`.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fake_oauth.contract.pages import Page, Request

# What each value is called where people give it, and how the documentation writes it.
DOCUMENTED: Final[Mapping[str, str]] = {
    "client_id": "TENANT_CLIENT_ID",
    "client_secret": "TENANT_CLIENT_SECRET",
    "refresh_token": "MOCK_REFRESH_TOKEN",
    "access_token": "ACCESS_TOKEN",
    "redirect_uri": "https://example.com/callback",
    "logout_redirect_uri": "https://example.com/logout",
    "code": "MOCK_CODE",
    "code_challenge": "MOCK_CODE_CHALLENGE",
    "code_verifier": "MOCK_CODE_VERIFIER",
    "username": "MOCK_USERNAME",
    "password": "MOCK_PASSWORD",
    "phone_number": "13612345678",
    "email": "MOCK_USERNAME@example.com",
    "password_auth_source": "MOCK_USERNAME_PASSWORD_AUTH_SOURCE_ID",
    "sms_auth_source": "MOCK_SMS_OTP_AUTH_SOURCE_ID",
    "email_auth_source": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID",
    "otp": "MOCK_OTP",
    "otp_token": "MOCK_OTP_TOKEN",
    "p_state": "MOCK_LOGIN_PORTAL_STATE",
    "issuer": "https://sample.portal.tencentciam.com",
    "kid": "f9694d93-d541-4985-88dc-42229873008e",
}
SECRETS: Final = frozenset(
    {"client_secret", "refresh_token", "access_token", "code", "password", "otp", "otp_token"}
)
_TELLING: Final = 6
_BASIC: Final = "Basic "
_WRITTEN: Final = re.compile(
    "|".join(re.escape(text) for text in sorted(DOCUMENTED.values(), key=len, reverse=True))
)


def values_of(client: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, str]:
    """What a client and a user, as settings have them, say about the values."""
    found = {
        "client_id": client.get("client_id"),
        "client_secret": client.get("client_secret"),
        "redirect_uri": next(iter(client.get("redirect_uris", ())), None),
        "logout_redirect_uri": next(iter(client.get("logout_redirect_uris", ())), None),
        "username": user.get("username", user.get("sub")),
        "password": user.get("password"),
        "phone_number": user.get("phone"),
        "email": user.get("email"),
    }
    return {name: value for name, value in found.items() if value is not None}


def needed(page: Page) -> list[str]:
    """The values that a page's request has in it."""
    by_text = {written: name for name, written in DOCUMENTED.items()}
    found: set[str] = set()

    def seen(text: str) -> str:
        found.update(by_text[written] for written in _WRITTEN.findall(text))
        return text

    replaced(page.request, seen)
    return [name for name in DOCUMENTED if name in found]


def filled(request: Request, values: Mapping[str, str]) -> Request:
    """A request with other values in the places of the documented ones."""
    return replaced(request, lambda text: put(text, values))


def hidden(text: str, known: Mapping[str, str]) -> str:
    """A text with something else in the places of known values.

    Short ones are looked for as whole words only: they are found inside others by chance.
    """
    pattern = "|".join(
        re.escape(value) if len(value) >= _TELLING else rf"(?<!\w){re.escape(value)}(?!\w)"
        for value in sorted(known, key=len, reverse=True)
    )
    return re.sub(pattern, lambda match: known[match[0]], text) if pattern else text


def put(text: str, values: Mapping[str, str]) -> str:
    """A text with other values in the places of the documented ones."""
    by_text = {DOCUMENTED[name]: value for name, value in values.items()}
    return _WRITTEN.sub(lambda match: by_text.get(match[0], match[0]), text)


def replaced(request: Request, change: Callable[[str], str]) -> Request:
    """A request with every value in it changed, and written as it was."""
    headers = {name: _header(value, change) for name, value in request.headers.items()}
    parts = urlsplit(request.path)
    path = request.path
    if parts.query:
        pairs = [(name, change(value)) for name, value in parse_qsl(parts.query)]
        path = f"{parts.path}?{urlencode(pairs, quote_via=quote)}"
    body = request.body
    if body is not None and "json" in request.headers.get("Content-Type", ""):
        body = json.dumps(_json(json.loads(body), change), indent=2, ensure_ascii=False)
    elif body is not None:
        pairs = [(name, change(value)) for name, value in parse_qsl(body, keep_blank_values=True)]
        body = urlencode(pairs)
    return Request(method=request.method, path=path, headers=headers, body=body)


def _header(value: str, change: Callable[[str], str]) -> str:
    if value.startswith(_BASIC):
        halves = b64decode(value.removeprefix(_BASIC)).decode().split(":", 1)
        changed = ":".join(quote(change(half), safe="") for half in halves)
        return _BASIC + b64encode(changed.encode()).decode()
    scheme, space, token = value.partition(" ")
    return f"{scheme}{space}{change(token)}" if scheme == "Bearer" else value


def _json(data: Any, change: Callable[[str], str]) -> Any:
    if isinstance(data, dict):
        return {name: _json(value, change) for name, value in data.items()}
    return change(data) if isinstance(data, str) else data
