"""One issuer: its clients, users, keys, clock, ids, and its store.

What every rule needs to know of them is here; what a request gets is decided by the rules.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from threading import RLock
from typing import Final

from fake_oauth.provider.assertions import (
    Assertion,
    InvalidAssertionError,
    Requirements,
    use,
    verify,
)
from fake_oauth.provider.clients import Clients
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.dialect import Dialect
from fake_oauth.provider.dpop import ProofMemory, ProofRules
from fake_oauth.provider.errors import Cause, FakeOAuthError, OAuthError
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.keys import KeyRing
from fake_oauth.provider.model import (
    Acceptance,
    AuthSource,
    Client,
    OneTimePassword,
    OwnTerms,
    Registration,
    Resource,
    Terms,
    TrustedIssuer,
    User,
)
from fake_oauth.provider.policies import RefreshPolicy
from fake_oauth.provider.request import Credentials
from fake_oauth.provider.resources import Resources
from fake_oauth.provider.sessions import Login, PushedRequests, Sessions
from fake_oauth.provider.store import Grant, Store
from fake_oauth.structure import suggestion

# How many one-time passwords the outbox keeps.
_OUTBOX_LIMIT: Final = 1000

Fetch = Callable[[str], bytes]
"""Returns the document at a URL. Raises OSError or ValueError with the reason."""


def _fetch_nothing(url: str) -> bytes:
    raise ValueError(f"this server fetches nothing, so not {url}")


class Realm:
    """Everything that one server knows. A rule checks first and then spends, with `lock` held."""

    def __init__(
        self,
        *,
        issuer: str,
        dialect: Dialect,
        clients: Iterable[Client],
        users: Iterable[User],
        auth_sources: Iterable[AuthSource] = (),
        terms: OwnTerms | None = None,
        keys: KeyRing,
        clock: Clock,
        ids: Ids,
        session_seconds: int = 3600,
        device_interval_seconds: int = 5,
        request_uri_seconds: int = 60,
        resources: Resources | None = None,
        acceptance: Acceptance = Acceptance(),  # noqa: B008
        sends_issuer: bool = False,
        trusted_issuers: Iterable[TrustedIssuer] = (),
        proof_rules: ProofRules = ProofRules(),  # noqa: B008
        requires_pushed_requests: bool = False,
        registration: Registration = Registration(),  # noqa: B008
        fetch: Fetch = _fetch_nothing,
        paths: Mapping[str, str] | None = None,
        console: str | None = None,
    ) -> None:
        self.issuer = issuer
        self.acceptance = acceptance
        self.sends_issuer = sends_issuer
        """Whether authorization responses have the issuer (RFC 9207)."""
        self.requires_pushed_requests = requires_pushed_requests
        """Whether every authorization request has to be pushed (RFC 9126 section 5)."""
        self.dialect = dialect
        self.paths = dialect.paths if paths is None else paths
        """The path of each endpoint that is served, below the issuer."""
        self.console = console
        """The path of the console, where a person sees each request; None if it is not served."""
        self.clients = Clients(clock)
        self.registration = registration
        self.fetch = fetch
        """Returns the document at a URL."""
        self.users: dict[str, User] = {}
        self.auth_sources = {source.id: source for source in auth_sources}
        self.trusted_issuers = {trusted.issuer: trusted for trusted in trusted_issuers}
        self.keys = keys
        self.clock = clock
        self.ids = ids
        self.store = Store()
        self.sessions = Sessions(ids, session_seconds)
        self.device_interval_seconds = device_interval_seconds
        """How long a client waits between two polls with a device code; 0 is not judged."""
        self.proofs = ProofMemory(ids, proof_rules)
        self.pushed = PushedRequests(ids, request_uri_seconds)
        self.outbox: deque[OneTimePassword] = deque(maxlen=_OUTBOX_LIMIT)
        self.sent_otps: Counter[str] = Counter()
        """The number of one-time passwords sent in all, by auth source."""
        self.otp_times: OrderedDict[tuple[str, str], list[float]] = OrderedDict()
        """When one-time passwords were sent within the last day, by auth source and recipient."""
        self.resources = Resources(issuer, Resource()) if resources is None else resources
        self.logged_in_everywhere: Login | None = None
        """The login of a user who is logged in in every browser."""
        self.lock = RLock()
        self._default_terms = dialect.terms if terms is None else terms.over(dialect.terms)
        self._terms: dict[str, Terms] = {}
        self.replace_clients(clients)
        self.replace_users(users)

    def replace_clients(self, clients: Iterable[Client]) -> None:
        """Replace the clients. What was issued to a removed client is refused."""
        with self.lock:
            self.clients.replace(clients)
            self._terms = {
                client.client_id: client.over(self._default_terms)
                for client in self.clients.configured.values()
            }

    def replace_users(self, users: Iterable[User]) -> None:
        """Replace the users. What was issued to a removed user is refused."""
        with self.lock:
            self.users = {user.sub: user for user in users}
            names = {user.login_name for user in self.users.values()}
            self.store.forget_logins(names | self.clients.keys())

    def url_of(self, endpoint: str) -> str:
        """Return the URL of an endpoint, below the issuer."""
        return self.issuer.rstrip("/") + self.paths[endpoint]

    def register(self, client: Client, expires_at: float | None = None) -> None:
        """Keep a registered client until a time; None is forever."""
        with self.lock:
            self._forget_login(self.clients.register(client, expires_at))

    def forget_client(self, client_id: str, why: str) -> None:
        """Forget a registered client, if it is known. `why` is the reason for the journal."""
        with self.lock:
            self._forget_login(self.clients.forget(client_id, why))

    def _forget_login(self, client: Client | None) -> None:
        if client is not None:
            self.store.forget_login(client.client_id)

    # Clients and users by name, for people: None is the first.

    def client(self, client_id: str | None) -> Client:
        """Return a client by its client_id. Raise FakeOAuthError for an unknown one."""
        if client_id is None and self.clients:
            return next(iter(self.clients.values()))
        if client_id is None or client_id not in self.clients:
            raise FakeOAuthError(_unknown("client", client_id, list(self.clients)))
        return self.clients[client_id]

    def user(self, name: str | None) -> User:
        """Return a user by username or sub. Raise FakeOAuthError for an unknown one."""
        by_name = {user.login_name: user for user in self.users.values()}
        names = {**self.users, **by_name}
        if name is None and names:
            return next(iter(self.users.values()))
        if name is None or name not in names:
            raise FakeOAuthError(_unknown("user", name, list(names)))
        return names[name]

    def owner(self, grant: Grant) -> Client:
        """Return the client of a grant, even if it was removed."""
        client_id = grant.client_id
        known = self.clients.get(client_id) or self.clients.former(client_id)
        return Client(client_id=client_id) if known is None else known

    def terms(self, client: Client) -> Terms:
        """Return the terms that apply to a client."""
        known = self._terms.get(client.client_id)
        return client.over(self._default_terms) if known is None else known

    def policy(self, client: Client) -> RefreshPolicy:
        """Return the refresh policy that applies to a client."""
        return self.terms(client).refresh_policy.for_client(is_public=client.is_public)

    # Checks that more than one rule makes. Each raises OAuthError; none changes anything.

    def authenticate(self, credentials: Credentials) -> Client:
        """Return the client that these credentials prove.

        docs/reference/token.md, rules 1, 2, and 22.
        """
        if credentials.method is None:
            raise unidentified(credentials.missing)
        client_id = credentials.client_id
        client = self.clients.get(client_id or "")
        if client is None:
            raise invalid_client(self.clients.absence(client_id), "client_unknown")
        if credentials.method == "none" and not client.is_public:
            proof = "client_assertion" if client.client_secret is None else "client_secret"
            raise unidentified(f"client {client_id} is confidential and sent no {proof}")
        if not client.enabled:
            raise invalid_client(f"client {client_id} disabled", "client_disabled")
        if credentials.method not in client.auth_methods:
            reason = f"client {client_id} not registered for {credentials.method}"
            if credentials.method == "private_key_jwt" and client.jwks is None:
                reason += ": it has no jwks"
            raise invalid_client(reason, "client_auth_method")
        if credentials.assertion is not None:
            self._require_assertion(client, credentials.assertion, credentials.endpoint)
            return client
        is_right = credentials.client_secret == client.client_secret
        is_raw = credentials.raw_secret is not None and (
            credentials.raw_secret == client.client_secret
        )
        if not is_right and not (is_raw and self.acceptance.raw_basic):
            reason = "client_secret does not match"
            if is_raw:
                reason += (
                    "; it does without form-urldecoding, so the client has to encode it (RFC 6749 "
                    "section 2.3.1), or set accept_raw_basic"
                )
            raise invalid_client(reason, "client_secret")
        return client

    def _require_assertion(self, client: Client, assertion: Assertion, endpoint: str) -> None:
        """Check that a client has made an assertion for this server, and use up its `jti`.

        The `jti` stays used even if a later rule refuses the request.
        """
        is_hmac = assertion.auth_method == "client_secret_jwt"
        only_issuer = self.acceptance.assertion_audience == "issuer"
        urls = () if only_issuer else (self.url_of("token"), self.url_of(endpoint))
        required = Requirements(
            issuer=client.client_id,
            subject=client.client_id,
            keys=(client.client_secret or "") if is_hmac else (client.jwks or {})["keys"],
            audiences=(self.issuer, *urls),
            allows_other_audiences=not only_issuer,
            needs_jti=True,
        )
        now = self.clock.now()
        try:
            verify(assertion, required, now)
            with self.lock:
                use(assertion, self.store, now)
        except InvalidAssertionError as error:
            raise invalid_client(f"client_assertion: {error}", "client_assertion") from None

    def require_grant_type(self, client: Client, grant_type: str) -> None:
        """Check that the client is allowed to use a grant type.

        docs/reference/token.md, rule 11.
        """
        if not client.may_use(grant_type):
            raise OAuthError(
                "unauthorized_client",
                f"client {client.client_id} may not use grant_type {grant_type}",
                cause="grant_type_not_allowed",
            )

    def require_own(self, grant: Grant, client: Client, what: str) -> None:
        """Check that a token or code belongs to the client (docs/reference/token.md, rule 10)."""
        if grant.client_id != client.client_id:
            raise OAuthError(
                "invalid_grant",
                f"{what} belongs to client {grant.client_id}",
                cause="token_of_other_client",
            )

    def active_user(self, user: User | None, sub: str, *, client: Client | None = None) -> User:
        """Return a user who exists and is allowed to log in (CIAM 1148/51473)."""
        if user is None:
            raise OAuthError(
                "invalid_grant", f"user {sub} was deleted", cause="user_deleted", client=client
            )
        if user.status != "active":
            raise OAuthError(
                "invalid_grant", f"user {user.login_name} is {user.status}", cause="user_inactive"
            )
        return user

    def scopes_of(self, client: Client) -> Sequence[str]:
        """Return the scopes that a user can grant a client.

        `offline_access` is among them if a refresh token depends on it.
        """
        is_gated = self.terms(client).issue_refresh_tokens == "offline_access"
        if not is_gated or "offline_access" in client.scopes:
            return client.scopes
        return (
            (*client.scopes, "offline_access") if client.may_use("refresh_token") else client.scopes
        )

    def grants_any_scope(self, client: Client) -> bool:
        """Return whether a user can grant a client every scope, whatever it registered."""
        is_registered = client.client_id not in self.clients.configured
        return is_registered and not self.dialect.limits_registered_scopes

    def named_scopes(self, client: Client, scope: str | None) -> tuple[str, ...]:
        """Return scopes that a person names; None is every one of the client.

        Raise FakeOAuthError for one that the client does not have.
        """
        known = self.scopes_of(client)
        scopes = tuple(known if scope is None else scope.split())
        for word in scopes:
            if word not in known:
                hint = suggestion(word, known)
                raise FakeOAuthError(f"client {client.client_id} has no scope {word!r}; {hint}")
        return scopes

    def user_of(self, grant: Grant, *, client: Client | None = None) -> User:
        """Return the active user who approved a grant."""
        return self.active_user(self.users.get(grant.sub), grant.sub, client=client)


def granted_scopes(
    requested: str | None, allowed: Collection[str], *, verb: str
) -> tuple[str, ...]:
    """Return the requested scopes, if all are allowed; every allowed one if none is requested.

    docs/reference/token.md, rule 12. `verb` is the word for an allowed scope in the reason:
    `granted` or `registered`. Raise OAuthError.
    """
    if requested is None:
        return tuple(allowed)
    words = requested.split(" ")
    if "" in words:
        raise OAuthError("invalid_scope", "scope has an extra space", cause="scope")
    for word in words:
        if word not in allowed:
            known = " ".join(allowed) or "none"
            reason = f"scope {word!r} was not {verb}; {verb}: {known}"
            raise OAuthError("invalid_scope", reason, cause="scope")
    return tuple(words)


def unidentified(reason: str) -> OAuthError:
    """Return the refusal of a request that does not identify its client."""
    return OAuthError("invalid_client", reason, cause="client_unidentified")


def invalid_client(reason: str, cause: Cause) -> OAuthError:
    """Return the refusal of a client that has not proved who it is (RFC 6749 section 5.2)."""
    return OAuthError("invalid_client", reason, cause=cause)


def _unknown(kind: str, name: str | None, known: list[str]) -> str:
    if name is None:
        return f"no {kind} is defined"
    return f"unknown {kind} {name!r}; {suggestion(name, known)}"
