"""Client metadata: how a client describes itself (RFC 7591 section 2).

`MEMBERS` has every member that is understood; others are ignored. A registration and a Client ID
Metadata Document have the same members, and differ in how the client authenticates.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, Literal

from fake_oauth.provider.errors import shown
from fake_oauth.provider.keys import jwks_problems
from fake_oauth.provider.model import Client
from fake_oauth.structure import json_problems

Shape = Literal["text", "texts", "object", "flag"]

MEMBERS: Final[Mapping[str, Shape]] = {
    "redirect_uris": "texts",
    "post_logout_redirect_uris": "texts",
    "token_endpoint_auth_method": "text",
    "grant_types": "texts",
    "response_types": "texts",
    "application_type": "text",
    "client_name": "text",
    "client_uri": "text",
    "logo_uri": "text",
    "scope": "text",
    "contacts": "texts",
    "tos_uri": "text",
    "policy_uri": "text",
    "jwks_uri": "text",
    "jwks": "object",
    "software_id": "text",
    "software_version": "text",
    "dpop_bound_access_tokens": "flag",
    "require_pushed_authorization_requests": "flag",
}
"""The members that are understood, in the order in which a registration returns them (RFC 7591
section 2, OpenID Connect Dynamic Client Registration 1.0 section 2, RP-Initiated Logout 1.0 section
3.1, RFC 9449 section 5.2, RFC 9126 section 6)."""
APPLICATION_TYPES: Final = ("web", "native")

_WORDS: Final[Mapping[Shape, str]] = {
    "text": "a string that is not blank",
    "texts": "a list of strings that are not blank",
    "object": "an object",
    "flag": "true or false",
}
# RFC 3986 in ASCII, without a user and a fragment: a browser is redirected to these, and a header
# of the login page names them.
_WEB_URI: Final = re.compile(
    r"(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?][!\"$-~]*)?"
)
_OWN_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!\"$-Z\\^-~]+")
_NO_SCHEME_OF_ITS_OWN: Final = ("http:", "https:", "javascript:", "data:", "vbscript:")
_LOOPBACK: Final = re.compile(r"127(?:\.[0-9]+){3}|\[::1\]|localhost")
# RFC 6749 section 3.3.
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*")


class MetadataError(Exception):
    """Metadata that cannot be used: the member at fault, and the reason."""

    def __init__(self, member: str, reason: str) -> None:
        super().__init__(reason)
        self.member = member
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """Valid client metadata."""

    members: Mapping[str, Any]
    """The members that are understood, with their defaults, in the order of `MEMBERS`."""

    @property
    def has_secret(self) -> bool:
        """Whether the client authenticates with a secret."""
        return str(self.members["token_endpoint_auth_method"]).startswith("client_secret_")

    def client(self, client_id: str, client_secret: str | None = None) -> Client:
        """Return the client that these metadata describe."""
        members = self.members
        method = members["token_endpoint_auth_method"]
        return Client(
            client_id=client_id,
            client_secret=client_secret,
            jwks=members["jwks"] if method == "private_key_jwt" else None,
            name=members.get("client_name"),
            grant_types=tuple(members["grant_types"]),
            scopes=tuple(dict.fromkeys(members["scope"].split(" "))),
            redirect_uris=tuple(members.get("redirect_uris", ())),
            logout_redirect_uris=tuple(members.get("post_logout_redirect_uris", ())),
            dpop_bound_access_tokens=members.get("dpop_bound_access_tokens", False),
            require_pushed_authorization_requests=members.get(
                "require_pushed_authorization_requests", False
            ),
            token_endpoint_auth_methods=None if method == "none" else (method,),
        )

    def __str__(self) -> str:
        """Return what was registered, for the journal."""
        members = self.members
        return (
            f"{members['token_endpoint_auth_method']}, {' '.join(members['grant_types'])}, "
            f"scope {shown(members['scope'])}, "
            f"redirect_uris {shown(members.get('redirect_uris', []))}"
        )


def read(
    document: Mapping[str, Any],
    *,
    methods: Sequence[str],
    default_method: str,
    grant_types: Collection[str],
    default_grant_types: Sequence[str],
    default_scopes: Sequence[str],
) -> ClientMetadata:
    """Return the metadata in a document. Raise MetadataError for the first flaw.

    A `null` is an omitted member. `methods` and `grant_types` are those that are supported.
    """
    sent = {name: document[name] for name in MEMBERS if document.get(name) is not None}
    grants: Sequence[str] = _checked(sent, "grant_types", default_grant_types)
    uris = _redirect_uris(sent, is_required="authorization_code" in grants)
    for name in sent:
        _checked(sent, name, None)
    _require_absolute("post_logout_redirect_uris", sent.get("post_logout_redirect_uris", ()))
    kind = _application_type(sent, uris)
    method = _one_of(sent, "token_endpoint_auth_method", methods, default_method)
    for grant_type in grants:
        if grant_type not in grant_types:
            known = " ".join(grant_types)
            reason = f"grant type {shown(grant_type)} is not served; served: {known}"
            raise MetadataError("grant_types", reason)
    responses = _response_types(sent, grants)
    scope = sent.get("scope", " ".join(default_scopes))
    if not _SCOPE.fullmatch(scope):
        reason = f"scope {shown(scope)} is not words with one space between them"
        raise MetadataError("scope", reason)
    _require_keys(sent, method)
    members = sent | {
        "token_endpoint_auth_method": method,
        "grant_types": list(grants),
        "response_types": list(responses),
        "application_type": kind,
        "scope": scope,
    }
    return ClientMetadata({name: members[name] for name in MEMBERS if name in members})


def _checked(sent: Mapping[str, Any], name: str, default: Any) -> Any:
    """Return a member that has the right shape, or the default."""
    if name not in sent:
        return default
    value, shape = sent[name], MEMBERS[name]
    if shape == "flag":
        fits = isinstance(value, bool)
    elif shape == "object":
        fits = isinstance(value, dict) and not any(json_problems(name, value))
    else:
        listed = value if shape == "texts" and isinstance(value, list) else [value]
        is_list = isinstance(value, list) == (shape == "texts")
        fits = is_list and all(isinstance(item, str) and item.strip() for item in listed)
    if not fits:
        raise MetadataError(name, f"{name} {shown(value)} is not {_WORDS[shape]}")
    return value


def _one_of(sent: Mapping[str, Any], name: str, known: Sequence[str], default: str) -> str:
    value: str = _checked(sent, name, default)
    if value not in known:
        reason = f"{name} {shown(value)} is not one of {', '.join(known)}"
        raise MetadataError(name, reason)
    return value


def _redirect_uris(sent: Mapping[str, Any], *, is_required: bool) -> Sequence[str]:
    uris: Sequence[str] = _checked(sent, "redirect_uris", [])
    if is_required and not uris:
        raise MetadataError("redirect_uris", "redirect_uris missing, and a code needs one")
    _require_absolute("redirect_uris", uris)
    return uris


def _require_absolute(name: str, uris: Sequence[str]) -> None:
    """Check that a browser can be redirected to each URI."""
    for uri in uris:
        if not _is_web(uri) and not _has_own_scheme(uri):
            reason = f"{name}: {shown(uri)} is not an absolute URI without fragment and user"
            raise MetadataError(name, reason)


def _application_type(sent: Mapping[str, Any], uris: Sequence[str]) -> str:
    """Return the kind of application, and check that its redirect URIs fit it.

    OpenID Connect Dynamic Client Registration 1.0 section 2. A client that does not say its kind
    can have a scheme of its own. A native one can have an https URI (RFC 8252 section 7.2).
    """
    inferred = "web" if all(map(_is_web, uris)) else "native"
    kind = _one_of(sent, "application_type", APPLICATION_TYPES, inferred)
    for uri in uris:
        match = _WEB_URI.fullmatch(uri)
        if kind == "web" and match is None:
            reason = f"redirect URI {shown(uri)} of a web application is not http or https"
            raise MetadataError("redirect_uris", reason)
        host = match[2].lower() if match is not None and match[1] == "http" else "localhost"
        if kind == "native" and not _LOOPBACK.fullmatch(host):
            reason = f"redirect URI {shown(uri)} of a native application is http elsewhere"
            raise MetadataError("redirect_uris", reason)
    return kind


def _response_types(sent: Mapping[str, Any], grants: Sequence[str]) -> Sequence[str]:
    """Return the response types, which agree with the grant types (RFC 7591 section 2.1)."""
    needed = ["code"] if "authorization_code" in grants else []
    responses: Sequence[str] = _checked(sent, "response_types", needed)
    for response_type in responses:
        if response_type != "code":
            reason = f"response type {shown(response_type)} is not code"
            raise MetadataError("response_types", reason)
    if bool(responses) != bool(needed):
        reason = "response type code and grant type authorization_code need each other"
        raise MetadataError("response_types", reason)
    return responses


def _require_keys(sent: Mapping[str, Any], method: str) -> None:
    """Check the keys of the client, which are not fetched."""
    if "jwks" in sent and "jwks_uri" in sent:
        raise MetadataError("jwks", "jwks and jwks_uri together (RFC 7591 section 2)")
    if method != "private_key_jwt":
        return
    if "jwks" not in sent:
        raise MetadataError("jwks", "private_key_jwt needs jwks; a jwks_uri is not fetched")
    for problem in jwks_problems("jwks", sent["jwks"]):
        raise MetadataError("jwks", f"{problem.path}: {problem.message}")


def _is_web(uri: str) -> bool:
    match = _WEB_URI.fullmatch(uri)
    if match is None or not match[2].startswith("["):
        return match is not None
    try:
        ip_address(match[2][1:-1])
    except ValueError:
        return False
    return True


def _has_own_scheme(uri: str) -> bool:
    return bool(_OWN_SCHEME.fullmatch(uri)) and not uri.lower().startswith(_NO_SCHEME_OF_ITS_OWN)
