"""The servers' side: `python servers.py NAME` prints a URL and serves until it is ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from fake_oauth import FakeOAuth, Settings
from fake_oauth.http.listener import Listener
from fake_oauth.provider.keys import key_ring
from fake_oauth.reply import Response as RawResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PATH: Final = "/oauth2/token"
FORM: Final = (
    "grant_type=refresh_token&refresh_token=MOCK_REFRESH_TOKEN"
    "&client_id=TENANT_CLIENT_ID&client_secret=TENANT_CLIENT_SECRET"
)
# As many members as a token reply, and as many bytes.
REPLY: Final = {
    "access_token": "x" * 670,
    "refresh_token": "MOCK_REFRESH_TOKEN",
    "scope": "openid",
    "id_token": "x" * 670,
    "token_type": "Bearer",
    "expires_in": 299,
}
# How many refreshes one test asks for, in the measurement of what is remembered between tests.
A_TEST: Final = 100


class Bare:
    """What any fake that is made with werkzeug pays: read a form, write JSON."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if Request(environ).form["grant_type"] != "refresh_token":
            return Response(status=400)(environ, start_response)
        reply = Response(json.dumps(REPLY), content_type="application/json")
        return reply(environ, start_response)

    def respond_to_malformed(self, status: int, reason: str) -> RawResponse:
        return RawResponse(status, (), reason.encode())


class Signing(Bare):
    """What any fake with signed tokens pays: a bare reply, and two signatures.

    In one server: a processor that waits for a request in between signs more slowly than one that
    does nothing else.
    """

    def __init__(self) -> None:
        self._key = key_ring().signing.private
        self._signed = count()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        number = next(self._signed)
        for end in (b"", b"."):
            self._key.sign(b"%0600d" % number + end, PKCS1v15(), SHA256())
        return super().__call__(environ, start_response)


class Repeating:
    """The same test over and over: a new fake, a frozen clock, the same requests."""

    _settings = Settings(issuer="https://issuer.example", seed=7, start_time=0, freeze_time=True)

    def __init__(self) -> None:
        self._lock = Lock()
        self._left = 0
        client = Client(self)
        for _ in range(A_TEST):  # The first test is the one that signs.
            client.post(PATH, data=dict(pair.split("=") for pair in FORM.split("&")))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._lock:
            if not self._left:
                self._fake, self._left = FakeOAuth(self._settings), A_TEST
            self._left -= 1
            fake = self._fake
        return fake(environ, start_response)

    def respond_to_malformed(self, status: int, reason: str) -> RawResponse:
        return RawResponse(status, (), reason.encode())


class Silent(WSGIRequestHandler):
    """Werkzeug's handler without its log, which would be measured too."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        pass


def listening(app: Bare | Repeating) -> str:
    """Over our own listener: werkzeug's server closes each connection after its reply."""
    listener = Listener("127.0.0.1", 0)
    listener.start(app)
    return listener.url + PATH


def stock() -> str:
    """The bare reply over werkzeug's own server, a connection each."""
    server = make_server("127.0.0.1", 0, Bare(), threaded=True, request_handler=Silent)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.port}{PATH}"


SERVERS: Final[Mapping[str, Callable[[], str]]] = {
    "bare": lambda: listening(Bare()),
    "signing": lambda: listening(Signing()),
    "ours": lambda: FakeOAuth().start().token_url,
    "watched": lambda: FakeOAuth(Settings(control=True)).start().token_url,
    "repeating": lambda: listening(Repeating()),
    "stock": stock,
}

if __name__ == "__main__":
    print(SERVERS[sys.argv[1]](), flush=True)
    sys.stdin.read()
