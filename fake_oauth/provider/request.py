"""A request to the provider, without its transport: parameters, credentials, and a number."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fake_oauth.provider.assertions import Assertion
from fake_oauth.provider.errors import TokenScheme, bad_parameter
from fake_oauth.provider.model import AuthMethod


class Parameters(Mapping[str, str]):
    """The parameters of a request: a mapping from each name to its first value.

    A request must not repeat a parameter (RFC 6749 section 3.2). Repeats are kept, so that the
    rules can refuse them.
    """

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            if name in values:
                values[name].append(value)
            else:
                values[name] = [value]
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Parameters({dict(self)!r})"

    def get(self, name: str, default: Any = None) -> Any:
        """Return the first value of a name, or the default."""
        values = self._values.get(name)
        return default if values is None else values[0]

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a name, in order."""
        return tuple(self._values.get(name, ()))

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield every name and value, repeats included."""
        return ((name, value) for name, values in self._values.items() for value in values)

    def without_blanks(self) -> Parameters:
        """Return the parameters that have a value (RFC 6749 sections 3.1 and 3.2)."""
        if all(value for _, value in self.pairs()):
            return self
        return Parameters([pair for pair in self.pairs() if pair[1]])

    def only(self, names: Collection[str]) -> Parameters:
        """Return the parameters with these names. Others are ignored (RFC 6749 section 3.1)."""
        return Parameters([pair for pair in self.pairs() if pair[0] in names])

    def once(self, name: str) -> str:
        """Return the value of a parameter that must be sent exactly once; it may be empty."""
        values = self._values.get(name, ())
        if len(values) != 1:
            times = f"sent {len(values)} times" if values else "missing"
            raise bad_parameter(name, f"{name} {times}")
        return values[0]

    def required(self, name: str) -> str:
        """Return the value of a parameter that must be sent exactly once and not be blank."""
        value = self.once(name)
        if not value.strip():
            raise bad_parameter(name, f"{name} blank")
        return value

    def optional(self, name: str) -> str | None:
        """Return the value of a parameter that may be sent once; None if missing or blank."""
        if name not in self._values:
            return None
        value = self.once(name)
        return value if value.strip() else None


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a client authenticates. If the method is None, it sent nothing that can be used."""

    method: AuthMethod | Literal["none"] | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    raw_secret: str | None = field(default=None, repr=False)
    """The secret as it was sent, if decoding it has changed it."""
    missing: str = "no client credentials"
    """What is missing, for the journal, if the method is None."""
    assertion: Assertion | None = None
    """The JWT that the client authenticates with (RFC 7523 section 2.2)."""
    endpoint: str = "token"
    """The endpoint that an assertion was sent to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentProof:
    """The DPoP proofs of a request, and where it was sent (RFC 9449 section 4.3)."""

    values: tuple[str, ...]
    """The values of its `DPoP` headers; one is allowed."""
    method: str
    url: str
    """The URL of the requested endpoint, as clients know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentToken:
    """An access token as it was sent (RFC 6750 section 2.1, RFC 9449 section 7.1)."""

    value: str | None
    """None if the request has none."""
    scheme: TokenScheme = "Bearer"
    proof: SentProof | None = None
    """The DPoP proof, if the request has one and the dialect reads it."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request as the rules see it."""

    parameters: Parameters = field(default_factory=Parameters)
    credentials: Credentials = Credentials()
    number: int = 0
    """The request's number in the journal."""
    presented: Mapping[str, Any] = field(default_factory=dict)
    """The issued tokens and codes among the parameters, looked up when the request arrived."""
    proof: SentProof | None = None
    """The DPoP proof, if the request has one and the dialect reads it."""
    jkt: str | None = None
    """The thumbprint of the key that the proof has proven; tokens are bound to it."""
