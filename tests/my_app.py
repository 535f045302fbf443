"""The client that the examples in the docs test: it keeps tokens and refreshes them if necessary.

`naive_app` has the same interface, but makes the mistakes that the recipes detect.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from threading import Lock
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import Request, urlopen

import jwt


class LoggedOut(Exception):  # noqa: N818
    """The server refused the refresh token; the user has to log in again."""


class BadReply(Exception):  # noqa: N818
    """The response is not a valid token response."""


class Session:
    """The tokens of one user. Only one thread at a time refreshes them."""

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
        self._sleep = sleep
        self._pause_seconds = pause_seconds
        self._is_over = False
        self._lock = Lock()
        self._keys: dict[str, jwt.PyJWK] = {}

    def token(self) -> str:
        """Return an access token that is valid for at least 30 seconds by this client's clock."""
        with self._lock:
            if self.access_token is None or self._clock() > self._expires_at - 30:
                self._refresh()
            assert self.access_token is not None
            return self.access_token

    def refresh(self) -> str:
        """Return a new access token. Raise LoggedOut, BadReply, or OSError."""
        with self._lock:
            return self._refresh()

    def get(self, url: str) -> bytes:
        """Return the body of a protected resource. After a 401, refresh and retry once."""
        used = self.access_token or self.token()
        try:
            return _get(url, used)
        except HTTPError as error:
            error.close()
            if error.code != 401:
                raise
        with self._lock:
            # Another thread may have refreshed the token already.
            renewed = self._refresh() if self.access_token == used else self.access_token
        return _get(url, renewed or "")

    def user(self) -> dict[str, Any]:
        """Return the claims of the ID token. Verify its signature."""
        kid = jwt.get_unverified_header(self._id_token)["kid"]
        if kid not in self._keys:  # No keys yet, or the server has rotated them.
            with urlopen(urljoin(self.token_url, "jwks")) as response:
                keys = jwt.PyJWKSet.from_dict(json.load(response)).keys
            self._keys = {key.key_id: key for key in keys if key.key_id is not None}
        options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False}
        claims: dict[str, Any] = jwt.decode(
            self._id_token, self._keys[kid], algorithms=["RS256"], options=options
        )
        return claims

    def _refresh(self) -> str:
        if self._is_over:
            raise LoggedOut
        try:
            reply = self._response()
        except LoggedOut:
            self._is_over = True
            raise
        self.access_token = access_token = str(reply["access_token"])
        self.refresh_token = reply.get("refresh_token", self.refresh_token)
        self._expires_at = self._clock() + reply.get("expires_in", 0)
        self._id_token = reply.get("id_token", "")
        return access_token

    def _response(self) -> dict[str, Any]:
        """Return the token response. Retry a failure that may be temporary twice, after a pause."""
        for pause in (self._pause_seconds, 2 * self._pause_seconds):
            try:
                return self._request()
            except HTTPError as error:
                if error.code not in (429, 502, 503, 504):
                    raise
                self._sleep(float(error.headers.get("Retry-After", pause)))
            except ConnectionError:
                # Either the request or the response was lost; only a retry shows which.
                self._sleep(pause)
        return self._request()

    def _request(self) -> dict[str, Any]:
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


def _get(url: str, access_token: str) -> bytes:
    request = Request(url, headers={"Authorization": f"Bearer {access_token}"})
    with urlopen(request) as response:
        body: bytes = response.read()
    return body


def checked(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the members of a token response that follows RFC 6749 section 5.1.

    Raise BadReply for any other response.
    """
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
        raise BadReply(f"not a token response: {', '.join(reply)}")
    return reply


class Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, including repeated ones."""
