"""A service account: a program whose assertions are grants (RFC 7523 section 2.1).

Libraries of Google and of others sign with RSA alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import RSAAlgorithm

from fake_oauth import TrustedIssuer, User

EMAIL: Final = "robot@project.example"
KEY_ID: Final = "r1"
SCOPE: Final = "email"
_KEY: Final = rsa.generate_private_key(65537, 2048)
PEM: Final = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
_JWK: Final[dict[str, Any]] = RSAAlgorithm.to_jwk(_KEY.public_key(), as_dict=True)

trusted: Final = pytest.mark.oauth_server(
    users=[User(sub="u-alice", username="alice"), User(sub="u-robot", username=EMAIL)],
    trusted_issuers=[TrustedIssuer(issuer=EMAIL, jwks={"keys": [{**_JWK, "kid": KEY_ID}]})],
)
"""The mark of tests whose server trusts the service account."""


def write_key_file(path: Path, token_uri: str) -> None:
    """Write the file of a service account, as Google's console makes it."""
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "project",
                "private_key_id": KEY_ID,
                "private_key": PEM,
                "client_email": EMAIL,
                "token_uri": token_uri,
            }
        )
    )
