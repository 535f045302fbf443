"""A realm without HTTP around it, for tests of the rules where they live."""

from __future__ import annotations

from collections.abc import Mapping

from fake_oauth.dialects import Dialect
from fake_oauth.provider import grants
from fake_oauth.provider.asking import Ask, Credentials, Params
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.conventions import Conventions
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.issuing import plant
from fake_oauth.provider.keys import key_ring
from fake_oauth.provider.parties import AuthSource, Client, RefreshToken, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.resource import Resource
from fake_oauth.provider.terms import OwnTerms
from fake_oauth.provider.tokens import Granted

NOW = 1_700_000_000
WEB = Client(client_id="web", client_secret="s3cret", scopes=("openid", "email", "profile"))
PHONE = Client(client_id="phone", scopes=("openid",))
ALICE = User(sub="u-alice", username="alice")
TOKEN = RefreshToken(value="R1", client="web", user="alice", scope="openid email profile")
WEB_POST = Credentials("client_secret_post", "web", "s3cret")


def realm(
    *clients: Client,
    tokens: tuple[RefreshToken, ...] = (TOKEN,),
    users: tuple[User, ...] = (ALICE,),
    auth_sources: tuple[AuthSource, ...] = (),
    terms: OwnTerms | None = None,
    conventions: Conventions = Dialect.CIAM.conventions,
) -> Realm:
    made = Realm(
        issuer="https://issuer.example",
        clients=clients or (WEB, PHONE),
        users=users,
        auth_sources=auth_sources,
        terms=(terms or OwnTerms()).terms(conventions.terms),
        conventions=conventions,
        keys=key_ring([]),
        clock=Clock(NOW, frozen=True),
        ids=Ids(0),
        session_seconds=3600,
        resource=Resource(),
    )
    for token in tokens:
        plant(made, token)
    return made


def granted(
    of: Realm,
    credentials: Credentials,
    params: Mapping[str, str | list[str] | None],
    number: int = 1,
) -> Granted:
    """Ask the token endpoint; None leaves a parameter out, a list sends several."""
    pairs = [
        (name, one)
        for name, value in params.items()
        if value is not None
        for one in ([value] if isinstance(value, str) else value)
    ]
    return grants.token(of, Ask(Params(pairs), credentials, number))


def refresh(
    of: Realm,
    credentials: Credentials = WEB_POST,
    number: int = 1,
    **params: str | list[str] | None,
) -> Granted:
    """Present R1 by the refresh grant, with parameters changed as in `tests.asking.form`."""
    merged = {"grant_type": "refresh_token", "refresh_token": "R1", **params}
    return granted(of, credentials, merged, number)


def told(error: OAuthError) -> tuple[str | None, str | None, str]:
    """What the client is told, and why."""
    return error.code, Dialect.CIAM.conventions.told(error).get("error_description"), error.reason


def uri(error: OAuthError) -> str | None:
    """The error_uri of the documented server."""
    return Dialect.CIAM.conventions.told(error).get("error_uri")
