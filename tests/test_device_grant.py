"""Device authorization without HTTP: the codes, the decisions, and every response to a poll."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from fake_oauth.dialects import DIALECTS
from fake_oauth.provider import admin, device
from fake_oauth.provider.errors import OAuthError
from fake_oauth.provider.grants.device_code import DEVICE_CODE
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.issuing import Granted
from fake_oauth.provider.model import Client, OwnTerms
from fake_oauth.provider.realm import Realm
from fake_oauth.provider.request import Credentials, Parameters, TokenRequest
from fake_oauth.provider.store import KEPT, DeviceCode
from tests.support.client import claims
from tests.support.realms import ALICE, PHONE, WEB, WEB_POST, granted, realm

MANY = 32
PHONE_ALONE = Credentials("none", "phone")
OTHER = replace(WEB, client_id="other")


def rfc(*clients: Client, **options: Any) -> Realm:
    return realm(*clients, dialect=DIALECTS["rfc"], **options)


def authorize(of: Realm, credentials: Credentials = WEB_POST, **params: str) -> DeviceCode:
    return device.authorize_device(of, TokenRequest(Parameters(params.items()), credentials, 1))


def poll(
    of: Realm, code: DeviceCode, credentials: Credentials = WEB_POST, number: int = 2
) -> Granted:
    form = {"grant_type": DEVICE_CODE, "device_code": code.value}
    return granted(of, credentials, form, number)


def refused(*arguments: Any) -> tuple[str, str, str]:
    """Return the code, the cause, and the reason of a refused poll."""
    with pytest.raises(OAuthError) as caught:
        poll(*arguments)
    return caught.value.code, caught.value.cause, caught.value.reason


def test_a_device_that_is_allowed_gets_tokens_once() -> None:
    here = rfc()
    code = authorize(here, scope="openid email")
    here.clock.advance(60)
    device.allow(here, code.user_code, ALICE)
    tokens = poll(here, code).tokens
    assert claims(tokens.access_token)["sub"] == "u-alice"
    assert (tokens.scope, tokens.refresh_token is not None) == ("email openid", True)
    assert tokens.id_token is not None
    assert code.approved is not None
    assert code.approved.auth_time == here.clock.now()
    assert refused(here, code) == (
        "invalid_grant",
        "device_code_spent",
        "device code used by request 2",
    )


def test_a_public_client_needs_only_its_name() -> None:
    here = rfc()
    code = authorize(here, PHONE_ALONE)
    device.allow(here, code.user_code, ALICE)
    assert poll(here, code, PHONE_ALONE).tokens.scope == "openid"


@pytest.mark.parametrize(
    ("credentials", "params", "error"),
    [
        (Credentials(), {}, "invalid_client"),
        (Credentials("none", "web"), {}, "invalid_client"),
        (WEB_POST, {"scope": "openid root"}, "invalid_scope"),
    ],
)
def test_a_request_that_is_wrong_gets_no_code(
    credentials: Credentials, params: dict[str, str], error: str
) -> None:
    here = rfc()
    with pytest.raises(OAuthError) as caught:
        authorize(here, credentials, **params)
    assert caught.value.code == error
    assert len(here.store.device_codes) == 0


def test_a_client_that_may_not_use_the_grant_gets_no_code_and_no_tokens() -> None:
    here = rfc(replace(WEB, grant_types=["refresh_token"]))
    with pytest.raises(OAuthError, match="may not use grant_type") as caught:
        authorize(here)
    assert caught.value.code == "unauthorized_client"
    here.replace_clients([WEB])
    code = authorize(here)
    here.replace_clients([replace(WEB, grant_types=["refresh_token"])])
    assert refused(here, code)[0] == "unauthorized_client"


def test_a_poll_before_the_decision_is_pending_and_a_poll_too_soon_slows_down_for_good() -> None:
    here = rfc()
    code = authorize(here)
    pending = ("authorization_pending", "authorization_pending", "the user has not decided yet")
    assert refused(here, code) == pending, "the first poll can be at once"
    here.clock.advance(5)
    assert refused(here, code) == pending
    here.clock.advance(4.8)
    assert refused(here, code) == (
        "slow_down",
        "slow_down",
        "polled 4.8 s after the last poll, sooner than 5 s; the interval is 10 s from now on",
    )
    here.clock.advance(9.8)
    assert refused(here, code)[0] == "slow_down", "10 s from now on"
    here.clock.advance(15)
    assert refused(here, code) == pending
    here.clock.advance(10)
    assert refused(here, code)[0] == "slow_down", "15 s for good"


def test_a_poll_may_be_a_little_early_and_a_clock_that_goes_back_slows_nobody_down() -> None:
    here = rfc()
    code = authorize(here)
    for pause in (0, 4.95, -60):
        here.clock.advance(pause)
        assert refused(here, code)[0] == "authorization_pending"


def test_each_device_code_has_its_own_interval() -> None:
    here = rfc()
    first, second = authorize(here), authorize(here)
    assert [refused(here, code)[0] for code in (first, second)] == ["authorization_pending"] * 2


def test_without_an_interval_no_poll_is_too_soon() -> None:
    here = rfc()
    here.device_interval_seconds = 0
    code = authorize(here)
    assert {refused(here, code)[0] for _ in range(5)} == {"authorization_pending"}


def test_a_decision_outranks_a_poll_that_is_too_soon() -> None:
    here = rfc()
    allowed, denied = authorize(here), authorize(here)
    for code in (allowed, denied):
        refused(here, code)
    device.allow(here, allowed.user_code, ALICE)
    device.deny(here, denied.user_code)
    assert poll(here, allowed).tokens.access_token
    for _ in range(2):
        assert refused(here, denied) == (
            "access_denied",
            "access_denied",
            "the user denied the device",
        )


def test_a_device_code_and_its_user_code_expire_by_the_clock() -> None:
    here = rfc()
    code = authorize(here)
    here.clock.advance(1800)
    assert refused(here, code) == (
        "expired_token",
        "device_code_expired",
        "device code expired 0 s ago",
    )
    with pytest.raises(OAuthError, match="user code expired 0 s ago"):
        device.allow(here, code.user_code, ALICE)


def test_its_lifetime_is_that_of_the_settings_or_of_the_client() -> None:
    here = rfc(WEB, replace(PHONE, device_code_seconds=7), terms=OwnTerms(device_code_seconds=60))
    lifetimes = [
        (authorize(here, one).expires_at or 0) - here.clock.now() for one in (WEB_POST, PHONE_ALONE)
    ]
    assert lifetimes == [60, 7]


def test_a_code_that_is_unknown_or_of_another_client_is_refused_and_stays_valid() -> None:
    here = rfc(WEB, OTHER)
    code = authorize(here)
    device.allow(here, code.user_code, ALICE)
    assert refused(here, code, replace(WEB_POST, client_id="other")) == (
        "invalid_grant",
        "token_of_other_client",
        "device code belongs to client web",
    )
    assert poll(here, code).tokens.access_token
    code.value = "nonsense"
    assert refused(here, code) == ("invalid_grant", "device_code_unknown", "device code unknown")


@pytest.mark.parametrize("how", ["value", "name"])
def test_a_test_can_expire_and_revoke_it(how: str) -> None:
    here = rfc()
    expired, revoked = authorize(here), authorize(here)
    admin.expire(here, getattr(expired, how))
    admin.revoke(here, getattr(revoked, how), "revoked by the test")
    assert refused(here, expired)[0] == "expired_token"
    assert refused(here, revoked) == (
        "invalid_grant",
        "device_code_revoked",
        "device code revoked by the test",
    )
    assert (expired.name, revoked.name) == ("web/1 d1", "web/2 d1")


def test_whatever_happens_to_the_user_happens_to_the_code() -> None:
    here = rfc()
    codes = [authorize(here) for _ in range(3)]
    for code in codes[:2]:
        device.allow(here, code.user_code, ALICE)
    here.replace_users([replace(ALICE, status="frozen")])
    assert refused(here, codes[0]) == ("invalid_grant", "user_inactive", "user alice is frozen")
    here.replace_users([ALICE])
    admin.revoke_user(here, replace(ALICE, sub="someone else"), "revoked")
    assert poll(here, codes[0]).tokens.access_token
    admin.revoke_user(here, ALICE, "revoked by the test")
    assert refused(here, codes[1])[1] == "device_code_revoked"
    assert refused(here, codes[2])[0] == "authorization_pending"
    here.replace_users([])
    device.allow(here, codes[2].user_code, ALICE)
    assert refused(here, codes[2])[1] == "user_deleted"


def test_a_user_code_has_letters_that_nobody_mistakes() -> None:
    ids = Ids(0)
    for _ in range(200):
        user_code = ids.draw("user_code")
        assert (len(user_code), user_code[4]) == (9, "-")
        assert set(user_code) <= set("BCDFGHJKLMNPQRSTVWXZ-")


def test_a_user_code_can_be_typed_in_any_way() -> None:
    here = rfc()
    code = authorize(here)
    plain = code.user_code.replace("-", "")
    for typed in (plain, plain.lower(), f" {plain[:2]} {plain[2:]}. ", code.user_code):
        assert device.undecided(here, typed) is code
    for wrong in ("", "-", plain[:-1], f"{plain}B"):
        with pytest.raises(OAuthError, match="user code unknown"):
            device.undecided(here, wrong)


def test_the_latest_of_two_equal_user_codes_is_meant() -> None:
    here = rfc()
    here.ids = Ids(0, {"user_code": ["WDJB-MJHT", "wdjb mjht"]})
    authorize(here)
    latest = authorize(here)
    assert device.undecided(here, "WDJBMJHT") is latest


def test_a_decision_is_final() -> None:
    here = rfc()
    allowed, denied = authorize(here), authorize(here)
    device.allow(here, allowed.user_code, ALICE)
    device.deny(here, denied.user_code)
    for code, reason in ((allowed, "allowed as alice/1"), (denied, "denied")):
        with pytest.raises(OAuthError, match=f"user code {reason} already"):
            device.allow(here, code.user_code, ALICE)
        with pytest.raises(OAuthError, match=f"user code {reason} already"):
            device.deny(here, code.user_code)


def test_a_used_code_is_used_for_its_user_code_too() -> None:
    here = rfc()
    code = authorize(here)
    device.allow(here, code.user_code, ALICE)
    poll(here, code)
    with pytest.raises(OAuthError, match="user code used by request 2"):
        device.deny(here, code.user_code)


@pytest.fixture
def _eager_threads() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("_eager_threads")
def test_32_threads_get_tokens_for_a_code_once() -> None:
    here = rfc()
    code = authorize(here)
    device.allow(here, code.user_code, ALICE)
    barrier = Barrier(MANY)

    def one(number: int) -> str:
        barrier.wait(timeout=20)
        try:
            return poll(here, code, WEB_POST, number).reason
        except OAuthError as error:
            return error.cause

    with ThreadPoolExecutor(MANY) as threads:
        results = list(threads.map(one, range(MANY)))
    assert results.count("device_code_spent") == MANY - 1
    assert results.count("device code allowed as alice/1, exchanged") == 1


@pytest.mark.usefixtures("_eager_threads")
def test_32_threads_decide_once() -> None:
    here = rfc()
    code = authorize(here)
    barrier = Barrier(MANY)

    def one(number: int) -> bool:
        barrier.wait(timeout=20)
        try:
            if number % 2:
                device.deny(here, code.user_code)
            else:
                device.allow(here, code.user_code, ALICE)
        except OAuthError:
            return False
        return True

    with ThreadPoolExecutor(MANY) as threads:
        assert list(threads.map(one, range(MANY))).count(True) == 1


def test_codes_that_can_no_longer_be_used_are_forgotten_in_time() -> None:
    here = rfc()
    first = authorize(here)
    for _ in range(5):
        for _ in range(KEPT + 1):
            authorize(here)
        here.clock.advance(1801)
    assert len(here.store.device_codes) <= 4 * KEPT
    assert refused(here, first)[1] == "device_code_unknown"
