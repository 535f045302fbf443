"""One-time passwords: sending them and logging in with them.

Nothing is sent anywhere; the outbox has it.
"""

from __future__ import annotations

import re
from typing import Final

from fake_oauth.provider.asking import Ask
from fake_oauth.provider.checks import active, auth_source_of, may_use, scopes_among
from fake_oauth.provider.conventions import EMAIL, SMS
from fake_oauth.provider.errors import OAuthError, TextName
from fake_oauth.provider.issuing import first_tokens, log_in
from fake_oauth.provider.outbox import Message
from fake_oauth.provider.parties import AuthSource, Client, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.records import OtpRecord
from fake_oauth.provider.tokens import Granted

_DAY: Final = 86_400
_PHONE_NUMBER: Final = re.compile(r"1\d{10}", re.ASCII)
_VENDOR: Final = re.compile(r"https?://([\w-]+\.)*tencentciam\.com", re.ASCII)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# The parameter that names the recipient, by the kind of auth source.
_RECIPIENT: Final = {"sms": "phone_number", "email": "email"}


def canonical(grant_type: str, issuer: str) -> str:
    """A grant_type in the one spelling that the table has.

    The pages write those of OTP with the vendor's host and with the tenant's own, and some clients
    write https.
    """
    for name in (SMS, EMAIL):
        path = name.removeprefix("http://tencentciam.com")
        if grant_type.endswith(path):
            host = grant_type.removesuffix(path)
            if _VENDOR.fullmatch(host) or host.partition(":")[2] == issuer.partition(":")[2]:
                return name
    return grant_type


def send(realm: Realm, ask: Ask) -> OtpRecord:
    """Send an OTP; returns it with the otp_token that goes with it (CIAM 1441/67151)."""
    client = realm.authenticate(ask.credentials)
    params = ask.params
    source = auth_source_of(realm, client, params.required("auth_source_id"), tuple(_RECIPIENT))
    usage = params.required("usage")
    recipient = _well_formed(source, params.required(_RECIPIENT[source.kind]))
    with realm.lock:
        now = realm.clock.now()
        if usage == "signup" and _user_of(realm, source, recipient) is not None:
            name = _RECIPIENT[source.kind]
            raise OAuthError(f"{name}_is_used", f"{recipient} belongs to a user already")
        _may_be_sent(realm, source, recipient, now)
        record = OtpRecord(
            value=realm.ids.draw("otp_token"),
            otp=realm.ids.draw("otp", digits=source.otp_digits),
            otp_expires_at=now + source.otp_seconds,
            expires_at=now + source.otp_token_seconds,
            client_id=client.client_id,
            auth_source_id=source.id,
            recipient=recipient,
        )
        realm.ledger.otps.write(record, now)
        realm.outbox.append(
            Message(
                recipient=recipient,
                otp=record.otp,
                otp_token=record.value,
                usage=usage,
                auth_source_id=source.id,
                at=now,
            )
        )
    return record


def sms(realm: Realm, client: Client, ask: Ask) -> Granted:
    """CIAM 1441/67152, by phone."""
    return _log_in(realm, client, ask, "sms")


def email(realm: Realm, client: Client, ask: Ask) -> Granted:
    """CIAM 1441/67152, by email."""
    return _log_in(realm, client, ask, "email")


def _log_in(realm: Realm, client: Client, ask: Ask, kind: str) -> Granted:
    params = ask.params
    source_id = params.required("auth_source_id")
    recipient = params.required(_RECIPIENT[kind])
    otp, otp_token = params.required("otp"), params.required("otp_token")
    asked = params.optional("scope")
    may_use(client, SMS if kind == "sms" else EMAIL)
    scopes = scopes_among(asked, client.scopes, verb="registered")
    source = auth_source_of(realm, client, source_id, (kind,))
    with realm.lock:
        now = realm.clock.now()
        record = realm.ledger.otps.find(otp_token)
        flaw = "unknown" if record is None else record.flaw(now)
        if record is None or flaw is not None:
            raise OAuthError("invalid_grant", f"otp_token {flaw}", text="bad_otp_token")
        _matches(record, client, source, recipient)
        if otp != record.otp or now >= record.otp_expires_at:
            late = f"expired {now - record.otp_expires_at:.0f} s ago"
            raise OAuthError(
                "invalid_grant",
                f"otp {'wrong' if otp != record.otp else late}",
                text="bad_otp",
            )
        user = _user_of(realm, source, recipient)
        if user is None:
            raise OAuthError("invalid_grant", f"no user has {recipient}")
        active(user)
        realm.ledger.otps.kill(record, f"used by request {ask.number}")
        grant = log_in(realm, client.client_id, user, scopes)
    return Granted(first_tokens(realm, grant), f"{user.login} logged in by {kind}")


def _matches(record: OtpRecord, client: Client, source: AuthSource, recipient: str) -> None:
    sent = (record.client_id, record.auth_source_id, record.recipient)
    for name, then, now in zip(
        ("client", "auth source", "recipient"),
        sent,
        (client.client_id, source.id, recipient),
        strict=True,
    ):
        if then != now:
            raise OAuthError(
                "invalid_request",
                f"the OTP was sent for {name} {then}, not {now}",
                text="otp_mismatch",
            )


def _well_formed(source: AuthSource, recipient: str) -> str:
    pattern = _PHONE_NUMBER if source.kind == "sms" else _EMAIL
    if not pattern.fullmatch(recipient):
        name = _RECIPIENT[source.kind]
        raise OAuthError(f"malformed_{name}", f"{recipient!r} is no {name.replace('_', ' ')}")
    return recipient


def _may_be_sent(realm: Realm, source: AuthSource, recipient: str, now: float) -> None:
    """The documented reasons for not sending (CIAM 1441/67151)."""
    if recipient in source.refused:
        raise OAuthError(
            "invalid_email" if source.kind == "email" else "malformed_phone_number",
            f"{recipient} is refused by auth source {source.id}",
        )
    if source.quota is not None and realm.outbox.sent[source.id] >= source.quota:
        raise OAuthError(
            f"insufficient_{source.kind}_quota", f"auth source {source.id} has sent {source.quota}"
        )
    times = [
        message.at
        for message in realm.outbox
        if (message.auth_source_id, message.recipient) == (source.id, recipient)
    ]
    if times and now < times[-1] + source.interval_seconds:
        raise _too_often(source, f"{recipient} got one {now - times[-1]:.0f} s ago")
    if len([at for at in times if now < at + _DAY]) >= source.daily_limit:
        raise _too_often(source, f"{recipient} got {source.daily_limit} within a day")
    if not source.available:
        raise OAuthError(
            "temporarily_unavailable",
            f"auth source {source.id} is not available",
            text="cannot_send",
        )


def _too_often(source: AuthSource, reason: str) -> OAuthError:
    text: TextName = "sms_rate_limit" if source.kind == "sms" else "email_rate_limit"
    return OAuthError(f"{source.kind}_rate_limit_exceeded", reason, text=text)


def _user_of(realm: Realm, source: AuthSource, recipient: str) -> User | None:
    attribute = "phone" if source.kind == "sms" else "email"
    found = (user for user in realm.users.values() if getattr(user, attribute) == recipient)
    return next(found, None)
