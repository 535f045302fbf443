"""A realm as it is served: its dialect, and where its endpoints are."""

from __future__ import annotations

from urllib.parse import urlsplit

from fake_oauth.dialects import Dialect
from fake_oauth.provider.realm import Realm


class Site:
    """What an endpoint answers for."""

    def __init__(self, realm: Realm, dialect: Dialect) -> None:
        self.realm = realm
        self.dialect = dialect
        self._prefix = urlsplit(realm.issuer).path.rstrip("/")
        self._names = {path: name for name, path in dialect.paths.items()}

    def url_of(self, name: str) -> str:
        """Where an endpoint is for those who know the issuer."""
        return self.realm.issuer.rstrip("/") + self.dialect.paths[name]

    def endpoint_at(self, path: str) -> str | None:
        """The name of the endpoint that is served at a path, if one is.

        The path is below the issuer's own, which a proxy may have taken off already; a well-known
        one may have it at its end (RFC 8414 section 3.1).
        """
        if path.startswith(f"{self._prefix}/"):
            path = path.removeprefix(self._prefix)
        if path.startswith("/.well-known/"):
            path = path.removesuffix(self._prefix)
        return self._names.get(path)
