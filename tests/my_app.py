"""The client that the examples test: it keeps a token set and refreshes it when it must."""

from __future__ import annotations

import json
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen


class LoggedOut(Exception):  # noqa: N818
    """The refresh token is no good any more; the user has to log in again."""


class Session:
    """Tokens, refreshed on demand."""

    def __init__(self, token_url: str, refresh_token: str) -> None:
        self.token_url = token_url
        self.refresh_token = refresh_token

    def refresh(self) -> str:
        """A new access token. Raises LoggedOut."""
        form = {
            "client_id": "TENANT_CLIENT_ID",
            "client_secret": "TENANT_CLIENT_SECRET",
            "grant_type": "refresh_token",
            "refresh_token": self.refresh_token,
        }
        try:
            with urlopen(self.token_url, urlencode(form).encode()) as response:
                reply = json.load(response)
        except HTTPError as error:
            with error:
                if json.load(error).get("error") == "invalid_grant":
                    raise LoggedOut from None
            raise
        self.refresh_token = reply["refresh_token"]
        access_token: str = reply["access_token"]
        return access_token
