"""The servers' side: `python servers.py NAME` prints a URL and serves until its input ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from fake_oauth import FakeOAuth, Settings
from fake_oauth.web.listener import Listener

FORM = (
    "client_id=TENANT_CLIENT_ID&client_secret=TENANT_CLIENT_SECRET"
    "&grant_type=refresh_token&refresh_token=MOCK_REFRESH_TOKEN"
)
# As large as a token reply, and as many members.
REPLY = {"a": "x" * 750, "b": "x" * 20, "c": "openid", "d": "x" * 720, "e": "Bearer", "f": 299}


class Bare:
    """What any fake on werkzeug has to pay: a form read, JSON written."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        assert Request(environ).form["grant_type"] == "refresh_token"
        reply = Response(json.dumps(REPLY), content_type="application/json")
        return reply(environ, start_response)

    def malformed(self, status: int, reason: str) -> Response:
        return Response(reason, status)


class Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        pass


def bare() -> str:
    """Over our listener: werkzeug's own server closes every connection after its reply."""
    listener = Listener("127.0.0.1", 0)
    listener.start(Bare())
    return f"{listener.url}/oauth2/token"


def stock() -> str:
    """The same over werkzeug's own server, a connection a reply."""
    server = make_server("127.0.0.1", 0, Bare(), threaded=True, request_handler=Silent)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.port}/oauth2/token"


def ours() -> str:
    """Two signatures a reply."""
    return FakeOAuth().start().token_url


def remembered() -> str:
    """A frozen clock and repeated inputs: the signatures of two ids, over and over."""
    ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(2)]
    settings = Settings(issuer="https://issuer.example", freeze_time=True, start_time=0)
    server = FakeOAuth(settings).start()
    stream = iter(lambda: ids.pop(0), None)

    def again(_: str) -> str:
        value = next(stream)
        ids.append(value)
        return value

    # Tests repeat inputs by starting the same fake anew; one that runs on has to be told to.
    server._serving().realm.ids.draw = again  # type: ignore[method-assign, assignment]  # noqa: SLF001
    return server.token_url


SERVERS: dict[str, Callable[[], str]] = {
    "bare": bare,
    "stock": stock,
    "ours": ours,
    "remembered": remembered,
}

if __name__ == "__main__":
    print(SERVERS[sys.argv[1]](), flush=True)
    sys.stdin.read()
