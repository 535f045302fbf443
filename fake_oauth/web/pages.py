"""The login page, and the cookie that tells browsers apart.

Which request waits for which browser is `sessions`' affair, who may log in the rules'.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final
from zlib import crc32

from fake_oauth.provider import authorize
from fake_oauth.provider.authorize import RedirectError
from fake_oauth.provider.checks import active
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.grants import ANY_NAME, check_password
from fake_oauth.provider.parties import User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.sessions import AuthorizationRequest
from fake_oauth.reply import Reply
from fake_oauth.web.reading import Call
from fake_oauth.web.writing import redirect

if TYPE_CHECKING:
    from jinja2 import Template

_HTML: Final = "text/html;charset=UTF-8"
_POLICY: Final = (
    "Content-Security-Policy",
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
)


def cookie_name(realm: Realm) -> str:
    """Browsers share cookies between the ports of a host, so each issuer has its own."""
    return f"fake_oauth_{crc32(realm.issuer.encode()):08x}"


def cookie(realm: Realm, session: str) -> tuple[str, str]:
    """The header that sets a session, or ends it if that is empty."""
    parts = [f"{cookie_name(realm)}={session}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if realm.issuer.startswith("https:"):
        parts.append("Secure")
    if not session:
        parts.append("Max-Age=0")
    return "Set-Cookie", "; ".join(parts)


def logged_in(realm: Realm, session: str | None) -> User | None:
    """The active user of a session, or whoever is logged in everywhere."""
    with realm.lock:
        sub = realm.logged_in_everywhere or realm.sessions.user(session, realm.clock.now())
    user = realm.users.get(sub) if sub is not None else None
    return user if user is not None and user.status == "active" else None


def log_in(realm: Realm, call: Call) -> Reply:
    """Show the page, or take what was chosen on it."""
    session = call.cookies.get(cookie_name(realm))
    p_state = (call.form if call.method == "POST" else call.query).get("p_state")
    with realm.lock:
        asked = realm.sessions.waiting(p_state, session, realm.clock.now())
    if asked is None or p_state is None:
        reason = "p_state is unknown, used up, or another browser's"
        if call.flaw is not None:
            reason = call.flaw.reason
        return _page(realm, None, status=400, reason=reason)
    if call.method != "POST":
        return _page(realm, asked, p_state=p_state, reason="login page shown")
    try:
        user = _chosen(realm, asked, call)
    except RedirectError:
        _settle(realm, p_state)
        raise
    except OAuthError as error:
        told = realm.conventions.told(error).get("error_description", "Nobody was chosen")
        return _page(realm, asked, p_state=p_state, told=told, status=400, reason=error.reason)
    if not _settle(realm, p_state):
        return _page(realm, None, status=400, reason="p_state was used up meanwhile")
    try:
        answer = authorize.allow(realm, asked, user)
    except OAuthError as error:
        return _page(realm, None, status=400, reason=error.reason)
    with realm.lock:
        realm.sessions.end(session)
        session = realm.sessions.begin(realm.clock.now(), sub=user.sub)
    headers = (cookie(realm, session),)
    reason = f"{user.login} logged in on the page"
    return redirect(asked.redirect_uri, answer, headers=headers, reason=reason)


def _settle(realm: Realm, p_state: str) -> bool:
    with realm.lock:
        return realm.sessions.settle(p_state)


def _chosen(realm: Realm, asked: AuthorizationRequest, call: Call) -> User:
    """Who was picked or typed. Raises the refusal of a login, or of the user."""
    form = call.form
    if "deny" in form:
        raise authorize.denied(asked)
    if "sub" in form:
        user = realm.users.get(form["sub"])
        if user is None:
            raise OAuthError("invalid_grant", f"no user {form['sub']}", text="no_such_user")
        return active(user)
    return check_password(realm, ANY_NAME, form.get("username", ""), form.get("password", ""))


def _page(
    realm: Realm,
    asked: AuthorizationRequest | None,
    *,
    p_state: str | None = None,
    told: str | None = None,
    status: int = 200,
    reason: str,
) -> Reply:
    text = _template().render(
        asked=asked,
        p_state=p_state,
        told=told,
        users=[user for user in realm.users.values() if user.status == "active"],
    )
    return Reply(status=status, page=text, content_type=_HTML, headers=(_POLICY,), reason=reason)


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only when a page is shown

    loader = PackageLoader("fake_oauth.web")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("login.html")
