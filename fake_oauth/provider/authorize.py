"""The authorization endpoint: from an authorization request to a code.

Until the redirect URI is known to belong to the client, the browser shows an error. After that, an
error is a `RedirectError`, which the browser takes back to the client (RFC 6749 section 4.1.2.1).
The browser also shows the errors for a parameter that is sent twice, except those of PKCE and
`nonce`, and for a missing `redirect_uri` with scope `openid`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from fake_oauth.provider import registration, resources
from fake_oauth.provider.errors import (
    Cause,
    OAuthError,
    RedirectError,
    ResponseMode,
    Target,
    bad_authorization_parameter,
)
from fake_oauth.provider.hints import read_id_token
from fake_oauth.provider.issuing import log_in, new_code
from fake_oauth.provider.model import Acceptance, Client
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Parameters
from fake_oauth.provider.sessions import AuthorizationRequest, Login
from fake_oauth.provider.tokens import InvalidTokenError

PROMPTS: Final = ("none", "login", "consent", "select_account")
"""The values of `prompt` (OpenID Connect Core 1.0 section 3.1.2.1)."""
RESPONSE_MODES: Final[tuple[ResponseMode, ...]] = get_args(ResponseMode)

# Parameters that are not supported, with their errors (OpenID Connect Core 1.0 section 3.1.2.6).
_UNSUPPORTED: Final[Mapping[str, str]] = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}
# The addresses of RFC 8252 section 7.3, without a user.
_LOOPBACK: Final = re.compile(
    r"http://(127(?:\.[0-9]{1,3}){3}|\[::1\]|localhost)(?::[0-9]{1,5})?([/?].*|)", re.DOTALL
)


def validate(
    realm: Realm, parameters: Parameters, *, is_pushed: bool = False
) -> AuthorizationRequest:
    """Return a request that needs only a login (RFC 6749 section 4.1.1, CIAM 1441/64348).

    `is_pushed` says that the client has authenticated and pushed it (RFC 9126).
    """
    parameters = parameters.only(realm.dialect.authorization_parameters)
    client = requesting_client(realm, parameters, has_pushed=is_pushed)
    sent = parameters.optional("redirect_uri")
    redirect_uri = _redirect_uri(realm, client, sent)
    state = (parameters.once("state") or None) if "state" in parameters else None
    mode = parameters.optional("response_mode")
    known = next((known for known in RESPONSE_MODES if known == mode), None)
    target = Target(redirect_uri, state, known or "query")
    request = _Request(realm, client, parameters, target)
    request.require_supported()
    must_push = realm.requires_pushed_requests or client.require_pushed_authorization_requests
    if must_push and not is_pushed:
        reason = f"client {client.client_id} has to push its authorization requests"
        raise request.refused("invalid_request", "request_uri", reason)
    if mode is not None and known is None:
        reason = f"response_mode {mode!r} is not one of {', '.join(RESPONSE_MODES)}"
        raise request.refused("invalid_request", "response_mode", reason)
    request.require_response_type()
    scopes = request.requested_scopes()
    if sent is None and "openid" in scopes:
        raise bad_authorization_parameter(
            "redirect_uri", "redirect_uri missing, which scope openid requires", client=client
        )
    if not client.may_use("authorization_code"):
        reason = f"client {client.client_id} may not use grant_type authorization_code"
        raise request.refused("unauthorized_client", "client_id", reason)
    prompts, granted = request.prompts(), request.granted(scopes)
    return AuthorizationRequest(
        client_id=client.client_id,
        target=target,
        sent_redirect_uri=sent,
        prompts=prompts,
        scopes=granted,
        ignored_scopes=tuple(
            dict.fromkeys(word for word in scopes if word and word not in granted)
        ),
        code_challenge=request.code_challenge(),
        nonce=parameters.get("nonce"),
        resources=request.resources(),
        dpop_jkt=parameters.optional("dpop_jkt") if realm.dialect.reads_dpop else None,
        max_age=request.max_age(),
        login_hint=parameters.optional("login_hint"),
        hinted_sub=request.hinted_sub(),
        ui_locales=parameters.get("ui_locales"),
    )


@dataclass(frozen=True, slots=True)
class _Request:
    """A request whose redirect URI is the client's. Each method checks a part of it."""

    realm: Realm
    client: Client
    parameters: Parameters
    target: Target

    def refused(
        self, code: str, parameter: str, reason: str, cause: Cause = "authorization_parameter"
    ) -> RedirectError:
        """Return a refusal that the browser takes to the client."""
        return RedirectError(code, reason, cause=cause, parameter=parameter, target=self.target)

    def require_supported(self) -> None:
        """Check that the request is in its parameters, and not in a JWT (RFC 9101)."""
        for name, code in _UNSUPPORTED.items():
            if name in self.parameters:
                raise self.refused(code, name, f"{name} is not supported")

    def require_response_type(self) -> None:
        """Check that a code is requested (RFC 6749 sections 4.1.1 and 4.1.2.1)."""
        kinds = self.parameters.all("response_type")
        if kinds == ("code",):
            return
        is_one = len(kinds) == 1
        reason = f"response_type {kinds[0]!r} is not code" if kinds else "response_type missing"
        raise self.refused(
            "unsupported_response_type" if is_one else "invalid_request",
            "response_type",
            reason if len(kinds) < 2 else f"response_type sent {len(kinds)} times",
            "response_type_unsupported" if is_one else "response_type",
        )

    def requested_scopes(self) -> tuple[str, ...]:
        """Return the scopes as they were sent."""
        scope = self.parameters.optional("scope")
        return tuple(scope.split(" ")) if scope else ()

    def prompts(self) -> tuple[str, ...]:
        """Return how the user is asked (OpenID Connect Core 1.0 section 3.1.2.1)."""
        prompts = tuple((self.parameters.optional("prompt") or "").split())
        reason = None
        if unknown := [prompt for prompt in prompts if prompt not in PROMPTS]:
            reason = f"prompt {unknown[0]!r} is not one of {', '.join(PROMPTS)}"
        elif "none" in prompts and len(prompts) > 1:
            reason = f"prompt {' '.join(prompts)!r} has none and another value"
        if reason is not None:
            raise self.refused("invalid_request", "prompt", reason)
        return prompts

    def granted(self, scopes: tuple[str, ...]) -> tuple[str, ...]:
        """Return the scopes that the client may have; the others are ignored or refused."""
        if self.realm.grants_any_scope(self.client):
            return tuple(word for word in scopes if word)
        registered = self.realm.scopes_of(self.client)
        unknown = [word for word in scopes if word not in registered]
        if unknown and not self.realm.acceptance.unknown_scopes:
            reason = f"scope {unknown[0]!r} was not registered; registered: {' '.join(registered)}"
            raise self.refused("invalid_scope", "scope", reason)
        return tuple(word for word in scopes if word in registered)

    def code_challenge(self) -> str | None:
        """Return the code_challenge (RFC 7636 section 4.3)."""
        parameters, client = self.parameters, self.client
        for name in ("nonce", "code_challenge", "code_challenge_method"):
            if len(parameters.all(name)) > 1:
                cause: Cause = "authorization_parameter" if name == "nonce" else "pkce_parameter"
                reason = f"{name} sent {len(parameters.all(name))} times"
                raise self.refused("invalid_request", name, reason, cause)
        challenge, method = (parameters.get(f"code_challenge{end}") for end in ("", "_method"))
        if (challenge or method) and method != "S256":
            reason = f"code_challenge_method {method!r} is not S256"
            raise self.refused("invalid_request", "code_challenge_method", reason, "pkce_parameter")
        if not challenge and needs_challenge(self.realm, client):
            reason = f"client {client.client_id} needs a code_challenge"
            raise self.refused("invalid_request", "code_challenge", reason, "pkce_parameter")
        return challenge or None

    def resources(self) -> tuple[str, ...]:
        """Return the resources that access tokens are requested for."""
        try:
            return resources.requested(self.realm, self.parameters)
        except OAuthError as error:
            raise self.refused(error.code, "resource", error.reason, error.cause) from None

    def max_age(self) -> int | None:
        """Return how old a login may be, in seconds (OpenID Connect Core 1.0 section 3.1.2.1)."""
        value = self.parameters.optional("max_age")
        if value is None:
            return None
        if not re.fullmatch("[0-9]{1,18}", value):
            reason = f"max_age {value!r} is not a number of seconds"
            raise self.refused("invalid_request", "max_age", reason)
        return int(value)

    def hinted_sub(self) -> str | None:
        """Return the user of the id_token_hint, which may have expired and have any audience."""
        hint = self.parameters.optional("id_token_hint")
        if hint is None:
            return None
        try:
            sub: str = read_id_token(self.realm, hint)["sub"]
        except InvalidTokenError as error:
            raise self.refused(
                "invalid_request", "id_token_hint", f"id_token_hint is {error}"
            ) from None
        return sub


