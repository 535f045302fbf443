"""`RefreshPolicy`: rotation, replay, grace period, and lifetimes of refresh tokens as one value.

The rules that apply it are in `grants.refresh_token`. To add a preset, add a row to
`ALL_POLICIES` with its source and the date on which the source was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Final, Literal

from fake_oauth.structure import Problem, suggestion

LONGEST_SECONDS: Final = 10**12
"""The longest time that can be set, some 30,000 years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshPolicy:
    """What happens to a refresh token when it is used, replayed, or left idle.

    >>> RefreshPolicy.RFC9700.rotate
    True
    """

    CIAM: ClassVar[RefreshPolicy]
    ROTATE: ClassVar[RefreshPolicy]
    RFC9700: ClassVar[RefreshPolicy]
    KEYCLOAK: ClassVar[RefreshPolicy]
    AUTH0: ClassVar[RefreshPolicy]
    OKTA: ClassVar[RefreshPolicy]
    DEX: ClassVar[RefreshPolicy]

    rotate: bool = False
    """Whether a refresh issues a new refresh token and invalidates the presented one."""
    on_replay: Literal["refuse", "revoke"] = "refuse"
    """What a replay of a spent refresh token leads to: the server refuses it, or it also revokes
    the family, which is every token of the login."""
    revoke_access_tokens: bool = True
    """Whether revoking a family includes its access tokens. Otherwise, only the refresh tokens are
    revoked."""
    grace_seconds: float = 0
    """How long a rotated token is accepted. This ends early when its successor is used."""
    grace_gives: Literal["successor", "sibling"] = "sibling"
    """What a spent token gets in the grace period: its successor again, or another new token."""
    until_successor_used: bool = False
    """Whether a spent token is accepted for as long as no successor of it has been used."""
    idle_seconds: int | None = None
    """How long a family lives without a refresh; None is forever."""
    absolute_seconds: int | None = None
    """How long a family lives after its login; None is forever."""
    sliding: bool = False
    """Whether a refresh that returns the same token restarts its `refresh_token_seconds`. Has no
    effect if the policy sets `idle_seconds` or `absolute_seconds`."""
    return_unchanged: bool = True
    """Whether the response repeats a refresh token that did not change (RFC 6749 section 6)."""
    public: RefreshPolicy | None = None
    """The policy for public clients, if it differs."""

    @property
    def has_lifetimes(self) -> bool:
        """Whether the policy sets lifetimes, which replace `refresh_token_seconds`."""
        return self.idle_seconds is not None or self.absolute_seconds is not None

    def expires_at(self, now: float, family_since: float, token_seconds: int) -> float:
        """Return when a refresh token expires that is issued or used now.

        `token_seconds` is its lifetime if the policy has none of its own.
        """
        if not self.has_lifetimes:
            return now + token_seconds
        idle = inf if self.idle_seconds is None else now + self.idle_seconds
        end = inf if self.absolute_seconds is None else family_since + self.absolute_seconds
        return min(idle, end)

    def for_client(self, *, is_public: bool) -> RefreshPolicy:
        """Return the policy that applies to a client of this kind."""
        return self.public if is_public and self.public is not None else self

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of this policy; paths start at the policy."""
        if self.grace_seconds < 0:
            yield Problem("grace_seconds", f"expected at least 0, got {self.grace_seconds}")
        for name in ("idle_seconds", "absolute_seconds"):
            yield from lifetime_problems(name, getattr(self, name))
        accepts_spent = self.grace_seconds or self.until_successor_used
        if not self.rotate and (accepts_spent or self.on_replay == "revoke"):
            yield Problem("rotate", "without rotation no token is ever spent; set rotate = true")
        if self.public is not None:
            if self.public.public is not None:
                yield Problem(
                    "public.public", "a policy for public clients cannot have another; remove it"
                )
            for problem in self.public.problems():
                yield Problem(f"public.{problem.path}", problem.message)


# The default (CIAM 1441/64400): the same token is returned, and its expiry does not slide.
RefreshPolicy.CIAM = RefreshPolicy()

# The simplest rotation: a spent token is refused, and nothing else happens.
RefreshPolicy.ROTATE = RefreshPolicy(rotate=True)

# RFC 9700 (January 2025) section 4.14.2: rotation, and a replay revokes the active token and so
# the grant; for public clients, where tokens are not sender-constrained.
RefreshPolicy.RFC9700 = RefreshPolicy(rotate=True, on_replay="revoke")

# Keycloak, Server Administration Guide 26, "Session and token timeouts", read 2026-11-23: "Revoke
# Refresh Token" is off; SSO Session Idle is 30 minutes, reset by each refresh; SSO Session Max is
# ten hours. Keycloak issues a new token at each refresh and keeps the earlier ones valid; here the
# token stays the same.
RefreshPolicy.KEYCLOAK = RefreshPolicy(idle_seconds=30 * 60, absolute_seconds=10 * 3600)

# Auth0, "Configure Refresh Token Rotation" and "Configure Refresh Token Expiration", read
# 2026-11-23: an overlap in which the previous token gets a new one, none by default; a replay
# invalidates the family without its access tokens. 30 days, with use or without.
RefreshPolicy.AUTH0 = RefreshPolicy(
    rotate=True,
    on_replay="revoke",
    revoke_access_tokens=False,
    idle_seconds=30 * 86400,
    absolute_seconds=30 * 86400,
)

# Okta, "Refresh access tokens and rotate refresh tokens", read 2026-11-23: rotation for public
# clients with a grace period (30 s unless set); a replay also invalidates the access tokens.
# Confidential clients keep their token. Seven days without use; a lifetime, unlimited by default,
# counts from the first token of the family.
RefreshPolicy.OKTA = RefreshPolicy(
    idle_seconds=7 * 86400,
    public=RefreshPolicy(rotate=True, on_replay="revoke", grace_seconds=30, idle_seconds=7 * 86400),
)

# Dex, the example configuration that it is shipped with, read 2026-11-23: reuseInterval 3 s,
# validIfNotUsedFor 2160 h, absoluteLifetime 3960 h; within the interval the latest token is
# returned once more.
RefreshPolicy.DEX = RefreshPolicy(
    rotate=True,
    grace_seconds=3,
    grace_gives="successor",
    idle_seconds=2160 * 3600,
    absolute_seconds=3960 * 3600,
)

ALL_POLICIES: Final[Mapping[str, RefreshPolicy]] = {
    "ciam": RefreshPolicy.CIAM,
    "rotate": RefreshPolicy.ROTATE,
    "rfc9700": RefreshPolicy.RFC9700,
    "keycloak": RefreshPolicy.KEYCLOAK,
    "auth0": RefreshPolicy.AUTH0,
    "okta": RefreshPolicy.OKTA,
    "dex": RefreshPolicy.DEX,
}
"""The presets by their names in settings."""


def lifetime_problems(name: str, seconds: float | None) -> Iterator[Problem]:
    """Yield a problem for a lifetime of less than a second, or of more than any clock shows."""
    if seconds is not None and not seconds >= 1:
        yield Problem(name, f"expected at least 1 second, got {seconds}")
    elif seconds is not None and seconds > LONGEST_SECONDS:
        yield Problem(name, f"expected at most {LONGEST_SECONDS} seconds, got more")


def policy_named(policy: RefreshPolicy | str) -> RefreshPolicy:
    """Return a preset by its name in `ALL_POLICIES`, or the policy itself."""
    return ALL_POLICIES[policy] if isinstance(policy, str) else policy


def policy_problems(policy: RefreshPolicy | str | None) -> Iterator[Problem]:
    """Yield the problems of a policy, or of the name of one."""
    if isinstance(policy, str):
        if policy not in ALL_POLICIES:
            hint = suggestion(policy, list(ALL_POLICIES))
            yield Problem("refresh_policy", f"unknown policy {policy!r}; {hint}")
    elif policy is not None:
        for problem in policy.problems():
            yield Problem(f"refresh_policy.{problem.path}", problem.message)
