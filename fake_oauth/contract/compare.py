"""Comparison of a response with its case: byte for byte (`strict`) or by meaning (`loose`).

`strict` compares the layout, the order of members, and the values of headers. `loose` compares what
a client depends on: the status, the presence of headers, the members of the body, the claims of
tokens. Texts for people, lifetimes, another refresh token, and members that the case does not have
may differ there. An `error` may not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from fake_oauth.contract.cases import ExpectedResponse
from fake_oauth.contract.client import ReceivedResponse
from fake_oauth.contract.placeholders import (
    Level,
    fill_json,
    fill_url,
    has_placeholder,
    is_number,
    is_time,
    matches,
    matches_time,
    parse_json,
)
from fake_oauth.provider.tokens import decode

# A hostile response can differ in a hundred thousand places.
_MOST: Final = 50
# Headers that mean something by being present.
_SIGNIFICANT: Final = ("WWW-Authenticate", "Location", "Retry-After")
# RFC 7517 section 8.5 has a media type of its own. Most servers send the other.
_JWKS_TYPES: Final = frozenset({"application/json", "application/jwk-set+json"})
# The header parameters of a JWT that a client depends on. `signatures` looks the `kid` up.
_SIGNIFICANT_JOSE: Final = frozenset({"alg"})
_FOR_PEOPLE: Final = frozenset({"error_description", "error_uri"})
_FREE: Final = _FOR_PEOPLE | {"expires_in", "interval", "protected_resources"}
_MISSING: Final = "(missing)"
_ABSENT: Final = "(absent)"
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\s+|[{}\[\],:]|[^\s"{}\[\],:]+')


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where a response differs from its case."""

    where: str
    """`status`, `header Location`, `body $.error`, `access_token claim iss`."""
    expected: str
    actual: str


def differences(
    expected: ExpectedResponse,
    received: ReceivedResponse,
    values: Mapping[str, str],
    level: Level,
) -> list[Difference]:
    """Return where a response differs from its case; at most the first 50 places.

    `values` replace the documented values of the case.
    """
    comparison = _Comparison(expected, received, values, level)
    return list(islice(comparison.differences(), _MOST))


