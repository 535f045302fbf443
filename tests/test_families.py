"""Token families: states, edges, and trees, whatever the journal has forgotten."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from werkzeug.test import Client as WSGIClient

from fake_oauth import Client, FakeOAuth, RefreshPolicy, Settings, User, faults
from fake_oauth.families.tree import Family, FamilyToken
from fake_oauth.faults import Rule
from tests.support.client import ask
from tests.test_control import control_of, members, problems

SOURCE = "MOCK_USERNAME_PASSWORD_AUTH_SOURCE_ID"
CODE_FIELD = b'<input name="code" value="\xff">'
START = 1_800_000_000
ALICE, BOB = User(sub="u-alice", username="alice", password="pw"), User(sub="u-bob", username="bob")
WEB_FIELDS: dict[str, Any] = {
    "client_id": "web",
    "client_secret": "s",
    "redirect_uris": ["https://web.example/cb"],
    "scopes": ["openid"],
}
WEB = Client(**WEB_FIELDS)
APP = Client(client_id="app", client_secret="s")
SECRET = {"client_id": "web", "client_secret": "s"}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def server(**changes: Any) -> FakeOAuth:
    """Return a server with a frozen clock, one user, and two clients."""
    settings = Settings(
        clients=[WEB, APP],
        users=[ALICE, BOB],
        refresh_tokens=(),
        start_time=START,
        freeze_time=True,
        seed=1,
        control=True,
    )
    return FakeOAuth(settings.changed(**changes))


def post(fake: FakeOAuth, **form: str) -> dict[str, Any]:
    """Send a token request of the client `web`, and return the members of the response."""
    response = ask(fake, {**SECRET, **form}, base_url="http://localhost")
    members: dict[str, Any] = response.get_json(silent=True) or {}
    return members


def refresh(fake: FakeOAuth, token: str | None, **form: str) -> str:
    """Refresh, and return the refresh token of the response, or that of the request."""
    assert token is not None
    reply = post(fake, grant_type="refresh_token", refresh_token=token, **form)
    following: str = reply.get("refresh_token", token)
    return following


def rfc(fake: FakeOAuth, path: str = "/token", **form: str) -> dict[str, Any]:
    """Send a request to a server of the dialect rfc, and return the members of the response."""
    response = WSGIClient(fake).post(path, data={**SECRET, **form})
    members: dict[str, Any] = response.get_json(silent=True) or {}
    return members


def edges(family: Family) -> dict[str, tuple[int | None, str | None]]:
    return {short(token.name): (token.issued_by, short(token.origin)) for token in family.tokens}


def short(name: str | None) -> str:
    return "" if name is None else name.removeprefix("alice/1 ")


def states(family: Family) -> dict[str, str]:
    return {short(token.name): token.state for token in family.tokens}


def token(family: Family, name: str) -> FamilyToken:
    (found,) = (token for token in family.tokens if token.name == name)
    return found


def test_without_rotation_one_refresh_token_leads_to_all_access_tokens() -> None:
    fake = server()
    first = fake.issue_tokens().refresh_token
    for _ in range(3):
        assert refresh(fake, first) == first
    (family,) = fake.families()
    assert edges(family) == {
        "r1": (None, ""),
        "a1": (None, ""),
        "a2": (1, "r1"),
        "a3": (2, "r1"),
        "a4": (3, "r1"),
    }
    assert (family.name, family.user, family.sub) == ("alice/1", "alice", "u-alice")
    assert (family.client_id, family.scopes) == ("web", ("openid",))
    assert (family.state, family.why, family.earlier) == ("active", None, 0)
    refresh_token = token(family, "alice/1 r1")
    assert [request.number for request in refresh_token.presented] == [1, 2, 3]
    assert refresh_token.expires_at == START + 3600
    assert (refresh_token.kind, refresh_token.state) == ("refresh_token", "active")


def test_rotation_makes_a_chain() -> None:
    fake = server(refresh_policy="rotate")
    first = fake.issue_tokens().refresh_token
    last = refresh(fake, refresh(fake, first))
    assert refresh(fake, first) == first, "a replay is refused"
    (family,) = fake.families()
    assert edges(family) == {
        "r1": (None, ""),
        "a1": (None, ""),
        "r2": (1, "r1"),
        "a2": (1, "r1"),
        "r3": (2, "r2"),
        "a3": (2, "r2"),
    }
    assert states(family)["r1"] == "spent"
    assert token(family, "alice/1 r1").why == "rotated by request 1"
    assert [str(one) for one in token(family, "alice/1 r1").presented] == [
        "#1",
        "#3 (400 invalid_grant)",
    ]
    assert token(family, "alice/1 r3").presented == ()
    assert last


@pytest.mark.parametrize("gives", ["sibling", "successor"])
@pytest.mark.parametrize("kept", [1000, 1])
def test_a_replay_in_the_grace_period_has_its_own_edge(gives: Any, kept: int) -> None:
    policy = RefreshPolicy(rotate=True, grace_seconds=60, grace_gives=gives)
    fake = server(refresh_policy=policy, journal_limit=kept)
    first = fake.issue_tokens().refresh_token
    refresh(fake, first)
    refresh(fake, first)
    (family,) = fake.families()
    known = kept > 1
    by_first: tuple[int | None, str] = (1, "r1")
    if gives == "sibling":
        # Of the forgotten requests, the numbers of refresh tokens and access tokens are the same.
        assert edges(family) == {
            "r1": (None, ""),
            "a1": (None, ""),
            "r2": by_first,
            "a2": by_first,
            "r3": (2, "r1"),
            "a3": (2, "r1"),
        }
    else:
        assert edges(family) == {
            "r1": (None, ""),
            "a1": (None, ""),
            "r2": by_first,
            "a2": by_first if known else (None, ""),
            "a3": (2, "r1"),
        }


@pytest.mark.parametrize("grant", ["code", "password", "test"])
@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("policy", ["ciam", "rotate"])
def test_the_first_tokens_come_from_a_code_a_request_or_the_test(
    grant: str, policy: str, *, forgets: bool
) -> None:
    fake = server(refresh_policy=policy, journal_limit=1 if forgets else 1000)
    by, origin = None, ""
    if grant == "code":
        code = fake.issue_code(redirect_uri=WEB.redirect_uris[0])
        uri = WEB.redirect_uris[0]
        reply = post(fake, grant_type="authorization_code", code=code, redirect_uri=uri)
        first, by, origin = reply["refresh_token"], 1, "c1"
    elif grant == "password":
        login = {"username": "alice", "password": "pw"}
        reply = post(fake, grant_type="password", auth_source_id=SOURCE, **login)
        first, by = reply["refresh_token"], None if forgets else 1
    else:
        first = fake.issue_tokens().refresh_token
    shift = int(grant != "test")
    for _ in range(3):
        first = refresh(fake, first)
    (family,) = fake.families()
    assert token(family, "alice/1 r1").issued_by == by
    assert edges(family)["r1"] == edges(family)["a1"] == (by, origin)
    later = edges(family)
    if policy == "rotate":
        assert later["r4"] == later["a4"] == (3 + shift, "r3")
        assert later["r3"] == later["a3"] == (2 + shift, "r2")
        assert later["r2"] == later["a2"] == (1 + shift, "r1")
    else:
        assert later["a4"] == (3 + shift, "r1")
        assert later["a2"] == (None if forgets else 1 + shift, "r1")
    if grant == "code":
        assert later["c1"] == (None, "")
        assert token(family, "alice/1 c1").why == "used by request 1"


def test_a_preconfigured_token_has_no_access_token_of_its_own() -> None:
    for policy in ("ciam", "rotate"):
        for limit in (1000, 1):
            fake = FakeOAuth(Settings(refresh_policy=policy, journal_limit=limit))
            known = "MOCK_REFRESH_TOKEN"
            for _ in range(3):
                form = {"grant_type": "refresh_token", "refresh_token": known}
                client = {"client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET"}
                reply = ask(fake, {**client, **form}).get_json()
                known = reply["refresh_token"]
            (family,) = fake.families()
            of = {one.name.rpartition(" ")[2]: (one.origin or "")[-2:] for one in family.tokens}
            if policy == "ciam":
                assert of == {"r1": "", "a1": "r1", "a2": "r1", "a3": "r1"}
            else:
                assert of == {
                    "r1": "",
                    "a1": "r1",
                    "r2": "r1",
                    "a2": "r2",
                    "r3": "r2",
                    "a3": "r3",
                    "r4": "r3",
                }


def test_a_code_has_the_request_that_issued_it() -> None:
    for mode in ("query", "fragment", "form_post"):
        fake = server(dialect="rfc", auto_login="alice")
        asked = {"client_id": "web", "response_type": "code", "response_mode": mode}
        WSGIClient(fake).get("/jwks")
        response = WSGIClient(fake).get("/authorize", query_string=asked)
        assert response.status_code in (200, 302)
        (family,) = fake.families()
        assert edges(family) == {"c1": (2, "")}
        assert (family.state, family.tokens[0].kind) == ("active", "code")


def test_a_response_that_a_fault_made_up_has_no_code() -> None:
    fake = server(dialect="rfc", auto_login="alice")
    fake.script(
        Rule(faults.Status(302, location="http://[?code=%FF"), endpoint="authorize"),
        Rule(faults.Change(lambda r: r.changed(CODE_FIELD)), endpoint="authorize"),
    )
    for _ in range(2):
        WSGIClient(fake).get("/authorize?client_id=web&response_type=code")
    (family,) = fake.families()
    assert edges(family) == {"c1": (2, "")}, "the second request issued it"


def test_a_device_code_is_in_the_family_of_the_user_who_allows_it() -> None:
    for forgets in (False, True):
        fake = server(dialect="rfc", journal_limit=1 if forgets else 1000)
        reply = rfc(fake, "/device_authorization")
        (family,) = fake.families()
        assert (family.name, family.user, family.state) == ("web/1", None, "active")
        assert family.tokens[0].why is None
        fake.approve_device(reply["user_code"], "alice")
        (family,) = fake.families()
        assert (family.name, family.user) == ("alice/1", "alice")
        assert (family.tokens[0].name, family.tokens[0].why) == ("web/1 d1", "allowed as alice/1")
        assert rfc(fake, grant_type=DEVICE, device_code=reply["device_code"])["access_token"]
        (family,) = fake.families()
        assert edges(family)["r1"] == edges(family)["a1"] == (2, "web/1 d1")
        assert edges(family)["web/1 d1"] == ((None if forgets else 1), "")
        assert token(family, "web/1 d1").state == "spent"
        assert token(family, "web/1 d1").kind == "device_code"


def test_a_denied_device_code_is_over() -> None:
    fake = server(dialect="rfc")
    fake.deny_device(rfc(fake, "/device_authorization")["user_code"])
    (family,) = fake.families()
    assert (family.state, family.why) == ("revoked", "denied")
    assert str(family) == "web/1 of client web [openid]: revoked (denied)\n└─ d1 revoked: denied"


def test_an_exchanged_token_opens_a_family_from_its_subject() -> None:
    fake = server(dialect="rfc")
    subject = fake.issue_tokens("alice", "web").access_token
    rfc(
        fake,
        grant_type=EXCHANGE,
        subject_token=subject,
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
    )
    exchanged, first = fake.families()
    assert (exchanged.name, first.name) == ("alice/2", "alice/1")
    assert edges(exchanged) == {"alice/2 a1": (1, "a1")}
    assert str(exchanged).splitlines()[1] == "└─ a1 active; from alice/1 a1"
    assert [str(one) for one in token(first, "alice/1 a1").presented] == ["#1"]


def test_the_tokens_of_a_client_have_no_user() -> None:
    fake = server()
    post(fake, grant_type="client_credentials")
    (family,) = fake.families()
    assert (family.name, family.user, family.sub) == ("web/1", None, "web")
    assert edges(family) == {"web/1 a1": (1, "")}
    assert family.state == "active"


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        faults.HangUp(after_commit=True),
        faults.Truncated(5),
        faults.NotJSONBody(),
        faults.MissingField("refresh_token"),
    ],
    ids=str,
)
def test_tokens_of_a_lost_response_are_in_the_tree(fault: Any, *, forgets: bool) -> None:
    with server(refresh_policy="rotate", journal_limit=1 if forgets else 1000) as fake:
        fake.script(fault)
        first = fake.issue_tokens().refresh_token
        form = {**SECRET, "grant_type": "refresh_token", "refresh_token": first}
        try:
            httpx.post(fake.token_url, data=form)
        except httpx.HTTPError:
            pass
        assert fake.journal[0].lost
        if forgets:
            httpx.get(fake.url_of("jwks"))
        (family,) = fake.families()
        assert edges(family) == {
            "r1": (None, ""),
            "a1": (None, ""),
            "r2": (1, "r1"),
            "a2": (1, "r1"),
        }


def test_an_access_token_of_a_lost_response_has_its_request() -> None:
    with server() as fake:
        fake.script(faults.HangUp(after_commit=True))
        first = fake.issue_tokens().refresh_token
        form = {**SECRET, "grant_type": "refresh_token", "refresh_token": first}
        with pytest.raises(httpx.TransportError):
            httpx.post(fake.token_url, data=form)
        (family,) = fake.families()
        assert edges(family) == {"r1": (None, ""), "a1": (None, ""), "a2": (1, "r1")}
        assert fake.journal[0].lost == ("alice/1 r1", "alice/1 a2")


def test_what_the_store_has_forgotten_is_named_but_not_listed() -> None:
    fake = server(refresh_policy="rotate")
    last = fake.issue_tokens().refresh_token
    for _ in range(3):
        last = refresh(fake, last)
    store = fake._realm.store
    del store.refresh_tokens._by_value[next(iter(store.refresh_tokens._by_value))]
    (family,) = fake.families()
    assert edges(family)["r2"] == (1, "r1")
    assert "r1" not in edges(family)
    assert "├─ r2 spent: rotated by request 2; presented by #2; from alice/1 r1" in str(family)


def test_an_edge_that_is_not_certain_is_left_out() -> None:
    policy = RefreshPolicy(rotate=True, grace_seconds=60)
    fake = server(refresh_policy=policy, journal_limit=1)
    first = fake.issue_tokens().refresh_token
    second = refresh(fake, first)
    third = refresh(fake, first)
    refresh(fake, second)
    ask(fake)
    (family,) = fake.families()
    certain = {"r1": (None, ""), "a1": (None, "")}
    assert edges(family) == certain | {
        "r2": (1, "r1"),
        "a2": (1, "r1"),
        "r3": (None, "r1"),
        "a3": (None, "r1"),
        "r4": (3, "r2"),
        "a4": (3, "r2"),
    }
    refresh(fake, third)
    ask(fake)
    (family,) = fake.families()
    unknown = dict.fromkeys(["r2", "a2", "r3", "a3"], (None, ""))
    assert edges(family) == certain | unknown | {
        "r4": (3, "r2"),
        "a4": (3, "r2"),
        "r5": (5, "r3"),
        "a5": (5, "r3"),
    }


@pytest.mark.parametrize("kept", [1000, 1])
def test_tokens_beside_valid_ones_come_from_the_one_that_was_presented(kept: int) -> None:
    fake = server(refresh_policy="entra", journal_limit=kept)
    first = fake.issue_tokens().refresh_token
    second = refresh(fake, first)
    refresh(fake, first)
    refresh(fake, second)
    refresh(fake, first)
    (family,) = fake.families()
    known = kept > 1
    assert set(states(family).values()) == {"active"}
    assert edges(family) == {
        "r1": (None, ""),
        "a1": (None, ""),
        # A token that was used forgets where it came from.
        "r2": (1, "r1") if known else (None, ""),
        "a2": (1, "r1") if known else (None, ""),
        "r3": (2 if known else None, "r1"),
        "a3": (2 if known else None, "r1"),
        "r4": (3 if known else None, "r2"),
        "a4": (3 if known else None, "r2"),
        "r5": (4, "r1"),
        "a5": (4, "r1"),
    }


def test_a_rotation_after_a_token_beside_it_is_not_taken_for_its_issue() -> None:
    """The journal has forgotten both, and the policy changed between them."""
    old = Client(**{**WEB_FIELDS, "refresh_policy": "entra"})
    fake = server(clients=[old], journal_limit=1)
    first = fake.issue_tokens().refresh_token
    refresh(fake, first)
    fake.clock.advance(1)
    fake.replace_clients([Client(**{**WEB_FIELDS, "refresh_policy": "rotate"})])
    refresh(fake, first)
    ask(fake)
    (family,) = fake.families()
    assert edges(family)["r2"] == (None, "r1")
    assert token(family, "alice/1 r1").why == "rotated by request 2"


@pytest.mark.parametrize("kept", [1000, 1])
def test_a_token_that_rotates_by_its_age_has_one_edge(kept: int) -> None:
    fake = server(refresh_policy="intuit", journal_limit=kept)
    first = fake.issue_tokens().refresh_token
    assert refresh(fake, first) == first
    fake.clock.advance(86400)
    assert refresh(fake, first) != first
    ask(fake)
    (family,) = fake.families()
    known = kept > 1
    assert edges(family) == {
        "r1": (None, ""),
        "a1": (None, ""),
        "a2": (1, "r1") if known else (None, ""),
        "r2": (2, "r1"),
        "a3": (2, "r1") if known else (None, ""),
    }


@pytest.mark.parametrize("kept", [1000, 1])
def test_an_access_token_alone_comes_from_the_replayed_token(kept: int) -> None:
    policy = RefreshPolicy(rotate=True, grace_seconds=60, grace_gives="access_token")
    fake = server(refresh_policy=policy, journal_limit=kept)
    first = fake.issue_tokens().refresh_token
    refresh(fake, first)
    refresh(fake, first)
    (family,) = fake.families()
    assert edges(family) == {
        "r1": (None, ""),
        "a1": (None, ""),
        "r2": (1, "r1"),
        "a2": (1, "r1") if kept > 1 else (None, ""),
        "a3": (2, "r1"),
    }


@pytest.mark.parametrize("kept", [1000, 1])
def test_a_grace_period_of_time_alone_has_an_edge_for_each_token(kept: int) -> None:
    fake = server(refresh_policy="cognito", journal_limit=kept)
    first = fake.issue_tokens().refresh_token
    second = refresh(fake, first)
    refresh(fake, second)
    refresh(fake, first)
    (family,) = fake.families()
    assert edges(family) == {
        "r1": (None, ""),
        "a1": (None, ""),
        "r2": (1, "r1"),
        "a2": (1, "r1"),
        "r3": (2, "r2"),
        "a3": (2, "r2"),
        "r4": (3, "r1"),
        "a4": (3, "r1"),
    }


def test_access_tokens_that_a_refresh_ended_say_so() -> None:
    fake = server(refresh_policy="github")
    last = fake.issue_tokens().refresh_token
    for _ in range(2):
        last = refresh(fake, last)
    (family,) = fake.families()
    assert states(family)["a1"] == states(family)["a2"] == "revoked"
    assert states(family)["a3"] == states(family)["r3"] == "active"
    assert token(family, "alice/1 a1").why == "ended by an earlier refresh"
    assert token(family, "alice/1 a2").why == "ended by request 2"


def test_a_family_beyond_the_most_says_which_login_revoked_it() -> None:
    fake = server(refresh_policy=RefreshPolicy(max_families=1))
    fake.issue_tokens()
    fake.issue_tokens()
    latest, first = fake.families()
    assert latest.state == "active"
    assert (first.state, first.why) == (
        "revoked",
        "revoked at login alice/2, because a user has at most 1 families",
    )


def test_a_family_says_why_it_is_over() -> None:
    fake = server(refresh_policy="rotate")
    fake.issue_tokens()
    fake.clock.advance(3600 + 5)
    (family,) = fake.families()
    assert (family.state, family.why) == ("expired", "expired 3305 s ago")
    fake.issue_tokens()
    fake.revoke("alice/2 r1")
    family = fake.families()[0]
    assert (family.state, family.why) == ("revoked", "revoked by the test")
    assert {one.state for one in family.tokens} == {"revoked"}
    fake.issue_code()
    fake.revoke("alice/3 c1")
    family = fake.families()[0]
    assert (family.state, family.why) == ("revoked", "revoked by the test")


def test_a_family_whose_access_tokens_stay_valid_is_revoked_too() -> None:
    policy = RefreshPolicy(rotate=True, on_replay="revoke", revoke_access_tokens=False)
    fake = server(refresh_policy=policy)
    first = fake.issue_tokens().refresh_token
    refresh(fake, first)
    refresh(fake, first)
    (family,) = fake.families()
    assert (family.state, family.why) == ("revoked", "revoked by a replay in request 2")
    assert states(family) == {"r1": "spent", "a1": "active", "r2": "revoked", "a2": "active"}


def test_an_active_family_says_why_it_is_refused() -> None:
    fake = server()
    fake.issue_tokens()
    post(fake, grant_type="client_credentials")

    def why() -> list[str | None]:
        assert {family.state for family in fake.families()} == {"active"}
        return [family.why for family in fake.families()]

    assert why() == [None, None]
    fake.freeze_user("alice")
    assert why() == [None, "the user is frozen"]
    fake.delete_user("alice")
    assert why() == [None, "user u-alice was deleted"]
    assert fake.families()[1].user == "alice"
    fake.replace_clients([Client(client_id="web", client_secret="s", enabled=False)])
    assert why() == ["client web disabled"] * 2
    fake.replace_clients([])
    assert why() == ["client web unknown"] * 2


def test_the_latest_login_comes_first_and_the_others_are_counted() -> None:
    fake = server()
    for user in ("alice", "bob", "alice"):
        fake.issue_tokens(user)
    assert [family.name for family in fake.families()] == ["alice/2", "bob/1", "alice/1"]
    found = fake.families(2)
    assert [family.name for family in found[0:2]] == ["alice/2", "bob/1"]
    assert (len(found), found.earlier, fake.families().earlier) == (2, 1, 0)
    assert str(found).splitlines()[-1] == "(1 earlier families are not shown)"
    assert str(fake.families()).startswith("alice/2 of client web [openid]: active\n")


def test_of_many_tokens_the_latest_are_listed_and_the_refresh_token_stays() -> None:
    fake = server()
    first = fake.issue_tokens().refresh_token
    for _ in range(40):
        refresh(fake, first)
    (family,) = fake.families(tokens=10)
    assert [short(one.name) for one in family.tokens] == [
        "r1",
        *(f"a{number}" for number in range(33, 42)),
    ]
    assert family.earlier == 32
    lines = str(family).splitlines()
    assert lines[1] == "(32 earlier tokens are not shown)"
    assert lines[2] == "└─ r1 active; presented by 35 requests, and by #36, #37, #38, #39, #40"
    assert lines[3:5] == ["   ├─ a33 active", "   ├─ a34 active"]
    (whole,) = fake.families()
    assert len(whole.tokens) == 42
    assert str(whole).splitlines()[1] == "(12 earlier tokens are not shown)"
    fake = server(refresh_policy="rotate")
    last = fake.issue_tokens().refresh_token
    for _ in range(40):
        last = refresh(fake, last)
    (family,) = fake.families(tokens=10)
    assert [short(one.name) for one in family.tokens] == [
        f"{letter}{number}" for number in range(37, 42) for letter in "ra"
    ]
    assert edges(family)["r37"] == (36, "r36")


def test_a_tampered_access_token_is_one_token() -> None:
    fake = server()
    fake.script(faults.Claim("x", 1, token="access_token"))
    refresh(fake, fake.issue_tokens().refresh_token)
    (family,) = fake.families()
    assert [short(one.name) for one in family.tokens] == ["r1", "a1", "a2"]


# The next expiry


def upcoming(fake: FakeOAuth) -> tuple[str, float] | None:
    expiry = fake.next_expiry
    return None if expiry is None else (expiry.token, expiry.at)


def test_the_token_that_expires_next_is_named() -> None:
    fake = server(refresh_policy="rotate")
    assert upcoming(fake) is None
    fake.issue_tokens()
    assert upcoming(fake) == ("alice/1 a1", START + 300)
    fake.clock.advance(300)
    assert upcoming(fake) == ("alice/1 r1", START + 3600)
    fake.revoke("alice/1 r1")
    assert upcoming(fake) is None


def test_a_code_is_not_what_expires_next() -> None:
    fake = server(refresh_policy="rotate")
    fake.issue_code("alice")
    assert upcoming(fake) is None
    fake.issue_tokens()
    assert upcoming(fake) == ("alice/2 a1", START + 300)


def test_a_token_beyond_the_last_year_has_no_expiry_that_the_clock_can_reach() -> None:
    fake = server(refresh_token_seconds=10**12, access_token_seconds=10**12)
    fake.issue_tokens()
    assert fake.next_expiry is None
    data = members(control_of(fake)("GET", "/families"))
    (family,) = data["families"]
    assert {one["expires_at"] for one in family["tokens"]} == {"9999-12-31T23:59:59Z"}


# As data


def test_the_control_api_has_the_families() -> None:
    fake = server(refresh_policy="rotate")
    first = fake.issue_tokens().refresh_token
    refresh(fake, first)
    refresh(fake, first)
    data = members(control_of(fake)("GET", "/families"))
    assert data["earlier"] == 0
    (family,) = data["families"]
    tokens = family.pop("tokens")
    assert family == {
        "name": "alice/1",
        "user": "alice",
        "sub": "u-alice",
        "client_id": "web",
        "scopes": ["openid"],
        "state": "active",
        "why": None,
        "earlier": 0,
    }
    assert [one["name"] for one in tokens] == [
        f"alice/1 {name}" for name in ("r1", "a1", "r2", "a2")
    ]
    assert tokens[0] == {
        "name": "alice/1 r1",
        "kind": "refresh_token",
        "state": "spent",
        "why": "rotated by request 1",
        "expires_at": "2027-01-15T09:00:00Z",
        "issued_by": None,
        "from": None,
        "presented": [
            {"number": 1, "client_id": "web", "status": 200, "error": None},
            {"number": 2, "client_id": "web", "status": 400, "error": "invalid_grant"},
        ],
        "presented_before": 0,
    }
    assert tokens[2]["from"] == "alice/1 r1"


def test_what_the_control_api_returns_is_bounded() -> None:
    fake = server()
    for number in range(110):
        fake.issue_tokens(("alice", "bob")[number % 2])
    token = fake.issue_tokens().refresh_token
    for _ in range(120):
        refresh(fake, token)
    control = control_of(fake)
    data = members(control("GET", "/families?latest=100"))
    assert (len(data["families"]), data["earlier"]) == (100, 11)
    tokens = data["families"][0]["tokens"]
    assert (len(tokens), data["families"][0]["earlier"]) == (100, 22)
    assert (len(tokens[0]["presented"]), tokens[0]["presented_before"]) == (20, 100)
    assert len(members(control("GET", "/families"))["families"]) == 50
    assert len(members(control("GET", "/families?latest=1"))["families"]) == 1
    for latest in (0, 101):
        assert problems(control("GET", f"/families?latest={latest}")) == [
            f"$.latest: expected 1 to 100, got {latest}"
        ]


def test_a_token_that_never_expires_has_no_moment() -> None:
    fake = FakeOAuth(Settings(control=True))
    (family,) = members(control_of(fake)("GET", "/families"))["families"]
    assert family["tokens"][0]["expires_at"] is None
    assert family["name"] == "MOCK_USERNAME/preconfigured1"


def test_an_expiry_is_a_moment_of_the_clock() -> None:
    fake = server()
    control = control_of(fake)
    assert members(control("GET", "/clock"))["next_expiry"] is None
    fake.issue_tokens()
    clock = members(control("GET", "/clock"))
    assert clock["next_expiry"] == {"at": "2027-01-15T08:05:00Z", "token": "alice/1 a1"}
    assert members(control("PUT", "/clock", clock)) == clock
    after = members(control("PUT", "/clock", {"now": clock["next_expiry"]["at"]}))
    assert after["next_expiry"] == {"at": "2027-01-15T09:00:00Z", "token": "alice/1 r1"}


def test_the_keys_and_the_login_can_be_read() -> None:
    fake = server()
    control = control_of(fake)
    signing, following = members(control("GET", "/keys"))["keys"]
    assert (signing["use"], signing["alg"], signing["kty"]) == ("signing", "RS256", "RSA")
    assert following["use"] == "next"
    assert fake.rotate_keys() == following["kid"]
    keys = members(control("GET", "/keys"))["keys"]
    assert [(key["use"], key["kid"]) for key in keys[::2]] == [
        ("signing", following["kid"]),
        ("old", signing["kid"]),
    ]
    assert members(control("GET", "/login")) == {"user": None}
    fake.login("bob")
    assert members(control("GET", "/login")) == {"user": "bob"}
    fake.freeze_user("bob")
    assert members(control("GET", "/login")) == {"user": None}
    fake.delete_user("bob")
    assert (members(control("GET", "/login")), fake.logged_in_user) == ({"user": None}, None)
