"""Faults and rules: what goes wrong on purpose, at which stage, and for which requests.

A fault is a frozen value with one method, that of its stage:

    request     Refusal          `refuse`     before the endpoint; nothing has changed
    token       TokenFault       `tamper`     one token of the response
    response    ResponseFault    `damage`     the endpoint's work is done; the response is not sent
    connection  ConnectionFault  `interrupt`  what is sent, and how it ends
                Outage           -            the port; no request uses it

The faults themselves are in a module for each stage. Which request uses a rule is decided by
`script`. `KINDS` lists all faults.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, ClassVar, Final, Literal, Protocol

from fake_oauth.journal import Exchange
from fake_oauth.provider.errors import FakeOAuthError, OAuthError
from fake_oauth.provider.realm import Realm
from fake_oauth.reply import Reply, Response
from fake_oauth.structure import Problem, changed_fields, failure_of, name_of, type_problems

Stage = Literal["request", "token", "response", "connection"]

LONGEST_SECONDS: Final = 10**9
"""The longest time that a fault puts into a token or a header, about 31 years."""

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a header, or of a parameter in one (RFC 9110 section 5.6.2)."""

# RFC 9110 section 5.5; a field value may also have the other letters of Latin-1.
_HEADER_VALUE: Final = re.compile(
    r"([\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
)
# A wrong value of these would break the connection, not only the response.
_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultContext:
    """The part of the server that a fault can use."""

    realm: Realm
    pause: Callable[[float], None]
    """Wait some real seconds. Raise OSError if the server stops meanwhile."""
    error_reply: Callable[[OAuthError], Reply]
    """Return the error as the requested endpoint responds with it."""
    write_json: Callable[[Any], str]
    """Return the JSON of a response, in the layout of this server."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong on purpose."""

    stage: ClassVar[Stage]
    needs_socket: ClassVar[bool] = False
    """Whether only a connection can deliver it, so that it is impossible in process."""
    endpoints: ClassVar[tuple[str, ...]] = ()
    """The endpoints whose responses it can change; empty is any."""

    def problems(self) -> Iterator[Problem]:
        """Yield a problem for each argument of the right type that cannot be used."""
        return iter(())

    def __str__(self) -> str:
        """Return the fault as an expression, without arguments at their defaults."""
        changed = changed_fields(self)
        required = [f.name for f in fields(self) if f.default is f.default_factory is MISSING]
        arguments = [_expression(changed.pop(name)) for name in required]
        arguments += [f"{name}={_expression(value)}" for name, value in changed.items()]
        return f"{type(self).__name__}({', '.join(arguments)})"


@dataclass(frozen=True, slots=True)
class Refusal(Fault, ABC):
    """A fault before the endpoint: nothing has changed yet."""

    stage: ClassVar[Stage] = "request"

    @abstractmethod
    def refuse(self, context: FaultContext) -> Reply | None:
        """Return the response instead of the endpoint's; None lets the request through."""


@dataclass(frozen=True, slots=True)
class TokenFault(Fault, ABC):
    """A fault in the tokens of a response, after the endpoint has issued them."""

    stage: ClassVar[Stage] = "token"
    breaks_signature: ClassVar[bool] = False
    """Whether signing the token again would undo the fault."""

    token: Literal["access_token", "id_token", "both"] = field(default="both", kw_only=True)
    """Which tokens of the response change."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The members of a token response that change."""
        return ("access_token", "id_token") if self.token == "both" else (self.token,)

    @abstractmethod
    def tamper(self, token: str, context: FaultContext) -> str | None:
        """Return the token that is sent instead; None if there is nothing in it to change.

        Raise InvalidTokenError for a text that is not a JWT.
        """


@dataclass(frozen=True, slots=True)
class ResponseFault(Fault, ABC):
    """A fault in the response, after the endpoint has done its work."""

    stage: ClassVar[Stage] = "response"

    @property
    def changes_tokens(self) -> bool:
        """Whether it replaces tokens, so that the server must accept the new ones."""
        return False

    @property
    def changes_layout(self) -> bool:
        """Whether the tokens can be anywhere in the response."""
        return False

    @abstractmethod
    def damage(self, response: Response, context: FaultContext) -> Response | None:
        """Return the response that is sent instead; None if there is nothing in it to change."""