def decode_jwt(token: object) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the header and claims of a JWT without verifying it; None if it is not a JWT."""
    if not isinstance(token, str):
        return None
    try:
        halves = decode(token)
        is_json = parse_json(json.dumps(halves)) is not None  # Neither NaN nor nested deeply.
    except (ValueError, RecursionError):
        return None
    return halves if is_json else None


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The comparison of one response."""

    expected: ExpectedResponse
    received: ReceivedResponse
    values: Mapping[str, str]
    level: Level

    def differences(self) -> Iterator[Difference]:
        expected, received = self.expected, self.received
        if not self._is_status(received.status):
            yield Difference("status", str(expected.status), str(received.status))
        yield from self._headers()
        seen: set[str] = set()
        if expected.body is not None:
            for difference in self._body(fill_json(expected.body, self.values)):
                seen.add(difference.where)
                yield difference
        if "body" not in seen:
            yield from (one for one in self._tokens() if one.where not in seen)

    def _is_status(self, status: int) -> bool:
        if status == self.expected.status:
            return True
        are_redirects = {self.expected.status, status} == {302, 303}  # RFC 6749 section 1.7.
        is_allowed = are_redirects or status in self.expected.other_statuses
        return self.level == "loose" and is_allowed

    # Headers

    def _headers(self) -> Iterator[Difference]:
        fields = self.received.fields
        for name, text in self.expected.headers.items():
            actual, expected = fields.get(name.lower()), fill_url(text, self.values)
            if actual is None:
                # A challenge belongs to the 401.
                is_other = self.received.status in self.expected.other_statuses
                if not (is_other and name.lower() == "www-authenticate"):
                    yield Difference(f"header {name}", expected, _MISSING)
            elif not self._is_header(name.lower(), expected, actual):
                yield Difference(f"header {name}", expected, actual)
        if self.level == "strict":
            yield from self._other_headers(fields)

    def _other_headers(self, fields: Mapping[str, str]) -> Iterator[Difference]:
        length = str(len(self.received.body))
        if fields.get("content-length") != length:
            actual = fields.get("content-length", _MISSING)
            yield Difference("header Content-Length", length, actual)
        if not self.received.body and "content-type" in fields:
            yield Difference("header Content-Type", "(absent: no body)", fields["content-type"])
        named = {name.lower() for name in self.expected.headers}
        for name in _SIGNIFICANT:
            if name.lower() in fields and name.lower() not in named:
                yield Difference(f"header {name}", _ABSENT, fields[name.lower()])

    def _is_header(self, name: str, expected: str, actual: str) -> bool:
        if self.level == "strict":
            return matches(expected, actual, "strict")
        if name == "content-type":
            types = {_media_type(actual), _media_type(expected)}
            return len(types) == 1 or types == _JWKS_TYPES
        if name == "www-authenticate":
            return _challenge(expected) <= _challenge(actual)
        return name != "location" or self._is_location(expected, actual)

    def _is_location(self, expected: str, actual: str) -> bool:
        if expected.startswith("<"):
            return matches(expected, actual, "loose")
        try:
            wanted, there = urlsplit(expected), urlsplit(actual)
        except ValueError:
            return False  # It is not a URL.
        found = dict(parse_qsl(there.query))
        return wanted[:3] == there[:3] and all(
            (name in _FOR_PEOPLE or matches(value, found[name], "loose"))
            if name in found
            else self._may_lack(name)
            for name, value in parse_qsl(wanted.query)
            if not has_placeholder(name)
        )

    # JSON

    def _body(self, expected: str) -> Iterator[Difference]:
        if self.level == "loose" and not expected:
            return  # The case expects an empty body, and clients ignore any other body here.
        actual = self.received.text
        wanted = parse_json(expected)
        if wanted is None or self.received.json is None:
            if wanted is not None or not matches(expected, actual, self.level):
                yield Difference("body", expected or "(empty)", actual or "(empty)")
            return
        is_same = True
        for difference in self._value("body $", "", wanted, self.received.json):
            is_same = False
            yield difference
        if self.level == "loose" or not is_same:
            return
        is_whole = not isinstance(wanted, dict) or wanted.keys() <= self.received.members.keys()
        if is_whole and not _has_layout(expected, actual):
            yield Difference("layout of the body", expected, actual)

    def _members(
        self, where: str, expected: Mapping[str, Any], actual: Mapping[str, Any]
    ) -> Iterator[Difference]:
        """Compare an object; `where` precedes the name of a member."""
        is_open = False
        for name, value in expected.items():
            if has_placeholder(name):
                is_open = True
            elif name in actual:
                yield from self._value(where + name, name, value, actual[name], actual.get("iat"))
            elif not self._may_lack(name, value):
                yield Difference(where + name, _shown(value), _MISSING)
        more = [name for name in actual if name not in expected]
        # An error is not a success, and a private key is not public.
        is_worse = "error" in more or ("d" in more and "kty" in expected)
        if is_worse or (self.level == "strict" and not is_open):
            for name in more:
                yield Difference(where + name, _ABSENT, _shown(actual[name]))

    def _value(
        self, where: str, name: str, expected: Any, actual: Any, iat: Any = None
    ) -> Iterator[Difference]:
        """Compare the value of a member; `iat` is the one next to it, for times."""
        if isinstance(expected, dict) and isinstance(actual, dict):
            yield from self._members(f"{where}.", expected, actual)
        elif self.level == "loose" and _are_keys(expected):
            yield from self._keys(where, expected, actual)
        elif (
            isinstance(expected, list)
            and isinstance(actual, list)
            and len(expected) == len(actual)
            and not self._means(name, expected, actual)
        ):
            for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
                yield from self._value(f"{where}[{index}]", name, one, other)
        elif is_time(expected):
            if not matches_time(expected, actual, iat, self.level):
                yield Difference(where, expected, _shown(actual) + _since(iat, actual))
        elif not (
            is_number(expected, actual)
            or self._means(name, expected, actual)
            or self._is(expected, actual)
        ):
            yield Difference(where, _shown(expected), _shown(actual))

    def _may_lack(self, name: str, value: Any = None) -> bool:
        """Return whether a member may be missing; strictly, only one whose value is unknown."""
        return name in self.expected.optional and (self.level == "loose" or value == "<any>")

    def _keys(self, where: str, expected: list[Any], actual: Any) -> Iterator[Difference]:
        """Compare JWKs: a server may have any number of keys, of any kind (RFC 7517 section 5)."""
        keys = actual if isinstance(actual, list) else []
        if not keys:
            yield Difference(where, "keys", _shown(actual))
        for index, key in enumerate(keys):
            kind = key.get("kty") if isinstance(key, dict) else None
            like = [one for one in expected if one["kty"] == kind] or [{"kty": "<any>"}]
            yield from self._value(f"{where}[{index}]", "", like[0], key)

    def _is(self, expected: Any, actual: Any) -> bool:
        if type(expected) is not type(actual):
            return False
        if isinstance(expected, str):
            return matches(expected, actual, self.level)
        return bool(expected == actual)

    def _means(self, name: str, expected: Any, actual: Any) -> bool:
        """Return whether two values of a member mean the same to a client."""
        if self.level == "strict":
            return False
        if name in _FREE or name.endswith("_supported"):
            return type(expected) is type(actual)
        if name == "token_type":  # RFC 6749 section 5.1: case insensitive.
            return str(expected).lower() == str(actual).lower()
        if name == "refresh_token":  # The server may rotate it.
            return isinstance(actual, str) and bool(actual.strip())
        if name == "aud":
            named = _listed(actual)
            return all(any(self._is(one, other) for other in named) for one in _listed(expected))
        return name == "scope" and _are_scopes(expected, actual)

    # Tokens

    def _tokens(self) -> Iterator[Difference]:
        """Compare the header and claims of each JWT in the body."""
        members = self.received.members
        for member in {**self.expected.jose, **self.expected.claims}:
            token = members.get(member)
            halves = decode_jwt(token)
            if halves is None:
                if not (token is None and self._may_lack(member)):
                    actual = _MISSING if token is None else str(token)
                    yield Difference(f"body $.{member}", "a JWT", actual)
                continue
            jose = self.expected.jose.get(member, {})
            if self.level == "loose":
                jose = {name: jose[name] for name in jose if name in _SIGNIFICANT_JOSE}
            yield from self._half(f"{member} header", jose, halves[0])
            claims = json.dumps(self.expected.claims.get(member, {}))
            filled = json.loads(fill_json(claims, self.values))
            yield from self._half(f"{member} claim", filled, halves[1])

    def _half(
        self, where: str, expected: Mapping[str, Any], actual: Mapping[str, Any]
    ) -> Iterator[Difference]:
        """Compare one half of a token, unless the case does not show it."""
        if not expected:
            return
        is_same = True
        for difference in self._members(f"{where} ", expected, actual):
            is_same = False
            yield difference
        is_open = any(map(has_placeholder, expected))
        if self.level == "strict" and is_same and not is_open and list(expected) != list(actual):
            yield Difference(f"order of {where}s", ", ".join(expected), ", ".join(actual))


