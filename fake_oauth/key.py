"""A key of one's own: where its PEM is, and what it is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fake_oauth.provider.errors import FakeOAuthError, Problem


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
