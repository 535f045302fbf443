"""What a server is made from: plain values, the same names in Python and in TOML.

Every problem is found at once, each with its path and a hint. Reading data into these values is
`structuring`'s work; what they govern, the provider's.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from fake_oauth.dialects import Dialect, DialectName, dialect_named
from fake_oauth.faults.kinds import read_rules, rules_of
from fake_oauth.faults.rule import Rule
from fake_oauth.faults.seams import Fault
from fake_oauth.key import Key
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import FakeOAuthError, Problem, SettingsError, unknown
from fake_oauth.provider.ids import IdKind
from fake_oauth.provider.parties import (
    AuthSource,
    Client,
    RefreshToken,
    User,
    repeated,
)
from fake_oauth.provider.terms import OwnTerms
from fake_oauth.references import wrong_dialect, wrong_references, wrong_rules

_ISSUER = re.compile(r"https?://[^/?#\s]+[^?#\s]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(OwnTerms):
    """All that can be set. The defaults are the documentation's own (CIAM 1441/64400).

    Beside these it has the terms that it changes: those of the dialect unless given.

    >>> Settings(rotate_refresh_tokens=True).clients[0].client_id
    'TENANT_CLIENT_ID'
    """

    dialect: Dialect | DialectName = "ciam"
    """What makes it the server that it stands for: `ciam`, `rfc`, or a `Dialect` of one's own."""
    issuer: str | None = None
    """The `iss` of every token; None is the URL that the server listens on."""
    seed: int | None = None
    """What ids are made from; None is another one each time (in the pytest fixture: 0, 1, …)."""
    clients: Sequence[Client] = (
        Client(
            client_id="TENANT_CLIENT_ID",
            client_secret="TENANT_CLIENT_SECRET",
            redirect_uris=("https://example.com/callback",),
            logout_redirect_uris=("https://example.com/logout",),
        ),
    )
    users: Sequence[User] = (
        User(
            sub="MOCK_USERNAME",
            password="MOCK_PASSWORD",
            phone="13612345678",
            email="MOCK_USERNAME@example.com",
        ),
    )
    refresh_tokens: Sequence[RefreshToken] = (RefreshToken(value="MOCK_REFRESH_TOKEN"),)
    """Refresh tokens that exist from the start."""
    auth_sources: Sequence[AuthSource] = (
        AuthSource(id="MOCK_USERNAME_PASSWORD_AUTH_SOURCE_ID", kind="password"),
        AuthSource(id="MOCK_SMS_OTP_AUTH_SOURCE_ID", kind="sms"),
        AuthSource(id="MOCK_EMAIL_OTP_AUTH_SOURCE_ID", kind="email"),
    )
    """The ways to log in without a page."""
    auto_login: str | None = None
    """The username or sub of a user who need not log in on the page."""
    session_seconds: int = 3600
    """How long a browser stays logged in, and how long a login may take."""
    keys: Sequence[Key] = ()
    """Own keys: the first signs, the second is next in a rotation."""
    ids: Mapping[IdKind, Sequence[str]] = field(default_factory=dict)
    """Ids to be used before any are made: `{"jti": [...], "code": [...]}`."""
    start_time: float | datetime | None = None
    """Where the clock starts; None is the real time."""
    freeze_time: bool = False
    """Whether the clock stands still until it is moved."""
    tls: bool = False
    """Whether it serves https, with a certificate made when it starts (extra `tls`)."""
    cors_origins: Sequence[str] = ()
    """The origins whose pages may read replies; `*` is any."""
    compact_json: bool | None = None
    """Whether replies are one line of JSON; None is as the dialect has it."""
    journal_limit: int = 1000
    """How many exchanges the journal keeps."""
    faults: Sequence[Rule | Fault] = ()
    """What is to go wrong: the script from the start."""
    resource_scope: str | None = None
    """The scope that the protected resource wants; None is any."""
    resource_skew_seconds: float = 0
    """How far the clock of the protected resource is ahead of the server's."""
    control: bool = False
    """Whether it can be steered over HTTP, below `/_fake/`."""

    @classmethod
    def documented(cls) -> Self:
        """The documented moment: the first refresh answers the documentation's own body.

        Equal byte for byte but for the two signatures, whose private key nobody here has.
        """
        return cls(
            issuer="https://TENANT.PORTAL.DOMAIN",
            seed=0,
            keys=(Key(kid="d49bc505-5572-4ed6-9e48-388c3d44bb46"),),
            ids={
                "jti": (
                    "5a18f141-e341-4338-85d6-bb4e41a86765",
                    "013bab39-f918-448f-a396-ce77eeffdb37",
                )
            },
            start_time=1636449231,
            freeze_time=True,
        )

    @classmethod
    def from_mapping(cls, data: object, *, source: str = "", folder: Path = Path()) -> Self:
        """Settings from plain data. Raises SettingsError with every problem."""
        from fake_oauth.structuring import structure

        scripted: object = ()
        if isinstance(data, Mapping) and "faults" in data:
            scripted, data = data["faults"], {key: data[key] for key in data if key != "faults"}
        rules, unreadable = read_rules(scripted)
        settings, problems = structure(data, cls)
        problems += unreadable
        if settings is not None:
            keys = [
                replace(key, path=None if key.path is None else str(folder / key.path))
                for key in settings.keys
            ]
            settings = replace(settings, keys=keys, faults=tuple(rules))
            # What refers to a part that is wrong cannot be judged.
            problems += settings.value_problems() if problems else settings.problems()
        if settings is None or problems:
            raise SettingsError(problems, source=source)
        return settings

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Settings from a TOML file. Raises SettingsError with every problem."""
        path = Path(path)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError([Problem(str(path), error.strerror or str(error))]) from None
        except ValueError as error:
            raise SettingsError([Problem(str(path), f"not TOML: {error}")]) from None
        return cls.from_mapping(data, source=str(path), folder=path.parent)

    def changed(self, **changes: Any) -> Self:
        """A copy with some fields replaced. Raises SettingsError for a name that none has."""
        known = [term.name for term in fields(self)]
        wrong = [name for name in changes if name not in known]
        if wrong:
            hint = "unknown key, {}".format
            raise SettingsError(
                [Problem(f"$.{name}", hint(unknown(name, known))) for name in wrong]
            )
        return replace(self, **changes)

    def problems(self) -> list[Problem]:
        """All that is wrong with these settings."""
        wrong = list(self._wrong_kinds())
        if wrong:
            return wrong
        values = self.value_problems()
        if any(wrong_dialect(self.dialect)):
            return values
        dialect = dialect_named(self.dialect)
        references = wrong_references(
            dialect=dialect,
            clients=self.clients,
            users=self.users,
            auth_sources=self.auth_sources,
            refresh_tokens=self.refresh_tokens,
            auto_login=self.auto_login,
        )
        rules, _ = rules_of(self.faults)
        unreachable = wrong_rules(rules, self.clients, dialect)
        return [*values, *references, *unreachable]

    def value_problems(self) -> list[Problem]:
        """What is wrong with a value by itself, or with two of a kind."""
        each = (
            Problem(f"$.{name}[{index}].{problem.path}", problem.message)
            for name in _PARTS
            for index, part in enumerate(getattr(self, name))
            for problem in part.problems()
        )
        own = (Problem(f"$.{problem.path}", problem.message) for problem in self._own_problems())
        return [*own, *each, *rules_of(self.faults)[1]]

    def _wrong_kinds(self) -> Iterator[Problem]:
        """Parts that are of another class: what a type checker would have said."""
        for name, kind in _PARTS.items():
            for index, part in enumerate(getattr(self, name)):
                if not isinstance(part, kind):
                    message = f"expected a {kind.__name__}, got {part!r}"
                    yield Problem(f"$.{name}[{index}]", message)
        dialect: object = self.dialect
        if not isinstance(dialect, Dialect | str):
            yield Problem("$.dialect", f"expected a Dialect or the name of one, got {dialect!r}")

    def _own_problems(self) -> Iterator[Problem]:
        yield from wrong_dialect(self.dialect)
        yield from self.wrong_terms()
        if self.issuer is not None and not _ISSUER.fullmatch(self.issuer):
            message = "expected an http or https URL without query and fragment"
            yield Problem("issuer", f"{message}, got {self.issuer!r}")
        for name in ("journal_limit", "session_seconds"):
            if getattr(self, name) < 1:
                yield Problem(name, f"expected at least 1, got {getattr(self, name)}")
        if isinstance(self.cors_origins, str):
            yield Problem("cors_origins", f"expected a list, got {self.cors_origins!r}")
        if len(self.keys) > 2:
            yield Problem(
                "keys", f"expected one that signs and one that is next, got {len(self.keys)}"
            )
        try:
            Clock(self.start_time)
        except FakeOAuthError as error:
            yield Problem("start_time", str(error))
        for kind, ids in self.ids.items():
            yield from repeated(f"ids.{kind}", ids)
        yield from repeated("clients", (client.client_id for client in self.clients), "client_id")
        yield from repeated("users", (user.sub for user in self.users), "sub")
        yield from repeated("users", (user.login for user in self.users), "username")
        yield from repeated("refresh_tokens", (t.value for t in self.refresh_tokens), "value")
        yield from repeated("auth_sources", (source.id for source in self.auth_sources), "id")


_PARTS = {
    "clients": Client,
    "users": User,
    "refresh_tokens": RefreshToken,
    "auth_sources": AuthSource,
    "keys": Key,
}