class Connection(Protocol):
    """The server's end of one connection."""

    def send(self, data: bytes) -> None:
        """Send some bytes. Those that the client does not read are lost."""

    def send_head(self, response: Response) -> None:
        """Send the status line and the headers of a response."""

    def reset_at_close(self) -> None:
        """Make the close of the connection a reset (TCP RST)."""

    def pause(self, seconds: float | None) -> bool:
        """Wait; None waits for the client. Return whether the connection is still of use.

        It is not if the client has closed it or the server stops; either ends the wait at once.
        """


@dataclass(frozen=True, slots=True)
class ConnectionFault(Fault, ABC):
    """A fault on the connection, which is closed afterwards."""

    stage: ClassVar[Stage] = "connection"
    needs_socket: ClassVar[bool] = True
    loses_response: ClassVar[bool] = True
    """Whether the client gets nothing of the response that it can use."""

    @property
    @abstractmethod
    def after_commit(self) -> bool:
        """Whether the endpoint does its work first."""

    @abstractmethod
    def interrupt(self, connection: Connection, response: Response) -> None:
        """Send what is still sent. Before the commit, the response is an empty 200."""

    def received(self, response: Response) -> Response:
        """Return the part of the response that the client gets, unless it loses all of it."""
        return response


@dataclass(frozen=True, slots=True)
class Outage(Fault):
    """A fault of the port. It begins when all steps before it are used; no request uses it."""

    stage: ClassVar[Stage] = "connection"
    needs_socket: ClassVar[bool] = True

    seconds: float | None = None
    """How many real seconds it lasts, up to 3600. Required, except in a standing fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Which requests, and how many of them."""

    endpoint: str = "token"
    """The requested endpoint; `any` is every endpoint, and every path that is not served."""
    grant_type: str | None = None
    """The requested grant type; any if not given."""
    client_id: str | None = None
    """The client that sent the request, authenticated or not; any if not given."""
    skip: int = 0
    """How many matching requests pass first."""
    times: int | Literal["always"] = 1
    """How many requests use the fault; `always` is every one."""
    count: Literal["requests", "connections", "attempts"] = "requests"
    """What `skip` and `times` count.

    `connections` counts all requests on one connection once. `attempts` counts a request once that
    is sent again, byte for byte, within `window_seconds`: HTTP libraries and browsers do so by
    themselves after a connection was cut, so that a browser's automatic retry counts once.
    """
    window_seconds: float = 1
    """How soon the same bytes are the same attempt, by the server's clock."""
    when: Callable[[Exchange], bool] | None = None
    """A function of the request that must return true. In Python only."""

    @property
    def is_standing(self) -> bool:
        """Whether every matching request uses the fault."""
        return self.times == "always"

    def matches(self, exchange: Exchange) -> bool:
        """Return whether a request is one that the conditions describe.

        Raise FakeOAuthError if the function `when` fails.
        """
        if not (
            self.endpoint in ("any", exchange.endpoint)
            and self.grant_type in (None, exchange.grant_type)
            and self.client_id in (None, exchange.client_id)
        ):
            return False
        if self.when is None:
            return True
        return bool(
            called(f"when={name_of(self.when)} for request {exchange.number}", self.when, exchange)
        )

    def changed(self) -> dict[str, Any]:
        """Return the conditions that differ from their defaults."""
        return {
            condition.name: value
            for condition in fields(Conditions)
            if (value := getattr(self, condition.name)) != condition.default
        }

    @property
    def text(self) -> str:
        """The conditions in brackets after a blank; empty if there are none."""
        shown = [
            name if name == "when" else f"{name}={value}"
            for name, value in self.changed().items()
            if (name, value) != ("times", "always")
        ]
        return f" [{' '.join(shown)}]" if shown else ""


