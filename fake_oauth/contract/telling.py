"""What stands for a value in a page: the documented one for a known one, `WRONG`, a hole."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fake_oauth.contract.rewriting import Tell, form_told, json_told, url_told
from fake_oauth.contract.secrecy import (
    SUSPECT,
    is_personal,
    is_secret,
    is_somebodys,
    is_vocabulary,
    looks_secret,
)
from fake_oauth.contract.values import DOCUMENTED
from fake_oauth.provider.tokens import opened

WRONG: Final = "WRONG"
# Shorter ones are found in texts by chance.
_TELLING: Final = 3
_ANY: Final = "<any>"
_TIMES: Final = frozenset({"iat", "exp", "nbf", "auth_time", "updated_at"})
_FORM: Final = re.compile(r"[\w.\[\]-]+=[^\s&]*(?:&[\w.\[\]-]+=[^\s&]*)+")
_WORD: Final = re.compile(r"[\w~+=/.@:-]+")


@dataclass(slots=True)
class Known:
    """The values that stand for documented ones, or for wrong ones as they are used up."""

    stands: dict[str, list[str]] = field(default_factory=dict)
    """What a value has stood for, the latest last: one may be two, as a name and a password."""
    urls: dict[str, str] = field(default_factory=dict)
    """Those that other URLs begin with."""
    odd: dict[str, str] = field(default_factory=dict)
    """Those that are more than a word: they are looked for wherever they may begin."""

    def learn(self, value: str, stands: str, *, is_url: bool = False) -> None:
        """From now on this stands for that value."""
        before = self.stands.get(value, [])
        self.stands[value] = [*(one for one in before if WRONG not in (one, stands)), stands]
        if is_url:
            self.urls[value] = stands
        elif not _WORD.fullmatch(value) and len(value) >= _TELLING:
            self.odd[value] = stands

    def get(self, value: str, name: str = "") -> str | None:
        """What stands for a value, of this name if it can be; None if it is not known."""
        stands = self.stands.get(value)
        if stands is None:
            return None
        return DOCUMENTED[name] if DOCUMENTED.get(name) in stands else stands[-1]

    def right(self, value: str, name: str = "") -> str | None:
        """The same for a value that is not used up."""
        stands = self.get(value, name)
        return None if stands == WRONG else stands


@dataclass(frozen=True, slots=True)
class Teller:
    """What stands for the values of one exchange."""

    known: Known
    secrets: frozenset[str]
    """What the request had in it that is secret."""
    given: frozenset[str]
    """All that it had in it."""

    def asked(self, names: Sequence[str], value: Any) -> Any:
        """What stands for a value of the request."""
        if is_vocabulary(names):
            return value
        if not names:
            return self._part(value, WRONG)
        if isinstance(value, str) and (stands := self.known.get(value, names[-1])) is not None:
            return stands
        if is_somebodys(names, str(value)) or value in self.secrets:
            return WRONG
        return self._inside(value, self.asked, WRONG) if isinstance(value, str) else value

    def answered(self, names: Sequence[str], value: Any) -> Any:
        """What stands for a value of the reply; what the request had in it is the same again."""
        if is_vocabulary(names):
            return value
        if not isinstance(value, str):
            return _number_told(names, value)
        if not names:
            return self._part(value, _ANY)
        stands = self._repeated(value, names[-1]) or self._made(names, value)
        return stands or self._inside(value, self.answered, _ANY)

    def redirected(self, names: Sequence[str], value: Any) -> Any:
        """The same for a redirect: what it gives out is known when it comes back."""
        name = names[-1] if names else ""
        return (name and self.known.right(value, name)) or self.answered(names, value)

    def claims(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """What a JWT says, with holes for what the next one says otherwise."""
        told: dict[str, Any] = {}
        for name, value in claims.items():
            if name in _TIMES and type(value) is int:
                told[name] = _time_told(name, value, claims.get("iat"))
            elif name == "iss":
                told[name] = "<issuer>"
            elif _is_flat(value):
                text = json_told(json.dumps({name: value}), self.answered)
                told[name] = json.loads(text)[name]
        return told

    def jose(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """What the header of a JWT says; which key it is, is another one's affair."""
        plain = {"typ", "alg", "cty"}
        return {
            name: value if name in plain else _ANY
            for name, value in header.items()
            if isinstance(value, str)
        }

    def _repeated(self, value: str, name: str) -> str | None:
        """What stood for it in the request, if it was there."""
        if value not in self.given:
            return None
        return self.known.get(value, name) or (WRONG if value in self.secrets else None)

    def _made(self, names: Sequence[str], value: str) -> str | None:
        """What stands for what the server has made, or knows; None for what may be told."""
        if names[-1] == "sub":
            return self.known.right(value) or DOCUMENTED["username"]
        if opened_or_none(value):
            return "<jwt>"
        if is_secret(names):
            return _hole_for(value)
        if (stands := self.known.right(value, names[-1])) is not None:
            return stands
        if is_personal(names):
            return "<text>"
        return _hole_for(value) if looks_secret(value) or value in self.secrets else None

    def _part(self, value: Any, hole: str) -> Any:
        """What has no name: a part of a path, mostly, and then a word or a token."""
        if not isinstance(value, str) or not (looks_secret(value) or value in self.known.odd):
            return value
        return self.known.get(value) or hole

    def _inside(self, value: str, tell: Tell, hole: str) -> str:
        """A text, with what is known or looks secret in it told otherwise."""
        try:
            if value.lstrip()[:1] in ("{", "["):
                return json_told(value, tell)
        except ValueError:
            pass
        if _FORM.fullmatch(value):
            return form_told(value, tell)
        if "://" in value[:12] or value.startswith("/"):
            return url_told(value, tell, tuple(self.known.urls.items()))
        for known, stands in self.known.odd.items():
            value = value.replace(known, stands)
        for secret in self.secrets:
            if len(secret) >= _TELLING and not _WORD.fullmatch(secret):
                value = value.replace(secret, WRONG)
        value = _WORD.sub(lambda match: self._word_told(match[0]), value)
        return SUSPECT.sub(lambda match: _suspect_told(match[0], hole), value)

    def _word_told(self, word: str) -> str:
        """A word of a text, or what is between the marks in it: `token=abc`."""
        parts = [word, *re.split("[=:/]", word), word.rstrip(".=:/")]
        for part in sorted(parts, key=len, reverse=True):
            if len(part) < _TELLING:
                continue
            stands = self.known.get(part)
            if stands is None and part in self.secrets:
                stands = WRONG
            if stands is not None:
                return word.replace(part, stands)
        return word


def opened_or_none(value: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Header and claims of a JWT; None for what is none."""
    try:
        return opened(value)
    except ValueError:
        return None


def _hole_for(value: str) -> str:
    return _ANY if re.fullmatch(r"\S+", value) else "<text>"


def _suspect_told(text: str, hole: str) -> str:
    return hole if looks_secret(text) and text not in DOCUMENTED.values() else text


def _number_told(names: Sequence[str], value: Any) -> Any:
    if names and names[-1] in _TIMES and type(value) is int and 10**8 <= value < 10**10:
        return "<time>"
    return "<number>" if is_secret(names) and abs(value) >= 1000 else value


def _time_told(name: str, value: int, iat: Any) -> str:
    """A time by the iat beside it, as lifetimes are what tells servers apart."""
    if name == "exp" and type(iat) is int and value > iat:
        return f"<iat+{value - iat}>"
    return "<iat>" if name == "nbf" and value == iat else "<time>"


def _is_flat(value: Any) -> bool:
    """Whether TOML has it: no null, no table."""
    if isinstance(value, list):
        return all(_is_flat(item) for item in value)
    return isinstance(value, str | int | float)
