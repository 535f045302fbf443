"""`ClientAssertions`: the checks as assertions, which show the journal if they fail.

A method has the name of its check in `CHECKS`, and the options of its function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fake_oauth.behavior.checks import CHECKS, LEEWAY_SECONDS, Violation, judge, violations
from fake_oauth.behavior.history import History
from fake_oauth.journal import Journal
from fake_oauth.provider.errors import FakeOAuthError

# How many exchanges a message shows.
_SHOWN: Final = 30


class BehaviorError(FakeOAuthError, AssertionError):
    """A client violated a check, or the journal has nothing that the check could judge.

    `violations` has every violation; it is empty if there was nothing to judge.
    """

    def __init__(self, heading: str, violations: Sequence[Violation], transcript: str) -> None:
        self.violations = tuple(violations)
        found = "".join(f"\n  {violation}" for violation in violations)
        super().__init__(f"{heading}{found}\n{transcript or 'no request arrived'}")


class ClientAssertions:
    """Assertions about the client, over all exchanges that the journal has.

    Each raises BehaviorError, which is an AssertionError, if the client violated the check, and
    also if the journal has no request that the check could judge.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def never_presented_a_spent_token(self) -> None:
        """Assert that no refresh token was presented after its replacement was received.

        A client that lost the response with the replacement can present the token again.
        """
        self._assert("never_presented_a_spent_token")

    def used_the_latest_refresh_token(self) -> None:
        """Assert that each refresh presented the refresh token that was received last."""
        self._assert("used_the_latest_refresh_token")

    def kept_its_refresh_token(self) -> None:
        """Assert that the refresh token was kept when a response had none (RFC 6749 section 6)."""
        self._assert("kept_its_refresh_token")

    def refreshed_once_per_expiry(self) -> None:
        """Assert that the client refreshed once per expiry, however many callers waited.

        It can repeat a refresh that failed or whose response was lost. It can also refresh again
        after a resource of this server refused the access token with 401, but not if the resource
        then refuses the new access token as well.
        """
        self._assert("refreshed_once_per_expiry")

    def refreshed_only_when_needed(self, leeway_seconds: float = LEEWAY_SECONDS) -> None:
        """Assert that no refresh was sent while the access token was valid for longer than this.

        A refresh after a resource of this server refused the access token with 401 was needed.
        """
        self._assert("refreshed_only_when_needed", leeway_seconds=leeway_seconds)

    def stopped_after_a_terminal_error(self) -> None:
        """Assert that the client did not retry a refresh after a terminal error.

        Terminal errors are invalid_grant, invalid_client, and unauthorized_client (RFC 6749
        section 5.2). After the last two, a request with other credentials is not a retry.
        """
        self._assert("stopped_after_a_terminal_error")

    def honored_retry_after(self) -> None:
        """Assert that the client waited until the time in Retry-After, by the server's clock."""
        self._assert("honored_retry_after")

    def backed_off(self, at_least_seconds: float = 1) -> None:
        """Assert that the client waited after 429, 5xx, or no response, by the server's clock.

        `violations()` does not include this check: an immediate first retry is sound.
        """
        self._assert("backed_off", at_least_seconds=at_least_seconds)

    def slowed_down(self, at_least_seconds: float = 5) -> None:
        """Assert that the client waited for 5 seconds after `slow_down` (RFC 8628 section 3.5).

        Time is the server's. Raise BehaviorError.
        """
        self._assert("slowed_down", at_least_seconds=at_least_seconds)

    def polled_at_the_interval(self) -> None:
        """Assert that the client waited for the interval between polls (RFC 8628 section 3.5).

        Each `slow_down` makes the interval of a device code 5 seconds longer. Time is the server's.
        If the setting `device_interval_seconds` is 0, there is nothing to judge.
        """
        self._assert("polled_at_the_interval")

    def stopped_polling(self) -> None:
        """Assert that the client did not poll again after a final response (RFC 8628 section 3.5).

        It can poll again after a 5xx or 429, and if the response was lost or malformed.
        """
        self._assert("stopped_polling")

    def sent_no_secret_in_a_url(self) -> None:
        """Assert that no secret and no token was sent in a query string."""
        self._assert("sent_no_secret_in_a_url")

    def sent_readable_bodies(self) -> None:
        """Assert that parameters were sent as a form, with its Content-Type."""
        self._assert("sent_readable_bodies")

    def requested_no_wider_scope(self) -> None:
        """Assert that no refresh requested a scope that was not granted (RFC 6749 section 6)."""
        self._assert("requested_no_wider_scope")

    def used_each_code_verifier_once(self) -> None:
        """Assert that no code_verifier was used for two codes (RFC 7636 section 4.1)."""
        self._assert("used_each_code_verifier_once")

    def signed_each_proof_once(self) -> None:
        """Assert that each DPoP proof had a `jti` of its own (RFC 9449 section 4.2)."""
        self._assert("signed_each_proof_once")

    def used_the_dpop_nonce(self) -> None:
        """Assert that `use_dpop_nonce` was followed by a proof with the nonce that was sent."""
        self._assert("used_the_dpop_nonce")

    def sent_each_token_where_it_belongs(self) -> None:
        """Assert that each token was sent only to the endpoint and as the parameter it is for."""
        self._assert("sent_each_token_where_it_belongs")

    def behaved(self) -> None:
        """Assert that `violations()` is empty, and that a request arrived."""
        if found := violations(self._journal):
            raise BehaviorError("the client misbehaved:", found, self._journal.transcript(_SHOWN))
        if not self._journal:
            heading = "behaved: nothing to judge; the journal has no request"
            raise BehaviorError(heading, [], "")

    def _assert(self, name: str, **options: float) -> None:
        judged = list(judge(name, History(self._journal), **options))
        found = [violation for violation in judged if violation is not None]
        transcript = self._journal.transcript(_SHOWN)
        if found:
            raise BehaviorError(f"{name}: the client misbehaved:", found, transcript)
        if not judged:
            heading = f"{name}: nothing to judge; the journal has no {CHECKS[name].judges}"
            raise BehaviorError(heading, [], transcript)
