"""The client that fails every recipe. It makes the usual mistakes with tokens.

Its interface is that of `my_app`, the correct client.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import Request, urlopen

import jwt


class LoggedOut(Exception):  # noqa: N818
    """The user has to log in again."""


class Session:
    """Tokens, refreshed on demand."""

    def __init__(
        self,
        token_url: str,
        refresh_token: str,
        access_token: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        pause_seconds: float = 0.05,
    ) -> None:
        self.token_url = token_url
        self.refresh_token = refresh_token
        self.access_token = access_token
        self._expires_at = 0.0
        self._id_token = ""
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}

    def token(self) -> str:
        if self.access_token is None or self._clock() > self._expires_at:
            self.refresh()
        assert self.access_token is not None
        return self.access_token

    def refresh(self) -> str:
        form = {
            "client_id": "TENANT_CLIENT_ID",
            "client_secret": "TENANT_CLIENT_SECRET",
            "grant_type": "refresh_token",
            "refresh_token": self.refresh_token,
        }
        for _ in range(3):  # "It sometimes fails."
            try:
                with urlopen(self.token_url, urlencode(form).encode()) as response:
                    reply = json.load(response)
                break
            except HTTPError as error:
                error.close()
        else:
            raise LoggedOut
        access_token: str = reply["access_token"]
        self.access_token = access_token
        self.refresh_token = reply["refresh_token"]
        self._expires_at = self._clock() + reply["expires_in"]
        self._id_token = reply["id_token"]
        return access_token

    def get(self, url: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.token()}"}
        with urlopen(Request(url, headers=headers)) as response:
            body: bytes = response.read()
        return body

    def user(self) -> dict[str, Any]:
        if not self._keys:
            with urlopen(urljoin(self.token_url, "jwks")) as response:
                keys = jwt.PyJWKSet.from_dict(json.load(response)).keys
            self._keys = {key.key_id: key for key in keys if key.key_id is not None}
        kid = jwt.get_unverified_header(self._id_token)["kid"]
        options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False}
        claims: dict[str, Any] = jwt.decode(
            self._id_token, self._keys[kid], algorithms=["RS256"], options=options
        )
        return claims
