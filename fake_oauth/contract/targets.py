"""What is tested: a fake that can be reset for each case, or any other server.

A target prepares what a case needs, and provides the values that replace the documented ones. If it
cannot, it says what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from fake_oauth.contract.cases import Case, Request
from fake_oauth.contract.client import Metadata, ReceivedResponse, Transport
from fake_oauth.contract.options import OWN_OPTIONS
from fake_oauth.contract.placeholders import DOCUMENTED, Level, documented_names, parameters
from fake_oauth.contract.terminal import printable, shortened
from fake_oauth.control import PREFIX
from fake_oauth.dialects import DIALECTS, Dialect
from fake_oauth.provider.errors import FakeOAuthError
from fake_oauth.reply import FORM, JSON

# What matches if a value is not given that the server makes, or knows.
_MADE: Final = ("code", "otp_token", "p_state", "kid", "access_token", "email", "phone_number")
_UNKNOWN: Final = {**dict.fromkeys(_MADE, "<any>"), "username": "<text>", "sub": "<text>"}
# The values that a case uses up if it spends something.
_USED_UP: Final = (*("code", "device_code", "refresh_token", "access_token", "otp", "otp_token"),)
# The values that have scopes already. Other grants get the scopes that the request names.
_GRANTED: Final = frozenset({"code", "device_code", "refresh_token", "access_token"})
# Servers accept any value for these, so the documented one is sent.
_FREE: Final = frozenset({"code_challenge"})


class SkippedError(Exception):
    """A case cannot run on a target; the message says what it needs."""


class Target(Protocol):
    """A server that cases are run against."""

    level: Level
    """How exact its responses are expected to be."""
    dialect: Dialect
    """The dialect whose cases it is tested against."""

    def prepare(self, case: Case) -> AbstractContextManager[Mapping[str, str]]:
        """Provide what a case needs while it runs, and return the values. Raise SkippedError."""
        ...

    def send(self, request: Request) -> ReceivedResponse:
        """Send a request. Raise UnreachableError."""
        ...

    def url_of(self, path: str) -> str:
        """Return the URL that a request with this path and query is sent to."""
        ...


class ServerTarget:
    """Any server, with the values that are known of it."""

    def __init__(
        self,
        transport: Transport,
        values: Mapping[str, str],
        dialect: Dialect,
        *,
        level: Level = "loose",
        spends: bool = False,
        is_set_up: bool = False,
        prefix: str = "--",
    ) -> None:
        """Read the metadata of the server. Raise UnreachableError if it does not respond.

        `values` have the names of `placeholders.NAMES`. With `spends`, cases may use things up.
        With `is_set_up`, the server is assumed to be in the state that a case needs. `prefix` is
        that of the options in messages.
        """
        self.level = level
        self.dialect = dialect
        self._transport = transport
        self._spends = spends
        self._is_set_up = is_set_up
        self._prefix = prefix
        self._spent: dict[str, str] = {}
        self._metadata = Metadata(transport, dialect)
        self._values = {
            "issuer": self._metadata.issuer or "<issuer>",
            **values,
            "scopes_supported": self._metadata.scopes or "<text>",
        }

    def send(self, request: Request) -> ReceivedResponse:
        """Send a request to the endpoint that the metadata names, if the dialect has no paths."""
        return self._transport.send(replace(request, path=self._place(request.path)))

    def url_of(self, path: str) -> str:
        place = self._place(path)
        return place if "://" in place[:8] else self._transport.url + place

    def _place(self, path: str) -> str:
        path, mark, query = path.partition("?")
        place = self._metadata.place(path)
        return f"{place}&{query}" if "?" in place and query else place + mark + query

    @contextmanager
    def prepare(self, case: Case) -> Iterator[Mapping[str, str]]:
        self._require(case)
        values = dict(self._values)
        if "client_token" in case.needs:
            self._require_values(("client_id", "client_secret"))
            values["access_token"] = client_token(self, values)
        names = documented_names(*case.before, case.request)
        if "otp" in case.needs and not {"otp", "otp_token"} & set(values):
            self._require_values(("otp", "otp_token"))
        self._require_values([n for n in names if n not in _FREE and n not in values])
        if used := [name for name in names if name in self._spent]:
            raise SkippedError(f"needs another {used[0]}: {self._spent[used[0]]} used it up")
        if "scope" in parameters(case.request):
            values.pop("scope", None)  # The server grants the scope that the request names.
        elif "scope" not in values or _GRANTED.isdisjoint(names):
            values["scope"] = "<text>"
        if case.spends is not None:  # Even if the response is lost.
            self._spent |= {name: case.name for name in names if name in _USED_UP}
        yield {**_UNKNOWN, **values}

    def _require(self, case: Case) -> None:
        """Raise SkippedError if a case needs another server, or is not allowed to run."""
        is_in_browser = "login" in case.needs  # No browser is logged in there.
        if case.state is not None and (is_in_browser or not self._is_set_up):
            raise SkippedError(f"needs a server where {case.state}")
        if (unmet := self._metadata.unmet(case.request)) is not None:
            raise SkippedError(f"needs a server {unmet}")
        if case.spends is not None and not self._spends:
            raise SkippedError(f"would use up {case.spends}; allow it with {self._prefix}spend")

    def _require_values(self, names: Sequence[str]) -> None:
        """Raise SkippedError if one of these values was not given."""
        missing = [
            f"{self._prefix}{name.replace('_', '-')}"
            if name in OWN_OPTIONS
            else f"{self._prefix}value {name}=…"
            for name in names
            if name not in self._values
        ]
        if missing:
            raise SkippedError(f"needs {', '.join(missing)}")


class ControlAPI:
    """The control API of a server that may be a fake.

    Any server can pretend to have one, so nothing that it returns is trusted to have a form.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def dialect_name(self) -> str | None:
        """Return the name of the dialect that a fake serves; None if the server is not a fake.

        Raise UnreachableError if the server does not respond.
        """
        index = self._transport.send(Request(method="GET", path=f"{PREFIX}/")).members
        name = index.get("dialect")
        is_fake = isinstance(index.get("controls"), list) and isinstance(index.get("issuer"), str)
        return name if is_fake and isinstance(name, str) else None

    def call(self, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Return the response to a GET, or to a POST of JSON. Raise FakeOAuthError if refused."""
        text = None if body is None else json.dumps(body, default=str)
        request = Request(
            method="GET" if body is None else "POST",
            path=PREFIX + path,
            headers={} if body is None else {"Content-Type": JSON},
            body=text,
        )
        response = self._transport.send(request)
        if response.status != 200 or not isinstance(response.json, dict):
            where = f"{self._transport.url}{PREFIX}{path}"
            excerpt = printable(shortened(" ".join(response.text.split()), 400))
            raise FakeOAuthError(f"{where}: expected 200, got {response.status}: {excerpt}")
        return response.members

    def values(self) -> dict[str, str]:
        """Return the values of the first client and user, with tokens and a code for them."""
        kinds = ("clients", "users", "auth_sources")
        values = settings_values({kind: self.call(f"/{kind}").get(kind) for kind in kinds})
        code = {"redirect_uri": values.get("redirect_uri")}
        issued = {**self.call("/tokens", {}), **self.call("/codes", code)}
        return values | _texts(
            {name: issued.get(name) for name in ("access_token", "refresh_token", "code", "scope")}
        )


def settings_values(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of the first client, user, and refresh token of settings as plain data."""
    client, user = _at(settings, "clients", 0), _at(settings, "users", 0)
    sources = settings.get("auth_sources")
    return _texts(
        {
            "client_id": _at(client, "client_id"),
            "client_secret": _at(client, "client_secret"),
            "redirect_uri": _at(client, "redirect_uris", 0),
            "logout_redirect_uri": _at(client, "logout_redirect_uris", 0),
            "username": _at(user, "username") or _at(user, "sub"),
            "sub": _at(user, "sub"),
            "password": _at(user, "password"),
            "phone_number": _at(user, "phone"),
            "email": _at(user, "email"),
            "refresh_token": _at(settings, "refresh_tokens", 0, "value"),
            **{
                f"{_at(source, 'kind')}_auth_source": _at(source, "id")
                for source in (sources if isinstance(sources, list) else ())
            },
        }
    )


def _at(data: Any, *steps: str | int) -> Any:
    """Return a member of plain data; None if there is no such member."""
    for step in steps:
        try:
            data = data[step]
        except (LookupError, TypeError):
            return None
    return data


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the values that can be sent; a lone surrogate cannot."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, str) and value == value.encode(errors="ignore").decode()
    }


