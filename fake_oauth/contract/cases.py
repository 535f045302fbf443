"""Cases: documented or recorded exchanges, one TOML file each.

`fixtures/README.md` lists the keys of a file. To add a case, add a file to the folder of its
dialect and endpoint. `compare` decides how a response is compared with its case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from fake_oauth.provider.errors import FakeOAuthError, SettingsError
from fake_oauth.structure import Problem, structure, suggestion, unstructure
from fake_oauth.toml_file import read_toml

Verdict = Literal["matches", "differs", "skipped"]
"""How a case ended."""

# The characters that TOML's literal strings cannot contain.
_NOT_LITERAL: Final = re.compile(r"'''|'$|[^\n\t\x20-\x7e\x80-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request; in a case it has the documented values."""

    method: str
    path: str
    """The path with its query. A target can replace it with a URL."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedResponse:
    """The response of a case; placeholders such as `<jwt>` match values that vary."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    """None if the source shows no body."""
    other_statuses: Sequence[int] = ()
    """Other statuses that a standard allows."""
    optional: Sequence[str] = ()
    """Members and claims that a standard allows to be missing."""
    jose: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The headers of the JWTs in the body, by member, in order (RFC 7515 section 4)."""
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The claims of the JWTs in the body, by member, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One exchange, and its preconditions."""

    name: str
    """The name of the file: `refresh_token.success`."""
    title: str
    source: str
    """The document that shows the exchange."""
    about: str = ""
    dialect: str | None = None
    """The dialect whose paths a recorded case has; None for the cases of a dialect."""
    request: Request
    response: ExpectedResponse
    before: Sequence[Request] = ()
    """Requests to send first, whatever the responses: to use up a code, or to revoke a token."""
    spends: str | None = None
    """The thing that the case uses up, such as `the code`."""
    state: str | None = None
    """How a server must be set up, in words; None if any server will do."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The same as the settings of a fake."""
    needs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What must exist before, and its parameters: a `code`, a `device_code`, an `access_token`,
    a `client_token`, an `otp`, a `login`."""


def folder() -> Path:
    """Return the folder of the dialects' cases: in the package, or next to it in the project."""
    inside = Path(__file__).parent.parent / "fixtures"
    return inside if inside.is_dir() else inside.parent.parent / "fixtures"


def cases(of: str | Path = "ciam") -> Sequence[Case]:
    """Return every case of a dialect, by its name, or of a folder.

    Cases that use something up come last. Of these, cases whose response has a token come first.
    Raise SettingsError if a file is not a valid case, and FakeOAuthError if there are no cases.
    """
    return _shipped(of) if isinstance(of, str) else _read_all(of)


@lru_cache(maxsize=16)
def _shipped(dialect: str) -> Sequence[Case]:
    return _read_all(folder() / dialect)


def _read_all(home: Path) -> Sequence[Case]:
    found = [read(path) for path in sorted(home.glob("**/*.toml"))]
    if not found:
        raise FakeOAuthError(f"{home}: no cases found; expected TOML files")
    return tuple(sorted(found, key=_order))


def _order(case: Case) -> int:
    if case.spends is None:
        return 0
    return 1 if "token" in (case.response.body or "") else 2


def select(names: Sequence[str], among: Sequence[Case]) -> Sequence[Case]:
    """Return the cases with these names, such as `pkce.*`; all cases if there are no names.

    Raise FakeOAuthError for a name that no case has.
    """
    for name in names:
        if not any(fnmatchcase(case.name, name) for case in among):
            names = [case.name for case in among]
            hint = suggestion(name, names, page="the table that `check` prints without --case")
            if any(known.startswith(name) for known in names):
                hint = f"did you mean '{name}*'?"
            raise FakeOAuthError(f"unknown case {name!r}; {hint}")
    return [c for c in among if not names or any(fnmatchcase(c.name, name) for name in names)]


def read(path: Path) -> Case:
    """Return the case in a file. Raise SettingsError with every problem of the file."""
    try:
        data = read_toml(path)
    except (OSError, ValueError) as error:
        raise FakeOAuthError(f"{path}: {error}") from None
    case, problems = structure({"name": path.stem, **data}, Case)
    if case is None or problems:
        raise SettingsError([Problem(f"{path.name}: {one.path}", one.message) for one in problems])
    return case


def toml_writer() -> ModuleType:
    """Return the library that writes TOML. Raise FakeOAuthError if it is not installed."""
    try:
        import tomlkit  # of the extra `check`
    except ImportError:
        raise FakeOAuthError(
            'writing cases requires tomlkit; pip install "fake_oauth[check]"'
        ) from None
    return tomlkit


def to_toml(case: Case) -> str:
    """Return the text of a case's file. Raise FakeOAuthError if tomlkit is not installed."""
    tomlkit = toml_writer()

    def readable(value: Any) -> Any:
        """Return text in a form without escapes, if TOML has one for it."""
        if isinstance(value, Mapping):
            return {name: readable(member) for name, member in value.items()}
        if not isinstance(value, str) or _NOT_LITERAL.search(value):
            return value
        if "\n" in value:
            return tomlkit.value(f"'''\n{value}'''")
        quote = "'''" if "'" in value else "'"
        return tomlkit.value(f"{quote}{value}{quote}") if '"' in value else value

    data = unstructure(case)
    del data["name"]
    text: str = tomlkit.dumps(readable(data))
    return text
