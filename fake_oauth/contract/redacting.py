"""Exchanges as pages may tell them: no secret, no token, the documented values for known ones.

Known are the values that were given, what a server has given out, and what a request that it
granted had in it. Any other secret stands as `WRONG` in what is asked: that is what it was, or else
it is none of a reader's business. In what is answered it is a hole.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.named import (
    Named,
    basic_of,
    by_name,
    came_in,
    given_in,
    json_in,
    pairs_of,
)
from fake_oauth.contract.pages import Request, Response
from fake_oauth.contract.rewriting import Tell, form_told, json_told, url_told
from fake_oauth.contract.secrecy import is_somebodys
from fake_oauth.contract.telling import WRONG, Known, Teller, opened_or_none
from fake_oauth.contract.values import DOCUMENTED

_ANSWERED_HEADERS: Final = ("Content-Type", "Location", "WWW-Authenticate", "Retry-After")
# What a server gives out, and a client brings back.
_GIVEN_OUT: Final = ("access_token", "refresh_token", "otp_token", "p_state", "issuer")
_URLS: Final = ("redirect_uri", "logout_redirect_uri", "issuer")
_QUOTED: Final = re.compile(r'([\w-]+)="([^"]*)"')


class Redactor:
    """What is known of the values of one server, and how exchanges with it are told."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` are by the names of `NAMES`."""
        self._known = Known()
        documented = {**DOCUMENTED, "sub": DOCUMENTED["username"]}
        for name, value in values.items():
            if value and name in documented:
                self._known.learn(value, documented[name], is_url=name in _URLS)

    def redacted(self, request: Request, answer: Answer) -> tuple[Request, Response]:
        """What is asked and answered, as a page may have it."""
        given = list(given_in(request))
        came = came_in(answer)
        is_granted = _is_granted(answer, came)
        if is_granted:
            self._learn(
                [one for one in given if self._known.right(str(one[1])) is None], DOCUMENTED
            )
        self._learn(came, _GIVEN_OUT)
        # In a body it is what many say for an error or a status.
        self._learn(list(pairs_of(answer.fields.get("location", ""))), ("code",))
        self._wrong(given, _refused(answer.status, came))
        secrets = {str(value) for names, value in given if is_somebodys(names, str(value))}
        teller = Teller(
            self._known, frozenset(secrets), frozenset(str(value) for _, value in given)
        )
        told = _asked(request, teller), _answered(answer, teller)
        if is_granted:
            self._forget(request, by_name(given), by_name(came))
        return told

    def _learn(self, values: Sequence[Named], names: Collection[str]) -> None:
        for path, value in values:
            name = path[-1] if path else ""
            if name in names and isinstance(value, str) and value:
                self._known.learn(value, DOCUMENTED[name], is_url=name in _URLS)

    def _forget(self, request: Request, given: Mapping[str, Any], came: Mapping[str, Any]) -> None:
        """What has been used up is wrong from now on."""
        spent = {"code"}
        if came.get("refresh_token", given.get("refresh_token")) != given.get("refresh_token"):
            spent.add("refresh_token")
        if request.path.partition("?")[0].endswith("/revoke"):
            spent.add("token")
        self._wrong([((name,), value) for name, value in given.items()], spent)

    def _wrong(self, given: Sequence[Named], names: Collection[str]) -> None:
        for path, value in given:
            is_known = isinstance(value, str) and self._known.right(value) is not None
            if is_known and path and path[-1] in names:
                self._known.learn(value, WRONG)


def _asked(request: Request, teller: Teller) -> Request:
    kind, headers = request.headers.get("Content-Type", ""), {}
    if kind:
        headers["Content-Type"] = kind
    if authorization := request.headers.get("Authorization"):
        headers["Authorization"] = _credentials_told(authorization, teller)
    body = request.body
    if body is not None:
        if "json" in kind:
            body = _json_told(body, teller.asked) or WRONG
        elif "form-urlencoded" in kind and json_in(body) is None:
            body = form_told(body, teller.asked)
        else:
            body = WRONG  # Whatever it is, what is secret in it cannot be told.
    path = url_told(request.path, teller.asked)
    return Request(method=request.method, path=path, headers=headers, body=body)


def _answered(answer: Answer, teller: Teller) -> Response:
    """With holes for tokens, and what they say; a body that is no JSON object is left out."""
    status, headers = answer.status, answer.fields
    text = answer.body.decode(errors="replace")
    told = {n: headers[n.lower()] for n in _ANSWERED_HEADERS if n.lower() in headers}
    if "no-store" in headers.get("cache-control", ""):  # RFC 6749 section 5.1.
        told["Cache-Control"] = headers["cache-control"]
    if "Location" in told:
        urls = tuple(teller.known.urls.items())
        told["Location"] = url_told(told["Location"], teller.redirected, urls)
    if "WWW-Authenticate" in told:
        told["WWW-Authenticate"] = _QUOTED.sub(
            lambda one: f'{one[1]}="{teller.answered((one[1],), one[2])}"', told["WWW-Authenticate"]
        )
    data = json_in(text)
    if not isinstance(data, dict):
        return Response(status=status, headers=told, body=None if text else "")
    tokens = {
        name: found
        for name, value in data.items()
        if isinstance(value, str) and value not in teller.given
        if (found := opened_or_none(value)) is not None
    }
    return Response(
        status=status,
        headers=told,
        body=_json_told(text, teller.answered),
        jose={name: teller.jose(header) for name, (header, _) in tokens.items()},
        claims={name: teller.claims(claims) for name, (_, claims) in tokens.items()},
    )


def _json_told(text: str, tell: Tell) -> str | None:
    """The same JSON, told; None for what is none."""
    try:
        return json_told(text, tell)
    except ValueError:
        return None


def _credentials_told(value: str, teller: Teller) -> str:
    scheme, blank, rest = value.partition(" ")
    if scheme.lower() == "bearer" and blank:
        return f"{scheme} {teller.asked(('access_token',), rest.strip())}"
    if scheme.lower() == "basic" and (halves := basic_of(rest)):
        # Without a secret, the name is one: an API key.
        names = halves if halves["client_secret"] else ("client_secret", "client_secret")
        told = zip(names, halves.values(), strict=True)
        joined = ":".join(str(teller.asked((name,), half)) if half else "" for name, half in told)
        return f"{scheme} {b64encode(joined.encode()).decode()}"
    # A scheme is a word; anything else may be the secret itself.
    return f"{scheme} {WRONG}" if scheme.isalpha() and len(scheme) < 10 and blank else WRONG


def _is_granted(answer: Answer, came: Sequence[Named]) -> bool:
    """Whether what a request had in it was right; a page of HTML does not say."""
    is_page = "html" in answer.fields.get("content-type", "")
    return answer.status < 400 and not is_page and not any("error" in names for names, _ in came)


def _refused(status: int, came: Sequence[Named]) -> Collection[str]:
    """What is good no more, by a reply that refuses it; whoever spent or revoked it."""
    said = by_name(came)
    if said.get("error") == "invalid_grant":
        return ("code", "refresh_token")
    if said.get("active") is False:
        return ("token",)
    return ("access_token",) if status == 401 else ()
