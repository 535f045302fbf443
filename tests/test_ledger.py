"""The ledger: bounded, and it remembers what became of a token."""

from __future__ import annotations

from fake_oauth.provider.ledger import Ledger, Record, Shelf

MANY = 10_000


def record(value: str, expires_at: float | None = None) -> Record:
    return Record(value=value, expires_at=expires_at)


def test_a_token_that_was_killed_is_found_with_its_fate() -> None:
    shelf: Shelf[Record] = Shelf()
    shelf.write(record("a"), now=0)
    shelf.kill(record("a"), "rotated away by request 1")
    found = shelf.find("a")
    assert found is not None
    assert found.fate == "rotated away by request 1"
    assert shelf.find("b") is None


def test_a_record_says_why_it_cannot_be_spent() -> None:
    assert record("a").flaw(1e9) is None
    assert record("a", expires_at=10).flaw(9) is None
    assert record("a", expires_at=10).flaw(10) == "expired 0 s ago"
    assert record("a", expires_at=10).flaw(22) == "expired 12 s ago"
    assert Record(value="a", expires_at=10, fate="revoked").flaw(22) == "revoked"


def test_of_the_dead_only_the_latest_are_remembered() -> None:
    shelf: Shelf[Record] = Shelf()
    for index in range(MANY):
        shelf.write(record(str(index)), now=0)
        shelf.kill(record(str(index)), "spent")
    assert len(shelf) == 4096
    assert shelf.find("0") is None
    assert shelf.find(str(MANY - 1)) is not None


def test_what_has_expired_is_let_go_in_time() -> None:
    shelf: Shelf[Record] = Shelf()
    for now in range(MANY):
        shelf.write(record(str(now), expires_at=now + 10), now)
    assert len(shelf) <= 3 * 4096
    assert shelf.find(str(MANY - 1)) is not None


def test_what_lives_is_kept_however_many() -> None:
    shelf: Shelf[Record] = Shelf()
    for index in range(MANY):
        shelf.write(record(str(index)), now=0)
    assert len(shelf) == MANY
    assert all(shelf.find(str(index)) for index in range(MANY))


def test_an_access_token_can_be_traced_to_its_grant_and_dies_with_it() -> None:
    ledger = Ledger()
    first, second = (ledger.open("web", "alice", ["openid"]) for _ in range(2))
    assert first.number != second.number
    ledger.trace("j1", first)
    ledger.trace("j2", second)
    ledger.revoke_grant(first, "revoked by request 1")
    assert ledger.access_token_fate("j1") == "revoked by request 1"
    assert ledger.access_token_fate("j2") is None
    ledger.revoke_access_token("j2", "revoked by request 2")
    assert ledger.access_token_fate("j2") == "revoked by request 2"


def test_of_access_tokens_only_the_latest_can_be_traced() -> None:
    ledger = Ledger()
    grant = ledger.open("web", "alice", ["openid"])
    for index in range(20_000):
        ledger.trace(str(index), grant)
        ledger.revoke_access_token(f"x{index}", "revoked")
    ledger.revoke_grant(grant, "revoked by request 1")
    assert ledger.access_token_fate("19999") == "revoked by request 1"
    assert ledger.access_token_fate("0") is None
    assert ledger.access_token_fate("x0") is None
