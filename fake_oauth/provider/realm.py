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
from fake_oauth.provider.ledger import Ledger
from fake_oauth.provider.lineage import Grant
from fake_oauth.provider.outbox import Outbox
from fake_oauth.provider.parties import AuthSource, Client, RefreshToken, User
from fake_oauth.provider.policies import RefreshPolicy
from fake_oauth.provider.records import CodeRecord, RefreshRecord
from fake_oauth.provider.sessions import Sessions
from fake_oauth.provider.terms import Terms
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
        auth_sources: Iterable[AuthSource],
        terms: Terms,
        keys: KeyRing,
        clock: Clock,
        ids: Ids,
        session_seconds: int,
    ) -> None:
        self.issuer = issuer
        self.clients = {client.client_id: client for client in clients}
        self.users = {user.sub: user for user in users}
        self.auth_sources = {source.id: source for source in auth_sources}
        self.keys = keys
        self.clock = clock
        self.ids = ids
        self.ledger = Ledger()
        self.sessions = Sessions(ids, session_seconds)
        self.outbox = Outbox()
        self.logged_in_everywhere: str | None = None
        """The sub of a user who need not log in anywhere."""
        self.lock = RLock()
        self._gone: dict[str, Client] = {}
        self._default_terms = terms
        self._terms = {name: client.terms(terms) for name, client in self.clients.items()}
        for token in refresh_tokens:
            self._seed(token)

    def replace_parties(self, *, clients: Iterable[Client], users: Iterable[User]) -> None:
        """Put other clients and users in the place of these; what is issued stays."""
        with self.lock:
            self._gone |= self.clients
            self.clients = {client.client_id: client for client in clients}
            self.users = {user.sub: user for user in users}
            self._terms |= {
                name: client.terms(self._default_terms) for name, client in self.clients.items()
            }

    def owner(self, grant: Grant) -> Client:
        """The client of a grant, even if it is gone meanwhile."""
        return self.clients.get(grant.client_id) or self._gone[grant.client_id]

    def terms(self, client: Client) -> Terms:
        """The lifetimes and habits that hold for this client."""
        return self._terms[client.client_id]

    def user_by_login(self, name: str) -> User | None:
        """The user of this username or sub."""
        by_login = {user.login: user for user in self.users.values()}
        return by_login.get(name) or self.users.get(name)

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
        grant = self.log_in(client.client_id, user, scopes)
        tokens = self.first_tokens(grant)
        grant.fresh_until = self.clock.now() + self.terms(client).access_token_seconds
        return tokens

    def log_in(
        self, client_id: str, user: User, scopes: Iterable[str], *, is_planted: bool = False
    ) -> Grant:
        """A new grant of a user; one that is planted is there without a log-in."""
        with self.lock:
            return self.ledger.open(
                client_id, user.sub, scopes, name=user.login, is_planted=is_planted
            )

    def first_tokens(self, grant: Grant, *, nonce: str | None = None) -> TokenSet:
        """The tokens that a new grant buys; no refresh token for a client that may not refresh."""
        now = self.clock.now()
        refresh_token = None
        if self.owner(grant).may_use("refresh_token"):
            with self.lock:
                refresh_token = self.write_refresh_token(grant, now)
        return self.mint(grant, now, refresh_token=refresh_token, nonce=nonce)

    def policy(self, client: Client) -> RefreshPolicy:
        """What may happen to this client's refresh tokens."""
        return self._terms[client.client_id].policy(is_public=client.is_public)

    def write_refresh_token(
        self, grant: Grant, now: float, *, parent: RefreshRecord | None = None
    ) -> str:
        """Put a new refresh token into the ledger: the first of its family, or a successor."""
        family_since = now if parent is None else parent.family_since
        client = self.owner(grant)
        seconds = self.terms(client).refresh_token_seconds
        record = RefreshRecord(
            value=self.ids.draw("refresh_token"),
            alias=grant.name("r"),
            grant=grant,
            family_since=family_since,
            parent=None if parent is None else parent.value,
            expires_at=self.policy(client).expires_at(now, family_since, seconds),
        )
        self.ledger.refresh_tokens.write(record, now)
        return record.value

    def write_code(
        self,
        grant: Grant,
        *,
        redirect_uri: str | None,
        code_challenge: str | None,
        nonce: str | None,
    ) -> str:
        """Put a new authorization code into the ledger."""
        now = self.clock.now()
        with self.lock:
            record = CodeRecord(
                value=self.ids.draw("code"),
                alias=grant.name("c"),
                grant=grant,
                redirect_uri=redirect_uri,
                code_challenge=code_challenge,
                nonce=nonce,
                expires_at=now + self._terms[grant.client_id].code_seconds,
            )
            self.ledger.codes.write(record, now)
        return record.value

    def mint(
        self,
        grant: Grant,
        now: float,
        *,
        scopes: Sequence[str] | None = None,
        refresh_token: str | None = None,
        nonce: str | None = None,
    ) -> TokenSet:
        """Sign the tokens of one reply. Nothing is checked and nothing is spent.

        `scopes` narrows this reply; whether there is an id_token is up to the grant.
        """
        terms = self._terms[grant.client_id]
        words = grant.scopes if scopes is None else sorted(set(scopes))
        subject = self._subject(grant, now)
        jti = self.ids.draw("jti")
        with self.lock:
            self.ledger.trace(jti, grant, int(now) + terms.access_token_seconds, now)
        access_token = access_token_claims(
            subject, scopes=words, lifetime_seconds=terms.access_token_seconds, jti=jti
        )
        id_token = None
        if grant.is_users and "openid" in grant.scopes:
            id_token = id_token_claims(
                subject,
                lifetime_seconds=terms.id_token_seconds,
                nonce=nonce,
                jti=self.ids.draw("jti"),
            )
        return TokenSet(
            access_token=sign(self.keys.signing, access_token),
            refresh_token=refresh_token,
            scope=" ".join(words) or None,
            id_token=None if id_token is None else sign(self.keys.signing, id_token),
            expires_in=terms.access_token_seconds - 1,
        )

    def _subject(self, grant: Grant, now: float) -> Subject:
        user = self.users.get(grant.sub) if grant.is_users else None
        return Subject(
            issuer=self.issuer,
            sub=grant.sub,
            client_id=grant.client_id,
            issued_at=int(now),
            extra_claims={
                **(user.claims if user else {}),
                **self.owner(grant).extra_claims,
            },
        )

    def _seed(self, token: RefreshToken) -> None:
        owner = next(iter(self.clients)) if token.client is None else token.client
        user = next(iter(self.users.values()))
        if token.user is not None:
            user = self.user_by_login(token.user) or user
        scopes = self.clients[owner].scopes if token.scope is None else token.scope.split()
        now = self.clock.now()
        expires_at = None if token.lifetime_seconds is None else now + token.lifetime_seconds
        grant = self.log_in(owner, user, scopes, is_planted=True)
        record = RefreshRecord(
            value=token.value,
            alias=grant.name("r"),
            grant=grant,
            family_since=now,
            expires_at=expires_at,
        )
        self.ledger.refresh_tokens.write(record, now)
