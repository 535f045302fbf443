"""An exchange as a test: a whole file for the pytest plugin, which brings about the same response.

The file has the settings, how the state came about, the fault, the request, and asserts on what
was sent back and why. The state is inferred from the reason in the journal. If that is not
possible, a comment says so, and the test sends the request without judging the response.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from textwrap import indent
from typing import TYPE_CHECKING, Final

from fake_oauth.control.curl import body_of, media_type, target
from fake_oauth.control.source import call, expression, literal
from fake_oauth.families import Family
from fake_oauth.faults.base import ConnectionFault, Fault, Rule
from fake_oauth.faults.connections import Hang, Truncated
from fake_oauth.faults.responses import BrokenGzip, Change, Combined
from fake_oauth.journal import Exchange, printable
from fake_oauth.provider.keys import base64url
from fake_oauth.provider.model import Client, OwnTerms, Terms, User
from fake_oauth.reply import FORM, JSON, MULTIPART
from fake_oauth.settings import Settings
from fake_oauth.settings_file import dialect_name
from fake_oauth.structure import changed_fields

if TYPE_CHECKING:
    from fake_oauth.server import FakeOAuth

# Settings that a test of one request does not need: what identifies, limits, or only looks other.
_NEEDLESS: Final = frozenset(
    {
        *("control", "seed", "ids", "keys", "tls", "start_time", "freeze_time", "faults"),
        *("journal_limit", "journal_bytes", "refresh_tokens"),
    }
)
# With more clients or users than this, those that have nothing to do with the request are left out.
_FEW: Final = 5
# A longer lifetime is not waited for; the token is expired.
_LONG_SECONDS: Final = 10**8
# What a request has that means nothing to another server, or at another time.
_UNREPEATABLE: Final = {
    "p_state": "The login page that it belongs to is not shown in the test.",
    "request_uri": "The pushed request that it refers to is not in the test.",
    "client_assertion": "Its client_assertion is for one server and a short time.",
    "assertion": "Its assertion is for one server and a short time.",
    "otp": "The OTP that it has was sent by another server.",
    "otp_token": "The OTP that it has was sent by another server.",
    "user_code": "The device that it is about is not in the test.",
}
_REFERENCES: Final = frozenset({"p_state", "request_uri", "user_code"})
_EXPIRED: Final = re.compile(r"expired (\d+) s ago")
_SPECIAL: Final = re.compile(r"[.^$*+?{}\[\]\\|()]")
_LIFETIMES: Final = {
    "access_token": "access_token_seconds",
    "code": "code_seconds",
    "device_code": "device_code_seconds",
}


# The headers of a request that the server reads, besides its credentials.
_HEADERS: Final = {
    "HTTP_ACCEPT_LANGUAGE": "Accept-Language",
    "HTTP_ORIGIN": "Origin",
    "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "Access-Control-Request-Method",
}
_CLASSES: Final = (
    *("AuthSource", "Client", "PreconfiguredRefreshToken", "ProtectedResource", "RefreshPolicy"),
    *("TrustedIssuer", "User"),
)


def pytest_file(server: FakeOAuth, exchange: Exchange) -> str:
    """Return the text of a test file that brings about an exchange."""
    return _Test(server, exchange).text()


class _Test:
    """The parts of a test file, in the order in which they are decided."""

    def __init__(self, server: FakeOAuth, exchange: Exchange) -> None:
        self._server = server
        self._exchange = exchange
        self._reason = exchange.reason or ""
        self._family_of: dict[str, Family] = {
            token.name: family for family in server.families() for token in family.tokens
        }
        self._steps: list[str] = []
        self._repeats = 0
        self._values: dict[str, str] = {}
        """The expressions of the tokens in the request, by parameter."""
        self._why_not = self._flaw()
        self._rule = self._fault()
        self._settings = self._chosen_settings()
        if self._why_not is None:
            self._bring_about()

    def text(self) -> str:
        """Return the file."""
        body = list(self._body())
        code = "\n".join(body)
        settings = self._settings_text()
        names = ["Settings", *(name for name in _CLASSES if f"{name}(" in settings)]
        if "faults." in code:
            names.append("faults")
        mark = "@pytest.mark.allow_violations\n" if (self._exchange.status or 500) >= 400 else ""
        return (
            f"{'import re' + chr(10) * 2 if 're.' in code else ''}"
            "import httpx\n"
            "import pytest\n"
            f"from fake_oauth import {', '.join(sorted(names, key=_in_import_order))}\n\n\n"
            '@pytest.fixture(scope="session")\n'
            "def oauth_settings():\n"
            f"{indent(f'return {settings}', '    ')}\n\n\n"
            f"{mark}def test_request_{self._exchange.number}(oauth_server):\n"
            f"{indent(code, '    ')}\n"
        )

    # Whether the test can bring the response about

    def _flaw(self) -> str | None:
        """Return why the test cannot bring about the response; None if it can."""
        exchange = self._exchange
        headers = dict(exchange.raw_headers)
        if exchange.answered_before is None:
            return "It has no response yet."
        if "HTTP_DPOP" in headers and self._server.dialect.reads_dpop:
            return "Its DPoP proof is valid once and for a short time."
        is_unread = exchange.cause == "request_malformed" or "the body is not read" in self._reason
        if is_unread and not exchange.form:
            return "The journal does not keep a body that it cannot read."
        if self._reason.startswith(("the server stopped first", "the request failed: ")):
            return "The server did not respond as a server does."
        is_refused = exchange.status is not None and exchange.status >= 400
        for name, why in _UNREPEATABLE.items():
            # Another server knows none of its values, and so refuses it just the same.
            if (name in exchange.form or name in exchange.query) and not (
                name in _REFERENCES and is_refused
            ):
                return why
        for name in exchange.tokens.values():
            if name not in self._family_of:
                return f"The server has forgotten the token {printable(name)}."
        return None

    def _fault(self) -> Rule | None:
        """Return the rule for the fault that the request used."""
        exchange = self._exchange
        if exchange.fault is None:
            return None
        step = next((step for step in self._server.steps if str(step) == exchange.fault), None)
        if step is None or _has_function(step.rule.fault):
            what = "is not in the script any more" if step is None else "is a function"
            self._why_not = f"The fault {printable(exchange.fault)} {what}."
            return None
        return Rule(step.rule.fault, endpoint=exchange.endpoint or "any")

    # The settings

    def _chosen_settings(self) -> Settings | None:
        """Return the settings that the request needs; None if there are none that work."""
        current = self._server.settings
        changes = {
            name: value for name, value in changed_fields(current).items() if name not in _NEEDLESS
        }
        changes["dialect"] = dialect_name(current.dialect)
        changes["clients"], changes["users"] = self._clients(), self._users()
        resource = self._server.resource
        changes |= {
            "resource_scope": resource.scope,
            "resource_skew_seconds": resource.skew_seconds,
        }
        without = {"refresh_tokens": ()}
        for fewer in ({}, without, {**without, "auto_login": None, "trusted_issuers": ()}):
            if changes["dialect"] is not None:
                settings = Settings(**{**changes, **fewer})
                if not settings.problems():
                    return settings
        self._why_not = "Its settings are not such that a file can have them."
        return None

    def _families(self) -> list[Family]:
        """Return the families of the tokens that the request presents."""
        names = self._exchange.tokens.values()
        found = {
            self._family_of[name].name: self._family_of[name]
            for name in names
            if name in self._family_of
        }
        return list(found.values())

    def _clients(self) -> tuple[Client, ...]:
        exchange = self._exchange
        involved = {exchange.client_id, *(family.client_id for family in self._families())}
        known = self._server.settings.clients
        clients = [one for one in known if len(known) <= _FEW or one.client_id in involved]
        clients += [one for one in self._server.registered_clients if one.client_id in involved]
        if exchange.cause == "client_unknown":
            clients = [one for one in clients if one.client_id != exchange.client_id]
        enabled = exchange.cause != "client_disabled"
        return tuple(
            replace(one, enabled=enabled) if one.client_id == exchange.client_id else one
            for one in clients
        )

    def _users(self) -> tuple[User, ...]:
        known = {user.sub: user for user in self._server.settings.users}
        families = [family for family in self._families() if family.user is not None]
        form = self._exchange.form
        names = {*(f.sub for f in families), form.get("username"), form.get("sub")}
        users = [
            replace(user, status="active")
            for user in known.values()
            if len(known) <= _FEW or names & {user.sub, user.username, user.phone, user.email}
        ]
        return (
            *users,
            *(
                User(sub=sub, username=None if name == sub else name)
                for sub, name in {f.sub: f.user for f in families}.items()
                if sub not in known
            ),
        )

    def _settings_text(self) -> str:
        settings = Settings() if self._settings is None else self._settings
        members = changed_fields(settings).items()
        return call("Settings", [f"{name}={expression(value)}" for name, value in members])

    def _client(self, client_id: str) -> Client | None:
        clients = () if self._settings is None else self._settings.clients
        return next((one for one in clients if one.client_id == client_id), None)

    def _terms(self, client: Client) -> Terms:
        assert self._settings is not None
        own: OwnTerms = self._settings
        return client.over(own.over(self._server.dialect.terms))

    # How the state came about

    def _bring_about(self) -> None:
        """Write the steps before the request."""
        tokens = self._presented()
        if _EXPIRED.search(self._reason) or "polled" in self._reason:
            self._steps.append("oauth_server.clock.freeze()")
        for parameter, name in tokens.items():
            client = self._client(self._family_of[name].client_id)
            if client is None:
                continue  # The server refuses the client first, so the value does not matter.
            self._present(parameter, name, client)
        self._users_states()

    def _presented(self) -> dict[str, str]:
        """Return the names of the tokens that the server reads, by parameter."""
        return {
            parameter: name
            for parameter, name in self._exchange.tokens.items()
            if parameter == "bearer" or parameter in self._exchange.form
        }

    def _present(self, parameter: str, name: str, client: Client) -> None:
        """Write how a token came about, and what became of it."""
        family = self._family_of[name]
        kind = next(token.kind for token in family.tokens if token.name == name)
        if kind == "code":
            value = self._code(family, client)
        elif kind == "device_code":
            value = self._device_code(family, client)
        else:
            value = f"{self._tokens(family, client)}.{kind}"
            if family.user is None:
                value = 'tokens["access_token"]'
        self._values[parameter] = self._after(value, kind, client)

    def _tokens(self, family: Family, client: Client) -> str:
        """Issue the tokens of a family, once. Return the name of the variable."""
        if family.user is None:
            post = _post("oauth_server.token_url", self._own(client, "client_credentials"))
            self._steps.append(f"tokens = {post}.json()")
            return "tokens"
        issued = call("oauth_server.issue_tokens", self._login(family, client))
        for step in self._steps:
            if step.endswith(f" = {issued}"):
                return step.partition(" = ")[0]
        number = sum("issue_tokens(" in step for step in self._steps)
        variable = f"tokens_{number + 1}" if number else "tokens"
        self._steps.append(f"{variable} = {issued}")
        return variable

    def _login(self, family: Family, client: Client) -> list[str]:
        """Return the arguments that issue tokens or a code of the same kind of login."""
        user = family.user or family.sub
        arguments = [f"user={literal(user)}", f"client={literal(family.client_id)}"]
        known = {*client.scopes}
        if self._terms(client).issue_refresh_tokens == "offline_access":
            known.add("offline_access")
        scopes = [
            scope for scope in family.scopes if scope in known
        ]  # The client can have lost some.
        if set(scopes) != known:
            arguments.append(f"scope={literal(' '.join(scopes))}")
        return arguments

    def _code(self, family: Family, client: Client) -> str:
        form = self._exchange.form
        arguments = self._login(family, client)
        other = re.search(r"redirect_uri is not (\S+), where the code was sent", self._reason)
        uri = other[1] if other is not None else form.get("redirect_uri")
        if uri is not None:
            arguments.append(f"redirect_uri={literal(uri)}")
        verifier = form.get("code_verifier")
        if (
            "does not match the code_challenge" in self._reason
            or "verifier missing" in self._reason
        ):
            verifier = "another verifier"
        if verifier is not None and "no code_challenge before it" not in self._reason:
            challenge = base64url(sha256(verifier.encode(errors="replace")).digest())
            arguments.append(f"code_challenge={literal(challenge)}")
        self._steps.append(f"code = {call('oauth_server.issue_code', arguments)}")
        return "code"

    def _device_code(self, family: Family, client: Client) -> str:
        members = self._own(client, None)
        post = _post('oauth_server.url_of("device_authorization")', members)
        self._steps.append(f"device = {post}.json()")
        user_code = 'device["user_code"]'
        if self._exchange.cause == "access_denied":
            self._steps.append(f"oauth_server.deny_device({user_code})")
        elif family.user is not None and "not decided" not in self._reason:
            self._steps.append(f"oauth_server.approve_device({user_code}, {literal(family.user)})")
        return 'device["device_code"]'

    def _after(self, value: str, kind: str, client: Client) -> str:
        """Write what became of a token before the request. Return the value that is presented."""
        reason = self._reason
        if "used by request" in reason or "polled" in reason:
            self._repeats = 1
        elif "rotated by request" in reason:
            refresh = self._refreshed(client)
            self._steps.append(f"rotated = {refresh(value)}.json()")
            used = refresh('rotated["refresh_token"]')
            self._steps.append(f"{used}  # The grace period is over.")
            if "and its family revoked by a replay" in reason:
                self._repeats = 1
            elif "and its family revoked" in reason:
                self._revoke(value, client)
        elif "revoked by a replay" in reason:
            replayed = self._refreshed(client)(f"{value.rpartition('.')[0]}.refresh_token")
            self._steps.append(f"rotated = {replayed}.json()")
            self._steps.append(f"{replayed}  # A replay.")
            return 'rotated["refresh_token"]' if kind == "refresh_token" else value
        elif " revoked by " in reason:
            self._revoke(value, client)
        elif (expired := _EXPIRED.search(reason)) is not None:
            self._expire(value, kind, client, int(expired[1]))
        return value

    def _refreshed(self, client: Client) -> Callable[[str], str]:
        """Return a function that returns the source of an earlier refresh."""
        members = self._own(client, "refresh_token")
        return lambda value: _post("oauth_server.token_url", {**members, '"refresh_token"': value})

    def _revoke(self, value: str, client: Client) -> None:
        if "revoked by request" in self._reason and client.client_secret is not None:
            members = {**self._own(client, None), '"token"': value}
            self._steps.append(_post('oauth_server.url_of("revoke")', members))
        else:
            self._steps.append(f"oauth_server.revoke({value})")

    def _expire(self, value: str, kind: str, client: Client, age: int) -> None:
        terms = self._terms(client)
        if kind == "refresh_token":
            policy = terms.refresh_policy.for_client(is_public=client.is_public)
            lifetime = policy.expires_at(0, 0, terms.refresh_token_seconds)
        else:
            lifetime = getattr(terms, _LIFETIMES[kind])
        if lifetime > _LONG_SECONDS:
            self._steps.append(f"oauth_server.expire({value})")
        else:
            # One second more, because a lifetime starts at a whole second.
            self._steps.append(f"oauth_server.clock.advance({lifetime + max(age, 1)})")

    def _users_states(self) -> None:
        """Write what became of the user, and who is logged in in the browser."""
        assert self._settings is not None
        reason = self._reason
        subs = {family.sub for family in self._families()}
        for user in self._settings.users:
            name = literal(user.login_name)
            if f"user {user.login_name} is frozen" in reason:
                self._steps.append(f"oauth_server.freeze_user({name})")
            elif user.sub in subs and self._exchange.cause in ("user_deleted", "bearer_user"):
                self._steps.append(f"oauth_server.delete_user({name})")
            elif self._exchange.endpoint == "authorize" and (
                f"{user.login_name} is logged in" in reason
            ):
                self._steps.append(f"oauth_server.login({name})")

    def _own(self, client: Client, grant_type: str | None) -> dict[str, str]:
        """Return the parameters of a request that the client could have sent before, as source."""
        sent = {"client_id": client.client_id, "client_secret": client.client_secret}
        if grant_type is not None:
            sent["grant_type"] = grant_type
        return {literal(name): literal(value) for name, value in sent.items() if value is not None}

    # The request, and what is sent back

    def _body(self) -> Iterator[str]:
        exchange = self._exchange
        yield f"# {printable(str(exchange))}"
        if self._why_not is not None:
            yield f"# The test cannot bring about this response. {self._why_not}"
        if exchange.method == "?":
            yield "# The client sent bytes that are not HTTP, and the journal does not keep them."
            yield "assert oauth_server.is_running"
            return
        yield from self._steps
        rule = self._rule if self._why_not is None else None
        request = self._request(rule)
        for _ in range(self._repeats):
            yield f"{request}  # The same request before."
        if rule is not None:
            yield f"oauth_server.script({expression(rule)})"
        raised = _raised(rule)
        if raised is not None:
            yield f"with pytest.raises({raised}):\n{indent(request, '    ')}"
        else:
            yield f"response = {request}"
        if self._why_not is not None:
            yield "assert len(oauth_server.journal) == 1"
            return
        if raised is None:
            yield f"assert response.status_code == {exchange.status}"
            if exchange.error is not None:
                yield f'assert response.json()["error"] == {literal(exchange.error)}'
        yield from self._judged()

    def _judged(self) -> Iterator[str]:
        """Yield asserts on the journal."""
        exchange = self._exchange
        yield "exchange = oauth_server.journal[-1]"
        if exchange.cause is not None:
            yield f"assert exchange.cause == {literal(exchange.cause)}"
        if exchange.endpoint == "register" or exchange.reason is None:
            return  # It has an id that is new in every server.
        if re.search(r"\d", exchange.reason):
            yield f"assert re.fullmatch({_pattern(exchange.reason)}, exchange.reason)"
        else:
            yield f"assert exchange.reason == {literal(exchange.reason)}"

    def _request(self, rule: Rule | None) -> str:
        """Return the expression that sends the request."""
        exchange = self._exchange
        arguments = [self._url(), *self._headers(), *self._content()]
        if rule is not None:
            arguments.append(f"timeout={1 if isinstance(rule.fault, Hang) else 60}")
        method = exchange.method.lower()
        if method in ("get", "post", "put", "patch", "delete", "head", "options") and (
            method in ("post", "put", "patch") or not exchange.form
        ):
            return call(f"httpx.{method}", arguments)
        return call("httpx.request", [literal(exchange.method), *arguments])

    def _url(self) -> str:
        exchange, settings = self._exchange, self._server.settings
        if exchange.query or exchange.endpoint is None:
            return f"oauth_server.url + {literal(target(exchange))}"
        if exchange.path != settings.issuer_path + settings.paths.get(exchange.endpoint, "?"):
            return f"oauth_server.url + {literal(target(exchange))}"
        if exchange.endpoint == "token":
            return "oauth_server.token_url"
        return f"oauth_server.url_of({literal(exchange.endpoint)})"

    def _headers(self) -> Iterator[str]:
        """Yield the arguments with the credentials and the headers that the server reads."""
        exchange = self._exchange
        sent = dict(exchange.raw_headers)
        authorization = sent.get("HTTP_AUTHORIZATION")
        headers: dict[str, str] = {}
        if authorization is not None:
            pair = _user_pass(authorization)
            if pair is not None:
                yield f"auth=({literal(pair[0])}, {literal(pair[1])})"
            elif "bearer" in self._values:
                scheme = authorization.partition(" ")[0]
                headers["Authorization"] = f"{literal(f'{scheme} ')} + {self._values['bearer']}"
            else:
                headers["Authorization"] = _header(authorization)
        headers |= {name: _header(sent[key]) for key, name in _HEADERS.items() if key in sent}
        if exchange.content_type is not None and media_type(exchange) != MULTIPART:
            is_usual = exchange.content_type in (FORM, JSON) and bool(exchange.form)
            if headers or not is_usual:  # httpx sends the usual one.
                headers["Content-Type"] = _header(exchange.content_type)
        if headers:
            yield "headers=" + _mapping({literal(name): value for name, value in headers.items()})

    def _content(self) -> Iterator[str]:
        exchange = self._exchange
        if not exchange.form:
            return
        kind = media_type(exchange)
        if kind == JSON:
            members = {n: self._values.get(n, expression(v)) for n, v in body_of(exchange).items()}
            yield "json=" + _mapping({literal(name): value for name, value in members.items()})
            return
        values = {
            literal(name): self._values.get(name) or _one_or_all(exchange.form.all(name))
            for name in exchange.form
        }
        if kind == MULTIPART:
            yield "files=" + _mapping({n: f"(None, {value})" for n, value in values.items()})
        else:
            yield "data=" + _mapping(values)


def _in_import_order(name: str) -> tuple[bool, str]:
    return name.islower(), name


def _post(url: str, members: Mapping[str, str]) -> str:
    return call("httpx.post", [url, f"data={_mapping(members)}"])


def _mapping(members: Mapping[str, str]) -> str:
    """Return a dict of expressions."""
    line = f"{{{', '.join(f'{name}: {value}' for name, value in members.items())}}}"
    if len(line) <= 70 and "\n" not in line:
        return line
    inside = "".join(f"    {name}: {value},\n" for name, value in members.items())
    return f"{{\n{inside}}}"


def _one_or_all(values: Iterable[str]) -> str:
    values = list(values)
    return literal(values[0]) if len(values) == 1 else expression(values)


def _user_pass(authorization: str) -> tuple[str, str] | None:
    """Return username and password that httpx encodes to the same header; None if it cannot."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme != "Basic":
        return None
    try:
        user, colon, password = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    again = b64encode(f"{user}:{password}".encode()).decode()
    return (user, password) if colon and again == encoded else None


