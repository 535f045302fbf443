"""A realm from settings, and what may be put into one that is at work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fake_oauth.dialects import dialect_named
from fake_oauth.faults.rule import Rule
from fake_oauth.naming import user_named
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import Problem, SettingsError
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.issuing import plant
from fake_oauth.provider.keys import KeyRing
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.resource import Resource
from fake_oauth.references import wrong_rules
from fake_oauth.settings import Settings


def realm_of(settings: Settings, *, issuer: str, keys: KeyRing, clock: Clock, seed: int) -> Realm:
    """The realm that these settings describe, as it is at the start."""
    conventions = dialect_named(settings.dialect).conventions
    realm = Realm(
        issuer=issuer if settings.issuer is None else settings.issuer,
        clients=settings.clients,
        users=settings.users,
        auth_sources=settings.auth_sources,
        terms=settings.terms(conventions.terms),
        conventions=conventions,
        keys=keys,
        clock=clock,
        ids=Ids(seed, settings.ids),
        session_seconds=settings.session_seconds,
        resource=Resource(
            scope=settings.resource_scope, skew_seconds=settings.resource_skew_seconds
        ),
    )
    for token in settings.refresh_tokens:
        plant(realm, token)
    if settings.auto_login is not None:
        realm.logged_in_everywhere = user_named(realm, settings.auto_login).sub
    return realm


def check_rules(
    rules: Sequence[Rule],
    problems: Sequence[Problem],
    settings: Settings,
    before: Sequence[Rule],
    *,
    has_socket: bool,
) -> None:
    """See that rules may be scripted behind others. Raises SettingsError with all that is wrong."""
    standing = [rule for rule in before if rule.always]
    found = list(problems) or list(
        wrong_rules(
            rules,
            settings.clients,
            dialect_named(settings.dialect),
            standing=standing,
            has_socket=has_socket,
        )
    )
    if found:
        raise SettingsError(found)


def replace_parties(
    realm: Realm, settings: Settings, rules: Sequence[Rule], **parties: Any
) -> Settings:
    """Put other `clients` or `users` in the place of the realm's; returns the settings with them.

    Raises SettingsError for what is wrong with them, and for a rule of the script whose client
    would be gone. What the settings planted at the start is planted already.
    """
    changed = settings.changed(**parties)
    planted = changed.changed(refresh_tokens=(), auto_login=None, faults=())
    dialect = dialect_named(settings.dialect)
    if found := [*planted.problems(), *wrong_rules(rules, changed.clients, dialect)]:
        raise SettingsError(found)
    realm.replace_parties(clients=changed.clients, users=changed.users)
    return changed