@dataclass(frozen=True, slots=True)
class Rule(Conditions):
    """A fault, and the requests that it is for.

    >>> from fake_oauth import faults
    >>> print(faults.Rule(faults.Status(503), client_id="web", times=2))
    Status(503) [client_id=web times=2]
    """

    fault: Fault

    def covers(self, other: Rule) -> bool:
        """Return whether this standing rule uses every request that would match `other`."""
        return (
            self.is_standing
            and self.skip == 0
            and self.when is None
            and not isinstance(self.fault, Outage)
            and not isinstance(other.fault, Outage)
            and self.endpoint in ("any", other.endpoint)
            and self.grant_type in (None, other.grant_type)
            and self.client_id in (None, other.client_id)
        )

    def problems(self) -> Iterator[Problem]:
        """Yield every problem of the rule in itself, whatever the server serves.

        The arguments of the fault have the paths that they have in a table: those of the rule.
        """
        found = list(type_problems(self))
        if found:
            yield from (Problem(p.path.removeprefix("fault."), p.message) for p in found)
            return
        yield from self.fault.problems()
        for name, least in (("skip", 0), ("times", 1), ("window_seconds", 0)):
            value = getattr(self, name)
            if value != "always" and not value >= least:
                yield Problem(name, f"expected at least {least}, got {value}")
        if isinstance(self.fault, TokenFault) and self.endpoint not in ("token", "any"):
            message = f"{self.endpoint} issues no token for {self.fault} to change"
            yield Problem("endpoint", message)
        if self.fault.endpoints and self.endpoint not in ("any", *self.fault.endpoints):
            message = (
                f"{self.endpoint} has nothing for {self.fault} to change; expected "
                f"{' or '.join(self.fault.endpoints)}"
            )
            yield Problem("endpoint", message)
        if isinstance(self.fault, Outage):
            if self.changed().keys() - {"times"} or self.times not in (1, "always"):
                message = f"no request uses {self.fault}, so it cannot have conditions"
                yield Problem("fault", message)
            if self.is_standing and self.fault.seconds is not None:
                yield Problem(
                    "seconds", "a standing outage lasts until it is lifted; remove seconds"
                )
            elif not self.is_standing and self.fault.seconds is None:
                message = 'required; or use always(), or times = "always"'
                yield Problem("seconds", message)

    def __str__(self) -> str:
        return f"{self.fault}{self.text}"


def called(what: str, function: Callable[[Any], Any], argument: object) -> Any:
    """Return what a function of the test returns.

    Raise FakeOAuthError, with the line, if it fails.
    """
    try:
        return function(argument)
    except Exception as error:  # noqa: BLE001
        raise FakeOAuthError(f"{what}: the function failed: {failure_of(error)}") from None


def rules_of(steps: object) -> tuple[list[Rule], list[Problem]]:
    """Return the rules of a list of faults and rules that was made in Python, and its problems.

    A bare fault is for one request to the token endpoint. The types are checked here, too.
    """
    if not isinstance(steps, list | tuple):
        return [], [Problem("$.faults", f"expected a list, got {steps!r}")]
    rules, problems = [], []
    for index, step in enumerate(steps):
        rule = Rule(step) if isinstance(step, Fault) else step
        path = f"$.faults[{index}]"
        if not isinstance(rule, Rule):
            problems.append(Problem(path, _not_a_rule(rule)))
            continue
        problems += [Problem(f"{path}.{found.path}", found.message) for found in rule.problems()]
        rules.append(rule)
    return rules, problems


def standing(fault: Fault | Rule) -> Rule:
    """Return the rule with `times="always"`. Raise FakeOAuthError if it counts requests."""
    rule = fault if isinstance(fault, Rule) else Rule(fault)
    if rule.times not in (1, "always"):
        raise FakeOAuthError(
            f"always: expected a fault or a rule without times, got {rule}; "
            "use script for a number of requests"
        )
    return replace(rule, times="always")


def header_problems(path: str, headers: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for each header that cannot be sent."""
    for name, value in headers.items():
        where = f"{path}.{name}"
        if not TOKEN.fullmatch(name):
            yield Problem(path, f"{name!r} is not the name of a header")
        elif name.lower() in _FRAMING:
            yield Problem(where, "set by the server itself; use a fault on the connection")
        else:
            yield from header_value_problems(where, value)


def header_value_problems(path: str, value: str) -> Iterator[Problem]:
    """Yield a problem for a value that a header cannot contain (RFC 9110 section 5.5)."""
    if not _HEADER_VALUE.fullmatch(value):
        message = "expected one line of Latin-1 without blanks at its ends"
        yield Problem(path, f"{message}, got {value!r}")


def _expression(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_expression, value))}]"
    if isinstance(value, Fault):
        return str(value)
    return name_of(value) if callable(value) else repr(value)


def _not_a_rule(step: object) -> str:
    if isinstance(step, type) and issubclass(step, Fault):
        return f"expected a fault, got the class {step.__name__}; write {step.__name__}(...)"
    hint = "; write script(*steps)" if isinstance(step, list | tuple) else ""
    return f"expected a fault or a rule, got {step!r}{hint}"
