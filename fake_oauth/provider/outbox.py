"""What was "sent": one-time passwords, for a test to read."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A one-time password as it was "sent"."""

    recipient: str
    """The phone number or address."""
    otp: str
    otp_token: str
    usage: str
    auth_source_id: str
    at: float
    """Seconds since 1970."""


class Outbox(deque[Message]):
    """The messages that were "sent", oldest first; the latest thousand."""

    def __init__(self) -> None:
        super().__init__(maxlen=1000)
        self.sent: Counter[str] = Counter()
        """How many were sent in all, by auth source."""

    def append(self, message: Message) -> None:
        self.sent[message.auth_source_id] += 1
        super().append(message)
