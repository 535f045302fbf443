"""Which request meets which fault, and how often. Knows no particular fault.

Rules are looked at in order, the counted ones first, then those that always hold; a request takes
the first that applies to it and has uses left.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import RLock
from types import TracebackType
from typing import Final, Self

from fake_oauth.faults.rule import Rule
from fake_oauth.faults.seams import Outage
from fake_oauth.journal import Exchange
from fake_oauth.provider.errors import FakeOAuthError

# How many arrivals a rule remembers, to count those that repeat them only once.
_REMEMBERED: Final = 1024


class Step:
    """A rule in a script, and what has become of it."""

    def __init__(self, rule: Rule, number: int) -> None:
        self.rule = rule
        self.number = number
        self.used = 0
        self.undelivered: list[int] = []
        """The requests that met it and whose replies had nothing for it to act on."""
        self._skipped = 0
        self._latest: OrderedDict[object, tuple[float, bool]] = OrderedDict()

    @property
    def left(self) -> int:
        """How often it will still be met; 0 for a rule that always holds."""
        return 0 if self.rule.always else self.rule.times - self.used

    @property
    def rest(self) -> Rule | None:
        """The rule for the requests that have yet to come; None once it is used up."""
        if self.rule.always:
            return replace(self.rule, skip=self.rule.skip - self._skipped)
        if self.left == 0:
            return None
        return replace(self.rule, times=self.left, skip=self.rule.skip - self._skipped)

    def meets(self, exchange: Exchange) -> bool:
        """Whether this request meets it, which uses it."""
        if not self._applies_to(exchange):
            return False
        key = self._key(exchange)
        if key is not None and key in self._latest:
            at, met = self._latest[key]
            if self.rule.count == "connections" or exchange.at - at <= self.rule.window_seconds:
                return met
        met = self._skipped >= self.rule.skip
        if met:
            if not (self.left or self.rule.always):
                return False
            self.used += 1
        else:
            self._skipped += 1
        if key is not None:
            self._latest[key] = exchange.at, met
            if len(self._latest) > _REMEMBERED:
                self._latest.popitem(last=False)
        return met

    def _applies_to(self, exchange: Exchange) -> bool:
        try:
            return self.rule.applies_to(exchange)
        except Exception as error:
            raise FakeOAuthError(
                f"the predicate of {self} failed on request {exchange.number}: {error!r}"
            ) from error

    def _key(self, exchange: Exchange) -> object:
        """What is the same for arrivals that count once; None where each counts."""
        if self.rule.count == "requests":
            return None
        return exchange.peer if self.rule.count == "connections" else exchange.digest

    def __str__(self) -> str:
        return f"{'always' if self.rule.always else f'step {self.number}'} {self.rule.fault}"


class UnusedFaultError(FakeOAuthError):
    """A test has ended, and not all that was scripted has come to pass.

    `faults` says what has not, `transcript` what came in instead.
    """

    def __init__(self, faults: Sequence[str], transcript: str) -> None:
        self.faults = tuple(faults)
        self.transcript = transcript
        told = "\n".join(f"  {fault}" for fault in faults)
        came = transcript or "no request arrived"
        super().__init__(f"the script was not used up:\n{told}\n{came}")


class Script:
    """The rules of one server, in the order in which they are looked at."""

    def __init__(self, begin: Callable[[Outage], None], end: Callable[[], None]) -> None:
        """`begin` and `end` are called for outages that are due and that are lifted."""
        self._begin = begin
        self._end = end
        self._lock = RLock()
        self._counted: list[Step] = []
        self._standing: list[Step] = []
        self._numbered = 0

    @property
    def steps(self) -> list[Step]:
        """Every step, used up or not: those that are counted, then those that always hold."""
        with self._lock:
            return [*self._counted, *self._standing]

    def add(self, rules: Sequence[Rule]) -> list[Step]:
        """Append some rules that have been found good."""
        with self._lock:
            added = []
            for rule in rules:
                if not rule.always:
                    self._numbered += 1
                step = Step(rule, self._numbered)
                (self._standing if rule.always else self._counted).append(step)
                added.append(step)
                if rule.always and isinstance(rule.fault, Outage):
                    self._begin(rule.fault)
            self._begin_what_is_due()
        return added

    def replace(self, rules: Sequence[Rule]) -> list[Step]:
        """Put rules that have been found good in the place of all others, at one moment."""
        with self._lock:
            self.clear()
            return self.add(rules)

    def lift(self, step: Step) -> None:
        """Take a rule out. One that is out already may be lifted again."""
        with self._lock:
            for steps in (self._counted, self._standing):
                if step in steps:
                    steps.remove(step)
                    outages = [s for s in self._standing if isinstance(s.rule.fault, Outage)]
                    if isinstance(step.rule.fault, Outage) and not outages:
                        self._end()

    def clear(self) -> None:
        """Take every rule out."""
        for step in self.steps:
            self.lift(step)

    def take(self, exchange: Exchange) -> Step | None:
        """The step that this request meets, if it meets one."""
        with self._lock:
            for step in (*self._counted, *self._standing):
                if not isinstance(step.rule.fault, Outage) and step.meets(exchange):
                    self._begin_what_is_due()
                    return step
        return None

    def unused(self) -> list[str]:
        """What has not come to pass, a line each."""
        found = []
        for step in self.steps:
            if step.left:
                met = f", met {step.used} of {step.rule.times} times" if step.used else ""
                found.append(f"step {step.number} {step.rule}{met}")
            found += [
                f"{step}: request {number} met it, and there was nothing in the reply for it to "
                "act on"
                for number in step.undelivered
            ]
        return found

    def _begin_what_is_due(self) -> None:
        """Begin an outage that has nothing unused before it."""
        for step in self._counted:
            if step.left:
                if not isinstance(step.rule.fault, Outage):
                    return
                step.used += 1
                self._begin(step.rule.fault)


class Standing:
    """A fault that holds until it is lifted, by `lift()` or the end of a `with`."""

    def __init__(self, script: Script, step: Step) -> None:
        self._script = script
        self._step = step

    def lift(self) -> None:
        """End it. What is lifted already may be lifted again."""
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
