"""One issuer: its parties, its keys, its clock, its ids and its ledger.

Which requests are granted is for the rules above to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import RLock

from fake_oauth.provider.asking import Credentials
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.conventions import Conventions
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.keys import KeyRing
from fake_oauth.provider.ledger import Ledger
from fake_oauth.provider.lineage import Grant
from fake_oauth.provider.outbox import Outbox
from fake_oauth.provider.parties import AuthSource, Client, User
from fake_oauth.provider.policies import RefreshPolicy
from fake_oauth.provider.resource import Resource
from fake_oauth.provider.sessions import Sessions
from fake_oauth.provider.terms import Terms


class Realm:
    """Everything that one server knows. A rule checks, then spends, with `lock` held."""

    def __init__(
        self,
        *,
        issuer: str,
        clients: Iterable[Client],
        users: Iterable[User],
        auth_sources: Iterable[AuthSource],
        terms: Terms,
        conventions: Conventions,
        keys: KeyRing,
        clock: Clock,
        ids: Ids,
        session_seconds: int,
        resource: Resource,
    ) -> None:
        self.issuer = issuer
        self.conventions = conventions
        self.clients = {client.client_id: client for client in clients}
        self.users = {user.sub: user for user in users}
        self.auth_sources = {source.id: source for source in auth_sources}
        self.keys = keys
        self.clock = clock
        self.ids = ids
        self.ledger = Ledger()
        self.sessions = Sessions(ids, session_seconds)
        self.outbox = Outbox()
        self.resource = resource
        self.logged_in_everywhere: str | None = None
        """The sub of a user who need not log in anywhere."""
        self.lock = RLock()
        self._gone: dict[str, Client] = {}
        self._default_terms = terms
        self._terms = {name: client.terms(terms) for name, client in self.clients.items()}

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
            raise OAuthError(self.conventions.unidentified, credentials.lacking)
        client_id = credentials.client_id
        client = self.clients.get(client_id or "")
        if client is None:
            raise OAuthError("invalid_client", f"client {client_id} unknown")
        if credentials.method == "none" and not client.is_public:
            reason = f"client {client_id} is confidential and sent no client_secret"
            raise OAuthError(self.conventions.unidentified, reason)
        if not client.enabled:
            raise OAuthError("invalid_client", f"client {client_id} disabled")
        if credentials.method not in client.auth_methods:
            raise OAuthError(
                "invalid_client", f"client {client_id} not registered for {credentials.method}"
            )
        if credentials.client_secret != client.client_secret:
            raise OAuthError("invalid_client", "client_secret wrong")
        return client

    def policy(self, client: Client) -> RefreshPolicy:
        """What may happen to this client's refresh tokens."""
        return self._terms[client.client_id].policy(is_public=client.is_public)
