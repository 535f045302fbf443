"""One issuer: its parties, its keys, its clock, its ids and its ledger.

Which requests are granted is for the rules above to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import RLock

from fake_oauth.provider.asking import Credentials
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.keys import KeyRing
from fake_oauth.provider.ledger import Ledger, RefreshRecord
from fake_oauth.provider.parties import Client, RefreshToken, Terms, User
from fake_oauth.provider.tokens import (
    Subject,
    TokenSet,
    access_token_claims,
    id_token_claims,
    sign,
)


class Realm:
    """Everything that one server knows. A rule checks, then spends, with `lock` held."""

    def __init__(
        self,
        *,
        issuer: str,
        clients: Iterable[Client],
        users: Iterable[User],
        refresh_tokens: Iterable[RefreshToken],
        terms: Terms,
        keys: KeyRing,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self.issuer = issuer
        self.clients = {client.client_id: client for client in clients}
        self.users = {user.sub: user for user in users}
        self.keys = keys
        self.clock = clock
        self.ids = ids
        self.ledger = Ledger()
        self.lock = RLock()
        self._terms = {name: client.terms(terms) for name, client in self.clients.items()}
        for token in refresh_tokens:
            self._seed(token)

    def terms(self, client: Client) -> Terms:
        """The lifetimes and habits that hold for this client."""
        return self._terms[client.client_id]

    def authenticate(self, credentials: Credentials) -> Client:
        """The client that these credentials prove (contract, rules 1 and 2)."""
        if credentials.method is None:
            raise OAuthError(None, credentials.lacking)
        client_id = credentials.client_id
        client = self.clients.get(client_id or "")
        if client is None:
            raise OAuthError("invalid_client", f"client {client_id} unknown")
        if credentials.method == "none" and not client.is_public:
            raise OAuthError(None, f"client {client_id} is confidential and sent no client_secret")
        if not client.enabled:
            raise OAuthError("invalid_client", f"client {client_id} disabled")
        if credentials.method not in client.auth_methods:
            raise OAuthError(
                "invalid_client", f"client {client_id} not registered for {credentials.method}"
            )
        if credentials.client_secret != client.client_secret:
            raise OAuthError("invalid_client", "client_secret wrong")
        return client

    def issue(self, client: Client, user: User, scopes: Sequence[str]) -> TokenSet:
        """A first set of tokens, as if the user had just logged in at the client."""
        now = self.clock.now()
        refresh_token = None
        if client.may_use("refresh_token"):
            with self.lock:
                refresh_token = self.write_refresh_token(client, user.sub, scopes, now)
        return self.mint(client, user.sub, scopes, now, refresh_token, openid="openid" in scopes)

    def write_refresh_token(
        self, client: Client, sub: str, scopes: Sequence[str], now: float
    ) -> str:
        """Put a new refresh token into the ledger, with its full lifetime."""
        record = RefreshRecord(
            value=self.ids.draw("refresh_token"),
            client_id=client.client_id,
            sub=sub,
            scopes=tuple(sorted(set(scopes))),
            expires_at=now + self.terms(client).refresh_token_seconds,
        )
        self.ledger.write(record, now)
        return record.value

    def mint(
        self,
        client: Client,
        sub: str,
        scopes: Sequence[str],
        now: float,
        refresh_token: str | None,
        *,
        openid: bool,
    ) -> TokenSet:
        """Sign the tokens of one reply. Nothing is checked and nothing is spent."""
        terms = self.terms(client)
        user = self.users.get(sub)
        words = sorted(set(scopes))
        subject = Subject(
            issuer=self.issuer,
            sub=sub,
            client_id=client.client_id,
            issued_at=int(now),
            extra_claims={**(user.claims if user else {}), **client.extra_claims},
        )
        access_token = access_token_claims(
            subject,
            scopes=words,
            lifetime_seconds=terms.access_token_seconds,
            jti=self.ids.draw("jti"),
        )
        id_token = None
        if openid:
            id_token = id_token_claims(
                subject, lifetime_seconds=terms.id_token_seconds, jti=self.ids.draw("jti")
            )
        return TokenSet(
            access_token=sign(self.keys.signing, access_token),
            refresh_token=refresh_token,
            scope=" ".join(words) or None,
            id_token=None if id_token is None else sign(self.keys.signing, id_token),
            expires_in=terms.access_token_seconds - 1,
        )

    def _seed(self, token: RefreshToken) -> None:
        owner = next(iter(self.clients)) if token.client is None else token.client
        client, now = self.clients[owner], self.clock.now()
        scopes = client.scopes if token.scope is None else token.scope.split()
        expires_at = None if token.lifetime_seconds is None else now + token.lifetime_seconds
        self.ledger.write(
            RefreshRecord(
                value=token.value,
                client_id=client.client_id,
                sub=self._sub(token.user),
                scopes=tuple(sorted(set(scopes))),
                expires_at=expires_at,
            ),
            now,
        )

    def _sub(self, name: str | None) -> str:
        """The sub of a user known by this username or sub; of the first one if None."""
        logins = {user.login: user.sub for user in self.users.values()}
        return next(iter(self.users)) if name is None else logins.get(name, name)
