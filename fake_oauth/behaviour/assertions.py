"""The checks as assertions, each of which says what went wrong and shows what came in."""

from __future__ import annotations

from collections.abc import Sequence

from fake_oauth.behaviour.checks import misbehaviour
from fake_oauth.behaviour.findings import Finding, Findings
from fake_oauth.behaviour.manners import secret_in_url
from fake_oauth.behaviour.refreshing import (
    LEEWAY_SECONDS,
    after_the_end,
    dropped_token,
    old_token,
    repeated_refresh,
    spent_token,
    unneeded_refresh,
)
from fake_oauth.behaviour.retrying import no_pause, too_soon
from fake_oauth.journal import Journal
from fake_oauth.provider.errors import FakeOAuthError


class BehaviourError(FakeOAuthError, AssertionError):
    """A client has done what it should not, or nothing that an assertion is about.

    `findings` says what, a sentence each.
    """

    def __init__(self, heading: str, findings: Sequence[Finding], transcript: str) -> None:
        self.findings = tuple(findings)
        told = "".join(f"\n  {finding}" for finding in findings)
        super().__init__(f"{heading}{told}\n{transcript or 'no request arrived'}")


class ClientAssertions:
    """What a test asserts of the client, by all that the journal still has.

    Each raises BehaviourError, an AssertionError, if that is not so; and also if nothing came that
    it is about, as nothing has been shown then.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def never_presented_a_spent_token(self) -> None:
        """No refresh token came again for which the client had been given another one.

        One whose successor got lost on the way may come again: the client cannot know.
        """
        self._holds(spent_token(self._journal), "no refresh came")

    def refreshed_once_per_expiry(self) -> None:
        """However many callers there are, each expiry is refreshed for once.

        A refresh that failed or got lost may be repeated; so may one whose access token a resource
        has refused since.
        """
        self._holds(repeated_refresh(self._journal), "no refresh came")

    def refreshed_only_when_needed(self, leeway_seconds: float = LEEWAY_SECONDS) -> None:
        """No refresh came while the access token was good for longer than the leeway.

        Unless a resource of this server had refused it.
        """
        self._holds(unneeded_refresh(self._journal, leeway_seconds), "no refresh came")

    def stopped_after_a_terminal_error(self) -> None:
        """A refresh token that was refused for good did not come again (RFC 6749 section 5.2).

        For good are invalid_grant, invalid_client and unauthorized_client.
        """
        self._holds(after_the_end(self._journal), "no refresh was refused for good")

    def honoured_retry_after(self) -> None:
        """Nobody came again before the time in Retry-After, by the server's clock."""
        self._holds(too_soon(self._journal), "no reply had a Retry-After")

    def backed_off(self, at_least_seconds: float = 1) -> None:
        """After 429, 5xx or no answer nobody came again at once, by the server's clock."""
        self._holds(no_pause(self._journal, at_least_seconds), "nobody came again after a failure")

    def kept_its_refresh_token(self) -> None:
        """After a reply without a refresh token the one before was used (RFC 6749 section 6)."""
        self._holds(dropped_token(self._journal), "no refresh came after a reply without one")

    def used_the_latest_refresh_token(self) -> None:
        """Each refresh came with the refresh token that had been received last."""
        self._holds(old_token(self._journal), "no second refresh came")

    def sent_no_secret_in_a_url(self) -> None:
        """No secret and no token came in a query string."""
        self._holds(secret_in_url(self._journal), "no request came")

    def behaved(self) -> None:
        """None of `CHECKS` found anything."""
        if found := misbehaviour(self._journal):
            raise BehaviourError("the client did not behave:", found, str(self._journal))

    def _holds(self, findings: Findings, nothing: str) -> None:
        judged = list(findings)
        found = [finding for finding in judged if finding is not None]
        if found:
            raise BehaviourError("the client did not behave:", found, str(self._journal))
        if not judged:
            raise BehaviourError(f"nothing to judge: {nothing}", [], str(self._journal))
