"""The seams: where in the life of a request a fault can act, and what it is given there.

A fault is a frozen value with one method, that of its seam. Which request it meets is `script`'s
affair.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import ClassVar, Literal, Protocol

from fake_oauth.provider.errors import OAuthError, Problem
from fake_oauth.provider.keys import KeyRing
from fake_oauth.reply import Reply, Written


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong on purpose."""

    needs_socket: ClassVar[bool] = False
    """Whether it cannot be delivered in process."""

    def problems(self) -> Iterator[Problem]:
        """What is wrong with its arguments."""
        return iter(())

    def __str__(self) -> str:
        """The fault as it would be written, without what is left at its default."""
        given = []
        for argument in fields(self):
            value = getattr(self, argument.name)
            if argument.default is MISSING:
                given.append(repr(value))
            elif value != argument.default:
                given.append(f"{argument.name}={value!r}")
        return f"{type(self).__name__}({', '.join(given)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a refusal may ask of the server."""

    now: float
    """By the server's clock."""
    pause: Callable[[float], None]
    """Takes real seconds; broken off when the server stops."""
    refused: Callable[[OAuthError], Reply]
    """How the server answers with an error."""


@dataclass(frozen=True, slots=True)
class Refusal(Fault, ABC):
    """Acts before the endpoint: nothing has changed yet."""

    @abstractmethod
    def refuse(self, server: Server) -> Reply | None:
        """The answer instead of the endpoint's; None lets the request through."""


@dataclass(frozen=True, slots=True)
class Tampering(Fault, ABC):
    """Acts on each token of a reply, which is signed anew."""

    token: Literal["access_token", "id_token", "both"] = field(default="both", kw_only=True)
    """Which of a reply's tokens."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The members of a token reply that it wants."""
        return ("access_token", "id_token") if self.token == "both" else (self.token,)

    @abstractmethod
    def tamper(self, token: str, keys: KeyRing) -> str:
        """The token as it goes out."""


@dataclass(frozen=True, slots=True)
class Damage(Fault, ABC):
    """Acts on the reply: what the endpoint did is done."""

    @abstractmethod
    def damage(self, written: Written) -> Written | None:
        """The reply as it goes out; None if there is nothing in it to damage."""


class Wire(Protocol):
    """The server's end of one connection."""

    def send(self, data: bytes) -> None:
        """Send some bytes. What the client does not take is lost."""

    def send_head(self, written: Written) -> None:
        """Send the status line and the headers of a reply."""

    def reset_at_close(self) -> None:
        """Let the close of the connection be a reset (TCP RST)."""

    def pause(self, seconds: float | None) -> bool:
        """Wait; None waits for the client. Returns whether it is worth going on.

        It is not when the client has closed the connection or the server stops, and either ends
        the wait at once.
        """


@dataclass(frozen=True, slots=True)
class Interruption(Fault, ABC):
    """Acts on the connection, which is closed afterwards, instead of or with the reply."""

    needs_socket: ClassVar[bool] = True
    loses_reply: ClassVar[bool] = True
    """Whether nothing of the reply can be used."""

    @property
    @abstractmethod
    def is_after_commit(self) -> bool:
        """Whether the endpoint does its work first."""

    @abstractmethod
    def interrupt(self, wire: Wire, written: Written) -> None:
        """Send what is still sent. Before the commit the reply is an empty 200."""


@dataclass(frozen=True, slots=True)
class Outage(Fault):
    """Acts on the port, as soon as all steps before it are used; no request meets it."""

    needs_socket: ClassVar[bool] = True

    seconds: float | None = None
