"""What a pasted text is: an HTTP response, a JSON object, a form, a URL, a token, or a log.

People paste what they have: with quotes, with `Bearer`, with line breaks of a terminal, or all that
`curl -v` has printed. Everything that is not the content is removed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from fake_oauth.explain.lines import LogLine, read_lines

_STATUS: Final = re.compile(r"^HTTP/[\d.]+ +(\d{3})\b", re.MULTILINE)
_VERBOSE: Final = re.compile(r"^< HTTP/", re.MULTILINE)
# What curl -v prints besides the response: notes, the request, counts, and progress.
_NOISE: Final = re.compile(r"[*>]( |$)|[{}] \[\d+ bytes data\]|\s*% Total|\s*Dload|.*--:--:--")
_END_NOTE: Final = re.compile(r"\* (Connection #\d+ to host|Closing connection).*$", re.MULTILINE)
# What stands before a token: an option of curl, a header, a scheme, or the name of a member.
_BEFORE_TOKEN: Final = re.compile(
    r"""\s*(?:-H\s*)?["'`]*(?:\w+["']?\s*[:=](?![=.])\s*)?["'`]*(?:(?:bearer|dpop)\s+)?["'`]*""",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"[\w\-.~+/]+=*", re.ASCII)
_JWT: Final = re.compile(r"[\w+/-]+=*(?:\.[\w+/-]*=*){2,4}", re.ASCII)
# A form has one of these; other texts with = in them are no form.
_OF_FORM: Final = frozenset({"error", "code", "access_token", "id_token", "refresh_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pasted:
    """A text that was read. What does not apply is None or empty."""

    status: int | None = None
    """The status of an HTTP response."""
    headers: Sequence[tuple[str, str]] = ()
    members: dict[str, Any] | None = None
    """The members of a JSON object, or the parameters of a form or a URL."""
    repeated: Sequence[str] = ()
    """The members that are there more than once."""
    is_json: bool = False
    rest: str = ""
    """What follows the JSON."""
    token: str | None = None
    """A text that can be a token, whether a JWT or not."""
    lines: Sequence[LogLine] = ()
    """Lines of the server's log."""
    problem: str | None = None
    """Why the text is none of these. It quotes nothing of the text."""

    def header(self, name: str) -> str | None:
        """Return the value of a header; None if there is none."""
        values = [value for known, value in self.headers if known.lower() == name.lower()]
        return ", ".join(values) if values else None


def decoded(data: bytes) -> str:
    """Return bytes as text. A shell can write UTF-16, with a byte order mark."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def read(text: str) -> Pasted:
    """Return what a text is."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    status, head, body = _response(text)
    found = _content(_END_NOTE.sub("", body).strip(), is_response=status is not None)
    return replace(found, status=status, headers=tuple(_headers(head)))


def looks_pasted(text: str) -> bool:
    """Return whether an argument is content, and not the name of something."""
    return bool(re.search(r"[\s{}:=?&]", text.strip()) or _JWT.fullmatch(text.strip().strip("\"'")))


def _response(text: str) -> tuple[int | None, str, str]:
    """Return the status, the header lines, and the body of the last response in a text."""
    if _VERBOSE.search(text):
        lines = text.split("\n")
        text = "\n".join(line[2:] for line in lines if line.startswith("<"))
        body = "\n".join(
            line for line in lines if not line.startswith("<") and not _NOISE.match(line)
        )
        text = f"{text.rstrip()}\n\n{body}"
    found = list(_STATUS.finditer(text))
    if not found:
        return None, "", text
    last = found[-1]
    head, _, body = text[last.start() :].partition("\n\n")
    return int(last[1]), head, body


def _headers(head: str) -> Iterator[tuple[str, str]]:
    for line in head.split("\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip(), value.strip()


def _content(text: str, *, is_response: bool) -> Pasted:
    if not text:
        return Pasted(problem=None if is_response else "there is no text")
    if text.startswith("{"):
        return _json(text)
    if not is_response and (lines := list(read_lines(text))):
        return Pasted(lines=lines)
    if text.startswith("["):
        return _json(text)
    if text.startswith("<"):
        return Pasted(problem="it is HTML or XML, as a gateway or a login page sends it")
    if (form := _form(text)) is not None:
        return form
    before = _BEFORE_TOKEN.match(text)
    token = "".join(text[before.end() if before else 0 :].split()).strip("\"'`,;<>")
    if _JWT.fullmatch(token) or (_TOKEN.fullmatch(token) and len(text.split()) <= 3):
        return Pasted(token=token)
    if "{" in text:
        found = _json(text[text.index("{") :])
        if found.members is not None:
            return found
    return Pasted(problem="it has none of the forms that are known")


def _json(text: str) -> Pasted:
    repeated: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts = Counter(name for name, _ in pairs)
        repeated.extend(name for name, count in counts.items() if count > 1)
        return dict(pairs)

    decoder = json.JSONDecoder(object_pairs_hook=members)
    try:
        data, end = decoder.raw_decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        quotes = "; JSON has double quotes" if re.match(r"[{\[]\s*'", text) else ""
        return Pasted(problem=f"it is not JSON: {error.msg} at {where}{quotes}")
    except (ValueError, RecursionError):
        return Pasted(
            problem="it is not JSON that can be read: nested too deeply, or a number "
            "with too many digits"
        )
    if not isinstance(data, dict):
        return Pasted(problem="it is JSON, but not an object; responses and claims are objects")
    return Pasted(members=data, repeated=repeated, is_json=True, rest=text[end:].strip())


def _form(text: str) -> Pasted | None:
    """Return the parameters of a form, or of a URL; None if it is neither."""
    if len(text.split()) != 1:
        return None
    if "://" in text:
        try:
            parts = urlsplit(text.strip("\"'"))
        except ValueError:
            return None
        text = "&".join(filter(None, (parts.query, parts.fragment)))
    pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=None)
    names = [name for name, _ in pairs]
    if not _OF_FORM & set(names):
        return None
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    return Pasted(members=dict(pairs), repeated=repeated)
