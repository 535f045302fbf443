"""Faults in the authorization response: what the browser takes to the client is malformed.

The authorization endpoint sends the response, or the login page after a login. Its parameters are
in the query of a redirect, in the fragment, or in a form. A new fault is a subclass of
`AuthorizationFault` and a row of `KINDS`.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape, unescape
from typing import ClassVar, Final, Literal
from urllib.parse import unquote

from fake_oauth.faults.base import FaultContext, ResponseFault
from fake_oauth.provider.errors import ResponseMode
from fake_oauth.reply import HTML, Response, redirect
from fake_oauth.structure import Problem

# As the page of a form_post writes them.
_FORM: Final = re.compile(r'<form method="post" action="([^"]*)">')
_INPUT: Final = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')
# A redirect does not escape the names of parameters (RFC 6749 appendix A).
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
# The first parameter of a response; a redirect URI can have others before it (RFC 6749 section
# 3.1.2).
_FIRST: Final = ("code", "error")


@dataclass(frozen=True, slots=True)
class AuthorizationFault(ResponseFault):
    """A fault in an authorization response (RFC 6749 section 4.1.2)."""

    endpoints: ClassVar[tuple[str, ...]] = ("authorize", "login")

    outcome: Literal["code", "error", "both"] = field(default="both", kw_only=True)
    """Which responses change: those with a code, those with an error, or both."""

    def damage(self, response: Response, context: FaultContext) -> Response | None:
        sent = _parsed(response)
        if sent is None or self.outcome not in ("both", sent.outcome):
            return None
        changed = self.change(sent)
        if changed is None or changed == sent:
            return None
        return _written(changed, response, context.realm.dialect.unescaped_in_redirects)

    @abstractmethod
    def change(self, sent: AuthorizationResponse) -> AuthorizationResponse | None:
        """Return what is sent instead; None if there is nothing in it to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """An authorization response, taken apart."""

    uri: str
    """The redirect URI."""
    parameters: dict[str, str]
    mode: ResponseMode

    @property
    def outcome(self) -> str:
        """Whether it has a `code` or an `error`."""
        return next(name for name in _FIRST if name in self.parameters)


@dataclass(frozen=True, slots=True)
class RedirectParameter(AuthorizationFault):
    """An authorization response that has this parameter with this value, added or replaced."""

    name: str
    """The name of the parameter."""
    value: str
    """The value of the parameter."""

    def change(self, sent: AuthorizationResponse) -> AuthorizationResponse:
        return replace(sent, parameters={**sent.parameters, self.name: self.value})

    def problems(self) -> Iterator[Problem]:
        if not _NAME.fullmatch(self.name):
            yield Problem("name", f"expected the name of a parameter, got {self.name!r}")


@dataclass(frozen=True, slots=True)
class MissingRedirectParameter(AuthorizationFault):
    """An authorization response that lacks this parameter."""

    name: str
    """The name of the parameter."""

    def change(self, sent: AuthorizationResponse) -> AuthorizationResponse:
        rest = {name: value for name, value in sent.parameters.items() if name != self.name}
        return replace(sent, parameters=rest)


@dataclass(frozen=True, slots=True)
class WrongResponseMode(AuthorizationFault):
    """An authorization response in another mode than the requested one."""

    mode: Literal["query", "fragment"] = "query"
    """Where the parameters are sent."""

    def change(self, sent: AuthorizationResponse) -> AuthorizationResponse:
        return replace(sent, mode=self.mode)


def error_in(response: Response) -> str | None:
    """Return the error code in an authorization response; None if it has none."""
    sent = _parsed(response)
    return None if sent is None else sent.parameters.get("error")


def _parsed(response: Response) -> AuthorizationResponse | None:
    """Return the parts of an authorization response; None for any other response."""
    headers = {name.lower(): value for name, value in response.headers}
    location = headers.get("location")
    mode: ResponseMode = "form_post"
    if location is not None:
        mode = "fragment" if "#" in location else "query"
        uri, mark, text = location.partition("#" if mode == "fragment" else "?")
        parts = text.split("&")
        names = [part.partition("=")[0] for part in parts]
        # Those of the redirect URI come first, and are kept as they are.
        start = max((index for index, name in enumerate(names) if name in _FIRST), default=0)
        uri += mark + "&".join(parts[:start]) if start else ""
        values = [unquote(part.partition("=")[2]) for part in parts[start:]]
        parameters = dict(zip(names[start:], values, strict=True))
    elif headers.get("content-type") == HTML:
        page = response.body.decode(errors="replace")
        uri = "".join(map(unescape, _FORM.findall(page)))
        parameters = {unescape(name): unescape(value) for name, value in _INPUT.findall(page)}
    else:
        return None
    if not any(name in parameters for name in _FIRST):
        return None
    return AuthorizationResponse(uri=uri, parameters=parameters, mode=mode)


def _written(sent: AuthorizationResponse, response: Response, unescaped: str) -> Response:
    """Return the response with other parts; `unescaped` is as in `redirect`."""
    if sent.mode == "form_post":
        page = response.body.decode(errors="replace")
        found = list(_INPUT.finditer(page))
        inputs = "\n".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in sent.parameters.items()
        )
        page = page[: found[0].start()] + inputs + page[found[-1].end() :]
        # A lone surrogate, which JSON allows, has no UTF-8.
        return response.changed(page.encode(errors="backslashreplace"))
    ((_, location),) = redirect(
        sent.uri,
        sent.parameters,
        reason="",
        unescaped=unescaped,
        in_fragment=sent.mode == "fragment",
    ).headers
    return response.changed(
        b"", status=302, location=location, content_type=None, content_security_policy=None
    )
