"""From settings to a realm. What the settings leave open, the dialect decides.

A new setting that the rules need goes from `Settings` to `Realm` here.
"""

from __future__ import annotations

from typing import TypeVar

from fake_oauth.control import PREFIX
from fake_oauth.provider import issuing
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.dialect import Dialect
from fake_oauth.provider.dpop import ProofRules
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.keys import KeyRing
from fake_oauth.provider.model import Acceptance, Resource
from fake_oauth.provider.realm import Fetch, Realm
from fake_oauth.provider.resources import Resources
from fake_oauth.provider.sessions import Login
from fake_oauth.settings import Settings

_T = TypeVar("_T")


def assemble(
    settings: Settings,
    dialect: Dialect,
    issuer: str,
    *,
    keys: KeyRing,
    clock: Clock,
    seed: int,
    fetch: Fetch,
) -> Realm:
    """Return a realm in its first state, with the tokens and the login of the settings."""
    realm = Realm(
        issuer=issuer,
        dialect=dialect,
        clients=settings.clients,
        users=settings.users,
        auth_sources=settings.auth_sources,
        trusted_issuers=settings.trusted_issuers,
        terms=settings,
        keys=keys,
        clock=clock,
        ids=Ids(seed, settings.ids),
        session_seconds=settings.session_seconds,
        device_interval_seconds=settings.device_interval_seconds,
        request_uri_seconds=settings.request_uri_seconds,
        acceptance=Acceptance(
            raw_basic=settings.accept_raw_basic,
            localhost_on_any_port=settings.accept_localhost_on_any_port,
            unknown_scopes=_chosen(settings.accept_unknown_scopes, dialect.accepts_unknown_scopes),
            anonymous_introspection=_chosen(
                settings.accept_anonymous_introspection, dialect.accepts_anonymous_introspection
            ),
            assertion_audience=settings.assertion_audience,
        ),
        proof_rules=ProofRules(
            nonces=settings.dpop_nonces,
            nonce_seconds=settings.dpop_nonce_seconds,
            refuse_replays=settings.dpop_replay_check,
        ),
        sends_issuer=_chosen(settings.authorization_response_iss, dialect.sends_issuer),
        requires_pushed_requests=settings.require_pushed_authorization_requests,
        resources=_resources(settings, dialect, issuer),
        registration=settings.registration,
        fetch=fetch,
        paths=settings.paths,
        console=f"{PREFIX}/" if settings.control else None,
    )
    for token in settings.refresh_tokens:
        issuing.preconfigure(realm, token)
    if settings.auto_login is not None:
        user = realm.user(settings.auto_login)
        realm.logged_in_everywhere = Login(user.sub, clock.now())
    return realm


def _resources(settings: Settings, dialect: Dialect, issuer: str) -> Resources:
    path = dialect.paths.get("resource")
    first = Resource(
        identifier=f"{issuer.rstrip('/')}{path or ''}",
        path=path,
        scope=settings.resource_scope,
        skew_seconds=settings.resource_skew_seconds,
    )
    return Resources(
        issuer,
        first,
        settings.resources,
        are_indicated=_chosen(settings.indicate_resources, dialect.indicates_resources),
        places=_chosen(settings.resource_metadata, dialect.resource_metadata),
    )


def _chosen(setting: _T | None, of_dialect: _T) -> _T:
    """Return a setting, or what the dialect does if it is not set."""
    return of_dialect if setting is None else setting
