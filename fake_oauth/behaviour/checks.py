"""`CHECKS`: all that is looked for in the journal. To add one, write its function and its row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from fake_oauth.behaviour.findings import Check, Finding
from fake_oauth.behaviour.manners import (
    repeated_verifier,
    secret_in_url,
    unreadable_body,
    wider_scope,
    wrong_place,
)
from fake_oauth.behaviour.refreshing import (
    after_the_end,
    dropped_token,
    old_token,
    repeated_refresh,
    spent_token,
    unneeded_refresh,
)
from fake_oauth.behaviour.retrying import too_soon
from fake_oauth.journal import Exchange

CHECKS: Final[Mapping[str, Check]] = {
    "spent_token": spent_token,
    "old_token": old_token,
    "dropped_token": dropped_token,
    "repeated_refresh": repeated_refresh,
    "unneeded_refresh": unneeded_refresh,
    "after_the_end": after_the_end,
    "too_soon": too_soon,
    "secret_in_url": secret_in_url,
    "unreadable_body": unreadable_body,
    "wider_scope": wider_scope,
    "repeated_verifier": repeated_verifier,
    "wrong_place": wrong_place,
}


def misbehaviour(exchanges: Sequence[Exchange]) -> list[Finding]:
    """All that a client did wrong, by any of `CHECKS`, in the order of its requests."""
    found = [finding for check in CHECKS.values() for finding in check(exchanges)]
    return sorted(
        (finding for finding in found if finding is not None), key=lambda finding: finding.number
    )
