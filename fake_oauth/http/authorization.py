"""The authorization endpoint over HTTP, and how its responses reach the client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from fake_oauth.http import cookies
from fake_oauth.http.pages import form_post
from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import authorize as authorization
from fake_oauth.provider import pushed
from fake_oauth.provider.errors import Cause, RedirectError, Target
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.sessions import AuthorizationRequest
from fake_oauth.reply import Headers, Reply, redirect


def authorize(realm: Realm, request: HTTPRequest) -> Reply:
    """Respond with a code, or redirect to the login page.

    RFC 6749 section 3.1, OpenID Connect Core 1.0 section 3.1.2, CIAM 1441/64348.
    """
    parameters = request.form if request.method == "POST" else request.query
    valid, pushed_note = pushed.take(realm, parameters, request.number)
    session = request.cookies.get(cookies.name(realm))
    notes = "".join(f"; {note}" for note in _notes(valid, pushed_note))
    try:
        login, reason = authorization.login_for(realm, valid, session)
    except RedirectError as error:
        error.reason += notes + _lost_cookie(request, session)
        raise
    reason += notes
    if login is not None:
        return response(
            realm,
            valid.target,
            authorization.allow(realm, valid, login),
            request=request,
            reason=reason,
        )
    reason += _lost_cookie(request, session)
    headers: Headers = ()
    with realm.lock:
        now = realm.clock.now()
        if session is None or not realm.sessions.is_known(session, now):
            session = realm.sessions.begin(now)
            headers = (cookies.header(realm, session),)
        p_state = realm.sessions.wait(session, valid, now)
    return redirect(realm.url_of("login"), {"p_state": p_state}, headers=headers, reason=reason)


def _notes(valid: AuthorizationRequest, pushed_note: str | None) -> Iterator[str]:
    """Yield what the journal says about a valid request, whatever the response is."""
    if pushed_note is not None:
        yield pushed_note
    if "consent" in valid.prompts:
        yield "prompt consent accepted, there is no page for it"
    if ignored := valid.ignored_scopes:
        one = len(ignored) == 1
        yield (
            f"scope{'' if one else 's'} {' and '.join(ignored)} ignored, because "
            f"{valid.client_id} is not registered for {'it' if one else 'them'}"
        )


def _lost_cookie(request: HTTPRequest, session: str | None) -> str:
    """Return a note if the browser withheld the session cookie, which is of SameSite=Lax.

    It says so in its headers (Fetch Metadata Request Headers, sections 2.1 and 2.3).
    """
    headers = dict(request.raw_headers)
    is_framed = headers.get("HTTP_SEC_FETCH_DEST") == "iframe"
    if session is not None or not is_framed or headers.get("HTTP_SEC_FETCH_SITE") != "cross-site":
        return ""
    return (
        "; the browser sent no session cookie: the frame's page and this server are different "
        "sites, such as localhost and 127.0.0.1"
    )


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
