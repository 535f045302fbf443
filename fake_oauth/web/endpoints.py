"""The endpoints as HTTP sees them, and `ENDPOINTS`.

To add one, write its function and give it a row, and a path in the dialects that serve it:
routing, 405, discovery and the list in a 404 follow. What an endpoint decides belongs in
`provider`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fake_oauth.provider import authorize as authorizing
from fake_oauth.provider import bearer, grants, introspection, otp
from fake_oauth.provider.asking import Ask, Params
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.realm import Realm
from fake_oauth.reply import JSON, JSON_UTF8, Reply
from fake_oauth.web import pages
from fake_oauth.web.reading import Call
from fake_oauth.web.site import Site
from fake_oauth.web.writing import redirect, token_reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The methods that it takes, and what answers.

    `answer` is given the site, the request as it was read, and the number that it has in the
    journal.
    """

    methods: tuple[str, ...]
    answer: Callable[[Site, Call, int], Reply]
    member: str | None = None
    """Its member in the discovery document, if it has one."""
    takes_json: Callable[[Realm, Params], bool] = lambda _realm, _params: False
    """Whether these parameters may come as JSON."""
    reads_query: bool = False
    """Whether its parameters are in the query string."""
    reads_body: bool = True
    """Whether a body that cannot be read is refused before it is asked."""
    error_type: str = JSON_UTF8
    """The Content-Type of its errors."""

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods that it takes, HEAD with GET (RFC 9110 section 9.3.2)."""
        return (*self.methods, "HEAD") if "GET" in self.methods else self.methods


def token(site: Site, call: Call, number: int) -> Reply:
    """RFC 6749 section 3.2; CIAM 1441/64400 and its siblings."""
    granted = grants.token(site.realm, Ask(call.form, call.credentials, number))
    return token_reply(granted.tokens, granted.reason)


def authorize(site: Site, call: Call, _: int) -> Reply:
    """RFC 6749 section 3.1, CIAM 1441/64348 and 1441/64391: validation first, then a login."""
    realm = site.realm
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
    told, reason = {"p_state": p_state}, "nobody is logged in"
    return redirect(site.url_of("login"), told, headers=headers, reason=reason)


def login(site: Site, call: Call, _: int) -> Reply:
    """The login page (=)."""
    return pages.log_in(site.realm, call)


def revoke(site: Site, call: Call, number: int) -> Reply:
    """RFC 7009, CIAM 1148/51486."""
    return Reply(reason=bearer.revoke(site.realm, Ask(call.form, call.credentials, number)))


def introspect(site: Site, call: Call, number: int) -> Reply:
    """RFC 7662; no part of the documented service."""
    ask = Ask(call.form, call.credentials, number)
    told, reason = introspection.introspect(site.realm, ask)
    return Reply(data=told, content_type=JSON, reason=reason)


def userinfo(site: Site, call: Call, _: int) -> Reply:
    """OpenID Connect Core 1.0 section 5.3, CIAM 1148/51476."""
    claims = bearer.userinfo(site.realm, call.bearer_token)
    return Reply(data=claims, content_type=JSON, reason=f"claims of {claims['sub']}")


def resource(site: Site, call: Call, _: int) -> Reply:
    """A protected resource (RFC 6750); no part of the documented service."""
    told = bearer.resource(site.realm, call.bearer_token)
    return Reply(data=told, content_type=JSON, reason=f"let {told['sub']} in")


def otp_send(site: Site, call: Call, number: int) -> Reply:
    """CIAM 1441/67151."""
    sent = otp.send(site.realm, Ask(call.form, call.credentials, number))
    # The one place where a person at the stub can read it.
    reason = f"OTP {sent.otp} sent to {sent.recipient}"
    return Reply(data={"otp_token": sent.value}, content_type=JSON, reason=reason)


def logout(site: Site, call: Call, _: int) -> Reply:
    """CIAM 1441/64393."""
    realm = site.realm
    uri, told = authorizing.log_out(realm, call.query)
    with realm.lock:
        realm.sessions.end(call.cookies.get(pages.cookie_name(realm)))
    return redirect(uri, told, headers=(pages.cookie(realm, ""),), reason="logged out")


def jwks(site: Site, _call: Call, _: int) -> Reply:
    """RFC 7517, CIAM 1148/51484."""
    keys = [key.jwk() for key in site.realm.keys.published()]
    return Reply(data={"keys": keys}, content_type=JSON, reason="public keys")


def discovery(site: Site, _call: Call, _: int) -> Reply:
    """OpenID Connect Discovery 1.0, CIAM 1148/51487; read off what is served.

    The documented members come first, in the documented order.
    """
    urls = _urls(site)
    methods = _auth_methods(site)
    document = {
        "issuer": site.realm.issuer,
        "authorization_endpoint": urls.pop("authorization_endpoint", None),
        "token_endpoint": urls.pop("token_endpoint"),
        "token_endpoint_auth_methods_supported": methods,
        "jwks_uri": urls.pop("jwks_uri", None),
        "response_types_supported": ["code"],
        "grant_types_supported": list(site.realm.conventions.grants),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": _scopes(site),
        **urls,
        "code_challenge_methods_supported": ["S256"],
    }
    return Reply(data=_less_none(document), content_type=JSON, reason="discovery")


def metadata(site: Site, _call: Call, _: int) -> Reply:
    """RFC 8414 section 2; no part of the documented service. Read off what is served."""
    urls, methods = _urls(site), _auth_methods(site)
    document = {
        "issuer": site.realm.issuer,
        "authorization_endpoint": urls.get("authorization_endpoint"),
        "token_endpoint": urls["token_endpoint"],
        "jwks_uri": urls.get("jwks_uri"),
        "scopes_supported": _scopes(site),
        "response_types_supported": ["code"],
        "grant_types_supported": list(site.realm.conventions.grants),
        "code_challenge_methods_supported": ["S256"],
    }
    for name in ("token", "revocation", "introspection"):
        if (member := f"{name}_endpoint") in urls:
            able = [one for one in methods if one != "none" or name != "introspection"]
            document |= {member: urls[member], f"{member}_auth_methods_supported": able}
    return Reply(data=_less_none(document), content_type=JSON, reason="metadata")


def not_found(site: Site, call: Call) -> OAuthError:
    """The refusal of a path that is not served; it says which are."""
    served = ", ".join(
        f"{' and '.join(ENDPOINTS[name].methods)} {path}"
        for name, path in site.dialect.paths.items()
    )
    reason = f"{call.path} is not served"
    return OAuthError("not_found", reason, description=f"served are: {served}")


def _urls(site: Site) -> dict[str, str]:
    """Where everything is that has a member in the metadata."""
    rows = ((row.member, name) for name, row in ENDPOINTS.items())
    return {
        member: site.url_of(name)
        for member, name in rows
        if member is not None and name in site.dialect.paths
    }


def _auth_methods(site: Site) -> list[str]:
    return sorted({one for client in site.realm.clients.values() for one in client.auth_methods})


def _scopes(site: Site) -> list[str]:
    return sorted({scope for client in site.realm.clients.values() for scope in client.scopes})


def _less_none(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "token": Endpoint(
        methods=("POST",),
        answer=token,
        member="token_endpoint",
        takes_json=grants.reads_json,
    ),
    "authorize": Endpoint(
        methods=("GET",),
        answer=authorize,
        member="authorization_endpoint",
        reads_query=True,
    ),
    "login": Endpoint(methods=("GET", "POST"), answer=login, reads_query=True, reads_body=False),
    "userinfo": Endpoint(
        methods=("GET", "POST"),
        answer=userinfo,
        member="userinfo_endpoint",
        reads_body=False,
    ),
    "revoke": Endpoint(methods=("POST",), answer=revoke, member="revocation_endpoint"),
    "otp_send": Endpoint(
        methods=("POST",),
        answer=otp_send,
        takes_json=lambda _realm, _params: True,
    ),
    "logout": Endpoint(methods=("GET",), answer=logout, reads_query=True, error_type=JSON),
    "introspect": Endpoint(methods=("POST",), answer=introspect, member="introspection_endpoint"),
    "jwks": Endpoint(methods=("GET",), answer=jwks, member="jwks_uri"),
    "discovery": Endpoint(methods=("GET",), answer=discovery),
    "metadata": Endpoint(methods=("GET",), answer=metadata),
    "resource": Endpoint(
        methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
        answer=resource,
        reads_body=False,
    ),
}
