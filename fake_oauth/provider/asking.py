"""What a client asks, with the transport stripped off: parameters, credentials, a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fake_oauth.provider.errors import bad_parameter
from fake_oauth.provider.parties import AuthMethod


class Params(Mapping[str, str]):
    """The parameters of a request: a mapping to the first value of each name.

    A parameter must not come twice (RFC 6749 section 3.2), so repeats are kept to be refused.
    """

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Params({dict(self)!r})"

    def all(self, name: str) -> tuple[str, ...]:
        """Every value that was sent under this name, in order."""
        return tuple(self._values.get(name, ()))

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every name and value, repeats included."""
        return ((name, value) for name, values in self._values.items() for value in values)

    def once(self, name: str) -> str:
        """The value of a parameter that must come exactly once; it may be empty."""
        values = self._values.get(name, ())
        if len(values) != 1:
            times = f"sent {len(values)} times" if values else "missing"
            raise bad_parameter(name, f"{name} {times}")
        return values[0]

    def required(self, name: str) -> str:
        """The value of a parameter that must come exactly once and not be blank."""
        value = self.once(name)
        if not value.strip():
            raise bad_parameter(name, f"{name} blank")
        return value

    def optional(self, name: str) -> str | None:
        """The value of a parameter that may come once; None if it is missing or blank."""
        if name not in self._values:
            return None
        value = self.once(name)
        return value if value.strip() else None


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a client says who it is. A method of None: it said nothing that could be used."""

    method: AuthMethod | Literal["none"] | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    lacking: str = "no client credentials"
    """What was missing, for the journal, where the method is None."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as the rules see it. `number` is the one that the journal gave it."""

    params: Params = field(default_factory=Params)
    credentials: Credentials = Credentials()
    number: int = 0
