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
MOST_FAMILIES: Final = 1000
"""The highest `max_families`."""


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
    ENTRA: ClassVar[RefreshPolicy]
    GITHUB: ClassVar[RefreshPolicy]
    HYDRA: ClassVar[RefreshPolicy]
    SHOPIFY: ClassVar[RefreshPolicy]
    COGNITO: ClassVar[RefreshPolicy]
    INTUIT: ClassVar[RefreshPolicy]
    GOOGLE: ClassVar[RefreshPolicy]
    ZOHO: ClassVar[RefreshPolicy]
    FAPI2: ClassVar[RefreshPolicy]

    rotate: bool = False
    """Whether a refresh issues a new refresh token and invalidates the presented one."""
    rotate_after_seconds: int = 0
    """How old a refresh token is when a refresh rotates it. A refresh with a younger one returns
    the same token."""
    keep_old: bool = False
    """Whether a rotated token stays valid beside the new one, until it expires."""
    end_old_access_tokens: bool = False
    """Whether a refresh ends the earlier access tokens of the family."""
    on_replay: Literal["refuse", "revoke"] = "refuse"
    """What a replay of a spent refresh token leads to: the server refuses it, or it also revokes
    the family, which is every token of the login."""
    revoke_access_tokens: bool = True
    """Whether revoking a family includes its access tokens. Otherwise, only the refresh tokens are
    revoked."""
    grace_seconds: float = 0
    """How long a rotated token is accepted. This ends early when its successor is used, unless
    `grace_after_use` is set."""
    grace_after_use: bool = False
    """Whether the grace period goes on after the successor was used: its time alone ends it."""
    grace_gives: Literal["successor", "sibling", "access_token"] = "sibling"
    """What a spent token gets in the grace period: its successor again, another new token, or an
    access token without a refresh token."""
    until_successor_used: bool = False
    """Whether a spent token is accepted for as long as no successor of it has been used. For at
    most some time, set `grace_seconds` instead."""
    idle_seconds: int | None = None
    """How long a family lives without a refresh; None is forever."""
    absolute_seconds: int | None = None
    """How long a family lives after its login; None is forever."""
    sliding: bool = False
    """Whether a refresh that returns the same token restarts its `refresh_token_seconds`. Has no
    effect if the policy sets `idle_seconds` or `absolute_seconds`."""
    return_unchanged: bool = True
    """Whether the response repeats a refresh token that did not change (RFC 6749 section 6)."""
    max_families: int | None = None
    """How many families a user can have with a client at most; None is any number. A further login
    revokes the oldest one."""
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

    def is_in_grace(self, since_spent: float, *, successor_used: bool) -> bool:
        """Return whether a token is accepted so many seconds after it was spent."""
        if successor_used and not self.grace_after_use:
            return False
        if since_spent < self.grace_seconds:
            return True
        return self.until_successor_used and not successor_used

    def for_client(self, *, is_public: bool) -> RefreshPolicy:
        """Return the policy that applies to a client of this kind."""
        return self.public if is_public and self.public is not None else self

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of this policy; paths start at the policy."""
        if self.grace_seconds < 0:
            yield Problem("grace_seconds", f"expected at least 0, got {self.grace_seconds}")
        for name in ("idle_seconds", "absolute_seconds"):
            yield from lifetime_problems(name, getattr(self, name))
        yield from self._rotation_problems()
        most = self.max_families
        if most is not None and not 1 <= most <= MOST_FAMILIES:
            yield Problem("max_families", f"expected 1 to {MOST_FAMILIES}, got {most}")
        if self.public is not None:
            if self.public.public is not None:
                yield Problem(
                    "public.public", "a policy for public clients cannot have another; remove it"
                )
            for problem in self.public.problems():
                yield Problem(f"public.{problem.path}", problem.message)

    def _rotation_problems(self) -> Iterator[Problem]:
        """Yield a problem for each setting that the others leave nothing to decide."""
        judges_spent = self.grace_seconds or self.until_successor_used or self.on_replay == "revoke"
        if not self.rotate and judges_spent:
            yield Problem("rotate", "without rotation no token is ever spent; set rotate = true")
        if self.keep_old and not self.rotate:
            yield Problem("keep_old", "without rotation there is no old token; set rotate = true")
        if self.keep_old and judges_spent:
            yield Problem(
                "keep_old",
                "no token is ever spent if the old one stays valid, so nothing can be a replay or "
                "have a grace period; remove keep_old, or the settings for those",
            )
        if self.grace_after_use and not self.grace_seconds:
            yield Problem("grace_after_use", "there is no grace period; set grace_seconds")
        if self.grace_after_use and self.grace_gives == "successor":
            yield Problem(
                "grace_gives",
                "a successor that was used can be spent, too; with grace_after_use, expected "
                "'sibling' or 'access_token'",
            )
        after = self.rotate_after_seconds
        if not 0 <= after <= LONGEST_SECONDS:
            yield Problem("rotate_after_seconds", f"expected 0 to {LONGEST_SECONDS}, got {after}")
        elif after and not self.rotate:
            yield Problem("rotate_after_seconds", "nothing rotates; set rotate = true")
        elif self.absolute_seconds is not None and after and after >= self.absolute_seconds:
            yield Problem(
                "rotate_after_seconds",
                f"the family ends before any rotation; expected less than absolute_seconds, "
                f"{self.absolute_seconds}",
            )


# The default (CIAM 1441/64400): the same token is returned, and its expiry does not slide.
RefreshPolicy.CIAM = RefreshPolicy()

# The simplest rotation: a spent token is refused, and nothing else happens.
RefreshPolicy.ROTATE = RefreshPolicy(rotate=True)

# RFC 9700 (January 2025) section 4.14.2: rotation, and a replay revokes the active token and so
# the grant; for public clients, where tokens are not sender-constrained.
RefreshPolicy.RFC9700 = RefreshPolicy(rotate=True, on_replay="revoke")

# Keycloak, Server Administration Guide 26, "Session and token timeouts", read 2026-11-23: "Revoke
# Refresh Token" is off; SSO Session Idle is 30 minutes, reset by each refresh; SSO Session Max is
# ten hours. Its RefreshTokenGrantType.java and TokenManager.java, read 2026-11-25: each refresh
# issues a new token, and the earlier ones stay valid.
RefreshPolicy.KEYCLOAK = RefreshPolicy(
    rotate=True, keep_old=True, idle_seconds=30 * 60, absolute_seconds=10 * 3600
)

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
# clients with a grace period (30 s unless set), in which the earlier token works whatever became of
# the new one; a replay after it also invalidates the access tokens.
# Confidential clients keep their token. Seven days without use; a lifetime, unlimited by default,
# counts from the first token of the family.
RefreshPolicy.OKTA = RefreshPolicy(
    idle_seconds=7 * 86400,
    public=RefreshPolicy(
        rotate=True,
        on_replay="revoke",
        grace_seconds=30,
        grace_after_use=True,
        idle_seconds=7 * 86400,
    ),
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

# Microsoft Entra ID, "Refresh tokens in the Microsoft identity platform", page of 2025-05-14: a new
# token each time, and the one that was used is not revoked; 90 days. For a redirect URI of the type
# `spa` it is 24 hours after the login, which is `absolute_seconds`.
RefreshPolicy.ENTRA = RefreshPolicy(rotate=True, keep_old=True, idle_seconds=90 * 86400)

# GitHub Apps, "Refreshing user access tokens", read 2026-11-25: the refresh token and the old user
# access token stop working; `refresh_token_expires_in` is 15,811,200 (six months).
RefreshPolicy.GITHUB = RefreshPolicy(
    rotate=True, end_old_access_tokens=True, idle_seconds=15_811_200
)

# Ory Hydra, persister_oauth2.go and flow_refresh.go of 2026-07-24, with the defaults of its
# configuration: a refresh ends all earlier refresh and access tokens of the login, and a replay
# revokes the login; 720 hours, given anew at each refresh.
RefreshPolicy.HYDRA = RefreshPolicy(
    rotate=True, on_replay="revoke", end_old_access_tokens=True, idle_seconds=720 * 3600
)

# Shopify, "More resilient refreshes for expiring offline access tokens", changelog of 2026-08-28:
# the old token is good until its replacement is used, at most 30 days from its own first use, and
# within its 90 days.
RefreshPolicy.SHOPIFY = RefreshPolicy(
    rotate=True, grace_seconds=30 * 86400, idle_seconds=90 * 86400
)

# AWS Cognito, the API's RefreshTokenRotationType (botocore 1.44.8), read 2026-11-26: with rotation
# on, the original token can stay valid for up to 60 s, so that clients can retry. Refresh tokens
# end 30 days after the login unless set.
RefreshPolicy.COGNITO = RefreshPolicy(
    rotate=True, grace_seconds=60, grace_after_use=True, absolute_seconds=30 * 86400
)

# Intuit (QuickBooks), the OAuth FAQ as others quote it, read 2026-11-25: the value changes about
# once in 24 hours, and the one before is dead then. Release notes of Intuit's SDKs: 100 days
# without use, five years in all.
RefreshPolicy.INTUIT = RefreshPolicy(
    rotate=True,
    rotate_after_seconds=86400,
    idle_seconds=100 * 86400,
    absolute_seconds=5 * 365 * 86400,
)

# Google, "Using OAuth 2.0 to Access Google APIs", page of 2026-05-26: 100 refresh tokens for each
# account and client, and one more invalidates the oldest without warning; six months without use.
# The response to a refresh has no refresh token. Of the access tokens the page says nothing.
RefreshPolicy.GOOGLE = RefreshPolicy(
    return_unchanged=False, max_families=100, revoke_access_tokens=False, idle_seconds=183 * 86400
)

# Zoho, "Refresh your access tokens", read 2026-11-26: 20 refresh tokens for each user, and the 21st
# deletes the first. They don't expire at Zoho; here `refresh_token_seconds` says when they do.
RefreshPolicy.ZOHO = RefreshPolicy(
    return_unchanged=False, max_families=20, revoke_access_tokens=False
)

# FAPI 2.0 Security Profile (February 2025) section 5.3.2.1, item 9 and note 1, read 2026-11-26: no
# rotation except in extraordinary circumstances, and then a client can retry with the old refresh
# token for a limited time. The profile has no numbers: that the circumstances come once a day, the
# hour, and the 90 days are a choice for tests.
RefreshPolicy.FAPI2 = RefreshPolicy(
    rotate=True, rotate_after_seconds=86400, grace_seconds=3600, idle_seconds=90 * 86400
)

ALL_POLICIES: Final[Mapping[str, RefreshPolicy]] = {
    "ciam": RefreshPolicy.CIAM,
    "rotate": RefreshPolicy.ROTATE,
    "rfc9700": RefreshPolicy.RFC9700,
    "keycloak": RefreshPolicy.KEYCLOAK,
    "auth0": RefreshPolicy.AUTH0,
    "okta": RefreshPolicy.OKTA,
    "dex": RefreshPolicy.DEX,
    "entra": RefreshPolicy.ENTRA,
    "github": RefreshPolicy.GITHUB,
    "hydra": RefreshPolicy.HYDRA,
    "shopify": RefreshPolicy.SHOPIFY,
    "cognito": RefreshPolicy.COGNITO,
    "intuit": RefreshPolicy.INTUIT,
    "google": RefreshPolicy.GOOGLE,
    "zoho": RefreshPolicy.ZOHO,
    "fapi2": RefreshPolicy.FAPI2,
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
