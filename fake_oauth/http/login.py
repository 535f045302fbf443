"""The login page, and the cookie that tells browsers apart."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from zlib import crc32

from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import authorize
from fake_oauth.provider.errors import OAuthError, RedirectError
from fake_oauth.provider.grants.password import check_password
from fake_oauth.provider.model import User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.sessions import AuthorizationRequest
from fake_oauth.reply import HTML, Reply, redirect

if TYPE_CHECKING:
    from jinja2 import Template

_CONTENT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)


def cookie_name(realm: Realm) -> str:
    """Return the name of the session cookie.

    Browsers share cookies between the ports of a host, so each issuer has its own name.
    """
    return f"fake_oauth_{crc32(realm.issuer.encode()):08x}"


def cookie(realm: Realm, session: str) -> tuple[str, str]:
    """Return the header that sets a session, or that ends it if `session` is empty."""
    parts = [f"{cookie_name(realm)}={session}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if realm.issuer.startswith("https:"):
        parts.append("Secure")
    if not session:
        parts.append("Max-Age=0")
    return "Set-Cookie", "; ".join(parts)


def logged_in_user(realm: Realm, session: str | None) -> User | None:
    """Return the active user who is logged in everywhere, or else in this session."""
    with realm.lock:
        logged_in = realm.logged_in_everywhere, realm.sessions.user(session, realm.clock.now())
    users = (realm.users.get(sub) for sub in logged_in if sub is not None)
    return next((user for user in users if user is not None and user.status == "active"), None)


def log_in(realm: Realm, request: HTTPRequest) -> Reply:
    """Show the login page, or use what the browser sent from it."""
    session = request.cookies.get(cookie_name(realm))
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
        user = _chosen(realm, waiting, request)
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
    try:
        parameters = authorize.allow(realm, waiting, user)
    except OAuthError as error:
        return _login_ended(realm, error.reason)
    with realm.lock:
        realm.sessions.end(session)
        session = realm.sessions.begin(realm.clock.now(), sub=user.sub)
    return redirect(
        waiting.redirect_uri,
        parameters,
        headers=(cookie(realm, session),),
        reason=f"{user.login_name} logged in on the page",
        unescaped=realm.dialect.unescaped_in_redirects,
    )


def _use_up(realm: Realm, p_state: str) -> bool:
    with realm.lock:
        return realm.sessions.settle(p_state)


def _chosen(realm: Realm, waiting: AuthorizationRequest, request: HTTPRequest) -> User:
    """Return the user who was picked, or whose password was typed. Raise OAuthError."""
    form = request.form
    if "deny" in form:
        raise authorize.denied(waiting)
    if "sub" in form:
        user = realm.users.get(form["sub"])
        if user is None:
            raise OAuthError("invalid_grant", f"no user {form['sub']}", cause="user_unknown")
        return realm.active_user(user, user.sub)
    return check_password(realm, None, form.get("username", ""), form.get("password", ""))


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
    text = _template().render(
        waiting=waiting,
        p_state=p_state,
        message=message,
        users=[user for user in realm.users.values() if user.status == "active"],
    )
    # A form's redirect counts as its action (CSP 3, section 6.4), so the policy allows the origin
    # of the redirect URI.
    targets = "'self'" if waiting is None else f"'self' {_origin(waiting.redirect_uri)}"
    policy = ("Content-Security-Policy", f"{_CONTENT_POLICY}; form-action {targets}")
    return Reply(status=status, page=text, content_type=HTML, headers=(policy,), reason=reason)


def _origin(uri: str) -> str:
    """Return a source expression for a redirect URI: its origin, or its scheme for an app's own."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and parts.netloc.isascii():
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return f"{parts.scheme}:"


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only when a page is shown

    loader = PackageLoader("fake_oauth.http")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("login.html")
