"""Which requests a fault is for. Plain values, the same in Python, TOML and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from fake_oauth.faults.seams import Fault, Outage, Tampering
from fake_oauth.journal import Exchange
from fake_oauth.provider.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Which requests, and how many of them."""

    endpoint: str = "token"
    """The endpoint that must have been asked; `any` is every one, and paths that none has."""
    grant_type: str | None = None
    """The grant that must have been asked for; None is any."""
    client_id: str | None = None
    """The client that must have asked, proven or not; None is any."""
    skip: int = 0
    """How many requests that it applies to are let by first."""
    times: int = 1
    """How many requests meet it."""
    always: bool = False
    """Whether it holds for every request instead."""
    count: Literal["requests", "connections", "attempts"] = "requests"
    """What is counted. Requests on one connection count once for `connections`; so do, for
    `attempts`, requests that are the same to the byte and come within `window_seconds`, as those
    that an HTTP library repeats by itself after a cut connection."""
    window_seconds: float = 1
    """How soon a repeated attempt comes, by the server's clock."""

    def told(self) -> dict[str, Any]:
        """What is not left at its default."""
        return {
            condition.name: getattr(self, condition.name)
            for condition in fields(Conditions)
            if getattr(self, condition.name) != condition.default
        }


@dataclass(frozen=True, slots=True)
class Rule(Conditions):
    """A fault, which requests meet it, and how many of them.

    >>> from fake_oauth import faults
    >>> print(faults.Rule(faults.Status(503), client_id="web", times=2))
    Status(503) [client_id=web times=2]
    """

    fault: Fault
    when: Callable[[Exchange], bool] | None = field(default=None, kw_only=True)
    """A predicate of one's own over the request. In Python only."""

    def applies_to(self, exchange: Exchange) -> bool:
        """Whether this request is one of those that it speaks of."""
        return (
            self.endpoint in ("any", exchange.endpoint)
            and self.grant_type in (None, exchange.grant_type)
            and self.client_id in (None, exchange.client_id)
            and (self.when is None or self.when(exchange))
        )

    def leaves_nothing_to(self, other: Rule) -> bool:
        """Whether, always holding and looked at first, it lets no request through to `other`."""
        return (
            self.always
            and self.skip == 0
            and self.when is None
            and not isinstance(self.fault, Outage)
            and not isinstance(other.fault, Outage)
            and self.endpoint in ("any", other.endpoint)
            and self.grant_type in (None, other.grant_type)
            and self.client_id in (None, other.client_id)
        )

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the rule in itself, whatever the server serves."""
        yield from self.fault.problems()
        for name, least in (("skip", 0), ("times", 1), ("window_seconds", 0)):
            if getattr(self, name) < least:
                yield Problem(name, f"expected at least {least}, got {getattr(self, name)}")
        if self.always and self.times != 1:
            yield Problem("times", "expected times or always, got both")
        if isinstance(self.fault, Tampering) and self.endpoint not in ("token", "any"):
            yield Problem("endpoint", f"{self.endpoint} mints no token for {self.fault} to act on")
        if isinstance(self.fault, Outage):
            if self.when is not None or self.told().keys() - {"always"}:
                yield Problem("fault", f"no request meets {self.fault}, so it takes no conditions")
            if self.always == (self.fault.seconds is not None):
                wanted = "no seconds, or no always" if self.always else "how long it lasts"
                yield Problem("seconds", f"expected {wanted}")

    def __str__(self) -> str:
        told = [
            name if value is True else f"{name}={value}"
            for name, value in self.told().items()
            if name != "always"
        ]
        told += ["when"] if self.when is not None else []
        return f"{self.fault} [{' '.join(told)}]" if told else str(self.fault)
