"""`KINDS`: every fault by its name, in the order of the stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fake_oauth.faults.authorization import (
    MissingRedirectParameter,
    RedirectParameter,
    WrongResponseMode,
)
from fake_oauth.faults.base import Fault
from fake_oauth.faults.connections import (
    BadChunk,
    Down,
    Drip,
    Garbage,
    Hang,
    HangUp,
    Reset,
    Truncated,
)
from fake_oauth.faults.refusals import (
    Pass,
    Refuse,
    Slow,
    Status,
)
from fake_oauth.faults.responses import (
    BrokenGzip,
    ChallengeParameter,
    Change,
    Combined,
    DuplicateKey,
    EmptyBody,
    Field,
    HTMLBody,
    HugeBody,
    MissingChallengeParameter,
    MissingField,
    NotJSONBody,
    WrongCharset,
    WrongContentType,
)
from fake_oauth.faults.tokens import (
    AlgNone,
    BadSignature,
    Claim,
    Expired,
    HmacConfusion,
    MissingClaim,
    NoKeyId,
    NotYetValid,
    UnknownKey,
    WrongAudience,
    WrongIssuer,
)

_KINDS: tuple[type[Fault], ...] = (
    # Before the endpoint
    Pass,
    Refuse,
    Status,
    Slow,
    # In the tokens
    Expired,
    NotYetValid,
    BadSignature,
    UnknownKey,
    NoKeyId,
    AlgNone,
    HmacConfusion,
    WrongIssuer,
    WrongAudience,
    Claim,
    MissingClaim,
    # In the response
    Field,
    MissingField,
    DuplicateKey,
    RedirectParameter,
    MissingRedirectParameter,
    WrongResponseMode,
    ChallengeParameter,
    MissingChallengeParameter,
    NotJSONBody,
    HTMLBody,
    EmptyBody,
    WrongContentType,
    WrongCharset,
    BrokenGzip,
    HugeBody,
    Change,
    Combined,
    # On the connection
    Truncated,
    Drip,
    HangUp,
    Reset,
    Garbage,
    BadChunk,
    Hang,
    Down,
)
KINDS: Final[Mapping[str, type[Fault]]] = {kind.__name__: kind for kind in _KINDS}
"""Every fault by its name."""
