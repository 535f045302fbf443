"""The client that the examples test: it keeps a token set and refreshes it when it must."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen


class LoggedOut(Exception):  # noqa: N818
    """The refresh token is no good any more; the user has to log in again."""


class BadReply(Exception):  # noqa: N818
    """What came back cannot be used."""


class Session:
    """Tokens, refreshed on demand."""

    def __init__(self, token_url: str, refresh_token: str, access_token: str | None = None) -> None:
        self.token_url = token_url
        self.refresh_token = refresh_token
        self.access_token = access_token

    def get(self, url: str) -> bytes:
        """What is at a protected resource; a 401 is tried again with a new access token, once."""
        if self.access_token is None:
            self.refresh()
        try:
            return self._get(url)
        except HTTPError as error:
            error.close()
            if error.code != 401:
                raise
        self.refresh()
        return self._get(url)

    def _get(self, url: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.access_token}"}
        with urlopen(Request(url, headers=headers)) as response:
            body: bytes = response.read()
        return body

    def refresh(self) -> str:
        """A new access token; a 503 is tried again, once. Raises LoggedOut, BadReply, OSError."""
        try:
            reply = self._ask()
        except HTTPError as error:
            if error.code != 503:
                raise
            reply = self._ask()
        self.refresh_token = reply.get("refresh_token", self.refresh_token)
        self.access_token = access_token = str(reply["access_token"])
        return access_token

    def _ask(self) -> dict[str, Any]:
        form = {
            "client_id": "TENANT_CLIENT_ID",
            "client_secret": "TENANT_CLIENT_SECRET",
            "grant_type": "refresh_token",
            "refresh_token": self.refresh_token,
        }
        try:
            with urlopen(self.token_url, urlencode(form).encode()) as response:
                return checked(response.read(), response.headers.get_content_type())
        except HTTPError as error:
            with error:
                if b"invalid_grant" in error.read():
                    raise LoggedOut from None
            raise


def checked(body: bytes, content_type: str) -> dict[str, Any]:
    """The members of a token reply that keeps to RFC 6749 section 5.1."""
    try:
        pairs = json.loads(body.decode(), object_pairs_hook=Pairs)
    except ValueError:
        raise BadReply("not JSON") from None
    if not isinstance(pairs, Pairs) or content_type != "application/json":
        raise BadReply("not a JSON object")
    reply = dict(pairs)
    if reply.get("error") == "invalid_grant":
        raise LoggedOut
    texts = [reply.get("access_token"), reply.get("refresh_token", "kept"), reply.get("token_type")]
    seconds = reply.get("expires_in", 0)
    if (
        len(reply) != len(pairs)
        or not all(isinstance(text, str) and text for text in texts)
        or texts[2].lower() != "bearer"
        or not isinstance(seconds, int)
        or not 0 <= seconds <= 10**9
    ):
        raise BadReply(f"not a token reply: {', '.join(reply)}")
    return reply


class Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, repeats included."""
