"""The dialects that ship with the package, and how a custom one is found.

A dialect is a subclass of `Dialect` in a module of its own. To add one, write the module, list its
class in `DIALECTS`, and put its cases into a folder of `fixtures/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Final

from fake_oauth.dialects.ciam import CIAM as CIAM
from fake_oauth.dialects.mcp import MCP as MCP
from fake_oauth.dialects.rfc import RFC as RFC
from fake_oauth.provider.dialect import Dialect as Dialect
from fake_oauth.provider.dialect import ErrorResponse as ErrorResponse
from fake_oauth.provider.dialect import Text as Text
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.structure import suggestion

DIALECTS: Final[Mapping[str, Dialect]] = {
    dialect.name: dialect for dialect in (CIAM(), RFC(), MCP())
}
"""The dialects of the package, by name."""


def load_dialect(dialect: Dialect | type[Dialect] | str) -> Dialect:
    """Return a dialect from its name, from `package.module:Class`, from its class, or itself.

    Raise FakeOAuthError for an unknown name, and for a class that cannot be imported.
    """
    if isinstance(dialect, str):
        return DIALECTS[dialect] if dialect in DIALECTS else _custom(dialect)
    return dialect() if isinstance(dialect, type) else dialect


@cache
def _custom(name: str) -> Dialect:
    module, colon, attribute = name.partition(":")
    if not colon:
        hint = suggestion(name, list(DIALECTS))
        raise FakeOAuthError(f"unknown dialect {name!r}; {hint} (or package.module:Class)")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise FakeOAuthError(f"cannot import dialect {name!r}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Dialect)):
        raise FakeOAuthError(f"{name!r} is not a subclass of fake_oauth.Dialect")
    return found()
