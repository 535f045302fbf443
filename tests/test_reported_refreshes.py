"""Public bug reports about clients that refresh at the wrong time or with the wrong token.

Each docstring names the report and says what happened, and then what the fake does to test it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from fake_oauth import BehaviorError, Client, FakeOAuth, RefreshPolicy, faults
from tests import my_app, naive_app
from tests.support.client import form
from tests.support.reports import call, logged_in, refresh

# Several clients with one refresh token


@pytest.mark.oauth_server(refresh_policy="auth0")
def test_one_of_five_processes_can_refresh_and_all_lose_the_session(
    oauth_server: FakeOAuth,
) -> None:
    """anthropics/claude-code#84440, anomalyco/opencode#34074: five processes share a stored refresh
    token, and refresh at the same time. Auth0 without leeway serves one of them. The other
    requests are replays and revoke the family, so the winner loses its new refresh token too.

    A barrier makes the race happen in each run. The preset `auth0` revokes refresh tokens only.
    """
    token = logged_in(oauth_server)
    with ThreadPoolExecutor() as pool, oauth_server.barrier(5) as race:
        sent = [pool.submit(refresh, oauth_server, token) for _ in range(5)]
    responses = [future.result() for future in sent]
    assert sorted(response.status_code for response in responses) == [200, 400, 400, 400, 400]
    (won,) = (response.json() for response in responses if response.status_code == 200)
    assert refresh(oauth_server, won["refresh_token"]).json()["error"] == "invalid_grant"
    assert call(oauth_server, won["access_token"]).status_code == 200
    with pytest.raises(BehaviorError) as caught:
        oauth_server.assert_client.never_presented_a_spent_token()
    losers = sorted(exchange.number for exchange in race.losers)
    assert sorted(violation.number for violation in caught.value.violations) == losers


@pytest.mark.oauth_server(refresh_policy=RefreshPolicy(rotate=True, grace_seconds=30))
def test_in_a_grace_period_all_processes_can_refresh(oauth_server: FakeOAuth) -> None:
    """PrefectHQ/fastmcp#4901: of two requests with one refresh token, the server refused the
    second, and the session was lost. A grace period lets both succeed.

    In the grace period, the fake issues another refresh token for each request.
    """
    token = logged_in(oauth_server)
    with ThreadPoolExecutor() as pool, oauth_server.barrier(5):
        sent = [pool.submit(refresh, oauth_server, token) for _ in range(5)]
    issued = {future.result().json()["refresh_token"] for future in sent}
    assert len(issued - {token}) == 5
    oauth_server.assert_client.never_presented_a_spent_token()


@pytest.mark.oauth_server(
    refresh_policy=RefreshPolicy(rotate=True, on_replay="revoke", grace_seconds=3600),
    refresh_token_seconds=86400,
    start_time=1_636_449_231,
    freeze_time=True,
)
def test_after_the_grace_period_a_replay_revokes_the_family(oauth_server: FakeOAuth) -> None:
    """exceptionless/Exceptionless#2404: Codex presents a refresh token that was rotated a while
    ago. The server accepts the token for an hour; after that, it revokes the family.

    The test moves the clock to the last second of the grace period, and then to its end.
    """
    token = logged_in(oauth_server)
    refresh(oauth_server, token)
    oauth_server.clock.advance(3599)
    latest = refresh(oauth_server, token).json()["refresh_token"]
    oauth_server.clock.advance(1)
    assert refresh(oauth_server, token).json()["error"] == "invalid_grant"
    assert refresh(oauth_server, latest).json()["error"] == "invalid_grant"
    assert oauth_server.journal[-1].reason == "refresh token revoked by a replay in request 3"


def test_confidential_clients_of_okta_keep_their_refresh_token(make_oauth_server: Any) -> None:
    """Okta rotates the refresh tokens of public clients. A confidential client that expects a new
    refresh token from each refresh fails there.

    The preset `okta` distinguishes the two kinds of clients.
    """
    clients = [Client(client_id="web", client_secret="s3cret"), Client(client_id="phone")]
    server = make_oauth_server(refresh_policy="okta", clients=clients)
    kept, rotated = logged_in(server, "web"), logged_in(server, "phone")
    web = refresh(server, kept, client_id="web", client_secret="s3cret").json()
    phone = refresh(server, rotated, client_id="phone", client_secret=None).json()
    assert web["refresh_token"] == kept
    assert phone["refresh_token"] != rotated


class AsyncSession:
    """A client for asyncio, whose coroutines wait for one refresh."""

    def __init__(self, server: FakeOAuth, http: httpx.AsyncClient, refresh_token: str) -> None:
        self._server, self._http = server, http
        self._refresh_token = refresh_token
        self._access_token: str | None = None
        self._lock = asyncio.Lock()

    async def call(self) -> int:
        """Call the protected resource, and return the status."""
        async with self._lock:
            if self._access_token is None:
                await self._refresh()
        headers = {"Authorization": f"Bearer {self._access_token}"}
        return (await self._http.get(self._server.resource_url, headers=headers)).status_code

    async def _refresh(self) -> None:
        body = form(refresh_token=self._refresh_token)
        response = await self._http.post(self._server.token_url, data=body)
        reply = response.raise_for_status().json()
        self._access_token, self._refresh_token = reply["access_token"], reply["refresh_token"]


@pytest.mark.oauth_server(refresh_policy="rfc9700")
def test_coroutines_of_one_client_share_a_refresh(oauth_server: FakeOAuth) -> None:
    """authlib/authlib#266, miaucl/cookidoo-api#262: three coroutines find that the access token has
    expired, and each of them refreshes.

    The journal of the fake shows one refresh request for the three calls.
    """

    async def main() -> list[int]:
        async with httpx.AsyncClient() as http:
            session = AsyncSession(oauth_server, http, logged_in(oauth_server))
            return await asyncio.gather(*(session.call() for _ in range(3)))

    assert asyncio.run(main()) == [200, 200, 200]
    grants = [exchange.grant_type for exchange in oauth_server.journal]
    assert grants == ["refresh_token", None, None, None]
    oauth_server.assert_client.refreshed_once_per_expiry()


@pytest.mark.oauth_server(refresh_policy="rfc9700")
def test_a_lock_in_each_object_is_no_lock(oauth_server: FakeOAuth) -> None:
    """authlib/authlib#673: the framework creates a client object for each request, so the lock in
    the client object protects nothing.

    A barrier serves the second request first, and the first request is then the replay.
    """

    async def main() -> list[int | BaseException]:
        token = logged_in(oauth_server)
        async with httpx.AsyncClient() as http:
            sessions = [AsyncSession(oauth_server, http, token) for _ in range(2)]
            async with oauth_server.barrier(2, order=[1, 0]) as race:
                calls = [asyncio.create_task(session.call()) for session in sessions]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert race.winners == [race.arrived[1]]
        return outcomes

    outcomes = asyncio.run(main())
    assert [type(outcome) for outcome in outcomes].count(httpx.HTTPStatusError) == 1
    with pytest.raises(BehaviorError, match="which request 2 replaced at the same time"):
        oauth_server.assert_client.never_presented_a_spent_token()


# Too often


@pytest.mark.parametrize(
    ("app", "is_correct"), [(my_app, True), (naive_app, False)], ids=["correct", "naive"]
)
def test_a_refresh_storm_is_found(oauth_server: FakeOAuth, app: Any, *, is_correct: bool) -> None:
    """TheFab21/ha-samsungtv-smart#111: the refresh token was invalid, and the client refreshed in
    each cycle, 7016 times. PostHog/posthog#63345: an import job retried after `invalid_grant`.

    The server revokes the token behind the client's back. Each request after the first is a
    violation.
    """
    token = logged_in(oauth_server)
    oauth_server.revoke(token)
    session = app.Session(oauth_server.token_url, token)
    for _ in range(2):
        with pytest.raises(app.LoggedOut):
            session.refresh()
    if is_correct:
        oauth_server.assert_client.stopped_after_a_terminal_error()
        assert len(oauth_server.journal) == 1
        return
    with pytest.raises(BehaviorError) as caught:
        oauth_server.assert_client.stopped_after_a_terminal_error()
    assert [violation.number for violation in caught.value.violations] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("refusal", [faults.Status(401), faults.Refuse("invalid_token")], ids=str)
def test_a_refresh_for_each_401_is_found(oauth_server: FakeOAuth, refusal: faults.Fault) -> None:
    """apache/gravitino#12531: the API refuses every access token, such as one for another audience.
    The client refreshes after each 401, and so once per call.

    A standing fault makes the protected resource refuse every call. The first refresh is correct.
    Each further refresh is a violation, because the resource has refused the new token as well.
    """
    tokens = oauth_server.issue_tokens()
    access_token, token = tokens.access_token, tokens.refresh_token or ""
    with oauth_server.always(faults.Rule(refusal, endpoint="resource")):
        for _ in range(3):
            assert call(oauth_server, access_token).status_code == 401
            access_token = refresh(oauth_server, token).json()["access_token"]
    with pytest.raises(BehaviorError, match="although /resource had refused the new") as caught:
        oauth_server.assert_client.refreshed_once_per_expiry()
    assert [violation.number for violation in caught.value.violations] == [4, 6]


def test_a_refresh_for_each_403_is_found(oauth_server: FakeOAuth) -> None:
    """apache/gravitino#12531, with a 403: the access token lacks a scope. A refresh returns the
    same scopes, so the next call gets a 403 again.

    The protected resource requires a scope. Unlike a 401, a 403 is no reason to refresh.
    """
    oauth_server.resource.scope = "admin"
    tokens = oauth_server.issue_tokens()
    access_token, token = tokens.access_token, tokens.refresh_token or ""
    for _ in range(3):
        assert call(oauth_server, access_token).status_code == 403
        access_token = refresh(oauth_server, token).json()["access_token"]
    with pytest.raises(BehaviorError) as caught:
        oauth_server.assert_client.refreshed_only_when_needed()
    assert [violation.number for violation in caught.value.violations] == [4, 6]


def test_a_client_refreshes_once_after_a_401(oauth_server: FakeOAuth) -> None:
    """Google's `AuthorizedSession` refreshes after a 401, and repeats the call once, even if the
    access token has not expired by its own clock.

    The server revokes the access token behind the client's back, and counts the calls.
    """
    session = my_app.Session(oauth_server.token_url, logged_in(oauth_server))
    oauth_server.revoke(session.refresh())
    session.get(oauth_server.resource_url)
    assert (oauth_server.resource.calls, oauth_server.resource.refused) == (1, 1)
    oauth_server.assert_client.refreshed_once_per_expiry()


# Too late


@pytest.mark.oauth_server(refresh_policy="rotate")
def test_a_rotated_token_that_was_not_saved_is_found(oauth_server: FakeOAuth) -> None:
    """onyx-dot-app/onyx#13330: the client did not store the new refresh token, so the server
    refused the next refresh.

    The violations name the token that the client had received before.
    """
    token = logged_in(oauth_server)
    refresh(oauth_server, token)
    oauth_server.clock.advance(400)
    assert refresh(oauth_server, token).json()["error"] == "invalid_grant"
    assert [str(violation) for violation in oauth_server.violations()] == [
        "request 2 presented MOCK_USERNAME/1 r1, which request 1 had already replaced with "
        "MOCK_USERNAME/1 r2",
        "request 2 presented MOCK_USERNAME/1 r1, although request 1 had received "
        "MOCK_USERNAME/1 r2",
    ]


@pytest.mark.oauth_server(refresh_policy=RefreshPolicy(rotate=True, idle_seconds=60 * 86400))
def test_a_refresh_token_that_is_not_used_for_60_days_expires(oauth_server: FakeOAuth) -> None:
    """Xero's refresh tokens expire 60 days after the last refresh. A user who does not return for
    two months has to log in again.

    The policy counts from the last refresh, and the test moves the clock by days.
    """
    token = logged_in(oauth_server)
    for _ in range(5):
        oauth_server.clock.advance(59 * 86400)
        token = refresh(oauth_server, token).json()["refresh_token"]
    oauth_server.clock.advance(61 * 86400)
    assert refresh(oauth_server, token).json()["error"] == "invalid_grant"
    assert oauth_server.journal[-1].reason == "refresh token expired 86400 s ago"


# An application that is configured once


@pytest.fixture(scope="module")
def configuration(session_oauth_server: FakeOAuth) -> Mapping[str, str]:
    """The settings of an application, which reads them when it starts."""
    return {"OIDC_TOKEN_URL": session_oauth_server.token_url}


@pytest.fixture
def _earlier_test(session_oauth_server: FakeOAuth) -> None:
    """The traces of another test on the server of the session."""
    session_oauth_server.revoke("MOCK_REFRESH_TOKEN")
    session_oauth_server.clock.advance(86400)
    session_oauth_server.always(faults.Status(503))
    assert httpx.post(session_oauth_server.token_url, data=form()).status_code == 503


@pytest.mark.usefixtures("_earlier_test")
def test_an_application_can_be_configured_once(
    shared_oauth_server: FakeOAuth, configuration: Mapping[str, str]
) -> None:
    """omnigent#5447, e-valuation/EvaP#1468: the application under test reads the address of its
    provider once per session, so the server cannot have another address in each test.

    The shared server keeps its address. It is reset before each test, so a test sees nothing of
    what an earlier test did to the tokens, the clock, the script, and the journal.
    """
    assert len(shared_oauth_server.journal) == 0
    assert abs(shared_oauth_server.clock.now() - time.time()) < 60
    response = httpx.post(configuration["OIDC_TOKEN_URL"], data=form())
    assert response.json()["refresh_token"] == "MOCK_REFRESH_TOKEN"
