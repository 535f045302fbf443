"""What may happen to a refresh token, policy by policy, where the rules live."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count
from time import sleep
from typing import Any

import pytest

from fake_oauth import (
    ALL_POLICIES,
    Client,
    FakeOAuth,
    RefreshPolicy,
    Settings,
    SettingsError,
    User,
)
from fake_oauth.provider import issuing, store
from fake_oauth.provider.bearer import inspect, userinfo
from fake_oauth.provider.errors import BearerError, OAuthError
from fake_oauth.provider.issuing import first_tokens, log_in
from fake_oauth.provider.model import OwnTerms
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Credentials, SentToken
from fake_oauth.provider.store import RefreshToken, RefreshTokens
from fake_oauth.provider.tokens import TokenSet
from tests.support.realms import ALICE, NOW, TOKEN, WEB, WEB_POST, realm, refresh, refusal

SINGLE = Client(client_id="spa", scopes=("openid",))
SINGLE_NONE = Credentials("none", "spa")
DAY = 86400


def here(policy: RefreshPolicy | str, **terms: Any) -> Realm:
    return realm(WEB, SINGLE, tokens=(), terms=OwnTerms(refresh_policy=policy, **terms))


def first(of: Realm, client: Client = WEB) -> TokenSet:
    return first_tokens(of, log_in(of, client, ALICE, client.scopes)).tokens


def used(of: Realm, token: str | None, credentials: Credentials = WEB_POST, number: int = 1) -> str:
    """The refresh token to use after a refresh with this one."""
    given = refresh(of, credentials, number, refresh_token=token).tokens.refresh_token
    following = token if given is None else given
    assert following is not None
    return following


def refused(of: Realm, token: str | None, credentials: Credentials = WEB_POST) -> str:
    """Why a refresh with this token is refused."""
    with pytest.raises(OAuthError) as caught:
        refresh(of, credentials, 9, refresh_token=token)
    assert refusal(caught.value).code == "invalid_grant"
    return caught.value.reason


def reason(of: Realm, token: str | None) -> str:
    """What the journal says of a refresh with this token."""
    return refresh(of, refresh_token=token).reason


def why(of: Realm, tokens: TokenSet) -> str | None:
    """Why the access token of a response is not valid; None if it is."""
    return inspect(of, tokens.access_token, of.clock.now()).flaw


def is_good(of: Realm, access_token: str) -> bool:
    try:
        return bool(userinfo(of, SentToken(value=access_token)))
    except BearerError:
        return False


@pytest.mark.parametrize("name", ALL_POLICIES)
def test_every_preset_serves_a_refresh_and_another_with_what_it_gave(name: str) -> None:
    of = here(name)
    for client, credentials in ((WEB, WEB_POST), (SINGLE, SINGLE_NONE)):
        token = first(of, client).refresh_token
        for _ in range(3):
            of.clock.advance(60)
            token = used(of, token, credentials)


@pytest.mark.parametrize("name", ALL_POLICIES)
def test_no_preset_has_a_problem(name: str) -> None:
    assert list(ALL_POLICIES[name].problems()) == []


def test_the_presets_have_the_numbers_of_their_sources() -> None:
    """The numbers are those that the comments in `policies` quote."""
    public = RefreshPolicy(
        rotate=True,
        on_replay="revoke",
        grace_seconds=30,
        grace_after_use=True,
        idle_seconds=604_800,
    )
    counted = RefreshPolicy(return_unchanged=False, revoke_access_tokens=False)
    assert {
        "ciam": RefreshPolicy(),
        "rotate": RefreshPolicy(rotate=True),
        "rfc9700": RefreshPolicy(rotate=True, on_replay="revoke"),
        "keycloak": RefreshPolicy(
            rotate=True, keep_old=True, idle_seconds=1800, absolute_seconds=36_000
        ),
        "auth0": RefreshPolicy(
            rotate=True,
            on_replay="revoke",
            revoke_access_tokens=False,
            idle_seconds=2_592_000,
            absolute_seconds=2_592_000,
        ),
        "okta": RefreshPolicy(idle_seconds=604_800, public=public),
        "dex": RefreshPolicy(
            rotate=True,
            grace_seconds=3,
            grace_gives="successor",
            idle_seconds=7_776_000,
            absolute_seconds=14_256_000,
        ),
        "entra": RefreshPolicy(rotate=True, keep_old=True, idle_seconds=7_776_000),
        "github": RefreshPolicy(rotate=True, end_old_access_tokens=True, idle_seconds=15_811_200),
        "hydra": RefreshPolicy(
            rotate=True, on_replay="revoke", end_old_access_tokens=True, idle_seconds=2_592_000
        ),
        "shopify": RefreshPolicy(rotate=True, grace_seconds=2_592_000, idle_seconds=7_776_000),
        "cognito": RefreshPolicy(
            rotate=True, grace_seconds=60, grace_after_use=True, absolute_seconds=2_592_000
        ),
        "intuit": RefreshPolicy(
            rotate=True,
            rotate_after_seconds=86_400,
            idle_seconds=8_640_000,
            absolute_seconds=157_680_000,
        ),
        "google": replace(counted, max_families=100, idle_seconds=15_811_200),
        "zoho": replace(counted, max_families=20),
        "fapi2": RefreshPolicy(
            rotate=True,
            rotate_after_seconds=86_400,
            grace_seconds=3600,
            idle_seconds=7_776_000,
        ),
    } == ALL_POLICIES


def test_the_default_is_the_documented_one() -> None:
    of = realm(WEB, tokens=())
    assert of.policy(WEB) == RefreshPolicy.CIAM == RefreshPolicy()


def test_a_replay_is_refused_and_nothing_more() -> None:
    of = here(RefreshPolicy(rotate=True))
    token = first(of).refresh_token
    successor = used(of, token)
    assert refused(of, token) == "refresh token rotated by request 1"
    used(of, successor)


def test_a_replay_revokes_the_whole_family_and_no_other() -> None:
    of = here(RefreshPolicy.RFC9700)
    tokens, other = first(of), first(of)
    second = used(of, tokens.refresh_token)
    third = used(of, second, number=2)
    assert refused(of, tokens.refresh_token) == (
        "refresh token rotated by request 1, and this replay revokes its family"
    )
    assert refused(of, third) == "refresh token revoked by a replay in request 9"
    assert refused(of, second) == (
        "refresh token rotated by request 2, and its family revoked by a replay in request 9"
    )
    assert not is_good(of, tokens.access_token)
    assert is_good(of, other.access_token)
    used(of, other.refresh_token)


def test_access_tokens_may_outlive_their_family() -> None:
    of = here(RefreshPolicy.AUTH0)
    tokens = first(of)
    used(of, tokens.refresh_token)
    refused(of, tokens.refresh_token)
    assert is_good(of, tokens.access_token)


def test_a_replay_by_another_client_revokes_nothing() -> None:
    of = here(RefreshPolicy.RFC9700)
    token = first(of).refresh_token
    successor = used(of, token)
    assert refused(of, token, SINGLE_NONE) == "refresh token rotated by request 1"
    used(of, successor)


def test_within_its_grace_a_spent_token_gets_a_sibling() -> None:
    of = here(RefreshPolicy(rotate=True, on_replay="revoke", grace_seconds=30))
    token = first(of).refresh_token
    older = used(of, token)
    of.clock.advance(29)
    younger = used(of, token)
    assert len({token, older, younger}) == 3
    used(of, younger)
    assert "this replay revokes its family" in refused(of, token)
    assert refused(of, older) == "refresh token revoked by a replay in request 9"


def test_both_siblings_are_good() -> None:
    of = here(RefreshPolicy(rotate=True, grace_seconds=30))
    token = first(of).refresh_token
    older, younger = used(of, token), used(of, token)
    used(of, older)
    used(of, younger)


def test_within_its_grace_a_spent_token_gets_its_successor_again() -> None:
    of = here(RefreshPolicy.DEX)
    token = first(of).refresh_token
    successor = used(of, token)
    assert used(of, token) == successor
    of.clock.advance(3)
    assert refused(of, token) == "refresh token rotated by request 1"
    used(of, successor)


def test_a_grace_ends_with_the_first_use_of_the_successor() -> None:
    of = here(RefreshPolicy.DEX)
    token = first(of).refresh_token
    used(of, used(of, token))
    refused(of, token)


def test_a_spent_token_can_be_good_until_its_successor_is_used() -> None:
    of = here(RefreshPolicy(rotate=True, until_successor_used=True), refresh_token_seconds=DAY)
    token = first(of).refresh_token
    used(of, token)
    of.clock.advance(3600)
    successor = used(of, token)
    used(of, successor)
    refused(of, token)


def test_a_grace_period_can_last_until_the_successor_is_used_but_not_longer_than_its_time() -> None:
    of = here(RefreshPolicy.SHOPIFY)
    token = first(of).refresh_token
    used(of, token)
    of.clock.advance(30 * DAY - 1)
    second = used(of, token)
    of.clock.advance(1)
    assert refused(of, token) == "refresh token rotated by request 1"
    third = used(of, second, number=2)
    used(of, third, number=3)
    assert refused(of, second) == "refresh token rotated by request 2"


def test_a_grace_period_can_end_by_time_alone() -> None:
    of = here(RefreshPolicy.COGNITO)
    token = first(of).refresh_token
    second = used(of, token)
    third = used(of, second)
    of.clock.advance(59)
    assert reason(of, token) == "refreshed again, another successor"
    used(of, used(of, token))
    assert reason(of, token) == "refreshed again, another successor"
    assert reason(of, second) == "refreshed again, another successor"
    of.clock.advance(1)
    assert refused(of, token) == "refresh token rotated by request 1"
    used(of, third)


def test_a_spent_token_is_known_for_its_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT", 2)
    of = here(RefreshPolicy.COGNITO)
    token = last = first(of).refresh_token
    for _ in range(9):
        last = used(of, last)
    used(of, used(of, token))
    for _ in range(40):
        of.clock.advance(60)
        last = used(of, last)
    assert refused(of, token) == "refresh token unknown"


def test_old_tokens_that_stay_valid_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT", 2)
    monkeypatch.setattr(store, "KEPT_BESIDE", 3)
    of = here(RefreshPolicy.ENTRA)
    token = first(of).refresh_token
    last, *_, oldest_known = [used(of, token) for _ in range(9)][::-1][:5]
    assert len(of.store.refresh_tokens) == 1 + 3 + 2
    for known in (oldest_known, last):
        used(of, known)


def test_the_tokens_of_a_grace_period_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT", 2)
    monkeypatch.setattr(store, "KEPT_BESIDE", 3)
    of = here(RefreshPolicy.SHOPIFY)
    token = first(of).refresh_token
    last = [used(of, token) for _ in range(9)][-1]
    assert len(of.store.refresh_tokens) == 2 + 3 + 2
    used(of, last)


def test_a_grace_period_by_time_can_go_on_until_the_successor_is_used() -> None:
    policy = RefreshPolicy(
        rotate=True, grace_seconds=60, grace_after_use=True, until_successor_used=True
    )
    of = here(policy)
    token = first(of).refresh_token
    second = used(of, token)
    of.clock.advance(61)
    second = used(of, token)
    used(of, second)
    assert refused(of, token) == "refresh token rotated by request 1"


def test_a_replay_in_the_grace_period_can_get_an_access_token_alone() -> None:
    of = here(RefreshPolicy(rotate=True, grace_seconds=30, grace_gives="access_token"))
    tokens = first(of)
    successor = used(of, tokens.refresh_token)
    of.clock.advance(29)
    granted = refresh(of, refresh_token=tokens.refresh_token)
    assert granted.tokens.refresh_token is None
    assert [token.name for token in granted.issued] == ["alice/1 a3"]
    assert granted.reason == "refreshed again, without a refresh token"
    assert is_good(of, granted.tokens.access_token)
    assert of.store.named("alice/1 r3") is None
    used(of, successor)
    refused(of, tokens.refresh_token)


def test_the_old_token_can_stay_valid() -> None:
    of = here(RefreshPolicy.KEYCLOAK)
    token = first(of).refresh_token
    of.clock.advance(60)
    assert reason(of, token) == "refreshed, new refresh token, and the old one stays valid"
    second, third = used(of, token), used(of, token)
    assert len({token, second, third}) == 3
    fourth = used(of, second)
    for valid in (token, second, third, fourth):
        used(of, valid)
    of.clock.advance(1740)
    assert refused(of, token) == "refresh token expired 0 s ago", "it has its own lifetime"
    used(of, second)


def test_an_old_token_that_stays_valid_ends_with_its_family() -> None:
    of = here(RefreshPolicy.ENTRA)
    token = first(of).refresh_token
    second = of.store.refresh_tokens.find(used(of, token))
    assert second is not None
    of.store.revoke_grant(second.grant, "revoked by request 5")
    assert refused(of, token) == "refresh token revoked by request 5"


def test_a_refresh_can_end_the_earlier_access_tokens() -> None:
    of = here(RefreshPolicy.GITHUB)
    other, tokens = first(of), first(of)
    second = refresh(of, number=1, refresh_token=tokens.refresh_token)
    assert second.reason == "refreshed, refresh token rotated, and earlier access tokens ended"
    third = refresh(of, number=2, refresh_token=second.tokens.refresh_token)
    assert [why(of, of_one) for of_one in (tokens, second.tokens, third.tokens, other)] == [
        "access token ended by an earlier refresh",
        "access token ended by request 2",
        None,
        None,
    ]


def test_a_refresh_that_is_refused_ends_no_access_token() -> None:
    of = here(RefreshPolicy(rotate=True, end_old_access_tokens=True))
    tokens = first(of)
    second = refresh(of, refresh_token=tokens.refresh_token).tokens
    refused(of, tokens.refresh_token)
    with pytest.raises(OAuthError):
        refresh(of, refresh_token=second.refresh_token, scope="unknown")
    assert why(of, second) is None


def test_a_token_can_rotate_by_its_age() -> None:
    of = here(RefreshPolicy.INTUIT)
    token = first(of).refresh_token
    of.clock.advance(DAY - 1)
    assert reason(of, token) == "refreshed, same refresh token"
    of.clock.advance(1)
    second = used(of, token)
    assert second != token
    assert refused(of, token) == "refresh token rotated by request 1"
    of.clock.advance(DAY - 1)
    assert used(of, second) == second
    of.clock.advance(1)
    assert used(of, second) != second


def test_a_rotation_without_an_age_does_not_depend_on_the_clock() -> None:
    of = here("rotate")
    token = first(of).refresh_token
    of.clock.advance(-60)
    assert used(of, token) != token


def test_a_client_of_fapi_2_can_retry_a_rare_rotation() -> None:
    of = here(RefreshPolicy.FAPI2)
    token = first(of).refresh_token
    assert used(of, token) == token
    of.clock.advance(DAY)
    lost = used(of, token)
    of.clock.advance(3599)
    retried = used(of, token)
    assert len({token, lost, retried}) == 3
    assert used(of, retried) == retried
    assert refused(of, token) == "refresh token rotated by request 1"


def test_beyond_a_number_of_families_the_oldest_is_revoked() -> None:
    of = here(RefreshPolicy(max_families=2))
    tokens = [first(of) for _ in range(3)]
    assert refused(of, tokens[0].refresh_token) == (
        "refresh token revoked at login alice/3, because a user has at most 2 families"
    )
    assert not is_good(of, tokens[0].access_token)
    for one in tokens[1:]:
        used(of, one.refresh_token)


def test_a_further_login_can_leave_the_access_tokens_of_the_oldest_family() -> None:
    of = here(RefreshPolicy.ZOHO)
    tokens = [first(of) for _ in range(21)]
    refused(of, tokens[0].refresh_token)
    assert is_good(of, tokens[0].access_token)
    used(of, tokens[1].refresh_token)


def test_families_of_other_users_and_clients_and_those_that_ended_do_not_count() -> None:
    bob = User(sub="u-bob", username="bob")
    terms = OwnTerms(refresh_policy=RefreshPolicy(rotate=True, max_families=2, idle_seconds=60))
    of = realm(WEB, SINGLE, tokens=(TOKEN,), users=(ALICE, bob), terms=terms)
    oldest = used(of, "R1")
    first_tokens(of, log_in(of, WEB, bob, WEB.scopes))
    first(of, SINGLE)
    second = first(of).refresh_token
    of.clock.advance(59)
    oldest = used(of, oldest)
    of.clock.advance(1)
    refused(of, second)
    third = first(of).refresh_token
    oldest = used(of, oldest)
    first(of)
    assert "at login alice/4" in refused(of, oldest)
    used(of, third)


def test_a_preconfigured_token_counts_as_a_family() -> None:
    terms = OwnTerms(refresh_policy=RefreshPolicy(max_families=1))
    of = realm(WEB, tokens=(TOKEN, replace(TOKEN, value="R2")), terms=terms)
    assert refused(of, "R1") == (
        "refresh token revoked at login alice/preconfigured2, because a user has at most 1 families"
    )
    used(of, "R2")


def test_a_spent_token_is_not_taken_beyond_its_own_life_or_after_a_revocation() -> None:
    policy = RefreshPolicy(rotate=True, until_successor_used=True)
    of = here(policy, refresh_token_seconds=60)
    token = first(of).refresh_token
    used(of, token)
    of.clock.advance(60)
    refused(of, token)

    of = here(policy)
    token = first(of).refresh_token
    record = of.store.refresh_tokens.find(used(of, token))
    assert record is not None
    of.store.revoke_grant(record.grant, "revoked by request 5")
    assert refused(of, token) == (
        "refresh token rotated by request 1, and its family revoked by request 5"
    )


def test_a_family_ends_when_it_is_not_used() -> None:
    for policy in (RefreshPolicy(idle_seconds=60), RefreshPolicy(rotate=True, idle_seconds=60)):
        of = here(policy)
        token: str | None = first(of).refresh_token
        for _ in range(3):
            of.clock.advance(59)
            token = used(of, token)
        of.clock.advance(60)
        assert refused(of, token) == "refresh token expired 0 s ago"


def test_a_family_ends_when_its_time_is_over() -> None:
    for policy in (
        RefreshPolicy(absolute_seconds=100, idle_seconds=60),
        RefreshPolicy(rotate=True, absolute_seconds=100),
    ):
        of = here(policy)
        token: str | None = first(of).refresh_token
        for _ in range(3):
            of.clock.advance(33)
            token = used(of, token)
        of.clock.advance(1)
        assert refused(of, token) == "refresh token expired 0 s ago"


def test_without_lifetimes_of_its_own_the_settings_say_how_long_a_token_lives() -> None:
    of = here(RefreshPolicy(), refresh_token_seconds=60)
    token = first(of).refresh_token
    of.clock.advance(59)
    used(of, token)
    of.clock.advance(1)
    refused(of, token)

    of = here(RefreshPolicy(sliding=True), refresh_token_seconds=60)
    token = first(of).refresh_token
    for _ in range(3):
        of.clock.advance(59)
        assert used(of, token) == token


def test_a_reply_can_leave_out_what_has_not_changed() -> None:
    of = here(RefreshPolicy(return_unchanged=False))
    token = first(of).refresh_token
    for _ in range(2):
        assert refresh(of, refresh_token=token).tokens.refresh_token is None


def test_public_clients_can_be_treated_otherwise() -> None:
    of = here(RefreshPolicy.OKTA)
    token, public = first(of).refresh_token, first(of, SINGLE).refresh_token
    assert used(of, token) == token
    assert used(of, public, SINGLE_NONE) != public


def test_a_clients_own_policy_comes_before_the_settings() -> None:
    own = replace(WEB, refresh_policy="ciam")
    of = realm(own, SINGLE, tokens=(), terms=OwnTerms(refresh_policy="rotate"))
    assert not of.policy(own).rotate
    assert of.policy(SINGLE).rotate
    both = replace(own, refresh_policy="rotate")
    assert realm(both, tokens=()).policy(both).rotate


THREADS, REPETITIONS = 32, 200
OUTCOMES: list[tuple[RefreshPolicy, int, int]] = [
    # Of so many uses of one token at once: how many are granted, and how many tokens they give.
    (RefreshPolicy.CIAM, THREADS, 1),
    (RefreshPolicy(rotate=True), 1, 1),
    (RefreshPolicy.RFC9700, 1, 1),
    (RefreshPolicy.DEX, THREADS, 1),
    (RefreshPolicy(rotate=True, grace_seconds=30), THREADS, THREADS),
    (RefreshPolicy.ENTRA, THREADS, THREADS),
    (RefreshPolicy.GITHUB, 1, 1),
    (RefreshPolicy(end_old_access_tokens=True), THREADS, 1),
    (RefreshPolicy.HYDRA, 1, 1),
    (RefreshPolicy.SHOPIFY, THREADS, THREADS),
    (RefreshPolicy.COGNITO, THREADS, THREADS),
    (RefreshPolicy(rotate=True, grace_seconds=30, grace_gives="access_token"), THREADS, 1),
    (RefreshPolicy.INTUIT, 1, 1),
    (RefreshPolicy.FAPI2, THREADS, THREADS),
]


@pytest.mark.parametrize(("policy", "granted", "given"), OUTCOMES)
def test_uses_at_once_come_out_as_the_policy_says(
    policy: RefreshPolicy, granted: int, given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = count()  # It is not about signatures.
    monkeypatch.setattr(issuing, "encode", lambda *_: f"token {next(numbers)}")

    def find(tokens: RefreshTokens, value: str) -> RefreshToken | None:
        """Let other threads run between the check and the use, if anything does."""
        found = find_now(tokens, value)
        sleep(0)
        return found

    find_now = RefreshTokens.find
    monkeypatch.setattr(RefreshTokens, "find", find)
    revokes = policy.on_replay == "revoke" and granted < THREADS
    barrier = threading.Barrier(THREADS)

    def use(of: Realm, token: str | None, number: int) -> list[str | None]:
        """The refresh token of the reply; nothing for a refusal."""
        barrier.wait()
        try:
            return [refresh(of, number=number, refresh_token=token).tokens.refresh_token]
        except OAuthError:
            return []

    with ThreadPoolExecutor(THREADS) as pool:
        for repetition in range(REPETITIONS):
            of = here(policy)
            at_once = partial(use, of, first(of).refresh_token)
            of.clock.advance(policy.rotate_after_seconds)
            replies = [token for reply in pool.map(at_once, range(THREADS)) for token in reply]
            tokens = {token for token in replies if token is not None}
            assert (len(replies), len(tokens)) == (granted, given), repetition
            valid = [token for token in of.store.tokens() if token.flaw(NOW) is None]
            refresh_tokens = [token for token in valid if token.letter == "r"]
            kept = given + policy.keep_old
            assert len(refresh_tokens) == (0 if revokes else kept), repetition
            # A winner's access token is issued after the lock, so a replay can come before it.
            alive = 1 if policy.end_old_access_tokens else 1 + granted
            assert len(valid) - len(refresh_tokens) == (0 if revokes else alive), repetition


def test_logins_at_once_leave_as_many_families_as_the_policy_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = count()
    monkeypatch.setattr(issuing, "encode", lambda *_: f"token {next(numbers)}")
    barrier = threading.Barrier(THREADS)

    def log_in_now(of: Realm, _: int) -> None:
        barrier.wait()
        first(of)

    with ThreadPoolExecutor(THREADS) as pool:
        for repetition in range(REPETITIONS):
            of = here(RefreshPolicy(max_families=3))
            list(pool.map(partial(log_in_now, of), range(THREADS)))
            valid = [token for token in of.store.refresh_tokens if token.flaw(NOW) is None]
            assert len(valid) == 3, repetition


def test_a_policy_can_be_named_or_written_out_in_a_file() -> None:
    settings = Settings.from_mapping(
        {
            "refresh_policy": "rfc9700",
            "clients": [
                {
                    "client_id": "web",
                    "refresh_policy": {
                        "rotate": True,
                        "grace_seconds": 2.5,
                        "public": {"rotate": False},
                    },
                }
            ],
        }
    )
    assert settings.refresh_policy == "rfc9700"
    assert settings.clients[0].refresh_policy == RefreshPolicy(
        rotate=True, grace_seconds=2.5, public=RefreshPolicy()
    )
    FakeOAuth(settings)


def problems(**data: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        FakeOAuth(Settings.from_mapping(data))
    return [str(problem) for problem in caught.value.problems]


def test_a_wrong_policy_is_told_with_its_path() -> None:
    assert problems(refresh_policy="auht0") == [
        "$.refresh_policy: unknown policy 'auht0'; did you mean 'auth0'?"
    ]
    assert problems(
        clients=[
            {
                "client_id": "web",
                "refresh_policy": {
                    "grace_seconds": -1,
                    "idle_seconds": 0,
                    "absolute_seconds": 0,
                    "public": {"on_replay": "revoke", "public": {}},
                },
            }
        ]
    ) == [
        "$.clients[0].refresh_policy.grace_seconds: expected at least 0, got -1",
        "$.clients[0].refresh_policy.idle_seconds: expected at least 1 second, got 0",
        "$.clients[0].refresh_policy.absolute_seconds: expected at least 1 second, got 0",
        "$.clients[0].refresh_policy.rotate: without rotation no token is ever spent; "
        "set rotate = true",
        "$.clients[0].refresh_policy.public.public: a policy for public clients cannot have "
        "another; remove it",
        "$.clients[0].refresh_policy.public.rotate: without rotation no token is ever "
        "spent; set rotate = true",
    ]
    nothing_spent = (
        "$.refresh_policy.keep_old: no token is ever spent if the old one stays valid, so nothing "
        "can be a replay or have a grace period; remove keep_old, or the settings for those"
    )
    impossible: list[tuple[dict[str, Any], str]] = [
        (
            {"keep_old": True},
            "$.refresh_policy.keep_old: without rotation there is no old token; set rotate = true",
        ),
        *(
            ({"rotate": True, "keep_old": True, name: value}, nothing_spent)
            for name, value in (
                ("on_replay", "revoke"),
                ("grace_seconds", 1),
                ("until_successor_used", True),
            )
        ),
        (
            {"rotate": True, "grace_after_use": True},
            "$.refresh_policy.grace_after_use: there is no grace period; set grace_seconds",
        ),
        (
            {
                "rotate": True,
                "grace_seconds": 9,
                "grace_after_use": True,
                "grace_gives": "successor",
            },
            "$.refresh_policy.grace_gives: a successor that was used can be spent, too; with "
            "grace_after_use, expected 'sibling' or 'access_token'",
        ),
        (
            {"rotate_after_seconds": 9},
            "$.refresh_policy.rotate_after_seconds: nothing rotates; set rotate = true",
        ),
        (
            {"rotate": True, "rotate_after_seconds": -1},
            "$.refresh_policy.rotate_after_seconds: expected 0 to 1000000000000, got -1",
        ),
        (
            {"rotate": True, "rotate_after_seconds": 60, "absolute_seconds": 60},
            "$.refresh_policy.rotate_after_seconds: the family ends before any rotation; expected "
            "less than absolute_seconds, 60",
        ),
        ({"max_families": 0}, "$.refresh_policy.max_families: expected 1 to 1000, got 0"),
        ({"max_families": 1001}, "$.refresh_policy.max_families: expected 1 to 1000, got 1001"),
    ]
    for policy, problem in impossible:
        assert problems(refresh_policy=policy) == [problem]
    assert problems(refresh_policy={"rotat": True, "on_replay": "kill"}) == [
        "$.refresh_policy.on_replay: unknown value 'kill'; expected one of 'refuse', 'revoke'",
        "$.refresh_policy.rotat: unknown key; did you mean 'rotate'?",
    ]
    assert problems(refresh_policy=3) == ["$.refresh_policy: expected a table or a string, got 3"]
