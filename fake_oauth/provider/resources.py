"""The protected resources: which an access token is for, and what their metadata say.

A client names them with `resource` (RFC 8707). A resource that is served here has metadata (RFC
9728); one that is elsewhere is only a name. What a resource does with a token is in `bearer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.model import ProtectedResource, Resource
from fake_oauth.provider.request import Parameters

if TYPE_CHECKING:
    from fake_oauth.provider.realm import Realm

Place = Literal["challenge", "path", "root"]
"""Where a client finds the metadata of a resource: at the URL in a challenge (RFC 9728 section
5.1), at the well-known path with that of the resource after it (section 3.1), and at the bare
well-known path."""

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_ABSOLUTE_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^#\s]+")


class Resources:
    """The protected resources of one server: the one at the dialect's path, and others."""

    def __init__(
        self,
        issuer: str,
        first: Resource,
        others: Sequence[ProtectedResource] = (),
        *,
        are_indicated: bool = False,
        places: Sequence[Place] = (),
    ) -> None:
        self.first = first
        self.are_indicated = are_indicated
        """Whether clients name with `resource` what an access token is for (RFC 8707)."""
        issuer = issuer.rstrip("/")
        origin = _ORIGIN.match(issuer)
        self._origin = issuer if origin is None else origin[0]
        self._prefix = issuer.removeprefix(self._origin)
        self._accepts_any = not others
        self._places = places
        made = [self._made(other) for other in others]
        self._by_identifier = {resource.identifier: resource for resource in (first, *made)}

    @property
    def default_audience(self) -> tuple[str, ...]:
        """What an access token is for if its client names no resource; none is the client."""
        return (self.first.identifier,) if self.are_indicated else ()

    @property
    def described(self) -> list[str]:
        """The identifiers of the resources that have metadata at a path (RFC 9728 section 4)."""
        return [found.identifier for found in self] if "path" in self._places else []

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_identifier.values())

    def _made(self, resource: ProtectedResource) -> Resource:
        return Resource(
            identifier=resource.identifier or self.url(resource),
            path=resource.path,
            name=resource.name,
            scopes=resource.scopes,
            scope=resource.scope,
        )

    def at(self, path: str) -> Resource | None:
        """Return the resource that is served at a path, which may have that of the issuer."""
        below = path.removeprefix(self._prefix)
        return next((found for found in self if found.path in (path, below)), None)

    def named(self, identifier: str) -> str | None:
        """Return the identifier as it is configured; None if there is no such resource.

        Without configured resources, each identifier is one. Clients write a final slash or not
        after an origin.
        """
        without_slash = identifier.removesuffix("/")
        for known in (identifier, without_slash, f"{identifier}/"):
            if known in self._by_identifier:
                return known
        is_origin = _ORIGIN.fullmatch(without_slash) is not None
        return (without_slash if is_origin else identifier) if self._accepts_any else None

    def url(self, resource: Resource | ProtectedResource) -> str:
        """Return where a resource is served."""
        return f"{self._origin}{self._prefix}{resource.path}"

    def metadata_url(self, resource: Resource) -> str:
        """Return where the metadata of a resource is (RFC 9728 section 3.1)."""
        suffix = self.url(resource).removeprefix(self._origin) if "path" in self._places else ""
        return f"{self._origin}{WELL_KNOWN}{suffix}"

    def challenge_url(self, resource: Resource) -> str | None:
        """Return the URL for a challenge; None if challenges have none."""
        return self.metadata_url(resource) if "challenge" in self._places else None

    def described_at(self, path: str) -> Resource | None:
        """Return the resource whose metadata are at a well-known path; None if none are."""
        suffix = path.removeprefix(WELL_KNOWN)
        if suffix in ("", "/"):
            return self.first if "root" in self._places else None
        return self.at(suffix) if "path" in self._places else None


def requested(realm: Realm, parameters: Parameters) -> tuple[str, ...]:
    """Return the resources that a request names, as they are configured (RFC 8707 section 2).

    A server without resource indicators ignores them.
    """
    return named(realm, parameters) if realm.resources.are_indicated else ()


def named(realm: Realm, parameters: Parameters) -> tuple[str, ...]:
    """Return the values of `resource`, as they are configured. Raise OAuthError for a bad one."""
    found = []
    for sent in parameters.all("resource"):
        if not _ABSOLUTE_URI.fullmatch(sent):
            reason = f"resource {sent!r} is not an absolute URI without fragment"
            raise bad_target("resource", reason)
        if (name := realm.resources.named(sent)) is None:
            known = ", ".join(resource.identifier for resource in realm.resources)
            raise bad_target("resource", f"resource {sent!r} is unknown; known: {known}")
        found.append(name)
    return tuple(dict.fromkeys(found))


def audience(
    realm: Realm, parameters: Parameters, granted: Sequence[str] = ()
) -> tuple[tuple[str, ...], str]:
    """Return the resources that a new access token is for, and a note for the journal.

    They are those of the request, which must be among the `granted` ones, or the first granted one.
    None is the default of `Resources`.
    """
    if not realm.resources.are_indicated:
        return (), ""
    names = requested(realm, parameters)
    for name in names:
        if granted and name not in granted:
            reason = f"resource {name} was not granted; granted: {' '.join(granted)}"
            raise bad_target("resource", reason)
    if names:
        return names, ""
    if len(granted) > 1:
        return (granted[0],), f"; no resource named, so the token is for {granted[0]}"
    return tuple(granted), ""


def metadata(realm: Realm, path: str) -> dict[str, Any]:
    """Return the metadata of a resource (RFC 9728 sections 2 and 3.2)."""
    resource = realm.resources.described_at(path)
    if resource is None:
        raise OAuthError(
            "not_found", f"no resource has its metadata at {path}", cause="path_unknown"
        )
    servers = resource.authorization_servers
    scopes = resource.known_scopes
    return {
        "resource": resource.identifier,
        "authorization_servers": [realm.issuer] if servers is None else list(servers),
        **({"scopes_supported": list(scopes)} if scopes else {}),
        "bearer_methods_supported": ["header"],
        **({} if resource.name is None else {"resource_name": resource.name}),
    }


def bad_target(parameter: str, reason: str) -> OAuthError:
    """Return the refusal of a resource or audience (RFC 8707 section 2, RFC 8693 section 2.2.2)."""
    return OAuthError("invalid_target", reason, cause="target", parameter=parameter)
