"""client_credentials, password and one-time passwords: their rules, without HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.grants.otp import send_otp
from fake_oauth.provider.issuing import Granted
from fake_oauth.provider.model import AuthSource, User
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Credentials, Parameters, TokenRequest
from tests.support.client import claims
from tests.support.realms import (
    NOW,
    PHONE,
    WEB,
    WEB_POST,
    Refusal,
    granted,
    realm,
    refusal,
    response_to,
)

ALICE = User(
    sub="u-alice",
    username="alice",
    password="pw",
    phone="13612345678",
    email="alice@example.com",
)
SOURCES = (
    AuthSource(id="pw", kind="password", accepts=("username", "phone", "email")),
    AuthSource(id="names", kind="password"),
    AuthSource(id="sms", kind="sms"),
    AuthSource(id="email", kind="email"),
)
PHONE_NUMBER: dict[str, Any] = {"phone_number": "13612345678"}
EMAIL: dict[str, Any] = {"email": "alice@example.com"}


def here(*clients: Any, users: tuple[User, ...] = (ALICE,), **changes: Any) -> Realm:
    sources = tuple(replace(source, **changes.get(source.id, {})) for source in SOURCES)
    return realm(*clients, users=users, tokens=(), auth_sources=sources)


def refused(of: Realm, credentials: Credentials = WEB_POST, **params: Any) -> Refusal:
    with pytest.raises(OAuthError) as caught:
        granted(of, credentials, params)
    return refusal(caught.value)


class TestClientCredentials:
    def asked(self, of: Realm, **params: Any) -> Granted:
        return granted(of, WEB_POST, {"grant_type": "client_credentials", **params})

    def test_the_token_is_the_clients_own(self) -> None:
        web = replace(WEB, extra_claims={"tenant": 7})
        tokens = self.asked(here(web), scope="email openid").tokens
        assert (tokens.refresh_token, tokens.id_token) == (None, None)
        said = claims(tokens.access_token)
        assert (said["sub"], said["aud"], said["tenant"]) == ("web", "web", 7)
        assert said["scope"] == ["email", "openid"]

    def test_a_user_who_is_called_like_the_client_has_no_part_in_it(self) -> None:
        namesake = User(sub="web", claims={"name": "Webster"})
        assert "name" not in claims(self.asked(here(users=(namesake,))).tokens.access_token)

    def test_without_scope_it_is_all_that_the_client_may_have(self) -> None:
        assert self.asked(here()).tokens.scope == "email openid profile"

    def test_another_scope_is_invalid(self) -> None:
        error = refused(here(), grant_type="client_credentials", scope="phone")
        reason = "scope 'phone' was not registered; registered: openid email profile"
        assert response_to(error) == ("invalid_scope", None, reason)

    def test_1c_a_public_client_is_unauthorized(self) -> None:
        error = refused(here(), Credentials("none", "phone"), grant_type="client_credentials")
        assert error.code == "unauthorized_client"

    def test_11_so_is_one_that_may_not_use_the_grant(self) -> None:
        error = refused(here(replace(WEB, grant_types=[])), grant_type="client_credentials")
        assert error.code == "unauthorized_client"


class TestPassword:
    def params(self, **changes: Any) -> dict[str, Any]:
        return {
            "grant_type": "password",
            "auth_source_id": "pw",
            "username": "alice",
            "password": "pw",
            **changes,
        }

    @pytest.mark.parametrize("username", ["alice", "13612345678", "alice@example.com"])
    def test_a_user_logs_in_by_any_name_that_the_source_accepts(self, username: str) -> None:
        bought = granted(here(), WEB_POST, self.params(username=username))
        assert bought.reason == "alice logged in by password"
        assert bought.tokens.refresh_token is not None
        assert bought.tokens.id_token is not None
        assert bought.tokens.scope == "email openid profile"

    @pytest.mark.parametrize(
        ("changes", "description", "reason"),
        [
            ({"password": "x"}, "Wrong username or password", "password of alice does not match"),
            ({"username": "bob"}, "Wrong username or password", "no user has username bob"),
            (
                {"auth_source_id": "names", "username": "alice@example.com"},
                "Unsupported username identifier",
                "'alice@example.com' is a name of kind email; names accepts username",
            ),
        ],
    )
    def test_a_wrong_login(self, changes: dict[str, str], description: str, reason: str) -> None:
        error = refused(here(), **self.params(**changes))
        assert response_to(error) == ("invalid_grant", description, reason)

    def test_a_user_without_a_password_never_logs_in_with_one(self) -> None:
        error = refused(here(users=(replace(ALICE, password=None),)), **self.params())
        assert response_to(error)[1] == "Wrong username or password"

    @pytest.mark.parametrize("status", ["frozen", "locked"])
    def test_a_user_who_is_not_active(self, status: str) -> None:
        users = (replace(ALICE, status=status),)  # type: ignore[arg-type]
        error = refused(here(users=users), **self.params())
        assert response_to(error) == (
            "invalid_grant",
            "Abnormal user status",
            f"user alice is {status}",
        )
        wrong = refused(here(users=users), **self.params(password="x"))
        assert response_to(wrong)[1] == "Wrong username or password"

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("nonsense", "auth source 'nonsense' unknown"),
            ("sms", "auth source sms is of kind sms"),
            ("names", "auth source names is not associated with client web"),
        ],
    )
    def test_the_auth_source_is_judged_before_the_user(self, source: str, reason: str) -> None:
        of = here(replace(WEB, auth_sources=["pw", "sms"]))
        error = refused(of, **self.params(auth_source_id=source, username="nobody"))
        expected = "Auth source and application not associated"
        assert response_to(error) == ("invalid_auth_source", expected, reason)

    @pytest.mark.parametrize("name", ["auth_source_id", "username", "password"])
    def test_what_must_come_must_come(self, name: str) -> None:
        error = refused(here(), **self.params(**{name: None}))
        assert response_to(error)[1] == f"OAuth 2.0 Parameter: {name}"

    def test_a_public_client_is_nobody_here(self) -> None:
        assert refused(here(), Credentials("none", "phone"), **self.params()).code is None

    def test_11_and_12(self) -> None:
        assert refused(here(replace(WEB, grant_types=[])), **self.params()).code == (
            "unauthorized_client"
        )
        assert refused(here(), **self.params(scope="x")).code == "invalid_scope"


def send(of: Realm, credentials: Credentials = WEB_POST, **params: Any) -> str:
    asked = {"usage": "login", "auth_source_id": "sms", **params}
    return send_otp(of, TokenRequest(Parameters(asked.items()), credentials, 1)).otp_token


def not_sent(of: Realm, **params: Any) -> Refusal:
    with pytest.raises(OAuthError) as caught:
        send(of, **params)
    return refusal(caught.value)


class TestSending:
    def test_what_was_sent_is_in_the_outbox(self) -> None:
        of = here()
        otp_token = send(of, **PHONE_NUMBER)
        (message,) = of.outbox
        assert message.otp_token == otp_token
        assert len(message.otp) == 6
        assert message.otp.isdigit()
        assert (message.recipient, message.usage, message.at) == ("13612345678", "login", NOW)

    def test_the_number_of_digits_is_the_sources(self) -> None:
        of = here(email={"otp_digits": 4})
        send(of, auth_source_id="email", **EMAIL)
        assert len(of.outbox[0].otp) == 4

    def test_one_number_has_to_wait_and_another_has_not(self) -> None:
        of = here()
        send(of, **PHONE_NUMBER)
        of.clock.advance(29)
        error = not_sent(of, **PHONE_NUMBER)
        assert response_to(error) == (
            "sms_rate_limit_exceeded",
            "SMS rate limit exceeded for same phone number",
            "13612345678 got one 29 s ago",
        )
        send(of, phone_number="13912345678")
        of.clock.advance(1)
        send(of, **PHONE_NUMBER)

    def test_one_address_gets_only_so_many_a_day(self) -> None:
        of = here(email={"daily_limit": 2})
        for _ in range(2):
            send(of, auth_source_id="email", **EMAIL)
            of.clock.advance(30)
        error = not_sent(of, auth_source_id="email", **EMAIL)
        assert error.code == "email_rate_limit_exceeded"
        assert error.reason == "alice@example.com got 2 within a day"
        of.clock.advance(86400)
        send(of, auth_source_id="email", **EMAIL)

    def test_the_limits_hold_for_the_latest_recipients(self) -> None:
        """However many messages the outbox has had."""
        of = here(sms={"daily_limit": 1})
        send(of, **PHONE_NUMBER)
        for number in range(9_999):
            send(of, phone_number=f"139{number:08}")
        assert not_sent(of, **PHONE_NUMBER).code == "sms_rate_limit_exceeded"
        send(of, phone_number="15000000000")
        assert len(of.otp_times) == 10_000

    def test_a_quota_is_used_up(self) -> None:
        of = here(sms={"quota": 1})
        send(of, **PHONE_NUMBER)
        assert not_sent(of, phone_number="13912345678").code == "insufficient_sms_quota"

    def test_a_number_may_be_refused(self) -> None:
        of = here(sms={"refused": ["13612345678"]})
        assert not_sent(of, **PHONE_NUMBER).code == "malformed_phone_number"

    @pytest.mark.parametrize("name", ["usage", "auth_source_id", "phone_number"])
    def test_what_must_come_must_come(self, name: str) -> None:
        params: dict[str, Any] = {**PHONE_NUMBER, name: ""}
        error = not_sent(here(), **params)
        assert response_to(error)[1] == f"OAuth 2.0 Parameter: {name}"

    def test_a_source_for_passwords_sends_nothing(self) -> None:
        assert not_sent(here(), auth_source_id="pw", **PHONE_NUMBER).code == "invalid_auth_source"

    def test_a_client_is_authenticated_first(self) -> None:
        with pytest.raises(OAuthError) as caught:
            send(here(), replace(WEB_POST, client_secret="x"))
        assert refusal(caught.value).code == "invalid_client"


class TestOtp:
    def sent(self, of: Realm, kind: str = "sms") -> dict[str, Any]:
        recipient: dict[str, Any] = PHONE_NUMBER if kind == "sms" else EMAIL
        otp_token = send(of, auth_source_id=kind, **recipient)
        return {
            "grant_type": f"http://tencentciam.com/oauth2/grant-type/otp/{kind}",
            "auth_source_id": kind,
            "otp": of.outbox[-1].otp,
            "otp_token": otp_token,
            **recipient,
        }

    @pytest.mark.parametrize("kind", ["sms", "email"])
    def test_a_user_logs_in_and_both_are_spent(self, kind: str) -> None:
        of = here()
        params = self.sent(of, kind)
        bought = granted(of, WEB_POST, params)
        assert bought.reason == f"alice logged in by {kind}"
        assert claims(bought.tokens.access_token)["sub"] == "u-alice"
        again = refused(of, **params)
        assert response_to(again) == (
            "invalid_grant",
            "Unknown or expired otp_token",
            "otp_token used by request 1",
        )

    @pytest.mark.parametrize(
        "grant_type",
        [
            "http://tencentciam.com/oauth2/grant-type/otp/sms",
            "https://tencentciam.com/oauth2/grant-type/otp/sms",
            "https://sample.portal.tencentciam.com/oauth2/grant-type/otp/sms",
            "http://issuer.example/oauth2/grant-type/otp/sms",
            "https://issuer.example/oauth2/grant-type/otp/sms",
        ],
    )
    def test_every_spelling_of_the_grant_is_accepted(self, grant_type: str) -> None:
        of = here()
        assert granted(of, WEB_POST, {**self.sent(of), "grant_type": grant_type})

    @pytest.mark.parametrize(
        "grant_type",
        [
            "http://tencentciam.com.example/oauth2/grant-type/otp/sms",
            "ftp://tencentciam.com/oauth2/grant-type/otp/sms",
            "/oauth2/grant-type/otp/sms",
            "http://tencentciam.com/oauth2/grant-type/otp/fax",
        ],
    )
    def test_other_spellings_are_not(self, grant_type: str) -> None:
        of = here()
        error = refused(of, **{**self.sent(of), "grant_type": grant_type})
        assert error.code == "unsupported_grant_type"

    @pytest.mark.parametrize(
        ("changes", "code", "description", "reason"),
        [
            ({"otp": "x"}, "invalid_grant", "Unknown or expired OTP", "otp does not match"),
            (
                {"otp_token": "x"},
                "invalid_grant",
                "Unknown or expired otp_token",
                "otp_token unknown",
            ),
            (
                {"phone_number": "13912345678"},
                "invalid_request",
                "Mismatched OTP token and OTP sending parameters",
                "the OTP was sent for recipient 13612345678, not 13912345678",
            ),
        ],
    )
    def test_what_is_refused_spends_nothing(
        self, changes: dict[str, str], code: str, description: str, reason: str
    ) -> None:
        of = here()
        params = self.sent(of)
        assert response_to(refused(of, **{**params, **changes})) == (code, description, reason)
        assert granted(of, WEB_POST, params)

    def test_an_otp_lives_for_60_seconds_and_its_token_for_300(self) -> None:
        of = here()
        params = self.sent(of)
        of.clock.advance(60)
        assert refused(of, **params).reason == "otp expired 0 s ago"
        of.clock.advance(240)
        assert refused(of, **params).reason == "otp_token expired 0 s ago"

    def test_another_client_cannot_use_it(self) -> None:
        of = here(WEB, replace(WEB, client_id="other"))
        params = self.sent(of)
        error = refused(of, replace(WEB_POST, client_id="other"), **params)
        assert error.reason == "the OTP was sent for client web, not other"

    def test_a_number_that_is_nobodys_logs_nobody_in(self) -> None:
        of = here(users=())
        error = refused(of, **self.sent(of))
        assert response_to(error) == ("invalid_grant", None, "no user has 13612345678")

    def test_a_user_who_is_not_active_does_not_log_in(self) -> None:
        of = here(users=(replace(ALICE, status="frozen"),))
        assert response_to(refused(of, **self.sent(of)))[1] == "Abnormal user status"

    def test_11_and_12_and_who_is_public(self) -> None:
        of = here()
        params = self.sent(of)
        assert refused(of, **params, scope="x").code == "invalid_scope"
        assert refused(of, Credentials("none", "phone"), **params).code is None
        barred = here(replace(WEB, grant_types=["password"]), PHONE)
        assert refused(barred, **self.sent(barred)).code == "unauthorized_client"