class FakeTarget:
    """A fake with the control API, reset for each case."""

    level: Level = "strict"

    def __init__(self, transport: Transport, dialect: Dialect) -> None:
        self.dialect = dialect
        self._transport = transport
        self._control = ControlAPI(transport)

    def send(self, request: Request) -> ReceivedResponse:
        return self._transport.send(request)

    def url_of(self, path: str) -> str:
        return self._transport.url + path

    @contextmanager
    def prepare(self, case: Case) -> Iterator[Mapping[str, str]]:
        kind = type(self.dialect)
        is_known = self.dialect.name in DIALECTS
        name = self.dialect.name if is_known else f"{kind.__module__}:{kind.__qualname__}"
        self._control.call("/reset", {"settings": {"dialect": name, **case.settings}})
        values: dict[str, str] = {}
        for name, parameters_ in case.needs.items():
            if name == "code":
                self._control.call("/codes", parameters_)
            elif name == "device_code":
                self._authorize_device(**parameters_)
            elif name == "login":
                self._control.call("/login", parameters_)
            elif name == "access_token":
                values |= _texts(self._control.call("/tokens", parameters_))
            elif name == "client_token":
                values["access_token"] = client_token(self, DOCUMENTED)
            else:
                self._send_otp(parameters_)
        values = {name: value for name, value in values.items() if name == "access_token"}
        if case.response.claims:
            issuer = Metadata(self._transport, self.dialect).issuer
            values["issuer"] = issuer or "<issuer>"
        yield values

    def _authorize_device(self, outcome: str | None = None, **form: str) -> None:
        """Request a device code, and let the user decide, or let it expire."""
        client = {name: DOCUMENTED[name] for name in ("client_id", "client_secret")}
        path = self.dialect.paths["device_authorization"]
        body = urlencode({**client, **form})
        request = Request(method="POST", path=path, headers={"Content-Type": FORM}, body=body)
        members = self.send(request).members
        if not {"device_code", "user_code"} <= members.keys():
            raise SkippedError("needs a server that issues device codes")
        if outcome == "expired":
            self._control.call("/expire", {"token": members["device_code"]})
        elif outcome is not None:
            verb = {"allowed": "approve", "denied": "deny"}[outcome]
            self._control.call(f"/{verb}_device", {"user_code": members["user_code"]})

    def _send_otp(self, parameters_: Mapping[str, Any]) -> None:
        client = {name: DOCUMENTED[name] for name in ("client_id", "client_secret")}
        body = json.dumps({**client, "usage": "login", **parameters_})
        path = self.dialect.paths["otp_send"]
        self.send(Request(method="POST", path=path, headers={"Content-Type": JSON}, body=body))

    def restore(self) -> None:
        """Reset the fake to its own settings."""
        self._control.call("/reset", {})


def client_token(target: Target, values: Mapping[str, str]) -> str:
    """Return an access token for the client itself. Raise SkippedError if it gets none."""
    form = {name: values[name] for name in ("client_id", "client_secret")}
    body = urlencode({**form, "grant_type": "client_credentials"})
    path = target.dialect.paths["token"]
    request = Request(method="POST", path=path, headers={"Content-Type": FORM}, body=body)
    token = target.send(request).members.get("access_token")
    if not isinstance(token, str):
        raise SkippedError(
            "needs a client that is allowed to use client_credentials, with its secret in the body"
        )
    return token
