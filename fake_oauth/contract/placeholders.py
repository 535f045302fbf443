"""Values that vary: documented values in requests, and placeholders in responses.

A case is written with the documented values, so that it reads like the documentation. For another
server, its values replace the documented ones: in a form, in JSON, in a query, inside
`Authorization: Basic`. In an expected response, a placeholder such as `<jwt>` matches a value that
differs in each response.

To add a documented value, add a row to `DOCUMENTED`. To add a placeholder, add a row to
`_PLACEHOLDERS` and a word to `fixtures/README.md`.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, NoReturn
from urllib.parse import parse_qsl, quote, urlencode

from fake_oauth.contract.cases import Request
from fake_oauth.parameters import kind_of

Level = Literal["strict", "loose"]
"""How exact a response is compared: byte for byte, or by meaning."""

DOCUMENTED: Final[Mapping[str, str]] = {
    "client_id": "TENANT_CLIENT_ID",
    "client_secret": "TENANT_CLIENT_SECRET",
    "refresh_token": "MOCK_REFRESH_TOKEN",
    "access_token": "ACCESS_TOKEN",
    "redirect_uri": "https://example.com/callback",
    "logout_redirect_uri": "https://example.com/logout",
    "code": "MOCK_CODE",
    "device_code": "MOCK_DEVICE_CODE",
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
"""The documented values, by the names that people give them."""
DOCUMENTED_SCOPE: Final = "openid"
NAMES: Final = (*DOCUMENTED, "sub", "scope")
"""The names of all values that can be given. The documented `sub` is the username."""
SECRETS: Final = frozenset(name for name in DOCUMENTED if kind_of(name) in ("secret", "token"))
"""The names of the values that no report shows."""

JSON_DEPTH: Final = 64
"""How deep JSON from a server may be nested."""

# What a placeholder matches: strictly, and by meaning.
_PLACEHOLDERS: Final[Mapping[str, tuple[str, str]]] = {
    "<jwt>": (r"[\w-]+\.[\w-]+\.[\w-]+", r"[\w-]+\.[\w-]+\.[\w-]+"),
    "<token>": (r"[\w-]{128}", r"\S+"),
    "<modulus>": (r"[\w-]{342}", r"[\w-]+"),
    "<uuid>": (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"\S+"),
    "<issuer>": (r"https?://[^\s\"]+", r"https?://[^\s\"]+"),
    "<url>": (r"https?://[^\s\"]+", r"https?://[^\s\"]+"),
    "<any>": (r"\S+", r"\S+"),
    "<text>": (r".+", r".*"),
}
_TIME: Final = re.compile(r"<(?:time|iat(?:\+(\d+))?)>")
_PLACEHOLDER: Final = re.compile("|".join(_PLACEHOLDERS))
_ANY_PLACEHOLDER: Final = re.compile(f"{_PLACEHOLDER.pattern}|<number>|{_TIME.pattern}")

_TEXTS: Final = "|".join(
    re.escape(text) for text in sorted(DOCUMENTED.values(), key=len, reverse=True)
)
_DOCUMENTED: Final = re.compile(_TEXTS)
# These documented values are ordinary words; only the name of the member identifies them.
_MEMBER: Final = (
    r'(?P<before>"(?P<name>sub|scope|scopes_supported)"\s*:\s*)'
    rf'(?P<value>"{DOCUMENTED["username"]}"|"{DOCUMENTED_SCOPE}"'
    # A server whose refresh tokens depend on it supports offline_access, too.
    rf'|(?P<open>\[\s*)(?:"offline_access",\s*)?"{DOCUMENTED_SCOPE}"(?P<close>\s*\]))'
)
_DOCUMENTED_IN_JSON: Final = re.compile(f"{_MEMBER}|{_TEXTS}|<issuer>")


# Placeholders


def has_placeholder(text: str) -> bool:
    """Return whether a text has a placeholder in it."""
    return _ANY_PLACEHOLDER.search(text) is not None


def matches(expected: str, text: str, level: Level) -> bool:
    """Return whether a text is the expected one, apart from its placeholders."""
    if expected == "<text>":
        return level == "loose" or text != ""
    pattern, end = "", 0
    for match in _PLACEHOLDER.finditer(expected):
        after = expected[match.end() : match.end() + 1]
        pattern += re.escape(expected[end : match.start()]) + _pattern(match[0], after, level)
        end = match.end()
    return re.fullmatch(pattern + re.escape(expected[end:]), text, re.DOTALL) is not None


def _pattern(placeholder: str, after: str, level: Level) -> str:
    pattern = _PLACEHOLDERS[placeholder][level == "loose"]
    characters, count = pattern[:-1], pattern[-1]
    if characters not in (r"\S", ".") or not after:
        return pattern
    # Such a value ends where the text after it begins. If it could go on, several of them in one
    # text would take time in powers of the length of a hostile response.
    space = r"\s" if characters == r"\S" else ""
    if after == '"':  # A quoted string can have escapes (RFC 9110 section 5.6.4).
        return rf"(?:[^{space}\"\\]|\\.){count}"
    return f"[^{space}{re.escape(after)}]{count}"


def is_number(expected: Any, actual: Any) -> bool:
    """Return whether any number is expected, and this is one."""
    return expected == "<number>" and type(actual) in (int, float)


def is_time(expected: Any) -> bool:
    """Return whether an expected value is a placeholder for a time."""
    return isinstance(expected, str) and _TIME.fullmatch(expected) is not None


def matches_time(expected: str, actual: Any, iat: Any, level: Level) -> bool:
    """Return whether a number of seconds since 1970 is the expected time.

    `<iat+300>` is 300 seconds after the `iat` next to it, by meaning any time after it. `<iat>` is
    that time, by meaning any time up to it.
    """
    kinds = (int,) if level == "strict" else (int, float)  # RFC 7519 section 2 allows fractions.
    if type(actual) not in kinds or not 10**8 <= actual < 10**10:
        return False
    match = _TIME.fullmatch(expected)
    if match is None or expected == "<time>":
        return True
    later = int(match[1] or 0)
    if level == "strict":
        return bool(actual - later == iat)
    return type(iat) not in kinds or bool(actual > iat if later else actual <= iat)


# JSON and URLs from a server


def parse_json(text: str) -> Any:
    """Return the JSON value of a text; None if it is not JSON, or nested too deeply to be read."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    level = [value]
    for _ in range(JSON_DEPTH):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return value
    return None


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"RFC 8259 section 6 has no {name}")


