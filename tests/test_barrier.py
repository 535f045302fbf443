"""A barrier: who comes, who is served when, and nobody is left hanging."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any

import httpx
import pytest

from fake_oauth import BarrierError, FakeOAuth, FakeOAuthError, Settings, SettingsError, faults
from tests.asking import DOCUMENTED, ask

ROTATING = Settings(rotate_refresh_tokens=True)


def ask_with(fake: FakeOAuth, token: str | None) -> int:
    return ask(fake, {**DOCUMENTED, "refresh_token": token}).status_code


def soon(happened: Callable[[], bool]) -> None:
    """Wait for what other threads do; for ten seconds, which nothing here takes."""
    deadline = monotonic() + 10
    while not happened():
        assert monotonic() < deadline


def one_after_the_other(fake: FakeOAuth, pool: ThreadPoolExecutor, tokens: list[str]) -> list[Any]:
    """Sends requests that arrive in this order, without waiting for answers."""
    sent: list[Future[int]] = []
    for token in tokens:
        before = len(fake.journal)
        sent.append(pool.submit(ask_with, fake, token))
        soon(lambda: len(fake.journal) == before + 1)  # noqa: B023
    return sent


@pytest.mark.parametrize("order", [None, [2, 0, 1], [1, 2, 0]])
def test_requests_are_served_in_the_order_that_is_asked_for(order: list[int] | None) -> None:
    fake = FakeOAuth(ROTATING)
    tokens = [fake.issue().refresh_token or "" for _ in range(3)]
    with ThreadPoolExecutor() as pool, fake.barrier(3, order=order) as race:
        sent = one_after_the_other(fake, pool, tokens)
    assert [future.result() for future in sent] == [200, 200, 200]
    assert [exchange.number for exchange in race.arrived] == [1, 2, 3]
    assert [exchange.number - 1 for exchange in race.served] == (order or [0, 1, 2])


def test_of_those_who_use_one_token_the_one_served_first_wins() -> None:
    fake = FakeOAuth(ROTATING)
    token = fake.issue().refresh_token or ""
    with ThreadPoolExecutor() as pool, fake.barrier(3, order=[2, 0, 1]) as race:
        sent = one_after_the_other(fake, pool, [token] * 3)
    assert [future.result() for future in sent] == [400, 400, 200]
    assert [exchange.number for exchange in race.winners] == [3]
    assert [exchange.number for exchange in race.losers] == [1, 2]
    assert [exchange.reason for exchange in race.losers] == [
        "refresh token rotated away by request 3"
    ] * 2


def test_over_a_socket_too() -> None:
    with FakeOAuth(ROTATING) as server, ThreadPoolExecutor(32) as pool:
        form = {**DOCUMENTED, "refresh_token": server.issue().refresh_token}
        with server.barrier(32, order=list(range(31, -1, -1))) as race:
            sent = [pool.submit(httpx.post, server.token_url, data=form) for _ in range(32)]
        assert sorted(future.result().status_code for future in sent) == [200] + [400] * 31
        assert [exchange.number for exchange in race.winners] == [32]


def test_other_requests_pass_and_so_do_those_beyond_the_last() -> None:
    with FakeOAuth() as server, ThreadPoolExecutor() as pool:
        with server.barrier(2, client_id="TENANT_CLIENT_ID"):
            first = pool.submit(ask, server)
            soon(lambda: len(server.journal) == 1)
            assert httpx.get(f"{server.url}/oauth2/jwks").status_code == 200
            assert ask(server, {"client_id": "web"}).status_code == 401
            assert ask(server).status_code == 200
            assert first.result().status_code == 200
            assert ask(server).status_code == 200
        assert ask(server).status_code == 200


def test_two_barriers_hold_different_requests() -> None:
    fake = FakeOAuth()
    tokens = [fake.issue().refresh_token or "" for _ in range(2)]

    def of(index: int) -> Callable[[Any], bool]:
        return lambda exchange: exchange.form["refresh_token"] == tokens[index]

    with ThreadPoolExecutor() as pool:
        with fake.barrier(2, when=of(0)) as first, fake.barrier(2, when=of(1)) as second:
            sent = one_after_the_other(fake, pool, [tokens[0], tokens[1], tokens[1], tokens[0]])
        assert [future.result() for future in sent] == [200] * 4
    assert [exchange.number for exchange in first.served] == [1, 4]
    assert [exchange.number for exchange in second.served] == [2, 3]


def test_a_step_of_the_script_is_met_in_the_order_of_serving() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503), faults.ok)
    token = fake.issue().refresh_token or ""
    with ThreadPoolExecutor() as pool, fake.barrier(2, order=[1, 0]):
        sent = one_after_the_other(fake, pool, [token, token])
    assert [future.result() for future in sent] == [200, 503]


def test_fewer_arrivals_are_a_failure_and_nobody_is_left_hanging() -> None:
    fake = FakeOAuth()
    with (
        ThreadPoolExecutor() as pool,
        pytest.raises(BarrierError) as caught,
        fake.barrier(3, timeout_seconds=0.05, grant_type="refresh_token"),
    ):
        sent = [pool.submit(ask, fake) for _ in range(2)]
        assert [future.result().status_code for future in sent] == [200, 200]
    told = str(caught.value).splitlines()
    assert told[0] == (
        "2 of 3 requests came to the barrier [ok [grant_type=refresh_token]] within 0.05 s"
    )
    assert [line.split()[0] for line in told[1:]] == ["#1", "#2"]
    assert ask(fake).status_code == 200


def test_the_end_waits_for_those_who_have_yet_to_come() -> None:
    fake = FakeOAuth()
    with ThreadPoolExecutor() as pool:
        with fake.barrier(2, order=[1, 0]) as race:
            for _ in range(2):
                pool.submit(ask, fake)
        assert [exchange.number for exchange in race.served] == [2, 1]


def test_a_test_that_fails_does_not_wait() -> None:
    fake = FakeOAuth()
    with ThreadPoolExecutor() as pool:
        with pytest.raises(ZeroDivisionError), fake.barrier(2, timeout_seconds=600):
            sent = pool.submit(ask, fake)
            soon(lambda: len(fake.journal) == 1)
            _ = 1 / 0
        assert sent.result().status_code == 200


def test_what_the_test_raises_comes_first() -> None:
    fake = FakeOAuth()
    with pytest.raises(ZeroDivisionError) as caught, fake.barrier(1):
        _ = 1 / 0
    assert caught.value.__notes__ == ["0 of 1 requests came to the barrier [ok] within 5 s"]


def test_a_request_that_takes_too_long_is_told_and_the_others_go_on() -> None:
    with FakeOAuth() as server, ThreadPoolExecutor() as pool:
        server.script(faults.Slow(0.6))
        told = pytest.raises(BarrierError, match=r"0 of the 2 requests .* took more than 0\.2 s")
        with told, server.barrier(2, timeout_seconds=0.2):
            sent = [pool.submit(ask, server) for _ in range(2)]
        assert [future.result().status_code for future in sent] == [200, 200]


def test_a_server_that_stops_lets_everybody_go() -> None:
    server = FakeOAuth().start()
    with (
        ThreadPoolExecutor() as pool,
        pytest.raises(BarrierError, match="the server has stopped"),
        server.barrier(2, timeout_seconds=600),
    ):
        sent = pool.submit(httpx.post, server.token_url, data=DOCUMENTED)
        soon(lambda: len(server.journal) == 1)
        server.stop()
        assert sent.result().status_code == 200


def test_a_server_that_begins_again_lets_everybody_go() -> None:
    fake = FakeOAuth()
    with (
        ThreadPoolExecutor() as pool,
        pytest.raises(BarrierError, match="the server began again"),
        fake.barrier(2, timeout_seconds=600),
    ):
        sent = pool.submit(ask, fake)
        soon(lambda: len(fake.journal) == 1)
        fake.start_over()
        assert sent.result().status_code == 200


@pytest.mark.parametrize(
    ("n", "options"),
    [(0, {}), (2, {"order": [0]}), (2, {"order": [1, 1]}), (2, {"timeout_seconds": 0})],
)
def test_a_barrier_that_cannot_be_is_refused(n: int, options: dict[str, Any]) -> None:
    with pytest.raises(FakeOAuthError, match="expected n of 1 or more, an order of 0 to n - 1"):
        FakeOAuth().barrier(n, **options)


def test_a_barrier_that_nobody_can_come_to_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"\$.barrier.endpoint: .*did you mean 'token'"):
        FakeOAuth().barrier(2, endpoint="tokn")
    with pytest.raises(SettingsError, match=r"\$.barrier.client_id: there is no 'nobody'"):
        FakeOAuth().barrier(2, client_id="nobody")
