"""The authorization endpoint over HTTP, and how its responses reach the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fake_oauth.http import cookies
from fake_oauth.http.pages import form_post
from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import authorize as authorization
from fake_oauth.provider import pushed
from fake_oauth.provider.errors import Cause, Target
from fake_oauth.provider.realm import Realm
from fake_oauth.reply import Headers, Reply, redirect


def authorize(realm: Realm, request: HTTPRequest) -> Reply:
    """Respond with a code, or redirect to the login page.

    RFC 6749 section 3.1, OpenID Connect Core 1.0 section 3.1.2, CIAM 1441/64348.
    """
    parameters = request.form if request.method == "POST" else request.query
    valid, note = pushed.take(realm, parameters, request.number)
    session = request.cookies.get(cookies.name(realm))
    login, reason = authorization.login_for(realm, valid, session)
    if note is not None:
        reason += f"; {note}"
    if "consent" in valid.prompts:
        reason += "; prompt consent accepted, there is no page for it"
    if login is not None:
        return response(
            realm,
            valid.target,
            authorization.allow(realm, valid, login),
            request=request,
            reason=reason,
        )
    headers: Headers = ()
    with realm.lock:
        now = realm.clock.now()
        if session is None or not realm.sessions.is_known(session, now):
            session = realm.sessions.begin(now)
            headers = (cookies.header(realm, session),)
        p_state = realm.sessions.wait(session, valid, now)
    return redirect(realm.url_of("login"), {"p_state": p_state}, headers=headers, reason=reason)


def response(
    realm: Realm,
    target: Target,
    parameters: Mapping[str, str],
    *,
    request: HTTPRequest | None,
    reason: str,
    headers: Headers = (),
    cause: Cause | None = None,
) -> Reply:
    """Return an authorization response in the mode of the request (RFC 6749 section 4.1.2).

    A scripted one has no HTTP `request`.
    """
    error = parameters.get("error")
    if target.mode == "form_post":
        page = form_post(request, target.redirect_uri, dict(parameters), reason=reason)
        headers = (*page.headers, *headers)
        return replace(page, headers=headers, cause=cause, authorization_error=error)
    if "+" in realm.dialect.unescaped_in_redirects and "+" in (target.state or ""):
        reason += "; the + in state is not escaped, and a form decoder reads a space"
    sent = redirect(
        target.redirect_uri,
        parameters,
        reason=reason,
        headers=headers,
        cause=cause,
        unescaped=realm.dialect.unescaped_in_redirects,
        in_fragment=target.mode == "fragment",
    )
    return sent if error is None else replace(sent, authorization_error=error)
