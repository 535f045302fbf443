"""Exchanges as pages may tell them: no secret, no token, the documented values for known ones.

Known are the values that were given, what a server has given out, and what a request that it
granted had in it. Any other secret stands as `WRONG`: that is what it was, or else it is none of a
reader's business.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.pages import Request, Response
from fake_oauth.contract.values import DOCUMENTED, hidden
from fake_oauth.provider.tokens import opened

_ASKED_HEADERS: Final = ("Content-Type", "Authorization")
_ANSWERED_HEADERS: Final = ("Content-Type", "Location", "WWW-Authenticate", "Retry-After")
# By what their names end in, whoever thought of them: subject_token, clientSecret, device_code.
_SECRET: Final = re.compile(
    r"(secret|token|password|passcode|assertion|otp|verifier|token_hint|^code|_code"
    r"|api_?key|ticket|credentials?|session(_?id|_?state)?)$",
    re.IGNORECASE,
)
_GIVEN_OUT: Final = ("access_token", "refresh_token", "code", "otp_token", "issuer")
_TIMES: Final = frozenset({"iat", "exp", "nbf", "auth_time", "updated_at"})
_TIME: Final = re.compile(rf'("(?:{"|".join(sorted(_TIMES))})"\s*:\s*)\d{{9,10}}\b')
_MADE: Final = frozenset({"jti", "sid", "nonce", "at_hash", "c_hash"})
_JWT: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*")
_WRONG: Final = "WRONG"


class Redactor:
    """What is known of the values of one server, and how exchanges with it are told."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` are by the names of `DOCUMENTED`."""
        self._known = {value: DOCUMENTED[name] for name, value in values.items() if value}

    def redacted(self, request: Request, answer: Answer) -> tuple[Request, Response]:
        """What is asked and answered, as a page may have it."""
        given = _given(request)
        text = answer.body.decode(errors="replace")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        came = {**_pairs_of(headers.get("location", "")), **dict(_members(_object(text)))}
        is_granted = answer.status < 400
        if is_granted:
            self._learn(
                {n: v for n, v in given.items() if self._known.get(v, _WRONG) == _WRONG}, DOCUMENTED
            )
        self._learn(came, _GIVEN_OUT)
        told = self._asked(request), self._answered(answer.status, headers, text, given)
        if is_granted:
            self._forget(request, given, came)
        return told

    def _learn(self, given: Mapping[str, Any], names: Iterable[str]) -> None:
        for name in names:
            if isinstance(value := given.get(name), str) and value:
                self._known[value] = DOCUMENTED[name]

    def _forget(self, request: Request, given: Mapping[str, Any], came: Mapping[str, Any]) -> None:
        """What has been used up is wrong from now on."""
        spent = [given.get("code")]
        if came.get("refresh_token", given.get("refresh_token")) != given.get("refresh_token"):
            spent.append(given.get("refresh_token"))
        if urlsplit(request.path).path.endswith("/revoke"):
            spent.append(given.get("token"))
        self._known |= {value: _WRONG for value in spent if value}

    def _asked(self, request: Request) -> Request:
        headers = {
            name: self._credentials(value) if name == "Authorization" else value
            for name in _ASKED_HEADERS
            if (value := request.headers.get(name)) is not None
        }
        body = request.body
        if body is not None and "json" in headers.get("Content-Type", ""):
            data = _object(body)
            body = _WRONG if data is None else json.dumps(self._told("", data), indent=2)
        elif body is not None and "form-urlencoded" not in headers.get("Content-Type", ""):
            body = _WRONG  # Whatever it is, what is secret in it cannot be told.
        elif body is not None:
            pairs = [(name, self._told(name, value)) for name, value in _pairs(body)]
            body = urlencode(pairs, errors="replace")
        path = self._url(request.path)
        return Request(method=request.method, path=path, headers=headers, body=body)

    def _answered(
        self, status: int, headers: Mapping[str, str], text: str, given: Mapping[str, Any]
    ) -> Response:
        """With holes for tokens, and their claims; a body that is no JSON is left out."""
        told = {
            name: self._url(value) if name == "Location" else hidden(value, self._known)
            for name in _ANSWERED_HEADERS
            if (value := headers.get(name.lower())) is not None
        }
        data = _object(text)
        if data is None:
            return Response(status=status, headers=told, body=None if text else "")
        claims = {}
        for name, value in _members(data):
            if not isinstance(value, str) or given.get(name) == value:
                continue
            if (found := self._claims(value)) is not None:
                text = text.replace(json.dumps(value)[1:-1], "<jwt>")
                if name in data:
                    claims[name] = found
            elif value and _SECRET.search(name):
                text = text.replace(json.dumps(value)[1:-1], "<any>")
        body = _TIME.sub(r'\1"<time>"', hidden(text, self._known))
        return Response(status=status, headers=told, body=body, claims=claims)

    def _url(self, url: str) -> str:
        """What the query and the fragment have in them is told like the rest."""
        told = hidden(re.split("[?#]", url, maxsplit=1)[0], self._known)
        parts = urlsplit(url)
        for mark, text in (("?", parts.query), ("#", parts.fragment)):
            if text:
                pairs = [(name, self._told(name, value)) for name, value in _pairs(text)]
                told += mark + urlencode(pairs, quote_via=quote, errors="replace")
        return told

    def _credentials(self, value: str) -> str:
        scheme, _, rest = value.partition(" ")
        if scheme == "Bearer":
            return f"Bearer {self._told('access_token', rest)}"
        if scheme != "Basic":
            return f"{scheme} {_WRONG}"
        joined = ":".join(self._told(name, half) for name, half in _basic(rest).items())
        return f"Basic {b64encode(joined.encode()).decode()}"

    def _told(self, name: str, value: Any) -> Any:
        """A value of a request, by its name."""
        if isinstance(value, dict):
            return {inner: self._told(inner, member) for inner, member in value.items()}
        if isinstance(value, list):
            return [self._told(name, member) for member in value]
        if not isinstance(value, str) or not value:
            return value
        if value in self._known:
            return self._known[value]
        if _SECRET.search(name) or _JWT.fullmatch(value):
            self._known[value] = _WRONG  # Nor is it told where a reply repeats it.
            return _WRONG
        return hidden(value, self._known)

    def _claims(self, token: str) -> dict[str, Any] | None:
        """What a JWT says, with holes for what the next one says otherwise; None if it is none."""
        try:
            _, claims = opened(token)
        except ValueError:
            return None
        told: dict[str, Any] = {}
        for name, value in claims.items():
            if name in _TIMES:
                told[name] = "<time>"
            elif name in _MADE:
                told[name] = "<any>"
            elif name == "iss":
                told[name] = "<issuer>"
            elif value is not None and not isinstance(value, dict):
                told[name] = self._plain(value)
        return told

    def _plain(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._plain(item) for item in value]
        return hidden(value, self._known) if isinstance(value, str) else value


def _given(request: Request) -> dict[str, Any]:
    """What a request has in it, by name, wherever it has it."""
    given = _pairs_of(request.path)
    given |= dict(_members(_object(request.body or ""))) or dict(_pairs(request.body or ""))
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Basic":
        given |= _basic(rest)
    return given | ({"access_token": rest} if scheme == "Bearer" else {})


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def _pairs_of(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return dict(_pairs(parts.query) + _pairs(parts.fragment))


def _basic(credentials: str) -> dict[str, str]:
    """The halves of RFC 7617 section 2, as RFC 6749 section 2.3.1 has them."""
    try:
        text = b64decode(credentials + "==").decode()
    except ValueError:
        return {}
    client_id, _, secret = text.partition(":")
    return {"client_id": unquote(client_id), "client_secret": unquote(secret)}


def _object(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _members(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in JSON with the name that it goes by, however deep."""
    if isinstance(data, dict):
        for inner, value in data.items():
            yield from _members(value, inner)
    elif isinstance(data, list):
        for value in data:
            yield from _members(value, name)
    elif data is not None:
        yield name, data
