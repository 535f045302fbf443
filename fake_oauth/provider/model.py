"""The values that users of the package write: clients, users, auth sources, and their terms.

The same names in Python and in TOML. The rules that the fields govern are in other modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.provider.keys import SECRET_ALGORITHMS, jwks_problems
from fake_oauth.provider.policies import (
    LONGEST_SECONDS,
    RefreshPolicy,
    lifetime_problems,
    policy_named,
    policy_problems,
)
from fake_oauth.structure import Problem, json_problems

AuthMethod = Literal[
    "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"
]
AssertionAudience = Literal["any", "issuer"]
Identifier = Literal["username", "phone", "email"]
RefreshTokens = Literal["always", "offline_access", "never"]
TokenFormat = Literal["jwt", "opaque"]

_ABSOLUTE_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^#\s]+")
# A browser that is sent to one of these runs or shows what the client wrote (RFC 9700 section 4.1).
_UNSAFE_SCHEMES: Final = ("javascript:", "data:", "vbscript:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Lifetimes in seconds, the refresh policy, and what a login is given."""

    access_token_seconds: int
    id_token_seconds: int
    refresh_token_seconds: int
    refresh_policy: RefreshPolicy
    code_seconds: int
    device_code_seconds: int
    revoke_on_code_reuse: bool
    claims_in_id_token: bool | None = None
    issue_refresh_tokens: RefreshTokens = "always"
    access_token_format: TokenFormat = "jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTerms:
    """The terms that settings or a client change. None keeps a term as it is.

    Settings change the terms of their dialect, and a client changes those of the settings.
    """

    access_token_seconds: int | None = None
    """Lifetime of an access token, in seconds."""
    id_token_seconds: int | None = None
    """Lifetime of an ID token, in seconds."""
    refresh_token_seconds: int | None = None
    """Lifetime of a refresh token, in seconds from its issue. A refresh does not extend it."""
    refresh_policy: RefreshPolicy | str | None = None
    """The refresh policy, or the name of a preset."""
    code_seconds: int | None = None
    """Lifetime of an authorization code, in seconds."""
    device_code_seconds: int | None = None
    """Lifetime of a device code and of its user code, in seconds."""
    revoke_on_code_reuse: bool | None = None
    """Whether reusing an authorization code revokes the tokens issued for it (RFC 6749 section
    4.1.2)."""
    claims_in_id_token: bool | None = None
    """Whether an ID token has the claims that userinfo returns (OpenID Connect Core 1.0 section
    5.4). None gives it those of an access token."""
    issue_refresh_tokens: RefreshTokens | None = None
    """When a login gets a refresh token: `always`, if the scope `offline_access` was granted
    (OpenID Connect Core 1.0 section 11), or `never`. A client that is not allowed to refresh gets
    none."""
    access_token_format: TokenFormat | None = None
    """Whether access tokens are JWTs, or `opaque` texts that only the server can read."""

    def over(self, terms: Terms) -> Terms:
        """Return the terms that apply here: these, and those of `terms` for the rest."""
        policy = self.refresh_policy
        own = {term.name: getattr(self, term.name) for term in fields(OwnTerms)}
        own["refresh_policy"] = None if policy is None else policy_named(policy)
        return Terms(
            **{
                name: getattr(terms, name) if value is None else value
                for name, value in own.items()
            }
        )

    def term_problems(self) -> Iterator[Problem]:
        """Yield a problem for each term with an impossible value."""
        yield from policy_problems(self.refresh_policy)
        for term in fields(OwnTerms):
            if term.name.endswith("_seconds"):
                yield from lifetime_problems(term.name, getattr(self, term.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a server accepts that it could refuse."""

    raw_basic: bool = False
    """A secret in `Authorization: Basic` that is not form-urlencoded (RFC 6749 section 2.3.1)."""
    localhost_on_any_port: bool = False
    """A redirect URI with `localhost` on another port than the registered one (RFC 8252 section
    8.3 advises against it)."""
    unknown_scopes: bool = False
    """An authorization request with scopes that the client may not have; they are ignored (OpenID
    Connect Core 1.0 section 3.1.2.1)."""
    anonymous_introspection: bool = False
    """An introspection request without client authentication (RFC 7662 section 2.1 forbids it)."""
    assertion_audience: AssertionAudience = "any"
    """The `aud` of a client assertion: only the issuer, or also the URL of the token endpoint or of
    the endpoint called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How clients register themselves (RFC 7591), or describe themselves in documents."""

    token: str | None = None
    """The initial access token that a registration requires; None is any or none."""
    seconds: int | None = None
    """How long a registration lasts, in seconds; None is forever."""
    reads_documents: bool = False
    """Whether a client_id can be the URL of a document that describes the client."""
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Documents by their URL. Others are fetched, from this machine only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client(OwnTerms):
    """An application that is registered with the server."""

    client_id: str
    """The id that the client sends in its requests."""
    client_secret: str | None = None
    """The client's secret. Without a secret and without `jwks`, it is a public client (RFC 6749
    section 2.1)."""
    jwks: Mapping[str, Any] | None = None
    """The client's public keys, a JWK Set, for `private_key_jwt` (RFC 7591 section 2)."""
    name: str | None = None
    """The name that the pages show with the client_id."""
    enabled: bool = True
    """Whether the client is accepted. A disabled client is treated as an unknown one."""
    grant_types: Sequence[str] | None = None
    """The grant types that the client is allowed to use; None is every grant type served."""
    scopes: Sequence[str] = ("openid",)
    """The scopes that the client can be granted."""
    token_endpoint_auth_methods: Sequence[AuthMethod] | None = None
    """How the client authenticates. None is `client_secret_basic` and `client_secret_post` with a
    secret, and `private_key_jwt` with `jwks`. A public client sends its client_id alone."""
    redirect_uris: Sequence[str] = ()
    """The client's redirect URIs, compared exactly; a loopback address matches on any port."""
    logout_redirect_uris: Sequence[str] = ()
    """Where a browser can be sent after logout, compared like `redirect_uris`; CIAM compares all of
    them exactly. Registration calls them `post_logout_redirect_uris`."""
    require_pkce: bool = False
    """Whether authorization requests need a code_challenge. Those of a public client always do."""
    dpop_bound_access_tokens: bool = False
    """Whether token requests need a DPoP proof (RFC 9449 section 5.2)."""
    require_pushed_authorization_requests: bool = False
    """Whether authorization requests have to be pushed (RFC 9126 section 6)."""
    auth_sources: Sequence[str] | None = None
    """The ids of the auth sources that the client is allowed to use; None is all of them."""
    claims: Sequence[str] | None = None
    """The user's claims that the client is allowed to learn from userinfo, besides `sub`; None is
    all of them."""
    extra_claims: Mapping[str, Any] = field(default_factory=dict)
    """Claims for the client's tokens, after the documented ones and the user's."""

    @property
    def is_public(self) -> bool:
        """Whether the client has neither a secret nor keys."""
        return self.client_secret is None and self.jwks is None

    @property
    def auth_methods(self) -> Sequence[str]:
        """How the client authenticates; `none` is a public client's only method."""
        if self.is_public:
            return ("none",)
        if self.token_endpoint_auth_methods is not None:
            return self.token_endpoint_auth_methods
        return (
            *(() if self.client_secret is None else ("client_secret_basic", "client_secret_post")),
            *(() if self.jwks is None else ("private_key_jwt",)),
        )

    def may_use(self, grant_type: str) -> bool:
        """Return whether the client is allowed to use a grant type."""
        return self.grant_types is None or grant_type in self.grant_types

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of this client; paths start at the client."""
        yield from self._blank_problems()
        if self.jwks is not None:
            yield from jwks_problems("jwks", self.jwks)
        yield from self._method_problems()
        for name in ("redirect_uris", "logout_redirect_uris"):
            for uri in getattr(self, name):
                if not _ABSOLUTE_URI.fullmatch(uri):
                    yield Problem(name, f"expected an absolute URI without fragment, got {uri!r}")
                elif uri.lower().startswith(_UNSAFE_SCHEMES):
                    yield Problem(name, f"a browser would run or show {uri!r}; use another scheme")
        for scope in self.scopes:
            if not scope or scope.split() != [scope]:
                yield Problem("scopes", f"expected one word per scope, got {scope!r}")
        yield from self.term_problems()
        yield from json_problems("extra_claims", self.extra_claims)

    def _blank_problems(self) -> Iterator[Problem]:
        if not self.client_id.strip():
            yield Problem("client_id", "blank")
        if self.name is not None and not self.name.strip():
            yield Problem("name", "blank; leave it out")
        if self.client_secret is not None and not self.client_secret.strip():
            yield Problem("client_secret", "blank; leave it out for a public client")

    def _method_problems(self) -> Iterator[Problem]:
        """Yield a problem for each authentication method that the client has no secret or key for.

        A public client has no use for methods that send a secret, which were always ignored.
        """
        for index, method in enumerate(self.token_endpoint_auth_methods or ()):
            path = f"token_endpoint_auth_methods[{index}]"
            if method == "private_key_jwt":
                if self.jwks is None:
                    yield Problem(path, "private_key_jwt requires jwks; add the client's keys")
            elif self.client_secret is None:
                if not self.is_public or method == "client_secret_jwt":
                    yield Problem(path, f"{method} requires a client_secret; add it")
            elif method == "client_secret_jwt":
                least = min(SECRET_ALGORITHMS.values())
                length = len(self.client_secret.encode(errors="surrogatepass"))
                if length < least:
                    message = f"expected at least {least} bytes for client_secret_jwt (RFC 7518 "
                    yield Problem("client_secret", f"{message}section 3.2), got {length}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """An issuer whose assertions are grants (RFC 7523 section 2.1): another server, or an app."""

    issuer: str
    """The `iss` of its assertions."""
    jwks: Mapping[str, Any] | None = None
    """Its public keys, a JWK Set; None is the keys of this server, which ship with the package and
    so sign for every fake that has no custom keys."""
    client: str | None = None
    """The client_id that a request gets tokens for if it names no client; None is the first."""

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of this issuer; paths start at the issuer."""
        if not self.issuer.strip():
            yield Problem("issuer", "blank")
        if self.jwks is not None:
            yield from jwks_problems("jwks", self.jwks)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who can log in."""

    sub: str
    """The user's id, the `sub` of tokens."""
    username: str | None = None
    """The name to log in with; None is the `sub`."""
    password: str | None = None
    """The password; None allows no login with a password."""
    phone: str | None = None
    """The phone number, for OTPs by SMS."""
    email: str | None = None
    """The email address, for OTPs by email."""
    status: Literal["active", "frozen", "locked"] = "active"
    """Only an active user can log in and refresh."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Claims for the user's tokens, after the documented ones, and for userinfo, in this order.

    Those that a scope names may be in userinfo only (OpenID Connect Core 1.0 section 5.4)."""

    @property
    def login_name(self) -> str:
        """The name to log in with: the username, or the `sub` if there is none."""
        return self.sub if self.username is None else self.username

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of this user; paths start at the user."""
        if not self.sub.strip():
            yield Problem("sub", "blank")
        for name in ("username", "password", "phone", "email"):
            value = getattr(self, name)
            if value is not None and not value.strip():
                yield Problem(name, "blank; leave it out")
        yield from json_problems("claims", self.claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSource:
    """A way to log in without a page: with a password, or with a one-time password (OTP)."""

    id: str
    """The id that a client sends as `auth_source_id`."""
    kind: Literal["password", "sms", "email"]
    """How a user logs in: with a password, or with an OTP by SMS or email."""
    accepts: Sequence[Identifier] = ("username",)
    """What a password login accepts as `username`. Has no meaning for `sms` and `email`."""
    otp_digits: int = 6
    """The number of digits of an OTP."""
    otp_seconds: int = 60
    """Lifetime of an OTP, in seconds."""
    otp_token_seconds: int = 300
    """Lifetime of an otp_token, in seconds."""
    quota: int | None = None
    """How many OTPs it sends in all; None is any number."""
    interval_seconds: int = 30
    """The pause, in seconds, between two OTPs for one number or address."""
    daily_limit: int = 50
    """How many OTPs one number or address gets in 24 hours."""
    refused: Sequence[str] = ()
    """Numbers or addresses that do not exist or are blocked."""
    available: bool = True
    """Whether sending works."""

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of this auth source; paths start at the auth source."""
        if not self.id.strip():
            yield Problem("id", "blank")
        if not 1 <= self.otp_digits <= 20:
            yield Problem("otp_digits", f"expected 1 to 20, got {self.otp_digits}")
        for name in ("otp_seconds", "otp_token_seconds"):
            yield from lifetime_problems(name, getattr(self, name))
        for name in ("quota", "interval_seconds", "daily_limit"):
            if (number := getattr(self, name)) is not None and number < 0:
                yield Problem(name, f"expected at least 0, got {number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreconfiguredRefreshToken:
    """A refresh token that exists from the start, as if a user had logged in before."""

    value: str
    """The refresh token itself."""
    client: str | None = None
    """The client_id of its client; None is the first client."""
    user: str | None = None
    """The username or sub of its user; None is the first user."""
    scope: str | None = None
    """The granted scopes, separated by spaces; None is every scope of the client."""
    lifetime_seconds: int | None = None
    """Its lifetime in seconds from the start of the server; None is forever."""

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of this token; paths start at the token."""
        if not self.value.strip():
            yield Problem("value", "blank")
        yield from lifetime_problems("lifetime_seconds", self.lifetime_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimePassword:
    """A one-time password (OTP) that the server "sent"."""

    recipient: str
    """The phone number or email address."""
    otp: str
    otp_token: str
    usage: str
    auth_source_id: str
    at: float
    """When it was sent: seconds since 1970 by the server's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedResource:
    """A protected resource, served here at a path, or elsewhere under an identifier."""

    path: str | None = None
    """Its path below the issuer, such as `/files`; None if it is not served here."""
    identifier: str | None = None
    """Its resource identifier (RFC 8707 section 2); None is the issuer with the path."""
    name: str | None = None
    """Its name for people."""
    scopes: Sequence[str] = ()
    """The scopes that its metadata list, besides the required ones."""
    scope: str | None = None
    """The scopes that an access token needs, separated by spaces; None is any."""

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of this resource; paths start at the resource."""
        if self.path is None and self.identifier is None:
            yield Problem("path", "missing; set path, or identifier for a resource elsewhere")
        if self.path is not None and not re.fullmatch(r"/[^?#\s]*[^/?#\s]", self.path):
            yield Problem("path", f"expected a path such as /files, got {self.path!r}")
        if self.identifier is not None and not _ABSOLUTE_URI.fullmatch(self.identifier):
            message = f"expected an absolute URI without fragment, got {self.identifier!r}"
            yield Problem("identifier", message)


@dataclass(slots=True, kw_only=True)
class Resource:
    """A protected resource. Change what it requires at any time."""

    identifier: str = ""
    """Its resource identifier: the `aud` of access tokens for it (RFC 8707 section 2)."""
    path: str | None = None
    """Its path below the issuer; None if it is not served here."""
    name: str | None = None
    """Its name for people."""
    scopes: Sequence[str] = ()
    """The scopes that its metadata list, besides the required ones."""
    authorization_servers: Sequence[str] | None = None
    """The issuers that its metadata name; None is this server."""
    scope: str | None = None
    """The scopes that an access token needs, separated by spaces; None is any."""
    skew_seconds: float = 0
    """How far the resource's clock is ahead of the server's; negative if it is behind."""
    calls: int = 0
    """The number of accepted requests."""
    refused: int = 0
    """The number of refused requests."""

    @property
    def known_scopes(self) -> tuple[str, ...]:
        """All scopes that it knows; the required ones come last."""
        return tuple(dict.fromkeys((*self.scopes, *(self.scope or "").split())))

    def __setattr__(self, name: str, value: Any) -> None:
        """Raise FakeOAuthError for a value that cannot be used, such as a skew that is NaN."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name == "skew_seconds" and not (is_number and abs(value) <= LONGEST_SECONDS):
            raise FakeOAuthError(
                f"resource.{name}: expected a number from {-LONGEST_SECONDS} to {LONGEST_SECONDS}, "
                f"got {value!r}"
            )
        if name == "scope" and not isinstance(value, str | None):
            raise FakeOAuthError(f"resource.{name}: expected a string or None, got {value!r}")
        object.__setattr__(self, name, value)


def repeated(path: str, values: Iterable[str], name: str | None = None) -> Iterator[Problem]:
    """Yield a problem for each value that is listed more than once."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield Problem(path, f"{name or 'value'} {value!r} is listed more than once")
        seen.add(value)