def needs_challenge(realm: Realm, client: Client) -> bool:
    """Return whether an authorization request of a client needs a code_challenge."""
    return client.require_pkce or client.is_public or realm.dialect.requires_pkce


def login_for(
    realm: Realm, request: AuthorizationRequest, session: str | None
) -> tuple[Login | None, str]:
    """Return the login that the request can use without a page, and why it can or cannot.

    Without a page, a browser that is logged in everywhere logs in again as often as a request
    asks for it. Raise RedirectError if the user must be asked, and `prompt` is `none` (OpenID
    Connect Core 1.0 section 3.1.2.6).
    """
    with realm.lock:
        now, everywhere = realm.clock.now(), realm.logged_in_everywhere
        login = current_login(realm, session)
        flaw = _flaw(request, login, now)
        if login is not None and flaw is None:
            return login, f"{realm.users[login.sub].login_name} is logged in"
        if "none" in request.prompts:
            raise RedirectError(
                "login_required",
                f"{flaw}, and prompt is none",
                cause="login_required",
                parameter="prompt",
                target=request.target,
            )
        if login is None or login is not everywhere or request.hinted_sub not in (None, login.sub):
            skipped = "" if login is not None else ", which login() or auto_login skips"
            return None, f"{flaw}: the login page follows{skipped}"
        realm.logged_in_everywhere = Login(login.sub, now)
        name = realm.users[login.sub].login_name
        return realm.logged_in_everywhere, f"{flaw}; {name} logged in again"


