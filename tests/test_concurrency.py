"""Concurrent requests: no token is issued twice, and no response is lost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import urlencode

import pytest

from fake_oauth import Exchange, FakeOAuth, PreconfiguredRefreshToken, Settings
from tests.support.client import DOCUMENTED, ask, claims
from tests.support.wire import Answer, request, responses_to

MANY = 32
VALUES = [f"token-{index}" for index in range(MANY)]
ISSUER = "https://issuer.example"
FIXED = Settings(issuer=ISSUER)
SEVERAL = Settings(
    issuer=ISSUER, refresh_tokens=[PreconfiguredRefreshToken(value=value) for value in VALUES]
)
ROTATING = Settings(issuer=ISSUER, refresh_policy="rotate")
SEVERAL_ROTATING = SEVERAL.changed(refresh_policy="rotate")

Send = Callable[[FakeOAuth, dict[str, str]], Answer]


def in_process(fake: FakeOAuth, form: dict[str, str]) -> Answer:
    response = ask(fake, form)
    return Answer.of(response.status_code, response.headers.items(), response.data)


def over_a_socket(fake: FakeOAuth, form: dict[str, str]) -> Answer:
    (response,) = responses_to(fake.url, request(urlencode(form).encode()))
    return response


@pytest.fixture(autouse=True)
def _eager_threads() -> Iterator[None]:
    """Switch between threads a thousand times as often as usual, so that races show."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture(params=[in_process, over_a_socket])
def send(request: pytest.FixtureRequest) -> Send:
    """Return a function that sends a form to the token endpoint of a fake."""
    function: Send = request.param
    return function


def refresh_form(value: str = "MOCK_REFRESH_TOKEN", **changes: str) -> dict[str, str]:
    return {**DOCUMENTED, "refresh_token": value, **changes}


def at_once(fake: FakeOAuth, send: Send, forms: Sequence[dict[str, str]]) -> list[Answer]:
    """Return the responses to these forms, in their order; a thread sends each, all at once."""
    barrier = Barrier(len(forms))

    def one(form: dict[str, str]) -> Answer:
        barrier.wait(timeout=20)
        return send(fake, form)

    with ThreadPoolExecutor(len(forms)) as threads:
        return list(threads.map(one, forms))


def statuses(responses: Sequence[Answer]) -> list[int]:
    """Return the different statuses of some responses."""
    return sorted({response.status for response in responses})


def ids(responses: Sequence[Answer]) -> list[str]:
    """Return the jti of every token in some responses."""
    kinds = ("access_token", "id_token")
    return [claims(response.json[kind])["jti"] for response in responses for kind in kinds]


def compete_for(
    fake: FakeOAuth, send: Send, value: str, rivals: int
) -> tuple[Answer, list[Answer]]:
    """Return the successful response to a token that all present at once, and the others."""
    responses = at_once(fake, send, [refresh_form(value)] * rivals)
    (winner,) = (response for response in responses if response.status == 200)
    return winner, [response for response in responses if response is not winner]


def successful(exchanges: Sequence[Exchange]) -> Exchange:
    """Return the only successful exchange."""
    (granted,) = (exchange for exchange in exchanges if exchange.status == 200)
    return granted


def test_32_threads_can_refresh_with_one_token(send: Send) -> None:
    with FakeOAuth(FIXED) as fake:
        responses = at_once(fake, send, [refresh_form()] * MANY)
    assert statuses(responses) == [200]
    assert {response.json["refresh_token"] for response in responses} == {"MOCK_REFRESH_TOKEN"}


def test_no_two_responses_share_an_id(send: Send) -> None:
    with FakeOAuth(FIXED) as fake:
        responses = at_once(fake, send, [refresh_form()] * MANY)
    assert len(set(ids(responses))) == 2 * MANY


