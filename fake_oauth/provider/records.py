"""What was issued, piece by piece: tokens, codes, one-time passwords, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass

from fake_oauth.provider.lineage import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Something that can be spent, and what became of it."""

    value: str
    expires_at: float | None
    """Seconds since 1970; None is never."""
    fate: str | None = None
    """Why it can no longer be spent: `rotated away by request 12`. None while it can."""

    def flaw(self, now: float) -> str | None:
        """Why it cannot be spent now, as the end of a sentence; None if it can."""
        if self.fate is None and self.has_expired(now):
            return f"expired {now - (self.expires_at or 0):.0f} s ago"
        return self.fate

    def has_expired(self, now: float) -> bool:
        return self.expires_at is not None and now >= self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRecord(Record):
    """A refresh token. All that one log-in led to are a family."""

    alias: str
    grant: Grant
    family_since: float
    """When the first of its family was issued."""
    parent: str | None = None
    """The refresh token that it was given for; None for the first of its family."""
    spent_at: float | None = None
    """When a refresh spent it; None while none has."""
    successor: str | None = None
    """The latest that was given for it."""
    successor_used: bool = False
    """Whether a successor has been used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRecord(Record):
    """An authorization code, and what its authorization request said."""

    alias: str
    grant: Grant
    redirect_uri: str | None
    """None if the request left it out."""
    code_challenge: str | None
    nonce: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtpRecord(Record):
    """An otp_token: the OTP that was sent, to whom, and for which client and auth source."""

    otp: str
    otp_expires_at: float
    client_id: str
    auth_source_id: str
    recipient: str
