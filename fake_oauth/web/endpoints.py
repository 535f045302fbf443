"""The endpoints as HTTP sees them, and `ENDPOINTS`.

To add one, write its function and give it a row: routing, 405, discovery and the list in a 404
follow the table. What an endpoint decides belongs in `provider`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fake_oauth.provider import authorize as authorizing
from fake_oauth.provider import bearer, grants, otp
from fake_oauth.provider.asking import Ask, Params
from fake_oauth.provider.realm import Realm
from fake_oauth.reply import JSON, JSON_UTF8, Reply
from fake_oauth.web import pages
from fake_oauth.web.reading import Call
from fake_oauth.web.writing import redirect, token_reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A path, the methods that it takes, and what answers.

    `answer` is given the realm, the request as it was read, and the number that it has in the
    journal.
    """

    path: str
    methods: tuple[str, ...]
    answer: Callable[[Realm, Call, int], Reply]
    member: str | None = None
    """Its member in the discovery document, if it has one."""
    takes_json: Callable[[Realm, Params], bool] = lambda _realm, _params: False
    """Whether these parameters may come as JSON."""
    reads_query: bool = False
    """Whether its parameters are in the query string."""
    reads_body: bool = True
    """Whether a body that cannot be read is refused."""
    error_type: str = JSON_UTF8
    """The Content-Type of its errors."""

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods that it takes, HEAD with GET (RFC 9110 section 9.3.2)."""
        return (*self.methods, "HEAD") if "GET" in self.methods else self.methods


def token(realm: Realm, call: Call, number: int) -> Reply:
    """RFC 6749 section 3.2; CIAM 1441/64400 and its siblings."""
    granted = grants.token(realm, Ask(call.form, call.credentials, number))
    return token_reply(granted.tokens, granted.reason)


def authorize(realm: Realm, call: Call, _: int) -> Reply:
    """RFC 6749 section 3.1, CIAM 1441/64348 and 1441/64391: validation first, then a login."""
    asked = authorizing.request(realm, call.query)
    session = call.cookies.get(pages.cookie_name(realm))
    user = pages.logged_in(realm, session)
    if user is not None:
        told = authorizing.allow(realm, asked, user)
        return redirect(asked.redirect_uri, told, reason=f"{user.login} is logged in")
    headers: tuple[tuple[str, str], ...] = ()
    with realm.lock:
        now = realm.clock.now()
        if session is None or not realm.sessions.is_known(session, now):
            session = realm.sessions.begin(now)
            headers = (pages.cookie(realm, session),)
        p_state = realm.sessions.wait(session, asked, now)
    uri = url_of(realm, ENDPOINTS["login"])
    return redirect(uri, {"p_state": p_state}, headers=headers, reason="nobody is logged in")


def login(realm: Realm, call: Call, _: int) -> Reply:
    """The login page (=)."""
    return pages.log_in(realm, call)


def revoke(realm: Realm, call: Call, number: int) -> Reply:
    """RFC 7009, CIAM 1148/51486."""
    return Reply(reason=bearer.revoke(realm, Ask(call.form, call.credentials, number)))


def userinfo(realm: Realm, call: Call, _: int) -> Reply:
    """OpenID Connect Core 1.0 section 5.3, CIAM 1148/51476."""
    claims = bearer.userinfo(realm, call.bearer_token)
    return Reply(data=claims, content_type=JSON, reason=f"claims of {claims['sub']}")


def resource(realm: Realm, call: Call, _: int) -> Reply:
    """A protected resource (RFC 6750); no part of the documented service."""
    told = bearer.resource(realm, call.bearer_token)
    return Reply(data=told, content_type=JSON, reason=f"let {told['sub']} in")


def otp_send(realm: Realm, call: Call, number: int) -> Reply:
    """CIAM 1441/67151."""
    sent = otp.send(realm, Ask(call.form, call.credentials, number))
    # The one place where a person at the stub can read it.
    reason = f"OTP {sent.otp} sent to {sent.recipient}"
    return Reply(data={"otp_token": sent.value}, content_type=JSON, reason=reason)


def logout(realm: Realm, call: Call, _: int) -> Reply:
    """CIAM 1441/64393."""
    uri, told = authorizing.log_out(realm, call.query)
    with realm.lock:
        realm.sessions.end(call.cookies.get(pages.cookie_name(realm)))
    return redirect(uri, told, headers=(pages.cookie(realm, ""),), reason="logged out")


def jwks(realm: Realm, _call: Call, _: int) -> Reply:
    """RFC 7517, CIAM 1148/51484."""
    keys = [key.jwk() for key in realm.keys.published()]
    return Reply(data={"keys": keys}, content_type=JSON, reason="public keys")


def discovery(realm: Realm, _call: Call, _: int) -> Reply:
    """OpenID Connect Discovery 1.0, CIAM 1148/51487; read off what is served.

    The documented members come first, in the documented order.
    """
    urls = {
        endpoint.member: url_of(realm, endpoint)
        for endpoint in ENDPOINTS.values()
        if endpoint.member is not None
    }
    clients = realm.clients.values()
    methods = {method for client in clients for method in client.auth_methods}
    document = {
        "issuer": realm.issuer,
        "authorization_endpoint": urls.pop("authorization_endpoint"),
        "token_endpoint": urls.pop("token_endpoint"),
        "token_endpoint_auth_methods_supported": sorted(methods),
        "jwks_uri": urls.pop("jwks_uri"),
        "response_types_supported": ["code"],
        "grant_types_supported": list(grants.GRANTS),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": sorted({scope for client in clients for scope in client.scopes}),
        **urls,
        "code_challenge_methods_supported": ["S256"],
    }
    return Reply(data=document, content_type=JSON, reason="discovery")


def url_of(realm: Realm, endpoint: Endpoint) -> str:
    """Where an endpoint is for those who know the issuer."""
    return realm.issuer.rstrip("/") + endpoint.path


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "token": Endpoint(
        path="/oauth2/token",
        methods=("POST",),
        answer=token,
        member="token_endpoint",
        takes_json=grants.reads_json,
    ),
    "authorize": Endpoint(
        path="/oauth2/authorize",
        methods=("GET",),
        answer=authorize,
        member="authorization_endpoint",
        reads_query=True,
    ),
    "login": Endpoint(
        path="/portal/login", methods=("GET", "POST"), answer=login, reads_query=True
    ),
    "userinfo": Endpoint(
        path="/userinfo", methods=("GET", "POST"), answer=userinfo, member="userinfo_endpoint"
    ),
    "revoke": Endpoint(
        path="/oauth2/revoke", methods=("POST",), answer=revoke, member="revocation_endpoint"
    ),
    "otp_send": Endpoint(
        path="/otp/send",
        methods=("POST",),
        answer=otp_send,
        takes_json=lambda _realm, _params: True,
    ),
    "logout": Endpoint(
        path="/logout", methods=("GET",), answer=logout, reads_query=True, error_type=JSON
    ),
    "jwks": Endpoint(path="/oauth2/jwks", methods=("GET",), answer=jwks, member="jwks_uri"),
    "discovery": Endpoint(
        path="/.well-known/openid-configuration", methods=("GET",), answer=discovery
    ),
    "resource": Endpoint(
        path="/resource",
        methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
        answer=resource,
        reads_body=False,
    ),
}