def leaves(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every text, number, boolean, and null in JSON, each with the innermost name."""
    if isinstance(data, dict):
        for inner, value in data.items():
            yield from leaves(value, inner)
    elif isinstance(data, list):
        for value in data:
            yield from leaves(value, name)
    else:
        yield name, data


def url_parameters(url: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters in the query and in the fragment of a URL."""
    before, _, fragment = url.partition("#")
    for text in (before.partition("?")[2], fragment):
        yield from parse_qsl(text, keep_blank_values=True)


# Documented values


def parameters(request: Request) -> dict[str, Any]:
    """Return the parameters of a request: in its query, and in its form or its JSON."""
    query = dict(url_parameters(request.path))
    data = _json_of(request)
    if data is None:
        data = dict(parse_qsl(request.body or "", keep_blank_values=True))
    return query | data if isinstance(data, dict) else query


def documented_names(*requests: Request) -> list[str]:
    """Return the names of the documented values in requests."""
    by_text = {text: name for name, text in DOCUMENTED.items()}
    found: set[str] = set()

    def see(text: str) -> str:
        found.update(by_text[match] for match in _DOCUMENTED.findall(text))
        return text

    for request in requests:
        _changed(request, see)
    return [name for name in DOCUMENTED if name in found]


def fill(request: Request, values: Mapping[str, str]) -> Request:
    """Return a request in which values replace the documented ones."""
    return _changed(request, lambda text: fill_text(text, values))


def fill_text(text: str, values: Mapping[str, str]) -> str:
    """Return a text in which values replace the documented ones."""
    by_text = _by_text(values)
    return _DOCUMENTED.sub(lambda match: by_text.get(match[0], match[0]), text)


def fill_url(text: str, values: Mapping[str, str]) -> str:
    """Return a header, such as a Location, in which values replace the documented ones.

    If a value is a URL with a query, the query of the text continues it.
    """
    for name in ("redirect_uri", "logout_redirect_uri"):
        if "?" in values.get(name, ""):
            text = text.replace(f"{DOCUMENTED[name]}?", f"{DOCUMENTED[name]}&")
    return fill_text(text, values)


def fill_json(text: str, values: Mapping[str, str]) -> str:
    """Return JSON in which values replace the documented ones.

    The documented `sub` and `scope` are only known by their member, and `<issuer>` is replaced too.
    """
    by_text = {written: _quoted(value) for written, value in _by_text(values).items()}
    by_text["<issuer>"] = _quoted(values.get("issuer", "<issuer>"))

    def filled(match: re.Match[str]) -> str:
        if match[0] in by_text:
            return by_text[match[0]]
        value = None if match["name"] is None else values.get(match["name"])
        if value is None:
            before, written = match["before"] or "", match["value"] or match[0]
            return before + _DOCUMENTED.sub(lambda one: by_text.get(one[0], one[0]), written)
        if match["open"] is None:
            return f'{match["before"]}"{_quoted(value)}"'
        words = (", " if " " in match["open"] else ",").join(map(json.dumps, value.split()))
        return match["before"] + match["open"] + words + match["close"]

    return _DOCUMENTED_IN_JSON.sub(filled, text)


def _by_text(values: Mapping[str, str]) -> dict[str, str]:
    return {DOCUMENTED[name]: value for name, value in values.items() if name in DOCUMENTED}


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _changed(request: Request, change: Callable[[str], str]) -> Request:
    """Return a request with every value changed; query and body are encoded again."""
    headers = {name: _changed_header(value, change) for name, value in request.headers.items()}
    path, _, query = request.path.partition("?")
    if query:
        path = f"{path}?{urlencode(_changed_pairs(query, change), quote_via=quote)}"
    body, data = request.body, _json_of(request)
    if data is not None:
        body = json.dumps(_changed_json(data, change), indent=2, ensure_ascii=False)
    elif body is not None and "urlencoded" in request.headers.get("Content-Type", ""):
        body = urlencode(_changed_pairs(body, change))
    return replace(request, path=path, headers=headers, body=body)


def _changed_pairs(text: str, change: Callable[[str], str]) -> list[tuple[str, str]]:
    return [(name, change(value)) for name, value in parse_qsl(text, keep_blank_values=True)]


def _changed_header(value: str, change: Callable[[str], str]) -> str:
    scheme, space, rest = value.partition(" ")
    if scheme.lower() == "basic":
        try:
            halves = b64decode(rest).decode().split(":", 1)
        except ValueError:
            return value  # The case is about malformed credentials.
        changed = ":".join(quote(change(half), safe="") for half in halves)
        return f"{scheme} {b64encode(changed.encode()).decode()}"
    return f"{scheme}{space}{change(rest)}" if scheme.lower() in ("bearer", "dpop") else value


def _changed_json(data: Any, change: Callable[[str], str]) -> Any:
    if isinstance(data, dict):
        return {name: _changed_json(value, change) for name, value in data.items()}
    if isinstance(data, list):
        return [_changed_json(item, change) for item in data]
    return change(data) if isinstance(data, str) else data


def _json_of(request: Request) -> Any:
    """Return the body as JSON; None if it is something else, or says so."""
    is_json = "json" in request.headers.get("Content-Type", "")
    return parse_json(request.body or "") if is_json else None