def current_login(realm: Realm, session: str | None) -> Login | None:
    """Return the login of an active user, everywhere or else in this session; None without one."""
    with realm.lock:
        logins = realm.logged_in_everywhere, realm.sessions.login(session, realm.clock.now())
        return next((login for login in logins if login and _is_active(realm, login)), None)


def _is_active(realm: Realm, login: Login) -> bool:
    user = realm.users.get(login.sub)
    return user is not None and user.status == "active"


def _flaw(request: AuthorizationRequest, login: Login | None, now: float) -> str | None:
    """Return why the user must be asked; None if the login is enough."""
    if login is None:
        return "no user is logged in"
    if request.hinted_sub not in (None, login.sub):
        return f"{login.sub} is logged in, and id_token_hint is for {request.hinted_sub}"
    if request.shows_page:
        return f"prompt is {' '.join(request.prompts)}"
    age, most = now - login.at, request.max_age
    # The smallest age asks for a login (OpenID Connect Core 1.0 section 3.1.2.1).
    if most is not None and (age > most or most == 0):
        return f"the login is {age:.0f} s old, and max_age is {most}"
    return None


def allow(realm: Realm, request: AuthorizationRequest, login: Login) -> Mapping[str, str]:
    """Return the parameters of the authorization response: a code."""
    client, user = realm.clients.get(request.client_id), realm.users[login.sub]
    if client is None or not client.enabled:
        flaw = "removed" if client is None else "disabled"
        reason = f"client {request.client_id} was {flaw}"
        raise bad_authorization_parameter("client_id", reason, client=client)
    with realm.lock:
        grant = log_in(realm, client, user, request.scopes, at=login.at)
        grant.resources = request.resources
        code = new_code(
            realm,
            grant,
            redirect_uri=request.sent_redirect_uri,
            code_challenge=request.code_challenge,
            nonce=request.nonce,
            jkt=request.dpop_jkt,
        )
    return {"code": code} | _common(realm, request.target)


def denied(request: AuthorizationRequest) -> RedirectError:
    """Return the refusal of a client that the user has denied."""
    return RedirectError(
        "access_denied",
        "denied on the login page",
        cause="access_denied",
        parameter="client_id",
        target=request.target,
    )


def error_parameters(realm: Realm, error: RedirectError) -> Mapping[str, str]:
    """Return the parameters of a redirect with an error, in the documented order."""
    return realm.dialect.error_members(error) | _common(realm, error.target)


def _common(realm: Realm, target: Target) -> dict[str, str]:
    """Return what every response has: the state, and the issuer (RFC 9207 section 2)."""
    state = {} if target.state is None else {"state": target.state}
    return state | ({"iss": realm.issuer} if realm.sends_issuer else {})


def requesting_client(realm: Realm, parameters: Parameters, *, has_pushed: bool = False) -> Client:
    """Return the client of an authorization request. Raise OAuthError.

    The document of a client that `has_pushed` its request was read then.
    """
    client_id = parameters.required("client_id")
    if not has_pushed:
        registration.described(realm, client_id)
    client = realm.clients.get(client_id)
    if client is None:
        raise bad_authorization_parameter("client_id", realm.clients.absence(client_id))
    if not client.enabled:
        raise bad_authorization_parameter(
            "client_id", f"client {client_id} disabled", client=client
        )
    return client


def _redirect_uri(realm: Realm, client: Client, sent: str | None) -> str:
    """Return where the browser is redirected: the URI that was sent, or the only registered one."""
    uris = client.redirect_uris
    if sent is None:
        if len(uris) != 1:
            raise bad_authorization_parameter(
                "redirect_uri", f"no redirect_uri, {len(uris)} registered", client=client
            )
        return uris[0]
    if sent not in uris and not any(differ_in_port(sent, uri, realm.acceptance) for uri in uris):
        known = ", ".join(uris) or "none"
        raise bad_authorization_parameter(
            "redirect_uri",
            f"redirect_uri {sent!r} not registered; registered: {known}",
            client=client,
        )
    return sent


def differ_in_port(sent: str, registered: str, acceptance: Acceptance) -> bool:
    """Return whether two URIs of this machine are equal but for the port (RFC 8252 section 7.3)."""
    matches = _LOOPBACK.fullmatch(sent), _LOOPBACK.fullmatch(registered)
    same = {match and match.groups() for match in matches}
    host = matches[0] and matches[0][1]
    is_accepted = host != "localhost" or acceptance.localhost_on_any_port
    return None not in matches and len(same) == 1 and is_accepted
