"""What the control API is sent, as far as it is no part of a settings file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fake_oauth.provider.parties import Client, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    start_time: str | None = None
    freeze_time: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    advance_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    clients: Sequence[Client]


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    users: Sequence[User]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    user: str | None = None
    client: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    keep_old: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OneToken:
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneUser:
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceTerms:
    scope: str | None = None
    skew_seconds: float = 0
