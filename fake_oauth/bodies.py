"""What the control API is sent, as far as it is no part of a settings file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
class Code:
    user: str | None = None
    client: str | None = None
    scope: str | None = None
    redirect_uri: str | None = None
    code_challenge: str | None = None
    nonce: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    settings: Mapping[str, Any] | None = None


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
