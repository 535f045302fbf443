"""Lifetimes and habits: a dialect's, and which of them a server or a client has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from fake_oauth.provider.errors import Problem
from fake_oauth.provider.policies import RefreshPolicy, policy_named, wrong_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The lifetimes and habits that hold."""

    access_token_seconds: int
    id_token_seconds: int
    refresh_token_seconds: int
    rotate_refresh_tokens: bool = False
    refresh_policy: RefreshPolicy | str | None = None
    code_seconds: int
    revoke_on_code_reuse: bool

    def policy(self, *, is_public: bool) -> RefreshPolicy:
        """What may happen to the refresh tokens of a client of this kind."""
        policy = policy_named(self.refresh_policy)
        if self.rotate_refresh_tokens:
            policy = policy.rotating()
        return policy.for_client(is_public=is_public)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTerms:
    """The terms that somebody has changed; None leaves one as it is.

    The settings change those of their dialect, a client those of the settings.
    """

    access_token_seconds: int | None = None
    """Lifetime of an access token."""
    id_token_seconds: int | None = None
    """Lifetime of an id_token."""
    refresh_token_seconds: int | None = None
    """Lifetime of an issued refresh token, from its issue; a refresh does not prolong it."""
    rotate_refresh_tokens: bool | None = None
    """Whether a refresh answers with a new refresh token and kills the old one at once."""
    refresh_policy: RefreshPolicy | str | None = None
    """What may happen to refresh tokens; a name of `ALL_POLICIES` is that policy."""
    code_seconds: int | None = None
    """Lifetime of an authorization code."""
    revoke_on_code_reuse: bool | None = None
    """Whether a code that comes again takes the tokens that it bought (RFC 6749 section 4.1.2)."""

    def terms(self, default: Terms) -> Terms:
        """The terms that hold here."""
        own = {term.name: getattr(self, term.name) for term in fields(OwnTerms)}
        if self.refresh_policy is not None and self.rotate_refresh_tokens is None:
            own["rotate_refresh_tokens"] = False  # The policy that is set here says it.
        return replace(default, **{name: value for name, value in own.items() if value is not None})

    def wrong_terms(self) -> Iterator[Problem]:
        """A problem for every lifetime that is none, and for a policy that is none."""
        yield from wrong_policy(self.refresh_policy)
        for term in fields(OwnTerms):
            if term.name.endswith("_seconds"):
                yield from too_short(term.name, getattr(self, term.name))


def too_short(name: str, seconds: int | None) -> Iterator[Problem]:
    """A problem for a lifetime that is none."""
    if seconds is not None and not isinstance(seconds, bool) and seconds < 1:
        yield Problem(name, f"expected at least 1 second, got {seconds}")
