"""What a server says about itself: where it is to be asked, and what it does not have.

RFC 8414 and OpenID Connect Discovery; neither has all endpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fake_oauth.contract.pages import Request
from fake_oauth.contract.transports import Transport, json_of
from fake_oauth.contract.values import parameters
from fake_oauth.dialects import Dialect
from fake_oauth.web.endpoints import ENDPOINTS


class Metadata:
    """The metadata of one server, which is taken for one of a dialect."""

    def __init__(self, server: Transport, dialect: Dialect) -> None:
        """Raises UnreachableError."""
        self._dialect = dialect
        self._url = server.url
        self._names = {path: name for name, path in dialect.paths.items()}
        self._told: dict[str, Any] = {}
        self._absent: set[str] = set()
        for name in ("metadata", "discovery"):
            if name in dialect.paths:
                said = json_of(server.send(Request(method="GET", path=dialect.paths[name])))
                if isinstance(said, dict) and {"issuer", "token_endpoint"} & said.keys():
                    self._told |= said
                else:
                    self._absent.add(name)

    @property
    def issuer(self) -> str:
        """The issuer; a hole for it if the server does not say."""
        issuer = self._told.get("issuer")
        return issuer if isinstance(issuer, str) else "<issuer>"

    @property
    def scopes(self) -> str:
        """What scopes it supports, as text."""
        scopes = self._told.get("scopes_supported")
        return " ".join(map(str, scopes)) if isinstance(scopes, list) else "<text>"

    @property
    def paths(self) -> dict[str, str]:
        """The dialect's paths by those that the server has, below its own URL."""
        found = {}
        for path, name in self._names.items():
            url = self._told.get(ENDPOINTS[name].member or "")
            if isinstance(url, str) and url.startswith(f"{self._url}/"):
                found[url.removeprefix(self._url)] = path
        return found

    def place(self, path: str) -> str:
        """Where the endpoint is asked that the dialect has at a path: there, or at a URL."""
        if self._dialect.has_fixed_paths or path not in self._names:
            return path
        url = self._told.get(ENDPOINTS[self._names[path]].member or "")
        return url if isinstance(url, str) and url.startswith(("http://", "https://")) else path

    def lacking(self, request: Request) -> str | None:
        """What server a request needs, where this one says it is none; else None.

        A server that says nothing at all may have everything.
        """
        if self._dialect.has_fixed_paths or not self._told:
            return None
        name = self._names.get(request.path.partition("?")[0], "")
        if name in self._absent:
            return f"with metadata at {request.path}"
        member = ENDPOINTS[name].member if name in ENDPOINTS else None
        if member is not None and member not in self._told:
            return f"that says where its {member} is"
        given = parameters(request)
        grant_type = given.get("grant_type")
        supported = self._listed("grant_types_supported", self._dialect.conventions.grants)
        is_known = grant_type in self._dialect.conventions.grants
        if is_known and grant_type not in supported:
            return f"that supports the grant {grant_type}"
        if given.get("code_challenge_method") == "plain":
            plain = self._listed("code_challenge_methods_supported", ("plain",))
            return "that supports S256 alone" if "plain" in plain else None
        methods = self._listed(f"{member}_auth_methods_supported", ("client_secret_basic",))
        is_in_body = "client_secret" in given and "Authorization" not in request.headers
        if is_in_body and "client_secret_post" not in methods:
            return "that takes client_secret_post"
        return None

    def _listed(self, member: str, default: Sequence[str]) -> Sequence[Any]:
        """What a member lists; what it is taken to list where it does not."""
        told = self._told.get(member)
        return told if isinstance(told, list) else default
