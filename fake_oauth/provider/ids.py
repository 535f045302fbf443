"""Identifiers: token ids, refresh tokens, codes, one-time passwords.

A seed makes them, so that a run can be repeated; ids from a list are used first.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Mapping, Sequence
from random import Random
from threading import Lock
from typing import Final, Literal, get_args

IdKind = Literal[
    "jti",
    "access_token",
    "refresh_token",
    "code",
    "otp",
    "otp_token",
    "p_state",
    "session",
    "device_code",
    "user_code",
    "dpop_nonce",
    "request_uri",
    "client_id",
    "client_secret",
]

# Consonants only, so that no word appears and no letter is mistaken for another (RFC 8628 section
# 6.1).
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"


class Ids:
    """A stream of ids for each kind. An id of one kind does not change the next of another."""

    def __init__(self, seed: int, given: Mapping[IdKind, Sequence[str]] | None = None) -> None:
        given = given or {}
        self._lock = Lock()
        self._given = {kind: deque(given.get(kind, ())) for kind in get_args(IdKind)}
        # Repeatable, not secret: nothing here protects anything.
        self._streams = {kind: Random(f"{seed}/{kind}") for kind in get_args(IdKind)}  # noqa: S311

    def draw(self, kind: IdKind, *, digits: int = 0) -> str:
        """Return the next id of this kind: from the list if it has any left, else from the seed.

        A `jti` and a `client_id` are UUIDs, and a `user_code` is `XXXX-XXXX`. A `client_secret` is
        32 bytes in hex, so that every way to encode it is the same. With `digits`, the id is a
        number of that length. Every other id is 96 bytes in base64url without padding: 128
        characters (CIAM 1441/64396).
        """
        with self._lock:
            if self._given[kind]:
                return self._given[kind].popleft()
            stream = self._streams[kind]
            if kind in ("jti", "client_id"):
                return _uuid4(stream.getrandbits(128))
            if kind == "user_code":
                letters = "".join(stream.choices(_LETTERS, k=8))
                return f"{letters[:4]}-{letters[4:]}"
            if kind == "client_secret":
                return stream.randbytes(32).hex()
            if digits:
                return "".join(stream.choices("0123456789", k=digits))
            return urlsafe_b64encode(stream.randbytes(96)).decode()


def _uuid4(bits: int) -> str:
    """Return the text of the UUID that these bits make (RFC 9562 section 5.4).

    `uuid.UUID` takes twice as long, and every token has one.
    """
    bits = bits & ~(0xF000 << 64) & ~(0xC000 << 48) | 4 << 76 | 2 << 62
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def fresh_seed() -> int:
    """Return a random seed that is short enough to type."""
    return secrets.randbelow(2**31)
