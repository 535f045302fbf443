"""Whether an answer is the one of the page: to the byte, or in what it means.

`strict` is layout, order of members and values of headers. `loose` is what a client goes by: the
status, that the headers are there, and the members of the body; texts for people, lifetimes and
members that the documentation does not have may be others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from fake_oauth.contract.pages import Response
from fake_oauth.contract.values import put
from fake_oauth.provider.tokens import opened

Level = Literal["strict", "loose"]

# What a hole stands for, to the letter and by its meaning.
_HOLES: Final[Mapping[str, tuple[str, str]]] = {
    "<jwt>": (r"[\w-]+\.[\w-]+\.[\w-]+", r"[\w-]+\.[\w-]+\.[\w-]+"),
    "<token>": (r"[\w-]{128}", r"\S+"),
    "<modulus>": (r"[\w-]{342}", r"[\w-]+"),
    "<uuid>": (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"\S+"),
    "<issuer>": (r"https?://[^\s\"]+", r"https?://[^\s\"]+"),
    "<url>": (r"https?://[^\s\"]+", r"https?://[^\s\"]+"),
    "<any>": (r"\S+", r"\S+"),
    "<optional>": (r"[^\"]+", r"[^\"]*"),  # Where it is missing, that is no difference in meaning.
    "<time>": (r"\d{9,10}", r"\d{9,10}"),
    '"<time>"': (r"\d{9,10}", r"\d{9,10}"),  # In JSON: a number, where only text can be a hole.
}
_HOLE: Final = re.compile('("<time>"|<[a-z_]+>)')
# Headers that mean something by being there.
_TELLING: Final = ("WWW-Authenticate", "Location", "Retry-After")
_FOR_PEOPLE: Final = frozenset({"error_description", "error_uri"})
_LIFETIMES: Final = frozenset({"expires_in"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    repeated: tuple[tuple[str, str], ...] = ()
    """Every header with repeats, where they are known."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where an answer is not the one of the page."""

    where: str
    """`status`, `header Location`, `body $.error`, `access_token claim iss`."""
    expected: str
    actual: str


def differences(
    response: Response, answer: Answer, values: Mapping[str, str], level: Level
) -> list[Difference]:
    """Everything that is other than the page says, with the values that stand for its own."""
    found = []
    if answer.status != response.status:
        found.append(Difference("status", str(response.status), str(answer.status)))
    found += _headers(response, answer, values, level)
    if response.body is not None:
        found += _body(response.body, answer, values, level)
    if not found:
        found += _claims(response, answer, values, level)
    return found


def _headers(
    response: Response, answer: Answer, values: Mapping[str, str], level: Level
) -> Iterator[Difference]:
    actual = {name.lower(): value for name, value in answer.headers.items()}
    for name, wanted in response.headers.items():
        told, expected = actual.get(name.lower()), put(wanted, values)
        if told is None:
            yield Difference(f"header {name}", expected, "(missing)")
        elif not _is_header(name, expected, told, level):
            yield Difference(f"header {name}", expected, told)
    if level == "strict":
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


def _is_header(name: str, expected: str, told: str, level: Level) -> bool:
    if level == "strict":
        return _matches(expected, told, level)
    if name.lower() == "content-type":
        return _media_type(told) == _media_type(expected)
    return _is_location(expected, told) if name.lower() == "location" else True


def _is_location(expected: str, told: str) -> bool:
    wanted, actual = urlsplit(expected), urlsplit(told)
    query, asked = dict(parse_qsl(wanted.query)), dict(parse_qsl(actual.query))
    is_same = wanted[:3] == actual[:3]
    return is_same and all(
        (name in asked and (name in _FOR_PEOPLE or _matches(value, asked[name], "loose")))
        or (name not in asked and _may_be_missing(name, value))
        for name, value in query.items()
    )


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _body(
    body: str, answer: Answer, values: Mapping[str, str], level: Level
) -> Iterator[Difference]:
    if level == "loose" and not body:
        return  # Nobody reads what there is said to be none of.
    text = answer.body.decode(errors="backslashreplace")
    expected = put(body, values)
    if level == "strict" and _matches(expected, text, level):
        return
    wanted, told = _parsed(expected), _parsed(text)
    if wanted is None or told is None:
        if not _matches(expected, text, level):
            yield Difference("body", expected or "(empty)", text or "(empty)")
        return
    found = list(_members("$", wanted, told, level))
    yield from found
    if level == "strict" and not found:
        yield Difference("layout of the body", expected, text)


