"""What a test does to a server beside asking it: logging in, moving its state, changing keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from fake_oauth.assembly import Assembly
from fake_oauth.behaviour.assertions import ClientAssertions
from fake_oauth.behaviour.checks import misbehaviour
from fake_oauth.behaviour.findings import Finding
from fake_oauth.building import replace_parties
from fake_oauth.faults.barrier import Barrier
from fake_oauth.faults.refusals import Ok
from fake_oauth.faults.rule import Rule
from fake_oauth.journal import Exchange
from fake_oauth.naming import client_named, scopes_named, user_named
from fake_oauth.provider import issuing, moves
from fake_oauth.provider.errors import FakeOAuthError, Problem, SettingsError
from fake_oauth.provider.outbox import Message
from fake_oauth.provider.resource import Resource
from fake_oauth.provider.tokens import TokenSet
from fake_oauth.references import wrong_rules

# What is told of whatever a test has revoked.
_FATE: Final = "revoked by the test"


class Service(Assembly):
    """A server without its socket, and everything that a test does to it."""

    def issue(
        self,
        user: str | None = None,
        client: str | None = None,
        scope: str | None = None,
    ) -> TokenSet:
        """Tokens as if `user` had just logged in at `client`.

        The user is named by username or sub, the client by client_id; what is left out is the
        first user, the first client, and every scope that the client may have. Raises
        FakeOAuthError for a name that nothing has.
        """
        realm = self._serving().realm
        owner, somebody = client_named(realm, client), user_named(realm, user)
        return issuing.issue(realm, owner, somebody, scopes_named(owner, scope))

    def issue_code(
        self,
        user: str | None = None,
        client: str | None = None,
        scope: str | None = None,
        *,
        redirect_uri: str | None = None,
        code_challenge: str | None = None,
        nonce: str | None = None,
    ) -> str:
        """An authorization code as if `user` had just logged in at `client` on the page.

        What is left out is as in `issue`; the rest is what the authorization request said, None
        if it said nothing. A code_challenge is an S256 one (RFC 7636 section 4.2).
        """
        realm = self._serving().realm
        owner, somebody = client_named(realm, client), user_named(realm, user)
        grant = issuing.log_in(realm, owner.client_id, somebody, scopes_named(owner, scope))
        return issuing.write_code(
            realm, grant, redirect_uri=redirect_uri, code_challenge=code_challenge, nonce=nonce
        )

    def login(self, user: str | None = None) -> None:
        """Let every browser be logged in as `user` from now on, so that no page is shown.

        Raises FakeOAuthError for a user who is unknown or may not log in.
        """
        realm = self._serving().realm
        somebody = user_named(realm, user)
        if somebody.status != "active":
            raise FakeOAuthError(f"user {somebody.login} is {somebody.status} and cannot log in")
        realm.logged_in_everywhere = somebody.sub

    def logout(self) -> None:
        """Undo `login`: whoever has not logged in on the page is shown it again."""
        self._serving().realm.logged_in_everywhere = None

    @property
    def outbox(self) -> Sequence[Message]:
        """The one-time passwords that were "sent", oldest first; the latest thousand."""
        return tuple(self._serving().realm.outbox)

    def rotate_keys(self, *, keep_old: bool = True) -> str:
        """Sign with another key from now on, and return its `kid`.

        The old one stays in the JWKS, so that its tokens are good, until the next rotation;
        without `keep_old` it is withdrawn at once.
        """
        realm = self._serving().realm
        with realm.lock:
            realm.keys = realm.keys.rotated(keep_old=keep_old)
            return realm.keys.signing.kid

    def barrier(
        self,
        n: int,
        *,
        order: Sequence[int] | None = None,
        timeout_seconds: float = 5,
        endpoint: str = "token",
        grant_type: str | None = None,
        client_id: str | None = None,
        when: Callable[[Exchange], bool] | None = None,
    ) -> Barrier:
        """Hold the next `n` requests until all have arrived, then serve one after the other.

        For a `with`. `order` says which arrival is served first, which second: `[2, 0, 1]`; None
        is as they came. The other arguments say which requests, as those of `faults.Rule` do. The
        end of the `with` waits until all are served. If not all come within `timeout_seconds` of
        real time, or one takes longer than that, everybody is let go and BarrierError is raised.
        Raises SettingsError for requests that can never come.
        """
        rule = Rule(Ok(), endpoint=endpoint, grant_type=grant_type, client_id=client_id, when=when)
        problems = [
            Problem(problem.path.replace("faults[0]", "barrier"), problem.message)
            for problem in wrong_rules([rule], self.settings.clients, self.dialect)
        ]
        if problems:
            raise SettingsError(problems)
        return self._barriers.open(rule, n, order, timeout_seconds)

    @property
    def assert_client(self) -> ClientAssertions:
        """What a test can assert of its client, over all that the journal has."""
        return ClientAssertions(self.journal)

    def misbehaviour(self) -> list[Finding]:
        """What the client did wrong, as far as the journal shows it, in the order of requests."""
        return misbehaviour(self.journal)

    @property
    def resource(self) -> Resource:
        """The protected resource: its `calls`, the `scope` that it wants, its `skew_seconds`."""
        return self._serving().realm.resource

    def expire(self, token: str) -> None:
        """Let a token have expired just now, whatever its lifetime.

        It is a refresh token, a code or an access token, or its name in the journal, such as
        `alice/1 r2`. An access token still says what it said: the server takes it no more, whoever
        only reads it does. Raises FakeOAuthError for a token that is not known.
        """
        moves.expire(self._serving().realm, token)

    def revoke(self, token: str) -> None:
        """Revoke a token, given as in `expire`; a refresh token with all that its log-in led to."""
        moves.revoke(self._serving().realm, token, _FATE)

    def revoke_user(self, user: str) -> None:
        """Revoke all tokens and codes that a user's log-ins led to, and end those log-ins.

        The user, by username or sub, may log in again. Raises FakeOAuthError for an unknown one.
        """
        realm = self._serving().realm
        moves.revoke_user(realm, user_named(realm, user), _FATE)

    def freeze_user(self, user: str) -> None:
        """Let a user neither log in nor refresh; tokens stay as they are, until `unfreeze_user`."""
        self._change_user(user, "frozen")

    def unfreeze_user(self, user: str) -> None:
        """Undo `freeze_user`."""
        self._change_user(user, "active")

    def delete_user(self, user: str) -> None:
        """Let a user be gone: what is left of their tokens is refused."""
        gone = user_named(self._serving().realm, user)
        self.replace_parties(users=tuple(u for u in self.settings.users if u != gone))

    def _change_user(self, name: str, status: Literal["active", "frozen"]) -> None:
        changed = user_named(self._serving().realm, name)
        self.replace_parties(
            users=tuple(
                replace(user, status=status) if user == changed else user
                for user in self.settings.users
            )
        )

    def replace_parties(self, **parties: Any) -> None:
        """Put other `clients` or `users` in the place of these. Raises SettingsError.

        Tokens that the others hold stay good; those of a client or user who is gone are refused.
        """
        rules = [step.rest for step in self.steps if step.rest is not None]
        realm = self._serving().realm
        with realm.lock:
            self.settings = replace_parties(realm, self.settings, rules, **parties)
