"""google-auth (PyPI) without a user: a service account, and a workload's token exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth import identity_pool
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import sts
from google.oauth2.service_account import Credentials
from google.oauth2.utils import ClientAuthentication, ClientAuthType

from fake_oauth import FakeOAuth
from tests.clients.conftest import SECRET, sent_to
from tests.clients.service_account import SCOPE, trusted, write_key_file

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type"


@pytest.fixture
def key_file(oauth_server: FakeOAuth, tmp_path: Path) -> Path:
    """Return the path of the service account's file."""
    path = tmp_path / "service_account.json"
    write_key_file(path, oauth_server.token_url)
    return path


@pytest.fixture
def credentials(oauth_server: FakeOAuth, key_file: Path) -> Any:
    """Return the credentials of the service account.

    It assumes that the audience is Google's token endpoint, whatever `token_uri` is.
    """
    return Credentials.from_service_account_file(
        key_file, scopes=[SCOPE], additional_claims={"aud": oauth_server.token_url}
    )


@pytest.fixture
def transport() -> Iterator[Any]:
    with requests.Session() as session:
        yield Request(session)


@trusted
@pytest.mark.oauth_server(access_token_seconds=300)
def test_signs_again_whenever_the_access_token_is_refused(
    oauth_server: FakeOAuth, credentials: Any
) -> None:
    with AuthorizedSession(credentials) as session:
        for _ in range(3):
            assert session.get(oauth_server.resource_url).json()["sub"] == "u-robot"
            # The clock of an assertion is the client's: after an hour, each would be too old.
            oauth_server.clock.advance(300)
    sent = sent_to(oauth_server, "token")
    assert [exchange.reply["scope"] for exchange in sent] == [SCOPE] * 3


@trusted
def test_acts_for_a_user(oauth_server: FakeOAuth, credentials: Any) -> None:
    with AuthorizedSession(credentials.with_subject("alice")) as session:
        assert session.get(oauth_server.resource_url).json()["sub"] == "u-alice"


@trusted
@pytest.mark.oauth_server(issuer="https://oauth2.googleapis.com")
def test_needs_no_change_at_a_server_with_the_issuer_of_google(
    oauth_server: FakeOAuth, key_file: Path
) -> None:
    credentials = Credentials.from_service_account_file(key_file, scopes=[SCOPE])
    with AuthorizedSession(credentials) as session:
        assert session.get(oauth_server.resource_url).json()["sub"] == "u-robot"


@trusted
def test_is_told_that_its_assertion_is_for_google(
    oauth_server: FakeOAuth, key_file: Path, transport: Any
) -> None:
    credentials = Credentials.from_service_account_file(key_file, scopes=[SCOPE])
    with pytest.raises(RefreshError, match="invalid_grant") as refused:
        credentials.refresh(transport)
    assert not refused.value.retryable
    assert "aud: expected" in (oauth_server.journal[-1].reason or "")


@pytest.mark.parametrize(
    "auth_type",
    [
        ClientAuthType.request_body,
        # It doesn't form-encode the secret (RFC 6749 section 2.3.1).
        pytest.param(ClientAuthType.basic, marks=pytest.mark.oauth_server(accept_raw_basic=True)),
    ],
)
def test_exchanges_a_token(oauth_server: FakeOAuth, transport: Any, auth_type: Any) -> None:
    subject = oauth_server.issue_tokens(user="alice", client="phone").access_token
    client = sts.Client(oauth_server.token_url, ClientAuthentication(auth_type, "web", SECRET))
    found = client.exchange_token(
        transport,
        EXCHANGE,
        subject,
        f"{TYPE}:access_token",
        audience="service",
        scopes=["email"],
        requested_token_type=f"{TYPE}:access_token",
    )
    assert (found["token_type"], found["scope"]) == ("Bearer", "email")
    assert sent_to(oauth_server, "token")[-1].issued == ("alice/2 a1",)


@pytest.mark.oauth_server(accept_raw_basic=True)
def test_exchanges_the_token_of_a_workload(oauth_server: FakeOAuth, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(oauth_server.issue_tokens(user="alice", client="phone").id_token or "")
    credentials = identity_pool.Credentials.from_info(
        {
            "type": "external_account",
            "audience": "service",
            "subject_token_type": f"{TYPE}:id_token",
            "token_url": oauth_server.token_url,
            "credential_source": {"file": str(path)},
            "client_id": "web",
            "client_secret": SECRET,
        },
        scopes=["email"],
    )
    with AuthorizedSession(credentials) as session:
        assert session.get(oauth_server.resource_url).json()["sub"] == "u-alice"
