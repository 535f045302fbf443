"""Who a client says it is: the Authorization header, or parameters in the body.

The rules and their numbers are those of the contract's order of judgement.
"""

from __future__ import annotations

import re
from base64 import b64decode
from urllib.parse import unquote_plus

from fake_oauth.provider.asking import Credentials, Params
from fake_oauth.provider.errors import OAuthError

_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


def credentials_of(authorization: str, form: Params, *, strict: bool) -> Credentials:
    """Rules 1 to 5. A scheme other than Basic says nothing about the client.

    `strict` refuses a secret in the body beside it (RFC 6749 section 2.3); else Basic decides.
    """
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "basic":
        if strict and "client_secret" in form:
            raise OAuthError("invalid_request", "Authorization: Basic and client_secret together")
        return _basic(rest.strip())
    for name in ("client_id", "client_secret"):
        times = len(form.all(name))
        if times > 1:
            raise OAuthError("invalid_request", f"{name} sent {times} times")
    client_id, client_secret = form.get("client_id"), form.get("client_secret")
    if client_id is None:
        return Credentials(lacking="no client credentials")
    if not client_id.strip() or (client_secret is not None and not client_secret.strip()):
        blank = "client_secret" if client_id.strip() else "client_id"
        return Credentials(client_id=client_id, lacking=f"{blank} blank")
    if client_secret is None:
        return Credentials("none", client_id)
    return Credentials("client_secret_post", client_id, client_secret)


def _basic(encoded: str) -> Credentials:
    """Rules 3 and 5, RFC 6749 section 2.3.1: both halves are form-urlencoded inside base64."""
    try:
        padding = "=" * (-len(encoded) % 4)
        user_pass = b64decode(encoded + padding, validate=True).decode()
    except ValueError:
        raise OAuthError("invalid_request", "Authorization: Basic is not base64 of UTF-8") from None
    first, colon, second = user_pass.partition(":")
    if not colon:
        raise OAuthError(
            "invalid_request", "Authorization: Basic has no colon between id and secret"
        )
    if _BAD_ESCAPE.search(user_pass):
        raise OAuthError("invalid_request", "Authorization: Basic has a % that is no escape")
    try:
        client_id, client_secret = (unquote_plus(half, errors="strict") for half in (first, second))
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", "Authorization: Basic is not UTF-8") from None
    if not client_id.strip() or not client_secret.strip():
        blank = "client_secret" if client_id.strip() else "client_id"
        return Credentials(client_id=client_id, lacking=f"{blank} blank")
    return Credentials("client_secret_basic", client_id, client_secret)
