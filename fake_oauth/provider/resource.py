"""An API behind access tokens, in the box: what it wants, and how often it was called."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Resource:
    """A protected resource. What it wants may be changed while it is served."""

    scope: str | None = None
    """The scope that an access token must have; None is any."""
    skew_seconds: float = 0
    """How far its clock is ahead of the server's; negative if it is behind."""
    calls: int = 0
    """How many calls were let in."""
    refused: int = 0
    """How many were not."""
