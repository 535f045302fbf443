"""The ledger: bounded, and it remembers what became of a token."""

from __future__ import annotations

from dataclasses import replace

from fake_oauth.provider.ledger import Ledger
from fake_oauth.provider.lineage import Grant
from fake_oauth.provider.records import Record, RefreshRecord
from fake_oauth.provider.shelves import RefreshShelf, Shelf

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
    first, second = (ledger.open("web", "u-alice", ["openid"], name="alice") for _ in range(2))
    assert (first.alias, second.alias) == ("alice/1", "alice/2")
    ledger.trace("j1", first, expires_at=300, now=0)
    ledger.trace("j2", second, expires_at=300, now=0)
    ledger.revoke_grant(first, "revoked by request 1")
    assert ledger.access_token_fate("j1") == "revoked by request 1"
    assert ledger.access_token_fate("j2") is None
    ledger.revoke_access_token("j2", 300, 0, "revoked by request 2")
    assert ledger.access_token_fate("j2") == "revoked by request 2"


def test_an_access_token_of_another_server_can_be_revoked_too() -> None:
    ledger = Ledger()
    ledger.revoke_access_token("j", 300, 0, "revoked by request 2")
    assert ledger.access_token_fate("j") == "revoked by request 2"


def test_access_tokens_are_traced_for_as_long_as_they_live() -> None:
    ledger = Ledger()
    grant = ledger.open("web", "alice", ["openid"])
    for index in range(MANY):
        ledger.trace(str(index), grant, expires_at=300, now=0)
    assert all(ledger.traced(str(index)) for index in range(MANY))
    ledger.trace("last", grant, expires_at=600, now=300)
    traced = [index for index in range(MANY) if ledger.traced(str(index))]
    assert traced == list(range(MANY - 4095, MANY))


def test_a_spent_token_is_kept_for_as_long_as_its_successor_lives() -> None:
    """Else a client that never got the successor were refused before its grace has ended."""
    shelf = RefreshShelf()
    grants = [Ledger().open("web", "alice", ()) for _ in range(MANY)]

    def write(value: str, grant: Grant, parent: str | None = None) -> RefreshRecord:
        record = RefreshRecord(
            value=value,
            alias=grant.name("r"),
            grant=grant,
            family_since=0,
            expires_at=None,
            parent=parent,
        )
        shelf.write(record, 0)
        return record

    for index, grant in enumerate(grants):
        first = write(f"a{index}", grant)
        second = write(f"b{index}", grant, first.value)
        shelf.kill(replace(first, successor=second.value), "rotated away")
    assert all(shelf.find(f"a{index}") for index in range(MANY))
    assert len(shelf) == 2 * MANY
    # Of those before them only the latest are remembered.
    for index, grant in enumerate(grants):
        spent = shelf.find(f"b{index}")
        assert spent is not None
        third = write(f"c{index}", grant, spent.value)
        shelf.kill(replace(spent, successor=third.value), "rotated away")
    assert len(shelf) == 2 * MANY + 4096
    assert [shelf.find(f"a{index}") is not None for index in (0, MANY - 1)] == [False, True]
