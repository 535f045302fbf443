"""Which claims of a user a client learns, in userinfo and in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import Client, FakeOAuth, Settings, User
from fake_oauth.dialects import RFC
from fake_oauth.provider.claims import CLAIMS
from fake_oauth.provider.issuing import first_tokens, log_in
from fake_oauth.provider.model import OwnTerms
from tests.support.client import claims
from tests.support.realms import ALICE as REALMS_ALICE
from tests.support.realms import WEB, realm

ADDRESS = {"country": "SE"}
ALICE = User(
    sub="u-alice",
    username="alice",
    email="alice@example.com",
    phone="+46 1",
    claims={
        "tenant": 7,
        "name": "Alice",
        "updated_at": 1_700_000_000,
        "address": ADDRESS,
        "email_verified": True,
        "phone_number_verified": False,
    },
)
SCOPES = ("openid", "profile", "email", "address", "phone")
EMAIL = {"email": "alice@example.com", "email_verified": True}
PROFILE = {"name": "Alice", "updated_at": 1_700_000_000}
PHONE = {"phone_number": "+46 1", "phone_number_verified": False}
# Names that every token has; the others are the user's.
REGISTERED = {"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "auth_time", "at_hash"} | {
    "nonce",
    "scope",
    "client_id",
}


def server(dialect: str = "rfc", user: User = ALICE, **settings: Any) -> FakeOAuth:
    client = Client(client_id="web", client_secret="s", **{"scopes": SCOPES} | settings)
    return FakeOAuth(
        Settings(dialect=dialect, users=[user], clients=[client], refresh_tokens=[], seed=0)
    )


def userinfo(fake: FakeOAuth, access_token: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {access_token}"}
    members: dict[str, Any] = WSGIClient(fake).get("/userinfo", headers=headers).get_json()
    return members


def of_user(token: str | None) -> dict[str, Any]:
    """Return the claims that the user brings into a token."""
    return {n: value for n, value in claims(token or "").items() if n not in REGISTERED}


@pytest.mark.parametrize(
    ("scopes", "released"),
    [
        (["openid"], {}),
        (["openid", "email"], EMAIL),
        (["openid", "profile"], PROFILE),
        (["openid", "address"], {"address": ADDRESS}),
        (["openid", "phone"], PHONE),
        (SCOPES, {**EMAIL, **PROFILE, **PHONE, "address": ADDRESS}),
    ],
)
def test_userinfo_has_the_claims_of_the_granted_scopes(
    scopes: Sequence[str], released: dict[str, Any]
) -> None:
    fake = server()
    token = fake.issue_tokens(scope=" ".join(scopes)).access_token
    assert userinfo(fake, token) == {"sub": "u-alice", "tenant": 7, **released}


def test_sub_comes_first_and_the_others_in_the_users_order() -> None:
    fake = server()
    assert list(userinfo(fake, fake.issue_tokens().access_token)) == [
        "sub",
        "email",
        "phone_number",
        "tenant",
        "name",
        "updated_at",
        "address",
        "email_verified",
        "phone_number_verified",
    ]


def test_nobody_says_that_an_email_address_is_verified_but_the_users_claims() -> None:
    fake = server(user=User(sub="bob", email="bob@example.com"))
    token = fake.issue_tokens().access_token
    assert userinfo(fake, token) == {"sub": "bob", "email": "bob@example.com"}


def test_after_a_narrower_refresh_userinfo_has_the_claims_of_the_narrower_scope() -> None:
    fake = server()
    browser = WSGIClient(fake)
    form = {"grant_type": "refresh_token", "client_id": "web", "client_secret": "s"}
    form["refresh_token"] = fake.issue_tokens().refresh_token or ""
    narrow = browser.post("/token", data={**form, "scope": "openid email"}).get_json()
    assert userinfo(fake, narrow["access_token"]) == {"sub": "u-alice", "tenant": 7, **EMAIL}
    wide = browser.post("/token", data=form).get_json()
    assert "name" in userinfo(fake, wide["access_token"])


def test_the_list_of_the_client_still_applies() -> None:
    fake = server(claims=["name", "email", "tenant"], scopes=["openid", "email"])
    token = fake.issue_tokens().access_token
    assert userinfo(fake, token) == {"sub": "u-alice", "email": EMAIL["email"], "tenant": 7}


def test_ciam_releases_every_claim_whatever_the_scope() -> None:
    fake = server("ciam")
    tokens = fake.issue_tokens(scope="openid")
    told = userinfo(fake, tokens.access_token)
    assert told == {"sub": "u-alice", "email": EMAIL["email"], "phone_number": "+46 1"} | dict(
        ALICE.claims
    )
    assert of_user(tokens.access_token) == of_user(tokens.id_token) == ALICE.claims


def test_tokens_have_the_claims_that_no_scope_names() -> None:
    tokens = server(extra_claims={"plan": "pro"}).issue_tokens()
    assert of_user(tokens.access_token) == {"tenant": 7, "plan": "pro"}
    assert of_user(tokens.id_token) == {"tenant": 7, "plan": "pro"}


@pytest.mark.parametrize("dialect", ["rfc", "ciam"])
def test_an_id_token_can_have_the_claims_of_userinfo(dialect: str) -> None:
    fake = server(dialect, claims_in_id_token=True, extra_claims={"plan": "pro"})
    tokens = fake.issue_tokens(scope="openid phone")
    told = userinfo(fake, tokens.access_token)
    del told["sub"]
    assert of_user(tokens.id_token) == {**told, "plan": "pro"}
    assert ("name" in told) == (dialect == "ciam")
    expected = dict(ALICE.claims) if dialect == "ciam" else {"tenant": 7}
    assert of_user(tokens.access_token) == {**expected, "plan": "pro"}


def test_ciam_can_leave_the_standard_claims_out_of_the_id_token() -> None:
    tokens = server("ciam", claims_in_id_token=False).issue_tokens()
    assert of_user(tokens.id_token) == {"tenant": 7}
    assert of_user(tokens.access_token) == ALICE.claims


def test_the_server_decides_unless_the_client_does() -> None:
    fake = server()
    changed = FakeOAuth(fake.settings.changed(claims_in_id_token=True))
    assert "name" in claims(changed.issue_tokens().id_token or "")
    own = [Client(client_id="web", scopes=SCOPES, claims_in_id_token=False)]
    changed = FakeOAuth(fake.settings.changed(claims_in_id_token=True, clients=own))
    assert "name" not in claims(changed.issue_tokens().id_token or "")


def test_a_user_who_is_deleted_meanwhile_has_no_claims() -> None:
    here = realm(dialect=RFC(), terms=OwnTerms(claims_in_id_token=True))
    grant = log_in(here, WEB, REALMS_ALICE, WEB.scopes)
    here.replace_users([])
    tokens = first_tokens(here, grant).tokens
    assert of_user(tokens.access_token) == of_user(tokens.id_token) == {}


def test_the_metadata_name_what_the_scopes_of_the_clients_can_release() -> None:
    assert server(scopes=["openid"]).metadata()["claims_supported"] == ["sub", "tenant"]
    some = server(scopes=["openid", "address", "email"]).metadata()["claims_supported"]
    assert some == ["sub", "email", "address", "email_verified", "tenant"]


def test_every_claim_belongs_to_one_scope() -> None:
    names = [claim for of_scope in CLAIMS.values() for claim in of_scope]
    assert len(names) == len(set(names)) == 19
