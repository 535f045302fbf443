"""Edges between tokens: which request issued a token, and which token or code led to it.

The journal knows it, and the store knows some of it. Both forget. An edge that neither has any more
is inferred from the order of the tokens, if only one order is possible; otherwise there is none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import unquote_plus

from fake_oauth.journal import Exchange
from fake_oauth.provider.grants.device_code import DEVICE_CODE
from fake_oauth.provider.grants.token_exchange import TOKEN_EXCHANGE
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.store import AuthorizationCode, Grant, IssuedToken, RefreshToken

# The parameter with the token that leads to others, by grant type.
_LEADING: Final = {
    "refresh_token": "refresh_token",
    "authorization_code": "code",
    DEVICE_CODE: "device_code",
    TOKEN_EXCHANGE: "subject_token",
}
# The end of what a record says of the request that used it up: `rotated by request 12`.
_REQUEST: Final = re.compile(r" request (\d+)$", re.ASCII)
# A code in a redirect. A fault can make it anything, even what is not a URL.
_CODE_PARAMETER: Final = re.compile(r"[?&#]code=([^&#]+)")
# A code in a form that the browser posts (OAuth 2.0 Form Post Response Mode).
_CODE_FIELD: Final = re.compile(rb'name="code" value="([^"]+)"')

Edge = tuple[int | None, str | None]
"""The number of the request that issued a token, and the token that led to it."""
_UNKNOWN: Final[Edge] = (None, None)


class History:
    """What the journal knows of tokens, by their names."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.presented: dict[str, list[Exchange]] = defaultdict(list)
        self._issued: dict[str, Exchange] = {}
        self._codes: dict[str, int] = {}
        for exchange in exchanges:
            names = set(exchange.tokens.values())
            for name in names:
                self.presented[name].append(exchange)
            for name in (*exchange.issued, *exchange.lost):
                # A refresh token that does not rotate is in each response; the first issued it.
                if name not in names:
                    self._issued.setdefault(name, exchange)
            if exchange.endpoint in ("authorize", "login"):
                self._codes |= dict.fromkeys(_codes_in(exchange), exchange.number)

    def issuer(self, name: str) -> Exchange | None:
        """Return the request that issued a token, if it is known."""
        return self._issued.get(name)

    def issuer_of_code(self, value: str | None) -> int | None:
        """Return the number of the request that issued an authorization code, if it is known."""
        return self._codes.get(value or "")


def _codes_in(exchange: Exchange) -> Iterator[str]:
    """Yield the authorization code in a response, from its redirect or from its form."""
    location = exchange.response_headers.get("Location", "")
    yield from map(unquote_plus, _CODE_PARAMETER.findall(location))
    yield from (code.decode(errors="replace") for code in _CODE_FIELD.findall(exchange.body))


class Edges:
    """Which request issued each token of a family, and which token led to it."""

    def __init__(
        self,
        realm: Realm,
        grant: Grant,
        records: Sequence[IssuedToken],
        kept: Sequence[IssuedToken],
        history: History,
        codes: Mapping[int, str],
    ) -> None:
        """`kept` are the records whose edges are of interest."""
        self._grant = grant
        self._history = history
        self._codes = codes
        client = realm.clients.get(grant.client_id)
        self._repeats = client is not None and realm.policy(client).grace_gives == "successor"
        """Whether a replay gets the successor again, so that more than one response has it."""
        self._is_preconfigured = "/preconfigured" in grant.name
        leading = [record for record in records if record.letter != "a"]
        refresh_tokens = [token for token in leading if isinstance(token, RefreshToken)]
        self._leading = {record.name: record for record in leading}
        # The first successor of each token that is remembered; others are of a grace period.
        self._first: dict[int, RefreshToken] = {}
        for token in refresh_tokens:
            self._first.setdefault(id(token.parent), token)
        self._known: dict[str, Edge] = {}
        for record in dict.fromkeys((*leading, *kept)):
            edge = self._from_journal(record) or self._from_store(record)
            if edge is not None:
                self._known[record.name] = edge
        self._known |= self._inferred(refresh_tokens)

    def of(self, token: IssuedToken) -> Edge:
        """Return the edge that leads to a token."""
        known = self._known.get(token.name)
        if known is not None:
            return known
        return self._of_access_token(token) if token.letter == "a" else _UNKNOWN

    def _from_journal(self, token: IssuedToken) -> Edge | None:
        if isinstance(token, AuthorizationCode):
            return self._history.issuer_of_code(self._codes.get(id(token))), None
        exchange = self._history.issuer(token.name)
        if exchange is None:
            return None
        origin = exchange.tokens.get(_LEADING.get(exchange.grant_type or "", ""))
        parent = self._leading.get(origin or "")
        if self._repeats and isinstance(token, RefreshToken) and parent is not None:
            return _request_in(parent.spent) or exchange.number, origin
        return exchange.number, origin

    def _from_store(self, token: IssuedToken) -> Edge | None:
        if token.letter in "ra" and token.number == 1 and not self._is_preconfigured:
            return self._of_first_tokens()
        if isinstance(token, RefreshToken) and (parent := token.parent) is not None:
            # A successor that was used forgets the token before it. One that left it valid was
            # issued before it was spent, if it is.
            is_first = not parent.successor_used and self._first[id(parent)] is token
            is_first = is_first and token.issued_at == parent.spent_at
            return _request_in(parent.spent) if is_first else None, parent.name
        return None

    def _of_first_tokens(self) -> Edge:
        """Return the edge from the code of the login, if it has one that was used."""
        for token in self._leading.values():
            if token.letter in "cd" and (token.spent or "").startswith("used by "):
                return _request_in(token.spent), token.name
        return _UNKNOWN

    def _inferred(self, tokens: Sequence[RefreshToken]) -> dict[str, Edge]:
        """Return the edges of rotations that nothing remembers.

        Each rotation has issued one refresh token, in the order of the requests. If another token
        was issued in a grace period, the numbers differ, and no edge is certain.
        """
        known = {by for by, _ in self._known.values()}
        rotations = sorted(
            (number, token)
            for token in tokens
            if token.spent_at is not None
            and (number := _request_in(token.spent)) is not None
            and number not in known
        )
        unknown = [token for token in tokens if token.number > 1 and token.name not in self._known]
        if len(rotations) != len(unknown):
            return {}
        return {
            token.name: (number, parent.name)
            for token, (number, parent) in zip(unknown, rotations, strict=True)
        }

    def _of_access_token(self, token: IssuedToken) -> Edge:
        """Return the edge of an access token whose request the journal has forgotten."""
        name, refresh_tokens = self._grant.name, self._grant.count("r")
        if refresh_tokens == 1:
            return None, f"{name} r1"
        ahead = int(self._is_preconfigured)
        if refresh_tokens != self._grant.count("a") + ahead:
            return _UNKNOWN
        # Each response had one of either.
        return self._known.get(f"{name} r{token.number + ahead}", _UNKNOWN)


def _request_in(text: str | None) -> int | None:
    """Return the number of the request at the end of a text: 12 of `rotated by request 12`."""
    found = _REQUEST.search(text or "")
    return None if found is None else int(found[1])
