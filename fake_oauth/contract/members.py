"""JSON, member by member: where one document is not the other, to the letter or in what it means.

In what it means, a client goes by the members that it knows: texts for people, lifetimes, another
refresh token and members that the documentation does not have may be others; but an `error` is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fake_oauth.contract.holes import Level, is_number, is_then, is_time, matches

FOR_PEOPLE: Final = frozenset({"error_description", "error_uri"})
_FREE: Final = FOR_PEOPLE | {"expires_in"}
_MISSING: Final = "(missing)"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where an answer is not the one of the page."""

    where: str
    """`status`, `header Location`, `body $.error`, `access_token claim iss`."""
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How exact JSON is compared, and which members need not be there."""

    level: Level
    optional: frozenset[str]
    """Members that a standard allows to be missing."""

    def members(
        self, where: str, wanted: Mapping[str, Any], told: Mapping[str, Any]
    ) -> Iterator[Difference]:
        """`where` is what stands before the name of a member."""
        for name, value in wanted.items():
            if name in told:
                yield from self.values(where + name, name, value, told[name], told.get("iat"))
            elif not self.may_lack(name, value):
                yield Difference(where + name, _shown(value), _MISSING)
        more = [name for name in told if name not in wanted]
        is_worse = "error" in more or ("d" in more and "kty" in wanted)  # A private key.
        for name in more if self.level == "strict" or is_worse else ():
            yield Difference(where + name, "(not there)", _shown(told[name]))

    def values(
        self, where: str, name: str, wanted: Any, told: Any, iat: Any = None
    ) -> Iterator[Difference]:
        """The value of one member; `iat` is the one beside it, for holes that go by it."""
        if isinstance(wanted, dict) and isinstance(told, dict):
            yield from self.members(f"{where}.", wanted, told)
        elif self.level == "loose" and _are_keys(wanted):
            yield from self._keys(where, wanted, told)
        elif isinstance(wanted, list) and isinstance(told, list) and len(wanted) == len(told):
            if not self._means(name, wanted, told):
                for index, (value, other) in enumerate(zip(wanted, told, strict=True)):
                    yield from self.values(f"{where}[{index}]", name, value, other)
        elif is_time(wanted):
            if not is_then(wanted, told, iat, self.level):
                yield Difference(where, wanted, _shown(told) + _since(iat, told))
        elif not (
            is_number(wanted, told) or self._means(name, wanted, told) or self._is(wanted, told)
        ):
            yield Difference(where, _shown(wanted), _shown(told))

    def may_lack(self, name: str, wanted: Any = None) -> bool:
        """Whether a member may be missing; to the letter only one of unknown value."""
        return name in self.optional and (self.level == "loose" or wanted == "<any>")

    def _keys(self, where: str, wanted: list[Any], told: Any) -> Iterator[Difference]:
        """A JWKS has as many keys as it has, of any kind (RFC 7517 section 5)."""
        keys = told if isinstance(told, list) else []
        if not keys:
            yield Difference(where, "keys", _shown(told))
        for index, key in enumerate(keys):
            kind = key.get("kty") if isinstance(key, dict) else None
            same = [one for one in wanted if one["kty"] == kind] or [{"kty": "<any>"}]
            yield from self.values(f"{where}[{index}]", "", same[0], key)

    def _is(self, wanted: Any, told: Any) -> bool:
        if type(wanted) is not type(told):
            return False
        return matches(wanted, told, self.level) if isinstance(wanted, str) else wanted == told

    def _means(self, name: str, wanted: Any, told: Any) -> bool:
        """Whether a client takes the one for the other, going by what the member is."""
        if self.level == "strict":
            return False
        if name in _FREE or name.endswith("_supported"):  # Its own affair, but there.
            return type(wanted) is type(told)
        if name == "token_type":  # RFC 6749 section 5.1: case insensitive.
            return str(wanted).lower() == str(told).lower()
        if name == "refresh_token":
            return isinstance(told, str) and bool(told.strip())  # Others rotate.
        if name == "aud":
            named = _listed(told)
            return all(any(self._is(one, other) for other in named) for one in _listed(wanted))
        return name == "scope" and _are_scopes(wanted, told)


def _are_keys(wanted: Any) -> bool:
    """Whether they are JWKs (RFC 7517 section 4)."""
    if not isinstance(wanted, list) or not wanted:
        return False
    return all(isinstance(one, dict) and isinstance(one.get("kty"), str) for one in wanted)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _are_scopes(wanted: Any, told: Any) -> bool:
    """Scopes are a set; those in a list may be text too, as in RFC 9068."""
    if isinstance(wanted, list) and isinstance(told, str):
        told = told.split()
    elif isinstance(wanted, str) and isinstance(told, str):
        wanted, told = wanted.split(), told.split()
    if not isinstance(wanted, list) or not isinstance(told, list):
        return False
    return wanted == ["<text>"] or {*map(str, wanted)} == {*map(str, told)}


def _since(iat: Any, told: Any) -> str:
    return f" (iat {told - iat:+d})" if type(iat) is type(told) is int else ""


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