def _parsed(text: str) -> Any:
    """Its JSON; None for something else, and for what only a file of the fixtures could hold."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _members(path: str, wanted: Any, told: Any, level: Level) -> Iterator[Difference]:
    if isinstance(wanted, dict) and isinstance(told, dict):
        for name, value in wanted.items():
            if level == "loose" and _may_be_missing(name, value):
                continue
            if name not in told:
                yield Difference(f"body {path}.{name}", _text(value), "(missing)")
            else:
                yield from _members(f"{path}.{name}", value, told[name], level)
        for name in told.keys() - wanted.keys() if level == "strict" else ():
            yield Difference(f"body {path}.{name}", "(not there)", _text(told[name]))
    elif isinstance(wanted, list) and isinstance(told, list) and len(wanted) == len(told):
        for index, (value, other) in enumerate(zip(wanted, told, strict=True)):
            yield from _members(f"{path}[{index}]", value, other, level)
    elif not _is_value(path.rpartition(".")[2], wanted, told, level):
        yield Difference(f"body {path}", _text(wanted), _text(told))


def _may_be_missing(name: str, wanted: Any) -> bool:
    """Whether a server may do without; what it supports is its own affair."""
    return wanted == "<optional>" or name.endswith("_supported")


def _is_value(name: str, wanted: Any, told: Any, level: Level) -> bool:
    if wanted == "<time>" and type(told) is int:
        return _matches(wanted, str(told), level)
    if type(wanted) is not type(told):
        return False
    if level == "loose" and name in _FOR_PEOPLE | _LIFETIMES:
        return True
    if not isinstance(wanted, str):
        return bool(wanted == told)
    if level == "loose" and name == "scope":
        return set(wanted.split()) == set(told.split())
    if level == "loose" and name == "refresh_token":
        return bool(told.strip())  # Others rotate.
    return _matches(wanted, told, level)


def _claims(
    response: Response, answer: Answer, values: Mapping[str, str], level: Level
) -> Iterator[Difference]:
    told = _parsed(answer.body.decode(errors="backslashreplace"))
    for member, wanted in response.claims.items():
        token = told.get(member) if isinstance(told, dict) else None
        try:
            _, claims = opened(str(token))
        except ValueError:
            actual = "(missing)" if token is None else str(token)
            yield Difference(f"body $.{member}", "a JWT", actual)
            continue
        where = f"{member} claim"
        for name, value in wanted.items():
            expected = put(value, values) if isinstance(value, str) else value
            if name not in claims:
                if level == "loose" and _may_be_missing(name, expected):
                    continue
                yield Difference(f"{where} {name}", _text(expected), "(missing)")
            elif not _is_claim(name, expected, claims[name], level):
                yield Difference(f"{where} {name}", _text(expected), _text(claims[name]))
        if level == "strict" and list(wanted) != list(claims):
            yield Difference(f"order of {member} claims", ", ".join(wanted), ", ".join(claims))


def _is_claim(name: str, expected: Any, told: Any, level: Level) -> bool:
    if level == "loose" and name == "aud":
        return expected in (told if isinstance(told, list) else [told])
    if level == "loose" and name == "scope":
        return set(expected) == set(told.split() if isinstance(told, str) else told)
    return _is_value(name, expected, told, level)


def _matches(expected: str, text: str, level: Level) -> bool:
    which = 0 if level == "strict" else 1
    parts = _HOLE.split(expected)
    pattern = "".join(_HOLES[part][which] if part in _HOLES else re.escape(part) for part in parts)
    return re.fullmatch(pattern, text) is not None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
