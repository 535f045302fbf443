"""Redaction by an allowlist: which parts of an exchange may be written into a case.

Only these texts are written as they are:

- the name of a parameter, a member, or a claim in `NAMES`
- the words of a parameter or member in `VOCABULARY`, such as `error` or `grant_type`
- documented values, which replace the values that are known: those that the user gave, those that
  the server issued, and those in a request that the server granted
- media types, caching directives, and challenge schemes

Booleans, null, numbers below 100, and lifetimes are written too. Everything else becomes `WRONG` in
a request and a placeholder in a response, so nothing has to be recognized as a secret. To allow a
name, add it to `NAMES`. To allow its words too, add it to `VOCABULARY`.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlencode

from fake_oauth.contract.cases import ExpectedResponse, Request
from fake_oauth.contract.client import ReceivedResponse
from fake_oauth.contract.compare import decode_jwt
from fake_oauth.contract.placeholders import (
    DOCUMENTED,
    leaves,
    parameters,
    parse_json,
    url_parameters,
)
from fake_oauth.parameters import PARAMETERS, names_of

WRONG: Final = "WRONG"

VOCABULARY: Final = frozenset(
    (
        *names_of("vocabulary"),
        # Requests and responses (the IANA registry "OAuth Parameters").
        *("response_mode", "prompt", "display", "client_assertion_type"),
        # JWTs and JWKs (RFC 7515 section 4, RFC 7517 section 4).
        *("typ", "alg", "cty", "enc", "kty", "use", "crv", "key_ops"),
    )
)
"""The names whose value is a word that a specification or a server defines; `*_supported` too."""

NAMES: Final = frozenset(
    (
        *(*VOCABULARY, *PARAMETERS),
        *("error_description", "error_uri", "realm", "audience", "resource", "max_age"),
        *("login_hint", "acr_values", "request", "request_uri"),
        *("assertion", "client_assertion", "subject_token", "actor_token", "device_code"),
        *("user_code", "verification_uri", "verification_uri_complete", "interval"),
        *("session_state", "dpop_jkt", "authorization_details"),
        *("refresh_expires_in", "refresh_token_expires_in", "ext_expires_in", "active"),
        # Claims (RFC 7519 section 4, RFC 9068, OpenID Connect Core 1.0 sections 2 and 5.1).
        *("iss", "aud", "exp", "nbf", "iat", "jti", "azp", "auth_time", "acr", "amr", "sid"),
        *("at_hash", "c_hash", "name", "given_name", "family_name", "middle_name", "nickname"),
        *("preferred_username", "profile", "picture", "website", "email_verified", "gender"),
        *("birthdate", "zoneinfo", "locale", "phone_number_verified", "address", "updated_at"),
        *("roles", "groups", "entitlements", "cnf", "act"),
        # JWTs, JWKs, and metadata; the names `*_endpoint` and `*_supported` too.
        *("kid", "jku", "jwk", "x5u", "x5c", "x5t", "crit", "keys", "n", "e", "x", "y"),
        *("issuer", "jwks_uri", "protected_resources", "authorization_servers"),
    )
)
"""The names that may be written."""

_METADATA_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,60}_(?:endpoint|supported)")
_WORD: Final = re.compile(r"[A-Za-z][\w.:/+-]{0,63}", re.ASCII)
# The vocabulary that is a list of words in one text.
_LISTS: Final = frozenset({"scope", "response_type", "prompt"})
_LIFETIMES: Final = frozenset(name for name in NAMES if name.endswith("expires_in")) | {"interval"}
_TIMES: Final = frozenset({"iat", "exp", "nbf", "auth_time", "updated_at"})

MADE_BY_CLIENT: Final = {
    "state": "MOCK_STATE",
    "nonce": "MOCK_NONCE",
    "code_challenge": DOCUMENTED["code_challenge"],
}
"""What replaces the values that a client makes up."""
_REPLACEMENTS: Final = {**DOCUMENTED, **MADE_BY_CLIENT, "sub": DOCUMENTED["username"]}
# The values that a server issues, new ones each time. A code is only issued in a redirect: in a
# body, `code` is what many servers call an error.
_ISSUED: Final = ("access_token", "refresh_token", "id_token", "otp_token", "p_state")
# How many values of one name are remembered; the oldest are forgotten.
_MEMORY: Final = 10_000

_SCHEMES: Final = frozenset({"basic", "bearer", "dpop", "digest", "negotiate"})
_MEDIA_TYPE: Final = re.compile(
    r"(application/(?:json|jwt|jwk-set\+json|problem\+json|x-www-form-urlencoded|xml)"
    r"|text/(?:plain|html|xml)|multipart/form-data)"
    r"(?:\s*;\s*charset=(?:utf-?8|iso-8859-1|us-ascii|gbk))?(.*)",
    re.IGNORECASE | re.DOTALL,
)
_NO_STORE: Final = re.compile(
    r"(?:(?:no-store|no-cache|no-transform|must-revalidate|private|max-age=\d{1,9})(?:, ?|$))+"
)
_CHALLENGE_PARAMETER: Final = re.compile(r'([\w-]+)="((?:[^"\\]|\\.)*)"')
_JSON_TOKEN: Final = re.compile(
    r'(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|[{}\[\],:]'
)
_PART: Final = re.compile(r'[^\s"&=;,<>]+')

Values = Sequence[tuple[str, Any]]
"""Values with the names of their parameters or members."""


class Redactor:
    """What is known of the values of one server, and the redaction of its exchanges."""

    def __init__(
        self,
        values: Mapping[str, str],
        *,
        paths: Mapping[str, str],
        urls: Collection[str] = (),
        keep: Collection[str] = (),
    ) -> None:
        """`values` have the names of `placeholders.NAMES`; `urls` are those of the server.

        `paths` are the paths that may be written, by the paths of the same endpoints on the server.
        `keep` has more names that may be written, with their words.
        """
        self._known = _Known()
        self._paths = paths
        self._keep = frozenset(keep)
        for name, value in (*(("issuer", url) for url in urls), *values.items()):
            self._known.learn(name, value)

    def redact(
        self, request: Request, response: ReceivedResponse
    ) -> tuple[Request, ExpectedResponse]:
        """Return an exchange as it may be written. Raise KeyError for an unknown path."""
        sent, redirect = (
            list(_sent(request)),
            list(url_parameters(response.fields.get("location", ""))),
        )
        received = [*redirect, *leaves(response.json)]
        is_granted = _is_granted(response, received)
        for name, value in sent:
            if name in MADE_BY_CLIENT or (is_granted and name in PARAMETERS):
                self._known.learn(name, value)
        for name, value in received:
            if name in _ISSUED or (name == "code" and (name, value) in redirect):
                self._known.learn(name, value)
        self._known.use_up(sent, _refused(response.status, dict(received)))
        exchange = _Exchange(self._known, self._keep, sent, received)
        path = self._paths[request.path.partition("?")[0]]
        redacted = exchange.request(request, path), exchange.response(response)
        if is_granted:
            self._known.use_up(sent, _spent(path, dict(sent), dict(received)))
        return redacted


class _Known:
    """The values that documented values replace."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, None]] = {}
        self._used: dict[str, None] = {}

    def learn(self, name: str, value: Any) -> None:
        if name in _REPLACEMENTS and isinstance(value, str) and value:
            _remember(self._values.setdefault(name, {}), value)
            self._used.pop(value, None)

    def use_up(self, values: Values, names: Collection[str]) -> None:
        """Replace the known values of these names by `WRONG` from now on."""
        for name, value in values:
            if name in names and isinstance(value, str) and self.replacement(name, value):
                _remember(self._used, value)

    def replacement(self, name: str, value: str) -> str | None:
        """Return the documented value that replaces a value; None if the value is not known."""
        if value in self._used:
            return WRONG
        for other in (name, *self._values):
            if value in self._values.get(other, ()):
                return _REPLACEMENTS[other]
        return value if value in _REPLACEMENTS.values() else None

    def redirects(self) -> Iterator[tuple[str, str]]:
        """Yield each known redirect URI, the longest first, with the documented one."""
        for name in ("redirect_uri", "logout_redirect_uri"):
            for value in sorted(self._values.get(name, ()), key=len, reverse=True):
                yield value, DOCUMENTED[name]


