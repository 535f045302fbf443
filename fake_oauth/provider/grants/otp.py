"""One-time passwords (OTPs): sending one (CIAM 1441/67151), and logging in (CIAM 1441/67152).

Nothing is really sent; the realm's outbox keeps the OTP for the test to read.
"""

from __future__ import annotations

import re
from typing import Final

from fake_oauth.provider.errors import Cause, OAuthError
from fake_oauth.provider.grants.password import auth_source_of
from fake_oauth.provider.issuing import Granted, first_tokens, log_in
from fake_oauth.provider.model import AuthSource, Client, OneTimePassword, User
from fake_oauth.provider.realm import Realm, granted_scopes
from fake_oauth.provider.request import TokenRequest
from fake_oauth.provider.store import SentPassword

SMS: Final = "http://tencentciam.com/oauth2/grant-type/otp/sms"
EMAIL: Final = "http://tencentciam.com/oauth2/grant-type/otp/email"

_DAY: Final = 86_400
# The number of recipients whose times are remembered.
_RECIPIENTS: Final = 10_000
_PHONE_NUMBER: Final = re.compile(r"1\d{10}", re.ASCII)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# The parameter that names the recipient, by the kind of auth source.
_RECIPIENT: Final = {"sms": "phone_number", "email": "email"}


def send_otp(realm: Realm, request: TokenRequest) -> OneTimePassword:
    """Send an OTP. Return it with the otp_token that the client needs to use it."""
    client = realm.authenticate(request.credentials)
    parameters = request.parameters
    source_id = parameters.required("auth_source_id")
    source = auth_source_of(realm, client, source_id, tuple(_RECIPIENT))
    usage = parameters.required("usage")
    name = _RECIPIENT[source.kind]
    recipient = _well_formed(source, parameters.required(name))
    with realm.lock:
        now = realm.clock.now()
        if usage == "signup" and _user_of(realm, source, recipient) is not None:
            reason = f"{recipient} belongs to a user already"
            raise OAuthError(f"{name}_is_used", reason, cause="otp_recipient")
        _require_sendable(realm, source, recipient, now)
        sent = OneTimePassword(
            recipient=recipient,
            otp_token=realm.ids.draw("otp_token"),
            otp=realm.ids.draw("otp", digits=source.otp_digits),
            usage=usage,
            auth_source_id=source.id,
            at=now,
        )
        record = SentPassword(
            otp=sent.otp,
            otp_expires_at=now + source.otp_seconds,
            expires_at=now + source.otp_token_seconds,
            client_id=client.client_id,
            auth_source_id=source.id,
            recipient=recipient,
        )
        realm.store.otps.add(sent.otp_token, record, now)
        realm.outbox.append(sent)
        realm.sent_otps[source.id] += 1
        _remember(realm, source, recipient, now)
    return sent


def sms_otp(realm: Realm, client: Client, request: TokenRequest) -> Granted:
    """Issue tokens for an OTP that was sent by SMS."""
    return _log_in(realm, client, request, "sms", SMS)


def email_otp(realm: Realm, client: Client, request: TokenRequest) -> Granted:
    """Issue tokens for an OTP that was sent by email."""
    return _log_in(realm, client, request, "email", EMAIL)


def _log_in(
    realm: Realm, client: Client, request: TokenRequest, kind: str, grant_type: str
) -> Granted:
    parameters = request.parameters
    recipient, otp_token = parameters[_RECIPIENT[kind]], parameters["otp_token"]
    realm.require_grant_type(client, grant_type)
    scopes = granted_scopes(
        parameters.optional("scope"), realm.scopes_of(client), verb="registered"
    )
    source = auth_source_of(realm, client, parameters["auth_source_id"], (kind,))
    with realm.lock:
        now = realm.clock.now()
        record = realm.store.otps.find(otp_token)
        if record is None:
            raise OAuthError("invalid_grant", "otp_token unknown", cause="otp_token")
        if (flaw := record.flaw(now)) is not None:
            raise OAuthError("invalid_grant", f"otp_token {flaw[1]}", cause="otp_token")
        _require_match(record, client, source, recipient)
        _require_otp(record, parameters["otp"], now)
        user = _user_of(realm, source, recipient)
        if user is None:
            reason = f"no user has {recipient}"
            raise OAuthError("invalid_grant", reason, cause="otp_recipient")
        realm.active_user(user, user.sub)
        record.spent = f"used by request {request.number}"
        realm.store.otps.retire(otp_token)
        grant = log_in(realm, client, user, scopes)
    reason = f"{user.login_name} logged in by {kind}"
    return first_tokens(realm, grant, jkt=request.jkt, reason=reason)