def test_32_threads_can_refresh_with_32_tokens(send: Send) -> None:
    with FakeOAuth(SEVERAL) as fake:
        responses = at_once(fake, send, [refresh_form(value) for value in VALUES])
    assert statuses(responses) == [200]
    assert len(set(ids(responses))) == 2 * MANY


def test_each_client_receives_the_refresh_token_that_it_presented(send: Send) -> None:
    with FakeOAuth(SEVERAL) as fake:
        responses = at_once(fake, send, [refresh_form(value) for value in VALUES])
    assert [response.json["refresh_token"] for response in responses] == VALUES


def test_32_tokens_that_are_rotated_at_once_have_32_valid_successors(send: Send) -> None:
    with FakeOAuth(SEVERAL_ROTATING) as fake:
        responses = at_once(fake, send, [refresh_form(value) for value in VALUES])
        assert statuses(responses) == [200]
        fresh = [response.json["refresh_token"] for response in responses]
        assert len({*fresh, *VALUES}) == 2 * MANY
        assert statuses(at_once(fake, send, [refresh_form(value) for value in fresh])) == [200]


def test_the_journal_numbers_every_request_once(send: Send) -> None:
    with FakeOAuth(FIXED) as fake:
        at_once(fake, send, [refresh_form()] * MANY)
        assert sorted(exchange.number for exchange in fake.journal) == list(range(1, MANY + 1))
        assert {exchange.reason for exchange in fake.journal} == {"refreshed, same refresh token"}


@pytest.mark.parametrize(("send", "rounds"), [(in_process, 20), (over_a_socket, 5)])
def test_exactly_one_of_many_uses_of_a_rotating_token_succeeds(send: Send, rounds: int) -> None:
    with FakeOAuth(ROTATING) as fake:
        value = "MOCK_REFRESH_TOKEN"
        for _ in range(rounds):
            winner, losers = compete_for(fake, send, value, 16)
            assert {(loser.status, loser.error) for loser in losers} == {(400, "invalid_grant")}
            value = winner.json["refresh_token"]


@pytest.mark.parametrize(("send", "rounds"), [(in_process, 20), (over_a_socket, 5)])
def test_the_journal_says_which_request_rotated_the_token(send: Send, rounds: int) -> None:
    with FakeOAuth(ROTATING) as fake:
        value = "MOCK_REFRESH_TOKEN"
        for _ in range(rounds):
            winner, _ = compete_for(fake, send, value, 16)
            exchanges = fake.journal[-16:]
            granted = successful(exchanges)
            assert granted.reply == winner.json
            assert {exchange.reason for exchange in exchanges if exchange is not granted} == {
                f"refresh token rotated by request {granted.number}"
            }
            value = winner.json["refresh_token"]


def test_the_new_token_of_the_successful_request_is_valid(send: Send) -> None:
    with FakeOAuth(ROTATING) as fake:
        winner, _ = compete_for(fake, send, "MOCK_REFRESH_TOKEN", MANY)
        assert send(fake, refresh_form(winner.json["refresh_token"])).status == 200


@pytest.mark.parametrize(
    "change",
    [{"scope": "email"}, {"client_secret": "wrong"}, {"grant_type": "password"}],
    ids=["scope", "secret", "grant"],
)
def test_a_valid_request_among_many_invalid_ones_succeeds(
    send: Send, change: dict[str, str]
) -> None:
    with FakeOAuth(ROTATING) as fake:
        forms = [refresh_form(**change) for _ in range(15)]
        responses = at_once(fake, send, [*forms, refresh_form()])
    assert [response.status for response in responses].index(200) == 15
    assert 200 not in statuses(responses[:15])


def test_a_seed_makes_the_same_ids_in_any_order(send: Send) -> None:
    settings = FIXED.changed(seed=7)
    with FakeOAuth(settings) as first, FakeOAuth(settings) as second:
        alone = [send(first, refresh_form()) for _ in range(8)]
        together = at_once(second, send, [refresh_form()] * 8)
    assert sorted(ids(alone)) == sorted(ids(together))
