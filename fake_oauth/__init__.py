"""A fake OAuth 2.0 / OpenID Connect server for testing clients.

The names below are public, and so are the attributes of what they return. Each name is imported
when it is first used: the pytest plugin is loaded in every pytest run of its environment, and must
cost nothing there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fake_oauth.behavior.assertions import BehaviorError as BehaviorError
    from fake_oauth.behavior.checks import Violation as Violation
    from fake_oauth.faults.barrier import Barrier as Barrier
    from fake_oauth.faults.barrier import BarrierError as BarrierError
    from fake_oauth.faults.script import UnusedFaultError as UnusedFaultError
    from fake_oauth.journal import Exchange as Exchange
    from fake_oauth.journal import Journal as Journal
    from fake_oauth.provider.clock import Clock as Clock
    from fake_oauth.provider.dialect import Dialect as Dialect
    from fake_oauth.provider.errors import FakeOAuthError as FakeOAuthError
    from fake_oauth.provider.errors import SettingsError as SettingsError
    from fake_oauth.provider.model import AuthSource as AuthSource
    from fake_oauth.provider.model import Client as Client
    from fake_oauth.provider.model import OneTimePassword as OneTimePassword
    from fake_oauth.provider.model import PreconfiguredRefreshToken as PreconfiguredRefreshToken
    from fake_oauth.provider.model import ProtectedResource as ProtectedResource
    from fake_oauth.provider.model import TrustedIssuer as TrustedIssuer
    from fake_oauth.provider.model import User as User
    from fake_oauth.provider.policies import ALL_POLICIES as ALL_POLICIES
    from fake_oauth.provider.policies import RefreshPolicy as RefreshPolicy
    from fake_oauth.provider.tokens import TokenSet as TokenSet
    from fake_oauth.server import FakeOAuth as FakeOAuth
    from fake_oauth.settings import Settings as Settings
    from fake_oauth.settings import SigningKey as SigningKey
    from fake_oauth.structure import Problem as Problem

__version__ = "0.1.0"

_MODULES: Final = {
    "ALL_POLICIES": "provider.policies",
    "AuthSource": "provider.model",
    "Barrier": "faults.barrier",
    "BarrierError": "faults.barrier",
    "BehaviorError": "behavior.assertions",
    "Client": "provider.model",
    "Clock": "provider.clock",
    "Dialect": "provider.dialect",
    "Exchange": "journal",
    "FakeOAuth": "server",
    "FakeOAuthError": "provider.errors",
    "Journal": "journal",
    "OneTimePassword": "provider.model",
    "PreconfiguredRefreshToken": "provider.model",
    "Problem": "structure",
    "ProtectedResource": "provider.model",
    "RefreshPolicy": "provider.policies",
    "Settings": "settings",
    "SettingsError": "provider.errors",
    "SigningKey": "settings",
    "TokenSet": "provider.tokens",
    "TrustedIssuer": "provider.model",
    "UnusedFaultError": "faults.script",
    "User": "provider.model",
    "Violation": "behavior.checks",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'fake_oauth' has no attribute {name!r}")
    return getattr(import_module(f"fake_oauth.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
