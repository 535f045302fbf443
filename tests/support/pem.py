"""Private keys as text."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)


def pem_of(key: Any, *, password: bytes | None = None) -> str:
    """Return a private key as PEM."""
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)
    return pem.decode()
