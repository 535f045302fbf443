"""The refresh grant's rules, by their numbers in the contract, without HTTP."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.model import Client, OwnTerms, PreconfiguredRefreshToken, User
from fake_oauth.provider.request import Credentials
from tests.support.client import claims
from tests.support.realms import (
    ALICE,
    NOW,
    PHONE,
    TOKEN,
    WEB,
    WEB_POST,
    Refusal,
    realm,
    refresh,
    refusal,
    response_to,
)

U = "https://datatracker.ietf.org/doc/html/rfc6749#section-5.2"
PHONE_ALONE = Credentials("none", "phone")


def refused(*arguments: object, **params: object) -> Refusal:
    with pytest.raises(OAuthError) as caught:
        refresh(*arguments, **params)  # type: ignore[arg-type]
    return refusal(caught.value)


def test_1_no_credentials_get_an_answer_without_a_body() -> None:
    error = refused(realm(), Credentials())
    assert response_to(error) == (None, None, "no client credentials")


def test_1_a_confidential_client_must_send_its_secret() -> None:
    error = refused(realm(), Credentials("none", "web"))
    assert response_to(error) == (
        None,
        None,
        "client web is confidential and sent no client_secret",
    )


def test_1b_a_public_client_may_refresh_with_its_client_id_alone() -> None:
    tokens = (replace(TOKEN, client="phone", scope="openid"),)
    assert refresh(realm(tokens=tokens), PHONE_ALONE).tokens.refresh_token == "R1"


@pytest.mark.parametrize("grant_type", ["nonsense", "", None])
def test_7_a_client_id_alone_is_nobody_where_the_grant_is_unknown(grant_type: str | None) -> None:
    assert refused(realm(), PHONE_ALONE, grant_type=grant_type).code is None


@pytest.mark.parametrize(
    ("clients", "credentials", "reason"),
    [
        ((WEB,), replace(WEB_POST, client_id="wep"), "client wep unknown"),
        ((WEB,), Credentials("none", "wep"), "client wep unknown"),
        ((replace(WEB, enabled=False),), WEB_POST, "client web disabled"),
        ((replace(PHONE, enabled=False), WEB), PHONE_ALONE, "client phone disabled"),
        ((WEB,), replace(WEB_POST, client_secret="no"), "client_secret does not match"),
        (
            (WEB,),
            Credentials("client_secret_basic", "web", "no"),
            "client_secret does not match",
        ),
        (
            (replace(WEB, token_endpoint_auth_methods=("client_secret_basic",)),),
            WEB_POST,
            "client web not registered for client_secret_post",
        ),
        (
            (PHONE, WEB),
            Credentials("client_secret_post", "phone", "x"),
            "client phone not registered for client_secret_post",
        ),
    ],
)
def test_2_a_client_that_is_not_proven_is_invalid(
    clients: tuple[Client, ...], credentials: Credentials, reason: str
) -> None:
    error = refused(realm(*clients), credentials)
    assert response_to(error) == ("invalid_client", None, reason)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(None, "grant_type missing"), (["refresh_token"] * 2, "grant_type sent 2 times")],
)
def test_6_grant_type_must_come_once(sent: list[str] | None, reason: str) -> None:
    error = refused(realm(), grant_type=sent)
    assert response_to(error) == ("invalid_request", "OAuth 2.0 Parameter: grant_type", reason)
    assert error.uri == U


@pytest.mark.parametrize("sent", ["", "Refresh_Token", "password "])
def test_7_a_grant_type_that_is_unknown_is_unsupported(sent: str) -> None:
    error = refused(realm(), grant_type=sent)
    assert (error.code, error.uri) == ("unsupported_grant_type", U)
    assert response_to(error)[1] == "OAuth 2.0 Parameter: grant_type"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (None, "refresh_token missing"),
        ("", "refresh_token blank"),
        ("  ", "refresh_token blank"),
        (["R1", "R1"], "refresh_token sent 2 times"),
    ],
)
def test_8_refresh_token_must_come_once(sent: str | list[str] | None, reason: str) -> None:
    error = refused(realm(), refresh_token=sent)
    assert response_to(error) == ("invalid_request", "OAuth 2.0 Parameter: refresh_token", reason)
    assert error.uri == U


def test_9_an_unknown_refresh_token_is_an_invalid_grant() -> None:
    assert response_to(refused(realm(), refresh_token="R2")) == (
        "invalid_grant",
        None,
        "refresh token unknown",
    )


def test_9_an_expired_refresh_token_is_an_invalid_grant() -> None:
    here = realm(tokens=(replace(TOKEN, lifetime_seconds=60),))
    here.clock.advance(59)
    refresh(here)
    here.clock.advance(13)
    assert response_to(refused(here)) == ("invalid_grant", None, "refresh token expired 12 s ago")


def test_a_seeded_refresh_token_has_no_expiry_unless_one_is_given() -> None:
    here = realm()
    here.clock.advance(10 * 365 * 86400)
    assert refresh(here).tokens.refresh_token == "R1"


def test_9_a_token_that_was_rotated_away_says_by_which_request() -> None:
    here = realm(terms=OwnTerms(refresh_policy="rotate"))
    refresh(here, number=7)
    error = refused(here, number=8)
    assert response_to(error) == ("invalid_grant", None, "refresh token rotated by request 7")


def test_10_a_refresh_token_of_another_client_makes_the_client_invalid_and_stays_valid() -> None:
    here = realm(WEB, replace(WEB, client_id="other"))
    error = refused(here, replace(WEB_POST, client_id="other"))
    assert response_to(error) == ("invalid_client", None, "refresh token belongs to client web")
    assert refresh(here).tokens.refresh_token == "R1"


def test_11_a_client_that_may_not_use_the_grant_is_unauthorized() -> None:
    here = realm(replace(WEB, grant_types=("authorization_code",)))
    error = refused(here)
    assert response_to(error) == (
        "unauthorized_client",
        None,
        "client web may not use grant_type refresh_token",
    )


def test_9_comes_before_10_and_10_before_11() -> None:
    here = realm(WEB, replace(WEB, client_id="other", grant_types=()))
    other = replace(WEB_POST, client_id="other")
    assert refused(here, other, refresh_token="R2").code == "invalid_grant"
    assert refused(here, other).code == "invalid_client"


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        ("openid phone", "scope 'phone' was not granted; granted: email openid profile"),
        ("openid  email", "scope has an extra space"),
        (" openid", "scope has an extra space"),
        ("openid ", "scope has an extra space"),
        ("openid\temail", "scope 'openid\\temail' was not granted; granted: email openid profile"),
    ],
)
def test_12_a_scope_that_is_wider_unknown_or_malformed_is_invalid(scope: str, reason: str) -> None:
    here = realm(terms=OwnTerms(refresh_policy="rotate"))
    assert response_to(refused(here, scope=scope)) == ("invalid_scope", None, reason)
    assert refresh(here).tokens.scope == "email openid profile", "nothing was spent"


def test_12_says_so_where_nothing_was_granted() -> None:
    here = realm(tokens=(replace(TOKEN, scope=""),))
    assert refused(here, scope="openid").reason == "scope 'openid' was not granted; granted: none"


def test_13_a_narrower_scope_narrows_this_reply_only() -> None:
    here = realm()
    narrowed = refresh(here, scope="profile email email").tokens
    assert narrowed.scope == "email profile"
    assert claims(narrowed.access_token)["scope"] == ["email", "profile"]
    assert narrowed.id_token is not None, "the grant had openid"
    assert refresh(here).tokens.scope == "email openid profile"


@pytest.mark.parametrize("blank", ["", " ", None])
def test_a_blank_scope_is_the_full_one(blank: str | None) -> None:
    assert refresh(realm(), scope=blank).tokens.scope == "email openid profile"


def test_14_scope_must_not_come_twice() -> None:
    error = refused(realm(), scope=["openid", "openid"])
    assert response_to(error) == (
        "invalid_request",
        "OAuth 2.0 Parameter: scope",
        "scope sent 2 times",
    )
    assert error.uri == U


def test_14_comes_before_9() -> None:
    error = refused(realm(), refresh_token="R2", scope=["openid", "openid"])
    assert error.code == "invalid_request"


def test_15_other_parameters_are_ignored_even_twice() -> None:
    assert refresh(realm(), nonsense=["a", "b"]).tokens.refresh_token == "R1"


def test_the_same_refresh_token_comes_back_and_its_expiry_does_not_slide() -> None:
    here = realm(tokens=(replace(TOKEN, lifetime_seconds=3600),))
    for _ in range(3):
        here.clock.advance(1000)
        granted = refresh(here)
        assert granted.tokens.refresh_token == "R1"
        assert granted.reason == "refreshed, same refresh token"
    here.clock.advance(1000)
    assert refused(here).reason == "refresh token expired 400 s ago"


def test_with_rotation_a_new_token_comes_with_its_full_lifetime() -> None:
    here = realm(terms=OwnTerms(refresh_policy="rotate", refresh_token_seconds=60))
    first = refresh(here)
    assert first.reason == "refreshed, refresh token rotated"
    assert first.tokens.refresh_token is not None
    assert len(first.tokens.refresh_token) == 128
    here.clock.advance(59)
    second = refresh(here, refresh_token=first.tokens.refresh_token)
    here.clock.advance(59)
    refresh(here, refresh_token=second.tokens.refresh_token, scope="email")
    assert refused(here).code == "invalid_grant"


def test_rotation_keeps_the_full_grant_behind_a_narrowed_reply() -> None:
    here = realm(terms=OwnTerms(refresh_policy="rotate"))
    narrowed = refresh(here, scope="email").tokens
    assert refresh(here, refresh_token=narrowed.refresh_token).tokens.scope == (
        "email openid profile"
    )


def test_a_client_may_rotate_where_the_others_do_not() -> None:
    here = realm(replace(WEB, refresh_policy="rotate"))
    assert refresh(here).tokens.refresh_token != "R1"
    here = realm(replace(WEB, refresh_policy="ciam"), terms=OwnTerms(refresh_policy="rotate"))
    assert refresh(here).tokens.refresh_token == "R1"


def test_lifetimes_are_the_documented_ones() -> None:
    tokens = refresh(realm()).tokens
    assert tokens.id_token is not None
    access, identity = claims(tokens.access_token), claims(tokens.id_token)
    assert (access["exp"] - access["iat"], identity["exp"] - identity["iat"]) == (300, 1800)
    assert (access["iat"], access["nbf"], tokens.expires_in) == (NOW, NOW, 299)


def test_lifetimes_are_settings_and_a_clients_own_come_first() -> None:
    terms = OwnTerms(access_token_seconds=10, id_token_seconds=20)
    tokens = refresh(realm(replace(WEB, id_token_seconds=30), terms=terms)).tokens
    assert tokens.id_token is not None
    access, identity = claims(tokens.access_token), claims(tokens.id_token)
    assert (access["exp"] - NOW, identity["exp"] - NOW, tokens.expires_in) == (10, 30, 9)


def test_without_openid_there_is_no_id_token() -> None:
    tokens = refresh(realm(tokens=(replace(TOKEN, scope="email"),))).tokens
    assert (tokens.id_token, tokens.scope) == (None, "email")


def test_without_any_scope_there_is_no_scope_at_all() -> None:
    tokens = refresh(realm(tokens=(replace(TOKEN, scope=""),))).tokens
    assert tokens.scope is None
    assert "scope" not in claims(tokens.access_token)


def test_extra_claims_come_after_the_documented_ones_in_the_order_given() -> None:
    alice = User(sub="u-alice", claims={"name": "Alice", "groups": ["a/b"]})
    web = replace(WEB, extra_claims={"tenant": 7, "name": "Web"})
    tokens = refresh(realm(web, users=(alice,), tokens=(replace(TOKEN, user="u-alice"),))).tokens
    assert tokens.id_token is not None
    documented = ["sub", "aud", "nbf", "scope", "iss", "exp", "iat", "jti"]
    assert list(claims(tokens.access_token)) == [*documented, "name", "groups", "tenant"]
    assert claims(tokens.id_token)["name"] == "Web"
    assert list(claims(tokens.id_token))[:7] == ["sub", "aud", "azp", "iss", "exp", "iat", "jti"]


def test_what_is_left_out_of_a_seeded_token_is_the_first_of_its_kind() -> None:
    here = realm(tokens=(PreconfiguredRefreshToken(value="R1"),), users=(ALICE, User(sub="bob")))
    tokens = refresh(here).tokens
    assert claims(tokens.access_token)["sub"] == "u-alice"
    assert tokens.scope == "email openid profile"