def _has_layout(expected: str, actual: str) -> bool:
    """Return whether two JSON texts with the same values are written alike."""
    tokens = zip_longest(*map(_JSON_TOKEN.findall, (expected, actual)), fillvalue="")
    return all(one == other or (other and has_placeholder(one)) for one, other in tokens)


def _challenge(value: str) -> set[str]:
    """Return what a client reads in a challenge: scheme and error (RFC 6750 section 3)."""
    return {value.partition(" ")[0].lower(), *re.findall(r'error="[^"]*"', value)}


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _are_keys(value: Any) -> bool:
    """Return whether a value is a list of JWKs (RFC 7517 section 4)."""
    if not isinstance(value, list) or not value:
        return False
    kinds = (one.get("kty") if isinstance(one, dict) else None for one in value)
    return all(isinstance(kind, str) and not has_placeholder(kind) for kind in kinds)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _are_scopes(expected: Any, actual: Any) -> bool:
    """Compare scopes as sets; a list may also be a text (RFC 9068 section 2.2.3)."""
    if isinstance(expected, list) and isinstance(actual, str):
        actual = actual.split()
    elif isinstance(expected, str) and isinstance(actual, str):
        expected, actual = expected.split(), actual.split()
    if not isinstance(expected, list) or not isinstance(actual, list):
        return False
    return expected == ["<text>"] or {*map(str, expected)} == {*map(str, actual)}


def _since(iat: Any, time: Any) -> str:
    return f" (iat {time - iat:+d})" if type(iat) is type(time) is int else ""


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
