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

from fake_oauth.provider.clock import Clock
from fake_oauth.provider.errors import FakeOAuthError, Problem, SettingsError, unknown
from fake_oauth.provider.ids import IdKind
from fake_oauth.provider.parties import Client, RefreshToken, Terms, User, repeated, too_short_terms

_ISSUER = re.compile(r"https?://[^/?#\s]+[^?#\s]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An RSA key to sign with: from PEM text, from a PEM file, or the shipped one renamed."""

    pem: str | None = None
    path: str | None = None
    """A file; relative paths start at the settings file, or where Python was started."""
    kid: str | None = None
    """Its name; None is a UUID made from the key."""

    def read(self) -> bytes | None:
        """The PEM; None for the shipped key. Raises OSError."""
        if self.path is not None:
            return Path(self.path).read_bytes()
        return None if self.pem is None else self.pem.encode()

    def problems(self) -> Iterator[Problem]:
        from fake_oauth.provider.keys import read_key  # not before somebody has a key

        name = "pem" if self.path is None else "path"
        if self.pem is not None and self.path is not None:
            yield Problem("pem", "expected pem or path, got both")
        try:
            pem = self.read()
            if pem is not None:
                read_key(pem)
        except OSError as error:
            yield Problem(name, f"{self.path}: {error.strerror}")
        except FakeOAuthError as error:
            yield Problem(name, str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Terms):
    """All that can be set. The defaults are the documentation's own (CIAM 1441/64400).

    >>> Settings(rotate_refresh_tokens=True).clients[0].client_id
    'TENANT_CLIENT_ID'
    """

    issuer: str | None = None
    """The `iss` of every token; None is the URL that the server listens on."""
    seed: int | None = None
    """What ids are made from; None is another one each time (in the pytest fixture: 0, 1, …)."""
    clients: Sequence[Client] = (
        Client(client_id="TENANT_CLIENT_ID", client_secret="TENANT_CLIENT_SECRET"),
    )
    users: Sequence[User] = (User(sub="MOCK_USERNAME"),)
    refresh_tokens: Sequence[RefreshToken] = (RefreshToken(value="MOCK_REFRESH_TOKEN"),)
    """Refresh tokens that exist from the start."""
    keys: Sequence[Key] = ()
    """Own keys: the first signs, the second is next in a rotation."""
    ids: Mapping[IdKind, Sequence[str]] = field(default_factory=dict)
    """Ids to be used before any are made: `{"jti": [...], "refresh_token": [...]}`."""
    start_time: float | datetime | None = None
    """Where the clock starts; None is the real time."""
    freeze_time: bool = False
    """Whether the clock stands still until it is moved."""
    compact_json: bool = False
    """Whether replies are one line instead of the documented layout."""
    journal_limit: int = 1000
    """How many exchanges the journal keeps."""

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

        settings, problems = structure(data, cls)
        if settings is not None:
            keys = [
                replace(key, path=None if key.path is None else str(folder / key.path))
                for key in settings.keys
            ]
            settings = replace(settings, keys=keys)
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
        problems = [
            Problem(f"$.{name}", f"unknown key, {unknown(name, known)}")
            for name in changes
            if name not in known
        ]
        if problems:
            raise SettingsError(problems)
        return replace(self, **changes)

    def problems(self) -> list[Problem]:
        """All that is wrong with these settings."""
        wrong = list(self._wrong_kinds())
        return wrong or [*self.value_problems(), *self._references()]

    def value_problems(self) -> list[Problem]:
        """What is wrong with a value by itself, or with two of a kind."""
        each = (
            Problem(f"$.{name}[{index}].{problem.path}", problem.message)
            for name in ("clients", "users", "refresh_tokens", "keys")
            for index, part in enumerate(getattr(self, name))
            for problem in part.problems()
        )
        own = (Problem(f"$.{problem.path}", problem.message) for problem in self._own_problems())
        return [*own, *each]

    def _wrong_kinds(self) -> Iterator[Problem]:
        """Parts that are of another class: what a type checker would have said."""
        for name, kind in (
            ("clients", Client),
            ("users", User),
            ("refresh_tokens", RefreshToken),
            ("keys", Key),
        ):
            for index, part in enumerate(getattr(self, name)):
                if not isinstance(part, kind):
                    message = f"expected a {kind.__name__}, got {part!r}"
                    yield Problem(f"$.{name}[{index}]", message)

    def _own_problems(self) -> Iterator[Problem]:
        yield from too_short_terms(self)
        if self.issuer is not None and not _ISSUER.fullmatch(self.issuer):
            message = "expected an http or https URL without query and fragment"
            yield Problem("issuer", f"{message}, got {self.issuer!r}")
        if self.journal_limit < 1:
            yield Problem("journal_limit", f"expected at least 1, got {self.journal_limit}")
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

    def _references(self) -> Iterator[Problem]:
        """Names of one part that another part should have."""
        from fake_oauth.provider.grants import GRANTS  # not before somebody starts a server

        for index, client in enumerate(self.clients):
            for grant_type in client.grant_types or ():
                if grant_type not in GRANTS:
                    hint = unknown(grant_type, list(GRANTS))
                    message = f"grant_type {grant_type!r} is not served, {hint}"
                    yield Problem(f"$.clients[{index}].grant_types", message)
        clients = {client.client_id: client for client in self.clients}
        logins = [name for user in self.users for name in {user.login, user.sub}]
        for index, token in enumerate(self.refresh_tokens):
            path = f"$.refresh_tokens[{index}]"
            owner = next(iter(clients), None) if token.client is None else token.client
            if owner not in clients:
                hint = unknown(owner or "", list(clients))
                yield Problem(f"{path}.client", f"no client {owner or 'to own it'}, {hint}")
            elif token.scope is not None:
                for scope in token.scope.split():
                    if scope not in clients[owner].scopes:
                        hint = unknown(scope, clients[owner].scopes)
                        message = f"client {owner} may not have scope {scope!r}, {hint}"
                        yield Problem(f"{path}.scope", message)
            if not logins or (token.user is not None and token.user not in logins):
                hint = unknown(token.user or "", logins)
                yield Problem(f"{path}.user", f"no user {token.user or 'to own it'}, {hint}")
