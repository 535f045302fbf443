"""google-auth (PyPI): the credentials of a user, as its documentation shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import id_token
from google.oauth2.credentials import Credentials

from fake_oauth import FakeOAuth
from tests.clients.conftest import SCOPE, SECRET, sent_to


@pytest.fixture
def credentials(oauth_server: FakeOAuth) -> Any:
    """Return the stored credentials of a user, without an access token."""
    tokens = oauth_server.issue_tokens(user="alice", client="web")
    return Credentials(
        None,
        refresh_token=tokens.refresh_token,
        token_uri=oauth_server.token_url,
        client_id="web",
        client_secret=SECRET,
        scopes=SCOPE.split(),
    )


@pytest.fixture
def transport() -> Iterator[Any]:
    with requests.Session() as session:
        yield Request(session)


def test_refreshes_whenever_the_access_token_is_refused(
    oauth_server: FakeOAuth, credentials: Any
) -> None:
    with AuthorizedSession(credentials) as session:
        for _ in range(3):
            oauth_server.clock.advance(3600)
            assert session.get(f"{oauth_server.url}/userinfo").json()["sub"] == "u-alice"
    used = [exchange.tokens["refresh_token"] for exchange in sent_to(oauth_server, "token")]
    assert used == ["alice/1 r1", "alice/1 r2", "alice/1 r3"]
    assert set(credentials.granted_scopes) == set(SCOPE.split())


@pytest.mark.allow_violations  # the access token that it refreshes is one that it never had
def test_verifies_the_id_token_with_the_published_keys(
    oauth_server: FakeOAuth, credentials: Any, transport: Any
) -> None:
    credentials.refresh(transport)
    claims = id_token.verify_token(
        credentials.id_token, transport, audience="web", certs_url=oauth_server.url_of("jwks")
    )
    assert claims["sub"] == "u-alice"
    assert claims["iss"] == oauth_server.issuer


@pytest.mark.allow_violations  # it cannot know that its token was revoked
def test_is_told_that_its_refresh_token_was_revoked(
    oauth_server: FakeOAuth, credentials: Any, transport: Any
) -> None:
    oauth_server.revoke(credentials.refresh_token)
    with pytest.raises(RefreshError, match="invalid_grant") as refused:
        credentials.refresh(transport)
    assert not refused.value.retryable
