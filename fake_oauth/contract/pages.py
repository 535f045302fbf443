"""The documented exchanges, a page each: what is asked, what is answered, and who says so.

`fixtures/README.md` says what a page holds. To add one, write a file there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from fake_oauth.provider.errors import FakeOAuthError, Problem, SettingsError, unknown
from fake_oauth.structuring import structure, unstructured

# What TOML's literal strings cannot hold.
_NOT_LITERAL: Final = re.compile(r"'''|'$|[^\n\t\x20-\x7e\x80-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked, with the documented values in it."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is answered; holes such as `<jwt>` stand for what differs from reply to reply."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    """None where the documentation shows none."""
    also: Sequence[int] = ()
    """Other statuses that a standard allows in its place."""
    optional: Sequence[str] = ()
    """Members and claims that a standard allows to be missing."""
    jose: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The headers of the JWTs in the body (RFC 7515 section 4), by member, in their order."""
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The claims of the JWTs in the body, by member, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One documented exchange."""

    name: str
    """`refresh_token.success`."""
    title: str
    source: str
    request: Request
    response: Response
    before: Sequence[Request] = ()
    """What is asked before it, whatever is answered: to use something up, or to give it up."""
    about: str = ""
    spends: str | None = None
    """What cannot be used again after it, such as `the code`."""
    state: str | None = None
    """How a server must be set up for it, in words; None if as it comes."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """The same as settings of a fake."""
    needs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What must have happened before, and how: a `code`, an `access_token`, an `otp`, a `login`."""


def folder() -> Path:
    """Where the pages are, by dialect: in the package, or beside it where it is developed."""
    inside = Path(__file__).parent.parent / "fixtures"
    return inside if inside.is_dir() else inside.parent.parent / "fixtures"


@cache
def pages(of: str | Path = "ciam") -> Sequence[Page]:
    """Every page, endpoint by endpoint: those of a dialect, by its name, or of a folder.

    Those that spend something come last, as the others may need it, and first of them those that
    get something for it. Raises SettingsError for a page that is none, and FakeOAuthError where
    there is none.
    """
    home = folder() / of if isinstance(of, str) else of
    found = [read(path) for path in sorted(home.glob("**/*.toml"))]
    if not found:
        raise FakeOAuthError(f"there are no pages in {home}")
    return tuple(sorted(found, key=_spending))


def named(names: Sequence[str], among: Sequence[Page]) -> Sequence[Page]:
    """The pages of these names, `*` being any; all of them if there are none.

    Raises FakeOAuthError for a name that is no page's.
    """
    for name in names:
        if not any(fnmatchcase(page.name, name) for page in among):
            hint = unknown(name, [page.name for page in among])
            raise FakeOAuthError(f"there is no page {name}, {hint}")
    return [p for p in among if not names or any(fnmatchcase(p.name, name) for name in names)]


def _spending(page: Page) -> int:
    if page.spends is None:
        return 0
    return 1 if "token" in (page.response.body or "") else 2


def toml_writer() -> ModuleType:
    """The library that writes TOML. Raises FakeOAuthError where it is not installed."""
    try:
        import tomlkit
    except ImportError:
        raise FakeOAuthError('pages need tomlkit: pip install "fake_oauth[check]"') from None
    return tomlkit


def as_toml(page: Page) -> str:
    """A page as the text of its file. Raises FakeOAuthError where tomlkit is not installed."""
    tomlkit = toml_writer()

    def readable(value: Any) -> Any:
        """Text as it reads, where TOML can have it so: several lines, quotation marks."""
        if isinstance(value, Mapping):
            return {name: readable(member) for name, member in value.items()}
        if not isinstance(value, str) or _NOT_LITERAL.search(value):
            return value
        if "\n" in value:
            return tomlkit.value(f"'''\n{value}'''")
        quote = "'''" if "'" in value else "'"
        return tomlkit.value(f"{quote}{value}{quote}") if '"' in value else value

    told = unstructured(page)
    del told["name"]
    text: str = tomlkit.dumps(readable(told))
    return text


def read(path: Path) -> Page:
    """The page in a file. Raises SettingsError with all that is wrong with it."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FakeOAuthError(f"{path}: {error}") from None
    page, problems = structure({"name": path.stem, **data}, Page)
    if page is None or problems:
        raise SettingsError([Problem(f"{path.name}: {one.path}", one.message) for one in problems])
    return page
