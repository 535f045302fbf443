"""The end of a browser's session over HTTP, and the pages before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fake_oauth.http import cookies
from fake_oauth.http.pages import action, client_name, page
from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import logout
from fake_oauth.provider.realm import Realm
from fake_oauth.reply import Headers, Reply, redirect


def log_out(realm: Realm, request: HTTPRequest) -> Reply:
    """End a browser's session (CIAM 1441/64393)."""
    uri, parameters = logout.log_out(realm, request.query)
    with realm.lock:
        realm.sessions.end(request.cookies.get(cookies.name(realm)))
    return _sent_back(realm, uri, parameters, reason="logged out")


def end_session(realm: Realm, request: HTTPRequest) -> Reply:
    """End a browser's session, after a question unless the client knows the user.

    OpenID Connect RP-Initiated Logout 1.0 section 2.
    """
    asked = logout.validate(realm, request.form if request.method == "POST" else request.query)
    session = request.cookies.get(cookies.name(realm))
    with realm.lock:
        login = realm.sessions.login(session, realm.clock.now())
        sub = None if login is None else login.sub
        must_ask = "confirm" not in request.form and asked.needs_confirmation(realm, sub)
        if not must_ask:
            realm.sessions.end(session)
        user = realm.users.get(sub or "")
        everywhere = realm.logged_in_everywhere
    if must_ask:
        return page(
            "logout.html",
            realm,
            request,
            ui_locales=asked.sent.get("ui_locales"),
            asked=asked,
            user=sub if user is None else user.login_name,
            name=client_name(realm, asked.client_id),
            action=action(realm, "end_session"),
            form_targets=() if asked.redirect_uri is None else (asked.redirect_uri,),
            reason=f"asks {sub} whether to log out",
        )
    reason = f"{sub} logged out" if sub is not None else "no user was logged in in this browser"
    if everywhere is not None:
        reason += f"; {everywhere.sub} stays logged in in every browser, because the test said so"
    if asked.redirect_uri is not None:
        return _sent_back(realm, asked.redirect_uri, asked.state, reason=reason)
    is_uri_ignored = "post_logout_redirect_uri" in asked.sent
    if is_uri_ignored:
        reason += "; post_logout_redirect_uri ignored, because no client is named"
    locales = asked.sent.get("ui_locales")
    over = page(
        "logout.html",
        realm,
        request,
        ui_locales=locales,
        asked=None,
        is_uri_ignored=is_uri_ignored,
        reason=reason,
    )
    return replace(over, headers=(*over.headers, *_ended(realm)))


def _sent_back(realm: Realm, uri: str, parameters: Mapping[str, str], *, reason: str) -> Reply:
    return redirect(
        uri,
        parameters,
        headers=_ended(realm),
        reason=reason,
        unescaped=realm.dialect.unescaped_in_redirects,
    )


def _ended(realm: Realm) -> Headers:
    return (cookies.header(realm, ""),)
