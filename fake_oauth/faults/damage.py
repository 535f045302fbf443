"""Faults in the reply: the endpoint has done its work, and what the client gets is spoilt."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fake_oauth.faults.seams import Damage
from fake_oauth.provider.errors import Problem
from fake_oauth.provider.parties import not_json
from fake_oauth.reply import Written, compact, pretty


@dataclass(frozen=True, slots=True)
class Field(Damage):
    """A reply whose JSON has this member with this value, added or replaced."""

    name: str
    value: Any

    def damage(self, written: Written) -> Written | None:
        members = _members(written)
        return None if members is None else _laid_out(written, {**members, self.name: self.value})

    def problems(self) -> Iterator[Problem]:
        yield from not_json("value", self.value)


@dataclass(frozen=True, slots=True)
class Missing(Damage):
    """A reply whose JSON lacks this member."""

    name: str

    def damage(self, written: Written) -> Written | None:
        members = _members(written)
        if members is None or self.name not in members:
            return None
        return _laid_out(written, {name: members[name] for name in members if name != self.name})


@dataclass(frozen=True, slots=True)
class DuplicateKey(Damage):
    """A reply whose JSON has this member a second time, at the end, with another value.

    RFC 8259 section 4 leaves it open which of the two a parser takes.
    """

    name: str
    value: Any = "DUPLICATE"

    def damage(self, written: Written) -> Written | None:
        members = _members(written)
        if members is None or self.name not in members:
            return None
        # Laid out under a name that no member has, which is then made the true one.
        doubled = _laid_out(written, {**members, f"\0{self.name}": self.value})
        return doubled.changed(doubled.body.replace(b'"\\u0000', b'"', 1))

    def problems(self) -> Iterator[Problem]:
        yield from not_json("value", self.value)


@dataclass(frozen=True, slots=True)
class NotJSON(Damage):
    """A reply that says it is JSON and is not."""

    body: str = '{"access_token": '

    def damage(self, written: Written) -> Written:
        return written.changed(self.body.encode())


@dataclass(frozen=True, slots=True)
class Html(Damage):
    """A page of HTML where the reply should be: a proxy's, or a captive portal's."""

    body: str = "<!DOCTYPE html>\n<title>Welcome</title>\n<p>Please accept our terms.</p>\n"

    def damage(self, written: Written) -> Written:
        return written.changed(self.body.encode(), content_type="text/html;charset=UTF-8")


@dataclass(frozen=True, slots=True)
class Empty(Damage):
    """A reply without a byte of body."""

    def damage(self, written: Written) -> Written:
        return written.changed(b"")


@dataclass(frozen=True, slots=True)
class WrongContentType(Damage):
    """The right body under the wrong Content-Type; an empty one leaves the header out."""

    content_type: str = "text/plain"

    def damage(self, written: Written) -> Written:
        return written.changed(content_type=self.content_type or None)

    def problems(self) -> Iterator[Problem]:
        if not (self.content_type.isascii() and self.content_type.isprintable()):
            message = f"expected what a header can hold, got {self.content_type!r}"
            yield Problem("content_type", message)


@dataclass(frozen=True, slots=True)
class WrongCharset(Damage):
    """A reply that says it is UTF-8 and is in another encoding, one that Python knows."""

    charset: str = "utf-16"

    def damage(self, written: Written) -> Written | None:
        if not written.body:
            return None
        body = written.body.decode().encode(self.charset, errors="replace")
        return written.changed(body, content_type="application/json;charset=UTF-8")

    def problems(self) -> Iterator[Problem]:
        try:
            "".encode(self.charset)
        except LookupError:
            yield Problem("charset", f"expected an encoding of Python's, got {self.charset!r}")


@dataclass(frozen=True, slots=True)
class BrokenGzip(Damage):
    """A reply that says it is compressed (gzip), and breaks while it is inflated."""

    def damage(self, written: Written) -> Written:
        squeezed = bytearray(gzip.compress(written.body, mtime=0))
        # Behind the header of ten bytes: a block of the kind that does not exist (RFC 1951, 3.2.3).
        squeezed[10] |= 0b110
        return written.changed(bytes(squeezed), content_encoding="gzip")


@dataclass(frozen=True, slots=True)
class Huge(Damage):
    """The right body, and blanks behind it up to so many bytes."""

    bytes: int

    def damage(self, written: Written) -> Written:
        return written.changed(written.body.ljust(self.bytes))

    def problems(self) -> Iterator[Problem]:
        if not 1 <= self.bytes <= 2**30:
            yield Problem("bytes", f"expected 1 to {2**30} (a GiB), got {self.bytes}")


def _members(written: Written) -> dict[str, Any] | None:
    """The JSON object in a reply, if there is one."""
    try:
        document = json.loads(written.body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _laid_out(written: Written, members: Mapping[str, Any]) -> Written:
    """The reply with other members, in the layout that it had."""
    text = pretty(members) if written.body.startswith(b"{\n") else compact(members)
    return written.changed(text.encode(errors="backslashreplace"))
