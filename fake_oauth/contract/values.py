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
from urllib.parse import parse_qsl, quote, urlencode

from fake_oauth.contract.pages import Request

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
# What else a server may have otherwise, and people may say: the documentation's user has one name
# for all, its client one scope.
NAMES: Final = (*DOCUMENTED, "sub", "scope")
DOCUMENTED_SCOPE: Final = "openid"
SECRETS: Final = frozenset(
    {"client_secret", "refresh_token", "access_token", "code", "password", "otp", "otp_token"}
)
_TELLING: Final = 6
_TEXTS: Final = "|".join(
    re.escape(text) for text in sorted(DOCUMENTED.values(), key=len, reverse=True)
)
_WRITTEN: Final = re.compile(_TEXTS)
# The documented values that go by the name of their member.
_NAMED: Final = (
    r'(?P<before>"(?P<name>sub|scope|scopes_supported)"\s*:\s*)'
    rf'(?P<value>"{DOCUMENTED["username"]}"|"{DOCUMENTED_SCOPE}"'
    rf'|(?P<open>\[\s*)"{DOCUMENTED_SCOPE}"(?P<close>\s*\]))'
)
_WRITTEN_IN_JSON: Final = re.compile(f"{_NAMED}|{_TEXTS}|<issuer>")


def values_of(client: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, str]:
    """What a client and a user, as settings have them, say about the values."""
    found = {
        "client_id": client.get("client_id"),
        "client_secret": client.get("client_secret"),
        "redirect_uri": next(iter(client.get("redirect_uris", ())), None),
        "logout_redirect_uri": next(iter(client.get("logout_redirect_uris", ())), None),
        "username": user.get("username", user.get("sub")),
        "sub": user.get("sub"),
        "password": user.get("password"),
        "phone_number": user.get("phone"),
        "email": user.get("email"),
    }
    return {name: value for name, value in found.items() if value is not None}


def needed(*requests: Request) -> list[str]:
    """The documented values that requests have in them."""
    by_text = {written: name for name, written in DOCUMENTED.items()}
    found: set[str] = set()

    def seen(text: str) -> str:
        found.update(by_text[written] for written in _WRITTEN.findall(text))
        return text

    for request in requests:
        replaced(request, seen)
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
    by_text = _by_text(values)
    return _WRITTEN.sub(lambda match: by_text.get(match[0], match[0]), text)


def put_url(text: str, values: Mapping[str, str]) -> str:
    """The same for a URL that goes on behind one of them, which may have a query already."""
    for name in ("redirect_uri", "logout_redirect_uri"):
        if "?" in values.get(name, ""):
            text = text.replace(f"{DOCUMENTED[name]}?", f"{DOCUMENTED[name]}&")
    return put(text, values)


def put_json(text: str, values: Mapping[str, str]) -> str:
    """The same for JSON, where a `sub`, a `scope` and an `<issuer>` have values of their own."""
    by_text = {written: _escaped(value) for written, value in _by_text(values).items()}
    by_text["<issuer>"] = _escaped(values.get("issuer", "<issuer>"))

    def there(match: re.Match[str]) -> str:
        if match[0] in by_text:
            return by_text[match[0]]
        value = None if match["name"] is None else values.get(match["name"])
        if value is None:
            before, written = match["before"] or "", match["value"] or match[0]
            return before + _WRITTEN.sub(lambda found: by_text.get(found[0], found[0]), written)
        if match["open"] is None:
            return f'{match["before"]}"{_escaped(value)}"'
        words = (", " if " " in match["open"] else ",").join(map(json.dumps, value.split()))
        return match["before"] + match["open"] + words + match["close"]

    return _WRITTEN_IN_JSON.sub(there, text)


def _by_text(values: Mapping[str, str]) -> dict[str, str]:
    return {written: values[name] for name, written in DOCUMENTED.items() if name in values}


def _escaped(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def parameters(request: Request) -> dict[str, Any]:
    """What a request has in its query and in its form, or JSON, by name."""
    query = dict(parse_qsl(request.path.partition("?")[2], keep_blank_values=True))
    data = _json_of(request)
    if data is None:
        data = dict(parse_qsl(request.body or "", keep_blank_values=True))
    return query | data if isinstance(data, dict) else query


def replaced(request: Request, change: Callable[[str], str]) -> Request:
    """A request with every value in it changed, and written as it was."""
    headers = {name: _header(value, change) for name, value in request.headers.items()}
    path, _, query = request.path.partition("?")
    if query:
        pairs = [(name, change(value)) for name, value in parse_qsl(query, keep_blank_values=True)]
        path = f"{path}?{urlencode(pairs, quote_via=quote)}"
    body, data = request.body, _json_of(request)
    if data is not None:
        body = json.dumps(_json(data, change), indent=2, ensure_ascii=False)
    elif body is not None and "urlencoded" in request.headers.get("Content-Type", ""):
        pairs = [(name, change(value)) for name, value in parse_qsl(body, keep_blank_values=True)]
        body = urlencode(pairs)
    return Request(method=request.method, path=path, headers=headers, body=body)


def _json_of(request: Request) -> Any:
    """The body as JSON; None if it is, or says that it is, something else."""
    is_json = "json" in request.headers.get("Content-Type", "")
    return parsed(request.body or "") if is_json else None


def parsed(text: str | bytes) -> Any:
    """What a text is as JSON; None for what is none, and for what is too deep to be any."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _header(value: str, change: Callable[[str], str]) -> str:
    scheme, space, rest = value.partition(" ")
    if scheme.lower() == "basic":
        try:
            halves = b64decode(rest).decode().split(":", 1)
        except ValueError:
            return value  # It is to be malformed.
        changed = ":".join(quote(change(half), safe="") for half in halves)
        return f"{scheme} {b64encode(changed.encode()).decode()}"
    return f"{scheme}{space}{change(rest)}" if scheme.lower() == "bearer" else value


def _json(data: Any, change: Callable[[str], str]) -> Any:
    if isinstance(data, dict):
        return {name: _json(value, change) for name, value in data.items()}
    return change(data) if isinstance(data, str) else data