def _remember(values: dict[str, None], value: str) -> None:
    values.pop(value, None)
    values[value] = None
    if len(values) > _MEMORY:
        del values[next(iter(values))]


@dataclass(frozen=True)
class _Exchange:
    """The redaction of one exchange."""

    known: _Known
    keep: frozenset[str]
    sent: Values
    received: Values

    def _is_name(self, name: str) -> bool:
        return name in NAMES or name in self.keep or _METADATA_NAME.fullmatch(name) is not None

    def _is_vocabulary(self, name: str) -> bool:
        return name in VOCABULARY or name in self.keep or name.endswith("_supported")

    @cached_property
    def _private(self) -> frozenset[str]:
        """The values that are not vocabulary. A server can repeat them where a word belongs."""
        values = (v for n, v in (*self.sent, *self.received) if not self._is_vocabulary(n))
        texts = (value for value in values if isinstance(value, str))
        return frozenset(text for text in texts if text.lower() not in _SCHEMES) - NAMES

    @cached_property
    def _issued(self) -> frozenset[str]:
        """The values that the server has issued just now."""
        sent = [value for _, value in self.sent]
        issued = (value for name, value in self.received if name in _ISSUED)
        return frozenset(one for one in issued if isinstance(one, str) and one not in sent)

    def _is_public(self, path: Sequence[str], value: Any) -> bool:
        """Return whether a value may be written; `path` has its names, from the outermost."""
        if value in ("", None) or isinstance(value, bool):
            return True
        if not path or not all(map(self._is_name, path)):
            return False
        name = path[-1]
        if isinstance(value, int | float):
            return abs(value) < 100 or (name in _LIFETIMES and 0 < value < 10**9)
        if not isinstance(value, str) or not self._is_vocabulary(name):
            return False
        words = value.split(" ") if name in _LISTS else [value]
        return all(_WORD.fullmatch(word) and word not in self._private for word in words)

    # The request

    def request(self, request: Request, path: str) -> Request:
        """Redact a request; a body is a form, JSON, or `WRONG`."""
        headers, media_type = {}, request.headers.get("Content-Type", "")
        if media_type:
            headers["Content-Type"] = _media_type(media_type) or "application/octet-stream"
        if "Authorization" in request.headers:
            headers["Authorization"] = self._credentials(request.headers["Authorization"])
        body = request.body
        if body is not None:
            data = parse_json(body)
            if "json" in media_type and isinstance(data, dict):
                body = json.dumps(dict(self._sent_values(data.items())))
            elif "urlencoded" in media_type and data is None:
                body = urlencode(self._sent_values(parse_qsl(body, keep_blank_values=True)))
            else:
                body = WRONG
        if query := self._sent_values(url_parameters(request.path)):
            path += f"?{urlencode(query, quote_via=quote)}"
        return Request(method=request.method, path=path, headers=headers, body=body)

    def _sent_values(self, values: Iterator[tuple[str, Any]] | Any) -> list[tuple[str, Any]]:
        return [(name, self._sent(name, value)) for name, value in values if self._is_name(name)]

    def _sent(self, name: str, value: Any) -> Any:
        if self._is_public((name,), value):
            return value
        return (isinstance(value, str) and self.known.replacement(name, value)) or WRONG

    def _credentials(self, value: str) -> str:
        scheme = value.partition(" ")[0]
        if scheme.lower() not in _SCHEMES:
            return WRONG
        halves = {name: self._sent(name, half) for name, half in _halves(value)}
        if "access_token" in halves:
            return f"{scheme} {halves['access_token']}"
        joined = ":".join(halves.values()).encode()
        return f"{scheme} {b64encode(joined).decode() or WRONG}"

    # The response

    def response(self, response: ReceivedResponse) -> ExpectedResponse:
        """Redact a response; a body that is not a JSON object is left out."""
        headers = dict(self._headers(response.fields))
        if not isinstance(response.json, dict):
            body = None if response.body else ""
            return ExpectedResponse(status=response.status, headers=headers, body=body)
        sent = [value for _, value in self.sent]
        tokens = {
            name: halves
            for name, value in response.members.items()
            if self._is_name(name) and value not in sent and (halves := decode_jwt(value))
        }
        return ExpectedResponse(
            status=response.status,
            headers=headers,
            body=rewrite_json(response.text, self._received, self._received_name),
            jose={name: self._table(halves[0]) for name, halves in tokens.items()},
            claims={name: self._table(halves[1]) for name, halves in tokens.items()},
        )

    def _headers(self, fields: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        if "content-type" in fields:
            yield "Content-Type", _media_type(fields["content-type"]) or "<text>"
        if "location" in fields:
            yield "Location", self._location(fields["location"])
        if "www-authenticate" in fields:
            yield "WWW-Authenticate", self._challenge(fields["www-authenticate"])
        if "retry-after" in fields:
            is_public = re.fullmatch(r"\d{1,4}", fields["retry-after"], re.ASCII)
            yield "Retry-After", fields["retry-after"] if is_public else "<text>"
        caching = fields.get("cache-control", "")
        if "no-store" in caching:  # RFC 6749 section 5.1.
            yield "Cache-Control", caching if _NO_STORE.fullmatch(caching) else "<text>"

    def _received_name(self, name: str) -> str:
        return name if self._is_name(name) else _placeholder(name)

    def _received(self, path: Sequence[str], value: Any) -> Any:
        """Return what replaces a value of the response, or the value itself."""
        if self._is_public(path, value):
            return value
        name = path[-1] if path and all(map(self._is_name, path)) else ""
        if not isinstance(value, str):
            is_time = name in _TIMES and type(value) is int and 10**8 <= value < 10**10
            return "<time>" if is_time else "<number>"
        replacement = self.known.replacement(name, value)
        if replacement in (None, WRONG) or value in self._issued:
            return _REPLACEMENTS["sub"] if name == "sub" else _placeholder(value)
        return replacement

    def _location(self, url: str) -> str:
        """Redact a redirect; a place that is not a known redirect URI is a placeholder."""
        for own, documented in self.known.redirects():
            if url == own or url.startswith((f"{own}?", f"{own}#", f"{own}&")):
                # If the URI has a query, the documented one has none.
                rest = re.sub("^&", "?", url.removeprefix(own))
                parts = re.findall(r"[?#&]?[^?#&]*", rest)[:-1]
                return documented + "".join(map(self._received_pair, parts))
        return _placeholder(url)

    def _received_pair(self, pair: str) -> str:
        """Redact a parameter of a URL, with the mark before it."""
        written, equals, value = pair[1:].partition("=")
        name = unquote_plus(written)
        if name == "iss":  # The issuer of whichever server is tested, and escaped.
            return f"{pair[:1]}iss=<text>"
        redacted = self._received((name,), unquote_plus(value))
        value = value if redacted == unquote_plus(value) else quote(redacted, safe="<>")
        return pair[:1] + self._received_name(name) + equals + value

    def _challenge(self, value: str) -> str:
        schemes = _CHALLENGE_PARAMETER.sub("", value).replace(",", " ").split()
        if not {scheme.lower() for scheme in schemes} <= _SCHEMES:
            return "<text>"

        def redacted(match: re.Match[str]) -> str:
            is_same = self._received((match[1],), match[2]) == match[2]
            return f'{self._received_name(match[1])}="{match[2] if is_same else "<text>"}"'

        return _CHALLENGE_PARAMETER.sub(redacted, value)

    def _table(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """Redact the header or the claims of a JWT; what TOML does not have is left open."""
        table: dict[str, Any] = {}
        for name, value in members.items():
            items = value if isinstance(value, list) else [value]
            if not self._is_name(name) or not all(isinstance(i, str | int | float) for i in items):
                table["<any>"] = "<any>"
            elif name in _TIMES and type(value) is int:
                table[name] = _time(name, value, members.get("iat"))
            elif name == "iss":
                table[name] = "<issuer>"
            else:
                redacted = [self._received((name,), item) for item in items]
                table[name] = redacted if isinstance(value, list) else redacted[0]
        return table


def rewrite_json(
    text: str,
    change: Callable[[Sequence[str], Any], Any],
    rename: Callable[[str], str] = lambda name: name,
) -> str:
    """Return valid JSON with other texts, numbers, and names; the rest stays as it was written.

    `change` gets the names of a value, from the outermost, and the value.
    """
    names: list[str] = []  # The name before each opened bracket.
    brackets: list[str] = []
    name, is_name = "", False

    def rewritten(match: re.Match[str]) -> str:
        nonlocal name, is_name
        token = match[0]
        if match["text"] is not None and is_name:
            name = json.loads(token)
            return token if rename(name) == name else json.dumps(rename(name))
        if match["text"] is not None or match["number"] is not None:
            value = json.loads(token)
            changed = change([one for one in (*names, name) if one], value)
            return token if changed == value else json.dumps(changed, ensure_ascii=False)
        if token in "{[":
            names.append(name)
            brackets.append(token)
            name, is_name = "", token == "{"
        elif token in "}]":
            brackets.pop()
            name, is_name = names.pop(), False
        else:
            is_name = token == "," and brackets[-1] == "{"
            name = "" if is_name else name
        return token

    return _JSON_TOKEN.sub(rewritten, text)


def _sent(request: Request) -> Iterator[tuple[str, Any]]:
    """Yield the values of a request; the parts of headers and of other text have no name."""
    media_type = request.headers.get("Content-Type", "")
    is_readable = "json" in media_type or "urlencoded" in media_type
    texts = [*request.headers.values(), *(() if is_readable else (request.body or "",))]
    yield from _halves(request.headers.get("Authorization", ""))
    yield from (("", part) for text in texts for part in _PART.findall(text))
    yield from leaves(parameters(request))
    yield from url_parameters(request.path)


def _halves(authorization: str) -> Iterator[tuple[str, str]]:
    """Yield what an Authorization header has: an access token, or a client and its secret."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() in ("bearer", "dpop"):
        yield "access_token", rest.strip()
    elif scheme.lower() == "basic":
        try:
            text = urlsafe_b64decode(rest.replace("+", "-").replace("/", "_") + "==").decode()
        except ValueError:
            return
        halves = text.split(":", 1)
        if len(halves) == 2:  # RFC 7617 section 2, written as in RFC 6749 section 2.3.1.
            yield from zip(("client_id", "client_secret"), map(unquote, halves), strict=True)


def _is_granted(response: ReceivedResponse, received: Values) -> bool:
    """Return whether the server accepted the values of a request; a page of HTML does not say."""
    is_page = "html" in response.fields.get("content-type", "")
    return response.status < 400 and not is_page and all(name != "error" for name, _ in received)


def _refused(status: int, received: Mapping[str, Any]) -> Collection[str]:
    """Return the parameters whose token or code is invalid, by the response."""
    if received.get("error") == "invalid_grant":
        return ("code", "refresh_token")
    if received.get("active") is False:
        return ("token",)
    return ("access_token",) if status == 401 else ()


def _spent(path: str, sent: Mapping[str, Any], received: Mapping[str, Any]) -> Collection[str]:
    """Return the parameters whose token or code a granted request has used up or revoked."""
    is_rotated = received.get("refresh_token", sent.get("refresh_token")) != sent.get(
        "refresh_token"
    )
    rotated = ("refresh_token",) if is_rotated else ()
    return ("code", *rotated, *(("token",) if path.endswith("/revoke") else ()))


def _media_type(value: str) -> str | None:
    """Return a media type without parameters other than a charset; None if it is not known."""
    match = _MEDIA_TYPE.fullmatch(value)
    return match and (match[1] if match[2] else value)


def _placeholder(text: str) -> str:
    if decode_jwt(text) is not None:
        return "<jwt>"
    if re.fullmatch(r'https?://[^\s"]+', text):
        return "<url>"
    return text and ("<any>" if re.fullmatch(r"\S+", text) else "<text>")


def _time(name: str, value: int, iat: Any) -> str:
    """Return a time relative to the `iat` next to it, because lifetimes differ between servers."""
    if name == "exp" and type(iat) is int and value > iat:
        return f"<iat+{value - iat}>"
    return "<iat>" if name == "nbf" and value == iat else "<time>"
