"""The authorization code grant's rules, without HTTP: every case of the contract's table."""

from __future__ import annotations

import sys
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple

import pytest

from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.issuing import Granted, new_code
from fake_oauth.provider.model import Client, OwnTerms
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Credentials
from tests.support.client import claims
from tests.support.realms import (
    PHONE,
    WEB,
    WEB_POST,
    Refusal,
    granted,
    realm,
    refresh,
    refusal,
    response_to,
)

# The package has a function of the module's name.
authorization_code_grant = sys.modules["fake_oauth.provider.grants.authorization_code"]
CALLBACK = "https://example.com/callback"
VERIFIER = "correct-horse-battery-staple-correct-horse-battery"
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PHONE_ALONE = Credentials("none", "phone")
OTHER = replace(WEB, client_id="other")
OTHER_POST = replace(WEB_POST, client_id="other")


def code(of: Realm, client: Client = WEB, **said: Any) -> str:
    grant = of.store.open_grant(client.client_id, "u-alice", ["openid"])
    asked = {"redirect_uri": CALLBACK, "code_challenge": None, "nonce": None, **said}
    return new_code(of, grant, **asked)


def exchange(
    of: Realm, value: str, credentials: Credentials = WEB_POST, **params: str | list[str] | None
) -> Granted:
    asked = {"grant_type": "authorization_code", "code": value, "redirect_uri": CALLBACK, **params}
    return granted(of, credentials, asked, number=3)


def refused(*arguments: Any, **params: Any) -> Refusal:
    with pytest.raises(OAuthError) as caught:
        exchange(*arguments, **params)
    return refusal(caught.value)


def test_a_code_buys_all_three_tokens_and_is_spent() -> None:
    here = realm()
    value = code(here)
    tokens = exchange(here, value).tokens
    assert tokens.refresh_token is not None
    assert tokens.id_token is not None
    assert claims(tokens.access_token)["sub"] == "u-alice"
    error = refused(here, value)
    assert response_to(error) == ("invalid_grant", None, "code used by request 3")


def test_the_refresh_token_that_it_buys_is_good() -> None:
    here = realm()
    tokens = exchange(here, code(here)).tokens
    assert refresh(here, refresh_token=tokens.refresh_token).tokens.scope == "openid"


def test_a_nonce_is_in_the_id_token_before_the_jti_and_never_comes_on_refresh() -> None:
    here = realm()
    tokens = exchange(here, code(here, nonce="N")).tokens
    assert tokens.id_token is not None
    assert list(claims(tokens.id_token))[-2:] == ["nonce", "jti"]
    again = refresh(here, refresh_token=tokens.refresh_token).tokens
    assert again.id_token is not None
    assert "nonce" not in claims(again.id_token)


def test_a_client_that_may_not_refresh_gets_no_refresh_token() -> None:
    here = realm(replace(WEB, grant_types=["authorization_code"]))
    assert exchange(here, code(here)).tokens.refresh_token is None


class Kind(NamedTuple):
    """A kind of client, how it asks, and what it is response_to of a code that is no good."""

    client: Client
    credentials: Credentials
    challenge: str | None
    params: dict[str, str]
    expected: str

    def code(self, of: Realm) -> str:
        return code(of, self.client, code_challenge=self.challenge)

    def exchange(self, of: Realm, value: str, **params: str | None) -> Granted:
        return exchange(of, value, self.credentials, **self.params, **params)

    def refused(self, of: Realm, value: str, **params: str | None) -> str:
        """Why; the code is the expected one."""
        error = refused(of, value, self.credentials, **self.params, **params)
        assert error.code == self.expected
        return error.reason


CONFIDENTIAL = Kind(WEB, WEB_POST, None, {}, "invalid_grant")
PUBLIC = Kind(PHONE, PHONE_ALONE, CHALLENGE, {"code_verifier": VERIFIER}, "invalid_client")


@pytest.mark.parametrize("kind", [CONFIDENTIAL, PUBLIC], ids=["confidential", "public"])
class TestByKindOfClient:
    def test_an_unknown_code(self, kind: Kind) -> None:
        assert kind.refused(realm(), "nonsense") == "code unknown"

    def test_an_expired_code(self, kind: Kind) -> None:
        here = realm()
        value = kind.code(here)
        here.clock.advance(301)
        assert kind.refused(here, value) == "code expired 1 s ago"

    def test_a_code_that_was_used(self, kind: Kind) -> None:
        here = realm()
        value = kind.code(here)
        kind.exchange(here, value)
        assert kind.refused(here, value) == "code used by request 3"

    def test_another_redirect_uri_spends_nothing(self, kind: Kind) -> None:
        here = realm()
        value = kind.code(here)
        for wrong in (f"{CALLBACK}/", None):
            reason = kind.refused(here, value, redirect_uri=wrong)
            assert reason == f"redirect_uri is not {CALLBACK}, where the code was sent"
        assert kind.exchange(here, value).tokens.scope == "openid"


