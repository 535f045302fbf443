"""Who takes part: clients, users, auth sources, and the refresh tokens they start with.

Plain values that users of the package write, in Python or in TOML with the same names. The
rules that the fields govern live elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from fake_oauth.provider.errors import Problem
from fake_oauth.provider.terms import OwnTerms, too_short

AuthMethod = Literal["client_secret_basic", "client_secret_post"]
Identifier = Literal["username", "phone", "email"]

_LISTS = (
    "grant_types",
    "scopes",
    "token_endpoint_auth_methods",
    "redirect_uris",
    "logout_redirect_uris",
    "auth_sources",
    "claims",
)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^#\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client(OwnTerms):
    """An application that is registered with the server.

    Beside these it has the terms that it has changed: those of the settings unless given.
    """

    client_id: str
    client_secret: str | None = None
    """The client's secret; None makes it a public client (RFC 6749 section 2.1)."""
    enabled: bool = True
    """A disabled client is answered like an unknown one."""
    grant_types: Sequence[str] | None = None
    """The grants that it may use; None is every grant that is served."""
    scopes: Sequence[str] = ("openid",)
    """The scopes that it may be granted."""
    token_endpoint_auth_methods: Sequence[AuthMethod] = (
        "client_secret_basic",
        "client_secret_post",
    )
    """How it may send its secret; a public client sends its client_id alone."""
    redirect_uris: Sequence[str] = ()
    """Where it may have people sent back to; compared exactly."""
    logout_redirect_uris: Sequence[str] = ()
    """Where it may have people sent after they log out; compared exactly."""
    require_pkce: bool = False
    """Whether its authorization requests need a code_challenge; a public client's always do."""
    auth_sources: Sequence[str] | None = None
    """The ids of the auth sources that it may use; None is all."""
    claims: Sequence[str] | None = None
    """The user's claims that userinfo tells it, beside `sub`; None is all."""
    extra_claims: Mapping[str, Any] = field(default_factory=dict)
    """Claims for its tokens, after the documented ones and the user's."""

    @property
    def is_public(self) -> bool:
        return self.client_secret is None

    @property
    def auth_methods(self) -> Sequence[str]:
        """How it may say who it is, `none` being a public client's only way."""
        return ("none",) if self.is_public else self.token_endpoint_auth_methods

    def may_use(self, grant_type: str) -> bool:
        return self.grant_types is None or grant_type in self.grant_types

    def problems(self) -> Iterator[Problem]:
        if not self.client_id.strip():
            yield Problem("client_id", "blank")
        if self.client_secret is not None and not self.client_secret.strip():
            yield Problem("client_secret", "blank; leave it out for a public client")
        for name in _LISTS:
            if isinstance(getattr(self, name), str):
                yield Problem(name, f"expected a list, got {getattr(self, name)!r}")
        for name in ("redirect_uris", "logout_redirect_uris"):
            for uri in getattr(self, name):
                if not _ABSOLUTE.fullmatch(uri):
                    yield Problem(name, f"expected an absolute URI without fragment, got {uri!r}")
        for scope in self.scopes:
            if not scope or scope.split() != [scope]:
                yield Problem("scopes", f"{scope!r} is not one word")
        yield from self.wrong_terms()
        yield from not_json("extra_claims", self.extra_claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who can log in."""

    sub: str
    """The id that tokens carry."""
    username: str | None = None
    """The name to log in with; None is the `sub`."""
    password: str | None = None
    """None: nobody logs in with a password."""
    phone: str | None = None
    email: str | None = None
    status: Literal["active", "frozen", "locked"] = "active"
    """Who is not active cannot log in."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Claims for the user's tokens, after the documented ones, and for userinfo, in this order."""

    @property
    def login(self) -> str:
        return self.sub if self.username is None else self.username

    def problems(self) -> Iterator[Problem]:
        if not self.sub.strip():
            yield Problem("sub", "blank")
        for name in ("username", "password", "phone", "email"):
            value = getattr(self, name)
            if value is not None and not value.strip():
                yield Problem(name, "blank; leave it out")
        yield from not_json("claims", self.claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSource:
    """A way to log in without a page: with a password, or with a one-time password (OTP)."""

    id: str
    kind: Literal["password", "sms", "email"]
    accepts: Sequence[Identifier] = ("username",)
    """What a password's `username` may be; for `sms` and `email` it goes without saying."""
    otp_digits: int = 6
    otp_seconds: int = 60
    """Lifetime of an OTP."""
    otp_token_seconds: int = 300
    """Lifetime of an otp_token."""
    quota: int | None = None
    """How many OTPs it may send; None is any number."""
    interval_seconds: int = 30
    """How long one number or address has to wait for the next OTP."""
    daily_limit: int = 50
    """How many OTPs one number or address may get in 24 hours."""
    refused: Sequence[str] = ()
    """Addresses that do not exist or are blocked."""
    available: bool = True
    """Whether sending works."""

    def problems(self) -> Iterator[Problem]:
        if not self.id.strip():
            yield Problem("id", "blank")
        for name in ("accepts", "refused"):
            if isinstance(getattr(self, name), str):
                yield Problem(name, f"expected a list, got {getattr(self, name)!r}")
        if not 1 <= self.otp_digits <= 20:
            yield Problem("otp_digits", f"expected 1 to 20, got {self.otp_digits}")
        for name in ("otp_seconds", "otp_token_seconds"):
            yield from too_short(name, getattr(self, name))
        for name in ("quota", "interval_seconds", "daily_limit"):
            if (number := getattr(self, name)) is not None and number < 0:
                yield Problem(name, f"expected at least 0, got {number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """A refresh token that exists from the start, as if someone had logged in before."""

    value: str
    client: str | None = None
    """The client_id that it belongs to; None is the first client."""
    user: str | None = None
    """The username or sub of its user; None is the first user."""
    scope: str | None = None
    """The granted scopes, separated by spaces; None is all that the client may have."""
    lifetime_seconds: int | None = None
    """How long it lives, from the start of the server; None is for ever."""

    def problems(self) -> Iterator[Problem]:
        if not self.value.strip():
            yield Problem("value", "blank")
        yield from too_short("lifetime_seconds", self.lifetime_seconds)


def repeated(path: str, values: Iterable[str], name: str | None = None) -> Iterator[Problem]:
    """A problem for every value that stands more than once."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield Problem(path, f"{name or 'value'} {value!r} stands there more than once")
        seen.add(value)


def not_json(path: str, value: object) -> Iterator[Problem]:
    """A problem for every part of a value that JSON could not carry."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from not_json(f"{path}.{name}", member)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from not_json(f"{path}[{index}]", item)
    elif not isinstance(value, str | int | None) and not (
        isinstance(value, float) and isfinite(value)
    ):
        yield Problem(path, f"JSON has no such value: {value!r}")
