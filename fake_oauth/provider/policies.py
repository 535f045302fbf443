"""What may happen to a refresh token: rotation, replay, grace and lifetimes as one value.

The rules that obey it are in `refreshing`. To add a preset, add a row to `ALL_POLICIES` with the
source and the date on which it was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar, Final, Literal

from fake_oauth.provider.errors import Problem, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshPolicy:
    """How refresh tokens live and die.

    >>> RefreshPolicy.RFC9700.rotate
    True
    """

    CIAM: ClassVar[RefreshPolicy]
    RFC9700: ClassVar[RefreshPolicy]
    KEYCLOAK: ClassVar[RefreshPolicy]
    AUTH0: ClassVar[RefreshPolicy]
    OKTA: ClassVar[RefreshPolicy]
    DEX: ClassVar[RefreshPolicy]

    rotate: bool = False
    """Whether a refresh gives a new refresh token and spends the one that came."""
    on_replay: Literal["refuse", "revoke"] = "refuse"
    """What happens when a spent token comes again: it is refused, or it also revokes all refresh
    tokens of its family, which are those that one log-in led to."""
    revoke_access_tokens: bool = True
    """Whether the family's access tokens are revoked with it."""
    grace_seconds: float = 0
    """For how long a spent token is still taken, by the server's clock, unless its successor has
    been used."""
    grace_gives: Literal["successor", "sibling"] = "sibling"
    """What it is given then: its successor once more, or a new token beside that."""
    until_successor_used: bool = False
    """Whether a spent token is taken for as long as no successor of it has been used."""
    idle_seconds: int | None = None
    """How long a family lives without being used; None is for ever."""
    absolute_seconds: int | None = None
    """How long a family lives after its log-in; None is for ever."""
    sliding: bool = False
    """Whether a refresh that gives the same token starts its `refresh_token_seconds` anew. They
    count only where the policy has no lifetimes of its own."""
    return_unchanged: bool = True
    """Whether a reply has the refresh token also when it is the same (RFC 6749 section 6)."""
    public: RefreshPolicy | None = None
    """What holds for public clients instead."""

    @property
    def has_lifetimes(self) -> bool:
        return self.idle_seconds is not None or self.absolute_seconds is not None

    def expires_at(self, now: float, family_since: float, token_seconds: int) -> float:
        """When a refresh token expires that is given or used now.

        `token_seconds` is its lifetime where the policy has none of its own.
        """
        if not self.has_lifetimes:
            return now + token_seconds
        idle = inf if self.idle_seconds is None else now + self.idle_seconds
        return min(
            idle, inf if self.absolute_seconds is None else family_since + self.absolute_seconds
        )

    def for_client(self, *, is_public: bool) -> RefreshPolicy:
        """The policy that holds for a client of this kind."""
        return self.public if is_public and self.public is not None else self

    def rotating(self) -> RefreshPolicy:
        """The same with rotation."""
        return replace(self, rotate=True, public=None)

    def problems(self) -> Iterator[Problem]:
        """What is wrong with it; paths start at the policy."""
        if self.grace_seconds < 0:
            yield Problem("grace_seconds", f"expected at least 0, got {self.grace_seconds}")
        for name in ("idle_seconds", "absolute_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and seconds < 1:
                yield Problem(name, f"expected at least 1 second, got {seconds}")
        takes_spent = self.grace_seconds or self.until_successor_used
        if not self.rotate and (takes_spent or self.on_replay == "revoke"):
            yield Problem("rotate", "without it no token is ever spent: no replay and no grace")
        if self.public is not None:
            if self.public.public is not None:
                yield Problem("public.public", "is for public clients already")
            for problem in self.public.problems():
                yield Problem(f"public.{problem.path}", problem.message)


# The default (CIAM 1441/64400): the same token comes back and does not slide.
RefreshPolicy.CIAM = RefreshPolicy()

# RFC 9700 (January 2025) section 4.14.2: rotation, and a replay revokes the active token and so
# the grant; for public clients, where tokens are not sender-constrained.
RefreshPolicy.RFC9700 = RefreshPolicy(rotate=True, on_replay="revoke")

# Keycloak, Server Administration Guide 26, "Session and token timeouts", read 2026-11-23: "Revoke
# Refresh Token" is off; SSO Session Idle is 30 minutes, reset by each refresh, SSO Session Max ten
# hours. Each refresh gives a token of its own there and those before stay good; here it is
# the same one.
RefreshPolicy.KEYCLOAK = RefreshPolicy(idle_seconds=30 * 60, absolute_seconds=10 * 3600)

# Auth0, "Configure Refresh Token Rotation" and "Configure Refresh Token Expiration", read
# 2026-11-23: an overlap in which the previous token gets a new one, none by default; a replay
# invalidates the family, access tokens are not among it. 30 days, 15 without use.
RefreshPolicy.AUTH0 = RefreshPolicy(
    rotate=True,
    on_replay="revoke",
    revoke_access_tokens=False,
    idle_seconds=15 * 86400,
    absolute_seconds=30 * 86400,
)

# Okta, "Refresh access tokens and rotate refresh tokens", read 2026-11-23: rotation for public
# clients with a grace period (30 s unless set), a replay also invalidates the access tokens.
# Confidential clients keep theirs. Seven days without use.
RefreshPolicy.OKTA = RefreshPolicy(
    idle_seconds=7 * 86400,
    public=RefreshPolicy(rotate=True, on_replay="revoke", grace_seconds=30, idle_seconds=7 * 86400),
)

# Dex, the example configuration that it is shipped with, read 2026-11-23: reuseInterval 3 s,
# validIfNotUsedFor 2160 h, absoluteLifetime 3960 h; within the interval the token that was given
# last is given again.
RefreshPolicy.DEX = RefreshPolicy(
    rotate=True,
    grace_seconds=3,
    grace_gives="successor",
    idle_seconds=2160 * 3600,
    absolute_seconds=3960 * 3600,
)

ALL_POLICIES: Final[Mapping[str, RefreshPolicy]] = {
    "ciam": RefreshPolicy.CIAM,
    "rfc9700": RefreshPolicy.RFC9700,
    "keycloak": RefreshPolicy.KEYCLOAK,
    "auth0": RefreshPolicy.AUTH0,
    "okta": RefreshPolicy.OKTA,
    "dex": RefreshPolicy.DEX,
}


def policy_named(policy: RefreshPolicy | str | None) -> RefreshPolicy:
    """A policy by its name in `ALL_POLICIES`, or itself; None is the documented one."""
    if policy is None:
        return RefreshPolicy.CIAM
    return ALL_POLICIES[policy] if isinstance(policy, str) else policy


def wrong_policy(policy: RefreshPolicy | str | None) -> Iterator[Problem]:
    """What is wrong with a policy or its name; paths start where it stands."""
    if isinstance(policy, str):
        if policy not in ALL_POLICIES:
            hint = unknown(policy, list(ALL_POLICIES))
            yield Problem("refresh_policy", f"there is no policy {policy!r}, {hint}")
    elif policy is not None:
        for problem in policy.problems():
            yield Problem(f"refresh_policy.{problem.path}", problem.message)
