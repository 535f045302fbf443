"""The documented exchanges, a page each: what is asked, what is answered, and who says so.

`fixtures/README.md` says what a page holds. To add one, write a file there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


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
    """Where the pages are: in the package, or beside it where it is developed."""
    inside = Path(__file__).parent.parent / "fixtures"
    return inside if inside.is_dir() else inside.parent.parent / "fixtures"


@cache
def pages() -> Sequence[Page]:
    """Every page, endpoint by endpoint."""
    return tuple(read(path) for path in sorted(folder().glob("*/*.toml")))


def read(path: Path) -> Page:
    """The page in a file. Raises SettingsError with all that is wrong with it."""
    from fake_oauth.provider.errors import SettingsError
    from fake_oauth.structuring import structure

    data = tomllib.loads(path.read_text(encoding="utf-8"))
    page, problems = structure({"name": path.stem, **data}, Page)
    if page is None or problems:
        raise SettingsError(problems)
    return page
