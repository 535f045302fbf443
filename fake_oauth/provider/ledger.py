"""What was issued and may still be spent.

The ledger keeps records; it judges nobody. Call it with the realm's lock held. It is bounded by
what lives: what has expired or was spent is let go once no policy can need it any more.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fake_oauth.provider.lineage import Grant
from fake_oauth.provider.records import CodeRecord, OtpRecord, RefreshRecord
from fake_oauth.provider.shelves import REMEMBERED, RefreshShelf, Shelf
from fake_oauth.provider.tokens import jti_of


@dataclass(slots=True, kw_only=True, eq=False)
class Trace:
    """An access token that was signed, by its jti."""

    alias: str
    grant: Grant | None
    """None for a token of another server with the same keys."""
    expires_at: float
    fate: str | None = None
    """Why it is not good before it expires; None if it is."""


class Ledger:
    """Everything that was issued, by kind; and which access token belongs to which grant."""

    def __init__(self) -> None:
        self.refresh_tokens = RefreshShelf()
        self.codes: Shelf[CodeRecord] = Shelf()
        self.otps: Shelf[OtpRecord] = Shelf()
        self._log_ins: Counter[str] = Counter()
        self._traces: OrderedDict[str, Trace] = OrderedDict()

    def open(
        self,
        client_id: str,
        sub: str,
        scopes: Iterable[str],
        *,
        name: str | None = None,
        is_users: bool = True,
        is_planted: bool = False,
    ) -> Grant:
        """A new grant. `name` is how its owner is called where people read; None is the sub."""
        kind = f"{sub if name is None else name}/{'planted' if is_planted else ''}"
        self._log_ins[kind] += 1
        return Grant(
            alias=f"{kind}{self._log_ins[kind]}",
            client_id=client_id,
            sub=sub,
            scopes=tuple(sorted(set(scopes))),
            is_users=is_users,
        )

    def token(self, value: str) -> RefreshRecord | CodeRecord | Trace | None:
        """What is known of a refresh token, a code or an access token, good or not."""
        record = self.refresh_tokens.find(value) or self.codes.find(value)
        if record is None and (jti := jti_of(value)) is not None:
            return self._traces.get(jti)
        return record

    def trace(self, jti: str, grant: Grant, expires_at: float, now: float) -> None:
        """Remember which grant an access token belongs to, at least until it expires."""
        self._keep(jti, Trace(alias=grant.name("a"), grant=grant, expires_at=expires_at), now)

    def traced(self, jti: str) -> Trace | None:
        """What is known of an access token."""
        return self._traces.get(jti)

    def revoke_access_token(self, jti: str, expires_at: float, now: float, fate: str) -> None:
        """Let an access token be good no more, one of another server included."""
        if (trace := self._traces.get(jti)) is None:
            trace = Trace(alias="unknown a", grant=None, expires_at=expires_at)
            self._keep(jti, trace, now)
        trace.fate = trace.fate or fate

    def revoke_grant(self, grant: Grant, fate: str, *, access_tokens: bool = True) -> None:
        """Kill a grant's refresh tokens and its access tokens."""
        for record in self.refresh_tokens.of_grant(grant):
            self.refresh_tokens.kill(record, fate)
        grant.ended = grant.ended or fate
        if access_tokens:
            grant.revoked = grant.revoked or fate

    def named(self, alias: str) -> RefreshRecord | CodeRecord | Trace | None:
        """What lives under a name of the lineage."""
        return next((token for token in self._living() if token.alias == alias), None)

    def grants_of(self, sub: str) -> list[Grant]:
        """The grants of a user that something may be left of."""
        grants = dict.fromkeys(token.grant for token in self._living())
        return [grant for grant in grants if grant and grant.is_users and grant.sub == sub]

    def _living(self) -> Iterator[RefreshRecord | CodeRecord | Trace]:
        yield from self.refresh_tokens
        yield from self.codes
        yield from self._traces.values()

    def access_token_fate(self, jti: str) -> str | None:
        """Why an access token is no longer good, other than by expiry; None if it is."""
        trace = self._traces.get(jti)
        if trace is None:
            return None
        return trace.fate or (None if trace.grant is None else trace.grant.revoked)

    def _keep(self, jti: str, trace: Trace, now: float) -> None:
        self._traces[jti] = trace
        # The oldest go first. One that lives longer keeps those behind it, until it expires.
        while len(self._traces) > REMEMBERED:
            oldest = next(iter(self._traces))
            if self._traces[oldest].expires_at > now:
                break
            del self._traces[oldest]
