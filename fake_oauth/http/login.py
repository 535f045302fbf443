"""The login page."""

from __future__ import annotations

from typing import Final

from fake_oauth.http import cookies
from fake_oauth.http.authorization import response
from fake_oauth.http.pages import action, client_name, page, user_list
from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import authorize
from fake_oauth.provider.errors import OAuthError, RedirectError
from fake_oauth.provider.grants.password import check_password
from fake_oauth.provider.model import User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Parameters
from fake_oauth.provider.sessions import AuthorizationRequest, Login
from fake_oauth.reply import Reply

CHOOSE: Final = "Choose a user"
"""What the page says if the dialect has no words for why the choice failed."""


def log_in(realm: Realm, request: HTTPRequest) -> Reply:
    """Show the login page, or use what the browser sent from it."""
    session = request.cookies.get(cookies.name(realm))
    is_sent = request.method == "POST"
    p_state = (request.form if is_sent else request.query).get("p_state")
    with realm.lock:
        waiting = realm.sessions.waiting(p_state, session, realm.clock.now())
    if waiting is None or p_state is None:
        reason = "p_state is unknown, used up, of another browser, or from before a reset"
        reason = reason if request.flaw is None else request.flaw.reason
        return _login_ended(realm, request, reason)
    if not is_sent:
        return _page(realm, request, waiting, p_state=p_state, reason="login page shown")
    try:
        if "deny" in request.form:
            raise authorize.denied(waiting)
        user = chosen(realm, request.form)
    except RedirectError:
        _use_up(realm, p_state)
        raise
    except OAuthError as error:
        message = realm.dialect.error_members(error).get("error_description", CHOOSE)
        return _page(realm, request, waiting, p_state=p_state, message=message, reason=error.reason)
    if not _use_up(realm, p_state):
        return _login_ended(realm, request, "p_state was used up by another request")
    login = Login(user.sub, realm.clock.now())
    try:
        parameters = authorize.allow(realm, waiting, login)
    except OAuthError as error:
        return _login_ended(realm, request, error.reason)
    session = begin_session(realm, session, login)
    return response(
        realm,
        waiting.target,
        parameters,
        request=request,
        headers=(cookies.header(realm, session),),
        reason=f"{user.login_name} logged in on the page",
    )


def _use_up(realm: Realm, p_state: str) -> bool:
    with realm.lock:
        return realm.sessions.settle(p_state)


def chosen(realm: Realm, form: Parameters) -> User:
    """Return the user who was picked, or whose password was typed. Raise OAuthError."""
    if "sub" in form:
        user = realm.users.get(form["sub"])
        if user is None:
            raise OAuthError("invalid_grant", f"no user {form['sub']}", cause="user_unknown")
        return realm.active_user(user, user.sub)
    return check_password(realm, None, form.get("username", ""), form.get("password", ""))


def begin_session(realm: Realm, ended: str | None, login: Login) -> str:
    """Return the id of a new session, which replaces the session of the browser."""
    with realm.lock:
        realm.sessions.end(ended)
        return realm.sessions.begin(login.at, login)


def _login_ended(realm: Realm, request: HTTPRequest, reason: str) -> Reply:
    """Return the page that says that this login cannot go on."""
    return page("login.html", realm, request, reason=reason, status=400, waiting=None, message=None)


def _page(
    realm: Realm,
    request: HTTPRequest,
    waiting: AuthorizationRequest,
    *,
    p_state: str,
    message: str | None = None,
    reason: str,
) -> Reply:
    hint = _hinted(realm, waiting)
    return page(
        "login.html",
        realm,
        request,
        reason=reason,
        ui_locales=waiting.ui_locales,
        status=200 if message is None else 400,
        action=action(realm, "login"),
        form_targets=(waiting.target.redirect_uri,),
        waiting=waiting,
        name=client_name(realm, waiting.client_id),
        p_state=p_state,
        message=message,
        users=user_list(realm.users.values(), request.query.get("find"), hint),
        # Only the password is typed again.
        hint=request.form.get("username") or hint,
    )


def _hinted(realm: Realm, waiting: AuthorizationRequest) -> str | None:
    """Return the name that the page begins with."""
    user = realm.users.get(waiting.hinted_sub or "")
    return waiting.login_hint if user is None else user.login_name
