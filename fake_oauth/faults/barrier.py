"""A barrier: requests that wait for each other, and are served one after the other as told.

It turns a race into a plain test. It does not change what is answered, only when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Condition
from time import monotonic
from types import TracebackType
from typing import Final, Self

from fake_oauth.faults.rule import Rule
from fake_oauth.journal import Exchange
from fake_oauth.provider.errors import FakeOAuthError

_FREE: Final = nullcontext()


class BarrierError(FakeOAuthError):
    """Not all requests came that a barrier was to hold, or one of them was not served in time."""


class Barrier:
    """Holds the next `n` requests of a kind until all have arrived; then serves them in order."""

    def __init__(
        self,
        rule: Rule,
        n: int,
        order: Sequence[int] | None,
        timeout_seconds: float,
        *,
        close: Callable[[Barrier], None],
    ) -> None:
        """`close` is told when it holds nobody any more."""
        self.arrived: list[Exchange] = []
        """Who came, in this order."""
        self.served: list[Exchange] = []
        """Who was answered, in this order."""
        self._rule = rule
        self._n = n
        self._order = list(range(n)) if order is None else list(order)
        self._timeout_seconds = timeout_seconds
        self._close = close
        self._changed = Condition()
        self._failure: str | None = None
        if not n >= 1 or sorted(self._order) != list(range(n)) or timeout_seconds <= 0:
            raise FakeOAuthError(
                "expected n of 1 or more, an order of 0 to n - 1, each once, and a timeout_seconds "
                f"above 0, got n={n}, order={self._order}, timeout_seconds={timeout_seconds}"
            )

    @property
    def winners(self) -> list[Exchange]:
        """Whose request was granted, in the order in which they were served."""
        return [exchange for exchange in self.served if exchange.status == 200]

    @property
    def losers(self) -> list[Exchange]:
        """Whose request was not, likewise."""
        return [exchange for exchange in self.served if exchange.status != 200]

    def joins(self, exchange: Exchange) -> bool:
        """Whether a request is one of those that are held; it has arrived then."""
        with self._changed:
            if self._failure or len(self.arrived) == self._n or not self._rule.applies_to(exchange):
                return False
            self.arrived.append(exchange)
            self._changed.notify_all()
            return True

    def wait(self, exchange: Exchange) -> None:
        """Wait until it is the turn of a request that has joined, or there are no turns."""
        with self._changed:
            self._until(lambda: len(self.arrived) == self._n, self._too_few)
            self._until(lambda: self._next() is exchange, self._too_slow)

    def serve(self, exchange: Exchange) -> None:
        """Note that a request has been answered, and let the next one have its turn."""
        with self._changed:
            self.served.append(exchange)
            self._changed.notify_all()

    def give_up(self, failure: str) -> None:
        """Let everybody go who waits. The first reason is the one that is told."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait until all have come and were served.

        Raises BarrierError if they were not in time; beside another error it is a note.
        """
        with self._changed:
            if error is not None:
                self.give_up(self._too_few())
            self._until(lambda: len(self.arrived) == self._n, self._too_few)
            self._until(lambda: len(self.served) == self._n, self._too_slow)
        self._close(self)
        if self._failure is not None:
            if error is None:
                raise BarrierError(self._failure)
            error.add_note(self._failure)

    def _next(self) -> Exchange | None:
        turn = len(self.served)
        return self.arrived[self._order[turn]] if turn < self._n else None

    def _until(self, happened: Callable[[], bool], failure: Callable[[], str]) -> None:
        """Wait for something to happen. After the time for that, or a failure, nobody waits."""
        deadline = monotonic() + self._timeout_seconds
        while self._failure is None and not happened():
            if not self._changed.wait(deadline - monotonic()):
                self.give_up(failure())

    def _too_few(self) -> str:
        came = "\n".join(map(str, self.arrived))
        return (
            f"{len(self.arrived)} of {self._n} requests came to the barrier [{self._rule}] within "
            f"{self._timeout_seconds:g} s\n{came}".rstrip()
        )

    def _too_slow(self) -> str:
        return (
            f"{len(self.served)} of the {self._n} requests at the barrier [{self._rule}] were "
            f"served; the next one took more than {self._timeout_seconds:g} s"
        )


class Barriers:
    """The barriers of one server that hold somebody or are to."""

    def __init__(self) -> None:
        self._open: list[Barrier] = []

    def open(
        self, rule: Rule, n: int, order: Sequence[int] | None, timeout_seconds: float
    ) -> Barrier:
        """Hold the next `n` requests that a rule speaks of."""
        barrier = Barrier(rule, n, order, timeout_seconds, close=self._open.remove)
        self._open.append(barrier)
        return barrier

    def give_up(self, failure: str) -> None:
        """Let everybody go."""
        for barrier in list(self._open):
            barrier.give_up(failure)

    def passing(self, exchange: Exchange) -> AbstractContextManager[None]:
        """While a request is served: at its turn, if a barrier holds it."""
        return self._held(exchange) if self._open else _FREE

    @contextmanager
    def _held(self, exchange: Exchange) -> Iterator[None]:
        barrier = next((one for one in list(self._open) if one.joins(exchange)), None)
        if barrier is not None:
            barrier.wait(exchange)
        try:
            yield
        finally:
            if barrier is not None:
                barrier.serve(exchange)
