"""Where a page is held against: a fake of our own, a stub that can be steered, any other server.

A host makes ready what a page needs and gives the values that stand for the documented ones; or it
says why the page cannot be run there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from fake_oauth.contract.comparing import Answer
from fake_oauth.contract.holes import Level
from fake_oauth.contract.metadata import Metadata
from fake_oauth.contract.pages import Page, Request
from fake_oauth.contract.transports import Transport, json_of
from fake_oauth.contract.values import DOCUMENTED, needed, parameters
from fake_oauth.controls import PREFIX
from fake_oauth.dialects import Dialect
from fake_oauth.provider.errors import FakeOAuthError

_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON: Final = {"Content-Type": "application/json"}
# What a server makes, or knows: where it is not given, whatever comes will do.
_MADE: Final = (
    *("code", "otp_token", "p_state", "kid", "access_token"),
    *("username", "sub", "email", "phone_number"),
)
# What a page that spends something has used up.
_SPENT: Final = ("code", "refresh_token", "access_token", "otp", "otp_token")
# What has been granted scopes before; other tokens have those that they ask for.
_GRANTED: Final = frozenset({"code", "refresh_token", "access_token"})
# What may be anything: the documented value serves.
_FREE: Final = frozenset({"code_challenge"})


class SkippedError(Exception):
    """A page cannot be run on a host; why, and what it would take."""


class Host(Protocol):
    """What pages are held against."""

    level: Level
    """How exact its answers are expected to be."""
    dialect: Dialect
    """What it is taken for."""

    def ready(self, page: Page) -> AbstractContextManager[Mapping[str, str]]:
        """What the page needs, while it is run: the values. Raises SkippedError."""
        ...

    def send(self, request: Request) -> Answer:
        """Ask. Raises UnreachableError."""
        ...


class Foreign:
    """Any server, with what is known of it."""

    def __init__(
        self,
        wire: Transport,
        values: Mapping[str, str],
        *,
        dialect: Dialect = Dialect.CIAM,
        level: Level = "loose",
        spends: bool = False,
        is_set_up: bool = False,
    ) -> None:
        """`values` are by the names of `NAMES`; with `spends` pages may use things up.

        Where it `is_set_up`, it is taken to be in the state that a page needs.
        """
        self.level = level
        self.dialect = dialect
        self._wire = wire
        self._spends = spends
        self._is_set_up = is_set_up
        self._spent: dict[str, str] = {}
        self._values = dict(values)
        self._metadata = Metadata(wire, dialect)
        self._values.setdefault("issuer", self._metadata.issuer)
        self._values["scopes_supported"] = self._metadata.scopes

    def send(self, request: Request) -> Answer:
        """Ask, where the server says that it is to be asked if paths are its own affair."""
        path, mark, query = request.path.partition("?")
        return self._wire.send(replace(request, path=self._metadata.place(path) + mark + query))

    @contextmanager
    def ready(self, page: Page) -> Iterator[Mapping[str, str]]:
        self._can_be_run(page)
        values = dict(self._values)
        if "client_token" in page.needs:
            values["access_token"] = client_token(self, values)
        if "otp" in page.needs and not {"otp", "otp_token"} & set(values):
            raise SkippedError("needs an OTP that was sent: --value otp=… --value otp_token=…")
        names = needed(*page.before, page.request)
        if missing := [name for name in names if name not in {*values, *_FREE}]:
            raise SkippedError(f"needs {', '.join(map(_option, missing))}")
        if spent := [name for name in names if name in self._spent]:
            raise SkippedError(f"needs another {spent[0]}: {self._spent[spent[0]]} has spent it")
        if "scope" in parameters(page.request):
            values.pop("scope", None)  # What is asked for is what is granted.
        elif "scope" not in values or _GRANTED.isdisjoint(names):
            values["scope"] = "<text>"
        if page.spends is not None:  # Even if the answer is lost.
            self._spent |= {name: page.name for name in names if name in _SPENT}
        yield {**dict.fromkeys(_MADE, "<any>"), **values}

    def _can_be_run(self, page: Page) -> None:
        """Raises SkippedError for a page that needs another server, or may not be run."""
        is_in_browser = "login" in page.needs  # No browser of ours is logged in there.
        if page.state is not None and (is_in_browser or not self._is_set_up):
            raise SkippedError(f"needs a server where {page.state}")
        if (lacking := self._metadata.lacking(page.request)) is not None:
            raise SkippedError(f"needs a server {lacking}")
        if page.spends is not None and not self._spends:
            raise SkippedError(f"would spend {page.spends}: --spend")


class Steered:
    """A fake that listens somewhere and can be steered: it is made anew for every page."""

    level: Level = "strict"

    def __init__(self, wire: Transport, dialect: Dialect = Dialect.CIAM) -> None:
        self.dialect = dialect
        self._wire = wire

    def send(self, request: Request) -> Answer:
        return self._wire.send(request)

    @contextmanager
    def ready(self, page: Page) -> Iterator[Mapping[str, str]]:
        self._steer("/reset", {"settings": {"dialect": self.dialect.name, **page.given}})
        made = {}
        for name, said in page.needs.items():
            if name == "code":
                self._steer("/codes", said)
            elif name == "login":
                self._steer("/login", said)
            elif name == "access_token":
                made["access_token"] = self._steer("/tokens", said)["access_token"]
            elif name == "client_token":
                made["access_token"] = client_token(self, DOCUMENTED)
            else:
                client = {name: DOCUMENTED[name] for name in ("client_id", "client_secret")}
                body = json.dumps({**client, "usage": "login", **said})
                path = self.dialect.paths["otp_send"]
                self.send(Request(method="POST", path=path, headers=_JSON, body=body))
        if page.response.claims:
            made["issuer"] = Metadata(self._wire, self.dialect).issuer
        yield made

    def restore(self) -> None:
        """Let it begin again as its own settings say."""
        self._steer("/reset", {})

    def _steer(self, path: str, body: Mapping[str, Any]) -> Any:
        text = json.dumps(body, default=str)
        answer = self.send(Request(method="POST", path=f"{PREFIX}{path}", headers=_JSON, body=text))
        if answer.status != 200:
            raise FakeOAuthError(f"{self._wire.url}{PREFIX}{path}: {answer.body.decode()}")
        return json.loads(answer.body)


def client_token(host: Host, values: Mapping[str, str]) -> str:
    """An access token of a client's own. Raises SkippedError where there is none to be had."""
    names = ("client_id", "client_secret")
    if missing := [name for name in names if name not in values]:
        raise SkippedError(f"needs {', '.join(map(_option, missing))}")
    form = {name: values[name] for name in names}
    body = urlencode({**form, "grant_type": "client_credentials"})
    path = host.dialect.paths["token"]
    data = json_of(host.send(Request(method="POST", path=path, headers=_FORM, body=body)))
    token = data.get("access_token") if isinstance(data, dict) else None
    if not isinstance(token, str):
        raise SkippedError("needs a client that may use client_credentials, its secret in the body")
    return token


def _option(name: str) -> str:
    known: Sequence[str] = ("client_id", "client_secret", "refresh_token")
    return f"--{name.replace('_', '-')}" if name in known else f"--value {name}=…"
