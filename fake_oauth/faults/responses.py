"""Faults in the response: the endpoint has done its work, and what the client gets is malformed.

JSON is written as the server writes it. A new fault is a subclass of `ResponseFault` and a row of
`KINDS`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fake_oauth.faults.base import (
    TOKEN,
    FaultContext,
    ResponseFault,
    TokenFault,
    called,
    header_problems,
    header_value_problems,
)
from fake_oauth.faults.tokens import tampered
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.reply import HTML, Response
from fake_oauth.structure import Problem, json_problems

# RFC 9110 section 11.2.
_CHALLENGE_PARAMETER: Final = re.compile(r'([\w-]+)=("(?:[^"\\]|\\.)*"|[^\s,]+)')
# Text in which an encoding shows that it is one for texts, and for all of them.
_SAMPLE = json.dumps({"access_token": "é" * 100}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Field(ResponseFault):
    """A response whose JSON has this member with this value, added or replaced."""

    name: str
    """The name of the member."""
    value: Any
    """The value of the member, of any type."""

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        members = _members(response)
        if members is None:
            return None
        return _rewritten(response, {**members, self.name: self.value}, context)

    def problems(self) -> Iterator[Problem]:
        yield from json_problems("value", self.value)


@dataclass(frozen=True, slots=True)
class MissingField(ResponseFault):
    """A response whose JSON lacks this member."""

    name: str
    """The name of the member."""

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        members = _members(response)
        if members is None or self.name not in members:
            return None
        rest = {name: value for name, value in members.items() if name != self.name}
        return _rewritten(response, rest, context)


@dataclass(frozen=True, slots=True)
class DuplicateKey(ResponseFault):
    """A response whose JSON has this member a second time, at the end, with another value.

    RFC 8259 section 4 leaves open which of the two a parser uses.
    """

    name: str
    """The name of the member."""
    value: Any = "DUPLICATE"
    """The second value of the member, of any type."""

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        members = _members(response)
        if members is None or self.name not in members:
            return None
        # Written under a name that nothing in the response has, which is then replaced.
        marker = "duplicate"
        while marker in context.write_json({**members, self.name: self.value}):
            marker += "_"
        text = context.write_json({**members, marker: self.value})
        text = text.replace(f'"{marker}"', context.write_json(self.name))
        return response.changed(_encoded(text))

    def problems(self) -> Iterator[Problem]:
        yield from json_problems("value", self.value)


@dataclass(frozen=True, slots=True)
class ChallengeParameter(ResponseFault):
    """A response whose challenge has this parameter with this value, added or replaced.

    A challenge is the value of `WWW-Authenticate` (RFC 9110 section 11.3).
    """

    name: str
    """The name of the parameter."""
    value: str
    """The value of the parameter."""

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        value = self.value.replace("\\", r"\\").replace('"', r"\"")
        return _with_challenges(
            response, lambda challenge: _with_parameter(challenge, self.name, f'"{value}"')
        )

    def problems(self) -> Iterator[Problem]:
        if not TOKEN.fullmatch(self.name):
            yield Problem("name", f"expected the name of a parameter, got {self.name!r}")
        yield from header_value_problems("value", self.value)


@dataclass(frozen=True, slots=True)
class MissingChallengeParameter(ResponseFault):
    """A response whose challenge lacks this parameter."""

    name: str
    """The name of the parameter."""

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        return _with_challenges(
            response, lambda challenge: _with_parameter(challenge, self.name, None)
        )


@dataclass(frozen=True, slots=True)
class NotJSONBody(ResponseFault):
    """A response with another body and the same headers; by default JSON that is cut off."""

    body: str = '{"access_token": '
    """The body that is sent."""

    def damage(self, response: Response, context: FaultContext) -> Response:
        return response.changed(_encoded(self.body))


@dataclass(frozen=True, slots=True)
class HTMLBody(ResponseFault):
    """An HTML page instead of the response: that of a proxy or a captive portal."""

    body: str = "<!DOCTYPE html>\n<title>Welcome</title>\n<p>Please accept our terms.</p>\n"
    """The page that is sent."""

    def damage(self, response: Response, context: FaultContext) -> Response:
        return response.changed(_encoded(self.body), content_type=HTML)


@dataclass(frozen=True, slots=True)
class EmptyBody(ResponseFault):
    """A response without its body."""

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        return response.changed(b"") if response.body else None


@dataclass(frozen=True, slots=True)
class WrongContentType(ResponseFault):
    """The right body with the wrong Content-Type; an empty one removes the header."""

    content_type: str = "text/plain"
    """The Content-Type; an empty one removes the header."""

    def damage(self, response: Response, context: FaultContext) -> Response:
        return response.changed(content_type=self.content_type or None)

    def problems(self) -> Iterator[Problem]:
        yield from header_value_problems("content_type", self.content_type)


@dataclass(frozen=True, slots=True)
class WrongCharset(ResponseFault):
    """A response that claims to be UTF-8 and has another encoding, one that Python knows.

    A body whose bytes are the same in both is unchanged.
    """

    charset: str = "utf-16"
    """The name of the encoding in Python, such as `latin-1`."""

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        try:
            body = response.body.decode().encode(self.charset, errors="replace")
        except UnicodeDecodeError:
            return None
        if not response.body or body == response.body:
            return None
        return response.changed(body, content_type="application/json;charset=UTF-8")

    def problems(self) -> Iterator[Problem]:
        try:
            _SAMPLE.encode(self.charset, errors="replace")
        except (LookupError, ValueError):
            message = f"expected an encoding of Python for text, got {self.charset!r}"
            yield Problem("charset", message)


@dataclass(frozen=True, slots=True)
class BrokenGzip(ResponseFault):
    """A response that claims to be compressed (gzip), and breaks while it is inflated."""

    def damage(self, response: Response, context: FaultContext) -> Response:
        compressed = bytearray(gzip.compress(response.body, mtime=0))
        # After the header of ten bytes: a block of a type that does not exist (RFC 1951, 3.2.3).
        compressed[10] |= 0b110
        return response.changed(bytes(compressed), content_encoding="gzip")


@dataclass(frozen=True, slots=True)
class HugeBody(ResponseFault):
    """The right body, followed by blanks up to some number of bytes."""

    bytes: int
    """The length of the body, up to a GiB."""

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        if len(response.body) >= self.bytes:
            return None
        return response.changed(response.body.ljust(self.bytes))

    def problems(self) -> Iterator[Problem]:
        if not 1 <= self.bytes <= 2**30:
            yield Problem("bytes", f"expected 1 to {2**30} (a GiB), got {self.bytes}")


@dataclass(frozen=True, slots=True)
class Change(ResponseFault):
    """A response as a function changes it. In Python only.

    The function gets a `Response` and returns another, for example one of `response.changed(…)`.
    None, or the same response, says that there was nothing to change.
    """

    function: Callable[[Response], Response | None]

    @property
    def changes_layout(self) -> bool:
        return True

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        changed: object = called(str(self), self.function, response)
        if changed is None or changed == response:
            return None
        if not isinstance(changed, Response):
            raise FakeOAuthError(
                f"{self}: expected the function to return a Response or None, got {changed!r}"
            )
        for problem in _response_problems(changed, response):
            raise FakeOAuthError(f"{self}: the function returned a Response with {problem}")
        return changed


@dataclass(frozen=True, slots=True)
class Combined(ResponseFault):
    """Several faults in one response, in the order of the list.

    List token faults first, then those of members, then those of the body. If one of them has
    nothing to change, the response is unchanged.
    """

    parts: Sequence[ResponseFault | TokenFault]
    """The faults, in order."""

    @property
    def changes_tokens(self) -> bool:
        return any(isinstance(part, TokenFault) for part in self.parts)

    @property
    def changes_layout(self) -> bool:
        return any(isinstance(part, ResponseFault) and part.changes_layout for part in self.parts)

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        changed: Response | None = response
        for part in self.parts:
            if changed is None:
                return None
            if isinstance(part, ResponseFault):
                changed = part.damage(changed, context)
            else:
                members = tampered(part, _members(changed) or {}, context)
                changed = None if members is None else _rewritten(changed, members, context)
        return changed

    def problems(self) -> Iterator[Problem]:
        if not self.parts:
            yield Problem("parts", "expected at least one fault")
        unsigned: list[TokenFault] = []
        for index, part in enumerate(self.parts):
            path = f"parts[{index}]"
            if isinstance(part, Combined):
                yield Problem(path, "expected a single fault; list its parts here")
                continue
            yield from (Problem(f"{path}.{p.path}", p.message) for p in part.problems())
            if isinstance(part, TokenFault):
                for other in unsigned:
                    if set(part.tokens) & set(other.tokens):
                        yield Problem(path, f"would undo {other}; put {other} after it")
                if part.breaks_signature:
                    unsigned.append(part)


def _response_problems(changed: Response, response: Response) -> Iterator[Problem]:
    """Yield a problem for each part of a changed response that cannot be sent."""
    if not (isinstance(changed.status, int) and 200 <= changed.status <= 599):
        yield Problem("status", f"expected 200 to 599, got {changed.status!r}")
    elif changed.status in (204, 205, 304) and changed.body:
        yield Problem(
            "body", f"expected no body with status {changed.status} (RFC 9110 section 6.4.1)"
        )
    body: object = changed.body
    if isinstance(body, bytes):
        # The server sets its own framing, which `Response.changed` keeps right.
        known = {*response.headers, ("Content-Length", str(len(body)))}
        changes = [header for header in changed.headers if header not in known]
        for name, value in changes:
            yield from header_problems("headers", {name: value})
    else:
        yield Problem("body", f"expected bytes, got {body!r}")


def _with_challenges(response: Response, change: Callable[[str], str]) -> Response | None:
    """Return the response with its challenges changed; None if that changes nothing."""
    headers = tuple(
        (name, change(value) if name.lower() == "www-authenticate" else value)
        for name, value in response.headers
    )
    return None if headers == response.headers else replace(response, headers=headers)


def _with_parameter(challenge: str, name: str, value: str | None) -> str:
    """Return a challenge with another parameter; None removes the parameter."""
    matches = _CHALLENGE_PARAMETER.finditer(challenge)
    found = next((match for match in matches if match[1] == name), None)
    if found is None:
        join = ", " if "=" in challenge else " "
        return challenge if value is None else f"{challenge}{join}{name}={value}"
    if value is not None:
        return challenge[: found.start(2)] + value + challenge[found.end(2) :]
    before, after = challenge[: found.start()], challenge[found.end() :].lstrip(", ")
    return before + after if after else before.rstrip(", ")


def _members(response: Response) -> dict[str, Any] | None:
    """Return the JSON object in a response, if it is one that can be written again."""
    try:
        document = json.loads(response.body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a repeated member would be lost")
    return members


def _rewritten(response: Response, members: Mapping[str, Any], context: FaultContext) -> Response:
    return response.changed(_encoded(context.write_json(members)))


def _encoded(text: str) -> bytes:
    # JSON can hold a lone surrogate as an escape; UTF-8 cannot hold it.
    return text.encode(errors="backslashreplace")
