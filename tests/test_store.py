"""The store: bounded, and it remembers what happened to a token."""

from __future__ import annotations

from typing import Any

import pytest

from fake_oauth.provider import store as store_module
from fake_oauth.provider.store import (
    KEPT,
    KEPT_ACCESS_TOKENS,
    KEPT_BESIDE,
    KEPT_COUNTS,
    KEPT_WAITING,
    AccessToken,
    Grant,
    Issued,
    Records,
    RefreshToken,
    Store,
)

MANY = 10_000


def record(expires_at: float | None = None) -> Issued:
    return Issued(expires_at=expires_at)


def refresh_token(
    store: Store, grant: Grant, value: str, expires_at: float, now: float = 0
) -> RefreshToken:
    token = RefreshToken(
        value=value,
        grant=grant,
        number=grant.next_number("r"),
        issued_at=now,
        family_since=0,
        expires_at=expires_at,
    )
    store.refresh_tokens.add(value, token, now)
    return token


def rotate(store: Store, token: RefreshToken, value: str, now: float = 0) -> RefreshToken:
    """Replace a token as the refresh grant does."""
    store.refresh_tokens.use(token, now)
    successor = refresh_token(store, token.grant, value, 1e9, now)
    successor.parent = token
    store.refresh_tokens.spend(token, successor, 0, "rotated by request 1")
    return successor


def test_a_record_says_why_it_cannot_be_used() -> None:
    assert record().flaw(1e9) is None
    assert record(expires_at=10).flaw(9) is None
    assert record(expires_at=10).flaw(22) == ("expired", "expired 12 s ago")
    assert Issued(expires_at=10, revoked="revoked by x").flaw(22) == ("revoked", "revoked by x")
    assert Issued(expires_at=10, spent="used", revoked="x").flaw(22) == ("spent", "used")


def test_every_record_that_can_be_used_is_kept() -> None:
    records: Records[Issued] = Records()
    for index in range(MANY):
        records.add(str(index), record(), now=0)
    assert len(records) == MANY
    assert all(records.find(str(index)) for index in range(MANY))


def test_of_the_records_that_wait_for_a_client_the_latest_are_kept() -> None:
    store = Store()
    waiting: tuple[Records[Any], ...] = (store.codes, store.device_codes, store.otps)
    for records in waiting:
        for index in range(KEPT_WAITING):
            records.add(str(index), record(), now=0)
        assert records.find("0") is not None
        records.add("another", record(), now=0)
        assert len(records) == KEPT_WAITING
        assert records.find("0") is None
        assert records.find("1") is not None
        assert records.find("another") is not None


def test_a_record_that_was_retired_and_is_forgotten_makes_no_room_for_another() -> None:
    records: Records[Issued] = Records(limit=KEPT)
    for index in range(3 * KEPT):
        records.add(str(index), record(), now=0)
        if index % 2:
            records.retire(str(index))
        assert len(records) <= KEPT
    assert records.find(str(3 * KEPT - 1)) is not None


def test_of_the_records_that_nobody_needs_the_latest_are_kept() -> None:
    records: Records[Issued] = Records()
    for index in range(MANY):
        records.add(str(index), record(), now=0)
        records.retire(str(index))
    assert len(records) == KEPT
    assert records.find("0") is None
    assert records.find(str(MANY - 1)) is not None


def test_expired_records_are_forgotten_in_time() -> None:
    records: Records[Issued] = Records()
    for now in range(5 * MANY):
        records.add(str(now), record(expires_at=now + 10), now)
    assert len(records) <= 3 * KEPT
    assert records.find(str(5 * MANY - 1)) is not None


def test_a_spent_token_is_kept_until_its_successor_is_used() -> None:
    store = Store()
    families = [
        refresh_token(store, store.open_grant("web", "alice", ()), f"a{index}", 1e9)
        for index in range(MANY)
    ]
    seconds = [rotate(store, first, f"b{index}") for index, first in enumerate(families)]
    assert all(store.refresh_tokens.find(f"a{index}") for index in range(MANY))
    for index, second in enumerate(seconds):
        rotate(store, second, f"c{index}")
    assert len(store.refresh_tokens) == 2 * MANY + KEPT
    kept = [store.refresh_tokens.find(f"a{index}") is not None for index in (0, MANY - 1)]
    assert kept == [False, True]


def test_a_family_that_nobody_uses_again_is_forgotten_in_time() -> None:
    store = Store()
    for now in range(3 * MANY):
        grant = store.open_grant("web", "alice", ())
        first = refresh_token(store, grant, f"a{now}", now + 10, now)
        rotate(store, first, f"b{now}", now).expires_at = now + 10
    assert len(store.refresh_tokens) <= 4 * KEPT
    assert store.refresh_tokens.find("a0") is None


def test_a_chain_of_rotations_holds_no_token_that_is_forgotten() -> None:
    store = Store()
    token = refresh_token(store, store.open_grant("web", "alice", ()), "0", 1e9)
    for index in range(3):
        token = rotate(store, token, str(index + 1))
    assert token.parent is not None
    assert token.parent.parent is None
    first = store.refresh_tokens.find("0")
    assert first is not None
    assert (first.successor_used, first.successor) == (True, None)


def test_a_revoked_grant_revokes_its_tokens_and_no_others() -> None:
    store = Store()
    first, second = (store.open_grant("web", "u-1", ["openid"], owner="alice") for _ in range(2))
    assert (first.name, second.name) == ("alice/1", "alice/2")
    tokens = [AccessToken(grant=grant, number=1, expires_at=300.0) for grant in (first, second)]
    store.revoke_grant(first, "revoked by request 1")
    store.revoke_grant(first, "revoked again")
    assert [token.flaw(0) for token in tokens] == [("revoked", "revoked by request 1"), None]
    assert refresh_token(store, first, "r", 10).flaw(0) == ("revoked", "revoked by request 1")


