"""A fake OAuth 2.0 / OpenID Connect server for the tests of clients that refresh tokens.

The names below are all that is public, with the attributes of what they give. Each is imported
when it is first used: the pytest plugin lives in everybody's environment, and loading it must
cost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fake_oauth.behaviour.assertions import BehaviourError as BehaviourError
    from fake_oauth.behaviour.findings import Finding as Finding
    from fake_oauth.dialects import Dialect as Dialect
    from fake_oauth.fake import FakeOAuth as FakeOAuth
    from fake_oauth.faults.barrier import Barrier as Barrier
    from fake_oauth.faults.barrier import BarrierError as BarrierError
    from fake_oauth.faults.script import UnusedFaultError as UnusedFaultError
    from fake_oauth.journal import Exchange as Exchange
    from fake_oauth.journal import Journal as Journal
    from fake_oauth.key import Key as Key
    from fake_oauth.provider.clock import Clock as Clock
    from fake_oauth.provider.errors import FakeOAuthError as FakeOAuthError
    from fake_oauth.provider.errors import Problem as Problem
    from fake_oauth.provider.errors import SettingsError as SettingsError
    from fake_oauth.provider.outbox import Message as Message
    from fake_oauth.provider.parties import AuthSource as AuthSource
    from fake_oauth.provider.parties import Client as Client
    from fake_oauth.provider.parties import RefreshToken as RefreshToken
    from fake_oauth.provider.parties import User as User
    from fake_oauth.provider.policies import ALL_POLICIES as ALL_POLICIES
    from fake_oauth.provider.policies import RefreshPolicy as RefreshPolicy
    from fake_oauth.provider.tokens import TokenSet as TokenSet
    from fake_oauth.settings import Settings as Settings

_HOME: Final = {
    "ALL_POLICIES": "provider.policies",
    "AuthSource": "provider.parties",
    "Barrier": "faults.barrier",
    "BarrierError": "faults.barrier",
    "BehaviourError": "behaviour.assertions",
    "Client": "provider.parties",
    "Clock": "provider.clock",
    "Dialect": "dialects",
    "Exchange": "journal",
    "FakeOAuth": "fake",
    "FakeOAuthError": "provider.errors",
    "Finding": "behaviour.findings",
    "Journal": "journal",
    "Key": "key",
    "Message": "provider.outbox",
    "Problem": "provider.errors",
    "RefreshPolicy": "provider.policies",
    "RefreshToken": "provider.parties",
    "Settings": "settings",
    "SettingsError": "provider.errors",
    "TokenSet": "provider.tokens",
    "UnusedFaultError": "faults.script",
    "User": "provider.parties",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fake_oauth' has no attribute {name!r}")
    return getattr(import_module(f"fake_oauth.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
