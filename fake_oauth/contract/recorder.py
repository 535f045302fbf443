"""A proxy that writes each exchange as a case, without secrets and personal data."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request as WSGIRequest
from werkzeug.wrappers import Response as WSGIResponse

from fake_oauth.contract.cases import Case, ExpectedResponse, Request, to_toml, toml_writer
from fake_oauth.contract.client import (
    BODY_LIMIT,
    Metadata,
    ReceivedResponse,
    Transport,
    UnreachableError,
    dialect_of,
)
from fake_oauth.contract.placeholders import (
    DOCUMENTED,
    DOCUMENTED_SCOPE,
    documented_names,
    parameters,
    parse_json,
)
from fake_oauth.contract.redact import MADE_BY_CLIENT, Redactor, rewrite_json
from fake_oauth.dialects import Dialect
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.provider.grants.authorization_code import s256
from fake_oauth.reply import Response as HTTPResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# Headers of a connection and not of a message (RFC 9110 section 7.6.1), and headers that are set.
_NOT_FORWARDED: Final = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_WITHOUT_BODY: Final = (204, 304)
_LIFETIME_SECONDS: Final = 3600


class Recorder:
    """A WSGI application that passes requests on, and writes a case for each exchange."""

    def __init__(
        self,
        upstream: Transport,
        folder: Path,
        values: Mapping[str, str],
        dialect: Dialect | None = None,
        *,
        watch: Callable[[str], None] = lambda _: None,
        keep: Collection[str] = (),
        paths: Collection[str] = (),
    ) -> None:
        """Create the folder, and read the metadata of the server.

        `values` are known, by the names of `placeholders.NAMES`. The default dialect is the one
        that fits the metadata. `watch` is called with each file, or with the reason why there is
        none. `keep` has names of members that may be written, and `paths` has paths of endpoints
        that neither the dialect nor the metadata has. Raise UnreachableError if the server does not
        respond, and FakeOAuthError if the folder cannot be created, or without tomlkit.
        """
        _make_folder(folder)
        self.dialect = dialect_of(upstream) if dialect is None else dialect
        metadata = Metadata(upstream, self.dialect)
        self.issuer = metadata.issuer
        self._upstream = upstream
        self._folder = folder
        self._paths = {path: path for path in (*self.dialect.paths.values(), *paths)}
        self._paths |= metadata.paths
        urls = [upstream.url, *([] if self.issuer is None else [self.issuer])]
        self._redactor = Redactor(values, paths=self._paths, urls=urls, keep=keep)
        self._watch = watch
        self._lock = Lock()
        earlier = (path.name.split(".")[0] for path in folder.glob("*/[0-9]*.toml"))
        self._count = max((int(number) for number in earlier if number.isdecimal()), default=0)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        incoming = WSGIRequest(environ)
        incoming.max_content_length = BODY_LIMIT
        try:
            request = Request(
                method=incoming.method,
                path=_path_of(environ),
                headers={
                    name: value
                    for name, value in incoming.headers.items()
                    if name.lower() not in _NOT_FORWARDED
                },
                body=incoming.get_data().decode(errors="surrogateescape") or None,
            )
            response = self._upstream.send(request)
        except HTTPException as error:  # A body that is too large, or broken off.
            return error.get_response(environ)(environ, start_response)
        except UnreachableError as error:
            return WSGIResponse(f"{error}\n", 502)(environ, start_response)
        with self._lock:
            try:
                self._record(request, response)
            except Exception as error:  # noqa: BLE001  # The client gets its response.
                # Its message could have a secret in it.
                defect = type(error).__name__
                self._watch(f"not recorded: {_line(request, response)}: a defect, {defect}")
        body = self._with_own_endpoints(response, incoming.host_url)
        headers = [(n, v) for n, v in response.headers if n.lower() not in _NOT_FORWARDED]
        if response.status not in _WITHOUT_BODY:
            is_head = request.method == "HEAD"
            length = response.fields.get("content-length") if is_head else None
            headers.append(("Content-Length", length or str(len(body))))
        start_response(response.status_line, headers)
        return [b"" if request.method == "HEAD" else body]

    def respond_to_malformed(self, status: int, reason: str) -> HTTPResponse:
        """Return the response to bytes that are not HTTP; they are not passed on."""
        return HTTPResponse(status, (("Content-Length", "0"),), b"")

    def _with_own_endpoints(self, response: ReceivedResponse, own_url: str) -> bytes:
        """Return a body in which metadata names the endpoints here.

        Otherwise, clients that read the metadata would bypass the recorder.
        """
        if not {"issuer", "token_endpoint"} <= response.members.keys():
            return response.body
        there = f"{self._upstream.url}/"

        def here(names: Iterable[str], value: Any) -> Any:
            is_endpoint = [name for name in names if name.endswith(("_endpoint", "_uri"))]
            if is_endpoint and isinstance(value, str) and value.startswith(there):
                return own_url + value.removeprefix(there)
            return value

        return rewrite_json(response.text, here).encode()

    def _record(self, request: Request, response: ReceivedResponse) -> None:
        line = _line(request, response)
        path = request.path.partition("?")[0]
        why = None
        if request.method not in _METHODS:
            why = f"cases have no method {request.method}"
        elif _is_for_people(request, response):
            why = "it is a page for people"
        elif path not in self._paths:
            why = f"unknown endpoint; to record it, use --path {path}"
        if why is not None:
            self._watch(f"not recorded: {line}: {why}")
            return
        sent, expected = self._redactor.redact(request, response)
        self._count += 1
        case = Case(
            name=f"{self._count:03}.{request.method.lower()}.{response.status}",
            title=line,
            source=f"recorded {datetime.now(UTC):%Y-%m-%d} from {self._upstream.url}",
            dialect=self.dialect.name,
            request=sent,
            response=expected,
            **preconditions(sent, expected),
        )
        folder = self._folder / (re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_") or "root")
        file = folder / f"{case.name}.toml"
        try:
            folder.mkdir(exist_ok=True)
            file.write_text(to_toml(case), encoding="utf-8")
        except OSError as error:
            self._watch(f"cannot write {file}: {error.strerror}")
        else:
            self._watch(str(file))


def _make_folder(folder: Path) -> None:
    toml_writer()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FakeOAuthError(f"cannot create the folder {folder}: {error.strerror}") from None


def preconditions(request: Request, response: ExpectedResponse) -> dict[str, Any]:
    """Return the fields of a case that say what it needs, and what it uses up."""
    names = documented_names(request)
    has_code = DOCUMENTED["code"] in response.headers.get("Location", "")
    needs: dict[str, Any] = {}
    if "code" in names:
        needs["code"] = _code(names, response)
    elif has_code:
        needs["login"] = {}
    elif "access_token" in names:
        needs["access_token"] = {}
    settings = _settings(names, response)
    if has_code or "code" in names:
        settings["ids"] = {"code": [DOCUMENTED["code"]]}
    state = "the browser is logged in" if "login" in needs else None
    spends = _spends(names, request, response)
    return {"state": state, "spends": spends, "settings": settings, "needs": needs}


def _code(names: Collection[str], response: ExpectedResponse) -> dict[str, str]:
    """Return how a code must have been issued."""
    code = {"redirect_uri": DOCUMENTED["redirect_uri"]} if "redirect_uri" in names else {}
    if "code_verifier" in names:
        code["code_challenge"] = s256(DOCUMENTED["code_verifier"])
    if any("nonce" in claims for claims in response.claims.values()):
        code["nonce"] = MADE_BY_CLIENT["nonce"]
    return code


def _settings(names: Collection[str], response: ExpectedResponse) -> dict[str, Any]:
    """Return the settings of a fake that responds like this."""
    settings: dict[str, Any] = {}
    body = response.body or ""
    if DOCUMENTED["issuer"] in body:
        settings["issuer"] = DOCUMENTED["issuer"]
    if "refresh_token" in names and '"exp"' in body:
        # The documented refresh token never expires, and this one does.
        own = {"value": DOCUMENTED["refresh_token"], "lifetime_seconds": _LIFETIME_SECONDS}
        settings["refresh_tokens"] = [own]
    scope = (parse_json(body) or {}).get("scope")
    if isinstance(scope, str) and response.status < 400 and scope != DOCUMENTED_SCOPE:
        client = {name: DOCUMENTED[name] for name in ("client_id", "client_secret")}
        more = {"redirect_uris": [DOCUMENTED["redirect_uri"]], "scopes": sorted({*scope.split()})}
        settings["clients"] = [{**client, **more}]
    return settings


def _spends(names: Collection[str], request: Request, response: ExpectedResponse) -> str | None:
    if "code" in names:
        return "the code"
    if response.status >= 400:
        return None
    grant_type, path = parameters(request).get("grant_type"), request.path.partition("?")[0]
    if "refresh_token" in names and grant_type == "refresh_token":
        return "the refresh token, if the server rotates it"
    if path.endswith("/revoke") and {"access_token", "refresh_token"} & {*names}:
        return "the token"
    return "an OTP" if '"otp_token"' in (response.body or "") else None


def _line(request: Request, response: ReceivedResponse) -> str:
    return f"{request.method} {request.path.partition('?')[0]}, {response.status}"


def _path_of(environ: WSGIEnvironment) -> str:
    """Return the path and query of a request as they were written."""
    path: str = environ["REQUEST_URI"]
    if not path.startswith("/"):  # The absolute form (RFC 9112 section 3.2.2).
        path = re.sub(r"^[^:/?#]+://[^/?#]*", "", path) or "/"
    if "?" not in path and environ.get("QUERY_STRING"):
        path += f"?{environ['QUERY_STRING']}"
    return quote(path.encode("latin-1"), safe="".join(map(chr, range(0x21, 0x7F))))


def _is_for_people(request: Request, response: ReceivedResponse) -> bool:
    """Return whether a browser shows the response, or a person typed the request."""
    is_in_browser = "Cookie" in request.headers or "set-cookie" in response.fields
    is_typed = request.method == "POST" and 300 <= response.status < 400 and is_in_browser
    return is_typed or "html" in response.fields.get("content-type", "")
