"""The verification page: the user enters or confirms the user code, and allows or denies."""

from __future__ import annotations

from typing import Final, Literal

from fake_oauth.http import cookies
from fake_oauth.http.login import CHOOSE, begin_session, chosen
from fake_oauth.http.pages import action, client_name, page, user_list
from fake_oauth.http.request import HTTPRequest
from fake_oauth.provider import device
from fake_oauth.provider.authorize import current_login
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.sessions import Login
from fake_oauth.provider.store import DeviceCode
from fake_oauth.reply import Headers, Reply

TRY_AGAIN: Final = "This code is unknown, used, or expired"


def verify(realm: Realm, request: HTTPRequest) -> Reply:
    """Show the verification page, or use what the browser sent from it (RFC 8628 section 3.3).

    A user code in the URL still needs a confirmation (section 3.3.1).
    """
    is_sent = request.method == "POST"
    user_code = (request.form if is_sent else request.query).get("user_code") or ""
    session = request.cookies.get(cookies.name(realm))
    login = current_login(realm, session)
    if not is_sent and not user_code.strip():
        return _page(realm, request, reason="verification page shown")
    try:
        code = device.undecided(realm, user_code)
        if is_sent:
            return _decide(realm, request, code, login, session)
    except OAuthError as error:
        reason = error.reason if request.flaw is None else request.flaw.reason
        return _page(realm, request, message=TRY_AGAIN, reason=reason)
    return _page(realm, request, code, login, reason=f"{code.name} shown for confirmation")


def _decide(
    realm: Realm, request: HTTPRequest, code: DeviceCode, login: Login | None, session: str | None
) -> Reply:
    """Allow or deny the device. Raise OAuthError if another request was faster."""
    form = request.form
    headers: Headers = ()
    if "deny" in form:
        device.deny(realm, code.user_code)
        return _page(realm, request, outcome="denied", reason=f"{code.name} denied")
    user = realm.users.get(login.sub) if login is not None and "allow" in form else None
    if user is None or login is None:
        try:
            user = chosen(realm, form)
        except OAuthError as error:
            message = realm.dialect.error_members(error).get("error_description", CHOOSE)
            return _page(realm, request, code, login, message=message, reason=error.reason)
        device.allow(realm, code.user_code, user)
        session = begin_session(realm, session, Login(user.sub, realm.clock.now()))
        headers = (cookies.header(realm, session),)
    else:
        device.allow(realm, code.user_code, user, at=login.at)
    return _page(
        realm,
        request,
        outcome="allowed",
        headers=headers,
        reason=f"{code.name} {code.decision}",
    )


def _page(
    realm: Realm,
    request: HTTPRequest,
    waiting: DeviceCode | None = None,
    login: Login | None = None,
    *,
    message: str | None = None,
    outcome: Literal["allowed", "denied"] | None = None,
    headers: Headers = (),
    reason: str,
) -> Reply:
    return page(
        "device.html",
        realm,
        request,
        reason=reason,
        status=200 if message is None else 400,
        headers=headers,
        action=action(realm, "device"),
        users=user_list(realm.users.values(), request.query.get("find")),
        # Only the password is typed again.
        hint=request.form.get("username"),
        user=None if login is None else realm.users.get(login.sub),
        waiting=waiting,
        name=client_name(realm, None if waiting is None else waiting.grant.client_id),
        message=message,
        outcome=outcome,
    )
