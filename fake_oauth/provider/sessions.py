"""Browser sessions, and the authorization requests that are kept: pushed, or waiting for a login.

A session is an id in a cookie. A login starts a new session, so that an earlier id is worthless. A
request waits under a `p_state`, which belongs to one session and is used up by one login. A pushed
request is kept under a `request_uri`. Use `Sessions` and `PushedRequests` with the realm's lock
held.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from fake_oauth.provider.errors import Target
from fake_oauth.provider.ids import Ids

_KEPT: Final = 4096
REQUEST_URI_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
"""What the `request_uri` of a pushed request begins with (RFC 9126 section 2.2)."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A valid request that needs a login (RFC 6749 section 4.1.1)."""

    client_id: str
    target: Target
    """Where the response is sent."""
    sent_redirect_uri: str | None
    """The redirect_uri in the request; None if the registered one is used."""
    scopes: tuple[str, ...]
    code_challenge: str | None
    nonce: str | None
    ignored_scopes: tuple[str, ...] = ()
    """The requested scopes that the client may not have."""
    resources: tuple[str, ...] = ()
    """The resources that access tokens are requested for (RFC 8707 section 2.1)."""
    dpop_jkt: str | None = None
    """The thumbprint of the key that the code is bound to (RFC 9449 section 10)."""
    prompts: tuple[str, ...] = ()
    """How the user is asked (OpenID Connect Core 1.0 section 3.1.2.1)."""
    max_age: int | None = None
    """How many seconds ago the user may have logged in, at most; None is any time."""
    login_hint: str | None = None
    """The name that the login page begins with."""
    hinted_sub: str | None = None
    """The user of the `id_token_hint`; None if there was none."""
    ui_locales: str | None = None
    """The languages that the client asks for, best first (OpenID Connect Core 1.0 section 3.1.2.1).
    """

    @property
    def shows_page(self) -> bool:
        """Whether the user must be asked, even one who is logged in."""
        return "login" in self.prompts or "select_account" in self.prompts


@dataclass(frozen=True, slots=True)
class Login:
    """A user who is logged in, and since when: seconds since 1970."""

    sub: str
    at: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    session: str
    request: AuthorizationRequest


class Sessions:
    """Sessions and waiting requests. Both end after `seconds`; a few thousand of each are kept."""

    def __init__(self, ids: Ids, seconds: int) -> None:
        self._ids = ids
        self._seconds = seconds
        self._logged_in: _Expiring[Login | None] = _Expiring()
        self._waiting: _Expiring[_Waiting] = _Expiring()

    def begin(self, now: float, login: Login | None = None) -> str:
        """Return the id of a new session, of a user or of a browser without a login."""
        session = self._ids.draw("session")
        self._logged_in.put(session, login, now + self._seconds)
        return session

    def is_known(self, session: str | None, now: float) -> bool:
        """Return whether a session exists, with or without a login."""
        return session is not None and self._logged_in.has(session, now)

    def login(self, session: str | None, now: float) -> Login | None:
        """Return the login of a session; None if there is none."""
        return self._logged_in.get(session, now) if session is not None else None

    def end(self, session: str | None) -> None:
        """End a session."""
        if session is not None:
            self._logged_in.drop(session)

    def end_all_of(self, sub: str) -> None:
        """Log a user out in every browser."""
        self._logged_in.drop_where(lambda login: login is not None and login.sub == sub)

    def wait(self, session: str, request: AuthorizationRequest, now: float) -> str:
        """Keep a request until a login in this session. Return its `p_state`."""
        p_state = self._ids.draw("p_state")
        self._waiting.put(p_state, _Waiting(session, request), now + self._seconds)
        return p_state

    def waiting(
        self, p_state: str | None, session: str | None, now: float
    ) -> AuthorizationRequest | None:
        """Return the request that waits under a `p_state` in this session."""
        found = self._waiting.get(p_state, now) if p_state is not None else None
        return found.request if found is not None and found.session == session else None

    def settle(self, p_state: str) -> bool:
        """Use up a `p_state`. Return whether it was still unused."""
        return self._waiting.drop(p_state)


@dataclass(frozen=True, slots=True)
class PushedRequest:
    """A request that a client has pushed (RFC 9126)."""

    request: AuthorizationRequest
    pushed_by: int
    """The number of the request that pushed it, in the journal."""
    expires_at: float
    used_by: int | None = None
    """The number of the authorization request that used it; None if none has."""

    def flaw(self, client_id: str, now: float) -> str | None:
        """Return why a client cannot use it; None if it can."""
        if self.request.client_id != client_id:
            return f"belongs to client {self.request.client_id}"
        if self.used_by is not None:
            return f"was used by request {self.used_by}"
        if now >= self.expires_at:
            return f"expired {now - self.expires_at:.0f} s ago"
        return None


class PushedRequests:
    """Requests by their `request_uri`. Each ends after `seconds`; a few thousand are kept.

    Those that have ended are kept, too, so that a refusal can say why.
    """

    def __init__(self, ids: Ids, seconds: int) -> None:
        self.seconds = seconds
        """How long a request can be used."""
        self._ids = ids
        self._kept: OrderedDict[str, PushedRequest] = OrderedDict()

    def add(self, request: AuthorizationRequest, number: int, now: float) -> str:
        """Keep a request. Return its `request_uri` (RFC 9126 section 2.2)."""
        uri = REQUEST_URI_PREFIX + self._ids.draw("request_uri")
        self._kept[uri] = PushedRequest(request, number, now + self.seconds)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return uri

    def find(self, uri: str) -> PushedRequest | None:
        """Return a request, even one that can no longer be used."""
        return self._kept.get(uri)

    def use_up(self, uri: str, number: int) -> None:
        """Note which request used a `request_uri`."""
        self._kept[uri] = replace(self._kept[uri], used_by=number)


class _Expiring(Generic[_T]):
    """A bounded mapping whose entries expire."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[_T, float]] = OrderedDict()

    def put(self, key: str, value: _T, expires_at: float) -> None:
        self._entries[key] = (value, expires_at)
        if len(self._entries) > _KEPT:
            self._entries.popitem(last=False)

    def has(self, key: str, now: float) -> bool:
        return key in self._entries and now < self._entries[key][1]

    def get(self, key: str, now: float) -> _T | None:
        return self._entries[key][0] if self.has(key, now) else None

    def drop_where(self, is_dropped: Callable[[_T], bool]) -> None:
        for key in [key for key, (kept, _) in self._entries.items() if is_dropped(kept)]:
            del self._entries[key]

    def drop(self, key: str) -> bool:
        return self._entries.pop(key, None) is not None