@pytest.mark.parametrize(
    ("owner", "thief", "params"),
    [(WEB, OTHER_POST, {}), (OTHER, PHONE_ALONE, {"code_verifier": VERIFIER})],
)
def test_c_a_code_of_another_client_is_dead_from_then_on(
    owner: Client, thief: Credentials, params: dict[str, str]
) -> None:
    here = realm(WEB, OTHER, PHONE)
    value = code(here, owner)
    error = refused(here, value, thief, **params)
    assert response_to(error) == (
        "invalid_client",
        None,
        f"code belongs to client {owner.client_id}",
    )
    late = refused(here, value, replace(WEB_POST, client_id=owner.client_id))
    assert response_to(late) == (
        "invalid_grant",
        None,
        f"code presented by client {thief.client_id} in request 3",
    )


def test_a_code_whose_request_had_no_redirect_uri_takes_any() -> None:
    here = realm()
    assert exchange(here, code(here, redirect_uri=None), redirect_uri=None)
    assert exchange(here, code(here, redirect_uri=None), redirect_uri="https://other.example")


@pytest.mark.parametrize(
    ("challenge", "verifier", "reason"),
    [
        (CHALLENGE, "wrong", "code_verifier does not match the code_challenge"),
        (CHALLENGE, None, "code_verifier missing, but a code_challenge was sent"),
        (None, VERIFIER, "code_verifier sent, but no code_challenge before it"),
    ],
)
def test_a_verifier_must_match_its_challenge_and_nothing_is_spent(
    challenge: str | None, verifier: str | None, reason: str
) -> None:
    here = realm()
    value = code(here, code_challenge=challenge)
    error = refused(here, value, code_verifier=verifier)
    assert response_to(error) == ("invalid_client", None, reason)
    good = VERIFIER if challenge else None
    assert exchange(here, value, code_verifier=good).tokens.scope == "openid"


def test_a_public_client_without_a_verifier_is_nobody() -> None:
    here = realm()
    error = refused(here, code(here, PHONE), PHONE_ALONE)
    assert response_to(error) == (None, None, "client phone is public and sent no code_verifier")


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (Credentials(), "no client_id with the code_verifier"),
        (Credentials("none", "nobody"), "client nobody unknown"),
    ],
)
def test_a_verifier_without_a_known_client_is_an_invalid_request(
    credentials: Credentials, reason: str
) -> None:
    here = realm()
    error = refused(here, code(here, PHONE), credentials, code_verifier=VERIFIER)
    assert response_to(error) == ("invalid_request", None, reason)


def test_without_a_verifier_a_missing_client_is_nobody() -> None:
    here = realm()
    assert refused(here, code(here), Credentials()).code is None


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("code", None),
        ("code", " "),
        ("code", ["a", "b"]),
        ("redirect_uri", ["a", "b"]),
        ("code_verifier", ["a", "b"]),
    ],
)
def test_parameters_are_judged_before_the_code(name: str, sent: str | list[str] | None) -> None:
    params: dict[str, Any] = {"grant_type": "authorization_code", "code": "x", name: sent}
    with pytest.raises(OAuthError) as caught:
        granted(realm(), WEB_POST, params)
    assert refusal(caught.value).code == "invalid_request"
    assert refusal(caught.value).description == f"OAuth 2.0 Parameter: {name}"


def test_a_client_that_may_not_use_codes_is_unauthorized() -> None:
    here = realm(replace(WEB, grant_types=["refresh_token"]))
    assert refused(here, code(here)).code == "unauthorized_client"


@pytest.mark.parametrize("revokes", [False, True])
def test_reuse_of_a_code_leaves_its_tokens_alone_unless_asked_otherwise(revokes: bool) -> None:  # noqa: FBT001
    here = realm(terms=OwnTerms(revoke_on_code_reuse=revokes))
    value = code(here)
    tokens = exchange(here, value).tokens
    refused(here, value)
    if revokes:
        with pytest.raises(OAuthError) as caught:
            refresh(here, refresh_token=tokens.refresh_token)
        assert caught.value.reason == "refresh token revoked by request 3"
    else:
        assert refresh(here, refresh_token=tokens.refresh_token)


def test_a_reuse_before_the_tokens_are_issued_revokes_them_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = realm(terms=OwnTerms(revoke_on_code_reuse=True))
    value = code(here)
    issue = authorization_code_grant.first_tokens

    def after_a_reuse(*arguments: Any, **options: Any) -> Granted:
        assert refused(here, value).code == "invalid_grant"
        issued: Granted = issue(*arguments, **options)
        return issued

    monkeypatch.setattr(authorization_code_grant, "first_tokens", after_a_reuse)
    tokens = exchange(here, value).tokens
    monkeypatch.undo()
    assert tokens.refresh_token is not None
    with pytest.raises(OAuthError, match="revoked by request"):
        refresh(here, refresh_token=tokens.refresh_token)
