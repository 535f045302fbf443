"""Which request uses which fault, and how often. No particular fault is known here.

Steps that count are searched first, then standing faults, each in the order in which they were
scripted. A request uses the first step that matches it and has uses left.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from threading import RLock
from types import TracebackType
from typing import Final, Self

from fake_oauth.faults.base import Outage, Rule
from fake_oauth.journal import Exchange
from fake_oauth.provider.errors import FakeOAuthError

# How many arrivals a step remembers, so that it counts a repeated request once.
_REMEMBERED: Final = 1024
# How many requests a step names if its fault had nothing to change in their responses.
_NAMED: Final = 20
# How many steps that are used up a script keeps.
_KEPT: Final = 1000


class Step:
    """A rule in a script, and the requests that have used it."""

    def __init__(self, rule: Rule, number: int) -> None:
        self.rule = rule
        """The fault, and the requests that it is for."""
        self.number = number
        """Its place in the script, counted from 1."""
        self.used = 0
        """The number of requests that have used it."""
        self.undelivered: deque[int] = deque(maxlen=_NAMED)
        """The latest requests whose responses had nothing to change for the fault."""
        self._skipped = 0
        self._latest: OrderedDict[object, tuple[float, bool]] = OrderedDict()

    @property
    def left(self) -> int:
        """The number of uses left; 0 for a standing fault."""
        times = self.rule.times
        return times - self.used if isinstance(times, int) else 0

    @property
    def rest(self) -> Rule | None:
        """The rule for later requests; None if it is used up."""
        skip = self.rule.skip - self._skipped
        if self.rule.is_standing:
            return replace(self.rule, skip=skip)
        return replace(self.rule, times=self.left, skip=skip) if self.left else None

    def is_over(self, now: float) -> bool:
        """Return whether no later request can use it, not even one that repeats another."""
        if self.left or self.rule.is_standing:
            return False
        if self.rule.count == "connections":
            return not self._latest
        latest = reversed(self._latest.values())
        return all(now - at > self.rule.window_seconds for at, _ in latest)

    def use(self, exchange: Exchange) -> bool:
        """Return whether this request uses the step, and count it."""
        if not self.rule.matches(exchange):
            return False
        key = self._key(exchange)
        if key is not None and key in self._latest:
            at, used = self._latest[key]
            if self.rule.count == "connections" or exchange.at - at <= self.rule.window_seconds:
                return used
        used = self._skipped >= self.rule.skip
        if used:
            if not (self.left or self.rule.is_standing):
                return False
            self.used += 1
        else:
            self._skipped += 1
        if key is not None:
            self._latest[key] = exchange.at, used
            self._latest.move_to_end(key)
            if len(self._latest) > _REMEMBERED:
                self._latest.popitem(last=False)
        return used

    def _key(self, exchange: Exchange) -> object:
        """Return what counts once; None if every request counts."""
        if self.rule.count == "requests":
            return None
        return exchange.peer if self.rule.count == "connections" else exchange.digest

    def __str__(self) -> str:
        number = "always" if self.rule.is_standing else f"step {self.number}"
        return f"{number} {self.rule.fault}"


class UnusedFaultError(FakeOAuthError):
    """A test ended with steps that were not used, or had nothing to change.

    `faults` has a line for each, `transcript` the requests that arrived.
    """

    def __init__(self, faults: Sequence[str], transcript: str) -> None:
        self.faults = tuple(faults)
        self.transcript = transcript
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"the script has unused or ineffective steps:\n{lines}\n"
            f"{transcript or 'no request arrived'}"
        )


class Script:
    """The steps of one server."""

    def __init__(self, begin: Callable[[Outage], None], end: Callable[[], None]) -> None:
        """`begin` is called for an outage that is due, `end` when all outages are lifted."""
        self._begin_outage = begin
        self._end_outages = end
        self._lock = RLock()
        # Steps that a request can use; the others are not searched.
        self._counted: list[Step] = []
        self._standing: list[Step] = []
        self._over: list[Step] = []
        self._numbered = 0
        self._is_replaced = False

    @property
    def steps(self) -> list[Step]:
        """Every step: those that count, also if they are used up, then the standing faults.

        Of steps that are used up, the latest thousand are kept.
        """
        with self._lock:
            counted = sorted([*self._over, *self._counted], key=lambda step: step.number)
            return [*counted, *self._standing]

    def add(self, rules: Sequence[Rule]) -> list[Step]:
        """Append rules that have no problems."""
        with self._lock:
            added = []
            for rule in rules:
                if not rule.is_standing:
                    self._numbered += 1
                step = Step(rule, self._numbered)
                (self._standing if rule.is_standing else self._counted).append(step)
                added.append(step)
                if rule.is_standing and isinstance(rule.fault, Outage):
                    self._begin_outage(rule.fault)
            self._begin_what_is_due()
            # These wait for a repeat that may never arrive.
            self._retire([step for step in self._counted if not step.left][:-_KEPT])
        return added

    def begin(self, rules: Sequence[Rule]) -> None:
        """Put rules before all others: those of the settings, which apply from the start.

        A script that was replaced before has none of them.
        """
        with self._lock:
            if self._is_replaced or not rules:
                return
            counted, standing = self._counted, self._standing
            self._counted, self._standing, self._numbered = [], [], 0
            self.add(rules)
            for step in counted:
                self._numbered += 1
                step.number = self._numbered
            self._counted += counted
            self._standing += standing

    def replace(self, rules: Sequence[Rule]) -> list[Step]:
        """Replace all steps with rules that have no problems, at one moment."""
        with self._lock:
            self._is_replaced = True
            self.clear()
            return self.add(rules)

    def lift(self, step: Step) -> None:
        """Remove a step. A step that is not in the script is ignored."""
        with self._lock:
            for steps in (self._counted, self._over, self._standing):
                if step in steps:
                    others = [
                        other
                        for other in self._standing
                        if other is not step and isinstance(other.rule.fault, Outage)
                    ]
                    if isinstance(step.rule.fault, Outage) and not others:
                        self._end_outages()  # If this fails, the step can be lifted again.
                    steps.remove(step)

    def clear(self) -> None:
        """Remove every step."""
        with self._lock:
            for step in self.steps:
                self.lift(step)

    def take(self, exchange: Exchange) -> Step | None:
        """Return the step that this request uses, if there is one."""
        over = []
        with self._lock:
            for step in chain(self._counted, self._standing):
                if step.is_over(exchange.at):
                    over.append(step)
                elif not isinstance(step.rule.fault, Outage) and step.use(exchange):
                    break
            else:
                step = None
            self._begin_what_is_due()
            if step is not None and step.is_over(exchange.at):
                over.append(step)
            self._retire(over)
        return step

    def unused(self) -> list[str]:
        """Return a line for each step that was not used up, and for each that changed nothing."""
        found = []
        for step in self.steps:
            if step.left:
                used = f", used {step.used} of {step.rule.times} times" if step.used else ""
                found.append(f"step {step.number} {step.rule}{used}")
            if step.undelivered:
                requests = ", ".join(map(str, step.undelivered))
                plural = "s" if len(step.undelivered) > 1 else ""
                found.append(
                    f"{step} had nothing to change in the response to request{plural} {requests}"
                )
        return found

    def _begin_what_is_due(self) -> None:
        """Begin each outage that has no step with uses left before it."""
        for step in self._counted:
            if step.left:
                if not isinstance(step.rule.fault, Outage):
                    return
                step.used += 1
                self._begin_outage(step.rule.fault)

    def _retire(self, over: Sequence[Step]) -> None:
        """Stop searching steps that no request can use anymore."""
        for step in over:
            self._counted.remove(step)
            self._over.append(step)
        while len(self._over) > _KEPT:
            # The response to the latest step is not written yet, so it may still be ineffective.
            silent = (step for step in self._over[:-1] if not step.undelivered)
            self._over.remove(next(silent, self._over[0]))


class StandingFault:
    """A fault that applies until it is lifted, by `lift()` or by the end of a `with` block."""

    def __init__(self, script: Script, step: Step) -> None:
        self._script = script
        self._step = step

    def lift(self) -> None:
        """End the fault. A second call does nothing."""
        self._script.lift(self._step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.lift()
