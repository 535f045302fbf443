"""`fake-oauth serve --reload`: take a changed settings file, and keep the port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Final

from fake_oauth.provider.errors import FakeOAuthError, SettingsError
from fake_oauth.server import FakeOAuth
from fake_oauth.settings import Settings
from fake_oauth.structure import Problem
from fake_oauth.toml_file import read_toml

LOOK_SECONDS: Final = 0.2
"""The pause between two looks at the file."""
# An editor that replaces a file needs less time than this many looks.
_PATIENCE: Final = 10
_NEEDS_SOCKET: Final = "a change needs a new socket; stop fake-oauth serve, and start it again"

Stamp = tuple[int, int, int] | None
"""What changes with a file: its time, its size, and its inode; None is a missing file.

A folder and a pipe count as missing. Reading a pipe would wait for its writer.
"""


class Reloader:
    """Looks at a settings file, and resets a server to its new contents.

    A change is used at the second look that finds it: the first can find a half-written file. The
    files that the settings name, which are those of keys, count as part of it.
    """

    def __init__(
        self,
        server: FakeOAuth,
        path: Path,
        read: Callable[[], Settings],
        say: Callable[[str], None],
    ) -> None:
        """`read` returns the settings to use. `say` is called with each line to print."""
        self._server = server
        self._path = path
        self._read = read
        self._say = say
        self._parsed: Stamp = None
        self._keys: list[Path] = []
        self._used = self._seen = self._stamps()
        self._missing = 0

    def look(self) -> None:
        """Use the file if it has changed, and has not changed again since the last look."""
        stamps, seen = self._stamps(), self._seen
        self._seen = stamps
        if stamps[self._path] is None:
            self._missing += 1
            if self._missing == _PATIENCE:
                self._say(f"{self._path}: missing; the server keeps its settings until it is back")
            return
        self._missing = 0
        if stamps != self._used and stamps == seen:
            self._used = stamps
            self._reload()

    def _reload(self) -> None:
        try:
            settings = self._read()
            if settings.tls != self._server.settings.tls:
                raise SettingsError([Problem("$.tls", _NEEDS_SOCKET)], source=str(self._path))
            self._server.reload(settings)
        except FakeOAuthError as error:
            self._say(f"{self._path} changed, but the server keeps its former settings:")
            for line in str(error).split("\n"):
                self._say(f"  {line}")
            return
        self._say(
            f"{self._path} changed: the server is reset to it, without tokens, logins, and journal"
            f" (seed {self._server.seed})"
        )

    def _stamps(self) -> dict[Path, Stamp]:
        own = _stamp(self._path)
        if own != self._parsed:
            self._parsed, self._keys = own, list(_keys(self._path))
        return {self._path: own, **{key: _stamp(key) for key in self._keys}}


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except (OSError, ValueError):  # A path in a file can have a NUL.
        return None
    if not S_ISREG(found.st_mode):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _keys(path: Path) -> Iterator[Path]:
    """Yield the key files that a settings file names. The file need not be valid otherwise."""
    try:
        keys = read_toml(path).get("keys")
    except (OSError, ValueError):
        return
    for key in keys if isinstance(keys, list) else ():
        if isinstance(key, dict) and isinstance(key.get("path"), str):
            yield path.parent / key["path"]