def _require_match(
    record: SentPassword, client: Client, source: AuthSource, recipient: str
) -> None:
    """Check that the OTP was sent for this client, auth source, and recipient."""
    for name, sent_for, presented in (
        ("client", record.client_id, client.client_id),
        ("auth source", record.auth_source_id, source.id),
        ("recipient", record.recipient, recipient),
    ):
        if sent_for != presented:
            reason = f"the OTP was sent for {name} {sent_for}, not {presented}"
            raise OAuthError("invalid_request", reason, cause="otp_mismatch")


def _require_otp(record: SentPassword, otp: str, now: float) -> None:
    reason = None
    if otp != record.otp:
        reason = "otp does not match"
    elif now >= record.otp_expires_at:
        reason = f"otp expired {now - record.otp_expires_at:.0f} s ago"
    if reason is not None:
        raise OAuthError("invalid_grant", reason, cause="otp")


def _well_formed(source: AuthSource, recipient: str) -> str:
    pattern = _PHONE_NUMBER if source.kind == "sms" else _EMAIL
    if not pattern.fullmatch(recipient):
        name = _RECIPIENT[source.kind]
        reason = f"{recipient!r} is not a valid {name.replace('_', ' ')}"
        raise OAuthError(f"malformed_{name}", reason, cause="otp_recipient")
    return recipient


def _require_sendable(realm: Realm, source: AuthSource, recipient: str, now: float) -> None:
    """Check the documented reasons for not sending (CIAM 1441/67151)."""
    if recipient in source.refused:
        code = "invalid_email" if source.kind == "email" else "malformed_phone_number"
        reason = f"auth source {source.id} refuses {recipient}"
        raise OAuthError(code, reason, cause="otp_recipient")
    if source.quota is not None and realm.sent_otps[source.id] >= source.quota:
        reason = f"auth source {source.id} has sent {source.quota}"
        raise OAuthError(f"insufficient_{source.kind}_quota", reason, cause="otp_quota")
    times = [at for at in realm.otp_times.get((source.id, recipient), ()) if now < at + _DAY]
    if times and now < times[-1] + source.interval_seconds:
        raise _too_often(source, f"{recipient} got one {now - times[-1]:.0f} s ago")
    if len(times) >= source.daily_limit:
        raise _too_often(source, f"{recipient} got {source.daily_limit} within a day")
    if not source.available:
        reason = f"auth source {source.id} is not available"
        raise OAuthError("temporarily_unavailable", reason, cause="otp_unavailable")


def _remember(realm: Realm, source: AuthSource, recipient: str, now: float) -> None:
    """Note when an OTP was sent, for a day and for the latest recipients."""
    times = realm.otp_times.pop((source.id, recipient), [])
    realm.otp_times[source.id, recipient] = [*(at for at in times if now < at + _DAY), now]
    while len(realm.otp_times) > _RECIPIENTS:
        realm.otp_times.popitem(last=False)


def _too_often(source: AuthSource, reason: str) -> OAuthError:
    cause: Cause = "sms_rate_limit" if source.kind == "sms" else "email_rate_limit"
    return OAuthError(f"{source.kind}_rate_limit_exceeded", reason, cause=cause)


def _user_of(realm: Realm, source: AuthSource, recipient: str) -> User | None:
    attribute = "phone" if source.kind == "sms" else "email"
    found = (user for user in realm.users.values() if getattr(user, attribute) == recipient)
    return next(found, None)
