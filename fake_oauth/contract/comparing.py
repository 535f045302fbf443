"""Whether an answer is the one of the page: to the byte, or in what it means.

`strict` is layout, order of members and values of headers. `loose` is what a client goes by: the
status, that the headers are there, the members of the body, the claims of tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from fake_oauth.contract.holes import Level, matches
from fake_oauth.contract.members import FOR_PEOPLE, Comparison, Difference
from fake_oauth.contract.pages import Response
from fake_oauth.contract.values import parsed, put_json, put_url
from fake_oauth.provider.tokens import opened

# Headers that mean something by being there.
_TELLING: Final = ("WWW-Authenticate", "Location", "Retry-After")
# RFC 7517 section 8.5 has a kind of its own; most write the other.
_KEYS: Final = {"application/json", "application/jwk-set+json"}
# What a client goes by in the header of a token; the kid is looked up where it is verified.
_MEANT: Final = frozenset({"alg"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    repeated: tuple[tuple[str, str], ...] = ()
    """Every header with repeats, where they are known."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Its headers by their names in lower case (RFC 9110 section 5.1)."""
        return {name.lower(): value for name, value in self.headers.items()}


def differences(
    response: Response, answer: Answer, values: Mapping[str, str], level: Level
) -> list[Difference]:
    """Everything that is other than the page says, with the values that stand for its own."""
    comparison = Comparison(level, frozenset(response.optional))
    found = []
    if not _is_status(response, answer.status, level):
        found.append(Difference("status", str(response.status), str(answer.status)))
    found += _headers(response, answer, values, comparison)
    text = answer.body.decode(errors="backslashreplace")
    if response.body is not None:
        found += _body(response.body, text, values, comparison)
    found += _tokens(response, text, values, comparison, {one.where for one in found})
    return found


def _is_status(response: Response, status: int, level: Level) -> bool:
    """Whether it is the status of the page, or does the same; `also` is what a standard allows."""
    if status == response.status:
        return True
    same = {response.status, status} == {302, 303}  # RFC 6749 section 1.7.
    return level == "loose" and (same or status in response.also)


def _headers(
    response: Response, answer: Answer, values: Mapping[str, str], comparison: Comparison
) -> Iterator[Difference]:
    actual = answer.fields
    for name, wanted in response.headers.items():
        told, expected = actual.get(name.lower()), put_url(wanted, values)
        if told is None and name.lower() == "www-authenticate" and answer.status in response.also:
            continue  # It comes with a 401.
        if told is None:
            yield Difference(f"header {name}", expected, "(missing)")
        elif not _is_header(name, expected, told, comparison):
            yield Difference(f"header {name}", expected, told)
    if comparison.level == "strict":
        length = str(len(answer.body))
        if actual.get("content-length") != length:
            told = actual.get("content-length", "(missing)")
            yield Difference("header Content-Length", length, told)
        if not answer.body and "content-type" in actual:
            yield Difference("header Content-Type", "(none, as no body)", actual["content-type"])
        said = {name.lower() for name in response.headers}
        for name in _TELLING:
            if name.lower() in actual and name.lower() not in said:
                yield Difference(f"header {name}", "(not there)", actual[name.lower()])


def _is_header(name: str, expected: str, told: str, comparison: Comparison) -> bool:
    if comparison.level == "strict":
        return matches(expected, told, "strict")
    if name.lower() == "content-type":
        kinds = {_media_type(told), _media_type(expected)}
        return len(kinds) == 1 or kinds == _KEYS
    if name.lower() == "www-authenticate":
        return _challenge(expected) <= _challenge(told)
    return name.lower() != "location" or _is_location(expected, told, comparison)


def _is_location(expected: str, told: str, comparison: Comparison) -> bool:
    try:
        wanted, actual = urlsplit(expected), urlsplit(told)
    except ValueError:
        return False  # It is no URL.
    query, asked = dict(parse_qsl(wanted.query)), dict(parse_qsl(actual.query))
    return wanted[:3] == actual[:3] and all(
        (name in FOR_PEOPLE or matches(value, asked[name], "loose"))
        if name in asked
        else comparison.may_lack(name)
        for name, value in query.items()
    )


def _challenge(value: str) -> set[str]:
    """What a client goes by in a challenge: its scheme and the error (RFC 6750 section 3)."""
    return {value.partition(" ")[0].lower(), *re.findall(r'error="[^"]*"', value)}


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _body(
    body: str, text: str, values: Mapping[str, str], comparison: Comparison
) -> Iterator[Difference]:
    if comparison.level == "loose" and not body:
        return  # Nobody reads what there is said to be none of.
    expected = put_json(body, values)
    is_as_written = matches(expected, text, comparison.level)
    wanted, told = parsed(expected), parsed(text)
    if wanted is None or told is None:
        if not is_as_written:
            yield Difference("body", expected or "(empty)", text or "(empty)")
        return
    found = list(comparison.values("body $", "", wanted, told))
    yield from found
    if comparison.level == "loose" or found or is_as_written:
        return
    if not isinstance(wanted, dict) or wanted.keys() <= told.keys():
        yield Difference("layout of the body", expected, text)


def _tokens(
    response: Response,
    text: str,
    values: Mapping[str, str],
    comparison: Comparison,
    told_before: set[str],
) -> Iterator[Difference]:
    """What the JWTs in the body say, JWT by JWT, but for those that are not there at all."""
    data = parsed(text)
    if "body" in told_before:
        return
    for member in {**response.jose, **response.claims}:
        token = data.get(member) if isinstance(data, dict) else None
        where = f"body $.{member}"
        try:
            header, claims = opened(str(token))
        except ValueError:
            if where not in told_before and not (token is None and comparison.may_lack(member)):
                yield Difference(where, "a JWT", "(missing)" if token is None else str(token))
            continue
        wanted = response.jose.get(member, {})
        if comparison.level == "loose":
            wanted = {name: value for name, value in wanted.items() if name in _MEANT}
        yield from _told(f"{member} header", wanted, header, comparison)
        wanted = json.loads(put_json(json.dumps(response.claims.get(member, {})), values))
        yield from _told(f"{member} claim", wanted, claims, comparison)


def _told(
    where: str, wanted: Mapping[str, Any], told: Mapping[str, Any], comparison: Comparison
) -> Iterator[Difference]:
    """One half of a token; nothing is wanted of one that the page does not show."""
    if not wanted:
        return
    found = list(comparison.members(f"{where} ", wanted, told))
    yield from found
    if comparison.level == "strict" and not found and list(wanted) != list(told):
        yield Difference(f"order of {where}s", ", ".join(wanted), ", ".join(told))
