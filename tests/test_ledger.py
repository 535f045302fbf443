"""The ledger: bounded, and it remembers what became of a token."""

from __future__ import annotations

from fake_oauth.provider.ledger import Ledger, RefreshRecord

MANY = 10_000


def record(value: str, expires_at: float | None = None) -> RefreshRecord:
    return RefreshRecord(
        value=value, client_id="web", sub="alice", scopes=("openid",), expires_at=expires_at
    )


def test_a_token_that_was_killed_is_found_with_its_fate() -> None:
    ledger = Ledger()
    ledger.write(record("a"), now=0)
    ledger.kill(record("a"), "rotated away by request 1")
    found = ledger.find("a")
    assert found is not None
    assert found.fate == "rotated away by request 1"
    assert ledger.find("b") is None


def test_a_record_says_for_how_long_it_has_been_expired() -> None:
    assert record("a").expired_for(1e9) is None
    assert record("a", expires_at=10).expired_for(9) is None
    assert record("a", expires_at=10).expired_for(10) == 0
    assert record("a", expires_at=10).expired_for(22) == 12


def test_of_the_dead_only_the_latest_are_remembered() -> None:
    ledger = Ledger()
    for index in range(MANY):
        ledger.write(record(str(index)), now=0)
        ledger.kill(record(str(index)), "spent")
    assert len(ledger) == 4096
    assert ledger.find("0") is None
    assert ledger.find(str(MANY - 1)) is not None


def test_what_has_expired_is_let_go_in_time() -> None:
    ledger = Ledger()
    for now in range(MANY):
        ledger.write(record(str(now), expires_at=now + 10), now)
    assert len(ledger) <= 3 * 4096
    assert ledger.find(str(MANY - 1)) is not None


def test_what_lives_is_kept_however_many() -> None:
    ledger = Ledger()
    for index in range(MANY):
        ledger.write(record(str(index)), now=0)
    assert len(ledger) == MANY
    assert all(ledger.find(str(index)) for index in range(MANY))
