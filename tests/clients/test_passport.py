"""passport-openidconnect (npm): an Express application that people log in at."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_letters, digits, printable
from typing import Any

import httpx
import pytest

from fake_oauth import FakeOAuth
from tests.clients.conftest import sent_to

LOGINS = 200
# Its own states are Base64; the others have all that RFC 6749 appendix A.5 allows.
LETTERS = {"session": ascii_letters + digits + "+/", "every_letter": printable.rstrip("\t\n\r\v\f")}


@pytest.mark.parametrize("scenario", ["session", "every_letter"])
def test_logs_in_two_hundred_times_with_every_letter_in_its_state(
    oauth_server: FakeOAuth, node: Callable[..., Any], browser: httpx.Client, scenario: str
) -> None:
    oauth_server.login("alice")
    told: list[Any] = []

    def log_in(application: str) -> None:
        for _ in range(LOGINS):
            response = browser.get(f"{application}/login", follow_redirects=True)
            told.append(response.json() if response.is_success else response.text)

    node("passport.mjs", scenario, answers={"listening": log_in})
    assert told == [{"id": "u-alice", "name": "Alice"}] * LOGINS
    states = [exchange.query["state"] for exchange in sent_to(oauth_server, "authorize")]
    assert len(set(states)) == LOGINS
    assert set("".join(states)) == set(LETTERS[scenario])
