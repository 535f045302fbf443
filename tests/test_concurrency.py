"""Many at once: nothing is given twice, nothing gets lost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import urlencode

import pytest

from fake_oauth import Exchange, FakeOAuth, RefreshToken, Settings
from tests.asking import DOCUMENTED, ask, claims
from tests.wire import Answer, request, told

MANY = 32
VALUES = [f"token-{index}" for index in range(MANY)]
ISSUER = "https://issuer.example"
FIXED = Settings(issuer=ISSUER)
SEVERAL = Settings(issuer=ISSUER, refresh_tokens=[RefreshToken(value=value) for value in VALUES])
ROTATING = Settings(issuer=ISSUER, rotate_refresh_tokens=True)
SEVERAL_ROTATING = SEVERAL.changed(rotate_refresh_tokens=True)

Way = Callable[[FakeOAuth, dict[str, str]], Answer]


def in_process(fake: FakeOAuth, form: dict[str, str]) -> Answer:
    response = ask(fake, form)
    return Answer.of(response.status_code, response.headers.items(), response.data)


def over_a_socket(fake: FakeOAuth, form: dict[str, str]) -> Answer:
    (answer,) = told(fake.url, request(urlencode(form).encode()))
    return answer


@pytest.fixture(autouse=True)
def _eager_threads() -> Iterator[None]:
    """Threads take turns a thousand times as often as usual, so that a race shows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture(params=[in_process, over_a_socket])
def way(request: pytest.FixtureRequest) -> Way:
    asked: Way = request.param
    return asked


def refreshing(value: str = "MOCK_REFRESH_TOKEN", **changes: str) -> dict[str, str]:
    return {**DOCUMENTED, "refresh_token": value, **changes}


def at_once(fake: FakeOAuth, way: Way, forms: Sequence[dict[str, str]]) -> list[Answer]:
    """The answers to these forms in their order; a thread each, and all at the same moment."""
    barrier = Barrier(len(forms))

    def one(form: dict[str, str]) -> Answer:
        barrier.wait(timeout=20)
        return way(fake, form)

    with ThreadPoolExecutor(len(forms)) as threads:
        return list(threads.map(one, forms))


def statuses(answers: Sequence[Answer]) -> list[int]:
    return sorted({answer.status for answer in answers})


def ids(answers: Sequence[Answer]) -> list[str]:
    """The jti of every token in some replies."""
    kinds = ("access_token", "id_token")
    return [claims(answer.json[kind])["jti"] for answer in answers for kind in kinds]


def fought_over(fake: FakeOAuth, way: Way, value: str, rivals: int) -> tuple[Answer, list[Answer]]:
    """Who won a token that all present at once, and the others."""
    answers = at_once(fake, way, [refreshing(value)] * rivals)
    (winner,) = (answer for answer in answers if answer.status == 200)
    return winner, [answer for answer in answers if answer is not winner]


def the_granted(exchanges: Sequence[Exchange]) -> Exchange:
    (granted,) = (exchange for exchange in exchanges if exchange.status == 200)
    return granted


def test_one_token_refreshed_by_32_threads_is_granted_to_all(way: Way) -> None:
    with FakeOAuth(FIXED) as fake:
        answers = at_once(fake, way, [refreshing()] * MANY)
    assert statuses(answers) == [200]
    assert {answer.json["refresh_token"] for answer in answers} == {"MOCK_REFRESH_TOKEN"}


def test_no_two_replies_have_an_id_in_common(way: Way) -> None:
    with FakeOAuth(FIXED) as fake:
        answers = at_once(fake, way, [refreshing()] * MANY)
    assert len(set(ids(answers))) == 2 * MANY


def test_32_tokens_refreshed_at_once_are_all_granted(way: Way) -> None:
    with FakeOAuth(SEVERAL) as fake:
        answers = at_once(fake, way, [refreshing(value) for value in VALUES])
    assert statuses(answers) == [200]
    assert len(set(ids(answers))) == 2 * MANY


def test_everybody_gets_the_token_that_was_presented(way: Way) -> None:
    with FakeOAuth(SEVERAL) as fake:
        answers = at_once(fake, way, [refreshing(value) for value in VALUES])
    assert [answer.json["refresh_token"] for answer in answers] == VALUES


def test_32_tokens_rotated_at_once_give_32_new_ones(way: Way) -> None:
    with FakeOAuth(SEVERAL_ROTATING) as fake:
        answers = at_once(fake, way, [refreshing(value) for value in VALUES])
        assert statuses(answers) == [200]
        fresh = [answer.json["refresh_token"] for answer in answers]
        assert len({*fresh, *VALUES}) == 2 * MANY
        assert statuses(at_once(fake, way, [refreshing(value) for value in fresh])) == [200]


def test_every_request_has_a_number_of_its_own_in_the_journal(way: Way) -> None:
    with FakeOAuth(FIXED) as fake:
        at_once(fake, way, [refreshing()] * MANY)
        assert sorted(exchange.number for exchange in fake.journal) == list(range(1, MANY + 1))
        assert {exchange.reason for exchange in fake.journal} == {"refreshed, same refresh token"}


@pytest.mark.parametrize(("way", "rounds"), [(in_process, 20), (over_a_socket, 5)])
def test_of_many_uses_of_one_rotating_token_exactly_one_wins(way: Way, rounds: int) -> None:
    with FakeOAuth(ROTATING) as fake:
        value = "MOCK_REFRESH_TOKEN"
        for _ in range(rounds):
            winner, losers = fought_over(fake, way, value, 16)
            assert {(loser.status, loser.error) for loser in losers} == {(400, "invalid_grant")}
            value = winner.json["refresh_token"]


@pytest.mark.parametrize(("way", "rounds"), [(in_process, 20), (over_a_socket, 5)])
def test_the_losers_are_told_by_the_journal_which_request_won(way: Way, rounds: int) -> None:
    with FakeOAuth(ROTATING) as fake:
        value = "MOCK_REFRESH_TOKEN"
        for _ in range(rounds):
            winner, _ = fought_over(fake, way, value, 16)
            exchanges = fake.journal[-16:]
            granted = the_granted(exchanges)
            assert granted.reply == winner.json
            assert {exchange.reason for exchange in exchanges if exchange is not granted} == {
                f"refresh token rotated away by request {granted.number}"
            }
            value = winner.json["refresh_token"]


def test_the_winners_new_token_is_the_one_that_lives(way: Way) -> None:
    with FakeOAuth(ROTATING) as fake:
        winner, _ = fought_over(fake, way, "MOCK_REFRESH_TOKEN", MANY)
        assert way(fake, refreshing(winner.json["refresh_token"])).status == 200


@pytest.mark.parametrize(
    "change",
    [{"scope": "email"}, {"client_secret": "wrong"}, {"grant_type": "password"}],
    ids=["scope", "secret", "grant"],
)
def test_a_good_use_among_many_refused_ones_wins(way: Way, change: dict[str, str]) -> None:
    with FakeOAuth(ROTATING) as fake:
        forms = [refreshing(**change) for _ in range(15)]
        answers = at_once(fake, way, [*forms, refreshing()])
    assert [answer.status for answer in answers].index(200) == 15
    assert 200 not in statuses(answers[:15])


def test_a_seed_gives_the_same_ids_whoever_gets_which(way: Way) -> None:
    settings = FIXED.changed(seed=7)
    with FakeOAuth(settings) as first, FakeOAuth(settings) as second:
        alone = [way(first, refreshing()) for _ in range(8)]
        together = at_once(second, way, [refreshing()] * 8)
    assert sorted(ids(alone)) == sorted(ids(together))
