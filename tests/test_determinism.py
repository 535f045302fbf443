"""Keys, ids and time: given, never made up."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import FakeOAuth, FakeOAuthError, Settings, SigningKey
from fake_oauth.provider.clock import Clock
from fake_oauth.provider.ids import Ids
from fake_oauth.provider.keys import key_ring
from tests.support.client import ask, claims

PEM = Path(__file__).parent.parent / "fake_oauth" / "provider" / "pem"


def jtis(fake: FakeOAuth) -> list[str]:
    reply = ask(fake).json
    assert reply is not None
    return [claims(reply[name])["jti"] for name in ("access_token", "id_token")]


def test_the_same_seed_makes_the_same_ids_and_another_seed_others() -> None:
    settings = Settings(refresh_policy="rotate", start_time=0, freeze_time=True)
    same = [ask(FakeOAuth(settings.changed(seed=7))).data for _ in range(2)]
    assert same[0] == same[1]
    assert ask(FakeOAuth(settings.changed(seed=8))).data != same[0]


def test_two_servers_differ_unless_given_the_same_seed() -> None:
    first, second = FakeOAuth(), FakeOAuth()
    assert first.seed != second.seed
    assert jtis(first) != jtis(second)
    assert jtis(FakeOAuth(Settings(seed=first.seed))) == jtis(FakeOAuth(Settings(seed=first.seed)))


def test_given_ids_come_first() -> None:
    given = FakeOAuth(Settings(seed=0, ids={"jti": ["j1", "j2", "j3"]}))
    assert jtis(given) == ["j1", "j2"]
    third, fourth = jtis(given)
    assert third == "j3"
    assert fourth == jtis(FakeOAuth(Settings(seed=0)))[0]


def test_a_stream_of_ids_is_not_shifted_by_another() -> None:
    first, second = Ids(0), Ids(0)
    first.draw("refresh_token")
    assert first.draw("jti") == second.draw("jti")


def test_a_jti_is_a_uuid_and_a_refresh_token_128_characters_of_base64url() -> None:
    ids = Ids(0)
    assert UUID(ids.draw("jti")).version == 4
    assert re.fullmatch(r"[\w-]{128}", ids.draw("refresh_token"))


def test_three_keys_are_shipped_and_one_is_published() -> None:
    ring = key_ring()
    assert len({ring.signing.kid, ring.next.kid, ring.stranger.kid}) == 3
    assert len({key.jwk()["n"] for key in (ring.signing, ring.next, ring.stranger)}) == 3
    assert [key.kid for key in ring.published()] == [ring.signing.kid]
    assert ring.signing.private.key_size == 2048


def test_a_kid_is_a_uuid_made_from_the_key() -> None:
    assert key_ring().signing.kid == "6a868af8-1dba-5822-b7f6-4c158a754a71"


def test_own_keys_sign_by_text_or_by_path_under_a_kid_of_ones_choice() -> None:
    text = (PEM / "stranger.pem").read_text(encoding="utf-8")
    for key in (
        SigningKey(pem=text, kid="mine"),
        SigningKey(path=str(PEM / "stranger.pem"), kid="mine"),
    ):
        reply = WSGIClient(FakeOAuth(Settings(keys=[key]))).get("/oauth2/jwks").json
        assert reply is not None
        (published,) = reply["keys"]
        assert published["kid"] == "mine"
        assert published["n"] == key_ring().stranger.jwk()["n"]


def test_what_is_not_given_of_a_ring_is_shipped() -> None:
    shipped = key_ring()
    renamed = key_ring([(None, "mine", None)])
    assert renamed.signing.jwk() == {**shipped.signing.jwk(), "kid": "mine"}
    assert renamed.next.kid == shipped.next.kid
    stranger = (PEM / "stranger.pem").read_bytes()
    both = key_ring([(stranger, None, None), (None, "second", None)])
    assert (both.signing.kid, both.next.kid) == (shipped.stranger.kid, "second")


def test_the_clock_is_real_until_it_is_moved() -> None:
    before = time.time()
    now = Clock().now()
    assert before <= now <= time.time()


def test_a_running_clock_that_is_advanced_runs_on() -> None:
    clock = Clock()
    clock.advance(3600)
    first = clock.now()
    assert first >= time.time() + 3590
    assert clock.now() >= first


def test_a_frozen_clock_stands_still_until_it_is_moved() -> None:
    clock = Clock(100, frozen=True)
    assert (clock.now(), clock.is_frozen) == (100, True)
    clock.advance(0.5)
    assert clock.now() == 100.5
    clock.set(datetime(2021, 11, 9, 9, 13, 51, tzinfo=UTC))
    assert clock.now() == 1636449231
    assert repr(clock) == "<Clock 1636449231.000 frozen>"


def test_a_clock_can_be_frozen_and_run_on_from_there() -> None:
    clock = Clock(100)
    assert not clock.is_frozen
    clock.freeze()
    assert 100 <= clock.now() == clock.now()
    clock.set(500)
    clock.unfreeze()
    assert 500 <= clock.now() < 600
    assert not repr(clock).endswith("frozen>")


def test_a_time_that_no_date_can_name_is_refused_and_changes_nothing() -> None:
    clock = Clock(100, frozen=True)
    for seconds in (-101, 1e12):
        with pytest.raises(FakeOAuthError, match="cannot set the clock to"):
            clock.advance(seconds)
    with pytest.raises(FakeOAuthError, match="has no time zone"):
        clock.set(datetime(2021, 11, 9))  # noqa: DTZ001
    assert clock.now() == 100


def test_advancing_the_clock_ages_tokens_and_moves_the_date_header() -> None:
    fake = FakeOAuth(Settings(refresh_token_seconds=60))
    issued = fake.issue_tokens()
    assert issued.refresh_token is not None
    fake.clock.advance(61)
    response = ask(fake, {**ask_for(issued.refresh_token)})
    assert response.json == {"error": "invalid_grant"}
    assert fake.journal[-1].reason is not None
    assert fake.journal[-1].reason.startswith("refresh token expired ")


def ask_for(refresh_token: str) -> dict[str, str]:
    return {
        "client_id": "TENANT_CLIENT_ID",
        "client_secret": "TENANT_CLIENT_SECRET",
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
    }
