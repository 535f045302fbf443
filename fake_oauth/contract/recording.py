"""A pass-through that writes what it sees as pages: `fake-oauth record --upstream URL`."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from werkzeug.wrappers import Request as WSGIRequest
from werkzeug.wrappers import Response as WSGIResponse

from fake_oauth.contract.circumstances import circumstances
from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.pages import Page, Request, as_toml, toml_writer
from fake_oauth.contract.redacting import Redactor
from fake_oauth.contract.transports import Transport, UnreachableError, json_of
from fake_oauth.provider.errors import FakeOAuthError
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
_WITHOUT_BODY: Final = (204, 304)


class Recorder:
    """A WSGI application that passes everything on, and writes a page for each exchange."""

    def __init__(
        self,
        upstream: Transport,
        folder: Path,
        values: Mapping[str, str],
        watch: Callable[[str], None] = lambda _: None,
        paths: Mapping[str, str] | None = None,
    ) -> None:
        """`values` are known ones, by the names of `NAMES`.

        `watch` hears where each page is, or why it was not written; `paths` are those of a dialect,
        by those that the server has. Raises FakeOAuthError as `made`.
        """
        self._upstream = upstream
        self._folder = made(folder)
        self._redactor = Redactor(values)
        self._watch = watch
        self._paths = paths or {}
        self._lock = Lock()
        earlier = (path.name.split(".")[0] for path in folder.glob("*/[0-9]*.toml"))
        self._count = max((int(number) for number in earlier if number.isdecimal()), default=0)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = WSGIRequest(environ)
        request = Request(
            method=asked.method,
            path=_path_of(environ),
            headers={n: v for n, v in asked.headers.items() if n.lower() not in _NOT_FORWARDED},
            body=asked.get_data().decode(errors="surrogateescape") or None,
        )
        try:
            answer = self._upstream.send(request)
        except UnreachableError as error:
            return WSGIResponse(f"{error}\n", 502)(environ, start_response)
        with self._lock:
            try:
                self._write(request, answer)
            except Exception as error:  # noqa: BLE001  # The client is to have its answer.
                # By its kind only: what it says may be somebody's secret.
                kind = type(error).__name__
                self._watch(f"no page for {request.method}, {answer.status}: a defect, {kind}")
        body = self._with_own_endpoints(answer, asked.host_url)
        headers = answer.repeated or tuple(answer.headers.items())
        told = [(name, value) for name, value in headers if name.lower() not in _NOT_FORWARDED]
        if answer.status not in _WITHOUT_BODY:
            length = answer.fields.get("content-length") if request.method == "HEAD" else None
            told.append(("Content-Length", length or str(len(body))))
        start_response(f"{answer.status} {_PHRASES.get(answer.status, '')}", told)
        return [b"" if request.method == "HEAD" else body]

    def malformed(self, status: int, reason: str) -> Written:
        """The answer to what is not HTTP; it is passed on to nobody."""
        return Written(status, (("Content-Length", "0"),), b"")

    def _with_own_endpoints(self, answer: Answer, own_url: str) -> bytes:
        """Metadata with the endpoints here, or their readers would pass this by."""
        told = json_of(answer)
        if not isinstance(told, dict) or not {"issuer", "token_endpoint"} <= told.keys():
            return answer.body
        there, here = f"{self._upstream.url}/", own_url
        for name, url in told.items():
            is_place = name.endswith(("_endpoint", "_uri")) and isinstance(url, str)
            if is_place and url.startswith(there):
                told[name] = here + url.removeprefix(there)
        return json.dumps(told, ensure_ascii=False).encode()

    def _write(self, request: Request, answer: Answer) -> None:
        asked, answered = self._redactor.redacted(request, answer)
        path, mark, query = asked.path.partition("?")
        asked = Request(
            method=asked.method,
            path=self._paths.get(path, path) + mark + query,
            headers=asked.headers,
            body=asked.body,
        )
        if request.method == "HEAD" or _is_for_people(request, answer):
            self._watch(f"no page for {request.method} {path}, {answer.status}: for people")
            return
        self._count += 1
        page = Page(
            name=f"{self._count:03}.{request.method.lower()}.{answer.status}",
            title=f"{request.method} {path}, {answer.status}",
            source=f"recorded {datetime.now(UTC):%Y-%m-%d} from {self._upstream.url}",
            request=asked,
            response=answered,
            **circumstances(asked, answered),
        )
        folder = self._folder / (re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_") or "root")
        file = folder / f"{page.name}.toml"
        try:
            folder.mkdir(exist_ok=True)
            file.write_text(as_toml(page), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            self._watch(f"cannot write {file}: {error.strerror}")
        else:
            self._watch(str(file))


def made(folder: Path) -> Path:
    """The folder, to write pages into.

    Raises FakeOAuthError if it cannot be made, and where tomlkit is not installed.
    """
    toml_writer()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FakeOAuthError(f"cannot make the folder {folder}: {error.strerror}") from None
    return folder


def _path_of(environ: WSGIEnvironment) -> str:
    """What was asked for as it was written, its query with it."""
    path: str = environ["REQUEST_URI"]
    if not path.startswith("/"):  # The absolute form (RFC 9112 section 3.2.2).
        path = re.sub(r"^[^:/?#]+://[^/?#]*", "", path) or "/"
    if "?" not in path and environ.get("QUERY_STRING"):
        path += f"?{environ['QUERY_STRING']}"
    return quote(path.encode("latin-1"), safe=string.printable.strip())


def _is_for_people(request: Request, answer: Answer) -> bool:
    """Whether it is what a browser shows, or what was typed into it."""
    headers = answer.fields
    is_in_browser = "Cookie" in request.headers or "set-cookie" in headers
    is_typed = request.method == "POST" and 300 <= answer.status < 400 and is_in_browser
    return is_typed or "html" in headers.get("content-type", "")
