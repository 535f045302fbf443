"""A barrier: which requests it holds, when they are served, and that none is left waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from fake_oauth import (
    BarrierError,
    FakeOAuth,
    FakeOAuthError,
    RefreshPolicy,
    Settings,
    SettingsError,
    faults,
)
from tests.support.client import DOCUMENTED, ask
from tests.support.wire import wait_until

ROTATING = Settings(refresh_policy=RefreshPolicy(rotate=True))


def ask_with(fake: FakeOAuth, token: str | None) -> int:
    return ask(fake, {**DOCUMENTED, "refresh_token": token}).status_code


def one_after_the_other(fake: FakeOAuth, pool: ThreadPoolExecutor, tokens: list[str]) -> list[Any]:
    """Send requests that arrive in this order, without waiting for their responses."""
    sent: list[Future[int]] = []
    for token in tokens:
        before = len(fake.journal)
        sent.append(pool.submit(ask_with, fake, token))
        wait_until(lambda: len(fake.journal) == before + 1)  # noqa: B023
    return sent


@pytest.mark.parametrize("order", [None, [2, 0, 1], [1, 2, 0]])
def test_requests_are_served_in_the_given_order(order: list[int] | None) -> None:
    fake = FakeOAuth(ROTATING)
    tokens = [fake.issue_tokens().refresh_token or "" for _ in range(3)]
    with ThreadPoolExecutor() as pool, fake.barrier(3, order=order) as race:
        sent = one_after_the_other(fake, pool, tokens)
    assert [future.result() for future in sent] == [200, 200, 200]
    assert [exchange.number for exchange in race.arrived] == [1, 2, 3]
    assert [exchange.number - 1 for exchange in race.served] == (order or [0, 1, 2])


def test_a_request_that_is_overtaken_on_its_way_keeps_its_place() -> None:
    fake = FakeOAuth(ROTATING)
    ask_with(fake, "x")
    (exchange,) = fake.journal
    barrier = fake.barrier(3)
    for number in (2, 3, 1):
        assert barrier.join(replace(exchange, number=number))
    assert [exchange.number for exchange in barrier.arrived] == [1, 2, 3]


def test_of_two_requests_with_one_token_the_one_served_first_wins() -> None:
    fake = FakeOAuth(ROTATING)
    token = fake.issue_tokens().refresh_token or ""
    with ThreadPoolExecutor() as pool, fake.barrier(3, order=[2, 0, 1]) as race:
        sent = one_after_the_other(fake, pool, [token] * 3)
    assert [future.result() for future in sent] == [400, 400, 200]
    assert [exchange.number for exchange in race.winners] == [3]
    assert [exchange.number for exchange in race.losers] == [1, 2]
    assert all("by request 3" in (exchange.reason or "") for exchange in race.losers)


def test_a_barrier_holds_requests_over_a_socket() -> None:
    with FakeOAuth(ROTATING) as server, ThreadPoolExecutor(32) as pool:
        form = {**DOCUMENTED, "refresh_token": server.issue_tokens().refresh_token}
        with server.barrier(32, order=list(range(31, -1, -1))) as race:
            sent = [pool.submit(httpx.post, server.token_url, data=form) for _ in range(32)]
        assert sorted(future.result().status_code for future in sent) == [200] + [400] * 31
        assert [exchange.number for exchange in race.winners] == [32]


def test_other_requests_pass_and_so_do_later_ones() -> None:
    with FakeOAuth() as server, ThreadPoolExecutor() as pool:
        with server.barrier(2, client_id="TENANT_CLIENT_ID"):
            first = pool.submit(ask, server)
            wait_until(lambda: len(server.journal) == 1)
            assert httpx.get(f"{server.url}/oauth2/jwks").status_code == 200
            assert ask(server, {"client_id": "web"}).status_code == 401
            assert ask(server).status_code == 200
            assert first.result().status_code == 200
            assert ask(server).status_code == 200
        assert ask(server).status_code == 200


def test_two_barriers_hold_different_requests() -> None:
    fake = FakeOAuth()
    tokens = [fake.issue_tokens().refresh_token or "" for _ in range(2)]

    def of(index: int) -> Callable[[Any], bool]:
        return lambda exchange: exchange.form["refresh_token"] == tokens[index]

    with ThreadPoolExecutor() as pool:
        with fake.barrier(2, when=of(0)) as first, fake.barrier(2, when=of(1)) as second:
            sent = one_after_the_other(fake, pool, [tokens[0], tokens[1], tokens[1], tokens[0]])
        assert [future.result() for future in sent] == [200] * 4
    assert [exchange.number for exchange in first.served] == [1, 4]
    assert [exchange.number for exchange in second.served] == [2, 3]


def test_steps_of_the_script_are_used_in_the_order_of_serving() -> None:
    fake = FakeOAuth()
    fake.script(faults.Status(503), faults.Pass())
    token = fake.issue_tokens().refresh_token or ""
    with ThreadPoolExecutor() as pool, fake.barrier(2, order=[1, 0]):
        sent = one_after_the_other(fake, pool, [token, token])
    assert [future.result() for future in sent] == [200, 503]


def test_too_few_requests_are_a_failure_and_none_is_left_waiting() -> None:
    fake = FakeOAuth()
    with (
        ThreadPoolExecutor() as pool,
        pytest.raises(BarrierError) as caught,
        fake.barrier(3, timeout_seconds=0.05, grant_type="refresh_token"),
    ):
        sent = [pool.submit(ask, fake) for _ in range(2)]
        assert [future.result().status_code for future in sent] == [200, 200]
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "2 of 3 requests arrived at the barrier [grant_type=refresh_token] within 0.05 s; "
        "send them concurrently (in a coroutine: async with), or pass a smaller n"
    )
    assert [line.split()[0] for line in lines[1:]] == ["#1", "#2"]
    assert ask(fake).status_code == 200


def test_the_end_of_the_block_waits_for_the_requests() -> None:
    fake = FakeOAuth()
    with ThreadPoolExecutor() as pool:
        with fake.barrier(2, order=[1, 0]) as race:
            for _ in range(2):
                pool.submit(ask, fake)
        assert [exchange.number for exchange in race.served] == [2, 1]


def test_a_block_that_fails_does_not_wait() -> None:
    fake = FakeOAuth()
    with ThreadPoolExecutor() as pool:
        with pytest.raises(ZeroDivisionError), fake.barrier(2, timeout_seconds=600):
            sent = pool.submit(ask, fake)
            wait_until(lambda: len(fake.journal) == 1)
            _ = 1 / 0
        assert sent.result().status_code == 200


def test_the_error_of_the_block_comes_first() -> None:
    fake = FakeOAuth()
    with pytest.raises(ZeroDivisionError) as caught, fake.barrier(1):
        _ = 1 / 0
    assert caught.value.__notes__ == [
        "0 of 1 requests arrived at the barrier when the block failed"
    ]


def test_a_request_that_takes_too_long_is_a_failure_and_the_others_go_on() -> None:
    with FakeOAuth() as server, ThreadPoolExecutor() as pool:
        server.script(faults.Slow(0.6))
        failure = pytest.raises(BarrierError, match=r"0 of 2 requests .* took more than 0\.2 s")
        with failure, server.barrier(2, timeout_seconds=0.2):
            sent = [pool.submit(ask, server) for _ in range(2)]
        assert [future.result().status_code for future in sent] == [200, 200]


def test_a_server_that_stops_releases_the_requests() -> None:
    server = FakeOAuth().start()
    with (
        ThreadPoolExecutor() as pool,
        pytest.raises(BarrierError, match="the server has stopped"),
        server.barrier(2, timeout_seconds=600),
    ):
        sent = pool.submit(httpx.post, server.token_url, data=DOCUMENTED)
        wait_until(lambda: len(server.journal) == 1)
        server.stop()
        assert sent.result().status_code == 200


def test_a_server_that_is_reset_releases_the_requests() -> None:
    fake = FakeOAuth()
    with (
        ThreadPoolExecutor() as pool,
        pytest.raises(BarrierError, match="the server was reset"),
        fake.barrier(2, timeout_seconds=600),
    ):
        sent = pool.submit(ask, fake)
        wait_until(lambda: len(fake.journal) == 1)
        fake.reset()
        assert sent.result().status_code == 200


@pytest.mark.parametrize(
    ("n", "options"),
    [
        (0, {}),
        (10**12, {"order": [0]}),
        (2, {"order": [1, 1]}),
        (2, {"timeout_seconds": 0}),
        (2, {"timeout_seconds": float("inf")}),
    ],
)
def test_an_impossible_barrier_is_refused(n: int, options: dict[str, Any]) -> None:
    with pytest.raises(
        FakeOAuthError, match="barrier: expected n >= 1, an order that contains"
    ) as e:
        FakeOAuth().barrier(n, **options)
    given = {"order": None, "timeout_seconds": 5} | options
    values = f"n={n}, order={given['order']}, timeout_seconds={given['timeout_seconds']}"
    assert str(e.value).endswith(f"0 to n - 1 once each, and timeout_seconds > 0; got {values}")


def test_a_barrier_can_be_used_once() -> None:
    fake = FakeOAuth()
    barrier = fake.barrier(1)
    with barrier, ThreadPoolExecutor() as pool:
        assert pool.submit(ask, fake).result().status_code == 200
    with pytest.raises(FakeOAuthError, match="can be used once; create another"), barrier:
        pass


def test_a_barrier_holds_requests_from_the_start_of_its_block() -> None:
    fake = FakeOAuth()
    fake.barrier(2)
    assert ask(fake).status_code == 200


async def refreshed(client: httpx.AsyncClient, url: str, token: str | None) -> int:
    response = await client.post(url, data={**DOCUMENTED, "refresh_token": token})
    return response.status_code


def test_a_barrier_leaves_the_event_loop_free() -> None:
    async def race(server: FakeOAuth) -> list[int]:
        token = server.issue_tokens().refresh_token
        async with httpx.AsyncClient() as client, asyncio.TaskGroup() as tasks:
            async with server.barrier(3, timeout_seconds=20) as race:
                sent = [
                    tasks.create_task(refreshed(client, server.token_url, token)) for _ in range(3)
                ]
            assert len(race.winners) == 1
        return sorted(task.result() for task in sent)

    with FakeOAuth(ROTATING) as server:
        assert asyncio.run(race(server)) == [200, 400, 400]


def test_a_failure_in_an_async_block_is_the_same() -> None:
    async def too_few(fake: FakeOAuth) -> None:
        async with fake.barrier(2, timeout_seconds=0.05):
            pass

    async def failing(fake: FakeOAuth) -> None:
        async with fake.barrier(2, timeout_seconds=600):
            _ = 1 / 0

    with pytest.raises(BarrierError, match="0 of 2 requests arrived at the barrier within"):
        asyncio.run(too_few(FakeOAuth()))
    with pytest.raises(ZeroDivisionError) as caught:
        asyncio.run(failing(FakeOAuth()))
    assert caught.value.__notes__ == [
        "0 of 2 requests arrived at the barrier when the block failed"
    ]


def test_a_canceled_test_releases_the_requests() -> None:
    async def canceled(server: FakeOAuth) -> int:
        async def hold() -> None:
            async with server.barrier(2, timeout_seconds=600):
                pass

        holding = asyncio.create_task(hold())
        async with httpx.AsyncClient() as client:
            sent = asyncio.create_task(refreshed(client, server.token_url, "MOCK_REFRESH_TOKEN"))
            while not server.journal:
                await asyncio.sleep(0)
            holding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await holding
            return await sent

    with FakeOAuth() as server:
        assert asyncio.run(canceled(server)) == 200


def test_a_barrier_for_impossible_requests_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"\$.barrier.endpoint: .*did you mean 'token'"):
        FakeOAuth().barrier(2, endpoint="tokn")
    with pytest.raises(SettingsError, match=r"\$.barrier.client_id: unknown name 'nobody'"):
        FakeOAuth().barrier(2, client_id="nobody")
