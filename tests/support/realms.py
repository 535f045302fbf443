"""A realm without HTTP around it, for tests of the rules where they live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fake_oauth.dialects import DIALECTS, Dialect
from fake_oauth.provider import grants
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.issuing import Granted, preconfigure
from fake_oauth.provider.keys import key_ring
from fake_oauth.provider.model import (
    AuthSource,
    Client,
    OwnTerms,
    PreconfiguredRefreshToken,
    User,
)
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Credentials, Parameters, TokenRequest

NOW = 1_700_000_000
WEB = Client(client_id="web", client_secret="s3cret", scopes=("openid", "email", "profile"))
PHONE = Client(client_id="phone", scopes=("openid",))
ALICE = User(sub="u-alice", username="alice")
TOKEN = PreconfiguredRefreshToken(
    value="R1", client="web", user="alice", scope="openid email profile"
)
WEB_POST = Credentials("client_secret_post", "web", "s3cret")


def realm(
    *clients: Client,
    tokens: tuple[PreconfiguredRefreshToken, ...] = (TOKEN,),
    users: tuple[User, ...] = (ALICE,),
    auth_sources: tuple[AuthSource, ...] = (),
    terms: OwnTerms | None = None,
    dialect: Dialect = DIALECTS["ciam"],
) -> Realm:
    """Return a realm with a frozen clock, the clients `web` and `phone`, and the token R1."""
    made = Realm(
        issuer="https://issuer.example",
        dialect=dialect,
        clients=clients or (WEB, PHONE),
        users=users,
        auth_sources=auth_sources,
        terms=terms,
        keys=key_ring(),
        clock=Clock(NOW, frozen=True),
        ids=Ids(0),
    )
    for token in tokens:
        preconfigure(made, token)
    return made


def granted(
    of: Realm,
    credentials: Credentials,
    parameters: Mapping[str, str | list[str] | None],
    number: int = 1,
) -> Granted:
    """Send a token request. None leaves a parameter out, a list sends several."""
    pairs = [
        (name, one)
        for name, value in parameters.items()
        if value is not None
        for one in ([value] if isinstance(value, str) else value)
    ]
    return grants.token(of, TokenRequest(Parameters(pairs), credentials, number))


def refresh(
    of: Realm,
    credentials: Credentials = WEB_POST,
    number: int = 1,
    **parameters: str | list[str] | None,
) -> Granted:
    """Refresh with R1, with some parameters changed as in `granted`."""
    merged = {"grant_type": "refresh_token", "refresh_token": "R1", **parameters}
    return granted(of, credentials, merged, number)


@dataclass(frozen=True)
class Refusal:
    """An error as the client of a dialect gets it, and the reason that it does not get."""

    code: str | None
    description: str | None
    uri: str | None
    reason: str


def refusal(error: OAuthError, dialect: Dialect = DIALECTS["ciam"]) -> Refusal:
    """Return what a dialect makes of a refusal."""
    members = dialect.error(error).members
    return Refusal(
        members.get("error"),
        members.get("error_description"),
        members.get("error_uri"),
        error.reason,
    )


def response_to(refused: Refusal) -> tuple[str | None, str | None, str]:
    """Return the code and the description that the client gets, and the reason in the journal."""
    return refused.code, refused.description, refused.reason
