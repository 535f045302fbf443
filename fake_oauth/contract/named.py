"""What messages have in them, by the names that it stands below, wherever it is."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, unquote_plus

from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.pages import Request
from fake_oauth.contract.secrecy import is_secret
from fake_oauth.contract.values import parsed

_URLSAFE: Final = str.maketrans("+/", "-_")
_PART: Final = re.compile(r"\r?\n\r?\n(.*?)\r?\n--", re.DOTALL)

Named = tuple[Sequence[str], Any]
"""A value and the names that it stands below, the outermost first."""


def secrets_of(answer: Answer) -> set[str]:
    """What is in an answer that is nobody's business, as text."""
    return {
        value for names, value in came_in(answer) if isinstance(value, str) and is_secret(names)
    }


def came_in(answer: Answer) -> list[Named]:
    """What an answer has in it: in its redirect, in its body."""
    text = answer.body.decode(errors="replace")
    return [*pairs_of(answer.fields.get("location", "")), *members_of(json_in(text))]


def given_in(request: Request) -> Iterator[Named]:
    """What a request has in it, wherever it has it."""
    yield from pairs_of(request.path)
    body, kind = request.body or "", request.headers.get("Content-Type", "")
    if (data := json_in(body)) is not None:
        yield from members_of(data)
    elif "multipart" in kind:
        yield from ((("secret",), part) for part in _PART.findall(body))
    elif "urlencoded" in kind or not kind:
        yield from (((name,), value) for name, value in _pairs(body))
    else:
        yield ("secret",), body.strip()
    for header, value in request.headers.items():
        scheme, _, rest = value.partition(" ")
        if header == "Authorization" and scheme.lower() == "basic":
            yield from (((name,), half) for name, half in basic_of(rest).items())
            secret = _decoded(rest).partition(":")[2]
            yield from ((("secret",), written) for written in (secret, unquote_plus(secret)))
        elif header == "Authorization" and scheme.lower() == "bearer":
            yield ("access_token",), rest.strip()
        elif header == "Cookie":
            yield from ((("secret",), one.partition("=")[2].strip()) for one in value.split(";"))
        if header in ("Authorization", "Dpop") or is_secret((header,)):
            yield ("secret",), rest or value


def by_name(values: Sequence[Named]) -> dict[str, Any]:
    """The same by the innermost names."""
    return {names[-1]: value for names, value in values if names}


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def pairs_of(url: str) -> Iterator[Named]:
    """What the query and the fragment of a URL have in them."""
    before, _, fragment = url.partition("#")
    for text in (before.partition("?")[2], fragment.rpartition("?")[2]):
        yield from (((name,), value) for name, value in _pairs(text))


def basic_of(credentials: str) -> dict[str, str]:
    """The halves of RFC 7617 section 2, as RFC 6749 section 2.3.1 has them."""
    client_id, colon, secret = _decoded(credentials).partition(":")
    return {"client_id": unquote(client_id), "client_secret": unquote(secret)} if colon else {}


def _decoded(credentials: str) -> str:
    try:
        return urlsafe_b64decode(credentials.translate(_URLSAFE) + "==").decode()
    except ValueError:
        return ""


def json_in(text: str) -> Any:
    """An object or a list; None for anything else."""
    data = parsed(text)
    return data if isinstance(data, dict | list) else None


def members_of(data: Any, names: tuple[str, ...] = ()) -> Iterator[Named]:
    """Every value in JSON, however deep."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield from members_of(value, (*names, name))
    elif isinstance(data, list):
        for value in data:
            yield from members_of(value, names)
    elif data is not None:
        yield names, data