def _header(value: str) -> str:
    """Return the value of a header as source; WSGI has its bytes as latin-1 (PEP 3333)."""
    return literal(value) if value.isascii() else repr(value.encode("latin-1"))


def _pattern(reason: str) -> str:
    """Return the source of a pattern for a reason, with any numbers in it."""
    escaped = _SPECIAL.sub(r"\\\g<0>", reason)
    pattern = re.sub(r"\d+", lambda _: r"\d+", escaped)
    is_plain = pattern.isprintable() and '"' not in pattern and not pattern.endswith("\\")
    return f'r"{pattern}"' if is_plain else literal(pattern)


def _raised(rule: Rule | None) -> str | None:
    """Return the exception of httpx that a fault leads to; None if there is a response."""
    if rule is None:
        return None
    fault = rule.fault
    parts = fault.parts if isinstance(fault, Combined) else (fault,)
    if any(isinstance(part, BrokenGzip) for part in parts):
        return "httpx.DecodingError"
    is_cut = isinstance(fault, Truncated)
    return "httpx.TransportError" if is_cut or _loses(fault) else None


def _loses(fault: Fault) -> bool:
    return isinstance(fault, ConnectionFault) and fault.loses_response


def _has_function(fault: Fault) -> bool:
    if isinstance(fault, Combined):
        return any(map(_has_function, fault.parts))
    return isinstance(fault, Change)
