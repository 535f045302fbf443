"""A pass-through that writes what it sees as pages: `fake-oauth record --upstream URL`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from werkzeug.wrappers import Request as WSGIRequest
from werkzeug.wrappers import Response as WSGIResponse

from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.pages import Page, Request, Response, as_toml, toml_writer
from fake_oauth.contract.redacting import Redactor
from fake_oauth.contract.transports import Transport, UnreachableError
from fake_oauth.contract.values import DOCUMENTED
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.provider.grants import s256
from fake_oauth.reply import Written

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# What belongs to a connection and not to a message (RFC 9110 section 7.6.1), and what is set anew.
_NOT_FORWARDED: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


class Recorder:
    """A WSGI application that passes everything on, and writes a page for each exchange."""

    def __init__(
        self,
        upstream: Transport,
        folder: Path,
        values: Mapping[str, str],
        watch: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`values` are known ones, by the names of `DOCUMENTED`.

        `watch` hears where each page is, or why it could not be written. Raises FakeOAuthError for
        a folder that cannot be made, and where tomlkit is not installed.
        """
        toml_writer()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FakeOAuthError(f"cannot make the folder {folder}: {error.strerror}") from None
        self._upstream = upstream
        self._folder = folder
        self._redactor = Redactor(values)
        self._watch = watch
        self._lock = Lock()
        earlier = (path.name.split(".")[0] for path in folder.glob("*/[0-9]*.toml"))
        self._count = max((int(number) for number in earlier if number.isdecimal()), default=0)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = WSGIRequest(environ)
        request = Request(
            method=asked.method,
            path=asked.full_path.removesuffix("?"),
            headers={n: v for n, v in asked.headers.items() if n.lower() not in _NOT_FORWARDED},
            body=asked.get_data().decode(errors="surrogateescape") or None,
        )
        try:
            answer = self._upstream.send(request)
        except UnreachableError as error:
            return WSGIResponse(f"{error}\n", 502)(environ, start_response)
        with self._lock:
            self._write(request, answer)
        headers = answer.repeated or tuple(answer.headers.items())
        told = [(name, value) for name, value in headers if name.lower() not in _NOT_FORWARDED]
        told.append(("Content-Length", str(len(answer.body))))
        start_response(f"{answer.status} {_PHRASES.get(answer.status, '')}", told)
        return [b"" if request.method == "HEAD" else answer.body]

    def malformed(self, status: int, reason: str) -> Written:
        """The answer to what is not HTTP; it is passed on to nobody."""
        return Written(status, (("Content-Length", "0"),), b"")

    def _write(self, request: Request, answer: Answer) -> None:
        self._count += 1
        asked, answered = self._redactor.redacted(request, answer)
        path = urlsplit(asked.path).path
        page = Page(
            name=f"{self._count:03}.{request.method.lower()}.{answer.status}",
            title=f"{request.method} {path}, {answer.status}",
            source=f"recorded {datetime.now(UTC):%Y-%m-%d} from {self._upstream.url}",
            request=asked,
            response=answered,
            **_before(asked, answered),
        )
        folder = self._folder / (re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_") or "root")
        file = folder / f"{page.name}.toml"
        try:
            folder.mkdir(exist_ok=True)
            file.write_text(as_toml(page), encoding="utf-8")
        except OSError as error:
            self._watch(f"cannot write {file}: {error.strerror}")
        else:
            self._watch(str(file))


def _before(asked: Request, answered: Response) -> dict[str, Any]:
    """What must have happened before, and what is used up, as far as the exchange shows it."""
    shown = f"{asked.path} {asked.body} {asked.headers.get('Authorization')}"
    is_given = {name: value in re.split(r"[\s=&\"]", shown) for name, value in DOCUMENTED.items()}
    given: dict[str, Any] = {}
    told: dict[str, Any] = {"given": given}
    if DOCUMENTED["issuer"] in (answered.body or ""):
        given["issuer"] = DOCUMENTED["issuer"]
    if is_given["code"]:
        given["ids"] = {"code": [DOCUMENTED["code"]]}
        how = {"redirect_uri": DOCUMENTED["redirect_uri"]}
        if is_given["code_verifier"]:
            how["code_challenge"] = s256(DOCUMENTED["code_verifier"])
        told |= {"spends": "the code", "needs": {"code": how}}
    elif DOCUMENTED["code"] in answered.headers.get("Location", ""):
        given["ids"] = {"code": [DOCUMENTED["code"]]}
        told |= {"state": "the browser is logged in", "needs": {"login": {}}}
    elif is_given["access_token"]:
        told["needs"] = {"access_token": {}}
    elif is_given["refresh_token"] and answered.status < 400:
        told["spends"] = "the refresh token, where it rotates"
    return told
