"""Lifetimes and habits: the server's own, and which of them a client has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from fake_oauth.provider.errors import Problem
from fake_oauth.provider.policies import RefreshPolicy, policy_named, wrong_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Lifetimes and habits: the server's own, which a `Client` may override one by one."""

    access_token_seconds: int = 300
    """Lifetime of an access token; a reply's `expires_in` is one less (CIAM 1441/64400)."""
    id_token_seconds: int = 1800
    """Lifetime of an id_token."""
    refresh_token_seconds: int = 3600
    """Lifetime of an issued refresh token, from its issue; a refresh does not prolong it."""
    rotate_refresh_tokens: bool = False
    """Whether a refresh answers with a new refresh token and kills the old one at once."""
    refresh_policy: RefreshPolicy | str | None = None
    """What may happen to refresh tokens; a name of `ALL_POLICIES`, or None, is that policy."""
    code_seconds: int = 300
    """Lifetime of an authorization code."""
    revoke_on_code_reuse: bool = False
    """Whether a code that comes again takes the tokens that it bought (RFC 6749 section 4.1.2)."""

    def policy(self, *, is_public: bool) -> RefreshPolicy:
        """What may happen to the refresh tokens of a client of this kind."""
        policy = policy_named(self.refresh_policy)
        if self.rotate_refresh_tokens:
            policy = policy.rotating()
        return policy.for_client(is_public=is_public)


def wrong_terms(terms: Any) -> Iterator[Problem]:
    """A problem for every lifetime that is none, and for a policy that is none."""
    yield from wrong_policy(terms.refresh_policy)
    for term in fields(Terms):
        if term.name.endswith("_seconds"):
            yield from too_short(term.name, getattr(terms, term.name))


def too_short(name: str, seconds: int | None) -> Iterator[Problem]:
    """A problem for a lifetime that is none."""
    if seconds is not None and not isinstance(seconds, bool) and seconds < 1:
        yield Problem(name, f"expected at least 1 second, got {seconds}")
