"""The login page."""

from __future__ import annotations

from fake_oauth.http import cookies
from fake_oauth.http.authorization import response
from fake_oauth.http.pages import action, client_name, page
from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import authorize
from fake_oauth.provider.errors import OAuthError, RedirectError
from fake_oauth.provider.grants.password import check_password
from fake_oauth.provider.model import User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Parameters
from fake_oauth.provider.sessions import AuthorizationRequest, Login
from fake_oauth.reply import Reply


def log_in(realm: Realm, request: HTTPRequest) -> Reply:
    """Show the login page, or use what the browser sent from it."""
    session = request.cookies.get(cookies.name(realm))
    is_sent = request.method == "POST"
    p_state = (request.form if is_sent else request.query).get("p_state")
    with realm.lock:
        waiting = realm.sessions.waiting(p_state, session, realm.clock.now())
    if waiting is None or p_state is None:
        reason = "p_state is unknown, used up, or of another browser"
        return _login_ended(realm, reason if request.flaw is None else request.flaw.reason)
    if not is_sent:
        return _page(realm, waiting, p_state=p_state, reason="login page shown")
    try:
        if "deny" in request.form:
            raise authorize.denied(waiting)
        user = chosen(realm, request.form)
    except RedirectError:
        _use_up(realm, p_state)
        raise
    except OAuthError as error:
        message = realm.dialect.error_members(error).get("error_description", "Choose a user")
        return _page(
            realm, waiting, p_state=p_state, message=message, status=400, reason=error.reason
        )
    if not _use_up(realm, p_state):
        return _login_ended(realm, "p_state was used up by another request")
    login = Login(user.sub, realm.clock.now())
    try:
        parameters = authorize.allow(realm, waiting, login)
    except OAuthError as error:
        return _login_ended(realm, error.reason)
    session = begin_session(realm, session, login)
    return response(
        realm,
        waiting.target,
        parameters,
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


def _login_ended(realm: Realm, reason: str) -> Reply:
    """Return the page that says that this login cannot go on."""
    return _page(realm, None, status=400, reason=reason)


def _page(
    realm: Realm,
    waiting: AuthorizationRequest | None,
    *,
    p_state: str | None = None,
    message: str | None = None,
    status: int = 200,
    reason: str,
) -> Reply:
    users = [user for user in realm.users.values() if user.status == "active"]
    hint = None
    if waiting is not None:
        hint = _hinted(realm, waiting)
        # The named user comes first.
        users.sort(key=lambda user: hint not in (user.login_name, user.email, user.phone, user.sub))
    return page(
        "login.html",
        reason=reason,
        status=status,
        action=action(realm, "login"),
        form_targets=() if waiting is None else (waiting.target.redirect_uri,),
        waiting=waiting,
        name=client_name(realm, None if waiting is None else waiting.client_id),
        p_state=p_state,
        message=message,
        users=users,
        hint=hint,
    )


def _hinted(realm: Realm, waiting: AuthorizationRequest) -> str | None:
    """Return the name that the page begins with."""
    user = realm.users.get(waiting.hinted_sub or "")
    return waiting.login_hint if user is None else user.login_name