def test_a_family_can_be_revoked_without_its_access_tokens() -> None:
    store = Store()
    grant = store.open_grant("web", "alice", ())
    store.revoke_grant(grant, "revoked", access_tokens=False)
    assert AccessToken(grant=grant, number=1, expires_at=300).flaw(0) is None
    assert refresh_token(store, grant, "r", 10).flaw(0) == ("revoked", "revoked")


def test_the_latest_access_tokens_are_kept_even_if_all_are_valid() -> None:
    store = Store()
    grant = store.open_grant("web", "alice", ())
    for number in range(KEPT_ACCESS_TOKENS + 1):
        store.add_access_token(str(number), AccessToken(grant=grant, number=number, expires_at=300))
    assert store.access_token("0") is None
    assert store.access_token("1") is not None
    found = store.find(str(KEPT_ACCESS_TOKENS))
    assert found is not None
    assert found.name == f"alice/1 a{KEPT_ACCESS_TOKENS}"


def test_a_token_is_found_by_its_name() -> None:
    store = Store()
    grant = store.open_grant("web", "u-1", ["openid"], owner="alice")
    token = refresh_token(store, grant, "secret", 10)
    assert store.named("alice/1 r1") is token
    assert store.named("alice/1 r2") is None
    assert store.grants_of("u-1") == [grant]
    assert store.grants_of("u-2") == []


def beside(store: Store, token: RefreshToken, value: str) -> RefreshToken:
    """Issue a token as the refresh grant does if the old one stays valid."""
    store.refresh_tokens.use(token, 0)
    successor = refresh_token(store, token.grant, value, 1e9)
    successor.parent = token
    store.refresh_tokens.put_beside(token, successor, 0)
    return successor


def test_of_the_tokens_beside_valid_ones_those_in_use_are_kept() -> None:
    store = Store()
    grant = store.open_grant("web", "u-alice", [])
    login = refresh_token(store, grant, "login", 1e9)
    used = beside(store, login, "used")
    for index in range(KEPT_BESIDE + KEPT + 10):
        beside(store, login, f"login {index}")
        beside(store, used, f"used {index}")
    assert len(store.refresh_tokens) == 1 + KEPT_BESIDE + KEPT
    assert store.refresh_tokens.find("login") is login, "it is a login's, and no other's"
    assert store.refresh_tokens.find("used") is used
    assert store.refresh_tokens.find("login 0") is None


def test_a_token_beside_others_that_has_ended_is_left_to_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_module, "KEPT_BESIDE", 2)
    store = Store()
    login = refresh_token(store, store.open_grant("web", "u-alice", []), "login", 1e9)
    ended = beside(store, login, "0")
    ended.revoked = "revoked by the test"
    for value in "12":
        beside(store, login, value)
    assert list(store.refresh_tokens._retired) == []
    beside(store, login, "3")
    assert list(store.refresh_tokens._retired) == ["1"]


def test_a_spent_token_in_a_grace_period_of_time_alone_is_kept() -> None:
    store = Store()
    first = last = refresh_token(store, store.open_grant("web", "u-alice", []), "first", 1e9)
    for now in range(3 * MANY):
        store.refresh_tokens.use(last, now)
        successor = refresh_token(store, last.grant, str(now), 1e9, now)
        successor.parent = last
        store.refresh_tokens.spend(last, successor, now, "rotated", kept_until=now + MANY)
        last = successor
        if now < MANY:
            assert store.refresh_tokens.find("first") is first
    assert store.refresh_tokens.find("first") is None
    assert store.refresh_tokens.find(str(2 * MANY)) is not None
    assert len(store.refresh_tokens) <= 2 * MANY + 2 * KEPT


def test_of_the_spent_tokens_in_a_grace_period_the_latest_are_kept() -> None:
    store = Store()
    last = refresh_token(store, store.open_grant("web", "u-alice", []), "first", 1e9)
    for number in range(4 * MANY):
        store.refresh_tokens.use(last, 0)
        successor = refresh_token(store, last.grant, str(number), 1e9)
        successor.parent = last
        store.refresh_tokens.spend(last, successor, 0, "rotated", kept_until=60)
        last = successor
    assert len(store.refresh_tokens) == 2 + KEPT_BESIDE + KEPT


def test_a_spent_token_that_has_expired_is_not_kept_for_its_grace_period() -> None:
    store = Store()
    last = refresh_token(store, store.open_grant("web", "u-alice", []), "first", 1)
    for now in range(2 * MANY):
        store.refresh_tokens.use(last, now)
        successor = refresh_token(store, last.grant, str(now), now + 2, now)
        successor.parent = last
        store.refresh_tokens.spend(last, successor, now, "rotated", kept_until=1e9)
        last = successor
    assert len(store.refresh_tokens) <= 4 * KEPT


def test_families_are_counted_for_the_latest_users_and_clients() -> None:
    store = Store()
    for number in range(KEPT_COUNTS + 1):
        grant = store.open_grant("web", str(number), [])
        token = refresh_token(store, grant, str(number), 1e9)
        assert list(store.count_family(token, 0, 1)) == []
    assert len(store._counted) == KEPT_COUNTS
    for sub, count in (("1", 1), ("0", 0)):
        grant = store.open_grant("web", sub, [])
        token = refresh_token(store, grant, f"another {sub}", 1e9)
        assert len(list(store.count_family(token, 0, 1))) == count, "0 is forgotten"
