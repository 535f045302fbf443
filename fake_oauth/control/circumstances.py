"""The circumstances of an exchange, as Python source: the state before the request.

They are the settings, the steps of the test, and the fault. What became of a token or a user is
inferred from the reason in the journal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from fake_oauth.control.source import call, literal, post
from fake_oauth.families.tree import Family
from fake_oauth.faults.base import Fault, Rule
from fake_oauth.faults.responses import Change, Combined
from fake_oauth.journal import Exchange, printable
from fake_oauth.provider.keys import base64url
from fake_oauth.provider.model import Client, OwnTerms, Terms, User
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
# The clock is not moved any further; a token that lives longer is expired.
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
# Of these, what a server refuses if it does not know the value.
_REFERENCES: Final = frozenset({"p_state", "request_uri", "user_code"})
_EXPIRED: Final = re.compile(r"expired (\d+) s ago")
_LIFETIMES: Final = {
    "access_token": "access_token_seconds",
    "code": "code_seconds",
    "device_code": "device_code_seconds",
}


class Circumstances:
    """The parts of a test before its request, in the order in which they are decided."""

    def __init__(self, server: FakeOAuth, exchange: Exchange) -> None:
        self._server = server
        self._exchange = exchange
        self._reason = exchange.reason or ""
        self._family_of: dict[str, Family] = {
            token.name: family for family in server.families() for token in family.tokens
        }
        self.steps: list[str] = []
        """The statements before the request."""
        self.repeats = 0
        """How often the same request is sent before."""
        self.values: dict[str, str] = {}
        """The expressions of the tokens in the request, by parameter or `bearer`."""
        self.why_not = self._flaw()
        """Why the test cannot bring about the response; None if it can."""
        self.rule = self._fault()
        """The rule for the fault that the request uses."""
        self.settings = self._chosen_settings()
        """The settings of the test; None if there are none that it can have."""
        if self.why_not is None:
            self._bring_about()

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
            # Another server does not know the value either.
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
            self.why_not = f"The fault {printable(exchange.fault)} {what}."
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
        self.why_not = "Its settings are not such that a file can have them."
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
        if f"client {exchange.client_id} unknown" in self._reason:
            clients = [one for one in clients if one.client_id != exchange.client_id]
        enabled = f"client {exchange.client_id} disabled" not in self._reason
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
            replace(user, status="locked" if self._is("locked", user) else "active")
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

    def _is(self, status: str, user: User) -> bool:
        """Return whether the reason of the response is the status of a user."""
        return f"user {user.login_name} is {status}" in self._reason

    def _client(self, client_id: str) -> Client | None:
        clients = () if self.settings is None else self.settings.clients
        return next((one for one in clients if one.client_id == client_id), None)

    def _terms(self, client: Client) -> Terms:
        assert self.settings is not None
        own: OwnTerms = self.settings
        return client.over(own.over(self._server.dialect.terms))

    # How the state came about

    def _bring_about(self) -> None:
        """Write the steps before the request."""
        tokens = self._presented()
        if _EXPIRED.search(self._reason) or "polled" in self._reason:
            self.steps.append("oauth_server.clock.freeze()")
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
        self.values[parameter] = self._after(value, kind, client)

    def _tokens(self, family: Family, client: Client) -> str:
        """Issue the tokens of a family, once. Return the name of the variable."""
        if family.user is None:
            sent = post("oauth_server.token_url", self._own(client, "client_credentials"))
            self.steps.append(f"tokens = {sent}.json()")
            return "tokens"
        issued = call("oauth_server.issue_tokens", self._login(family, client))
        for step in self.steps:
            if step.endswith(f" = {issued}"):
                return step.partition(" = ")[0]
        number = sum("issue_tokens(" in step for step in self.steps)
        variable = f"tokens_{number + 1}" if number else "tokens"
        self.steps.append(f"{variable} = {issued}")
        return variable

    def _login(self, family: Family, client: Client) -> list[str]:
        """Return the arguments that issue tokens or a code of the same kind of login."""
        user = family.user or family.sub
        arguments = [f"user={literal(user)}", f"client={literal(family.client_id)}"]
        known = {*client.scopes}
        if self._terms(client).issue_refresh_tokens == "offline_access":
            known.add("offline_access")
        # The client can have lost some since.
        scopes = [scope for scope in family.scopes if scope in known]
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
        self.steps.append(f"code = {call('oauth_server.issue_code', arguments)}")
        return "code"

    def _device_code(self, family: Family, client: Client) -> str:
        members = self._own(client, None)
        sent = post('oauth_server.url_of("device_authorization")', members)
        self.steps.append(f"device = {sent}.json()")
        user_code = 'device["user_code"]'
        if self._exchange.cause == "access_denied":
            self.steps.append(f"oauth_server.deny_device({user_code})")
        elif family.user is not None and "not decided" not in self._reason:
            self.steps.append(f"oauth_server.approve_device({user_code}, {literal(family.user)})")
        return 'device["device_code"]'

    def _after(self, value: str, kind: str, client: Client) -> str:
        """Write what became of a token before the request. Return the value that is presented."""
        reason = self._reason
        if any(words in reason for words in ("used by request", "polled", "refreshed again")):
            self.repeats = 1
        elif "rotated by request" in reason:
            refresh = self._refreshed(client)
            self.steps.append(f"rotated = {refresh(value)}.json()")
            used = refresh('rotated["refresh_token"]')
            self.steps.append(f"{used}  # The grace period is over.")
            if "and its family revoked by a replay" in reason:
                self.repeats = 1
            elif "and its family revoked" in reason:
                self._revoke(value, client)
        elif "revoked by a replay" in reason:
            replayed = self._refreshed(client)(f"{value.rpartition('.')[0]}.refresh_token")
            self.steps.append(f"rotated = {replayed}.json()")
            self.steps.append(f"{replayed}  # A replay.")
            return 'rotated["refresh_token"]' if kind == "refresh_token" else value
        elif " revoked by " in reason:
            self._revoke(value, client)
        elif (expired := _EXPIRED.search(reason)) is not None:
            self._expire(value, kind, client, int(expired[1]))
        return value

    def _refreshed(self, client: Client) -> Callable[[str], str]:
        """Return a function that returns the source of an earlier refresh."""
        members = self._own(client, "refresh_token")
        return lambda value: post("oauth_server.token_url", {**members, '"refresh_token"': value})

    def _revoke(self, value: str, client: Client) -> None:
        if "revoked by request" in self._reason and client.client_secret is not None:
            members = {**self._own(client, None), '"token"': value}
            self.steps.append(post('oauth_server.url_of("revoke")', members))
        else:
            self.steps.append(f"oauth_server.revoke({value})")

    def _expire(self, value: str, kind: str, client: Client, age: int) -> None:
        terms = self._terms(client)
        if kind == "refresh_token":
            policy = terms.refresh_policy.for_client(is_public=client.is_public)
            lifetime = policy.expires_at(0, 0, terms.refresh_token_seconds)
        else:
            lifetime = getattr(terms, _LIFETIMES[kind])
        if lifetime > _LONG_SECONDS:
            self.steps.append(f"oauth_server.expire({value})")
        else:
            # One second more, because a lifetime starts at a whole second.
            self.steps.append(f"oauth_server.clock.advance({lifetime + max(age, 1)})")

    def _users_states(self) -> None:
        """Write what became of the user, and who is logged in in the browser."""
        assert self.settings is not None
        reason = self._reason
        subs = {family.sub for family in self._families()}
        for user in self.settings.users:
            name = literal(user.login_name)
            if self._is("frozen", user):
                self.steps.append(f"oauth_server.freeze_user({name})")
            elif user.sub in subs and self._exchange.cause in ("user_deleted", "bearer_user"):
                self.steps.append(f"oauth_server.delete_user({name})")
            elif self._exchange.endpoint == "authorize" and (
                f"{user.login_name} is logged in" in reason
            ):
                self.steps.append(f"oauth_server.login({name})")

    def _own(self, client: Client, grant_type: str | None) -> dict[str, str]:
        """Return the parameters of a request that the client could have sent before, as source."""
        sent = {"client_id": client.client_id, "client_secret": client.client_secret}
        if grant_type is not None:
            sent["grant_type"] = grant_type
        return {literal(name): literal(value) for name, value in sent.items() if value is not None}


def _has_function(fault: Fault) -> bool:
    if isinstance(fault, Combined):
        return any(map(_has_function, fault.parts))
    return isinstance(fault, Change)
