"""A barrier: requests that wait for each other, and are served one by one in a set order.

It turns a race into a repeatable test. It changes when requests are served, not how.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import TIMEOUT_MAX, Condition
from time import monotonic
from types import TracebackType
from typing import Final, Self

from fake_oauth.faults.base import Conditions
from fake_oauth.journal import Exchange
from fake_oauth.provider.errors import FakeOAuthError

_FREE: Final = nullcontext()


class BarrierError(FakeOAuthError):
    """Fewer requests arrived at a barrier than it holds, or one was not served in time."""


class Barrier:
    """The next `n` matching requests, held until all have arrived, then served in order.

    Use it as a `with` block, or in a test for asyncio as an `async with` block, which waits in a
    thread and leaves the event loop free. Requests are held from the start of the block.
    """

    def __init__(
        self,
        conditions: Conditions,
        n: int,
        order: Sequence[int] | None,
        timeout_seconds: float,
        *,
        barriers: Barriers,
    ) -> None:
        self.arrived: list[Exchange] = []
        """The requests in the order in which they arrived."""
        self.served: list[Exchange] = []
        """The requests in the order in which they were served."""
        self._conditions = conditions
        self._n = n
        self._order = order
        self._timeout_seconds = timeout_seconds
        self._barriers = barriers
        self._changed = Condition()
        self._failure: str | None = None
        self._is_used = False
        if not (n >= 1 and _is_order(order, n) and 0 < timeout_seconds <= TIMEOUT_MAX):
            raise FakeOAuthError(
                "barrier: expected n >= 1, an order that contains 0 to n - 1 once each, and "
                f"timeout_seconds > 0; got n={n}, order={order}, timeout_seconds={timeout_seconds}"
            )

    @property
    def winners(self) -> list[Exchange]:
        """The requests that got a 200, in the order in which they were served."""
        return [exchange for exchange in self.served if exchange.status == 200]

    @property
    def losers(self) -> list[Exchange]:
        """The requests that got no 200, in the order in which they were served."""
        return [exchange for exchange in self.served if exchange.status != 200]

    def join(self, exchange: Exchange) -> bool:
        """Return whether a request is one of those that are held. It has arrived then."""
        with self._changed:
            full = len(self.arrived) == self._n
            if self._failure or full or not self._conditions.matches(exchange):
                return False
            # A thread can be overtaken after its request is numbered, so the numbers decide.
            insort(self.arrived, exchange, key=lambda one: one.number)
            self._changed.notify_all()
            return True

    def wait(self, exchange: Exchange) -> None:
        """Wait for the turn of a request that has joined. A barrier that failed has no turns."""
        with self._changed:
            self._until(lambda: len(self.arrived) == self._n, self._too_few)
            self._until(lambda: self._next() is exchange, self._too_slow)

    def serve(self, exchange: Exchange) -> None:
        """Note that a request has been served, so that it is the turn of the next."""
        with self._changed:
            self.served.append(exchange)
            self._changed.notify_all()

    def give_up(self, failure: str) -> None:
        """Release every request. The first reason is the one that is reported."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()

    def __enter__(self) -> Self:
        if self._is_used:
            raise FakeOAuthError("barrier: a barrier can be used once; create another")
        self._is_used = True
        self._barriers.open(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait until all requests have arrived and were served.

        Raise BarrierError if they were not in time. If the block has failed, do not wait, and add
        a note to its error.
        """
        with self._changed:
            if error is not None:
                self.give_up(f"{self._arrivals()} when the block failed\n{self._lines()}".rstrip())
            self._until(lambda: len(self.arrived) == self._n, self._too_few)
            self._until(lambda: len(self.served) == self._n, self._too_slow)
        self._barriers.close(self)
        if self._failure is not None:
            if error is None:
                raise BarrierError(self._failure)
            error.add_note(self._failure)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do as at the end of a `with` block, but wait in a thread."""
        import asyncio  # takes 40 ms, and most tests do without

        try:
            await asyncio.to_thread(self.__exit__, kind, error, traceback)
        except asyncio.CancelledError:
            self.give_up("the test was canceled")
            raise

    def _next(self) -> Exchange:
        turn = len(self.served)
        return self.arrived[turn if self._order is None else self._order[turn]]

    def _until(self, happened: Callable[[], bool], failure: Callable[[], str]) -> None:
        """Wait for an event. After the time for it, or after a failure, do not wait."""
        deadline = monotonic() + self._timeout_seconds
        while self._failure is None and not happened():
            if not self._changed.wait(deadline - monotonic()):
                self.give_up(failure())

    def _too_few(self) -> str:
        return (
            f"{self._arrivals()} within {self._timeout_seconds:g} s; send them concurrently (in a "
            f"coroutine: async with), or pass a smaller n\n{self._lines()}"
        ).rstrip()

    def _arrivals(self) -> str:
        where = f"the barrier{self._conditions.text}"
        return f"{len(self.arrived)} of {self._n} requests arrived at {where}"

    def _lines(self) -> str:
        return "\n".join(map(str, self.arrived))

    def _too_slow(self) -> str:
        return (
            f"{len(self.served)} of {self._n} requests at the barrier{self._conditions.text} were "
            f"served; the next one took more than {self._timeout_seconds:g} s; pass a larger "
            "timeout_seconds"
        )


class Barriers:
    """The barriers of one server whose blocks have begun and not ended."""

    def __init__(self) -> None:
        self._open: list[Barrier] = []

    def open(self, barrier: Barrier) -> None:
        """Hold requests for a barrier."""
        self._open.append(barrier)

    def close(self, barrier: Barrier) -> None:
        """Hold no further requests for a barrier."""
        self._open.remove(barrier)

    def give_up(self, failure: str) -> None:
        """Release every request of every barrier."""
        for barrier in list(self._open):
            barrier.give_up(failure)

    def passing(self, exchange: Exchange) -> AbstractContextManager[None]:
        """Return the block in which a request is served: at its turn, if a barrier holds it."""
        return self._held(exchange) if self._open else _FREE

    @contextmanager
    def _held(self, exchange: Exchange) -> Iterator[None]:
        barrier = next((one for one in list(self._open) if one.join(exchange)), None)
        if barrier is not None:
            barrier.wait(exchange)
        try:
            yield
        finally:
            if barrier is not None:
                barrier.serve(exchange)


def _is_order(order: Sequence[int] | None, n: int) -> bool:
    return order is None or (len(order) == n and set(order) == set(range(n)))
