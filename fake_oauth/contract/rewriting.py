"""JSON, forms and URLs with other values in them, and all else as it was written.

What stands for a value is asked of a function that is given the names that the value stands below,
the outermost first. What it leaves alone stays as it is, to the byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote, unquote_plus

Tell = Callable[[Sequence[str], Any], Any]

_TOKEN: Final = re.compile(
    r'(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|[{}\[\],:]'
)
_HOLE: Final = "<>"
# The longest word that is a flag: `?wsdl`.
_LONG: Final = 16
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def json_told(text: str, tell: Tell) -> str:
    """A JSON document with other strings and numbers; names are left as they are.

    Raises ValueError for what is no JSON, and for what is too deep to be any.
    """
    try:
        json.loads(text)
    except RecursionError:
        raise ValueError("too deep to be JSON") from None
    names: list[str] = []  # What stands before each opened bracket.
    brackets: list[str] = []
    name, is_name = "", False

    def there(match: re.Match[str]) -> str:
        nonlocal name, is_name
        token = match[0]
        if match["text"] is not None and is_name:
            name = json.loads(token)
        elif match["text"] is not None or match["number"] is not None:
            if (value := json.loads(token)) == "":
                return token
            told = tell((*filter(None, names), name) if name else tuple(filter(None, names)), value)
            return token if told == value else json.dumps(told, ensure_ascii=False)
        elif token in "{[":
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

    return _TOKEN.sub(there, text)


def form_told(text: str, tell: Tell, *, plus: bool = True) -> str:
    """A form, or a query, with other values; what has no name and is no word is a secret."""
    decoded = unquote_plus if plus else unquote
    told = []
    for pair in text.split("&"):
        name, equals, value = pair.partition("=")
        given = decoded(value if equals else name)
        names = (decoded(name),) if equals else ("secret",)
        is_told = given and (equals or not (given.isalpha() and len(given) < _LONG))
        stands = tell(names, given) if is_told else given
        written = value if equals else name
        written = written if stands == given else quote(str(stands), safe=_HOLE)
        told.append(f"{name}={written}" if equals else written)
    return "&".join(told)


def url_told(url: str, tell: Tell, known: Sequence[tuple[str, str]] = ()) -> str:
    """A URL, or what comes behind its host, with other values in its path, query and fragment.

    `known` are URLs that stand for others, where this one begins with them.
    """
    start = ""
    for own, documented in known:
        if url == own or url.startswith((own + "/", own + "?", own + "#", own + "&")):
            start, url = documented, url[len(own) :]
            if url[:1] == "&":  # It has a query of its own, the documented one has not.
                url = "?" + url[1:]
            break
    else:
        if scheme := _SCHEME.match(url):
            authority = re.split("[/?#]", url[scheme.end() :], maxsplit=1)[0]
            user, at, host = authority.rpartition("@")
            start = scheme[0] + (tell(("password",), user) + at if at else "") + host
            url = url[scheme.end() + len(authority) :]
    url, mark, fragment = url.partition("#")
    path, question, query = url.partition("?")
    told = start + "/".join(_segment_told(segment, tell) for segment in path.split("/"))
    told += question + form_told(query, tell) + mark
    if "=" in fragment:  # The implicit grant's answer, or a page's own path with a query.
        before, question, fragment = fragment.rpartition("?")
        return f"{told}{before}{question}{form_told(fragment, tell)}"
    return told + fragment


def _segment_told(segment: str, tell: Tell) -> str:
    """A part of a path, and its parameters (RFC 3986 section 3.3)."""
    first, *parameters = segment.split(";")
    value = unquote(first)
    stands = tell((), value) if value else value
    told = first if stands == value else quote(str(stands), safe=_HOLE)
    return ";".join((told, *(form_told(one, tell, plus=False) for one in parameters)))
